"""`Order` as a value, and what it becomes on a market's steps."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest import Order, UserError
from backtest.core.enums import OrderType, Reason, TimeInForce
from backtest.engine.ticket import Ticket
from backtest.strategy.rounding import Grid
from tests.rules_index import rule

pytestmark = rule("orders 1")

NOW = 1_709_251_200_000
"""2024-03-01 00:00 UTC."""
GRID = Grid.of(0, 1_000, 0.5)
"""Lots of 0.001, ticks of 0.5."""

# ---- the value


@pytest.mark.parametrize(
    ("terms", "kind"),
    [
        ({}, "market"),
        ({"limit": 100.0}, "limit"),
        ({"stop": 100.0}, "stop_market"),
        ({"stop": 100.0, "limit": 101.0}, "stop_limit"),
        ({"target": 100.0}, "take_profit_market"),
        ({"target": 100.0, "limit": 99.0}, "take_profit_limit"),
        ({"trail": "2%"}, "trailing_stop"),
        ({"trail": 3.0, "activation": 110.0}, "trailing_stop"),
        ({"stop_loss": 90.0, "take_profit": 110.0, "trailing_stop": 2.0}, "market"),
    ],
)
def test_the_prices_say_what_it_is(terms: dict[str, Any], kind: str) -> None:
    assert Order("BTC", 1.0, **terms).type == kind


def test_orders_are_equal_if_they_say_the_same() -> None:
    assert Order("BTC", 1, limit=100) == Order("BTC", 1.0, limit=100.0, tif="gtc", trigger="last")
    assert Order("BTC", 1.0, limit=100.0, expires="4h") == Order("BTC", 1.0, limit=100.0, tif="gtd", expires="4h")
    assert hash(Order("BTC", 1, limit=100)) == hash(Order("BTC", 1.0, limit=100.0))
    one = Order("BTC", 1.0, limit=100.0)
    for other in ({"qty": -1.0}, {"symbol": "ETH"}, {"limit": 101.0}, {"stop": 99.0}, {"post_only": True}):
        assert one != Order(**{"symbol": "BTC", "qty": 1.0, "limit": 100.0, **other})
    with pytest.raises(AttributeError):
        one.qty = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (Order("BTC", 1.0, tif="gtc"), "Order('BTC', 1.0)"),
        (Order("BTC", np.float64(1.0), limit=np.float32(0.5)), "Order('BTC', 1.0, limit=0.5)"),
        (
            Order("BTC", -2, limit=100.5, expires="4h", post_only=True, take_profit=90.0),
            "Order('BTC', -2, limit=100.5, expires='4h', post_only=True, take_profit=90.0)",
        ),
        (
            Order("BTC", 1.0, trail="2%", activation=110.0, trigger="mark", tif="ioc", reduce_only=True),
            "Order('BTC', 1.0, trail='2%', activation=110.0, trigger='mark', tif='ioc', reduce_only=True)",
        ),
    ],
)
def test_an_order_reads_as_it_is_written(order: Order, said: str) -> None:
    assert repr(order) == said
    assert eval(said) == order


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"stop": 99.0, "target": 101.0}, "stop and target are both given; send two orders with account.oco"),
        ({"trail": 1.0, "limit": 99.0}, "trail and limit are both given"),
        ({"trail": 1.0, "stop": 99.0}, "trail and stop are both given"),
        ({"trail": 1.0, "target": 99.0}, "trail and target are both given"),
        ({"activation": 99.0}, "activation without trail"),
        ({"trail": "2"}, "trail '2'; give a share like \"2%\", or a number of quote units"),
        ({"trail": "%"}, "trail '%'; give a share"),
        ({"trailing_stop": "2% of it"}, "trailing_stop '2% of it'; give a share"),
        ({"trigger": "index", "stop": 1.0}, "unknown trigger 'index'; known: last, mark"),
        ({"trigger": "mark", "limit": 1.0}, "trigger without anything to trigger"),
        ({"tif": "day"}, "unknown tif 'day'"),
        ({"tif": "GTC"}, "unknown tif 'GTC'; did you mean 'gtc'?"),
        ({"tif": "gtd"}, "tif gtd without expires"),
        ({"tif": "ioc", "expires": "4h"}, "tif ioc with expires"),
        ({"expires": "4 hours"}, "expires: '4 hours' is not an interval"),
        ({"expires": -1}, "expires -1; give ms since 1970, a datetime, or a length of time"),
        ({"expires": 4.5}, "expires 4.5; give ms"),
        ({"expires": datetime(2024, 3, 1)}, "expires has no time zone"),  # noqa: DTZ001
        ({"post_only": True}, "post_only without limit"),
        ({"post_only": True, "limit": 1.0, "tif": "ioc"}, "post_only with tif ioc; it would never be filled"),
        ({"post_only": True, "limit": 1.0, "tif": "fok"}, "post_only with tif fok"),
        ({"reduce_only": True, "stop_loss": 1.0}, "a reduce-only order with a bracket"),
        ({"limit": "100"}, "limit '100' is not a number"),
        ({"take_profit": [1.0]}, r"take_profit \[1.0\] is not a number"),
        ({"qty": "1"}, "qty '1' is not a number"),
        ({"qty": None}, "qty None is not a number"),
        ({"qty": -1e300}, r"size -1e\+300 is too large; give at most 1e\+12"),
    ],
)
def test_what_contradicts_itself_is_no_order(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"order for BTC.*{said}"):
        Order(**{"symbol": "BTC", "qty": 1.0, **terms})


def test_a_word_that_no_order_has_is_an_error_of_python() -> None:
    with pytest.raises(TypeError, match="limt"):
        Order("BTC", 1.0, limt=100.0)  # type: ignore[call-arg]


def test_children_are_the_opposite_orders() -> None:
    entry = Order("BTC", 2.0, limit=100.0, stop_loss=95.0, take_profit=110.0, trailing_stop="3%", trigger="mark")
    assert entry.children == (
        Order("BTC", -2.0, stop=95.0, trigger="mark", reduce_only=True),
        Order("BTC", -2.0, limit=110.0, reduce_only=True),
        Order("BTC", -2.0, trail="3%", trigger="mark", reduce_only=True),
    )
    assert Order("BTC", 2.0, limit=100.0).children == ()
    assert Order("BTC", -2.0, take_profit=0.0).children == (Order("BTC", 2.0, limit=0.0, reduce_only=True),)


@pytest.mark.parametrize(
    ("when", "ms"),
    [
        (None, -1),
        (0, 0),
        (np.int64(NOW + 5), NOW + 5),
        ("90s", NOW + 90_000),
        (timedelta(hours=4), NOW + 14_400_000),
        (timedelta(microseconds=1_500), NOW + 1),
        (datetime(2024, 3, 1, 0, 0, 1, tzinfo=UTC), NOW + 1_000),
        (datetime(2024, 3, 1, 2, 0, 1, tzinfo=timezone(timedelta(hours=2))), NOW + 1_000),
    ],
)
def test_when_it_expires(when: Any, ms: int) -> None:
    assert Order("BTC", 1.0, limit=1.0, expires=when).expires_ms(NOW) == ms


# ---- on the market's steps


def ticket(order: Order, grid: Grid = GRID) -> Ticket:
    made, reason = grid.ticket(order, NOW)
    assert reason == Reason.NONE
    return made


def test_what_is_sent() -> None:
    whole = ticket(Order("BTC", -0.0029, stop=100.0, limit=99.0, tif="ioc", trigger="mark", reduce_only=True))
    assert whole == Ticket(
        0, -2, OrderType.STOP_LIMIT, 99.0, 100.0, by_mark=True, trail=whole.trail, activation=whole.activation,
        tif=TimeInForce.IOC, reduce_only=True,
    )  # fmt: skip
    assert math.isnan(whole.trail)
    assert math.isnan(whole.activation)
    waits = ticket(Order("BTC", 1.0, limit=99.0, expires="1m", post_only=True))
    assert (waits.tif, waits.expires_ms, waits.post_only) == (TimeInForce.GTD, NOW + 60_000, True)
    by_share, by_far = ticket(Order("BTC", 1.0, trail="0.3%", activation=90.0)), ticket(Order("BTC", 1.0, trail=7.3))
    assert (by_share.trail, by_share.trail_share, by_share.activation) == (0.003, True, 90.0)
    assert (by_far.trail, by_far.trail_share) == (7.3, False)  # a distance, not a price: not put on a tick
    entry = ticket(Order("BTC", 1.0, limit=99.0, stop_loss=95.0, take_profit=110.0, trigger="mark"))
    assert [(c.lots, c.type, c.limit, c.stop, c.by_mark, c.reduce_only) for c in entry.children] == [
        (-1_000, OrderType.STOP_MARKET, pytest.approx(math.nan, nan_ok=True), 95.0, True, True),
        (-1_000, OrderType.LIMIT, 110.0, pytest.approx(math.nan, nan_ok=True), False, True),
    ]
    assert not entry.by_mark  # there is nothing to trigger but its child


# Ticks of 0.5. A limit that buys goes down, one that sells up: it never pays more, or takes less, than was said.
# A trigger that acts at a rise goes up, one that acts at a fall down: it never acts before what was said.
SIDES = [
    ({"limit": 100.3}, 1.0, 100.0),
    ({"limit": 100.3}, -1.0, 100.5),
    ({"stop": 100.3}, 1.0, 100.5),
    ({"stop": 100.3}, -1.0, 100.0),
    ({"target": 100.3}, 1.0, 100.0),
    ({"target": 100.3}, -1.0, 100.5),
    ({"trail": 1.0, "activation": 100.3}, 1.0, 100.0),
    ({"trail": 1.0, "activation": 100.3}, -1.0, 100.5),
]


@pytest.mark.parametrize(("terms", "side", "price"), SIDES)
def test_prices_are_rounded_to_the_passive_side(terms: dict[str, float], side: float, price: float) -> None:
    for given_price, expected in ((100.3, price), (100.5, 100.5), (100.0, 100.0)):
        asked = {name: value if name == "trail" else given_price for name, value in terms.items()}
        sent = ticket(Order("BTC", side, **asked))  # type: ignore[arg-type]
        assert [p for p in (sent.limit, sent.stop, sent.activation) if not math.isnan(p)] == [expected]
        free = ticket(Order("BTC", side, **asked), Grid.of(0, 1_000, None))  # type: ignore[arg-type]
        assert [p for p in (free.limit, free.stop, free.activation) if not math.isnan(p)] == [given_price]


def test_children_are_rounded_like_any_order() -> None:
    # A long's stop loss falls: down. Its take profit sells by limit: up. A short's the other way round.
    long, short = (ticket(Order("BTC", side, stop_loss=loss, take_profit=profit)) for side, loss, profit in
                   ((1.0, 99.7, 110.2), (-1.0, 110.2, 99.7)))  # fmt: skip
    assert (long.children[0].stop, long.children[1].limit) == (99.5, 110.5)
    assert (short.children[0].stop, short.children[1].limit) == (110.5, 99.5)


@given(
    price=st.floats(1e-6, 1e9),
    tick=st.sampled_from([1e-5, 0.01, 0.1, 0.25, 0.5, 1.0, 3.0, 5e-324, 1e300]),
    up=st.booleans(),
)
def test_a_price_on_a_tick_is_the_nearest_on_its_side(price: float, tick: float, up: bool) -> None:
    # Exactly, in the decimals that a person reads.
    exact, width = Fraction(repr(price)), Fraction(repr(tick))
    on_tick = -(-exact // width) * width if up else exact // width * width
    assert Grid.of(0, 1, tick).price(price, up) == float(on_tick)


@given(qty=st.decimals("0.000001", "1000000", places=6), step=st.sampled_from([1, 10, 1_000, 250_000, 3_000_000]))
def test_a_quantity_is_rounded_down_to_lots(qty: Any, step: int) -> None:
    grid, whole = Grid.of(0, step, None), int(qty * 1_000_000) // step
    for side in (1, -1):
        lots = grid.lots(side * float(qty))
        assert lots == side * whole
        assert grid.lots(grid.qty(lots)) == lots


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order("BTC", math.nan), Reason.QUANTITY),
        (Order("BTC", -math.inf, limit=-1.0), Reason.QUANTITY),
        (Order("BTC", 0.0), Reason.QUANTITY),
        (Order("BTC", 0.0009), Reason.STEP),
        (Order("BTC", -0.0009, limit=math.nan), Reason.STEP),
        (Order("BTC", 1.0, limit=math.nan), Reason.PRICE),
        (Order("BTC", 1.0, limit=math.inf), Reason.PRICE),
        (Order("BTC", 1.0, limit=0.4), Reason.PRICE),  # below the first tick
        (Order("BTC", -1.0, limit=0.4), Reason.NONE),
        (Order("BTC", -1.0, limit=-0.2), Reason.PRICE),
        (Order("BTC", -1.0, stop=0.0), Reason.PRICE),
        (Order("BTC", -1.0, target=0.0), Reason.PRICE),
        (Order("BTC", 1.0, stop=100.0, limit=-5.0), Reason.PRICE),
        (Order("BTC", -1.0, trail=1.0, activation=math.nan), Reason.PRICE),
        (Order("BTC", -1.0, trail=0.0), Reason.PRICE),
        (Order("BTC", -1.0, trail="-1%"), Reason.PRICE),
        (Order("BTC", -1.0, trail="nan%"), Reason.PRICE),
        (Order("BTC", -1.0, trail="100%"), Reason.PRICE),  # a price of nothing is never reached
        (Order("BTC", -1.0, trail="99%"), Reason.NONE),
        (Order("BTC", 1.0, trail="150%"), Reason.NONE),
        (Order("BTC", 1.0, stop_loss=math.nan), Reason.PRICE),
        (Order("BTC", 1.0, limit=100.0, take_profit=-1.0), Reason.PRICE),
        (Order("BTC", 1.0, trailing_stop="0%"), Reason.PRICE),
        (Order("BTC", 1.0, stop_loss=110.0, take_profit=95.0), Reason.BRACKET),
        (Order("BTC", 1.0, stop_loss=95.0, take_profit=95.4), Reason.NONE),  # on ticks: 95.0 and 95.5
        (Order("BTC", 1.0, stop_loss=95.4, take_profit=95.0), Reason.BRACKET),  # both at 95.0
        (Order("BTC", -1.0, stop_loss=95.0, take_profit=110.0), Reason.BRACKET),
        (Order("BTC", -1.0, stop_loss=110.0, take_profit=95.0), Reason.NONE),
        (Order("BTC", 1.0, limit=100.0, stop_loss=100.0), Reason.BRACKET),
        (Order("BTC", 1.0, limit=100.0, stop_loss=99.9), Reason.NONE),  # 99.5
        (Order("BTC", 1.0, limit=100.4, stop_loss=100.0), Reason.BRACKET),  # the limit lies at 100.0
        (Order("BTC", 1.0, limit=100.0, take_profit=99.0), Reason.BRACKET),
        (Order("BTC", -1.0, stop=100.0, stop_loss=101.0, take_profit=99.0), Reason.NONE),
        (Order("BTC", -1.0, stop=100.0, stop_loss=99.0), Reason.BRACKET),
        (Order("BTC", -1.0, target=100.0, take_profit=101.0), Reason.BRACKET),
        (Order("BTC", 1.0, stop=100.0, limit=102.0, stop_loss=101.0, take_profit=103.0), Reason.NONE),
        (Order("BTC", 1.0, stop=100.0, limit=102.0, stop_loss=99.0, take_profit=101.0), Reason.BRACKET),
        (Order("BTC", 1.0, trail=1.0, stop_loss=1.0, take_profit=0.5), Reason.BRACKET),
        (Order("BTC", 1.0, limit=100.0, trailing_stop="3%"), Reason.NONE),
    ],
)
def test_what_no_order_can_have_is_a_reason(order: Order, reason: Reason) -> None:
    assert GRID.ticket(order, NOW)[1] == reason
