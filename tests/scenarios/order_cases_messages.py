"""The table of orders: cancels, amendments, and what a venue and the end of a market do to orders.

Arithmetic and units as in `order_cases`. Cancels and amendments take numbers too.
"""

from __future__ import annotations

from tests.scenarios.order_harness import (
    Case,
    amend,
    at,
    buy,
    cancel,
    cancel_all,
    cancelled,
    expired,
    filled,
    made,
    rejected,
    sell,
    took,
)

DIP = (100.0, 104.0, 90.0, 102.0)
"""Lows first: 100, at 20 s 90, at 40 s 104, 102."""
LATE = {"latency_ms": 10_000}

CANCEL = [
    # The cancel comes 10 s into row 2, when 95 is met: the fill is first.
    Case("cancel comes with the fill", [100.0, 100.0, DIP], {0: [buy(1, limit=95)], 1: [cancel(0)]},
         [made(at(2, 10), 0, 1, 95, 0.019)], {0: filled(at(2, 10), 1)}, settings=LATE),
    # 94.5 would be met at 11 s.
    Case("cancel comes before the fill", [100.0, 100.0, DIP], {0: [buy(1, limit=94.5)], 1: [cancel(0)]},
         [], {0: cancelled(at(2, 10), "strategy")}, settings=LATE),
    # It comes at the open of row 2; the jump to 94 is before it.
    Case("cancel comes with the jump", [100.0, 100.0, 94.0], {0: [buy(1, limit=95)], 1: [cancel(0)]},
         [made(at(2), 0, 1, 95, 0.019)], {0: filled(at(2), 1)}),
    Case("cancel comes with its order", [100.0, DIP], {0: [buy(1, limit=95), cancel(0)]},
         [], {0: cancelled(at(1), "strategy")}),
    Case("cancel of a stop", [100.0, 100.0, DIP], {0: [sell(1, stop=95)], 1: [cancel(0)]},
         [], {0: cancelled(at(2), "strategy")}),
    # 1 of 2 was filled in row 1.
    Case("cancel of the rest", [100.0, DIP, DIP], {0: [buy(2, limit=95)], 1: [cancel(0)]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: cancelled(at(2), "strategy", 1)},
         volume=[10] * 3, settings={"volume_share": "maker=10%"}),
    Case("cancel of a market order in a gap", [100.0, 100.0, None, 101.0], {1: [buy(1), cancel(0)]},
         [], {0: cancelled(at(2), "strategy")}),
    # The number 2 is the entry with its stop 3, the cancel's is 4. What is sent after it is not meant.
    Case("cancel of all", [100.0, 100.0, DIP],
         {0: [buy(1, limit=95), sell(1, stop=91), buy(1, limit=94, stop_loss=92)], 1: [cancel_all(), buy(1, limit=93)]},
         [made(at(2, 14), 5, 1, 93, 0.0186)],
         {0: cancelled(at(2), "strategy"), 1: cancelled(at(2), "strategy"), 2: cancelled(at(2), "strategy"),
          3: cancelled(at(2), "parent"), 5: filled(at(2, 14), 1)}),
]  # fmt: skip

AMEND = [
    # 85 would not be met.
    Case("amend of a limit", [100.0, 100.0, DIP], {0: [buy(1, limit=85)], 1: [amend(0, limit=95)]},
         [made(at(2, 10), 0, 1, 95, 0.019)], {0: filled(at(2, 10), 1)}),
    Case("amend of a limit comes after the fill", [100.0, 100.0, DIP], {0: [buy(1, limit=95)], 1: [amend(0, limit=85)]},
         [made(at(2, 10), 0, 1, 95, 0.019)], {0: filled(at(2, 10), 1), 1: rejected(at(2, 10), "not_open")},
         settings=LATE),
    Case("amend of a size", [100.0, 100.0, DIP], {0: [buy(1, limit=95)], 1: [amend(0, qty=2)]},
         [made(at(2, 10), 0, 2, 95, 0.038)], {0: filled(at(2, 10), 2)}),
    # 1 of 2 was filled in row 1, so half a unit is left of 1.5.
    Case("amend of a size, less what is filled", [100.0, DIP, DIP], {0: [buy(2, limit=95)], 1: [amend(0, qty=1.5)]},
         [made(at(1, 10), 0, 1, 95, 0.019), made(at(2, 10), 0, 0.5, 95, 0.0095)], {0: filled(at(2, 10), 1.5)},
         volume=[10] * 3, settings={"volume_share": "maker=10%"}),
    Case("amend to what is filled already", [100.0, DIP, DIP], {0: [buy(2, limit=95)], 1: [amend(0, qty=1)]},
         [made(at(1, 10), 0, 1, 95, 0.019)], {0: cancelled(at(2), "strategy", 1)},
         volume=[10] * 3, settings={"volume_share": "maker=10%"}),
    # 101 crosses the open of 100.
    Case("amend crosses", [100.0, 100.0, DIP], {0: [buy(1, limit=95)], 1: [amend(0, limit=101)]},
         [took(at(2), 0, 1, 100, 0.1)], {0: filled(at(2), 1)}),
    # Refused, the order stays where it was.
    Case("amend of a post-only order crosses", [100.0, 100.0, DIP],
         {0: [buy(1, limit=95, post_only=True)], 1: [amend(0, limit=101)]},
         [made(at(2, 10), 0, 1, 95, 0.019)], {0: filled(at(2, 10), 1), 1: rejected(at(2), "post_only")}),
    Case("amend of a stop", [100.0, 100.0, DIP], {0: [sell(1, stop=85)], 1: [amend(0, stop=95)]},
         [took(at(2, 10), 0, -1, 95, 0.095)], {0: filled(at(2, 10), -1)}),
    Case("amend of a stop to the wrong side", [100.0, 100.0, DIP], {0: [sell(1, stop=95)], 1: [amend(0, stop=105)]},
         [took(at(2, 10), 0, -1, 95, 0.095)], {0: filled(at(2, 10), -1), 1: rejected(at(2), "would_trigger")}),
    # Triggered at 95, it rests at 97, which 90 to 104 meets half way: 30 s.
    Case("amend of both prices of a stop-limit", [100.0, 100.0, DIP],
         {0: [sell(1, stop=85, limit=84)], 1: [amend(0, stop=95, limit=97)]},
         [made(at(2, 30), 0, -1, 97, 0.0194)], {0: filled(at(2, 30), -1)}),
    Case("amend of a price that the order lacks", [100.0, 100.0, DIP], {0: [buy(1, limit=95)], 1: [amend(0, stop=96)]},
         [made(at(2, 10), 0, 1, 95, 0.019)], {0: filled(at(2, 10), 1), 1: rejected(at(2), "amend")}),
    # 5 % of 30,000 × 100 is 150,000.
    Case("amend beyond the margin", [100.0, 100.0, DIP], {0: [buy(1, limit=95)], 1: [amend(0, qty=30_000)]},
         [made(at(2, 10), 0, 1, 95, 0.019)], {0: filled(at(2, 10), 1), 1: rejected(at(2), "margin")}),
    Case("amend of a dead order", [100.0, 100.0, 100.0], {0: [buy(1)], 1: [amend(0, qty=2)]},
         [took(at(1), 0, 1, 100, 0.1)], {0: filled(at(1), 1), 1: rejected(at(2), "not_open")}),
    Case("amend of nothing that ever was", [100.0, 100.0],
         {0: [amend(7, limit=95)]}, [], {0: rejected(at(1), "not_open")}),
    # Same level, room for 1: the first keeps its place, though it was amended last.
    Case("amend keeps its place", [100.0, 100.0, DIP],
         {0: [buy(1, limit=94), buy(1, limit=95)], 1: [amend(0, limit=95)]},
         [made(at(2, 10), 0, 1, 95, 0.019)], {0: filled(at(2, 10), 1), 1: expired(at(3))},
         volume=[10] * 3, settings={"volume_share": "maker=10%"}),
]  # fmt: skip

