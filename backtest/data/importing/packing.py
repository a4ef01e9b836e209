"""Files in other files: gzip, Zstandard, LZ4 and ZIP; and what a file is, told by its first bytes."""

from __future__ import annotations

import gzip
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO

import pyarrow as pa

from backtest.core.errors import UserError

HEAD = 262_144
"""Bytes of a file that are looked at before anything is decided."""
_MAGIC = (
    (b"PAR1", "parquet"), (b"ARROW1", "feather"), (b"\xff\xff\xff\xff", "feather"), (b"SQLite format 3", "sqlite"),
    (b"\x1f\x8b", "gz"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\x28\xb5\x2f\xfd", "zst"),
    (b"\x04\x22\x4d\x18", "lz4"),
)  # fmt: skip
PACKED = ("gz", "zst", "lz4", "zip")
SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json",
    ".parquet": "parquet", ".pq": "parquet", ".feather": "feather", ".ftr": "feather", ".arrow": "feather",
    ".ipc": "feather", ".sqlite": "sqlite", ".sqlite3": "sqlite", ".duckdb": "duckdb",
    ".gz": "gz", ".zst": "zst", ".lz4": "lz4", ".zip": "zip",
}  # fmt: skip
"""What a name promises. `.db` promises a database of either kind."""
WORDS = {
    "csv": "CSV", "json": "JSON", "parquet": "a Parquet file", "feather": "a Feather (Arrow) file",
    "sqlite": "an SQLite database", "duckdb": "a DuckDB database", "gz": "a gzip file", "zip": "a ZIP archive",
    "zst": "a Zstandard file", "lz4": "an LZ4 file", "html": "an HTML page", "binary": "no table",
}  # fmt: skip


@dataclass(frozen=True)
class Packed:
    """One file as it lies on disk, or inside another one."""

    path: Path
    packing: str
    """One of `PACKED`, or empty."""
    member: str
    """Name inside of a ZIP archive."""

    @property
    def name(self) -> str:
        """Its name without the ending of its packing."""
        if self.member:
            return Path(self.member).name
        return self.path.stem if self.packing else self.path.name

    @property
    def place(self) -> str:
        """How errors name it."""
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Give its unpacked bytes; UserError where they cannot be read."""
        try:
            with self._stream() as stream:
                yield stream
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UserError(f"cannot be read ({said})", self.place, "fetch or write the file again") from None

    def head(self) -> tuple[bytes, bool]:
        """The first bytes, and whether these are all."""
        with self.opened() as stream:
            head = stream.read(HEAD + 1)
        return head[:HEAD], len(head) <= HEAD

    def unpacked(self, scratch: Path) -> Path:
        """A file with the unpacked bytes: the file itself, or a copy in ``scratch``."""
        if not self.packing:
            return self.path
        copy = scratch / f"{len(list(scratch.iterdir()))}-{self.name}"
        with self.opened() as stream, copy.open("wb") as target:
            shutil.copyfileobj(stream, target, 1 << 20)
        return copy

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        if self.packing == "zip":
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
                yield stream
        elif self.packing == "gz":
            with gzip.open(self.path) as stream:
                yield stream  # type: ignore[misc]
        elif self.packing == "lz4":
            try:
                frame = import_module("lz4.frame")
            except ImportError:
                remedy = 'install it with: pip install "perp-backtest[import]"'
                raise UserError("LZ4 files need the package lz4", str(self.path), remedy) from None
            with frame.open(self.path) as stream:
                yield stream
        elif self.packing == "zst":
            with pa.input_stream(str(self.path), compression="zstd") as stream:
                yield stream
        else:
            with self.path.open("rb") as stream:
                yield stream


def parts(path: Path) -> list[Packed]:
    """What a file holds: itself, or the members of a ZIP archive. UserError for an empty or unreadable one."""
    kind = told_by(_first(path))
    if kind == "zip":
        try:
            with zipfile.ZipFile(path) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir() and info.file_size]
        except zipfile.BadZipFile as error:
            raise UserError(f"not a whole ZIP archive ({error})", str(path), "fetch the file again") from None
        names = [name for name in names if not Path(name).name.startswith(".") and "__MACOSX" not in name]
        if not names:
            raise UserError("the archive is empty", str(path), "leave it out, or fetch it again")
        return [Packed(path, "zip", name) for name in sorted(names)]
    return [Packed(path, kind if kind in PACKED else "", "")]


def _first(path: Path) -> bytes:
    try:
        if path.stat().st_size == 0:
            raise UserError("the file is empty", str(path), "leave it out, or fetch it again")
        with path.open("rb") as stream:
            return stream.read(4_096)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", str(path), "check the name") from None


def told_by(head: bytes) -> str:
    """What a file is by its first bytes: a key of `WORDS`."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[8:12] == b"DUCK":
        return "duckdb"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if b"\0" in head[:1_024]:
        return "binary"
    if text[:1] in (b"[", b"{"):
        return "json"
    return "html" if text[:1] == b"<" else "csv"


def check_name(packed: Packed, kind: str, asked: str | None) -> None:
    """Raise UserError where a file is not what its name, or `--format`, says."""
    promised = SUFFIXES.get(Path(packed.name).suffix.lower())
    if kind in ("html", "binary"):
        said = f"this is {WORDS[kind]}" if kind == "html" else "this is no table that is known"
        raise UserError(said, packed.place, "fetch the file again, or export it as CSV or Parquet")
    if asked in WORDS and asked != kind:
        raise UserError(
            f"this is {WORDS[kind]}, not {WORDS[str(asked)]}",
            packed.place,
            f"leave --format out, or write --format {kind}",
        )
    if asked not in WORDS and promised in WORDS and promised != kind and promised not in PACKED:
        remedy = f"rename it, or say --format {kind}"
        raise UserError(f"its name says {WORDS[str(promised)]}, but this is {WORDS[kind]}", packed.place, remedy)
