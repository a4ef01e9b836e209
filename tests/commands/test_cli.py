"""The command line: what it accepts, what it passes on, where it prints, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import backtest
from backtest.cli import main, output
from backtest.core.errors import RunError, UserError
from backtest.results.lazy_tables import Tables
from backtest.results.ledger import FLOWS
from backtest.results.tables import SCHEMAS
from tests.unit.feed_datasets import HOUR, candles, flat, funding

HEAVY = {"polars", "pyarrow", "duckdb", "numpy", "numba", "pydantic", "rich", "plotly", "jinja2"}


class Outcome:
    """How a call of the command line ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capsys.readouterr()
        return Outcome(ended.value.code or 0, captured.out, captured.err)  # type: ignore[arg-type]

    return call


def fake(label: str, equity: float, folder: Path | None = None) -> Any:
    """A run's result without a run: nothing happened, and its Sharpe ratio is undefined."""
    tables = Tables({name: pl.DataFrame(schema=schema) for name, schema in SCHEMAS.items()})
    metrics = dict.fromkeys((*output.HEADLINES, "trades", "open_trades", "orders"), 0) | {
        "start_cash": 1000.0,
        "final_equity": equity,
        "sharpe": None,
    }
    summary = {
        "label": label, "metrics": metrics, "counts": {"gaps": 3, "none": 0}, "notes": ["marks are trades"],
        "warnings": ["synthetic data", "no fees charged (--fee-bps is 0)"],
        "config": {"margin": label, "venue": "v"},
        "data": {
            "quote": "USDC", "synthetic": True, "from_ms": 0, "to_ms": 86_400_000, "interval_ms": 3_600_000,
            "symbols": ["A", "B"], "name": "d", "provenance": "",
        },
    }  # fmt: skip
    return SimpleNamespace(label=label, metrics=metrics, tables=tables, summary=summary, folder=folder)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the public functions are called with; they give a made-up result at once."""
    seen: dict[str, Any] = {}

    def run(strategy: str, data: str, **settings: Any) -> Any:
        seen.update(settings, strategy=strategy, data=data)
        return fake("cross", 1100.0, Path(settings["out"]))

    def compare(strategy: str, data: str, **settings: Any) -> Any:
        seen.update(settings, strategy=strategy, data=data)
        results = [fake("isolated", 900.0), fake("cross", 1100.0)]
        summary = {"kind": "comparison", "runs": {r.label: r.summary for r in results}}
        return SimpleNamespace(results=results, summary=summary, folder=Path(settings["out"]))

    monkeypatch.setitem(vars(backtest), "run", run)
    monkeypatch.setitem(vars(backtest), "compare", compare)
    return seen


def failing(error: BaseException) -> Any:
    def run(*_: Any, **__: Any) -> None:
        raise error

    return run


def children_s() -> float:
    """Processor time of the processes that have ended."""
    used = os.times()
    return used.children_user + used.children_system


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    code = "import sys, backtest.cli\ntry: backtest.cli.main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    taken = []
    while len(taken) < 12 and min(taken, default=1.0) >= 0.3:  # its own processor time: other workers are busy too
        begun = children_s()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        taken.append(children_s() - begun)
    assert "compare" in done.stdout
    assert not HEAVY & set(done.stderr.split())
    assert min(taken) < 0.3


@pytest.mark.parametrize("command", ["run", "compare", "margin", "demo", "verify", "data", "strategies", "venues"])
def test_every_command_has_help(call: Any, command: str) -> None:
    done = call(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"backtest {command}" in done.out


def test_the_flows_in_the_terminal_add_up() -> None:
    """A row that is left out would make the table not sum to the profit; slippage holds spread, impact and drift."""
    assert set(FLOWS) <= set(output.HEADLINES)
    assert "slippage" not in output.HEADLINES


def test_only_flags_that_are_given_reach_the_public_function(call: Any, asked: dict[str, Any]) -> None:
    assert call("run", "sma_cross", "--data", "d").code == 0
    assert asked.pop("progress")
    assert asked == {"strategy": "sma_cross", "data": "d", "out": str(Path("reports/sma_cross-cross"))}


def test_every_flag_reaches_the_public_function(call: Any, asked: dict[str, Any]) -> None:
    flags = (
        "--symbols A,B --from 2024-03-12 --to 2024-03-12T10:30+02:00 --venue v.toml --margin isolated --leverage 5"
        " --cash 1e4 --path worst --latency-ms 250 --slippage-bps 1.5 --fee-bps 4.5 -p fast=10 -p name=a=b --seed 7"
        " --maker-fee-bps -0.5 --fee-discount bnb --timeout 90"
        " --slippage half-spread=edge --slippage impact=1:0.6 --volume-share 10% --limit-fill touch"
        " --allow missing-funding --isolate-above 0.5 --adl 2024-03-12,*,0.5 --adl move=5%/1h,1 --adl-top 2"
        " --guard stop=5% --guard age=3d --interval 1h --drill 5m --out o"
        " --chain c.toml --outages history --outages worst:30m --reorg 30s --force-inclusion --oracle median"
        " --reserve 2e4 --no-gas --no-mark-cost"
    )
    assert call("run", "my/x.py:Two", "--data", "d", *flags.split()).code == 0
    assert asked.pop("progress")
    # 2024-03-12 is day 19,794 since 1970: 19,794 x 86,400,000 = 1,710,201,600,000.
    # 10:30+02:00 is 08:30 UTC: 8.5 x 3,600,000 = 30,600,000 later.
    assert asked == {
        "strategy": "my/x.py:Two", "data": "d", "symbols": ("A", "B"), "start": 1_710_201_600_000,
        "end": 1_710_232_200_000, "venue": "v.toml", "margin": ("isolated",), "leverage": 5.0, "cash": 10_000.0,
        "path": "worst", "latency_ms": 250, "slippage_bps": 1.5, "fee_bps": 4.5, "seed": 7,
        "maker_fee_bps": -0.5, "fee_discount": "bnb", "timeout": 90.0,
        "slippage": ("half-spread=edge", "impact=1:0.6"), "volume_share": "10%", "limit_fill": "touch",
        "params": {"fast": "10", "name": "a=b"}, "allow": ("missing-funding",), "out": "o",
        "isolate_above": 0.5, "adl": ("2024-03-12,*,0.5", "move=5%/1h,1"), "adl_top": 2,
        "guards": ("stop=5%", "age=3d"), "interval": 3_600_000, "drill": 300_000,
        "chain": "c.toml", "outages": ("history", "worst:30m"), "reorg": 30_000, "force_inclusion": True,
        "oracle": ("median",), "reserve": 20_000.0, "gas": False, "mark_cost": False,
    }  # fmt: skip


def test_compare_takes_modes_and_names_its_folder(call: Any, asked: dict[str, Any]) -> None:
    assert call("compare", "pkg.mod:Pair", "--data", "d").code == 0
    assert asked["out"] == str(Path("reports/Pair-isolated-cross"))


def test_run_prints_words_table_notes_and_the_report(call: Any, asked: dict[str, Any]) -> None:
    brief, done = (call("run", "x", "--data", "d", "--out", "o", *more) for more in ((), ("--verbose",)))
    assert (done.code, done.err) == (0, "")
    assert "\n1 assumption and 1 count; --verbose lists them\n" in brief.out
    assert "marks are trades" not in brief.out
    lines = [line.split() for line in done.out.splitlines()]
    top = [" ".join(line) for line in lines if line and line[0] in ("Period", "Venue", "Markets", "Trades")]
    assert top == ["Period 1970-01-01 00:00 to 1970-01-02 00:00 UTC, 1h candles", "Venue v", "Markets A, B", "Trades 0"]
    assert lines.index(["Trades", "0"]) < lines.index(["Equity", "at", "the", "end", "1,100.00"])
    assert ["Equity", "at", "the", "end", "1,100.00"] in lines
    assert ["Sharpe", "n/a"] in lines
    assert ["-", "marks", "are", "trades"] in lines
    assert ["-", "gaps:", "3"] in lines
    assert "none" not in done.out
    assert done.out.startswith("Synthetic data; no fees charged (--fee-bps is 0).\n")
    assert done.out.endswith(f"report: {Path('o') / 'report.html'}\n")


def test_compare_puts_modes_side_by_side(call: Any, asked: dict[str, Any]) -> None:
    lines = [line.split() for line in call("compare", "x", "--data", "d").out.splitlines()]
    assert ["metric", "isolated", "cross", "difference"] in lines
    assert ["Equity", "at", "the", "end", "900.00", "1,100.00", "+200.00"] in lines
    assert ["Sharpe", "n/a", "n/a", "n/a"] in lines


@pytest.mark.parametrize("command", ["run", "compare"])
def test_json_is_all_that_standard_output_has(call: Any, asked: dict[str, Any], command: str) -> None:
    done = call(command, "x", "--data", "d", "--json", "--out", "o")
    summary = json.loads(done.out)
    assert (summary["runs"]["cross"] if command == "compare" else summary)["metrics"]["final_equity"] == 1100.0
    assert done.err == f"report: {Path('o') / 'report.html'}\n"


BAD = {
    "run x --data d --leverag 2": "No such option '--leverag'. Did you mean '--leverage'?",
    "run x": "Missing option '--data'",
    "run": "Missing argument 'STRATEGY...'",
    "rnu": "Did you mean 'run'?",
    "run x --data d --from yesterday": "invalid value 'yesterday' in --start",
    "run x --data d --cash nan": "invalid value 'nan' in --cash",
    "run x --data d --cash inf": "invalid value 'inf' in --cash",
    "run x --data d --cash 0": "invalid value '0' in --cash",
    "run x --data d --fee-bps -1": "invalid value '-1' in --fee-bps",
    "run x --data d --latency-ms 0.5": "invalid value '0.5' in --latency-ms (give a whole number",
    "run x --data d --symbols A,,B": "invalid value 'A,,B' in --symbols",
    "run x --data d -p fast": "'fast' is not NAME=VALUE in -p",
    "run x --data d -p a=1 -p a=2": "'a' is given twice",
    "venues show genric": "did you mean 'generic'?",
    "venues show none.toml": "no such venue file",
    "strategies new 1": "cannot be the name of a strategy",
}


@pytest.mark.parametrize("arguments", BAD)
def test_bad_usage_is_one_line_and_exit_2(call: Any, asked: dict[str, Any], arguments: str) -> None:
    done = call(*arguments.split())
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert done.err.startswith("error: ")
    assert BAD[arguments] in done.err
    assert not asked


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("no such folder", "d", "check --data"), 2, "error: d: no such folder; check --data\n"),
        (
            RunError("x.py: on_candle at noon:\n ZeroDivisionError"),
            1,
            "error: x.py: on_candle at noon: ZeroDivisionError\n",
        ),
        (KeyboardInterrupt(), 130, "error: interrupted; nothing was written\n"),
        (AssertionError("books"), 1, "error: AssertionError: books; this is a fault of backtest itself"),
    ],
)
def test_a_failure_is_one_line(
    call: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    monkeypatch.setitem(vars(backtest), "run", failing(error))
    done = call("run", "x", "--data", "d")
    assert (done.code, done.out, len(done.err.splitlines())) == (code, "", 1)
    assert done.err.startswith(said)


@pytest.mark.parametrize("arguments", ["--traceback run x --data d", "run x --data d --traceback"])
def test_traceback_is_shown_when_asked_for(call: Any, monkeypatch: pytest.MonkeyPatch, arguments: str) -> None:
    monkeypatch.setitem(vars(backtest), "run", failing(RunError("no")))
    done = call(*arguments.split())
    assert done.code == 1
    assert done.err.startswith("Traceback (most recent call last):")
    assert done.err.endswith("\nerror: no\n")


@pytest.mark.parametrize("ok", [True, False])
def test_verify_ends_by_whether_the_digests_agree(call: Any, monkeypatch: pytest.MonkeyPatch, ok: bool) -> None:
    unequal = () if ok else ("equity.parquet",)
    found = backtest.Verification(ok, "aa", "aa" if ok else "bb", ("strategy",), unequal)
    monkeypatch.setitem(vars(backtest), "verify", lambda folder, data=None, trust=False, timeout=None: found)
    done = call("verify", "r")
    assert done.code == (0 if ok else 1)
    assert "changed since: strategy" in (done.out if ok else done.err)
    answer = {"ok": ok, "expected": "aa", "found": found.found, "changed": ["strategy"]}
    answer |= {"unequal": list(unequal), "page_compared": True}
    assert json.loads(call("verify", "r", "--json").out) == answer


def test_strategies_are_listed_by_name(call: Any) -> None:
    listed = json.loads(call("strategies", "list", "--json").out)
    teaching = [entry for entry in listed if entry["origin"] == "teaching"]
    assert [entry["name"] for entry in teaching] == [
        "breakout", "funding_carry", "hedged_pair", "lifeline", "maker_grid", "momentum_rotation", "pairs_trade",
        "sma_cross",
    ]  # fmt: skip
    assert all(entry["doc"] and not entry["error"] for entry in teaching)
    assert "hedged_pair" in call("strategies", "list").out


def test_a_new_strategy_is_written_once(call: Any, tmp_path: Path) -> None:
    first = call("strategies", "new", "my_idea", str(tmp_path))
    assert (first.code, first.out) == (0, "")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["my_idea.py", "test_my_idea.py"]
    again = call("strategies", "new", "my_idea", str(tmp_path))
    assert (again.code, again.err) == (2, f"error: {tmp_path / 'my_idea.py'}: the file is already there; {REMEDY}\n")


REMEDY = "choose another name, or remove it"


def test_a_venue_is_shown(call: Any) -> None:
    assert json.loads(call("venues", "show", "generic", "--json").out)["defaults"]["maintenance"] == "0.03"
    assert ["every", "no", "limit", "5.00%", "3.00%", "20.0"] in [
        line.split() for line in call("venues", "show", "generic").out.splitlines()
    ]
    assert "generic" in call("venues", "list").out


def test_the_public_names_are_there() -> None:
    assert set(backtest.__all__) == set(backtest._HOME)
    assert set(backtest.__all__) < set(dir(backtest))
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        _ = backtest.runn


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data") / "small"
    with pytest.raises(SystemExit) as ended:
        main(["data", "sample", str(place), "--days", "1", "--interval", "1h", "--symbols", "BTC-USD,ETH-USD"])
    assert ended.value.code == 0
    return place


def test_data_info_lists_the_symbols(call: Any, market: Path) -> None:
    done = call("data", "info", str(market))
    rows = [line.split() for line in done.out.splitlines()]
    day = (pl.scan_parquet(market / "candles/symbol=BTC-USD/*.parquet").select("ts").first().collect().item()).date()
    # A day of hours, with the time of day of each series' first and last row.
    hours = ["1h", str(day), "00:00", str(day), "23:00", "24", "0"]
    for symbol in ("BTC-USD", "ETH-USD"):
        at = next(k for k, row in enumerate(rows) if row[:1] == [symbol])
        assert rows[at][1:9] == ["candles", *hours]
        assert rows[at + 1] == ["mark", *hours]
        assert rows[at + 2] == ["funding", "8h", str(day), "00:00", str(day), "16:00", "3"]
    listed = json.loads(call("data", "info", str(market), "--json").out)["symbols"]
    assert [(row["symbol"], row["rows"], row["last_ms"] - row["first_ms"]) for row in listed] == [
        ("BTC-USD", 24, 23 * 3_600_000),
        ("ETH-USD", 24, 23 * 3_600_000),
    ]


def test_data_info_tells_rare_intervals_and_lots_that_cannot_be_small(call: Any, tmp_path: Path) -> None:
    stamps = [*range(0, 8 * 300, 8), 8 * 301, *range(8 * 301 + 4, 8 * 301 + 80, 4)]
    candles(tmp_path, "X", flat(*[125_000.0] * 2_500), HOUR)
    funding(tmp_path, "X", [(hour, 0.0001) for hour in stamps])
    shown = call("data", "info", str(tmp_path)).out
    assert "8h, 16h (1x), 4h " in shown
    assert "no mark: X" in shown
    # Of the smallest quantity that there is, 0.000001, a lot at 125,000 costs 0.125.
    assert "0.000001*" in shown
    assert "X: a lot cost 0.125000 USD, as no step is smaller than 0.000001" in shown


def test_data_check_ends_with_2_on_errors_and_lists_them(call: Any, market: Path, tmp_path: Path) -> None:
    clean = call("data", "check", str(market))
    assert clean.code == 0
    assert "48 candles of 2 symbols: 0 errors" in clean.out
    bad = tmp_path / "candles" / "symbol=BTC-USD"
    bad.mkdir(parents=True)
    frame = pl.read_parquet(market / "candles/symbol=BTC-USD/part.parquet")
    # The high of one candle below its low.
    frame.with_columns(high=pl.when(pl.int_range(pl.len()) == 5).then(1.0).otherwise("high")).write_parquet(
        bad / "part.parquet"
    )
    (tmp_path / "funding").symlink_to(market / "funding")
    done = call("data", "check", str(tmp_path))
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert done.err.startswith(f"error: {tmp_path}: 1 errors in the data")
    assert "error candles that contradict themselves: 1" in done.out
    found = json.loads(call("data", "check", str(tmp_path), "--json").out)
    assert (found["errors"], found["found"][0]["severity"]) == (1, "error")


def test_data_check_lists_the_worst_cases_and_all_of_them_on_demand(call: Any, tmp_path: Path) -> None:
    candles(tmp_path, "X", [(k * (k + 3) // 2, 1, 1, 1, 1, 1) for k in range(9)])
    (tmp_path / "dataset.toml").write_text('[dataset]\ninterval = "1m"')
    funding(tmp_path, "X", [(0, 0.0)])
    few = call("data", "check", str(tmp_path)).out
    assert "8 missing before it" in few.splitlines()[2]
    assert "and 3 more; --all lists them" in few
    every = call("data", "check", str(tmp_path), "--all").out
    assert (every.count("missing before it"), "--all" in every) == (8, False)
    assert len(json.loads(call("data", "check", str(tmp_path), "--all", "--json").out)["found"][0]["cases"]) == 8


def test_a_missing_dataset_is_one_line(call: Any, tmp_path: Path) -> None:
    for command in ("info", "check"):
        done = call("data", command, str(tmp_path / "none"))
        assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)


def test_the_first_run_ever_says_what_it_waits_for(place: Path) -> None:
    """Before it has compiled anything: who waits half a minute wants to know why."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "NUMBA_DISABLE_JIT": "0"}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-m", "backtest", "run", "hold.py", "--data", "market"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        assert run.stderr
        said = run.stderr.readline()
        run.kill()
    assert said.startswith(b"compiling the engine")
