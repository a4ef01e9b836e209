"""`backtest check`: finds every planted leak, says where, and accuses no honest strategy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import backtest
from backtest import Account, Candle, Market
from backtest.data.resampled import JointCandles
from backtest.research.source_scan import scan
from backtest.results.judgement import judged
from backtest.runner.plan import plan
from backtest.runner.replays import replay
from backtest.runner.truncation import over
from backtest.strategy.base import Strategy
from backtest.strategy.loader import load
from tests import small_market as small
from tests.research import planted_leaks
from tests.research.honest_strategies import HONEST
from tests.research.planted_leaks import HIDDEN, SEEN

PERIOD: dict[str, Any] = {"start": "2025-09-20", "end": "2025-10-20", "symbols": ["BTCUSDT", "ETHUSDT"]}
KINDS = {
    "ReadsFile": "outside", "ReadsClock": "outside", "Unseeded": "not repeatable", "ClassState": "shared state",
    "Remembered": "shared state",
}  # fmt: skip
SHIPPED = ("sma_cross", "breakout", "funding_carry", "momentum_rotation", "maker_grid")


def checked(strategy: type[Strategy] | str, **settings: Any) -> backtest.Check:
    planted_leaks.MEMORY.clear()
    return backtest.check(strategy, "binance-2025", **{**PERIOD, "cuts": 5, **settings})


@pytest.mark.parametrize("strategy", [*SEEN, *HIDDEN], ids=lambda one: one.__name__)
def test_every_planted_leak_is_found(strategy: type[Strategy]) -> None:
    found = checked(strategy)
    assert not found.passed
    first = found.findings[0]
    assert first.kind == KINDS.get(strategy.__name__, "look-ahead")
    assert first.place.startswith("planted_leaks.py:")
    if first.kind == "look-ahead":
        assert first.ts_ms is not None
        line = _line(first.place)
        assert ('"x":' in line) if first.feature else ("def targets" in line)


def _line(place: str) -> str:
    lines = Path(str(planted_leaks.__file__)).read_text(encoding="utf-8").splitlines()
    return lines[int(place.rpartition(":")[2]) - 1]


@pytest.mark.parametrize("strategy", HIDDEN, ids=lambda one: one.__name__)
def test_the_hidden_ones_need_a_replay(strategy: type[Strategy]) -> None:
    assert not any(one.certain for one in scan(strategy))


@pytest.mark.parametrize("strategy", HONEST, ids=lambda one: one.__name__)
def test_no_honest_strategy_is_accused(strategy: type[Strategy]) -> None:
    found = checked(strategy)
    assert found.findings == ()
    assert found.suspicions == ()
    assert len(found.cuts_ms) == 5
    assert len(found.futures_ms) == 2


@pytest.mark.parametrize("strategy", SHIPPED)
def test_no_shipped_strategy_is_accused(strategy: str) -> None:
    found = checked(strategy)
    assert found.findings == ()
    assert found.suspicions == ()


def test_the_command_names_file_line_feature_and_candle(tmp_path: Path) -> None:
    source = (
        "import polars as pl\nfrom backtest import Strategy\n\n\nclass Peek(Strategy):\n    '''Peeks.'''\n\n"
        "    def features(self, candle):\n        return {'next': candle.close.shift(-1)}\n\n"
        "    def on_candle(self, market, account):\n"
        "        for symbol in market.symbols:\n"
        "            account.target(symbol, weight=0.1 * (market.feature('next', symbol) > market.close[symbol]))\n"
    )
    (tmp_path / "peek.py").write_text(source, encoding="utf-8")
    done = _command(tmp_path, "check", "peek.py", "--cuts", "4")
    assert done.returncode == 1
    assert "look-ahead: peek.py:9: feature 'next' of BTCUSDT at 2025-09-" in done.stdout
    assert "look at peek.py:9: shift by a negative number takes later rows" in done.stdout
    assert done.stdout.splitlines()[-1] == "failed: 1 finding in peek.py"
    as_json = json.loads(_command(tmp_path, "check", "peek.py", "--cuts", "4", "--json").stdout)
    assert as_json["findings"][0]["feature"] == "next"
    assert as_json["passed"] is False
    assert list(tmp_path.iterdir()) == [tmp_path / "peek.py"]


def test_a_command_without_findings_passes(tmp_path: Path) -> None:
    done = _command(tmp_path, "check", "sma_cross", "--cuts", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "passed: no look-ahead found in sma_cross"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "sma_cross", "--cuts", "0"), "--cuts"),
        (("check", "sma_cross", "--margin", "cross,isolated"), "--margin"),
    ],
)
def test_wrong_input_is_one_line(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = _command(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def _command(place: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    period = ["--start", "2025-09-20", "--end", "2025-10-20", "--symbols", "BTCUSDT,ETHUSDT", "--data", "binance-2025"]
    line = [sys.executable, "-m", "backtest", command, *arguments, *period]
    return subprocess.run(
        line, cwd=place, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )


class TestResampled:
    """Histories made of other rows (`data.resampled`)."""

    def test_all_rows_in_order_are_the_run_itself(self) -> None:
        whole = plan("sma_cross", "binance-2025", venue="binance_usdm", **PERIOD)
        (record,) = replay(whole, ["cross"], None, None)
        joint = JointCandles.of(whole.selection)
        (again,) = replay(over(whole, joint.history(np.arange(joint.rows))), ["cross"], None, None)
        assert judged(again)[2] == judged(record)[2]

    def test_a_candle_keeps_its_shape_and_follows_the_one_before(self) -> None:
        s = plan("sma_cross", "binance-2025", **PERIOD).selection
        joint = JointCandles.of(s)
        rows = np.array([5, 6, 100, 101, 40])
        found = joint.history(rows)
        old, new = s.candles("BTCUSDT", s.interval_ms), found.candles("BTCUSDT", s.interval_ms)
        taken = old[rows.tolist()]
        for name in ("high", "low", "close"):
            shape = (taken[name] / taken["open"]).to_numpy()
            np.testing.assert_allclose((new[name] / new["open"]).to_numpy(), shape, rtol=1e-12)
        gaps = new["open"].to_numpy()[1:] / new["close"].to_numpy()[:-1]
        before = old["close"].to_numpy()[rows[1:] - 1]
        np.testing.assert_allclose(gaps, taken["open"].to_numpy()[1:] / before, rtol=1e-12)
        assert new["volume"].to_list() == taken["volume"].to_list()
        assert new["ts"].to_list() == old["ts"].to_list()[:5]

    def test_settlements_stay_on_the_clock_with_the_rates_of_their_rows(self) -> None:
        s = plan("sma_cross", "binance-2025", **PERIOD).selection
        joint = JointCandles.of(s)
        found = joint.history(np.full(joint.rows, 9))
        np.testing.assert_array_equal(found.funding[:, :2], s.funding[:, :2])
        due = s.funding[(s.funding[:, 0] >= s.start_ms + 9 * s.interval_ms) & (s.funding[:, 1] == 0)][0, 2]
        assert set(found.funding[found.funding[:, 1] == 0][:, 2]) == {due}

    def test_chunks_do_not_depend_on_their_size(self) -> None:
        s = plan("sma_cross", "binance-2025", **PERIOD).selection
        rows = np.random.default_rng(3).integers(0, s.rows, s.rows)
        found = JointCandles.of(s).history(rows)
        whole = np.concatenate([chunk.panel for chunk in found.chunks(10_000, packed=True)], axis=1)
        parts = [chunk.panel[:, chunk.tail :] for chunk in found.chunks(37, tail=5, packed=True)]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


class ByInterest(Strategy):
    """Trades by a column that is no price."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"change": candle["open_interest"].diff()}

    def on_candle(self, market: Market, account: Account) -> None:
        account.target("BTC-USD", weight=0.1 if market.feature("change", "BTC-USD") > 0 else -0.1)


