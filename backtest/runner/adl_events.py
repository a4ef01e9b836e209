"""Deleveraging events that a run is told of: listed, from a file, or wherever the market moved fast.

`--adl 2025-10-10T21:15,BTC-USD,0.5` closes half of a profitable position in BTC-USD at that time, `*` in place of the
symbol whichever ranks first. `--adl move=5%/10m,0.5` is an event at each close at which the mark of a symbol has moved
by 5 % or more within ten minutes; the symbol then has none for as long. `--adl FILE.csv` holds lines of the first kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from backtest.core import durations
from backtest.core.errors import UserError, nearest
from backtest.core.times import moment
from backtest.data.selection import Selection

Event = tuple[int, str, float]
"""Time ms, symbol ("": any), share of the position."""

MARK_CLOSE = 3
_MOVE = re.compile(r"move=(?P<percent>[0-9.]+)%/(?P<within>\w+),(?P<share>[0-9.]+)")
FORMS = "write TIME,SYMBOL,SHARE (or * for the symbol), move=5%/10m,SHARE, or a FILE.csv of the first"


def events(texts: Sequence[str], selection: Selection) -> tuple[Event, ...]:
    """All events of ``texts`` inside the period, by time, then symbol; UserError for a text that is none."""
    found: list[Event] = []
    for text in texts:
        if text.startswith("move="):
            found += _moves(text, selection)
        elif text.endswith(".csv"):
            found += _file(Path(text), selection)
        else:
            found.append(_listed(text, f"--adl {text}", selection))
    end = selection.start_ms + selection.rows * selection.interval_ms
    return tuple(sorted(event for event in found if selection.start_ms <= event[0] < end))


def _file(path: Path, selection: Selection) -> Iterator[Event]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", str(path), "check the name") from error
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith(("#", "ts,")):
            yield _listed(line, f"{path}:{number}", selection)


def _listed(text: str, place: str, selection: Selection) -> Event:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3:
        raise UserError(f"{text!r} is not a deleveraging event", place, FORMS)
    when, symbol = moment(parts[0], place), "" if parts[1] in ("", "*") else parts[1]
    if symbol and symbol not in selection.symbols:
        raise UserError(f"unknown symbol {symbol!r}", place, nearest(symbol, selection.symbols))
    return when, symbol, _share(parts[2], place)


def _share(text: str, place: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UserError(f"share {text!r}", place, "give a share of the position, above 0 and up to 1")
    return share


def _moves(text: str, selection: Selection) -> list[Event]:
    place, match = f"--adl {text}", _MOVE.fullmatch(text)
    if match is None:
        raise UserError(f"{text!r} is not a deleveraging event", place, FORMS)
    try:
        least = float(match["percent"]) / 100
    except ValueError:
        raise UserError(f"{match['percent']}% is not a number", place, FORMS) from None
    within = durations.parse(match["within"], place)
    rows = within // selection.interval_ms
    if rows < 1 or within % selection.interval_ms:
        candles = durations.text(selection.interval_ms)
        raise UserError(f"{match['within']} is not a multiple of the {candles} candles", place, "give a whole multiple")
    return _fast_moves(selection, least, rows, _share(match["share"], place))


def _fast_moves(selection: Selection, least: float, rows: int, share: float) -> list[Event]:
    """An event at each mark's close that is `least` or more away from that `rows` before; none for as long after it."""
    found: list[Event] = []
    silent = np.zeros(len(selection.symbols), np.int64)
    field = selection.mark_offset + MARK_CLOSE
    for chunk in selection.chunks(selection.default_chunk_rows, tail=rows):
        mark = chunk.panel[field]
        with np.errstate(invalid="ignore"):
            moved = np.abs(mark[rows:] / mark[:-rows] - 1) >= least
        # the first chunk has nothing before it, so its panel is shorter by the missing tail
        first = chunk.row0 - chunk.tail + rows
        for at, i in np.argwhere(moved):
            row = first + int(at)
            if row >= silent[i]:
                silent[i] = row + rows
                close = selection.start_ms + (row + 1) * selection.interval_ms
                found.append((close, selection.symbols[i], share))
    return found
