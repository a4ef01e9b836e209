"""Tables that are not Parquet: the error says what they are, and its command makes a dataset of them."""

from __future__ import annotations

import errno
import gzip
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import Strategy, UserError
from backtest.cli import main
from backtest.data import source
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.select import select
from tests.unit.feed_datasets import HOUR, T0, candles, flat

FRAME = pl.DataFrame(
    {
        "ts": pl.Series([T0 + k * HOUR for k in range(24)]).cast(pl.Datetime("ms", "UTC")),
        **{name: [100.0 + k for k in range(24)] for name in ("open", "high", "low", "close")},
        "volume": [1.0] * 24,
    }
)
MS = FRAME.with_columns(pl.col("ts").dt.epoch("ms"))

WRITTEN: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "CSV": ("BTC.csv", "a CSV file", FRAME.write_csv),
    "CSV in ms": ("BTC.csv", "a CSV file", MS.write_csv),
    "CSV with semicolons": ("BTC.txt", "a CSV file with semicolons", lambda at: MS.write_csv(at, separator=";")),
    "TSV": ("BTC.tsv", "a TSV file", lambda at: FRAME.write_csv(at, separator="\t")),
    "CSV that is called Parquet": ("BTC.parquet", "a CSV file", FRAME.write_csv),
    "Feather": ("BTC.feather", "a Feather (Arrow IPC) file", FRAME.write_ipc),
    "Arrow stream": ("BTC.arrow", "an Arrow IPC stream", FRAME.write_ipc_stream),
    "JSON": ("BTC.json", "a JSON file", FRAME.write_json),
    "JSON in ms": ("BTC.json", "a JSON file", MS.write_json),
    "JSON lines": ("BTC.jsonl", "JSON lines", FRAME.write_ndjson),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_the_error_names_the_kind_and_its_command_imports_it(tmp_path: Path, kind: str) -> None:
    name, what, write = WRITTEN[kind]
    write(tmp_path / name)
    with pytest.raises(UserError) as raised:
        Catalog.open(tmp_path / name)
    said = str(raised.value)
    assert said.startswith(
        f"{tmp_path / name}: this is {what}, not a Parquet file; import it with: backtest data import "
    )
    assert len(said.splitlines()) == 1
    words = shlex.split(said.partition("backtest ")[2])
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(tmp_path / "made")])
    assert not ended.value.code
    catalog = Catalog.open(tmp_path / "made")
    panel = next(select(catalog).chunks(100)).panel
    assert (catalog.market("BTC").first_ms, catalog.interval_ms) == (T0, HOUR)
    assert panel[3, :, 0].tolist() == FRAME["close"].to_list()


def test_a_file_that_may_not_be_opened_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> object:
        raise PermissionError(errno.EACCES, "Permission denied")

    file = tmp_path / "BTC-USD.parquet"
    file.write_bytes(b"x" * 100)
    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(source, "_footer", refused)
    with pytest.raises(UserError, match=r"BTC-USD.parquet: cannot be read \(Permission denied\); make it readable"):
        source.read_file(file, "candles", symbol_column=False)


def test_what_must_be_unpacked_first_and_what_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "BTC.csv.gz").write_bytes(gzip.compress(FRAME.write_csv().encode()))
    with pytest.raises(
        UserError, match="this is a gzip file, not a Parquet file; import it with: backtest data import"
    ):
        Catalog.open(tmp_path / "BTC.csv.gz")
    for name, content in (
        ("prose.txt", b"a letter\nof two lines\n"),
        ("noise", bytes(range(1, 256))),
        ("cut", b"PAR1,,,,"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="not a whole Parquet file"):
            Catalog.open(tmp_path / name)


def test_a_folder_of_other_tables_says_so(tmp_path: Path) -> None:
    place = tmp_path / "candles" / "symbol=BTC"
    place.mkdir(parents=True)
    FRAME.write_csv(place / "part.csv")
    FRAME.write_csv(tmp_path / "prices.csv")
    with pytest.raises(UserError, match=r"symbol=BTC/part\.csv: this is a CSV file"):
        Catalog.open(tmp_path)
    (place / "part.csv").unlink()
    with pytest.raises(UserError, match=r"symbol=BTC: holds no \*\.parquet file"):
        Catalog.open(tmp_path)
    place.rmdir()
    with pytest.raises(UserError, match=r"prices\.csv: this is a CSV file"):
        Catalog.open(tmp_path)
    (tmp_path / "prices.csv").unlink()
    with pytest.raises(UserError, match="it holds no candles"):
        Catalog.open(tmp_path)
    # Beside a sound dataset they are nobody's business.
    candles(tmp_path, "BTC", flat(1, 2, 3))
    FRAME.write_csv(tmp_path / "prices.csv")
    assert Catalog.open(tmp_path).symbols == ("BTC",)


def test_funding_that_is_no_parquet_is_asked_for_its_own_columns(tmp_path: Path) -> None:
    candles(tmp_path, "BTC", flat(1, 2, 3))
    place = tmp_path / "funding" / "symbol=BTC"
    place.mkdir(parents=True)
    (place / "part.parquet").write_text("ts,rate\n1,2\n")
    with pytest.raises(UserError, match=r"part\.parquet: this is a CSV file, .* data import .* --format csv"):
        Catalog.open(tmp_path)


class Hold(Strategy):
    """Does nothing."""

    def on_candle(self, market: Any, account: Any) -> None: ...


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (FRAME, "data is a polars DataFrame, .* backtest.data.from_frame"),
        (FRAME.lazy(), "data is a polars LazyFrame, .* backtest.data.from_frame"),
        (FRAME.to_pandas(), "data is a pandas DataFrame, .* backtest.data.from_frame"),
        (FRAME.to_arrow(), "data is a pyarrow Table, .* backtest.data.from_frame"),
        ({"BTC": FRAME}, "data is of type dict, not a path"),
        (None, "data is of type NoneType, not a path"),
    ],
    ids=["polars", "lazy", "pandas", "pyarrow", "dict", "None"],
)
def test_tables_in_memory_are_the_users_error(data: Any, said: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: backtest.run(Hold, data),
        lambda: backtest.compare(Hold, data),
        lambda: backtest.subaccounts([Hold], data),
        lambda: check(data),
    ]
    for call in calls:
        with pytest.raises(UserError, match=said) as raised:
            call()
        assert len(str(raised.value).splitlines()) == 1
