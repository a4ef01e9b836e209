"""Runs in which fills cost something: each amount by hand, and the report's sentences about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Result
from backtest.data.catalog import Catalog
from backtest.data.select import select
from backtest.engine import layout as at
from backtest.runner.cost_inputs import bars
from tests.scenarios.scenario import MINUTE, START, Market, Script, both, buy, column, play, rows, sell, write

FLAT = Market("BTC", [100.0] * 6)
STEPS = {0: buy("BTC", 10), 2: sell("BTC", 10)}
HOURS = 40


def costs(result: Result) -> list[tuple[float, ...]]:
    return rows(result, "fills", "spread", "impact", "drift", "quote")


def depth(folder: Path, *table: tuple[int, str, float, float]) -> str:
    """A depth table of (row, symbol, bps, quote), times by rows of a minute; what --slippage is told."""
    folder.mkdir(exist_ok=True)
    file = folder / "depth.parquet"
    names = ("ts", "symbol", "bps", "depth_usd")
    frame = pl.DataFrame(
        list(table), schema=dict(zip(names, (pl.Int64, pl.String, pl.Float64, pl.Float64), strict=True)), orient="row"
    )
    frame.with_columns(pl.col("ts") * MINUTE + START).write_parquet(file)
    return f"depth={file}"


BAND = "at most the venue's price band, where it has none an assumed 10 %"


class TestByHand:
    def test_fixed_and_given_spread_under_stress(self, tmp_path: Path) -> None:
        # 1 bp fixed and 2 bps of half a spread, twice: 6 bps of 1,000 are 0.6, paid on both sides
        asked = {"slippage_bps": 1, "slippage": ["half-spread=2", "stress=2"]}
        result = play(tmp_path, [FLAT], STEPS, **asked)
        assert costs(result) == [(0.6, 0, 0, -1000.6), (0.6, 0, 0, 999.4)]
        assert column(result, "fills", "price") == pytest.approx([100.06, 99.94], rel=1e-15)
        assert result.metrics["final_equity"] == 99_998.8
        said = "Takers paid beyond the price: 1 bps whatever the size, a half spread of 2 bps (all of it times 2)"
        assert f"{said}; {BAND}." in result.summary["notes"]

    def test_share_of_the_volume(self, tmp_path: Path) -> None:
        # 10 of 40 is a quarter: 0.8 × 1/16 = 5 % of 1,000; 10 of 20: 0.8 × 1/4 = 20 %; of none: no cost
        market = Market("BTC", [100.0] * 6, volume=[7, 40, 7, 20, 0, 7])
        steps = {**STEPS, 3: buy("BTC", 1)}
        result = play(tmp_path, [market], steps, slippage=["volume=0.8", "band=20%"])
        assert costs(result) == [(0, 50, 0, -1050), (0, 200, 0, 800), (0, 0, 0, -100)]

    def test_a_candle_almost_without_volume(self, tmp_path: Path) -> None:
        # 10 of 0.001 is ten thousand times: what was sold at 0 is not sold but for what a tenth of the price lets.
        # 0.1 × (q / 0.001)² ≤ 0.1 up to 0.001, one lot: 0.1 less 0.01.
        market = Market("BTC", [100.0] * 4, volume=[7, 0.001, 0.001, 7])
        result = play(tmp_path, [market], {0: sell("BTC", 10)}, slippage="volume=0.1")
        assert costs(result) == [(0, 0.01, 0, 0.09)]
        (order,) = rows(result, "orders", "status", "filled_qty", "reason")
        said = "price_band: all of it would cost 1,000.00 beside the price, the band allows 100.00"
        assert order == ("cancelled", -0.001, said)

    def test_depth(self, tmp_path: Path) -> None:
        """A thousand walks a book: 400 in the first 10 bps, 1,000 in 40. At row 3 there is another book."""
        # 400 at 5 bps and 600 at 25: 17 bps of 1,000 are 1.7. Then 500 within 20 bps, as dense beyond: to 40, 20 bps
        given = depth(tmp_path, (-9, "BTC", 10, 400), (-9, "BTC", 40, 1000), (3, "BTC", 20, 500), (9, "BTC", 1, 1))
        result = play(tmp_path / "run", [FLAT], STEPS, slippage=given)
        assert costs(result) == [(0, 1.7, 0, -1001.7), (0, 2, 0, 998)]
        said = "Takers paid beyond the price: the cost of walking the depth in depth.parquet"
        assert f"{said}; {BAND}." in result.summary["notes"]
        beyond = "1 fill larger than the depth table reaches: its last level was extended."
        assert beyond in result.summary["notes"]

    def test_depth_that_begins_later(self, tmp_path: Path) -> None:
        given = depth(tmp_path, (2, "BTC", 10, 4000))
        result = play(tmp_path / "run", [FLAT], STEPS, slippage=[given, "stress=4"])
        assert costs(result) == [(0, 0, 0, -1000), (0, 0.5, 0, 999.5)]  # a quarter of 10 bps, 1.25 on average, × 4
        before = "1 fill before the depth table's first snapshot: no impact was charged."
        assert [note for note in result.summary["notes"] if "depth table" in note] == [before]

    def test_a_limit_order_never_pays_more_than_its_limit(self, tmp_path: Path) -> None:
        """Marketable, 30 bps of spread and 30 of impact, but its limit is 40 bps off; at rest it pays nothing."""
        steps = {
            0: lambda market, account: account.buy("BTC", 10, limit=100.4),
            2: lambda market, account: account.sell("BTC", 10, limit=101),
        }
        market = Market("BTC", [100.0, 100.0, 100.0, (100, 102, 100, 100), 100.0])
        given = depth(tmp_path, (0, "BTC", 60, 1000))
        result = play(tmp_path / "run", [market], steps, slippage=[given, "half-spread=30"])
        assert costs(result) == [(3, 1, 0, -1004), (0, 0, 0, 1010)]
        assert column(result, "fills", "liquidity") == ["taker", "maker"]

    def test_touch(self, tmp_path: Path) -> None:
        """The low is the limit: only where a touch is enough it fills."""
        market = Market("BTC", [100.0, 100.0, (100, 100, 99, 100), 100.0])
        steps = {0: lambda market, account: account.buy("BTC", 1, limit=99)}
        through = play(tmp_path / "through", [market], steps)
        touch = play(tmp_path / "touch", [market], steps, limit_fill="touch")
        assert (len(through.tables["fills"]), column(touch, "fills", "price")) == (0, [99.0])
        note = "Limit orders filled when the price touched them, as if they were first in the queue."
        assert (note in touch.summary["notes"], note in through.summary["notes"]) == (True, False)


class TestVolumeShare:
    def test_takers_wait_for_more(self, tmp_path: Path) -> None:
        # a tenth of 40, of nothing, of 50: 4, then none, then 5, then the last 1
        market = Market("BTC", [100.0] * 6, volume=[9, 40, 0, 50, 40, 9])
        result = play(tmp_path, [market], {0: buy("BTC", 10)}, volume_share="10%")
        assert rows(result, "fills", "ts", "qty") == [(MINUTE, 4.0), (3 * MINUTE, 5.0), (4 * MINUTE, 1.0)]
        assert result.summary["counts"]["candles without volume"] == 1
        for said in (
            "Maximum share of a candle's volume that could fill: takers 10 %, makers 10 %.",
            "1 candle without volume: with --volume-share nothing fills in it.",
        ):
            assert said in result.summary["notes"]

    def test_chunks_and_strategies_that_see_the_volume(self, tmp_path: Path) -> None:
        """The market's volume is the same with a share and without, whatever the chunks; so are the fills."""
        volume = [float(5 + k % 7) for k in range(50)]
        market = Market("BTC", [100.0 + k % 3 for k in range(50)], volume=volume)
        data = write(tmp_path, market)
        seen: dict[Any, list[float]] = {}
        fills = []
        for share, chunk in ((None, None), ("20%", None), ("20%", 7), ("20%", 1)):
            steps = {k: both(_look(seen, (share, chunk)), *[buy("BTC", 3)] * (k % 9 == 0)) for k in range(50)}
            done = backtest.run(
                Script(steps, MINUTE), data, volume_share=share, chunk_rows=chunk, allow=("missing-funding",)
            )
            fills.append(rows(done, "fills", "ts", "qty", "quote"))
        assert all(values == volume for values in seen.values())
        assert len(seen) == 4
        assert fills[1] == fills[2] == fills[3] != fills[0]


