"""Risk weights that widen with realised volatility, by hand."""

from __future__ import annotations

import pytest

from backtest.venues import profile, risk_weights
from backtest.venues.terms import BySize, CeilRates, Terms, Tier
from tests.unit.test_venue_profile import HEAD

DAY = 86_400_000


def test_weights_use_only_the_closes_before() -> None:
    """Two returns: 0.1 and -0.1 (logs). Their sample deviation is sqrt((0.01 + 0.01) / 1) = 0.1414213562; a year of
    365 days makes it x 19.1049731745 = 2.7018512; over a reference of 2 the weight is 1.350926. The last two returns,
    -0.1 and -0.1, have no deviation: 1."""
    rule = risk_weights.Widening(window_days=2, reference=2.0, most=3.0)
    e = 2.718281828459045
    closes = [1.0, e**0.1, 1.0, e**-0.1, 1e9]
    days = [n * DAY for n in range(5)]
    assert [w for _, w in risk_weights.weights(rule, days, closes)] == [1.0, 1.0, 1.0, 1.350926, 1.0]
    assert [w for _, w in risk_weights.weights(rule, days, [*closes[:4], 5.0])] == [1.0, 1.0, 1.0, 1.350926, 1.0]
    capped = risk_weights.Widening(window_days=2, reference=0.1, most=3.0)
    assert risk_weights.weights(capped, days, closes)[3] == (3 * DAY, 3.0)


def test_widened_terms() -> None:
    """Weight 1.5 on rates 0.1 / 0.05 up to 1,000 and 0.8 / 0.4: 0.15 / 0.075 and, at most 1, 1.0 / 0.6.
    Deductions anew: 1,000 x (1 - 0.15) = 850 and 1,000 x (0.6 - 0.075) = 525."""
    one = Terms(10 * DAY, (Tier(1_000_000_000, 0.1, 0, 0.05, 0), Tier(None, 0.8, 700_000_000, 0.4, 350_000_000)))
    wide = risk_weights.widened((one,), [(8 * DAY, 1.0), (12 * DAY, 1.5), (13 * DAY, 1.5), (14 * DAY, 1.0)])
    assert [t.from_ms // DAY for t in wide] == [8, 12, 14]
    assert [t.tiers for t in (wide[0], wide[2])] == [one.tiers] * 2
    low, high = wide[1].tiers
    assert (low.initial, low.maintenance, high.initial, high.maintenance) == pytest.approx((0.15, 0.075, 1.0, 0.6))
    assert (high.initial_deduction, high.maintenance_deduction) == (850_000_000, 525_000_000)
    # 20,000 ppm x 1.1 is 22,000, not one more for the double next to 1.1; 20,001 x 1.1 = 22,001.1 is rounded up.
    ceil = Terms(0, (Tier(None, 0.1, -10, 0.05, -10),), BySize(linear=0.1), ceil=CeilRates(20_001, 20_000, 600_000))
    grown = risk_weights.widened((ceil,), [(5, 1.1)])[1]
    assert grown.ceil == CeilRates(22_002, 22_000, 600_000)
    assert grown.initial_by_size is not None
    assert grown.initial_by_size.linear == pytest.approx(0.11)
    assert grown.tiers[0].initial_deduction == -11


def test_a_profile_may_widen() -> None:
    mine = profile.from_text(HEAD + "[volatility]\nwindow_days = 30\nreference = 0.8\nmost = 2.5\n")
    assert mine.widening() == risk_weights.Widening(30, 0.8, 2.5)
    assert profile.from_text(HEAD).widening() is None
