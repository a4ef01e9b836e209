"""Venue profiles: the generic yardstick, ladders with their deductions, and what is said about a bad file."""

from __future__ import annotations

import datetime as dt
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

import pytest

from backtest.core.errors import UserError
from backtest.core.toml_lines import line_of
from backtest.venues import profile
from backtest.venues.terms import BySize, CeilRates, Law, Price, Take, Terms, Tier

HEAD = 'name = "mine"\nsource = "test"\ndate = 2026-01-01\nquote = "USDC"\n'  # four lines
LADDER = """
[defaults]
penalty = 0.0125
taker_fee_bps = 4.5

[[tiers]]
upto = 1_000_000
initial = 0.05
maintenance = 0.03
[[tiers]]
upto = 2_500_000.5
initial = 0.1
maintenance = 0.06
[[tiers]]
initial = 0.2
maintenance = 0.06

[symbols."BTC-USD"]
tiers = [{ upto = 10, initial = 0.01, maintenance = 0.005 }, { initial = 0.02, maintenance = 0.01 }]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_generic_is_the_yardstick_of_the_issue() -> None:
    generic = profile.load("generic")
    assert (generic.penalty, generic.taker_fee_bps) == (0.01, 0.0)
    assert [astuple(t) for t in generic.tiers("ANY")] == [(None, 0.05, 0, 0.03, 0)]
    assert generic.max_leverage("ANY") == 20


def test_deductions_make_the_requirement_continuous(tmp_path: Path) -> None:
    """In micro, by hand:

    edge 1:  1,000,000 x (0.10 - 0.05) =  50,000.00  -> initial      50,000,000,000
             1,000,000 x (0.06 - 0.03) =  30,000     -> maintenance  30,000,000,000
    edge 2:  2,500,000.5 x (0.20 - 0.10) = 250,000.05 -> initial     50,000 + 250,000.05 = 300,000.05
             2,500,000.5 x 0             = 0          -> maintenance unchanged
    """
    ladder = profile.load(write(tmp_path, HEAD + LADDER)).tiers("ETH-USD")
    assert [astuple(t) for t in ladder] == [
        (1_000_000_000_000, 0.05, 0, 0.03, 0),
        (2_500_000_500_000, 0.1, 50_000_000_000, 0.06, 30_000_000_000),
        (None, 0.2, 300_000_050_000, 0.06, 30_000_000_000),
    ]
    for low, high in pairwise(ladder):
        edge = low.upto_micro or 0
        assert edge * low.initial - low.initial_deduction == pytest.approx(edge * high.initial - high.initial_deduction)


def test_a_deduction_is_rounded_once_half_to_even(tmp_path: Path) -> None:
    # Edge 50 micro x 0.01 = 0.5 micro -> 0; edge 150 micro x 0.01 = 1.5 -> 2. As doubles 0.03 - 0.02 is below 0.01
    # and the second would be 1.
    for upto, deduction in (("0.00005", 0), ("0.00015", 2)):
        tiers = (
            f"tiers = [{{ upto = {upto}, initial = 0.02, maintenance = 0 }}, {{ initial = 0.03, maintenance = 0 }}]\n"
        )
        assert profile.load(write(tmp_path, HEAD + tiers)).tiers("X")[1].initial_deduction == deduction


def test_a_symbol_has_its_own_ladder_and_the_venue_its_own_costs(tmp_path: Path) -> None:
    mine = profile.load(str(write(tmp_path, HEAD + LADDER)))
    # 10 x (0.02 - 0.01) = 0.1; 10 x (0.01 - 0.005) = 0.05
    assert [astuple(t) for t in mine.tiers("BTC-USD")] == [
        (10_000_000, 0.01, 0, 0.005, 0),
        (None, 0.02, 100_000, 0.01, 50_000),
    ]
    assert (mine.penalty, mine.taker_fee_bps, mine.max_leverage("BTC-USD")) == (0.0125, 4.5, 100)


def test_an_initial_of_zero_has_no_maximum_leverage(tmp_path: Path) -> None:
    free = profile.load(write(tmp_path, HEAD + "[defaults]\ninitial = 0\nmaintenance = 0\n"))
    assert free.max_leverage("X") == float("inf")
    assert astuple(free.tiers("X")[0]) == (None, 0.0, 0, 0.0, 0)


ONE = "tiers = [{ initial = 0.1, maintenance = 0.05 }]"
BAD = {
    "[defaults]\nmaintenance = 0.06": (5, "maintenance 0.06 is above initial 0.05"),
    "[defaults]\n\npenalty = -0.01": (7, "greater than or equal to 0"),
    "[defaults]\ninitial = 1\nmaintenance = 1": (7, "less than 1"),
    "[defaults]\ninitial = 1.5": (6, "less than or equal to 1"),
    "[defaults]\npenalty = nan": (6, "finite"),
    "[defaults]\npenalty = true": (6, "is not a number"),
    '[defaults]\npenalty = "0.01"': (6, "is not a number"),
    "[defaults]\npenalti = 0.01": (6, "unknown key; did you mean 'penalty'?"),
    "[default]\npenalty = 0.01": (5, "unknown key; did you mean 'defaults'?"),
    "[[tiers]]\ninitial = 0.1": (5, "maintenance: is missing"),
    "tiers = []": (5, "no tier"),
    "tiers = [{ initial = 0.1, maintenance = 0 }, { initial = 0.1, maintenance = 0 }]": (5, "tier 1 has no upto"),
    "[[tiers]]\nupto = 0.0000001\ninitial = 0.1\nmaintenance = 0\n[[tiers]]\ninitial = 0.1\nmaintenance = 0": (
        5,
        "finer than a millionth",
    ),
    (
        '[symbols."A-B"]\ntiers = [\n  { upto = 9, initial = 0.1, maintenance = 0 },\n'
        "  { initial = 0.2, maintenanc = 0 },\n]"
    ): (8, "did you mean 'maintenance'?"),
    "[[tiers]]\nupto = 9\ninitial = 0.2\nmaintenance = 0\n[[tiers]]\ninitial = 0.1\nmaintenance = 0": (
        9,
        "rates must rise",
    ),
    (
        "[[tiers]]\nupto = 9\ninitial = 0.1\nmaintenance = 0\n[[tiers]]\nupto = 9\ninitial = 0.1\nmaintenance = 0\n"
        "[[tiers]]\ninitial = 0.1\nmaintenance = 0"
    ): (9, "tier 2: upto 9 is not above the 9 before it"),
    # ---- dated tables
    f"[[margin]]\nfrom = 2024-01-01\n{ONE}\n[[margin]]\nfrom = 2024-01-01\n{ONE}": (8, "overlapping dates"),
    f"[[margin]]\nfrom = 2023-01-01\nuntil = 2024-06-01\n{ONE}\n[[margin]]\nfrom = 2024-01-01\n{ONE}": (
        9,
        "overlapping dates: the table before it holds until 2024-06-01",
    ),
    f"[[margin]]\nfrom = 2024-01-01\nuntil = 2024-01-01\n{ONE}": (5, "until 2024-01-01 is not after its from"),
    f"[[margin]]\n{ONE}\nsource = 'elsewhere'\n[sources]\nelsewere = 'a page'": (7, "did you mean 'elsewere'?"),
    f"[[margin]]\n{ONE}\nstatus = 'verifed'": (7, "'verified', 'derived' or 'assumed'"),
    f"[[margin]]\n{ONE}\nassumed = ['tears']": (7, "'tears' is not a key of the table; did you mean 'tiers'?"),
    f"[[margin]]\nrule = 'teirs'\n{ONE}": (6, "unknown rule 'teirs'; did you mean 'tiers'?"),
    "[[margin]]\nrule = 'ceil'\ninitial = 0.1\nmaintenance_shar = 0.5": (8, "did you mean 'maintenance_share'?"),
    "[[margin]]\nrule = 'ceil'\ninitial = 0.1": (5, "maintenance_share: is missing"),
    "[[margin]]\nrule = 'ceil'\ninitial = 0.0000001\nmaintenance_share = 0.5": (7, "finer than a millionth"),
    "[[margin]]\nrule = 'incremental'\ninitial = 0.1\nmaintenance = 0.2\nstep = 0\nbaseline = 0\nincrement = 1": (
        5,
        "maintenance 0.2 is above initial 0.1",
    ),
    "[[margin]]\nlimit = 5\ntiers = [{ upto = 9, initial = 0.1, maintenance = 0 }]": (6, "the limit already"),
    "[[margin]]\ntiers = [{ initial = 0.1, max_leverage = 10, maintenance = 0 }]": (
        6,
        "either initial or max_leverage",
    ),
    f"{ONE}\n[[margin]]\n{ONE}": (6, "give one of tiers and margin"),
    # ---- classes and symbols
    f"default_class = 'smal'\n[classes.small]\n{ONE}": (5, "unknown class 'smal'; did you mean 'small'?"),
    f"[classes.a]\nassets = ['BTC']\n{ONE}\n[classes.b]\nassets = ['BTC']\n{ONE}": (9, "BTC is in class a already"),
    "[symbols.BTC]": (5, "give either tiers or margin"),
    f"[[symbols.BTC.margin]]\n{ONE}\n[[symbols.BTC.margin]]\nfrom = 2024-01-01\nrule = 'x'": (9, "unknown rule 'x'"),
    # ---- liquidation, fees, portfolio
    "[[liquidation]]\ntake = 'shares'": (6, "unknown take 'shares'; did you mean 'share'?"),
    "[[liquidation]]\ntake = 3": (6, "unknown take 3; known: pool"),
    "[[liquidation]]\nevery = true": (6, "is not a duration"),
    "[[liquidation]]\nevery = nan": (6, "is not a duration"),
    "[[liquidation]]\ndelay = -1": (6, "is not a duration"),
    "[[margin]]\nfrom = '2024-01-01'\ntiers = [{ initial = 0.1, maintenance = 0.05 }]": (6, "valid date"),
    f"[[margin]]\n{ONE}\nsource = 4": (7, "margin.1.source: "),
    "[[liquidation]]\nportion = 0": (6, "greater than 0"),
    "[[liquidation]]\npenalty = 1.2": (6, "less than or equal to 1"),
    "[[liquidation]]\nevery = '30 sec'": (6, "write seconds, or text like 30s"),
    "[[liquidation]]\nfunds = 5": (6, "did you mean 'fund'?"),
    "[[liquidation]]\ntake = 'ramp'\nbuffer = 0.02": (
        6,
        "a ramp is a share of the shortage that grows with time: give ",
    ),
    "[[liquidation]]\ntake = 'ramp'\nevery = 1": (6, "give every and buffer above 0"),
    "[[liquidation]]\ntake = 'share'\nprice = 'mark'\nslippage = 0.01": (
        8,
        'slippage belongs to price = "book" or "fillable"; this table has price = "mark"',
    ),
    "[[liquidation]]\nfrom = 2024-01-01\n[[liquidation]]\nportion = 0.2": (
        8,
        'liquidation.2.portion: portion belongs to take = "share"; this table has take = "pool"',
    ),
    "[[liquidation]]\nprice = 'book'": (
        6,
        'price belongs to take = "position" or "share" or "tier" or "ramp"; this table has take = "pool"',
    ),
    "[[liquidation]]\ntake = 'share'\ncooldown = 30": (
        7,
        "cooldown belongs to then_whole = true; this table has then_whole = false",
    ),
    "[[liquidation]]\ncooldown = -1": (6, "is not a duration"),
    "[[fees]]\ntiers = [{ volume = 5, maker_bps = 1, taker_bps = 2 }]": (6, "the first tier begins at a volume of 0"),
    "[[fees]]\ntiers = [{ maker_bps = 1, taker = 2 }]": (6, "unknown key; did you mean 'taker_bps'?"),
    (
        "[[fees]]\ntiers = [\n{ maker_bps = 2, taker_bps = 2 },\n{ volume = 9, maker_bps = 1, taker_bps = 2 },\n"
        "{ volume = 9, maker_bps = 0, taker_bps = 2 },\n]"
    ): (9, "tier 3: another tier has the same volume 9"),
    # The same but for a share that everybody has.
    "[[fees]]\ntiers = [{ maker_bps = 2, taker_bps = 2 }, { total_share = 0, maker_bps = 1, taker_bps = 2 }]": (
        6,
        "tier 2: another tier has the same volume 0 and the same shares",
    ),
    "[[fees]]\nwindow_days = 400\ntiers = [{ maker_bps = 2, taker_bps = 2 }]": (6, "less than or equal to 366"),
    "[discounts.bnb]\nshare = 0": (6, "greater than 0"),
    "[discounts.bnb]\nshar = 0.1": (6, "unknown key; did you mean 'share'?"),
    "[[orders]]\nmost = 0": (6, "greater than 0"),
    "[[orders]]\nmost = 2.5": (6, "orders.1.most: "),
    "[[orders]]\nmin_notional = -1": (6, "greater than or equal to 0"),
    "[[orders]]\nmost_of_each = 5": (6, "unknown key; did you mean 'most_each'?"),
    "[[orders]]\nmarkets = { BTC = { least = 5 } }": (6, "unknown key; known: min_notional, price_band"),
    "[[orders]]\nmost = 5\n[[orders]]\nmost = 6": (7, "overlapping dates: two tables hold from ever on"),
    "[portfolio]\nscan_initial = 0.01\nscan_maintenance = 0.02": (5, "scan_maintenance 0.02 is above scan_initial"),
    "[volatility]\nwindow_days = 1\nreference = 0.8\nmost = 2": (6, "greater than or equal to 2"),
    # ---- extends
    "extends = 'dydx_v5'": (5, "unknown venue 'dydx_v5'; did you mean 'dydx_v4'?"),
    "extends = 4": (5, "extends is not a name or a file"),
    "extends = 'mine.toml'": (5, "extends comes back to 'mine.toml'"),
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_value_is_one_line_with_file_line_and_reason(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, HEAD + text + "\n")
    line, reason = BAD[text]
    with pytest.raises(UserError) as caught:
        profile.load(file)
    said = str(caught.value)
    assert said.startswith(f"{file}:{line}: ")
    assert reason in said
    assert "\n" not in said


def test_broken_toml_names_file_and_line(tmp_path: Path) -> None:
    file = write(tmp_path, HEAD + "[defaults\n")
    with pytest.raises(UserError, match=r"mine\.toml: not readable as TOML: .*line 5") as caught:
        profile.load(file)
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown venue 'genric'; did you mean 'generic'"):
        profile.load("genric")
    with pytest.raises(UserError, match=r"none\.toml: no such venue file"):
        profile.load(str(tmp_path / "none.toml"))
    with pytest.raises(UserError, match="name: is missing"):
        profile.load(write(tmp_path, 'source = "x"\ndate = 2026-01-01\nquote = "USDC"\n'))


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        profile.load("generic").name = "other"


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("a",), 1),
        (("t", "b"), 3),
        (("t", "missing"), 2),
        (("rows", 1, "x"), 7),
        (("s", "X-Y", "list", 1, "q"), 11),
        (("nowhere",), 1),
    ],
)
def test_line_of(where: tuple[str | int, ...], line: int) -> None:
    table = 'a = 1\n[t] # note\nb = "x = 1"\n'
    text = table + '[[rows]]\nx = 1\n[[rows]]\nx = 2\n[s."X-Y"]\nlist = [\n {q = 1},\n {q = 2},\n]\n'
    assert line_of(text, where) == line


# ---- dated tables, limits


DATED = (
    HEAD
    + """
