"""The real command against the server, and what it has written, to be compared with the truth."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from backtest.cli import main
from tests.exchanges.market import CONTRACTS, HOUR, Market
from tests.exchanges.server import Server
from tests.small_market import Ended

ROOT = Path(__file__).parents[2]
PRICES = ("open", "high", "low", "close")
Row = tuple[float, ...]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "backtest", "data", *map(str, arguments)]


def environment() -> dict[str, str]:
    """No proxy comes between the command and loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}


def data(*arguments: object) -> Ended:
    """Run `backtest data …` in this process, which has ccxt imported."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(["data", *map(str, arguments)])
            except SystemExit as ended:
                code = int(ended.code or 0)
        out.seek(0)
        err.seek(0)
        return Ended(code, out.read(), err.read())


def fetch(
    server: Server, exchange: str, symbols: str, start_ms: int, end_ms: int | None, interval: str, out: Path
) -> Ended:
    """`backtest data fetch` of some symbols, with commas between them."""
    until = [] if end_ms is None else ["--to", iso(end_ms)]
    span = ["--from", iso(start_ms), *until, "--interval", interval]
    return data("fetch", exchange, symbols, *span, "--out", out, "--endpoint", server.url)


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def series(folder: Path, kind: str) -> dict[str, list[Row]]:
    """Rows of a kind of series by base currency, in order; the stamps, whole milliseconds, come first."""
    columns = {"funding": ("rate",), "mark": PRICES}.get(kind, (*PRICES, "volume"))
    out = {}
    for place in sorted((folder / kind).glob("symbol=*")):
        files = sorted(place.glob("*.parquet"))
        table = pl.concat([pl.read_parquet(file, hive_partitioning=False).select("ts", *columns) for file in files])
        if table.schema["ts"] != pl.Int64:
            table = table.with_columns(pl.col("ts").dt.epoch("ms"))
        out[base(place.name.removeprefix("symbol="))] = table.sort("ts").rows()
    return out


def base(symbol: str) -> str:
    """The base currency of a symbol in any spelling."""
    return next(c.base for c in CONTRACTS if symbol.upper().startswith(c.base))


def wrong(
    folder: Path, market: Market, names: Sequence[str], start_ms: int, end_ms: int, interval_ms: int,
    *, hours: int | None = None, marks: bool = True, funding_from_ms: int | None = None,
    up_to_now: bool = False,
) -> dict[str, str]:  # fmt: skip
    """What differs between the dataset and the truth of a span: nothing, where it was fetched faithfully.

    `up_to_now`: settlements after the last whole candle may be there already.
    """
    funded = max(start_ms, funding_from_ms or 0)
    expected: dict[str, dict[str, list[Row]]] = {
        "candles": {n: [c.row() for c in market.closed(n, False, interval_ms, start_ms, end_ms)] for n in names},
        "mark": {
            n: [c.row()[:5] for c in market.closed(n, True, interval_ms, start_ms, end_ms)] for n in names * marks
        },
        "funding": {n: [(s.ts, float(s.rate)) for s in market.funding(n, funded, end_ms, hours)] for n in names},
    }
    out = {}
    for kind, truth in expected.items():
        found = series(folder, kind)
        if kind == "funding" and up_to_now:
            found = {name: [row for row in rows if row[0] < end_ms] for name, rows in found.items()}
        if set(found) != set(truth):
            out[kind] = f"symbols {sorted(found)}, not {sorted(truth)}"
            continue
        for name, rows in truth.items():
            said = _difference(found[name], rows)
            if said:
                out[f"{kind} of {name}"] = said
    return out


def _difference(found: list[Row], truth: list[Row]) -> str:
    stamps, due = [row[0] for row in found], [row[0] for row in truth]
    if stamps != due:
        missing, more = sorted(set(due) - set(stamps)), sorted(set(stamps) - set(due))
        twice = len(stamps) - len(set(stamps))
        first = [iso(int(ts)) for ts in (*missing[:1], *more[:1])]
        return f"{len(missing)} of {len(due)} rows missing, {len(more)} too many, {twice} twice; first {first}"
    for row, right in zip(found, truth, strict=True):
        if any(abs(a - b) > 1e-12 * abs(b) for a, b in zip(row, right, strict=True)):
            return f"{row}, not {right}"
    return ""


def away_from_the_hour(seconds: int) -> int:
    """Wait where the hour ends within some seconds, and return when it began: it does not end during the test."""
    left = 3600 - time.time() % 3600
    if left < seconds:
        time.sleep(left)
    return int(time.time()) // 3600 * HOUR


def manifest(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "dataset.toml").read_text())


def content(folder: Path) -> dict[str, str]:
    """Every file of a dataset, hidden ones as well, by a digest of its bytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
