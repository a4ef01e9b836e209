"""The compiled engine against the naive reference, over invented markets: equal to the micro.

The whole way is played: the market is written to Parquet, read by the feed, replayed by the engine with a strategy that
sends the script. Orders go to the engine as they are: what a strategy's account makes of prices and quantities is not
in the rules. `BACKTEST_EXAMPLES=10000` plays more of them.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest import Strategy
from backtest.core.enums import (
    Cause,
    GasKind,
    Liquidity,
    OrderType,
    Reason,
    Stage,
    Status,
    TimeInForce,
    TransferKind,
    TransferState,
)
from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.data.catalog import Catalog
from backtest.data.panel import Chunk
from backtest.data.scenarios.overlay import Overlay
from backtest.engine import layout as at
from backtest.engine import publisher
from backtest.engine.pack import Charges
from backtest.engine.ticket import Ticket
from backtest.results import ledger
from backtest.runner.chain_config import ChainConfig
from backtest.runner.plan import Plan, plan
from backtest.runner.replays import replay
from backtest.strategy.session import replay_of
from backtest.venues import chain, terms
from backtest.venues.default_leverage import DefaultLeverage
from tests.reference.chain import Beside, Chain, Latency, Oracle, Route
from tests.reference.engine import play as reference
from tests.reference.margin import Ladder
from tests.reference.market import Config, FeeTable, Message, Play
from tests.reference.markets import plays, write_dataset
from tests.reference.outcome import Outcome
from tests.reference.terms import Terms, Venue

IDLE = "deleveraging events without a profitable position"
EXAMPLES = int(os.environ.get("BACKTEST_EXAMPLES", "300"))


class Scripted(Strategy):
    """Sends a script of messages, each at the close that it is stamped with."""

    lookback = 5
    script: dict[int, list[Message]]
    leverage: dict[str, float]
    numbers: dict[str, int]

    def on_start(self, market, account):
        for symbol, leverage in self.leverage.items():
            account.set_leverage(symbol, leverage)

    def on_candle(self, market, account):
        replay = replay_of(account._key)
        for message in self.script.get(market.now_ms, ()):
            if message.kind == "cancel":
                replay.cancel(message.order)
            elif message.kind == "cancel_all":
                replay.cancel_all(self.numbers[message.symbol] if message.symbol else -1)
            elif message.kind == "amend":
                replay.amend(message.order, message.lots, price(message.limit), price(message.stop))
            elif message.kind == "deposit":
                replay.deposit(message.amount if message.amount > 0 else None, message.route)
            elif message.kind == "withdraw":
                replay.withdraw(message.amount if message.amount > 0 else None, message.route)
            elif message.kind == "leverage":
                account.set_leverage(message.symbol, message.value)
            elif message.kind == "add_margin":
                account.add_margin(message.symbol, message.amount / 1_000_000)
            elif message.kind == "mode":
                account.set_margin_mode(message.symbol, message.mode)
            elif message.kind == "target":
                account.target(message.symbol, weight=message.weight, reduce_only=message.reduce_only)
            elif message.kind == "oco":
                replay.send_group([self.ticket(one) for one in message.children])
            else:
                replay.send(self.ticket(message))

    def ticket(self, message: Message, parent: Message | None = None) -> Ticket:
        return Ticket(
            self.numbers[message.symbol],
            message.lots,
            OrderType[message.type.upper()],
            price(message.limit),
            price(message.stop),
            message.by_mark,
            price(message.trail),
            message.trail_share,
            price(message.activation),
            TimeInForce[message.tif.upper()],
            -1 if message.expires_ms is None else message.expires_ms,
            message.post_only,
            message.reduce_only or parent is not None,
            tuple(self.ticket(child, message) for child in message.children),
            price(message.offset),
        )


def price(known: float | None) -> float:
    return math.nan if known is None else known


def charges_of(config: Config, symbols: list[str]) -> Charges:
    """The play's costs in the engine's words."""
    count = max((len(bars) for bars in config.bars.values()), default=0)
    bars = np.full((count, len(symbols), at.BAR_WIDTH), np.nan)
    snapshots = max((len(known) for known in config.depth.values()), default=0)
    levels = max((len(s.levels) for known in config.depth.values() for s in known), default=0)
    depth = np.full((len(symbols), snapshots, 1 + 2 * levels), np.inf)
    for i, symbol in enumerate(symbols):
        for b, bar in enumerate(config.bars.get(symbol, ())):
            bars[b, i] = price(bar.sigma), price(bar.turnover), price(bar.half)
        for n, snapshot in enumerate(config.depth.get(symbol, ())):
            depth[i, n] = [snapshot.ts, *(number for level in snapshot.levels for number in level)]
    tables = config.fees or (FeeTable(0, 1, ((0.0, config.fee, config.fee),)),)
    fees = [(table.from_ms, table.window_days, *tier) for table in tables for tier in table.tiers]
    models = {"power": at.BY_POWER, "volume": at.BY_VOLUME, "depth": at.BY_DEPTH}
    impact = config.impact
    return Charges(
        fixed=config.slippage,
        stress=config.stress,
        impact=models[impact.model] if impact else at.NO_IMPACT,
        factor=impact.factor if impact else 0.0,
        exponent=impact.exponent if impact else 0.5,
        drift=config.drift,
        band=config.band,
        taker_share=np.inf if config.taker_share is None else config.taker_share,
        maker_share=np.inf if config.maker_share is None else config.maker_share,
        discount=config.discount,
        bars=bars,
        depth=depth,
        fees=np.array(fees, np.float64),
    )


class Usual:
    """What is usual in a play is invented, not measured."""

    def __init__(self, values: Sequence[tuple[float | None, float | None]]) -> None:
        self.values = np.array([[price(known) for known in hour] for hour in values], np.float64)

    def take(self, chunk: Chunk) -> None:
        """Nothing is learned from the rows."""


def chain_of(play: Chain) -> chain.Chain:
    """The play's chain in the engine's words."""

    def latency(one: Latency) -> chain.Latency:
        return chain.Latency(one.median, one.p99, one.quantiles)

    def routes(some: Sequence[Route], kind: str) -> tuple[chain.Route, ...]:
        return tuple(chain.Route(f"{kind} {n}", latency(one.delay), one.fee, one.rate) for n, one in enumerate(some))

    crowd = dataclasses.asdict(play.congestion)
    del crowd["usual"]
    made = chain.Chain(
        name="invented",
        network=latency(play.network),
        queue=latency(play.queue),
        congestion=chain.Congestion(**crowd),
        rule=chain.Rule[play.rule.upper()],
        deposits=routes(play.deposits, "in"),
        withdrawals=routes(play.withdrawals, "out"),
        gas=tuple(chain.Gas(**dataclasses.asdict(one)) for one in play.gas),
        outages=tuple(chain.Outage(one.start, one.end) for one in play.outages),
        withdrawal_limits=tuple(chain.Limit(one.amount, one.per) for one in play.withdrawal_limits),
    )
    same = ("block_ms", "most_per_block", "sorts", "ttl_ms", "backlog", "grace_ms", "stale_ms", "forced_ms",
            "gate_after_ms", "gate_ms", "reorg_ms")  # fmt: skip
    return dataclasses.replace(made, **{name: getattr(play, name) for name in same})


def chaining_of(play: Beside) -> ChainConfig:
    """Where nothing is beside the venue the engine goes without a chain."""
    oracle = chain.Oracle(**dataclasses.asdict(play.oracle)) if play.oracle else chain.Oracle()
    return ChainConfig(chain_of(play.chain) if play.chain != Chain() else chain.Chain(), oracle)


def contract_of(venue: Venue) -> terms.Contract:
    """The play's venue in the engine's words."""
    dated = {name: tuple(terms_of(each) for each in entries) for name, entries in venue.terms.items()}
    laws = []
    for law in venue.law:
        words = {f.name: getattr(law, f.name) for f in dataclasses.fields(law)}
        words |= {"take": terms.Take[law.take.upper()], "ranking": terms.Ranking[law.ranking.upper()]}
        words |= {"price": terms.Price[law.price.upper()], "shortfall": terms.Shortfall[law.shortfall.upper()]}
        laws.append(terms.Law(**words))
    rules = tuple(terms.OrderRules(**dataclasses.asdict(one)) for one in venue.orders)
    return terms.Contract(dated, tuple(laws), terms.Portfolio(**dataclasses.asdict(venue.portfolio)), rules)


def default_leverage(venue: Venue) -> list[DefaultLeverage]:
    """The play's default as a venue file has it."""
    given = venue.default_leverage
    return [] if given is None else [DefaultLeverage(leverage=Decimal(given))]


