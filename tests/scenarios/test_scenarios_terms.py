"""Scenarios of terms that change inside a run, limits, and margin that widens with volatility (rules.md 6, 9).

Unless said otherwise: candles of an hour from midnight, so that a day begins at rows 24, 48 and 72; 100,000 cash, no
fees, no penalty; bought at 10,000 at the open of row 1.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import backtest
from backtest import Result
from tests.rules_index import rule
from tests.scenarios.scenario import Market, Script, Step, buy, column, play, rows, sell, write
from tests.scenarios.staged import sound

pytestmark = rule("9")

HOUR = 3_600_000
HEAD = 'name = "dated"\nsource = "a test"\ndate = 2024-01-01\nquote = "USDC"\n[defaults]\npenalty = 0\n'
TWO_DAYS = """
[[margin]]
from = 2024-01-01
tiers = [{ initial = 0.05, maintenance = 0.03 }]
[[margin]]
from = 2024-03-02
tiers = [{ initial = 0.1, maintenance = 0.06 }]
"""


def under(folder: Path, text: str, candles: list[float], steps: dict[int, Step], **settings: object) -> Result:
    """BTC under a venue of these tables."""
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / "venue.toml"
    file.write_text(HEAD + text)
    return sound(play(folder / "data", [Market("BTC", candles)], steps, interval="1h", venue=str(file), **settings))


@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_a_change_of_tiers_liquidates_at_the_open_of_its_day(tmp_path: Path, margin: str) -> None:
    # 100 at 9,500: equity 50,000, 3 % of 950,000 = 28,500. From the second day on 6 %: 57,000. The price stands still.
    # (In isolated leverage 10 posts 100,000.)
    result = under(tmp_path, TWO_DAYS, [1e4, 1e4, *[9.5e3] * 25], {0: buy("BTC", 100)}, margin=margin, leverage=10)
    assert rows(result, "liquidations", "ts", "price", "equity_before", "maintenance_before") == [
        (24 * HOUR, 9_500.0, 50_000.0, 57_000.0)
    ]
    assert column(result, "equity", "maintenance_margin")[2:] == [28_500.0] * 22 + [0.0] * 3


HALF_PAST = TWO_DAYS.replace("2024-03-02", "2024-03-01T12:30:00Z")


@pytest.mark.parametrize("margin", ["cross", "isolated"])
def test_a_change_inside_a_candle_liquidates_at_its_instant(tmp_path: Path, margin: str) -> None:
    # As above, at half past twelve: in row 12 the price falls from 9,520 to 9,480 on a straight line (path best), so
    # that at the half of it the mark is 9,500.
    prices = [1e4, 1e4, *[9.52e3] * 10, (9_520.0, 9_520.0, 9_480.0, 9_480.0), *[9.48e3] * 3]
    result = under(tmp_path, HALF_PAST, prices, {0: buy("BTC", 100)}, margin=margin, leverage=10, path="best")
    assert rows(result, "liquidations", "ts", "price", "equity_before", "maintenance_before") == [
        (HOUR * 25 // 2, 9_500.0, 50_000.0, 57_000.0)
    ]
    assert column(result, "equity", "maintenance_margin")[2:] == [28_560.0] * 10 + [0.0] * 4


@pytest.mark.parametrize(("since", "need"), [("12:30:00Z", 57_000.0), ("12:30:00.001Z", 28_500.0)])
def test_a_change_comes_before_the_funding_of_its_instant(tmp_path: Path, since: str, need: float) -> None:
    # Funding takes 950,000 x 5 % = 47,500 of 50,000 at half past twelve, below 28,500: the pool dies either way. Where
    # the terms change at that very instant the look after the funding sees 57,000.
    text = HALF_PAST.replace("12:30:00Z", since)
    market = Market("BTC", [1e4, 1e4, *[9.5e3] * 14], funding={12.5: 0.05})
    file = tmp_path / "venue.toml"
    file.write_text(HEAD + text)
    result = sound(play(tmp_path / "data", [market], {0: buy("BTC", 100)}, interval="1h", venue=str(file)))
    assert rows(result, "liquidations", "ts", "equity_before", "maintenance_before") == [
        (HOUR * 25 // 2, 2_500.0, need)
    ]


def test_a_law_that_changes_inside_a_candle_liquidates_from_its_instant_on(tmp_path: Path) -> None:
    # At 9,700 equity is 70,000 and 3 % of 970,000 is 29,100; at 9,270 it is 27,000 and 27,810: the pool dies where
    # 100,000 + 100 x (p - 10,000) = 3 p, at 9,278.350515: of 9,700 to 9,270 in an hour that is at 58 m 50.088 s. From
    # half past on the venue takes a fifth of the position, in value, and whole lots of it.
    text = """
