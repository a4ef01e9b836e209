"""The table of orders: stops, take-profits and trailing stops. Arithmetic and units as in `order_cases`."""

from __future__ import annotations

from tests.scenarios.order_harness import Case, at, buy, cancelled, expired, filled, made, rejected, sell, took

DIP = (100.0, 104.0, 90.0, 102.0)
"""Lows first: 100, at 20 s 90, at 40 s 104, 102."""
SPIKE = (100.0, 110.0, 98.0, 99.0)
"""Highs first: 100, at 20 s 110, at 40 s 98, 99."""
RUN = (100.0, 112.0, 99.0, 108.0)
"""Lows first: 100, at 20 s 99, at 40 s 112, 108."""
RETREAT = (108.0, 108.0, 88.0, 90.0)
"""Highs first: 108, at 20 s 108, at 40 s 88, 90."""

STOP = [
    # 100 to 90 meets 95 after 10 s.
    Case("stop sells where the path meets it", [100.0, DIP], {0: [sell(1, stop=95)]},
         [took(at(1, 10), 0, -1, 95, 0.095)], {0: filled(at(1, 10), -1)}),
    # 100 to 110 meets 105 after 10 s.
    Case("stop buys where the path meets it", [100.0, SPIKE], {0: [buy(1, stop=105)]},
         [took(at(1, 10), 0, 1, 105, 0.105)], {0: filled(at(1, 10), 1)}),
    # 95 less 1 %, times 2: 190 − 1.9 = 188.1, 94.05 each.
    Case("stop slips", [100.0, DIP], {0: [sell(2, stop=95)]},
         [took(at(1, 10), 0, -2, 94.05, 0.1881)], {0: filled(at(1, 10), -2)}, settings={"slippage_bps": 100}),
    # 100 to 93 in 60,000 thirds of a millisecond meets 97 after 3/7 of them, 25,714.28…: third 25,715, ms 8,571.
    Case("stop between two milliseconds", [100.0, (100.0, 104.0, 93.0, 102.0)], {0: [sell(1, stop=97)]},
         [took(at(1) + 8_571, 0, -1, 97, 0.097)], {0: filled(at(1) + 8_571, -1)}),
    # A touch is enough: the low is its level, at 20 s.
    Case("stop is touched", [100.0, DIP], {0: [sell(1, stop=90)]},
         [took(at(1, 20), 0, -1, 90, 0.09)], {0: filled(at(1, 20), -1)}),
    # Highs first: the low of 98 is at 40 s.
    Case("stop is touched by the second extreme", [100.0, SPIKE], {0: [sell(1, stop=98)]},
         [took(at(1, 40), 0, -1, 98, 0.098)], {0: filled(at(1, 40), -1)}),
    # 100 to 92 over the close: worse than the 95.
    Case("stop sells at the open that jumps over it", [100.0, 100.0, 92.0], {0: [sell(1, stop=95)]},
         [took(at(2), 0, -1, 92, 0.092)], {0: filled(at(2), -1)}),
    Case("stop buys at the open that jumps over it", [100.0, 100.0, 108.0], {0: [buy(1, stop=105)]},
         [took(at(2), 0, 1, 108, 0.108)], {0: filled(at(2), 1)}),
    Case("stop is not met", [100.0, DIP], {0: [sell(1, stop=89)]}, [], {0: expired(at(2))}),
    # It comes at 30 s, at 97 on the way from 90 to 104, and the 90 has been before.
    Case("stop comes after the low", [100.0, DIP, 102.0], {0: [sell(1, stop=95)]},
         [], {0: expired(at(3))}, settings={"latency_ms": 30_000}),
    # The way of the jump meets 97 before 95, whatever came first; both are filled at the open.
    Case("two stops meet a jump", [100.0, 100.0, 92.0], {0: [sell(1, stop=95), sell(1, stop=97)]},
         [took(at(2), 1, -1, 92, 0.092), took(at(2), 0, -1, 92, 0.092)],
         {0: filled(at(2), -1), 1: filled(at(2), -1)}),
    # A stop and a limit in one candle: 97 at 6 s, 95 at 10 s.
    Case("stop and limit in one candle", [100.0, DIP], {0: [buy(1, limit=95), sell(1, stop=97)]},
         [took(at(1, 6), 1, -1, 97, 0.097), made(at(1, 10), 0, 1, 95, 0.019)],
         {0: filled(at(1, 10), 1), 1: filled(at(1, 6), -1)}),
    Case("stop that sells above the price", [100.0, 100.0],
         {0: [sell(1, stop=105)]}, [], {0: rejected(at(1), "would_trigger")}),
    Case("stop that buys below the price", [100.0, 100.0],
         {0: [buy(1, stop=95)]}, [], {0: rejected(at(1), "would_trigger")}),
    Case("stop at the very price", [100.0, 100.0], {0: [sell(1, stop=100)]}, [], {0: rejected(at(1), "would_trigger")}),
    # Nobody knows the price in a gap. After it the price is beyond, and the stop acts at once.
    Case("stop in a gap on the wrong side", [100.0, None, 103.0], {0: [sell(1, stop=105)]},
         [took(at(2), 0, -1, 103, 0.103)], {0: filled(at(2), -1)}),
    # The jump over a gap: from the last close before it to the first open after it.
    Case("stop is jumped over by a gap", [100.0, 100.0, None, 92.0], {0: [sell(1, stop=95)]},
         [took(at(3), 0, -1, 92, 0.092)], {0: filled(at(3), -1)}),
    # Armed, it reserves nothing; triggered at 10 s it would need 5 % of 3,150,000.
    Case("stop beyond the margin", [100.0, SPIKE],
         {0: [buy(30_000, stop=105)]}, [], {0: rejected(at(1, 10), "margin")}),
    # 10 % of 10 are less than 1.5.
    Case("stop ioc takes what there is", [100.0, DIP, 103.0], {0: [sell(1.5, stop=95, tif="ioc")]},
         [took(at(1, 10), 0, -1, 95, 0.095)], {0: cancelled(at(1, 10), "ioc", -1)},
         volume=[10] * 3, settings={"volume_share": "taker=10%"}),
    Case("stop fok is not filled in part", [100.0, DIP, 103.0], {0: [sell(1.5, stop=95, tif="fok")]},
         [], {0: cancelled(at(1, 10), "fok")}, volume=[10] * 3, settings={"volume_share": "taker=10%"}),
    # 10 % of 10 at its level, the rest at the next open.
    Case("stop is filled over two candles", [100.0, DIP, 103.0], {0: [sell(1.5, stop=95)]},
         [took(at(1, 10), 0, -1, 95, 0.095), took(at(2), 0, -0.5, 103, 0.0515)],
         {0: filled(at(2), -1.5)}, volume=[10] * 3, settings={"volume_share": "taker=10%"}),
]  # fmt: skip

