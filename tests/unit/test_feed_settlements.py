"""Which settlements are missing, and which only look so."""

from __future__ import annotations

import numpy as np
import pytest

from backtest.data.settlements import expected_intervals, missing_settlements


def missing(hours: list[float], first: float, end: float, default: float = 8) -> list[float]:
    """In hours instead of milliseconds."""
    stamps = (np.array(hours) * 3_600_000).astype(np.int64)
    found = missing_settlements(stamps, int(first * 3_600_000), int(end * 3_600_000), int(default * 3_600_000))
    return (found / 3_600_000).tolist()


@pytest.mark.parametrize(
    ("hours", "span", "want"),
    [
        ([0, 8, 16, 24, 32], (0, 40), []),
        ([0, 8, 24, 32, 40], (0, 48), [16]),
        ([0, 8, 40, 48, 56, 64], (0, 72), [16, 24, 32]),
        # Before the first and after the last the grid goes on, within the life: its end is not a part of it.
        ([16, 24, 32], (0, 48), [0, 8, 40]),
        ([16, 24, 32], (1, 41), [8, 40]),
        ([16, 24, 32], (20, 30), []),
        # Data that end before the symbol's life begins, or begin after it: all of the life is missing.
        ([0, 8, 16], (30, 50), [32, 40, 48]),
        ([64, 72, 80], (30, 50), [32, 40, 48]),
        # Switches are not holes: 8 h to 4 h to 1 h, and back.
        ([0, 8, 16, 24, 32, 36, 40, 44, 48, 49, 50, 51, 52], (0, 53), []),
        ([0, 1, 2, 3, 4, 5, 9, 13, 17, 21, 25], (0, 29), []),
        # A hole within the hours after a switch.
        ([0, 4, 8, 12, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26], (0, 27), [21]),
        # A settlement half an interval late is no hole; three intervals late it is.
        ([0, 8, 20, 28, 36], (0, 44), []),
        # Two stamps tell no interval: it is the default.
        ([0, 24], (0, 32), [8, 16]),
        ([8], (0, 24), [0, 16]),
        ([], (0, 24), []),
    ],
)
def test_missing(hours: list[float], span: tuple[float, float], want: list[float]) -> None:
    assert missing(hours, *span) == want


def test_expected_is_the_median_of_four_gaps_on_each_side() -> None:
    # The fifth gap (240) sees 480 x 4, itself, 60 x 4: the middle of nine is itself.
    gaps = np.array([480, 480, 480, 480, 240, 60, 60, 60, 60])
    # The fourth sees eight: 60 60 60 240 | 480 480 480 480, the upper middle is 480; the sixth 60 60 60 60 | 240 ….
    assert expected_intervals(gaps).tolist() == [480, 480, 480, 480, 240, 240, 60, 60, 60]
