"""Every number of the venues' own tests and documents, through the public parts of `backtest.venues`.

Where a venue is exact so is the comparison; elsewhere it is to the digits that the vector prints, or to the tolerance
that its note states. An assertable vector of a kind that nothing here knows fails.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import pytest

from backtest.core.errors import BacktestError
from tests.vectors import reading as vectors
from tests.vectors import vectors_by_bracket, vectors_by_size, vectors_exact
from tests.vectors.reading import Vector
from tests.vectors.vector_kinds import KNOWN, OUT_OF_SCOPE, Check, kind_of

KINDS = (vectors_exact, vectors_by_size, vectors_by_bracket)
"""Importing them makes their kinds known."""


ALL = vectors.read() if vectors.FOLDER.is_dir() else []
TRIED = [v for v in ALL if v.assertable and kind_of(v) in KNOWN]
without = pytest.mark.skipif(not ALL, reason="no vectors: set BACKTEST_VECTORS to their folder")


@without
@pytest.mark.parametrize("vector", TRIED, ids=lambda v: v.id)
def test_vector(vector: Vector) -> None:
    name = kind_of(vector)
    assert name is not None
    read = Read(vector.expected)
    KNOWN[name](replace(vector, expected=read))
    assert not set(vector.expected) - read.asked - DATASETS, "expected of the venue, and not looked at"


DATASETS = {"step", "tick"}
"""Belong to a dataset (`dataset.toml`), not to a venue's profile."""


class Read(dict[str, Any]):
    """Remembers which of its keys were asked for."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def items(self) -> Any:
        self.asked.update(self)
        return super().items()

    def values(self) -> Any:
        self.asked.update(self)
        return super().values()


def _agrees(vector: Vector, check: Check) -> bool:
    try:
        check(vector)
    except (AssertionError, BacktestError):
        return False
    return True


@without
def test_every_vector_is_asserted_or_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = [v.id for v in ALL if v.assertable and kind_of(v) is None]
    assert not unknown, f"no rule for {unknown}"
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for vector in ALL:
        name = kind_of(vector) or (vector.venue, vector.case[:32])
        if name in OUT_OF_SCOPE:
            counts[name]["out of scope"] += 1
            continue
        good = name in KNOWN and _agrees(vector, KNOWN[name])
        if vector.assertable:
            counts[name]["pass" if good else "FAIL"] += 1
        else:
            counts[name]["prior agrees" if good else "prior differs"] += 1
    columns = ("pass", "FAIL", "prior agrees", "prior differs", "out of scope")
    total = sum(counts.values(), Counter())
    with capsys.disabled():
        sys.stdout.write(f"\n{_table(counts, columns, total)}\n")
    assert total["FAIL"] == 0
    assert total["pass"] == len(TRIED) > 0
    assert sum(total.values()) == len(ALL)


def _table(counts: dict[tuple[str, str], Counter[str]], columns: tuple[str, ...], total: Counter[str]) -> str:
    lines = [f"{'venue':<20}{'kind':<34}" + "".join(f"{c:>14}" for c in columns)]
    for (venue, name), row in sorted(counts.items()):
        reason = "  " + OUT_OF_SCOPE[venue, name] if (venue, name) in OUT_OF_SCOPE else ""
        lines.append(f"{venue:<20}{name:<34}" + "".join(f"{row[c] or '':>14}" for c in columns) + reason)
    lines.append(f"{'':<20}{'in all':<34}" + "".join(f"{total[c]:>14}" for c in columns))
    lines.append(
        "(priors: memory or press, computed and not asserted; outages and stress scenarios are not expectations)"
    )
    return "\n".join(lines)
