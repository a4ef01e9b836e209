"""What a strategy owns: money, margin, positions and the orders that have not ended."""

from __future__ import annotations

import math
import weakref
from functools import partial
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, OrderType, TimeInForce
from backtest.core.errors import UserError
from backtest.core.times import stamp
from backtest.engine import layout as at
from backtest.strategy.literal_types import OpenOrderState, OrderTypeName, TifName, TransferKindName, TriggerName
from backtest.strategy.market import runs, unknown
from backtest.strategy.order import TRIGGERS
from backtest.strategy.position import Position
from backtest.strategy.rounding import Grid
from backtest.strategy.routes import Transit, route_name
from backtest.strategy.session import Key, Session, replay_of, session_of

TYPES = tuple(cast("OrderTypeName", word.name.lower()) for word in OrderType)
TIFS = tuple(cast("TifName", word.name.lower()) for word in TimeInForce)
STATES: tuple[OpenOrderState, ...] = ("in_flight", "dormant", "armed", "working")
"""By the numbers of `layout.FLYING` and those after it."""


class OpenOrder(NamedTuple):
    """An order that has not ended, at the last close. Prices as sent or amended, on the market's ticks; NaN: none."""

    order_id: int
    symbol: str
    qty: float
    """Signed, bought positive; as sent or amended."""
    left: float
    """Signed, what is not filled; 0.0 for a child that sleeps."""
    filled: float
    """Signed."""
    type: OrderTypeName
    """market, limit, stop_market, stop_limit, take_profit_market, take_profit_limit or trailing_stop."""
    limit: float
    stop: float
    """Trigger price; of a trailing stop where it is now, NaN until it follows."""
    state: OpenOrderState
    """in_flight: on its way. At the venue: dormant (a child before its parent fills), armed (not triggered yet),
    working (it rests at its limit, or waits for a price or for volume)."""
    tif: TifName
    trigger: TriggerName
    expires_ms: int
    """−1: never."""
    reduce_only: bool
    post_only: bool
    ts_sent_ms: int
    parent: int
    """Number of the order that it protects; −1: none."""
    group: int
    """The same for orders of which one cancels the others; −1: none."""


