"""How worker processes run the kernels: together they may be worth machine code where one run alone is not."""

from __future__ import annotations

import os

from backtest.engine import cache, tier
from backtest.engine.builder import build

ONE = "1"


def worker_environment(candles: int, workers: int) -> dict[str, str]:
    """The environment of workers that replay so many candles in all.

    Compiles the kernels first where they are not and interpreting all runs would take longer: no two workers compile.
    """
    around = {"POLARS_MAX_THREADS": os.environ.get("POLARS_MAX_THREADS", ONE)}
    if tier.asked() != tier.AUTO:
        return around
    each_s = candles * tier.CELL_S / workers
    if cache.missing() and each_s > tier.BUILD_S and not cache.refusal():
        build()
    if each_s > tier.LOAD_S and not cache.missing():
        around[tier.VARIABLE] = tier.COMPILED
    return around
