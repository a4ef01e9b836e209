"""Whole runs on real data, against numbers worked out apart from the engine: DuckDB reads, fractions calculate.

The environment's BACKTEST_REAL_DATA names the folder that holds the datasets; without it nothing here is run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl
import pytest

import backtest
from backtest import Param, Result, Strategy, UserError
from tests.small_market import Ended

ROOT = Path(os.environ.get("BACKTEST_REAL_DATA", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("BACKTEST_REAL_DATA") or not ROOT.is_dir(),
    reason="no real data: BACKTEST_REAL_DATA does not name a folder",
)
HOURS, MINUTES, LATE_MARKS = ROOT / "binance_1h_long", ROOT / "binance_1m_2025", ROOT / "binance_5m_2024"
HOUR = 3_600_000
MICRO = 1_000_000


class Buy(Strategy):
    """Buys each market once, at its first close, and holds it."""

    qty: float = Param(0.0, ge=0, doc="base units; 0: a tenth of the equity")
    top_up: float = Param(0.0, ge=0, doc="margin added to the first position")

    def on_start(self, market: Any, account: Any) -> None:
        self.bought: set[str] = set()
        self.added = self.top_up == 0

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            if symbol in self.bought:
                self.added = self.added or account.add_margin(symbol, self.top_up)
            elif self.qty:
                account.buy(symbol, self.qty)
            else:
                account.target(symbol, weight=0.1)
            self.bought.add(symbol)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def rows(query: str) -> list[Any]:
    """What DuckDB finds in the files themselves."""
    con = duckdb.connect()
    try:
        return con.execute(query).fetchall()
    finally:
        con.close()


def files(data: Path, kind: str, symbol: str) -> str:
    return f"'{data}/{kind}/symbol={symbol}/*.parquet'"


def micro(amount: float) -> int:
    """A table's money as the whole micro-units that it stands for."""
    return round(amount * MICRO)


def settled(result: Result, symbol: str) -> list[tuple[int, int]]:
    """(stamp in ms, payment in micro) of what was paid on a symbol."""
    paid = result.tables["funding"].filter((pl.col("symbol") == symbol) & ~pl.col("missing"))
    return [(int(ts.timestamp() * 1000), micro(payment)) for ts, payment in paid.select("ts", "payment").iter_rows()]


# ---- funding


@pytest.mark.parametrize("qty", ["1", "1.23457"])
def test_funding_on_a_held_btc_to_the_micro(qty: str) -> None:
    """Six years of settlements: rate x mark open x quantity, each rounded once to the micro, ties to even.

    Marks begin on 2019-12-23 at 11:00. A million of cash is never in danger beside one BTC. The order of the first
    close is filled at 13:00; the settlements of later stamps are all paid, up to the last candle.
    """
    result = backtest.run(Buy(qty=float(qty)), HOURS, symbols=["BTCUSDT"], start="2019-12-23T12:00", cash=1e6)
    filled, end = ms("2019-12-23T13:00"), rows(f"SELECT epoch_ms(max(ts)) FROM {files(HOURS, 'candles', 'BTCUSDT')}")
    stamps = rows(
        f"SELECT epoch_ms(f.ts), f.rate, m.open FROM {files(HOURS, 'funding', 'BTCUSDT')} f "
        f"JOIN {files(HOURS, 'mark', 'BTCUSDT')} m USING (ts) ORDER BY 1"
    )
    u = int(Fraction(qty) * MICRO)
    expected = [
        (stamp, -round(Fraction(rate) * Fraction(price) * u))
        for stamp, rate, price in stamps
        if filled < stamp <= end[0][0]
    ]
    assert len(expected) > 7_000
    assert settled(result, "BTCUSDT") == expected
    assert micro(result.metrics["funding"]) == sum(payment for _, payment in expected)


def test_funding_with_coarse_marks_is_paid_on_the_mark_of_the_stamp() -> None:
    """Hourly marks beside 5-minute candles: at a stamp the derived mark is the mark's open, to eight digits."""
    dates = {"start": "2024-07-20", "end": "2024-08-20"}
    result = backtest.run(Buy(qty=1.0), LATE_MARKS, symbols=["BTCUSDT"], cash=1e6, **dates)
    stamps = rows(
        f"SELECT epoch_ms(f.ts), f.rate, m.open FROM {files(LATE_MARKS, 'funding', 'BTCUSDT')} f "
        f"JOIN {files(LATE_MARKS, 'mark', 'BTCUSDT')} m USING (ts) ORDER BY 1"
    )
    expected = [
        (stamp, -round(Fraction(rate) * Fraction(float(f"{price:.8g}")) * MICRO))
        for stamp, rate, price in stamps
        if ms("2024-07-20T00:05") < stamp < ms("2024-08-20")
    ]
    assert len(expected) == 92  # 31 days of three, less the one of the very first open
    assert settled(result, "BTCUSDT") == expected
    assert result.summary["data"]["marks"] == {"BTCUSDT": "derived"}


