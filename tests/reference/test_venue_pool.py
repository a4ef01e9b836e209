"""What must hold of every pool, whatever its positions; and hand-computed pools."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from backtest.venues import requirement, risk_checks
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.terms import BySize, CeilRates, Law, Portfolio, Price, Terms, Tier

MICRO = 10**6
QUICK = settings(max_examples=150, deadline=None, derandomize=True)


@st.composite
def ladders(draw: st.DrawFn) -> Terms:
    """Up to four tiers: edges and rates rise, deductions make the requirement continuous (rules.md, 6)."""
    count = draw(st.integers(1, 4))
    edges = sorted(draw(st.sets(st.integers(1, 10_000_000), min_size=count - 1, max_size=count - 1)))
    rates = sorted(draw(st.lists(st.integers(2, 500), min_size=count, max_size=count)))
    tiers, before = [], None
    for rate, edge in zip(rates, [*(edge * MICRO for edge in edges), None], strict=True):
        two = (Fraction(rate, 1000), Fraction(rate, 2000))
        cuts = (0, 0)
        if before is not None:
            low, rates_before, cuts_before = before
            cuts = tuple(c + round(low * (r - b)) for c, r, b in zip(cuts_before, two, rates_before, strict=True))
        tiers.append(Tier(edge, float(two[0]), cuts[0], float(two[1]), cuts[1]))
        before = (edge, two, cuts)
    beta, idio = draw(st.integers(-20, 20)) / 10, draw(st.integers(0, 50)) / 1000
    return Terms(0, tuple(tiers), beta=beta, idio=idio)


@st.composite
def rounded_up(draw: st.DrawFn) -> Terms:
    base = draw(st.integers(1_000, 500_000))
    initial = draw(st.integers(base, MICRO))
    rates = CeilRates(initial, base, draw(st.integers(100_000, MICRO)))
    return Terms(0, (Tier(None, initial / MICRO, 0, base / MICRO, 0),), ceil=rates)


@st.composite
def by_size(draw: st.DrawFn) -> Terms:
    rates = sorted(draw(st.tuples(st.integers(5, 200), st.integers(5, 200))))
    tier = Tier(None, rates[1] / 1000, -draw(st.integers(0, 100 * MICRO)), rates[0] / 1000, 0)
    rules = [
        BySize(share, linear / 1e9, root / 1e7, step / 1000, float(baseline), float(increment))
        for share, linear, root, step, baseline, increment in (
            draw(
                st.tuples(
                    st.sampled_from([1.0, 0.8]),
                    st.integers(0, 1000),
                    st.integers(0, 1000),
                    st.integers(0, 5),
                    st.integers(0, 100),
                    st.integers(20, 100),
                )
            )
            for _ in range(2)
        )
    ]
    return Terms(0, (tier,), initial_by_size=rules[0], maintenance_by_size=rules[1])


markets = st.one_of(ladders(), rounded_up(), by_size())
marks = st.integers(1, 10**7).map(lambda n: n / 100)
sizes = st.integers(1, 500 * MICRO).flatmap(lambda n: st.sampled_from([n, -n]))


@st.composite
def pools(draw: st.DrawFn, terms: st.SearchStrategy[Terms] = markets, rule: Portfolio | None = None) -> Pool:
    """One to four positions, and cash that leaves an equity anywhere about the maintenance."""
    positions = tuple(
        Held(f"S{n}", draw(sizes), draw(marks), draw(terms), leverage=draw(st.sampled_from([None, 3.0, 10.0])))
        for n in range(draw(st.integers(1, 4)))
    )
    bare = Pool(0, positions, rule)
    return replace(bare, cash_micro=bare.maintenance * draw(st.integers(-50, 300)) // 100 - bare.equity)


netting = st.builds(
    Portfolio,
    scan_initial=st.integers(0, 500).map(lambda n: n / 1000),
    scan_maintenance=st.integers(0, 300).map(lambda n: n / 1000),
    floor=st.integers(0, 100).map(lambda n: n / 100),
    idio_maintenance=st.integers(0, 100).map(lambda n: n / 100),
)


# --- requirements


@given(ladders(), st.integers(0, 20_000_000 * MICRO), st.integers(0, 1000 * MICRO))
@QUICK
def test_a_requirement_by_tiers_is_continuous_and_rises_with_the_notional(terms: Terms, n: int, more: int) -> None:
    for need, steepest in (
        (requirement.initial, terms.tiers[-1].initial),
        (requirement.maintenance, terms.tiers[-1].maintenance),
    ):
        rise = need(terms, n + more, 1) - need(terms, n, 1)
        # One micro for the rounding of each share, and one for that of the deductions.
        assert 0 <= rise <= requirement.share(more, steepest) + 3


@given(ladders(), st.integers(0, 20_000_000 * MICRO))
@QUICK
def test_the_tier_that_holds_a_notional_gives_the_largest_line(terms: Terms, n: int) -> None:
    tier = terms.tiers[requirement.tier_of(terms, n)]
    line = requirement.share(n, tier.maintenance) - tier.maintenance_deduction
    assert abs(requirement.maintenance(terms, n, 1) - max(0, line)) <= 2


@given(by_size(), marks, st.integers(1, 500 * MICRO), st.integers(1, 500 * MICRO))
@QUICK
def test_a_requirement_by_size_rises_with_the_size(terms: Terms, mark: float, units: int, more: int) -> None:
    small, large = Held("S", units, mark, terms), Held("S", -(units + more), mark, terms)
    assert small.initial <= large.initial
    assert small.maintenance <= large.maintenance


@given(markets, marks, sizes, st.integers(1, 100))
@QUICK
def test_leverage_only_raises_the_initial_requirement(terms: Terms, mark: float, units: int, leverage: int) -> None:
    plain, own = Held("S", units, mark, terms), Held("S", units, mark, terms, leverage=float(leverage))
    assert own.maintenance == plain.maintenance
    assert own.initial >= plain.initial
    assert own.initial >= Fraction(own.notional_micro, leverage) - 1


@given(st.integers(1, MICRO), st.integers(0, 10**14), st.integers(0, 10**13), st.integers(1, 10**13))
@QUICK
def test_open_interest_only_raises_a_rate(base: int, interest: int, lower: int, width: int) -> None:
    rate = requirement.open_interest_rate_ppm(base, interest, lower, lower + width)
    assert base <= rate <= MICRO
    assert requirement.open_interest_rate_ppm(base, interest + 1, lower, lower + width) >= rate
    assert requirement.open_interest_rate_ppm(base, interest, lower, 0) == base


# --- the liquidation price


def _at(pool: Pool, symbol: str, price: float) -> Pool:
    moved = (replace(h, mark=price) if h.symbol == symbol else h for h in pool.positions)
    return replace(pool, positions=tuple(moved))


def _rounding(pool: Pool, symbol: str, price: float) -> float:
    """Each value and requirement is rounded to a micro, and the price to a double."""
    return 8 * len(pool.positions) + 8 + 4e-16 * abs(pool.position(symbol).units) * price


@given(st.one_of(pools(), netting.flatmap(lambda rule: pools(ladders(), rule))))
@QUICK
def test_at_the_liquidation_price_equity_is_maintenance(pool: Pool) -> None:
    for held in pool.positions:
        price = pool.liquidation_price(held.symbol)
        if price is not None:
            assert abs(_at(pool, held.symbol, price).health) <= _rounding(pool, held.symbol, price)


@given(pools())
@QUICK
def test_without_a_liquidation_price_no_fall_or_rise_crosses_maintenance(pool: Pool) -> None:
    for held in pool.positions:
        if pool.liquidation_price(held.symbol) is not None:
            continue
        prices = (1e-9, 1e-3, 1.0, 1e3, 1e5, 1e7)
        beyond = [(_at(pool, held.symbol, p).health, _rounding(pool, held.symbol, p)) for p in prices]
        assert not (any(h > grain for h, grain in beyond) and any(h < -grain for h, grain in beyond))


@given(pools(), st.integers(1, 10**12))
@QUICK
def test_adding_collateral_never_brings_a_liquidation_nearer(pool: Pool, more: int) -> None:
    richer = replace(pool, cash_micro=pool.cash_micro + more)
    for held in pool.positions:
        before, after = pool.liquidation_price(held.symbol), richer.liquidation_price(held.symbol)
        if before is None or after is None or held.terms.maintenance_by_size:
            continue
        assert after <= before if held.units > 0 else after >= before


# --- closing


@given(pools(), st.integers(1, 100))
@QUICK
def test_a_close_at_the_bankruptcy_quote_leaves_the_pool_as_healthy(pool: Pool, percent: int) -> None:
    held = pool.positions[0]
    units = max(1, abs(held.units) * percent // 100)
    quote = pool.bankruptcy_quote(held.symbol, units)
    after = pool.after(held.symbol, units, quote, 0)
    # equity' / M' = equity / M, cross-multiplied; the quote is rounded by less than a micro, in the pool's favour.
    assert 0 <= after.equity * pool.maintenance - pool.equity * after.maintenance < max(1, pool.maintenance)


@given(pools(), st.integers(1, 100), st.integers(-2000, 2000), st.integers(0, 300), st.sampled_from([True, False]))
@QUICK
def test_insurance_and_account_movements_sum_to_zero(
    pool: Pool, percent: int, worse: int, penalty: int, bounded: bool
) -> None:
    held = replace(pool.positions[0], terms=replace(pool.positions[0].terms, penalty=penalty / 10_000))
    pool = replace(pool, positions=(held, *pool.positions[1:]))
    units = max(1, abs(held.units) * percent // 100)
    value = held.value_micro - held.reduced(units).value_micro
    fill = value + abs(value) * worse // 10_000
    law = Law(bounded=bounded)
    delta = pool.insurance_delta(held.symbol, units, fill, law)
    after = pool.after(held.symbol, units, fill, delta)
    # What the pool lost beside the other side of the fill is what the fund got.
    assert pool.equity - after.equity == delta + (value - fill)
    bankruptcy = pool.bankruptcy_quote(held.symbol, units)
    if bounded:
        # Net of the fund, a fill is never worse for the pool than its bankruptcy price.
        assert fill - delta >= bankruptcy
    assert delta <= max(0, fill - bankruptcy)


@given(pools(), st.integers(1, 100))
@QUICK
def test_a_close_at_the_mark_never_lowers_health(pool: Pool, percent: int) -> None:
    held = pool.positions[-1]
    units = max(1, abs(held.units) * percent // 100)
    at_mark = held.value_micro - held.reduced(units).value_micro
    after = pool.after(held.symbol, units, at_mark, 0)
    assert after.equity == pool.equity
    assert after.health >= pool.health
    if pool.equity >= 0 and (after.maintenance or not after.positions):
        # A close at the mark is what a venue must always let happen, however little equity is left.
        assert risk_checks.allowed(pool, after)


@given(netting.flatmap(lambda rule: pools(ladders(), rule)))
@QUICK
def test_a_portfolio_is_never_below_its_floor_nor_the_netted_sum(pool: Pool) -> None:
    rule = pool.portfolio
    assert rule is not None
    cross = replace(pool, portfolio=None)
    assert pool.initial >= requirement.share(cross.initial, rule.floor)
    assert pool.maintenance >= requirement.share(cross.maintenance, rule.floor)
    moved = sum(Fraction(h.value_micro) * Fraction(h.terms.beta) for h in pool.positions)
    assert pool.maintenance >= abs(moved) * Fraction(rule.scan_maintenance) - len(pool.positions) - 1


@given(pools(), st.integers(0, 3000), st.integers(0, 200))
@QUICK
def test_a_fillable_price_lies_between_the_mark_and_its_widest(pool: Pool, spread: int, adjustment: int) -> None:
    law = Law(spread_to_maintenance=spread / 1000, bankruptcy_adjustment=adjustment / 100)
    for held in pool.positions:
        # A value is whole micros, so the price of a position of a few of them is coarse.
        assume(held.notional_micro > 10**6)
        price = pool.fillable_price(held.symbol, law)
        widest = law.spread_to_maintenance * held.maintenance / abs(held.units)
        distance = (held.mark - price) if held.units > 0 else (price - held.mark)
        grain = 2 / abs(held.units) + 1e-9 * held.mark
        assert -grain <= distance <= widest + grain
        if not pool.liquidatable:
            assert abs(distance) <= grain


# --- by hand


def test_a_third_of_the_margin_goes_with_a_third_of_the_maintenance() -> None:
    # Long 2 A at 100 and short 1 B at 100, maintenance 10 %: 20 + 10 = 30. Cash 3 − 200 + 100 makes an equity of 3.
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),))
    pool = Pool((3 - 200 + 100) * MICRO, (Held("A", 2 * MICRO, 100.0, terms), Held("B", -MICRO, 100.0, terms)))
    assert (pool.equity, pool.initial, pool.maintenance) == (3 * MICRO, 60 * MICRO, 30 * MICRO)
    assert pool.liquidatable
    assert pool.margin_ratio == 10.0
    # B carries 10 of 30, so 1 of the 3: it may cost 101. A carries 2: it must bring 198, 99 each.
    assert pool.bankruptcy_price("B") == 101.0
    assert pool.bankruptcy_quote("B", MICRO) == -101 * MICRO
    assert pool.bankruptcy_price("A") == 99.0
    # Half of A: half of its share.
    assert pool.bankruptcy_quote("A", MICRO) == 99 * MICRO


def test_where_the_price_is_the_bankruptcy_price_the_fund_gets_all_that_is_better() -> None:
    # Long 1 at 100, cash −97: equity 3. Sold at 99 it brings 2 more than the 97 that leaves nothing.
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),), penalty=0.01)
    pool = Pool(-97 * MICRO, (Held("A", MICRO, 100.0, terms),))
    fill = 99 * MICRO
    assert pool.insurance_delta("A", MICRO, fill, Law(price=Price.BANKRUPTCY)) == 2 * MICRO
    # Else the penalty: 1 % of 99.
    assert pool.insurance_delta("A", MICRO, fill, Law()) == 990_000
    # At 96 the pool is 1 short: the fund's where the law says so, else the pool's.
    assert pool.insurance_delta("A", MICRO, 96 * MICRO, Law(bounded=True)) == -MICRO
    assert pool.insurance_delta("A", MICRO, 96 * MICRO, Law()) == 0


def test_the_tier_at_the_price_counts_not_that_of_today() -> None:
    # Maintenance 1 % up to 1,000, 5 % above, less 40. Long 10 at 150: 1,500 lies in the second tier.
    tiers = (Tier(1000 * MICRO, 0.1, 0, 0.01, 0), Tier(None, 0.2, 100 * MICRO, 0.05, 40 * MICRO))
    pool = Pool(-900 * MICRO, (Held("A", 10 * MICRO, 150.0, Terms(0, tiers)),))
    # First tier: 10 p − 900 = 0.1 p, p = 90.909…, a notional of 909: it is that tier's. (The second would say
    # 10 p − 900 = 0.5 p − 40, p = 90.53.)
    assert pool.liquidation_price("A") == pytest.approx(900 / 9.9, rel=1e-15)


def test_a_fully_paid_long_has_no_liquidation_price_and_a_short_always_one() -> None:
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),))
    assert Pool(0, (Held("A", MICRO, 100.0, terms),)).liquidation_price("A") is None
    assert Pool(220 * MICRO, (Held("A", -MICRO, 100.0, terms),)).liquidation_price("A") == pytest.approx(200.0)


def test_a_hedge_lowers_a_portfolio_and_its_liquidation_prices_follow() -> None:
    # Long 1 A at 100 (beta 1), short 1 B at 80 (beta 1), scan 10 %, idio 1 %, floor 0: net 20.
    # Maintenance 0.1 × 20 + 0.01 × 180 = 3.8, against 10 % of 180 = 18 apart.
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),), beta=1.0, idio=0.01)
    rule = Portfolio(scan_initial=0.2, scan_maintenance=0.1)
    positions = (Held("A", MICRO, 100.0, terms), Held("B", -MICRO, 80.0, terms))
    pool = Pool(0, positions, rule)
    assert pool.maintenance == 3_800_000
    assert pool.initial == 5_800_000
    # Equity 20 − (100 − p) = p − 80; for p < 80 the net is short, for p ≥ 80 it is 0.1 (p − 80) + 0.01 (p + 80):
    # p − 80 = 0.11 p − 7.2, p = 72.8 / 0.89 = 81.797…
    assert pool.liquidation_price("A") == pytest.approx(72.8 / 0.89, rel=1e-12)


def test_a_decimal_price_is_not_cut_short_by_its_double() -> None:
    # 0.3 × 10 is 3; the double next to 0.3 lies below it, and truncating its product would give 2.999999.
    rates = CeilRates(200_000, 200_000, 500_000)
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),), ceil=rates)
    held = Held("A", 10 * MICRO, 0.3, terms)
    assert (held.value_micro, held.initial, held.maintenance) == (3_000_000, 600_000, 300_000)


def test_a_market_that_rounds_up_cuts_values_and_fees_toward_zero() -> None:
    rates = CeilRates(200_000, 200_000, 500_000)
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),), ceil=rates, penalty=0.015)
    # 0.9 × 3 micro-units = 2.7: 2 for a long, −2 for a short; 20 % of 2 is 0.4, a whole one; half of that, again one.
    assert [Held("A", units, 0.9, terms).value_micro for units in (3, -3)] == [2, -2]
    assert (Held("A", 3, 0.9, terms).initial, Held("A", 3, 0.9, terms).maintenance) == (1, 1)
    # 1.5 % of 50 is 0.75: nothing.
    pool = Pool(0, (Held("A", 50, 1.0, terms),))
    assert pool.insurance_delta("A", 50, 50, Law(bounded=True)) == 0


def test_a_rich_pools_bankruptcy_quote_may_be_floored() -> None:
    # Equity 300 on a position of 100: it could pay 200 to be rid of it.
    pool = Pool(200 * MICRO, (Held("A", MICRO, 100.0, Terms(0, (Tier(None, 0.2, 0, 0.1, 0),))),))
    assert pool.bankruptcy_quote("A", MICRO) == -200 * MICRO
    assert pool.bankruptcy_quote("A", MICRO, floored=True) == 0
    assert pool.bankruptcy_price("A") is None


def test_a_hedged_portfolio_has_a_price_on_either_side_and_each_leg_is_told_its_own() -> None:
    # Long 1 A and short 1 B, both 100, scan 150 %: health 10 + (a − 100) − 1.5 |a − 100| for A at a.
    # Down: 10 − 2.5 d, d = 4. Up: 10 − 0.5 d, d = 20. For B at b: up 10 − 2.5 d, d = 4.
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),), beta=1.0)
    positions = (Held("A", MICRO, 100.0, terms), Held("B", -MICRO, 100.0, terms))
    pool = Pool(10 * MICRO, positions, Portfolio(scan_initial=2.0, scan_maintenance=1.5))
    assert pool.liquidation_price("A") == pytest.approx(96.0)
    assert pool.liquidation_price("B") == pytest.approx(104.0)


def test_three_whole_increments_are_three() -> None:
    # In doubles (0.4 − 0.1) / 0.1 is 3.0000000000000004, and its ceiling 4.
    rule = BySize(step=0.01, baseline=0.1, increment=0.1)
    assert requirement.rate_by_size(0.05, rule, 400_000) == 0.05 + 0.01 * 3
    assert requirement.rate_by_size(0.05, rule, 400_001) == 0.05 + 0.01 * 4


def test_an_isolated_pool_holds_what_was_posted() -> None:
    terms = Terms(0, (Tier(None, 0.2, 0, 0.1, 0),))
    held = Held("A", -2 * MICRO, 90.0, terms, entry=100.0, leverage=4.0)
    # 200 / 4 = 50 posted, and 20 gained since.
    assert Pool.isolated(held).equity == 70 * MICRO
    assert Pool.isolated(held, 60 * MICRO).equity == 80 * MICRO
    assert held.unrealized_micro == 20 * MICRO
