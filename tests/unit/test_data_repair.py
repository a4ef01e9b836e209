"""`repair`: each repair by hand, what is left alone, and what a folder is afterwards."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backtest.cli import main
from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.manifest import read_manifest
from backtest.data.repair import repair
from tests.unit.feed_datasets import HOUR, MIN, T0, Row, candles, flat, funding, table, toml, write

PART = "part.parquet"


def bytes_of(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def rows(folder: Path, kind: str, symbol: str) -> list[tuple[object, ...]]:
    """Rows of a series, the time in ms after T0."""
    frame = pl.read_parquet(folder / kind / f"symbol={symbol}" / PART)
    return frame.with_columns(pl.col("ts").dt.epoch("ms") - T0).rows()


def told(folder: Path) -> list[tuple[str, str, str, int]]:
    return [(c.symbol, c.series, c.what, c.rows) for c in repair(folder).changes]


def test_a_sound_dataset_is_left_byte_for_byte(tmp_path: Path) -> None:
    candles(tmp_path / "m", "X", flat(100, 101, 102))
    funding(tmp_path / "m", "X", [(0, 0.0001)])
    toml(tmp_path / "m", "# mine\n[dataset]\ninterval = '1m'\n")
    before = bytes_of(tmp_path / "m")
    done = repair(tmp_path / "m")
    assert (done.changes, done.left, done.written) == ((), (), False)
    assert bytes_of(tmp_path / "m") == before


def test_rows_are_sorted_and_exact_duplicates_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    nan = float("nan")
    file = candles(folder, "X", flat(100, 101, 102, 103))
    frame = pq.read_table(file)
    pq.write_table(frame.take([2, 0, 1, 3, 1, 3]), file)  # rows 0, 1 and the second 1 come after a later one
    candles(folder, "Y", flat(7, 8))
    write(folder, "funding", "X", pa.table({"ts": [T0, T0], "rate": [nan, nan]}))  # a missing value is like another
    toml(folder, "# a remark\n[dataset]\ninterval = '1m'\n")
    (folder / "notes.txt").write_text("keep")
    untouched = bytes_of(folder)[f"candles/symbol=Y/{PART}"]
    done = repair(folder)
    assert [(c.series, c.what, c.rows, c.first, c.last) for c in done.changes] == [
        ("candles", "rows sorted by time", 3, T0, T0 + MIN),
        ("candles", "exact duplicates dropped", 2, T0 + MIN, T0 + 3 * MIN),
    ]
    assert [text.partition(": ")[2] for text in done.left] == [
        "1 rows with a bad rate, so that the series is left as it is"
    ]
    assert [row[:2] for row in rows(folder, "candles", "X")] == [(n * MIN, 100.0 + n) for n in range(4)]
    assert bytes_of(folder)[f"candles/symbol=Y/{PART}"] == untouched
    assert (folder / "notes.txt").read_text() == "keep"
    text = (folder / "dataset.toml").read_text()
    assert text.startswith("# a remark\n[dataset]\n")
    (step,) = read_manifest(folder / "dataset.toml").history
    assert step.command == "backtest data repair"
    assert step.changes == done.changes
    assert told(folder) == []  # a second time there is nothing to do


def test_stamps_of_settlements_are_rounded_to_their_grid(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[100] * 25), HOUR)
    ms = 1 / HOUR
    # 7 ms late, 60 s early, on time, and 90 s late, which is too far; the last one becomes a duplicate of the third.
    stamps = [(0 + 7 * ms, 0.1), (8 - 60_000 * ms, 0.2), (16, 0.3), (16 + 1 * ms, 0.3), (24 + 90_000 * ms, 0.4)]
    funding(tmp_path, "X", stamps)
    assert told(tmp_path) == [
        ("X", "funding", "stamps rounded to 1h", 3),
        ("X", "funding", "exact duplicates dropped", 1),
    ]
    hours = [(0, 0.1), (8 * HOUR, 0.2), (16 * HOUR, 0.3), (24 * HOUR + 90_000, 0.4)]
    assert rows(tmp_path, "funding", "X") == hours


def test_candles_are_rebuilt_from_finer_ones_that_are_all_there(tmp_path: Path) -> None:
    """A dataset of 5m: the candles of 00:05 and 00:10 are there as minutes, that of 00:15 only in part."""
    coarse: list[Row] = [(0, 10, 12, 9, 11, 5), (20, 30, 31, 29, 30, 6), (25, 30, 32, 28, 31, 7)]
    minutes: list[Row] = [(n, 10 + n, 20 + n, 5 - n / 10, 11 + n, n) for n in (5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16)]
    candles(tmp_path, "X", sorted(coarse + minutes))
    funding(tmp_path, "X", [(0, 0.0001)])
    toml(tmp_path, '[dataset]\ninterval = "5m"')
    done = repair(tmp_path)
    assert [(c.what, c.rows, c.first, c.last) for c in done.changes] == [
        ("5m candles rebuilt from 1m ones", 2, T0 + 5 * MIN, T0 + 10 * MIN)
    ]
    assert [text.partition(": ")[2] for text in done.left] == [
        "1 candles of 5m have only a part of their 1m candles, first 2023-11-15T00:15Z"
    ]
    assert rows(tmp_path, "candles", "X") == [
        (0, 10, 12, 9, 11, 5),
        (5 * MIN, 15, 29, 5 - 0.9, 20, 5 + 6 + 7 + 8 + 9),
        (10 * MIN, 20, 34, 5 - 1.4, 25, 10 + 11 + 12 + 13 + 14),
        (16 * MIN, 26, 36, 5 - 1.6, 27, 16),
        (20 * MIN, 30, 31, 29, 30, 6),
        (25 * MIN, 30, 32, 28, 31, 7),
    ]


def test_a_symbol_that_is_finer_throughout_is_joined(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[1] * 20), 5 * MIN)
    candles(tmp_path, "Y", flat(*[1] * 30), 5 * MIN)
    candles(tmp_path, "FINE", [row for row in flat(*range(1, 51)) if row[0] != 12])
    assert told(tmp_path) == [("FINE", "candles", "5m candles rebuilt from 1m ones, 1 from fewer than all", 10)]
    assert rows(tmp_path, "candles", "FINE")[2] == (10 * MIN, 11, 15, 11, 15, 4)  # minute 12 is missing
    assert "different intervals" not in {f.kind for f in check(tmp_path).found}


def test_units_of_time_and_of_rates_are_converted(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    for name, factor in (("S", 0.001), ("US", 1_000), ("NS", 1_000_000)):
        seconds = pa.array([int((T0 + n * MIN) * factor) for n in range(3)])
        write(folder, "candles", name, table(flat(5, 6, 7), MIN).set_column(0, "ts", seconds))
    funding(folder, "S", [(0, 0.01), (1, -0.03)])
    with pytest.raises(UserError, match="no milliseconds"):
        Catalog.open(folder)
    done = repair(folder, rates="percent")
    assert [(c.symbol, c.series, c.what) for c in done.changes] == [
        ("NS", "candles", "times in ns converted to ms"),
        ("S", "candles", "times in s converted to ms"),
        ("US", "candles", "times in us converted to ms"),
        ("S", "funding", "rates divided by 100"),
    ]
    for name in ("S", "US", "NS"):
        assert [row[:2] for row in rows(folder, "candles", name)] == [(0, 5), (MIN, 6), (2 * MIN, 7)]
    assert rows(folder, "funding", "S") == [(0, 0.0001), (HOUR, -0.0003)]
    write(folder, "candles", "MIX", table(flat(5, 6), MIN).set_column(0, "ts", pa.array([T0, T0 // 1000])))
    with pytest.raises(UserError, match="which is no one unit of time"):
        repair(folder)


def test_a_disagreeing_duplicate_is_named_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "m"
    candles(folder, "X", [*flat(100, 101), (1, 101, 101, 101, 100.5, 1.0)])
    candles(folder, "Y", [*flat(100, 101), (1, 101, 101, 101, 101, 1.0)])
    before = bytes_of(folder)
    with pytest.raises(SystemExit) as ended:
        main(["data", "repair", str(folder)])
    assert ended.value.code == 2
    said = capsys.readouterr()
    place = f"X candles in {folder}/candles/symbol=X/{PART}"
    duplicate = "a stamp is there twice with different values, first 2023-11-15T00:01Z: close 101.0 and 100.5"
    assert f"not repaired: {place}: {duplicate}\n" in said.out
    assert "Y candles: exact duplicates dropped, 1 row, 2023-11-15T00:01Z\n" in said.out
    assert said.err.splitlines()[-1].startswith(f"error: {folder}: 1 not repaired")
    after = bytes_of(folder)
    assert after[f"candles/symbol=X/{PART}"] == before[f"candles/symbol=X/{PART}"]
    assert len(rows(folder, "candles", "Y")) == 2


def test_a_dry_run_and_another_folder_leave_the_first_alone(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    file = candles(folder, "X", flat(100, 101))
    pq.write_table(pq.read_table(file).take([1, 0]), file)
    before = bytes_of(folder)
    assert len(repair(folder, write=False).changes) == 1
    assert repair(folder, tmp_path / "new").written
    assert bytes_of(folder) == before
    assert [row[:2] for row in rows(tmp_path / "new", "candles", "X")] == [(0, 100), (MIN, 101)]


def test_files_with_a_symbol_column_are_repaired_into_a_new_folder(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    data = pa.concat_tables([table(flat(1, 2), MIN).append_column("symbol", pa.array([s] * 2)) for s in ("A", "B")])
    pq.write_table(data.take([3, 1, 2, 0]), folder / "x_candles.parquet")
    with pytest.raises(UserError, match="not repaired in place; name a new folder with --out"):
        repair(folder)
    assert repair(folder, tmp_path / "new").written
    assert Catalog.open(tmp_path / "new").symbols == ("A", "B")
    assert [row[1] for row in rows(tmp_path / "new", "candles", "A")] == [1, 2]
