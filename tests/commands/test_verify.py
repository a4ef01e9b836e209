"""`verify` compares everything that a report shows, and runs no strategy but the one that made it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import backtest
from tests import small_market as small
from tests.small_market import Ended, one_line

MADE = {
    "run": "run hold.py --margin isolated --fee-bps 5 -p size=2",
    "compare": "compare hold.py --margin portfolio,isolated,cross --from 2024-03-01T05:00 --venue dydx_v4",
    "subs": "run hold.py other.py --sub-accounts --split 75,25 --loss-cap none,50% -p 2.size=2 -p fast=no",
    "delays": "latency hold.py --grid 0,3600000 --slippage-bps 2",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one report of each kind, and the data and strategies that they were made of."""
    folder = tmp_path_factory.mktemp("written")
    small.write(folder)
    # Of two sub-accounts the first in the page's order is the second by name.
    (folder / "other.py").write_text(small.HOLD.replace("qty=self.size", "qty=-self.size"))
    for name, arguments in MADE.items():
        done = small.process(folder, *arguments.split(), "--data", "market", "--out", name)
        assert done.code == 0, done.err
    return folder


@pytest.fixture
def reports(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of those, made the current folder."""
    folder = tmp_path / "reports"
    shutil.copytree(written, folder)
    monkeypatch.chdir(folder)
    return folder


def enter(summary: Path, path: str, value: Any) -> None:
    """Write another value for an entry of a summary."""
    document = json.loads(summary.read_text())
    *parents, last = path.split(".")
    at = document
    for name in parents:
        at = at[int(name) if isinstance(at, list) else name]
    at[last] = value
    summary.write_text(json.dumps(document))


def replaced(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def changed(table: Path, column: str) -> None:
    """The table with another value in its last row."""
    frame = pl.read_parquet(table)
    last = pl.int_range(pl.len()) == pl.len() - 1
    frame.with_columns(pl.when(last).then(pl.col(column) + 1).otherwise(pl.col(column)).alias(column)).write_parquet(
        table
    )


@pytest.mark.parametrize("name", MADE)
def test_a_report_as_it_was_written_is_the_same_and_so_is_one_of_moved_data(reports: Path, name: str) -> None:
    found = backtest.verify(name)
    assert (found.ok, found.unequal, found.differences, found.page_compared) == (True, (), (), True)
    if name in ("run", "subs"):
        (reports / "market").rename(reports / "moved")
        assert backtest.verify(name, data="moved").ok


EDITS: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "a metric": (
        "run", lambda r: enter(r / "summary.json", "metrics.final_equity", 1e6), ("summary.json: metrics.final_equity",)
    ),
    "a note": ("run", lambda r: enter(r / "summary.json", "notes", []), ("summary.json: notes",)),
    "a warning that goes": ("run", lambda r: enter(r / "summary.json", "warnings", []), ("summary.json: warnings",)),
    "an entry more": ("run", lambda r: enter(r / "summary.json", "audited", True), ("summary.json: audited",)),
    "a float for a count": ("run", lambda r: enter(r / "summary.json", "seed", 0.0), ()),
    "no page": ("run", lambda r: (r / "report.html").unlink(), ("report.html (missing)",)),
    "a word on the page": ("run", lambda r: replaced(r / "report.html", "Equity at", "Audited"), ("report.html",)),
    "a table": ("run", lambda r: changed(r / "fills.parquet", "price"), ("fills.parquet",)),
    "a version": ("run", lambda r: enter(r / "summary.json", "versions.polars", "0.1"), ("report.html",)),
    "a comparison's run": (
        "compare",
        lambda r: enter(r / "summary.json", "runs.cross.metrics.fees", 0.5),
        ("summary.json: runs.cross.metrics.fees",),
    ),
    "an account's own summary": (
        "compare",
        lambda r: enter(r / "cross" / "summary.json", "metrics.fees", 0.5),
        ("cross/summary.json: metrics.fees",),
    ),
    "an account's table": (
        "compare", lambda r: changed(r / "isolated" / "equity.parquet", "equity"), ("isolated/equity.parquet",)
    ),
    "why a mode is left out": (
        "compare",
        lambda r: enter(r / "summary.json", "left_out.portfolio", "no"),
        ("summary.json: left_out.portfolio",),
    ),
    "the order of accounts": (
        "compare", lambda r: enter(r / "summary.json", "order", ["cross", "isolated"]), ("report.html",)
    ),
    "the sum of sub-accounts": (
        "subs",
        lambda r: enter(r / "summary.json", "combined.final_equity", 1.0),
        ("summary.json: combined.final_equity",),
    ),
    "the page of sub-accounts": ("subs", lambda r: (r / "report.html").unlink(), ("report.html (missing)",)),
    "a delay's profit": (
        "delays", lambda r: enter(r / "summary.json", "curve.1.profit", 9.0), ("summary.json: curve.1.profit",)
    ),
    "the curve": ("delays", lambda r: changed(r / "curve.parquet", "profit"), ("curve.parquet",)),
    "a setting in the file": (
        "run", lambda r: replaced(r / "run.toml", "fee_bps = 5", "fee_bps = 6"), ("run.toml: fee_bps",)
    ),
    "a parameter in the file": (
        "run", lambda r: replaced(r / "run.toml", "size = 2", "size = 3"), ("run.toml: params",)
    ),
    "the file is gone": ("run", lambda r: (r / "run.toml").unlink(), ("run.toml (missing)",)),
    "the file is none": ("run", lambda r: (r / "run.toml").write_text("strategy = ["), ("run.toml (damaged)",)),
    "the modes in the file": (
        "compare", lambda r: replaced(r / "run.toml", ', "cross"', ""), ("run.toml: margin",)
    ),
    "the split in the file": (
        "subs", lambda r: replaced(r / "run.toml", '"75", "25"', '"25", "75"'), ("run.toml: cash",)
    ),
    "a sub-account's parameter": (
        "subs", lambda r: replaced(r / "run.toml", '"2.size" = "2"', '"2.size" = "3"'), ("run.toml: params",)
    ),
    "the strategy in the file": (
        "subs", lambda r: replaced(r / "run.toml", "other.py", "third.py"), ("run.toml: strategy",)
    ),
    "the grid in the file": (
        "delays", lambda r: replaced(r / "run.toml", "3600000", "60000"), ("run.toml: latency_ms",)
    ),
    "the page of delays": ("delays", lambda r: replaced(r / "report.html", "Equity", "Wealth"), ("report.html",)),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_what_was_edited_is_named(reports: Path, name: str) -> None:
    kind, edit, unequal = EDITS[name]
    edit(reports / kind)
    found = backtest.verify(kind)
    assert (found.ok, found.expected) == (False, found.found)
    if unequal:
        assert found.unequal == unequal
    else:
        assert "summary.json: seed" in found.unequal


def test_the_command_names_what_was_edited(reports: Path, command: Callable[..., Ended]) -> None:
    enter(reports / "run" / "summary.json", "metrics.final_equity", 1e6)
    (reports / "run" / "report.html").unlink()
    said = "run: not the same; different: summary.json: metrics.final_equity, report.html (missing); a replay gives"
    one_line(command("verify", "run"), 1, said, "the report was edited after it was written")
    answer = json.loads(command("verify", "run", "--json").out)
    assert answer["unequal"] == ["summary.json: metrics.final_equity", "report.html (missing)"]


def test_a_page_of_another_version_is_not_compared_and_it_says_so(reports: Path, command: Callable[..., Ended]) -> None:
    enter(reports / "run" / "summary.json", "versions.backtest", "0.0.1")
    done = command("verify", "run")
    assert done.code == 0
    assert "the page was written by another version and not compared; changed since: backtest" in done.out


RUNS = "open('ran', 'w').close()\n"


@pytest.mark.parametrize("kind", ["run", "subs", "delays"])
def test_another_strategy_is_not_run_unless_it_is_trusted(
    reports: Path, command: Callable[..., Ended], kind: str
) -> None:
    file = reports / "hold.py"
    file.write_text(RUNS + file.read_text())
    one_line(command("verify", kind), 2, "hold.py: the strategy is not the one of the report (SHA-256 ", "--trust")
    assert not (reports / "ran").exists()
    done = command("verify", kind, "--trust")
    assert (reports / "ran").exists()
    # It trades alike: only its source is another.
    assert done.code == 1
    assert "strategy.source" in done.err
    assert done.err.endswith("changed since: strategy\n")


def test_a_report_without_a_hash_is_not_run(reports: Path, command: Callable[..., Ended]) -> None:
    enter(reports / "run" / "summary.json", "strategy.source", None)
    file = reports / "hold.py"
    file.write_text(RUNS + file.read_text())
    one_line(command("verify", "run"), 2, "hold.py: the report does not have the SHA-256 of its strategy's source")
    assert not (reports / "ran").exists()


@pytest.mark.parametrize("spec", ["plugins.deep.hold:Hold", "plugins.deep:Hold"])
def test_a_strategy_in_a_package_is_found_without_importing_the_package(reports: Path, spec: str) -> None:
    """The hash is that of the file in which the class is written; nothing above it is imported to find it."""
    deep = reports / "plugins" / "deep"
    deep.mkdir(parents=True)
    (reports / "plugins" / "__init__.py").write_text("")
    (deep / "__init__.py").write_text("from plugins.deep.hold import Hold\n")
    (deep / "hold.py").write_text(small.HOLD)

    def end(*arguments: str) -> Ended:
        return small.process(reports, *arguments)

    assert end("run", spec, "--data", "market", "--out", "own").code == 0
    assert end("verify", "own").code == 0
    for file in (reports / "plugins" / "__init__.py", deep / "__init__.py", deep / "hold.py"):
        file.write_text(RUNS + file.read_text())
    one_line(end("verify", "own"), 2, f"{spec}: the strategy is not the one of the report")
    assert not (reports / "ran").exists()
