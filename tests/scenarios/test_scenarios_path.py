"""Scenarios A1 to A6 and A13 to A15: the joint path, tiers, and liquidation at its exact crossing.

Unless said otherwise: 100,000 cash, no fees, initial 5 %, maintenance 3 %, penalty 1 %; all is opened at the open
of row 1 and happens in row 2, which is 60,000 to 120,000 ms. The knots of a row lie at 0, 20, 40 and 60 s, which are
0, 60,000, 120,000 and 180,000 thirds of a millisecond; a crossing is found in thirds and stamped in whole ms.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest import Result
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, balances, both, buy, column, play, rows, sell, venue

ROW_2 = 2 * MINUTE
DEATHS = ("ts", "symbol", "equity_before", "maintenance_before", "penalty")
BOUGHT_50, SOLD_50 = {0: buy("BTC", 50)}, {0: sell("BTC", 50)}


def final(result: Result) -> float:
    """Equity at the last close."""
    return column(result, "equity", "equity")[-1]


# ---- A1, A2: 12 % down and back inside one candle


def hedge(btc_low: float, eth_low: float) -> list[Market]:
    return [
        Market("BTC", [6e4, 6e4, (6e4, 6e4, btc_low, 6e4), 6e4]),
        Market("ETH", [4e3, 4e3, (4e3, 4e3, eth_low, 4e3), 4e3]),
    ]


@rule("3", "7.1")
@pytest.mark.parametrize(
    ("btc_low", "eth_low", "have", "need", "ambiguous"),
    [
        # 10 BTC at 60,000 and -150 ETH at 4,000: 600,000 each. A probe of 100 BTC arrives at 20 s, where both series
        # are at their lows; it is refused, and says what equity is at that very instant.
        # 12 % each: -72,000 + 72,000; the probe needs 5 % of (110 x 52,800 + 528,000) = 316,800.
        # Apart, all at their worst: 28,000 against 3 % of (528,000 + 600,000) = 33,840: ambiguous.
        (52_800.0, 3_520.0, "100,000.00", "316,800.00", True),
        # ETH 11 %: -72,000 + 66,000 = -6,000, the book's true minimum; 5 % of (5,808,000 + 534,000) = 317,100.
        (52_800.0, 3_560.0, "94,000.00", "317,100.00", True),
        # BTC 10 %, ETH 13 %: -60,000 + 78,000; 5 % of (110 x 54,000 + 522,000) = 323,100.
        # Apart: 40,000 against 3 % of (540,000 + 600,000) = 34,200: not even the worst bound kills.
        (54_000.0, 3_480.0, "118,000.00", "323,100.00", False),
    ],
)
def test_A1_hedged_fall_inside_one_candle_is_no_liquidation(
    tmp_path: Path, btc_low: float, eth_low: float, have: str, need: str, ambiguous: bool
) -> None:
    steps = {0: both(buy("BTC", 10), sell("ETH", 150)), 1: buy("BTC", 100)}
    result = play(tmp_path, hedge(btc_low, eth_low), steps, latency_ms=20_000)
    assert rows(result, "liquidations", "ts") == []
    assert column(result, "orders", "reason") == [None, None, f"margin: equity {have} would not cover initial {need}"]
    assert column(result, "equity", "equity") == [100_000.0] * 4
    assert rows(result, "ambiguous", "ts", "pool") == [(ROW_2, "cross")] * ambiguous


@rule("3", "8")
@pytest.mark.parametrize(
    ("btc", "eth", "cash", "at", "value", "level", "penalties", "left"),
    [
        # Worst: BTC at 52,800 while ETH stays at 4,000.
        #   health at the open  100,000 - 3 % x 1,200,000            =  64,000
        #   health at a third   28,000 - 3 % x (528,000 + 600,000)   =  -5,840     crossing at 64,000 / 69,840
        #   time    60,000 x 64 / 69.84 = 54,982.8 -> 54,983 thirds; 54,983 // 3 = 18,327 ms
        #   BTC     600,000 - 72,000 x 64 / 69.84                    = 534,020.618557
        #   equity  100,000 - 65,979.381443 = 34,020.618557 = 3 % of 534,020.618557 (16,020.618557) + 18,000
        #   penalty 1 %: 5,340.206186 and 6,000, left 22,680.412371
        (10, 150, 100_000.0, 18_327, 534_020.618557, 34_020.618557, [5_340.206186, 6_000.0], 22_680.412371),
        # Half the book on 40,000:
        #   health at the open 40,000 - 18,000 = 22,000, at a third 4,000 - 3 % x 564,000 = -12,920
        #   time    60,000 x 22 / 34.92 = 37,800.7 -> 37,801 thirds, 12,600 ms
        #   BTC     300,000 - 36,000 x 22 / 34.92                    = 277,319.587629
        #   equity  40,000 - 22,680.412371 = 17,319.587629 = 8,319.587629 + 9,000
        #   penalty 2,773.195876 and 3,000, left 11,546.391753
        (5, 75, 40_000.0, 12_600, 277_319.587629, 17_319.587629, [2_773.195876, 3_000.0], 11_546.391753),
    ],
)
def test_A2_the_same_by_the_worst_path_is_liquidated_and_listed_in_both_runs(
    tmp_path: Path,
    btc: float,
    eth: float,
    cash: float,
    at: int,
    value: float,
    level: float,
    penalties: list[float],
    left: float,
) -> None:
    steps = {0: both(buy("BTC", btc), sell("ETH", eth))}
    lived, died = (
        play(tmp_path / path, hedge(52_800.0, 3_520.0), steps, cash=cash, path=path) for path in ("coherent", "worst")
    )
    assert rows(lived, "liquidations", "ts") == []
    assert final(lived) == cash
    for result in (lived, died):
        assert rows(result, "ambiguous", "ts", "pool") == [(ROW_2, "cross")]
        assert result.metrics["ambiguous_candles"] == 1
    first, second = rows(died, "liquidations", *DEATHS, "ambiguous")
    assert first == (ROW_2 + at, "BTC", level, level, penalties[0], True)
    assert (second[0], second[1], second[4]) == (ROW_2 + at, "ETH", penalties[1])
    assert column(died, "fills", "quote")[2:] == [value, -4_000.0 * eth]
    assert final(died) == left


# ---- A3, A4: trades and marks apart


@rule("3")
@pytest.mark.parametrize(
    ("step", "wick"),
    [
        # 30 BTC at 10,000: 40 % off 300,000 are 120,000, more than there is.
        (buy("BTC", 30), (1e4, 1e4, 6e3, 1e4)),
        # A short of 40: 40 % up costs 160,000.
        (sell("BTC", 40), (1e4, 1.4e4, 1e4, 1e4)),
    ],
)
def test_A3_a_wick_of_the_trades_without_the_mark_liquidates_nobody(tmp_path, step, wick) -> None:
    """The liquidation is covered. The stop on the last price is not: market orders are all that this version has."""
    trades = [1e4, 1e4, wick, 1e4]
    result = play(tmp_path / "apart", [Market("BTC", trades, mark=[1e4] * 4)], {0: step})
    assert rows(result, "liquidations", "ts") == rows(result, "ambiguous", "ts") == []
    assert column(result, "equity", "equity") == [100_000.0] * 4
    # Where the trades are the mark, the same wick kills.
    assert len(rows(play(tmp_path / "same", [Market("BTC", trades)], {0: step}), "liquidations", "ts")) == 1


@rule("7.1")
@pytest.mark.parametrize(
    ("qty", "price", "wick", "at", "value", "level", "penalty", "left"),
    [
        # 50 at 10,000, the mark falls to 8,000 at 20 s.
        #   health 100,000 - 15,000 = 85,000 at the open, 0 - 12,000 at the low: crossing at 85 / 97
        #   time    60,000 x 85 / 97 = 52,577.3 -> 52,577 thirds, 17,525 ms
        #   value   500,000 - 100,000 x 85 / 97 = 412,371.134021, a price of 8,247.42268
        #   equity  12,371.134021 = 3 % of the value; penalty 4,123.711340; left 8,247.422681
        (50, 1e4, (1e4, 1e4, 8e3, 1e4), 17_525, 412_371.134021, 12_371.134021, 4_123.711340, 8_247.422681),
        # 30 at 20,000, the mark falls to 17,000.
        #   health 100,000 - 18,000 = 82,000, then 10,000 - 15,300 = -5,300: crossing at 82 / 87.3
        #   time    60,000 x 82 / 87.3 = 56,357.4 -> 56,357 thirds, 18,785 ms
        #   value   600,000 - 90,000 x 82 / 87.3 = 515,463.917526; equity 15,463.917526
        #   penalty 5,154.639175; left 10,309.278351
        (30, 2e4, (2e4, 2e4, 1.7e4, 2e4), 18_785, 515_463.917526, 15_463.917526, 5_154.639175, 10_309.278351),
        # Short 50 at 10,000, the mark rises to 12,000 between 20 s and 40 s (lows come first).
        #   health 85,000 at 20 s, 0 - 18,000 at 40 s: crossing at 85 / 103
        #   time    60,000 + 60,000 x 85 / 103 = 109,514.6 -> 109,515 thirds, 36,505 ms
        #   value   500,000 + 100,000 x 85 / 103 = 582,524.271845, a price of 11,650.48544
        #   equity  600,000 - 582,524.271845 = 17,475.728155; penalty 5,825.242718; left 11,650.485437
        (-50, 1e4, (1e4, 1.2e4, 1e4, 1e4), 36_505, -582_524.271845, 17_475.728155, 5_825.242718, 11_650.485437),
    ],
)
def test_A4_the_mark_breaks_maintenance_while_the_last_price_stands(
    tmp_path, qty, price, wick, at, value, level, penalty, left
) -> None:
    step = buy("BTC", qty) if qty > 0 else sell("BTC", -qty)
    market = Market("BTC", [price] * 4, mark=[price, price, wick, price])
    result = play(tmp_path, [market], {0: step})
    assert rows(result, "liquidations", *DEATHS) == [(ROW_2 + at, "BTC", level, level, penalty)]
    assert rows(result, "fills", "ts", "qty", "quote", "cause")[1:] == [(ROW_2 + at, -qty, value, "liquidation")]
    assert column(result, "fills", "price")[1] == value / qty
    assert final(result) == left
    assert balances(result)["insurance"] == round(penalty * 1e6)


# ---- A5, A6: tiers


@rule("6.1")
@pytest.mark.parametrize(
    ("tiers", "btc", "eth", "one_alone", "margins", "after"),
    [
        # 5 % and 3 % up to 1,500,000, then 10 % and 6 %. Each leg is 1,000,000: initial 50,000 + 50,000 = all of the
        # cash, maintenance 60,000. Summed, 2,000,000 would need 10 % less 75,000 = 125,000, 6 % less 45,000 = 75,000.
        # BTC falls to 9,700: equity 70,000 against 3 % of 1,970,000 = 59,100. Summed it would be 73,200: dead.
        (
            [(1_500_000, 0.05, 0.03), (None, 0.10, 0.06)],
            100, 1_000, "125,000.00", (100_000.0, 60_000.0), (70_000.0, 98_500.0, 59_100.0),
        ),
        # 4 % and 2 % up to 2,000,000, then 8 % and 5 %. Each leg is 1,250,000: 50,000 each, maintenance 25,000 each.
        # Summed: 8 % of 2,500,000 less 80,000 = 120,000; 5 % less 60,000 = 65,000.
        # At 9,700: equity 62,500 against 2 % of 2,462,500 = 49,250; summed 63,125.
        (
            [(2_000_000, 0.04, 0.02), (None, 0.08, 0.05)],
            125, 1_250, "120,000.00", (100_000.0, 50_000.0), (62_500.0, 98_500.0, 49_250.0),
        ),
    ],
)  # fmt: skip
def test_A5_tiers_are_by_symbol_and_not_by_the_sum(tmp_path, tiers, btc, eth, one_alone, margins, after) -> None:
    ladder = venue(tmp_path, *tiers)
    markets = [Market("BTC", [1e4, 1e4, 9.7e3, 9.7e3]), Market("ETH", [1e3] * 4)]
    result = play(tmp_path / "two", markets, {0: both(buy("BTC", btc), buy("ETH", eth))}, venue=ladder)
    assert column(result, "orders", "status") == ["filled", "filled"]
    assert rows(result, "equity", "initial_margin", "maintenance_margin")[1] == margins
    assert rows(result, "liquidations", "ts") == []
    assert rows(result, "equity", "equity", "initial_margin", "maintenance_margin")[2] == pytest.approx(after, abs=1e-9)
    # All of it in one symbol lies in tier 2.
    result = play(tmp_path / "one", markets, {0: buy("BTC", 2 * btc)}, venue=ladder)
    assert column(result, "orders", "reason") == [f"margin: equity 100,000.00 would not cover initial {one_alone}"]


LADDER = ((500_000, 0.05, 0.03), (None, 0.10, 0.06))
"""Deductions above the edge: 500,000 x 5 % = 25,000 initial, 500,000 x 3 % = 15,000 maintenance."""


@rule("6.1")
@pytest.mark.parametrize("side", [buy, sell])
def test_A6_the_requirement_is_continuous_at_the_edge(tmp_path, side) -> None:
    # 50 BTC a hundredth below the edge, at it and a hundredth above: 3 % of a cent, then 6 % of a cent.
    closes = [1e4, 9_999.9998, 1e4, 10_000.0002]
    result = play(tmp_path, [Market("BTC", closes)], {0: side("BTC", 50)}, venue=venue(tmp_path, *LADDER))
    assert column(result, "equity", "maintenance_margin")[1:] == pytest.approx(
        [14_999.9997, 15_000, 15_000.0006], abs=1e-7
    )
    assert column(result, "equity", "initial_margin")[1:] == pytest.approx([24_999.9995, 25_000, 25_000.001], abs=1e-7)


@rule("6.1")
@pytest.mark.parametrize(
    ("qty", "price", "wick", "at", "value", "level"),
    [
        # Long 60 at 10,000, down to 8,000: dies above the edge, in tier 2.
        #   open    100,000 - (36,000 - 15,000) = 79,000
        #   edge    0 - 15,000, at 100 / 120 of the leg, 50,000 thirds: crossing at 79 / 94 of the way there
        #   time    50,000 x 79 / 94 = 42,021.3 -> 42,021 thirds, 14,007 ms
        #   value   600,000 - 100,000 x 79 / 94 = 515,957.446809; equity 15,957.446809 = 6 % of it less 15,000
        (60, 1e4, (1e4, 1e4, 8e3, 1e4), 14_007, 515_957.446809, 15_957.446809),
        # Long 52 at 10,000, down to 8,000: passes the edge alive and dies in tier 1.
        #   edge    80,000 - 15,000 = 65,000, at 20 / 104 of the leg: 11,538.46 -> 11,538 thirds
        #   low     -4,000 - 12,480 = -16,480: crossing at 65,000 / 81,480 of the rest
        #   time    11,538 + 48,462 x 65 / 81.48 = 50,198.2 thirds, 16,732 ms
        #   value   500,000 - 84,000 x 65 / 81.48 = 432,989.690722; equity 12,989.690722 = 3 % of it
        (52, 1e4, (1e4, 1e4, 8e3, 1e4), 16_732, 432_989.690722, 12_989.690722),
        # Short 30 at 14,000, up to 18,000 after 20 s: passes the edge upwards and dies in tier 2.
        #   edge    20,000 - 15,000 = 5,000, at 80 / 120 of the leg: 60,000 + 40,000 thirds
        #   high    -20,000 - (32,400 - 15,000) = -37,400: crossing at 5,000 / 42,400 of the rest
        #   time    100,000 + 20,000 x 5 / 42.4 = 102,358.5 thirds, 34,119 ms
        #   value   500,000 + 40,000 x 5 / 42.4 = 504,716.981132; equity 15,283.018868 = 6 % of it less 15,000
        (-30, 1.4e4, (1.4e4, 1.8e4, 1.4e4, 1.4e4), 34_119, -504_716.981132, 15_283.018868),
        # Short 40 at 10,000, up to 14,000: dies in tier 1 before the edge.
        #   20 s    100,000 - 12,000 = 88,000; at the edge 0 - 15,000, at 100 / 160 of the leg: 60,000 + 37,500 thirds
        #   time    60,000 + 37,500 x 88 / 103 = 92,038.8 thirds, 30,679 ms
        #   value   400,000 + 100,000 x 88 / 103 = 485,436.893204; equity 14,563.106796 = 3 % of it
        (-40, 1e4, (1e4, 1.4e4, 1e4, 1e4), 30_679, -485_436.893204, 14_563.106796),
    ],
)
def test_A6_the_crossing_is_exact_on_both_sides_of_the_edge(tmp_path, qty, price, wick, at, value, level) -> None:
    step = buy("BTC", qty) if qty > 0 else sell("BTC", -qty)
    market = Market("BTC", [price, price, wick, price])
    result = play(tmp_path, [market], {0: step}, venue=venue(tmp_path, *LADDER))
    ((ts, symbol, equity, maintenance, _),) = rows(result, "liquidations", *DEATHS)
    assert (ts, symbol, equity, maintenance) == (ROW_2 + at, "BTC", level, level)
    assert column(result, "fills", "quote")[1] == value


# ---- A13 to A15


@rule("7.1")
@pytest.mark.parametrize(
    ("qty", "price", "wick", "at", "value", "level", "penalty"),
    [
        # 100 at 9,730, low 9,000: equity 100,000 - 73,000 = 27,000 = 3 % of 900,000. With one micro less it is dead a
        # hair before: health 70,810 at the open, -0.000001 at the low, so the value is 73,000 x 0.000001 / 70,810
        # above the low's, rounded to one micro, and the time is the knot's own 20 s.
        (100, 9_730.0, (9_730.0, 9_730.0, 9e3, 9_730.0), 20_000, 900_000.000001, 27_000.0, 9_000.0),
        # Short 100 at 9,300, high 10,000 at 40 s: 100,000 - 70,000 = 30,000 = 3 % of 1,000,000.
        # One micro less: 70,000 x 0.000001 / 72,100, one micro before the high.
        (-100, 9_300.0, (9_300.0, 1e4, 9_300.0, 9_300.0), 40_000, -999_999.999999, 30_000.0, 10_000.0),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A13_equity_equal_to_maintenance_is_alive_and_a_micro_less_is_dead(
    tmp_path, margin, qty, price, wick, at, value, level, penalty
) -> None:
    trade = buy("BTC", qty) if qty > 0 else sell("BTC", -qty)
    posted = 10 * price  # leverage 10 on 100 BTC; in isolated the rest of the pool is added by hand
    for lacking, alive in ((0.0, True), (0.000001, False)):
        cash = 100_000 - lacking if margin == "cross" else 100_000.0
        steps = {0: trade, 1: lambda _, account: account.add_margin("BTC", round(100_000 - posted - lacking, 6))}  # noqa: B023
        markets = [Market("BTC", [price, price, wick, price])]
        result = play(tmp_path / str(alive), markets, steps, cash=cash, margin=margin, leverage=10)
        if alive:
            assert rows(result, "liquidations", "ts") == []
            assert final(result) == 100_000.0
        else:
            assert rows(result, "liquidations", *DEATHS) == [(ROW_2 + at, "BTC", level, level, penalty)]
            assert column(result, "fills", "quote")[1] == value
            assert final(result) == level - penalty + (0.000001 if margin == "isolated" else 0.0)


@rule("4", "7.1")
@pytest.mark.parametrize(
    ("steps", "opened", "before", "penalty", "left"),
    [
        # 50 at 10,000 would die at 8,247.42 (A4). The next open is 8,200: 100,000 - 90,000 = 10,000 against 3 % of
        # 410,000 = 12,300. It is closed at the open's price, not at its level: penalty 4,100, left 5,900.
        (BOUGHT_50, 8_200.0, (10_000.0, 12_300.0), 4_100.0, 5_900.0),
        # Short, its level is 600,000 / 51.5 = 11,650.49. The open is 11,700: 15,000 against 17,550, left 9,150.
        (SOLD_50, 11_700.0, (15_000.0, 17_550.0), 5_850.0, 9_150.0),
    ],
)
def test_A14_a_jump_over_the_liquidation_price_acts_at_the_open(tmp_path, steps, opened, before, penalty, left) -> None:
    """The liquidation and an order that comes with the jump are covered: the liquidation goes first.

    The stop is not, being an order of a later version. In its place is a close sent just before the jump, which
    arrives at the same open and finds no position any more.
    """
    steps = {**steps, 1: lambda _, account: account.close("BTC")}
    result = play(tmp_path, [Market("BTC", [1e4, 1e4, opened, opened])], steps)
    assert rows(result, "liquidations", *DEATHS) == [(ROW_2, "BTC", *before, penalty)]
    assert rows(result, "fills", "ts", "price", "cause")[1:] == [(ROW_2, opened, "liquidation")]
    assert rows(result, "orders", "ts_done", "status", "reason")[1:] == [(ROW_2, "rejected", "reduce_only")]
    assert final(result) == left


@rule("7.1")
@pytest.mark.parametrize(
    ("leverage", "btc_low", "eth_low", "deaths"),
    [
        # 100 BTC and 100 ETH at 1,000 each, isolated. BTC posts 5,000 (leverage 20), ETH 10,000 (leverage 10).
        #   BTC to 960: health 5,000 - 3,000 = 2,000, then 1,000 - 2,880 = -1,880: crossing at 2,000 / 3,880
        #     60,000 x 20 / 38.8 = 30,927.8 -> 30,928 thirds, 10,309 ms; 100,000 - 4,000 x 20 / 38.8 = 97,938.144330
        #   ETH to 800: health 7,000, then -10,000 - 2,400 = -12,400: crossing at 7,000 / 19,400
        #     60,000 x 7 / 19.4 = 21,649.5 -> 21,649 thirds, 7,216 ms; 100,000 - 20,000 x 7 / 19.4 = 92,783.505155
        # By name BTC would come first; by time it is ETH.
        ((20, 10), 960.0, 800.0, [(7_216, "ETH", -92_783.505155), (10_309, "BTC", -97_938.144330)]),
        # The same fall of 10 % on equal margins: health 2,000, then -5,000 - 2,700 = -7,700: crossing at 20 / 97
        #   60,000 x 20 / 97 = 12,371.1 thirds, 4,123 ms; 100,000 - 10,000 x 20 / 97 = 97,938.144330; pools by name.
        ((20, 20), 900.0, 900.0, [(4_123, "BTC", -97_938.144330), (4_123, "ETH", -97_938.144330)]),
        # ETH alone falls far enough: BTC to 985 is worth 3,500 against 2,955.
        ((20, 20), 985.0, 900.0, [(4_123, "ETH", -97_938.144330)]),
    ],
)
def test_A15_two_pools_die_each_at_its_own_crossing_in_order_of_time(
    tmp_path, leverage, btc_low, eth_low, deaths
) -> None:
    markets = [
        Market("BTC", [1e3, 1e3, (1e3, 1e3, btc_low, 1e3), 1e3]),
        Market("ETH", [1e3, 1e3, (1e3, 1e3, eth_low, 1e3), 1e3]),
    ]
    set_up = both(
        lambda _, account: account.set_leverage("BTC", leverage[0]),
        lambda _, account: account.set_leverage("ETH", leverage[1]),
        buy("BTC", 100),
        buy("ETH", 100),
    )
    result = play(tmp_path, markets, {0: set_up}, margin="isolated")
    assert rows(result, "liquidations", "ts", "pool") == [(ROW_2 + at, pool) for at, pool, _ in deaths]
    closed = [(ROW_2 + at, pool, -value) for at, pool, value in deaths]
    assert rows(result, "fills", "ts", "symbol", "quote")[2:] == closed
