"""Where the files of a dataset are: a tree of folders by kind and symbol, or plain files with a symbol column."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import duckdb

from backtest.core.errors import UserError, nearest, printable
from backtest.data.file_formats import foreign_in
from backtest.data.shipped import SHIPPED, located
from backtest.data.source import FURTHER, KINDS, Source, describe, describe_plain, read_file

_LAYOUT = "a dataset has candles/symbol=NAME/*.parquet, or plain *candles*.parquet files with a symbol column"


@dataclass(frozen=True)
class Folder:
    """A dataset's place on disk, found but not yet read."""

    name: str
    manifest: Path
    """Where `dataset.toml` is, or would be."""
    trees: dict[str, dict[str, list[Path]]]
    """Files per kind and symbol, one symbol in each; only here are there further marks."""
    plain: dict[str, list[Path]]
    """Files per kind, many symbols in each."""


def find(path: Path) -> Folder:
    """What lies at ``path``: a folder, one prefix of a folder of plain files (DIR/PREFIX), or one candles file.

    The name of the dataset that comes with the package stands for its folder.
    """
    path = located(path)
    if path.is_file():
        return _single(path)
    if path.is_dir():
        if (path / "candles").is_dir():
            further = (d.name for d in _entries(path) if d.name.startswith(FURTHER) and d.name != FURTHER)
            kinds = (*KINDS, *further)
            return Folder(path.resolve().name, path / "dataset.toml", {k: _tree(path / k) for k in kinds}, {})
        return _plain(path, None)
    if path.parent.is_dir() and any(_prefix(file, "candles") is not None for file in path.parent.glob("*.parquet")):
        return _plain(path.parent, path.name)
    near = nearest(path.name, (p.name for p in path.parent.iterdir() if p.is_dir())) if path.parent.is_dir() else ""
    remedy = f"name a dataset: {SHIPPED} comes with the package, and `backtest data sample DIR` writes a synthetic one"
    remedy = near if near.startswith("did you mean") else remedy
    raise UserError("no such folder", str(path), remedy)


def sources(con: duckdb.DuckDBPyConnection, folder: Folder) -> dict[str, dict[str, Source]]:
    """Every series per kind and symbol, in sorted order; UserError for a file that is not what it should be."""
    found: dict[str, dict[str, Source]] = {}
    for kind in (*KINDS, *(kind for kind in folder.trees if kind not in KINDS)):
        series: dict[str, Source] = {}
        for symbol, paths in folder.trees.get(kind, {}).items():
            source = describe(con, kind, symbol, [read_file(p, kind, False) for p in paths])
            if source is not None:
                series[symbol] = source
        if folder.plain.get(kind):
            series = describe_plain(con, kind, [read_file(p, kind, True) for p in folder.plain[kind]])
        found[kind] = dict(sorted(series.items()))
    odd = next((symbol for symbol in found["candles"] if printable(symbol) != symbol), None)
    if odd is not None:
        raise UserError(f"the symbol {odd!r} has characters that are not printed", str(folder.manifest.parent), _LAYOUT)
    if not found["candles"]:
        raise foreign_in(folder.manifest.parent) or UserError(
            "it holds no candles", str(folder.manifest.parent), _LAYOUT
        )
    return found


def _tree(folder: Path) -> dict[str, list[Path]]:
    """`symbol=NAME/*.parquet` below ``folder``; empty where there is no such folder."""
    if not os.path.lexists(folder):
        return {}
    tree = {}
    for place in (d for d in _entries(folder) if d.name.startswith("symbol=")):
        files = _parquet_in(place)
        if not files:
            remedy = "put the symbol's files there, or remove it"
            raise foreign_in(place) or UserError("holds no *.parquet file", str(place), remedy)
        tree[place.name.partition("=")[2]] = files
    return tree


def _parquet_in(folder: Path) -> list[Path]:
    return [file for file in _entries(folder) if file.name.endswith(".parquet")]


def _entries(folder: Path) -> list[Path]:
    """What lies in ``folder``, sorted; UserError where that cannot be told, so that nothing goes missing unseen."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        remedy = "make it a folder that may be read, or take it out of the dataset"
        raise UserError(f"cannot be read as a folder ({error.strerror})", str(folder), remedy) from None


def _single(path: Path) -> Folder:
    """One candles file; without a symbol column it holds the symbol that its name says."""
    file = read_file(path, "candles", False)
    place = path.parent / f"{path.stem}.toml"
    if "symbol" in file.types:
        return Folder(path.stem, place, {}, {"candles": [path]})
    return Folder(path.stem, place, {"candles": {path.stem: [path]}}, {})


def _plain(folder: Path, wanted: str | None) -> Folder:
    files = _parquet_in(folder)
    prefixes = sorted({p for p in (_prefix(file, "candles") for file in files) if p is not None})
    if not prefixes:
        raise foreign_in(folder) or UserError("it holds no candles", str(folder), _LAYOUT)
    if wanted is None and len(prefixes) > 1:
        names = ", ".join(str(folder / p) for p in prefixes)
        raise UserError(f"it holds {len(prefixes)} datasets of plain files", str(folder), f"name one of: {names}")
    if wanted is not None and wanted not in prefixes:
        raise UserError(f"no candles named {wanted!r}", str(folder), nearest(wanted, prefixes))
    prefix = prefixes[0] if wanted is None else wanted
    plain = {kind: [f for f in files if _prefix(f, kind) == prefix] for kind in KINDS}
    return Folder(prefix or folder.resolve().name, folder / "dataset.toml", {}, plain)


def _prefix(file: Path, kind: str) -> str | None:
    """What stands before the kind in a file's name (`binance` in `binance_candles_1h`), None if it is not there."""
    match = re.fullmatch(rf"(.*?)[_.-]*{kind}s?(?:[_.-].*)?", file.stem)
    return match[1] if match else None
