"""The table of orders: market and limit orders, times in force and room; `CASES` holds the other files' rows as well.

The rules are rules-orders.md; each row's arithmetic stands above it. Units: seconds within a row, prices per BTC,
fees in quote. A leg of a path takes 20 s: from 100 to 90 it falls 0.5 a second.
"""

from __future__ import annotations

from tests.scenarios.order_cases_groups import GROUPED
from tests.scenarios.order_cases_messages import MESSAGES, RULES
from tests.scenarios.order_cases_stops import STOPS
from tests.scenarios.order_harness import Case, at, buy, cancelled, expired, filled, made, rejected, sell, took

DIP = (100.0, 104.0, 90.0, 102.0)
"""Lows first: 100, at 20 s 90, at 40 s 104, 102."""
SPIKE = (100.0, 110.0, 98.0, 99.0)
"""Highs first: 100, at 20 s 110, at 40 s 98, 99."""

MARKET = [
    # At the open of row 1, 101: 2 × 101 = 202, fee 10 bps of it.
    Case("market buys at the next open", [100.0, (101.0, 103.0, 99.0, 102.0)], {0: [buy(2)]},
         [took(at(1), 0, 2, 101, 0.202)], {0: filled(at(1), 2)}),
    # 2 × 200 = 400 less 50 bps = 398, 199 each; fee 10 bps of the 398 received.
    Case("market sells with slippage", [100.0, 200.0], {0: [sell(2)]},
         [took(at(1), 0, -2, 199, 0.398)], {0: filled(at(1), -2)}, settings={"slippage_bps": 50}),
    # It arrives 10 s into row 1, half way from 100 to 90.
    Case("market with latency fills on the path", [100.0, DIP], {0: [buy(1)]},
         [took(at(1, 10), 0, 1, 95, 0.095)], {0: filled(at(1, 10), 1)}, settings={"latency_ms": 10_000}),
    # 35 s: three quarters of the leg from 90 (20 s) to 104 (40 s): 100.5.
    Case("market with latency on the second leg", [100.0, DIP], {0: [sell(1)]},
         [took(at(1, 35), 0, -1, 100.5, 0.1005)], {0: filled(at(1, 35), -1)}, settings={"latency_ms": 35_000}),
    # Row 1 is a gap: it waits for the open of row 2.
    Case("market in a gap waits for the next price", [100.0, None, (103.0, 104.0, 102.0, 103.0)], {0: [buy(1)]},
         [took(at(2), 0, 1, 103, 0.103)], {0: filled(at(2), 1)}),
    # From long 1 to short 2 in one fill.
    Case("market flips a position", [100.0, 100.0, 101.0], {0: [buy(1)], 1: [sell(3)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2), 1, -3, 101, 0.303)], {0: filled(at(1), 1), 1: filled(at(2), -3)}),
    # Long 2: of 5 only 2 can reduce.
    Case("market reduce-only is clipped to the position", [100.0, 100.0, 100.0],
         {0: [buy(2)], 1: [sell(5, reduce_only=True)]},
         [took(at(1), 0, 2, 100, 0.2), took(at(2), 1, -2, 100, 0.2)], {0: filled(at(1), 2), 1: filled(at(2), -2)}),
    Case("market reduce-only without a position", [100.0, 100.0], {0: [sell(1, reduce_only=True)]},
         [], {0: rejected(at(1), "reduce_only")}),
    # A purchase does not reduce a long.
    Case("market reduce-only on the side of the position", [100.0, 100.0, 100.0],
         {0: [buy(1)], 1: [buy(1, reduce_only=True)]},
         [took(at(1), 0, 1, 100, 0.1)], {0: filled(at(1), 1), 1: rejected(at(2), "reduce_only")}),
    # Initial 5 % of 30,000 × 100 = 150,000 is more than the 100,000 there are.
    # In the gap of row 2 both wait. The first closes the position at the open of row 3, the second has nothing to do.
    Case("market reduce-only waits for nothing", [100.0, 100.0, None, 101.0],
         {0: [buy(1)], 1: [sell(1), sell(1, reduce_only=True)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(3), 1, -1, 101, 0.101)],
         {0: filled(at(1), 1), 1: filled(at(3), -1), 2: cancelled(at(3), "reduce_only")}),
    Case("market beyond the margin", [100.0, 100.0], {0: [buy(30_000)]}, [], {0: rejected(at(1), "margin")}),
]  # fmt: skip

