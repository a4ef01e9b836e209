"""A plain CSV file is read in a quick way; a packed copy, which only the exact reader takes, gives the same."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from backtest.core.errors import UserError
from tests.unit.import_layouts import START, imported

HEADER = "open_time,open,high,low,close,volume,trades,ignore"
ROWS = [f"{START + 60_000 * n},10.5,11.25,9,10.125,{n % 7},{n},0" for n in range(300)]
LATE = 250
"""Row behind those from which the columns are told."""


def changed(change: Callable[[str], str]) -> str:
    return "\n".join([HEADER, *ROWS[:LATE], change(ROWS[LATE]), *ROWS[LATE + 1 :], ""])


TEXTS = {
    "plain": changed(str),
    "crlf": changed(str).replace("\n", "\r\n"),
    "an empty line": changed(lambda row: row + "\n"),
    "a column too many behind those that are read": changed(lambda row: row + ",1"),
    "a column too few behind those that are read": changed(lambda row: row[:-2]),
    "a line that is cut": changed(lambda row: row[:20]),
    "quotes": changed(lambda row: row.replace("10.5", '"10.5"')),
    "a comma in quotes": changed(lambda row: row.replace("250,0", '"250,1",0')),
    "not a number": changed(lambda row: row.replace("10.5", "n/a")),
    "no number": changed(lambda row: row.replace("10.5", "NaN")),
    "an exponent": changed(lambda row: row.replace("10.5", "1.05e1")),
    "a semicolon and decimal commas": changed(str).replace(",", ";").replace(".", ","),
    "a comment before the header": "https://www.example.com\n" + changed(str),
    "unsorted": "\n".join([HEADER, *reversed(ROWS), ""]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_quick_way_gives_what_the_exact_one_gives(tmp_path: Path, name: str) -> None:
    plain, packed = tmp_path / "BTCUSDT-1m.csv", tmp_path / "BTCUSDT-1m.csv.gz"
    plain.write_bytes(TEXTS[name].encode())
    packed.write_bytes(gzip.compress(TEXTS[name].encode(), 1))
    assert outcome(plain, tmp_path / "one") == outcome(packed, tmp_path / "two")


def outcome(file: Path, target: Path) -> bytes | str:
    """The bytes that are written, or the error without the file's name."""
    try:
        imported(file, target)
    except UserError as error:
        assert not target.exists()
        return str(error).replace(str(file), "FILE")
    return (target / "candles" / "symbol=BTCUSDT" / "part.parquet").read_bytes()
