"""Orders that rest, and orders by the million: what a replay pays for those it has, and for those it has had."""

from __future__ import annotations

import math
import mmap
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import OrderType, TimeInForce
from backtest.core.records import Record
from backtest.engine import layout as at
from backtest.engine.replay import Replay
from backtest.engine.ticket import Ticket
from benchmarks import ours
from benchmarks.market import LOT, MINUTE_MS, Market
from benchmarks.timing import Seconds

EACH = 10
"""Orders on either side of a symbol's price."""
AWAY = 3.0
"""Log of how far off the orders that never fill lie: seven years' standard deviations."""
RUNG = 0.02
"""Log of the step of the grid: two standard deviations of four hours."""
EVERY = 240
RUNG_USD = 40.0
"""Size of an order of the grid, a thousandth of a target's: they are there to rest and to fill, not to steer."""
PER_ROW = 4
STREAM_LOTS = 1_000
LIFE_ROWS = 20


def far(made: Market, targets: NDArray[np.float64]) -> Callable[[], Record]:
    """`ours.replay` of weights, with orders from the first close to the end that no price reaches."""
    setup = ours.setup(made)

    def play() -> Record:
        account = Replay(setup, 0, targets, at.WEIGHT)
        account.load(made.panel, 0)
        account.advance(1)
        for i, price in enumerate(made.panel[3, 0]):
            for n in range(EACH):
                away = math.exp(AWAY + n * RUNG)
                account.send(Ticket(i, 1, OrderType.LIMIT, price / away))
                account.send(Ticket(i, -1, OrderType.LIMIT, price * away))
        account.advance(made.rows)
        record = account.record({})
        resting = record.orders["ts_done_ms"] == setup.start_ms + made.rows * MINUTE_MS
        assert int(resting.sum()) == 2 * EACH * len(made.symbols), "not all of them have rested to the end"
        return record

    return play


class Grid:
    """`ours.replay` of weights, with a grid of limit orders around each price: what has filled since, and what the
    price has left behind, is placed anew every four hours."""

    def __init__(self, made: Market, targets: NDArray[np.float64]) -> None:
        self.made, self.targets, self.setup = made, targets, ours.setup(made)
        self.first = made.panel[3, 0]
        self.lots = np.maximum(1, np.round(RUNG_USD / self.first / LOT)).astype(np.int64)
        self.inside: Seconds = []
        """Of each call, without what Python takes to place orders."""
        self.resting = 0.0
        """Orders at the venue of a symbol, on average over the times before orders are placed."""
        self.sent = 0

    def __call__(self) -> Record:
        account = Replay(self.setup, 0, self.targets, at.WEIGHT)
        account.load(self.made.panel, 0)
        rungs: list[dict[int, int]] = [{} for _ in self.made.symbols]
        inside, resting, self.sent = 0.0, [], 0
        for row in [*range(1, self.made.rows, EVERY), self.made.rows]:
            begun = time.perf_counter()
            account.advance(row)
            inside += time.perf_counter() - begun
            if row > 1:
                resting.append(int(account.acct[at.RESTING]) / len(rungs))
            if row < self.made.rows:
                self._place(account, rungs, self.made.panel[3, row - 1])
        self.inside.append(inside)
        self.resting = sum(resting) / len(resting)
        return account.record({})

    def _place(self, account: Replay, rungs: list[dict[int, int]], close: NDArray[np.float64]) -> None:
        """Send what each grid lacks, and cancel what is not of it any more; ``rungs``: their orders by rung."""
        alive = set(account.live()[:, at.ID].astype(int).tolist())
        below = np.floor(np.log(close / self.first) / RUNG).astype(int).tolist()
        for i, placed in enumerate(rungs):
            wanted = range(below[i] - EACH + 1, below[i] + EACH + 1)
            for rung, number in list(placed.items()):
                if number in alive and rung in wanted:
                    continue
                if number in alive:
                    account.cancel(number)
                del placed[rung]
            for rung in wanted:
                if rung not in placed:
                    lots = int(self.lots[i]) if rung <= below[i] else -int(self.lots[i])
                    price = float(self.first[i]) * math.exp(rung * RUNG)
                    placed[rung] = account.send(Ticket(i, lots, OrderType.LIMIT, price))
                    self.sent += 1


@dataclass(frozen=True)
class Part:
    """What a part of a stream of orders has taken."""

    seconds: float
    record_bytes: int
    """What the orders' record has grown by; it is kept in memory to the end."""
    other_bytes: int | None
    """What the process has grown by beside it; None where the system does not say."""
    slots: int
    """Length of the queue at the end of the part."""


def stream(made: Market, orders: int, parts: int) -> list[Part]:
    """Send so many orders through one replay of one symbol, `PER_ROW` at each close: one at the market, one that rests
    above or below and one that is triggered there, both with a time of expiry, and one far off that is amended a row
    later and cancelled another row later."""
    account = Replay(ours.setup(made))
    account.load(made.panel, 0)
    close = made.column(3).tolist()
    rows = orders // PER_ROW // parts
    aside: deque[int] = deque(maxlen=2)
    found: list[Part] = []
    for part in range(parts):
        record, resident = _recorded(account), _resident()
        begun = time.perf_counter()
        for row in range(part * rows + 1, (part + 1) * rows + 1):
            account.advance(row)
            _send(account, row, close[row - 1], aside)
        taken = time.perf_counter() - begun
        grown = _recorded(account) - record
        now = _resident()
        other = None if now is None or resident is None else now - resident - grown
        found.append(Part(taken, grown, other, len(account.queue)))
    return found


def _send(account: Replay, row: int, price: float, aside: deque[int]) -> None:
    """What is sent at one close; ``aside``: those far off of the last two."""
    lots = STREAM_LOTS if row % 2 else -STREAM_LOTS
    near, until = math.copysign(5e-4, lots), account.now_ms + LIFE_ROWS * MINUTE_MS
    account.send(Ticket(0, lots))
    account.send(Ticket(0, -lots, OrderType.LIMIT, price * (1 + near), tif=TimeInForce.GTD, expires_ms=until))
    account.send(
        Ticket(0, lots, OrderType.STOP_MARKET, stop=price * (1 + 2 * near), tif=TimeInForce.GTD, expires_ms=until)
    )
    if len(aside) == 2:
        account.cancel(aside[0])
    if aside:
        account.amend(aside[-1], limit=price / 2.1)
    aside.append(account.send(Ticket(0, STREAM_LOTS, OrderType.LIMIT, price / 2, post_only=True)))


def _recorded(account: Replay) -> int:
    """Bytes of the journal so far."""
    return (account.flushed + int(account.acct[at.LOGGED])) * at.LOG_WIDTH * 8


def _resident() -> int | None:
    """Bytes of memory that the process has now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    except OSError:
        return None
