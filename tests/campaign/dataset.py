"""Changes to a sound dataset on disk: to the rows of a series, to its columns, to its files.

Each says what the documents say of it: forbidden to a run, the same rows written another way, or neither.
"""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tests import small_market as small

KINDS = ("candles", "mark", "funding")
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True)
class Damage:
    """What was done to a dataset; ``forbidden`` says why a run must refuse it, ``same`` that it must notice nothing."""

    changes: str
    forbidden: str = ""
    same: bool = False


@dataclass
class Series:
    """One series of one symbol, to be changed."""

    rng: random.Random
    data: Path
    kind: str
    symbol: str
    frame: pl.DataFrame

    @property
    def file(self) -> Path:
        return self.data / self.kind / f"symbol={self.symbol}" / "part.parquet"

    @property
    def row(self) -> int:
        return self.rng.randrange(1, self.frame.height - 1)

    @property
    def price(self) -> str:
        """The name of a column of numbers."""
        return "rate" if self.kind == "funding" else self.rng.choice(PRICES)

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_parquet(self.file)

    def put(self, column: str, row: int, value: object) -> None:
        """Write the series with one value replaced."""
        values = self.frame[column].to_list()
        values[row] = value
        self.write(self.frame.with_columns(pl.Series(column, values, dtype=self.frame[column].dtype, strict=False)))


def damage(rng: random.Random, data: Path) -> Damage:
    """Change the dataset in ``data``, one of `small_market`."""
    kind, symbol = rng.choice(KINDS), rng.choice(small.SYMBOLS)
    series = Series(rng, data, kind, symbol, small.series(kind))
    change = rng.choice(CHANGES)
    done = change(series)
    return Damage(f"{kind} of {symbol}: {done.changes}", done.forbidden, done.same)


def _number(s: Series) -> Damage:
    value = s.rng.choice((math.nan, math.inf, -math.inf, None, 0.0, -1.0, 5e-324, 1e300, 1e12))
    column = s.price
    s.put(column, s.row, value)
    bad = value is None or not math.isfinite(value) or (s.kind != "funding" and value <= 0)
    return Damage(f"{column} {value}", "no number that it may be" if bad else "")


def _volume(s: Series) -> Damage:
    if s.kind != "candles":
        return _number(s)
    value = s.rng.choice((math.nan, math.inf, None, -1.0, 0.0, 1e300))
    s.put("volume", s.row, value)
    return Damage(f"volume {value}", "bad volume" if value is None or not math.isfinite(value) or value < 0 else "")


def _stamp(s: Series) -> Damage:
    row, stamps = s.row, s.frame["ts"].to_list()
    how = s.rng.choice(("twice", "unsorted", "none", "off the grid"))
    value = {"twice": stamps[row - 1], "unsorted": stamps[row + 1], "none": None}.get(how)
    if how == "off the grid":
        value = stamps[row].replace(second=1, microsecond=1000)
    if how == "unsorted":
        stamps[row + 1] = stamps[row]
    stamps[row] = value
    s.write(s.frame.with_columns(pl.Series("ts", stamps, dtype=small.STAMP)))
    return Damage(f"stamp {how}", "" if s.kind == "funding" and how == "off the grid" else f"a stamp is {how}")


def _crossed(s: Series) -> Damage:
    """A high below its low."""
    if s.kind == "funding":
        return _number(s)
    row = s.row
    s.write(
        s.frame.with_columns(high=pl.when(pl.int_range(pl.len()) == row).then(pl.col("low") * 0.9).otherwise("high"))
    )
    return Damage("a high below its low", "high below low")


def _gone(s: Series) -> Damage:
    first = s.row
    s.write(pl.concat([s.frame[:first], s.frame[first + s.rng.randrange(1, 5) :]]))
    return Damage("rows are missing")


def _no_column(s: Series) -> Damage:
    column = s.rng.choice(s.frame.columns)
    s.write(s.frame.drop(column) if s.rng.random() < 0.5 else s.frame.rename({column: column.upper() + "_"}))
    return Damage(f"no column {column}", f"no {column}")


def _other_type(s: Series) -> Damage:
    column = s.price
    kind = s.rng.choice((pl.String, pl.Boolean, pl.Float32, pl.Decimal(20, 6), pl.Date, pl.Binary))
    s.write(
        s.frame.with_columns(
            pl.lit(None).cast(kind).alias(column) if kind in (pl.Date, pl.Binary) else pl.col(column).cast(kind)
        )
    )
    return Damage(
        f"{column} as {kind}", "" if kind == pl.Float32 or isinstance(kind, pl.Decimal) else f"{column} is not a number"
    )


