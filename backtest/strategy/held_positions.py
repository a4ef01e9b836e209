"""Positions instead of a strategy: held as they are, or brought back to their weights from time to time."""

from __future__ import annotations

import polars as pl

from backtest.strategy.account import Account
from backtest.strategy.base import Strategy
from backtest.strategy.features import STAMP
from backtest.strategy.market import Market
from backtest.strategy.session import replay_of

HELD = "positions"
"""What a report calls the strategy of a positions file."""


class HeldPositions(Strategy):
    """Hold the positions of a file. Nothing is traded after the start."""

    def targets(self, candles: pl.LazyFrame) -> pl.DataFrame:  # noqa: ARG002  a hook's signature
        """No decision at any candle."""
        return pl.DataFrame(schema={"ts": STAMP, "symbol": pl.String(), "qty": pl.Float64()})


class RebalancedPositions(Strategy):
    """Bring the positions of a file back to their weights at the start, once in every `--rebalance`."""

    lookback = 1

    def on_candle(self, market: Market, account: Account) -> None:
        """Send what each position lacks of its share of equity."""
        replay = replay_of(account._key)
        for symbol in market.symbols:
            account.target(symbol, weight=replay.opening_weights[replay.setup.symbols.index(symbol)])