LIMIT = [
    # 100 to 90 meets 95 after 10 s and goes through.
    Case("limit buy is gone through", [100.0, DIP], {0: [buy(1, limit=95)]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: filled(at(1, 10), 1)}),
    # 100 to 110 meets 105 after 10 s.
    Case("limit sell is gone through", [100.0, SPIKE], {0: [sell(1, limit=105)]},
         [made(at(1, 10), 0, -1, 105, 0.021)], {0: filled(at(1, 10), -1)}),
    # The low is 95 and no lower.
    Case("limit buy is touched", [100.0, (100.0, 104.0, 95.0, 102.0)], {0: [buy(1, limit=95)]},
         [], {0: expired(at(2))}),
    Case("limit sell is touched", [100.0, (100.0, 105.0, 95.0, 99.0)], {0: [sell(1, limit=105)]},
         [], {0: expired(at(2))}),
    # The low is at 20 s.
    Case("limit buy is touched, and a touch fills", [100.0, (100.0, 104.0, 95.0, 102.0)], {0: [buy(1, limit=95)]},
         [made(at(1, 20), 0, 1, 95, 0.019)], {0: filled(at(1, 20), 1)}, settings={"limit_fill": "touch"}),
    # Highs first: the high is at 20 s, the low at 40 s.
    Case("limit sell is touched, and a touch fills", [100.0, (100.0, 105.0, 95.0, 99.0)], {0: [sell(1, limit=105)]},
         [made(at(1, 20), 0, -1, 105, 0.021)], {0: filled(at(1, 20), -1)}, settings={"limit_fill": "touch"}),
    # 103 is above the open of 100: it takes, at the open and not at its limit.
    Case("limit buy is marketable", [100.0, 100.0], {0: [buy(1, limit=103)]},
         [took(at(1), 0, 1, 100, 0.1)], {0: filled(at(1), 1)}),
    Case("limit sell at the very price is marketable", [100.0, 100.0], {0: [sell(1, limit=100)]},
         [took(at(1), 0, -1, 100, 0.1)], {0: filled(at(1), -1)}),
    # Row 2 opens on the limit, which is no "through", and falls at once: the act is at 0 s.
    Case("limit buy at the open's price", [100.0, (100.0, 101.0, 98.5, 99.0), (98.0, 99.0, 97.0, 98.5)],
         {0: [buy(1, limit=98)]}, [made(at(2), 0, 1, 98, 0.0196)], {0: filled(at(2), 1)}),
    # It opens on the limit and rises: never below.
    Case("limit buy at the open's price, which only rises",
         [100.0, (100.0, 101.0, 98.5, 99.0), (98.0, 99.0, 98.0, 99.0)],
         {0: [buy(1, limit=98)]}, [], {0: expired(at(3))}),
    # 100 to 95 over the close: the limit's price, not the better open.
    Case("limit buy is jumped over", [100.0, 100.0, 95.0], {0: [buy(1, limit=98)]},
         [made(at(2), 0, 1, 98, 0.0196)], {0: filled(at(2), 1)}),
    Case("limit sell is jumped over", [100.0, 100.0, 105.0], {0: [sell(1, limit=102)]},
         [made(at(2), 0, -1, 102, 0.0204)], {0: filled(at(2), -1)}),
    # The jump ends on the limit: touched.
    Case("limit buy is jumped onto", [100.0, 100.0, 98.0], {0: [buy(1, limit=98)]}, [], {0: expired(at(3))}),
    Case("limit buy is jumped onto, and a touch fills", [100.0, 100.0, 98.0], {0: [buy(1, limit=98)]},
         [made(at(2), 0, 1, 98, 0.0196)], {0: filled(at(2), 1)}, settings={"limit_fill": "touch"}),
    # 30 s: 95.5 on the way from 90 to 101. The 90 of 20 s has been before it came.
    Case("limit buy comes after the low", [100.0, (100.0, 101.0, 90.0, 101.0), 101.0], {0: [buy(1, limit=95)]},
         [], {0: expired(at(3))}, settings={"latency_ms": 30_000}),
    # The same moment, but 96 is above the 95.5.
    Case("limit buy comes marketable on the way", [100.0, (100.0, 101.0, 90.0, 101.0), 101.0], {0: [buy(1, limit=96)]},
         [took(at(1, 30), 0, 1, 95.5, 0.0955)], {0: filled(at(1, 30), 1)}, settings={"latency_ms": 30_000}),
    Case("post-only is marketable", [100.0, 100.0], {0: [buy(1, limit=101, post_only=True)]},
         [], {0: rejected(at(1), "post_only")}),
    Case("post-only at the very price", [100.0, 100.0], {0: [sell(1, limit=100, post_only=True)]},
         [], {0: rejected(at(1), "post_only")}),
    Case("post-only rests", [100.0, DIP], {0: [buy(1, limit=95, post_only=True)]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: filled(at(1, 10), 1)}),
    # In a gap it rests, however the price comes back: then it is no taker.
    Case("limit in a gap", [100.0, None, (95.0, 96.0, 94.0, 95.5)], {0: [buy(1, limit=98)]},
         [made(at(2), 0, 1, 98, 0.0196)], {0: filled(at(2), 1)}),
    # Sent first, met second: 100 to 110 meets 105 at 10 s, 110 to 90 meets 95 after 3/4 of 20 s.
    Case("two limits meet a candle with highs first", [100.0, (100.0, 110.0, 90.0, 99.0)],
         {0: [buy(1, limit=95), sell(1, limit=105)]},
         [made(at(1, 10), 1, -1, 105, 0.021), made(at(1, 35), 0, 1, 95, 0.019)],
         {0: filled(at(1, 35), 1), 1: filled(at(1, 10), -1)}),
    # 100 to 90 meets 95 at 10 s, 90 to 110 meets 105 after 3/4 of 20 s.
    Case("two limits meet a candle with lows first", [100.0, (100.0, 110.0, 90.0, 101.0)],
         {0: [sell(1, limit=105), buy(1, limit=95)]},
         [made(at(1, 10), 1, 1, 95, 0.019), made(at(1, 35), 0, -1, 105, 0.021)],
         {0: filled(at(1, 35), -1), 1: filled(at(1, 10), 1)}),
    # The jump from 100 to 90 passes 98 before 95.
    Case("two limits meet a jump", [100.0, 100.0, 90.0], {0: [buy(1, limit=95), buy(1, limit=98)]},
         [made(at(2), 1, 1, 98, 0.0196), made(at(2), 0, 1, 95, 0.019)], {0: filled(at(2), 1), 1: filled(at(2), 1)}),
    Case("two limits at one level, in order of arrival", [100.0, DIP], {0: [buy(2, limit=95), buy(1, limit=95)]},
         [made(at(1, 10), 0, 2, 95, 0.038), made(at(1, 10), 1, 1, 95, 0.019)],
         {0: filled(at(1, 10), 2), 1: filled(at(1, 10), 1)}),
    # 95 × −1 bp.
    Case("limit earns a rebate", [100.0, DIP], {0: [buy(1, limit=95)]},
         [made(at(1, 10), 0, 1, 95, -0.0095)], {0: filled(at(1, 10), 1)}, settings={"maker_fee_bps": -1}),
    # A maker pays no slippage.
    Case("limit has no slippage", [100.0, DIP], {0: [buy(1, limit=95)]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: filled(at(1, 10), 1)}, settings={"slippage_bps": 100}),
    # 100 + 1 % would be 101, above the limit of 100.5.
    Case("slippage stops at a purchase's limit", [100.0, 100.0], {0: [buy(1, limit=100.5)]},
         [took(at(1), 0, 1, 100.5, 0.1005)], {0: filled(at(1), 1)}, settings={"slippage_bps": 100}),
    Case("slippage stops at a sale's limit", [100.0, 100.0], {0: [sell(2, limit=99.5)]},
         [took(at(1), 0, -2, 99.5, 0.199)], {0: filled(at(1), -2)}, settings={"slippage_bps": 100}),
    Case("slippage within the limit", [100.0, 100.0], {0: [buy(1, limit=102)]},
         [took(at(1), 0, 1, 101, 0.101)], {0: filled(at(1), 1)}, settings={"slippage_bps": 100}),
    # Nothing lies between the price and the limit.
    Case("slippage of a limit at the price", [100.0, 100.0], {0: [buy(1, limit=100)]},
         [took(at(1), 0, 1, 100, 0.1)], {0: filled(at(1), 1)}, settings={"slippage_bps": 100}),
    # 5 % of exposures of 30,000 × 100 would be 150,000: it may not even wait.
    Case("limit beyond the margin", [100.0, 100.0], {0: [buy(30_000, limit=90)]}, [], {0: rejected(at(1), "margin")}),
    # Long 2: of 5 only 2 fill. The size that was sent stays 5.
    Case("limit reduce-only is clipped when it fills", [100.0, 100.0, SPIKE],
         {0: [buy(2)], 1: [sell(5, limit=105, reduce_only=True)]},
         [took(at(1), 0, 2, 100, 0.2), made(at(2, 10), 1, -2, 105, 0.042)],
         {0: filled(at(1), 2), 1: filled(at(2, 10), -2)}),
]  # fmt: skip

