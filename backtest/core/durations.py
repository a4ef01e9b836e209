"""Lengths of time as text: `1m`, `5m`, `90s`, `8h`, `1d`."""

from __future__ import annotations

import re

from backtest.core.errors import Broken, UserError

UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Largest first. No months or years: they have no fixed length."""

LONGEST_MS = 100_000 * UNITS_MS["d"]
"""Longer than any market has been there, and exact wherever times are counted."""

_FORM = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")


def parse(text: str, place: str = "") -> int:
    """Milliseconds of an interval, always more than zero.

    ``place`` says where the text was found, for the error. Raises UserError on any other text.
    """
    match = _FORM.fullmatch(str(text).strip())  # what a TOML file calls an interval may be a number
    length = int(match[1]) * UNITS_MS[match[2]] if match else 0
    if length > LONGEST_MS:
        raise UserError(f"{text!r} is longer than {LONGEST_MS // UNITS_MS['d']:,} days", place, "give a shorter one")
    if length <= 0:
        raise UserError(
            f"{text!r} is not an interval", place, "write a whole number and s, m, h or d, like 90s, 5m, 1h or 1d"
        )
    return length


def text(ms: int) -> str:
    """The shortest text that :func:`parse` reads back as ``ms``: 3,600,000 is `1h`, 5,400,000 is `90m`."""
    if ms <= 0:
        raise Broken(f"an interval has a length, not {ms} ms")
    unit = next(unit for unit, length in UNITS_MS.items() if ms % length == 0)
    return f"{ms // UNITS_MS[unit]}{unit}"