BY_MARK = [
    # The mark falls from 100 to 90 and meets 95 after 10 s; trades stand at 100.
    Case("stop by the mark", [100.0, 100.0], {0: [sell(1, stop=95, trigger="mark")]},
         [took(at(1, 10), 0, -1, 100, 0.1)], {0: filled(at(1, 10), -1)}, mark=[100.0, (100.0, 100.0, 90.0, 100.0)]),
    Case("stop by the last price does not see the mark", [100.0, 100.0], {0: [sell(1, stop=95)]},
         [], {0: expired(at(2))}, mark=[100.0, (100.0, 100.0, 90.0, 100.0)]),
    # The mark meets 95 after 10 s, when trades are half way from 100 to 96.
    Case("stop by the mark fills on the path of trades", [100.0, (100.0, 104.0, 96.0, 102.0)],
         {0: [sell(1, stop=95, trigger="mark")]}, [took(at(1, 10), 0, -1, 98, 0.098)],
         {0: filled(at(1, 10), -1)}, mark=[100.0, (100.0, 102.0, 90.0, 101.0)]),
    # Trades would be beyond it, the mark is not: it is taken, and waits.
    Case("stop by the mark on the wrong side of trades", [100.0, 94.0], {0: [sell(1, stop=95, trigger="mark")]},
         [], {0: expired(at(2))}, mark=[100.0, 100.0]),
    Case("stop by the mark on the wrong side of the mark", [100.0, 100.0], {0: [sell(1, stop=95, trigger="mark")]},
         [], {0: rejected(at(1), "would_trigger")}, mark=[100.0, 94.0]),
    # The mark jumps from 100 to 92, trades from 100 to 93.
    Case("stop by the mark is jumped over", [100.0, 100.0, 93.0], {0: [sell(1, stop=95, trigger="mark")]},
         [took(at(2), 0, -1, 93, 0.093)], {0: filled(at(2), -1)}, mark=[100.0, 100.0, 92.0]),
    # A gap of trades: the mark meets 95 after 10 s, and the order waits for the next open.
    Case("stop by the mark in a gap of trades", [100.0, 100.0, None, 97.0], {0: [sell(1, stop=95, trigger="mark")]},
         [took(at(3), 0, -1, 97, 0.097)], {0: filled(at(3), -1)},
         mark=[100.0, 100.0, (100.0, 100.0, 90.0, 96.0), 97.0]),
    # Trades say lows first; the mark goes 100, 98, 110 and meets 104 half way up: 30 s. Trades are at 100 all the time.
    Case("take-profit by the mark", [100.0, 100.0], {0: [sell(1, target=104, trigger="mark")]},
         [took(at(1, 30), 0, -1, 100, 0.1)], {0: filled(at(1, 30), -1)}, mark=[100.0, (100.0, 110.0, 98.0, 100.0)]),
]  # fmt: skip

