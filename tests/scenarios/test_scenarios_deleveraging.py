"""Scenarios of a good position that is deleveraged, and leaves its hedge naked (rules.md 7.5).

The hedge is 10 BTC at 10,000 against -100 ETH at 1,000 on 20,000 of cash, 5 % and 3 %, no fees and no penalty, opened
at the open of row 1; what is deleveraged gives up 0.2 % of its notional. In row 2 both fall by a tenth between 20 s and
40 s (they close lower: highs first).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import Result
from tests.rules_index import rule
from tests.scenarios.scenario import MINUTE, START, Market, Script, Tape, balances, both, buy, column, rows, sell, write
from tests.scenarios.staged import ROW_2, ROW_3, law

pytestmark = rule("7.5")

DAY = "2024-03-01T00:0"
HEDGED = {0: both(buy("BTC", 10), sell("ETH", 100))}
COLUMNS = ("ts", "symbol", "stage", "qty", "price", "equity_before", "maintenance_before", "equity_after")


class Watching(Script):
    """Writes down what it is told of, and what it holds then."""

    def __init__(self, steps: Any) -> None:
        super().__init__(steps, MINUTE)
        self.seen = Tape()

    def on_liquidation(self, liquidation: Any, market: Any, account: Any) -> None:
        held = {position.symbol: position.qty for position in account.positions}
        self.seen.append((liquidation.ts_ms - START, liquidation.symbol, liquidation.qty, liquidation.price, held))

    def on_fill(self, fill: Any, market: Any, account: Any) -> None:
        self.seen.append(fill.cause)


def falling(btc: float = 7_700.0, eth: float = 770.0) -> list[Market]:
    """Down by a tenth inside row 2, and to these prices at the open of row 3."""
    return [
        Market("BTC", [1e4, 1e4, (1e4, 1e4, 9e3, 9e3), btc, btc]),
        Market("ETH", [1e3, 1e3, (1e3, 1e3, 900.0, 900.0), eth, eth]),
    ]


def told(
    folder: Path, markets: list[Market], *adl: str, steps: Any = None, keys: str = "", **settings: Any
) -> tuple[Result, Tape]:
    """The hedge under events, and what its strategy saw."""
    strategy = Watching(HEDGED if steps is None else steps)
    venue = law(folder, keys or "adl_penalty = 0.002")
    settings = {"cash": 20_000, "allow": ("missing-funding",), "venue": venue, "adl": adl, **settings}
    return backtest.run(strategy, write(folder / "data", *markets), **settings), strategy.seen


def test_the_short_is_taken_and_the_long_dies_naked(tmp_path: Path) -> None:
    # At 30 s BTC is at 9,500 and ETH at 950: the short has won 5,000, the pool has 20,000 of 3 % of 190,000 = 5,700.
    # It is bought back at 95,000 and 0.2 % of it, 190: 95,190, a price of 951.9; 19,810 and 3 % of 95,000 are left.
    # Naked, the long is worth 77,000 at the open of row 3: 20,000 - 95,190 + 77,000 = 1,810 against 2,310: liquidated.
    result, seen = told(tmp_path, falling(), f"{DAY}2:30,ETH,1")
    assert rows(result, "liquidations", *COLUMNS) == [
        (ROW_2 + 30_000, "ETH", "deleveraged", 100.0, 951.9, 20_000.0, 5_700.0, 19_810.0),
        (ROW_3, "BTC", "whole", -10.0, 7_700.0, 1_810.0, 2_310.0, 1_810.0),
    ]
    assert rows(result, "liquidations", "penalty", "insurance", "bad_debt", "adl_loss") == [(0.0,) * 4] * 2
    assert rows(result, "fills", "symbol", "quote", "realized_pnl", "cause")[2:] == [
        ("ETH", -95_190.0, 4_810.0, "adl"),
        ("BTC", 77_000.0, -23_000.0, "liquidation"),
    ]
    assert column(result, "equity", "equity") == [20_000.0, 20_000.0, 14_810.0, 1_810.0, 1_810.0]
    assert balances(result).keys() == {"capital", "wallet", "trades"}
    # The strategy is told at the row's close, and finds its hedge gone.
    assert seen == [
        "strategy",
        "strategy",
        "adl",
        (ROW_2 + 30_000, "ETH", 100.0, 951.9, {"BTC": 10.0}),
        "liquidation",
        (ROW_3, "BTC", -10.0, 7_700.0, {}),
    ]
    # Without the event nothing happens to the hedge at all.
    untold, _ = told(tmp_path / "untold", falling())
    assert rows(untold, "liquidations", "ts") == []
    assert column(untold, "equity", "equity") == [20_000.0] * 5


@pytest.mark.parametrize(
    ("share", "closed", "quote", "left"),
    [
        # Lots are rounded up: a half of 100,001 lots are 50,001, 50.001 at 950 = 47,500.95; 0.2 % is 95.0019.
        ("0.5", 50.001, -47_595.9519, -50.0),
        ("0.000001", 0.001, -0.9519, -100.0),
        ("1", 100.001, -95_190.9519, 0.0),
    ],
)
def test_a_share_is_taken_of_it(tmp_path: Path, share: str, closed: float, quote: float, left: float) -> None:
    steps = {0: both(buy("BTC", 10), sell("ETH", 100.001))}
    result, _ = told(tmp_path, falling(9e3, 900.0), f"{DAY}2:30,ETH,{share}", steps=steps)
    assert rows(result, "fills", "qty", "quote", "cause")[2:] == [(closed, quote, "adl")]
    assert sum(column(result, "fills", "qty")[1:]) == pytest.approx(left, abs=1e-12)


@pytest.mark.parametrize(
    ("sol", "top", "taken"),
    [
        # At 30 s ETH is at 950 and SOL at 45, both shorts in profit, BTC has lost. Rank by entry / mark x notional:
        #   ETH 100: 100,000 / 95,000 x 95,000 = 100,000    SOL 1,000: 50,000 / 45,000 x 45,000 = 50,000
        (1_000, 1, ["ETH"]),
        (1_000, 2, ["ETH", "SOL"]),
        (1_000, 5, ["ETH", "SOL"]),
        #   of the same size SOL ranks by what it was sold for, 100,050
        (2_001, 1, ["SOL"]),
        (2_001, 2, ["SOL", "ETH"]),
    ],
)
def test_the_best_rank_is_taken_first_and_losers_never(tmp_path: Path, sol: float, top: int, taken: list[str]) -> None:
    markets = [*falling(9e3, 900.0), Market("SOL", [50.0, 50.0, (50.0, 50.0, 40.0, 40.0), 40.0, 40.0])]
    steps = {0: both(buy("BTC", 10), sell("ETH", 100), sell("SOL", sol))}
    result, _ = told(tmp_path, markets, f"{DAY}2:30,*,1", steps=steps, adl_top=top)
    assert column(result, "liquidations", "symbol") == taken
    assert set(column(result, "liquidations", "stage")) == {"deleveraged"}


def test_a_long_ranks_by_mark_over_entry(tmp_path: Path) -> None:
    # BTC has risen to 11,000: 110,000 / 100,000 x 110,000 = 121,000. ETH, a short of 122 from 1,000 to 998:
    # 122,000 / 121,756 x 121,756 = 122,000.
    markets = [Market("BTC", [1e4, 1e4, 1.1e4, 1.1e4]), Market("ETH", [1e3, 1e3, 998.0, 998.0])]
    for eth, first in ((122, "ETH"), (120, "BTC")):
        steps = {0: both(buy("BTC", 10), sell("ETH", eth))}
        result, _ = told(tmp_path / first, markets, f"{DAY}2:30,*,1", steps=steps)
        assert column(result, "liquidations", "symbol") == [first]


def test_an_event_without_a_candidate_is_counted(tmp_path: Path) -> None:
    # BTC has lost, and before row 1 there is nothing.
    result, _ = told(tmp_path, falling(9e3, 900.0), f"{DAY}2:30,BTC,1", f"{DAY}0:30,*,1")
    assert rows(result, "liquidations", "ts") == []
    assert [n for name, n in result.summary["counts"].items() if "deleverag" in name] == [2]


def test_a_fast_move_deleverages_at_the_close_that_saw_it(tmp_path: Path) -> None:
    # 5 % within two minutes. ETH closes row 2 at 940, 6 % below row 0: half of the short is taken at the next open, at
    # 930. Two minutes are silent: row 3 is 7 % below row 1. Row 4, at 880, is 6.4 % below row 2: half of the rest at
    # the open of row 5. Row 5 is 5.4 % below row 3, and silent.
    markets = [Market("BTC", [1e4] * 8), Market("ETH", [1e3, 1e3, 940.0, 930.0, 880.0, 880.0, 880.0, 880.0])]
    result, _ = told(tmp_path, markets, "move=5%/2m,0.5")
    assert rows(result, "liquidations", "ts", "symbol", "qty") == [
        (3 * MINUTE, "ETH", 50.0),
        (5 * MINUTE, "ETH", 25.0),
    ]
    assert column(result, "liquidations", "price") == pytest.approx([930 * 1.002, 880 * 1.002], rel=1e-14)


def test_a_pool_of_its_own_gives_back_what_the_closed_share_held(tmp_path: Path) -> None:
    # Isolated at leverage 20 the short posts 5,000; at 30 s, at 950, it has 10,000. Half of it is bought back for
    # 47,500 + 95: 9,905 in all, of which half of the 10,000 stays and 4,905 go to the wallet. At 900 the rest has won
    # another 2,500: 7,500.
    result, _ = told(
        tmp_path, falling(9e3, 900.0), f"{DAY}2:30,ETH,0.5", steps={0: sell("ETH", 100)}, margin="isolated", leverage=20
    )
    assert rows(result, "liquidations", "ts", "pool", "equity_before", "equity_after") == [
        (ROW_2 + 30_000, "ETH", 10_000.0, 9_905.0)
    ]
    assert rows(result, "margin", "pool", "equity")[-1] == ("ETH", 7_500.0)
    held = balances(result)
    assert held["wallet"] == 19_905_000_000
    assert held["pool:ETH"] == 7_500_000_000 + 45_000_000_000
