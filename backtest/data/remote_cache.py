"""Where downloaded files are kept: private to the user, bounded, the datasets that were used last the longest.

`files/` has one file for each version of each remote file, `views/` a folder for each listing of a dataset, whose files
are hard links. What no view links is deleted when the cache grows beyond its bound, and the oldest views before it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from backtest.core.errors import UserError

FOLDER_VARIABLE, SIZE_VARIABLE = "BACKTEST_DATA_CACHE", "BACKTEST_DATA_CACHE_SIZE"
DEFAULT_SIZE = "20GB"
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def folder() -> Path:
    """The cache's folder: that in `BACKTEST_DATA_CACHE`, else one in the user's cache folder by the XDG rule."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "perp-backtest" / "data"


def most_bytes() -> int:
    """How large the cache may grow; UserError for a size that is none."""
    text = os.environ.get(SIZE_VARIABLE) or DEFAULT_SIZE
    match = re.fullmatch(r"([0-9]{1,6})\s*(KB|MB|GB|TB)", text.strip().upper())
    if match is None:
        raise UserError(f"{text!r} is not a size", SIZE_VARIABLE, "write a whole number and MB, GB or TB, like 20GB")
    return int(match[1]) * _UNITS[match[2]]


def prepare() -> Path:
    """Make the cache's folder, readable by its owner alone, and return it. UserError where it belongs to another."""
    root = folder()
    most_bytes()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "geteuid") and root.stat().st_uid != os.geteuid():
            thing = "the cache of remote data belongs to another user"
            raise UserError(thing, str(root), f"name a folder of yours in {FOLDER_VARIABLE}")
        root.chmod(0o700)
        for name in ("files", "views"):
            (root / name).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        thing = f"the cache of remote data cannot be written ({error.strerror})"
        raise UserError(thing, str(root), f"name another folder in {FOLDER_VARIABLE}") from None
    return root


def blob(root: Path, key: str) -> Path:
    """Where one version of a file is kept."""
    return root / "files" / hashlib.sha256(key.encode()).hexdigest()


def view(root: Path, key: str) -> Path:
    """Where one listing of a dataset is kept."""
    return root / "views" / hashlib.sha256(key.encode()).hexdigest()[:32]


def trim(root: Path, kept: Path) -> None:
    """Delete the views that were used longest ago, and files that no view has, until the cache is within its bound.

    The view ``kept`` stays, however large it is.
    """
    most = most_bytes()
    views = sorted((root / "views").iterdir(), key=lambda one: (one.stat().st_mtime_ns, one.name))
    for oldest in [one for one in views if one != kept and one not in kept.parents]:
        if _size(root) <= most:
            return
        shutil.rmtree(oldest, ignore_errors=True)
        _drop_unlinked(root)
    if _size(root) > most:
        _drop_unlinked(root)


def _drop_unlinked(root: Path) -> None:
    """Delete the files of which no view has a hard link; those that another process is writing are no such files."""
    for file in (root / "files").iterdir():
        if not file.name.startswith(".") and file.is_file() and file.stat().st_nlink == 1:
            file.unlink(missing_ok=True)


def _size(root: Path) -> int:
    """Bytes of the cache, each file once."""
    found = {(s.st_dev, s.st_ino): s.st_size for s in (p.lstat() for p in root.rglob("*") if p.is_file())}
    return sum(found.values())
