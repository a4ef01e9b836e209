"""Put the shipped pack of scenarios on two books over real prices, under three venues.

`python -m tests.docs.stressed` replays them all and rewrites the tables of survival.md below "The shipped scenarios".
The environment's BACKTEST_REAL_DATA names the folder that holds the dataset. Only outcomes are written, no prices;
with a prefix as its argument also every row, as PREFIX-BOOK.csv.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

import backtest
from backtest import Strategy, Stress
from backtest.data.catalog import Catalog
from tests.docs.survival import PAGE, data

VENUES = ("binance_usdm", "hyperliquid", "dydx_v4")
MODES = ("isolated", "cross")
SETTINGS: Mapping[str, Any] = {
    "start": "2025-09-01", "end": "2025-12-01", "cash": 100_000.0, "isolated_margin": "equal", "leverage": "max",
    "slippage": ["half-spread=1", "impact=1"], "symbols": ["BTCUSDT", "ETHUSDT"],
}  # fmt: skip
HEADING = "## The shipped scenarios"
BOOKS = {"hedged": "Hedged pair", "long": "Long book"}


class Long(Strategy):
    """Twice the equity in BTC and ETH, half each, bought at the first close and held."""

    symbols = ("BTCUSDT", "ETHUSDT")

    def on_start(self, market: Any, account: Any) -> None:
        self.bought = False

    def on_candle(self, market: Any, account: Any) -> None:
        if not self.bought:
            self.bought = True
            gross = 2 * account.equity
            for symbol in self.symbols:
                account.target(symbol, notional=gross / 2)


def play(catalog: Catalog, book: str, venues: tuple[str, ...] = VENUES, pack: Path | None = None) -> Stress:
    """Return the stress of a book under venues; ``pack``: some of the scenarios."""
    more: dict[str, Any] = {"vary": {"venue": list(venues)}, "scenario": str(pack or "crashes"), **SETTINGS}
    if book == "long":
        return backtest.stress(Long, catalog, margin=MODES, **more)
    pair = {"long": "BTCUSDT", "short": "ETHUSDT"}
    return backtest.stress("hedged_pair", catalog, margin=MODES, params=pair, **more)


def cell(row: Mapping[str, Any]) -> str:
    """Equity at the end in per cent of that at the start; † and the day of the first liquidation; = unchanged."""
    if row["digest"] is None:
        return "–"
    left = f"{row['end_equity'] / 1_000:.0f}"
    if not row["survived"]:
        day = row["first_liquidation"]
        return f"† {day.day} {day:%b}: {left}" if day else f"†: {left}"
    return f"{left} =" if row["changed"] is False else left


def table(made: Stress) -> str:
    """A row per scenario, a column per venue and margin mode."""
    accounts = [(venue, mode) for venue in VENUES for mode in MODES]
    lines = ["| scenario | " + " | ".join(f"`{venue}` {mode}" for venue, mode in accounts) + " |"]
    lines.append("|---" * (len(accounts) + 1) + "|")
    names = list(dict.fromkeys(made.frame["scenario"]))
    for name in names:
        own = made.frame.filter(pl.col("scenario") == name)
        rows = {(row["venue"], row["margin"]): cell(row) for row in own.iter_rows(named=True)}
        lines.append(f"| {name} | " + " | ".join(rows.get(account, "–") for account in accounts) + " |")
    return "\n".join(lines) + "\n"


def written(page: str, book: str) -> dict[str, list[str]]:
    """What the page says of a book: cells by scenario."""
    part = page.partition(f"### {BOOKS[book]}\n")[2]
    lines = [line for line in part.split("\n##")[0].splitlines() if line.startswith("|")][2:]
    cells = [[text.strip() for text in line.strip("|").split("|")] for line in lines]
    return {name: texts for name, *texts in cells}


def main() -> None:
    catalog = data()
    if catalog is None:
        sys.exit("BACKTEST_REAL_DATA does not name a folder with binance_1h_long")
    page = PAGE.read_text(encoding="utf-8")
    for book, title in BOOKS.items():
        made = play(catalog, book)
        head, mark, rest = page.partition(f"### {title}\n")
        if not mark:
            sys.exit(f"{PAGE.name} has no section {title!r}")
        section, heading, after = rest.partition("\n#")
        words = "".join(line for line in section.splitlines(keepends=True) if not line.startswith("|"))
        page = head + mark + f"\n{words.strip()}\n\n" + table(made) + heading + after
        sys.stderr.write(f"{title}: {made!r}\n")
        if len(sys.argv) > 1:
            made.frame.write_csv(f"{sys.argv[1]}-{book}.csv")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
