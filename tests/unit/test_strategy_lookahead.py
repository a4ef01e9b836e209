"""No look-ahead: what a strategy saw up to a time does not depend on what came after it.

A strategy writes down every value that market and account show it, in every hook, and trades on them. It runs on the
whole data and on data that end at several points; up to each point both must have seen the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backtest
from backtest import Strategy
from tests.scenarios.scenario import INTERVALS, START, Market, Row, Tape, write

EVERY = INTERVALS["5m"]
NAMES = ("BTC", "ETH", "SOL", "XRP")


class Witness(Strategy):
    """Writes down all there is to see, and trades on a good part of it."""

    lookback = 7

    def __init__(self) -> None:
        super().__init__()
        self.market, self.market_in_hooks, self.account = Tape(), Tape(), Tape()

    def features(self, candle: Any) -> dict[str, Any]:
        mean = candle.close.rolling_mean(4)
        return {"above": candle.close / mean - 1, "noise": candle.close.log().diff().rolling_std(3) * candle.volume}

    def on_candle(self, market: Any, account: Any) -> None:
        self.market.append((market.now_ms, picture(market)))
        self.account.append((market.now_ms, belongings(account)))
        for symbol in market.symbols:
            premium = market.mark[symbol] / market.close[symbol] - 1
            rate = np.nan_to_num(market.funding_rate[symbol])
            pull = market.feature("above", symbol) * 300 + premium * 100 - rate * 50
            account.target(symbol, weight=float(np.clip(round(pull, 1), -1.5, 1.5)))

    def hear(self, event: Any, market: Any, account: Any) -> None:
        self.market_in_hooks.append((market.now_ms, picture(market)))
        self.account.append((market.now_ms, repr(event) + belongings(account)))

    on_fill = on_funding = on_liquidation = on_margin_call = hear


def picture(market: Any) -> str:
    """All that the market shows."""
    seen: list[Any] = [market.now, market.symbols, market.sequencer_up]
    for name in NAMES:
        fields = (market.open, market.high, market.low, market.close, market.volume, market.mark, market.funding_rate)
        seen += [field[name] for field in fields]
        seen += [market.feature(feature, name) for feature in ("above", "noise")]
        seen += [market.history(name, field, 7).tolist() for field in ("open", "high", "low", "close", "volume")]
    return repr(seen)


def belongings(account: Any) -> str:
    """All that the account shows."""
    seen = [account.equity, account.wallet, account.initial_margin, account.maintenance_margin, account.margin_ratio]
    seen += [account.free_collateral, account.leverage, account.reserve, account.positions, account.orders]
    return repr([*seen, *(account.position(name) for name in NAMES)])


def invented(rows: int, seed: int, mark_rows: int, gaps: bool = True) -> list[Market]:
    """Four markets with a premium that wanders; SOL is listed late, XRP has gaps, and funding comes inside candles."""
    rng = np.random.default_rng(seed)
    markets = []
    for n, name in enumerate(NAMES):
        closes = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.004, rows)))
        candles: list[Row] = []
        last = 1_000.0
        for close in np.round(closes, 3).tolist():
            up, down = rng.uniform(0, 0.003, 2)
            high, low = round(max(last, close) * (1 + up), 3), round(min(last, close) * (1 - down), 3)
            candles.append((last, high, low, close))
            last = close
        basis = 1 + rng.normal(0, 0.002, rows + 1)
        mark: list[Row] = []
        for k in range(0, rows, mark_rows):
            inside: Any = candles[k : k + mark_rows]
            opened, closed = inside[0][0] * basis[k], inside[-1][3] * basis[min(k + mark_rows, rows)]
            high = max(opened, closed, max(c[1] for c in inside) * 1.0005)
            mark.append((opened, high, min(opened, closed, min(c[2] for c in inside) * 0.9995), closed))
        if name == "SOL":
            candles[:30] = [None] * 30
        if name == "XRP" and gaps:
            candles[20:23] = candles[70:73] = [None] * 3
        funding = {
            k + 0.2 * n: float(rate) for k, rate in zip(range(2, rows, 9), rng.normal(0, 0.0003, rows), strict=False)
        }
        volume = rng.uniform(1, 5, rows).round(2).tolist()
        markets.append(Market(name, candles, mark, mark_rows, funding, volume=volume))
    return markets


def cut(markets: Sequence[Market], at: int) -> list[Market]:
    """What was known at the open of row `at`: of a mark candle that is still open, its open."""
    known: list[Market] = []
    for market in markets:
        whole, open_rows = divmod(at, market.mark_rows)
        mark: list[Row] = list((market.mark or [])[: whole + (open_rows > 0)])
        if open_rows:
            mark[-1] = mark[-1][0] if isinstance(mark[-1], tuple) else mark[-1]
        funding = {row: rate for row, rate in market.funding.items() if row < at}
        known.append(replace(market, candles=market.candles[:at], mark=mark, funding=funding))
    return known


def until(tape: Tape, row: int) -> list[tuple[int, str]]:
    """What was written up to the open of a row."""
    return [page for page in tape if page[0] <= START + row * EVERY]


def witnessed(folder: Path, markets: Sequence[Market], every: str | None, margin: str) -> Witness:
    witness = Witness()
    witness.every = every
    data = write(folder, *markets, interval="5m")
    backtest.run(witness, data, margin=margin, leverage=8, latency_ms=400_000, fee_bps=3, allow=("missing-funding",))
    return witness


CUTS = (31, 45, 69, 84, 100, 155)
"""In the middle of hours and at their ends; after SOL's first candle, outside of XRP's gaps (a market whose data end
in a gap has ended before it, which is another story)."""


def expect_the_same_market(folder: Path, markets: Sequence[Market], every: str | None) -> None:
    whole = witnessed(folder / "whole", markets, every, "cross")
    in_hooks = dict(whole.market_in_hooks)
    for at in CUTS:
        part = witnessed(folder / str(at), cut(markets, at), every, "cross")
        assert part.market == until(whole.market, at)
        # Fills may differ where a mark is derived from marks still to come; what is shown at one instant may not.
        shared = [(now, seen) for now, seen in part.market_in_hooks if now in in_hooks]
        assert [(now, in_hooks[now]) for now, _ in shared] == shared
        assert at < 60 or min(len(part.market), len(shared)) > 1


@pytest.mark.parametrize("every", [None, "1h"])
@pytest.mark.parametrize("mark_rows", [1, 12])
def test_nothing_of_the_market_comes_from_later(tmp_path: Path, mark_rows: int, every: str | None) -> None:
    expect_the_same_market(tmp_path, invented(200, 2, mark_rows, gaps=mark_rows == 1), every)


@pytest.mark.parametrize("every", [None, "1h"])
def test_nor_does_the_mark_in_a_gap_where_marks_are_coarse(tmp_path: Path, every: str | None) -> None:
    expect_the_same_market(tmp_path, invented(200, 2, 12), every)


@pytest.mark.parametrize("every", [None, "1h"])
@pytest.mark.parametrize(("mark_rows", "margin"), [(1, "cross"), (1, "isolated"), (12, "cross")])
def test_nothing_of_the_account_comes_from_later(
    tmp_path: Path, mark_rows: int, margin: str, every: str | None
) -> None:
    markets = invented(200, 2, mark_rows)
    if mark_rows > 1:
        # Money that changes hands inside a coarse mark candle does so at a derived mark, which knows where the mark
        # goes (rules.md, 3.1): funding, and what a fill posts in isolated margin. That is the market, not a view.
        markets = [replace(market, funding={}) for market in markets]
    whole = witnessed(tmp_path / "whole", markets, every, margin)
    for at in CUTS:
        part = witnessed(tmp_path / str(at), cut(markets, at), every, margin)
        assert part.account == until(whole.account, at)
        assert at < 60 or len(part.account) > 1


@pytest.mark.parametrize("margin", ["cross", "isolated"])
@pytest.mark.parametrize("mark_rows", [1, 12])
def test_the_end_of_the_period_changes_nothing_before_it(tmp_path: Path, mark_rows: int, margin: str) -> None:
    # With --to the data go on behind the end of the run, and marks are derived the same.
    data = write(tmp_path, *invented(200, 2, mark_rows, gaps=mark_rows == 1), interval="5m")
    settings: dict[str, Any] = {"margin": margin, "leverage": 8, "latency_ms": 400_000, "allow": ("missing-funding",)}
    whole = Witness()
    backtest.run(whole, data, **settings)
    for at in CUTS:
        part = Witness()
        backtest.run(part, data, end=START + at * EVERY, **settings)
        assert part.account == until(whole.account, at)
        assert part.market == until(whole.market, at)


class Holder(Strategy):
    """Buys once and looks at what it has."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Tape()

    def on_candle(self, market: Any, account: Any) -> None:
        if market.now_ms == START + EVERY:
            account.buy("BTC", 10)
        held = account.position("BTC")
        own = account.equity, account.free_collateral, held.mark, held.notional, held.unrealized, held.liquidation_price
        self.seen.append((market.now_ms, repr((market.mark["BTC"], own))))


def test_nor_what_is_held_is_worth_where_marks_are_coarse(tmp_path: Path) -> None:
    markets = [replace(invented(60, 2, 12)[0], funding={})]
    seen = []
    for data in (markets, cut(markets, 31)):
        holder = Holder()
        backtest.run(holder, write(tmp_path / str(len(seen)), *data, interval="5m"), allow=("missing-funding",))
        seen.append(until(holder.seen, 31))
    assert len(seen[0]) == 31
    assert seen[0] == seen[1]
