"""What holds of every order, whatever the market: invented markets of 20 to 40 candles with up to 30 orders."""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backtest
from backtest import Result
from tests.scenarios.scenario import MINUTE, START, Market, Row, Step, both, play, rows

TICK, LOT = 0.5, 0.25
HAIR = 1e-9
EACH = ("price_moves", "funding", "fees", "spread", "impact", "latency", "penalties", "insurance", "bad_debt")
COSTS = {"fees", "spread", "impact", "latency", "penalties"}


@dataclass
class Played:
    """A market, what was asked for in it, and what came out."""

    candles: list[Row]
    volume: list[float]
    sends: list[tuple[int, dict[str, Any]]]
    """Row at whose close it is sent, and the keywords of `backtest.Order`; a list of them is an OCO."""
    settings: dict[str, Any]
    result: Result = field(init=False)

    def play(self, **more: Any) -> Result:
        """Through the public API, in a folder of its own."""
        steps: dict[int, list[Step]] = defaultdict(list)
        for row, words in self.sends:
            steps[row].append(_step(words))
        market = Market("BTC", self.candles, volume=self.volume, step=str(LOT))
        script = {row: both(*sent) for row, sent in steps.items()}
        with tempfile.TemporaryDirectory() as folder:
            self.result = play(Path(folder), [market], script, **{**self.settings, **more})
        return self.result


def _step(words: dict[str, Any] | list[dict[str, Any]]) -> Step:
    if isinstance(words, list):
        return lambda market, account: account.oco(*(backtest.Order("BTC", **one) for one in words))
    return lambda market, account: account.send(backtest.Order("BTC", **words))


@st.composite
def paths(draw: st.DrawFn) -> list[Row]:
    """Candles on a tick of 0.5 around 100, with jumps and gaps; the first and the last are there."""
    move = st.tuples(
        st.sampled_from((0, 0, 0, 0, 0, -2, 2, -9, 9)), st.integers(-6, 6), st.integers(0, 6), st.integers(0, 6),
        st.sampled_from((False,) * 11 + (True,)),
    )  # fmt: skip
    found: list[Row] = [100.0]
    price = 200
    for jump, body, up, down, gap in draw(st.lists(move, min_size=19, max_size=38)):
        if gap:
            found.append(None)
            continue
        start = max(80, price + jump)
        price = max(80, start + body)
        bounds = (start, max(start, price) + up, min(start, price) - down, price)
        found.append(tuple(p * TICK for p in bounds))  # type: ignore[arg-type]
    return [*found, price * TICK]


KINDS = (
    "market", "limit", "limit", "limit", "stop", "stop_limit", "target", "target_limit", "trail", "bracket", "bracket",
    "oco", "exits",
)  # fmt: skip


def order(kind: str, side: int, lots: int, close: float, a: int, b: int, life: str, flag: str) -> Any:
    """Keywords of an order that is decided at a price, `a` and `b` ticks away from it."""
    qty, worse, better = side * lots * LOT, close + side * a * TICK, close - side * a * TICK
    aside = side * b * TICK
    words: dict[str, Any] = {"qty": qty}
    if life in ("ioc", "fok") and kind not in ("oco", "exits", "bracket"):
        words["tif"] = life
    elif life.isdigit():
        words["expires"] = f"{life}s"
    if flag == "reduce_only" and kind not in ("bracket", "exits"):
        words["reduce_only"] = True
    if kind == "limit":
        # A third of them would take.
        words["limit"] = better if b > -3 else worse
        if flag == "post_only" and "tif" not in words:
            words["post_only"] = True
    elif kind == "bracket":
        entry = {"limit": better} if b > 2 else {"stop": worse} if b < -2 else {}
        at = better if b > 2 else worse if b < -2 else close
        words |= {**entry, "stop_loss": at - side * a * TICK, "take_profit": at + side * (a + 1) * TICK}
        words.pop("reduce_only", None)
    elif kind == "oco":
        return [{**words, "limit": better}, {**words, "stop": worse}]
    elif kind == "exits":
        exits = {"qty": -qty, "reduce_only": True}
        return [{**exits, "limit": worse}, {**exits, "stop": better}]
    elif kind == "trail":
        words["trail"] = a * TICK if b > 0 else f"{a}%"
        if abs(b) > 4:
            words["activation"] = worse if side < 0 else better
    elif kind != "market":
        price = worse if kind.startswith("stop") else better
        words[kind.removesuffix("_limit")] = price
        if kind.endswith("_limit"):
            words["limit"] = price + aside
    return words


