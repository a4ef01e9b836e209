"""A positions file as it is written: CSV, JSON or TOML, read into plain values that know their lines.

CSV has one position per line under a header of keys. JSON is the table of docs/reference/margin-calculator.md, or its
list of positions alone; TOML is that table.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backtest.core.errors import Broken, UserError
from backtest.core.held_book import IN_MEMORY
from backtest.core.toml_lines import line_of

STANDARD_INPUT = "-"
POSITIONS = "positions"
WORDS = ("symbol", "mode")
"""Columns of a CSV that hold text; all others hold numbers."""
DELIMITERS = ",;\t"
REMEDY = "pass a CSV, JSON or TOML file, or - for standard input"


@dataclass(frozen=True)
class PositionsFile:
    """Tables of plain values, and where they stand."""

    name: str
    """Of the file, for messages."""
    table: Mapping[str, Any]
    """With the list `positions`, and what else the file says."""
    text: str = ""
    rows: Sequence[int] = field(default=())
    """Of a CSV: the line of each position."""

    def place(self, at: tuple[str | int, ...]) -> str:
        """Return the file with the line of a key."""
        if self.rows:
            row = at[1] if len(at) > 1 and isinstance(at[1], int) else -1
            return f"{self.name}:{self.rows[row]}" if 0 <= row < len(self.rows) else f"{self.name}:1"
        return f"{self.name}:{line_of(self.text, at)}" if self.text else self.name


def read_file(source: Path | str) -> PositionsFile:
    """Read a file, or standard input (``-``); UserError for one that cannot be read or is none of the formats."""
    name = "standard input" if str(source) == STANDARD_INPUT else str(source)
    text = _text(source, name)
    if not text.strip():
        raise UserError("is empty", name, "give venue, margin, collateral and positions, as JSON or TOML")
    if _is_csv(text, name):
        return _csv(text, name)
    value = _parsed(text, name)
    return PositionsFile(name, {POSITIONS: value} if isinstance(value, list) else value, text)


def in_memory(given: Mapping[str, Any] | Sequence[Mapping[str, Any]], name: str = IN_MEMORY) -> PositionsFile:
    """Return what a caller in Python gives: the whole table, or its list of positions."""
    return PositionsFile(name, given if isinstance(given, Mapping) else {POSITIONS: list(given)})


def _text(source: Path | str, name: str) -> str:
    try:
        if str(source) == STANDARD_INPUT:
            return sys.stdin.buffer.read().decode("utf-8-sig")
        return Path(source).read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError("no such file", name, REMEDY) from error
    except UnicodeDecodeError as error:
        raise UserError("not text in UTF-8", name, "pass a CSV, JSON or TOML file") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", name, "pass a CSV, JSON or TOML file") from error


def _is_json(text: str) -> bool:
    """Whether it begins with an object, or with a list of them; no TOML does."""
    return re.match(r"\s*(\{|\[\s*(\{|\]))", text) is not None


def _is_csv(text: str, name: str) -> bool:
    """By the file's name, else by a first line that names columns."""
    if name.lower().endswith(".csv"):
        return True
    first = _first_line(text)
    known = re.split(rf"[{DELIMITERS}]", first.lower())
    return not _is_json(text) and "=" not in first and "symbol" in [cell.strip(' "') for cell in known]


def _first_line(text: str) -> str:
    """The first line that is neither empty nor a comment."""
    return next((line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")), "")


def _parsed(text: str, name: str) -> Any:
    kind = "JSON" if _is_json(text) else "TOML"
    try:
        value = json.loads(text, object_pairs_hook=_once) if kind == "JSON" else tomllib.loads(text)
    except ValueError as error:  # of both readers, and a key given twice
        said = " ".join(str(error).split())
        raise UserError(f"not readable as {kind}: {said}", name, "correct the file") from error
    except RecursionError as error:
        raise UserError(f"not readable as {kind}: nested too deep", name, "correct the file") from error
    if not isinstance(value, dict | list):
        raise Broken("a text that begins with a brace is an object, and TOML is a table")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON would let the last of two equal keys win."""
    keys = [key for key, _ in pairs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice!r} is given twice")
    return dict(pairs)


def _csv(text: str, name: str) -> PositionsFile:
    """A position per line; an empty cell says nothing, nor does a line that begins with ``#``."""
    delimiter = max(DELIMITERS, key=_first_line(text).count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    found: list[dict[str, Any]] = []
    lines: list[int] = []
    header: list[str] = []
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            if not any(values) or values[0].startswith("#"):
                continue
            if not header:
                header = values
                _check_header(header, f"{name}:{reader.line_num}")
                continue
            if len(values) > len(header):
                thing = f"{len(values)} cells under {len(header)} columns"
                raise UserError(thing, f"{name}:{reader.line_num}", "write a number without separators of thousands")
            found.append({key: _cell(key, value) for key, value in zip(header, values, strict=False) if value})
            lines.append(reader.line_num)
    except csv.Error as error:
        raise UserError(f"not readable as CSV: {error}", f"{name}:{reader.line_num}", "correct the file") from error
    return PositionsFile(name, {POSITIONS: found}, text, lines or (1,))


def _check_header(header: Sequence[str], place: str) -> None:
    twice = next((key for key in header if header.count(key) > 1), None)
    if twice is not None:
        raise UserError(f"the column {twice!r} is given twice" if twice else "a column has no name", place, "name each")


def _cell(key: str, value: str) -> str | float:
    if key in WORDS:
        return value
    try:
        return float(value)
    except ValueError:
        return value
