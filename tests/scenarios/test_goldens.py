"""A few whole runs, pinned: the digest over all tables and the headline numbers of each teaching strategy and mode.

`pytest tests/scenarios/test_goldens.py --update-goldens` rewrites `goldens.json`; nothing else does. Changing it
changes what users get, and is explained where it is made.

Besides our own code four libraries have a say in a digest: NumPy (the random streams and the exponentials behind the
sample), Polars (rolling means and ranks in the strategies), Numba with LLVM (the kernels; without fastmath nothing may
be reordered), DuckDB (the joins behind the candles). They are kept beside the numbers. A run with other versions
that differs says so; a run with the same versions that differs is our doing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest.data.sample import write_sample

FILE = Path(__file__).with_name("goldens.json")
HEADLINES = ("final_equity", "max_drawdown", "funding", "fees", "bad_debt", "pool_liquidations", "fills")
LIBRARIES = ("numpy", "polars", "numba", "duckdb")
MODES = ("isolated", "cross")
RUNS: dict[str, dict[str, Any]] = {
    "breakout": {"window": 12},
    "funding_carry": {"weight": 2.0},
    "hedged_pair": {},
    "lifeline": {"leverage": 6.0, "high": 7.5, "low": 5.0},
    "maker_grid": {},
    "momentum_rotation": {"days": 3, "weight": 2.0},
    "pairs_trade": {"window": 72, "enter": 1.5},
    "sma_cross": {"fast": 8, "slow": 24, "weight": 1.5},
}
"""Teaching strategies by name, with parameters that make them trade in three weeks."""
BESIDE: dict[str, dict[str, Any]] = {"lifeline": {"reserve": 50_000, "chain": "arbitrum", "seed": 3}}
"""What one of them needs besides."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three weeks of three perps; the crash comes on the fifteenth day."""
    place = tmp_path_factory.mktemp("goldens") / "sample"
    return write_sample(place, days=21, interval="15m", symbols=("BTC-USD", "ETH-USD", "SOL-USD"))


def played(name: str, sample: Path, **more: Any) -> dict[str, Any]:
    """Digest, headline numbers and versions of one strategy in every mode."""
    costs = {"fee_bps": 5, "slippage_bps": 1, "latency_ms": 1500}
    both = backtest.compare(name, sample, margin=MODES, params=RUNS[name], **costs, **BESIDE.get(name, {}), **more)
    versions = both[MODES[0]].summary["versions"]
    found = {
        mode: {"digest": both[mode].digest} | {number: both[mode].metrics[number] for number in HEADLINES}
        for mode in MODES
    }
    return {"runs": found, "versions": {library: versions[library] for library in LIBRARIES}}


def test_the_runs_show_what_they_are_for(sample: Path) -> None:
    """Goldens of runs in which nothing happens would guard nothing."""
    goldens = {name: played(name, sample)["runs"] for name in RUNS}
    assert all(run["fills"] > 0 for modes in goldens.values() for run in modes.values())
    assert goldens["hedged_pair"]["isolated"]["pool_liquidations"] > 0
    assert goldens["hedged_pair"]["cross"]["pool_liquidations"] == 0
    assert len({run["digest"] for modes in goldens.values() for run in modes.values()}) == 2 * len(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_what_it_was(name: str, sample: Path, request: pytest.FixtureRequest) -> None:
    found = played(name, sample)
    if request.config.getoption("--update-goldens"):
        known = json.loads(FILE.read_text()) if FILE.exists() else {}
        goldens = {run: known[run] for run in RUNS if run in known} | {name: found}
        FILE.write_text(json.dumps(goldens, indent=1, sort_keys=True) + "\n")
    pinned = json.loads(FILE.read_text())[name]
    changed = [
        f"{of} {pinned['versions'][of]} then, {now} now"
        for of, now in found["versions"].items()
        if now != pinned["versions"][of]
    ]
    # The numbers before the digests: they say what has changed, a digest only that something has.
    assert found["runs"] == pinned["runs"], (
        "; ".join(changed) or "the same libraries: our own code gives another result"
    )


@pytest.mark.parametrize("name", RUNS)
def test_interpreted_kernels_give_the_same_bytes(name: str, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKTEST_KERNELS", "interpreted")
    assert played(name, sample)["runs"] == json.loads(FILE.read_text())[name]["runs"]


@pytest.mark.parametrize("name", sorted(set(RUNS) - set(BESIDE)))
def test_an_instant_chain_changes_no_byte(name: str, sample: Path) -> None:
    assert played(name, sample, chain="instant")["runs"] == json.loads(FILE.read_text())[name]["runs"]
