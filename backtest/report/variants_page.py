"""The page of `compare --vary`: a table of all accounts, the best and the worst, and where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backtest.report import charts, liquidation_tables
from backtest.report import formatting as fmt
from backtest.report.charts import SHOWN
from backtest.report.outcome import Outcome, outcome
from backtest.report.page import document, quote_of, settings_of, sources_table
from backtest.report.table_rows import Cell, Table
from backtest.results.metric_definitions import by_name

if TYPE_CHECKING:
    from backtest.results.result import Result

Varied = Mapping[str, Mapping[str, Any]]
"""By label, what an account has of each setting that varies."""
Partings = Sequence[Mapping[str, Any]]

COLUMNS = (
    "final_equity", "return", "max_drawdown_inside", "min_distance_inside", "pool_liquidations", "fees", "funding",
)  # fmt: skip


def render_variants(
    results: list[Result], varied: Varied, partings: Partings, left_out: Mapping[str, str] | None = None
) -> str:
    """Return the page of several accounts that differ in some settings; the first is what the others part from."""
    outs = [outcome(result) for result in results]
    quote = quote_of(results[0])
    order = ranked(results)
    shown = sorted({*order[: SHOWN // 2], *order[len(order) - (SHOWN - SHOWN // 2) :]}) if len(order) > SHOWN else order
    accounts = charts.runs([results[i] for i in sorted(shown)], [outs[i] for i in sorted(shown)])
    return document(
        "variants.html.j2",
        results[0],
        results,
        charts={"equity": charts.equity_chart(accounts, quote), "margin": charts.margin_chart(accounts)},
        words=variant_words(results, outs, partings, left_out),
        tables={
            "accounts": _accounts_table(results, varied),
            "partings": _partings_table(results[0].label, partings),
            "sources": sources_table(outs),
        },
        cut="" if len(shown) == len(results) else f"The {len(shown)} best and worst of {len(results)} are drawn.",
        deleveraged=any(out.deleveraged for out in outs),
        liquidations=[(out.label, liquidation_tables.listing(out)) for out in outs if out.losses or out.deleveraged],
        health=liquidation_tables.NOTE if any(out.losses or out.deleveraged for out in outs) else "",
        settings=[fact for fact in settings_of(results[0]) if all(fact in settings_of(r) for r in results)],
    )


def ranked(results: Sequence[Result]) -> list[int]:
    """Return places of the accounts, the highest return first; those without one last, equal ones in their order."""
    returns = [by_name(result.metrics)["return"] for result in results]
    return sorted(range(len(results)), key=lambda i: (returns[i] is None, -(returns[i] or 0.0), i))


def variant_words(
    results: Sequence[Result], outs: Sequence[Outcome], partings: Partings, left_out: Mapping[str, str] | None = None
) -> list[str]:
    """Return the outcome in sentences, for the page and the terminal."""
    order = ranked(results)
    best, worst = order[0], order[-1]
    said = [
        f"Best: {_told(results[best], outs[best])}. Worst: {_told(results[worst], outs[worst])}.",
    ]
    dead = [out.label for out in outs if out.losses]
    if dead:
        said.append(f"{fmt.plural(len(dead), 'account')} of {len(outs)} liquidated: {fmt.listing(dead)}.")
    else:
        said.append(f"None of the {len(outs)} accounts was liquidated.")
    known = [row for row in partings if row["ts_ms"] is not None]
    if known:
        first = min(known, key=lambda row: int(row["ts_ms"]))
        said.append(
            f"The first to part from {results[0].label} is {first['label']}, at {fmt.moment(int(first['ts_ms']))}: "
            f"its {first['by']} differs."
        )
    same = [str(row["label"]) for row in partings if row["ts_ms"] is None]
    if same:
        said.append(f"{fmt.listing(same)} never {'parts' if len(same) == 1 else 'part'} from {results[0].label}.")
    said += [f"{label} is left out: {why}." for label, why in sorted((left_out or {}).items())]
    return said


def _told(result: Result, out: Outcome) -> str:
    gained = by_name(result.metrics)["return"]
    figure = fmt.signed(out.change) if gained is None else fmt.text("return", gained)
    lost = f", first liquidated at {fmt.moment(out.losses[0].ts_ms)}" if out.losses else ""
    return f"{result.label} with {figure}{lost}"


def _accounts_table(results: Sequence[Result], varied: Varied) -> Table:
    names = sorted({name for one in varied.values() for name in one})
    values = {name: [by_name(result.metrics)[name] for result in results] for name in COLUMNS}
    best = {name: fmt.better(name, values[name]) for name in COLUMNS}
    rows = []
    for n, result in enumerate(results):
        own = varied[result.label]
        what = (Cell(str(own.get(name, "")), not isinstance(own.get(name), str)) for name in names)
        figures = (Cell(fmt.text(name, values[name][n]), True, "better" if best[name][n] else "") for name in COLUMNS)
        rows.append((Cell(result.label), *what, *figures))
    titles = [("Account", False), *((name.replace("_", " "), False) for name in names)]
    head = tuple(Cell(title, figure) for title, figure in titles)
    head += tuple(Cell(fmt.metric(name, False).title, True) for name in COLUMNS)
    return Table("accounts", "All accounts", head, tuple(rows))


def _partings_table(base: str, partings: Partings) -> Table:
    def when(ms: object) -> str:
        return "never" if ms is None else fmt.moment(int(str(ms)))

    rows = tuple(
        (Cell(str(row["label"])), *(Cell(when(row[name]), True) for name in ("fill_ms", "liquidation_ms", "equity_ms")))
        for row in partings
    )
    head = (Cell("Account"), Cell("First other fill", True), Cell("First other liquidation", True),
            Cell("First other equity", True))  # fmt: skip
    note = f"When each account first differs from {base}; equity is compared at closes."
    return Table("partings", "Where accounts part", head, rows, note=note)
