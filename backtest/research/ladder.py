"""The ladder: at what move of the market which position goes, in what stage, at what price, and what is left.

It is no second implementation of liquidation. The engine plays a straight path of candles on the book's positions, and
the rungs are read off its record: what a run would do in such a market is what stands here.

A rung takes an hour. Stages that a venue spreads over seconds or minutes (a cooldown, a share per block, an auction)
then play out within a small part of a rung, so that the ladder answers "at what level", not "how fast".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backtest.engine import layout as at
from backtest.engine.pack import Setup
from backtest.engine.path import lows_first
from backtest.engine.replay import Replay
from backtest.errors import UserError, nearest
from backtest.research.leg import Leg
from backtest.schema import CROSS_POOL, CURVE, MICRO, Record, Stage
from backtest.venue.terms import Contract

RUNG_MS = 3_600_000
TOGETHER, BY_BETA = "all", "beta"
LEAST = 0.01
"""A mark never falls below this share of where it began: with a beta above 1 it would else reach zero."""
FINEST, MOST = 0.1, 1_000.0
"""Per cent: the smallest step, and the largest rise."""


@dataclass(frozen=True)
class Range:
    """How far the market moves, and what moves with it. Per cent."""

    by: str = TOGETHER
    step: float = 1.0
    down: float = 90.0
    up: float = 200.0

    def check(self, symbols: Sequence[str]) -> None:
        """Raise `UserError` for what cannot be played."""
        if self.by not in (TOGETHER, BY_BETA, *symbols):
            raise UserError(f"unknown symbol {self.by!r}", "by", nearest(self.by, [TOGETHER, BY_BETA, *symbols]))
        for name, value, most in (("step", self.step, 50.0), ("down", self.down, 99.0), ("up", self.up, MOST)):
            least = FINEST if name == "step" else self.step
            if not (math.isfinite(value) and least <= value <= most):
                raise UserError(f"{value:g} per cent", name, f"give from {least:g} to {most:g}")

    def share(self, leg: Leg) -> float:
        """How many times the market's move the leg makes."""
        if self.by == BY_BETA:
            return leg.held.terms.beta
        return float(self.by in (TOGETHER, leg.symbol))

    def moves(self, way: int) -> NDArray[np.float64]:
        """The rungs' levels as fractions from the marks, 0 first; ``way`` is −1 down, 1 up."""
        rungs = math.floor((self.up if way > 0 else self.down) / self.step + 1e-9)
        levels: NDArray[np.float64] = np.arange(rungs + 1, dtype=np.float64) * (way * self.step / 100.0)
        return levels


@dataclass(frozen=True)
class Event:
    """One step of a liquidation. Quote units; equity and maintenance are of the pool."""

    move: float
    """Of the market, a fraction."""
    symbol: str
    pool: str
    stage: str
    price: float
    qty: float
    """Signed, what was traded."""
    penalty: float
    insurance: float
    """What the fund received (+) or paid (−)."""
    bad_debt: float
    equity_before: float
    maintenance_before: float
    equity_after: float
    maintenance_after: float
    left: float
    """Of the position, base units, signed."""


@dataclass(frozen=True)
class Rung:
    """The account at one level, quote units."""

    move: float
    equity: float
    maintenance: float
    margin_ratio: float | None
    notionals: dict[str, float]
    """Signed, of what is left of each position."""


@dataclass(frozen=True)
class Ladder:
    """One direction. ``rungs`` end where nothing is left, or with the range."""

    by: str
    events: tuple[Event, ...]
    rungs: tuple[Rung, ...]
    equity: float
    """Of the account at the last rung."""
    left: dict[str, float]
    """Positions at the last rung, base units, signed."""


def climb(legs: Sequence[Leg], contract: Contract, margin: str, wallet_micro: int, span: Range, way: int) -> Ladder:
    """The ladder of ``legs`` in one direction: ``way`` −1 falling, 1 rising."""
    legs = sorted(legs, key=lambda leg: leg.symbol)  # the engine's order
    moves = span.moves(way)
    levels = _levels(legs, span, moves)
    replay = _replay(legs, contract, margin, wallet_micro, len(moves) - 1)
    replay.load(_straight(levels), 0)
    try:
        played = _play(replay)
    except AssertionError as error:
        raise UserError(
            f"the ladder goes too far: {error}", "ladder", "take smaller positions, or a smaller --up"
        ) from error
    return _read(legs, replay.record({}), moves, levels, played, span.by)


