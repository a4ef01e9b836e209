"""Parity of orders: market, limit, stop and bracket orders on years of real hours, here and in backtesting.py.

Every twelve candles are a turn, an experiment of its own: an order, with or without a bracket, is sent at the close of
the first, called back at the close of the seventh, and what is held is closed. So a difference stays within its turn.
Where the two disagree the rule that differs is known, and each such turn must differ in just the way the rule says:

- `gap`: a limit that an open has jumped over fills at its price here, at the better open there
- `path`: where a candle reaches stop and target, the path decides here; there it is always the stop
- `same candle`: a bracket's exit may follow in the candle of a limit or stop entry here; there it waits for the next
- `wrong side`: a stop whose level the next open has passed is refused here, and filled at the open there
- `call back`: an order that the open has jumped over is filled before the cancel or the closing order that arrives
  at that open; there the cancel was at once, at the close

The environment's BACKTEST_REAL_DATA names the folder that holds the datasets; without it nothing here is run.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

import backtest

ROOT = Path(os.environ.get("BACKTEST_REAL_DATA", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("BACKTEST_REAL_DATA") or not ROOT.is_dir(),
    reason="no real data: BACKTEST_REAL_DATA does not name a folder",
)
CASH = 100_000_000.0
"""Nothing is ever refused for want of money."""
TURN, CALLED_BACK = 12, 6
FIELDS = ("open", "high", "low", "close")


class Plan(NamedTuple):
    """A turn's order: one BTC, bought (1) or sold (−1)."""

    side: int
    kind: str
    """market, limit or stop"""
    level: float | None
    loss: float | None
    profit: float | None


class Trade(NamedTuple):
    """A round trip; candles by number."""

    size: float
    entered: int
    entry: float
    left: int
    exit: float


Turn = tuple[Trade, ...]


EXPECTED = {
    "every hour": ({"path", "same candle"}, 300),
    "every fourth hour": ({"path", "same candle", "gap", "wrong side", "call back"}, 50),
}
"""Which rules make a difference, and how many turns of every kind agree at least."""


@pytest.fixture(scope="module", params=[1, 4], ids=list(EXPECTED))
def candles(request: pytest.FixtureRequest) -> pl.DataFrame:
    """Real hours. Bitcoin never closes, so each opens where the last one closed; with three of four left out the market
    jumps from each to the next."""
    files = ROOT / "binance_1h_long" / "candles" / "symbol=BTCUSDT" / "*.parquet"
    hours = pl.read_parquet(files).sort("ts").select("ts", *FIELDS, "volume")
    kept = hours.gather_every(request.param)
    return kept.with_columns(ts=hours["ts"].head(len(kept)))


@pytest.fixture(scope="module")
def plans(candles: pl.DataFrame) -> list[Plan]:
    """Levels of 0.1 % to 3 % away, on a tick of 0.1: some are reached at once, some not at all."""
    rng = np.random.default_rng(11)
    found = []
    for close in candles["close"].gather_every(TURN).to_list():
        side = int(rng.choice((1, -1)))
        kind = str(rng.choice(("market", "limit", "stop")))
        away, loss, profit = (float(np.exp(rng.uniform(np.log(0.001), np.log(0.03)))) for _ in range(3))
        towards = {"market": 0.0, "limit": -away, "stop": away}[kind]
        level = round(close * (1 + side * towards), 1)
        guarded = bool(rng.integers(0, 3))
        found.append(
            Plan(
                side,
                kind,
                None if kind == "market" else level,
                round(level * (1 - side * loss), 1) if guarded else None,
                round(level * (1 + side * profit), 1) if guarded else None,
            )
        )
    return found


