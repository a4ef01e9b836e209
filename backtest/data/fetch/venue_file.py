"""Leverage tiers of today as a venue file for `--venue`, beside the dataset: `NAME.venue.toml`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from backtest.core import disk, toml_text
from backtest.core.errors import UserError
from backtest.data.fetch.market import Market
from backtest.data.fetch.plan import Plan

if TYPE_CHECKING:
    from backtest.data.fetch.exchange import Exchange

_PLAIN = "generic"
"""What is extended where no preset knows the venue."""


def venue_file(target: Path) -> Path:
    """Return where the venue file of a dataset is."""
    return target.with_name(f"{target.name}.venue.toml")


def write_venue_file(target: Path, plan: Plan, venue: Exchange) -> Path | None:
    """Write the tiers of the plan's markets, and return the file; None where the venue tells none.

    Where a preset knows the venue the tiers hold from today on, and before it what the preset has.
    """
    known = [market for market in plan.markets if market.margin is not None and _sound(market)]
    if not known:
        return None
    file = venue_file(target)
    disk.refuse_link(file, "take it away")
    try:
        with disk.whole_file(file) as draft:
            draft.write_text("\n".join(_lines(plan, known, venue)) + "\n", "utf-8")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", str(file), "make room there") from error
    return file


def _lines(plan: Plan, known: list[Market], venue: Exchange) -> Iterator[str]:
    day = f"{datetime.fromtimestamp(plan.now_ms / 1000, UTC):%Y-%m-%d}"
    yield f"# Leverage tiers of {venue.title} on {day}, from the venue's public interface."
    yield toml_text.line("name", f"{target_name(venue)} of {day}")
    yield toml_text.line("extends", venue.preset or _PLAIN)
    yield toml_text.line("source", f"the interface of {venue.title}")
    yield f"date = {day}"
    yield toml_text.line("quote", known[0].quote)
    yield ""
    yield "[sources]"
    yield toml_text.line("fetched", f"the interface of {venue.title}, read on {day}")
    for market in known:
        margin = market.margin
        if margin is None:
            continue
        yield ""
        yield f"[[symbols.{toml_text.quoted(market.name)}.margin]]"
        if venue.preset:
            yield f"from = {day}"
        yield 'source = "fetched"'
        yield 'status = "verified"'
        yield toml_text.line("rule", margin.rule)
        yield from (f"{key} = {value}" for key, value in margin.rates)
        if margin.tiers:
            yield "tiers = ["
            yield from (f"  {{ {', '.join(f'{key} = {value}' for key, value in row)} }}," for row in margin.tiers)
            yield "]"


def _sound(market: Market) -> bool:
    """Whether the tiers are what a venue file takes: edges and rates rise, only the last tier is open."""
    margin = market.margin
    if margin is None:
        return False
    steps = [dict(row) for row in margin.tiers]
    edges = [Decimal(step.get("upto", "Infinity")) for step in steps]
    leverages = [Decimal(step["max_leverage"]) for step in steps if "max_leverage" in step]
    rates = [Decimal(step.get("maintenance", 0)) for step in steps]
    return (
        bool(margin.rates or steps)
        and len(leverages) == len(steps)
        and all(low < high for low, high in pairwise(edges))
        and all(low >= high for low, high in pairwise(leverages))
        and all(low <= high for low, high in pairwise(rates))
        and all(rate * leverage <= 1 <= leverage for rate, leverage in zip(rates, leverages, strict=True))
    )


def target_name(venue: Exchange) -> str:
    """Return what the venue of the file is called in a report."""
    return venue.preset or venue.name
