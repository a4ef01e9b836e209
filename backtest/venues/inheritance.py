"""A venue file with what it extends, put together, and where each key of the result was written.

A file that `extends` another is laid over it: a key replaces the key, a table is laid over the table. Dated tables
(`DATED`, as `[[margin]]` and `[[fees]]`) are matched by their date: one without `from` changes every table that is
there, one with the date of a table changes that table, and one with its own date begins as a copy of the one that
held until then. What is changed counts as assumed, unless the table says its status.
"""

from __future__ import annotations

import datetime as dt
import functools
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from backtest.core.errors import UserError, nearest, printable
from backtest.core.toml_lines import line_of
from backtest.venues.field_types import instant_ms
from backtest.venues.market_tables import MarketTables

PRESETS = Path(__file__).parent / "presets"
DATED = ("margin", "liquidation", "fees", "orders", "default_leverage")
OWN = ("name", "aliases", "about", "extends")
"""Keys that are not inherited: a changed venue is not the venue, and must not pass for it."""
INSTEAD = {
    "tiers": ("margin", "default_class"),
    "margin": ("tiers", "default_class"),
    "default_class": ("tiers", "margin"),
}
"""Keys that say the same thing: who gives one of them does not inherit the others."""
ABOUT = ("from", "until", "rule", "source", "note", "assumed", "derived")
"""Keys of a dated table that are no figures."""
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class File:
    """A text and what it is called in a message."""

    place: str
    text: str

    def at(self, path: Place) -> str:
        """``file:line`` of the key at ``path``."""
        return f"{self.place}:{line_of(self.text, path)}"


@dataclass(frozen=True)
class Node:
    """A value of the file put together: tables and lists hold nodes. It was written at ``path`` of ``file``."""

    value: Any
    file: File
    path: Place

    @property
    def table(self) -> dict[str, Node]:
        """Its keys; none if it is no table."""
        return self.value if isinstance(self.value, dict) else {}


def grown(value: Any, file: File, path: Place = ()) -> Node:
    """A parsed TOML value as nodes."""
    if isinstance(value, dict):
        return Node({key: grown(below, file, (*path, key)) for key, below in value.items()}, file, path)
    if isinstance(value, list):
        return Node([grown(below, file, (*path, n)) for n, below in enumerate(value)], file, path)
    return Node(printable(value) if isinstance(value, str) else value, file, path)


def plain(node: Node) -> Any:
    """The values alone."""
    if isinstance(node.value, dict):
        return {key: plain(below) for key, below in node.value.items()}
    return [plain(below) for below in node.value] if isinstance(node.value, list) else node.value


def where(node: Node, path: Place) -> str:
    """``file:line`` of what stands at ``path`` of the file put together, or of the nearest table around it."""
    for n, part in enumerate(path):
        inside = node.value
        known = part in inside if isinstance(inside, dict) else isinstance(inside, list) and part in range(len(inside))
        if not known:
            return node.file.at((*node.path, *path[n:]))
        node = inside[part]
    return node.file.at(node.path)


def opened(
    name_or_path: str | Path, beside: Path | None = None, place: str = "", shelf: Shelf | None = None
) -> tuple[File, Path]:
    """The text of a venue by name, or of a TOML file by path, which may be relative to the folder ``beside``.

    Raises `UserError` for an unknown name and for a file that cannot be read; ``place`` is where it was asked for.
    Another ``shelf`` than the venues' has other names.
    """
    shelf = shelf or VENUES
    text = str(name_or_path)
    if isinstance(name_or_path, str) and not text.endswith(".toml") and not {"/", "\\"} & set(text):
        name = shelf.canonical(text)
        if name is None:
            near = f"{nearest(text, (*shelf.names(), *shelf.aliases()))} (or give a FILE.toml)"
            raise UserError(f"unknown {shelf.noun} {text!r}", place or shelf.noun, near)
        path = shelf.folder / f"{name}.toml"
    else:
        path = (beside or Path()) / name_or_path
        if not path.is_file():
            asked = str(path) if beside is None else f"{place}: {path}"
            remedy = f"pass a TOML file, or a name: {', '.join(shelf.names())}"
            raise UserError(f"no such {shelf.noun} file", asked, remedy)
    try:
        return File(str(path), path.read_text(encoding="utf-8")), path
    except UnicodeDecodeError as error:
        raise UserError(f"not readable as TOML: {error}", str(path), "correct the file") from error
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", str(path), "check its permissions") from error


def whole(file: File, path: Path | None, shelf: Shelf | None = None, seen: tuple[Path, ...] = ()) -> Node:
    """The file with all that it extends laid below it, as files of its ``shelf`` (the venues', unless told) are."""
    shelf = shelf or VENUES
    try:
        # Decimals stay decimals: 0.05 as a double is not a twentieth, and the difference would reach a deduction.
        root = grown(tomllib.loads(file.text, parse_float=Decimal), file)
    except (tomllib.TOMLDecodeError, InvalidOperation) as error:
        raise UserError(f"not readable as TOML: {error}", file.place, "correct the file") from error
    except RecursionError:
        raise UserError("not readable as TOML: nested too deeply", file.place, "write plain tables") from None
    base = root.table.get("extends")
    own = Node({key: node for key, node in root.value.items() if key != "extends"}, file, ())
    if base is None:
        return own
    place = file.at(("extends",))
    if not isinstance(base.value, str):
        raise UserError("extends is not a name or a file", place, 'write extends = "NAME"')
    seen = (*seen, path.resolve()) if path else seen
    below, next_path = opened(base.value, path.parent if path else Path(), place, shelf)
    if next_path.resolve() in seen:
        raise UserError(f"extends comes back to {base.value!r}", place, "let one of the files stand alone")
    inherited = whole(below, next_path, shelf, seen)
    kept = {key: node for key, node in inherited.value.items() if key not in OWN}
    return shelf.lay(Node(kept, inherited.file, inherited.path), own)


