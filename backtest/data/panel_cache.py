"""Panels that were read from Parquet once, kept in the user's cache: later runs over the same data map them.

A panel is found by the fingerprint of its data, the files' times of change, the versions of what has read them and this
room's own source, so that nothing stale is ever found. The folder is private to the user and bounded in size: what was
used least recently goes first. Where nothing can be kept, data are read from Parquet as before.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from backtest.core.cache_folder import cache_folder
from backtest.core.disk import whole_file
from backtest.core.errors import CacheWarning, UserError
from backtest.data import panel_file
from backtest.data.panel_file import Panel, PanelNotes

VARIABLE = "BACKTEST_PANEL_CACHE"
"""Most bytes of all panels, like 20GB; off: none are kept."""
DEFAULT = 8 * 10**9
LEAST_CELLS = 50_000
"""Candles of all symbols below which reading Parquet takes less than looking for a panel."""
ENDING = ".panel"
UNITS = {"": 1, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_lock = threading.RLock()
_unkept: list[str] = []
"""Why this process could not keep a panel, once that has been said."""
_open: dict[Path, tuple[tuple[int, int, int], Panel]] = {}
"""The panels that this process has mapped and found sound, with device, inode and time of each file."""


class PanelSource(NamedTuple):
    """How a panel is read where it is not kept."""

    blocks: Iterator[NDArray[np.float64]]
    describe: Callable[[], PanelNotes]


def folder() -> Path:
    """Where panels are kept."""
    return cache_folder() / "panels"


def bound() -> int:
    """Most bytes of all panels; 0: none are kept. UserError for a text that is no size."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT
    if text.lower() in ("off", "0"):
        return 0
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB)?", text, re.IGNORECASE)
    if match is None:
        thing = f"{text!r} is not a size"
        raise UserError(thing, f"the environment variable {VARIABLE}", "write it like 20GB, or off")
    return int(float(match[1]) * UNITS[(match[2] or "").upper()])


def opened(key: str, size: int, cells: int, source: Callable[[], PanelSource]) -> Panel | None:
    """Return the panel of a key, read first where it is not kept; None where it is not worth keeping, or cannot be.

    ``size``: its bytes, about. ``cells``: candles of all symbols. UserErrors of ``source`` are not raised: whoever
    reads the data meets them.
    """
    most = bound()
    if cells < LEAST_CELLS or size > most:
        return None
    path = folder() / f"{hashlib.sha256(f'{key} {_made_by()}'.encode()).hexdigest()[:32]}{ENDING}"
    with _lock:
        found = _mapped(path)
        if found is None and _kept(path, size, most, source):
            found = _mapped(path)
    return found


def _mapped(path: Path) -> Panel | None:
    """The panel that lies there, marked as used; None where it is missing, or it is damaged."""
    try:
        status = path.stat()
        identity = status.st_dev, status.st_ino, status.st_size
        known = _open.get(path)
        panel = known[1] if known and known[0] == identity else panel_file.read(path)
        if panel is None:
            path.unlink()
            _warn(f"the cached panel {path} is damaged: the data are read again")
            return None
        _open[path] = identity, panel
        with suppress(OSError):
            os.utime(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn_unkept(error.strerror or str(error))
        return None
    return panel


def _kept(path: Path, size: int, most: int, source: Callable[[], PanelSource]) -> bool:
    """Read a panel and keep it; whether it is there now."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(most - size)
        with whole_file(path, told=False, lasting=False) as draft:
            draft.chmod(0o600)
            read = source()
            panel_file.write(draft, read.blocks, read.describe)
    except UserError:
        return False  # a row that cannot be used: the run names it, if it comes to it
    except OSError as error:
        _warn_unkept(error.strerror or str(error))
        return False
    return True


def _make_room(bytes_left: int) -> None:
    """Delete panels, the least recently used first, until the others take no more than so many bytes."""
    found = sorted(panels(), key=lambda one: one.used_ns, reverse=True)
    total = 0
    for one in found:
        total += one.size
        if total > bytes_left:
            with suppress(OSError):
                one.path.unlink()


class Kept(NamedTuple):
    """A panel on disk."""

    path: Path
    size: int
    used_ns: int


def panels() -> list[Kept]:
    """All panels that are kept."""
    found = []
    for path in sorted(folder().glob(f"*{ENDING}")):
        with suppress(OSError):
            status = path.stat()
            found.append(Kept(path, status.st_size, status.st_mtime_ns))
    return found


def forget() -> None:
    """Let this process map and check every panel again."""
    _open.clear()


def clear() -> int:
    """Delete all panels; returns how many bytes that were. UserError for one that cannot be deleted."""
    freed = 0
    for one in panels():
        try:
            one.path.unlink(missing_ok=True)
        except OSError as error:
            thing = f"cannot be deleted ({error.strerror or error})"
            raise UserError(thing, str(one.path), "see who owns it") from None
        freed += one.size
    forget()
    return freed


@functools.cache
def _made_by() -> str:
    """What decides how a panel is read besides its data: this room's source, NumPy and DuckDB."""
    digest = hashlib.sha256(f"{np.__version__} {duckdb.__version__}".encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _warn_unkept(reason: str) -> None:
    if not _unkept:
        _unkept.append(reason)
        _warn(f"panels cannot be kept in {folder()} ({reason}): data are read from Parquet each time")


def _warn(text: str) -> None:
    warnings.warn(text, CacheWarning, stacklevel=2)
