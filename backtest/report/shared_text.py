"""Strategies that share the margin of one account: a sentence on netting, and a table of what each has."""

from __future__ import annotations

from typing import Any

from backtest.report import formatting as fmt
from backtest.report.table_rows import Cell, Table
from backtest.results.result import Result
from backtest.results.summary_types import untyped

MONEY = {
    "pnl": "P&L", "trading": "Trading", "funding": "Funding", "fees": "Fees", "relief": "Fund and bad debt",
    "initial_highest": "Highest stand-alone margin",
}  # fmt: skip
NOTE = (
    "Stand-alone margin is the initial margin that a strategy's virtual positions would need without the others. "
    "Positions that offset each other need less together."
)


def _shared(account: Result) -> dict[str, Any]:
    found = untyped(account.summary).get("shared_margin")
    return found if isinstance(found, dict) else {}


def netting_words(account: Result) -> list[str]:
    """What netting between the strategies has saved at most, in initial margin; nothing of an account of one."""
    if not _shared(account):
        return []
    most, quote = _shared(account)["most_netting"], account.summary["data"]["quote"]
    if not most or not most["saved"]:
        return ["Netting between the strategies never saved initial margin."]
    alone, needed, saved = (fmt.number(most[name]) for name in ("standalone", "account", "saved"))
    said = f"Netting between the strategies saved up to {saved} {quote} of initial margin"
    return [f"{said}: stand-alone they needed {alone} {quote}, the account {needed}."]


def strategies_table(account: Result) -> Table:
    """A row per strategy that shares the account, money in quote units; no rows of an account of one."""
    head = ("Strategy", *MONEY.values(), "Fills", "Margin limit", "Loss cap", "Orders beyond the limit")
    rows = [
        (
            Cell(str(one["label"])),
            *(Cell(fmt.number(one[name]), True) for name in MONEY),
            Cell(fmt.count(one["fills"]), True),
            Cell(str(one["margin_limit"] or "none"), True),
            Cell(str(one["loss_cap"] or "none"), True),
            Cell(fmt.count(one["rejected_by_limit"]), True),
        )
        for one in _shared(account).get("strategies", ())
    ]
    heads = tuple(Cell(title, n > 0) for n, title in enumerate(head))
    return Table("strategies", "Strategies", heads, tuple(rows), note=NOTE)
