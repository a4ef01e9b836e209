"""A trader who is away: no decision, no hook, until they are back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from backtest.core.times import EPOCH
from backtest.runner.signals import Decisions
from backtest.strategy import base

Window = tuple[int, int]
"""Closes in ``start_ms <= t < end_ms``."""
OUTSIDE = ("on_start", "on_stop", "features", "targets")
"""Hooks that are no decision."""


def stay_away(strategy: base.Strategy, windows: Sequence[Window]) -> None:
    """Let a strategy, which is this account's alone, decide nothing in the windows; it hears of what happened after."""
    waiting: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def present(market: Any) -> bool:
        now = round((market.now - EPOCH).total_seconds() * 1000)
        return not any(start <= now < end for start, end in windows)

    def heard(call: Callable[..., Any]) -> Callable[..., Any]:
        def hook(*arguments: Any) -> None:
            if not present(arguments[-2]):
                waiting.append((call, arguments))
                return
            while waiting:
                late, told = waiting.pop(0)
                late(*told)
            call(*arguments)

        return hook

    def decided(call: Callable[..., Any]) -> Callable[..., Any]:
        def hook(market: Any, account: Any) -> None:
            if present(market):
                while waiting:
                    late, told = waiting.pop(0)
                    late(*told)
                call(market, account)

        return hook

    for name in base.hooks(strategy):
        if name not in OUTSIDE:
            around = decided if name == "on_candle" else heard
            setattr(strategy, name, around(getattr(strategy, name)))


def without_targets(decisions: Decisions, windows: Sequence[Window]) -> Decisions:
    """The decisions of a strategy with targets, but for those of closes in the windows."""
    s, table = decisions.selection, decisions.targets
    closes = s.start_ms + (table[:, 0] + 1) * s.interval_ms
    away = np.zeros(len(table), np.bool_)
    for start, end in windows:
        away |= (closes >= start) & (closes < end)
    return replace(decisions, targets=table[~away])
