"""Section 6, admission: may this order be filled, or wait, with the margin that there is?"""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Account
from tests.reference.margin import Ladder
from tests.reference.numbers import part, sign
from tests.reference.path import Row


@dataclass(frozen=True)
class Verdict:
    admitted: bool
    have: int = 0
    need: int = 0
    moved: int = 0
    """From the wallet into the isolated pool, if the order is filled."""


def is_reducing(held: int, lots: int) -> bool:
    return held * lots < 0 and abs(lots) <= abs(held)


class Margin:
    """The margin of an account at one instant of a row, on the coherent mark path."""

    def __init__(self, account: Account, ladders: dict[str, Ladder], row: Row, at: int) -> None:
        self.account, self.ladders, self.row, self.at = account, ladders, row, at

    def value(self, symbol: str, lots: int) -> int:
        return self.row.mark_value(symbol, lots * self.account.steps[symbol], self.at)

    def initial(self, symbol: str, lots: int) -> int:
        """Initial requirement of that many lots, either sign."""
        return self.ladders[symbol].initial(abs(self.value(symbol, lots))) if lots else 0

    def exposure(self, symbol: str, held: int, extra: int) -> int:
        """The largest position that the waiting orders, and `extra` lots as one of them, could make."""
        buys, sells = self.account.waiting_lots(symbol)
        buys, sells = buys + max(extra, 0), sells + max(-extra, 0)
        return max(abs(held), abs(held + buys), abs(held - sells))

    def living(self) -> list[str]:
        return [name for name in self.account.names if name in self.row.marks]

    def cross(self, symbol: str, lots: int, cash: int, waits: bool) -> Verdict:
        """`cash` is what the wallet would hold after the fill; of an order that waits, what it holds."""
        equity, need = cash, 0
        for name in self.living():
            held = self.account.lots[name]
            filled = lots if name == symbol and not waits else 0
            extra = lots if name == symbol and waits else 0
            equity += self.value(name, held + filled) if held + filled else 0
            need += self.initial(name, self.exposure(name, held + filled, extra))
        return Verdict(equity >= need, equity, need)

    def reserved(self, symbol: str, lots: int, waits: bool) -> int:
        """What the waiting orders reserve of the wallet, with `lots` filled or waiting."""
        total = 0
        for name in self.living():
            held = self.account.lots[name] + (lots if name == symbol and not waits else 0)
            extra = lots if name == symbol and waits else 0
            whole = self.initial(name, self.exposure(name, held, extra))
            total += max(0, whole - self.initial(name, held))
        return total

    def isolated_waiting(self, symbol: str, lots: int) -> Verdict:
        need = self.reserved(symbol, lots, waits=True)
        return Verdict(self.account.wallet >= need, self.account.wallet, need)

    def isolated(self, symbol: str, lots: int, cash_change: int) -> Verdict:
        """A fill that changes the pool's cash by `cash_change`, fee included."""
        held = self.account.lots[symbol]
        after = held + lots
        cash = self.account.pools[symbol]
        equity = cash + (self.value(symbol, held) if held else 0)
        equity_after = cash + cash_change + (self.value(symbol, after) if after else 0)
        if is_reducing(held, lots):
            moved = part(equity, abs(after), abs(held)) - equity_after
            return Verdict(True, moved=min(moved, 0))  # reducing never draws on the wallet
        need = self.initial(symbol, after)
        flips = held != 0 and sign(after) != sign(held)
        target = need if flips else equity + need - self.initial(symbol, held)
        moved = target - equity_after
        wanted = moved + self.reserved(symbol, lots, waits=False)
        if self.account.wallet < wanted:
            return Verdict(False, self.account.wallet, wanted)
        return Verdict(target >= need, target, need, moved)
