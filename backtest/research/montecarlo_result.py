"""What a Monte Carlo found: a row for each path and margin mode, and the spread of equity along the paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from backtest.core.errors import UserError
from backtest.research.statistics import Interval, proportion


@dataclass(frozen=True, repr=False)
class MonteCarlo:
    """What came of every path."""

    frame: pl.DataFrame
    """A row per path and margin mode: `survived` (nothing was liquidated and equity is above zero), `final_equity`
    (quote units), `return`, `max_drawdown` (inside candles, a share, ≤ 0), `sharpe`, `liquidations`,
    `liquidated_after_ms` (from the path's start to its first liquidation), `error`."""
    fan: pl.DataFrame
    """By margin mode: the share of the path (`at`, 0 to 1) and quantiles of equity over the paths (`q05` … `q95`)."""
    plain: dict[str, float]
    """Final equity on the history as it is, by margin mode, quote units."""
    resample: str
    """What was resampled: candles, starts or trades."""
    block: str
    """Mean length of a block; empty where there are none."""
    quote: str
    left_out: dict[str, str]
    """Margin modes that the venue does not have, with the reason."""
    folder: Path | None = None

    @property
    def margins(self) -> tuple[str, ...]:
        """The margin modes, in the order asked for."""
        return tuple(self.frame["margin"].unique(maintain_order=True))

    def survival(self, margin: str | None = None) -> Interval:
        """Return the share of the paths that survived, with its 95 % interval (Wilson 1927).

        ``margin``: the first mode if None. UserError for a mode that was not replayed.
        """
        known = self._of(margin)["survived"].drop_nulls()
        return proportion(int(known.sum()), known.len())

    def quantile(self, metric: str, share: float, margin: str | None = None) -> float | None:
        """Return a quantile of a column of `frame` over the paths; None where no path has a value."""
        if metric not in self.frame.columns:
            raise UserError(f"no column {metric!r}", "quantile", f"choose one of {', '.join(self.frame.columns)}")
        found = self._of(margin)[metric].drop_nulls().quantile(share, "linear")
        return None if found is None else float(found)

    def _of(self, margin: str | None) -> pl.DataFrame:
        name = self.margins[0] if margin is None else margin
        if name not in self.margins:
            raise UserError(f"no margin mode {name!r}", "montecarlo", f"choose one of {', '.join(self.margins)}")
        return self.frame.filter(pl.col("margin") == name)

    def __repr__(self) -> str:
        """Return a line per margin mode for a notebook or a prompt."""
        lines = [f"<MonteCarlo of {self.frame['path'].n_unique():,} paths, {self.resample} resampled>"]
        return "\n".join([*lines, *(f"  {name}: survived {self.survival(name)}" for name in self.margins)])
