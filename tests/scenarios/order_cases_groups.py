"""The table of orders: brackets, orders that cancel each other, and what a closed position leaves behind.

Arithmetic and units as in `order_cases`. Of a bracket the parent has number 0, its stop 1, its target 2.
"""

from __future__ import annotations

from tests.scenarios.order_harness import (
    Case,
    amend,
    at,
    buy,
    cancel,
    cancelled,
    close,
    expired,
    filled,
    made,
    oco,
    rejected,
    sell,
    took,
)

DIP = (100.0, 104.0, 90.0, 102.0)
"""Lows first: 100, at 20 s 90, at 40 s 104, 102."""
SPIKE = (100.0, 110.0, 98.0, 99.0)
"""Highs first: 100, at 20 s 110, at 40 s 98, 99."""
LOWS = (100.0, 120.0, 90.0, 101.0)
"""Lows first: 100, at 20 s 90, at 40 s 120, 101."""
HIGHS = (100.0, 120.0, 90.0, 99.0)
"""Highs first: 100, at 20 s 120, at 40 s 90, 99."""
MAKERS = {"volume_share": "maker=10%"}

BRACKET = [
    # 100 to 90 meets 95 after 10 s.
    Case("bracket, lows first", [100.0, 100.0, LOWS], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2, 10), 1, -1, 95, 0.095)],
         {0: filled(at(1), 1), 1: filled(at(2, 10), -1), 2: cancelled(at(2, 10), "oco")}),
    # 100 to 120 meets 110 after 10 s.
    Case("bracket, highs first", [100.0, 100.0, HIGHS], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 100, 0.1), made(at(2, 10), 2, -1, 110, 0.022)],
         {0: filled(at(1), 1), 1: cancelled(at(2, 10), "oco"), 2: filled(at(2, 10), -1)}),
    Case("bracket is stopped in the candle of its entry", [100.0, LOWS], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(1, 10), 1, -1, 95, 0.095)],
         {0: filled(at(1), 1), 1: filled(at(1, 10), -1), 2: cancelled(at(1, 10), "oco")}),
    # Bought back: 100 to 120 meets 110 after 10 s.
    Case("bracket of a sale is stopped", [100.0, HIGHS], {0: [sell(1, stop_loss=110, take_profit=95)]},
         [took(at(1), 0, -1, 100, 0.1), took(at(1, 10), 1, 1, 110, 0.11)],
         {0: filled(at(1), -1), 1: filled(at(1, 10), 1), 2: cancelled(at(1, 10), "oco")}),
    Case("bracket of a sale meets its target", [100.0, LOWS], {0: [sell(1, stop_loss=110, take_profit=95)]},
         [took(at(1), 0, -1, 100, 0.1), made(at(1, 10), 2, 1, 95, 0.019)],
         {0: filled(at(1), -1), 1: cancelled(at(1, 10), "oco"), 2: filled(at(1, 10), 1)}),
    # 99 at 2 s, 95 at 10 s of the same leg.
    Case("bracket of a limit is stopped on the same leg", [100.0, LOWS],
         {0: [buy(1, limit=99, stop_loss=95, take_profit=110)]},
         [made(at(1, 2), 0, 1, 99, 0.0198), took(at(1, 10), 1, -1, 95, 0.095)],
         {0: filled(at(1, 2), 1), 1: filled(at(1, 10), -1), 2: cancelled(at(1, 10), "oco")}),
    # 95 at 10 s; 90 to 104 meets 97 half way, at 30 s.
    Case("bracket of a limit meets its target in the candle", [100.0, DIP],
         {0: [buy(1, limit=95, stop_loss=80, take_profit=97)]},
         [made(at(1, 10), 0, 1, 95, 0.019), made(at(1, 30), 2, -1, 97, 0.0194)],
         {0: filled(at(1, 10), 1), 1: cancelled(at(1, 30), "oco"), 2: filled(at(1, 30), -1)}),
    # The target would have been met before the entry, at 120. 120 to 90 meets 97.5 after 15 s of the leg, and after it
    # nothing rises to 110.
    Case("bracket does not look back", [100.0, HIGHS], {0: [buy(1, limit=97.5, stop_loss=80, take_profit=110)]},
         [made(at(1, 35), 0, 1, 97.5, 0.0195)], {0: filled(at(1, 35), 1), 1: expired(at(2)), 2: expired(at(2))}),
    # Entry by stop: 105 at 10 s of the way up (110 at 20 s), its target 108 at 16 s of the same leg.
    Case("bracket of a stop meets its target on the same leg", [100.0, SPIKE],
         {0: [buy(1, stop=105, stop_loss=97, take_profit=108)]},
         [took(at(1, 10), 0, 1, 105, 0.105), made(at(1, 16), 2, -1, 108, 0.0216)],
         {0: filled(at(1, 10), 1), 1: cancelled(at(1, 16), "oco"), 2: filled(at(1, 16), -1)}),
    # Open 94: the entry fills at its limit of 99, then the stop, which the jump has passed too, at the open.
    Case("bracket of a limit is jumped over", [100.0, 100.0, 94.0],
         {0: [buy(1, limit=99, stop_loss=95, take_profit=110)]},
         [made(at(2), 0, 1, 99, 0.0198), took(at(2), 1, -1, 94, 0.094)],
         {0: filled(at(2), 1), 1: filled(at(2), -1), 2: cancelled(at(2), "oco")}),
    # Bought at 93, which is below the stop of 95: sold at once.
    Case("bracket whose stop is passed at the entry", [100.0, 93.0], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 93, 0.093), took(at(1), 1, -1, 93, 0.093)],
         {0: filled(at(1), 1), 1: filled(at(1), -1), 2: cancelled(at(1), "oco")}),
    # Bought at 112, which is above the target of 110: the limit crosses, and takes.
    Case("bracket whose target is passed at the entry", [100.0, 112.0], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 112, 0.112), took(at(1), 2, -1, 112, 0.112)],
         {0: filled(at(1), 1), 1: cancelled(at(1), "oco"), 2: filled(at(1), -1)}),
    # The target fills at its limit, not at the better open; the stop at the worse open.
    Case("bracket's target is jumped over", [100.0, 100.0, 115.0], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 100, 0.1), made(at(2), 2, -1, 110, 0.022)],
         {0: filled(at(1), 1), 1: cancelled(at(2), "oco"), 2: filled(at(2), -1)}),
    Case("bracket's stop is jumped over", [100.0, 100.0, 91.0], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2), 1, -1, 91, 0.091)],
         {0: filled(at(1), 1), 1: filled(at(2), -1), 2: cancelled(at(2), "oco")}),
    # The mark meets 95 after 10 s; trades stand at 100.
    Case("bracket's stop by the mark", [100.0, 100.0, 100.0], {0: [buy(1, stop_loss=95, trigger="mark")]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2, 10), 1, -1, 100, 0.1)],
         {0: filled(at(1), 1), 1: filled(at(2, 10), -1)}, mark=[100.0, 100.0, (100.0, 100.0, 90.0, 100.0)]),
    # Best 112, level 98, met by 108 to 88 half way.
    Case("bracket with a trailing stop", [100.0, (100.0, 112.0, 99.0, 108.0), (108.0, 108.0, 88.0, 90.0)],
         {0: [buy(1, trailing_stop="12.5%")]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2, 30), 1, -1, 98, 0.098)],
         {0: filled(at(1), 1), 1: filled(at(2, 30), -1)}),
    # Bought at 95 after 10 s, when the trail begins: 90, which the low touches at 20 s.
    Case("bracket's trailing stop follows from the entry", [100.0, DIP], {0: [buy(1, limit=95, trailing_stop=5)]},
         [made(at(1, 10), 0, 1, 95, 0.019), took(at(1, 20), 1, -1, 90, 0.09)],
         {0: filled(at(1, 10), 1), 1: filled(at(1, 20), -1)}),
    # Bought after the gap at 94, below the stop.
    Case("bracket in a gap", [100.0, None, 94.0], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(2), 0, 1, 94, 0.094), took(at(2), 1, -1, 94, 0.094)],
         {0: filled(at(2), 1), 1: filled(at(2), -1), 2: cancelled(at(2), "oco")}),
    # Beside a market that falls more than this one rises (1.01 × 0.96 < 1) all highs come before all lows.
    Case("bracket beside another market", [100.0, 100.0, LOWS], {0: [buy(1, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 1, 100, 0.1), made(at(2, 10), 2, -1, 110, 0.022)],
         {0: filled(at(1), 1), 1: cancelled(at(2, 10), "oco"), 2: filled(at(2, 10), -1)},
         beside=[1000.0, 1000.0, (1000.0, 1000.0, 950.0, 960.0)]),
    # All three of a bracket: best 112 lifts the trail to 98 before the stop of 80 or the target of 130 are met.
    Case("bracket of three", [100.0, (100.0, 112.0, 99.0, 108.0), (108.0, 108.0, 88.0, 90.0)],
         {0: [buy(1, stop_loss=80, take_profit=130, trailing_stop="12.5%")]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2, 30), 3, -1, 98, 0.098)],
         {0: filled(at(1), 1), 3: filled(at(2, 30), -1), **{n: cancelled(at(2, 30), "oco") for n in (1, 2)}}),
    # Without its stop the target stays.
    Case("bracket's stop is called back", [100.0, 100.0, LOWS],
         {0: [buy(1, stop_loss=95, take_profit=105)], 1: [cancel(1)]},
         [took(at(1), 0, 1, 100, 0.1), made(at(2, 30), 2, -1, 105, 0.021)],
         {0: filled(at(1), 1), 1: cancelled(at(2), "strategy"), 2: filled(at(2, 30), -1)}),
    # Room for 1 a row: 1 of 2 is bought at 2 s; its stop sells that 1, and what was still to be bought is cancelled.
    Case("bracket of an entry in part", [100.0, DIP], {0: [buy(2, limit=99, stop_loss=95, take_profit=110)]},
         [made(at(1, 2), 0, 1, 99, 0.0198), took(at(1, 10), 1, -1, 95, 0.095)],
         {0: cancelled(at(1, 10), "bracket", 1), 1: filled(at(1, 10), -1), 2: cancelled(at(1, 10), "oco")},
         volume=[10] * 2, settings=MAKERS),
    # Row 1 buys 1 at 10 s. The rest is called back, what was bought stays protected: 102 to 92 meets 95 at 14 s.
    Case("bracket outlives the rest of its entry", [100.0, (100.0, 104.0, 98.0, 102.0), (102.0, 103.0, 92.0, 102.0)],
         {0: [buy(2, limit=99, stop_loss=95)], 1: [cancel(0)]},
         [made(at(1, 10), 0, 1, 99, 0.0198), took(at(2, 14), 1, -1, 95, 0.095)],
         {0: cancelled(at(2), "strategy", 1), 1: filled(at(2, 14), -1)}, volume=[10] * 3, settings=MAKERS),
    # Row 2: 100, 100, 120, 100: half of the target at 30 s. Row 3: 100, 100, 90: the stop sells the other half at 30 s.
    Case("bracket's stop shrinks with its target",
         [100.0, 100.0, (100.0, 120.0, 100.0, 100.0), (100.0, 100.0, 90.0, 91.0)],
         {0: [buy(2, stop_loss=95, take_profit=110)]},
         [took(at(1), 0, 2, 100, 0.2), made(at(2, 30), 2, -1, 110, 0.022), took(at(3, 30), 1, -1, 95, 0.095)],
         {0: filled(at(1), 2), 1: filled(at(3, 30), -1), 2: cancelled(at(3, 30), "oco", -1)},
         volume=[10] * 4, settings=MAKERS),
    # Bought in two halves, so the stop covers 1, then 2: 101 to 91 meets 96 after 10 s, and there is room for 1.
    Case("bracket grows with its entry", [100.0, 100.0, 101.0, (101.0, 102.0, 91.0, 101.5), 101.5],
         {0: [buy(2, stop_loss=96)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2), 0, 1, 101, 0.101), took(at(3, 10), 1, -1, 96, 0.096),
          took(at(4), 1, -1, 101.5, 0.1015)],
         {0: filled(at(2), 2), 1: filled(at(4), -2)}, volume=[10] * 5, settings={"volume_share": "taker=10%"}),
    Case("bracket of a rejected entry", [100.0, 100.0], {0: [buy(1, limit=101, post_only=True, stop_loss=95)]},
         [], {0: rejected(at(1), "post_only"), 1: cancelled(at(1), "parent")}),
    Case("bracket of an entry that was not filled", [100.0, 100.0],
         {0: [buy(1, limit=95, tif="ioc", stop_loss=90, take_profit=99)]},
         [], {0: cancelled(at(1), "ioc"), 1: cancelled(at(1), "parent"), 2: cancelled(at(1), "parent")}),
    Case("bracket of an entry whose time is up", [100.0, 100.0],
         {0: [buy(1, limit=95, stop_loss=90, expires=at(1, 30))]},
         [], {0: expired(at(1, 30), "gtd"), 1: cancelled(at(1, 30), "parent")}),
    Case("bracket of an entry that is called back", [100.0, 100.0, 100.0],
         {0: [buy(1, limit=95, stop_loss=90)], 1: [cancel(0)]},
         [], {0: cancelled(at(2), "strategy"), 1: cancelled(at(2), "parent")}),
    # The stop is drawn up from 90 to 95.
    Case("bracket's stop is amended", [100.0, 100.0, LOWS],
         {0: [buy(1, stop_loss=90, take_profit=110)], 1: [amend(1, stop=95)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2, 10), 1, -1, 95, 0.095)],
         {0: filled(at(1), 1), 1: filled(at(2, 10), -1), 2: cancelled(at(2, 10), "oco")}),
    # How much a child closes is its parent's business.
    Case("bracket's stop is not resized", [100.0, 100.0, LOWS], {0: [buy(1, stop_loss=95)], 1: [amend(1, qty=0.5)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(2, 10), 1, -1, 95, 0.095)],
         {0: filled(at(1), 1), 1: filled(at(2, 10), -1), 2: rejected(at(2), "amend")}),
]  # fmt: skip

