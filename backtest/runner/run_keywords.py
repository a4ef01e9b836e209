"""Keyword arguments of the public functions, so that editors complete them and type checkers check them.

Made of `RunSettings` by `python -m tests.docs.reference`: edit `settings.py`, then run that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict


class SharedKeywords(TypedDict, total=False):
    """Settings that every function has."""

    symbols: str | Sequence[str] | None
    """Markets to replay, separated by commas."""
    start: int | str | dt.date | dt.datetime | None
    """Start of the period: a date or an ISO time, UTC, inclusive."""
    end: int | str | dt.date | dt.datetime | None
    """End of the period: a date or an ISO time, UTC, exclusive."""
    interval: int | str | None
    """Replay candles of this length, resampled from the dataset's."""
    path: Literal["coherent", "worst", "best"]
    """Price path inside a candle: coherent, worst or best."""
    allow: str | Sequence[str]
    """Run in spite of missing data: missing-funding."""
    seed: int
    """Random seed for the strategy, latency and outages."""
    params: Mapping[str, object]
    """Parameter of the strategy; a sweep also takes 5:50:5 and 20,50,100; with several strategies 2.NAME=VALUE
    sets that of the second only."""
    venue: str | Path | None
    """Venue: a name or alias of `backtest venues list`, or a FILE.toml."""
    margin: str | Sequence[str]
    """Margin mode: cross, isolated or portfolio; SYMBOL=isolated or SYMBOL=cross for single markets."""
    leverage: float | Literal["max"] | None
    """Notional over initial margin; max: the highest that the venue allows."""
    isolated_margin: float | Literal["leverage", "minimum", "equal"]
    """Collateral that opens an isolated position: leverage (position size over leverage=, or over the venue's
    default), minimum (the venue's initial margin), equal (cash= over the number of markets) or an amount in
    quote currency."""
    cash: float
    """Deposit, in quote currency."""
    reserve: float
    """Money outside the venue, in quote currency, which pays for top-ups."""
    isolate_above: float | None
    """Isolate a position that makes up more than this share of the cross margin account's maintenance margin."""
    adl: str | Sequence[str]
    """Inject auto-deleveraging events: TIME,SYMBOL,SHARE (* for the market that ranks first),
    move=5%/10m,SHARE, or a FILE.csv."""
    adl_top: int
    """Maximum number of positions that simultaneous adl= events close."""
    fee_bps: float | None
    """Taker fee, and maker fee unless maker_fee_bps= is given."""
    maker_fee_bps: float | None
    """Maker fee; negative for a rebate."""
    fee_discount: str | None
    """Discount on the venue's fees: a name that it has, such as bnb, or a share."""
    slippage_bps: float
    """Fixed slippage of every taker fill."""
    slippage: str | Sequence[str] | Mapping[str, str | float]
    """Slippage model: half-spread=BPS (or corwin-schultz, abdi-ranaldo, edge), impact=Y:DELTA, volume=K,
    depth=FILE.parquet, stress=FACTOR, drift=K, band=PERCENT."""
    volume_share: str | None
    """Maximum share of a candle's volume that can fill: 10%, or taker=10%,maker=5%."""
    limit_fill: Literal["through", "touch"]
    """Fill a limit order when the price trades through it, or as soon as it touches it: through or touch."""
    guards: str | Sequence[str] | Mapping[str, str | float]
    """Guard that watches the account at each close, such as stop=5% or drawdown=20%."""
    timeout: float | None
    """Stop with exit code 1, and write nothing, if it takes longer; of a sweep, fail the run that does."""
    chain: str | Path | None
    """Send orders and money over a chain: a name of `backtest venues chains`, a FILE.toml, or venue for the
    venue's own."""
    outages: str | Sequence[str]
    """Stop the chain: START/LENGTH or START/END, a FILE (.toml, .json, .csv), history, poisson=2/year:60m:8h
    (rate, median, 90th percentile), or worst:30m at the costliest moment."""
    reorg: int | str | None
    """Undo fills that happened within this time before an outage."""
    force_inclusion: bool
    """During an outage send messages through Layer 1, if the chain allows it."""
    oracle: str | Sequence[str] | Mapping[str, str | float]
    """Derive the venue mark from the market mark: delay=3s, heartbeat=1h, deviation=0.5%, average=30s, median;
    limit=60s rejects orders if it is older; stale=30s and grace=1h apply after an outage."""
    gas: bool
    """Charge the chain's gas."""


class RunKeywords(SharedKeywords, total=False):
    """Settings of `run`."""

    drill: int | str | None
    """With interval=: replay candles that could trigger an order or a liquidation on finer candles of this
    length."""
    positions: str | Path | Mapping[str, object] | Sequence[Mapping[str, object]] | None
    """Hold the positions of a CSV, TOML or JSON file instead of running a strategy."""
    rebalance: int | str | None
    """With positions=: bring positions back to their weights at the start, once in this time."""
    offline: str | Sequence[str]
    """Decide nothing for a while: LENGTH@TIME, or LENGTH@worst where the positions would lose most."""
    override: str | Sequence[str]
    """Step in by hand from TIME on: cancel-all, close-all, or stop (close all and decide no more)."""
    out: str | Path | None
    """Folder of the report."""
    mark_cost: bool
    """Measure the P&L effect of the venue mark by a second replay."""
    check: bool
    """Check for look-ahead: replay a short part on data that end there and compare."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""


class CompareKeywords(SharedKeywords, total=False):
    """Settings of `compare`."""

    drill: int | str | None
    """With interval=: replay candles that could trigger an order or a liquidation on finer candles of this
    length."""
    positions: str | Path | Mapping[str, object] | Sequence[Mapping[str, object]] | None
    """Hold the positions of a CSV, TOML or JSON file instead of running a strategy."""
    rebalance: int | str | None
    """With positions=: bring positions back to their weights at the start, once in this time."""
    offline: str | Sequence[str]
    """Decide nothing for a while: LENGTH@TIME, or LENGTH@worst where the positions would lose most."""
    override: str | Sequence[str]
    """Step in by hand from TIME on: cancel-all, close-all, or stop (close all and decide no more)."""
    out: str | Path | None
    """Folder of the report."""
    check: bool
    """Check for look-ahead: replay a short part on data that end there and compare."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""
    vary: Mapping[str, object]
    """Vary a setting: a list like margin=isolated,cross or a range like leverage=2:10:2."""


