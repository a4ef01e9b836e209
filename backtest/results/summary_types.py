"""Types of a summary: what a result says about its run, as `summary.json` holds it."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict, cast

from backtest.core.json_types import JsonValue
from backtest.results.metric_definitions import Metrics


class StrategySummary(TypedDict):
    """The strategy of a run."""

    name: str
    doc: str
    """First line of its docstring."""
    params: dict[str, int | float | bool | str]
    source: str | None
    """SHA-256 of its file; None where there is no file."""
    every_ms: int | None
    """How often it decides; None: on each candle."""
    guards: NotRequired[list[str]]
    """The guards that its class declares."""
    never_known: NotRequired[list[str]]
    """Features that never had a value."""


class DataSummary(TypedDict):
    """The data of a run. Times in ms since 1970 UTC."""

    name: str
    symbols: list[str]
    interval_ms: int
    joined_from_ms: int | None
    """Interval of the candles that were joined into longer ones; None: none were."""
    drill_ms: int | None
    from_ms: int
    to_ms: int
    rows: int
    quote: str
    synthetic: bool
    provenance: str
    marks: dict[str, str]
    """By symbol where its mark prices come from."""
    stretched_marks: list[dict[str, JsonValue]]
    fingerprint: str
    """SHA-256 of the rows that were read."""


class LookAhead(TypedDict):
    """What the look-ahead check of a run found."""

    passed: bool | None
    """None: nothing could be compared."""
    cut_ms: int | None
    """Where the data ended in the replay that was compared; None: there was none."""
    found: list[str]
    """The first earlier values that later data had changed."""
    reason: str
    """Why nothing could be compared; empty where something was."""


class RunSummary(TypedDict):
    """What one run was asked, on which data, by which versions, and what came out."""

    kind: str
    schema_version: int
    label: str
    strategy: StrategySummary
    config: dict[str, JsonValue]
    """The settings in force."""
    data: DataSummary
    versions: dict[str, str]
    seed: int
    metrics: Metrics
    counts: dict[str, int]
    """What was skipped, assumed or filled in, by name."""
    digest: str
    """SHA-256 over the tables."""
    notes: list[str]
    warnings: list[str]
    chain: NotRequired[dict[str, JsonValue]]
    """What the chain did; absent without one."""
    lowest: NotRequired[dict[str, JsonValue]]
    """When the deepest drawdown and the smallest distance to liquidation inside candles were; absent: not known."""
    opening: NotRequired[dict[str, JsonValue]]
    """The account at the first instant, where it begins with positions."""
    mark_cost: NotRequired[dict[str, JsonValue]]
    """What the venue mark price cost; absent where it is the market's."""
    look_ahead: NotRequired[LookAhead]
    """What the look-ahead check found; absent with --no-check."""
    delays_ms: NotRequired[list[int]]
    """The delays of a latency curve."""
    sub_account: NotRequired[dict[str, JsonValue]]
    shared_margin: NotRequired[dict[str, JsonValue]]
    """The strategies that share the account, and what netting between them saves."""


class ComparisonSummary(TypedDict):
    """The summaries of several runs, and what belongs to all of them."""

    kind: str
    runs: dict[str, RunSummary]
    """By label."""
    left_out: NotRequired[dict[str, str]]
    """By margin mode why it was not replayed."""
    varied: NotRequired[dict[str, dict[str, JsonValue]]]
    """By label what an account has of each setting that varies."""
    partings: NotRequired[list[dict[str, JsonValue]]]
    """Where each account first differs from the first one."""
    curve: NotRequired[list[dict[str, JsonValue]]]
    """The rows of a latency curve."""
    combined: NotRequired[Metrics]
    """The metrics of all sub-accounts together."""


def untyped(summary: RunSummary) -> dict[str, Any]:
    """Return the same object as a plain dict, to read parts whose keys depend on the run."""
    return cast("dict[str, Any]", summary)
