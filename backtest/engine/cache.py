"""Where the machine code of the kernels is kept between runs, and when it may be used.

One file for each kernel: the SHA-256 of what follows, then what `machine` makes of the kernel. The folder is named by a
hash of all that decides what a kernel computes, so code of other sources is never found. A damaged file is deleted with
one line of notice and the kernel compiled again. Where nothing can be written, kernels are compiled in memory.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from backtest.core.cache_folder import cache_folder
from backtest.core.disk import whole_file
from backtest.core.errors import CacheWarning, UserError
from backtest.engine.compile import CALLED

NAME = "kernels-"
ROOM = Path(__file__).parent
OTHERS = ("core/enums.py", "core/errors.py", "core/records.py", "venues/chain.py", "venues/terms.py")
"""What kernels import from other rooms: Numba compiles their constants in."""
HARMLESS = ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS")
"""Settings of Numba that do not change what it compiles."""
SUM = hashlib.sha256().digest_size
_unkept: list[str] = []
"""Why this process could not keep what it compiled, once that has been said."""


def _sources() -> list[Path]:
    return sorted(ROOM.glob("*.py")) + [ROOM.parent / name for name in OTHERS]


def _stamps() -> list[tuple[int, int, int]]:
    """When each source was last written, without reading it."""
    return [(s.st_mtime_ns, s.st_ctime_ns, s.st_size) for s in map(os.stat, _sources())]


_IMPORTED = _stamps()


def root() -> Path:
    """The user's cache folder by the XDG rule; `NUMBA_CACHE_DIR`, where set, is respected as the root."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return Path(named) if named else cache_folder()


@functools.cache
def _digest() -> str:
    """Of sources, compiler, processor and settings; empty when the sources have changed since they were imported.

    Their new text does not say what this process would compile.
    """
    from llvmlite import binding

    processor = (binding.get_process_triple(), binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    settings = sorted(i for i in os.environ.items() if i[0].startswith("NUMBA_") and i[0] not in HARMLESS)
    built = (str(ROOM), sys.version, sys.flags.optimize, version("numba"), version("llvmlite"), processor, settings)
    digest = hashlib.sha256(repr(built).encode())
    for file in _sources():
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16] if _stamps() == _IMPORTED else ""


def folder() -> Path:
    """That of these sources: other source, other compiler, other processor, other folder."""
    return root() / f"{NAME}{_digest()}"


def file(kernel: Callable[..., Any]) -> Path:
    """Where the machine code of a kernel is kept."""
    return folder() / f"{kernel.__module__.rpartition('.')[2]}.{kernel.__qualname__}.kernel"


def holds(kernel: Callable[..., Any]) -> bool:
    """Whether the machine code of a kernel is here, sound or not."""
    return bool(_digest()) and file(kernel).is_file()


def missing() -> list[Callable[..., Any]]:
    """Kernels that Python calls and whose machine code is not here."""
    return [kernel for kernel in CALLED if not holds(kernel)]


def damaged() -> list[Callable[..., Any]]:
    """Kernels that Python calls and whose machine code is here, but is not what was written."""
    return [kernel for kernel in CALLED if holds(kernel) and _read(kernel) is None]


def refusal() -> str:
    """Why no machine code can be kept, as far as that is known without writing any; empty when nothing is known."""
    if not _digest():
        return "the program's files have changed since it began"
    place = next(place for place in (folder(), *folder().parents) if os.path.lexists(place))
    if not place.is_dir():
        return f"{place} is not a folder"
    return "" if os.access(place, os.W_OK | os.X_OK) else f"{place} is not writable"


def load(kernel: Callable[..., Any]) -> bytes | None:
    """What `keep` was given for a kernel; None: it has to be compiled."""
    if not holds(kernel):
        reason = refusal()
        if reason:
            warn_unkept(reason)
        return None
    code = _read(kernel)
    if code is None:
        drop(kernel, "is damaged or cannot be read")
    return code


def _read(kernel: Callable[..., Any]) -> bytes | None:
    """None where the file cannot be read or does not hold what was written."""
    try:
        kept = file(kernel).read_bytes()
    except OSError:
        return None
    return kept[SUM:] if hashlib.sha256(kept[SUM:]).digest() == kept[:SUM] else None


def keep(kernel: Callable[..., Any], code: bytes) -> None:
    """Keep the machine code of a kernel, or say why it cannot be kept."""
    reason = refusal()
    if not reason:
        try:
            with whole_file(file(kernel), told=False) as draft:
                draft.write_bytes(hashlib.sha256(code).digest() + code)
        except OSError as error:
            reason = error.strerror or str(error)
    if reason:
        warn_unkept(reason)


def drop(kernel: Callable[..., Any], why: str) -> None:
    """Delete the machine code of a kernel, and say so: it is compiled again."""
    place = file(kernel)
    _warn(f"the compiled kernel {place} {why}: it is compiled again, which takes up to a minute")
    try:
        place.unlink(missing_ok=True)
    except OSError as error:
        warn_unkept(error.strerror or str(error))


def warn_unkept(reason: str) -> None:
    """Say once that kernels are compiled for this process alone, and why."""
    if not _unkept:
        _unkept.append(reason)
        _warn(f"compiled code cannot be kept in {root()} ({reason}): compiling in memory takes a minute or so")


def unkept() -> str:
    """Why this process cannot keep what it compiles; empty when it can, as far as is known."""
    return _unkept[0] if _unkept else refusal()


def _warn(text: str) -> None:
    warnings.warn(text, CacheWarning, stacklevel=2)


def folders() -> list[Path]:
    """That of these sources and those of others, such as older versions."""
    return sorted(place for place in root().glob(f"{NAME}*") if place.is_dir() and not place.is_symlink())


def size(place: Path) -> int:
    """Bytes of a folder."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def clear() -> int:
    """Delete all that is kept; returns how many bytes that were. Raises UserError for what cannot be deleted."""
    freed = sum(map(size, folders()))
    for place in folders():
        try:
            shutil.rmtree(place)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"cannot be deleted ({reason})", str(place), "see who owns it") from None
    return freed
