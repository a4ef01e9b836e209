"""What a taker paid by the size of the order, measured on trades or on a book."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.errors import UserError
from backtest.data import depth
from backtest.data.parquet_table import columns, rows
from backtest.venues.slippage_models import BPS, depth_walk
from backtest.venues.spread import roll

Floats = NDArray[np.float64]

SIZES = tuple(float(f"{m}e{k}") for k in range(3, 9) for m in ("1", "2.5", "5"))
"""Quote, at which a book that is told by its depth is walked."""
LEAST_ORDERS = 10
"""Of about a size, for their mean cost to count."""
KINDS = ("trades", "book")
_WIDE = re.compile(r"depth_(\d+(?:\.\d+)?)bps_usd")


@dataclass(frozen=True)
class Curve:
    """Average cost from the middle by size. Rates; sizes in quote."""

    symbol: str
    span: tuple[int, int]
    """Times of the first and the last measurement, ms."""
    half: float
    """Half the spread: the middle of all that was measured; and its quartiles."""
    quartiles: tuple[float, float]
    size: Floats
    cost: Floats
    number: NDArray[np.int64]
    """How many measurements each point is the mean of."""
    roll: float | None = None
    """Half the spread by Roll's estimator, of trades."""


def measure(path: Path, kind: str) -> list[Curve]:
    """A curve for each symbol of a file, by name; UserError for a file that is no such thing."""
    held = columns(path)
    if kind == "trades":
        return list(_trades(path, held))
    if "slippage_bps" in held:
        return list(_walks(path, held))
    if "depth_usd" in held:
        return list(_depths(path))
    if any(_WIDE.fullmatch(name) for name in held):
        return list(_wide(path, held))
    thing = f"not order book data (it has {', '.join(held)})"
    forms = "notional and slippage_bps, bps and depth_usd, or spread_bps and depth_50bps_usd"
    raise UserError(thing, str(path), f"it needs ts, symbol and {forms}")


