"""Digest, summary and files: the same bytes for the same run, whole or not at all."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest.core.enums import SCHEMA_VERSION
from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.results import table_file
from backtest.results.digest import digest
from backtest.results.ledger import balance
from backtest.results.metrics import metrics
from backtest.results.report_files import claim, read, write
from backtest.results.result import Result
from backtest.results.summary import build
from backtest.results.tables import SCHEMAS, tables
from backtest.results.trades import round_trips
from tests.examples import examples
from tests.unit.results_records import cross, idle, isolated


def result_of(record: Record, label: str) -> Result:
    frames = tables(record)
    summary = build(
        label=label,
        strategy={"name": "Hold", "params": {"size": 0.5}, "source": "0" * 64, "doc": "Holds."},
        config={"margin": record.margin, "cash": 100_000.0},
        data={"name": "hand", "symbols": record.symbols, "interval": "1d", "synthetic": True},
        seed=7,
        metrics=metrics(record, balance(record), round_trips(record)),
        counts=record.counts,
        digest=digest(frames),
        notes=["ETH-USD was settled at its last mark."],
    )
    return Result(label, summary, frames)


# Digest

CELLS: dict[str, tuple[pl.DataType, st.SearchStrategy[Any]]] = {
    "f": (pl.Float64(), st.floats() | st.none()),
    "i": (pl.Int64(), st.integers(-(2**63), 2**63 - 1) | st.none()),
    "s": (pl.String(), st.text(max_size=3) | st.none()),
    "b": (pl.Boolean(), st.booleans() | st.none()),
    "t": (
        pl.Datetime("ms", "UTC"),
        st.integers(0, 10**13).map(lambda ms: datetime.fromtimestamp(ms // 1000, UTC)) | st.none(),
    ),
}
ROW = st.tuples(*(cell for _, cell in CELLS.values()))
SCHEMA = pl.Schema({name: kind for name, (kind, _) in CELLS.items()})


def frame_of(cells: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(cells, schema=SCHEMA, orient="row")


def canonical(value: Any) -> Any:
    """What the digest must tell apart: all but the sign of zero and the kind of NaN."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value + 0.0)
    return value


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(ROW, max_size=6), st.lists(ROW, max_size=6), st.data())
def test_equal_digests_are_equal_values(one: list[Any], other: list[Any], data: st.DataObject) -> None:
    frame = frame_of(one)
    before = digest({"t": frame})
    cut = data.draw(st.integers(0, len(one)))
    chunked = pl.concat([frame[:cut], frame[cut:]], rechunk=False)
    assert digest({"t": chunked}) == before
    assert digest({"t": pl.concat([frame_of(other), frame])[len(other) :]}) == before  # a slice of something longer
    same = [[canonical(value) for value in row] for row in one] == [
        [canonical(value) for value in row] for row in other
    ]
    assert (digest({"t": frame_of(other)}) == before) == same


@settings(max_examples=100, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5), st.data())
def test_one_other_cell_is_another_digest(cells: list[Any], data: st.DataObject) -> None:
    row = data.draw(st.integers(0, len(cells) - 1))
    column = data.draw(st.integers(0, len(CELLS) - 1))
    cell = data.draw(list(CELLS.values())[column][1])
    changed = [list(old) for old in cells]
    changed[row][column] = cell
    same = canonical(cell) == canonical(cells[row][column])
    assert (digest({"t": frame_of(changed)}) == digest({"t": frame_of(cells)})) == same


def test_what_the_digest_covers() -> None:
    frame = pl.DataFrame({"a": ["x", "yz"], "b": [0.0, 1.0]})
    one = digest({"t": frame, "u": frame})
    assert digest({"u": frame, "t": frame}) == one
    others = [
        {"t": frame, "v": frame},
        {"t": frame},
        {"t": frame, "u": frame.rename({"a": "c"})},
        {"t": frame, "u": frame.select("b", "a")},
        {"t": frame, "u": frame.with_columns(pl.col("b").cast(pl.Int64))},
        {"t": frame, "u": frame.with_columns(a=pl.Series(["xy", "z"]))},
        {"t": frame, "u": frame.reverse()},
        {"t": frame, "u": frame.with_columns(b=pl.Series([None, 1.0]))},
    ]
    assert len({one, *(digest(other) for other in others)}) == 1 + len(others)
    assert digest({"t": frame, "u": frame.with_columns(b=-pl.col("b") * -1)}) == one


