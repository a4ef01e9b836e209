"""The combinations that a sweep runs: all of its axes' values, or samples of them, less what a constraint excludes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.errors import SettingError, UserError, nearest
from backtest.results.metric_definitions import METRICS
from backtest.runner.axis import PARAM, Axis, Shown

MOST_RUNS = 10_000_000
BATCHES = 200
"""Batches of samples that are drawn to find as many as asked that the constraint allows."""
OWN_COLUMNS = ("run", "digest", "error", *METRICS)
"""Columns of the table that no axis may have the name of."""
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)
"""Bases of the Halton sequence, one an axis."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    run: int
    """Its number, from 0, in the order of the grid."""
    params: dict[str, object]
    settings: dict[str, object]


@dataclass(frozen=True)
class Grid:
    """The runs of a sweep, in the order of their numbers."""

    axes: tuple[Axis, ...]
    frame: pl.DataFrame
    """A row per run, a column per axis, with the values as they are shown."""
    codes: tuple[NDArray[np.int64] | None, ...]
    """For each axis the number of each run's value; None: the value is the one that is shown."""

    def __len__(self) -> int:
        return self.frame.height

    def job(self, run: int) -> Job:
        """The run of a number."""
        params: dict[str, object] = {}
        settings: dict[str, object] = {}
        for axis, codes, column in zip(self.axes, self.codes, self.frame.iter_columns(), strict=True):
            value = column[run] if codes is None else axis.values[int(codes[run])]
            (params if axis.of == PARAM else settings)[axis.name] = value
        return Job(run, params, settings)


def columns_of(axes: Sequence[Axis]) -> tuple[str, ...]:
    """The column of each axis: its name, with what it is of in front where another column has that name."""
    names = [axis.name for axis in axes]
    return tuple(
        f"{axis.of}.{axis.name}" if names.count(axis.name) > 1 or axis.name in OWN_COLUMNS else axis.name
        for axis in axes
    )


def all_of(axes: Sequence[Axis], where: str | None) -> Grid:
    """Every combination, the last axis changing fastest; UserError where there are none, or too many."""
    for axis in axes:
        if axis.open:
            ends = f"{axis.low:g}:{axis.high:g}"
            remedy = f"add a step ({axis.name}={ends}:STEP), or draw from it with --samples"
            raise SettingError(f"{axis.name}={ends} has no step", "-p" if axis.of == PARAM else "--vary", remedy)
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST_RUNS:
        raise UserError(f"{count:,} combinations", "the grid", f"give {MOST_RUNS:,} at most, or draw with --samples")
    shape = [len(axis.values) for axis in axes]
    codes = [np.ascontiguousarray(part.ravel()) for part in np.indices(shape)] if axes else []
    frame = pl.DataFrame(
        [_column(name, axis.shown).gather(code) for name, axis, code in zip(columns_of(axes), axes, codes, strict=True)]
    )
    kept = allowed(frame, where)
    if not kept.any():
        raise _none_left(where)
    return Grid(tuple(axes), frame.filter(kept), tuple(code[kept.to_numpy()] for code in codes))


