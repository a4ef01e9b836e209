"""The scenarios A again under the rules of three venues (`tests.scenarios.venue_rules`), fees left out.

| scenario | here |
|---|---|
| A1 to A4, A7, A9 to A15 | under each venue |
| A5, A6 | `binance_usdm`: the others have one tier for BTC and ETH in 2024 |
| A8 | not again: who pays funding at a stamp is no matter of the venue's profile |
| A3, A14 | without the stop, which is an order of a later version |
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules_index import rule
from tests.scenarios.scenario import Market, both, buy, column, rows, sell
from tests.scenarios.staged import ROW_2, ROW_3
from tests.scenarios.venue_rules import LEVELS, MICRO, dies_at, each_venue, maintenance, under, when

# ---- A1 to A4: the joint path, trades and marks

CRASH = [
    Market("BTC", [6e4, 6e4, (6e4, 6e4, 52_800.0, 6e4), 6e4]),
    Market("ETH", [4e3, 4e3, (4e3, 4e3, 3_520.0, 4e3), 4e3]),
]
HEDGE = {0: both(buy("BTC", 10), sell("ETH", 150))}


@rule("3", "7.1")
@each_venue
def test_A1_A2_a_hedge_lives_on_the_coherent_path_and_dies_on_the_worst(tmp_path: Path, name: str) -> None:
    # 600,000 each on 80,000; both fall 12 % and come back. On the worst path BTC goes to 528,000 alone:
    # 80,000 + v - 600,000 = maintenance of v + maintenance of 600,000 ETH (18,000; 6,000; 2 % less 5,365 = 6,635)
    #   dydx (520,000 + 18,000) / 0.97, hyperliquid 526,000 / 0.99, binance (520,000 + 6,635 - 1,300) / 0.99
    value = dies_at(name, 600_000, 80_000 - maintenance(name, "ETH", 600_000), 530_000)
    assert float(value) == pytest.approx(
        {"dydx_v4": 554_639.175258, "hyperliquid": 531_313.131313, "binance_usdm": 530_641.414141}[name], abs=MICRO
    )
    lived, died = (under(name, tmp_path / path, CRASH, HEDGE, cash=80_000, path=path) for path in ("coherent", "worst"))
    assert rows(lived, "liquidations", "ts") == []
    assert column(lived, "equity", "equity") == [80_000.0] * 4
    assert rows(lived, "ambiguous", "ts") == rows(died, "ambiguous", "ts") == [(ROW_2,)]
    first = rows(died, "liquidations", "ts", *LEVELS)[0]
    level = pytest.approx(float(value) - 520_000, abs=2 * MICRO)
    assert first == (ROW_2 + when(value, 600_000, 528_000), level, level)


@rule("3")
@each_venue
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A3_a_wick_of_the_trades_without_the_mark_liquidates_nobody(tmp_path: Path, name: str, margin: str) -> None:
    market = Market("BTC", [1e4, 1e4, (1e4, 1e4, 6e3, 1e4), 1e4], mark=[1e4] * 4)
    result = under(name, tmp_path, [market], {0: buy("BTC", 30)}, margin=margin)
    assert rows(result, "liquidations", "ts") == rows(result, "ambiguous", "ts") == []


@rule("7.1")
@each_venue
@pytest.mark.parametrize("side", [1, -1])
def test_A4_the_mark_breaks_maintenance_while_the_last_price_stands(tmp_path: Path, name: str, side: int) -> None:
    # 50 at 10,000. The mark falls to 7,000 by 20 s, or rises to 13,000 between 20 s and 40 s. The first step, at the
    # crossing, on a book that stands at 10,000:
    #   long   dydx 400,000 / 0.97, a hair less than a tenth of 50,000 lots   hyperliquid 400,000 / 0.99, a fifth
    #          binance 398,700 / 0.99 = 402,727.27, of which 152,727.27 above 250,000: 18,961.6 -> 18,962 lots
    #   short  dydx 600,000 / 1.03, hyperliquid 600,000 / 1.01, binance 601,300 / 1.01 = 595,346.53: 29,004.0 lots
    entry = side * 500_000
    value = dies_at(name, entry, 100_000, 500_000)
    mark = (1e4, 1e4, 7e3, 1e4) if side > 0 else (1e4, 1.3e4, 1e4, 1e4)
    trade = buy("BTC", 50) if side > 0 else sell("BTC", 50)
    result = under(name, tmp_path, [Market("BTC", [1e4] * 4, mark=[1e4, 1e4, mark, 1e4])], {0: trade})
    found = rows(result, "liquidations", "ts", "stage", "qty", "price", *LEVELS)[0]
    at = when(value, 500_000, 350_000) if side > 0 else when(value, 500_000, 650_000, from_s=20)
    level = pytest.approx(abs(100_000 - abs(500_000 - float(value))), abs=2 * MICRO)
    if name == "binance_usdm":
        lots = -(-50_000 * (value - 250_000) // value)
    else:
        # A share is taken of whole micro-units and rounded down, then lots are: at most one less than the even share.
        lots = (
            50_000 // (5 if name == "hyperliquid" else 10)
            - (found[2] != -side * (10 if name == "hyperliquid" else 5)) * 1
        )
    assert found == (ROW_2 + at, "partial", -side * float(lots) / 1_000, 1e4, level, level)
    assert float(maintenance(name, "BTC", value)) == level


# ---- A5, A6: brackets


@rule("6.1")
def test_A5_brackets_are_by_symbol_and_not_by_the_sum(tmp_path: Path) -> None:
    # 900,000 each: 1 % less 1,300 = 7,700 and 2 % less 5,365 = 12,635; 1,800,000 of BTC alone would be 2.5 % less
    # 16,300 = 28,700. Initial: 2 % less 2,600 = 15,400 and 4 % less 10,700 = 25,300.
    markets = [Market("BTC", [1e4] * 3), Market("ETH", [1e3] * 3)]
    result = under("binance_usdm", tmp_path, markets, {0: both(buy("BTC", 90), buy("ETH", 900))})
    assert rows(result, "equity", "initial_margin", "maintenance_margin")[1] == (40_700.0, 20_335.0)


@rule("6.1")
def test_A6_the_requirement_is_continuous_at_an_edge(tmp_path: Path) -> None:
    # 25 BTC a hundredth below 250,000, at it and a hundredth above: 1,200 and 0.5 % or 1 % of a cent.
    market = Market("BTC", [1e4, 9_999.9996, 1e4, 10_000.0004])
    result = under("binance_usdm", tmp_path, [market], {0: buy("BTC", 25)})
    assert column(result, "equity", "maintenance_margin")[1:] == pytest.approx(
        [1_199.99995, 1_200, 1_200.0001], abs=1e-9
    )


@rule("6.1")
@pytest.mark.parametrize(
    ("entry", "about", "value"),
    [
        # 26 long pass the edge at 250,000 and die below it: (260,000 - 15,000 - 50) / 0.995
        (260_000, 240_000, 246_180.904523),
        # 27 long on 8,000 die above it: (270,000 - 15,000 - 1,300) / 0.99
        (270_000, 260_000, 256_262.626263),
        # 24 short pass it upwards: (240,000 + 15,000 + 1,300) / 1.01; 23 short die below it
        (-240_000, 260_000, 253_762.376238),
        (-230_000, 240_000, 243_830.845771),
    ],
)
def test_A6_the_crossing_is_exact_on_both_sides_of_an_edge(tmp_path: Path, entry, about, value) -> None:
    exact = dies_at("binance_usdm", entry, 15_000, about)
    assert float(exact) == pytest.approx(value, abs=MICRO)
    units = abs(entry) // 10_000
    trade, candle = (buy, (1e4, 1e4, 9e3, 1e4)) if entry > 0 else (sell, (1e4, 1.2e4, 1e4, 1e4))
    market = Market("BTC", [1e4, 1e4, candle, 1e4])
    result = under("binance_usdm", tmp_path, [market], {0: trade("BTC", units)}, cash=15_000)
    level = pytest.approx(15_000 - abs(abs(entry) - float(exact)), abs=3 * MICRO)
    assert rows(result, "liquidations", *LEVELS)[0] == (level, level)


# ---- A7, A9: funding, the end of the data


@rule("5")
@pytest.mark.parametrize(
    ("name", "rate", "before"),
    [
        # 200 at 10,000 = 2,000,000 need 60,000; 20,000; 2.5 % less 16,300 = 33,700. Funding leaves a little less.
        ("dydx_v4", 0.021, (58_000.0, 60_000.0)),
        ("hyperliquid", 0.0401, (19_800.0, 20_000.0)),
        ("binance_usdm", 0.0332, (33_600.0, 33_700.0)),
    ],
)
@pytest.mark.parametrize("side", [buy, sell])
def test_A7_funding_takes_the_pool_below_maintenance(tmp_path: Path, name: str, rate, before, side) -> None:
    market = Market("BTC", [1e4] * 4, funding={2: rate if side is buy else -rate})
    result = under(name, tmp_path, [market], {0: side("BTC", 200)})
    assert column(result, "funding", "payment")[0] == before[0] - 100_000
    assert rows(result, "liquidations", "ts", *LEVELS)[0] == (ROW_2, *before)
    at_the_stamp = [code for ts, code in rows(result, "ledger", "ts", "code") if ts == ROW_2]
    assert at_the_stamp[:2] == ["funding", "trade"]


@rule("4")
@each_venue
def test_A9_the_data_end_with_a_position_open(tmp_path: Path, name: str) -> None:
    # Settled at the last mark of 10,150, without a fee although 10 bps are charged: 100,000 - 100 + 1,500.
    btc = Market("BTC", [1e4, 1e4, 1.01e4], mark=[1e4, 1e4, (1e4, 10_150.0, 1e4, 10_150.0)])
    result = under(name, tmp_path, [btc, Market("ETH", [1e3] * 5)], {0: buy("BTC", 10)}, fee_bps=10)
    assert rows(result, "fills", "ts", "price", "fee", "cause")[1] == (ROW_3, 10_150.0, 0.0, "delisting")
    assert column(result, "equity", "equity")[2:] == [101_400.0] * 3


# ---- A10, A11: gaps through bankruptcy

# Who bears it: dYdX's fund does not pay below zero and deleverages, Hyperliquid has no fund and deleverages, Binance's
# fund of a thousand million pays.
BEARS = {"dydx_v4": ("adl", False), "hyperliquid": ("adl", False), "binance_usdm": ("whole", True)}


@rule("7.4")
@each_venue
def test_A10_an_isolated_pool_loses_what_was_posted_and_no_more(tmp_path: Path, name: str) -> None:
    # 20 at 10,000, leverage 10: 20,000 posted. It opens at 8,500: -30,000, so 10,000 are missing. At the bankruptcy
    # price they are given: 180,000 for 20, 9,000.
    market = Market("BTC", [1e4, 1e4, 8_500.0, 8_500.0])
    result = under(name, tmp_path, [market], {0: buy("BTC", 20)}, margin="isolated", leverage=10)
    stage, pays = BEARS[name]
    columns = ("stage", "price", "insurance", "bad_debt", "adl_loss", "equity_before", "equity_after")
    expected = (8_500.0, -10_000.0, 0.0, 0.0) if pays else (9_000.0, 0.0, 0.0, 10_000.0)
    assert rows(result, "liquidations", *columns) == [(stage, *expected, -10_000.0, 0.0)]
    assert column(result, "equity", "equity")[2:] == [80_000.0] * 2


@rule("7.4")
@each_venue
def test_A11_a_cross_pool_ends_at_zero_and_the_books_balance(tmp_path: Path, name: str) -> None:
    # 100 BTC to 8,500 and -500 ETH to 1,040: -70,000. By maintenance of 850,000 and 520,000 the bankruptcy quotes are
    #   dydx         25,500 and 15,600: BTC bears 70,000 x 25,500 / 41,100 = 43,430.656935
    #   hyperliquid   8,500 and  5,200: 70,000 x 85 / 137, the same
    markets = [Market("BTC", [1e4, 1e4, 8.5e3, 1e4]), Market("ETH", [1e3, 1e3, 1_040.0, 1e3])]
    result = under(name, tmp_path, markets, {0: both(buy("BTC", 100), sell("ETH", 500))})
    stage, pays = BEARS[name]
    assert rows(result, "liquidations", "ts", "symbol", "stage") == [(ROW_2, "BTC", stage), (ROW_2, "ETH", stage)]
    assert sum(column(result, "liquidations", "insurance")) == (-70_000.0 if pays else 0.0)
    assert column(result, "liquidations", "bad_debt") == [0.0, 0.0]
    assert column(result, "liquidations", "adl_loss") == ([0.0, 0.0] if pays else [43_430.656935, 26_569.343065])
    assert column(result, "equity", "equity")[2:] == [0.0, 0.0]


# ---- A12 to A15


@rule("7.3")
@pytest.mark.parametrize(
    ("name", "price", "steps"),
    [
        # 100 at 10,000. dYdX at 9,250: 25,000 of 27,750. A tenth each second; of each 1.5 % goes to the fund:
        #   92,500 -> 1,387.5, left 23,612.5 of 24,975; 83,250 -> 1,248.75, 22,363.75 of 22,477.5;
        #   74,925 -> 1,123.875, 21,239.875 of 20,229.75
        (
            "dydx_v4", 9_250.0,
            [
                (0, "partial", -10.0, 23_612.5),
                (1_000, "partial", -9.0, 22_363.75),
                (2_000, "partial", -8.1, 21_239.875),
            ],
        ),
        # Hyperliquid at 9,090: 9,000 of 9,090. A fifth leaves 7,272 to be covered, and no fee is taken.
        ("hyperliquid", 9_090.0, [(0, "partial", -20.0, 9_000.0)]),
        # At 9,070 7,000 of 9,070 do not cover four fifths, 7,256: at the next mark, three seconds on, the rest goes.
        ("hyperliquid", 9_070.0, [(0, "partial", -20.0, 7_000.0), (3_000, "position", -80.0, 7_000.0)]),
        # At 9,060 6,000 are less than two thirds of 9,060: the vault takes it with its margin.
        ("hyperliquid", 9_060.0, [(0, "backstop", -100.0, 0.0)]),
        # Binance at 9,070: 7,000 of 1 % of 907,000 less 1,300 = 7,770. Down to 250,000: 100,000 lots x 657,000 /
        # 907,000 = 72,436.6 -> 72,437, of whose 657,003.59 the 1.25 % would be 8,212.54, more than their share of the
        # equity, 7,000 x 0.72437 = 5,070.59. Left 1,929.41 of 0.5 % of 249,996.41 less 50 = 1,199.98.
        ("binance_usdm", 9_070.0, [(0, "partial", -72.437, 1_929.41)]),
    ],
)  # fmt: skip
def test_A12_steps_stop_as_soon_as_the_pool_is_healthy(tmp_path: Path, name: str, price: float, steps) -> None:
    result = under(name, tmp_path, [Market("BTC", [1e4, 1e4, price, price, price])], {0: buy("BTC", 100)})
    found = rows(result, "liquidations", "ts", "stage", "qty", "equity_after")
    assert [row[:3] for row in found] == [(ROW_2 + at, stage, qty) for at, stage, qty, _ in steps]
    assert [row[3] for row in found] == pytest.approx([left for *_, left in steps], abs=2 * MICRO)
    assert column(result, "equity", "equity")[-1] == found[-1][3]


@rule("7.1")
@pytest.mark.parametrize(
    ("name", "price"),
    # 100 fall to 9,000, where 900,000 need 27,000; 9,000; 7,700: equity is that if 73,000; 91,000; 92,300 were lost.
    [("dydx_v4", 9_730.0), ("hyperliquid", 9_910.0), ("binance_usdm", 9_923.0)],
)
def test_A13_equity_equal_to_maintenance_is_alive_and_a_micro_less_is_dead(tmp_path: Path, name, price) -> None:
    market = Market("BTC", [price, price, (price, price, 9e3, price), price])
    alive = under(name, tmp_path / "alive", [market], {0: buy("BTC", 100)})
    assert rows(alive, "liquidations", "ts") == []
    dead = under(name, tmp_path / "dead", [market], {0: buy("BTC", 100)}, cash=99_999.999999)
    assert rows(dead, "liquidations", "ts")[0] == (ROW_2 + 20_000,)


@rule("4", "7.1")
@pytest.mark.parametrize(
    ("name", "opened", "stepped"),
    [
        # 50 at 10,000 open below their level: 8,200 (10,000 of 12,300), 8,070 (3,500 of 4,035), 8,050 (2,500 of 2,725).
        # The venue's first step, and the close that was sent before the jump takes the rest at the same open.
        ("dydx_v4", 8_200.0, 5.0),
        ("hyperliquid", 8_070.0, 10.0),
        ("binance_usdm", 8_050.0, 18.945),  # 50,000 lots x 152,500 / 402,500 = 18,944.1
    ],
)
def test_A14_a_jump_over_the_liquidation_price_acts_at_the_open(tmp_path: Path, name, opened, stepped) -> None:
    steps = {0: buy("BTC", 50), 1: lambda _, account: account.close("BTC")}
    result = under(name, tmp_path, [Market("BTC", [1e4, 1e4, opened, opened])], steps)
    assert rows(result, "fills", "ts", "qty", "price", "cause")[1:] == [
        (ROW_2, -stepped, opened, "liquidation"),
        (ROW_2, -(50.0 - stepped), opened, "strategy"),
    ]


@rule("7.1")
@each_venue
def test_A15_two_pools_die_each_at_its_own_crossing_in_order_of_time(tmp_path: Path, name: str) -> None:
    # Isolated, 100,000 each: BTC at leverage 20 posts 5,000 and falls to 95,000, ETH at leverage 10 posts 10,000 and
    # falls to 80,000. By name BTC would come first; by time it is ETH.
    markets = [
        Market("BTC", [1e3, 1e3, (1e3, 1e3, 950.0, 1e3), 1e3]),
        Market("ETH", [1e3, 1e3, (1e3, 1e3, 800.0, 1e3), 1e3]),
    ]
    set_up = both(
        lambda _, account: account.set_leverage("BTC", 20),
        lambda _, account: account.set_leverage("ETH", 10),
        buy("BTC", 100),
        buy("ETH", 100),
    )
    deaths = {
        "BTC": when(dies_at(name, 100_000, 5_000, 95_000, "BTC"), 100_000, 95_000),
        "ETH": when(dies_at(name, 100_000, 10_000, 92_000, "ETH"), 100_000, 80_000),
    }
    assert deaths["ETH"] < deaths["BTC"]
    result = under(name, tmp_path, markets, {0: set_up}, margin="isolated")
    found = rows(result, "liquidations", "ts", "pool")
    first = {pool: next(ts for ts, other in found if other == pool) for pool in deaths}
    assert first == {pool: ROW_2 + at for pool, at in deaths.items()}
    assert [ts for ts, _ in found] == sorted(ts for ts, _ in found)
