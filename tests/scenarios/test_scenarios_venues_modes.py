"""The scenarios B again under the rules of three venues (`tests.scenarios.venue_rules`), fees left out.

All of them but B3: none of the three publishes a portfolio rule that a profile could hold, so it is refused there.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest import UserError
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, both, buy, column, rows, sell
from tests.scenarios.staged import ROW_2
from tests.scenarios.test_scenarios_margin import refusal, same_bytes, walk
from tests.scenarios.venue_rules import LEVELS, MICRO, compared, dies_at, each_venue, under, when

# ---- B1 to B4: margin modes


@rule("6.2")
@each_venue
@pytest.mark.parametrize(
    ("seed", "end"), [(1, (9_500.0, 9_500.0, 9_000.0, 9_500.0)), (2, (8_500.0,) * 4), (3, (9_600.0,) * 4)]
)
def test_B1_one_symbol_with_the_whole_wallet_posted(tmp_path: Path, name: str, seed: int, end) -> None:
    market = Market("BTC", [*walk(seed, 20), end, 1e4, 1e4], funding={k + 0.4: 0.0001 for k in range(3, 20, 4)})
    found = compared(name, tmp_path, [market], {0: buy("BTC", 100)}, leverage=10)
    same_bytes(found, "positions", "margin")
    assert (found["cross"].metrics["liquidations"] > 0) is (seed != 3)


@rule("6.1")
@pytest.mark.parametrize(
    ("name", "initial", "need"),
    [
        # 40 at 10,000 = 400,000 at leverage 5, 10 and 100; the venue's own floor: 5 %; 2 %; 2 % less 2,600.
        ("dydx_v4", [80_000.0, 40_000.0, 20_000.0], 12_000.0),
        ("hyperliquid", [80_000.0, 40_000.0, 8_000.0], 4_000.0),
        ("binance_usdm", [80_000.0, 40_000.0, 5_400.0], 2_700.0),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_B2_leverage_changes_initial_margin_and_never_maintenance(tmp_path: Path, name, initial, need, margin) -> None:
    def at(leverage: float):
        return lambda _, account: account.set_leverage("BTC", leverage)

    steps = {0: both(at(5), buy("BTC", 40)), 1: at(10), 2: at(100)}
    result = under(name, tmp_path, [Market("BTC", [1e4] * 4)], steps, margin=margin)
    assert column(result, "equity", "initial_margin")[1:] == initial
    assert column(result, "equity", "maintenance_margin")[1:] == [need] * 3


@each_venue
def test_B3_without_figures_portfolio_is_refused_and_left_out_of_a_comparison(tmp_path: Path, name: str) -> None:
    markets = [Market("BTC", [1e4] * 3), Market("ETH", [1e3] * 3)]
    steps = {0: both(buy("BTC", 30), sell("ETH", 40))}
    why = "the profile of binance_usdm has no figures for it" if name == "binance_usdm" else f"{name} does not offer it"
    for margin in ("portfolio", "portfolio,BTC=isolated"):
        with pytest.raises(UserError, match=f"margin: margin mode 'portfolio': {why}"):
            under(name, tmp_path / "run", markets, steps, margin=margin)
    with pytest.raises(UserError, match=why):
        compared(name, tmp_path / "none", markets, steps, margin=("portfolio",))
    found = compared(name, tmp_path / "two", markets, steps, margin=("portfolio", "cross", "isolated"))
    assert [result.label for result in found.results] == ["cross", "isolated"]
    assert found.summary["left_out"] == {"portfolio": why}
    with pytest.raises(KeyError, match=why):
        found["portfolio"]


@rule("6.2")
@each_venue
def test_B4_isolated_loses_the_losing_leg_alone_and_cross_carries_it(tmp_path: Path, name: str) -> None:
    # 50 BTC and -500 ETH of 500,000 each, 25,000 posted each (leverage 20); both fall by 10 % from 20 s to 40 s.
    markets = [
        Market("BTC", [1e4, 1e4, (1e4, 1e4, 9e3, 1e4), 1e4]),
        Market("ETH", [1e3, 1e3, (1e3, 1e3, 900.0, 1e3), 1e3]),
    ]
    found = compared(name, tmp_path, markets, {0: both(buy("BTC", 50), sell("ETH", 500))}, leverage=20)
    assert rows(found["cross"], "liquidations", "ts") == []
    assert column(found["cross"], "equity", "equity") == [100_000.0] * 4
    value = dies_at(name, 500_000, 25_000, 480_000)
    level = pytest.approx(float(value) - 475_000, abs=2 * MICRO)
    isolated = found["isolated"]
    assert rows(isolated, "liquidations", "ts", "pool", *LEVELS)[0] == (
        ROW_2 + when(value, 5e5, 4.5e5),
        "BTC",
        level,
        level,
    )
    assert set(column(isolated, "liquidations", "pool")) == {"BTC"}


@rule("6.2")
@each_venue
def test_B4_one_squeezed_short_takes_the_healthy_long_with_it_in_cross_only(tmp_path: Path, name: str) -> None:
    # ETH doubles at the open of row 2: -500,000 on 100,000. In cross the long goes too, in isolated 25,000 are lost.
    markets = [Market("BTC", [1e4] * 4), Market("ETH", [1e3, 1e3, 2e3, 2e3])]
    found = compared(name, tmp_path, markets, {0: both(buy("BTC", 50), sell("ETH", 500))}, leverage=20)
    assert set(column(found["cross"], "liquidations", "symbol")) == {"BTC", "ETH"}
    assert column(found["cross"], "equity", "equity")[-1] == 0.0
    assert set(column(found["isolated"], "liquidations", "symbol")) == {"ETH"}
    assert column(found["isolated"], "equity", "equity")[-1] == 75_000.0
    assert rows(found["isolated"], "positions", "symbol", "qty")[-1] == ("BTC", 50.0)


# ---- B5 to B7: admission


@rule("6.3")
@pytest.mark.parametrize(
    ("name", "more", "need"),
    [
        # 100 at 10,000, then 9,500: equity 50,000. dYdX 5 % of 110 x 9,500; Hyperliquid 2 % of 264 x 9,500; Binance 5 %
        # of 174 x 9,500 = 1,653,000 less 32,600 (2,600 + 1,000,000 x 3 %).
        ("dydx_v4", 10, "52,250.00"),
        ("hyperliquid", 164, "50,160.00"),
        ("binance_usdm", 74, "50,050.00"),
    ],
)
def test_B5_an_order_beyond_initial_margin_is_refused_and_a_reducing_one_is_not(tmp_path, name, more, need) -> None:
    steps = {0: buy("BTC", 100), 1: both(buy("BTC", more), sell("BTC", 10))}
    result = under(name, tmp_path, [Market("BTC", [1e4, 1e4, 9.5e3])], steps)
    assert column(result, "orders", "reason") == [None, refusal("50,000.00", need), None]


@rule("6.3")
@pytest.mark.parametrize(
    ("name", "btc", "eth", "need"),
    [
        # BTC waits in a gap: 1,500,000 at 5 % = 75,000; 3,000,000 at 2 % = 60,000; 1,500,000 at 5 % less 32,600.
        # ETH beside it: 30,000; 2,500,000 at 2 % = 50,000; 1,500,000 at 10 % less 70,700 = 79,300.
        ("dydx_v4", 150, 600, "105,000.00"),
        ("hyperliquid", 300, 2_500, "110,000.00"),
        ("binance_usdm", 150, 1_500, "121,700.00"),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_B6_a_waiting_order_reserves_margin_until_it_is_cancelled(tmp_path: Path, name, btc, eth, need, margin) -> None:
    steps = {0: buy("BTC", btc), 1: buy("ETH", eth), 2: both(lambda _, account: account.cancel(0), buy("ETH", eth))}
    markets = [Market("BTC", [1e4, None, None, None, 1e4]), Market("ETH", [1e3] * 5)]
    result = under(name, tmp_path, markets, steps, margin=margin)
    assert rows(result, "orders", "ts_done", "symbol", "reason") == [
        (3 * MINUTE, "BTC", "strategy"),
        (ROW_2, "ETH", refusal("100,000.00", need, margin)),
        (3 * MINUTE, "ETH", None),
    ]


@rule("6.2")
@pytest.mark.parametrize(
    ("name", "eth", "wallet", "need"),
    [
        # 100 BTC at 10,000 post 50,000; 20,000; 17,400 and have won 100,000 at 11,000. ETH needs 5 % of 2,500,000; 2 %
        # of 5,000,000; 10 % of 1,600,000 less 70,700, which the rest of the wallet does not cover.
        ("dydx_v4", 2_500, "50,000.00", "125,000.00"),
        ("hyperliquid", 5_000, "80,000.00", "100,000.00"),
        ("binance_usdm", 1_600, "82,600.00", "89,300.00"),
    ],
)
def test_B7_unrealised_profit_carries_another_leg_in_cross_only(tmp_path: Path, name, eth, wallet, need) -> None:
    markets = [Market("BTC", [1e4, 1e4, 1.1e4, 1.1e4]), Market("ETH", [1e3] * 4)]
    found = compared(name, tmp_path, markets, {0: buy("BTC", 100), 1: buy("ETH", eth)})
    assert column(found["cross"], "orders", "status") == ["filled", "filled"]
    assert column(found["isolated"], "orders", "reason") == [None, refusal(wallet, need, "isolated")]
