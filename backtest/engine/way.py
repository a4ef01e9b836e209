"""A message's way to the venue: draws, congestion, outages, blocks (docs/reference/rules-layer2.md sections 1 and 2).

Everything is known when a message is sent, so its arrival is settled then, and no later message moves it.
"""

from __future__ import annotations

import math

import numpy as np

from backtest.engine.blocks import into_block
from backtest.engine.compile import called, kernel
from backtest.engine.layout import (
    ARRIVES,
    BACKLOG,
    BEHIND,
    CANCEL,
    CANCEL_ALL,
    CHAINED,
    CONGESTED_ABOVE,
    COSTS_GAS,
    FATE,
    FORCED,
    GAS_CANCEL,
    GAS_FROM,
    GAS_ORDER,
    GAS_POWER,
    IS_LOST,
    KIND,
    LATENCY,
    MOST_CONGESTED,
    NETWORK,
    ORDER,
    OUT_END,
    OUT_START,
    OUTAGE_AT,
    OUTAGE_RULE,
    POST_ONLY,
    QUEUE_STAGE,
    RANK,
    SEED_HIGH,
    SEED_LOW,
    SENT,
    SENT_AT,
    SENT_COUNT,
    SLOPE,
    SORTS,
    START,
    SYMBOL,
    TOO_LATE,
    TTL,
    VOLUME,
    WAY_COUNT,
    WAY_MEDIAN,
    WAY_SIGMA,
    WAY_TABLE,
)
from backtest.engine.slots import fly
from backtest.engine.world import World
from backtest.venues.chain import Rule

WAIT, DROP, EXPIRE = map(int, Rule)
HOUR_MS = 3_600_000
MASK = 0xFFFFFFFF


@kernel
def mix(h: int) -> int:
    """A 32-bit number whose bits all depend on all of `h`; each product stays below 2^59."""
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & MASK
    h = ((h ^ (h >> 16)) * 0x45D9F3B) & MASK
    return h ^ (h >> 16)


@kernel
def uniform(seed_low: int, seed_high: int, time_ms: int, symbol: int, n: int, stage: int) -> float:
    """A number in (0, 1) of this key, whatever else is drawn."""
    h = mix(0x9E3779B9 ^ seed_low)
    h = mix(h ^ seed_high)
    h = mix(h ^ (time_ms & MASK))
    h = mix(h ^ (time_ms >> 32))
    h = mix(h ^ (symbol + 1))
    h = mix(h ^ (n & MASK))
    h = mix(h ^ stage)
    high, low = mix(h ^ 1) >> 5, mix(h ^ 2) >> 6
    return (float(high) * 67108864.0 + float(low) + 0.5) / 9007199254740992.0


