"""Values and keys as TOML writes them: the one writer of TOML, for `run.toml` and `dataset.toml`."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from decimal import Decimal


def key(name: str) -> str:
    """Return a key, in quotes where it is not made of ASCII letters, digits and the signs that may stand bare."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def quoted(text: str) -> str:
    """Return text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def line(name: str, given: object) -> str:
    """Return ``name = value``."""
    return f"{key(name)} = {value(given)}"


def value(given: object) -> str:
    """Return a plain value as TOML has it: lists and tables in one line, other values as text."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int | float):
        return repr(given)
    if isinstance(given, Decimal):
        return f"{given:f}"
    if isinstance(given, Mapping):
        return "{ " + ", ".join(line(str(name), one) for name, one in given.items()) + " }"
    if isinstance(given, list | tuple):
        return "[" + ", ".join(map(value, given)) + "]"
    return quoted(str(given))


def instant(ms: int) -> str:
    """Return a time in ms as a TOML date and time in UTC, or as the number itself where no date is that far away."""
    try:
        when = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=ms)  # noqa: DTZ001  UTC, said by the Z
    except OverflowError:
        return str(ms)
    return when.isoformat(timespec="milliseconds" if ms % 1_000 else "seconds") + "Z"
