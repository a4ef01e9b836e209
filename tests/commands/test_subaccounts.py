"""Sub-accounts: each lives as its strategy would alone, and all of them add up.

The venue is `generic`: initial margin 5 % of notional, maintenance 3 %, penalty 1 %.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from backtest import Subaccounts, UserError
from tests.scenarios.scenario import MINUTE, Market, Script, Step, Tape, balances, both, buy, column, rows, write
from tests.small_market import Ended
from tests.unit.test_report import Page

Command = Callable[..., Ended]

FALLS = Market("A", [100, 100, (100, 100, 90, 90), 90, 95, 97])
RISES = Market("B", [200, 200, 205, 206, 208, 210])
SINKS = Market("A", [100, 100, 91, 90, 100, 110])
LOW = "from backtest import Param, Strategy\n\n\nclass Low(Strategy):\n    low: int = Param(3)\n"


class Named(Script):
    """A script that wants certain markets."""

    def __init__(self, steps: Mapping[int, Step], *symbols: str) -> None:
        super().__init__(steps, MINUTE)
        self.symbols = symbols or None


def play(data: Path, *strategies: Script, **settings: Any) -> Subaccounts:
    return backtest.subaccounts(strategies, data, **{"cash": 10_000, "allow": ("missing-funding",), **settings})


def alone(data: Path, strategy: Script, cash: float, **settings: Any) -> backtest.Result:
    return backtest.run(strategy, data, cash=cash, allow=("missing-funding",), **settings)


def two() -> tuple[Script, Script]:
    """One that bets on what falls, with all it has, and one that holds a little of what rises."""
    return Named({0: buy("A", 500), 4: buy("A", 1)}, "A"), Named({0: buy("B", 10)}, "B")


@pytest.mark.parametrize("chunk_rows", [1, 4, None])
def test_one_is_liquidated_and_the_other_lives_as_if_alone(tmp_path: Path, chunk_rows: int | None) -> None:
    data = write(tmp_path, FALLS, RISES)
    found = play(data, *two(), split="40,60", chunk_rows=chunk_rows)
    lost, kept = found.results
    # 500 A at 100 with a deposit of 4,000. In row 2 the mark goes from 100 to 90: health from 4,000 - 1,500 = 2,500 to
    # (4,000 - 5,000) - 1,350 = -2,350, so it is zero at 2,500 / 4,850 of the way. There the position is worth
    # 50,000 - 5,000 x 2,500 / 4,850 = 47,422.680412, equity is 4,000 - 2,577.319588 = 1,422.680412, the penalty
    # 474.226804, and 948.453608 is left. The A bought in row 5 at 97 ends at 97.
    assert column(lost, "liquidations", "equity_before") == [1_422.680412]
    assert lost.metrics["final_equity"] == 948.453608
    # 10 B at 200 that end at 210: 6,000 + 100.
    assert (kept.metrics["final_equity"], kept.metrics["liquidations"]) == (6_100.0, 0)
    assert found.combined.metrics["final_equity"] == 7_048.453608
    for made, strategy, cash in zip(found.results, two(), (4_000, 6_000), strict=True):
        by_itself = alone(data, strategy, cash)
        assert made.digest == by_itself.digest
        assert made.metrics == by_itself.metrics


@pytest.mark.parametrize("chunk_rows", [1, 4, None])
@pytest.mark.parametrize("volume_share", [None, "50%"])
@pytest.mark.parametrize("oracle", [("delay=20s",), ("deviation=3%", "heartbeat=2m"), ("median", "average=30s")])
def test_each_has_the_oracle_that_it_has_alone(
    tmp_path: Path, oracle: tuple[str, ...], volume_share: str | None, chunk_rows: int | None
) -> None:
    # A has marks of its own and another series of them for the median, B has neither: the panel that both share has
    # fields that the one of B does not have.
    marks = [100, 99, (99, 99, 88, 90), 91, 96, 96]
    data = write(tmp_path, Market("A", FALLS.candles, mark=marks, other_mark=[101, 98, 97, 90, 95, 96]), RISES)
    settings: dict[str, Any] = {"oracle": oracle, "volume_share": volume_share, "chunk_rows": chunk_rows}
    together = play(data, *two(), split="40,60", **settings)
    for found, strategy, cash in zip(together.results, two(), (4_000, 6_000), strict=True):
        own = alone(data, strategy, cash, **settings)
        assert (own.tables["marks"]["distance"] != 0).any() or cash == 6_000  # B hardly moves
        for name, table in own.tables.items():
            assert found.tables[name].equals(table), name


def test_the_sum_is_the_sum_at_each_close(tmp_path: Path) -> None:
    data = write(tmp_path, FALLS, RISES)
    found = play(data, *two(), split="40,60")
    # After row 1: 4,000 and 6,000. After row 2: 948.453608 and 6,000 + 10 x 5.
    assert column(found.combined, "equity", "equity")[:3] == [10_000.0, 10_000.0, 6_998.453608]
    apart = [pl.Series(column(made, "equity", "equity")) for made in found.results]
    assert (pl.Series(column(found.combined, "equity", "equity")) - sum(apart)).abs().max() < 5e-7
    # The lowest close is row 2's, 6,998.453608 of the deposit's 10,000.
    assert found.combined.metrics["max_drawdown"] == pytest.approx(0.6998453608 - 1, rel=1e-12)
    for name in ("price_moves", "funding", "fees", "penalties", "fills", "orders", "pool_liquidations"):
        assert found.combined.metrics[name] == sum(made.metrics[name] for made in found.results), name
    assert rows(found.combined, "liquidations", "symbol", "pool", "equity_before") == [
        ("Named/A", "Named/cross", 1_422.680412)
    ]


def test_the_page_adds_up_and_compares_nothing(tmp_path: Path) -> None:
    data = write(tmp_path / "data", FALLS, RISES)
    found = play(data, *two(), split="40,60", out=tmp_path / "report", loss_cap="none,=5000")
    page = Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    # 10,000 became 7,048.453608; of 4,000 went 3,051.546392, on 6,000 came 100.
    for words in (
        "2 sub-accounts and their sum",
        "All sub-accounts together started with 10,000.00 USDC and ended with 7,048.45 USDC (2,951.55 less, 29.52%).",
        "Named-2 gained 100.00 (1.67% of its deposit); Named lost 3,051.55 (76.29% of its deposit).",
        "combined: equity at the end (USDC) 7,048.45 -2,951.55 (-29.52%), 1 liquidation",
        "Metric combined Named Named-2 What it says",
        "Equity at the end 7,048.45 948.45 6,100.00",
        "Source combined Named Named-2",
        "Where the sub-accounts differ",
        "Symbols A B",
        "Guards none account-loss=5000",
    ):
        assert words in page.text
    for words in ("minus", " mode was", "not on the same data", "ended highest", "Named/A", "better figure"):
        assert words not in page.text
    prints = {made.summary["data"]["fingerprint"] for made in found.results}
    assert len(prints) == 2
    names = {chart: [trace["name"] for trace in figure["data"]] for chart, figure in page.figures.items()}
    assert names["equity"] == ["combined", "combined", "Named", "Named", "Named liquidated", "Named-2", "Named-2"]
    assert [names[chart] for chart in ("leverage", "sources")] == [
        ["combined", "Named", "Named-2"], ["Named", "Named-2"]
    ]  # fmt: skip
    assert "combined" not in " ".join(names["margin"])


def test_two_that_go_at_once_are_two(tmp_path: Path) -> None:
    data = write(tmp_path, FALLS)
    found = play(data, *(Named({0: buy("A", 500)}) for _ in range(2)), cash=8_000)
    assert column(found.combined, "liquidations", "process") == [0, 1]
    assert found.combined.metrics["pool_liquidations"] == 2


def test_every_sub_account_keeps_books_of_its_own(tmp_path: Path) -> None:
    found = play(write(tmp_path, FALLS, RISES), *two(), split="40,60")
    deposits = [-balances(made)["capital"] for made in found.results]
    assert deposits == [4_000_000_000, 6_000_000_000]
    assert all(sum(balances(made).values()) == 0 for made in found.results)
    together = balances(found.combined)
    assert sum(together.values()) == 0
    assert {name: amount for name, amount in together.items() if "wallet" in name} == {
        f"Named{suffix}/wallet": balances(made)["wallet"]
        for suffix, made in zip(("", "-2"), found.results, strict=True)
    }


def test_a_strategy_sees_its_own_markets_and_its_own_time(tmp_path: Path) -> None:
    late = Market("B", [None, None, None, 206, 208, 210, 211])
    data = write(tmp_path, FALLS, late, Market("C", [5.0] * 6))
    seen = Tape()

    def look(market: Any, account: Any) -> None:
        seen.append((market.symbols, list(market.history("B", "close", 9)), account.equity))
        with pytest.raises(UserError, match="unknown symbol 'A'"):
            _ = market.close["A"]

    steps = {3: both(look, buy("B", 10)), 5: look}
    for chunk_rows in (1, 2, 5):
        seen.clear()
        found = play(data, Named({0: buy("A", 1)}, "A", "C"), Named(steps, "B"), chunk_rows=chunk_rows)
        assert seen == [(("B",), [206.0], 5_000.0), (("B",), [206.0, 208.0, 210.0], 5_020.0)]
        # B's account has rows from its first candle on; the sum has all rows, with its deposit before.
        assert [len(made.tables["equity"]) for made in (*found.results, found.combined)] == [6, 4, 7]
        assert column(found.combined, "equity", "equity") == [10_000, 10_000, 9_990, 9_990, 9_995, 10_017, 10_027]
        assert found.results[1].digest == alone(data, Named({3: buy("B", 10)}, "B"), 5_000).digest
        assert found.combined.summary["data"]["symbols"] == ["A", "B", "C"]


def test_strategies_of_every_kind_live_together(tmp_path: Path) -> None:
    """One that decides at each candle, one that decides every five minutes, one that is compiled."""
    data = write(tmp_path, *(Market(s, [100 + (7 * k + n) % 13 for k in range(60)]) for n, s in enumerate("ABC")))
    head = "import polars as pl\nfrom backtest import Strategy\n\n\nclass One(Strategy):\n"
    decides = "    def on_candle(self, market, account):\n        for s in market.symbols:\n"
    bodies = {
        "each": decides
        + "            account.target(s, weight=0.5 if market.history(s, 'close', 2)[0] < 106 else -1)\n",
        "slow": "    every = '5m'\n    symbols = ('B',)\n" + decides + "            account.target(s, weight=3)\n",
        "told": "    symbols = ('C', 'A')\n    def targets(self, candles):\n"
        "        return candles.select('ts', 'symbol', target=pl.col('close') / 100 - 1)\n",
    }
    files = []
    for name, body in bodies.items():
        files.append(tmp_path / f"{name}.py")
        files[-1].write_text(head + body)
    settings: dict[str, Any] = {"fee_bps": 5, "allow": ("missing-funding",)}
    found = backtest.subaccounts(files, data, cash=3_000, chunk_rows=7, **settings)
    assert [made.label for made in found.results] == ["each", "slow", "told"]
    for made, file in zip(found.results, files, strict=True):
        assert made.metrics["fills"] > 5
        assert made.digest == backtest.run(str(file), data, cash=1_000, **settings).digest


@pytest.mark.parametrize(
    ("cash", "split", "deposits"),
    [
        (100, None, ["33.333334", "33.333333", "33.333333"]),  # a third is 33.333333 and a bit; the first has the rest
        (100, "50,25,25", ["50", "25", "25"]),
        (0.1, "33.3,33.3,33.4", ["0.0333", "0.0333", "0.0334"]),
        (99.999999, (10, 45, 45), ["10.000001", "44.999999", "44.999999"]),  # 9.9999999, 44.99999955 twice
    ],
)
def test_the_deposits_sum_to_the_cash(tmp_path: Path, cash: float, split: Any, deposits: list[str]) -> None:
    idle = [Named({}) for _ in deposits]
    found = play(write(tmp_path, RISES), *idle, cash=cash, split=split)
    assert [-balances(made)["capital"] for made in found.results] == [round(float(d) * 1e6) for d in deposits]
    assert found.combined.metrics["start_cash"] == cash


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": "60,50"}, "split 60, 50 for 2 strategies"),
        ({"split": "100"}, "give 2 percentages above 0 that make 100, like 50,50"),
        ({"split": "120,-20"}, "split: split 120, -20"),
        ({"split": "half,half"}, "split 'half,half'"),
        ({"cash": 0.015}, "cash: cash 0.015 is too little for 2 sub-accounts"),
        ({"margin": "cross,isolated"}, "sub-accounts have one"),
        ({"margin": "cross,X=isolated"}, "unknown symbol 'X' in margin="),
        ({"loss_cap": "a fifth"}, "give a share of the deposit, like 20%"),
        ({"loss_cap": "20%,30%,40%"}, "3 loss caps for 2 strategies"),
        ({"params": {"fast": 3}}, "no strategy has a parameter 'fast'"),
        ({"params": {"3.fast": 3}}, "number the strategies from 1 to 2, like 1.fast"),
        ({"adl": ["2024-03-01T00:03,X,1"]}, "unknown symbol 'X'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as raised:
        play(write(tmp_path, FALLS, RISES), *two(), **settings)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_setting_of_one_market_concerns_those_that_have_it(tmp_path: Path) -> None:
    data = write(tmp_path, FALLS, RISES)
    settings: dict[str, Any] = {"margin": "cross,B=isolated", "adl": ["2024-03-01T00:04,B,0.5"]}
    found = play(data, *two(), **settings)
    # B rises from 200 to 206 at row 3's close; at the open of row 4, at 208, half of the 10 is taken away.
    assert rows(found.results[1], "liquidations", "ts", "pool", "stage", "qty", "price") == [
        (4 * MINUTE, "B", "deleveraged", -5.0, 208.0)
    ]
    assert found.results[0].digest == alone(data, two()[0], 5_000).digest
    assert found.results[1].digest == alone(data, two()[1], 5_000, **settings).digest


@pytest.mark.parametrize("cap", ["20%", "=800", "20%,none", ["800", "5000"]])
def test_a_loss_cap_ends_one_sub_account_alone(tmp_path: Path, cap: Any) -> None:
    data = write(tmp_path, SINKS, RISES)
    strategies = [Named({0: buy("A", 100), 3: buy("A", 1)}, "A"), Named({0: buy("B", 10), 3: buy("B", 1)}, "B")]
    found = play(data, *strategies, cash=8_000, loss_cap=cap)
    # 100 A at 100 with a deposit of 4,000. At row 2's close, at 91, 900 are lost: more than 20 % or 800. What the guard
    # sends fills at the next open, at 90: 3,000 is left, and the A sent at row 3's close is refused.
    capped, other = found.results
    assert rows(capped, "fills", "ts", "qty", "price", "cause") == [
        (MINUTE, 100.0, 100.0, "strategy"), (3 * MINUTE, -100.0, 90.0, "guard")
    ]  # fmt: skip
    assert column(capped, "orders", "reason")[-1] == "halted"
    assert capped.metrics["final_equity"] == 3_000.0
    # 10 B from 200 and 1 from 208, to 210: 4,000 + 100 + 2.
    assert other.metrics["final_equity"] == 4_102.0
    assert found.combined.metrics["final_equity"] == 7_102.0
    assert other.digest == alone(data, strategies[1], 4_000).digest


@pytest.mark.parametrize("cap", ["20%", "1800,1200"])
def test_a_loss_cap_counts_the_reserve_and_no_transfer(tmp_path: Path, cap: str) -> None:
    # 6,000 and 3,000 in the reserve: 20 % of them are 1,800, which 200 A from 100 have lost at 91. 4,000 and 2,000:
    # 1,200, which 100 A have lost at 88. The first tops up 500, the second withdraws 1,000: nothing gained or lost.
    data = write(tmp_path, Market("A", [100, 100, 94, 91.01, 91, 91, 88.01, 88, 88, 88]))
    strategies = [
        Named({0: buy("A", 200), 1: lambda _, account: account.top_up(500)}),
        Named({0: buy("A", 100), 1: lambda _, account: account.withdraw(1_000)}),
    ]
    found = play(data, *strategies, cash=10_000, reserve=5_000, split="60,40", loss_cap=cap)
    assert [made.metrics["start_cash"] for made in found.results] == [9_000.0, 6_000.0]
    assert [rows(made, "guards", "ts", "value")[0] for made in found.results] == [
        (5 * MINUTE, 1_800.0), (8 * MINUTE, 1_200.0)
    ]  # fmt: skip
    assert [made.metrics["final_equity"] for made in found.results] == [7_200.0, 4_800.0]
    assert found.combined.metrics["final_equity"] == 12_000.0


def test_a_guard_of_one_market_concerns_those_that_have_it(tmp_path: Path) -> None:
    data = write(tmp_path, SINKS, RISES)
    found = play(data, Named({0: buy("A", 1)}, "A"), Named({0: buy("B", 1)}, "B"), guards=["stop[A]=5%"])
    assert [column(made, "fills", "cause") for made in found.results] == [["strategy", "guard"], ["strategy"]]
    with pytest.raises(UserError, match="symbol 'X' is not in the run"):
        play(data, Named({}, "A"), Named({}, "B"), guards=["stop[X]=5%"])


def test_parameters_go_to_all_that_have_them_or_to_one(place: Path) -> None:
    (place / "low.py").write_text(LOW + "    def on_candle(self, market, account):\n        pass\n")
    found = backtest.subaccounts(
        ["hold.py", "low.py", "hold.py"],
        "market",
        params={"size": 2.0, "3.size": "0.5", "low": 4},
        allow=("missing-funding",),
    )
    assert [made.label for made in found.results] == ["hold", "low", "hold-2"]
    chosen = [made.summary["strategy"]["params"] for made in found.results]
    assert [p.get("size") for p in chosen] == [2.0, None, 0.5]
    assert chosen[1] == {"low": 4}


ASKED = ("run", "hold.py", "hold.py", "--data", "market", "--allow", "missing-funding")


def test_the_command_writes_one_report_that_verifies(place: Path, command: Command) -> None:
    done = command(
        *ASKED,
        "--sub-accounts",
        "--split",
        "75,25",
        "--loss-cap",
        "none,50%",
        "-p",
        "2.size=2",
        "--json",
        "--out",
        "report",
    )
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["kind"], sorted(summary["runs"])) == ("sub-accounts", ["hold", "hold-2"])
    assert [summary["runs"][label]["config"]["cash"] for label in ("hold", "hold-2")] == [75_000, 25_000]
    assert [summary["runs"][label]["config"]["guards"] for label in ("hold", "hold-2")] == [[], ["account-loss=50%"]]
    ends = [run["metrics"]["final_equity"] for run in summary["runs"].values()]
    assert summary["combined"]["final_equity"] == pytest.approx(sum(ends), abs=1e-9)
    written = json.loads((place / "report" / "summary.json").read_text())
    assert (written["kind"], written["combined"]) == ("sub-accounts", summary["combined"])
    assert command("verify", "report").code == 0
    # What the strategy does is another thing now, and both accounts tell.
    source = (place / "hold.py").read_text()
    (place / "hold.py").write_text(source.replace("qty=self.size", "qty=-self.size"))
    changed = command("verify", "report", "--trust")
    assert (changed.code, "strategy" in changed.err) == (1, True)


def test_one_strategy_may_have_a_sub_account(place: Path, command: Command) -> None:
    done = command("run", "hold.py", *ASKED[3:], "--sub-accounts", "--out", "report")
    assert done.code == 0, done.err
    assert "\nAll sub-accounts together started with 100,000.00 USD and ended with" in done.out
    assert "Hold was never liquidated." in done.out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            (),
            "2 strategies (hold.py, hold.py): one account has one strategy; give each a sub-account with --sub",
        ),
        (("--sub-accounts", "--split", "1,2"), "give 2 percentages above 0 that make 100"),
        (("--sub-accounts", "--loss-cap", "x"), "--loss-cap: loss cap 'x'"),
        (("--sub-accounts", "-p", "siez=2"), "did you mean 'size'?"),
    ],
)
def test_a_wrong_command_is_one_line(place: Path, command: Command, flags: tuple[str, ...], said: str) -> None:
    done = command(*ASKED, *flags)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert said in done.err
    assert not (place / "reports").exists()


def test_flags_of_sub_accounts_need_them(place: Path, command: Command) -> None:
    done = command("run", "hold.py", *ASKED[3:], "--loss-cap", "20%")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "--loss-cap requires --sub-accounts" in done.err
