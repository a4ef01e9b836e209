"""Maker grid: rest orders on both sides of the price, and earn the distance between them.

The idea. Buys below the price and sales above it, each post-only, so that it waits for others and pays the maker's
fee. Where the price swings to and fro they are filled in turn, and a bought and a sold one together earn their
distance. What is bought and not yet sold is inventory: the grid leans away from it, and stops adding at a bound.

When it works: a restless market that goes nowhere, and a maker's fee that is small beside the distance.

When it dies: a trend. It buys all the way down or sells all the way up, and sits on the whole bound at the worst
price; what the swings earned in a month one day takes back. It is short volatility, whatever its curve looks like
until then; on a price that wanders without a mind it earns nothing, and pays the fees.

What its numbers mean. A candle says that the price went through a limit, not who else was waiting there. Every order
here is filled whole as soon as the path has gone through it, as if nobody stood before it, and an order just beyond
the turning point never is. Real fills are fewer, and worse: what a queue lets a small maker have is above all what
was about to go against him. And a path of four points visits a level once or twice in a candle, the real price
perhaps often. Take the result for a sketch; `--volume-share taker=10%,maker=1%` and finer candles make it a soberer
one.
"""

import polars as pl

from backtest import Account, Candle, Market, Param, Strategy


class MakerGrid(Strategy):
    """Rest post-only orders on both sides of the price, and lean against what they have filled."""

    levels: int = Param(3, ge=1, le=20, doc="orders on each side")
    gap: float = Param(0.75, gt=0, le=10, doc="distance from one to the next, in average ranges of an hour")
    size: float = Param(0.1, gt=0, le=5, doc="size of each order, as a share of its market's part of equity")
    most: float = Param(1.0, gt=0, le=20, doc="inventory at which it stops adding, as a multiple of that part")
    every = "1h"

    def validate(self) -> str | None:
        """Refuse orders that are larger than the inventory may be: none would ever be sent."""
        return f"size = {self.size:g} is above most = {self.most:g}" if self.size > self.most else None

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        """Give the average range of an hour over a day, as a share of the price."""
        return {"range": ((candle.high - candle.low) / candle.close).rolling_mean(24)}

    def on_candle(self, market: Market, account: Account) -> None:
        """Take away the orders of the hour before, and rest new ones around the price of now."""
        account.cancel_all()
        if account.equity <= 0:
            return
        part = account.equity / len(market.symbols)
        for symbol in market.symbols:
            gap = self.gap * market.feature("range", symbol)
            held = account.position(symbol).notional / part
            # Half a gap lower with all that it may hold, so that it sells sooner than it buys.
            centre = market.close[symbol] * (1 - gap * held / self.most / 2)
            for n in range(1, self.levels + 1):
                worth = self.size * part
                if held + n * self.size <= self.most:
                    account.buy(symbol, notional=worth, limit=centre * (1 - n * gap), post_only=True)
                if held - n * self.size >= -self.most:
                    account.sell(symbol, notional=worth, limit=centre * (1 + n * gap), post_only=True)