def test_there_is_one_nan() -> None:
    # The same table but for a NaN's sign and payload, which no reader can see.
    odd = np.array([0xFFF8000000000001], dtype=np.uint64).view(np.float64)
    assert digest({"t": pl.DataFrame({"x": odd})}) == digest({"t": pl.DataFrame({"x": [float("nan")]})})


def test_the_digest_is_fixed() -> None:
    # By hand: the framing of one table "t" with one column "x" of [1.5, null].
    import hashlib

    def block(body: bytes) -> bytes:
        return len(body).to_bytes(8, "little") + body

    by_hand = block(b"t") + struct.pack("<qq", 2, 1) + block(b"x") + block(b"Float64")
    by_hand += block(b"\x00\x01") + block(struct.pack("<dd", 1.5, 0.0))
    assert digest({"t": pl.DataFrame({"x": [1.5, None]})}) == hashlib.sha256(by_hand).hexdigest()


# Summary


def test_a_summary_is_plain_and_undefined_is_null() -> None:
    result = result_of(idle(), "cross")
    text = json.dumps(result.summary, allow_nan=False)
    assert json.loads(text) == result.summary
    assert result.metrics["sharpe"] is None
    libraries = {"numpy", "numba", "polars", "duckdb", "pyarrow", "plotly"}
    assert result.summary["versions"].keys() == {"backtest", "python"} | libraries
    assert result.digest == digest(result.tables)
    assert result.summary["schema_version"] == SCHEMA_VERSION


# Files


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_comes_back_as_it_was(tmp_path: Path) -> None:
    result = result_of(cross(), "cross")
    folder = write(tmp_path / "deep" / "run", result, "<html></html>", {"command": "backtest run"})
    assert set(files_in(folder)) == {"report.html", "summary.json", *(f"{name}.parquet" for name in SCHEMAS)}
    back = read(folder)
    assert isinstance(back, Result)
    assert back.summary == result.summary | {"command": "backtest run"}
    assert (back.label, back.digest) == ("cross", result.digest)
    for name, table in result.tables.items():
        assert back.tables[name].equals(table)
        assert back.tables[name].schema == table.schema
    metadata = pq.read_metadata(folder / "equity.parquet").metadata
    assert metadata[b"backtest.schema_version"] == str(SCHEMA_VERSION).encode()
    assert str(pq.read_schema(folder / "equity.parquet").field("ts").type) == "timestamp[ms, tz=UTC]"


def test_a_comparison_has_a_folder_per_label(tmp_path: Path) -> None:
    results = [result_of(isolated(), "isolated"), result_of(cross(), "cross")]
    folder = write(tmp_path / "both", results, "<html></html>", {"differences": {"return": float("nan")}})
    top = json.loads((folder / "summary.json").read_text())
    assert top["kind"] == "comparison"
    assert top["differences"] == {"return": None}
    assert top["runs"]["cross"] == results[1].summary
    assert {path.name for path in folder.iterdir()} == {"report.html", "summary.json", "isolated", "cross"}
    back = read(folder)
    assert isinstance(back, dict)
    assert {label: result.digest for label, result in back.items()} == {r.label: r.digest for r in results}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name, result_of(cross(), "cross"), "<html></html>") for name in ("one", "two"))
    assert files_in(one) == files_in(two)
    assert str(tmp_path) not in (one / "summary.json").read_text()


def test_an_earlier_report_is_replaced_whole(tmp_path: Path) -> None:
    both = [result_of(isolated(), "isolated"), result_of(cross(), "cross")]
    write(tmp_path / "run", both, "old")
    folder = write(tmp_path / "run", result_of(cross(), "cross"), "new")
    assert (folder / "report.html").read_text() == "new"
    assert not (folder / "isolated").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert isinstance(read(write(tmp_path / "run", result_of(idle(), "cross"), "")), Result)


