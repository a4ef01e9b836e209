"""`backtest sweep`: every row is a single run, whoever plays it, however often it is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import backtest
from backtest.research.sweep_again import read_sweep
from backtest.research.sweep_folder import read_rows
from tests import small_market as small

KILLS = int(os.environ.get("BACKTEST_KILLS", "2"))
"""Kills of a running sweep; BACKTEST_KILLS=50 for many."""

STEPS = '''import os
import pathlib
import time

from backtest import Param, Strategy


class Steps(Strategy):
    """Buys every so many candles, and sells again."""

    pause: int = Param(3, ge=1, le=24)
    size: float = Param(1.0, gt=0, le=50)

    def validate(self):
        return "too much" if self.size * self.pause > 400 else None

    def on_start(self, market, account):
        self.n = 0
        time.sleep(float(os.environ.get("STEPS_SLEEP", "0")))

    def on_candle(self, market, account):
        self.n += 1
        if self.n % self.pause == 0:
            side = 1 if self.n % (2 * self.pause) == 0 else -1
            for symbol in market.symbols:
                account.target(symbol, weight=side * self.size / 10)

    def on_stop(self, market, account):
        if "STEPS_LOG" in os.environ:
            with open(os.environ["STEPS_LOG"], "a") as file:
                file.write(f"{self.pause} {self.size}\\n")
'''
TURNS = '''import polars as pl

from backtest import Param, Strategy


class Turns(Strategy):
    """The same as targets."""

    pause: int = Param(3, ge=1, le=24)
    size: float = Param(1.0, gt=0, le=50)

    def targets(self, candles):
        row = pl.int_range(pl.len()).over("symbol")
        side = pl.when((row // self.pause) % 2 == 0).then(1.0).otherwise(-1.0)
        kept = candles.with_columns(row=row, target=side * self.size / 10).filter(pl.col("row") % self.pause == 0)
        return kept.select("ts", "symbol", "target")
'''
PARAMS = {"pause": "1:5:2", "size": [2.0, 30]}
VARY = {"margin": ["isolated", "cross"]}


@pytest.fixture
def market(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the dataset `market`, `steps.py` and `turns.py`; workers interpret the kernels."""
    (place / "steps.py").write_text(STEPS)
    (place / "turns.py").write_text(TURNS)
    for name, value in small.environment().items():
        if name in ("PYTHONPATH", "NUMBA_DISABLE_JIT"):
            monkeypatch.setenv(name, value)
    return place


@pytest.mark.parametrize("strategy", ["steps.py", "turns.py"])
def test_rows_are_single_runs_whoever_plays_them(market: Path, strategy: str) -> None:
    one = backtest.sweep(strategy, "market", params=PARAMS, vary=VARY, workers=1)
    two = backtest.sweep(strategy, "market", params=PARAMS, vary=VARY, workers=2, out="two")
    threads = backtest.sweep(strategy, "market", params=PARAMS, vary=VARY, workers=2, threads=True)
    assert one.frame.equals(two.frame)
    assert one.frame.equals(threads.frame)
    assert one.frame["run"].to_list() == list(range(12))
    assert one.frame.columns[:6] == ["run", "pause", "size", "margin", "error", "digest"]
    for row in one.frame.iter_rows(named=True):
        params = {"pause": row["pause"], "size": row["size"]}
        single = backtest.run(strategy, "market", params=params, margin=row["margin"])
        assert row["digest"] == single.digest
        assert {name: row[name] for name in single.metrics} == single.metrics
    assert one.frame["digest"].n_unique() > 6
    assert pl.read_parquet("two/sweep.parquet").equals(one.frame)
    assert small.entries(Path("two")) == {"sweep.parquet", "sweep.json", "sweep.toml", "report.html"}
    again = read_sweep("two")
    assert again.frame.equals(one.frame)
    assert again.result(7, "two/run-7").digest == one.frame["digest"][7]
    assert Path("two/run-7/report.html").is_file()


