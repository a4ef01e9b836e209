"""The same run on data that end earlier, and what it decided otherwise before that end.

A strategy that uses later data changes an earlier feature, decision or fill when the data end at a cut. Costs, chain
and venue are those of the whole run: they use past candles only, and a halt that was placed by the whole history stays
where it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, OrderType, Status
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.core.times import stamp
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.runner.plan import Plan, plan_over
from backtest.runner.signals import Decisions
from backtest.strategy.candle_table import CandleTable
from backtest.strategy.source_line import source_line
from backtest.strategy.window import FIELDS

SAME = 1e-9
"""Largest difference of two values that are the same, as a share of the largest value of their series: a transform of
the whole series rounds otherwise on a shorter one."""
LOOKED = 4_096
"""Rows in which the end of the warm-up is looked for first."""
Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Records = NDArray[np.void] | Rows
Columns = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Difference:
    """The first earlier value that later data have changed."""

    kind: str
    """feature, target, order or fill."""
    name: str
    """Of the feature; else empty."""
    symbol: str
    ts_ms: int
    """When it was known or happened: of a feature and a target the close of its candle, UTC."""
    before: str
    """The value on all data."""
    after: str
    """The value on the changed data."""
    changed_ms: int
    """Where the data were cut, or changed from: they are the same before."""
    place: str
    """`file.py:LINE`, or the class."""

    def __str__(self) -> str:
        thing = f"feature {self.name!r}" if self.kind == "feature" else self.kind
        return (
            f"{self.place}: {thing} of {self.symbol} at {stamp(self.ts_ms)} is {self.before} on all data, "
            f"{self.after} on data that end at {stamp(self.changed_ms)}"
        )


def warm_row(planned: Plan) -> int:
    """The first row at whose close every feature of some symbol is known; 0 where there are no features."""
    decisions = planned.decisions
    table, first = (decisions.coarse, len(FIELDS)) if decisions.coarse else (decisions.features, 0)
    if table is None or not decisions.feature_names:
        return 0
    columns = range(first, first + len(decisions.feature_names))
    # Looked for from the start on, further each time: most features are known soon, and columns may lie on disk.
    end = min(LOOKED, table.rows)
    while True:
        known = [_all_known(table, columns, symbol, end) for symbol in range(len(planned.selection.symbols))]
        if end == table.rows or min(known) < end:
            break
        end = min(4 * end, table.rows)
    return min(min(known) * (decisions.every_rows if decisions.coarse else 1), planned.selection.rows - 1)


def _all_known(table: CandleTable, columns: Iterable[int], symbol: int, end: int) -> int:
    """The first row at which a symbol has a value in all of the columns; ``end``: none before that."""
    known = ~np.isnan([table.part(column, symbol, 0, end) for column in columns]).any(axis=0)
    return int(np.argmax(known)) if known.any() else end


def truncated(planned: Plan, cut_ms: int) -> Plan:
    """The plan of the same run, on the candles that have closed by ``cut_ms``, with a copy of its strategy.

    Markets that begin later are left out. Raises RunError where the strategy cannot work on so few candles.
    """
    s, c = planned.selection, planned.config
    begun = tuple(name for i, name in enumerate(s.symbols) if s.start_ms + s.first_row[i] * s.interval_ms < cut_ms)
    cut = select(s.catalog, begun, s.period[0], cut_ms, c.interval_ms, kept=False)
    if (cut.symbols, cut.start_ms) == (s.symbols, s.start_ms):
        # Its rows are mapped already. Marks derived in the last mark interval are then those of the whole history:
        # a strategy is shown none of them.
        cut = replace(cut, within=s, mark_offset=s.mark_offset)
    return over(planned, cut)


def over(planned: Plan, selection: Selection) -> Plan:
    """The plan of the same run over other candles, or fewer, of its markets."""
    c = planned.config
    posted = c.posted_amount(len(planned.selection.symbols))
    asked = c if posted is None else replace(c, isolated_margin=posted)
    strategy = copy.deepcopy(planned.strategy)
    strategy.bind(c.seed)
    guards = tuple(g for g in planned.guards if not g.symbol or g.symbol in selection.symbols)
    made = plan_over(selection, strategy, asked, planned.profile, guards, planned.selection)
    return replace(made, chaining=planned.chaining, away=planned.away, frozen=planned.frozen)


def differences(
    whole: Plan, before: Record | None, other: Plan, after: Record | None, cut_ms: int
) -> Iterator[Difference]:
    """What was decided otherwise before ``cut_ms``; where nothing was, what was ordered and filled otherwise.

    Without records decisions alone are compared. So they are where a feature is the same but for its rounding: an order
    may hang on its last bit.
    """
    decided = list(_decided_otherwise(whole, other, cut_ms))
    yield from decided
    if before is not None and after is not None and not decided and _same_bits(whole, other, cut_ms):
        yield from _traded_otherwise(whole, before, after, cut_ms)


def _decided_otherwise(whole: Plan, other: Plan, cut_ms: int) -> Iterator[Difference]:
    """The first difference of each feature, and of the targets, that are known by ``cut_ms``."""
    a, b = whole.decisions, other.decisions
    if a.targets.size or b.targets.size:
        yield from _targets(whole, a, b, other.selection, cut_ms)
        return
    for number, name in enumerate(a.feature_names):
        for symbol in other.selection.symbols:
            found = _first(*_values(whole, other, number, symbol, cut_ms))
            if found is not None:
                ts, before, after = found
                place = source_line(whole.strategy, "features", name)
                yield Difference("feature", name, symbol, ts, before, after, cut_ms, place)


def _same_bits(whole: Plan, other: Plan, cut_ms: int) -> bool:
    """Whether every feature is the same to the bit."""
    pairs = (
        _values(whole, other, number, symbol, cut_ms)
        for number in range(len(whole.decisions.feature_names))
        for symbol in other.selection.symbols
    )
    return all(np.array_equal(x, y, equal_nan=True) for x, y, _ in pairs)


def _values(whole: Plan, other: Plan, number: int, symbol: str, cut_ms: int) -> tuple[Floats, Floats, Times]:
    """A feature's values in both by ``cut_ms``, and the closes at which they are known."""
    a, b, s = whole.decisions, other.decisions, whole.selection
    mine, its = s.symbols.index(symbol), other.selection.symbols.index(symbol)
    if a.coarse and b.coarse:
        begin = s.start_ms // a.every_ms
        rows, column = cut_ms // a.every_ms - begin + 1, len(FIELDS) + number
        x = a.coarse.part(column, mine, 0, min(rows, a.coarse.rows))
        y = b.coarse.part(column, its, 0, min(rows, b.coarse.rows))
        closes = (begin + np.arange(len(x))) * a.every_ms
    elif a.features and b.features:
        rows = (cut_ms - s.start_ms) // s.interval_ms
        x, y = a.features.part(number, mine, 0, rows), b.features.part(number, its, 0, rows)
        closes = s.start_ms + (1 + np.arange(len(x))) * s.interval_ms
    else:
        raise Broken("features of one length of candles, compared with those of another")
    size = min(len(x), len(y))
    return x[:size], y[:size], closes[:size]


