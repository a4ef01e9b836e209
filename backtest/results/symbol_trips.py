"""The round trips of one symbol, told while its fills come."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from backtest.core.enums import MICRO, Cause
from backtest.core.records import Record
from backtest.core.rows import Columns
from backtest.results.columns import TIME, Ints, money, number, times, words
from backtest.results.exit_reasons import WORDS
from backtest.results.fill_batches import Batch, cut_at_flat, of_symbol

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
ADDED = ("entered", "exited", "paid", "received", "realized", "fees")
"""Lots and micro that add up over a trip, of its fills."""
FAVOURABLE, ADVERSE = ("mfe", "mfe_price", "mfe_share"), ("mae", "mae_price", "mae_share")


class Late(Exception):
    """Something belongs to a trip that has been told already."""


class Row(NamedTuple):
    """Rows of funding or of liquidations: their places in the journal, and micro."""

    seq: Ints
    micro: Ints


class SymbolTrips:
    """Is fed the fills of all symbols in batches. Of the trip that is open only sums are kept between them."""

    def __init__(self, record: Record, symbol: int, paid: Columns, lost: Columns) -> None:
        """``paid``, ``lost``: columns of the record's funding and liquidations."""
        self._symbol, self._name = symbol, record.symbols[symbol]
        # All that was traded, in millionths of a cheap coin, may not fit 64 bits.
        self._step = float(record.step_micro[symbol])
        self._known = len(record.extremes) > 0
        self._held, self._cost = 0, 0
        """Lots, and what was bought and sold less what has been realised of it, at average cost that of the lots."""
        self._open: Columns = {}
        """The trip that is not over: one value of each kind."""
        mine, theirs = paid["symbol"] == symbol, lost["symbol"] == symbol
        self._rows = {
            "funding": Row(paid["seq"][mine], paid["payment"][mine]),
            "penalty": Row(lost["seq"][theirs], lost["penalty"][theirs]),
            "moved": Row(lost["seq"][theirs], lost["insurance"][theirs]),
        }

    @property
    def is_open(self) -> bool:
        """Whether a trip has not ended."""
        return bool(self._open)

    def take(self, batch: Batch) -> pl.DataFrame | None:
        """Return the trips that end in the batch, with `seq_exit`; None: nothing of the symbol is in it.

        Late where a row of the batch belongs to a trip of an earlier one that has ended.
        """
        fills = of_symbol(batch.columns, self._symbol)
        if not len(fills["seq"]):
            self._wait(batch)
            return None
        parts = cut_at_flat(fills, self._held)
        held = self._held + np.cumsum(parts["lots"])
        starts = np.flatnonzero(held == parts["lots"])  # flat before it
        starts = np.append(0, starts) if self._open else starts
        trips = self._sums(parts, held, starts) | self._excursions(fills, parts["row"], held, starts)
        ends = np.append(starts[1:], len(held)) - 1
        trips |= {f"{name}_exit": parts[name][ends] for name in ("seq", "ts_ms", "cause")}
        trips["reason"] = fills["reason"][parts["row"][ends]]
        if self._open:
            self._go_on(trips)
        for name in self._rows:
            trips[name] = trips.get(name, 0) + self._during(name, trips["seq"], batch)
        self._held = int(held[-1])
        self._cost += int((fills["realized"] - fills["quote"]).sum())
        self._open = {name: values[-1:] for name, values in trips.items()} if self._held else {}
        over = slice(None, -1) if self._held else slice(None)
        return self._frame({name: values[over] for name, values in trips.items()})

    def _wait(self, batch: Batch) -> None:
        """Take what came without a fill."""
        for name in self._rows:
            came = self._during(name, self._open["seq"] if self._open else np.empty(0, np.int64), batch)
            if self._open:
                self._open[name] = self._open[name] + came

    def _sums(self, parts: Columns, held: Ints, starts: Ints) -> Columns:
        """Of each trip, or what is here of it: where it began, lots and micro that add up, the most that was held."""
        lots, quote = np.abs(parts["lots"]), np.abs(parts["quote"])
        direction = np.sign(held[starts])
        if self._open:
            direction[:1] = self._open["direction"]
        sizes = np.diff(np.append(starts, len(held)))
        entering = np.sign(parts["lots"]) == np.repeat(direction, sizes)
        added = {
            "entered": lots * entering, "exited": lots * ~entering, "paid": quote * entering,
            "received": quote * ~entering, "realized": parts["quote"], "fees": parts["fee"],
        }  # fmt: skip
        return {
            "seq": parts["seq"][starts],
            "ts_entry": parts["ts_ms"][starts],
            "direction": direction,
            "most": np.maximum.reduceat(np.abs(held), starts),
            **{name: np.add.reduceat(values, starts) for name, values in added.items()},
        }

    def _go_on(self, trips: Columns) -> None:
        """Put the trip that was open together with its part here, which is the first."""
        before = self._open
        for name in ("seq", "ts_entry"):
            trips[name][:1] = before[name]
        trips["most"][:1] = np.maximum(trips["most"][:1], before["most"])
        for name in ADDED:
            trips[name][:1] += before[name]
        for names, most in ((FAVOURABLE, np.fmax), (ADVERSE, np.fmin)):
            for name in names if self._known else ():
                trips[name][:1] = most(trips[name][:1], before[name])
        for name in self._rows:
            trips[name] = np.zeros(len(trips["seq"]), np.int64)
            trips[name][:1] = before[name]

    def _during(self, name: str, first: Ints, batch: Batch) -> Ints:
        """Sum of the rows of the batch per trip; ``first``: places in the journal where the trips begin. A row belongs
        to the last trip begun before it: funding needs a position, and the penalty follows the closing fill before
        anything else can be opened."""
        rows = self._rows[name]
        some = slice(*np.searchsorted(rows.seq, (batch.from_seq, batch.until_seq)))
        # side="left": should a row share its seq with a fill that flips, funding was paid before the fill.
        trip = np.searchsorted(first, rows.seq[some], side="left") - 1
        if len(trip) and trip.min() < 0:
            raise Late(f"{name} of symbol {self._symbol} before its first fill: seq {rows.seq[some][0]}")
        total = np.zeros(len(first), dtype=np.int64)
        np.add.at(total, trip, rows.micro[some])
        return total

    def _excursions(self, fills: Columns, row: Ints, held: Ints, starts: Ints) -> Columns:
        """Best and worst of each trip over the stretches that begin with its parts; ``held`` lots after each part."""
        if not self._known:
            return {}
        cost = (self._cost + np.cumsum(fills["realized"] - fills["quote"]))[row]
        units = held * self._step
        # The part of a flip that closes leaves nothing, as does the end of a trip: what comes after it is another's.
        open_after = (held != 0) & (cost != 0)
        average = np.divide(cost, units, out=np.full(len(held), np.nan), where=open_after)
        sign, high, low = np.sign(held), fills["high"][row], fills["low"][row]
        found: Columns = {}
        for names, side, most in ((FAVOURABLE, sign, np.fmax), (ADVERSE, -sign, np.fmin)):
            gained = sign * (np.where(side > 0, high, low) - average)
            for name, values in zip(names, (gained * np.abs(units) / MICRO, gained, gained / average), strict=True):
                found[name] = most.reduceat(values, starts)
        return found

    def _frame(self, trips: Columns) -> pl.DataFrame:
        """Trips that are over."""
        step, penalty = self._step, trips["penalty"]
        insurance = penalty - trips["moved"]
        net = trips["realized"] - trips["fees"] + trips["funding"] - penalty + insurance
        return pl.DataFrame(
            {
                "symbol": pl.Series([self._name], dtype=TEXT).new_from_index(0, len(penalty)),
                "side": words((trips["direction"] < 0).astype(np.int64), ("long", "short")),
                "ts_entry": times(trips["ts_entry"]),
                "ts_exit": times(trips["ts_ms_exit"]),
                "qty": trips["most"] * step / MICRO,
                "entry_price": trips["paid"] / (trips["entered"] * step),  # micro of quote by micro of base
                "exit_price": trips["received"] / (np.maximum(trips["exited"], 1) * step),
                "realized": money(trips["realized"]),
                "fees": money(trips["fees"]),
                "funding": money(trips["funding"]),
                "net": money(net),
                "hold": (trips["ts_ms_exit"] - trips["ts_entry"]) / HOUR_MS,
                "exit_cause": words(trips["cause_exit"], [cause.name.lower() for cause in Cause]),
                "penalty": money(penalty),
                "insurance": money(insurance),
                "exit_reason": words(trips["reason"], WORDS),
                **{name: self._bounded(trips, name) for name in (*FAVOURABLE, *ADVERSE)},
                "seq_exit": trips["seq_exit"],
            }
        )

    def _bounded(self, trips: Columns, name: str) -> pl.Series:
        """An excursion, no worse than none at all; null where prices between fills were not looked at."""
        if not self._known:
            return pl.Series([None] * len(trips["seq"]), dtype=NUMBER)
        best = trips[name]
        bounded = np.fmax(best, 0.0) if name in FAVOURABLE else np.fmin(best, -0.0)
        return number(np.where(np.isnan(best), np.nan, bounded))
