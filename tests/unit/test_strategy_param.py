"""Parameters and the base class: types, ranges, inheritance, hooks."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from backtest.core.errors import RunError, UserError
from backtest.strategy.base import Strategy, cause, check, failed, hooks
from backtest.strategy.param import Param


class Cross(Strategy):
    """Crosses.

    A second paragraph.
    """

    fast: int = Param(20, ge=2, le=200, doc="candles")
    share: float = Param(0.5, gt=0, lt=1)
    hedge: bool = Param(False)
    side: str = Param("long", choices=("long", "short"))
    free: float = Param(1, ge=-1)

    def on_candle(self, market, account):
        pass


class Slower(Cross):
    """A subclass with a new default and a parameter of its own."""

    fast = 50
    extra: int = Param(3)


def test_defaults_and_values_by_name():
    given = Cross(fast=7, share=0.25, hedge=True, side="short")
    assert (given.fast, given.share, given.hedge, given.side, given.free) == (7, 0.25, True, "short", 1.0)
    assert Cross().params == {"fast": 20, "share": 0.5, "hedge": False, "side": "long", "free": 1.0}
    assert type(Cross().free) is float  # an int default of a float parameter


def test_text_is_read_by_the_type():
    given = Cross(fast="7", share="1e-3", hedge="Yes", side="short")
    assert given.params == {"fast": 7, "share": 0.001, "hedge": True, "side": "short", "free": 1.0}
    assert type(Cross(fast=np.int64(9)).fast) is int
    assert type(Cross(share=np.float64(0.5)).share) is float


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"fast": 1}, "Cross: parameter fast = 1 is out of range; give a whole number from 2 to 200"),
        ({"fast": "201"}, "Cross: parameter fast = 201 is out of range; give a whole number from 2 to 200"),
        ({"fast": 2.5}, "Cross: parameter fast = 2.5 is not allowed; give a whole number from 2 to 200"),
        ({"fast": True}, "Cross: parameter fast = True is not allowed; give a whole number from 2 to 200"),
        ({"fast": "many"}, "Cross: parameter fast = 'many' is not allowed; give a whole number from 2 to 200"),
        ({"share": 0}, "Cross: parameter share = 0.0 is out of range; give a number > 0 and < 1"),
        ({"share": 1.0}, "Cross: parameter share = 1.0 is out of range; give a number > 0 and < 1"),
        ({"share": "nan"}, "Cross: parameter share = 'nan' is not allowed; give a number > 0 and < 1"),
        ({"free": float("inf")}, "Cross: parameter free = inf is not allowed; give a number ≥ -1"),
        ({"hedge": 1}, "Cross: parameter hedge = 1 is not allowed; give true or false"),
        ({"side": "shrt"}, "Cross: parameter side = 'shrt' is not a choice; did you mean 'short'?"),
        ({"side": "up"}, "Cross: parameter side = 'up' is not a choice; give one of long, short"),
        ({"fsat": 3}, "Cross: unknown parameter 'fsat'; did you mean 'fast'?"),
    ],
)
def test_a_wrong_value_is_one_line(params, said):
    with pytest.raises(UserError) as caught:
        Cross(**params)
    assert str(caught.value) == said


def test_inheritance():
    assert Slower().params == {"fast": 50, "share": 0.5, "hedge": False, "side": "long", "free": 1.0, "extra": 3}
    assert Cross().fast == 20
    with pytest.raises(UserError, match=r"Slower: parameter fast = 1 is out of range"):
        Slower(fast=1)
    with pytest.raises(UserError, match=r"TooFast: parameter fast = 0 is out of range"):
        type("TooFast", (Cross,), {"fast": 0})


def test_a_mixin_brings_its_parameters():
    class Sized:
        size: float = Param(2.0, gt=0)

    class Both(Sized, Cross):
        pass

    assert Both(size="3").size == 3.0
    assert Both().params["fast"] == 20


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"n": Param(1)}, "Bad: parameter n has no type; write n: int"),
        ({"n": Param(1), "__annotations__": {"n": "list[int]"}}, "Bad: parameter n is annotated list"),
        ({"n": Param(1), "__annotations__": {"n": "str"}}, "Bad: parameter n = 1 is not allowed; give text"),
        ({"n": Param(5, le=4), "__annotations__": {"n": int}}, "Bad: parameter n = 5 is out of range"),
        ({"n": Param("a", ge=1), "__annotations__": {"n": str}}, "Bad: parameter n is text and has no range"),
        ({"bind": Param(1), "__annotations__": {"bind": int}}, "Bad: parameter bind has the name of a part"),
    ],
)
def test_a_wrong_declaration_is_found_when_the_class_is_made(body, said):
    with pytest.raises(UserError) as caught:
        type("Bad", (Strategy,), body)
    assert str(caught.value).startswith(said)


def test_every_may_be_a_parameter():
    class Paced(Cross):
        every: str = Param("1h")

    assert Paced(every="8h").every_ms == 28_800_000
    assert Cross().every_ms is None


def test_a_value_does_not_change():
    strategy = Cross()
    with pytest.raises(AttributeError, match="parameter fast cannot be changed"):
        strategy.fast = 3
    assert copy.deepcopy(Cross(fast=9)).fast == 9


def test_describe():
    name, doc, parameters = Slower.describe()
    assert (name, doc) == ("Slower", "A subclass with a new default and a parameter of its own.")
    assert [(p.name, p.kind, p.default, p.wanted) for p in parameters] == [
        ("fast", "int", 50, "a whole number from 2 to 200"),
        ("share", "float", 0.5, "a number > 0 and < 1"),
        ("hedge", "bool", False, "true or false"),
        ("side", "str", "long", "one of long, short"),
        ("free", "float", 1.0, "a number ≥ -1"),
        ("extra", "int", 3, "a whole number"),
    ]


def test_chance_is_the_seed_alone():
    one, two = Cross(), Cross(fast=3)
    one.bind(7)
    two.bind(7)
    assert one.rng.random(4).tolist() == two.rng.random(4).tolist() == np.random.default_rng(7).random(4).tolist()
    two.bind(8)
    one.bind(7)
    assert one.rng.random() != two.rng.random()


def test_hooks_are_those_that_are_written():
    class Listening(Cross):
        def on_fill(self, fill, market, account):
            pass

    assert hooks(Cross) == {"on_candle"}
    assert hooks(Listening()) == {"on_candle", "on_fill"}


def _made(**body):
    return type("Odd", (Strategy,), body)()


def _hook(self, *args):
    pass


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "neither on_candle nor targets is written; write one of them"),
        ({"on_candle": _hook, "targets": _hook}, "both on_candle and targets are written; keep one of them"),
        ({"targets": _hook, "on_fill": _hook}, "on_fill is never called with targets; remove it"),
        ({"targets": _hook, "features": _hook}, "features is never called with targets; remove it"),
        ({"on_candle": _hook, "every": "1 hour"}, "every: '1 hour' is not an interval"),
        ({"on_candle": _hook, "lookback": 0}, "lookback = 0; give a whole number of candles from 1"),
        ({"on_candle": _hook, "symbols": "BTC-USD"}, "symbols = 'BTC-USD'; give a tuple of names"),
        ({"on_candle": _hook, "symbols": ("A", "A")}, "symbols = ('A', 'A') names one twice"),
        ({"on_candle": _hook, "__init__": _hook}, "its __init__ does not call super().__init__(**params)"),
    ],
)
def test_what_no_run_could_use_is_refused(body, said):
    with pytest.raises(UserError) as caught:
        check(_made(**body))
    assert "test_strategy_param.py, class Odd" in str(caught.value)
    assert said in str(caught.value)


def test_on_start_and_on_stop_stand_beside_targets():
    check(_made(targets=_hook, on_start=_hook, on_stop=_hook))


def test_a_failure_says_where_and_why_in_one_line():
    class Raising(Cross):
        def on_candle(self, market, account):
            raise ValueError("no such level\nand a long story")

    strategy = Raising()
    line = Raising.on_candle.__code__.co_firstlineno + 1
    with pytest.raises(ValueError, match="no such level") as caught:
        strategy.on_candle(None, None)
    assert str(failed(strategy, "on_candle", caught.value, "2024-01-01 00:00")) == (
        f"test_strategy_param.py:{line}, Raising.on_candle, 2024-01-01 00:00: ValueError: no such level"
    )
    assert cause(KeyError()) == "KeyError"
    assert cause(RunError("said already")) == "said already"
