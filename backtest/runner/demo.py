"""`demo`: a hedged pair through the crash of October 2025 on real prices, in isolated and in cross margin."""

from __future__ import annotations

from pathlib import Path

from backtest.core.errors import UserError
from backtest.data.shipped import SHIPPED, is_shipped
from backtest.results import report_files
from backtest.runner.compare import Comparison, compare
from backtest.runner.origins import keyword_errors
from backtest.runner.stream import Progress

VENUE = "binance_usdm"
START, END = "2025-10-01", "2025-11-01"
"""The whole month: the crash came on the 10th."""
SLIPPAGE_BPS = 1.0
LEVERAGE = 10.0
"""What a position is posted with in isolated margin: a tenth of its size."""


@keyword_errors()
def demo(folder: str | Path, progress: Progress | None = None) -> Comparison:
    """Replay a hedged pair on the dataset of the package and write the comparison into ``folder``.

    Raises UserError where the current folder has a dataset of that name, which would be read instead.
    """
    try:
        target = report_files.claim(Path(folder))
    except UserError as error:
        error.respell(lambda text: text.replace("--out", "FOLDER"))
        raise
    if not is_shipped(SHIPPED):
        raise UserError("is in the current folder, and hides the dataset of the package", SHIPPED, "rename it")
    return compare(
        "hedged_pair",
        SHIPPED,
        params={"long": "BTCUSDT", "short": "ETHUSDT"},
        venue=VENUE,
        start=START,
        end=END,
        slippage_bps=SLIPPAGE_BPS,
        leverage=LEVERAGE,
        out=target,
        progress=progress,
    )
