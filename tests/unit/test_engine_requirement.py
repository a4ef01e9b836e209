"""The kernels' requirement and the venue's pure arithmetic, written apart, say the same for every preset."""

from __future__ import annotations

import numpy as np
import pytest

from backtest.core.enums import MICRO
from backtest.engine import requirement as kernels
from backtest.engine.pack import Setup, pack_spec
from backtest.venues import profile, requirement

SYMBOLS = ("BTC-USD", "DOGE-USD", "ETH-USD")
UNITS = (1_000, 5_000_000, 37_000_000)
"""Micro-units of base: a thousandth, 5, 37; where a rate goes by size more would be beyond what an amount can be."""
NOTIONALS = (1, 49_999_999_999, 50_000_000_001, 777_777_777_777, 3_000_000_000_000_000)
"""Micro, from one to three billions, both sides of a tier's edge."""


@pytest.mark.parametrize("name", profile.names())
def test_kernels_ask_what_the_venue_asks(name: str) -> None:
    contract = profile.load(name).contract(SYMBOLS)
    nothing = np.zeros(len(SYMBOLS), np.int64)
    setup = Setup(
        symbols=SYMBOLS, step_micro=nothing + 1, first_row=nothing, last_row=nothing + 1, interval_ms=60_000,
        start_ms=2_000_000_000_000, rows=2, mark_offset=0, known_field=3, funding=np.empty((0, 3)), contract=contract,
        cash=MICRO, leverage=7.0,
    )  # fmt: skip
    spec = pack_spec(setup)
    for i, symbol in enumerate(SYMBOLS):
        terms = contract.terms[symbol][-1]
        for units in UNITS:
            kernels.fit_to_size(spec, i, units) if terms.maintenance_by_size or terms.initial_by_size else None
            for n in NOTIONALS:
                assert kernels.maintenance(spec, i, n) == requirement.maintenance(terms, n, units)
                # 1,000,000 / 7 parts per million are rounded up where the venue rounds up: at most n / 1,000,000 more
                asked = requirement.initial(terms, n, units, 7.0)
                most = n // MICRO + 1 if terms.ceil else 0
                assert 0 <= asked - kernels.initial(spec, i, n, units) <= most