STOP_LIMIT = [
    # At 95 a sale at 94 or better takes.
    Case("stop-limit takes when it is triggered", [100.0, DIP], {0: [sell(1, stop=95, limit=94)]},
         [took(at(1, 10), 0, -1, 95, 0.095)], {0: filled(at(1, 10), -1)}),
    # It opens at 92, below its limit, and rests: 92, 91, then 97 meets 94 half way, at 30 s.
    Case("stop-limit is jumped over and rests", [100.0, 100.0, (92.0, 97.0, 91.0, 96.0)],
         {0: [sell(1, stop=95, limit=94)]},
         [made(at(2, 30), 0, -1, 94, 0.0188)], {0: filled(at(2, 30), -1)}),
    Case("stop-limit is jumped over for good", [100.0, 100.0, 92.0], {0: [sell(1, stop=95, limit=94)]},
         [], {0: expired(at(3))}),
    Case("stop-limit ioc is jumped over", [100.0, 100.0, 92.0], {0: [sell(1, stop=95, limit=94, tif="ioc")]},
         [], {0: cancelled(at(2), "ioc")}),
    # A purchase triggered at 105 waits for 104: 110 to 98 meets it half way, at 30 s.
    Case("stop-limit with its limit behind", [100.0, SPIKE], {0: [buy(1, stop=105, limit=104)]},
         [made(at(1, 30), 0, 1, 104, 0.0208)], {0: filled(at(1, 30), 1)}),
    Case("stop-limit post-only would take", [100.0, DIP], {0: [sell(1, stop=95, limit=94, post_only=True)]},
         [], {0: rejected(at(1, 10), "post_only")}),
    Case("stop-limit post-only rests", [100.0, SPIKE], {0: [buy(1, stop=105, limit=104, post_only=True)]},
         [made(at(1, 30), 0, 1, 104, 0.0208)], {0: filled(at(1, 30), 1)}),
    # 1 % of 95 is 0.95, but only 0.5 lies between 95 and the limit.
    Case("stop-limit slips to its limit", [100.0, DIP], {0: [sell(1, stop=95, limit=94.5)]},
         [took(at(1, 10), 0, -1, 94.5, 0.0945)], {0: filled(at(1, 10), -1)}, settings={"slippage_bps": 100}),
]  # fmt: skip

