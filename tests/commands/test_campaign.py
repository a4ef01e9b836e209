"""The short part of the campaign, and that what judges it can say no."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign import command, ground, market, toml, tree
from tests.campaign.command import Ended

ROOT = Path(__file__).parents[2]


def test_the_short_part_finds_nothing() -> None:
    # A process of its own: faults are injected in forks, which Polars' threads of this one would not survive.
    around = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    played = [sys.executable, "-m", "tests.campaign", "short"]
    done = subprocess.run(played, cwd=ROOT, env=around, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split() == ["failures", "0"]


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (Ended(3, "", "error: a\n"), "exit 3"),
        (Ended(2, "", "error: a\nerror: b\n"), "2 error lines"),
        (Ended(2, "", ""), "0 error lines"),
        (Ended(0, "", "error: a\n"), "exit 0 with an error"),
        (Ended(1, "", f"error: KeyError; this is a {command.INTERNAL}\n"), "an internal fault"),
        (Ended(0, "a\x1b[31m", ""), "control characters"),
    ],
)
def test_a_bad_end_is_complained_of(ended: Ended, said: str) -> None:
    assert any(said in text for text in command.complaints(ended))
    assert command.complaints(Ended(2, "", "error: a\n")) == command.complaints(Ended(0, "a\n", "")) == []


def test_half_a_report_is_noticed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("{")
    (tmp_path / ".out.1-1.partial").mkdir()
    wrong = command.half_written(tmp_path, out, Ended(2, "", "error: a\n"))
    assert [text.split(":")[0] for text in wrong] == [
        "left .out.1-1.partial", "exit 2, and yet out is there", "half a report",
    ]  # fmt: skip


def test_a_seed_gives_the_same_input_and_a_tree_its_own_text() -> None:
    drawn = [tree.changed(random.Random(7), [ground.OWN_VENUE]) for _ in range(2)]
    assert drawn[0] == drawn[1]
    import tomllib

    assert tomllib.loads(toml.text(ground.OWN_VENUE)) == ground.OWN_VENUE


def test_the_reader_of_the_tables_notices_a_millionth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    from tests.campaign import reader

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKTEST_KERNELS", "interpreted")
    ground.write(tmp_path)
    market.write(tmp_path / "wild", 1, 120)
    ended = command.play("run", "chance.py", "--data", "wild", "--fee-bps", "5", "-p", "often=0.5", "--out", "out")
    assert ended.code == 0, ended.err
    assert list(reader.imbalances(tmp_path / "out", tmp_path / "wild")) == []
    fees = tmp_path / "out" / "fills.parquet"
    pl.read_parquet(fees).with_columns(pl.col("fee") + 1e-6).write_parquet(fees)
    assert any("fees and the ledger" in text for text in reader.imbalances(tmp_path / "out", tmp_path / "wild"))
