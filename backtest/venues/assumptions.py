"""What dated tables leave to trust: days that they do not cover, figures that no source gives."""

from __future__ import annotations

from collections.abc import Sequence

from backtest.venues.field_types import Dated, Moment, Sourced, instant_ms, moment_text


def left_to_trust(tables: Sequence[Dated], start_ms: int, end_ms: int) -> list[str]:
    """Return what the tables that hold from ``start_ms`` to before ``end_ms`` leave to trust, as parts of sentences."""
    if not tables:
        return []
    out = []
    first, last = tables[0], tables[-1]
    if start_ms < first.from_ms:
        out.append(f"of {first.since} is also used for earlier days")
    if last.until and end_ms > instant_ms(last.until):
        out.append(f"is known until {moment_text(last.until)} and also used for later days")
    ends = [*(table.from_ms for table in tables[1:]), end_ms]
    begins = [min(start_ms, first.from_ms), *(table.from_ms for table in tables[1:])]
    for table, begin, end in zip(tables, begins, ends, strict=True):
        if begin < end_ms and end > start_ms:
            trusted = _trust(table)
            out += [f"of {table.since}: {trusted}" if table.from_ else trusted] if trusted else []
    return out


def _trust(table: Sourced) -> str:
    """What of a table no source gives; empty for nothing."""
    named = ", ".join("the date" if key == "from" else key.replace("_", " ") for key in table.assumed)
    said = "assumed" if table.status == "assumed" else f"assumed: {named}" if named else ""
    return f"{said} ({table.note})" if said and table.note else said


def outside(tables: Sequence[Dated], when: Moment) -> str:
    """Return in words why no table is known to hold at a moment; empty where one is."""
    at = instant_ms(when)
    if at < tables[0].from_ms:
        return f"assumed: first known of {tables[0].since}"
    last = tables[-1]
    return f"assumed: known until {moment_text(last.until)}" if last.until and at >= instant_ms(last.until) else ""