IN_FORCE = [
    Case("ioc limit does not cross", [100.0, DIP],
         {0: [buy(1, limit=95, tif="ioc")]}, [], {0: cancelled(at(1), "ioc")}),
    Case("fok limit does not cross", [100.0, DIP],
         {0: [buy(1, limit=95, tif="fok")]}, [], {0: cancelled(at(1), "fok")}),
    Case("ioc limit crosses", [100.0, DIP], {0: [buy(1, limit=101, tif="ioc")]},
         [took(at(1), 0, 1, 100, 0.1)], {0: filled(at(1), 1)}),
    Case("ioc in a gap", [100.0, None, 100.0], {0: [buy(1, tif="ioc")]}, [], {0: cancelled(at(1), "ioc")}),
    Case("fok in a gap", [100.0, None, 100.0], {0: [buy(1, limit=101, tif="fok")]}, [], {0: cancelled(at(1), "fok")}),
    # 95 is met at 10 s, and at 10 s its time is up: that comes first.
    Case("gtd is up when it would fill", [100.0, DIP], {0: [buy(1, limit=95, expires=at(1, 10))]},
         [], {0: expired(at(1, 10), "gtd")}),
    Case("gtd is up a millisecond after it fills", [100.0, DIP], {0: [buy(1, limit=95, expires=at(1, 10) + 1)]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: filled(at(1, 10), 1)}),
    # The jump of row 2 would fill it.
    Case("gtd is up at an open, before the jump", [100.0, 100.0, 95.0], {0: [buy(1, limit=98, expires=at(2))]},
         [], {0: expired(at(2), "gtd")}),
    Case("gtd is up in a gap", [100.0, None, 95.0], {0: [buy(1, limit=98, expires=at(1, 30))]},
         [], {0: expired(at(1, 30), "gtd")}),
    # 10 s into row 1 it arrives, and its time is up.
    Case("gtd is up on arrival", [100.0, DIP], {0: [buy(1, limit=101, expires=at(1, 10))]},
         [], {0: expired(at(1, 10), "gtd")}, settings={"latency_ms": 10_000}),
    # Taken in part, it rests until its time is up.
    Case("gtd of a rest", [100.0, 100.0, 101.0], {0: [buy(3, limit=100.5, expires=at(1, 45))]},
         [took(at(1), 0, 1, 100, 0.1), made(at(1), 0, 1, 100.5, 0.0201)], {0: expired(at(1, 45), "gtd", 2)},
         volume=[10] * 3, settings={"volume_share": "10%"}),
    Case("gtd of a stop that was not triggered", [100.0, 100.0, 90.0], {0: [sell(1, stop=95, expires=at(1, 59))]},
         [], {0: expired(at(1, 59), "gtd")}),
]  # fmt: skip

