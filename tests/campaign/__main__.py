"""`python -m tests.campaign [PART] [--seed N] [--count N]`: play it, or a part, and print the figures."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.campaign.figures import Figures

Part = Callable[[Path, int, int], Figures]


def _part(name: str) -> Part:
    from importlib import import_module

    part: Part = import_module(f"tests.campaign.{name}").run
    return part


COUNTS = {"faults": 150, "fuzz": 1000, "audit": 150, "matrix": 12, "scale": 9, "planted": 12}
"""Parts in the order in which they are played, and how many of each are. Faults need a process that can be forked."""
SHORT = {"faults": 2, "fuzz": 24, "audit": 2}
"""What every `make test` plays."""


def main() -> int:
    """Play what was asked for; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=("all", "short", *COUNTS))
    parser.add_argument("--seed", type=int, help="first seed; with it one draw is played unless --count says more")
    parser.add_argument("--count", type=int, help="how many draws")
    parser.add_argument("--times", type=float, default=1.0, help="so many times the usual number of draws")
    asked = parser.parse_args()
    counts = SHORT if asked.part == "short" else COUNTS
    parts = list(counts) if asked.part in ("all", "short") else [asked.part]
    os.environ.setdefault("BACKTEST_KERNELS", "interpreted")  # so few candles are over before machine code is loaded
    total, home = Figures(), Path.cwd()
    for name in parts:
        usual = 1 if asked.seed is not None and asked.part == name else max(1, round(counts[name] * asked.times))
        with tempfile.TemporaryDirectory(prefix="campaign-") as place:
            os.chdir(place)
            try:
                total.add(_part(name)(Path(place), asked.seed or 0, asked.count or usual))
            finally:
                os.chdir(home)
    print(total.table())
    for again, why in total.failures:
        print(f"{why.splitlines()[0][:300]}\n  repeat it: {again}")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main())
