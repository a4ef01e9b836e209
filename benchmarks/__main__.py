"""`python -m benchmarks`: runs the comparisons in this one process tree and prints a table of ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import cases, command, imports, panels, sweeps
from benchmarks.timing import Measure

CASES: dict[str, cases.Case] = {
    "one": cases.targets_one,
    "many": cases.targets_many,
    "resting": cases.resting,
    "orders": cases.many_orders,
    "chain": cases.layer2,
    "called": cases.on_candle,
    "disk": command.from_disk,
    "cached": panels.cached,
    "sweep": sweeps.targets,
    "sweep-called": sweeps.called,
    "start": command.start_up,
    "import": imports.imported,
}
PACKAGES = ("numba", "numpy", "duckdb", "polars", "vectorbt", "backtesting", "raptorbt")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    about = "; ".join(f"{name}: {(case.__doc__ or '').splitlines()[0]}" for name, case in CASES.items())
    parser.add_argument("case", nargs="*", help=f"which to run, all by default. {about}")
    parser.add_argument("--rounds", type=int, default=3, help="how often each pair is timed (default: 3)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON, and nothing else")
    parser.add_argument("--folder", type=Path, help="where datasets are made and kept (default: the temporary folder)")
    given = parser.parse_args()
    unknown = [name for name in given.case if name not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; known: {', '.join(CASES)}")
    if given.rounds < 1:
        parser.error(f"--rounds {given.rounds}; give 1 or more")
    return given


def about() -> dict[str, object]:
    """What the numbers depend on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "missing"
    return {"python": platform.python_version(), "cores": os.cpu_count(), "versions": versions}


def seconds(value: float) -> str:
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def line(m: Measure) -> tuple[str, ...]:
    """The cells of a measure."""
    verdict = {None: "", True: "met", False: "not met"}[m.met]
    target = "" if m.target is None else f"{'≤' if m.most else '≥'} {m.target:g}"
    peer = f"{m.peer} {seconds(m.peer_s)}"
    return (m.case, m.what, seconds(m.ours_s), peer, f"{m.ratio:.2f}", target, verdict, m.note)


def table(measures: list[Measure]) -> str:
    """Ratios are the peer's time over ours where the target is ≥, ours over the peer's where it is ≤."""
    rows = [("case", "", "ours", "beside", "ratio", "target", "", ""), *map(line, measures)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def main() -> None:
    given = arguments()
    # What is measured is the engine, not whether a short replay is worth loading it; commands choose as users meet it.
    os.environ.setdefault("BACKTEST_KERNELS", "compiled")
    folder: Path = given.folder or Path(tempfile.gettempdir()) / "perp-backtest-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    measures: list[Measure] = []
    begun = time.perf_counter()
    for name in given.case or CASES:
        print(f"{name} …", file=sys.stderr, flush=True)
        measures += CASES[name](folder, given.rounds)
    if given.json:
        print(json.dumps({**about(), "measures": [{**asdict(m), "met": m.met} for m in measures]}, indent=2))
        return
    print(table(measures))
    missed = sum(m.met is False for m in measures)
    print(f"\n{missed} not met" if missed else "\nall met", f"({time.perf_counter() - begun:.0f} s; {about()})")


if __name__ == "__main__":
    main()
