"""What cannot be imported: one line that says what, where and what helps; nothing is written."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from backtest.core.errors import UserError
from tests.unit.import_layouts import START, candles_csv, imported, local, minutes, rows

BAD: dict[str, tuple[dict[str, str | bytes], dict[str, str], str, str]] = {
    "not what its name says": (
        {"BTCUSDT.parquet": candles_csv(*minutes(9))},
        {},
        "BTCUSDT.parquet: its name says a Parquet file, but this is CSV",
        "rename it, or say --format csv",
    ),
    "an HTML page": (
        {"BTCUSDT.csv": "<!DOCTYPE html><html></html>"},
        {},
        "this is an HTML page",
        "fetch the file again",
    ),
    "no table": ({"BTCUSDT.csv": b"\x00\x01\x02" * 99}, {}, "this is no table that is known", "export it as CSV"),
    "empty": ({"BTCUSDT.csv": ""}, {}, "BTCUSDT.csv: the file is empty", "leave it out"),
    "only a header": ({"BTCUSDT.csv": candles_csv()}, {}, "it has a header and no rows", "leave it out"),
    "unknown columns": (
        {"BTCUSDT.csv": candles_csv(*minutes(9), header="ts,p,q,r,u,w")},
        {},
        "no column for open, high, low, close, volume is found among ts, p, q, r, u, w",
        "--map open=COLUMN,high=COLUMN",
    ),
    "no volume": (
        {"BTCUSDT.csv": "ts,open,high,low,close\n1700000000000,1,1,1,1\n1700000060000,1,1,1,1\n"},
        {},
        "no column for volume",
        "--map volume=0",
    ),
    "a mapped column that is not there": (
        {"BTCUSDT.csv": candles_csv(*minutes(9))},
        {"columns": "volume=vol"},
        "no column 'vol' for volume in --map",
        "volume",
    ),
    "finer candles": (
        {"BTCUSDT.csv": candles_csv(*minutes(30, step=300_000), *minutes(9, START + 9_000_000))},
        {},
        "mixed intervals: 1m after the candle before it, in a series of 5m",
        "--out",
    ),
    "coarser candles": (
        {"BTCUSDT.csv": candles_csv(*minutes(30), *minutes(30, START + 1_800_000, 300_000))},
        {},
        "BTCUSDT candles at 2024-10-20T00:35Z",
        "mixed intervals: 5m after",
    ),
    "files of two intervals": (
        {"a/BTCUSDT.csv": candles_csv(*minutes(9)), "b/ETHUSDT.csv": candles_csv(*minutes(9, step=300_000))},
        {},
        "ETHUSDT.csv: 5m candles, but 1m in",
        "another dataset with --out",
    ),
    "another interval than asked": (
        {"BTCUSDT.csv": candles_csv(*minutes(9))},
        {"interval": "5m"},
        "the candles are 1m, not 5m",
        "leave --interval out",
    ),
    "files that disagree": (
        {
            "a/BTCUSDT.csv": candles_csv(*minutes(9)),
            "b/BTCUSDT.csv": candles_csv(*minutes(9, START + 480_000, close=9.5)),
        },
        {},
        "b/BTCUSDT.csv: close is 9.5, but 10.5 in",
        "leave one of the files out",
    ),
    "a row that is there twice": (
        {"BTCUSDT.csv": candles_csv(*minutes(9), f"{START + 480_000},10,11,9,9.5,1")},
        {},
        "there twice: close is 10.5 and 9.5",
        "take one of the rows out",
    ),
    "a time that the clock skipped": (
        {"BTCUSDT.csv": local(*(f"2024-03-10 0{h}:30:00" for h in range(5)))},
        {"tz": "America/New_York"},
        "2024-03-10 02:30 does not exist there: the clock was put forward",
        "--tz UTC",
    ),
    "an unclear unit": (
        {"BTCUSDT.csv": candles_csv("1,10,11,9,10,1", "2,10,11,9,10,1")},
        {},
        "the unit of the times in 'ts' is not clear: 1",
        "--map ts=ts:s",
    ),
    "days that may be months": (
        {"BTCUSDT.csv": local("01/02/2024", "02/02/2024", "03/02/2024")},
        {},
        "'01/02/2024' in column 'ts' may be",
        "ts=ts:%d/%m/%Y",
    ),
    "high below low": (
        {"BTCUSDT.csv": candles_csv(*minutes(4), f"{START + 240_000},10,8,9,10,1")},
        {},
        "BTCUSDT candles at 2024-10-20T00:04Z in",
        "high 8.0 is below low 9.0",
    ),
    "a price of zero": (
        {"BTCUSDT.csv": candles_csv(*minutes(4), f"{START + 240_000},10,11,0,10,1")},
        {},
        "low is 0.0",
        "leave it out",
    ),
    "a word for a price": (
        {"BTCUSDT.csv": candles_csv(*minutes(700), f"{START + 42_000_000},ten,11,9,10,1")},
        {},
        'BTCUSDT.csv line 702: Error when converting column "open"',
        "correct that line",
    ),
    "a row that is too short": (
        {"BTCUSDT.csv": candles_csv(*minutes(700), "1,2")},
        {},
        "BTCUSDT.csv line 702: Expected Number of Columns: 6",
        "correct",
    ),
    "no symbol": (
        {"prices.csv": candles_csv(*minutes(9))},
        {},
        "neither a column nor the name of the file tells",
        "--symbol",
    ),
    "a symbol that is not in it": (
        {
            "p.csv": candles_csv(*(f"{row},BTC" for row in minutes(9)), header="ts,open,high,low,close,volume,symbol")
            + f"{START},1,1,1,1,1,ETH\n"
        },
        {"symbol": "ETC"},
        "no rows of ETC in it",
        "did you mean 'ETH'?",
    ),
    "no candles": (
        {"BTCUSDT-funding.csv": "ts,rate\n1700000000000,0.1\n"},
        {},
        "no candles: it holds funding",
        "a folder",
    ),
    "another layout than asked": (
        {"BTCUSDT.csv": candles_csv(*minutes(9))},
        {"file_format": "tardis"},
        "not laid out as tardis",
        "leave --format out",
    ),
    "a cut archive": ({"BTCUSDT.csv.gz": b"\x1f\x8b\x08\x00\x00\x00"}, {}, "cannot be read", "again"),
    "a zone that is none": (
        {"BTCUSDT.csv": local("2024-01-01")},
        {"tz": "Mars"},
        "unknown time zone 'Mars' in --tz",
        "UTC",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path: Path, name: str) -> None:
    files, options, said, remedy = BAD[name]
    source = tmp_path / "in"
    for file, content in files.items():
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        (source / file).write_bytes(data)
    place = source if len(files) > 1 else source / next(iter(files))
    with pytest.raises(UserError) as failed:
        imported(place, tmp_path / "out", **options)
    text = str(failed.value)
    assert said in text
    assert remedy in text
    assert "\n" not in text
    assert [entry.name for entry in tmp_path.iterdir()] == ["in"]


def test_a_full_disk_leaves_the_old_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "BTCUSDT.csv").write_text(candles_csv(*minutes(9)))
    imported(tmp_path / "BTCUSDT.csv", tmp_path / "out")
    before = rows(tmp_path / "out", "candles", "BTCUSDT")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    with pytest.raises(UserError, match=r"out: cannot be written \(No space left on device\)"):
        imported(tmp_path / "BTCUSDT.csv", tmp_path / "out")
    assert rows(tmp_path / "out", "candles", "BTCUSDT").equals(before)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["BTCUSDT.csv", "out"]
