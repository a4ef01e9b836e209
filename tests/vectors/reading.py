"""The venues' own numbers (docs/reference/venues.md): reading them, and the decimals that they are written in."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

MICRO = 10**6
HERE = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("BACKTEST_VECTORS", HERE.parent / "shared" / "vectors"))
SCENARIOS = {"l2_outages", "stress_scenarios"}
"""Dated scenario data, not expectations."""


@dataclass(frozen=True)
class Vector:
    venue: str
    number: int
    case: str
    inputs: dict[str, Any]
    expected: dict[str, Any]
    note: str
    status: str

    @property
    def assertable(self) -> bool:
        return self.status == "verified in source" or self.status.startswith("derived")

    @property
    def id(self) -> str:
        return f"{self.venue}[{self.number}] {self.case}"


def read(folder: Path = FOLDER) -> list[Vector]:
    out = []
    for file in sorted(folder.glob("*.json")):
        if file.stem in SCENARIOS:
            continue
        for number, entry in enumerate(json.loads(file.read_text(encoding="utf-8"))):
            fields = {key: entry[key] for key in ("case", "inputs", "expected", "note", "status")}
            out.append(Vector(file.stem, number, **fields))
    return out


def exact(text: str | float) -> Fraction:
    return Fraction(str(text))


def micro(text: str | float) -> Fraction:
    """Micro-units; a fraction of one where the vector is finer."""
    return exact(text) * MICRO


def whole(amount: str | float) -> int:
    """Micro-units on the grid: the vector may not be finer."""
    out = micro(amount)
    assert out.denominator == 1, f"{amount} is finer than the grid"
    return int(out)


def ppm(text: str | float) -> int:
    return whole(text)


def printed(got: float | Fraction, want: str | float) -> None:
    """Equal to the digits that the vector prints: within half a unit of its last one."""
    text = str(want)
    mantissa, _, power = text.lower().partition("e")
    digits = len(mantissa.partition(".")[2]) - int(power or 0)
    assert abs(Fraction(got) - exact(text)) <= Fraction(1, 2) / Fraction(10) ** digits, (float(got), text)


def close(got: float | Fraction | None, want: str | float, relative: float = 1e-8) -> None:
    """Within a relative tolerance: mechanics 8.1 states 1e-8 for the venues that are not exact."""
    assert got is not None, f"nothing, wanted {want}"
    wanted = float(want)
    assert abs(float(got) - wanted) <= relative * abs(wanted) + 1e-15, (float(got), wanted)


def cut(got: float | Fraction, want: str) -> None:
    """Within 1e-8 relative, or one unit of the last of many printed digits: a source may cut them off (6.7666666)."""
    digits = len(want.partition(".")[2])
    unit = Fraction(1, 10**digits) if digits > 5 else Fraction(0)
    assert abs(Fraction(got) - exact(want)) <= max(unit, exact(want) / 10**8), (float(got), want)
