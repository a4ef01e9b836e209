"""The page of a dataset: which part of each series is there, over time, and what the series are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from backtest.report import formatting as fmt
from backtest.report.page import environment
from backtest.report.table_rows import Cell, Table

if TYPE_CHECKING:
    from backtest.data.catalog import Catalog
    from backtest.data.coverage import Coverage, SeriesCoverage
    from backtest.data.info import FundingPeriod, SeriesInfo, SymbolInfo

GENERATOR = "backtest data info"
"""Named in the page's head, so that it may be written again."""
BUCKETS = 240
"""Stretches of time on the page."""
LEVELS = (("all", 1.0, "all rows"), ("most", 0.9, "90 % and more"), ("some", 0.5, "50 to 90 %"), ("few", 0.0, "less"))
"""Class, least share, and name of each colour; ``none`` is a stretch without a row."""
NONE, OUTSIDE = ("none", "no rows"), "outside"
TICKS = 5


@dataclass(frozen=True)
class Stretch:
    """Neighbouring stretches of one colour: where they are on a strip, and what is said of them."""

    level: str
    x: int
    width: int
    words: str


@dataclass(frozen=True)
class Strip:
    """One series of a symbol as a strip of colours."""

    kind: str
    share: str
    stretches: tuple[Stretch, ...]


def render(catalog: Catalog, shown: Sequence[SymbolInfo], picture: Coverage) -> str:
    """The page of one dataset as a complete HTML document."""
    strips = {
        symbol: [_strip(series, picture) for series in rows]
        for symbol, rows in groupby(picture.series, key=lambda series: series.symbol)
    }
    end = picture.end_ms
    tables = (_series_table(shown, picture), _funding_table(shown))
    return (
        environment()
        .get_template("coverage.html.j2")
        .render(
            generator=GENERATOR,
            name=catalog.name,
            about=catalog.provenance,
            more="",
            synthetic=catalog.synthetic,
            omissions="",
            scope=[],
            period=f"{fmt.moment(picture.start_ms)} to {fmt.moment(end)} (UTC)",
            quote="",
            candles=f"{fmt.plural(len(shown), 'symbol')}, {fmt.interval(catalog.interval_ms)} candles, {catalog.quote}",
            strips=strips,
            buckets=picture.buckets,
            ticks=[fmt.moment(end if n == TICKS else _tick(picture, n))[:10] for n in range(TICKS + 1)],
            legend=[(level, words) for level, _, words in LEVELS] + [NONE],
            tables=tables,
        )
    )


def level_of(share: float | None) -> str:
    """Return the colour of a stretch in which ``share`` (0 to 1) of the rows are there; None: outside of the life."""
    if share is None:
        return OUTSIDE
    return next(name for name, least, _ in LEVELS if share >= least) if share > 0 else NONE[0]


def _tick(picture: Coverage, n: int) -> int:
    return picture.start_ms + n * (picture.end_ms - picture.start_ms) // TICKS


def _strip(series: SeriesCoverage, picture: Coverage) -> Strip:
    stretches = []
    for level, group in groupby(enumerate(series.shares), key=lambda pair: level_of(pair[1])):
        held = list(group)
        first, width = held[0][0], len(held)
        if level == OUTSIDE:
            continue
        mean = sum(share or 0.0 for _, share in held) / width
        span = f"{fmt.moment(picture.edge_ms(first))} to {fmt.moment(picture.edge_ms(first + width))}"
        stretches.append(Stretch(level, first, width, f"{span}: {percent(mean)} of the rows"))
    return Strip(series.kind, percent(series.share), tuple(stretches))


def percent(share: float) -> str:
    """``100 %`` only where nothing is missing, ``0 %`` only where everything is."""
    shown = f"{100 * share:.1f}"
    if share < 1 and shown == "100.0":
        return "> 99.9 %"
    if share > 0 and shown == "0.0":
        return "< 0.1 %"
    return f"{shown.removesuffix('.0')} %"


def _series_table(shown: Sequence[SymbolInfo], picture: Coverage) -> Table:
    held = {(series.symbol, series.kind): series for series in picture.series}
    rows = []
    for one in shown:
        candles = ("candles", fmt.interval(one.interval_ms), one.first_ms, one.last_ms, one.rows)
        others = [(s.kind, _every(s), s.first_ms, s.last_ms, s.rows) for s in one.series]
        for n, (kind, every, first, last, count) in enumerate([candles, *others]):
            cover = held.get((one.symbol, kind))
            missing = cover.expected - cover.rows if cover else 0
            rows.append(
                (
                    Cell(one.symbol if n == 0 else ""), Cell(kind), Cell(every), Cell(fmt.moment(first)),
                    Cell(fmt.moment(last)), Cell(fmt.count(count), True), Cell(fmt.count(missing), True),
                    Cell(percent(cover.share) if cover else fmt.NA, True),
                )
            )  # fmt: skip
    titles = ("Symbol", "Series", "Every", "From", "To")
    head = (*map(Cell, titles), Cell("Rows", True), Cell("Missing", True), Cell("Coverage", True))
    return Table("series", "Series", head, tuple(rows), empty="")


def _every(series: SeriesInfo) -> str:
    """The usual intervals of settlements in the order of their stretches, or the one interval of candles."""
    usual = dict.fromkeys(period.interval_ms for period in series.periods) or series.intervals_ms
    return ", ".join(map(fmt.interval, usual))


def _funding_table(shown: Sequence[SymbolInfo]) -> Table:
    rows = [
        tuple(map(Cell, (one.symbol if n == 0 else "", fmt.interval(of.interval_ms), *_span(of))))
        for one in shown
        for series in one.series
        for n, of in enumerate(series.periods)
    ]
    head = tuple(map(Cell, ("Symbol", "Funding interval", "From", "To")))
    return Table("intervals", "Funding intervals", head, tuple(rows), empty="No symbol has two settlements.")


def _span(period: FundingPeriod) -> tuple[str, str]:
    return fmt.moment(period.first_ms), fmt.moment(period.last_ms)