RULES = """
name = "rules"
source = "a test"
date = 2024-01-01
quote = "USDC"
[[tiers]]
initial = 0.05
maintenance = 0.03
[[orders]]
"""
VENUE = [
    # The last candle of BTC is row 2; its orders end at 180 s, and nothing can be sent to it any more.
    Case("orders end with their market", [100.0, 100.0, 100.0], {0: [buy(1, limit=95), sell(1, stop=90)], 2: [buy(1)]},
         [], {0: cancelled(at(3), "delisted"), 1: cancelled(at(3), "delisted"), 2: rejected(at(3), "delisted")},
         beside=[1000.0] * 5),
    # The parent ends, and its sleeping child with it.
    Case("a bracket ends with its market", [100.0, 100.0], {0: [buy(1, limit=95, stop_loss=90)]},
         [], {0: cancelled(at(2), "delisted"), 1: cancelled(at(2), "parent")}, beside=[1000.0] * 4),
    # Equity 100,000 − 1,000 of fee − 100 × 750 = 24,000 against 3 % of 925,000 = 27,750.
    Case("a liquidation cancels orders", [1e4, 1e4, 9_250.0, 9_250.0],
         {0: [buy(100), sell(100, limit=11_000, reduce_only=True), sell(100, stop=9_000, reduce_only=True),
              buy(1, stop=12_000)]},
         [took(at(1), 0, 100, 1e4, 1_000), (at(2), None, -100, 9_250, 0, "taker")],
         {0: filled(at(1), 100), **{n: cancelled(at(2), "liquidation") for n in (1, 2, 3)}}),
    # Worth 5, then 9.9 at the limit, the stop, the limit: too small. 10.1 and 10 are not, and to get out any size
    # will do.
    Case("the least notional", [100.0, 100.0],
         {0: [buy(0.05), buy(0.1, limit=99), sell(0.1, stop=99), buy(0.1, stop=101, limit=99), sell(0.1, target=101),
              buy(0.1), sell(0.05, reduce_only=True)]},
         [took(at(1), 5, 0.1, 100, 0.01), took(at(1), 6, -0.05, 100, 0.005)],
         {**{n: rejected(at(1), "min_notional") for n in range(4)}, 4: expired(at(2)), 5: filled(at(1), 0.1),
          6: filled(at(1), -0.05)}, venue=RULES + "min_notional = 10"),
    # Two may rest; a market order does not. The cancel comes before what is sent after it.
    Case("the most orders in a market", [100.0, 100.0, 100.0],
         {0: [buy(1, limit=95), sell(1, stop=94), buy(1, limit=93), buy(1)], 1: [cancel(0), buy(1, limit=92)]},
         [took(at(1), 3, 1, 100, 0.1)],
         {0: cancelled(at(2), "strategy"), 1: expired(at(3)), 2: rejected(at(1), "open_orders"), 3: filled(at(1), 1),
          5: expired(at(3))}, venue=RULES + "most_each = 2"),
    # A bracket's sleeping stop counts.
    Case("the most orders of an account", [100.0, 100.0, 100.0],
         {0: [buy(1, limit=95, stop_loss=90), buy(1, limit=94)], 1: [cancel(0)]}, [],
         {0: cancelled(at(2), "strategy"), 1: cancelled(at(2), "parent"), 2: rejected(at(1), "open_orders")},
         venue=RULES + "most = 2"),
]  # fmt: skip

MESSAGES = [*CANCEL, *AMEND, *VENUE]