def _first(x: Floats, y: Floats, closes: Times) -> tuple[int, str, str] | None:
    with np.errstate(invalid="ignore"):
        scale = np.abs(x[np.isfinite(x)]).max(initial=0.0)
        apart = ~((np.abs(x - y) <= SAME * scale) | (x == y) | (np.isnan(x) & np.isnan(y)))
    if not apart.any():
        return None
    row = int(np.argmax(apart))
    return int(closes[row]), _number(x[row]), _number(y[row])


def _number(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.10g}"


def _targets(whole: Plan, a: Decisions, b: Decisions, other: Selection, cut_ms: int) -> Iterator[Difference]:
    """The first decision of a `targets` strategy that differs: another amount, or one that is missing."""
    s = whole.selection
    rows = (cut_ms - s.start_ms) // s.interval_ms
    names = [s.symbols.index(symbol) for symbol in other.symbols]
    x = a.targets[(a.targets[:, at.TARGET_ROW] < rows) & np.isin(a.targets[:, at.TARGET_SYMBOL], names)]
    y = b.targets.copy()
    y[:, at.TARGET_SYMBOL] = np.array(names)[y[:, at.TARGET_SYMBOL].astype(int)] if len(y) else 0
    y = y[y[:, at.TARGET_ROW] < rows]
    size = min(len(x), len(y))
    scale = np.abs(x[:, at.AMOUNT]).max(initial=0.0)
    keys = (x[:size, :2] != y[:size, :2]).any(axis=1)
    apart = keys | (np.abs(x[:size, at.AMOUNT] - y[:size, at.AMOUNT]) > SAME * scale)
    if not apart.any() and len(x) == len(y):
        return
    row = int(np.argmax(apart)) if apart.any() else size
    left = tuple(x[row]) if row < len(x) else None
    right = tuple(y[row]) if row < len(y) else None
    # Where one has a decision that the other lacks, the earlier of the two is the one that differs.
    keyed = [one for one in (left, right) if one is not None]
    key = min(one[:2] for one in keyed)
    said = [f"{one[at.AMOUNT]:.10g}" if one is not None and one[:2] == key else "none" for one in (left, right)]
    ts = s.start_ms + (int(key[at.TARGET_ROW]) + 1) * s.interval_ms
    symbol = s.symbols[int(key[at.TARGET_SYMBOL])]
    yield Difference("target", "", symbol, ts, said[0], said[1], cut_ms, source_line(whole.strategy, "targets"))


