"""Dated margin tables of real venues: which market is meant, what holds on a day, and a run across a change."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest

from backtest.cli import main
from backtest.core.errors import UserError
from backtest.venues import profile, symbols
from backtest.venues.field_types import instant_ms
from tests.docs import terms_by_year
from tests.scenarios import scenario
from tests.scenarios.scenario import Market, Tape, buy, play
from tests.unit import venue_facts

FACTS = os.environ.get("BACKTEST_VENUE_FACTS")


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


@pytest.mark.parametrize(
    ("name", "base", "many", "quote", "dated"),
    [
        ("BTC/USDT:USDT", "BTC", 1, "USDT", False),
        ("BTCUSDT", "BTC", 1, "USDT", False),
        ("BTC-USD", "BTC", 1, "USD", False),
        ("BTC-PERP", "BTC", 1, None, False),
        ("XBTUSD", "BTC", 1, "USD", False),
        ("kPEPE", "PEPE", 1_000, None, False),
        ("1000PEPEUSDT", "PEPE", 1_000, "USDT", False),
        ("1MBABYDOGE/USDT:USDT", "BABYDOGE", 1_000_000, "USDT", False),
        ("1INCHUSDT", "1INCH", 1, "USDT", False),
        ("BTC/USDT:USDT-230331", "BTC", 1, "USDT", True),
        ("BTCUSDT_230331", "BTC", 1, "USDT", True),
    ],
)
def test_what_a_name_says(name: str, base: str, many: int, quote: str | None, dated: bool) -> None:
    assert symbols.read(name) == symbols.Name(base, many, quote, dated)


@pytest.mark.parametrize(
    ("venue", "name", "market", "fallback"),
    [
        ("binance_usdm", "BTC-USD", "BTC/USDT:USDT", False),
        ("binance_usdm", "BTCUSDC", "BTC/USDC:USDC", False),
        ("binance_usdm", "BTC-EUR", "BTC/USDT:USDT", True),  # there is none in EUR
        ("binance_usdm", "kPEPE", "1000PEPE/USDT:USDT", False),
        ("binance_usdm", "BTCUSDT_230331", "class other", True),
        ("bybit_linear", "PEPE-PERP", "1000PEPE/USDT:USDT", False),
        ("hyperliquid", "1000PEPEUSDT", "kPEPE", False),
        ("dydx_v4", "BTCUSDT", "BTC-USD", False),
        ("gmx_v2", "BTC-USD", "BTC/USD:arbitrum:WBTC.e-USDC", False),
        ("gmx_v2", "BTC/USD:arbitrum:tBTC-tBTC", "BTC/USD:arbitrum:tBTC-tBTC", False),
        ("synthetix_v3", "ETH-PERP", "ETH/USD:base", False),
        ("okx_swap", "BTC-USDT-SWAP", "BTC/USDT:USDT", False),
    ],
)
def test_which_market_is_meant(venue: str, name: str, market: str, fallback: bool) -> None:
    found = profile.load(venue).found(name)
    assert (found.how, found.fallback) == (market, fallback)


def test_a_venue_on_another_chain_has_the_markets_of_that_chain() -> None:
    mine = profile.from_text("name = 'x'\nextends = 'synthetix_v3'\nchain = 'arbitrum'\n")
    assert mine.found("ETH-USD").how == "ETH/USD:arbitrum"


def test_parameters_in_base_units_follow_the_multiplier() -> None:
    venue = profile.load("synthetix_v3")
    one, thousand = (venue.terms(name, day("2025-05-01")).initial_by_size for name in ("PEPE", "1000PEPE"))
    assert one
    assert thousand
    assert thousand.linear == pytest.approx(1_000 * one.linear)


# Long 100 at 100 with 5,000 in the account: at p equity is 100 p - 5,000, and a rate m asks m x 100 p, so that
# p = 50 / (1 - m). Money that is asked on top, f, makes it (50 + f / 100) / (1 - m).
ACROSS = [
    ("binance_usdm", "SOLUSDT", "2022-11-25", 50 / 0.99, 50 / 0.98),  # 1 % to 2 %: the first snapshot after FTX
    ("hyperliquid", "BTC", "2025-03-12", 50 / 0.99, 50 / 0.9875),  # 50x to 40x
    ("dydx_v4", "BTC-USD", "2025-01-01", 50 / 0.97, 50 / 0.988),  # 3 % to 60 % of 2 %
    ("gmx_v2", "BTC-USD", "2024-07-01", 50 / 0.99, 50 / 0.995),  # 1 % to 0.5 %
    # 28 % of (2 % + 100 x 1.54 / 35,000), and 50, then 15 on top
    ("synthetix_v3", "BTC-USD", "2024-11-21", 50.5 / (1 - 0.28 * 0.0244), 50.15 / (1 - 0.28 * 0.0244)),
]


@pytest.mark.parametrize(("venue", "name", "when", "before", "after"), ACROSS)
def test_a_change_inside_a_run_moves_the_liquidation_price(
    venue: str, name: str, when: str, before: float, after: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenario, "START", instant_ms(day(when)) - 3 * 3_600_000)
    seen = Tape()

    def look(market: Any, account: Any) -> None:
        seen.append(account.position(name).liquidation_price)

    steps = {0: buy(name, 100), 1: look, 2: look, 3: look, 4: look}
    margin = {"margin": "isolated", "leverage": 2} if venue == "gmx_v2" else {}
    play(tmp_path, [Market(name, [100.0] * 6)], steps, "1h", venue=venue, cash=5_000, fee_bps=0, **margin)
    # The close of row 2 is the instant of the change: what is read there is still what held in the row.
    assert seen == pytest.approx([before, before, after, after], abs=1e-4)


def test_a_report_names_the_changes_inside_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scenario, "START", instant_ms(day("2022-11-25")) - 2 * 3_600_000)
    data = scenario.write(tmp_path / "data", Market("SOLUSDT", [100.0] * 6), interval="1h")
    names = ["--data", str(data), "--venue", "binance_usdm", "--allow", "missing-funding", "--out", str(tmp_path / "r")]
    with pytest.raises(SystemExit):
        main(("run", "sma_cross", *names))
    said = (
        "SOLUSDT: maintenance 1 % → 2 %, maximum leverage 50× → 12×, "
        "largest position 20,000,000 → 11,000,000, seen 25 Nov 2022"
    )
    assert f"changed: {said}" in " ".join(capsys.readouterr().out.split())
    assert said in (tmp_path / "r" / "report.html").read_text(encoding="utf-8")


def test_what_changed_above_the_first_tier_is_said() -> None:
    said = profile.load("binance_usdm").changes(
        ["SOLUSDT"], instant_ms(day("2023-07-01")), instant_ms(day("2023-09-01"))
    )
    assert said == [
        "SOLUSDT: maintenance 2 % → 1.2 % above 50,000, maximum leverage 25× → 40× above 50,000, seen 1 Aug 2023"
    ]


def test_a_bound_on_leverage_asks_more_to_open_and_nothing_more_to_stay() -> None:
    venue = profile.load("bybit_linear")
    early, late = (venue.terms("1000RATSUSDT", day(when)).tiers for when in ("2025-03-26", "2025-03-27"))
    assert [t.maintenance for t in early] == [t.maintenance for t in late]
    assert (early[0].initial, late[0].initial) == (0.02, 0.04)  # 25x, seen on 27 March 2025
    assert max(t.initial for t in early) == max(t.initial for t in late)
    okx = profile.load("okx_swap")
    assert [okx.terms(name).tiers[0].initial for name in ("1INCH-USDT-SWAP", "BTC-USDT-SWAP", "NONE")] == [
        0.05,  # 20x
        0.02,  # 100x is more than what is assumed allows
        0.02,
    ]
    said = okx.assumptions(["1INCH-USDT-SWAP"], instant_ms(day("2025-09-18")), instant_ms(day("2025-09-19")))
    assert "okx_swap: 1INCH-USDT-SWAP: margin of 2025-09-18: assumed: tiers (the maintenance rate" in said[0]


def test_what_is_not_known_is_marked() -> None:
    venue = profile.load("hyperliquid")

    def status(name: str, when: str) -> str:
        (section,) = venue.sections(day(when), name)
        return section.standing

    assert status("APE", "2023-01-01") == "assumed: first known of 2023-07-17; verified"
    assert status("APE", "2023-07-17") == "verified"
    assert status("APE", "2024-12-01") == "assumed"
    assert status("APE", "2025-03-12") == "assumed"
    assert status("APE", "2025-09-18") == "verified"
    assert status("APE", "2026-03-11") == "assumed: known until 2026-03-11; verified"
    assert status("SOL", "2024-11-01") == "derived; assumed: from"
    # Nothing that was copied in 2023 is used past 12 March 2025.
    for name, tables in venue.markets.items():
        held = [table for table in tables if table["from"] <= day("2025-03-12")]
        assert not held or "copy_2023" not in held[-1]["source"] or len(tables) == len(held), name


def test_proposals_and_tables_without_a_date_are_left_out() -> None:
    dydx = profile.load("dydx_v4").markets
    assert len(dydx) == 33
    assert all(table["from"] for venue in profile.available() for rows in venue.markets.values() for table in rows)


@pytest.mark.parametrize("venue", [name for name in profile.names() if profile.load(name).terms_file])
def test_every_table_of_the_files_is_one_that_an_engine_can_play(venue: str) -> None:
    loaded = profile.load(venue)
    for name in list(loaded.markets)[:: 25 if venue == "binance_usdm" else 10]:
        for terms in loaded.terms_of(loaded.found(name).tables, name):
            assert all(0 < t.maintenance <= t.initial <= 1 for t in terms.tiers), (name, terms.from_ms)


@pytest.mark.skipif(not FACTS, reason="no facts: set BACKTEST_VENUE_FACTS to their folder")
@pytest.mark.parametrize("venue", venue_facts.FILES)
def test_the_files_are_those_of_the_facts(venue: str) -> None:
    assert venue_facts.packed(Path(FACTS or ""), venue) == (venue_facts.PRESETS / f"{venue}.csv.gz").read_bytes()


def test_the_table_of_the_page_is_current() -> None:
    page = terms_by_year.PAGE.read_text(encoding="utf-8")
    assert page == terms_by_year.written(page), "run python -m tests.docs.terms_by_year"


def mine(folder: Path, rows: str) -> str:
    (folder / "mine.csv").write_text(rows)
    file = folder / "mine.toml"
    head = 'name = "mine"\nsource = "a test"\ndate = 2026-01-01\nquote = "USDT"\n'
    file.write_text(head + '[terms]\nfile = "mine.csv"\nstatus = "verified"\n')
    return str(file)


def test_a_file_of_terms_of_ones_own(tmp_path: Path) -> None:
    rows = "market,from,tiers upto max_leverage maintenance\nBTC/USDT:USDT,2025-05-05T03:00,50000 100 0.004;- 50 0.01\n"
    venue = profile.load(mine(tmp_path, rows))
    (table,) = venue.found("BTC-USD").tables
    assert (table.since, table.from_ms) == ("2025-05-05 03:00", instant_ms(day("2025-05-05")) + 3 * 3_600_000)
    assert [tier.maintenance for tier in venue.terms("BTC-USD").tiers] == [0.004, 0.01]
    before = venue.sha256()
    venue = profile.load(mine(tmp_path, rows.replace("0.004", "0.005")))
    assert venue.sha256() != before


@pytest.mark.parametrize(("when", "rate"), [("2025-05-05", "0.40%"), ("2025-05-05T03:00", "1.00%")])
def test_what_is_shown_of_a_time_of_day(
    when: str, rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "market,from,tiers max_leverage maintenance\nBTC,2025-01-01,100 0.004\nBTC,2025-05-05T03:00,50 0.01\n"
    with pytest.raises(SystemExit):
        main(("venues", "show", mine(tmp_path, rows), "--symbol", "BTC-USD", "--date", when))
    assert rate in next(line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("BTC-USD"))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("market,from,tears\n", r"mine\.csv: unknown column 'tears'; did you mean 'tiers'"),
        ("market,initial\n", r"mine\.csv: no columns market and from"),
        ("market,from,initial\nBTC,yesterday,0.1\n", r"mine\.csv: BTC: Invalid isoformat string"),
        ("market,from,initial\nBTC,2025-01-01,a\n", r"mine\.csv: BTC: 'a' is not a number; correct the row"),
        ("market,from,tiers upto initial\nBTC,2025-01-01,- 0.1\n", r"mine\.csv: BTC: .*maintenance"),
    ],
)
def test_a_file_that_is_wrong_says_where(rows: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        profile.load(mine(tmp_path, rows)).terms("BTC")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = mine(tmp_path, "market,from\n")
    (tmp_path / "mine.csv").unlink()
    with pytest.raises(UserError, match=r"mine\.toml:6: terms\.file: no file 'mine\.csv'"):
        profile.load(file)
