"""Many orders in one run: what a replay holds goes by the orders that are alive, not by those that have been."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest.core.enums import OrderType, Reason, Status, TimeInForce
from backtest.core.records import Record
from backtest.engine import layout as at
from backtest.engine.pack import Setup
from backtest.engine.replay import Replay, to_micro
from backtest.engine.ticket import Ticket
from backtest.engine.tier import INTERPRETED, asked
from backtest.venues import profile
from backtest.venues.chain import Chain, Latency

SYMBOLS = ("BTC-USD", "ETH-USD")
HALF = 2_000
"""Rows; at the close of each ten orders are sent."""
REST = 10
"""Rows at the end in which nothing is sent any more."""
LOTS, LIFE_ROWS, MINUTE = 10, 10, 60_000
LIMIT, STOP, TRAILING = OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.TRAILING_STOP


def panel() -> NDArray[np.float64]:
    """Random walks of 6 bps a candle, with wicks of 3: [open, high, low, close], rows, symbols."""
    even = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(even.normal(0, 6e-4, (2 * HALF + REST, len(SYMBOLS))), axis=0))
    opened = np.vstack((close[:1], close[:-1]))
    wick = np.abs(even.normal(0, 3e-4, (2, *close.shape)))
    return np.stack(
        (opened, np.maximum(opened, close) * (1 + wick[0]), np.minimum(opened, close) * (1 - wick[1]), close)
    )


@dataclass
class Load:
    """A replay under orders of every kind that fill, rest, expire, and are amended, cancelled and refused."""

    account: Replay
    close: NDArray[np.float64]
    numbers: list[int] = field(default_factory=list)
    """Of the orders sent; amendments and cancels have numbers as well."""

    def play(self, rows: range) -> None:
        for row in rows:
            self.account.advance(row)
            self.send(row, row % len(SYMBOLS), LOTS if row % 4 < 2 else -LOTS)
            if row % 100 == 0:
                self.account.cancel_all()

    def send(self, row: int, i: int, lots: int) -> None:
        """What is sent at one close: nine orders, one that is refused, an amendment and a cancel."""
        account, price, sign = self.account, float(self.close[row - 1, i]), 1 if lots > 0 else -1

        def off(share: float) -> float:
            """A price on the side to which the order is meant to go: beyond it for a positive share."""
            return price * (1 + sign * share)

        def dated(ticket: Ticket) -> Ticket:
            return ticket._replace(tif=TimeInForce.GTD, expires_ms=account.now_ms + LIFE_ROWS * MINUTE)

        exits = (
            Ticket(i, -lots, STOP, stop=off(-2e-3), reduce_only=True),
            Ticket(i, -lots, LIMIT, limit=off(2e-3), reduce_only=True),
        )
        if len(self.numbers) >= 20:  # of the last two closes those far off, as long as no cancel of all met them
            account.amend(self.numbers[-2], limit=price * 0.6)
            account.cancel(self.numbers[-12])
        entry = account.send(dated(Ticket(i, lots, LIMIT, limit=off(-3e-4), children=exits)))
        pair = (Ticket(i, lots, STOP, stop=off(1e-3)), Ticket(i, -lots, LIMIT, limit=off(1.5e-3), post_only=True))
        self.numbers += [
            account.send(Ticket(i, lots)),
            *range(entry, entry + 3),
            *account.send_group([dated(one) for one in pair]),
            account.send(dated(Ticket(i, -lots, TRAILING, trail=1e-3))),
            account.send(dated(Ticket(i, lots, LIMIT, limit=price))),
            account.send(Ticket(i, LOTS, LIMIT, limit=price / 2)),
            account.refuse(Ticket(i, 0), Reason.QUANTITY),
        ]


@dataclass
class Half:
    """What there is after half of the orders."""

    slots: int
    used: int
    journal_rows: int
    grown: int
    """Bytes that Python and NumPy have taken in it, beside the journal's."""


