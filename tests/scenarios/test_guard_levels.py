"""Guards with levels, guards on funding, basis, oracle and volatility, and exits relative to the fill, by hand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backtest
from backtest import Result, UserError
from backtest.strategy.guards import levels
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, Script, Step, buy, column, play, rows, sell, write

SENT = ("ts", "symbol", "value", "order_id")


def guarded(folder: Path, guard: str, markets: list[Market], steps: dict[int, Step], **settings: Any) -> Result:
    return play(folder, markets, steps, guards=[guard], **settings)


@rule("10")
def test_a_stop_in_levels_closes_a_third_and_then_the_rest(tmp_path: Path) -> None:
    """9 units at 100. At the close of row 2 the mark is 3 % lower: a third is closed, 6 are left; at 96.5 nothing
    more; at 94 the rest. At the close of row 6 there is a new position, which the levels watch from its own size."""
    market = Market("X", [100.0, 100.0, 97.0, 97.0, 96.5, 94.0, 94.0, 91.0, 91.0])
    made = guarded(tmp_path, "stop=3%:1/3,6%:rest", [market], {0: buy("X", 9), 5: buy("X", 6)})
    assert rows(made, "fills", "ts", "qty", "cause") == [
        (1 * MINUTE, 9.0, "strategy"), (3 * MINUTE, -3.0, "guard"),
        (6 * MINUTE, -6.0, "guard"), (6 * MINUTE, 6.0, "strategy"), (8 * MINUTE, -2.0, "guard"),
    ]  # fmt: skip
    assert made.summary["counts"]["guard stop=3%:1/3,6%:rest"] == 3


@rule("10")
def test_levels_watch_a_short_and_what_was_added(tmp_path: Path) -> None:
    """3 short at 100 and 3 more at 100: half of the largest size stays, however often the close is looked at."""
    market = Market("X", [100.0, 100.0, 100.0, 104.0, 104.0, 104.0, 111.0, 111.0])
    made = guarded(tmp_path, "loss=20:50%,50:rest", [market], {0: sell("X", 3), 1: sell("X", 3)})
    assert rows(made, "fills", "ts", "qty", "cause") == [
        (1 * MINUTE, -3.0, "strategy"), (2 * MINUTE, -3.0, "strategy"), (4 * MINUTE, 3.0, "guard"),
    ]  # fmt: skip


@rule("10")
def test_a_guard_on_funding_closes_who_pays_too_much(tmp_path: Path) -> None:
    """The rate of 0.1 % at the open of row 2 is known at its close: the long is closed, the short stays."""
    paid = {2: 0.001, 4: -0.0005}
    markets = [Market("X", [100.0] * 7, funding=paid), Market("Y", [100.0] * 7, funding=paid)]
    steps = {0: lambda market, account: (account.buy("X", 1), account.sell("Y", 1))}
    made = guarded(tmp_path, "funding=0.05%", markets, steps)
    assert rows(made, "guards", *SENT) == [(3 * MINUTE, "X", 0.001, 2), (5 * MINUTE, "Y", 0.0005, 3)]


@rule("10")
def test_a_guard_on_the_basis_looks_at_mark_and_trade(tmp_path: Path) -> None:
    """At the close of row 2 the mark is 101.5 and the last trade 100: 1.5 %. In the gap of row 3 nobody looks."""
    market = Market("X", [100.0, 100.0, 100.0, None, 100.0], mark=[100.0, 100.5, 101.5, 103.0, 100.0])
    made = guarded(tmp_path, "basis[X]=1%", [market], {0: buy("X", 1)})
    assert rows(made, "guards", *SENT) == [(3 * MINUTE, "X", 101.5 / 100 - 1, 1)]


@rule("10", "layer2 4")
def test_a_guard_on_the_age_of_the_oracle(tmp_path: Path) -> None:
    """An oracle that publishes every three minutes: at the close of row 2 its last publication is three minutes old."""
    market = Market("X", [100.0] * 8)
    made = guarded(tmp_path, "oracle-age=2m", [market], {0: buy("X", 1)}, oracle=["heartbeat=3m"])
    value = column(made, "guards", "value")
    assert value
    assert min(value) >= 2 * MINUTE
    assert max(value) <= 3 * MINUTE
    assert column(guarded(tmp_path / "b", "oracle-age=2m", [market], {0: buy("X", 1)}), "guards", "value") == []


@rule("10")
def test_a_guard_on_volatility_knows_the_day_before(tmp_path: Path) -> None:
    """Hours that move by 1 % up and down: σ of a day is √24 × the deviation of the hours' log returns, known from the
    25th hour on. 24 returns, all but alike: 4.9 to 5.1 %."""
    candles = [100.0 * (1.01 if k % 2 else 1.0) for k in range(40)]
    data = write(tmp_path, Market("X", candles), interval="1h")
    script = Script({0: buy("X", 1)}, 60 * MINUTE)
    made = backtest.run(script, data, guards=["volatility=4%"], allow=("missing-funding",))
    (found,) = rows(made, "guards", *SENT)
    known = np.diff(np.log(candles[: found[0] // (60 * MINUTE)]))[-24:]
    assert found[2] == pytest.approx(np.std(known, ddof=1) * 24**0.5, rel=0.05)
    assert found[0] == 25 * 60 * MINUTE


@rule("orders 9")
def test_exits_relative_to_the_fill_with_its_slippage(tmp_path: Path) -> None:
    """A purchase at the open of row 1, 100, with 10 bps of slippage: 100.1. Stop at 98.098, target at 103.103; on
    ticks of half a unit at 98 and 103.5. A sale fills at 99.9: stop at 101.898, target at 96.903."""
    market = Market("X", [100.0, 100.0, (100.0, 104.0, 99.0, 103.8), 103.8, (103.8, 103.8, 95.0, 95.0), 95.0])

    def enter(market: Any, account: Any) -> None:
        account.buy("X", 1, stop_loss="2%", take_profit="3%")

    def short(market: Any, account: Any) -> None:
        account.sell("X", 1, stop_loss="2%", take_profit="3%")

    settings = {"slippage_bps": 10, "allow": ("missing-funding",)}
    plain = play(tmp_path / "plain", [market], {0: enter}, **settings)
    assert rows(plain, "orders", "type", "limit_price", "stop_price", "status")[1:] == [
        ("stop_market", None, pytest.approx(98.098), "cancelled"),
        ("limit", pytest.approx(103.103), None, "filled"),
    ]
    data = write(tmp_path / "ticks", market)
    file = data / "dataset.toml"
    file.write_text(re.sub(r"(step = .*)", r"\1\ntick = 0.5", file.read_text()))
    ticked = backtest.run(Script({0: enter}, MINUTE), data, **settings)
    assert rows(ticked, "orders", "limit_price", "stop_price", "status")[1:] == [
        (None, 98.0, "cancelled"), (103.5, None, "filled"),
    ]  # fmt: skip
    down = play(tmp_path / "short", [market], {0: short}, **settings)
    assert rows(down, "orders", "limit_price", "stop_price", "status")[1:] == [
        (None, pytest.approx(101.898), "filled"), (pytest.approx(96.903), None, "cancelled"),
    ]  # fmt: skip


@rule("orders 9")
def test_exits_relative_to_an_entry_that_never_fills_have_no_price(tmp_path: Path) -> None:
    def enter(market: Any, account: Any) -> None:
        account.buy("X", 1, limit=50.0, stop_loss="2%", take_profit="3%")

    made = play(tmp_path, [Market("X", [100.0] * 5)], {0: enter})
    assert rows(made, "orders", "limit_price", "stop_price", "status") == [
        (50.0, None, "expired"), (None, None, "expired"), (None, None, "expired"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "stop=3%:1/3,2%:rest", "stop=3%:2/3,6%:2/3", "stop=3%:rest,6%:rest", "stop=3%,6%", "stop=3%:0%,6%:rest",
        "stop=3%:x", "drawdown=5%,10%", "call=0.8,0.5", "volatility=0%", "funding=-1%", "oracle-age=2",
    ],
)  # fmt: skip
def test_levels_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="guard"):
        levels(text)


@pytest.mark.parametrize("given", ["0%", "100%", "2", "x%"])
def test_an_exit_that_is_no_share_is_refused(tmp_path: Path, given: str) -> None:
    def enter(market: Any, account: Any) -> None:
        account.buy("X", 1, stop_loss=given)

    with pytest.raises(backtest.RunError, match="stop_loss"):
        play(tmp_path, [Market("X", [100.0] * 3)], {0: enter})
