"""A hook that does not return is told on standard error, with its place and the simulated time."""

from __future__ import annotations

import io
import threading
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from backtest.runner import watchdog
from tests.scenarios.scenario import Market, play

LOOK_S, LOOKS = 0.01, 20


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard error, with looks that follow each other a hundred times as fast."""
    monkeypatch.setattr(watchdog, "LOOK_S", LOOK_S)
    monkeypatch.setattr(watchdog, "LOOKS", LOOKS)
    return io.StringIO()


def stuck(folder: Path, heard: io.StringIO) -> list[bool]:
    """Play three candles, in the second of which the strategy goes round and round until it is told of."""
    told = []

    def loop(market: Any, account: Any) -> None:
        pause = threading.Event()
        told.append(any("\n" in heard.getvalue() or pause.wait(LOOK_S) for _ in range(3_000)))

    with redirect_stderr(heard):
        play(folder, [Market("BTC", [100.0] * 3)], {1: loop})
    return told


PLACE = "scenario.py, class Script, line 126, at 2024-03-01 00:02:00Z"
LINE = f"on_candle has not returned for 0 s: {PLACE} (Ctrl-C ends the run)"


def test_a_hook_that_does_not_return_is_told_once(tmp_path: Path, heard: io.StringIO) -> None:
    assert stuck(tmp_path, heard) == [True]
    assert heard.getvalue().splitlines() == [LINE]


def test_a_replay_in_a_thread_of_its_own(tmp_path: Path, heard: io.StringIO) -> None:
    beside = threading.Thread(target=stuck, args=(tmp_path, heard))
    beside.start()
    beside.join()
    assert heard.getvalue().splitlines() == [LINE]


def test_a_run_that_goes_on_is_not_told_and_leaves_no_thread(tmp_path: Path, heard: io.StringIO) -> None:
    steps = {k: lambda market, account: threading.Event().wait(LOOK_S) for k in range(40)}
    with redirect_stderr(heard):
        play(tmp_path, [Market("BTC", [100.0] * 40)], steps)
    assert heard.getvalue() == ""
    assert not [thread for thread in threading.enumerate() if thread.name == "watch"]
