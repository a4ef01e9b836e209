"""By which names a venue goes, and which venue a run goes by: the one asked for, else the dataset's, else `generic`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import backtest
from backtest.venues import profile
from tests.scenarios.scenario import Market, Script, buy, write
from tests.small_market import Ended, one_line

ALIASES = {
    "binance": "binance_usdm",
    "bybit": "bybit_linear",
    "okx": "okx_swap",
    "dydx": "dydx_v4",
    "gmx": "gmx_v2",
    "drift": "drift_v2",
    "synthetix": "synthetix_v3",
}
IDLE = """from backtest import Strategy


class Idle(Strategy):
    def on_candle(self, market, account):
        pass
"""


def dataset(folder: Path, venue: str = "") -> Path:
    """Four flat minutes of BTC; ``venue``: what dataset.toml says."""
    place = write(folder, Market("BTC", [1e4] * 4))
    file = place / "dataset.toml"
    if venue:
        file.write_text(file.read_text().replace("[dataset]", f'[dataset]\nvenue = "{venue}"', 1))
    return place


def played(data: Path, **settings: object) -> str:
    """The venue of a run, as its summary says."""
    result = backtest.run(Script({0: buy("BTC", 1)}, 60_000), data, allow=["missing-funding"], **settings)
    return result.summary["config"]["venue"]


def test_every_alias_is_one_venues_and_no_other_venues_name() -> None:
    given = [(alias, known.name) for known in profile.available() for alias in known.aliases]
    assert ALIASES.items() <= dict(given).items()
    assert len(dict(given)) == len(given)
    assert not set(dict(given)) & set(profile.names())
    assert {alias: profile.load(alias).name for alias in ALIASES} == ALIASES


def test_a_file_that_extends_a_venue_does_not_take_its_aliases(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('name = "own"\nextends = "okx"\n')
    known = profile.load(tmp_path / "own.toml")
    assert (known.aliases, known.quote) == ([], "USDT")


def test_the_datasets_venue_is_the_default_and_generic_only_without_one(tmp_path: Path) -> None:
    assert played(dataset(tmp_path / "none")) == "generic"
    okx = dataset(tmp_path / "okx", "okx")
    assert played(okx) == "okx_swap"
    assert played(okx, venue="bybit") == "bybit_linear"
    own = dataset(tmp_path / "own", "own.toml")
    (own / "own.toml").write_text('name = "own"\nextends = "dydx"\n')
    assert played(own) == str(own / "own.toml")


def test_a_dataset_of_an_unknown_venue_needs_one_named(tmp_path: Path, command: Callable[..., Ended]) -> None:
    place = dataset(tmp_path / "data", "Bitmexx")
    (tmp_path / "idle.py").write_text(IDLE)
    run = ("run", str(tmp_path / "idle.py"), "--data", str(place), "--allow", "missing-funding", "--out")
    file = str(place / "dataset.toml")
    one_line(command(*run, str(tmp_path / "no")), 2, file, "unknown venue 'Bitmexx'", "or pass --venue")
    assert command(*run, str(tmp_path / "yes"), "--venue", "binance").code == 0


def test_every_command_takes_an_alias_and_shows_the_name(tmp_path: Path, command: Callable[..., Ended]) -> None:
    place = dataset(tmp_path / "data", "binance")
    (tmp_path / "idle.py").write_text(IDLE)
    idle, data = str(tmp_path / "idle.py"), ("--data", str(place), "--allow", "missing-funding", "--json")
    for n, asked in enumerate(("run", "compare", "latency", "run --sub-accounts")):
        name, *more = asked.split()
        for given, found in (((), "binance_usdm"), (("--venue", "gmx"), "gmx_v2")):
            out = str(tmp_path / f"{n}-{found}")
            done = command(name, idle, *more, *data, *given, "--out", out)
            assert done.code == 0, done.err
            about = json.loads(done.out)
            runs = about.get("runs", {"": about}).values()
            assert {run["config"]["venue"] for run in runs} == {found}
            said = "Venue binance_usdm, named by the dataset."
            assert all((said in run["notes"]) is (not given) for run in runs)
            assert command("verify", out).code == 0
    assert command("venues", "show", "gmx").out.startswith("gmx_v2")
    position = {"symbol": "BTC", "qty": 1, "mark": 5e4}
    book = {"venue": "bybit", "margin": "cross", "collateral": 1e4, "positions": [position]}
    (tmp_path / "book.json").write_text(json.dumps(book))
    assert json.loads(command("margin", str(tmp_path / "book.json"), "--json").out)["venue"] == "bybit_linear"


@pytest.mark.parametrize(("asked", "near"), [("binanse", "binance"), ("okxx", "okx"), ("dydx_v5", "dydx_v4")])
def test_a_misspelt_alias_is_told_the_nearest(asked: str, near: str) -> None:
    with pytest.raises(backtest.UserError, match=f"unknown venue '{asked}'; did you mean '{near}'[?]"):
        profile.load(asked)
