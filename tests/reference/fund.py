"""The venue's insurance fund: a balance, and a cap on what it pays in one block."""

from __future__ import annotations

from tests.reference.terms import Law


class Fund:
    """It starts with what the law in force at the run's start gives it; None: there is none, and it never pays."""

    def __init__(self, law: Law) -> None:
        self.balance = law.fund_micro
        self.block = -1
        self.paid_in_block = 0

    def under(self, law: Law) -> None:
        """A law may set a fund up, or abolish it; one that stays keeps what it holds."""
        if (law.fund_micro is None) != (self.balance is None):
            self.balance = law.fund_micro

    def receive(self, amount: int) -> None:
        if self.balance is not None:
            self.balance += amount

    def can_pay(self, law: Law, ts_ms: int) -> int:
        """What it holds, and not more than what its cap leaves in this block."""
        if self.balance is None:
            return 0
        if law.fund_cap_micro is None:
            return self.balance
        paid = self.paid_in_block if ts_ms // law.block_ms == self.block else 0
        return min(self.balance, max(0, law.fund_cap_micro - paid))

    def for_bankrupt(self, law: Law, ts_ms: int) -> int:
        """What it would pay for a pool that is below zero."""
        return self.can_pay(law, ts_ms) if law.fund_when_bankrupt else 0

    def pay(self, amount: int, law: Law, ts_ms: int) -> None:
        if amount == 0:
            return
        assert self.balance is not None
        self.balance -= amount
        if ts_ms // law.block_ms != self.block:
            self.block, self.paid_in_block = ts_ms // law.block_ms, 0
        self.paid_in_block += amount