[[margin]]
from = 2024-01-01
status = "verified"
limit_size = 2.5
tiers = [{ initial = 0.1, maintenance = 0.05 }]
[[margin]]
from = 2023-01-01
until = 2023-12-01
tiers = [{ upto = 1_000, max_leverage = 4, maintenance = 0.1 }, { upto = 5_000, max_leverage = 2, maintenance = 0.2 }]
[[liquidation]]
from = 2023-07-01
penalty = 0.02
"""
)


def test_each_day_has_its_terms() -> None:
    mine = profile.from_text(DATED)
    terms = mine.contract(["A"]).terms["A"]
    # Days from 1970: 2023-01-01 is 19,358, 2023-07-01 is 19,539, 2024-01-01 is 19,723. The law's penalty holds before
    # its own date as well, so that it adds no date.
    assert [t.from_ms // 86_400_000 for t in terms] == [19_358, 19_723]
    assert [t.penalty for t in terms] == [0.02, 0.02]
    # 1,000 x (0.5 - 0.25) = 250 and 1,000 x (0.2 - 0.1) = 100; the last upto is the limit.
    assert terms[0].tiers == (Tier(1_000_000_000, 0.25, 0, 0.1, 0), Tier(None, 0.5, 250_000_000, 0.2, 100_000_000))
    assert [(t.limit_micro, t.limit_units) for t in terms] == [(5_000_000_000, None), (None, 2_500_000)]
    days = {"2020-01-01": 0.25, "2023-12-31": 0.25, "2024-01-01": 0.1, "2030-01-01": 0.1}
    assert {day: mine.terms("A", dt.date.fromisoformat(day)).tiers[0].initial for day in days} == days
    assert mine.terms("A").tiers[0].initial == 0.1
    assert mine.max_leverage("A", dt.date(2023, 5, 5)) == 4


def test_a_date_of_the_law_makes_terms_of_its_own_where_the_penalty_changes() -> None:
    more = DATED + "[[liquidation]]\nfrom = 2023-08-01\npenalty = 0.03\n"
    terms = profile.from_text(more).contract(["A"]).terms["A"]
    assert [(t.from_ms // 86_400_000, t.penalty) for t in terms] == [(19_358, 0.02), (19_570, 0.03), (19_723, 0.03)]


RULES = {
    "rule = 'max_leverage'\ntiers = [{ upto = 100, max_leverage = 40 }, { max_leverage = 20 }]": Terms(
        # Half of 1/40 and of 1/20; 100 x (0.05 - 0.025) = 2.5 and half of it.
        0, (Tier(100_000_000, 0.025, 0, 0.0125, 0), Tier(None, 0.05, 2_500_000, 0.025, 1_250_000)), penalty=0.01,
    ),
    # Open interest of 70 between 20 and 120: 0.1 + 0.9 x 50 / 100 = 0.55. Maintenance is not scaled.
    (
        "rule = 'ceil'\ninitial = 0.1\nmaintenance_share = 0.5\nopen_interest = 70\nopen_interest_lower = 20\n"
        "open_interest_upper = 120"
    ): Terms(0, (Tier(None, 0.55, 0, 0.05, 0),), ceil=CeilRates(550_000, 100_000, 500_000), penalty=0.01),
    # No upper cap: not scaled, whatever the open interest.
    "rule = 'ceil'\ninitial = 0.1\nmaintenance_share = 0.5\nopen_interest = 70": Terms(
        0, (Tier(None, 0.1, 0, 0.05, 0),), ceil=CeilRates(100_000, 100_000, 500_000), penalty=0.01,
    ),
    # 0.1 + 0.9 x 10 / 30 = 0.4 exactly; with 11 / 30 it is 0.43, with 10 / 31 it is 0.390322580..., rounded down.
    (
        "rule = 'ceil'\ninitial = 0.1\nmaintenance_share = 0.5\nopen_interest = 10\nopen_interest_upper = 31"
    ): Terms(0, (Tier(None, 0.390322, 0, 0.05, 0),), ceil=CeilRates(390_322, 100_000, 500_000), penalty=0.01),
    (
        "rule = 'ceil'\ninitial = 0.1\nmaintenance_share = 0.5\nopen_interest = 31\nopen_interest_upper = 31"
    ): Terms(0, (Tier(None, 1.0, 0, 0.05, 0),), ceil=CeilRates(1_000_000, 100_000, 500_000), penalty=0.01),
    (
        "rule = 'incremental'\ninitial = 0.04\nmaintenance = 0.03\nstep = 0.01\nbaseline = 1\nincrement = 0.5"
    ): Terms(0, (Tier(None, 0.04, 0, 0.03, 0),), BySize(step=0.01, baseline=1.0, increment=0.5), penalty=0.01),
    (
        "rule = 'skew_scaled'\ninitial = 0.02\nratio = 2\nskew_scale = 1_000\nmaintenance_share = 0.5\nflat = 7"
    ): Terms(
        0, (Tier(None, 0.02, -7_000_000, 0.01, -7_000_000),), BySize(linear=0.002), BySize(linear=0.001), penalty=0.01,
    ),
    "rule = 'size_root'\ninitial = 0.1\nmaintenance = 0.05\nroot = 0.001": Terms(
        0, (Tier(None, 0.1, 0, 0.05, 0),), BySize(share=0.8, root=0.001), BySize(share=0.8, root=0.001), penalty=0.01,
    ),
    # 5,000,000 x 0.000001 is above 1: a rate is at most 1.
    (
        "rule = 'open_interest'\ninitial = 0.01\nmaintenance = 0.005\nmultiplier = 0.000001\nopen_interest = 5_000_000"
    ): Terms(0, (Tier(None, 1.0, 0, 0.005, 0),), penalty=0.01),
}  # fmt: skip


@pytest.mark.parametrize("text", RULES)
def test_rules(text: str) -> None:
    assert profile.from_text(f"{HEAD}[[margin]]\n{text}\n").terms("A") == RULES[text]


def test_fees_may_differ_by_share_at_one_volume() -> None:
    tiers = "tiers = [{ maker_bps = 2, taker_bps = 2 }, { total_share = 0.1, maker_bps = 1, taker_bps = 2 }]"
    assert [tier.maker_bps for tier in profile.from_text(f"{HEAD}[[fees]]\n{tiers}\n").fees()] == [2, 1]


def test_a_key_may_be_idle_at_its_default_or_where_it_is_inherited() -> None:
    same = "[[liquidation]]\ntake = 'position'\nslippage = 0\nportion = 1\nthen_whole = false\n"
    assert profile.from_text(HEAD + same).law() == Law(take=Take.POSITION)
    # dydx_v4 has a share, its limits and a fillable price: none of them is used here, and none was written here.
    law = profile.from_text(
        "name = 'x'\nextends = 'dydx_v4'\n[[liquidation]]\ntake = 'position'\nprice = 'mark'\n"
    ).law()
    assert (law.take, law.price, law.portion, law.spread_to_maintenance) == (Take.POSITION, Price.MARK, 0.1, 1.5)


def test_a_ramp_that_extends_needs_its_pace_too() -> None:
    # okx_swap has an interval and no buffer.
    text = "name = 'x'\nextends = 'okx_swap'\n[[liquidation]]\ntake = 'ramp'\n"
    with pytest.raises(UserError, match=r"^here:4: liquidation\.1\.take: a ramp is a share"):
        profile.from_text(text, "here")
    assert profile.from_text(text + "buffer = 0.01\n", "here").law().take is Take.RAMP


def test_liquidation_in_the_engines_units() -> None:
    law = profile.from_text(
        HEAD + "[[liquidation]]\nfrom = 1970-01-02\ntake = 'share'\nportion = 0.25\nabove = 1_000.5\nevery = 1.6\n"
        "delay = '2m'\nprice = 'auction'\ndiscount_per_s = 0.01\nfund = 12.000001\n"
    ).law()
    assert law == Law(
        from_ms=86_400_000, take=Take.SHARE, portion=0.25, above_micro=1_000_500_000, every_ms=1_600, delay_ms=120_000,
        price=Price.AUCTION, discount_per_s=0.01, fund_micro=12_000_001,
    )  # fmt: skip
    again = "[[liquidation]]\ntake = 'share'\nthen_whole = true\nevery = 3\ncooldown = "
    assert [profile.from_text(f"{HEAD}{again}{said}\n").law().cooldown_ms for said in ("30", "'1m'", "0")] == [
        30_000,
        60_000,
        0,
    ]
