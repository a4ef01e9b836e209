"""A command of the program, played in this process: how it ended, and what must hold however it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import time
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.cli import main

PATIENCE_S = 120
INTERNAL = "fault of backtest itself"
LEFTOVERS = (".partial", ".old")


class Deaf(BaseException):
    """A command did not end in time."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float = 0.0


def play(*arguments: str, patience_s: int = PATIENCE_S) -> Ended:
    """Run the command line with these arguments in this process."""
    said, told = io.StringIO(), io.StringIO()
    begun = time.monotonic()
    code = 1
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told), _limited(patience_s):
        try:
            main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        except Deaf:
            told.write(f"did not end in {patience_s} s\n")
            code = -1
    return Ended(code, said.getvalue(), told.getvalue(), time.monotonic() - begun)


@contextlib.contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise Deaf

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def complaints(ended: Ended) -> list[str]:
    """What is wrong with how a command ended, whatever it was given."""
    errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    found = []
    if ended.code not in (0, 1, 2):
        found.append(f"exit {ended.code}: {ended.err[-300:]!r}")
    if INTERNAL in ended.err or "Traceback" in ended.err:
        found.append(f"an internal fault: {ended.err[-500:]!r}")
    if ended.code and len(errors) != 1:
        found.append(f"exit {ended.code} with {len(errors)} error lines: {ended.err[-300:]!r}")
    if not ended.code and errors:
        found.append(f"exit 0 with an error: {errors[0]!r}")
    odd = sorted({c for c in ended.out + ended.err if unicodedata.category(c) == "Cc" and c not in "\n\t\r"})
    if odd:
        found.append(f"prints control characters {odd!r}")
    return found


def half_written(folder: Path, out: Path, ended: Ended) -> list[str]:
    """What is wrong with what a command left in ``folder``, where it was to write ``out``."""
    found = [f"left {path.name}" for path in folder.iterdir() if path.name.endswith(LEFTOVERS)]
    if ended.code == 2 and os.path.lexists(out):
        found.append(f"exit {ended.code}, and yet {out.name} is there")
    if ended.code == 0 and not out.exists():
        found.append(f"exit 0, and no {out.name}")
    if out.is_dir():
        found += [f"half a report: {why}" for why in lacking(out)]
    elif out.is_file() and not out.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        found.append("half a page")
    return found


def lacking(report: Path) -> Iterator[str]:
    """What a report's folder lacks to be whole."""
    import pyarrow.parquet as pq

    try:
        json.loads((report / "summary.json").read_text(encoding="utf-8"))
        if not (report / "report.html").read_text(encoding="utf-8").rstrip().endswith("</html>"):
            yield "the page is cut off"
        for file in report.rglob("*.parquet"):
            pq.read_metadata(file)
    except (OSError, ValueError) as error:
        yield str(error)


def digest(report: Path) -> Any:
    """The digest that a report names."""
    return json.loads((report / "summary.json").read_text(encoding="utf-8"))["digest"]
