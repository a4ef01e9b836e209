"""The file operations of a command, one after another: counted, and one of them made to fail or to be the last.

Python tells an audit hook of what it does to files before it does it, and an exception of the hook is the operation's
own. What it does not tell of (forcing to the disk, exchanging names, Polars' writing) is wrapped. What is written
beyond some size is stopped by the system itself, inside any library: a signal that kills, or an error.
"""

from __future__ import annotations

import errno
import functools
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from backtest.core import disk

EVENTS = {
    "open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "os.truncate", "os.link",
    "os.symlink", "os.chmod", "shutil.rmtree",
}  # fmt: skip
KILL = "kill"
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES, "EROFS": errno.EROFS}
KILLED = 9
"""Exit code of a process that was killed at an operation."""


class Operations:
    """Counts the operations inside a folder from `watch` on; the one numbered ``at`` has the fault ``how``."""

    def __init__(self, folder: Path, at: int = 0, how: str = KILL, stays: bool = False) -> None:
        self.folder, self.at, self.how = str(folder.resolve()), at, how
        self.stays = stays
        """Whether all operations after it fail too, as on a full disk."""
        self.count = 0

    def watch(self) -> None:
        """Begin; there is no end but that of the process."""
        sys.addaudithook(self._told)
        self._wrap(disk, "_exchange")
        self._wrap(os, "fsync")
        self._wrap(pl.DataFrame, "write_parquet")

    def _told(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and self._inside(arguments):
            self._one(event)

    def _inside(self, arguments: tuple[Any, ...]) -> bool:
        place = arguments[0]
        if not isinstance(place, str | bytes | os.PathLike):
            return not isinstance(place, int)  # a descriptor is of what was opened, and counted, before
        path = Path.cwd() / os.fsdecode(place)
        return str(path).startswith(self.folder)

    def _one(self, event: str) -> None:
        self.count += 1
        if self.count == self.at or (self.stays and 0 < self.at < self.count):
            if self.how == KILL:
                os._exit(KILLED)
            number = ERRORS[self.how]
            raise OSError(number, os.strerror(number), event)

    def _wrap(self, owner: Any, name: str) -> None:
        plain: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(plain)
        def counted(*arguments: Any, **named: Any) -> Any:
            self._one(name)
            return plain(*arguments, **named)

        setattr(owner, name, counted)


def bound(size: int, kills: bool) -> None:
    """Let no file of this process grow beyond ``size`` bytes: what writes on is killed, or gets an error."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if kills else signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
