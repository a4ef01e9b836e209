"""How a span is read page by page, without assuming how many rows a page has or how far apart they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from backtest.data.fetch.rows import Span, inside

Page = Callable[[Span], pl.DataFrame]
"""Asks for a span, and returns what the venue gives of it, sorted by time; it may cut off one end."""


def windows(span: Span, length_ms: int) -> Iterator[Span]:
    """Cut a span into pieces of at most ``length_ms``, the latest first."""
    end_ms = span.end_ms
    while end_ms > span.start_ms:
        start_ms = max(span.start_ms, end_ms - length_ms)
        yield Span(start_ms, end_ms)
        end_ms = start_ms


def forward(page: Page, span: Span, step_ms: int = 1) -> Iterator[pl.DataFrame]:
    """Read a span from its start, for a venue that gives the oldest rows of what is asked for.

    ``step_ms``: how far the next row is at least.
    """
    while not span.empty:
        found = inside(page(span), span)
        if not len(found):
            return
        yield found
        span = Span(int(found["ts"][-1]) + step_ms, span.end_ms)


def backward(page: Page, span: Span) -> Iterator[pl.DataFrame]:
    """Read a span from its end, for a venue that gives the latest rows of what is asked for."""
    while not span.empty:
        found = inside(page(span), span)
        if not len(found):
            return
        yield found
        span = Span(span.start_ms, int(found["ts"][0]))
