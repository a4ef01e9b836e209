"""Tables of a run as rows of text, cut where a reader would stop reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from backtest.report import formatting as fmt
from backtest.report.outcome import LATENCY, by_symbol, delayed, source_title, sources_note
from backtest.results.metric_definitions import by_name

if TYPE_CHECKING:
    from backtest.results.lazy_tables import LazyTable
    from backtest.results.result import Result

ROWS = 200
"""Rows of a long table that stand in the page as they are; all of them are in its Parquet file."""
MOST = 3_000
"""Rows that the page can show, sort and copy."""


@dataclass(frozen=True)
class Cell:
    """One cell, already written."""

    text: str
    figure: bool = False
    """A number: set in figures of one width, on the right."""
    mark: str = ""
    """``better``, ``minus``, or ``help`` for words that a narrow screen can do without."""


@dataclass(frozen=True)
class Table:
    """What a template needs; ``cut`` says what is not shown."""

    name: str
    title: str
    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]
    cut: str = ""
    empty: str = ""
    note: str = ""
    more: tuple[tuple[Cell, ...], ...] = ()
    """Further rows, which the page shows when it is asked for them."""
    raw: pl.DataFrame | None = None
    """The values of all these rows as they are in the Parquet file, by its column names; None: a table of words."""


@dataclass(frozen=True)
class Column:
    """How a column of a result's table is shown; ``signed``: a minus is marked."""

    source: str
    title: str
    write: Callable[[Any], str]
    figure: bool = True
    signed: bool = False


def _word(value: Any) -> str:
    return fmt.NA if value is None else str(value).replace("_", " ")


