"""The comparisons. Each checks that both sides did the same work, then times them in alternation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

from backtest.engine import layout as at
from benchmarks import market, orders, ours, peers, signals
from benchmarks.timing import Measure, alternate, faster

QTY = 100
"""Base units of the one-symbol cases, around a tenth of the account."""
SYMBOLS = 20
ORDERS, PARTS = 2_000_000, 40
MEMORY = 8 << 20
"""Bytes that may come and go between two halves of a stream of orders beside its record."""
OFTEN = {"every 4 h": 240, "every hour": 60}

Case = Callable[[Path, int], list[Measure]]
"""Takes the folder for datasets and the number of rounds."""


def targets_one(_folder: Path, rounds: int) -> list[Measure]:
    """One symbol for a year of minutes, an average cross, beside vectorbt and raptorbt."""
    case = "targets, 1 symbol"
    made = market.market()
    side = signals.cross(made.column(3))
    rows = signals.turns(side)
    mine, vectorbt = ours.flips(made, rows, side, QTY), peers.from_signals(made, rows, side, QTY)
    fills = _same(len(mine().fills), len(vectorbt().order_records))
    taken = alternate({"ours": mine, "peer": vectorbt}, rounds)
    size = f"{made.rows:,} candles, {fills:,} fills"
    measures = [faster(case, "long and short", taken["ours"], "vectorbt from_signals", taken["peer"], 2.0, size)]
    try:
        peers.imported("raptorbt")
    except ImportError:
        return measures
    # Its run of one symbol has one direction: the same cross, long or flat.
    flat = side.clip(min=0)
    rows = signals.turns(flat)
    mine, raptor = ours.flips(made, rows, flat, QTY), peers.raptor(made, rows, flat)
    fills = len(mine().fills)
    _same((fills + 1) // 2, len(raptor().trades()))
    taken = alternate({"ours": mine, "peer": raptor}, rounds)
    size = f"{made.rows:,} candles, {fills:,} fills"
    return [*measures, faster(case, "long or flat", taken["ours"], "raptorbt", taken["peer"], None, size)]


def targets_many(_folder: Path, rounds: int) -> list[Measure]:
    """Twenty symbols in one cross account for a year of minutes, beside vectorbt with shared cash."""
    made = market.market(count=SYMBOLS)
    measures = []
    for often, every in OFTEN.items():
        targets = signals.staggered(made.rows, SYMBOLS, every)
        mine = ours.replay(made, targets, at.WEIGHT)
        peer = peers.from_orders(made, signals.dense(targets, made.rows, SYMBOLS))
        fills = _same(len(mine().fills), len(peer().order_records))
        taken = alternate({"ours": mine, "peer": peer}, rounds)
        size = f"{made.rows * SYMBOLS:,} rows, {fills:,} fills"
        target = 6.0 if every == 240 else None
        what = f"each {often}"
        measures.append(
            faster("targets, 20 symbols", what, taken["ours"], "vectorbt from_orders", taken["peer"], target, size)
        )
    return measures


def resting(_folder: Path, rounds: int) -> list[Measure]:
    """The targets of `many` each 4 h with 20 orders resting per symbol, beside the same without them."""
    case, none = "20 resting, 20 symbols", "none resting"
    made = market.market(count=SYMBOLS)
    targets = signals.staggered(made.rows, SYMBOLS, 240)
    bare, far, grid = ours.replay(made, targets, at.WEIGHT), orders.far(made, targets), orders.Grid(made, targets)
    fills = len(bare().fills)
    assert len(far().fills) == fills, "orders that never fill have changed what the targets do"
    more = len(grid().fills) - fills
    taken = alternate({"none": bare, "far": far, "grid": grid}, rounds)
    size = f"{made.rows * SYMBOLS:,} rows, {fills:,} fills"
    inside, base = grid.inside[-rounds:], taken["none"]
    note = f"{more:,} fills more, {grid.sent:,} sent, {grid.resting:.1f} resting"
    return [
        faster(case, "out of reach", taken["far"], none, base, 0.25, size),
        faster(case, "a grid, while it replays", inside, none, base, 0.25, note),
        faster(case, "a grid, with its sending", taken["grid"], none, base, None, note),
    ]


def layer2(_folder: Path, rounds: int) -> list[Measure]:
    """The targets of `many` each 4 h over a chain, beside none; and with an oracle too, beside vectorbt's."""
    case = "over a chain, 20 symbols"
    made = market.market(count=SYMBOLS)
    targets = signals.staggered(made.rows, SYMBOLS, 240)
    bare, chained, whole = ours.replay(made, targets, at.WEIGHT), *ours.over_chain(made, targets, at.WEIGHT)
    peer = peers.from_orders(made, signals.dense(targets, made.rows, SYMBOLS))
    fills = _same(len(bare().fills), len(peer().order_records))
    assert len(chained().gas) >= len(chained().fills) > 0, "no gas was paid"
    taken = alternate({"bare": bare, "chained": chained, "whole": whole, "peer": peer}, rounds)
    size = f"{made.rows * SYMBOLS:,} rows, {fills:,} fills"
    return [
        faster(case, "latency, blocks, gas", taken["chained"], "no chain", taken["bare"], 0.8, size),
        faster(case, "and an oracle", taken["whole"], "vectorbt from_orders", taken["peer"], 5.0, size),
    ]


