"""What `market` and `account` stand for while their account is played, kept where no attribute of theirs leads."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from backtest.core.errors import UserError
from backtest.engine.limit import LIMIT_BASELINE, LIMIT_LEFT
from backtest.engine.replay import Replay
from backtest.strategy.position import Position
from backtest.strategy.window import Window


class Key:
    """Names a session to those who have been given it: it leads nowhere, and no other is equal to it."""

    __slots__ = ()


@dataclass
class Session:
    """One account in a run: the replay, which has what is to come, and the account's window.

    ``with session:`` its market and account can be used, and no longer: between two chunks other accounts are played,
    for which what this one has seen may lie ahead.
    """

    replay: Replay
    window: Window
    strategy: int = 0
    """Its number among those that share the account."""
    names: tuple[str, ...] | None = None
    """The markets that it may trade; None: all of the account."""
    key: Key = field(default_factory=Key)
    unread: list[weakref.ref[Position]] = field(default_factory=list)
    """Positions given out since the account last changed, whose liquidation price may not have been computed."""

    frozen: tuple[tuple[int, int], ...] = ()
    """Windows, ms, in which the venue pays nothing out."""

    def __post_init__(self) -> None:
        own, rows = self.replay.book, len(self.replay.book)
        if self.replay.setup.margin_limits:
            own = self.replay.world.virtual[self.strategy * rows : (self.strategy + 1) * rows]
        self.book = own.data
        """Its positions, read far faster than the array; the kernels never move it."""
        places = {name: i for i, name in enumerate(self.replay.setup.symbols)}
        self.columns = [places[name] for name in self.window.symbols]
        """Numbers in the replay of the window's symbols."""
        self.first, self.last = self.replay.setup.first_row.tolist(), self.replay.setup.last_row.tolist()
        """By symbol the rows of its first and last candle."""

    def __enter__(self) -> None:
        _OPEN[self.key] = self
        self.window.uncover()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.window.cover()
        del _OPEN[self.key]

    @contextmanager
    def payout(self) -> Iterator[None]:
        """Hold the chain's last withdrawal limit, which is there for it, at nothing while payouts are frozen."""
        replay = self.replay
        if not any(start <= replay.now_ms < end for start, end in self.frozen):
            yield
            return
        kept = replay.world.limits[-1].copy()
        replay.world.limits[-1, [LIMIT_BASELINE, LIMIT_LEFT]] = 0
        try:
            yield
        finally:
            replay.world.limits[-1] = kept

    def settle(self) -> None:
        """Compute what positions still show of the account as it is; call it before that changes."""
        for reference in self.unread:
            position = reference()
            if position is not None:
                _ = position.liquidation_price
        self.unread.clear()


_OPEN: dict[Key, Session] = {}
"""Sessions of the accounts that are being played, one in each thread. An import reaches them, as it does the data."""


def session_of(key: Key) -> Session:
    """Return the session of a key; UserError where its account is not being played."""
    try:
        return _OPEN[key]
    except KeyError:
        remedy = "use the market and the account that the hook is given"
        raise UserError("used outside of its hook", "market or account", remedy) from None


def replay_of(key: Key) -> Replay:
    """Return the replay of a key's session."""
    return session_of(key).replay


def settled(key: Key) -> Replay:
    """Return the replay of a key's session, whose account is about to change: positions given out are settled."""
    session = session_of(key)
    session.settle()
    return session.replay
