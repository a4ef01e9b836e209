"""`margin`: what the positions of a file need, hold and risk at a venue, without market data.

The numbers of one instant come from `venues.margin_pool`, the ladder from the engine
(`calculator.stress_ladder`). A shared pool holds the wallet and every position that is not isolated; each isolated
position is a pool with its own margin, paid for by the wallet.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from backtest.calculator import book as books
from backtest.calculator.book import Book, Close, Position
from backtest.calculator.position import Leg, legs_of
from backtest.calculator.stress_ladder import Ladder, Range, climb
from backtest.core.enums import MICRO
from backtest.core.errors import Broken, UserError
from backtest.core.json_types import JsonValue
from backtest.core.margin_ratio import ratio_of
from backtest.core.times import Moment
from backtest.engine.replay import to_micro
from backtest.report.page_file import write_page
from backtest.venues import profile as venues
from backtest.venues.field_types import day_ms
from backtest.venues.margin_modes import require
from backtest.venues.margin_pool import Held, Pool
from backtest.venues.terms import Contract, Law, Portfolio, Price

if TYPE_CHECKING:
    from backtest.data.catalog import DataSource


@dataclass(frozen=True)
class PositionMargin:
    """One position. Prices, and amounts in quote; ``qty`` and ``notional`` signed, long positive."""

    symbol: str
    pool: str
    qty: float
    entry: float
    mark: float
    notional: float
    unrealized: float
    initial: float
    """On its own, also where the pool's requirement is less than the sum."""
    maintenance: float
    liquidation_price: float | None
    """Mark at which its pool's equity meets maintenance, other marks frozen; None: no mark does."""
    liquidation_move: float | None
    """Fraction from the mark to there."""
    bankruptcy_price: float | None
    """Mark at which its pool's equity is zero, other marks frozen; None: none above zero."""


@dataclass(frozen=True)
class PoolMargin:
    """One pool, quote units."""

    pool: str
    equity: float
    initial: float
    """Waiting orders of the shared pool included."""
    maintenance: float
    free_collateral: float
    margin_ratio: float | None
    """Maintenance over equity: 0 without a position, 1 where liquidation begins; None where equity is not positive."""
    liquidatable: bool


@dataclass(frozen=True)
class CloseMargin:
    """A close that is judged, and what would be left."""

    symbol: str
    qty: float
    """Signed, what would be traded."""
    price: float
    bankruptcy_price: float | None
    """Price at which the close takes its share, by maintenance margin, of the pool's equity: of a worse fill the fund
    pays the rest. None: none above zero does."""
    fillable_price: float | None
    """Worst price that a liquidation order of this venue takes; None where it has no such rule."""
    insurance: float
    """As a liquidation: what the insurance fund receives (+) or pays (−), quote."""
    equity: float
    """Of its pool, after it; maintenance and ratio as well."""
    maintenance: float
    margin_ratio: float | None
    liquidatable: bool


