"""What a user asks of a run, checked."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from backtest.core.durations import parse as length
from backtest.core.enums import ALLOWANCES, PATHS, SYMBOL_MODES
from backtest.core.errors import Broken, UserError, one_of
from backtest.runner.slippage_settings import LIMIT_FILLS, parse_shares, parse_slippage
from backtest.strategy.account import LEAST_LEVERAGE
from backtest.strategy.guards import parse
from backtest.venues.profile import canonical

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
Moment = int | str | dt.date | dt.datetime | None

LEAST_CASH, MOST_CASH = 0.01, 1e9
"""A cent; and a billion, since one amount is counted exactly up to 4.5 billion (`engine.money`)."""
YARDSTICK = "generic"
"""The venue of a run where neither the user nor the dataset names one."""
MOST_LEVERAGE = 1_000.0
MAX = "max"
"""The leverage that asks for no more margin than the venue's minimum."""
MOST_LATENCY_MS = 30 * 86_400_000
WHOLE_BPS = 10_000.0
MOST_SEED = 2**63 - 1
MOST_POSITIONS = 1_000


@dataclass(frozen=True)
class Config:
    """The settings of a run besides the margin mode. Money in quote units, times in ms."""

    strategy: str
    data: str
    symbols: tuple[str, ...] | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    interval_ms: int | None = None
    """Of the candles that are replayed, joined from the data's; None: the data's own."""
    drill_ms: int | None = None
    """Of the finer candles on which one is played in which something may happen; None: it is played as it is."""
    venue: str = YARDSTICK
    """A name of `backtest venues list`, or a file."""
    venue_from_data: bool = False
    """Whether it is the dataset's, none having been asked for."""
    leverage: float | str | None = None
    """Of every market; `max`: as much as the venue allows; None: in a pool of its own the venue's default."""
    cash: float = 100_000.0
    path: str = "coherent"
    latency_ms: int = 0
    slippage_bps: float = 0.0
    slippage: tuple[str, ...] = ()
    """Models beside it, as `runner.slippage_settings` reads them."""
    volume_share: str | None = None
    """Of a candle's volume that fills may be, likewise; None: any."""
    limit_fill: str = "through"
    """Whether the path has to go through a limit order's price, or only to touch it."""
    fee_bps: float | None = None
    """One rate for takers, and for makers who have none of their own; None: the venue's schedule."""
    maker_fee_bps: float | None = None
    """One rate for makers, below 0 a rebate."""
    fee_discount: str | None = None
    """Off the venue's fees: a name of its profile's, or a share like 10%."""
    seed: int = 0
    allow: tuple[str, ...] = ()
    modes: dict[str, str] = field(default_factory=dict)
    """Margin mode of single symbols where it is not that of the run: cross or isolated."""
    isolate_above: float | None = None
    """Share of the cross pool's requirement above which a position gets a pool of its own."""
    adl: tuple[str, ...] = ()
    """Deleveraging events, as `runner.adl_events` reads them."""
    adl_top: int = 1
    """Positions that the events of one instant take, at most."""
    chain: str | None = None
    """A name, a file, or `venue` for the one that the venue's profile names; None: instant and free."""
    outages: tuple[str, ...] = ()
    """As `runner.outages` reads them."""
    reorg_ms: int | None = None
    """Fills so shortly before an outage are undone; None: as the chain has it."""
    force_inclusion: bool = False
    """Whether messages may come by the chain's Layer 1."""
    reserve: float = 0.0
    """Outside the venue."""
    oracle: tuple[str, ...] = ()
    """As `runner.chain_config` reads them."""
    gas: bool = True
    """Whether the chain's gas is paid."""
    guards: tuple[str, ...] = ()
    """Beside those of the strategy."""
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def most_leverage(self) -> float | None:
        """The leverage that was asked for; infinite for as much as the venue allows, None: none was."""
        return math.inf if isinstance(self.leverage, str) else self.leverage

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return asdict(self)


def moment(value: Moment, name: str) -> int | None:
    """A date, an ISO time (UTC where it has no zone) or ms, as ms since 1970; None stays None."""
    if value is None or isinstance(value, int):
        return value
    try:
        if isinstance(value, str):
            value = dt.datetime.fromisoformat(value)
        if not isinstance(value, dt.datetime):
            value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    except ValueError:
        raise UserError(f"{value!r} is not a time", name, "write 2024-03-12 or 2024-03-12T10:30 (UTC)") from None
    aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return (aware - EPOCH) // dt.timedelta(milliseconds=1)


def period(start: Moment, end: Moment) -> tuple[int | None, int | None]:
    """Both as ms since 1970; UserError where it ends before it begins."""
    start_ms, end_ms = moment(start, "start"), moment(end, "end")
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise UserError("the period ends before it begins", "--from and --to", "the period is [from, to)")
    return start_ms, end_ms


