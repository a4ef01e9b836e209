"""Breakout: wait where the price would leave its range, and follow it with a stop behind.

The idea. A price that has stayed in a range for days and leaves it has found new buyers, or new sellers, and tends to
go on. A stop order at the nearer edge of the range waits for that, and brings its own protection: a stop that bounds
the loss, a target, and a trailing stop that follows what is won. The first of them that is reached cancels the
others, and nothing has to be decided while the position is open.

When it works: long quiet times that end in a long move.

When it dies: false breaks. The price looks over the edge, triggers the entry at the worst price of the day, and comes
back through the stop. Many small losses pay for a few long rides; a year without a ride is a year of losses. A gap
jumps over the stop, and the loss is then larger than the one that the size was made for.

What its numbers mean. A stop fills where the path of the candle meets it, or at the open that has jumped over it.
Where entry and stop lie inside one candle their order is a guess of the path; `--drill` asks finer candles.
"""

import polars as pl

from backtest import Account, Candle, Market, Order, Param, Strategy


class Breakout(Strategy):
    """Enter where the price leaves the range of the last days; stop, target and trailing stop do the rest."""

    window: int = Param(30, ge=2, le=500, doc="candles in the range that is to be left")
    risk: float = Param(0.01, gt=0, le=0.2, doc="share of equity that the first stop is to cost")
    most: float = Param(2.0, gt=0, le=20, doc="largest position, as a multiple of equity")
    stop: float = Param(2.0, gt=0, le=20, doc="distance of the stop, in average ranges of a candle")
    target: float = Param(8.0, gt=0, le=100, doc="distance of the target, likewise")
    trail: float = Param(4.0, gt=0, le=50, doc="distance of the trailing stop, likewise")
    every = "4h"

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        """Give the edges of the range, and the average range of one candle."""
        return {
            "top": candle.high.rolling_max(self.window),
            "bottom": candle.low.rolling_min(self.window),
            "range": (candle.high - candle.low).rolling_mean(self.window),
        }

    def on_candle(self, market: Market, account: Account) -> None:
        """Renew the entry of each market in which there is no position."""
        for symbol in market.symbols:
            unit = market.feature("range", symbol)
            # In a panic the range is so wide that the target of a sale would lie below nothing: stand aside.
            sane = 0 < self.target * unit < market.feature("bottom", symbol)
            if sane and account.equity > 0 and not account.position(symbol).qty:
                account.send(self.entry(market, account, symbol, unit))

    def entry(self, market: Market, account: Account, symbol: str, unit: float) -> Order:
        """Give a stop order at the nearer edge, with its bracket."""
        price, top, bottom = market.close[symbol], market.feature("top", symbol), market.feature("bottom", symbol)
        edge, side = (top, 1) if top - price < price - bottom else (bottom, -1)
        qty = min(self.risk * account.equity / (self.stop * unit), self.most * account.equity / price)
        return Order(
            symbol,
            side * qty,
            stop=edge,
            stop_loss=edge - side * self.stop * unit,
            take_profit=edge + side * self.target * unit,
            trailing_stop=self.trail * unit,
            # Over by itself when the next one comes. To cancel it could come too late: cancelled with all that is at
            # the venue, an entry filled in the meantime would lose its bracket.
            expires=self.every,
        )
