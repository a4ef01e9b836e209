"""How a CSV text is written: separator, header, lines before it, decimal comma; told from its beginning."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

SEPARATORS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?|nan|NaN|inf|Infinity")
_COMMA = re.compile(r"[+-]?\d+,\d+")
_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d*|[+-]?\d{1,3}(,\d{3}){2,}")
"""Commas between thousands, where they cannot be decimal ones."""
_MOST_PREAMBLE = 10
"""Lines before the header that are looked at."""


@dataclass(frozen=True)
class Dialect:
    """How to read a CSV text."""

    separator: str
    skip: int
    """Lines before the header, or before the first row where it is missing."""
    header: bool
    names: tuple[str, ...]
    """``column 1``, … where there is no header."""
    decimal_comma: bool
    thousands: bool
    """Numbers have commas between thousands: ``"42,000.5"``."""
    rows: tuple[tuple[str, ...], ...]
    """The first rows, as text."""


def sniff(text: str, whole: bool) -> Dialect | None:
    """Return the dialect of the beginning of a text; None where no line has two columns.

    ``whole``: the text has ended, so that its last line is no half of one.
    """
    lines = text.splitlines()
    lines = lines if whole or text.endswith("\n") else lines[:-1]
    lines = lines[:500]
    separator, width = _separator(lines)
    if width < 2:
        return None
    skip = next(n for n, line in enumerate(lines) if len(_cells(line, separator)) == width)
    rows = [_cells(line, separator) for line in lines[skip:] if line.strip()]
    header = not any(_NUMBER.fullmatch(cell) for cell in rows[0] if cell)
    body = tuple(row for row in rows[header:] if len(row) == width)
    names = _unique(rows[0]) if header else tuple(f"column {n + 1}" for n in range(width))
    cells = [cell for row in body for cell in row]
    comma = (
        separator != ","
        and any(_COMMA.fullmatch(c) for c in cells)
        and not any("." in c for c in cells if _NUMBER.fullmatch(c))
    )
    thousands = not comma and any(_GROUPED.fullmatch(c) for c in cells)
    return Dialect(separator, skip, header, names, comma, thousands, body)


def is_number(text: str) -> bool:
    """Whether a cell is a number."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _separator(lines: list[str]) -> tuple[str, int]:
    """The separator that cuts most lines into equally many columns, and into how many."""
    best = (",", 1, 0)
    for separator in SEPARATORS:
        widths = [len(_cells(line, separator)) for line in lines if line.strip()]
        for width in set(widths[_MOST_PREAMBLE // 2 :] or widths):
            if width > 1 and widths.count(width) * width > best[2] * best[1]:
                best = (separator, width, widths.count(width))
    return best[0], best[1]


def _cells(line: str, separator: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in next(csv.reader([line], delimiter=separator), []))


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of columns, none empty and none twice."""
    seen: dict[str, int] = {}
    found = []
    for n, name in enumerate(names):
        name = name.removeprefix("\ufeff") or f"column {n + 1}"
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(found)
