"""A strategy sees only the past, and cannot reach another account.

Every number of the data is there once, so that a later one is known wherever it turns up. `reached` follows attributes,
elements, closures and bases from what a hook is given; it does not import, ask `gc`, or read stack frames.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

import backtest
from backtest import Param, RunError, Strategy, UserError
from backtest.strategy.session import session_of
from tests.scenarios.scenario import MINUTE, START, Market, play, write

ROWS, OUTAGE = 31, (17, 19)
NAMES = ("BTC", "ETH")
SETTINGS: dict[str, Any] = {
    "chunk_rows": 7,
    "allow": ("missing-funding",),
    "outages": f"2024-03-01T00:{OUTAGE[0]}/{OUTAGE[1] - OUTAGE[0]}m",
}
FOLLOWED = ("__self__", "__func__", "__closure__", "__defaults__", "__kwdefaults__", "__wrapped__", "__dict__")
"""What is followed of the names that Python reserves; of `__globals__` and `__class__` all code can be reached."""


class Numbers:
    """Two markets whose every price, volume and rate is there once, and from when on each is known."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        self.known: dict[float, int] = {START + row * MINUTE: START + row * MINUTE for row in OUTAGE}
        self.markets = [self._market(name, rng) for name in NAMES]

    def _market(self, name: str, rng: np.random.Generator) -> Market:
        candles, mark, funding, volume = [], [], {}, []
        for row in range(ROWS):
            low, start, close, high = (np.sort(rng.uniform(0, 1, 4)) + 1_000.0).tolist()
            below, opened, closed, above = (np.sort(rng.uniform(0, 1, 4)) + 1_000.0).tolist()
            candles.append((start, high, low, close))
            mark.append((opened, above, below, closed))
            volume.append(float(rng.uniform(1, 2)))
            self._note(row + 1, *candles[-1], *mark[-1], volume[-1], close * 3.7)
            if row % 5 == 4:
                funding[row] = float(rng.normal(0, 1e-4))
                self._note(row + 1 / MINUTE, funding[row])  # after what is decided at its instant
        for row in range(2, ROWS, 3):  # volume of longer candles
            self._note(row + 1, sum(volume[row - 2 : row + 1]))
        return Market(name, candles, mark, funding=funding, volume=volume)

    def _note(self, row: float, *values: float) -> None:
        for value in values:
            assert value not in self.known
            self.known[value] = START + round(row * MINUTE)

    def later(self, now_ms: int) -> set[float]:
        return {value for value, when in self.known.items() if when > now_ms}


DATA = Numbers()
PLAIN = (str, bytes, int, float, bool, dict, list, tuple, set, frozenset, BuiltinFunctionType, ModuleType)
"""Types of which no attribute leads on."""


def reached(roots: Iterable[object]) -> dict[int, object]:
    """Every object that attributes lead to, by its id."""
    seen: dict[int, object] = {}
    left = list(roots)
    while left:
        thing = left.pop()
        if id(thing) not in seen:
            seen[id(thing)] = thing  # held, so that no other object gets its id
            left.extend(parts(thing))
    return seen


def parts(thing: object) -> Iterator[object]:
    """What one step leads to."""
    if isinstance(thing, dict):
        yield from thing.keys()
        yield from thing.values()
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from thing
    elif isinstance(thing, weakref.ref):
        yield thing()
    elif isinstance(thing, functools.partial):
        yield from (thing.func, thing.args, thing.keywords)
    elif isinstance(thing, np.ndarray):
        yield thing.base
    elif isinstance(thing, BuiltinFunctionType):
        yield thing.__self__
    if type(thing) in PLAIN or isinstance(thing, type) or type(thing).__module__.startswith(("numpy", "datetime")):
        return
    for name in dir(thing):
        if name in FOLLOWED or not name.startswith("__"):
            try:
                yield getattr(thing, name)
            except Exception:  # noqa: BLE001  a property of a strategy's own may be anything
                continue
    if isinstance(thing, FunctionType):
        yield from (cell.cell_contents for cell in thing.__closure__ or ())


