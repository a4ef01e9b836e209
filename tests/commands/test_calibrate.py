"""`backtest data calibrate`: laws that are known come back, and on real books the fit is as good as it says."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from backtest.core.errors import UserError
from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.runner.calibrate import Calibration, calibrate
from backtest.runner.cost_inputs import bars
from backtest.runner.slippage_settings import parse_slippage
from backtest.venues.slippage_models import depth_walk
from tests.small_market import Ended
from tests.unit import feed_datasets as small
from tests.unit.feed_datasets import HOUR, T0

REAL = Path(os.environ.get("BACKTEST_REAL_DATA", "nowhere"))
MICRO, CANDLES = REAL / "micro", REAL / "binance_1h_long"
real = pytest.mark.skipif(not MICRO.is_dir(), reason="no real data: set BACKTEST_REAL_DATA to their folder")
SIZES = (1e4, 1e5, 1e6, 1e7)


def parquet(folder: Path, name: str = "file.parquet", **columns: object) -> Path:
    file = folder / name
    frame = pl.DataFrame(columns)
    frame.with_columns(pl.col("ts").cast(pl.Datetime("ms", "UTC"))).write_parquet(file)
    return file


def walks(folder: Path, cost: Callable[[float], float], symbol: str = "BTC", sizes: tuple[float, ...] = SIZES) -> Path:
    """Each size walked twice, a tenth more and a tenth less than ``cost``, bps; and the smallest size at all."""
    every = [(size, cost(size) * wobble) for size in sizes for wobble in (0.9, 1.1)]
    return parquet(
        folder,
        ts=[T0 + 50 * HOUR] * len(every),
        symbol=[symbol] * len(every),
        notional=[size for size, _ in every],
        slippage_bps=[bps for _, bps in every],
    )


def one(path: Path, kind: str = "book", candles: Path | None = None) -> Calibration:
    (found,), together = calibrate(path, kind, candles)
    assert together is None
    return found


class TestWalks:
    def test_a_power_law_comes_back(self, tmp_path: Path) -> None:
        """Half a spread of 0.1 bps and 2 bps × (Q/1M)^0.7 on top."""
        found = one(walks(tmp_path, lambda q: 0.1 if q == 1 else 0.1 + 2 * (q / 1e6) ** 0.7, sizes=(1.0, *SIZES)))
        assert found.curve.half == pytest.approx(0.1e-4)
        assert found.curve.quartiles == pytest.approx((0.095e-4, 0.105e-4))
        assert (found.free.y, found.free.exponent) == pytest.approx((2e-4, 0.7), rel=1e-9)
        assert found.free.worst < 1e-9
        assert found.text == "--slippage half-spread=0.1"
        # The smallest size is what the spread is taken from, and no impact is seen at it.
        assert found.fitted.tolist() == [False, False, True, True, True]

    def test_the_square_root_of_a_steeper_law(self, tmp_path: Path) -> None:
        """Without a spread, sizes 1 and 100 that cost 1 and 100: the best √ is off by √10 at both ends, in logs."""
        found = one(walks(tmp_path, lambda q: q / 1e6 if q > 1 else 1e-12, sizes=(1.0, 1e6, 1e7, 1e8)))
        assert found.free.exponent == pytest.approx(1.0, abs=1e-9)
        # 1, 10, 100 of impact by Y √1, Y √10, Y √100 with Y = √10: +216 %, 0, −68 %
        assert found.root.y == pytest.approx(np.sqrt(10) * 1e-4, rel=1e-9)
        assert found.root.worst == pytest.approx(np.sqrt(10) - 1, rel=1e-6)
        assert found.root.mean == pytest.approx((np.sqrt(10) - 1 + 0 + 1 - 1 / np.sqrt(10)) / 3, rel=1e-6)

    def test_walks_that_ended_early_are_left_out(self, tmp_path: Path) -> None:
        columns = {"ts": [T0] * 4, "symbol": ["X"] * 4, "notional": [1e4, 1e5, 1e6, 1e6]}
        costs = {"slippage_bps": [1.0, 3.0, 9.0, 500.0], "filled_fraction": [1.0, 1.0, 1.0, 0.5]}
        found = one(parquet(tmp_path, **columns, **costs))
        assert found.curve.cost == pytest.approx([1e-4, 3e-4, 9e-4])
        assert found.curve.number.tolist() == [1, 1, 1]

    def test_by_sigma_and_turnover(self, tmp_path: Path) -> None:
        """Y × σ × (Q/V)^δ is the same cost; the flags of a run carry it."""
        rng = np.random.default_rng(2)
        closes = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 60)))
        rows = [(k, c, c * 1.002, c / 1.002, c, 1e4) for k, c in enumerate(closes.tolist())]
        small.candles(tmp_path / "data", "BTC-USD", rows, HOUR)
        file = walks(tmp_path, lambda q: 0.1 if q == 1 else 0.1 + 2 * (q / 1e6) ** 0.7, sizes=(1.0, *SIZES))
        found = one(file, "book", tmp_path / "data")
        known = bars(select(Catalog.open(tmp_path / "data")), True, True, None)[50, 0]
        assert found.scale is not None
        assert (found.scale.symbol, found.scale.sigma, found.scale.turnover) == ("BTC-USD", *known[:2])
        sigma, turnover = known[:2]
        assert found.free.y * sigma * (1e6 / turnover) ** found.free.exponent == pytest.approx(2e-4, rel=1e-9)
        read = parse_slippage(found.text.replace("--slippage", "").split())
        assert (read.half, read.exponent) == pytest.approx((0.1e-4, 0.7))
        assert read.factor == pytest.approx(found.free.y, rel=1e-3)

    def test_several_symbols_have_one_law_together(self, tmp_path: Path) -> None:
        """Two markets of one law in σ and V, apart in quote: the law of both is theirs, without an error."""
        rng = np.random.default_rng(2)
        for symbol, wide in (("BTC-USD", 0.01), ("ETH-USD", 0.03)):
            closes = 100 * np.exp(np.cumsum(rng.normal(0, wide, 60)))
            rows = [(k, c, c, c, c, 1e4 / wide) for k, c in enumerate(closes.tolist())]
            small.candles(tmp_path / "data", symbol, rows, HOUR)
        known = bars(select(Catalog.open(tmp_path / "data")), True, True, None)[50]
        table: dict[str, list[object]] = {"ts": [], "symbol": [], "notional": [], "slippage_bps": []}
        for symbol, (sigma, turnover, _) in zip(("BTCUSD", "ETHUSD"), known, strict=True):
            for size in (1.0, *SIZES):
                impact = 5 * sigma * (size / turnover) ** 0.8 * 1e4 if size > 1 else 0.0
                values = (T0 + 50 * HOUR, symbol, size, 0.1 + impact)
                for column, value in zip(table.values(), values, strict=True):
                    column.append(value)
        found, together = calibrate(parquet(tmp_path, **table), "book", tmp_path / "data")
        assert [one.curve.symbol for one in found] == ["BTCUSD", "ETHUSD"]
        assert together is not None
        assert (together.free.y, together.free.exponent) == pytest.approx((5, 0.8), rel=1e-6)
        assert together.free.worst < 1e-6
        assert together.text == "--slippage impact=5:0.8"


class TestDepths:
    def test_a_depth_table(self, tmp_path: Path) -> None:
        """Two snapshots of two bands: the mean of walking both, at the sizes that half of them are deep enough for."""
        books = [[(0.001, 1e6), (0.005, 2e6)], [(0.001, 2e6), (0.005, 4e6)]]
        flat = [(T0 + n * HOUR, "X", d * 1e4, q) for n, book in enumerate(books) for d, q in book]
        names = ("ts", "symbol", "bps", "depth_usd")
        found = one(parquet(tmp_path, **dict(zip(names, map(list, zip(*flat, strict=True)), strict=True))))
        assert found.curve.size.max() == 2.5e6  # the median of 2 and 4 million is three
        for size, cost in zip(found.curve.size, found.curve.cost, strict=True):
            assert cost == pytest.approx(np.mean([depth_walk(book, size) for book in books]), rel=1e-12)
        assert found.curve.half == 0
        assert found.free.exponent > 1

    def test_spread_and_depth_in_columns(self, tmp_path: Path) -> None:
        """One band is a straight line: 50 bps × Q / depth / 2 above half the spread's median."""
        file = parquet(
            tmp_path,
            ts=[T0, T0 + HOUR, T0 + 2 * HOUR],
            symbol=["X"] * 3,
            spread_bps=[0.2, 0.4, 9.0],
            depth_50bps_usd=[2e6, 2e6, 2e6],
        )
        found = one(file)
        assert found.curve.half == pytest.approx(0.2e-4)
        assert found.curve.span == (T0, T0 + 2 * HOUR)
        assert (found.free.y, found.free.exponent) == pytest.approx((1e6 / 2e6 * 0.005 / 2, 1.0), rel=1e-9)


