"""Guards as a user writes them: `stop=5%`, `trail[BTC-USD]=8%`, `reduce=0.8:0.5`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from backtest.core import durations
from backtest.core.enums import MICRO, TransferKind
from backtest.core.errors import UserError, nearest
from backtest.engine import layout as at
from backtest.strategy.routes import route_number
from backtest.venues.chain import Chain

INSTANT = Chain()
RATIO, RATIOS, SHARE, QUOTE, LOSS, TIME = "ratio", "ratios", "share", "quote", "loss", "time"
LEVELS = "give up to 10 levels, each further than the one before, with shares of the position, like 3%:1/3,6%:rest"
MOST_LEVELS = 10
WANTED = {
    RATIO: "give a margin ratio above 0 and at most 1, like 0.5",
    RATIOS: "give two margin ratios, 1 ≥ level > target > 0, like 0.8:0.5",
    SHARE: "give a percentage above 0 % and at most 100 %, like 5%",
    QUOTE: "give an amount of quote above 0, like 2000",
    LOSS: "give a percentage of the deposit, like 10%, or an amount of quote, like 10000",
    TIME: "give a length of time, like 8h or 3d",
}
KINDS = {
    "call": (at.G_CALL, RATIO),
    "reduce": (at.G_REDUCE, RATIOS),
    "top-up": (at.G_TOP_UP, RATIOS),
    "stop": (at.G_STOP, SHARE),
    "trail": (at.G_TRAIL, SHARE),
    "loss": (at.G_LOSS, QUOTE),
    "age": (at.G_AGE, TIME),
    "funding": (at.G_FUNDING, SHARE),
    "basis": (at.G_BASIS, SHARE),
    "oracle-age": (at.G_ORACLE_AGE, TIME),
    "volatility": (at.G_VOLATILITY, SHARE),
    "account-loss": (at.G_ACCOUNT_LOSS, LOSS),
    "drawdown": (at.G_DRAWDOWN, SHARE),
}
"""Kind: its number in the kernels, and the form of its value."""
ALSO_CALLED = {
    "sl": "stop", "stop-loss": "stop", "stoploss": "stop",
    "ts": "trail", "tsl": "trail", "trailing": "trail", "trailing-stop": "trail",
    "dd": "drawdown", "mdd": "drawdown", "max-drawdown": "drawdown",
    "max-loss": "account-loss", "equity-stop": "account-loss",
    "max-age": "age", "timeout": "age", "time-stop": "age",
    "funding-rate": "funding", "premium": "basis", "stale": "oracle-age", "vol": "volatility", "sigma": "volatility",
    "margin-call": "call", "deleverage": "reduce", "add-margin": "top-up",
}  # fmt: skip
"""Names from elsewhere, by which a kind is suggested."""
NO_GUARD = {"tp": "take_profit", "take-profit": "take_profit", "takeprofit": "take_profit"}
"""What orders do, by the keyword that does it."""
PER_POSITION = ("stop", "trail", "loss", "age", "funding", "basis", "oracle-age", "volatility")
MOST_QUOTE = 1e9
NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")
FORM = re.compile(r"([^=\[\]\s]+)\s*(?:\[([^\[\]]+)\])?\s*=\s*(\S+)")


@dataclass(frozen=True)
class Guard:
    """One guard. See docs/reference/guards.md for what each kind does."""

    text: str
    """As it was written, without spaces around."""
    kind: str
    level: float
    """When it acts: a share, a margin ratio, quote, or ms."""
    target: float = math.nan
    """The margin ratio to reach; of a position the share of it to have closed; NaN: none, all of it."""
    symbol: str | None = None
    """The one market whose position it watches; None: every one."""
    of_deposit: bool = False
    """`level` of an account-loss is a share of the deposit, cash and reserve, not quote."""


def parse(text: str, place: str = "--guard") -> Guard:
    """The guard that ``text`` writes, of several levels the first; see :func:`levels`."""
    return levels(text, place)[0]


def levels(text: str, place: str = "--guard") -> tuple[Guard, ...]:
    """The guard that ``text`` writes, level by level: KIND=VALUE, or KIND[SYMBOL]=VALUE for the position in one market.

    Several values with commas are levels, each further than the one before. Those of a position may say what share of
    it to close, ``3%:1/3,6%:rest``. ``place`` says where the text was found. UserError for an unknown kind or a value
    that is not one of its.
    """
    match = FORM.fullmatch(text.strip()) if isinstance(text, str) else None
    if not match:
        raise UserError(f"guard {text!r} is not KIND=VALUE", place, "write it like stop=5% or stop[BTC-USD]=5%")
    kind, symbol, value = match.groups()
    if kind not in KINDS:
        raise UserError(f"unknown guard {kind!r}", place, _meant(kind))
    if symbol is not None and kind not in PER_POSITION:
        thing = f"guard {kind} does not watch one market"
        raise UserError(thing, place, f"leave [{symbol}] out; {', '.join(PER_POSITION)} can")
    form, closed, found = KINDS[kind][1], Fraction(0), []
    parts = value.split(",")
    for n, part in enumerate(parts):
        written, colon, portion = part.partition(":") if kind in PER_POSITION else (part, "", "")
        read = _value(form, written)
        if read is None:
            raise UserError(f"guard {kind} = {value!r}", place, WANTED[form])
        level, target = read
        if kind in PER_POSITION and colon:
            share = 1 - closed if portion == "rest" else _portion(portion)
            last = n == len(parts) - 1
            if share is None or not 0 < share <= 1 - closed or (portion == "rest" and not last):
                raise UserError(f"guard {kind} = {value!r}", place, LEVELS)
            closed += share
            target = float(closed) if closed < 1 else math.nan
        found.append(Guard(text.strip(), kind, level, target, symbol, form == LOSS and written.endswith("%")))
    rising = all(below.level < above.level for below, above in pairwise(found))
    ended = all(math.isnan(one.target) == (one is found[-1]) or kind not in PER_POSITION for one in found[:-1])
    if len(found) > MOST_LEVELS or not rising or not ended or (len(found) > 1 and kind in ("account-loss", "drawdown")):
        raise UserError(f"guard {kind} = {value!r}", place, LEVELS)
    return tuple(found)


def _portion(text: str) -> Fraction | None:
    """A share of a position like ``1/3`` or ``25%``; None for another text."""
    if re.fullmatch(r"[0-9]+/[0-9]+", text) and int(text.partition("/")[2]) > 0:
        return Fraction(text)
    return Fraction(text[:-1]) / 100 if text.endswith("%") and NUMBER.fullmatch(text[:-1]) else None


def _meant(kind: str) -> str:
    """What may have been meant by a kind that is none."""
    name = kind.lower().replace("_", "-")
    if name in NO_GUARD:
        return f"there is no such guard; use an order with {NO_GUARD[name]}="
    return f"did you mean {ALSO_CALLED[name]!r}?" if name in ALSO_CALLED else nearest(name, KINDS)


def chosen(of_class: object, where: str, asked: Iterable[str]) -> tuple[Guard, ...]:
    """The guards of a run: those of the strategy at ``where``, then those asked for. UserError for one named twice."""
    if not isinstance(of_class, tuple | list) or not all(isinstance(text, str) for text in of_class):
        raise UserError(f"guards = {of_class!r}", where, 'give a tuple of texts, like ("stop=5%",)')
    read = (*(levels(text, f"{where}, guards") for text in of_class), *(levels(text) for text in asked))
    texts = [guard[0].text for guard in read]
    for text in texts:
        if texts.count(text) > 1:
            raise UserError(f"guard {text} is given twice", f"{where} and --guard", "name each guard once")
    return tuple(level for guard in read for level in guard)


def pack(
    guards: Sequence[Guard],
    symbols: Sequence[str],
    cash: int,
    modes: set[str],
    reserve: int = 0,
    chain: Chain = INSTANT,
) -> NDArray[np.float64]:
    """The guards as `engine.layout` has them; ``cash`` and ``reserve``: money at the venue and outside it, micro;
    ``modes``: the symbols' margin modes; ``chain``: what takes money over.

    UserError for a symbol that is not in the run, a top-up without a reserve, or without a route, where every position
    is in the cross pool, and a reduction where none is.
    """
    deposit = cash + reserve
    table = np.zeros((len(guards), at.GUARD_STATE + at.GUARD_EACH * (len(symbols) + 1)))
    for row, guard in zip(table, guards, strict=True):
        if guard.symbol is not None and guard.symbol not in symbols:
            remedy = nearest(guard.symbol, symbols)
            raise UserError(f"symbol {guard.symbol!r} is not in the run", f"guard {guard.text}", remedy)
        _check_modes(guard, modes, reserve, chain)
        row[at.GUARD_KIND] = KINDS[guard.kind][0]
        row[at.GUARD_SYMBOL] = -1 if guard.symbol is None else symbols.index(guard.symbol)
        row[at.GUARD_LEVEL] = guard.level * (deposit / MICRO) if guard.of_deposit else guard.level
        row[at.GUARD_GOAL] = deposit if guard.kind in ("account-loss", "drawdown") else guard.target
        if guard.kind in PER_POSITION and math.isnan(guard.target):
            row[at.GUARD_GOAL] = 1.0
    return table


def _check_modes(guard: Guard, modes: set[str], reserve: int, chain: Chain) -> None:
    """UserError for a guard that could do nothing in any of the modes."""
    place = f"guard {guard.text}"
    if guard.kind == "top-up" and modes != {"isolated"} and reserve > 0:
        route_number(chain, TransferKind.DEPOSIT, None, place)
    elif guard.kind == "top-up" and "isolated" not in modes:
        thing = "in cross margin a top-up requires a reserve"
        raise UserError(thing, place, "set --reserve, or use reduce")
    if guard.kind == "reduce" and modes == {"isolated"}:
        thing = "in isolated margin a reduction releases the same share of margin, so the ratio does not change"
        raise UserError(thing, place, "use stop or top-up instead")


def _value(form: str, text: str) -> tuple[float, float] | None:
    """`(level, target)` as the form says, the target NaN where it has none; None for a text that is no such value."""
    if form == RATIOS:
        level, _, target = (_inside(_number(part), 1.0) for part in text.partition(":"))
        return None if level is None or target is None or target >= level else (level, target)
    if form == TIME:
        try:
            return float(durations.parse(text)), math.nan
        except UserError:
            return None
    if form == SHARE or (form == LOSS and text.endswith("%")):
        percent = _inside(_number(text[:-1]), 100.0) if text.endswith("%") else None
        return None if percent is None else (percent / 100.0, math.nan)
    number = _inside(_number(text), 1.0 if form == RATIO else MOST_QUOTE)
    return None if number is None else (number, math.nan)


def _number(text: str) -> float | None:
    return float(text) if NUMBER.fullmatch(text) else None


def _inside(number: float | None, most: float) -> float | None:
    return number if number is not None and 0.0 < number <= most else None
