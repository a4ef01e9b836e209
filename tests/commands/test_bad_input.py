"""Bad input: one line on standard error that names the thing, the place and what to do; and nothing left behind.

Each case spoils one thing of a small market that is otherwise sound, and runs a whole command on it. Exit 2 for what
the user can correct before a run, 1 for a strategy that fails in one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.small_market import HOLD, START, Ended, candles, entries, funding, hook, one_line, process, put, series

PART = "candles/symbol=BTC-USD/part.parquet"
FIVE = "BTC-USD candles at 2024-03-01T05:00Z in market/candles/symbol=BTC-USD/part.parquet"
AGAIN = "write the file anew"

# ---- data: each spoils the dataset, and says what the line must say


def spoil(column: str, value: float | None, row: int = 5, kind: str = "candles") -> Callable[[Path], None]:
    """One value of one column: by default in the candle of 05:00."""
    changed = pl.when(pl.int_range(pl.len()) == row).then(value).otherwise(column).alias(column)
    return swap(lambda frame: frame.with_columns(changed), kind)


def reorder(rows: list[int], kind: str = "candles") -> Callable[[Path], None]:
    return swap(lambda frame: frame[rows + list(range(len(rows), frame.height))], kind)


def swap(change: Callable[[pl.DataFrame], pl.DataFrame], kind: str = "candles") -> Callable[[Path], None]:
    def swapped(data: Path) -> None:
        put(change(series(kind)), data, kind)

    return swapped


def text(file: str, content: str) -> Callable[[Path], None]:
    def write(data: Path) -> None:
        (data / file).write_text(content)

    return write


def cut_off(data: Path) -> None:
    (data / PART).write_bytes((data / PART).read_bytes()[:-100])


def emptied(data: Path) -> None:
    (data / PART).write_bytes(b"")


def garbled(file: str) -> Callable[[Path], None]:
    """The footer is whole, a page before it is not."""

    def garble(data: Path) -> None:
        content = bytearray((data / file).read_bytes())
        content[8:200] = b"\xff" * 192
        (data / file).write_bytes(content)

    return garble


def finer(data: Path) -> None:
    put(candles(every=15), data, "candles", "ETH-USD")


def shifted(data: Path) -> None:
    put(candles().with_columns(pl.col("ts") + timedelta(minutes=7)), data, "candles", "ETH-USD")


def no_funding(data: Path) -> None:
    shutil.rmtree(data / "funding")


def hole_in_funding(data: Path) -> None:
    put(funding().filter(pl.col("ts") != START + timedelta(hours=16)), data, "funding")


def no_candles(data: Path) -> None:
    shutil.rmtree(data / "candles")


def no_rows(data: Path) -> None:
    for symbol in ("BTC-USD", "ETH-USD"):
        put(candles().clear(), data, "candles", symbol)


def two_types_of_time(data: Path) -> None:
    put(candles(), data, "candles").rename(data / "candles/symbol=BTC-USD/a.parquet")
    put(candles().with_columns(pl.col("ts").dt.cast_time_unit("us")), data, "candles")


DATA: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "no folder": (shutil.rmtree, ("market: no such folder", "backtest data sample")),
    "no candles": (no_candles, ("market: it holds no candles", "candles/symbol=NAME")),
    "no rows": (no_rows, ("market: it holds no candles",)),
    "an empty file": (emptied, (f"market/{PART}: the file is empty", AGAIN)),
    "a file cut off": (cut_off, (f"market/{PART}: not a whole Parquet file", "cut off", AGAIN)),
    "text for Parquet": (
        text(PART, "ts,open\n1,2\n" * 9),
        (f"market/{PART}: this is a CSV file, not a Parquet file; import it with: backtest data import",),
    ),
    "garbled candles": (garbled(PART), (f"market/{PART}: cannot be read",)),
    "garbled marks": (
        garbled("mark/symbol=BTC-USD/part.parquet"),
        ("market/mark/symbol=BTC-USD/part.parquet: cannot",),
    ),
    "garbled funding": (
        garbled("funding/symbol=ETH-USD/part.parquet"),
        ("market/funding/symbol=ETH-USD/part.parquet:",),
    ),
    "no close": (swap(lambda f: f.drop("close")), (f"market/{PART}: no column 'close'", "it has ts, open, high, low,")),
    "no ts": (swap(lambda f: f.rename({"ts": "time"})), (f"market/{PART}: no column 'ts'",)),
    "no volume": (swap(lambda f: f.drop("volume")), (f"market/{PART}: no column 'volume'",)),
    "close is text": (
        swap(lambda f: f.cast({"close": pl.String})),
        (f"market/{PART}: column 'close' is text, not a number",),
    ),
    "ts is text": (
        swap(lambda f: f.cast({"ts": pl.String})),
        (f"market/{PART}: column 'ts' is text, not a timestamp",),
    ),
    "ts is in seconds": (
        swap(lambda f: f.with_columns(pl.col("ts").dt.epoch("s"))),
        (f"market/{PART}: ts goes from 1709251200 to 1709420400, which are no milliseconds", "convert seconds"),
    ),
    "ts is in microseconds": (
        swap(lambda f: f.with_columns(pl.col("ts").dt.epoch("us"))),
        (f"market/{PART}: ts goes from 1709251200000000 to 17094", "convert seconds, microseconds"),
    ),
    "ts is a date": (
        swap(lambda f: f.cast({"ts": pl.Date})),
        (f"market/{PART}: column 'ts' is date32[day], not a timestamp",),
    ),
    "two types of time": (two_types_of_time, ("part.parquet: ts is timestamp[us", "a.parquet", "one type")),
    "NaN": (spoil("close", float("nan")), (f"{FIVE}: close is nan, not a finite price above zero", "data check")),
    "null": (spoil("high", None), (f"{FIVE}: high is",)),
    "infinite": (spoil("high", float("inf")), (f"{FIVE}: high is inf",)),
    "negative": (spoil("low", -1.0), (f"{FIVE}: low is -1.0, not a finite price above",)),
    "a high below the low": (spoil("high", 1.0), (f"{FIVE}: high 1.0 is below low ", "data check")),
    "zero": (spoil("open", 0.0), (f"{FIVE}: open is 0.0",)),
    "a negative volume": (spoil("volume", -1.0), (f"{FIVE}: volume is -1.0",)),
    "a negative mark": (spoil("low", -1.0, kind="mark"), ("BTC-USD mark at 2024-03-01T05:00Z", "low is -1.0")),
    "a rate of NaN": (
        spoil("rate", float("nan"), 2, "funding"),
        ("BTC-USD funding at 2024-03-01T16:00Z", "rate is nan"),
    ),
    "unsorted": (reorder([0, 2, 1]), ("BTC-USD candles at 2024-03-01T01:00Z", "it comes after 2024-03-01T02:00Z")),
    "twice": (
        reorder([0, 1, 1]),
        ("BTC-USD candles at 2024-03-01T01:00Z", "a stamp that is there twice", "data check"),
    ),
    "unsorted funding": (reorder([0, 2, 1], "funding"), ("BTC-USD funding at 2024-03-01T08:00Z", "unsorted")),
    "funding twice": (reorder([0, 1, 1], "funding"), ("BTC-USD funding at 2024-03-01T08:00Z", "there twice")),
    "two intervals": (finer, ("market: ETH-USD has 15m candles, the dataset 1h", "--symbols")),
    "off the grid": (shifted, ("ETH-USD candles at 2024-03-01T00:07Z", "off the grid of 1h candles")),
    "no funding": (no_funding, ("market: no funding data for BTC-USD, ETH-USD", "--allow missing-funding")),
    "a missing settlement": (
        hole_in_funding,
        ("funding settlement of BTC-USD at 2024-03-01T16:00", "position is open", "--allow missing-funding"),
    ),
    "a manifest that is no TOML": (
        text("dataset.toml", "[dataset]\ninterval = 1h\n"),
        ("market/dataset.toml", "line 2"),
    ),
    "an unknown key": (
        text("dataset.toml", '[dataset]\nintervall = "1h"\n'),
        ("market/dataset.toml line 2: unknown key 'intervall'; did you mean 'interval'?",),
    ),
    "a bad step": (
        text("dataset.toml", "[symbols.BTC-USD]\nstep = -1\n"),
        ("market/dataset.toml line 2: step of BTC-USD is not a number above zero",),
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_spoiled_data(place: Path, command: Callable[..., Ended], name: str) -> None:
    spoils, said = DATA[name]
    spoils(place / "market")
    before = entries(place)
    one_line(command("run", "hold.py", "--data", "market", "--out", "report"), 2, *said)
    assert entries(place) == before


# ---- the command line: words that are not known, numbers that cannot be

RUN = "run hold.py --data market --out report "

USAGE: dict[str, tuple[str, ...]] = {
    RUN + "--symbols BTC-USX": ("unknown symbol 'BTC-USX' in --symbols (did you mean 'BTC-USD'?)",),
    RUN + "--symbols BTC-USD,ETC-USD": ("unknown symbol 'ETC-USD' in --symbols (did you mean 'ETH-USD'?)",),
    RUN + "--venue generik": ("unknown venue 'generik'", "did you mean 'generic'?"),
    RUN + "--venue none.toml": ("none.toml: no such venue file", "generic"),
    RUN + "--margin cros": ("unknown margin mode 'cros'", "did you mean 'cross'?"),
    RUN + "--margin pooled": ("unknown margin mode 'pooled'", "known: cross, isolated, portfolio"),
    RUN + "--margin cross,DOGE-USD": ("unknown margin mode 'DOGE-USD'", "write SYMBOL=isolated for one market"),
    RUN + "--margin cross,isolated": ("--margin: margin modes cross, isolated", "backtest compare"),
    RUN + "--margin portfolio --venue bybit_linear": ("--margin: margin mode 'portfolio': the profile of", "say cross"),
    RUN + "--margin portfolio,BTC-USD=isolated --venue gmx_v2": ("gmx_v2 does not offer it", "say isolated"),
    RUN + "--margin portfolio --sub-accounts --venue okx_swap": ("the profile of okx_swap has no figures for it",),
    "latency hold.py --data market --margin portfolio --venue dydx_v4": ("dydx_v4 does not offer it", "say cross"),
    "compare hold.py --data market --margin portfolio --venue drift_v2": ("drift_v2 does not offer it", "say cross"),
    RUN + "--margin cross,BTC-USX=isolated": ("unknown symbol 'BTC-USX' in --margin (did you mean 'BTC-USD'?)",),
    RUN + "--margin cross,BTC-USD=portfolio": ("unknown margin mode 'portfolio'", "known: cross, isolated"),
    RUN + "--path worse": ("unknown path 'worse'", "did you mean 'worst'?"),
    RUN + "--allow missing-fundings": ("'missing-fundings' in --allow (did you mean 'missing-funding'?)",),
    RUN + "-p sise=2": ("Hold: unknown parameter 'sise'", "did you mean 'size'?"),
    RUN + "-p size=11": ("parameter size = 11.0 is out of range", "a number > 0 and ≤ 10"),
    RUN + "-p size=much": ("parameter size = 'much'", "a number > 0 and ≤ 10"),
    RUN + "-p size=nan": ("parameter size = 'nan'", "a number > 0 and ≤ 10"),
    RUN + "-p pause=2.5": ("parameter pause = '2.5'", "a whole number from 1 to 24"),
    RUN + "-p mode=lung": ("parameter mode = 'lung'", "did you mean 'long'?"),
    RUN + "-p fast=maybe": ("parameter fast = 'maybe'", "true or false"),
    RUN + "-p size": ("'size' is not NAME=VALUE in -p (write it like",),
    RUN + "-p =2": ("'=2' is not NAME=VALUE in -p (write it like",),
    RUN + "-p size=1 -p size=2": ("'size' is given twice",),
    RUN + "--from 2024-13-01": ("invalid value '2024-13-01' in --start", "2024-03-12T10:30"),
    RUN + "--from 2024-03-02 --to 2024-03-02": ("--start and --end: the period ends before it begins",),
    RUN + "--from 2025-01-01": ("no candles from 2025-01-01T00:00Z to the end", "2024-03-01T00:00Z to 2024-03-02T23"),
    RUN + "--to 2023-01-01": ("no candles from the start to 2023-01-01T00:00Z",),
    RUN + "--cash 0": ("invalid value '0' in --cash (give a number from 0.01 to 1,000,000,000)",),
    RUN + "--cash -5": ("invalid value '-5' in --cash",),
    RUN + "--cash lots": ("invalid value 'lots' in --cash",),
    RUN + "--leverage 0": ("invalid value '0' in --leverage (give max, or a number from 0.01 to 1,000)",),
    RUN + "--leverage nan": ("invalid value 'nan' in --leverage",),
    RUN + "--leverage 0.001": ("invalid value '0.001' in --leverage",),
    RUN + "--cash 1e10": ("invalid value '1e10' in --cash",),
    RUN + "--latency-ms -1": ("invalid value '-1' in --latency-ms (give a whole number from 0 to 2,592,000,000)",),
    RUN + "--slippage-bps -1": ("invalid value '-1' in --slippage-bps (give a number from 0 to 10,000)",),
    RUN + "--seed x": ("invalid value 'x' in --seed (give a whole number from 0 to 9,223,372,036,854,775,807)",),
    "run --data market": ("STRATEGY",),
    "run hold.py": ("--data",),
    "run hold.py --data markt": ("markt: no such folder", "did you mean 'market'?"),
    "compare hold.py --data market --margin cross,cros": ("unknown margin mode 'cros'", "did you mean 'cross'?"),
    "compare hold.py --data market --margin cross,cross": ("--margin: margin modes cross, cross", "name each mode"),
    "run sma_crosss --data market": ("no strategy is named 'sma_crosss'", "did you mean 'sma_cross'?"),
    "run holt.py --data market": ("holt.py: no such file", "did you mean 'hold.py'?"),
    "run hold.py:Holt --data market": ("hold.py: no class Holt", "did you mean 'Hold'?"),
    "run nowhere.module:Hold --data market": ("nowhere.module: no module named 'nowhere'",),
    "run hedged_pair --data market -p long=BTC-USX": ("BTC-USX", "did you mean 'BTC-USD'?"),
    "verify nothing": ("nothing: no such report", "summary.json"),
    "verify market": ("market: not a report",),
    "demo hold.py": ("hold.py: is a file, not a report's folder",),
    "data info markt": ("markt: no such folder", "did you mean 'market'?"),
    "data sample market": ("market: holds files that are not a sample",),
    "data sample new --interval 7m": ("7m",),
    "venues show generik": ("did you mean 'generic'?",),
}  # fmt: skip


@pytest.mark.parametrize("arguments", USAGE)
def test_bad_usage(place: Path, command: Callable[..., Ended], arguments: str) -> None:
    before = entries(place)
    one_line(command(*arguments.split()), 2, *USAGE[arguments])
    assert entries(place) == before


def test_a_settlement_that_nobody_holds_may_be_missing(place: Path, command: Callable[..., Ended]) -> None:
    """It is an error only while a position is open; it is counted when it is allowed."""
    hole_in_funding(place / "market")
    (place / "odd.py").write_text(hook("on_candle", "pass"))
    assert command("run", "odd.py", "--data", "market", "--out", "report").code == 0
    done = command("run", "hold.py", "--data", "market", "--allow", "missing-funding", "--out", "report")
    assert done.code == 0
    assert "no funding paid at 1 settlement that is missing." in done.out.splitlines()[0]


VENUE = 'name = "v"\nsource = "s"\ndate = 2026-01-01\nquote = "USD"\n[defaults]\n'
VENUES = {
    "broken TOML": ("name = generic\n", ("v.toml: not readable as TOML", "line 1")),
    "an unknown key": (
        VENUE + "initail = 0.1\n",
        ("defaults.initail: unknown key; did you mean 'initial'?",),
    ),
    "a rate above one": (VENUE + "penalty = 3\n", ("v.toml:6: defaults.penalty: ", "less than or equal to 1")),
    "maintenance above initial": (VENUE + "initial = 0.05\nmaintenance = 0.06\n", ("v.toml:5: defaults: maintenance",)),
    "something missing": ('name = "v"\n', ("v.toml:1: source: is missing",)),
}


@pytest.mark.parametrize("name", VENUES)
def test_a_venue_with_an_error(place: Path, command: Callable[..., Ended], name: str) -> None:
    content, said = VENUES[name]
    (place / "v.toml").write_text(content)
    one_line(command("run", "hold.py", "--data", "market", "--venue", "v.toml", "--out", "report"), 2, *said)
    assert not (place / "report").exists()


# ---- folders and reports


def test_a_folder_that_is_not_ours_is_left_alone(place: Path, command: Callable[..., Ended]) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "letter.txt").write_text("dear")
    run = ("run", "hold.py", "--data", "market", "--out")
    one_line(command(*run, "mine"), 2, "mine: holds something that is not a report, and is left alone", "--out")
    one_line(command(*run, "market"), 2, "market: holds something that is not a report")
    one_line(command(*run, "hold.py"), 2, "hold.py: is a file")
    one_line(command(*run, "hold.py/report"), 2, "hold.py/report: cannot be written", "hold.py is a file")
    assert command(*run, "report").code == 0
    (place / "report" / "letter.txt").write_text("dear")
    one_line(command(*run, "report"), 2, "report: holds letter.txt, which is not part of the report there")
    assert (place / "mine" / "letter.txt").read_text() == "dear"


def test_a_folder_that_cannot_be_written(place: Path) -> None:
    """Every file that is written is cut off at 4 KB, as on a full disk; the report there before stays whole."""
    run = ("run", "hold.py", "--data", "market", "--out", "report")
    assert process(place, *run).code == 0
    before = {file: file.read_bytes() for file in (place / "report").iterdir()}
    limited = process(place, *run, before=("bash", "-c", 'ulimit -f 4; exec "$@"', "-"))
    one_line(limited, 2, "report: the report cannot be written", "--out")
    assert {file: file.read_bytes() for file in (place / "report").iterdir()} == before
    assert sorted(path.name for path in place.iterdir()) == ["hold.py", "market", "report"]


def edit(report: Path, **changes: Any) -> None:
    """Change entries of a report's summary."""
    summary = json.loads((report / "summary.json").read_text())
    (report / "summary.json").write_text(json.dumps(summary | changes))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a table is cut off": (lambda r: (r / "fills.parquet").write_bytes(b"PAR1"), "fills.parquet: the table is damaged"),
    "a table is missing": (lambda r: (r / "equity.parquet").unlink(), "equity.parquet: the report lacks this table"),
    "the summary is no JSON": (lambda r: (r / "summary.json").write_text("{"), "report: not a report"),
    "the summary is of another version": (
        lambda r: edit(r, schema_version=9),
        "report: the report has schema version 9, this is 4",
    ),
    "the summary lacks its settings": (lambda r: edit(r, config={}), "report: summary.json has no 'data'"),
    "the data have gone": (lambda r: shutil.rmtree(r.parent / "market"), "market: the report's data are no longer"),
    "the strategy has gone": (lambda r: (r.parent / "hold.py").unlink(), "hold.py: no such file"),
    "the page is no text": (lambda r: (r / "report.html").write_bytes(b"\xff"), "report.html: the page cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_verify_of_a_damaged_report(place: Path, command: Callable[..., Ended], name: str) -> None:
    damage, said = DAMAGE[name]
    assert command("run", "hold.py", "--data", "market", "--out", "report").code == 0
    damage(place / "report")
    one_line(command("verify", "report"), 2, said)


# ---- the same as a user starts it: another process

STARTED: dict[str, tuple[int, str]] = {
    "run hold.py --data nowhere": (2, "error: nowhere: no such folder; name a dataset"),
    "run hold.py --data market --symbols BTC": (2, "error: unknown symbol 'BTC' in --symbols (did you mean"),
    "run hold.py --data market --margin isolate": (2, "error: unknown margin mode 'isolate' in --margin (did"),
    "run hold.py --data market -p size=0": (2, "error: Hold: parameter size = 0.0 is out of range"),
    "run hold.py --data market --leverag 3": (2, "error: No such option '--leverag'. Did you mean '--leverage'?"),
    "run syntax.py --data market": (2, "error: syntax.py:1: syntax error"),
    "run raises.py --data market": (1, "error: raises.py:12, Odd.on_candle, 2024-03-01 01:00:00Z: ZeroDivisionError"),
    "run word.py --data market": (1, "error: word.py:12, Odd.on_candle, 2024-03-01 01:00:00Z: order for BTC-USD"),
    "compare raises.py --data market": (1, "error: raises.py:12, Odd.on_candle"),
    "compare hold.py --data broken": (2, "error: broken/candles/symbol=BTC-USD/part.parquet: the file is empty"),
    "data info broken": (2, "error: broken/candles/symbol=BTC-USD/part.parquet: the file is empty"),
    "data check nowhere": (2, "error: nowhere: no such folder"),
    "verify nowhere": (2, "error: nowhere: no such report"),
    "strategies new class": (2, "error: 'class' cannot be the name of a strategy"),
}  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, compiled: None) -> Path:
    """A folder for processes, which change nothing in it."""
    desk = tmp_path_factory.mktemp("desk")
    put(candles(), desk / "market", "candles")
    put(funding(), desk / "market", "funding")
    emptied_file = put(candles(), desk / "broken", "candles")
    emptied_file.write_bytes(b"")
    (desk / "hold.py").write_text(HOLD)
    (desk / "syntax.py").write_text("class Odd(:\n")
    (desk / "raises.py").write_text(hook("on_candle", "1 / 0"))
    (desk / "word.py").write_text(hook("on_candle", "account.buy('BTC-USD', 'all')"))
    return desk


@pytest.mark.parametrize("arguments", STARTED)
def test_as_a_user_starts_it(desk: Path, arguments: str) -> None:
    code, said = STARTED[arguments]
    before = entries(desk)
    done = process(desk, *arguments.split())
    one_line(done, code)
    assert done.err.startswith(said)
    assert entries(desk) == before


def test_traceback_shows_where_it_came_from(desk: Path) -> None:
    done = process(desk, "run", "raises.py", "--data", "market", "--traceback")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError: division by zero" in done.err
    assert done.err.splitlines()[-1].startswith("error: raises.py:12, Odd.on_candle")
