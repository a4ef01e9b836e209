"""Round trips: from flat, or from a flip, until flat again or flipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.results.fill_batches import TOGETHER, batches
from backtest.results.lazy_tables import LazyTable
from backtest.results.symbol_trips import SCHEMA, Late, SymbolTrips


@dataclass(frozen=True)
class Trades:
    """Finished round trips, and how many positions are still open."""

    table: LazyTable
    """One row per trip, by its exit. `side` long or short; `qty` the most that was held, base units, ≥ 0; `entry_price`
    and `exit_price` averages over all that was bought and sold, slippage in, fees out; `realized` without fees; `fees`
    paid, less rebates; `funding` received while held; `penalty` ≥ 0 of its liquidation, all steps of it; `insurance`
    ≥ 0 paid by the insurance fund; `net = realized − fees + funding − penalty + insurance`; `hold` in hours;
    `exit_cause` of the last fill (strategy, liquidation, delisting, adl, guard, reorg), `exit_reason` see
    `results.exit_reasons`. A fill that undoes another is a fill like others: an entry undone is a trip without a
    profit, an exit undone begins another trip at its price, so that the money of all trips stays that of all fills. A
    loss beyond the pool's money is in `realized` in full: what others bore of it is the account's `bad_debt`, not the
    trip's.

    Excursions: how far the trade path went in favour (≥ 0) and against (≤ 0) while held, from the average cost of what
    was held just then: `mfe_price`, `mae_price` the prices' difference, `mfe_share`, `mae_share` over that cost, `mfe`,
    `mae` times what was held, quote units: the best and the worst open profit at trade prices, before fees. Each is the
    extreme over this trip alone; null where prices between fills were not looked at."""
    open: int
    """Positions without an end: no trips, so they are in no statistic."""


def round_trips(record: Record) -> Trades:
    """The round trips of ``record``, from its fills, funding and liquidations.

    Over a whole trip the average-cost profit is simply the cash that came in minus the cash that went out, so nothing
    but sums is carried from fill to fill. A fill that flips is cut in two at flat, its cash and fee in proportion.
    """
    if len(record.extremes) not in (0, len(record.fills)):
        raise Broken(f"{len(record.extremes)} extremes of {len(record.fills)} fills")
    try:
        return _told(record, TOGETHER)
    except Late:
        return _told(record, None)


def _told(record: Record, together: int | None) -> Trades:
    paid = {name: record.funding[name] for name in ("symbol", "seq", "payment")}
    lost = {name: record.liquidations[name] for name in ("symbol", "seq", "penalty", "insurance")}
    trips = [SymbolTrips(record, symbol, paid, lost) for symbol in range(len(record.symbols))]

    def pieces() -> Iterator[pl.DataFrame]:
        for batch in batches(record, together):
            frames = [frame for one in trips if (frame := one.take(batch)) is not None]
            if frames:
                # By exit; two trips of one symbol never end at the same place in the journal.
                yield pl.concat(frames).sort("seq_exit", "symbol").select(SCHEMA.names())

    try:
        table = LazyTable.kept(SCHEMA, pieces(), record.spool)
    except Late as late:
        if together is None:
            raise Broken(str(late)) from None
        raise
    return Trades(table, sum(one.is_open for one in trips))
