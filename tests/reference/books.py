"""Money between wallet and pools, and what becomes of a pool without a position (section 6.3)."""

from __future__ import annotations

from tests.reference.account import Account
from tests.reference.fund import Fund
from tests.reference.margin import Asked
from tests.reference.outcome import CROSS, Liquidation, Move, Outcome


class Books:
    def __init__(self, account: Account, asked: Asked, fund: Fund, outcome: Outcome) -> None:
        self.account, self.asked, self.fund, self.outcome = account, asked, fund, outcome

    def move(self, ts_ms: int, symbol: str, amount: int) -> None:
        """From the wallet into the symbol's own pool; nothing moved, no record."""
        if amount != 0:
            self.account.wallet -= amount
            self.account.pools[symbol] += amount
            self.outcome.moves.append(Move(ts_ms, symbol, amount))

    def traded(self, ts_ms: int, symbol: str) -> None:
        """After any trade of the symbol: a pool without a position is not being liquidated and holds nothing.

        What is left goes to the wallet; for cash below zero the fund pays, and others bear the rest. A symbol that was
        isolated by its share is back in the cross pool.
        """
        account, pool = self.account, self.account.pool_of(symbol)
        if account.holdings(pool):
            return
        account.processes.pop(pool, None)
        cash = account.cash(pool)
        if cash < 0:
            paid = min(-cash, self.fund.for_bankrupt(self.asked.law, ts_ms))
            self.fund.pay(paid, self.asked.law, ts_ms)
            account.pay(pool, -cash)
            if account.sharing:
                account.sharing.relief(ts_ms, symbol, -cash)
            shortfall = Liquidation(ts_ms, pool, symbol, "shortfall", 0, -paid, -cash - paid, 0, cash, 0, 0, 0)
            self.outcome.liquidations.append(shortfall)
        elif pool != CROSS:
            self.move(ts_ms, symbol, -cash)
        if symbol in account.by_share:
            account.by_share.discard(symbol)
            account.own[symbol] = False
