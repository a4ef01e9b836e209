"""Money between the reserve and the venue: what a strategy sends, sees and hears, and the guard that calls for it.

Rows of a minute, times in ms after row 0's open. `BRIDGED`: a deposit takes 90 s for nothing, or by `fast` 20 s for 2
and 1 %; a withdrawal 210 s for nothing, or by `fast` 20 s for 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from backtest import Strategy, UserError
from backtest.core.enums import Reason, TransferKind, TransferState
from backtest.core.errors import RunError
from backtest.core.records import Record
from backtest.engine import limit
from backtest.results.reserve import total
from backtest.strategy.guards import pack, parse
from backtest.strategy.loader import load
from backtest.venues.chain import Chain, Gas, Latency, Limit, Outage, Route
from tests.scenarios.chained import BRIDGED, played
from tests.scenarios.scenario import MINUTE, START, Market, Script, Step, Tape, both, buy

HOUR = 60 * MINUTE
FLAT = Market("BTC", [100.0] * 10)


class Teller(Script):
    """Writes down each transfer that it hears of, and what `look` sees."""

    def __init__(self, steps: Mapping[int, Step]) -> None:
        super().__init__(steps, MINUTE)
        self.heard, self.seen = Tape(), Tape()

    def on_transfer(self, transfer: Any, market: Any, account: Any) -> None:
        self.heard.append((market.now_ms - START, *transfer._replace(ts_ms=transfer.ts_ms - START)))


def look(tape: Tape) -> Step:
    def see(market: Any, account: Any) -> None:
        tape.append((account.wallet, account.equity, account.reserve, account.in_flight))

    return see


def top_up(amount: float, route: str | None = None) -> Step:
    return lambda market, account: account.top_up(amount, route)


def withdraw(amount: float, route: str | None = None) -> Step:
    return lambda market, account: account.withdraw(amount, route)


def journal(record: Record) -> list[tuple[Any, ...]]:
    """Time, number, kind, state, amount, fee and reason of each change of a transfer; money in micro."""
    return [
        (
            int(t["ts_ms"]) - START, int(t["order_id"]), TransferKind(t["kind"]).name.lower(),
            TransferState(t["state"]).name.lower(), int(t["amount"]), int(t["fee"]), Reason(t["reason"]).name.lower(),
        )
        for t in record.transfers
    ]  # fmt: skip


# ---- what they do


def test_a_deposit_and_a_withdrawal_by_hand(tmp_path: Path) -> None:
    # Sent at the close of row 1, minute 2. The deposit by `fast` arrives at 140,000, less 2 + 10. The withdrawal by the
    # first route leaves the wallet at once and is in the reserve at 120,000 + 210,000.
    tape = Tape()
    steps = {
        1: both(look(tape), top_up(1_000, "fast"), withdraw(500), look(tape)),
        2: look(tape),
        4: look(tape),
        5: look(tape),
    }
    teller = Teller(steps)
    record = played(tmp_path, teller, FLAT, chain=BRIDGED, reserve=5_000)
    assert list(tape) == [
        (100_000.0, 100_000.0, 5_000.0, 0.0),
        (99_500.0, 99_500.0, 4_000.0, 1_500.0),
        (100_488.0, 100_488.0, 4_000.0, 500.0),
        (100_488.0, 100_488.0, 4_000.0, 500.0),
        (100_488.0, 100_488.0, 4_500.0, 0.0),
    ]
    # What it did itself it hears of after the next row.
    assert list(teller.heard) == [
        (180_000, 120_000, 0, "deposit", "sent", "fast", 1_000.0, 0.0, None),
        (180_000, 120_000, 1, "withdrawal", "sent", "canonical", 500.0, 0.0, None),
        (180_000, 140_000, 0, "deposit", "arrived", "fast", 1_000.0, 12.0, None),
        (360_000, 330_000, 1, "withdrawal", "arrived", "canonical", 500.0, 0.0, None),
    ]
    assert (record.reserve, record.final_reserve, record.final_in_flight) == (5_000_000_000, 4_500_000_000, 0)
    assert record.final_wallet == 100_488_000_000


def test_without_a_chain_there_is_one_way_direct(tmp_path: Path) -> None:
    # The deposit arrives after the run's latency of 90 s, the withdrawal at once; neither costs anything.
    steps = {0: both(top_up(300), withdraw(200, "direct"))}
    teller = Teller(steps)
    record = played(tmp_path, teller, FLAT, reserve=1_000, latency_ms=90_000)
    assert [(what[1], what[2], what[4], what[5]) for what in teller.heard] == [
        (60_000, 0, "sent", "direct"),
        (60_000, 1, "sent", "direct"),
        (60_000, 1, "arrived", "direct"),
        (150_000, 0, "arrived", "direct"),
    ]
    assert (record.final_wallet, record.final_reserve) == (100_100_000_000, 900_000_000)


def test_what_is_on_its_way_is_shown_and_when_it_arrives_is_not(tmp_path: Path) -> None:
    seen = Tape()
    steps = {
        1: both(buy("BTC", 1), top_up(10), withdraw(20, "fast"), lambda _, a: seen.append(a.transfers)),
        2: lambda _, a: seen.append(a.transfers),
        3: lambda _, a: seen.append((a.transfers, a.orders)),
    }
    played(tmp_path, Teller(steps), FLAT, chain=BRIDGED, reserve=100)
    sent = START + 2 * MINUTE
    deposit, withdrawal = (1, "deposit", "canonical", 10.0, sent), (2, "withdrawal", "fast", 20.0, sent)
    # the deposit of minute 2 arrives at 3.5
    assert list(seen) == [(deposit, withdrawal), (deposit,), ((), ())]
    assert seen[0][0]._fields == ("transfer_id", "kind", "route", "amount", "ts_sent_ms")


def test_money_that_comes_in_is_margin_from_then_on(tmp_path: Path) -> None:
    # 1,000 at 5 % carry 200 BTC at 100. With 1,000 more on the way, which arrive at 150,000, 300 are refused at minute
    # 1 and 2 and taken at minute 3; 400 are one too many for 2,000 once one is held.
    steps = {0: both(top_up(1_000), buy("BTC", 300)), 1: buy("BTC", 300), 2: buy("BTC", 300), 3: buy("BTC", 101)}
    record = played(tmp_path, Teller(steps), FLAT, chain=BRIDGED, reserve=1_000, cash=1_000)
    assert [Reason(r).name for r in record.orders["reason"]] == ["MARGIN", "MARGIN", "NONE", "MARGIN"]


def test_a_deposit_of_an_isolated_account_goes_to_the_wallet(tmp_path: Path) -> None:
    # Leverage 10 posts 900 of 1,000 for 90 BTC at 100. The deposit of 500 is in the wallet at minute 2.5, and moves
    # to the pool at minute 3: 100 + 500 are all there is.
    moved = Tape()
    steps = {
        0: both(buy("BTC", 90), top_up(500)),
        1: lambda _, a: moved.append(a.add_margin("BTC", 600)),
        2: lambda _, a: moved.append(a.add_margin("BTC", 600)),
    }
    record = played(
        tmp_path, Teller(steps), FLAT, chain=BRIDGED, reserve=500, cash=1_000, margin="isolated", leverage=10
    )
    assert list(moved) == [False, True]
    assert (record.final_wallet, record.final_pool_cash.tolist()) == (0, [1_500_000_000 - 9_000_000_000])


# ---- amounts


@pytest.mark.parametrize(
    ("amount", "micro"),
    [
        (12.3456789, 12_345_679),
        (0.1 + 0.2, 300_000),
        (1.5e-6, 2),
        (2.5e-6, 2),
        (np.float32(0.5), 500_000),
        (7, 7 * 10**6),
    ],
)
def test_amounts_are_rounded_to_micro(tmp_path: Path, amount: float, micro: int) -> None:
    record = played(tmp_path, Teller({0: both(top_up(amount), withdraw(amount))}), FLAT, reserve=1_000)
    assert [row[4] for row in journal(record)] == [micro] * 4


@pytest.mark.parametrize("amount", [0, -1, math.nan, math.inf, -math.inf, 4e-7])
def test_what_is_no_amount_is_refused(tmp_path: Path, amount: float) -> None:
    record = played(tmp_path, Teller({0: both(top_up(amount), withdraw(amount))}), FLAT, reserve=1_000)
    assert journal(record) == [
        (MINUTE, 0, "deposit", "rejected", 0, 0, "quantity"),
        (MINUTE, 1, "withdrawal", "rejected", 0, 0, "quantity"),
    ]
    assert (record.final_wallet, record.final_reserve) == (100_000_000_000, 1_000_000_000)


def test_more_than_there_is_is_refused_with_both_numbers(tmp_path: Path) -> None:
    # The reserve holds 300, and 100 BTC that wait need 500 of 20,000. Gas is 0.25 and 0.5.
    chain = replace(BRIDGED, gas=(Gas(deposit=250_000, withdrawal=500_000),))
    wait = lambda _, account: account.buy("BTC", 100, limit=90.0)  # noqa: E731
    steps = {0: wait, 1: both(top_up(299.750001), withdraw(19_499.500001)), 2: both(top_up(299.75), withdraw(19_499.5))}
    record = played(tmp_path, Teller(steps), FLAT, chain=chain, reserve=300, cash=20_000)
    refused = [(Reason(t["reason"]).name, t["have"], t["need"]) for t in record.transfers if t["state"] == 2]
    assert refused == [("RESERVE", 300_000_000, 300_000_001), ("COLLATERAL", 19_500_000_000, 19_500_000_001)]
    assert record.final_wallet == 500_000_000 + 299_750_000
    assert record.final_reserve == 19_499_500_000


def test_more_than_there_can_ever_be_is_refused_like_more_than_there_is(tmp_path: Path) -> None:
    record = played(tmp_path, Teller({0: both(top_up(1e300), withdraw(10**30))}), FLAT, reserve=300, cash=20_000)
    refused = [(Reason(t["reason"]).name, t["have"], t["need"]) for t in record.transfers]
    # What was asked counts as 10^12, in micro.
    assert refused == [("RESERVE", 300_000_000, 10**18), ("COLLATERAL", 20_000_000_000, 10**18)]
    assert (record.final_wallet, record.final_reserve) == (20_000_000_000, 300_000_000)


def test_a_withdrawal_is_refused_while_the_gates_are_closed(tmp_path: Path) -> None:
    # Halted from 90 s to 150 s, gated for two minutes after: until 270 s. Minutes 2, 3 and 4 are refused.
    outage = Outage(START + 90_000, START + 150_000)
    chain = replace(BRIDGED, gate_after_ms=60_000, gate_ms=120_000, outages=(outage,))
    record = played(tmp_path, Teller({k: withdraw(1) for k in range(6)}), FLAT, chain=chain)
    sent = [(ms // MINUTE, reason) for ms, _, _, state, _, _, reason in journal(record) if state != "arrived"]
    assert sent == [(1, "none"), (2, "gated"), (3, "gated"), (4, "gated"), (5, "none"), (6, "none")]


def withheld(record: Record) -> list[tuple[int, str, int, int]]:
    """Minute, reason, have and need of each withdrawal that was asked for."""
    asked = [t for t in record.transfers if t["state"] != TransferState.ARRIVED]
    return [
        ((int(t["ts_ms"]) - START) // MINUTE, Reason(t["reason"]).name.lower(), int(t["have"]), int(t["need"]))
        for t in asked
    ]


def test_withdrawals_are_limited_by_the_period(tmp_path: Path) -> None:
    # 700 in seven minutes, 100 a minute, and 900 in an hour, 15 a minute. At minute 1 both are whole: 600 leave 100 and
    # 300. At minute 2 the first holds 200, and at minute 3, since nothing was sent, 300: as the second, 300 + 30, is
    # more, 300 may leave, to 0 and 30. At minute 4 they hold 100 and 45, at minute 8 100 + 400 and 45 + 60.
    limits = (Limit(700_000_000, 7 * MINUTE), Limit(900_000_000, 60 * MINUTE))
    amounts = {0: 600, 1: 200.000001, 2: 300, 3: 45.000001, 7: 105.000001, 8: 120}
    chain = replace(BRIDGED, withdrawal_limits=limits)
    record = played(tmp_path, Teller({k: withdraw(amount) for k, amount in amounts.items()}), FLAT, chain=chain)
    assert withheld(record) == [
        (1, "none", 0, 0),
        (2, "gated", 200_000_000, 200_000_001),
        (3, "none", 0, 0),
        (4, "gated", 45_000_000, 45_000_001),
        (8, "gated", 105_000_000, 105_000_001),
        (9, "none", 0, 0),
    ]
    assert record.final_wallet == 100_000_000_000 - 1_020_000_000


def test_a_refill_is_rounded_when_something_is_sent_and_not_when_it_is_asked(tmp_path: Path) -> None:
    # 1 in 7 minutes: a minute gives 142,857 and a seventh. Asked for a micro too much at each close from minute 2 on,
    # the limit is whole at minute 8: cut each time it would be 7 x 142,857 = 999,999.
    chain = replace(BRIDGED, withdrawal_limits=(Limit(1_000_000, 7 * MINUTE),))
    given = [k * 1_000_000 // 7 for k in range(1, 7)]
    asked = {k: withdraw((micro + 1) / 1_000_000) for k, micro in enumerate(given, 1)}
    record = played(tmp_path / "asked", Teller({0: withdraw(1), **asked, 7: withdraw(1)}), FLAT, chain=chain)
    refused = [(k + 1, "gated", micro, micro + 1) for k, micro in enumerate(given, 1)]
    assert withheld(record) == [(1, "none", 0, 0), *refused, (8, "none", 0, 0)]
    # 142,857 are sent at minute 2, and the seventh is lost: six minutes later it is 857,142, not a million less those.
    steps = {0: withdraw(1), 1: withdraw(0.142857), 7: withdraw(0.857143)}
    record = played(tmp_path / "sent", Teller(steps), FLAT, chain=chain)
    assert withheld(record) == [(1, "none", 0, 0), (2, "none", 0, 0), (8, "gated", 857_142, 857_143)]


def test_a_limit_is_asked_after_the_gates_and_before_the_collateral(tmp_path: Path) -> None:
    # Of 1,000 in the wallet 50 may leave in an hour. In the halt around minute 2 that is no matter; at minute 3 neither
    # limit nor wallet gives 5,000, and the limit says so; 50 are taken to the last micro, gas beside them. Then there
    # is a minute's 833,333 of capacity for 0.9, and only then does the wallet matter. A deposit is not limited.
    chain = replace(
        BRIDGED, withdrawal_limits=(Limit(50_000_000, 60 * MINUTE),), gas=(Gas(withdrawal=2_000_000),),
        outages=(Outage(START + 90_000, START + 150_000),),
    )  # fmt: skip
    steps = {1: withdraw(5_000), 2: withdraw(5_000), 3: both(withdraw(50), top_up(600)), 4: withdraw(0.9)}
    record = played(tmp_path / "limit", Teller(steps), FLAT, chain=chain, reserve=600, cash=1_000)
    assert withheld(record) == [
        (2, "gated", 0, 0),
        (3, "gated", 50_000_000, 5_000_000_000),
        (4, "none", 0, 0),
        (4, "none", 0, 0),
        (5, "gated", 833_333, 900_000),
    ]
    assert record.final_wallet == 1_000_000_000 - 52_000_000 + 600_000_000
    # What is refused for the collateral takes nothing of the limit: 998 free with gas, then all 50 at once.
    wide = replace(chain, withdrawal_limits=(Limit(1_000_000_000, 60 * MINUTE),), outages=())
    short = played(tmp_path / "free", Teller({0: withdraw(999), 1: withdraw(998)}), FLAT, chain=wide, cash=1_000)
    assert withheld(short) == [(1, "collateral", 1_000_000_000, 1_001_000_000), (2, "none", 0, 0)]


def test_a_deposit_raises_a_limit_and_what_is_above_it_decays(tmp_path: Path) -> None:
    # 60 an hour and a deposit of 50: 60 + 50 at 2:30. A minute takes 1 of what is above 60, so at minute 5 107.5 may
    # leave, and no micro more. Nothing is left; at minute 6 there is 1 again.
    chain = replace(BRIDGED, withdrawal_limits=(Limit(60_000_000, 60 * MINUTE),))
    steps = {0: top_up(50), 4: both(withdraw(107.500001), withdraw(107.5)), 5: withdraw(1.000001)}
    record = played(tmp_path / "up", Teller(steps), FLAT, chain=chain, reserve=50)
    assert withheld(record) == [
        (1, "none", 0, 0), (5, "gated", 107_500_000, 107_500_001), (5, "none", 0, 0), (6, "gated", 1_000_000, 1_000_001)
    ]  # fmt: skip
    # 60 an hour in blocks of a minute and 198 that arrive at 2:30: 258, of which 198 are above. Each block takes a
    # sixtieth of those, which leaves 194.7 at 3:30 and 191.455 at 4:30; half a minute takes half as large a share,
    # 1.595458 and a third.
    slow = replace(chain, block_ms=MINUTE)
    steps = {0: top_up(198), 4: withdraw(250)}
    record = played(tmp_path / "twice", Teller(steps), FLAT, chain=slow, reserve=198)
    assert withheld(record) == [(1, "none", 0, 0), (5, "gated", 249_859_542, 250_000_000)]


@pytest.mark.parametrize(
    ("baseline", "per_s", "before", "passed_ms", "after"),
    [
        (100_000_000_000, 3_600, 200_000_000_000, 12_000, 199_666_666_667),
        (200_000_000_000, 3_600, 329_000_000_000, 1_150, 328_936_111_112),
        (2_000_000_000_000, 86_400, 3_500_000_000_000, 1_150, 3_499_973_379_630),
        (200_000_000_000, 3_600, 629_000_000_000, 1_150, 628_862_958_334),
        (2_000_000_000_000, 86_400, 1_200_000_000_000, 1_150, 1_200_026_620_370),
        (250_000_000_000, 3_600, 250_000_000_000, 1_000, 250_000_000_000),
    ],
)
def test_a_step_of_a_limit_is_the_chains(baseline: int, per_s: int, before: int, passed_ms: int, after: int) -> None:
    # The chain's own cases: dydxprotocol/v4-chain, x/ratelimit/util/capacity_test.go.
    assert limit.capacity(baseline, 1_000 * per_s, before, passed_ms) == after


def test_limits_of_any_size_are_exact() -> None:
    # 10^18 micro by a third of 10^12 ms and one: the products are far beyond 64 bits.
    amount, per = 10**18, 10**12 // 3 + 1
    for passed in (0, 1, per // 2, per - 1, per, 2**62):
        for left in (0, amount // 3, amount):
            assert limit.capacity(amount, per, left, passed) == min(amount, left + amount * passed // per)
            assert limit.capacity(amount, per, 2 * amount - left, passed) == max(
                amount, 2 * amount - left - amount * passed // per
            )


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (top_up(1, "fst"), "account.top_up: unknown route 'fst'; did you mean 'fast'?"),
        (withdraw(1, "direct"), "account.withdraw: unknown route 'direct'; known: canonical, fast"),
        (top_up(1, 1), "account.top_up: unknown route 1; known: canonical, fast"),  # type: ignore[arg-type]
        (withdraw("1"), "account.withdraw: amount '1' is not a number"),  # type: ignore[arg-type]
        (top_up(None), "account.top_up: amount None is not a number"),  # type: ignore[arg-type]
        (withdraw(True), "account.withdraw: amount True is not a number"),
        (top_up(np.True_), "account.top_up: amount np.True_ is not a number"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_transfer_at_all_stops_the_run(tmp_path: Path, act: Step, said: str) -> None:
    with pytest.raises(RunError) as failure:
        played(tmp_path, Teller({0: act}), FLAT, chain=BRIDGED, reserve=10)
    assert str(failure.value).endswith(f"2024-03-01 00:01:00Z: {said}")


def test_a_chain_without_a_route_carries_nothing(tmp_path: Path) -> None:
    chain = Chain(name="island", withdrawals=(Route("raft", Latency()),))
    played(tmp_path / "out", Teller({0: withdraw(1, "raft")}), FLAT, chain=chain)
    with pytest.raises(RunError, match="chain island has no route for a deposit; give it one in its file"):
        played(tmp_path / "in", Teller({0: top_up(1)}), FLAT, chain=chain, reserve=1)


@pytest.mark.parametrize("call", ["top_up", "withdraw"])
def test_before_the_first_candle_no_money_moves(tmp_path: Path, call: str) -> None:
    class Early(Teller):
        def on_start(self, market: Any, account: Any) -> None:
            getattr(account, call)(1)

    with pytest.raises(RunError, match=f"account.{call}: a transfer before the first candle; send it from on_candle"):
        played(tmp_path, Early({}), FLAT, reserve=10)


def test_what_is_sent_after_the_last_candle_stays_in_flight(tmp_path: Path) -> None:
    class Late(Teller):
        def on_stop(self, market: Any, account: Any) -> None:
            account.top_up(3)
            account.withdraw(4)

    record = played(tmp_path, Late({}), FLAT, chain=BRIDGED, reserve=10)
    assert (record.final_wallet, record.final_reserve, record.final_in_flight) == (99_996_000_000, 7_000_000, 7_000_000)


# ---- the chain


def test_the_chain_stands_still_between_the_ends_of_an_outage(tmp_path: Path) -> None:
    # Three halts: 1 to 3, 4.5 to 5.5, and from before the run's first close to it. What begins or ends now does not.
    seen = Tape()
    ends = ((-60_000, 60_000), (120_000, 240_000), (330_000, 390_000))
    chain = Chain(outages=tuple(Outage(START + a, START + b) for a, b in ends))
    see = lambda market, account: seen.append((market.sequencer_up, account.sequencer_up))  # noqa: E731
    played(tmp_path, Teller(dict.fromkeys(range(10), see)), FLAT, chain=chain)
    # minutes 1 to 10
    up = [True, True, False, True, True, False, True, True, True, True]
    assert list(seen) == [(one, one) for one in up]


def test_of_every_chain_and_mode_nothing_is_lost(tmp_path: Path) -> None:
    # Wallet, pools, reserve and money in flight change by fees of routes alone; prices stand still and fills are free.
    rng = np.random.default_rng(5)

    def act(market: Any, account: Any) -> None:
        amount = float(rng.integers(1, 3_000)) + 0.123456
        account.target("BTC", qty=float(rng.integers(-300, 300)))
        getattr(account, str(rng.choice(["top_up", "withdraw"])))(amount, str(rng.choice(["canonical", "fast"])))

    for margin in ("cross", "isolated"):
        steps = dict.fromkeys(range(60), act)
        record = played(
            tmp_path / margin, Teller(steps), Market("BTC", [100.0] * 60), chain=BRIDGED, reserve=5_000, cash=5_000,
            margin=margin, leverage=10,
        )  # fmt: skip
        fees = int(record.transfers["fee"].sum())
        assert fees > 0
        assert {0, 1, 2} == set(record.transfers["state"].tolist())
        held = int(record.final_lots[0]) * 100_000  # lots of 0.001 at 100
        total = record.final_wallet + int(record.final_pool_cash.sum()) + held
        assert total + record.final_reserve + record.final_in_flight == 10_000_000_000 - fees


# ---- the guard

LADDER = [1_000.0, 1_000.0, 950.0, 947.0, 947.0, 947.0, 947.0, 947.0]
"""100 bought at 1,000 with 10,000 of cash: at 950 equity is 5,000 and maintenance 2,850, the ratio 0.57; at 947 they
are 4,700 and 2,841, the ratio 0.604."""


class Once(Strategy):
    """Decides 100 BTC at the first close, compiled."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        return candles.head(1).select("ts", "symbol", qty=100.0)


