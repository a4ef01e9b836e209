"""`account`: what a strategy owns, and what it can do."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from backtest.engine import layout as at
from backtest.engine.money import lots_for
from backtest.engine.replay import Replay, to_micro
from backtest.engine.send import decision_price
from backtest.errors import UserError, nearest
from backtest.feed.times import stamp
from backtest.schema import MICRO, Reason
from backtest.strategy.market import unknown

MOST = 1e12
"""Largest size that is looked at: in millionths it still fits 64 bits, and no market has as much to trade."""
LEAST_LEVERAGE = 0.01
"""Below it initial margin would be more than a hundred times the notional."""


NUMBERS = (int, float, np.number)


class Position(NamedTuple):
    """A position at the last close; base and quote units."""

    symbol: str
    qty: float
    """Signed, long positive; 0.0: none."""
    entry_price: float
    """Average cost; NaN: no position."""
    mark: float
    notional: float
    """Signed, at the mark."""
    unrealized: float
    liquidation_price: float
    """Mark at which its pool would be liquidated with all other marks as they are; NaN: there is none."""


class Order(NamedTuple):
    """An order that has not ended."""

    order_id: int
    symbol: str
    qty: float
    reduce_only: bool
    ts_sent_ms: int
    waiting: bool
    """True: at the venue, waiting for the market to trade. False: on its way."""


class Account:
    """One account at the close of a candle. Money in quote units, quantities in base units.

    Orders are sent at the candle's close and arrive after the latency of the run. What cannot be an order at all (an
    unknown market, one that is not listed, a number that is not finite) raises; what the venue refuses is
    in the table of orders with its reason.
    """

    reserve = 0.0
    """Money outside of the venue. Transfers are not part of this version: always 0."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._index = {name: i for i, name in enumerate(replay.setup.symbols)}
        self._first, self._last = replay.setup.first_row.tolist(), replay.setup.last_row.tolist()

    def _now(self, column: int) -> float:
        return float(self._replay.state()[column])

    @property
    def equity(self) -> float:
        """Cash and positions at the mark."""
        return self._now(0)

    @property
    def wallet(self) -> float:
        """Cash at the venue, what isolated pools hold included; equity less unrealised profit."""
        return self._now(1)

    @property
    def initial_margin(self) -> float:
        """Initial requirement of the open positions."""
        return self._now(3)

    @property
    def maintenance_margin(self) -> float:
        """Maintenance requirement of the open positions."""
        return self._now(4)

    @property
    def margin_ratio(self) -> float:
        """Maintenance margin over equity: 0 without a position, liquidation at 1; NaN when equity is not positive."""
        equity = self.equity
        return self.maintenance_margin / equity if equity > 0 else math.nan

    @property
    def free_collateral(self) -> float:
        """Equity less initial margin."""
        return self.equity - self.initial_margin

    @property
    def leverage(self) -> float:
        """Gross notional over equity; NaN when equity is not positive."""
        equity = self.equity
        return self._now(5) / equity if equity > 0 else math.nan

    def position(self, symbol: str) -> Position:
        """The position in a market, also when there is none."""
        replay, i = self._replay, self._at(symbol)
        lots = int(replay.book[i, at.LOTS])
        mark = float(replay.panel[replay.setup.known_field, replay.j, i]) if replay.row else math.nan
        if lots == 0:
            return Position(symbol, 0.0, math.nan, mark, 0.0, 0.0, math.nan)
        qty = lots * int(replay.setup.step_micro[i]) / MICRO
        cost = int(replay.book[i, at.COST]) / MICRO
        notional = qty * mark
        return Position(symbol, qty, cost / qty, mark, notional, notional - cost, replay.liquidation_price(i))

    @property
    def positions(self) -> tuple[Position, ...]:
        """Every open position, by symbol."""
        return tuple(self.position(name) for name, i in self._index.items() if self._replay.book[i, at.LOTS])

    @property
    def orders(self) -> tuple[Order, ...]:
        """Orders that have not ended, in the order sent."""
        setup = self._replay.setup
        found = []
        for m in self._replay.pending():
            if m[at.KIND] == at.ORDER:
                i = int(m[at.SYMBOL])
                qty = int(m[at.SIZE]) * int(setup.step_micro[i]) / MICRO
                sent, waits = int(m[at.SENT]), bool(m[at.WAITS])
                found.append(Order(int(m[at.ID]), setup.symbols[i], qty, bool(m[at.REDUCE_ONLY]), sent, waits))
        return tuple(found)

    def buy(
        self, symbol: str, qty: float | None = None, *, notional: float | None = None, reduce_only: bool = False
    ) -> int:
        """Send a market order to buy ``qty`` base, or ``notional`` quote at the last price; returns its number."""
        return self._send(symbol, 1, qty, notional, reduce_only)

    def sell(
        self, symbol: str, qty: float | None = None, *, notional: float | None = None, reduce_only: bool = False
    ) -> int:
        """Send a market order to sell; as `buy`."""
        return self._send(symbol, -1, qty, notional, reduce_only)

    def close(self, symbol: str) -> int | None:
        """Send a reduce-only order for the whole position; None if there is none."""
        i = self._tradable(symbol)
        lots = int(self._replay.book[i, at.LOTS])
        return self._replay.send(i, -lots, reduce_only=True) if lots else None

    def target(
        self,
        symbol: str,
        *,
        weight: float | None = None,
        qty: float | None = None,
        notional: float | None = None,
        reduce_only: bool = False,
    ) -> int | None:
        """Send what is missing to a position of ``weight`` times equity, ``qty`` base or ``notional`` quote, signed.

        Orders on their way are counted as held. Sizes are rounded down to whole lots. Returns the order's number,
        None if nothing is missing.
        """
        asked = ((at.WEIGHT, weight), (at.TARGET_LOTS, qty), (at.NOTIONAL, notional))
        given = [(kind, amount) for kind, amount in asked if amount is not None]
        if len(given) != 1:
            raise UserError("a target needs exactly one of weight, qty and notional", f"account.target({symbol!r})")
        kind, amount = given[0]
        i = self._tradable(symbol)
        self._finite(symbol, amount)
        if kind == at.TARGET_LOTS:
            amount = float(self._lots(i, amount))
        elif kind == at.NOTIONAL:
            amount = float(to_micro(amount))
        return self._replay.target(i, kind, amount, reduce_only)

    def cancel(self, order_id: int) -> None:
        """Send a cancel. It travels like an order and acts only on an order that waits at the venue by then."""
        self._replay.cancel(int(order_id))

    def set_leverage(self, symbol: str, leverage: float) -> None:
        """Ask for initial margin of at least notional / leverage from now on; maintenance does not change."""
        self._finite(symbol, leverage, f"account.set_leverage({symbol!r})")
        if leverage < LEAST_LEVERAGE:
            remedy = f"give a number from {LEAST_LEVERAGE:g}"
            raise UserError(f"leverage {leverage:g}", f"account.set_leverage({symbol!r})", remedy)
        self._replay.set_leverage(self._at(symbol), leverage)

    def set_margin_mode(self, symbol: str, mode: str) -> bool:
        """Give a market a pool of its own (``"isolated"``) or put it into the cross pool (``"cross"``).

        False while the account has a position or an unfinished order in it. Beside portfolio margin too an isolated
        market has a pool of its own, required by the market's own tiers.
        """
        if mode not in ("cross", "isolated"):
            place = f"account.set_margin_mode({symbol!r})"
            raise UserError(f"unknown margin mode {mode!r}", place, nearest(str(mode), ("cross", "isolated")))
        return self._replay.set_mode(self._at(symbol), mode == "isolated")

    def add_margin(self, symbol: str, amount: float) -> bool:
        """Move money from the wallet to an isolated position's pool; False if there is no such pool or not so much."""
        self._finite(symbol, amount, f"account.add_margin({symbol!r})")
        return self._replay.add_margin(self._at(symbol), to_micro(amount))

    # ---------------------------------------------------------------------------------------------------------------

    def _send(self, symbol: str, sign: int, qty: float | None, notional: float | None, reduce_only: bool) -> int:
        if (qty is None) == (notional is None):
            raise UserError("an order needs either qty or notional", f"order for {symbol!r}", "give one of them")
        i = self._tradable(symbol)
        amount = qty if qty is not None else notional
        assert amount is not None
        self._finite(symbol, amount)
        if amount <= 0:
            raise UserError(f"size {amount:g}", f"order for {symbol}", "give a size above 0; buy and sell say the side")
        if qty is not None:
            lots = self._lots(i, qty)
        else:
            replay = self._replay
            price = decision_price(replay.world(), replay.j, i)
            lots = int(lots_for(to_micro(amount), price, int(replay.setup.step_micro[i])))
        if lots == 0:
            return self._replay.refuse(i, Reason.STEP)
        return self._replay.send(i, sign * lots, reduce_only)

    def _lots(self, i: int, qty: float) -> int:
        """Whole lots in ``qty`` base units, towards zero. The quantity is read to the nearest millionth, so that 0.3
        is three lots of 0.1."""
        lots = abs(to_micro(qty)) // int(self._replay.setup.step_micro[i])
        return lots if qty > 0 else -lots

    def _at(self, symbol: str) -> int:
        try:
            return self._index[symbol]
        except KeyError:
            raise unknown(symbol, self._index) from None

    def _tradable(self, symbol: str) -> int:
        """The number of a symbol that lives now: listed, and with candles still to come."""
        i, setup, row = self._at(symbol), self._replay.setup, self._replay.row
        # At its last candle nobody knows yet that it is the last: the venue refuses that order (delisted).
        if not self._first[i] < row <= self._last[i] + 1:
            first = stamp(setup.start_ms + int(setup.first_row[i]) * setup.interval_ms)
            last = stamp(setup.start_ms + (int(setup.last_row[i]) + 1) * setup.interval_ms)
            remedy = f"its candles go from {first} to {last}; trade what is in market.symbols"
            raise UserError(f"{symbol} does not trade now", "order", remedy)
        return i

    def _finite(self, symbol: str, amount: float, what: str = "") -> None:
        if not isinstance(amount, NUMBERS) or not math.isfinite(amount):
            thing = f"size {amount!r} is not a finite number"
            raise UserError(thing, what or f"order for {symbol}", "check the strategy's sums")
        if abs(amount) > MOST:
            raise UserError(f"size {amount:g} is beyond all bounds", f"order for {symbol}", f"give at most {MOST:g}")
