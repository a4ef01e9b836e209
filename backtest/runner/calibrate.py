"""`calibrate`: fit spread and impact to what was measured on trades or on a book. Formulas: docs/reference/costs.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import UserError, nearest
from backtest.core.times import stamp
from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.engine import layout as at
from backtest.runner.cost_inputs import HALF, bars
from backtest.runner.measured_costs import KINDS, Curve, measure
from backtest.runner.slippage_settings import MOST_EXPONENT
from backtest.venues.slippage_models import BPS

Floats = NDArray[np.float64]
ROUNDS = 100
"""Of the search for the exponent, each of which leaves two thirds of the bracket."""


@dataclass(frozen=True)
class Law:
    """``impact = Y × σ × (Q/V)^δ``; without σ and V ``Y × (Q / 1,000,000)^δ``, a rate."""

    y: float
    exponent: float
    worst: float
    """Largest error of spread and impact together, a share of what was measured; and the mean of them."""
    mean: float


@dataclass(frozen=True)
class Scale:
    """Daily σ and turnover at the time of the measurement, and the half spread by each estimator from candles.

    Where it took longer than an hour they are medians of it.
    """

    symbol: str
    sigma: float
    turnover: float
    halves: dict[str, float]


@dataclass(frozen=True)
class Calibration:
    """What was measured for a symbol, or for all together, and the laws that fit it."""

    curve: Curve
    fitted: NDArray[np.bool_]
    """Which points the laws were fitted to: those whose impact is above half the spread."""
    free: Law
    root: Law
    """With an exponent of one half."""
    scale: Scale | None

    @property
    def text(self) -> str:
        """The flags that give a run this cost; without σ and V only the spread."""
        spread = f"--slippage half-spread={self.curve.half * BPS:.4g}"
        return f"{spread} {_flag(self.free)}" if self.scale else spread

    def cost(self, law: Law) -> Floats:
        """What the law says that each point costs, a rate."""
        x, unit = _scaled(self.curve, self.scale)
        return self.curve.half + unit * law.y * x**law.exponent


@dataclass(frozen=True)
class Together:
    """One law for several symbols, which is what a run of them all can be given."""

    free: Law
    root: Law

    @property
    def text(self) -> str:
        """The flag that gives a run this impact."""
        return _flag(self.free)


def _flag(law: Law) -> str:
    return f"--slippage impact={law.y:.4g}:{law.exponent:.3g}"


def calibrate(
    path: str | Path, kind: str, candles: str | Path | None = None
) -> tuple[list[Calibration], Together | None]:
    """A calibration for each symbol of a file of ``kind`` (trades, book), and one for all where there are several.

    ``candles``: a dataset that has σ and turnover of the time of the measurement; without it the law is of quote alone.
    The law is the one whose largest error, in logs of the impact, is the smallest: each size counts alike. UserError
    for a file that is not of the kind, one with too few sizes, and candles that do not reach it.
    """
    if kind not in KINDS:
        raise UserError(f"unknown kind {kind!r}", "--kind", nearest(kind, KINDS))
    curves = measure(Path(path), kind)
    catalog = Catalog.open(candles) if candles is not None else None
    found = [_calibrated(Path(path), curve, _scale(catalog, curve) if catalog else None) for curve in curves]
    if catalog is None or len(found) < 2:
        return found, None
    parts = [(*_scaled(one.curve, one.scale), one.curve, one.fitted) for one in found]
    x, unit, half, cost = (
        np.concatenate(columns)
        for columns in zip(
            *(
                (x[k], np.full(k.sum(), unit), np.full(k.sum(), curve.half), curve.cost[k])
                for x, unit, curve, k in parts
            ),
            strict=True,
        )
    )
    return found, Together(_law(x, unit, half, cost), _law(x, unit, half, cost, 0.5))


def _calibrated(path: Path, curve: Curve, scale: Scale | None) -> Calibration:
    x, unit = _scaled(curve, scale)
    fitted = curve.cost > 2 * curve.half
    if fitted.sum() < 2:
        fitted = curve.cost > curve.half
    if fitted.sum() < 2:
        thing = f"{curve.symbol}: {int(fitted.sum())} sizes cost more than half the spread"
        raise UserError(thing, str(path), "an impact needs two or more, measure larger ones")
    given = x[fitted], np.full(int(fitted.sum()), unit), np.full(int(fitted.sum()), curve.half), curve.cost[fitted]
    return Calibration(curve, fitted, _law(*given), _law(*given, 0.5), scale)


def _scaled(curve: Curve, scale: Scale | None) -> tuple[Floats, float]:
    """Sizes in the law's unit, and what the law is multiplied with: Q/V and σ."""
    return (curve.size / 1e6, 1.0) if scale is None else (curve.size / scale.turnover, scale.sigma)


def _law(x: Floats, unit: Floats, half: Floats, cost: Floats, exponent: float | None = None) -> Law:
    """The power law of least largest error in logs; for a given exponent the factor alone is sought."""
    sizes, impacts = np.log(x), np.log((cost - half) / unit)
    delta = _steepness(sizes, impacts) if exponent is None else exponent
    left = impacts - delta * sizes
    y = float(np.exp((left.max() + left.min()) / 2))
    errors = np.abs((half + unit * y * x**delta) / cost - 1)
    return Law(y, delta, float(errors.max()), float(errors.mean()))


def _steepness(sizes: Floats, impacts: Floats) -> float:
    """The slope of the line that stays nearest to all points: what it leaves is convex in the slope."""
    low, high = 0.0, MOST_EXPONENT
    for _ in range(ROUNDS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if np.ptp(impacts - left * sizes) < np.ptp(impacts - right * sizes):
            high = right
        else:
            low = left
    return float((low + high) / 2)


def _scale(catalog: Catalog, curve: Curve) -> Scale:
    symbol = _named(curve.symbol, catalog.symbols, catalog.address)
    interval = catalog.interval_ms
    start, end = (ms // interval * interval for ms in curve.span)
    selection = select(catalog, (symbol,), start, end + interval)
    known = bars(selection, True, True, None)[:, 0]
    if np.isnan(known[:, at.SIGMA]).all() or np.isnan(known[:, at.TURNOVER]).all():
        thing = f"{symbol} has less than a day of candles before {stamp(curve.span[0])}"
        raise UserError(thing, catalog.address, "give candles that begin earlier")
    sigma, turnover = (float(np.nanmedian(known[:, column])) for column in (at.SIGMA, at.TURNOVER))
    halves = {name: bars(selection, False, False, name)[:, 0, at.HALF_SPREAD] for name in HALF}
    shown = {name: float(np.nanmedian(half)) for name, half in halves.items() if not np.isnan(half).all()}
    return Scale(symbol, sigma, turnover, shown)


def _named(symbol: str, known: Sequence[str], place: str) -> str:
    """The symbol of a dataset that has the same letters, or is the only one that begins with them, or they with it."""
    plain = {name: "".join(filter(str.isalnum, name)).upper() for name in (*known, symbol)}
    if symbol in known:
        return symbol
    same = [name for name in known if plain[name] == plain[symbol]]
    alike = [name for name in known if plain[name].startswith(plain[symbol]) or plain[symbol].startswith(plain[name])]
    for found in (same, alike):
        if len(found) == 1:
            return found[0]
    raise UserError(f"no candles of {symbol}", place, nearest(symbol, known))
