"""Lifeline: hold a leveraged position, and move its margin instead of its size.

The idea. A position of one size is kept at its leverage by money, not by trades. When the price has fallen the account
is filled up from a reserve outside the venue, and nothing is sold at the low. When it has risen, what the leverage no
longer needs goes home, where no liquidation can reach it.

When it works: falls that are slower than the way of the money, and that come back.

When it dies: in a crash. The margin is gone within the hour, the deposit is on the bridge for longer, and if the chain
stands still it waits with everything else; the rescue reaches an account that has been liquidated. And in a fall that
does not come back: it feeds the whole reserve to one position, hour by hour, which a stop would have given up with the
first tenth of it. `--reserve` and `--chain` say how much there is and how long it takes: play it with a chain whose
deposits take half an hour, then with one of seconds.

What its numbers mean. What is on its way is counted as there, or each hour would call for it again. A withdrawal has
left the account when it is sent, days before it is home. Cross margin is assumed: money that comes in goes to the
wallet, which an isolated position does not live on.
"""

from backtest import Account, Market, Param, ParamValue, Strategy


class Lifeline(Strategy):
    """Hold one long position at a leverage, by money from a reserve and back."""

    market: str = Param("BTC-USD", doc="the market to hold")
    leverage: float = Param(4.0, gt=1, le=50, doc="leverage at the start, and after each transfer")
    high: float = Param(6.0, gt=1, le=100, doc="leverage at which money is called for")
    low: float = Param(3.0, gt=0, le=50, doc="leverage at which money goes home")
    least: float = Param(100.0, gt=0, doc="quote units that are worth a transfer, and stay for its gas")
    every = "1h"

    def validate(self) -> str | None:
        """Refuse bounds that the leverage at the start is not between: money would move at once."""
        if not self.low < self.leverage < self.high:
            return f"low < leverage < high does not hold: {self.low:g}, {self.leverage:g}, {self.high:g}"
        return None

    def __init__(self, **params: ParamValue) -> None:
        """Ask for the one market only."""
        super().__init__(**params)
        self.symbols = (self.market,)

    def on_start(self, market: Market, account: Account) -> None:
        """Begin without the position."""
        self.opened = False

    def on_candle(self, market: Market, account: Account) -> None:
        """Open the position once; from then on move money whenever its leverage has left its bounds."""
        if not market.symbols or account.orders:
            return
        if not self.opened:
            self.opened = True
            account.target(self.market, weight=self.leverage)
            return
        held = account.position(self.market).notional
        coming = sum(transfer.amount for transfer in account.transfers if transfer.kind == "deposit")
        equity = account.equity + coming
        if held > self.high * equity:
            self.call(account, held / self.leverage - equity)
        elif held < self.low * equity:
            self.send_home(account, account.equity - held / self.leverage)

    def call(self, account: Account, missing: float) -> None:
        """Call for what is missing, as far as there is a reserve."""
        amount = min(missing, account.reserve - self.least)
        if amount >= self.least:
            account.top_up(amount)

    def send_home(self, account: Account, spare: float) -> None:
        """Send home what is not needed, as far as it is free: not what is only on paper, and not what is margin."""
        amount = min(spare, account.wallet, account.free_collateral) - self.least
        if amount >= self.least:
            account.withdraw(amount)
