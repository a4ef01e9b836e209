"""What names of files and folders tell: the market, the interval of the candles, and which series it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from backtest.core.durations import UNITS_MS

_QUOTES = "USDT|USDC|FDUSD|BUSD|USD"
_MARKET = re.compile(
    rf"(?<![A-Za-z0-9])([A-Za-z0-9]{{2,12}}?)(-?)({_QUOTES})((?:-PERP|-SWAP|-PERPETUAL)?)(?![A-Za-z0-9])", re.IGNORECASE
)
_BARRED = re.compile(rf"(?<![A-Za-z0-9])([A-Z0-9]{{2,12}})_({_QUOTES})(?![A-Za-z0-9])")
_COIN = re.compile(r"[A-Z][A-Z0-9]{1,9}")
"""A file that is named as an asset alone: `BTC.csv`."""
_INTERVAL = re.compile(r"(?<![A-Za-z0-9])(\d{1,3})(m|min|h|d|s)(?![A-Za-z0-9])", re.IGNORECASE)
_OTHER_SERIES = re.compile(r"(?<![a-z])mark_([a-z0-9]+)(?![a-z0-9])")


def market_in(name: str, folders: Sequence[str] = ()) -> str:
    """The market that a file's name, or a folder around it, names; empty where none does.

    `BTCUSDT-1m-2024-01.csv` is BTCUSDT, `btc-usd_1h.csv` BTC-USD, `BTC_USDT.csv` BTCUSDT.
    """
    for text in (name, *reversed(folders)):
        if text.startswith("symbol="):
            return text.removeprefix("symbol=")
        stem = Path(text).stem if text is name else text
        barred = _BARRED.search(stem)
        if barred:
            return barred[1] + barred[2]
        found = _MARKET.search(stem)
        if found:
            return "".join(found.groups()).upper()
    stem = Path(name).stem.partition(".")[0]
    return stem if _COIN.fullmatch(stem) else ""


def clean(symbol: str) -> str:
    """A market's name as a folder can have it: `BTC/USDT:USDT` is BTCUSDT."""
    return symbol.partition(":")[0].replace("/", "") if "/" in symbol else symbol


def interval_in(name: str, folders: Sequence[str] = ()) -> int | None:
    """The interval in ms that a name tells: `-1m-`, `_1h.`; None: none does. A capital M is a month."""
    for text in (name, *reversed(folders)):
        for number, unit in _INTERVAL.findall(text):
            if unit != "M" and int(number):
                return int(number) * UNITS_MS[unit[0].lower()]
    return None


def series_in(name: str, folders: Sequence[str] = ()) -> str:
    """The series that names tell: ``mark``, ``mark_NAME``, ``mark_index``, ``funding``; else ``candles``."""
    for text in (Path(name).stem.lower(), *(folder.lower() for folder in reversed(folders))):
        other = _OTHER_SERIES.search(text)
        if other and other[1] != "price":
            return f"mark_{other[1]}"
        if re.search(r"(?<![a-z])mark(?![a-z])|mark_?price", text):
            return "mark"
        if re.search(r"index_?price|(?<![a-z])index(?![a-z])", text):
            return "mark_index"
        if "premium" in text:
            return "premium"
        if "funding" in text:
            return "funding"
        if re.search(r"(?<![a-z])(candles?|klines?|ohlcv?|futures)(?![a-z])", text):
            return "candles"
    return "candles"
