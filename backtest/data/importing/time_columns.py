"""Times in any of the forms in which files write them, as SQL for whole milliseconds since 1970, UTC."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from backtest.core.errors import UserError
from backtest.data.importing.options import Options
from backtest.data.importing.tables import Table
from backtest.data.source import quoted

_FIRST_PLAUSIBLE_S = 10**8
"""1973 in seconds: a smaller number may be anything."""
_ENDS = (10**11, 10**14, 10**17)
"""Where seconds, milliseconds and microseconds end: each is the year 5138, or 1973 in the next unit."""
_DAY = re.compile(r"(19|20)\d{6}")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}(:\d{2}(:\d{2}([.,]\d+)?)?)?)?( ?UTC| ?GMT|Z|[+-]\d{2}(:?\d{2})?)?")
_ZONE = re.compile(r"(UTC|GMT|Z|\d[+-]\d{2}(:?\d{2})?)$")
_DATES = (
    "%Y.%m.%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%b %d, %Y",
    "%Y-%m-%d",
)  # fmt: skip
_CLOCKS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S.%f",
    "T%H:%M:%S",
    " %I:%M %p",
    " %I:%M:%S %p",
    " %I-%p",
    "T%H%M%S",
    " %H%M%S",
)
_FORMS = tuple(date + clock for date in _DATES for clock in _CLOCKS)


@dataclass(frozen=True)
class TimeColumn:
    """How the times of a table are read."""

    column: str
    sql: str
    """Whole milliseconds, UTC; of a repeated hour of the clock the first time."""
    type: str
    """SQL type in which the column is read from text."""
    said: str
    """How the times are written, for the user."""
    fold: str = ""
    """SQL for what has to be added where the clock repeats an hour and this is the second time; empty: never."""
    zoneless: bool = False
    """The times have no zone, and none was named: they are taken as UTC."""


def time_column(table: Table, column: str, options: Options, written: str = "", shift_ms: int = 0) -> TimeColumn:
    """How a column of times is read.

    ``written``: a unit or a form that the user, or a known layout, names. ``shift_ms`` is added. Raises UserError
    where the values are no times, or may be several.
    """
    kind, name = table.types[column], _quoted(column)
    values = [row[column] for row in table.rows if row.get(column) not in (None, "")]
    if not values:
        raise UserError(f"no time in column {column!r}", table.place, "name the column with --map ts=COLUMN")
    plus = f" + {shift_ms}" if shift_ms else ""
    if kind == "text" and "%" not in written and all(str(value).isdigit() for value in values):
        kind = "integer"  # JSON and databases may have numbers as text
    if kind in ("integer", "number") and "%" not in written:
        return _numeric(table, column, kind, values, written, plus)
    if kind == "timestamptz":
        return TimeColumn(column, f"epoch_ms({name}){plus}", "TIMESTAMPTZ", "times with a zone")
    if kind in ("timestamp", "date"):
        return _local(column, f"CAST({name} AS TIMESTAMP)", "TIMESTAMP", "times", options, plus)
    texts = [str(value).strip() for value in values]
    if not written and all(_ISO.fullmatch(text) for text in texts):
        if all(_ZONE.search(text) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) for text in texts):
            return TimeColumn(
                column, f"epoch_ms(CAST({name} AS TIMESTAMPTZ)){plus}", "VARCHAR", "ISO times with a zone"
            )
        return _local(column, f"CAST({name} AS TIMESTAMP)", "VARCHAR", "ISO times", options, plus)
    form = written or _form(table, column, texts)
    _check_form(table, column, texts, form)
    said = f"times like {texts[0]}"
    return _local(column, f"strptime(CAST({name} AS VARCHAR), {quoted(form)})", "VARCHAR", said, options, plus)


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _numeric(table: Table, column: str, kind: str, values: Sequence[object], written: str, plus: str) -> TimeColumn:
    numbers = [float(str(value)) for value in values]
    low, high = min(numbers), max(numbers)
    whole, name = kind == "integer", _quoted(column)
    if not written:
        if _DAY.fullmatch(f"{low:.0f}") and _DAY.fullmatch(f"{high:.0f}"):
            day = f"strptime(CAST(CAST({name} AS BIGINT) AS VARCHAR), '%Y%m%d')"
            return TimeColumn(column, f"epoch_ms({day}){plus}", "BIGINT", "days like 20240131", zoneless=True)
        if low < _FIRST_PLAUSIBLE_S:
            thing = f"the unit of the times in {column!r} is not clear: {low:.15g}"
            remedy = f"name it, as in --map ts={column}:s (or ms, us, ns), or name another column"
            raise UserError(thing, table.place, remedy)
    unit = written or ("s", "ms", "us", "ns")[sum(high >= end for end in _ENDS)]
    cast = f"CAST({name} AS BIGINT)" if whole else f"CAST({name} AS DOUBLE)"
    if not whole or unit == "s":
        factor = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}[unit]
        sql = f"{cast} * 1000" if whole else f"CAST(floor(CAST({name} AS DOUBLE) * {factor} + 1e-6) AS BIGINT)"
    elif written:
        sql = {"ms": cast, "us": f"({cast} // 1000)", "ns": f"({cast} // 1000000)"}[unit]
    else:
        # Binance's archive has microseconds from 2025 on, so that a file may begin in one unit and go on in another.
        sql = (
            f"(CASE WHEN {cast} < {_ENDS[0]} THEN {cast} * 1000 WHEN {cast} < {_ENDS[1]} THEN {cast} "
            f"WHEN {cast} < {_ENDS[2]} THEN {cast} // 1000 ELSE {cast} // 1000000 END)"
        )
    said = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit] + " since 1970"
    return TimeColumn(column, sql + plus, "BIGINT" if whole else "DOUBLE", said)


def _local(column: str, local: str, kind: str, said: str, options: Options, plus: str) -> TimeColumn:
    """Times without a zone: in the zone that `--tz` names, else in UTC."""
    if options.tz == "UTC":
        return TimeColumn(column, f"epoch_ms({local}){plus}", kind, said, zoneless=not options.tz_given)
    zone = quoted(options.tz)
    there = f"timezone({zone}, {local})"
    earlier = f"({there} - INTERVAL 1 HOUR)"
    repeated = f"timezone({zone}, {earlier}) = {local}"
    missing = f"error(concat('no such time: ', strftime({local}, '%Y-%m-%d %H:%M')))"
    sql = (
        f"CASE WHEN timezone({zone}, {there}) <> {local} THEN CAST({missing} AS BIGINT) "
        f"WHEN {repeated} THEN epoch_ms({earlier}) ELSE epoch_ms({there}) END{plus}"
    )
    fold = f"CASE WHEN {repeated} THEN 3600000 ELSE 0 END"
    return TimeColumn(column, sql, kind, f"{said} in {options.tz}", fold)


def _form(table: Table, column: str, texts: list[str]) -> str:
    """The one form that all texts have."""
    forms = [form for form in _FORMS if all(_parsed(text, form) for text in texts)]
    if not forms:
        thing = f"{texts[0]!r} in column {column!r} is no time that is known"
        raise UserError(thing, table.place, f"name its form, as in --map ts={column}:%d/%m/%Y, or another column")
    readings = {tuple(_parsed(text, form) for text in texts): form for form in reversed(forms)}
    if len(readings) > 1:
        may = " or ".join(f"{one[0]:%d %b %Y}" for one in readings if one[0])
        thing = f"{texts[0]!r} in column {column!r} may be {may}"
        raise UserError(thing, table.place, f"name the form, as in --map ts={column}:{forms[0]}")
    return forms[0]


def _check_form(table: Table, column: str, texts: list[str], form: str) -> None:
    bad = next((text for text in texts if not _parsed(text, form)), None)
    if bad is not None:
        raise UserError(f"{bad!r} in column {column!r} is not written as {form}", table.place, "name another form")


def _parsed(text: str, form: str) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(text, form)  # noqa: DTZ007  the zone is another option
    except ValueError:
        return None
