"""Which column is what: told from its name, or named by the user."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from backtest.core.errors import UserError, nearest
from backtest.data.importing.options import Column
from backtest.data.importing.tables import Table

OHLC = ("open", "high", "low", "close")
_KNOWN: dict[str, tuple[str, ...]] = {
    "ts": (
        "ts", "opentime", "startat", "start", "starttime", "opentimestamp", "fundingtime", "calctime", "timestamp",
        "unix", "unixtimestamp", "time", "datetime", "date", "timeutc", "dateutc", "t", "tsopen", "bucket", "index",
        "timeopen", "gmttime", "localtime", "closetime", "tsevent", "timeclose", "tsclose", "endtime", "end",
        "datum", "zeit", "fecha",
    ),
    "open": ("open", "o", "openprice", "op", "firstprice", "bidopen", "openpx"),
    "high": ("high", "h", "highprice", "max", "maxprice", "highpx", "hi"),
    "low": ("low", "l", "lowprice", "min", "minprice", "lowpx", "lo"),
    "close": ("close", "c", "closeprice", "last", "closepx", "lastprice", "adjclose"),
    "volume": ("volume", "vol", "v", "basevolume", "volumebase", "amount", "qty", "tickvolume", "volumebtc", "volumen"),
    "rate": ("rate", "fundingrate", "lastfundingrate", "funding", "realizedrate"),
    "symbol": ("symbol", "ticker", "pair", "coin", "market", "instrument", "instrumentid", "instid", "asset"),
    "price": ("price", "px", "markprice", "markpx"),
    "size": ("size", "qty", "quantity", "amount", "sz"),
}  # fmt: skip
"""Names without case and signs, the likeliest first."""
CLOSING = ("closetime", "timeclose", "tsclose", "endtime", "end")
"""Names of times that are the end of a candle."""


def plain(name: str) -> str:
    """A name without case, spaces and signs: ``Open time`` is `opentime`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def roles_of(table: Table, named: Mapping[str, Column]) -> dict[str, str]:
    """The column of every role that one is found for; what the user names comes first.

    Raises UserError for a named column that the table does not have. ``volume=0`` names no column but a number.
    """
    taken = {}
    for role, column in named.items():
        if column.name not in table.types and not (role in ("volume", "size") and column.name == "0"):
            remedy = nearest(column.name, table.types)
            raise UserError(f"no column {column.name!r} for --map {role}", table.place, remedy)
        taken[role] = column.name
    if not table.headed:
        return taken | {role: column for role, column in _by_position(table).items() if role not in taken}
    by_plain: dict[str, str] = {}
    for name in table.types:
        by_plain.setdefault(plain(name), name)
    for role, known in _KNOWN.items():
        found = next((by_plain[name] for name in known if name in by_plain), None)
        if role not in taken and found is not None and found not in taken.values():
            taken[role] = found
    if "volume" not in taken:
        volume = _volume_of(table, taken)
        taken |= {"volume": volume} if volume else {}
    return taken


def _by_position(table: Table) -> dict[str, str]:
    """Columns without names: time, open, high, low, close, volume, if the numbers can be that."""
    columns = list(table.types)
    if len(columns) < 5:
        return {}
    for row in table.rows:
        try:
            first, high, low, last = (float(str(row[name])) for name in columns[1:5])
        except ValueError:
            return {}
        if not (high >= max(first, last) and low <= min(first, last)):
            return {}
    return dict(zip(("ts", *OHLC, "volume"), columns, strict=False))


def _volume_of(table: Table, roles: Mapping[str, str]) -> str | None:
    """The volume in base units among columns such as ``Volume BTC`` and ``Volume USDT``."""
    named = [name for name in table.types if plain(name).startswith("volume")]
    if not named:
        return None
    symbols = [str(row[roles["symbol"]]) for row in table.rows[:1]] if "symbol" in roles else [table.name]
    market = re.sub(r"[^A-Z0-9]", "", symbols[0].upper())
    based = [name for name in named if (unit := name.split()[-1].upper()) and f"{unit}USD" in market]
    others = [name for name in named if "usd" not in plain(name) and "quote" not in plain(name)]
    return next(iter([*based, *others]), None)


def lacking(table: Table, wanted: Sequence[str], roles: Mapping[str, str]) -> UserError | None:
    """The error for columns that are missing; None where all are found."""
    missing = [role for role in wanted if role not in roles]
    if not missing:
        return None
    held = ", ".join(list(table.types)[:12]) + (", …" if len(table.types) > 12 else "")
    thing = f"no column for {', '.join(missing)} is found among {held}"
    remedy = f"name it with --map {','.join(f'{role}=COLUMN' for role in missing)}"
    if missing == ["volume"]:
        remedy += ", or write 0 for all candles with --map volume=0"
    return UserError(thing, table.place, remedy)
