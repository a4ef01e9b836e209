"""Every setting is defined once: flags, TOML keys, keyword arguments and the reference page say the same of it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest

import backtest
from backtest import UserError
from backtest.cli import cli
from backtest.cli.flags import SettingOption, default_text
from backtest.runner import run_keywords
from backtest.runner.origins import NOT_KEYWORDS
from backtest.runner.run_document import read
from backtest.runner.setting import COMMANDS, Kind
from backtest.runner.settings import RunSettings, all_settings, settings_of
from backtest.runner.validation import checked, value_of
from tests.docs import reference, settings_page
from tests.small_market import Ended, one_line

FUNCTIONS = {"run": backtest.run, "compare": backtest.compare}
FUNCTIONS |= {"latency": backtest.latency, "subaccounts": backtest.subaccounts, "sweep": backtest.sweep}
FUNCTIONS |= {"shared_margin": backtest.shared_margin}
FUNCTIONS |= {"check": backtest.check, "montecarlo": backtest.montecarlo, "stress": backtest.stress}
CLI = {"run": "run", "compare": "compare", "latency": "latency", "subaccounts": "run", "sweep": "sweep"}
CLI |= {"shared_margin": "run", "check": "check", "montecarlo": "montecarlo", "stress": "stress"}
BY_NAME = {told.name: told for told in all_settings()}


def test_what_is_made_of_the_settings_is_up_to_date() -> None:
    """After a change of `settings.py`: python -m tests.docs.reference."""
    assert settings_page.KEYWORDS.read_text(encoding="utf-8") == settings_page.keywords()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_has_a_flag_a_keyword_and_a_line_of_the_page(command: str) -> None:
    parameters = inspect.signature(FUNCTIONS[command]).parameters
    hints = get_type_hints(getattr(run_keywords, settings_page.CLASSES[command]))
    shown = cli.commands[CLI[command]]
    options = {one.told.name: one for one in shown.params if isinstance(one, SettingOption)}
    page = (reference.FOLDER / "settings.md").read_text(encoding="utf-8")
    with click.Context(shown) as ctx:
        for told in settings_of(command):
            default = told.default_of(command)
            flag, text = options[told.name].get_help_record(ctx)
            assert told.spelt in flag
            assert told.kind is Kind.SWITCH or told.absent == "required" or default_text(told, default) in text
            assert re.search(
                rf"^\| `{told.name}` \| .*{re.escape(told.spelt)}.*{re.escape(told.example)}", page, re.MULTILINE
            )
            if told.name not in NOT_KEYWORDS:
                assert parameters[told.name].default == default
                assert told.name in hints
    known = {told.name for told in settings_of(command)} - set(NOT_KEYWORDS)
    assert set(hints) == known == set(parameters) - {"strategy", "strategies", "data", "progress", "chunk_rows"}


def test_every_example_is_a_key_of_toml_and_a_value(tmp_path: Path) -> None:
    file = tmp_path / "all.toml"
    file.write_text("".join(f"{told.name} = {told.example}\n" for told in all_settings() if told.example))
    read_back = read(file)
    assert set(read_back.values) == {told.name for told in all_settings() if told.example}
    for name, value in read_back.values.items():
        assert value_of(BY_NAME[name], value) != BY_NAME[name].default or name == "gas"
    assert {told.name for told in all_settings()} - set(read_back.values) <= {"gas"}


def test_the_defaults_are_values_of_their_settings() -> None:
    assert checked({told.name: told.default for told in all_settings() if told.name != "data"}) == RunSettings()
    assert tomllib.loads("x = 2024-03-01")["x"].year == 2024


# ---- errors name what the user wrote: a keyword, a flag, or a line of a file


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"leverge": 3}, "run() has no setting 'leverge' (did you mean 'leverage'?)"),
        ({"split": "60,40"}, "run() has no setting 'split' (it belongs to subaccounts())"),
        ({"leverage": 0}, "invalid value 0 in leverage= (give max, or a number from 0.01 to 1,000)"),
        ({"cash": "5"}, "invalid value '5' in cash= (give a number from 0.01 to 1,000,000,000)"),
        ({"cash": True}, "invalid value True in cash="),
        ({"gas": "no"}, "invalid value 'no' in gas= (give true or false)"),
        ({"path": "worse"}, "unknown path 'worse' in path= (did you mean 'worst'?)"),
        ({"symbols": "BTC"}, "unknown symbol 'BTC' in symbols= (did you mean 'BTC-USD'?)"),
        ({"guards": "stpo=5%"}, "guards: unknown guard 'stpo'; did you mean 'stop'?"),
        ({"outages": "history"}, "outages history: requires a chain; name one with chain="),
        ({"margin": ["cross", "isolated"]}, "margin: margin modes cross, isolated;"),
        (
            {"fee_discount": "10%", "fee_bps": 5},
            "fee_discount: a discount cannot be combined with fee rates",
        ),
        ({"start": "2024-03-02", "end": "2024-03-01"}, "start and end: the period ends before it begins"),
        ({"fee_bps": "0.05%"}, "invalid value '0.05%' in fee_bps= (it takes basis points (1 bps = 0.01 %): give 5)"),
    ],
)
def test_an_error_in_python_names_the_keyword(place: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        backtest.run("hold.py", "market", **settings)
    assert str(caught.value).startswith(said)
    assert isinstance(caught.value, TypeError) == ("has no setting" in said)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("leverge = 3", "run.toml:4: unknown key 'leverge'; did you mean 'leverage'?"),
        ("leverage = 0", "run.toml:4: invalid value 0 in leverage (give max, or a number"),
        ('cash = "5"', "run.toml:4: invalid value '5' in cash"),
        ('path = "worse"', "run.toml:4: unknown path 'worse' in path (did you mean 'worst'?)"),
        ('symbols = "BTC"', "run.toml:4: unknown symbol 'BTC' in symbols (did you mean 'BTC-USD'?)"),
        ('guards = "stpo=5%"', "run.toml:4: guards: unknown guard 'stpo'; did you mean 'stop'?"),
        ("[guards]\nstpo = '5%'", "run.toml:4: guards: unknown guard 'stpo'"),
        ('[network]\noutages = "history"', "run.toml:5: outages history: requires a chain"),
        ('[costs]\nchain = "arbitrum"', "run.toml:5: chain is not in [costs]; put it into [network]"),
        ("leverage = ", "run.toml: not readable as TOML"),
        ('strategy = "memory:Mine"', "run.toml:4: the strategy Mine existed only in memory and cannot be run again"),
    ],
)
def test_an_error_in_a_file_names_its_line(place: Path, command: Callable[..., Ended], line: str, said: str) -> None:
    own = "" if line.startswith("strategy") else 'strategy = "hold.py"'
    (place / "run.toml").write_text(f'# mine\n{own}\ndata = "market"\n{line}\n')
    one_line(command("run", "--config", "run.toml"), 2, f"error: {said}")


def test_an_error_of_any_command_names_flags(place: Path, command: Callable[..., Ended]) -> None:
    assert command("run", "hold.py", "--data", "market", "--out", "r").code == 0
    (place / "market").rename(place / "moved")
    one_line(command("verify", "r"), 2, "say where they lie with --data")
    with pytest.raises(UserError, match="say where they lie with data="):
        backtest.verify("r")


def test_a_flag_over_a_file_is_named_as_a_flag(place: Path, command: Callable[..., Ended]) -> None:
    (place / "run.toml").write_text('strategy = "hold.py"\ndata = "market"\npath = "best"\n')
    one_line(command("run", "--config", "run.toml", "--path", "worse"), 2, "unknown path 'worse' in --path")


def test_one_text_or_a_list_or_a_table_are_the_same() -> None:
    for text, listed, table in (
        ("stop=5%", ["stop=5%"], {"stop": "5%"}),
        ("median", ["median"], {"median": True}),
    ):
        name = "guards" if "stop" in text else "oracle"
        assert checked({name: text}) == checked({name: listed}) == checked({name: table})
    assert checked({"symbols": "A, B"}) == checked({"symbols": ("A", "B")})
    assert checked({"margin": "cross,B=isolated"}).modes == {"B": "isolated"}


# ---- what a type checker refuses

MISTAKES = '''"""A user's file."""

