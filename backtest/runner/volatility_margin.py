"""Margin that widens with realised volatility, from the data of the run (`venues.risk_weights`)."""

from __future__ import annotations

from dataclasses import replace

from backtest.data.selection import Selection
from backtest.venues.profile import Profile
from backtest.venues.risk_weights import weights
from backtest.venues.risk_weights import widened as multiplied
from backtest.venues.terms import Contract

DAY_MS = 86_400_000


def widened(profile: Profile, selection: Selection) -> Contract:
    """The venue's contract for the run's symbols, its requirements multiplied by each day's weight where it widens.

    Days are UTC and their closes the trades'; the first days of the run, which no window reaches back from, weigh 1.
    """
    contract, rule = profile.contract(selection.symbols), profile.widening()
    if rule is None:
        return contract
    terms = {}
    for symbol, asked in contract.terms.items():
        days = selection.candles(symbol, DAY_MS, ("close",))
        stamps, closes = days["ts"].to_physical().to_list(), days["close"].to_list()
        if stamps:
            # The day after the last whole one has a weight too, by the closes before it; its own is not looked at.
            stamps, closes = [*stamps, stamps[-1] + DAY_MS], [*closes, closes[-1]]
        terms[symbol] = multiplied(asked, weights(rule, stamps, closes))
    return replace(contract, terms=terms)
