"""The reference engine's requirements, pools and deleveraging against numbers worked out by hand.

As in `test_reference`, but the initial requirement is 3 % like maintenance, or 2 % by leverage.
"""

from __future__ import annotations

import pytest

from tests.reference import hand
from tests.reference.hand import MINUTE, market, micro, order
from tests.reference.margin import Ladder
from tests.reference.market import Message, Symbol
from tests.reference.outcome import Move, Outcome
from tests.reference.terms import BySize, CeilRates, Law, Portfolio, Terms, Tier

LEAN = [Tier(None, 0.03, 0.03)]
FALL = (1e4, 1e4, 9e3, 9e3)
"""Highs first: a straight fall from 10,000 to 9,000 between 20 s and 40 s."""


def run(symbols: list[Symbol], messages: list[Message], cash: float, **more: object) -> Outcome:
    return hand.run(symbols, messages, cash, **({"tiers": LEAN, "leverage": 50.0} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "size", "initial", "maintenance"),
    [
        # 1,000 of notional; rates 5 % and 3 %. Steps: 2.2 is 1.2 above 1, three times 0.5 begun: 5 % + 3 x 1 %.
        ({"initial_by_size": BySize(step=0.01, baseline=1.0, increment=0.5)}, 2.2, 80_000_000, 30_000_000),
        ({"initial_by_size": BySize(step=0.01, baseline=1.0, increment=0.5)}, 2.0, 70_000_000, 30_000_000),
        ({"initial_by_size": BySize(step=0.01, baseline=1.0, increment=0.5)}, 0.7, 50_000_000, 30_000_000),
        # In proportion: half of 5 % + 3 x 1 % = 5.5 %; of 3 %: 1.5 % + 3 x 0.25 % is less than the rate itself.
        ({"initial_by_size": BySize(share=0.5, linear=0.01)}, 3.0, 55_000_000, 30_000_000),
        ({"maintenance_by_size": BySize(share=0.5, linear=0.0025)}, 3.0, 50_000_000, 30_000_000),
        # By the root: 80 % of 3 % + 2 x 2 %.
        ({"maintenance_by_size": BySize(share=0.8, root=0.02)}, 4.0, 50_000_000, 64_000_000),
        ({"flat_initial": 9, "flat_maintenance": 7}, 1.0, 50_000_009, 30_000_007),
    ],
)
def test_by_size(terms: dict[str, object], size: float, initial: int, maintenance: int) -> None:
    ladder = Ladder(Terms([Tier(None, 0.05, 0.03)], **terms))  # type: ignore[arg-type]
    units = round(size * 1_000_000)
    assert ladder.initial(micro(1_000), units, None) == initial
    assert ladder.maintenance(micro(1_000), units) == maintenance


def test_rounded_up() -> None:
    # 5 % of 1,000,001 micro is 50,000.05, up to 50,001; 60 % of that 30,000.6. Leverage 10 asks for 100,000.1.
    terms = Terms(LEAN, ceil=CeilRates(50_000, 50_000, 600_000))
    assert Ladder(terms).initial(1_000_001, 1, None) == 50_001
    assert Ladder(terms).initial(1_000_001, 1, 10.0) == 100_000
    assert Ladder(terms).maintenance(1_000_001, 1) == 30_001


@pytest.mark.parametrize(
    ("limits", "numbers", "reason"),
    [
        ({"limit_micro": micro(50_000)}, (micro(100_000), micro(50_000)), "limit"),
        ({"limit_units": 5_000_000}, (10_000_000, 5_000_000), "limit_size"),
    ],
)
def test_limits(limits: dict[str, int], numbers: tuple[int, int], reason: str) -> None:
    # 10 BTC are too many, 5 are not, one more is; -10 would leave 5 short: allowed; -1 more is not, +5 closes.
    orders = [order(0, "BTC", 10), order(0, "BTC", 5), order(1, "BTC", 1), order(1, "BTC", -10), order(2, "BTC", -1)]
    terms = {"BTC": [Terms(LEAN, **limits)]}
    outcome = run([market("BTC", *[1e4] * 4)], [*orders, order(2, "BTC", 5)], 100_000, terms=terms)
    assert [o.reason for o in outcome.orders] == [reason, "none"] * 3
    assert (outcome.orders[0].have, outcome.orders[0].need) == numbers


