"""The liquidations of a run as tables: one row per pool that was liquidated, and the steps of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backtest.report import formatting as fmt
from backtest.report.downsampling import CROSS, stamps
from backtest.report.outcome import DELEVERAGED, STEPS, Loss, Outcome
from backtest.report.table_rows import ROWS, Cell, Table

DETAILED, LISTED = 10, 40
"""Liquidations whose steps are shown, and steps of one of them."""
FILE = "liquidations.parquet"
ENDED = {
    "whole": "closed whole",
    "backstop": "handed to the backstop",
    "adl": "closed by auto-deleveraging, at its bankruptcy price",
    "socialised": "closed completely, the loss socialized",
}
"""How a liquidation ended that did not end with a step, by the stage of its last row."""
STAGES = {
    "whole": "the whole pool",
    "partial": "part of the position",
    "position": "the whole position",
    "backstop": "handed to the backstop",
    "adl": "closed by auto-deleveraging",
    "socialised": "the whole margin account, loss socialized",
    "deleveraged": "closed by auto-deleveraging",
}
NOTE = (
    "Health is equity over maintenance margin of the margin account: liquidation begins below 100%. "
    "Insurance fund: negative if the account paid, positive if the fund paid for the account."
)


@dataclass(frozen=True)
class Column:
    """A column of the overview; it is left out where no liquidation wants it."""

    title: str
    write: Callable[[Loss], str]
    figure: bool = True
    wanted: Callable[[Loss], bool] | None = None


@dataclass(frozen=True)
class Listing:
    """What the page shows of an account's liquidations."""

    overview: Table
    steps: tuple[Table, ...]
    more: str


def listing(out: Outcome, empty: str = "No liquidation.") -> Listing:
    """The overview in order of time, and the steps of the first liquidations that had several; ``empty`` stands where
    there was none."""
    events = sorted((*out.losses, *out.deleveraged), key=lambda loss: loss.ts_ms)
    long = [loss for loss in events if not _single(loss)]
    more = f"The steps of the first {DETAILED} of {len(long):,}; all are in {FILE}." if len(long) > DETAILED else ""
    return Listing(_overview(events, empty), tuple(_steps(loss) for loss in long[:DETAILED]), more)


def health(equity: float, maintenance: float) -> str:
    """Equity over maintenance; words where nothing is held."""
    return fmt.percent(equity / maintenance, 1) if maintenance > 0 else "nothing held"


def ended(loss: Loss) -> str:
    """What became of the pool, in words."""
    if loss.stage == DELEVERAGED:
        return (
            f"{'closed' if loss.closed else 'reduced'} by auto-deleveraging; the position it hedged was left unhedged"
        )
    if loss.stage not in STEPS:
        return ENDED[loss.stage]
    if loss.maintenance_after == 0:
        return "closed in steps" if loss.steps > 1 else "closed whole"
    return "reduced until healthy" if loss.equity_after >= loss.maintenance_after else "reduced"


def _single(loss: Loss) -> bool:
    return len(loss.rows) == 1


def _closed(loss: Loss) -> str:
    return fmt.quantity(abs(loss.rows["qty"][0])) if _single(loss) else ""


def _price(loss: Loss) -> str:
    return fmt.price(loss.rows["price"][0]) if _single(loss) else ""


def _lasted(loss: Loss) -> str:
    return fmt.duration(loss.end_ms - loss.ts_ms) if loss.end_ms > loss.ts_ms else "at once"


def _ambiguous(loss: Loss) -> str:
    return "yes" if loss.ambiguous else "no"


def _symbols(loss: Loss) -> str:
    return ", ".join(loss.symbols) if len(loss.symbols) <= 4 else f"{len(loss.symbols)} positions"


_OVERVIEW = (
    Column("Time (UTC)", lambda loss: fmt.moment(loss.ts_ms), figure=False),
    Column("Pool", lambda loss: loss.pool, figure=False, wanted=lambda loss: loss.pool != CROSS),
    Column("Positions", _symbols, figure=False),
    Column("What happened", ended, figure=False),
    Column("Steps", lambda loss: fmt.count(loss.steps)),
    Column("Took", _lasted, wanted=lambda loss: loss.end_ms > loss.ts_ms),
    Column("Closed", _closed, wanted=_single),
    Column("Price", _price, wanted=_single),
    Column("Health before", lambda loss: health(loss.equity, loss.maintenance)),
    Column("Health after", lambda loss: health(loss.equity_after, loss.maintenance_after)),
    Column("Insurance fund", lambda loss: fmt.signed(0.0 - loss.insurance)),
    Column("Bad debt", lambda loss: fmt.number(loss.bad_debt), wanted=lambda loss: loss.bad_debt > 0),
    Column("Cost to the counterparty", lambda loss: fmt.number(loss.adl_loss), wanted=lambda loss: loss.adl_loss > 0),
    Column("Ambiguous", _ambiguous, figure=False, wanted=lambda loss: loss.ambiguous),
)


def _overview(events: Sequence[Loss], empty: str) -> Table:
    columns = [column for column in _OVERVIEW if column.wanted is None or any(map(column.wanted, events))]
    rows = tuple(tuple(_cell(column.write(loss), column.figure) for column in columns) for loss in events[:ROWS])
    cut = f"First {ROWS:,} of {len(events):,}; all are in {FILE}." if len(events) > ROWS else ""
    head = tuple(Cell(column.title, column.figure) for column in columns)
    return Table("liquidations", "Liquidations", head, rows, cut, empty)


_STEPS = (
    ("Time (UTC)", False), ("Symbol", False), ("What was closed", False), ("Position before", True), ("Closed", True),
    ("Share", True), ("Price", True), ("Insurance fund", True), ("Bad debt", True), ("Health before", True),
    ("Health after", True),
)  # fmt: skip


def _steps(loss: Loss) -> Table:
    rows = []
    for ts_ms, row in zip(stamps(loss.rows[:LISTED]).tolist(), loss.rows[:LISTED].iter_rows(named=True), strict=True):
        share = -row["qty"] / row["held"] if row["held"] else None
        texts = (
            fmt.moment(ts_ms), row["symbol"], STAGES[row["stage"]], fmt.quantity(abs(row["held"] or 0.0)),
            fmt.quantity(abs(row["qty"])), fmt.percent(share, 1), fmt.price(row["price"]),
            fmt.signed(0.0 - row["insurance"]), fmt.number(row["bad_debt"]),
            health(row["equity_before"], row["maintenance_before"]),
            health(row["equity_after"], row["maintenance_after"]),
        )  # fmt: skip
        rows.append(tuple(_cell(text, figure) for text, (_, figure) in zip(texts, _STEPS, strict=True)))
    cut = f"First {LISTED} of {len(loss.rows):,}; all are in {FILE}." if len(loss.rows) > LISTED else ""
    title = f"{_symbols(loss)}, {fmt.moment(loss.ts_ms)}: {ended(loss)}, {fmt.plural(loss.steps, 'step')}"
    head = tuple(Cell(name, figure) for name, figure in _STEPS)
    return Table("steps", title, head, tuple(rows), cut)


def _cell(text: str, figure: bool) -> Cell:
    return Cell(text, figure, "minus" if text.startswith("-") else "")
