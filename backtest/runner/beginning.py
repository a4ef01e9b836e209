"""How a run begins with positions: what the account holds at the first instant, and what is said of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from backtest.calculator.book import Book
from backtest.calculator.held_book import book_of
from backtest.calculator.position import legs_of, own_terms
from backtest.core.enums import CROSS_POOL, MICRO, Cause
from backtest.core.errors import UserError, nearest
from backtest.core.held_book import HeldBook
from backtest.core.margin_ratio import ratio_of
from backtest.core.records import Record
from backtest.core.times import EPOCH, stamp
from backtest.data.first_marks import first_marks
from backtest.data.selection import Selection
from backtest.engine.opening import Opening
from backtest.engine.replay import to_micro
from backtest.report.formatting import listing, number, plural
from backtest.runner.settings import MAX, MINIMUM, RunSettings
from backtest.strategy.rounding import whole_parts
from backtest.venues.margin_pool import Held
from backtest.venues.profile import Profile
from backtest.venues.terms import Contract

RATES = ("initial", "maintenance", "deduction", "initial_deduction", "penalty", "beta", "idio")
"""What a position may say instead of the venue."""


@dataclass(frozen=True)
class Beginning:
    """The positions of a run, held against its data and its venue."""

    held: HeldBook
    asked: RunSettings
    selection: Selection
    profile: Profile
    marks: Mapping[str, float]
    """The mark at the run's first open, by symbol."""

    def openings(self, margin: str) -> tuple[Opening, ...]:
        """Return the positions of an account in this margin mode, by symbol; UserError for one that cannot be."""
        legs = {leg.symbol: leg for leg in legs_of(self._book(margin), self.profile)} if self._entered else {}
        found = []
        for row in self.held.rows:
            symbol = str(row["symbol"])
            i = self.selection.symbols.index(symbol)
            leverage = float(row["leverage"]) if "leverage" in row else None
            lots = self._lots(row, int(self.selection.step_micro[i]))
            if symbol in legs:
                leg = legs[symbol]
                found.append(Opening(i, lots, float(row["entry"]), leg.cost_micro, leg.posted_micro, leverage))
            else:
                found.append(Opening(i, lots, leverage=leverage))
        return tuple(found)

    def contract(self, contract: Contract) -> Contract:
        """Return the contract with the rates that positions have instead of the venue's."""
        own = [row for row in self.held.rows if any(name in row for name in RATES)]
        if not own:
            return contract
        day = self._day
        entered = replace(self.held, rows=tuple({**row, "entry": row.get("entry", 1.0)} for row in own))
        book = book_of(entered, self.profile.name, "cross", 0.0, day, self.marks, {})
        terms = dict(contract.terms)
        for position in book.positions:
            terms[position.symbol] = tuple(own_terms(book, position, one) for one in terms[position.symbol])
        return replace(contract, terms=terms)

    @property
    def _day(self) -> dt.date:
        """Whose terms hold at the first instant."""
        return (EPOCH + dt.timedelta(milliseconds=self.selection.start_ms)).date()

    @property
    def _entered(self) -> bool:
        return any("entry" in row for row in self.held.rows)

    def _lots(self, row: Mapping[str, Any], step: int) -> int:
        lots = whole_parts(float(row["qty"]), step)
        if lots * step != to_micro(float(row["qty"])):
            thing = f"{row['symbol']}: qty {float(row['qty']):.15g} is not a multiple of the market's step"
            raise UserError(thing, self.held.place, f"give {lots * step / MICRO:.15g}: the step is {step / MICRO:g}")
        return lots

    def _book(self, margin: str) -> Book:
        day = self._day
        modes = self.asked.modes
        rows = tuple({**row, **_mode(row, modes)} for row in self.held.rows if "entry" in row)
        book = replace(self.held, rows=rows)
        each = {str(row["symbol"]): self._posted(row, margin) for row in rows}
        return book_of(book, self.profile.name, margin, self.asked.cash, day, self.marks, each)

    def _posted(self, row: Mapping[str, Any], margin: str) -> dict[str, Any]:
        """What an isolated position has by the run's settings, where its file does not say it."""
        asked = self.asked
        if row.get("mode", margin) != "isolated":
            return {}
        amount = asked.posted_amount(len(self.selection.symbols))
        if amount is not None:
            return {"posted": amount}
        if "leverage" in row:
            return {}
        if asked.isolated_margin == MINIMUM or asked.leverage == MAX:
            return {"posted": self._minimum(row)}
        return {"leverage": float(asked.leverage)} if asked.leverage is not None else {}

    def _minimum(self, row: Mapping[str, Any]) -> float:
        """The venue's initial margin at the entry, quote units."""
        symbol, day = str(row["symbol"]), self._day
        units, entry = to_micro(float(row["qty"])), float(row["entry"])
        return Held(symbol, units, entry, self.profile.terms(symbol, day), entry).initial / MICRO


