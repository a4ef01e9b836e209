"""One account's replay: the packed state, the calls into the kernels, and the record at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backtest.engine import layout as at
from backtest.engine.admission import cross_room
from backtest.engine.compile import entry
from backtest.engine.curve import draw_curve, liquidation_price, pool_margin
from backtest.engine.journal import END_OF_RUN, EXPIRED, ORDERED, REJECTED, records
from backtest.engine.pack import Setup, pack_calendar, pack_run, pack_spec
from backtest.engine.path import lows_first
from backtest.engine.requirement import fit_to_size
from backtest.engine.row import advance, ahead
from backtest.engine.send import decision_price, send, send_target
from backtest.engine.settle import move
from backtest.engine.terms import note_calendar
from backtest.errors import UserError
from backtest.schema import CURVE, MICRO, ORDER, Record

LOG_ROWS = 1 << 14
QUEUE_ROWS = 64
LONG_AGO = -(1 << 60)


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
        self.book = np.zeros((count + 1, at.BOOK_WIDTH), np.int64)
        self.book[:, [at.FLAGGED, at.CROSSED, at.TRADED, at.SINCE]] = -1
        self.book[:, at.STEPPED] = LONG_AGO
        self.book[:count, at.POOL] = self.book[:count, at.HOME] = [self.setup.home(i) for i in range(count)]
        self.book[count, at.POOL] = self.book[count, at.HOME] = -1  # a pool is no symbol
        self.acct = np.zeros(at.ACCT_WIDTH, np.int64)
        self.acct[at.WALLET] = self.setup.cash
        self.spec = pack_spec(self.setup)
        self.run = pack_run(self.setup)
        self.calendar = pack_calendar(self.setup)
        self.acct[at.FUND] = int(self.run[at.FUND_START])
        self.run[at.HOOKS], self.run[at.TARGET_KIND] = self.hooks, self.target_kind
        self.funding = np.ascontiguousarray(self.setup.funding, np.float64).reshape(-1, 3)
        self.acct[at.FUNDING_AT] = int(np.searchsorted(self.funding[:, at.STAMP], self.setup.start_ms))
        self.queue = np.zeros((QUEUE_ROWS, at.QUEUE_WIDTH))
        self.log = np.zeros((LOG_ROWS, at.LOG_WIDTH))
        self.curve = np.zeros((self.setup.rows, len(CURVE)))
        self.guards = self.setup.guards.copy()  # they remember
        self.panel = np.empty((8, 0, count))
        self._logs: list[NDArray[np.float64]] = []
        self._seen, self._seen_at = np.zeros(len(CURVE)), -1
        self._asked_at = -1
        note_calendar(self.world(), self.calendar)
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
            self.queue, self.log, self.curve, self.targets, self.calendar, self.guards,
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
        self.log[n, :14] = (
            at.L_ORDER, number, self.now_ms, -1, self.now_ms, i, 0, 0, REJECTED, reason, 0, 0, 0, ORDERED,
        )  # fmt: skip
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
        row[:] = (at.CANCEL, number, self.now_ms, self.now_ms + self.setup.latency_ms, -1, order, 0, np.nan, 0, ORDERED)
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
        world = self.world()
        if self.book[i, at.POOL] != i or not self.book[i, at.LOTS] or amount <= 0:
            return False
        end = 3 * self.setup.interval_ms
        have, need = cross_room(world, self.j, bool(lows_first(self.panel, self.j)), end)
        if have - amount < need:
            return False
        if self.acct[at.LOGGED] + 1 >= len(self.log):
            self.flush()
        move(world, self.now_ms, i, amount)
        return True

    def set_mode(self, i: int, isolated: bool) -> bool:
        """Give symbol `i` a pool of its own, or put it into the cross pool; not while it has a position or an order."""
        busy = any(m[at.KIND] == at.ORDER and int(m[at.SYMBOL]) == i for m in self.pending())
        if self.book[i, at.LOTS] or busy:
            return False
        self.touched = True
        self.book[i, at.POOL] = self.book[i, at.HOME] = i if isolated else len(self.setup.symbols)
        if isolated:
            self.run[at.APART], self.run[at.PLAIN] = 1.0, 0.0
        return True

    def hold(self, i: int, lots: int, cost: int, cash: int = 0) -> None:
        """Start with a position of signed `lots` that cost `cost` micro (negative: a short); before the first row.

        In a pool of its own `cash` is what that pool holds beside it; a cross position is paid from the wallet.
        """
        assert self.row == 0, "a position is placed before the first row"
        self.book[i, at.LOTS], self.book[i, at.COST] = lots, cost
        if self.spec[i, at.SIZED]:
            fit_to_size(self.spec, i, lots)
        if self.book[i, at.POOL] == i:
            self.book[i, at.CASH] = cash
        else:
            self.acct[at.WALLET] -= cost

    def liquidation_price(self, i: int) -> float:
        """Mark of `i` at which its pool meets maintenance, other marks frozen; NaN: none."""
        world, pool = self.world(), int(self.book[i, at.POOL])
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
        found = {
            "missing settlements met": int(self.acct[at.MISSING]),
            "cancels that did nothing": idle,
            "deleveraging events without a candidate": int(self.acct[at.IDLE_EVENTS]),
        }
        guards = records(at.L_GUARD, log)
        acted = {f"guard {name}": int((guards["guard"] == n).sum()) for n, name in enumerate(self.setup.guard_names)}
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
            final_pool_cash=self.book[:-1, at.CASH].copy(),
            final_lots=self.book[:-1, at.LOTS].copy(),
            final_fund=int(self.acct[at.FUND]),
            final_mark=final,
            counts={**counts, **found, **acted},
            guards=guards,
            guard_names=self.setup.guard_names,
        )

    def _expired(self, seq: int) -> NDArray[np.void]:
        left = [m for m in self.pending() if m[at.KIND] == at.ORDER]
        out = np.zeros(len(left), ORDER)
        for n, m in enumerate(left):
            arrived = int(m[at.ARRIVES]) if m[at.WAITS] else -1
            out[n] = (
                int(m[at.ID]), int(m[at.SENT]), arrived, self.now_ms, int(m[at.SYMBOL]), int(m[at.SIZE]),
                int(m[at.REDUCE_ONLY]), EXPIRED, END_OF_RUN, 0, 0, 0, int(m[at.CAUSE]), seq + n,
            )  # fmt: skip
        return out


def to_micro(amount: float) -> int:
    """A money amount in quote units as micro, to the nearest, ties to even; exact for what a person types.

    NumPy's numbers are told as Python's: their own `repr` names the type.
    """
    return int((Decimal(repr(float(amount))) * MICRO).to_integral_value(ROUND_HALF_EVEN))
