"""The reference engine's liquidations against numbers worked out by hand.

As in `test_reference`: rows of a minute, lots of 0.001, no fees, slippage or latency, maintenance 3 %, penalty 1 %,
money in quote units; but the initial requirement is 3 % as well. Unless said otherwise 10 BTC are bought in row 1, at
10,000.
"""

from __future__ import annotations

import dataclasses

import pytest

from tests.reference import hand
from tests.reference.hand import MINUTE, market, micro, order
from tests.reference.market import Message, Symbol
from tests.reference.outcome import Liquidation, Outcome
from tests.reference.terms import Law, Terms, Tier

LEAN = [Tier(None, 0.03, 0.03)]
BUY = [order(0, "BTC", 10)]


def run(symbols: list[Symbol], messages: list[Message], cash: float, **more: object) -> Outcome:
    return hand.run(symbols, messages, cash, **({"tiers": LEAN, "leverage": 50.0} | more))  # type: ignore[arg-type]


def jump(price: float, cash: float, law: Law, **more: object) -> Outcome:
    """The mark jumps from 10,000 to `price` at minute 2, where the account is liquidated."""
    return run([market("BTC", 1e4, 1e4, price, price)], BUY, cash, law=law, **more)  # type: ignore[arg-type]


def steps(outcome: Outcome) -> list[tuple[str, int, int]]:
    return [(x.stage, x.lots, x.insurance) for x in outcome.liquidations]


def health(row: Liquidation) -> tuple[int, int, int, int]:
    return row.equity_before, row.maintenance_before, row.equity_after, row.maintenance_after


class TestTakes:
    """At 9,800 the notional is 98,000, maintenance 2,940. With 4,500 of cash equity is 2,500."""

    def test_share(self) -> None:
        # 20 % of 98,000 = 19,600, 2 BTC, penalty 196: equity 2,304 against 3 % of 78,400 = 2,352. Again 20 %: 1.6 BTC,
        # 15,680, penalty 156.8: equity 2,147.2 against 1,881.6: healthy.
        outcome = jump(9_800.0, 4_500, Law(take="share", portion=0.2))
        first, second = outcome.liquidations
        assert (first.stage, first.lots, first.penalty) == ("partial", -2_000, micro(196))
        assert health(first) == (micro(2_500), micro(2_940), micro(2_304), micro(2_352))
        assert (second.lots, second.penalty, health(second)[2:]) == (
            -1_600,
            micro(156.8),
            (micro(2_147.2), micro(1_881.6)),
        )
        assert outcome.lots == {"BTC": 6_400}

    @pytest.mark.parametrize(
        ("law", "lots"),
        [
            (Law(take="share", portion=0.2, then_whole=True), [-2_000, -8_000]),
            (Law(take="share", portion=0.2, above_micro=micro(98_000)), [-10_000]),
            # At least 49,000 in a step: 5 BTC; then healthy.
            (Law(take="share", portion=0.2, minimum_micro=micro(49_000)), [-5_000]),
            # At most 9,800: 1 BTC and 98 a step. Health -440 + 196 - ... after 1: 2,402 - 2,646; 2: 2,304 - 2,352; 3:
            # +.
            (Law(take="share", portion=0.2, cap_micro=micro(9_800)), [-1_000] * 3),
        ],
    )
    def test_share_with_bounds(self, law: Law, lots: list[int]) -> None:
        assert [x.lots for x in jump(9_800.0, 4_500, law).liquidations] == lots

    def test_tier(self) -> None:
        # To 60,000 3 %, above 6 % less 1,800: 98,000 x 6 % - 1,800 = 4,080. Equity 3,000. What lies above 60,000 goes:
        # 38,000 / 9,800 = 3.877551, so 3.878 BTC (38,004.4), penalty 380.044: 2,619.956 against 1,799.868.
        tiers = [Tier(micro(60_000), 0.03, 0.03), Tier(None, 0.06, 0.06)]
        (row,) = jump(9_800.0, 5_000, Law(take="tier"), tiers=tiers).liquidations
        assert (row.stage, row.lots, row.penalty) == ("partial", -3_878, micro(380.044))
        assert health(row) == (micro(3_000), micro(4_080), micro(2_619.956), micro(1_799.868))

    def test_ramp(self) -> None:
        # Buffer 100 %: shortage 5,880 - 2,500 = 3,380. A quarter of it, 845, over 3 % - 1 % free = 42,250: 4.3112...
        # BTC up to 4.312, 42,257.6, penalty 422.576. Equity 2,077.424, maintenance 1,672.272.
        law = Law(take="ramp", buffer=1.0, ramp_start=0.25, ramp_ms=2 * MINUTE, every_ms=30_000)
        outcome = jump(9_800.0, 4_500, law)
        first, second = outcome.liquidations[:2]
        assert (first.lots, first.penalty, first.ts) == (-4_312, micro(422.576), 2 * MINUTE)
        assert health(first)[2:] == (micro(2_077.424), micro(1_672.272))
        # 30 s later the share is a half: shortage 1,267.12, 633.56 / 0.02 = 31,678: 3.232449 up to 3.233.
        assert (second.lots, second.ts) == (-3_233, 2 * MINUTE + 30_000)

    def test_ramp_small_shortage_goes_whole(self) -> None:
        # The share is 1 below 4,000: 3,380 / 0.02 = 169,000, more than there is.
        law = Law(take="ramp", buffer=1.0, ramp_start=0.25, ramp_ms=MINUTE, small_micro=micro(4_000))
        assert steps(jump(9_800.0, 4_500, law)) == [("position", -10_000, micro(980))]

    def test_position_by_position_with_an_interval(self) -> None:
        # BTC at 9,800 and 10 ETH at 1,000: 5,200 - 2,000 = 3,200 < 2,940 + 300. BTC goes for 980, and 2,220 are less
        # than 300 + 700 %: 30 s later ETH goes for 100.
        eth = market("ETH", 1e3, 1e3, 1e3, 1e3)
        law = Law(take="position", every_ms=30_000, buffer=7.0)
        outcome = run([market("BTC", 1e4, 1e4, 9_800.0), eth], [*BUY, order(0, "ETH", 10)], 5_200, law=law)
        first, second = outcome.liquidations
        assert (first.symbol, first.ts, health(first)[2:]) == ("BTC", 2 * MINUTE, (micro(2_220), micro(300)))
        assert (second.symbol, second.ts, health(second)[2:]) == ("ETH", 2 * MINUTE + 30_000, (micro(2_120), 0))

    def test_pool_is_whole_at_once(self) -> None:
        assert steps(jump(9_800.0, 4_500, Law())) == [("whole", -10_000, micro(980))]