import backtest

backtest.run("sma_cross", "data", leverage=3, margin="isolated", symbols="BTC-USD", guards=["stop=5%"], out="r")
backtest.compare("sma_cross", "data", margin=["cross", "isolated"], start="2024-01-01", params={"fast": 3})
backtest.run("sma_cross", "data", leverge=3)  # call-arg
backtest.run("sma_cross", "data", leverage="most")  # arg-type
backtest.run("sma_cross", "data", path="worse")  # arg-type
backtest.run("sma_cross", "data", cash="100")  # arg-type
backtest.run("sma_cross", "data", grid=[0, 5])  # call-arg
backtest.latency("sma_cross", "data", latency_ms=5)  # call-arg
backtest.run(3, "data")  # arg-type
backtest.subaccounts("sma_cross", "data", loss_cap=3)  # arg-type
backtest.run("sma_cross", "data").metrcs  # attr-defined
'''


def test_a_type_checker_refuses_what_no_run_takes(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MISTAKES)
    # With the cache of `make lint`, which has read the package and its libraries: a second instead of a minute.
    checker = [sys.executable, "-m", "mypy", "--strict", str(file)]
    said = subprocess.run(checker, capture_output=True, text=True, check=False, cwd=settings_page.ROOT).stdout
    found = re.findall(r"mine\.py:(\d+): error: .*\[([\w-]+)\]", said)
    expected = [(str(n), line.rpartition("# ")[2]) for n, line in enumerate(MISTAKES.splitlines(), 1) if "# " in line]
    assert found == expected, said
