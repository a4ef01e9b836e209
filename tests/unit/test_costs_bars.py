"""σ, turnover and half a spread by the hour: against plain loops, and only of what had closed by then."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.runner.cost_inputs import HALF, bars
from backtest.venues import spread
from tests.unit import feed_datasets as small
from tests.unit.feed_datasets import HOUR, MIN, T0, Row

DAY = 24 * HOUR


def walk(rows: int, seed: int = 1, skipped: tuple[int, ...] = (), start: int = 0) -> list[Row]:
    """Trades around a random walk of 1 % a candle, half a per cent to either side of it; some candles are missing."""
    rng = np.random.default_rng(seed)
    middle = 100 * np.exp(np.cumsum(rng.normal(0, 0.01 / np.sqrt(20), rows * 20)))
    trades = (middle * (1 + 0.005 * rng.choice([-1, 1], rows * 20))).reshape(rows, 20)
    prices = (trades[:, 0], trades.max(1), trades.min(1), trades[:, -1])
    candles = zip(*prices, rng.uniform(5, 50, rows), strict=True)
    return [(start + k, *map(float, c)) for k, c in enumerate(candles) if k not in skipped]


def dataset(folder: Path, rows: dict[str, list[Row]], interval: int = HOUR) -> Catalog:
    for symbol, its in rows.items():
        small.candles(folder, symbol, its, interval)
    return Catalog.open(folder)


def everything(selection: Selection, estimator: str = "edge") -> np.ndarray:
    return bars(selection, True, True, estimator)


def by_hand(rows: list[Row], before: int) -> tuple[float, float]:
    """σ of a day and turnover of a day from the hourly candles of the 720 hours before hour ``before``."""
    known = {int(row[0]): row for row in rows if before - 721 <= row[0] < before}
    returns = [math.log(row[4] / known[k - 1][4]) for k, row in known.items() if k - 1 in known]
    traded = [row[4] * row[5] for k, row in known.items() if k >= before - 720]
    mean = sum(returns) / len(returns)
    sigma = math.sqrt(sum((r - mean) ** 2 for r in returns) / (len(returns) - 1) * 24)
    return sigma, sum(traded) / len(traded) * 24


def test_by_a_plain_loop(tmp_path: Path) -> None:
    """With gaps; the first returns are known after 25 candles, volume after 24."""
    rows = walk(900, skipped=(100, 101, 400))
    made = everything(select(dataset(tmp_path, {"X": rows})))[:, 0]
    for hour in (25, 26, 99, 101, 103, 402, 720, 721, 760, 899):
        sigma, turnover = by_hand(rows, hour)
        assert made[hour, at.SIGMA] == pytest.approx(sigma, rel=1e-12), hour
        assert made[hour, at.TURNOVER] == pytest.approx(turnover, rel=1e-12), hour
    assert np.isnan(made[:25, at.SIGMA]).all()
    assert np.isnan(made[:24, at.TURNOVER]).all()
    assert np.isfinite(made[25:]).all()


@pytest.mark.parametrize("estimator", list(HALF))
def test_half_a_spread_is_that_of_the_week_before(tmp_path: Path, estimator: str) -> None:
    rows = walk(400)
    made = everything(select(dataset(tmp_path, {"X": rows})), estimator)[:, 0, at.HALF_SPREAD]
    columns = np.array(rows).T[1:5]
    estimates = {
        "corwin-schultz": lambda o, h, low, c: spread.corwin_schultz(h, low),
        "abdi-ranaldo": lambda o, h, low, c: spread.abdi_ranaldo(h, low, c),
        "edge": spread.edge,
    }
    for hour in (24, 90, 168, 169, 300, 399):
        window = columns[:, max(0, hour - 168) : hour]
        assert made[hour] == pytest.approx(float(estimates[estimator](*window)) / 2, abs=1e-15), hour
    assert np.isnan(made[:24]).all()
    assert made[24:].max() > 0


def test_nothing_is_known_from_after(tmp_path: Path) -> None:
    """Without what came later the bars before are the same bytes; with another future too."""
    past, other = walk(300), walk(340, seed=7, start=300)
    whole = everything(select(dataset(tmp_path / "whole", {"X": [*past, *other]})))
    for cut in (299, 300):
        short = everything(select(dataset(tmp_path / f"to {cut}", {"X": past[:cut]})))
        assert short.tobytes() == whole[: len(short)].tobytes()
        assert len(short) == cut
    # hour 300 opens when candle 299 has closed, and knows it
    assert (whole[300] != whole[299]).all()


def test_history_before_the_period_counts(tmp_path: Path) -> None:
    """A run that begins later has the bars that the longer one had by then, to the bit."""
    catalog = dataset(tmp_path, {"X": walk(1_000), "Y": walk(200, 2, start=800)})
    whole, late = everything(select(catalog)), everything(select(catalog, None, T0 + 850 * HOUR))
    assert late.tobytes() == whole[850:].tobytes()
    assert np.isfinite(late[:, 0]).all()
    listed = whole[:, 1, at.SIGMA]
    assert np.isnan(listed[:825]).all()
    assert np.isfinite(listed[825:]).all()


def test_symbols_do_not_touch_each_other(tmp_path: Path) -> None:
    catalog = dataset(tmp_path, {"X": walk(300), "Y": walk(300, 2)})
    both = everything(select(catalog))
    for i, symbol in enumerate(("X", "Y")):
        assert everything(select(catalog, [symbol]))[:, 0].tobytes() == both[:, i].tobytes()


def test_finer_candles_are_joined_to_hours(tmp_path: Path) -> None:
    """Twelve five-minute candles to the hour; a run of hours of them has the same bars, and one that begins at 10:35
    has at each bar what had closed by then."""
    fine = walk(12 * 60)
    catalog = dataset(tmp_path / "fine", {"X": fine}, 5 * MIN)
    hours = [
        (k, part[0][1], max(r[2] for r in part), min(r[3] for r in part), part[-1][4], sum(r[5] for r in part))
        for k in range(60)
        for part in [fine[12 * k : 12 * k + 12]]
    ]
    coarse = everything(select(dataset(tmp_path / "coarse", {"X": hours})))
    whole = everything(select(catalog))
    np.testing.assert_allclose(whole, coarse, rtol=1e-12)
    assert everything(select(catalog, interval_ms=HOUR)).tobytes() == whole.tobytes()
    start = T0 + 40 * HOUR + 35 * MIN
    odd = everything(select(catalog, None, start))
    assert len(odd) == 20
    assert odd.tobytes() == whole[40:60].tobytes()  # at 40:35 forty hours have closed, as at 40:00


def test_coarser_candles_serve_as_they_are(tmp_path: Path) -> None:
    """Days: at least 24 of them; a bar of each hour, the same all day."""
    rows = walk(60)
    made = everything(select(dataset(tmp_path, {"X": rows}, DAY)))[:, 0]
    assert len(made) == 60 * 24
    by_day = made.reshape(60, 24, at.BAR_WIDTH)
    assert all(day[0].tobytes() == hour.tobytes() for day in by_day for hour in day)
    closes = np.log([row[4] for row in rows])
    # at the open of day 50 the 30 returns of the days 20 to 49 are known
    assert by_day[50, 0, at.SIGMA] == pytest.approx(np.std(np.diff(closes[19:50]), ddof=1), rel=1e-12)
    assert by_day[50, 0, at.TURNOVER] == pytest.approx(np.mean([r[4] * r[5] for r in rows[20:50]]), rel=1e-12)
    assert np.isnan(by_day[:25, :, at.SIGMA]).all()
    assert np.isfinite(by_day[25:]).all()


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    """Without volume σ and the spread are known, turnover is the user's error."""
    rows = [row[:5] for row in walk(60)]
    selection = select(dataset(tmp_path, {"X": rows}))
    made = bars(selection, True, False, "edge")[:, 0]
    assert np.isfinite(made[25:][:, [at.SIGMA, at.HALF_SPREAD]]).all()
    assert np.isnan(made[:, at.TURNOVER]).all()
    with pytest.raises(UserError, match="no column 'volume'"):
        bars(selection, True, True, None)
