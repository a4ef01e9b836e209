"""How a command writes: tables and lines on standard output, or JSON and nothing else there.

Light: it loads Rich only when a table is written, and nothing of the package.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table
    from rich.text import Text

WIDE = 1_000
"""Columns of a line that nobody has to see at once."""


def grid(first: str, *others: str, numbers: bool = True, gap: int = 1) -> Table:
    """An empty table with these columns; all but the first are numbers, to the right, unless said otherwise.

    ``gap`` is the space between columns beside the one that is always there.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap, 0, 0))
    table.add_column(first)
    for name in others:
        table.add_column(escape(name), justify="right" if numbers else "left")
    return table


def write_table(table: Table) -> None:
    """A table on standard output: as wide as the terminal, and in a file or a pipe as wide as it needs to be."""
    from rich.console import Console

    shown = Console(highlight=False)
    (shown if shown.is_terminal else Console(highlight=False, width=WIDE)).print(table)


def write_lines(lines: Sequence[Text]) -> None:
    """Styled lines on standard output, none of them folded where it is a file or a pipe."""
    from rich.console import Console

    shown = Console(highlight=False)
    shown = shown if shown.is_terminal else Console(highlight=False, width=WIDE)
    for line in lines:
        shown.print(line, soft_wrap=False)


def write_json(value: Any) -> None:
    """The machine-readable answer, all that standard output gets."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, allow_nan=False))
