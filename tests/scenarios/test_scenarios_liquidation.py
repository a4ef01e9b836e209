"""Scenarios A5, A6, A12 and the stages of a liquidation: how much a step closes, when, and when it ends (rules.md 7).

The account and its 100 BTC are those of `tests.scenarios.staged`, unless said otherwise.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, both, buy, column, rows, sell
from tests.scenarios.staged import LADDER, ROW_2, STEPS, jump, staged

pytestmark = rule("7", "7.2", "7.3")

# ---- A5, A6, A12: tiers, and partial liquidation by steps


@rule("6.1")
def test_A5_tiers_are_by_symbol_in_a_step_down_too(tmp_path: Path) -> None:
    # 45 BTC and -450 ETH of 450,000 each, both in tier 1 (one symbol of 900,000 would lie in tier 2). BTC falls by
    # 18 % to 369,000, ETH stands: equity 19,000 against 3 % of (369,000 + 450,000) = 24,570. The largest is ETH, and
    # below the lowest edge a step down is the whole position: 3 % of 369,000 = 11,070 is left to be covered.
    markets = [Market("BTC", [1e4, 1e4, 8.2e3, 8.2e3]), Market("ETH", [1e3] * 4)]
    steps = {0: both(buy("BTC", 45), sell("ETH", 450))}
    result = staged(tmp_path, 'take = "tier"\nevery = 1', markets, *LADDER, steps=steps)
    assert rows(result, "liquidations", "symbol", *STEPS) == [
        ("ETH", ROW_2, "position", 450.0, 1_000.0, 0.0, 19_000.0, 11_070.0)
    ]
    assert column(result, "liquidations", "maintenance_before") == [24_570.0]


@rule("7.3")
@pytest.mark.parametrize(
    ("side", "price", "steps", "left"),
    [
        # 60 long: 600,000, opened for 35,000. At 8,590: equity 15,400; 515,400 need 6 % less 15,000 = 15,924.
        #   above the edge lie 15,400 of 515,400: 60,000 lots x 15,400 / 515,400 = 1,792.8 -> 1,793 lots
        #   worth 15,401.87; 499,998.13 are left and need 14,999.9439
        (buy, 8_590.0, [(0, "partial", -1.793, 15_400.0, 14_999.9439)], 15_400.0),
        # At 8,580: equity 14,800; 514,800 need 15,888. 60,000 x 14,800 / 514,800 = 1,724.9 -> 1,725 lots, 14,800.5.
        # 499,999.5 need 14,999.985: not enough. A second later there is no edge below: the rest goes.
        (
            buy, 8_580.0,
            [(0, "partial", -1.725, 14_800.0, 14_999.985), (1_000, "position", -58.275, 14_800.0, 0.0)], 14_800.0,
        ),
        # 60 short, 11,300: equity 100,000 - 78,000 = 22,000; 678,000 need 25,680. Above the edge 178,000:
        # 60,000 x 178,000 / 678,000 = 15,752.2 -> 15,753 lots, 178,008.9; 499,991.1 need 14,999.733.
        (sell, 11_300.0, [(0, "partial", 15.753, 22_000.0, 14_999.733)], 22_000.0),
    ],
)  # fmt: skip
def test_A12_a_step_goes_down_a_tier_and_no_further_than_it_must(tmp_path: Path, side, price, steps, left) -> None:
    result = staged(tmp_path, 'take = "tier"\nevery = 1', jump(price), *LADDER, steps={0: side("BTC", 60)})
    assert rows(result, "liquidations", "ts", "stage", "qty", "equity_after", "maintenance_after") == [
        (ROW_2 + at, *rest) for at, *rest in steps
    ]
    assert column(result, "equity", "equity")[-1] == left


@rule("6.1")
def test_A6_a_step_down_at_the_exact_crossing(tmp_path: Path) -> None:
    # 60 long fall from 10,000 at 0 s to 8,000 at 20 s (it closes where it opened: lows first) and cross in tier 2, as
    # in A6 of the joint path:
    #   open 79,000, edge -15,000 at 50,000 thirds: at 79 / 94 of the way, 42,021 thirds, 14,007 ms
    #   value 600,000 - 100,000 x 79 / 94 = 515,957.446809, equity = maintenance = 15,957.446809
    #   above the edge 15,957.446809: 60,000 x 15,957.446809 / 515,957.446809 = 1,855.67 -> 1,856 lots
    #   worth 515,957.446809 x 1,856 / 60,000 = 15,960.283688; 499,997.163121 need 14,999.914894
    # Healthy by that, so the process ends, and a new one begins where the rest is below maintenance of tier 1:
    #   cash 100,000 - 600,000 + 15,960.283688 = -484,039.716312, and 97 % of 499,010.016816 is as much
    #   price 499,010.016816 / 58.144 = 8,582.313; 60,000 x (10,000 - 8,582.313) / 2,000 = 42,530.6 thirds, 14,176.9 ms
    # With no edge below, all of it goes.
    market = Market("BTC", [1e4, 1e4, (1e4, 1e4, 8e3, 1e4), 1e4])
    result = staged(tmp_path, 'take = "tier"\nevery = 1', market, *LADDER, steps={0: buy("BTC", 60)})
    first, second = rows(result, "liquidations", "ts", "stage", "qty", "equity_before", "maintenance_before")
    assert first == (ROW_2 + 14_007, "partial", -1.856, 15_957.446809, 15_957.446809)
    assert second == (ROW_2 + 14_177, "position", -58.144, 14_970.300504, 14_970.300504)
    assert column(result, "fills", "quote")[1:] == [15_960.283688, 499_010.016816]
    assert column(result, "liquidations", "maintenance_after") == [14_999.914894, 0.0]
    assert column(result, "equity", "equity")[-1] == 14_970.300504


@rule("7.3")
@pytest.mark.parametrize(
    ("buffer", "count"),
    [
        # 40 at 10,000 under 10 % and 8 %; at 8,000 equity is 20,000, 320,000 need 25,600. A half: 160,000 need 12,800,
        # and 20,000 are 12,800 x 1.5625, to the micro. A buffer of 56.25 % ends it, a hair more takes another half.
        (0.5625, 1),
        (0.56250001, 2),
        (0.0, 1),
    ],
)
def test_A12_it_ends_when_the_pool_is_healthy_plus_the_buffer(tmp_path: Path, buffer: float, count: int) -> None:
    keys = f'take = "share"\nportion = 0.5\nevery = 10\nbuffer = {buffer}'
    result = staged(tmp_path, keys, jump(8_000.0), (None, 0.1, 0.08), steps={0: buy("BTC", 40)})
    expected = [(ROW_2, -20.0, 12_800.0), (ROW_2 + 10_000, -10.0, 6_400.0)]
    assert rows(result, "liquidations", "ts", "qty", "maintenance_after") == expected[:count]
    assert column(result, "liquidations", "equity_after") == [20_000.0] * count
    # What is left lives on.
    assert rows(result, "positions", "qty")[-1] == ((20.0, 10.0)[count - 1],)


# ---- how much: share, ramp, order of positions


@pytest.mark.parametrize(
    ("buffer", "count"),
    [
        # At 9,200, a tenth each 10 s, at least 70,000 and at most 80,000; lots within a cap are rounded down.
        #    0 s  92,000 -> 80,000: 100,000 lots x 80,000 / 920,000 = 8,695.7 -> 8.695, left 840,006,   need 25,200.18
        #   10 s  84,000.6 -> 80,000: 91,305 x 80,000 / 840,006     = 8,695.7 -> 8.695, left 760,012,   need 22,800.36
        #   20 s  76,001.2: 82,610 x 0.1                            = 8,261   -> 8.261, left 684,010.8, need 20,520.324
        #   30 s  68,401.08 -> 70,000: 74,349 x 70,000 / 684,010.8  = 7,608.7 -> 7.608, left 614,017.2, need 18,420.516
        # 20,000 cover that. With a buffer of 10 % they must cover 20,262.5676:
        #   40 s  70,000: 66,741 x 70,000 / 614,017.2               = 7,608.7 -> 7.608, left 544,023.6, need 16,320.708
        (0.0, 4),
        (0.1, 5),
    ],
)
def test_a_share_within_its_caps_and_a_cooldown_inside_the_minute(tmp_path: Path, buffer: float, count: int) -> None:
    keys = f'take = "share"\nportion = 0.1\nminimum = 70_000\ncap = 80_000\nevery = "10s"\nbuffer = {buffer}'
    result = staged(tmp_path, keys, jump(9_200.0))
    expected = [
        (0, -8.695, 25_200.18),
        (10_000, -8.695, 22_800.36),
        (20_000, -8.261, 20_520.324),
        (30_000, -7.608, 18_420.516),
        (40_000, -7.608, 16_320.708),
    ]
    assert rows(result, "liquidations", *STEPS) == [
        (ROW_2 + at, "partial", qty, 9_200.0, 0.0, 20_000.0, need) for at, qty, need in expected[:count]
    ]


def test_a_cooldown_reaches_into_the_next_candle(tmp_path: Path) -> None:
    # A tenth each 45 s: 100,000 lots, 90,000, 81,000, 72,900 at 0, 45, 90 and 135 s. What is left needs 24,840,
    # 22,356, 20,120.4 and, at 72.9 x 0.9 = 65.61 x 9,200, 18,108.36.
    result = staged(tmp_path, 'take = "share"\nportion = 0.1\nevery = 45', jump(9_200.0, count=4))
    assert rows(result, "liquidations", "ts", "qty", "maintenance_after") == [
        (ROW_2 + 0, -10.0, 24_840.0),
        (ROW_2 + 45_000, -9.0, 22_356.0),
        (ROW_2 + 90_000, -8.1, 20_120.4),
        (ROW_2 + 135_000, -7.29, 18_108.36),
    ]


def test_steps_without_a_pause_happen_at_one_instant(tmp_path: Path) -> None:
    result = staged(tmp_path, 'take = "share"\nportion = 0.1', jump(9_200.0))
    assert rows(result, "liquidations", "ts", "qty", "maintenance_after") == [
        (ROW_2, -10.0, 24_840.0),
        (ROW_2, -9.0, 22_356.0),
        (ROW_2, -8.1, 20_120.4),
        (ROW_2, -7.29, 18_108.36),
    ]


@pytest.mark.parametrize(
    ("keys", "second"),
    [
        # From 10,000 at 20 s to 9,000 at 40 s (it closes lower: highs first), flat after it. Health 70,000 at 20 s,
        # 0 - 27,000 at 40 s: crossing at 70 / 97, 60,000 + 43,299 thirds, 34,433 ms.
        #   value 1,000,000 - 100,000 x 70 / 97 = 927,835.051546. A fifth of it, 185,567.010309 (rounded down from
        #   …309.2), is a hair less than 20,000 lots: 19,999. They are worth 185,557.731959.
        # A buffer of a half keeps the process going. After 5 s, at 118,299 thirds, the price is 10,000 - 1,000 x
        # 58,299 / 60,000 and all of 80.001 goes:
        #   80.001 x 9,028.35 = 722,277.02835; equity 100,000 - 1,000,000 + 185,557.731959 + 722,277.02835
        ("every = 5\nbuffer = 0.5\nthen_whole = true", (39_433, "position", -80.001, 7_834.760309)),
        # or the rest, being 722,277.02835, is small enough to go whole
        ("every = 5\nbuffer = 0.5\nabove = 722_277.02835", (39_433, "position", -80.001, 7_834.760309)),
        # or it is not: a fifth of it, 144,455.40567: 80,001 x 0.2 = 16,000.2 -> 16,000 lots
        ("every = 5\nbuffer = 0.5\nabove = 722_277.028349", (39_433, "partial", -16.0, 7_834.760309)),
        # Without a buffer the first step has ended the process; the next begins where 97 % of the rest is worth
        # 900,000 - 185,557.731959: 736,538.420660, a price of 9,206.6152 and 60,000 + 60,000 x 0.7933848 thirds =
        # 35,867 ms, 1,434 ms after the first step: within five seconds of it all of the rest goes, after one second
        # the first step is a first step again: 147,307.684132 is a hair less than 16,000.2 lots.
        ("every = 5\nthen_whole = true", (35_867, "position", -80.001, 22_096.152619)),
        ("every = 1\nthen_whole = true", (35_867, "partial", -16.0, 22_096.152619)),
    ],
)
def test_after_the_first_share_whole_positions_or_small_ones(tmp_path: Path, keys, second) -> None:
    market = Market("BTC", [1e4, 1e4, (1e4, 1e4, 9e3, 9e3), 9e3])
    result = staged(tmp_path, f'take = "share"\nportion = 0.2\n{keys}', market)
    found = rows(result, "liquidations", "ts", "stage", "qty", "equity_before")
    assert found[0] == (ROW_2 + 34_433, "partial", -19.999, 27_835.051546)
    assert found[1] == (ROW_2 + second[0], *second[1:])
    assert column(result, "fills", "quote")[1] == 185_557.731959
    assert (len(found) == 2) is (second[1] == "position")


@pytest.mark.parametrize(
    ("small", "expected"),
    [
        # 80 at 10,000 under 10 % and 6 %, at 9,250: equity 40,000, 740,000 need 44,400. The fee of 1 % to the
        # liquidator and 1 % to the fund leave 4 % of what is closed to lower the shortage; the buffer is 2 %.
        #    0 s  short of 44,400 x 1.02 - 40,000 = 5,288; a tenth, 528.8 / 0.04 = 13,220: 1,429.2 -> 1,430 lots
        #         13,227.5 less 132.275; to the fund 1 % of 13,095.225; left 39,736.77275, need 43,606.35
        #   10 s  a tenth + 10 / 20: 60 % of 43,606.35 x 1.02 - 39,736.77275 = 4,741.70425; / 0.04 = 71,125.56375:
        #         7,690 lots, 71,132.5 less 711.325; 704.21175; left 38,321.236, need 39,338.4
        #   20 s  all of 40,125.168 - 38,321.236 = 1,803.932; / 0.04 = 45,098.3: 4,876 lots, 45,103 less 451.03;
        #         446.5197; left 37,423.6863, and 36,632.22 x 1.02 = 37,364.8644: done
        (
            0,
            [
                (0, -1.43, 130.95225, 39_736.77275, 43_606.35),
                (10_000, -7.69, 704.21175, 38_321.236, 39_338.4),
                (20_000, -4.876, 446.5197, 37_423.6863, 36_632.22),
            ],
        ),
        # A shortage below 5,300 is covered at once: 5,288 / 0.04 = 132,200: 14,292 lots, 132,201 less 1,322.01;
        # 1,308.7899; left 37,369.2001, need 36,467.94 (x 1.02 = 37,197.2988).
        (5_300, [(0, -14.292, 1_308.7899, 37_369.2001, 36_467.94)]),
        # A shortage of exactly the bound is not below it.
        (
            5_288,
            [(0, -1.43, 130.95225, 39_736.77275, 43_606.35), (10_000, -12.816, 1_173.6252, 37_377.66755, 36_493.47)],
        ),
    ],
)
def test_a_ramp_covers_a_share_of_the_shortage_that_grows(tmp_path: Path, small, expected) -> None:
    # (In the last case 4,741.70425 is below 5,288 at 10 s, and goes whole: / 0.04 = 118,542.60625, 12,816 lots,
    # 118,548 less 1,185.48; 1 % of 117,362.52; left 39,736.77275 - 1,185.48 - 1,173.6252, need 6 % of 608,224.5.)
    keys = (
        'take = "ramp"\nprice = "oracle"\nevery = 10\nramp_start = 0.1\nramp = 20\nbuffer = 0.02\n'
        f"liquidator_fee = 0.01\npenalty = 0.01\nsmall = {small}"
    )
    result = staged(tmp_path, keys, jump(9_250.0), (None, 0.1, 0.06), steps={0: buy("BTC", 80)})
    assert rows(result, "liquidations", "ts", "qty", "insurance", "equity_after", "maintenance_after") == [
        (ROW_2 + at, *rest) for at, *rest in expected
    ]


@pytest.mark.parametrize(
    ("ranking", "first", "need"),
    [
        ("symbol", "ADA", 20_580.0),
        ("largest", "BTC", 17_610.0),
        ("maintenance", "ETH", 11_310.0),
        ("loss", "SOL", 21_150.0),
    ],
)
def test_position_by_position_in_the_venues_order(tmp_path: Path, ranking: str, first: str, need: float) -> None:
    #        opened           at      notional  loss    maintenance
    #   ADA   100 x  1,000      990     99,000   1,000   3 %   2,970    first by name
    #   BTC    20 x 10,000    9,900    198,000   2,000   3 %   5,940    the largest
    #   ETH  -150 x  1,000    1,020    153,000   3,000   8 %  12,240    asks for the most
    #   SOL 1,000 x    100       80     80,000  20,000   3 %   2,400    has lost the most
    # 49,000 less 26,000 are 23,000 against 23,550. One of them is enough.
    opened = {"ADA": (100, 1e3, 990.0), "BTC": (20, 1e4, 9.9e3), "ETH": (-150, 1e3, 1_020.0), "SOL": (1e3, 100.0, 80.0)}
    markets = [Market(name, [was, was, now, now]) for name, (_, was, now) in opened.items()]
    script = both(*(buy(s, q) if q > 0 else sell(s, -q) for s, (q, _, _) in opened.items()))
    eth = '[symbols."ETH"]\ntiers = [{ initial = 0.1, maintenance = 0.08 }]'
    keys = f'take = "position"\nranking = "{ranking}"'
    result = staged(tmp_path, keys, markets, steps={0: script}, cash=49_000, more=eth)
    assert rows(result, "liquidations", "symbol", "stage", "equity_before", "maintenance_before") == [
        (first, "position", 23_000.0, 23_550.0)
    ]
    assert rows(result, "liquidations", "equity_after", "maintenance_after") == [(23_000.0, need)]
    assert sorted(s for (s,) in rows(result, "positions", "symbol")[-3:]) == sorted(set(opened) - {first})


# ---- delay and backstop


@pytest.mark.parametrize(
    ("delay", "steps"),
    [
        # From 9,250 the mark stands until 20 s and is at 9,400 by 40 s: 7.5 a second. After 15 s it is still 9,250; at
        # 23 s it is 9,272.5: 27,250 of 27,817.5; at 24 s 9,280: 28,000 of 27,840, and the process ends without a step.
        (15, [(15_000, 25_000.0, 27_750.0)]),
        (23, [(23_000, 27_250.0, 27_817.5)]),
        (24, []),
    ],
)
def test_a_delay_lets_a_pool_recover_and_its_waiting_orders_are_gone_at_once(tmp_path, delay: int, steps) -> None:
    market = Market("BTC", [1e4, 1e4, (9_250.0, 9.4e3, 9_250.0, 9.4e3), 9.4e3])
    eth = Market("ETH", [1e3, None, None, 1e3])
    result = staged(
        tmp_path, f'take = "position"\ndelay = {delay}', [market, eth], steps={0: both(buy("BTC", 100), buy("ETH", 1))}
    )
    assert rows(result, "liquidations", "ts", "equity_before", "maintenance_before") == [
        (ROW_2 + at, *rest) for at, *rest in steps
    ]
    assert rows(result, "orders", "symbol", "ts_done", "status", "reason") == [
        ("BTC", MINUTE, "filled", None),
        ("ETH", ROW_2, "cancelled", "liquidation"),
    ]


@pytest.mark.parametrize(
    ("keys", "candle", "expected"),
    [
        # A jump to 9,150: 15,000 are below two thirds of 27,450, 18,300. The pool goes with all its margin.
        ("delay = 0", (9_150.0,) * 4, (0, -100.0, 9_150.0, 15_000.0)),
        # With a delay half a minute later: nobody looks before.
        ("delay = 30", (9_150.0,) * 4, (30_000, -100.0, 9_150.0, 15_000.0)),
        # A jump to 9,185: 18,500 of 27,555 (two thirds: 18,370) is still the venue's own to close.
        ("delay = 0", (9_185.0,) * 4, None),
        # On the way from 10,000 at 20 s to 9,000 at 40 s it is below maintenance at 34,433 ms; half a minute later the
        # price is 9,000 and nothing is left to take.
        ("delay = 30", (1e4, 1e4, 9e3, 9e3), (64_433, -100.0, 9_000.0, 0.0)),
    ],
)
def test_the_backstop_takes_the_pool_below_two_thirds(tmp_path: Path, keys, candle, expected) -> None:
    text = f'take = "position"\npenalty = 0.01\nbackstop = 0.6666666666666666\n{keys}'
    result = staged(tmp_path, text, Market("BTC", [1e4, 1e4, candle, candle[3]]))
    if expected is None:
        assert rows(result, "liquidations", "stage", "insurance") == [("position", 9_185.0)]
        return
    at, qty, price, took = expected
    assert rows(result, "liquidations", *STEPS) == [
        (ROW_2 + at, "backstop", qty, pytest.approx(price, rel=1e-14), took, 0.0, 0.0)
    ]
    assert column(result, "equity", "equity")[-1] == 0.0


def test_the_backstop_takes_every_leg_and_shares_what_is_left_by_maintenance(tmp_path: Path) -> None:
    # 100 BTC fall to 9,000 and -300 ETH from 1,000 to 960: equity 100,000 - 100,000 + 12,000. Maintenance 27,000 and
    # 8,640 = 35,640, two thirds of which are 23,760. BTC pays ⌊12,000 x 27,000 / 35,640⌋ = 9,090.909090, ETH the rest.
    markets = [Market("BTC", [1e4, 1e4, 9e3, 9e3]), Market("ETH", [1e3, 1e3, 960.0, 960.0])]
    keys = 'take = "share"\nportion = 0.2\nbackstop = 0.6666666666666666'
    result = staged(tmp_path, keys, markets, steps={0: both(buy("BTC", 100), sell("ETH", 300))})
    assert rows(result, "liquidations", "symbol", "stage", "qty", "insurance", "equity_after", "maintenance_after") == [
        ("BTC", "backstop", -100.0, 9_090.90909, 2_909.09091, 8_640.0),
        ("ETH", "backstop", 300.0, 2_909.09091, 0.0, 0.0),
    ]
