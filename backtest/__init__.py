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
    from backtest.data.fetch.coverage import Unserved
    from backtest.data.fetch.fetching import Fetched, fetch_data, update_data
    from backtest.report.heatmap import Heatmap
    from backtest.research.look_ahead import Check, Finding, check
    from backtest.research.montecarlo import montecarlo
    from backtest.research.montecarlo_result import MonteCarlo
    from backtest.research.stress import Stress, stress
    from backtest.research.sweep import Sweep, SweepProgress, sweep
    from backtest.research.verification import verify
    from backtest.results.lazy_tables import Tables
    from backtest.results.metric_definitions import Metrics
    from backtest.results.result import Result
    from backtest.results.summary_types import ComparisonSummary, RunSummary
    from backtest.runner.compare import Comparison, compare
    from backtest.runner.demo import demo
    from backtest.runner.latency_curve import LatencyCurve, latency
    from backtest.runner.run import run
    from backtest.runner.settings import RunSettings
    from backtest.runner.shared_margin import SharedMargin, shared_margin
    from backtest.runner.sub_accounts import Subaccounts, subaccounts
    from backtest.runner.verify import Verification
    from backtest.strategy.account import Account
    from backtest.strategy.base import Strategy
    from backtest.strategy.candle import Candle
    from backtest.strategy.events import Fill, FundingPayment, Liquidation, MarginCall, OrderEvent, Transfer
    from backtest.strategy.holdings import OpenOrder
    from backtest.strategy.market import Market
    from backtest.strategy.order import Order
    from backtest.strategy.param import Param, ParamValue
    from backtest.strategy.position import Position
    from backtest.strategy.routes import Transit

    __version__: str

__all__ = [
    "Account",
    "BacktestError",
    "Calculation",
    "Candle",
    "Check",
    "Comparison",
    "ComparisonSummary",
    "Fetched",
    "Fill",
    "Finding",
    "FundingPayment",
    "Heatmap",
    "LatencyCurve",
    "Liquidation",
    "MarginCall",
    "Market",
    "Metrics",
    "MonteCarlo",
    "OpenOrder",
    "Order",
    "OrderEvent",
    "Param",
    "ParamValue",
    "Position",
    "Result",
    "RunError",
    "RunSettings",
    "RunSummary",
    "SharedMargin",
    "Strategy",
    "Stress",
    "Subaccounts",
    "Sweep",
    "SweepProgress",
    "Tables",
    "Transfer",
    "Transit",
    "Unserved",
    "UserError",
    "Verification",
    "check",
    "compare",
    "demo",
    "fetch_data",
    "latency",
    "margin",
    "montecarlo",
    "run",
    "shared_margin",
    "stress",
    "subaccounts",
    "sweep",
    "update_data",
    "verify",
]

_HOME = {
    "Account": "backtest.strategy.account",
    "BacktestError": "backtest.core.errors",
    "Calculation": "backtest.calculator.calculation",
    "Candle": "backtest.strategy.candle",
    "Check": "backtest.research.look_ahead",
    "Comparison": "backtest.runner.compare",
    "ComparisonSummary": "backtest.results.summary_types",
    "Fetched": "backtest.data.fetch.fetching",
    "Fill": "backtest.strategy.events",
    "Finding": "backtest.research.look_ahead",
    "FundingPayment": "backtest.strategy.events",
    "Heatmap": "backtest.report.heatmap",
    "LatencyCurve": "backtest.runner.latency_curve",
    "Liquidation": "backtest.strategy.events",
    "MarginCall": "backtest.strategy.events",
    "Market": "backtest.strategy.market",
    "Metrics": "backtest.results.metric_definitions",
    "MonteCarlo": "backtest.research.montecarlo_result",
    "OpenOrder": "backtest.strategy.holdings",
    "Order": "backtest.strategy.order",
    "OrderEvent": "backtest.strategy.events",
    "Param": "backtest.strategy.param",
    "ParamValue": "backtest.strategy.param",
    "Position": "backtest.strategy.position",
    "Result": "backtest.results.result",
    "RunError": "backtest.core.errors",
    "RunSettings": "backtest.runner.settings",
    "RunSummary": "backtest.results.summary_types",
    "SharedMargin": "backtest.runner.shared_margin",
    "Strategy": "backtest.strategy.base",
    "Stress": "backtest.research.stress",
    "Subaccounts": "backtest.runner.sub_accounts",
    "Sweep": "backtest.research.sweep",
    "SweepProgress": "backtest.research.sweep",
    "Tables": "backtest.results.lazy_tables",
    "Transfer": "backtest.strategy.events",
    "Transit": "backtest.strategy.routes",
    "Unserved": "backtest.data.fetch.coverage",
    "UserError": "backtest.core.errors",
    "Verification": "backtest.runner.verify",
    "check": "backtest.research.look_ahead",
    "compare": "backtest.runner.compare",
    "demo": "backtest.runner.demo",
    "fetch_data": "backtest.data.fetch.fetching",
    "latency": "backtest.runner.latency_curve",
    "margin": "backtest.calculator.calculation",
    "montecarlo": "backtest.research.montecarlo",
    "run": "backtest.runner.run",
    "shared_margin": "backtest.runner.shared_margin",
    "stress": "backtest.research.stress",
    "subaccounts": "backtest.runner.sub_accounts",
    "sweep": "backtest.research.sweep",
    "update_data": "backtest.data.fetch.fetching",
    "verify": "backtest.research.verification",
}
"""Where each public name is made; the same as above, for Python instead of the type checker."""

forks.watch()


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("perp-backtest")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    from backtest.core.errors import closest

    near = closest(name, __all__)
    hint = f" (did you mean {near!r}?)" if near else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
