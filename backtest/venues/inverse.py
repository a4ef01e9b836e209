"""Contracts of a fixed quote value, margined in the coin: worth ``contracts / price`` coins.

A long of ``Q`` contracts from ``entry`` has gained ``Q × (1/entry − 1/price)`` coins. Source: docs/reference/venues.md.
"""

from __future__ import annotations


def position_value(contracts: float, price: float) -> float:
    """Coins that the contracts are worth, unsigned."""
    return abs(contracts) / price


def liquidation_price(
    contracts: float, entry: float, margin: float, rate: float, deduction: float = 0.0, at_entry: bool = False
) -> float | None:
    """The price at which margin and profit equal ``rate × value − deduction``; None: at no price above zero.

    ``contracts``: signed, long positive. ``margin``, ``deduction``: coins. With ``s`` the side:

        Q × (1 + s × rate) / (Q / entry + s × (margin + deduction))

    and with maintenance that of the value ``at_entry``:

        Q / (Q / entry + s × (margin − rate × Q / entry + deduction))

    With the closing fee as the rate it is the bankruptcy price.
    """
    size, side = abs(contracts), 1 if contracts > 0 else -1
    at_start = size / entry
    held = margin + deduction - (rate * at_start if at_entry else 0.0)
    coins = at_start + side * held
    price = size * (1.0 if at_entry else 1 + side * rate) / coins if coins else 0.0
    return price if price > 0 else None
