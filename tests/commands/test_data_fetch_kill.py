"""`kill -9` during `data fetch` and `update`: what is there is whole, and the next command ends in the same bytes.

One kill each in a usual run; `BACKTEST_KILLS=50` for as many.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from tests.exchanges.fetched import away_from_the_hour, command, content, data, environment, iso
from tests.exchanges.market import DAY, HOUR, Market
from tests.exchanges.server import Server

pytest.importorskip("ccxt", reason="ccxt is not installed: it comes with the extra `fetch`")

KILLS = int(os.environ.get("BACKTEST_KILLS", "1"))
"""How often each of the two is killed."""


def killed(server: Server, arguments: list[object], after: int, wait_s: float) -> bool:
    """Start the command and kill it `wait_s` after its request number `after`; False when it had ended before."""
    seen = len(server.log)
    process = subprocess.Popen(
        command(*arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and len(server.log) - seen < after:
        time.sleep(0.001)
    time.sleep(wait_s)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


def whole(folder: Path) -> None:
    """Every Parquet file that a run would read is whole."""
    for file in folder.glob("*/symbol=*/*.parquet"):
        assert pl.read_parquet(file).height > 0


def test_killed_at_any_moment(tmp_path: Path) -> None:
    now, chance = away_from_the_hour(60 * max(1, KILLS // 20)), random.Random(7)
    first = now // DAY * DAY - 12 * DAY
    clock = [first + 7 * HOUR]
    with Server(Market(clock=lambda: clock[0] / 1000), rates=False) as server:
        end = ["--endpoint", server.url]

        def fetching(out: Path) -> list[object]:
            span = ["--from", iso(first - 40 * DAY), "--to", iso(first), "--interval", "1h"]
            return ["fetch", "binance", "BTC", *span, "--out", out, *end]

        def updating(out: Path) -> list[object]:
            return ["update", out, *end]

        stages, clean = [], tmp_path / "clean"
        for arguments, at in ((fetching, clock[0]), (updating, now)):
            clock[0], before = at, len(server.log)
            done = data(*arguments(clean))
            assert done.code == 0, done
            stages.append((arguments, at, len(server.log) - before, content(clean)))
        hits = 0
        for n in range(KILLS):
            out = tmp_path / f"set{n}"
            for arguments, at, asked, expected in stages:
                clock[0] = at
                hits += killed(server, arguments(out), chance.randint(1, asked), chance.choice([0, 0.01, 0.1, 0.3]))
                whole(out)
                if arguments is updating:
                    assert data("check", out).code == 0
                done = data(*arguments(out))
                assert done.code == 0, done
                assert content(out) == expected
        assert hits >= KILLS
