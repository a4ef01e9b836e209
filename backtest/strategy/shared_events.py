"""What the strategies of a shared account hear of it: each its own part (docs/reference/rules-shared-margin.md)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backtest.core.enums import NO_ORDER, Cause, ShareKind
from backtest.core.records import FILL, FUNDING
from backtest.engine import layout as at
from backtest.engine.journal_records import records_of
from backtest.engine.replay import Replay
from backtest.strategy.events import HOOKS, happened

EVERY = -1
"""The strategy of a record that is of no single one."""


def since_shared(replay: Replay, number: int, written: frozenset[str], strategy: int) -> Iterator[tuple[str, np.void]]:
    """As `events.since`, of one strategy of a shared account.

    Fills and funding are those of its virtual positions. Liquidations and margin calls by the venue concern the account
    and are heard by all.
    """
    log = replay.journal(number)
    kinds = log[:, 0].astype(np.int64)
    for n, kind in enumerate(kinds.tolist()):
        if kind == at.L_SHARE:
            share = records_of(kind, log[n : n + 1])[0]
            if share["strategy"] == strategy:
                yield from _of_share(replay, log, n, share, written)
        for hook in written:
            if hook in HOOKS and HOOKS[hook][0] == kind and hook not in ("on_fill", "on_funding"):
                row = records_of(kind, log[n : n + 1])[0]
                whose = row["strategy"] if "strategy" in (row.dtype.names or ()) else EVERY
                if whose in (strategy, EVERY) and happened(hook, row):
                    yield hook, row


def _of_share(
    replay: Replay, log: np.ndarray, n: int, share: np.void, written: frozenset[str]
) -> Iterator[tuple[str, np.void]]:
    kind = ShareKind(int(share["kind"]))
    if kind == ShareKind.FUNDING and "on_funding" in written:
        yield "on_funding", _payment(replay, log, n, share)
    if kind in (ShareKind.FILL, ShareKind.CLOSING, ShareKind.SETTLEMENT) and "on_fill" in written:
        yield "on_fill", _fill(replay, log, n, share)


def _following(log: np.ndarray, n: int, kind: int, share: np.void) -> np.ndarray:
    """The account's own record of the event, which follows the strategies' shares; none where it held nothing."""
    for row in log[n + 1 :]:
        if row[0] == kind and row[1] == share["ts_ms"] and row[2] == share["symbol"]:
            return records_of(kind, row[None])
        if row[0] == at.L_SHARE and row[5] != share["message"]:
            break  # of another event
    return records_of(kind, log[:0])


def _fill(replay: Replay, log: np.ndarray, n: int, share: np.void) -> np.void:
    found = _following(log, n, at.L_FILL, share)
    if not len(found):
        found = np.zeros(1, FILL)
        units = int(share["lots"]) * int(replay.setup.step_micro[share["symbol"]])
        found["ts_ms"], found["symbol"], found["order_id"] = share["ts_ms"], share["symbol"], NO_ORDER
        found["cause"], found["price"] = Cause.DELISTING, abs(int(share["amount"]) / units)
    for name in ("lots", "fee", "realized"):
        found[name] = share[name]
    found["quote"] = share["amount"]
    made: np.void = found[0]
    return made


def _payment(replay: Replay, log: np.ndarray, n: int, share: np.void) -> np.void:
    found = _following(log, n, at.L_FUNDING, share)
    if not len(found):
        found = np.zeros(1, FUNDING)
        ts, i, table = int(share["ts_ms"]), int(share["symbol"]), replay.setup.funding
        rate = float(table[(table[:, at.STAMP] == ts) & (table[:, at.FUNDING_SYMBOL] == i), at.RATE][0])
        units = int(share["lots"]) * int(replay.setup.step_micro[i])
        found["ts_ms"], found["symbol"], found["rate"] = ts, i, rate
        found["price"] = abs(int(share["amount"]) / (units * rate)) if rate else np.nan
    found["lots"], found["payment"] = share["lots"], share["amount"]
    made: np.void = found[0]
    return made