@dataclass(frozen=True, repr=False)
class Calculation:
    """The answer of `margin`. Quote units; ``free_collateral`` is what the wallet could still put at risk."""

    venue: str
    quote: str
    date: dt.date
    """Of the terms that were applied: the book's, else that of the venue's latest."""
    margin: str
    collateral: float
    equity: float
    initial: float
    """With what waiting orders reserve."""
    maintenance: float
    free_collateral: float
    margin_ratio: float | None
    liquidatable: bool
    """Whether any pool is."""
    positions: tuple[PositionMargin, ...]
    pools: tuple[PoolMargin, ...]
    close: CloseMargin | None
    falling: Ladder
    rising: Ladder
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the same as plain values, ready for JSON."""
        return cast("dict[str, JsonValue]", asdict(self) | {"date": self.date.isoformat()})

    def __repr__(self) -> str:
        """Return one line for a notebook or a prompt; `as_dict` has everything."""
        ratio = "none" if self.margin_ratio is None else f"{self.margin_ratio:.2%}"
        verdict = ", can be liquidated" if self.liquidatable else ""
        return (
            f"<Calculation {self.venue}, {self.margin}, terms of {self.date}: {len(self.positions)} positions, "
            f"equity {self.equity:,.2f} {self.quote}, maintenance margin {self.maintenance:,.2f}, "
            f"margin ratio {ratio}{verdict}>"
        )


def margin(
    book: Mapping[str, object] | Sequence[Mapping[str, object]] | Path | str | None = None,
    *,
    close: Mapping[str, object] | None = None,
    by: str = "all",
    step: float = 1.0,
    down: float = 90.0,
    up: float = 200.0,
    venue: Path | str | None = None,
    margin: str | None = None,
    collateral: float | None = None,
    data: DataSource = "",
    at: int | str | dt.date | dt.datetime | None = None,
    from_run: Path | str | None = None,
    out: Path | str | None = None,
) -> Calculation:
    """What the positions of ``book`` need, hold and risk, and the ladder of their liquidations.

    ``book`` is a mapping, a list of positions, a CSV, JSON or TOML file, or ``-`` for standard input
    (margin-calculator.md). ``close`` has symbol, qty and maybe price, and replaces the book's own; ``venue``,
    ``margin`` and ``collateral`` replace those of the book. ``data``: a dataset whose marks at ``at`` (its first
    candle, if left out) hold for positions without a mark. ``from_run``: the folder of a report, in place of a book:
    its positions at ``at``, a time or ``"worst"``, its close with the highest margin ratio (the default).
    The ladder moves the marks by ``step`` per cent at a time, ``down`` to and ``up`` to so many per cent: ``by`` is
    ``all`` together, ``beta`` times the move each, or one symbol alone. With ``out`` the picture is written there as
    HTML. Raises `UserError` for a mistake in the book.
    """
    given = {"venue": None if venue is None else str(venue), "margin": margin, "collateral": collateral}
    account = {name: value for name, value in given.items() if value is not None}
    asked = _asked(book, close, account, data, at, from_run)
    span = Range(by, step, down, up)
    span.check([position.symbol for position in asked.positions])
    profile = venues.load(asked.venue)
    law = profile.law(asked.date)
    legs = legs_of(asked, profile)
    portfolio = _portfolio(asked, profile)
    shared, isolated = _pools(asked, legs, portfolio)
    contract = Contract({leg.symbol: (leg.held.terms,) for leg in legs}, (law,), portfolio)
    ladders = [climb(legs, contract, asked.margin, to_micro(asked.collateral), span, way) for way in (-1, 1)]
    answer = _answer(asked, profile, law, shared, isolated, ladders)
    if out is not None:
        _draw(answer, Path(out))
    return answer


def _asked(
    book: Mapping[str, object] | Sequence[Mapping[str, object]] | Path | str | None,
    close: Mapping[str, object] | None,
    account: Mapping[str, object],
    data: DataSource,
    at: Moment,
    from_run: Path | str | None,
) -> Book:
    """The book that is asked about, of a file or of a run."""
    if (book is None) == (from_run is None):
        thing = "no positions are given" if book is None else "a file and --from-run are given"
        raise UserError(thing, "FILE", "name a positions file, or a report with --from-run")
    if from_run is not None:
        if data != "":
            raise UserError("--data and --from-run are given", "--data", "leave it out: the report has its marks")
        # Here, since a report is read with libraries that a file of positions does not need.
        from backtest.results.positions_of_run import positions_of_run

        return books.read({**positions_of_run(Path(from_run), at), **account}, close)
    if book is None or data == "":
        if at is not None:
            raise UserError("a time without data", "--at", "name the data with --data, or a report with --from-run")
        return books.read(book or {}, close, account)
    # Here, since a file that names its marks needs no library that reads data.
    from backtest.calculator.marks_at import MarksAt

    found = MarksAt.of(data, at)
    return books.read(book, close, {**account, "date": found.day}, found.marks)


def _draw(answer: Calculation, file: Path) -> None:
    """Write the page to ``file``: a new one, or in place of an earlier page of a calculation."""
    from backtest.report.stress_ladder_page import GENERATOR, render  # Plotly costs more than the whole answer

    write_page(file, GENERATOR, lambda: render(answer.as_dict()))


def _portfolio(book: Book, profile: venues.Profile) -> Portfolio | None:
    """The venue's portfolio rule, where the book asks for it."""
    if book.margin != "portfolio":
        return None
    require(profile, book.margin, book.place)
    if profile.portfolio is None:
        raise Broken("it was required")
    return profile.portfolio.portfolio()


def _pools(book: Book, legs: list[Leg], portfolio: Portfolio | None) -> tuple[Pool, dict[str, Pool]]:
    """The shared pool, and by symbol the isolated ones."""
    isolated = {leg.symbol: Pool.isolated(leg.held, leg.posted_micro) for leg in legs if leg.isolated}
    wallet = to_micro(book.collateral) - sum(leg.posted_micro for leg in legs)
    return Pool.of(wallet, (leg.held for leg in legs if not leg.isolated), portfolio), isolated


def _needed(book: Book, profile: venues.Profile, shared: Pool, isolated: dict[str, Pool]) -> int:
    """Micro that the wallet must hold: the shared pool's initial margin with every order filled that makes a position
    larger, and what such orders reserve for isolated positions (docs/reference/rules.md, section 6)."""
    held = {at.symbol: at for pool in (shared, *isolated.values()) for at in pool.positions}
    for order in book.open_orders:
        if order.symbol not in held:
            held[order.symbol] = Held(order.symbol, 0, order.mark, profile.terms(order.symbol, book.date))
    grown = {symbol: replace(at, units=_exposure(book, at)) for symbol, at in held.items()}
    apart = isolated.keys() | (
        held.keys() - {at.symbol for at in shared.positions} if book.margin == "isolated" else ()
    )
    reserved = sum(max(0, grown[symbol].initial - held[symbol].initial) for symbol in apart)
    together = tuple(at for symbol, at in grown.items() if symbol not in apart)
    return replace(shared, positions=together).initial + reserved