def terms_of(each: Terms) -> terms.Terms:
    ladder = Ladder(each)
    tiers = tuple(
        terms.Tier(tier.upto, *initial, *maintenance)
        for tier, initial, maintenance in zip(each.tiers, ladder.initial_rates, ladder.maintenance_rates, strict=True)
    )

    def copied(kind: type, value: Any) -> Any:
        return None if value is None else kind(**dataclasses.asdict(value))

    return terms.Terms(
        from_ms=each.from_ms,
        tiers=tiers,
        initial_by_size=copied(terms.BySize, each.initial_by_size),
        maintenance_by_size=copied(terms.BySize, each.maintenance_by_size),
        ceil=copied(terms.CeilRates, each.ceil),
        penalty=each.penalty,
        limit_micro=each.limit_micro,
        limit_units=each.limit_units,
        min_notional_micro=each.min_notional,
        price_band=each.price_band,
        beta=each.beta,
        idio=each.idio,
    )


def scripted(market: Play, sender: int | None = None) -> Scripted:
    """The strategy that sends the play's messages, or those of one of several."""
    strategy = Scripted()
    script: dict[int, list[Message]] = {}
    for message in market.messages:
        if sender in (None, message.sender):
            script.setdefault(message.sent_ms, []).append(message)
    strategy.script, strategy.leverage = script, market.config.leverage
    strategy.numbers = {name: i for i, name in enumerate(sorted(s.name for s in market.symbols))}
    return strategy


