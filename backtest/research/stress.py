"""`stress`: the same strategy under each scenario of a pack, in each margin mode, a row for each account."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import polars as pl

from backtest.core.errors import RunError, UserError
from backtest.data.catalog import Catalog, DataSource
from backtest.data.scenarios.pack import Pack, load
from backtest.report.stress_page import StressFacts, render_stress
from backtest.research import survival
from backtest.research.grid import all_of, columns_of
from backtest.research.stress_folder import PACK, claim, write
from backtest.research.stress_playing import Playing, Progress, Variant
from backtest.research.stress_run import StressGround, StressJob, plan_variant
from backtest.research.workers import WORKER
from backtest.results.summary import plain
from backtest.runner.axis import axes_of
from backtest.runner.origins import keyword_errors
from backtest.runner.run_document import MEMORY, document_text, named_again
from backtest.runner.run_keywords import StressKeywords
from backtest.runner.setting import STRESS, Group
from backtest.runner.settings import RunSettings, settings_of
from backtest.runner.strategy_choice import chosen
from backtest.runner.validation import checked
from backtest.strategy.loader import StrategySource, source_sha256
from backtest.venues.margin_modes import require


@dataclass(frozen=True, repr=False)
class Stress:
    """The accounts of a stress as a table, and the page of it."""

    frame: pl.DataFrame
    """A row per scenario, variant and margin mode, those without a scenario first; docs/reference/scenarios.md."""
    pack: Pack
    page: str
    about: Mapping[str, object]
    """What the runs depend on: source of the strategy, fingerprints of the data, venues."""
    folder: Path | None = None
    """Where it was written; None: nowhere."""

    def survived(self, margin: str) -> float:
        """Return the share of the scenarios that a margin mode survived, over all variants."""
        own = self.frame.filter((pl.col("margin") == margin) & (pl.col("scenario") != survival.BASELINE))
        known = own["survived"].drop_nulls()
        if not known.len():
            raise UserError(f"no account in margin mode {margin!r}", "stress", "name one that was played")
        return float(known.mean())  # type: ignore[arg-type]

    def __repr__(self) -> str:
        """Return one line for a notebook or a prompt."""
        scenarios = len(self.pack.scenarios)
        lost = self.frame.filter(~pl.col("survived")).height
        where = f", in {self.folder}" if self.folder else ""
        return f"<Stress of {scenarios} scenarios, {self.frame.height:,} accounts, {lost} liquidated{where}>"


@keyword_errors(STRESS)
def stress(
    strategy: StrategySource | None = None,
    data: DataSource = "",
    *,
    progress: Progress | None = None,
    **settings: Unpack[StressKeywords],
) -> Stress:
    """Replay the strategy under each scenario of a pack in each margin mode, and return the survival table.

    ``scenario``: a pack of the package, or a TOML file. ``vary``: values of settings, such as
    ``{"venue": ["dydx_v4", "hyperliquid"]}``; each combination is a variant. Other settings are those of `run`.
    ``out``: the folder of the page and the table.

    A run that fails is a row with its reason. Raises UserError for bad settings, data or scenarios, RunError where
    every run has failed.
    """
    if os.environ.get(WORKER):
        thing = "stress() was called while a worker imported this file"
        raise UserError(thing, "stress", 'put the call under `if __name__ == "__main__":`')
    asked = checked(settings, STRESS)
    target = claim(Path(asked.out)) if asked.out is not None else None
    pack = load(asked.scenario)
    if asked.cascade is not None:
        pack = pack.with_cascade(None if isinstance(asked.cascade, str) else asked.cascade)
    given = {name: value for name, value in settings.items() if value is not None}
    ground, spec = _ground(strategy, data, asked, given)
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    variants = variants_of(ground, catalog, asked)
    frame, curves = Playing(ground, variants, pack, asked, progress or _silent).rows()
    if not frame["digest"].drop_nulls().len():
        raise RunError(f"all {frame.height:,} runs failed, the first: {frame['error'].drop_nulls()[0]}")
    page = render_stress(frame, _facts(variants[0], pack), curves)
    about = _about(variants, pack)
    if target is None:
        return Stress(frame, pack, page, about)
    named = replace(asked, data=catalog.address, scenario=str(target / PACK))
    document = document_text(STRESS, named, [spec] if spec else [], target)
    return Stress(frame, pack, page, about, write(target, frame, page, pack.text, document, about))


def _silent(done: int, runs: int) -> None:
    """Tell nobody."""


def _ground(
    strategy: StrategySource | None, data: DataSource, asked: RunSettings, given: Mapping[str, object]
) -> tuple[StressGround, str]:
    """What all runs have in common, and the text that names the strategy in a file."""
    own = {told.name for told in settings_of(STRESS) if told.group in (Group.SWEEP, Group.STRESS)} | {"out", "margin"}
    for name in asked.vary:
        if name in ("margin", "drill") or name in given:
            remedy = {"margin": "name the modes with --margin", "drill": "leave it out"}.get(name, "give it once")
            raise UserError(f"{name} cannot be varied here", "--vary", remedy)
    fixed = {name: getattr(asked, name) for name in given if name not in own}
    modes = tuple(f"{symbol}={mode}" for symbol, mode in asked.modes.items())
    address = data.address if isinstance(data, Catalog) else str(data)
    if strategy is None:
        chosen(strategy, asked)
        return StressGround(None, address, fixed, modes), ""
    if isinstance(strategy, str | Path):
        return StressGround(str(strategy), address, fixed, modes), str(strategy)
    cls = strategy if isinstance(strategy, type) else type(strategy)
    spec = f"{cls.__module__}:{cls.__qualname__}"
    text = MEMORY + cls.__qualname__ if cls.__module__ == "__main__" else named_again(strategy, spec)
    return StressGround(strategy, address, fixed, modes), text


def variants_of(ground: StressGround, catalog: Catalog, asked: RunSettings) -> list[Variant]:
    """Every combination of what varies, planned; UserError for what is wrong with any of them."""
    grid = all_of(axes_of({}, {}, asked.vary, "stress"), None) if asked.vary else None
    catalogs = {ground.data: catalog}
    found = []
    for number in range(len(grid) if grid else 1):
        settings = grid.job(number).settings if grid else {}
        shown = dict(zip(columns_of(grid.axes), grid.frame.row(number), strict=True)) if grid else {}
        shown.pop("venue", None)
        plan = plan_variant(ground, StressJob(number, settings, asked.margin_modes), catalogs)
        left_out = {mode: why for mode in asked.margin_modes if (why := plan.profile.lacks(mode))}
        modes = tuple(mode for mode in asked.margin_modes if mode not in left_out)
        found.append(Variant(number, settings, shown, plan, modes, left_out))
    if not any(one.modes for one in found):
        require(found[0].plan.profile, asked.margin_modes[0])
    return found


def _facts(variant: Variant, pack: Pack) -> StressFacts:
    s, strategy = variant.plan.selection, type(variant.plan.strategy).describe()
    return StressFacts(
        strategy=strategy.name, doc=strategy.doc, quote=s.catalog.quote, synthetic=s.catalog.synthetic,
        data=s.catalog.name, symbols=s.symbols, span=variant.span, pack=pack.title,
        cash=variant.plan.config.cash,
        sources=tuple((one.name, one.title, one.source) for one in pack.scenarios),
    )  # fmt: skip


def _about(variants: Sequence[Variant], pack: Pack) -> dict[str, object]:
    """What `summary.json` says."""
    first = variants[0].plan
    found: dict[str, object] = plain(
        {
            "strategy": {
                "name": first.config.strategy,
                "source": None if first.config.positions else source_sha256(first.strategy),
            },
            "data": {"name": first.selection.catalog.name, "address": first.selection.catalog.address},
            "fingerprints": [one.plan.selection.fingerprint() for one in variants],
            "venues": [[one.venue, one.plan.profile.sha256()] for one in variants],
            "pack": pack.name,
            "scenarios": [one.name for one in pack.scenarios],
        }
    )
    return found
