"""Where the machine code of the kernels is kept between runs."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from backtest.engine.compile import CALLED

NAME = "kernels-"


def root() -> Path:
    """The user's cache folder by the XDG rule; `NUMBA_CACHE_DIR`, where set, is respected as the root."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "perp-backtest"


@functools.cache
def folder() -> Path:
    """That of these sources: other source, other compiler, other folder."""
    room = Path(__file__).parent
    digest = hashlib.sha256(repr((str(room), sys.version, version("numba"), version("llvmlite"))).encode())
    for file in sorted(room.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return root() / f"{NAME}{digest.hexdigest()[:16]}"


def holds(kernel: Callable[..., Any]) -> bool:
    """Whether the machine code of a kernel is here."""
    name = f"{kernel.__module__.rpartition('.')[2]}.{kernel.__qualname__}-*.nbi"
    return next(folder().glob(f"*/{name}"), None) is not None


def missing() -> list[Callable[..., Any]]:
    """Kernels that Python calls and whose machine code is not here."""
    return [kernel for kernel in CALLED if not holds(kernel)]


def folders() -> list[Path]:
    """That of these sources and those of others, such as older versions."""
    return sorted(place for place in root().glob(f"{NAME}*") if place.is_dir())


def size(place: Path) -> int:
    """Bytes of a folder."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def clear() -> int:
    """Delete all that is kept; returns how many bytes that were."""
    freed = sum(map(size, folders()))
    for place in folders():
        shutil.rmtree(place)
    return freed
