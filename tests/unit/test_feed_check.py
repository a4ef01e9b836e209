"""`check` finds each kind of fault, counts it and shows where it is; a sound dataset has none."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from backtest.core.errors import UserError
from backtest.data.check import CASES, Findings, check
from tests.unit.feed_datasets import HOUR, MIN, candles, flat, funding, marks, table, toml, write


def told(findings: Findings) -> dict[str, tuple[str, int, list[str]]]:
    return {f.kind: (f.severity, f.count, [str(c) for c in f.cases]) for f in findings.found}


def test_sound_data_have_no_findings(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[100 + k % 3 for k in range(600)]))
    marks(tmp_path, "X", flat(*[100 + k % 3 for k in range(600)]))
    funding(tmp_path, "X", [(h, 0.0001) for h in range(10)])
    findings = check(tmp_path)
    assert (findings.found, findings.errors, findings.warnings) == ((), 0, 0)
    assert (findings.symbols, findings.rows) == (1, 600)


def test_every_fault_of_candles_is_found(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [
        (0, 10, 11, 9, 10, 1),
        (1, 10, 9, 9, 10, 1),  # the high is below open and close
        (2, 10, 11, 10.5, 10, 1),  # the low is above open and close
        (2, 10, 11, 9, 10, 1),  # there twice
        (4, 10, 11, 9, nan, 1),  # one missing before it; a bad price
        (3, 10, 11, 9, 10, -1),  # unsorted; bad volume
        (5.5, 10, 11, 9, 10, 1),  # off the grid; one missing before it
        (8, 0, 11, 9, 10, nan),  # one missing before it; a bad price, bad volume
    ]
    write(tmp_path, "candles", "X", table(rows, MIN))
    toml(tmp_path, '[dataset]\ninterval = "1m"')
    findings = check(tmp_path)
    found = told(findings)
    assert found["candles that contradict themselves"] == (
        "error",
        2,
        [
            "X 2023-11-15T00:01Z: open 10.0 high 9.0 low 9.0 close 10.0",
            "X 2023-11-15T00:02Z: open 10.0 high 11.0 low 10.5 close 10.0",
        ],
    )
    assert found["duplicate candles"] == ("error", 1, ["X 2023-11-15T00:02Z: there twice"])
    assert found["unsorted candles"][:2] == ("error", 1)
    assert found["candles with bad prices"][:2] == ("error", 2)
    assert found["candles with bad volume"][:2] == ("error", 2)
    assert found["candles off the grid"] == ("error", 1, ["X 2023-11-15T00:05:30Z: not on the grid of 1m"])
    # From 2 to 4 one is missing, from 3 to 5.5 one, from 5.5 to 8 one.
    assert found["gaps in candles"][:2] == ("warning", 3)
    assert (findings.errors, findings.warnings) == (9, 3)
    assert [f.severity for f in findings.found] == sorted(f.severity for f in findings.found)


def test_an_outlier_goes_and_comes_back(tmp_path: Path) -> None:
    calm = [100 + 0.1 * (k % 2) for k in range(100)]
    back = [*calm[:50], 106.0, *calm[51:]]  # 6 % up, and back at once
    stays = [*calm[:50], *[p + 6 for p in calm[50:]]]  # 6 % up, and it stays
    small = [*calm[:50], 101.9, *calm[51:]]  # 1.9 % is below the least that counts
    for name, prices in (("BACK", back), ("STAYS", stays), ("SMALL", small)):
        candles(tmp_path, name, flat(*prices))
    found = told(check(tmp_path))
    # The way back, at row 51, is a large move too, but row 52 does not take it back.
    assert found == {"outliers": ("warning", 1, ["BACK 2023-11-15T00:50Z: close 106.0 moved 5.9 % and came back"])}


def test_faults_of_marks_and_funding(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[100] * 48), HOUR)
    mark = [(k, 100, 100, 100, 100) for k in range(48)]
    mark[5] = (5, 104, 104, 104, 104)
    mark[6] = (6, 102.9, 102.9, 102.9, 102.9)  # less than 3 % away
    mark[7] = (7, 100, 99, 100, 100)
    marks(tmp_path, "X", mark, HOUR)
    rate = [(0, 0.1), (8, 0.1), (16.01, 0.1), (24, 0.1), (40, float("nan"))]
    funding(tmp_path, "X", rate)
    found = told(check(tmp_path))
    assert found["marks far from trades"] == (
        "warning",
        1,
        ["X 2023-11-15T05:00Z: high of the mark 104.0, of trades 100.0, 4.0 % apart"],
    )
    assert found["marks that contradict themselves"][:2] == ("error", 1)
    assert found["settlements with a bad rate"][:2] == ("error", 1)
    assert found["settlements off the grid"] == ("warning", 1, ["X 2023-11-15T16:00:36Z: not a multiple of 1h"])
    assert found["missing settlements"] == ("warning", 1, ["X 2023-11-16T08:00Z: expected, not there"])
    assert len(found) == 5


def test_marks_are_compared_over_the_whole_candle(tmp_path: Path) -> None:
    """Hourly marks beside 5m candles, and 5m marks beside hourly candles: a high and a low are far, in the middle."""
    fives = [(k, 100.0, 101.0, 99.0, 100.0, 1.0) for k in range(36)]
    calm = (100.0, 101.0, 99.0, 100.0, 1.0)
    hours = [(0, *calm), (1, 100.0, 106.0, 90.0, 100.0, 1.0), (2, *calm)]
    candles(tmp_path / "coarse", "X", fives, 5 * MIN)
    marks(tmp_path / "coarse", "X", [row[:5] for row in hours], HOUR)
    candles(tmp_path / "fine", "X", hours, HOUR)
    marks(tmp_path / "fine", "X", [row[:5] for row in fives], 5 * MIN)
    (case,) = told(check(tmp_path / "coarse"))["marks far from trades"][2]
    assert case == "X 2023-11-15T01:00Z: low of the mark 90.0, of trades 99.0, 9.1 % apart"
    (case,) = told(check(tmp_path / "fine"))["marks far from trades"][2]
    assert case == "X 2023-11-15T01:00Z: low of the mark 99.0, of trades 90.0, 10.0 % apart"
    # The first mark candle began before the first candle: what it was before that is not compared.
    candles(tmp_path / "late", "X", fives[14:], 5 * MIN)
    marks(tmp_path / "late", "X", [row[:5] for row in hours[1:]], HOUR)
    assert "marks far from trades" not in told(check(tmp_path / "late"))


def test_series_that_cover_less_than_the_candles_are_reported(tmp_path: Path) -> None:
    candles(tmp_path, "X", flat(*[100] * 48), HOUR)
    marks(tmp_path, "X", [(k, 100, 100, 100, 100) for k in range(2, 40)], HOUR)
    funding(tmp_path, "X", [(8, 0.1), (16, 0.1), (24, 0.1)])
    candles(tmp_path, "WHOLE", flat(*[100] * 48), HOUR)
    marks(tmp_path, "WHOLE", [(k, 100, 100, 100, 100) for k in range(48)], HOUR)
    # The settlement that would be due as the first candle opens is nobody's.
    funding(tmp_path, "WHOLE", [(8, 0.1), (16, 0.1), (24, 0.1), (32, 0.1), (40, 0.1)])
    found = told(check(tmp_path))
    assert {kind: [count, *cases] for kind, (_, count, cases) in found.items()} == {
        "marks that begin after the candles": [1, "X 2023-11-15T02:00Z: the candles begin at 2023-11-15T00:00Z"],
        "marks that end before the candles": [1, "X 2023-11-16T16:00Z: the candles go on to 2023-11-17T00:00Z"],
        "settlements that end before the candles": [
            1,
            "X 2023-11-16T00:00Z: the candles go on to 2023-11-17T00:00Z",
        ],
        "missing settlements": [2, "X 2023-11-16T08:00Z: 2 in a row expected, not there"],
    }
    assert {severity for severity, _, _ in found.values()} == {"warning"}


def test_funding_that_is_not_there_is_missed_where_a_settlement_was_due(tmp_path: Path) -> None:
    """Traded from 00:00: the first settlement of 8 h is due at 08:00, before which the candle of 07:59 ends."""
    for minutes, due in ((480, []), (482, ["1 due, one each 8h"]), (1_082, ["2 due from 2023-11-15T08:00Z to"])):
        candles(tmp_path / str(minutes), "X", flat(*[100 + k % 3 for k in range(minutes)]))
        (tmp_path / str(minutes)).joinpath("dataset.toml").write_text('[dataset]\ninterval = "1m"\n')
        found = told(check(tmp_path / str(minutes)))
        assert ["symbols without funding"] * len(due) == list(found)
        for (severity, count, cases), said in zip(found.values(), due, strict=True):
            assert (severity, count) == ("error", 1)
            assert said in cases[0]
    (tmp_path / "480" / "dataset.toml").write_text('[dataset]\ninterval = "1m"\nfunding_interval = "1h"\n')
    assert "7 due" in told(check(tmp_path / "480"))["symbols without funding"][2][0]


def test_the_worst_case_comes_first(tmp_path: Path) -> None:
    """Gaps of 1, 2, … 8 candles of A, and one of 4 of B."""
    opens = [sum(range(2, k + 2)) for k in range(9)]
    candles(tmp_path, "A", [(k, 1, 1, 1, 1, 1) for k in opens])
    candles(tmp_path, "B", [(k, 1, 1, 1, 1, 1) for k in (0, 5, 6, 7, 8)])
    toml(tmp_path, '[dataset]\ninterval = "1m"')
    for most, sizes in ((CASES, [8, 7, 6, 5, 4]), (None, [8, 7, 6, 5, 4, 4, 3, 2, 1]), (1, [8])):
        (found,) = check(tmp_path, most=most).found
        assert (found.kind, found.count, found.places) == ("gaps in candles", 40, 9)
        assert [case.text for case in found.cases] == [f"{size} missing before it" for size in sizes]
    assert [case.symbol for case in check(tmp_path, most=None).found[0].cases[4:6]] == ["A", "B"]


def test_first_cases_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    candles(tmp_path, "X", [(k, 10, 9, 9, 10, 1) for k in range(40)])
    candles(tmp_path, "Y", flat(*[1] * 40), 5 * MIN)
    toml(tmp_path, '[dataset]\ninterval = "1m"')
    found = told(check(tmp_path))
    severity, count, cases = found["candles that contradict themselves"]
    assert (severity, count, len(cases)) == ("error", 40, CASES)
    assert found["different intervals"] == ("error", 1, ["Y 2023-11-15T00:00Z: 5m candles in a dataset of 1m"])
    assert found["gaps in candles"][1] == 39 * 4


def test_what_cannot_be_opened_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        check(tmp_path / "nowhere")
    write(tmp_path, "candles", "X", pa.table({"ts": pa.array([1])}))
    with pytest.raises(UserError, match="no column 'open'"):
        check(tmp_path)
