"""Parity: the same decisions through vectorbt and through backtesting.py give the same equity curve.

Margin is out of the way (positions stay within equity, so nothing is ever refused or liquidated) and there is no
funding series. What is left is what the three have in common: an order decided at a candle's close fills at the next
open, a fee is a share of the traded value, and the account is valued at each close. Where their rules differ from
ours, a comment at the line says how they were matched.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import backtest

ROWS = 525_600
START_MS = 1_704_067_200_000
MINUTE_MS = 60_000
CASH = 100_000.0
LIMIT = 1e-7
"""Relative difference of equity that is allowed. We round money to whole micro-units, the peers do not round."""
SLACK = 5e-11
"""What is to be expected: half a micro per fill and value, some thousand of them, on 1e11 micro of equity."""


@pytest.fixture(scope="module")
def prices() -> dict[str, NDArray[np.float64]]:
    """A year of minutes on a tick of 0.01, around 100, with a gap between each close and the next open."""
    rng = np.random.default_rng(3)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0, 2e-4, ROWS))), 2)
    start = np.round(np.append(100.0, close[:-1]) + rng.integers(-3, 4, ROWS) * 0.01, 2)
    high = np.round(np.maximum(start, close) + rng.integers(0, 5, ROWS) * 0.01, 2)
    low = np.round(np.minimum(start, close) - rng.integers(0, 5, ROWS) * 0.01, 2)
    return {"open": start, "high": high, "low": low, "close": close}


@pytest.fixture(scope="module")
def wanted() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows at whose close a new position is decided, and the position: long, short and flat, in whole units, because
    backtesting.py knows no others. 500 units are about half of the equity, because the peers lend nothing."""
    rng = np.random.default_rng(5)
    rows = np.sort(rng.choice(np.arange(100, ROWS - 1), 2_000, replace=False))
    qty = rng.integers(-5, 6, len(rows)) * 100
    assert (qty > 0).any()
    assert (qty < 0).any()
    assert (qty == 0).any()
    return rows, qty


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, prices: dict[str, NDArray[np.float64]]) -> Path:
    folder = tmp_path_factory.mktemp("parity")
    candles = folder / "candles" / "symbol=BTC-USD"
    candles.mkdir(parents=True)
    ts = pl.Series("ts", START_MS + MINUTE_MS * np.arange(ROWS)).cast(pl.Datetime("ms", "UTC"))
    pl.DataFrame({"ts": ts, **prices, "volume": np.ones(ROWS)}).write_parquet(candles / "part.parquet")
    symbol = '[symbols."BTC-USD"]\nstep = 1\ntick = 0.01\n'
    (folder / "dataset.toml").write_text('[dataset]\ninterval = "1m"\nquote = "USD"\n\n' + symbol)
    return folder


def ours(dataset: Path, rows: NDArray[np.int64], qty: NDArray[np.int64], fee: float) -> NDArray[np.float64]:
    class Given(backtest.Strategy):
        """Plays a list of positions."""

        def targets(self, candles: pl.LazyFrame) -> pl.DataFrame:
            ts = pl.Series("ts", START_MS + MINUTE_MS * rows).cast(pl.Datetime("ms", "UTC"))
            return pl.DataFrame({"ts": ts, "symbol": ["BTC-USD"] * len(rows), "qty": qty.astype(float)})

    result = backtest.run(Given, dataset, cash=CASH, fee_bps=fee * 1e4, allow=("missing-funding",))
    orders = result.tables["orders"]
    assert orders["status"].unique().to_list() == ["filled"]
    # A decision for the position that is already held sends nothing; every other one is one fill.
    assert orders.height == np.count_nonzero(np.diff(qty, prepend=0))
    assert result.tables["liquidations"].is_empty()
    return result.tables["equity"]["equity"].to_numpy()


def peer(name: str) -> Any:
    pytest.importorskip(
        name.partition(".")[0], reason=f"{name} is not installed: make test installs it", exc_type=ImportError
    )
    return import_module(name)


@pytest.fixture
def quiet() -> Any:
    """The peers' own warnings and progress bars are not about us."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def vectorbt_equity(
    prices: dict[str, NDArray[np.float64]], rows: NDArray[np.int64], qty: NDArray[np.int64], fee: float
) -> NDArray[np.float64]:
    vbt = peer("vectorbt")
    # It fills in the row in which an order stands, at the price given for it: one row later, at the open.
    size = np.full(ROWS, np.nan)
    size[rows + 1] = qty
    portfolio = vbt.Portfolio.from_orders(
        prices["close"], size, size_type="targetamount", price=prices["open"], fees=fee, init_cash=CASH
    )
    assert len(portfolio.order_records) == np.count_nonzero(np.diff(qty, prepend=0))
    return np.asarray(portfolio.value())


def backtesting_equity(
    prices: dict[str, NDArray[np.float64]], rows: NDArray[np.int64], qty: NDArray[np.int64], fee: float
) -> NDArray[np.float64]:
    lib = peer("backtesting")
    import pandas as pd

    position = np.zeros(ROWS, np.int64)
    position[rows] = np.diff(qty, prepend=0)
    change = position.tolist()

    class Given(lib.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            pass

        def next(self) -> None:
            # Without hedging an order against the position closes its trades first, oldest first, and opens what is
            # left over: sending the difference is a target. Filled at the next open, since trade_on_close is False.
            delta = change[len(self.data) - 1]
            if delta > 0:
                self.buy(size=delta)
            elif delta < 0:
                self.sell(size=-delta)

    index = pd.to_datetime(START_MS + MINUTE_MS * np.arange(ROWS), unit="ms")
    frame = pd.DataFrame({name.capitalize(): values for name, values in prices.items()}, index=index)
    done = lib.Backtest(frame, Given, cash=CASH, commission=fee, trade_on_close=False).run()
    return done["_equity_curve"]["Equity"].to_numpy()


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The largest relative difference of two equity curves, at any of the closes."""
    assert one.shape == other.shape == (ROWS,)
    assert np.ptp(one) > 0.05 * CASH, "an account that stands still would agree with anything"
    return float(np.max(np.abs(one - other) / other))


@pytest.mark.parametrize("fee", [0.0, 2e-4])
@pytest.mark.usefixtures("quiet")
def test_vectorbt_has_the_same_equity(prices: Any, wanted: Any, dataset: Path, fee: float) -> None:
    apart = distance(ours(dataset, *wanted, fee), vectorbt_equity(prices, *wanted, fee))
    assert apart < SLACK < LIMIT


@pytest.mark.usefixtures("quiet")
def test_backtesting_has_the_same_equity(prices: Any, wanted: Any, dataset: Path) -> None:
    # Once, with a fee: it takes some seconds for a year of minutes.
    apart = distance(ours(dataset, *wanted, 2e-4), backtesting_equity(prices, *wanted, 2e-4))
    assert apart < SLACK < LIMIT
