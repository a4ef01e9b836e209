"""A Monte Carlo on disk: paths and their spread as Parquet, what they are of, the page, and a file to run it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from backtest.core import disk
from backtest.core.disk import ELSEWHERE
from backtest.core.errors import UserError
from backtest.report.montecarlo_page import render_montecarlo
from backtest.research.montecarlo_result import MonteCarlo
from backtest.results.summary import plain, versions

PATHS, FAN, ABOUT, REPORT, DOCUMENT = (
    "paths.parquet",
    "fan.parquet",
    "montecarlo.json",
    "report.html",
    "montecarlo.toml",
)
KIND, LAYOUT = "montecarlo", 1


def claimed(folder: Path) -> Path:
    """The absolute path of a folder that is not there, is empty, or holds an earlier Monte Carlo; else UserError."""
    target = folder.absolute()
    disk.refuse_link(target, "name the folder that it points to")
    if target.exists() and not target.is_dir():
        raise UserError("is a file, not a folder", str(target), ELSEWHERE)
    if target.is_dir():
        names = sorted(entry.name for entry in target.iterdir())
        foreign = [name for name in names if name not in (PATHS, FAN, ABOUT, REPORT, DOCUMENT)]
        if foreign or (names and ABOUT not in names):
            thing = f"holds {(foreign or names)[0]}, which is not part of a Monte Carlo, and is left alone"
            raise UserError(thing, str(target), ELSEWHERE)
    return target


def write(target: Path, found: MonteCarlo, about: Mapping[str, Any], document: str) -> Path:
    """Write everything, whole or not at all, and return the folder."""
    told = plain({"kind": KIND, "layout": LAYOUT, "version": versions()["backtest"], **about, "plain": found.plain})
    survival = {name: found.survival(name) for name in found.margins}
    page = render_montecarlo(found.frame, found.fan, found.plain, survival, told, found.quote)
    try:
        with disk.whole_folder(target) as draft:
            for name, table in ((PATHS, found.frame), (FAN, found.fan)):
                table.write_parquet(draft / name, compression="zstd", metadata={"backtest.layout": str(LAYOUT)})
            (draft / ABOUT).write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            (draft / REPORT).write_text(page, encoding="utf-8", newline="\n")
            (draft / DOCUMENT).write_text(document, encoding="utf-8", newline="\n")
    except (OSError, pl.exceptions.PolarsError) as failure:
        why = getattr(failure, "strerror", None) or str(failure)
        raise UserError(f"the Monte Carlo cannot be written ({why})", str(target), ELSEWHERE) from failure
    return target
