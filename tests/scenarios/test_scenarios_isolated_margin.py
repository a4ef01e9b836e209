"""`--isolated-margin`: what opens an isolated position, where it is not the initial margin (rules.md 6.3).

1,000,000 of cash, no fees. The venue asks 2 % to open and 1 % to stay; its default leverage is 20x. 100 BTC at 10,000
are 1,000,000 and post 50,000 by default; 300 ETH at 1,000 are 300,000 and post 15,000.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest.report.narrative import comparison_words
from backtest.report.outcome import outcome
from tests.scenarios.scenario import Market, both, buy, play, play_both, rows, sell
from tests.scenarios.test_scenarios_leverage import DEFAULT, MARKETS, PAIR, held, venue

FALL = [Market("BTC", [1e4, 1e4, 9e3, 9e3, 9e3])]


@pytest.mark.parametrize(
    ("settings", "pools"),
    [
        ({"isolated_margin": "leverage"}, {"BTC": 50_000.0, "ETH": 15_000.0}),
        ({"isolated_margin": "minimum"}, {"BTC": 20_000.0, "ETH": 6_000.0}),
        ({"isolated_margin": "equal"}, {"BTC": 500_000.0, "ETH": 500_000.0}),
        ({"isolated_margin": 200_000}, {"BTC": 200_000.0, "ETH": 200_000.0}),
        # BTC's initial margin is more than the amount, and posted whole.
        ({"isolated_margin": 30_000}, {"BTC": 50_000.0, "ETH": 30_000.0}),
        ({"isolated_margin": 30_000, "leverage": 4}, {"BTC": 250_000.0, "ETH": 75_000.0}),
        # The first takes 800,000; the second what is left.
        ({"isolated_margin": 800_000}, {"BTC": 800_000.0, "ETH": 200_000.0}),
        # Half of the deposit is for each market, whichever way it is held.
        ({"isolated_margin": "equal", "margin": "cross,BTC=isolated"}, {"BTC": 500_000.0, "cross": 500_000.0}),
    ],
)
def test_what_opens_a_position(tmp_path: Path, settings: Any, pools: Any) -> None:
    assert held(tmp_path, {0: PAIR}, DEFAULT, **settings) == pools


@pytest.mark.parametrize(
    ("then", "equity"),
    [
        (buy("BTC", 100), 500_000.0),  # 200 BTC need 100,000: nothing is added
        (buy("BTC", 1_100), 600_000.0),  # 1,200 BTC need 600,000
        (sell("BTC", 50), 500_000.0),  # what was posted stays until the position is closed
        (sell("BTC", 200), 500_000.0),
    ],
)
def test_what_was_posted_stays(tmp_path: Path, then: Any, equity: float) -> None:
    found = held(tmp_path, {0: buy("BTC", 100), 2: then}, DEFAULT, isolated_margin=500_000)
    assert found == {"BTC": equity}


def after_the_fall(folder: Path, amount: float, then: Any) -> dict[str, float]:
    """Equity by pool at the end. 100 BTC from 10,000 to 9,000 lose 100,000; then something is done at 9,000."""
    asked = {"margin": "isolated", "leverage": None, "cash": 1_000_000, "venue": venue(folder, DEFAULT)}
    result = play(folder / "data", FALL, {0: buy("BTC", 100), 2: then}, isolated_margin=amount, **asked)
    return dict(rows(result, "margin", "pool", "equity"))


def test_a_loss_is_not_made_up_but_for_a_new_position(tmp_path: Path) -> None:
    assert after_the_fall(tmp_path / "more", 500_000, buy("BTC", 10)) == {"BTC": 400_000.0}
    assert after_the_fall(tmp_path / "flip", 500_000, sell("BTC", 200)) == {"BTC": 500_000.0}
    # 850,000 are left of what was posted, and 50,000 in the wallet: all of it is less than the amount.
    assert after_the_fall(tmp_path / "all", 950_000, sell("BTC", 200)) == {"BTC": 900_000.0}


def test_both_modes_commit_the_same_capital(tmp_path: Path) -> None:
    """With an equal share posted the isolated long dies only when the share is gone: 1,000,000 / 2 of 1,000,000.

    `liquidation price p`: 500,000 + 100 (p − 10,000) = 1 % of 100 p, so p = 500,000 / 99.
    """
    named = venue(tmp_path, DEFAULT)
    asked = {"leverage": None, "cash": 1_000_000, "venue": named, "isolated_margin": "equal"}
    found = play_both(tmp_path / "data", MARKETS, {0: both(buy("BTC", 100), buy("ETH", 300))}, **asked)
    prices = dict(rows(found["isolated"], "positions", "symbol", "liquidation_price"))
    assert prices["BTC"] == pytest.approx(500_000 / 99)
    posted = found["isolated"].summary["config"]["isolated"]
    assert (posted["amount"], posted["equal"]) == (500_000.0, True)
    assert found["cross"].metrics["final_equity"] == found["isolated"].metrics["final_equity"] == 1_000_000


def test_a_contradiction_and_what_is_no_amount_are_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(backtest.UserError, match=r"contradicts leverage=.*leave one of them out"):
        backtest.run("hedged_pair", data, isolated_margin="minimum", leverage=5)
    for wrong in ("most", 0, -1, float("inf")):
        with pytest.raises(backtest.UserError, match=r"isolated_margin.*leverage, minimum, equal, or a number"):
            backtest.run("hedged_pair", data, isolated_margin=wrong)


def test_positions_opened_again_after_a_liquidation_are_counted(tmp_path: Path) -> None:
    # At 20x each of the first two long positions is liquidated by a fall of 10 %; the third one is held to the end.
    falls = [Market("BTC", [1e4, 1e4, 9e3, 9e3, 8.1e3, 8.1e3, 8.1e3])]
    steps = {row: buy("BTC", 10) for row in (0, 2, 4)}
    asked = {"margin": "isolated", "leverage": None, "cash": 1_000_000, "venue": venue(tmp_path, DEFAULT)}
    result = play(tmp_path / "data", falls, steps, **asked)
    out = outcome(result)
    assert (len(out.losses), out.reopened) == (2, 2)
    many = replace(out, losses=out.losses * 3, reopened=183)
    said = comparison_words([result, result], [many, replace(out, label="cross", losses=(), reopened=0)])
    assert "; 183 positions were opened again after that, and 6 liquidated in all; " in " ".join(said)
