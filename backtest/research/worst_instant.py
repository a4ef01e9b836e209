"""Where `at = "worst"` is: the close at which the positions of the runs without the scenario would lose most by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO
from backtest.core.records import Record
from backtest.data.panel import CLOSE
from backtest.data.scenarios.curve import LEAST_FACTOR
from backtest.data.scenarios.moves import moves
from backtest.data.scenarios.realised import Returns
from backtest.data.scenarios.schema import Scenario
from backtest.data.selection import Selection
from backtest.research.scenario_effects import Ground, matched, sides

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lots:
    """Times of the fills of a market, and the quantity held from each of them on."""

    times: NDArray[np.int64]
    quantity: Floats

    def at(self, instants: NDArray[np.int64]) -> Floats:
        """Base units held at each instant, fills at it included."""
        held: Floats = np.append(0.0, self.quantity)[np.searchsorted(self.times, instants, side="right")]
        return held


Book = Mapping[str, Lots]


@dataclass(frozen=True)
class Located:
    """The worst instant, and what the positions of all runs together lose by it, quote units."""

    at_ms: int
    loss: float


def book_of(records: Sequence[Record]) -> dict[str, Lots]:
    """What all accounts together held, by market."""
    book = {}
    for symbol in sorted({symbol for record in records for symbol in record.symbols}):
        times, lots = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        step = 1
        for record in records:
            if symbol in record.symbols:
                number = record.symbols.index(symbol)
                own = record.fills[record.fills["symbol"] == number]
                times.append(own["ts_ms"])
                lots.append(own["lots"])
                step = int(record.step_micro[number])
        stamps, sizes = np.concatenate(times), np.concatenate(lots)
        order = np.argsort(stamps, kind="stable")
        held: Floats = np.cumsum(sizes[order]).astype(np.float64) * (step / MICRO)
        book[symbol] = Lots(stamps[order], held)
    return book


def together(books: Sequence[Book]) -> dict[str, Lots]:
    """The sum of books."""
    summed = {}
    for symbol in sorted({symbol for book in books for symbol in book}):
        own = [book[symbol] for book in books if symbol in book]
        times = np.concatenate([lots.times for lots in own])
        steps = np.concatenate([np.diff(lots.quantity, prepend=0.0) for lots in own])
        order = np.argsort(times, kind="stable")
        summed[symbol] = Lots(times[order], np.cumsum(steps[order]))
    return summed


def closing_marks(selection: Selection) -> Floats:
    """Marks at the closes of all rows: [rows, symbols]."""
    field = selection.mark_offset + CLOSE
    return np.concatenate([chunk.panel[field] for chunk in selection.chunks(selection.default_chunk_rows)])


def worst_instant(scenario: Scenario, selection: Selection, mark: Floats, book: Book, ground: Ground) -> Located | None:
    """The close at which a scenario costs a book most, or gives it least; None: at none does it hold anything.

    A price event costs ``−Σ q × mark × move``, the market's largest move; funding what the settlements of its window
    take; anything else what the marks take from the book within the scenario's length. ``q`` is what is held at the
    close. Closes are looked at after which the scenario fits into the run; the first of equal ones counts.
    """
    d, rows = selection.interval_ms, selection.rows
    length = min(-(-scenario.span_ms // d), rows - 1)
    ends = selection.start_ms + (np.arange(rows - length) + 1) * d
    values = {
        symbol: np.nan_to_num(mark[: rows - length, i]) * book[symbol].at(ends)
        for i, symbol in enumerate(selection.symbols)
        if symbol in book
    }
    loss = np.zeros(len(ends))
    if scenario.price:
        for symbol, move in _largest(scenario, ends, ground).items():
            if symbol in values:
                loss -= values[symbol] * np.maximum(move, LEAST_FACTOR - 1)
    elif scenario.funding:
        for symbol, rate in _paid(scenario, selection, ends, ground).items():
            loss += values.get(symbol, np.zeros(len(ends))) * rate
    else:
        for i, symbol in enumerate(selection.symbols):
            if symbol in book:
                change = mark[length:, i] - mark[: rows - length, i]
                loss -= np.nan_to_num(change) * book[symbol].at(ends)
    held = np.zeros(len(ends), np.bool_)
    for value in values.values():
        held |= value != 0.0
    loss = np.where(np.isnan(loss) | ~held, -np.inf, loss)
    best = int(np.argmax(loss))
    return Located(int(ends[best]), float(loss[best])) if np.isfinite(loss[best]) else None


def _largest(scenario: Scenario, instants: NDArray[np.int64], ground: Ground) -> dict[str, Floats]:
    """The largest move of each market at each instant, of all events together; NaN where too little is known."""
    found: dict[str, Floats] = {}
    for event in scenario.price:
        named, others = sides(scenario, event, ground)
        if not named:
            continue
        needs = event.sigma is not None or event.others not in ("none", "all together")
        returns = ground.returns() if needs else Returns((), 1, 0, np.empty((0, 0)))
        made = moves(event, named, others, returns, instants + event.after, ground.seed)
        for symbol, scales in made.scales.items():
            found[symbol] = found.get(symbol, np.zeros(len(instants))) + scales * made.extreme
    return found


def _paid(scenario: Scenario, selection: Selection, instants: NDArray[np.int64], ground: Ground) -> dict[str, Floats]:
    """The sum of the rates that a long pays in the scenario's funding windows, by market."""
    found: dict[str, Floats] = {}
    for event in scenario.funding:
        for symbol in matched(event.symbols, ground.symbols):
            own = selection.funding[selection.funding[:, 1] == selection.symbols.index(symbol)]
            rates = np.nan_to_num(own[:, 2])
            shocked = rates * (event.factor or 0.0) if event.rate is None else np.full(len(rates), event.rate)
            sums = np.append(0.0, np.cumsum(shocked))
            begin = instants + event.after
            first, last = (np.searchsorted(own[:, 0], t, side="left") for t in (begin, begin + event.length))
            found[symbol] = found.get(symbol, np.zeros(len(instants))) + sums[last] - sums[first]
    return found
