"""What must always hold is checked in every mode of Python, and a run in which it does not hold writes nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests import small_market
from tests.commands.test_tiers import environment

ROOT = Path(__file__).parents[2]

PLAYED = """
import sys
import numba
import backtest
from backtest.cli import main
from backtest.engine import money, replay
from backtest.core.errors import Broken

print(sys.flags.optimize, backtest.run("hold.py", "market").digest)
for value in (4503599627370495.0, 4503599627370497.0):
    try:
        print(numba.njit(money.round_sum)(value, 0.0))
    except Broken as error:
        print(error)
record = replay.Replay.record

def corrupted(*arguments):
    made = record(*arguments)
    made.final_lots[0] += 1
    return made

replay.Replay.record = corrupted
main(["run", "hold.py", "--data", "market", "--out", "report"])
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], str, bool]]:
    """By the interpreter's flag: what the script prints, its error, and whether there is a report."""
    out = {}
    for flag in ("-B", "-O"):
        place = tmp_path_factory.mktemp("played")
        small_market.write(place)
        command = [sys.executable, flag, "-c", PLAYED]
        around = environment(place) | {"BACKTEST_KERNELS": "interpreted"}
        done = subprocess.run(command, cwd=place, env=around, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        out[flag] = done.stdout.splitlines(), done.stderr, (place / "report").exists()
    return out


def test_a_broken_invariant_fails_in_every_mode(played: dict[str, tuple[list[str], str, bool]]) -> None:
    for lines, error, report in played.values():
        assert error.startswith("error: Broken: BTC-USD: fills add up to "), error
        assert len(error.splitlines()) == 1
        assert not report
        assert lines[1:3] == ["4503599627370495", "an amount of money is beyond 4.5 billion quote units"]


def test_the_mode_changes_no_result(played: dict[str, tuple[list[str], str, bool]]) -> None:
    modes, digests = zip(*(lines[0].split() for lines, *_ in played.values()), strict=True)
    assert modes == ("0", "1")
    assert len(set(digests)) == 1


def test_nothing_of_the_program_depends_on_the_mode() -> None:
    """No `assert`, which `python -O` leaves out, and no `__debug__`."""
    found = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for place in ("backtest", "strategies")
        for file in sorted((ROOT / place).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Assert) or (isinstance(node, ast.Name) and node.id == "__debug__")
    ]
    assert found == []
