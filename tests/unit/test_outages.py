"""Outages of a run: how they are written, drawn, put together, and where the worst of them is placed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backtest
from backtest.core.errors import UserError
from backtest.core.records import FILL
from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.data.selection import Selection
from backtest.runner.outages import YEAR_MS, Asked, Process, halts, merged, parse, postponed, worst
from backtest.venues.chain import Outage
from tests import small_market as small
from tests.unit import feed_datasets as feed

MIN, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = int(small.START.timestamp() * 1000)
"""2024-03-01T00:00Z"""
OCTOBER = 1_760_132_100_000
"""2025-10-10T21:35Z: 20,371 days and 77,700 s since 1970."""


def windows(*texts: str) -> list[Outage]:
    return [window.outage for window in parse(texts).windows]


# ---- how they are written


def test_texts_are_read() -> None:
    assert windows("2025-10-10T21:35/8h") == [Outage(OCTOBER, OCTOBER + 8 * HOUR)]
    assert windows("2025-10-10T21:35/2025-10-11T05:35") == [Outage(OCTOBER, OCTOBER + 8 * HOUR)]
    assert windows("2025-10-10T23:35+02:00/90s") == [Outage(OCTOBER, OCTOBER + 90_000)]
    assert parse(["history", "worst:30m", "poisson"]) == Asked((), True, Process(2.0, HOUR, 8 * HOUR), 30 * MIN)
    assert parse(["poisson=0.5/year:10m:2h"]).process == Process(0.5, 10 * MIN, 2 * HOUR)
    assert parse([]) == Asked()


FILES = {
    "a.toml": '[[outages]]\nstart = 2025-10-10T21:35:00Z\nlength = "8h"\ncause = "halt"\n'
    '[[outages]]\nstart = "2025-11-01"\nend = 2025-11-02\n',
    "a.csv": "start, end, cause, length\n2025-10-10T21:35,,halt,8h\n\n2025-11-01,2025-11-02,,\n",
    "a.json": json.dumps(
        [
            {"start": OCTOBER, "length": "8h", "cause": "halt"},
            {"start": "2025-11-01", "end": "2025-11-02T00:00Z"},
        ]
    ),
    "b.json": json.dumps(
        {
            "outages": [
                {"start": str(OCTOBER), "end": OCTOBER + 8 * HOUR, "cause": "halt"},
                {"start": "2025-11-01", "length": "1d"},
            ]
        }
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name])
    november = OCTOBER - 77_700_000 + 22 * DAY  # midnight of 10 October, and 22 days
    found = windows(str(tmp_path / name))
    assert found == [Outage(OCTOBER, OCTOBER + 8 * HOUR, "halt"), Outage(november, november + DAY)]


# ---- put together


def ask(*pairs: tuple[int, int]) -> Asked:
    texts = [f"{np.datetime64(a, 'ms')}Z/{b - a}ms" for a, b in pairs]
    return parse(texts)


def test_windows_are_cut_to_the_run_and_those_outside_are_told() -> None:
    asked = ask((0, 10), (20, 30), (95, 120), (200, 210), (100, 101)[:0] or (150, 160))
    # the run is [5, 100): an outage that has begun begins with it, one that goes on keeps its end
    made = halts(asked, (), 0, 5, 100)
    assert made.played == (Outage(5, 10), Outage(20, 30), Outage(95, 120))
    assert made.outside == (Outage(200, 210), Outage(150, 160))
    assert made.counts == {"outages": 3, "outages outside the run": 2}
    # a window that only touches the run is outside of it
    assert halts(ask((0, 5), (100, 110)), (), 0, 5, 100).played == ()


def test_history_is_played_beside_listed_windows() -> None:
    past = (Outage(10, 20, "then"), Outage(1_000, 1_001))
    asked = parse(["history"])
    made = halts(asked, past, 0, 0, 100)
    assert (made.played, made.known, made.met, made.outside) == ((past[0],), 2, 1, ())
    both = Asked(ask((15, 30)).windows, history=True)
    with pytest.raises(UserError, match=r"outages overlap: 1970-01-01T00:00:00.010Z to .*020Z and .*015Z to"):
        halts(both, past, 0, 0, 100)


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8)


@given(spans)
def test_merged_windows_stand_still_at_the_same_times(given_spans: list[tuple[int, int]]) -> None:
    outages = [Outage(a, a + n) for a, n in given_spans]
    made = merged(outages)
    still = {t + 0.5 for o in outages for t in range(o.start_ms, o.end_ms)}
    assert {t + 0.5 for o in made for t in range(o.start_ms, o.end_ms)} == still
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(made))


def test_events_inside_an_outage_happen_at_its_end() -> None:
    halted = (Outage(10, 20), Outage(50, 60))
    events = [
        (5, "A", 0.5),
        (10, "B", 0.1),
        (11, "C", 0.2),
        (19, "A", 0.3),
        (20, "A", 0.4),
        (55, "", 1.0),
        (58, "D", 0.9),
    ]
    moved = (
        (5, "A", 0.5),
        (10, "B", 0.1),
        (20, "A", 0.3),
        (20, "A", 0.4),
        (20, "C", 0.2),
        (60, "", 1.0),
        (60, "D", 0.9),
    )
    assert postponed(events, halted) == moved


# ---- drawn


def test_drawn_outages_fit_their_process() -> None:
    process, years = Process(2.0, 60 * MIN, 8 * HOUR), 4_000
    found = process.drawn(7, 0, years * YEAR_MS)
    begins = np.array([o.start_ms for o in found])
    lengths = np.array([o.end_ms - o.start_ms for o in found])
    # counts of a year: Poisson with mean 2, chi-square over 0 … 6 and more; 7 classes, the 0.999 quantile of 6 is 22.5
    counts = np.bincount(np.bincount(begins // YEAR_MS, minlength=years), minlength=7)
    seen = np.append(counts[:6], counts[6:].sum())
    p = np.array([math.exp(-2) * 2**k / math.factorial(k) for k in range(6)])
    wanted = years * np.append(p, 1 - p.sum())
    assert ((seen - wanted) ** 2 / wanted).sum() < 22.5
    # gaps between them are exponential: their deviation is their mean (n = 8,000: 3 σ are 4.7 %)
    gaps = np.diff(begins)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    # lengths: the median's deviation is 1.25 σ / √n = 2.3 % with σ = ln 8 / 1.2816 = 1.62, that of the p90 1.71 σ / √n
    assert np.median(lengths) == pytest.approx(60 * MIN, rel=0.07)
    assert np.quantile(lengths, 0.9) == pytest.approx(8 * HOUR, rel=0.10)
    logs = np.log(lengths / (60 * MIN))
    assert logs.std() == pytest.approx(math.log(8) / 1.28155, rel=0.03)


@given(st.integers(0, 2**63 - 1), st.integers(0, 60), st.integers(1, 1_000))
@settings(max_examples=40)
def test_what_is_drawn_does_not_depend_on_where_a_run_begins(seed: int, year: int, days: int) -> None:
    process = Process(20.0, 3 * HOUR, 200 * HOUR)
    start = year * YEAR_MS + seed % YEAR_MS
    end = start + days * DAY
    whole = process.drawn(seed, 0, end + YEAR_MS)
    assert process.drawn(seed, start, end) == tuple(o for o in whole if o.start_ms < end and o.end_ms > start)
    assert list(whole) == sorted(whole, key=lambda o: o.start_ms)
    assert process.drawn(seed + 1, 0, end + YEAR_MS) != whole


def test_an_outage_of_the_year_before_reaches_into_the_run() -> None:
    # of one a year with lengths of a year each, some that began in the year before is still on
    process = Process(1.0, YEAR_MS, YEAR_MS)
    met = [process.drawn(seed, 10 * YEAR_MS, 10 * YEAR_MS + 1) for seed in range(30)]
    assert any(o.start_ms < 10 * YEAR_MS for found in met for o in found)


# ---- placed where it would have hurt most


def record(selection: Selection, *fills: tuple[int, str, int]) -> Any:
    """A record of fills alone: (ms after the start, symbol, lots)."""
    rows = np.zeros(len(fills), FILL)
    for row, (ms, symbol, lots) in zip(rows, fills, strict=True):
        row["ts_ms"], row["symbol"], row["lots"] = selection.start_ms + ms, selection.symbols.index(symbol), lots
    return SimpleNamespace(symbols=selection.symbols, fills=rows)


def market(folder: Path, **closes: list[float | None]) -> Selection:
    for symbol, prices in closes.items():
        feed.candles(folder, symbol, feed.flat(*prices))
        feed.funding(folder, symbol, [(0, 0.0)])
    steps = "".join(f"[symbols.{symbol}]\nstep = 0.5\n" for symbol in closes)
    feed.toml(folder, f'[dataset]\ninterval = "1m"\nquote = "USD"\n{steps}')
    return select(Catalog.open(folder))


def test_the_worst_window_by_hand(tmp_path: Path) -> None:
    s = market(tmp_path, A=[100, 90, 95, 80, 85, 60, 60, 10], B=[50, 50, 50, 50, 70, 50, 50, 50])
    # 2 lots of 0.5 A bought within row 2, so from its close on 1 A is held; 4 lots of B sold at the close of row 3:
    # 2 B short. Over 2 rows from the close of row k (A, B of k and k + 2):
    #   k = 2: A 95 -> 85, no B yet: loses 10          k = 3: A 80 -> 60: 20, B 50 -> 50: 0: loses 20
    #   k = 4: A 85 -> 60: 25, B 70 -> 50 gains 40: gains 15      k = 5: A 60 -> 10: 50: loses 50, but sold at its close
    fills = [(2 * MIN + 5, "A", 2), (4 * MIN, "B", -4), (6 * MIN, "A", -2)]
    found = worst(s, [record(s, *fills)], 2 * MIN)
    assert found is not None
    assert (found.outage.start_ms, found.outage.end_ms) == (s.start_ms + 4 * MIN, s.start_ms + 6 * MIN)
    assert found.loss == 20
    # a minute and a half is covered by two rows, too; the halt is as long as it is
    shorter = worst(s, [record(s, *fills)], 90_000)
    assert shorter is not None
    assert (shorter.outage.start_ms, shorter.outage.end_ms - shorter.outage.start_ms) == (s.start_ms + 4 * MIN, 90_000)
    # without the sale the last window is the worst: 50, B is flat
    held = worst(s, [record(s, *fills[:2])], 2 * MIN)
    assert held is not None
    assert (held.outage.start_ms, held.loss) == (s.start_ms + 6 * MIN, 50)
    # two accounts are looked at together: with another that is short of as much A only B counts, from row 3 on: over
    # one row B 50 -> 70 costs the 2 that are short 40
    other = record(s, (0, "A", -2), (6 * MIN, "A", 2))
    both = worst(s, [record(s, *fills), other], MIN)
    assert both is not None
    assert (both.outage.start_ms, both.loss) == (s.start_ms + 4 * MIN, 40)


def test_no_window_is_the_worst_where_nothing_was_lost(tmp_path: Path) -> None:
    s = market(tmp_path, A=[100, 101, 102, 103])
    assert worst(s, [record(s)], MIN) is None
    assert worst(s, [record(s, (0, "A", 1))], MIN) is None
    with pytest.raises(UserError, match="worst:4m: the run has 4 candles of 1m, which is not longer"):
        worst(s, [record(s)], 4 * MIN)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_worst_window_is_that_of_a_plain_search(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows = data.draw(st.integers(5, 30))  # one at least is left of B
    prices = {name: data.draw(st.lists(st.integers(50, 150), min_size=rows, max_size=rows)) for name in ("A", "B")}
    # B is listed late, or ends early
    born, died = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    prices["B"] = [None] * born + prices["B"][born : rows - died]
    s = market(tmp_path_factory.mktemp("m"), **prices)
    last = rows - died - 1
    fills = [
        (data.draw(st.integers(born * MIN, (last + 1) * MIN)), name, data.draw(st.integers(-3, 3)))
        for name in ("A", "B", "B")
    ]
    # what is left of B is settled when it ends
    left = -sum(lots for _, name, lots in fills if name == "B")
    fills += [((last + 1) * MIN, "B", left)] if died else []
    length = data.draw(st.integers(1, (rows - 1) * MIN))
    n = -(-length // MIN)

    def loss(k: int) -> float:
        total = 0.0
        for name, quoted in prices.items():
            held = sum(lots for ms, symbol, lots in fills if symbol == name and ms <= (k + 1) * MIN) * 0.5
            end = min(k + n, last if name == "B" else rows - 1)
            total -= held * (quoted[end] - quoted[k]) if held and quoted[k] is not None else 0.0
        return total

    losses = [loss(k) for k in range(rows - n)]
    best = max(losses)
    for size in (data.draw(st.integers(1, 5)), 4_096):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Selection, "default_chunk_rows", size)
            found = worst(s, [record(s, *sorted(fills))], length)
        if best <= 0:
            assert found is None
        else:
            assert found is not None
            assert (found.outage.start_ms - s.start_ms) // MIN - 1 == losses.index(best)
            assert found.loss == best


# ---- whole runs


def crash(folder: Path) -> None:
    """BTC falls by 5 an hour from hour 20 to 24, and recovers by 1 an hour; ETH does the opposite, at a tenth."""
    prices = [100.0] * 20 + [95.0, 90.0, 85.0, 80.0] + [81.0 + i for i in range(24)]
    for symbol, series in (("BTC-USD", prices), ("ETH-USD", [20 - p / 10 for p in prices])):
        flat = {name: pl.Series(series) for name in ("open", "high", "low", "close")}
        frame = small.candles().with_columns(**flat)
        small.put(frame, folder / "market", "candles", symbol)
        small.put(frame.drop("volume"), folder / "market", "mark", symbol)


def test_a_run_halts_where_its_book_would_have_lost_most(place: Path) -> None:
    crash(place)
    made = backtest.run("hold.py", "market", outages=["worst:2h"], out=place / "r")
    # 1 BTC and 1 ETH are held from the close of row 0 on. Two rows lose 10 of BTC and gain 1 of ETH: first from the
    # close of row 19, at 100, to that of row 21, at 90: 20:00 on 1 March
    begin = START + 20 * HOUR
    wanted = [[begin, begin + 2 * HOUR, "placed where the positions would have lost most"]]
    assert made.summary["config"]["outages_played"] == wanted
    told = [note for note in made.summary["notes"] if "2024-03-01 20:00 UTC" in note]
    assert any("first replay" in note and "9.00" in note for note in told), told
    assert made.summary["counts"]["outages"] == 1
    assert backtest.verify(place / "r").ok
    # the same window, listed
    listed = backtest.run("hold.py", "market", outages="2024-03-01T20:00/2h")
    assert listed.summary["digest"] == made.summary["digest"]


def test_all_accounts_stand_still_together(place: Path) -> None:
    crash(place)
    both = backtest.compare("hold.py", "market", outages="worst:2h", leverage=1)
    placed = [r.summary["config"]["outages_played"] for r in both.results]
    assert placed[0] == placed[1]
    assert placed[0][0][0] == START + 20 * HOUR
    # Each lost 9.00 of its 1 BTC and 1 ETH over the two hours from 20:00.
    sums = [note for r in both.results for note in r.summary["notes"] if "first replay" in note]
    held = "the positions of all 2 accounts together would have lost 18.00"
    assert len(sums) == 2
    assert all(held in note for note in sums), sums
    sub = backtest.subaccounts(
        ["hold.py", "hold.py"], "market", params={"1.size": 1.0, "2.size": 3.0}, outages="worst:2h", reserve=100.01
    )
    assert [r.summary["config"]["outages_played"] for r in sub.results] == [placed[0], placed[0]]
    # 100.01 in two: 50.005 each
    assert [r.summary["config"]["reserve"] for r in sub.results] == [50.005, 50.005]
    assert sub.combined.summary["config"]["reserve"] == 100.01


def test_windows_outside_the_run_are_counted_and_told(place: Path, command: Callable[..., small.Ended]) -> None:
    made = backtest.run("hold.py", "market", outages=["2030-01-01/1d", "2024-03-01T05:00/1h"])
    assert made.summary["counts"]["outages outside the run"] == 1
    assert any("1 outage lies outside the run and was not replayed: 2030-01-01" in n for n in made.summary["notes"])
    ended = command("run", "hold.py", "--data", "market", "--outages", "2030-01-01/1d", "--verbose")
    assert ended.code == 0
    assert "outside the run" in ended.out + ended.err


def test_drawn_outages_are_those_of_the_seed(place: Path) -> None:
    process = "poisson=3000/year:5m:20m"

    def played(seed: int, **more: Any) -> list[list[Any]]:
        made = backtest.run("hold.py", "market", outages=process, seed=seed, **more)
        return list(made.summary["config"]["outages_played"])

    first = played(1)
    assert first == played(1)
    assert first != played(2)
    # a run that begins in the middle meets what the whole one met from there on
    noon = START + 12 * HOUR
    assert played(1, start="2024-03-01T12:00") == [w for w in first if w[0] >= noon]
