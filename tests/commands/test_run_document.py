"""A run as a file: `--config`, the `run.toml` of a report, `config show` and `--dry-run`."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest import Strategy
from backtest.cli.run_request import run_request
from backtest.runner.run_document import document_text
from backtest.runner.setting import COMPARE, LATENCY, RUN, SUB_ACCOUNTS
from backtest.runner.validation import checked
from tests.small_market import Ended, entries, one_line

DRAWN: dict[str, tuple[Any, ...]] = {
    "symbols": ("BTC-USD", ["ETH-USD", "BTC-USD"]),
    "start": ("2024-03-01", "2024-03-01T05:30", 1_709_251_200_001),
    "end": ("2024-03-02T12:00",),
    "interval": ("1h", "2h", 7_200_000),
    "path": ("worst", "best"),
    "allow": ("missing-funding",),
    "seed": (7, 2**63 - 1),
    "params": ({"size": 2.5}, {"mode": "short", "fast": False}),
    "venue": ("generic", "binance", "hyperliquid", "own/v.toml"),
    "leverage": ("max", 3.5, 20),
    "cash": (1_000, 0.01, 1e9, 123_456.789),
    "reserve": (5_000,),
    "isolate_above": (0.5, 0.01),
    "adl": ("move=5%/10m,0.2", ["2024-03-01T10:00,*,1", "own/events.csv"]),
    "adl_top": (0, 3),
    "fee_bps": (0, 5, 0.1),
    "maker_fee_bps": (-0.5,),
    "slippage_bps": (1.5,),
    "slippage": (["half-spread=1", "impact=0.8"], "depth=own/depth.parquet"),
    "volume_share": ("taker=10%,maker=5%",),
    "limit_fill": ("touch",),
    "guards": (["stop=5%", "age=6h"], "trail[BTC-USD]=8%"),
    "latency_ms": (250,),
    "chain": ("arbitrum", "own/c.toml", "venue"),
    "outages": (["worst:30m", "own/halts.csv"], "2024-03-01T10:00/3h"),
    "reorg": ("30s",),
    "force_inclusion": (True,),
    "oracle": (["delay=3s", "median"],),
    "gas": (False,),
}
"""Sound values by setting."""


def draw(rng: random.Random, names: list[str]) -> dict[str, Any]:
    return {name: rng.choice(DRAWN[name]) for name in sorted(rng.sample(names, rng.randrange(1, len(names))))}


def test_fifty_drawn_configurations_are_read_back_as_they_were(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder that they were drawn in; and from another one, where relative paths name the same files."""
    rng, report = random.Random(14), place / "reports" / "mine"
    report.mkdir(parents=True)
    (place / "elsewhere").mkdir()
    for _ in range(50):
        monkeypatch.chdir(place)
        command = rng.choice((RUN, COMPARE, LATENCY, SUB_ACCOUNTS))
        given = draw(rng, [name for name in DRAWN if not (command == LATENCY and name == "latency_ms")])
        given["margin"] = (
            "cross,isolated" if command == COMPARE else rng.choice(("cross", "portfolio,ETH-USD=isolated"))
        )
        own = {RUN: {"mark_cost": False}, LATENCY: {"grid": [0, 90]}, SUB_ACCOUNTS: {"split": "60,40"}}
        asked = checked({**given, **own.get(command, {}), "data": "market"})
        specs = ["hold.py:Hold", "sma_cross"] if command == SUB_ACCOUNTS else ["hold.py"]
        text = document_text(command, asked, specs, report)
        (report / "run.toml").write_text(text)
        request = run_request("run" if command == SUB_ACCOUNTS else command, (), {"config": report / "run.toml"})
        assert (request.command, list(request.strategies), request.data) == (command, specs, "market")
        again = checked({name: value for name, value in request.values.items() if name != "sub_accounts"})
        assert again == asked, text
        monkeypatch.chdir(place / "elsewhere")
        far = run_request("run" if command == SUB_ACCOUNTS else command, (), {"config": report / "run.toml"})
        assert Path(far.data) == place / "market"


RUNS: dict[str, tuple[str, ...]] = {
    "run": ("hold.py", "-p", "size=2", "--margin", "cross,ETH-USD=isolated", "--guard", "stop=5%", "--fee-bps", "5"),
    "run --no-mark-cost": ("hold.py", "--oracle", "delay=2h", "--leverage", "3", "--interval", "2h", "--seed", "7"),
    "compare": ("hold.py", "--symbols", "ETH-USD", "--slippage", "half-spread=1", "--start", "2024-03-01T05:30"),
    "latency": ("hold.py", "--grid", "0,3600000", "--chain", "arbitrum", "--outages", "poisson=90/year:60m:8h"),
    "run --sub-accounts": ("hold.py", "sma_cross", "--split", "70,30", "--loss-cap", "20%,none", "-p", "1.size=3"),
}


def tables(report: Path) -> dict[str, Any]:
    summary = json.loads((report / "summary.json").read_text())
    return {name: run["digest"] for name, run in summary.get("runs", {"": summary}).items()}


