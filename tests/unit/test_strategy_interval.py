"""Interval text and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.core import durations
from backtest.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "ms"),
    [("1m", 60_000), ("90s", 90_000), ("8h", 28_800_000), ("1d", 86_400_000), (" 5m ", 300_000), ("250ms", 250)],
)
def test_reads(text, ms):
    assert durations.parse(text) == ms


@pytest.mark.parametrize("text", ["", "h", "1", "0m", "-5m", "1.5h", "1H", "1M", "1h30m", "1 h", "١m", 5, None])
def test_refuses_in_one_line_with_the_place(text):
    with pytest.raises(UserError, match=r"my\.toml: .* is not an interval; write a whole number") as caught:
        durations.parse(text, "my.toml")
    assert "\n" not in str(caught.value)


def test_writes_the_largest_unit_that_fits():
    assert [durations.text(ms) for ms in (3_600_000, 5_400_000, 90_000, 172_800_000, 1)] == [
        "1h", "90m", "90s", "2d", "1ms",
    ]  # fmt: skip


@given(st.integers(1, 10**12))
def test_what_is_written_is_read_back(ms):
    assert durations.parse(durations.text(ms)) == ms
