"""One market's candles, marks and settlements, written in the layouts in which others publish them."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from backtest.data.importing.importer import ImportReport, prepared
from backtest.data.importing.options import mapping, options_of

OHLC = ("open", "high", "low", "close")
MINUTE, HOUR = 60_000, 3_600_000
START = 1_729_382_400_000
"""2024-10-20T00:00Z."""


def imported(source: Path, out: Path, symbol: str | None = None, interval: str | None = None, tz: str | None = None,
             file_format: str | None = None, columns: str = "", stamp: str | None = None) -> ImportReport:  # fmt: skip
    options = options_of(symbol, interval, tz, file_format, mapping(columns), stamp)
    with prepared(source, options) as ready:
        return ready.write(out)


def rows(folder: Path, series: str, symbol: str) -> pl.DataFrame:
    """What was written, with `ts` in ms."""
    frame = pl.read_parquet(folder / series / f"symbol={symbol}" / "part.parquet", hive_partitioning=False)
    return frame.with_columns(pl.col("ts").dt.epoch("ms"))


def candles_csv(*rows: str, header: str = "ts,open,high,low,close,volume") -> str:
    return "\n".join([header, *rows]) + "\n"


def minutes(count: int, start: int = START, step: int = 60_000, close: float = 10.5) -> list[str]:
    return [f"{start + step * n},10,11,9,{close},1" for n in range(count)]


def local(*times: str) -> str:
    return candles_csv(*(f"{time},10,11,9,10.5,1" for time in times))


@dataclass(frozen=True)
class Market:
    """Rows of one market: `ts` in ms and doubles."""

    symbol: str
    interval_ms: int
    candles: pl.DataFrame
    mark: pl.DataFrame
    funding: pl.DataFrame


def text(frame: pl.DataFrame, names: list[str] | None = None, preamble: str = "", header: bool = True) -> str:
    """A frame as CSV, with other names for its columns."""
    named = frame if names is None else frame.rename(dict(zip(frame.columns, names, strict=True)))
    return preamble + named.write_csv(include_header=header)


def klines(frame: pl.DataFrame, interval_ms: int, unit: int = 1) -> pl.DataFrame:
    """Columns of Binance's archive; ``unit``: 1 for milliseconds, 1000 for microseconds."""
    return frame.select(
        (pl.col("ts") * unit).alias("open_time"), *OHLC,
        (pl.col("volume") if "volume" in frame.columns else pl.lit(0)).alias("volume"),
        ((pl.col("ts") + interval_ms) * unit - 1).alias("close_time"), pl.lit(1.5).alias("quote_volume"),
        pl.lit(3).alias("count"), pl.lit(0.5).alias("taker_buy_volume"), pl.lit(0.7).alias("taker_buy_quote_volume"),
        pl.lit(0).alias("ignore"),
    )  # fmt: skip


def zipped(path: Path, member: str, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)


def _every(ms: int) -> str:
    return f"{ms // 3_600_000}h" if ms % 3_600_000 == 0 else f"{ms // MINUTE}m"


def binance(place: Path, market: Market) -> None:
    """Monthly ZIPs: the first half without a header, the second with one and in microseconds."""
    every, s = _every(market.interval_ms), market.symbol
    half = len(market.candles) // 2
    um = place / "futures" / "um" / "monthly"
    first, second = market.candles[:half], market.candles[half:]
    rows = text(klines(first, market.interval_ms), header=False)
    zipped(um / "klines" / s / every / f"{s}-{every}-2024-12.zip", f"{s}-{every}-2024-12.csv", rows)
    rows = text(klines(second, market.interval_ms, 1000))
    zipped(um / "klines" / s / every / f"{s}-{every}-2025-01.zip", f"{s}-{every}-2025-01.csv", rows)
    step = int(market.mark["ts"][1] - market.mark["ts"][0])
    rows = text(klines(market.mark, step), header=False)
    zipped(
        um / "markPriceKlines" / s / "x" / f"{s}-{_every(step)}-2024-12.zip", f"{s}-{_every(step)}-2024-12.csv", rows
    )
    paid = market.funding.select("ts", pl.lit(8).alias("hours"), "rate")
    rows = text(paid, ["calc_time", "funding_interval_hours", "last_funding_rate"])
    zipped(um / "fundingRate" / s / f"{s}-fundingRate-2024-12.zip", f"{s}-fundingRate-2024-12.csv", rows)


