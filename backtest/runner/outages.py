"""Outages of a run: listed, from a file, from the chain's history, at random, or where the book would have lost most.

`--outages 2025-10-10T21:35/8h` is one window, its end given by a length or a time; `FILE.toml`, `.json` and `.csv` hold
several; `history` are those that the chain's profile knows; `poisson=2/year:60m:8h` draws them: how many in a year, and
of their lengths the median and the 90th percentile; `worst:30m` is one that is placed after a first replay (`worst`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.core import durations
from backtest.core.enums import MICRO
from backtest.core.errors import UserError, nearest
from backtest.core.records import Record
from backtest.data.panel import CLOSE
from backtest.data.selection import Selection
from backtest.runner.time_windows import FILES, Window, apart, listed, read
from backtest.venues.chain import Outage

FLAG = "--outages"
WORDS = ("history", "poisson=2/year:60m:8h", "worst:30m")
FORMS = f"write {', '.join(WORDS)}, START/LENGTH, START/END, or a FILE.toml, .json or .csv"
YEAR_MS = 365 * 86_400_000
"""The year of a rate, and the longest outage that is drawn."""
MOST_PER_YEAR = 10_000.0
Z90 = 1.2815515655446004
"""Standard normal quantile at 0.9."""
TOLD = 3
"""Windows that a note names."""
_PROCESS = re.compile(r"(?P<rate>\d+(\.\d*)?|\.\d+)/year:(?P<median>\w+):(?P<p90>\w+)")
_KEY = 0x6F757461
"""Sets these draws apart from any others that are made of the run's seed."""