class TestPortfolio:
    """Long BTC against short ETH, both of beta 1. Scan 10 % and 8 %, idiosyncratic 2 % and half of that, floor 20 %."""

    def hedge(
        self, cash: float, orders: list[Message], btc: float | tuple[float, float, float, float], **rules: float
    ) -> Outcome:
        portfolio = Portfolio(**({"scan_initial": 0.1, "scan_maintenance": 0.08, "floor": 0.2} | rules),
                              idio_maintenance=0.5)  # fmt: skip
        idio = 0.0 if rules else 0.02
        terms = {name: [Terms(LEAN, idio=idio)] for name in ("BTC", "ETH")}
        symbols = [market("BTC", 1e4, 1e4, btc, 1e4), market("ETH", *[1e3] * 4)]
        return run(symbols, orders, cash, margin="portfolio", portfolio=portfolio, terms=terms)

    @pytest.mark.parametrize(("cash", "reasons"), [(7_200.0, ["none"] * 2), (7_199.999999, ["margin"] * 2)])
    def test_a_hedge_needs_less(self, cash: float, reasons: list[str]) -> None:
        # ETH alone: 6,000 + 1,200. With BTC: net 40,000 -> 4,000 + 2 % of 160,000 = 3,200. (BTC alone would be 12,000.)
        outcome = self.hedge(cash, [order(0, "ETH", -60), order(0, "BTC", 10)], 1e4)
        assert [o.reason for o in outcome.orders] == reasons

    def test_closing_a_hedge_adds_risk(self) -> None:
        # Without ETH 10,000 + 2,000 are needed; who only wants to get out needs 8,000 + 1,000. Selling 4 BTC needs
        # less.
        orders = [order(0, "ETH", -60), order(0, "BTC", 10), order(1, "ETH", 60), order(1, "ETH", 60, True)]
        outcome = self.hedge(7_200, [*orders, order(1, "BTC", -4)], 1e4)
        assert [(o.reason, o.have, o.need) for o in outcome.orders[2:4]] == [
            ("margin", micro(7_200), micro(12_000)),
            ("margin", micro(7_200), micro(9_000)),
        ]
        assert outcome.orders[4].status == "filled"

    def test_crossing(self) -> None:
        # BTC falls by d: 7,200 - d - 0.08 (40,000 - d) - 0.01 (160,000 - d) = 0 at d = 2,400 / 0.91 = 2,637.362637.
        outcome = self.hedge(7_200, [order(0, "ETH", -60), order(0, "BTC", 10)], FALL)
        first = outcome.liquidations[0]
        assert first.ts == 2 * MINUTE + 20_000 + 5_274  # 20 s x 0.26374
        assert abs(outcome.fills[2].quote - 97_362_637_363) <= 1
        assert abs(first.equity_before - first.maintenance_before) <= 2

    def test_crossing_after_the_net_has_changed_its_sign(self) -> None:
        # 100,000 against 98,000, built up in pieces. 5,000 - d - 0.08 |2,000 - d| - 0.01 (198,000 - d): 1,040 at d =
        # 2,000, then falling by 1.07: d = 2,971.962617.
        orders = [piece for _ in range(8) for piece in (order(0, "ETH", -12.25), order(0, "BTC", 1.25))]
        outcome = self.hedge(5_000, orders, FALL)
        first = outcome.liquidations[0]
        assert abs(outcome.fills[16].quote - 97_028_037_383) <= 1
        assert abs(first.equity_before - first.maintenance_before) <= 2

    def test_crossing_after_the_floor_has_taken_over(self) -> None:
        # Nothing idiosyncratic, floor 1, scan 20 %: 0.2 (40,000 - d) against 3 % of 160,000 - d, equal at d = 18,823.5.
        # After it 25,000 - d - 4,800 + 0.03 d = 0 at d = 20,824.742268, of a fall of 30,000.
        orders = [order(0, "ETH", -60), order(0, "BTC", 10)]
        outcome = self.hedge(25_000, orders, (1e4, 1e4, 7e3, 7e3), scan_initial=0.2, scan_maintenance=0.2, floor=1.0)
        first = outcome.liquidations[0]
        assert abs(outcome.fills[2].quote - 79_175_257_732) <= 1
        assert abs(first.equity_before - first.maintenance_before) <= 2

    def test_a_step_closes_what_takes_risk_away(self) -> None:
        # ADA comes first by name, but closing it would leave BTC alone. At the crossing BTC is worth 97,362.637363 and
        # the net is 37,362.637363: the rule would take a half, but 10,000 x 37,362.64 / 97,362.64 = 3,837.5 lots bring
        # it to zero.
        law = Law(take="share", portion=0.5, ranking="symbol", every_ms=MINUTE)
        terms = {name: [Terms(LEAN, idio=0.02)] for name in ("ADA", "BTC")}
        symbols = [market("ADA", *[1e3] * 3), market("BTC", 1e4, 1e4, FALL)]
        portfolio = Portfolio(0.1, 0.08, 0.2, 0.5)
        orders = [order(0, "ADA", -60), order(0, "BTC", 10)]
        outcome = run(symbols, orders, 7_200, margin="portfolio", portfolio=portfolio, terms=terms, law=law)
        assert [(x.symbol, x.lots) for x in outcome.liquidations][:1] == [("BTC", -3_837)]


