"""What a user asks of fills: models of slippage, a share of the candle's volume, and when a limit order fills."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from backtest.core.errors import UserError, nearest
from backtest.venues.slippage_models import BPS

ESTIMATORS = {
    "corwin-schultz": "by Corwin and Schultz",
    "abdi-ranaldo": "by Abdi and Ranaldo",
    "edge": "by EDGE",
}
"""Of the spread, from candles."""
SLIPPAGE, SHARE = "--slippage", "--volume-share"
_FORMS = {
    "half-spread": f"BPS or {', '.join(ESTIMATORS)}",
    "impact": "Y or Y:DELTA",
    "volume": "K",
    "depth": "FILE.parquet",
    "stress": "a factor",
    "drift": "K",
    "band": "a percentage above 0 and below 100, like 10%",
}
IMPACTS = ("impact", "volume", "depth")
_NUMBER = re.compile(r"\d+(\.\d*)?(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?", re.IGNORECASE)
_MOST = {"half-spread": BPS, "impact": 1e6, "volume": 1e6, "stress": 1_000.0, "drift": 1_000.0}
MOST_EXPONENT = 3.0


@dataclass(frozen=True)
class Slippage:
    """The models that a run's takers pay by. Rates."""

    half: float = 0.0
    """Given half spread."""
    estimator: str | None = None
    """Of the half spread, from candles."""
    impact: str | None = None
    """One of IMPACTS."""
    factor: float = 0.0
    exponent: float = 0.5
    depth: str | None = None
    """A Parquet file of the depth table."""
    stress: float = 1.0
    drift: float = 0.0
    band: float | None = None
    """Most that a fill may cost beside its price, in place of the venue's; None: the venue's, else the assumed one."""

    @property
    def by_bars(self) -> bool:
        """Whether σ and turnover of the trailing days are needed."""
        return self.impact == "impact" or self.drift > 0


def parse_slippage(texts: Iterable[str]) -> Slippage:
    """The models that ``KIND=VALUE`` texts write, each kind once; UserError for what is unknown or out of range."""
    chosen, given = Slippage(), list[str]()
    for text in texts:
        kind, equals, value = (part.strip() for part in text.partition("="))
        if not (equals and value):
            raise UserError(f"{text!r} is not KIND=VALUE", SLIPPAGE, f"kinds are {', '.join(_FORMS)}")
        if kind not in _FORMS:
            raise UserError(f"unknown kind {kind!r}", SLIPPAGE, nearest(kind, _FORMS))
        if kind in given:
            raise UserError(f"{kind} is given twice", SLIPPAGE, "give each kind once")
        given.append(kind)
        chosen = _with(chosen, kind, value)
    twice = [kind for kind in given if kind in IMPACTS]
    if len(twice) > 1:
        raise UserError(f"{' and '.join(twice)} are both models of impact", SLIPPAGE, "choose one")
    return chosen


def _with(chosen: Slippage, kind: str, value: str) -> Slippage:
    if kind == "half-spread" and value[0].isalpha():
        if value not in ESTIMATORS:
            raise UserError(f"unknown estimator {value!r}", SLIPPAGE, nearest(value, ESTIMATORS))
        return replace(chosen, estimator=value)
    if kind == "half-spread":
        return replace(chosen, half=_number(kind, value, _MOST[kind]) / BPS)
    if kind == "impact":
        y, colon, delta = value.partition(":")
        factor = _number(kind, y, _MOST[kind])
        exponent = _number(kind, delta, MOST_EXPONENT) if colon else 0.5
        return replace(chosen, impact=kind, factor=factor, exponent=exponent)
    if kind == "volume":
        return replace(chosen, impact=kind, factor=_number(kind, value, _MOST[kind]))
    if kind == "depth":
        return replace(chosen, impact=kind, depth=value)
    if kind == "band":
        return replace(chosen, band=_band(value))
    if kind == "stress":
        return replace(chosen, stress=_number(kind, value, _MOST[kind]))
    return replace(chosen, drift=_number(kind, value, _MOST[kind]))


def _band(text: str) -> float:
    percent = text.removesuffix("%")
    number = float(percent) if text.endswith("%") and _NUMBER.fullmatch(percent) else 0.0
    if not 0 < number < 100:
        raise UserError(f"band={text}", SLIPPAGE, f"give {_FORMS['band']}")
    return number / 100.0


def _number(kind: str, text: str, most: float) -> float:
    number = float(text) if _NUMBER.fullmatch(text) else -1.0
    if not 0 <= number <= most:
        raise UserError(f"{kind}={text}", SLIPPAGE, f"give {_FORMS[kind]}, numbers from 0 to {most:,.12g}")
    return number


def parse_shares(text: str | None) -> tuple[float, float]:
    """Shares of a candle's volume that takers and makers may fill, of ``10%`` or ``taker=10%,maker=5%``; inf: all."""
    shares: dict[str, float] = {}
    if text is None:
        return float("inf"), float("inf")
    for part in text.split(","):
        side, equals, value = (word.strip() for word in part.rpartition("="))
        percent = value.removesuffix("%")
        number = float(percent) if value.endswith("%") and _NUMBER.fullmatch(percent) else 0.0
        known = side in ("taker", "maker") if equals else text.count(",") == 0
        if not (known and 0 < number <= 100) or side in shares:
            remedy = "write a percentage above 0 up to 100, like 10%, or taker=10%,maker=5%"
            raise UserError(f"volume share {text!r}", SHARE, remedy)
        shares[side] = number / 100.0
    every = shares.get("", float("inf"))
    return shares.get("taker", every), shares.get("maker", every)
