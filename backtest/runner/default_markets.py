"""Default markets of a strategy, under the names that a dataset has for them: `BTC-USD` is `BTCUSDT` at Binance."""

from __future__ import annotations

import re
from collections.abc import Mapping

from backtest.data.catalog import Catalog
from backtest.strategy.base import Strategy
from backtest.strategy.loader import load

QUOTES = ("USD", "USDT", "USDC")
"""Quote currencies that a symbol may end with, besides that of the dataset."""


def suited(loaded: Strategy, params: Mapping[str, object], catalog: Catalog) -> Strategy:
    """Return the strategy, made again if the dataset has other names for its default markets.

    A parameter that is not in ``params`` and whose default is one of the strategy's `symbols` takes the one symbol of
    the dataset with the same base asset. Where there are none or several, it stays, and is an unknown symbol. Reports
    record the names of the dataset.
    """
    renamed = {}
    for name, value in loaded.params.items():
        if name in params or value not in (loaded.symbols or ()) or value in catalog.symbols:
            continue
        same = [symbol for symbol in catalog.symbols if _same_base(str(value), symbol, catalog.quote)]
        if len(same) == 1:
            renamed[name] = same[0]
    return load(type(loaded), {**params, **renamed}) if renamed else loaded


def _same_base(default: str, symbol: str, quote: str) -> bool:
    """Whether a symbol is a market of the base asset of the default: `BTC`, `BTC-…`, `BTC/…` or `BTCUSDT`."""
    base = re.split(r"[-_/:]", default)[0]
    rest = symbol.removeprefix(base)
    return symbol.startswith(base) and (rest[:1] in ("", "-", "_", "/", ":") or rest in (*QUOTES, quote))
