"""`Strategy`: the base of every plug-in, and what the engine asks of one."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from backtest.core import durations
from backtest.core.errors import BacktestError, RunError, UserError, closest, nearest
from backtest.strategy.param import Parameter, ParamValue, choose, declare

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from backtest.strategy.account import Account
    from backtest.strategy.candle import Candle
    from backtest.strategy.events import Fill, FundingPayment, Liquidation, MarginCall, OrderEvent, Transfer
    from backtest.strategy.market import Market

HOOKS = (
    "features", "targets", "on_start", "on_candle", "on_fill", "on_order", "on_funding",
    "on_margin_call", "on_liquidation", "on_transfer", "on_stop",
)  # fmt: skip
RESERVED = ("params", "every_ms", "rng", "bind", "describe")
"""What the engine reads of a strategy or calls, and no strategy may replace."""
BESIDE_TARGETS = frozenset({"targets", "on_start", "on_stop"})
"""A `targets` replay runs compiled from end to end, so only what comes before and after it can be called."""


class Strategy:
    """Base of every strategy. Write `on_candle`, or `targets`, and whichever other hooks are needed.

    A hook that is not written is never called. In the hooks `market` is all that may be known now and
    `account` is what the strategy owns and can do. Declare parameters with `Param`.
    """

    every: str | None = None
    """How often the strategy decides (`"1h"`): it then sees candles of that length. None: on each candle."""
    lookback: int = 1000
    """How many of its candles `market.history` may reach back."""
    symbols: tuple[str, ...] | None = None
    """The markets that it wants; None: all that are selected. May be set in `__init__`."""
    guards: tuple[str, ...] = ()
    """Guards that watch its account, like ``("stop=5%", "drawdown=20%")``; `--guard` adds to them. May be set in
    `__init__`."""
    _parameters: ClassVar[dict[str, Parameter]] = {}
    _params: dict[str, ParamValue]
    _rng: np.random.Generator

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls._parameters = declare(cls)
        for name in cls._parameters:
            if hasattr(Strategy, name) and name not in ("every", "lookback"):
                raise UserError(f"parameter {name} has the name of a part of Strategy", cls.__name__, "rename it")
        for name in RESERVED:
            if inspect.getattr_static(cls, name) is not vars(Strategy)[name]:
                raise _replaced(name, cls.__name__)

    def __init__(self, **params: ParamValue) -> None:
        """Parameters by name, as values or as text. Raises UserError for an unknown one, one out of range, or values
        that `validate` does not accept together."""
        self._params = choose(self._parameters, params, type(self).__name__)
        check_together(self)
        self.bind(0)

    @property
    def params(self) -> dict[str, ParamValue]:
        """The values of the parameters, in the order of declaration (a copy)."""
        return dict(self._params)

    @property
    def every_ms(self) -> int | None:
        """`every` in milliseconds; None: on each candle."""
        return None if self.every is None else durations.parse(self.every, f"{place(self)}, every")

    @property
    def rng(self) -> np.random.Generator:
        """The only source of chance that keeps a run reproducible; seeded from the run's seed."""
        return self._rng

    def bind(self, seed: int) -> None:
        """Seed `self.rng`. The engine does it before `on_start`."""
        import numpy as np  # here, because the command line reads parameters without needing arrays

        self._rng = np.random.default_rng(seed)

    @classmethod
    def describe(cls) -> Description:
        """Name, first line of the docstring, and parameters with their ranges."""
        lines = (vars(cls).get("__doc__") or "").strip().splitlines()
        return Description(cls.__name__, lines[0] if lines else "", tuple(cls._parameters.values()))

    def validate(self) -> str | None:
        """Check the parameters together; return (or raise ValueError with) what is wrong with them, None if nothing.

        It is called when the strategy is made, as soon as the parameters have their values, and sees nothing else.
        """
        return None

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        """Polars expressions over one symbol's candles, by name; computed once, before the replay.

        ``candle.open``, ``high``, ``low``, ``close`` and ``volume`` are the columns. While a feature of a
        symbol is null or NaN the symbol is not among `market.symbols`.
        """
        return {}

    def targets(self, candles: pl.LazyFrame) -> pl.LazyFrame | pl.DataFrame:
        """All decisions at once, instead of `on_candle`: the whole replay then runs compiled.

        ``candles`` has ts (open of the candle, UTC), symbol, open, high, low, close, volume, one row per
        candle of length `every`. The answer has ts, symbol and one of target (a share of equity, signed),
        qty (base units, signed) or notional (quote, signed). A row stamped with a candle's open is decided
        at that candle's close: it may use that candle and all before it, nothing after.
        """
        return candles.head(0)

    def on_start(self, market: Market, account: Account) -> None:
        """Before the first candle."""

    def on_candle(self, market: Market, account: Account) -> None:
        """At each candle's close, or each `every`."""

    def on_fill(self, fill: Fill, market: Market, account: Account) -> None:
        """After an order of this account was filled."""

    def on_order(self, event: OrderEvent, market: Market, account: Account) -> None:
        """After an order of this account has changed its state: arrived, triggered, filled in part, amended, ended."""

    def on_funding(self, payment: FundingPayment, market: Market, account: Account) -> None:
        """After funding was paid or received."""

    def on_margin_call(self, call: MarginCall, market: Market, account: Account) -> None:
        """When a pool's equity has fallen below its initial margin, or its ratio has reached a `call` guard's level."""

    def on_liquidation(self, liquidation: Liquidation, market: Market, account: Account) -> None:
        """After a liquidation."""

    def on_transfer(self, transfer: Transfer, market: Market, account: Account) -> None:
        """After a transfer between the reserve and the venue was sent, has arrived, or was refused."""

    def on_stop(self, market: Market, account: Account) -> None:
        """After the last candle."""


