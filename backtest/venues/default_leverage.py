"""The leverage that a venue gives an isolated position of which nobody has set one, dated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from backtest.venues.assumptions import left_to_trust
from backtest.venues.field_types import Dated, Moment, Number, held_at, in_force, in_order


class DefaultLeverage(Dated):
    """One dated table. A market whose maximum is lower has that."""

    leverage: Annotated[Number, Field(ge=1, le=1_000)]
    """Notional over the margin that is posted."""


DefaultLeverages = Annotated[list[DefaultLeverage], AfterValidator(in_order)]


def default_at(tables: Sequence[DefaultLeverage] | None, at_ms: int) -> float | None:
    """Return the venue's default leverage at an instant, notional over margin; None: its file names none."""
    return float(held_at(list(tables), at_ms).leverage) if tables else None


def assumed(venue: str, tables: Sequence[DefaultLeverage] | None, at_ms: int) -> list[str]:
    """Return sentences about what of the default leverage at an instant is assumed."""
    held = [held_at(list(tables), at_ms)] if tables else []
    return [f"{venue}: default leverage {line}." for line in left_to_trust(held, at_ms, at_ms + 1)]


def in_words(tables: Sequence[DefaultLeverage] | None, when: Moment | None) -> list[tuple[str, str, str, str]]:
    """Return (kind, `` from DATE``, the rule, how far it is known) of all dates, or of one; nothing without any."""
    known = list(tables or [])
    asked = [in_force(known, when)] if known and when else known
    return [
        ("default leverage", f" from {t.since}" if t.from_ else "", f"{t.leverage:g}x in isolated margin", t.standing)
        for t in asked
    ]
