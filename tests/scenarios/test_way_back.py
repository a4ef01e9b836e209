"""The way back: hooks hear of what happened at T at the first close not before T + way, in order of the journal.

Rows of a minute, one quiet market unless said otherwise. What is bought at the close of row 0 fills at minute 1, the
open of row 1, and without a way back is heard at minute 2. Times that are written down are minutes after row 0's open.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest.core.records import CURVE, Record
from backtest.engine import publisher
from backtest.venues.chain import Chain, Latency
from tests.reference import draw
from tests.rules_index import rule
from tests.scenarios.chained import BRIDGED, played
from tests.scenarios.scenario import MINUTE, START, Market, Script, Step, Tape, both, buy, sell, write

pytestmark = rule("layer2 2")

WAY_BACK = 2
"""The stage of the draws."""


def back(median_ms: float, p99_ms: float | None = None, *quantiles: float) -> Chain:
    """A chain that messages take no time on, but for the way back."""
    return replace(BRIDGED, back=Latency(median_ms, median_ms if p99_ms is None else p99_ms, quantiles))


class Ears(Script):
    """Writes down what each hook hears, and at which minute."""

    def __init__(self, steps: Mapping[int, Step], every: str | None = None) -> None:
        super().__init__(steps, MINUTE)
        self.every, self.heard = every, Tape()

    def hear(self, event: Any, market: Any, account: Any) -> None:
        self.heard.append(((market.now_ms - START) // MINUTE, type(event).__name__, event))

    on_fill = on_order = on_funding = on_margin_call = on_liquidation = on_transfer = hear


class Buyer(Ears):
    """Hears of fills alone."""

    on_order = on_funding = on_margin_call = on_liquidation = on_transfer = Script.on_order


def minutes(ears: Ears) -> list[int]:
    return [minute for minute, _, _ in ears.heard]


@pytest.mark.parametrize("every", [None, "5m"])
@pytest.mark.parametrize(
    ("way_ms", "minute"),
    # filled at 60,000: 60,000 more is the close of row 1, a ms more the next one's; half a ms is rounded up
    [(0, 2), (60_000, 2), (60_000.4, 2), (60_000.5, 3), (60_001, 3), (120_000, 3), (1_500_000, 26), (2_339_999, 40)],
)
def test_a_fill_is_heard_at_the_first_close_not_before(tmp_path: Path, way_ms, minute, every) -> None:
    # Called every five minutes the order of the first call, at minute 5, fills there: all is four minutes later.
    later = 0 if every is None else 4
    ears = Buyer({later: buy("BTC", 1)}, every)
    record = played(tmp_path, ears, Market("BTC", [100.0] * 50), chain=back(way_ms))
    assert [(heard, event.ts_ms - START) for heard, _, event in ears.heard] == [(minute + later, (1 + later) * MINUTE)]
    assert record.counts["events not delivered before the end"] == 0


@pytest.mark.parametrize("every", [None, "5m"])
@pytest.mark.parametrize("chunk_rows", [1, 7, 64])
def test_chunks_and_rows_played_ahead_do_not_show(tmp_path: Path, chunk_rows: int, every: str | None) -> None:
    # 8.3 minutes from the fills of minutes 1 and 121, or 5 and 125. In the quiet rows between, which are played ahead,
    # nothing else would stop.
    later = 0 if every is None else 4
    ears = Buyer({k + later: buy("BTC", 1) for k in (0, 120)}, every)
    played(tmp_path, ears, Market("BTC", [100.0] * 400), chain=back(498_000), chunk_rows=chunk_rows)
    assert minutes(ears) == [10 + later, 130 + later]


def busy() -> tuple[list[Market], dict[int, Step]]:
    """All that hooks can hear of: refusals, fills, cancels, funding, transfers, the venue's call, and its liquidation.

    15,000 BTC at 100 on 100,000: at 97.4 equity is 61,000 and initial margin 73,050, at 95 the venue closes it.
    """
    prices = [100.0, 100.0, 101.0, 99.0, (99.0, 99.0, 97.4, 97.4), 97.5, 98.0, 99.0, *[100.0] * 30, *[95.0] * 22]
    markets = [
        Market("BTC", prices, funding={k + 0.5: 0.0001 for k in range(2, 60, 7)}),
        Market("ETH", [10.0] * 60, funding=dict.fromkeys(range(2, 60, 9), 0.0001)),
    ]
    steps = {
        0: both(buy("BTC", 15_000), buy("ETH", 5), lambda _, a: a.buy("BTC", float("nan"))),
        2: lambda _, a: a.buy("ETH", 5, limit=9.0, stop_loss=8.0),
        3: lambda _, a: (a.withdraw(500.0), a.withdraw(-1.0), a.top_up(500.0)),
        9: both(sell("BTC", 1), sell("ETH", 1)),
        12: lambda _, a: a.cancel_all(),
        20: sell("BTC", 7),
    }
    return markets, steps


def play_busy(folder: Path, chain: Chain, every: str | None = None, **settings: Any) -> tuple[Ears, Record]:
    markets, steps = busy()
    if every is not None:  # its closes are those of every second row
        steps = {k + 1 - k % 2: step for k, step in steps.items()}
    ears = Ears(steps, every)
    return ears, played(folder, ears, *markets, chain=chain, reserve=1_000.0, **settings)


@pytest.mark.parametrize("every", [None, "2m"])
def test_who_waits_for_the_oracle_misses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every) -> None:
    # Its mark is made beside the replay, here slowly, a row at a time: who comes to one that is not there yet waits.
    settings = {"oracle": ("delay=20s", "deviation=0.5%")}
    at_once, whole = play_busy(tmp_path / "once", back(70_000), every, **settings)
    publish = publisher.publish

    def slowly(*arguments: Any) -> None:
        time.sleep(0.005)
        publish(*arguments)

    monkeypatch.setattr(publisher, "publish", slowly)
    monkeypatch.setattr(publisher, "WORTH", 0)
    monkeypatch.setattr(publisher, "BLOCK", 1)
    by_row, parts = play_busy(tmp_path / "row", back(70_000), every, **settings)
    assert at_once.heard
    assert by_row.heard == at_once.heard
    assert all(parts.curve[name].tobytes() == whole.curve[name].tobytes() for name in CURVE)
    assert len(whole.liquidations)
    assert (whole.sight["venue"] != whole.sight["market"]).any()


@pytest.mark.parametrize("every", [None, "2m"])
@pytest.mark.parametrize(
    "chain",
    [back(70_000, 900_000), back(0, None, 0, 10_000, 20_000, 400_000), back(150_000)],
    ids=["log-normal", "table", "constant"],
)
def test_nothing_is_overtaken_and_each_takes_its_own_way(tmp_path: Path, chain: Chain, every: str | None) -> None:
    # What is heard at once says what there is to hear, in order. Each takes the way of its key, but for what holds it
    # up: computed with the draws of the reference, by hand from the rule.
    at_once, _ = play_busy(tmp_path / "once", BRIDGED, every)
    kinds = {kind for _, kind, _ in at_once.heard}
    assert kinds == {"Fill", "OrderEvent", "FundingPayment", "MarginCall", "Liquidation", "Transfer"}
    late, record = play_busy(tmp_path / "late", chain, every)
    symbols, latest, expected = ("BTC", "ETH"), 0, []
    ms = draw.Latency(chain.back.median_ms, chain.back.p99_ms, chain.back.quantiles)
    for _, kind, event in at_once.heard:
        number = getattr(event, "transfer_id" if kind == "Transfer" else "order_id", -1)
        symbol = symbols.index(event.symbol) if getattr(event, "symbol", "") else draw.NONE
        u = draw.uniform(0, event.ts_ms, symbol, number % 2**32, WAY_BACK)
        latest = max(latest, event.ts_ms + draw.whole(draw.value(ms, u)))
        expected.append((ceil((latest - START) / MINUTE), kind, event))
    # what was sent or refused at a close is read after the next row, and not before
    assert [event for *_, event in late.heard] == [event for *_, event in expected][: len(late.heard)]
    heard = [max(now, at) for (now, *_), (at, *_) in zip(at_once.heard, expected, strict=True)]
    within = [minute for minute in heard if minute <= 60]
    assert minutes(late) == within
    assert record.counts["events not delivered before the end"] == len(heard) - len(within)
    if len(set(heard)) < 5:
        pytest.fail("a play in which everything is heard at once shows nothing")


def test_the_seed_draws_other_ways(tmp_path: Path) -> None:
    plays = [play_busy(tmp_path / str(n), back(70_000, 900_000), seed=seed)[0] for n, seed in enumerate((1, 1, 2))]
    first, again, other = (minutes(ears) for ears in plays)
    assert first == again != other


@pytest.mark.parametrize("every", [None, "2m"])
@pytest.mark.parametrize("chunk_rows", [1, 13])
def test_the_size_of_chunks_does_not_show(tmp_path: Path, chunk_rows: int, every: str | None) -> None:
    whole, _ = play_busy(tmp_path / "whole", back(70_000, 900_000), every)
    parts, _ = play_busy(tmp_path / "parts", back(70_000, 900_000), every, chunk_rows=chunk_rows)
    assert list(whole.heard) == list(parts.heard)


@pytest.mark.parametrize("every", [None, "5m"])
def test_what_comes_back_after_the_end_is_counted(tmp_path: Path, every: str | None) -> None:
    # Ten rows. The fill of minute 5 and its order's end are back at 8; those of the order sent at 5, which fills at 5
    # too, likewise. What fills at 10 never is, nor is the refusal of the last close, which no row follows.
    refuse = lambda _, account: account.buy("BTC", float("nan"))  # noqa: E731
    ears = Ears({4: buy("BTC", 1), 9: refuse}, every)
    market = Market("BTC", [100.0] * 10, funding={9.5: 0.001})
    record = played(tmp_path, ears, market, chain=back(180_000))
    assert [(minute, kind) for minute, kind, _ in ears.heard] == [(8, "Fill"), (8, "OrderEvent")]
    # the settlement of minute 9.5, and the refusal
    assert record.counts["events not delivered before the end"] == 2


def test_without_a_way_back_nothing_is_missing(tmp_path: Path) -> None:
    # A chain that is slow in all but this hears as none does; the refusal of the last close has no row and no count.
    refuse = lambda _, account: account.buy("BTC", float("nan"))  # noqa: E731
    steps = {0: buy("BTC", 1), 5: refuse}
    for n, chain in enumerate((Chain(), BRIDGED)):
        ears = Ears(steps)
        record = played(tmp_path / str(n), ears, Market("BTC", [100.0] * 6), chain=chain)
        assert [(minute, kind) for minute, kind, _ in ears.heard] == [(2, "Fill"), (2, "OrderEvent")]
        assert record.counts["events not delivered before the end"] == 0


def test_account_shows_the_venue_and_a_late_hook_acts_late(tmp_path: Path) -> None:
    # Bought at minute 1, which takes 150 s to be known: at 3.5, heard at minute 4. What the hook sends leaves then and
    # fills at the open of 95, minute 4; without a way back it would have been the 99 of minute 2.
    held = Tape()

    class Late(Script):
        def on_fill(self, fill: Any, market: Any, account: Any) -> None:
            if fill.qty > 0:
                account.close("BTC")

    look = {k: lambda market, account: held.append(account.position("BTC").qty) for k in range(1, 5)}
    strategy = Late({0: buy("BTC", 1), **look}, MINUTE)
    record = played(tmp_path, strategy, Market("BTC", [100.0, 100.0, 99.0, 97.0, 95.0, 95.0]), chain=back(150_000))
    assert [((f["ts_ms"] - START) // MINUTE, f["price"]) for f in record.fills] == [(1, 100.0), (4, 95.0)]
    assert list(held) == [1.0, 1.0, 1.0, 0.0]


def test_a_hook_beside_others_moves_none_of_its_own_instant(tmp_path: Path) -> None:
    # A fill and its order's end are one event to the key: with or without `on_order` the fill is heard when it was.
    market = Market("BTC", [100.0] * 60)
    steps = {k: buy("BTC", 1) for k in range(0, 30, 3)}
    alone, beside = Buyer(steps), Ears(steps)
    played(tmp_path / "alone", alone, market, chain=back(70_000, 900_000))
    played(tmp_path / "beside", beside, market, chain=back(70_000, 900_000))
    assert list(alone.heard) == [entry for entry in beside.heard if entry[1] == "Fill"]


def test_compiled_decisions_have_no_way_back(tmp_path: Path) -> None:
    class Once(backtest.Strategy):
        def targets(self, candles: Any) -> Any:
            return candles.head(1).select("ts", "symbol", qty=1.0)

    record = played(tmp_path, Once(), Market("BTC", [100.0] * 4), chain=back(150_000))
    assert [(f["ts_ms"] - START) // MINUTE for f in record.fills] == [1]
    assert "events not delivered before the end" not in record.counts


def test_the_harness_plays_what_a_run_plays(tmp_path: Path) -> None:
    market = Market("BTC", [100.0, 100.0, 103.0, 98.0], funding={2: 0.001})
    steps = {0: buy("BTC", 3), 2: sell("BTC", 1)}
    through_run, here = Ears(steps), Ears(steps)
    result = backtest.run(through_run, write(tmp_path / "run", market), cash=100_000)
    record = played(tmp_path / "here", here, market)
    assert list(through_run.heard) == list(here.heard)
    assert result.tables["fills"]["price"].to_list() == record.fills["price"].tolist()
