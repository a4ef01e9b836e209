"""The ladder: at what move of the market which position goes, in what stage, at what price, and what is left.

It is no second implementation of liquidation. The engine plays a straight path of candles on the book's positions: what
a run would do in such a market is what stands here.

The market moves by one per cent of where it began in an hour, whatever the step between rungs: the steps of a
liquidation that a venue spreads over seconds or minutes (a cooldown, a share per block, an auction) then come at levels
that do not depend on which rungs are shown. Rungs are read off the path that was played.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from backtest.calculator.position import Leg
from backtest.core.enums import CROSS_POOL, MICRO, Stage
from backtest.core.errors import Broken, UserError, nearest
from backtest.core.records import Record
from backtest.engine import layout as at
from backtest.engine.pack import Setup
from backtest.engine.path import lows_first
from backtest.engine.replay import Replay
from backtest.venues.margin_pool import Pool
from backtest.venues.terms import Contract, Portfolio

ROW_MS = 3_600_000
"""A candle of the path: an hour."""
PACE = 1.0
"""Per cent that the market moves in a candle."""
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

    def rungs(self, way: int) -> list[float]:
        """Return the per cents, unsigned, at which the account is shown; ``way`` is −1 down, 1 up."""
        count = math.floor((self.up if way > 0 else self.down) / self.step + 1e-9)
        return [n * self.step for n in range(1, count + 1)]

    def path(self, way: int) -> NDArray[np.float64]:
        """Return the market's moves at the ends of the candles, as fractions, 0 first; they cover all rungs."""
        candles = math.ceil(self.rungs(way)[-1] / PACE - 1e-9)
        moves: NDArray[np.float64] = np.arange(candles + 1, dtype=np.float64) * (way * PACE / 100.0)
        return moves


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
    path = span.path(way)
    marks = _marks(legs, span, path)
    replay = _replay(legs, contract, margin, wallet_micro, len(path) - 1)
    replay.load(_straight(marks), 0)
    try:
        _play(replay)
    except Broken as error:
        raise UserError(
            f"the ladder goes too far: {error}", "ladder", "take smaller positions, or a smaller --up"
        ) from error
    account = _Account.of(legs, wallet_micro, contract.portfolio if margin == "portfolio" else None)
    return _read(account, replay.record({}), path, marks, span, way)


