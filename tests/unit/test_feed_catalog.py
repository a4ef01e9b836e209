"""Opening a dataset: where its files are, what the catalog says of them, and every kind of bad input."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backtest.core.errors import UserError
from backtest.data import source
from backtest.data.catalog import Catalog
from backtest.data.info import info
from backtest.data.select import select
from backtest.data.selection import Selection
from tests.unit.feed_datasets import HOUR, MIN, T0, candles, dense, flat, funding, marks, stamps, table, toml, write

TOML = """[dataset]
interval = "1m"
quote = "USDC"
venue = "somewhere"
provenance = "made by hand"
synthetic = true
[symbols."BTC-USD"]
step = 0.001
tick = 0.1
"""


def test_catalog_tells_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    candles(folder, "BTC-USD", flat(100, 101, None, 103))
    candles(folder, "A", flat(5, 6, start=2))
    marks(folder, "BTC-USD", [(0, 100, 100, 100, 100), (1, 99, 99, 99, 99)], 5 * MIN)
    funding(folder, "BTC-USD", [(0, 0.0001), (1, 0.0002), (2, 0.0003)])
    toml(folder, TOML)
    catalog = Catalog.open(folder)
    assert (catalog.name, catalog.symbols, catalog.interval_ms) == ("mine", ("A", "BTC-USD"), MIN)
    assert (catalog.quote, catalog.venue, catalog.provenance) == ("USDC", "somewhere", "made by hand")
    assert catalog.synthetic
    btc = catalog.market("BTC-USD")
    assert (btc.step_micro, btc.step_assumed, btc.tick) == (1_000, False, 0.1)
    assert (btc.first_ms, btc.last_ms, btc.rows) == (T0, T0 + 3 * MIN, 3)
    assert (btc.mark_interval_ms, btc.mark_first_ms, btc.mark_last_ms, btc.mark_rows) == (
        5 * MIN, T0, T0 + 5 * MIN, 2,
    )  # fmt: skip
    assert (btc.funding_first_ms, btc.funding_last_ms, btc.funding_rows) == (T0, T0 + 2 * HOUR, 3)
    a = catalog.market("A")
    assert (a.mark_interval_ms, a.mark_rows, a.funding_rows, a.tick) == (None, 0, 0, None)
    rows = {row.symbol: row for row in info(folder)}
    assert (rows["BTC-USD"].gaps, rows["BTC-USD"].funding_intervals_ms) == (1, (HOUR,))
    assert (rows["A"].gaps, rows["A"].step_assumed, rows["A"].funding_intervals_ms) == (0, True, ())


@pytest.mark.parametrize(
    ("price", "step_micro"),
    [
        (60_000.0, 1),  # 1e-6 costs 0.06; 1e-5 would cost 0.6
        (250_000.0, 1),  # 1e-6 costs 0.25, but there is no smaller lot
        (100.0, 1_000),  # 0.001 costs exactly 0.1
        (100.01, 100),  # 0.001 costs 0.10001
        (0.1, 1_000_000),  # 1 costs 0.1
        (0.00001, 10_000_000_000),  # 1e4 costs 0.1
        (1e-9, 1_000_000_000_000),  # 1e6 costs 0.001: the largest that is assumed
    ],
)
def test_assumed_step_is_the_largest_power_of_ten_worth_a_tenth(tmp_path: Path, price: float, step_micro: int) -> None:
    candles(tmp_path, "X", flat(price, price * 9))
    market = Catalog.open(tmp_path).market("X")
    assert (market.step_micro, market.step_assumed) == (step_micro, True)


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("ms", "UTC"), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ns", "UTC"),
        pa.timestamp("s"), pa.int64(),
    ],
    ids=str,
)  # fmt: skip
def test_every_type_of_time_is_read(tmp_path: Path, kind: pa.DataType) -> None:
    write(tmp_path, "candles", "X", table(flat(1, 2, 3, 4, 5), MIN, kind))
    selection = select(Catalog.open(tmp_path), start_ms=T0 + MIN, end_ms=T0 + 4 * MIN)
    (chunk,) = selection.chunks(10)
    assert selection.start_ms == T0 + MIN
    assert chunk.panel[0, :, 0].tolist() == [2, 3, 4]


def test_several_files_of_a_symbol_are_one_series_in_order_of_time(tmp_path: Path) -> None:
    write(tmp_path, "candles", "X", table(flat(3, 4, start=2), MIN), "a_later")
    write(tmp_path, "candles", "X", table(flat(1, 2), MIN), "b_earlier")
    (chunk,) = select(Catalog.open(tmp_path)).chunks(10)
    assert chunk.panel[3, :, 0].tolist() == [1, 2, 3, 4]


def test_paths_with_quotes_and_pattern_characters_are_only_paths(tmp_path: Path) -> None:
    folder = tmp_path / "it's [odd] 10?*"
    candles(folder, "X", flat(1, 2))
    assert select(Catalog.open(folder)).rows == 2


def plain(folder: Path, name: str, rows: dict[str, list[tuple[float, ...]]], interval: int = HOUR) -> None:
    folder.mkdir(exist_ok=True)
    tables = [table(r, interval).append_column("symbol", pa.array([s] * len(r))) for s, r in rows.items()]
    pq.write_table(pa.concat_tables(tables), folder / f"{name}.parquet")


def test_plain_files_with_a_symbol_column(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    plain(folder, "binance_candles_1h", {"B": flat(10, 11, 12), "A": flat(1, 2, start=1)})
    plain(folder, "binance_mark", {"B": flat(10, 11, 12)})
    plain(folder, "bybit_candles_1h", {"B": flat(20, 21)})
    rates = {"ts": stamps([0, 8, 16], HOUR), "symbol": pa.array(["B"] * 3), "rate": pa.array([0.1, 0.2, 0.3])}
    pq.write_table(pa.table(rates), folder / "binance_funding.parquet")
    with pytest.raises(UserError, match=r"2 datasets of plain files; name one of: .*plain/binance, .*plain/bybit"):
        Catalog.open(folder)
    with pytest.raises(UserError, match=r"no candles named 'binanse'; did you mean 'binance'\?"):
        Catalog.open(folder / "binanse")
    catalog = Catalog.open(folder / "binance")
    assert (catalog.name, catalog.symbols, catalog.interval_ms) == ("binance", ("A", "B"), HOUR)
    selection = select(catalog)
    (chunk,) = selection.chunks(10)
    assert chunk.panel[0, :, 1].tolist() == [10, 11, 12]
    assert str(chunk.panel[0, :, 0].tolist()) == "[nan, 1.0, 2.0]"
    assert selection.marks == {"A": "trades", "B": "given"}
    assert selection.funding.tolist() == [[T0, 1, 0.1]]  # the stamps at 8 h and 16 h are after B's life
    assert selection.no_funding == ()  # of A, whose life ends at 3 h, no settlement was due
    # One file by its path, without and with a symbol column; no funding with it.
    assert Catalog.open(folder / "bybit_candles_1h.parquet").symbols == ("B",)
    pq.write_table(table(flat(1, 2), MIN), folder / "BTC-USD.parquet")
    assert Catalog.open(folder / "BTC-USD.parquet").symbols == ("BTC-USD",)


def test_interval_is_told_from_the_commonest_gap_or_the_manifest(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(1, 2, None, None, 3, 4, None, 5))
    assert Catalog.open(tmp_path).interval_ms == MIN
    toml(tmp_path, '[dataset]\ninterval = "30s"')
    assert select(Catalog.open(tmp_path)).rows == 15  # a candle on every other row at most


def test_fingerprint_knows_the_data_but_not_the_path(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        candles(tmp_path / name, "X", flat(1, 2, 3 if name != "c" else 4))
        candles(tmp_path / name, "Y", flat(1, 2, 3))
    (tmp_path / "b").rename(tmp_path / "elsewhere")
    first = Catalog.open(tmp_path / "a")
    same, other = select(Catalog.open(tmp_path / "elsewhere")), select(Catalog.open(tmp_path / "c"))
    assert select(first).fingerprint() == same.fingerprint()
    assert re.fullmatch("[0-9a-f]{64}", same.fingerprint())
    assert select(first).fingerprint() != other.fingerprint()
    assert select(first, ["Y"]).fingerprint() != select(first).fingerprint()
    assert select(first, None, T0 + MIN).fingerprint() != select(first).fingerprint()
    toml(tmp_path / "elsewhere", "[symbols.X]\nstep = 2")
    assert select(Catalog.open(tmp_path / "elsewhere")).fingerprint() != same.fingerprint()


# ---- bad input: one line that names the thing, the place and what to do


def fails(match: str) -> pytest.RaisesExc[UserError]:
    return pytest.raises(UserError, match=match)


def test_no_dataset(tmp_path: Path) -> None:
    with fails(r"nowhere: no such folder; name a dataset"):
        Catalog.open(tmp_path / "nowhere")
    with fails(r"holds no candles; a dataset has candles/symbol=NAME"):
        Catalog.open(tmp_path)
    (tmp_path / "candles").mkdir()
    with fails(r"holds no candles; a dataset has candles/symbol=NAME"):
        Catalog.open(tmp_path)


def test_empty_and_truncated_files(tmp_path: Path) -> None:
    file = candles(tmp_path, "X", flat(1, 2, 3))
    whole = file.read_bytes()
    for content, words in ((b"", "the file is empty"), (whole[:-30], "not a whole Parquet"), (b"hello", "not a whole")):
        file.write_bytes(content)
        with fails(rf"symbol=X/part\.parquet: {words}"):
            Catalog.open(tmp_path)
    pq.write_table(table(flat(1), MIN).slice(0, 0), file)
    with fails("holds no candles"):
        Catalog.open(tmp_path)


def test_damage_inside_a_file_is_found_when_it_is_read(tmp_path: Path) -> None:
    file = candles(tmp_path, "X", flat(*range(1, 500)))
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + bytes(len(whole) - 4 - 3_000) + whole[-3_000:])
    with fails(r"symbol=X/part\.parquet: cannot be read"):
        list(select(Catalog.open(tmp_path)).chunks(100))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop_columns("close"), r"part\.parquet: no column 'close' \(it has ts, open, high, low, volume\)"),
        (lambda t: t.rename_columns(["time", *t.column_names[1:]]), r"part\.parquet: no column 'ts'"),
        (lambda t: t.set_column(1, "open", t["open"].cast(pa.string())), r"column 'open' is text, not a number"),
        (lambda t: t.set_column(0, "ts", t["ts"].cast(pa.string())), r"column 'ts' is text, not a timestamp"),
    ],
)
def test_wrong_column_or_type(tmp_path: Path, change, match: str) -> None:
    write(tmp_path, "candles", "X", change(table(flat(1, 2, 3), MIN)))
    with fails(match):
        Catalog.open(tmp_path)


def test_volume_is_missed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    candles(tmp_path, "X", [row[:5] for row in flat(1, 2, 3)])
    selection = select(Catalog.open(tmp_path))
    assert len(list(selection.chunks(10))) == 1
    with fails("no column 'volume'"):
        list(selection.chunks(10, volume=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, None])
@pytest.mark.parametrize("field", ["open", "low", "close"])
def test_bad_prices_are_named_by_symbol_time_and_file(tmp_path: Path, field: str, value: float | None) -> None:
    data = table(flat(1, 2, 3), MIN)
    at = data.column_names.index(field)
    write(tmp_path, "candles", "X", data.set_column(at, field, pa.array([1.0, 1.0, value], pa.float64())))
    with fails(rf"X candles at 2023-11-15T00:02Z in .*part\.parquet: {field} is "):
        list(select(Catalog.open(tmp_path)).chunks(1))


def test_bad_mark_and_volume(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(1, 2))
    marks(tmp_path, "X", flat(1, -2))
    with fails(r"X mark at 2023-11-15T00:01Z in .*: open is -2.0"):
        list(select(Catalog.open(tmp_path)).chunks(5))
    shutil.rmtree(tmp_path / "mark")
    candles(tmp_path, "X", [(0, 1, 1, 1, 1, 5.0), (1, 1, 1, 1, 1, -5.0)])
    with fails("volume is -5.0, not a finite number, zero or more"):
        list(select(Catalog.open(tmp_path)).chunks(5, volume=True))


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([0, 1, 1, 2], "X candles at 2023-11-15T00:01Z in .*: a stamp that is there twice"),
        ([0, 2, 1, 3], r"X candles at 2023-11-15T00:01Z in .*: unsorted: it comes after 2023-11-15T00:02Z"),
        ([0, 1, 2, 3, 4, 4.5, 5], r"X candles at 2023-11-15T00:04:30Z in .*: off the grid of 1m candles"),
    ],
)
def test_stamps_out_of_order(tmp_path: Path, rows: list[float], match: str) -> None:
    candles(tmp_path, "X", [(r, 1, 1, 1, 1, 1) for r in rows])
    toml(tmp_path, '[dataset]\ninterval = "1m"')
    with fails(match):
        for _ in select(Catalog.open(tmp_path)).chunks(1):
            pass


def test_order_is_looked_at_across_files(tmp_path: Path) -> None:
    write(tmp_path, "candles", "X", table(flat(1, 2, 3), MIN), "a")
    write(tmp_path, "candles", "X", table(flat(3, 4, start=2), MIN), "b")
    with fails("2023-11-15T00:02Z in .*: a stamp that is there twice"):
        list(select(Catalog.open(tmp_path)).chunks(10))


def test_order_is_looked_at_across_batches(tmp_path: Path) -> None:
    # Chunks of 100 rows read ahead by 4,096; row 4,095 is the last of one batch and comes again in the next.
    candles(tmp_path, "X", [(k - (k > 4_095), 1, 1, 1, 1, 1) for k in range(6_000)])
    with fails(r"X candles at 2023-11-17T20:15Z in .*: a stamp that is there twice"):  # 4,095 min = 2 d 20 h 15 min
        list(select(Catalog.open(tmp_path)).chunks(100))


@pytest.mark.parametrize("kind", [pa.timestamp("ms", "UTC"), pa.timestamp("us"), pa.int64()])
def test_row_groups_are_read_apart_and_order_is_looked_at_across_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType
) -> None:
    monkeypatch.setattr(source, "WINDOW_ROWS", 7)
    rows = [(k, k + 1.0, k + 2.0, k + 0.5, k + 1.5, float(k)) for k in range(40) if k % 9 != 4]

    def opened(listed: list[tuple[float, ...]], group: int) -> Selection:
        for n, part in enumerate((listed[:20], listed[20:])):
            file = write(tmp_path, "candles", "X", table(part, MIN, kind), str(n))
            pq.write_table(table(part, MIN, kind), file, row_group_size=group)
        return select(Catalog.open(tmp_path))

    whole, volume = dense(opened(rows, 1_000), volume=True)
    apart = opened(rows, 3)
    windows = apart.catalog.sources["candles"]["X"].windows(T0, T0 + 50 * MIN)
    assert len(windows) == 6  # of two groups of three: seven groups of each file, its last one is of two
    assert [a for a, _ in windows[1:]] == [b for _, b in windows[:-1]]
    for size in (1, 5, 50):
        panel, amounts = dense(apart, size, volume=True)
        np.testing.assert_array_equal(panel, whole)
        np.testing.assert_array_equal(amounts, volume)
    rows[3], rows[16] = rows[16], rows[3]  # of different windows
    late = opened(rows, 3)
    assert len(late.catalog.sources["candles"]["X"].windows(T0, T0 + 50 * MIN)) == 1
    with fails("unsorted: it comes after"):
        list(late.chunks(10))


def test_symbols_of_different_intervals_do_not_share_a_grid(tmp_path: Path) -> None:
    candles(tmp_path, "A", flat(*range(1, 30)))
    candles(tmp_path, "B", flat(*range(1, 30)), 5 * MIN)
    candles(tmp_path, "C", [(k + 0.5, 1, 1, 1, 1, 1) for k in range(20)])
    catalog = Catalog.open(tmp_path)
    with fails("B has 5m candles, the dataset 1m; leave it out"):
        select(catalog, ["A", "B"])
    with fails(r"C candles at 2023-11-15T00:00:30Z in .*: off the grid of 1m candles"):
        select(catalog, ["A", "C"])
    assert select(catalog, ["A"]).symbols == ("A",)
    toml(tmp_path, '[dataset]\ninterval = "5m"')
    with fails("A has 1m candles, the dataset 5m"):
        select(Catalog.open(tmp_path), ["A"])


def test_unknown_symbol_and_empty_period(tmp_path: Path) -> None:
    candles(tmp_path, "BTC-USD", flat(1, 2, 3))
    candles(tmp_path, "ETH-USD", flat(1, 2, 3, start=10))
    catalog = Catalog.open(tmp_path)
    with fails(r"no symbol 'BTC-USDT'; did you mean 'BTC-USD'\?"):
        select(catalog, ["BTC-USDT"])
    with fails(r"BTC-USD, ETH-USD: no candles from 2023-11-16T00:00Z to the end; the data go from 2023-11-15T00:00Z"):
        select(catalog, None, T0 + 24 * HOUR)
    # Named and not there: an error. Not named: left out, and counted.
    with fails(r"BTC-USD: no candles from 2023-11-15T00:05Z to the end; .* to 2023-11-15T00:02Z"):
        select(catalog, ["BTC-USD", "ETH-USD"], T0 + 5 * MIN)
    selection = select(catalog, None, T0 + 5 * MIN)
    assert selection.symbols == ("ETH-USD",)
    assert selection.counts["symbols without candles in the period"] == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[dataset]\ninterval = 1m", r"dataset\.toml: not valid TOML: .*line 2"),
        ('[dataset]\nquote = "USD"\ninterval = "1 minute"', r"dataset\.toml line 3: interval: '1 minute' is not an"),
        ('[dataset]\nintervall = "1m"', r"line 2: unknown key 'intervall'; did you mean 'interval'\?"),
        ("[dataset]\nsynthetic = 1", "line 2: synthetic is neither true nor false"),
        ("[datasets]\n", r"line 1: unknown table 'datasets'; did you mean 'dataset'\?"),
        ("[symbols.X]\nstep = 0.0000015", r"line 2: step of X is not a whole multiple of 0\.000001"),
        ("[symbols.W]\nstep = 1\n[symbols.X]\nstep = 0", "line 4: step of X is not a number above zero"),
        ('[symbols.X]\ntick = "small"', "line 2: tick of X is not a number above zero"),
        ("symbols = 3", "line 1: symbols is not a table"),
    ],
)
def test_bad_manifest(tmp_path: Path, text: str, match: str) -> None:
    candles(tmp_path, "X", flat(1, 2))
    toml(tmp_path, text)
    with fails(match):
        Catalog.open(tmp_path)


def test_bad_funding(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[1] * 10), HOUR)
    for rows, match in (
        ([(0, 0.1), (2, 0.1), (1, 0.1)], "2023-11-15T01:00Z in .*: unsorted: it comes after 2023-11-15T02:00Z"),
        ([(0, 0.1), (1, 0.1), (1, 0.1)], "a settlement that is there twice"),
        ([(0, 0.1), (1, float("nan"))], "X funding at 2023-11-15T01:00Z in .*: rate is nan"),
    ):
        funding(tmp_path, "X", rows)
        with fails(match):
            select(Catalog.open(tmp_path))


def test_errors_are_one_line(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(1, 2)).write_bytes(b"PAR1" + b"\n\n" * 50 + b"PAR1")
    with pytest.raises(UserError) as caught:
        Catalog.open(tmp_path)
    assert "\n" not in str(caught.value)
