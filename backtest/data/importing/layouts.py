"""Layouts that are known: who writes them, how they are recognised, and what their columns are.

Sources, as read in November 2026:
- Binance archive: github.com/binance/binance-public-data, README (columns of klines); files of `data.binance.vision`
  with and without a header; microseconds in spot files from 2025 on; `fundingRate`: calc_time, funding_interval_hours,
  last_funding_rate.
- freqtrade: github.com/freqtrade/freqtrade, `data/history/datahandlers` (PAIR-TIMEFRAME-CANDLETYPE.feather with date,
  open, high, low, close, volume; the funding rate is in `open`).
- Bybit: public.bybit.com, `kline_for_metatrader4` (no header, `YYYY.MM.DD HH:MM` in UTC+3), `spot_index` (start_at,
  symbol, period, open, high, low, close), `trading` (timestamp in seconds, symbol, side, size, price, …).
- Hyperliquid: hyperliquid.gitbook.io/hyperliquid-docs/historical-data (`asset_ctxs/[date].csv.lz4`): a row a minute of
  time, coin, funding, …, oracle_px, mark_px, mid_px, …; funding is the hourly rate in force.
- Tardis: docs.tardis.dev/downloadable-csv-files, `derivative_ticker`: microseconds; exchange, symbol, timestamp,
  local_timestamp, funding_timestamp, funding_rate, …, last_price, index_price, mark_price.
- CryptoDataDownload: a line with the address, then Unix, Date, Symbol, Open, High, Low, Close, Volume BTC, Volume USDT.
- TradingView: "Export chart data": `EXCHANGE_SYMBOL, TIMEFRAME.csv` with time, open, high, low, close, Volume.
- nautilus_trader: `crates/serialization/src/arrow/bar.rs`: open to volume as fixed-point integers, ts_event, ts_init.
- ccxt: `fetch_ohlcv`: lists of milliseconds, open, high, low, close, volume.
"""

from __future__ import annotations

import re
from pathlib import Path

from backtest.core.durations import UNITS_MS
from backtest.data.importing.column_roles import plain
from backtest.data.importing.tables import Table

_FREQTRADE = re.compile(r"(?P<pair>.+)-\d+[a-zA-Z]{1,2}-(?P<kind>futures|mark|index|funding_rate|premiumIndex)")
_TRADINGVIEW = re.compile(r"(?P<exchange>[A-Z0-9]+)_(?P<symbol>[^,]+), (?P<frame>\d*[A-Za-z]?)(_\w+)?( \(\d+\))?")
_NAUTILUS = re.compile(r"(?P<symbol>[^.]+)\.(?P<venue>[A-Z0-9_]+)-(?P<step>\d+)-(?P<unit>SECOND|MINUTE|HOUR|DAY)-")
_MT4_TIME = re.compile(r"\d{4}\.\d{2}\.\d{2} \d{2}:\d{2}")
BINANCE_COLUMNS = 12
VENUES = {"binance": "binance_usdm", "bybit": "bybit_linear", "hyperliquid": "hyperliquid"}
"""Whose rules a dataset of the layout goes by."""


def recognise(table: Table) -> str:
    """Name of the layout of a table; empty where it is none that is known."""
    names = {plain(name) for name in table.types}
    first = table.rows[0]
    cells = [str(value) for value in first.values()]
    if {"localtimestamp", "fundingtimestamp", "markprice"} <= names:
        return "tardis"
    if {"coin", "funding", "markpx", "oraclepx"} <= names:
        return "hyperliquid"
    if {"tsevent", "tsinit", "open", "close"} <= names:
        return "nautilus"
    if _FREQTRADE.fullmatch(_stem(table)) and ("date" in names or not table.headed):
        return "freqtrade"
    bybit = {"startat", "symbol", "period"} <= names or {"symbol", "side", "size", "price", "tickdirection"} <= names
    if bybit or (not table.headed and len(cells) == 6 and _MT4_TIME.fullmatch(cells[0])):
        return "bybit"
    if {"unix", "date", "symbol", "open"} <= names and any(name.startswith("volume") for name in names):
        return "cryptodatadownload"
    if {"calctime", "lastfundingrate"} <= names or {"opentime", "closetime", "open", "ignore"} <= names:
        return "binance"
    if not table.headed and table.kind == "csv" and len(cells) == BINANCE_COLUMNS and cells[0].isdigit():
        return "binance"
    if {"time", "open", "high", "low", "close"} <= names and _TRADINGVIEW.fullmatch(_stem(table)):
        return "tradingview"
    if not table.headed and table.kind in ("json", "frame") and len(cells) == 6:
        return "ccxt"
    return ""


def _stem(table: Table) -> str:
    return Path(table.name).stem.removesuffix(".json")


def market_of(table: Table, layout: str) -> str:
    """The market that the file's name tells in the layout's own way; empty where it does not."""
    if layout == "freqtrade":
        pair = _FREQTRADE.fullmatch(_stem(table))
        base, _, rest = pair["pair"].partition("_") if pair else ("", "", "")
        return base + rest.partition("_")[0]
    if layout == "tradingview":
        found = _TRADINGVIEW.fullmatch(_stem(table))
        return found["symbol"].removesuffix(".P") if found else ""
    if layout == "bybit":
        found = re.match(r"([A-Z0-9]+)(_\d+_|\d{4}-)", table.name)
        return found[1] if found else ""
    if layout == "nautilus":
        found = _nautilus(table)
        return re.sub(r"-?PERP$", "", found["symbol"]) if found else ""
    return ""


def interval_of(table: Table, layout: str) -> int | None:
    """The interval in ms that the file's name tells in the layout's own way; None where it does not."""
    if layout == "tradingview":
        found = _TRADINGVIEW.fullmatch(_stem(table))
        frame = found["frame"] if found else ""
        if frame.isdigit():
            return int(frame) * UNITS_MS["m"]
        number, unit = frame[:-1] or "1", frame[-1:]
        return int(number) * UNITS_MS[unit.lower()] if unit in ("S", "H", "D") and number.isdigit() else None
    if layout == "bybit":
        found = re.match(r"[A-Z0-9]+_(\d+)_\d{4}-", table.name)
        return int(found[1]) * UNITS_MS["m"] if found else None
    if layout == "nautilus":
        found = _nautilus(table)
        return int(found["step"]) * UNITS_MS[found["unit"][0].lower()] if found else None
    return None


def series_of(table: Table, layout: str) -> str:
    """The series that the layout's own names tell; empty where they do not."""
    if layout == "freqtrade":
        found = _FREQTRADE.fullmatch(_stem(table))
        kinds = {"futures": "candles", "mark": "mark", "index": "mark_index", "funding_rate": "funding"}
        return kinds.get(found["kind"], "premium") if found else ""
    if layout == "nautilus":
        return "candles"
    if layout == "bybit" and "period" in {plain(name) for name in table.types}:
        return "premium" if any("premium" in folder for folder in table.folders) else "mark_index"
    return ""


def _nautilus(table: Table) -> re.Match[str] | None:
    told = table.metadata.get("bar_type", "")
    return next((found for text in (told, *reversed(table.folders)) if (found := _NAUTILUS.match(text))), None)
