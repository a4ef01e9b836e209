"""Where a strategy's source lies, found without running any of it."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from backtest.core.errors import UserError
from backtest.strategy import loader


def has_source(spec: str, sha256: str) -> bool:
    """Whether the strategy that ``spec`` names (`loader.load`) has a source of this SHA-256; nothing of it is run.

    A class may come from any file of the package that is named. UserError where there is no such strategy.
    """
    base = loader.place_of(spec)
    if loader.is_path(base):
        return _sha256(Path(base)) == sha256
    running = sys.modules.get(base)
    if running is not None and (read := getattr(running, "__source_sha256__", None)):
        return bool(read == sha256)
    return any(_sha256(file) == sha256 for file in _files(base))


def _files(module: str) -> list[Path]:
    """The file of a module; of a package all of its Python files. Its parents are found and not imported."""
    running = sys.modules.get(module)
    if running is not None and not hasattr(running, "__path__"):
        return [Path(running.__file__)] if running.__file__ else []
    first, *parts = module.split(".")
    found = _found(first, None)
    for part in parts:
        found = _found(f"{found.name}.{part}", found)
    if found.submodule_search_locations is None:
        return [Path(found.origin)] if found.origin and Path(found.origin).is_file() else []
    return sorted(file for folder in found.submodule_search_locations for file in Path(folder).rglob("*.py"))


def _found(name: str, above: ModuleSpec | None) -> ModuleSpec:
    try:
        # Python's own search would import what is above; for the first name nothing is.
        inside = above and above.submodule_search_locations
        found = importlib.util.find_spec(name) if above is None else PathFinder.find_spec(name, inside or [])
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise UserError(f"no module named {name!r}", name, "install it, or give its folder in PYTHONPATH")
    return found


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        said = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise UserError(said, str(file), "put the strategy where it was") from None
