"""Write files and folders whole or not at all: the one writer of everything that the program leaves on disk.

A write goes to a private draft beside its target, `.NAME.PID-N.partial`, is forced to the disk, and then takes the
target's name in one step, so that at every moment either the old or the new content lies there. The draft is locked
while its writer lives; a draft that nobody holds is left over from a killed process, and the next write to the same
target removes it.

Where the file system cannot exchange two names in one step, the old content is set aside as `.NAME.PID-N.old` for a
moment. A process that is killed in that moment leaves nothing at the target; `recover` puts the old content back.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from backtest.core.errors import Broken, UserError

try:
    import fcntl
except ImportError:  # Windows: no locks, so that leftovers stay where they are
    fcntl = None  # type: ignore[assignment]

PARTIAL, OLD = "partial", "old"
_AT_FDCWD, _EXCHANGE = -100, 2
"""Of Linux's renameat2(2)."""
ELSEWHERE = "choose another --out"
"""The remedy where what a command writes cannot lie at `--out`."""
_CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
_numbers = itertools.count(1)
_attempts: list[tuple[Path, tuple[int, int]]] = []
"""Targets with the device and inode of what was to take their place."""


def put_in_place() -> list[Path]:
    """Return the targets that hold what this process wrote there since `begin`.

    The file system is asked, so the answer is true whenever an interruption came.
    """
    return [target for target, identity in dict(_attempts).items() if _identity(target) == identity]


def begin() -> None:
    """Forget what was written so far: a command names only what it wrote itself."""
    _attempts.clear()


@contextmanager
def whole_folder(target: Path, told: bool = True) -> Iterator[Path]:
    """Give an empty folder to fill, and put it in place of ``target`` when the block ends without an exception.

    ``target`` is replaced whatever it holds: ask first whether it may be. ``told``: whether `put_in_place` names it.
    Raises OSError when it cannot be written.
    """
    with _draft(target, os.mkdir, told) as draft:
        yield draft


@contextmanager
def whole_file(target: Path, told: bool = True, lasting: bool = True) -> Iterator[Path]:
    """Give an empty file to write, and put it in place of ``target`` when the block ends without an exception.

    ``told``: whether `put_in_place` names it. ``lasting``: whether it is forced to the disk; what can be made again
    and shows its damage need not be. Raises OSError when it cannot be written.
    """
    with _draft(target, _touch, told, lasting) as draft:
        yield draft


def nameless_file(folder: Path) -> FileIO:
    """Open an empty file in ``folder`` that has no name: nobody else can open it, and nothing of it stays behind.

    Raises OSError when it cannot be made.
    """
    return tempfile.TemporaryFile(prefix=".backtest-", dir=folder, buffering=0)


def refuse_link(target: Path, remedy: str) -> None:
    """Raise UserError when ``target`` is a symbolic link: nothing is written through one."""
    if target.is_symlink():
        raise UserError("is a symbolic link, which is not written through", str(target), remedy)


def recover(target: Path) -> None:
    """Put back what a killed write had set aside from ``target``, and remove the drafts that no process holds."""
    with _locked(target.parent) as held:
        if not held:
            return
        for leftover in _leftovers(target):
            if leftover.name.endswith(OLD) and not os.path.lexists(target):
                leftover.rename(target)
            elif leftover.name.endswith(OLD) or _abandoned(leftover):
                _remove(leftover)


@contextmanager
def _draft(target: Path, make: Callable[[Path], None], told: bool = True, lasting: bool = True) -> Iterator[Path]:
    above = target.parent
    above.mkdir(parents=True, exist_ok=True)
    recover(target)
    draft = above / f".{target.name}.{os.getpid()}-{next(_numbers)}.{PARTIAL}"
    holder = None
    try:
        with _locked(above):
            make(draft)  # made here and now, or refused: nobody else's file, and no link
            holder = _hold(draft)
        yield draft
        if lasting:
            _sync(draft)
        _place(draft, target, told)
    finally:
        _remove(draft)  # what is left of it, or the old content that it changed places with
        if holder is not None:
            os.close(holder)


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))


def _place(draft: Path, target: Path, told: bool) -> None:
    """Let ``draft`` take the target's name. ``told``: whether `put_in_place` names it."""
    identity = _identity(draft)
    if identity is None:
        raise Broken(f"the draft {draft} is gone")
    if told:
        _attempts.append((target, identity))
    with _locked(target.parent):
        if not os.path.lexists(target):
            draft.rename(target)
        elif target.is_file() and draft.is_file():
            draft.replace(target)
        elif not _exchange(draft, target):
            old = draft.with_name(draft.name.removesuffix(PARTIAL) + OLD)
            target.rename(old)
            try:
                draft.rename(target)
            except BaseException:
                if not os.path.lexists(target):
                    old.rename(target)
                raise
            _remove(old)
    _sync_one(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where the system or the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None
    if library is None or not hasattr(library, "renameat2"):
        return False
    if library.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _sync(draft: Path) -> None:
    """Force the draft and all in it to the disk, what it holds before what names it."""
    for folder, _, files in os.walk(draft, topdown=False):
        for name in files:
            _sync_one(Path(folder, name))
        _sync_one(Path(folder))
    if draft.is_file():
        _sync_one(draft)


def _sync_one(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the lock on ``folder`` that orders the starts, ends and removals of drafts in it; False: there are none."""
    if fcntl is None:
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int) -> bool:
    """Lock an open file or folder; False where another process holds it, or the file system has no locks."""
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        return False
    return True


def _hold(draft: Path) -> int | None:
    """Lock ``draft`` for as long as the returned descriptor is open, so that others see its writer alive."""
    if fcntl is None:
        return None
    descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
    _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _abandoned(draft: Path) -> bool:
    """Whether no process holds ``draft``."""
    descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return _lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def _leftovers(target: Path) -> list[Path]:
    """Drafts of ``target`` and what was set aside from it: our own files and folders by their names, never links."""
    named = re.compile(rf"\.{re.escape(target.name)}\.\d+-\d+\.({PARTIAL}|{OLD})")
    found = []
    for entry in os.scandir(target.parent):
        if not named.fullmatch(entry.name):
            continue
        status = entry.stat(follow_symlinks=False)
        plain = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
        if plain and status.st_uid == os.geteuid():
            found.append(Path(entry.path))
    return sorted(found)


def _remove(path: Path) -> None:
    """Remove a file or a folder; what cannot be removed now is removed by the next write to the same target."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif os.path.lexists(path):
            path.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what lies at ``path``; None: nothing does."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
