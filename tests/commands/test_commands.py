"""Whole commands as a user runs them: what they print and where, what they write, how they end when they are killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.small_market import HEAD, Ended, candles, entries, environment, hook, process, put

MS = pa.timestamp("ms", "UTC")
DESIGN = {
    "equity": "ts equity wallet reserve in_flight unrealized initial_margin maintenance_margin margin_ratio "
    "free_collateral gross_notional net_notional drawdown",
    "positions": "ts symbol pool qty entry_price mark notional unrealized liquidation_price",
    "orders": "order_id ts_sent ts_arrived ts_done symbol side type qty limit_price stop_price tif reduce_only "
    "post_only status reason filled_qty cause",
    "fills": "fill_id order_id ts symbol side qty price decision_price arrival_price fee liquidity realized_pnl cause",
    "funding": "ts symbol qty price rate payment",
    "liquidations": "ts pool symbol stage qty price penalty insurance bad_debt equity_before maintenance_before "
    "equity_after maintenance_after ambiguous",
    "transfers": "ts transfer_id kind state route amount fee arrives reason",
    "gas": "ts order_id kind amount",
    "margin": "ts pool equity initial maintenance margin_ratio",
    "ledger": "ts debit credit amount_micro code ref",
}
"""The columns that others build on, table by table. More may follow them."""
TABLES = {
    f"{name}.parquet" for name in (*DESIGN, "ambiguous", "guards", "trades", "trades_fifo", "attribution", "marks")
}
ONCE = {"report.html", "summary.json", "run.toml", "candles.parquet"}
"""What the report of a run has beside the tables of its account."""
RUN = ONCE | TABLES
HOLD = ("run", "hold.py", "--data", "market", "--out")


pytestmark = pytest.mark.usefixtures("compiled")


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by its path from there."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


# ---- what is written


def test_a_run_writes_exactly_what_is_promised(place: Path, command: Callable[..., Ended]) -> None:
    done = command(*HOLD, "report", "--fee-bps", "5")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == f"report: {place / 'report' / 'report.html'}"
    assert entries(place / "report") == RUN
    for name, columns in DESIGN.items():
        footer = pq.read_metadata(place / "report" / f"{name}.parquet")
        schema = footer.schema.to_arrow_schema()
        assert schema.names[: len(columns.split())] == columns.split()
        assert footer.metadata[b"backtest.schema_version"] == b"4"
        for column in schema.names:
            # Times are UTC milliseconds, money and sizes doubles; only the ledger counts in whole micro-units.
            if column == "ts" or column.startswith("ts_"):
                assert schema.field(column).type == MS
            elif column in ("qty", "price", "equity", "payment", "fee", "penalty", "amount"):
                assert schema.field(column).type == pa.float64()
    assert pq.read_schema(place / "report" / "ledger.parquet").field("amount_micro").type == pa.int64()
    summary = json.loads((place / "report" / "summary.json").read_text())
    parts = {
        "config",
        "data",
        "digest",
        "metrics",
        "notes",
        "seed",
        "strategy",
        "versions",
        "counts",
        "warnings",
        "look_ahead",
        "lowest",
    }
    assert parts | {"kind", "label", "schema_version"} == set(summary)
    assert "<html" in (place / "report" / "report.html").read_text()[:200]


def test_without_a_folder_the_report_goes_to_reports(place: Path, command: Callable[..., Ended]) -> None:
    assert command("run", "hold.py", "--data", "market", "--margin", "isolated").code == 0
    assert command("compare", "hold.py:Hold", "--data", "market").code == 0
    assert {path.name for path in (place / "reports").iterdir()} == {"hold-isolated", "Hold-isolated-cross"}


def test_compare_writes_a_folder_per_mode(place: Path, command: Callable[..., Ended]) -> None:
    done = command("compare", "hold.py", "--data", "market", "--out", "report", "--json")
    assert (done.code, done.err) == (0, f"report: {place / 'report' / 'report.html'}\n")
    inside = {f"{mode}/{name}" for mode in ("isolated", "cross") for name in TABLES | {"summary.json"}}
    assert entries(place / "report") == {"report.html", "summary.json", "run.toml", "isolated", "cross"} | inside
    printed = json.loads(done.out)
    assert set(printed["runs"]) == {"isolated", "cross"}
    assert printed["runs"] == json.loads((place / "report" / "summary.json").read_text())["runs"]


def test_a_mode_without_figures_is_left_out_and_said_first(place: Path, command: Callable[..., Ended]) -> None:
    asked = ("compare", "hold.py", "--data", "market", "--venue", "okx_swap", "--out", "report")
    done = command(*asked, "--margin", "portfolio,isolated,cross")
    assert done.code == 0, done.err
    said = "Portfolio margin was left out: the profile of okx_swap has no figures for it."
    assert said in done.out.splitlines()[:3]
    assert "portfolio" not in entries(place / "report")
    summary = json.loads((place / "report" / "summary.json").read_text())
    assert (set(summary["runs"]), set(summary["left_out"])) == ({"isolated", "cross"}, {"portfolio"})
    page = (place / "report" / "report.html").read_text()
    assert said in page
    assert page.index(said) < page.index("never held" if "never held" in page else "ended")
    assert command("verify", "report").code == 0


def test_the_same_command_gives_the_same_bytes(place: Path) -> None:
    """Other processes, other hash seeds, another folder: every file alike, Parquet and HTML included."""
    for name, seed in (("a", "1"), ("b", "2")):
        before = ("env", f"PYTHONHASHSEED={seed}")
        arguments = ("compare", "hold.py", "--data", "market", "--fee-bps", "4.5", "--latency-ms", "90000")
        assert process(place, *arguments, "--out", name, before=before).code == 0
    first, second = content(place / "a"), content(place / "b")
    assert len(first) == 2 * len(TABLES) + 5
    assert [name for name in first if first[name] != second.get(name)] == []
    assert str(place).encode() not in b"".join(first.values())


def test_a_report_is_replaced_by_the_next_one(place: Path, command: Callable[..., Ended]) -> None:
    assert command(*HOLD, "report").code == 0
    first = content(place / "report")
    assert command("compare", "hold.py", "--data", "market", "--out", "report").code == 0
    assert command(*HOLD, "report").code == 0
    assert content(place / "report") == first
    assert {path.name for path in place.iterdir()} == {"hold.py", "market", "report"}


# ---- what is printed


def test_json_is_all_that_standard_output_gets(place: Path) -> None:
    done = process(place, *HOLD, "report", "--json")
    assert done.code == 0
    assert json.loads(done.out) == json.loads((place / "report" / "summary.json").read_text())
    assert done.err == f"report: {place / 'report' / 'report.html'}\n"


def test_what_a_strategy_prints_is_no_part_of_the_answer(place: Path) -> None:
    (place / "chatty.py").write_text(hook("on_start", "print('hello')"))
    done = process(place, "run", "chatty.py", "--data", "market", "--out", "report", "--json")
    assert json.loads(done.out)["strategy"]["name"] == "Odd"
    assert done.err.startswith("hello\n")


@pytest.mark.parametrize(
    "arguments", ["data info market", "data check market", "strategies list", "venues list", "venues show generic"]
)
def test_whatever_is_listed_is_listed_as_json_too(place: Path, command: Callable[..., Ended], arguments: str) -> None:
    shown, machine = command(*arguments.split()), command(*arguments.split(), "--json")
    assert (shown.code, shown.err, machine.code, machine.err) == (0, "", 0, "")
    assert json.loads(machine.out)
    assert shown.out.strip()
    assert "\x1b" not in shown.out


SLOW = "import time\n" + HEAD + "    def on_candle(self, market, account):\n        time.sleep(0.03)\n"


def test_progress_is_for_a_terminal_and_for_what_takes_long(place: Path) -> None:
    """48 candles of 0.03 s. On a terminal a bar with the simulated date comes and goes; in a pipe there is none."""
    (place / "slow.py").write_text(SLOW)
    arguments = ("run", "slow.py", "--data", "market", "--out", "report")
    piped = process(place, *arguments)
    assert (piped.code, piped.err) == (0, "")
    assert "2024-03-03" in on_terminal(place, *arguments)
    assert on_terminal(place, *HOLD, "report") == ""


def on_terminal(folder: Path, *arguments: str) -> str:
    """What a command writes to standard error when that is a terminal."""
    ours, theirs = os.openpty()
    started = [sys.executable, "-m", "backtest", *arguments]
    surroundings = environment() | {"TERM": "xterm", "COLUMNS": "100"}
    running = subprocess.Popen(started, cwd=folder, env=surroundings, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # how a terminal ends that nobody writes to any more
        while piece := os.read(ours, 65_536):
            said += piece
    os.close(ours)
    assert running.wait(60) == 0
    return said.decode()


# ---- the end before the end

STARTS = (
    "import pathlib, time\n"
    + HEAD
    + "    def on_candle(self, market, account):\n        pathlib.Path('begun').touch()\n        time.sleep(0.2)\n"
)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_no_report(place: Path, command: Callable[..., Ended], end: signal.Signals) -> None:
    (place / "slow.py").write_text(STARTS)
    started = [sys.executable, "-m", "backtest", "run", "slow.py", "--data", "market", "--out", "report"]
    with subprocess.Popen(started, cwd=place, env=environment(), stderr=subprocess.PIPE, text=True) as running:
        patience = time.monotonic() + 120
        while not (place / "begun").exists():
            assert running.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.02)
        running.send_signal(end)
        said = running.communicate(timeout=60)[1]
    if end == signal.SIGINT:
        assert (running.returncode, said) == (130, "error: interrupted; nothing was written\n")
    else:
        assert running.returncode == -signal.SIGKILL
    assert {path.name for path in place.iterdir()} == {"begun", "hold.py", "market", "slow.py"}
    assert command(*HOLD, "report").code == 0


# ---- verify


@pytest.mark.parametrize("arguments", ["run hold.py --margin isolated", "compare hold.py --latency-ms 60000"])
def test_verify_says_that_it_is_the_same(place: Path, command: Callable[..., Ended], arguments: str) -> None:
    settings = (
        "--data",
        "market",
        "--from",
        "2024-03-01T05:00",
        "--cash",
        "250",
        "--slippage-bps",
        "2",
        "-p",
        "size=2",
    )
    assert command(*arguments.split(), *settings, "--out", "report").code == 0
    done = command("verify", "report")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("report: the same; digest ")
    (place / "market").rename(place / "moved")
    answer = json.loads(command("verify", "report", "--data", "moved", "--json").out)
    assert (answer["ok"], answer["changed"]) == (True, [])
    assert answer["expected"] == answer["found"]


def test_verify_says_what_has_changed(place: Path, command: Callable[..., Ended]) -> None:
    assert command(*HOLD, "report").code == 0
    put(candles().with_columns(pl.col("close") + 0.05), place / "market", "candles")
    done = command("verify", "report")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: market: the data have changed since; name the data of the report with --data\n"
    named = command("verify", "report", "--data", "market")
    assert (named.code, named.out) == (1, "")
    assert named.err.startswith("error: report: not the same; expected ")
    assert named.err.endswith("; changed since: data\n")
    put(candles(), place / "market", "candles")
    (place / "hold.py").write_text((place / "hold.py").read_text().replace("qty=self.size", "qty=2 * self.size"))
    assert command("verify", "report", "--trust").err.endswith("; changed since: strategy\n")


def test_verify_that_fails_without_a_change_says_where_to_look(place: Path, command: Callable[..., Ended]) -> None:
    (place / "odd.py").write_text(hook("on_candle", "account.target('BTC-USD', qty=__import__('random').random())"))
    assert command("run", "odd.py", "--data", "market", "--out", "report").code == 0
    done = command("verify", "report")
    assert done.code == 1
    assert "data, strategy and versions are the same: look for randomness outside self.rng" in done.err


def test_verify_names_versions_but_does_not_mind_them(place: Path, command: Callable[..., Ended]) -> None:
    assert command(*HOLD, "report").code == 0
    for name in ("summary.json", "report.html"):
        file = place / "report" / name
        text = file.read_text(encoding="utf-8")
        text = text.replace('"polars": "', '"polars": "0.').replace(
            "polars " + pl.__version__, "polars 0." + pl.__version__
        )
        file.write_text(text, encoding="utf-8")
    done = command("verify", "report")
    assert done.code == 0
    assert done.out.endswith("; changed since: polars\n")


# ---- from nothing


def test_the_demo_from_nothing(tmp_path: Path) -> None:
    """One command: real prices, both modes side by side, and where the report is."""
    done = process(tmp_path, "demo")
    assert done.code == 0
    assert done.out.startswith("No mark prices in the data (last prices are used).\n")
    assert "public domain (Unlicense)" in done.out
    assert ["metric", "isolated", "cross", "difference"] in [line.split() for line in done.out.splitlines()]
    place = tmp_path / "backtest-demo"
    assert done.out.splitlines()[-1] == f"report: {place / 'report.html'}"
    assert {path.name for path in place.iterdir()} == {"report.html", "run.toml", "summary.json", "cross", "isolated"}
    assert "group-m-finm33150-final" in (place / "report.html").read_text(encoding="utf-8")
    runs = json.loads((place / "summary.json").read_text())["runs"]
    # What it is there to show: alone each position is liquidated, together they survive.
    assert runs["isolated"]["metrics"]["pool_liquidations"] == 2
    assert runs["cross"]["metrics"]["pool_liquidations"] == 0
    assert runs["cross"]["data"]["synthetic"] is False


def test_a_sample_is_the_same_each_time_and_says_that_it_is_one(tmp_path: Path, command: Callable[..., Ended]) -> None:
    for name in ("a", "b"):
        flags = ("--days", "2", "--interval", "1h", "--seed", "3", "--symbols", "BTC-USD,PEPE-USD")
        assert command("data", "sample", str(tmp_path / name), *flags).code == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")
    for arguments in ("info", "check"):
        assert command("data", arguments, str(tmp_path / "a")).out.startswith("SYNTHETIC data")
        assert json.loads(command("data", arguments, str(tmp_path / "a"), "--json").out)["synthetic"] is True


def test_a_new_strategy_passes_its_own_test(tmp_path: Path) -> None:
    assert process(tmp_path, "strategies", "new", "my_idea", ".").code == 0
    pytest_on_it = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_idea.py"]
    done = subprocess.run(pytest_on_it, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_a_module_can_be_named_too(place: Path) -> None:
    """`module:Class` is found where Python finds modules; with `python -m` that is the current folder as well."""
    done = process(place, "run", "hold:Hold", "--data", "market", "--out", "report", "--json")
    assert done.code == 0, done.err
    strategy: dict[str, Any] = json.loads(done.out)["strategy"]
    assert (strategy["name"], strategy["params"]["size"]) == ("Hold", 1.0)
