"""Tables of a run as rows of text, cut where a reader would stop reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from backtest.report import format as fmt
from backtest.report.outcome import by_symbol

if TYPE_CHECKING:
    from backtest.results.result import Result

ROWS = 200
"""Rows shown of a long table; all of them are in its Parquet file."""


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


def _text(source: str, title: str) -> Column:
    return Column(source, title, _word, figure=False)


def _stamp(source: str, title: str) -> Column:
    return Column(source, title, _time, figure=False)


def _money(source: str, title: str) -> Column:
    return Column(source, title, fmt.number, signed=True)


_TRADES = (
    _text("symbol", "Symbol"), _text("side", "Side"), _stamp("ts_entry", "Entry (UTC)"),
    _stamp("ts_exit", "Exit (UTC)"), Column("hold", "Held", _hold), Column("qty", "Quantity", fmt.quantity),
    Column("entry_price", "Entry price", fmt.price), Column("exit_price", "Exit price", fmt.price),
    _money("realized", "Realised"), _money("fees", "Fees"), _money("funding", "Funding"),
    _money("penalty", "Penalty"), _money("net", "Net"), _text("exit_cause", "Closed by"),
)  # fmt: skip
_LIQUIDATIONS = (
    _stamp("ts", "Time (UTC)"), _text("pool", "Pool"), _text("symbol", "Symbol"), _text("stage", "Stage"),
    Column("qty", "Quantity", fmt.quantity), Column("price", "Price", fmt.price),
    _money("equity_before", "Equity"), _money("maintenance_before", "Maintenance"),
    _money("equity_after", "Equity left"), _money("penalty", "Penalty"), _money("bad_debt", "Bad debt"),
    Column("ambiguous", "Ambiguous", lambda v: "yes" if v else "no", figure=False),
)  # fmt: skip
_UNFILLED = (
    _stamp("ts_sent", "Sent (UTC)"), _stamp("ts_done", "Ended (UTC)"), _text("symbol", "Symbol"),
    _text("side", "Side"), _text("type", "Type"), Column("qty", "Quantity", fmt.quantity),
    Column("filled_qty", "Filled", fmt.quantity), _text("status", "Ended as"), _text("reason", "Reason"),
)  # fmt: skip
_AMBIGUOUS = (_stamp("ts", "Candle (UTC)"), _text("pool", "Pool"))
_SYMBOLS = (
    _text("symbol", "Symbol"), Column("fills", "Fills", fmt.count), _money("realized", "Realised"),
    _money("funding", "Funding"), _money("fees", "Fees"), _money("penalties", "Penalties"),
)  # fmt: skip


def trades(result: Result) -> Table:
    """Finished round trips; what is still open is said, not listed."""
    left = result.metrics.get("open_trades") or 0
    note = f"{fmt.plural(left, 'position')} still open at the end: not in this table." if left else ""
    empty = "No round trip was finished." if left else "No position was opened."
    return _table("trades", "Trades", result.tables["trades"], _TRADES, empty, "trades.parquet", note)


def liquidations(result: Result) -> Table:
    """One row per position that went."""
    frame = result.tables["liquidations"]
    empty = "No liquidation: no pool fell below its maintenance margin."
    return _table("liquidations", "Liquidations", frame, _LIQUIDATIONS, empty, "liquidations.parquet")


def unfilled(result: Result) -> Table:
    """Orders that ended otherwise than filled, with the reason."""
    orders = result.tables["orders"]
    rest = orders.filter(pl.col("status").cast(pl.String).str.to_lowercase() != "filled")
    empty = "Every order was filled." if len(orders) else "No order was sent."
    title = "Orders that were not filled"
    return _table("unfilled", title, rest, _UNFILLED, empty, "orders.parquet")


def ambiguous(result: Result) -> Table:
    """Candles inside which the path of prices decides."""
    frame = result.tables["ambiguous"]
    empty = "No ambiguous candle: whatever the path of prices inside the candles, the same pools survive."
    return _table("ambiguous", "Ambiguous candles", frame, _AMBIGUOUS, empty, "ambiguous.parquet")


def symbols(result: Result) -> Table:
    """Where profit and cost arose, per symbol."""
    note = "Realised: closed profit of price moves after slippage, before fees. An open position's profit is not in it."
    return _table("symbols", "By symbol", by_symbol(result), _SYMBOLS, "No symbol was traded.", "fills.parquet", note)


def _table(
    name: str, title: str, frame: pl.DataFrame, columns: Sequence[Column], empty: str, file: str, note: str = ""
) -> Table:
    shown = frame.head(ROWS)
    cells = [[_cell(column, value) for value in shown[column.source].to_list()] for column in columns]
    total = len(frame)
    cut = f"First {ROWS:,} of {total:,}; all are in {file}." if total > ROWS else ""
    head = tuple(Cell(column.title, column.figure) for column in columns)
    return Table(name, title, head, tuple(zip(*cells, strict=True)), cut, empty, note)


def _cell(column: Column, value: Any) -> Cell:
    text = column.write(value)
    return Cell(text, column.figure, "minus" if column.signed and text.startswith("-") else "")


def metrics(results: Sequence[Result]) -> Table:
    """All metrics side by side, and how far each run is from the first."""
    first, *others = results
    names = fmt.ordered(name for result in results for name in result.metrics)
    head = [Cell("Metric"), *(Cell(result.label, True) for result in results)]
    head += [Cell(f"{other.label} minus {first.label}", True) for other in others]
    head.append(Cell("What it says", mark="help"))
    rows = []
    for name in names:
        values = [result.metrics.get(name) for result in results]
        best = fmt.better(name, values)
        cells = [Cell(fmt.text(name, v), True, "better" if b else "") for v, b in zip(values, best, strict=True)]
        gaps = [Cell(fmt.difference(name, v, values[0]), True) for v in values[1:]]
        shown = fmt.metric(name)
        rows.append((Cell(shown.title), *cells, *gaps, Cell(shown.help, mark="help")))
    note = "The better figure is in bold where nobody would argue which one that is. pp: percentage points."
    return Table("metrics", "Metrics side by side", tuple(head), tuple(rows), note=note, empty="No metrics.")
