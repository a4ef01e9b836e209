"""A private file for what a run produces and does not hold in memory."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from tempfile import gettempdir
from threading import Lock
from weakref import finalize

from backtest.core import disk
from backtest.core.errors import Broken, UserError


class Spool:
    """A file without a name, made when the first bytes come: it is gone with the process, however that ends."""

    def __init__(self, folder: Path | None = None, held: int = 0) -> None:
        """``folder``: where the file lies, once it is there; None: in the system's folder of temporary files.

        ``held``: bytes that stay in memory before there is a file.
        """
        self._folder, self._most = folder, held
        self._file: FileIO | None = None
        self._end = 0
        self._starts: list[int] = []
        self._held: list[memoryview] = []
        """Buffers that have stayed in memory, and the offset of each."""
        self._lock = Lock()

    @classmethod
    def beside(cls, out: str | None, held: int = 0) -> Spool:
        """Return a spool on the disk of a report's folder, or in the system's folder of temporary files."""
        return cls(None if out is None else Path(out).absolute().parent, held)

    def put(self, data: memoryview) -> int:
        """Append a contiguous buffer, which must not change, and return its offset.

        UserError where the disk does not take it.
        """
        block = data.cast("B")
        with self._lock:
            at, self._end = self._end, self._end + block.nbytes
            if self._end <= self._most:
                self._starts.append(at)
                self._held.append(block)
                return at
            self._most = 0  # what follows is in the file, at the same offsets
        self.write(block, at)
        return at

    def claim(self, size: int) -> int:
        """Return the offset of so many bytes of the file that nobody else writes."""
        with self._lock:
            at, self._end, self._most = self._end, self._end + size, 0
        return at

    def write(self, data: memoryview, offset: int) -> None:
        """Write a contiguous buffer to a place that was claimed; UserError where the disk does not take it."""
        block = data.cast("B")
        kept = self._kept(offset, block.nbytes)
        if kept is not None:
            kept[:] = block
            return
        with self._lock, self._told("written"):
            if self._file is None:
                self._file = disk.nameless_file(self._place)
                finalize(self, self._file.close)
            self._file.seek(offset)
            done = 0
            while done < block.nbytes:
                done += self._file.write(block[done:]) or 0

    def held(self, offset: int, size: int) -> memoryview | None:
        """Return so many bytes at ``offset`` where they have stayed in memory; not to be changed."""
        kept = self._kept(offset, size)
        return None if kept is None else kept.toreadonly()

    def _kept(self, offset: int, size: int) -> memoryview | None:
        n = bisect_right(self._starts, offset) - 1
        if n < 0 or offset + size > self._starts[n] + self._held[n].nbytes:
            return None
        begin = offset - self._starts[n]
        return self._held[n][begin : begin + size]

    def fill(self, target: memoryview, offset: int) -> None:
        """Fill a contiguous buffer with what lies at ``offset``."""
        block = target.cast("B")
        kept = self.held(offset, block.nbytes)
        if kept is not None:
            block[:] = kept
            return
        with self._lock, self._told("read"):
            if self._file is None or offset + block.nbytes > self._end:
                raise Broken(f"{block.nbytes} bytes at {offset} of a spool of {self._end}")
            self._file.seek(offset)
            done = 0
            while done < block.nbytes:
                count = self._file.readinto(block[done:])
                if not count:
                    raise OSError(0, "it has become shorter")
                done += count

    @property
    def _place(self) -> Path:
        return self._folder if self._folder is not None and self._folder.is_dir() else Path(gettempdir())

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            thing = f"what the run keeps on disk cannot be {what} ({error.strerror or os.strerror(error.errno or 0)})"
            raise UserError(thing, str(self._place), "free space there, or set TMPDIR to another folder") from error