def _replay(legs: Sequence[Leg], contract: Contract, margin: str, wallet_micro: int, rows: int) -> Replay:
    """The engine with the positions in place, before the first candle."""
    setup = Setup(
        symbols=tuple(leg.symbol for leg in legs),
        step_micro=np.array([leg.step_micro for leg in legs], np.int64),
        first_row=np.zeros(len(legs), np.int64),
        last_row=np.full(len(legs), rows - 1, np.int64),
        interval_ms=ROW_MS,
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
    replay.run[at.SAMPLE] = 2 * rows * ROW_MS
    for i, leg in enumerate(legs):
        replay.hold(i, leg.lots, leg.cost_micro, leg.posted_micro - leg.cost_micro)
        if leg.held.leverage is not None:
            replay.set_leverage(i, leg.held.leverage)
    return replay


def _marks(legs: Sequence[Leg], span: Range, path: NDArray[np.float64]) -> NDArray[np.float64]:
    """[candles + 1, legs] marks at the ends of the candles."""
    shares = np.array([span.share(leg) for leg in legs])
    marks = np.array([float(leg.held.mark) for leg in legs])
    levels: NDArray[np.float64] = marks * np.maximum(1.0 + path[:, None] * shares, LEAST)
    return levels


def _straight(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Candles [4, rungs, legs] whose path goes straight from level to level.

    A candle's path passes through its extremes (rules.md, section 3). They are put on the line, at a third and two
    thirds of it, so that a market which goes against the others (a negative beta) moves at the same time as they do.
    """
    low, high = levels[:-1], levels[1:]
    thirds = low + (high - low) / 3.0, low + 2.0 * (high - low) / 3.0
    panel = np.stack([low, thirds[0], thirds[1], high])
    for j in range(panel.shape[1]):
        if lows_first(panel, j):
            panel[[1, 2], j] = panel[[2, 1], j]
    return np.ascontiguousarray(panel)


def _play(replay: Replay) -> None:
    """Play until nothing is left."""
    # It comes back after each candle with a liquidation.
    while not replay.advance(replay.setup.rows) and replay.book[:, at.LOTS].any():
        pass


@dataclass
class _Account:
    """What is left of the book after the steps read so far."""

    legs: Sequence[Leg]
    """In the order of the record's symbols."""
    lots: list[int]
    """Signed."""
    cash_micro: int
    """Such that the account's equity is cash plus the values of its positions."""
    portfolio: Portfolio | None
    """Of the shared pool."""

    @classmethod
    def of(cls, legs: Sequence[Leg], wallet_micro: int, portfolio: Portfolio | None) -> _Account:
        return cls(legs, [leg.lots for leg in legs], wallet_micro - sum(leg.cost_micro for leg in legs), portfolio)

    def take(self, step: np.void) -> None:
        """Apply one step of a liquidation."""
        i, traded = int(step["symbol"]), int(step["lots"])
        if traded:
            self.lots[i] += traded
            self.cash_micro -= round(Fraction(float(step["price"])) * traded * self.legs[i].step_micro)
        self.cash_micro += int(step["bad_debt"]) - int(step["insurance"])

    def rung(self, move: float, marks: NDArray[np.float64]) -> Rung:
        """The account with each leg's mark at ``marks``."""
        held = [
            replace(leg.held, units=lots * leg.step_micro, mark=float(mark))
            for leg, lots, mark in zip(self.legs, self.lots, marks, strict=True)
        ]
        shared = Pool(0, tuple(at for at, leg in zip(held, self.legs, strict=True) if not leg.isolated), self.portfolio)
        alone = sum(at.maintenance for at, leg in zip(held, self.legs, strict=True) if leg.isolated)
        equity, maintenance = self.cash_micro + sum(at.value_micro for at in held), shared.maintenance + alone
        ratio = 0.0 if not maintenance else maintenance / equity if equity > 0 else None
        notionals = {at.symbol: at.value_micro / MICRO for at in held}
        return Rung(move, equity / MICRO, maintenance / MICRO, ratio, notionals)

    @property
    def left(self) -> dict[str, float]:
        """Positions, base units, signed."""
        return {leg.symbol: lots * leg.step_micro / MICRO for leg, lots in zip(self.legs, self.lots, strict=True)}


def _read(
    account: _Account, record: Record, path: NDArray[np.float64], marks: NDArray[np.float64], span: Range, way: int
) -> Ladder:
    shared = "portfolio" if record.margin == "portfolio" else "cross"
    candles = np.arange(len(path))
    events: list[Event] = []
    rungs: list[Rung] = []
    asked = span.rungs(way)
    found = _steps(record)
    step = next(found, None)
    for per_cent in asked:
        # Nothing falls between a level and the path's end, but a step on that very level.
        end = round(per_cent / PACE * ROW_MS) + (per_cent == asked[-1])
        while step is not None and step["ts_ms"] < end:
            account.take(step)
            leg, move = account.legs[int(step["symbol"])], np.interp(float(step["ts_ms"]) / ROW_MS, candles, path)
            events.append(_event(leg, step, shared, float(move), account.left[leg.symbol]))
            step = next(found, None)
        there = [np.interp(per_cent / PACE, candles, column) for column in marks.T]
        rungs.append(account.rung(way * per_cent / 100.0, np.array(there)))
        if not any(account.lots):
            break
    return Ladder(span.by, tuple(events), tuple(rungs), rungs[-1].equity, account.left)


def _steps(record: Record) -> Iterator[np.void]:
    """The record's liquidations in the order in which they happened."""
    return iter(record.liquidations[np.argsort(record.liquidations["seq"], kind="stable")])


def _event(leg: Leg, step: np.void, shared: str, move: float, left: float) -> Event:
    return Event(
        move=move,
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
        left=left,
    )
