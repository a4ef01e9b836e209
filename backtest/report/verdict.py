"""The verdict on a run: whether the account survived, what it made, how close it was, and what decided it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from backtest.report import closes
from backtest.report.downsampling import CROSS, floats, stamps
from backtest.report.formatting import day, listing, number, percent, plural, signed
from backtest.report.outcome import LATENCY, Outcome, source_title
from backtest.results.summary_types import untyped

if TYPE_CHECKING:
    from backtest.results.result import Result

NAMED = 2
"""Markets named one by one."""
LITTLE = 0.05
"""A cost below this share of the gains did not decide anything."""
SHARES = ((0.25, "a quarter"), (1 / 3, "a third"), (0.5, "half"), (2 / 3, "two thirds"), (0.75, "three quarters"))
NEAR = 0.02
"""So close to one of these shares, the share is said in words."""


def verdict(result: Result, out: Outcome) -> str:
    """Return the verdict in a few short sentences: `Survived. +14.2%, nearest to liquidation 11% on 5 Aug 2024.`"""
    said = [_fate(out), _made(result, out), _decided(out)]
    return " ".join(sentence for sentence in said if sentence)


def _fate(out: Outcome) -> str:
    """What became of the account."""
    if not out.fills:
        return "No trade was made."
    if out.dead_ms is not None:
        return f"Wiped out: less than 1% of the start was left from {day(out.dead_ms)} on."
    if not out.losses:
        return "Survived."
    first = out.losses[0]
    names = listing(first.symbols) if len(first.symbols) <= NAMED else f"{len(first.symbols)} positions"
    if len(out.losses) == 1:
        return f"Liquidated on {day(first.ts_ms)}: {names}."
    return f"Liquidated {len(out.losses):,} times, first on {day(first.ts_ms)}: {names}."


def _made(result: Result, out: Outcome) -> str:
    """The return, and how close the account came to a liquidation that it escaped."""
    gained = f"{signed(out.change / out.start * 100, 1)}%" if out.start > 0 else signed(out.change)
    near = nearest(result)
    if out.losses or near is None or not out.fills:
        return f"{gained} over {plural(max(round((out.end_ms - out.start_ms) / DAY_MS), 1), 'day')}."
    distance, ts_ms = near
    when = f" on {day(ts_ms)}" if ts_ms is not None else ""
    return f"{gained}, nearest to liquidation {percent(distance, 1)}{when}."


DAY_MS = 86_400_000


def nearest(result: Result) -> tuple[float, int | None] | None:
    """Return the smallest distance to liquidation and its time in ms; None where no position was held.

    The time is null where it lay inside a candle and the summary does not have it.
    """
    metrics = result.metrics
    inside, at_close = metrics["min_distance_inside"], metrics["min_distance_to_liquidation"]
    if inside is None:
        return None
    recorded = _recorded(result).get("distance_ms")
    if isinstance(recorded, int) and recorded >= 0 and (at_close is None or inside < at_close):
        return inside, recorded
    return inside, _closest_close(result) if at_close is not None else None


def _recorded(result: Result) -> Mapping[str, object]:
    found = untyped(result.summary).get("lowest")
    return found if isinstance(found, dict) else {}


def _closest_close(result: Result) -> int | None:
    """The close, or the sample of a margin account, at which the distance was smallest."""
    if not (result.tables["fills"]["pool"] == CROSS).all():
        return _closest_sample(result)
    gross = closes.column(result, "gross_notional")
    free = closes.column(result, "equity") - closes.column(result, "maintenance_margin")
    held = gross > 0
    if not held.any():
        return None
    distance = np.where(held, free, np.inf) / np.where(held, gross, 1.0)
    return int(closes.times(result)[int(distance.argmin())])


def _closest_sample(result: Result) -> int | None:
    """Of margin accounts with few positions each, the sample with the highest margin ratio."""
    pools = result.tables["margin"].drop_nulls("margin_ratio")
    if not len(pools):
        return None
    return int(stamps(pools)[int(floats(pools, "margin_ratio").argmax())])


def _decided(out: Outcome) -> str:
    """The cost that took most of what was earned."""
    gains = sum(amount for amount in out.sources.values() if amount > 0)
    name, cost = min(out.sources.items(), key=lambda source: source[1])
    if cost >= 0 or not out.fills:
        return ""
    title = source_title(name, out.delayed) if name == LATENCY else name
    if gains <= 0:
        return f"{title} lost {number(-cost)}; nothing was gained."
    share = -cost / gains
    if share < LITTLE:
        return ""
    if name == "Price moves":
        return f"Price moves lost {number(-cost)}; everything else gained {number(gains)}."
    if share > 1:
        return f"{title} of {number(-cost)} exceeded the {number(gains)} that was gained before them."
    return f"{title} took {_share(share)} of the profit."


def _share(share: float) -> str:
    """A share of the whole, in words where it is close to a common one."""
    value, words = min(SHARES, key=lambda one: abs(one[0] - share))
    if abs(value - share) <= NEAR:
        return words
    return "nearly all" if share > 0.95 else percent(share, 0)