def _other_stamps(s: Series) -> Damage:
    how = s.rng.choice(("us", "ns", "ms", "seconds", "text"))
    stamp = pl.col("ts")
    made = {
        "us": stamp.dt.cast_time_unit("us"),
        "ns": stamp.dt.cast_time_unit("ns"),
        "ms": stamp.dt.epoch("ms"),
        "seconds": stamp.dt.epoch("s"),
        "text": stamp.dt.to_string("%F %T"),
    }
    s.write(s.frame.with_columns(made[how].alias("ts")))
    bad = how in ("seconds", "text")
    return Damage(f"stamps in {how}", f"stamps in {how}" if bad else "", not bad)


def _written_otherwise(s: Series) -> Damage:
    """The same rows."""
    how = s.rng.choice(("two files", "columns", "small groups", "extra column", "decimals"))
    if how == "two files":
        half = s.frame.height // 2
        s.frame[half:].write_parquet(s.file.with_name("a.parquet"))
        s.write(s.frame[:half])
    elif how == "columns":
        names = list(s.frame.columns)
        s.rng.shuffle(names)
        s.write(s.frame.select(names))
    elif how == "small groups":
        s.frame.write_parquet(s.file, row_group_size=7, compression="snappy", use_pyarrow=False)
    elif how == "extra column":
        s.write(s.frame.with_columns(note=pl.lit("x")))
    else:
        s.write(s.frame.with_columns(pl.col(pl.Float64).cast(pl.Decimal(20, 6))))
    return Damage(how, "", same=True)


def _mixed(s: Series) -> Damage:
    """Two files of a series of which the first has whole numbers: nothing of the second may be lost."""
    half = s.frame.height // 2
    columns = [name for name in s.frame.columns if name not in ("ts", "volume")]
    whole = s.frame[:half].with_columns(pl.col(columns).round(0))
    plain, late = s.data.parent / "plain", s.frame[half:]
    pl.concat([whole, late]).write_parquet(s.file)
    shutil.rmtree(plain, ignore_errors=True)
    shutil.copytree(s.data, plain)
    late.write_parquet(s.file.with_name("z.parquet"))
    s.write(whole.with_columns(pl.col(columns).cast(pl.Int64)))
    return Damage("the first file has whole numbers", "", same=True)


def _overlap(s: Series) -> Damage:
    half = s.frame.height // 2
    s.frame[half - 1 :].write_parquet(s.file.with_name("z.parquet"))
    s.write(s.frame[:half])
    return Damage("two files overlap", "a stamp is there twice")


def _bytes(s: Series) -> Damage:
    content = s.file.read_bytes()
    n = s.rng.randrange(len(content))
    how = s.rng.choice(("cut", "empty", "other byte", "CSV", "noise"))
    made = {
        "cut": content[:n],
        "empty": b"",
        "other byte": content[:n] + bytes([content[n] ^ (1 << s.rng.randrange(8))]) + content[n + 1 :],
        "CSV": s.frame.write_csv().encode(),
        "noise": s.rng.randbytes(500),
    }
    s.file.write_bytes(made[how])
    return Damage(f"bytes: {how} at {n}", "" if how == "other byte" else f"the file is {how}")


def _places(s: Series) -> Damage:
    """Files and folders that are not what they should be."""
    how = s.rng.choice(("folder", "link", "loop", "no rows", "no folder", "no file", "names"))
    where = s.file.parent
    if how in ("folder", "link", "loop"):
        s.file.unlink()
    if how == "folder":
        s.file.mkdir()
    elif how == "link":
        s.file.symlink_to("nowhere.parquet")
    elif how == "loop":
        s.file.symlink_to(s.file.name)
    elif how == "no rows":
        s.write(s.frame[:0])
    elif how == "no folder":
        shutil.rmtree(where)
    elif how == "no file":
        s.file.unlink()
    else:
        where.rename(where.with_name("symbol=" + s.rng.choice(("\x1b[31m", "BTC USD", "A,B", "x" * 200, "é", "%2F"))))
    return Damage(f"places: {how}", f"{how} in place of the file" if how in ("link", "loop") else "")


def _interval(s: Series) -> Damage:
    """One symbol with candles of half an hour."""
    small.put(small.candles(every=30), s.data, "candles", s.symbol)
    return Damage("another interval", "two intervals")


CHANGES: tuple[Callable[[Series], Damage], ...] = (
    _number, _number, _volume, _stamp, _stamp, _crossed, _gone, _gone, _no_column, _other_type, _other_stamps,
    _written_otherwise, _written_otherwise, _mixed, _overlap, _bytes, _places, _interval,
)  # fmt: skip
