"""What one run gives: a summary and its tables."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from backtest.results.lazy_tables import Tables
from backtest.results.metric_definitions import Metrics
from backtest.results.summary_types import RunSummary


@dataclass(frozen=True, repr=False)
class Result:
    """One account's run, in memory as on disk."""

    label: str
    """Short name, such as the margin mode: its curve's name in a comparison, and its folder's."""
    summary: RunSummary
    """See :func:`backtest.results.summary.build`."""
    tables: Tables
    """By name, made when they are asked for; see :func:`backtest.results.tables.tables`."""
    folder: Path | None = None
    """Where its report was written; None: nowhere."""

    @property
    def metrics(self) -> Metrics:
        """Numbers by name, None where undefined; see :func:`backtest.results.metrics.metrics`."""
        return self.summary["metrics"]

    @property
    def digest(self) -> str:
        """SHA-256 over the tables."""
        return str(self.summary["digest"])

    @property
    def headline(self) -> str:
        """What came of the account, in one line: equity in quote, fills, and liquidations where there were any."""
        found = self.metrics
        liquidations = int(found["pool_liquidations"])
        counted = [_counted(int(found["fills"]), "fill")]
        counted += [_counted(liquidations, "liquidation")] if liquidations else []
        quote = self.summary["data"]["quote"]
        return f"equity {found['start_cash']:,.2f} → {found['final_equity']:,.2f} {quote}, {', '.join(counted)}"

    def __repr__(self) -> str:
        """Return one line for a notebook or a prompt: what was run, on what, and its headline."""
        config, data = self.summary["config"], self.summary["data"]
        days = [dt.datetime.fromtimestamp(data[end] / 1000, dt.UTC).date() for end in ("from_ms", "to_ms")]
        what = [
            self.label,
            str(config["venue"]),
            _counted(len(data["symbols"]), "market"),
            f"{days[0]} to {days[1]}",
            self.headline,
            *([] if self.folder is None else [f"report in {self.folder}"]),
        ]
        return f"<Result {self.summary['strategy']['name']}: {', '.join(what)}>"


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
