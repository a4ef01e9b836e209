"""`backtest data fetch` and `backtest data update`: from a venue's history to a dataset."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from backtest.core import durations, forks
from backtest.core.errors import UserError
from backtest.core.times import moment, stamp
from backtest.data.dataset_writer import refuse_foreign
from backtest.data.fetch import assembly
from backtest.data.fetch.coverage import Held, Unserved, unserved
from backtest.data.fetch.download import Progress, download
from backtest.data.fetch.failures import VenueError
from backtest.data.fetch.market import Market
from backtest.data.fetch.plan import Part, Plan
from backtest.data.fetch.rows import SERIES, Span
from backtest.data.fetch.staging import Staging
from backtest.data.fetch.symbols import Chosen, choose
from backtest.data.fetch.venue_file import write_venue_file
from backtest.data.manifest import FILE, Manifest, read_manifest

if TYPE_CHECKING:
    from backtest.data.fetch.exchange import Exchange

When = int | str | dt.date


@dataclass(frozen=True)
class Fetched:
    """What a download wrote."""

    folder: Path
    symbols: tuple[str, ...]
    candles: int
    """Candles in the dataset, over all symbols."""
    unserved: tuple[Unserved, ...]
    """What the venue does not serve of what was asked for."""
    venue_file: Path | None
    """Leverage tiers of today, for `--venue`; None: the venue tells none."""
    notes: tuple[str, ...]
    """What was decided that one may not expect."""


def fetch_data(
    exchange: str,
    symbols: str | Sequence[str],
    *,
    start: When,
    end: When | None = None,
    interval: str = "1m",
    out: str | Path | None = None,
    endpoint: str | None = None,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch candles, mark candles, funding and market facts of perpetuals from an exchange into a dataset.

    ``exchange``: binance, bybit, okx, hyperliquid, dydx, gate or bitget. ``symbols``: names in any spelling, wildcards,
    or `top20` by volume. ``start`` and ``end``: opens of candles, UTC, the end not included; default: now. ``out``: the
    folder, default `data/EXCHANGE`. ``endpoint``: an address in place of the venue's. ``progress`` is called with the
    rows that are there, the rows expected and what came last. Run again after an interruption, it goes on.

    Raises UserError for what is asked wrongly, and VenueError when the venue is down or refuses. Needs the extra
    `perp-backtest[fetch]`.
    """
    forks.check()
    venue = _reach(exchange, endpoint)
    interval, interval_ms = _interval(interval, venue)
    start_ms, end_ms = moment(start, "--from"), None if end is None else moment(end, "--to")
    if end_ms is not None and start_ms >= end_ms:
        raise UserError(f"the span {Span(start_ms, end_ms)} is empty", "--to", "give an end after the start")
    names = _names(symbols)
    target = Path(out) if out is not None else Path("data") / venue.name
    refuse_foreign(target, assembly.GENERATOR, "fetched dataset")
    staging = Staging(target)
    asked = {
        "exchange": venue.name, "symbols": list(names), "interval": interval, "start": start_ms, "end": end_ms,
        "endpoint": endpoint,
    }  # fmt: skip
    plan = staging.plan(asked)
    if plan is None:
        plan = _new_plan(venue, names, interval, interval_ms, start_ms, end_ms)
        _refuse_loss(target, plan)
        staging.begin(asked, plan)
    else:
        plan = replace(plan, notes=(*plan.notes, f"goes on with the fetch of {stamp(plan.now_ms)}"))
    return _carry_out(target, plan, venue, staging, progress or _silent, None)


def update_data(
    folder: str | Path, *, end: When | None = None, endpoint: str | None = None, progress: Progress | None = None
) -> Fetched:
    """Append what is new to a dataset that `fetch_data` wrote: candles, mark candles, funding, today's market facts.

    ``end``: the opens of candles end before it, UTC; default: now. Raises UserError for a folder that holds no fetched
    dataset, and VenueError when the venue is down or refuses. Needs the extra `perp-backtest[fetch]`.
    """
    forks.check()
    target = Path(folder)
    manifest = _fetched_manifest(target)
    venue = _reach(manifest.history[0].source, endpoint)
    end_ms = None if end is None else moment(end, "--to")
    staging = Staging(target)
    last = {series: {name: _last_ms(target, series, name) for name in manifest.symbols} for series in SERIES}
    asked: dict[str, object] = {"update": venue.name, "last": last, "end": end_ms, "endpoint": endpoint}
    plan = staging.plan(asked)
    if plan is None:
        plan = _update_plan(venue, manifest, last, end_ms)
        if not plan.parts:
            symbols = tuple(sorted(manifest.symbols))
            return Fetched(target, symbols, 0, (), None, (*plan.notes, "nothing is new"))
        staging.begin(asked, plan)
    return _carry_out(target, plan, venue, staging, progress or _silent, target)


