"""Vectors of the venues whose rates go by size, and of pools of liquidity and price models."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from fractions import Fraction

from backtest.venues import (
    collateral,
    funding,
    pool_impact,
    profile,
    ramp_liquidation,
    requirement,
    slippage_models,
    socialized_loss,
    spread,
)
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.terms import BySize, Terms, Tier
from tests.vectors.reading import MICRO, Vector, close, exact, micro, printed, whole
from tests.vectors.vector_accounts import ceil_terms, held
from tests.vectors.vector_kinds import in_micro, kind


@kind("dydx_v3", "v3_market_params")
def market_parameters(v: Vector) -> None:
    when = dt.date.fromisoformat(v.inputs["date"])
    terms, want = profile.load("dydx_v3").terms(v.inputs["market"], when), v.expected
    by_size, (tier,) = terms.initial_by_size, terms.tiers
    assert by_size is not None
    assert (tier.initial, tier.maintenance) == (float(want["imf"]), float(want["mmf"]))
    assert by_size.step == float(want["incremental_imf"])
    assert by_size.increment == float(want["incremental_position_size"])
    assert by_size.baseline == float(want["baseline_position_size"])
    assert terms.limit_units == whole(want["max_position_size"])


@kind("dydx_v3", "v3_incremental_imf")
@kind("idex_ikon", "incremental_imf")
def incremental(v: Vector) -> None:
    def given(*names: str) -> str:
        return next(v.inputs[name] for name in names if name in v.inputs)

    rule = BySize(
        step=float(given("incr_imf", "incremental_imf")),
        baseline=float(given("baseline", "baseline_position_size")),
        increment=float(given("increment", "incremental_position_size")),
    )
    got = requirement.rate_by_size(float(v.inputs["imf"]), rule, micro(v.inputs["size"]))
    close(got, v.expected["imf"], 1e-12)


@kind("dydx_v3", "v3_close_price")
def close_price(v: Vector) -> None:
    given = v.inputs
    size = "1" if given["side"] == "long" else "-1"
    pool = _with_totals(size, given["oracle"], given["mmf"], given["account_value"], given["total_mmr"])
    assert pool.bankruptcy_price("own") == float(v.expected["close_price"])


@kind("idex_ikon", "bankruptcy_quote")
def index_bankruptcy_quote(v: Vector) -> None:
    given = v.inputs
    totals = (given["total_account_value"], given["total_mmr"])
    pool = _with_totals(given["size"], given["index_price"], given["mmf"], *totals)
    got = pool.bankruptcy_quote("own", abs(micro(given["size"])), floored=True)
    in_micro(abs(got), v.expected["quote_at_bankruptcy"])


def _with_totals(size: str, price: str, mmf: str, value: str, total: str) -> Pool:
    """A pool of that equity and maintenance; what one position leaves of the latter another one has."""
    own = held("own", size, price, ceil_terms(mmf, mmf))
    rest = whole(total) - own.maintenance
    assert rest >= 0
    everything = (own, Held("other", rest, 1.0, ceil_terms("1", "1"))) if rest else (own,)
    return Pool(whole(value) - sum(h.value_micro for h in everything), everything)


@kind("synthetix_v3_perps", "skew_scaled_margin")
def skew_scaled(v: Vector) -> None:
    given, want = v.inputs, v.expected
    least, scalar = float(given["minimum_initial_margin_ratio"]), float(given["maintenance_scalar"])
    slope = float(given["initial_margin_ratio"]) / float(given["skew_scale"])
    flat = -whole(given["minimum_position_margin"])
    first, second = BySize(linear=slope), BySize(linear=slope * scalar)
    tiers = (Tier(None, least, flat, least * scalar, flat),)
    terms = Terms(0, tiers, initial_by_size=first, maintenance_by_size=second)
    units = micro(given["size"])
    position = Held("X", units, float(given["price"]), terms)
    printed(requirement.rate_by_size(least, first, units), want["initial_margin_ratio"])
    printed(Fraction(position.initial, MICRO), want["initial_margin"])
    printed(Fraction(position.maintenance, MICRO), want["maintenance_margin"])


@kind("drift_v2", "base_to_cover_margin_shortage")
def base_to_cover(v: Vector) -> None:
    names = ("margin_shortage_usdc", "oracle_price", "margin_ratio", "liquidator_fee", "insurance_fee", "quote_price")
    got = ramp_liquidation.base_to_cover(*(exact(v.inputs.get(name, "1")) for name in names))
    assert got == exact(v.expected["base_to_liquidate"])


@kind("drift_v2", "socialized_loss_via_funding")
def socialised_by_funding(v: Vector) -> None:
    units = (micro(v.inputs["oi_long_base"]), micro(v.inputs["oi_short_base"]))
    in_micro(
        socialized_loss.loss_per_base(whole(v.inputs["loss_usdc"]), *units),
        v.expected["cumulative_funding_delta_per_base"],
    )


@kind("drift_v2", "socialized_loss_via_deposits")
def socialised_by_deposits(v: Vector) -> None:
    got = socialized_loss.loss_per_deposit(exact(v.inputs["borrow_loss"]), exact(v.inputs["total_deposits"]))
    assert got == exact(v.expected["cumulative_deposit_interest_delta_fraction"])


@kind("drift_v2", "perp_insurance_fee")
def insurance_fee(v: Vector) -> None:
    names = ("margin_shortage_usdc", "base", "price", "margin_ratio", "liquidator_fee", "max_if_fee")
    assert ramp_liquidation.insurance_fee(*(exact(v.inputs[name]) for name in names)) == exact(v.expected["if_fee"])


@kind("drift_v2", "liquidation_fee_escalation")
def fee_escalation(v: Vector) -> None:
    got = ramp_liquidation.escalated_fee(
        exact(v.inputs["base_fee"]), exact(v.inputs["max_fee"]), v.inputs["slots_elapsed"]
    )
    assert got == exact(v.expected["fee"])


SLOT_MS = 400


@kind("drift_v2", "max_pct_to_liquidate")
def ramp_share(v: Vector) -> None:
    duration = v.inputs["duration_slots"] * SLOT_MS
    rule = replace(profile.load("drift_v2").law(), ramp_start=float(v.inputs["initial_pct"]), ramp_ms=duration)
    freed = whole(v.inputs.get("margin_freed_usdc", "0"))
    elapsed = v.inputs.get("slots_elapsed", 0) * SLOT_MS
    printed(
        ramp_liquidation.ramp_share(whole(v.inputs["margin_shortage_usdc"]), rule, elapsed, freed), v.expected["pct"]
    )


@kind("drift_v2", "size_discount_asset_weight")
def asset_weight(v: Vector) -> None:
    got = collateral.asset_weight(*(exact(v.inputs[n]) for n in ("size", "initial_asset_weight", "imf_factor")))
    assert got == exact(v.expected["asset_weight"])


@kind("drift_v2", "size_premium_liability_weight")
def liability_weight(v: Vector) -> None:
    names = ("size", "initial_liability_weight", "imf_factor")
    got = collateral.liability_weight(*(exact(v.inputs[name]) for name in names))
    assert got == exact(v.expected["liability_weight"])


@kind("drift_v2", "scaled_initial_asset_weight")
def scaled_weight(v: Vector) -> None:
    value = exact(v.inputs["total_deposits"]) * exact(v.inputs["price"])
    got = collateral.scaled_weight(value, exact(v.inputs["scale_start_usdc"]), exact(v.inputs["initial_asset_weight"]))
    assert got == exact(v.expected["asset_weight"])


@kind("gmx_v2", "price_impact")
def price_impact(v: Vector) -> None:
    given = {key: float(value) for key, value in v.inputs.items()}
    got = pool_impact.price_impact(given["initial_diff"], given["next_diff"], given["factor"], given["exponent"])
    close(got, v.expected["impact_usd"])


@kind("gmx_v2", "funding")
def imbalance_funding(v: Vector) -> None:
    names = ("funding_factor_per_s", "exponent", "long_oi", "short_oi")
    long, short = funding.imbalance_rates(*(float(v.inputs[name]) for name in names))
    close(long, v.expected["long_rate_per_s"])
    close(short, v.expected["short_rate_per_s"])


@kind("gmx_v2", "adaptive_funding")
def adaptive_funding(v: Vector) -> None:
    def given(name: str) -> float:
        return float(v.inputs.get(name, 0))

    rule = funding.Adaptive(
        given("increase_factor_per_s"),
        given("decrease_factor_per_s"),
        given("threshold_stable"),
        given("threshold_decrease"),
    )
    # "0.04 (between thresholds)" and "<0.03": what is below a bound is anything below it, half of it for one.
    text = v.inputs["imbalance"].split()[0]
    imbalance = float(text[1:]) / 2 if text.startswith("<") else float(text.lstrip(">"))
    close(rule.change(imbalance, v.inputs["same_direction"], v.inputs["dt_s"]), v.expected["delta"])


@kind("gmx_v2", "borrow_kink")
def borrow_kink(v: Vector) -> None:
    names = ("usage", "optimal", "base_per_year", "above_per_year")
    close(funding.borrow_rate(*(float(v.inputs[name]) for name in names)), v.expected["rate_per_year"])


@kind("slippage_models", "volume_share")
def volume_share(v: Vector) -> None:
    given = v.inputs
    numbers = (float(given[name]) for name in ("close", "bar_volume", "order_size"))
    buys = given["side"] == "buy"
    got = slippage_models.volume_share(*numbers, buys, float(given["volume_limit"]), float(given["price_impact"]))
    close(got.size, v.expected["fill_size"])
    printed(got.price, v.expected["fill_price"])


@kind("slippage_models", "square_root")
def square_root(v: Vector) -> None:
    names = ("Y", "sigma_daily", "order_notional", "daily_volume")
    end = slippage_models.square_root(*(float(v.inputs[name]) for name in names))
    printed(end, v.expected["impact_end"])
    printed(end * 1e4, v.expected["impact_bps"])
    printed(slippage_models.average_of_path(end) * 1e4, v.expected["avg_cost_bps_two_thirds"])


@kind("slippage_models", "book_walk")
def book_walk(v: Vector) -> None:
    asks = [(float(price), float(size)) for price, size in v.inputs["asks"]]
    got = slippage_models.book_walk(asks, float(v.inputs["size"]))
    printed(got.price, v.expected["avg_price"])
    printed((got.price / asks[0][0] - 1) * 1e4, v.expected["slippage_vs_best_bps"])


@kind("slippage_models", "linear_depth")
def linear_depth(v: Vector) -> None:
    end = slippage_models.linear_depth(float(v.inputs["order_notional"]), float(v.inputs["depth_1pct"]))
    close(end * 1e4, v.expected["end_move_bps"])
    close(end / 2 * 1e4, v.expected["avg_cost_bps"])


@kind("slippage_models", "corwin_schultz")
def corwin_schultz(v: Vector) -> None:
    high, low = ([float(v.inputs[f"{end}{n}"]) for n in (1, 2)] for end in "hl")
    (alpha,), (raw,) = spread.corwin_schultz_pairs(high, low)
    printed(alpha, v.expected["alpha"])
    printed(raw, v.expected["spread_raw"])
    printed(float(spread.corwin_schultz(high, low)), v.expected["spread_floored"])


@kind("slippage_models", "abdi_ranaldo")
def abdi_ranaldo(v: Vector) -> None:
    candles = [[float(price) for price in v.inputs[name]] for name in ("high", "low", "close")]
    printed(float(spread.abdi_ranaldo_moment(*candles)), v.expected["mean_4cov"])
    printed(float(spread.abdi_ranaldo(*candles)), v.expected["spread"])


@kind("slippage_models", "roll")
def roll(v: Vector) -> None:
    prices = [float(price) for price in v.inputs["prices"]]
    printed(float(spread.roll_covariance(prices)), v.expected["cov_lag1_population"])
    printed(float(spread.roll(prices)), v.expected["spread"])
