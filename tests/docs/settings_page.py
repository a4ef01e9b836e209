"""What is made of `RunSettings`: its keyword arguments as types, and the reference page."""

from __future__ import annotations

from pathlib import Path

from backtest.cli.flags import default_text
from backtest.runner.origins import NOT_KEYWORDS, with_keywords
from backtest.runner.setting import COMMANDS, Group, Setting
from backtest.runner.settings import all_settings

ROOT = Path(__file__).parents[2]
KEYWORDS = ROOT / "backtest/runner/run_keywords.py"

CLASSES = {"run": "RunKeywords", "compare": "CompareKeywords", "latency": "LatencyKeywords"}
CLASSES |= {"subaccounts": "SubaccountKeywords", "sweep": "SweepKeywords", "check": "CheckKeywords"}
CLASSES["stress"] = "StressKeywords"
CLASSES["montecarlo"] = "MontecarloKeywords"
CLASSES["shared_margin"] = "SharedMarginKeywords"
CLI_NAMES = {
    "run": "`run`",
    "compare": "`compare`",
    "latency": "`latency`",
    "subaccounts": "`run --sub-accounts`",
    "shared_margin": "`run --shared-margin`",
    "sweep": "`sweep`",
    "check": "`check`",
    "stress": "`stress`",
    "montecarlo": "`montecarlo`",
}
"""What the command line calls the functions."""
HEAD = '''"""Keyword arguments of the public functions, so that editors complete them and type checkers check them.

Made of `RunSettings` by `python -m tests.docs.reference`: edit `settings.py`, then run that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict
'''


def keywords() -> str:
    """The module with a `TypedDict` per public function; one class holds what all of them have."""
    known = [told for told in all_settings() if told.name not in NOT_KEYWORDS]
    shared = [told for told in known if set(told.commands) == set(COMMANDS)]
    text = HEAD + _class("SharedKeywords", "TypedDict", "Settings that every function has.", shared)
    for command, name in CLASSES.items():
        own = [told for told in known if command in told.commands and told not in shared]
        text += _class(name, "SharedKeywords", f"Settings of `{command}`.", own)
    return text


def _class(name: str, base: str, doc: str, known: list[Setting]) -> str:
    lines = [f"    {told.name}: {told.keyword_type}\n    {_quoted(with_keywords(told.help))}\n" for told in known]
    return f'\n\nclass {name}({base}, total=False):\n    """{doc}"""\n\n' + "".join(lines)


def _quoted(text: str) -> str:
    """A docstring of lines that are not too long."""
    lines, line = [], '    """'
    for word in text.split():
        if len(line) + len(word) > 112:
            lines.append(line.rstrip())
            line = "    "
        line += word + " "
    return "\n".join([*lines, line.rstrip() + '"""']).lstrip()


PREFACE = """# Settings

Every setting of `backtest run`, `compare`, `latency`, `sweep` and `stress`, with the same name and the same default
in three places: a flag, a key of a [TOML file](#configuration-files), and a keyword argument of the functions in Python
([notebooks and processes](../how-to/notebooks-and-processes.md)).

Money is in quote currency. A time is a date or an ISO time, UTC unless it has an offset; a length of time is a whole
number and a unit (`ms`, `s`, `m`, `h`, `d`), such as `90s` or `1h`. Lists are repeated flags, or TOML and Python
lists; names may also stand in one text, separated by commas.
"""
AFTER = """
## Configuration files

`--config FILE` reads settings from a TOML file, and flags override it. `-p` overrides single parameters. Keys stand
at the top or in the table of their group; `[params]` has the strategy's parameters. `strategy` names the strategy, or
a list of them with `sub_accounts = true`. Relative paths are relative to the file.

```toml
strategy = "hedged_pair"
data = "data/sample"
margin = ["isolated", "cross"]
start = 2025-10-01

[params]
long = "BTC-USD"

[costs]
fee_bps = 5
slippage = ["half-spread=1", "impact=0.8"]

[guards]
stop = "5%"

[network]
chain = "arbitrum"
outages = ["worst:30m"]
```

`backtest compare --config pair.toml -p long=ETH-USD` compares it on another market.

A key of another command is ignored: one file serves `run`, `compare` and `latency`. `backtest config show` takes the
same flags as `run` and prints every setting with its source: `default`, file and line, or `flag`. `--dry-run` prints
what a command would run, over which data and with which assumptions, and about how long it takes; it writes nothing.

Every report has a `run.toml` with all settings that it was made with. Running it again gives the same digest. Its
paths are relative to the report: a project may be moved as a whole; where a report is moved alone, name the data with
`--data`. If the strategy was a class in a notebook or an interpreter, the file says that it cannot be run again.

## Options of the command line only

`--config`, `--dry-run`, `--json`, `--verbose` and `--traceback` change what is read or printed, not the run.
`backtest completion bash`, `zsh` or `fish` prints a script that completes commands, flags and paths. `NO_COLOR=1`
turns colors off.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the strategy or the run failed, `verify` found a difference, or `--timeout` was reached |
| 2 | wrong usage, data or settings |
| 130 | interrupted by Ctrl-C |
"""


def page() -> str:
    """The reference page."""
    return PREFACE + "".join(_group(group) for group in Group) + AFTER


def _group(group: Group) -> str:
    rows = [_row(told) for told in all_settings() if told.group is group]
    table = "[" + group.lower() + "]"
    head = "| setting | flag | value | default | meaning |\n|---|---|---|---|---|\n"
    return f"\n## {group}\n\nIn TOML at the top, or in `{table}`.\n\n{head}" + "".join(rows)


def _row(told: Setting) -> str:
    flags = ", ".join(f"`{flag}`" for flag in (told.spelt, *told.flags[1:]))
    value = ", ".join(filter(None, (_value(told), told.unit, told.bounds)))
    only = [CLI_NAMES[one] for one in COMMANDS if one in told.commands]
    where = "" if len(only) == len(COMMANDS) else f" Only {' and '.join(only)}."
    default = f"`{default_text(told, told.default)}`" if _plain(told) else default_text(told, told.default)
    for command, other in told.defaults:
        default += f"; {CLI_NAMES[command]}: `{default_text(told, other)}`"
    example = f" Example: `{told.name} = {told.example}`." if told.example else ""
    cells = (f"`{told.name}`", flags, value, default, f"{told.help}{where}{example}")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _value(told: Setting) -> str:
    return " or ".join(f"`{word}`" for word in told.choices) if told.choices else str(told.kind)


def _plain(told: Setting) -> bool:
    """Whether the default is a value, and not what holds in place of one."""
    return told.default is not None and told.default not in ((), "") and told.default != {}
