"""Round trips: from flat, or from a flip, until flat again or flipped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO, Cause
from backtest.core.errors import Broken
from backtest.core.records import Record
from backtest.results.columns import TIME, Ints, money, number, times, words
from backtest.results.exit_reasons import WORDS, exits

TEXT, NUMBER = pl.String(), pl.Float64()
SCHEMA = pl.Schema(
    {
        "symbol": TEXT, "side": TEXT, "ts_entry": TIME, "ts_exit": TIME, "qty": NUMBER,
        "entry_price": NUMBER, "exit_price": NUMBER, "realized": NUMBER, "fees": NUMBER,
        "funding": NUMBER, "net": NUMBER, "hold": NUMBER, "exit_cause": TEXT,
        "penalty": NUMBER, "insurance": NUMBER, "exit_reason": TEXT,
        "mfe": NUMBER, "mae": NUMBER, "mfe_price": NUMBER, "mae_price": NUMBER, "mfe_share": NUMBER,
        "mae_share": NUMBER,
    }
)  # fmt: skip
HOUR_MS = 3_600_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trades:
    """Finished round trips, and how many positions are still open."""

    table: pl.DataFrame
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
    is carried from fill to fill. A fill that flips is cut in two at flat, its cash and fee in proportion.
    """
    frames, unfinished = [], 0
    reasons = exits(record)
    for symbol, name in enumerate(record.symbols):
        mine = np.flatnonzero(record.fills["symbol"] == symbol)
        if len(mine):
            trips = _trips_of(record, symbol, mine, reasons)
            unfinished += int((trips["left"] != 0).sum())
            frames.append(trips.filter(pl.col("left") == 0).with_columns(symbol=pl.lit(name)))
    if not frames:
        return Trades(SCHEMA.to_frame(), unfinished)
    # By exit; two trips of one symbol never end at the same place in the journal.
    table = pl.concat(frames).sort("seq_exit", "symbol").select(SCHEMA.names())
    return Trades(table, unfinished)


def cut_at_flat(fills: NDArray[np.void]) -> dict[str, Ints]:
    """Fills of one symbol with each flip as two: the part that closes, then the part that opens; ``fill`` their row."""
    after = np.cumsum(fills["lots"])
    before = after - fills["lots"]
    flips = np.flatnonzero(before * np.sign(after) < 0)
    twice = np.ones(len(fills), dtype=np.int64)
    twice[flips] = 2
    parts = {name: np.repeat(fills[name], twice) for name in ("seq", "ts_ms", "lots", "quote", "fee", "cause")}
    parts["fill"] = np.repeat(np.arange(len(fills)), twice)
    closing = flips + np.arange(len(flips))
    share = before[flips] / -fills["lots"][flips]
    for name in ("quote", "fee"):
        # The opening part is the rest, so the two always add up to the fill.
        first = np.rint(fills[name][flips] * share).astype(np.int64)
        parts[name][closing], parts[name][closing + 1] = first, fills[name][flips] - first
    parts["lots"][closing], parts["lots"][closing + 1] = -before[flips], after[flips]
    return parts


def _trips_of(record: Record, symbol: int, mine: Ints, reasons: Ints) -> pl.DataFrame:
    """Trips of one symbol, the unfinished last one included, with `left` lots and `seq_exit`; ``mine``: its fills."""
    fills = record.fills[mine]
    parts = cut_at_flat(fills)
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
    funding = _during(first, record.funding, symbol, "payment")
    penalty = _during(first, record.liquidations, symbol, "penalty")
    insurance = penalty - _during(first, record.liquidations, symbol, "insurance")
    step = float(record.step_micro[symbol])  # all that was traded, in millionths of a cheap coin, may not fit 64 bits
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
            "exit_reason": words(reasons[mine][parts["fill"][ends]], WORDS),
            **_excursions(record, mine, parts["fill"], starts, held),
            "left": held[ends],
            "seq_exit": parts["seq"][ends],
        }
    )


def _excursions(record: Record, mine: Ints, fill: Ints, starts: Ints, held: Ints) -> dict[str, pl.Series]:
    """Best and worst of each trip over the stretches that begin with its parts; ``held`` lots after each part."""
    names = ("mfe", "mae", "mfe_price", "mae_price", "mfe_share", "mae_share")
    if len(record.extremes) != len(record.fills):
        if len(record.extremes):
            raise Broken(f"{len(record.extremes)} extremes of {len(record.fills)} fills")
        return {name: pl.Series([None] * len(starts), dtype=pl.Float64) for name in names}
    fills, reached = record.fills[mine], record.extremes[mine][fill]
    # What the open lots cost at average is all that was bought and sold, less what has been realised of it.
    cost = np.cumsum(fills["realized"] - fills["quote"])[fill]
    units = held * record.step_micro[fills["symbol"][fill]].astype(np.float64)
    # The part of a flip that closes leaves nothing, as does the end of a trip: what comes after it is another trip's.
    open_after = (held != 0) & (cost != 0)
    average = np.divide(cost, units, out=np.full(len(held), np.nan), where=open_after)
    sign = np.sign(held)
    found: dict[str, pl.Series] = {}
    for name, side, bound, most in (("mfe", sign, 0.0, np.fmax), ("mae", -sign, -0.0, np.fmin)):
        price: Floats = np.where(side > 0, reached["high"], reached["low"])
        gained = sign * (price - average)
        for suffix, values in (("", gained * np.abs(units) / MICRO), ("_price", gained), ("_share", gained / average)):
            best = most.reduceat(values, starts)
            found[name + suffix] = number(np.where(np.isnan(best), np.nan, most(best, bound)))
    return found


def _during(first: Ints, rows: NDArray[np.void], symbol: int, name: str) -> Ints:
    """Sum of `name` per trip. A row belongs to the last trip begun before it: funding needs a position, and the penalty
    follows the closing fill before anything else can be opened."""
    mine = rows[rows["symbol"] == symbol]
    # side="left": should a row share its seq with a fill that flips, funding was paid before the fill.
    trip = np.searchsorted(first, mine["seq"], side="left") - 1
    if len(trip) and trip.min() < 0:
        raise Broken(f"{name} of symbol {symbol} before its first fill: {mine[trip < 0][0]}")
    total = np.zeros(len(first), dtype=np.int64)
    np.add.at(total, trip, mine[name])
    return total
