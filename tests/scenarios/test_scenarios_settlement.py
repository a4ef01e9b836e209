"""Scenarios A7 to A11: funding beside liquidations and orders, the end of a market, and gaps through bankruptcy.

Unless said otherwise: 100,000 cash, no fees, initial 5 %, maintenance 3 %, penalty 1 %, BTC at 10,000; opened at the
open of row 1, which is 60,000 ms.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, balances, both, buy, column, play, rows, sell

FLAT = [1e4] * 4
ROW_2, ROW_3 = 2 * MINUTE, 3 * MINUTE


def micro(quote: float) -> int:
    return round(quote * 1_000_000)


# ---- A7, A8: funding


@rule("5")
@pytest.mark.parametrize(("side", "sign"), [(buy, 1), (sell, -1)])
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A7_funding_takes_the_pool_below_maintenance(tmp_path: Path, side, sign: int, margin: str) -> None:
    # 200 at 10,000 = 2,000,000: the initial 5 % is all of the cash. 2.1 % of funding, 42,000, leaves 58,000 against a
    # maintenance of 60,000. Penalty 20,000, left 38,000. Price never moved.
    market = Market("BTC", FLAT, funding={2: sign * 0.021})
    result = play(tmp_path, [market], {0: side("BTC", 200)}, margin=margin)
    assert rows(result, "funding", "ts", "qty", "payment") == [(ROW_2, sign * 200.0, -42_000.0)]
    assert rows(result, "liquidations", "ts", "equity_before", "maintenance_before", "penalty", "bad_debt") == [
        (ROW_2, 58_000.0, 60_000.0, 20_000.0, 0.0)
    ]
    journal = [posting for posting in rows(result, "ledger", "ts", "code") if posting[0] == ROW_2]
    assert journal[:3] == [(ROW_2, "funding"), (ROW_2, "trade"), (ROW_2, "penalty")]
    assert column(result, "equity", "equity") == [100_000.0, 100_000.0, 38_000.0, 38_000.0]


@rule("5")
@pytest.mark.parametrize(
    ("rate", "payment", "alive"), [(0.02, 40_000.0, True), (0.0200000000005, 40_000.000001, False)]
)
def test_A7_a_payment_down_to_maintenance_itself_is_survived(tmp_path: Path, rate, payment, alive) -> None:
    # 2 % of 2,000,000 leave 60,000, the maintenance itself: alive. 5e-13 more is a micro more: dead.
    result = play(tmp_path, [Market("BTC", FLAT, funding={2: rate})], {0: buy("BTC", 200)})
    assert column(result, "funding", "payment") == [-payment]
    assert (rows(result, "liquidations", "ts") == []) is alive


@rule("5", "4")
@pytest.mark.parametrize(
    ("second", "payments"),
    [
        # Row 2's stamp pays on the 10 that were held: 10 x 10,000 x 0.1 % = 100, whatever fills at that stamp;
        # row 3's on what came of it.
        (buy("BTC", 10), [(ROW_2, 10.0, -100.0), (ROW_3, 20.0, -200.0)]),
        (sell("BTC", 10), [(ROW_2, 10.0, -100.0)]),
        (sell("BTC", 35), [(ROW_2, 10.0, -100.0), (ROW_3, -25.0, 250.0)]),
    ],
)
def test_A8_the_position_before_the_fill_pays(tmp_path: Path, second, payments) -> None:
    market = Market("BTC", FLAT, funding={2: 0.001, 3: 0.001})
    result = play(tmp_path, [market], {0: buy("BTC", 10), 1: second})
    assert column(result, "fills", "ts") == [MINUTE, ROW_2]
    assert rows(result, "funding", "ts", "qty", "payment") == payments
    at_the_stamp = [code for ts, code in rows(result, "ledger", "ts", "code") if ts == ROW_2]
    assert at_the_stamp == ["funding", "trade"]


@rule("5", "4")
def test_A8_inside_a_candle(tmp_path: Path) -> None:
    # Orders take 20 s, and the stamp lies 20 s into row 2, at its low of 9,700: 10 x 9,700 x 0.2 % = 194 on the ten
    # that are held; the ten that arrive there cost 97,000 and pay nothing. An opening at a stamp pays nothing either:
    # the one in row 1 finds no position.
    market = Market("BTC", [1e4, 1e4, (1e4, 1e4, 9.7e3, 1e4), 1e4], funding={4 / 3: 0.003, 7 / 3: 0.002})
    result = play(tmp_path, [market], {0: buy("BTC", 10), 1: buy("BTC", 10)}, latency_ms=20_000)
    assert rows(result, "funding", "ts", "price", "payment") == [(ROW_2 + 20_000, 9_700.0, -194.0)]
    assert rows(result, "fills", "ts", "quote") == [(MINUTE + 20_000, -100_000.0), (ROW_2 + 20_000, -97_000.0)]


# ---- A9: delisting


@rule("4")
@pytest.mark.parametrize(
    ("qty", "mark", "paid", "left"),
    [
        # 10 at 10,000 with a fee of 10 bps: 100. Row 2 is BTC's last: funding 0.1 % of 100,000 at its open, then
        # settled at the mark's close of 10,150 (the trades end at 10,100), without a fee: 100,000 - 100 - 100 + 1,500.
        (10, 10_150.0, -100.0, 101_300.0),
        # The short receives funding and loses as much as the long wins: 100,000 - 100 + 100 - 1,500.
        (-10, 10_150.0, 100.0, 98_500.0),
        # Twice as many, and the mark below the trades at 9,990: 100,000 - 200 - 200 - 200.
        (20, 9_990.0, -200.0, 99_400.0),
    ],
)
@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_A9_the_data_end_with_a_position_open(tmp_path: Path, margin: str, qty, mark, paid, left) -> None:
    step = buy("BTC", qty) if qty > 0 else sell("BTC", -qty)
    last = (1e4, 1.01e4, 1e4, 1.01e4)
    btc = Market(
        "BTC", [1e4, 1e4, last], mark=[1e4, 1e4, (1e4, mark, min(1e4, mark), mark)],
        funding={2: 0.001, 3: 0.001, 4: 0.001},
    )  # fmt: skip
    # An order sent at the last close does not know that it was the last: it is refused on arrival.
    steps = {0: step, 2: buy("BTC", 1)}
    result = play(tmp_path, [btc, Market("ETH", [1e3] * 5)], steps, margin=margin, fee_bps=10)
    _, settled = rows(result, "fills", "ts", "symbol", "qty", "price", "fee", "cause")
    assert settled == (ROW_3, "BTC", -float(qty), mark, 0.0, "delisting")
    assert rows(result, "funding", "ts", "payment") == [(ROW_2, paid)]
    assert column(result, "equity", "equity")[2:] == [left] * 3
    assert column(result, "equity", "gross_notional")[2:] == [0.0] * 3
    assert rows(result, "orders", "ts_done", "status", "reason")[1] == (ROW_3, "rejected", "delisted")
    said = ("BTC", "ended with a position open", "settled at", "last mark", f"{mark:g}")
    assert any(all(words in note for words in said) for note in result.summary["notes"])


# ---- A10, A11: gaps through bankruptcy


@rule("7.4")
@pytest.mark.parametrize(
    ("qty", "leverage", "added", "opened", "posted", "bad_debt"),
    [
        # 20 at 10,000, leverage 10: 20,000 posted. It opens at 8,500: -30,000, so others bear 10,000.
        (20, 10, 0.0, 8_500.0, 20_000.0, 10_000.0),
        # With 15,000 more in the pool and an open at 8,000: 35,000 - 40,000.
        (20, 10, 15_000.0, 8_000.0, 35_000.0, 5_000.0),
        # Short 30, leverage 6: 50,000 posted. It opens at 12,500: -75,000.
        (-30, 6, 0.0, 12_500.0, 50_000.0, 25_000.0),
    ],
)
def test_A10_an_isolated_pool_loses_what_was_posted_and_no_more(
    tmp_path: Path, qty, leverage, added, opened, posted, bad_debt
) -> None:
    steps = {0: buy("BTC", qty) if qty > 0 else sell("BTC", -qty)}
    if added:
        steps[1] = lambda _, account: account.add_margin("BTC", added)
    market = Market("BTC", [1e4, 1e4, opened, opened])
    result = play(tmp_path, [market], steps, margin="isolated", leverage=leverage)
    assert rows(result, "liquidations", "ts", "pool", "penalty", "bad_debt", "equity_before", "equity_after") == [
        (ROW_2, "BTC", 0.0, bad_debt, -bad_debt, 0.0)
    ]
    assert column(result, "equity", "equity")[2:] == [100_000 - posted] * 2
    assert result.metrics["final_equity"] == 100_000 - posted
    # The pool's account of the ledger is empty: what went in is what the trades took, less what others bore.
    assert balances(result) == {
        "capital": -micro(100_000),
        "wallet": micro(100_000 - posted),
        "trades": micro(posted + bad_debt),
        "bad_debt": -micro(bad_debt),
    }


@rule("7.4")
@pytest.mark.parametrize(
    ("btc", "eth", "opened", "before", "bad_debt"),
    [
        # 150 at 10,000; it opens at 9,000: 100,000 - 150,000 against 3 % of 1,350,000.
        (150, 0, (9_000.0, 1_000.0), (-50_000.0, 40_500.0), 50_000.0),
        # 100 BTC and -500 ETH, and both go wrong: -150,000 - 20,000; 3 % of (850,000 + 520,000).
        (100, -500, (8_500.0, 1_040.0), (-70_000.0, 41_100.0), 70_000.0),
        # Between bankruptcy and maintenance there is no bad debt: 100,000 - 75,000 = 25,000 against 42,750, of
        # which the penalty of 14,250 leaves 10,750.
        (150, 0, (9_500.0, 1_000.0), (25_000.0, 42_750.0), 0.0),
    ],
)
def test_A11_a_cross_pool_ends_at_zero_and_the_books_balance(
    tmp_path: Path, btc, eth, opened, before, bad_debt
) -> None:
    steps = {0: both(buy("BTC", btc), sell("ETH", -eth)) if eth else buy("BTC", btc)}
    markets = [Market("BTC", [1e4, 1e4, opened[0], 1e4]), Market("ETH", [1e3, 1e3, opened[1], 1e3])]
    result = play(tmp_path, markets, steps)
    found = rows(result, "liquidations", "ts", "symbol", "equity_before", "maintenance_before", "bad_debt")
    assert found[0][:4] == (ROW_2, "BTC", *before)
    assert sum(row[4] for row in found) == result.metrics["bad_debt"] == bad_debt
    assert set(column(result, "liquidations", "stage")) == {"whole"}
    left = 0.0 if bad_debt else 10_750.0
    assert column(result, "liquidations", "equity_after")[-1] == left
    assert column(result, "equity", "equity")[2:] == [left] * 2
    # The trades took what the account had and what others bore; the rest are penalties.
    lost = -before[0] + 100_000
    books = {"capital": -micro(100_000), "wallet": micro(left), "trades": micro(lost), "bad_debt": -micro(bad_debt)}
    books["insurance"] = micro(100_000 + bad_debt - lost - left)
    assert balances(result) == {name: amount for name, amount in books.items() if amount}
