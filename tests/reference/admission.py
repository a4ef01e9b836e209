"""Section 6, admission: may this order be filled, or wait, with the margin that there is?"""

from __future__ import annotations

from dataclasses import dataclass

from tests.reference.account import Account
from tests.reference.margin import Asked
from tests.reference.numbers import part, share, sign
from tests.reference.path import Row


@dataclass(frozen=True)
class Verdict:
    admitted: bool
    have: int = 0
    need: int = 0
    moved: int = 0
    """From the wallet into the symbol's own pool, if the order is filled."""
    reason: str = "margin"


@dataclass(frozen=True)
class Change:
    """What an order would do: `filled` lots change hands for `cash`, or `waits` lots wait."""

    symbol: str = ""
    filled: int = 0
    waits: int = 0
    cash: int = 0


NOTHING = Change()


def is_reducing(held: int, lots: int) -> bool:
    return held * lots < 0 and abs(lots) <= abs(held)


class Margin:
    """The margin of an account at one instant of a row, on the coherent mark path."""

    def __init__(self, account: Account, asked: Asked, row: Row, at: int) -> None:
        self.account, self.asked, self.row, self.at = account, asked, row, at

    def value(self, symbol: str, lots: int) -> int:
        return self.row.mark_value(symbol, lots * self.account.steps[symbol], self.at) if lots else 0

    def initial(self, symbol: str, lots: int) -> int:
        """Initial requirement of that many lots, either sign."""
        if lots == 0:
            return 0
        units = abs(lots) * self.account.steps[symbol]
        return self.asked.initial(symbol, abs(self.value(symbol, lots)), units)

    def held(self, symbol: str, change: Change) -> int:
        return self.account.lots[symbol] + (change.filled if symbol == change.symbol else 0)

    def exposure(self, symbol: str, change: Change, sender: int | None = None) -> int:
        """The largest position, signed, that the waiting orders could make; of the account, or of one strategy."""
        held = self.held(symbol, change)
        if sender is not None:
            held += self.account.held_by(sender, symbol) - self.account.lots[symbol]
        buys, sells = self.account.waiting_lots(symbol, sender)
        if symbol == change.symbol:
            buys, sells = buys + max(change.waits, 0), sells + max(-change.waits, 0)
        return max((held, held + buys, held - sells), key=abs)

    def living(self, own: bool) -> list[str]:
        """The symbols that are traded in the row and have a pool of their own, or are in the cross pool."""
        return [name for name in self.account.names if name in self.row.marks and self.account.own[name] == own]

    def cross_equity(self, change: Change = NOTHING) -> int:
        return self.account.wallet + change.cash + sum(self.value(n, self.held(n, change)) for n in self.living(False))

    def cross_initial(self, change: Change = NOTHING, sender: int | None = None) -> int:
        """The initial requirement of the cross pool's exposures, or of a strategy's as if it were alone."""
        exposures = {name: self.exposure(name, change, sender) for name in self.living(False)}
        own = {name: self.initial(name, lots) for name, lots in exposures.items()}
        values = {name: self.value(name, lots) for name, lots in exposures.items()}
        return self.asked.of_cross(own, values, initial=True)

    def cross_maintenance(self, change: Change) -> int:
        """The maintenance requirement of the cross pool with the change."""
        held = {name: self.held(name, change) for name in self.living(False) if self.held(name, change) != 0}
        values = {name: self.value(name, lots) for name, lots in held.items()}
        own = {
            name: self.asked.ladders[name].maintenance(abs(values[name]), abs(lots) * self.account.steps[name])
            for name, lots in held.items()
        }
        return self.asked.of_cross(own, values, initial=False) if own else 0

    def reserved(self, change: Change = NOTHING) -> int:
        """What waiting orders of symbols with a pool of their own reserve of the wallet."""
        total = 0
        for name in self.living(True):
            whole = self.initial(name, self.exposure(name, change))
            total += max(0, whole - self.initial(name, self.held(name, change)))
        return total

    # ---- the verdicts

    def limit(self, symbol: str, lots: int) -> Verdict:
        """Whether the venue allows a position of that many lots."""
        terms = self.asked.terms[symbol]
        notional, units = abs(self.value(symbol, lots)), abs(lots) * self.account.steps[symbol]
        if terms.limit_micro is not None and notional > terms.limit_micro:
            return Verdict(False, notional, terms.limit_micro, reason="limit")
        if terms.limit_units is not None and units > terms.limit_units:
            return Verdict(False, units, terms.limit_units, reason="limit_size")
        return Verdict(True)

    def within_share(self, change: Change, sender: int) -> Verdict:
        """The margin limit of a strategy."""
        if self.account.sharing is None:
            return Verdict(True)
        limit = self.account.sharing.limits[sender]
        before, after = self.cross_initial(NOTHING, sender), self.cross_initial(change, sender)
        if limit is None or after <= before:
            return Verdict(True)
        most = share(self.cross_equity(change), limit)
        return Verdict(after <= most, most, after, reason="margin_limit")

    def may_wait(self, symbol: str, lots: int, reduce_only: bool, sender: int = 0) -> Verdict:
        change = Change(symbol, waits=0 if reduce_only else lots)
        portfolio = self.asked.portfolio is not None and not self.account.own[symbol]
        harmless = reduce_only or is_reducing(self.account.lots[symbol], lots)
        if not harmless:
            limited = self.limit(symbol, self.exposure(symbol, change))
            if not limited.admitted:
                return limited
        within = self.within_share(change, sender)
        if not within.admitted:
            return within
        if harmless and not portfolio:
            return Verdict(True)
        if portfolio and self.cross_initial(change) <= self.cross_initial():
            return Verdict(True)
        return self.covered(change)

    def may_fill(self, symbol: str, lots: int, cash: int, reduce_only: bool, sender: int = 0) -> Verdict:
        """A fill that changes the pool's cash by `cash`, fee included."""
        change = Change(symbol, filled=lots, cash=cash)
        held = self.account.lots[symbol]
        if not is_reducing(held, lots):
            limited = self.limit(symbol, held + lots)
            if not limited.admitted:
                return limited
        if self.account.own[symbol]:
            return self.own_pool(change)
        within = self.within_share(change, sender)
        if not within.admitted:
            return within
        if self.asked.portfolio is None:
            return Verdict(True) if is_reducing(held, lots) else self.covered(change)
        if self.cross_initial(change) <= self.cross_initial():
            return Verdict(True)
        verdict = self.covered(change)
        if not (reduce_only and is_reducing(held, lots)):
            return verdict
        need = min(verdict.need, self.cross_maintenance(change))
        return Verdict(verdict.have >= need, verdict.have, need)

    def covered(self, change: Change) -> Verdict:
        """The cross pool with the change covers its own initial requirement and what is reserved."""
        equity, need = self.cross_equity(change), self.cross_initial(change) + self.reserved(change)
        return Verdict(equity >= need, equity, need)

    def own_pool(self, change: Change) -> Verdict:
        symbol, lots = change.symbol, change.filled
        held = self.account.lots[symbol]
        after = held + lots
        cash = self.account.pools[symbol]
        equity = cash + self.value(symbol, held)
        equity_after = cash + change.cash + self.value(symbol, after)
        posted = self.asked.posted
        if is_reducing(held, lots):
            moved = part(equity, abs(after), abs(held)) - equity_after
            return Verdict(True, moved=min(moved, 0) if posted is None else 0)  # reducing never draws on the wallet
        need = self.initial(symbol, after)
        have = self.cross_equity()
        increases = held != 0 and sign(after) == sign(held)
        if posted is None:
            target = equity + need - self.initial(symbol, held) if held == 0 or increases else need
        elif increases:
            target = max(need, equity_after)
        else:
            free = max(0, have - self.cross_initial() - self.reserved(change))
            target = max(need, min(posted, equity_after + free))
        moved = target - equity_after
        wanted = moved + self.cross_initial() + self.reserved(change)
        if have < wanted:
            return Verdict(False, have, wanted)
        return Verdict(target >= need, target, need, moved)

    def may_leave(self, amount: int) -> bool:
        """Whether `amount` may be moved from the wallet to a pool of its own."""
        return self.cross_equity() - amount >= self.cross_initial() + self.reserved()
