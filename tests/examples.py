"""How many examples a test draws."""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """Return ``usual``, or what ``BACKTEST_EXAMPLES`` asks for."""
    return int(os.environ.get("BACKTEST_EXAMPLES", usual))