def _silent(done: int, rows: int, what: str) -> None:
    """Show no progress."""


def _reach(exchange: str, endpoint: str | None) -> Exchange:
    try:
        from backtest.data.fetch.venues import reach
    except ImportError as error:
        remedy = "install it with pip install 'perp-backtest[fetch]'"
        raise UserError(f"fetching needs {error.name or 'ccxt'}, which is not installed", "", remedy) from error
    return reach(exchange, endpoint)


def _interval(text: str, venue: Exchange) -> tuple[str, int]:
    ms = durations.parse(text, "--interval")
    name = durations.text(ms)
    if name not in venue.spellings:
        served = ", ".join(venue.spellings)
        raise UserError(f"{venue.title} has no candles of {text}", "--interval", f"take one of {served}")
    return name, ms


def _names(symbols: str | Sequence[str]) -> tuple[str, ...]:
    given = symbols.split(",") if isinstance(symbols, str) else [one for text in symbols for one in text.split(",")]
    names = tuple(name.strip() for name in given)
    if not names or not all(names):
        raise UserError("an empty name among the symbols", "SYMBOLS", "write them like BTC,ETH or top20")
    return names


def _new_plan(
    venue: Exchange, names: Sequence[str], interval: str, interval_ms: int, start_ms: int, end_ms: int | None
) -> Plan:
    listed = venue.markets()
    venue.now_ms = now_ms = venue.client.now_ms
    chosen = choose(names, listed, venue.quotes, venue.volumes, venue.title)
    notes = [venue.tiers_reason] if venue.tiers_reason else []
    if start_ms >= now_ms:
        raise UserError(f"{stamp(start_ms)} is in the future", "--from", "give a time that has been")
    if end_ms is not None and end_ms > now_ms:
        notes.append(f"ends now, at {stamp(now_ms)}: {stamp(end_ms)} is in the future")
    span = Span(start_ms, now_ms if end_ms is None else min(end_ms, now_ms))
    markets: list[Market] = []
    parts: list[Part] = []
    for market in chosen.markets:
        known = _told(market, venue)
        if _too_early(known, span, chosen, notes):
            continue
        begin_ms = max(span.start_ms, known.listed_ms - known.listed_ms % interval_ms)
        if begin_ms > span.start_ms:
            notes.append(f"{known.name} begins with its listing, {stamp(known.listed_ms)}")
        markets.append(known)
        parts += [Part(series, known.name, begin_ms, span.end_ms) for series in SERIES]
    if not markets:
        raise UserError(f"none of these markets was listed before {stamp(span.end_ms)}", "--to", "ask for a later span")
    return Plan(venue.name, interval, interval_ms, now_ms, tuple(markets), tuple(parts), tuple(notes))


def _told(market: Market, venue: Exchange) -> Market:
    """A market with its day of listing and its tiers, as far as the venue tells them."""
    try:
        market = replace(market, listed_ms=venue.listed_ms(market))
    except VenueError:
        market = replace(market, listed_ms=0)
    try:
        return replace(market, margin=venue.margin(market))
    except VenueError:
        return replace(market, margin=None)


def _too_early(market: Market, span: Span, chosen: Chosen, notes: list[str]) -> bool:
    """Whether a market was listed after the span; UserError where it was asked for by name."""
    if market.listed_ms < span.end_ms:
        return False
    thing = f"{market.name} was listed at {stamp(market.listed_ms)}, after the span {span}"
    if market.name in chosen.named:
        raise UserError(thing, "--to", "ask for a later span")
    notes.append(f"{thing}: left out")
    return True