@pytest.fixture(scope="module")
def ours(candles: pl.DataFrame, plans: list[Plan], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Turn]:
    folder = tmp_path_factory.mktemp("parity")
    place = folder / "candles" / "symbol=BTC"
    place.mkdir(parents=True)
    candles.write_parquet(place / "part.parquet")
    (folder / "dataset.toml").write_text('[dataset]\ninterval = "1h"\nquote = "USDT"\n[symbols.BTC]\nstep = 0.001\n')
    number = {ts: n for n, ts in enumerate(candles["ts"].dt.epoch("ms").to_list())}

    class Turns(backtest.Strategy):
        """One experiment a turn."""

        def on_candle(self, market: Any, account: Any) -> None:
            turn, hour = divmod(number[market.now_ms - 3_600_000], TURN)
            if hour == 0:
                plan = plans[turn]
                words = {} if plan.level is None else {plan.kind: plan.level}
                send = account.buy if plan.side > 0 else account.sell
                send("BTC", 1, **words, stop_loss=plan.loss, take_profit=plan.profit)
            elif hour == CALLED_BACK:
                account.cancel_all()
                account.close("BTC")
            elif hour == CALLED_BACK + 1:
                account.close("BTC")  # a fill that went before the cancel

    # Their limit orders fill when they are touched.
    result = backtest.run(Turns, folder, cash=CASH, limit_fill="touch", fee_bps=0, allow=("missing-funding",))
    fills = result.tables["fills"].with_columns(pl.col("ts").dt.truncate("1h").dt.epoch("ms"))
    legs = [(number[ts], qty, price) for ts, qty, price in fills.select("ts", "qty", "price").rows()]
    if len(legs) % 2:
        assert legs.pop()[0] // TURN == (len(candles) - 1) // TURN, "only the last turn may end with something held"
    turns: dict[int, list[Trade]] = defaultdict(list)
    for (entered, size, entry), (left, closed, out) in zip(legs[::2], legs[1::2], strict=True):
        assert size == -closed, "every fill that opens is followed by the one that closes it"
        assert entered // TURN == left // TURN
        turns[entered // TURN].append(Trade(size, entered, entry, left, out))
    return {turn: tuple(trades) for turn, trades in turns.items()}


@pytest.fixture(scope="module")
def theirs(candles: pl.DataFrame, plans: list[Plan]) -> dict[int, Turn]:
    lib = pytest.importorskip("backtesting", reason="backtesting is not installed: make test installs it")
    import pandas as pd

    class Turns(lib.Strategy):  # type: ignore[misc]
        def init(self) -> None:
            pass

        def next(self) -> None:
            turn, hour = divmod(len(self.data) - 1, TURN)
            if hour == 0:
                plan = plans[turn]
                words = {} if plan.level is None else {plan.kind: plan.level}
                (self.buy if plan.side > 0 else self.sell)(size=1, **words, sl=plan.loss, tp=plan.profit)
            elif hour in (CALLED_BACK, CALLED_BACK + 1):
                for order in self.orders:
                    if not order.is_contingent:
                        order.cancel()
                self.position.close()

    index = pd.to_datetime(candles["ts"].dt.epoch("ms").to_numpy(), unit="ms")
    frame = pd.DataFrame({name.capitalize(): candles[name].to_numpy() for name in FIELDS}, index=index)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        done = lib.Backtest(frame, Turns, cash=CASH, commission=0.0, finalize_trades=True).run()
    turns: dict[int, list[Trade]] = defaultdict(list)
    columns = ["Size", "EntryBar", "EntryPrice", "ExitBar", "ExitPrice"]
    for row in sorted(done["_trades"][columns].itertuples(index=False), key=lambda row: row.EntryBar):
        turns[row.EntryBar // TURN].append(Trade(*row))
    return {turn: tuple(trades) for turn, trades in turns.items()}


def same(one: Turn, other: Turn) -> bool:
    return len(one) == len(other) and all(a == pytest.approx(b, rel=1e-12) for a, b in zip(one, other, strict=True))


class Look:
    """What a turn's candles say about its order."""

    def __init__(self, plan: Plan, candles: dict[str, list[float]], turn: int) -> None:
        self.plan, self.candles = plan, candles
        self.first, self.last = turn * TURN + 1, turn * TURN + CALLED_BACK + 1
        """The open at which the order arrives, and that at which it is called back."""

    def is_highs_first(self, n: int) -> bool:
        """Here the high comes first where a candle closes below its open."""
        return self.candles["close"][n] < self.candles["open"][n]

    def reaches(self, n: int, price: float | None) -> bool:
        return price is not None and self.candles["low"][n] <= price <= self.candles["high"][n]

    def is_passed_at_once(self, trade: Trade) -> bool:
        """Whether it was left at the open of its entry, which lay beyond its stop or its target already."""
        start, (side, loss, profit) = self.candles["open"][trade.entered], (self.plan.side, *self.plan[3:])
        if loss is None or profit is None or trade.entered != trade.left or trade.exit != start:
            return False
        return side * start <= side * loss or side * start >= side * profit

    def is_jumped(self, n: int, limit: float | None, side: int) -> bool:
        """Whether a candle opens beyond a limit of that side, without having been there at the close before."""
        if limit is None:
            return False
        return side * self.candles["open"][n] < side * limit <= side * self.candles["close"][n - 1]


def explain(look: Look, one: Turn, other: Turn) -> str:
    """The rule by which a turn's trades here (`one`) differ from those there; empty: none that is known."""
    plan, opens = look.plan, look.candles["open"]
    if len(one) == 1 and not other:
        # It was called back there before the jump; here it was filled at the jump and closed an hour later.
        # A limit waits on the one side of the price, a stop on the other.
        side = plan.side if plan.kind == "limit" else -plan.side
        late = one[0].entered == look.last and look.is_jumped(look.last, plan.level, side)
        return "call back" if late else ""
    if not one and len(other) == 1:
        passed = plan.kind == "stop" and plan.side * opens[look.first] >= plan.side * (plan.level or 0)
        return "wrong side" if passed and other[0].entered == look.first else ""
    if len(one) != 1 or len(other) != 1:
        return ""
    a, b = one[0], other[0]
    if a.entered != b.entered or a.size != b.size:
        return ""
    if a.entry != b.entry:
        jumped = plan.kind == "limit" and look.is_jumped(a.entered, plan.level, plan.side)
        filled = a.entry == plan.level and b.entry == opens[a.entered]
        return "gap" if jumped and filled and _exits_alike(look, a, b) else ""
    return explain_exit(look, a, b)


def _exits_alike(look: Look, a: Trade, b: Trade) -> bool:
    return (a.left, a.exit) == (b.left, b.exit) or bool(explain_exit(look, a, b))


def explain_exit(look: Look, a: Trade, b: Trade) -> str:
    """The same for trades that differ in their exits alone."""
    plan, opens = look.plan, look.candles["open"]
    if a.left == b.left and a.exit == plan.profit and look.is_jumped(a.left, plan.profit, -plan.side):
        if b.exit == opens[b.left]:
            return "call back" if a.left == look.last else "gap"
        return "path" if b.exit == plan.loss and look.reaches(b.left, plan.loss) else ""
    if a.left == b.left and b.exit == plan.loss and look.reaches(b.left, plan.loss):
        first = look.is_highs_first(a.left) == (plan.side > 0) and look.reaches(a.left, plan.profit)
        return "path" if (first and a.exit == plan.profit) or look.is_passed_at_once(a) else ""
    if a.left == a.entered < b.left and plan.kind != "market":
        met = a.exit in (plan.loss, plan.profit) and look.reaches(a.left, a.exit)
        return "same candle" if met or look.is_passed_at_once(a) else ""
    return ""


def test_orders_have_the_same_trades(
    request: pytest.FixtureRequest,
    candles: pl.DataFrame,
    plans: list[Plan],
    ours: dict[int, Turn],
    theirs: dict[int, Turn],
) -> None:
    prices = {name: candles[name].to_list() for name in FIELDS}
    agreed, named, unknown = Counter[str](), Counter[str](), []
    # They call no strategy at the first candle, and the last turn may be cut short.
    for turn, plan in list(enumerate(plans))[1:-1]:
        one, other = ours.get(turn, ()), theirs.get(turn, ())
        if same(one, other):
            agreed[plan.kind if one else "none"] += 1
            continue
        name = explain(Look(plan, prices, turn), one, other)
        named[name] += 1
        if not name:
            unknown.append((turn, plan, one, other))
    assert not unknown, unknown[:5]
    wanted, least = EXPECTED[request.node.callspec.id]
    assert set(named) == wanted, named
    assert all(agreed[kind] >= least for kind in ("market", "limit", "stop", "none")), agreed
