"""Round trips: from flat, or from a flip, until flat again or flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from backtest.results.columns import TIME, Ints, money, times, words
from backtest.schema import MICRO, Cause, Record

TEXT, NUMBER = pl.String(), pl.Float64()
SCHEMA = pl.Schema(
    {
        "symbol": TEXT, "side": TEXT, "ts_entry": TIME, "ts_exit": TIME, "qty": NUMBER,
        "entry_price": NUMBER, "exit_price": NUMBER, "realized": NUMBER, "fees": NUMBER,
        "funding": NUMBER, "net": NUMBER, "hold": NUMBER, "exit_cause": TEXT,
        "penalty": NUMBER, "insurance": NUMBER,
    }
)  # fmt: skip
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Trades:
    """Finished round trips, and how many positions are still open."""

    table: pl.DataFrame
    """One row per trip, by its exit. `side` long or short; `qty` the most that was held, base units, ≥ 0; `entry_price`
    and `exit_price` averages over all that was bought and sold, slippage in, fees out; `realized` without fees; `fees`
    ≥ 0; `funding` received while held; `penalty` ≥ 0 of its liquidation, all steps of it; `insurance` ≥ 0 paid by the
    insurance fund; `net = realized − fees + funding − penalty + insurance`; `hold` in hours; `exit_cause` of the last
    fill (strategy, liquidation, delisting, adl, guard). A loss beyond the pool's money is in `realized` in full: what
    others bore of it is the account's `bad_debt`, not the trip's."""
    open: int
    """Positions without an end: no trips, so they are in no statistic."""


def round_trips(record: Record) -> Trades:
    """The round trips of ``record``, from its fills, funding and liquidations.

    Over a whole trip the average-cost profit is simply the cash that came in minus the cash that went out, so nothing
    is carried from fill to fill. A fill that flips is cut in two at flat, its cash and fee in proportion.
    """
    frames, unfinished = [], 0
    for number, symbol in enumerate(record.symbols):
        mine = record.fills[record.fills["symbol"] == number]
        if len(mine):
            trips = _trips_of(record, number, mine)
            unfinished += int((trips["left"] != 0).sum())
            frames.append(trips.filter(pl.col("left") == 0).with_columns(symbol=pl.lit(symbol)))
    if not frames:
        return Trades(SCHEMA.to_frame(), unfinished)
    # By exit; two trips of one symbol never end at the same place in the journal.
    table = pl.concat(frames).sort("seq_exit", "symbol").select(SCHEMA.names())
    return Trades(table, unfinished)


def _cut_at_flat(fills: np.ndarray) -> dict[str, Ints]:
    """Fills of one symbol with each flip as two: the part that closes, then the part that opens."""
    after = np.cumsum(fills["lots"])
    before = after - fills["lots"]
    flips = np.flatnonzero(before * np.sign(after) < 0)
    twice = np.ones(len(fills), dtype=np.int64)
    twice[flips] = 2
    parts = {name: np.repeat(fills[name], twice) for name in ("seq", "ts_ms", "lots", "quote", "fee", "cause")}
    closing = flips + np.arange(len(flips))
    share = before[flips] / -fills["lots"][flips]
    for name in ("quote", "fee"):
        # The opening part is the rest, so the two always add up to the fill.
        first = np.rint(fills[name][flips] * share).astype(np.int64)
        parts[name][closing], parts[name][closing + 1] = first, fills[name][flips] - first
    parts["lots"][closing], parts["lots"][closing + 1] = -before[flips], after[flips]
    return parts


def _trips_of(record: Record, number: int, fills: np.ndarray) -> pl.DataFrame:
    """Trips of one symbol, the unfinished last one included, with `left` lots and `seq_exit`."""
    parts = _cut_at_flat(fills)
    lots, held = parts["lots"], np.cumsum(parts["lots"])
    starts = np.flatnonzero(held == lots)  # flat before it
    ends = np.append(starts[1:], len(lots)) - 1
    direction = np.sign(lots[starts])
    entering = np.sign(lots) == np.repeat(direction, ends - starts + 1)

    def total(values: Ints) -> Ints:
        return np.add.reduceat(values, starts)

    entered, exited = total(np.abs(lots) * entering), total(np.abs(lots) * ~entering)
    paid, received = total(np.abs(parts["quote"]) * entering), total(np.abs(parts["quote"]) * ~entering)
    realized, fees = total(parts["quote"]), total(parts["fee"])
    first = parts["seq"][starts]
    funding = _during(first, record.funding, number, "payment")
    penalty = _during(first, record.liquidations, number, "penalty")
    insurance = penalty - _during(first, record.liquidations, number, "insurance")
    step = float(record.step_micro[number])  # all that was traded, in millionths of a cheap coin, may not fit 64 bits
    return pl.DataFrame(
        {
            "side": words((direction < 0).astype(np.int64), ("long", "short")),
            "ts_entry": times(parts["ts_ms"][starts]),
            "ts_exit": times(parts["ts_ms"][ends]),
            "qty": np.maximum.reduceat(np.abs(held), starts) * step / MICRO,
            "entry_price": paid / (entered * step),  # micro of quote by micro of base
            "exit_price": received / (np.maximum(exited, 1) * step),
            "realized": money(realized),
            "fees": money(fees),
            "funding": money(funding),
            "net": money(realized - fees + funding - penalty + insurance),
            "hold": (parts["ts_ms"][ends] - parts["ts_ms"][starts]) / HOUR_MS,
            "exit_cause": words(parts["cause"][ends], [cause.name.lower() for cause in Cause]),
            "penalty": money(penalty),
            "insurance": money(insurance),
            "left": held[ends],
            "seq_exit": parts["seq"][ends],
        }
    )


def _during(first: Ints, rows: np.ndarray, number: int, name: str) -> Ints:
    """Sum of `name` per trip. A row belongs to the last trip begun before it: funding needs a position, and the penalty
    follows the closing fill before anything else can be opened."""
    mine = rows[rows["symbol"] == number]
    # side="left": should a row share its seq with a fill that flips, funding was paid before the fill.
    trip = np.searchsorted(first, mine["seq"], side="left") - 1
    assert not len(trip) or trip.min() >= 0, f"{name} of symbol {number} before its first fill: {mine[trip < 0][0]}"
    total = np.zeros(len(first), dtype=np.int64)
    np.add.at(total, trip, mine[name])
    return total