@kernel
def quantile(u: float) -> float:
    """The standard normal quantile of `u` in (0, 1), to sixteen digits (Wichura 1988, algorithm AS 241, PPND16)."""
    q = u - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        num = (((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r
            + 4.5921953931549871457e4) * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r
            + 1.3314166789178437745e2) * r + 3.3871328727963666080e0)  # fmt: skip
        den = (((((((5.2264952788528545610e3 * r + 2.8729085735721942674e4) * r + 3.9307895800092710610e4) * r
            + 2.1213794301586595867e4) * r + 5.3941960214247511077e3) * r + 6.8718700749205790830e2) * r
            + 4.2313330701600911252e1) * r + 1.0)  # fmt: skip
        return q * num / den
    r = math.sqrt(-math.log(u if q < 0.0 else 1.0 - u))
    if r <= 5.0:
        r -= 1.6
        num = (((((((7.74545014278341407640e-4 * r + 2.27238449892691845833e-2) * r + 2.41780725177450611770e-1) * r
            + 1.27045825245236838258e0) * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0) * r
            + 4.63033784615654529590e0) * r + 1.42343711074968357734e0)  # fmt: skip
        den = (((((((1.05075007164441684324e-9 * r + 5.47593808499534494600e-4) * r + 1.51986665636164571966e-2) * r
            + 1.48103976427480074590e-1) * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0) * r
            + 2.05319162663775882187e0) * r + 1.0)  # fmt: skip
    else:
        r -= 5.0
        num = (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 1.24266094738807843860e-3) * r
            + 2.65321895265761230930e-2) * r + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0) * r
            + 5.46378491116411436990e0) * r + 6.65790464350110377720e0)  # fmt: skip
        den = (((((((2.04426310338993978564e-15 * r + 1.42151175831644588870e-7) * r + 1.84631831751005468180e-5) * r
            + 7.86869131145613259100e-4) * r + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1) * r
            + 5.99832206555887937690e-1) * r + 1.0)  # fmt: skip
    return -num / den if q < 0.0 else num / den


@called
def draw(w: World, row: int, stage: int, time_ms: int, symbol: int, n: int) -> float:
    """A latency of row `row` of `ways`, ms, not rounded; `symbol` −1: of none."""
    way = w.ways[row]
    count = int(way[WAY_COUNT])
    if count == 0 and way[WAY_SIGMA] == 0.0:
        return way[WAY_MEDIAN]
    u = uniform(int(w.run[SEED_LOW]), int(w.run[SEED_HIGH]), time_ms, symbol, n, stage)
    if count == 0:
        return way[WAY_MEDIAN] * math.exp(way[WAY_SIGMA] * quantile(u))
    p = u * float(count - 1)
    i = int(p)
    a = way[WAY_TABLE + i]
    b = way[WAY_TABLE + min(i + 1, count - 1)]
    return a + (b - a) * (p - float(i))


@kernel
def whole_ms(latency: float) -> int:
    return int(np.floor(latency + 0.5))


@kernel
def congestion(w: World, j: int, t_end: int) -> float:
    """How many times as long, and as dear, messages are that are sent at the close of panel row `j`."""
    if w.run[SLOPE] == 0.0 or w.usual.shape[0] == 0:
        return 1.0
    hour = t_end // HOUR_MS - int(w.run[START]) // HOUR_MS
    if hour >= w.usual.shape[0]:
        return 1.0
    ranges, turnover, count, volume = 0.0, 0.0, 0, int(w.run[VOLUME])
    for i in range(w.spec.shape[0]):
        if not np.isnan(w.panel[0, j, i]):
            ranges += (w.panel[1, j, i] - w.panel[2, j, i]) / w.panel[0, j, i]
            turnover += w.panel[3, j, i] * w.panel[volume, j, i] if volume >= 0 else 0.0
            count += 1
    if count == 0:
        return 1.0
    load = 0.0
    usual_range, usual_turnover = w.usual[hour, 0], w.usual[hour, 1]
    if usual_range > 0.0:
        load = ranges / float(count) / usual_range
    if usual_turnover > 0.0:
        load = max(load, turnover / usual_turnover)
    return min(w.run[MOST_CONGESTED], 1.0 + w.run[SLOPE] * max(0.0, load - w.run[CONGESTED_ABOVE]))


@kernel
def through_outages(w: World, x: int) -> tuple[int, int]:
    """When a message that reaches the sequencer at `x` is taken up, and its fate."""
    begun, fate, rule = x, 0, int(w.run[OUTAGE_RULE])
    for n in range(w.acct[OUTAGE_AT], w.outages.shape[0]):
        a, b = int(w.outages[n, OUT_START]), int(w.outages[n, OUT_END])
        if x <= a:
            break
        if rule == DROP:
            if x < b:
                fate = IS_LOST
                break
        else:
            x = max(x, b + int(np.floor(float(x - a) * w.run[BACKLOG])))
    if rule == EXPIRE and x - begun > int(w.run[TTL]):
        fate = TOO_LATE
    forced = int(w.run[FORCED])
    if forced > 0:
        return begun + forced if fate == IS_LOST else min(x, begun + forced), 0
    return x, fate


@kernel
def rank_of(w: World, at: int) -> float:
    """The place of a message's kind within a block of a chain that sorts."""
    m = w.queue[at]
    if m[KIND] == float(ORDER):
        return 0.0 if m[POST_ONLY] != 0.0 else 2.0
    return 1.0 if m[KIND] == float(CANCEL) or m[KIND] == float(CANCEL_ALL) else 2.0


@kernel
def gas_of(w: World, kind: int, sent: int, times: float) -> int:
    """Gas of a message, micro; `kind` a column of `gas`."""
    n = w.gas.shape[0] - 1
    while n > 0 and w.gas[n, GAS_FROM] > float(sent):
        n -= 1
    return int(np.rint(w.gas[n, kind] * math.pow(times, w.run[GAS_POWER])))


@kernel
def count_sent(w: World, symbol: int, sent: int) -> int:
    """How many messages of the symbol were sent at this close before; −1: of none."""
    i = symbol if symbol >= 0 else w.book.shape[0] - 1
    if w.book[i, SENT_AT] != sent:
        w.book[i, SENT_AT], w.book[i, SENT_COUNT] = sent, 0
    n = w.book[i, SENT_COUNT]
    w.book[i, SENT_COUNT] = n + 1
    return int(n)


@kernel
def depart(w: World, at: int, j: int) -> None:
    """Send the message at `at` at the close of panel row `j`: settle when it arrives, and put it in flight."""
    m = w.queue[at]
    if w.run[CHAINED] != 0.0:
        take_way(w, at, j)
    else:
        m[ARRIVES] = m[SENT] + w.run[LATENCY]
    fly(w, at)


@kernel
def take_way(w: World, at: int, j: int) -> None:
    """Arrival, fate, gas and rank of a message by the chain."""
    m = w.queue[at]
    sent, symbol = int(m[SENT]), int(m[SYMBOL])
    n = count_sent(w, symbol, sent)
    times = congestion(w, j, sent)
    x = sent + int(w.run[LATENCY]) + whole_ms(draw(w, NETWORK, NETWORK, sent, symbol, n))
    x += whole_ms(draw(w, QUEUE_STAGE, QUEUE_STAGE, sent, symbol, n) * times)
    fate = 0
    if w.outages.shape[0] > 0:
        x, fate = through_outages(w, x)
    m[ARRIVES], m[FATE] = x if fate == IS_LOST else into_block(w, x), fate
    if w.gas.shape[0] > 0:
        m[COSTS_GAS] = gas_of(w, GAS_ORDER if m[KIND] == float(ORDER) else GAS_CANCEL, sent, times)
    if w.run[SORTS] != 0.0:
        m[RANK] = rank_of(w, at)


@kernel
def follow_on(w: World, at: int, before: int) -> None:
    """Let the message at `at` travel with the one at `before`, which is in flight."""
    m, leader = w.queue[at], w.queue[before]
    m[ARRIVES], m[FATE], m[RANK], m[BEHIND] = leader[ARRIVES], leader[FATE], leader[RANK], 1.0
    fly(w, at, before)