def start(folder: Path, *flags: str, **around: str) -> subprocess.Popen[str]:
    """`backtest sweep` over 40 runs, started and not waited for."""
    command = [sys.executable, "-m", "backtest", "sweep", "steps.py", "--data", "market", "-p", "pause=1:20:1"]
    command += ["-p", "size=2,3", "--out", "swept", "--workers", "2", *flags]
    environment = {**small.environment(), **around}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_killed_sweep_goes_on_and_runs_nothing_twice(market: Path) -> None:
    chance = random.Random(KILLS)
    played = market / "played.txt"
    known: dict[int, str] = {}
    for _ in range(KILLS):
        before, size = dict(known), played.stat().st_size if played.exists() else 0
        running = start(market, STEPS_LOG=str(played), STEPS_SLEEP="0.05")
        rows = market / "swept" / "rows.log"
        deadline = time.monotonic() + 60
        wanted = len(known) + chance.randint(1, max(1, 36 // KILLS))
        while running.poll() is None and time.monotonic() < deadline:
            if rows.exists() and len(rows.read_bytes().splitlines()) >= min(wanted, 39):
                break
            time.sleep(0.01)
        time.sleep(chance.random() * 0.1)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        known = {run: str(row["digest"]) for run, row in read_rows(market / "swept").items()}
        assert before.items() <= known.items(), "a row was lost"
        lines = played.read_text()[size:].splitlines()
        again = {f"{1 + run // 2} {(2.0, 3.0)[run % 2]}" for run in before} & set(lines)
        assert not again, f"run twice: {again}"
    ended = start(market)
    assert ended.wait(120) == 0, ended.communicate()[1]
    assert f"{len(known)} of 40 runs are there already" in ended.communicate()[1]
    whole = backtest.sweep("steps.py", "market", params={"pause": range(1, 21), "size": [2, 3]}, threads=True)
    assert pl.read_parquet(market / "swept" / "sweep.parquet").equals(whole.frame)
    assert not (market / "swept" / "rows.log").exists()


def test_a_worker_that_dies_is_replaced_and_its_run_repeated(market: Path) -> None:
    lines = (
        "flag = pathlib.Path('died')",
        "if self.pause == 2 and not flag.exists():",
        "    flag.touch()",
        "    os._exit(9)",
        "if self.pause == 4:",
        "    os.kill(os.getpid(), 9)",
        "self.n = 0",
    )
    text = STEPS.replace("self.n = 0", "\n        ".join(lines), 1)
    (market / "dies.py").write_text(text)
    found = backtest.sweep("dies.py", "market", params={"pause": "2:4:1"}, workers=2)
    sound = backtest.sweep("steps.py", "market", params={"pause": "2:4:1"}, threads=True)
    assert found.frame["error"].to_list() == [None, None, "3 workers died of it, the last by signal 9"]
    good = pl.col("run") != 2
    assert found.frame.filter(good).equals(sound.frame.filter(good))


def test_a_run_that_fails_is_a_row_with_its_reason(market: Path, command: Callable[..., small.Ended]) -> None:
    (market / "fails.py").write_text(STEPS.replace("self.n += 1", "self.n += 1\n        assert self.pause != 2, 'two'"))
    flags = ("--data", "market", "-p", "pause=1:3:1", "-p", "size=2", "--out", "failed")
    ended = command("sweep", "fails.py", *flags)
    assert ended.code == 0
    assert "3 runs, 1 failed" in ended.out
    assert "fails.py:" in ended.out
    frame = pl.read_parquet("failed/sweep.parquet")
    assert frame["digest"].is_null().to_list() == [False, True, False]
    assert "two" in frame["error"][1]
    assert "AssertionError: two" in Path("failed/report.html").read_text()
    shown = command("sweep", "show", "failed", "2", "--json")
    assert json.loads(shown.out)["digest"] == frame["digest"][2]
    small.one_line(command("sweep", "show", "failed", "3"), 2, "no run 3", "it has 3")
    lost = command("sweep", "fails.py", "--data", "market", "-p", "pause=2", "--out", "lost")
    small.one_line(lost, 1, "all 1 runs failed", "two", "lost")


def test_samples_come_from_the_seed_and_keep_the_constraint(market: Path) -> None:
    def drawn(**settings: object) -> pl.DataFrame:
        params = {"pause": "1:24", "size": "0.5:50:log"}
        asked = {"params": params, "samples": 12, "where": "pause * size < 200", **settings}
        return backtest.sweep("turns.py", "market", threads=True, **asked).frame  # type: ignore[arg-type]

    frame = drawn()
    assert frame.equals(drawn())
    assert frame.height == frame.select("pause", "size").unique().height == 12
    assert frame.select(((pl.col("pause") * pl.col("size") < 200) & pl.col("size").is_between(0.5, 50)).all()).item()
    assert not frame["size"].equals(drawn(seed=1)["size"])
    assert not frame["size"].equals(drawn(sampler="random")["size"])


BAD = {
    "-p pauze=1,2": ("unknown parameter 'pauze'", "did you mean 'pause'?"),
    "-p pause=1:30:1": ("pause = 25 is out of range", "from 1 to 24"),
    "-p pause=1:x:1": ("'x' in pause=1:x:1 is not a number",),
    "-p pause=9:1:1": ("pause=9:1:1 does not rise",),
    "-p pause=1:9": ("has no step", "--samples"),
    "-p pause=3,3": ("has the value 3 twice",),
    "-p pause=": ("an empty value in pause=",),
    "--vary margn=cross": ("no setting 'margn'", "did you mean 'margin'?"),
    "--vary leverage=1,5000": ("'5000'", "from 0.01 to 1,000"),
    "--vary cash=1:9:4 --cash 5": ("cash is given and varied",),
    "--cash 5": ("nothing varies",),
    "-p pause=1,2 --where pause>9": ("'pause>9' excludes every combination",),
    "-p pause=1,2 --where pauze>1": ("unknown name 'pauze'", "did you mean 'pause'?"),
    "-p pause=1,2 --where pause": ("not true or false",),
    "-p pause=1,2 --where pause>": ("is not a condition",),
    "-p pause=1,2 --symbols DOGE": ("unknown symbol 'DOGE'",),
    "-p pause=1,2 --out market": ("which is not part of a sweep",),
    "-p pause=1,2 --workers 0": ("'0'", "--workers"),
}


@pytest.mark.parametrize("flags", BAD)
def test_bad_input_is_named_before_anything_runs(market: Path, command: Callable[..., small.Ended], flags: str) -> None:
    before = small.entries(market)
    small.one_line(command("sweep", "steps.py", "--data", "market", *flags.split()), 2, *BAD[flags])
    assert small.entries(market) == before


def test_another_sweep_in_the_folder_is_left_alone(market: Path) -> None:
    backtest.sweep("turns.py", "market", params={"pause": [1, 2]}, out="swept", threads=True)
    before = {path: path.read_bytes() for path in Path("swept").iterdir()}
    for changed in ({"params": {"pause": [1, 3]}}, {"params": {"pause": [1, 2]}, "fee_bps": 1}):
        with pytest.raises(backtest.UserError, match=r"holds another sweep: other (axes|settings)"):
            backtest.sweep("turns.py", "market", out="swept", threads=True, **changed)
    assert {path: path.read_bytes() for path in Path("swept").iterdir()} == before


def test_a_full_disk_loses_no_row_that_was_there(market: Path) -> None:
    import resource

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384))

    command = [sys.executable, "-m", "backtest", "sweep", "steps.py", "--data", "market", "-p", "pause=1:20:1"]
    command += ["--out", "swept"]
    around = {"cwd": market, "env": small.environment(), "capture_output": True, "text": True}
    full = subprocess.run(command, check=False, preexec_fn=small_files, **around)  # type: ignore[call-overload]
    assert full.returncode == 2
    assert "the sweep cannot be written (" in full.stderr
    there = len(read_rows(market / "swept"))
    assert 0 < there < 20
    ended = subprocess.run(command, check=False, **around)  # type: ignore[call-overload]
    assert ended.returncode == 0, ended.stderr
    assert f"{there} of 20 runs are there already" in ended.stderr
    assert pl.read_parquet(market / "swept" / "sweep.parquet").height == 20


