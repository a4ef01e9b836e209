"""The one writer of datasets: the same bytes however rows are cut, and nothing written that a run would refuse."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.dataset_writer import GROUP_ROWS, DatasetWriter, write_dataset
from backtest.data.manifest import Change, Head, Manifest, MarketFacts, Step, manifest_text, read_manifest
from tests.unit.feed_datasets import HOUR, MIN, T0

MADE = "backtest data import"
NAMES = ("open", "high", "low", "close", "volume")


def rows(count: int, start: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    price = 100.0 + np.arange(start, start + count) % 7
    t = T0 + MIN * np.arange(start, start + count)
    return t, {"open": price, "high": price + 1, "low": price - 1, "close": price + 0.5, "volume": price / 3}


def write(folder: Path, count: int, cuts: list[int]) -> Path:
    with write_dataset(folder, MADE) as writer, writer.series("candles", "BTC-USD") as series:
        for start, stop in zip([0, *cuts], [*cuts, count], strict=True):
            series.write(*rows(stop - start, start))
        writer.manifest = Manifest(dataset=Head(interval=MIN, quote="USDT"))
    return folder


def test_batches_of_any_size_give_the_same_bytes(tmp_path: Path) -> None:
    count = 2 * GROUP_ROWS + 1_000
    one = write(tmp_path / "one", count, [])
    many = write(tmp_path / "many", count, [1, 2, 30_000, GROUP_ROWS, GROUP_ROWS + 1, 130_000])
    part = Path("candles/symbol=BTC-USD/part.parquet")
    assert (one / part).read_bytes() == (many / part).read_bytes()
    held = pq.ParquetFile(one / part)
    assert [held.metadata.row_group(n).num_rows for n in range(3)] == [GROUP_ROWS, GROUP_ROWS, 1_000]
    table = held.read()
    t, columns = rows(count)
    assert np.array_equal(table["ts"].cast("int64").to_numpy(), t)
    assert all(np.array_equal(table[name].to_numpy(), columns[name]) for name in NAMES)
    assert Catalog.open(one).manifest.generator == MADE


@pytest.mark.parametrize(
    ("at", "name", "value", "said"),
    [
        (5, "t", T0 + 4 * MIN, "candles at 2023-11-15T00:04Z in a.csv: a stamp that is there twice"),
        (5, "t", T0, "at 2023-11-15T00:00Z in a.csv: unsorted: it comes after 2023-11-15T00:04Z"),
        (3, "t", T0, "at 2023-11-15T00:00Z in a.csv: unsorted"),
        (7, "high", np.inf, "at 2023-11-15T00:07Z in a.csv: high is inf, not a finite price above zero"),
        (7, "close", np.nan, "close is nan, not a finite price above zero"),
        (7, "low", 0.0, "low is 0.0, not a finite price above zero"),
        (7, "volume", -1.0, "volume is -1.0, not a finite number, zero or more"),
        (7, "high", 1.0, "high 1.0 is below low 99.0"),
    ],
)
def test_rows_that_a_run_would_refuse_are_named_and_nothing_is_left(
    tmp_path: Path, at: int, name: str, value: float, said: str
) -> None:
    t, columns = rows(10)
    target = t if name == "t" else columns[name]
    target[at] = value
    with (  # noqa: PT012  the rows come in two batches
        pytest.raises(UserError) as failed,
        write_dataset(tmp_path / "made", MADE) as writer,
        writer.series("candles", "X", "a.csv") as series,
    ):
        series.write(t[:3], {n: c[:3] for n, c in columns.items()})
        series.write(t[3:], {n: c[3:] for n, c in columns.items()})
    assert said in str(failed.value)
    assert list(tmp_path.iterdir()) == []


def test_only_a_dataset_of_the_same_command_is_replaced(tmp_path: Path) -> None:
    made = write(tmp_path / "made", 10, [])
    write(made, 20, [])
    assert Catalog.open(made).markets["BTC-USD"].rows == 20
    with (
        pytest.raises(UserError, match="made: holds files that are not a sample; name a new folder"),
        write_dataset(made, "backtest sample", "sample"),
    ):
        pass
    (made / "notes.txt").write_text("keep me")
    with pytest.raises(UserError, match=r"holds notes\.txt, which is not part"):
        write(made, 10, [])
    assert Catalog.open(made).markets["BTC-USD"].rows == 20


@pytest.mark.parametrize("symbol", ["", "../x", "a\\b", "a\x1b"])
def test_symbols_that_no_folder_can_have(tmp_path: Path, symbol: str) -> None:
    writer = DatasetWriter(tmp_path)
    with pytest.raises(UserError, match="cannot be a symbol"), writer.series("candles", symbol):
        pass


def test_what_is_written_into_a_manifest_is_read_back(tmp_path: Path) -> None:
    facts = MarketFacts(
        step=Decimal("0.00001"), tick=Decimal("1E-8"), min_notional=Decimal(5), listed=T0 + 1, mark_interval=8 * HOUR
    )
    changes = (Change(what='a "quoted" word', symbol="B", series="candles", rows=3, first=T0, last=T0 + MIN),)
    manifest = Manifest(
        dataset=Head(interval=MIN, quote="USDT", venue="binance", funding_interval=HOUR),
        symbols={"B": facts, "A b.c": MarketFacts(step=Decimal(1)), "none": MarketFacts()},
        history=(Step(command=MADE, source="ä.zip", changes=changes), Step(command="backtest data repair")),
    )
    text = manifest_text(manifest)
    (tmp_path / "dataset.toml").write_text(text, "utf-8")
    found = read_manifest(tmp_path / "dataset.toml")
    assert found == manifest.model_copy(update={"symbols": {k: v for k, v in manifest.symbols.items() if k != "none"}})
    assert manifest_text(found) == text
    assert (found.steps, found.ticks) == ({"A b.c": 1_000_000, "B": 10}, {"B": 1e-8})
    assert tomllib.loads(text)["symbols"]["B"]["tick"] == 1e-8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[symbols.X]\nlisted = 5", "line 2: listed of X is not a time; write 2024-03-12"),
        ("[symbols.X]\nmin_notional = 0", "line 2: min_notional of X is not a number above zero"),
        ('[symbols.X]\nmark_interval = "1 h"', "line 2: mark_interval of X: '1 h' is not an interval"),
        ("[history]\ncommand = 'x'", r"line 1: history is not a list of tables; write each as [[history]]"),
        ("[[history]]\nsource = 'x'", "line 1: command is missing; add it"),
        (
            "[[history]]\ncommand = 'x'\n[[history]]\ncommnd = 'y'",
            "line 4: unknown key 'commnd'; did you mean 'command'?",
        ),
        ("[[history]]\ncommand = 'x'\n[[history.changes]]\nrows = -1\nwhat = ''", "line 4: rows is below zero"),
        ("[[history]]\ncommand = 'x'\n[[history.changes]]\nrow = 1", "line 4: unknown key 'row'; did you mean 'rows'?"),
    ],
)
def test_mistakes_in_a_manifest_are_named_by_their_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "dataset.toml"
    file.write_text(text)
    with pytest.raises(UserError) as failed:
        read_manifest(file)
    assert str(failed.value).startswith(f"{file} {said}")
