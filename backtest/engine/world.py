"""What kernels work on: the arrays of an account, given together (columns in `layout`, `limit` and `virtual`)."""

from __future__ import annotations

from typing import ClassVar

from backtest.engine.compile import Bundle
from backtest.engine.layout import Floats, Floats3, Ints


class World(Bundle):
    """One account's arrays; shapes in `layout`, of `limits` in `limit`."""

    ARRAYS: ClassVar[dict[str, tuple[str, int]]] = {
        "panel": ("f8", 3),
        "book": ("i8", 2),
        "acct": ("i8", 1),
        "spec": ("f8", 2),
        "run": ("f8", 1),
        "queue": ("f8", 2),
        "numbered": ("i8", 1),
        "heaps": ("f8", 3),
        "blocks": ("i8", 2),
        "log": ("f8", 2),
        "curve": ("f8", 2),
        "funding": ("f8", 2),
        "targets": ("f8", 2),
        "calendar": ("f8", 2),
        "guards": ("f8", 2),
        "bars": ("f8", 3),
        "depth": ("f8", 3),
        "fees": ("f8", 2),
        "turnover": ("i8", 1),
        "ways": ("f8", 2),
        "outages": ("f8", 2),
        "gas": ("f8", 2),
        "limits": ("i8", 2),
        "usual": ("f8", 2),
        "still": ("f8", 3),
        "fresh": ("f8", 2),
        "soft": ("f8", 2),
        "seen": ("f8", 1),
        "lowest": ("f8", 1),
        "now": ("f8", 3),
        "volatility": ("f8", 2),
        "virtual": ("i8", 2),
        "margin_limits": ("f8", 1),
    }
    panel: Floats3
    book: Ints
    acct: Ints
    spec: Floats
    run: Floats
    queue: Floats
    numbered: Ints
    heaps: Floats3
    blocks: Ints
    log: Floats
    curve: Floats
    funding: Floats
    targets: Floats
    calendar: Floats
    guards: Floats
    bars: Floats3
    depth: Floats3
    fees: Floats
    turnover: Ints
    ways: Floats
    outages: Floats
    gas: Floats
    limits: Ints
    usual: Floats
    still: Floats3
    fresh: Floats
    soft: Floats
    seen: Floats
    lowest: Floats
    now: Floats3
    volatility: Floats
    virtual: Ints
    margin_limits: Floats
