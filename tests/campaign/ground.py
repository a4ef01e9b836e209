"""The folder that a campaign plays in: a sound dataset, strategies, and sound files of every kind to spoil."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from backtest.venues import chains, profile
from tests import small_market as small

CHANCE = '''from backtest import Param, Strategy

WAYS = (
    "target", "market", "limit", "stop", "bracket", "trail", "oco", "cancel", "amend", "top_up", "withdraw", "close",
)


class Chance(Strategy):
    """Sends orders of every kind, drawn from the seed of the run."""

    often: float = Param(0.1, gt=0, le=1)
    size: float = Param(0.5, gt=0, le=10)

    def on_start(self, market, account):
        self.sent = []

    def on_candle(self, market, account):
        if self.rng.random() > self.often:
            return
        symbol = market.symbols[self.rng.integers(len(market.symbols))]
        price = market.close[symbol]
        if price > 0:
            self.act(WAYS[self.rng.integers(len(WAYS))], symbol, price, account)

    def act(self, way, symbol, price, account):
        side = 1 if self.rng.random() < 0.5 else -1
        shift = self.rng.uniform(0.0005, 0.02)
        qty = max(0.001, self.size * account.equity / price)
        order = account.buy if side > 0 else account.sell
        if way == "target":
            account.target(symbol, weight=self.rng.uniform(-1, 1) * 4 * self.size)
        elif way == "market":
            self.sent.append(order(symbol, qty))
        elif way == "limit":
            self.sent.append(order(symbol, qty, limit=price * (1 - side * shift)))
        elif way == "stop":
            self.sent.append(order(symbol, qty, stop=price * (1 + side * shift)))
        elif way == "bracket":
            order(symbol, qty, stop_loss=price * (1 - side * shift), take_profit=price * (1 + side * shift))
        elif way == "trail":
            self.sent.append(order(symbol, qty, trail=f"{shift * 100:.2f}%"))
        elif way == "oco":
            from backtest import Order

            low, high = Order(symbol, qty, limit=price * (1 - shift)), Order(symbol, qty, stop=price * (1 + shift))
            account.oco(low, high)
        elif way == "cancel":
            account.cancel_all(symbol) if side > 0 else [account.cancel(number) for number in self.sent[-1:]]
        elif way == "amend":
            for number in self.sent[-1:]:
                account.amend(number, qty=qty * 0.7)
        elif way == "top_up":
            account.top_up(account.reserve * 0.3)
        elif way == "withdraw":
            account.withdraw(max(0.0, account.free_collateral) * 0.1)
        else:
            account.close(symbol)
'''
"""A strategy that does everything, from the run's own chance."""

BOOK = {
    "venue": "generic",
    "margin": "cross",
    "collateral": 10_000,
    "positions": [
        {"symbol": "BTC-USD", "qty": 1, "mark": 50_000, "entry": 49_000.5},
        {"symbol": "ETH-USD", "qty": -10, "mark": 3_000, "leverage": 5},
    ],
    "open_orders": [{"symbol": "BTC-USD", "qty": 0.5}],
}
OWN_VENUE = {
    "name": "mine",
    "source": "the venue's margin page",
    "date": "2026-01-01",
    "quote": "USD",
    "defaults": {"initial": 0.05, "maintenance": 0.03, "penalty": 0.01, "taker_fee_bps": 4.5},
    "tiers": [
        {"upto": 100_000, "initial": 0.05, "maintenance": 0.03},
        {"upto": 1_000_000, "initial": 0.1, "maintenance": 0.06},
        {"initial": 0.2, "maintenance": 0.12},
    ],
    "symbols": {"BTC-USD": {"tiers": [{"upto": 5_000_000, "initial": 0.02, "maintenance": 0.01}]}},
}
MANIFEST = {
    "dataset": {"interval": "1h", "quote": "USD", "venue": "generic", "provenance": "made", "funding_interval": "8h"},
    "symbols": {"BTC-USD": {"step": 0.001, "tick": 0.01, "mark_interval": "1h"}, "ETH-USD": {"step": 0.01}},
}


def write(folder: Path) -> None:
    """Write the dataset `market`, and the strategies `hold.py` and `chance.py`."""
    small.write(folder)
    (folder / "chance.py").write_text(CHANCE)


def venues() -> list[dict[str, Any]]:
    """Sound venue files: those that come with the package, one by hand, and ones that extend another.

    Those that read their tables from a file beside them are left out: alone they would be none.
    """
    found = [_read(file) for file in sorted(Path(profile.__file__).parent.glob("presets/*.toml"))]
    extending = {"extends": "dydx_v4", "name": "mine", "defaults": {"taker_fee_bps": 3}}
    return [OWN_VENUE, extending, *(tree for tree in found if "terms" not in tree)]


def chain_files() -> list[dict[str, Any]]:
    """Sound chain files: those that come with the package."""
    return [_read(file) for file in sorted(Path(chains.__file__).parent.glob("chains/*.toml"))]


def _read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8"))
