"""Section 4: the rows of a play, one after another."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tests.reference.account import Account
from tests.reference.admission import Change, Margin
from tests.reference.begin import begin
from tests.reference.books import Books
from tests.reference.deleverage import Deleveraging
from tests.reference.desk import Desk
from tests.reference.ends import Ends
from tests.reference.fund import Fund
from tests.reference.guard import Guards
from tests.reference.liquidation import is_ambiguous, pool_now
from tests.reference.lowest import Lowest
from tests.reference.margin import Asked
from tests.reference.market import Play, Symbol
from tests.reference.marks import known_closes, mark_rows
from tests.reference.numbers import money, share
from tests.reference.oracle import seen
from tests.reference.orders import Orders
from tests.reference.outage import Outages
from tests.reference.outcome import CROSS, Fill, Outcome, Payment
from tests.reference.path import Row, lows_first
from tests.reference.process import Liquidator
from tests.reference.reorg import Reorg
from tests.reference.script import Script
from tests.reference.transfer import Transfers
from tests.reference.way import LAST, Closes, Jump, Way


class MissingSettlement(Exception):
    """A position was open at a settlement that the data lack, and the run does not allow it."""


def play(market: Play) -> Outcome:
    """Replay the play and give what happened. Raises ValueError for a script that no strategy could have sent."""
    return Replay(market).run()


class Replay:
    def __init__(self, market: Play) -> None:
        self.config, self.venue, self.interval_ms = market.config, market.venue, market.interval_ms
        self.symbols = {s.name: s for s in sorted(market.symbols, key=lambda s: s.name)}
        self.marks = {name: mark_rows(s, self.interval_ms) for name, s in self.symbols.items()}
        known = {name: known_closes(s, self.interval_ms) for name, s in self.symbols.items()}
        self.start_ms = min(s.first_ms for s in self.symbols.values())
        self.last_row_ms = max(s.last_ms for s in self.symbols.values())
        config, beside = self.config, market.beside
        self.seen = {name: seen(beside.oracle, name, self.life(s)) for name, s in self.symbols.items() if beside.oracle}
        self.jump_ms = beside.oracle.delay_ms % self.interval_ms if beside.oracle else 0
        """When in each row the oracle's mark jumps, as the market's has at an open; 0: at its open."""
        self.outages = Outages(beside.chain)
        self.account, self.outcome = Account(list(self.symbols.values()), config), Outcome()
        self.asked = Asked(self.venue, config.leverage, config.margin, self.account.own, config.posted)
        self.asked.hold_at(self.start_ms)
        self.fund = Fund(self.asked.law)
        self.books = Books(self.account, self.asked, self.fund, self.outcome)
        self.ends = Ends(self.account, self.outcome)
        self.desk = Desk(config, self.account, self.asked, self.books, self.ends, self.outcome, self.start_ms)
        self.orders = Orders(
            beside, config.latency_ms, self.start_ms, self.seen, self.outages, self.account, self.asked, self.symbols,
            self.desk, self.ends, self.outcome,
        )  # fmt: skip
        self.transfers = Transfers(
            beside, config.latency_ms, self.account, self.asked, self.outages, self.orders.ways, self.orders.gases,
            self.outcome,
        )  # fmt: skip
        self.reorg = Reorg(beside.chain.reorg_ms, self.account, self.books, self.ends, self.outcome)
        self.guards = Guards(
            beside.guards, self.account, self.asked, self.books, self.transfers, known, self.orders.number
        )
        worth = self.account.wallet + self.transfers.reserve
        self.lowest = Lowest(self.account, self.asked, self.transfers, self.market_row, worth)
        self.liquidator = Liquidator(
            self.account, self.asked, self.ends, self.books, self.fund, self.lowest, self.outcome
        )
        self.adl = [(self.outages.moved(ts), symbol, closed) for ts, symbol, closed in config.adl]
        self.deleveraging = Deleveraging(
            self.adl, config.adl_top, self.account, self.asked, self.ends, self.books, self.outcome
        )
        self.jump = Jump(self.account, self.asked, self.desk, self.liquidator, config.touch)
        self.closes = Closes({}, {})
        self.script = Script(
            market.messages, known, self.symbols, self.account, self.asked, self.orders, self.books, self.transfers
        )

    def run(self) -> Outcome:
        self.script.check(self.interval_ms)
        first = self.market_row(self.start_ms)
        begin(self.config.opening, first, self.account, self.books, self.orders, self.outcome)
        self.lowest.peak += self.outcome.opening_profit
        try:
            for open_ms in range(self.start_ms, self.last_row_ms + 1, self.interval_ms):
                self.play_row(self.row(open_ms))
        except MissingSettlement:
            pass
        else:
            self.orders.expire(self.last_row_ms + self.interval_ms)
            # What the last close's withdrawals have taken is not in its equity row.
            self.outcome.final_equity = self.equity_at_close(self.row(self.last_row_ms))
        self.outcome.orders.sort(key=lambda order: order.number)
        self.outcome.wallet = self.account.wallet
        self.outcome.shares = self.account.sharing.rows if self.account.sharing else []
        self.outcome.reserve, self.outcome.in_flight = self.transfers.reserve, self.transfers.in_flight
        self.outcome.pools = dict(self.account.pools)
        self.outcome.lots = dict(self.account.lots)
        self.outcome.fund = self.fund.balance
        self.outcome.drawdown, self.outcome.distance = self.lowest.drawdown, self.lowest.distance
        self.outcome.least_gross = self.lowest.least_gross
        return self.outcome

    def life(self, symbol: Symbol) -> list[Row]:
        """The rows of a symbol's life with the market marks."""
        return [self.market_row(at) for at in range(symbol.first_ms, symbol.last_ms + 1, self.interval_ms)]

    def market_row(self, open_ms: int) -> Row:
        trades = {name: s.candles[open_ms] for name, s in self.symbols.items() if open_ms in s.candles}
        marks = {name: rows[open_ms] for name, rows in self.marks.items() if open_ms in rows}
        return Row(open_ms, self.interval_ms, trades, marks, lows_first(trades), self.config.path)

    def row(self, open_ms: int) -> Row:
        """With the marks of the oracle, where there is one."""
        row = self.market_row(open_ms)
        return replace(row, marks={**row.marks, **{n: self.seen[n].rows[open_ms] for n in row.marks if n in self.seen}})

    def play_row(self, row: Row) -> None:
        self.change_terms(row.open_ms)
        last = self.play_way(row, self.play_open(row))
        self.closes.trades.update({name: candle.close for name, candle in row.trades.items()})
        self.closes.marks.update({name: candle.close for name, candle in row.marks.items()})
        if row.open_ms < self.last_row_ms:
            self.settle_delisted(row)
        if self.config.isolate_above is not None:
            self.isolate_by_share(last, self.config.isolate_above)
        self.outcome.equity.append((row.close_ms, self.equity_at_close(row)))
        self.lowest.close(self.outcome.equity[-1][1])
        self.orders.ways.at_close(row)
        self.guards.look(row, last)
        self.script.send(last)

    def change_terms(self, ts_ms: int) -> None:
        """Section 9."""
        self.asked.hold_at(ts_ms)
        self.fund.under(self.asked.law)

    def play_open(self, row: Row) -> Way:
        """What happens at the open, before anything moves."""
        time, view = 3 * row.open_ms, self.outages.view(row, 0)
        self.ends.expire(row.open_ms)
        self.settle_funding(view, row.open_ms)
        halted = self.outages.halted(time)
        if not halted:
            self.jump.play(view, self.before(view), self.outages.spared(time))
        way = Way(view, self.account, self.desk, self.config.touch)
        if not halted:
            way.follow((0, LAST))
            self.deleveraging.at(view, row.open_ms)
            self.execute_waiting(view)
            way.act_until(0)
        self.arrive(view, row.open_ms)
        return way

    def before(self, row: Row) -> Closes:
        """What the series jump from; a mark that is frozen already does not jump."""
        if not self.outages.frozen(3 * row.open_ms):
            return self.closes
        return Closes(self.closes.trades, {name: candle.open for name, candle in row.marks.items()})

    def execute_waiting(self, row: Row) -> None:
        """Market orders that wait, at the open of a row with a candle."""
        for order in list(self.account.orders):
            waits = order.state == "working" and order.limit is None and order.executed_row != row.open_ms
            if waits and order.symbol in row.trades:
                self.desk.execute(row, order, self.desk.spot(row, order.symbol, 0))

    def play_way(self, row: Row, way: Way) -> Row:
        """From instant to instant: what is due at the next one, by the calendar or because an order acts there.

        What messages bring about may be due at their own instant: it comes again, after a walk that goes nowhere.
        Gives the row as the venue saw it last.
        """
        at = 0
        while at < row.end:
            time = 3 * row.open_ms + at
            halted, spared = self.outages.halted_from(time), self.outages.spared_from(time)
            act = None if halted else way.first()
            stamp = min((ts for ts in self.due(row) if row.thirds(ts) > at), default=row.close_ms)
            until = min(row.thirds(stamp), act.instant if act else row.end)
            if not self.outages.touches(row):
                self.note_ambiguous(way.row, at)
            since = at if spared else self.liquidator.walk(way.row, at, until)
            self.lowest.way(way.row, since, until)
            at = until
            if at < row.end:
                self.play_instant(row, at, stamp if at == row.thirds(stamp) else None, way)
            elif not halted:
                way.act_until(at)
        return way.row

    def play_instant(self, row: Row, at: int, stamp: int | None, way: Way) -> None:
        """`stamp`: its time, if the calendar has something due; an act of an order may lie between milliseconds."""
        time, view = 3 * row.open_ms + at, self.outages.view(row, at)
        jumps = stamp is not None and stamp == row.open_ms + self.jump_ms
        if jumps and not self.outages.halted_from(time - 1):
            way.act_until(at, jumps)  # as at a close
        way.row = view
        if stamp is not None:
            self.change_terms(stamp)
            self.ends.expire(stamp)
            self.settle_funding(view, stamp)
        if jumps:
            self.jump_inside(row, view, at)
        elif not self.outages.spared(time):
            self.liquidator.walk(view, at, at)
        if not self.outages.halted(time):
            self.act_at(view, at, stamp, way)
        way.path = view
        if stamp is not None:
            self.arrive(view, stamp)

    def jump_inside(self, row: Row, view: Row, at: int) -> None:
        """The oracle's mark jumps inside the row, as the market's has at an open; `view`: as the venue sees it."""
        time = 3 * row.open_ms + at
        if self.outages.halted(time):
            return
        marks = {name: row.coherent(mark).before(at) for name, mark in row.marks.items()}
        if self.outages.frozen(time):
            marks = {name: mark.open for name, mark in view.marks.items()}
        self.jump.play(view, Closes({}, marks), self.outages.spared(time), at)

    def act_at(self, row: Row, at: int, stamp: int | None, way: Way) -> None:
        """Deleveraging, and orders that act by themselves."""
        if stamp is not None:
            self.deleveraging.at(row, stamp)
        if self.outages.halted_from(3 * row.open_ms + at - 1):
            way.skip(at)
        else:
            way.act_until(at)
        if stamp is not None and self.outages.returns(stamp):
            way.come_back(at)

    def arrive(self, row: Row, ts_ms: int) -> None:
        """What has been on its way; and what an outage undoes when it begins."""
        self.transfers.arrive(ts_ms)
        self.orders.deliver(row, ts_ms)
        if any(outage.start == ts_ms for outage in self.outages.all):
            self.reorg.at(row, ts_ms)

    def due(self, row: Row) -> list[int]:
        """Instants strictly inside the row: changes of terms, arrivals, deleveraging events, settlements of any living
        symbol, times at which an order at the venue expires, what outages begin and end, and where an oracle's mark
        jumps."""
        stamps = {ts for name in row.marks for ts, _ in self.symbols[name].funding}
        stamps |= set(self.orders.arrivals()) | set(self.transfers.arrivals()) | self.outages.instants()
        stamps |= {ts for ts, _, _ in self.adl} | self.asked.changes() | {row.open_ms + self.jump_ms}
        stamps |= {order.expires_ms for order in self.account.orders if order.expires_ms is not None}
        return sorted(ts for ts in stamps if row.open_ms < ts < row.close_ms)

    # ---- funding

    def settle_funding(self, row: Row, ts_ms: int) -> None:
        for name in row.marks:
            for stamp, rate in self.symbols[name].funding:
                sharing = self.account.sharing
                split = sharing is not None and rate is not None and sharing.splits(name)
                if stamp == ts_ms and (self.account.lots[name] != 0 or split):
                    self.settle_one(row, name, ts_ms, rate)

    def settle_one(self, row: Row, name: str, ts_ms: int, rate: float | None) -> None:
        if rate is None:
            if not self.config.allow_missing_funding:
                self.outcome.error = (name, ts_ms)
                raise MissingSettlement
            self.outcome.missing_funding += 1
            return

        def payment(units: int) -> int:
            if ts_ms == row.open_ms:
                return -round(Fraction(row.marks[name].open) * units * Fraction(rate))
            return -share(row.mark_value(name, units, row.thirds(ts_ms)), rate)

        if self.account.sharing:
            self.account.sharing.funding(ts_ms, name, payment)
        if self.account.lots[name] != 0:
            paid = payment(self.account.units(name))
            self.account.pay(self.account.pool_of(name), paid)
            self.outcome.funding.append(Payment(ts_ms, name, self.account.lots[name], paid))

    # ---- the walk

    def note_ambiguous(self, row: Row, start: int) -> None:
        for name in self.account.open_pools():
            entry = (row.open_ms, name)
            pool = pool_now(self.account, self.asked, name)
            if entry not in self.outcome.ambiguous and is_ambiguous(pool, row, start):
                self.outcome.ambiguous.append(entry)

    # ---- the close

    def settle_delisted(self, row: Row) -> None:
        """Of symbols whose last candle this was orders are cancelled, positions settled at the mark's close."""
        for name in row.marks:
            if self.symbols[name].last_ms != row.open_ms:
                continue
            self.ends.cancel_of([name], row.close_ms, "delisted")
            lots = self.account.lots[name]
            if self.account.sharing:
                self.account.sharing.settle(row.close_ms, name, row.marks[name].close)
            if lots != 0:
                value = money(row.marks[name].close, self.account.units(name))
                realized = self.account.trade(name, -lots, value)
                self.account.pay(self.account.pool_of(name), value)
                self.outcome.fills.append(Fill(-1, row.close_ms, name, -lots, value, 0, realized, "delisting"))
                self.books.traded(row.close_ms, name)
                self.ends.cancel_turned(row.close_ms)

    def isolate_by_share(self, row: Row, threshold: float) -> None:
        """The largest position of the cross pool gets a pool of its own if the rest still covers itself."""
        pool = pool_now(self.account, self.asked, CROSS)
        if len(pool.units) < 2:
            return
        point = pool.coherent(row, row.end)
        own = pool.own(point)
        name = max(own, key=lambda symbol: own[symbol])
        if own[name] <= share(sum(own.values()), threshold):
            return
        value = point.values[name]
        self.account.own[name] = True  # it has its own leverage then, and the rest is judged without it
        posted = Margin(self.account, self.asked, row, row.end).initial(name, self.account.lots[name])
        rest = Margin(self.account, self.asked, row, row.end).covered(Change(cash=value - posted))
        if rest.admitted:
            self.account.by_share.add(name)
            self.books.move(row.close_ms, name, posted - value)
        else:
            self.account.own[name] = False

    def equity_at_close(self, row: Row) -> int:
        held = self.account.held()
        values = [money(self.marks[name][row.open_ms].close, self.account.units(name)) for name in held]
        return self.account.wallet + sum(self.account.pools.values()) + sum(values)
