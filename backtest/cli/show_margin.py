"""What `backtest margin` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backtest.cli import console
from backtest.report import formatting as fmt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.calculator.calculation import Calculation, CloseMargin
    from backtest.calculator.stress_ladder import Event, Ladder, Rung

SHOWN = (1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 125, 150, 200)
"""Per cent: the rungs shown in the terminal, and the last; JSON and the picture have all."""
LINES = 20
"""Of liquidations shown in the terminal; JSON and the picture have every step."""
TOGETHER = 0.001
"""Steps of one stage at one symbol within a tenth of a per cent share a line."""


def calculation(shown: Calculation, as_json: bool) -> None:
    """The account, its positions and pools, the close that is judged, and the ladder both ways."""
    if as_json:
        return console.write_json(shown.as_dict())
    click.echo(f"{shown.venue}, {shown.quote}, terms of {shown.date}; {shown.margin} margin")
    click.echo(
        f"equity {fmt.number(shown.equity)}, initial margin {fmt.number(shown.initial)}, maintenance margin "
        f"{fmt.number(shown.maintenance)}, free collateral {fmt.number(shown.free_collateral)}, "
        f"margin ratio {fmt.number(shown.margin_ratio, 3)}"
    )
    _positions(shown)
    if len(shown.pools) > 1:
        _pools(shown)
    if shown.close:
        _close(shown.close)
    for ladder, way in ((shown.falling, "falls"), (shown.rising, "rises")):
        _ladder(ladder, way)
    for note in shown.notes:
        click.echo(f"- {note}")
    return None


def _positions(shown: Calculation) -> None:
    head = ("qty", "mark", "notional", "unrealized", "initial", "maintenance", "liquidation", "move", "bankruptcy")
    table = console.grid("symbol", *head)
    for at in shown.positions:
        amounts = (at.notional, at.unrealized, at.initial, at.maintenance)
        table.add_row(
            _plain(at.symbol), fmt.quantity(at.qty), fmt.price(at.mark), *map(fmt.number, amounts),
            _price(at.liquidation_price), _move(at.liquidation_move), _price(at.bankruptcy_price),
        )  # fmt: skip
    console.write_table(table)


def _pools(shown: Calculation) -> None:
    table = console.grid("pool", "equity", "initial", "maintenance", "free", "margin ratio")
    for pool in shown.pools:
        amounts = (pool.equity, pool.initial, pool.maintenance, pool.free_collateral)
        table.add_row(_plain(pool.pool), *map(fmt.number, amounts), fmt.number(pool.margin_ratio, 3))
    console.write_table(table)


def _close(close: CloseMargin) -> None:
    bound = "" if close.fillable_price is None else f", fillable price {fmt.price(close.fillable_price)}"
    click.echo(
        f"close {fmt.quantity(close.qty)} {close.symbol} at {fmt.price(close.price)}: "
        f"bankruptcy price {_price(close.bankruptcy_price)}{bound}, "
        f"insurance fund {fmt.signed(0.0 - close.insurance)}; then equity {fmt.number(close.equity)}, "
        f"maintenance margin {fmt.number(close.maintenance)}, "
        f"margin ratio {fmt.number(close.margin_ratio, 3)}"
    )
    click.echo()


def _ladder(ladder: Ladder, way: str) -> None:
    what = {"all": "all together", "beta": "each by its beta"}.get(ladder.by, f"{ladder.by} alone")
    end = f"at {_move(ladder.rungs[-1].move)}"
    left = ", ".join(f"{fmt.quantity(qty)} {symbol}" for symbol, qty in ladder.left.items() if qty)
    fate = f"{end} equity is {fmt.number(ladder.equity)}, left: {left or 'no position'}"
    if not ladder.events:
        fate = f"nothing is liquidated; {fate}"
    click.echo(f"as the market {way} ({what}): {fate}")
    if ladder.events:
        _events(ladder.events)
    _rungs(ladder.rungs)


def _events(events: Sequence[Event]) -> None:
    head = ("symbol", "stage", "steps", "price", "qty", "left")
    table = console.grid("move", *head, "penalty", "insurance fund", "bad debt", "equity before", "after")
    lines = _together(events)
    for steps in lines[:LINES]:
        first, last = steps[0], steps[-1]
        qty = sum(event.qty for event in steps)
        price = sum(event.price * event.qty for event in steps) / qty if qty else first.price
        # A penalty is a cost and below zero; so is what the account paid to the insurance fund.
        penalty, fund = (0.0 - sum(getattr(event, name) for event in steps) for name in ("penalty", "insurance"))
        debt = sum(event.bad_debt for event in steps)
        table.add_row(
            _move(first.move), _plain(first.symbol), first.stage, str(len(steps)), fmt.price(price), fmt.quantity(qty),
            fmt.quantity(last.left), fmt.number(penalty), fmt.signed(fund), fmt.number(debt),
            fmt.number(first.equity_before), fmt.number(last.equity_after),
        )  # fmt: skip
    console.write_table(table)
    if len(lines) > LINES:
        more = sum(map(len, lines[LINES:]))
        click.echo(f"and {fmt.plural(more, 'step')} more; --json has all")
        click.echo()


def _together(events: Sequence[Event]) -> list[list[Event]]:
    """Steps that share a line: at about one level, of one stage at one symbol."""
    lines: list[list[Event]] = []
    wave: dict[tuple[str, str, str], list[Event]] = {}
    begun = 0.0
    for event in events:
        if not wave or abs(event.move - begun) >= TOGETHER:
            wave, begun = {}, event.move
        key = (event.pool, event.symbol, event.stage)
        if key not in wave:
            wave[key] = []
            lines.append(wave[key])
        wave[key].append(event)
    return lines


def _rungs(rungs: Sequence[Rung]) -> None:
    table = console.grid("move", "equity", "maintenance", "margin ratio", "gross notional")
    for rung in rungs:
        per_cent = abs(rung.move) * 100
        if rung is rungs[-1] or any(abs(per_cent - shown) < 1e-6 for shown in SHOWN):
            gross = sum(map(abs, rung.notionals.values()))
            cells = (fmt.number(rung.equity), fmt.number(rung.maintenance), fmt.number(rung.margin_ratio, 3))
            table.add_row(_move(rung.move), *cells, fmt.number(gross))
    console.write_table(table)


def _plain(name: str) -> str:
    """A name that cannot be markup."""
    from rich.markup import escape

    return escape(name)


def _move(move: float | None) -> str:
    return "none" if move is None else fmt.signed(move * 100) + "%"


def _price(price: float | None) -> str:
    return "none" if price is None else fmt.price(price)
