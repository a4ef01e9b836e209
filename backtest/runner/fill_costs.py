"""What a run's fills cost beside their price, made ready for the engine; and which fills a model had no numbers for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.core.enums import MICRO, Cause, Liquidity
from backtest.core.records import Record
from backtest.core.rows import Rows
from backtest.data import depth
from backtest.data.selection import Selection
from backtest.engine import layout as at
from backtest.engine.pack import Charges
from backtest.report.formatting import plural
from backtest.runner.cost_inputs import bars
from backtest.runner.settings import RunSettings
from backtest.runner.slippage_settings import ESTIMATORS, Slippage, parse_shares, parse_slippage
from backtest.venues.slippage_models import BPS, adverse_move, fixed
from backtest.venues.terms import ASSUMED_BAND

MODELS = {None: at.NO_IMPACT, "impact": at.BY_POWER, "volume": at.BY_VOLUME, "depth": at.BY_DEPTH}
Bools = NDArray[np.bool_]


def charges(asked: RunSettings, selection: Selection) -> Charges:
    """The engine's view of slippage and shares of volume; fees are others' to add (`dataclasses.replace`).

    Reads the candles once more where a model needs σ, turnover or a spread of them, and the depth table where one is
    given. UserError for a depth table that does not fit, and where volume is needed and a file has none.
    """
    models, shares = parse_slippage(asked.slippage), parse_shares(asked.volume_share)
    made = Charges(
        fixed=fixed(asked.slippage_bps) + models.half,
        stress=models.stress,
        impact=MODELS[models.impact],
        factor=models.factor,
        exponent=models.exponent,
        drift=adverse_move(models.drift, 1.0, asked.latency_ms),
        band=models.band,
        taker_share=shares[0],
        maker_share=shares[1],
        bars=_bars(models, selection),
        depth=_depth(models, selection),
    )
    if made.wants_volume or models.impact == "impact":
        for symbol in selection.symbols:
            selection.catalog.sources["candles"][symbol].require("volume")
    return made


def _bars(models: Slippage, selection: Selection) -> NDArray[np.float64]:
    if not (models.by_bars or models.estimator):
        return Charges().bars
    return bars(selection, models.by_bars, models.impact == "impact", models.estimator)


def _depth(models: Slippage, selection: Selection) -> NDArray[np.float64]:
    if models.depth is None:
        return Charges().depth
    end_ms = selection.start_ms + selection.rows * selection.interval_ms
    return depth.read(Path(models.depth), selection.symbols, selection.start_ms, end_ms)


def depth_sha256(asked: RunSettings) -> str | None:
    """SHA-256 of the depth table, by which `verify` sees that it has changed; None without one."""
    file = parse_slippage(asked.slippage).depth
    return None if file is None else hashlib.sha256(Path(file).read_bytes()).hexdigest()


def in_words(asked: RunSettings) -> list[str]:
    """Sentences about what takers paid beside the price, where it is not a fixed share, and what bounded fills."""
    said, models, shares = _parts(asked), parse_slippage(asked.slippage), parse_shares(asked.volume_share)
    words = [f"Takers paid beyond the price: {', '.join(said)}; {_band(models)}."] if said and asked.slippage else []
    if models.drift and not asked.latency_ms:
        words.append("No adverse move: --slippage drift depends on --latency-ms, which is 0.")
    if min(shares) < np.inf:
        each = f"takers {_share(shares[0])}, makers {_share(shares[1])}"
        words.append(f"Maximum share of a candle's volume that could fill: {each}.")
    if asked.limit_fill == "touch":
        words.append("Limit orders filled when the price touched them, as if they were first in the queue.")
    return words


def _band(models: Slippage) -> str:
    """The most that they paid."""
    if models.band is not None:
        return f"at most {100 * models.band:.4g} % of it"
    return f"at most the venue's price band, where it has none an assumed {100 * ASSUMED_BAND:g} %"


def without_slippage(asked: RunSettings) -> bool:
    """Whether every order filled at the path's price, whatever its size."""
    return not _parts(asked)


