"""A panel in one file, mapped into memory: blocks of rows, each as a chunk of the panel is, and what was counted.

The blocks come first, then a description in JSON, and its length and CRC-32 at the very end, so that a file which was
cut off has none. Each block has the sum of its words in the description: any single damaged word changes it.
"""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backtest.data.derived_marks import Stretch
from backtest.data.panel import Chunk

MAGIC = b"BTPANEL1"
END = struct.Struct("<QI8s")
"""Length of the description, its CRC-32, and the magic word."""


@dataclass(frozen=True)
class Counted:
    """What was counted of one symbol's rows while they were read."""

    derived: int
    frozen: int
    idle: int
    short: int


@dataclass(frozen=True)
class PanelNotes:
    """What a panel says beside its prices."""

    fields: int
    """Of prices; a panel with volume has one more."""
    volume: bool
    rows: int
    symbols: int
    block_rows: int
    derives: bool
    """Whether any mark was derived."""
    counted: tuple[Counted, ...]
    stretches: tuple[Stretch, ...]

    @property
    def size(self) -> int:
        """Bytes of all blocks."""
        return 8 * (self.fields + self.volume) * self.rows * self.symbols


@dataclass(frozen=True)
class Panel:
    """A mapped panel. Its pages are shared by all processes that map the same file."""

    notes: PanelNotes
    words: NDArray[np.float64]
    """All blocks, one behind the other. Writing to it copies the page for this process alone."""
    mapping: mmap.mmap
    """What they lie in."""

    def block(self, number: int) -> NDArray[np.float64]:
        """[fields + volume, rows of the block, symbols], contiguous."""
        n = self.notes
        fields = n.fields + n.volume
        begin = number * n.block_rows
        rows = min(n.block_rows, n.rows - begin)
        start = begin * fields * n.symbols
        return self.words[start : start + rows * fields * n.symbols].reshape(fields, rows, n.symbols)

    def release(self, number: int) -> None:
        """Give back the memory of a block that has been read: it is read again from the file when it is needed."""
        if hasattr(self.mapping, "madvise"):
            n = self.notes
            size = 8 * (n.fields + n.volume) * n.symbols * n.block_rows
            start = number * size // mmap.PAGESIZE * mmap.PAGESIZE
            self.mapping.madvise(mmap.MADV_DONTNEED, start, min((number + 1) * size, n.size) - start)

    def rows(self, start: int, stop: int, fields: slice, out: NDArray[np.float64]) -> None:
        """Copy these fields of rows into ``out`` [fields, stop − start, symbols]."""
        for number in range(start // self.notes.block_rows, -(-stop // self.notes.block_rows)):
            begin = number * self.notes.block_rows
            low, high = max(start, begin), min(stop, begin + self.notes.block_rows)
            out[:, low - start : high - start] = self.block(number)[fields, low - begin : high - begin]
            self.release(number)

    def column(self, field: int, symbol: int, rows: int) -> NDArray[np.float64]:
        """The first ``rows`` rows of one field of one symbol."""
        out, size = np.empty(rows), self.notes.block_rows
        for number in range(-(-rows // size)):
            part = out[number * size : (number + 1) * size]
            part[:] = self.block(number)[field, : len(part), symbol]
            self.release(number)
        return out

    def chunk(self, start: int, rows: int, tail: int, volume: bool, packed: bool, spare: int) -> Chunk:
        """Rows as `Selection.chunks` gives them; a whole block as it lies, anything else copied."""
        n = self.notes
        stop, back = min(start + rows, n.rows), min(tail, start)
        number, inside = divmod(start, n.block_rows)
        if not (back or spare or inside) and stop == min(start + n.block_rows, n.rows):
            whole = self.block(number)
            if number:
                self.release(number - 1)  # the chunk before this one, which nobody replays any more
            amounts = whole[n.fields] if volume or packed else None
            return Chunk(start, 0, whole[: n.fields + packed], amounts)
        shape = stop - start + back, n.symbols
        panel = np.empty((n.fields + packed + spare, *shape))
        self.rows(start - back, stop, slice(n.fields + packed), panel[: n.fields + packed])
        amounts = panel[n.fields] if packed else None
        if volume and not packed:
            apart = np.empty((1, *shape))
            self.rows(start - back, stop, slice(n.fields, n.fields + 1), apart)
            amounts = apart[0]
        return Chunk(start, back, panel, amounts)


def write(path: Path, blocks: Iterable[NDArray[np.float64]], describe: Callable[[], PanelNotes]) -> None:
    """Write blocks and then what ``describe()`` gives, a :class:`PanelNotes`, once all have been read."""
    sums = []
    with path.open("wb") as file:
        for block in blocks:
            whole = np.ascontiguousarray(block)
            sums.append(_sum(whole))
            file.write(whole.data.cast("B") if whole.size else b"")
        text = json.dumps({**asdict(describe()), "sums": sums}).encode()
        file.write(text + END.pack(len(text), zlib.crc32(text), MAGIC))


def read(path: Path) -> Panel | None:
    """Map a panel; None where the file is not whole, or a block is not what was written. OSError as usual."""
    size = path.stat().st_size
    if size < END.size:
        return None
    with path.open("rb") as file:
        file.seek(size - END.size)
        length, crc, magic = END.unpack(file.read(END.size))
        if magic != MAGIC or length + END.size > size:
            return None
        file.seek(size - END.size - length)
        text = file.read(length)
        if zlib.crc32(text) != crc:
            return None
        told = json.loads(text)
        sums = told.pop("sums")
        told["counted"] = tuple(Counted(**one) for one in told["counted"])
        told["stretches"] = tuple(Stretch(**stretch) for stretch in told["stretches"])
        notes = PanelNotes(**told)
        if notes.size + length + END.size != size:
            return None
        mapping = mmap.mmap(file.fileno(), notes.size, access=mmap.ACCESS_COPY)
    panel = Panel(notes, np.frombuffer(mapping), mapping)
    return panel if all(_whole(panel, n, total) for n, total in enumerate(sums)) else None


def _whole(panel: Panel, number: int, total: int) -> bool:
    """Whether a block is what was written."""
    same = _sum(panel.block(number)) == total
    panel.release(number)
    return same


def _sum(block: NDArray[np.float64]) -> int:
    return int(np.add.reduce(block.reshape(-1).view(np.uint64), dtype=np.uint64))