def numbers(thing: object) -> set[float]:
    """The numbers that an object is, or holds in its memory."""
    if isinstance(thing, int | float):
        return {float(thing)}
    try:
        memory = bytes(memoryview(thing))  # type: ignore[arg-type]
    except (TypeError, BufferError):
        return set()
    return set(np.frombuffer(memory[: len(memory) // 8 * 8]).tolist())


def found(*roots: object) -> set[float]:
    return set().union(*(numbers(thing) for thing in reached(roots).values()))


LOOKS: list[tuple[int, set[float], set[float], set[float]]] = []
"""Time of each look; what was reached of later values; what of them the window held; and all that was reached. No
attribute of the strategy leads here."""


class Seeker(Strategy):
    """Trades a little, and looks in every hook for numbers that are not known yet."""

    lookback = 5
    looks: bool = Param(True)

    def features(self, candle: Any) -> dict[str, Any]:
        return {"more": candle.close * 3.7}

    def look(self, *given: Any) -> None:
        if not self.looks:
            return
        market = given[-2]
        history = [market.history(name, "close", 5) for name in NAMES]
        seen = found(self, *given, history, *map(market.history, NAMES, ("volume", "open"), (3, 2)))
        later, window = DATA.later(market.now_ms), session_of(market._key).window
        LOOKS.append((market.now_ms, seen & later, found(window._columns, window._rows) & later, seen))

    def on_start(self, market: Any, account: Any) -> None:
        self.look(market, account)

    def on_candle(self, market: Any, account: Any) -> None:
        if not account.position("BTC").qty:
            account.buy("BTC", 1, limit=2_000, stop_loss=10)
            account.buy("ETH", 2)
        self.look(market, account)
        if self.looks:
            assert {market.close["BTC"], market.mark["ETH"], market.feature("more", "ETH")} <= LOOKS[-1][-1]

    def hear(self, event: Any, market: Any, account: Any) -> None:
        self.look(event, market, account)

    on_fill = on_order = on_funding = hear

    def on_stop(self, market: Any, account: Any) -> None:
        self.look(market, account)


@pytest.mark.parametrize("every", [None, "3m"])
def test_no_attribute_leads_to_a_later_value(tmp_path: Path, every: str | None) -> None:
    write(tmp_path, *DATA.markets)
    LOOKS.clear()
    for looks in (False, True):
        seeker = Seeker(looks=looks)
        seeker.every = every
        result = backtest.run(seeker, tmp_path, **SETTINGS)
        equity = result.tables["equity"].select("ts", "equity").rows()
        DATA.known |= {value: round(ts.timestamp() * 1000) for ts, value in equity if value != 100_000}
    assert [((now - START) / MINUTE, early) for now, early, _, _ in LOOKS if early] == []
    # They would have been found: the window, which no attribute leads to, holds such values.
    assert sum(bool(held) for _, _, held, _ in LOOKS) > 5
    assert all(len(seen) > 30 for now, _, _, seen in LOOKS if now > START + 6 * MINUTE)
    assert len(LOOKS) > (ROWS if every is None else ROWS // 3)


class Vandal(Strategy):
    """Overwrites all memory that it can reach, and trades as if it had not."""

    lookback = 5
    writes: bool = Param(True)

    def features(self, candle: Any) -> dict[str, Any]:
        return {"more": candle.close * 3.7}

    def on_start(self, market: Any, account: Any) -> None:
        self.count = 0

    def on_candle(self, market: Any, account: Any) -> None:
        self.count += 1
        if self.writes:
            held = [market.history(name, "close", 5) for name in NAMES]
            for thing in reached([market, account, held]).values():
                overwrite(thing)
        account.target(NAMES[self.count % 2], qty=self.count % 7)


def overwrite(thing: object) -> None:
    try:
        if isinstance(thing, np.ndarray):
            thing.setflags(write=True)
        memory = memoryview(thing)  # type: ignore[arg-type]
    except (TypeError, BufferError, ValueError):
        return
    if not memory.readonly and memory.contiguous:
        memory.cast("B")[:] = b"\x40" * memory.nbytes


@pytest.mark.parametrize("every", [None, "3m"])
def test_what_an_account_writes_reaches_neither_prices_nor_another_account(tmp_path: Path, every: str | None) -> None:
    write(tmp_path, *DATA.markets)
    digests = []
    for writes in (False, True):
        vandal = Vandal(writes=writes)
        vandal.every = every
        both = backtest.compare(vandal, tmp_path, margin=("isolated", "cross"), **SETTINGS)
        digests.append([result.digest for result in both.results])
        assert all(result.tables["fills"].height > 5 for result in both.results)
    assert digests[0] == digests[1]


CHEATS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "a price": (lambda market, _: exec("market.close['BTC'] = 1.0", {"market": market}), "TypeError"),
    "the whole chunk": (lambda market, _: market.close.view, "AttributeError"),
    "the row": (lambda market, _: market.cell, "AttributeError"),
    "the replay": (lambda _, account: account._replay, "AttributeError"),
    "history": (lambda market, _: market.history("BTC", "close", 1).fill(1.0), "ValueError"),
    "history's flags": (lambda market, _: market.history("BTC", "close", 1).setflags(write=True), "ValueError"),
    "the window": (lambda market, _: market._shown.__setitem__(0, 1.0), "TypeError"),
    "the time": (lambda market, _: setattr(market, "now_ms", 0), "AttributeError"),
    "the account": (lambda _, account: setattr(account, "equity", 1e9), "AttributeError"),
}


@pytest.mark.parametrize("what", CHEATS)
def test_it_cannot_be_reached_or_written(tmp_path: Path, what: str) -> None:
    act, error = CHEATS[what]
    with pytest.raises(RunError, match=error):
        play(tmp_path, [Market("BTC", [100.0] * 4)], {1: act})


def test_history_is_a_copy_without_a_way_back(tmp_path: Path) -> None:
    taken: list[Any] = []
    market = Market("BTC", [100.0 + row for row in range(9)])
    play(
        tmp_path, [market], {k: lambda m, _: taken.append(m.history("BTC", "close", 3)) for k in range(9)}, chunk_rows=4
    )
    assert [array.tolist() for array in taken[2:]] == [[98.0 + k, 99.0 + k, 100.0 + k] for k in range(2, 9)]
    assert all(len(array.base) == array.nbytes and isinstance(array.base, bytes) for array in taken)


USES: tuple[Callable[[Any, Any], Any], ...] = (
    lambda market, _: market.now,
    lambda market, _: market.history("BTC", "close", 1),
    lambda market, _: market.funding_rate["BTC"],
    lambda _, account: account.equity,
    lambda _, account: account.buy("BTC", 1),
)


class Gossip(Strategy):
    """Reads what another account was shown, which may be a chunk ahead."""

    given: ClassVar[list[tuple[Any, Any]]] = []
    read: ClassVar[list[float]] = []

    def on_candle(self, market: Any, account: Any) -> None:
        self.given.append((market, account))
        others = [pair for pair in self.given if pair[0] is not market]
        if others:
            assert np.isnan([others[0][0].close["BTC"], others[0][0].mark["BTC"]]).all()
            for use in USES:
                with pytest.raises(UserError, match="used outside of its hook; use the market"):
                    use(*others[0])
            self.read.append(market.close["BTC"])


def test_an_account_cannot_use_what_another_is_given(tmp_path: Path) -> None:
    Gossip.given.clear()
    Gossip.read.clear()
    data = write(tmp_path, Market("BTC", [100.0 + row for row in range(9)]))
    backtest.compare(Gossip(), data, allow=("missing-funding",), chunk_rows=4)
    second, first = range(4), (*range(4, 8), *range(4, 8), 8, 8)
    assert Gossip.read == [100.0 + row for row in (*second, *first)]