# ---- 12 March 2020


class Death(NamedTuple):
    """Where a long of one BTC meets its maintenance margin: mark and penalty in micro, time in ms."""

    price: int
    penalty: int
    ts: int


def candle(kind: str, stamp: str) -> tuple[float, ...]:
    """Open, high, low, close of BTC at a stamp."""
    query = f"SELECT open, high, low, close FROM {files(HOURS, kind, 'BTCUSDT')} WHERE epoch_ms(ts) = {ms(stamp)}"
    return tuple(rows(query)[0])


def funding_paid(*stamps: str) -> int:
    """What a long of one BTC receives at these settlements, micro."""
    total = 0
    for stamp in stamps:
        where = f"FROM {files(HOURS, 'funding', 'BTCUSDT')} WHERE epoch_ms(ts) = {ms(stamp)}"
        rate = rows(f"SELECT rate {where}")[0][0]
        total -= round(Fraction(candle("mark", stamp)[0]) * Fraction(rate) * MICRO)
    return total


def crossing(stamp: str, cash: int) -> Death:
    """The instant in the hour at which `cash + mark` falls below 3 % of the mark (docs/reference/rules.md, section 7).

    The hour falls, so its highs come first: open, high after a third, low after two thirds. Values are rounded to the
    micro there and are straight lines between. The crossing is between the high and the low.
    """
    trade_open, _, _, trade_close = candle("candles", stamp)
    assert trade_close < trade_open
    _, high, low, _ = candle("mark", stamp)
    above, below = round(Fraction(high) * MICRO), round(Fraction(low) * MICRO)
    health = [cash + value - round(value * Fraction(0.03)) for value in (above, below)]
    assert health[0] >= 0 > health[1]
    share = Fraction(health[0], health[0] - health[1])
    price = above + round((below - above) * share)
    # Time in thirds of a millisecond: a third of the hour is 3,600,000 of them.
    thirds = HOUR + round(HOUR * share)
    left = cash + price
    return Death(price, min(round(price * Fraction(0.01)), left), ms(stamp) + thirds // 3)


def liquidations(result: Result) -> list[Death]:
    return [
        Death(micro(row["price"]), micro(row["penalty"]), int(row["ts"].timestamp() * 1000))
        for row in result.tables["liquidations"].iter_rows(named=True)
    ]


def pool_cash() -> int:
    """Cash of the isolated pool after a BTC was bought at 01:00 with leverage 10, micro.

    The pool is to hold a tenth of the position at the mark: its cash is that tenth less the position's value.
    """
    value = round(Fraction(candle("mark", "2020-03-12T01:00")[0]) * MICRO)
    return round(value * Fraction(0.1)) - value


def long_of(top_up: float, end: str, data: Path = HOURS) -> Result:
    settings = {"symbols": ["BTCUSDT"], "start": "2020-03-12", "end": end, "cash": 10_000.0}
    return backtest.run(Buy(qty=1.0, top_up=top_up), data, venue="generic", margin="isolated", leverage=10, **settings)


def test_ten_times_long_dies_at_its_crossing() -> None:
    """Bought at 7,919.57, it just outlives the low of 07:00, pays funding at 08:00 and dies in the hour after."""
    low = candle("mark", "2020-03-12T07:00")[2]
    before = pool_cash() + round(low * MICRO)
    assert 0 < before - round(round(low * MICRO) * 0.03) < MICRO  # less than a dollar to spare
    death = crossing("2020-03-12T08:00", pool_cash() + funding_paid("2020-03-12T08:00"))
    result = long_of(0.0, "2020-03-13")
    assert liquidations(result) == [death]
    # The wallet gets what the pool has left, and nothing else happens to it.
    left = pool_cash() + funding_paid("2020-03-12T08:00") + death.price - death.penalty
    put_in = round(Fraction(candle("candles", "2020-03-12T01:00")[0]) * MICRO) + pool_cash()
    assert micro(result.metrics["final_equity"]) == 10_000 * MICRO - put_in + left


def test_march_2020_is_judged_on_marks_and_not_on_trades(tmp_path: Path) -> None:
    """With 1,908 more of margin its level lies between the two lows of 10:00: 5,621 on the mark, 5,199 in trades.

    It lives through that hour, and dies at 23:00 when the mark falls to 4,448. Without marks it dies at 10:00.
    """
    mark_low, trade_low = candle("mark", "2020-03-12T10:00")[2], candle("candles", "2020-03-12T10:00")[2]
    cash = pool_cash() + 1_908 * MICRO + funding_paid("2020-03-12T08:00")
    level = -cash / 0.97 / MICRO  # cash + m = 0.03 m
    assert (round(mark_low), round(trade_low)) == (5_621, 5_199)
    assert trade_low + 100 < level < mark_low - 100
    lived = long_of(1_908.0, "2020-03-12T23:00")
    assert lived.tables["liquidations"].is_empty()
    at_ten = lived.tables["positions"].filter(pl.col("ts") == datetime(2020, 3, 12, 10, tzinfo=UTC))
    assert at_ten["liquidation_price"].to_list() == pytest.approx([level], abs=1e-5)
    died = crossing("2020-03-12T23:00", cash + funding_paid("2020-03-12T16:00"))
    assert liquidations(long_of(1_908.0, "2020-03-13")) == [died]
    for kind in ("candles", "funding"):
        (tmp_path / kind).symlink_to(HOURS / kind)
    on_trades = liquidations(long_of(1_908.0, "2020-03-13", tmp_path))
    assert [ms("2020-03-12T10:00") < death.ts < ms("2020-03-12T11:00") for death in on_trades] == [True]


# ---- 10 October 2025


def test_a_hedged_pair_in_october_2025() -> None:
    """Long ETH, short BTC, twice the equity each, leverage 5: ETH alone falls through its level, the pair does not."""
    pair = {"long": "ETHUSDT", "short": "BTCUSDT"}
    dates = {"start": "2025-10-09", "end": "2025-10-13"}
    both = backtest.compare("hedged_pair", HOURS, venue="generic", params=pair, leverage=5, **dates)
    isolated, cross = both["isolated"], both["cross"]
    query = f"SELECT open, low FROM {files(HOURS, 'mark', 'ETHUSDT')} WHERE epoch_ms(ts) = {ms('2025-10-10T21:00')}"
    mark_open, mark_low = rows(query)[0]
    assert isolated.tables["liquidations"]["symbol"].to_list() == ["ETHUSDT"]
    death = isolated.tables["liquidations"].row(0, named=True)
    assert ms("2025-10-10T21:00") < death["ts"].timestamp() * 1000 < ms("2025-10-10T22:00")
    assert mark_low < death["price"] < mark_open
    # The pool stood at its maintenance margin: equity = 3 % of the value.
    assert death["equity_before"] == pytest.approx(death["maintenance_before"], abs=2e-6)
    assert death["maintenance_before"] == pytest.approx(0.03 * -death["qty"] * death["price"], abs=1e-5)
    held = isolated.tables["positions"].filter(pl.col("ts") == datetime(2025, 10, 10, 21, tzinfo=UTC))
    level = held.filter(pl.col("symbol") == "ETHUSDT")["liquidation_price"].item()
    assert death["price"] == pytest.approx(level, abs=1e-4)
    # In cross the short's profit stands behind the long: its level was never near the low.
    assert cross.tables["liquidations"].is_empty()
    levels = cross.tables["positions"].filter(pl.col("symbol") == "ETHUSDT")["liquidation_price"]
    assert levels.max() < mark_low - 500
    assert cross.metrics["final_equity"] > isolated.metrics["final_equity"]


# ---- the other datasets


def test_nine_perps_of_minutes_with_layers_switch() -> None:
    """Ragged ends, marks of eight hours, and LAYER's funding every 4 h and then every hour.

    Every market is bought at its first close. What is paid is every settlement in the data between that fill and the
    market's last candle; each market's funding ends before its candles, so that one more is expected and missing.
    """
    result = backtest.run(Buy(), MINUTES, allow=["missing-funding"])
    fills = result.tables["fills"].filter(pl.col("cause") == "strategy")
    symbols = sorted(fills["symbol"].to_list())
    assert len(symbols) == 9
    assert result.tables["equity"].height == 60_191  # 2025-05-04 15:33 to 2025-06-15 10:43
    assert set(result.summary["data"]["marks"].values()) == {"derived"}
    for symbol, filled in fills.select("symbol", "ts").iter_rows():
        last = rows(f"SELECT epoch_ms(max(ts)) FROM {files(MINUTES, 'candles', symbol)}")[0][0]
        query = f"SELECT epoch_ms(ts) AS t, rate FROM {files(MINUTES, 'funding', symbol)} ORDER BY t"
        expected = [(t, rate) for t, rate in rows(query) if filled.timestamp() * 1000 < t <= last]
        paid = result.tables["funding"].filter((pl.col("symbol") == symbol) & ~pl.col("missing"))
        assert [int(ts.timestamp() * 1000) for ts in paid["ts"]] == [t for t, _ in expected]
        assert paid["rate"].to_list() == [rate for _, rate in expected]
        for qty, price, rate, payment in paid.select("qty", "price", "rate", "payment").iter_rows():
            assert micro(payment) == -round(Fraction(price) * round(qty * MICRO) * Fraction(rate))
    assert result.tables["funding"]["missing"].sum() == 9
    layer = [stamp for stamp, _ in settled(result, "LAYERUSDT")]
    gaps = [(after - before) // HOUR for before, after in pairwise(layer)]
    # 4 May 16:00 to 6 May 08:00 is 40 h: 11 settlements. From there to 3 June 14:00 it is 28 days and 6 h: 678 more.
    assert (len(layer), gaps.count(4), gaps.count(1)) == (11 + 678, 10, 678)


def test_without_funding_a_run_refuses_or_is_told() -> None:
    data = ROOT / "okx_5m_2022"
    with pytest.raises(UserError, match=r"no funding data for BTCUSDT, ETHUSDT, SOLUSDT; .*allow='missing-funding'"):
        backtest.run("sma_cross", data)
    result = backtest.run("sma_cross", data, allow=["missing-funding"], start="2022-05-01", end="2022-06-01")
    assert result.tables["funding"].is_empty()
    assert result.metrics["funding"] == 0
    assert result.metrics["fills"] > 0
    assert result.summary["counts"]["symbols without funding"] == 3
    marks = {"BTCUSDT": "trades", "ETHUSDT": "derived", "SOLUSDT": "derived"}
    assert result.summary["data"]["marks"] == marks


def test_a_year_of_five_minutes_through_august_2024() -> None:
    result = backtest.run("sma_cross", LATE_MARKS, fee_bps=5, slippage_bps=1)
    every = f"'{LATE_MARKS}/candles/*/*.parquet'"
    count, last = rows(f"SELECT count(DISTINCT ts), epoch_ms(max(ts)) FROM {every}")[0]
    assert result.tables["equity"].height == count
    assert result.tables["equity"]["ts"][-1].timestamp() * 1000 == last + HOUR // 12
    fees = [(quote, fee) for quote, fee in result.tables["fills"].select("quote", "fee").iter_rows()]
    assert len(fees) > 100
    assert all(micro(fee) == round(abs(micro(quote)) * Fraction(5 / 10_000)) for quote, fee in fees)


def test_plain_files_with_a_symbol_column() -> None:
    """HYPE settles every four hours, the others every eight; there are no marks, so the trades' opens serve."""
    data = ROOT / "plain" / "binance"
    result = backtest.run(Buy(), data, start="2025-07-01", end="2025-09-01")
    counts = dict(result.tables["funding"].group_by("symbol").len().iter_rows())
    assert counts == {"BTCUSDT": 185, "DOGEUSDT": 185, "ETHUSDT": 185, "HYPEUSDT": 371, "SOLUSDT": 185}
    prices = dict(rows(f"SELECT epoch_ms(ts), open FROM '{data}_candles_1h.parquet' WHERE symbol = 'HYPEUSDT'"))
    paid = result.tables["funding"].filter(pl.col("symbol") == "HYPEUSDT").select("ts", "price").iter_rows()
    assert all(price == prices[int(ts.timestamp() * 1000)] for ts, price in paid)


NAMES = {
    "binance_1h_long": 6, "binance_1m_2025": 9, "binance_5m_2024": 2, "okx_5m_2022": 3, "plain/binance": 5,
    "plain/bybit": 5,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_dataset_is_described_and_sound(command: Callable[..., Ended], name: str) -> None:
    told = command("data", "info", str(ROOT / name), "--json")
    assert (told.code, told.err) == (0, "")
    described = json.loads(told.out)
    assert (len(described["symbols"]), described["synthetic"]) == (NAMES[name], False)
    checked = command("data", "check", str(ROOT / name), "--json")
    found = json.loads(checked.out)
    # A dataset that has no funding says so in its description; a run refuses it, so it is an error of each symbol.
    unfunded = NAMES[name] if name == "okx_5m_2022" else 0
    assert (checked.code, found["errors"]) == (2 if unfunded else 0, unfunded)


def test_a_folder_of_two_datasets_must_be_told_which(command: Callable[..., Ended]) -> None:
    ended = command("data", "info", str(ROOT / "plain"))
    assert (ended.code, ended.out) == (2, "")
    assert "it holds 2 datasets of plain files; name one of: " in ended.err
