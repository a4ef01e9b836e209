"""A market of a few candles written by hand, and a script played on it through the public API.

Rows are numbered from 0 and last a minute unless said otherwise; times in the answers are ms after row 0's open.
Money in the tables is the double nearest to whole micro-units, and so is a literal with six decimals: `==` between them
is equality to the micro.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import backtest
from backtest import Comparison, Result, Strategy

START = 1_709_251_200_000
"""2024-03-01 00:00 UTC, ms: the open of row 0."""
MINUTE = 60_000
INTERVALS = {"1m": MINUTE, "5m": 5 * MINUTE, "1h": 60 * MINUTE}

Row = float | tuple[float, float, float, float] | None
"""A flat candle; open, high, low, close; or a gap."""
Step = Callable[[Any, Any], Any]
"""What a script does at a close: `step(market, account)`."""


@dataclass(frozen=True)
class Market:
    """One symbol."""

    symbol: str
    candles: Sequence[Row]
    mark: Sequence[Row] | None = None
    """Mark candles; None: the trade series serves."""
    mark_rows: int = 1
    """Candles in a mark candle."""
    funding: Mapping[float, float] = field(default_factory=dict)
    """Rates by time in rows: 2 is the open of row 2, 2.5 the middle of it."""
    step: str = "0.001"
    volume: Sequence[float] | None = None
    other_mark: Sequence[Row] | None = None
    """A further series of marks, which the median of an oracle takes in."""


def write(folder: Path, *markets: Market, interval: str = "1m") -> Path:
    """The markets as a dataset; returns its folder."""
    every = INTERVALS[interval]
    lines = ["[dataset]", f'interval = "{interval}"', 'quote = "USDC"', 'provenance = "synthetic: written by hand"']
    for market in markets:
        lines += [f'[symbols."{market.symbol}"]', f"step = {market.step}"]
        place = f"symbol={market.symbol}"
        _write_candles(folder / "candles" / place, market.candles, every, market.volume or [1.0] * len(market.candles))
        if market.mark is not None:
            lines.append(f'mark_interval = "{every * market.mark_rows // MINUTE}m"')
            _write_candles(folder / "mark" / place, market.mark, every * market.mark_rows, None)
        if market.other_mark is not None:
            _write_candles(folder / "mark_other" / place, market.other_mark, every, None)
        if market.funding:
            stamps = [START + round(row * every) for row in sorted(market.funding)]
            rates = [market.funding[row] for row in sorted(market.funding)]
            _write_table(folder / "funding" / place, {"ts": _times(stamps), "rate": pa.array(rates, pa.float64())})
    (folder / "dataset.toml").write_text("\n".join(lines) + "\n")
    return folder


def _write_candles(folder: Path, rows: Sequence[Row], every: int, volume: Sequence[float] | None) -> None:
    there = [(k, row if isinstance(row, tuple) else (row,) * 4) for k, row in enumerate(rows) if row is not None]
    columns = {"ts": _times([START + k * every for k, _ in there])}
    for n, name in enumerate(("open", "high", "low", "close")):
        columns[name] = pa.array([float(row[n]) for _, row in there], pa.float64())  # type: ignore[arg-type]
    if volume is not None:
        columns["volume"] = pa.array([float(volume[k]) for k, _ in there], pa.float64())
    _write_table(folder, columns)


def _times(stamps: Sequence[int]) -> pa.Array:
    return pa.array(stamps, pa.int64()).cast(pa.timestamp("ms", tz="UTC"))


def _write_table(folder: Path, columns: dict[str, pa.Array]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "part.parquet")


def venue(folder: Path, *tiers: tuple[float | None, float, float]) -> str:
    """A venue file with a ladder of (upto, initial, maintenance) and a penalty of 1 %."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        'name = "ladder"',
        'source = "a test"',
        "date = 2024-01-01",
        'quote = "USDC"',
        "[defaults]",
        "penalty = 0.01",
    ]
    for upto, initial, maintenance in tiers:
        lines += ["[[tiers]]"] + ([] if upto is None else [f"upto = {upto}"])
        lines += [f"initial = {initial}", f"maintenance = {maintenance}"]
    file = folder / "venue.toml"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


class Tape(list[Any]):
    """A list that stays one when a run copies the strategy that writes on it."""

    def __deepcopy__(self, memo: Any) -> Tape:
        return self


class Script(Strategy):
    """Does at the close of row k what `steps[k]` says."""

    def __init__(self, steps: Mapping[int, Step], interval_ms: int) -> None:
        super().__init__()
        self.steps, self.interval_ms = steps, interval_ms

    def on_candle(self, market: Any, account: Any) -> None:
        row = (market.now_ms - START) // self.interval_ms - 1
        if row in self.steps:
            self.steps[row](market, account)


def play(
    folder: Path, markets: Sequence[Market], steps: Mapping[int, Step], interval: str = "1m", **settings: Any
) -> Result:
    """The script on the markets, through `backtest.run`."""
    data = write(folder, *markets, interval=interval)
    return backtest.run(Script(steps, INTERVALS[interval]), data, **_defaults(settings))


def play_both(folder: Path, markets: Sequence[Market], steps: Mapping[int, Step], **settings: Any) -> Comparison:
    """The script in isolated and cross margin, through `backtest.compare`."""
    return backtest.compare(Script(steps, MINUTE), write(folder, *markets), **_defaults(settings))


def _defaults(settings: dict[str, Any]) -> dict[str, Any]:
    # Most of these markets have no funding at all, which a run must be told to accept. Levels are worked out for the
    # least margin that a venue asks: an isolated position would else post by the venue's default leverage.
    return {"cash": 100_000, "allow": ("missing-funding",), "leverage": "max", **settings}


def buy(symbol: str, qty: float) -> Step:
    return lambda market, account: account.buy(symbol, qty)


def sell(symbol: str, qty: float) -> Step:
    return lambda market, account: account.sell(symbol, qty)


def both(*steps: Step) -> Step:
    """Several things at one close, in this order."""

    def all_of_them(market: Any, account: Any) -> None:
        for step in steps:
            step(market, account)

    return all_of_them


def rows(result: Result, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of a table as tuples; times as ms after the first row's open."""
    frame = result.tables[table].select(columns)
    for name in columns:
        if name.startswith("ts"):
            frame = frame.with_columns(frame[name].to_physical() - START)
    return frame.rows()


def column(result: Result, table: str, name: str) -> list[Any]:
    """One column of a table."""
    return [value for (value,) in rows(result, table, name)]


def balances(result: Result) -> dict[str, int]:
    """What every account of the ledger received minus what it gave, micro; those at zero are left out."""
    held: dict[str, int] = {}
    for debit, credit, amount in result.tables["ledger"].select("debit", "credit", "amount_micro").rows():
        held[debit] = held.get(debit, 0) + amount
        held[credit] = held.get(credit, 0) - amount
    return {name: amount for name, amount in held.items() if amount}
