"""Shared margin: the compiled engine against the naive reference, and against runs of one strategy, to the micro."""

from __future__ import annotations

import dataclasses
import math
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest.core.enums import ShareKind
from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.engine.replay import Replay
from backtest.results import strategy_shares
from backtest.runner.account_runner import hook_bits
from backtest.runner.shared_runner import SharedRunner
from backtest.runner.stream import stream
from tests.reference.engine import play as reference
from tests.reference.hand import lots, market, micro, order, run
from tests.reference.market import Play
from tests.reference.markets import plays
from tests.reference.outcome import Outcome
from tests.reference.terms import Tier
from tests.reference.test_engine_differential import EXAMPLES, expect_equal, planned_of, scripted

ONE_EACH = ("mode", "add_margin")
"""Messages about margin accounts of single markets, which a shared account has not."""


def divided(play: Play, limits: tuple[float | None, ...], number: int) -> Play:
    """The play with its messages dealt to strategies that share the account."""
    even = random.Random(number)
    dealt = [
        dataclasses.replace(message, sender=even.randrange(len(limits)))
        for message in play.messages
        if message.kind not in ONE_EACH
    ]
    margin = "cross" if play.config.margin == "isolated" else play.config.margin
    config = dataclasses.replace(play.config, margin=margin, modes={}, isolate_above=None, posted=None, limits=limits)
    around = dataclasses.replace(play.beside, guards=())
    return dataclasses.replace(
        play, config=config, beside=around, messages=sorted(dealt, key=lambda m: (m.sent_ms, m.sender))
    )


def engine(play: Play, folder: Path, chunk_rows: int | None = None) -> Record:
    planned = planned_of(play, folder)
    limits = tuple(math.inf if limit is None else limit for limit in play.config.limits)
    strategies = [scripted(play, sender) for sender in range(len(limits))]
    setup = dataclasses.replace(planned.setup(play.config.margin), margin_limits=limits)
    account = Replay(setup, hook_bits(strategies[0]))
    runner = SharedRunner(planned.strategy, account, planned.decisions)
    runner.seat([(strategy, planned.decisions) for strategy in strategies])
    runner.usual = planned.usual
    stream(planned.selection, [runner], None, chunk_rows)
    return runner.record(dict(planned.selection.counts))


def expect_equal_shares(expected: Outcome, record: Record) -> None:
    number = {name: i for i, name in enumerate(record.symbols)} | {"": -1}
    rows = [
        (s.ts, s.strategy, number[s.symbol], ShareKind[s.kind.upper()], s.message, s.lots, s.amount, s.fee, s.realized)
        for s in expected.shares
    ]
    names = ("ts_ms", "strategy", "symbol", "kind", "message", "lots", "amount", "fee", "realized")
    assert [tuple(int(r[name]) for name in names) for r in record.shares] == rows


@settings(max_examples=max(1, EXAMPLES // 2), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    plays(),
    st.lists(st.sampled_from((None, 0.05, 0.3, 0.5, 1.0)), min_size=1, max_size=4),
    st.integers(0, 2**32),
    st.sampled_from((None, 3)),
)
def test_engine_equals_the_reference(
    play: Play, limits: list[float | None], number: int, chunk_rows: int | None
) -> None:
    """Every event of the account, and every strategy's part of it."""
    shared = divided(play, tuple(limits), number)
    expected = reference(shared)
    with tempfile.TemporaryDirectory() as folder:
        if expected.error:
            with pytest.raises(UserError, match="funding settlement"):
                engine(shared, Path(folder), chunk_rows)
            return
        record = engine(shared, Path(folder), chunk_rows)
    expect_equal(shared, expected, record)
    expect_equal_shares(expected, record)
    strategy_shares.tables(record, [str(s) for s in range(len(limits))])  # the parts are the whole


def test_by_hand_a_liquidation_and_a_limit() -> None:
    """Cash 100 at 100, tiers of 10 % and 5 %: the long positions of 6 and 3 against a short of 1, as in scenario F2.

    8 units are closed where 100 + 8 (p − 100) = 0.4 p, worth 736.842105: of 8,000 lots 5,333 and 2,667 for 491.197368 =
    round(736.842105 × 5,333 / 8,000) and the rest; the penalty of 1 % the same way. The third, with a limit of half of
    the equity, may use 50: its short of 1 needs 10, 5 more would need 60.
    """
    sent = [dataclasses.replace(order(0, "X", base), sender=s) for s, base in enumerate((6, 3, -1))]
    sent.append(dataclasses.replace(order(0, "X", -5), sender=2))
    ended = run(
        [market("X", 100.0, 100.0, (100.0, 100.0, 80.0, 90.0), 90.0)], sent, 100, [Tier(None, 0.1, 0.05)], 10.0,
        limits=(None, None, 0.5),
    )  # fmt: skip
    assert (ended.orders[3].reason, ended.orders[3].have, ended.orders[3].need) == (
        "margin_limit",
        micro(50),
        micro(60),
    )
    closed = [(s.strategy, s.kind, s.lots, s.amount) for s in ended.shares[3:]]
    assert closed == [
        (0, "closing", -lots(5.333), 491_197_368), (1, "closing", -lots(2.667), 245_644_737),
        (0, "relief", lots(0.667), -4_911_974), (1, "relief", lots(0.333), -2_456_447),
    ]  # fmt: skip
    assert ended.wallet == 100_000_000 - 800_000_000 + 736_842_105 - 7_368_421
