"""What is wrong, or odd, in a dataset. Errors would make a replay wrong or stop it; warnings may be the market's own.

An **outlier** is a close more than 20 times the symbol's median move (and more than 2 %) away from the
close before it, of which the next close takes back at least three quarters. **Marks are far** from trades
when their highs, their lows, or their opens at one instant are more than 3 % apart, over the longer of the two candles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from backtest.core.durations import text as interval_name
from backtest.core.times import HOUR_MS, stamp
from backtest.data.catalog import Catalog
from backtest.data.row_interval import mark_interval
from backtest.data.select import select
from backtest.data.settlements import due, missing_settlements
from backtest.data.source import CANDLE_COLUMNS, FURTHER, Source, reading

CASES = 5
"""Cases that are listed of each finding unless all are asked for."""
_OUTLIER_MEDIANS, _OUTLIER_LEAST, _OUTLIER_LEFT = 20, 0.02, 0.25
_FAR = 0.03
_WIDEST, _HIGHEST = "1e4", "1e12"
"""A candle whose extremes are further apart, and a price above it, are slips of a file: no market has had either."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Case:
    """One place where a finding was made."""

    symbol: str
    ts_ms: int
    text: str
    size: float = 0.0
    """How bad it is in the finding's own measure: larger is worse."""

    def __str__(self) -> str:
        return f"{self.symbol} {stamp(self.ts_ms)}: {self.text}"


@dataclass
class Finding:
    """One kind of thing that was found, over all symbols."""

    kind: str
    severity: Severity
    count: int = 0
    """Candles, settlements or stamps that are concerned."""
    places: int = 0
    """Where they are: a gap of ten candles is one."""
    cases: list[Case] = field(default_factory=list)
    """The places, the worst first, then by symbol and time; at most so many as were asked for."""

    def add(self, count: int, places: int, cases: list[Case], most: int | None) -> None:
        """Count more of the kind; of all cases the ``most`` worst are kept (None: all)."""
        self.count += count
        self.places += places
        self.cases = sorted(self.cases + cases, key=lambda case: (-case.size, case.symbol, case.ts_ms))[:most]


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
    """A finding in SQL: rows ``where``, told as ``text``, each counting ``weight``; ``size`` says how bad it is."""

    kind: str
    severity: Severity
    where: str
    text: str
    weight: str = "1"
    size: str = "0"


_FINITE = "open > 0 AND isfinite(open) AND high > 0 AND isfinite(high) AND low > 0 AND isfinite(low) AND close > 0 AND isfinite(close)"  # noqa: E501
_OHLC = "format('open {} high {} low {} close {}', open, high, low, close)"
_RATIO = "greatest(open, high, low, close) / least(open, high, low, close)"
_IMPOSSIBLE = f"{_RATIO} > {_WIDEST} OR greatest(open, high, low, close) > {_HIGHEST}"
_CONTRADICTION = "greatest(greatest(open, close, low) / high, low / least(open, close))"


