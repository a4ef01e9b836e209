"""What an environment or a user does to a command: one line, an exit code, nothing half written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.small_market import HEAD, Ended, entries, environment, one_line, write

Command = Callable[..., Ended]
RUN = ("run", "hold.py", "--data", "market", "--out", "report")
LONG = "x" * 300


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a sound dataset and strategy, links that lead nowhere and links that lead to themselves."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    for name, target in {"dangling": "nowhere", "loop": "loop"}.items():
        for suffix in ("", ".py", ".toml", ".csv"):
            (tmp_path / f"{name}{suffix}").symlink_to(target + suffix)
    return tmp_path


def shell(place: Path, command: str, **extra: str) -> Ended:
    """A line of a shell in which ``backtest`` is the command."""
    backtest = f"backtest() {{ '{sys.executable}' -m backtest \"$@\"; }}; "
    given = environment() | extra
    done = subprocess.run(
        ["bash", "-c", backtest + command], cwd=place, env=given, capture_output=True, check=False
    )  # fmt: skip
    return Ended(done.returncode, *(said.decode("utf-8", "replace") for said in (done.stdout, done.stderr)))


def clean(place: Path) -> None:
    """Nothing half written is left."""
    assert not [name for name in entries(place) if "partial" in name or name.endswith(".old")]


GONE = {
    "run hold.py --data market": "reports/hold-cross: cannot be written",
    "verify report": "report: no such report",
    "margin book.toml": "book.toml: no such file",
    "data sample market": "market: cannot be written",
    "strategies new idea": "strategies: cannot be written",
}


def test_a_working_directory_that_was_deleted(place: Path) -> None:
    for command, said in GONE.items():
        one_line(shell(place, f"mkdir gone; cd gone; rmdir ../gone; backtest {command}"), 2, said)
    whole = f"'{place}/hold.py' --data '{place}/market' --out '{place}/report'"
    assert shell(place, f"mkdir gone; cd gone; rmdir ../gone; backtest run {whole}").code == 0


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_locale_of_ascii(place: Path) -> None:
    (place / "hold.py").write_text((place / "hold.py").read_text().replace("Buys a", "Käuft → a"), encoding="utf-8")
    done = shell(place, f"backtest {' '.join(RUN)} --verbose", **ASCII)
    assert (done.code, done.err) == (0, "")
    assert "→" in (place / "report" / "report.html").read_text(encoding="utf-8")
    # What the two locales make of the same run is the same.
    assert shell(place, "backtest verify report", LC_ALL="C.UTF-8").code == 0
    said = "argument 'r\\udcc3\\udca4' is not text in this locale; set LC_ALL=C.UTF-8"
    one_line(shell(place, "backtest run hold.py --data market --out rä", **ASCII), 2, said)
    within = "mkdir ä; cp -r hold.py market ä; cd ä; backtest run hold.py --data market"
    one_line(shell(place, within, **ASCII), 2, "its path is not text in this locale")
    clean(place)


@pytest.mark.parametrize(
    "command", ["venues list", "venues list --json", "--help", "--version", "strategies list", " ".join(RUN)]
)
def test_a_standard_output_that_is_full(place: Path, command: str) -> None:
    written = f"; {place / 'report'} was written" if command.startswith("run") else ""
    done = shell(place, f"backtest {command} > /dev/full")
    assert (done.code, done.err) == (1, f"error: standard output: No space left on device{written}\n")


OUT = {
    "run hold.py --data market --out": ("/", "dangling", "loop", "loop/x", LONG, "market", "/dev/null"),
    "data sample": ("/", "dangling", "loop", "loop/x", LONG, "hold.py"),
    "data import market --out": ("/", "dangling", "loop", "loop/x", LONG, "hold.py"),
    "margin book.toml --out": ("/", "dangling", "loop", "loop/x", LONG, "market"),
    "strategies new idea": ("loop", "loop/x", LONG, "hold.py"),
    "demo": ("loop", LONG, "hold.py"),
}
IN = {
    "data info": "",
    "data check": "",
    "data import": "",
    "verify": "",
    "run hold.py --data": "",
    "run --data market": ".py",
    "run hold.py --data market --venue": ".toml",
    "run hold.py --data market --chain": ".toml",
    "run hold.py --data market --chain base --outages": ".csv",
    "run hold.py --data market --adl": ".csv",
    "margin": ".toml",
    "venues show": ".toml",
    "chains show": ".toml",
}
PLACES = [(command, name) for command, names in OUT.items() for name in names]
PLACES += [(command, f"{name}{suffix}") for command, suffix in IN.items() for name in ("dangling", "loop", LONG)]


def test_places_where_nothing_can_be_written_or_read(place: Path, command: Command) -> None:
    (place / "book.toml").write_text(
        'venue = "generic"\nmargin = "cross"\ncollateral = 10_000\n'
        '[[positions]]\nsymbol = "BTC-USD"\nqty = 1\nmark = 50_000\n'
    )
    before = entries(place)
    for asked, name in PLACES:
        ended = command(*asked.split(), name)
        one_line(ended, 2)
        assert "fault of backtest" not in ended.err, (asked, name, ended.err)
    assert entries(place) == before


RAISED = ("__import__('asyncio').CancelledError()", "GeneratorExit()", "BaseException('odd')", "SystemExit(0)")
HOOKS = {
    "on_candle": "    def on_candle(self, market, account):\n        raise {}\n",
    "on_start": "    def on_candle(self, market, account):\n        pass\n\n    def on_start(self, market, account):\n"
    "        raise {}\n",
    "targets": "    def targets(self, candles):\n        raise {}\n",
    "features": "    def on_candle(self, market, account):\n        pass\n\n    def features(self, candle):\n"
    "        raise {}\n",
    "__init__": "    def on_candle(self, market, account):\n        pass\n\n    def __init__(self, **params):\n"
    "        raise {}\n",
}  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_exceptions_that_are_no_errors(place: Path, command: Command, hook: str) -> None:
    for raised in RAISED:
        (place / "odd.py").write_text(HEAD + HOOKS[hook].format(raised))
        ended = command("run", "odd.py", "--data", "market", "--out", "report")
        one_line(ended, 2 if hook == "__init__" else 1, f"Odd.{hook}", raised.split("(")[-2].split(".")[-1])
        assert not (place / "report").exists()
    clean(place)


def test_a_file_that_raises_on_import(place: Path, command: Command) -> None:
    for raised in RAISED:
        (place / "odd.py").write_text(f"raise {raised}\n")
        one_line(command("run", "odd.py", "--data", "market"), 2, "odd.py:1: on import")


def test_a_standard_error_that_is_full(place: Path) -> None:
    assert shell(place, "backtest verify nothing 2> /dev/full") == Ended(2, "", "")