def _share(share: float) -> str:
    return f"{100 * share:.4g} %" if share < np.inf else "all"


def _parts(asked: RunSettings) -> list[str]:
    """The models that are on, in words."""
    models = parse_slippage(asked.slippage)
    said = []
    if asked.slippage_bps:
        said.append(f"{asked.slippage_bps:g} bps whatever the size")
    if models.half:
        said.append(f"a half spread of {models.half * BPS:.4g} bps")
    if models.estimator:
        said.append(f"half of the spread estimated from candles {ESTIMATORS[models.estimator]}")
    if models.impact == "impact" and models.factor:
        said.append(f"an impact of {models.factor:g} × σ × (Q/V)^{models.exponent:g}")
    if models.impact == "volume" and models.factor:
        said.append(f"an impact of {models.factor:g} × the square of their share of the candle's volume")
    if models.depth:
        said.append(f"the cost of walking the depth in {Path(models.depth).name}")
    if said and models.stress != 1.0:
        said[-1] += f" (all of it times {models.stress:g})"
    if models.drift and asked.latency_ms:
        said.append(f"an adverse move of {models.drift:g} × σ × √({asked.latency_ms:,} ms)")
    return said


def uncharged(asked: RunSettings, made: Charges, record: Record) -> list[str]:
    """Sentences about fills that a model had no numbers for, and so charged nothing, or less than it should."""
    models = parse_slippage(asked.slippage)
    own = np.isin(record.fills["cause"], (Cause.STRATEGY, Cause.GUARD))
    takers = record.fills.where(own & (record.fills["liquidity"] == Liquidity.TAKER))
    said = []

    def tell(where: Bools, when: str, what: str) -> None:
        if where.any():
            said.append(f"{plural(int(where.sum()), 'fill')} {when}: {what}.")

    def unknown(*columns: int) -> Bools:
        lacking: Bools = np.any(np.isnan(made.bars[:, :, list(columns)]), axis=2)
        bar = np.clip((takers["ts_ms"] - record.start_ms) // at.BAR_MS, 0, len(made.bars) - 1)
        missing: Bools = lacking[bar, takers["symbol"]]
        return missing

    if models.impact == "impact":
        tell(unknown(at.SIGMA, at.TURNOVER), "before there was a day of history", "no impact was charged")
    if models.drift and asked.latency_ms:
        tell(unknown(at.SIGMA), "before there was a day of history", "no adverse move was charged")
    if models.estimator:
        tell(unknown(at.HALF_SPREAD), "before there was a day of history", "no spread was charged")
    if models.depth:
        _tell_depth(made.depth, takers, tell)
    idle = int(record.counts.get("candles without volume", 0))
    if idle and made.wants_volume:
        said.append(f"{plural(idle, 'candle')} without volume: with --volume-share nothing fills in it.")
    return said


def _tell_depth(snapshots: NDArray[np.float64], takers: Rows, tell: Callable[[Bools, str, str], None]) -> None:
    before, beyond = np.zeros(len(takers), bool), np.zeros(len(takers), bool)
    for i in np.unique(takers["symbol"]):
        at_symbol = takers["symbol"] == i
        fills = takers[at_symbol]
        last = np.searchsorted(snapshots[i, :, 0], fills["ts_ms"], side="right") - 1
        before[at_symbol] = last < 0
        costs = fills["spread"] + fills["impact"] + fills["drift"]
        value = np.abs(fills["quote"]) - np.where(fills["lots"] > 0, costs, -costs)
        within = np.nanmax(snapshots[i][np.maximum(last, 0), 2::2], axis=1)
        beyond[at_symbol] = (last >= 0) & (value > within * MICRO)
    tell(before, "before the depth table's first snapshot", "no impact was charged")
    tell(beyond, "larger than the depth table reaches", "its last level was extended")
