"""Marks on a curve: where a pool was liquidated, its further steps, what auto-deleveraging took, what guards did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from backtest.report import formatting as fmt
from backtest.report.downsampling import Values, stamps
from backtest.report.figure import LIMIT, PALETTE, PAPER, Figure, plain
from backtest.report.outcome import Outcome

MARKED = 500
"""Marks of one kind on a chart."""


@dataclass(frozen=True)
class Kind:
    """A kind of event that has its own mark on a chart."""

    title: str
    suffix: str
    """What follows a run's name in a comparison."""
    symbol: str
    size: int
    colour: str
    events: Callable[[Outcome], list[tuple[int, str]]]
    """Time and words of each."""


def _begun(out: Outcome) -> list[tuple[int, str]]:
    found = []
    for loss in out.losses:
        equity, maintenance = fmt.number(loss.equity), fmt.number(loss.maintenance)
        what = f"{fmt.listing(loss.symbols[:4])}: equity {equity}, maintenance {maintenance}"
        found.append((loss.ts_ms, what))
    return found


def _stepped(out: Outcome) -> list[tuple[int, str]]:
    found = []
    for loss in out.losses:
        if loss.end_ms > loss.ts_ms:
            later = loss.rows.filter(pl.col("ts") > pl.lit(loss.rows["ts"][0]))
            found += [
                (ts_ms, f"{symbol}: a further step")
                for ts_ms, symbol in zip(stamps(later).tolist(), later["symbol"].to_list(), strict=True)
            ]
    return found


def _taken(out: Outcome) -> list[tuple[int, str]]:
    return [
        (loss.ts_ms, f"{fmt.listing(loss.symbols)}: closed by auto-deleveraging, at a profit")
        for loss in out.deleveraged
    ]


def _guarded(out: Outcome) -> list[tuple[int, str]]:
    """One mark for what one guard did at one close."""
    acts = out.guards.group_by("ts", "guard", maintain_order=True).agg(pl.col("symbol").drop_nulls().unique().sort())
    what = [
        f"{guard}: {fmt.listing(symbols[:4]) or 'acted'}" for guard, symbols in acts.select("guard", "symbol").rows()
    ]
    return list(zip(stamps(acts).tolist(), what, strict=True))


LIQUIDATED = Kind("Liquidation", "liquidated", "x", 9, LIMIT, _begun)
KINDS = (
    LIQUIDATED,
    Kind("Further step", "further steps", "circle-open", 7, LIMIT, _stepped),
    Kind("Deleveraged", "deleveraged", "diamond", 9, PALETTE[3], _taken),
    Kind("Guard", "guarded", "triangle-down", 10, PALETTE[4], _guarded),
)


def trace(kind: Kind, out: Outcome, heights: Values, name: str, colour: str) -> list[Figure]:
    """The marks of one kind at the ``heights`` of its events; nothing where there are none."""
    events = kind.events(out)[:MARKED]
    outline = colour if kind.symbol.endswith("-open") else PAPER
    marks = {
        "type": "scatter", "mode": "markers", "name": plain(name), "x": [ts_ms for ts_ms, _ in events],
        "y": np.round(heights[: len(events)], 6).tolist(), "text": [plain(words) for _, words in events],
        "hovertemplate": "%{text}",
        "marker": {"symbol": kind.symbol, "size": kind.size, "color": colour, "line": {"width": 1, "color": outline}},
    }  # fmt: skip
    return [marks] if events else []