TAKE_PROFIT = [
    Case("take-profit sells where the path meets it", [100.0, SPIKE], {0: [sell(1, target=105)]},
         [took(at(1, 10), 0, -1, 105, 0.105)], {0: filled(at(1, 10), -1)}),
    Case("take-profit buys where the path meets it", [100.0, DIP], {0: [buy(1, target=95)]},
         [took(at(1, 10), 0, 1, 95, 0.095)], {0: filled(at(1, 10), 1)}),
    # The open is better than its level, and a market order gets it.
    Case("take-profit sells at the open that jumps over it", [100.0, 100.0, 108.0], {0: [sell(1, target=105)]},
         [took(at(2), 0, -1, 108, 0.108)], {0: filled(at(2), -1)}),
    Case("take-profit on the wrong side", [100.0, 100.0],
         {0: [sell(1, target=95)]}, [], {0: rejected(at(1), "would_trigger")}),
    # 105 is 104 or better: it takes.
    Case("take-profit-limit takes when it is triggered", [100.0, SPIKE], {0: [sell(1, target=105, limit=104)]},
         [took(at(1, 10), 0, -1, 105, 0.105)], {0: filled(at(1, 10), -1)}),
    # Triggered at 10 s, it rests at 107 and the same leg meets it at 14 s.
    Case("take-profit-limit rests further on", [100.0, SPIKE], {0: [sell(1, target=105, limit=107)]},
         [made(at(1, 14), 0, -1, 107, 0.0214)], {0: filled(at(1, 14), -1)}),
    # The jump to 106 triggers it, and 107 is met by 106, 103, 111: half way, at 30 s.
    Case("take-profit-limit is jumped over and rests", [100.0, 100.0, (106.0, 111.0, 103.0, 110.0)],
         {0: [sell(1, target=105, limit=107)]}, [made(at(2, 30), 0, -1, 107, 0.0214)], {0: filled(at(2, 30), -1)}),
    Case("take-profit-limit fok would rest", [100.0, SPIKE], {0: [sell(1, target=105, limit=107, tif="fok")]},
         [], {0: cancelled(at(1, 10), "fok")}),
]  # fmt: skip

