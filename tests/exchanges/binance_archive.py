"""Binance's public archive, data.binance.vision, as the README of binance-public-data documents it.

"Data Information" names the columns and the intervals, "CHECKSUM" the file beside each ZIP. Daily files come out on
the next day, monthly ones on the first Monday of the next month. What the README does not say: files up to May 2022
have no header; funding comes in monthly files only, with `funding_interval_hours`; and since 2025 the spot files
count in microseconds.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from tests.exchanges import market as truth
from tests.exchanges.binance import kline, symbol
from tests.exchanges.market import DAY, Contract, Market
from tests.exchanges.request import Answer, Refused, Request
from tests.exchanges.routes import INTERVALS

HEADER_FROM = "2022-06"
KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
FUNDING = "calc_time,funding_interval_hours,last_funding_rate"
ADDRESS = re.compile(
    r"/data/futures/um/(?P<period>monthly|daily)/(?P<kind>klines|markPriceKlines|fundingRate)/(?P<symbol>[A-Z0-9_]+)/"
    r"(?:(?P<interval>\w+)/)?(?P<name>[\w-]+)\.zip(?P<checksum>\.CHECKSUM)?"
)
MISSING = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code>'
    b"<Message>The specified key does not exist.</Message></Error>"
)


class BinanceArchive:
    """Files under /data/futures/um. `microseconds`: stamps of klines are, as in the spot files since 2025."""

    rates = False

    def __init__(self, market: Market) -> None:
        self.market = market
        self.microseconds = False

    def owns(self, path: str) -> bool:
        return path.startswith("/data/")

    def answer(self, request: Request) -> Answer:
        wrong = Refused("no address of the archive", Answer(404, MISSING, kind="application/xml"))
        found = ADDRESS.fullmatch(request.path)
        if found is None or request.parameters or request.method != "GET":
            raise wrong
        contract = next((c for c in self.market.contracts if symbol(c) == found["symbol"]), None)
        funding = found["kind"] == "fundingRate"
        series = "fundingRate" if funding else found["interval"]
        span = _span(found["name"], f"{found['symbol']}-{series}-", found["period"])
        if span is None or funding != (found["interval"] is None) or (not funding and series not in INTERVALS):
            raise wrong
        if contract is None or not self._published(contract, found["kind"], found["period"], span):
            return Answer(404, MISSING, kind="application/xml")
        body = _zip(
            contract, found["kind"], series or "", *span, found["name"], self.microseconds, self.market.faster_from_ms
        )
        if found["checksum"]:
            said = f"{hashlib.sha256(body).hexdigest()}  {found['name']}.zip\n"
            return Answer(200, said.encode(), kind="text/plain")
        return Answer(200, body, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, kind="application/zip")

    def _published(self, contract: Contract, kind: str, period: str, span: tuple[int, int]) -> bool:
        """Whether a file is out yet; a month or day before the listing never is, nor is a day of funding."""
        end = span[1]
        if end <= contract.listed_ms or (kind == "fundingRate" and period == "daily"):
            return False
        out = end + DAY // 3 if period == "daily" else _first_monday(end)
        return self.market.now_ms() >= out and end <= self.market.held_back.get("archive", end)


def _first_monday(month_ms: int) -> int:
    first = datetime.fromtimestamp(month_ms / 1000, UTC)
    return int((first + timedelta(days=-first.weekday() % 7)).timestamp() * 1000)


def _span(name: str, prefix: str, period: str) -> tuple[int, int] | None:
    """[start, end) of the file `name`; None where it is none."""
    form = r"\d{4}-\d\d" if period == "monthly" else r"\d{4}-\d\d-\d\d"
    if not name.startswith(prefix) or not re.fullmatch(form, name[len(prefix) :]):
        return None
    text = name[len(prefix) :]
    try:
        first = date.fromisoformat(text if period == "daily" else f"{text}-01")
    except ValueError:
        return None
    last = first + timedelta(days=1) if period == "daily" else (first + timedelta(days=32)).replace(day=1)
    return truth.ms(first.isoformat()), truth.ms(last.isoformat())


@lru_cache(maxsize=128)
def _zip(
    contract: Contract, kind: str, series: str, start: int, end: int, name: str, microseconds: bool, faster_from_ms: int
) -> bytes:
    """The ZIP with one CSV in it; the same bytes each time."""
    market = Market(lambda: end / 1000, faster_from_ms=faster_from_ms)
    if kind == "fundingRate":
        due = market.funding(contract.base, start, end)
        lines = [f"{s.ts + truth.late(contract, s.ts)},{s.hours},{s.rate}" for s in due]
    else:
        mark, interval = kind == "markPriceKlines", INTERVALS[series]
        rows = (kline(row, interval, mark) for row in market.candles(contract, mark, interval, start, end))
        by = 1000 if microseconds else 1
        lines = [",".join(map(str, [r[0] * by, *r[1:6], r[6] * by + (by - 1), *r[7:]])) for r in rows]
    if kind == "fundingRate" or _month(name) >= HEADER_FROM:
        lines.insert(0, FUNDING if kind == "fundingRate" else KLINES)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            zipfile.ZipInfo(f"{name}.csv", (2024, 1, 1, 0, 0, 0)), "\n".join(lines) + "\n", zipfile.ZIP_DEFLATED
        )
    return packed.getvalue()


def _month(name: str) -> str:
    """`2022-05` of BTCUSDT-1h-2022-05 and of BTCUSDT-1h-2022-05-17."""
    found = re.search(r"(\d{4}-\d\d)(-\d\d)?$", name)
    assert found
    return found[1]