def check(data: str | Path | Catalog, symbols: list[str] | None = None, *, most: int | None = CASES) -> Findings:
    """Look at every row of a dataset, and list the ``most`` worst cases of each finding (None: all).

    UserError if it cannot be opened at all.
    """
    catalog = data if isinstance(data, Catalog) else Catalog.open(data)
    names = select(catalog, symbols).symbols if symbols else catalog.symbols
    book = _Book(catalog, most)
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

    def __init__(self, catalog: Catalog, most: int | None) -> None:
        self.catalog, self.most = catalog, most
        self.found: dict[str, Finding] = {}

    def add(self, kind: str, severity: Severity, count: int, places: int, cases: list[Case]) -> None:
        self.found.setdefault(kind, Finding(kind, severity)).add(count, places, cases, self.most)

    def candles(self, symbol: str) -> None:
        source, market = self.catalog.sources["candles"][symbol], self.catalog.markets[symbol]
        interval = self.catalog.interval_ms
        if market.interval_ms not in (None, interval):
            text = f"{interval_name(market.interval_ms or 0)} candles in a dataset of {interval_name(interval)}"
            self.add("different intervals", "error", 1, 1, [Case(symbol, market.first_ms, text)])
        phases = [m.first_ms % interval for m in self.catalog.markets.values()]
        rules = [*_series("candles", interval, max(phases, key=phases.count)), _outlier(source, self.catalog)]
        if "volume" in source.files[0].types:
            bad = "volume IS NULL OR NOT isfinite(volume) OR volume < 0"
            rules.insert(-1, Rule("candles with bad volume", "error", bad, "format('volume {}', volume)"))
            self.run(source, (*CANDLE_COLUMNS, "volume"), rules)
            self.query(source, _without_volume(source, interval), [_QUIET])
        else:
            self.run(source, CANDLE_COLUMNS, rules)

    def mark(self, symbol: str, kind: str) -> None:
        source, market = self.catalog.sources[kind].get(symbol), self.catalog.markets[symbol]
        declared = self.catalog.manifest.mark_intervals_ms.get(symbol) if kind == "mark" else None
        interval = mark_interval(self.catalog.con, source, declared, market.interval_ms)
        if source is None or interval is None:
            return
        self.run(source, CANDLE_COLUMNS, _series("marks", interval, source.first_ms % interval))
        ends = market.first_ms, market.last_ms + (market.interval_ms or interval)
        self.ends("marks", symbol, (source.first_ms, source.last_ms + interval), ends)
        self.query(source, self.beside(source, interval, symbol), [_FAR_MARKS])

    def beside(self, source: Source, interval: int, symbol: str) -> str:
        """SQL for marks beside trades, both over the longer of their candles: names with m_ and c_, and `apart`."""
        trades, length = self.catalog.sources["candles"][symbol], self.catalog.markets[symbol].interval_ms or interval
        span = math.lcm(interval, length)
        phase = (source if interval >= length else trades).first_ms % span
        # At either end one of the two may cover only a part of the span, and miss the other's extremes.
        begin = max(source.first_ms, trades.first_ms)
        end = min(source.last_ms + interval, trades.last_ms + length)
        sides = " JOIN ".join(
            f"(SELECT t - (t - {phase}) % {span} AS t, min(t) AS {n}_first, arg_min(open, t) AS {n}_open, "
            f"max(high) AS {n}_high, min(low) AS {n}_low FROM ({of.scan(CANDLE_COLUMNS)}) WHERE {_FINITE} GROUP BY 1)"
            for n, of in (("m", source), ("c", trades))
        )
        apart = {name: f"abs(m_{name} / c_{name} - 1)" for name in ("open", "high", "low")}
        apart["open"] = f"CASE WHEN m_first = c_first THEN {apart['open']} END"
        columns = ", ".join(f"{sql} AS {name}" for name, sql in apart.items())
        return (
            f"SELECT *, greatest(open, high, low) AS apart FROM (SELECT *, {columns} FROM {sides} USING (t)) "
            f"WHERE t >= {begin} AND t + {span} <= {end}"
        )

    def ends(self, what: str, symbol: str, held: tuple[int, int], candles: tuple[int, int]) -> None:
        """Report a series that covers less than the candles do; spans from the first open to the last end, ms."""
        if held[0] > candles[0]:
            case = Case(symbol, held[0], f"the candles begin at {stamp(candles[0])}", held[0] - candles[0])
            self.add(f"{what} that begin after the candles", "warning", 1, 1, [case])
        if held[1] < candles[1]:
            case = Case(symbol, held[1], f"the candles go on to {stamp(candles[1])}", candles[1] - held[1])
            self.add(f"{what} that end before the candles", "warning", 1, 1, [case])

    def funding(self, symbol: str) -> None:
        source, market = self.catalog.sources["funding"].get(symbol), self.catalog.markets[symbol]
        if source is None:
            self.without_funding(symbol)
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
        first, end = market.first_ms, market.last_ms + self.catalog.interval_ms
        lacking = missing_settlements(stamps, first, end, self.catalog.manifest.funding_interval_ms)
        # Inside the first candle nobody can hold anything yet: the first order is sent at its close.
        lacking = lacking[lacking >= first + self.catalog.interval_ms]
        if len(stamps):
            begin = int(stamps[0]) if (lacking < stamps[0]).any() else first
            stop = int(stamps[-1]) if (lacking > stamps[-1]).any() else end
            self.ends("settlements", symbol, (begin, stop), (first, end))
        self.missing(symbol, stamps, lacking)

    def without_funding(self, symbol: str) -> None:
        """Report that no settlement is there, if one was due while the symbol was traded."""
        market, interval = self.catalog.markets[symbol], self.catalog.manifest.funding_interval_ms
        length = self.catalog.interval_ms
        stamps = due(market.first_ms + length, market.last_ms + length, interval)
        if len(stamps):
            span = f" from {stamp(int(stamps[0]))} to {stamp(int(stamps[-1]))}" if len(stamps) > 1 else ""
            text = f"{len(stamps):,} due{span}, one each {interval_name(interval)}; a run refuses it, unless by --allow missing-funding"  # noqa: E501
            self.add("symbols without funding", "error", 1, 1, [Case(symbol, int(stamps[0]), text)])

    def missing(self, symbol: str, stamps: NDArray[np.int64], lacking: NDArray[np.int64]) -> None:
        """Report settlements that are expected and not there, those between the same two stamps as one case."""
        _, first, counts = np.unique(np.searchsorted(stamps, lacking), return_index=True, return_counts=True)
        for at, count in zip(first.tolist(), counts.tolist(), strict=True):
            text = "expected, not there" if count == 1 else f"{count:,} in a row expected, not there"
            case = Case(symbol, int(lacking[at]), text, count)
            self.add("missing settlements", "warning", count, 1, [case])

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
        """Count every rule in one pass; fetch the worst cases of those that were broken."""
        con, symbol = self.catalog.con, source.symbol
        sums = ", ".join(
            f"coalesce(sum({r.weight}) FILTER (WHERE {r.where}), 0), count(*) FILTER (WHERE {r.where})" for r in rules
        )
        with reading(source.files):
            counts = con.execute(f"SELECT {sums} FROM ({rows})").fetchall()[0]
            for n, rule in enumerate(rules):
                count, places = counts[2 * n : 2 * n + 2]
                if count:
                    cases = [Case(symbol, t or 0, text or "empty", size) for t, text, size in self.worst(rows, rule)]
                    self.add(rule.kind, rule.severity, int(count), places, cases)

    def worst(self, rows: str, rule: Rule) -> list[tuple[int | None, str | None, float]]:
        """Time, text and size of the worst rows that broke a rule."""
        limit = "" if self.most is None else f" LIMIT {self.most}"
        size = f"coalesce(CAST({rule.size} AS DOUBLE), 0)"
        query = f"SELECT t, {rule.text}, {size} FROM ({rows}) WHERE {rule.where} ORDER BY 3 DESC, t{limit}"
        return self.catalog.con.execute(query).fetchall()


