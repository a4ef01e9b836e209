"""The account once more on another history of the venue: what it is compared with, and nothing that it needs."""

from __future__ import annotations

from collections.abc import Callable

from backtest.core.errors import RunError, UserError
from backtest.data.panel import Chunk
from backtest.runner.account_runner import AccountRunner


class Counterfactual(AccountRunner):
    """Plays after an account of the same strategy. Where it cannot be played on, as the account could, it stops."""

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
        self._try(lambda: super(Counterfactual, self).play(chunk))

    def _try(self, act: Callable[[], None]) -> None:
        if self.failure:
            return
        try:
            act()
        except (RunError, UserError) as error:  # a settlement may be missing that the account did not need
            self.failure = str(error)
