"""The reference engine against numbers worked out by hand.

Unless said otherwise: rows of a minute, lots of 0.001, no fees, slippage or latency, initial 5 %, maintenance 3 %
in one tier, penalty 1 %, leverage 20. Money in the comments is in quote units.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from tests.reference.hand import MINUTE, candles, market, micro, order, run
from tests.reference.market import Candle, Message, Symbol
from tests.reference.marks import mark_rows
from tests.reference.numbers import between, eight_digits, money, share
from tests.reference.outcome import Move, Outcome
from tests.reference.terms import Tier

ROUND_TRIP = (100.0, 130.0, 70.0, 100.0)


def test_numbers_round_once_to_the_nearest_ties_to_even() -> None:
    assert [money(0.5, u) for u in (1, 3, -1, -3)] == [0, 2, 0, -2]
    # The double 0.0005 is a little more than 5/10,000, so half of one is above the tie and rounds up.
    assert share(1000, 0.0005) == 1
    assert share(1024 * 3, 2.0**-11) == 2  # exactly 1.5
    assert between(10, 13, 1, 2) == 12  # 1.5 -> 2
    assert between(13, 10, 1, 2) == 11  # -1.5 -> -2
    assert eight_digits(Fraction(12_345_678_951, 10**4)) == 1_234_567.9


class TestHedgedPair:
    """10 BTC at 60,000 against 150 ETH at 4,000: 600,000 each. Both fall 12 % in row 1 and come back."""

    def pair(self, path: str) -> Outcome:
        btc = market("BTC", 60_000.0, (60_000.0, 60_000.0, 52_800.0, 60_000.0), 60_000.0)
        eth = market("ETH", 4_000.0, (4_000.0, 4_000.0, 3_520.0, 4_000.0), 4_000.0)
        return run([eth, btc], [order(0, "BTC", 10), order(0, "ETH", -150)], 100_000, path=path)

    def test_a1_coherent_lives(self) -> None:
        outcome = self.pair("coherent")
        assert outcome.liquidations == []
        assert outcome.final_equity == micro(100_000)
        assert outcome.ambiguous == [(MINUTE, "cross")]

    def test_a2_worst_dies(self) -> None:
        # Worst in row 1: BTC falls to 528,000 while ETH stays at its high, 600,000.
        #   health at the open  100,000 - 0.03 x 1,200,000                  = 64,000
        #   health at a third   28,000  - 0.03 x 1,128,000                  = -5,840
        # crossing at 64,000 / 69,840 of the leg: 60,000 thirds x 0.91638 = 54,983, and 54,983 // 3 = 18,327 ms
        #   BTC    600,000 - 72,000 x 64,000 / 69,840                       = 534,020.618557
        #   equity 100,000 + 534,020.618557 - 600,000                       = 34,020.618557
        #   maintenance 16,020.618557 + 18,000                              = 34,020.618557
        #   penalties 5,340.206186 and 6,000, left 22,680.412371
        outcome = self.pair("worst")
        assert outcome.ambiguous == [(MINUTE, "cross")]
        first, second = outcome.liquidations
        assert (first.ts, second.ts) == (MINUTE + 18_327, MINUTE + 18_327)
        assert (first.symbol, first.lots, first.penalty) == ("BTC", -10_000, 5_340_206_186)
        assert (second.symbol, second.lots, second.penalty) == ("ETH", 150_000, micro(6_000))
        assert (first.equity_before, first.maintenance_before) == (34_020_618_557, 34_020_618_557)
        assert (first.equity_after, first.maintenance_after) == (28_680_412_371, micro(18_000))
        assert (second.equity_before, second.equity_after) == (28_680_412_371, 22_680_412_371)
        assert (second.maintenance_before, second.maintenance_after) == (micro(18_000), 0)
        assert outcome.fills[2].quote == 534_020_618_557
        assert outcome.fills[2].realized == -65_979_381_443
        assert outcome.final_equity == outcome.wallet == 22_680_412_371


class TestLongTen:
    """Long 10 BTC from 10,000, a notional of 100,000, opened at row 1's open."""

    def test_a7_funding_first_liquidation_second(self) -> None:
        # 5,000 of cash is just the initial 5 %. The payment of 2.5 % leaves 2,500, below the maintenance of 3,000.
        # Penalty 1,000, left 1,500.
        btc = market("BTC", 1e4, 1e4, 1e4, funding=[(2 * MINUTE, 0.025)])
        # The sale that arrives at the same stamp comes too late to reduce: 1,500 does not carry a short of 100,000.
        outcome = run([btc], [order(0, "BTC", 10), order(1, "BTC", -10)], 5_000)
        assert [o.status for o in outcome.orders] == ["filled", "rejected"]
        assert [(f.ts, f.payment) for f in outcome.funding] == [(2 * MINUTE, -micro(2_500))]
        (row,) = outcome.liquidations
        assert (row.ts, row.equity_before, row.maintenance_before) == (2 * MINUTE, micro(2_500), micro(3_000))
        assert (row.penalty, row.bad_debt, outcome.wallet) == (micro(1_000), 0, micro(1_500))

    def test_a8_the_position_before_the_fill_pays(self) -> None:
        # At minute 2: 10 BTC x 10,000 x 0.1 % = 100 on the first ten. At minute 3 twenty pay 200.
        btc = market("BTC", 1e4, 1e4, 1e4, 1e4, funding=[(2 * MINUTE, 0.001), (3 * MINUTE, 0.001)])
        outcome = run([btc], [order(0, "BTC", 10), order(1, "BTC", 10)], 100_000)
        assert [(f.lots, f.payment) for f in outcome.funding] == [(10_000, -micro(100)), (20_000, -micro(200))]
        assert outcome.fills[1].ts == 2 * MINUTE

    def test_a10_isolated_gap_through_bankruptcy(self) -> None:
        # Leverage 10: 10,000 posted. Open at 8,000: the pool is worth 10,000 - 20,000 = -10,000, others bear that.
        btc = market("BTC", 1e4, 1e4, 8e3)
        outcome = run([btc], [order(0, "BTC", 10)], 100_000, leverage=10.0, margin="isolated")
        assert outcome.moves == [Move(MINUTE, "BTC", micro(10_000))]
        (row,) = outcome.liquidations
        assert (row.ts, row.penalty, row.bad_debt) == (2 * MINUTE, 0, micro(10_000))
        assert (row.equity_before, row.equity_after) == (-micro(10_000), 0)
        assert (outcome.wallet, outcome.pools, outcome.final_equity) == (micro(90_000), {"BTC": 0}, micro(90_000))

    def test_a11_cross_gap_through_bankruptcy(self) -> None:
        outcome = run([market("BTC", 1e4, 1e4, 8e3)], [order(0, "BTC", 10)], 10_000)
        (row,) = outcome.liquidations
        assert (row.pool, row.bad_debt, row.equity_after) == ("cross", micro(10_000), 0)
        # Books: cash 10,000 + trades (-100,000 + 80,000) + bad debt borne by others 10,000 = 0.
        assert sum(f.quote for f in outcome.fills) == -micro(20_000)
        assert outcome.wallet == outcome.final_equity == 0

    @pytest.mark.parametrize(("cash", "alive"), [(5_910.0, True), (5_909.999999, False)])
    def test_a13_equal_to_maintenance_is_alive(self, cash: float, alive: bool) -> None:
        # At the low of 9,700: equity 5,910 - 3,000 = 2,910 = 3 % of 97,000. One micro less is dead, one micro's
        # way before the low: value 97,000 + 3,000 x 1 / 2,910,000,000 micro -> 97,000.000001.
        btc = market("BTC", 1e4, (1e4, 1e4, 9_700.0, 1e4), 1e4)
        outcome = run([btc], [order(0, "BTC", 10)], cash)
        if alive:
            assert (outcome.liquidations, outcome.final_equity) == ([], micro(5_910))
        else:
            (row,) = outcome.liquidations
            assert (row.ts, row.equity_before, row.maintenance_before) == (MINUTE + 20_000, micro(2_910), micro(2_910))
            assert outcome.fills[1].quote == 97_000_000_001
            assert outcome.final_equity == micro(1_940)  # 2,910 less a penalty of 970

    def test_a14_a_jump_over_the_liquidation_price_acts_at_the_open(self) -> None:
        # From 10,000 to 9,000 with 12,000: equity 2,000 < 2,700. Sold at the open for 90,000, penalty 900.
        outcome = run([market("BTC", 1e4, 1e4, 9e3)], [order(0, "BTC", 10), order(1, "BTC", 1)], 12_000)
        (row,) = outcome.liquidations
        assert (row.ts, row.penalty, row.equity_after) == (2 * MINUTE, micro(900), micro(1_100))
        assert outcome.fills[1].quote == micro(90_000)
        # The order that arrives at the same open comes after, and finds 1,100 against 5 % of 9,000 = 450.
        assert [(o.number, o.status) for o in outcome.orders] == [(0, "filled"), (1, "filled")]
        assert outcome.lots == {"BTC": 1_000}

    def test_a15_two_pools_each_at_its_own_crossing(self) -> None:
        # Leverage 20, isolated. Long from 100: dead where 5 - (100 - p) = 0.03 p, p = 95 / 0.97 = 97.9381.
        # XRP falls by 10 in 20 s, ADA by 4 only: XRP crosses at 20 s x 2.0619 / 10 and ADA at 20 s x 2.0619 / 4.
        ada, xrp = (market(n, 100.0, (100.0, 100.0, low, 100.0)) for n, low in (("ADA", 96.0), ("XRP", 90.0)))
        outcome = run([ada, xrp], [order(0, "ADA", 10), order(0, "XRP", 10)], 1_000, margin="isolated")
        assert [(x.symbol, x.ts) for x in outcome.liquidations] == [("XRP", MINUTE + 4_123), ("ADA", MINUTE + 10_309)]

    def test_b5_admission(self) -> None:
        # At 9,500: equity 10,000 - 5,000 = 5,000. One more: 5 % of 11 x 9,500 = 5,225. One less is always allowed.
        orders = [order(0, "BTC", 10), order(1, "BTC", 1), order(1, "BTC", -1)]
        outcome = run([market("BTC", 1e4, 1e4, 9.5e3)], orders, 10_000)
        _, refused, accepted = outcome.orders
        assert (refused.status, refused.reason) == ("rejected", "margin")
        assert (refused.have, refused.need, refused.filled) == (micro(5_000), micro(5_225), 0)
        assert (accepted.status, accepted.filled) == ("filled", -1_000)
        assert outcome.fills[-1].realized == -micro(500)

    @pytest.mark.parametrize(
        ("cash", "at", "value"),
        [
            # Tiers: to 60,000 3 %, above 6 % less 1,800. The row falls from 100,000 to 50,000 in its first leg.
            # Below the edge: at 60,000 health is 44,000 - 40,000 - 1,800 = 2,200, at 50,000 it is -7,500:
            #   60,000 - 10,000 x 2,200 / 9,700 = 57,731.958763 at 48,000 + 12,000 x 22 / 97 = 50,722 thirds
            (44_000.0, 50_722 // 3, 57_731_958_763),
            # Above it: health 41,500 - 4,200 = 37,300 at the open, 1,500 - 1,800 = -300 at the edge:
            #   100,000 - 40,000 x 373 / 376 = 60,319.148936 at 48,000 x 373 / 376 = 47,617 thirds
            (41_500.0, 47_617 // 3, 60_319_148_936),
        ],
    )
    def test_crossing_at_a_tier_edge_is_exact_on_both_sides(self, cash: float, at: int, value: int) -> None:
        tiers = [Tier(micro(60_000), 0.05, 0.03), Tier(None, 0.10, 0.06)]
        btc = market("BTC", 1e4, (1e4, 1e4, 5e3, 1e4))
        outcome = run([btc], [order(0, "BTC", 10)], cash, tiers=tiers)
        (row,) = outcome.liquidations
        assert (row.ts, outcome.fills[1].quote) == (MINUTE + at, value)
        assert abs(row.equity_before - row.maintenance_before) <= 1

    def test_funding_inside_a_row_is_paid_on_the_path(self) -> None:
        # 10 s into the row is half of the way from 10,000 to the low of 9,800: 99,000 x 0.1 % = 99.
        btc = market("BTC", 1e4, (1e4, 1.01e4, 9.8e3, 1e4), funding=[(MINUTE + 10_000, 0.001)])
        outcome = run([btc], [order(0, "BTC", 10)], 50_000)
        assert [(f.ts, f.payment) for f in outcome.funding] == [(MINUTE + 10_000, -micro(99))]

    def test_missing_settlement(self) -> None:
        btc = market("BTC", 1e4, 1e4, 1e4, 1e4, funding=[(0, None), (2 * MINUTE, None)])
        outcome = run([btc], [order(0, "BTC", 10)], 50_000)
        assert (outcome.error, outcome.final_equity) == (("BTC", 2 * MINUTE), None)
        outcome = run([btc], [order(0, "BTC", 10)], 50_000, allow_missing_funding=True)
        assert (outcome.error, outcome.missing_funding) == (None, 1)  # at time 0 nothing was open

    @pytest.mark.parametrize("margin", ["cross", "isolated"])
    def test_delisting_settles_without_fee(self, margin: str) -> None:
        # Fee 1 %: 1,000 to open; settled at the close of 10,100 for 101,000: 20,000 - 1,000 + 1,000.
        btc, eth = market("BTC", 1e4, 1e4, (1e4, 1.01e4, 1e4, 1.01e4)), market("ETH", 1e3, 1e3, 1e3, 1e3)
        outcome = run([btc, eth], [order(0, "BTC", 10)], 20_000, fee=0.01, margin=margin)
        (settled,) = outcome.fills[1:]
        assert (settled.ts, settled.cause, settled.quote) == (3 * MINUTE, "delisting", micro(101_000))
        assert (settled.fee, settled.realized) == (0, micro(1_000))
        assert (outcome.lots["BTC"], outcome.pools["BTC"], outcome.wallet) == (0, 0, micro(20_000))

    def test_close_below_zero_is_bad_debt(self) -> None:
        # Fee 4.5 %: opening costs 4,500 of 10,000, closing 4,500 more at 9,900: 5,500 - 1,000 - 4,455 = 45. At 9,890
        # it is 5,500 - 1,100 - 4,450.5 = -50.5, while before the close health is 4,400 - 2,967 > 0.
        for last, left, debt in ((9_900.0, 45.0, 0.0), (9_890.0, 0.0, 50.5)):
            orders = [order(0, "BTC", 10), order(1, "BTC", -10)]
            outcome = run([market("BTC", 1e4, 1e4, last)], orders, 10_000, fee=0.045)
            assert outcome.wallet == micro(left)
            assert [(x.stage, x.lots, x.bad_debt) for x in outcome.liquidations] == (
                [("shortfall", 0, micro(debt))] if debt else []
            )


class TestFills:
    def test_c4_an_order_in_a_gap_waits_for_the_next_real_price(self) -> None:
        btc = market("BTC", 100.0, None, None, 80.0, 80.0)
        outcome = run([btc], [order(0, "BTC", 10)], 1_000)
        (done,) = outcome.orders
        assert (done.ts_arrived, done.ts_done, done.status) == (MINUTE, 3 * MINUTE, "filled")
        assert outcome.fills[0].quote == -micro(800)

    @pytest.mark.parametrize(("latency", "price"), [(0, 100.0), (10_000, 85.0), (20_000, 70.0), (30_000, 100.0)])
    def test_c9_latency_and_the_path(self, latency: int, price: float) -> None:
        # Lows first (close = open): 100, 70 at 20 s, 130 at 40 s, 100.
        outcome = run([market("BTC", 100.0, ROUND_TRIP)], [order(0, "BTC", 1)], 1_000, latency_ms=latency)
        assert [(f.ts, f.quote) for f in outcome.fills] == [(MINUTE + latency, -micro(price))]

    def test_highs_come_first_when_the_product_falls(self) -> None:
        # BTC -1 %, ETH +0.5 %: the product is below one, so both reach their highs at 20 s.
        btc = market("BTC", 100.0, (100.0, 130.0, 70.0, 99.0))
        eth = market("ETH", 200.0, (200.0, 240.0, 160.0, 201.0))
        outcome = run([btc, eth], [order(0, "BTC", 1), order(0, "ETH", 1)], 10_000, latency_ms=20_000)
        assert [f.quote for f in outcome.fills] == [-micro(130), -micro(240)]

    def test_slippage_and_fee(self) -> None:
        # Buy 1 at 100 with 10 bps: 100.1; fee 5 bps of that 0.05005. Sell: 99.9 and 0.04995.
        outcome = run(
            [market("BTC", *[100.0] * 3)], [order(0, "BTC", 1), order(1, "BTC", -1)], 1_000, slippage=0.001, fee=0.0005
        )
        bought, sold = outcome.fills
        assert (bought.quote, bought.slip, bought.fee) == (-100_100_000, 100_000, 50_050)
        assert (sold.quote, sold.slip, sold.fee, sold.realized) == (99_900_000, 100_000, 49_950, -200_000)
        assert outcome.wallet == micro(1_000) - 200_000 - 100_000

    def test_reduce_only(self) -> None:
        orders = [order(0, "BTC", -1, True), order(0, "BTC", 2), order(1, "BTC", -5, True), order(2, "BTC", -1, True)]
        outcome = run([market("BTC", *[100.0] * 4)], orders, 1_000)
        assert [(o.status, o.reason, o.filled) for o in outcome.orders] == [
            ("rejected", "reduce_only", 0),
            ("filled", "none", 2_000),
            ("filled", "none", -2_000),
            ("rejected", "reduce_only", 0),
        ]

    def test_e6_a_target_flips(self) -> None:
        # Fee 0.1 %, leverage 10. Long half of 100,000 at 100: 500, fee 50, and 5,000 + 50 posted.
        # At 110 equity is 104,950; half short of it is 52,475 / 110 = 477.045 after whole lots, so sell 977.045:
        #   quote 107,474.95, fee 107.47495; the 500 that close bring 55,000, realized 5,000
        #   pool 5,050 - 50,000 - 50 + 107,474.95 - 107.47495 - 52,474.95 = 9,892.52505, needs 10 % of 52,474.95
        symbols = [market("BTC", 100.0, (100.0, 110.0, 100.0, 110.0), 110.0)]
        targets = [
            Message(MINUTE, "target", "BTC", weight=0.5),
            Message(2 * MINUTE, "target", "BTC", weight=-0.5),
            Message(2 * MINUTE, "target", "BTC", weight=-0.5),  # on its way already: no order, no number
            Message(2 * MINUTE, "cancel", order=1),
        ]
        outcome = run(symbols, targets, 100_000, leverage=10.0, margin="isolated", fee=0.001)
        _, flip = outcome.fills
        assert (flip.lots, flip.quote, flip.fee) == (-977_045, 107_474_950_000, 107_474_950)
        assert (flip.realized, outcome.lots["BTC"]) == (micro(5_000), -477_045)
        assert [m.amount for m in outcome.moves] == [micro(5_050), 5_247_495_000 - 9_892_525_050]
        assert [(c.number, c.hit) for c in outcome.cancels] == [(2, False)]
        assert outcome.final_equity == micro(104_950) - 107_474_950

    def test_isolated_transfers(self) -> None:
        # Leverage 10. Buy 100 at 100: 1,000 in. At 110 E = 2,000, buy 100: I from 1,100 to 2,200, 1,100 in.
        # At 120 E = 5,100; sell 50 of 200: a quarter, 1,275, out. Sell 300: short 150 needs 1,800 of 3,825, 2,025 out.
        # Close: the 1,800 out. Profit 100 x 20 + 100 x 10 = 3,000.
        btc = market("BTC", 100.0, 100.0, 110.0, 120.0, 120.0, 120.0)
        orders = [order(k, "BTC", base) for k, base in enumerate((100, 100, -50, -300, 150))]
        outcome = run([btc], orders, 100_000, leverage=10.0, margin="isolated")
        assert [m.amount for m in outcome.moves] == [micro(x) for x in (1_000, 1_100, -1_275, -2_025, -1_800)]
        assert [f.realized for f in outcome.fills] == [0, 0, micro(750), micro(2_250), 0]
        assert (outcome.wallet, outcome.pools["BTC"]) == (micro(103_000), 0)

    def test_isolated_reducing_never_draws_on_the_wallet(self) -> None:
        # Fee 6 %. 5,000 + 6,000 in; selling 1 of 10 costs 600, so 4,400 are left where nine tenths would be 4,500.
        btc = market("BTC", 1e4, 1e4, 1e4)
        outcome = run([btc], [order(0, "BTC", 10), order(1, "BTC", -1)], 100_000, margin="isolated", fee=0.06)
        assert outcome.moves == [Move(MINUTE, "BTC", micro(11_000))]
        assert outcome.pools["BTC"] + micro(90_000) == micro(4_400)


class TestWaiting:
    """BTC does not trade in rows 1 and 2; ETH always does."""

    def waiting(self, messages: list[Message], cash: float = 10_000, margin: str = "cross") -> Outcome:
        symbols = [market("BTC", 100.0, None, None, 90.0, 90.0), market("ETH", *[100.0] * 5)]
        return run(symbols, messages, cash, margin=margin)

    def test_cancel_of_a_waiting_order(self) -> None:
        outcome = self.waiting([order(0, "BTC", 1), Message(2 * MINUTE, "cancel", order=0), order(3, "BTC", 1)])
        first, second = outcome.orders
        assert (first.status, first.reason, first.ts_done) == ("cancelled", "strategy", 2 * MINUTE)
        assert (second.number, second.status) == (2, "filled")  # the cancel took number 1

    def test_a_fill_wins_against_a_cancel_at_the_same_open(self) -> None:
        outcome = self.waiting([order(0, "BTC", 1), Message(3 * MINUTE, "cancel", order=0)])
        assert [(o.status, o.ts_done) for o in outcome.orders] == [("filled", 3 * MINUTE)]
        assert [c.hit for c in outcome.cancels] == [False]

    @pytest.mark.parametrize("margin", ["cross", "isolated"])
    def test_waiting_orders_reserve_margin(self, margin: str) -> None:
        # 1,000 carries 20,000: 150 BTC at 100 waiting reserve 750. 60 ETH need 300 more: refused. 50 need 250: taken.
        # At 90 the waiting order needs 675. And 201 BTC alone would need 1,005.
        outcome = self.waiting([order(0, "BTC", 201)], 1_000, margin=margin)
        assert [(o.status, o.ts_done, o.have, o.need) for o in outcome.orders] == [
            ("rejected", MINUTE, micro(1_000), micro(1_005))
        ]
        outcome = self.waiting([order(0, "BTC", 150), order(1, "ETH", 60), order(1, "ETH", 50)], 1_000, margin=margin)
        taken, refused, third = outcome.orders
        assert (refused.status, refused.have, refused.need) == ("rejected", micro(1_000), micro(1_050))
        assert (taken.status, third.status) == ("filled", "filled")

    @pytest.mark.parametrize(("margin", "status"), [("cross", "cancelled"), ("isolated", "filled")])
    def test_a_liquidation_cancels_what_waits_in_its_pool(self, margin: str, status: str) -> None:
        # Long 100 ETH with 600 of margin; ETH halves at the open of row 2, while 1 BTC waits.
        eth = market("ETH", 100.0, 100.0, 50.0, 50.0)
        btc = market("BTC", 100.0, None, None, 100.0)
        outcome = run([btc, eth], [order(0, "ETH", 100), order(0, "BTC", 1)], 600, margin=margin)
        waited = outcome.orders[1]
        assert (outcome.liquidations[0].ts, waited.status) == (2 * MINUTE, status)
        assert waited.reason == ("liquidation" if margin == "cross" else "none")

    def test_end_of_run(self) -> None:
        symbols = [market("BTC", 100.0, 100.0)]
        outcome = run(symbols, [order(0, "BTC", 1), order(1, "BTC", 1)], 1_000, latency_ms=MINUTE)
        assert [(o.status, o.reason, o.ts_arrived, o.ts_done) for o in outcome.orders] == [
            ("expired", "end_of_run", -1, 2 * MINUTE),
            ("expired", "end_of_run", -1, 2 * MINUTE),
        ]

    def test_delisted(self) -> None:
        symbols = [market("BTC", 100.0, 100.0), market("ETH", 100.0, 100.0, 100.0)]
        outcome = run(symbols, [order(1, "BTC", 1)], 1_000)
        assert [(o.status, o.reason, o.ts_done) for o in outcome.orders] == [("rejected", "delisted", 2 * MINUTE)]


class TestMarks:
    def test_derived_from_the_basis(self) -> None:
        # Marks of two minutes: basis 1.02 at 0 and 1.04 at minute 2; minute 1 lies halfway, 1.03; its middle 1.035.
        # Row 0: open 102, close 100 x 1.03, high and low 100 x 1.025 = 102.5 stretched to hold both.
        # Row 1: open 103, high 110 x 1.035 = 113.85 clipped to 112, low 90 x 1.035 = 93.15, which is stretched to the
        # 92 that the mark went to while this row was the lowest, close 100 x 1.04 = 104.
        trades = candles(100.0, (100.0, 110.0, 90.0, 100.0), 100.0)
        marks = {0: Candle(102.0, 112.0, 92.0, 104.0), 2 * MINUTE: Candle(104.0, 104.0, 104.0, 104.0)}
        rows = mark_rows(Symbol("X", 1, trades, marks, 2 * MINUTE), MINUTE)
        assert rows[0] == Candle(102.0, 103.0, 102.0, 103.0)
        assert rows[MINUTE] == Candle(103.0, 112.0, 92.0, 104.0)
        assert rows[2 * MINUTE] == Candle(104.0, 104.0, 104.0, 104.0)

    def test_the_extremes_of_a_mark_candle_are_attained(self) -> None:
        # Three-minute marks, basis 1. The first one: rows 0 and 2 trade equally high, row 1 and 2 equally low, the
        # earlier ones are stretched. The second one covers a gap alone: its first row is, and stands still otherwise.
        # The third opens in a gap and trades in row 8 alone.
        rows = [(100.0, 101.0, 100.0, 100.0), (100.0, 100.0, 99.0, 100.0), (100.0, 101.0, 99.0, 100.0)]
        trades = candles(*rows, None, None, None, None, None, 100.0)
        marks = {k * 3 * MINUTE: Candle(100.0, 105.123456789, 90.0, 100.0) for k in range(3)}
        made = mark_rows(Symbol("X", 1, trades, marks, 3 * MINUTE), MINUTE)
        highs, lows = [row.high for row in made.values()], [row.low for row in made.values()]
        assert highs == [105.123456789, 100.0, 101.0, 105.123456789, 100.0, 100.0, 100.0, 100.0, 105.123456789]
        assert lows == [100.0, 90.0, 99.0, 90.0, 100.0, 100.0, 100.0, 100.0, 90.0]
        assert {(row.open, row.close) for row in made.values()} == {(100.0, 100.0)}

    def test_before_the_first_point_and_in_gaps(self) -> None:
        # Own marks: none in row 0 (basis 1), 99 in row 1, none in row 2 (basis 0.99), row 3 a gap with a mark,
        # row 4 a gap without one.
        trades = candles(100.0, 100.0, 200.0, None, None, 200.0)
        marks = {MINUTE: Candle(99.0, 99.0, 99.0, 99.0), 3 * MINUTE: Candle(190.0, 195.0, 180.0, 185.0)}
        rows = mark_rows(Symbol("X", 1, trades, marks, MINUTE), MINUTE)
        closes = [row.close for row in rows.values()]
        assert closes == [99.0, 99.0, 198.0, 185.0, 185.0, 198.0]
        assert rows[0].open == 100.0
        assert rows[4 * MINUTE] == Candle(185.0, 185.0, 185.0, 185.0)

    def test_a_liquidation_follows_the_mark_and_a_fill_the_trade(self) -> None:
        btc = market("BTC", 1e4, (1e4, 1e4, 6e3, 1e4), 1e4)
        calm = dataclasses.replace(btc, marks=candles(1e4, 1e4, 1e4), mark_interval_ms=MINUTE)
        assert run([calm], [order(0, "BTC", 10)], 10_000).liquidations == []
        assert len(run([btc], [order(0, "BTC", 10)], 10_000).liquidations) == 1
