"""Datasets on disk. `from_frame` writes one of tables in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtest.data.importing.frames import Frames

__all__ = ["from_frame"]


def from_frame(
    candles: Frames,
    out: str | Path,
    *,
    mark: Frames | None = None,
    funding: Frames | None = None,
    symbol: str | None = None,
    interval: str | None = None,
    columns: Mapping[str, str] | None = None,
    tz: str | None = None,
    stamp: str | None = None,
) -> Path:
    """Write a dataset of tables in memory, and return its folder, which every command and function takes as data.

    ``candles``, ``mark``, ``funding``: a DataFrame of pandas or Polars, a PyArrow table, or a list of ccxt's candles
    (``fetch_ohlcv``); with a column of symbols, or of the one market that ``symbol`` names; or a mapping of tables by
    symbol. Columns are recognised by their names; ``columns`` maps roles to other names, as ``{"ts": "time"}``.
    Candles are stamped at their open, unless ``stamp="close"``. Times without a zone are in ``tz``, else in UTC.

    ``out``: a new folder, or a dataset that an import wrote before, which is replaced. Raises UserError for what cannot
    be used, and writes nothing then.
    """
    from backtest.data.importing.frames import import_frames

    return import_frames(candles, out, mark, funding, symbol, interval, columns or {}, tz, stamp)