def engine(market: Play, folder: Path, chunk_rows: int | None = None, overlay: Overlay | None = None) -> Record:
    """The play through Parquet, feed, kernels and strategy; ``overlay``: under a scenario."""
    return next(replay(planned_of(market, folder, overlay), (market.config.margin,), None, chunk_rows))


def planned_of(market: Play, folder: Path, overlay: Overlay | None = None) -> Plan:
    """The plan of a play, whose dataset is written into ``folder``."""
    write_dataset(market, folder / "data")
    planned = plan(
        scripted(market),
        dataclasses.replace(Catalog.open(folder / "data"), overlay=overlay),
        cash=market.config.cash_micro / 1_000_000,
        path=market.config.path,
        latency_ms=market.config.latency_ms,
        limit_fill="touch" if market.config.touch else "through",
        allow=("missing-funding",),
        reserve=market.beside.reserve / 1_000_000,
        seed=market.beside.seed,
        guards=[f"top-up={guard.level}:{guard.goal}" for guard in market.beside.guards],
    )
    crowds = market.beside.chain.congestion.slope > 0
    settings = dataclasses.replace(
        planned.config,
        margin=("cross", *(f"{symbol}={mode}" for symbol, mode in market.config.modes.items())),
        isolate_above=market.config.isolate_above,
        adl_top=market.config.adl_top,
        # Some markets have no funding at all, which only the allowance lets through the plan.
        allow=("missing-funding",) if market.config.allow_missing_funding else (),
    )
    if market.config.posted is not None:
        settings = dataclasses.replace(settings, isolated_margin=market.config.posted / 1_000_000)
    return dataclasses.replace(
        planned,
        config=settings,
        contract=contract_of(market.venue),
        profile=planned.profile.model_copy(update={"default_leverage": default_leverage(market.venue)}),
        adl=tuple(market.config.adl),
        charges=charges_of(market.config, list(planned.selection.symbols)),
        chaining=chaining_of(market.beside),
        usual=Usual(market.beside.chain.congestion.usual) if crowds else None,
    )