class TestMixed:
    def both(self, cash: float, messages: list[Message], **more: object) -> Outcome:
        symbols = [market("BTC", *[1e4] * 4), market("ETH", *[1e3] * 4)]
        return run(symbols, messages, cash, **more)

    def test_admission(self) -> None:
        # ETH posts 300 of 1,000; 700 carry 23,333 of BTC.
        orders = [order(0, "ETH", 10), order(1, "BTC", 2.4), order(1, "BTC", 2.3), order(2, "ETH", 1)]
        outcome = self.both(1_000, orders, modes={"ETH": "isolated"})
        assert [(o.reason, o.have, o.need) for o in outcome.orders] == [
            ("none", 0, 0),
            ("margin", micro(700), micro(720)),
            ("none", 0, 0),
            ("margin", micro(700), micro(720)),  # 690 for BTC and 30 to post
        ]
        assert outcome.moves == [Move(MINUTE, "ETH", micro(300))]

    @pytest.mark.parametrize(("amount", "added"), [(100.0, True), (100.000001, False)])
    def test_add_margin_leaves_what_the_cross_pool_needs(self, amount: float, added: bool) -> None:
        # 700 of equity in the cross pool, 600 asked for a short of 2 BTC (whose 20,000 are in the wallet).
        messages = [order(0, "ETH", 10), order(0, "BTC", -2)]
        messages.append(Message(2 * MINUTE, "add_margin", "ETH", amount=micro(amount)))
        messages.append(Message(2 * MINUTE, "add_margin", "BTC", amount=1))  # it has no pool of its own
        outcome = self.both(1_000, messages, modes={"ETH": "isolated"})
        assert [m.amount for m in outcome.moves] == [micro(300)] + [micro(amount)] * added

    def test_add_margin_in_isolated_needs_only_the_wallet(self) -> None:
        # The position of 10 ETH is in row 1; before there is no pool to add to.
        messages = [Message(MINUTE, "add_margin", "ETH", amount=1), order(0, "ETH", 10)]
        messages += [Message(2 * MINUTE, "add_margin", "ETH", amount=micro(a)) for a in (700.000001, 700)]
        outcome = self.both(1_000, messages, margin="isolated")
        assert [m.amount for m in outcome.moves] == [micro(300), micro(700)]

    def test_mode_is_changed_only_without_position_and_order(self) -> None:
        isolate = Message(MINUTE, "mode", "ETH", mode="isolated")
        assert [m.amount for m in self.both(1_000, [isolate, order(0, "ETH", 10)]).moves] == [micro(300)]
        assert self.both(1_000, [order(0, "ETH", 10), isolate]).moves == []
        late = Message(2 * MINUTE, "mode", "ETH", mode="isolated")
        assert self.both(1_000, [order(0, "ETH", 10), late, order(1, "ETH", 1)]).moves == []

    def test_leverage_counts_from_then_on(self) -> None:
        # 10 ETH need 300; with leverage 5 twenty need 4,000.
        messages = [order(0, "ETH", 10), Message(2 * MINUTE, "leverage", "ETH", value=5.0), order(1, "ETH", 10)]
        second = self.both(1_000, messages).orders[1]
        assert (second.reason, second.need) == ("margin", micro(4_000))

    def test_a_dead_pool_of_its_own_leaves_the_cross_pool_alone(self) -> None:
        # ETH falls by half: its 300 are gone, the rest is bad debt.
        symbols = [market("BTC", *[1e4] * 4), market("ETH", 1e3, 1e3, 500.0, 500.0)]
        outcome = run(symbols, [order(0, "ETH", 10), order(0, "BTC", 2)], 1_000, modes={"ETH": "isolated"})
        (row,) = outcome.liquidations
        assert (row.pool, row.bad_debt, outcome.lots["BTC"]) == ("ETH", micro(4_700), 2_000)
        assert outcome.final_equity == micro(700)