def laid_on_venue(old: Node, new: Node) -> Node:
    """The venue ``new`` over ``old``; tables that ``old`` keeps in its file of terms are there to be changed."""
    terms = old.table.get("terms")
    named = old.table.get("symbols") or grown({}, old.file, ("symbols",))
    asked = set(new.table["symbols"].table if "symbols" in new.table else ()) - set(named.table)
    if terms is None or "file" not in terms.table or not asked:
        return laid(old, new)
    listed = {name: tables for name in sorted(asked) if (tables := _listed(old, terms.table["file"], name))}
    with_tables = Node({**named.value, **listed}, named.file, named.path)
    return laid(Node({**old.value, "symbols": with_tables}, old.file, old.path), new)


def _listed(venue: Node, file: Node, name: str) -> Node | None:
    """The margin tables of a market in a file of terms, as the venue's TOML file would have them."""
    said = plain(venue)
    tables = MarketTables.of(said["terms"], Path(file.file.place).parent, said.get("quote", ""), said.get("chain"))
    found = tables.find(name)
    if found is None or not all("rule" in table for table in found.tables):
        return None
    return grown({"margin": found.tables}, File(str(tables.path), ""), ("symbols", name))


def laid(old: Node, new: Node) -> Node:
    """The node ``new`` over ``old``."""
    if not (isinstance(old.value, dict) and isinstance(new.value, dict)):
        return new
    dropped = {key for given in new.value for key in INSTEAD.get(given, ())} - set(new.value)
    out = {key: node for key, node in old.value.items() if key not in dropped}
    for key, node in new.value.items():
        if key in DATED and key in out:
            out[key] = _dated(out[key], node)
        else:
            out[key] = laid(out[key], node) if key in out else node
    return Node(out, new.file, new.path)


def _dated(old: Node, new: Node) -> Node:
    """A list of dated tables over another one."""
    if not (isinstance(old.value, list) and isinstance(new.value, list)):
        return new
    out: list[Node] = list(old.value)
    for change in new.value:
        since = _since(change)
        same = [n for n, table in enumerate(out) if since is None or _since(table) == since]
        if same:
            out = [_changed(table, change) if n in same else table for n, table in enumerate(out)]
            continue
        earlier = [table for table in out if (_since(table) or 0) <= (since or 0)]
        copied = max(earlier, key=lambda table: _since(table) or 0, default=None)
        out.append(_changed(copied, change, fresh=True) if copied else change)
    return Node(out, new.file, new.path)


def _since(table: Node) -> int | None:
    """The first instant of a dated table, ms; None: since ever, or not a date."""
    since = table.table.get("from")
    return instant_ms(since.value) if since and isinstance(since.value, dt.date) else None


def _changed(table: Node, change: Node, fresh: bool = False) -> Node:
    """A dated table with some keys changed; of another rule nothing is inherited. ``fresh``: it begins a new date."""
    if not change.table or ("rule" in change.table and _rule(change) != _rule(table)):
        return change
    over = dict(laid(table, change).value)
    if fresh and "until" not in change.table:
        over.pop("until", None)
    if "status" not in change.table:
        over["assumed"] = _assumed(table, change)
    return Node(over, change.file, change.path)


def _rule(table: Node) -> Any:
    return table.table["rule"].value if "rule" in table.table else "tiers"


def _assumed(table: Node, change: Node) -> Node:
    """What the table assumed, and what the change changes: a value put in by hand is nobody's figure."""
    before = change.table.get("assumed") or table.table.get("assumed")
    if before and not isinstance(before.value, list):
        return before
    named = [node.value for node in before.value] if before else []
    added = [key for key in change.value if key not in ABOUT and key not in named]
    return grown([*named, *added], change.file, change.path)


@functools.cache
def _aliases(file: Path) -> tuple[str, ...]:
    """Other names that a file which comes with the package gives itself."""
    return tuple(tomllib.loads(file.read_text("utf-8")).get("aliases", ()))


@dataclass(frozen=True)
class Shelf:
    """Where files of a kind come with the package, and how one of them is laid over another."""

    noun: str
    folder: Path
    lay: Callable[[Node, Node], Node]

    def names(self) -> list[str]:
        """Of the files that come with the package."""
        return sorted(file.stem for file in self.folder.glob("*.toml"))

    def aliases(self) -> dict[str, str]:
        """Return the names of those files by the other names that they give themselves (`aliases`)."""
        return {alias: name for name in self.names() for alias in _aliases(self.folder / f"{name}.toml")}

    def canonical(self, asked: str) -> str | None:
        """Return the name of the file that comes with the package, by its name or an alias; None: none."""
        return asked if asked in self.names() else self.aliases().get(asked)


VENUES = Shelf("venue", PRESETS, laid_on_venue)
