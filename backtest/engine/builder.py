"""Compiles the kernels in a process of its own while this one goes on."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Callable

from backtest.engine import cache

NICER = 5
"""How much the process gives way to others."""
UNKEPT = 3
"""The exit code of one that could keep nothing."""


class Builder:
    """At most one such process. It ends with this one, and each kernel that it has finished by then is kept."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._refusal = ""

    def start(self) -> None:
        """Begin, if it has not begun."""
        if self._process is None:
            # Its standard input is a pipe that nobody writes to: it closes with this process, whatever ends that.
            self._process = subprocess.Popen(  # noqa: S603  this module, by this Python
                [sys.executable, *["-O"] * sys.flags.optimize, "-m", __name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            atexit.register(self.stop)

    @property
    def runs(self) -> bool:
        """Whether kernels are being compiled now."""
        return self._process is not None and self._process.poll() is None

    @property
    def refusal(self) -> str:
        """Why it ended without keeping anything; empty when it has not."""
        process = self._process
        if not self._refusal and process is not None and process.poll() == UNKEPT and process.stdout is not None:
            self._refusal = process.stdout.read().decode()
            process.stdout.close()
        return self._refusal

    def stop(self) -> None:
        """End it and wait until it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


BUILDER = Builder()


def build(told: Callable[[str, int, int], None] | None = None) -> str:
    """Compile every kernel that Python calls and that is not in the cache yet, or is damaged there.

    ``told`` is called with a kernel's name, its number and how many there are, before each. Returns
    why they cannot be kept, where compiling more would be in vain; empty when all are.
    """
    import backtest.engine.replay  # noqa: F401  every kernel is defined by now
    from backtest.engine import fine
    from backtest.engine.machine import entry

    if cache.unkept():
        return cache.unkept()
    # What is needed by a drill alone takes longest, and comes last.
    absent = sorted([*cache.missing(), *cache.damaged()], key=lambda kernel: kernel.__module__ == fine.__name__)
    for number, kernel in enumerate(absent):
        if told is not None:
            told(kernel.__name__, number, len(absent))
        entry(kernel)
        if cache.unkept():
            break
    return cache.unkept()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICER)
    sys.stdout.write(build())
    sys.stdout.flush()
    os._exit(UNKEPT if cache.unkept() else 0)  # the thread still reads
