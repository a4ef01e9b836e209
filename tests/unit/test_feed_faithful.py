"""The data that are read are the data that are there: no cast, no file and no row is lost on the way."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backtest.core.errors import UserError, printable
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.select import select
from tests.unit.feed_datasets import HOUR, T0, candles, dense, flat, funding, stamps, table, toml, write

PRICES = ("open", "high", "low", "close")
KINDS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int64": (pa.int64(), [100_000, 99_999]),
    "int32": (pa.int32(), [100_001, 99_998]),
    "float64": (pa.float64(), [93_100.5, 93_100.25]),
    "float32": (pa.float32(), [93_100.5, 93_100.25]),
    "decimal(10,1)": (pa.decimal128(10, 1), [Decimal("93100.5"), Decimal("0.1")]),
    "decimal(18,6)": (pa.decimal128(18, 6), [Decimal("93100.123456"), Decimal("0.000001")]),
}


@pytest.mark.parametrize("first", list(KINDS))
def test_no_number_is_cast_to_the_type_of_the_first_file(tmp_path: Path, first: str) -> None:
    # Every type of number on a day of its own, whichever of them comes first.
    order = [first, *(name for name in KINDS if name != first)]
    expected: list[float] = []
    for day, name in enumerate(order):
        kind, values = KINDS[name]
        prices = pa.array(values, kind)
        ts = stamps(range(2 * day, 2 * day + 2), HOUR)
        file = pa.table({"ts": ts} | dict.fromkeys(PRICES, prices) | {"volume": prices})
        for series in ("candles", "mark"):
            write(tmp_path, series, "BTC-USD", file, f"day{day}")
        rates = pa.array([Decimal(str(value)) / 10**6 for value in values]).cast(pa.float64())
        settled = rates if pa.types.is_floating(kind) else pa.array([0, 0], pa.int64())
        write(tmp_path, "funding", "BTC-USD", pa.table({"ts": ts, "rate": settled}), f"day{day}")
        expected += [float(value) for value in prices.to_pylist()]
    selection = select(Catalog.open(tmp_path))
    panel, volume = dense(selection, volume=True)
    assert volume is not None
    for field in (*panel[:8], volume):
        assert field[:, 0].tolist() == expected
    assert (selection.funding[:, 2] != 0).sum() == 4  # those of the two files with fractions
    # A part of it, as DuckDB skips files and row groups by their statistics.
    part = select(Catalog.open(tmp_path), None, T0 + 3 * HOUR, T0 + 9 * HOUR)
    assert dense(part)[0][0, :, 0].tolist() == expected[3:9]


def test_plain_files_of_other_types_too(tmp_path: Path) -> None:
    for name, symbol, kind, price in (("a", "A", pa.int64(), 2), ("b", "B", pa.float64(), 2.5)):
        prices = pa.array([price] * 3, kind)
        columns = {"ts": stamps(range(3), HOUR), "symbol": pa.array([symbol] * 3)}
        pq.write_table(pa.table(columns | dict.fromkeys(PRICES, prices)), tmp_path / f"candles_{name}.parquet")
    assert dense(select(Catalog.open(tmp_path)))[0][0, 0].tolist() == [2.0, 2.5]


@pytest.mark.parametrize("series", ["candles", "mark", "funding"])
@pytest.mark.parametrize("statistics", [True, False])
def test_a_row_without_a_time_is_refused_in_every_series(tmp_path: Path, series: str, statistics: bool) -> None:
    candles(tmp_path, "X", flat(*[1] * 5), HOUR)
    funding(tmp_path, "X", [(h, 0.0) for h in range(5)])
    rows = table(flat(*[1] * 5), HOUR) if series != "funding" else pq.read_table(next(tmp_path.rglob("funding/*/*")))
    broken = rows.set_column(0, "ts", pa.array([*rows["ts"].to_pylist()[:4], None], rows["ts"].type))
    file = write(tmp_path, series, "X", broken)
    pq.write_table(broken, file, write_statistics=statistics)
    with pytest.raises(UserError, match=rf"{series}/symbol=X/part\.parquet: 1 rows without a time; fill in ts"):
        Catalog.open(tmp_path)


@pytest.mark.parametrize("series", ["candles", "mark", "funding"])
def test_what_cannot_be_read_is_an_error_and_not_left_out(
    tmp_path: Path, series: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for symbol in ("X", "Y"):
        candles(tmp_path, symbol, flat(*[1] * 5), HOUR)
        funding(tmp_path, symbol, [(h, 0.0) for h in range(5)])
    write(tmp_path, "mark", "X", table(flat(*[1] * 5), HOUR))
    lost = tmp_path / series / "symbol=X"
    (lost / "part.parquet").rename(lost / "part.csv")
    with pytest.raises(UserError, match=rf"{series}/symbol=X: holds no \*\.parquet file"):
        Catalog.open(tmp_path)
    (lost / "part.parquet").symlink_to(lost / "nowhere")
    with pytest.raises(UserError, match=r"part\.parquet: is not a file that can be read"):
        Catalog.open(tmp_path)
    (lost / "part.parquet").unlink()
    os.mkfifo(lost / "part.parquet")
    with pytest.raises(UserError, match=r"part\.parquet: is not a file that can be read"):
        Catalog.open(tmp_path)
    (lost / "part.parquet").unlink()
    (lost / "part.csv").rename(lost / "part.parquet")
    Catalog.open(tmp_path)
    listed = Path.iterdir

    def forbidden(folder: Path) -> Any:
        # What the system says of a folder without permission; who runs the tests may be allowed to read all.
        if folder in (lost, lost.parent) and folder.name == refused:
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", forbidden)
    for refused in (series, "symbol=X"):
        with pytest.raises(UserError, match=rf"{refused}: cannot be read as a folder .Permission denied."):
            Catalog.open(tmp_path)


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[1] * 5), HOUR)
    (tmp_path / "mark").write_text("no folder")
    with pytest.raises(UserError, match="mark: cannot be read as a folder"):
        Catalog.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[symbols.X]\nstpe = "1"', r"line 2: unknown key 'stpe' of X; did you mean 'step'\?"),
        (
            "[symbols.X]\nstep = 1e999999999",
            "line 2: step of X is 1e\\+999999999; give one from 1E-12 to 1000",
        ),
        ("[symbols.X]\ntick = 1e999", "line 2: tick of X is 1e\\+999"),
        ("[symbols.X]\ntick = inf", "line 2: tick of X is not a number above zero"),
        ("[symbols.X]\nstep = nan", "line 2: step of X is not a number above zero"),
        ('[dataset]\ninterval = "' + "9" * 5_000 + 'm"', "is not an interval"),
        ('[dataset]\ninterval = "999999999d"', "is longer than 100,000 days"),
        ("x = " + "[" * 5_000, "nested too deeply|not valid TOML"),
        ("[" + ".".join(["a"] * 5_000) + "]\nb = 1", "unknown table 'a'|nested too deeply"),
    ],
)
def test_absurd_values_of_a_manifest_are_named(tmp_path: Path, text: str, said: str) -> None:
    candles(tmp_path, "X", flat(1, 2))
    toml(tmp_path, text)
    with pytest.raises(UserError, match=said):
        Catalog.open(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "fifo", "dangling link"])
def test_a_manifest_that_is_not_a_file_is_named(tmp_path: Path, kind: str) -> None:
    candles(tmp_path, "X", flat(1, 2))
    place = tmp_path / "dataset.toml"
    {"folder": place.mkdir, "fifo": lambda: os.mkfifo(place), "dangling link": lambda: place.symlink_to("no")}[kind]()
    with pytest.raises(UserError, match=r"dataset\.toml: is not a file"):
        Catalog.open(tmp_path)


def test_text_of_a_dataset_cannot_steer_a_terminal(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(1, 2))
    toml(tmp_path, '[dataset]\nprovenance = "\\u001b[31mred\\u0007"\nvenue = "ge\\u001b[2Jneric"')
    catalog = Catalog.open(tmp_path)
    assert (catalog.provenance, catalog.venue) == (" [31mred ", "ge [2Jneric")
    candles(tmp_path, "Y\x1b[31m", flat(1, 2))
    with pytest.raises(UserError, match=r"the symbol 'Y\\x1b\[31m' has characters that are not printed"):
        Catalog.open(tmp_path)
    assert printable(str(UserError("a\x1b[2J", "b\x07", "c\n"))) == str(UserError("a\x1b[2J", "b\x07", "c\n"))


def test_check_finds_prices_that_no_market_has_and_symbols_without_funding(tmp_path: Path) -> None:
    rows: list[tuple[float, ...]] = [(k, 10, 11, 9, 10, 1) for k in range(50)]
    rows[7] = (7, 10, 1e13, 9, 10, 1)
    rows[20:22] = [(20, 1e300, 1e300, 1e300, 1e300, 1), (21, 10, 11, 1e-9, 10, 1)]
    candles(tmp_path, "X", rows, HOUR)
    candles(tmp_path, "Y", flat(*[1] * 50), HOUR)
    funding(tmp_path, "Y", [(h, 0.0) for h in range(50)])
    found = {f.kind: (f.severity, f.count, [case.symbol for case in f.cases]) for f in check(tmp_path).found}
    assert found["candles with prices that no market has"] == ("error", 3, ["X", "X", "X"])
    assert found["symbols without funding"] == ("error", 1, ["X"])
    assert np.isfinite(check(tmp_path).rows)