def sampled(axes: Sequence[Axis], where: str | None, count: int, sampler: str, seed: int) -> Grid:
    """``count`` different combinations that the constraint allows, or as many as can be found; UserError for none."""
    if len(axes) > len(PRIMES):
        raise UserError(f"{len(axes)} things vary", "--samples", f"vary {len(PRIMES)} at most")
    draw = _Draw(len(axes), sampler, seed)
    kept: pl.DataFrame | None = None
    for _ in range(BATCHES):
        shares = draw.next(count)
        drawn = pl.DataFrame([_drawn(n, axis, shares[:, i]) for i, (n, axis) in enumerate(_named(axes))])
        found = drawn.filter(allowed(drawn, where))
        kept = pl.concat([found] if kept is None else [kept, found]).unique(maintain_order=True, keep="first")
        if kept.height >= count or (not found.height and not kept.height and _ > BATCHES // 4):
            break
    if kept is None or not kept.height:
        raise _none_left(where)
    frame = kept.head(count)
    codes = tuple(None if axis.open else _codes(axis, frame[name]) for name, axis in _named(axes))
    return Grid(tuple(axes), frame, codes)


class _Draw:
    """Points of the unit cube, batch after batch."""

    def __init__(self, axes: int, sampler: str, seed: int) -> None:
        self._axes, self._random, self._done = axes, sampler == "random", 0
        self._rng = np.random.default_rng(seed)
        self._shift = self._rng.random(axes)

    def next(self, count: int) -> NDArray[np.float64]:
        """The next so many points: [point, axis], each from 0 to below 1."""
        if self._random:
            return self._rng.random((count, self._axes))
        index = np.arange(self._done + 1, self._done + count + 1)
        self._done += count
        points = np.column_stack([_radical_inverse(index, base) for base in PRIMES[: self._axes]])
        # The shift by the seed (Cranley and Patterson 1976) keeps the spacing of the sequence (Halton 1960).
        return np.asarray((points + self._shift) % 1.0)


def _radical_inverse(index: NDArray[np.int64], base: int) -> NDArray[np.float64]:
    """The digits of each number in a base, mirrored behind the point."""
    left, made, scale = index.copy(), np.zeros(len(index)), 1.0 / base
    while left.any():
        made += scale * (left % base)
        left //= base
        scale /= base
    return made


def _named(axes: Sequence[Axis]) -> list[tuple[str, Axis]]:
    return list(zip(columns_of(axes), axes, strict=True))


def _drawn(name: str, axis: Axis, shares: NDArray[np.float64]) -> pl.Series:
    if axis.open:
        return pl.Series(name, [axis.at(float(share)) for share in shares], pl.Int64 if axis.whole else pl.Float64)
    codes = np.minimum((shares * len(axis.values)).astype(np.int64), len(axis.values) - 1)
    return _column(name, axis.shown).gather(codes)


def _codes(axis: Axis, column: pl.Series) -> NDArray[np.int64]:
    place = {value: n for n, value in enumerate(_column("", axis.shown).to_list())}
    return np.array([place[value] for value in column], np.int64)


def _column(name: str, values: Sequence[Shown]) -> pl.Series:
    """The values as a column: whole numbers, numbers, truth values, or else text."""
    kinds = {type(value) for value in values}
    if kinds <= {int}:
        return pl.Series(name, values, pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(name, values, pl.Float64, strict=False)
    if kinds == {bool}:
        return pl.Series(name, values, pl.Boolean)
    return pl.Series(name, [str(value) for value in values], pl.String)


def allowed(frame: pl.DataFrame, where: str | None) -> pl.Series:
    """Which rows the constraint allows; SettingError for one that is not a condition over the columns."""
    if where is None:
        return pl.repeat(True, frame.height, eager=True)
    try:
        # An SQL expression can only compute on the columns: it opens no file and calls no Python.
        expression = pl.sql_expr(where)
        names = expression.meta.root_names()
        for name in names:
            if name not in frame.columns:
                raise SettingError(f"unknown name {name!r}", "--where", nearest(name, frame.columns))
        found = frame.select(expression.alias("kept")).to_series()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise SettingError(f"{where!r} is not a condition ({said})", "--where", 'write it like "fast < slow"') from None
    if found.dtype != pl.Boolean:
        thing = f"{where!r} gives {found.dtype}, not true or false"
        raise SettingError(thing, "--where", 'write it like "fast < slow"')
    whole = found.fill_null(False)
    return whole if whole.len() == frame.height else pl.repeat(bool(whole[0]), frame.height, eager=True)


def _none_left(where: str | None) -> SettingError:
    return SettingError(f"{where!r} excludes every combination", "--where", "allow at least one")