EITHER = [{"qty": 1, "limit": 95}, {"qty": 1, "stop": 105}]
EXITS = [{"qty": -2, "limit": 105, "reduce_only": True}, {"qty": -2, "stop": 95, "reduce_only": True}]
OCO = [
    # 100 to 90 meets 95 at 10 s.
    Case("oco entries, lows first", [100.0, (100.0, 110.0, 90.0, 101.0)], {0: [oco(*EITHER)]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: filled(at(1, 10), 1), 1: cancelled(at(1, 10), "oco")}),
    # 100 to 110 meets 105 at 10 s.
    Case("oco entries, highs first", [100.0, (100.0, 110.0, 90.0, 99.0)], {0: [oco(*EITHER)]},
         [took(at(1, 10), 1, 1, 105, 0.105)], {0: cancelled(at(1, 10), "oco"), 1: filled(at(1, 10), 1)}),
    Case("oco entries are jumped over", [100.0, 100.0, 107.0], {0: [oco(*EITHER)]},
         [took(at(2), 1, 1, 107, 0.107)], {0: cancelled(at(2), "oco"), 1: filled(at(2), 1)}),
    # Half of an entry is enough.
    Case("oco entry in part cancels the other", [100.0, DIP, 106.0], {0: [oco(*EITHER)]},
         [made(at(1, 10), 0, 0.5, 95, 0.0095)], {0: expired(at(3), qty=0.5), 1: cancelled(at(1, 10), "oco")},
         volume=[10] * 3, settings={"volume_share": "maker=5%"}),
    # The first takes when it arrives; the second comes too late for it.
    Case("oco entry takes on arrival", [100.0, 100.0, 107.0],
         {0: [oco({"qty": 1, "limit": 101}, {"qty": 1, "stop": 105})]},
         [took(at(1), 0, 1, 100, 0.1)], {0: filled(at(1), 1), 1: cancelled(at(1), "oco")}),
    # A refusal cancels nothing.
    Case("oco of which one is refused", [100.0, DIP], {0: [oco({"qty": 1, "limit": 95}, {"qty": 1, "stop": 99})]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: filled(at(1, 10), 1), 1: rejected(at(1), "would_trigger")}),
    # Three: the first that is met ends both others. 100 to 90 meets 98 at 4 s.
    Case("oco of three", [100.0, DIP], {0: [oco(*EITHER, {"qty": 1, "limit": 98})]},
         [made(at(1, 4), 2, 1, 98, 0.0196)],
         {0: cancelled(at(1, 4), "oco"), 1: cancelled(at(1, 4), "oco"), 2: filled(at(1, 4), 1)}),
    # Bought at 95 at 10 s; from 90 at 20 s to 110 at 40 s its target of 105 is met after 15 of 20 s.
    Case("oco entries with brackets", [100.0, (100.0, 110.0, 90.0, 101.0)],
         {0: [oco({"qty": 1, "limit": 95, "stop_loss": 85, "take_profit": 105},
                  {"qty": 1, "stop": 106, "stop_loss": 99})]},
         [made(at(1, 10), 0, 1, 95, 0.019), made(at(1, 35), 2, -1, 105, 0.021)],
         {0: filled(at(1, 10), 1), 1: cancelled(at(1, 35), "oco"), 2: filled(at(1, 35), -1),
          3: cancelled(at(1, 10), "oco"), 4: cancelled(at(1, 10), "parent")}),
    Case("oco exits, highs first", [100.0, 100.0, (100.0, 110.0, 90.0, 99.0)], {0: [buy(2)], 1: [oco(*EXITS)]},
         [took(at(1), 0, 2, 100, 0.2), made(at(2, 10), 1, -2, 105, 0.042)],
         {0: filled(at(1), 2), 1: filled(at(2, 10), -2), 2: cancelled(at(2, 10), "oco")}),
    # 10 % of 10: half of the target at 10 s, then 110 to 90 meets 95 after 15 s of the leg, which sells the other half.
    Case("oco exits share a size", [100.0, 100.0, (100.0, 110.0, 90.0, 99.0)], {0: [buy(2)], 1: [oco(*EXITS)]},
         [took(at(1), 0, 2, 100, 0.2), made(at(2, 10), 1, -1, 105, 0.021), took(at(2, 35), 2, -1, 95, 0.095)],
         {0: filled(at(1), 2), 1: cancelled(at(2, 35), "oco", -1), 2: filled(at(2, 35), -1)},
         volume=[10] * 3, settings=MAKERS),
]  # fmt: skip

