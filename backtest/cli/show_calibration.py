"""What `backtest data calibrate` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from backtest.cli import console, output
from backtest.report import formatting as fmt
from backtest.venues.slippage_models import BPS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.runner.calibrate import Calibration, Law, Together


def calibration(shown: Sequence[Calibration], together: Together | None, as_json: bool) -> None:
    """A table per symbol: what each size cost, and what the laws say; then their numbers, and the flags of a run."""
    if as_json:
        every = {"symbols": [_plain(one) for one in shown], "together": None if together is None else _whole(together)}
        return console.write_json(every)
    for one in shown:
        _symbol(one)
    if together is not None:
        output.say("[bold]all together[/]")
        click.echo(f"  {_errors(together.free, together.root)}")
        click.echo(f"  {together.text}")
    return None


def _symbol(one: Calibration) -> None:
    curve = one.curve
    quartiles = " to ".join(f"{q * BPS:.4g}" for q in curve.quartiles)
    output.say(f"[bold]{escape(curve.symbol)}[/] half a spread {curve.half * BPS:.4g} bps (quartiles {quartiles})")
    if curve.roll is not None:
        click.echo(f"  by Roll's estimator {curve.roll * BPS:.4g} bps")
    if one.scale:
        halves = ", ".join(f"{name} {half * BPS:.4g}" for name, half in one.scale.halves.items())
        click.echo(f"  by the candles of {one.scale.symbol}: {halves} bps")
        click.echo(f"  σ of a day {fmt.percent(one.scale.sigma)}, turnover of a day {one.scale.turnover:,.0f}")
    table = console.grid("size", "measured bps", "power law", "error", "square root", "error", "measurements")
    free, root = one.cost(one.free), one.cost(one.root)
    for n, (size, cost, number) in enumerate(zip(curve.size, curve.cost, curve.number, strict=True)):
        # Rounded before it is shown, so that nothing is off by −0.0 %.
        errors = [round(float(law[n] / cost) - 1, 4) + 0.0 for law in (free, root)]
        laws = [
            text
            for law, error in zip((free, root), errors, strict=True)
            for text in (f"{law[n] * BPS:.4g}", f"{error:+.1%}")
        ]
        star = "" if one.fitted[n] else "*"
        table.add_row(f"{size:,.0f}{star}", f"{cost * BPS:.4g}", *laws, fmt.count(int(number)))
    console.write_table(table)
    if not one.fitted.all():
        output.say("  [dim]*[/] not fitted: what it cost is mostly the spread")
    click.echo(f"  {_errors(one.free, one.root)}")
    click.echo(f"  {one.text}")
    if one.scale is None:
        click.echo("  Y is that of a size of a million, σ in it; --candles gives the Y of --slippage impact")


def _errors(free: Law, root: Law) -> str:
    """Both laws with their errors, side by side."""
    told = (
        f"{name} Y {law.y:.4g}, δ {law.exponent:.3g}: error {law.worst:.1%} at most, {law.mean:.1%} on average"
        for name, law in (("power law", free), ("square root", root))
    )
    return "; ".join(told)


def _plain(one: Calibration) -> dict[str, Any]:
    curve, scale = one.curve, one.scale
    points = zip(curve.size, curve.cost, one.cost(one.free), one.cost(one.root), curve.number, one.fitted, strict=True)
    return {
        "symbol": curve.symbol,
        "from_ms": curve.span[0],
        "to_ms": curve.span[1],
        "half_spread_bps": curve.half * BPS,
        "half_spread_quartiles_bps": [q * BPS for q in curve.quartiles],
        "half_spread_roll_bps": None if curve.roll is None else curve.roll * BPS,
        "candles": scale
        and {
            "symbol": scale.symbol,
            "sigma": scale.sigma,
            "turnover": scale.turnover,
            "half_spread_bps": {name: half * BPS for name, half in scale.halves.items()},
        },
        "power_law": _law(one.free),
        "square_root": _law(one.root),
        "points": [
            {
                "size": float(size),
                "measured_bps": float(cost) * BPS,
                "power_law_bps": float(free) * BPS,
                "square_root_bps": float(root) * BPS,
                "measurements": int(number),
                "fitted": bool(fitted),
            }
            for size, cost, free, root, number, fitted in points
        ],
        "flags": one.text,
    }


def _whole(together: Together) -> dict[str, Any]:
    return {"power_law": _law(together.free), "square_root": _law(together.root), "flags": together.text}


def _law(law: Law) -> dict[str, float]:
    return {"y": law.y, "exponent": law.exponent, "worst_error": law.worst, "mean_error": law.mean}