def span(value: int | str | None, name: str) -> int | None:
    """A length of time like `1h`, or ms, as ms; None stays None."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    return length(str(value), name)


def _leverage(value: float | str | None) -> float:
    """A leverage that is a number; whoever writes a word is told of the one that there is."""
    if isinstance(value, str):
        raise UserError(f"leverage {value!r}", "", f"give a number, or {MAX}")
    if value is None:
        raise Broken("none was looked at before")
    return number(value, "leverage", LEAST_LEVERAGE, MOST_LEVERAGE)


def number(value: float, name: str, least: float, most: float) -> float:
    """A finite number in `[least, most]`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UserError(f"{name} {value!r}", "", f"give a number from {least:g} to {most:,.12g}")
    return float(value)


def whole(value: int, name: str, most: int) -> int:
    """A whole number in `[0, most]`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise UserError(f"{name} {value!r}", "", f"give a whole number from 0 to {most:,}")
    return value


def config(
    strategy: str,
    data: str | Path,
    *,
    symbols: Sequence[str] | None = None,
    start: Moment = None,
    end: Moment = None,
    interval: int | str | None = None,
    drill: int | str | None = None,
    venue: str | Path | None = None,
    leverage: float | str | None = None,
    cash: float = 100_000.0,
    path: str = "coherent",
    latency_ms: int = 0,
    slippage_bps: float = 0.0,
    slippage: Sequence[str] | str = (),
    volume_share: str | None = None,
    limit_fill: str = "through",
    fee_bps: float | None = None,
    maker_fee_bps: float | None = None,
    fee_discount: str | None = None,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    allow: Sequence[str] = (),
    guards: Sequence[str] = (),
    modes: Mapping[str, str] | None = None,
    isolate_above: float | None = None,
    adl: Sequence[str] = (),
    adl_top: int = 1,
    **of_chain: Any,
) -> Config:
    """The checked settings, with those `of_chain`; UserError for what is unknown or out of range."""
    if isinstance(symbols, str):
        raise UserError("symbols is one text", "", "give a list of names")
    if isinstance(guards, str):
        raise UserError("guards is one text", "", 'give a list, like ["stop=5%"]')
    models = (slippage,) if isinstance(slippage, str) else tuple(slippage)
    parse_slippage(models)
    parse_shares(volume_share)
    start_ms, end_ms = period(start, end)
    return Config(
        strategy=strategy,
        data=str(data),
        symbols=None if symbols is None else tuple(symbols),
        start_ms=start_ms,
        end_ms=end_ms,
        interval_ms=span(interval, "--interval"),
        drill_ms=span(drill, "--drill"),
        venue=canonical(str(venue or YARDSTICK)),
        leverage=leverage if leverage in (None, MAX) else _leverage(leverage),
        cash=number(cash, "cash", LEAST_CASH, MOST_CASH),
        path=one_of(path, PATHS, "path"),
        latency_ms=whole(latency_ms, "latency_ms", MOST_LATENCY_MS),
        slippage_bps=number(slippage_bps, "slippage_bps", 0, WHOLE_BPS),
        slippage=models,
        volume_share=volume_share,
        limit_fill=one_of(limit_fill, LIMIT_FILLS, "limit fill"),
        fee_bps=None if fee_bps is None else number(fee_bps, "fee_bps", 0, WHOLE_BPS),
        maker_fee_bps=None if maker_fee_bps is None else number(maker_fee_bps, "maker_fee_bps", -WHOLE_BPS, WHOLE_BPS),
        fee_discount=None if fee_discount is None else str(fee_discount).strip(),
        seed=whole(seed, "seed", MOST_SEED),
        allow=tuple(one_of(name, ALLOWANCES, "allowance") for name in allow),
        modes={symbol: one_of(mode, SYMBOL_MODES, "margin mode") for symbol, mode in sorted((modes or {}).items())},
        isolate_above=None if isolate_above is None else number(isolate_above, "isolate_above", 0.01, 1),
        adl=(adl,) if isinstance(adl, str) else tuple(adl),
        adl_top=whole(adl_top, "adl_top", MOST_POSITIONS),
        guards=tuple(parse(text).text for text in guards),
        params=dict(params or {}),
        **checked(**of_chain),
    )


def checked(
    *,
    chain: str | Path | None = None,
    outages: Sequence[str] | str = (),
    reorg: int | str | None = None,
    force_inclusion: bool = False,
    reserve: float = 0.0,
    oracle: Sequence[str] | str = (),
    gas: bool = True,
) -> dict[str, Any]:
    """The checked settings of a chain, as `Config` has them; their texts are read where the data are known."""
    return {
        "chain": None if chain is None else str(chain),
        "outages": (outages,) if isinstance(outages, str) else tuple(outages),
        "reorg_ms": span(reorg, "--reorg"),
        "force_inclusion": bool(force_inclusion),
        "reserve": number(reserve, "reserve", 0, MOST_CASH),
        "oracle": (oracle,) if isinstance(oracle, str) else tuple(oracle),
        "gas": bool(gas),
    }