LEFT_BEHIND = [
    # The position is closed by a market order: what could only reduce it goes, what could open stays.
    Case("a closed position takes its reduce-only orders along", [100.0, 100.0, 100.0, 100.0],
         {0: [buy(1)],
          1: [sell(1, limit=110, reduce_only=True), sell(1, stop=90, reduce_only=True), sell(1, limit=120)],
          2: [sell(1)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(3), 4, -1, 100, 0.1)],
         {0: filled(at(1), 1), 1: cancelled(at(3), "reduce_only"), 2: cancelled(at(3), "reduce_only"),
          3: expired(at(4)), 4: filled(at(3), -1)}),
    Case("a flipped position takes its reduce-only orders along", [100.0, 100.0, 100.0, 100.0],
         {0: [buy(1)], 1: [sell(1, limit=110, reduce_only=True)], 2: [sell(3)]},
         [took(at(1), 0, 1, 100, 0.1), took(at(3), 2, -3, 100, 0.3)],
         {0: filled(at(1), 1), 1: cancelled(at(3), "reduce_only"), 2: filled(at(3), -3)}),
    # Two exits of 2 for a long of 3: 105 at 10 s closes 2, 107 at 14 s the last 1.
    Case("two reduce-only limits close no more than there is", [100.0, 100.0, SPIKE],
         {0: [buy(3)], 1: [sell(2, limit=107, reduce_only=True), sell(2, limit=105, reduce_only=True)]},
         [took(at(1), 0, 3, 100, 0.3), made(at(2, 10), 2, -2, 105, 0.042), made(at(2, 14), 1, -1, 107, 0.0214)],
         {0: filled(at(1), 3), 1: filled(at(2, 14), -1), 2: filled(at(2, 10), -2)}),
    Case("close at a price", [100.0, 100.0, SPIKE], {0: [buy(2)], 1: [close(limit=105)]},
         [took(at(1), 0, 2, 100, 0.2), made(at(2, 10), 1, -2, 105, 0.042)],
         {0: filled(at(1), 2), 1: filled(at(2, 10), -2)}),
    # A stop of 5 for a long of 2.
    Case("reduce-only stop is clipped to the position", [100.0, 100.0, DIP],
         {0: [buy(2)], 1: [sell(5, stop=95, reduce_only=True)]},
         [took(at(1), 0, 2, 100, 0.2), took(at(2, 10), 1, -2, 95, 0.19)],
         {0: filled(at(1), 2), 1: filled(at(2, 10), -2)}),
]  # fmt: skip

GROUPED = [*BRACKET, *OCO, *LEFT_BEHIND]
