"""What a venue changed of its terms inside a run, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from backtest.venues.field_types import held_at, moment_said
from backtest.venues.liquidation_policy import Liquidation
from backtest.venues.margin_rules import Table
from backtest.venues.rules_text import growth, law, money, percent
from backtest.venues.terms import Terms, Tier

ARROW = "→"


def markets(
    name: str, terms: Sequence[Terms], tables: Sequence[Table], seen: bool, start_ms: int, end_ms: int
) -> list[tuple[int, str]]:
    """Return each change of a market's terms after ``start_ms`` and before ``end_ms``: its instant, and a sentence.

    ``seen``: its tables are dated by their first sight.
    """
    out = []
    for old, new in pairwise(terms):
        at = new.from_ms
        if start_ms < at < end_ms and replace(new, from_ms=old.from_ms) != old:
            held = held_at(tables, at)
            since = "seen" if seen and held.from_ms == at else "from"
            doubt = " (assumed)" if held.status == "assumed" and held.from_ms == at else ""
            out.append((at, f"{name}: {', '.join(parts(old, new))}, {since} {moment_said(at)}{doubt}"))
    return out


def laws(tables: Sequence[Liquidation], start_ms: int, end_ms: int) -> list[tuple[int, str]]:
    """Return each change of the rules of liquidation likewise."""
    inside = [table for table in tables if start_ms < table.from_ms < end_ms]
    return [(t.from_ms, f"Liquidation: {law(t.law())}, from {moment_said(t.from_ms)}") for t in inside]


def parts(old: Terms, new: Terms) -> list[str]:
    """Return what differs: the lowest tier's rates, else those from the first notional at which any differ; limits;
    the penalty; the least order; what rates grow by."""
    out = _rates(old, new)
    out += _changed("largest position", _amount(old.limit_micro), _amount(new.limit_micro))
    out += _changed("largest position in base units", _amount(old.limit_units), _amount(new.limit_units))
    out += _changed("least order", money(old.min_notional_micro), money(new.min_notional_micro))
    out += _changed("price band", _share(old.price_band), _share(new.price_band))
    out += _changed("liquidation penalty", percent(old.penalty), percent(new.penalty))
    least, least_before = -new.tiers[0].maintenance_deduction, -old.tiers[0].maintenance_deduction
    out += _changed("flat amount", money(least_before), money(least))
    if (old.initial_by_size, old.maintenance_by_size) != (new.initial_by_size, new.maintenance_by_size):
        out += _changed("growth with size", _growth(old), _growth(new))
    return out or ["rounding"]


def _share(share: float | None) -> str:
    return "none" if share is None else percent(share)


def _growth(terms: Terms) -> str:
    flat = replace(terms.tiers[0], initial_deduction=0, maintenance_deduction=0)
    return growth(replace(terms, tiers=(flat,), limit_units=None)) or "none"


def _changed(name: str, before: str, after: str) -> list[str]:
    return [f"{name} {before} {ARROW} {after}"] if before != after else []


def _amount(micro: int | None) -> str:
    return "no limit" if micro is None else money(micro)


def _rates(old: Terms, new: Terms) -> list[str]:
    """At the lowest notional at which the tiers of both differ."""
    edges = sorted({0, *(tier.upto_micro for terms in (old, new) for tier in terms.tiers if tier.upto_micro)})
    for edge in edges:
        before, after = _tier(old, edge), _tier(new, edge)
        if (before.initial, before.maintenance) == (after.initial, after.maintenance):
            continue
        said = _changed("maintenance", percent(before.maintenance), percent(after.maintenance))
        said += _changed("maximum leverage", _leverage(before), _leverage(after))
        above = f" above {money(edge)}" if edge else ""
        return [f"{part}{above}" for part in said]
    return []


def _tier(terms: Terms, above_micro: int) -> Tier:
    """The tier of a notional just above an edge."""
    return next(tier for tier in terms.tiers if tier.upto_micro is None or tier.upto_micro > above_micro)


def _leverage(tier: Tier) -> str:
    return f"{1 / tier.initial:.4g}×" if tier.initial else "no limit"
