"""What a strategy says in Polars: `features` per symbol, and the decisions of a `targets` strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.errors import Broken, RunError, nearest
from backtest.strategy.base import Strategy, failed, hooks
from backtest.strategy.candle import Candle
from backtest.strategy.kept_features import KeptFeatures

VALUES = ("target", "qty", "notional")
"""What a target row may say: a signed share of equity, signed base units, signed quote units."""
CANDLES = ("ts", "symbol", "open", "high", "low", "close", "volume")
STAMP = pl.Datetime("ms", "UTC")
PRICES = CANDLES[2:]
Columns = tuple[str, ...]


def compute(
    strategy: Strategy,
    frame_of: Callable[[str, Columns], pl.DataFrame],
    symbols: Iterable[str],
    put: Callable[[str, int, NDArray[np.float64]], None],
    kept: KeptFeatures | None = None,
) -> tuple[str, ...]:
    """Work out the features of each symbol, hand them to ``put`` and return their names.

    ``frame_of(symbol, columns)`` gives the candles that the strategy sees (of length `every`), in time order: ts and
    at least those columns. ``put(symbol, number, values)`` takes a feature's values by candle; unknown (null) is NaN,
    booleans are 0 and 1. A strategy without features has no names, and nothing is read. ``kept`` has values of earlier
    strategies over the same candles. Raises RunError naming file, feature, symbol and cause.
    """
    if "features" not in hooks(strategy):
        return ()
    expressions = _expressions(strategy)
    used = _columns(expressions.values())
    keys = {name: kept.key(expression) if kept else None for name, expression in expressions.items()}
    for symbol in symbols:
        frame = frame_of(symbol, used)
        for number, (name, expression) in enumerate(expressions.items()):
            known = kept.get(symbol, keys[name]) if kept else None
            values = _evaluate(strategy, frame, name, expression, symbol) if known is None else known
            put(symbol, number, values)
            if kept and known is None:
                kept.keep(symbol, keys[name], values)
    return tuple(expressions)


def _columns(expressions: Iterable[pl.Expr]) -> Columns:
    """The prices, volume and further columns that the expressions read; where one names none, such as a selector, all
    prices and the volume."""
    used: set[str] = set()
    for expression in expressions:
        names = expression.meta.root_names()
        used.update(PRICES if not names or expression.meta.has_multiple_outputs() else names)
    further = sorted(used - {"ts", "symbol", *PRICES})
    return (*(tuple(name for name in PRICES if name in used) or PRICES), *further)


def _expressions(strategy: Strategy) -> dict[str, pl.Expr]:
    """What `features` gave, if it is a dict of names and expressions."""
    try:
        said: object = strategy.features(Candle())
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise failed(strategy, "features", error) from error
    if not isinstance(said, dict):
        raise _wrong(strategy, "features", f"gave {type(said).__name__}, not a dict of names and Polars expressions")
    for name, expression in said.items():
        if not isinstance(name, str) or not name:
            raise _wrong(strategy, "features", f"a feature's name is text, not {name!r}")
        if not isinstance(expression, pl.Expr):
            raise _wrong(strategy, "features", f"{name!r} is {type(expression).__name__}, not a Polars expression")
    expressions: dict[str, pl.Expr] = said
    return expressions


def _evaluate(
    strategy: Strategy, frame: pl.DataFrame, name: str, expression: pl.Expr, symbol: str
) -> NDArray[np.float64]:
    # Each alone: in one select a scalar would be stretched to the others' length and go unnoticed.
    where = f"feature {name!r} of {symbol}"
    try:
        column = frame.select(expression.alias(name)).to_series()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise failed(strategy, "features", error, where) from error
    if column.len() != frame.height:
        shape = "one value" if column.len() == 1 else f"{column.len()} values"
        said = f"{where} gives {shape} for {frame.height} candles; it needs one for each (rolling_…, ewm_…, shift)"
        raise _wrong(strategy, "features", said)
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise _wrong(strategy, "features", f"{where} gives {column.dtype}, not numbers")
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def targets(
    strategy: Strategy,
    candles: pl.LazyFrame,
    symbols: Iterable[str],
    opens: Callable[[str], pl.Series] | None = None,
) -> pl.DataFrame:
    """The decisions of a `targets` strategy, checked: ts, symbol and one of `VALUES`, sorted by ts and symbol.

    ``candles`` has the columns `CANDLES`; ``opens(symbol)`` gives their ts for one symbol, in order; None: they
    are read from ``candles``. `symbol` comes back as an Enum over the sorted symbols, so its
    physical value is the symbol's number; the value as float64. Raises RunError.
    """
    try:
        answer = strategy.targets(candles)
        frame = answer.collect() if isinstance(answer, pl.LazyFrame) else answer
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise failed(strategy, "targets", error) from error
    if not isinstance(frame, pl.DataFrame):
        raise _wrong(strategy, "targets", f"gave {type(frame).__name__}, not a Polars frame")
    names = pl.Enum(sorted(symbols))
    value = _check_columns(strategy, frame)
    _check_values(strategy, frame, value, names)
    frame = frame.select("ts", pl.col("symbol").cast(names), pl.col(value).cast(pl.Float64))
    frame = _in_order(strategy, frame)
    _check_stamps(strategy, frame, names, opens or partial(_opens, candles))
    return frame


def _check_columns(strategy: Strategy, frame: pl.DataFrame) -> str:
    """The name of the value column, in a frame that has exactly the three columns and their types."""
    values = [name for name in frame.columns if name in VALUES]
    missing = [name for name in ("ts", "symbol") if name not in frame.columns]
    extra = [name for name in frame.columns if name not in ("ts", "symbol", *VALUES)]
    if missing:
        raise _wrong(strategy, "targets", f"column {missing[0]} is missing; give ts, symbol and target")
    if len(values) != 1:
        said = "no column target, qty or notional" if not values else "columns " + " and ".join(values)
        raise _wrong(strategy, "targets", f"{said}; give exactly one of target, qty and notional")
    if extra:
        raise _wrong(strategy, "targets", f"column {extra[0]!r} is extra; select ts, symbol and {values[0]}")
    if frame.schema["ts"] != STAMP:
        raise _wrong(strategy, "targets", f"ts is {frame.schema['ts']}; keep the candles' own, {STAMP}")
    if not frame.schema[values[0]].is_numeric():
        raise _wrong(strategy, "targets", f"{values[0]} is {frame.schema[values[0]]}, not a number")
    return values[0]


def _check_values(strategy: Strategy, frame: pl.DataFrame, value: str, names: pl.Enum) -> None:
    if frame.schema["symbol"] not in (pl.String, pl.Categorical, pl.Enum):
        raise _wrong(strategy, "targets", f"symbol is {frame.schema['symbol']}, not text")
    if frame["symbol"].null_count() or frame["ts"].null_count():
        raise _wrong(strategy, "targets", "a row has no ts or no symbol; drop it")
    known = names.categories.to_list()
    for symbol in frame["symbol"].unique().cast(pl.String).sort():
        if symbol not in known:
            raise _wrong(strategy, "targets", f"unknown symbol {symbol!r}; {nearest(symbol, known)}")
    # A null is not "no decision" by silence: a join or a window that went wrong looks the same.
    bad = frame.filter(~pl.col(value).cast(pl.Float64).is_finite().fill_null(False))
    if bad.height:
        first = bad.sort("ts", "symbol").row(0, named=True)
        said = f"{value} is {first[value]} in {bad.height} rows, first {_at(first['ts'], first['symbol'])}"
        raise _wrong(strategy, "targets", f"{said}; drop them with .filter(pl.col({value!r}).is_finite())")


def _in_order(strategy: Strategy, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame sorted by ts and symbol, if no candle has two rows."""
    keys = _keys(frame)
    steps = np.diff(keys)
    if (steps <= 0).any():
        order = np.argsort(keys, kind="stable")
        frame, keys = frame[order], keys[order]
        steps = np.diff(keys)
    if (steps == 0).any():
        again = frame.row(int(np.argmax(steps == 0)), named=True)
        count = int((steps == 0).sum())
        said = f"two rows for {_at(again['ts'], again['symbol'])} ({count} such); give one per candle and symbol"
        raise _wrong(strategy, "targets", said)
    return frame


