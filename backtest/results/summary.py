"""`summary.json` of a run: what was asked, of which data, by which versions, and what came out."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import numpy as np

from backtest.core.enums import SCHEMA_VERSION
from backtest.core.errors import Broken
from backtest.results.summary_types import RunSummary

RUN, COMPARISON, SUB_ACCOUNTS, LATENCY = "run", "comparison", "sub-accounts", "latency"
SHARED_MARGIN = "shared-margin"
DISTRIBUTION = "perp-backtest"
LIBRARIES = ("numpy", "numba", "polars", "duckdb", "pyarrow", "plotly")


def build(
    *,
    label: str,
    strategy: Mapping[str, Any],
    config: Mapping[str, Any],
    data: Mapping[str, Any],
    seed: int,
    metrics: Mapping[str, Any],
    counts: Mapping[str, int],
    digest: str,
    notes: Sequence[str],
    warnings: Sequence[str] = (),
    chain: Mapping[str, Any] | None = None,
    lowest: Sequence[float] = (),
    opening: Mapping[str, Any] | None = None,
) -> RunSummary:
    """The summary of one run, in plain values.

    ``strategy``: name, params, source (SHA-256), doc. ``config``: the settings that were in force. ``data``: name,
    symbols, interval, from, to, rows, synthetic, provenance, marks, fingerprint. ``counts``: what was skipped, assumed
    or filled in. ``notes``: sentences about what was assumed. ``warnings``: clauses that stand above the results, like
    ``no slippage charged``. ``chain``: what the chain did (`results.chain_summary`), ``opening``: the account at the
    first instant where it begins with positions; absent without one.
    ``lowest``: as `Record.lowest`; its times are kept where it is known. The
    caller leaves out paths of the machine and clock times, so that the same run has the same summary everywhere.
    """
    summary = {
        "kind": RUN,
        "schema_version": SCHEMA_VERSION,
        "label": label,
        "strategy": strategy,
        "config": config,
        "data": data,
        "versions": versions(),
        "seed": seed,
        "metrics": metrics,
        "counts": counts,
        "digest": digest,
        "notes": notes,
        "warnings": warnings,
        **({} if chain is None else {"chain": chain}),
        **({"lowest": _moments(lowest)} if lowest else {}),
        **({} if opening is None else {"opening": opening}),
    }
    return cast("RunSummary", {name: plain(value) for name, value in summary.items()})


def _moments(lowest: Sequence[float]) -> dict[str, int | None]:
    """When the deepest drawdown and the smallest distance inside candles were, in ms; None: nothing was held."""
    _, drawdown_ms, _, distance_ms = (int(value) if math.isfinite(value) else -1 for value in lowest)
    return {
        "drawdown_ms": drawdown_ms if drawdown_ms >= 0 else None,
        "distance_ms": distance_ms if distance_ms >= 0 else None,
    }


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the libraries that numbers and the page go through."""
    return dict(_versions())


@cache  # they are read from files, and every run of a sweep asks for them
def _versions() -> tuple[tuple[str, str], ...]:
    try:
        own = version(DISTRIBUTION)
    except PackageNotFoundError:
        own = "not installed"
    return ("backtest", own), ("python", platform.python_version()), *((name, version(name)) for name in LIBRARIES)


def plain(value: Any) -> Any:
    """``value`` as JSON knows it: NumPy scalars as Python's, tuples as lists, what is not finite as None."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if value is not None and not isinstance(value, (str, int, bool)):
        raise Broken(f"not a value for a summary: {value!r}")
    return value
