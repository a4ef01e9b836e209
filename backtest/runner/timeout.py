"""The time that a command may take: when it is over, whatever runs is ended, a strategy's endless loop included."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from backtest.core.errors import RunError
from backtest.runner.watchdog import called

T = TypeVar("T")

AGAIN_S = 1.0
"""Until a strategy that has caught the exception in a hook is given it again."""
ANYWHERE = 10
"""Every so many times it is also given outside of hooks; what is cleaned up on the way out takes less."""


class TimedOut(KeyboardInterrupt):
    """The time is over. As after Ctrl-C, a strategy that catches every `Exception` does not stop it."""

    stood: str = ""
    """Simulated time of the replay that it ended; empty outside of one."""


def within(seconds: float | None, act: Callable[[], T]) -> T:
    """Return what ``act`` does; RunError if it is not done after so many seconds. None: it has all the time."""
    if seconds is None:
        return act()
    alarm = SignalAlarm() if SignalAlarm.possible() else ThreadAlarm()
    try:
        alarm.start(seconds)
        try:
            return act()
        finally:
            alarm.stop()
    except TimedOut as over:
        alarm.stop()  # it may have come before the first time had any effect
        stood = f": the replay was at {over.stood}" if over.stood else ""
        raise RunError(f"stopped after {seconds:g} s (--timeout){stood}; nothing was written") from None


def due(frame: FrameType | None, times: int) -> bool:
    """Whether to raise once more in a thread with this innermost frame, having done or left it so many times."""
    return times % ANYWHERE == 0 or called(frame) is not None


class SignalAlarm:
    """Raises by a signal, which ends a sleep as well. In the main thread alone, and where the signal is not in use."""

    def __init__(self) -> None:
        self._times = 0

    @staticmethod
    def possible() -> bool:
        """Whether this thread may use the signal."""
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
            return False
        return signal.getsignal(signal.SIGALRM) == signal.SIG_DFL and not any(signal.getitimer(signal.ITIMER_REAL))

    def start(self, seconds: float) -> None:
        """Raise after so many seconds, and again until it is stopped."""
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)

    def stop(self) -> None:
        """Raise no more."""
        self._times = -1
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _ring(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  a signal handler's signature
        if self._times < 0:
            return
        self._times += 1
        if due(frame, self._times - 1):
            raise TimedOut


class ThreadAlarm:
    """Raises from a second thread, as soon as the first one is back in Python code."""

    def __init__(self) -> None:
        self._ended = threading.get_ident()
        self._over = threading.Event()
        self._seconds = 0.0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._wait, name="timeout", daemon=True)

    def start(self, seconds: float) -> None:
        """Raise after so many seconds, and again until it is stopped."""
        self._seconds = seconds
        self._thread.start()

    def stop(self) -> None:
        """Raise no more."""
        with self._lock:
            self._over.set()
            _raise(self._ended, None)  # what was given and has not arrived
        self._thread.join()

    def _wait(self) -> None:
        times, wait = 0, self._seconds
        while not self._over.wait(wait):
            frame = sys._current_frames().get(self._ended)
            with self._lock:
                if not self._over.is_set() and due(frame, times):
                    _raise(self._ended, TimedOut)
            times, wait = times + 1, AGAIN_S


def _raise(thread: int, error: type[BaseException] | None) -> None:
    """Raise in a thread by its number; None takes back what has not arrived yet."""
    what = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
