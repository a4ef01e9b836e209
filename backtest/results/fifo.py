"""What was closed against what it was opened with, first in, first out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO
from backtest.core.records import Record
from backtest.core.rows import Columns
from backtest.results.columns import TIME, Ints, money, times, words
from backtest.results.exit_reasons import WORDS
from backtest.results.fill_batches import TOGETHER, Batch, batches, cut_at_flat, of_symbol
from backtest.results.lazy_tables import LazyTable
from backtest.results.symbol_trips import HOUR_MS, NUMBER, TEXT

WHOLE = pl.Int64()
SCHEMA = pl.Schema(
    {
        "symbol": TEXT, "side": TEXT, "ts_entry": TIME, "ts_exit": TIME, "qty": NUMBER, "entry_price": NUMBER,
        "exit_price": NUMBER, "realized": NUMBER, "fees": NUMBER, "hold": NUMBER, "exit_reason": TEXT,
        "entry_fill": WHOLE, "exit_fill": WHOLE,
    }
)  # fmt: skip


def matched(record: Record) -> LazyTable:
    """One row for each piece of a position that one fill opened and one fill closed, by the closing fill.

    `qty` > 0, base units; `entry_price`, `exit_price` those of the two fills, slippage in; `realized` and `fees` their
    shares of the cash and the fees of both. Shares are cut from a fill in order and rounded to the micro as they add
    up, so that those of all its pieces sum to the fill exactly: over a round trip `realized` and `fees` are those of
    the trip. `entry_fill`, `exit_fill` are rows of the table of fills.
    """
    queues = [Queue(symbol, name, float(record.step_micro[symbol])) for symbol, name in enumerate(record.symbols)]

    def pieces() -> Iterator[pl.DataFrame]:
        for batch in batches(record, TOGETHER):
            frames = [frame for queue in queues if (frame := queue.take(batch)) is not None]
            if frames:
                yield pl.concat(frames).sort("exit_fill", "entry_fill").select(SCHEMA.names())

    return LazyTable.kept(SCHEMA, pieces(), record.spool)


class Queue:
    """What was opened of one symbol and is not closed yet, fed the fills of all symbols in batches.

    Queue what entered along one line, and what exited along another: lots that stand at the same place are a piece.
    Trips follow each other on both lines, since each of them closes all that it opened.
    """

    def __init__(self, symbol: int, name: str, step: float) -> None:
        self._symbol, self._name, self._step = symbol, name, step
        self._held, self._entered, self._exited = 0, 0, 0
        self._waiting: Columns = {}
        """Parts that entered, with `line`, where each of them ends."""

    def take(self, batch: Batch) -> pl.DataFrame | None:
        """Return the pieces that the batch closes; None: nothing of the symbol is in it."""
        fills = of_symbol(batch.columns, self._symbol)
        if not len(fills["seq"]):
            return None
        parts = cut_at_flat(fills, self._held)
        lots = parts["lots"]
        before = self._held + np.cumsum(lots) - lots
        entering = before * np.sign(lots) >= 0
        entries, exiting = ({name: values[some] for name, values in parts.items()} for some in (entering, ~entering))
        entries["line"] = self._entered + np.cumsum(np.abs(entries["lots"]))
        exiting["line"] = self._exited + np.cumsum(np.abs(exiting["lots"]))
        if self._waiting:
            entries = {name: np.concatenate([self._waiting[name], values]) for name, values in entries.items()}
        pieces = self._pieces(entries, exiting, fills["reason"])
        self._held += int(lots.sum())
        self._entered = int(entries["line"][-1]) if len(entries["line"]) else self._entered
        self._exited = int(exiting["line"][-1]) if len(exiting["line"]) else self._exited
        left = entries["line"] > self._exited
        self._waiting = {name: values[left] for name, values in entries.items()}
        return pieces

    def _pieces(self, entries: Columns, exiting: Columns, reasons: Ints) -> pl.DataFrame:
        entered, exited = entries["line"], exiting["line"]
        until = np.union1d(entered, exited)
        end = exited[-1] if len(exited) else self._exited
        until = until[slice(*np.searchsorted(until, (self._exited, end), side="right"))]
        since = np.concatenate([[self._exited], until[:-1]])[: len(until)]
        entry, exit_ = np.searchsorted(entered, until), np.searchsorted(exited, until)
        ts_entry, ts_exit = entries["ts_ms"][entry], exiting["ts_ms"][exit_]

        def share(name: str) -> Ints:
            return _share(entries, name, entry, since, until) + _share(exiting, name, exit_, since, until)

        return pl.DataFrame(
            {
                "symbol": pl.Series([self._name], dtype=TEXT).new_from_index(0, len(until)),
                "side": words((entries["lots"][entry] < 0).astype(np.int64), ("long", "short")),
                "ts_entry": times(ts_entry),
                "ts_exit": times(ts_exit),
                "qty": (until - since) * self._step / MICRO,
                "entry_price": _prices(entries, self._step)[entry],
                "exit_price": _prices(exiting, self._step)[exit_],
                "realized": money(share("quote")),
                "fees": money(share("fee")),
                "hold": (ts_exit - ts_entry) / HOUR_MS,
                "exit_reason": words(reasons[exiting["row"][exit_]], WORDS),
                "entry_fill": entries["fill"][entry],
                "exit_fill": exiting["fill"][exit_],
            }
        )


def _prices(parts: Columns, step: float) -> NDArray[np.float64]:
    prices: NDArray[np.float64] = np.abs(parts["quote"]) / (np.abs(parts["lots"]) * step)
    return prices


def _share(parts: Columns, name: str, part: Ints, since: Ints, until: Ints) -> Ints:
    """Micro of the part's amount that lies between two places on its line."""
    amount, size = parts[name][part], np.abs(parts["lots"])[part]
    begin = parts["line"][part] - size
    upto, before = (np.rint(amount * ((place - begin) / size)) for place in (until, since))
    shares: Ints = (upto - before).astype(np.int64)
    return shares