BANDED = {"slippage": "volume=0.4"}
BANDS = [
    # 0.4 × (10 / 10)² is 40 % of the price; a tenth is allowed, and asked by half of it: 500 less 50 is 450.
    Case(
        "a sale stops at the assumed price band",
        [100.0, 100.0],
        {0: [sell(10)]},
        [took(at(1), 0, -5, 90, 0.45)],
        {0: cancelled(at(1), "price_band", -5)},
        volume=[10] * 2,
        settings=BANDED,
    ),
    Case(
        "a purchase stops at the assumed price band",
        [100.0, 100.0],
        {0: [buy(10)]},
        [took(at(1), 0, 5, 110, 0.55)],
        {0: cancelled(at(1), "price_band", 5)},
        volume=[10] * 2,
        settings=BANDED,
    ),
    # The venue's 2.5 % is asked by a quarter: 0.4 × (2.5 / 10)² = 0.025. 250 less 6.25.
    Case(
        "a sale stops at the venue's price band",
        [100.0, 100.0],
        {0: [sell(10)]},
        [took(at(1), 0, -2.5, 97.5, 0.24375)],
        {0: cancelled(at(1), "price_band", -2.5)},
        volume=[10] * 2,
        settings=BANDED,
        venue=RULES + "price_band = 0.5\nmarkets = { BTC = { price_band = 0.025 } }",
    ),
    # The run's own band takes the place of the venue's: all 10 at 40 % less, 600.
    Case(
        "a run's own price band",
        [100.0, 100.0],
        {0: [sell(10)]},
        [took(at(1), 0, -10, 60, 0.6)],
        {0: filled(at(1), -10)},
        volume=[10] * 2,
        settings={"slippage": ("volume=0.4", "band=45%")},
        venue=RULES + "price_band = 0.025",
    ),
    # Its limit leaves 0.5 a unit: what it pays never comes near the band.
    Case(
        "a limit keeps a purchase inside the band",
        [100.0, 100.0],
        {0: [buy(10, limit=100.5)]},
        [took(at(1), 0, 10, 100.5, 1.005)],
        {0: filled(at(1), 10)},
        volume=[10] * 2,
        settings=BANDED,
    ),
    # A spread of 20 % is the same for every lot.
    Case(
        "a spread beyond the band rejects",
        [100.0, 100.0],
        {0: [sell(1)]},
        [],
        {0: rejected(at(1), "price_band")},
        settings={"slippage_bps": 2_000},
    ),
    Case(
        "fill or kill at the band",
        [100.0, 100.0],
        {0: [sell(10, tif="fok")]},
        [],
        {0: cancelled(at(1), "fok")},
        volume=[10] * 2,
        settings=BANDED,
    ),
]

