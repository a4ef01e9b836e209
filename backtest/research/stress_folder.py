"""A stress on disk: the page, the survival table, the pack and the settings; written whole, read back, and verified."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from backtest.core import disk
from backtest.core.disk import ELSEWHERE
from backtest.core.enums import SCHEMA_VERSION
from backtest.core.errors import UserError
from backtest.results.report_files import AGAIN, DOCUMENT, REPORT, SUMMARY
from backtest.results.summary import plain, versions

KIND = "stress"
TABLE, PACK = "survival.parquet", "pack.toml"
FILES = (REPORT, SUMMARY, DOCUMENT, TABLE, PACK)


def claim(folder: Path) -> Path:
    """The absolute path of a folder that a stress may be written to: nothing, an empty folder, or an earlier stress."""
    target = folder.absolute()
    disk.refuse_link(target, "name the folder that it points to")
    if target.parent.is_dir():
        disk.recover(target)
    if target.exists() and not target.is_dir():
        raise UserError("is a file, not a report's folder", str(target), ELSEWHERE)
    names = sorted(entry.name for entry in target.iterdir()) if target.is_dir() else []
    foreign = [name for name in names if name not in FILES]
    if names and (foreign or read_about(target) is None):
        thing = f"holds {(foreign or names)[0]}, which is not part of a stress, and is left alone"
        raise UserError(thing, str(target), f"{ELSEWHERE}, or move what is there")
    return target


def write(target: Path, frame: pl.DataFrame, page: str, pack: str, document: str, about: Mapping[str, object]) -> Path:
    """Write everything, in one step, and return the folder."""
    summary = plain({"kind": KIND, "schema_version": SCHEMA_VERSION, "versions": versions(), **about})
    metadata = {"backtest.schema_version": str(SCHEMA_VERSION), "backtest.table": "survival"}
    try:
        with disk.whole_folder(target) as draft:
            frame.write_parquet(draft / TABLE, compression="zstd", metadata=metadata)
            text = json.dumps(summary, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
            for name, content in ((REPORT, page), (PACK, pack), (DOCUMENT, document), (SUMMARY, text + "\n")):
                (draft / name).write_text(content, encoding="utf-8", newline="\n")
    except (OSError, pl.exceptions.PolarsError) as failure:
        why = getattr(failure, "strerror", None) or str(failure)
        raise UserError(f"the report cannot be written ({why})", str(target), ELSEWHERE) from failure
    return target


def read_about(folder: Path) -> dict[str, Any] | None:
    """What the `summary.json` of a stress says; None where it is missing."""
    try:
        found = json.loads((folder / SUMMARY).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("kind") == KIND else None


def read_table(folder: Path) -> pl.DataFrame:
    """The survival table; UserError where it cannot be read."""
    try:
        return pl.read_parquet(folder / TABLE)
    except (OSError, pl.exceptions.PolarsError) as failure:
        raise UserError("the table is missing or damaged", str(folder / TABLE), AGAIN) from failure
