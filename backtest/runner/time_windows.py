"""Windows of time that a user lists: `START/LENGTH`, `START/END`, or a file of them.

A file is a CSV with a header, a JSON list (or an object with one under `outages`), or TOML with `[[outages]]`. Each
window has `start`, and `end` or `length`; `cause` if somebody knows it. Times are ISO, UTC where they have no zone, or
whole ms.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from backtest.core import durations
from backtest.core.errors import UserError, nearest
from backtest.core.times import moment, stamp
from backtest.venues.chain import Outage

KEYS = ("start", "end", "length", "cause")
FILES = (".toml", ".json", ".csv")
TABLE = "outages"
REMEDY = "give start, and end or length, like 2025-10-10T21:35 and 8h"
LONGEST_MS = 365 * 86_400_000
LATEST_MS = 253_402_300_800_000
"""The year 10000."""


class Window(NamedTuple):
    """An outage, and where it was written."""

    outage: Outage
    place: str


def listed(text: str, place: str) -> Window:
    """The window that `START/LENGTH` or `START/END` writes."""
    start, _, rest = text.partition("/")
    is_time = "-" in rest
    return _window({"start": start.strip(), "end" if is_time else "length": rest.strip()}, place)


def read(path: Path) -> list[Window]:
    """The windows of a file, in its order; UserError names the file and what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        entries = list(_ENTRIES[path.suffix](text, path))
    except FileNotFoundError:
        raise UserError("no such file", str(path), "check the name") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", str(path), "check the name") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise UserError(f"not readable as {path.suffix[1:].upper()}: {error}", str(path), "correct the file") from None
    if not entries:
        raise UserError("no outage is in it", str(path), REMEDY)
    return [_window(entry, place) for place, entry in entries]


def apart(windows: list[Window]) -> None:
    """UserError for two windows that overlap."""
    ordered = sorted(windows, key=lambda w: (w.outage.start_ms, w.outage.end_ms))
    for (one, _), (other, place) in pairwise(ordered):
        if other.start_ms < one.end_ms:
            thing = f"outages overlap: {span_text(one)} and {span_text(other)}"
            raise UserError(thing, place, "make one of them, or correct the times")


def span_text(outage: Outage) -> str:
    """``2025-10-10T21:35Z to 2025-10-11T05:35Z``."""
    return f"{stamp(outage.start_ms)} to {stamp(outage.end_ms)}"


Entry = tuple[str, dict[str, Any]]
"""Where it is written, and its values by key."""


def _toml(text: str, path: Path) -> Iterator[Entry]:
    return _tables(tomllib.loads(text), path)


def _json(text: str, path: Path) -> Iterator[Entry]:
    return _tables(json.loads(text), path)


def _tables(held: Any, path: Path) -> Iterator[Entry]:
    found = held.get(TABLE) if isinstance(held, dict) else held
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise UserError("it holds no list of outages", str(path), f"write them as {TABLE}; {REMEDY}")
    for n, entry in enumerate(found, 1):
        yield f"{path}: outage {n}", entry


def _csv(text: str, path: Path) -> Iterator[Entry]:
    lines = csv.DictReader(text.splitlines(), skipinitialspace=True)
    for entry in lines:
        if None in entry:
            raise UserError("more values than columns", f"{path}:{lines.line_num}", "correct the file")
        yield f"{path}:{lines.line_num}", {key: value.strip() for key, value in entry.items() if value}


_ENTRIES = {".toml": _toml, ".json": _json, ".csv": _csv}


def _window(entry: dict[str, Any], place: str) -> Window:
    for key in entry:
        if key not in KEYS:
            raise UserError(f"unknown key {key!r}", place, nearest(key, KEYS))
    if "start" not in entry or ("end" in entry) == ("length" in entry):
        raise UserError("an outage needs a start, and one of end and length", place, REMEDY)
    start = _time(entry["start"], place)
    given = "end" in entry
    end = _time(entry["end"], place) if given else start + durations.parse(str(entry["length"]), place)
    if end <= start:
        raise UserError(f"an outage that ends before it begins: {stamp(start)} to {stamp(end)}", place, REMEDY)
    if start < 0:
        raise UserError(f"an outage before 1970: {stamp(start)}", place, "give a later time")
    if end - start > LONGEST_MS:
        raise UserError(f"an outage of {(end - start) // 86_400_000:,} days", place, "give one of a year at most")
    return Window(Outage(start, end, str(entry.get("cause", ""))), place)


def _time(value: Any, place: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    known = isinstance(value, int | str | dt.date) and not isinstance(value, bool)
    if not known or (isinstance(value, int) and abs(value) > LATEST_MS):
        raise UserError(f"{value!r} is not a time", place, REMEDY)
    return moment(value, place)