def _by_symbol(frame: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for symbol in sorted(frame["symbol"].unique().to_list()):
        yield symbol, frame.filter(pl.col("symbol") == symbol)


def _span(frame: pl.DataFrame) -> tuple[int, int]:
    t = frame["ts"].to_numpy()
    return int(t.min()), int(t.max())


def _positive(path: Path, frame: pl.DataFrame, *names: str) -> None:
    """UserError at the first value that is not a finite number above zero."""
    for name in names:
        bad = ~((frame[name] > 0) & frame[name].is_finite()).to_numpy()
        if bad.any():
            at = int(np.argmax(bad))
            raise UserError(f"{name} is {frame[name][at]} in row {at}", str(path), "give a number above zero")


def _middle(values: Floats) -> tuple[float, tuple[float, float]]:
    """Median and quartiles, none below zero."""
    low, half, high = (max(0.0, float(q)) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return half, (low, high)


def _walks(path: Path, held: list[str]) -> Iterator[Curve]:
    """Of `ts, symbol, notional, slippage_bps`: what taking so much at once cost on average, from the middle.

    Half the spread is what the smallest size cost. Where there is a `filled_fraction`, walks that the book was too
    thin for are left out.
    """
    wanted = {"ts": "time", "symbol": "text", "notional": "number", "slippage_bps": "number"}
    partly = "filled_fraction" in held
    frame = rows(path, wanted | ({"filled_fraction": "number"} if partly else {}))
    _positive(path, frame, "notional")
    for symbol, walks in _by_symbol(frame):
        whole = walks.filter(pl.col("filled_fraction") >= 1) if partly else walks
        if not len(whole):
            raise UserError(f"no complete row of {symbol}", str(path), "rows with filled_fraction = 1 are complete")
        points = whole.group_by("notional").agg(pl.col("slippage_bps").mean(), pl.len()).sort("notional")
        smallest = whole.filter(pl.col("notional") == points["notional"][0])["slippage_bps"].to_numpy() / BPS
        cost, number = points["slippage_bps"].to_numpy() / BPS, points["len"].to_numpy().astype(np.int64)
        yield Curve(symbol, _span(walks), *_middle(smallest), points["notional"].to_numpy(), cost, number)


def _depths(path: Path) -> Iterator[Curve]:
    """Of a depth table, `ts, symbol, bps, depth_usd`. It does not tell the spread."""
    symbols = sorted(set(rows(path, {"symbol": "text"})["symbol"].to_list()))
    tables = depth.read(path, symbols, -(2**62), 2**62)
    for symbol, table in zip(symbols, tables, strict=True):
        snapshots = table[np.isfinite(table[:, 0])]
        yield _walked(symbol, snapshots, 0.0, (0.0, 0.0))


def _wide(path: Path, held: list[str]) -> Iterator[Curve]:
    """Of `ts, symbol, spread_bps` and `depth_50bps_usd`, for any distances: a snapshot to a row."""
    distances = {name: float(found[1]) / BPS for name in held if (found := _WIDE.fullmatch(name))}
    names = sorted(distances, key=lambda name: distances[name])
    spread = {"spread_bps": "number"} if "spread_bps" in held else {}
    frame = rows(path, {"ts": "time", "symbol": "text", **spread, **dict.fromkeys(names, "number")})
    _positive(path, frame, *names)
    for symbol, seen in _by_symbol(frame):
        pairs = [part for name in names for part in (np.full(len(seen), distances[name]), seen[name].to_numpy())]
        snapshots = np.column_stack([seen["ts"].to_numpy().astype(float), *pairs])
        half, quartiles = _middle(seen["spread_bps"].to_numpy() / BPS / 2) if spread else (0.0, (0.0, 0.0))
        yield _walked(symbol, snapshots, half, quartiles)


def _walked(symbol: str, snapshots: Floats, half: float, quartiles: tuple[float, float]) -> Curve:
    """Books walked at the sizes that half of them are deep enough for, half the spread on top."""
    reach = float(np.median(np.nanmax(snapshots[:, 2::2], axis=1)))
    size = np.array([q for q in SIZES if q <= reach] or [reach])
    levels = [[(d, q) for d, q in row[1:].reshape(-1, 2) if not np.isnan(d)] for row in snapshots]
    cost = np.array([half + np.mean([depth_walk(book, q) for book in levels]) for q in size])
    number = np.full(len(size), len(snapshots), np.int64)
    span = int(snapshots[:, 0].min()), int(snapshots[:, 0].max())
    return Curve(symbol, span, half, quartiles, size, cost, number)


def _trades(path: Path, held: list[str]) -> Iterator[Curve]:
    """Of `ts, symbol, price, qty` and `buyer_is_maker`, or `side` of the taker: prints in the order in which they were.

    Half the spread is half of what lies between the prices where the taker's side changes. Prints of one side at one
    millisecond are one order; it pays that, and what its mean price is worse than its first. A cost is the mean of the
    orders of about a size, half a power of ten wide.
    """
    sided = "buyer_is_maker" not in held and "side" in held
    side = {"side": "text"} if sided else {"buyer_is_maker": "flag"}
    frame = rows(path, {"ts": "time", "symbol": "text", "price": "number", "qty": "number", **side})
    _positive(path, frame, "price", "qty")
    buys = pl.col("side").str.to_lowercase() == "buy" if sided else ~pl.col("buyer_is_maker")
    for symbol, prints in _by_symbol(frame.with_columns(buy=buys)):
        if not prints["ts"].is_sorted():
            raise UserError(f"{symbol} is unsorted", str(path), "sort it by ts")
        price, way = prints["price"].to_numpy(), np.where(prints["buy"].to_numpy(), 1.0, -1.0)
        turns = np.flatnonzero(way[1:] != way[:-1]) + 1
        if not len(turns):
            raise UserError(f"all trades of {symbol} are on one side", str(path), "give more of them")
        half, quartiles = _middle(way[turns] * (price[turns] - price[turns - 1]) / price[turns] / 2)
        size, cost, number = _orders(prints["ts"].to_numpy(), price, way, prints["qty"].to_numpy())
        by_roll = float(roll(price)) / 2
        yield Curve(symbol, _span(prints), half, quartiles, size, half + cost, number, by_roll)


def _orders(t: NDArray[np.int64], price: Floats, way: Floats, qty: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Mean size, mean cost beyond the first price, and number of orders, by about a size; a few are no mean."""
    first = np.flatnonzero(np.append(True, (np.diff(t) != 0) | (np.diff(way) != 0)))
    quote, base = np.add.reduceat(price * qty, first), np.add.reduceat(qty, first)
    cost = way[first] * (quote / base / price[first] - 1)
    about = np.rint(2 * np.log10(quote)).astype(np.int64)
    found, group, number = np.unique(about, return_inverse=True, return_counts=True)
    means = (np.bincount(group, values, len(found)) / number for values in (quote, cost))
    enough = number >= LEAST_ORDERS
    size, mean = (values[enough] for values in means)
    return size, mean, number[enough]
