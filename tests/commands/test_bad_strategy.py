"""Strategies that cannot be loaded (exit 2), or fail in a run (exit 1): one line with file, line, hook and time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.small_market import HEAD, HOLD, Ended, candles, entries, hook, one_line, put

RUN = ("run", "odd.py", "--data", "market", "--out", "report")
IDLE = "    def on_candle(self, market, account):\n        pass\n"

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "a syntax error": ("x = 1\ndef on_candle(:\n", ("odd.py:2: syntax error",)),
    "a missing import": ("import os\nimport pandass\n", ("odd.py:2: ", "No module named 'pandass'", "install")),
    "an error on import": ("x = 1\ny = x / 0\n", ("odd.py:2: ", "ZeroDivisionError: division by zero")),
    "an exit on import": ("import sys\nsys.exit(0)\n", ("odd.py:2: ", "SystemExit")),
    "no strategy": ("x = 1\n", ("odd.py: no Strategy in the file", "class Name(Strategy)")),
    "two strategies": (
        HOLD + HOLD.partition("Strategy\n")[2].replace("Hold", "Other"),
        ("odd.py: 2 strategies in the file", "odd.py:Hold or odd.py:Other"),
    ),
    "no way to decide": (HEAD + "    every = '1h'\n", ("odd.py, class Odd: neither on_candle nor targets",)),
    "a hook that is misspelt": (
        HEAD + IDLE + "\n    def on_transfers(self, transfer, market, account):\n        pass\n",
        ("odd.py, class Odd: on_transfers is not a hook and would never be called", "did you mean 'on_transfer'?"),
    ),
    "a hook that is none": (
        HEAD + IDLE + "\n    def on_xyz(self):\n        pass\n",
        ("odd.py, class Odd: on_xyz is not a hook", "known: on_candle, on_fill"),
    ),
    "a parameter without a type": (
        "from backtest import Param, Strategy\n\n\nclass Odd(Strategy):\n    size = Param(1)\n",
        ("odd.py", "parameter size has no type"),
    ),
    "a default out of range": (HOLD.replace("Param(1.0", "Param(20.0"), ("odd.py", "size = 20.0 is out of range")),
    "every that is no time": (
        HEAD + "    every = 'hourly'\n" + IDLE,
        ("odd.py, class Odd, every: 'hourly' is not an interval", "1h"),
    ),
    "every finer than the candles": (
        HEAD + "    every = '5m'\n" + IDLE,
        ("odd.py, class Odd: every = '5m' is not a multiple of the data's 1h candles",),
    ),
    "a market that is not there": (
        HEAD + "    symbols = ('SOL-USD',)\n" + IDLE,
        ("symbol 'SOL-USD' is not in the data", "odd.py, class Odd", "BTC-USD, ETH-USD"),
    ),
    "an async hook": (
        HEAD + IDLE.replace("def", "async def"),
        ("odd.py, class Odd: on_candle is async and would never run; write it with def",),
    ),
    "an async hook that yields": (
        HEAD + IDLE + "\n    async def on_fill(self, fill, market, account):\n        yield\n",
        ("odd.py, class Odd: on_fill is async and would never run; write it with def",),
    ),
    "a hook that yields": (
        HEAD + IDLE.replace("pass", "yield account.buy('BTC-USD', 1)"),
        ("odd.py, class Odd: on_candle is a generator and would never run; write it without yield",),
    ),
    "an async validate": (
        HEAD + IDLE + "\n    async def validate(self):\n        pass\n",
        ("Odd: validate is async and would never run; write it with def",),
    ),
    "params that are replaced": (HEAD + "    params = {}\n" + IDLE, ("odd.py", "Odd: params is a part of Strategy")),
    "every_ms that is replaced": (
        HEAD + "    every_ms = 1\n" + IDLE,
        ("odd.py", "Odd: every_ms is a part of Strategy"),
    ),
    "describe that is replaced": (
        HEAD + "    def describe(self):\n        pass\n\n" + IDLE,
        ("odd.py", "Odd: describe is a part of Strategy that cannot be replaced; give yours another name"),
    ),
    "rng that is replaced by a base": (
        HEAD.replace("class Odd(", "class Mine:\n    rng = None\n\n\nclass Odd(Mine, ") + IDLE,
        ("odd.py", "Odd: rng is a part of Strategy"),
    ),
    "bind that is replaced on the instance": (
        HEAD + "    def __init__(self, **params):\n        super().__init__()\n        self.bind = print\n" + IDLE,
        ("odd.py, class Odd: bind is a part of Strategy",),
    ),
    "an __init__ that fails": (
        HEAD + "    def __init__(self, **params):\n        self.x = 1 / 0\n" + IDLE,
        ("odd.py:6", "ZeroDivisionError"),
    ),
    "a thing that cannot be copied": (
        HEAD
        + "    def __init__(self, **params):\n        super().__init__()\n        self.x = (i for i in ())\n"
        + IDLE,
        ("odd.py, class Odd: it cannot be copied for each account (TypeError", "on_start"),
    ),
    "an encoding that is none": ("# -*- coding: klingon -*-\n", ("odd.py", "syntax error", "klingon")),
}


@pytest.mark.parametrize("name", FILES)
def test_it_cannot_be_loaded(place: Path, command: Callable[..., Ended], name: str) -> None:
    text, said = FILES[name]
    (place / "odd.py").write_text(text)
    before = entries(place)
    one_line(command(*RUN), 2, *said)
    assert entries(place) == before


LINES: dict[str, str] = {
    "1 / 0": "ZeroDivisionError: division by zero",
    "assert market is None": "AssertionError",
    "raise ValueError('two\\nlines')": "ValueError: two",
    "raise SystemExit": "SystemExit",
    "market.closes": "AttributeError: 'Market' object has no attribute 'closes' (did you mean 'close'?)",
    "account.byu('BTC-USD', 1)": "AttributeError: 'Account' object has no attribute 'byu' (did you mean 'buy'?)",
    "self.sise": "AttributeError: 'Odd' object has no attribute 'sise'",
    "market.close['BTC']": "market: unknown symbol 'BTC'; did you mean 'BTC-USD'?",
    "market.feature('slow', 'BTC-USD')": "market.feature: no feature 'slow'; none are known",
    "market.history('BTC-USD', 'close', 2000)": "market.history: history of 2000 candles; ask for 1 to 1000, or set",
    "market.history('BTC-USD', 'closed', 2)": "market.history: no field 'closed'; did you mean 'close'?",
    "account.buy('BTC-USDT', 1)": "market: unknown symbol 'BTC-USDT'; did you mean 'BTC-USD'?",
    "account.buy('BTC-USD', '1')": "order for BTC-USD: size '1' is not a number",
    "account.buy('BTC-USD', 1e300)": "order for BTC-USD: size 1e+300 is too large",
    "account.buy('BTC-USD', 1, limit='99')": "order for BTC-USD: limit '99' is not a number",
    "account.buy('BTC-USD', 1, limt=99)": "TypeError: Order.__init__() got an unexpected keyword argument 'limt'",
    "account.buy('BTC-USD', 1, stop=99, target=98)": "order for BTC-USD: stop and target are both given; send",
    "account.sell('BTC-USD', 1, post_only=True)": "order for BTC-USD: post_only without limit",
    "account.sell('BTC-USD', 1, limit=99, tif='day')": "order for BTC-USD: unknown tif 'day'",
    "account.sell('BTC-USD', 1, trail='2')": "order for BTC-USD: trail '2'; give a share like",
    "account.amend(0)": "amendment of order 0: nothing to change",
    "account.cancel_all('BTC')": "market: unknown symbol 'BTC'; did you mean 'BTC-USD'?",
    "account.buy('BTC-USD')": "order for 'BTC-USD': an order needs either qty or notional",
    "account.target('BTC-USD')": "a target needs exactly one of weight, qty and notional",
    "account.target('BTC-USD', weight=1, qty=1)": "a target needs exactly one of weight, qty and notional",
    "account.set_leverage('BTC-USD', 0)": "account.set_leverage('BTC-USD'): leverage 0; give a number from 0.01",
}


@pytest.mark.parametrize("line", LINES)
def test_on_candle_fails(place: Path, command: Callable[..., Ended], line: str) -> None:
    """At the first close, 01:00, on line 12 of the file."""
    (place / "odd.py").write_text(hook("on_candle", line))
    before = entries(place)
    one_line(command(*RUN), 1, "odd.py:12, Odd.on_candle, 2024-03-01 01:00:00Z: ", LINES[line])
    assert entries(place) == before


HOOKS: dict[str, tuple[str, str]] = {
    # A BTC is bought by the order of 01:00, which fills at once; the hook hears of it at the close of that candle.
    "on_start": ("market, account", "2024-03-01 00:00:00Z"),
    "on_fill": ("fill, market, account", "2024-03-01 02:00:00Z"),
    "on_order": ("event, market, account", "2024-03-01 02:00:00Z"),
    "on_funding": ("payment, market, account", "2024-03-01 09:00:00Z"),
    "on_stop": ("market, account", "2024-03-03 00:00:00Z"),
}


@pytest.mark.parametrize("name", HOOKS)
def test_another_hook_fails(place: Path, command: Callable[..., Ended], name: str) -> None:
    arguments, when = HOOKS[name]
    (place / "odd.py").write_text(hook(name, "{}['x']", arguments))
    one_line(command(*RUN), 1, f"odd.py:12, Odd.{name}, {when}: KeyError: 'x'")
    assert not (place / "report").exists()


FEATURES = "    def features(self, candle):\n        return {'a': "
TARGETS = "    def targets(self, candles):\n        return candles."
WHOLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "on_candle with too few arguments": (
        HEAD + "    def on_candle(self, market): pass\n",
        ("odd.py, Odd.on_candle, 2024-03-01 01:00:00Z: TypeError", "takes 2 positional"),
    ),
    "chance that is replaced": (
        hook("on_candle", "self.rng = math"),
        ("odd.py:12, Odd.on_candle, 2024-03-01 01:00:00Z: AttributeError", "rng"),
    ),
    "a parameter that is changed": (
        HOLD.replace("        for", "        self.size = 2.0\n        for"),
        ("odd.py:13, Hold.on_candle, 2024-03-01 01:00:00Z: ", "parameter size cannot be changed"),
    ),
    "features that fail": (
        HEAD + FEATURES + "candle.closed}\n" + IDLE,
        ("odd.py:6, Odd.features: AttributeError", "no attribute 'closed' (did you mean 'close'?)"),
    ),
    "targets that fail": (
        HEAD + TARGETS + "select('tss').collect()\n",
        ("odd.py:6, Odd.targets: ColumnNotFoundError", "tss"),
    ),
    "targets that are not finite": (
        "import polars as pl\n" + HEAD + TARGETS + "select('ts', 'symbol', target=pl.lit(float('nan')))\n",
        ("odd.py, Odd.targets: target is nan", "BTC-USD 2024-03-01 00:00:00"),
    ),
    "an order worth more than can be counted": (
        # A billion BTC at 100: the kernels find out when it arrives.
        hook("on_candle", "account.buy('BTC-USD', 1e9)"),
        ("odd.py, class Odd, 2024-03-01 01:00:00Z: an amount of money is beyond 4.5 billion", "trade less"),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_it_fails_otherwise(place: Path, command: Callable[..., Ended], name: str) -> None:
    text, said = WHOLE[name]
    (place / "odd.py").write_text(text)
    before = entries(place)
    one_line(command(*RUN), 1, *said)
    assert entries(place) == before


def test_a_feature_of_a_column_that_the_data_lack(place: Path, command: Callable[..., Ended]) -> None:
    (place / "odd.py").write_text("import polars as pl\n" + HEAD + FEATURES + "pl.col('closed')}\n" + IDLE)
    one_line(command(*RUN), 2, "symbol=BTC-USD", "no column 'closed'")


def test_an_order_for_a_market_that_does_not_trade_now(place: Path, command: Callable[..., Ended]) -> None:
    """ETH-USD is listed at 10:00, and its last candle closes at 20:00.

    At 20:00 nobody knows yet that there will be no candle after it: that order is the venue's to refuse (`delisted`);
    an hour later it is the strategy's mistake, as it is before the listing.
    """
    put(candles()[10:20], place / "market", "candles", "ETH-USD")
    buy = "account.buy('ETH-USD', 1)"
    early, late = "it has had no candle yet", "its last candle closed at 2024-03-01T20:00Z"
    for line, hour, said in ((buy, 1, early), (f"20 <= market.now.hour and {buy}", 21, late)):
        (place / "odd.py").write_text(hook("on_candle", line))
        where = f"odd.py:12, Odd.on_candle, 2024-03-01 {hour:02}:00:00Z: order: ETH-USD does not trade now"
        one_line(command(*RUN), 1, f"{where}; {said}; trade what is in market.symbols")
    assert not (place / "report").exists()
