"""What is usual of a market, hour by hour, against a plain computation; and what congestion does to an order."""

from __future__ import annotations

from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.runner.congestion import LEAST, TRAILING, Usual
from tests import small_market as small
from tests.unit import feed_datasets as feed

MIN, HOUR = 60_000, 3_600_000
Candles = dict[int, tuple[float, float, float, float, float]]
"""Open ms: open, high, low, close, volume."""


def invented(seed: int, interval: int, hours: int, first: int = 0, holes: float = 0.0) -> Candles:
    """Candles that reach and trade by chance, some of them missing."""
    chance = np.random.default_rng(seed)
    out: Candles = {}
    for k in range(first, hours * HOUR // interval):
        price, reach, volume, missing = chance.uniform((90, 0.1, 1, 0), (110, 5, 100, 1))
        if missing >= holes:
            out[feed.T0 + k * interval] = (price, price + reach, price - reach / 2, price + reach / 3, volume)
    return out


def put(folder: Path, interval: int, **markets: Candles) -> None:
    for symbol, candles in markets.items():
        rows = [((t - feed.T0) / interval, *values) for t, values in candles.items()]
        feed.candles(folder, symbol, rows, interval)
        feed.funding(folder, symbol, [(0, 0.0)])
    feed.toml(folder, f'[dataset]\ninterval = "{interval // MIN}m"\nquote = "USD"\n')


def joined(candles: Candles, interval: int) -> Candles:
    out: dict[int, list[tuple[float, ...]]] = {}
    for t in sorted(candles):
        out.setdefault(t - t % interval, []).append(candles[t])
    return {
        t: (c[0][0], max(x[1] for x in c), min(x[2] for x in c), c[-1][3], sum(x[4] for x in c)) for t, c in out.items()
    }


def plainly(markets: list[Candles], interval: int, first: int, last: int) -> list[tuple[float, float]]:
    """What is usual in the hours from ``first`` to ``last`` since 1970, by the rule's own words."""
    means = {}
    for h in range(first - TRAILING, last):
        rows = []
        # the rows that close in the hour
        for close in range(h * HOUR, (h + 1) * HOUR, 15 * MIN):
            held = [c[close - interval] for c in markets if close - interval in c]
            if held:
                reach = mean((high - low) / opened for opened, high, low, _, _ in held)
                rows.append((reach, sum(close_ * volume for *_, close_, volume in held)))
        if rows:
            means[h] = mean(r for r, _ in rows), mean(v for _, v in rows)
    usual = []
    for h in range(first, last + 1):
        known = [means[before] for before in range(h - TRAILING, h) if before in means]
        enough = len(known) >= LEAST
        usual.append((median(r for r, _ in known), median(v for _, v in known)) if enough else (np.nan, np.nan))
    return usual


def filled(selection: Selection, rows: int = 65_536, tail: int = 0) -> np.ndarray:
    usual = Usual(selection)
    for chunk in selection.chunks(rows, tail=tail, packed=True):
        usual.take(chunk)
    return usual.values


CASES = {
    "fifteen minutes": (15 * MIN, None, 0),
    "a run that begins inside an hour, with history": (15 * MIN, None, feed.T0 + 100 * HOUR + 30 * MIN),
    "joined to hours": (15 * MIN, HOUR, feed.T0 + 20 * HOUR),
    "joined to four hours": (15 * MIN, 4 * HOUR, feed.T0 + 48 * HOUR),
}


@pytest.mark.parametrize("case", CASES)
def test_usual_is_the_rules(tmp_path: Path, case: str) -> None:
    have, wanted, start = CASES[case]
    hours = 220
    a = invented(1, have, hours, holes=0.1)
    # B is listed late, and has many holes; both lack five hours
    b = invented(2, have, hours, first=60 * HOUR // have, holes=0.5)
    for candles in (a, b):
        for t in range(feed.T0 + 120 * HOUR, feed.T0 + 125 * HOUR, have):
            candles.pop(t, None)
    put(tmp_path, have, A=a, B=b)
    s = select(Catalog.open(tmp_path), None, start or None, None, wanted)
    interval = wanted or have
    markets = [joined(a, interval), joined(b, interval)] if wanted else [a, b]
    # candles that the run has not are not in it: those after its end there are none, those before are its history
    first, last = s.start_ms // HOUR, (s.start_ms + s.rows * s.interval_ms) // HOUR
    values = filled(s)
    assert values.shape == (last - first + 1, 2)
    np.testing.assert_allclose(values, plainly(markets, interval, first, last), rtol=1e-12)
    assert np.isfinite(values).any()
    assert np.isnan(values).any() == (case != "a run that begins inside an hour, with history")
    # the same numbers however the rows come, to the last bit
    for size, tail in ((1, 0), (7, 3), (100, 50)):
        np.testing.assert_array_equal(filled(s, size, tail), values)


def test_what_comes_later_changes_nothing(tmp_path: Path) -> None:
    """The hour that holds a time, and those before it, know only rows that closed before that hour."""
    a = invented(3, 15 * MIN, 60)
    changed = {
        t: (o, h + 50, low, c, v * 9) if t >= feed.T0 + 40 * HOUR else (o, h, low, c, v)
        for t, (o, h, low, c, v) in a.items()
    }
    found = []
    for name, candles in (("a", a), ("b", changed)):
        put(tmp_path / name, 15 * MIN, A=candles)
        found.append(filled(select(Catalog.open(tmp_path / name))))
    # the first row that differs opens at hour 40 and closes in it: hour 41 is the first that knows of it
    np.testing.assert_array_equal(found[0][:41], found[1][:41])
    assert (found[0][41:] != found[1][41:]).all(axis=1).any()


def test_filling_in_keeps_up_with_the_rows(tmp_path: Path) -> None:
    """Each chunk finds the hours of its own closes filled in, and one that was taken is passed by."""
    put(tmp_path, 15 * MIN, A=invented(4, 15 * MIN, 50))
    s = select(Catalog.open(tmp_path))
    whole, usual = filled(s), Usual(s)
    for chunk in s.chunks(37, packed=True):
        usual.take(chunk)
        usual.take(chunk)
        hour = (s.start_ms + (chunk.row0 + chunk.rows) * s.interval_ms) // HOUR - s.start_ms // HOUR
        np.testing.assert_array_equal(usual.values[: hour + 1], whole[: hour + 1])
        assert np.isnan(usual.values[hour + 1 :]).all()


def test_a_day_of_daily_candles_is_never_known(tmp_path: Path) -> None:
    # seven closes in a week are fewer than twenty-four
    put(tmp_path, HOUR, A=invented(5, HOUR, 24 * 20))
    s = select(Catalog.open(tmp_path), None, None, None, 24 * HOUR)
    assert np.isnan(filled(s)).all()


# ---- whole runs

CHAIN = """name = "slow"
source = "a test"
date = 2024-01-01
queue = "{queue}"
[congestion]
slope = 0.5
above = 1
most = 3
"""


def order_arrivals(folder: Path, **settings: Any) -> list[float]:
    made = backtest.run("hold.py", "market", chain="slow.toml", **settings)
    orders = made.tables["orders"].sort("order_id")
    return (orders["ts_arrived"] - orders["ts_sent"]).dt.total_milliseconds().to_list()


def test_an_order_waits_longer_where_the_market_is_lively(place: Path) -> None:
    """Its queue of 10 s, times c: load 3 is c = 1 + 0.5 x (3 - 1) = 2, load 9 would be 5, and is 3 at most."""
    (place / "slow.toml").write_text(CHAIN.format(queue="10s"))
    (place / "hold.py").write_text(
        small.HEAD + "    def on_candle(self, market, account):\n"
        "        if market.now.hour in (0, 3, 7, 9) and market.now.day == 2 or market.now.hour == 5:\n"
        "            account.buy('BTC-USD', qty=0.01)\n"
    )
    candles = small.candles()
    hour = pl.int_range(pl.len())
    flat = {"open": 100.0, "low": 100.0, "close": 100.0, "high": 101.0}
    # a range of 1 % usually, of 3 % in the row that closes at 03:00 on the second day; three times the volume in the
    # one that closes at 07:00, nine times in that which closes at 09:00
    candles = candles.with_columns(**{name: pl.lit(value) for name, value in flat.items()}).with_columns(
        high=pl.when(hour == 26).then(103.0).otherwise(101.0),
        volume=pl.when(hour == 30).then(30.0).when(hour == 32).then(90.0).otherwise(10.0),
    )
    for symbol in small.SYMBOLS:
        small.put(candles, place / "market", "candles", symbol)
        small.put(candles.drop("volume"), place / "market", "mark", symbol)
    # closes at 05:00 (fewer than a day known: c = 1), 00:00, 03:00, 05:00, 07:00, 09:00
    assert order_arrivals(place) == [10_000, 10_000, 20_000, 10_000, 20_000, 30_000]
    assert order_arrivals(place, chunk_rows=5) == [10_000, 10_000, 20_000, 10_000, 20_000, 30_000]
    # a run of the second day has the first as its history
    later = order_arrivals(place, start="2024-03-02T00:00")
    assert later == [20_000, 10_000, 20_000, 30_000]
    told = backtest.run("hold.py", "market", chain="slow.toml").summary["notes"]
    # hours 0 to 23 of the first day, and that of the first close that a day is behind: 00:00 on the second has 01:00 …
    # 23:00 alone, 23 hours
    assert any("In 25 hours congestion was not measured" in note for note in told), told
    twice = backtest.compare("hold.py", "market", chain="slow.toml")
    ways = [(r.tables["orders"]["ts_arrived"] - r.tables["orders"]["ts_sent"]).to_list() for r in twice.results]
    assert ways[0] == ways[1]


def test_congestion_needs_volume(place: Path) -> None:
    (place / "slow.toml").write_text(CHAIN.format(queue="10s"))
    small.put(small.candles().drop("volume"), place / "market", "candles", "ETH-USD")
    with pytest.raises(UserError, match="no column 'volume'"):
        backtest.run("hold.py", "market", chain="slow.toml")
