"""This engine's side of each comparison: margin and funding are on in all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import backtest
from backtest import Strategy
from backtest.core.records import Record
from backtest.data.catalog import Catalog
from backtest.engine import layout as at
from backtest.engine.pack import Charges, Setup, fee_table
from backtest.engine.replay import Replay, to_micro
from backtest.venues import chains, profile
from backtest.venues.chain import Oracle
from benchmarks.market import LOT, MINUTE_MS, START_MS, Market
from benchmarks.signals import FAST, SLOW, sparse

CASH = 1_000_000.0
FEE = 1e-4
HOUR_MS = 3_600_000


def setup(made: Market, **more: Any) -> Setup:
    """An empty account in that market, at the rules of the generic venue; ``more``: other fields of the setup."""
    count = len(made.symbols)
    return Setup(
        symbols=made.symbols,
        step_micro=np.full(count, round(LOT * 1e6), np.int64),
        first_row=np.zeros(count, np.int64),
        last_row=np.full(count, made.rows - 1, np.int64),
        interval_ms=MINUTE_MS,
        start_ms=START_MS,
        rows=made.rows,
        mark_offset=0,
        known_field=3,
        funding=made.funding,
        contract=profile.load("generic").contract(made.symbols),
        cash=to_micro(CASH),
        charges=Charges(fees=fee_table(FEE)),
        **more,
    )


def replay(made: Market, targets: NDArray[np.float64], kind: int, **more: Any) -> Callable[[], Record]:
    """A whole replay of targets over candles in memory, from an empty account to its record."""
    whole = setup(made, **more)

    def play() -> Record:
        account = Replay(whole, 0, targets, kind)
        account.load(made.panel, 0)
        account.advance(made.rows)
        return account.record({})

    return play


def over_chain(made: Market, targets: NDArray[np.float64], kind: int) -> tuple[Callable[[], Record], ...]:
    """`replay` over `arbitrum` in a market as busy as usual; and with an oracle that is late and seldom publishes."""
    prices, rows, symbols = made.panel.shape
    hours = np.ones((rows * MINUTE_MS // HOUR_MS + 2, 2))
    usual = hours * (float(np.nanmean((made.panel[1] - made.panel[2]) / made.panel[0])), np.nan)
    chain = {"chain": chains.load("arbitrum").chain(START_MS), "usual": usual}
    # The oracle writes its mark into fields of its own, as in a run.
    wide = replace(made, panel=np.concatenate([made.panel, np.empty((8, rows, symbols))]))
    oracle = {"oracle": Oracle(delay_ms=3_000, deviation=0.001, heartbeat_ms=HOUR_MS), "oracle_field": prices}
    return replay(made, targets, kind, **chain), replay(wide, targets, kind, **chain, **oracle)


def flips(made: Market, rows: NDArray[np.int64], side: NDArray[np.int64], qty: float) -> Callable[[], Record]:
    """`replay` of one symbol whose position is ``side × qty`` from each of ``rows`` on."""
    return replay(made, sparse(rows, 0, side[rows] * round(qty / LOT)), at.TARGET_LOTS)


class Cross(Strategy):
    """Average cross on each candle, with a constant size."""

    fast: int = backtest.Param(FAST, ge=2)
    slow: int = backtest.Param(SLOW, ge=2)
    qty: float = backtest.Param(100.0, gt=0)

    def features(self, candle: Any) -> dict[str, Any]:
        return {"fast": candle.close.rolling_mean(self.fast), "slow": candle.close.rolling_mean(self.slow)}

    def on_start(self, market: Any, account: Any) -> None:  # noqa: ARG002  a hook's arguments
        self.side = 0

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            side = 1 if market.feature("fast", symbol) > market.feature("slow", symbol) else -1
            if side != self.side:
                self.side = side
                account.target(symbol, qty=side * self.qty)


def called(folder: Path) -> Callable[[], backtest.Result]:
    """`backtest.run` of the average cross over a dataset that is open already; everything but the report's files."""
    catalog = Catalog.open(folder)
    return lambda: backtest.run(Cross, catalog, cash=CASH, fee_bps=FEE * 1e4)
