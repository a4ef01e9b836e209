"""Vectors of the venues with brackets and tiers: liquidation prices, maintenance, funding."""

from __future__ import annotations

import datetime as dt
import re
from fractions import Fraction
from typing import Any

from backtest.venues import adl, funding, inverse, liquidation_steps, profile, requirement
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.mark_average import Ema
from backtest.venues.terms import Law, Terms, Tier
from tests.vectors.reading import MICRO, Vector, close, cut, exact, micro, printed, whole
from tests.vectors.vector_accounts import flat_terms
from tests.vectors.vector_kinds import in_micro, kind


def _isolated(inputs: dict[str, Any], terms: Terms, wallet: Fraction | None = None) -> Pool:
    """One position, entered at ``entry`` with ``notional / leverage`` posted."""
    signed = micro(inputs["size"]) * (1 if inputs["side"] == "long" else -1)
    entry = exact(inputs["entry"])
    posted = abs(signed) * entry / exact(inputs["leverage"]) if wallet is None else wallet
    return Pool.of(posted, [Held("own", signed, entry, terms, entry=entry)])


@kind("binance", "liq_price isolated", "liq_price")
def bracket_liquidation_price(v: Vector) -> None:
    given = v.inputs
    if "position" not in given:
        pool = _isolated(given, flat_terms(given["mmr"], given["cum"]), micro(given["isolated_wallet"]))
        close(pool.liquidation_price("own"), v.expected["liquidation_price"])
        return
    positions = [
        Held(
            p["market"],
            micro(p["size"]) * (1 if p["side"] == "long" else -1),
            exact(p.get("mark", p["entry"])),
            flat_terms(p["mmr"], p["cum"]),
            entry=exact(p["entry"]),
        )
        for p in (given["position"], *given["other_positions"])
    ]
    price = Pool.of(micro(given["wallet_balance"]), positions).liquidation_price(given["position"]["market"])
    assert price is not None
    printed(price, v.expected["liquidation_price"])


SNAPSHOT = dt.date(2024, 10, 24)


@kind("binance", "brackets")
def brackets(v: Vector) -> None:
    terms = profile.load("binance_usdm").terms(v.inputs["market"], SNAPSHOT)
    got = [
        (whole_edge(low), tier.maintenance, 1 / tier.initial, tier.maintenance_deduction)
        for low, tier in zip([0, *(t.upto_micro for t in terms.tiers)], terms.tiers, strict=False)
    ]
    want = [
        (whole(b["notional_floor"]), float(b["mmr"]), b["max_leverage"], whole(b["cum"]))
        for b in v.expected["brackets"]
    ]
    assert [(low, rate, round(lev, 9), cum) for low, rate, lev, cum in got] == want
    assert terms.limit_micro == whole(v.expected["brackets"][-1]["notional_cap"])


def whole_edge(edge: int | None) -> int:
    assert edge is not None
    return edge


@kind("binance", "maintenance_margin")
def bracket_maintenance(v: Vector) -> None:
    terms = profile.load("binance_usdm").terms(v.inputs["market"], SNAPSHOT)
    notional = whole(v.inputs["notional_usdt"])
    in_micro(requirement.maintenance(terms, notional, notional), v.expected["maintenance_margin"])
    number = requirement.tier_of(terms, notional)
    assert number + 1 == v.expected["tier"]
    close(1 / terms.tiers[number].initial, v.expected["max_leverage"])


@kind("binance", "funding_fee")
def funding_fee(v: Vector) -> None:
    size = float(v.inputs["size"]) * (1 if v.inputs["side"] == "long" else -1)
    got = funding.fee(size, float(v.inputs["mark_price"]), float(v.inputs["funding_rate"]))
    close(got, v.expected["funding_credit"])


@kind("binance", "funding_window")
def funding_window(v: Vector) -> None:
    given = v.inputs
    day = dt.datetime.fromisoformat(given["date"]).replace(tzinfo=dt.UTC)

    def at(clock: str) -> int:
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return int((day + dt.timedelta(hours=hours, minutes=minutes, seconds=seconds)).timestamp() * 1000)

    stamps = [
        funding.Stamp(at(f"{event['hour']}:00:00"), float(event["rate"]), float(event["mark"]))
        for event in given["funding_events"]
    ]
    size = float(given["size"]) * (1 if given["side"] == "long" else -1)
    got = funding.fees_while_open(size, at(given["open_time_utc"]), at(given["close_time_utc"]), stamps)
    close(got, v.expected["funding_credit"])


@kind("bybit", "bybit liq_price isolated")
def entry_liquidation_price(v: Vector) -> None:
    pool = _isolated(v.inputs, flat_terms(v.inputs["mmr"]))
    price = pool.liquidation_price("own", at_entry=True)
    assert price is not None
    cut(price, v.expected["liquidation_price"])


@kind("bybit", "bybit inverse isolated")
def inverse_liquidation_price(v: Vector) -> None:
    given, want = v.inputs, v.expected
    contracts = float(given["contracts_usd"]) * (1 if given["side"] == "long" else -1)
    value = inverse.position_value(contracts, float(given["entry"]))
    margin = value / float(given["leverage"])
    close(value, want["position_value_btc"])
    close(margin, want["initial_margin_btc"])
    close(value * float(given["mmr"]), want["maintenance_margin_btc"])
    price = inverse.liquidation_price(contracts, float(given["entry"]), margin, float(given["mmr"]), at_entry=True)
    assert price is not None
    printed(price, want["liquidation_price"])


@kind("okx_gate", "okx liq_price isolated", "gate liq_price isolated")
def fee_liquidation_price(v: Vector) -> None:
    pool = _isolated(v.inputs, flat_terms(v.inputs["mmr"]))
    close(pool.liquidation_price("own", fee=exact(v.inputs["taker_fee"])), v.expected["liquidation_price"])


