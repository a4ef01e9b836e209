"""Hedged pair: long one market, short another of equal size.

The idea. Two majors rise and fall together, so long one and short the other leaves only their difference: a view
that one will do better, held at a leverage that a single position could not bear. By default four times the
equity, two on each side.

When it works: the two stay together and the long one does better, or the short one pays the funding.

When it dies: not by a crash as such, but by the margin mode in a crash. In cross margin the short's profit carries
the long's loss and the account lives. In isolated margin each leg has only its own collateral: the long is
liquidated at the low while the short's profit lies idle, and what is left is a naked short into the rebound. In
either mode it dies when the two part: when the long alone is delisted, hacked or sold.

It goes back to equal sizes once a day, and in any hour in which one leg has outgrown the other by the band. After a
liquidation of one leg it buys that leg again, at the next hour and at the price of then.
"""

from datetime import date

from backtest import Account, Market, Param, ParamValue, Strategy


class HedgedPair(Strategy):
    """Long one market, short another of equal notional."""

    long: str = Param("BTC-USD", doc="the market to hold")
    short: str = Param("ETH-USD", doc="the market to sell")
    weight: float = Param(2.0, gt=0, le=20, doc="size of each leg, as a multiple of equity")
    band: float = Param(0.05, gt=0, le=1, doc="how far one leg may outgrow the other before the day is over")
    every = "1h"

    def validate(self) -> str | None:
        """Refuse a pair of one market."""
        return f"long and short are both {self.long}" if self.long == self.short else None

    def __init__(self, **params: ParamValue) -> None:
        """Ask for the two markets only."""
        super().__init__(**params)
        self.symbols = (self.long, self.short)

    def on_start(self, market: Market, account: Account) -> None:
        """Begin unbalanced."""
        self.day: date | None = None

    def on_candle(self, market: Market, account: Account) -> None:
        """Rebalance on a new day, or when the legs have drifted apart."""
        if self.long not in market.symbols or self.short not in market.symbols or account.equity <= 0:
            return
        held = abs(account.position(self.long).qty) * market.mark[self.long]
        sold = abs(account.position(self.short).qty) * market.mark[self.short]
        drifted = abs(held - sold) > self.band * min(held, sold)
        if drifted or market.now.date() != self.day:
            self.day = market.now.date()
            account.target(self.long, weight=self.weight)
            account.target(self.short, weight=-self.weight)
