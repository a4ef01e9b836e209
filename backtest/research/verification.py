"""`verify` of every kind of report: those of single commands by the runner, those of many runs here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from backtest.core.errors import UserError
from backtest.research.stress import Stress, stress
from backtest.research.stress_folder import PACK, TABLE, read_about, read_table
from backtest.results.report_files import DOCUMENT, REPORT
from backtest.results.summary import versions
from backtest.runner import verify as of_runs
from backtest.runner.origins import keyword_errors
from backtest.runner.run_document import read
from backtest.runner.settings import find
from backtest.runner.timeout import within
from backtest.runner.validation import value_of
from backtest.runner.verify import WRITERS, Verification
from backtest.strategy.source_location import has_source


@keyword_errors()
def verify(
    folder: str | Path, data: str | Path | None = None, trust: bool = False, timeout: float | None = None
) -> Verification:
    """Play the runs of the report in ``folder`` again, and compare its tables, summaries, page and settings.

    This runs the strategy that the report names, with your rights. One whose source is not of the SHA-256 that the
    report has is not run unless ``trust`` is true. ``data``: where the dataset lies now, if it was moved.
    ``timeout``: seconds that it may take; None: any.

    UserError if the folder is no report, its strategy or data cannot be found, or the strategy is another; RunError
    when the time is over.
    """
    about = read_about(Path(folder))
    if about is None:
        return of_runs.verify(folder, data, trust, timeout)
    return within(value_of(find("timeout"), timeout), lambda: _stressed(Path(folder), about, data, trust))


def _stressed(folder: Path, about: dict[str, Any], data: str | Path | None, trust: bool) -> Verification:
    """A stress, played again."""
    document, before = read(folder / DOCUMENT), read_table(folder)
    strategy = document.strategies[0] if document.strategies else None
    recorded = about.get("strategy", {}).get("source")
    unchanged = strategy is None or (isinstance(recorded, str) and has_source(strategy, recorded))
    if not trust and not unchanged:
        thing = f"the strategy is not the one of the report (SHA-256 {recorded})"
        raise UserError(thing, str(strategy), "read it first: --trust runs it all the same, with your rights")
    settings = {**document.values, "data": str(data) if data is not None else document.values["data"]}
    place = settings.pop("data")
    after = stress(strategy, place, **settings)  # type: ignore[arg-type]
    changed = tuple(_changed(about, after))
    if "data" in changed and data is None:
        raise UserError("the data have changed since", str(place), "name the data of the report with --data")
    same_writer = all(about.get("versions", {}).get(name) == versions()[name] for name in WRITERS)
    unequal = tuple(_unequal(folder, before, after, same_writer))
    return Verification(not unequal, _digests(before), _digests(after.frame), changed, unequal, same_writer)


def _changed(about: dict[str, Any], after: Stress) -> Iterator[str]:
    """Names of what the runs depend on and is not as it was."""
    for name, key in (("data", "fingerprints"), ("strategy", "strategy"), ("venue", "venues")):
        if about.get(key) != after.about.get(key):
            yield name
    was = about.get("versions", {})
    yield from (name for name, version in versions().items() if was.get(name) != version)


def _unequal(folder: Path, before: pl.DataFrame, after: Stress, same_writer: bool) -> Iterator[str]:
    """Files that show something else than what came out now."""
    if not before.equals(after.frame) or before.schema != after.frame.schema:
        yield TABLE
    if (folder / PACK).read_text(encoding="utf-8") != after.pack.text:
        yield PACK
    try:
        page = (folder / REPORT).read_text(encoding="utf-8")
    except OSError:
        yield f"{REPORT} (missing)"
        return
    if same_writer and page != after.page:
        yield REPORT


def _digests(frame: pl.DataFrame) -> str:
    """Digests of the accounts, joined by commas."""
    return ",".join(frame["digest"].drop_nulls())
