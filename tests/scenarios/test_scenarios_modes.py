"""Scenarios of margin modes beside each other: mixed pools, isolation by share, and portfolio margin.

Unless said otherwise: 100,000 cash, no fees, venue `generic`: 5 % and 3 %, penalty 1 %, the whole pool at its crossing;
in portfolio margin max(30 % of the sum, 3 % of the net + 2 % of all) to open and max(30 % of the sum, 1.8 % of the net
+ 1.2 % of all) to stay. BTC at 10,000, ETH at 1,000, DOGE at 1 are opened at the open of row 1.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from backtest import RunError
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, balances, both, buy, column, play, play_both, rows, sell, venue
from tests.scenarios.staged import ROW_2, jump, law, sound, staged

MICRO = 1e-6


def numbers(reason: str, have: str, need: str) -> bool:
    """Whether a refusal for margin names both numbers."""
    return reason.startswith("margin") and have in reason and need in reason


# ---- mixed: pools of their own beside a cross pool

MIXED = "cross,DOGE=isolated"


@rule("6.2")
@pytest.mark.parametrize(
    ("doge", "bad_debt"),
    [
        # 100 BTC and 400,000 DOGE; the latter posts 20,000 and opens a tenth lower: 20,000 are missing.
        (0.9, 20_000.0),
        # 4 % lower: 4,000 left of 20,000, against 11,520; the penalty takes 3,840 and 160 come back.
        (0.96, 0.0),
    ],
)
def test_B4_the_isolated_leg_dies_alone_beside_a_cross_pool(tmp_path: Path, doge: float, bad_debt: float) -> None:
    markets = [Market("BTC", [1e4] * 4), Market("DOGE", [1.0, 1.0, doge, doge], step="1")]
    steps = {0: both(buy("BTC", 100), buy("DOGE", 400_000))}
    mixed = sound(play(tmp_path / "mixed", markets, steps, margin=MIXED))
    assert rows(mixed, "liquidations", "ts", "pool", "symbol", "bad_debt") == [(ROW_2, "DOGE", "DOGE", bad_debt)]
    assert column(mixed, "equity", "equity")[-1] == (80_000.0 if bad_debt else 80_160.0)
    assert rows(mixed, "positions", "symbol", "pool", "qty")[-1] == ("BTC", "cross", 100.0)
    # In cross the other leg's margin carries it: 100,000 - 40,000 of 3 % of 1,360,000 = 40,800.
    cross = play(tmp_path / "cross", markets, steps)
    assert rows(cross, "liquidations", "ts") == []
    assert column(cross, "equity", "equity")[-1] == round(100_000 - (1 - doge) * 400_000)


@rule("6.2")
def test_B4_the_cross_pool_dies_and_the_isolated_leg_lives(tmp_path: Path) -> None:
    # 100 BTC and 100,000 DOGE, which post 5,000: 95,000 of cross. BTC opens at 9,300: 25,000 of 27,900; penalty 9,300.
    markets = [Market("BTC", [1e4, 1e4, 9.3e3, 9.3e3]), Market("DOGE", [1.0] * 4, step="1")]
    result = sound(play(tmp_path, markets, {0: both(buy("BTC", 100), buy("DOGE", 100_000))}, margin=MIXED))
    assert rows(result, "liquidations", "pool", "symbol", "equity_before", "maintenance_before", "equity_after") == [
        ("cross", "BTC", 25_000.0, 27_900.0, 15_700.0)
    ]
    assert rows(result, "positions", "symbol", "pool", "qty")[-1] == ("DOGE", "DOGE", 100_000.0)
    assert column(result, "equity", "equity")[-1] == 20_700.0


@rule("6.2")
@pytest.mark.parametrize(
    ("doge", "need"),
    [
        # 100 BTC have won 100,000 at 11,000: 200,000, of which 55,000 are needed. 2,900,000 DOGE post 145,000: all that
        # is free. A thousand more post 145,050: 200,050 would be needed.
        (2_900_000, None),
        (2_901_000, "200,050.00"),
    ],
)
def test_B7_a_pool_of_its_own_is_posted_from_the_cross_pools_free_equity(tmp_path: Path, doge, need) -> None:
    markets = [Market("BTC", [1e4, 1e4, 1.1e4, 1.1e4]), Market("DOGE", [1.0] * 4, step="1")]
    steps = {0: buy("BTC", 100), 1: buy("DOGE", doge)}
    mixed = play(tmp_path / "mixed", markets, steps, margin=MIXED)
    if need is None:
        assert column(mixed, "orders", "reason") == [None, None]
        assert dict(rows(mixed, "margin", "pool", "equity")[-2:]) == {"DOGE": 145_000.0, "cross": 55_000.0}
    else:
        assert numbers(column(mixed, "orders", "reason")[1], "200,000.00", need)
    # With every leg isolated the unrealised profit of BTC carries nothing: 50,000 are left in the wallet.
    isolated = play(tmp_path / "isolated", markets, steps, margin="isolated")
    assert numbers(column(isolated, "orders", "reason")[1], "50,000.00", f"{doge / 20:,.2f}")


def test_an_isolated_pool_closed_step_by_step_gives_what_is_left_to_the_wallet(tmp_path: Path) -> None:
    # 100 BTC post 50,000; at 9,600 they have 10,000 of 28,800. One position, 0.1 % of 960,000 to the fund: 9,040 left.
    result = staged(tmp_path, 'take = "position"\npenalty = 0.001', jump(9_600.0), margin="isolated")
    assert rows(result, "liquidations", "stage", "insurance", "equity_after") == [("position", 960.0, 9_040.0)]
    assert column(result, "equity", "equity")[2:] == [59_040.0, 59_040.0]
    held = balances(result)
    assert held["wallet"] == 59_040_000_000
    assert "pool:BTC" not in held


def test_set_margin_mode_is_refused_while_a_position_or_an_order_is_there(tmp_path: Path) -> None:
    answers: list[bool] = []

    def mode(symbol: str, name: str) -> Any:
        return lambda _, account: answers.append(account.set_margin_mode(symbol, name))

    # ETH does not trade in rows 1 and 2: its order waits. BTC is closed at row 3.
    markets = [Market("BTC", [1e4] * 6), Market("ETH", [1e3, None, None, 1e3, 1e3, 1e3])]
    steps = {
        0: both(mode("BTC", "isolated"), mode("ETH", "isolated"), mode("ETH", "cross"), buy("BTC", 10), buy("ETH", 10)),
        1: both(mode("BTC", "cross"), mode("ETH", "isolated")),
        2: lambda _, account: account.close("BTC"),
        3: both(mode("BTC", "cross"), buy("BTC", 1)),
    }
    result = play(tmp_path, markets, steps)
    assert answers == [True, True, True, False, False, True]
    assert rows(result, "fills", "symbol", "pool") == [
        ("BTC", "BTC"),
        ("ETH", "cross"),
        ("BTC", "BTC"),
        ("BTC", "cross"),
    ]


def test_set_margin_mode_on_its_way_and_unknown_modes(tmp_path: Path) -> None:
    answers: list[bool] = []
    # An order of this very close is unfinished already.
    steps = {0: both(buy("BTC", 1), lambda _, account: answers.append(account.set_margin_mode("BTC", "isolated")))}
    play(tmp_path / "way", [Market("BTC", [1e4] * 3)], steps)
    assert answers == [False]
    steps = {0: lambda _, account: account.set_margin_mode("BTC", "portfolio")}
    with pytest.raises(RunError, match="portfolio"):
        play(tmp_path / "unknown", [Market("BTC", [1e4] * 3)], steps)


# ---- isolation by share


@pytest.mark.parametrize(
    ("cash", "above", "isolated"),
    [
        # 100 BTC and 300 ETH: 30,000 and 9,000 of maintenance, 76.9 % and 23.1 %. BTC takes its initial margin of
        # 50,000 along, if what is left covers ETH's 15,000.
        (100_000, 0.5, True),
        (100_000, 0.76923, True),
        (100_000, 0.76924, False),
        (65_000, 0.5, True),
        (64_999.999999, 0.5, False),
    ],
)
def test_a_position_that_outgrows_its_share_gets_a_pool_of_its_own(tmp_path: Path, cash, above, isolated) -> None:
    markets = [Market("BTC", [1e4] * 4), Market("ETH", [1e3] * 4)]
    result = play(tmp_path, markets, {0: both(buy("BTC", 100), buy("ETH", 300))}, cash=cash, isolate_above=above)
    held = dict(rows(result, "margin", "pool", "equity"))
    assert held == ({"BTC": 50_000.0, "cross": cash - 50_000.0} if isolated else {"cross": cash})


def test_isolation_by_share_waits_until_the_rest_covers_itself(tmp_path: Path) -> None:
    # 65,000 less the 1,000 that BTC loses are 64,000. BTC's initial margin is 5 % of 999,000 = 49,950, and what is
    # left, 14,050, does not cover ETH's 15,000. Back at 10,000 it does.
    markets = [Market("BTC", [1e4, (1e4, 1e4, 9_990.0, 9_990.0), 9_990.0, 1e4]), Market("ETH", [1e3] * 4)]
    steps = {0: both(buy("BTC", 100), buy("ETH", 300))}
    result = play(tmp_path, markets, steps, cash=65_000, isolate_above=0.5)
    moved = [ts for ts, code in rows(result, "ledger", "ts", "code") if code == "margin"]
    assert moved == [4 * MINUTE]


def test_one_position_alone_is_never_isolated_and_one_that_closes_comes_home(tmp_path: Path) -> None:
    alone = play(tmp_path / "alone", [Market("BTC", [1e4] * 3)], {0: buy("BTC", 100)}, isolate_above=0.01)
    assert column(alone, "margin", "pool") == ["cross"] * len(column(alone, "margin", "pool"))
    markets = [Market("BTC", [1e4] * 6), Market("ETH", [1e3] * 6)]
    steps = {0: both(buy("BTC", 100), buy("ETH", 300)), 2: lambda _, account: account.close("BTC"), 3: buy("BTC", 1)}
    result = play(tmp_path / "two", markets, steps, isolate_above=0.5)
    assert rows(result, "fills", "symbol", "pool") == [
        ("BTC", "cross"),
        ("ETH", "cross"),
        ("BTC", "BTC"),
        ("BTC", "cross"),
    ]
    # Beside one BTC it is ETH that outgrows the rest, and takes its 15,000 along.
    held = balances(result)
    assert (held["wallet"], held["pool:ETH"]) == (75_000_000_000, -285_000_000_000)


def test_a_position_isolated_by_its_share_dies_without_the_rest(tmp_path: Path) -> None:
    # BTC, with 50,000 of its own, opens at 9,400: -10,000 for others to bear. In cross: 40,000 of 37,200 live on.
    markets = [Market("BTC", [1e4, 1e4, 9.4e3, 9.4e3]), Market("ETH", [1e3] * 4)]
    steps = {0: both(buy("BTC", 100), buy("ETH", 300))}
    apart = sound(play(tmp_path / "apart", markets, steps, isolate_above=0.5))
    assert rows(apart, "liquidations", "ts", "pool", "bad_debt") == [(ROW_2, "BTC", 10_000.0)]
    assert column(apart, "equity", "equity")[-1] == 50_000.0
    assert rows(play(tmp_path / "cross", markets, steps), "liquidations", "ts") == []


# ---- portfolio


def netted(folder: Path, tiers: tuple, portfolio: str, law_keys: str = "") -> str:
    """A venue with a portfolio rule; a penalty of 1 % where it has no law of its own."""
    if law_keys:
        return law(folder, law_keys, tiers, more=f"[portfolio]\n{portfolio}")
    file = Path(venue(folder, tiers))
    file.write_text(f"{file.read_text()}[portfolio]\n{portfolio}\n")
    return str(file)


THREE = [Market("BTC", [1e4] * 3), Market("ETH", [1e3] * 3), Market("SOL", [100.0] * 3)]


@pytest.mark.parametrize(
    ("eth", "isolated", "portfolio"),
    [
        # Three legs of 30,000 each, at leverage 1. Half by the net and half by all of it:
        #   hedged 0.5 x 30,000 + 0.5 x 90,000 = 60,000; all long 0.5 x 90,000 + 0.5 x 90,000
        (-30, 90_000.0, 60_000.0),
        (30, 90_000.0, 90_000.0),
    ],
)
def test_B3_three_legs_isolated_and_as_a_portfolio(tmp_path: Path, eth, isolated, portfolio) -> None:
    rule = "scan_initial = 0.5\nscan_maintenance = 0.3\nidio = 0.5\nidio_maintenance = 0.5\nfloor = 0.3"
    named = netted(tmp_path, (None, 1.0, 0.5), rule)
    steps = {0: both(buy("BTC", 3), sell("ETH", -eth) if eth < 0 else buy("ETH", eth), buy("SOL", 300))}
    found = play_both(tmp_path, THREE, steps, venue=named, margin=("isolated", "portfolio"), leverage=1)
    assert [column(r, "equity", "initial_margin")[-1] for r in found.results] == [isolated, portfolio]
    # Maintenance: 50 % of 90,000 isolated; as a portfolio 30 % of the net + 25 % of all.
    net = abs(60_000 + eth * 1_000)
    least = [column(r, "equity", "maintenance_margin")[-1] for r in found.results]
    assert least == [45_000.0, 0.3 * net + 0.25 * 90_000]
    assert balances(found["isolated"])["wallet"] == 10_000_000_000


def test_portfolio_admits_a_hedge_that_cross_has_no_margin_for(tmp_path: Path) -> None:
    # On 20,000: 30 BTC need 5 % of 300,000. 10 more: 20,000 - 0 against 5 % of 400,000 is all there is; a lot more,
    # 20,000.50. A hedge of 300 ETH: the net is 0, 2 % of 600,000 = 12,000 (30 % of the sum, 30,000, is 9,000).
    steps = {0: both(buy("BTC", 30), buy("BTC", 10.001), sell("ETH", 300))}
    markets = [Market("BTC", [1e4] * 3), Market("ETH", [1e3] * 3)]
    found = play_both(tmp_path, markets, steps, cash=20_000, margin=("cross", "portfolio"))
    cross, portfolio = (column(result, "orders", "reason") for result in found.results)
    assert numbers(cross[1], "20,000.00", "20,000.50")
    assert numbers(cross[2], "20,000.00", "30,000.00")
    assert numbers(portfolio[1], "20,000.00", "20,000.50")
    assert portfolio[2] is None
    assert column(found["portfolio"], "equity", "initial_margin")[-1] == 12_000.0
    assert column(found["portfolio"], "equity", "maintenance_margin")[-1] == 7_200.0


@pytest.mark.parametrize(
    ("order", "need"),
    [
        # 30 BTC and -300 ETH on 16,000; BTC falls to 9,900: 13,000 of 3 % of 3,000 + 2 % of 597,000 = 12,030.
        # Without ETH 5 % of 297,000; without BTC 5 % of 300,000; with half of ETH 3 % of 147,000 + 2 % of 447,000.
        (buy("ETH", 300), "14,850.00"),
        (sell("BTC", 30), "15,000.00"),
        # Who only wants to get out needs no more than what keeps the rest alive: 3 % of 297,000.
        (lambda _, account: account.close("ETH"), None),
        (buy("ETH", 150), "13,350.00"),
        # 3 less of ETH: nothing is left of the net, 11,880. 60 less: 3 % of 57,000 + 2 % of 537,000 = 12,450, more than
        # before and covered.
        (buy("ETH", 3), None),
        (buy("ETH", 60), None),
        # A little more of the hedge: 3 % of 4,000 + 2 % of 598,000.
        (sell("ETH", 1), None),
    ],
)
def test_portfolio_refuses_to_close_a_hedge_where_that_adds_risk(tmp_path: Path, order, need) -> None:
    steps = {0: both(buy("BTC", 30), sell("ETH", 300)), 2: order}
    markets = [Market("BTC", [1e4, 1e4, 9.9e3, 9.9e3]), Market("ETH", [1e3] * 4)]
    result = play(tmp_path, markets, steps, cash=16_000, margin="portfolio")
    assert column(result, "equity", "initial_margin")[2] == 12_030.0
    reason = column(result, "orders", "reason")[2]
    assert reason is None if need is None else numbers(reason, "13,000.00", need)


def test_portfolio_allows_what_lowers_the_requirement_even_below_it(tmp_path: Path) -> None:
    # BTC at 9,860: 11,800 of 3 % of 4,200 + 2 % of 595,800 = 12,042. Closing 4 ETH leaves 3 % of 200 + 2 % of 591,800 =
    # 11,842, still more than there is; 5 ETH turn the net round.
    steps = {0: both(buy("BTC", 30), sell("ETH", 300)), 2: buy("ETH", 4)}
    markets = [Market("BTC", [1e4, 1e4, 9_860.0, 9_860.0]), Market("ETH", [1e3] * 4)]
    result = play(tmp_path, markets, steps, cash=16_000, margin="portfolio")
    assert column(result, "orders", "status") == ["filled"] * 3
    assert column(result, "equity", "initial_margin")[2:] == [12_042.0, 11_842.0]


GENERIC = "scan_initial = 0.03\nscan_maintenance = 0.018\nidio = 0.02\nidio_maintenance = 0.6\nfloor = 0.3"


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        # 40 BTC, -450 ETH and 1,000 SOL on 21,000; BTC opens at 9,775: 12,000 of 1.8 % of 41,000 + 1.2 % of 941,000 =
        # 12,030. The largest is ETH, but the net is long: of BTC a tenth, and 1.8 % of 1,900 + 1.2 % of 901,900.
        ('take = "share"\nportion = 0.1', [("BTC", "partial", -4.0, 10_857.0)]),
        # Whole positions, but not beyond the net: 41,000 of the 391,000 in BTC are 4.194 of 40, rounded down; 35.806
        # are left, 350,003.65: 1.8 % of 3.65 and 1.2 % of 900,003.65.
        ('take = "position"', [("BTC", "partial", -4.194, 10_800.1095)]),
    ],
)
def test_portfolio_liquidation_takes_from_the_side_of_the_net(tmp_path: Path, keys: str, steps) -> None:
    named = netted(tmp_path, (None, 0.05, 0.03), GENERIC, keys)
    markets = [Market("BTC", [1e4, 1e4, 9_775.0]), Market("ETH", [1e3] * 3), Market("SOL", [100.0] * 3)]
    script = {0: both(buy("BTC", 40), sell("ETH", 450), buy("SOL", 1_000))}
    result = sound(play(tmp_path / "data", markets, script, venue=named, cash=21_000, margin="portfolio"))
    assert rows(result, "liquidations", "symbol", "stage", "qty", "maintenance_after") == steps
    assert rows(result, "liquidations", "equity_before", "maintenance_before")[0] == (12_000.0, 12_030.0)
    assert column(result, "equity", "equity")[-1] == 12_000.0


@pytest.mark.parametrize(
    ("eth", "cash", "floor", "value"),
    [
        # 40 BTC fall alone, from 400,000 at 20 s to 360,000 at 40 s; v is their value.
        # Against 300,000 of ETH: cash - 400,000 + v = 1.8 % (v - 300,000) + 1.2 % (v + 300,000) = 3 % v - 1,800
        (300, 20_000, 0.3, Fraction(378_200) / Fraction("0.97")),
        # Against 390,000 the net turns round on the way: 1.8 % (390,000 - v) + 1.2 % (v + 390,000) = 11,700 - 0.6 % v
        (390, 21_000, 0.3, Fraction(390_700) / Fraction("1.006")),
        # A floor of 48 % of 3 % of all, 1.44 % v + 4,320, takes over from 3 % v - 1,800 below 392,307.69
        (300, 24_000, 0.48, Fraction(380_320) / Fraction("0.9856")),
        # or, on less cash, not yet: 392,474.23
        (300, 17_500, 0.48, Fraction(380_700) / Fraction("0.97")),
        # A floor of 90 % holds from the beginning: 2.7 % v + 8,100
        (300, 32_000, 0.9, Fraction(376_100) / Fraction("0.973")),
    ],
)
def test_the_crossing_of_a_portfolio_is_exact_wherever_its_requirement_bends(tmp_path, eth, cash, floor, value) -> None:
    named = netted(tmp_path, (None, 0.05, 0.03), GENERIC.replace("floor = 0.3", f"floor = {floor}"))
    markets = [Market("BTC", [1e4, 1e4, (1e4, 1e4, 9e3, 9e3), 9e3]), Market("ETH", [1e3] * 4)]
    script = both(sell("ETH", eth), buy("BTC", 40)) if eth == 300 else both(buy("BTC", 40), sell("ETH", eth))
    result = sound(play(tmp_path / "data", markets, {0: script}, venue=named, cash=cash, margin="portfolio"))
    level = pytest.approx(float(cash - 400_000 + value), abs=2 * MICRO)
    thirds = 60_000 + round(60_000 * (400_000 - value) / 40_000)
    first, second = rows(result, "liquidations", "ts", "symbol", "equity_before", "maintenance_before")
    assert first[1:] == ("BTC", level, level)
    assert second[:2] == (first[0], "ETH")
    # A way that is cut at a bend has its time rounded to a third of a millisecond there, too.
    assert abs(first[0] - ROW_2 - thirds // 3) <= 1
    # 1 % of either leg to the fund, as far as there is anything.
    left = float(cash - 400_000 + value) - float(value) / 100 - eth * 10
    assert column(result, "equity", "equity")[-1] == pytest.approx(max(0.0, left), abs=3 * MICRO)


def test_an_isolated_market_stands_apart_from_the_portfolio(tmp_path: Path) -> None:
    # DOGE, isolated, is asked 5 % of 100,000 of its own and is no part of the net: 30 BTC against -300 ETH need 12,000.
    markets = [Market("BTC", [1e4] * 3), Market("DOGE", [1.0] * 3, step="1"), Market("ETH", [1e3] * 3)]
    steps = {0: both(buy("BTC", 30), sell("ETH", 300), buy("DOGE", 100_000))}
    result = play(tmp_path, markets, steps, margin="portfolio,DOGE=isolated")
    assert {row[0]: row[1:] for row in rows(result, "margin", "pool", "equity", "initial")} == {
        "cross": (95_000.0, 12_000.0),
        "DOGE": (5_000.0, 5_000.0),
    }
