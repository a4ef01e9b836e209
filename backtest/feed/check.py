"""What is wrong, or odd, in a dataset. Errors would make a replay wrong or stop it; warnings may be the market's own.

An **outlier** is a close more than 20 times the symbol's median move (and more than 2 %) away from the
close before it, of which the next close takes back at least three quarters. **Marks are far** from trades
when their opens at one instant are more than 3 % apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from backtest.feed.catalog import Catalog
from backtest.feed.intervals import mark_interval
from backtest.feed.settlements import missing_settlements
from backtest.feed.source import CANDLE_COLUMNS, FURTHER, Source, reading
from backtest.feed.times import HOUR_MS, stamp
from backtest.interval import text as interval_name

CASES = 5
"""First cases that are listed of each finding."""
_OUTLIER_MEDIANS, _OUTLIER_LEAST, _OUTLIER_LEFT = 20, 0.02, 0.25
_FAR = 0.03

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Case:
    """One place where a finding was made."""

    symbol: str
    ts_ms: int
    text: str

    def __str__(self) -> str:
        return f"{self.symbol} {stamp(self.ts_ms)}: {self.text}"


@dataclass
class Finding:
    """One kind of thing that was found, over all symbols."""

    kind: str
    severity: Severity
    count: int = 0
    cases: list[Case] = field(default_factory=list)
    """The first of each symbol, at most `CASES` in all."""

    def add(self, count: int, cases: list[Case]) -> None:
        """Count more of the kind; cases beyond the first few are not kept."""
        self.count += count
        self.cases += cases[: CASES - len(self.cases)]


@dataclass(frozen=True)
class Findings:
    """All findings of a dataset, errors first."""

    path: Path
    symbols: int
    rows: int
    """Candles looked at."""
    found: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """How many errors were counted."""
        return sum(f.count for f in self.found if f.severity == "error")

    @property
    def warnings(self) -> int:
        """How many warnings were counted."""
        return sum(f.count for f in self.found if f.severity == "warning")


@dataclass(frozen=True)
class Rule:
    """A finding in SQL: rows ``where``, told as ``text``, each counting ``weight``."""

    kind: str
    severity: Severity
    where: str
    text: str
    weight: str = "1"


_FINITE = "open > 0 AND isfinite(open) AND high > 0 AND isfinite(high) AND low > 0 AND isfinite(low) AND close > 0 AND isfinite(close)"  # noqa: E501
_OHLC = "format('open {} high {} low {} close {}', open, high, low, close)"


def check(data: str | Path | Catalog, symbols: list[str] | None = None) -> Findings:
    """Look at every row of a dataset. UserError if it cannot be opened at all."""
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    names = catalog.select(symbols).symbols if symbols else catalog.symbols
    book = _Book(catalog)
    for symbol in names:
        book.candles(symbol)
        for kind in (kind for kind in catalog.sources if kind == "mark" or kind.startswith(FURTHER)):
            book.mark(symbol, kind)
        book.funding(symbol)
    found = sorted((f for f in book.found.values() if f.count), key=lambda f: f.severity != "error")
    rows = sum(catalog.markets[s].rows for s in names)
    return Findings(catalog.path, len(names), rows, tuple(found))


class _Book:
    """Collects findings by kind, in the order in which kinds are looked for."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.found: dict[str, Finding] = {}

    def add(self, kind: str, severity: Severity, count: int, cases: list[Case]) -> None:
        self.found.setdefault(kind, Finding(kind, severity)).add(count, cases)

    def candles(self, symbol: str) -> None:
        source, market = self.catalog.sources["candles"][symbol], self.catalog.markets[symbol]
        interval = self.catalog.interval_ms
        if market.interval_ms not in (None, interval):
            text = f"{interval_name(market.interval_ms or 0)} candles in a dataset of {interval_name(interval)}"
            self.add("different intervals", "error", 1, [Case(symbol, market.first_ms, text)])
        phases = [m.first_ms % interval for m in self.catalog.markets.values()]
        rules = [*_series("candles", interval, max(phases, key=phases.count)), _outlier(source, self.catalog)]
        if "volume" in source.files[0].types:
            bad = "volume IS NULL OR NOT isfinite(volume) OR volume < 0"
            rules.insert(-1, Rule("candles with bad volume", "error", bad, "format('volume {}', volume)"))
            self.run(source, (*CANDLE_COLUMNS, "volume"), rules)
        else:
            self.run(source, CANDLE_COLUMNS, rules)

    def mark(self, symbol: str, kind: str) -> None:
        source, market = self.catalog.sources[kind].get(symbol), self.catalog.markets[symbol]
        declared = self.catalog.manifest.mark_intervals_ms.get(symbol) if kind == "mark" else None
        interval = mark_interval(self.catalog.con, source, declared, market.interval_ms)
        if source is None or interval is None:
            return
        self.run(source, CANDLE_COLUMNS, _series("marks", interval, source.first_ms % interval))
        trades = self.catalog.sources["candles"][symbol].scan(("open",))
        joined = (
            f"SELECT t, m.open AS open, c.open AS trade FROM ({source.scan(('open',))}) m "
            f"JOIN ({trades}) c USING (t) ORDER BY t"
        )
        text = "format('mark {} trade {}', open, trade)"
        self.query(source, joined, [Rule("marks far from trades", "warning", f"abs(open / trade - 1) > {_FAR}", text)])

    def funding(self, symbol: str) -> None:
        source, market = self.catalog.sources["funding"].get(symbol), self.catalog.markets[symbol]
        if source is None:
            return
        stamps = np.unique(np.ma.compressed(source.fetch(self.catalog.con, source.scan(()))["t"])).astype(np.int64)
        grid = min(HOUR_MS, int(np.median(np.diff(stamps)))) if len(stamps) > 2 else HOUR_MS
        rules = [
            *_order("settlements", "t - before"),
            Rule(
                "settlements off the grid", "warning", f"t % {grid} <> 0", f"'not a multiple of {interval_name(grid)}'"
            ),
            Rule(
                "settlements with a bad rate", "error", "rate IS NULL OR NOT isfinite(rate)", "format('rate {}', rate)"
            ),
        ]
        self.run(source, ("rate",), rules)
        end = market.last_ms + self.catalog.interval_ms
        lacking = missing_settlements(stamps, market.first_ms, end, self.catalog.manifest.funding_interval_ms)
        cases = [Case(symbol, int(t), "expected, not there") for t in lacking[:CASES]]
        self.add("missing settlements", "warning", len(lacking), cases)

    def run(self, source: Source, columns: tuple[str, ...], rules: list[Rule]) -> None:
        """Apply ``rules`` to a source in the order of its files; `before` is the stamp of the row before."""
        rows = f"SELECT *, lag(t) OVER () AS before, lag({columns[-1]}) OVER () AS _ FROM ({source.scan(columns)})"
        if "close" in columns:
            rows = (
                f"SELECT *, lag(t) OVER () AS before, {_move('lag')} AS move, {_move('lead')} AS back "
                f"FROM ({source.scan(columns)})"
            )
        self.query(source, rows, rules)

    def query(self, source: Source, rows: str, rules: list[Rule]) -> None:
        """Count every rule in one pass; fetch the first cases of those that were broken."""
        con, symbol = self.catalog.con, source.symbol
        sums = ", ".join(f"coalesce(sum({r.weight}) FILTER (WHERE {r.where}), 0)" for r in rules)
        with reading(source.files):
            counts = con.execute(f"SELECT {sums} FROM ({rows})").fetchall()[0]
            for rule, count in zip(rules, counts, strict=True):
                if count:
                    query = f"SELECT t, {rule.text} FROM ({rows}) WHERE {rule.where} LIMIT {CASES}"
                    cases = [Case(symbol, t or 0, text or "empty") for t, text in con.execute(query).fetchall()]
                    self.add(rule.kind, rule.severity, int(count), cases)


