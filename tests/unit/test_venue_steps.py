"""Steps of a liquidation, loss sharing, funding and prices beside the venues' own vectors, computed by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import pytest

from backtest.venues import (
    adl,
    collateral,
    execution,
    funding,
    inverse,
    liquidation_steps,
    pool_impact,
    ramp_liquidation,
    risk_checks,
    socialized_loss,
)
from backtest.venues.execution import Resting
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.terms import CeilRates, Law, Take, Terms, Tier

MICRO = 10**6
FLAT = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),))
TWO = Terms(0, (Tier(1000 * MICRO, 0.1, 0, 0.01, 0), Tier(None, 0.2, 100 * MICRO, 0.05, 40 * MICRO)))


def position(notional: int, terms: Terms = FLAT) -> Held:
    return Held("A", notional * MICRO // 10, 10.0, terms)


def test_a_share_of_a_position_within_the_blocks_limits() -> None:
    # A tenth, at least 1,000, at most 100,000 in a block of which 40,000 are used.
    law = Law(take=Take.SHARE, portion=0.1, minimum_micro=1000 * MICRO, cap_micro=100_000 * MICRO)
    assert liquidation_steps.step_notional(position(500), law) == 500 * MICRO
    assert liquidation_steps.step_notional(position(5_000), law) == 1000 * MICRO
    assert liquidation_steps.step_notional(position(50_000), law) == 5000 * MICRO
    assert liquidation_steps.step_notional(position(900_000), law, used_micro=40_000 * MICRO) == 60_000 * MICRO
    assert liquidation_steps.step_notional(position(900_000), law, used_micro=100_000 * MICRO) == 0


def test_a_portion_is_rounded_down() -> None:
    # A tenth of 15 micro.
    assert liquidation_steps.block_bounds(15, Law(portion=0.1)) == liquidation_steps.Bounds(0, 1)


def test_after_the_first_share_whole_positions_until_the_cooldown_is_over() -> None:
    law = Law(take=Take.SHARE, portion=0.2, above_micro=100_000 * MICRO, then_whole=True, every_ms=30_000)
    held = position(200_000)
    assert liquidation_steps.step_notional(held, law) == 40_000 * MICRO
    assert liquidation_steps.step_notional(held, law, since_ms=30_000) == 200_000 * MICRO
    assert liquidation_steps.step_notional(held, law, since_ms=30_001) == 40_000 * MICRO
    assert liquidation_steps.step_notional(position(100_000), law) == 100_000 * MICRO


def test_a_cooldown_may_be_longer_or_shorter_than_the_interval() -> None:
    law = Law(take=Take.SHARE, portion=0.2, then_whole=True, every_ms=3_000, cooldown_ms=30_000)
    held = position(200_000)
    assert liquidation_steps.step_notional(held, law, since_ms=30_000) == 200_000 * MICRO
    assert liquidation_steps.step_notional(held, law, since_ms=30_001) == 40_000 * MICRO
    none = replace(law, cooldown_ms=0)
    assert liquidation_steps.step_notional(held, none, since_ms=3_000) == 40_000 * MICRO
    # Without whole positions a cooldown is nothing.
    assert liquidation_steps.step_notional(held, replace(law, then_whole=False), since_ms=1) == 40_000 * MICRO


def test_a_tier_step_leaves_the_tier_below() -> None:
    assert liquidation_steps.step_notional(position(1500, TWO), Law(take=Take.TIER)) == 500 * MICRO
    assert liquidation_steps.step_notional(position(1000, TWO), Law(take=Take.TIER)) == 1000 * MICRO
    assert liquidation_steps.step_notional(position(1500, TWO), Law(take=Take.POSITION)) == 1500 * MICRO


def test_a_size_within_a_bound_is_whole_lots_or_the_whole_position() -> None:
    held = position(1005)  # 100.5 units at 10
    lot = MICRO
    assert liquidation_steps.units_within(held, 1005 * MICRO, lot) == 100_500_000
    assert liquidation_steps.units_within(held, 1004 * MICRO, lot) == 100 * MICRO
    assert liquidation_steps.units_within(held, 99 * MICRO, lot) == 9 * MICRO
    assert liquidation_steps.units_within(held, MICRO, lot) == MICRO  # less than a lot: one lot
    assert liquidation_steps.units_within(position(5), MICRO, lot) == 500_000  # the position is less than a lot


def test_a_limit_price_goes_to_a_tick_against_the_liquidator() -> None:
    assert liquidation_steps.to_tick(99.31, 0.5, closes_long=True) == 99.5
    assert liquidation_steps.to_tick(99.31, 0.5, closes_long=False) == 99.0
    assert liquidation_steps.to_tick(0.3, 0.1, closes_long=True) == 0.3  # on a tick already
    assert liquidation_steps.to_tick(0.01, 0.5, closes_long=False) == 0.5


def test_the_backstop_takes_below_its_share_of_maintenance() -> None:
    law = Law(backstop=2 / 3)
    # Notional 300, maintenance 30, two thirds 20.
    held = position(300)
    at, below = Pool(-280 * MICRO, (held,)), Pool(-280 * MICRO - 1, (held,))
    assert not liquidation_steps.backstopped(at, law)
    assert liquidation_steps.backstopped(below, law)
    assert not liquidation_steps.backstopped(below, Law())


def test_an_auctions_discount_grows_to_its_most() -> None:
    law = Law(discount_start=0.01, discount_per_s=0.001, discount_max=0.05)
    assert liquidation_steps.auction_discount(law, 0) == 0.01
    assert liquidation_steps.auction_discount(law, 10_000) == pytest.approx(0.02)
    assert liquidation_steps.auction_discount(law, 60_000) == 0.05


def test_a_fill_that_the_fund_cannot_pay_is_refused_and_what_came_before_stands() -> None:
    # Long 10 at 10, cash −95: equity 5, 9.5 a unit leaves nothing. Bids: 4 at 9.4, 6 at 9.
    pool = Pool(-95 * MICRO, (position(100),))
    book = [Resting(9.4, 4 * MICRO), Resting(9.0, 6 * MICRO)]
    # The first is 0.4 short of 38. After it cash is −95 + 37.6 + 0.4 = −57, still 9.5 a unit: the second 3 short.
    done = execution.execute(pool, "A", 10 * MICRO, book, Law(bounded=True), 3 * MICRO)
    assert [fill.insurance_micro for fill in done.fills] == [-400_000]
    assert done.refused
    assert done.fund_micro == 2_600_000
    assert done.pool.cash_micro == -57 * MICRO
    whole = execution.execute(pool, "A", 10 * MICRO, book, Law(bounded=True), 10 * MICRO)
    assert (whole.refused, whole.insurance_micro, whole.pool.equity) == (False, -3_400_000, 0)
    # The block's cap counts what the fund has paid in the block before.
    capped = Law(bounded=True, fund_cap_micro=MICRO)
    assert execution.execute(pool, "A", 10 * MICRO, book, capped, 10 * MICRO, paid_micro=700_000).fills == ()


def test_an_offsetting_pool_whose_change_is_refused_is_passed_over() -> None:
    loser = Pool(-110 * MICRO, (position(100),))  # 10 in debt: 11 a unit
    poor = Pool(105 * MICRO, (Held("A", -10 * MICRO, 10.0, FLAT),))  # worth 5, would be 5 in debt
    rich = Pool(200 * MICRO, (Held("A", -10 * MICRO, 10.0, FLAT),))
    assert adl.deleverage(loser, poor, "A", 10 * MICRO) is None
    after, others = adl.deleverage_against(loser, [poor, rich], "A", 10 * MICRO)
    assert others[0] == poor
    assert others[1] == Pool(90 * MICRO)
    assert after == Pool(0)


def test_a_short_ranks_by_what_it_gained_from_the_fall() -> None:
    # (entry / mark) × (notional / value): 2 × 0.5 against 1.25 × 1.
    halved = adl.Candidate("halved", False, 50.0, 100.0, 100.0, 200.0)
    fallen = adl.Candidate("fallen", False, 80.0, 100.0, 100.0, 100.0)
    assert [(c.name, c.index) for c in adl.ranked([halved, fallen])] == [("fallen", 1.25), ("halved", 1.0)]


def test_what_a_pool_below_its_initial_requirement_may_do() -> None:
    # Long 10 at 10: initial 20, maintenance 10; equity 5.
    pool = Pool(-95 * MICRO, (position(100),))
    half = pool.after("A", 5 * MICRO, 50 * MICRO, 0)
    assert risk_checks.allowed(pool, half)
    # Sold half for 47: equity 2, maintenance 5, 0.4 against 0.5.
    assert not risk_checks.allowed(pool, pool.after("A", 5 * MICRO, 47 * MICRO, 0))
    more = pool.holding(replace(position(100), units=11 * MICRO), -10 * MICRO)
    assert not risk_checks.allowed(pool, more)
    # One more bought with a deposit of 3: 8 of 22, 8 / 11 against 5 / 10. Maintenance rises, so it is refused.
    assert not risk_checks.allowed(pool, replace(more, cash_micro=more.cash_micro + 3 * MICRO))
    # In debt without a position: only what improves it.
    debt = Pool(-MICRO)
    assert risk_checks.allowed(debt, Pool(-MICRO + 1))
    assert not risk_checks.allowed(debt, debt)
    # Out of a position into debt: refused, however large the debt was before.
    deep = Pool(-200 * MICRO, (position(100),))
    assert not risk_checks.allowed(deep, deep.after("A", 10 * MICRO, 150 * MICRO, 0))


def test_a_match_moves_open_interest_by_what_both_sides_add() -> None:
    interest = risk_checks.OpenInterest(100, 1.0, 0, 0)
    assert interest.after(10, 0, 0).units == 110  # both open
    assert interest.after(10, -10, 10).units == 90  # both close
    assert interest.after(10, 0, 10).units == 100  # one hands over to the other
    rates = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),), ceil=CeilRates(200_000, 200_000, 500_000))
    buyer, seller = Pool(20 * MICRO), Pool(20 * MICRO - 1)
    done = risk_checks.match(buyer, seller, Held("A", 10 * MICRO, 10.0, rates), 10.0, interest)
    assert (done.buyer.free_collateral, done.seller.free_collateral, done.allowed) == (0, -1, False)
    assert risk_checks.match(buyer, buyer, Held("A", 10 * MICRO, 10.0, rates), 10.0, interest).allowed


def test_a_loss_is_spread_so_that_it_is_covered() -> None:
    # 1 over 3 units: 0.333334 each.
    assert socialized_loss.loss_per_base(-MICRO, 2 * MICRO, -MICRO) == 333_334
    assert socialized_loss.loss_per_deposit(Fraction(1), Fraction(0)) == 0


def test_a_ramp_counts_what_it_has_freed() -> None:
    law = Law(take=Take.RAMP, ramp_start=0.1, ramp_ms=60_000, small_micro=50 * MICRO)
    # Half a minute: 60 % of 1,000 in all, of which 400 are freed: 200 of the 600 that are missing.
    assert ramp_liquidation.ramp_share(600 * MICRO, law, 30_000, 400 * MICRO) == Fraction(1, 3)
    assert ramp_liquidation.ramp_share(600 * MICRO, law, 0, 400 * MICRO) == 0
    assert ramp_liquidation.ramp_share(600 * MICRO, law, 600_000) == 1
    assert ramp_liquidation.ramp_share(50 * MICRO - 1, law, 0) == 1
    # A fee that is no less than the margin rate frees nothing: the whole position goes.
    args = (Fraction(10), Fraction(100), Fraction(1, 20))
    assert ramp_liquidation.base_to_cover(*args, Fraction(1, 20), Fraction(0)) is None
    # 1,500 slots: 2 % and 1,500 millionths.
    assert ramp_liquidation.escalated_fee(Fraction(2, 100), Fraction(5, 100), 1499) == Fraction(2, 100)
    assert ramp_liquidation.escalated_fee(Fraction(2, 100), Fraction(5, 100), 1500) == Fraction(215, 10_000)


def test_a_weights_root_is_of_one_unit_more() -> None:
    # √(0 + 1e-10) = 1e-5, ten times 1e-4, the finest that a weight can tell.
    assert collateral.liability_weight(Fraction(0), Fraction(0), Fraction(10)) == Fraction(1, 10_000)


def test_inverse_contracts_are_liquidated_where_coins_meet_maintenance() -> None:
    # 10,000 contracts long from 10,000 are 1 coin; 0.1 posted, 1 % at the price:
    # 0.1 + 1 − 10,000 / p = 0.01 × 10,000 / p, p = 10,100 / 1.1.
    price = inverse.liquidation_price(10_000, 10_000, 0.1, 0.01)
    assert price == pytest.approx(10_100 / 1.1)
    # At entry: 0.1 + 1 − 10,000 / p = 0.01, p = 10,000 / 1.09.
    assert inverse.liquidation_price(10_000, 10_000, 0.1, 0.01, at_entry=True) == pytest.approx(10_000 / 1.09)
    # Short: 0.1 − 1 + 10,000 / p = 0.01 × 10,000 / p, p = 9,900 / 0.9. With a coin posted it cannot lose it.
    assert inverse.liquidation_price(-10_000, 10_000, 0.1, 0.01) == pytest.approx(9_900 / 0.9)
    assert inverse.liquidation_price(-10_000, 10_000, 1.0, 0.01) is None


def test_funding_truncates_toward_zero_both_ways() -> None:
    assert (funding.settlement_micro(500_000, -17), funding.settlement_micro(500_000, 17)) == (8, -8)
    # −1 over two samples of three: −0.33… is no funding.
    assert funding.tick_rate_ppm([-1], 3, 0, 100) == 0
    assert funding.tick_rate_ppm([-150, -150], 1, 0, 100) == -100
    assert funding.index_delta(-1, Fraction(50_000), 3600, 10) == 0


def test_a_stamp_counts_from_just_after_the_opening_to_the_closing() -> None:
    stamps = [funding.Stamp(100_000, 0.01, 10.0)]
    assert funding.fees_while_open(1.0, 114_999, 200_000, stamps) == pytest.approx(-0.1)
    assert funding.fees_while_open(1.0, 115_000, 200_000, stamps) == 0
    assert funding.fees_while_open(-1.0, 0, 100_000, stamps) == pytest.approx(0.1)
    assert funding.fees_while_open(-1.0, 0, 99_999, stamps) == 0


def test_the_funding_factor_grows_beyond_its_threshold() -> None:
    rule = funding.Adaptive(increase=1e-6, decrease=2e-8, stable_above=0.05, decrease_below=0.03)
    assert rule.change(0.1, True, 600) == pytest.approx(6e-5)
    assert rule.change(0.05, True, 600) == 0
    assert funding.imbalance_rates(2e-5, 1, 50_000, 150_000) == pytest.approx((-3e-5, 1e-5))
    assert funding.imbalance_rates(2e-5, 1, 0, 0) == (0, 0)


def test_an_impact_that_turns_the_imbalance_is_split_at_zero() -> None:
    # From +100 to −50: earns 1e-3 × 100², pays 2e-3 × 50².
    assert pool_impact.price_impact(100, -50, 1e-3, 2, 2e-3) == pytest.approx(10 - 5)
    assert pool_impact.price_impact(50, 100, 1e-3, 2, 2e-3) == pytest.approx(5 - 20)
    assert pool_impact.capped_impact(-15, 1000, 0.005, 0.004) == -5
    assert pool_impact.capped_impact(15, 1000, 0.005, 0.004) == 4


def test_the_arithmetic_of_a_pool_loads_no_array_library() -> None:
    code = (
        "import sys, backtest.venues.margin_pool, backtest.venues.liquidation_steps; sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
