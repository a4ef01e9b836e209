"""What a chain does to books on real prices: the table of docs/explanation/layer2.md.

`python -m tests.docs.stories` plays them all and rewrites it. The environment's BACKTEST_REAL_DATA names the
folder that holds the dataset. Only outcomes are written, no prices.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest import Result, Strategy
from backtest import run as play
from tests.docs.survival import data

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "layer2.md"
CASH = 100_000.0


class Long(Strategy):
    """A long of one market, five times the equity, from the first close on; with a stop below it where one is asked."""

    def __init__(self, symbol: str, stop: float = 0.0) -> None:
        super().__init__()
        self.symbol, self.stop, self.symbols, self.opened = symbol, stop, (symbol,), False

    def on_candle(self, market: Any, account: Any) -> None:
        if self.opened:
            return
        self.opened = True
        below = {"stop_loss": market.close[self.symbol] * (1 - self.stop)} if self.stop else {}
        account.buy(self.symbol, notional=4.75 * account.equity, **below)


class Pair(Strategy):
    """Long one market and short another, twice the equity each, back to equal sizes at every close."""

    def __init__(self, long: str, short: str) -> None:
        super().__init__()
        self.symbols = (long, short)

    def on_candle(self, market: Any, account: Any) -> None:
        if account.equity > 0:
            for symbol, weight in zip(self.symbols, (2.0, -2.0), strict=True):
                account.target(symbol, weight=weight)


BOOKS: dict[str, Strategy] = {
    "BTC long 5×": Long("BTCUSDT"),
    "XRP long 5×": Long("XRPUSDT"),
    "XRP long 5×, stop loss 15 %": Long("XRPUSDT", 0.15),
    "BTC and ETH hedged, 2× each": Pair("BTCUSDT", "ETHUSDT"),
}


@dataclass(frozen=True)
class Story:
    """A week on a chain."""

    name: str
    start: str
    end: str
    chain: str | None
    outages: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        asked = {"start": self.start, "end": self.end, "cash": CASH, "venue": "dydx_v4"}
        return asked if self.chain is None else {**asked, "chain": self.chain, "outages": self.outages}


OCTOBER, DECEMBER = ("2025-10-09", "2025-10-14"), ("2023-12-14", "2023-12-18")
STORIES = (
    Story("October 2025, no chain", *OCTOBER, None),
    Story("October 2025, `arbitrum`, no outage", *OCTOBER, "arbitrum", ("history",)),
    Story("October 2025, `dydx_chain`, outage of eight hours", *OCTOBER, "dydx_chain", ("history",)),
    Story("October 2025, `arbitrum`, assumed outage 21:00–22:00", *OCTOBER, "arbitrum", ("2025-10-10T21:00/1h",)),
    Story("December 2023, no chain", *DECEMBER, None),
    Story("December 2023, `arbitrum`, outage of 78 minutes", *DECEMBER, "arbitrum", ("history",)),
)


def outcome(result: Result) -> list[str]:
    """Equity at the end in per cent of the start, the first liquidation, the longest order latency, and how many
    orders the chain has not brought in time."""
    died = result.tables["liquidations"]
    when = f"{died['ts'][0]:%d %b %H:%M}" if len(died) else "none"
    orders = result.tables["orders"].drop_nulls("ts_arrived")
    longest = (orders["ts_arrived"] - orders["ts_sent"]).dt.total_milliseconds().max()
    lost = result.tables["orders"]["reason"].str.starts_with("outage").sum()
    return [f"{100 * result.metrics['final_equity'] / CASH:.2f}", when, lasting(int(longest)), str(lost)]


def lasting(ms: int) -> str:
    """A length of time in words."""
    if ms < 60_000:
        return f"{ms / 1000:.2f} s"
    return f"{ms // 60_000} min {ms % 60_000 / 1000:.0f} s" if ms < 3_600_000 else f"{ms / 3_600_000:.2f} h"


def rows() -> Iterator[tuple[str, str, list[str]]]:
    """(story, book, cells) of each."""
    catalog = data()
    assert catalog is not None, "BACKTEST_REAL_DATA does not name a folder with binance_1h_long"
    for story in STORIES:
        for name, book in BOOKS.items():
            yield story.name, name, outcome(play(book, catalog, **story.settings()))


HEAD = ("scenario", "positions", "equity at the end, %", "first liquidation", "longest order latency", "orders lost")


def table() -> str:
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    lines += ["| " + " | ".join([story, book, *cells]) + " |" for story, book, cells in rows()]
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """The table that the page has."""
    found = re.search(r"^\| scenario \|.*\n(?:\|.*\n)*", page, re.MULTILINE)
    assert found, f"{PAGE.name} has no table of stories"
    return found[0]


def main() -> None:
    made = table()
    sys.stdout.write(made)
    if PAGE.is_file():
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(page.replace(written(page), made), encoding="utf-8")


if __name__ == "__main__":
    main()
