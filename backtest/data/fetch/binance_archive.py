"""Binance's public archive, data.binance.vision: ZIP files of a month or a day, each with a SHA-256 checksum file.

Sources: github.com/binance/binance-public-data, README (names of files, columns, checksums; stamps of spot files in
microseconds from 2025 on). As observed: futures files of before mid-2022 have no header; funding comes by months only,
with the columns calc_time, funding_interval_hours, last_funding_rate.
"""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
import zlib
from collections.abc import Callable
from typing import TypeVar

import polars as pl
import requests

from backtest.core.times import DAY_MS
from backtest.data.fetch.calendar import day_text, days, joined, month_text, months
from backtest.data.fetch.connection import Connection, Files
from backtest.data.fetch.failures import VenueError
from backtest.data.fetch.rows import Span, in_ms, nothing, schema, unreadable

T = TypeVar("T")
_HOST = "https://data.binance.vision"
_FOLDERS = {"candles": "klines", "mark": "markPriceKlines"}
_FEW_DAYS = 3
"""A month of which so few days are asked for is read from daily files."""


class _DamagedError(Exception):
    """What was downloaded is not what the venue published."""


class Archive:
    """Reads months and days of the archive, from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._pace = connection.pace(0.0)
        self._files = Files(connection, self._pace)
        self._connection = connection
        self._own = threading.local()

    def stop(self) -> None:
        """End the requests that still wait."""
        self._pace.stop()

    def candles(
        self, series: str, symbol: str, interval: str, span: Span, now_ms: int
    ) -> tuple[list[pl.DataFrame], list[Span]]:
        """Return what the archive has of a span, whole days or months of it, and the parts that it lacks."""
        found: list[pl.DataFrame] = []
        left: list[Span] = []
        for month in months(span):
            asked = Span(max(span.start_ms, month.start_ms), min(span.end_ms, month.end_ms))
            whole = None
            if month.end_ms <= now_ms and asked.end_ms - asked.start_ms > _FEW_DAYS * DAY_MS:
                whole = self._read(_path("monthly", series, symbol, interval, month), series)
            if whole is not None:
                found.append(whole)
                continue
            for day in days(asked):
                if day.end_ms > now_ms:
                    left.append(Span(max(span.start_ms, day.start_ms), min(span.end_ms, day.end_ms)))
                    continue
                piece = self._read(_path("daily", series, symbol, interval, day), series)
                if piece is None:
                    left.append(Span(max(span.start_ms, day.start_ms), min(span.end_ms, day.end_ms)))
                else:
                    found.append(piece)
        return found, joined(left)

    def funding(self, symbol: str, span: Span, now_ms: int) -> tuple[list[pl.DataFrame], list[Span]]:
        """Return the settlements of whole months that the archive has, and the parts of the span that it lacks."""
        found: list[pl.DataFrame] = []
        left: list[Span] = []
        for month in months(span):
            path = f"/data/futures/um/monthly/fundingRate/{symbol}/{symbol}-fundingRate-{month_text(month)}.zip"
            whole = self._read(path, "funding") if month.end_ms <= now_ms else None
            if whole is None:
                left.append(Span(max(span.start_ms, month.start_ms), min(span.end_ms, month.end_ms)))
            else:
                found.append(whole)
        return found, joined(left)

    def _read(self, path: str, series: str) -> pl.DataFrame | None:
        """Return the rows of one file, checked; None where the archive has no such file."""

        def attempt() -> pl.DataFrame | None:
            packed = self._files.get(self._session(), _HOST + path)
            if packed is None:
                return None
            _verify(packed, self._files.get(self._session(), f"{_HOST}{path}.CHECKSUM"))
            return _rows(_unpacked(packed), series, path)

        return _twice(attempt, self._connection.address(_HOST + path))

    def _session(self) -> requests.Session:
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
        session: requests.Session = self._own.session
        return session


def _twice(attempt: Callable[[], T], place: str) -> T:
    """Return what ``attempt`` returns; a damaged file is downloaded once more before it is an error."""
    try:
        return attempt()
    except _DamagedError:
        pass
    try:
        return attempt()
    except _DamagedError as error:
        raise VenueError(f"{error}, twice", place, "try again later: the archive may be replacing the file") from error


def _verify(packed: bytes, told: bytes | None) -> None:
    """Raise _DamagedError unless the file has the SHA-256 that its checksum file tells."""
    words = told.decode("ascii", "replace").split() if told else []
    if not words:
        raise _DamagedError("the file has no checksum file")
    have = hashlib.sha256(packed).hexdigest()
    if words[0].lower() != have:
        raise _DamagedError(f"checksum mismatch: SHA-256 is {have[:12]}…, and should be {words[0][:12]}…")


def _unpacked(packed: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as held:
            names = held.namelist()
            if len(names) != 1:
                raise _DamagedError(f"the ZIP file holds {len(names)} files, not one")
            return held.read(names[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise _DamagedError(f"corrupt ZIP file ({error})") from error


def _rows(text: bytes, series: str, place: str) -> pl.DataFrame:
    """The rows of a CSV file; its first line is a header only from mid-2022 on."""
    if not text.strip():
        return nothing(series)
    at = (0, 2) if series == "funding" else range(len(schema(series)))
    skipped = 0 if text[:1].isdigit() else 1
    try:
        lines = pl.read_csv(io.BytesIO(text), has_header=False, skip_rows=skipped, infer_schema=False)
        wanted = zip(at, schema(series).items(), strict=True)
        found = lines.select(pl.nth(n).cast(kind).alias(name) for n, (name, kind) in wanted)
    except pl.exceptions.NoDataError:  # a header and nothing below it
        return nothing(series)
    except pl.exceptions.PolarsError as error:
        raise unreadable(series, error, place) from error
    if found.null_count().sum_horizontal().item():
        raise unreadable(series, ValueError("an empty column"), place)
    return in_ms(found)


def _path(period: str, series: str, symbol: str, interval: str, span: Span) -> str:
    folder = f"/data/futures/um/{period}/{_FOLDERS[series]}/{symbol}/{interval}"
    return f"{folder}/{symbol}-{interval}-{month_text(span) if period == 'monthly' else day_text(span)}.zip"
