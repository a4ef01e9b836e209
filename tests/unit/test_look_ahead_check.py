"""The look-ahead check of every run: what uses later data is named, above the results; what does not costs little."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

import backtest
from backtest import Account, Candle, Market, Strategy

PERIOD = {"start": "2025-09-20", "end": "2025-10-20", "symbols": ["BTCUSDT", "ETHUSDT"]}


class Follows(Strategy):
    """Is long above a trailing average, short below."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"mean": candle.close.rolling_mean(12)}

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol in market.symbols:
            side = 1 if market.close[symbol] > market.feature("mean", symbol) else -1
            account.target(symbol, weight=0.2 * side)


class Normalised(Follows):
    """Normalises by the whole sample."""

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {
            "mean": candle.close.rolling_mean(12),
            "z": (candle.close - candle.close.mean()) / candle.close.std(),
        }


class Targets(Strategy):
    """Decides by the next candle's close."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        move = pl.col("close").shift(-1).over("symbol") / pl.col("close") - 1
        return candles.select("ts", "symbol", target=0.2 * move.sign()).filter(pl.col("target").is_finite())


SEEN: list[float] = []


class Remembers(Follows):
    """Trades by what an earlier account saw."""

    def on_candle(self, market: Market, account: Account) -> None:
        SEEN.append(market.close["BTCUSDT"])
        if len(SEEN) > 500:
            account.target("BTCUSDT", weight=0.1)


def looked(strategy: type[Strategy], **settings: object) -> backtest.Result:
    return backtest.run(strategy, "binance-2025", **PERIOD, **settings)  # type: ignore[arg-type]


def test_a_strategy_of_past_data_passes() -> None:
    result = looked(Follows)
    assert result.summary["look_ahead"]["passed"] is True
    assert result.summary["look_ahead"]["found"] == []
    assert not any("later data" in text for text in result.summary["warnings"])


@pytest.mark.parametrize(
    ("strategy", "said"), [(Normalised, "feature 'z' of BTCUSDT at 2025-09-20T01:00Z"), (Targets, "target of ")]
)
def test_one_of_later_data_is_named_above_the_results(strategy: type[Strategy], said: str, tmp_path: Path) -> None:
    result = looked(strategy, out=str(tmp_path / "report"))
    assert result.summary["look_ahead"]["passed"] is False
    (first, *_) = result.summary["look_ahead"]["found"]
    assert said in first
    assert first.startswith(f"{Path(__file__).name}:")
    assert result.summary["warnings"][0] == f"the strategy uses later data ({first})"
    assert "The strategy uses later data" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_the_line_is_that_of_the_feature() -> None:
    place = looked(Normalised).summary["look_ahead"]["found"][0].partition(": ")[0]
    line = Path(__file__).read_text(encoding="utf-8").splitlines()[int(place.rpartition(":")[2]) - 1]
    assert line.strip().startswith('"z":')


def test_state_that_outlives_an_account_shows_in_its_orders() -> None:
    SEEN.clear()
    (first, *_) = looked(Remembers).summary["look_ahead"]["found"]
    assert ": order of BTCUSDT at " in first


def test_every_mode_of_a_comparison_tells_of_it() -> None:
    done = backtest.compare(Targets, "binance-2025", margin=["isolated", "cross"], **PERIOD)
    assert [one.summary["look_ahead"]["passed"] for one in done.results] == [False, False]


def test_without_it_results_are_the_same() -> None:
    plain = looked(Follows, check=False)
    assert "look_ahead" not in plain.summary
    assert plain.digest == looked(Follows).digest


def test_what_it_prints_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    class Loud(Follows):
        """Prints."""

        def on_start(self, market: Market, account: Account) -> None:
            sys.stdout.write("begun\n")

    looked(Loud)
    assert capfd.readouterr().out == "begun\n"


def test_few_candles_are_not_checked() -> None:
    short = backtest.run(Follows, "binance-2025", start="2025-10-01", end="2025-10-03")
    assert short.summary["look_ahead"] == {
        "passed": None,
        "cut_ms": None,
        "found": [],
        "reason": "the run has fewer than 100 candles",
    }