def rows_of(table: np.ndarray, *names: str) -> list[tuple[Any, ...]]:
    """Fields of a record array as plain tuples."""
    return [tuple(int(r[n]) for n in names) for r in table[:]]


def expect_equal(market: Play, expected: Outcome, record: Record) -> None:
    """Every event and the money at the end, to the micro."""
    number = {name: i for i, name in enumerate(record.symbols)}
    pool = number | {"cross": -1}
    fills = [
        (
            f.order, f.ts, number[f.symbol], f.lots, f.quote, f.fee, f.spread, f.impact, f.drift, f.latency, f.realized,
            Cause[f.cause.upper()], Liquidity[f.liquidity.upper()],
        )
        for f in expected.fills
    ]  # fmt: skip
    assert rows_of(
        record.fills, "order_id", "ts_ms", "symbol", "lots", "quote", "fee", "spread", "impact", "drift", "latency",
        "realized", "cause", "liquidity",
    ) == fills  # fmt: skip
    paid = record.funding[record.funding["missing"] == 0]
    funding = [(p.ts, number[p.symbol], p.lots, p.payment) for p in expected.funding]
    assert rows_of(paid, "ts_ms", "symbol", "lots", "payment") == funding
    assert int((record.funding["missing"] == 1).sum()) == expected.missing_funding
    liquidations = [
        (
            x.ts, pool[x.pool], number[x.symbol], Stage[x.stage.upper()], x.lots, x.penalty, x.insurance, x.bad_debt,
            x.adl_loss, x.equity_before, x.maintenance_before, x.equity_after, x.maintenance_after,
        )
        for x in expected.liquidations
    ]  # fmt: skip
    assert rows_of(
        record.liquidations, "ts_ms", "pool", "symbol", "stage", "lots", "penalty", "insurance", "bad_debt",
        "adl_loss", "equity_before", "maintenance_before", "equity_after", "maintenance_after",
    ) == liquidations  # fmt: skip
    assert rows_of(record.moves, "ts_ms", "symbol", "amount") == [
        (m.ts, number[m.symbol], m.amount) for m in expected.moves
    ]
    orders = [
        (
            o.number, o.ts_sent, o.ts_arrived, o.ts_done, o.lots, Status[o.status.upper()], Reason[o.reason.upper()],
            o.have, o.need, o.filled, OrderType[o.type.upper()], o.triggered, o.parent, o.target,
        )
        for o in expected.orders
    ]  # fmt: skip
    assert rows_of(
        record.orders, "order_id", "ts_sent_ms", "ts_arrived_ms", "ts_done_ms", "lots", "status", "reason", "have",
        "need", "filled", "type", "triggered_ms", "parent", "target",
    ) == orders  # fmt: skip
    of_orders = [o for o in expected.orders if o.type != "amend"]
    kept = record.orders[record.orders["type"] != OrderType.AMEND]
    assert [int(i) for i in kept["symbol"]] == [number[o.symbol] for o in of_orders]
    np.testing.assert_array_equal(kept["limit_price"], [price(o.limit) for o in of_orders])
    # Where a trailing stop stood that was never triggered is told for information only.
    ruled = [o.type != "trailing_stop" or o.triggered >= 0 for o in of_orders]
    np.testing.assert_array_equal(
        kept["stop_price"][ruled], [price(o.stop) for o in of_orders if o.type != "trailing_stop" or o.triggered >= 0]
    )
    assert rows_of(record.ambiguous, "ts_ms", "pool") == [(ts, pool[p]) for ts, p in expected.ambiguous]
    assert record.counts.get(IDLE, 0) == expected.idle_events
    assert rows_of(record.gas, "ts_ms", "order_id", "kind", "amount") == [
        (g.ts, g.number, GasKind[g.kind.upper()], g.amount) for g in expected.gas
    ]
    transfers = [
        (
            t.ts, t.number, TransferKind[t.kind.upper()], TransferState[t.state.upper()], t.amount, t.fee,
            Reason[t.reason.upper()], t.have, t.need,
        )
        for t in expected.transfers
    ]  # fmt: skip
    assert rows_of(
        record.transfers, "ts_ms", "order_id", "kind", "state", "amount", "fee", "reason", "have", "need"
    ) == transfers  # fmt: skip
    assert (record.final_reserve, record.final_in_flight) == (expected.reserve, expected.in_flight)
    assert record.final_fund == (-1 if expected.fund is None else expected.fund)
    assert record.final_wallet == expected.wallet
    assert [int(c) for c in record.final_pool_cash] == [expected.pools.get(s, 0) for s in record.symbols]
    assert [int(n) for n in record.final_lots] == [expected.lots[s] for s in record.symbols]
    assert expected.final_equity is not None
    beside = expected.reserve + expected.in_flight
    assert ledger.balance(record).equity_end == expected.final_equity + beside
    drawdown, _, distance, _ = record.lowest
    assert drawdown == pytest.approx(float(expected.drawdown), abs=1e-6)
    nearest = 1e30 if expected.distance is None else float(expected.distance)
    # The reference rounds each value and requirement to a micro, which weighs the more the smaller the notional is.
    rounded = 4 * len(record.symbols) / (expected.least_gross or 1)
    assert distance == pytest.approx(nearest, rel=1e-6, abs=1e-6 + rounded * (1.0 + abs(nearest)))
    exact = [micro / 1_000_000 for _, micro in expected.equity]
    np.testing.assert_allclose(record.curve["equity"], exact, rtol=1e-12, atol=len(record.symbols) * 1e-6)


