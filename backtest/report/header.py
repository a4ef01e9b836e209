"""What results are about, at their top: data, period, venue, markets, trades; for the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backtest.report.formatting import interval, listing, moment

if TYPE_CHECKING:
    from backtest.results.result import Result

NAMED = 6
"""Markets named one by one."""


def scope(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Return titles and values. Of several accounts the period and the markets are those of all together."""
    data = [r.summary["data"] for r in results]
    begin, end = min(d["from_ms"] for d in data), max(d["to_ms"] for d in data)
    venues = dict.fromkeys(str(r.summary["config"]["venue"]) for r in results)
    return [
        ("Data", _source(data[0])),
        ("Period", f"{moment(begin)} to {moment(end)} UTC, {interval(data[0]['interval_ms'])} candles"),
        ("Venue", listing(list(venues))),
        ("Markets", _markets(list(dict.fromkeys(symbol for d in data for symbol in d["symbols"])))),
        ("Trades", _trades(results)),
    ]


def _source(data: Mapping[str, Any]) -> str:
    """The dataset's name, and where it says that it comes from."""
    return ": ".join(text for text in (str(data["name"]), str(data["provenance"])) if text)


def _markets(symbols: Sequence[str]) -> str:
    if len(symbols) <= NAMED:
        return ", ".join(symbols)
    return f"{len(symbols):,}: {', '.join(symbols[:NAMED])}, …"


def _trades(results: Sequence[Result]) -> str:
    """Finished round trips, and what is still open; the labels where accounts differ."""
    counts = [_count(r) for r in results]
    if len(set(counts)) == 1:
        return counts[0] + (" each" if len(results) > 1 else "")
    return "; ".join(f"{r.label} {count}" for r, count in zip(results, counts, strict=True))


def _count(result: Result) -> str:
    done, still = result.metrics["trades"], result.metrics["open_trades"]
    return f"{done:,}" + (f" (and {still:,} open at the end)" if still else "")
