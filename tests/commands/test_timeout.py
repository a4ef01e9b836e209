"""A command that has used up its time ends with one line, whatever a strategy does, and leaves what was there."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import cli
from backtest.core.errors import RunError, UserError
from backtest.runner import timeout
from tests.scenarios.scenario import START, Market, Tape, play, write
from tests.small_market import HEAD
from tests.small_market import write as write_small

MARKETS = [Market("BTC", [100.0] * 6)]
STOOD = "stopped after 60 s (timeout=): the replay was at 2024-03-01 00:02:00Z; nothing was written"
over: list[Callable[[], None]] = []
"""What lets the time of the command be over."""
since: list[float] = []
"""When it was."""


@pytest.fixture
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a command is over when a hook does not return, and what is swallowed comes again soon."""
    monkeypatch.setattr(timeout, "AGAIN_S", 0.02)
    for kind in (timeout.SignalAlarm, timeout.ThreadAlarm):
        real: Callable[..., None] = kind.start
        monkeypatch.setattr(
            kind, "start", lambda alarm, _, real=real: over.__setitem__(slice(None), [lambda: real(alarm, 0.02)])
        )


def expire() -> None:
    """Let the time of the command be over."""
    since.append(time.monotonic())
    over.pop()()


def endless(*_: Any) -> None:
    """Go round and round, whatever is raised."""
    expire()
    for _ in range(5):
        try:
            while True:
                pass
        except BaseException:  # noqa: BLE001  what a strategy should not do
            pass
    while True:
        pass


def asleep(*_: Any) -> None:
    expire()
    time.sleep(60)


@pytest.mark.usefixtures("early")
@pytest.mark.parametrize("step", [endless, asleep])
def test_a_hook_that_does_not_return_is_ended(tmp_path: Path, step: Callable[..., None]) -> None:
    with pytest.raises(RunError) as raised:
        play(tmp_path, MARKETS, {1: step}, timeout=60)
    assert str(raised.value) == STOOD
    assert time.monotonic() - since[-1] < 10
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def failure(tmp_path: Path) -> str:
    """What is said of an endless hook, by a thread beside."""
    with pytest.raises(RunError) as raised:
        play(tmp_path, MARKETS, {1: endless}, timeout=60)
    return str(raised.value)


@pytest.mark.usefixtures("early")
def test_in_a_thread_of_its_own(tmp_path: Path) -> None:
    said: list[str] = []
    beside = threading.Thread(target=lambda: said.append(failure(tmp_path)))
    beside.start()
    beside.join()
    assert said == [STOOD]
    assert not [thread for thread in threading.enumerate() if thread.name == "timeout"]


@pytest.mark.usefixtures("early")
def test_a_timer_of_the_caller_goes_on(tmp_path: Path) -> None:
    def handler(*_: object) -> None:
        raise AssertionError("not due")

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 1_000)
    try:
        assert failure(tmp_path) == STOOD
        assert signal.getsignal(signal.SIGALRM) == handler
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 900
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


class Late(backtest.Strategy):
    """Goes round and round in the replay of that number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.begun = number, Tape()

    def on_start(self, market: Any, account: Any) -> None:
        self.begun.append(self)
        self.mine = len(self.begun)

    def on_candle(self, market: Any, account: Any) -> None:
        if self.mine == 1:
            account.buy("BTC", 1)
        elif market.now_ms - START == 120_000 and self.mine == self.number:
            endless()


COMMANDS: dict[str, tuple[Callable[..., Any], int, dict[str, Any]]] = {
    "the replay behind the search for the worst halt": (
        backtest.run, 2, {"chain": "arbitrum", "outages": ["worst:1m"]}
    ),
    "the replay by the market mark": (backtest.run, 2, {"oracle": ["delay=1s"]}),
    "a comparison": (backtest.compare, 2, {}),
    "the second delay": (backtest.latency, 2, {"grid": "0,50"}),
    "the second sub-account": (lambda one, *rest, **more: backtest.subaccounts([one, one], *rest, **more), 2, {}),
}  # fmt: skip


@pytest.mark.usefixtures("early")
@pytest.mark.parametrize("what", COMMANDS)
def test_one_time_for_all_replays_of_a_command(tmp_path: Path, what: str) -> None:
    act, number, settings = COMMANDS[what]
    data = write(tmp_path, Market("BTC", [100.0, 99.0, 98.0, 97.0, 96.0, 95.0]))
    with pytest.raises(RunError) as raised:
        act(Late(number), data, allow=("missing-funding",), timeout=60, **settings)
    assert str(raised.value) == STOOD


def test_time_enough_changes_nothing(tmp_path: Path) -> None:
    digests = {play(tmp_path, MARKETS, {}, **given).digest for given in ({}, {"timeout": 3_600})}
    assert len(digests) == 1
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "5"])
def test_a_time_that_is_none(tmp_path: Path, seconds: Any) -> None:
    with pytest.raises(UserError, match=r"in timeout= \(give a number from 0\.001"):
        play(tmp_path, MARKETS, {}, timeout=seconds)


LOOPS = (
    f"import pathlib\n\nfrom tests.commands.test_timeout import endless\n{HEAD}"
    "    def on_candle(self, market, account):\n"
    "        if pathlib.Path('stuck').exists():\n            endless()\n"
)


@pytest.mark.usefixtures("early")
def test_commands_end_with_1_and_leave_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_small(tmp_path)
    Path("mine.py").write_text(LOOPS)
    run = ["run", "mine.py", "--data", "market", "--out", "report"]
    with pytest.raises(SystemExit) as ended:
        cli.main(run)
    assert not ended.value.code
    before = {file: file.read_bytes() for file in Path("report").iterdir()}
    Path("stuck").touch()
    for command in (run, ["verify", "report"]):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, "--timeout", "60"])
        said = "error: stopped after 60 s (--timeout): the replay was at 2024-03-01 01:00:00Z; nothing was written\n"
        assert (ended.value.code, *capsys.readouterr()) == (1, "", said)
    assert {file: file.read_bytes() for file in Path("report").iterdir()} == before
