"""Fees: the rate of a fill by date and trailing volume, in kernels and as a run's schedule; order rules of a file."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.core.enums import Liquidity
from backtest.core.errors import UserError
from backtest.core.records import FILL
from backtest.engine import layout as at
from backtest.engine.fee import fee_rate, note_turnover, turnover_ring
from backtest.engine.pack import fee_table
from backtest.engine.world import World
from backtest.runner.fee_schedule import fee_notes, fee_schedule, in_words, without_fees
from backtest.runner.validation import checked
from backtest.venues import profile
from tests.rules_index import rule
from tests.unit.results_records import START, idle, rows

pytestmark = rule("orders 8")

DAY = 86_400_000
MICRO = 1_000_000
FIRST = 19_723  # 2024-01-01, days since 1970
HEAD = 'name = "mine"\nsource = "test"\ndate = 2026-01-01\nquote = "USDC"\n'
TIERS = """
[[fees]]
window_days = 3
tiers = [
  { maker_bps = 2, taker_bps = 5 },
  { volume = 1_000, maker_bps = 1, taker_bps = 4 },
  { volume = 5_000, maker_bps = -0.5, taker_bps = 3 },
]
"""


class Account:
    """What an account pays, by the kernels."""

    def __init__(self, fees: Any, discount: float = 0.0) -> None:
        run = np.zeros(at.RUN_WIDTH)
        run[at.DISCOUNT] = discount
        self.world = World(run=run, fees=fees, turnover=turnover_ring(fees))

    def trade(self, quote: float, day: int, ms: int = 0) -> None:
        note_turnover(self.world, round(quote * MICRO), (FIRST + day) * DAY + ms)

    def bps(self, day: int, ms: int = 0, maker: bool = False) -> float:
        return round(float(fee_rate(self.world, maker, (FIRST + day) * DAY + ms)) * 1e4, 9)


def made(text: str = TIERS, **asked: Any) -> Account:
    return Account(*fee_schedule(profile.from_text(HEAD + text), **asked))


def test_a_tier_is_reached_on_the_utc_day_after_its_volume() -> None:
    account = made()
    assert (account.bps(0), account.bps(0, maker=True)) == (5, 2)
    account.trade(999.999999, 0, DAY - 2)
    assert account.bps(1) == 5
    account.trade(0.000001, 0, DAY - 1)  # 1,000 in all: not above the account's
    assert account.bps(0, DAY - 1) == 5  # the day of the fill does not count
    assert (account.bps(1), account.bps(1, maker=True)) == (4, 1)


def test_a_day_falls_out_of_the_window() -> None:
    account = made()
    account.trade(600, 0)
    account.trade(-400, 1)  # what is paid and what is received count alike
    # Windows of three whole days before: of day 2 it is -1 to 1, of day 3 it is 0 to 2 (both 1,000), of day 4 it is 1
    # to 3 (400).
    assert [account.bps(day) for day in (1, 2, 3, 4)] == [5, 4, 4, 5]
    account.trade(700, 4)  # day 4 begins a place of the ring that held day 0
    assert [account.bps(day) for day in (4, 5, 7, 8)] == [5, 5, 5, 5]  # 400 is not in the window of day 5: 700


def test_days_without_a_fill_are_empty_however_many() -> None:
    for gap in (1, 3, 4, 5, 100):
        account = made()
        account.trade(6_000, 0)
        account.trade(10, gap)
        # 6,000 and 10 of the day before; from the fourth day on the 6,000 are out of the window.
        assert account.bps(gap + 1) == (3 if gap + 1 <= 3 else 5), gap


def test_a_rebate_is_below_zero_and_has_no_discount() -> None:
    account = made(discount="10%")
    assert (account.bps(0), account.bps(0, maker=True)) == pytest.approx((4.5, 1.8))
    account.trade(5_000, 0)
    assert account.bps(1) == pytest.approx(2.7)
    assert account.bps(1, maker=True) == -0.5


def test_the_table_of_the_day_and_its_window() -> None:
    # 2024-01-01 is day 0; the second table begins on day 5 and looks back one day only.
    later = TIERS + "[[fees]]\nfrom = 2024-01-06\nwindow_days = 1\ntiers = [{ maker_bps = 7, taker_bps = 9 }, "
    account = made(later + "{ volume = 1_000, maker_bps = 6, taker_bps = 8 }]\n")
    account.trade(1_000, 3)
    assert [account.bps(4), account.bps(4, DAY - 1), account.bps(5)] == [4, 4, 9]
    account.trade(1_000, 5)
    assert [account.bps(day) for day in (5, 6, 7)] == [9, 8, 9]
    assert account.bps(6, maker=True) == 6


def test_the_first_table_holds_before_its_date() -> None:
    account = made("[[fees]]\nfrom = 2024-02-01\ntiers = [{ maker_bps = 1, taker_bps = 3 }]\n")
    assert account.bps(0) == 3


def test_one_rate_needs_no_ring() -> None:
    account = made(taker_bps=5.0)
    account.trade(10**9, 0)
    assert not account.world.turnover.any()
    assert account.bps(3) == 5


def test_a_day_beyond_all_tiers_does_not_overflow() -> None:
    account = made()
    for _ in range(2_500):  # 2,500 x 4.5e15 micro is more than 2^63
        note_turnover(account.world, 2**52 - 1, FIRST * DAY)
    assert account.bps(1) == 3


def naive(rows: Sequence[Sequence[float]], trades: Sequence[tuple[int, int]], maker: bool, ms: int) -> float:
    """Section 8 of the rules, from all trades (ms, micro) and the rows by table."""
    since = max(row[0] for row in rows if row[0] <= ms)
    table = [row for row in rows if row[0] == since]
    days = range(ms // DAY - int(table[0][1]), ms // DAY)
    traded = sum(abs(amount) for when, amount in trades if when // DAY in days)
    reached = [row for row in table if row[2] * 1e6 <= traded][-1]
    return reached[3] if maker else reached[4]


@pytest.mark.parametrize("seed", range(6))
def test_any_history_gives_the_rates_that_counting_all_trades_gives(seed: int) -> None:
    even = random.Random(seed)
    rows: list[list[float]] = []
    for n in range(even.choice((1, 2, 4))):
        since = -np.inf if n == 0 else float((FIRST + 10 * n + even.randrange(5)) * DAY)
        window = even.choice((1, 2, 7, 30))
        for k in range(even.choice((2, 3, 5))):
            rows.append([since, window, float(k * even.choice((500, 1_000))), even.uniform(-1, 3), even.uniform(1, 6)])
        rows[-k - 1 :] = sorted(rows[-k - 1 :], key=lambda row: row[2])
    account, trades, ms = Account(np.array(rows)), [], FIRST * DAY
    seen = set()
    for _ in range(300):
        ms += even.choice((0, 1, DAY // 7, DAY // 2, DAY, 3 * DAY)) if even.random() < 0.6 else 0
        maker = even.random() < 0.5
        rate = float(fee_rate(account.world, maker, ms))
        assert rate == naive(rows, trades, maker, ms)
        seen.add(rate)
        amount = even.randrange(-400 * MICRO, 400 * MICRO)
        note_turnover(account.world, amount, ms)
        trades.append((ms, amount))
    assert len(seen) > 3


# ---- a run's schedule


def test_rates_that_are_given_replace_the_venues() -> None:
    venue = profile.load("binance_usdm")
    np.testing.assert_array_equal(fee_schedule(venue, taker_bps=4.0)[0], fee_table(0.0004))
    np.testing.assert_array_equal(fee_schedule(venue, taker_bps=4.0, maker_bps=-0.1)[0], fee_table(0.0004, -0.1 / 1e4))
    own, _ = fee_schedule(venue)
    rebated, share = fee_schedule(venue, maker_bps=-0.1)
    assert share == 0
    assert set(rebated[:, at.FEE_MAKER]) == {-0.1 / 1e4}
    np.testing.assert_array_equal(np.delete(rebated, at.FEE_MAKER, axis=1), np.delete(own, at.FEE_MAKER, axis=1))


def test_a_venues_schedule_in_the_engines_units() -> None:
    fees, share = fee_schedule(profile.load("dydx_v4"), discount="25%")
    # Two tables of nine tiers each, of which four ask for a share of the venue's volume.
    assert (fees.shape, share) == ((10, at.FEE_WIDTH), 0.25)
    assert fees[0].tolist() == [-np.inf, 30, 0, -1.1 / 1e4, 5 / 1e4]
    since = dt.datetime(2024, 1, 19, tzinfo=dt.UTC).timestamp() * 1000
    assert fees[-1].tolist() == [since, 30, 125e6, 0, 3 / 1e4]
    plain, none = fee_schedule(profile.load("generic"))
    np.testing.assert_array_equal(plain[:, at.FEE_VOLUME :], [[0, 0, 0]])
    assert none == 0


def test_a_venue_with_but_a_taker_fee_takes_it_of_makers_too() -> None:
    fees, _ = fee_schedule(profile.from_text(HEAD + "[defaults]\ntaker_fee_bps = 4.5\n"))
    assert fees[:, at.FEE_MAKER :].tolist() == [[4.5 / 1e4, 4.5 / 1e4]]


def test_discounts_by_name_and_by_share() -> None:
    venue = profile.load("hyperliquid")
    assert [fee_schedule(venue, discount=name)[1] for name in ("gold", "referral", "12.5%", "100%")] == [
        0.2,
        0.04,
        0.125,
        1,
    ]


@pytest.mark.parametrize(
    ("venue", "asked", "said"),
    [
        ("hyperliquid", {"discount": "silber"}, "--fee-discount: unknown discount 'silber'; did you mean 'silver'?"),
        ("generic", {"discount": "bnb"}, "--fee-discount: unknown discount 'bnb'; none are known (of venue generic"),
        ("generic", {"discount": "0%"}, "--fee-discount: discount '0%'; give a share above 0% and at most 100%"),
        ("generic", {"discount": "101%"}, "--fee-discount: discount '101%'; give a share"),
        ("generic", {"discount": "nan%"}, "--fee-discount: discount 'nan%'; give a share"),
        ("generic", {"discount": "x%"}, "--fee-discount: discount 'x%'; give a share"),
        (
            "binance_usdm",
            {"discount": "bnb", "taker_bps": 4.0},
            "--fee-discount: a discount cannot be combined with fee rates",
        ),
        (
            "binance_usdm",
            {"discount": "bnb", "maker_bps": 1.0},
            "--fee-discount: a discount cannot be combined with fee rates",
        ),
    ],
)
def test_what_is_wrong_with_a_discount_is_one_line(venue: str, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        fee_schedule(profile.load(venue), **asked)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 10_001, -10_001])
def test_a_makers_rate_out_of_range_is_named(wrong: float) -> None:
    with pytest.raises(UserError, match=r"in --maker-fee-bps \(give a number from -10,000 to 10,000\)"):
        checked({"maker_fee_bps": wrong})


def test_the_fees_of_a_run_in_words() -> None:
    venue, day = profile.load("hyperliquid"), dt.datetime(2025, 5, 5, tzinfo=dt.UTC)
    change = round(day.timestamp() * 1000)

    def told(start: int, end: int, **asked: Any) -> str:
        return in_words(venue, checked(asked), start, end)

    now = "maker 1.5, taker 4.5 bps; by volume of 14 days: 5,000,000 1.2/4, 25,000,000 0.8/3.5"
    assert told(change, change + DAY).startswith(now)
    both = told(change - DAY, change + DAY, fee_discount="gold")
    assert both.startswith("from 2024-03-11: maker 1, taker 3.5 bps; ")
    assert f"; from 2025-05-05: {now}" in both
    assert both.endswith("; 20 % off (gold)")
    assert told(change - DAY, change).startswith("maker 1, taker 3.5 bps")
    assert told(0, DAY) == "maker -0.2, taker 2.5 bps"
    assert told(change, change + DAY, maker_fee_bps=-0.1).endswith("; but maker -0.1 bps, whatever the volume")
    assert told(0, DAY, fee_bps=5) == "maker 5, taker 5 bps, whatever the volume"
    assert told(0, DAY, fee_bps=5, maker_fee_bps=0) == "maker 0, taker 5 bps, whatever the volume"


def test_why_a_run_is_without_fees() -> None:
    def why(venue: str, **asked: Any) -> str:
        return without_fees(profile.load(venue), checked(asked))

    assert why("generic") == "venue generic has none; set --fee-bps"
    assert why("hyperliquid", fee_bps=0) == "--fee-bps is 0"
    assert why("binance_usdm", fee_discount="100%") == "--fee-discount takes all of them off"
    assert why("generic", fee_bps=5) == why("generic", maker_fee_bps=-1) == why("hyperliquid") == ""


def test_what_a_run_says_of_its_fees() -> None:
    def notes(venue: str, record: Any, **asked: Any) -> list[str]:
        return fee_notes(profile.load(venue), checked(asked), record)

    made_as_maker = idle(fills=rows(FILL, {"ts_ms": START, "lots": 1, "quote": -5, "liquidity": Liquidity.MAKER}))
    took = idle(fills=rows(FILL, {"ts_ms": START, "lots": 1, "quote": -5, "liquidity": Liquidity.TAKER}))
    makers = "Makers paid the taker fee of 5 bps: set --maker-fee-bps for a maker fee."
    assert notes("generic", made_as_maker, fee_bps=5) == [makers]
    assert notes("generic", made_as_maker, fee_bps=5, maker_fee_bps=1) == notes("generic", took, fee_bps=5) == []
    assert notes("hyperliquid", took, fee_discount="10%") == [
        "A discount of 10 % was taken off every positive fee, on every day of the run."
    ]
    shares = "Fee tiers that require a share of the venue's volume were not reached: a run does not know it."
    for millions, said in ((124, []), (125, [shares])):
        much = idle(fills=rows(FILL, {"ts_ms": START, "lots": 1, "quote": -millions * 10**12}))
        assert notes("dydx_v4", much) == said


# ---- order rules of a file


RULES = """
[[orders]]
most = 50
[[orders]]
from = 2024-01-01
most = 40
most_each = 10
min_notional = 5.5
markets = { BTC = { min_notional = 100 }, "ETH-USD" = { min_notional = 20 } }
"""


def test_each_day_has_its_order_rules() -> None:
    mine = profile.from_text(HEAD + RULES)
    contract = mine.contract(["BTC-USD", "ETH-USD", "ETHUSDT"])
    assert [(r.from_ms, r.most, r.most_each) for r in contract.orders] == [(0, 50, None), (FIRST * DAY, 40, 10)]
    least = {name: [t.min_notional_micro for t in terms] for name, terms in contract.terms.items()}
    # A symbol's own name, or its base asset; ETHUSDT is ETH, which the file does not name.
    assert least == {"BTC-USD": [0, 10**8], "ETH-USD": [0, 2 * 10**7], "ETHUSDT": [0, 5_500_000]}
    assert {terms[1].from_ms for terms in contract.terms.values()} == {FIRST * DAY}
    assert [said for _, _, said, _ in mine.orders_in_words()] == [
        "at most 50",
        "worth at least 5.5 (BTC 100, ETH-USD 20), at most 40, at most 10 in one market",
    ]


def test_a_file_may_change_a_venues_order_rules_and_discounts(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        "name = 'mine'\nextends = 'binance_usdm'\n[[orders]]\nmost = 7\n"
        "[discounts.mine]\nstatus = 'assumed'\nshare = 0.3\n"
    )
    mine = profile.load(file)
    assert {(r.most, r.most_each) for r in mine.contract(["X"]).orders} == {(7, 200)}
    assert all("most" in table.assumed for table in mine.orders or ())
    assert [fee_schedule(mine, discount=name)[1] for name in ("bnb", "mine")] == [0.1, 0.3]
