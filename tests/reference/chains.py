"""Invented chains, oracles and reserves, from a number: 0 is always the dullest, none at all."""

from __future__ import annotations

import random

from tests.reference.chain import Beside, Chain, Congestion, Gas, Latency, Limit, Oracle, Outage, Route, TopUp

HOUR_MS = 3_600_000
TRANSFERS = 200
"""From this byte up to 205 a message moves money, where there is something beside the venue."""


def beside(number: int, run: tuple[int, int], interval_ms: int, cash: int) -> Beside:
    """In half of the plays a chain; there, or with a reserve alone, money is moved and guards top up."""
    even = random.Random(number)
    if number == 0 or even.random() < 0.4:
        return Beside()
    chained = even.random() < 0.85
    reserve = even.choice((0, cash // 7, cash))
    top_ups = even.choice(((), (), (), (TopUp(0.5, 0.3),), (TopUp(0.8, 0.5), TopUp(0.2, 0.15))))
    return Beside(
        chain=chain(even, run, interval_ms, cash) if chained else Chain(),
        oracle=oracle(even, interval_ms) if even.random() < 0.4 else None,
        reserve=reserve,
        seed=even.choice((0, 7, 2**40 + 5)),
        guards=top_ups if reserve else (),
    )


def chain(even: random.Random, run: tuple[int, int], interval_ms: int, cash: int) -> Chain:
    third, length = interval_ms // 3, interval_ms
    blocks = even.choice((0, 0, length // 10, length // 4, length, 7))
    forced = even.choice((0, 0, 0, third, 2 * length + 1)) if even.random() < 0.7 else 0
    return Chain(
        network=latency(even, length),
        queue=latency(even, length),
        block_ms=blocks,
        most_per_block=even.choice((0, 1, 2, 5)) if blocks else 0,
        sorts=even.random() < 0.3,
        congestion=congestion(even, run) if even.random() < 0.5 else Congestion(),
        rule=even.choice(("wait", "wait", "drop", "expire")),
        ttl_ms=even.choice((0, length // 2, 2 * length)),
        backlog=even.choice((0.0, 0.1, 0.5, 0.013)),
        grace_ms=even.choice((0, 1, length // 2, length, 3 * length + 1)),
        stale_ms=even.choice((0, 0, third, length, 2 * length + 5)),
        forced_ms=forced,
        gate_after_ms=even.choice((0, length // 2)),
        gate_ms=even.choice((0, length // 4, length)),
        reorg_ms=even.choice((0, 0, 0, 1, length, 3 * length + 1)),
        deposits=tuple(route(even, length, cash) for _ in range(even.randint(1, 2))),
        withdrawals=tuple(route(even, length, cash) for _ in range(even.randint(1, 2))),
        gas=gas(even, run, cash) if even.random() < 0.5 else (),
        outages=outages(even, run, interval_ms),
        withdrawal_limits=limits(even, length, cash) if even.random() < 0.5 else (),
    )


def latency(even: random.Random, length: int) -> Latency:
    """As a rule shorter than a candle."""
    kind = even.randrange(4)
    if kind < 2:
        ms = even.choice((0.0, 0.0, 0.4, length / 7, length * 1.5))
        return Latency(ms, ms)
    if kind == 2:
        return Latency(length / 10, even.choice((length / 2, length * 3.0)))
    return Latency(quantiles=even.choice(((0.0, length / 9, length / 2), (5.0,), (0.0, 0.0, 2.5, length * 2.0))))


def route(even: random.Random, length: int, cash: int) -> Route:
    ms = even.choice((0.0, length / 2, float(length), 4.0 * length))
    delay = even.choice((Latency(ms, ms), latency(even, length)))
    return Route(delay, even.choice((0, 1, cash // 50)), even.choice((0.0, 0.0, 0.001, 0.03)))


def limits(even: random.Random, length: int, cash: int) -> tuple[Limit, ...]:
    """One or two of a few withdrawals each, now and then of next to nothing; of one period as well."""
    amounts = (cash // 2, cash // 3, cash // 7, cash // 7, cash // 77 + 1, 2 * cash)
    periods = (length // 2, 3 * length, 7 * length + 1, 24 * length, 24 * length, 99 * length)
    return tuple(Limit(even.choice(amounts), even.choice(periods)) for _ in range(even.randint(1, 2)))


def congestion(even: random.Random, run: tuple[int, int]) -> Congestion:
    """Usual values by the hour, from that of the start; some are not known."""
    hours = run[1] // HOUR_MS - run[0] // HOUR_MS + 1
    usual = [(even.choice((None, 0.001, 0.02, 0.005)), even.choice((None, 500.0, 20_000.0))) for _ in range(hours)]
    return Congestion(
        slope=even.choice((0.5, 3.0)),
        above=even.choice((1.0, 0.3)),
        most=even.choice((1.5, 6.0)),
        gas_power=even.choice((1.0, 2.0, 0.5)),
        usual=tuple(usual),
    )


def gas(even: random.Random, run: tuple[int, int], cash: int) -> tuple[Gas, ...]:
    """Now and then so dear that it cannot be paid for long."""
    dates = sorted(even.choice((0, run[0], even.randint(*run))) for _ in range(even.randint(1, 2)))
    unit = even.choice((cash // 1_000_000, cash // 100_000, cash // 10_000, cash // 10_000, cash // 200))
    return tuple(
        Gas(at, unit * even.choice((0, 1, 3)), unit * even.choice((0, 1)), unit * even.choice((0, 5)), unit * 2)
        for at in dates
    )


def outages(even: random.Random, run: tuple[int, int], interval_ms: int) -> tuple[Outage, ...]:
    """Up to three, anywhere in the run, of any length; often from or to a candle's open."""
    made: list[Outage] = []
    after = run[0] - 1
    for _ in range(even.choice((0, 1, 2, 2, 3))):
        start = run[0] + even.randrange((run[1] - run[0]) // interval_ms) * interval_ms
        start += even.choice((0, 0, interval_ms // 3, interval_ms // 2, even.randrange(interval_ms)))
        length = interval_ms * even.choice((1, 1, 2, 3, 6)) // even.choice((1, 1, 2, 3, 5)) + even.choice((0, 0, 0, 1))
        end = start + length
        if even.random() < 0.3:
            end = run[0] + -(-(end - run[0]) // interval_ms) * interval_ms
        end = min(end, run[1])
        if after < start < end:
            made.append(Outage(start, end))
            after = end
    return tuple(made)


def oracle(even: random.Random, interval_ms: int) -> Oracle:
    third, length = interval_ms // 3, interval_ms
    return Oracle(
        median=even.random() < 0.4,
        average_ms=even.choice((0, 0, third, length, 2 * length + 7)),
        delay_ms=even.choice((0, 0, third, length, 1, even.randrange(3 * length), even.randrange(length))),
        heartbeat_ms=even.choice((0, length, 3 * length)),
        deviation=even.choice((0.0, 0.0, 0.002, 0.01)),
        limit_ms=even.choice((0, 0, third // 2, length)),
    )


def moves(number: int) -> list[bytes]:
    """Bytes of up to ten transfers of a script; now and then of small withdrawals as well, which use up a limit."""
    even = random.Random(number)
    made = [
        bytes([even.randrange(256), TRANSFERS + even.randrange(5), *even.randbytes(6)])
        for _ in range(even.choice((0, 1, 3, 10)))
    ]
    small = [(even.randrange(256), even.randrange(80)) for _ in range(even.choice((0, 0, 10)))]
    return made + [bytes([row, TRANSFERS + 4, 0, size, *even.randbytes(4)]) for row, size in small]