def trades(folder: Path, orders: list[tuple[int, list[tuple[float, float]]]], **extra: object) -> Path:
    """Orders of (side, prints of price and quantity), a second apart."""
    prints = [(T0 + 1000 * n, way, p, q) for n, (way, its) in enumerate(orders) for p, q in its]
    side = extra or {"buyer_is_maker": [way < 0 for _, way, _, _ in prints]}
    columns = {"price": [p for *_, p, _ in prints], "qty": [q for *_, q in prints]}
    return parquet(folder, ts=[t for t, *_ in prints], symbol=["X"] * len(prints), **columns, **side)


SMALL_BUY, SMALL_SELL = (1, [(100.01, 10.0)]), (-1, [(99.99, 10.0)])
LARGE = (1, [(100.01, 50.0), (100.05, 50.0)])
LARGER = (-1, [(99.99, 250.0), (99.89, 750.0)])


class TestTrades:
    def test_spread_and_impact(self, tmp_path: Path) -> None:
        """A book of 99.99 and 100.01: half a spread of 1 bp. A hundred walks 4 cents half way, a thousand 10 cents."""
        orders = [SMALL_BUY, SMALL_SELL] * 20 + [SMALL_SELL, LARGE] * 12 + [SMALL_BUY, LARGER] * 12
        found = one(trades(tmp_path, orders), "trades")
        assert found.curve.half == pytest.approx(1e-4, rel=1e-3)
        small_size, large, larger = found.curve.size
        assert (small_size, large, larger) == pytest.approx((1000, 1e4, 1e5), rel=2e-3)
        # 2 cents of 100.01 on average; 7.5 cents of 99.99
        assert found.curve.cost - found.curve.half == pytest.approx(
            [0, 0.02 / 100.01, 0.075 / 99.99], rel=1e-6, abs=1e-15
        )
        assert found.curve.number.tolist() == [20 * 2 + 12 * 2, 12, 12]
        assert found.curve.roll is not None
        assert found.fitted.tolist() == [False, True, True]

    def test_sides_in_words(self, tmp_path: Path) -> None:
        orders = [SMALL_BUY, SMALL_SELL] * 20 + [SMALL_SELL, LARGE] * 12 + [SMALL_BUY, LARGER] * 12
        flags = trades(tmp_path, orders)
        sides = [("buy", "SELL")[way < 0] for way, its in orders for _ in its]
        (tmp_path / "words").mkdir()
        words = trades(tmp_path / "words", orders, side=sides)
        assert one(flags, "trades").free == one(words, "trades").free

    def test_few_orders_of_a_size_are_no_mean(self, tmp_path: Path) -> None:
        orders = [SMALL_BUY, SMALL_SELL] * 20 + [SMALL_SELL, LARGE] * 12 + [SMALL_BUY, LARGER] * 9
        with pytest.raises(UserError, match="sizes cost more than half the spread; an impact needs two"):
            calibrate(trades(tmp_path, orders), "trades")


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    book = walks(tmp_path, lambda q: 0.1 + q / 1e6)
    small.candles(tmp_path / "data", "ETH-USD", small.flat(*[100.0] * 40), HOUR)
    (tmp_path / "two").mkdir()
    one_side = trades(tmp_path / "two", [SMALL_BUY] * 20)
    cases = [
        ((book, "bok"), "--kind: unknown kind 'bok'; did you mean 'book'?"),
        ((tmp_path / "no.parquet", "book"), "no.parquet: no such file"),
        ((book, "trades"), "no column 'price' (it has ts, symbol, notional, slippage_bps)"),
        ((one_side, "book"), "not order book data (it has ts, symbol, price, qty, buyer_is_maker); it needs"),
        ((one_side, "trades"), "all trades of X are on one side"),
        ((book, "book", tmp_path / "data"), "no candles of BTC"),
        ((book, "book", tmp_path / "nodata"), "nodata: no such folder"),
    ]
    for arguments, said in cases:
        with pytest.raises(UserError) as error:
            calibrate(*arguments)
        assert said in str(error.value)
    (tmp_path / "eth").mkdir()
    early = walks(tmp_path / "eth", lambda q: 0.1 + q / 1e6, "ETH")
    with pytest.raises(UserError, match=r"no candles from|less than a day of candles"):
        calibrate(early, "book", tmp_path / "data")
    free = parquet(tmp_path, "free.parquet", ts=[T0], symbol=["X"], notional=[-1.0], slippage_bps=[1.0])
    with pytest.raises(UserError, match=r"notional is -1\.0 in row 0"):
        calibrate(free, "book")


