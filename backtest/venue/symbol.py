"""One market under its many names: what to look for in a venue's profile, the exact name first."""

from __future__ import annotations

import re

_QUOTES = ("USDT", "USDC", "BUSD", "FDUSD", "USD", "DAI", "EUR")
"""Of names in one word. No TUSD: DOTUSD is DOT."""
_KINDS = ("PERPETUAL", "PERP", "SWAP")
_MANY = re.compile(r"(?:1000000|100000|10000|1000|1M|k)(?=[A-Z])")
"""What stands before an asset whose market trades it by the thousand; a small k only."""
_OTHER = {"XBT": "BTC", "XDG": "DOGE"}


def names(symbol: str) -> tuple[str, ...]:
    """``symbol`` itself, then its base asset as the market writes it, then the bare asset; each once.

    ``BTC-USD``, ``BTCUSDT``, ``BTC/USDT:USDT``, ``BTC-USDT-SWAP``, ``BTC-PERP`` and ``XBTUSD`` end with ``BTC``;
    ``1000PEPEUSDT`` gives ``1000PEPE`` and ``PEPE``, ``kPEPE`` gives ``PEPE``.
    """
    parts = [part for part in re.split(r"[-_/: ]", symbol) if part]
    base = parts[0] if parts else symbol
    if len(parts) < 2 or parts[1].upper() in _KINDS:
        base = _without(base)
    bare = _MANY.sub("", base, count=1) if _MANY.match(base) else base
    bare = _OTHER.get(bare.upper(), bare.upper())
    return tuple(dict.fromkeys((symbol, base, bare)))


def _without(joined: str) -> str:
    """``BTCUSDT`` and ``BTCUSDPERP`` without what follows the asset; an asset that is itself a quote stays."""
    for endings in (_KINDS, _QUOTES):
        ending = next((e for e in endings if joined.upper().endswith(e) and len(joined) > len(e)), "")
        joined = joined[: len(joined) - len(ending)]
    return joined
