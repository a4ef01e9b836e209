"""What a download has got so far, kept beside the dataset until it is whole: `.NAME.fetch/`.

Every piece is written whole or not at all, so a download that was killed goes on where it stood.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from backtest.core import disk
from backtest.core.errors import UserError
from backtest.data.fetch.pieces import Piece
from backtest.data.fetch.plan import Plan

_PLAN = "plan.json"
_FORM = 1
"""Of what is kept; another number than this is thrown away."""


class Staging:
    """The pieces of one download."""

    def __init__(self, target: Path) -> None:
        self.folder = target.parent / f".{target.name}.fetch"

    def plan(self, asked: Mapping[str, object]) -> Plan | None:
        """Return the plan that an interrupted download of the same request made; None without one.

        Pieces of another request are removed.
        """
        disk.refuse_link(self.folder, "take it away")
        try:
            kept = json.loads((self.folder / _PLAN).read_text("utf-8"))
            if kept["form"] == _FORM and kept["asked"] == dict(asked):
                return Plan.from_json(kept["plan"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.remove()
        return None

    def begin(self, asked: Mapping[str, object], plan: Plan) -> None:
        """Keep the plan of a new download."""
        text = json.dumps({"form": _FORM, "asked": dict(asked), "plan": plan.as_json()})
        with self._writing(self.folder / _PLAN) as file:
            file.write_text(text, "utf-8")

    def has(self, piece: Piece) -> bool:
        """Whether a piece is there."""
        return self._file(piece).is_file()

    def save(self, piece: Piece, found: pl.DataFrame) -> None:
        """Keep a piece. Raises UserError when the disk does not take it."""
        packed = io.BytesIO()
        found.write_parquet(packed)
        with self._writing(self._file(piece)) as file:
            file.write_bytes(packed.getvalue())

    def load(self, piece: Piece) -> pl.DataFrame:
        """Return a piece that is there."""
        return pl.read_parquet(io.BytesIO(self._file(piece).read_bytes()))

    def remove_empty(self) -> None:
        """Remove a plan of which nothing has come yet."""
        if not any(self.folder.rglob("*.parquet")):
            self.remove()

    def remove(self) -> None:
        """Remove everything that is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, piece: Piece) -> Path:
        series, market, span = piece.name
        return self.folder / series / market / f"{span}.parquet"

    @contextmanager
    def _writing(self, file: Path) -> Iterator[Path]:
        try:
            with disk.whole_file(file, told=False) as draft:
                yield draft
        except OSError as error:
            remedy = "make room there, and run the same command again to go on"
            raise UserError(f"cannot be written ({error.strerror})", str(file.parent), remedy) from error
