"""What a record comes to: its tables, metrics and digest, once the books balance."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from backtest.core.records import Record
from backtest.results import digest, ledger, metrics, tables, trades
from backtest.results.lazy_tables import Tables
from backtest.results.metric_definitions import Metrics
from backtest.venues.chain import Chain


def judged(record: Record, chain: Chain | None = None) -> tuple[Tables, Metrics, str]:
    """Return the tables, the metrics and the digest of a record; Broken where its books do not balance.

    ``chain`` names the routes of transfers.
    """
    balanced = ledger.balance(record)
    trips = trades.round_trips(record)
    frames = tables.tables(record, balanced, trips, chain)
    with ThreadPoolExecutor(1, "digest") as beside:
        # Hashing releases the interpreter and takes as long as all the metrics.
        hashed = beside.submit(digest.digest, frames)
        return frames, metrics.metrics(record, balanced, trips), hashed.result()
