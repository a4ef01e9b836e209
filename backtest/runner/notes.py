"""Plain sentences about what a run assumed, for the report and the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from backtest.core.enums import CROSS_POOL, Cause, Stage
from backtest.core.records import Record
from backtest.data.derived_marks import Stretch
from backtest.data.mark_extremes import LISTED_BPS
from backtest.engine.pack import Charges
from backtest.report.formatting import delay, duration, listing, moment, number, plural, price
from backtest.results.chain_summary import ends
from backtest.runner.chain_config import ChainConfig
from backtest.runner.congestion import LEAST, Usual
from backtest.runner.fee_schedule import fee_notes
from backtest.runner.fill_costs import in_words, uncharged
from backtest.runner.outages import OutagePlan
from backtest.runner.posted_margin import posted
from backtest.runner.settings import DEFAULT_VENUE, RunSettings
from backtest.venues import default_leverage
from backtest.venues.chain import Outage
from backtest.venues.field_types import moment_at
from backtest.venues.profile import Profile

FREE = Charges()
"""Without slippage by models and without a share of volume."""
INSTANT = ChainConfig()
STRETCHED = f"derived marks stretched by more than {LISTED_BPS:g} bps"
"""The count of what `Selection.stretched` lists."""
TOLD = 3
"""Outages that a note names."""


def notes(
    profile: Profile,
    asked: RunSettings,
    record: Record,
    charges: Charges = FREE,
    chaining: ChainConfig = INSTANT,
    usual: Usual | None = None,
    stretched: Sequence[Stretch] = (),
) -> list[str]:
    """What a reader should know before trusting the numbers; empty when nothing was out of the ordinary."""
    return [
        *fee_notes(profile, asked, record),
        *_venue(profile, asked, record, charges),
        *_chain(chaining, asked, record),
        *_congestion(usual),
        *_outages(chaining.halts),
        *_pools(profile, asked, record),
        *_deleveraging(asked, record),
        *_data(asked, record),
        *_stretched(stretched),
    ]


def _venue(profile: Profile, asked: RunSettings, record: Record, charges: Charges) -> list[str]:
    said = (
        [f"Venue {profile.name}, named by the dataset."]
        if asked.venue_from_data and asked.venue != DEFAULT_VENUE
        else []
    )
    said += in_words(asked) + uncharged(asked, charges, record)
    end_ms = record.start_ms + len(record.curve) * record.interval_ms
    most = max(
        profile.max_leverage(name, moment_at(at)) for name in record.symbols for at in (record.start_ms, end_ms - 1)
    )
    if isinstance(asked.leverage, float) and asked.leverage > most:
        said.append(
            f"A leverage of {asked.leverage:g} changes nothing: the initial margin of venue {profile.name} allows "
            f"{most:.4g} at most."
        )
    said += profile.assumptions(record.symbols, record.start_ms, end_ms, fees=asked.fee_bps is None)
    by_default = (posted(profile, asked, record) or {}).get("by") == "default"
    return said + (
        default_leverage.assumed(profile.name, profile.default_leverage, record.start_ms) if by_default else []
    )


def _chain(chaining: ChainConfig, asked: RunSettings, record: Record) -> list[str]:
    """What is assumed of the chain, and where the venue mark was another than the market's."""
    chain, oracle, profile = chaining.chain, chaining.oracle, chaining.profile
    end_ms = record.start_ms + len(record.curve) * record.interval_ms
    said = profile.assumptions(record.start_ms, end_ms, chaining.halts.known is not None) if profile else []
    if profile and profile.gas and not asked.gas:
        said.append("Gas was switched off: messages cost nothing, unlike on the chain.")
    idle = ["--reorg"] * (asked.reorg_ms is not None)
    idle += [f"--oracle {text}" for text in asked.oracle if text.startswith(("stale", "grace"))]
    if idle and not chain.outages:
        said.append(f"There was no outage, so {listing(idle)} had no effect.")
    if not asked.gas and profile is None:
        said.append("--no-gas has no effect without --chain.")
    if asked.force_inclusion:
        said.append(f"During outages messages were forced through Layer 1, after {delay(chain.forced_ms)}.")
    made = ["the median of all marks and trades"] * oracle.median
    made += [f"averaged over {delay(oracle.average_ms)}"] * bool(oracle.average_ms)
    made += [f"{delay(oracle.delay_ms)} late"] * bool(oracle.delay_ms)
    made += [f"published every {delay(oracle.heartbeat_ms)}"] * bool(oracle.heartbeat_ms)
    made += [f"published when it deviates by {100 * oracle.deviation:g} %"] * bool(oracle.deviation)
    if made:
        said.append(f"The venue mark was derived from the market mark: {listing(made)}.")
    if rough := oracle.rough:
        finer = " (also with --drill)" if asked.drill_ms else ""
        said.append(
            f"The oracle is approximate: its {listing(rough)} {'is' if len(rough) == 1 else 'are'} computed at "
            f"four points of a candle, {duration(record.interval_ms / 3)} apart{finer}. Price moves in between can "
            "decide a liquidation: shorter candles (--interval) are more exact."
        )
    if oracle.limit_ms:
        refused = ends(record.orders)["stale"]
        were = plural(refused, "was", "were") if refused else "none was"
        said.append(
            "Orders, except reduce-only ones, are rejected if the venue mark is older than "
            f"{delay(oracle.limit_ms)}: {were}."
        )
    return said


