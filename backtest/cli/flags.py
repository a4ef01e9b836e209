"""Flags that commands share, and the kinds of value that they take."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_RATE = re.compile(r"(-?(?:\d+\.?\d*|\.\d+))\s*(%|bps?)", re.IGNORECASE)
"""A number with a unit behind it."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Command(click.Command):
    """A command that refuses a flag of one value that is given twice: Click would silently take the last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a usage error for a repeated flag."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        for param in order:
            single = isinstance(param, click.Option) and not (param.multiple or param.is_flag or param.count)
            if single and order.count(param) > 1:
                raise click.UsageError(
                    f"{param.opts[-1]} is given {order.count(param)} times, and takes one value", ctx
                )
        return super().parse_args(ctx, args)


class Group(click.Group):
    """A group whose commands refuse repeated flags."""

    command_class = Command


class Moment(click.ParamType[int]):
    """A date, or an ISO time; without a zone it is UTC. Gives whole milliseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The value's milliseconds."""
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time; write 2024-03-12 or 2024-03-12T10:30 (UTC)", param, ctx)
        aware = when if when.tzinfo else when.replace(tzinfo=UTC)
        return (aware - EPOCH) // timedelta(milliseconds=1)


class Number(click.FloatRange):
    """A finite number in a range: `nan` and `inf` pass any comparison that a range makes."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value, if it is finite and in range."""
        _refuse_other_units(value, param, ctx)
        number = float(super().convert(value, param, ctx))
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a finite number", param, ctx)


def _refuse_other_units(value: Any, param: click.Parameter | None, ctx: click.Context | None) -> None:
    """A usage error where a flag in basis points is given per cent, or a number with its unit behind it."""
    found = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or param is None or not (param.name or "").endswith("_bps"):
        return
    number, unit = found.groups()
    if unit != "%":
        raise click.BadParameter(f"{value!r} has its unit behind it: give {number}", ctx, param)
    said = f"{value!r} is in per cent, and it takes basis points (1 bps = 0.01 %): give {100 * float(number):g}"
    raise click.BadParameter(said, ctx, param)


class Leverage(Number):
    """A finite number above 0, or `max`."""

    name = "leverage"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value, if it is the word or a number in range."""
        if value == "max":
            return value
        try:
            float(value)
        except ValueError:
            self.fail(f"{value!r} is not a leverage; give a number above 0, or max", param, ctx)
        return super().convert(value, param, ctx)


class Finite(click.ParamType[float]):
    """A finite number whose range the command itself tells, in its own words."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value, if it is finite."""
        _refuse_other_units(value, param, ctx)
        number = click.FLOAT.convert(value, param, ctx)
        return float(number) if math.isfinite(number) else self.fail(f"{value!r} is not a finite number", param, ctx)


class Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, in the order given."""
        names = tuple(name.strip() for name in value.split(","))
        return names if all(names) else self.fail(f"{value!r} has an empty name in it", param, ctx)


def _params(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """`name=value` pairs; the strategy reads each value by its parameter's type."""
    out: dict[str, str] = {}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals):
            raise click.BadParameter(f"{text!r} is not name=value", ctx, param)
        if name in out:
            raise click.BadParameter(f"{name!r} is given twice", ctx, param)
        out[name] = value
    return out


FOLDER = click.Path(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
VERBOSE = click.option("--verbose", is_flag=True, help="List every assumption and count below the results.")
TIMEOUT = click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop with exit code 1 if it is not done after so many seconds; nothing is written then.  [default: never]",
)
DATE = click.option(
    "--date",
    "when",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="Only what held on this day (UTC), like 2024-10-24; else every version by date.",
)

