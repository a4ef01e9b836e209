"""Counts how often the program comes past what reads an input: an input that no reader takes tests the reader only."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from backtest.calculator import book
from backtest.data.catalog import Catalog
from backtest.runner import validation
from backtest.venues import chains, profile

READERS: dict[str, tuple[Any, str]] = {
    "dataset": (Catalog, "open"),
    "manifest": (Catalog, "open"),
    "settings": (validation, "checked"),
    "venue": (profile, "_checked"),
    "chain": (chains, "_checked"),
    "book": (book, "read"),
}
"""By kind of input: what returns when it was taken, and raises when it was not."""


@contextmanager
def past(kind: str) -> Iterator[Callable[[], bool]]:
    """Watch the reader of ``kind``; what is given says whether it has returned."""
    owner, name = READERS[kind]
    reader, came = getattr(owner, name), []

    @functools.wraps(reader)
    def watched(*arguments: Any, **named: Any) -> Any:
        made = reader(*arguments, **named)
        came.append(True)
        return made

    named_by = [owner] if isinstance(owner, type) else [m for m in _modules() if vars(m).get(name) is reader]
    kept = [vars(one)[name] for one in named_by]
    for one in named_by:
        setattr(one, name, staticmethod(watched) if isinstance(one, type) else watched)
    try:
        yield lambda: bool(came)
    finally:
        for one, old in zip(named_by, kept, strict=True):
            setattr(one, name, old)


def _modules() -> list[Any]:
    return [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "backtest"]
