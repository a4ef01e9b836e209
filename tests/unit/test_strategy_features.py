"""Features per symbol, and the checks of a `targets` frame."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from backtest.core.errors import RunError
from backtest.strategy.base import Strategy
from backtest.strategy.features import CANDLES, STAMP, targets
from backtest.strategy.features import compute as handed

START = datetime(2024, 1, 1, tzinfo=UTC)
CLOSE = {"AAA": [1.0, 2.0, 3.0, 4.0], "BBB": [10.0, 20.0, 30.0]}
"""BBB has no candle for the last hour."""


def candles(symbol: str, columns: tuple[str, ...] = ()) -> pl.DataFrame:
    close = CLOSE[symbol]
    frame = pl.DataFrame(
        {"ts": [START + timedelta(hours=h) for h in range(len(close))], "symbol": symbol, "close": close},
        schema_overrides={"ts": STAMP},
    )
    return frame.with_columns(
        open=pl.col("close"), high=pl.col("close") + 1, low=pl.col("close") - 1, volume=5.0
    ).select(CANDLES)  # fmt: skip


def everything() -> pl.LazyFrame:
    return pl.concat([candles("AAA"), candles("BBB")]).lazy()


def saying(features) -> Strategy:
    return type("Said", (Strategy,), {"features": lambda self, candle: features(candle)})()


def deciding(frame) -> Strategy:
    return type("Said", (Strategy,), {"targets": lambda self, candles: frame(candles)})()


def compute(strategy, frame_of, symbols):
    """Names of the features, and their values [candle, name] by symbol."""
    values: dict[str, list[np.ndarray]] = {}
    names = handed(strategy, frame_of, symbols, lambda symbol, _, column: values.setdefault(symbol, []).append(column))
    return names, {symbol: np.column_stack(columns) for symbol, columns in values.items()}


def test_features_by_hand():
    strategy = saying(
        lambda c: {
            "mean": c.close.rolling_mean(2),
            "range": c.high - c.low,
            "up": c.close > c.open.shift(1),
            "count": pl.int_range(pl.len()),
        }
    )
    names, values = compute(strategy, candles, ("BBB", "AAA"))
    assert names == ("mean", "range", "up", "count")
    nan = np.nan
    # mean of two closes, unknown for the first; high − low = (c + 1) − (c − 1) = 2; up from the second on; row number
    np.testing.assert_array_equal(values["AAA"], [[nan, 2, nan, 0], [1.5, 2, 1, 1], [2.5, 2, 1, 2], [3.5, 2, 1, 3]])
    np.testing.assert_array_equal(values["BBB"], [[nan, 2, nan, 0], [15, 2, 1, 1], [25, 2, 1, 2]])
    assert all(array.dtype == np.float64 for array in values.values())


def test_features_that_are_not_written_read_no_candles():
    def never(symbol):
        raise AssertionError(symbol)

    assert compute(deciding(lambda c: c), never, ("AAA",)) == ((), {})


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (lambda c: {"m": c.close.mean()}, "feature 'm' of AAA gives one value for 4 candles"),
        (lambda c: {"m": c.close.head(2)}, "feature 'm' of AAA gives 2 values for 4 candles"),
        (lambda c: {"m": pl.col("clsoe") + 1}, "feature 'm' of AAA: ColumnNotFoundError: "),
        (lambda c: {"m": c.close.cast(pl.String)}, "feature 'm' of AAA gives String, not numbers"),
        (lambda c: {"m": pl.col("ts")}, "feature 'm' of AAA gives Datetime"),
        (lambda c: {"m": c.close.map_elements(lambda x: 1 // 0, pl.Float64)}, "feature 'm' of AAA: "),
        (lambda c: {"m": 3.0}, "'m' is float, not a Polars expression"),
        (lambda c: {1: c.close}, "a feature's name is text, not 1"),
        (lambda c: c.close, "gave Expr, not a dict"),
        (lambda c: {"m": c.clsoe}, "AttributeError: 'Candle' object has no attribute 'clsoe'"),
    ],
)
def test_a_wrong_feature_is_one_line(features, said):
    with pytest.raises(RunError) as caught:
        compute(saying(features), candles, ("AAA", "BBB"))
    message = str(caught.value)
    assert message.startswith("test_strategy_features.py")
    assert "Said.features: " in message or "Said.features, " in message
    assert said in message
    assert "\n" not in message


def test_the_symbol_with_the_fault_is_named():
    strategy = saying(lambda c: {"m": pl.when(c.close.max() > 5).then(c.close.max()).otherwise(c.close)})
    assert compute(strategy, candles, ("AAA",))[0] == ("m",)
    with pytest.raises(RunError, match="feature 'm' of BBB"):
        compute(saying(lambda c: {"m": c.close.filter(c.close < 10)}), candles, ("AAA", "BBB"))


def rows(*decisions, value="target") -> pl.DataFrame:
    """Decisions as (hour, symbol, value)."""
    return pl.DataFrame(
        [(START + timedelta(hours=hour), symbol, amount) for hour, symbol, amount in decisions],
        schema={"ts": STAMP, "symbol": pl.String, value: pl.Float64},
        orient="row",
    )


@pytest.mark.parametrize("value", ["target", "qty", "notional"])
def test_targets_come_sorted_with_symbols_as_numbers(value):
    said = rows((2, "BBB", 1), (0, "BBB", -0.5), (0, "AAA", 0.5), value=value)
    frame = targets(deciding(lambda c: said.lazy()), everything(), ("BBB", "AAA"))
    assert frame.columns == ["ts", "symbol", value]
    assert frame["ts"].dt.hour().to_list() == [0, 0, 2]
    assert frame["symbol"].to_physical().to_list() == [0, 1, 1]  # AAA is 0, BBB is 1, however they were named
    assert frame[value].to_list() == [0.5, -0.5, 1.0]


def test_a_decision_for_every_candle_and_for_none():
    every = deciding(lambda c: c.select("ts", pl.col("symbol").cast(pl.Categorical), target=pl.lit(1)))
    assert targets(every, everything(), ("AAA", "BBB")).height == 7
    assert targets(deciding(lambda c: rows()), everything(), ("AAA", "BBB")).height == 0


HALF = rows((0, "AAA", 0.5))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (HALF.drop("ts"), "column ts is missing; give ts, symbol and target"),
        (HALF.drop("target"), "no column target, qty or notional; give exactly one"),
        (HALF.with_columns(qty=1.0), "columns target and qty; give exactly one"),
        (HALF.with_columns(why=1.0), "column 'why' is extra; select ts, symbol and target"),
        (HALF.with_columns(pl.col("ts").dt.replace_time_zone(None)), "ts is Datetime"),
        (HALF.with_columns(target=pl.lit("much")), "target is String, not a number"),
        (HALF.with_columns(symbol=pl.lit(3)), "symbol is Int32, not text"),
        (HALF.with_columns(symbol=pl.lit("AAB")), "unknown symbol 'AAB'; did you mean 'AAA'?"),
        (HALF.with_columns(symbol=pl.lit(None, pl.String)), "a row has no ts or no symbol"),
        (rows((1, "BBB", 1), (1, "AAA", np.inf)), "target is inf in 1 rows, first AAA 2024-01-01 01:00:00; drop them"),
        (rows((1, "BBB", None), (2, "AAA", np.nan)), "target is None in 2 rows, first BBB 2024-01-01 01:00:00"),
        (rows((1, "AAA", 1), (0, "AAA", 1), (1, "AAA", 1)), "two rows for AAA 2024-01-01 01:00:00 (1 such)"),
        (rows((0, "AAA", 1), (3, "BBB", 1)), "no candle opens at BBB 2024-01-01 03:00:00 (1 such rows)"),
        (rows((0.5, "AAA", 1)), "no candle opens at AAA 2024-01-01 00:30:00 (1 such rows); keep the candles' own ts"),
        ({"ts": []}, "gave dict, not a Polars frame"),
        (HALF.lazy().select("nothing"), "ColumnNotFoundError: "),
    ],
)
def test_a_wrong_targets_frame_is_one_line(frame, said):
    with pytest.raises(RunError) as caught:
        targets(deciding(lambda c: frame), everything(), ("AAA", "BBB"))
    message = str(caught.value)
    assert message.startswith("test_strategy_features.py")
    assert "Said.targets: " in message
    assert said in message
    assert "\n" not in message


def test_an_exception_in_targets_says_its_line():
    def raising(c):
        return c.collect()["no"]

    with pytest.raises(RunError, match=rf"test_strategy_features.py:{raising.__code__.co_firstlineno + 1}, Said"):
        targets(deciding(raising), everything(), ("AAA",))