SCRIPT = '''import backtest
from backtest import Param, Strategy


class Own(Strategy):
    """In the script itself."""

    size: float = Param(1.0)

    def on_candle(self, market, account):
        account.target("BTC-USD", qty=self.size)


found = backtest.sweep({strategy}, "market", params={{"size": [1, 2]}}, workers=2)
print(found.frame["digest"].n_unique(), found)
'''


@pytest.mark.parametrize("strategy", ['"hold.py"', "Own"])
def test_a_script_needs_no_main_guard(market: Path, strategy: str) -> None:
    (market / "script.py").write_text(SCRIPT.format(strategy=strategy))
    ended = subprocess.run(
        [sys.executable, "script.py"], cwd=market, env=small.environment(), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("2 <Sweep of 2 runs over size, 0 failed")


def test_best_and_heatmap(market: Path) -> None:
    found = backtest.sweep("turns.py", "market", params=PARAMS, vary=VARY, threads=True)
    best = found.best("return")
    assert best["return"] == found.frame["return"].max()
    assert found.best("fees")["fees"] == found.frame["fees"].min()
    drawn = found.heatmap("pause", "size", "return")
    wanted = found.frame.filter((pl.col("pause") == 3) & (pl.col("size") == 30))["return"].median()
    assert drawn.frame.filter(pl.col("size") == 30)["3"].item() == wanted
    assert drawn.figure["data"][0]["z"][1][1] == wanted * 100  # type: ignore[operator]
    with pytest.raises(backtest.UserError, match="nothing that varies is named 'slow'"):
        found.heatmap("slow", "size")
    with pytest.raises(backtest.UserError, match="no metric 'sharp'"):
        found.best("sharp")
