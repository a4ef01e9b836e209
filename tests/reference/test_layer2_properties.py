"""What holds on any chain: nothing happens in a halt, nothing comes early, money is not made, a slower rescue is no
better."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest.core.enums import Cause, Reason
from backtest.core.records import Record
from backtest.results import ledger
from backtest.venues.chain import Chain, Gas, Latency, Outage, Route, Rule
from tests.scenarios.chained import played
from tests.scenarios.scenario import START, Market, Script

ROWS = 30
MINUTE = 60_000
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def walk(seed: int, rows: int = ROWS) -> list[tuple[float, float, float, float]]:
    """Wild candles, each beginning near the end of the one before."""
    rng = np.random.default_rng(seed)
    candles, price = [], 100.0
    for _ in range(rows):
        opened = price * float(np.exp(rng.normal(0, 0.01)))
        price = opened * float(np.exp(rng.normal(0, 0.05)))
        high = max(opened, price) * float(np.exp(abs(rng.normal(0, 0.02))))
        low = min(opened, price) * float(np.exp(-abs(rng.normal(0, 0.02))))
        candles.append((opened, high, low, price))
    return candles


class Busy(Script):
    """Sends something at every close, by a seed: market and limit orders, stops, cancels, transfers."""

    def __init__(self, seed: int) -> None:
        super().__init__({}, MINUTE)
        self.seed = seed

    def on_start(self, market: Any, account: Any) -> None:
        self.draws = np.random.default_rng(self.seed)

    def on_candle(self, market: Any, account: Any) -> None:
        price, qty = market.close["BTC"], float(self.draws.integers(1, 400))
        away = price * float(np.exp(self.draws.normal(0, 0.05)))
        act = int(self.draws.integers(0, 8))
        if act < 2:
            account.buy("BTC", qty)
        elif act < 4:
            account.sell("BTC", qty)
        elif act == 4:
            account.buy("BTC", qty, limit=away)
        elif act == 5:
            account.sell("BTC", qty, stop=min(away, price * 0.99))
        elif act == 6:
            account.cancel_all()
        else:
            account.top_up(qty)
            account.withdraw(qty / 2)


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """A chain with one or two outages inside the run."""
    starts = sorted(draw(st.lists(st.integers(MINUTE, (ROWS - 8) * MINUTE), min_size=1, max_size=2, unique=True)))
    lengths = [draw(st.integers(1, 6 * MINUTE)) for _ in starts]
    outages: list[Outage] = []
    for start, length in zip(starts, lengths, strict=True):
        begin = max(start, outages[-1].end_ms - START + 1 if outages else 0)
        outages.append(Outage(START + begin, START + begin + length))
    latency = draw(st.sampled_from([Latency(), Latency(300, 300), Latency(2_000, 60_000)]))
    route = (Route("only", draw(st.sampled_from([Latency(), Latency(90_000, 400_000)])), 500_000, 0.001),)
    return Chain(
        name="drawn",
        network=latency,
        block_ms=draw(st.sampled_from([0, 250, 7_000])),
        rule=draw(st.sampled_from(list(Rule))),
        ttl_ms=draw(st.sampled_from([0, 60_000])),
        backlog=draw(st.sampled_from([0.0, 0.3])),
        grace_ms=draw(st.sampled_from([0, 100_000])),
        stale_ms=draw(st.sampled_from([0, 45_000])),
        gate_ms=draw(st.sampled_from([0, 60_000])),
        reorg_ms=draw(st.sampled_from([0, 30_000])),
        deposits=route,
        withdrawals=route,
        gas=draw(st.sampled_from([(), (Gas(0, 20_000, 10_000, 30_000, 40_000),)])),
        outages=tuple(outages),
    )


def busy(seed: int, chain: Chain) -> Record:
    with tempfile.TemporaryDirectory() as folder:
        return played(Path(folder), Busy(seed), Market("BTC", walk(seed)), chain=chain, reserve=5_000, cash=10_000)


@SETTINGS
@given(seed=st.integers(0, 10_000), chain=chains())
def test_nothing_is_executed_in_a_halt_and_nothing_comes_early(seed: int, chain: Chain) -> None:
    record = busy(seed, chain)
    ordered = record.fills[(record.fills["order_id"] >= 0) & (record.fills["cause"] != Cause.REORG)]
    for outage in chain.outages:
        for times, end in (
            (ordered["ts_ms"], outage.end_ms),
            (record.liquidations["ts_ms"], outage.end_ms + chain.grace_ms),
        ):
            assert not ((times > outage.start_ms) & (times < end)).any()
    orders = record.orders[(record.orders["ts_arrived_ms"] >= 0)]
    assert (orders["ts_arrived_ms"] >= orders["ts_sent_ms"]).all()
    if chain.block_ms:
        assert (orders["ts_arrived_ms"] % chain.block_ms == 0).all()
    lost = record.orders[record.orders["reason"] == Reason.OUTAGE]
    assert chain.rule != Rule.WAIT or not len(lost)


@SETTINGS
@given(seed=st.integers(0, 10_000), chain=chains())
def test_money_changes_only_by_profit_fees_and_gas(seed: int, chain: Chain) -> None:
    record = busy(seed, chain)
    ledger.balance(record)  # to the micro, or it fails
    closed = record.final_wallet + record.final_reserve + record.final_in_flight
    profit = int(record.fills["quote"].sum() - record.fills["fee"].sum() + record.funding["payment"].sum())
    others = int(record.liquidations["bad_debt"].sum() - record.liquidations["insurance"].sum())
    paid = int(record.gas["amount"].sum() + record.transfers["fee"].sum())
    assert closed == record.cash + record.reserve + profit + others - paid


@SETTINGS
@given(seed=st.integers(0, 10_000), delay=st.integers(0, 10 * MINUTE), more=st.integers(1, 10 * MINUTE))
def test_a_longer_deposit_saves_no_account_that_a_shorter_one_loses(seed: int, delay: int, more: int) -> None:
    def lost(ms: int) -> bool:
        chain = Chain(name="bridge", deposits=(Route("only", Latency(ms, ms)),))
        steps = {0: lambda _, account: account.buy("BTC", 900.0), 1: lambda _, account: account.top_up(5_000)}
        with tempfile.TemporaryDirectory() as folder:
            market = Market("BTC", walk(seed))
            record = played(Path(folder), Script(steps, MINUTE), market, chain=chain, reserve=5_000, cash=10_000)
        return len(record.liquidations) > 0

    assert lost(delay + more) or not lost(delay)
