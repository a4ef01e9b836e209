"""Models of cost as pure functions: numbers by hand, estimators of the spread on markets whose spread is known."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from backtest.engine import layout as at
from backtest.engine.cost import taker_rates
from backtest.engine.machine import entry
from backtest.engine.tier import INTERPRETED, asked
from backtest.engine.world import World
from backtest.venues import slippage_models, spread
from tests import small_market
from tests.rules_index import rule
from tests.vectors import reading as vectors
from tests.vectors.vector_kinds import KNOWN, kind_of

pytestmark = rule("orders 7")

MODELS = [v for v in vectors.read() if v.venue == "slippage_models"] if vectors.FOLDER.is_dir() else []
HOUR = 3_600_000


@pytest.mark.skipif(not MODELS, reason="no vectors: set BACKTEST_VECTORS to their folder")
def test_every_vector_of_the_models() -> None:
    """Those from memory too, which `test_venue_vectors` computes and does not assert."""
    from tests.vectors import vectors_by_size  # noqa: F401  importing it makes its kinds known

    for vector in MODELS:
        name = kind_of(vector)
        assert name is not None
        KNOWN[name](vector)
    assert len(MODELS) == 12


class TestRates:
    def test_simple_ones(self) -> None:
        assert slippage_models.fixed(1.5) == 0.00015
        assert slippage_models.half_spread(0.0002) == 0.0001
        assert slippage_models.stressed(3, 0.0001, 0.0002) == pytest.approx(0.0009)

    def test_power_law(self) -> None:
        # 0.8 × 3 % × √(1 M / 100 M) = 0.024 × 0.1 = 24 bps; with δ = 1: 0.024 × 0.01 = 2.4 bps
        assert slippage_models.power_law(0.8, 0.03, 1e6, 1e8) == pytest.approx(0.0024)
        assert slippage_models.power_law(0.8, 0.03, 1e6, 1e8, 1.0) == pytest.approx(0.00024)
        assert slippage_models.power_law(1, 0.03, 1e6, 1e9) == slippage_models.square_root(1, 0.03, 1e6, 1e9)
        assert slippage_models.power_law(0.8, math.nan, 1e6, 1e8) == slippage_models.power_law(0.8, 0.03, 1e6, 0) == 0

    def test_volume_impact(self) -> None:
        assert slippage_models.volume_impact(0.1, 5, 200) == pytest.approx(0.1 * 0.025**2)
        assert slippage_models.volume_impact(0.1, 5, 0) == slippage_models.volume_impact(0.1, 5, math.nan) == 0

    def test_adverse_move(self) -> None:
        # a quarter of a day: half of σ
        assert slippage_models.adverse_move(0.5, 0.04, 6 * HOUR) == pytest.approx(0.5 * 0.04 * 0.5)


BOOK = [(0.001, 1e6), (0.002, 3e6), (0.005, 6e6)]
"""A million within 10 bps, two more to 20, three more to 50."""


@pytest.mark.parametrize(
    ("quote", "cost"),
    [
        (5e5, 0.00025),  # half way through the first band: from 0 to 5 bps, 2.5 on average
        (1e6, 0.0005),
        (2e6, (1e6 * 0.0005 + 1e6 * 0.00125) / 2e6),  # then from 10 to 15 bps
        (6e6, (1e6 * 0.0005 + 2e6 * 0.0015 + 3e6 * 0.0035) / 6e6),
        (9e6, (1e6 * 0.0005 + 2e6 * 0.0015 + 6e6 * 0.005) / 9e6),  # as dense beyond: from 20 to 80 bps
    ],
)
def test_depth_walk(quote: float, cost: float) -> None:
    assert slippage_models.depth_walk(BOOK, quote) == pytest.approx(cost, rel=1e-14)


def test_depth_walk_over_stretches_without_depth() -> None:
    # nothing within 5 bps, a million to 10, nothing to 20: half a million costs 6.25 bps; two millions 10, from 5 to 15
    book = [(0.0005, 0.0), (0.001, 1e6), (0.002, 1e6)]
    assert slippage_models.depth_walk(book, 5e5) == pytest.approx(0.000625)
    assert slippage_models.depth_walk(book, 2e6) == pytest.approx(0.001)
    assert slippage_models.depth_walk(BOOK, 0.0) == 0


@given(st.floats(1.0, 1e9), st.floats(1e3, 1e9), st.floats(1e-5, 0.5))
def test_one_band_is_the_linear_model(quote: float, depth: float, within: float) -> None:
    half = slippage_models.linear_depth(quote, depth, within) / 2
    assert slippage_models.depth_walk([(within, depth)], quote) == pytest.approx(half, rel=1e-12)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 1000)), min_size=1, max_size=6), st.integers(1, 20_000))
def test_depth_walk_is_the_integral(bands: list[tuple[int, int]], quantity: int) -> None:
    """Against exact fractions, one unit of quote at a time in the middle of its place."""
    distances = np.cumsum([width for width, _ in bands])
    quotes = np.cumsum([quote for _, quote in bands])
    if not quotes[-1]:
        return
    levels = [(float(d), float(q)) for d, q in zip(distances, quotes, strict=True)]
    paid, near, within, edges = Fraction(0), 0, 0, []
    for d, q in zip(distances.tolist(), quotes.tolist(), strict=True):
        if q > within:
            edges.append((near, within, Fraction(d - near, q - within)))
        near, within = d, q
    for n, (start, behind, slope) in enumerate(edges):
        end = edges[n + 1][1] if n + 1 < len(edges) else quantity
        first, last = min(behind, quantity), min(max(end, behind), quantity)
        # ∫ (start + slope (x − behind)) dx
        paid += (last - first) * start + slope * Fraction((last - behind) ** 2 - (first - behind) ** 2, 2)
    assert slippage_models.depth_walk(levels, float(quantity)) == pytest.approx(float(paid / quantity), rel=1e-9)


def market(true: float, candles: int, seed: int = 3, prints: int = 200) -> tuple[np.ndarray, ...]:
    """Open, high, low, close of trades that bounce around a random walk of 2 % a candle."""
    rng = np.random.default_rng(seed)
    middle = np.exp(np.cumsum(rng.normal(0, 0.02 / np.sqrt(prints), candles * prints)))
    trades = (100 * middle * (1 + true / 2 * rng.choice([-1, 1], candles * prints))).reshape(candles, prints)
    return trades[:, 0], trades.max(1), trades.min(1), trades[:, -1]


class TestEstimators:
    @pytest.mark.parametrize("true", [0.01, 0.03])
    def test_a_wide_spread_is_found(self, true: float) -> None:
        o, h, low, c = market(true, 4_000)
        assert float(spread.edge(o, h, low, c)) == pytest.approx(true, rel=0.06)
        assert float(spread.abdi_ranaldo(h, low, c)) == pytest.approx(true, rel=0.15)
        # The range of a volatile candle is mostly its moves: the estimate tells a wide spread from none, and no more.
        assert 0.5 * true < float(spread.corwin_schultz(h, low)) < 1.5 * true

    def test_edge_agrees_with_its_authors(self) -> None:
        """Against bidask 2.1.0, theirs, on 60 candles of sines; one of them stands still, one opens at its low."""
        o, h, low, c = sines()
        assert float(spread.edge(o, h, low, c)) == pytest.approx(EDGE_BY_ITS_AUTHORS, rel=1e-10)

    def test_without_a_spread_no_more_than_noise(self) -> None:
        o, h, low, c = market(0.0, 4_000)
        assert float(spread.edge(o, h, low, c)) < 0.002
        assert float(spread.abdi_ranaldo(h, low, c)) < 0.005

    @pytest.mark.parametrize(
        "estimate",
        [
            lambda o, h, low, c: spread.corwin_schultz(h, low),
            lambda o, h, low, c: spread.abdi_ranaldo(h, low, c),
            spread.edge,
        ],
    )
    def test_windows_and_gaps(self, estimate: Any) -> None:
        """Over windows: each as if alone. A gap takes out its candle and the pairs with it, not the window."""
        candles = market(0.02, 100)
        views = [sliding_window_view(column, 40) for column in candles]
        rolled = estimate(*views)
        for n in (0, 17, 60):
            assert rolled[n] == pytest.approx(float(estimate(*(column[n : n + 40] for column in candles))), rel=1e-12)
        holed = [np.where(np.isin(np.arange(100), (0, 1, 30)), np.nan, column) for column in candles]
        assert np.isfinite(estimate(*holed))
        led = [np.append([np.nan] * 7, column) for column in candles]
        assert float(estimate(*led)) == pytest.approx(float(estimate(*candles)), rel=1e-12)
        nothing = [np.full(40, np.nan)] * 4
        assert np.isnan(estimate(*nothing))

    def test_a_market_that_stands_still(self) -> None:
        flat = np.full(30, 100.0)
        assert spread.corwin_schultz(flat, flat) == spread.abdi_ranaldo(flat, flat, flat) == 0
        assert np.isnan(spread.edge(flat, flat, flat, flat))


def sines() -> tuple[np.ndarray, ...]:
    t = np.arange(600)
    trades = 100 + np.sin(t / 7) + 0.7 * np.sin(t * 1.3) + 0.2 * np.sin(t * 0.03) + np.where(t % 3 == 0, 0.5, -0.5)
    trades = trades.reshape(60, 10)
    trades[20] = trades[19, -1]
    trades[33, 0] = trades[33].min()
    return trades[:, 0], trades.max(1), trades.min(1), trades[:, -1]


EDGE_BY_ITS_AUTHORS = 0.012696837545788495


def tables(seed: int = 5) -> World:
    """Two symbols: 40 bars, the first not known; three snapshots, one of which has a level less."""
    rng = np.random.default_rng(seed)
    bars = rng.uniform(0.5, 1.5, (40, 2, at.BAR_WIDTH)) * [0.03, 1e9, 0.0004]
    bars[0] = np.nan
    book = [part for pair in BOOK for part in pair]
    depth = np.array([[[k * 10 * HOUR + HOUR, *book] for k in range(3)] + [[np.inf] + [np.nan] * 6]] * 2)
    depth[1, 1, 5:] = np.nan
    run = np.zeros(at.RUN_WIDTH)
    run[[at.STRESS, at.SLIPPAGE, at.DRIFT, at.IMPACT_FACTOR, at.IMPACT_EXPONENT]] = 1.5, 0.0001, 0.02, 0.8, 0.6
    return World(bars=bars, depth=depth, run=run)


def rates(model: int, i: int, notional: float, ts_ms: int, volume: float = 40.0) -> tuple[float, ...]:
    w = tables()
    w.run[at.IMPACT] = model
    return tuple(float(rate) for rate in taker_rates(w, i, 3.0, notional, volume, ts_ms))


class TestKernel:
    def test_each_model_is_its_function(self) -> None:
        bars = tables().bars
        sigma, turnover, half = bars[7, 1]
        now = 7 * HOUR + 5
        wanted = {
            at.NO_IMPACT: 0.0,
            at.BY_POWER: slippage_models.power_law(0.8, sigma, 2e6, turnover, 0.6),
            at.BY_VOLUME: slippage_models.volume_impact(0.8, 3.0, 40.0),
            at.BY_DEPTH: slippage_models.depth_walk(BOOK, 2e6),
        }
        for model, impact in wanted.items():
            assert rates(model, 1, 2e6, now) == (1.5 * (0.0001 + half), 1.5 * impact, 0.02 * sigma)

    def test_the_bar_is_the_one_of_the_hour(self) -> None:
        bars = tables().bars
        assert rates(0, 0, 1.0, 7 * HOUR - 1)[2] == 0.02 * bars[6, 0, at.SIGMA]
        assert rates(0, 0, 1.0, 7 * HOUR)[2] == 0.02 * bars[7, 0, at.SIGMA]
        assert rates(0, 0, 1.0, 400 * HOUR)[2] == 0.02 * bars[39, 0, at.SIGMA]

    def test_what_is_not_known_costs_nothing(self) -> None:
        assert rates(at.BY_POWER, 0, 1e6, 5) == (1.5 * 0.0001, 0.0, 0.0)
        for volume in (0.0, math.nan):
            assert rates(at.BY_VOLUME, 0, 1e6, 9 * HOUR, volume=volume)[1] == 0
        assert rates(at.BY_DEPTH, 0, 1e6, HOUR - 1)[1] == 0

    def test_the_latest_snapshot_counts(self) -> None:
        short = [pair for pair in BOOK if pair != BOOK[-1]]
        for hour, book in ((1, BOOK), (10, BOOK), (11, short), (20, short), (21, BOOK), (900, BOOK)):
            impact = rates(at.BY_DEPTH, 1, 9e6, hour * HOUR)[1]
            assert impact == 1.5 * slippage_models.depth_walk(book, 9e6), hour

    def test_compiled_and_interpreted_are_the_same_bytes(self) -> None:
        here = many()
        code = "from tests.unit.test_costs_models import many; print(many())"
        environment = {**small_market.environment(), "NUMBA_DISABLE_JIT": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == here


def many() -> str:
    """Rates of a thousand fills, every bit of them."""
    w, rate = tables(8), taker_rates if asked() == INTERPRETED else entry(taker_rates)
    rng = np.random.default_rng(9)
    found = []
    for n in range(1_000):
        w.run[at.IMPACT], w.run[at.IMPACT_EXPONENT] = n % 4, 0.4 + 0.001 * n
        base, notional, hours = rng.uniform(0, 60), rng.lognormal(13, 3), rng.uniform(0, 45)
        found += rate(w, n % 2, float(base), float(notional), 40.0, int(hours * HOUR))
    return " ".join(float(rate).hex() for rate in found)
