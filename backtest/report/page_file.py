"""Its own page on disk: a new file, or in place of an earlier page of the same command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backtest.core import disk
from backtest.core.disk import ELSEWHERE
from backtest.core.errors import UserError

_HEAD = 4_096
"""Bytes of a page that hold the name of the command that wrote it."""


def write_page(file: Path, generator: str, render: Callable[[], str]) -> None:
    """Write the page that ``render`` returns to ``file``, whole or not at all.

    ``generator`` is the command, as the page's head names it. Raises UserError where ``file`` is a link, holds anything
    but an earlier page of this command, or cannot be written.
    """
    try:
        disk.refuse_link(file, "name the file that it points to")
        if file.exists() and not (file.is_file() and is_page(_head(file), generator)):
            raise UserError(f"is not a page that `{generator}` has written, and is left alone", str(file), ELSEWHERE)
        with disk.whole_file(file) as draft:
            draft.write_text(render(), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror})", str(file), ELSEWHERE) from error


def is_page(head: bytes, generator: str) -> bool:
    """Whether a file that begins with ``head`` is a page of the command ``generator``."""
    return f'<meta name="generator" content="{generator}">'.encode() in head


def _head(file: Path) -> bytes:
    """The first bytes of ``file``."""
    with file.open("rb") as stream:
        return stream.read(_HEAD)
