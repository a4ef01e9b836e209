"""The stories of docs/layer2.md, played again on the real data."""

from __future__ import annotations

import pytest

from tests import stories
from tests.survival import data


@pytest.mark.skipif(data() is None, reason="BACKTEST_REAL_DATA does not name a folder with binance_1h_long")
def test_the_page_tells_what_comes_out() -> None:
    assert stories.written(stories.PAGE.read_text(encoding="utf-8")) == stories.table()
