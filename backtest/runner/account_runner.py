"""One account and its strategy on their way through the chunks."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np

from backtest.core.errors import Broken, RunError
from backtest.core.records import Record
from backtest.core.times import EPOCH
from backtest.data.panel import Chunk
from backtest.engine import layout as at
from backtest.engine.journal_records import records_of
from backtest.engine.oracle import FIELDS as ORACLE_FIELDS
from backtest.engine.pack import Setup, sample_ms
from backtest.engine.replay import Replay
from backtest.results.excursions import Observer
from backtest.results.mark_divergence import Sight
from backtest.runner.congestion import Usual
from backtest.runner.operator import Act, Operator
from backtest.runner.signals import Decisions
from backtest.strategy import base
from backtest.strategy.account import Account
from backtest.strategy.event_delivery import EventDelivery
from backtest.strategy.events import HOOKS, written
from backtest.strategy.market import Market
from backtest.strategy.session import Session
from backtest.strategy.window import Window

NEAREST, FARTHEST = 1 << 5, 1 << 12
"""Rows that are played ahead of a strategy that has just acted, and at most."""
BEYOND = " is beyond "
"""What the kernels' assertions about the size of an amount or a quantity say (`engine.money`)."""


def hook_bits(strategy: base.Strategy) -> int:
    """Events after whose row the kernels must come back, as bits."""
    written = base.hooks(strategy)
    return sum(bit for hook, (_, bit) in HOOKS.items() if hook in written)


def sight_of(setup: Setup) -> Sight | None:
    """What watches the venue mark; None where that is always the market's."""
    if setup.oracle.plain and not setup.chain.outages:
        return None
    stale_ms = setup.chain.stale_ms
    frozen = [(halt.start_ms, halt.end_ms + stale_ms) for halt in setup.chain.outages]
    late_ms = None if setup.oracle.plain else setup.oracle.delay_ms % setup.interval_ms
    every_ms, holds = sample_ms(setup), setup.oracle.holds
    return Sight(len(setup.symbols), setup.start_ms, setup.interval_ms, every_ms, frozen, holds, late_ms)


def clock(replay: Replay) -> str:
    """The simulated time, as messages show it."""
    when: dt.datetime = EPOCH + dt.timedelta(milliseconds=replay.now_ms)
    return f"{when:%Y-%m-%d %H:%M:%S}Z"