def many_orders(_folder: Path, _rounds: int) -> list[Measure]:
    """Two million orders sent from Python in one replay, whatever the rounds: the second million beside the first."""
    made = market.market()
    orders.stream(made, PARTS * 100, PARTS)
    parts = orders.stream(made, ORDERS, PARTS)
    halves = parts[: PARTS // 2], parts[PARTS // 2 :]
    # a half's time is that of its median part, so that a moment in which the machine is busy does not count
    first, second = (median(part.seconds for part in half) * len(half) for half in halves)
    kept = [sum(part.record_bytes for part in half) * 2 // ORDERS for half in halves]
    other = [sum(part.other_bytes or 0 for part in half) for half in halves]
    slots = [half[-1].slots for half in halves]
    flat = slots[0] == slots[1] and abs(kept[1] / kept[0] - 1) < 0.05 and other[1] < max(0, other[0]) + MEMORY
    note = (
        f"{second / ORDERS * 2e6:.1f} µs, {kept[1]} B of record an order (first {kept[0]}); other memory "
        f"{other[1] / 1e6:+.1f} MB (first {other[0] / 1e6:+.1f}); {slots[1]} slots (first {slots[0]})"
    )
    what = f"{ORDERS // 2:,} more"
    return [Measure("orders, 1 symbol", what, second, "first", first, second / first, 1.1, True, note, flat)]


def on_candle(folder: Path, rounds: int) -> list[Measure]:
    """One symbol, an average cross called at each candle; ours is the whole `backtest.run` but the report's files."""
    made = market.market()
    mine = ours.called(market.dataset(folder, market.YEAR, 1))
    peer = peers.backtesting(made, QTY)
    fills = mine().tables["fills"].height
    # A turn is one fill here and there the end of one trade and the start of the next; the last turn stays open.
    _same(fills, len(peer()["_trades"]) + 1)
    taken = alternate({"ours": mine, "peer": peer}, rounds)
    size = f"{made.rows:,} candles, {fills:,} fills"
    return [
        faster("on_candle, 1 symbol", "Parquet to metrics", taken["ours"], "backtesting.py", taken["peer"], 6.5, size)
    ]


def _same(mine: int, theirs: int) -> int:
    """Both sides must have traded alike: a lot, or the last turn, may be all the difference."""
    assert abs(mine - theirs) <= 2 + mine // 500, f"not the same work: {mine} and {theirs}"
    return mine
