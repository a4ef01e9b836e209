"""A strategy that is offline, and a person who steps in, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import Result, Strategy, UserError
from tests.scenarios.scenario import MINUTE, Market, Script, Tape, column, rows, write

MARKET = Market("X", [100.0, 100.0, 100.0, 95.0, 90.0, 90.0, 92.0, 92.0, 92.0, 92.0])
"""The positions lose most from the close of row 2 to that of row 4."""
AT = "2024-03-01T00:0{}"


class Targets(Strategy):
    """Holds as many units as the candle's number, decided at once."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        return candles.select("ts", "symbol", qty=pl.col("ts").dt.minute().cast(pl.Float64) + 1)


class Climb(Strategy):
    """The same, candle by candle, or of two."""

    def __init__(self, every: str | None = None) -> None:
        super().__init__()
        self.every = every

    def on_candle(self, market: Any, account: Any) -> None:
        account.target("X", qty=market.now.minute)


def run(folder: Path, strategy: Strategy, **settings: Any) -> Result:
    return backtest.run(strategy, write(folder, MARKET), allow=("missing-funding",), **settings)


@pytest.mark.parametrize("strategy", [Targets(), Climb()])
def test_nothing_is_decided_while_the_strategy_is_offline(tmp_path: Path, strategy: Strategy) -> None:
    """The closes at 00:03 and 00:04 are not decided on; at 00:05 two units are missing, and one more."""
    made = run(tmp_path, strategy, offline=["2m@" + AT.format(3)])
    assert rows(made, "fills", "ts", "qty") == [
        (1 * MINUTE, 1.0), (2 * MINUTE, 1.0), (5 * MINUTE, 3.0),
        *((row * MINUTE, 1.0) for row in range(6, 10)),
    ]  # fmt: skip
    assert any("offline from 2024-03-01T00:03" in note for note in made.summary["notes"])


def test_the_worst_time_to_be_offline_is_found(tmp_path: Path) -> None:
    """With a unit per candle the two minutes from 00:03 on cost most: 3 × 10."""
    made = run(tmp_path, Climb(), offline=["2m@worst"])
    assert made.digest == run(tmp_path / "b", Climb(), offline=["2m@" + AT.format(3)]).digest


@pytest.mark.parametrize("strategy", [Targets(), Climb(), Climb("2m")])
def test_somebody_closes_all_by_hand_and_stops(tmp_path: Path, strategy: Strategy) -> None:
    """All that is held at the close of 00:05 is sold at the next open; the strategy goes on, or it does not."""
    goes_on = run(tmp_path / "a", strategy, override=[AT.format(5) + ",close-all"])
    stopped = run(tmp_path / "b", strategy, override=[AT.format(5) + ",stop"])
    fills = rows(stopped, "fills", "ts", "qty")
    held = sum(qty for ts, qty in fills if ts < 5 * MINUTE)
    assert fills[-1] == (5 * MINUTE, -held)
    assert rows(goes_on, "fills", "ts", "qty")[: len(fills)] == fills or (5 * MINUTE, -held) in rows(
        goes_on, "fills", "ts", "qty"
    )
    assert len(rows(goes_on, "fills", "ts")) > len(fills)


def test_what_happens_meanwhile_is_heard_afterwards(tmp_path: Path) -> None:
    heard = Tape()

    class Hears(Script):
        def on_fill(self, fill: Any, market: Any, account: Any) -> None:
            heard.append((fill.ts_ms - 1_709_251_200_000, market.now.minute))

    script = Hears({1: lambda market, account: account.buy("X", 1, limit=97.0)}, MINUTE)
    made = backtest.run(
        script, write(tmp_path, MARKET), allow=("missing-funding",), offline=["4m@" + AT.format(3)],
        override=[AT.format(8) + ",cancel-all"],
    )  # fmt: skip
    assert column(made, "fills", "ts") == [3 * MINUTE]
    assert heard == [(3 * MINUTE, 7)]


@pytest.mark.parametrize(
    "settings",
    [
        {"offline": ["2h"]}, {"offline": ["x@worst"]}, {"offline": ["2h@worst", "1h@worst"]},
        {"offline": ["2m@2025-01-01"]}, {"override": ["close-all"]}, {"override": [AT.format(3) + ",sell"]},
        {"override": ["2023-01-01,stop"]},
    ],
)  # fmt: skip
def test_what_nobody_can_do_is_said(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(settings))):
        run(tmp_path, Climb(), **settings)
