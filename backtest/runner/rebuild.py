"""`report`: make the page of a report again, from its tables and its summary alone."""

from __future__ import annotations

from pathlib import Path

from backtest.core.errors import UserError
from backtest.report.latency_page import render_latency
from backtest.report.page import render_comparison
from backtest.report.run_page import render
from backtest.report.variants_page import render_variants
from backtest.results import report_files
from backtest.results.digest import digest
from backtest.results.summary import COMPARISON, LATENCY


def rebuild(folder: str | Path) -> Path:
    """Write the page of the report in ``folder`` again, and return its path. No strategy is run, and no data are read.

    The page is that of this version: an old run gets the new page, and one of the same version the same bytes.
    UserError if the folder is no report, its tables are not those of its digest, or it is one of sub-accounts, whose
    sum is not among the tables.
    """
    found = report_files.stored(folder)
    for result in found.results:
        if digest(result.tables) != result.summary.get("digest"):
            thing = "the tables are not those that the summary's digest was made of"
            raise UserError(thing, str(folder), report_files.AGAIN)
    return report_files.replace_page(folder, _page(found, folder))


def _page(found: report_files.Stored, folder: str | Path) -> str:
    results = list(found.results)
    if found.kind in report_files.SINGLE:
        return render(results[0], found.beside.get(report_files.CANDLES))
    if found.kind == COMPARISON:
        told = found.documents[report_files.SUMMARY]
        if "varied" in told:
            return render_variants(results, told["varied"], told["partings"], told["left_out"])
        return render_comparison(results, left_out=told.get("left_out"))
    if found.kind == LATENCY:
        return render_latency(results)
    raise UserError("the sum of sub-accounts is not among their tables", str(folder), report_files.AGAIN)
