"""An order on its way through its states: rules of orders, section 1."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.reference.message import Passage

CONDITIONAL = ("stop_market", "stop_limit", "take_profit_market", "take_profit_limit", "trailing_stop")


@dataclass(eq=False)
class Order:
    """Prices are None where the order has none; lots are signed."""

    number: int
    ts_sent: int
    symbol: str
    sent: int
    """Size as sent, or as amended."""
    type: str = "market"
    limit: float | None = None
    stop: float | None = None
    by_mark: bool = False
    trail: float | None = None
    trail_share: bool = True
    activation: float | None = None
    tif: str = "gtc"
    expires_ms: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    decision: float = 0.0
    """Price at which it was decided."""
    parent: Order | None = None
    children: list[Order] = field(default_factory=list)
    group: list[Order] = field(default_factory=list)
    """The orders of its group, itself among them."""
    left: int = 0
    """Unfilled; a reduce-only order that was clipped to the position stays clipped."""
    filled: int = 0
    state: str = "flying"
    """flying, dormant, armed, working, busy (while it is being executed) or ended"""
    passage: Passage | None = None
    """Of a message's first order, of all orders of a group."""
    ts_arrived: int = -1
    triggered: int = -1
    best: float | None = None
    """Price that a trailing stop follows."""
    sender: int = 0
    offset: float | None = None
    executed_row: int = -1
    """Open of the row in which it was executed last."""

    @property
    def buys(self) -> bool:
        return self.sent > 0

    @property
    def conditional(self) -> bool:
        return self.type in CONDITIONAL

    @property
    def ended(self) -> bool:
        return self.state == "ended"

    @property
    def place(self) -> tuple[int, int]:
        """Order of arrival."""
        return self.ts_arrived, self.number
