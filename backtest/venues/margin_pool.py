"""One margin pool at one instant: its cash and positions, what they require, and what a liquidation of it costs whom.

Exact: money is whole micro-units of the quote, a position is signed micro-units of the base (a fraction of one where
the venue's grid is finer), a price is a double or a fraction. Pure: nothing here changes, `after` makes a new pool.

A market with `terms.CeilRates` truncates a value toward zero; every other rounds it to the nearest, ties to even.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from backtest.core.errors import Broken
from backtest.venues import requirement
from backtest.venues.requirement import Exact, decimal, magnitude, share
from backtest.venues.terms import Law, Portfolio, Price, Terms
from backtest.venues.zero_crossing import Line, crossing


@dataclass(frozen=True)
class Held:
    """One position."""

    symbol: str
    units: Exact
    """Signed micro-units of the base, long positive."""
    mark: float | Fraction
    terms: Terms
    entry: float | Fraction | None = None
    leverage: float | None = None
    nearest: bool = False
    """Values are rounded to the nearest micro-unit at every venue, as a run counts them."""

    def value_at(self, price: float | Fraction) -> int:
        """Signed value at a price, micro."""
        if self.terms.ceil is not None and not self.nearest:
            return int(decimal(price) * self.units)
        return round(Fraction(price) * self.units)

    @property
    def value_micro(self) -> int:
        """Signed value at the mark."""
        return self.value_at(self.mark)

    @property
    def notional_micro(self) -> int:
        """Unsigned value at the mark."""
        return abs(self.value_micro)

    @property
    def initial(self) -> int:
        """Initial requirement, micro."""
        return requirement.initial(self.terms, self.notional_micro, self.units, self.leverage)

    @property
    def maintenance(self) -> int:
        """Maintenance requirement, micro."""
        return requirement.maintenance(self.terms, self.notional_micro, self.units)

    @property
    def unrealized_micro(self) -> int | None:
        """Profit since the entry; None where the entry is not known."""
        return None if self.entry is None else self.value_micro - self.value_at(self.entry)

    def reduced(self, units_closed: Exact) -> Self:
        """The position after ``units_closed`` (unsigned) of it are closed."""
        if not 0 < units_closed <= magnitude(self.units):
            raise Broken("a close is larger than the position")
        return replace(self, units=self.units - units_closed if self.units > 0 else self.units + units_closed)


@dataclass(frozen=True)
class Pool:
    """Collateral and positions that are judged together."""

    cash_micro: Exact
    """Such that equity is cash plus the values: a long has paid for its value, a short has been paid."""
    positions: tuple[Held, ...] = ()
    portfolio: Portfolio | None = None

    @classmethod
    def of(cls, wallet_micro: Exact, positions: Iterable[Held], portfolio: Portfolio | None = None) -> Self:
        """A pool with a wallet, positions having been opened at their entries."""
        held = tuple(positions)
        paid = 0
        for position in held:
            if position.entry is None:
                raise Broken(f"{position.symbol} has no entry")
            paid += position.value_at(position.entry)
        return cls(wallet_micro - paid, held, portfolio)

    @classmethod
    def isolated(cls, position: Held, posted_micro: Exact | None = None) -> Self:
        """The pool of one position and what was posted for it: by default ``|entry value| / leverage``."""
        if posted_micro is None:
            if position.entry is None:
                raise Broken(f"{position.symbol} has no entry")
            if not position.leverage:
                raise Broken(f"{position.symbol} has no leverage")
            posted_micro = share(abs(position.value_at(position.entry)), 1 / decimal(position.leverage))
        return cls.of(posted_micro, [position])

    def position(self, symbol: str) -> Held:
        """The position of a symbol."""
        return next(held for held in self.positions if held.symbol == symbol)

    @property
    def equity(self) -> int:
        """Cash plus values, micro."""
        return round(self.cash_micro) + sum(held.value_micro for held in self.positions)

    @property
    def initial(self) -> int:
        """Initial requirement of the whole pool, micro."""
        own = sum(held.initial for held in self.positions)
        rule = self.portfolio
        return own if rule is None else self._netted(rule, own, rule.scan_initial, 1.0)

    @property
    def maintenance(self) -> int:
        """Maintenance requirement of the whole pool, micro."""
        rule = self.portfolio
        own = self._own_maintenance
        return own if rule is None else self._netted(rule, own, rule.scan_maintenance, rule.idio_maintenance)

    @property
    def _own_maintenance(self) -> int:
        return sum(held.maintenance for held in self.positions)

    def _netted(self, rule: Portfolio, own: int, scan: float, idio_share: float) -> int:
        """`terms.Portfolio`; one rounding per position and per share, so that integers alone can repeat it."""
        moved = sum(share(held.value_micro, held.terms.beta) for held in self.positions)
        alone = sum(share(held.notional_micro, held.terms.idio * idio_share) for held in self.positions)
        return max(share(own, rule.floor), share(abs(moved), scan) + alone)

    @property
    def free_collateral(self) -> int:
        """Equity less the initial requirement."""
        return self.equity - self.initial

    @property
    def health(self) -> int:
        """Equity less the maintenance requirement."""
        return self.equity - self.maintenance

    @property
    def margin_ratio(self) -> float | None:
        """Maintenance over equity: 1 at the edge. None where there is no equity."""
        return self.maintenance / self.equity if self.equity > 0 else None

    @property
    def liquidatable(self) -> bool:
        """Equity below maintenance, strictly; what requires nothing is never liquidated, however deep in debt."""
        return self.maintenance > 0 and self.health < 0

    def liquidation_price(self, symbol: str, fee: float | Fraction = 0, at_entry: bool = False) -> float | None:
        """The price of one symbol, the others' frozen, at which equity equals maintenance; None if no price does.

        ``fee``: the closing fee, required beside maintenance (share of the value). ``at_entry``: maintenance is
        that of the value at entry and does not move with the price. Of a pool that is liquidatable already it is the
        price that would make it healthy. Each venue prints this equation solved for its own rule (venues.md).
        """
        held = self.position(symbol)
        price = crossing(self._health_lines(held, Fraction(fee), at_entry), held.units > 0)
        return None if price is None else float(price)

    def _health_lines(self, held: Held, fee: Fraction, at_entry: bool) -> Iterator[Line]:
        """Straight lines in the price of ``held`` whose lowest is the pool's health, unrounded."""
        others = [other for other in self.positions if other is not held]
        size = Fraction(magnitude(held.units))
        slope = held.units - size * fee
        start = Fraction(self.cash_micro) + sum(other.value_micro for other in others)
        required = sum(other.maintenance for other in others)
        own = requirement.maintenance_lines(held.terms, held.units)
        if at_entry:
            if held.entry is None:
                raise Broken(f"{held.symbol} has no entry")
            value = size * decimal(held.entry)
            own_at_entry = max(rate * value - deduction for rate, deduction in own)
            yield Line(slope, start - required - own_at_entry)
            return
        rule = self.portfolio
        floor = Fraction(1) if rule is None else Fraction(rule.floor)
        for rate, deduction in own:
            yield Line(slope - floor * rate * size, start - floor * (required - deduction))
        if rule is None:
            return
        moved = sum(share(other.value_micro, other.terms.beta) for other in others)
        alone = sum(share(other.notional_micro, other.terms.idio) for other in others)
        scan, idio = Fraction(rule.scan_maintenance), Fraction(rule.idio_maintenance)
        for sign in (1, -1):
            rises = sign * scan * Fraction(held.terms.beta) * held.units + idio * Fraction(held.terms.idio) * size
            yield Line(slope - rises, start - sign * scan * moved - idio * alone)

    def zero_equity_price(self, symbol: str) -> float | None:
        """Return the price of one symbol, the others' frozen, at which equity is zero; None if it is not above zero.

        It lies beyond the liquidation price, on the side that hurts the position.
        """
        held = self.position(symbol)
        price = (held.value_micro - Fraction(self.equity)) / held.units
        return float(price) if price > 0 else None

    def bankruptcy_price(self, symbol: str) -> float | None:
        """The price at which the whole position closes for its share of the equity and no more; None if not above zero.

        ``mark × (1 ∓ mmf × equity / maintenance)`` for a long (a short): equity is shared out by own maintenance.
        """
        held = self.position(symbol)
        weight = self._own_maintenance
        if weight == 0:
            return None
        price = (held.value_micro - Fraction(self.equity * held.maintenance, weight)) / held.units
        return float(price) if price > 0 else None

    def bankruptcy_quote(self, symbol: str, units_closed: Exact, floored: bool = False) -> int:
        """Signed quote that leaves the pool as healthy as it was, for closing ``units_closed`` (unsigned).

        ``−Δvalue − ⌊equity × |Δmaintenance| / Σ maintenance⌋``, positive: received. Rounded toward plus infinity, so
        that no insurance money is needed at it. ``floored``: a close is never paid for from the wrong side (a long
        never pays to be rid of its position, nor is a short paid); else a rich pool's price may be below zero.
        """
        held = self.position(symbol)
        rest = held.reduced(units_closed)
        freed = held.maintenance - rest.maintenance
        weight = self._own_maintenance
        part = math.floor(Fraction(self.equity * freed, weight)) if weight else 0
        quote = held.value_micro - rest.value_micro - part
        if not floored:
            return quote
        return max(0, quote) if held.units > 0 else min(0, quote)

    def bankruptcy_rating(self, law: Law) -> Fraction:
        """How far into a liquidation the pool is: ``clamp(adjustment × (1 − equity / maintenance), 0, 1)``."""
        total = self.maintenance
        worse = 1 - Fraction(self.equity, total) if total else Fraction(0)
        return min(Fraction(1), max(Fraction(0), decimal(law.bankruptcy_adjustment) * worse))

    def fillable_price(self, symbol: str, law: Law) -> float:
        """The worst price a liquidation of the position may fill at.

        ``(value − rating × spread × own maintenance) / size`` of the whole position, even when part of it is
        closed: below the mark for a long, above it for a short.
        """
        held = self.position(symbol)
        distance = self.bankruptcy_rating(law) * decimal(law.spread_to_maintenance) * held.maintenance
        return float((held.value_micro - distance) / held.units)

    def insurance_delta(self, symbol: str, units_closed: Exact, fill_quote_micro: int, law: Law) -> int:
        """What a fill moves to the insurance fund, micro; negative: the fund pays.

        With ``x = fill − bankruptcy quote``: below zero it is ``x`` where the law bounds a fill by the bankruptcy
        price, else nothing. Above: all of ``x`` where the price is the bankruptcy price, else
        ``min(penalty × |fill|, x)``.
        """
        excess = fill_quote_micro - self.bankruptcy_quote(symbol, units_closed)
        at_bankruptcy = law.price == Price.BANKRUPTCY
        if excess <= 0:
            return excess if law.bounded or at_bankruptcy else 0
        if at_bankruptcy:
            return excess
        terms = self.position(symbol).terms
        # A market that rounds its requirements up rounds the fee down: never more than the share.
        exact = decimal(terms.penalty) * abs(fill_quote_micro)
        fee = math.floor(exact) if terms.ceil is not None else share(abs(fill_quote_micro), terms.penalty)
        return min(fee, excess)

    def after(self, symbol: str, units_closed: Exact, fill_quote_micro: int, insurance_micro: int) -> Self:
        """The pool after a close: the signed quote received, less what went to the fund."""
        rest = self.position(symbol).reduced(units_closed)
        return self.holding(rest, fill_quote_micro - insurance_micro)

    def holding(self, held: Held, received_micro: int) -> Self:
        """The pool with that position in place of its symbol's, and cash changed; a position of nothing is dropped."""
        kept = [held if other.symbol == held.symbol else other for other in self.positions]
        if all(other.symbol != held.symbol for other in self.positions):
            kept.append(held)
        positions = tuple(other for other in kept if other.units)
        return replace(self, cash_micro=self.cash_micro + received_micro, positions=positions)
