"""What decides in a run: a strategy, or the positions of a file in its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from backtest.core import durations
from backtest.core.errors import UserError
from backtest.strategy import base, loader
from backtest.strategy.held_positions import HELD, HeldPositions, RebalancedPositions
from backtest.strategy.loader import StrategySource

if TYPE_CHECKING:
    from backtest.core.held_book import HeldBook
    from backtest.runner.settings import RunSettings

FLAG = "--positions"


def strategy_of(strategy: StrategySource | None, asked: RunSettings) -> base.Strategy:
    """Return the strategy of a run, made with its parameters; UserError where it is missing, or one too many."""
    cls = chosen(strategy, asked)
    if not isinstance(cls, type) or not issubclass(cls, HeldPositions | RebalancedPositions):
        made = cls if isinstance(cls, base.Strategy) else loader.load(cls, asked.params)
        base.check(made)
        return made
    held = _held(asked)
    made = cls(**_no_parameters(asked.params))
    made.symbols = held.symbols
    if asked.rebalance is not None:
        made.every = durations.text(asked.rebalance)
    base.check(made)
    return made


def chosen(strategy: StrategySource | None, asked: RunSettings) -> StrategySource:
    """Return what is to be loaded: the strategy that was given, or the class that holds positions."""
    if asked.positions is None:
        if asked.rebalance is not None:
            raise UserError("there are no positions to rebalance", "--rebalance", f"give them with {FLAG}")
        if strategy is None:
            raise UserError("no strategy is given", "strategy", f"name one, or give positions with {FLAG}")
        return strategy
    if strategy is not None:
        raise UserError("a strategy and positions are given", FLAG, "leave one of them out")
    return HeldPositions if asked.rebalance is None else RebalancedPositions


def spec_of(strategy: StrategySource | None, loaded: base.Strategy) -> str:
    """Return what a report calls the strategy."""
    if strategy is None:
        return HELD
    named = isinstance(strategy, Path | str)
    return str(strategy) if named else f"{type(loaded).__module__}:{type(loaded).__qualname__}"


def _held(asked: RunSettings) -> HeldBook:
    if asked.positions is None:
        raise UserError("no positions are given", FLAG)
    return asked.positions


def _no_parameters(params: Mapping[str, object]) -> dict[str, str]:
    if params:
        raise UserError(f"positions have no parameter {next(iter(params))!r}", "-p", "leave it out")
    return {}
