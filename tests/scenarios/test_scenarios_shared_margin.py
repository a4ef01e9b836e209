"""F: several strategies over the collateral of one account. The rules: docs/reference/rules-shared-margin.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import SharedMargin, Strategy, UserError
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, Market, Script, Step, both, buy, column, rows, sell, venue, write

LADDER = (None, 0.1, 0.05)
"""Initial margin of a tenth, maintenance of a twentieth, and a penalty of 1 %."""


def share(
    folder: Path, markets: Sequence[Market], scripts: Sequence[Mapping[int, Step]], **settings: Any
) -> SharedMargin:
    data = write(folder / "data", *markets)
    strategies = [Script(steps, MINUTE) for steps in scripts]
    asked = {"allow": ("missing-funding",), "venue": venue(folder / "venue", LADDER), "fee_bps": 0, **settings}
    return backtest.shared_margin(strategies, data, **asked)


def strategies(made: SharedMargin, *columns: str) -> list[tuple[Any, ...]]:
    return made.strategies.select(columns).rows()


@rule("shared 3", "shared 5")
def test_F1_a_hedge_brings_margins_of_90_000_to_60_000(tmp_path: Path) -> None:
    """100,000 of collateral. Alone: 8 BTC at 50,000 need 40,000; 3 BTC short and 75 ETH at 2,000 need 15,000 each;
    100 ETH need 20,000. Together 5 BTC and 175 ETH: 25,000 + 35,000 = 60,000. Funding of 0.01 % on BTC: the account
    pays 5 × 50,000 × 0.0001 = 25; the first pays 40, the second receives 15.

    The limits are those margins, of an equity of 100,000: one ETH more is 200 of margin beyond the second's 30 %.
    """
    btc, eth = Market("BTC", [50_000.0] * 6, funding={3: 0.0001}), Market("ETH", [2_000.0] * 6)
    scripts: list[dict[int, Step]] = [
        {0: buy("BTC", 8)},
        {0: both(sell("BTC", 3), buy("ETH", 75)), 1: buy("ETH", 1)},
        {0: buy("ETH", 100)},
    ]
    made = share(tmp_path, [btc, eth], scripts, cash=100_000, margin_limit="40%,30%,20%")
    last = made.tables["netting"].row(-1, named=True)
    assert (last["standalone"], last["account"], last["saved"]) == (90_000.0, 60_000.0, 30_000.0)
    assert strategies(made, "pnl", "funding", "initial_end", "rejected_by_limit") == [
        (-40.0, -40.0, 40_000.0, 0),
        (15.0, 15.0, 30_000.0, 1),
        (0.0, 0.0, 20_000.0, 0),
    ]
    assert column(made.account, "funding", "payment") == [-25.0]
    refused = made.account.tables["orders"].filter(pl.col("status") == "rejected")["reason"].to_list()
    assert refused == ["margin_limit: alone it would need 30,200.00 of initial margin, its limit is 30,000.00"]


@rule("shared 1")
def test_F2_a_liquidation_is_split_over_the_virtual_positions_on_its_side(tmp_path: Path) -> None:
    """6 and 3 long, 1 short, of cash 100 at 100. Health is 100 + 8 (p − 100) − 0.05 × 8 p: zero at p = 700 / 7.6.

    8,000 lots are closed, 5,333 = ⌊8,000 × 6 / 9⌋ of the first, the rest of the second. The third keeps its short, and
    the first two what it stands against: at 50 it has earned what they have lost, and the account nothing.
    """
    market = Market("X", [100.0, 100.0, (100.0, 100.0, 80.0, 90.0), 50.0, 50.0])
    scripts: list[dict[int, Step]] = [{0: buy("X", 6)}, {0: buy("X", 3)}, {0: sell("X", 1)}]
    made = share(tmp_path, [market], scripts, cash=100)
    closed = made.tables["shares"].filter(pl.col("kind") == "closing")
    assert closed.select("strategy", "qty").rows() == [("Script", -5.333), ("Script-2", -2.667)]
    held = made.tables["virtual_positions"]
    assert held.filter(pl.col("ts") == held["ts"].max()).select("qty", "value").rows() == [
        (0.667, 33.35), (0.333, 16.65), (-1.0, -50.0),
    ]  # fmt: skip
    assert made.account.tables["positions"].filter(pl.col("ts") == held["ts"].max()).is_empty()
    # At the crossing 8 units are worth 736.842105: −63.157895 of trading and a penalty of 7.368421.
    assert made.account.metrics["final_equity"] == 29.473684
    relief = [paid for (paid,) in strategies(made, "relief")]
    assert relief == [-4.911974, -2.456447, 0.0]  # round(7.368421 × 5,333 / 8,000), and the rest
    assert round(sum(pnl for (pnl,) in strategies(made, "pnl")), 6) == -70.526316


@rule("shared 1")
def test_F3_positions_that_cancel_out_settle_and_pay_funding_between_the_strategies(tmp_path: Path) -> None:
    """One unit long, one short: the account holds nothing. X ends at row 3 at 110; funding of 0.1 % of 100 before."""
    ends = Market("X", [100.0, 100.0, 100.0, (100.0, 110.0, 100.0, 110.0)], funding={2: 0.001})
    scripts: list[dict[int, Step]] = [{0: buy("X", 1)}, {0: sell("X", 1)}]
    made = share(tmp_path, [ends, Market("Y", [10.0] * 6)], scripts, cash=1_000)
    assert strategies(made, "pnl", "trading", "funding") == [(9.9, 10.0, -0.1), (-9.9, -10.0, 0.1)]
    assert made.account.tables["funding"].is_empty()
    assert made.account.metrics["final_equity"] == 1_000.0
    kinds = made.tables["shares"].select("kind", "strategy", "qty", "amount").rows()[2:]
    assert kinds == [
        ("funding", "Script", 1.0, -0.1), ("funding", "Script-2", -1.0, 0.1),
        ("settlement", "Script", -1.0, 110.0), ("settlement", "Script-2", 1.0, -110.0),
    ]  # fmt: skip


@rule("shared 4")
def test_F4_a_loss_cap_closes_one_strategy_and_leaves_the_others(tmp_path: Path) -> None:
    """The first has lost 110 of a deposit of 1,000 at the close of row 2, its cap is 10 %; the second has lost 110."""
    market = Market("X", [100.0, 100.0, (100.0, 100.0, 89.0, 89.0), 89.0, 89.0, 89.0])
    scripts: list[dict[int, Step]] = [{0: buy("X", 10), 4: buy("X", 1)}, {0: buy("X", 10), 4: buy("X", 1)}]
    made = share(tmp_path, [market], scripts, cash=1_000, loss_cap="10%,none")
    fills = made.tables["shares"].select("strategy", "qty").rows()
    assert fills == [("Script", 10.0), ("Script-2", 10.0), ("Script", -10.0), ("Script-2", 1.0)]
    assert rows(made.account, "orders", "order_id", "status", "reason") == [
        (0, "filled", None), (1, "filled", None), (2, "filled", None), (3, "rejected", "halted"), (4, "filled", None),
    ]  # fmt: skip
    assert column(made.account, "guards", "guard") == ["account-loss=10% (Script)"] * 2


@rule("shared 2")
def test_F5_reduce_only_targets_and_cancels_refer_to_the_virtual_position(tmp_path: Path) -> None:
    """The account is flat; the first closes its long all the same, and can cancel and amend its own orders only."""
    market = Market("X", [100.0] * 6)
    seen: list[Any] = []

    def close(market: Any, account: Any) -> None:
        seen.append((account.position("X").qty, [order.order_id for order in account.orders]))
        account.cancel(3)
        account.amend(3, limit=60.0)
        account.close("X")
        account.target("X", qty=2)

    scripts: list[dict[int, Step]] = [
        {0: buy("X", 1), 2: close},
        {0: sell("X", 1), 1: both(lambda _, account: account.buy("X", 1, limit=50.0), sell("X", 1))},
    ]
    made = share(tmp_path, [market], scripts, cash=1_000)
    assert seen == [(1.0, [])]
    # 2 is the limit order, 3 the second's market order; of the amendment of 3 nothing is left to find
    assert rows(made.account, "orders", "order_id", "status", "reason", "filled_qty") == [
        (0, "filled", None, 1.0), (1, "filled", None, -1.0), (2, "expired", "end_of_run", 0.0),
        (3, "filled", None, -1.0), (5, "rejected", "not_open", 0.0), (6, "filled", None, -1.0),
        (7, "filled", None, 2.0),
    ]  # fmt: skip
    held = made.tables["virtual_positions"]
    assert held.filter(pl.col("ts") == held["ts"].max())["qty"].to_list() == [2.0, -2.0]


class Hold(Strategy):
    """Targets of all decided at once."""

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame:
        weight = pl.when(pl.col("ts").dt.minute() % 3 == 0).then(0.7).otherwise(-0.4)
        return candles.select("ts", "symbol", weight.alias("target"))


class Bracket(Strategy):
    """Enters with a bracket, and hears of what became of it."""

    every = "2m"
    guards = ("trail=3%", "drawdown=40%")

    def on_candle(self, market: Any, account: Any) -> None:
        for symbol in market.symbols:
            if not account.position(symbol).qty and not account.orders:
                price = market.close[symbol]
                account.buy(symbol, 5, stop_loss=price * 0.98, take_profit=price * 1.02)

    def on_fill(self, fill: Any, market: Any, account: Any) -> None:
        if fill.cause == "guard":
            account.sell(fill.symbol, 1)


WILD = [100 + 10 * ((7 * n) % 5) / 5 - (3 * n) % 4 for n in range(40)]


@rule("shared 4")
@pytest.mark.parametrize("strategy", [Hold, Bracket])
@pytest.mark.parametrize("margin", ["cross", "portfolio"])
def test_F6_one_strategy_alone_is_a_plain_run(tmp_path: Path, strategy: type[Strategy], margin: str) -> None:
    markets = [
        Market("X", [(p, p + 3, p - 2, p + 1) for p in WILD], funding={8: 0.001, 16: -0.002}),
        Market("Y", [(2 * p, 2 * p + 1, 2 * p - 9, 2 * p - 3) for p in reversed(WILD)]),
    ]
    data = write(tmp_path, *markets)
    settings: dict[str, Any] = {"margin": margin, "cash": 900, "venue": "generic", "leverage": 5.0}
    plain = backtest.run(strategy, data, allow=("missing-funding",), **settings)
    shared = backtest.shared_margin([strategy], data, allow=("missing-funding",), **settings)
    assert plain.metrics["fills"] > 5
    assert shared.account.digest == plain.digest
    change = plain.metrics["final_equity"] - plain.metrics["start_cash"]
    assert strategies(shared, "pnl")[0][0] == pytest.approx(change, abs=1e-9)


@rule("shared 1")
def test_F7_without_limits_that_bind_it_is_the_run_of_one_that_sends_all_orders(tmp_path: Path) -> None:
    markets = [Market("X", [(p, p + 3, p - 2, p + 1) for p in WILD], funding={8: 0.001})]
    first: dict[int, Step] = {k: buy("X", 1 + k % 3) if k % 4 else sell("X", 2) for k in range(0, 36, 3)}
    second: dict[int, Step] = {k: sell("X", 1) if k % 5 else buy("X", 3) for k in range(1, 36, 3)}
    made = share(tmp_path, markets, [first, second], cash=5_000, fee_bps=5, margin_limit="100%")
    alone = backtest.run(
        Script(first | second, MINUTE), tmp_path / "data", cash=5_000, fee_bps=5, allow=("missing-funding",),
        venue=str(tmp_path / "venue" / "venue.toml"),
    )  # fmt: skip
    assert made.account.digest == alone.digest
    parts = [round(pnl * 1e6) for (pnl,) in strategies(made, "pnl")]
    assert sum(parts) == round((alone.metrics["final_equity"] - 5_000) * 1e6)
    assert len(set(parts)) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"margin_limit": "120%"}, "margin limit '120%'"),
        ({"margin_limit": "30%,40%,50%"}, "3 margin limits for 2 strategies"),
        ({"loss_cap": "1,2,3"}, "3 loss caps for 2 strategies"),
        ({"margin": "isolated"}, "isolated margin shares no collateral"),
        ({"margin": ["cross", "X=isolated"]}, "X=isolated with shared margin"),
        ({"isolate_above": 0.5}, "which shared margin cannot"),
    ],
)
def test_what_a_shared_account_cannot_be_is_said(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        share(tmp_path, [Market("X", [100.0] * 3)], [{}, {}], **settings)


def test_a_report_is_written_verified_and_found_out(tmp_path: Path) -> None:
    """Of strategies in files: the page names them, and a changed table is noticed."""
    source = "from backtest import Strategy\n\n\nclass Odd(Strategy):\n    def on_candle(self, market, account):\n"
    for name, act in (("a", 'account.target("X", qty=2)'), ("b", 'account.target("X", qty=-1)')):
        (tmp_path / f"{name}.py").write_text(source + f"        {act}\n")
    data = write(tmp_path / "data", Market("X", [float(p) for p in WILD]))
    folder = tmp_path / "report"
    named = [tmp_path / "a.py", tmp_path / "b.py"]
    made = backtest.shared_margin(
        named, data, allow=("missing-funding",), margin_limit="50%,none", loss_cap="none,20%", out=folder
    )
    assert backtest.verify(folder).ok
    page = (folder / "report.html").read_text()
    assert "Strategies" in page
    assert "Highest stand-alone margin" in page
    assert "Netting between the strategies" in page
    changed = made.tables["shares"].with_columns(pl.col("amount") + 1)
    changed.write_parquet(folder / "shares.parquet")
    assert backtest.verify(folder).unequal == ("shares.parquet",)