_BESIDE = "format('{} of the mark {{}}, of trades {{}}, {{:.1f}} % apart', m_{}, c_{}, 100 * apart)"
_FAR_MARKS = Rule(
    "marks far from trades",
    "warning",
    f"apart > {_FAR}",
    "CASE apart " + " ".join(f"WHEN {n} THEN {_BESIDE.format(n, n, n)}" for n in ("high", "low", "open")) + " END",
    size="apart",
)


_QUIET_MS = HOUR_MS
"""Candles without volume that follow each other for so long are reported. In thin markets a minute without a trade is
common; an hour means that the market was halted, delisted, or that its volume was not recorded."""
_QUIET = Rule(
    "candles without volume",
    "warning",
    f"ends - t >= {_QUIET_MS}",
    "format('{:,} in a row, until {}', n, strftime(epoch_ms(ends::BIGINT), '%Y-%m-%dT%H:%MZ'))",
    weight="n",
    size="n",
)


def _without_volume(source: Source, interval: int) -> str:
    """SQL for stretches of candles without volume: `t` of the first, `n` of them, and where the last one `ends`."""
    quiet = f"SELECT DISTINCT t FROM ({source.scan(('volume',))}) WHERE volume = 0"
    # Less one interval a row, the stamps of candles that follow each other are the same.
    numbered = f"SELECT t, t - {interval} * row_number() OVER (ORDER BY t) AS stretch FROM ({quiet})"
    return f"SELECT min(t) AS t, count(*) AS n, max(t) + {interval} AS ends FROM ({numbered}) GROUP BY stretch"


def _order(what: str, gap: str) -> list[Rule]:
    """Stamps that do not rise strictly."""
    after = "format('after {}', epoch_ms(before)::VARCHAR)"
    return [
        Rule(f"duplicate {what}", "error", f"{gap} = 0", "'there twice'"),
        Rule(f"unsorted {what}", "error", f"{gap} < 0", after, size=f"-({gap})"),
    ]


def _series(what: str, interval: int, phase: int) -> list[Rule]:
    """What holds for candles of trades and of marks alike."""
    name = interval_name(interval)
    lacking = f"(t - before) // {interval} - 1"
    return [
        *_order(what, "t - before"),
        Rule(f"{what} off the grid", "error", f"t % {interval} <> {phase}", f"'not on the grid of {name}'"),
        Rule(f"{what} with bad prices", "error", f"({_FINITE}) IS NOT TRUE", _OHLC),
        Rule(f"{what} that contradict themselves", "error", f"{_FINITE} AND (high < greatest(open, close, low) OR low > least(open, close))", _OHLC, size=_CONTRADICTION),  # noqa: E501
        Rule(f"{what} with prices that no market has", "error", f"{_FINITE} AND high >= low AND ({_IMPOSSIBLE})", _OHLC, size=_RATIO),  # noqa: E501
        Rule(f"gaps in {what}", "warning", f"{lacking} > 0", f"format('{{}} missing before it', ({lacking})::BIGINT)", lacking, lacking),  # noqa: E501
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
    return Rule("outliers", "warning", where, text, size="abs(move)")
