"""One row of the table of orders: a few candles, what is sent at their closes, and what must come of it.

Rows last a minute, so the knots of a row lie at 0, 20, 40 and 60 s. Lows come first where a row closes at or above its
open. Unless said otherwise: one market "BTC" with lots of 0.001; row 0 flat at 100, at its close the first orders are
sent, and they arrive at the open of row 1, 60 s; no slippage, 10 bps for takers, 2 bps for makers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import Result
from tests.scenarios.scenario import MINUTE, START, Market, Row, Step, both, play, rows

Fill = tuple[int, int | None, float, float, float, str]
"""ms after row 0's open, order's number (None: none), signed size, price, fee, liquidity."""
End = tuple[int, str, str | None, float]
"""ms after row 0's open, status, reason, signed size that was filled."""


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    name: str
    candles: Sequence[Row]
    sends: Mapping[int, Sequence[Step]]
    """What is sent at the close of which row."""
    fills: Sequence[Fill]
    ends: Mapping[int, End]
    """By the order's number; messages that are not orders take numbers too."""
    mark: Sequence[Row] | None = None
    volume: Sequence[float] | None = None
    beside: Sequence[Row] | None = None
    """Candles of a second market, "ETH", in which nothing is sent."""
    venue: str = ""
    """Lines of a venue's file; none: the generic venue."""
    settings: Mapping[str, Any] = field(default_factory=dict)


def at(row: int, seconds: float = 0) -> int:
    """Milliseconds after row 0's open."""
    return row * MINUTE + round(seconds * 1000)


def took(ms: int, order: int, qty: float, price: float, fee: float) -> Fill:
    """A fill as taker."""
    return ms, order, qty, price, fee, "taker"


def made(ms: int, order: int, qty: float, price: float, fee: float) -> Fill:
    """A fill as maker."""
    return ms, order, qty, price, fee, "maker"


def filled(ms: int, qty: float) -> End:
    """Filled, to this signed size."""
    return ms, "filled", None, qty


def cancelled(ms: int, reason: str, qty: float = 0.0) -> End:
    """Cancelled, after it had filled ``qty``."""
    return ms, "cancelled", reason, qty


def expired(ms: int, reason: str = "end_of_run", qty: float = 0.0) -> End:
    """Expired, after it had filled ``qty``."""
    return ms, "expired", reason, qty


def rejected(ms: int, reason: str) -> End:
    """Rejected."""
    return ms, "rejected", reason, 0.0


def buy(qty: float, **words: Any) -> Step:
    """Send a purchase; ``expires`` in ms after row 0's open."""
    return lambda market, account: account.buy("BTC", qty, **_dated(words))


def sell(qty: float, **words: Any) -> Step:
    """Send a sale, as `buy`."""
    return lambda market, account: account.sell("BTC", qty, **_dated(words))


def close(**words: Any) -> Step:
    """Send a reduce-only order for the whole position."""
    return lambda market, account: account.close("BTC", **_dated(words))


def oco(*orders: Mapping[str, Any]) -> Step:
    """Send orders of which one cancels the others: keywords of `backtest.Order`, beside its symbol."""
    return lambda market, account: account.oco(*(backtest.Order("BTC", **one) for one in orders))


def cancel(number: int) -> Step:
    """Send a cancel."""
    return lambda market, account: account.cancel(number)


def cancel_all() -> Step:
    """Send a cancel of all."""
    return lambda market, account: account.cancel_all()


def amend(number: int, **words: float) -> Step:
    """Send an amendment."""
    return lambda market, account: account.amend(number, **words)


def _dated(words: dict[str, Any]) -> dict[str, Any]:
    return {**words, "expires": START + words["expires"]} if "expires" in words else words


def outcome(folder: Path, case: Case) -> Result:
    """The case, played through the public API."""
    markets = [Market("BTC", case.candles, mark=case.mark, volume=case.volume)]
    if case.beside is not None:
        markets.append(Market("ETH", case.beside))
    settings: dict[str, Any] = {"fee_bps": 10, "maker_fee_bps": 2, **case.settings}
    if case.venue:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "venue.toml"
        file.write_text(case.venue)
        settings["venue"] = str(file)
    steps = {row: both(*sent) for row, sent in case.sends.items()}
    return play(folder / "data", markets, steps, **settings)


def fills(result: Result) -> list[Fill]:
    """What was filled, in order."""
    return rows(result, "fills", "ts", "order_id", "qty", "price", "fee", "liquidity")


def ends(result: Result) -> dict[int, End]:
    """How each order ended; a reason without its numbers."""
    found = rows(result, "orders", "order_id", "ts_done", "status", "reason", "filled_qty")
    return {number: (ms, status, reason and reason.split(":")[0], qty) for number, ms, status, reason, qty in found}


def near(wanted: Sequence[Fill]) -> list[Any]:
    """Fills to compare with: all exact but the price, which is a quotient of money by size."""
    return [(ms, order, qty, pytest.approx(price, rel=1e-12), fee, side) for ms, order, qty, price, fee, side in wanted]
