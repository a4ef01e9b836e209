"""Invented plays: the reference keeps its books on them, and what is written to disk is what was invented."""

from __future__ import annotations

import dataclasses
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings

from tests.reference.chain import Beside
from tests.reference.engine import play
from tests.reference.market import Candle, Config, Play, Symbol
from tests.reference.markets import plays, write_dataset
from tests.reference.outcome import Outcome
from tests.reference.terms import Terms, Tier, Venue

MINUTE = 60_000
few = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


STEPS = ("partial", "position")


@few
@given(plays())
def test_books_balance(market: Play) -> None:
    outcome = play(market)
    flows = sum(f.quote - f.fee for f in outcome.fills) + sum(f.payment for f in outcome.funding)
    flows += sum(x.bad_debt - x.insurance for x in outcome.liquidations)
    flows -= sum(g.amount for g in outcome.gas) + sum(t.fee for t in outcome.transfers)
    there = outcome.wallet + sum(outcome.pools.values()) + outcome.reserve + outcome.in_flight
    assert there == market.config.cash_micro + market.beside.reserve + flows
    assert outcome.reserve >= 0
    for name, lots in outcome.lots.items():
        assert lots == sum(f.lots for f in outcome.fills if f.symbol == name)
        assert lots != 0 or outcome.pools[name] == 0
    guarded = market.beside.guards
    if not guarded and market.config.margin in ("cross", "portfolio") and not market.config.modes:
        own = {m.symbol for m in market.messages if m.mode == "isolated"}
        assert own or market.config.isolate_above or outcome.moves == []
    assert play(market) == outcome


@few
@given(plays())
def test_what_a_liquidation_takes_from_the_account_the_fund_or_others_have(market: Play) -> None:
    outcome = play(market)
    start = market.venue.law[0].fund_micro
    assert outcome.fund is None or outcome.fund >= 0
    kept = {law.fund_micro is None for law in market.venue.law}
    if kept == {True}:
        assert outcome.fund is None
        assert all(x.insurance >= 0 for x in outcome.liquidations)
    elif kept == {False}:
        assert outcome.fund == start + sum(x.insurance for x in outcome.liquidations)
    assert all(x.bad_debt >= 0 and x.adl_loss >= 0 for x in outcome.liquidations)
    assert all(x.equity_after >= 0 for x in outcome.liquidations if x.bad_debt)
    fund_pays = [x for x in outcome.liquidations if x.insurance < 0]
    assert not fund_pays or any(law.fund_when_bankrupt or law.bounded for law in market.venue.law)


@few
@given(plays())
def test_a_pool_of_its_own_loses_no_more_than_was_posted(market: Play) -> None:
    """What the wallet has given to all of them, and not got back, is more than they can lose: it never pays again."""
    config = dataclasses.replace(market.config, margin="isolated", modes={}, isolate_above=None)
    messages = [m for m in market.messages if m.kind not in ("mode", "deposit", "withdraw")]
    outcome = play(dataclasses.replace(market, config=config, messages=messages, beside=Beside()))
    assert outcome.wallet == config.cash_micro - sum(m.amount for m in outcome.moves)
    assert outcome.wallet >= 0


@few
@given(plays())
def test_a_bounded_step_or_one_at_the_mark_keeps_health_over_maintenance(market: Play) -> None:
    """Equity to maintenance does not fall, but for the rounding of the closed part's value, requirement and share."""
    law = dataclasses.replace(market.venue.law[0], bounded=True)
    venue = dataclasses.replace(market.venue, law=[law])
    config = market.config
    if config.margin == "portfolio":  # there the requirement is not the sum that the bankruptcy price shares by
        config = dataclasses.replace(config, margin="cross")
    terms = {name: [only_tier(t) for t in dated] for name, dated in venue.terms.items()}
    outcome = play(dataclasses.replace(market, config=config, venue=dataclasses.replace(venue, terms=terms)))
    for x in outcome.liquidations:
        if x.stage in (*STEPS, "adl") and x.maintenance_after > 1_000:
            before = Fraction(x.equity_before, x.maintenance_before)
            assert Fraction(x.equity_after + 4, x.maintenance_after - 4) >= before


def only_tier(terms: Terms) -> Terms:
    """The requirement in proportion to the notional: of a part it is then the part of the whole."""
    return dataclasses.replace(
        terms,
        tiers=[Tier(None, terms.tiers[0].initial, terms.tiers[0].maintenance)],
        flat_initial=0,
        flat_maintenance=0,
        maintenance_by_size=None,
        ceil=None,
    )


