"""What was closed against what it was opened with, first in, first out."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.enums import MICRO
from backtest.core.records import Record
from backtest.results.columns import TIME, Ints, money, times, words
from backtest.results.exit_reasons import WORDS, exits
from backtest.results.trades import HOUR_MS, NUMBER, TEXT, cut_at_flat

WHOLE = pl.Int64()
SCHEMA = pl.Schema(
    {
        "symbol": TEXT, "side": TEXT, "ts_entry": TIME, "ts_exit": TIME, "qty": NUMBER, "entry_price": NUMBER,
        "exit_price": NUMBER, "realized": NUMBER, "fees": NUMBER, "hold": NUMBER, "exit_reason": TEXT,
        "entry_fill": WHOLE, "exit_fill": WHOLE,
    }
)  # fmt: skip


def matched(record: Record) -> pl.DataFrame:
    """One row for each piece of a position that one fill opened and one fill closed, by the closing fill.

    `qty` > 0, base units; `entry_price`, `exit_price` those of the two fills, slippage in; `realized` and `fees` their
    shares of the cash and the fees of both. Shares are cut from a fill in order and rounded to the micro as they add
    up, so that those of all its pieces sum to the fill exactly: over a round trip `realized` and `fees` are those of
    the trip. `entry_fill`, `exit_fill` are rows of the table of fills.
    """
    reasons = exits(record)
    frames = []
    for symbol, name in enumerate(record.symbols):
        mine = np.flatnonzero(record.fills["symbol"] == symbol)
        if len(mine):
            pieces = _pieces(record.fills[mine], mine, float(record.step_micro[symbol]), reasons)
            frames.append(pieces.with_columns(symbol=pl.lit(name)))
    if not frames:
        return SCHEMA.to_frame()
    return pl.concat(frames).sort("exit_fill", "entry_fill").select(SCHEMA.names())


def _pieces(fills: NDArray[np.void], mine: Ints, step: float, reasons: Ints) -> pl.DataFrame:
    """Of one symbol. Queue what entered along one line, and what exited along another: lots that stand at the same
    place are a piece. Trips follow each other on both lines, since each of them closes all that it opened."""
    parts = cut_at_flat(fills)
    lots = parts["lots"]
    before = np.cumsum(lots) - lots
    entering = before * np.sign(lots) >= 0
    entries, exiting = ({name: values[some] for name, values in parts.items()} for some in (entering, ~entering))
    entered, exited = np.cumsum(np.abs(entries["lots"])), np.cumsum(np.abs(exiting["lots"]))
    until = np.union1d(entered, exited)
    until = until[: np.searchsorted(until, exited[-1], side="right")] if len(exited) else until[:0]
    since = np.concatenate([[0], until[:-1]])[: len(until)]
    entry, exit_ = np.searchsorted(entered, until), np.searchsorted(exited, until)
    a, b = mine[entries["fill"][entry]], mine[exiting["fill"][exit_]]
    ts_entry, ts_exit = entries["ts_ms"][entry], exiting["ts_ms"][exit_]

    def share(name: str) -> Ints:
        own = _share(entries, name, entry, entered, since, until)
        return own + _share(exiting, name, exit_, exited, since, until)

    return pl.DataFrame(
        {
            "side": words((entries["lots"][entry] < 0).astype(np.int64), ("long", "short")),
            "ts_entry": times(ts_entry),
            "ts_exit": times(ts_exit),
            "qty": (until - since) * step / MICRO,
            "entry_price": _prices(entries, step)[entry],
            "exit_price": _prices(exiting, step)[exit_],
            "realized": money(share("quote")),
            "fees": money(share("fee")),
            "hold": (ts_exit - ts_entry) / HOUR_MS,
            "exit_reason": words(reasons[b], WORDS),
            "entry_fill": a,
            "exit_fill": b,
        }
    )


def _prices(parts: dict[str, Ints], step: float) -> NDArray[np.float64]:
    prices: NDArray[np.float64] = np.abs(parts["quote"]) / (np.abs(parts["lots"]) * step)
    return prices


def _share(parts: dict[str, Ints], name: str, part: Ints, line: Ints, since: Ints, until: Ints) -> Ints:
    """Micro of the part's amount that lies between two places on its line."""
    amount, size = parts[name][part], np.abs(parts["lots"])[part]
    begin = line[part] - size
    upto, before = (np.rint(amount * ((place - begin) / size)) for place in (until, since))
    shares: Ints = (upto - before).astype(np.int64)
    return shares