def _mode(row: Mapping[str, Any], modes: Mapping[str, str]) -> dict[str, Any]:
    """The market's margin mode where the run sets one, which then is the position's."""
    symbol = str(row["symbol"])
    return {"mode": modes[symbol]} if symbol in modes else {}


def beginning(asked: RunSettings, selection: Selection, profile: Profile) -> Beginning | None:
    """Return how a run of these settings begins; None: with cash alone. UserError where a position has no price."""
    held = asked.positions
    if held is None:
        return None
    marks = first_marks(selection)
    for symbol in held.symbols:
        if symbol not in marks:
            i = selection.symbols.index(symbol)
            first = stamp(selection.start_ms + int(selection.first_row[i]) * selection.interval_ms)
            thing = f"{symbol} has no price at the start of the run, {stamp(selection.start_ms)}"
            raise UserError(thing, held.place, f"start at its first candle, --start {first}")
    return Beginning(held, asked, selection, profile, marks)


def check_held(held: HeldBook, known: tuple[str, ...], where: str) -> None:
    """UserError for a position in a market that is not there."""
    for symbol in held.symbols:
        if symbol not in known:
            raise UserError(f"{symbol} is not {where}", held.place, nearest(symbol, known))


def opening_notes(asked: RunSettings, record: Record, quote: str) -> list[str]:
    """Return sentences on the positions at the start."""
    held = asked.positions
    if held is None:
        return []
    rows = held.rows
    entered = [str(row["symbol"]) for row in rows if "entry" in row]
    bought = [str(row["symbol"]) for row in rows if "entry" not in row]
    own = [str(row["symbol"]) for row in rows if any(name in row for name in RATES)]
    said = []
    if entered:
        profit = number(int(record.opening_profit.sum()) / MICRO, 2)
        said.append(
            f"{plural(len(entered), 'position')} held from the start ({listing(entered)}), without an order or a fee; "
            f"their unrealized P&L until then, {profit} {quote}, is part of the equity at the start, not of the result."
        )
    if bought:
        said.append(f"{plural(len(bought), 'position')} opened at the first open ({listing(bought)}).")
    if own:
        said.append(f"Margin rates of the positions file replace the venue's for {listing(own)}.")
    return said


def opening_figures(record: Record) -> dict[str, Any] | None:
    """Return what the account was at the first instant, quote units; None: it began with cash alone."""
    if not len(record.opening_pools):
        return None
    pools = [
        {
            "pool": "cross" if row["pool"] == CROSS_POOL else record.symbols[row["pool"]],
            **{name: int(row[name]) / MICRO for name in ("equity", "initial", "maintenance")},
        }
        for row in record.opening_pools
    ]
    equity, initial, least = (int(record.opening_pools[n].sum()) for n in ("equity", "initial", "maintenance"))
    placed = record.fills[record.fills["cause"] == Cause.OPENING]
    return {
        "ts_ms": record.start_ms,
        "equity": equity / MICRO,
        "initial_margin": initial / MICRO,
        "maintenance_margin": least / MICRO,
        "free_collateral": (equity - initial) / MICRO,
        "margin_ratio": ratio_of(least, equity),
        "pools": pools,
        "positions": [
            {
                "symbol": record.symbols[row["symbol"]],
                "qty": int(row["lots"]) * int(record.step_micro[row["symbol"]]) / MICRO,
                "entry": float(row["price"]),
                "unrealized": int(record.opening_profit[row["symbol"]]) / MICRO,
            }
            for row in placed
        ],
    }
