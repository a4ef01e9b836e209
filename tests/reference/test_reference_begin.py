"""Positions at the start (rules, 2.1): by hand, and the engine against the reference over invented markets."""

from __future__ import annotations

import dataclasses
import random
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest.engine.opening import Opening
from tests.reference import test_engine_differential as differential
from tests.reference.hand import market, micro, order, run
from tests.reference.market import Placed, Play
from tests.reference.markets import plays
from tests.reference.numbers import money
from tests.rules_index import rule


@rule("2.1")
def test_entered_positions_cost_their_entry_and_no_fee() -> None:
    # 10 BTC entered at 9,000, at the first mark of 10,000 up by 10,000; 1,000 cash. Funding of 1 % at the first
    # instant is paid on 100,000. Sold at row 1's open for 100,000: 1,000 - 90,000 + 100,000 - 1,000 = 10,000.
    btc = market("BTC", 1e4, 1e4, 1e4, funding=[(0, 0.01)])
    outcome = run([btc], [order(0, "BTC", -10)], 1_000, opening=(Placed("BTC", 10_000, 9_000.0),))
    first, second = outcome.fills
    assert (first.order, first.ts, first.cause, first.quote, first.fee) == (-1, 0, "opening", micro(-90_000), 0)
    assert (outcome.opening_profit, outcome.funding[0].payment) == (micro(10_000), micro(-1_000))
    assert (second.realized, outcome.wallet, outcome.drawdown) == (micro(10_000), micro(10_000), Fraction(-1, 11))


@rule("2.1")
def test_an_isolated_position_takes_its_posted_margin_and_others_are_bought_at_the_first_open() -> None:
    # ETH: short 100 from 40, 500 posted; up 10 % in row 0: 100 left is below 3 % of 4,400, liquidated on the way.
    # BTC is bought at the first open, 100 of 1 each, and stays.
    eth, btc = market("ETH", (40.0, 44.0, 40.0, 44.0), 44.0), market("BTC", 1.0, 1.0)
    placed = (Placed("BTC", 100_000), Placed("ETH", -100_000, 40.0, micro(500)))
    outcome = run([btc, eth], [], 1_000, modes={"ETH": "isolated"}, opening=placed)
    opening, bought, closed = outcome.fills
    assert (opening.symbol, opening.cause, outcome.moves[0].amount) == ("ETH", "opening", micro(500))
    assert (bought.symbol, bought.ts, bought.quote, bought.cause) == ("BTC", 0, micro(-100), "strategy")
    assert (closed.symbol, closed.cause, outcome.lots["BTC"]) == ("ETH", "liquidation", 100_000)


def with_positions(play: Play, seed: int) -> Play:
    """The play with positions at the start, in about two of three symbols that live then; half of them are entered."""
    drawn, start = random.Random(seed), min(s.first_ms for s in play.symbols)
    base = "isolated" if play.config.margin == "isolated" else "cross"
    placed = []
    for symbol in sorted(play.symbols, key=lambda s: s.name):
        if symbol.first_ms != start or drawn.random() < 1 / 3:
            continue
        price = symbol.candles[start].open
        lots = round(play.config.cash_micro * drawn.uniform(-4, 4) / (price * symbol.step_micro)) or 1
        entry = price * drawn.uniform(0.8, 1.2) if drawn.random() < 0.5 else None
        posted = 0
        if entry is not None and play.config.modes.get(symbol.name, base) == "isolated":
            posted = abs(money(entry, lots * symbol.step_micro)) // drawn.choice((5, 10, 20))
        placed.append(Placed(symbol.name, lots, entry, posted))
    return dataclasses.replace(play, config=dataclasses.replace(play.config, opening=tuple(placed)))


class Begins:
    """What a plan knows of positions, made of a play's."""

    def __init__(self, play: Play) -> None:
        steps = {s.name: s.step_micro for s in play.symbols}
        number = {name: i for i, name in enumerate(sorted(steps))}
        self.made = tuple(
            Opening(number[p.symbol], p.lots, p.entry, p.entry and money(p.entry, p.lots * steps[p.symbol]), p.posted)
            if p.entry is not None
            else Opening(number[p.symbol], p.lots)
            for p in play.config.opening
        )

    def openings(self, _: str) -> tuple[Opening, ...]:
        return self.made


@settings(max_examples=max(1, differential.EXAMPLES // 4), deadline=None, suppress_health_check=list(HealthCheck))
@given(plays(), st.sampled_from((None, 1, 3, 7)), st.integers(0, 2**32 - 1))
def test_engine_begins_as_the_reference(market: Play, chunk_rows: int | None, seed: int) -> None:
    play = with_positions(market, seed)
    with pytest.MonkeyPatch.context() as patch:
        planned = differential.plan
        patch.setattr(differential, "plan", lambda *a, **k: dataclasses.replace(planned(*a, **k), begins=Begins(play)))
        differential.compare(play, chunk_rows)