@st.composite
def plays(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Played:
    """A market with orders."""
    candles = draw(paths())
    drawn = st.tuples(
        st.integers(0, len(candles) - 2), st.sampled_from(kinds), st.sampled_from((1, -1)), st.integers(1, 16),
        st.integers(1, 10), st.integers(-6, 6), st.sampled_from(("", "", "", "", "ioc", "fok", "30", "90", "200")),
        st.sampled_from(("", "", "reduce_only", "post_only")),
    )  # fmt: skip
    sends = []
    for row, kind, side, lots, a, b, life, flag in draw(st.lists(drawn, min_size=5, max_size=30)):
        candle = candles[row]
        close = candle[3] if isinstance(candle, tuple) else candle
        if close is not None:  # nobody is called in a gap
            sends.append((row, order(kind, side, lots, close, a, b, life, flag)))
    volume = draw(st.lists(st.integers(0, 12), min_size=len(candles), max_size=len(candles)))
    chosen = {
        # With 50 quote units a position of some BTC at 100 is near its liquidation.
        "cash": draw(st.sampled_from((100_000, 50))),
        "volume_share": draw(st.sampled_from((None, "20%", "taker=30%,maker=10%"))),
        "limit_fill": draw(st.sampled_from(("through", "touch"))),
        "latency_ms": draw(st.sampled_from((0, 0, 7_001, 61_000))),
        "slippage_bps": draw(st.sampled_from((0, 0, 25))),
        "fee_bps": 5,
        "maker_fee_bps": -1,
    }
    return Played(candles, [float(v) for v in volume], sends, chosen)


# ---- the path of trades, anew


def knots(row: Row) -> tuple[float, ...]:
    """Open, first extreme, second extreme, close."""
    assert row is not None
    start, high, low, end = row if isinstance(row, tuple) else (row,) * 4
    return (start, low, high, end) if end >= start else (start, high, low, end)


def price_at(row: Row, ms: float) -> float:
    """At so many milliseconds of a row."""
    points = knots(row)
    leg = min(2, int(ms // 20_000))
    return points[leg] + (points[leg + 1] - points[leg]) * (ms - leg * 20_000) / 20_000


def prices_around(candles: list[Row], ms: int) -> list[float]:
    """Prices within a millisecond of a time, since an act is stamped with the third of a millisecond after it; at the
    open of a row also the close that it has jumped from."""
    k, within = divmod(ms, MINUTE)
    around = []
    if k < len(candles) and candles[k] is not None:
        around += [price_at(candles[k], t) for t in (max(within - 1, 0), within, min(within + 1, MINUTE))]
    if within == 0 and candles[k - 1] is not None:
        around.append(knots(candles[k - 1])[3])
    assert around, "a fill where nothing traded"
    return around


# ---- the properties


def orders_of(played: Played) -> dict[int, dict[str, Any]]:
    return {row["order_id"]: row for row in played.result.tables["orders"].iter_rows(named=True)}


def fills_of(played: Played) -> Iterator[dict[str, Any]]:
    """Fills of orders, in order; `ms` after row 0's open."""
    for row in played.result.tables["fills"].iter_rows(named=True):
        row["ms"] = round(row["ts"].timestamp() * 1000) - START
        if row["order_id"] is not None:
            yield row


def expect_no_fill_better_than_limit_or_path(played: Played, seen: Counter[str]) -> None:
    placed = orders_of(played)
    for fill in fills_of(played):
        limit, side = placed[fill["order_id"]]["limit_price"], 1 if fill["qty"] > 0 else -1
        if limit is not None:
            assert side * fill["price"] <= side * limit + HAIR
        if fill["liquidity"] == "maker":
            seen["maker"] += 1
            assert fill["price"] == pytest.approx(limit, rel=1e-12)
        else:
            seen["taker"] += 1
            best = min(side * price for price in prices_around(played.candles, fill["ms"]))
            assert side * fill["price"] >= best - HAIR


def expect_no_more_than_ordered_or_than_there_is_room(played: Played, seen: Counter[str]) -> None:
    total: Counter[int] = Counter()
    used: Counter[tuple[int, str]] = Counter()
    # An act in the last instant of a row has the time of the next one's open; without a trailing stop and without
    # latency there is none.
    sharp = played.settings["latency_ms"] == 0 and "trailing_stop" not in set(played.result.tables["orders"]["type"])
    for fill in fills_of(played):
        total[fill["order_id"]] += fill["qty"]
        if sharp or fill["ms"] % MINUTE:
            used[fill["ms"] // MINUTE, fill["liquidity"]] += abs(fill["qty"])
    for number, placed in orders_of(played).items():
        ordered, filled = placed["qty"], placed["filled_qty"]
        assert filled == total[number]
        # A child grows with its parent; its own size is the parent's fills.
        parent = placed["parent_id"]
        most = abs(ordered) if parent is None else abs(total[parent])
        assert 0 <= filled * (1 if ordered >= 0 else -1) <= most
        seen["partial"] += 0 < abs(filled) < abs(ordered)
    share = played.settings["volume_share"]
    shares = {None: {}, "20%": {"taker": 0.2, "maker": 0.2}}.get(share, {"taker": 0.3, "maker": 0.1})
    for (row, side), qty in used.items():
        if side in shares:
            seen["bounded"] += 1
            assert qty <= played.volume[row] * shares[side] + HAIR


def expect_reduce_only_never_increases(played: Played, seen: Counter[str]) -> None:
    placed, held = orders_of(played), 0.0
    for row in played.result.tables["fills"].iter_rows(named=True):
        after = held + row["qty"]
        if row["order_id"] is not None and placed[row["order_id"]]["reduce_only"]:
            seen["reducing"] += 1
            assert abs(after) < abs(held)
            assert after * held >= 0
        held = after


def expect_a_group_fills_once(played: Played, seen: Counter[str]) -> None:
    groups = defaultdict(list)
    for placed in orders_of(played).values():
        if placed["group_id"] is not None:
            groups[placed["group_id"]].append(placed)
    for group in groups.values():
        filled = [abs(placed["filled_qty"]) for placed in group if placed["filled_qty"]]
        seen["groups"] += len(filled) == 1
        if group[0]["reduce_only"]:
            parent = group[0]["parent_id"]
            size = group[0]["qty"] if parent is None else orders_of(played)[parent]["filled_qty"]
            assert sum(filled) <= abs(size)
        else:
            assert len(filled) <= 1


def expect_attribution_to_be_whole(played: Played, seen: Counter[str]) -> None:
    metrics, equity = played.result.metrics, played.result.tables["equity"]["equity"]

    def micro(amount: float) -> int:
        return round(amount * 1e6)

    change = micro(metrics["final_equity"]) - micro(metrics["start_cash"])
    assert sum((-1 if name in COSTS else 1) * micro(metrics[name]) for name in EACH) == change
    by_symbol = played.result.tables["attribution"]
    assert sum(micro(each) for each in by_symbol["change"]) == change
    assert micro(equity[-1]) - micro(metrics["start_cash"]) == pytest.approx(change, abs=1)
    seen["liquidated"] += metrics["pool_liquidations"]
    seen["late"] += metrics["latency"] != 0
    seen["slipped"] += metrics["spread"] != 0


PROPERTIES = (
    expect_no_fill_better_than_limit_or_path, expect_no_more_than_ordered_or_than_there_is_room,
    expect_reduce_only_never_increases, expect_a_group_fills_once, expect_attribution_to_be_whole,
)  # fmt: skip
EXAMPLES = int(os.environ.get("BACKTEST_EXAMPLES", "100"))
QUIET = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


def test_what_holds_of_every_order() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES, **QUIET)
    @given(plays())
    def each(played: Played) -> None:
        played.play()
        for prop in PROPERTIES:
            prop(played, seen)

    each()
    # None of them held because nothing happened.
    wanted = ("maker", "taker", "partial", "bounded", "reducing", "groups", "liquidated", "late", "slipped")
    assert all(seen[name] >= 3 for name in wanted), seen


def test_more_slippage_never_helps_who_only_takes() -> None:
    moved = 0

    @settings(max_examples=16, **QUIET)
    @given(plays(("market", "stop", "target", "trail")))
    def each(played: Played) -> None:
        nonlocal moved
        played.settings["cash"] = 100_000  # nothing is refused for want of money
        equity, traded = [], []
        for bps in (0.0, 30.0, 400.0):
            result = played.play(slippage_bps=bps)
            equity.append(result.metrics["final_equity"])
            traded.append(rows(result, "fills", "ts", "order_id", "qty"))
        assert traded[1:] == traded[:-1], "the orders are fixed, so slippage must not change what is filled"
        assert equity == sorted(equity, reverse=True)
        if traded[0]:
            moved += 1
            assert equity[0] > equity[1] > equity[2]

    each()
    assert moved >= 10