@dataclass(frozen=True)
class Process:
    """Outages at random: a Poisson process in time, log-normal lengths."""

    per_year: float = 2.0
    median_ms: int = 60 * 60_000
    p90_ms: int = 8 * 60 * 60_000
    """The defaults are those that the known outages of eleven networks suggest (docs/explanation/layer2.md)."""

    def drawn(self, seed: int, start_ms: int, end_ms: int) -> tuple[Outage, ...]:
        """Those that touch ``start_ms <= t < end_ms``, by start; they may overlap.

        Each year of 365 days since 1970 has its own draws, so that what happens at a time does not depend on where
        a run begins or ends. Length in ms: ``min(year, median × exp(σ × normal))``, ``σ = ln(p90 / median) / z(0.9)``.
        """
        sigma = np.log(self.p90_ms / self.median_ms) / Z90
        found: list[Outage] = []
        # No outage is longer than a year, so the year before the run's is all that can reach into it.
        for year in range(max(0, start_ms // YEAR_MS - 1), end_ms // YEAR_MS + 1):
            chance = np.random.default_rng([_KEY, seed, year])
            n = int(chance.poisson(self.per_year))
            begins = year * YEAR_MS + np.sort(chance.integers(0, YEAR_MS, n))
            lengths = np.clip(np.rint(self.median_ms * np.exp(sigma * chance.standard_normal(n))), 1, YEAR_MS)
            ends = begins + lengths.astype(np.int64)
            found += [Outage(int(a), int(b), "drawn") for a, b in zip(begins, ends, strict=True)]
        return tuple(one for one in found if one.start_ms < end_ms and one.end_ms > start_ms)


@dataclass(frozen=True)
class Asked:
    """What `--outages` asks for."""

    windows: tuple[Window, ...] = ()
    history: bool = False
    process: Process | None = None
    worst_ms: int = 0
    """Length of the halt that is placed after a first replay; 0: none."""


def parse(texts: Iterable[str]) -> Asked:
    """What the texts ask for; reads the files. UserError for a text of no form, and for windows that overlap."""
    asked = Asked()
    for text in dict.fromkeys(texts):
        place, word = f"{FLAG} {text}", text.strip()
        if word.endswith(FILES):
            asked = replace(asked, windows=(*asked.windows, *read(Path(word))))
        elif word == "history":
            asked = replace(asked, history=True)
        elif word.partition("=")[0] == "poisson":
            _once(asked.process is not None, "poisson")
            asked = replace(asked, process=_process(word, place))
        elif word.startswith("worst"):
            _once(asked.worst_ms > 0, "worst")
            asked = replace(asked, worst_ms=_worst_ms(word, place))
        elif "/" in word:
            asked = replace(asked, windows=(*asked.windows, listed(word, place)))
        else:
            near = nearest(word, ("history", "poisson", "worst"))
            raise UserError(f"unknown outages {text!r}", FLAG, near if near.startswith("did") else FORMS)
    apart(list(asked.windows))
    return asked


def _once(before: bool, kind: str) -> None:
    if before:
        raise UserError(f"{kind} is given twice", FLAG, "give it once")


def _process(word: str, place: str) -> Process:
    if word == "poisson":
        return Process()
    match = _PROCESS.fullmatch(word.partition("=")[2])
    if match is None:
        raise UserError(
            f"{word!r} is not a random process", place, f"write {WORDS[1]}: how many, their median, the 90th percentile"
        )
    rate = float(match["rate"])
    if not 0 < rate <= MOST_PER_YEAR:
        raise UserError(
            f"{match['rate']} outages in a year", place, f"give a number above 0 and up to {MOST_PER_YEAR:,.0f}"
        )
    median, p90 = (_length(match[name], place) for name in ("median", "p90"))
    if p90 < median:
        thing = f"the 90th percentile {match['p90']} is below the median {match['median']}"
        raise UserError(thing, place, "give the median first")
    return Process(rate, median, p90)


def _worst_ms(word: str, place: str) -> int:
    kind, colon, value = word.partition(":")
    if kind != "worst" or not colon:
        raise UserError(f"{word!r} has no length", place, f"write {WORDS[2]}")
    return _length(value, place)


def _length(text: str, place: str) -> int:
    length = durations.parse(text, place)
    if length > YEAR_MS:
        raise UserError(f"{text} is longer than a year", place, "give a year at most")
    return length


def merged(outages: Iterable[Outage]) -> tuple[Outage, ...]:
    """The same times of standing still, by start, where windows that overlap are one."""
    out: list[Outage] = []
    for one in sorted(outages, key=lambda o: (o.start_ms, o.end_ms, o.cause)):
        if out and one.start_ms < out[-1].end_ms:
            causes = dict.fromkeys(cause for cause in (out[-1].cause, one.cause) if cause)
            out[-1] = replace(out[-1], end_ms=max(out[-1].end_ms, one.end_ms), cause=", ".join(causes))
        else:
            out.append(one)
    return tuple(out)


@dataclass(frozen=True)
class Worst:
    """The window in which the book at its start would have lost most."""

    outage: Outage
    loss: float
    """Quote units, above 0; of all accounts together."""
    accounts: int = 1
    """How many there are."""


@dataclass(frozen=True)
class OutagePlan:
    """What became of the outages that were asked for."""

    played: tuple[Outage, ...] = ()
    """Those that touch the run, by time, without overlap; none begins before the run."""
    outside: tuple[Outage, ...] = ()
    """Listed by the user, and not in the run."""
    known: int | None = None
    """How many the chain's history has; None: it was not asked for."""
    met: int = 0
    """How many of these are in the run."""
    drawn: int | None = None
    """How many a process gave; None: none was asked for."""
    worst_ms: int = 0
    """Length of the halt to be placed; 0: none."""
    worst: Worst | None = None
    """Where it was placed."""

    @property
    def asked(self) -> bool:
        """Whether any outage was asked for."""
        return bool(self.played or self.outside or self.worst_ms) or (self.known, self.drawn) != (None, None)

    @property
    def counts(self) -> dict[str, int]:
        """By name, for the summary."""
        return {"outages": len(self.played), "outages outside the run": len(self.outside)}

    def placed(self, found: Worst | None) -> OutagePlan:
        """With the halt that `worst` found; it may overlap others. None: no window would have lost anything."""
        return self if found is None else replace(self, worst=found, played=merged((*self.played, found.outage)))


def halts(asked: Asked, history: Sequence[Outage], seed: int, start_ms: int, end_ms: int) -> OutagePlan:
    """What happens to ``asked`` in a run over ``start_ms <= t < end_ms``, on a chain with ``history``.

    An outage that begins before the run begins with its first open; one that is not over at its end keeps its own.
    UserError where the history and listed windows overlap.
    """
    past = tuple(Window(one, f"{FLAG} history") for one in history) if asked.history else ()
    apart([*asked.windows, *past])
    process = asked.process
    drawn = process.drawn(seed, start_ms, end_ms) if process else ()
    given = [*(window.outage for window in (*asked.windows, *past)), *drawn]
    inside = [one for one in given if one.start_ms < end_ms and one.end_ms > start_ms]
    return OutagePlan(
        played=merged(replace(one, start_ms=max(one.start_ms, start_ms)) for one in inside),
        outside=tuple(one for one, _ in asked.windows if one not in inside),
        known=len(past) if asked.history else None,
        met=sum(one in inside for one, _ in past),
        drawn=len(drawn) if process else None,
        worst_ms=asked.worst_ms,
    )


def postponed(events: Iterable[tuple[int, str, float]], played: Sequence[Outage]) -> tuple[tuple[int, str, float], ...]:
    """Events (time ms, symbol, share) with those stamped inside an outage moved to its end, by time, then symbol."""
    ends = [(one.start_ms, one.end_ms) for one in played]
    moved = ((next((b for a, b in ends if a < when < b), when), symbol, share) for when, symbol, share in events)
    return tuple(sorted(moved))


def covering(selection: Selection, length_ms: int) -> int:
    """How many rows cover a halt that is to be placed; UserError where the run has no window of so many."""
    rows = -(-length_ms // selection.interval_ms)
    if rows >= selection.rows:
        thing, candles = f"the run has {selection.rows:,} candles", durations.text(selection.interval_ms)
        place = f"{FLAG} worst:{durations.text(length_ms)}"
        raise UserError(f"{thing} of {candles}, which is not longer than the outage", place, "choose a shorter one")
    return rows


def worst(selection: Selection, records: Sequence[Record], length_ms: int) -> Worst | None:
    """Where a halt of ``length_ms`` would have cost the books of ``records``, played without it, most; None: nowhere.

    A window begins at the close of a row `k` and has the ``m = ⌈length / interval⌉`` rows that cover the halt. The
    books as held at its beginning, ``q_i`` (fills at that instant included, summed over the records), lose
    ``−Σ_i q_i × (mark_i(k + m) − mark_i(k))``, marks at closes; a market that ends meanwhile keeps its last mark. The
    first of equal losses. Reads the marks once, a chunk at a time.
    """
    rows = covering(selection, length_ms)
    lots = [_lots(records, symbol) for symbol in selection.symbols]
    most, at = 0.0, -1
    for chunk in selection.chunks(selection.default_chunk_rows, tail=rows):
        first = chunk.row0 - chunk.tail
        starts = np.arange(first, chunk.row0 + chunk.rows - rows)
        if not len(starts):
            continue
        closes = selection.start_ms + (starts + 1) * selection.interval_ms
        mark = chunk.panel[selection.mark_offset + CLOSE]
        loss = np.zeros(len(starts))
        # One market after another: the sum has the same order, whatever the size of the chunks.
        for i, (times, held) in enumerate(lots):
            quantity = held[np.searchsorted(times, closes, side="right")] * (selection.step_micro[i] / MICRO)
            ends = np.minimum(starts + rows, max(first, selection.last_row[i]))
            change = mark[ends - first, i] - mark[starts - first, i]
            # What is bought with a market's first price has no mark before it, and what is not held may have none.
            loss -= np.where(np.isnan(change), 0.0, quantity * change)
        best = int(np.argmax(loss))
        if loss[best] > most:
            most, at = float(loss[best]), int(starts[best])
    begin = selection.start_ms + (at + 1) * selection.interval_ms
    if at < 0:
        return None
    cause = "placed where the positions would have lost most"
    return Worst(Outage(begin, begin + length_ms, cause), most, len(records))


def _lots(records: Sequence[Record], symbol: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Times of the fills of a market, and the lots held before the first and after each of them."""
    fills = [r.fills[r.fills["symbol"] == r.symbols.index(symbol)] for r in records if symbol in r.symbols]
    times = np.concatenate([f["ts_ms"] for f in fills]) if fills else np.empty(0, np.int64)
    lots = np.concatenate([f["lots"] for f in fills]) if fills else np.empty(0, np.int64)
    order = np.argsort(times, kind="stable")
    return times[order], np.append(0, np.cumsum(lots[order]))