@pytest.fixture(scope="module")
def halves() -> tuple[Load, list[Half], Record]:
    candles = panel()
    rows = candles.shape[1]
    lives = np.zeros(len(SYMBOLS), np.int64)
    setup = Setup(
        symbols=SYMBOLS, step_micro=lives + 1_000, first_row=lives, last_row=lives + rows - 1, interval_ms=MINUTE,
        start_ms=1_704_067_200_000, rows=rows, mark_offset=0, known_field=3, funding=np.empty((0, 3)),
        contract=profile.load("generic").contract(SYMBOLS), cash=to_micro(10_000.0),
    )  # fmt: skip
    load = Load(Replay(setup), candles[3])
    load.account.load(candles, 0)
    load.play(range(1, 100))  # kernels that are called first compile, which takes memory
    found = []
    tracemalloc.start()
    for first, end in ((100, HALF), (HALF, 2 * HALF)):
        load.account.flush()
        journal, memory, numbers = load.account.flushed, tracemalloc.get_traced_memory()[0], len(load.numbers)
        load.play(range(first, end))
        load.account.flush()
        journal = load.account.flushed - journal
        # a number of an order is an int in this test's list
        mine = journal * at.LOG_WIDTH * 8 + (len(load.numbers) - numbers) * 40
        grown = tracemalloc.get_traced_memory()[0] - memory - mine
        found.append(Half(len(load.account.queue), int(load.account.acct[at.SLOTS_USED]), journal, grown))
    tracemalloc.stop()
    load.account.cancel_all()
    load.account.advance(rows)
    return load, found, load.account.record({})


def test_the_queue_is_as_long_as_the_orders_alive_need(halves: tuple[Load, list[Half], Record]) -> None:
    first, second = halves[1]
    assert first.slots == second.slots <= 256
    assert first.used <= second.used <= first.slots


def test_all_slots_are_free_when_all_orders_have_ended(halves: tuple[Load, list[Half], Record]) -> None:
    account = halves[0].account
    assert len(account.live()) == 0
    assert account.acct[[at.FLIGHTS, at.RESTING, at.RESERVING]].tolist() == [0, 0, 0]
    assert not account.book[:, [at.BUYS, at.SELLS]].any()
    free, slot = [], int(account.acct[at.FREE_SLOT])
    while slot >= 0 and len(free) <= len(account.queue):
        free.append(slot)
        slot = int(account.queue[slot, at.NEXT_SLOT])
    assert sorted(free) == list(range(int(account.acct[at.SLOTS_USED])))


def test_nothing_but_the_record_grows(halves: tuple[Load, list[Half], Record]) -> None:
    first, second = halves[1]
    # the same orders again; which of them fill, and so have a fill in the record, is up to the prices
    assert second.journal_rows == pytest.approx(first.journal_rows * HALF / (HALF - 100), rel=0.05)
    assert second.grown < 100_000, "five bytes for each order"


def test_every_order_ends_once_and_in_every_way(halves: tuple[Load, list[Half], Record]) -> None:
    load, _, record = halves
    orders = record.orders[record.orders["type"] != OrderType.AMEND]
    assert orders["order_id"].tolist() == sorted(load.numbers)
    assert len(orders) == 10 * (2 * HALF - 1)
    ends = np.bincount(orders["status"], minlength=len(Status))
    assert ends.min() > 1_000, ends
    reasons = set(record.orders["reason"].tolist())
    wanted = {
        Reason.OCO,
        Reason.GTD,
        Reason.REDUCE_ONLY,
        Reason.PARENT,
        Reason.STRATEGY,
        Reason.QUANTITY,
        Reason.NOT_OPEN,
    }
    assert wanted <= reasons


def placed(count: int) -> float:
    """Seconds that the arrival of so many resting orders takes, and of a cancel of each."""
    candles = panel()
    lives = np.zeros(len(SYMBOLS), np.int64)
    setup = Setup(
        symbols=SYMBOLS, step_micro=lives + 1_000, first_row=lives, last_row=lives + candles.shape[1] - 1,
        interval_ms=MINUTE, start_ms=1_704_067_200_000, rows=candles.shape[1], mark_offset=0, known_field=3,
        funding=np.empty((0, 3)), contract=profile.load("generic").contract(SYMBOLS), cash=to_micro(1e8),
    )  # fmt: skip
    account = Replay(setup)
    account.load(candles, 0)
    account.advance(1)
    exits = (Ticket(0, -1, STOP, stop=1.0, reduce_only=True),)
    sent = [account.send(Ticket(0, 1, LIMIT, limit=10.0, children=exits)) for _ in range(count)]
    begun = time.thread_time()
    account.advance(2)
    taken = time.thread_time() - begun
    for number in sent:
        account.amend(number, limit=9.0)
        account.cancel(number)
    begun = time.thread_time()
    account.advance(3)
    taken += time.thread_time() - begun
    assert len(account.live()) == 0
    return taken


