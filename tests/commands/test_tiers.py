"""Kernels interpreted or compiled: the same bytes, each where it is the faster one, and no process left behind."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import backtest
from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.engine import tier
from backtest.engine.compile import CALLED, Bundle
from tests import small_market
from tests.reference.market import Play
from tests.reference.markets import plays
from tests.reference.test_engine_differential import engine
from tests.scenarios.scenario import Market, buy, play, rows

ROOT = Path(__file__).parents[2]
EXAMPLES = int(os.environ.get("BACKTEST_EXAMPLES", "300")) // 15
"""Drawn markets; the differential tests draw all of them."""
TURNED = {tier.COMPILED: tier.INTERPRETED, tier.INTERPRETED: tier.COMPILED}


def shown(market: Play, kernels: str) -> Any:
    """Every byte of a play's record, or the error that stops it."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv(tier.VARIABLE, kernels)
        try:
            record = engine(market, Path(folder))
        except UserError as error:
            return str(error).replace(folder, "")
    names = [field.name for field in dataclasses.fields(Record) if field.name != "spool"]
    return {name: _bytes(getattr(record, name)) for name in names}


def _bytes(value: Any) -> Any:
    if isinstance(value, Rows):
        value = value.whole()
    return (value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


@settings(max_examples=max(1, EXAMPLES), deadline=None, suppress_health_check=list(HealthCheck))
@given(market=plays())
def test_a_drawn_market_gives_the_same_bytes(market: Play) -> None:
    assert shown(market, tier.INTERPRETED) == shown(market, tier.COMPILED)


def test_a_replay_that_turns_out_long_goes_over_to_machine_code(tmp_path: Path, monkeypatch) -> None:
    """In the middle of it, and nobody sees it in the results."""
    small_market.write(tmp_path)
    run = lambda: backtest.run(str(tmp_path / "hold.py"), tmp_path / "market").digest  # noqa: E731
    machine = run()
    calls, choose = [], tier.Tier._choose

    def later(self: tier.Tier, rest_s: float) -> None:
        if calls:  # not at the start
            choose(self, tier.BUILD_S)
        calls.append((self._played(), self.compiled))

    monkeypatch.setenv(tier.VARIABLE, tier.AUTO)
    monkeypatch.setattr(tier, "LOOK_S", 0.0)
    monkeypatch.setattr(tier.Tier, "_choose", later)
    assert run() == machine
    assert calls[0] == (0, False)
    if tier.asked() != tier.INTERPRETED:
        assert calls[1] == (calls[1][0], True)


def test_what_python_calls_is_given_what_machine_code_takes() -> None:
    """Bundles and numbers: a kernel with anything else plays interpreted, and fails as soon as it is compiled."""
    for kernel in CALLED:
        hints = get_type_hints(kernel)
        hints.pop("return", None)
        wrong = {name: hint for name, hint in hints.items() if hint not in (int, float, bool)}
        assert all(isinstance(hint, type) and issubclass(hint, Bundle) for hint in wrong.values()), kernel


@pytest.mark.parametrize("kernels", [tier.COMPILED, tier.INTERPRETED])
def test_a_volume_beyond_64_bits_is_room_enough(tmp_path: Path, kernels: str, monkeypatch) -> None:
    monkeypatch.setenv(tier.VARIABLE, kernels)
    market = Market("DUST", [1.0] * 3, volume=[1e30] * 3)
    result = play(tmp_path, [market], {0: buy("DUST", 5)}, volume_share="10%")
    assert rows(result, "fills", "qty") == [(5.0,)]


def test_an_unknown_choice_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(tier.VARIABLE, "compile")
    with pytest.raises(UserError, match=r"BACKTEST_KERNELS: unknown choice .compile.; did you mean 'compiled'"):
        play(tmp_path, [Market("BTC", [1.0] * 3)], {})


# ---- what the command does

LONG = """
import sys
from backtest.engine import tier, builder
tier.BUILD_S = 0.0
import backtest
result = backtest.run("hold.py", "market")
print(builder.BUILDER._process.pid, result.digest, "numba" in sys.modules, tier.compiling(), flush=True)
if len(sys.argv) > 1:
    sys.stdin.read()
"""


def environment(place: Path) -> dict[str, str]:
    """That of a user who has not compiled anything."""
    around = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "PYTHONPATH": str(ROOT)}
    for name in ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", tier.VARIABLE):
        around.pop(name, None)
    return around


def test_a_short_run_loads_what_it_uses(place: Path) -> None:
    code = "import sys, backtest; backtest.run('hold.py', 'market'); print({*sys.argv[1:]} & {*sys.modules})"
    command = [sys.executable, "-c", code, "pandas", "scipy", "plotly", "numba", "llvmlite"]
    done = subprocess.run(command, env=environment(place), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_short_run_compiles_nothing_and_says_nothing_of_it(place: Path) -> None:
    command = [sys.executable, "-m", "backtest", "run", "hold.py", "--data", "market"]
    done = subprocess.run(command, env=environment(place), capture_output=True, text=True, check=True)
    assert "compil" not in done.stderr
    assert not (place / "cache").exists()


@pytest.mark.parametrize("killed", [False, True])
def test_a_background_compile_ends_with_its_command(place: Path, killed: bool) -> None:
    command = [sys.executable, "-c", LONG, *(["wait"] if killed else [])]
    with subprocess.Popen(
        command, env=environment(place), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout
        number, digest, loaded, where = run.stdout.readline().split()
        if killed:
            os.kill(int(number), 0)  # it is there
            run.kill()
        run.wait()
    assert (loaded, where) == ("False", "beside")
    assert digest == backtest.run("hold.py", "market").digest
    until = time.monotonic() + 60
    while _alive(int(number)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(int(number))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_the_cache_says_what_is_there_and_goes(place: Path, command: Any, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    other = place / "cache" / "perp-backtest" / "kernels-0123"
    other.mkdir(parents=True)
    (other / "a.nbc").write_bytes(bytes(2_000_000))
    said = command("cache", "info")
    assert (said.code, said.err) == (0, "")
    assert "2.0 MB" in said.out
    assert command("cache", "clear").err == "deleted 2.0 MB\n"
    assert not other.exists()
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert command("cache", "build").code == 2