class TestCommand:
    def test_prints_what_it_found(self, tmp_path: Path, command: Callable[..., Ended]) -> None:
        file = walks(tmp_path, lambda q: 0.1 + (0 if q == 1 else 2 * (q / 1e6) ** 0.7), sizes=(1.0, *SIZES))
        ended = command("data", "calibrate", str(file), "--kind", "book")
        assert (ended.code, ended.err) == (0, "")
        for said in (
            "BTC half a spread 0.1 bps (quartiles 0.095 to 0.105)",
            "power law Y 0.0002, δ 0.7: error 0.0% at most, 0.0% on average; square root Y",
            "--slippage half-spread=0.1",
            "--candles gives the Y of --slippage impact",
            "1,000,000",
        ):
            assert said in ended.out

    def test_json(self, tmp_path: Path, command: Callable[..., Ended]) -> None:
        file = walks(tmp_path, lambda q: 0.1 + (0 if q == 1 else 2 * (q / 1e6) ** 0.7), sizes=(1.0, *SIZES))
        read = json.loads(command("data", "calibrate", str(file), "--kind", "book", "--json").out)
        (btc,) = read["symbols"]
        assert (btc["symbol"], btc["candles"], read["together"]) == ("BTC", None, None)
        assert btc["power_law"]["exponent"] == pytest.approx(0.7)
        assert [point["size"] for point in btc["points"]] == [1.0, *SIZES]
        assert set(btc["square_root"]) == {"y", "exponent", "worst_error", "mean_error"}

    def test_a_mistake_is_one_line(self, tmp_path: Path, command: Callable[..., Ended]) -> None:
        ended = command("data", "calibrate", str(tmp_path / "no.parquet"), "--kind", "book")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.endswith("no.parquet: no such file; check the name\n")


