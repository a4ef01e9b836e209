"""Plain sentences about what a run assumed, for the report and the terminal."""

from __future__ import annotations

from backtest.engine.pack import Charges
from backtest.report.format import listing, plural
from backtest.research.charges import in_words, uncharged
from backtest.research.config import Config
from backtest.research.schedule import fee_notes
from backtest.schema import CROSS_POOL, Cause, Record, Stage
from backtest.venue.profile import Profile

FREE = Charges()
"""Without slippage by models and without a share of volume."""


def notes(profile: Profile, asked: Config, record: Record, charges: Charges = FREE) -> list[str]:
    """What a reader should know before trusting the numbers; empty when nothing was out of the ordinary."""
    return [
        *fee_notes(profile, asked, record),
        *_venue(profile, asked, record, charges),
        *_pools(profile, asked, record),
        *_deleveraging(asked, record),
        *_data(asked, record),
    ]


def _venue(profile: Profile, asked: Config, record: Record, charges: Charges) -> list[str]:
    said = []
    said += in_words(asked) + uncharged(asked, charges, record)
    most = max(profile.max_leverage(symbol) for symbol in record.symbols)
    if asked.leverage is not None and asked.leverage > most:
        said.append(
            f"A leverage of {asked.leverage:g} changes nothing: the initial margin of venue {profile.name} allows "
            f"{most:.4g} at most."
        )
    end_ms = record.start_ms + len(record.curve) * record.interval_ms
    return said + profile.assumptions(record.symbols, record.start_ms, end_ms, fees=asked.fee_bps is None)


def _pools(profile: Profile, asked: Config, record: Record) -> list[str]:
    """Margin modes that are not the run's or not the venue's, and what isolation by share did."""
    said = []
    used = dict.fromkeys((record.margin, *asked.modes.values()))
    strange = [mode for mode in used if mode not in profile.modes]
    if strange and profile.modes:
        lacks, known = listing(strange), listing(list(profile.modes))
        said.append(f"Venue {profile.name} has no {lacks} margin, only {known}: its rules were used with it.")
    own = {symbol: mode for symbol, mode in asked.modes.items() if mode != record.margin}
    if own:
        said.append(f"Margin of its own: {listing([f'{symbol} {mode}' for symbol, mode in own.items()])}.")
    if asked.isolate_above is not None:
        # Bought in the cross pool, and yet with margin moved to a pool of its own.
        cross = record.fills["symbol"][record.fills["pool"] == CROSS_POOL]
        moved = set(cross.tolist()) & set(record.moves["symbol"].tolist())
        names = listing([record.symbols[i] for i in sorted(moved)])
        said.append(
            f"A position with more than {asked.isolate_above:.4g} of the requirement was given a pool of its own: "
            f"{names or 'none was'}."
        )
    return said


def _deleveraging(asked: Config, record: Record) -> list[str]:
    if not asked.adl:
        return []
    taken = int((record.liquidations["stage"] == Stage.DELEVERAGED).sum())
    idle = int(record.counts.get("deleveraging events without a candidate", 0))
    said = f"Deleveraging events were assumed: {plural(taken, 'position was', 'positions were')} deleveraged"
    return [said + (f", {plural(idle, 'event')} met no position with a profit." if idle else ".")]


def _data(asked: Config, record: Record) -> list[str]:
    said = []
    ended = record.fills[record.fills["cause"] == Cause.DELISTING]
    for fill in ended:
        symbol = record.symbols[fill["symbol"]]
        said.append(f"{symbol} ended with a position open: it was settled at its last mark, {fill['price']:.10g}.")
    missing = int(record.counts.get("missing settlements met", 0))
    if missing:
        said.append(f"{missing} funding settlements were missing and allowed: nothing was paid for them.")
    elif "missing-funding" in asked.allow:
        said.append("Missing funding was allowed.")
    if len(record.ambiguous):
        said.append(
            f"Ambiguous candles: {len(record.ambiguous)}. Whether a pool lives depends there on the path of prices "
            "inside the candle; --path worst and --path best give the bounds."
        )
    if record.final_lots.any():
        held = ", ".join(s for s, lots in zip(record.symbols, record.final_lots, strict=True) if lots)
        said.append(f"Still open at the end, valued at the last mark: {held}.")
    return said
