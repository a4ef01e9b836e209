"""What `market` and `account` of one run lead to, kept where no attribute of theirs leads."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from backtest.engine.replay import Replay
from backtest.strategy.window import Window

if TYPE_CHECKING:
    from backtest.strategy.holdings import Position


class Key:
    """Names a session. It has a number, and no way to the session itself."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass
class Session:
    """One account in a run: the replay, which holds what is to come, and the account's window on it."""

    replay: Replay
    window: Window
    unread: list[weakref.ref[Position]] = field(default_factory=list)
    """Positions given out since the account last changed, whose liquidation price may not have been computed."""

    def __post_init__(self) -> None:
        self.book = self.replay.book.data
        """Read far faster than the array; the kernels never move it."""
        self.first, self.last = self.replay.setup.first_row.tolist(), self.replay.setup.last_row.tolist()
        """By symbol the rows of its first and last candle."""

    def settle(self) -> None:
        """Compute what positions still show of the account as it is; call it before that changes."""
        for reference in self.unread:
            position = reference()
            if position is not None:
                _ = position.liquidation_price
        self.unread.clear()


SESSIONS: dict[int, Session] = {}
"""By number of the key, while the key lives. Reached by an import alone, as the files of the data are."""
_NUMBERS = count()


def register(session: Session) -> Key:
    """Return a new key of a session."""
    key = Key(next(_NUMBERS))
    SESSIONS[key.number] = session
    weakref.finalize(key, SESSIONS.pop, key.number, None).atexit = False
    return key


def replay_of(key: Key) -> Replay:
    """Return the replay of a key's session."""
    return SESSIONS[key.number].replay


def settled(key: Key) -> Replay:
    """Return the replay of a key's session, whose account is about to change: positions given out are settled."""
    session = SESSIONS[key.number]
    session.settle()
    return session.replay