class TestRankings:
    """BTC 10 at 10,000 (100,000, 3 %), ETH -80 at 1,000 (80,000, 5 %), XRP 500 at 100 (50,000, 3 %). Then BTC +1 %,
    ETH +4 %, XRP -8 %: profits +1,000, -3,200, -4,000; values 101,000, -83,200, 46,000; maintenance 3,030, 4,160,
    1,380."""

    @pytest.mark.parametrize(
        ("ranking", "symbol"), [("symbol", "BTC"), ("largest", "BTC"), ("loss", "XRP"), ("maintenance", "ETH")]
    )
    def test_first(self, ranking: str, symbol: str) -> None:
        symbols = [market("BTC", 1e4, 1e4, 1.01e4), market("ETH", 1e3, 1e3, 1_040.0), market("XRP", 100.0, 100.0, 92.0)]
        orders = [*BUY, order(0, "ETH", -80), order(0, "XRP", 500)]
        terms = {"ETH": [Terms([Tier(None, 0.05, 0.05)])]}
        # Equity 14,000 - 6,200 = 7,800 < 8,570.
        law = Law(take="position", ranking=ranking, every_ms=MINUTE)
        outcome = run(symbols, orders, 14_000, law=law, terms=terms)
        assert [x.symbol for x in outcome.liquidations] == [symbol]


