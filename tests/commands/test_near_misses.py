"""What users of other software write by habit: one line that says what was meant, instead of a silent guess."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import backtest
from backtest import Param, Strategy, UserError
from backtest.cli import cli
from backtest.strategy import guards
from tests.small_market import Ended, one_line


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below this one, with the words that call it."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield path, command


SINGLE = [
    (path, option.opts[-1])
    for path, command in commands(cli)
    for option in command.params
    if isinstance(option, click.Option) and not (option.multiple or option.is_flag or option.count)
]
"""Every flag of every command that takes one value."""


@pytest.mark.parametrize(("path", "flag"), SINGLE, ids=lambda part: " ".join(part) if isinstance(part, tuple) else part)
def test_a_flag_of_one_value_is_given_once(path: tuple[str, ...], flag: str, command: Callable[..., Ended]) -> None:
    one_line(command(*path, flag, "1", flag, "2"), 2, f"{flag} is given 2 times, and takes one value")


def test_flags_that_may_be_repeated_still_may(place: Path, command: Callable[..., Ended]) -> None:
    twice = ("--guard", "stop=5%", "--guard", "drawdown=20%", "--json", "--json")
    done = command("run", "hold.py", "--data", "market", *twice)
    assert done.code == 0


@pytest.mark.parametrize(
    ("flag", "given", "said"),
    [
        ("--fee-bps", "0.05%", "basis points (1 bps = 0.01 %): give 5"),
        ("--maker-fee-bps", "-0.01%", "basis points (1 bps = 0.01 %): give -1"),
        ("--slippage-bps", "2 bps", "leave the unit out: give 2"),
    ],
)
def test_a_rate_in_another_unit(place: Path, command: Callable[..., Ended], flag: str, given: str, said: str) -> None:
    one_line(command("run", "hold.py", "--data", "market", f"{flag}={given}"), 2, repr(given), flag, said)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sl=5%", "did you mean 'stop'?"),
        ("Stop_Loss=5%", "did you mean 'stop'?"),
        ("trailing-stop=5%", "did you mean 'trail'?"),
        ("max_drawdown=20%", "did you mean 'drawdown'?"),
        ("tp=5%", "take_profit="),
        ("stopp=5%", "did you mean 'stop'?"),
    ],
)
def test_a_guard_by_another_name(written: str, meant: str) -> None:
    with pytest.raises(UserError, match="unknown guard") as caught:
        guards.parse(written)
    assert meant in str(caught.value)


def test_every_suggested_guard_is_one() -> None:
    assert set(guards.ALSO_CALLED.values()) <= set(guards.KINDS)
    assert not (set(guards.ALSO_CALLED) | set(guards.NO_GUARD)) & set(guards.KINDS)


class Half(Strategy):
    """Does not say what half of."""

    def on_candle(self, market: Any, account: Any) -> None:
        account.target("BTC-USD", 0.5)


def test_a_target_without_a_name(place: Path) -> None:
    with pytest.raises(backtest.BacktestError, match=r"0\.5 has no name; write weight=0\.5 for a share of equity"):
        backtest.run(Half, "market")


class Cross(Strategy):
    """Two averages."""

    fast: int = Param(10, ge=2)
    slow: int = Param(50, ge=2)

    def validate(self) -> str | None:
        return None if self.fast < self.slow else f"fast = {self.fast} is not below slow = {self.slow}"


class Raising(Cross):
    """Says it by an exception."""

    def validate(self) -> str | None:
        if self.fast >= self.slow:
            raise ValueError("fast is not below slow")
        return None


class Truth(Cross):
    """Returns whether it is fine, which is no message."""

    def validate(self) -> Any:
        return self.fast < self.slow


def test_parameters_are_checked_together() -> None:
    assert Cross(fast=20).params == {"fast": 20, "slow": 50}
    with pytest.raises(UserError, match=r"^Cross: fast = 80 is not below slow = 50; change one of the parameters$"):
        Cross(fast="80")
    with pytest.raises(UserError, match=r"^Raising: fast is not below slow; "):
        Raising(fast=50)
    with pytest.raises(UserError, match=r"^Truth: validate has returned True; return None where"):
        Truth()


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("sma_cross", ("fast=200", "slow=100"), "fast = 200 is not below slow = 100"),
        ("pairs_trade", ("first=BTC-USD",), "first and second are both BTC-USD"),
        ("pairs_trade", ("enter=5",), "leave < enter < give_up does not hold: 0.5, 5, 4"),
        ("lifeline", ("leverage=7",), "low < leverage < high does not hold: 3, 7, 6"),
        ("hedged_pair", ("short=BTC-USD",), "long and short are both BTC-USD"),
        ("maker_grid", ("size=2",), "size = 2 is above most = 1"),
    ],
)
def test_the_examples_check_theirs(
    place: Path, command: Callable[..., Ended], name: str, params: tuple[str, ...], said: str
) -> None:
    chosen = [word for param in params for word in ("-p", param)]
    one_line(command("run", name, "--data", "market", *chosen), 2, said)
