"""B3: the same three legs in isolated, cross and portfolio margin; margin-modes.md tells of these numbers.

100,000 of collateral; at 10 % initial and 5 % maintenance three legs of 300,000 each: long BTC, long ETH, short SOL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import Comparison, Strategy
from tests.scenarios.scenario import MINUTE, START, Market, Script, Step, both, buy, column, rows, sell, write

VENUE = """
name = "example"
source = "a test"
date = 2024-01-01
quote = "USDC"

[defaults]
initial = 0.10
maintenance = 0.05

[portfolio]
scan_initial = 0.11
scan_maintenance = 0.055
idio = 0.03
idio_maintenance = 0.5
floor = 0.5
"""
MODES = ("isolated", "cross", "portfolio")
PRICES = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "XRP": 0.5}
LEG = 300_000
"""Notional of a leg, quote."""


def long(symbol: str) -> Step:
    return buy(symbol, LEG / PRICES[symbol])


def short(symbol: str) -> Step:
    return sell(symbol, LEG / PRICES[symbol])


LEGS = both(long("BTC"), long("ETH"), short("SOL"))


def play(folder: Path, steps: dict[int, Step], **settings: Any) -> Comparison:
    data = write(folder, *(Market(symbol, [price] * 5) for symbol, price in PRICES.items()))
    (folder / "venue.toml").write_text(VENUE)
    venue = str(folder / "venue.toml")
    return backtest.compare(
        Script(steps, MINUTE), data, margin=MODES, cash=100_000, venue=venue, allow=("missing-funding",), **settings
    )


def last(found: Comparison, name: str) -> dict[str, float]:
    return {made.label: column(made, "equity", name)[-1] for made in found.results}


def test_b3_a_hedge_makes_the_portfolio_cheaper(tmp_path: Path) -> None:
    found = play(tmp_path, {0: LEGS})
    # Isolated and cross: 3 x 300,000 x 10 % = 90,000.
    # Portfolio: the net is 300,000 + 300,000 - 300,000 = 300,000, the gross 900,000:
    # 11 % x 300,000 + 3 % x 900,000 = 33,000 + 27,000 = 60,000, above the floor of 50 % x 90,000 = 45,000.
    assert last(found, "initial_margin") == {"isolated": 90_000.0, "cross": 90_000.0, "portfolio": 60_000.0}
    assert last(found, "free_collateral") == {"isolated": 10_000.0, "cross": 10_000.0, "portfolio": 40_000.0}
    # In isolated the 90,000 have left the wallet, 30,000 into each pool.
    moved = [row for row in rows(found["isolated"], "ledger", "debit", "credit", "amount_micro") if "pool" in row[0]]
    assert [row for row in moved if row[1] == "wallet"] == [
        (f"pool:{symbol}", "wallet", 30_000_000_000) for symbol in ("BTC", "ETH", "SOL")
    ]
    # Maintenance: 3 x 300,000 x 5 % = 45,000. Portfolio: 5.5 % x 300,000 + 3 % x 0.5 x 900,000 = 16,500 + 13,500,
    # above the floor of 22,500.
    assert last(found, "maintenance_margin") == {"isolated": 45_000.0, "cross": 45_000.0, "portfolio": 30_000.0}


def test_b3_the_rest_carries_another_leg_only_in_portfolio(tmp_path: Path) -> None:
    found = play(tmp_path, {0: LEGS, 1: short("XRP")})
    # A fourth leg would need another 30,000 of the 10,000 that are free. In portfolio the net is now zero:
    # 3 % x 1,200,000 = 36,000, but at least the floor, 50 % x 120,000 = 60,000.
    assert [made.metrics["rejected_orders"] for made in found.results] == [1, 1, 0]
    assert last(found, "initial_margin")["portfolio"] == 60_000.0


def test_b3_without_a_hedge_the_portfolio_asks_for_more(tmp_path: Path) -> None:
    found = play(tmp_path, {0: both(long("BTC"), long("ETH"), long("SOL"))})
    # 11 % x 900,000 + 3 % x 900,000 = 126,000: more than the collateral, so the third leg is refused. With two,
    # 11 % x 600,000 + 3 % x 600,000 = 84,000.
    assert [made.metrics["rejected_orders"] for made in found.results] == [0, 0, 1]
    assert last(found, "initial_margin") == {"isolated": 90_000.0, "cross": 90_000.0, "portfolio": 84_000.0}


def test_b3_closing_the_hedge_is_refused_where_it_adds_risk(tmp_path: Path) -> None:
    # After the hedge is closed: 11 % x 600,000 + 3 % x 600,000 = 84,000 of 100,000: allowed. With the deposit at
    # 80,000 it is not, though 60,000 for the hedged book is.
    data = write(tmp_path, *(Market(symbol, [price] * 5) for symbol, price in PRICES.items()))
    (tmp_path / "venue.toml").write_text(VENUE)
    hedged = both(long("BTC"), short("SOL"), long("ETH"))  # so that no step on the way needs more than 60,000
    steps = {0: hedged, 2: buy("SOL", LEG / PRICES["SOL"])}
    settings: dict[str, Any] = {"venue": str(tmp_path / "venue.toml"), "allow": ("missing-funding",)}
    for cash, closed in ((100_000, True), (80_000, False)):
        made = backtest.run(Script(steps, MINUTE), data, margin="portfolio", cash=cash, **settings)
        assert made.metrics["rejected_orders"] == (0 if closed else 1)
        assert column(made, "equity", "initial_margin")[-1] == (84_000.0 if closed else 60_000.0)


@pytest.mark.parametrize(("threshold", "own"), [(0.5, []), (0.35, ["BTC", "ETH"])])
def test_a_position_that_passes_the_threshold_gets_a_pool(tmp_path: Path, threshold: float, own: list[str]) -> None:
    found = play(tmp_path, {0: both(long("BTC"), sell("SOL", 1_500), buy("ETH", 75))}, isolate_above=threshold)
    # Maintenance 15,000 of BTC, 11,250 of each of the others: 15,000 of 37,500 is a share of 40 %. Once BTC has gone,
    # ETH, the first of equals, has 50 %, which passes 35 % but not 50 %. SOL, left alone, stays.
    pools = {pool for (pool,) in rows(found["cross"], "positions", "pool")}
    assert sorted(pools - {"cross"}) == own


def test_a_kill_switch_closes_a_hedged_book(tmp_path: Path) -> None:
    # 10,000 BTC and -10,000 ETH on 58,000; BTC at 99, ETH at 100.5 leave 43,000. Either leg alone asks for some 50,000
    # of initial margin and 30,000 of maintenance: reduce-only orders may leave it there, so both closes pass.
    class Book(Strategy):
        def on_candle(self, market: Any, account: Any) -> None:
            if market.now_ms == START + MINUTE:
                account.buy("BTC", 10_000)
                account.sell("ETH", 10_000)

    data = write(
        tmp_path, Market("BTC", [100.0, 100.0, 99.0, 99.0, 99.0]), Market("ETH", [100.0, 100.0, 100.5, 100.5, 100.5])
    )
    settings: dict[str, Any] = {"cash": 58_000, "allow": ("missing-funding",), "guards": ["drawdown=5%"]}
    made = backtest.run(Book(), data, margin="portfolio", **settings)
    assert column(made, "orders", "status") == ["filled"] * 4
    assert column(made, "equity", "gross_notional")[-1] == 0.0
    assert column(made, "equity", "equity")[-1] == 43_000.0
