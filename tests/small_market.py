"""Two days of two quiet hourly perps, a strategy that holds them, and a way to run commands on them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

HOURS = 48
START = datetime(2024, 3, 1, tzinfo=UTC)
STAMP = pl.Datetime("ms", "UTC")
SYMBOLS = ("BTC-USD", "ETH-USD")
MANIFEST = '[dataset]\ninterval = "1h"\nquote = "USD"\n\n[symbols.BTC-USD]\nstep = 0.001\n'

HOLD = '''from backtest import Param, Strategy


class Hold(Strategy):
    """Buys a little of every market and holds it."""

    size: float = Param(1.0, gt=0, le=10)
    pause: int = Param(3, ge=1, le=24)
    mode: str = Param("long", choices=("long", "short"))
    fast: bool = Param(True)

    def on_candle(self, market, account):
        for symbol in market.symbols:
            account.target(symbol, qty=self.size)
'''

HEAD = "from backtest import Strategy\n\n\nclass Odd(Strategy):\n"


def hook(name: str, line: str, arguments: str = "market, account") -> str:
    """A strategy whose hook ``name`` runs ``line``, on line 12; if it is not `on_candle`, that one buys a BTC."""
    decides = "\n    def on_candle(self, market, account):\n        self.begin(account)\n" * (name != "on_candle")
    begin = "    def begin(self, account):\n        account.target('BTC-USD', qty=1)\n\n"
    return f"import math\n\n{HEAD}{begin}    def {name}(self, {arguments}):\n        # here\n        {line}\n{decides}"


def candles(hours: int = HOURS, every: int = 60) -> pl.DataFrame:
    """A market at 100 that rises by a cent a candle; each candle reaches a dime up and down."""
    opens = [100 + i / 100 for i in range(hours * 60 // every)]
    return pl.DataFrame(
        {
            "ts": [START + timedelta(minutes=every) * i for i in range(len(opens))],
            "open": opens,
            "high": [price + 0.1 for price in opens],
            "low": [price - 0.1 for price in opens],
            "close": opens,
            "volume": [10.0] * len(opens),
        },
        schema_overrides={"ts": STAMP},
    )


def funding() -> pl.DataFrame:
    """A basis point every eight hours."""
    stamps = [START + timedelta(hours=8) * i for i in range(HOURS // 8)]
    return pl.DataFrame({"ts": stamps, "rate": [0.0001] * len(stamps)}, schema_overrides={"ts": STAMP})


def series(kind: str) -> pl.DataFrame:
    """What a sound file of ``kind`` (candles, mark, funding) holds."""
    return {"candles": candles(), "mark": candles().drop("volume"), "funding": funding()}[kind]


def put(frame: pl.DataFrame, data: Path, kind: str, symbol: str = "BTC-USD") -> Path:
    """Write ``frame`` as the one file of that series."""
    file = data / kind / f"symbol={symbol}" / "part.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(file)
    return file


def write(folder: Path) -> None:
    """The dataset `market` and the strategy `hold.py` into ``folder``."""
    for symbol in SYMBOLS:
        for kind in ("candles", "mark", "funding"):
            put(series(kind), folder / "market", kind, symbol)
    (folder / "market" / "dataset.toml").write_text(MANIFEST)
    (folder / "hold.py").write_text(HOLD)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def environment() -> dict[str, str]:
    """For a process in another folder: where this test's `backtest` is, and that it interprets the kernels, which takes
    less than loading them where so few candles are played."""
    home = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, home)), "NUMBA_DISABLE_JIT": "1"}


def process(folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> Ended:
    """The command in ``folder`` as a user starts it, by the words ``before`` if need be."""
    started = [*before, sys.executable, "-m", "backtest", *arguments]
    done = subprocess.run(started, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def entries(folder: Path) -> set[str]:
    """Everything in a folder, by its path from there."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def one_line(ended: Ended, code: int, *said: str) -> None:
    """It ended with ``code`` and said one line, on standard error, with these words in it."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert ended.err.startswith("error: "), ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    for words in said:
        assert words in ended.err, ended.err