@few
@given(plays())
def test_more_cash_brings_no_liquidation_forward(market: Play) -> None:
    """For the same trades: only what all the money admits is sent, in lots, and at once."""
    rich = dataclasses.replace(market.config, margin="cross", modes={}, isolate_above=None, adl=[])
    kinds = [m for m in market.messages if m.kind in ("order", "cancel")]
    terms = {
        n: [dataclasses.replace(t, limit_micro=None, limit_units=None) for t in d]
        for n, d in market.venue.terms.items()
    }
    venue = dataclasses.replace(market.venue, terms=terms)
    market = dataclasses.replace(market, config=rich, messages=kinds, venue=venue, beside=Beside())
    richer = dataclasses.replace(market, config=dataclasses.replace(rich, cash_micro=rich.cash_micro * 11 // 10))
    one, other = play(market), play(richer)
    first, second = first_liquidation(one), first_liquidation(other)
    if [f for f in one.fills if f.ts <= second] == [f for f in other.fills if f.ts <= second]:
        assert second >= first


@few
@given(plays())
def test_in_a_halt_nothing_acts_but_what_is_forced_in(market: Play) -> None:
    outcome, chain = play(market), market.beside.chain
    arrived = {o.number: o.ts_arrived for o in outcome.orders}
    for one in chain.outages:
        inside = [f for f in outcome.fills if one.start < f.ts < one.end and f.cause != "delisting"]
        assert all(f.cause == "strategy" and f.ts == arrived[f.order] for f in inside)
        assert inside == [] or chain.forced_ms
        rows = [x for x in outcome.liquidations if x.stage not in ("deleveraged", "shortfall")]
        assert not any(one.start < x.ts < one.end + chain.grace_ms for x in rows)
        arrivals = [t.ts for t in outcome.transfers if (t.kind, t.state) == ("deposit", "arrived")]
        assert not any(one.start < ts < one.end for ts in arrivals)


def first_liquidation(outcome: Outcome) -> int:
    return min([x.ts for x in outcome.liquidations if x.stage != "shortfall"], default=2**63)


def test_plays_go_where_the_rules_are() -> None:
    """Enough plays liquidate in steps, over several candles, from the fund, by deleveraging, as a portfolio.

    What Hypothesis draws depends on what else is loaded, so the floors are far below what is usual (a tenth of the
    plays liquidates a portfolio): they notice a rule that is no longer reached, not a change of luck.
    """
    seen: Counter[str] = Counter()

    @settings(max_examples=500, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(plays())
    def count(market: Play) -> None:
        outcome, chain = play(market), market.beside.chain
        rows = outcome.liquidations
        seen.update({f"order {o.reason}" for o in outcome.orders if o.reason in ("outage", "gas", "stale")})
        seen.update({f"transfer {t.state} {t.reason}" for t in outcome.transfers})
        whole = {limit.amount for limit in chain.withdrawal_limits}
        seen["limited"] += any(t.reason == "gated" and t.need and t.have not in whole for t in outcome.transfers)
        seen["reorg"] += any(f.cause == "reorg" for f in outcome.fills)
        returns = {one.end + more for one in chain.outages for more in (0, chain.stale_ms)}
        seen["act at a return"] += any(f.ts in returns and f.cause == "strategy" for f in outcome.fills)
        steps = Counter(x.pool for x in rows if x.stage in STEPS)
        candles = {(x.pool, x.ts // market.interval_ms) for x in rows if x.stage in (*STEPS, "adl")}
        seen.update({x.stage for x in rows})
        seen["plays"] += 1
        seen["liquidated"] += any(x.stage not in ("deleveraged", "shortfall") for x in rows)
        seen["three steps"] += max(steps.values(), default=0) >= 3
        seen["several candles"] += len(candles) > len({pool for pool, _ in candles})
        seen["fund pays"] += any(x.insurance < 0 for x in rows)
        seen["portfolio"] += market.config.margin == "portfolio" and any(x.pool == "cross" for x in rows)
        seen["generic"] += market.venue.law[0].take == "pool" and market.venue.law[0].price == "mark"

    count()
    share = {name: number / seen["plays"] for name, number in seen.items()}
    least = {"liquidated": 0.2, "generic": 0.1, "three steps": 0.01, "several candles": 0.01, "portfolio": 0.005}
    least |= {"order outage": 0.003, "order gas": 0.003, "order stale": 0.002, "reorg": 0.002, "act at a return": 0.003}
    least |= {"transfer arrived none": 0.05, "transfer rejected collateral": 0.01, "transfer rejected gated": 0.002}
    least |= {"limited": 0.005}
    least |= dict.fromkeys(("whole", *STEPS), 0.03) | {"deleveraged": 0.003, "backstop": 0.003, "fund pays": 0.001}
    assert {name: share.get(name, 0.0) for name, wanted in least.items() if share.get(name, 0.0) < wanted} == {}


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
    write_dataset(Play([symbol], MINUTE, Venue({}), Config(0)), tmp_path)
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