def _replay(legs: Sequence[Leg], contract: Contract, margin: str, wallet_micro: int, rows: int) -> Replay:
    """The engine with the positions in place, before the first candle."""
    setup = Setup(
        symbols=tuple(leg.symbol for leg in legs),
        step_micro=np.array([leg.step_micro for leg in legs], np.int64),
        first_row=np.zeros(len(legs), np.int64),
        last_row=np.full(len(legs), rows - 1, np.int64),
        interval_ms=RUNG_MS,
        start_ms=0,
        rows=rows,
        mark_offset=0,
        known_field=3,
        funding=np.empty((0, 3)),
        contract=contract,
        cash=wallet_micro - sum(leg.posted_micro for leg in legs),
        margin=margin,
        modes={leg.symbol: "isolated" if leg.isolated else "cross" for leg in legs},
    )
    replay = Replay(setup, hooks=at.EV_LIQUIDATION)
    # Nobody reads samples here; without them the engine glides from one liquidation to the next.
    replay.run[at.SAMPLE] = 2 * rows * RUNG_MS
    for i, leg in enumerate(legs):
        replay.hold(i, leg.lots, leg.cost_micro, leg.posted_micro - leg.cost_micro)
        if leg.held.leverage is not None:
            replay.set_leverage(i, leg.held.leverage)
    return replay


def _levels(legs: Sequence[Leg], span: Range, moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """[rungs + 1, legs] marks."""
    shares = np.array([span.share(leg) for leg in legs])
    marks = np.array([float(leg.held.mark) for leg in legs])
    levels: NDArray[np.float64] = marks * np.maximum(1.0 + moves[:, None] * shares, LEAST)
    return levels


def _straight(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Candles [4, rungs, legs] whose path goes straight from level to level.

    A candle's path passes through its extremes (docs/rules.md, section 3). They are put on the line, at a third and two
    thirds of it, so that a market which goes against the others (a negative beta) moves at the same time as they do.
    """
    low, high = levels[:-1], levels[1:]
    thirds = low + (high - low) / 3.0, low + 2.0 * (high - low) / 3.0
    panel = np.stack([low, thirds[0], thirds[1], high])
    for j in range(panel.shape[1]):
        if lows_first(panel, j):
            panel[[1, 2], j] = panel[[2, 1], j]
    return np.ascontiguousarray(panel)


def _play(replay: Replay) -> int:
    """Play until nothing is left; returns the rungs played."""
    # It comes back after each rung with a liquidation.
    while not replay.advance(replay.setup.rows) and replay.book[:, at.LOTS].any():
        pass
    return replay.row


def _read(
    legs: Sequence[Leg], record: Record, moves: NDArray[np.float64], levels: NDArray[np.float64], played: int, by: str
) -> Ladder:
    held = [leg.lots for leg in legs]
    shared = "portfolio" if record.margin == "portfolio" else "cross"
    events: list[Event] = []
    rungs = []
    found = _steps(record)
    step = next(found, None)
    for row in range(played):
        # What falls on a close happens at the next open, unless there is none.
        end = (row + 1) * RUNG_MS + (row + 1 == played)
        while step is not None and step["ts_ms"] < end:
            i = int(step["symbol"])
            held[i] += int(step["lots"])
            events.append(_event(legs[i], step, shared, moves, held[i]))
            step = next(found, None)
        rungs.append(_rung(legs, record, row, float(moves[row + 1]), levels[row + 1], held))
    assert step is None, "a liquidation after the last rung"
    left = {leg.symbol: lots * leg.step_micro / MICRO for leg, lots in zip(legs, held, strict=True)}
    return Ladder(by, tuple(events), tuple(rungs), rungs[-1].equity, left)


def _steps(record: Record) -> Iterator[np.void]:
    """The record's liquidations in the order in which they happened."""
    return iter(record.liquidations[np.argsort(record.liquidations["seq"], kind="stable")])


def _event(leg: Leg, step: np.void, shared: str, moves: NDArray[np.float64], left: int) -> Event:
    at_rung = float(step["ts_ms"]) / RUNG_MS
    return Event(
        move=float(np.interp(at_rung, np.arange(len(moves)), moves)),
        symbol=leg.symbol,
        pool=shared if step["pool"] == CROSS_POOL else leg.symbol,
        stage=Stage(int(step["stage"])).name.lower(),
        price=float(step["price"]),
        qty=int(step["lots"]) * leg.step_micro / MICRO,
        penalty=int(step["penalty"]) / MICRO,
        insurance=int(step["insurance"]) / MICRO,
        bad_debt=int(step["bad_debt"]) / MICRO,
        equity_before=int(step["equity_before"]) / MICRO,
        maintenance_before=int(step["maintenance_before"]) / MICRO,
        equity_after=int(step["equity_after"]) / MICRO,
        maintenance_after=int(step["maintenance_after"]) / MICRO,
        left=left * leg.step_micro / MICRO,
    )


def _rung(
    legs: Sequence[Leg], record: Record, row: int, move: float, marks: NDArray[np.float64], held: Sequence[int]
) -> Rung:
    curve = dict(zip(CURVE, record.curve[row].tolist(), strict=True))
    # Whole micro, of which doubles may be a little off.
    equity, maintenance = round(curve["equity"], 6), round(curve["maintenance_margin"], 6)
    ratio = 0.0 if not maintenance else maintenance / equity if equity > 0 else None
    notionals = {leg.symbol: float(marks[i]) * held[i] * leg.step_micro / MICRO for i, leg in enumerate(legs)}
    return Rung(move, equity, maintenance, ratio, notionals)
