"""Whether an account's kernels are interpreted or machine code: a choice of each replay, which changes no result.

Loading machine code takes about a second and making it about a minute, so a short replay is over sooner without. What
is chosen by the size of a replay is looked at again while it is interpreted, by the time that this takes. Time decides
here only how fast the results come, never what they are.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from backtest.core.errors import UserError, nearest
from backtest.engine import cache
from backtest.engine.builder import BUILDER
from backtest.engine.compile import CALLED
from backtest.engine.row import advance

AUTO, COMPILED, INTERPRETED = CHOICES = ("auto", "compiled", "interpreted")
VARIABLE = "BACKTEST_KERNELS"
CELL_S = 8e-6
"""What a symbol's candle takes when it is interpreted, about: a quiet one less, one that trades much more."""
LOAD_S = 1.0
"""Interpreted seconds that are worth loading machine code, which takes about as long."""
BUILD_S = 60.0
"""Interpreted seconds that are worth making it meanwhile, which takes about as long on another core."""
LOOK_S = 0.25
"""Interpreted seconds between two looks at how long the rest will take."""


def asked() -> str:
    """`auto`, `compiled` or `interpreted`, as the user's environment says; UserError for anything else."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return INTERPRETED
    choice = os.environ.get(VARIABLE) or AUTO
    if choice not in CHOICES:
        raise UserError(f"unknown choice {choice!r}", f"the environment variable {VARIABLE}", nearest(choice, CHOICES))
    return choice


def compiling() -> str:
    """Where kernels are being compiled, or are about to be: `here` where the replay waits, `beside`, or nowhere."""
    if asked() == COMPILED and not cache.holds(advance):
        return "" if cache.unkept() else "here"  # `cache` says so itself where nothing can be kept
    return "beside" if BUILDER.runs else ""


def _nowhere() -> int:
    return 0


def _nothing() -> None:
    pass


class Tier:
    """How the kernels of one account are played."""

    def __init__(
        self,
        rows: int = 0,
        symbols: int = 0,
        played: Callable[[], int] = _nowhere,
        changed: Callable[[], None] = _nothing,
    ) -> None:
        """``played`` says how many of the ``rows`` have been; ``changed`` is called when `code` may have better."""
        choice = asked()
        self._free, self._played, self._changed = choice == AUTO, played, changed
        self._rows, self._spent_s, self._look_s = rows, 0.0, LOOK_S
        self.compiled = choice == COMPILED
        """Whether machine code is used where it is at hand."""
        self._in_memory = False
        """Whether it is made where it is not at hand, because it cannot be kept."""
        if self._free:
            self._choose(rows * symbols * CELL_S)

    def code(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """What to call for a kernel until `changed`: machine code, where it is at hand or has to be."""
        if self.compiled and kernel in CALLED and (not self._free or self._in_memory or cache.holds(kernel)):
            from backtest.engine.machine import entry

            return entry(kernel)
        return partial(self._interpret, kernel)

    def _interpret(self, kernel: Callable[..., Any], *arguments: Any) -> Any:
        begun = time.thread_time()
        # Machine code divides by zero and overflows without a word.
        with np.errstate(all="ignore"):
            made = kernel(*arguments)
        self._spent_s += time.thread_time() - begun
        if self._spent_s > self._look_s and self._free:
            self._look_s = self._spent_s + LOOK_S
            played = max(1, self._played())
            self._choose(self._spent_s / played * (self._rows - played))
        return made

    def _choose(self, rest_s: float) -> None:
        """Choose by what is left, in seconds if it is interpreted."""
        if rest_s > BUILD_S and cache.missing():
            BUILDER.start()
            if BUILDER.refusal:
                cache.warn_unkept(BUILDER.refusal)
                self._in_memory = True
        loads = rest_s > LOAD_S or "backtest.engine.machine" in sys.modules
        if self._in_memory or (loads and cache.holds(advance)):
            self.compiled = True
            self._changed()