def _refuse_loss(target: Path, plan: Plan) -> None:
    """Raise UserError where a dataset that is there has rows that the new one would not have."""
    if not (target / FILE).is_file():
        return
    old = read_manifest(target / FILE)
    new = {part.market: part.span for part in plan.parts if part.series == "candles"}
    same = old.interval_ms == plan.interval_ms and bool(old.history) and old.history[0].source == plan.exchange
    for symbol in old.symbols:
        first, last = _first_ms(target, "candles", symbol), _last_ms(target, "candles", symbol)
        held = new.get(symbol, Span(0, 0))
        same = same and (first is None or last is None or (held.start_ms <= first and last < held.end_ms))
    if not same:
        remedy = "append to it with `backtest data update`, or name a new folder with --out"
        raise UserError("holds fetched data that this fetch does not cover", str(target), remedy)


def _fetched_manifest(target: Path) -> Manifest:
    remedy = "name a folder that `backtest data fetch` wrote"
    if not target.is_dir():
        raise UserError("no such folder", str(target), remedy)
    refuse_foreign(target, assembly.GENERATOR, "fetched dataset")
    manifest = read_manifest(target / FILE)
    if manifest.generator != assembly.GENERATOR or not manifest.history or not manifest.interval_ms:
        raise UserError("is not a fetched dataset", str(target), remedy)
    return manifest


def _update_plan(
    venue: Exchange, manifest: Manifest, last: dict[str, dict[str, int | None]], end_ms: int | None
) -> Plan:
    interval_ms = manifest.interval_ms or 0
    listed = {market.name: market for market in venue.markets()}
    venue.now_ms = now_ms = venue.client.now_ms
    end_ms = now_ms if end_ms is None else min(end_ms, now_ms)
    notes, markets, parts = [], [], []
    for name, facts in sorted(manifest.symbols.items()):
        candle_ms = last["candles"][name]
        if name not in listed or candle_ms is None:
            notes.append(f"{name} is left as it is: {venue.title} no longer lists it")
            continue
        begin_ms = candle_ms + interval_ms
        if begin_ms + interval_ms > now_ms or begin_ms >= end_ms:
            continue
        margin = _told(listed[name], venue).margin
        markets.append(replace(listed[name], listed_ms=facts.listed or 0, margin=margin))
        for series, step in zip(SERIES, (interval_ms, interval_ms, 1), strict=True):
            held_ms = last[series][name]
            parts.append(Part(series, name, begin_ms if held_ms is None else held_ms + step, end_ms))
    interval = durations.text(interval_ms)
    return Plan(venue.name, interval, interval_ms, now_ms, tuple(markets), tuple(parts), tuple(notes))


def _carry_out(
    target: Path, plan: Plan, venue: Exchange, staging: Staging, progress: Progress, base: Path | None
) -> Fetched:
    venue.now_ms = plan.now_ms
    served = [part for part in plan.parts if part.series not in venue.unserved]
    pieces = [piece for part in served for piece in plan.pieces(part, venue.monthly_funding)]
    try:
        download(plan, sorted(pieces, key=lambda one: (-one.span.end_ms, one.name)), venue, staging, progress)
    except BaseException:
        staging.remove_empty()
        raise
    held = assembly.held(plan, venue, staging)
    missing = tuple(unserved(plan, venue, held, base is not None))
    whole = plan if base is not None else _with_candles(plan, held)
    if not whole.markets:
        asked = ", ".join(market.name for market in plan.markets)
        span = Span(min(part.start_ms for part in plan.parts), max(part.end_ms for part in plan.parts))
        raise VenueError(f"no candles of {asked} from {span}", venue.title, "ask for a later span")
    candles = assembly.write(target, whole, venue, staging, missing, base)
    file = write_venue_file(target, whole, venue)
    staging.remove()
    symbols = tuple(market.name for market in whole.markets)
    return Fetched(target, symbols, candles, missing, file, plan.notes)


def _with_candles(plan: Plan, held: dict[Part, Held]) -> Plan:
    """The plan without the markets of which no candle came: a dataset has none without candles."""
    trading = {part.market for part, found in held.items() if part.series == "candles" and found.rows}
    markets = tuple(market for market in plan.markets if market.name in trading)
    return replace(plan, markets=markets, parts=tuple(part for part in plan.parts if part.market in trading))


def _first_ms(target: Path, series: str, symbol: str) -> int | None:
    return next((int(found["ts"][0]) for found in assembly.stored(target, series, symbol)), None)


def _last_ms(target: Path, series: str, symbol: str) -> int | None:
    last_ms = None
    for found in assembly.stored(target, series, symbol):
        last_ms = int(found["ts"][-1])
    return last_ms
