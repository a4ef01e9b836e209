"""The coverage of a dataset in the terminal: a strip of colours for each series, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from backtest.cli import console
from backtest.report import formatting as fmt
from backtest.report.coverage_page import LEVELS, NONE, OUTSIDE, level_of, percent

if TYPE_CHECKING:
    from backtest.data.coverage import Coverage

GLYPHS = {"all": "█", "most": "▓", "some": "▒", "few": "░", NONE[0]: "·", OUTSIDE: " "}
"""Different without colours too."""
COLOURS = {"all": "green", "most": "green_yellow", "some": "yellow", "few": "dark_orange", NONE[0]: "red", OUTSIDE: ""}
PLAIN = 60
"""Stretches of time where standard output is no terminal."""
LEAST = 20
BESIDE = 12
"""Columns beside a strip, without the names: gaps, and the share."""


def width(names: int) -> int:
    """Return how many stretches of time fit beside ``names`` columns of names."""
    shown = Console()
    return max(LEAST, shown.width - names - BESIDE) if shown.is_terminal else PLAIN


def coverage(picture: Coverage) -> None:
    """Write a strip per series, with the dates of both ends above them and the legend below."""
    symbols = max(len(series.symbol) for series in picture.series)
    kinds = max(len(series.kind) for series in picture.series)
    first, last = fmt.moment(picture.start_ms)[:10], fmt.moment(picture.end_ms)[:10]
    between = max(1, picture.buckets - len(first) - len(last))
    lines = [Text(" " * (symbols + kinds + 3) + first + " " * between + last, style="dim")]
    before = ""
    for series in picture.series:
        line = Text(f"{'' if series.symbol == before else series.symbol:<{symbols}} {series.kind:<{kinds}}  ")
        for share in series.shares:
            level = level_of(share)
            line.append(GLYPHS[level], style=COLOURS[level])
        line.append(f"  {percent(series.share):>8}")
        lines.append(line)
        before = series.symbol
    legend = Text()
    for level, words in (*((level, words) for level, _, words in LEVELS), NONE):
        legend.append(GLYPHS[level], style=COLOURS[level])
        legend.append(f" {words}   ", style="dim")
    legend.append("blank: before the first candle, after the last", style="dim")
    console.write_lines([*lines, Text(), legend])