@kind("hyperliquid", "liq_price_isolated")
def reported_liquidation_price(v: Vector) -> None:
    given = v.inputs
    terms = flat_terms(1 / (2 * given["max_leverage"]))
    signed = micro(given["size"]) * (1 if given["side"] == "long" else -1)
    entry = exact(given["entry_price"])
    pool = Pool.of(micro(given["isolated_margin_usdc"]), [Held("own", signed, entry, terms, entry=entry)])
    # The note says how far the formula is from what the venue reported; that much, and a digit of its rounding.
    stated = re.search(r"rel error ([0-9.e+-]+\d)", v.note)
    tolerance = float(stated[1]) * 1.1 + 1e-11 if stated else 1e-8
    close(pool.liquidation_price("own"), v.expected["liquidation_price"], tolerance)


@kind("hyperliquid", "funding_example")
def funding_example(v: Vector) -> None:
    given, want = v.inputs, v.expected
    sides = [None if given[side] is None else float(given[side]) for side in ("impact_bid", "impact_ask")]
    premium = funding.premium(*sides, float(given["oracle"]))
    close(premium, want["premium"])
    rule = (premium, float(given["interest_8h"]), float(given["clamp"]))
    close(funding.clamped_interest(*rule), want["clamped_diff"])
    close(funding.rate(*rule), want["funding_rate_8h"])


@kind("hyperliquid", "funding_example_hourly_payment")
def hourly_payment(v: Vector) -> None:
    rate = funding.hourly(float(v.inputs["funding_rate_8h"]))
    close(-funding.fee(float(v.inputs["size"]), float(v.inputs["oracle"]), rate), v.expected["hourly_payment_usdc"])


@kind("hyperliquid", "funding_neutral", "funding_clamp")
def hourly_rate(v: Vector) -> None:
    # Clamp and cap as mechanics 2 has them where the vector does not say.
    clamp = float(v.inputs.get("clamp", "0.0005"))
    rate = funding.rate(float(v.inputs["premium_avg"]), float(v.inputs["interest_8h"]), clamp)
    close(rate, v.expected.get("funding_rate_8h") or v.expected["funding_rate_8h_before_cap"])
    close(funding.hourly(rate, 0.04), v.expected["funding_rate_1h"])


@kind("hyperliquid", "margin_tier_deduction")
def tier_deductions(v: Vector) -> None:
    asset = v.case.partition(": ")[2].partition("_")[0]
    tiers = profile.load("hyperliquid").terms(asset, None).tiers
    want = [
        (whole(row["lower_bound_usdc"]), float(row["maintenance_rate"]), whole(row["maintenance_deduction_usdc"]))
        for row in v.expected["rows"]
    ]
    lows = [0, *(whole_edge(tier.upto_micro) for tier in tiers[:-1])]
    assert [(low, t.maintenance, t.maintenance_deduction) for low, t in zip(lows, tiers, strict=True)] == want


@kind("hyperliquid", "tiered_maintenance")
def tiered_maintenance(v: Vector) -> None:
    terms = profile.load("hyperliquid").terms(v.inputs["market"], None)
    notional = whole(v.inputs["notional_usdc"])
    printed(Fraction(requirement.maintenance(terms, notional, notional), MICRO), v.expected["maintenance_margin_usdc"])


@kind("hyperliquid", "transfer_margin")
def transfer_margin(v: Vector) -> None:
    notional = whole(v.inputs["position_notional"])
    terms = Terms(0, (Tier(None, 0.0, 0, 0.0, 0),))
    asked = requirement.initial(terms, notional, notional, float(v.inputs["leverage"]))
    in_micro(asked, v.expected["initial_margin"])
    in_micro(requirement.transfer_requirement(asked, notional, 0.1), v.expected["transfer_margin_required"])


def staged() -> Law:
    return profile.load("hyperliquid").law()


@kind("hyperliquid", "partial_liquidation_20pct", "partial_liquidation_cooldown", "no_partial_small")
def staged_step(v: Vector) -> None:
    since = v.inputs.get("seconds_since_partial", 10 if v.inputs.get("cooldown_active") else None)
    notional = whole(v.inputs["position_notional"])
    got = liquidation_steps.share_step(notional, staged(), None if since is None else since * 1000)
    (want,) = v.expected.values()
    in_micro(got, want)


@kind("hyperliquid", "backstop_threshold")
def backstop(v: Vector) -> None:
    notional = whole(v.inputs["notional"])
    asked = requirement.maintenance(flat_terms(1 / (2 * v.inputs["max_leverage"])), notional, notional)
    in_micro(asked, v.expected["maintenance_margin"])
    printed(Fraction(liquidation_steps.backstop_level(asked, staged()), MICRO), v.expected["backstop_equity_below"])


@kind("hyperliquid", "adl_rank_index")
def adl_ranking(v: Vector) -> None:
    candidates = [
        adl.Candidate(
            a["id"], a["side"] == "long", *(float(a[key]) for key in ("mark", "entry", "notional", "account_value"))
        )
        for a in v.inputs["accounts"]
    ]
    assert [candidate.name for candidate in adl.ranked(candidates)] == v.expected["order"]
    for candidate in candidates:
        close(candidate.index, v.expected["index"][candidate.name])


@kind("hyperliquid", "mark_ema")
def mark_average(v: Vector) -> None:
    ema = Ema(v.inputs["ema_tau_s"])
    for step in v.inputs["steps"]:
        ema = ema.after(float(step["sample"]), step["dt"])
    assert ema.value is not None
    printed(ema.value, v.expected["ema_after"])