TRAILING = [
    # Best 112 × (1 − 12.5 %) = 98. 108 to 88 meets it half way: 30 s.
    Case("trailing stop by a share", [100.0, RUN, RETREAT], {0: [sell(1, trail="12.5%")]},
         [took(at(2, 30), 0, -1, 98, 0.098)], {0: filled(at(2, 30), -1)}),
    # 112 − 5 = 107: 108 to 88 meets it after 1 s of the leg.
    Case("trailing stop by a distance", [100.0, RUN, RETREAT], {0: [sell(1, trail=5)]},
         [took(at(2, 21), 0, -1, 107, 0.107)], {0: filled(at(2, 21), -1)}),
    # 112 − 4 = 108, where row 1 closes: its last instant.
    Case("trailing stop is met by the close", [100.0, RUN, RETREAT], {0: [sell(1, trail=4)]},
         [took(at(2), 0, -1, 108, 0.108)], {0: filled(at(2), -1)}),
    # 100 − 4 = 96 until there is a better price: 100 to 90 meets it at 8 s.
    Case("trailing stop follows from its arrival", [100.0, DIP], {0: [sell(1, trail=4)]},
         [took(at(1, 8), 0, -1, 96, 0.096)], {0: filled(at(1, 8), -1)}),
    # Row 1: 100, 101, 90, 92: best 90, level 95. Row 2: 92, 91, 99 meets it half way up: 30 s.
    Case("trailing stop buys", [100.0, (100.0, 101.0, 90.0, 92.0), (92.0, 99.0, 91.0, 97.0)], {0: [buy(1, trail=5)]},
         [took(at(2, 30), 0, 1, 95, 0.095)], {0: filled(at(2, 30), 1)}),
    # Best 90 × 1.125 = 101.25. Row 2: 92, 91, then 111.5: after half of the leg.
    Case("trailing stop buys by a share", [100.0, (100.0, 101.0, 90.0, 92.0), (92.0, 111.5, 91.0, 97.0)],
         {0: [buy(1, trail="12.5%")]}, [took(at(2, 30), 0, 1, 101.25, 0.10125)], {0: filled(at(2, 30), 1)}),
    # Best 110, then 120: levels 100 and 110. Row 3: 118, 118, 108 meets 110 after 16 s of the leg.
    Case("trailing stop over several highs", [100.0, (100.0, 110.0, 100.0, 108.0), (108.0, 120.0, 107.0, 118.0),
         (118.0, 118.0, 108.0, 109.0)], {0: [sell(1, trail=10)]},
         [took(at(3, 36), 0, -1, 110, 0.11)], {0: filled(at(3, 36), -1)}),
    # Within one candle: 100, 112 (level 107), then 98: 60,000 + 5/14 of 60,000 is 81,428.57…: 81,429, ms 27,143.
    Case("trailing stop within one candle", [100.0, (100.0, 112.0, 98.0, 99.0)], {0: [sell(1, trail=5)]},
         [took(at(1) + 27_143, 0, -1, 107, 0.107)], {0: filled(at(1) + 27_143, -1)}),
    # Level 107, and row 2 opens at 103.
    Case("trailing stop is jumped over", [100.0, RUN, 103.0], {0: [sell(1, trail=5)]},
         [took(at(2), 0, -1, 103, 0.103)], {0: filled(at(2), -1)}),
    # The jump up to 120 is a better price: level 115. 120, 120, 110 meets it half way: 30 s.
    Case("trailing stop follows a jump", [100.0, 100.0, (120.0, 120.0, 110.0, 118.0)], {0: [sell(1, trail=5)]},
         [took(at(2, 30), 0, -1, 115, 0.115)], {0: filled(at(2, 30), -1)}),
    # 105 is reached at the knot of 110: best 110, level 106. Row 2: 108, 108, 100 meets it after 5 s of the leg.
    Case("trailing stop is activated", [100.0, (100.0, 110.0, 99.0, 108.0), (108.0, 108.0, 100.0, 104.0)],
         {0: [sell(1, trail=4, activation=105)]}, [took(at(2, 25), 0, -1, 106, 0.106)], {0: filled(at(2, 25), -1)}),
    # Without the activation 100 − 4 would be met.
    Case("trailing stop is never activated", [100.0, DIP],
         {0: [sell(1, trail=4, activation=105)]}, [], {0: expired(at(2))}),
    # A sale's price of 100 is at or above 99 already.
    Case("trailing stop is active when it comes", [100.0, DIP], {0: [sell(1, trail=4, activation=99)]},
         [took(at(1, 8), 0, -1, 96, 0.096)], {0: filled(at(1, 8), -1)}),
    # A purchase's price of 100 is above 95, so it is not active; the knot of 90 is: best 90, level 94, met by 90 to 104
    # after 2/7 of the leg, 25.714285… s: third 77,142.86, 77,143, ms 25,714.
    Case("trailing stop that buys is activated", [100.0, DIP], {0: [buy(1, trail=4, activation=95)]},
         [took(at(1) + 25_714, 0, 1, 94, 0.094)], {0: filled(at(1) + 25_714, 1)}),
    # Level 104 where it arrives at 100; the jump to 90 lowers it to 94, which 90, 89, 99 meets half way: 30 s.
    Case("trailing stop that buys follows a jump", [100.0, 100.0, (90.0, 99.0, 89.0, 98.0)], {0: [buy(1, trail=5)]},
         [took(at(2, 30), 0, 1, 94, 0.094)], {0: filled(at(2, 30), 1)}),
    # It comes at 30 s, at 105.5 on the way from 99 to 112: best 105.5, then 112, level 107.
    Case("trailing stop comes on the way", [100.0, RUN, (108.0, 108.0, 106.0, 107.0)], {0: [sell(1, trail=5)]},
         [took(at(2, 30), 0, -1, 107, 0.107)], {0: filled(at(2, 30), -1)}, settings={"latency_ms": 30_000}),
    # The mark: best 112, level 108, met by 110 to 106 half way. Trades stand at 100.
    Case("trailing stop by the mark", [100.0, 100.0, 100.0], {0: [sell(1, trail=4, trigger="mark")]},
         [took(at(2, 10), 0, -1, 100, 0.1)], {0: filled(at(2, 10), -1)},
         mark=[100.0, (100.0, 112.0, 100.0, 110.0), (110.0, 110.0, 106.0, 110.0)]),
]  # fmt: skip

STOPS = [*STOP, *BY_MARK, *STOP_LIMIT, *TAKE_PROFIT, *TRAILING]