def _order(what: str, gap: str) -> list[Rule]:
    """Stamps that do not rise strictly."""
    after = "format('after {}', epoch_ms(before)::VARCHAR)"
    return [
        Rule(f"{what} without a time", "error", "t IS NULL", "'no ts'"),
        Rule(f"duplicate {what}", "error", f"{gap} = 0", "'there twice'"),
        Rule(f"unsorted {what}", "error", f"{gap} < 0", after),
    ]


def _series(what: str, interval: int, phase: int) -> list[Rule]:
    """What holds for candles of trades and of marks alike."""
    name = interval_name(interval)
    lacking = f"(t - before) // {interval} - 1"
    return [
        *_order(what, "t - before"),
        Rule(f"{what} off the grid", "error", f"t % {interval} <> {phase}", f"'not on the grid of {name}'"),
        Rule(f"{what} with bad prices", "error", f"({_FINITE}) IS NOT TRUE", _OHLC),
        Rule(f"{what} that contradict themselves", "error", f"{_FINITE} AND (high < greatest(open, close, low) OR low > least(open, close))", _OHLC),  # noqa: E501
        Rule(f"gaps in {what}", "warning", f"{lacking} > 0", f"format('{{}} missing before it', ({lacking})::BIGINT)", lacking),  # noqa: E501
    ]  # fmt: skip


def _move(neighbour: str) -> str:
    """SQL for ln(close / neighbour's close), NULL where either is no price."""
    valid = "close > 0 AND isfinite(close)"
    log = f"CASE WHEN {valid} THEN ln(close) END"
    return f"{log} - {neighbour}({log}) OVER ()"


def _outlier(source: Source, catalog: Catalog) -> Rule:
    """`move` is the return into a close; `move - back` the return from the close before to the close after."""
    moves = f"SELECT {_move('lag')} AS move FROM ({source.scan(('close',))})"
    found = source.fetch(catalog.con, f"SELECT median(abs(move)) AS usual FROM ({moves})")["usual"]
    limit = max(_OUTLIER_LEAST, _OUTLIER_MEDIANS * float(np.ma.filled(found, 0.0)[0]))
    where = f"abs(move) > {limit!r} AND abs(move - back) < {_OUTLIER_LEFT} * abs(move)"
    text = "format('close {} moved {:.1f} % and came back', close, 100 * (exp(move) - 1))"
    return Rule("outliers", "warning", where, text)
