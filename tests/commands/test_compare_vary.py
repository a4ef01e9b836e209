"""`compare --vary`: one account for every combination, each as `run` has it, from one pass over the data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import Account, Market, Strategy, UserError
from backtest.data.selection import Selection

DATA: dict[str, Any] = {
    "data": "binance-2025",
    "symbols": "BTCUSDT,ETHUSDT",
    "start": "2025-10-09",
    "end": "2025-10-12",
}
VARY = {"venue": ["dydx_v4", "hyperliquid"], "leverage": [5, 10]}


class Hold(Strategy):
    """Long the first market, short the second."""

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol, weight in zip(market.symbols, (3.0, -1.0), strict=True):
            account.target(symbol, weight=weight)


def test_each_account_is_that_of_a_run_and_the_data_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, chunks = [], Selection.chunks

    def counted(self: Selection, *given: Any, **named: Any) -> Iterator[Any]:
        passes.append(1)
        return chunks(self, *given, **named)

    monkeypatch.setattr(Selection, "chunks", counted)
    found = backtest.compare(Hold, **DATA, vary=VARY, margin=("isolated", "cross"))
    assert len(passes) == 1
    assert len(found.results) == 8
    for label, varied in found.summary["varied"].items():
        alone = backtest.run(Hold, **DATA, check=False, **varied)  # type: ignore[arg-type]
        assert found[label].digest == alone.digest


def test_accounts_part_at_the_first_difference() -> None:
    found = backtest.compare(Hold, **DATA, vary={"leverage": [5, 10], "fee_bps": [1, 2]}, margin="cross")
    (leverage, *_), labels = found.summary["partings"][1:], [one["label"] for one in found.summary["partings"]]
    assert labels == ["leverage=5-fee_bps=2", "leverage=10-fee_bps=1", "leverage=10-fee_bps=2"]
    # cross margin is liquidated by maintenance, which leverage does not change
    assert (leverage["ts_ms"], leverage["by"]) == (None, None)
    first = found.summary["partings"][0]
    fills = found["leverage=5-fee_bps=1"].tables["fills"]
    assert (first["by"], first["ts_ms"]) == ("fill", int(fills["ts"].to_physical()[0]))


def test_strategies_vary_and_the_report_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from backtest import Strategy\n\n\nclass Mine(Strategy):\n    def on_candle(self, market, account):\n"
        "        account.target('BTCUSDT', weight=0.5)\n"
    )
    found = backtest.compare(**DATA, vary={"strategy": "mine.py,sma_cross"}, margin="cross", out=tmp_path / "out")
    assert [one.label for one in found.results] == ["mine", "sma_cross"]
    assert backtest.verify(tmp_path / "out").ok
    assert "Best:" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ({"margin": ["isolated", "cross"]}, "margin modes are not varied"),
        ({"leverage": [5]}, "one account"),
        ({"leverge": [5, 10]}, "did you mean 'leverage'?"),
        ({"leverage": "2:10"}, "has no step"),
        ({"leverage": [5, 5]}, "twice"),
        ({"cash": [10, 20], "seed": list(range(40))}, "80 accounts"),
        ({"strategy": "a.py,b.py"}, "is given and varied"),
    ],
)
def test_what_cannot_vary_is_one_line(vary: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        backtest.compare(Hold, **DATA, vary=vary, margin="cross")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
