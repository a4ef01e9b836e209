"""`montecarlo`: the same account on many other histories of its markets, each replayed through the engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtest.core.durations import parse
from backtest.core.durations import text as length_text
from backtest.core.errors import RunError, UserError
from backtest.data.catalog import DataSource
from backtest.research.kernels import worker_environment
from backtest.research.montecarlo_folder import claimed, write
from backtest.research.montecarlo_result import MonteCarlo
from backtest.research.path_run import CANDLES, POINTS, TRADES, PathGround, PathRun, path_run
from backtest.research.statistics import block_length
from backtest.research.workers import WORKER, Died, Pool, Task
from backtest.results.judgement import judged
from backtest.runner.origins import keyword_errors
from backtest.runner.plan import Plan, plan_of
from backtest.runner.replays import in_place, replay
from backtest.runner.run import document
from backtest.runner.run_document import MEMORY, named_again
from backtest.runner.run_keywords import MontecarloKeywords
from backtest.runner.setting import MONTECARLO
from backtest.runner.settings import RunSettings
from backtest.runner.timeout import within
from backtest.runner.validation import checked
from backtest.strategy.base import Strategy
from backtest.strategy.loader import StrategySource, source_sha256
from backtest.venues.margin_modes import split

PLAYER = "backtest.research.path_run:player"
ALL = "all"
"""The block that is the whole history, from its first candle on."""
SCHEMA = pl.Schema(
    {
        "path": pl.Int64(), "margin": pl.String(), "survived": pl.Boolean(), "final_equity": pl.Float64(),
        "return": pl.Float64(), "max_drawdown": pl.Float64(), "sharpe": pl.Float64(), "liquidations": pl.Int64(),
        "liquidated_after_ms": pl.Int64(), "error": pl.String(),
    }
)  # fmt: skip
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Floats = NDArray[np.float64]
MonteCarloProgress: TypeAlias = Callable[[int, int, int], None]
"""Called with paths done, paths in all, and how many of them survived in the first margin mode."""


@keyword_errors(MONTECARLO)
def montecarlo(
    strategy: StrategySource | None = None,
    data: DataSource = "",
    *,
    progress: MonteCarloProgress | None = None,
    **settings: Unpack[MontecarloKeywords],
) -> MonteCarlo:
    """Replay an account on resampled histories, and return how its outcomes are distributed.

    ``resample="candles"`` draws blocks of joint candles, so that liquidation is part of every path. ``"starts"`` begins
    at random dates and ``"trades"`` puts the run's own trades in another order: both are weaker, since they see no
    price that was not there, and the latter replays nothing. ``settings``: as of `compare`, and ``paths``, ``block``,
    ``resample`` and ``workers``. Raises UserError and RunError as `compare`, RunError where every path fails.
    """
    if os.environ.get(WORKER):
        thing = "montecarlo() was called while a worker imported this file"
        raise UserError(thing, "montecarlo", 'put the call under `if __name__ == "__main__":`')
    asked = checked(settings, MONTECARLO)
    target = claimed(Path(asked.out)) if asked.out is not None else None

    def made() -> MonteCarlo:
        found, whole = _drawn(strategy, data, asked, progress)
        if target is None:
            return found
        text = document(MONTECARLO, whole, strategy, target)
        return replace(found, folder=write(target, found, _about(whole, found), text))

    return within(asked.timeout, made)


def _drawn(
    strategy: StrategySource | None, data: DataSource, asked: RunSettings, progress: MonteCarloProgress | None
) -> tuple[MonteCarlo, Plan]:
    planned = plan_of(strategy, data, asked)
    modes, left_out = split(planned.profile, asked.margin_modes)
    whole = in_place(planned, modes, None, None)
    block_rows, block = _block(whole)
    if asked.resample == TRADES:
        runs, plain = _by_trades(whole, modes, asked)
    else:
        plain = {mode: row["final_equity"] for mode, row in path_run(whole, modes).rows.items()}
        ground = PathGround(_again(strategy, whole), str(whole.config.data), asked, modes, block_rows)
        runs = _by_replay(ground, whole, progress)
    frame, fan = _tables(runs, modes)
    if not frame["survived"].drop_nulls().len():
        raise RunError(f"all {len(runs):,} paths failed, the first: {frame['error'].drop_nulls()[0]}")
    shown = block if asked.resample == CANDLES else ""
    known = {mode: float(str(value)) for mode, value in plain.items()}
    return MonteCarlo(frame, fan, known, asked.resample, shown, whole.selection.catalog.quote, left_out), whole


def _again(strategy: StrategySource | None, whole: Plan) -> StrategySource | None:
    """The strategy as another process makes it; None: positions are held."""
    if strategy is None or isinstance(strategy, Strategy):
        return strategy
    if isinstance(strategy, type):
        named = named_again(strategy, f"{strategy.__module__}:{strategy.__qualname__}")
        return strategy if named.startswith(MEMORY) or strategy.__module__ == "__main__" else named
    return whole.config.strategy


def _block(whole: Plan) -> tuple[float | None, str]:
    """Mean length of a block in rows, and in words; None: the whole history."""
    asked, s = whole.config, whole.selection
    if asked.block == ALL:
        return None, ALL
    if asked.block is not None:
        length_ms = parse(asked.block, "--block")
        if not s.interval_ms <= length_ms <= s.rows * s.interval_ms:
            least, most = length_text(s.interval_ms), length_text(s.rows * s.interval_ms)
            raise UserError(f"a block of {asked.block}", "--block", f"give a length from {least} to {most}, or all")
        return length_ms / s.interval_ms, length_text(length_ms)
    # Volatility clusters longer than anything else of a market: its blocks must not be cut.
    lengths = []
    for symbol in s.symbols:
        closes = s.candles(symbol, s.interval_ms, ("close",))["close"].to_numpy()
        lengths.append(block_length(np.abs(np.diff(np.log(closes)))))
    rows = min(max(lengths), s.rows)
    return rows, length_text(round(rows) * s.interval_ms)


def _by_replay(ground: PathGround, whole: Plan, progress: MonteCarloProgress | None) -> list[PathRun]:
    asked, runs = ground.asked, []
    workers = min(asked.workers or os.cpu_count() or 1, asked.paths)
    # A strategy that only this process has is replayed here, beside its caller.
    threads = ground.strategy is not None and not isinstance(ground.strategy, str)
    candles = whole.selection.rows * len(whole.selection.symbols) * asked.paths
    around = {} if threads else worker_environment(candles, workers)
    pool: Pool[int] = Pool(Task(PLAYER, ground), 1 if threads else workers, threads, around)
    alive = 0
    for _, answer in pool.answers(range(asked.paths)):
        run = PathRun({}, {}, answer.reason) if isinstance(answer, Died) else answer
        runs.append(run)
        alive += bool(run.rows and run.rows[ground.modes[0]]["survived"])
        if progress:
            progress(len(runs), asked.paths, alive)
    return runs


def _by_trades(whole: Plan, modes: tuple[str, ...], asked: RunSettings) -> tuple[list[PathRun], dict[str, Any]]:
    """The run's own trades in other orders, drawn with replacement: nothing is replayed, so nothing is liquidated."""
    runs = [PathRun({}, {}) for _ in range(asked.paths)]
    plain: dict[str, Any] = {}
    for mode, record in zip(modes, replay(whole, modes, None, None), strict=True):
        tables, metrics, _ = judged(record, whole.chaining.chain)
        plain[mode] = metrics["final_equity"]
        nets = tables["trades"]["net"].to_numpy()
        if not len(nets):
            raise RunError(f"{mode}: no trade to draw from")
        start = record.cash / 1e6
        for number, run in enumerate(runs):
            rng = np.random.default_rng([asked.seed, number])
            equity = np.concatenate(([start], start + np.cumsum(rng.choice(nets, len(nets)))))
            ended = np.flatnonzero(equity <= 0)
            if len(ended):
                # What is lost cannot be more than there was; the account ends there.
                equity[ended[0] :] = 0.0
            falls = equity / np.maximum.accumulate(equity) - 1
            run.rows[mode] = {
                "final_equity": float(equity[-1]), "return": float(equity[-1] / start - 1),
                "max_drawdown": float(falls.min()), "survived": not len(ended),
            }  # fmt: skip
            run.curves[mode] = equity[np.linspace(0, len(equity) - 1, POINTS).round().astype(int)]
    return runs, plain


