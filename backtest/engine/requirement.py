"""What a position needs by its own: tiers, rates by size, rounding up (rules.md section 6.1). Money in micro."""

from __future__ import annotations

import math

from backtest.engine.compile import inlined, kernel
from backtest.engine.layout import (
    BASE_INITIAL,
    BASE_MAINTENANCE,
    BASE_PPM,
    BASELINE,
    BY_SIZE_INITIAL,
    BY_SIZE_MAINTENANCE,
    CEIL,
    FRACTION_PPM,
    GROWTH,
    INCREMENT,
    INITIAL,
    INITIAL_LESS,
    INITIAL_PPM,
    INV_LEVERAGE,
    LINEAR,
    MAINTENANCE,
    MAINTENANCE_LESS,
    ROOT,
    SHARE,
    SIZED,
    SPEC_TIERS,
    STEP,
    TIER_WIDTH,
    Floats,
)
from backtest.engine.money import millionths_up, share


@kernel
def by_tiers(spec: Floats, i: int, n: int, rate_at: int, less_at: int) -> int:
    """Largest over the tiers of `share(n, rate) − deduction`, at least 0, for a notional `n ≥ 0`.

    Rates rise from tier to tier and the pieces meet at the edges, so the largest is the tier's own.
    """
    best = 0
    for at in range(SPEC_TIERS, spec.shape[1], TIER_WIDTH):
        need = share(n, spec[i, at + rate_at]) - int(spec[i, at + less_at])
        if need > best:
            best = need
    return best


@inlined
def tier_need(spec: Floats, i: int, notional: float, rate_at: int, less_at: int) -> float:
    """`by_tiers` in doubles, for curves and bounds."""
    need = 0.0
    for at in range(SPEC_TIERS, spec.shape[1], TIER_WIDTH):
        need = max(need, notional * spec[i, at + rate_at] - spec[i, at + less_at])
    return need


@inlined
def initial_need(spec: Floats, i: int, notional: float) -> float:
    """`initial` in doubles, for the size that is held."""
    return max(tier_need(spec, i, notional, INITIAL, INITIAL_LESS), notional * spec[i, INV_LEVERAGE])


@kernel
def rate_by_size(spec: Floats, i: int, base: float, rule: int, lots: int) -> float:
    """`max(r, share·r + linear·s + root·√s + step·⌈max(0, s − baseline) / increment⌉)` for `lots ≥ 0`.

    `rule` is the column at which the rule's numbers begin.
    """
    size = float(lots) * spec[i, STEP] / 1e6
    # counted in whole micro-units: (0.4 − 0.1) / 0.1 is more than three in doubles
    above, increment = lots * int(spec[i, STEP]) - int(spec[i, rule + BASELINE]), int(spec[i, rule + INCREMENT])
    steps = max(0, (above + increment - 1) // increment)
    grown = spec[i, rule + SHARE] * base + spec[i, rule + LINEAR] * size + spec[i, rule + ROOT] * math.sqrt(size)
    return max(base, grown + spec[i, rule + GROWTH] * float(steps))


@kernel
def fit_to_size(spec: Floats, i: int, lots: int) -> None:
    """Put the rates that hold for a position of `lots` into the one tier of a symbol whose rates go by size (SIZED)."""
    spec[i, SPEC_TIERS + INITIAL] = rate_by_size(spec, i, spec[i, BASE_INITIAL], BY_SIZE_INITIAL, abs(lots))
    spec[i, SPEC_TIERS + MAINTENANCE] = rate_by_size(spec, i, spec[i, BASE_MAINTENANCE], BY_SIZE_MAINTENANCE, abs(lots))


@kernel
def maintenance(spec: Floats, i: int, n: int) -> int:
    """Own maintenance margin of a notional `n ≥ 0` of symbol `i`, at the size that is held."""
    if spec[i, CEIL] != 0.0:
        return millionths_up(millionths_up(n, int(spec[i, BASE_PPM])), int(spec[i, FRACTION_PPM]))
    return by_tiers(spec, i, n, MAINTENANCE, MAINTENANCE_LESS)


@kernel
def initial(spec: Floats, i: int, n: int, lots: int) -> int:
    """Own initial margin of a notional `n ≥ 0`, a position of `lots ≥ 0`: the venue's, and at least `n / leverage`."""
    by_leverage = share(n, spec[i, INV_LEVERAGE])
    if spec[i, CEIL] != 0.0:
        return max(millionths_up(n, int(spec[i, INITIAL_PPM])), by_leverage)
    if spec[i, SIZED] != 0.0:
        rate = rate_by_size(spec, i, spec[i, BASE_INITIAL], BY_SIZE_INITIAL, lots)
        return max(0, share(n, rate) - int(spec[i, SPEC_TIERS + INITIAL_LESS]), by_leverage)
    return max(by_tiers(spec, i, n, INITIAL, INITIAL_LESS), by_leverage)