@pytest.mark.parametrize("called", RUNS)
def test_the_file_of_a_report_reproduces_it(place: Path, command: Callable[..., Ended], called: str) -> None:
    first = command(*called.split(), *RUNS[called], "--data", "market", "--out", "reports/one")
    assert first.code == 0, first.err
    written = (place / "reports/one/run.toml").read_text()
    again = command(called.split()[0], "--config", "reports/one/run.toml", "--out", "reports/two")
    assert again.code == 0, again.err
    assert tables(place / "reports/one") == tables(place / "reports/two")
    assert (place / "reports/two/run.toml").read_text() == written
    assert (place / "reports/two/summary.json").read_bytes() == (place / "reports/one/summary.json").read_bytes()
    shutil.move(place / "reports/one", place / "one")
    one_line(command(called.split()[0], "--config", "one/run.toml", "--out", "x"), 2, "no such f")
    moved = command(called.split()[0], *RUNS[called][: 1 + ("sma_cross" in RUNS[called])], "--config", "one/run.toml",
                    "--data", "market", "--out", "three")  # fmt: skip
    assert (moved.code, tables(place / "three")) == (0, tables(place / "reports/two"))


def test_a_strategy_in_memory_cannot_be_run_again(place: Path, command: Callable[..., Ended]) -> None:
    class Passing(Strategy):
        """Does nothing."""

        def on_candle(self, market: Any, account: Any) -> None:
            return

    backtest.run(Passing, "market", out="report")
    text = (place / "report/run.toml").read_text()
    assert text.startswith("# This report cannot be run again from here: its strategy existed only in memory.\n")
    one_line(command("run", "--config", "report/run.toml"), 2, "report/run.toml:2: the strategy ", "existed only")


def test_flags_override_the_file_and_single_parameters(place: Path, command: Callable[..., Ended]) -> None:
    (place / "my.toml").write_text(
        'strategy = "hold.py"\ndata = "market"\nguards = ["stop=5%"]\ngas = false\n[params]\nsize = 2\nmode = "short"\n'
    )
    done = command("config", "show", "--config", "my.toml", "-p", "size=3", "--guard", "age=6h", "--gas", "--json")
    shown = {name: (entry["value"], entry["from"]) for name, entry in json.loads(done.out).items()}
    assert shown["params"] == ("size=3, mode=short", "my.toml:5 and flag")
    assert shown["guards"] == ("age=6h", "flag")
    assert shown["gas"] == ("true", "flag")
    assert shown["data"] == ("market", "my.toml:2")
    assert shown["cash"] == ("100000", "default")
    assert shown["strategy"] == ("hold.py", "my.toml")
    ran = command("run", "--config", "my.toml", "-p", "size=3", "--json", "--out", "r")
    assert json.loads(ran.out)["strategy"]["params"] == {"size": 3.0, "pause": 3, "mode": "short", "fast": True}


def test_a_file_serves_every_command(place: Path, command: Callable[..., Ended]) -> None:
    (place / "my.toml").write_text('strategy = "hold.py"\ndata = "market"\n[network]\ngrid = [0, 50]\nlatency_ms = 9\n')
    for called in ("run", "compare", "latency"):
        assert command(called, "--config", "my.toml", "--out", called).code == 0
    assert set(tables(place / "latency")) == {"0ms", "50ms"}


def test_a_dry_run_says_what_would_be_run_and_writes_nothing(place: Path, command: Callable[..., Ended]) -> None:
    before = entries(place)
    arguments = ("hold.py", "--data", "market", "--fee-bps", "5", "--venue", "bybit", "--dry-run")
    done = command("compare", *arguments, "--margin", "isolated,cross,portfolio", "--json")
    said = json.loads(done.out)
    assert said["candles"] == "48 of 1h x 2 symbols"
    assert (said["start"], said["end"]) == ("2024-03-01T00:00Z", "2024-03-03T00:00Z")
    assert (said["accounts"], said["settings"]["fee_bps"]) == ("isolated, cross", "5 (flag)")
    assert any("portfolio is left out" in line for line in said["assumptions"])
    assert said["seconds"] > 0
    assert "nothing was written" in command("run", *arguments).out
    assert entries(place) == before
    one_line(command("run", *arguments, "--margin", "cross,isolated"), 2, "--margin: margin modes cross, isolated")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_flags(command: Callable[..., Ended], shell: str) -> None:
    done = command("completion", shell)
    assert done.code == 0
    assert "_BACKTEST_COMPLETE" in done.out


def test_completion_knows_the_words_of_a_flag(monkeypatch: pytest.MonkeyPatch, command: Callable[..., Ended]) -> None:
    monkeypatch.setenv("_BACKTEST_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "backtest run x --path w")
    monkeypatch.setenv("COMP_CWORD", "4")
    assert command().out == "plain,worst\n"
    monkeypatch.setenv("COMP_WORDS", "backtest run --isol")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert command().out == "plain,--isolated-margin\nplain,--isolate-above\n"


def test_no_color(place: Path, command: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in command("venues", "list").out