class TestFurtherColumns:
    """Columns of the candle files beside prices and volume, in other histories and in scenarios."""

    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        small.write(tmp_path)
        # Hundreds of hours, for a correlation and for what scenarios measure before they begin.
        candles = small.candles(300).with_columns(open_interest=(pl.int_range(pl.len()) * 7 % 11).cast(pl.Float64))
        small.put(candles, tmp_path / "market", "candles")
        return tmp_path / "market"

    def test_a_history_takes_them_with_their_rows(self, data: Path) -> None:
        s = plan(ByInterest, data, symbols=["BTC-USD"], allow=("missing-funding",)).selection
        rows = np.array([3, 4, 90, 17])
        found = JointCandles.of(s).history(rows).candles("BTC-USD", s.interval_ms, ("open_interest",))
        assert found["open_interest"].to_list() == [row * 7 % 11 for row in rows.tolist()]

    def test_a_check_and_a_monte_carlo_go_through_with_them(self, data: Path) -> None:
        settings: dict[str, Any] = {"symbols": ["BTC-USD"], "allow": ("missing-funding",)}
        assert backtest.check(ByInterest, data, cuts=3, **settings).passed
        assert backtest.montecarlo(ByInterest, data, paths=1, margin="cross", **settings).frame["error"].to_list() == [
            None
        ]

    def test_a_scenario_leaves_them_as_they_are(self, data: Path, tmp_path: Path) -> None:
        head = '[[scenario]]\nname = "fall"\nat = "start+120h"\n\n'
        pack = head + '[[scenario.price]]\nsymbols = ["BTC-USD"]\nmove = "-10%"\n'
        (tmp_path / "pack.toml").write_text(pack)
        settings: dict[str, Any] = {"symbols": ["BTC-USD"], "allow": ("missing-funding",), "margin": "cross"}
        found = backtest.stress(ByInterest, data, scenario=tmp_path / "pack.toml", **settings)
        assert found.frame["error"].to_list() == [None, None]
        assert found.frame["changed"].to_list() == [None, True]


def test_a_join_of_earlier_rows_is_no_suspicion(tmp_path: Path) -> None:
    source = (
        "import polars as pl\nfrom backtest import Strategy\n\n\nclass Past(Strategy):\n    '''Joins the past.'''\n\n"
        "    def targets(self, candles):\n"
        "        known = candles.select('ts', 'symbol', last='close')\n"
        "        found = candles.join_asof(known, on='ts', by='symbol', strategy='backward')\n"
        "        middle = pl.col('close').rolling_quantile(0.5, interpolation='nearest', window_size=3)\n"
        "        other = found.with_columns(q=middle)\n"
        "        return other.select('ts', 'symbol', target=pl.lit(0.1))\n"
    )
    (tmp_path / "past.py").write_text(source, encoding="utf-8")
    assert scan(load(str(tmp_path / "past.py"))) == []
