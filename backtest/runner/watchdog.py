"""A look at a replay from beside it: which hook of a strategy has not returned for a while, and at which candle.

Nothing is noted while a candle is replayed: a second thread reads the stack of the one that replays. It counts its
looks and asks no clock, and what it says goes to standard error alone.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

import backtest.engine as engine
from backtest.runner.account_runner import AccountRunner
from backtest.strategy import account, base, session, window

LOOK_S = 1.0
"""Between two looks."""
LOOKS = 10
"""In a row at one call of a hook, before it is told."""
CALLERS = {AccountRunner._play_each.__code__, AccountRunner._call.__code__}
"""What calls hooks."""
OWN = (
    str(Path(engine.__file__).parent), account.__file__, session.__file__, window.__file__,
    AccountRunner.play.__code__.co_filename,
)  # fmt: skip
"""Files that it calls as well."""


class Watch:
    """Tells of a hook that does not return, once a call, while the thread that entered it replays."""

    def __init__(self) -> None:
        self._watched = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        seen: FrameType | None = None
        looks = 0
        while not self._over.wait(LOOK_S):
            # Held until the next look: no later call can be taken for this one.
            now = called(sys._current_frames().get(self._watched))
            looks = looks + 1 if now is not None and now is seen else 0
            seen = now
            if now is not None and looks == LOOKS:
                say(told(now, round(LOOKS * LOOK_S)))


def say(line: str) -> None:
    """Write a line to standard error, where there is one."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def called(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the hook that a thread with this innermost frame is in; None outside of hooks."""
    while frame is not None and frame.f_back is not None:
        if frame.f_back.f_code in CALLERS:
            return None if frame.f_code.co_filename.startswith(OWN) else frame
        frame = frame.f_back
    return None


def told(frame: FrameType, seconds: int) -> str:
    """Return the line about a hook, of its frame, that has not returned for so long."""
    caller = frame.f_back.f_locals if frame.f_back else {}  # it is what `called` has found it by
    player, hook = caller["self"], caller.get("hook", "on_candle")
    where = f"{base.place(player.strategy)}, line {frame.f_lineno}"
    said = f"{hook} has not returned for {seconds} s: {where}, at {player.now()}"
    return f"{said} (Ctrl-C ends the run)"
