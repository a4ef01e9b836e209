"""Scenarios of a liquidation's price, and of who pays what is missing: the fund, others, the other side.

The account and its 100 BTC are those of `tests.scenarios.staged`, unless said otherwise.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.scenario import Market, both, buy, column, play, rows, sell
from tests.scenarios.staged import ROW_2, STEPS, jump, staged

# ---- at what price


@pytest.mark.parametrize(
    ("keys", "trades", "expected"),
    [
        # The mark at 9,250, all hundred at once: 925,000; equity 25,000. Penalty 1 % of what the fill brings.
        #   mark        925,000; 9,250; left 15,750
        ('price = "mark"', 9_100.0, (9_250.0, 9_250.0, 15_750.0)),
        #   book        trades at 9,100 less 0.2 %: 910,000 - 1,820 = 908,180, which leaves 25,000 - 16,820 = 8,180:
        #               less than 9,081.8, so the penalty is what there is
        ('price = "book"\nslippage = 0.002', 9_100.0, (9_081.8, 8_180.0, 0.0)),
        #   book        trades above the mark at 9,300: 930,000 - 1,860 = 928,140, 3,140 better; penalty 9,281.4
        ('price = "book"\nslippage = 0.002', 9_300.0, (9_281.4, 9_281.4, 18_858.6)),
        #   bankruptcy  at the mark, and all that is better than bankruptcy goes to the fund: 25,000
        ('price = "bankruptcy"', 9_100.0, (9_250.0, 25_000.0, 0.0)),
        #   oracle      less 0.5 %: 920,375; 9,203.75; left 25,000 - 4,625 - 9,203.75
        ('price = "oracle"\nliquidator_fee = 0.005', 9_100.0, (9_203.75, 9_203.75, 11_171.25)),
        #   bounded     by the bankruptcy price, 9,000: 908,180 is 8,180 better, which is less than the penalty
        ('price = "book"\nslippage = 0.002\nbounded = true', 9_100.0, (9_081.8, 8_180.0, 0.0)),
    ],
)  # fmt: skip
def test_what_a_position_is_closed_at(tmp_path: Path, keys: str, trades: float, expected) -> None:
    result = staged(tmp_path, f'take = "position"\npenalty = 0.01\n{keys}', jump(9_250.0, trades))
    assert rows(result, "liquidations", *STEPS) == [(ROW_2, "position", -100.0, *expected, 0.0)]
    assert column(result, "equity", "equity")[-1] == expected[2]


def test_a_short_pays_for_the_book_and_its_slippage(tmp_path: Path) -> None:
    # Short 100, the mark at 10,700: equity 30,000 against 32,100. Trades at 10,800 and 0.1 %: 1,081,080 paid instead
    # of 1,070,000; penalty 1 % of it, 10,810.8; left 30,000 - 11,080 - 10,810.8.
    keys = 'take = "position"\npenalty = 0.01\nprice = "book"\nslippage = 0.001'
    result = staged(tmp_path, keys, jump(10_700.0, 10_800.0), steps={0: sell("BTC", 100)})
    assert rows(result, "liquidations", *STEPS) == [(ROW_2, "position", 100.0, 10_810.8, 10_810.8, 8_109.2, 0.0)]


def test_a_fillable_price_refuses_the_book_until_it_is_good_enough(tmp_path: Path) -> None:
    # The mark at 9,250; half of the position is 462,500 with 13,875 of maintenance. Equity is 25,000 of 27,750, so
    # the bound is 1.5 x (1 - 25,000 / 27,750) x 13,875 = 2,062.5 below: 460,437.5, a price of 9,208.75. Trades stand
    # at 9,200 until 20 s and rise by 5 a second: the looks at 0, 5, 10, 15 and 20 s are refused, at 25 s they are at
    # 9,225: 461,250; penalty 4,612.5; left 25,000 - 1,250 - 4,612.5 = 19,137.5 against 13,875.
    keys = (
        'take = "share"\nportion = 0.5\nevery = 1\nblock = 5\nprice = "fillable"\nspread_to_maintenance = 1.5\n'
        "penalty = 0.01"
    )
    trades = [1e4, 1e4, (9.2e3, 9.3e3, 9.2e3, 9.3e3), 9.3e3]
    market = Market("BTC", trades, mark=[1e4, 1e4, 9_250.0, 9_250.0])
    result = staged(tmp_path, keys, market)
    assert rows(result, "liquidations", *STEPS) == [
        (ROW_2 + 25_000, "partial", -50.0, 9_225.0, 4_612.5, 19_137.5, 13_875.0)
    ]


@pytest.mark.parametrize(("trades", "filled"), [(9_208.75, True), (9_208.74, False)])
def test_a_fillable_price_of_exactly_the_bound_is_filled(tmp_path: Path, trades: float, filled: bool) -> None:
    keys = 'take = "share"\nportion = 0.5\nprice = "fillable"\nspread_to_maintenance = 1.5'
    result = staged(tmp_path, keys, jump(9_250.0, trades))
    assert column(result, "liquidations", "price") == [9_208.75] * filled


FILLABLE = 'take = "position"\nranking = "largest"\nprice = "fillable"\nspread_to_maintenance = 1.5\nevery = 30'


@pytest.mark.parametrize(
    ("step", "candle", "expected"),
    [
        # Equity 100,000 + 100 (P - 10,000) = 3 P at 9,278.350515, 721.649485 of the thousand that the mark falls in the
        # row's first 20 s: at 43,298.97 thirds of a millisecond, so at 43,299, where it is 9,278.35.
        (buy("BTC", 100), (1e4, 1e4, 9e3, 1e4), (14_433, -100.0, 9_278.35)),
        # Equity 100,000 - 100 (P - 10,000) = 3 P at 10,679.611650, on its way up from 20 s on: at 40,776.70 thirds, so
        # at 40,777, where it is 10,679.616667.
        (sell("BTC", 100), (1e4, 1.1e4, 1e4, 1e4), (33_592, 100.0, 10_679.616667)),
    ],
)
def test_a_book_that_trades_at_the_mark_fills_at_the_crossing(tmp_path: Path, step, candle, expected) -> None:
    # Equity is what maintenance is there, so the limit price is the mark, and the book is at it. The 50 or 510 micro by
    # which a position is worth less a fraction of a millisecond later are no difference in price.
    result = staged(tmp_path, FILLABLE, Market("BTC", [1e4, 1e4, candle, 1e4]), steps={0: step})
    ts, qty, price = rows(result, "liquidations", "ts", "qty", "price")[0]
    assert (ts - ROW_2, qty, pytest.approx(price, abs=1e-6)) == expected


def test_the_largest_position_goes_first_at_the_crossing(tmp_path: Path) -> None:
    # 60 BTC fall, 300 ETH stand at 1,000: 60 P - 500,000 = 1.8 P + 9,000 at P = 8,745.704467, 1,254.295533 of 1,500
    # below the open: at 50,171.82 thirds, so at 50,172, where BTC is at 8,745.70. The ETH would fill there as well.
    markets = [Market("BTC", [1e4, 1e4, (1e4, 1e4, 8_500.0, 1e4), 1e4]), Market("ETH", [1e3] * 4)]
    result = staged(tmp_path, FILLABLE, markets, steps={0: both(buy("BTC", 60), buy("ETH", 300))})
    assert rows(result, "liquidations", "ts", "symbol", "qty", "price")[0] == (ROW_2 + 16_724, "BTC", -60.0, 8_745.7)


def test_an_auction_decays_until_the_pool_is_bankrupt(tmp_path: Path) -> None:
    # At 9,150: 15,000 of 27,450. Half of what is left each 20 s after a delay of 5 s, at 1 % + 0.1 % a second off,
    # at most 2 %: 1.5 % of 457,500 = 6,862.5 at 5 s; then 2 % of 228,750 = 4,575, of 114,375 = 2,287.5, of
    # 57,187.5 = 1,143.75 and of 28,593.75 = 571.875, which leaves 131.25 - 571.875 = -440.625: bankrupt then and
    # there. Others bear it, and 3.125 BTC go at the mark.
    keys = (
        'take = "share"\nportion = 0.5\nevery = 20\ndelay = 5\nprice = "auction"\n'
        "discount_start = 0.01\ndiscount_per_s = 0.001\ndiscount_max = 0.02"
    )
    result = staged(tmp_path, keys, jump(9_150.0, count=3))
    assert rows(result, "liquidations", "ts", "stage", "qty", "price", "equity_after", "bad_debt") == [
        (ROW_2 + 5_000, "partial", -50.0, 9_012.75, 8_137.5, 0.0),
        (ROW_2 + 25_000, "partial", -25.0, 8_967.0, 3_562.5, 0.0),
        (ROW_2 + 45_000, "partial", -12.5, 8_967.0, 1_275.0, 0.0),
        (ROW_2 + 65_000, "partial", -6.25, 8_967.0, 131.25, 0.0),
        (ROW_2 + 85_000, "partial", -3.125, 8_967.0, -440.625, 0.0),
        (ROW_2 + 85_000, "whole", -3.125, 9_150.0, 0.0, 440.625),
    ]
    assert column(result, "equity", "equity")[-1] == 0.0


# ---- the fund, bad debt, deleveraging, socialised loss


@pytest.mark.parametrize(
    ("keys", "stages"),
    [
        # The mark at 9,250, trades at 8,900. Bankruptcy is at 9,000: 900,000; the book brings 890,000.
        #   the fund of 15,000 pays 10,000; the pool ends at 0
        ("fund = 15_000", [(0, "position", -100.0, 8_900.0, -10_000.0, 0.0, 0.0)]),
        #   the fund of 6,000 is used up, others bear 4,000
        ("fund = 6_000", [(0, "position", -100.0, 8_900.0, -6_000.0, 4_000.0, 0.0)]),
        ('fund = 6_000\nshortfall = "socialised"', [(0, "position", -100.0, 8_900.0, -6_000.0, 4_000.0, 0.0)]),
        #   or traders on the other side give 9,000, which costs them 10,000, and the fund keeps its money
        ('fund = 6_000\nshortfall = "adl"', [(0, "adl", -100.0, 9_000.0, 0.0, 0.0, 10_000.0)]),
        #   a fund of exactly what it takes
        ('fund = 10_000\nshortfall = "adl"', [(0, "position", -100.0, 8_900.0, -10_000.0, 0.0, 0.0)]),
        #   no fund at all
        ("", [(0, "position", -100.0, 8_900.0, 0.0, 10_000.0, 0.0)]),
        # Half, 445,000 against 450,000, and the rest a second later: 5,000 each. The cap of 6,000 in a block of 10 s
        # leaves 1,000 for the second; in a block of a second it holds anew.
        (
            "fund = 50_000\nfund_cap = 6_000\nblock = 10\nHALF",
            [
                (0, "partial", -50.0, 8_900.0, -5_000.0, 0.0, 0.0),
                (1, "position", -50.0, 8_900.0, -1_000.0, 4_000.0, 0.0),
            ],
        ),
        (
            "fund = 50_000\nfund_cap = 6_000\nblock = 1\nHALF",
            [(0, "partial", -50.0, 8_900.0, -5_000.0, 0.0, 0.0), (1, "position", -50.0, 8_900.0, -5_000.0, 0.0, 0.0)],
        ),
        # A fund of 5,000 pays for the first half and has nothing left.
        (
            'fund = 5_000\nshortfall = "adl"\nHALF',
            [(0, "partial", -50.0, 8_900.0, -5_000.0, 0.0, 0.0), (1, "adl", -50.0, 9_000.0, 0.0, 0.0, 5_000.0)],
        ),
    ],
)  # fmt: skip
def test_the_fund_pays_for_a_fill_beyond_bankruptcy_while_it_can(tmp_path: Path, keys: str, stages) -> None:
    take = 'take = "position"'
    if keys.endswith("HALF"):
        keys, take = keys[:-4], 'take = "share"\nportion = 0.5\nthen_whole = true\nevery = 1'
    result = staged(tmp_path, f'price = "book"\nbounded = true\n{take}\n{keys}', jump(9_250.0, 8_900.0))
    assert rows(result, "liquidations", "ts", "stage", "qty", "price", "insurance", "bad_debt", "adl_loss") == [
        (ROW_2 + 1_000 * s, *rest) for s, *rest in stages
    ]
    assert column(result, "fills", "cause")[1:] == ["adl" if row[1] == "adl" else "liquidation" for row in stages]
    assert column(result, "liquidations", "equity_after")[-1] == column(result, "equity", "equity")[-1] == 0.0


def test_a_fund_that_must_not_pay_so_much_refuses_the_step_until_the_book_is_better(tmp_path: Path) -> None:
    # As before with a fund of 6,000 that does not pay for bankrupt pools: 10,000 is refused. Trades rise from 8,900 at
    # 20 s by 5 a second; looks are a block of 4 s apart. At 24 s they are at 8,920: 8,000; at 28 s at 8,940: 6,000.
    keys = 'take = "position"\nprice = "book"\nbounded = true\nfund = 6_000\nfund_when_bankrupt = false\nblock = 4'
    trades = [1e4, 1e4, (8.9e3, 9e3, 8.9e3, 9e3), 9e3]
    result = staged(tmp_path, keys, Market("BTC", trades, mark=[1e4, 1e4, 9_250.0, 9_250.0]))
    assert rows(result, "liquidations", "ts", "stage", "price", "insurance", "bad_debt", "equity_after") == [
        (ROW_2 + 28_000, "position", 8_940.0, -6_000.0, 0.0, 0.0)
    ]


@pytest.mark.parametrize(
    ("keys", "insurance", "bad_debt"),
    [("", 0.0, 10_000.0), ("fund = 4_000", -4_000.0, 6_000.0), ("fund = 50_000", -10_000.0, 0.0)],
)
def test_a_last_step_below_bankruptcy_leaves_a_shortfall_and_no_negative_cash(
    tmp_path: Path, keys: str, insurance: float, bad_debt: float
) -> None:
    # Not bounded: 890,000 for what the account needs 900,000 for. -10,000 with nothing left to carry it: the fund pays
    # what it has, others the rest, and the account ends at nothing.
    result = staged(tmp_path, f'take = "position"\nprice = "book"\n{keys}', jump(9_250.0, 8_900.0))
    assert rows(result, "liquidations", "stage", "price", "equity_after")[0] == ("position", 8_900.0, -10_000.0)
    assert sum(column(result, "liquidations", "insurance")) == insurance
    assert sum(column(result, "liquidations", "bad_debt")) == result.metrics["bad_debt"] == bad_debt
    assert column(result, "equity", "equity")[2:] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("keys", "stage", "insurance", "bad_debt", "prices"),
    [
        # 100 BTC open at 8,500 and -500 ETH at 1,040: 100,000 - 150,000 - 20,000 = -70,000.
        ('take = "position"', "whole", 0.0, 70_000.0, (8_500.0, 1_040.0)),
        ('take = "position"\nfund = 30_000', "whole", -30_000.0, 40_000.0, (8_500.0, 1_040.0)),
        ('take = "share"\nfund = 80_000\nfund_cap = 50_000', "whole", -50_000.0, 20_000.0, (8_500.0, 1_040.0)),
        ('shortfall = "socialised"\nfund = 30_000', "socialised", -30_000.0, 40_000.0, (8_500.0, 1_040.0)),
        ('shortfall = "adl"\nfund = 70_000', "whole", -70_000.0, 0.0, (8_500.0, 1_040.0)),
        # At the bankruptcy price: BTC has 25,500 of 41,100 of maintenance and bears ⌊-70,000 x 25,500 / 41,100⌋ =
        # -43,430.656935: 893,430.656935. ETH, the last, takes what is left: -400,000 + 893,430.656935.
        ('shortfall = "adl"\nfund = 69_999.999999', "adl", 0.0, 0.0, (8_934.30656935, 986.86131387)),
        (
            'shortfall = "adl"\nfund = 100_000\nfund_when_bankrupt = false',
            "adl",
            0.0,
            0.0,
            (8_934.30656935, 986.86131387),
        ),
    ],
)
def test_a_pool_that_gaps_through_bankruptcy(tmp_path: Path, keys, stage, insurance, bad_debt, prices) -> None:
    markets = [Market("BTC", [1e4, 1e4, 8.5e3, 1e4]), Market("ETH", [1e3, 1e3, 1_040.0, 1e3])]
    result = staged(tmp_path, keys, markets, steps={0: both(buy("BTC", 100), sell("ETH", 500))})
    found = rows(result, "liquidations", "ts", "symbol", "stage", "price")
    assert [row[:3] for row in found] == [(ROW_2, "BTC", stage), (ROW_2, "ETH", stage)]
    assert [row[3] for row in found] == pytest.approx(prices, rel=1e-13)
    assert sum(column(result, "liquidations", "insurance")) == insurance
    assert sum(column(result, "liquidations", "bad_debt")) == bad_debt
    assert column(result, "equity", "equity")[2:] == [0.0, 0.0]
    if stage == "adl":
        assert column(result, "liquidations", "adl_loss") == [43_430.656935, 26_569.343065]
        assert column(result, "fills", "quote")[2:] == [893_430.656935, -493_430.656935]


@pytest.mark.parametrize(
    ("rule", "stage", "price_paid", "borne"), [("adl", "adl", 9_000.0, 0.0), ("bad_debt", "whole", 8_000.0, 99_900.0)]
)
def test_a_late_liquidator_finds_a_bankrupt_pool(tmp_path: Path, rule, stage, price_paid, borne) -> None:
    # From 10,000 at 20 s to 8,000 at 40 s: below maintenance at 900,000 / 97 = 9,278.35, 27,216 ms. The liquidator
    # comes at 57,216 ms, at 8,000: 100,000 are missing, of which the fund has 100. Traders on the other side take it at
    # 9,000, where nothing is left; else others bear the rest.
    keys = f'take = "position"\ndelay = 30\nfund = 100\nshortfall = "{rule}"'
    result = staged(tmp_path, keys, Market("BTC", [1e4, 1e4, (1e4, 1e4, 8e3, 8e3), 8e3]))
    ((ts, found, price, debt),) = rows(result, "liquidations", "ts", "stage", "price", "bad_debt")
    assert (found, price, debt) == (stage, pytest.approx(price_paid, rel=1e-12), borne)
    assert ts == ROW_2 + 57_216
    assert column(result, "equity", "equity")[2:] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("older", "newer", "paid"), [("", "fund = 1_000_000", 50_000.0), ("fund = 1_000_000", "", 0.0)]
)
def test_the_fund_is_that_of_the_law_in_force(tmp_path: Path, older: str, newer: str, paid: float) -> None:
    # 100 BTC with 100,000 gap from 10,000 to 8,500: 50,000 are missing. The law of 2024 holds, whatever 2020's said.
    text = f"""
name = "dated"
source = "a test"
date = 2024-01-01
quote = "USDC"
[defaults]
penalty = 0.0
[[liquidation]]
from = 2020-01-01
{older}
[[liquidation]]
from = 2024-01-01
{newer}
"""
    (tmp_path / "dated.toml").write_text(text)
    market = Market("BTC", [1e4, 1e4, 8_500.0, 8_500.0])
    result = play(tmp_path / "data", [market], {0: buy("BTC", 100)}, venue=str(tmp_path / "dated.toml"))
    assert column(result, "liquidations", "insurance") == [-paid]
    assert column(result, "liquidations", "bad_debt") == [50_000.0 - paid]
