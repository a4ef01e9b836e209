"""Invented costs of fills, and a venue's bounds on orders, from a number: 0 is always the dullest, none at all."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from tests.reference.market import Bar, FeeTable, Impact, Snapshot
from tests.reference.terms import OrderRules, Venue


def charges(number: int, names: list[str], run: tuple[int, int]) -> dict[str, Any]:
    """What fills cost beside fixed slippage and fee, and how much of a candle they may take; 0: nothing, and all."""
    even = random.Random(number)

    def bar() -> Bar:
        known = even.random() < 0.8
        return Bar(
            even.choice((0.02, 0.05, 0.11)) if known else None,
            even.choice((1e5, 3e6, 1e4)) if known else None,
            even.choice((None, 0.0003, 0.002)),
        )

    def snapshots() -> list[Snapshot]:
        return [
            Snapshot(even.randint(*run), ((0.0005, 2e3), (0.002, 2e3 + even.randint(1, 10_000)), (0.01, 4e4)))
            for _ in range(even.randint(0, 3))
        ]

    chosen: dict[str, Any] = {}
    if number and even.random() < 0.4:
        chosen["taker_share"] = even.choice((0.1, 0.5, 0.03, 1.0, None))
        chosen["maker_share"] = even.choice((0.1, 0.25, 0.02, None))
    if number and even.random() < 0.4:
        chosen["touch"] = True
    if number and even.random() < 0.4:
        hours = even.randint(1, 1 + (run[1] - run[0]) // 3_600_000)
        chosen["bars"] = {name: [bar() for _ in range(hours)] for name in names}
        chosen["depth"] = {name: sorted(snapshots(), key=lambda s: s.ts) for name in names}
        chosen["stress"] = even.choice((1.0, 2.0, 0.5))
        chosen["drift"] = even.choice((0.0, 0.01, 0.3))
        models = (Impact("power", 0.8), Impact("power", 0.3, 0.7), Impact("volume", 0.01), Impact("depth"), None)
        chosen["impact"] = even.choice(models)
    if "bars" in chosen:
        chosen["band"] = even.choice((None, None, 0.001, 0.02))
    if number and even.random() < 0.4:
        tiers = ((0.0, 0.0002, 0.0005), (2_000.0, 0.0, 0.0004), (20_000.0, -0.0001, 0.0003))
        changed = ((0.0, -0.0001, 0.0007), (5_000.0, -0.00005, 0.00025))
        later = FeeTable(even.randint(*run), even.choice((1, 2, 30)), changed)
        chosen["fees"] = (FeeTable(0, even.choice((1, 30)), tiers), *even.choice(((), (later,))))
        chosen["discount"] = even.choice((0.0, 0.25))
    return chosen


def with_order_rules(venue: Venue, number: int, cash: int, run: tuple[int, int]) -> Venue:
    """The venue with a least notional and with bounds on the number of orders, which may change; 0: with neither."""
    even = random.Random(number)
    if number == 0 or even.random() < 0.5:
        return venue
    terms = {
        name: [dataclasses.replace(one, min_notional=cash // even.choice((1_000, 100, 20))) for one in dated]
        for name, dated in venue.terms.items()
    }
    terms = {
        name: [dataclasses.replace(one, price_band=even.choice((None, 0.0005, 0.01, 0.5))) for one in dated]
        for name, dated in terms.items()
    }
    bounds = [OrderRules(0, even.choice((None, 4, 12, 30)), even.choice((None, 3, 8, 20)))]
    if even.random() < 0.3:
        bounds.append(OrderRules(even.randint(*run), even.choice((None, 2, 10)), even.choice((None, 5))))
    return dataclasses.replace(venue, terms=terms, orders=bounds)
