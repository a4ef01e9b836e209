"""`backtest completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from backtest.cli import flags

SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=flags.Command,
    short_help="Print a shell completion script.",
    epilog="""Examples:
  backtest completion bash >> ~/.bashrc
  backtest completion zsh >> ~/.zshrc
  backtest completion fish > ~/.config/fish/completions/backtest.fish
""",
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, flags and paths in a shell."""
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(script(ctx.find_root().command, {}, "backtest", "_BACKTEST_COMPLETE").source())
