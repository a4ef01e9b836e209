"""One account's replay: the packed state, the calls into the kernels, and the record at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backtest.engine import layout as at
from backtest.engine.close import decision_price, draw_curve, liquidation_price, pool_margin, send, send_target
from backtest.engine.compile import entry
from backtest.engine.journal import END_OF_RUN, EXPIRED, REJECTED, records
from backtest.engine.row import advance, ahead
from backtest.engine.settle import move
from backtest.errors import UserError
from backtest.schema import CURVE, MARGIN_MODES, MICRO, ORDER, PATHS, Record

LOG_ROWS = 1 << 14
QUEUE_ROWS = 64
HOUR_MS = 3_600_000


class Tier(Protocol):
    """One step of a venue's requirement ladder (`venue.profile`)."""

    @property
    def upto_micro(self) -> int | None:
        """Upper edge, micro; None: no edge."""

    @property
    def initial(self) -> float:
        """Initial rate."""

    @property
    def initial_deduction(self) -> int:
        """Micro."""

    @property
    def maintenance(self) -> float:
        """Maintenance rate."""

    @property
    def maintenance_deduction(self) -> int:
        """Micro."""


@dataclass(frozen=True)
class Setup:
    """All that an account's replay depends on besides prices and orders."""

    symbols: tuple[str, ...]
    step_micro: NDArray[np.int64]
    first_row: NDArray[np.int64]
    last_row: NDArray[np.int64]
    interval_ms: int
    start_ms: int
    rows: int
    mark_offset: int
    known_field: int
    """Panel field of the mark at the close as far as it was known then: what decisions are made on."""
    funding: NDArray[np.float64]
    """[settlements, 3]: stamp ms, symbol number, rate (NaN: missing); sorted by stamp, then symbol."""
    tiers: Sequence[Sequence[Tier]]
    penalty: float
    cash: int
    margin: str = "cross"
    leverage: float | None = None
    path: str = "coherent"
    latency_ms: int = 0
    slippage: float = 0.0
    fee: float = 0.0
    allow_missing_funding: bool = False
    place: str = "data"
    """Where the data lie, for messages."""


def pack_spec(setup: Setup) -> NDArray[np.float64]:
    """The per-symbol matrix of `layout`: step, leverage, life, tiers (padded by repeating the last)."""
    count = max(len(tiers) for tiers in setup.tiers)
    spec = np.zeros((len(setup.symbols), at.SPEC_TIERS + at.TIER_WIDTH * count))
    spec[:, at.STEP] = setup.step_micro
    spec[:, at.FIRST_ROW] = setup.first_row
    spec[:, at.LAST_ROW] = setup.last_row
    for i, tiers in enumerate(setup.tiers):
        spec[i, at.INV_LEVERAGE] = 1.0 / setup.leverage if setup.leverage else 0.0
        for n in range(count):
            tier = tiers[min(n, len(tiers) - 1)]
            upto = np.inf if tier.upto_micro is None else float(tier.upto_micro)
            column = at.SPEC_TIERS + n * at.TIER_WIDTH
            spec[i, column : column + at.TIER_WIDTH] = (
                upto,
                tier.initial,
                tier.initial_deduction,
                tier.maintenance,
                tier.maintenance_deduction,
            )
    return spec


def pack_run(setup: Setup) -> NDArray[np.float64]:
    """The run's scalars as one row."""
    run = np.zeros(at.RUN_WIDTH)
    run[at.INTERVAL] = setup.interval_ms
    run[at.ISOLATED] = float(MARGIN_MODES.index(setup.margin))
    run[at.PATH] = float(PATHS.index(setup.path))
    run[at.LATENCY] = setup.latency_ms
    run[at.SLIPPAGE], run[at.FEE], run[at.PENALTY] = setup.slippage, setup.fee, setup.penalty
    run[at.START], run[at.MARK], run[at.ROWS] = setup.start_ms, setup.mark_offset, setup.rows
    run[at.ALLOW_MISSING] = float(setup.allow_missing_funding)
    run[at.SAMPLE] = sample_ms(setup)
    run[at.KNOWN] = setup.known_field
    return run


