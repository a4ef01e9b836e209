"""What three venues ask in the scenarios, written down from their published tables, apart from the presets.

dydx_v4        BTC and ETH 5 % and 3 %, rounded up. Liquidation: a tenth of a position each second, at least 1,000
               and at most 100,000, on the book within 1.5 maintenance margins of the mark; penalty 1.5 %, but never
               more than the bankruptcy price leaves; the fund does not pay once equity is below zero, then
               deleveraging.
hyperliquid    BTC and ETH 2 % and 1 %. A fifth of a position above 100,000 first, then after 30 s all of it, on the
               book; no penalty; below two thirds of maintenance a vault takes the pool; else deleveraging.
binance_usdm   brackets of 2021 by notional, `rate × n − amount`, in a file that extends the preset. A position goes
               down a bracket each second, on the book and never worse than its bankruptcy price; 1.25 %; a fund that
               pays for bankrupt pools.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from backtest import Comparison, Result
from tests.scenarios.scenario import Market, play, play_both
from tests.scenarios.staged import sound

VENUES = ("dydx_v4", "hyperliquid", "binance_usdm")
BRACKETS = {
    # up to: (rate of maintenance, amount taken off), continuous: 50,000 x 0.1 % = 50, + 250,000 x 0.5 % = 1,300, …
    "BTC": {50_000: ("0.004", 0), 250_000: ("0.005", 50), 1_000_000: ("0.01", 1_300), 5_000_000: ("0.025", 16_300)},
    # 10,000 x 0.15 % = 15, + 100,000 x 0.35 % = 365, + 500,000 x 1 % = 5,365, + 1,000,000 x 3 % = 35,365
    "ETH": {
        10_000: ("0.005", 0), 100_000: ("0.0065", 15), 500_000: ("0.01", 365), 1_000_000: ("0.02", 5_365),
        2_000_000: ("0.05", 35_365),
    },
}  # fmt: skip
MICRO = 1e-6
LEVELS = ("equity_before", "maintenance_before")

each_venue = pytest.mark.parametrize("name", VENUES)


def bracket(name: str, symbol: str, notional: float) -> tuple[Fraction, int]:
    """(rate, amount) of maintenance at a notional."""
    if name == "binance_usdm":
        rate, amount = next(asked for upto, asked in BRACKETS[symbol].items() if notional <= upto)
        return Fraction(rate), amount
    return Fraction("0.03" if name == "dydx_v4" else "0.01"), 0


def maintenance(name: str, symbol: str, notional: float) -> Fraction:
    rate, amount = bracket(name, symbol, notional)
    return rate * Fraction(notional) - amount


def dies_at(name: str, entry: float, cash: Fraction | float, about: float, symbol: str = "BTC") -> Fraction:
    """Unsigned value at which a lone position of ``entry`` (signed) meets maintenance; ``about``: a value near it.

    A long: cash + v - entry = rate v - amount. A short: cash + |entry| - v = rate v - amount.
    """
    rate, amount = bracket(name, symbol, about)
    if entry > 0:
        return (Fraction(entry) - Fraction(cash) - amount) / (1 - rate)
    return (Fraction(-entry) + Fraction(cash) + amount) / (1 + rate)


def when(value: Fraction, first: float, last: float, from_s: int = 0) -> int:
    """Time in ms, after the row's open, at which a value on its way within 20 s is met; the thirds are cut off."""
    thirds = 60_000 * (value - Fraction(first)) / (Fraction(last) - Fraction(first))
    return (3_000 * from_s + round(thirds)) // 3


LADDERS = """
name = "binance_usdm"
extends = "binance_usdm"
[symbols.BTC]
tiers = [
  { upto = 50_000, max_leverage = 125, maintenance = 0.004 },
  { upto = 250_000, max_leverage = 100, maintenance = 0.005 },
  { upto = 1_000_000, max_leverage = 50, maintenance = 0.01 },
  { upto = 5_000_000, max_leverage = 20, maintenance = 0.025 },
  { upto = 20_000_000, max_leverage = 10, maintenance = 0.05 },
]
[symbols.ETH]
tiers = [
  { upto = 10_000, max_leverage = 100, maintenance = 0.005 },
  { upto = 100_000, max_leverage = 75, maintenance = 0.0065 },
  { upto = 500_000, max_leverage = 50, maintenance = 0.01 },
  { upto = 1_000_000, max_leverage = 25, maintenance = 0.02 },
  { upto = 2_000_000, max_leverage = 10, maintenance = 0.05 },
]
"""


def venue_of(name: str, folder: Path) -> str:
    """What a run is given for a venue."""
    if name != "binance_usdm":
        return name
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / f"{name}.toml"
    file.write_text(LADDERS)
    return str(file)


def under(name: str, folder: Path, markets: list[Market], steps: dict[int, Any], **settings: object) -> Result:
    return sound(play(folder, markets, steps, venue=venue_of(name, folder), **{"fee_bps": 0, **settings}))


def compared(name: str, folder: Path, markets: list[Market], steps: dict[int, Any], **settings: object) -> Comparison:
    return play_both(folder, markets, steps, venue=venue_of(name, folder), **{"fee_bps": 0, **settings})
