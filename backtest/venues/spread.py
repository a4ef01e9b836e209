"""The spread between bid and ask, estimated from prices alone. Source: docs/reference/costs.md.

Spreads are shares of the price: 0.0002 is two basis points from bid to ask, so half of it is one side's. Each function
works over the last axis of its arrays (candles in order of time, NaN where it is missing) and gives one value for each
of the rest, so a view of rolling windows gives a rolling estimate. NaN: too few candles to say. A market that never
closes has no overnight move to take out, which the estimators of stocks do first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROOT = 3 - 2 * np.sqrt(2.0)


def _mean(values: Floats) -> Floats:
    """Over the last axis, of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0.0).sum(axis=-1) / known.sum(axis=-1)
    return mean


def corwin_schultz_pairs(high: Any, low: Any) -> tuple[Floats, Floats]:
    """α and the spread of every two candles that follow each other, as it comes, below zero too.

    ``β = ln²(H₁/L₁) + ln²(H₂/L₂)``, ``γ = ln²(max H / min L)``, ``α = (√2β − √β)/(3 − 2√2) − √(γ/(3 − 2√2))``,
    ``S = 2(e^α − 1)/(1 + e^α)``. Corwin and Schultz, Journal of Finance 67 (2012) 719-760.
    """
    high, low = np.log(np.asarray(high, float)), np.log(np.asarray(low, float))
    each = np.square(high - low)
    beta = each[..., 1:] + each[..., :-1]
    gamma = np.square(np.maximum(high[..., 1:], high[..., :-1]) - np.minimum(low[..., 1:], low[..., :-1]))
    alpha: Floats = (np.sqrt(2 * beta) - np.sqrt(beta)) / _ROOT - np.sqrt(gamma / _ROOT)
    return alpha, 2 * np.tanh(alpha / 2)  # 2(e^α − 1)/(1 + e^α)


def corwin_schultz(high: Any, low: Any) -> Floats:
    """Mean of the pairs' spreads, those below zero taken as zero, as their authors do."""
    _, spread = corwin_schultz_pairs(high, low)
    return _mean(np.maximum(spread, 0.0))  # NaN stays NaN


def abdi_ranaldo_moment(high: Any, low: Any, close: Any) -> Floats:
    """Mean of ``4 (c_t − η_t)(c_t − η_{t+1})``, c the log of the close and η the middle of the logs of the range."""
    middle = (np.log(np.asarray(high, float)) + np.log(np.asarray(low, float))) / 2
    closes = np.log(np.asarray(close, float))[..., :-1]
    return _mean(4 * (closes - middle[..., :-1]) * (closes - middle[..., 1:]))


def abdi_ranaldo(high: Any, low: Any, close: Any) -> Floats:
    """``√max(0, mean of 4 (c_t − η_t)(c_t − η_{t+1}))``: a close lies half a spread off its range's middle.

    Abdi and Ranaldo, Review of Financial Studies 30 (2017) 4437-4480; the mean is floored, not each pair.
    """
    root: Floats = np.sqrt(np.maximum(abdi_ranaldo_moment(high, low, close), 0.0))
    return root


def roll_covariance(prices: Any) -> Floats:
    """Covariance of a log return with the one after it: over the pairs, about the mean of all returns."""
    returns = np.diff(np.log(np.asarray(prices, float)), axis=-1)
    centred = returns - _mean(returns)[..., None]
    return _mean(centred[..., 1:] * centred[..., :-1])


def roll(prices: Any) -> Floats:
    """``2 √max(0, −cov(r_t, r_{t−1}))`` of trades' prices, which bounce from side to side.

    Roll, Journal of Finance 39 (1984) 1127-1139.
    """
    root: Floats = 2 * np.sqrt(np.maximum(-roll_covariance(prices), 0.0))
    return root


def edge(open: Any, high: Any, low: Any, close: Any) -> Floats:  # noqa: A002  the field's names
    """The estimator that weighs what open, high, low and close tell by their variance; below zero taken as zero.

    In logs, with ``m`` the middle of the range, a prime for the candle before, ``τ = 0`` where a candle has not moved
    from c′ and else 1, and ``p`` the chance that an open (a close) is no extreme of its candle, counted as the mean of
    ``τ[o≠h] + τ[o≠l]`` (``τ[c′≠h′] + τ[c′≠l′]``):

        x₁ = −4/p_o × (m − o)~ (o − m′) − 4/p_c × (m − c′)~ (c′ − m′)
        x₂ = −4/p_o × (m − o)~ (o − c′) − 4/p_c × (o − c′)~ (c′ − m′)

    where ``r~ = r − τ × mean(r)/mean(τ)`` takes the drift out. ``S² = (V₂ × mean x₁ + V₁ × mean x₂)/(V₁ + V₂)`` with V
    the variances. Ardia, Guidotti and Kroencke, Journal of Financial Economics 161 (2024) 103916.
    """
    o, h, low_now, c = (np.log(np.asarray(prices, float)) for prices in (open, high, low, close))
    h_before, low_before, c_before = h[..., :-1], low_now[..., :-1], c[..., :-1]
    o, h, low_now = o[..., 1:], h[..., 1:], low_now[..., 1:]
    m, m_before = (h + low_now) / 2, (h_before + low_before) / 2
    known = ~np.isnan(o + m + m_before + c_before)
    moved = np.where(known, (h != low_now) | (low_now != c_before), np.nan)
    trading = _mean(moved)[..., None]
    inside_open = _mean(moved * ((o != h) * 1.0 + (o != low_now)))[..., None]
    inside_close = _mean(moved * ((c_before != h_before) * 1.0 + (c_before != low_before)))[..., None]

    def centred(r: Floats) -> Floats:
        return r - moved * _mean(np.where(known, r, np.nan))[..., None] / trading

    with np.errstate(divide="ignore", invalid="ignore"):
        from_open, from_close = -4 / inside_open, -4 / inside_close
        by_open, across, by_close = centred(m - o), centred(o - c_before), centred(m - c_before)
        first = from_open * by_open * (o - m_before) + from_close * by_close * (c_before - m_before)
        second = from_open * by_open * (o - c_before) + from_close * across * (c_before - m_before)
        return np.sqrt(np.maximum(_weighed(first, second), 0.0))


def _weighed(first: Floats, second: Floats) -> Floats:
    """Mean of two samples, each weighed by the other's variance; NaN where one is not finite."""
    means = _mean(first), _mean(second)
    spread_1, spread_2 = (_mean(x * x) - mean * mean for x, mean in zip((first, second), means, strict=True))
    both = spread_1 + spread_2
    weighed = np.where(both > 0, (spread_2 * means[0] + spread_1 * means[1]) / both, (means[0] + means[1]) / 2)
    return np.where(np.isfinite(weighed), weighed, np.nan)