def sample_ms(setup: Setup) -> int:
    """How often positions and pools are sampled: the shortest of 1 h, 4 h, 8 h and 1 d that gives at most 3,000
    samples, and never more often than there are candles."""
    span = setup.rows * setup.interval_ms
    chosen = next((h * HOUR_MS for h in (1, 4, 8) if span <= 3000 * h * HOUR_MS), 24 * HOUR_MS)
    return max(chosen, setup.interval_ms)


@dataclass
class Replay:
    """The state of one account on its way through the rows."""

    setup: Setup
    hooks: int = 0
    """Bits of layout.EV_*: events after whose row `advance` comes back."""
    targets: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))
    """[targets, 3]: row, symbol, amount; sorted; empty for a strategy that is called."""
    target_kind: int = at.WEIGHT
    row: int = 0
    """The next row to play."""
    touched: bool = False
    """Something was done since `ahead` that changes what follows: rows played ahead no longer hold."""

    def __post_init__(self) -> None:
        count = len(self.setup.symbols)
        self.book = np.zeros((count, at.BOOK_WIDTH), np.int64)
        self.book[:, [at.FLAGGED, at.CROSSED, at.TRADED]] = -1
        self.acct = np.zeros(at.ACCT_WIDTH, np.int64)
        self.acct[at.WALLET] = self.setup.cash
        self.spec = pack_spec(self.setup)
        self.run = pack_run(self.setup)
        self.run[at.HOOKS], self.run[at.TARGET_KIND] = self.hooks, self.target_kind
        self.funding = np.ascontiguousarray(self.setup.funding, np.float64).reshape(-1, 3)
        self.acct[at.FUNDING_AT] = int(np.searchsorted(self.funding[:, at.STAMP], self.setup.start_ms))
        self.queue = np.zeros((QUEUE_ROWS, at.QUEUE_WIDTH))
        self.log = np.zeros((LOG_ROWS, at.LOG_WIDTH))
        self.curve = np.zeros((self.setup.rows, len(CURVE)))
        self.panel = np.empty((8, 0, count))
        self._logs: list[NDArray[np.float64]] = []
        self._seen, self._seen_at = np.zeros(len(CURVE)), -1
        self._asked_at = -1
        self.flushed = 0
        """Journal rows put aside; the journal's row n in memory has the number flushed + n."""

    def load(self, panel: NDArray[np.float64], first_row: int) -> None:
        """Take a panel whose first row is global row `first_row`."""
        self.panel = panel
        self.acct[at.BASE] = first_row
        self._bind()

    def _bind(self) -> None:
        """Name the arrays once, not at every call: a call per candle is what event strategies pay."""
        self._status = self.acct.data
        arrays = (
            self.panel, self.book, self.acct, self.spec, self.run, self.funding,
            self.queue, self.log, self.curve, self.targets,
        )  # fmt: skip
        self._step = partial(entry(advance, *arrays, 0, 0), *arrays)
        orders = (self.panel, self.book, self.acct, self.spec, self.run, self.queue)
        self._target = partial(entry(send_target, *orders, 0, 0, 0.0, False, 0, 0), *orders)
        still = (
            self.panel, self.book, self.acct, self.spec, self.run, self.funding, self.curve, self.targets,
        )  # fmt: skip
        self._ahead = partial(entry(ahead, *still, 0, 0), *still)

    @property
    def j(self) -> int:
        """Panel row of the candle that closed last."""
        return int(self.row - 1 - self.acct[at.BASE])

    @property
    def now_ms(self) -> int:
        """The close of the candle that closed last."""
        return self.setup.start_ms + self.row * self.setup.interval_ms

    def world(self) -> at.World:
        """The arrays, for kernels called one at a time."""
        return at.World(self.panel, self.book, self.acct, self.spec, self.run, self.queue, self.log)

    def advance_one(self) -> None:
        """Play the next row: `advance(row + 1)` by the shortest way."""
        k = self.row
        after = self._step(k, k + 1)
        if after > k:
            self.row = after
        else:
            self._make_room(self._status[at.STATUS])
            self.advance(k + 1)

    def ahead(self, end: int) -> int:
        """Play the quiet rows from `row` on, but stand still: returns the first row that is not quiet, `end` at most.

        In a quiet row nothing changes but prices and the curve, so a caller may set `row` to each of them in turn, as
        long as nothing is `touched`; `advance` plays again whatever lies after `row`.
        """
        self.touched = False
        return self._ahead(self.row, end)

    def advance(self, end: int) -> bool:
        """Play rows up to `end` (exclusive); True when it is reached, False when it stopped after a row with an
        event of `hooks`. Raises UserError for a settlement that is missing."""
        while self.row < end:
            self.row = self._step(self.row, end)
            status = self._status[at.STATUS]
            if status == at.OK:
                return self.row >= end
            self._make_room(status)
        return True

    def _make_room(self, status: int) -> None:
        if status == at.MISSING_SETTLEMENT:
            symbol = self.setup.symbols[self.acct[at.WHERE]]
            when = np.datetime64(int(self.acct[at.WHEN]), "ms")
            raise UserError(
                f"the funding settlement of {symbol} at {when}Z is missing while a position is open",
                self.setup.place,
                "complete the data, or go without it by --allow missing-funding (nothing is paid, it is counted)",
            )
        if status == at.QUEUE_FULL:
            self.queue = np.vstack([self.queue, np.zeros_like(self.queue)])
            self._bind()
            return
        if self.acct[at.LOGGED] > 0:
            self.flush()
        else:
            self.log = np.zeros((2 * len(self.log), at.LOG_WIDTH))
            self._bind()

    def flush(self) -> None:
        """Put the journal's rows aside and begin it anew."""
        n = int(self.acct[at.LOGGED])
        self._logs.append(self.log[:n].copy())
        self.acct[at.LOGGED] = 0
        self.flushed += n

    # What a strategy may do, at the close of a candle ------------------------------------------------------------

    def send(self, i: int, lots: int, reduce_only: bool = False) -> int:
        """Send an order of signed `lots`; returns its number."""
        self.touched = True
        if self.acct[at.QUEUED] + 1 >= len(self.queue):
            self._make_room(at.QUEUE_FULL)
        world = self.world()
        return int(send(world, i, lots, float(reduce_only), self.now_ms, decision_price(world, self.j, i)))

    def refuse(self, i: int, reason: int) -> int:
        """Record an order that is refused before it is sent, such as one below a lot; returns its number."""
        if self.acct[at.LOGGED] + 1 >= len(self.log):
            self.flush()
        number = int(self.acct[at.NEXT_ID])
        self.acct[at.NEXT_ID] += 1
        n = int(self.acct[at.LOGGED])
        self.acct[at.LOGGED] += 1
        self.log[n, :13] = (at.L_ORDER, number, self.now_ms, -1, self.now_ms, i, 0, 0, REJECTED, reason, 0, 0, 0)
        return number

    def target(self, i: int, kind: int, amount: float, reduce_only: bool = False) -> int | None:
        """Send what is missing to a target (`layout.WEIGHT`, `TARGET_LOTS`, `NOTIONAL`); None if nothing is."""
        self.touched = True
        if self.acct[at.QUEUED] + 1 >= len(self.queue):
            self._make_room(at.QUEUE_FULL)
        number: int = self._target(i, kind, float(amount), reduce_only, self.now_ms, self.j)
        return number if number >= 0 else None

    def cancel(self, order: int) -> None:
        """Send a cancel; it travels as long as an order does."""
        self.touched = True
        if self.acct[at.QUEUED] + 1 >= len(self.queue):
            self._make_room(at.QUEUE_FULL)
        row = self.queue[self.acct[at.QUEUED]]
        number = int(self.acct[at.NEXT_ID])
        row[:] = (at.CANCEL, number, self.now_ms, self.now_ms + self.setup.latency_ms, -1, order, 0, np.nan, 0)
        self.acct[at.NEXT_ID] += 1
        self.acct[at.QUEUED] += 1

    def set_leverage(self, i: int, leverage: float) -> None:
        """Change the initial margin asked of symbol `i` from now on; what an isolated pool holds stays."""
        self.touched = True
        self.spec[i, at.INV_LEVERAGE] = 1.0 / leverage
        self._asked_at, self._seen_at = self.row, -1

    def add_margin(self, i: int, amount: int) -> bool:
        """Move `amount` micro from the wallet to the isolated pool of `i`; False if it cannot be."""
        self.touched = True
        if self.setup.margin != "isolated" or not self.book[i, at.LOTS] or not 0 < amount <= self.acct[at.WALLET]:
            return False
        if self.acct[at.LOGGED] + 1 >= len(self.log):
            self.flush()
        move(self.world(), self.now_ms, i, amount)
        return True

    def liquidation_price(self, i: int) -> float:
        """Mark of `i` at which its pool meets maintenance, other marks frozen; NaN: none."""
        world, pool = self.world(), i if self.setup.margin == "isolated" else 0
        known = self.setup.known_field
        equity, _, least = pool_margin(world, pool, self.j, known)
        return float(liquidation_price(world, i, self.j, known, equity, least))

    def state(self) -> NDArray[np.float64]:
        """Columns of `schema.CURVE` at the last close as far as it is known: the curve's own row, unless a mark of it
        is derived from marks that lie ahead, or leverage has been set since."""
        if self.row == 0:
            now = np.zeros(len(CURVE))
            now[:2] = self.setup.cash / MICRO
            return now
        if self.setup.known_field == self.setup.mark_offset + 3 and self._asked_at != self.row:
            row: NDArray[np.float64] = self.curve[self.row - 1]
            return row
        if self._seen_at != self.row:
            self._seen_at = self.row
            draw_curve(self.world(), self._seen, self.j, self.setup.known_field)
        return self._seen

    # The end -----------------------------------------------------------------------------------------------------

    def pending(self) -> NDArray[np.float64]:
        """Messages on their way or waiting."""
        return self.queue[: self.acct[at.QUEUED]]

    def record(self, counts: dict[str, int]) -> Record:
        """Everything that happened; orders that had not ended are `expired`."""
        self.flush()
        log = np.concatenate(self._logs)
        orders = np.concatenate([records(at.L_ORDER, log), self._expired(len(log))])
        final = self.panel[self.setup.mark_offset + 3, self.j].copy()
        idle = int(self.acct[at.IDLE_CANCELS]) + int((self.pending()[:, at.KIND] == at.CANCEL).sum())
        found = {"missing settlements met": int(self.acct[at.MISSING]), "cancels that did nothing": idle}
        return Record(
            symbols=self.setup.symbols,
            step_micro=np.asarray(self.setup.step_micro, np.int64),
            margin=self.setup.margin,
            interval_ms=self.setup.interval_ms,
            start_ms=self.setup.start_ms,
            cash=self.setup.cash,
            curve=self.curve,
            fills=records(at.L_FILL, log),
            funding=records(at.L_FUNDING, log),
            liquidations=records(at.L_LIQUIDATION, log),
            moves=records(at.L_MOVE, log),
            orders=orders[np.argsort(orders["order_id"], kind="stable")],
            ambiguous=records(at.L_AMBIGUOUS, log),
            margin_calls=records(at.L_CALL, log),
            positions=records(at.L_POSITION, log),
            pools=records(at.L_POOL, log),
            final_wallet=int(self.acct[at.WALLET]),
            final_pool_cash=self.book[:, at.CASH].copy(),
            final_lots=self.book[:, at.LOTS].copy(),
            final_mark=final,
            counts={**counts, **found},
        )

    def _expired(self, seq: int) -> NDArray[np.void]:
        left = [m for m in self.pending() if m[at.KIND] == at.ORDER]
        out = np.zeros(len(left), ORDER)
        for n, m in enumerate(left):
            arrived = int(m[at.ARRIVES]) if m[at.WAITS] else -1
            out[n] = (
                int(m[at.ID]), int(m[at.SENT]), arrived, self.now_ms, int(m[at.SYMBOL]), int(m[at.SIZE]),
                int(m[at.REDUCE_ONLY]), EXPIRED, END_OF_RUN, 0, 0, 0, 0, seq + n,
            )  # fmt: skip
        return out


def to_micro(amount: float) -> int:
    """A money amount in quote units as micro, to the nearest, ties to even; exact for what a person types.

    NumPy's numbers are told as Python's: their own `repr` names the type.
    """
    return int((Decimal(repr(float(amount))) * MICRO).to_integral_value(ROUND_HALF_EVEN))