def _look(seen: dict[Any, list[float]], key: Any) -> Any:
    return lambda market, account: seen.setdefault(key, []).append(market.volume["BTC"])


@pytest.fixture(scope="module")
def hourly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty hours of two markets that swing, hourly, and a venue's worth of volume."""
    swings = {"BTC": 3.0, "ETH": 1.0}
    markets = []
    for symbol, size in swings.items():
        closes = [100 + size * ((7 * k) % 5) for k in range(HOURS)]
        candles = [(a, max(a, b) + 1, min(a, b) - 1, b) for a, b in zip([100.0, *closes], closes, strict=False)]
        markets.append(Market(symbol, candles, volume=[10.0 + k for k in range(HOURS)]))
    return write(tmp_path_factory.mktemp("hourly"), *markets, interval="1h")


HOUR = 60 * MINUTE


def trade(hours: tuple[int, ...], data: Path, **settings: Any) -> Result:
    steps = {k: both(buy("BTC", 2), sell("ETH", 3)) for k in hours}
    return backtest.run(Script(steps, HOUR), data, **{"cash": 1e6, "allow": ("missing-funding",), **settings})


class TestTrailing:
    def test_impact_by_sigma_and_turnover(self, hourly: Path) -> None:
        """Each fill by the bar of its hour; those before a day of history cost nothing, and are told."""
        result = trade((2, 30, 37), hourly, slippage=["impact=0.8:0.6", "stress=2"])
        known = bars(select(Catalog.open(hourly)), True, True, None)
        got = rows(result, "fills", "ts", "symbol", "qty", "impact", "arrival_price")
        assert len(got) == 6
        for ts, symbol, qty, impact, price in got:
            sigma, turnover, _ = known[ts // HOUR, ["BTC", "ETH"].index(symbol)]
            value = abs(qty) * price
            rate = 0.0 if np.isnan(sigma) else 2 * (0.8 * sigma * (value / turnover) ** 0.6)
            assert impact == pytest.approx(value * rate, abs=1.1e-6), (ts, symbol)
            assert (impact > 0) is (ts > 24 * HOUR)
        notes = result.summary["notes"]
        assert "2 fills before there was a day of history: no impact was charged." in notes
        said = "an impact of 0.8 × σ × (Q/V)^0.6 (all of it times 2)"
        assert f"Takers paid beyond the price: {said}; {BAND}." in notes

    def test_spread_of_the_candles(self, hourly: Path) -> None:
        result = trade((30,), hourly, slippage="half-spread=corwin-schultz")
        half = bars(select(Catalog.open(hourly)), False, False, "corwin-schultz")[31, :, at.HALF_SPREAD]
        for n, (qty, spread, price) in enumerate(rows(result, "fills", "qty", "spread", "arrival_price")):
            assert spread == pytest.approx(abs(qty) * price * half[n], abs=1.1e-6)
            assert spread > 0

    def test_adverse_move(self, hourly: Path) -> None:
        """σ of a day × √(6 h / a day) × k; without a way there is none, and the report says so."""
        sigma = bars(select(Catalog.open(hourly)), True, False, None)[:, 0, at.SIGMA]
        late = trade((28,), hourly, slippage="drift=0.5", latency_ms=6 * HOUR)
        (first, *_) = rows(late, "fills", "ts", "drift", "latency", "arrival_price", "decision_price")
        ts, drift, latency, arrival, decision = first
        assert ts == 35 * HOUR
        assert drift == pytest.approx(2 * arrival * 0.5 * sigma[35] * 0.5, abs=1.1e-6)
        assert latency == pytest.approx(2 * (arrival - decision) + drift, abs=2e-6)
        assert any(f"an adverse move of 0.5 × σ × √({6 * HOUR:,} ms)" in note for note in late.summary["notes"])
        at_once = trade((28,), hourly, slippage="drift=0.5")
        assert column(at_once, "fills", "drift") == [0, 0]
        assert "no slippage charged (set --slippage-bps or --slippage)" in at_once.summary["warnings"]
        assert any(note.startswith("No adverse move:") for note in at_once.summary["notes"])

    def test_more_of_it_never_helps(self, hourly: Path) -> None:
        """Fixed orders of takers: the more they pay, the less is left."""
        ends = {}
        for stress in (0, 0.5, 1, 3, 10):
            asked = ["half-spread=5", "impact=1", f"stress={stress}"]
            ends[stress] = trade((5, 26, 30, 33), hourly, slippage=asked).metrics["final_equity"]
        assert list(ends.values()) == sorted(ends.values(), reverse=True)
        assert len(set(ends.values())) == 5

    def test_a_run_of_a_part_has_the_history_of_the_whole(self, hourly: Path) -> None:
        """From hour 26 on: the same impact as in the run from the beginning."""
        whole = trade((30,), hourly, slippage="impact=1")
        start = (START + 26 * HOUR) // 1000
        steps = {30: both(buy("BTC", 2), sell("ETH", 3))}
        when = f"{np.datetime64(start, 's')}"
        part = backtest.run(
            Script(steps, HOUR), hourly, start=when, cash=1e6, allow=("missing-funding",), slippage="impact=1"
        )
        assert column(part, "fills", "impact") == column(whole, "fills", "impact")
        assert column(part, "fills", "impact")[0] > 0


def test_sub_accounts_of_other_markets(hourly: Path, tmp_path: Path) -> None:
    """Each with its own markets, on one pass: as each alone."""
    (tmp_path / "one.py").write_text(ONE)
    asked: dict[str, Any] = {
        "allow": ("missing-funding",),
        "slippage": ["impact=0.5", "half-spread=abdi-ranaldo"],
        "volume_share": "5%",
    }
    both_of = backtest.subaccounts(
        [tmp_path / "one.py"] * 2, hourly, cash=2e5, params={"1.market": "BTC", "2.market": "ETH"}, **asked
    )
    for result, name in zip(both_of.results, ("BTC", "ETH"), strict=True):
        alone = backtest.run(tmp_path / "one.py", hourly, cash=1e5, params={"market": name}, **asked)
        assert result.digest == alone.digest
        assert sum(column(alone, "fills", "impact")) > 0


def test_a_report_is_verified_with_its_costs(hourly: Path, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE)
    asked: dict[str, Any] = {"slippage": ["impact=0.5"], "volume_share": "taker=5%", "limit_fill": "touch"}
    made = backtest.run(tmp_path / "one.py", hourly, out=tmp_path / "report", allow=("missing-funding",), **asked)
    config = made.summary["config"]
    assert {name: config[name] for name in asked} == asked
    assert backtest.verify(tmp_path / "report").ok


def test_verify_sees_another_depth_table(hourly: Path, tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE)
    given = depth(tmp_path, (0, "BTC", 10, 1e3))
    backtest.run(tmp_path / "one.py", hourly, out=tmp_path / "report", allow=("missing-funding",), slippage=given)
    assert backtest.verify(tmp_path / "report").ok
    depth(tmp_path, (0, "BTC", 10, 2e3))
    again = backtest.verify(tmp_path / "report")
    assert (again.ok, again.differences) == (False, ("depth table",))


ONE = '''from backtest import Param, Strategy


class One(Strategy):
    """Buys a little of one market every sixth candle."""

    market: str = Param("BTC")

    @property
    def symbols(self):
        return (self.market,)

    def on_candle(self, market, account):
        if market.now_ms % 21_600_000 == 0:
            account.buy(self.market, 2)
'''