def _opens(candles: pl.LazyFrame, symbol: str) -> pl.Series:
    return candles.filter(pl.col("symbol") == symbol).select("ts").collect()["ts"].sort()


def _check_stamps(strategy: Strategy, frame: pl.DataFrame, names: pl.Enum, opens: Callable[[str], pl.Series]) -> None:
    """Each row is one of a candle that there is."""
    stamps, codes = frame["ts"].to_physical().to_numpy(), frame["symbol"].to_physical().to_numpy()
    strange = np.zeros(len(stamps), dtype=np.bool_)
    for code, symbol in enumerate(names.categories.to_list()):
        mine = np.flatnonzero(codes == code)
        if len(mine):
            strange[mine] = ~_among(stamps[mine], opens(symbol).to_physical().to_numpy())
    if strange.any():
        row = frame.row(int(np.argmax(strange)), named=True)
        said = f"no candle opens at {_at(row['ts'], row['symbol'])} ({int(strange.sum())} such rows)"
        raise _wrong(strategy, "targets", f"{said}; keep the candles' own ts")


def _among(stamps: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the ``stamps`` are ``known``, in order. By bisection: there may be millions known and a few asked."""
    if not known.size:
        return np.zeros(stamps.size, dtype=np.bool_)
    found: NDArray[np.bool_] = known[np.minimum(np.searchsorted(known, stamps), known.size - 1)] == stamps
    return found


def _keys(frame: pl.DataFrame) -> NDArray[np.int64]:
    """One number per row that sorts as (ts, symbol)."""
    stamps = frame["ts"].to_physical().to_numpy()
    codes = frame["symbol"].to_physical().to_numpy()
    dtype = frame.schema["symbol"]
    if not isinstance(dtype, pl.Enum):
        raise Broken(f"symbols of type {dtype}, not of an enumeration")
    keys: NDArray[np.int64] = stamps * len(dtype.categories) + codes
    return keys


def _at(ts: object, symbol: str) -> str:
    return f"{symbol} {str(ts).removesuffix('+00:00')}"


def _wrong(strategy: Strategy, hook: str, said: str) -> RunError:
    return failed(strategy, hook, RunError(said))
