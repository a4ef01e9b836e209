"""Invented plays: the reference keeps its books on them, and what is written to disk is what was invented."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings

from tests.markets import plays, write_dataset
from tests.reference.engine import play
from tests.reference.market import Candle, Config, Play, Symbol, Venue
from tests.reference.outcome import Liquidation, Outcome

MINUTE = 60_000
few = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@few
@given(plays())
def test_books_balance(market: Play) -> None:
    outcome = play(market)
    flows = sum(f.quote - f.fee for f in outcome.fills) + sum(f.payment for f in outcome.funding)
    flows += sum(x.bad_debt - x.penalty for x in outcome.liquidations)
    assert outcome.wallet + sum(outcome.pools.values()) == market.config.cash_micro + flows
    for name, lots in outcome.lots.items():
        assert lots == sum(f.lots for f in outcome.fills if f.symbol == name)
        assert lots != 0 or outcome.pools[name] == 0
    if market.config.margin == "isolated":
        assert outcome.wallet >= 0
    else:
        assert outcome.moves == []
    assert all(f.ts <= g.ts for f, g in pairwise(outcome.fills) if market.config.margin == "cross")
    assert all(x.equity_before < x.maintenance_before + 2 for x in first_rows(outcome))
    assert play(market) == outcome


@few
@given(plays())
def test_missing_settlements_are_those_that_a_feed_would_infer(market: Play) -> None:
    for symbol in market.symbols:
        start, end = symbol.first_ms, symbol.last_ms + market.interval_ms
        known = [ts for ts, rate in symbol.funding if rate is not None]
        missing = [ts for ts, rate in symbol.funding if rate is None]
        assert inferred(known, start, end) == missing
        assert inferred([ts for ts in known if start <= ts < end], start, end) == missing


def test_dataset_on_disk(tmp_path: Path) -> None:
    trades = {0: Candle(1.5, 1.5, 1.5, 1.5), 2 * MINUTE: Candle(2.0, 3.0, 1.0, 2.5)}
    marks = {0: Candle(1.25, 1.25, 1.25, 1.25)}
    symbol = Symbol("BTC", 1_000, trades, marks, 5 * MINUTE, [(7, 0.25), (9, None)])
    write_dataset(Play([symbol], MINUTE, Venue({}, 0.0), Config(0)), tmp_path)
    assert (tmp_path / "dataset.toml").read_text().splitlines()[-2:] == ["step = 0.001", 'mark_interval = "5m"']
    table = pq.read_table(tmp_path / "candles" / "symbol=BTC" / "part.parquet").to_pydict()
    assert [ts.timestamp() for ts in table["ts"]] == [0.0, 120.0]
    assert [table[name] for name in ("open", "high", "low", "close")] == [
        [1.5, 2.0],
        [1.5, 3.0],
        [1.5, 1.0],
        [1.5, 2.5],
    ]
    assert pq.read_table(tmp_path / "mark" / "symbol=BTC" / "part.parquet")["open"].to_pylist() == [1.25]
    assert pq.read_table(tmp_path / "funding" / "symbol=BTC" / "part.parquet")["rate"].to_pylist() == [0.25]


def first_rows(outcome: Outcome) -> list[Liquidation]:
    """The first row of each liquidation of a pool, where equity has just fallen below maintenance."""
    seen: set[tuple[int, str]] = set()
    rows = []
    for row in outcome.liquidations:
        if row.stage == "whole" and (row.ts, row.pool) not in seen:
            seen.add((row.ts, row.pool))
            rows.append(row)
    return rows


def inferred(stamps: list[int], start: int, end: int) -> list[int]:
    """Stamps that ought to be there: a gap is held against the median of the four gaps on either side and itself."""
    gaps = [b - a for a, b in pairwise(stamps)]
    if not gaps:
        return []
    expected = [median(gaps[max(0, i - 4) : i + 5]) for i in range(len(gaps))]
    found = []
    for i, gap in enumerate(gaps):
        if gap > 1.5 * expected[i]:
            found += [stamps[i] + k * gap // round(gap / expected[i]) for k in range(1, round(gap / expected[i]))]
    before, after = stamps[0] - expected[0], stamps[-1] + expected[-1]
    while before >= start:
        found, before = [int(before), *found], before - expected[0]
    while after < end:
        found, after = [*found, int(after)], after + expected[-1]
    return [ts for ts in found if start <= ts < end]
