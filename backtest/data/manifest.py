"""What `dataset.toml` says about a dataset."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from backtest.core.durations import parse as parse_interval
from backtest.core.enums import MICRO
from backtest.core.errors import UserError, nearest, printable
from backtest.core.times import HOUR_MS

_DATASET_KEYS = ("interval", "quote", "venue", "provenance", "synthetic", "funding_interval", "generator")
_SYMBOL_KEYS = ("step", "tick", "mark_interval")
_LEAST, _MOST = Decimal("1e-12"), Decimal("1e12")
"""Bounds of steps and ticks: what lies beyond is a slip, and numbers with long exponents take forever to write out."""


@dataclass(frozen=True)
class Manifest:
    """`dataset.toml`, checked; every field has a meaning when the file is missing."""

    interval_ms: int | None = None
    quote: str = "USD"
    venue: str = ""
    """Whose rules hold in a run that names no other: a name, an alias or a file beside the manifest; empty: none's."""
    provenance: str = ""
    synthetic: bool = False
    funding_interval_ms: int = 8 * HOUR_MS
    """Where a symbol has fewer than three settlements to tell it from. Eight hours: what most venues have."""
    generator: str = ""
    """What wrote the dataset, so that it may be written anew."""
    steps: dict[str, int] = field(default_factory=dict)
    """Millionths of the base in a lot, per symbol."""
    ticks: dict[str, float] = field(default_factory=dict)
    mark_intervals_ms: dict[str, int] = field(default_factory=dict)
    """Of the symbols whose mark candles do not tell their interval, being few or full of holes."""


def read_manifest(file: Path) -> Manifest:
    """The manifest in ``file``, or the defaults if there is no such file.

    Raises UserError with the line and the reason when it is not TOML or a value makes no sense.
    """
    if not os.path.lexists(file):
        return Manifest()
    if not file.is_file():
        raise UserError("is not a file", str(file), "write a TOML file there, or take it away")
    try:
        text = file.read_text("utf-8")
        data = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidOperation) as error:
        raise UserError(f"not valid TOML: {error}", str(file), "correct that line") from None
    except RecursionError:
        raise UserError("not valid TOML: nested too deeply", str(file), "write plain tables") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", str(file), "make it readable") from None
    return _Reader(file, text).manifest(data)


class _Reader:
    """Turns parsed TOML into a Manifest; knows the text, so that a mistake is named by its line."""

    def __init__(self, file: Path, text: str) -> None:
        self.file, self.lines = file, text.splitlines()

    def manifest(self, data: dict[str, Any]) -> Manifest:
        for key in data:
            if key not in ("dataset", "symbols"):
                raise self.wrong(f"unknown table {key!r}", key, nearest(key, ("dataset", "symbols")))
        dataset = self.table(data.get("dataset", {}), "dataset")
        for key in dataset:
            if key not in _DATASET_KEYS:
                raise self.wrong(f"unknown key {key!r}", key, nearest(key, _DATASET_KEYS))
        words = {key: self.word(dataset, key) for key in ("quote", "venue", "provenance", "generator")}
        synthetic = dataset.get("synthetic", False)
        if not isinstance(synthetic, bool):
            raise self.wrong("synthetic is neither true nor false", "synthetic", "write true or false")
        steps: dict[str, int] = {}
        ticks: dict[str, float] = {}
        marks: dict[str, int] = {}
        for symbol, raw in self.table(data.get("symbols", {}), "symbols").items():
            entry = self.table(raw, symbol)
            for key in entry:
                if key not in _SYMBOL_KEYS:
                    raise self.wrong(f"unknown key {key!r} of {symbol}", key, nearest(key, _SYMBOL_KEYS), symbol)
            if "step" in entry:
                steps[symbol] = self.step(entry["step"], symbol)
            if "tick" in entry:
                ticks[symbol] = float(self.positive(entry["tick"], symbol, "tick"))
            if "mark_interval" in entry:
                marks[symbol] = self.interval(entry, "mark_interval", symbol)
        return Manifest(
            interval_ms=self.interval(dataset, "interval") if "interval" in dataset else None,
            quote=words["quote"] or Manifest.quote,
            venue=words["venue"],
            provenance=words["provenance"],
            synthetic=synthetic,
            funding_interval_ms=(
                self.interval(dataset, "funding_interval") if "funding_interval" in dataset else 8 * HOUR_MS
            ),
            generator=words["generator"],
            steps=steps,
            ticks=ticks,
            mark_intervals_ms=marks,
        )

    def wrong(self, thing: str, key: str, remedy: str, section: str = "") -> UserError:
        """The mistake, placed at the first line that has ``key``, looking from the line that has ``section``."""
        start = next((i for i, line in enumerate(self.lines) if section and section in line), 0)
        pattern = re.compile(rf"^\s*\[?\[?[\"']?{re.escape(key)}\b")
        at = next((i for i in range(start, len(self.lines)) if pattern.match(self.lines[i])), start)
        return UserError(thing, f"{self.file} line {at + 1}", remedy)

    def table(self, value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(f"{key} is not a table", key, f"write it as [{key}]")
        return value

    def word(self, dataset: dict[str, Any], key: str) -> str:
        value = dataset.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(f"{key} is not text", key, "put it in quotes")
        return printable(value)

    def interval(self, table: dict[str, Any], key: str, section: str = "") -> int:
        try:
            return parse_interval(str(table[key]))
        except UserError as error:
            raise self.wrong(f"{key}: {error.thing}", key, error.remedy, section) from None

    def positive(self, value: Any, symbol: str, key: str) -> Decimal:
        number = Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else Decimal(0)
        if not number.is_finite() or number <= 0:
            raise self.wrong(f"{key} of {symbol} is not a number above zero", key, "write it like 0.001", symbol)
        if not _LEAST <= number <= _MOST:
            raise self.wrong(f"{key} of {symbol} is {number:.3g}", key, f"give one from {_LEAST} to {_MOST:f}", symbol)
        return number

    def step(self, value: Any, symbol: str) -> int:
        micro = self.positive(value, symbol, "step") * MICRO
        # A lot must be a whole number of millionths of the base, or quantities would not be exact.
        if micro != micro.to_integral_value() or micro > 2**53:
            raise self.wrong(f"step of {symbol} is not a whole multiple of 0.000001", "step", "round it", symbol)
        return int(micro)