def _congestion(usual: Usual | None) -> list[str]:
    if usual is None or not usual.unknown:
        return []
    hours = plural(usual.unknown, "hour")
    return [f"In {hours} congestion was not measured: of the week before them less than {LEAST} hours are known."]


def _outages(halts: OutagePlan) -> list[str]:
    """When the chain was halted, and how that came about."""
    said = []
    if halts.played:
        times = "once" if len(halts.played) == 1 else f"{len(halts.played):,} times"
        whole = (
            f", {duration(sum(o.end_ms - o.start_ms for o in halts.played))} in all" if len(halts.played) > 1 else ""
        )
        said.append(f"The chain was down {times}{whole}: {_windows(halts.played)}.")
    elif halts.asked:
        said.append("The chain had no outage in the run.")
    if halts.known is not None:
        said.append(f"Known outages of the chain that can be replayed: {halts.known}, in the run {halts.met}.")
    if halts.drawn is not None:
        said.append(f"{plural(halts.drawn, 'outage')} of these were drawn at random (--seed).")
    if halts.outside:
        one, many = "outage lies outside the run and was", "outages lie outside the run and were"
        said.append(f"{plural(len(halts.outside), one, many)} not replayed: {_windows(halts.outside)}.")
    if halts.worst:
        when, how = moment(halts.worst.outage.start_ms), delay(halts.worst_ms)
        n = halts.worst.accounts
        held = "what was held" if n == 1 else f"the positions of all {n} accounts together"
        lost = f"{held} would have lost {number(halts.worst.loss)}, more than in any other window"
        said.append(f"An outage of {how} was placed at {when} UTC, where a first replay without it showed that {lost}.")
    elif halts.worst_ms:
        said.append(
            f"No outage of {delay(halts.worst_ms)} was placed: in a first replay the positions lost money in no window."
        )
    return said


def _windows(outages: Sequence[Outage]) -> str:
    """``2025-10-10 21:35 UTC for 8 h (cause)``, the first few."""
    named = [
        f"{moment(o.start_ms)} UTC for {duration(o.end_ms - o.start_ms)}{f' ({o.cause})' if o.cause else ''}"
        for o in outages[:TOLD]
    ]
    return listing(named) if len(outages) <= TOLD else f"{', '.join(named)} and {len(outages) - TOLD:,} more"


def _pools(profile: Profile, asked: RunSettings, record: Record) -> list[str]:
    """Margin modes that are not the run's or not the venue's, and what isolation by share did."""
    said = []
    used = dict.fromkeys((record.margin, *asked.modes.values()))
    strange = [mode for mode in used if mode not in profile.modes]
    if strange and profile.modes:
        lacks, known = listing(strange), listing(list(profile.modes))
        said.append(f"Venue {profile.name} has no {lacks} margin, only {known}: its rules were used with it.")
    own = {symbol: mode for symbol, mode in asked.modes.items() if mode != record.margin}
    if own:
        said.append(f"Margin modes of single markets: {listing([f'{symbol} {mode}' for symbol, mode in own.items()])}.")
    if asked.isolate_above is not None:
        # Bought in the cross pool, and yet with margin moved to its own pool.
        cross = record.fills["symbol"][record.fills["pool"] == CROSS_POOL]
        moved = set(cross.tolist()) & set(record.moves["symbol"].tolist())
        names = listing([record.symbols[i] for i in sorted(moved)])
        said.append(
            f"Positions with more than {asked.isolate_above:.4g} of the maintenance margin were isolated: "
            f"{names or 'none'}."
        )
    return said


def _deleveraging(asked: RunSettings, record: Record) -> list[str]:
    if not asked.adl:
        return []
    taken = int((record.liquidations["stage"] == Stage.DELEVERAGED).sum())
    idle = int(record.counts.get("deleveraging events without a profitable position", 0))
    said = f"Deleveraging events were assumed: {plural(taken, 'position was', 'positions were')} deleveraged"
    return [said + (f", {plural(idle, 'event')} found no profitable position." if idle else ".")]


def _stretched(stretched: Sequence[Stretch]) -> list[str]:
    """How often the venue mark went much farther than trades and basis say, and where farthest."""
    if not stretched:
        return []
    worst = max(stretched, key=lambda stretch: stretch.bps)
    were = plural(len(stretched), "derived mark was", "derived marks were")
    prices = f"{worst.side} {price(worst.derived)} became {price(worst.mark)}, {worst.bps:,.0f} bps"
    said = (
        f"{were} moved by more than {LISTED_BPS:g} bps to reach the high or low of the venue's longer mark candle; "
        f"the time within that candle is not known. Largest: {worst.symbol} at {moment(worst.ts_ms)} UTC, "
        f"{prices}."
    )
    return [said]


def _data(asked: RunSettings, record: Record) -> list[str]:
    said = []
    ended = record.fills[record.fills["cause"] == Cause.DELISTING]
    for fill in ended:
        symbol = record.symbols[fill["symbol"]]
        said.append(f"{symbol} ended with a position open: it was settled at its last mark, {fill['price']:.10g}.")
    missing = int(record.counts.get("missing settlements of open positions", 0))
    if "missing-funding" in asked.allow and not missing:
        said.append("Missing funding was allowed.")
    if len(record.ambiguous):
        said.append(
            f"Ambiguous candles: {len(record.ambiguous)}. There the price path inside the candle decides whether "
            "a margin account survives; --path worst and --path best give the bounds."
        )
    if record.final_lots.any():
        held = ", ".join(s for s, lots in zip(record.symbols, record.final_lots, strict=True) if lots)
        said.append(f"Still open at the end, valued at the last mark: {held}.")
    return said
