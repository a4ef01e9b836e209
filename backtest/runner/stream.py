"""The rows of a selection, led through the accounts that are replayed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from backtest.data.selection import Selection
from backtest.engine.oracle import FIELDS as ORACLE_FIELDS
from backtest.runner.account_runner import AccountRunner
from backtest.runner.timeout import TimedOut
from backtest.runner.watchdog import Watch

Progress = Callable[[int, int, int], None]
"""Called with rows done, rows in all, and the simulated time in ms; first with 0 rows done, before any is played."""
CALLED_ROWS = 16_384
"""Rows of a chunk at most for a strategy that is called, or kernels that are interpreted."""
CALLED_CELLS = 163_840
"""Rows times symbols of it at most, unless that is fewer than `FEWEST` rows: two chunks are in memory."""
FEWEST = 4_096


def stream(s: Selection, players: Sequence[AccountRunner], progress: Progress | None, chunk_rows: int | None) -> None:
    """Lead the players through the rows of the selection, all of them through one chunk after another."""
    each = [player for player in players if player.each]
    tail = max((player.lookback for player in each), default=0)
    # Progress is told once a chunk, and what is called or interpreted may be slow.
    fast = all(player.compiled and player.replay.tier.compiled for player in players)
    called = min(CALLED_ROWS, max(FEWEST, CALLED_CELLS // len(s.symbols)))
    rows = s.default_chunk_rows if fast else min(s.default_chunk_rows, called)
    tell = progress or _silent
    full = any(player.replay.setup.volume_field >= 0 for player in players)
    oracle = players[0].replay.setup.oracle  # the others have the same, or none
    spare = 0 if oracle.plain else ORACLE_FIELDS
    chunks = s.chunks(chunk_rows or rows, tail=tail, volume=bool(each), packed=full, spare=spare, further=oracle.median)
    # Closed here whatever happens: left to the garbage collector its threads would be ended by one of another reader's.
    player = players[0]
    with Watch(), closing(chunks):
        try:
            for player in players:
                player.start()
            for chunk in chunks:
                if chunk.row0 == 0:
                    tell(0, s.rows, s.start_ms)  # not before the first rows have been read and found sound
                for player in players:
                    player.play(chunk)
                done = chunk.row0 + chunk.rows
                tell(done, s.rows, s.start_ms + done * s.interval_ms)
            for player in players:
                player.stop()
        except TimedOut as over:
            over.stood = player.now()
            raise


def _silent(done: int, rows: int, now_ms: int) -> None:
    """Tell nobody."""
