"""What a strategy's hooks hear, and when: what has happened takes its time back (rules-layer2.md section 2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np

from backtest.core.enums import NO_ORDER
from backtest.engine import layout as at
from backtest.engine.replay import Replay
from backtest.engine.way import draw, whole_ms
from backtest.strategy.events import Event, since, value, written
from backtest.strategy.shared_events import since_shared
from backtest.venues.chain import Latency

FAR = 1 << 60
"""A row that no run has."""
NO_SYMBOL = -1


class EventDelivery:
    """The news of one account on their way to the hooks of its strategy.

    Without a way back they are heard at the close of the row in which they happened. With one they are heard at the
    first close not before their time and their way, in order of the journal: one that takes long holds up those behind.
    """

    def __init__(self, replay: Replay, hooks: frozenset[str], strategy: int | None = None) -> None:
        """``strategy``: number of the one whose news they are, of a shared account."""
        self.row = FAR
        """The row at whose close the next of the news underway is heard; `FAR`: none is underway."""
        self._replay, self._hooks, self._strategy = replay, hooks, strategy
        self._travel = replay.setup.chain.back != Latency()
        self._underway: deque[tuple[int, str, np.void]] = deque()
        self.read = 0
        """Rows of the journal that were looked at."""

    @property
    def unread(self) -> bool:
        """Whether the journal has rows that were not looked at."""
        return written(self._replay) > self.read

    @property
    def due(self) -> bool:
        """Whether something may be heard now."""
        return self.unread or self.row < self._replay.row

    def news(self) -> list[tuple[str, Event]]:
        """`(hook, value)` of what is heard at the last close."""
        fresh = self._since()
        heard = list(fresh) if not self._travel else self._arrived(fresh)
        self.read = written(self._replay)
        return [(hook, value(self._replay, hook, record)) for hook, record in heard]

    def lost(self) -> int:
        """How many are never heard because the run is over first; without a way back nobody waits for them."""
        if not self._travel:
            return 0
        return len(self._underway) + sum(1 for _ in self._since())

    def _since(self) -> Iterator[tuple[str, np.void]]:
        if self._strategy is None:
            return since(self._replay, self.read, self._hooks)
        return since_shared(self._replay, self.read, self._hooks, self._strategy)

    def _arrived(self, fresh: Iterator[tuple[str, np.void]]) -> list[tuple[str, np.void]]:
        """Send what is new on its way; what has arrived by now."""
        for hook, record in fresh:
            self._underway.append((int(record["ts_ms"]) + self._way(record), hook, record))
        heard = []
        # Only the first is looked at: what is behind it does not overtake it.
        while self._underway and self._underway[0][0] <= self._replay.now_ms:
            heard.append(self._underway.popleft()[1:])
        setup = self._replay.setup
        after = self._underway[0][0] - setup.start_ms if self._underway else 0
        self.row = -(-after // setup.interval_ms) - 1 if self._underway else FAR
        return heard

    def _way(self, record: np.void) -> int:
        """How long it takes, ms: by what happened, so that no other news move it."""
        names = record.dtype.names or ()
        symbol = int(record["symbol"]) if "symbol" in names else NO_SYMBOL
        number = int(record["order_id"]) if "order_id" in names else NO_ORDER
        when = int(record["ts_ms"])
        return int(whole_ms(self._replay.call(draw, at.WAY_BACK, at.WAY_BACK, when, symbol, number)))
