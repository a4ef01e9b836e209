"""The command `backtest`: a command parses, calls one function of the public API, prints.

Exit 0: done. 1: the strategy or the run failed. 2: bad usage, data or configuration. 130: interrupted. What is wrong is
one line on standard error. Nothing heavy is imported before a command needs it, so that `--help` is quick.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from backtest.cli import (
    cache,
    chains,
    check,
    completion,
    config,
    data,
    latency,
    margin,
    montecarlo,
    report,
    run_commands,
    strategies,
    stress,
    sweep,
    venues,
)
from backtest.core import disk
from backtest.core.errors import BacktestError, CacheWarning, UserError, printable
from backtest.runner.origins import flags_in_errors

INTERRUPTED = 130
"""What a shell gives for a process that Ctrl-C ended: 128 + SIGINT."""

UNWRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Why a stream takes no more. A pipe that nobody reads is Click's."""


class Ordered(click.Group):
    """Commands in the order in which a newcomer needs them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  Click's signature
        """Names as they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Turn Ctrl-C into an error of one line before Click writes its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            with suppress(ValueError):  # only the main thread may
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one could only spoil the message
            written = ", ".join(map(str, disk.put_in_place()))
            said = f"{written} was written" if written else "nothing was written"
            raise Interrupted(f"interrupted; {said}") from error


class Interrupted(click.ClickException):
    """The user pressed Ctrl-C."""

    exit_code = INTERRUPTED


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="perp-backtest", prog_name="backtest", message="%(prog)s %(version)s")
def cli() -> None:
    """Replay history for leveraged perpetual-futures accounts, in cross and isolated margin."""


for _command in (
    run_commands.demo,
    run_commands.run,
    run_commands.compare,
    latency.latency,
    stress.stress,
    sweep.sweep,
    check.check,
    montecarlo.montecarlo,
    run_commands.verify,
    report.report,
    margin.margin,
    data.data,
    strategies.strategies,
    venues.venues,
    chains.chains,
    config.config,
    cache.cache,
    completion.completion,
):
    cli.add_command(_command)


def _accept_traceback(command: click.Command) -> None:
    """`--traceback` is looked for in the arguments as they are, so that it also holds for one that Click refuses."""
    text = "Show Python's traceback with an error."
    command.params.append(click.Option(["--traceback"], is_flag=True, expose_value=False, help=text))
    beside = command.beside if isinstance(command, sweep.SweepCommand) else {}
    inside = command.commands if isinstance(command, click.Group) else beside
    for inner in inside.values():
        _accept_traceback(inner)


_accept_traceback(cli)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with ``arguments`` (without the program's name; default: the process's own) and exit."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    before = signal.getsignal(signal.SIGINT)
    code = _run(given)
    with suppress(ValueError):
        signal.signal(signal.SIGINT, before)
    sys.exit(code)


def _run(given: list[str]) -> int:
    disk.begin()
    _show_any_text()
    with warnings.catch_warnings():
        warnings.simplefilter("always", CacheWarning)
        others = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if category is CacheWarning:
                click.echo(f"warning: {printable(str(message))}", err=True)
            else:
                others(message, category, *place, **more)

        warnings.showwarning = show
        return _code(given)


def _code(given: list[str]) -> int:
    try:
        _check_text(given)
        # Without its standalone mode Click gives back an exit code, or nothing.
        with flags_in_errors():
            code = cli.main(given, prog_name="backtest", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  the last place where an error can become a line
        with suppress(OSError):  # where standard error is full nothing can be said
            if "--traceback" in given:
                traceback.print_exception(error)
            text, exit_code = _unwritten(error) or _line(error)
            click.echo("error: " + " ".join(text.split()), err=True)
        return exit_code


def _check_text(given: Sequence[str]) -> None:
    """UserError for an argument that is no text in this locale: nothing that it names could be found or written."""
    for argument in given:
        try:
            argument.encode()
        except UnicodeEncodeError:
            remedy = "set LC_ALL=C.UTF-8, or name it in UTF-8"
            raise UserError(f"argument {argument!r} is not text in this locale", "", remedy) from None


def _show_any_text() -> None:
    """Let what the locale cannot encode be shown by its number, not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _unwritten(error: BaseException) -> tuple[str, int] | None:
    """What to say where standard output takes no more, and the exit code; None: the error is another.

    Such an error names no file, so standard output is tried once more. What it did not take is given up: Python would
    fail with it again at its end.
    """
    if not isinstance(error, OSError) or error.filename is not None or error.errno not in UNWRITTEN:
        return None
    try:
        os.write(sys.stdout.fileno(), b"\n")
    except io.UnsupportedOperation:  # no file: a notebook's, or a test's
        return None
    except OSError as again:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        written = ", ".join(map(str, disk.put_in_place()))
        return f"standard output: {again.strerror}" + (f"; {written} was written" if written else ""), 1
    return None


def _gone() -> str:
    """What to add to a failure of the system in a working directory that is no longer there."""
    try:
        Path.cwd()
    except OSError:
        return "; the working directory is gone, go to another"
    return ""


def _line(error: BaseException) -> tuple[str, int]:
    """What to say about an error, and the exit code."""
    if isinstance(error, OSError) and error.strerror:
        # Whatever was asked of the system, it did not do it: a link that leads nowhere, a name too long, a full disk.
        place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return f"{place}{error.strerror}{_gone()}", UserError.exit_code
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # of Path.resolve, before Python 3.13
        return str(error), UserError.exit_code
    if isinstance(error, UnicodeEncodeError) and any("\ud800" <= c <= "\udfff" for c in error.object):
        return f"{error.object!r} is not text in this locale; set LC_ALL=C.UTF-8", UserError.exit_code
    if isinstance(error, BacktestError):
        return str(error), error.exit_code
    if isinstance(error, click.UsageError):
        said, command = error.format_message(), error.ctx.command_path if error.ctx else "backtest"
        return f"{said}{' See' if said[-1] in '.?' else '; see'} `{command} --help`", error.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, click.Abort):
        return "interrupted", INTERRUPTED
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"{said}; this is a fault of backtest itself: please report it with what --traceback shows", 1
