"""Bugs, planted on purpose: that a campaign finds nothing says something only if it finds these."""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pydantic

from tests.campaign import audit, faults, fuzz
from tests.campaign.figures import Figures
from tests.campaign.fork import fork

Bug = Callable[[], AbstractContextManager[Any]]
MOST = {"fuzz": 900, "faults": 90, "audit": 40}
"""Draws in which it must be."""
PARTS = {"fuzz": fuzz.run, "faults": faults.run, "audit": audit.run}


def accepts_unknown_keys() -> AbstractContextManager[Any]:
    from backtest.data import manifest

    class Loose(manifest.Manifest):
        """Reads `[dataset]` without the key that the campaign adds."""

        @pydantic.model_validator(mode="before")
        @classmethod
        def _without(cls, table: Any) -> Any:
            head = table.get("dataset")
            kept = {key: one for key, one in head.items() if key != "no_such_key"} if isinstance(head, dict) else head
            return {**table, "dataset": kept} if "dataset" in table else table

    return patch.object(manifest, "Manifest", Loose)


def takes_infinity_for_a_number() -> AbstractContextManager[Any]:
    from backtest.calculator import book

    checked = book.checked

    def loose(kind: Any, file: Any, table: Any) -> Any:
        return checked(kind, file, finite(table))

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: finite(one) for key, one in value.items()}
        if isinstance(value, list):
            return [finite(one) for one in value]
        return 1.0 if isinstance(value, float) and not math.isfinite(value) else value

    return patch.object(book, "checked", loose)


def plays_a_candle_twice() -> AbstractContextManager[Any]:
    from backtest.data.stream import Stream

    return patch.object(Stream, "_check_times", lambda self, t, steps: None)


def casts_to_the_first_file() -> AbstractContextManager[Any]:
    from backtest.data import source

    return patch.object(source, "table_of", lambda files: source._parquet(files))


def ends_in_a_traceback() -> AbstractContextManager[Any]:
    """A bad number of a venue file is no line."""
    from backtest.venues import profile

    def made(plain: Any) -> Any:
        def checked(root: Any) -> Any:
            try:
                return plain(root)
            except Exception as error:
                raise KeyError(str(error)) from error

        return checked

    return patch.object(profile, "_checked", made(profile._checked))


def fills_the_report_where_it_lies() -> AbstractContextManager[Any]:
    from backtest.core import disk

    @contextmanager
    def in_place(target: Path) -> Iterator[Path]:
        for file in target.rglob("*") if target.exists() else ():
            if file.is_file():
                file.unlink()
        target.mkdir(parents=True, exist_ok=True)
        yield target

    return patch.object(disk, "whole_folder", in_place)


def leaves_drafts() -> AbstractContextManager[Any]:
    from backtest.core import disk

    return patch.object(disk, "_remove", lambda path: None)


def _table(name: str, column: pl.Expr) -> AbstractContextManager[Any]:
    """A column of a table of every report is another; the digest is of what it is then."""
    from backtest.results import tables

    plain = tables.tables

    def changed(*arguments: Any, **named: Any) -> dict[str, pl.DataFrame]:
        frames = plain(*arguments, **named)
        return frames | {name: frames[name].with_columns(column)}

    return patch.object(tables, "tables", changed)


def a_fee_too_much_by_a_millionth() -> AbstractContextManager[Any]:
    return _table("fills", pl.col("fee") + 1e-6)


def funding_with_the_other_sign() -> AbstractContextManager[Any]:
    return _table("funding", -pl.col("payment"))


def a_profit_of_nobody() -> AbstractContextManager[Any]:
    return _table("trades", pl.col("realized") + 0.01)


def a_price_that_was_not_there() -> AbstractContextManager[Any]:
    """The engine charges a purchase more than its price, and its books agree with it."""
    from backtest.engine import fill

    plain = fill.trade

    def dearer(w: Any, k: int, ts: int, i: int, order: int, lots: int, quote: int, fee: int) -> int:
        return int(plain(w, k, ts, i, order, lots, quote - abs(quote) // 20, fee))

    return patch.object(fill, "trade", dearer)


def other_bytes_each_time() -> AbstractContextManager[Any]:
    from backtest.results import summary

    plain, number = summary.build, itertools.count()

    def counted(**named: Any) -> Any:
        return plain(**named) | {"number": next(number)}

    return patch.object(summary, "build", counted)


PLANTED: tuple[tuple[str, Bug], ...] = (
    ("fuzz", accepts_unknown_keys),
    ("fuzz", takes_infinity_for_a_number),
    ("fuzz", plays_a_candle_twice),
    ("fuzz", casts_to_the_first_file),
    ("fuzz", ends_in_a_traceback),
    ("faults", fills_the_report_where_it_lies),
    ("faults", leaves_drafts),
    ("audit", a_fee_too_much_by_a_millionth),
    ("audit", funding_with_the_other_sign),
    ("audit", a_profit_of_nobody),
    ("audit", a_price_that_was_not_there),
    ("audit", other_bytes_each_time),
)
"""The part that must find it, and the bug."""


def run(folder: Path, seed: int, count: int) -> Figures:
    """Plant ``count`` bugs, one after another, from that of number ``seed`` on, each in a process of its own."""
    begun, figures, found = time.monotonic(), Figures(), 0
    chosen = PLANTED[seed : seed + count]
    for number, (part, bug) in enumerate(chosen, seed):
        place = folder / bug.__name__
        gone = fork(lambda part=part, bug=bug, place=place: found_after(part, bug, place), patience_s=900)
        name = bug.__name__.replace("_", " ")
        print(f"{name}: {gone.given or 'not found'}", flush=True)
        figures.row(f"  planted: {name}", f"found by {part}, draw {gone.given}" if gone.given else "NOT FOUND")
        found += bool(gone.given)
        if not gone.given:
            figures.fail("planted", number, f"planted and not found: {name}")
    figures.row("planted bugs found", f"{found} of {len(chosen)}")
    figures.row("  seconds", round(time.monotonic() - begun))
    return figures


class Found(BaseException):
    """A part has noticed the bug."""


def found_after(part: str, bug: Bug, folder: Path) -> int:
    """The number of the draw by which a part finds a bug; 0: it does not."""

    def found(figures: Figures, part: str, seed: int, why: str, more: str = "") -> None:
        raise Found(seed)

    folder.mkdir()
    os.chdir(folder)
    with bug(), patch.object(Figures, "fail", found):
        try:
            PARTS[part](folder, 0, MOST[part])
        except Found as one:
            return int(one.args[0]) + 1
    return 0
