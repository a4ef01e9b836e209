"""Several strategies on their way through the chunks, over one account (docs/reference/rules-shared-margin.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.data.panel import Chunk
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.engine.replay import Replay
from backtest.runner.account_runner import AccountRunner, clock, hook_bits
from backtest.runner.signals import Decisions
from backtest.strategy import base
from backtest.strategy.account import Account
from backtest.strategy.event_delivery import EventDelivery
from backtest.strategy.market import Market
from backtest.strategy.session import Session
from backtest.strategy.window import Window


class Seat:
    """One of the strategies: its markets, what it sees of them, and its virtual account."""

    def __init__(
        self, number: int, strategy: base.Strategy, decisions: Decisions, replay: Replay, over: Selection
    ) -> None:
        """``over``: the markets and rows of the account, among which the strategy's are."""
        own = decisions.selection
        self.number, self.strategy, self.replay, self._decisions = number, strategy, replay, decisions
        self.written = base.hooks(strategy)
        self._columns = [over.symbols.index(symbol) for symbol in own.symbols]
        self._first = (own.start_ms - over.start_ms) // own.interval_ms
        """Row of the account that is the strategy's row 0."""
        self._window = Window(own.symbols, decisions.feature_names, own.funding)
        self.session = Session(replay, self._window, number, own.symbols)
        self.market, self.account = Market(self.session, strategy.lookback), Account(self.session)
        self.hearing = EventDelivery(replay, self.written, number)
        self._names: Iterator[tuple[str, ...]] = iter(())
        self._targets = self._by_row()

    @property
    def compiled(self) -> bool:
        """Whether its targets are known before the replay."""
        return "targets" in self.written

    @property
    def each(self) -> bool:
        """Whether the strategy decides at each candle, and so sees the panel itself."""
        return not self.compiled and self._decisions.every_rows == 1

    def take(self, chunk: Chunk) -> None:
        """Take the rows of a chunk."""
        if self.each:
            if chunk.volume is None:
                raise Broken("candles without volume, where a strategy sees them")
            first = chunk.row0 - chunk.tail
            columns = [*chunk.panel[:4], chunk.volume]
            table, count = self._decisions.features, len(self._window.features)
            features = [self._features(n, first, chunk.row0 + chunk.rows) for n in range(count)] if table else []
            known = chunk.panel[self.replay.setup.known_field]
            mine = [*(column[:, self._columns] for column in columns), *features, known[:, self._columns]]
            self._window.load(mine, chunk.tail, lambda: self.replay.row - 1 - first)
            self._names = self._window.rows()
        elif not self.compiled and chunk.row0 == 0:
            if self._decisions.coarse is None:
                raise Broken("no coarse candles, where a strategy decides on them")
            self._window.open(self._decisions.coarse, lambda: self._decisions.coarse_row(self._row))

    def decide(self) -> None:
        """Show the row that closed last, tell what has happened, and let the strategy decide if it is time."""
        row, ready = self._row, False
        if self.each:
            self.market.symbols = next(self._names)
            self._window.following(self._window.buffer)  # lies ready behind the names
            ready = bool(self.market.symbols)
        elif not self.compiled and 0 <= row < self._decisions.selection.rows:
            due = self._decisions.next_decision(row) == row
            if due or self.hearing.due:
                marks = self.replay.panel[self.replay.setup.known_field, self.replay.j][self._columns]
                self.market.symbols = self._window.stand(marks)
                ready = due and bool(self.market.symbols)
        self._hear()
        if self.compiled:
            self._aim(row)
        elif ready:
            self.call("on_candle", self.market, self.account)

    def call(self, hook: str, *arguments: Any) -> None:
        """Call a hook, if it is written; what it sends is the strategy's."""
        if hook not in self.written:
            return
        self.replay.acct[at.SENDER] = self.number
        try:
            getattr(self.strategy, hook)(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise base.failed(self.strategy, hook, error, clock(self.replay)) from error
        self.session.settle()

    @property
    def _row(self) -> int:
        """The strategy's row that closed last."""
        return self.replay.row - 1 - self._first

    def _hear(self) -> None:
        if self.hearing.due and hook_bits(self.strategy):
            for hook, value in self.hearing.news():
                self.call(hook, value, self.market, self.account)

    def _aim(self, row: int) -> None:
        """Send what the targets of the row ask for."""
        self.replay.acct[at.SENDER] = self.number
        for symbol, amount in self._targets.get(row, ()):
            self.replay.target(self._columns[symbol], self._decisions.target_kind, amount)

    def _by_row(self) -> dict[int, list[tuple[int, float]]]:
        found: dict[int, list[tuple[int, float]]] = {}
        for row, symbol, amount in self._decisions.targets.tolist():
            found.setdefault(int(row), []).append((int(symbol), amount))
        return found

    def _features(self, n: int, first: int, end: int) -> NDArray[np.float64]:
        """A feature in the account's rows from ``first`` to before ``end``; NaN outside of the strategy's own."""
        table = self._decisions.features
        if table is None:
            raise Broken("features without a table")
        values = np.full((end - first, len(self._columns)), np.nan)
        begin, stop = max(first, self._first), min(end, self._first + table.rows)
        if begin < stop:
            values[begin - first : stop - first] = table.block(n, begin - self._first, stop - self._first)
        return values


class SharedRunner(AccountRunner):
    """Plays chunks for one account that several strategies trade: row by row, and then each of them in turn."""

    def __init__(self, strategy: base.Strategy, replay: Replay, decisions: Decisions) -> None:
        super().__init__(strategy, replay, decisions)
        self._seats: list[Seat] = []

    def seat(self, strategies: Sequence[tuple[base.Strategy, Decisions]]) -> None:
        """Take the strategies, in the order in which they decide."""
        over = self._decisions.selection
        self._seats = [Seat(s, one, decided, self.replay, over) for s, (one, decided) in enumerate(strategies)]
        self._bits = self.replay.hooks

    @property
    def compiled(self) -> bool:
        """Whether nothing is called on the way: the targets of several strategies are sent from here."""
        return False

    @property
    def each(self) -> bool:
        """Whether one of them sees the panel itself."""
        return any(seat.each for seat in self._seats)

    @property
    def lookback(self) -> int:
        """How many candles those reach back who see the panel."""
        return max((seat.strategy.lookback for seat in self._seats if seat.each), default=0)

    def start(self) -> None:
        """Call `on_start` of each."""
        self._tell("on_start")

    def stop(self) -> None:
        """Call `on_stop` of each."""
        self._tell("on_stop")

    def _tell(self, hook: str) -> None:
        for seat in self._seats:
            with seat.session:
                seat.call(hook, seat.market, seat.account)

    def _play_rows(self, chunk: Chunk, end: int) -> None:
        with ExitStack() as open_now:
            for seat in self._seats:
                open_now.enter_context(seat.session)
                seat.take(chunk)
            for row in range(self.replay.row + 1, end + 1):
                self.replay.advance(row)
                for seat in self._seats:
                    seat.decide()

    @property
    def _read(self) -> int:
        return min(seat.hearing.read for seat in self._seats if hook_bits(seat.strategy))

    def _lost(self) -> int:
        return sum(seat.hearing.lost() for seat in self._seats if hook_bits(seat.strategy))
