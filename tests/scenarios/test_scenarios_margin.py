"""Scenarios B: margin modes side by side, leverage, admission and what open orders reserve.

Unless said otherwise: 100,000 cash, no fees, initial 5 %, maintenance 3 %, penalty 1 %; opened at the open of row 1.
B3 needs portfolio margin, which a later version brings.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backtest import Comparison
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, both, buy, column, play, play_both, rows, sell, venue

ROW_2 = 2 * MINUTE


def refusal(have: str, need: str, margin: str = "cross") -> str:
    if margin == "isolated":
        return f"margin: {have} available, {need} needed"
    return f"margin: equity {have} would not cover initial {need}"


# ---- B1


def walk(seed: int, count: int) -> list[tuple[float, float, float, float]]:
    """Candles that wander by some tenths of a percent."""
    rng = np.random.default_rng(seed)
    closes = 1e4 * np.exp(np.cumsum(rng.normal(0, 0.003, count)))
    made = []
    for opened, closed in zip([1e4, *closes[:-1]], closes, strict=True):
        up, down = rng.uniform(0, 0.004, 2)
        made.append((opened, max(opened, closed) * (1 + up), min(opened, closed) * (1 - down), closed))
    return [(1e4,) * 4, *[tuple(float(round(price, 2)) for price in candle) for candle in made]]  # type: ignore[misc]


def same_bytes(compared: Comparison, *more: str) -> None:
    """Everything but the pool's name; `more` are further tables."""
    isolated, cross = compared["isolated"].tables, compared["cross"].tables
    assert isolated["equity"].equals(cross["equity"])
    for name in ("fills", "funding", "liquidations", "trades", "orders", *more):
        left, right = (tables[name].drop("pool", strict=False) for tables in (isolated, cross))
        assert left.equals(right), name
    assert isolated["ambiguous"]["ts"].equals(cross["ambiguous"]["ts"])


