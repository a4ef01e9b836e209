"""Layer 2, section 5: what messages cost."""

from __future__ import annotations

from tests.reference.account import Account
from tests.reference.chain import Chain
from tests.reference.outcome import GasPaid, Outcome

KINDS = {"order": "order", "oco": "order", "cancel": "cancel", "cancel_all": "cancel", "amend": "amendment"}
"""What a message is called in the table of gas."""


class Gases:
    def __init__(self, chain: Chain, account: Account, outcome: Outcome) -> None:
        self.chain, self.account, self.outcome = chain, account, outcome

    def price(self, kind: str, sent_ms: int, congested: float) -> int:
        """Of a message of that kind, sent then."""
        if not self.chain.gas:
            return 0
        begun = [one for one in self.chain.gas if one.from_ms <= sent_ms]
        dated = begun[-1] if begun else self.chain.gas[0]
        amounts = {
            "order": dated.order, "cancel": dated.cancel, "amendment": dated.cancel, "deposit": dated.deposit,
            "withdrawal": dated.withdrawal,
        }  # fmt: skip
        return round(amounts[kind] * float(congested**self.chain.congestion.gas_power))

    def note(self, ts_ms: int, number: int, kind: str, amount: int) -> None:
        if self.account.sharing:
            self.account.sharing.pay(ts_ms, number, "gas", amount)
        if amount != 0:
            self.outcome.gas.append(GasPaid(ts_ms, number, kind, amount))

    def pay(self, ts_ms: int, number: int, kind: str, amount: int) -> None:
        """Out of the wallet."""
        self.account.wallet -= amount
        self.note(ts_ms, number, kind, amount)
