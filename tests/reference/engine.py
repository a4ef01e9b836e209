"""Section 4: the rows of a play, one after another."""

from __future__ import annotations

from fractions import Fraction

from tests.reference.account import Account
from tests.reference.liquidation import Point, Pool, crossing, is_ambiguous, open_pools
from tests.reference.margin import Ladder
from tests.reference.market import Message, Play, Symbol
from tests.reference.marks import known_closes, mark_rows
from tests.reference.numbers import money, share, sign
from tests.reference.orders import Orders
from tests.reference.outcome import Fill, Liquidation, Outcome, Payment
from tests.reference.path import Row, lows_first


class MissingSettlement(Exception):
    """A position was open at a settlement that the data lack, and the run does not allow it."""


def play(market: Play) -> Outcome:
    """Replay the play and give what happened. Raises ValueError for a script that no strategy could have sent."""
    return Replay(market).run()


class Replay:
    def __init__(self, market: Play) -> None:
        self.config, self.venue = market.config, market.venue
        self.interval_ms = market.interval_ms
        self.symbols = {s.name: s for s in sorted(market.symbols, key=lambda s: s.name)}
        self.marks = {name: mark_rows(s, self.interval_ms) for name, s in self.symbols.items()}
        self.known = {name: known_closes(s, self.interval_ms) for name, s in self.symbols.items()}
        self.script = market.messages
        self.ladders = {name: Ladder(self.venue.tiers[name], self.config.leverage[name]) for name in self.symbols}
        self.account = Account(list(self.symbols.values()), self.config)
        self.outcome = Outcome()
        self.orders = Orders(self.config, self.account, self.ladders, self.symbols, self.outcome)
        self.start_ms = min(s.first_ms for s in self.symbols.values())
        self.last_row_ms = max(s.last_ms for s in self.symbols.values())

    def run(self) -> Outcome:
        self.check_script()
        try:
            for open_ms in range(self.start_ms, self.last_row_ms + 1, self.interval_ms):
                self.play_row(self.row(open_ms))
        except MissingSettlement:
            pass
        else:
            self.orders.expire(self.last_row_ms + self.interval_ms)
            self.outcome.final_equity = self.outcome.equity[-1][1]
        self.outcome.orders.sort(key=lambda order: order.number)
        self.outcome.wallet = self.account.wallet
        self.outcome.pools = dict(self.account.pools)
        self.outcome.lots = dict(self.account.lots)
        return self.outcome

    def row(self, open_ms: int) -> Row:
        trades = {name: s.candles[open_ms] for name, s in self.symbols.items() if open_ms in s.candles}
        marks = {name: rows[open_ms] for name, rows in self.marks.items() if open_ms in rows}
        return Row(open_ms, self.interval_ms, trades, marks, lows_first(trades), self.config.path)

    def play_row(self, row: Row) -> None:
        due = self.due(row)
        starts = [row.open_ms, *due]
        ends = [*due, row.close_ms]
        for start_ms, end_ms in zip(starts, ends, strict=True):
            start, end = row.thirds(start_ms), row.thirds(end_ms)
            self.settle_funding(row, start_ms)
            self.liquidate_between(row, start, start)
            if start == 0:
                self.orders.retry_waiting(row)
            self.orders.deliver(row, start_ms)
            self.note_ambiguous(row, start)
            self.liquidate_between(row, start, end)
        if row.open_ms < self.last_row_ms:
            self.settle_delisted(row)
        self.outcome.equity.append((row.close_ms, self.equity_at_close(row)))
        self.send(row)

    def due(self, row: Row) -> list[int]:
        """Instants strictly inside the row: arrivals, and settlements of any living symbol, paid or missing."""
        stamps = {ts for name in row.marks for ts, _ in self.symbols[name].funding}
        stamps |= {arrival for arrival, _ in self.orders.flying}
        return sorted(ts for ts in stamps if row.open_ms < ts < row.close_ms)

    # ---- funding

    def settle_funding(self, row: Row, ts_ms: int) -> None:
        for name in row.marks:
            for stamp, rate in self.symbols[name].funding:
                if stamp == ts_ms and self.account.lots[name] != 0:
                    self.settle_one(row, name, ts_ms, rate)

    def settle_one(self, row: Row, name: str, ts_ms: int, rate: float | None) -> None:
        if rate is None:
            if not self.config.allow_missing_funding:
                self.outcome.error = (name, ts_ms)
                raise MissingSettlement
            self.outcome.missing_funding += 1
            return
        units = self.account.units(name)
        if ts_ms == row.open_ms:
            payment = -round(Fraction(row.marks[name].open) * units * Fraction(rate))
        else:
            payment = -share(row.mark_value(name, units, row.thirds(ts_ms)), rate)
        self.account.pay(self.account.pool_of(name), payment)
        self.outcome.funding.append(Payment(ts_ms, name, self.account.lots[name], payment))

    # ---- liquidation

    def liquidate_between(self, row: Row, start: int, end: int) -> None:
        """One walk; with `end` at `start`, the check at an instant. Pools do not touch each other."""
        found: list[tuple[int, int, Pool, Point]] = []
        for order, pool in enumerate(open_pools(self.account, self.ladders)):
            point = crossing(pool, row, start, end)
            if point is not None:
                found.append((point.at, order, pool, point))
        for _, _, pool, point in sorted(found, key=lambda entry: entry[:2]):
            self.liquidate(row.stamp(point.at), pool, point)

    def liquidate(self, ts_ms: int, pool: Pool, point: Point) -> None:
        self.orders.cancel_for_liquidation(ts_ms, list(self.symbols) if self.account.cross else [pool.name])
        equity, maintenance = pool.equity(point), pool.maintenance(point)
        closed = {}
        for name, value in point.values.items():
            lots = self.account.lots[name]
            realized = self.account.trade(name, -lots, value)
            self.account.pay(pool.name, value)
            self.outcome.fills.append(Fill(-1, ts_ms, name, -lots, value, 0, 0, realized, "liquidation"))
            closed[name] = -lots
        for name, value in point.values.items():
            cash = self.account.cash(pool.name)
            penalty = min(share(abs(value), self.venue.penalty), max(cash, 0))
            self.account.pay(pool.name, -penalty)
            last = name == list(point.values)[-1]
            bad_debt = max(0, penalty - cash) if last else 0
            self.account.pay(pool.name, bad_debt)
            equity_after = equity - penalty + bad_debt
            maintenance_after = maintenance - self.ladders[name].maintenance(abs(value))
            self.outcome.liquidations.append(
                Liquidation(ts_ms, pool.name, name, "whole", closed[name], penalty, bad_debt,
                            equity, maintenance, equity_after, maintenance_after)
            )  # fmt: skip
            equity, maintenance = equity_after, maintenance_after
        if not self.account.cross:
            self.orders.release(ts_ms, pool.name)

    def note_ambiguous(self, row: Row, start: int) -> None:
        for pool in open_pools(self.account, self.ladders):
            entry = (row.open_ms, pool.name)
            if entry not in self.outcome.ambiguous and is_ambiguous(pool, row, start):
                self.outcome.ambiguous.append(entry)

    # ---- the close

    def settle_delisted(self, row: Row) -> None:
        """Positions in symbols whose last candle this was are settled at the mark's close, without fee."""
        for name in row.marks:
            lots = self.account.lots[name]
            if self.symbols[name].last_ms != row.open_ms or lots == 0:
                continue
            value = money(row.marks[name].close, self.account.units(name))
            realized = self.account.trade(name, -lots, value)
            self.account.pay(self.account.pool_of(name), value)
            self.outcome.fills.append(Fill(-1, row.close_ms, name, -lots, value, 0, 0, realized, "delisting"))
            if not self.account.cross and self.account.pools[name] > 0:
                self.orders.release(row.close_ms, name)
            self.orders.cover_shortfall(row.close_ms, name)

    def equity_at_close(self, row: Row) -> int:
        held = self.account.held()
        values = [money(row.marks[name].close, self.account.units(name)) for name in held]
        return self.account.wallet + sum(self.account.pools.values()) + sum(values)

    # ---- the strategy

    def equity_as_known(self, row: Row) -> int:
        """What a decision at the close is sized by."""
        values = [money(self.known[name][row.open_ms], self.account.units(name)) for name in self.account.held()]
        return self.account.wallet + sum(self.account.pools.values()) + sum(values)

    def check_script(self) -> None:
        """A strategy is called at closes of rows in which something traded, and knows symbols that have begun."""
        for message in self.script:
            open_ms = message.sent_ms - self.interval_ms
            if not any(open_ms in s.candles for s in self.symbols.values()):
                raise ValueError(f"no strategy is called at {message.sent_ms}")
            if message.kind != "cancel" and open_ms < self.symbols[message.symbol].first_ms:
                raise ValueError(f"{message.symbol} has not begun at {message.sent_ms}")
            if message.kind == "order" and message.lots == 0:
                raise ValueError(f"an order of no lots at {message.sent_ms}")

    def send(self, row: Row) -> None:
        for message in self.script:
            if message.sent_ms != row.close_ms:
                continue
            if message.kind == "cancel":
                self.orders.send_cancel(row.close_ms, message.order)
                continue
            lots = message.lots if message.kind == "order" else self.target_order(row, message)
            if lots != 0:
                self.orders.send_order(row.close_ms, message.symbol, lots, message.reduce_only)

    def target_order(self, row: Row, message: Message) -> int:
        """Lots from here to the target, less what is on its way or waiting."""
        name = message.symbol
        wanted = share(self.equity_as_known(row), message.weight)
        lot_value = Fraction(self.last_price(row, self.symbols[name])) * self.symbols[name].step_micro
        target = sign(wanted) * (abs(wanted) // lot_value)
        return int(target) - self.account.lots[name] - self.orders.outstanding(name)

    def last_price(self, row: Row, symbol: Symbol) -> float:
        """The trade's close; the mark's in a gap; of a symbol that is over, its last mark."""
        if symbol.name in row.trades:
            return row.trades[symbol.name].close
        return self.known[symbol.name][min(row.open_ms, symbol.last_ms)]