@rule("6.2")
@pytest.mark.parametrize(
    ("side", "end", "dead"),
    [
        # 100 at 10,000 at leverage 10 post the whole 100,000: health 70,000. Bankrupt 10 % away, dead before: a long
        # where 97 p = 900,000, at 9,278; a short where 103 p = 1,100,000, at 10,680.
        (buy, (9_500.0, 9_500.0, 9_200.0, 9_500.0), True),
        (sell, (10_500.0, 10_700.0, 10_500.0, 10_500.0), True),
        (buy, (9_500.0, 9_500.0, 9_300.0, 9_500.0), False),
        (buy, (8_500.0, 8_500.0, 8_500.0, 8_500.0), True),  # a gap through bankruptcy
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_B1_one_symbol_with_the_whole_wallet_posted_by_leverage(tmp_path: Path, side, end, dead, seed) -> None:
    candles = walk(seed, 30)
    market = Market("BTC", [*candles, end, 1e4, 1e4], funding={k + 0.4: 0.0001 * (-1) ** k for k in range(3, 30, 4)})
    compared = play_both(tmp_path, [market], {0: side("BTC", 100)}, leverage=10)
    same_bytes(compared, "positions", "margin")
    assert column(compared["isolated"], "margin", "pool")[0] == "BTC"
    assert len(rows(compared["isolated"], "funding", "ts")) > 0
    assert (compared["isolated"].metrics["liquidations"] == 1) is dead


@rule("6.2")
@pytest.mark.parametrize("seed", [4, 5])
def test_B1_with_the_rest_added_by_hand_and_costs(tmp_path: Path, seed: int) -> None:
    # 150 at 10,000 with 2 bps of slippage and 5 bps of fee: 1,500,300 paid and 750.15 of fee. Posted 75,000, and the
    # slippage and the fee on top: 76,050.15. The rest is 23,949.85. Closed at the end.
    market = Market("BTC", walk(seed, 30), funding=dict.fromkeys(range(4, 30, 4), 0.0002))
    answers: list[bool] = []
    steps = {
        0: buy("BTC", 150),
        1: lambda _, account: answers.append(account.add_margin("BTC", 23_949.85)),
        2: lambda _, account: answers.append(account.add_margin("BTC", 0.000001)),
        25: lambda _, account: account.close("BTC"),
    }
    compared = play_both(tmp_path, [market], steps, slippage_bps=2, fee_bps=5)
    # One account after the other: the last micro is not there any more, and in cross there is no pool to add to.
    assert answers == [True, False, False, False]
    # (Positions and pools are sampled at the opening's close, before the rest was added.)
    same_bytes(compared)
    assert column(compared["cross"], "orders", "status") == ["filled", "filled"]


# ---- B2


@rule("6.1")
@pytest.mark.parametrize(
    ("ladder", "leverages", "initial"),
    [
        # 40 at 10,000 = 400,000: / 5 = 80,000, / 10 = 40,000, / 40 = 10,000 but the tier asks 5 % = 20,000.
        ([(None, 0.05, 0.03)], (5, 10, 40), [80_000.0, 40_000.0, 20_000.0]),
        # With a tier of 10 % the floor is 40,000: / 8 = 50,000, / 16 = 25,000.
        ([(None, 0.10, 0.03)], (8, 16, 5), [50_000.0, 40_000.0, 80_000.0]),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_B2_leverage_changes_initial_margin_and_never_maintenance(
    tmp_path: Path, margin, ladder, leverages, initial
) -> None:
    def at(leverage: float):
        return lambda _, account: account.set_leverage("BTC", leverage)

    steps = {0: both(at(leverages[0]), buy("BTC", 40)), 1: at(leverages[1]), 2: at(leverages[2])}
    result = play(tmp_path, [Market("BTC", [1e4] * 4)], steps, margin=margin, venue=venue(tmp_path, *ladder))
    assert column(result, "equity", "initial_margin")[1:] == initial
    assert column(result, "equity", "maintenance_margin")[1:] == [12_000.0] * 3
    assert column(result, "equity", "equity")[1:] == [100_000.0] * 3


@rule("6.1")
def test_B2_leverage_decides_what_may_be_opened(tmp_path: Path) -> None:
    # At leverage 5 sixty BTC need 120,000, at 10 they need 60,000.
    def lever(leverage: float):
        return lambda _, account: account.set_leverage("BTC", leverage)

    steps = {0: both(lever(5), buy("BTC", 60)), 1: both(lever(10), buy("BTC", 60))}
    for margin in ("cross", "isolated"):
        result = play(tmp_path / margin, [Market("BTC", [1e4] * 3)], steps, margin=margin)
        assert column(result, "orders", "status") == ["rejected", "filled"]
        assert column(result, "orders", "reason")[0] == refusal("100,000.00", "120,000.00", margin)


@rule("6.1")
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_B2_the_tier_is_the_floor_of_what_an_order_needs(tmp_path: Path, margin: str) -> None:
    # At leverage 40 the tier's 5 % still holds: 200.001 BTC need 100,000.50, and 200 need all there is.
    steps = {0: both(buy("BTC", 200.001), buy("BTC", 200))}
    result = play(tmp_path, [Market("BTC", [1e4] * 3)], steps, margin=margin, leverage=40)
    assert column(result, "orders", "reason") == [refusal("100,000.00", "100,000.50", margin), None]


# ---- B4


@rule("6.2")
@pytest.mark.parametrize(
    ("btc", "eth", "fall", "at", "quote", "lost"),
    [
        # Long 50 BTC at 10,000, short 500 ETH at 1,000: 500,000 each, 25,000 posted each. Both fall 10 % (highs first,
        # so from 20 s to 40 s), then come back.
        #   BTC health 25,000 - 15,000 = 10,000, then -25,000 - 13,500 = -38,500: crossing at 10 / 48.5
        #   time   60,000 + 60,000 x 10 / 48.5 = 72,371.1 thirds, 24,123 ms
        #   value  500,000 - 50,000 x 10 / 48.5 = 489,690.721649, a loss of 10,309.278351, penalty 4,896.907216
        (50, 500, 0.1, 24_123, 489_690.721649, 15_206.185567),
        # 30 BTC against 300 ETH and a fall of 20 %: health 15,000 - 9,000 = 6,000, then -45,000 - 7,200 = -52,200
        #   time   60,000 + 60,000 x 6 / 58.2 = 66,185.6 -> 66,186 thirds, 22,062 ms
        #   value  300,000 - 60,000 x 6 / 58.2 = 293,814.432990, a loss of 6,185.567010, penalty 2,938.144330
        (30, 300, 0.2, 22_062, 293_814.432990, 9_123.711340),
    ],
)
def test_B4_isolated_loses_the_losing_leg_and_cross_survives_by_the_other(
    tmp_path: Path, btc, eth, fall, at, quote, lost
) -> None:
    low, small = 1e4 * (1 - fall), 1e3 * (1 - fall)
    markets = [
        Market("BTC", [1e4, 1e4, (1e4, 1e4, low, low), 1e4]),
        Market("ETH", [1e3, 1e3, (1e3, 1e3, small, small), 1e3]),
    ]
    compared = play_both(tmp_path, markets, {0: both(buy("BTC", btc), sell("ETH", eth))})
    assert [r.label for r in compared.results] == ["isolated", "cross"]
    assert rows(compared["cross"], "liquidations", "ts") == []
    assert column(compared["cross"], "equity", "equity") == [100_000.0] * 4
    isolated = compared["isolated"]
    assert rows(isolated, "liquidations", "ts", "pool", "qty") == [(ROW_2 + at, "BTC", -btc)]
    assert column(isolated, "fills", "quote")[2] == quote
    # At row 2's close the other leg holds its gain; in row 3 it is given back, and the loss is BTC's alone.
    assert column(isolated, "equity", "equity")[2:] == pytest.approx(
        [100_000 - lost + eth * 1e3 * fall, 100_000 - lost], abs=2e-6
    )


@rule("6.2")
@pytest.mark.parametrize(
    ("btc", "eth", "squeeze", "cross", "isolated"),
    [
        # Long 50 BTC at 10,000, short 500 ETH at 1,000; BTC stands still, ETH is squeezed to 1,250 at 40 s and returns.
        # Cross: health at 20 s 100,000 - 30,000 = 70,000, at the high -25,000 - (15,000 + 18,750) = -58,750
        #   time   60,000 + 60,000 x 70 / 128.75 = 92,621.4 thirds, 30,873 ms
        #   ETH    500,000 + 125,000 x 70 / 128.75 = 567,961.165049, a loss of 67,961.165049
        #   penalties 5,000 and 5,679.611650; left 100,000 - 67,961.165049 - 10,679.611650 = 21,359.223301
        # Isolated: health 25,000 - 15,000 = 10,000, at the high -100,000 - 18,750 = -118,750
        #   time   60,000 + 60,000 x 10 / 128.75 = 64,660.2 thirds, 21,553 ms
        #   ETH    500,000 + 125,000 x 10 / 128.75 = 509,708.737864; penalty 5,097.087379
        #   left   100,000 - 9,708.737864 - 5,097.087379 = 85,194.174757, the healthy long among it
        (50, 500, 1_250.0, (30_873, -567_961.165049, 21_359.223301), (21_553, -509_708.737864, 85_194.174757)),
        # 40 BTC and 600 ETH, squeezed to 1,200: 400,000 and 600,000, posted 20,000 and 30,000.
        # Cross: 100,000 - 30,000 = 70,000, at the high -20,000 - (12,000 + 21,600) = -53,600
        #   time   60,000 + 60,000 x 70 / 123.6 = 93,980.6 -> 93,981 thirds, 31,327 ms
        #   ETH    600,000 + 120,000 x 70 / 123.6 = 667,961.165049; penalties 4,000 and 6,679.611650
        #   left   100,000 - 67,961.165049 - 10,679.611650 = 21,359.223301
        # Isolated: 30,000 - 18,000 = 12,000, at the high -90,000 - 21,600 = -111,600
        #   time   60,000 + 60,000 x 12 / 123.6 = 65,825.2 thirds, 21,941 ms
        #   ETH    600,000 + 120,000 x 12 / 123.6 = 611,650.485437; penalty 6,116.504854
        #   left   100,000 - 11,650.485437 - 6,116.504854 = 82,233.009709
        (40, 600, 1_200.0, (31_327, -667_961.165049, 21_359.223301), (21_941, -611_650.485437, 82_233.009709)),
    ],
)
def test_B4_one_squeezed_short_takes_the_healthy_long_with_it_in_cross_only(
    tmp_path: Path, btc, eth, squeeze, cross, isolated
) -> None:
    markets = [Market("BTC", [1e4] * 4), Market("ETH", [1e3, 1e3, (1e3, squeeze, 1e3, 1e3), 1e3])]
    compared = play_both(tmp_path, markets, {0: both(buy("BTC", btc), sell("ETH", eth))})
    at, quote, left = cross
    result = compared["cross"]
    assert rows(result, "liquidations", "ts", "pool", "symbol") == [
        (ROW_2 + at, "cross", "BTC"),
        (ROW_2 + at, "cross", "ETH"),
    ]
    assert column(result, "fills", "quote")[2:] == [btc * 1e4, quote]
    assert column(result, "equity", "equity")[2:] == [left, left]
    at, quote, left = isolated
    result = compared["isolated"]
    assert rows(result, "liquidations", "ts", "pool", "symbol") == [(ROW_2 + at, "ETH", "ETH")]
    assert column(result, "fills", "quote")[2:] == [quote]
    assert column(result, "equity", "equity")[2:] == pytest.approx([left, left], abs=1e-6)
    assert rows(result, "positions", "symbol", "qty")[-1] == ("BTC", btc)


# ---- B5


@rule("6.3")
@pytest.mark.parametrize(
    ("price", "more", "have", "need"),
    [
        # 100 at 10,000, then the market opens at 9,500: equity 50,000. Ten more: 5 % of 110 x 9,500 = 52,250.
        (9_500.0, 10, "50,000.00", "52,250.00"),
        # At 9,400 equity is 40,000, below initial already (47,000): 5 % of 101 x 9,400 = 47,470.
        (9_400.0, 1, "40,000.00", "47,470.00"),
        # To the micro: 5.263 more need 5 % of 105.263 x 9,500 = 49,999.925, and pass; 5.264 need 50,000.4.
        (9_500.0, 5.264, "50,000.00", "50,000.40"),
    ],
)
@pytest.mark.parametrize("reduce", [10, 100])
def test_B5_an_order_beyond_initial_margin_is_refused_and_a_reducing_one_is_not(
    tmp_path: Path, price, more, have, need, reduce
) -> None:
    steps = {0: buy("BTC", 100), 1: both(buy("BTC", more), sell("BTC", reduce))}
    result = play(tmp_path, [Market("BTC", [1e4, 1e4, price])], steps)
    assert rows(result, "orders", "ts_done", "side", "status", "reason", "filled_qty")[1:] == [
        (ROW_2, "buy", "rejected", refusal(have, need), 0.0),
        (ROW_2, "sell", "filled", None, -reduce),
    ]


@rule("6.3")
def test_B5_what_just_fits_is_accepted(tmp_path: Path) -> None:
    steps = {0: buy("BTC", 100), 1: buy("BTC", 5.263)}
    result = play(tmp_path, [Market("BTC", [1e4, 1e4, 9.5e3])], steps)
    assert column(result, "orders", "status") == ["filled", "filled"]


@rule("6.3")
@pytest.mark.parametrize(
    ("first", "second", "have", "need"),
    [
        # Leverage 10: 80 at 10,000 post 80,000 and leave 20,000; 30 more would post 30,000.
        (80, 30, "20,000.00", "30,000.00"),
        # Turning over frees the pool: sell 190 to be short 110, which needs 110,000, and 80,000 come back: 30,000.
        (80, -190, "20,000.00", "30,000.00"),
    ],
)
def test_B5_in_isolated_margin_the_wallet_decides(tmp_path: Path, first, second, have, need) -> None:
    more = buy("BTC", second) if second > 0 else sell("BTC", -second)
    steps = {0: buy("BTC", first), 1: both(more, sell("BTC", 10))}
    result = play(tmp_path, [Market("BTC", [1e4] * 3)], steps, margin="isolated", leverage=10)
    assert column(result, "orders", "reason") == [None, refusal(have, need, "isolated"), None]


# ---- B6


@rule("6.3")
@pytest.mark.parametrize(
    ("btc", "eth", "need"),
    [
        # BTC does not trade in rows 1 to 3, so an order for it waits: 150 at 10,000 reserve 5 % of 1,500,000 = 75,000.
        # 600 ETH at 1,000 need 30,000 more: 105,000 of 100,000.
        (150, 600, "105,000.00"),
        # A waiting sale reserves as much: 80,000, and a short of 401 ETH 20,050.
        (-160, -401, "100,050.00"),
        (120, 801, "100,050.00"),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_B6_a_waiting_order_reserves_margin_until_it_is_cancelled(tmp_path: Path, margin, btc, eth, need) -> None:
    wait = buy("BTC", btc) if btc > 0 else sell("BTC", -btc)
    other = buy("ETH", eth) if eth > 0 else sell("ETH", -eth)
    seen: list[list[tuple[int, bool]]] = []
    numbers: list[int] = []
    steps = {
        0: lambda market, account: numbers.append(wait(market, account)),
        1: both(other, lambda _, account: seen.append([(o.order_id, o.state == "working") for o in account.orders])),
        2: both(lambda _, account: account.cancel(numbers[0]), other),
    }
    result = play(
        tmp_path, [Market("BTC", [1e4, None, None, None, 1e4]), Market("ETH", [1e3] * 5)], steps, margin=margin
    )
    # The order sent a moment ago is on its way, the first one waits.
    assert seen == [[(0, True), (1, False)]]
    assert rows(result, "orders", "ts_done", "symbol", "status", "reason") == [
        (3 * MINUTE, "BTC", "cancelled", "strategy"),
        (2 * MINUTE, "ETH", "rejected", refusal("100,000.00", need, margin)),
        (3 * MINUTE, "ETH", "filled", None),
    ]
    assert rows(result, "fills", "symbol", "qty") == [("ETH", eth)]


@rule("6.3")
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_B6_orders_that_wait_are_themselves_refused_beyond_the_margin(tmp_path: Path, margin: str) -> None:
    # Waiting for BTC: 201 would reserve 100,500. 120 reserve 60,000; 81 more 100,500; 80 more all there is. A sale
    # against them frees nothing and costs nothing: exposure is the larger side.
    steps = {0: both(buy("BTC", 201), buy("BTC", 120), buy("BTC", 81), buy("BTC", 80), sell("BTC", 150))}
    result = play(tmp_path, [Market("BTC", [1e4, None, 1e4])], steps, margin=margin)
    assert rows(result, "orders", "ts_done", "reason") == [
        (MINUTE, refusal("100,000.00", "100,500.00", margin)),
        (ROW_2, None),
        (MINUTE, refusal("100,000.00", "100,500.00", margin)),
        (ROW_2, None),
        (ROW_2, None),
    ]
    assert column(result, "fills", "qty") == [120.0, 80.0, -150.0]


# ---- B7


@rule("6.2")
@pytest.mark.parametrize(
    ("btc", "risen", "eth", "need"),
    [
        # 100 BTC at 10,000 post 50,000. At 11,000 they have won 100,000. 2,500 ETH need 125,000:
        # cross 55,000 + 125,000 of 200,000; isolated has 50,000 left in the wallet.
        (100, 1.1e4, 2_500, "125,000.00"),
        # 160 BTC post 80,000. At 12,000 they have won 320,000: 96,000 + 250,000 of 420,000, against 20,000.
        (160, 1.2e4, 5_000, "250,000.00"),
    ],
)
def test_B7_unrealised_profit_carries_another_leg_in_cross_only(tmp_path: Path, btc, risen, eth, need) -> None:
    markets = [Market("BTC", [1e4, 1e4, risen, risen]), Market("ETH", [1e3] * 4)]
    compared = play_both(tmp_path, markets, {0: buy("BTC", btc), 1: buy("ETH", eth)})
    assert column(compared["cross"], "orders", "status") == ["filled", "filled"]
    wallet = f"{100_000 - btc * 500:,.2f}"
    assert column(compared["isolated"], "orders", "reason") == [None, refusal(wallet, need, "isolated")]
    both_hold = [r.metrics["final_equity"] for r in compared.results]
    assert both_hold == [100_000 + btc * (risen - 1e4)] * 2
