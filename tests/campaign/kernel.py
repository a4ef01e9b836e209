"""A small kernel, so that filling and spoiling the cache of compiled kernels takes no minute each time."""

from __future__ import annotations

from backtest.engine.compile import called


@called
def tripled(number: int) -> int:
    return number * 3
