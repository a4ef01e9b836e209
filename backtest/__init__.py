"""Replays history for leveraged perpetual-futures accounts, in cross and isolated margin.

The public names are here; each is imported from its room when it is first asked for, so that `import backtest`
and `backtest --help` cost nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from backtest import forks

if TYPE_CHECKING:
    from backtest.errors import BacktestError, RunError, UserError
    from backtest.research.calculator import Calculation, margin
    from backtest.research.compare import Comparison, compare
    from backtest.research.demo import demo
    from backtest.research.latency import LatencyCurve, latency
    from backtest.research.run import run
    from backtest.research.subaccounts import Subaccounts, subaccounts
    from backtest.research.verify import Verification, verify
    from backtest.results.result import Result
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
    "BacktestError": "backtest.errors",
    "Calculation": "backtest.research.calculator",
    "Comparison": "backtest.research.compare",
    "LatencyCurve": "backtest.research.latency",
    "Order": "backtest.strategy.order",
    "Param": "backtest.strategy.param",
    "Result": "backtest.results.result",
    "RunError": "backtest.errors",
    "Strategy": "backtest.strategy.base",
    "Subaccounts": "backtest.research.subaccounts",
    "UserError": "backtest.errors",
    "Verification": "backtest.research.verify",
    "compare": "backtest.research.compare",
    "demo": "backtest.research.demo",
    "latency": "backtest.research.latency",
    "margin": "backtest.research.calculator",
    "run": "backtest.research.run",
    "subaccounts": "backtest.research.subaccounts",
    "verify": "backtest.research.verify",
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
