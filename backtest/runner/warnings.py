"""What stands above the results of a run, because the numbers alone would mislead: costs left out, invented prices, a
rough oracle."""

from __future__ import annotations

from backtest.core.records import Record
from backtest.data.selection import Selection
from backtest.report.formatting import listing, plural
from backtest.runner.fee_schedule import without_fees
from backtest.runner.fill_costs import without_slippage
from backtest.runner.settings import RunSettings
from backtest.venues.chain import Oracle
from backtest.venues.profile import Profile

NAMED = 3
"""Markets named one by one."""
MARKET = Oracle()
"""Nothing is made of the market mark."""


def warnings(
    profile: Profile, asked: RunSettings, record: Record, selection: Selection, oracle: Oracle = MARKET
) -> list[str]:
    """Return clauses of one line, such as ``no slippage charged``; empty where nothing was left out."""
    free = without_fees(profile, asked)
    missing = int(record.counts.get("missing settlements of open positions", 0))
    said = ["synthetic data, no market moved like this"] * selection.catalog.synthetic
    unmarked = [symbol for symbol, kind in selection.marks.items() if kind == "trades"]
    if unmarked:
        some = listing(unmarked) if len(unmarked) <= NAMED else f"{len(unmarked):,} markets"
        of = "" if len(unmarked) == len(selection.symbols) else f" for {some}"
        said.append(f"no mark prices{of} in the data (last prices are used)")
    said += [f"no fees charged ({free})"] * bool(free)
    said += ["no slippage charged (set --slippage-bps or --slippage)"] * without_slippage(asked)
    if missing:
        said.append(f"no funding paid at {plural(missing, 'settlement that is', 'settlements that are')} missing")
    if oracle.rough:
        is_known = "is" if len(oracle.rough) == 1 else "are"
        said.append(f"the oracle's {listing(oracle.rough)} {is_known} approximate, computed at four points of a candle")
    return said