class AccountRunner:
    """Plays chunks for one account: the kernels up to each decision, then the strategy."""

    def __init__(self, strategy: base.Strategy, replay: Replay, decisions: Decisions) -> None:
        self.strategy, self.replay, self._decisions = strategy, replay, decisions
        self._written = base.hooks(strategy)
        setup = replay.setup
        self._window = Window(setup.symbols, decisions.feature_names, setup.funding)
        self._session = Session(replay, self._window)
        self.market, self.account = Market(self._session, strategy.lookback), Account(self._session)
        self._hearing = EventDelivery(replay, self._written)
        self._looked = 0
        steps = np.asarray(setup.step_micro, np.int64)
        self._observer = Observer(steps, setup.start_ms, setup.interval_ms, replay.spool)
        self._sight = sight_of(setup)
        self._bits = hook_bits(strategy)
        self.operator = Operator()
        """What is done by hand."""
        self._done_by_hand, self._stopped = 0, False
        self.usual: Usual | None = None
        """What congestion is measured against, filled in before each chunk is played."""

    def freeze_withdrawals(self, windows: tuple[tuple[int, int], ...]) -> None:
        """Let the venue pay nothing out in ``start_ms <= t < end_ms`` of any of the windows."""
        self._session.frozen = windows

    @property
    def compiled(self) -> bool:
        """Whether its decisions are all made before the replay, so that nothing is called on the way."""
        return "targets" in self._written

    @property
    def each(self) -> bool:
        """Whether the strategy decides at each candle, and so sees the panel itself."""
        return not self.compiled and self._decisions.every_rows == 1

    @property
    def lookback(self) -> int:
        """How many candles the strategy may look back."""
        return self.strategy.lookback

    def start(self) -> None:
        """Call `on_start`, before the first candle."""
        if "on_start" in self._written:
            with self._session:
                self._call("on_start", self.market, self.account)

    def stop(self) -> None:
        """Call `on_stop`, after the last candle."""
        if "on_stop" in self._written:
            with self._session:
                self._call("on_stop", self.market, self.account)

    def play(self, chunk: Chunk) -> None:
        """Play the rows of a chunk."""
        if self.usual is not None:
            self.usual.take(chunk)
        self.replay.load(chunk.panel, chunk.row0 - chunk.tail)
        end = chunk.row0 + chunk.rows
        try:
            self._play_rows(chunk, end)
        except Broken as error:
            if BEYOND not in str(error):
                raise
            # What a strategy may ask for has no bound; what the kernels can count exactly has.
            raise RunError(
                f"{base.place(self.strategy)}, {self.now()}: {error}; trade less, or with less cash"
            ) from error
        self._observer.take(chunk, records_of(at.L_FILL, self.replay.journal(self._looked)), self.replay.fine)
        self._looked = written(self.replay)
        self.replay.forget(min(self._looked, self._read) if self._bits else self._looked)
        self._see(chunk)
        self.replay.fine.clear()

    def _play_rows(self, chunk: Chunk, end: int) -> None:
        with self._session:
            if self.compiled:
                while (row := self._next_act) <= end:
                    self.replay.advance(row)
                    self._step_in()
                self.replay.advance(end)
            elif self.each:
                self._play_each(chunk, end)
            else:
                self._play_every(end)

    @property
    def _read(self) -> int:
        """Rows of the journal that all who listen have looked at."""
        return self._hearing.read

    def _lost(self) -> int:
        """News that the run's end has overtaken."""
        return self._hearing.lost()

    def record(self, counts: dict[str, int]) -> Record:
        """Everything that happened; call it when the last chunk has been played."""
        lost = {"events not delivered before the end": self._lost()} if self._bits else {}
        record = replace(self.replay.record({**counts, **lost}), extremes=self._observer.extremes())
        return record if self._sight is None else replace(record, sight=self._sight.rows())

    def _see(self, chunk: Chunk) -> None:
        """Keep what the venue mark was in the rows of the chunk, where it may not have been the market's."""
        if self._sight is not None:
            panel, setup = self.replay.panel[:, chunk.tail :], self.replay.setup
            market, venue = setup.mark_offset, int(self.replay.run[at.MARK])
            fields = 4 if setup.oracle.plain else ORACLE_FIELDS
            self._sight.take(chunk.row0, panel[:4], panel[market : market + 4], panel[venue : venue + fields])

    def _play_each(self, chunk: Chunk, end: int) -> None:
        """Decide at every candle: the strategy sees the candles of the data."""
        if chunk.volume is None:
            raise Broken("candles without volume, where a strategy sees them")
        first = chunk.row0 - chunk.tail
        replay, market, bits, hearing, window = self.replay, self.market, self._bits, self._hearing, self._window
        table = self._decisions.features
        features = [table.block(n, first, end) for n in range(len(window.features))] if table else []
        columns = [*chunk.panel[:4], chunk.volume, *features, chunk.panel[replay.setup.known_field]]
        window.load(columns, chunk.tail, lambda: replay.row - 1 - first)
        advance, on_candle, account = replay.advance_one, self.strategy.on_candle, self.account
        following, buffer, unread = window.following, window.buffer, self._session.unread
        # Rows before `quiet` are known to be quiet; all before `seen` have been looked at.
        quiet, seen, reach = 0, 0, NEAREST
        acting = self._next_act
        # One turn per candle: every call and every look-up here is paid as often as there are candles. `row` is the
        # number of rows played by the close of this one.
        for row, names in zip(range(chunk.row0 + 1, end + 1), window.rows(), strict=True):
            following(buffer)
            market.symbols = names
            if row > quiet or replay.touched:
                touched = replay.touched
                # How far it pays to play ahead depends on how often the strategy acts.
                reach = NEAREST if touched else min(2 * reach, FARTHEST)
                if row > seen and not (touched or bits):
                    seen = min(row - 1 + reach, end)
                    quiet = replay.ahead(seen)
                if row > quiet or touched:
                    advance()
                    seen = min(row + reach, end)
                    quiet = replay.ahead(seen)
                    if bits:
                        self._hear()
                        quiet = min(quiet, hearing.row)
            replay.row = row
            if row == acting:
                self._step_in()
                acting = self._next_act
            if names and not self._stopped:
                try:
                    on_candle(market, account)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    raise self._failed("on_candle", error) from error
                if unread:
                    self._session.settle()

    def _play_every(self, end: int) -> None:
        """Decide once in so many candles: the strategy sees candles of that length."""
        decisions, replay, market, window = self._decisions, self.replay, self.market, self._window
        if decisions.coarse is None:
            raise Broken("no coarse candles, where a strategy decides on them")
        if replay.row == 0:
            window.open(decisions.coarse, lambda: decisions.coarse_row(replay.row - 1))
        while replay.row < end:
            due = decisions.next_decision(replay.row)
            goal, ready = min(due + 1, end), False
            if replay.row < self._next_act < goal:
                goal = self._next_act
            while replay.row < goal:
                # What was refused before it was sent is heard of after the next row, not with the next event.
                replay.advance(replay.row + 1 if self._unread else min(goal, self._hearing.row + 1))
                market.symbols = window.stand(replay.panel[replay.setup.known_field, replay.j])
                ready = bool(market.symbols)
                self._hear()
            if replay.row == self._next_act:
                self._step_in()
            # A chunk may end between decisions; what happened in its last row is heard all the same.
            if replay.row == due + 1 and ready and not self._stopped:
                self._call("on_candle", market, self.account)

    def _hear(self) -> None:
        """Call the hooks for what has come back since the last time."""
        if self._bits and self._hearing.due and not self._stopped:
            for hook, value in self._hearing.news():
                self._call(hook, value, self.market, self.account)

    @property
    def _next_act(self) -> int:
        """Rows played by the close at which somebody steps in next; beyond all rows where nobody does."""
        setup = self.replay.setup
        if self._done_by_hand == len(self.operator.acts):
            return setup.rows + 1
        when = self.operator.acts[self._done_by_hand][0]
        return max(1, self.replay.row, -(-(when - setup.start_ms) // setup.interval_ms))

    def _step_in(self) -> None:
        """Do by hand what is due at this close."""
        account, now_ms = self.account, self.replay.now_ms
        while self._done_by_hand < len(self.operator.acts) and self.operator.acts[self._done_by_hand][0] <= now_ms:
            act = self.operator.acts[self._done_by_hand][1]
            self._done_by_hand += 1
            account.cancel_all()
            for position in account.positions if act is not Act.CANCEL_ALL else ():
                account.close(position.symbol)
            self._stopped = self._stopped or act is Act.STOP
        self._session.settle()

    @property
    def _unread(self) -> bool:
        """Whether the journal may have something for a hook."""
        return self._bits > 0 and self._hearing.unread

    def _call(self, hook: str, *arguments: Any) -> None:
        try:
            getattr(self.strategy, hook)(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise self._failed(hook, error) from error
        self._session.settle()

    def _failed(self, hook: str, error: BaseException) -> RunError:
        """A failing hook as the one line that the user sees."""
        return base.failed(self.strategy, hook, error, self.now())

    def now(self) -> str:
        """Return the simulated time, as messages show it."""
        return clock(self.replay)