def check_together(strategy: Strategy) -> None:
    """Raise UserError for parameters that `validate` does not accept together."""
    name = type(strategy).__name__
    _check_plain(strategy, ("validate",), name)
    try:
        said: object = strategy.validate()
    except ValueError as error:
        said = str(error)
    if said is None:
        return
    if not isinstance(said, str) or not said:
        remedy = "return None where the parameters are fine, else a message"
        raise UserError(f"validate has returned {said!r}", name, remedy)
    raise UserError(said, name, "change one of the parameters")


class Description(NamedTuple):
    """What `backtest strategies list` shows of a strategy."""

    name: str
    doc: str
    parameters: tuple[Parameter, ...]


def hooks(strategy: Strategy | type[Strategy]) -> frozenset[str]:
    """Names of the hooks that the strategy has written."""
    cls = strategy if isinstance(strategy, type) else type(strategy)
    return frozenset(name for name in HOOKS if getattr(cls, name) is not getattr(Strategy, name))


def place(strategy: Strategy | type[Strategy]) -> str:
    """`file.py, class Name`: where a message says that a strategy is."""
    cls = strategy if isinstance(strategy, type) else type(strategy)
    file = source_file(cls)
    return f"{file.name}, class {cls.__name__}" if file else f"class {cls.__name__}"


def source_file(cls: type) -> Path | None:
    """The file that a class was read from; None where it is missing (a console)."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Path(file) if file else None


def check(strategy: Strategy) -> None:
    """UserError unless the strategy has one way to decide, and a sane `every`, `lookback` and `symbols`."""
    where, written = place(strategy), hooks(strategy)
    if "_params" not in vars(strategy):
        raise UserError("its __init__ does not call super().__init__(**params)", where, "add the call")
    if "on_candle" in written and "targets" in written:
        raise UserError("both on_candle and targets are written", where, "keep one of them")
    if not written & {"on_candle", "targets"}:
        raise UserError("neither on_candle nor targets is written", where, "write one of them")
    _check_names(type(strategy), where)
    _check_plain(strategy, sorted(written), where)
    for name in RESERVED:
        if name in vars(strategy):
            raise _replaced(name, where)
    unheard = sorted(written - BESIDE_TARGETS)
    if "targets" in written and unheard:
        remedy = "remove it, or write on_candle instead of targets"
        raise UserError(f"{unheard[0]} is never called with targets", where, remedy)
    _ = strategy.every_ms  # raises where the text is not an interval
    lookback: object = strategy.lookback
    if not isinstance(lookback, int) or isinstance(lookback, bool) or lookback < 1:
        raise UserError(f"lookback = {lookback!r}", where, "give a whole number of candles from 1")
    _check_symbols(strategy.symbols, where)


def _check_names(cls: type[Strategy], where: str) -> None:
    """UserError for a method that is named like a hook and is none: it would never be called."""
    heard = [name for name in HOOKS if name.startswith("on_")]
    for name in dir(cls):
        if name.startswith("on_") and name not in heard and callable(getattr(cls, name)):
            remedy = f"{nearest(name, heard)} (a method of your own needs a name without on_)"
            raise UserError(f"{name} is not a hook and would never be called", where, remedy)


def _check_plain(strategy: Strategy, names: Iterable[str], where: str) -> None:
    """UserError for a method that is called and not awaited or iterated over: nothing in it would run."""
    for name in names:
        method: object = getattr(strategy, name)
        for function in (method, getattr(type(method), "__call__", None)):  # noqa: B004  also an object with __call__
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise UserError(f"{name} is async and would never run", where, "write it with def, without async")
            if inspect.isgeneratorfunction(function):
                raise UserError(f"{name} is a generator and would never run", where, "write it without yield")


def _replaced(name: str, where: str) -> UserError:
    return UserError(f"{name} is a part of Strategy that cannot be replaced", where, "give yours another name")


def _check_symbols(symbols: object, where: str) -> None:
    if symbols is None:
        return
    if not isinstance(symbols, tuple | list) or not symbols or not all(isinstance(s, str) and s for s in symbols):
        raise UserError(f"symbols = {symbols!r}", where, 'give a tuple of names, like ("BTC-USD",), or None for all')
    if len(set(symbols)) < len(symbols):
        raise UserError(f"symbols = {symbols!r} names one twice", where, "name each market once")


def failed(strategy: Strategy, hook: str, error: BaseException, at: str = "") -> RunError:
    """The error of a strategy's own code as one line: file, line, class, hook, ``at`` (time, symbol) and cause."""
    file = source_file(type(strategy))
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if file and f.filename == str(file)]
    where = f"{file.name}:{lines[-1]}, " if file and lines else f"{file.name}, " if file else ""
    return RunError(f"{where}{type(strategy).__name__}.{hook}{', ' + at if at else ''}: {cause(error)}")


def cause(error: BaseException) -> str:
    """Type and first line of an exception; the project's own errors speak for themselves."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if isinstance(error, BacktestError):
        return first
    if isinstance(error, AttributeError):
        first += _misspelt(error)
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _misspelt(error: AttributeError) -> str:
    """Return what a misspelt name of a strategy, `account`, `market` or an event may have meant; else nothing."""
    thing, name = error.obj, error.name
    if name is None or not (isinstance(thing, Strategy) or type(thing).__module__.startswith("backtest.")):
        return ""
    near = closest(name, (known for known in dir(thing) if not known.startswith("_")))
    return f" (did you mean {near!r}?)" if near else ""