def _time(value: datetime | None) -> str:
    # Parquet times are whole milliseconds; the difference of two datetimes has no rounding of floats.
    epoch = datetime(1970, 1, 1, tzinfo=value.tzinfo) if value else None
    return fmt.moment((value - epoch) // timedelta(milliseconds=1)) if value and epoch else fmt.NA


def _hold(hours: float | None) -> str:
    return fmt.NA if hours is None else fmt.duration(hours * 3_600_000)


def text(source: str, title: str) -> Column:
    """A column of words."""
    return Column(source, title, _word, figure=False)


def stamp(source: str, title: str) -> Column:
    """A column of times."""
    return Column(source, title, _time, figure=False)


def count(source: str, title: str) -> Column:
    """A column of whole numbers."""
    return Column(source, title, fmt.count)


def _money(source: str, title: str) -> Column:
    return Column(source, title, fmt.number, signed=True)


def _cost(source: str, title: str) -> Column:
    """Of an amount that is paid: shown below zero, so that a row adds up."""
    return Column(source, title, lambda paid: fmt.number(None if paid is None else 0.0 - paid), signed=True)


_TRADES = (
    text("symbol", "Symbol"), text("side", "Side"), stamp("ts_entry", "Entry (UTC)"), stamp("ts_exit", "Exit (UTC)"),
    text("exit_reason", "Closed by"), Column("hold", "Held", _hold), Column("qty", "Quantity", fmt.quantity),
    Column("entry_price", "Entry price", fmt.price), Column("exit_price", "Exit price", fmt.price),
    _money("realized", "Realised"), _cost("fees", "Fees"), _money("funding", "Funding"),
    _cost("penalty", "Penalty"), _money("insurance", "From the fund"), _money("net", "Net"),
    _money("mfe", "At best"), _money("mae", "At worst"),
)  # fmt: skip
_SELDOM = ("penalty", "insurance", "mfe", "mae")
"""Columns of trades that are left out where all of them are zero, or none is known."""
_AMBIGUOUS = (stamp("ts", "Candle (UTC)"), text("pool", "Pool"))
_SYMBOLS = (
    text("symbol", "Symbol"), count("fills", "Fills"), _money("price_moves", "Price moves"),
    _money("funding", "Funding"), _money("fees", "Fees"), _money("spread", "Spread"), _money("impact", "Impact"),
    _money("latency", LATENCY), _money("penalties", "Penalties"), _money("insurance", "From the fund"),
    _money("bad_debt", "Bad debt"), _money("gas", "Gas"), _money("bridge_fees", "Bridge fees"),
    _money("change", "Change of equity"),
)  # fmt: skip
_COSTLY = ("spread", "impact", "latency", "penalties", "insurance", "bad_debt", "gas", "bridge_fees")
"""Columns of symbols that are left out where all of them are zero."""


def trades(result: Result) -> Table:
    """Finished round trips; what is still open is said, not listed."""
    left = result.metrics.get("open_trades") or 0
    note = f"{fmt.plural(left, 'position')} still open at the end: not in this table." if left else ""
    empty = "No round trip was finished." if left else "No position was opened."
    table = result.tables.table("trades")
    seen = {name: table.frame(name)[name] for name in ("mae", *_SELDOM)}
    if not seen["mae"].is_null().all():
        note = f"{note} At best, at worst: open profit while it was held, at trade prices, before fees.".strip()
    idle = {name for name in _SELDOM if not (seen[name] != 0).any()}
    columns = [column for column in _TRADES if column.source not in idle]
    return listed("trades", "Trades", table, columns, empty, "trades.parquet", note)


def ambiguous(result: Result) -> Table:
    """Candles inside which the path of prices decides."""
    frame = result.tables["ambiguous"]
    empty = "No ambiguous candle: on every price path inside the candles the same margin accounts survive"
    halted = (result.summary.get("chain") or {}).get("outages")
    empty += " (candles that overlap an outage or its grace period are not checked)." if halted else "."
    return listed("ambiguous", "Ambiguous candles", frame, _AMBIGUOUS, empty, "ambiguous.parquet")


def guards(result: Result) -> Table:
    """What guards did, and the value that made them act."""
    rows = result.tables["guards"].head(ROWS)
    written = [
        (_guard_value(row["guard"], row["value"]), _deed(row["symbol"], row["pool"], row["order_id"]))
        for row in rows.iter_rows(named=True)
    ]
    values, deeds = ([pair[i] for pair in written] for i in (0, 1))
    named = rows.with_columns(pl.col("symbol", "pool").fill_null("all"))
    cells = ([_cell(column, value) for value in named[column.source].to_list()] for column in _GUARDS)
    head = (*(Cell(column.title) for column in _GUARDS), Cell("At", True), Cell("Did"))
    body = tuple(zip(*cells, [Cell(v, True) for v in values], [Cell(d) for d in deeds], strict=True))
    total = len(result.tables["guards"])
    cut = f"First {ROWS:,} of {total:,}; all are in guards.parquet." if total > ROWS else ""
    return Table("guards", "Guards", head, body, cut, "No guard acted.")


_GUARDS = (stamp("ts", "Close (UTC)"), text("guard", "Guard"), text("symbol", "Symbol"), text("pool", "Pool"))
_RATIOS, _SHARES = ("reduce", "top-up", "call"), ("stop", "trail", "drawdown")


def _guard_value(guard: str, value: float | None) -> str:
    """The value in the unit of the guard's level; a ratio to equity that is gone has none."""
    kind = guard.split("=")[0].split("[")[0]
    if kind == "age":
        return fmt.duration(value)
    if kind in _RATIOS:
        return fmt.number(value, 3)
    return fmt.percent(value) if kind in _SHARES else fmt.number(value)


def _deed(symbol: str | None, pool: str | None, order_id: int | None) -> str:
    if order_id is not None:
        return f"sent order {order_id}"
    return "stopped trading" if pool is None else "called the strategy" if symbol is None else "added margin"


def symbols(result: Result) -> Table:
    """Where profit and cost arose, per symbol; what it says adds up to the change of equity."""
    late = delayed(result)
    note = f"Costs are below zero. {sources_note(late)}"
    frame = by_symbol(result).with_columns(pl.col("symbol").fill_null("of no symbol"))
    idle = {name for name in _COSTLY if not (frame[name] != 0).any()}
    titled = (replace(column, title=source_title(column.title, late)) for column in _SYMBOLS)
    columns = [column for column in titled if column.source not in idle]
    return listed("symbols", "By symbol", frame, columns, "No symbol was traded.", "attribution.parquet", note)


def listed(
    name: str,
    title: str,
    frame: pl.DataFrame | LazyTable,
    columns: Sequence[Column],
    empty: str,
    file: str,
    note: str = "",
    total: int | None = None,
) -> Table:
    """The rows of ``frame``, as many as are shown; ``file`` has all of them, ``total`` where ``frame`` has not."""
    shown = frame.head(MOST)
    cells = [[_cell(column, value) for value in shown[column.source].to_list()] for column in columns]
    total = frame.height if total is None else total
    cut = f"First {ROWS:,} of {total:,}; all are in {file}." if total > ROWS else ""
    head = tuple(Cell(column.title, column.figure) for column in columns)
    rows = tuple(zip(*cells, strict=True))
    raw = shown.select(list(dict.fromkeys(column.source for column in columns)))
    return Table(name, title, head, rows[:ROWS], cut, empty, note, rows[ROWS:], raw)


def _cell(column: Column, value: Any) -> Cell:
    text = column.write(value)
    return Cell(text, column.figure, "minus" if column.signed and text.startswith("-") else "")


def amount(value: float) -> Cell:
    """A gain or a cost, with its sign."""
    shown = fmt.signed(value)
    return Cell(shown, True, "minus" if shown.startswith("-") else "")


def metrics(results: Sequence[Result], combined: Result | None = None) -> Table:
    """All metrics side by side, and how far each run is from the first.

    With ``combined`` the results are sub-accounts: their sum has a column before them, and none is compared.
    """
    columns = results if combined is None else [combined, *results]
    rivals = results if combined is None else []
    head = [Cell("Metric"), *(Cell(result.label, True) for result in columns)]
    head += [Cell(f"{other.label} minus {rivals[0].label}", True) for other in rivals[1:]]
    head.append(Cell("What it says", mark="help"))
    names = fmt.ordered(name for result in columns for name in result.metrics)
    late = any(map(delayed, columns))
    rows = tuple(_metric_row(name, columns, rivals, late) for name in names)
    note = "" if combined else _BETTER
    return Table("metrics", "Metrics side by side", tuple(head), rows, note=note, empty="No metrics.")


_BETTER = "Costs are below zero. The better figure is in bold where one is clearly better. pp: percentage points."


def _metric_row(name: str, columns: Sequence[Result], rivals: Sequence[Result], late: bool) -> tuple[Cell, ...]:
    """The figures of all columns, then how far each rival is from the first of them."""
    values = [by_name(result.metrics).get(name) for result in columns]
    best = fmt.better(name, values) if rivals else [False] * len(values)
    cells = [Cell(fmt.text(name, v), True, "better" if b else "") for v, b in zip(values, best, strict=True)]
    gaps = [Cell(fmt.difference(name, by_name(other.metrics).get(name), values[0]), True) for other in rivals[1:]]
    shown = fmt.metric(name, late)
    return (Cell(shown.title), *cells, *gaps, Cell(shown.help, mark="help"))
