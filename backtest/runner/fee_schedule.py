"""What fills pay the venue: its dated tiers and a discount, or the rates that the user gives."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, Liquidity
from backtest.core.errors import Broken, UserError, nearest
from backtest.core.records import Record
from backtest.engine import layout as at
from backtest.engine.pack import fee_table
from backtest.runner.settings import WHOLE_BPS, RunSettings
from backtest.venues import rules_text
from backtest.venues.fees import Fees
from backtest.venues.profile import Profile


def fee_schedule(
    profile: Profile, taker_bps: float | None = None, maker_bps: float | None = None, discount: str | None = None
) -> tuple[NDArray[np.float64], float]:
    """The rows [tiers, FEE_WIDTH] of a run's fees, and the share off positive ones.

    ``taker_bps`` is one rate for takers, and for makers where they have none, whatever day and volume;
    ``maker_bps`` alone leaves takers the venue's. ``discount`` is one of the profile's names, or a share like ``10%``.
    Tiers that ask for a share of the venue's volume are left out: a run does not know it. The first table holds before
    its own date as well. UserError for an unknown discount, and for one off rates that the user gives himself.
    """
    if discount is not None and not (taker_bps is None and maker_bps is None):
        remedy = "give the rates after the discount, or leave out --fee-bps and --maker-fee-bps"
        raise UserError("a discount cannot be combined with fee rates", "--fee-discount", remedy)
    if taker_bps is not None:
        return fee_table(taker_bps / WHOLE_BPS, None if maker_bps is None else maker_bps / WHOLE_BPS), 0.0
    fees = np.array([row for n, table in enumerate(profile.fee_tables) for row in _rows(table, n == 0)])
    if maker_bps is not None:
        fees[:, at.FEE_MAKER] = maker_bps / WHOLE_BPS
    return fees, 0.0 if discount is None else share_off(profile, discount)


def _rows(table: Fees, first: bool) -> list[list[float]]:
    since = -math.inf if first else float(table.from_ms)
    return [
        [since, table.window_days, float(t.volume), float(t.maker_bps) / WHOLE_BPS, float(t.taker_bps) / WHOLE_BPS]
        for t in table.tiers
        if t.by_volume
    ]


def share_off(profile: Profile, discount: str) -> float:
    """The share that a discount is: ``10%``, or what a name of the profile's stands for."""
    if discount in profile.discounts:
        return float(profile.discounts[discount].share)
    if not discount.endswith("%"):
        remedy = f"{nearest(discount, profile.discounts)} (of venue {profile.name}; or give a share, like 10%)"
        raise UserError(f"unknown discount {discount!r}", "--fee-discount", remedy)
    try:
        share = float(discount[:-1]) / 100
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise UserError(f"discount {discount!r}", "--fee-discount", "give a share above 0% and at most 100%, like 10%")
    return share


def in_words(profile: Profile, asked: RunSettings, start_ms: int, end_ms: int) -> str:
    """The fees of a run from ``start_ms`` to before ``end_ms`` on one line."""
    if asked.fee_bps is not None:
        return f"maker {_maker_bps(asked):g}, taker {asked.fee_bps:g} bps, whatever the volume"
    tables = profile.fee_tables
    begins = [start_ms, *(table.from_ms for table in tables[1:])]
    ends = [*(table.from_ms for table in tables[1:]), end_ms]
    held = [t for t, begin, end in zip(tables, begins, ends, strict=True) if begin < end_ms and end > start_ms]
    dated = len(held) > 1
    parts = [f"from {t.since}: " * dated + rules_text.fees(t.window_days, t.tiers) for t in held]
    if asked.maker_fee_bps is not None:
        parts.append(f"but maker {asked.maker_fee_bps:g} bps, whatever the volume")
    if asked.fee_discount is not None:
        parts.append(f"{rules_text.percent(share_off(profile, asked.fee_discount))} off ({asked.fee_discount})")
    return "; ".join(parts)


def _maker_bps(asked: RunSettings) -> float:
    given = asked.fee_bps if asked.maker_fee_bps is None else asked.maker_fee_bps
    if given is None:
        raise Broken("no rate was given")
    return given


def without_fees(profile: Profile, asked: RunSettings) -> str:
    """Return why no fill paid a fee; empty where some could."""
    fees, off = fee_schedule(profile, asked.fee_bps, asked.maker_fee_bps, asked.fee_discount)
    if off == 1 and not (fees[:, [at.FEE_MAKER, at.FEE_TAKER]] < 0).any():
        return "--fee-discount takes all of them off"
    if fees[:, [at.FEE_MAKER, at.FEE_TAKER]].any():
        return ""
    return "--fee-bps is 0" if profile.taker_fee_bps else f"venue {profile.name} has none; set --fee-bps"


def fee_notes(profile: Profile, asked: RunSettings, record: Record) -> list[str]:
    """What the fees of a run assumed, as plain sentences."""
    said = []
    if asked.fee_bps and asked.maker_fee_bps is None and (record.fills["liquidity"] == Liquidity.MAKER).any():
        said.append(f"Makers paid the taker fee of {asked.fee_bps:g} bps: set --maker-fee-bps for a maker fee.")
    if asked.fee_discount is not None:
        off = rules_text.percent(share_off(profile, asked.fee_discount))
        said.append(f"A discount of {off} was taken off every positive fee, on every day of the run.")
    volumes = [float(tier.volume) for table in profile.fee_tables for tier in table.tiers if not tier.by_volume]
    traded = float(np.abs(record.fills["quote"]).sum(dtype=np.float64)) / MICRO
    if asked.fee_bps is None and volumes and traded >= min(volumes):
        said.append("Fee tiers that require a share of the venue's volume were not reached: a run does not know it.")
    return said
