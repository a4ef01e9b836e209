"""The six figures that a reader sees first, each with an explanation in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from backtest.report.formatting import number, percent, signed, text
from backtest.report.outcome import Outcome
from backtest.results.ledger import FLOWS
from backtest.results.metric_definitions import by_name

if TYPE_CHECKING:
    from backtest.results.result import Result

CHARGES = tuple(
    name for name in ("fees", "spread", "impact", "latency", "penalties", "gas", "bridge_fees") if name in FLOWS
)
"""What trading cost, beside funding."""
Tone = Literal["", "gain", "loss"]


@dataclass(frozen=True)
class KeyFigure:
    """One figure: its title, the figure as it is read, a line below it, and what it means."""

    name: str
    title: str
    figure: str
    more: str
    meaning: str
    tone: Tone = ""


def key_figures(result: Result, out: Outcome, quote: str = "") -> tuple[KeyFigure, ...]:
    """Return the six figures in the order in which they are shown; ``quote`` is the currency of amounts."""
    m, unit = result.metrics, f" {quote}" if quote else ""
    charged = sum(float(by_name(m)[name] or 0.0) for name in CHARGES)
    inside = m["max_drawdown_inside"] if m["max_drawdown_inside"] is not None else m["max_drawdown"]
    funding = float(m["funding"])
    return (
        KeyFigure(
            "return",
            "Return",
            _gain(m["return"]),
            f"{number(out.start)} → {number(out.end)}{unit}",
            "What the account gained or lost from start to end, after all costs, as a share of the money at the start.",
            _tone(out.change),
        ),
        KeyFigure(
            "drawdown",
            "Largest drawdown",
            text("max_drawdown_inside", inside),
            f"{text('max_drawdown', m['max_drawdown'])} at closes",
            "The deepest fall from an earlier peak, counting the lowest moment inside each candle. "
            "Whoever had started at the worst moment would have seen this loss.",
        ),
        KeyFigure(
            "distance",
            "Nearest to liquidation",
            text("min_distance_inside", m["min_distance_inside"]),
            _liquidated(result),
            "How far prices could have moved against all positions at the worst moment before the venue had liquidated "
            "them. 0% or less: it did.",
        ),
        KeyFigure(
            "leverage",
            "Largest leverage",
            text("max_leverage", m["max_leverage"]),
            f"mean {text('mean_leverage', m['mean_leverage'])}",
            "Value of all positions over the account's equity. At 5x a move of 1% changes the equity by 5%.",
        ),
        KeyFigure(
            "costs",
            "Costs and funding",
            signed(funding - charged, 2),
            f"costs {signed(0.0 - charged)}, funding {signed(funding)}",
            f"What trading cost: fees, spread, impact, {'latency' if out.delayed else 'gap to the next open'}, "
            "liquidation penalties, gas; and the funding that was received (positive) or paid (negative). "
            "Below zero the account paid.",
            _tone(funding - charged),
        ),
        KeyFigure(
            "sharpe",
            "Sharpe",
            text("sharpe", m["sharpe"]),
            f"volatility {text('volatility', m['volatility'])}",
            "Mean daily return over its deviation, per year. Above 1 is good, above 3 is rarely true. It does not know "
            "liquidations that nearly happened.",
        ),
    )


def _gain(value: float | None) -> str:
    return percent(value) if value is None or value <= 0 else f"+{percent(value)}"


def _tone(change: float) -> Tone:
    shown = signed(change)
    return "gain" if shown.startswith("+") else "loss" if shown.startswith("-") else ""


def _liquidated(result: Result) -> str:
    times, steps = int(result.metrics["pool_liquidations"]), int(result.metrics["liquidation_steps"])
    if not times:
        return "no liquidation"
    said = f"{times:,} liquidation{'' if times == 1 else 's'}"
    return f"{said}, {steps:,} steps" if steps > times else said