_REPLAY = (
    click.option(
        "--data", required=True, type=FOLDER, help="Dataset: a folder, or a Parquet file with a symbol column."
    ),
    click.option("--symbols", type=Names(), help="Markets, with commas between them.  [default: all]"),
    click.option("--from", "start", type=Moment(), help="First moment, UTC: a date or an ISO time, itself included."),
    click.option("--to", "end", type=Moment(), help="End, UTC, itself not included: the period is [from, to)."),
    click.option(
        "--interval", metavar="1h", help="Replay candles of this length, joined from the data's.  [default: the data's]"
    ),
    click.option(
        "--drill",
        metavar="5m",
        help="With --interval: a candle in which something may happen (an order's level, a liquidation, an arrival) is "
        "played on its candles of this length.",
    ),
    click.option(
        "--venue",
        metavar="NAME|FILE",
        help="A name or alias of `backtest venues list`, or a FILE.toml.  [default: the dataset's, else generic]",
    ),
    click.option(
        "--leverage",
        type=Leverage(),
        metavar="NUMBER|max",
        help="Notional over initial margin; max: as the venue's tiers allow.  [default: in isolated margin the venue's "
        "default, else max]",
    ),
    click.option(
        "--isolate-above",
        type=Number(min=0, min_open=True, max=1),
        metavar="SHARE",
        help="A position that makes up more than this share (0.5: half) of the cross pool's maintenance margin gets a "
        "pool of its own.",
    ),
    click.option(
        "--adl",
        multiple=True,
        metavar="EVENT",
        help="Somebody else's failure closes a profitable position of yours: TIME,SYMBOL,SHARE (* for whichever ranks "
        "first), move=5%/10m,SHARE for whenever the mark moves so fast, or a FILE.csv of the first form. May be "
        "repeated.",
    ),
    click.option(
        "--adl-top",
        type=Whole(min=0),
        default=1,
        show_default=True,
        help="Positions that the events of one instant close, at most; those that rank first.",
    ),
    click.option(
        "--cash", type=Number(min=0, min_open=True), default=100_000, show_default=True, help="Deposit, in quote."
    ),
    click.option(
        "--path", default="coherent", show_default=True, help="Price path inside a candle: coherent, worst or best."
    ),
    click.option(
        "--latency-ms",
        type=Whole(min=0),
        default=0,
        show_default=True,
        help="The strategy's own delay, before a message is sent; without a chain it then arrives.",
    ),
    click.option(
        "--chain",
        metavar="NAME|FILE",
        help="How long messages and money travel, and what that costs: a name of `backtest venues chains`, a "
        "FILE.toml, or venue for the venue's own.  [default: instant and free]",
    ),
    click.option(
        "--outages",
        multiple=True,
        metavar="WHEN",
        help="When the chain stands still: 2025-10-10T21:35/8h (or START/END), a FILE.toml, .json or .csv, history for "
        "what the chain is known for, poisson=2/year:60m:8h (rate, median, 90th percentile), worst:30m for where the "
        "book would lose most. May be repeated.",
    ),
    click.option(
        "--reorg", metavar="30s", help="Fills so shortly before an outage are undone.  [default: the chain's]"
    ),
    click.option(
        "--force-inclusion", is_flag=True, help="In an outage messages come by the chain's Layer 1, if it can."
    ),
    click.option(
        "--oracle",
        multiple=True,
        metavar="KIND=VALUE",
        help="What the venue's mark is made of: delay=3s, heartbeat=1h, deviation=0.5%, average=30s, median; limit=60s "
        "refuses orders on an older one; after an outage stale=30s, grace=1h. May be repeated.",
    ),
    click.option(
        "--no-gas", "gas", flag_value=False, default=True, help="Messages cost no gas.  [default: what the chain takes]"
    ),
    click.option(
        "--reserve",
        type=Number(min=0),
        default=0,
        show_default=True,
        help="Money outside the venue, in quote, beside --cash: what a top-up comes from.",
    ),
    click.option(
        "--slippage-bps", type=Number(min=0), default=0, show_default=True, help="Cost of a fill beside its price."
    ),
    click.option(
        "--slippage",
        multiple=True,
        metavar="KIND=VALUE",
        help="What takers pay besides: half-spread=BPS (or corwin-schultz, abdi-ranaldo, edge: estimated from the "
        "candles), impact=Y:DELTA for Y σ (Q/V)^DELTA, volume=K, depth=FILE.parquet, stress=FACTOR, drift=K. May be "
        "repeated.",
    ),
    click.option(
        "--volume-share",
        metavar="SHARE",
        help="Most of a candle's volume that fills may be: 10%, or taker=10%,maker=5%.  [default: any]",
    ),
    click.option(
        "--limit-fill",
        default="through",
        show_default=True,
        help="A limit order fills where the price goes through it, or where it touches it: through or touch.",
    ),
    click.option(
        "--fee-bps",
        type=Number(min=0),
        help="Taker fee, and maker fee if that is not given, whatever the volume.  [default: the venue's tiers]",
    ),
    click.option(
        "--maker-fee-bps",
        type=Finite(),
        help="Maker fee, below 0 a rebate.  [default: as --fee-bps, or the venue's tiers]",
    ),
    click.option(
        "--fee-discount", metavar="NAME|SHARE", help="Off the venue's fees: a name that it has, like bnb, or 10%."
    ),
    click.option(
        "-p",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_params,
        help="A parameter of the strategy; with --sub-accounts of all that have it, 2.NAME=VALUE of the second alone.",
    ),
    click.option(
        "--seed", type=Whole(min=0), default=0, show_default=True, help="Of all chance: the strategy's, the way's."
    ),
    click.option("--allow", multiple=True, metavar="NAME", help="Run in spite of: missing-funding. May be repeated."),
    click.option(
        "--guard", "guards", multiple=True, metavar="KIND=VALUE", help="A guard, like stop=5%. May be repeated."
    ),
    TIMEOUT,
    click.option("--out", type=FOLDER, help="Folder of the report.  [default: reports/ and the strategy's name]"),
    VERBOSE,
    JSON,
)


def replay(command: F) -> F:
    """The flags of a command that replays a strategy, in the order in which help shows them."""
    for decorate in reversed(_REPLAY):
        command = decorate(command)
    return command