@pytest.fixture(autouse=True)
def block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """An oracle's mark is made beside the replay, a row at a time, however few there are."""
    monkeypatch.setattr(publisher, "WORTH", 0)
    monkeypatch.setattr(publisher, "BLOCK", 1)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(plays(), st.sampled_from((None, 1, 3, 7)))
def test_engine_equals_the_reference(market: Play, chunk_rows: int | None) -> None:
    compare(market, chunk_rows)


@settings(max_examples=max(1, EXAMPLES // 6), deadline=None, suppress_health_check=list(HealthCheck))
@given(plays(), st.sampled_from((None, 1, 3, 7)), st.floats(0, 3), st.sampled_from((1, 2, 6, 10_000)))
def test_a_late_mark_is_that_of_the_reference(market: Play, chunk_rows: int | None, rows: float, parts: int) -> None:
    """Delays up to three rows: of whole rows, of parts that are knots or lie half-way between them, and of any ms."""
    delay_ms = round(rows * parts) * market.interval_ms // parts
    late = dataclasses.replace(market.beside, oracle=Oracle(delay_ms=delay_ms))
    compare(dataclasses.replace(market, beside=late), chunk_rows)


def compare(market: Play, chunk_rows: int | None) -> None:
    expected = reference(market)
    with tempfile.TemporaryDirectory() as folder:
        if expected.error:
            symbol, ts = expected.error
            with pytest.raises(UserError, match=f"settlement of {symbol} at {np.datetime64(ts, 'ms')}"):
                engine(market, Path(folder), chunk_rows)
            return
        expect_equal(market, expected, engine(market, Path(folder), chunk_rows))