@pytest.mark.parametrize("name", ["notes.txt", "summary.json"])
def test_a_folder_that_is_no_report_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"schema_version": "mine"}')
    with pytest.raises(UserError, match=f"^{tmp_path}: .*choose another --out"):
        write(tmp_path, result_of(idle(), "cross"), "")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_or_a_strangers_file_in_a_report_is_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "run", result_of(idle(), "cross"), "")
    (folder / "my notes.txt").write_text("do not lose me")
    with pytest.raises(UserError, match=r"holds my notes\.txt"):
        claim(folder)
    with pytest.raises(UserError, match="is a file"):
        claim(folder / "my notes.txt")
    with pytest.raises(UserError, match="cannot be written"):
        write(folder / "my notes.txt" / "run", result_of(idle(), "cross"), "")
    assert (folder / "my notes.txt").read_text() == "do not lose me"


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError, OSError])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_run_killed_while_writing_leaves_no_half_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException], earlier: bool
) -> None:
    target = tmp_path / "run"
    if earlier:
        write(target, result_of(isolated(), "isolated"), "earlier")
    before = files_in(tmp_path)
    whole, written = pl.DataFrame.write_parquet, []

    def failing(frame: pl.DataFrame, path: Path, **options: Any) -> None:
        assert files_in(target) == {name.removeprefix("run/"): body for name, body in before.items()}
        if len(written) == 5:
            raise fault
        written.append(path)
        whole(frame, path, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", failing)
    with pytest.raises(UserError if fault is OSError else fault):
        write(target, result_of(cross(), "cross"), "new")
    assert len(written) == 5
    assert files_in(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["run"] if earlier else [])


def test_a_strangers_file_in_an_accounts_folder_is_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "both", [result_of(cross(), "cross"), result_of(isolated(), "isolated")], "page")
    (folder / "cross" / "my notes.txt").write_text("do not lose me")
    with pytest.raises(UserError, match=r"holds cross/my notes\.txt, which is not part of the report there"):
        write(folder, result_of(idle(), "cross"), "")
    assert (folder / "cross" / "my notes.txt").read_text() == "do not lose me"


def test_no_report_is_written_through_a_link_or_a_bad_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "looping").symlink_to(tmp_path / "looping")
    for name in ("dangling", "looping"):
        with pytest.raises(UserError, match="is a symbolic link"):
            claim(tmp_path / name)
    with pytest.raises(UserError, match="cannot be written"):
        claim(tmp_path / "looping" / "run")
    with pytest.raises(UserError, match=r"cannot be written .File name too long"):
        claim(tmp_path / ("x" * 300))
    with pytest.raises(UserError, match=r"^/: is the root folder; choose another --out$"):
        claim("/")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UserError, match=r"run: cannot be written .No such file"):
        claim("run")


def damage(folder: Path, how: str) -> None:
    table, summary = folder / "fills.parquet", folder / "summary.json"
    match how:
        case "no summary":
            summary.unlink()
        case "half a summary":
            summary.write_text(summary.read_text()[:100])
        case "another version":
            ours = f'"schema_version": {SCHEMA_VERSION}'
            summary.write_text(summary.read_text().replace(ours, '"schema_version": 999'))
        case "no table":
            table.unlink()
        case "half a table":
            table.write_bytes(table.read_bytes()[:200])
        case "an edited table":
            pl.read_parquet(table).with_columns(pl.col("fee") * 2).write_parquet(table)
        case "no digest":
            summary.write_text(json.dumps({**json.loads(summary.read_text()), "digest": None}))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no summary", "not a report"),
        ("half a summary", "not a report"),
        ("another version", "schema version 999"),
        ("no table", r"fills\.parquet: the report lacks this table"),
        ("half a table", r"fills\.parquet: the table is damaged"),
        ("an edited table", "not those that the summary's digest"),
        ("no digest", "not those that the summary's digest"),
    ],
)
@pytest.mark.parametrize("large", [table_file.LARGE, -1])
def test_a_damaged_report_is_not_read(
    tmp_path: Path, how: str, message: str, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_file, "LARGE", large)
    folder = write(tmp_path / "run", result_of(cross(), "cross"), "")
    damage(folder, how)
    with pytest.raises(UserError, match=message) as failure:
        read(folder)
    assert "\n" not in str(failure.value)


def test_large_tables_are_read_in_pieces_and_stay_those_that_were_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_file, "LARGE", -1)
    folder = write(tmp_path / "run", result_of(cross(), "cross"), "")
    found = read(folder)
    assert isinstance(found, Result)
    write(folder, result_of(isolated(), "isolated"), "")
    expected = result_of(cross(), "cross").tables
    for name in expected:
        assert found.tables[name].equals(expected[name]), name
        assert found.tables[name].schema == expected[name].schema
    # What is damaged inside of a table is said when it is read.
    table = folder / "fills.parquet"
    whole = bytearray(table.read_bytes())
    whole[4:40] = bytes(36)
    table.write_bytes(whole)
    with pytest.raises(UserError, match=r"fills\.parquet: the table is damaged"):
        read(folder)


def test_a_missing_report_or_run_of_a_comparison_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such report"):
        read(tmp_path / "nothing")
    folder = write(tmp_path / "both", [result_of(cross(), "cross"), result_of(isolated(), "isolated")], "")
    damage(folder / "isolated", "no summary")
    with pytest.raises(UserError, match="the run 'isolated' is missing"):
        read(folder)