WALKED = "binance_perp_20240808_bookwalk.parquet"


@real
class TestRealBooks:
    def test_walks_of_the_books(self) -> None:
        """From 100k to 10M the law with its exponent free is within 30 % of what walking BTC's and ETH's book cost; the
        square root is not."""
        found, together = calibrate(MICRO / WALKED, "book", CANDLES)
        assert [one.curve.symbol for one in found] == ["BTCUSDT", "ETHUSDT"]
        assert together is not None
        published = {"BTCUSDT": {1e5: 0.10, 5e5: 0.58, 1e6: 1.10, 5e6: 3.9, 1e7: 6.2}, "ETHUSDT": {1e5: 0.54, 1e6: 2.6}}
        for one in found:
            asked = (one.curve.size >= 1e5) & (one.curve.size <= 1e7)
            assert asked.sum() == 7
            errors = {name: one.cost(law)[asked] / one.curve.cost[asked] - 1 for name, law in _laws(one)}
            assert np.abs(errors["free"]).max() < 0.30, errors
            assert np.abs(errors["root"]).max() > 0.55, errors
            assert one.free.worst < 0.30
            for size, bps in published[one.curve.symbol].items():
                assert one.curve.cost[one.curve.size == size] * 1e4 == pytest.approx(bps, abs=0.05)
        halves = [one.curve.half * 1e4 for one in found]
        assert halves == pytest.approx([0.0081, 0.0187], abs=2e-4)  # a tick of 0.1 at 61,700, of 0.01 at 2,680

    def test_trades_tell_the_same(self) -> None:
        """The same minutes from the prints: the same spread, and an impact of a million within a factor of two."""
        book, _ = calibrate(MICRO / WALKED, "book", CANDLES)
        prints, _ = calibrate(MICRO / "binance_perp_20240808_trades.parquet", "trades", CANDLES)
        for walked, printed in zip(book, prints, strict=True):
            assert printed.curve.half == pytest.approx(walked.curve.half, rel=0.01)
            assert printed.free.worst < 0.30
            for size in (1e5, 1e6):
                impact = [one.free.y * (size / one.scale.turnover) ** one.free.exponent for one in (walked, printed)]
                assert 0.5 < impact[0] / impact[1] < 2

    def test_two_years_of_depth(self) -> None:
        found, _ = calibrate(MICRO / "hyperliquid_depth_6h_2024_2025.parquet", "book", CANDLES)
        assert [one.curve.symbol for one in found] == ["BTC", "ETH"]
        for one in found:
            assert one.free.exponent == pytest.approx(1.0, abs=1e-6)  # one band
            assert one.scale is not None
            assert one.scale.symbol == f"{one.curve.symbol}USDT"


def _laws(one: Calibration) -> list[tuple[str, object]]:
    return [("free", one.free), ("root", one.root)]
