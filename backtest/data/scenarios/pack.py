"""A pack of scenarios: one that comes with the package, by name, or a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from backtest.core.errors import UserError, nearest
from backtest.core.toml_lines import line_of
from backtest.data.scenarios.schema import CascadeEvent, PackFile, Scenario

FOLDER = Path(__file__).parent / "packs"
DEFAULT = "crashes"
"""The pack of a stress that names none."""
FLAG = "--scenario"


@dataclass(frozen=True)
class Pack:
    """Scenarios, and the text that they were read from."""

    name: str
    title: str
    scenarios: tuple[Scenario, ...]
    text: str

    def with_cascade(self, open_interest: float | None) -> Pack:
        """The pack with a cascade of every market in each scenario that moves prices and has none."""
        event = CascadeEvent.model_validate({"open_interest": open_interest})
        made = [
            one.model_copy(update={"cascade": (event,)}) if one.price and not one.cascade else one
            for one in self.scenarios
        ]
        return replace(self, scenarios=tuple(made))


def names() -> tuple[str, ...]:
    """Packs that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(named: str) -> Pack:
    """Read a pack; UserError, with file and line, for one that is not there or says what it may not."""
    path = Path(named)
    if not named.endswith(".toml"):
        path = FOLDER / f"{named}.toml"
        if named not in names():
            raise UserError(f"unknown pack {named!r}", FLAG, f"{nearest(named, names())}, or give a FILE.toml")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError("no such file", str(path), f"check {FLAG}") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", str(path), f"check {FLAG}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"not readable as TOML: {error}", str(path), "save it as UTF-8") from None
    return parsed(text, path.stem, str(path))


def parsed(text: str, name: str, place: str) -> Pack:
    """The pack of a text; ``place`` is the file that errors name."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"not readable as TOML: {error}", place, "correct the file") from None
    try:
        found = PackFile.model_validate(tree)
    except ValidationError as error:
        raise _complaint(error, text, tree, place) from None
    return Pack(name, found.title, found.scenario, text)


def _complaint(error: ValidationError, text: str, tree: dict[str, Any], place: str) -> UserError:
    """The first thing that is wrong, a misspelt key before what it leaves missing."""
    first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
    at = tuple(part for part in first["loc"] if not _is_schema(part))
    context: dict[str, Any] = first.get("ctx") or {}
    line = line_of(text, tuple(_written(at, tree)))
    key = str(at[-1]) if at else "the file"
    remedy = "correct the file"
    if first["type"] == "extra_forbidden":
        said, remedy = f"unknown key {key!r}", nearest(key, _keys(at[:-1]))
    elif first["type"] == "missing":
        said = f"{key} is missing"
    elif first["type"] == "wrong":
        named = (
            key if isinstance(at[-1] if at else "", str) else str(next((p for p in at[::-1] if isinstance(p, str)), ""))
        )
        said, remedy = f"{named}: {context['said']}".removeprefix(": "), str(context["remedy"])
    else:
        said = f"{key}: {first['msg'].removeprefix('Value error, ')}"
    return UserError(said, f"{place}:{line}", remedy)


def _is_schema(part: object) -> bool:
    """Whether a part of a place is a function of the checker and no key."""
    return isinstance(part, str) and ("[" in part or part in ("float", "str", "int"))


def _written(at: tuple[str | int, ...], tree: Any) -> Iterator[str | int]:
    """The place as the file has it: a table that is a list of one has no number there."""
    node = tree
    for part in at:
        if isinstance(part, int) and isinstance(node, dict):
            continue
        yield part
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None


def _keys(at: tuple[str | int, ...]) -> list[str]:
    """Keys of the table at a place."""
    kind: Any = PackFile
    for part in at:
        if isinstance(part, str) and isinstance(kind, type) and issubclass(kind, BaseModel):
            named = {info.alias or name: info for name, info in kind.model_fields.items()}
            kind = named[part].annotation if part in named else kind
        while get_origin(kind) is tuple:
            kind = get_args(kind)[0]
    known = kind.model_fields.items() if isinstance(kind, type) and issubclass(kind, BaseModel) else ()
    return sorted(info.alias or name for name, info in known)
