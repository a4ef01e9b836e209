"""The packed state of one account, and the room that its journal and queue need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from backtest.core.errors import Broken
from backtest.core.records import CLOSE, CURVE
from backtest.core.rows import Rows
from backtest.core.spool import Spool
from backtest.engine import layout as at
from backtest.engine.blocks import BLOCK_WIDTH, count_blocks
from backtest.engine.fee import turnover_ring
from backtest.engine.heap import HEAP_WIDTH, KEY, NUMBER, SLOT, TIE
from backtest.engine.journal_records import JournalRecords
from backtest.engine.limit import pack_limits
from backtest.engine.lowest import NOTHING_HELD, note_ahead
from backtest.engine.pack import Setup, pack_calendar, pack_run, pack_spec
from backtest.engine.passage import pack_gas, pack_outages, pack_ways
from backtest.engine.publisher import Publisher
from backtest.engine.row import advance, ahead
from backtest.engine.slots import NEVER_MS, enlist_all
from backtest.engine.targets import TargetArray, Targets
from backtest.engine.terms import note_calendar
from backtest.engine.tier import Tier
from backtest.engine.virtual import VIRTUAL_WIDTH
from backtest.engine.world import World

P = ParamSpec("P")
R = TypeVar("R")
LOG_ROWS = 1 << 14
QUEUE_ROWS = 64
SOFT_ROWS = 4_096
"""Fills that a reorg can undo at most; more within its depth stop the run."""
LONG_AGO = -(1 << 60)
PIECE = 256
"""Rows that are played at a time while they are interpreted."""
WORK = 1 << 22
"""Symbols and orders that are looked at in one call of machine code, which nothing interrupts: about 0.1 s."""


@dataclass
class State:
    """The arrays of `layout` for one account; `row` counts through the run."""

    setup: Setup
    hooks: int = 0
    """Bits of layout.EV_*: events after whose row `advance` comes back."""
    targets: NDArray[np.float64] | Targets | None = None
    """[targets, 3]: row, symbol, amount; sorted; None for a strategy that is called."""
    target_kind: int = at.WEIGHT
    row: int = 0
    """The next row to play."""
    drill: Callable[[int], NDArray[np.float64]] | None = None
    """The fine panel of a row by its number, where `Setup.fine_ms` says that there is one."""
    spool: Spool | None = None
    """Where what has happened goes; None: it stays in memory."""
    touched: bool = False
    """Something was done since `ahead` that changes what follows: rows played ahead no longer hold."""

    leverage_set: set[int] = field(default_factory=set)
    """Symbols of which a leverage was set since the start."""

    def __post_init__(self) -> None:
        count = len(self.setup.symbols)
        self._codes: dict[Callable[..., Any], Callable[..., Any]] = {}
        self.tier = Tier(self.setup.rows, count, lambda: self.row, self._change_tier)
        self.book = np.zeros((count + 1, at.BOOK_WIDTH), np.int64)
        self.book[:, [at.FLAGGED, at.CROSSED, at.TRADED, at.SINCE]] = -1
        self.book[:, [at.FIRST_ORDER, at.LAST_ORDER, at.USED_ROW]] = -1
        self.book[:, at.STEPPED] = LONG_AGO
        self.book[:count, at.POOL] = self.book[:count, at.HOME] = [self.setup.home(i) for i in range(count)]
        self.book[count, at.POOL] = self.book[count, at.HOME] = -1  # a pool is no symbol
        self.acct = np.zeros(at.ACCT_WIDTH, np.int64)
        self.acct[at.WALLET] = self.setup.cash
        self.acct[at.FREE_SLOT], self.acct[at.EXPIRES_AT] = -1, NEVER_MS
        self.acct[at.RESERVE], self.acct[at.SOUND_AT] = self.setup.reserve, -1
        self.spec = pack_spec(self.setup)
        self.run = pack_run(self.setup)
        self.calendar = pack_calendar(self.setup)
        self.acct[at.FUND] = int(self.run[at.FUND_START])
        self.run[at.HOOKS], self.run[at.TARGET_KIND] = self.hooks, self.target_kind
        self.funding = np.ascontiguousarray(self.setup.funding, np.float64).reshape(-1, 3)
        self.acct[at.FUNDING_AT] = int(np.searchsorted(self.funding[:, at.STAMP], self.setup.start_ms))
        self.queue = np.zeros((QUEUE_ROWS, at.QUEUE_WIDTH))
        self.log = np.zeros((LOG_ROWS, at.LOG_WIDTH))
        self.curve = np.zeros((0, len(CURVE)))
        self.closes = Rows(CLOSE, self.spool)
        """The curve of the rows before the panel's."""
        self.guards = self.setup.guards.copy()  # they remember
        self.lowest = np.array([self.setup.cash + self.setup.reserve, 0.0, -1.0, NOTHING_HELD, -1.0])
        charges = self.setup.charges
        self.panel = np.empty((8, 0, count))
        self.world = World(
            panel=self.panel, book=self.book, acct=self.acct, spec=self.spec, run=self.run, queue=self.queue,
            numbered=np.full(QUEUE_ROWS, -1), heaps=np.zeros((at.HEAPS, QUEUE_ROWS, HEAP_WIDTH)),
            blocks=self._blocks(), log=self.log, curve=self.curve, funding=self.funding,
            calendar=self.calendar, guards=self.guards,
            targets=np.empty((0, 3)), bars=np.ascontiguousarray(charges.bars),
            depth=np.ascontiguousarray(charges.depth), fees=np.ascontiguousarray(charges.fees),
            turnover=turnover_ring(charges.fees), ways=pack_ways(self.setup.chain),
            outages=pack_outages(self.setup.chain, self.setup.start_ms), gas=pack_gas(self.setup.chain),
            limits=pack_limits(self.setup.chain, self.setup.start_ms), still=np.full((5, 1, count), np.nan),
            usual=np.ascontiguousarray(self.setup.usual),
            seen=np.zeros(len(CURVE)),
            lowest=self.lowest, now=np.full((2, 1, count), np.nan),
            volatility=np.ascontiguousarray(self.setup.volatility),
            virtual=np.zeros((len(self.setup.margin_limits) * (count + 1), VIRTUAL_WIDTH), np.int64),
            margin_limits=np.array(self.setup.margin_limits, np.float64),
            soft=np.full((SOFT_ROWS if self.setup.chain.reorg_ms else 0, at.SOFT_WIDTH), -np.inf),
        )  # fmt: skip
        o, s = self.setup.oracle, self.setup
        places = s.start_ms, s.mark_offset, s.oracle_field, s.further
        self.publisher = None if o.plain else Publisher(o, count, s.interval_ms, *places, self.tier, s.dated)
        """Of the mark that the venue sees, where it is not the market's."""
        self._known = int(self.run[at.ROWS])
        """Rows before this one have all that they are played on."""
        self._status = self.acct.data
        self._logs: list[NDArray[np.float64]] = []
        """Rows of the journal that somebody may still read."""
        self.records = JournalRecords(self.spool)
        """Those before them."""
        self._seen_at = -1
        self._asked_at = -1
        self.fine: dict[int, NDArray[np.float64]] = {}
        """Fine panels of drilled rows with fills, by row; who looks at them empties it."""
        self._targets = TargetArray(self.targets) if isinstance(self.targets, np.ndarray) else self.targets
        self.flushed = 0
        """Journal rows put aside; the journal's row n in memory has the number flushed + n."""

    def load(self, panel: NDArray[np.float64], first_row: int) -> None:
        """Take a panel whose first row is global row `first_row`."""
        s = self.setup
        fields = max(s.mark_offset + 4, s.known_field + 1, s.volume_field + 1)
        if len(panel) < fields:
            raise Broken(f"a panel of {len(panel)} fields, where the account needs {fields}")
        if self.panel.shape[1]:
            self._keep_last(self.j + 1)
            self.call(note_ahead, self.row)
        else:
            self.call(note_calendar)
        if self.publisher is not None:
            self.publisher.see(panel, first_row)
            self.world.put(fresh=self.publisher.fresh)
            self._known = first_row
        self.keep_closes()
        self._put(panel=panel, curve=np.zeros((panel.shape[1], len(CURVE))))
        self.acct[at.BASE] = first_row
        if self._targets is not None:
            self.world.put(targets=np.ascontiguousarray(self._targets.between(self.row, first_row + panel.shape[1])))
            self.acct[at.TARGET_AT] = 0

    def keep_closes(self) -> None:
        """Put the curve of the rows that have been played aside; those of a panel once, before the next one comes."""
        first = len(self.closes) - int(self.acct[at.BASE])
        self.closes.append(self.curve[first : self.j + 1].view(CLOSE)[:, 0])

    def _keep_last(self, rows: int) -> None:
        """Remember each symbol's last closes in the first `rows` of the panel: what the next open jumps from."""
        for column, off in ((at.LAST_TRADE, 0), (at.LAST_MARK, int(self.run[at.MARK]))):
            for i in range(self.panel.shape[2]):
                back = rows - 1
                while back >= 0 and np.isnan(self.panel[off + 3, back, i]):
                    back -= 1
                if back >= 0:
                    self.spec[i, column] = self.panel[off + 3, back, i]

    def _goal(self, end: int) -> int:
        """`end`, or the row up to which the venue mark is known where that comes first; that of the next row is."""
        if self.publisher is not None and self.row >= self._known:
            self._known = self.publisher.known(self.row)
        return min(end, self._known)

    def call(self, kernel: Callable[Concatenate[World, P], R], *arguments: P.args, **_: P.kwargs) -> R:
        """Call a kernel on this account, as the tier wants it."""
        code = self._codes.get(kernel)
        if code is None:
            code = self._codes[kernel] = self.tier.code(kernel)
        made: R = code(self.world, *arguments)
        return made

    # The two that are called most. Made when they are asked for first: nobody waits before it has been said why.

    @cached_property
    def _step(self) -> Callable[..., Any]:
        return partial(self.tier.code(advance), self.world)

    @cached_property
    def _ahead(self) -> Callable[..., Any]:
        return partial(self.tier.code(ahead), self.world)

    def _change_tier(self) -> None:
        """Look up again what to call."""
        self._codes.clear()
        self.__dict__.pop("_step", None)
        self.__dict__.pop("_ahead", None)

    def _put(self, **arrays: NDArray[np.float64]) -> None:
        """Take other arrays in the place of those of these names."""
        self.world.put(**arrays)
        for name, array in arrays.items():
            setattr(self, name, array)

    @property
    def piece(self) -> int:
        """How many rows are played at a time, so that Ctrl-C and a time limit are heard in between."""
        if not self.tier.compiled:
            return PIECE
        return WORK // (1 + len(self.setup.symbols) + int(self.acct[at.FLIGHTS] + self.acct[at.RESTING])) + 1

    @property
    def j(self) -> int:
        """Panel row of the candle that closed last."""
        return self.row - 1 - self._status[at.BASE]

    @property
    def now_ms(self) -> int:
        """The close of the candle that closed last."""
        return self.setup.start_ms + self.row * self.setup.interval_ms

    def _slots(self) -> list[int]:
        """Slots of the orders at the venue, by symbol and in order of arrival, then of the messages in flight, likewise
        in that order."""
        entries = self.world.heaps[at.BY_ARRIVAL, : self.acct[at.HEAPED + at.BY_ARRIVAL]]
        flights = entries[np.lexsort((entries[:, NUMBER], entries[:, TIE], entries[:, KEY])), SLOT]
        slots: list[int] = []
        for first in (*self.book[:-1, at.FIRST_ORDER], *flights):
            slot = int(first)
            while slot >= 0:
                slots.append(slot)
                slot = int(self.queue[slot, at.NEXT_SLOT])
        return slots

    def _room_for(self, messages: int) -> None:
        """Make the queue long enough for so many more messages."""
        while self.acct[at.FLIGHTS] + self.acct[at.RESTING] + messages >= len(self.queue):
            self._lengthen_queue()

    def _lengthen_queue(self) -> None:
        heaps = np.concatenate([self.world.heaps, np.zeros_like(self.world.heaps)], axis=1)
        self._put(queue=np.vstack([self.queue, np.zeros_like(self.queue)]))
        self.world.put(numbered=np.empty(len(self.queue), np.int64), heaps=heaps, blocks=self._blocks())
        self.call(enlist_all)
        self.call(count_blocks)

    def _blocks(self) -> NDArray[np.int64]:
        """Room for what the blocks to come take, where that is bounded."""
        bounded = self.setup.chain.block_ms and self.setup.chain.most_per_block
        return np.zeros((4 * len(self.queue) if bounded else 0, BLOCK_WIDTH), np.int64)

    def _room_to_log(self, rows: int) -> None:
        """See to it that so many more rows fit the journal in memory."""
        if self.acct[at.LOGGED] + rows >= len(self.log):
            self.flush()

    def _lengthen_log(self) -> None:
        """Put the journal's rows aside, or where there are none make it longer: one row of the run needs it whole."""
        if self.acct[at.LOGGED] > 0:
            self.flush()
        else:
            self._put(log=np.zeros((2 * len(self.log), at.LOG_WIDTH)))

    def flush(self) -> None:
        """Put the journal's rows aside and begin it anew."""
        n = int(self.acct[at.LOGGED])
        self._logs.append(self.log[:n].copy())
        self.acct[at.LOGGED], self.acct[at.SOUND_AT] = 0, -1
        self.flushed += n

    def forget(self, before: int) -> None:
        """Make records of the journal's rows put aside; nobody will read one before this number again."""
        while self._logs and self.records.count + len(self._logs[0]) <= before:
            self.records.append(self._logs.pop(0))

    def journal(self, first: int) -> NDArray[np.float64]:
        """Rows of the journal from number `first` on, those put aside among them."""
        rows = [self.log[: int(self.acct[at.LOGGED])]]
        begins = self.flushed
        for aside in reversed(self._logs):
            if begins <= first:
                break
            begins -= len(aside)
            rows.insert(0, aside)
        return np.concatenate(rows)[max(0, first - begins) :] if len(rows) > 1 else rows[0][max(0, first - begins) :]