def freqtrade(place: Path, market: Market) -> None:
    folder = place / "futures"
    folder.mkdir(parents=True)
    pair = f"{market.symbol.removesuffix('USDT')}_USDT_USDT"
    every = _every(market.interval_ms)
    step = int(market.mark["ts"][1] - market.mark["ts"][0])

    def store(frame: pl.DataFrame, kind: str, every: str) -> None:
        table = frame.with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC"))).rename({"ts": "date"}).to_arrow()
        feather.write_feather(table, folder / f"{pair}-{every}-{kind}.feather", compression="lz4")

    store(market.candles, "futures", every)
    store(market.mark.with_columns(pl.lit(0.0).alias("volume")), "mark", _every(step))
    rates = market.funding.select(
        "ts", pl.col("rate").alias("open"), *(pl.lit(0.0).alias(n) for n in ("high", "low", "close", "volume"))
    )
    store(rates, "funding_rate", "8h")


def bybit(place: Path, market: Market) -> None:
    """`kline_for_metatrader4`: no header, a clock at UTC+3; and the index in the old layout."""
    folder = place / "kline_for_metatrader4" / market.symbol / "2024"
    folder.mkdir(parents=True)
    clock = (pl.col("ts") + 3 * 3_600_000).cast(pl.Datetime("ms")).dt.strftime("%Y.%m.%d %H:%M")
    local = market.candles.with_columns(clock)
    name = f"{market.symbol}_{market.interval_ms // MINUTE}_2024-12-01_2024-12-31.csv.gz"
    with gzip.open(folder / name, "wb") as stream:
        stream.write(text(local, header=False).encode())
    index = place / "spot_index" / market.symbol
    index.mkdir(parents=True)
    rows = market.mark.select(
        (pl.col("ts") // 1000).alias("start_at"),
        pl.lit(market.symbol).alias("symbol"),
        pl.lit("60").alias("period"),
        *OHLC,
    )
    with gzip.open(index / f"{market.symbol}2024-12-01_index_price.csv.gz", "wb") as stream:
        stream.write(text(rows).encode())


def _samples(frame: pl.DataFrame, every_ms: int) -> pl.DataFrame:
    """Four prices a candle: open, high, low, close."""
    order = [frame.select(pl.col("ts") + n * every_ms, pl.col(name).alias("price")) for n, name in enumerate(OHLC)]
    return pl.concat(order).sort("ts")


def trades(place: Path, market: Market) -> None:
    """Bybit's `trading`: four trades a candle, the volume in the first."""
    folder = place / "trading" / market.symbol
    folder.mkdir(parents=True)
    rows = _samples(market.candles, market.interval_ms // 5)
    sized = rows.join(market.candles.select("ts", "volume"), on="ts", how="left")
    sized = sized.with_columns(pl.col("volume").fill_null(0.0))
    seconds = sized.select(
        (pl.col("ts") / 1000).alias("timestamp"), pl.lit(market.symbol).alias("symbol"), pl.lit("Buy").alias("side"),
        pl.col("volume").alias("size"), "price", pl.lit("PlusTick").alias("tickDirection"),
    )  # fmt: skip
    with gzip.open(folder / f"{market.symbol}2024-12-01.csv.gz", "wb") as stream:
        stream.write(text(seconds).encode())


def _candles_csv(place: Path, market: Market) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{market.symbol}_candles.csv").write_text(text(market.candles))


def hyperliquid(place: Path, market: Market) -> None:
    """`asset_ctxs`: four prices a candle, the rate in force in the hour before it is paid; candles beside it."""
    import lz4.frame

    _candles_csv(place, market)
    marks = _samples(market.mark, MINUTE)
    due = market.funding.select((pl.col("ts") - MINUTE).alias("ts"), "rate")
    rows = marks.join(due, on="ts", how="full", coalesce=True).sort("ts")
    table = rows.select(
        pl.col("ts").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("time"),
        pl.lit(market.symbol).alias("coin"), pl.col("rate").alias("funding"), pl.lit(1.0).alias("open_interest"),
        pl.lit(1.0).alias("prev_day_px"), pl.lit(1.0).alias("day_ntl_vlm"), pl.lit(None).alias("premium"),
        (pl.col("price") * 2).alias("oracle_px"), pl.col("price").alias("mark_px"), pl.lit(None).alias("mid_px"),
        pl.lit(None).alias("impact_bid_px"), pl.lit(None).alias("impact_ask_px"),
    )  # fmt: skip
    (place / "asset_ctxs").mkdir()
    for n, (_, day) in enumerate(table.group_by(pl.col("time").str.slice(0, 10), maintain_order=True)):
        (place / "asset_ctxs" / f"202412{n + 1:02d}.csv.lz4").write_bytes(lz4.frame.compress(text(day).encode()))


def tardis(place: Path, market: Market) -> None:
    """`derivative_ticker`: microseconds, what has not changed is empty; candles beside it."""
    _candles_csv(place, market)
    marks = _samples(market.mark, MINUTE).select((pl.col("ts") * 1000).alias("timestamp"), "price")
    last_seen = ((pl.col("ts") - 1_000) * 1000).alias("timestamp")
    due = market.funding.select(last_seen, (pl.col("ts") * 1000).alias("due"), "rate")
    early = due.with_columns(pl.col("timestamp") - 60_000_000, pl.col("rate") * 2)
    rows = marks.join(pl.concat([early, due]), on="timestamp", how="full", coalesce=True).sort("timestamp")
    table = rows.select(
        pl.lit("binance-futures").alias("exchange"), pl.lit(market.symbol).alias("symbol"), "timestamp",
        (pl.col("timestamp") + 5).alias("local_timestamp"), pl.col("due").alias("funding_timestamp"),
        pl.col("rate").alias("funding_rate"), pl.lit(None).alias("predicted_funding_rate"),
        pl.lit(None).alias("open_interest"), pl.lit(None).alias("last_price"), pl.lit(None).alias("index_price"),
        pl.col("price").alias("mark_price"),
    )  # fmt: skip
    with gzip.open(place / f"derivative_ticker_{market.symbol}.csv.gz", "wb") as stream:
        stream.write(text(table).encode())


def cryptodatadownload(place: Path, market: Market) -> None:
    """Newest first, after a line with the address; the day's text beside the number."""
    base = market.symbol.removesuffix("USDT")
    rows = market.candles.reverse().select(
        pl.col("ts").alias("Unix"), pl.col("ts").cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d %H:%M:%S").alias("Date"),
        pl.lit(f"{base}/USDT").alias("Symbol"), pl.col("open").alias("Open"), pl.col("high").alias("High"),
        pl.col("low").alias("Low"), pl.col("close").alias("Close"), pl.lit(12.5).alias("Volume USDT"),
        pl.col("volume").alias(f"Volume {base}"), pl.lit(4).alias("tradecount"),
    )  # fmt: skip
    place.mkdir(parents=True, exist_ok=True)
    preamble = "https://www.CryptoDataDownload.com\n"
    (place / f"Binance_{market.symbol}_1h.csv").write_text(text(rows, preamble=preamble))


def tradingview(place: Path, market: Market) -> None:
    rows = market.candles.with_columns(pl.col("ts") // 1000)
    place.mkdir(parents=True, exist_ok=True)
    minutes = market.interval_ms // MINUTE
    file = place / f"BINANCE_{market.symbol}.P, {minutes}.csv"
    file.write_text(text(rows, ["time", *OHLC, "Volume"]))


def nautilus(place: Path, market: Market) -> None:
    """Bars in high precision: integers of 16 bytes, scaled by 10^16, stamped at the close in nanoseconds."""
    minutes = market.interval_ms // MINUTE
    kind = f"{market.symbol}-PERP.BINANCE-{minutes}-MINUTE-LAST-EXTERNAL"
    folder = place / "data" / "bar" / kind
    folder.mkdir(parents=True)

    def fixed(column: pl.Series) -> pa.Array:
        # The shortest decimal that is the double, as a feed of decimals has it.
        whole = [int(Decimal(repr(value)) * 10**16) for value in column]
        return pa.array([value.to_bytes(16, "little", signed=True) for value in whole], pa.binary(16))

    close = pa.array(((market.candles["ts"] + market.interval_ms) * 1_000_000).to_list(), pa.uint64())
    columns = {name: fixed(market.candles[name]) for name in (*OHLC, "volume")}
    table = pa.table({**columns, "ts_event": close, "ts_init": close})
    metadata = {"bar_type": kind, "price_precision": "2", "size_precision": "3"}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "part-0.parquet")


LAYOUTS: dict[str, Callable[[Path, Market], None]] = {
    made.__name__: made
    for made in (binance, freqtrade, bybit, trades, hyperliquid, tardis, cryptodatadownload, tradingview, nautilus)
}
"""Each writes a folder from which the same rows come back, as far as the layout has them."""


def csv(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}-candles.csv"
    file.write_text(text(market.candles))
    return file


def csv_gz(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}.csv.gz"
    file.write_bytes(gzip.compress(text(market.candles, ["Date", "Open", "High", "Low", "Close", "Volume"]).encode()))
    return file


def european(place: Path, market: Market) -> Path:
    """Semicolons, decimal commas, times of day first, in Berlin."""
    local = pl.col("ts").cast(pl.Datetime("ms", "UTC")).dt.convert_time_zone("Europe/Berlin")
    commas = (pl.col(n).cast(pl.String).str.replace(".", ",", literal=True) for n in (*OHLC, "volume"))
    rows = market.candles.with_columns(local.dt.strftime("%d.%m.%Y %H:%M"), *commas)
    file = place / f"{market.symbol}.csv"
    file.write_text(rows.write_csv(separator=";"))
    return file


def zip_(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}.zip"
    zipped(file, "inner/candles.csv", text(market.candles))
    return file


def records(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}.json"
    file.write_text(json.dumps(market.candles.to_dicts()))
    return file


def jsonl(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}.jsonl"
    file.write_text(
        "".join(json.dumps({k: str(v) for k, v in row.items()}) + "\n" for row in market.candles.to_dicts())
    )
    return file


def ccxt(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}-ohlcv.json"
    file.write_text(json.dumps([list(row) for row in market.candles.iter_rows()]))
    return file


def feather_(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}.feather"
    feather.write_feather(market.candles.to_arrow(), file)
    return file


def parquet(place: Path, market: Market) -> Path:
    file = place / f"{market.symbol}.parquet"
    market.candles.with_columns(pl.col("ts").cast(pl.Datetime("ms"))).write_parquet(file)
    return file


def sqlite(place: Path, market: Market) -> Path:
    file = place / "base.sqlite"
    with sqlite3.connect(file) as base:
        base.execute(
            f"CREATE TABLE {market.symbol}_1h (time INTEGER, open REAL, high REAL, low REAL, close REAL, volume REAL)"
        )
        base.executemany(f"INSERT INTO {market.symbol}_1h VALUES (?, ?, ?, ?, ?, ?)", market.candles.iter_rows())
        base.execute("CREATE TABLE notes (id INTEGER, note TEXT)")
        base.execute("INSERT INTO notes VALUES (1, 'x')")
    base.close()
    return file


def duckdb_(place: Path, market: Market) -> Path:
    file = place / "base.duckdb"
    with duckdb.connect(file) as base:
        base.register("rows", market.candles.to_arrow())
        prices = f'make_timestamp(ts * 1000) AS "time", {", ".join(OHLC)}, volume'
        base.execute(f"CREATE TABLE {market.symbol} AS SELECT {prices} FROM rows")
    return file


FILES: dict[str, Callable[[Path, Market], Path]] = {
    made.__name__.strip("_"): made
    for made in (csv, csv_gz, european, zip_, records, jsonl, ccxt, feather_, parquet, sqlite, duckdb_)
}
"""Each writes one file of candles."""
