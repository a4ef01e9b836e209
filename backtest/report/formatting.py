"""How numbers, times and metrics are written for people; shared by the terminal and the HTML report.

Undefined is ``n/a``. Fractions are shown as percent. Times are UTC. Plain ASCII signs, so that any
terminal can print them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from backtest.results.metric_definitions import METRICS, Metric

NA = "n/a"


OPEN_GAP = Metric(
    "Gap to the next open",
    "money",
    "",
    "Price move between the close of the decision and the open that fills it",
    cost=True,
)
"""The metric `latency` of an account whose orders arrive at once."""


def metric(name: str, delayed: bool = True) -> Metric:
    """How the metric ``name`` is shown; one that is not listed is a plain number under its own name.

    ``delayed``: whether orders took time to arrive; without it there is no latency that could cost or gain.
    """
    if name == "latency" and not delayed:
        return OPEN_GAP
    return METRICS.get(name) or Metric(name.replace("_", " ").capitalize(), "ratio")


def text(name: str, value: float | None) -> str:
    """The metric's value as people read it: ``text("total_return", 0.1234)`` is ``12.34%``; a cost is below zero."""
    shown = metric(name)
    return _write(shown.kind, 0.0 - value if shown.cost and value is not None else value)


def difference(name: str, value: float | None, base: float | None) -> str:
    """What ``value`` is above ``base`` as both are shown, with a sign, in the metric's own unit (percent: points)."""
    if value is None or base is None or not math.isfinite(value - base):
        return NA
    known = metric(name)
    kind, gap = known.kind, base - value if known.cost else value - base
    shown = _write(kind, gap).replace("%", " pp")
    return "+" + shown if gap > 0 and shown[0].isdigit() and any(c in "123456789" for c in shown) else shown


def better(name: str, values: Sequence[float | None]) -> list[bool]:
    """Which of the values is the better one; none where that is a matter of opinion, or all are equal."""
    wish = metric(name).better
    known = [_rank(wish, v) for v in values if v is not None and math.isfinite(v)]
    if not wish or len(known) < 2 or max(known) == min(known):
        return [False] * len(values)
    best = max(known)
    return [v is not None and math.isfinite(v) and _rank(wish, v) == best for v in values]


def _rank(wish: str, value: float) -> float:
    """Larger is better. A drawdown counts by its size, whichever sign it is written with."""
    return {"high": value, "low": -value, "shallow": -abs(value)}.get(wish, 0.0)


def number(value: float | None, digits: int = 2) -> str:
    """``1,234.50``; ``n/a`` for null, NaN and infinity; never a minus before zero."""
    if value is None or not math.isfinite(value):
        return NA
    shown = f"{value:,.{digits}f}"
    return shown if any(c in "123456789" for c in shown) else shown.removeprefix("-")


def count(value: float | None) -> str:
    """A whole number with thousands."""
    return number(value, 0)


def percent(fraction: float | None, digits: int = 2) -> str:
    """``0.1234`` is ``12.34%``."""
    shown = number(None if fraction is None else fraction * 100, digits)
    return shown if shown == NA else shown + "%"


def signed(value: float | None, digits: int = 2) -> str:
    """Like :func:`number`, with a plus before a gain."""
    shown = number(value, digits)
    return "+" + shown if value is not None and value > 0 and any(c in "123456789" for c in shown) else shown


def price(value: float | None) -> str:
    """A price with as many decimals as its size needs: ``43,210.50``, ``0.08123``."""
    if value is None or not math.isfinite(value):
        return NA
    size = abs(value)
    digits = 2 if size >= 100 else 4 if size >= 1 else 6 if size >= 0.01 else 8
    return number(value, 2 if size == 0 else digits)


def quantity(value: float | None) -> str:
    """A quantity with up to six decimals (a lot is a whole number of millionths), without idle zeros."""
    shown = number(value, 6)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def duration(ms: float | None) -> str:
    """``3 d 4 h``, ``2 h 5 min``, ``30 s``: the two largest units."""
    if ms is None or not math.isfinite(ms):
        return NA
    rest, sign = abs(round(ms)), "-" if ms < 0 else ""
    if rest == 0:
        return "0"
    if rest < 1000:
        return f"{sign}{rest} ms"
    parts: list[str] = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if rest >= size and len(parts) < 2:
            parts.append(f"{rest // size:,} {unit}")
        elif parts:
            break
        rest %= size
    return sign + " ".join(parts)


def delay(ms: int) -> str:
    """A delay to the millisecond, in the largest unit that it is a whole number of: ``200 ms``, ``5 s``, ``90 s``."""
    units = (("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1))
    unit, size = next((unit, size) for unit, size in units if ms % size == 0 and (ms or size == 1))
    return f"{ms // size:,} {unit}"


def interval(ms: float | None) -> str:
    """A candle's interval as exchanges write it: ``1m``, ``4h``, ``1d``."""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{int(ms // size)}{unit}"
    return duration(ms)


def moment(ms: float | None) -> str:
    """``2020-03-12 12:35``, UTC, with seconds and milliseconds only where there are any."""
    if ms is None or not math.isfinite(ms):
        return NA
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(ms))
    seconds = f"{when:%S}" + (f".{when.microsecond // 1000:03d}" if when.microsecond else "")
    return f"{when:%Y-%m-%d %H:%M}" + ("" if seconds == "00" else f":{seconds}")


def spoken(ms: float) -> str:
    """``12:35 on 12 March 2020``, for sentences."""
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(ms))
    return f"{when:%H:%M} on {when.day} {_MONTHS[when.month - 1]} {when.year}"


def day(ms: float) -> str:
    """``12 Mar 2020``, UTC."""
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(ms))
    return f"{when.day} {_MONTHS[when.month - 1][:3]} {when.year}"


# Not strftime's %B, which follows the machine's language.
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def listing(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1] if words else ""


def plural(n: int, one: str, many: str = "") -> str:
    """``1 liquidation``, ``2 liquidations``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def table(metrics: Mapping[str, float | None], delayed: bool = True) -> list[tuple[str, str, str]]:
    """Rows ``(name, title, text)`` in the order of :func:`ordered`; ``delayed`` as of :func:`metric`."""
    return [(name, metric(name, delayed).title, text(name, metrics[name])) for name in ordered(metrics)]


def ordered(names: Iterable[str]) -> list[str]:
    """Metrics in the order of `METRICS`, whatever order a file had them in; then those that it does not know."""
    given = set(names)
    return [name for name in METRICS if name in given] + sorted(given - set(METRICS))


def _write(kind: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return NA
    most = _MOST.get(kind, math.inf)
    if abs(value) > most:
        return f"{'over ' if value > 0 else 'below -'}{_WRITERS[kind](most).replace('.00', '')}"
    return _WRITERS[kind](value)


_MOST = {"percent": 1e4, "ratio": 1e6}
"""Beyond it the figures say nothing: the return of a good week, compounded over a year."""


def _times(value: float) -> str:
    return number(value) + "x"


def _days(value: float) -> str:
    return duration(value * 86_400_000)


_WRITERS: dict[str, Callable[[float], str]] = {
    "percent": percent, "money": number, "ratio": number, "times": _times, "count": count, "days": _days,
}  # fmt: skip
