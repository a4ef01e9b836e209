"""`backtest cache build`, `info` and `clear`, for compiled kernels and panels."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from backtest.cli import flags


@click.group(short_help="Show, build and clear the caches.")
def cache() -> None:
    """Show, make and delete compiled engine code and panels of data that were read from Parquet."""


@cache.command(cls=flags.Command)
@click.option("--data", type=flags.FOLDER, metavar="PATH", help="Read this dataset into its panel instead.")
def build(data: Path | None) -> None:
    """Compile the engine ahead of the first long run, in a minute or two.

    Long runs do this in the background. If interrupted, it keeps finished parts.
    """
    if data is not None:
        _build_panel(data)
        return
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


def _build_panel(data: Path) -> None:
    from backtest.core.errors import UserError
    from backtest.data import panel_cache
    from backtest.data.catalog import Catalog
    from backtest.data.select import select

    selection = select(Catalog.open(data))
    panel = selection.panel
    if panel is None:
        cells = selection.rows * len(selection.symbols)
        thing = f"a dataset of {cells:,} candles is not kept"
        remedy = f"panels are kept from {panel_cache.LEAST_CELLS:,} candles on, up to {panel_cache.VARIABLE}"
        raise UserError(thing, str(data), remedy)
    click.echo(f"{data}: {panel.notes.rows:,} rows of {panel.notes.symbols} symbols, {_mb(panel.notes.size)}", err=True)


@cache.command()
@flags.JSON
def info(as_json: bool) -> None:
    """Show where compiled kernels and panels are, how many, and their size."""
    import backtest.engine.replay  # noqa: F401  every kernel is defined by now
    from backtest.cli import console
    from backtest.data import panel_cache
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
        "panels_folder": str(panel_cache.folder()),
        "panels": len(panel_cache.panels()),
        "panels_bytes": sum(one.size for one in panel_cache.panels()),
        "panels_bound_bytes": panel_cache.bound(),
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
    size, most = _mb(found["panels_bytes"]), _mb(found["panels_bound_bytes"])
    click.echo(f"{found['panels_folder']}: {found['panels']} panels, {size} of at most {most}")


@cache.command()
def clear() -> None:
    """Delete the compiled code of all versions, and all panels. Runs make them again."""
    from backtest.data import panel_cache
    from backtest.engine import cache as kept

    click.echo(f"deleted {_mb(kept.clear() + panel_cache.clear())}", err=True)


def _mb(size: object) -> str:
    return f"{float(str(size)) / 1e6:.1f} MB"