class TestPrices:
    """At 9,800: value 98,000, maintenance 2,940. Whole position; half of it where said."""

    def price(self, cash: float, **rules: object) -> Outcome:
        return jump(9_800.0, cash, Law(take="position", **rules))  # type: ignore[arg-type]

    def test_mark(self) -> None:
        outcome = self.price(4_500, price="mark")
        assert (outcome.fills[1].quote, steps(outcome)) == (micro(98_000), [("position", -10_000, micro(980))])

    def test_book_less_slippage(self) -> None:
        # 1 % of 98,000 = 980: 97,020; penalty 970.2; 2,500 - 980 - 970.2 = 549.8.
        outcome = self.price(4_500, price="book", slippage=0.01)
        assert (outcome.fills[1].quote, outcome.wallet) == (micro(97_020), micro(549.8))

    def test_book_takes_no_penalty_that_is_not_there(self) -> None:
        # 2 %: 96,040, and 2,500 - 1,960 = 540 is less than 1 % of it.
        outcome = self.price(4_500, price="book", slippage=0.02)
        assert (steps(outcome), outcome.wallet) == ([("position", -10_000, micro(540))], 0)

    def test_a_fill_below_zero_is_a_shortfall_of_an_empty_pool(self) -> None:
        # 3 %: 95,060, and 2,500 - 2,940 = -440 with no position left.
        outcome = self.price(4_500, price="book", slippage=0.03)
        assert steps(outcome) == [("position", -10_000, 0), ("shortfall", 0, 0)]
        assert (outcome.liquidations[1].bad_debt, outcome.wallet) == (micro(440), 0)

    @pytest.mark.parametrize(("slippage", "filled"), [(0.001, True), (0.0037, True), (0.01, False)])
    def test_fillable_bound(self, slippage: float, filled: bool) -> None:
        # E / M = 2,646 / 2,940 = 0.9. Adjustment 2.5 and spread 0.5: 2.5 x 0.1 x 0.5 = 12.5 % of 2,940 = 367.5, which
        # is 0.375 % of the value.
        law = {"price": "fillable", "slippage": slippage, "spread_to_maintenance": 0.5, "bankruptcy_adjustment": 2.5}
        outcome = self.price(4_646, **law)
        assert bool(outcome.liquidations) == filled

    def test_a_refused_step_is_tried_again_after_a_block(self) -> None:
        # 0.5 % = 490 > 367.5 at 2,646 of equity; from minute 3 the mark is 9,790: 2,546 / 2,937 = 0.866871,
        # 0.133129 x 1.25 x 2,937 = 488.75, and 0.5 % of 97,900 is 489.5; from minute 4 it is 9,780: enough.
        btc = market("BTC", 1e4, 1e4, 9_800.0, 9_790.0, 9_780.0)
        rules = {"price": "fillable", "slippage": 0.005, "spread_to_maintenance": 0.5, "bankruptcy_adjustment": 2.5}
        law = Law(take="position", block_ms=25_000, **rules)
        outcome = run([btc], BUY, 4_646, law=law)
        # Looks at 2:00 and every 25 s from there: 2:25, 2:50, 3:15 ... 4:05.
        assert [x.ts for x in outcome.liquidations] == [4 * MINUTE + 5_000]
        assert outcome.fills[1].quote == micro(97_800 - 489)

    def test_a_book_at_the_mark_fills_at_the_crossing(self) -> None:
        # 4,500 + 10 (P - 10,000) = 0.3 P at 9,845.360825: 154.639175 of 500 on the way to the low, at 18,556.70 thirds,
        # so at 18,557, where the mark and the book are at 9,845.358333. That it is lower than at the crossing does not
        # refuse the step.
        btc = market("BTC", 1e4, 1e4, (1e4, 1e4, 9_500.0, 1e4))
        outcome = run([btc], BUY, 4_500, law=Law(take="position", price="fillable", spread_to_maintenance=1.5))
        assert [x.ts for x in outcome.liquidations] == [2 * MINUTE + 18_557 // 3]
        assert outcome.fills[1].quote == micro(98_453.583333)

    def test_bankruptcy(self) -> None:
        # Half of the position, 49,000, and half of the equity of 2,500: at most 1,250 are taken for it.
        outcome = self.price(4_500, price="bankruptcy")
        assert (steps(outcome), outcome.wallet) == ([("position", -10_000, micro(2_500))], 0)
        outcome = jump(9_800.0, 4_500, Law(take="share", portion=0.5, price="bankruptcy", every_ms=MINUTE))
        first = outcome.liquidations[0]
        assert health(first) == (micro(2_500), micro(2_940), micro(1_250), micro(1_470))

    def test_oracle(self) -> None:
        # Liquidator 2 % = 1,960; then penalty min(960.4, 540).
        outcome = self.price(4_500, price="oracle", liquidator_fee=0.02)
        assert (outcome.fills[1].quote, outcome.liquidations[0].penalty) == (micro(96_040), micro(540))

    def test_auction(self) -> None:
        # The first half at 0.1 %; 20 s later at 0.1 % + 20 x 0.02 % = 0.5 % of what is left of 4,900: 49,000.
        law = Law(take="share", portion=0.5, price="auction", every_ms=20_000, buffer=2.0,
                  discount_start=0.001, discount_per_s=0.0002, discount_max=0.0052)  # fmt: skip
        outcome = jump(9_800.0, 4_500, law)
        assert [f.quote for f in outcome.fills[1:3]] == [micro(49_000 - 49), micro(24_500 - 122.5)]
        assert outcome.fills[3].quote == micro(12_250 - 63.7)  # 40 s later: 0.52 % at most

    def test_bounded_takes_what_is_over_the_bankruptcy_price(self) -> None:
        # Slippage 2 %: 96,040, bankruptcy quote 95,500: 540 over, less than the penalty. At 0.1 % the penalty is less.
        assert steps(self.price(4_500, price="book", slippage=0.02, bounded=True))[0][2] == micro(540)
        assert steps(self.price(4_500, price="book", slippage=0.001, bounded=True))[0][2] == micro(979.02)


class TestFund:
    """10 BTC with 4,500; at 9,800 equity is 2,500, the bankruptcy quote 95,500; 3 % of slippage is 440 short."""

    def short(self, **rules: object) -> Outcome:
        law = Law(take="position", price="book", slippage=0.03, bounded=True)
        return jump(9_800.0, 4_500, dataclasses.replace(law, **rules))  # type: ignore[arg-type]

    def test_fund_pays(self) -> None:
        outcome = self.short(fund_micro=micro(1_000))
        (row,) = outcome.liquidations
        assert (row.stage, row.insurance, row.penalty, row.bad_debt) == ("position", -micro(440), 0, 0)
        assert health(row) == (micro(2_500), micro(2_940), 0, 0)
        assert (outcome.fund, outcome.wallet) == (micro(560), 0)

    def test_fund_pays_what_it_can(self) -> None:
        outcome = self.short(fund_micro=micro(100))
        (row,) = outcome.liquidations
        assert (row.insurance, row.bad_debt, outcome.fund, outcome.wallet) == (-micro(100), micro(340), 0, 0)

    def test_adl_instead(self) -> None:
        outcome = self.short(fund_micro=micro(100), shortfall="adl")
        (row,) = outcome.liquidations
        assert (row.stage, row.insurance, row.bad_debt, row.adl_loss) == ("adl", 0, 0, micro(440))
        assert (outcome.fills[1].quote, outcome.fund) == (micro(95_500), micro(100))

    def test_fund_refuses(self) -> None:
        # It does not pay for pools that are bankrupt, so nothing is filled while the price stands.
        outcome = self.short(fund_micro=micro(100), fund_when_bankrupt=False)
        assert (outcome.liquidations, outcome.lots) == ([], {"BTC": 10_000})

    def test_cap_per_block(self) -> None:
        # BTC and ETH alike, each with a pool of 5,000: at 9,790 that is 2,900 < 2,937, and a fill 3 % worse is 37
        # short.
        btc, eth = (market(name, 1e4, 1e4, 9_790.0, 9_790.0) for name in ("BTC", "ETH"))
        orders = [*BUY, order(0, "ETH", 10)]
        law = Law(take="position", price="book", slippage=0.03, bounded=True, fund_micro=micro(10_000), block_ms=MINUTE)
        more = {"margin": "isolated", "leverage": 20.0}
        outcome = run([btc, eth], orders, 10_000, law=law, **more)
        assert [x.insurance for x in outcome.liquidations] == [-micro(37)] * 2
        law = dataclasses.replace(law, fund_cap_micro=micro(50))
        outcome = run([btc, eth], orders, 10_000, law=law, **more)
        assert [(x.insurance, x.bad_debt) for x in outcome.liquidations] == [(-micro(37), 0), (-micro(13), micro(24))]
        # Refused where it does not pay for bankrupt pools: the second waits for the next block, a minute later.
        law = dataclasses.replace(law, fund_when_bankrupt=False)
        outcome = run([btc, eth], orders, 10_000, law=law, **more)
        assert [(x.symbol, x.ts) for x in outcome.liquidations] == [("BTC", 2 * MINUTE), ("ETH", 3 * MINUTE)]
        assert outcome.fund == micro(10_000 - 74)

    def test_penalties_fill_it(self) -> None:
        assert jump(9_800.0, 4_500, Law(fund_micro=5)).fund == micro(980) + 5
        assert jump(9_800.0, 4_500, Law()).fund is None


class TestTheEnd:
    """10 BTC at 10,000 and 100 ETH at 100 with 8,000."""

    def pair(self, last: float, law: Law, cash: float = 8_000) -> Outcome:
        symbols = [market("BTC", 1e4, 1e4, last, last), market("ETH", 100.0, 100.0, 100.0, 100.0)]
        return run(symbols, [*BUY, order(0, "ETH", 100)], cash, law=law)

    def test_backstop(self) -> None:
        # At 9,400: equity 2,000, maintenance 2,820 + 300 = 3,120, two thirds of it 2,080. Shares 2,000 x 2,820 / 3,120.
        outcome = self.pair(9_400.0, Law(take="position", backstop=2 / 3, fund_micro=0))
        assert [(x.stage, x.symbol, x.insurance) for x in outcome.liquidations] == [
            ("backstop", "BTC", 1_807_692_307),
            ("backstop", "ETH", 192_307_693),
        ]
        assert (outcome.wallet, outcome.fund) == (0, micro(2_000))
        assert [f.quote for f in outcome.fills[2:]] == [micro(94_000), micro(10_000)]

    def test_backstop_crossed_while_waiting(self) -> None:
        # At 92,300 / 9.7 = 9,515.4639 a tenth of BTC goes, 1 % of it to the fund; the next look is ten minutes later.
        # 3,154.6392 - 95.1546 - 9 x (9,515.4639 - p) = 2 % of 9 p + 200 (two thirds of 3 %) where p = 82,779.6907 /
        # 8.82 = 9,385.4525. The row falls 1,000 in its second third: 20 s x 0.6145475.
        symbols = [market("BTC", 1e4, 1e4, (1e4, 1e4, 9e3, 9e3)), market("ETH", *[100.0] * 3)]
        law = Law(take="share", portion=0.1, backstop=2 / 3, every_ms=600_000, buffer=1.0)
        outcome = run(symbols, [*BUY, order(0, "ETH", 100)], 8_000, law=law)
        assert [x.stage for x in outcome.liquidations] == ["partial", "backstop", "backstop"]
        assert abs(outcome.liquidations[1].ts - (2 * MINUTE + 20_000 + 12_290)) <= 1
        assert abs(outcome.fills[3].quote - micro(9 * 9_385.4525)) <= micro(0.1)

    @pytest.mark.parametrize(
        ("law", "rows", "fund"),
        [
            # At 9,000: equity -2,000.
            (Law(), [("whole", 0, 0), ("whole", 0, 2_000)], None),
            (Law(shortfall="socialised"), [("socialised", 0, 0), ("socialised", 0, 2_000)], None),
            (Law(fund_micro=micro(500)), [("whole", 0, 0), ("whole", -500, 1_500)], 0),
            (Law(fund_micro=micro(500), fund_cap_micro=micro(200)), [("whole", 0, 0), ("whole", -200, 1_800)], 300),
            (Law(fund_micro=micro(5_000), shortfall="adl"), [("whole", 0, 0), ("whole", -2_000, 0)], 3_000),
            (Law(fund_micro=micro(5_000), fund_when_bankrupt=False), [("whole", 0, 0), ("whole", 0, 2_000)], 5_000),
        ],
    )
    def test_bankrupt(self, law: Law, rows: list[tuple[str, int, int]], fund: int | None) -> None:
        outcome = self.pair(9_000.0, law)
        expected = [(stage, micro(insurance), micro(bad_debt)) for stage, insurance, bad_debt in rows]
        assert [(x.stage, x.insurance, x.bad_debt) for x in outcome.liquidations] == expected
        assert outcome.wallet == 0
        assert outcome.fund == (None if fund is None else micro(fund))
        assert health(outcome.liquidations[1])[2:] == (0, 0)

    def test_bankrupt_adl(self) -> None:
        # Maintenance 2,700 and 300: of -2,000 nine tenths are BTC's: closed at 91,800, ETH at the rest: 10,200.
        outcome = self.pair(9_000.0, Law(fund_micro=micro(500), shortfall="adl"))
        assert [f.quote for f in outcome.fills[2:]] == [micro(91_800), micro(10_200)]
        assert [(x.stage, x.adl_loss, x.bad_debt) for x in outcome.liquidations] == [
            ("adl", micro(1_800), 0),
            ("adl", micro(200), 0),
        ]
        assert [health(x) for x in outcome.liquidations] == [
            (-micro(2_000), micro(3_000), -micro(200), micro(300)),
            (-micro(200), micro(300), 0, 0),
        ]
        assert (outcome.wallet, outcome.fund) == (0, micro(500))


class TestTime:
    def test_delay_and_recovery(self) -> None:
        # Dead at 2:00 (9,690 with 5,900: 2,800 < 2,907), looked at 90 s later, when the mark is back at 9,800.
        law = Law(delay_ms=90_000)
        outcome = run([market("BTC", 1e4, 1e4, 9_690.0, 9_800.0)], BUY, 5_900, law=law)
        assert (outcome.liquidations, outcome.lots) == ([], {"BTC": 10_000})
        outcome = run([market("BTC", 1e4, 1e4, 9_690.0, 9_690.0)], BUY, 5_900, law=law)
        assert [x.ts for x in outcome.liquidations] == [3 * MINUTE + 30_000]

    def test_bankrupt_at_a_late_look(self) -> None:
        # Below maintenance at 95,000 / 9.7 = 9,793.81, 4,123 ms into the second third of minute 2; the look is 70 s
        # later, at 9,000, where 5,000 are missing.
        symbols = [market("BTC", 1e4, 1e4, (1e4, 1e4, 9e3, 9e3), 9e3)]
        outcome = run(symbols, BUY, 5_000, law=Law(delay_ms=70_000))
        (row,) = outcome.liquidations
        assert (row.ts, row.stage) == (2 * MINUTE + 20_000 + 4_123 + 70_000, "whole")
        assert (row.equity_before, row.bad_debt) == (-micro(5_000), micro(5_000))

    def test_steps_across_rows(self) -> None:
        # One BTC per 40 s at 9,700 with 5,800 (2,800 < 2,910): 97 of penalty each. After 1: 2,703 against 2,619.
        # With a buffer of 15 % 3,011.85 is wanted; after 2: 2,606 and 2,677.2; after 3: 2,509 and 2,342.55, which
        # ends it.
        symbols = [market("BTC", 1e4, 1e4, 9_700.0, 9_700.0, 9_700.0)]
        law = Law(take="share", portion=0.01, minimum_micro=micro(9_700), every_ms=40_000, buffer=0.15)
        outcome = run(symbols, BUY, 5_800, law=law)
        assert [x.ts - 2 * MINUTE for x in outcome.liquidations] == [0, 40_000, 80_000]
        assert outcome.lots == {"BTC": 7_000}

    def test_a_look_on_a_close_happens_at_the_next_open(self) -> None:
        # Steps a minute apart fall on closes: the second at 3:00 sees 9,000, where equity is below zero.
        symbols = [market("BTC", 1e4, 1e4, 9_700.0, 9_000.0)]
        law = Law(take="share", portion=0.01, minimum_micro=micro(9_700), every_ms=MINUTE, buffer=0.1)
        first, second = run(symbols, BUY, 5_800, law=law).liquidations
        assert (first.stage, first.ts, second.stage, second.ts) == ("partial", 2 * MINUTE, "whole", 3 * MINUTE)
        assert second.equity_before == micro(2_703 - 9 * 700)

    def test_terms_change_at_their_instant_and_the_law_at_its_own(self) -> None:
        # Maintenance 5 % from one ms after 2:00 on: 4,500 < 5,000, under the law that holds until 3:00.
        terms = {"BTC": [Terms(LEAN, penalty=0.01), Terms([Tier(None, 0.06, 0.05)], 2 * MINUTE + 1, penalty=0.02)]}
        law = [Law(), Law(from_ms=3 * MINUTE, take="position")]
        outcome = run([market("BTC", *[1e4] * 4)], [order(0, "BTC", 9)], 4_400, terms=terms, law=law)
        assert [(x.stage, x.ts, x.penalty) for x in outcome.liquidations] == [("whole", 2 * MINUTE + 1, micro(1_800))]