class TestIsolationByShare:
    """BTC for 100,000 (maintenance 3,000) and ETH for 10,000 (300)."""

    def book(self, cash: float, threshold: float) -> Outcome:
        symbols = [market("BTC", 1e4, 1e4, 9e3, 9e3, 9e3), market("ETH", *[1e3] * 5)]
        orders = [order(0, "BTC", 10), order(0, "ETH", 10), order(2, "BTC", 0.001)]
        return run(symbols, orders, cash, isolate_above=threshold)

    def test_the_largest_gets_a_pool_of_its_own(self) -> None:
        # 3,000 > 0.8 x 3,300. It takes 3,000 of 5,000 along: 3,000 - 100,000 of cash. At 9,000 that pool is worth
        # -7,000, and the rest is 2,000. Then BTC is in the cross pool again.
        outcome = self.book(5_000, 0.8)
        assert outcome.moves[0] == Move(2 * MINUTE, "BTC", -micro(97_000))
        (row,) = outcome.liquidations
        assert (row.pool, row.bad_debt) == ("BTC", micro(7_000))
        assert outcome.final_equity == micro(2_000)
        assert outcome.lots == {"BTC": 1, "ETH": 10_000}

    @pytest.mark.parametrize(
        ("cash", "threshold"),
        [
            (5_000.0, 0.95),  # 3,000 < 3,135
            (3_299.999999, 0.8),  # ETH needs the 300 that would be left; it is not admitted at all, BTC alone
        ],
    )
    def test_or_it_stays(self, cash: float, threshold: float) -> None:
        assert [m for m in self.book(cash, threshold).moves if m.ts == 2 * MINUTE] == []

    def test_the_rest_must_cover_itself(self) -> None:
        # After a loss of 100 on ETH: 3,350 - 100 - 3,000 < 297, while 3,450 - 100 - 3,000 is enough.
        for cash, moves in ((3_350, 0), (3_450, 1)):
            symbols = [market("BTC", *[1e4] * 2), market("ETH", 1e3, (1e3, 1e3, 990.0, 990.0))]
            outcome = run(symbols, [order(0, "BTC", 10), order(0, "ETH", 10)], cash, isolate_above=0.8)
            assert len(outcome.moves) == moves


class TestDeleveraging:
    """10 BTC from 10,000 at 11,000 and -10 ETH from 1,000 at 500: profits of 10,000 and 5,000."""

    def closed(self, adl: list[tuple[int, str, float]], top: int = 1, **more: object) -> Outcome:
        symbols = [market("BTC", 1e4, 1e4, 1.1e4), market("ETH", 1e3, 1e3, 500.0)]
        orders = [order(0, "BTC", 10), order(0, "ETH", -10)]
        law = Law(adl_penalty=0.01)
        return run(symbols, orders, 20_000, adl=adl, adl_top=top, law=law, **more)

    def test_rank_and_price(self) -> None:
        # In one pool: 1.1 x 110,000 against 2 x 5,000: BTC first. A quarter of it, 27,500, for 1 % less.
        outcome = self.closed([(2 * MINUTE, "", 0.25)])
        (row,) = outcome.liquidations
        assert (row.stage, row.symbol, row.lots, row.ts) == ("deleveraged", "BTC", -2_500, 2 * MINUTE)
        assert (row.equity_before, row.equity_after) == (micro(35_000), micro(34_725))
        assert (row.maintenance_before, row.maintenance_after) == (micro(3_450), micro(2_625))
        assert (outcome.fills[2].quote, outcome.fills[2].cause, outcome.fills[2].realized) == (
            micro(27_225), "adl", micro(2_225),
        )  # fmt: skip

    def test_two_at_once(self) -> None:
        outcome = self.closed([(2 * MINUTE, "", 0.25)], top=2)
        assert [(f.symbol, f.quote) for f in outcome.fills[2:]] == [("BTC", micro(27_225)), ("ETH", -micro(1_262.5))]

    def test_in_pools_of_their_own_the_thin_one_goes_first(self) -> None:
        # Posted 3,000 and 300: BTC 1.1 x 110,000 / 13,000 = 9.3, ETH 2 x 5,000 / 5,300 = 1.9. Only ETH is meant, half
        # of it: it gives half of its 5,300 to the wallet, less the 25 given up.
        outcome = self.closed([(2 * MINUTE, "ETH", 0.5), (2 * MINUTE, "BTC", 0.1)], margin="isolated")
        assert [(f.symbol, f.lots) for f in outcome.fills[2:]] == [("BTC", -1_000)]
        outcome = self.closed([(2 * MINUTE, "ETH", 0.5)], margin="isolated")
        assert outcome.fills[2].quote == -micro(2_525)
        assert outcome.moves[2] == Move(2 * MINUTE, "ETH", -micro(2_625))
        assert outcome.final_equity == micro(35_000 - 25)

    def test_events_that_meet_nobody_are_counted(self) -> None:
        # At 1:00 nothing is open when it happens; at 1:30 nothing has a profit; at 2:00 BTC has.
        outcome = self.closed([(MINUTE, "", 1.0), (MINUTE + 30_000, "BTC", 1.0), (2 * MINUTE, "BTC", 1.0)])
        assert (outcome.idle_events, outcome.lots["BTC"]) == (2, 0)

    def test_inside_a_row(self) -> None:
        # 10 s into the rise of 1,000 from 20 s to 40 s, lows first.
        btc = market("BTC", 1e4, (1e4, 1.1e4, 1e4, 1e4))
        outcome = run([btc], [order(0, "BTC", 1)], 20_000, adl=[(MINUTE + 30_000, "", 1.0)])
        assert [(f.ts, f.quote) for f in outcome.fills[1:]] == [(MINUTE + 30_000, micro(10_500))]