@pytest.mark.parametrize("form", ["on_candle", "targets"])
@pytest.mark.parametrize(
    ("reserve", "amount"),
    # to a ratio of 0.3: 2,841 / 0.3 - 4,700 = 4,770; of a reserve of 3,000.25 there is 0.25 for gas
    [(20_000, 4_770_000_000), (3_000.25, 3_000_000_000)],
)
def test_the_guard_calls_for_money_once(tmp_path: Path, form: str, reserve: float, amount: int) -> None:
    # Reached at the close of row 3, minute 4; it is there 90 s later. At minute 5 the ratio is still 0.604 and what is
    # on its way counts: nothing more is missing, or there is nothing more to send.
    strategy = Once() if form == "targets" else Script({0: buy("BTC", 100)}, MINUTE)
    chain = replace(BRIDGED, gas=(Gas(deposit=250_000),))
    record = played(
        tmp_path, strategy, Market("BTC", LADDER), chain=chain, reserve=reserve, guards=("top-up=0.6:0.3",), cash=10_000
    )
    assert journal(record) == [
        (4 * MINUTE, 1, "deposit", "sent", amount, 0, "none"),
        (4 * MINUTE + 90_000, 1, "deposit", "arrived", amount, 0, "none"),
    ]
    (guard,) = record.guards
    assert (guard["ts_ms"] - START, guard["symbol"], guard["pool"], guard["order_id"]) == (4 * MINUTE, -1, -1, 1)
    assert guard["value"] == 2_841 / 4_700
    assert record.final_wallet == 10_000_000_000 - 100_000_000_000 + amount
    assert record.final_reserve == round(reserve * 1e6) - 250_000 - amount


