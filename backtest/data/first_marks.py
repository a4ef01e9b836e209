"""The first prices of a run, read before anything is replayed."""

from __future__ import annotations

from contextlib import closing

from backtest.data.selection import Selection


def first_marks(selection: Selection) -> dict[str, float]:
    """Return the mark's open in the first row by symbol, quote units; a symbol without a candle there is left out."""
    with closing(selection.chunks(1)) as chunks:
        panel = next(chunks).panel
    return {
        symbol: float(panel[selection.mark_offset, 0, i])
        for i, symbol in enumerate(selection.symbols)
        if selection.first_row[i] == 0
    }
