"""What users see is typed: no `Any` in the public API, and every word of hooks and orders is a literal type."""

from __future__ import annotations

import collections.abc
import datetime as dt
import functools
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ForwardRef, NotRequired, get_args, get_origin, get_type_hints

import numpy as np
import polars as pl
import pytest

import backtest
from backtest.core.enums import Cause, Liquidity, OrderState, OrderType, Stage, TimeInForce, TransferKind, TransferState
from backtest.core.json_types import JsonValue
from backtest.core.rows import Part, Rows
from backtest.data.catalog import Catalog, DataSource
from backtest.results import summary_types
from backtest.strategy import account, base, candle, events, holdings, literal_types, market, order
from backtest.strategy.base import cause
from tests import small_market

LATE = {name: getattr(backtest, name) for name in backtest.__all__} | {
    "np": np,
    "pl": pl,
    "JsonValue": JsonValue,
    "Catalog": Catalog,
    "DataSource": DataSource,
    "Path": Path,
    "dt": dt,
    **vars(collections.abc),
}
"""Names that modules import for the type checker only."""
MADE_BY_THE_ENGINE = {"Market", "Account", "Holdings", "Column", "FundingRates"}
"""Classes that users are given and never make: their `__init__` is not public."""
HANDED_ON = {Catalog, Rows, Part}
"""An open dataset, which users pass to `run`, and the records of tables: what is in them is not public."""
OPERATORS = {"__init__", "__call__", "__getitem__", "__iter__", "__new__"}


def hints_of(thing: Any) -> dict[str, Any]:
    names = LATE | vars(inspect.getmodule(thing) or inspect)
    return get_type_hints(thing, globalns=names, include_extras=True)


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public attributes and methods of a class and of its bases in this package, with their type hints."""
    for base_class in cls.__mro__:
        if not base_class.__module__.startswith("backtest."):
            continue
        own = inspect.get_annotations(base_class)
        yield from ((name, hint) for name, hint in hints_of(base_class).items() if name in own and name[0] != "_")
        for name, member in vars(base_class).items():
            plain = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if isinstance(plain, functools.cached_property):
                plain = plain.func
            hidden = name.startswith("_") and (name not in OPERATORS or base_class.__name__ in MADE_BY_THE_ENGINE)
            if not hidden and inspect.isfunction(plain) and plain.__module__.startswith("backtest."):
                yield from ((f"{name}.{what}", hint) for what, hint in hints_of(plain).items())
                missing = set(inspect.signature(plain).parameters) - set(hints_of(plain)) - {"self", "cls"}
                yield from ((f"{name}.{what}", Any) for what in missing)


def parts(hint: Any) -> Iterator[Any]:
    """A type and all types inside it; of an array without its shape, which NumPy types as Any."""
    yield hint
    for part in get_args(hint)[1 if get_origin(hint) is np.ndarray else 0 :]:
        yield from parts(part)


def untyped(name: str, seen: set[Any]) -> Iterator[str]:
    """Where `Any` stands in a public name, or in a class of this package that its hints mention."""
    waiting = [(name, getattr(backtest, name))]
    while waiting:
        place, thing = waiting.pop()
        if thing in seen:
            continue
        seen.add(thing)
        if inspect.isclass(thing):
            found = [(f"{thing.__name__}.{what}", hint) for what, hint in members(thing)]
        elif inspect.isfunction(thing):
            found = [(f"{place}.{what}", hint) for what, hint in hints_of(thing).items()]
        else:
            found = [(place, thing)]
        for where, hint in found:
            for part in parts(hint):
                if part is Any or (isinstance(part, ForwardRef) and part.__forward_arg__ == "Any"):
                    yield where
                elif inspect.isclass(part) and part.__module__.startswith("backtest.") and part not in HANDED_ON:
                    waiting.append((where, part))


def test_no_any_in_what_users_see() -> None:
    seen: set[Any] = set()
    assert sorted({where for name in backtest.__all__ for where in untyped(name, seen)}) == []


def test_any_is_found_wherever_it_stands() -> None:
    """The walk above looks at arguments, results, attributes, parts of types and the classes that they name."""
    made = {hint for name, hint in members(base.Strategy)}
    assert {account.Account, market.Market, events.Fill, candle.Candle} <= made
    assert ("on_fill.fill", events.Fill) in list(members(base.Strategy))
    assert list(parts(dict[str, list[Any]]))[-1] is Any


WORDS = {
    literal_types.TifName: [member.name for member in TimeInForce],
    literal_types.TriggerName: order.TRIGGERS,
    literal_types.OrderTypeName: [member.name for member in OrderType if member != OrderType.AMEND],
    literal_types.OpenOrderState: holdings.STATES,
    literal_types.OrderStateName: [member.name for member in OrderState],
    literal_types.ReasonName: sorted({reason for reason in events.REASONS if reason}),
    literal_types.CauseName: [member.name for member in Cause],
    literal_types.LiquidityName: [member.name for member in Liquidity],
    literal_types.StageName: [member.name for member in Stage if member != Stage.SHORTFALL],
    literal_types.TransferKindName: [member.name for member in TransferKind],
    literal_types.TransferStateName: [member.name for member in TransferState],
    literal_types.CandleField: [*market.FIELDS, "volume"],
}


@pytest.mark.parametrize(("literal", "members"), WORDS.items(), ids=str)
def test_every_word_of_a_hook_is_in_its_type(literal: Any, members: Any) -> None:
    assert set(get_args(literal)) == {name.lower() for name in members}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> backtest.Result:
    folder = tmp_path_factory.mktemp("typed")
    small_market.write(folder)
    return backtest.run(folder / "hold.py", folder / "market")


def test_every_metric_has_a_value_of_its_type(one: backtest.Result) -> None:
    hints = get_type_hints(backtest.Metrics)
    assert set(one.metrics) == set(hints)
    wrong = {name: value for name, value in one.metrics.items() if not isinstance(value, hints[name])}
    assert wrong == {}


def test_a_summary_has_the_entries_of_its_type(one: backtest.Result) -> None:
    for found, kind in (
        (one.summary, backtest.RunSummary),
        (one.summary["data"], summary_types.DataSummary),
        (one.summary["strategy"], summary_types.StrategySummary),
    ):
        hints = get_type_hints(kind, include_extras=True)
        optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
        assert set(hints) - optional <= set(found) <= set(hints)


def misspelt(thing: object, name: str) -> str:
    with pytest.raises(AttributeError) as raised:
        getattr(thing, name)
    return cause(raised.value)


def test_a_misspelt_name_is_told_with_the_nearest() -> None:
    assert misspelt(object.__new__(backtest.Account), "byu").endswith("no attribute 'byu' (did you mean 'buy'?)")
    assert misspelt(object.__new__(backtest.Market), "histroy").endswith("(did you mean 'history'?)")
    assert misspelt(events.MarginCall(0, "cross", 1.0, 2.0, 0.0), "equty").endswith("(did you mean 'equity'?)")
    assert misspelt(backtest, "comprae").endswith("no attribute 'comprae' (did you mean 'compare'?)")
    assert "did you mean" not in misspelt(object.__new__(backtest.Account), "zzz")
    assert "did you mean" not in misspelt([], "apend")  # not one of ours
