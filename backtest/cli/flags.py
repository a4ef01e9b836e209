"""Flags that commands share, the kinds of value that they take, and how help lists them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from backtest.runner.setting import Group as Heading
from backtest.runner.setting import Kind, Setting
from backtest.runner.settings import find, settings_of

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command that refuses a flag of one value that is given twice, and lists options under headings.

    Click would silently take the last value.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a usage error for a repeated flag."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        for param in order:
            single = isinstance(param, click.Option) and not (param.multiple or param.is_flag or param.count)
            if single and order.count(param) > 1:
                raise click.UsageError(
                    f"{param.opts[-1]} is given {order.count(param)} times, and takes one value", ctx
                )
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, those of settings under the headings of their groups, the rest under the output's."""
        headed = any(isinstance(param, GroupedOption) for param in self.get_params(ctx))
        rows: dict[str, list[tuple[str, str]]] = {str(one): [] for one in Heading} if headed else {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                group = param.group if isinstance(param, GroupedOption) else Heading.OUTPUT
                rows.setdefault(str(group) if headed else "Options", []).append(record)
        for heading, records in rows.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records, col_max=28)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  Click's
        """Write the epilog's lines as they stand: examples are commands."""
        if self.epilog:
            formatter.write_paragraph()
            for line in self.epilog.splitlines():
                formatter.write(f"{line}\n")


class Group(click.Group):
    """A group whose commands refuse repeated flags."""

    command_class = Command


class GroupedOption(click.Option):
    """An option under the heading of a group."""

    def __init__(self, flags: Sequence[str], group: Heading, **how: Any) -> None:
        super().__init__(flags, **how)
        self.group = group


class SettingOption(GroupedOption):
    """The flag of a setting; its text is checked where the settings are put together."""

    def __init__(self, told: Setting, default: object) -> None:
        self.told, self.shown = told, default
        how: dict[str, Any] = {"default": None, "help": told.help}
        if told.kind is Kind.SWITCH:
            super().__init__([f"{told.flag}/{told.off}", told.name], told.group, **how)
            return
        how |= {"metavar": told.metavar, "multiple": told.repeated, "shell_complete": _completions(told)}
        super().__init__([*(told.flags or (told.flag,)), told.name], told.group, **how)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:  # noqa: ARG002  Click's signature
        """The flag with its metavar, and its help with its other names and its default."""
        told, notes = self.told, []
        short = [flag for flag in told.flags if not flag.startswith("--")]
        others = [flag for flag in told.flags[1:] if flag not in short]
        first = told.spelt if told.kind is Kind.SWITCH else f"{told.flag} {told.metavar}"
        if told.repeated:
            notes.append("[repeatable]")
        if others:
            notes.append(f"[alias: {', '.join(others)}]")
        if told.kind is not Kind.SWITCH:
            notes.append(f"[default: {default_text(told, self.shown)}]" if told.absent != "required" else "[required]")
        text = f"Do not {told.help[0].lower()}{told.help[1:]}" if first == told.off else told.help
        return ", ".join([*short, first]), "  ".join([text, *notes])


def default_text(told: Setting, default: object) -> str:
    """A default as help and the reference page show it."""
    if default is None or default in ((), "") or default == {}:
        return told.absent
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:.12g}" if isinstance(default, float) else str(default)


def _completions(told: Setting) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]] | None:
    """What a shell completes behind the flag: its words, or a path."""

    def words(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in told.choices if word.startswith(incomplete)]

    return words if told.choices else files if told.kind is Kind.FILE else None


def files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell completes where a path is wanted."""
    return [CompletionItem(incomplete, type="file")]


class Number(click.FloatRange):
    """A finite number in a range: `nan` and `inf` pass any comparison that a range makes."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value, if it is finite and in range."""
        number = float(super().convert(value, param, ctx))
        return number if math.isfinite(number) else self.fail(f"{value!r} is not a finite number", param, ctx)


class Finite(click.ParamType[float]):
    """A finite number whose range the command itself tells, in its own words."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The value, if it is finite."""
        number = click.FLOAT.convert(value, param, ctx)
        return float(number) if math.isfinite(number) else self.fail(f"{value!r} is not a finite number", param, ctx)


class Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The names, in the order given."""
        names = tuple(name.strip() for name in value.split(","))
        return names if all(names) else self.fail(f"{value!r} has an empty name in it", param, ctx)


class Dataset(click.ParamType["str | Path"]):
    """A dataset's path, or its address: one is no path, as that would make one slash of two."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:  # noqa: ARG002
        """The path, or the address as text."""
        from backtest.data.remote import place_of

        return place_of(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Paths."""
        return files(ctx, param, incomplete)


DATASET = Dataset()
FOLDER = click.Path(path_type=Path)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
VERBOSE = click.option("--verbose", is_flag=True, help="List every assumption and count below the results.")
TIMEOUT = click.option(
    "--timeout",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help=f"{find('timeout').help}  [default: never]",
)
DATE = click.option(
    "--date",
    "when",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DAY",
    help="Show only the figures in force on this day (UTC), such as 2024-10-24.  [default: every version by date]",
)
CONFIG = GroupedOption(
    ["--config"], Heading.DATA, type=FOLDER, metavar="FILE",
    help="Read settings from a TOML file, such as the run.toml of a report; flags override it.",
)  # fmt: skip

DRY_RUN = GroupedOption(
    ["--dry-run"], Heading.OUTPUT, is_flag=True,
    help="Print what would be run, over which data and how long it may take; write nothing.",
)  # fmt: skip


def replay(*commands: str) -> Callable[[F], F]:
    """Give a command the flags of the settings of these functions, and those of every replay."""

    def decorate(command: F) -> F:
        for decorator in reversed((settings(*commands), _add([DRY_RUN]), VERBOSE, JSON)):
            command = decorator(command)
        return command

    return decorate


def settings(*commands: str) -> Callable[[F], F]:
    """Give a command `--config` and the flags of the settings of these functions, in the order of `RunSettings`."""
    known: dict[str, Setting] = {told.name: told for command in commands for told in settings_of(command)}
    return _add([CONFIG, *(SettingOption(told, told.default_of(commands[0])) for told in known.values())])


def _add(options: Sequence[click.Option]) -> Callable[[F], F]:
    """What `click.option` does with options that are made already."""

    def decorate(command: F) -> F:
        kept: list[click.Parameter] = getattr(command, "__click_params__", [])
        command.__click_params__ = [*kept, *reversed(options)]  # type: ignore[attr-defined]
        return command

    return decorate
