"""What isolated positions were posted with, as facts of a run."""

from __future__ import annotations

from typing import Any

from backtest.core.records import Record
from backtest.runner.settings import EQUAL, MAX, MINIMUM, RunSettings
from backtest.venues.default_leverage import default_at
from backtest.venues.field_types import moment_at
from backtest.venues.profile import Profile


def default_posted(profile: Profile, asked: RunSettings, start_ms: int) -> float | None:
    """Return the venue's default leverage where it decides what isolated positions post; None: it does not."""
    return None if asked.isolated_margin == MINIMUM else default_at(profile.default_leverage, start_ms)


def posted(profile: Profile, asked: RunSettings, record: Record) -> dict[str, Any] | None:
    """Return what decides the margin of isolated positions; None where no market has its own pool.

    ``leverage`` and what it was ``by``: `asked`, `default` (the venue's) or `venue` (its minimum; then it is None).
    ``amount``: what opens a position, quote units, where it is an amount, and whether that is an ``equal`` share.
    ``markets``: those with their own pool, None: all. ``lower``: maximum leverage of markets that allow less.
    ``set``: markets of which the strategy set the leverage itself.
    """
    own = [s for s in record.symbols if asked.modes.get(s, record.margin) == "isolated"]
    if not own and asked.isolate_above is None:
        return None
    default = default_posted(profile, asked, record.start_ms)
    given = default if asked.leverage is None else None if asked.leverage == MAX else float(asked.leverage)
    most = {s: profile.max_leverage(s, moment_at(record.start_ms)) for s in own or record.symbols}
    return {
        "leverage": given,
        "by": "venue" if given is None else "default" if asked.leverage is None else "asked",
        "named": default is not None,
        "amount": asked.posted_amount(len(record.symbols)),
        "equal": asked.isolated_margin == EQUAL,
        "by_share": not own,
        "markets": None if len(own) in (0, len(record.symbols)) else own,
        "lower": {} if given is None else {s: value for s, value in most.items() if value < given * (1 - 1e-9)},
        "set": [s for s in record.leverage_set if s in own or not own],
    }
