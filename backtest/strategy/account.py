"""`account`: what a strategy owns (`Holdings`), and what it can do."""

from __future__ import annotations

import math
from typing import Literal, Never, Unpack

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import OrderType, Reason, TransferKind
from backtest.core.errors import UserError, nearest
from backtest.engine import layout as at
from backtest.engine.money import lots_for
from backtest.engine.replay import to_micro
from backtest.engine.send import decision_price
from backtest.engine.ticket import Ticket
from backtest.strategy.holdings import Holdings
from backtest.strategy.literal_types import MarginModeName, TifName
from backtest.strategy.order import MOST, NUMBERS, Order, Prices, Terms, When
from backtest.strategy.rounding import bad_size, rises, whole_parts
from backtest.strategy.routes import route_number
from backtest.strategy.session import replay_of, session_of, settled

LEAST_LEVERAGE = 0.01
"""Below it initial margin would be more than a hundred times the notional."""
NOTHING = 1e-9
"""Base units that are less than a lot anywhere."""


class Account(Holdings):
    """One account at the close of a candle. Money in quote units, quantities in base units.

    Orders are sent at the candle's close and arrive after the latency of the run. Quantities are rounded down to
    whole lots, prices to the market's tick, to the side that is no better for the order. What cannot be an order at
    all (an unknown market, one that is not listed, words that contradict each other) raises; what has a size or a
    price that no order can have, and what the venue refuses, is in the table of orders with its reason.
    """

    # What comes in for a market order without more, the order of every target strategy, goes to the engine by the
    # shortest way; all else is an `Order` first.

    def buy(
        self,
        symbol: str,
        qty: float | None = None,
        *,
        notional: float | None = None,
        reduce_only: bool = False,
        **terms: Unpack[Terms],
    ) -> int:
        """Send an order to buy ``qty`` base, or for ``notional`` quote; returns its number.

        A notional is counted at the order's limit, else at its trigger, else at the last price. ``terms`` are
        keywords of `Order`: ``limit``, ``stop``, ``target``, ``trail``, ``activation``, ``trigger``, ``tif``,
        ``expires``, ``post_only``; and the bracket's ``stop_loss``, ``take_profit``, ``trailing_stop``, which are
        their own orders, with the numbers that follow.
        """
        return self._trade(symbol, 1, qty, notional, reduce_only, terms)

    def sell(
        self,
        symbol: str,
        qty: float | None = None,
        *,
        notional: float | None = None,
        reduce_only: bool = False,
        **terms: Unpack[Terms],
    ) -> int:
        """Send an order to sell; as `buy`."""
        return self._trade(symbol, -1, qty, notional, reduce_only, terms)

    def send(self, order: Order) -> int:
        """Send an order; returns its number. Those of its children follow, in the order of `Order.children`."""
        grid, replay = self._grids[self._tradable(order.symbol)], replay_of(self._key)
        ticket, reason = grid.ticket(order, replay.now_ms)
        return replay.refuse(ticket, reason, have=bad_size(order.qty)) if reason else replay.send(ticket)

    def oco(self, *orders: Order) -> tuple[int, ...]:
        """Send orders for one market of which one cancels the others; returns their numbers.

        A fill of one cancels the others; of those that are reduce-only it takes as much as it has filled itself.
        If one of them cannot be sent none is, and each is in the table of orders with that one's reason. Each may have
        its own bracket.
        """
        symbols = {order.symbol for order in orders}
        if len(orders) < 2 or len(symbols) > 1:
            thing = f"{len(orders)} orders for {', '.join(sorted(symbols)) or 'nothing'}"
            raise UserError(thing, "account.oco", "give at least two orders, all for one market")
        grid, replay = self._grids[self._tradable(orders[0].symbol)], replay_of(self._key)
        made = [grid.ticket(order, replay.now_ms) for order in orders]
        reason = next((reason for _, reason in made if reason), Reason.NONE)
        tickets = [ticket for ticket, _ in made]
        if reason:
            sizes = [bad_size(order.qty) * (reason == Reason.QUANTITY) for order in orders]
            pairs = zip(tickets, sizes, strict=True)
            return tuple(replay.refuse(ticket, reason, have=size) for ticket, size in pairs)
        return tuple(replay.send_group(tickets))

    def close(self, symbol: str, **terms: Unpack[Prices]) -> int | None:
        """Send a reduce-only order for the whole position as it is now; None if it is flat.

        ``terms`` are those of `buy` that are not a bracket's.
        """
        i, replay = self._tradable(symbol), replay_of(self._key)
        lots = -int(session_of(self._key).book[i, at.LOTS])
        if not terms:
            return replay.send_market(i, lots, reduce_only=True) if lots else None
        order = Order(symbol, self._grids[i].qty(lots), reduce_only=True, **terms)
        return self.send(order) if lots else None

    def target(
        self,
        symbol: str,
        *unnamed: Never,
        weight: float | None = None,
        qty: float | None = None,
        notional: float | None = None,
        reduce_only: bool = False,
        limit: float | None = None,
        tif: TifName | None = None,
        expires: When | None = None,
        post_only: bool = False,
    ) -> int | None:
        """Send what is missing to a position of ``weight`` times equity, ``qty`` base or ``notional`` quote, signed.

        What is on its way is counted as held: market orders, and limit orders that are not reduce-only, sent or at the
        venue. Conditional orders are not counted before their trigger. Sizes are rounded down to whole lots. Returns
        the order's number, None if nothing is missing.
        """
        if unnamed:
            said = ", ".join(map(repr, unnamed))
            raise UserError(
                f"{said} has no name",
                f"account.target({symbol!r}, {said})",
                f"write weight={said} for a share of equity, qty= for base units, or notional= for quote",
            )
        asked = ((at.WEIGHT, weight), (at.TARGET_LOTS, qty), (at.NOTIONAL, notional))
        given = [(kind, amount) for kind, amount in asked if amount is not None]
        if len(given) != 1:
            raise UserError("a target needs exactly one of weight, qty and notional", f"account.target({symbol!r})")
        kind, amount = given[0]
        i = self._tradable(symbol)
        if not self._countable(amount, f"order for {symbol}"):
            ticket = Ticket(i, 0, reduce_only=reduce_only)
            return replay_of(self._key).refuse(ticket, Reason.QUANTITY, have=bad_size(amount))
        if kind == at.TARGET_LOTS:
            amount = float(self._grids[i].lots(amount))
        elif kind == at.NOTIONAL:
            amount = float(whole_parts(amount, 1))
        if limit is None and tif is None and expires is None and not post_only:
            return replay_of(self._key).target(i, kind, amount, reduce_only)
        missing = self._grids[i].qty(replay_of(self._key).missing_lots(i, kind, amount))
        order = Order(symbol, missing, limit, tif=tif, expires=expires, post_only=post_only, reduce_only=reduce_only)
        return self.send(order) if missing else None

    def cancel(self, order_id: int) -> None:
        """Send a cancel. It travels like an order and acts only on an order that is at the venue by then."""
        replay_of(self._key).cancel(int(order_id))

    def cancel_all(self, symbol: str | None = None) -> None:
        """Send a cancel of all orders that are at the venue when it arrives: of a market, or of the account."""
        replay_of(self._key).cancel_all(-1 if symbol is None else self._at(symbol))

    def amend(
        self, order_id: int, qty: float | None = None, *, limit: float | None = None, stop: float | None = None
    ) -> int:
        """Send new terms for an order: its whole size, above 0, its limit, its trigger price; returns the number of
        the amendment.

        It travels like an order. One that fits keeps its place and its number; one that does not (the order has ended,
        has no such price, is a child whose size follows its parent's fills) is in the table of orders as `amend`,
        rejected with its reason, and the order stays as it was.
        """
        place = f"amendment of order {order_id}"
        if qty is None and limit is None and stop is None:
            raise UserError("nothing to change", place, "give qty, limit or stop")
        for name, value in (("qty", qty), ("limit", limit), ("stop", stop)):
            if value is not None and not isinstance(value, NUMBERS):
                raise UserError(f"{name} {value!r} is not a number", place)
        live = replay_of(self._key).live()
        found = live[(live[:, at.ID] == order_id) & (live[:, at.OWNER] == session_of(self._key).strategy)]
        if not len(found):
            return replay_of(self._key).amend(int(order_id))  # refused when it arrives, whatever it asks for
        return self._amend(found[0], qty, limit, stop)

    def set_leverage(self, symbol: str, leverage: float | Literal["max"]) -> None:
        """Ask for initial margin of at least notional / leverage from now on; maintenance does not change.

        ``"max"`` asks for no more than the venue's minimum. Whatever is set replaces the venue's default leverage.
        """
        place = f"account.set_leverage({symbol!r})"
        if isinstance(leverage, str):
            if leverage != "max":
                raise UserError(f"leverage {leverage!r}", place, f'give a number from {LEAST_LEVERAGE:g}, or "max"')
            leverage = math.inf
        else:
            self._finite(leverage, "leverage", place)
        if leverage < LEAST_LEVERAGE:
            raise UserError(f"leverage {leverage:g}", place, f"give a number from {LEAST_LEVERAGE:g}")
        settled(self._key).set_leverage(self._at(symbol), leverage)

    def set_margin_mode(self, symbol: str, mode: MarginModeName) -> bool:
        """Give a market its own pool (``"isolated"``) or put it into the cross pool (``"cross"``).

        False while the account has a position or an unfinished order in it. Beside portfolio margin too an isolated
        market has its own pool, required by the market's own tiers.
        """
        if mode not in ("cross", "isolated"):
            place = f"account.set_margin_mode({symbol!r})"
            raise UserError(f"unknown margin mode {mode!r}", place, nearest(str(mode), ("cross", "isolated")))
        if replay_of(self._key).setup.margin_limits:
            place, remedy = f"account.set_margin_mode({symbol!r})", "leave it out, or give the strategy a sub-account"
            raise UserError("with shared margin no market can be isolated", place, remedy)
        return settled(self._key).set_mode(self._at(symbol), mode == "isolated")

    def add_margin(self, symbol: str, amount: float) -> bool:
        """Move money from the wallet to an isolated position's pool; False if there is no such pool or not so much."""
        self._finite(amount, "amount", f"account.add_margin({symbol!r})")
        return settled(self._key).add_margin(self._at(symbol), to_micro(amount))

    def top_up(self, amount: float, route: str | None = None) -> int:
        """Send quote units from the reserve to the venue, by a route of the chain, else its first; returns the number.

        It leaves the reserve at once and arrives after the route's delay, less its fee. One that cannot be (no amount
        above 0, more than the reserve) is in the table of transfers, rejected with its reason.
        """
        way, micro = self._transfer(TransferKind.DEPOSIT, amount, route, "account.top_up")
        return settled(self._key).deposit(micro, way)

    def withdraw(self, amount: float, route: str | None = None) -> int:
        """Send quote units from the wallet to the reserve, by a route of the chain, else its first; returns the number.

        It leaves the wallet at once and arrives after the route's delay, less its fee. One that cannot be (no amount
        above 0, more than is free, gates that are closed) is in the table of transfers, rejected with its reason.
        """
        way, micro = self._transfer(TransferKind.WITHDRAWAL, amount, route, "account.withdraw")
        replay = settled(self._key)
        with session_of(self._key).payout():
            return replay.withdraw(micro, way)

    # ---------------------------------------------------------------------------------------------------------------

    def _trade(
        self, symbol: str, sign: int, qty: float | None, notional: float | None, reduce_only: bool, terms: Terms
    ) -> int:
        amount = qty if notional is None else notional
        if amount is None or (qty is None) == (notional is None):
            raise UserError("an order needs either qty or notional", f"order for {symbol!r}", "give one of them")
        i = self._tradable(symbol)
        sound = self._countable(amount, f"order for {symbol}") and amount > 0
        if terms or not sound:
            # A size that no order can have is refused beside all else that the order says.
            counted = sound and notional is not None
            size = self._worth(i, sign, amount, terms) if counted else 0.0 if amount <= 0 else amount
            return self.send(Order(symbol, math.copysign(size, sign), reduce_only=reduce_only, **terms))
        lots = self._grids[i].lots(amount) if notional is None else self._lots_worth(i, amount, self._price(i))
        if not lots:
            return replay_of(self._key).refuse(Ticket(i, 0, reduce_only=reduce_only), Reason.STEP)
        return replay_of(self._key).send_market(i, sign * lots, reduce_only)

    def _worth(self, i: int, sign: int, notional: float, terms: Terms) -> float:
        """The base units that a notional is at the limit of an order, else at its trigger, else at the last price."""
        prices = ((terms.get("limit"), sign < 0), (terms.get("stop"), sign > 0), (terms.get("target"), sign < 0))
        asked = (self._grids[i].price(price, up) for price, up in prices if isinstance(price, NUMBERS))
        lots = self._lots_worth(i, notional, next((price for price in asked if 0 < price < math.inf), self._price(i)))
        return self._grids[i].qty(lots) or NOTHING

    def _lots_worth(self, i: int, notional: float, price: float) -> int:
        """The largest number of lots whose value does not exceed a notional."""
        self._countable(notional / price, f"order for {replay_of(self._key).setup.symbols[i]}")
        return int(lots_for(whole_parts(notional, 1), price, self._grids[i].step_micro))

    def _price(self, i: int) -> float:
        """The last price, which orders are decided on."""
        replay = replay_of(self._key)
        return float(replay.call(decision_price, replay.j, i))

    def _amend(self, m: NDArray[np.float64], qty: float | None, limit: float | None, stop: float | None) -> int:
        """Amend the order of a row of the queue."""
        replay = replay_of(self._key)
        grid, buys, kind = self._grids[int(m[at.SYMBOL])], m[at.SIZE] > 0, OrderType(int(m[at.TYPE]))
        lots = 0 if qty is None or not self._countable(qty, f"amendment of order {m[at.ID]:.0f}") else grid.lots(qty)
        ticket = Ticket(
            grid.symbol, lots if buys else -lots, OrderType.AMEND,
            math.nan if limit is None else grid.price(limit, not buys),
            math.nan if stop is None else grid.price(stop, rises(kind, buys)),
        )  # fmt: skip
        if qty is not None and not 0 < qty < math.inf:
            return replay.refuse(ticket, Reason.QUANTITY, have=bad_size(max(qty, 0.0)), target=int(m[at.ID]))
        if qty is not None and lots == 0:
            return replay.refuse(ticket, Reason.STEP, target=int(m[at.ID]))
        asked = ((limit, ticket.limit), (stop, ticket.stop))
        if any(price is not None and not 0 < found < math.inf for price, found in asked):
            return replay.refuse(ticket, Reason.PRICE, target=int(m[at.ID]))
        return replay.amend(int(m[at.ID]), ticket.lots, ticket.limit, ticket.stop)

    def _transfer(self, kind: TransferKind, amount: float, route: str | None, place: str) -> tuple[int, int | None]:
        """The number of a transfer's route, and its amount in micro; None: it is not one above 0."""
        replay = replay_of(self._key)
        number = route_number(replay.setup.chain, kind, route, place)
        if replay.row == 0:
            raise UserError("a transfer before the first candle", place, "send it from on_candle")
        self._check_number(amount, "amount", place)
        # More than there can ever be is refused as what it is, more than there is.
        micro = to_micro(min(amount, MOST)) if math.isfinite(amount) else 0
        return number, micro if micro > 0 else None

    def _countable(self, amount: float, place: str, name: str = "size") -> bool:
        """Whether an amount is finite. UserError for what is not a number, or is too large."""
        self._check_number(amount, name, place)
        if MOST < abs(amount) < math.inf:
            raise UserError(f"{name} {amount:g} is too large", place, f"give at most {MOST:g}")
        return math.isfinite(amount)

    def _check_number(self, amount: object, name: str, place: str) -> None:
        # To Python a truth value is a whole number; as an amount it is a mistake.
        if not isinstance(amount, NUMBERS) or isinstance(amount, bool):
            raise UserError(f"{name} {amount!r} is not a number", place)

    def _finite(self, amount: float, name: str, place: str) -> None:
        if not self._countable(amount, place, name):
            raise UserError(f"{name} {amount!r} is not a finite number", place, "check the strategy's sums")
