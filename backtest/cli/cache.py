"""`backtest cache build`, `info` and `clear`."""

from __future__ import annotations

import warnings

import click

from backtest.cli import flags


@click.group()
def cache() -> None:
    """Compile, list and delete the compiled engine code that long runs use."""


@cache.command()
def build() -> None:
    """Compile the engine ahead of the first long run, in a minute or two.

    Long runs do this in the background. If interrupted, it keeps finished parts.
    """
    from backtest.core.errors import CacheWarning, UserError
    from backtest.engine import cache as kept
    from backtest.engine import tier
    from backtest.engine.builder import build as compile_missing

    if tier.asked() == tier.INTERPRETED:
        raise UserError(
            "the engine is not compiled here", "the environment", "unset NUMBA_DISABLE_JIT, BACKTEST_KERNELS"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CacheWarning)  # an error says it here
        reason = compile_missing(lambda name, n, of: click.echo(f"compiling {name} ({n + 1} of {of})", err=True))
    if reason:
        remedy = "make room there, or name another folder in XDG_CACHE_HOME"
        raise UserError(f"compiled code cannot be kept ({reason})", str(kept.root()), remedy)
    click.echo("the engine is compiled", err=True)


@cache.command()
@flags.JSON
def info(as_json: bool) -> None:
    """Show where the compiled kernels are, how many, and their size."""
    import backtest.engine.replay  # noqa: F401  every kernel is defined by now
    from backtest.cli import console
    from backtest.engine import cache as kept
    from backtest.engine.compile import CALLED

    absent = [kernel.__name__ for kernel in kept.missing()]
    damaged = [kernel.__name__ for kernel in kept.damaged()]
    others = [place for place in kept.folders() if place != kept.folder()]
    found = {
        "folder": str(kept.folder()),
        "compiled": len(CALLED) - len(absent) - len(damaged),
        "missing": sorted(absent),
        "damaged": sorted(damaged),
        "cannot_be_kept": kept.refusal(),
        "bytes": kept.size(kept.folder()),
        "other_versions": len(others),
        "other_versions_bytes": sum(map(kept.size, others)),
    }
    if as_json:
        console.write_json(found)
        return
    click.echo(f"{found['folder']}: {found['compiled']} of {len(CALLED)} kernels, {_mb(found['bytes'])}")
    if damaged:
        click.echo(f"damaged: {', '.join(sorted(damaged))}; the next run that needs one compiles it again")
    if found["cannot_be_kept"]:
        click.echo(f"nothing can be kept there: {found['cannot_be_kept']}")
    if others:
        click.echo(f"of other versions: {len(others)} folders, {_mb(found['other_versions_bytes'])}")


@cache.command()
def clear() -> None:
    """Delete the compiled code of all versions. Long runs compile it again."""
    from backtest.engine import cache as kept

    click.echo(f"deleted {_mb(kept.clear())}", err=True)


def _mb(size: object) -> str:
    return f"{float(str(size)) / 1e6:.1f} MB"
