"""What isolated positions were posted with, in words: the first sentence of a report in which there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backtest.report.formatting import listing

if TYPE_CHECKING:
    from backtest.results.result import Result

TOLD = 3
"""Markets that are named one by one."""


def posted_words(results: Sequence[Result]) -> list[str]:
    """What isolated positions posted, once where several accounts say the same; nothing where there were none."""
    said = [(result, _words(result.summary["config"], result.summary["data"].get("symbols", ()))) for result in results]
    known = [(result, words) for result, words in said if words]
    if len({words for _, words in known}) <= 1:
        return [words for _, words in known[:1]]
    return [f"{result.label}: {words}" for result, words in known]


def _words(config: Mapping[str, Any], symbols: Sequence[str]) -> str:
    facts = config.get("isolated")
    if not facts:
        return ""
    markets = facts["markets"]
    who = "Positions isolated by share" if facts["by_share"] else "Isolated"
    who = f"Isolated positions in {_named(markets)}" if markets else who
    own = facts["set"]
    if own and set(own) >= set(markets or symbols):
        return f"{who} posted margin by the strategy's own leverage."
    but = f", but where the strategy set a leverage itself ({_named(own)})" if own else ""
    return f"{who} posted {_how_much(config, facts)}{but}."


def _how_much(config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    venue, leverage = config["venue"], facts["leverage"]
    if facts.get("amount") is not None:
        share = ", an equal share of the deposit" if facts["equal"] else ""
        return f"{facts['amount']:,.2f} for each position{share}, or its initial margin where that is more"
    if leverage is None:
        asked = "--isolated-margin minimum" if config.get("isolated_margin") == "minimum" else None
        why = asked or "--leverage max" if asked or facts["named"] else "its profile names no default leverage"
        return f"the minimum that {venue} requires of each position ({why})"
    source = f"the default of {venue}" if facts["by"] == "default" else "--leverage"
    lower = facts["lower"]
    less = f"; {_lower(lower)}" if lower else ""
    return f"1/{leverage:g} of each position ({leverage:g}x, {source}{less})"


def _lower(lower: Mapping[str, float]) -> str:
    """Markets that do not allow so much."""
    if len(lower) > TOLD:
        return f"{len(lower)} markets allow less, and posted more"
    return f"{listing([f'{symbol} {most:.4g}x' for symbol, most in lower.items()])} at most"


def _named(symbols: Sequence[str]) -> str:
    return listing(list(symbols)) if len(symbols) <= TOLD else f"{len(symbols)} markets"
