"""When orders act: rules of orders, section 5. First in the jump to a row's open, then on the way along its path.

The jump of an oracle's mark inside a row (Layer 2, section 4) is one of the marks alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tests.reference import trigger
from tests.reference.account import Account
from tests.reference.desk import Desk, Spot
from tests.reference.liquidation import Point, pool_now
from tests.reference.margin import Asked
from tests.reference.numbers import money
from tests.reference.order import Order
from tests.reference.path import Row
from tests.reference.process import Liquidator


@dataclass(frozen=True)
class Closes:
    """Prices before a row: of each symbol's last candle, and of the marks of the last row."""

    trades: dict[str, float]
    marks: dict[str, float]


def can_act(order: Order, row: Row, desk: Desk) -> bool:
    """It is armed, or a limit that rests with some of the candle's volume left for it."""
    if order.state == "armed":
        return True
    rests = trigger.rests(order) and order.symbol in row.trades
    return rests and desk.room.clipped(row, order.symbol, "maker", 1) > 0


# ---- the jump


class Jump:
    """From the last closes to a row's open, or of the marks inside it: the nearest first, orders and pools together."""

    def __init__(self, account: Account, asked: Asked, desk: Desk, liquidator: Liquidator, touch: bool) -> None:
        self.account, self.asked, self.desk, self.liquidator, self.touch = account, asked, desk, liquidator, touch

    def play(self, row: Row, before: Closes, spared: bool, at: int = 0) -> None:
        """Without pools where they are spared."""
        acted: set[Order] = set()
        while True:
            due: list[tuple[float, int, tuple[int, int], str | Order]] = [
                (self.pool_share(pool, row, before, at), 0, (self.account.order_of(pool), 0), pool)
                for pool in self.account.open_pools()
                if not spared and self.liquidator.next_act(pool, row, at, at)
            ]
            for order in self.account.orders:
                share = None if order in acted else self.order_share(order, row, before, at)
                if share is not None:
                    due.append((share, 1, order.place, order))
            if not due:
                return
            _, _, _, first = min(due, key=lambda entry: entry[:3])
            if isinstance(first, str):
                act = self.liquidator.next_act(first, row, at, at)
                assert act is not None
                self.liquidator.perform(first, act, row)
            else:
                acted.add(first)
                self.act(row, first, at)

    def order_share(self, order: Order, row: Row, before: Closes, at: int) -> float | None:
        """How far into the jump the order is met; None: it is not beyond behind it, or its series does not jump."""
        if at > 0 and not trigger.follows_mark(order):
            return None
        opened = trigger.price_at(order, row, at)
        level = trigger.level_of(order, order.best)
        if opened is None or level is None or not can_act(order, row, self.desk):
            return None
        if not trigger.beyond(order, level, opened, self.touch):
            return None
        last = (before.marks if trigger.follows_mark(order) else before.trades)[order.symbol]
        if opened == last:
            return 0.0
        return min(1.0, max(0.0, (level - last) / (opened - last)))

    def pool_share(self, name: str, row: Row, before: Closes, at: int) -> float:
        if name in self.account.processes:
            return 0.0
        pool = pool_now(self.account, self.asked, name)
        start = Point(at, {symbol: money(before.marks[symbol], units) for symbol, units in pool.units.items()})
        healthy, unhealthy = pool.health(start), pool.health(pool.checked(row, at))
        return 0.0 if healthy < 0 else healthy / (healthy - unhealthy)

    def act(self, row: Row, order: Order, at: int) -> None:
        if order.state == "armed":
            self.desk.trigger(row, order, self.desk.spot(row, order.symbol, at))
        else:
            self.desk.make(row, order, at)


# ---- on the way


LAST = 9
"""More than the knots that share a time."""


@dataclass(frozen=True)
class Due:
    """An order acts `x` thirds from the row's open; `level` is what the path has met, None if it lay beyond before."""

    x: float
    order: Order
    level: float | None

    @property
    def instant(self) -> int:
        return ceil(self.x)


class Way:
    """The orders' way along one row's paths. `x` is how far it has come; trailing stops have followed the knots up to
    `passed` (see `Path.places`).

    `row` is what the venue sees now, `path` what it has seen on the way here.
    """

    def __init__(self, row: Row, account: Account, desk: Desk, touch: bool) -> None:
        self.row, self.path, self.account, self.desk, self.touch = row, row, account, desk, touch
        self.x, self.passed = 0.0, (-1, 0)

    def follow(self, last: tuple[int, int]) -> None:
        """Trailing stops see the prices at the knots up to the `last` that they do not know yet."""
        for order in self.account.orders:
            path = trigger.path(order, self.path)
            if order.state == "armed" and path is not None:
                for place, price in zip(path.places, path.prices, strict=True):
                    if self.passed < place <= last:
                        trigger.follow(order, price)
        self.passed = max(self.passed, last)

    def first(self, jump: int | None = None) -> Due | None:
        """The next act of all orders, if there is one in this row; by mark only up to a `jump` at that time."""
        due = [act for order in self.account.orders if (act := self.next_of(order, jump))]
        return min(due, key=lambda act: (act.x, act.order.place), default=None)

    def next_of(self, order: Order, jump: int | None) -> Due | None:
        path = trigger.path(order, self.path)
        if path is None or not can_act(order, self.row, self.desk):
            return None
        prices, best, begin, end = path.prices, order.best, path.segment(self.x), len(path.knots) - 1
        if trigger.follows_mark(order) and jump in [time for time, _ in path.knots]:
            end = [time for time, _ in path.knots].index(jump)
            begin = min(begin, end - 1)
        for segment in range(begin, end):
            if segment > begin and order.type == "trailing_stop":
                best = trigger.followed(order, best, prices[segment])
            level = trigger.level_of(order, best)
            if level is None or not trigger.beyond(order, level, prices[segment + 1], self.touch):
                continue
            x = max(self.x, float(path.knots[segment][0]))
            if trigger.beyond(order, level, prices[segment], self.touch):
                return Due(x, order, None)
            return Due(max(x, path.meets(level, segment)), order, level)
        return None

    def act_until(self, at: int, jumps: bool = False) -> None:
        """Whatever is due up to the instant `at`, or before the mark `jumps` there; the way has come so far then."""
        while (due := self.first(at if jumps else None)) and due.instant <= at:
            self.follow((ceil(due.x) - 1, LAST))
            self.x = due.x
            self.act(due, min(due.instant, self.row.end))
        self.x = float(at)
        # What arrives at a knot is compared with the price there as well: the segment that ends with it comes again.
        self.follow((at, 0 if jumps else LAST))

    def skip(self, at: int) -> None:
        """Nothing has acted up to `at`, and knots until then are lost on trailing stops."""
        self.x, self.passed = float(at), (at - 1, LAST)

    def come_back(self, at: int) -> None:
        """What lies beyond after a halt, or once the mark is seen again, acts: in order of arrival, each once."""
        self.path = self.row
        for order in sorted(self.account.orders, key=lambda order: order.place):
            price = trigger.price_at(order, self.row, at)
            level = trigger.level_of(order, order.best)
            if order.ended or price is None or not can_act(order, self.row, self.desk):
                continue
            if trigger.beyond(order, level, price, self.touch):
                self.act(Due(float(at), order, None), at)
        self.follow((at, LAST))

    def act(self, due: Due, at: int) -> None:
        order = due.order
        if order.state == "working":
            self.desk.make(self.row, order, at)
            return
        price = self.row.trade_price(order.symbol, at)
        met = due.level is not None and not order.by_mark
        self.desk.trigger(self.row, order, Spot(at, due.level, is_level=True) if met else Spot(at, price))
