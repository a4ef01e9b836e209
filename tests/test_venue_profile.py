"""Venue profiles: the generic yardstick, ladders with their deductions, and what is said about a bad file."""

from __future__ import annotations

from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

import pytest

from backtest.errors import UserError
from backtest.venue import profile
from backtest.venue.lines import line_of

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
    assert [p.name for p in profile.available()] == profile.names() == ["generic"]


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


BAD = {
    "[defaults]\nmaintenance = 0.06": (5, "maintenance 0.06 is above initial 0.05"),
    "[defaults]\n\npenalty = -0.01": (7, "greater than or equal to 0"),
    "[defaults]\ninitial = 1\nmaintenance = 1": (7, "less than 1"),
    "[defaults]\ninitial = 1.5": (6, "less than or equal to 1"),
    "[defaults]\npenalty = nan": (6, "finite"),
    "[defaults]\npenalty = true": (6, "is not a number"),
    '[defaults]\npenalty = "0.01"': (6, "is not a number"),
    "[defaults]\npenalti = 0.01": (6, "unknown key; did you mean penalty?"),
    "[default]\npenalty = 0.01": (5, "unknown key; did you mean defaults?"),
    "[[tiers]]\ninitial = 0.1": (5, "maintenance: is missing"),
    "[[tiers]]\nupto = 5\ninitial = 0.1\nmaintenance = 0.05": (5, "the last tier is open"),
    "tiers = []": (5, "no tier"),
    "tiers = [{ initial = 0.1, maintenance = 0 }, { initial = 0.1, maintenance = 0 }]": (5, "tier 1 has no upto"),
    "[[tiers]]\nupto = 0.0000001\ninitial = 0.1\nmaintenance = 0\n[[tiers]]\ninitial = 0.1\nmaintenance = 0": (
        5,
        "finer than a millionth",
    ),
    (
        '[symbols."A-B"]\ntiers = [\n  { upto = 9, initial = 0.1, maintenance = 0 },\n'
        "  { initial = 0.2, maintenanc = 0 },\n]"
    ): (8, "did you mean maintenance?"),
    "[[tiers]]\nupto = 9\ninitial = 0.2\nmaintenance = 0\n[[tiers]]\ninitial = 0.1\nmaintenance = 0": (
        5,
        "rates must rise",
    ),
    (
        "[[tiers]]\nupto = 9\ninitial = 0.1\nmaintenance = 0\n[[tiers]]\nupto = 9\ninitial = 0.1\nmaintenance = 0\n"
        "[[tiers]]\ninitial = 0.1\nmaintenance = 0"
    ): (5, "tier 2: upto 9 is not above the 9 before it"),
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
    with pytest.raises(UserError, match="unknown venue 'genric'; did you mean generic"):
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
