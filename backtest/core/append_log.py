"""A file of lines that are added one by one, each whole or not at all: what a killed process had written is kept.

Each line has the CRC-32 of its text in front. One process at a time adds to a file; it holds a lock on it.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from backtest.core.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: no locks
    fcntl = None  # type: ignore[assignment]

SYNC_EVERY = 64
"""Lines after which the file is forced to the disk; a power failure may lose the ones after."""


class AppendLog:
    """The file, open for adding. UserError where another process has it open; OSError where it cannot be written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        self._waiting = 0
        try:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise UserError("another process is writing here", str(path.parent), "wait for it, or end it") from None
        self.lines, end = _whole_lines(path.read_bytes())
        """The texts that were there when it was opened."""
        os.ftruncate(self._file, end)
        os.lseek(self._file, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, text: str) -> None:
        """Add a line; ``text`` has no line break. It survives a kill of this process from now on."""
        line = memoryview(_line(text))
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError:
            os.ftruncate(self._file, end)  # half a line on a full disk
            raise
        self._waiting += 1
        if self._waiting >= SYNC_EVERY:
            self.sync()

    def sync(self) -> None:
        """Force what was added to the disk."""
        os.fsync(self._file)
        self._waiting = 0

    def close(self) -> None:
        """Force what was added to the disk and give up the lock."""
        if self._file >= 0:
            try:
                self.sync()
            finally:
                os.close(self._file)
                self._file = -1


def read_lines(path: Path) -> list[str]:
    """The whole lines of a file; none where there is no file."""
    try:
        return _whole_lines(path.read_bytes())[0]
    except FileNotFoundError:
        return []


def _line(text: str) -> bytes:
    body = text.encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _whole_lines(content: bytes) -> tuple[list[str], int]:
    """The sound lines, and where the last line ends; one that is damaged in between is left out."""
    *whole, _torn = content.split(b"\n")
    lines = []
    for line in whole:
        crc, _, body = line.partition(b" ")
        if crc == b"%08x" % zlib.crc32(body):
            lines.append(body.decode())
    return lines, sum(len(line) + 1 for line in whole)
