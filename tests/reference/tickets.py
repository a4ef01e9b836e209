"""Invented orders: every type, near the prices to come, so that levels are met, touched and just missed."""

from __future__ import annotations

import dataclasses
import math
import random
from typing import Any

from tests.reference.market import Candle, Message, Symbol

ABOVE = ("limit", "take_profit_market", "take_profit_limit", "trailing_stop", "limit")
"""What a sale may wait for above the price, and a purchase below it."""
BELOW = ("stop_market", "stop_limit", "trailing_stop", "stop_market", "limit")
"""What a sale may wait for below the price, and a purchase above it."""
AWAY = (0.0005, 0.002, 0.005, 0.02)
TRAILS = (0.005, 0.01, 0.03, 0.1, 0.0001)
PLAIN = 90
"""Up to this byte an order is a market order without anything else."""


def last_candle(symbol: Symbol, at: int) -> Candle:
    """The candle that closed last, or the first of all."""
    return symbol.candles[max((ts for ts in symbol.candles if ts < at), default=symbol.first_ms)]


class Desk:
    """Remembers what was sent, so that later messages can be about it; numbers are right while no target is idle."""

    def __init__(self, interval_ms: int, latency_ms: int) -> None:
        self.interval_ms, self.latency_ms = interval_ms, latency_ms
        self.numbers = 0
        self.orders: list[tuple[int, Message]] = []
        self.symbols: dict[str, Symbol] = {}
        self.levels: dict[str, list[float]] = {}

    def sent(self, said: Message) -> None:
        if said.kind in ("cancel", "cancel_all", "amend", "target", "deposit", "withdraw"):
            self.numbers += 1
        for one in said.children if said.kind == "oco" else (said,):
            if one.kind == "order":
                for each in (one, *one.children):
                    self.orders.append((self.numbers, each))
                    self.numbers += 1

    # ---- messages about orders

    def cancel(self, at: int, back: int) -> Message:
        if not self.orders:
            return Message(at, "cancel", order=max(0, self.numbers - 1))
        return Message(at, "cancel", order=self.orders[-1 - back % min(len(self.orders), 12)][0])

    def amend(self, at: int, back: int, even: random.Random) -> Message:
        """As a rule of an order that rests, and of a price that it has."""
        resting = [entry for entry in self.orders if entry[1].type != "market"]
        if not resting:
            return Message(at, "amend", order=max(0, self.numbers - 1), lots=1)
        number, about = resting[-1 - back % min(len(resting), 12)]
        made = Message(at, "amend", order=number)
        if even.random() < 0.5:
            lots = round(about.lots * even.choice((0.5, 1.5, 1.0, 2.0, 0.1)))
            made = dataclasses.replace(made, lots=lots if even.random() < 0.95 else -lots)
        symbol = self.symbols[about.symbol]
        if about.limit is not None and even.random() < 0.6:
            made = dataclasses.replace(made, limit=self.level(symbol, at, even))
        if (about.stop is not None) == (even.random() < 0.9):
            made = dataclasses.replace(made, stop=self.level(symbol, at, even))
        return made

    # ---- orders

    def oco(self, at: int, symbol: Symbol, lots: int, even: random.Random) -> Message:
        """Two or three orders, on either side or on one; all reduce-only, or none."""
        reduce_only = even.random() < 0.4
        members = []
        for _ in range(even.choice((2, 2, 3))):
            signed = lots if reduce_only or even.random() < 0.6 else -lots
            members.append(dataclasses.replace(self.waiting(at, symbol, signed, even), reduce_only=reduce_only))
        return Message(at, "oco", children=tuple(members))

    def order(self, at: int, symbol: Symbol, lots: int, flags: int, kind: int, even: random.Random) -> Message:
        """From 225 on `flags` make it reduce-only, from 170 on it has children; details are drawn from `even`."""
        self.symbols[symbol.name] = symbol
        if kind < PLAIN:
            return Message(at, "order", symbol.name, lots=lots, reduce_only=flags >= 225)
        made = Message(at, "order", symbol.name, lots=lots) if kind < 105 else self.waiting(at, symbol, lots, even)
        made = dataclasses.replace(made, **self.in_force(at, even), reduce_only=flags >= 225)
        if made.type in ("limit", "stop_limit", "take_profit_limit"):
            made = dataclasses.replace(made, post_only=even.random() < 0.2)
        if 170 <= flags < 225:
            children = [self.waiting(at, symbol, -lots, even) for _ in range(even.choice((2, 2, 1, 3)))]
            children = [self.away(child, even) if even.random() < 0.25 else child for child in children]
            made = dataclasses.replace(made, children=tuple(children))
        return made

    def away(self, child: Message, even: random.Random) -> Message:
        """A stop or a target whose price is a share of its parent's fill price away from it."""
        stops, away = even.random() < 0.6, even.choice((*AWAY, 0.1))
        below = stops == (child.lots < 0)
        offset = -away if below else away
        return Message(
            child.sent_ms, "order", child.symbol, lots=child.lots, type="stop_market" if stops else "limit",
            by_mark=stops and child.by_mark, offset=offset,
        )  # fmt: skip

    def in_force(self, at: int, even: random.Random) -> dict[str, Any]:
        tif = even.choice(("gtc",) * 6 + ("ioc", "fok", "gtd", "gtd"))
        if tif != "gtd":
            return {"tif": tif}
        third, length = self.interval_ms // 3, self.interval_ms
        after = even.choice((length, 2 * length, third, length + 2 * third + 1, 3 * length + 7, 0, length // 2, 1))
        return {"tif": tif, "expires_ms": at + after + even.choice((0, self.latency_ms))}

    def waiting(self, at: int, symbol: Symbol, lots: int, even: random.Random) -> Message:
        """An order that waits for a level, as a rule on the side on which it can."""
        self.symbols[symbol.name] = symbol
        level = self.level(symbol, at, even)
        last = last_candle(symbol, at).close
        pays = (level >= last) == (lots < 0)
        type_ = even.choice(ABOVE if pays == (even.random() < 0.95) else BELOW)
        lots = round(lots * even.choice((1, 0.3, 0.1))) or lots
        made = Message(at, "order", symbol.name, lots=lots, type=type_, by_mark=even.random() < 0.25)
        if type_ == "limit":
            return dataclasses.replace(made, limit=level, by_mark=False)
        if type_ == "trailing_stop":
            trail, is_share = even.choice(TRAILS), even.random() < 0.6
            activation = level if even.random() < 0.5 else None
            made = dataclasses.replace(made, trail=trail if is_share else trail * last, trail_share=is_share)
            return dataclasses.replace(made, activation=activation)
        made = dataclasses.replace(made, stop=level)
        if type_.endswith("limit"):
            limit = even.choice((level, self.level(symbol, at, even), level * (1 + even.choice(AWAY))))
            made = dataclasses.replace(made, limit=limit)
        return made

    def level(self, symbol: Symbol, at: int, even: random.Random) -> float:
        """At or near a price of the candle of sending or of those that follow it; or a level that is taken already."""
        taken = self.levels.setdefault(symbol.name, [])
        if taken and even.random() < 0.2:
            return even.choice(taken)
        opens = [at + k * self.interval_ms for k in (-1, 0, 0, 1, 1, 2, 4, 7)]
        candles = [symbol.candles[ts] for ts in opens if ts in symbol.candles]
        if even.random() < 0.15:
            candles = [symbol.marks[ts] for ts in opens if ts in symbol.marks] or candles
        candle = even.choice(candles or [last_candle(symbol, at)])
        price = even.choice((candle.open, candle.high, candle.low, candle.close))
        how = even.randrange(8)
        if how == 0:
            price = math.nextafter(price, even.choice((0.0, math.inf)))
        elif how < 4:
            price *= 1 + even.choice((-1, 1)) * even.choice(AWAY)
        elif how == 4:
            price = candle.low + (candle.high - candle.low) * even.random()
        taken.append(price)
        return price


def crowd(number: int) -> list[bytes]:
    """Bytes of up to 50 small orders that rest, at up to three closes; as a rule of none."""
    even = random.Random(number)
    if number == 0 or even.random() < 2 / 3:
        return []
    made = []
    for _ in range(even.randint(1, 3)):
        row, symbol = even.randrange(256), even.randrange(256)
        for _ in range(even.choice((5, 10, 17, 50))):
            kind, size = even.choice((0, 0, 0, 0, 0, 240, 250)), even.randrange(12)
            made.append(
                bytes([row, kind, symbol, size, even.randrange(256), even.randrange(100, 256)]) + even.randbytes(2)
            )
    return made
