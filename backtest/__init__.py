"""Replays history for leveraged perpetual-futures accounts, in cross and isolated margin.

The public names are here; each is imported from its room when it is first asked for, so that `import backtest`
and `backtest --help` cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from backtest.core import forks

if TYPE_CHECKING:
    from backtest.calculator.calculation import Calculation, margin
    from backtest.core.errors import BacktestError, RunError, UserError
    from backtest.results.result import Result
    from backtest.runner.compare import Comparison, compare
    from backtest.runner.demo import demo
    from backtest.runner.latency_curve import LatencyCurve, latency
    from backtest.runner.run import run
    from backtest.runner.sub_accounts import Subaccounts, subaccounts
    from backtest.runner.verify import Verification, verify
    from backtest.strategy.base import Strategy
    from backtest.strategy.order import Order
    from backtest.strategy.param import Param

    __version__: str

__all__ = [
    "BacktestError",
    "Calculation",
    "Comparison",
    "LatencyCurve",
    "Order",
    "Param",
    "Result",
    "RunError",
    "Strategy",
    "Subaccounts",
    "UserError",
    "Verification",
    "compare",
    "demo",
    "latency",
    "margin",
    "run",
    "subaccounts",
    "verify",
]

_HOME = {
    "BacktestError": "backtest.core.errors",
    "Calculation": "backtest.calculator.calculation",
    "Comparison": "backtest.runner.compare",
    "LatencyCurve": "backtest.runner.latency_curve",
    "Order": "backtest.strategy.order",
    "Param": "backtest.strategy.param",
    "Result": "backtest.results.result",
    "RunError": "backtest.core.errors",
    "Strategy": "backtest.strategy.base",
    "Subaccounts": "backtest.runner.sub_accounts",
    "UserError": "backtest.core.errors",
    "Verification": "backtest.runner.verify",
    "compare": "backtest.runner.compare",
    "demo": "backtest.runner.demo",
    "latency": "backtest.runner.latency_curve",
    "margin": "backtest.calculator.calculation",
    "run": "backtest.runner.run",
    "subaccounts": "backtest.runner.sub_accounts",
    "verify": "backtest.runner.verify",
}
"""Where each public name is made; the same as above, for Python instead of the type checker."""

forks.watch()


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("perp-backtest")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
