"""What an isolated position posts where nobody sets a leverage: by the venue's default, capped by the market's maximum.

1,000,000 of cash, no fees. The venue asks 2 % to open, which is 50x, and 1 % to stay; its default leverage is 20x. 100
BTC at 10,000 are 1,000,000 and post 50,000; 300 ETH at 1,000 are 300,000 and post 15,000.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import backtest
from tests.scenarios.scenario import Market, both, buy, play, play_both, rows

MARKETS = [Market("BTC", [1e4] * 5), Market("ETH", [1e3] * 5)]
PAIR = both(buy("BTC", 100), buy("ETH", 300))
DEFAULT = "leverage = 20"


def venue(folder: Path, *defaults: str, initial: float = 0.02) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ['name = "own"', 'source = "a test"', "date = 2024-01-01", 'quote = "USDC"', "[defaults]"]
    lines += [f"initial = {initial}", "maintenance = 0.01", "penalty = 0"]
    for text in defaults:
        lines += ["[[default_leverage]]", text]
    file = folder / "own.toml"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def held(
    folder: Path, steps: dict[int, Any], *defaults: str, initial: float = 0.02, **settings: Any
) -> dict[str, float]:
    """Equity of each pool at the end, by pool."""
    named = venue(folder, *defaults, initial=initial)
    asked = {"margin": "isolated", "leverage": None, "cash": 1_000_000, "venue": named, **settings}
    result = play(folder / "data", MARKETS, steps, **asked)
    return dict(rows(result, "margin", "pool", "equity"))


def test_isolated_posts_by_the_default_and_cross_does_not_know_it(tmp_path: Path) -> None:
    assert held(tmp_path / "a", {0: PAIR}, DEFAULT) == {"BTC": 50_000.0, "ETH": 15_000.0}
    named = venue(tmp_path / "b", DEFAULT)
    found = play_both(tmp_path / "b/data", MARKETS, {0: PAIR}, leverage=None, cash=1_000_000, venue=named)
    initial = {r.label: r.tables["equity"]["initial_margin"][-1] for r in found.results}
    assert initial == {"isolated": 65_000.0, "cross": 26_000.0}
    # Maintenance is the same, so the isolated long dies at (1,000,000 - 50,000) / 0.99 and not at 980,000 / 0.99.
    level = [p for symbol, p in rows(found["isolated"], "positions", "symbol", "liquidation_price") if symbol == "BTC"]
    assert level[-1] == pytest.approx(9_595.959596, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "pools"),
    [
        ({"leverage": "max"}, {"BTC": 20_000.0, "ETH": 6_000.0}),
        ({"leverage": 4}, {"BTC": 250_000.0, "ETH": 75_000.0}),
        ({"leverage": 80}, {"BTC": 20_000.0, "ETH": 6_000.0}),  # the market's maximum is 50
        ({"initial": 0.1}, {"BTC": 100_000.0, "ETH": 30_000.0}),  # its maximum is 10, below the default
        ({"margin": "cross,BTC=isolated"}, {"BTC": 50_000.0, "cross": 950_000.0}),
    ],
)
def test_what_is_set_comes_first_and_the_markets_maximum_caps_it(tmp_path: Path, settings: Any, pools: Any) -> None:
    assert held(tmp_path, {0: PAIR}, DEFAULT, **settings) == pools


def test_without_a_default_the_least_is_posted(tmp_path: Path) -> None:
    assert held(tmp_path, {0: PAIR}) == {"BTC": 20_000.0, "ETH": 6_000.0}


@pytest.mark.parametrize(
    ("dates", "posted"),
    [
        (("leverage = 20", "from = 2024-03-01\nleverage = 10"), 100_000.0),
        (("leverage = 20", "from = 2024-03-02\nleverage = 10"), 50_000.0),
        (("from = 2024-03-02\nleverage = 10",), 100_000.0),  # the first holds before its date as well
    ],
)
def test_the_default_is_that_of_the_first_day(tmp_path: Path, dates: tuple[str, ...], posted: float) -> None:
    assert held(tmp_path, {0: buy("BTC", 100)}, *dates) == {"BTC": posted}


def test_a_strategy_sets_another_for_good(tmp_path: Path) -> None:
    def at(leverage: Any) -> Any:
        return lambda _, account: account.set_leverage("BTC", leverage)

    assert held(tmp_path / "a", {0: both(at(5), PAIR)}, DEFAULT) == {"BTC": 200_000.0, "ETH": 15_000.0}
    assert held(tmp_path / "b", {0: both(at("max"), PAIR)}, DEFAULT) == {"BTC": 20_000.0, "ETH": 15_000.0}
    # Also through the cross pool and back: the default does not return.
    there = {0: at(5), 1: lambda _, account: account.set_margin_mode("BTC", "cross")}
    back = {2: lambda _, account: account.set_margin_mode("BTC", "isolated"), 3: buy("BTC", 100)}
    assert held(tmp_path / "c", there | back, DEFAULT) == {"BTC": 200_000.0}
    with pytest.raises(backtest.RunError, match=r'leverage .most.*give a number from 0.01, or "max"'):
        held(tmp_path / "d", {0: at("most")}, DEFAULT)


def test_the_default_comes_and_goes_with_the_pool(tmp_path: Path) -> None:
    def to(mode: str) -> Any:
        return lambda _, account: account.set_margin_mode("BTC", mode)

    steps = {0: both(to("cross"), buy("BTC", 100))}
    assert held(tmp_path / "a", steps, DEFAULT, cash=30_000) == {
        "cross": 30_000.0
    }  # 2 % is 20,000, 5 % would be 50,000
    steps = {0: both(to("isolated"), buy("BTC", 100))}
    assert held(tmp_path / "b", steps, DEFAULT, margin="cross") == {"BTC": 50_000.0}


def test_isolation_by_share_takes_the_default_along(tmp_path: Path) -> None:
    # BTC is 10,000 of 13,000 of maintenance. Its pool gets 50,000, if what is left covers the 2 % of ETH, 6,000.
    apart = {"BTC": 50_000.0, "cross": 6_000.0}
    asked = {"margin": "cross", "isolate_above": 0.5}
    assert held(tmp_path / "a", {0: PAIR}, DEFAULT, cash=56_000, **asked) == apart
    assert held(tmp_path / "b", {0: PAIR}, DEFAULT, cash=55_999, **asked) == {"cross": 55_999.0}
    # Closed, it belongs to the cross pool again, which needs 20,000 for it and not 50,000.
    again = {0: PAIR, 2: lambda _, account: account.close("BTC"), 3: both(buy("BTC", 100))}
    assert held(tmp_path / "c", again, DEFAULT, cash=56_000, **asked) == apart
