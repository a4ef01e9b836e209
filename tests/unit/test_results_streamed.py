"""Tables of many fills are made in batches, from pieces on disk: they are those of all fills at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from backtest.core import records, rows
from backtest.core.enums import CROSS_POOL, Cause
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.core.spool import Spool
from backtest.results import digest, fifo, fill_batches, lazy_tables, metrics, postings, trades
from backtest.results.ledger import balance
from backtest.results.tables import tables
from tests.unit import results_records as made

SYMBOLS = ("A-USD", "B-USD", "C-USD")


def busy(seed: int, count: int = 400) -> Record:
    """Buys and sells of three markets that flip, close and stay open, with funding and penalties between them."""
    rng = np.random.default_rng(seed)
    held, fills, paid, lost, extremes = [0, 0, 0], [], [], [], []
    wallet, seq, ms = made.micro(10_000), 0, made.START
    for order in range(count):
        symbol = int(rng.integers(3))
        side = 1 - 2 * int(rng.random() < 0.5)
        closes = bool(held[symbol]) and rng.random() < 0.3
        lots = -held[symbol] if closes else side * int(rng.integers(1, 9))
        ms += int(rng.integers(0, 3)) * 1000
        seq += 1
        price = float(rng.uniform(90, 110))
        quote, fee = -round(lots * price * 1e3), int(rng.integers(0, 90))
        held[symbol] += lots
        wallet += quote - fee
        fills.append({
            "seq": seq, "order_id": order, "ts_ms": ms, "symbol": symbol, "pool": CROSS_POOL, "lots": lots,
            "price": price,
            "quote": quote, "fee": fee, "realized": int(rng.integers(-9, 9)), "cause": Cause.STRATEGY,
        })  # fmt: skip
        extremes.append((price + 2, price - 2) if held[symbol] else (np.nan, np.nan))
        if rng.random() < 0.2 and any(held):
            seq, owner = seq + 1, int(np.argmax(np.abs(held)))
            paid.append(
                {"seq": seq, "ts_ms": ms, "symbol": owner, "pool": CROSS_POOL, "payment": int(rng.integers(-50, 50))}
            )
            wallet += paid[-1]["payment"]
        elif rng.random() < 0.1:
            seq += 1
            lost.append(
                {"seq": seq, "ts_ms": ms, "symbol": symbol, "pool": CROSS_POOL, "penalty": 7, "insurance": 7, "lots": 1}
            )
            wallet -= 7
    return made.replace(
        made.idle(10_000),
        symbols=SYMBOLS,
        step_micro=np.array([1000, 1000, 1000]),
        fills=made.rows(records.FILL, *fills),
        funding=made.rows(records.FUNDING, *paid),
        liquidations=made.rows(records.LIQUIDATION, *lost),
        extremes=np.array(extremes, records.EXTREME),
        final_wallet=wallet,
        final_pool_cash=np.zeros(3, np.int64),
        final_lots=np.array(held),
        final_mark=np.full(3, 100.0),
    )


def spooled(record: Record) -> Record:
    """The same record with its rows on disk."""
    spool = Spool()
    changes = {}
    for name in ("fills", "funding", "extremes"):
        kept = Rows(getattr(record, name).dtype, spool)
        for first in range(0, len(getattr(record, name)), 10):
            kept.append(getattr(record, name)[first : first + 10])
        changes[name] = kept
    return made.replace(record, **changes, spool=spool)


@pytest.mark.parametrize("record", [lambda: busy(1), lambda: busy(2), made.cross, made.isolated])
@pytest.mark.parametrize("together", [1, 16])
def test_batches_change_nothing(record: Callable[[], Record], together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def played(one: Record) -> tuple[str, object, dict[str, object]]:
        books, trips = balance(one), trades.round_trips(one)
        frames = tables(one, books, trips)
        return digest.digest(frames), metrics.metrics(one, books, trips), {n: frames[n].rows() for n in frames}

    expected = played(record())
    for room, name in ((trades, "TOGETHER"), (fifo, "TOGETHER"), (postings, "TOGETHER"), (rows, "PIECE")):
        monkeypatch.setattr(room, name, together)
    for room, name in ((lazy_tables, "PIECE"), (lazy_tables, "LARGE"), (digest, "WHOLE")):
        monkeypatch.setattr(room, name, together)
    digested, numbers, shown = played(spooled(record()))
    assert shown == expected[2]
    assert (digested, numbers) == expected[:2]


def test_a_batch_ends_with_an_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PIECE", 4)
    record = spooled(busy(3, 60))
    found = list(fill_batches.batches(record, 8))
    assert len(found) > 3
    for before, after in pairwise(found):
        assert before.columns["ts_ms"][-1] < after.columns["ts_ms"][0]
        assert before.until_seq == after.from_seq == after.columns["seq"][0]
    assert np.concatenate([batch.columns["fill"] for batch in found]).tolist() == list(range(60))
