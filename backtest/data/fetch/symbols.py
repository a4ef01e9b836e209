"""Which markets a user means: `BTC`, `BTC-USD`, `BTCUSDT`, `BTC/USDT:USDT`, `*USDC`, `top20`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from backtest.core.errors import UserError, closest, nearest
from backtest.data.fetch.market import Market

PLACE = "SYMBOLS"
_DOLLARS = ("USD", "USDT", "USDC")
"""What stands for one another where a venue does not list the quote that was asked for."""
_KINDS = ("", "PERP", "SWAP", "PERPETUAL")
_MANY = re.compile(r"^(1000000|100000|10000|1000|1M|K)(?=[A-Z])")
"""What stands before an asset whose market trades it by the thousand or the million."""
_TOP = re.compile(r"top\s*(\d{1,4})", re.IGNORECASE)


@dataclass(frozen=True)
class Chosen:
    """The markets that were asked for, sorted by name."""

    markets: tuple[Market, ...]
    named: frozenset[str]
    """Those that were asked for by name, not by a wildcard or by volume."""


def choose(
    asked: Sequence[str], markets: Sequence[Market], quotes: Sequence[str], volumes: Callable[[], Mapping[str, float]],
    venue: str,
) -> Chosen:  # fmt: skip
    """Return the markets that ``asked`` means, all of one quote.

    ``volumes``: asked for only by `topN`. Raises UserError for a name that no market has, with the nearest one.
    """
    book = _Names(markets, quotes, venue)
    found: dict[str, Market] = {}
    named: set[str] = set()
    for text in asked:
        top = _TOP.fullmatch(text)
        if top:
            chosen: Iterable[Market] = book.largest(int(top[1]), volumes())
        elif any(sign in text for sign in "*?["):
            chosen = book.like(text)
        else:
            chosen = [book.named(text)]
            named |= {market.name for market in chosen}
        found |= {market.name: market for market in chosen}
    told = {market.quote for market in found.values()}
    if len(told) > 1:
        first = {quote: next(name for name in sorted(found) if found[name].quote == quote) for quote in sorted(told)}
        shown = ", ".join(f"{name} in {quote}" for quote, name in first.items())
        raise UserError(f"markets of {len(told)} quotes ({shown})", PLACE, "fetch one dataset per quote")
    return Chosen(tuple(found[name] for name in sorted(found)), frozenset(named))


class _Names:
    """The markets of a venue by every spelling."""

    def __init__(self, markets: Sequence[Market], quotes: Sequence[str], venue: str) -> None:
        self._quotes, self._venue = quotes, venue
        self._rank = {quote: n for n, quote in enumerate(quotes)}
        # The usual quote first, and what trades before what does not: a spelling belongs to the first that has it.
        self._markets = sorted(markets, key=lambda one: (not one.active, self._of(one), one.name))
        self._exact: dict[str, Market] = {}
        self._loose: dict[str, Market] = {}
        for market in self._markets:
            for name in _spellings(market):
                self._exact.setdefault(name, market)
        for market in self._markets:
            for name in _stand_ins(market):
                self._loose.setdefault(name, market)

    def named(self, text: str) -> Market:
        """Return the market of a name."""
        key = _plain(text)
        by_name = next((one for one in self._markets if one.name == text.strip()), None)
        found = by_name or self._exact.get(key) or self._loose.get(key)
        if found is None:
            known = {market.name for market in self._markets}
            near = closest(text, known) or closest(text, {market.base for market in self._markets})
            remedy = f"did you mean {near!r}?" if near else nearest(text, known)
            raise UserError(f"{self._venue} has no market {text!r}", PLACE, remedy)
        return found

    def like(self, pattern: str) -> list[Market]:
        """Return the trading markets that a wildcard matches, of the usual quote where there are several."""
        wanted = pattern.strip().upper()
        trading = [one for one in self._markets if one.active]
        found = [one for one in trading if any(fnmatchcase(name, wanted) for name in _patterned(one))]
        if not found:
            raise UserError(f"no market of {self._venue} matches {pattern!r}", PLACE, "widen the pattern")
        quote = min(found, key=self._of).quote
        return [one for one in found if one.quote == quote]

    def largest(self, count: int, volumes: Mapping[str, float]) -> list[Market]:
        """Return the trading markets of the usual quote that trade most."""
        if count < 1:
            raise UserError("top0 names no market", PLACE, "write top20, say")
        quote = next((one for one in self._quotes if any(m.quote == one and m.active for m in self._markets)), "")
        trading = [one for one in self._markets if one.active and one.quote == quote]
        return sorted(trading, key=lambda one: (-volumes.get(one.name, 0.0), one.name))[:count]

    def _of(self, market: Market) -> int:
        return self._rank.get(market.quote, len(self._rank))


def _plain(text: str) -> str:
    return re.sub(r"[-_/: ]", "", text).upper()


def _spellings(market: Market) -> list[str]:
    """Every spelling that says the market's own base and quote."""
    pairs = [f"{market.base}{market.quote}", f"{market.base}{market.quote}{market.quote}"]
    return [_plain(name) for name in (market.name, *(f"{pair}{kind}" for pair in pairs for kind in _KINDS))]


def _stand_ins(market: Market) -> list[str]:
    """Spellings without a quote, with another dollar, or without the number before a small asset."""
    bases = dict.fromkeys((market.base, _MANY.sub("", market.base.upper())))
    dollars = _DOLLARS if market.quote in _DOLLARS else ()
    return [_plain(f"{base}{quote}{kind}") for base in bases for quote in ("", *dollars) for kind in _KINDS]


def _patterned(market: Market) -> tuple[str, ...]:
    pair = f"{market.base}{market.quote}"
    return tuple(
        name.upper() for name in (market.name, pair, f"{market.base}-{market.quote}", f"{market.base}/{market.quote}")
    )
