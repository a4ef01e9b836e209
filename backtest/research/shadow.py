"""The account once more on another history of the venue: what the first is compared with, and nothing that it needs."""

from __future__ import annotations

from collections.abc import Callable

from backtest.errors import RunError
from backtest.feed.panel import Chunk
from backtest.research.player import Player


class Shadow(Player):
    """Plays beside an account of the same strategy. Where its strategy fails and the account's does not it stops."""

    failure: str = ""
    """Why it has stopped."""

    def start(self) -> None:
        """Call `on_start`."""
        self._try(super().start)

    def stop(self) -> None:
        """Call `on_stop`."""
        self._try(super().stop)

    def play(self, chunk: Chunk) -> None:
        """Play the rows of a chunk."""
        self._try(lambda: super(Shadow, self).play(chunk))

    def _try(self, act: Callable[[], None]) -> None:
        if self.failure:
            return
        try:
            act()
        except RunError as error:
            self.failure = str(error)
