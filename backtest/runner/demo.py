"""`demo`: a synthetic market, and a hedged pair on it in isolated and in cross margin."""

from __future__ import annotations

from pathlib import Path

from backtest.data.sample import write_sample
from backtest.results import report_files
from backtest.runner.compare import Comparison, compare
from backtest.runner.origins import keyword_errors
from backtest.runner.stream import Progress

FEE_BPS, SLIPPAGE_BPS = 5.0, 1.0
LEVERAGE = 10.0
"""What a leg is posted with in isolated margin: a tenth of its size."""


@keyword_errors()
def demo(folder: str | Path, progress: Progress | None = None) -> Comparison:
    """Make the sample dataset in ``folder``/data and write the comparison to ``folder``/report."""
    place = Path(folder)
    report_files.claim(place / "report")
    data = write_sample(place / "data")
    return compare(
        "hedged_pair",
        data,
        symbols=("BTC-USD", "ETH-USD"),
        fee_bps=FEE_BPS,
        slippage_bps=SLIPPAGE_BPS,
        leverage=LEVERAGE,
        out=place / "report",
        progress=progress,
    )