[[liquidation]]
[[liquidation]]
from = 2024-03-01T12:30:00Z
take = "share"
portion = 0.2
price = "mark"
every = "1h"
"""
    prices = [1e4, 1e4, *[9.7e3] * 10, (9_700.0, 9_700.0, 9_270.0, 9_270.0)]
    result = under(tmp_path, text, prices, {0: buy("BTC", 100)}, path="best")
    ((ts, stage, qty),) = rows(result, "liquidations", "ts", "stage", "qty")
    assert (ts, stage, qty) == (12 * HOUR + 3_530_088, "partial", -19.999)


def test_a_drill_changes_terms_at_the_same_instant(tmp_path: Path) -> None:
    folder = write(tmp_path / "fine", Market("BTC", [1e4] * 120 + [9.5e3] * 840), interval="1m")
    (tmp_path / "venue.toml").write_text(HEAD + HALF_PAST)
    settings = {"cash": 100_000, "allow": ("missing-funding",), "venue": str(tmp_path / "venue.toml"), "fee_bps": 0}
    script = Script({0: buy("BTC", 100)}, HOUR)
    fine = backtest.run(Script({59: buy("BTC", 100)}, 60_000), folder, **settings)
    drilled = backtest.run(script, folder, interval="1h", drill="1m", **settings)
    for result in (fine, drilled):
        assert rows(result, "liquidations", "ts", "price", "maintenance_before") == [
            (HOUR * 25 // 2, 9_500.0, 57_000.0)
        ]


@pytest.mark.parametrize(
    ("held", "alive"),
    [
        # At 9,500 equity is 100,000 - 500 x BTC, and 6 % of 9,500 is 570: 93.457 BTC are the most that live on.
        (93.457, True),
        (93.458, False),
    ],
)
def test_a_change_of_tiers_spares_what_it_covers(tmp_path: Path, held: float, alive: bool) -> None:
    result = under(tmp_path, TWO_DAYS, [1e4, 1e4, *[9.5e3] * 25], {0: buy("BTC", held)})
    assert (rows(result, "liquidations", "ts") == []) is alive


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        # 110 at 10,000 need 55,000 of initial margin on the first day, 110,000 on the second. The order sent at the
        # close of row 22 fills at the open of row 23, the next at that of row 24.
        (22, None),
        (23, "margin: equity 100,000.00 would not cover initial 110,000.00"),
    ],
)
def test_an_order_of_that_open_is_judged_by_the_new_terms(tmp_path: Path, row: int, reason: str | None) -> None:
    result = under(tmp_path, TWO_DAYS, [1e4] * 27, {0: buy("BTC", 50), row: buy("BTC", 60)})
    assert column(result, "orders", "reason") == [None, reason]


@pytest.mark.parametrize(
    ("row", "stages"),
    [
        # The price opens at 9,250 on the first day: 25,000 of 27,750, all goes at once. On the second, a half does.
        (23, [("whole", -100.0)]),
        (24, [("partial", -50.0)]),
    ],
)
def test_the_law_of_the_day_liquidates(tmp_path: Path, row: int, stages: list[tuple[str, float]]) -> None:
    laws = '[[liquidation]]\nfrom = 2024-01-01\n[[liquidation]]\nfrom = 2024-03-02\ntake = "share"\nportion = 0.5\n'
    result = under(tmp_path, laws, [*[1e4] * row, *[9_250.0] * 3], {0: buy("BTC", 100)})
    assert rows(result, "liquidations", "stage", "qty") == stages
    assert column(result, "liquidations", "ts") == [row * HOUR]


@pytest.mark.parametrize("margin", ["cross", "isolated"])
@pytest.mark.parametrize(
    ("text", "refused", "numbers"),
    [
        # The last tier ends at 500,000: 50 at 10,000 are allowed, a lot more is 500,010.
        ("tiers = [{ upto = 500_000, initial = 0.05, maintenance = 0.03 }]", 50.001, ("500,010", "500,000")),
        # Of size: 30 are allowed, a lot more is not, whatever the price.
        ("tiers = [{ initial = 0.05, maintenance = 0.03 }]\nlimit_size = 30", 30.001, ("30.001", "30")),
    ],
)
@pytest.mark.parametrize("side", [buy, sell])
def test_a_position_beyond_the_limit_is_rejected_with_the_limit(
    tmp_path: Path, margin: str, text: str, refused: float, numbers: tuple[str, str], side
) -> None:
    steps = {0: side("BTC", refused), 1: side("BTC", refused - 0.001), 2: side("BTC", 0.001)}
    result = under(tmp_path, f"[[margin]]\n{text}\n", [1e4] * 5, steps, margin=margin)
    assert column(result, "orders", "status") == ["rejected", "filled", "rejected"]
    for reason in column(result, "orders", "reason")[::2]:
        assert reason.startswith("limit")
        assert all(number in reason for number in numbers)


def test_a_position_that_outgrew_the_limit_may_be_reduced_and_not_added_to(tmp_path: Path) -> None:
    # 50 at 10,000 are the limit, at 11,000 they are 550,000. One more is refused, one less is not.
    text = "[[margin]]\ntiers = [{ upto = 500_000, initial = 0.05, maintenance = 0.03 }]\n"
    steps = {0: buy("BTC", 50), 1: buy("BTC", 1), 2: sell("BTC", 1)}
    result = under(tmp_path, text, [1e4, 1e4, 1.1e4, 1.1e4, 1.1e4], steps)
    assert column(result, "orders", "status") == ["filled", "rejected", "filled"]


@pytest.mark.parametrize(
    ("reference", "most", "weight"),
    [
        # Days close at 10,000, 11,000 and 9,900: returns ln 1.1 and ln 0.9, whose sample deviation is their difference
        # over root 2: 0.200671 / 1.414214 = 0.141896, annualised x root 365 = 2.710891.
        (1.0, 10.0, round(math.log(1.1 / 0.9) / math.sqrt(2) * math.sqrt(365), 6)),
        (1.0, 1.5, 1.5),
        (2.0, 10.0, round(math.log(1.1 / 0.9) / math.sqrt(2) * math.sqrt(365) / 2, 6)),
        (3.0, 10.0, 1.0),
    ],
)
def test_risk_weights_widen_margin_from_the_next_day_on(tmp_path: Path, reference, most, weight) -> None:
    text = f"[volatility]\nwindow_days = 2\nreference = {reference}\nmost = {most}\n"
    candles = [*[1e4] * 24, *[1.1e4] * 24, *[9.9e3] * 48]
    # 150 at 9,900: equity 85,000; 5 % and 3 % of 1,485,000 = 74,250 and 44,550 on the third day, times the weight on
    # the fourth: 2.71 x 44,550 = 120,770 liquidates, 1.5 x 44,550 = 66,825 does not.
    result = under(tmp_path, text, candles, {0: buy("BTC", 150)})
    margins = rows(result, "equity", "initial_margin", "maintenance_margin")
    assert margins[71] == pytest.approx((74_250.0, 44_550.0), abs=1e-6)
    if weight > 85_000 / 44_550:
        assert rows(result, "liquidations", "ts", "equity_before") == [(72 * HOUR, 85_000.0)]
        need = column(result, "liquidations", "maintenance_before")[0]
        assert need == pytest.approx(44_550.0 * weight, abs=2e-6)
    else:
        assert rows(result, "liquidations", "ts") == []
        assert margins[72] == pytest.approx((74_250.0 * weight, 44_550.0 * weight), abs=2e-6)