TENTH = {"volume_share": "taker=10%"}
ROOM = [
    # 10 % of 10 a row: 1, 1 and the last half, each at its open.
    Case("market fills over three candles", [100.0, 100.0, 101.0, 102.0], {0: [buy(2.5)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2), 0, 1, 101, 0.101), took(at(3), 0, 0.5, 102, 0.051)],
         {0: filled(at(3), 2.5)}, volume=[10] * 4, settings=TENTH),
    # The data end before it is filled.
    Case("market is not filled when the data end", [100.0, 100.0, 101.0], {0: [buy(2.5)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2), 0, 1, 101, 0.101)],
         {0: expired(at(3), qty=2)}, volume=[10] * 3, settings=TENTH),
    Case("ioc takes what there is", [100.0, 100.0, 100.0], {0: [buy(2.5, tif="ioc")]},
         [took(at(1), 0, 1, 100, 0.1)], {0: cancelled(at(1), "ioc", 1)}, volume=[10] * 3, settings=TENTH),
    Case("fok is not filled in part", [100.0, 100.0, 100.0], {0: [buy(1.001, tif="fok")]},
         [], {0: cancelled(at(1), "fok")}, volume=[10] * 3, settings=TENTH),
    Case("fok fits exactly", [100.0, 100.0, 100.0], {0: [buy(1, limit=100, tif="fok")]},
         [took(at(1), 0, 1, 100, 0.1)], {0: filled(at(1), 1)}, volume=[10] * 3, settings=TENTH),
    # 1 is taken at 100. The rest rests at 100, which the path leaves downwards at once; makers are not bound.
    Case("limit takes its share and rests", [100.0, (100.0, 102.0, 98.0, 101.0)], {0: [buy(3, limit=100)]},
         [took(at(1), 0, 1, 100, 0.1), made(at(1), 0, 2, 100, 0.04)],
         {0: filled(at(1), 3)}, volume=[10] * 2, settings=TENTH),
    # 1 is taken at 98. The rest rests at 99; the path goes on below it, so it is hit at once.
    Case("limit takes its share and is hit at its limit", [100.0, (98.0, 102.0, 97.0, 101.0)], {0: [buy(3, limit=99)]},
         [took(at(1), 0, 1, 98, 0.098), made(at(1), 0, 2, 99, 0.0396)],
         {0: filled(at(1), 3)}, volume=[10] * 2, settings=TENTH),
    # The path rises from 98 through 99 instead; 102 to 97 goes through it after 3/5 of 20 s.
    Case("limit takes its share and is met later", [100.0, (98.0, 102.0, 97.0, 97.5)], {0: [buy(3, limit=99)]},
         [took(at(1), 0, 1, 98, 0.098), made(at(1, 32), 0, 2, 99, 0.0396)],
         {0: filled(at(1, 32), 3)}, volume=[10] * 2, settings=TENTH),
    # Half a unit of makers a row: 5 % of 10. 100 to 90 meets 95 at 10 s; 102 to 92 in 20 s meets it at 14 s.
    Case("limit fills over two candles", [100.0, DIP, (102.0, 103.0, 92.0, 102.0)], {0: [buy(1, limit=95)]},
         [made(at(1, 10), 0, 0.5, 95, 0.0095), made(at(2, 14), 0, 0.5, 95, 0.0095)],
         {0: filled(at(2, 14), 1)}, volume=[10] * 3, settings={"volume_share": "maker=5%"}),
    # 1 taken, half made where the path leaves 100 downwards at once, the last half where row 2 opens below.
    Case("takers and makers have a room of their own", [100.0, (100.0, 100.5, 99.0, 100.0), 99.0],
         {0: [buy(2, limit=100)]},
         [took(at(1), 0, 1, 100, 0.1), made(at(1), 0, 0.5, 100, 0.01), made(at(2), 0, 0.5, 100, 0.01)],
         {0: filled(at(2), 2)}, volume=[10] * 3, settings={"volume_share": "taker=10%,maker=5%"}),
    # One share for both.
    Case("one share bounds takers and makers", [100.0, (100.0, 102.0, 98.0, 101.0), 101.0], {0: [buy(3, limit=100)]},
         [took(at(1), 0, 1, 100, 0.1), made(at(1), 0, 1, 100, 0.02)],
         {0: expired(at(3), qty=2)}, volume=[10] * 3, settings={"volume_share": "10%"}),
    Case("market waits where nobody traded", [100.0, 100.0, 101.0], {0: [buy(1)]},
         [took(at(2), 0, 1, 101, 0.101)], {0: filled(at(2), 1)}, volume=[10, 0, 10], settings=TENTH),
    # It is gone through where nobody traded, and not any more after it.
    Case("limit is gone through where nobody traded", [100.0, DIP, 102.0], {0: [buy(1, limit=95)]},
         [], {0: expired(at(3))}, volume=[10, 0, 10], settings={"volume_share": "maker=10%"}),
    # The first has the room of row 1; the second half of its own, the other half in row 2.
    Case("two markets share the room in order", [100.0, 100.0, 101.0], {0: [buy(0.6), sell(0.6)]},
         [took(at(1), 0, 0.6, 100, 0.06), took(at(1), 1, -0.4, 100, 0.04), took(at(2), 1, -0.2, 101, 0.0202)],
         {0: filled(at(1), 0.6), 1: filled(at(2), -0.6)}, volume=[10] * 3, settings=TENTH),
    # 1 each, but there is room for 1.5 makers in the row: the second is filled by half, then not met again.
    Case("two limits share the room in order", [100.0, DIP, 102.0], {0: [buy(1, limit=95), buy(1, limit=95)]},
         [made(at(1, 10), 0, 1, 95, 0.019), made(at(1, 10), 1, 0.5, 95, 0.0095)],
         {0: filled(at(1, 10), 1), 1: expired(at(3), qty=0.5)}, volume=[15] * 3,
         settings={"volume_share": "maker=10%"}),
    # Row 2 opens at 92, over the stop: it has the room first, 0.8 of 1; then what waits, 0.2 and 0.3.
    Case("a jump comes before what waits", [100.0, 100.0, 92.0, 93.0], {0: [buy(1.5), sell(0.8, stop=95)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2), 1, -0.8, 92, 0.0736), took(at(2), 0, 0.2, 92, 0.0184),
          took(at(3), 0, 0.3, 93, 0.0279)],
         {0: filled(at(3), 1.5), 1: filled(at(2), -0.8)}, volume=[10] * 4, settings=TENTH),
    Case("what waits comes before what arrives", [100.0, 100.0, 101.0, 102.0], {0: [buy(1.5)], 1: [buy(1)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2), 0, 0.5, 101, 0.0505), took(at(2), 1, 0.5, 101, 0.0505),
          took(at(3), 1, 0.5, 102, 0.051)],
         {0: filled(at(2), 1.5), 1: filled(at(3), 1)}, volume=[10] * 4, settings=TENTH),
    # 50 % of 0.003 are 1.5 lots: one.
    Case("room is whole lots", [100.0, 100.0], {0: [buy(1, tif="ioc")]},
         [took(at(1), 0, 0.001, 100, 0.0001)], {0: cancelled(at(1), "ioc", 0.001)},
         volume=[0.003] * 2, settings={"volume_share": "taker=50%"}),
    # 0.7 × 0.1 is 0.06999999999999999 in doubles: 70 lots all the same.
    Case("room does not lose a lot to doubles", [100.0, 100.0], {0: [buy(1, tif="ioc")]},
         [took(at(1), 0, 0.07, 100, 0.007)], {0: cancelled(at(1), "ioc", 0.07)}, volume=[0.7] * 2, settings=TENTH),
]  # fmt: skip

CASES: list[Case] = [*MARKET, *LIMIT, *IN_FORCE, *BANDS, *ROOM, *STOPS, *GROUPED, *MESSAGES]
