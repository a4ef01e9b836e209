"""`verify`: run what a report says again, and compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.errors import UserError
from backtest.research import latency
from backtest.research.run import plan, played, result
from backtest.research.subaccounts import Asked, play
from backtest.results import files
from backtest.results.result import Result

ASKED = (
    "symbols", "venue", "leverage", "cash", "path", "latency_ms", "slippage_bps", "slippage", "volume_share",
    "limit_fill", "fee_bps", "maker_fee_bps", "fee_discount", "params", "seed", "allow", "modes", "isolate_above",
    "adl", "adl_top", "chain", "outages", "force_inclusion", "reserve", "oracle", "gas", "guards",
)  # fmt: skip


@dataclass(frozen=True)
class Verification:
    """Digests of the report's runs and of the same runs played again, by label, joined by commas."""

    ok: bool
    expected: str
    found: str
    differences: tuple[str, ...] = ()
    """What else is not as it was: the data's fingerprint, the strategy's source, versions."""


def verify(folder: str | Path, data: str | Path | None = None) -> Verification:
    """Play the runs of the report in ``folder`` again. ``data``: where the dataset lies now, if it was moved.

    UserError if the folder is no report, or its strategy or data cannot be found.
    """
    read = files.read(Path(folder))
    before = list(read.values()) if isinstance(read, dict) else [read]
    asked = [_asked(report, Path(folder)) for report in before]
    place = asked[0][1]
    if data is None and not place.exists():
        raise UserError("the report's data are no longer there", str(place), "say where they lie with --data")
    about = before[0].summary
    again = _sub_accounts if "sub_account" in about else _delays if "delays_ms" in about else _modes
    after = again(before, asked, Path(data) if data is not None else place)
    changed = dict.fromkeys(name for pair in zip(before, after, strict=True) for name in _differences(*pair))
    if "data" in changed and data is None:
        raise UserError("the data have changed since", str(place), "name the data of the report with --data")
    expected, found = (",".join(r.digest for r in results) for results in (before, after))
    return Verification(expected == found, expected, found, tuple(changed))


Report = tuple[str, Path, dict[str, Any]]
"""Strategy, data and settings of a run."""


def _modes(before: Sequence[Result], asked: Sequence[Report], data: Path) -> list[Result]:
    """One strategy in the margin modes of the report."""
    strategy, _, settings = asked[0]
    planned, records = played(plan(strategy, data, **settings), [r.label for r in before])
    return [result(planned, record) for record in records]


def _delays(before: Sequence[Result], asked: Sequence[Report], data: Path) -> list[Result]:
    """One strategy at each delay of the report."""
    strategy, _, settings = asked[0]
    # A report's runs are read in the order of their names, which is not that of the delays.
    delays = [settings["latency_ms"] for _, _, settings in asked]
    return latency.play(plan(strategy, data, **settings), before[0].summary["config"]["margin"], delays)


def _sub_accounts(before: Sequence[Result], asked: Sequence[Report], data: Path) -> list[Result]:
    """Every strategy in its sub-account."""
    accounts = [
        Asked(report.label, strategy, report.summary["config"]["margin"], settings)
        for report, (strategy, _, settings) in zip(before, asked, strict=True)
    ]
    return play(accounts, data)[0]


def _asked(report: Result, folder: Path) -> Report:
    """Strategy, data and settings of a run, as its summary says."""
    try:
        config = report.summary["config"]
        settings: dict[str, Any] = {name: config[name] for name in ASKED}
        settings |= {name: config[f"{name}_ms"] for name in ("start", "end", "interval", "drill", "reorg")}
        return config["strategy"], Path(config["data"]), settings
    except (KeyError, TypeError) as error:
        raise UserError(f"summary.json does not say {error}", str(folder), "run it again") from None


def _differences(before: Result, after: Result) -> tuple[str, ...]:
    """Names of the things that a digest can depend on and that are not as they were."""
    changed = []
    if before.summary["data"]["fingerprint"] != after.summary["data"]["fingerprint"]:
        changed.append("data")
    if before.summary["strategy"]["source"] != after.summary["strategy"]["source"]:
        changed.append("strategy")
    if before.summary["config"].get("venue_sha256") != after.summary["config"]["venue_sha256"]:
        changed.append("venue")
    if before.summary["config"].get("depth_sha256") != after.summary["config"]["depth_sha256"]:
        changed.append("depth table")
    if before.summary["config"].get("chain_sha256") != after.summary["config"]["chain_sha256"]:
        changed.append("chain")
    if before.summary["config"].get("outages_played") != after.summary["config"]["outages_played"]:
        changed.append("outages")
    versions = before.summary["versions"]
    changed += [name for name, version in after.summary["versions"].items() if versions.get(name) != version]
    return tuple(changed)
