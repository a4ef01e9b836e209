"""Laws of liquidation written by hand, and 100 BTC that meet them.

Unless said otherwise: 100,000 cash, no fees, one tier of 5 % and 3 %, no penalty, 100 BTC bought at 10,000 at the open
of row 1. Row 2 is 120,000 to 180,000 ms; its knots lie at 0, 20, 40 and 60 s. Where the price jumps at the open of row
2 and then stands still, a pool's equity changes by what its steps cost and by nothing else:

    at 9,250   equity  25,000, maintenance 3 % of 925,000 = 27,750
    at 9,200   equity  20,000, maintenance 3 % of 920,000 = 27,600
    at 9,150   equity  15,000, maintenance 3 % of 915,000 = 27,450
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from backtest import Result
from tests.scenarios.scenario import MINUTE, Market, balances, buy, play, rows

ROW_2, ROW_3 = 2 * MINUTE, 3 * MINUTE
ONE_TIER = ((None, 0.05, 0.03),)
LADDER = ((500_000, 0.05, 0.03), (None, 0.10, 0.06))
"""Deductions above the edge: 25,000 of initial, 15,000 of maintenance margin."""
STEPS = ("ts", "stage", "qty", "price", "insurance", "equity_after", "maintenance_after")


def law(folder: Path, keys: str, *tiers: tuple[float | None, float, float], more: str = "") -> str:
    """A venue file that liquidates by ``keys``; ``more`` are further tables."""
    lines = ['name = "staged"', 'source = "a test"', "date = 2024-01-01", 'quote = "USDC"', "[defaults]", "penalty = 0"]
    for upto, initial, maintenance in tiers or ONE_TIER:
        lines += ["[[tiers]]"] + ([] if upto is None else [f"upto = {upto}"])
        lines += [f"initial = {initial}", f"maintenance = {maintenance}"]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "venue.toml"
    file.write_text("\n".join([*lines, "[[liquidation]]", keys, more]) + "\n")
    return str(file)


def jump(price: float, trades: float | None = None, count: int = 2) -> Market:
    """BTC at 10,000 that opens row 2 at another price and stays there; ``trades``: away from the mark."""
    marks = [1e4, 1e4, *[price] * count]
    return Market("BTC", marks if trades is None else [1e4, 1e4, *[trades] * count], mark=marks)


def sound(result: Result) -> Result:
    """The result, after its liquidations have been held against the ledger, and each row against the next."""
    stages = rows(result, "liquidations", "insurance", "bad_debt", "equity_before", "equity_after")
    held = balances(result)
    assert held.get("insurance", 0) == sum(round(row[0] * 1e6) for row in stages)
    assert -held.get("bad_debt", 0) == sum(round(row[1] * 1e6) for row in stages)
    # What the fund received, the account and its trades gave: nothing else has money.
    account = sum(amount for name, amount in held.items() if name not in ("insurance", "bad_debt"))
    assert account + held.get("insurance", 0) + held.get("bad_debt", 0) == 0
    return result


def staged(folder: Path, keys: str, market: Market | list[Market], *tiers: Any, **settings: Any) -> Result:
    """100 BTC bought at row 1 under a law; ``steps`` for another script."""
    steps = settings.pop("steps", {0: buy("BTC", 100)})
    markets = market if isinstance(market, list) else [market]
    more = settings.pop("more", "")
    return sound(play(folder / "data", markets, steps, venue=law(folder, keys, *tiers, more=more), **settings))
