"""Bad input about chains, outages and oracles: one line on standard error, exit 2, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import backtest
from backtest.core.errors import UserError
from tests.small_market import Ended, one_line

RUN = ("run", "hold.py", "--data", "market")
NEEDS = "an outage needs a start, and one of end and length"
FORM = "give start, and end or length, like 2025-10-10T21:35 and 8h"

USAGE: dict[str, tuple[str, ...]] = {
    # a chain
    "--chain arbitrun": ("unknown chain 'arbitrun'", "did you mean 'arbitrum'?"),
    "--chain nowhere.toml": ("nowhere.toml: no such chain file", "pass a TOML file, or a name"),
    "--chain hold.py": ("unknown chain 'hold.py'",),
    "--chain venue": ("--chain: venue generic names no chain", "choose one: arbitrum, base"),
    "--force-inclusion": ("--force-inclusion: requires a chain", "name one with --chain"),
    "--chain hyperliquid --force-inclusion": ("hyperliquid has no inclusion through Layer 1", "leave it out"),
    "--reorg soon": ("invalid value 'soon' in --reorg", "like 90s"),
    "--reorg 0s": ("invalid value '0s' in --reorg",),
    "--chain arbitrum --reorg 2h": (
        "--reorg: fills of 2h before an outage cannot be undone: on arbitrum they are final after 19m",
        "give 19m at most",
    ),
    "--chain dydx_chain --reorg 1s": ("on dydx_chain they are final at once", "leave it out"),
    "--reserve -1": ("-1", "--reserve"),
    "--reserve nan": ("invalid value 'nan' in --reserve",),
    "--reserve 2e9": ("invalid value '2e9' in --reserve", "from 0 to 1,000,000,000"),
    # outages
    "--outages histroy": ("--outages: unknown outages 'histroy'", "did you mean 'history'?"),
    "--outages tomorrow": ("--outages: unknown outages 'tomorrow'", "write history, poisson=2/year:60m:8h, worst:30m,"),
    "--outages history": ("--outages history: requires a chain", "name one with --chain"),
    "--outages 2024-03-01T10:00/soon": ("--outages 2024-03-01T10:00/soon: 'soon' is not an interval",),
    "--outages 10:00/1h": ("--outages 10:00/1h: '10:00' is not a time", "2024-03-12T10:30 (UTC)"),
    "--outages /1h": ("--outages /1h: '' is not a time",),
    "--outages 2024-03-01T10:00/2024-03-01T09:00": (
        "an outage that ends before it begins: 2024-03-01T10:00Z to 2024-03-01T09:00Z",
    ),
    "--outages 2024-03-01T10:00/2024-03-01T10:00": ("an outage that ends before it begins",),
    "--outages 2024-03-01T10:00/0h": ("'0h' is not an interval",),
    "--outages 2024-03-01T10:00/99999999999d": ("'99999999999d' is longer than 100,000 days",),
    "--outages 1960-03-01T10:00/1h": ("before 1970", "give a later time"),
    "--outages 2024-03-01T10:00/2h --outages 2024-03-01T11:00/2h": (
        "--outages 2024-03-01T11:00/2h: outages overlap: 2024-03-01T10:00Z to 2024-03-01T12:00Z and",
        "and 2024-03-01T11:00Z to 2024-03-01T13:00Z",
        "make one of them",
    ),
    "--chain dydx_chain --outages history --outages 2025-10-11T00:00/1h": ("outages overlap: 2025-10-10T21:35Z",),
    "--outages poisson=often": (
        "--outages poisson=often: 'poisson=often' is not a random process",
        "poisson=2/year:60m:8h",
    ),
    "--outages poisson=2/week:60m:8h": ("is not a random process",),
    "--outages poisson=0/year:60m:8h": ("0 outages in a year", "above 0 and up to 10,000"),
    "--outages poisson=1000000/year:60m:8h": ("1000000 outages in a year",),
    "--outages poisson=2/year:8h:60m": ("the 90th percentile 60m is below the median 8h", "give the median first"),
    "--outages poisson=2/year:60m:soon": ("'soon' is not an interval",),
    "--outages poisson=2/year:60m:999d": ("999d is longer than a year",),
    "--outages poisson --outages poisson=1/year:1m:2m": ("--outages: poisson is given twice",),
    "--outages worst": ("--outages worst: 'worst' has no length", "write worst:30m"),
    "--outages worst:x": ("--outages worst:x: 'x' is not an interval",),
    "--outages worst:2d": ("--outages worst:2d: the run has 48 candles of 1h, which is not longer", "choose a shorter"),
    "--outages worst:1h --outages worst:2h": ("--outages: worst is given twice",),
    "--outages nowhere.csv": ("nowhere.csv: no such file", "check the name"),
    # an oracle
    "--oracle dealy=3s": ("--oracle dealy=3s: unknown kind 'dealy'", "did you mean 'delay'?"),
    "--oracle twap": ("--oracle twap: unknown kind 'twap'", "write delay=3s, heartbeat=1h"),
    "--oracle delay": ("--oracle delay: 'delay' is not a valid oracle setting", "write delay=3s"),
    "--oracle median=3": ("'median=3' is not a valid oracle setting",),
    "--oracle delay=": ("--oracle delay=: '' is not an interval",),
    "--oracle delay=-3s": ("'-3s' is not an interval",),
    "--oracle average=99d": ("99d is too long", "30 days at most"),
    "--oracle deviation=0.5": ("'0.5' is not a deviation", "write a percentage above 0 up to 100, like 0.5%"),
    "--oracle deviation=0%": ("'0%' is not a deviation",),
    "--oracle deviation=nan%": ("'nan%' is not a deviation",),
    "--oracle delay=3s --oracle delay=4s": ("--oracle delay=4s: delay is given twice",),
}


@pytest.mark.parametrize("arguments", USAGE)
def test_bad_usage(place: Path, command: Callable[..., Ended], arguments: str) -> None:
    one_line(command(*RUN, *arguments.split()), 2, *USAGE[arguments])
    assert not (place / "reports").exists()


FILES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "no TOML": ("a.toml", "start = ", ("a.toml: not readable as TOML", "correct the file")),
    "no JSON": ("a.json", "{", ("a.json: not readable as JSON",)),
    "no text": ("a.csv", "\udcff\udcfe", ("a.csv: not readable as CSV",)),
    "nothing": ("a.csv", "", ("a.csv: no outage is in it", FORM)),
    "an empty list": ("a.json", "[]", ("a.json: no outage is in it",)),
    "another table": ("a.toml", "[[halts]]\nstart = 2024-03-01\n", ("a.toml: it holds no list of outages", FORM)),
    "numbers": ("a.json", "[1, 2]", ("a.json: it holds no list of outages",)),
    "a number": ("a.json", "7", ("a.json: it holds no list of outages",)),
    "an unknown key": (
        "a.json",
        '[{"start": "2024-03-01", "lenght": "1h"}]',
        ("a.json: outage 1: unknown key 'lenght'", "did you mean 'length'?"),
    ),
    "an unknown column": ("a.csv", "from,end\n2024-03-01,2024-03-02\n", ("a.csv:2: unknown key 'from'",)),
    "no start": ("a.csv", "start,length\n,1h\n", (f"a.csv:2: {NEEDS}", FORM)),
    "no end": ("a.toml", "[[outages]]\nstart = 2024-03-01\n", (f"a.toml: outage 1: {NEEDS}",)),
    "end and length": (
        "a.csv",
        "start,end,length\n2024-03-01,2024-03-02,1h\n",
        (f"a.csv:2: {NEEDS}",),
    ),
    "too many values": ("a.csv", "start,length\n2024-03-01,1h,1h\n", ("a.csv:2: more values than columns",)),
    "a truth value": ("a.json", '[{"start": true, "length": "1h"}]', ("a.json: outage 1: True is not a time",)),
    "a decimal": ("a.toml", '[[outages]]\nstart = 1.5\nlength = "1h"', ("a.toml: outage 1: 1.5 is not a time",)),
    "a length that is none": ("a.toml", "[[outages]]\nstart = 2024-03-01\nlength = 5", ("'5' is not an interval",)),
    "overlapping lines": (
        "a.csv",
        "start,length\n2024-03-01T10:00,2h\n2024-03-01T09:00,90m\n",
        ("a.csv:2: outages overlap: 2024-03-01T09:00Z to 2024-03-01T10:30Z and 2024-03-01T10:00Z",),
    ),
    "a huge time": ("a.json", '[{"start": 1e400, "length": "1h"}]', ("is not a time",)),
    "a time beyond all calendars": (
        "a.json",
        '[{"start": 99999999999999999999, "length": "1h"}]',
        ("a.json: outage 1: 99999999999999999999 is not a time",),
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_wrong(place: Path, command: Callable[..., Ended], case: str) -> None:
    name, text, said = FILES[case]
    (place / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    one_line(command(*RUN, "--outages", name), 2, *said)


HEAD = 'name = "own"\nsource = "a test"\ndate = 2024-01-01\n'
CHAINS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a p99 below the median": (
        '[network]\nmedian = "2s"\np99 = "1s"\n',
        ("own.toml:", "p99 1s is below the median 2s"),
    ),
    "a negative delay": ("network = -1\n", ("own.toml:", "network")),
    "a measured delay below 0": ('network = { table = "delays.parquet" }\n', ("own.toml:", "negative delay, -3 ms")),
    "no table": ('network = { table = "nowhere.parquet" }\n', ("nowhere.parquet",)),
    "an unknown key": ("netwrok = 1\n", ("own.toml:4", "unknown key; did you mean 'network'?")),
    "a backlog of one": ("backlog = 1\n", ("own.toml:4", "backlog")),
    "a negative fee": ('[[deposits]]\nname = "fast"\nvalue = 1\nfee = -1\n', ("own.toml:", "fee")),
}


@pytest.mark.parametrize("case", CHAINS)
def test_a_chain_file_that_is_wrong(place: Path, command: Callable[..., Ended], case: str) -> None:
    text, said = CHAINS[case]
    (place / "own.toml").write_text(HEAD + text)
    pl.DataFrame({"latency_ms": [5.0, -3.0, 8.0]}).write_parquet(place / "delays.parquet")
    one_line(command(*RUN, "--chain", "own.toml"), 2, *said)


def test_sub_accounts_share_the_reserve(place: Path) -> None:
    with pytest.raises(UserError, match=r"invalid value -5\.0 in reserve="):
        backtest.subaccounts(["hold.py", "hold.py"], "market", reserve=-5.0)


def test_what_is_no_mistake_runs(place: Path, command: Callable[..., Ended]) -> None:
    """Windows that touch, one outside the run, a text twice, a day alone: played, or told, but no error."""
    arguments = (
        "--outages 2024-03-01T10:00/1h --outages 2024-03-01T11:00/1h --outages 2020-01-01/1d --outages 2020-01-01/1d "
        "--oracle stale=0 --oracle grace=1h --no-gas --reserve 0 --chain arbitrum --outages history"
    )
    ended = command(*RUN, *arguments.split())
    assert ended.code == 0, ended.err
    made = backtest.run(
        "hold.py",
        "market",
        chain="arbitrum",
        outages=["2024-03-01T10:00/1h"],
        oracle=["stale=7s", "grace=5m"],
        gas=False,
    )
    config = made.summary["config"]
    assert (config["chain"], config["gas"], config["oracle"]) == ("arbitrum", False, ["stale=7s", "grace=5m"])
    assert all(config[f"chain_{name}"] for name in ("sha256", "source", "rules"))
    assert any("unlike on the chain" in note for note in made.summary["notes"])


def test_what_has_nothing_to_act_on_is_told(place: Path) -> None:
    notes = backtest.run("hold.py", "market", reorg="30s", oracle=["stale=7s", "grace=5m"], gas=False).summary["notes"]
    assert "There was no outage, so --reorg, --oracle stale=7s and --oracle grace=5m had no effect." in notes
    assert "--no-gas has no effect without --chain." in notes
    plain = backtest.run("hold.py", "market", chain="arbitrum", outages=["2024-03-01T10:00/1h"], oracle=["stale=7s"])
    assert not any("nothing" in note for note in plain.summary["notes"])


def test_verify_tells_what_has_changed(place: Path) -> None:
    (place / "own.toml").write_text(HEAD + "network = 1\n")
    (place / "halts.csv").write_text("start,length\n2024-03-01T10:00,2h\n")
    backtest.run("hold.py", "market", chain="own.toml", outages="halts.csv", reorg="1m", out=place / "r")
    assert backtest.verify(place / "r").ok
    (place / "own.toml").write_text(HEAD + "network = 2\n")
    (place / "halts.csv").write_text("start,length\n2024-03-01T10:00,3h\n")
    found = backtest.verify(place / "r")
    assert set(found.differences) == {"chain", "outages"}
