"""Vectors of the venue that is exact: compared to the last micro-unit."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

from backtest.engine.limit import capacity
from backtest.venues import adl, execution, funding, liquidation_steps, requirement, risk_checks
from backtest.venues.execution import Resting
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.terms import Law, Price, Take
from tests.vectors.reading import MICRO, Vector, exact, micro, ppm, printed, whole
from tests.vectors.vector_accounts import PLENTY, account, ceil_terms, held, law, party, scaled_terms, size_of
from tests.vectors.vector_kinds import in_micro, kind


@kind("dydx_v4", "is_liquidatable", "cross_nc_imr_mmr")
def risk(v: Vector) -> None:
    pool = account(v.inputs)
    got = {"net_collateral": pool.equity, "imr": pool.initial, "mmr": pool.maintenance}
    for name, value in v.expected.items():
        if name == "is_liquidatable":
            assert pool.liquidatable is value
        else:
            in_micro(got[name], value)


@kind("dydx_v4", "bankruptcy_quote")
def bankruptcy_quote(v: Vector) -> None:
    pool, market = account(v.inputs), v.inputs["market"]
    in_micro(
        pool.bankruptcy_quote(market, abs(micro(v.inputs["delta_size"]))), v.expected["bankruptcy_delta_quote_usdc"]
    )
    in_micro(pool.equity, v.expected["tnc"])
    in_micro(pool.maintenance, v.expected["tmmr"])
    if v.expected["bankruptcy_unit_price"] is not None:
        assert pool.bankruptcy_price(market) == float(v.expected["bankruptcy_unit_price"])


@kind("dydx_v4", "fillable_price")
def fillable_price(v: Vector) -> None:
    rule = Law(
        price=Price.FILLABLE,
        bankruptcy_adjustment=float(v.inputs["bankruptcy_adjustment"]),
        spread_to_maintenance=float(v.inputs["spread_to_mmr_ratio"]),
    )
    pool = account(v.inputs)
    assert pool.bankruptcy_rating(rule) == exact(v.expected["abr"])
    assert pool.fillable_price(v.inputs["market"], rule) == float(v.expected["fillable_price"])


@kind("dydx_v4", "insurance_fund_delta")
def insurance_fund_delta(v: Vector) -> None:
    pool = account(v.inputs, v.inputs["max_liquidation_fee"])
    position = pool.position(v.inputs["market"]) if "market" in v.inputs else pool.positions[0]
    size = micro(v.inputs["fill_size"])
    quote = whole(exact(v.inputs["fill_size"]) * exact(v.inputs["fill_price"]))
    assert (v.inputs["fill_side"] == "sell") == (position.units > 0)
    signed = quote if position.units > 0 else -quote
    in_micro(
        pool.insurance_delta(position.symbol, size, signed, Law(bounded=True)), v.expected["insurance_fund_delta_usdc"]
    )
    in_micro(pool.bankruptcy_quote(position.symbol, size), v.expected["bankruptcy_delta_quote_usdc"])


@kind("dydx_v4", "max_min_notional")
def block_bounds(v: Vector) -> None:
    rule = Law(
        minimum_micro=whole(v.inputs["min_position_notional_liquidated_usdc"]),
        portion=float(v.inputs["max_position_portion_liquidated"]),
    )
    position = held("BTC", v.inputs["position_size_btc"], v.inputs["oracle_price"], ceil_terms("0.2", "0.1"))
    bounds = liquidation_steps.block_bounds(position.notional_micro, rule)
    in_micro(bounds.least, v.expected["min_notional_usdc"])
    in_micro(bounds.most, v.expected["max_notional_usdc"])


@kind("dydx_v4", "subaccount_block_limit")
def block_limit(v: Vector) -> None:
    given = {key: whole(value) for key, value in v.inputs.items()}
    notional = liquidation_steps.remaining(given["max_notional_per_block"], given["already_liquidated_notional"])
    lost = liquidation_steps.remaining(given["max_insurance_lost_per_block"], given["already_lost_insurance"])
    assert notional is not None
    assert lost is not None
    in_micro(notional, v.expected["remaining_notional"])
    in_micro(lost, v.expected["remaining_insurance"])


def interest(inputs: dict[str, Any], price: str, units: Fraction) -> risk_checks.OpenInterest:
    return risk_checks.OpenInterest(
        units, exact(price), whole(inputs["oi_lower_cap_usdc"]), whole(inputs["oi_upper_cap_usdc"])
    )


@kind("dydx_v4", "imr_oimf", "oimf_ppm")
def open_interest_rate(v: Vector) -> None:
    terms = ceil_terms(v.inputs["base_imf"], v.inputs["base_imf"])
    scaled = interest(v.inputs, "1", micro(v.inputs["oi_notional_usdc"])).terms(terms)
    assert scaled.ceil is not None
    assert scaled.ceil.initial_ppm == v.expected["effective_imf_ppm"]
    if "imr_usdc" in v.expected:
        notional = whole(v.inputs["position_notional_usdc"])
        in_micro(requirement.initial(scaled, notional, notional), v.expected["imr_usdc"])


@kind("dydx_v4", "margin_req")
def margin_requirement(v: Vector) -> None:
    terms = scaled_terms(v.inputs["base_imf"], ppm(v.inputs["maintenance_fraction_of_im"]))
    units = micro(v.inputs["open_interest_base"] or "0")
    position = held("X", v.inputs["size"], v.inputs["price"], interest(v.inputs, v.inputs["price"], units).terms(terms))
    in_micro(position.initial, v.expected["imr_usdc"])
    in_micro(position.maintenance, v.expected["mmr_usdc"])


@kind("dydx_v4", "funding_clamp")
def funding_clamp(v: Vector) -> None:
    got = funding.clamp_ppm(
        ppm(v.inputs["clamp_factor"]), ppm(v.inputs["imf"]), ppm(v.inputs["maintenance_fraction_of_im"])
    )
    in_micro(got, v.expected["max_abs_8h_rate"])


@kind("dydx_v4", "funding_tick")
def funding_tick(v: Vector) -> None:
    given, want = v.inputs, v.expected
    samples = [s["value"] for s in given["premium_samples_8h_ppm"] for _ in range(s["count"])]
    # The maintenance fraction, up to the millionth, so that the rate that it makes, rounded down, is the vector's.
    fraction = math.ceil(exact(given["mmf"]) / exact(given["imf"]) * MICRO)
    most = funding.clamp_ppm(ppm(given["clamp_factor"]), ppm(given["imf"]), fraction)
    rate = funding.tick_rate_ppm(samples, given["samples_expected"], given["default_funding_8h_ppm"], most)
    assert rate == want["funding_rate_8h_ppm"]
    price, seconds = exact(given["oracle_price"]), given["tick_seconds"]
    in_micro(funding.exact_payment_micro(MICRO, rate, price, seconds), want["funding_payment_per_1_base_long_usdc"])
    # The note gives the source's resolution of BTC; that of ETH follows from its index (375 for 0.375 per unit).
    exponent = 9 if "ETH" in v.case else 10
    delta = funding.index_delta(rate, price, seconds, exponent)
    assert delta == want["funding_index_delta_raw"]
    in_micro(funding.settlement_micro(10**exponent, delta), want["funding_payment_after_index_truncation_usdc"])


@kind("dydx_v4", "funding_settlement")
def funding_settlement(v: Vector) -> None:
    given, want = v.inputs, v.expected
    if "index_delta_raw" in given:
        paid = funding.settlement_micro(given["base_quantums"], given["index_delta_raw"])
        in_micro(paid, want["settlement_usdc"])
        in_micro(whole(given["usdc_delta"]) + paid, want["usdc_balance_after"])
        return
    settled = {
        p["market"]: funding.settlement_by_unit(micro(p["size"]), exact(p["index_delta_usdc_per_unit"]))
        for p in given["positions"]
    }
    for asset, amount in want["funding_paid"].items():
        in_micro(-settled[f"{asset}-USD"], amount)
    in_micro(
        whole(given["usdc_balance"]) + sum(settled.values()) + whole(given["trade"]["quote"]),
        want["usdc_balance_after"],
    )


@kind("dydx_v4", "unsettled_funding_in_nc")
def unsettled_funding(v: Vector) -> None:
    given = v.inputs
    quantums = int(
        exact(given["position_size_btc"]) * 10**8
    )  # the source's BTC of these tests: 1e-8, as its note has it
    unsettled = funding.settlement_micro(quantums, given["current_index_raw"] - given["position_index_raw"])
    position = held("BTC", given["position_size_btc"], given["oracle_price"], ceil_terms("0.2", "0.1"))
    in_micro(Pool(whole(given["usdc_balance"]) + unsettled, (position,)).equity, v.expected["net_collateral"])


@kind("dydx_v4", "match_collateral_check")
def match_collateral(v: Vector) -> None:
    given = v.inputs
    before = interest(given, given["oracle_price"], micro(given["oi_before_btc"]))
    position = held("BTC", given["trade_size_btc"], given["oracle_price"], ceil_terms(given["base_imf"], given["mmf"]))
    side = Pool(whole(given["both_sides_usdc"]))
    done = risk_checks.match(side, side, position, exact(given["trade_price"]), before)
    assert done.allowed is v.expected["match_allowed"]
    rates = done.buyer.position("BTC").terms.ceil
    assert rates is not None
    assert rates.initial_ppm == v.expected["effective_imf_ppm_after"]


@kind("dydx_v4", "undercollateralized_transition")
def undercollateralized(v: Vector) -> None:
    given = v.inputs
    position = held("BTC", given["position_size_btc"], given["oracle_price"], ceil_terms(given["imf"], given["mmf"]))
    pool = Pool(whole(given["usdc_balance"]), (position,))
    after = [replace(pool, cash_micro=pool.cash_micro + whole(update)) for update in given["updates_usdc"]]
    assert [risk_checks.allowed(pool, changed) for changed in after] == v.expected["allowed"]


@kind("dydx_v4", "deleverage")
def deleverage(v: Vector) -> None:
    given, want = v.inputs, v.expected
    loser = party(given["liquidated"], given["oracle_price"], given["mmf"])
    other = party(given["offsetting"], given["oracle_price"], given["mmf"])
    units = abs(micro(given["delta_btc"]))
    if "each_offsetting_usdc" in want:
        number = units / abs(other.position("BTC").units)
        after, others = adl.deleverage_against(loser, [other] * int(number), "BTC", units)
        assert want["allowed"]
        assert size_of(after, "BTC") == 0
        for pool in others:
            in_micro(pool.cash_micro, want["each_offsetting_usdc"])
        return
    done = adl.deleverage(loser, other, "BTC", units)
    assert (done is not None) is want["allowed"]
    if done is None:
        return
    assert done.price == float(want["close_price"])
    in_micro(done.liquidated.cash_micro, want["liquidated_usdc"])
    in_micro(done.offsetting.cash_micro, want["offsetting_usdc"])
    left = {h.symbol: Fraction(h.units) / MICRO for h in done.liquidated.positions}
    assert left == {asset: exact(size) for asset, size in want.get("liquidated_positions", {}).items()}


@kind("dydx_v4", "insurance_fund_valid")
def fund_valid(v: Vector) -> None:
    assert execution.fund_can(whole(v.inputs["fund_balance"]), whole(v.inputs["delta"])) is v.expected["valid"]


@kind("dydx_v4", "can_deleverage")
def can_deleverage(v: Vector) -> None:
    side = {"usdc": v.inputs["usdc"], "positions": {"BTC": v.inputs["position_size_btc"]}}
    pool = party(side, {"BTC": v.inputs["oracle_price"]})
    basis = adl.basis(pool, settling=bool(v.inputs.get("final_settlement")))
    for name, at in (("bankruptcy", adl.Basis.BANKRUPTCY), ("oracle", adl.Basis.MARK)):
        if f"deleverage_at_{name}_price" in v.expected:
            assert (basis is at) is v.expected[f"deleverage_at_{name}_price"]


@kind("dydx_v4", "liq_fill")
def liquidation_fills(v: Vector) -> None:
    given, want = v.inputs, v.expected
    pool = party(given["liquidated"], {"BTC": given["oracle_price"]}, penalty=given["max_liquidation_fee"])
    book = [Resting(exact(fill["price"]), micro(fill["size"])) for fill in given["fills"]]
    done = execution.execute(pool, "BTC", sum(r.units for r in book), book, Law(bounded=True), PLENTY)
    assert not done.refused
    in_micro(done.pool.cash_micro, want["liquidated_usdc_after"])
    deltas = want.get("insurance_fund_deltas") or [want["insurance_fund_delta"]]
    assert [fill.insurance_micro for fill in done.fills] == [whole(delta) for delta in deltas]
    if "maker_usdc_after" in want:
        received = sum(execution.maker_receives(fill, float(given["maker_fee"])) for fill in done.fills)
        in_micro(whole(given["maker_usdc_before"]) + received, want["maker_usdc_after"])


@kind("dydx_v4", "e2e_partial", "e2e_insurance_cap")
def one_block(v: Vector) -> None:
    given, want = v.inputs, v.expected
    pool = party(given["liquidated"], {"BTC": given["oracle_price"]}, penalty=given.get("max_liquidation_fee", "0.005"))
    rule = replace(law(given), take=Take.SHARE)
    position = pool.position("BTC")
    units = liquidation_steps.units_within(
        position, liquidation_steps.step_notional(position, rule), Fraction(1, 10_000)
    )
    makers = given.get("resting_makers") or [given["resting_maker"]]
    book = [Resting(exact(maker["price"]), micro(maker["size"])) for maker in makers]
    done = execution.execute(pool, "BTC", units, book, rule, PLENTY)
    in_micro(done.pool.cash_micro, want["liquidated_usdc_after"])
    assert size_of(done.pool, "BTC") == exact(want["liquidated_position_after"])
    in_micro(done.insurance_micro, want["insurance_fund_delta"])


@kind("dydx_v4", "e2e_final_settlement")
def final_settlement(v: Vector) -> None:
    prices = {"BTC": v.inputs["oracle_price"]}
    loser, other = party(v.inputs["liquidated"], prices), party(v.inputs["offsetting"], prices)
    units = abs(loser.position("BTC").units)
    basis = adl.basis(loser, settling=True)
    assert basis is not None
    done = adl.deleverage(loser, other, "BTC", units, basis)
    assert done is not None
    assert done.price == float(v.expected["close_price"])
    in_micro(done.liquidated.cash_micro, v.expected["liquidated_usdc_after"])
    in_micro(done.offsetting.cash_micro, v.expected["offsetting_usdc_after"])


@kind("dydx_v4", "liq_price_isolated_docs", "liq_price_cross_docs")
def documented_liquidation_price(v: Vector) -> None:
    given, want = v.inputs, v.expected
    own = held("own", given["size"], given["price"], ceil_terms(given["mmf"], given["mmf"]))
    others = [
        held(str(n), o["size"], o["price"], ceil_terms(o["mmf"], o["mmf"]))
        for n, o in enumerate(given.get("others", []))
    ]
    everything = (own, *others)
    pool = Pool(whole(given["equity"]) - sum(h.value_micro for h in everything), everything)
    price = pool.liquidation_price("own")
    assert price is not None
    printed(price, want["liquidation_price"])
    if "other_mmr" in want:
        in_micro(sum(other.maintenance for other in others), want["other_mmr"])
    if "equity_at_liq" in want:
        there = replace(pool, positions=(replace(own, mark=price),))
        printed(Fraction(there.equity, MICRO), want["equity_at_liq"])


@kind("dydx_v4", "adl_docs")
def documented_adl(v: Vector) -> None:
    def side(name: str) -> Pool:
        given = v.inputs[name]
        position = Held("X", micro(given["size"]), exact(v.inputs["price"]), terms, entry=exact(given["entry"]))
        return Pool.of(whole(given["deposit"]), [position])

    terms = ceil_terms("0.05", "0.05")
    winner, loser = side("A"), side("B")
    assert loser.bankruptcy_price("X") == float(v.expected["bankruptcy_price_B"])
    done = adl.deleverage(loser, winner, "X", abs(loser.position("X").units))
    assert done is not None
    in_micro(done.offsetting.cash_micro - whole(v.inputs["A"]["deposit"]), v.expected["A_profit"])
    in_micro(done.liquidated.equity, v.expected["B_value"])


@kind("dydx_v4", "insurance_docs")
def documented_insurance(v: Vector) -> None:
    given, want = v.inputs, v.expected
    terms = ceil_terms(given["mmf"], given["mmf"])
    position = Held("X", micro(given["size"]), exact(given["oracle"]), terms, entry=exact(given["entry"]))
    pool = Pool.of(whole(given["deposit"]), [position])
    in_micro(replace(position, mark=exact(given["entry"])).maintenance, want["mmr_at_entry"])
    in_micro(pool.equity, want["equity_at_oracle"])
    fill = position.value_at(exact(given["fill"]))
    in_micro(-pool.insurance_delta("X", position.units, fill, Law(bounded=True)), want["insurance_contribution"])
    # The document's spread: one and a half maintenance margins (mechanics 1.3).
    assert liquidation_steps.widest_spread(terms, Law(spread_to_maintenance=1.5)) == float(want["max_spread"])


@kind("dydx_v4", "oracle_spread_cap_docs")
def documented_spread(v: Vector) -> None:
    rule = Law(spread_to_maintenance=float(v.inputs["smmr"]))
    got = liquidation_steps.widest_spread(ceil_terms(v.inputs["mmf"], v.inputs["mmf"]), rule)
    assert got == float(v.expected["max_liquidation_spread"])


@kind("dydx_v4", "withdraw_capacity")
def withdrawal_capacity(v: Vector) -> None:
    """By the kernel itself: a run's limit is the venue's baseline."""
    given = v.inputs
    baseline = max(whole(given["baseline_min"]), whole(given["tvl"]) * given["baseline_tvl_ppm"] // MICRO)
    passed = 1_000 * exact(given["dt_s"])
    assert passed.denominator == 1
    got = capacity(baseline, 1_000 * given["period_s"], whole(given["prev_capacity"]), int(passed))
    in_micro(got, v.expected["new_capacity"])
