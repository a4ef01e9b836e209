"""One market under its many names: base asset, quote and multiplier, and what to look for in a venue's profile."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "USD", "DAI", "EUR")
"""Of names in one word. No TUSD: DOTUSD is DOT."""
DOLLARS = ("USD", "USDT", "USDC", "BUSD", "FDUSD", "DAI")
"""Quotes that stand for one another where a venue does not list the one that was asked for."""
_KINDS = ("PERPETUAL", "PERP", "SWAP")
_MANY = re.compile(r"(10000000|1000000|100000|10000|1000|1M|k)(?=[A-Z])")
"""What stands before an asset whose market trades it by the thousand; a small k only."""
_TIMES = {"1M": 1_000_000, "k": 1_000}
_DATED = re.compile(r"[-_](\d{6}|\d{1,2}[A-Z]{3}\d{2})$")
"""What a future that expires ends with: ``-230331``, ``-29DEC23``."""
_OTHER = {"XBT": "BTC", "XDG": "DOGE"}


@dataclass(frozen=True)
class Name:
    """What a market's name says."""

    base: str
    """The bare asset: PEPE of 1000PEPE."""
    many: int
    """How many of it one unit of the market is: 1000 of 1000PEPE and of kPEPE."""
    quote: str | None
    """None: the name has none."""
    dated: bool
    """Whether it is a future that expires."""


def read(symbol: str) -> Name:
    """Return what a market's name says: ``1000PEPE/USDT:USDT`` is 1000 PEPE in USDT, ``BTC-PERP`` BTC in no quote."""
    written, quote = _parted(symbol)
    many = _MANY.match(written)
    times = 1 if many is None else _TIMES.get(many[1]) or int(many[1])
    return Name(_bare(written), times, quote, _DATED.search(symbol) is not None)


def names(symbol: str) -> tuple[str, ...]:
    """``symbol`` itself, then its base asset as the market writes it, then the bare asset; each once.

    ``BTC-USD``, ``BTCUSDT``, ``BTC/USDT:USDT``, ``BTC-USDT-SWAP``, ``BTC-PERP`` and ``XBTUSD`` end with ``BTC``;
    ``1000PEPEUSDT`` gives ``1000PEPE`` and ``PEPE``, ``kPEPE`` gives ``PEPE``.
    """
    base, _ = _parted(symbol)
    return tuple(dict.fromkeys((symbol, base, _bare(base))))


def _bare(base: str) -> str:
    without = _MANY.sub("", base, count=1) if _MANY.match(base) else base
    return _OTHER.get(without.upper(), without.upper())


def _parted(symbol: str) -> tuple[str, str | None]:
    """The base as the market writes it, and the quote, in capitals."""
    parts = [part for part in re.split(r"[-_/: ]", symbol) if part]
    base = parts[0] if parts else symbol
    if len(parts) >= 2 and parts[1].upper() not in _KINDS and not _DATED.fullmatch(f"-{parts[1]}"):
        return base, parts[1].upper()
    return _split(base)


def _split(joined: str) -> tuple[str, str | None]:
    """``BTCUSDT`` and ``BTCUSDPERP`` in two; an asset that is itself a quote stays."""
    found: str | None = None
    for endings in (_KINDS, _QUOTES):
        ending = next((e for e in endings if joined.upper().endswith(e) and len(joined) > len(e)), "")
        joined = joined[: len(joined) - len(ending)]
        found = ending or None
    return joined, found
