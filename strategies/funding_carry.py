"""Funding carry: be paid for taking the unpopular side.

The idea. Where the crowd is long, longs pay shorts at every settlement. Short the markets that pay most, hold as
much of those that pay least, and collect the difference while the prices of the two sides cancel.

When it works: calm or rising markets with an excited crowd, where the rates stay apart for weeks.

When it dies: the market with the highest rate is the one that is being squeezed, and a squeeze of tens of per cent
outweighs years of carry. When the crowd is thrown out the rates turn within hours, and the book pays what it meant
to collect. Fees eat it whenever the ranking changes often.

It assumes one settlement interval for all its markets: a rate per hour and a rate per eight hours are not
comparable, and `market.funding_rate` is the rate of the last settlement, whatever its interval.
"""

from backtest import Account, Market, Param, Strategy


class FundingCarry(Strategy):
    """Short the markets that pay most funding, long those that pay least."""

    side: int = Param(1, ge=1, le=50, doc="markets on each side")
    weight: float = Param(1.0, gt=0, le=20, doc="size of each side, as a multiple of equity")
    edge: float = Param(0.00005, ge=0, le=0.1, doc="least difference in rate per settlement worth the fees")
    every = "8h"

    def on_candle(self, market: Market, account: Account) -> None:
        """Rank by the last settled rate and hold the two ends of the ranking, in equal parts."""
        # NaN, before the first settlement, is not equal to itself. The name decides between equal rates.
        rates = {s: market.funding_rate[s] for s in market.symbols if market.funding_rate[s] == market.funding_rate[s]}
        ranked = sorted(rates, key=lambda symbol: (rates[symbol], symbol))
        if len(ranked) < 2 * self.side or account.equity <= 0:
            return
        low, high = ranked[: self.side], ranked[-self.side :]
        paid = sum(rates[s] for s in high) / self.side - sum(rates[s] for s in low) / self.side
        part = self.weight / self.side if paid >= self.edge else 0.0
        for symbol in ranked:
            account.target(symbol, weight=part * ((symbol in low) - (symbol in high)))
