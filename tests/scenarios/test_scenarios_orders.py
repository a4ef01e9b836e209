"""Scenarios C4, C9 and E6: orders into a gap, orders without latency, and a target that turns a position round.

Unless said otherwise: 100,000 cash, no fees, initial 5 %, maintenance 3 %.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, balances, buy, column, play, rows, sell, venue


@rule("orders 2")
@pytest.mark.parametrize(
    ("candles", "latency", "arrived", "filled", "price"),
    [
        # Sent at the close of row 1, 60 s before the gap of rows 3 and 4; it travels 90 s into the gap. The last price
        # before it is 10,000, the first after it 8,000, at row 5's open.
        ([1e4, 1e4, 1e4, None, None, (8e3, 9e3, 8e3, 9e3), 1e4], 90_000, 3 * MINUTE + 30_000, 5 * MINUTE, 8_000.0),
        # It arrives at the gap's first instant, and the market comes back higher.
        ([1e4, 1e4, None, 1.1e4, 1e4], 0, 2 * MINUTE, 3 * MINUTE, 11_000.0),
        # It arrives in the gap's last millisecond.
        ([1e4, 1e4, None, None, 9.9e3, 1e4], 119_999, 4 * MINUTE - 1, 4 * MINUTE, 9_900.0),
        # A millisecond later there is no gap any more.
        ([1e4, 1e4, None, None, 9.9e3, 1e4], 120_000, 4 * MINUTE, 4 * MINUTE, 9_900.0),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
@pytest.mark.parametrize("side", [buy, sell])
def test_C4_an_order_delayed_into_a_gap_is_never_filled_at_the_price_before_it(
    tmp_path: Path, side, margin, candles, latency, arrived, filled, price
) -> None:
    result = play(
        tmp_path, [Market("BTC", candles)], {1: side("BTC", 5)}, margin=margin, leverage=1, latency_ms=latency
    )
    assert rows(result, "orders", "ts_sent", "ts_arrived", "ts_done", "status") == [
        (2 * MINUTE, arrived, filled, "filled")
    ]
    assert rows(result, "fills", "ts", "price", "decision_price", "arrival_price") == [(filled, price, 1e4, price)]


@rule("orders 2")
def test_C4_beside_a_market_that_trades(tmp_path: Path) -> None:
    # The strategy is called in BTC's gap too, because ETH trades, and sends there: the order waits all the same, and
    # one that never sees a candle again inside the run ends as expired. The decision price in a gap is the mark's.
    btc = Market("BTC", [1e4, 1e4, None, None, 9e3, 9e3], mark=[1e4, 1e4, 9.8e3, 9.7e3, 9e3, 9e3])
    eth = Market("ETH", [1e3] * 7)
    result = play(tmp_path, [btc, eth], {2: buy("BTC", 1), 4: buy("BTC", 2)}, latency_ms=10_000)
    assert rows(result, "fills", "ts", "qty", "price", "decision_price", "cause") == [
        (4 * MINUTE, 1.0, 9_000.0, 9_800.0, "strategy"),
        (5 * MINUTE + 10_000, 2.0, 9_000.0, 9_000.0, "strategy"),
        (6 * MINUTE, -3.0, 9_000.0, 9_000.0, "delisting"),
    ]


@rule("orders 2", "layer2 2")
@pytest.mark.parametrize(
    ("opens", "closes"),
    [
        ([100.0, 100.0, 100.0, 100.0], [100.0, 100.0, 100.0, 100.0]),
        # Each opens away from the close before it, by a price that no sum of doubles would hit by chance.
        ([100.0, 101.37, 99.0001, 102.3], [100.9, 100.01, 98.7, 102.3]),
        ([0.0713, 0.0719, 0.0702, 0.0711], [0.0715, 0.0701, 0.0712, 0.0711]),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_C9_without_latency_an_order_fills_at_the_next_open_exactly(tmp_path: Path, margin, opens, closes) -> None:
    candles = [(o, max(o, c) * 1.01, min(o, c) * 0.99, c) for o, c in zip(opens, closes, strict=True)]
    steps = {0: buy("BTC", 3), 1: sell("BTC", 5), 2: buy("BTC", 2), 3: buy("BTC", 1)}
    result = play(tmp_path, [Market("BTC", candles)], steps, margin=margin, leverage=1, latency_ms=0)
    assert rows(result, "fills", "ts", "price", "arrival_price", "decision_price") == [
        (row * MINUTE, opens[row], opens[row], closes[row - 1]) for row in (1, 2, 3)
    ]
    # The quote is the open times the quantity, rounded once to the micro: 3, 5 and 2 of it.
    assert column(result, "fills", "quote") == [
        round(-3 * opens[1], 6),
        round(5 * opens[2], 6),
        round(-2 * opens[3], 6),
    ]
    # What is sent at the very last close never arrives.
    assert rows(result, "orders", "status", "reason", "ts_arrived")[3] == ("expired", "end_of_run", None)


@rule("6")
@pytest.mark.parametrize(
    ("first", "second", "price", "expected"),
    [
        # Fee 10 bps, leverage 10. Long 50 at 10,000: fee 500. At 11,000 to short 30: one sale of 80 for 880,000,
        # fee 880.
        #   realised 50 x 1,000 = 50,000; equity 100,000 - 500 + 50,000 - 880 = 148,620
        #   before: initial 10 % of 500,000 = 50,000, maintenance 15,000
        #   after: 10 % of 330,000 = 33,000, maintenance 9,900; in isolated the pool's equity is the 33,000
        (50, -30, 1.1e4, (880_000.0, 880.0, 50_000.0, 148_620.0, (50_000.0, 15_000.0), (33_000.0, 9_900.0))),
        # Short 40 at 10,000: fee 400. At 10,500 to long 20: one purchase of 60 for 630,000, fee 630.
        #   realised -40 x 500 = -20,000; equity 100,000 - 400 - 20,000 - 630 = 78,970
        #   before: 40,000 and 12,000; after: 21,000 and 6,300
        (-40, 20, 1.05e4, (-630_000.0, 630.0, -20_000.0, 78_970.0, (40_000.0, 12_000.0), (21_000.0, 6_300.0))),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_E6_a_target_that_flips_is_one_fill(tmp_path: Path, margin, first, second, price, expected) -> None:
    quote, fee, realised, equity, before, after = expected
    steps = {
        0: lambda _, account: account.target("BTC", qty=first),
        1: lambda _, account: account.target("BTC", qty=second),
    }
    market = Market("BTC", [1e4, 1e4, price])
    result = play(tmp_path, [market], steps, margin=margin, leverage=10, fee_bps=10)
    opened, flipped = rows(result, "fills", "qty", "quote", "fee", "realized_pnl")
    assert opened == (first, -first * 1e4, abs(first) * 10.0, 0.0)
    assert flipped == (second - first, quote, fee, realised)
    margins = rows(result, "equity", "initial_margin", "maintenance_margin")
    assert margins[1:] == [before, after]
    assert column(result, "equity", "equity")[-1] == equity
    assert rows(result, "positions", "qty", "entry_price", "unrealized")[-1] == (second, price, 0.0)
    held = balances(result)
    assert held["fees"] == round((abs(first) * 10 + fee) * 1e6)
    if margin == "isolated":
        assert rows(result, "margin", "pool", "equity", "initial")[-1] == ("BTC", after[0], after[0])
        assert held["pool:BTC"] == round((after[0] - second * price) * 1e6)
        assert held["wallet"] == round((equity - after[0]) * 1e6)
    else:
        assert held["wallet"] == round((equity - second * price) * 1e6)


@rule("6")
@pytest.mark.parametrize(("weight", "sold", "left"), [(-0.5, 977.272, -477.272), (-0.2, 690.909, -190.909)])
def test_E6_by_weight(tmp_path: Path, weight, sold, left) -> None:
    # Half of 100,000 at 100: 500. At 110 equity is 105,000: half of it short is 52,500 / 110 = 477.2727 -> 477.272,
    # a fifth 21,000 / 110 = 190.909. Realised 5,000 either way.
    steps = {
        0: lambda _, account: account.target("BTC", weight=0.5),
        1: lambda _, account: account.target("BTC", weight=weight),
    }
    market = Market("BTC", [100.0, (100.0, 110.0, 100.0, 110.0), 110.0])
    result = play(tmp_path, [market], steps)
    assert rows(result, "fills", "qty", "realized_pnl") == [(500.0, 0.0), (-sold, 5_000.0)]
    assert rows(result, "positions", "qty")[-1] == (left,)


@pytest.mark.parametrize(
    ("asked", "said", "unsaid"),
    [
        (
            {"leverage": 100},
            "A leverage of 100 changes nothing: the initial margin of venue generic allows 20 at most.",
            "",
        ),
        ({"leverage": 20}, "no fees charged (venue generic has none; set --fee-bps)", "leverage"),
        ({"fee_bps": 5}, "no slippage charged", "no fees"),
    ],
)
def test_what_was_asked_and_what_a_reader_must_know_of_it(
    tmp_path: Path, asked: dict[str, float], said: str, unsaid: str
) -> None:
    summary = play(tmp_path, [Market("BTC", [1e4] * 3)], {0: buy("BTC", 1)}, **asked).summary
    told = [*summary["notes"], *summary["warnings"]]
    assert any(line.startswith(said) for line in told)
    assert not unsaid or not any(unsaid in line for line in told)


def test_a_fee_of_zero_that_was_asked_for_is_not_blamed_on_the_venue(tmp_path: Path) -> None:
    file = Path(venue(tmp_path, (None, 0.05, 0.03)))
    file.write_text(file.read_text().replace("[defaults]", "[defaults]\ntaker_fee_bps = 4.5"))
    result = play(tmp_path / "m", [Market("BTC", [1e4] * 3)], {0: buy("BTC", 1)}, venue=str(file), fee_bps=0)
    assert "no fees charged (--fee-bps is 0)" in result.summary["warnings"]
