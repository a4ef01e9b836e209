"""The same run in every way that may not change its results: order of names, sizes of chunks, how kernels are played,
hash seeds and numbers of threads."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.campaign import audit, command, ground, market
from tests.campaign.figures import Figures

ROOT = Path(__file__).parents[2]
CODE = """
import json, sys
import backtest
from backtest.cli import main
from backtest.runner import run
rows = int(sys.argv[1])
if rows:
    stream = run.stream
    run.stream = lambda selection, players, progress, chunk_rows: stream(selection, players, progress, rows)
threads = int(sys.argv[2])
if threads:
    from backtest.data import catalog
    connect = catalog.connect
    def connected():
        con = connect()
        con.execute(f"SET threads = {threads}")
        return con
    catalog.connect = connected
main(sys.argv[3:])
"""
"""A command with chunks of so many rows, and so many threads of DuckDB; 0: as usual."""
VARIANTS: tuple[tuple[str, dict[str, str], int, int, bool], ...] = (
    ("hash seed 1", {"PYTHONHASHSEED": "1"}, 0, 0, False),
    ("hash seed 2", {"PYTHONHASHSEED": "2"}, 0, 0, False),
    ("chunks of a candle", {}, 1, 0, False),
    ("chunks of 7 candles", {}, 7, 0, False),
    ("chunks of 100 candles", {}, 100, 0, False),
    ("one thread", {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}, 0, 1, False),
    ("five threads", {"POLARS_MAX_THREADS": "5"}, 0, 5, False),
    ("symbols in another order", {}, 0, 0, True),
    ("all at once", {"PYTHONHASHSEED": "3", "POLARS_MAX_THREADS": "3"}, 13, 2, True),
)
COMPILED = ("compiled kernels", {"BACKTEST_KERNELS": "compiled"}, 0, 0, False)
"""Played where the machine code is in the cache: making it takes a minute or two."""


def run(folder: Path, seed: int, count: int) -> Figures:
    """Play ``count`` configurations of the audit, from that of ``seed`` on, in all variants."""
    begun, figures, played = time.monotonic(), Figures(), 0
    ground.write(folder)
    for number in range(audit.MARKETS):
        market.write(folder / f"wild{number}", number)
    variants = [*VARIANTS, COMPILED] if _cached() else VARIANTS
    differ = found = 0
    one = seed
    while found < count and one < seed + 10 * count:
        arguments = audit.drawn(one)
        ended = command.play(*arguments, "--out", "plain")
        if ended.code == 0:
            found += 1
            wanted = digests(folder / "plain")
            chosen = variants if count > 1 else random.Random(one).sample(variants, 3)
            for variant in chosen:
                played += 1
                got = _digests(folder, arguments, variant)
                if got != wanted:
                    differ += 1
                    figures.fail("matrix", one, f"{variant[0]}: {' '.join(arguments)}: {got} instead of {wanted}")
        one += 1
    figures.row("configurations in the matrix", found)
    figures.row("  plays in other ways", played)
    figures.row("  compiled too", "yes" if COMPILED in variants else "no, nothing compiled is in the cache")
    figures.row("  with another digest", differ)
    figures.row("  seconds", round(time.monotonic() - begun))
    return figures


def _digests(folder: Path, arguments: list[str], variant: tuple[str, dict[str, str], int, int, bool]) -> Any:
    _, environment, rows, threads, turned = variant
    if turned:
        arguments = _turned(arguments)
    code = [sys.executable, "-c", CODE, str(rows), str(threads), *arguments, "--out", "other"]
    around = {"PYTHONHASHSEED": "0", **os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(code, cwd=folder, env=around, capture_output=True, text=True, check=False)
    return digests(folder / "other") if done.returncode == 0 else done.stderr[-300:]


def _turned(arguments: list[str]) -> list[str]:
    """The same symbols, named in another order."""
    if "--symbols" not in arguments:
        return [*arguments, "--symbols", ",".join(reversed(market.SYMBOLS))]
    at = arguments.index("--symbols") + 1
    return [*arguments[:at], ",".join(reversed(arguments[at].split(","))), *arguments[at + 1 :]]


def digests(report: Path) -> dict[str, str]:
    """The digest of each account of a report."""
    found = [file.parent for file in report.rglob("summary.json") if (file.parent / "ledger.parquet").exists()]
    return {str(folder.relative_to(report)): str(command.digest(folder)) for folder in sorted(found)}


def _cached() -> bool:
    import backtest.engine.replay  # noqa: F401  every kernel is defined by now
    from backtest.engine import cache

    return not cache.missing()
