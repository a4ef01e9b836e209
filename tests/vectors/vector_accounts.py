"""The accounts and markets that the venues' vectors speak of, built from the public parts of `backtest.venues`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from backtest.venues.margin_pool import Held, Pool
from backtest.venues.terms import CeilRates, Law, Terms, Tier
from tests.vectors.reading import MICRO, exact, micro, ppm, whole

PLENTY = 10**15
"""An insurance fund that is never the limit."""


def scaled_terms(imf: str, fraction_ppm: int, penalty: str = "0") -> Terms:
    """A market that rounds requirements up, with its maintenance as a share of its initial rate."""
    one = Tier(None, float(imf), 0, float(exact(imf) * fraction_ppm / MICRO), 0)
    return Terms(0, (one,), ceil=CeilRates(ppm(imf), ppm(imf), fraction_ppm), penalty=float(penalty))


def ceil_terms(imf: str, mmf: str, penalty: str = "0") -> Terms:
    """The same from both rates."""
    fraction = exact(mmf) / exact(imf) * MICRO
    assert fraction.denominator == 1
    return scaled_terms(imf, int(fraction), penalty)


def flat_terms(mmr: str | float, cum: str = "0") -> Terms:
    """One bracket: maintenance ``n × mmr − cum``."""
    return Terms(0, (Tier(None, 1.0, 0, float(mmr), whole(cum)),))


def held(market: str, size: str, price: str, terms: Terms) -> Held:
    return Held(market, micro(size), exact(price), terms)


def account(inputs: dict[str, Any], penalty: str = "0") -> Pool:
    """A subaccount: its balance and its positions at the oracle's prices."""
    positions = [
        held(p["market"], p["size"], p["oracle_price"], ceil_terms(p["imf"], p["mmf"], penalty))
        for p in inputs["positions"]
    ]
    return Pool(whole(inputs["usdc_balance"]), tuple(positions))


def party(side: dict[str, Any], prices: dict[str, str], mmf: str = "0.1", penalty: str = "0") -> Pool:
    """A subaccount given as ``{"usdc", "positions": {asset: size}}``."""
    terms = ceil_terms(mmf, mmf, penalty)
    return Pool(whole(side["usdc"]), tuple(held(a, size, prices[a], terms) for a, size in side["positions"].items()))


def size_of(pool: Pool, market: str) -> Fraction:
    """Signed size in base units, 0 for a position that is gone."""
    return sum((Fraction(h.units) / MICRO for h in pool.positions if h.symbol == market), start=Fraction(0))


def law(inputs: dict[str, Any]) -> Law:
    """The liquidation limits that an end-to-end vector gives, nothing where it gives none."""
    base = Law(bounded=True, portion=1.0)
    given = {
        "minimum_micro": whole(inputs.get("min_position_notional", "0")),
        "portion": float(inputs.get("max_position_portion", "1")),
        "cap_micro": _optional(inputs.get("subaccount_max_notional_per_block")),
        "fund_cap_micro": _optional(inputs.get("max_insurance_lost_per_block")),
    }
    return replace(base, **given)


def _optional(text: str | None) -> int | None:
    return None if text is None else whole(text)