def _tables(runs: list[PathRun], modes: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = [
        {**dict.fromkeys(SCHEMA), "path": number, "margin": mode, "error": run.error, **run.rows.get(mode, {})}
        for number, run in enumerate(runs)
        for mode in modes
    ]
    fans = []
    for mode in modes:
        curves = [run.curves[mode] for run in runs if mode in run.curves]
        if not curves:
            continue
        spread = np.quantile(np.array(curves), QUANTILES, axis=0)
        columns = {f"q{round(100 * share):02d}": values for share, values in zip(QUANTILES, spread, strict=True)}
        fans.append(pl.DataFrame({"margin": [mode] * POINTS, "at": np.linspace(0, 1, POINTS), **columns}))
    return pl.DataFrame(rows, schema=SCHEMA), pl.concat(fans) if fans else pl.DataFrame()


def _about(whole: Plan, found: MonteCarlo) -> dict[str, Any]:
    """What the paths are of, for the page and `montecarlo.json`."""
    s, description = whole.selection, type(whole.strategy).describe()
    return {
        "strategy": description.name, "doc": description.doc, "params": dict(whole.strategy.params),
        "source": source_sha256(whole.strategy), "data": s.catalog.name, "synthetic": s.catalog.synthetic,
        "fingerprint": s.fingerprint(), "symbols": list(s.symbols), "start_ms": s.start_ms,
        "end_ms": s.start_ms + s.rows * s.interval_ms, "venue": whole.profile.name, "seed": whole.config.seed,
        "paths": whole.config.paths, "resample": found.resample, "block": found.block, "left_out": found.left_out,
    }  # fmt: skip
