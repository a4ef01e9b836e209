"""`Order`: an order as a value. What it says about prices decides what kind of order it is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypedDict, cast

import numpy as np

from backtest.core import durations
from backtest.core.enums import OrderType, TimeInForce
from backtest.core.errors import UserError, nearest
from backtest.strategy.literal_types import OrderTypeName, TifName, TriggerName

NUMBERS = (int, float, np.number)
TRIGGERS: tuple[TriggerName, ...] = ("last", "mark")
TIFS = {word.name.lower(): word for word in TimeInForce}

NUMERIC = ("qty", "limit", "stop", "target", "activation", "stop_loss", "take_profit", "trail", "trailing_stop")
RELATIVE = ("stop_loss", "take_profit")
MOST = 1e12
"""Largest size that is looked at: in millionths it still fits 64 bits, and no market has as much to trade."""

When = int | str | dt.datetime | dt.timedelta


class Protection(TypedDict, total=False):
    """What a bracket adds to an entry: orders that sleep until it fills, reduce-only, each cancelling the others."""

    stop_loss: float | str
    """Stop-market order at this price, or a share like ``"2%"`` away from the fill price."""
    take_profit: float | str
    """Limit order at this price, or a share like ``"4%"`` away from the fill price."""
    trailing_stop: float | str
    """Trailing stop: a distance in quote units, or a share like ``"3%"``."""


class Prices(TypedDict, total=False):
    """The keywords that say what kind of order it is and how long it lives; see `Order`."""

    limit: float
    stop: float
    target: float
    trail: float | str
    activation: float
    trigger: TriggerName
    tif: TifName
    expires: When
    post_only: bool


class Terms(Prices, Protection, total=False):
    """All keywords of `account.buy` and `account.sell` beside the size; see `Order`."""


@dataclass(frozen=True, repr=False)
class Order:
    """An order to send with `account.send`, or to compare in a test.

    ``qty`` is signed, bought positive, in base units; prices are in quote units. Both are kept as given: what they
    become on the market's steps is decided when the order is sent. Two orders are equal if all that they say is.

    The prices say what it is: none, a `market` order; ``limit``, `limit`; ``stop``, `stop_market`; both, `stop_limit`;
    ``target``, `take_profit_market`; with ``limit``, `take_profit_limit`; ``trail``, `trailing_stop`.

    UserError for contradicting or unknown keywords, and for a size that is not a number.
    A number that no order can have (not finite, not above zero) is a matter of the venue: it refuses with a reason.
    """

    symbol: str
    qty: float
    limit: float | None = None
    """Fills at this price or better, or not at all."""
    stop: float | None = None
    """Acts when the price has come so far against the order: up to it for a purchase, down to it for a sale."""
    target: float | None = None
    """Acts when the price has come so far for the order: down to it for a purchase, up to it for a sale."""
    trail: float | str | None = None
    """A stop that follows the best price at this distance: quote units, or a share like ``"2%"``."""
    activation: float | None = None
    """The trail follows from this price on: for a sale once the price is at or above it, for a purchase at or below."""
    trigger: TriggerName = "last"
    """The price that stop, target and trail look at: ``"last"`` (trades) or ``"mark"``. Of a bracket's stops too."""
    tif: TifName | None = None
    """``"gtc"`` (what None becomes), ``"ioc"``, ``"fok"``, or ``"gtd"``, which goes with ``expires``."""
    expires: When | None = None
    """When it is over: ms since 1970 UTC, a datetime with a time zone, or a length of time from the sending (``"4h"``,
    a timedelta)."""
    post_only: bool = False
    """Rather rejected than filled as a taker."""
    reduce_only: bool = False
    """Never more than closes the position."""
    stop_loss: float | str | None = None
    """Child: a stop-market order at this price, or a share like ``"2%"`` worse than the price of the first fill."""
    take_profit: float | str | None = None
    """Child: a limit order at this price, or a share like ``"4%"`` better than the price of the first fill."""
    trailing_stop: float | str | None = None
    """Child: a trailing stop at this distance, as ``trail``."""

    def __post_init__(self) -> None:
        if self.tif is None:
            # Not given and the default are the same order.
            object.__setattr__(self, "tif", self._life)
        self._check_numbers()
        self._check_kind()
        self._check_life()
        if self.reduce_only and self.children:
            raise self._wrong("a reduce-only order with a bracket", "it opens nothing that could be protected")

    def __repr__(self) -> str:
        """As it would be written: what need not be said is left out."""
        values = ((f, getattr(self, f.name)) for f in dataclasses.fields(self))
        said = {f.name: v.item() if isinstance(v, np.generic) else v for f, v in values if v != f.default}
        if self.tif == self._life:
            del said["tif"]
        first = [repr(said.pop(name)) for name in ("symbol", "qty")]
        return f"Order({', '.join([*first, *(f'{name}={value!r}' for name, value in said.items())])})"

    def offset(self, name: str) -> float:
        """Signed share of the fill price by which a child is away from it; NaN where it has its own price.

        ``name``: stop_loss or take_profit.
        """
        said = getattr(self, name)
        if not isinstance(said, str):
            return math.nan
        against = -1.0 if name == "stop_loss" else 1.0
        return math.copysign(share(said, name, self._place), against * self.qty)

    @property
    def type(self) -> OrderTypeName:
        """The kind of order, in the words of the table of orders."""
        return cast("OrderTypeName", self.kind.name.lower())

    @property
    def kind(self) -> OrderType:
        """The kind of order, for the engine's side."""
        if self.trail is not None:
            return OrderType.TRAILING_STOP
        if self.stop is not None:
            return OrderType.STOP_MARKET if self.limit is None else OrderType.STOP_LIMIT
        if self.target is not None:
            return OrderType.TAKE_PROFIT_MARKET if self.limit is None else OrderType.TAKE_PROFIT_LIMIT
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT

    @property
    def children(self) -> tuple[Order, ...]:
        """The orders that protect it, in the order of their numbers: stop loss, take profit, trailing stop."""
        if self.stop_loss is None and self.take_profit is None and self.trailing_stop is None:
            return ()
        given: list[dict[str, Any]] = [
            {"stop": _unknown(self.stop_loss), "trigger": self.trigger},
            {"limit": _unknown(self.take_profit)},
            {"trail": self.trailing_stop, "trigger": self.trigger},
        ]
        asked = (terms for terms in given if next(iter(terms.values())) is not None)
        return tuple(Order(self.symbol, -self.qty, reduce_only=True, **terms) for terms in asked)

    def _check_numbers(self) -> None:
        for name in NUMERIC:
            value = getattr(self, name)
            if isinstance(value, str) and name in RELATIVE:
                falls = (name == "stop_loss") == (self.qty > 0)
                if not 0 < share(value, name, self._place) < (1.0 if falls else math.inf):
                    raise self._wrong(f"{name} {value!r}", "give a share above 0% and below 100%, like 2%")
            elif isinstance(value, str) and name.startswith("trail"):
                share(value, name, self._place)
            elif not isinstance(value, NUMBERS) and (value is not None or name == "qty"):
                raise self._wrong(f"{name} {value!r} is not a number")
        if MOST < abs(self.qty) < math.inf:
            raise self._wrong(f"size {self.qty:g} is too large", f"give at most {MOST:g}")

    def _check_kind(self) -> None:
        if self.stop is not None and self.target is not None:
            raise self._wrong("stop and target are both given", "send two orders with account.oco")
        for name in ("limit", "stop", "target"):
            if self.trail is not None and getattr(self, name) is not None:
                raise self._wrong(f"trail and {name} are both given", "a trailing stop finds its price itself")
        if self.activation is not None and self.trail is None:
            raise self._wrong("activation without trail", "give trail, the distance to follow at")
        if self.trigger not in TRIGGERS:
            raise self._wrong(f"unknown trigger {self.trigger!r}", nearest(str(self.trigger), TRIGGERS))
        triggered = (self.stop, self.target, self.trail, self.stop_loss, self.trailing_stop)
        if self.trigger != "last" and all(price is None for price in triggered):
            raise self._wrong("trigger without anything to trigger", "give stop, target or trail, or leave it out")

    def _check_life(self) -> None:
        if self.tif not in TIFS:
            raise self._wrong(f"unknown tif {self.tif!r}", nearest(str(self.tif), TIFS))
        if (self.tif == "gtd") != (self.expires is not None):
            known = "without" if self.tif == "gtd" else "with"
            raise self._wrong(f"tif {self.tif} {known} expires", "tif gtd goes with expires, and no other does")
        self.expires_ms(0)  # raises where it is no time
        if self.post_only and self.limit is None:
            raise self._wrong("post_only without limit", "only an order with a limit can rest at the venue")
        if self.post_only and self.tif in ("ioc", "fok"):
            raise self._wrong(f"post_only with tif {self.tif}", "it would never be filled; choose one of them")

    def expires_ms(self, now_ms: int) -> int:
        """When it is over if it is sent at ``now_ms``, ms since 1970; −1: never."""
        when = self.expires
        if when is None:
            return -1
        if isinstance(when, str):
            return now_ms + durations.parse(when, f"{self._place}, expires")
        if isinstance(when, dt.timedelta):
            return now_ms + when // dt.timedelta(milliseconds=1)
        if isinstance(when, dt.datetime):
            if when.tzinfo is None:
                raise self._wrong("expires has no time zone", "use market.now, or tzinfo=datetime.UTC")
            return (when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)
        if not isinstance(when, int | np.integer) or when < 0:
            raise self._wrong(f"expires {when!r}", 'give ms since 1970, a datetime, or a length of time like "4h"')
        return int(when)

    @property
    def _life(self) -> TifName:
        """The time in force that need not be said."""
        return "gtc" if self.expires is None else "gtd"

    @property
    def _place(self) -> str:
        return f"order for {self.symbol}"

    def _wrong(self, thing: str, remedy: str = "") -> UserError:
        return UserError(thing, self._place, remedy)


def _unknown(price: float | str | None) -> float | None:
    """A child's price; NaN until its entry fills, where it is a share."""
    return math.nan if isinstance(price, str) else price


def share(text: str, name: str, place: str) -> float:
    """The share in a text like ``"2%"``; UserError for another text."""
    number, percent, rest = text.strip().partition("%")
    try:
        if percent and not rest:
            return float(Decimal(number) / 100)
    except InvalidOperation:
        pass
    raise UserError(f"{name} {text!r}", place, 'give a share like "2%", or a number of quote units')
