"""Coverage over time, funding intervals as they change, and stretches without volume; worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backtest.cli import main
from backtest.core.errors import UserError
from backtest.data.check import check
from backtest.data.coverage import coverage
from backtest.data.info import FundingPeriod, funding_periods
from tests.unit.feed_datasets import HOUR, MIN, T0, candles, flat, funding, marks, toml


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """X for a day, Y for its second half; X lacks 06:00 to 08:59, its marks begin at 12:00, one settlement is gone."""
    folder = tmp_path / "market"
    candles(folder, "X", [row for row in flat(*[100] * 24) if not 6 <= row[0] < 9], HOUR)
    candles(folder, "Y", flat(*[5] * 12, start=12), HOUR)
    marks(folder, "X", flat(*[100] * 12, start=12), HOUR)
    funding(folder, "X", [(h, 0.0001) for h in (0, 4, 8, 16, 20)])
    funding(folder, "Y", [(h, 0.0001) for h in range(0, 24, 4)])
    toml(folder, '[dataset]\ninterval = "1h"\nfunding_interval = "4h"\n')
    return folder


def test_shares_of_each_stretch(market: Path) -> None:
    picture = coverage(market, 6)  # of four hours each
    assert (picture.start_ms, picture.end_ms, picture.buckets) == (T0, T0 + 24 * HOUR, 6)
    assert [picture.edge_ms(n) for n in (0, 1, 6)] == [T0, T0 + 4 * HOUR, T0 + 24 * HOUR]
    shown = {(s.symbol, s.kind): (s.rows, s.expected, s.shares) for s in picture.series}
    assert shown == {
        # 04:00 to 07:59 has two of four candles, 08:00 to 11:59 has three.
        ("X", "candles"): (21, 24, (1.0, 0.5, 0.75, 1.0, 1.0, 1.0)),
        ("X", "mark"): (12, 24, (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)),
        ("X", "funding"): (5, 6, (1.0, 1.0, 1.0, 0.0, 1.0, 1.0)),
        ("Y", "candles"): (12, 12, (None, None, None, 1.0, 1.0, 1.0)),
        ("Y", "mark"): (0, 12, (None, None, None, 0.0, 0.0, 0.0)),
        ("Y", "funding"): (3, 3, (None, None, None, 1.0, 1.0, 1.0)),
    }


def test_a_stretch_shorter_than_an_interval_goes_with_the_row_before_it(market: Path) -> None:
    hours = coverage(market, 1_000)  # no finer than the candles
    assert hours.buckets == 24
    shown = {(s.symbol, s.kind): s.shares for s in hours.series}
    assert shown["X", "funding"] == (1.0,) * 12 + (0.0,) * 4 + (1.0,) * 8
    assert shown["X", "candles"] == (1.0,) * 6 + (0.0,) * 3 + (1.0,) * 15


def test_funding_intervals_as_they_change() -> None:
    eights, fours = np.arange(40) * 8 * HOUR, 39 * 8 * HOUR + np.arange(1, 60) * 4 * HOUR
    stamps = np.delete(np.concatenate((eights, fours)), [10, 60])  # one of each kind is missing
    assert funding_periods(stamps) == (
        FundingPeriod(0, 312 * HOUR, 8 * HOUR),
        FundingPeriod(312 * HOUR, 548 * HOUR, 4 * HOUR),
    )
    assert funding_periods(stamps[:1]) == ()


def test_stretches_without_volume(tmp_path: Path) -> None:
    rows = [
        (*row[:5], 0.0 if 10 <= row[0] < 70 or 80 <= row[0] < 139 or row[0] == 150 else 1.0) for row in flat(*[9] * 200)
    ]
    candles(tmp_path, "X", rows, MIN)
    funding(tmp_path, "X", [(h, 0.0001) for h in range(4)])
    (found,) = check(tmp_path).found  # an hour is reported, 59 minutes are not
    assert (found.kind, found.severity, found.count, found.places) == ("candles without volume", "warning", 60, 1)
    assert [str(case) for case in found.cases] == ["X 2023-11-15T00:10Z: 60 in a row, until 2023-11-15T01:10Z"]


def test_the_command_shows_it(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    with pytest.raises(SystemExit) as ended:
        main(["data", "info", str(market), "--coverage", "--out", str(page)])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert "X candles  ██████···███████████████    87.5 %" in lines
    assert "  funding              ████████████     100 %" in lines
    text = page.read_text(encoding="utf-8")
    assert "2023-11-15 06:00 to 2023-11-15 09:00: 0 % of the rows" in text
    assert "<script" not in text
    with pytest.raises(SystemExit):
        main(["data", "info", str(market), "--coverage", "--json"])
    assert json.loads(capsys.readouterr().out)["coverage"]["series"][0]["rows"] == 21


def test_the_page_replaces_only_a_page(market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "notes.html"
    mine.write_text("mine")
    with pytest.raises(SystemExit) as ended:
        main(["data", "info", str(market), "--out", str(mine)])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "is not a page that `backtest data info` has written" in told
    assert mine.read_text() == "mine"
    with pytest.raises(UserError, match="no such folder"):
        coverage(tmp_path / "none")
