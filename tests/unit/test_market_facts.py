"""What `market` says of funding, of the venue's mark and of its oracle, and further columns in `features`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backtest
from backtest import Candle, Strategy, UserError
from tests.scenarios.scenario import MINUTE, START, Market, Script, Tape, write

FUNDING = {2: 0.001, 5: 0.002, 8: -0.001}


def watched(folder: Path, look: Any, *markets: Market, **settings: Any) -> list[Any]:
    """What ``look(market)`` gives at every close."""
    seen = Tape()
    steps = {k: lambda market, account: seen.append(look(market)) for k in range(len(markets[0].candles))}
    backtest.run(
        Script(steps, MINUTE), write(folder, *markets), allow=("missing-funding",), mark_cost=False, **settings
    )
    return list(seen)


def test_funding_is_known_when_it_has_been_settled(tmp_path: Path) -> None:
    """At the close of row 1, which is the settlement of row 2, it has not been; the next is told by the last two."""
    market = Market("X", [100.0] * 12, funding=FUNDING)
    past = watched(tmp_path / "a", lambda m: [(s.ts_ms - START, s.rate) for s in m.funding_history("X", 2)], market)
    at = [(row * MINUTE, rate) for row, rate in FUNDING.items()]
    assert past == [[]] * 2 + [at[:1]] * 3 + [at[:2]] * 3 + [at[1:]] * 4
    due = watched(tmp_path / "b", lambda m: m.next_funding_ms("X"), market)
    assert due[:5] == [None] * 5
    assert [(ts - START) / MINUTE for ts in due[5:]] == [8, 8, 8, 11, 11, 11, 14]


def test_the_mark_of_the_venue_is_as_late_as_its_oracle(tmp_path: Path) -> None:
    market = Market("X", [(100.0 + k, 101.0 + k, 100.0 + k, 101.0 + k) for k in range(8)])
    plain = watched(tmp_path / "a", lambda m: (m.mark["X"], m.venue_mark["X"], m.oracle_age_ms["X"]), market)
    assert plain == [(101.0 + k, 101.0 + k, 0) for k in range(8)]
    late = watched(tmp_path / "b", lambda m: m.venue_mark["X"], market, oracle=["delay=2m"])
    assert late[2:] == [99.0 + k for k in range(2, 8)]
    ages = watched(tmp_path / "c", lambda m: m.oracle_age_ms["X"], market, oracle=["heartbeat=3m"])
    assert set(ages) <= {0, MINUTE, 2 * MINUTE, 3 * MINUTE}
    assert max(ages) > 0


class Interest(Strategy):
    """Writes down what it sees of the open interest."""

    def __init__(self, seen: Tape, every: str | None, name: str) -> None:
        super().__init__()
        self.seen, self.every, self.name = seen, every, name

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {"interest": candle[self.name], "move": candle.close - candle.open}

    def on_candle(self, market: Any, account: Any) -> None:
        self.seen.append((market.now_ms - START, market.feature("interest", "X")))


@pytest.mark.parametrize(("every", "rows"), [(None, (1, 2, 4, 5, 6)), ("2m", (2, 4, 6))])
def test_further_columns_of_the_files_are_features(tmp_path: Path, every: str | None, rows: tuple[int, ...]) -> None:
    """The value of row 2 is null: the market is not ready then. Of two minutes it is that of the second."""
    data = write(tmp_path, Market("X", [100.0 + k for k in range(6)]))
    (file,) = (data / "candles").rglob("*.parquet")
    values = pa.array([None if k == 2 else -10.0 * k for k in range(6)])
    pq.write_table(pq.read_table(file).append_column("open interest", values), file)
    seen = Tape()
    backtest.run(Interest(seen, every, "open interest"), data, allow=("missing-funding",))
    assert seen == [(row * MINUTE, -10.0 * (row - 1)) for row in rows]
    with pytest.raises(UserError, match="no column 'index'"):
        backtest.run(Interest(seen, every, "index"), data, allow=("missing-funding",))


@pytest.mark.parametrize("ask", [lambda m: m.funding_history("X", 0), lambda m: m.venue_mark["Y"]])
def test_what_the_market_cannot_say_is_an_error(tmp_path: Path, ask: Any) -> None:
    with pytest.raises(backtest.RunError):
        watched(tmp_path, ask, Market("X", [100.0] * 3))
