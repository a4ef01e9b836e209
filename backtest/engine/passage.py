"""A chain, packed into the arrays that kernels read it from (docs/reference/rules-layer2.md)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from backtest.engine import layout as at
from backtest.venues.chain import Chain, Latency, Outage, Route

Z99 = 2.3263478740408408
"""The standard normal quantile of 0.99."""
DIRECT = Route("direct", Latency())
"""The way of money where no chain names one: at once, free."""


def pack_chain(chain: Chain, seed: int, run: NDArray[np.float64]) -> None:
    """Write the chain's numbers into the run's."""
    run[at.CHAINED] = not chain.instant
    run[at.SEED_LOW], run[at.SEED_HIGH] = seed & 0xFFFFFFFF, seed >> 32
    run[at.BLOCK_MS], run[at.MOST_A_BLOCK], run[at.SORTS] = chain.block_ms, chain.most_per_block, chain.sorts
    crowd = chain.congestion
    run[at.SLOPE], run[at.CONGESTED_ABOVE], run[at.MOST_CONGESTED] = crowd.slope, crowd.above, crowd.most
    run[at.GAS_POWER] = crowd.gas_power
    run[at.OUTAGE_RULE], run[at.TTL], run[at.BACKLOG] = float(chain.rule), chain.ttl_ms, chain.backlog
    run[at.FORCED], run[at.GATE_AFTER], run[at.GATE] = chain.forced_ms, chain.gate_after_ms, chain.gate_ms
    run[at.REORG] = chain.reorg_ms


def routes(chain: Chain) -> tuple[tuple[Route, ...], tuple[Route, ...]]:
    """Of deposits and of withdrawals, at least one each."""
    return chain.deposits or (DIRECT,), chain.withdrawals or (DIRECT,)


def pack_ways(chain: Chain) -> NDArray[np.float64]:
    """`ways` of `layout`: network, queue, way back, then deposits and withdrawals."""
    deposits, withdrawals = routes(chain)
    latencies = [chain.network, chain.queue, chain.back, *(route.delay for route in deposits + withdrawals)]
    ways = np.zeros((len(latencies), at.WAY_TABLE + max(len(one.quantiles) for one in latencies)))
    for row, latency in zip(ways, latencies, strict=True):
        row[at.WAY_MEDIAN] = latency.median_ms
        if latency.quantiles:
            row[at.WAY_COUNT] = len(latency.quantiles)
            row[at.WAY_TABLE : at.WAY_TABLE + len(latency.quantiles)] = latency.quantiles
        elif latency.p99_ms > latency.median_ms:
            row[at.WAY_SIGMA] = math.log(latency.p99_ms / latency.median_ms) / Z99
    for row, route in zip(ways[at.TRANSFER_STAGE :], deposits + withdrawals, strict=True):
        row[at.ROUTE_FEE], row[at.ROUTE_RATE] = route.fee_micro, route.fee_rate
    return ways


def pack_outages(chain: Chain, from_ms: int) -> NDArray[np.float64]:
    """`outages` of `layout`: those of a run from that time on, the first of which begins no sooner than it."""
    found = [_outage(chain, outage, from_ms) for outage in chain.outages if outage.end_ms > from_ms]
    return np.array(found, np.float64).reshape(-1, at.OUTAGE_WIDTH)


def _outage(chain: Chain, outage: Outage, from_ms: int) -> list[float]:
    start, end = max(outage.start_ms, from_ms), outage.end_ms
    # Working off ends where the queue of the halt has met the present: x = end + (x - start) * backlog.
    drained = (end - start * chain.backlog) / (1.0 - chain.backlog)
    spared, frozen = end + chain.grace_ms, end + chain.stale_ms if chain.freezes else start
    return [start, end, spared, frozen, max(spared, frozen, drained, end + chain.gate_ms) + 1]


def pack_gas(chain: Chain) -> NDArray[np.float64]:
    """`gas` of `layout`."""
    rows = [[gas.from_ms, gas.order, gas.cancel, gas.deposit, gas.withdrawal] for gas in chain.gas]
    return np.array(rows, np.float64).reshape(-1, at.GAS_WIDTH)
