"""One market of a venue: its names, and what the venue says of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation


@dataclass(frozen=True)
class MarginTable:
    """The leverage tiers of a market, as a `[[margin]]` table of a venue file has them; all numbers are text."""

    rule: str
    """``tiers``, ``max_leverage`` or ``ceil``, see docs/reference/venues.md."""
    rates: tuple[tuple[str, str], ...] = ()
    """Keys of the table beside the tiers, with their numbers."""
    tiers: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Keys of each tier with their numbers; `upto` is a notional in quote units."""


@dataclass(frozen=True)
class Market:
    """A linear perpetual; numbers are text so that they stay exact, empty where the venue does not say."""

    name: str
    """The venue's own name, which is the symbol in the dataset."""
    base: str
    quote: str
    active: bool = True
    """Whether it trades today."""
    step: str = ""
    """Smallest quantity, base units."""
    tick: str = ""
    min_notional: str = ""
    listed_ms: int = 0
    """When trading began; 0: the venue does not say."""
    contract: str = "1"
    """Base units in a contract, where the venue counts volume in contracts."""
    margin: MarginTable | None = None
    """Today's leverage tiers, where the list of markets tells them."""


def product(*numbers: object) -> str:
    """Return the product of numbers given as text; empty where one of them is not a number above zero."""
    out = Decimal(1)
    for number in numbers:
        try:
            value = Decimal(str(number))
        except InvalidOperation:
            return ""
        if not value.is_finite() or value <= 0:
            return ""
        out *= value
    return f"{out.normalize():f}"


def number(value: object) -> float:
    """Return a number that may be text; 0 where it is none."""
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def milliseconds(value: object, unit_ms: int = 1) -> int:
    """Return a time that may be text; 0 where it is none or zero."""
    return int(number(value) * unit_ms)


def tier(upto: object, max_leverage: object, maintenance: object) -> tuple[tuple[str, str], ...]:
    """Return a step of the rule ``tiers``; an empty ``upto`` leaves it open."""
    keys = {"upto": product(upto), "max_leverage": product(max_leverage), "maintenance": product(maintenance)}
    return tuple((key, value) for key, value in keys.items() if value)
