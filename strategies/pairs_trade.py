"""Pairs trade: sell the dear one of two markets, buy the cheap one, and wait until they meet.

The idea. The ratio of two markets that live on the same news wanders around its mean. When it is far from it, the
dear one is sold and the cheap one bought in equal sizes; the market as a whole may then do what it likes. The entries
are limit orders a little better than the price. One leg may be filled and the other not: when their time is up the
missing one is taken at the market, for half a pair is a naked position.

When it works: two majors in calm times, and a mean that stays where it is.

When it dies: the mean moves. One of the two is hacked, unlocked or loved, the ratio never comes back, and what looked
cheap was on its way down. The stop on the score takes that loss; a larger window only takes it later. Even two majors
part for years: with these numbers ETH against BTC lost nearly everything from 2020 to 2026, most of it to the ratio
and the rest to fees.

What its numbers mean. An entry is filled as soon as the path goes through its limit. The two legs are filled at
different times of the same candle, as the coherent path has it: lows first or highs first, for both.
"""

import numpy as np

from backtest import Account, Market, OrderEvent, Param, ParamValue, Strategy


class PairsTrade(Strategy):
    """Hold two markets against each other while their ratio is far from its mean."""

    first: str = Param("ETH-USD", doc="one market")
    second: str = Param("BTC-USD", doc="the other")
    window: int = Param(168, ge=10, le=1000, doc="hours in the mean of their ratio")
    enter: float = Param(2.0, gt=0, le=10, doc="standard deviations from the mean at which it enters")
    leave: float = Param(0.5, ge=0, le=10, doc="and at which it is content")
    give_up: float = Param(4.0, gt=0, le=100, doc="and at which it takes the loss")
    weight: float = Param(1.0, gt=0, le=20, doc="size of each leg, as a multiple of equity")
    inside: float = Param(0.001, ge=0, le=0.1, doc="how much better than the price an entry is")
    every = "1h"

    def validate(self) -> str | None:
        """Refuse a pair of one market, and levels that leave no score to hold the pair at."""
        if self.first == self.second:
            return f"first and second are both {self.first}"
        if not self.leave < self.enter < self.give_up:
            return f"leave < enter < give_up does not hold: {self.leave:g}, {self.enter:g}, {self.give_up:g}"
        return None

    def __init__(self, **params: ParamValue) -> None:
        """Ask for the two markets only."""
        super().__init__(**params)
        self.symbols = (self.first, self.second)

    def on_start(self, market: Market, account: Account) -> None:
        """Begin without a side."""
        self.side = {self.first: 0, self.second: 0}

    def on_candle(self, market: Market, account: Account) -> None:
        """Enter where the ratio is far from its mean, leave where it is near, or too far."""
        score = self.score(market)
        if account.position(self.first).qty or account.position(self.second).qty:
            if not self.leave < abs(score) < self.give_up:
                account.close(self.first)
                account.close(self.second)
        elif self.enter < abs(score) < self.give_up and account.equity > 0:
            dear = 1 if score > 0 else -1
            self.side = {self.first: -dear, self.second: dear}
            for symbol, side in self.side.items():
                limit = market.close[symbol] * (1 - side * self.inside)
                # Over before the next close, so that it is known there what was filled.
                account.target(symbol, weight=side * self.weight, limit=limit, expires="55m")

    def on_order(self, event: OrderEvent, market: Market, account: Account) -> None:
        """Complete the pair when an entry has run out of time and the other leg was filled."""
        if event.state == "expired":
            size = max(abs(account.position(symbol).notional) for symbol in self.side)
            account.target(event.symbol, notional=self.side[event.symbol] * size)

    def score(self, market: Market) -> float:
        """Give the distance of the ratio from its mean, in standard deviations; 0 while it is not known."""
        if len(market.symbols) < 2:
            return 0.0
        first, second = (market.history(symbol, "close", self.window) for symbol in (self.first, self.second))
        if len(first) < self.window or np.isnan(first).any() or np.isnan(second).any():
            return 0.0
        ratio = np.log(first / second)
        spread = ratio.std()
        return float((ratio[-1] - ratio.mean()) / spread) if spread > 0 else 0.0