class LatencyKeywords(SharedKeywords, total=False):
    """Settings of `latency`."""

    drill: int | str | None
    """With interval=: replay candles that could trigger an order or a liquidation on finer candles of this
    length."""
    positions: str | Path | Mapping[str, object] | Sequence[Mapping[str, object]] | None
    """Hold the positions of a CSV, TOML or JSON file instead of running a strategy."""
    rebalance: int | str | None
    """With positions=: bring positions back to their weights at the start, once in this time."""
    out: str | Path | None
    """Folder of the report."""
    grid: str | Sequence[float | str]
    """Delays to compare, each as latency_ms= of one account."""


class SubaccountKeywords(SharedKeywords, total=False):
    """Settings of `subaccounts`."""

    drill: int | str | None
    """With interval=: replay candles that could trigger an order or a liquidation on finer candles of this
    length."""
    split: str | Sequence[float | str] | None
    """With sub_accounts=: percentages of cash= and reserve=, one per strategy."""
    loss_cap: str | Sequence[str] | None
    """With sub_accounts= or shared_margin=: close everything and stop trading after this loss (20% of the
    deposit, or an amount like 5000, or none), one for all or one per strategy."""
    out: str | Path | None
    """Folder of the report."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""


class SweepKeywords(SharedKeywords, total=False):
    """Settings of `sweep`."""

    drill: int | str | None
    """With interval=: replay candles that could trigger an order or a liquidation on finer candles of this
    length."""
    positions: str | Path | Mapping[str, object] | Sequence[Mapping[str, object]] | None
    """Hold the positions of a CSV, TOML or JSON file instead of running a strategy."""
    rebalance: int | str | None
    """With positions=: bring positions back to their weights at the start, once in this time."""
    out: str | Path | None
    """Folder of the report."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""
    vary: Mapping[str, object]
    """Vary a setting: a list like margin=isolated,cross or a range like leverage=2:10:2."""
    where: str | None
    """Run only combinations for which this SQL expression over the varied names is true."""
    samples: int | None
    """Draw this many combinations instead of running all."""
    sampler: Literal["halton", "random"]
    """How samples= draws: halton (quasi-random) or random, both from seed=."""
    workers: int | None
    """Number of worker processes."""
    cluster: str | None
    """Run on the Dask cluster whose scheduler has this address, like tcp://HOST:8786."""
    threads: bool
    """Run the workers as threads of this process, for strategies with targets."""


class CheckKeywords(SharedKeywords, total=False):
    """Settings of `check`."""

    drill: int | str | None
    """With interval=: replay candles that could trigger an order or a liquidation on finer candles of this
    length."""
    cuts: int
    """Number of cuts: replays on data that end there."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""


class StressKeywords(SharedKeywords, total=False):
    """Settings of `stress`."""

    positions: str | Path | Mapping[str, object] | Sequence[Mapping[str, object]] | None
    """Hold the positions of a CSV, TOML or JSON file instead of running a strategy."""
    rebalance: int | str | None
    """With positions=: bring positions back to their weights at the start, once in this time."""
    out: str | Path | None
    """Folder of the report."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""
    scenario: str | Path
    """Scenarios to replay: a pack of the package, or a FILE.toml."""
    cascade: float | Literal["default"] | None
    """Add a cascade of liquidations to each scenario that moves prices: the open interest of one side of each
    market in quote currency, or default (half of the daily turnover)."""
    vary: Mapping[str, object]
    """Vary a setting: a list like margin=isolated,cross or a range like leverage=2:10:2."""
    workers: int | None
    """Number of worker processes."""


class MontecarloKeywords(SharedKeywords, total=False):
    """Settings of `montecarlo`."""

    paths: int
    """Number of histories."""
    block: str | None
    """Mean length of the blocks of candles, or all for the history as it is."""
    resample: Literal["candles", "starts", "trades"]
    """What is drawn at random: candles (replayed through the engine), starts (start dates) or trades (their
    order; nothing is replayed)."""
    positions: str | Path | Mapping[str, object] | Sequence[Mapping[str, object]] | None
    """Hold the positions of a CSV, TOML or JSON file instead of running a strategy."""
    rebalance: int | str | None
    """With positions=: bring positions back to their weights at the start, once in this time."""
    out: str | Path | None
    """Folder of the report."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""
    workers: int | None
    """Number of worker processes."""


class SharedMarginKeywords(SharedKeywords, total=False):
    """Settings of `shared_margin`."""

    drill: int | str | None
    """With interval=: replay candles that could trigger an order or a liquidation on finer candles of this
    length."""
    margin_limit: str | Sequence[str] | None
    """With shared_margin=: most initial margin of a strategy, a share of the equity; for all, or for each."""
    loss_cap: str | Sequence[str] | None
    """With sub_accounts= or shared_margin=: close everything and stop trading after this loss (20% of the
    deposit, or an amount like 5000, or none), one for all or one per strategy."""
    out: str | Path | None
    """Folder of the report."""
    latency_ms: int
    """Delay from a decision until its message leaves; a chain's latency is added."""
