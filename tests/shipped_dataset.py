"""Makes the dataset that comes with the package: `python -m tests.shipped_dataset CLONE`.

CLONE is a clone of the public repository that README.md beside the dataset names, at the commit named there. The
dataset is the part that Binance published, with settlements put on the full hour (they are stamped some milliseconds
late) and cut to the whole days that candles and funding share. Prices and volumes become decimals: the same numbers, in
half the bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from backtest.data.shipped import FOLDER

BEGIN, END = pl.datetime(2025, 3, 9, time_zone="UTC"), pl.datetime(2026, 3, 5, time_zone="UTC")
DIGITS = {"BTCUSDT": (1, 3), "DOGEUSDT": (5, 0), "ETHUSDT": (2, 3), "HYPEUSDT": (3, 2), "SOLUSDT": (3, 2)}
"""Decimals of prices and of volumes, by market: the most that the source has."""
PRICES = ("open", "high", "low", "close")
STAMP = pa.timestamp("ms", "UTC")


def of_source(clone: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Candles and funding of Binance as the source has them, with the names of columns that ours have."""
    named = {
        "timestamp": "ts",
        "o": "open",
        "h": "high",
        "l": "low",
        "c": "close",
        "v": "volume",
        "funding_rate": "rate",
    }
    found = []
    for name in ("candles", "funding_rates"):
        whole = pl.read_parquet(clone / "data" / f"{name}.parquet").filter(pl.col("venue") == "binance")
        found.append(
            whole.with_columns(symbol=pl.col("coin") + "USDT").drop("venue", "coin").rename(named, strict=False)
        )
    return found[0], found[1]


def write(candles: pl.DataFrame, funding: pl.DataFrame, folder: Path) -> None:
    """Write both series of every market into ``folder``."""
    for symbol, (price, volume) in DIGITS.items():
        prices = [(name, pa.decimal128(9, price)) for name in PRICES]
        of_candles = pa.schema([("ts", STAMP), *prices, ("volume", pa.decimal128(18, volume))])
        _write(candles, symbol, of_candles, folder / "candles")
        _write(funding, symbol, pa.schema([("ts", STAMP), ("rate", pa.decimal128(9, 8))]), folder / "funding")


def _write(rows: pl.DataFrame, symbol: str, schema: pa.Schema, folder: Path) -> None:
    hour = pl.col("ts").dt.truncate("1h").cast(pl.Datetime("ms", "UTC"))
    inside = hour.is_between(BEGIN, END, closed="left")
    chosen = rows.filter(pl.col("symbol") == symbol, inside).with_columns(hour).sort("ts")
    exact = {field.name: pl.Decimal(field.type.precision, field.type.scale) for field in schema if field.name != "ts"}
    table = chosen.select("ts", *(pl.col(name).cast(kind) for name, kind in exact.items()))
    for name in exact:
        if not table[name].cast(pl.Float64).equals(chosen[name]):
            raise ValueError(f"{symbol}: {name} has more decimals than it is stored with")
    place = folder / f"symbol={symbol}"
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table.to_arrow().cast(schema),
        place / "part.parquet",
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        store_decimal_as_integer=True,
        column_encoding=dict.fromkeys(schema.names, "DELTA_BINARY_PACKED"),
    )


if __name__ == "__main__":
    write(*of_source(Path(sys.argv[1])), FOLDER)