def test_what_falls_further_is_called_for_as_well(tmp_path: Path) -> None:
    # At 940 equity is 4,000 and maintenance 2,820: 9,400 less 4,000 and the 4,770 underway are 630.
    prices = [*LADDER[:4], 940.0, 940.0, 940.0, 940.0]
    record = played(
        tmp_path, Once(), Market("BTC", prices), chain=BRIDGED, reserve=20_000, guards=("top-up=0.6:0.3",), cash=10_000
    )
    sent = [(row[0] // MINUTE, row[4]) for row in journal(record) if row[3] == "sent"]
    assert sent == [(4, 4_770_000_000), (5, 630_000_000)]


@pytest.mark.parametrize(("delay_ms", "dies"), [(0, False), (60_000, False), (120_000, True), (600_000, True)])
def test_the_rescue_can_come_too_late(tmp_path: Path, delay_ms: int, dies: bool) -> None:
    # Called for at minute 4; after minute 5 the price falls below 927.83, where 10,000 bear no more: 100 × (p − 900) =
    # 3 p. With 4,770 more it would be 878.66. The position ends in the fall, and the money comes to an empty account.
    chain = replace(BRIDGED, deposits=(Route("one", Latency(delay_ms, delay_ms)),))
    prices = [*LADDER[:5], (947.0, 947.0, 900.0, 900.0), *[900.0] * 12]
    record = played(
        tmp_path, Once(), Market("BTC", prices), chain=chain, reserve=20_000, guards=("top-up=0.6:0.3",), cash=10_000
    )
    assert bool(len(record.liquidations)) == dies
    assert bool(record.final_lots[0]) == (not dies)
    assert [row[4] for row in journal(record) if row[3] == "arrived"][:1] == [4_770_000_000]


def test_an_isolated_pool_is_filled_from_the_wallet_and_the_cross_pool_from_outside() -> None:
    guard = (parse("top-up=0.8:0.5"),)
    for modes, reserve in (({"isolated"}, 0), ({"cross", "isolated"}, 0), ({"cross"}, 1), ({"portfolio"}, 1)):
        assert pack(guard, ("BTC",), 10, modes, reserve).shape[0] == 1
    for modes in ({"cross"}, {"portfolio"}, {"cross", "portfolio"}):
        with pytest.raises(UserError) as failure:
            pack(guard, ("BTC",), 10, modes, 0)
        assert str(failure.value) == (
            "guard top-up=0.8:0.5: in cross margin a top-up requires a reserve; set --reserve, or use reduce"
        )


def test_the_guard_needs_a_route() -> None:
    guard, island = (parse("top-up=0.8:0.5"),), Chain(name="island")
    assert len(pack(guard, ("BTC",), 10, {"isolated"}, 1, island)) == 1
    assert len(pack(guard, ("BTC",), 10, {"cross"}, 1, BRIDGED)) == 1
    with pytest.raises(UserError, match=r"^guard top-up=0\.8:0\.5: chain island has no route for a deposit"):
        pack(guard, ("BTC",), 10, {"cross"}, 1, island)


# ---- the guards of the account


def halts(record: Record) -> list[tuple[int, float]]:
    """Time and value of each halt."""
    return [(int(g["ts_ms"]) - START, float(g["value"])) for g in record.guards if g["order_id"] == -1]


@pytest.mark.parametrize("chain", [Chain(), BRIDGED])
@pytest.mark.parametrize("guard", ["drawdown=20%", "account-loss=20%", "account-loss=1"])
def test_withdrawals_are_no_loss(tmp_path: Path, chain: Chain, guard: str) -> None:
    # 6,000 at each close: at minute 5 there are 76,000 of the 100,000 at the venue. The rest is in the reserve, or up
    # to 210 s on its way there.
    steps = dict.fromkeys(range(9), withdraw(6_000))
    record = played(tmp_path, Teller(steps), FLAT, chain=chain, guards=(guard,))
    assert record.curve["equity"][[3, 4, 9]].tolist() == [82_000.0, 76_000.0, 46_000.0]
    assert halts(record) == []


@pytest.mark.parametrize(
    ("guard", "value"), [("drawdown=20%", 0.2), ("account-loss=20%", 40_000.0), ("account-loss=40000", 40_000.0)]
)
def test_top_ups_hide_no_loss(tmp_path: Path, guard: str, value: float) -> None:
    # 100 BTC at 1,000 on 100,000, and 100,000 in the reserve: 200,000, of which 20 % are lost at 600. With 10,000 more
    # at each close the venue has 100,000 + 60,000 − 40,000 then, more than it ever had.
    prices = [1_000.0, 1_000.0, 900.0, 800.0, 700.0, 600.01, 600.0, 600.0, 600.0]
    steps = {k: both(top_up(10_000), *[buy("BTC", 100)] * (k == 0)) for k in range(8)}
    record = played(tmp_path, Teller(steps), Market("BTC", prices), reserve=100_000, guards=(guard,))
    assert record.curve["equity"][6] == 120_000.0
    assert halts(record) == [(7 * MINUTE, value)]
    assert record.fills["lots"].tolist() == [100_000, -100_000]


def test_the_reserve_is_part_of_the_peak(tmp_path: Path) -> None:
    # 100,000 at the venue and as many beside it; 100 BTC from 1,000 to 1,500 make 250,000, and 200,000 are 20 % less.
    # Of the venue alone 1,200 would be, 120,000 after 150,000.
    prices = [1_000.0, 1_000.0, 1_500.0, 1_200.0, 1_000.01, 1_000.0, 1_000.0]
    record = played(
        tmp_path, Teller({0: buy("BTC", 100)}), Market("BTC", prices), reserve=100_000, guards=("drawdown=20%",)
    )
    assert halts(record) == [(6 * MINUTE, 0.2)]


@pytest.mark.parametrize(
    ("level", "minute", "lost"), [(0.25, 3, 0.25), (0.26, 6, 12.5), (12.5, 6, 12.5), (12.51, 8, 13.5), (13.5, 8, 13.5)]
)
def test_what_transfers_cost_is_lost(tmp_path: Path, level: float, minute: int, lost: float) -> None:
    # A deposit of minute 2 costs 0.25 of gas and nothing else; at minute 3 it is on its way, nothing else happens and
    # nothing is held. Of one by `fast` at minute 5 the fee is 2 + 10 as well, and at minute 6 it has arrived: 12.50
    # with the other. A withdrawal by `fast` at minute 7 costs 0.50 of gas and 0.50: 13.50 at minute 8.
    chain = replace(BRIDGED, gas=(Gas(deposit=250_000, withdrawal=500_000),))
    steps = {1: top_up(1_000), 4: top_up(1_000, "fast"), 6: withdraw(500, "fast")}
    record = played(tmp_path, Teller(steps), FLAT, chain=chain, reserve=5_000, guards=(f"account-loss={level}",))
    assert halts(record) == [(minute * MINUTE, lost)]


def test_a_guard_sees_what_one_before_it_has_paid(tmp_path: Path) -> None:
    # The top-up of minute 4 costs 0.25 of gas: 5,300.25 are lost then, with what 100 BTC fell from 1,000 to 947.
    chain = replace(BRIDGED, gas=(Gas(deposit=250_000),))
    guards = ("top-up=0.6:0.3", "account-loss=5300.25")
    record = played(tmp_path, Once(), Market("BTC", LADDER), chain=chain, reserve=20_000, guards=guards, cash=10_000)
    assert (4 * MINUTE, 5_300.25) in halts(record)


@pytest.mark.parametrize(("seed", "held"), [(0, 2_000), (1, 2_000), (2, -2_000), (3, -2_000), (4, 0), (5, 0)])
def test_a_halt_is_where_the_report_has_the_drawdown(tmp_path: Path, seed: int, held: float) -> None:
    rng = np.random.default_rng(seed)
    market = Market("BTC", (100 * np.exp(np.cumsum(rng.normal(0, 0.004, 240)))).round(2).tolist())

    ways = [((top_up, withdraw)[rng.integers(2)], float(rng.integers(1, 30_000))) for _ in range(240)]
    steps = {k: how(amount, "fast" if k % 3 else "canonical") for k, (how, amount) in enumerate(ways)}
    steps[0] = lambda _, account: account.target("BTC", qty=held)
    chain = replace(BRIDGED, gas=(Gas(deposit=100_000_000, withdrawal=50_000_000),))
    settings: dict[str, Any] = {"chain": chain, "reserve": 50_000, "cash": 50_000}
    worth = total(played(tmp_path / "free", Teller(steps), market, **settings))
    peak = np.maximum.accumulate([100_000.0, *worth])[1:]
    under = np.flatnonzero(worth <= 0.95 * peak)
    record = played(tmp_path / "watched", Teller(steps), market, guards=("drawdown=5%",), **settings)
    ((when, value),) = halts(record)
    assert when == (under[0] + 1) * MINUTE
    assert value == pytest.approx(1 - worth[under[0]] / peak[under[0]], rel=1e-12)


# ---- the teaching plug-in


def lived(folder: Path, prices: list[Any], chain: Chain, reserve: float, **params: Any) -> Record:
    """The plug-in on hourly prices: 4 x 10,000 at 100, so 400 BTC."""
    strategy = load("lifeline", {"market": "BTC", **params})
    return played(folder, strategy, Market("BTC", prices), chain=chain, reserve=reserve, cash=10_000, interval="1h")


def test_lifeline_calls_for_what_brings_its_leverage_back(tmp_path: Path) -> None:
    # At 89: 10,000 − 4,400 = 5,600 bear 35,600, 6.36 times: above 6. 35,600 / 4 − 5,600 = 3,300.
    # At 88 with those on their way nothing more is needed: 35,200 / (5,200 + 3,300) = 4.14.
    chain = replace(BRIDGED, deposits=(Route("bridge", Latency(5_400_000, 5_400_000)),))
    record = lived(tmp_path, [100.0, 100.0, 95.0, 89.0, 88.0, 88.0, 88.0], chain, 8_000)
    assert journal(record) == [
        (4 * HOUR, 1, "deposit", "sent", 3_300_000_000, 0, "none"),
        (4 * HOUR + 5_400_000, 1, "deposit", "arrived", 3_300_000_000, 0, "none"),
    ]
    assert not len(record.liquidations)


def test_lifeline_dies_when_the_money_is_late(tmp_path: Path) -> None:
    # Below 77.32 the 10,000 bear no more: 400 × (p − 75) = 12 p. The 3,300 of minute 240 come an hour and a half later,
    # to nothing. What was left went home at the next hour, and they follow it, but for what stays for gas.
    chain = replace(BRIDGED, deposits=(Route("bridge", Latency(5_400_000, 5_400_000)),))
    prices = [100.0, 100.0, 95.0, 89.0, (89.0, 89.0, 70.0, 72.0), 72.0, 72.0, 72.0]
    late = lived(tmp_path / "late", prices, chain, 8_000)
    (liquidated,) = late.liquidations["ts_ms"] - START
    ((arrived, *_),) = [row for row in journal(late) if row[2:4] == ("deposit", "arrived")]
    assert 4 * HOUR < liquidated < 5 * HOUR < arrived == 4 * HOUR + 5_400_000
    assert [row[0] for row in journal(late) if row[2:4] == ("withdrawal", "sent")] == [5 * HOUR, 6 * HOUR]
    assert late.final_wallet == 100_000_000
    # At once, the 13,300 bear it to 68.81: 400 x (p - 66.75) = 12 p.
    soon = lived(tmp_path / "soon", prices, replace(chain, deposits=(Route("bridge", Latency()),)), 8_000)
    assert not len(soon.liquidations)
    assert soon.final_lots[0] == 400_000


def test_lifeline_calls_no_more_than_there_is(tmp_path: Path) -> None:
    record = lived(tmp_path, [100.0, 100.0, 95.0, 89.0, 88.0, 87.0], BRIDGED, 1_000)
    # a hundred stay for gas; then there is not enough left to be worth it
    assert [row[4] for row in journal(record) if row[3] == "sent"] == [900_000_000]
    poor = lived(tmp_path / "poor", [100.0, 100.0, 95.0, 89.0, 88.0, 87.0], BRIDGED, 199)
    assert journal(poor) == []