SENT = ("order_id", "ts_sent_ms", "type", "tif", "reduce_only", "post_only")
"""What is fixed when an order is sent."""
DONE = ("order_id", "lots", "status", "filled", "limit_price", "stop_price")
"""What is fixed when it has ended."""
FILLED = ("ts_ms", "lots", "cause", "price", "quote")


def _traded_otherwise(whole: Plan, before: Record, after: Record, cut_ms: int) -> Iterator[Difference]:
    """The first order and the first fill before ``cut_ms`` that differ."""
    until = cut_ms - _derived_ms(whole.selection)
    hook = "targets" if whole.decisions.targets.size else "on_candle"
    place = source_line(whole.strategy, hook)

    def first(kind: str, x: Records, y: Records, time: str, names: tuple[str, ...]) -> Difference | None:
        sides = (before, x), (after, y)
        a, b = (_columns(records, record.symbols, names, time, until) for record, records in sides)
        row = _first_row(a, b)
        if row is None:
            return None
        told = [_told(record, records, one, row) for (record, records), one in zip(sides, (a, b), strict=True)]
        side = a if row < len(a["symbol"]) else b
        return Difference(kind, "", str(side["symbol"][row]), int(side[time][row]), told[0], told[1], cut_ms, place)

    orders = first("order", before.orders, after.orders, "ts_sent_ms", SENT)
    orders = orders or first("order", before.orders, after.orders, "ts_done_ms", DONE)
    fills = first("fill", before.fills, after.fills, "ts_ms", FILLED)
    yield from (found for found in (orders, fills) if found is not None)


def _columns(records: Records, symbols: tuple[str, ...], names: tuple[str, ...], time: str, until: int) -> Columns:
    """Columns of the records up to a time, with the symbol's name, and `at`, where each lies."""
    stamps = records[time]
    early = np.flatnonzero((stamps < until) & (stamps >= 0))
    chosen = records[early]
    found = {name: chosen[name] for name in dict.fromkeys((*names, time))}
    return {**found, "symbol": np.asarray(symbols)[chosen["symbol"]], "at": early}


def _first_row(a: Columns, b: Columns) -> int | None:
    """The first row that differs, or that only one of both has."""
    sizes = len(a["symbol"]), len(b["symbol"])
    size = min(sizes)
    apart = np.zeros(size, np.bool_)
    for name, column in a.items():
        if name == "at":
            continue
        x, y = column[:size], b[name][:size]
        both = np.isnan(x) & np.isnan(y) if x.dtype.kind == "f" else np.zeros(size, np.bool_)
        apart |= (x != y) & ~both
    if apart.any():
        return int(np.argmax(apart))
    return None if sizes[0] == sizes[1] else size


def _told(record: Record, records: Records, columns: Columns, row: int) -> str:
    """An order or a fill in words."""
    if row >= len(columns["symbol"]):
        return "none"
    at_row = int(columns["at"][row])
    lots, symbol = (int(records[name][at_row]) for name in ("lots", "symbol"))
    size = f"{abs(lots) * record.step_micro[symbol] / MICRO:.10g}"
    side = "buy" if lots > 0 else "sell"
    if "price" in columns:
        return f"{side} {size} at {columns['price'][row]:.10g}"
    named = [OrderType(int(records["type"][at_row])).name, Status(int(records["status"][at_row])).name]
    kind, status = (text.lower().replace("_", " ") for text in named)
    return f"{side} {size} by a {kind} order, {status}"


def _derived_ms(s: Selection) -> int:
    """How long before a cut marks depend on what follows: they are derived between two known ones."""
    derived = [name for name, kind in s.marks.items() if "derived" in kind]
    return max((s.catalog.markets[name].mark_interval_ms or s.interval_ms for name in derived), default=0)
