"""Chain profiles: the presets' figures and history, files by date and by `extends`, what is said about a bad one."""

from __future__ import annotations

import datetime as dt
import fnmatch
import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backtest.cli import main
from backtest.core.errors import UserError
from backtest.venues import chains, profile
from backtest.venues.chain import Chain, Congestion, Gas, Latency, Limit, Outage, Route, Rule
from backtest.venues.chain_facts import POINTS, span
from backtest.venues.chain_schema import FACTS, ChainSheet
from tests.docs.pages import ROOT, text_of
from tests.vectors.reading import FOLDER

NAMES = (
    "arbitrum", "base", "dydx_chain", "hyperliquid", "instant", "lighter", "linea", "optimism", "polygon_zkevm",
    "starkex", "starknet", "zksync",
)  # fmt: skip
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
HEAD = "name = 'x'\nsource = 's'\ndate = 2026-01-01\n"  # three lines


def ms(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


# ---- presets


def test_the_chains_are_these() -> None:
    assert tuple(chains.names()) == NAMES
    assert tuple(p.name for p in chains.available()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_says_where_it_comes_from(name: str) -> None:
    """What is not assumed or remembered as a whole names a source; every source that is listed is used."""
    sheet, used = chains.load(name), set()
    for table, place in sheet.tables():
        assert table.status, place
        assert table.source or table.status in ("assumed", "memory"), place
        used |= set(table.source)
    assert used == set(sheet.sources)


def test_instant_is_no_chain() -> None:
    assert chains.load("instant").chain() == Chain()
    assert chains.load("instant").in_words() == "instant and free"
    assert [name for name in NAMES if chains.load(name).chain().instant] == ["instant"]


def test_figures_of_the_sources() -> None:
    # Mechanics 5: 45,818 blocks of 12 s = 549,816 s; 3,600 x 12 s = 12 h; 50 blocks of a second; 604,800 s.
    arbitrum, base, dydx = (chains.load(name).chain() for name in ("arbitrum", "base", "dydx_chain"))
    assert (arbitrum.block_ms, arbitrum.forced_ms, arbitrum.grace_ms) == (250, 24 * HOUR, HOUR)
    assert arbitrum.withdrawals[0] == Route("canonical", Latency(549_816_000, 549_816_000))
    assert arbitrum.withdrawals[1] == Route("fast", Latency(20 * SECOND, 2 * MINUTE), 0, 0.0001)
    assert (base.forced_ms, base.finality_ms) == (12 * HOUR, 20 * MINUTE)
    optimism = chains.load("optimism").chain()
    assert (optimism.block_ms, optimism.forced_ms) == (2_000, 3_600 * 12 * SECOND)
    assert optimism.withdrawals[0].delay == Latency(604_800_000, 604_800_000)
    assert (dydx.block_ms, dydx.gate_after_ms, dydx.gate_ms) == (SECOND, 5 * MINUTE, 50 * SECOND)
    assert (dydx.most_per_block, dydx.rule, dydx.finality_ms) == (4_000 // 5, Rule.DROP, 0)
    # Mechanics 1.3: the floors, a million an hour and ten million a day.
    assert dydx.withdrawal_limits == (Limit(10**12, HOUR), Limit(10**13, DAY))
    hl = chains.load("hyperliquid").chain()
    # the documents' 200 and 900 ms have the block of 70 in them
    assert (hl.queue, hl.sorts) == (Latency(200 - 35, 900 - 35), True)
    assert hl.deposits == (Route("canonical", Latency(30 * SECOND, MINUTE)),)
    assert hl.withdrawals == (Route("canonical", Latency(210 * SECOND, 4 * MINUTE), 1_000_000),)
    v3 = chains.load("starkex").chain()
    assert v3.deposits[0].delay.median_ms == 3 * MINUTE
    assert [r.delay for r in v3.withdrawals] == [Latency(10 * HOUR, 20 * HOUR), Latency(MINUTE, 10 * MINUTE)]
    lighter = chains.load("lighter").chain()
    assert (lighter.queue.median_ms, lighter.forced_ms) == (300, 14 * DAY)
    for name in ("zksync", "linea", "polygon_zkevm"):  # no forced inclusion
        assert chains.load(name).chain().forced_ms == 0


@pytest.mark.parametrize(
    ("name", "day", "figure", "value"),
    [
        ("base", "2025-07-15", "block_ms", 2_000), ("base", "2025-07-16", "block_ms", 200),
        ("base", "2020-01-01", "block_ms", 2_000),  # before the first date: as on it
        ("starknet", "2025-08-31", "block_ms", 0), ("starknet", "2025-09-02", "block_ms", 2_000),
        ("zksync", "2024-08-05", "finality_ms", 24 * HOUR), ("zksync", "2024-11-06", "finality_ms", 21 * HOUR),
        ("zksync", "2025-10-10", "finality_ms", 3 * HOUR),
        ("arbitrum", "2023-12-15", "queue", Latency(10, 500)), ("arbitrum", "2025-10-10", "queue", Latency(210, 700)),
    ],
)  # fmt: skip
def test_figures_of_a_day(name: str, day: str, figure: str, value: Any) -> None:
    assert getattr(chains.load(name).chain(ms(day)), figure) == value


def test_routes_change_by_date_each_for_itself() -> None:
    linea = chains.load("linea")
    before, after = linea.chain(ms("2025-11-30")).withdrawals, linea.chain(ms("2025-12-01")).withdrawals
    assert [route.name for route in before] == [route.name for route in after] == ["canonical", "fast"]
    assert (before[0].delay, after[0].delay) == (Latency(14 * HOUR, 32 * HOUR), Latency(100 * MINUTE, 16 * HOUR))
    assert before[1] == after[1]


LIMITED = """[[withdrawal_limits]]
amount = 100
per = "1d"
status = "assumed"
[[withdrawal_limits]]
amount = 30.5
per = 3600
from = 2025-03-01
[[withdrawal_limits]]
amount = 20
per = "1d"
from = 2025-02-01
status = "press"
"""


def test_withdrawal_limits_change_by_date_each_period_for_itself() -> None:
    # The hour's first figure holds before its date as well, the day's of February after its own.
    file = chains.from_text(HEAD + LIMITED)
    day, hour = Limit(100_000_000, DAY), Limit(30_500_000, HOUR)
    assert file.chain(ms("2025-01-31")).withdrawal_limits == (day, hour)
    assert file.chain(ms("2025-02-01")).withdrawal_limits == (Limit(20_000_000, DAY), hour)
    assert file.chain(ms("2025-02-01")) == file.chain()
    assert not file.chain().instant
    assert file.in_words(ms("2025-01-31")) == "withdrawals per 1d at most 100; withdrawals per 1h at most 30.5"
    assert file.assumptions(ms("2025-01-31"), ms("2025-02-02")) == [
        "x: withdrawals per 1d: assumed.",
        "x: withdrawals per 1d: the value at the start is kept; it changed on 2025-02-01.",
        "x: withdrawals per 1h of 2025-03-01 is also used for earlier days.",
    ]
    assert [(line.what, line.said, line.since) for line in file.lines()] == [
        ("withdrawals per 1d", "at most 100", ""),
        ("withdrawals per 1d", "at most 20", "2025-02-01"),
        ("withdrawals per 1h", "at most 30.5", "2025-03-01"),
    ]
    freed = chains.from_text("name = 'y'\nextends = 'dydx_chain'\nwithdrawal_limits = []")
    assert freed.chain().withdrawal_limits == ()


def test_gas_has_all_its_dates() -> None:
    # Days from 1970: 19 March 2024 is 19,801, 13 August 2026 is 20,678. The first holds since ever.
    arbitrum = chains.load("arbitrum").chain(ms("2023-12-15"))
    assert arbitrum.gas == (
        Gas(0, 500_000, 500_000, 10_000_000, 500_000),
        Gas(19_801 * DAY, 10_000, 10_000, 10_000_000, 10_000),
        Gas(20_678 * DAY, 9_500, 9_500, 25_000, 9_500),
    )
    assert arbitrum.gas == chains.load("arbitrum").chain().gas


@pytest.mark.parametrize("name", NAMES)
def test_chains_are_sound(name: str) -> None:
    """On every day on which something changes: medians below their p99, routes named once, no outages by default."""
    sheet = chains.load(name)
    days = {0, *(table.from_ms for table, _ in sheet.tables() if hasattr(table, "from_ms"))}
    for at in days:
        chain = sheet.chain(at)
        delays = [chain.network, chain.queue, chain.back, *(r.delay for r in (*chain.deposits, *chain.withdrawals))]
        assert all(0 <= delay.median_ms <= delay.p99_ms for delay in delays)
        for routes in (chain.deposits, chain.withdrawals):
            assert len({route.name for route in routes}) == len(routes) > 0 or name == "instant"
        assert chain.outages == ()
        assert chain.reorg_ms == 0


# ---- history

HISTORY = {
    "arbitrum": [("2021-09-14T14:14", 45), ("2022-01-09T10:30", 420), ("2023-12-15T15:29", 78)],
    "base": [("2023-09-05T21:36", 30), ("2025-08-05T06:07", 33), ("2026-06-25T15:47", 116), ("2026-06-26T15:28", 20)],
    "zksync": [("2023-12-25T05:50", 302)],  # to 10:52
    "starknet": [("2025-09-02T02:23", 133), ("2026-01-05T09:42", 275)],  # to 04:36 and 14:17
    "linea": [("2025-09-10T05:52", 60)],
    "lighter": [("2025-10-11T02:00", 270)],
    "dydx_chain": [("2024-04-08T05:30", 570), ("2025-10-10T21:35", 480)],
}


@pytest.mark.parametrize("name", NAMES)
def test_the_history_that_is_played(name: str) -> None:
    found = [(one.start_ms, one.end_ms) for one in chains.load(name).history()]
    told = [(ms(start), ms(start) + minutes * MINUTE) for start, minutes in HISTORY.get(name, [])]
    if name == "starknet":  # by the stamps of two blocks, 10:30:26 and 14:16:15 in China
        told = [(ms("2024-04-05T02:30:26"), ms("2024-04-05T06:16:15")), *told]
    assert found == told


def test_what_is_not_played_and_why() -> None:
    left = {(p.name, str(h.day)): h.unplayed for p in chains.available() for h in p.unplayed()}
    unknown = "its time of day is not known"
    assert left == {
        ("arbitrum", "2023-06-07"): "trading continued, only finality was late",
        ("hyperliquid", "2025-07-29"): "trading continued, only the interface was down",
        ("linea", "2024-06-02"): unknown,
        ("optimism", "2023-04-26"): "trading continued, slower",
        ("polygon_zkevm", "2024-03-23"): unknown,
        ("polygon_zkevm", "2026-07-03"): unknown,
        ("starkex", "2021-12-07"): unknown,
        ("zksync", "2025-07-30"): "trading continued, only finality was late",
    }


def test_history_within_times() -> None:
    dydx = chains.load("dydx_chain")
    halt = dydx.history()[1]
    assert isinstance(halt, Outage)
    assert dydx.history(halt.start_ms - DAY, halt.start_ms) == ()
    assert dydx.history(halt.start_ms - DAY, halt.start_ms + 1) == (halt,)
    assert dydx.history(halt.end_ms - 1, halt.end_ms + DAY) == (halt,)  # whole, not cut
    assert dydx.history(halt.end_ms, halt.end_ms + DAY) == ()


NETWORKS = {
    "arbitrum-one": "arbitrum", "base": "base", "zksync-era": "zksync", "starknet": "starknet",
    "polygon-zkevm": "polygon_zkevm", "linea": "linea", "lighter": "lighter", "dydx-chain": "dydx_chain",
    "hyperliquid-api": "hyperliquid",
}  # fmt: skip
OTHER_DAY = {
    ("starknet", "2024-04-04"): "2024-04-05",  # a day in America: the blocks are of 02:30 UTC of the next
    ("polygon_zkevm", "2024-03-22"): "2024-03-23",  # the first reports; the halt was on the next day
    ("lighter", "2025-10-10"): "2025-10-11",  # five hours after the crash of 20:50 UTC
}
OTHER_LENGTH = {
    ("starknet", "2024-04-05"): 226,  # minutes between the stamps of two blocks, for "4 hours"
    ("starknet", "2026-01-05"): 275,  # 18 is what was reverted
}


def test_history_agrees_with_the_vectors() -> None:
    file = FOLDER / "l2_outages.json"
    if not file.is_file():
        pytest.skip(f"no vectors at {FOLDER}; BACKTEST_VECTORS names their folder")
    seen = 0
    for vector in json.loads(file.read_text(encoding="utf-8")):
        inputs, minutes = vector["inputs"], vector["expected"]["duration_minutes"]
        if inputs["network"] not in NETWORKS:  # of other venues and chains
            continue
        name, at = NETWORKS[inputs["network"]], inputs["start_utc"]
        day = OTHER_DAY.get((name, at[:10]), at[:10])
        (halt,) = (h for h in chains.load(name).outages if str(h.day) == day)
        seen += 1
        if "T" in at:
            assert halt.start_ms == ms(at.removesuffix("Z"))
        if minutes is not None:
            assert halt.length_ms is not None
            assert halt.length_ms // MINUTE - OTHER_LENGTH.get((name, day), minutes) in (-1, 0), vector["case"]
            if (name, day) not in OTHER_LENGTH:
                assert inputs["cause"].split()[0] in halt.cause or name in ("base", "linea"), vector["case"]
        if vector["status"] == "from memory/unverified":
            assert halt.status != "verified", vector["case"]
    assert seen == 19


# ---- what venues name


def test_venues_name_their_chain() -> None:
    named = {p.name: p.chain for p in profile.available() if p.chain}
    assert named == {
        "dydx_v3": "starkex", "dydx_v4": "dydx_chain", "gmx_v2": "arbitrum", "hyperliquid": "hyperliquid",
        "synthetix_v3": "base",
    }  # fmt: skip
    assert set(named.values()) <= set(NAMES)


# ---- files

DATED = (
    HEAD
    + """rule = "expire"
ttl = 30
forced = { value = "24h", source = "docs", status = "verified" }
[sources]
docs = "the docs"
[network]
median = "80ms"
p99 = "600ms"
status = "verified"
source = "docs"
assumed = ["p99"]
[queue]
quantiles = ["20ms", "35ms", 0.4]
[[block]]
from = 2025-07-01
value = "250ms"
[[block]]
value = "2s"
status = "memory"
[congestion]
slope = 0.5
most = 10
[[gas]]
from = 2024-01-01
order = 0.4
cancel = 0.123456
[[deposits]]
name = "fast"
value = "25s"
fee = 1.5
rate = 0.001
[[outages]]
start = 2025-02-03T05:05:00+01:00
length = "40m"
cause = "late"
source = "docs"
status = "press"
[[outages]]
start = 2025-01-02T00:00:00Z
end = 2025-01-02T00:30:00Z
cause = "early"
[[outages]]
start = 2025-05-06T07:00:00Z
cause = "no end"
"""
)


def test_a_file_as_plain_values() -> None:
    assert chains.from_text(DATED).chain(ms("2025-01-01")) == Chain(
        name="x",
        network=Latency(80, 600),
        queue=Latency(quantiles=(20, 35, 400)),
        block_ms=2_000,
        congestion=Congestion(0.5, 1, 10, 1),
        rule=Rule.EXPIRE,
        ttl_ms=30_000,
        forced_ms=DAY,
        deposits=(Route("fast", Latency(25_000, 25_000), 1_500_000, 0.001),),
        gas=(Gas(0, 400_000, 123_456, 0, 0),),
    )


def test_history_of_a_file_is_in_order() -> None:
    file = chains.from_text(DATED)
    assert [one.cause for one in file.history()] == ["early", "late"]
    assert file.history()[1] == Outage(ms("2025-02-03T04:05"), ms("2025-02-03T04:45"), "late")
    assert [halt.unplayed for halt in file.unplayed()] == ["its length is not known"]


def test_what_a_run_takes_on_trust() -> None:
    file = chains.from_text(DATED)
    assert file.assumptions(ms("2023-01-01"), ms("2023-02-01")) == [
        "x: network: assumed: p99.",
        "x: block: from memory.",
        "x: gas of 2024-01-01 is also used for earlier days.",
    ]
    assert file.assumptions(ms("2025-05-01"), ms("2025-08-01"), history=True) == [
        "x: network: assumed: p99.",
        "x: block: from memory.",
        "x: block: the value at the start is kept; it changed on 2025-07-01.",
        "x: outage of 2025-05-06 (no end) is not replayed: its length is not known.",
    ]
    assert file.assumptions(ms("2025-08-01"), ms("2025-08-02"), history=True) == ["x: network: assumed: p99."]


def test_an_assumed_start_is_told_where_it_is_played() -> None:
    lines = chains.load("lighter").assumptions(ms("2025-10-10"), ms("2025-10-12"), history=True)
    assert "lighter: outage of 2025-10-11: assumed: start." in lines
    assert not any("outage" in line for line in chains.load("lighter").assumptions(ms("2025-10-10"), ms("2025-10-12")))


def test_in_words() -> None:
    said = chains.from_text(DATED).in_words(ms("2025-08-01"))
    assert said == (
        "network median 80ms, p99 600ms; queue 3 quantiles from 20ms to 400ms; block 250ms; congestion min(10, 1 + "
        "0.5 x (load above 1)); rule expire; ttl 30s; forced 1d; gas order 0.4, cancel 0.123456, deposit 0, "
        "withdrawal 0; deposits: fast 25s; fee 1.5 + 0.1 %"
    )
    assert (span(549_816_000), span(0), span(90_061_001)) == ("6d 8h 43m 36s", "0", "1d 1h 1m 1s 1ms")


def test_a_measured_table(tmp_path: Path) -> None:
    """Found beside the file, sorted; of many values evenly spaced quantiles are kept."""
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "chain.toml"
    file.write_text(HEAD + "network = { table = 'delays.parquet' }\n")
    pl.DataFrame({"latency_ms": [30.5, 10, 20]}).write_parquet(tmp_path / "mine" / "delays.parquet")
    first = chains.load(file)
    assert first.chain().network == Latency(quantiles=(10, 20, 30.5))
    assert "delays.parquet: 3 quantiles from 10ms to 30.5ms" in first.in_words()
    assert str(tmp_path) not in json.dumps(first.as_json())
    # 0 ... 10,000: every tenth of them, the ends included.
    pl.DataFrame({"latency_ms": list(range(10_001))}).write_parquet(tmp_path / "mine" / "delays.parquet")
    second = chains.load(file)
    assert second.chain().network.quantiles == pytest.approx([10 * n for n in range(POINTS)], rel=1e-12)
    assert first.sha256() != second.sha256()
    (tmp_path / "other.toml").write_text("name = 'y'\nextends = 'mine/chain.toml'\n")
    assert chains.load(tmp_path / "other.toml").chain().network == second.chain().network


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([5.0, -1.0], "delays.parquet has a negative delay, -1 ms"),
        ([5.0, None], "delays.parquet needs two or more delays, none of them empty"),
        ([5.0], "delays.parquet needs two or more delays, none of them empty"),
        (["a", "b"], "delays.parquet is not a Parquet file with numbers in a column latency_ms"),
    ],
)
def test_a_bad_table(tmp_path: Path, values: list[Any], reason: str) -> None:
    pl.DataFrame({"latency_ms": values}).write_parquet(tmp_path / "delays.parquet")
    (tmp_path / "chain.toml").write_text(HEAD + "network = { table = 'delays.parquet' }\n")
    with pytest.raises(UserError) as told:
        chains.load(tmp_path / "chain.toml")
    assert str(told.value) == f"{tmp_path}/chain.toml:4: network.table: {reason}; correct the file"


# ---- extends


def test_a_file_replaces_whole_facts(tmp_path: Path) -> None:
    """A changed figure loses source and status, and counts as assumed; what is not changed keeps both."""
    (tmp_path / "base.toml").write_text(DATED)
    (tmp_path / "mine.toml").write_text(
        "name = 'mine'\nextends = 'base.toml'\nnetwork = '5ms'\n[sources]\nown = 'my own'\n[[block]]\nvalue = '1s'\n"
        "source = 'own'\nstatus = 'verified'\n[[gas]]\norder = 9\n"
    )
    mine, base = chains.load(tmp_path / "mine.toml"), chains.load(tmp_path / "base.toml")
    assert (mine.name, mine.source, mine.sources) == ("mine", "s", {"docs": "the docs", "own": "my own"})
    assert mine.chain(ms("2026-01-01")) == Chain(
        **{
            **vars(base.chain()), "name": "mine", "network": Latency(5, 5), "block_ms": 1_000,
            "gas": (Gas(0, 9_000_000),),
        }
    )  # fmt: skip
    shown = {line.what: (line.standing, line.source) for line in mine.lines()}
    assert (shown["network"], shown["block"], shown["gas"]) == (("assumed", ""), ("verified", "own"), ("assumed", ""))
    assert shown["forced"] == ("verified", "docs")
    assert mine.sha256() != base.sha256() == chains.from_text(DATED).sha256()
    assert mine.history() == base.history()


# ---- bad files

BAD = {
    "network = { median = '2s', p99 = '1s' }": "4: network.p99: p99 1s is below the median 2s",
    "[network]\nmedian = '2s'\np99 = '1s'": "6: network.p99: p99 1s is below the median 2s",
    "[[network]]\nvalue = '1s'\n[[network]]\nfrom = 2024-01-01\nmedian = '2s'": "8: network.2.median: median and p99",
    "[network]\nmedian = 0\np99 = '1s'": "5: network.median: a median of 0 has no p99 above it",
    "network = { median = '1s', p99 = '2s', value = '1s' }": "4: network.median: give one of value, median with p99",
    "network = { quantiles = ['20ms', '10ms'] }": "4: network.quantiles: they do not rise",
    "network = { quantiles = ['20ms', -1] }": "4: network.quantiles.2: -1 is not a duration",
    "network = { table = 'none.parquet' }": "4: network.table: none.parquet: no such file",
    "network = []": "4: network: no table; give at least one",
    "blok = '1s'": "4: blok: unknown key; did you mean 'block'?",
    "[[block]]\nvalue = '1s'\n[[block]]\nfrom = 2024-01-01\nvalu = '2s'": "8: block.2.valu: unknown key; did you mean",
    "[[block]]\nvalue = '1s'\n[[block]]\nvalue = '2s'": "6: block.2: two say no date; give the later one a from",
    "block = -1": "4: block: -1 is not a duration; write seconds, or text like 30s",
    "block = '-1s'": "4: block: '-1s' is not an interval",
    "rule = 'wat'": "4: rule: unknown rule 'wat'; did you mean 'wait'?",
    "rule = 'expire'": "4: rule: expire needs ttl",
    "gate = '1m'": "4: gate: needs gate_after",
    "backlog = 1": "4: backlog: Input should be less than 1",
    "backlog = -0.1": "4: backlog: Input should be greater than or equal to 0",
    "sorts = 'yes'": "4: sorts: Input should be a valid boolean",
    "most_per_block = 0": "4: most_per_block: Input should be greater than 0",
    "[congestion]\nslope = 1\nmost = 0.5": "6: congestion.most: Input should be greater than or equal to 1",
    "[[gas]]\norder = -1": "5: gas.1.order: Input should be greater than or equal to 0",
    "[[deposits]]\nvalue = '1h'": "4: deposits.1.name: is missing",
    "[[deposits]]\nname = 'a'\nvalue = 1\n[[deposits]]\nname = 'a'\nvalue = 2": "7: deposits.2: two routes 'a' say no",
    "[[block]]\nfrom = 2024-01-01\nvalue = 1\n[[block]]\nfrom = 2024-01-01\nvalue = 2": "7: block.2: two hold from 20",
    "queue.table = 3": "4: queue.table: 3 is not a file; write the name of a Parquet file",
    "network = ['1ms', '2ms']": "4: network.1: is not a table, like { key = 1 }; correct the file",
    "congestion = 'high'": "4: congestion: 'high' is not a table; write one with keys of slope, above, most",
    "gas = 3": "4: gas: 3 is not a table; write one with keys of order, cancel, deposit, withdrawal; correct the file",
    "extends = 'arbitrum'\ngas = 3": "5: gas: 3 is not a table; write one with keys of order",
    "gas = [1]": "4: gas.1: is not a table",
    "deposits = 'fast'": "4: deposits: is not a list; correct the file",
    "[[withdrawals]]\nname = 'a'\nvalue = '1h'\nrate = 1.5": "7: withdrawals.1.rate: Input should be less",
    "[[withdrawal_limits]]\namount = 0\nper = '1h'": "5: withdrawal_limits.1.amount: Input should be greater than or",
    "[[withdrawal_limits]]\namount = -5\nper = '1h'": "5: withdrawal_limits.1.amount: Input should be greater than or",
    "[[withdrawal_limits]]\namount = 4e-7\nper = '1h'": "5: withdrawal_limits.1.amount: Input should be greater",
    "[[withdrawal_limits]]\namount = 2e12\nper = '1h'": "5: withdrawal_limits.1.amount: Input should be less than",
    "[[withdrawal_limits]]\namount = 5\nper = 0": "6: withdrawal_limits.1.per: Input should be greater than 0",
    "[[withdrawal_limits]]\namount = 5\nper = '-1h'": "6: withdrawal_limits.1.per: '-1h' is not an interval",
    "[[withdrawal_limits]]\namount = 5": "4: withdrawal_limits.1.per: is missing",
    "[[withdrawal_limits]]\namount = 5\nper = '1h'\nsource = 'docs'": "7: withdrawal_limits.1.source: unknown source",
    "[[withdrawal_limits]]\namount = 5\nper = '60m'\n[[withdrawal_limits]]\namount = 6\nper = '1h'": (
        "7: withdrawal_limits.2: two limits per '1h' say no date"
    ),
    "network = { value = '1s', source = 'docs' }": "4: network.source: unknown source 'docs'; none are known",
    "[network]\nvalue = '1s'\nstatus = 'sure'": "6: network.status: Input should be 'verified', 'press'",
    "[network]\nvalue = '1s'\nassumed = ['valu']": "6: network.assumed: 'valu' is not a key of the table",
    "[[outages]]\nstart = 2024-01-01T00:00:00\nlength = '2h'\ncause = 'a'": "5: outages.1.start: say in which zone",
    "[[outages]]\nstart = 2024-01-01T05:00:00Z\nend = 2024-01-01T04:00:00Z\ncause = 'a'": "6: outages.1.end: ends",
    "[[outages]]\nstart = 2024-01-01T05:00:00Z\nlength = '1h'": "4: outages.1.cause: is missing",
    "[[outages]]\nstart = 2024-01-01T00:00:00Z\nlength = '2h'\ncause = 'a'\n[[outages]]\n"
    "start = 2024-01-01T01:00:00Z\nlength = '2h'\ncause = 'b'": "8: outages.2: overlaps the one that begins at",
    "extends = 'arbitrun'": "4: unknown chain 'arbitrun'; did you mean 'arbitrum'? (or give a FILE.toml)",
    "extends = 3": "4: extends is not a name or a file",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_named_by_line_and_key(text: str) -> None:
    with pytest.raises(UserError) as told:
        chains.from_text(HEAD + text, "my.toml")
    assert str(told.value).startswith(f"my.toml:{BAD[text]}")
    assert "\n" not in str(told.value)


def test_touching_outages_do_not_overlap() -> None:
    text = "[[outages]]\nstart = 2024-01-01T{}:00:00Z\nlength = '1h'\ncause = 'a'\n"
    assert len(chains.from_text(HEAD + text.format("00") + text.format("01")).history()) == 2


def test_a_circle_of_extends(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("name = 'a'\nextends = 'b.toml'\n")
    (tmp_path / "b.toml").write_text("name = 'b'\nextends = 'a.toml'\n")
    with pytest.raises(UserError, match=r"b.toml:2: extends comes back to 'a.toml'"):
        chains.load(tmp_path / "a.toml")


# ---- commands


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_the_list_as_a_user_sees_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = printed(capsys, "venues", "chains")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()[3:] if line.strip()]
    assert [row[0] for row in rows] == list(NAMES)
    assert next(row[1:4] for row in rows if row[0] == "starknet") == ["2026-08-22", "3", "3"]
    assert printed(capsys, "chains", "list")[1] == out
    assert [c["name"] for c in json.loads(printed(capsys, "venues", "chains", "--json")[1])] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_as_a_user_sees_it(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Every fact, route and outage with its standing, and what its sources stand for."""
    code, out, err = printed(capsys, "chains", "show", name)
    assert (code, err) == (0, "")
    sheet = chains.load(name)
    shown = sum(len(getattr(sheet, key)) for key in (*FACTS, "deposits", "withdrawals", "withdrawal_limits"))
    assert len(sheet.lines()) == shown
    for line in sheet.lines():
        assert f" {line.what} " in out
        assert line.said in out
    for past in sheet.past():
        assert past.begun in out
        assert past.cause in out
    assert all(f"source {key}: {text}" in out for key, text in sheet.sources.items())
    assert json.loads(printed(capsys, "chains", "show", name, "--json")[1]) == sheet.as_json()


def test_a_day_of_a_chain(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = printed(capsys, "chains", "show", "arbitrum", "--date", "2023-12-15")
    assert code == 0
    assert "median 10ms, p99 500ms" in out
    assert "median 210ms" not in out
    machine = json.loads(printed(capsys, "chains", "show", "arbitrum", "--date", "2023-12-15", "--json")[1])
    assert "queue median 10ms, p99 500ms" in machine["shown"]["words"]


def test_a_wrong_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = printed(capsys, "chains", "show", "arbitrun")
    assert (code, out) == (2, "")
    assert err == "error: chain: unknown chain 'arbitrun'; did you mean 'arbitrum'? (or give a FILE.toml)\n"
    assert "no such chain file" in printed(capsys, "chains", "show", "none.toml")[2]


def test_a_venue_says_its_chain(capsys: pytest.CaptureFixture[str]) -> None:
    assert ", chain dydx_chain\n" in printed(capsys, "venues", "show", "dydx_v4")[1]
    assert ", chain" not in printed(capsys, "venues", "show", "generic")[1]


# ---- package and page


def test_the_files_are_packed() -> None:
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "backtest.venues"
    ]
    for name in NAMES:
        assert any(fnmatch.fnmatch(f"chains/{name}.toml", pattern) for pattern in packed)


def test_the_module_is_found_beside_the_folder_of_its_name(tmp_path: Path) -> None:
    """`venue/chains.py` and `venue/chains/` share a name: the folder must stay no package."""
    assert Path(chains.__file__).name == "chains.py"
    assert not list(Path(chains.__file__).with_suffix("").glob("*.py"))
    shutil.copytree(Path(chains.__file__).with_suffix(""), tmp_path / "chains")
    assert chains.load(tmp_path / "chains" / "base.toml") == chains.load("base")


def test_the_page_explains_every_key_and_names_every_chain() -> None:
    page = text_of("docs/reference/chains.md")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for name in NAMES:
        assert any(row.startswith(f"| `{name}` |") for row in rows), name
    cells = " ".join(row.split("|")[1] for row in rows)
    for key in ChainSheet.model_fields:
        assert f"`{key}`" in cells or f"`[[{key}]]`" in cells, key
    for word in ("verified", "press", "derived", "memory", "assumed"):
        assert f"| `{word}` |" in page