def _exposure(book: Book, at: Held) -> int:
    """Of the position, with all waiting buys and with all waiting sells: the largest, signed, micro-units."""
    orders = [to_micro(order.qty) for order in book.open_orders if order.symbol == at.symbol]
    buys, sells = sum(u for u in orders if u > 0), sum(u for u in orders if u < 0)
    held = int(at.units)
    return max((held, held + buys, held + sells), key=abs)


def _answer(
    book: Book, profile: venues.Profile, law: Law, shared: Pool, isolated: dict[str, Pool], ladders: list[Ladder]
) -> Calculation:
    home: dict[str, tuple[str, Pool]] = {
        at.symbol: (book.margin if book.margin != "isolated" else "cross", shared) for at in shared.positions
    }
    home |= {symbol: (symbol, pool) for symbol, pool in isolated.items()}
    needed = _needed(book, profile, shared, isolated)
    pools = [_pool("wallet" if not shared.positions else home[shared.positions[0].symbol][0], shared, needed)]
    pools += [_pool(symbol, pool, pool.initial) for symbol, pool in isolated.items()]
    equity, maintenance = sum(p.equity for p in pools), sum(p.maintenance for p in pools)
    return Calculation(
        venue=profile.name,
        quote=profile.quote,
        date=book.date or profile.date,
        margin=book.margin,
        collateral=book.collateral,
        equity=equity,
        initial=sum(p.initial for p in pools),
        maintenance=maintenance,
        free_collateral=pools[0].free_collateral,
        margin_ratio=ratio_of(maintenance, equity),
        liquidatable=any(p.liquidatable for p in pools),
        positions=tuple(_position(position, *home[position.symbol]) for position in book.positions),
        pools=tuple(pools),
        close=_judged(book.close, home[book.close.symbol][1], law) if book.close else None,
        falling=ladders[0],
        rising=ladders[1],
        notes=tuple(_notes(book, profile)),
    )


def _position(position: Position, name: str, pool: Pool) -> PositionMargin:
    at = pool.position(position.symbol)
    liquidation = pool.liquidation_price(at.symbol)
    if at.unrealized_micro is None:
        raise Broken("every position of a book has an entry")
    return PositionMargin(
        symbol=at.symbol,
        pool=name,
        qty=float(at.units) / MICRO,
        entry=position.entry,
        mark=position.mark,
        notional=at.value_micro / MICRO,
        unrealized=at.unrealized_micro / MICRO,
        initial=at.initial / MICRO,
        maintenance=at.maintenance / MICRO,
        liquidation_price=liquidation,
        liquidation_move=None if liquidation is None else liquidation / position.mark - 1.0,
        bankruptcy_price=pool.zero_equity_price(at.symbol),
    )


def _pool(name: str, pool: Pool, needed: int) -> PoolMargin:
    return PoolMargin(
        pool=name,
        equity=pool.equity / MICRO,
        initial=needed / MICRO,
        maintenance=pool.maintenance / MICRO,
        free_collateral=(pool.equity - needed) / MICRO,
        margin_ratio=ratio_of(pool.maintenance, pool.equity),
        liquidatable=pool.liquidatable,
    )


def _judged(close: Close, pool: Pool, law: Law) -> CloseMargin:
    """The close as a liquidation at this venue would make it."""
    at = pool.position(close.symbol)
    size = min(to_micro(close.qty), abs(int(at.units)))
    way = 1 if at.units > 0 else -1
    bound = pool.fillable_price(at.symbol, law) if law.price == Price.FILLABLE else None
    price = close.price if close.price is not None else float(at.mark) if bound is None else bound
    quote = round(Fraction(price) * way * size)
    insurance = pool.insurance_delta(at.symbol, size, quote, law)
    left = pool.after(at.symbol, size, quote, insurance)
    bankruptcy = pool.bankruptcy_quote(at.symbol, size) / (way * size)
    return CloseMargin(
        symbol=at.symbol,
        qty=-way * size / MICRO,
        price=price,
        bankruptcy_price=bankruptcy if bankruptcy > 0 else None,
        fillable_price=bound,
        insurance=insurance / MICRO,
        equity=left.equity / MICRO,
        maintenance=left.maintenance / MICRO,
        margin_ratio=ratio_of(left.maintenance, left.equity),
        liquidatable=left.liquidatable,
    )


def _notes(book: Book, profile: venues.Profile) -> list[str]:
    """What was assumed, rounded or left out."""
    at = day_ms(book.date or profile.date)
    finer = [p.symbol for p in book.positions if abs(to_micro(p.qty) / MICRO - p.qty) > 1e-12 * abs(p.qty)]
    notes = [f"{symbol}: the quantity is rounded to a millionth" for symbol in finer]
    if book.open_orders:
        notes.append("open orders are not part of the ladder: a venue cancels them before it liquidates")
    return notes + profile.assumptions([position.symbol for position in book.positions], at, at + 1)
