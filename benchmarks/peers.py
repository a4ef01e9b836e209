"""The peers' side of each comparison. A peer is imported when it is asked for: raptorbt is not on every Python."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.market import MINUTE_MS, START_MS, Market
from benchmarks.ours import CASH, FEE
from benchmarks.signals import FAST, SLOW


def imported(name: str) -> Any:
    """A peer's module. What it has to say about its own dependencies is not about us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module(name)


def from_signals(made: Market, rows: NDArray[np.int64], side: NDArray[np.int64], qty: float) -> Callable[[], Any]:
    """vectorbt, one column: long, flat or short from each of ``rows`` on, filled at the next open."""
    vbt = imported("vectorbt")
    signals = {name: np.zeros(made.rows, bool) for name in ("long", "out", "short")}
    for row in rows:
        signals[("out", "long", "short")[side[row]]][row + 1] = True
    start, close = made.column(0), made.column(3)
    out = signals["out"] if signals["out"].any() else False
    short = signals["short"] if signals["short"].any() else False

    def play() -> Any:
        return vbt.Portfolio.from_signals(
            close, signals["long"], out, short, out, price=start, size=qty, fees=FEE, init_cash=CASH
        )

    return play


def from_orders(made: Market, weights: NDArray[np.float64]) -> Callable[[], Any]:
    """vectorbt, many columns in one group that shares its cash: weights of equity, filled at the open.

    The simulation only: its valuation is computed later, when it is asked for.
    """
    vbt = imported("vectorbt")
    start, close = made.panel[0], made.panel[3]

    def play() -> Any:
        return vbt.Portfolio.from_orders(
            close,
            weights,
            size_type="targetpercent",
            price=start,
            fees=FEE,
            init_cash=CASH,
            cash_sharing=True,
            group_by=True,
        )

    return play


def raptor(made: Market, rows: NDArray[np.int64], side: NDArray[np.int64]) -> Callable[[], Any]:
    """raptorbt, one symbol, long or flat: its one-symbol run has one direction."""
    rbt = imported("raptorbt")
    entries, exits = np.zeros(made.rows, bool), np.zeros(made.rows, bool)
    entries[rows[side[rows] > 0]] = True
    exits[rows[side[rows] <= 0]] = True
    times = (START_MS + MINUTE_MS * np.arange(made.rows)) * 1_000_000
    prices = [made.column(field) for field in range(4)]
    volume = np.ones(made.rows)
    config = rbt.BacktestConfig(initial_capital=CASH, fees=FEE, fill_timing="next_bar_open")
    return lambda: rbt.run_single_backtest(times, *prices, volume, entries, exits, config=config)


def broadcast(made: Market, sets: Sequence[Mapping[str, int]]) -> Callable[[], Any]:
    """vectorbt: the averages of all sets and markets at once, their crosses, the simulation, and what a row shows."""
    vbt = imported("vectorbt")
    close, start = pd.DataFrame(made.panel[3], columns=list(made.symbols)), pd.DataFrame(made.panel[0])
    fast, slow = [each["fast"] for each in sets], [each["slow"] for each in sets]

    def play() -> Any:
        quick, calm = vbt.MA.run(close, fast, short_name="fast"), vbt.MA.run(close, slow, short_name="slow")
        over, under = quick.ma_crossed_above(calm), quick.ma_crossed_below(calm)
        wide = {"close": np.tile(close.to_numpy(), len(sets)), "price": np.tile(start.to_numpy(), len(sets))}
        frames = {name: pd.DataFrame(values, columns=over.columns) for name, values in wide.items()}
        found = vbt.Portfolio.from_signals(
            frames["close"], over.vbt.signals.fshift(1), short_entries=under.vbt.signals.fshift(1),
            price=frames["price"], size=1_000.0, fees=FEE, init_cash=CASH, freq="1min",
        )  # fmt: skip
        return found.total_return(), found.sharpe_ratio(), found.max_drawdown(), found.trades.win_rate()

    return quiet(play)


def batch(made: Market, sets: Sequence[Mapping[str, int]]) -> Callable[[], Any]:
    """raptorbt: the averages by its own code, then all sets of one market after another in one call of its batch.

    Its runs have one direction, so it trades half as often as the others, and each market has cash of its own.
    """
    rbt = imported("raptorbt")
    times = (START_MS + MINUTE_MS * np.arange(made.rows)) * 1_000_000
    volume = np.ones(made.rows)
    config = rbt.BacktestConfig(initial_capital=CASH, fees=FEE, fill_timing="next_bar_open")

    def play() -> Any:
        found = []
        for i in range(len(made.symbols)):
            prices = [np.ascontiguousarray(made.panel[field, :, i]) for field in range(4)]
            items = []
            for n, each in enumerate(sets):
                above = np.asarray(rbt.sma(prices[3], each["fast"])) > np.asarray(rbt.sma(prices[3], each["slow"]))
                turned = np.diff(above, prepend=False)
                items.append(rbt.BatchSingleItem(str(n), turned & above, turned & ~above))
            runs = rbt.batch_single_backtest(times, *prices, volume, items, config=config)
            found += [run.metrics for _, run in runs]
        return found

    return play


def backtesting(made: Market, qty: int) -> Callable[[], Any]:
    """backtesting.py: the average cross of `ours.Cross`, decided at each candle."""
    lib, crossover = imported("backtesting"), imported("backtesting.lib").crossover

    class Cross(lib.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            close = pd.Series(self.data.Close)
            self.fast = self.I(lambda: close.rolling(FAST).mean().to_numpy())
            self.slow = self.I(lambda: close.rolling(SLOW).mean().to_numpy())

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.position.close()
                self.buy(size=qty)
            elif crossover(self.slow, self.fast):
                self.position.close()
                self.sell(size=qty)

    index = pd.to_datetime(START_MS + MINUTE_MS * np.arange(made.rows), unit="ms")
    names = ("Open", "High", "Low", "Close")
    frame = pd.DataFrame({name: made.column(field) for field, name in enumerate(names)}, index=index)
    return quiet(lambda: lib.Backtest(frame, Cross, cash=CASH, commission=FEE).run())


def quiet(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call without its progress bar, and its warnings, such as those about trades that are open at the end."""

    def silent() -> Any:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            return call()

    return silent


def scan(folder: Path) -> Callable[[], Any]:
    """DuckDB reads every column of the candles, on all cores, and adds it up."""
    con = duckdb.connect()
    columns = ", ".join(f"sum({name})" for name in ("epoch_ms(ts)", "open", "high", "low", "close", "volume"))
    query = f"SELECT count(*), {columns} FROM read_parquet('{folder}/candles/*/*.parquet')"
    return lambda: con.execute(query).fetchall()
