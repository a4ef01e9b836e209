"""Invented venues: Hypothesis strategies for dated terms, dated law and portfolio margin of a play.

As in `markets`, the first of every choice is the dullest, so that a failing play shrinks towards the generic venue: one
tier, the whole margin account at once at the mark, no fund.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from hypothesis import strategies as st

from tests.reference.terms import BySize, CeilRates, Law, Portfolio, Terms, Tier, Venue

TIERS = (
    ((0.05, 0.03),),
    ((0.02, 0.01), (0.05, 0.025), (0.1, 0.05)),
    ((0.0625, 0.03125),),
    ((0.01, 0.004), (0.04, 0.02), (0.25, 0.125)),
    ((0.02, 0.01), (0.03, 0.015), (0.05, 0.025), (0.1, 0.06), (0.2, 0.15)),
)
TAKES = ("position", "share", "tier", "ramp", "share", "ramp", "position", "pool")
RANKINGS = ("largest", "symbol", "loss", "maintenance")
PRICES = ("mark", "book", "fillable", "bankruptcy", "oracle", "auction")
SHORTFALLS = ("bad_debt", "adl", "socialised")


@st.composite
def ladders(draw: st.DrawFn, cash: int) -> list[Tier]:
    """One to five tiers, with edges low enough to be crossed."""
    rates = draw(st.sampled_from(TIERS))
    edges = [draw(st.sampled_from((cash, 2 * cash + 1, cash // 2)))]
    while len(edges) < len(rates) - 1:
        edges.append(edges[-1] * draw(st.sampled_from((2, 3))) // draw(st.sampled_from((1, 2))) + 1)
    return [Tier(edge, *rate) for edge, rate in zip([*edges[: len(rates) - 1], None], rates, strict=True)]


@st.composite
def terms(draw: st.DrawFn, cash: int, price: float, from_ms: int = 0) -> Terms:
    """By tiers, by size (growing by steps, in proportion, by the root) or rounded up; sometimes with limits.

    Sizes are measured by `unit`, the base that the account's cash buys.
    """
    unit = cash / 1_000_000 / price
    kind = draw(st.sampled_from(("tiers", "tiers", "tiers", "incremental", "linear", "root", "ceil")))
    made = Terms([Tier(None, 0.05, 0.03)], from_ms, penalty=draw(st.sampled_from((0.01, 0.0, 0.05))))
    if kind == "tiers":
        made = dataclasses.replace(made, tiers=draw(ladders(cash)))
    elif kind == "incremental":
        grown = BySize(step=0.01, baseline=unit, increment=unit / 2)
        made = dataclasses.replace(made, initial_by_size=grown)
    elif kind == "linear":
        skewed = BySize(share=1.0, linear=0.01 / unit)
        half = BySize(share=0.5, linear=0.007 / unit)
        flat = draw(st.sampled_from((0, cash // 500)))
        made = dataclasses.replace(
            made, initial_by_size=skewed, maintenance_by_size=half, flat_initial=flat, flat_maintenance=flat
        )
    elif kind == "root":
        grown = BySize(share=0.8, root=0.02 / unit**0.5)
        made = dataclasses.replace(made, initial_by_size=grown, maintenance_by_size=grown)
    else:
        made = dataclasses.replace(made, ceil=CeilRates(draw(st.sampled_from((50_000, 73_123))), 50_000, 600_000))
    if draw(st.integers(0, 15)) == 15:
        limits = {"limit_micro": draw(st.sampled_from((None, 2 * cash))), "limit_units": round(unit * 2_500_000)}
        made = dataclasses.replace(made, **limits)
    return made


@st.composite
def laws(draw: st.DrawFn, cash: int, interval_ms: int, staged: bool) -> Law:
    """The generic law often, unless it is to be `staged`.

    The choices are made by a number: a strategy's own draws lean to the first of each.
    """
    number = draw(st.integers(0, 2**32 - 1))
    even = random.Random(number)

    def pick(*choices: Any) -> Any:
        return even.choice(choices)

    if not staged and (number == 0 or even.random() < 0.4):
        return Law(fund_micro=pick(None, cash, cash // 100), shortfall=pick(*SHORTFALLS))
    every_ms = pick(
        0,
        0,
        max(1_000, interval_ms // 100),
        interval_ms // 2,
        interval_ms // 3,
        interval_ms // 10,
        2 * interval_ms,
        interval_ms,
    )
    take = pick(*TAKES)
    return Law(
        take=take,
        ranking=pick(*RANKINGS),
        price=pick(*PRICES),
        delay_ms=pick(0, 0, 0, 0, 0, 1_000, interval_ms // 3, 30_000, interval_ms * 5 // 2),
        every_ms=every_ms,
        portion=pick(0.2, 0.1, 0.3),
        above_micro=pick(0, 0, cash // 2),
        minimum_micro=pick(0, 0, cash // 10),
        cap_micro=pick(None, None, cash, cash // 3),
        then_whole=pick(False, False, True),
        cooldown_ms=pick(None, None, 1_500, 30_000),
        ramp_start=pick(0.1, 0.25, 0.0) if every_ms >= interval_ms // 10 else 0.1,
        ramp_ms=pick(interval_ms, 4 * interval_ms, 1_234),
        small_micro=pick(0, cash // 200),
        slippage=pick(0.0, 0.001, 0.02, 0.06),
        spread_to_maintenance=pick(1.5, 0.1),
        bankruptcy_adjustment=pick(1.0, 3.0),
        liquidator_fee=pick(0.0, 0.005, 0.03),
        discount_start=pick(0.0, 0.002),
        discount_per_s=pick(0.0001, 0.003),
        discount_max=pick(0.05, 0.15),
        bounded=pick(False, True),
        # A ramp without a buffer would close a lot, be healthy, and close another at the next thousandth of a move.
        buffer=pick(0.5, 0.25, 1.0, 0.5 if take == "ramp" else 0.0),
        backstop=pick(0.0, 0.0, 2 / 3, 0.25),
        fund_micro=pick(None, 10 * cash, cash // 10, cash // 100, 0),
        fund_cap_micro=pick(None, None, cash // 20, cash // 500),
        block_ms=pick(interval_ms, 60_000, interval_ms // 7),
        fund_when_bankrupt=pick(True, True, False),
        shortfall=pick("bad_debt", *SHORTFALLS),
        adl_penalty=pick(0.0, 0.01),
    )


@st.composite
def venues(
    draw: st.DrawFn, prices: dict[str, float], cash: int, interval_ms: int, run: tuple[int, int], staged: bool
) -> Venue:
    """Terms of each market and the law; either may change once inside the run, on a candle's open or between."""

    def change() -> int | None:
        at = draw(st.sampled_from((None, None, None, 1, 2, 3)))
        return (
            None
            if at is None
            else run[0] + (run[1] - run[0]) * at // 5 + draw(st.sampled_from((0, 1, interval_ms // 3)))
        )

    dated = {}
    for name, price in prices.items():
        dated[name] = [draw(terms(cash, price))]
        at = change()
        if at is not None:
            dated[name].append(draw(terms(cash, price, at)))
        risk = {"beta": draw(st.sampled_from((1.0, 1.3, 0.7, 0.0))), "idio": draw(st.sampled_from((0.02, 0.05)))}
        dated[name] = [dataclasses.replace(t, **risk) for t in dated[name]]
    law = [draw(laws(cash, interval_ms, staged))]
    at = change()
    if at is not None:
        changed = draw(laws(cash, interval_ms, staged))
        # As a rule the fund is the venue's and stays; some laws set one up, or abolish it.
        fund = draw(st.sampled_from((law[0].fund_micro, law[0].fund_micro, changed.fund_micro)))
        law.append(dataclasses.replace(changed, from_ms=at, fund_micro=fund))
    scan = draw(st.sampled_from((0.1, 0.2)))
    portfolio = Portfolio(scan, scan * 0.75, draw(st.sampled_from((0.2, 0.8))), draw(st.sampled_from((1.0, 0.6))))
    default = draw(st.sampled_from((None, 4.0, 8.0, 15.0)))
    return Venue(dated, law, portfolio, default_leverage=default)