@pytest.mark.skipif(asked() == INTERPRETED, reason="interpreted kernels are slow in any case")
def test_what_an_order_costs_to_arrive_does_not_grow_with_those_at_the_venue() -> None:
    placed(10)  # compiles
    # By steps that go through all orders, 16 times as many would take 256 times as long, some minutes.
    assert min(placed(20_000) for _ in range(2)) < 80 * min(placed(1_250) for _ in range(4))


def fallen(count: int, kind: str) -> float:
    """Seconds that so many orders of a kind take that all act inside one candle, or arrive in a few."""
    rows, row, lives = 12, 3, np.zeros(1, np.int64)
    candles = np.full((4, rows, 1), 100.0)
    if kind == "jumped over":
        candles[:, row:] = 80.0
    else:
        candles[1, row], candles[2, row] = 101.0, 80.0
    delays = Latency(30_000, 100_000)
    chains = {
        "drawn delays": Chain(name="drawn", network=delays),
        "full blocks": Chain(name="full", network=delays, block_ms=100, most_per_block=20),
    }
    setup = Setup(
        symbols=SYMBOLS[:1], step_micro=lives + 1_000, first_row=lives, last_row=lives + rows - 1, interval_ms=MINUTE,
        start_ms=1_704_067_200_000, rows=rows, mark_offset=0, known_field=3, funding=np.empty((0, 3)),
        contract=profile.load("generic").contract(SYMBOLS[:1]), cash=to_micro(1e8), chain=chains.get(kind, Chain()),
    )  # fmt: skip
    account = Replay(setup)
    account.load(candles, 0)
    account.advance(1)
    even = np.random.default_rng(1)
    begun = time.thread_time()
    for level in even.uniform(81.0, 99.0, count).tolist():
        account.send_group(ORDERS_OF.get(kind, ORDERS_OF["limits"])(level, account.now_ms + int(even.integers(MINUTE))))
    if kind not in chains:
        account.advance(row)
        begun = time.thread_time()
    account.advance(rows)
    taken = time.thread_time() - begun
    orders = account.record({}).orders
    last = orders["ts_arrived_ms" if kind in chains else "ts_done_ms"]
    assert ((last > 0) & (last < setup.start_ms + 10 * MINUTE)).sum() >= 0.99 * count
    return taken


ORDERS_OF: dict[str, Callable[[float, int], list[Ticket]]] = {
    "limits": lambda level, _: [Ticket(0, 1, LIMIT, limit=level)],
    "stops": lambda level, _: [Ticket(0, -1, STOP, stop=level)],
    "trailing stops": lambda level, _: [Ticket(0, -1, TRAILING, trail=1 - level / 100)],
    "pairs": lambda level, _: [Ticket(0, 1, LIMIT, limit=level), Ticket(0, 1, STOP, stop=level + 30)],
    "brackets": lambda level, _: [
        Ticket(0, 1, LIMIT, limit=level, children=(
            Ticket(0, -1, LIMIT, limit=level + 0.5, reduce_only=True),
            Ticket(0, -1, STOP, stop=level * 0.7, reduce_only=True),
        ))
    ],
    "expiries": lambda level, ms: [
        Ticket(0, 1, LIMIT, limit=level / 2, tif=TimeInForce.GTD, expires_ms=ms + 2 * MINUTE)
    ],
    "drawn delays": lambda level, _: [Ticket(0, 1, LIMIT, limit=level / 2)],
    "full blocks": lambda level, _: [Ticket(0, 1, LIMIT, limit=level / 2)],
}  # fmt: skip


@pytest.mark.skipif(asked() == INTERPRETED, reason="interpreted kernels are slow in any case")
@pytest.mark.parametrize("kind", [*ORDERS_OF, "jumped over"])
def test_what_many_acts_in_one_candle_cost_grows_with_their_number(kind: str) -> None:
    fallen(10, kind)  # compiles
    # Where each goes through all others, 16 times as many take 256 times as long.
    assert min(fallen(4_000, kind) for _ in range(3)) < 100 * min(fallen(250, kind) for _ in range(4))
