"""The stories of docs/layer2.md, played again on the real data."""

from __future__ import annotations

import pytest

from tests import stories
from tests.survival import data


@pytest.mark.skipif(data() is None, reason="BACKTEST_REAL_DATA does not name a folder with binance_1h_long")
def test_the_page_tells_what_comes_out() -> None:
    assert stories.written(stories.PAGE.read_text(encoding="utf-8")) == stories.table()


@pytest.mark.skipif(data() is None, reason="BACKTEST_REAL_DATA does not name a folder with binance_1h_long")
@pytest.mark.parametrize("book", stories.BOOKS)
def test_the_stale_prices_of_october_cost_nobody(book: str) -> None:
    (story,) = (one for one in stories.STORIES if one.chain == "dydx_chain")
    result = stories.play(stories.BOOKS[book], data(), **story.settings())
    assert result.summary["mark_cost"]["cost"] == 0