class Holdings:
    """One account at the close of a candle. Money in quote units, quantities in base units."""

    def __init__(self, session: Session) -> None:
        self._key = session.key
        setup = session.replay.setup
        mine = setup.symbols if session.names is None else session.names
        self._index = {name: i for i, name in enumerate(setup.symbols) if name in mine}
        ticks = setup.ticks or (None,) * len(setup.symbols)
        self._grids = [Grid.of(i, int(setup.step_micro[i]), ticks[i]) for i in range(len(setup.symbols))]
        self._steps = [int(step) for step in setup.step_micro]

    def _now(self, column: int) -> float:
        return float(replay_of(self._key).state()[column])

    @property
    def equity(self) -> float:
        """Cash and positions at the mark."""
        return self._now(0)

    @property
    def wallet(self) -> float:
        """Cash at the venue, what isolated pools hold included; equity less unrealised profit."""
        return self._now(1)

    @property
    def reserve(self) -> float:
        """Money outside the venue, not part of equity."""
        return int(replay_of(self._key).acct[at.RESERVE]) / MICRO

    @property
    def in_flight(self) -> float:
        """Money on its way between reserve and venue, part of neither."""
        return int(replay_of(self._key).acct[at.IN_FLIGHT]) / MICRO

    @property
    def transfers(self) -> tuple[Transit, ...]:
        """Transfers on their way, in the order sent."""
        return tuple(self._transit(m) for m in self._mine(replay_of(self._key).transit()))

    @property
    def sequencer_up(self) -> bool:
        """Whether the chain runs: False between the beginning and the end of an outage."""
        replay = replay_of(self._key)
        return runs(replay.setup.chain.outages, replay.now_ms)

    @property
    def initial_margin(self) -> float:
        """Initial requirement of the open positions."""
        return self._now(3)

    @property
    def maintenance_margin(self) -> float:
        """Maintenance requirement of the open positions."""
        return self._now(4)

    @property
    def margin_ratio(self) -> float:
        """Maintenance margin over equity: 0 without a position, liquidation at 1; NaN when equity is not positive."""
        equity = self.equity
        return self.maintenance_margin / equity if equity > 0 else math.nan

    @property
    def free_collateral(self) -> float:
        """Equity less initial margin."""
        return self.equity - self.initial_margin

    @property
    def leverage(self) -> float:
        """Gross notional over equity; NaN when equity is not positive."""
        equity = self.equity
        return self._now(5) / equity if equity > 0 else math.nan

    def position(self, symbol: str) -> Position:
        """The position in a market, also when it is flat."""
        session, i = session_of(self._key), self._at(symbol)
        replay = session.replay
        lots = session.book[i, at.LOTS]
        mark = replay.panel.item(replay.setup.known_field, replay.j, i) if replay.row else math.nan
        if lots == 0:
            return Position(symbol, 0.0, math.nan, mark, 0.0, 0.0, math.nan)
        qty = lots * self._steps[i] / MICRO
        cost = session.book[i, at.COST] / MICRO
        notional = qty * mark
        level = partial(_liquidation_price, self._key, i)
        made = Position(symbol, qty, cost / qty, mark, notional, notional - cost, level)
        session.unread.append(weakref.ref(made))
        return made

    @property
    def positions(self) -> tuple[Position, ...]:
        """Every open position, by symbol."""
        book = session_of(self._key).book
        return tuple(self.position(name) for name, i in self._index.items() if book[i, at.LOTS])

    @property
    def orders(self) -> tuple[OpenOrder, ...]:
        """Orders that have not ended, in the order sent: on their way, and at the venue."""
        return tuple(self._open(m) for m in self._mine(replay_of(self._key).live()) if m[at.KIND] == at.ORDER)

    def _mine(self, rows: NDArray[np.float64]) -> list[list[float]]:
        """Those of the messages that the strategy has sent."""
        mine: list[list[float]] = rows[rows[:, at.OWNER] == session_of(self._key).strategy].tolist()
        return mine

    def _open(self, m: list[float]) -> OpenOrder:
        i = int(m[at.SYMBOL])
        qty, left, filled = (self._grids[i].qty(int(m[column])) for column in (at.SIZE, at.LEFT, at.DONE_LOTS))
        return OpenOrder(
            int(m[at.ID]), replay_of(self._key).setup.symbols[i], qty, left, filled,
            TYPES[int(m[at.TYPE])], m[at.LIMIT_AT], _trigger(m), STATES[int(m[at.STATE])],
            TIFS[int(m[at.TIF])], TRIGGERS[int(m[at.BY_MARK])], -1 if math.isinf(m[at.EXPIRES]) else int(m[at.EXPIRES]),
            bool(m[at.REDUCE_ONLY]), bool(m[at.POST_ONLY]), int(m[at.SENT]), int(m[at.PARENT]), int(m[at.GROUP]),
        )  # fmt: skip

    def _transit(self, m: list[float]) -> Transit:
        kind: TransferKindName = "deposit" if m[at.KIND] == at.DEPOSIT else "withdrawal"
        route = route_name(replay_of(self._key).setup.chain, int(m[at.TARGET]) - at.TRANSFER_STAGE)
        return Transit(int(m[at.ID]), kind, route, int(m[at.SIZE]) / MICRO, int(m[at.SENT]))

    def _at(self, symbol: str) -> int:
        try:
            return self._index[symbol]
        except KeyError:
            raise unknown(symbol, self._index) from None

    def _tradable(self, symbol: str) -> int:
        """The number of a symbol that lives now: listed, and with candles still to come."""
        i, session = self._at(symbol), session_of(self._key)
        setup, row = session.replay.setup, session.replay.row
        # At its last candle nobody knows yet that it is the last: the venue refuses that order (delisted).
        if not session.first[i] < row <= session.last[i] + 1:
            # The time of a listing to come is not told: a strategy may read what it catches.
            last = stamp(setup.start_ms + (session.last[i] + 1) * setup.interval_ms)
            said = "it has had no candle yet" if row <= session.first[i] else f"its last candle closed at {last}"
            raise UserError(f"{symbol} does not trade now", "order", f"{said}; trade what is in market.symbols")
        return i


def _liquidation_price(key: Key, i: int) -> float:
    return replay_of(key).liquidation_price(i)


def _trigger(m: list[float]) -> float:
    """The trigger price of a row of the queue; a trailing stop's is at its distance from the best price."""
    if int(m[at.TYPE]) != OrderType.TRAILING_STOP:
        return m[at.STOP_AT]
    away = m[at.TRAIL] if m[at.SIZE] > 0 else -m[at.TRAIL]
    return m[at.BEST_PRICE] * (1.0 + away) if m[at.TRAIL_SHARE] else m[at.BEST_PRICE] + away
