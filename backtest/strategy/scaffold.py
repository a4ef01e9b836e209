"""A new strategy: a file that works as it is, and a test that runs it."""

from __future__ import annotations

import keyword
import os
import sys
from pathlib import Path

from backtest.core import disk
from backtest.core.errors import UserError

IMPORTED = frozenset(
    {"backtest", "numpy", "polars", "pytest", "Account", "Candle", "Market", "Param", "Path", "Result", "Strategy"}
)
"""Names that the new files need for themselves."""

STRATEGY = '''"""{title}: describe the idea in one line.

Write down when it works and when it fails before you believe the report.
"""

import polars as pl

from backtest import Account, Candle, Market, Param, Strategy


class {cls}(Strategy):
    """Hold a long position above the average, none below."""

    window: int = Param(48, ge=2, le=1000, doc="candles in the average")
    weight: float = Param(0.2, gt=0, le=20, doc="size of each position, as a share of equity")
    every = "1h"

    def features(self, candle: Candle) -> dict[str, pl.Expr]:
        return {{"average": candle.close.rolling_mean(self.window)}}

    def on_candle(self, market: Market, account: Account) -> None:
        for symbol in market.symbols:
            above = market.close[symbol] > market.feature("average", symbol)
            account.target(symbol, weight=self.weight if above else 0.0)
'''

TEST = '''"""{cls} on the synthetic sample: it trades, and the account adds up.

Run it with `python test_{name}.py`, or with pytest.
"""

import math
import tempfile
import unittest
from pathlib import Path

import backtest
from backtest.data.sample import write_sample


class {cls}Test(unittest.TestCase):
    result: backtest.Result

    @classmethod
    def setUpClass(cls) -> None:
        """Run it on a month of two synthetic markets in a temporary folder."""
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        data = write_sample(Path(folder.name) / "sample", days=30, symbols=("BTC-USD", "ETH-USD"))
        cls.result = backtest.run(Path(__file__).with_name("{name}.py"), data)

    def test_it_trades(self) -> None:
        self.assertGreater(self.result.tables["fills"].height, 0)

    def test_the_account_adds_up(self) -> None:
        final = self.result.metrics["final_equity"]
        self.assertTrue(math.isfinite(final))
        self.assertAlmostEqual(self.result.tables["equity"]["equity"][-1], final, places=6)


if __name__ == "__main__":
    unittest.main()
'''


def new(name: str, folder: str | Path) -> tuple[Path, Path]:
    """Write NAME.py and test_NAME.py into ``folder``, which is made if need be; gives their paths.

    Raises UserError for a name that cannot be a module's, and where one of the files is already there.
    """
    cls = class_name(name)
    place = Path(folder)
    strategy, test = place / f"{name}.py", place / f"test_{name}.py"
    for file in (strategy, test):
        if os.path.lexists(file):
            raise UserError("the file is already there", str(file), "choose another name, or remove it")
    try:
        place.mkdir(parents=True, exist_ok=True)
        title = name.replace("_", " ").strip().capitalize()
        for file, text in ((strategy, STRATEGY.format(title=title, cls=cls)), (test, TEST.format(name=name, cls=cls))):
            with disk.whole_file(file) as draft:
                draft.write_text(text, encoding="utf-8")
    except OSError as error:
        where = str(error.filename or place)
        raise UserError(f"cannot be written ({error.strerror})", where, "give another folder") from None
    return strategy, test


def class_name(name: str) -> str:
    """`MyIdea` for `my_idea`. UserError for a name that is no module's, or that the imports of the file take."""
    remedy = "give a word of letters, digits and _, like my_idea"
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        raise UserError(f"{name!r} cannot be the name of a strategy", "", remedy)
    if name.startswith(("_", "test_")) or name == "conftest":
        raise UserError(f"{name!r} would not be found as a strategy", "", remedy)
    cls = "".join(word[:1].upper() + word[1:] for word in name.split("_"))
    # A file of that name would hide the module from the test beside it; a class of that name, the base itself.
    if name in sys.stdlib_module_names or name in IMPORTED or cls in IMPORTED or keyword.iskeyword(cls):
        raise UserError(f"{name!r} is taken by Python or by what the file imports", "", "choose another name")
    return cls
