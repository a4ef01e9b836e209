"""Plain sentences about what a run assumed, for the report and the terminal."""

from __future__ import annotations

from backtest.research.config import Config
from backtest.schema import Cause, Record
from backtest.venue.profile import Profile


def notes(profile: Profile, fee_bps: float, asked: Config, record: Record) -> list[str]:
    """What a reader should know before trusting the numbers; empty when nothing was out of the ordinary."""
    said = []
    if fee_bps == 0:
        why = "--fee-bps is 0" if profile.taker_fee_bps else f"venue {profile.name} has none; --fee-bps sets them"
        said.append(f"No fees were charged: {why}.")
    if asked.slippage_bps == 0:
        said.append("No slippage: every order filled at the path's price, whatever its size.")
    most = max(profile.max_leverage(symbol) for symbol in record.symbols)
    if asked.leverage is not None and asked.leverage > most:
        said.append(
            f"A leverage of {asked.leverage:g} changes nothing: the initial margin of venue {profile.name} allows "
            f"{most:.4g} at most."
        )
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
