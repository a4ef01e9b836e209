"""One account's replay: rows played by the kernels, and the record at the end."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np

from backtest.core.enums import MICRO
from backtest.core.errors import Broken, UserError
from backtest.core.records import Record
from backtest.engine import layout as at
from backtest.engine.begin import Begin
from backtest.engine.fine import close_fine, play_fine
from backtest.engine.journal import AMEND, END_OF_RUN, EXPIRED, TRAILING_STOP, put_order
from backtest.engine.levels import trail_level
from backtest.engine.lowest import DEEPEST, note_ahead
from backtest.engine.pack import late_of


@dataclass
class Replay(Begin):
    """The state of one account on its way through the rows."""

    def advance_one(self) -> None:
        """Play the next row: `advance(row + 1)` by the shortest way."""
        k = self.row
        if k >= self._known:
            self._goal(k + 1)
        after = self._step(k, k + 1)
        if after > k:
            self.row = after
        else:
            self._help(self._status[at.STATUS])
            self.advance(k + 1)

    def ahead(self, end: int) -> int:
        """Play the quiet rows from `row` on, but stand still: returns the first row that is not quiet, `end` at most.

        In a quiet row nothing changes but prices and the curve, so a caller may set `row` to each of them in turn, as
        long as nothing is `touched`; `advance` plays again whatever lies after `row`.
        """
        self.touched = False
        return self._ahead(self.row, self._goal(end)) if self.row < end else end

    def advance(self, end: int) -> bool:
        """Play rows up to `end` (exclusive); True when it is reached, False when it stopped after a row with an
        event of `hooks`. Raises UserError for a settlement that is missing."""
        while self.row < end:
            self.row = self._step(self.row, min(self._goal(end), self.row + self.piece))
            status = self._status[at.STATUS]
            if status != at.OK:
                self._help(status)
            # a row that was played on finer candles has been played whole, and its events are heard after it
            if status in (at.OK, at.DRILL) and self._status[at.EVENTS] & self.hooks:
                return self.row >= end
        return True

    def _help(self, status: int) -> None:
        """Do what the kernels have stopped for."""
        if status == at.QUEUE_FULL:
            self._lengthen_queue()
        elif status == at.LOG_FULL:
            self._lengthen_log()
        elif status == at.DRILL:
            self._play_fine()
        else:
            symbol = self.setup.symbols[self.acct[at.WHERE]]
            when = np.datetime64(int(self.acct[at.WHEN]), "ms")
            raise UserError(
                f"the funding settlement of {symbol} at {when}Z is missing while a position is open",
                self.setup.place,
                "complete the data, or go without it by --allow missing-funding (nothing is paid, it is counted)",
            )

    def _play_fine(self) -> None:
        """Play the row that stopped on its fine candles."""
        if self.drill is None:
            raise Broken("a row is to be played on finer candles that there are none of")
        k = self.row
        j = k - int(self.acct[at.BASE])
        panel, fresh = np.ascontiguousarray(self.drill(k)), self.world.fresh
        kept = self.spec[:, [at.LAST_TRADE, at.LAST_MARK]].copy()
        self._keep_last(j)
        if self.publisher is not None:
            panel, fresh, last = self.publisher.inside(self.drill, k, j)
            self.spec[:, at.LAST_MARK] = np.where(np.isnan(last), self.spec[:, at.LAST_MARK], last)
        run = self.run.copy()  # the law may have changed since the last time
        run[at.INTERVAL], run[at.LATE] = self.setup.fine_ms, late_of(self.setup, self.setup.fine_ms)
        fine, opens = 0, self.setup.start_ms + k * self.setup.interval_ms
        while fine < panel.shape[1]:
            fine = self.tier.code(play_fine)(self.world.but(panel=panel, run=run, fresh=fresh), k, fine, opens)
            if self.acct[at.STATUS] != at.OK:
                self._help(int(self.acct[at.STATUS]))
        self.spec[:, [at.LAST_TRADE, at.LAST_MARK]] = kept
        self.acct[at.DRILLED] += 1
        if self.acct[at.EVENTS] & at.EV_FILL:
            self.fine[k] = panel
        self.run[at.RUN_LAW :] = run[at.RUN_LAW :]  # it may have changed inside the row
        self.call(close_fine, k)
        self.row = k + 1

    def record(self, counts: dict[str, int]) -> Record:
        """Everything that happened; orders that had not ended are `expired`."""
        self._expire()
        self.call(note_ahead, self.row)
        self.keep_closes()
        self.flush()
        self.forget(self.flushed)
        records_of = self.records.of
        final = self.panel[self.setup.mark_offset + 3, self.j].copy()
        idle = int(self.acct[at.IDLE_CANCELS]) + self._idle_messages()
        found = {
            "missing settlements of open positions": int(self.acct[at.MISSING]),
            "cancels without effect": idle,
            "deleveraging events without a profitable position": int(self.acct[at.IDLE_EVENTS]),
            "candles drilled down": int(self.acct[at.DRILLED]),
            "cancels lost on the chain": int(self.acct[at.LOST]),
        }
        guards = records_of(at.L_GUARD).whole()
        acted: dict[str, int] = {}
        for n, name in enumerate(self.setup.guard_names):  # the levels of one guard have one name
            acted[f"guard {name}"] = acted.get(f"guard {name}", 0) + int((guards["guard"] == n).sum())
        return Record(
            symbols=self.setup.symbols,
            step_micro=np.asarray(self.setup.step_micro, np.int64),
            margin=self.setup.margin,
            interval_ms=self.setup.interval_ms,
            start_ms=self.setup.start_ms,
            cash=self.setup.cash,
            curve=self.closes,
            fills=records_of(at.L_FILL),
            funding=records_of(at.L_FUNDING),
            liquidations=records_of(at.L_LIQUIDATION).whole(),
            moves=records_of(at.L_MOVE),
            orders=records_of(at.L_ORDER).by("order_id"),
            ambiguous=records_of(at.L_AMBIGUOUS).whole(),
            margin_calls=records_of(at.L_CALL).whole(),
            positions=records_of(at.L_POSITION),
            pools=records_of(at.L_POOL),
            final_wallet=int(self.acct[at.WALLET]),
            final_pool_cash=self.book[:-1, at.CASH].copy(),
            final_lots=self.book[:-1, at.LOTS].copy(),
            final_fund=int(self.acct[at.FUND]),
            final_mark=final,
            counts={**counts, **found, **acted},
            guards=guards,
            guard_names=self.setup.guard_names,
            leverage_set=tuple(self.setup.symbols[i] for i in sorted(self.leverage_set)),
            gas=records_of(at.L_GAS),
            transfers=records_of(at.L_TRANSFER).whole(),
            reserve=self.setup.reserve,
            final_reserve=int(self.acct[at.RESERVE]),
            final_in_flight=int(self.acct[at.IN_FLIGHT]),
            spool=self.spool,
            shares=records_of(at.L_SHARE).whole(),
            standings=records_of(at.L_STANDING).whole(),
            holdings=records_of(at.L_HOLDING).whole(),
            lowest=tuple(self.lowest[DEEPEST:].tolist()),
            opening_profit=self.opening_profit,
            opening_pools=self.opening_pools,
        )

    def _idle_messages(self) -> int:
        """Cancels that the run's end has met on their way."""
        kinds = self._listed()[:, at.KIND]
        return int(((kinds == at.CANCEL) | (kinds == at.CANCEL_ALL)).sum())

    def _expire(self) -> None:
        """End what has not ended with the run."""
        for slot in self._slots():
            self._room_to_log(4)
            m = self.queue[slot]
            if not m[at.AT_VENUE]:
                m[at.ARRIVES] = -1
            if m[at.KIND] == at.ORDER and m[at.TYPE] == TRAILING_STOP and m[at.TRIGGERED] < 0:
                m[at.STOP_AT] = trail_level(self.queue, slot)
            if m[at.KIND] == at.ORDER:
                self.call(put_order, slot, self.now_ms, EXPIRED, END_OF_RUN, 0, 0)
            elif m[at.KIND] == at.AMENDMENT:
                m[at.TYPE] = AMEND
                self.call(put_order, slot, self.now_ms, EXPIRED, END_OF_RUN, 0, 0)


def to_micro(amount: float) -> int:
    """A money amount in quote units as micro, to the nearest, ties to even; exact for what a person types.

    NumPy's numbers are told as Python's: their own `repr` names the type.
    """
    return int((Decimal(repr(float(amount))) * MICRO).to_integral_value(ROUND_HALF_EVEN))
