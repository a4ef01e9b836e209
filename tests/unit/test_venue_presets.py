"""The venues that come with the package: their figures, where these come from, and what a run takes on trust."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import os
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backtest.cli import main
from backtest.venues import profile
from backtest.venues.field_types import in_force
from backtest.venues.inheritance import PRESETS
from backtest.venues.terms import BySize, CeilRates, Law, OrderRules, Portfolio, Price, Ranking, Shortfall, Take

VECTORS = Path(os.environ.get("BACKTEST_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
NAMES = (
    "binance_usdm", "bybit_linear", "drift_v2", "dydx_v3", "dydx_v4", "generic", "gmx_v2", "hyperliquid", "okx_swap",
    "synthetix_v3",
)  # fmt: skip
SYMBOLS = ("BTC-USD", "ETHUSDT", "SOL-USDT-SWAP", "DOGE-PERP", "AAVE", "1000PEPEUSDT", "NEW-USD")
DAYS = (
    None,
    dt.date(2020, 3, 12),
    dt.date(2021, 5, 19),
    dt.date(2022, 11, 8),
    dt.date(2024, 8, 5),
    dt.date(2025, 10, 10),
)


def vectors(venue: str) -> list[dict[str, Any]]:
    file = VECTORS / f"{venue}.json"
    if not file.is_file():
        pytest.skip(f"no vectors at {VECTORS}; BACKTEST_VECTORS names their folder")
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def requirement(venue: str, symbol: str, notional: str, when: dt.date | None = None) -> Decimal:
    """Maintenance by the ladder, in quote units."""
    ladder = profile.load(venue).terms(symbol, when).tiers
    held = next(t for t in ladder if t.upto_micro is None or Decimal(notional) * 10**6 <= t.upto_micro)
    return Decimal(notional) * Decimal(str(held.maintenance)) - Decimal(held.maintenance_deduction) / 10**6


def test_the_venues_are_these() -> None:
    assert tuple(profile.names()) == NAMES
    assert tuple(p.name for p in profile.available()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_table_says_where_it_comes_from(name: str) -> None:
    """A table that is not assumed as a whole names a source; every source that is listed is used."""
    venue, used = profile.load(name), set()
    for table, place in venue.tables():
        assert table.status, place
        assert table.source or table.status == "assumed", place
        used |= set(table.source)
    if venue.terms_file:
        used |= set(venue.terms_file.source)
        rows = csv.DictReader(gzip.decompress((PRESETS / venue.terms_file.file).read_bytes()).decode().splitlines())
        used |= {one for row in rows for one in row.get("source", "").split()}
    assert used == set(venue.sources)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("symbol", SYMBOLS)
def test_requirements_are_continuous_and_rise(name: str, symbol: str) -> None:
    venue = profile.load(name)
    for day in DAYS:
        terms = venue.terms(symbol, day)
        assert terms.tiers[-1].upto_micro is None
        assert all(0 < t.maintenance <= t.initial <= 1 for t in terms.tiers)
        for low, high in pairwise(terms.tiers):
            edge = low.upto_micro or 0
            for kind in ("initial", "maintenance"):
                below = edge * getattr(low, kind) - getattr(low, f"{kind}_deduction")
                above = edge * getattr(high, kind) - getattr(high, f"{kind}_deduction")
                assert below == pytest.approx(above, abs=2)
                assert getattr(low, kind) <= getattr(high, kind)


def test_generic_means_what_it_meant() -> None:
    contract = profile.load("generic").contract(["A", "B"])
    (terms,) = contract.terms["A"]
    assert (terms.tiers[0].initial, terms.tiers[0].maintenance, terms.penalty) == (0.05, 0.03, 0.01)
    assert (terms.from_ms, len(terms.tiers), terms.limit_micro, terms.idio) == (0, 1, None, 0.02)
    assert contract.law == (Law(),)
    assert contract.portfolio == Portfolio(0.03, 0.018, 0.3, 0.6)


def test_a_single_position_in_portfolio_asks_what_it_asks_in_cross() -> None:
    # 100,000: scan 3 % x 100,000 + idio 2 % x 100,000 = 5,000; maintenance 1.8 % + 2 % x 0.6 = 3 % = 3,000.
    # Three legs of 650,000, 650,000 and -500,000: isolated 5 % x 1,800,000 = 90,000; portfolio 3 % x 800,000 + 2 % x
    # 1,800,000 = 24,000 + 36,000 = 60,000.
    contract = profile.load("generic").contract(["A"])
    idio, book = contract.terms["A"][0].idio, contract.portfolio
    assert 100_000 * (book.scan_initial + idio) == pytest.approx(5_000)
    assert 100_000 * (book.scan_maintenance + idio * book.idio_maintenance) == pytest.approx(3_000)
    assert 800_000 * book.scan_initial + 1_800_000 * idio == pytest.approx(60_000)


@pytest.mark.parametrize("name", profile.names())
def test_only_a_venue_with_figures_can_be_played_in_portfolio_margin(name: str) -> None:
    venue = profile.load(name)
    played = venue.contract(["BTC-USD"]).portfolio is not None
    assert played is (name == "generic")
    why = f"the profile of {name} has no figures for it" if "portfolio" in venue.modes else f"{name} does not offer it"
    assert venue.lacks("portfolio") == ("" if played else why)
    assert venue.lacks("cross") == venue.lacks("isolated") == ""


@pytest.mark.parametrize(
    ("venue", "symbol", "when", "initial", "maintenance"),
    [
        ("dydx_v4", "BTC-USD", "2024-08-05", 0.05, 0.03),
        ("dydx_v4", "BTC-USD", "2025-10-10", 0.02, 0.012),
        ("dydx_v4", "BTC-USD", "2020-03-12", 0.05, 0.03),  # before the first date: as on it
        ("dydx_v4", "SOLUSDT", "2025-01-01", 0.05, 0.03),
        ("dydx_v4", "SOLUSDT", "2024-12-31", 0.10, 0.05),
        ("dydx_v4", "WHATEVER-USD", "2025-01-01", 0.20, 0.10),
        ("hyperliquid", "BTC", "2024-11-01", 0.02, 0.01),
        ("hyperliquid", "BTC", "2025-10-10", 0.025, 0.0125),
        ("hyperliquid", "DOGE", "2024-11-01", 0.05, 0.025),
        ("hyperliquid", "kPEPE", "2025-10-10", 0.10, 0.05),
        ("binance_usdm", "BTCUSDT", "2024-10-24", 1 / 125, 0.004),
        ("binance_usdm", "SOLUSDT", "2025-10-10", 1 / 100, 0.005),
        ("bybit_linear", "BTCUSDT", "2024-08-05", 0.01, 0.005),
        ("okx_swap", "ETH-USDT-SWAP", "2022-11-08", 0.02, 0.01),
        ("gmx_v2", "ETH/USD", "2025-10-10", 0.005, 0.005),
        ("gmx_v2", "NONE/USD", "2025-10-10", 0.01, 0.01),
        ("drift_v2", "SOL-PERP", "2025-10-10", 0.05, 0.03),
        ("dydx_v3", "BTC-USD", "2021-05-19", 0.04, 0.03),
    ],
)
def test_rates_of_a_day(venue: str, symbol: str, when: str, initial: float, maintenance: float) -> None:
    tier = profile.load(venue).terms(symbol, dt.date.fromisoformat(when)).tiers[0]
    assert (tier.initial, tier.maintenance) == (initial, maintenance)


def test_rules_that_are_no_ladder() -> None:
    assert profile.load("dydx_v4").terms("BTC-USD").ceil == CeilRates(20_000, 20_000, 600_000)
    v3 = profile.load("dydx_v3").terms("BTC-USD")
    assert (v3.initial_by_size, v3.limit_units) == (BySize(step=0.01, baseline=1, increment=0.5), 30_000_000)
    snx = profile.load("synthetix_v3").terms("ETH-USD")
    # Base, 4 February 2025: 1.16 / 300,000 for each unit of size, 28 % of it for maintenance, 15 on top of either.
    assert snx.initial_by_size == BySize(linear=1.16 / 300_000)
    assert snx.maintenance_by_size == BySize(linear=float(Fraction("1.16") / 300_000 * Fraction("0.28")))
    assert (snx.tiers[0].initial_deduction, snx.tiers[0].maintenance_deduction) == (-15_000_000, -15_000_000)
    drift = profile.load("drift_v2").terms("BTC-USD")
    assert drift.initial_by_size == drift.maintenance_by_size == BySize(share=0.8, root=0.0002)


def test_laws() -> None:
    v4 = profile.load("dydx_v4").law()
    assert (v4.take, v4.portion, v4.minimum_micro, v4.cap_micro) == (Take.SHARE, 0.1, 10**9, 10**11)
    assert (v4.price, v4.spread_to_maintenance, v4.bankruptcy_adjustment) == (Price.FILLABLE, 1.5, 1.0)
    assert (v4.every_ms, v4.block_ms, v4.fund_cap_micro, v4.fund_when_bankrupt) == (1000, 1000, 10**12, False)
    assert (v4.bounded, v4.shortfall, v4.ranking) == (True, Shortfall.ADL, Ranking.LARGEST)
    hl = profile.load("hyperliquid").law()
    assert (hl.portion, hl.above_micro, hl.then_whole) == (0.2, 10**11, True)
    assert (hl.every_ms, hl.cooldown_ms) == (3_000, 30_000)
    assert (hl.backstop, hl.price, hl.fund_micro) == (2 / 3, Price.BOOK, None)
    drift = profile.load("drift_v2").law()
    assert (drift.take, drift.ramp_start, drift.ramp_ms, drift.small_micro) == (Take.RAMP, 0.1, 60_000, 50_000_000)
    assert (drift.shortfall, drift.price, drift.buffer) == (Shortfall.SOCIALISED, Price.ORACLE, 0.02)
    assert [profile.load(name).terms("BTC-USD").penalty for name in ("dydx_v4", "hyperliquid", "gmx_v2")] == [
        0.015,
        0,
        0.002,
    ]


def test_a_cooldown_in_words() -> None:
    said = "20 % of a position every 3s, of one above 100,000, then whole within 30s; the largest first"
    assert said in profile.load("hyperliquid").in_words(["BTC"])


def test_deductions_are_those_that_venues_print() -> None:
    bybit = [t.maintenance_deduction / 1e6 for t in profile.load("bybit_linear").tiers("BTCUSDT")]
    assert bybit[:20] == [
        0, 1_200, 3_020, 4_300, 5_820, 8_460, 15_460, 20_500, 46_000, 66_000, 80_000, 160_000, 300_000, 452_000,
        502_000, 777_000, 837_000, 967_000, 1_107_000, 1_482_000,
    ]  # fmt: skip
    # The FAQ's example: BTC at 2.5 % has 16,300.
    binance = profile.load("binance_usdm")
    known = {t.maintenance: t.maintenance_deduction / 1e6 for t in binance.terms("BTCUSDT", dt.date(2022, 3, 1)).tiers}
    assert known[0.025] == 16_300
    assert binance.terms("BTCUSDT", dt.date(2024, 10, 24)).limit_micro == 1_800_000_000 * 10**6


def test_brackets_and_maintenance_of_the_vectors() -> None:
    seen, day = 0, dt.date(2024, 10, 24)
    for vector in vectors("binance"):
        if vector["case"].startswith("brackets"):
            ladder = profile.load("binance_usdm").terms(vector["inputs"]["market"], day).tiers
            told = [(float(b["mmr"]), 1 / b["max_leverage"], float(b["cum"])) for b in vector["expected"]["brackets"]]
            assert [(t.maintenance, t.initial, t.maintenance_deduction / 1e6) for t in ladder] == told
            seen += 1
        if vector["case"].startswith("maintenance_margin"):
            asked = vector["inputs"]
            told_margin = Decimal(vector["expected"]["maintenance_margin"])
            assert requirement("binance_usdm", asked["market"], asked["notional_usdt"], day) == told_margin
            seen += 1
    for vector in vectors("hyperliquid"):
        if vector["case"].startswith("tiered_maintenance"):
            asked = vector["inputs"]
            margin = requirement("hyperliquid", asked["market"], asked["notional_usdc"])
            assert float(margin) == pytest.approx(float(vector["expected"]["maintenance_margin_usdc"]), abs=1e-4)
            seen += 1
    assert seen == 19  # 3 brackets, 12 amounts, 4 amounts


# Maker and taker in bps from a volume in millions on, of the sources that the presets name.
BINANCE = [
    (0, 2, 5), (15, 1.6, 4), (50, 1.4, 3.5), (100, 1.2, 3.2), (600, 1, 3), (1_000, 0.8, 2.7), (2_500, 0.6, 2.5),
    (5_000, 0.4, 2.2), (12_500, 0.2, 2), (25_000, 0, 1.7),
]  # fmt: skip
SCHEDULES: dict[tuple[str, str], tuple[int, list[tuple[float, float, float]]]] = {
    ("binance_usdm", "2025-01-01"): (30, BINANCE),
    ("bybit_linear", "2025-01-01"): (
        30, [(0, 2, 5.5), (10, 1.8, 4), (25, 1.6, 3.75), (50, 1.4, 3.5), (100, 1.2, 3.2), (250, 1, 3.2), (500, 0, 3)],
    ),
    ("okx_swap", "2025-01-01"): (30, [(0, 2, 5)]),
    ("hyperliquid", "2024-03-10"): (14, [(0, -0.2, 2.5)]),
    ("hyperliquid", "2025-05-04"): (
        14, [(0, 1, 3.5), (5, 0.5, 3), (25, 0, 2.5), (100, 0, 2.3), (500, 0, 2.1), (2_000, 0, 1.9)],
    ),
    ("hyperliquid", "2025-05-05"): (
        14,
        [(0, 1.5, 4.5), (5, 1.2, 4), (25, 0.8, 3.5), (100, 0.4, 3), (500, 0, 2.8), (2_000, 0, 2.6), (7_000, 0, 2.4)],
    ),
    ("dydx_v4", "2024-01-18"): (30, [(0, -1.1, 5), (1, -1.1, 4.5), (5, -1.1, 4), (25, -1.1, 3.5), (125, -1.1, 3)]),
    ("dydx_v4", "2024-01-19"): (30, [(0, 1, 5), (1, 1, 4.5), (5, 0.5, 4), (25, 0, 3.5), (125, 0, 3)]),
    ("drift_v2", "2023-03-11"): (30, [(0, -2, 10), (1, -2, 9), (5, -2, 8), (10, -2, 7), (50, -2, 6), (100, -2, 3)]),
    ("drift_v2", "2026-01-01"): (
        30, [(0, -0.25, 3.5), (2, -0.25, 3), (10, -0.25, 2.75), (20, -0.25, 2.5), (80, -0.25, 2.25), (200, -0.25, 2)],
    ),
    ("gmx_v2", "2025-01-01"): (30, [(0, 4, 6)]),
    ("generic", "2025-01-01"): (30, [(0, 0, 0)]),
}  # fmt: skip


@pytest.mark.parametrize(("venue", "day"), SCHEDULES)
def test_fees_are_those_of_the_sources(venue: str, day: str) -> None:
    window, tiers = SCHEDULES[venue, day]
    table = in_force(profile.load(venue).fee_tables, dt.date.fromisoformat(day))
    assert table.window_days == window
    found = [(float(t.volume) / 1e6, float(t.maker_bps), float(t.taker_bps)) for t in table.tiers if t.by_volume]
    assert found == tiers


def test_tiers_by_shares_of_the_venue() -> None:
    above = [tier for tier in profile.load("dydx_v4").fees() if not tier.by_volume]
    assert [float(tier.maker_bps) for tier in above] == [-0.5, -0.7, -0.9, -1.1]
    assert {float(tier.taker_bps) for tier in above} == {2.5}


def test_takers_are_twice_the_half_that_the_venue_announced() -> None:
    # The announcement of 2 February 2026: half of each level's fee, in bps, for contracts on equities.
    half = [2.5, 2, 1.75, 1.6, 1.5, 1.35, 1.25, 1.1, 1, 0.85]
    assert [taker for _, _, taker in BINANCE] == [2 * rate for rate in half]


def test_discounts() -> None:
    shares = {name: {k: float(d.share) for k, d in profile.load(name).discounts.items()} for name in NAMES}
    assert {name: found for name, found in shares.items() if found} == {
        "binance_usdm": {"bnb": 0.1},
        "drift_v2": {"kickstarter": 0.05, "racer": 0.1, "elite": 0.2, "master": 0.3, "champion": 0.4},
        "hyperliquid": {
            "wood": 0.05, "bronze": 0.1, "silver": 0.15, "gold": 0.2, "platinum": 0.3, "diamond": 0.4, "referral": 0.04,
        },
    }  # fmt: skip


def least(venue: str, symbol: str, day: str) -> int:
    return profile.load(venue).terms(symbol, dt.date.fromisoformat(day)).min_notional_micro


def test_order_rules() -> None:
    # Days from 1970: 2021-01-25 is 18,652, 2021-02-24 is 18,682, 2023-11-02 is 19,663, 2023-08-14 is 19,583,
    # 2023-10-26 is 19,656.
    def told(venue: str) -> list[tuple[int, int | None, int | None]]:
        return [(r.from_ms // 86_400_000, r.most, r.most_each) for r in profile.load(venue).contract(["X"]).orders]

    assert told("binance_usdm") == [(0, None, 200), (18_652, None, 200), (18_682, None, 200), (19_663, None, 200)]
    assert told("bybit_linear") == [(0, None, 500)]
    assert told("okx_swap") == [(19_583, None, 500)]
    assert told("hyperliquid") == [(0, 1_000, None)]
    assert told("dydx_v4") == [(19_656, 200, None)]
    assert told("drift_v2") == [(0, 32, None)]
    for name in ("generic", "dydx_v3", "gmx_v2", "synthetix_v3"):
        assert profile.load(name).contract(["X"]).orders == (OrderRules(),)
        assert least(name, "BTC-USD", "2025-01-01") == 0
    days = ("2021-01-24", "2021-01-25", "2021-02-24", "2023-11-01", "2023-11-02")
    assert [least("binance_usdm", "BTCUSDT", day) for day in days] == [0, 10**6, 5 * 10**6, 5 * 10**6, 10**8]
    assert [least("binance_usdm", "ETHUSDT", day) for day in days[-2:]] == [5 * 10**6, 2 * 10**7]
    assert least("binance_usdm", "XYZUSDT", "2023-11-02") == 5 * 10**6
    assert (least("hyperliquid", "BTC", "2025-01-01"), least("bybit_linear", "X", "2025-01-01")) == (10**7, 5 * 10**6)


def test_what_a_run_takes_on_trust_is_said() -> None:
    # 2024-01-01 to 2024-03-01: the brackets of SOL were seen in that time.
    said = profile.load("binance_usdm").assumptions(["SOLUSDT", "XYZ-USD"], 1_704_067_200_000, 1_709_251_200_000)
    assert said[:3] == [
        "binance_usdm: XYZ-USD: not in the profile, uses the terms of class other.",
        "binance_usdm: XYZ-USD: margin of 2024-10-24 is also used for earlier days.",
        "binance_usdm: XYZ-USD: margin of 2024-10-24: assumed (the brackets of DOGE).",
    ]
    # In January 2022 there was no snapshot yet; after May 2026 there is none.
    early = profile.load("binance_usdm").assumptions(["SOLUSDT"], 1_640_995_200_000, 1_643_673_600_000)
    assert early[0] == "binance_usdm: SOLUSDT: margin of 2022-02-12 is also used for earlier days."
    late = profile.load("binance_usdm").assumptions(["SOLUSDT"], 1_780_000_000_000, 1_790_000_000_000)
    assert late[0] == "binance_usdm: SOLUSDT: margin is known until 2026-05-08 and also used for later days."
    fees = [line for line in said if line.startswith("binance_usdm: fees of 2021-12-21: assumed: the date (")]
    assert len(fees) == 1
    assert "VIP 2 from memory" in fees[0]
    own_rates = profile.load("binance_usdm").assumptions(["SOLUSDT"], 1_704_067_200_000, 1_709_251_200_000, fees=False)
    assert not [line for line in own_rates if "fees" in line]
    (orders,) = [line for line in said if "orders" in line]
    assert orders.startswith("binance_usdm: orders of 2023-11-02: assumed: price band (")
    lacking = profile.load("okx_swap").assumptions(["X"], 1_704_067_200_000, 1_709_251_200_000)
    assert any(line.startswith("okx_swap: fees assumed (") for line in lacking)
    assert profile.load("generic").assumptions(["X"], 0, 10**13) == []
    # In 2025 only the later table of BTC counts, and it is verified.
    late = profile.load("binance_usdm").assumptions(["BTCUSDT"], 1_740_787_200_000, 1_743_465_600_000)
    assert not [line for line in late if "margin" in line]


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(("venues", *arguments))
    assert not ended.value.code
    return capsys.readouterr().out


def test_all_versions_are_shown_by_date(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.split() for line in shown(capsys, "show", "dydx_v4", "--symbol", "BTCUSDT").splitlines()]
    before = "BTCUSDT: BTC-USD 2023-10-26 no limit 5.00% 3.00% 20.0 amounts rounded up verified networks at 9663b34f4"
    after = "BTCUSDT: BTC-USD 2025-01-01 no limit 2.00% 1.20% 50.0 amounts rounded up assumed genesis"
    assert lines.index(before.split()) + 2 == lines.index(after.split())
    day = shown(capsys, "show", "dydx_v4", "--symbol", "BTCUSDT", "--date", "2024-01-05")
    assert before.split() in [line.split() for line in day.splitlines()]
    assert "2.00%" not in day


def test_a_ladder_is_shown_with_its_deductions_and_sources(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "show", "binance_usdm", "--symbol", "BTC-USD", "--date", "2025-10-10")
    lines = [line.split() for line in text.splitlines()]
    first = "BTC-USD: BTC/USDT:USDT 2025-08-21 300,000 0.67% 0.40% 150.0 0.00 verified"
    assert first.split() in [line[:9] for line in lines]
    assert ["1,800,000,000", "100.00%", "50.00%", "1.0", "421,482,000.00"] in lines
    assert "source brackets: the venue's leverageBracket answers, freqtrade/freqtrade" in text
    assert "liquidation: a position down to the tier below every 1s" in text
    assert "[verified; assumed: penalty, take, ranking, every, fund]" in text


def test_what_is_shown_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(shown(capsys, "show", "hyperliquid", "--symbol", "DOGE-USD", "--date", "2025-10-10", "--json"))
    assert said["shown"]["tables"][0]["tiers"][0]["max_leverage"] == "10"
    found = said["shown"]
    assert (found["found"], found["law"]["take"], found["law"]["above_micro"]) == ("DOGE", "share", 10**11)
    assert [tier["maintenance"] for tier in found["terms"]["tiers"]] == [0.05, 0.1]
    assert [venue["name"] for venue in json.loads(shown(capsys, "list", "--json"))] == list(NAMES)
