"""A script on markets written by hand, over a chain that is made in the test, played up to its record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from backtest import Strategy
from backtest.core.records import Record
from backtest.engine.replay import Replay, to_micro
from backtest.runner.account_runner import AccountRunner, hook_bits
from backtest.runner.plan import plan
from backtest.runner.stream import stream
from backtest.strategy.guards import pack, parse
from backtest.venues.chain import Chain, Latency, Route
from tests.scenarios.scenario import Market, write

BRIDGED = Chain(
    name="bridged",
    deposits=(Route("canonical", Latency(90_000, 90_000)), Route("fast", Latency(20_000, 20_000), 2_000_000, 0.01)),
    withdrawals=(Route("canonical", Latency(210_000, 210_000)), Route("fast", Latency(20_000, 20_000), 500_000)),
)
"""Deposits in 90 s for nothing, or in 20 s for 2 and 1 %; withdrawals in 210 s for nothing, or in 20 s for 0.5."""


def played(
    folder: Path,
    strategy: Strategy,
    *markets: Market,
    chain: Chain = Chain(),  # noqa: B008  a frozen value
    reserve: float = 0.0,
    guards: tuple[str, ...] = (),
    margin: str = "cross",
    interval: str = "1m",
    chunk_rows: int | None = None,
    **settings: Any,
) -> Record:
    """The record of one account; what the strategy heard it has to write down itself."""
    settings = {"allow": ("missing-funding",), "cash": 100_000, **settings}
    planned = plan(strategy, write(folder, *markets, interval=interval), **settings)
    planned.strategy.bind(planned.config.seed)
    setup = replace(
        planned.setup(margin), chain=chain, reserve=to_micro(reserve), seed=planned.config.seed, guard_names=guards
    )
    watched = tuple(parse(text) for text in guards)
    packed = pack(watched, setup.symbols, setup.cash, {margin}, setup.reserve)
    account = Replay(
        replace(setup, guards=packed), hook_bits(strategy), planned.decisions.targets, planned.decisions.target_kind
    )
    player = AccountRunner(planned.strategy, account, planned.decisions)
    stream(planned.selection, [player], None, chunk_rows)
    return player.record(dict(planned.selection.counts))
