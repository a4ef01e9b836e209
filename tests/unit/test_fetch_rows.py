"""Rows on their way from a venue: pages put together, stamps on the grid, the archive's files, what is not served."""

from __future__ import annotations

import hashlib
import io
import zipfile

import polars as pl
import pytest

pytest.importorskip("ccxt", reason="ccxt is not installed: it comes with the extra `fetch`")

from backtest.data.fetch import binance_archive
from backtest.data.fetch.binance_archive import Archive
from backtest.data.fetch.connection import Connection, retry_after_s
from backtest.data.fetch.failures import StoppedError, TransientError, VenueError
from backtest.data.fetch.pacing import Pace, Patience
from backtest.data.fetch.pages import backward, forward
from backtest.data.fetch.rows import Span, candles, frame, settlements

MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR
MAY, JUNE = 1_651_363_200_000, 1_654_041_600_000  # 2022
NOW = 1_700_000_000_000


def rows(*stamps: int, price: float = 1.0) -> pl.DataFrame:
    return frame("mark", [(ts, price, price, price, price) for ts in stamps])


@pytest.mark.parametrize("most", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("read", [forward, backward])
def test_pages_of_any_size_and_unequal_gaps_give_every_row_once(read, most: int) -> None:
    # Funding that switches from 8 h to 1 h, and a hole: nothing of it may be assumed.
    stamps = [*range(0, 48, 8), *range(48, 60), *range(90, 120, 4)]
    every = frame("funding", [(hour * HOUR, 0.0001) for hour in stamps])

    def page(span: Span) -> pl.DataFrame:
        found = every.filter((pl.col("ts") >= span.start_ms) & (pl.col("ts") < span.end_ms))
        return found.head(most) if read is forward else found.tail(most)

    found = pl.concat(read(page, Span(8 * HOUR, 100 * HOUR))).sort("ts")
    assert found["ts"].to_list() == [hour * HOUR for hour in stamps if 8 <= hour < 100]


def test_candles_are_put_on_the_grid_once_and_only_when_over() -> None:
    span = Span(0, 10 * MINUTE)
    given = pl.concat([rows(0, MINUTE, 2 * MINUTE + 17), rows(MINUTE, 4 * MINUTE, 5 * MINUTE, 10 * MINUTE)])
    # At 5:30 the candle of 5:00 is not over; that of 10:00 is outside; 2:00 came 17 ms late, 1:00 twice.
    found = candles(given, MINUTE, span, 5 * MINUTE + 30_000, "X")
    assert found["ts"].to_list() == [0, MINUTE, 2 * MINUTE, 4 * MINUTE]
    with pytest.raises(VenueError, match="two different rows of 1970-01-01T00:01Z"):
        candles(pl.concat([rows(MINUTE), rows(MINUTE, price=2.0)]), MINUTE, span, NOW, "X")
    # Two seconds are no delay of a clock: the row stays off the grid, where `data check` finds it.
    assert candles(rows(2_000), MINUTE, span, NOW, "X")["ts"].to_list() == [2_000]


def test_settlements_are_put_on_the_hour() -> None:
    given = frame("funding", [(8 * HOUR + 76, "0.1"), (16 * HOUR - 3, "0.2"), (20 * HOUR + 5_511, "0.3"), (NOW, "1")])
    found = settlements(given, Span(0, DAY), NOW, "X")
    assert found.rows() == [(8 * HOUR, 0.1), (16 * HOUR, 0.2), (20 * HOUR, 0.3)]


@pytest.mark.parametrize("row", [("x", 1, 1, 1, 1), (0, 1, 1, 1, "?"), (0, 1)])
def test_a_row_that_is_no_number_is_named(row: tuple[object, ...]) -> None:
    with pytest.raises(VenueError, match=r"kline: a row of mark that cannot be read \("):
        frame("mark", [row], "kline")


class Files:
    """The archive, as a table of addresses."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.asked: list[str] = []

    def get(self, _: object, url: str) -> bytes | None:
        self.asked.append(url.rpartition("/")[2])
        return self.held.get(self.asked[-1])

    def put(self, name: str, text: str, checksum: str = "") -> None:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as held:
            held.writestr(f"{name}.csv", text)
        self.held[f"{name}.zip"] = packed.getvalue()
        told = checksum or hashlib.sha256(packed.getvalue()).hexdigest()
        self.held[f"{name}.zip.CHECKSUM"] = f"{told}  {name}.zip\n".encode()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    """What `binance_archive` downloads from here on."""
    made = Files()
    monkeypatch.setattr(binance_archive, "Files", lambda *_: made)
    return made


HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"  # noqa: E501


def line(ts: int) -> str:
    """A line of a futures kline file, binance-public-data README, section Klines."""
    return f"{ts},38000.1,38001.0,37999.5,38000.5,12.5,{ts + HOUR - 1},475000.0,10,6.0,228000.0,0\n"


def read(span: Span, now_ms: int = NOW) -> tuple[list[int], list[Span]]:
    found, left = Archive(Connection(None)).candles("candles", "BTCUSDT", "1h", span, now_ms)
    return sorted(ts for one in found for ts in one["ts"]), left


def test_archive_reads_months_then_days_and_says_what_it_lacks(files: Files) -> None:
    # May has no header (before mid-2022), June's monthly file is not out: one of its days is, in microseconds.
    files.put("BTCUSDT-1h-2022-05", line(MAY) + line(MAY + HOUR))
    files.put("BTCUSDT-1h-2022-06-01", HEADER + line(JUNE).replace(str(JUNE), str(JUNE * 1000), 1))
    found, left = read(Span(MAY, JUNE + 4 * DAY))
    assert found == [MAY, MAY + HOUR, JUNE]
    assert left == [Span(JUNE + DAY, JUNE + 4 * DAY)]
    # A day that is not over has no file: it is not even asked for.
    files.asked.clear()
    assert read(Span(JUNE, JUNE + DAY), now_ms=JUNE + HOUR) == ([], [Span(JUNE, JUNE + DAY)])
    assert files.asked == []


def test_funding_comes_by_months_with_its_interval(files: Files) -> None:
    # The columns as observed in the archive: calc_time, funding_interval_hours, last_funding_rate.
    head = "calc_time,funding_interval_hours,last_funding_rate\n"
    files.put("BTCUSDT-fundingRate-2022-05", f"{head}{MAY + 4},8,0.0001\n{MAY + 8 * HOUR},4,-0.0002\n")
    found, left = Archive(Connection(None)).funding("BTCUSDT", Span(MAY, JUNE + DAY), NOW)
    assert [one.rows() for one in found] == [[(MAY + 4, 0.0001), (MAY + 8 * HOUR, -0.0002)]]
    assert left == [Span(JUNE, JUNE + DAY)]


def test_damaged_file_is_downloaded_twice_and_then_named(files: Files) -> None:
    files.put("BTCUSDT-1h-2022-05", line(MAY), checksum="0" * 64)
    with pytest.raises(VenueError, match=r"BTCUSDT-1h-2022-05\.zip: checksum mismatch: SHA-256 is .*, twice"):
        read(Span(MAY, JUNE))
    assert files.asked == ["BTCUSDT-1h-2022-05.zip", "BTCUSDT-1h-2022-05.zip.CHECKSUM"] * 2
    broken = b"PK\x03\x04 no archive"
    files.held["BTCUSDT-1h-2022-05.zip"] = broken
    files.held["BTCUSDT-1h-2022-05.zip.CHECKSUM"] = hashlib.sha256(broken).hexdigest().encode()
    with pytest.raises(VenueError, match="corrupt ZIP file"):
        read(Span(MAY, JUNE))
    del files.held["BTCUSDT-1h-2022-05.zip.CHECKSUM"]
    with pytest.raises(VenueError, match="has no checksum file"):
        read(Span(MAY, JUNE))


def test_retries_are_limited_and_heed_what_the_venue_asks() -> None:
    pace = Pace(0.0, Patience(attempts=3, first_s=0.001))
    calls: list[float | None] = []

    def fails(wait_s: float | None) -> None:
        calls.append(wait_s)
        raise TransientError("HTTP 502", wait_s)

    with pytest.raises(VenueError, match="somewhere: HTTP 502, 3 times in a row; try again later"):
        pace.attempt(lambda: fails(None), "somewhere")
    assert len(calls) == 3
    with pytest.raises(VenueError, match="to try again in 4000 s"):
        pace.attempt(lambda: fails(4000.0), "somewhere")
    assert len(calls) == 4  # who asks for an hour has banned the address
    assert retry_after_s("7") == 7
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0  # a date that has passed
    assert retry_after_s("soon") is None
    pace.stop()
    with pytest.raises(StoppedError):
        pace.wait()
