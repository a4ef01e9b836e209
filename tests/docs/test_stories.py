"""The stories of docs/explanation/layer2.md, played again on the real data."""

from __future__ import annotations

import pytest

from tests.docs import stories
from tests.docs.survival import data


@pytest.mark.skipif(data() is None, reason="BACKTEST_REAL_DATA does not name a folder with binance_1h_long")
def test_the_page_tells_what_comes_out() -> None:
    assert stories.written(stories.PAGE.read_text(encoding="utf-8")) == stories.table()


@pytest.mark.skipif(data() is None, reason="BACKTEST_REAL_DATA does not name a folder with binance_1h_long")
def test_the_mark_that_stood_still_in_october_is_felt_in_funding_alone() -> None:
    (story,) = (one for one in stories.STORIES if one.chain == "dydx_chain")
    costs = []
    for book in stories.BOOKS.values():
        result = stories.play(book, data(), **story.settings())
        known = result.summary["mark_cost"]
        costs.append(round(known["cost"], 2))
        assert abs(known["cost"] - known["flows"]["funding"]) < 0.06  # of the pair a size or two is another
        assert result.metrics["pool_liquidations"] == known["by_market"]["pool_liquidations"]
    assert costs == [-2.92, 0, 0, -0.19]
