"""Changes to a sound tree of keys and values (a venue, a chain, a book, a manifest), and to the text made of it.

Each change says whether the documents forbid what comes of it, so that a silent acceptance is noticed.
"""

from __future__ import annotations

import copy
import datetime as dt
import functools
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from backtest.calculator.book import KEYS
from backtest.venues.chain_schema import ChainSheet
from backtest.venues.venue_schema import VenueSchema
from tests.campaign import toml

Place = tuple[str | int, ...]
FREE = ("sources", "symbols", "classes", "markets", "discounts", "regimes", "fees_by")
"""Tables in which any key is a name."""
RATES = ("initial", "maintenance", "penalty", "scan_initial", "scan_maintenance")
ODD = (0, -1, 1, 2, 1e-9, 1e9, 1e15, 1e300, -1e300, 2**53, 2**63, 2**64, 5e-324)
WORDS = ("", " ", "x", "\x1b[31mred", "a" * 5000, "é", "../../x", "1e999", "nan", "\u202e", "BTC-USD", "max")
UNKNOWN = "no_such_key"


@dataclass(frozen=True)
class Made:
    """A file made by changes: its content, what was changed, and why it may not be accepted (empty: it may)."""

    content: bytes
    changes: str
    forbidden: str = ""


def places(tree: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every value inside a tree, with its place."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield (*at, key), value
        yield from places(value, (*at, key))


def holder(tree: Any, place: Place) -> Any:
    """The table or list that holds a place."""
    for key in place[:-1]:
        tree = tree[key]
    return tree


def changed(rng: random.Random, sound: list[dict[str, Any]], as_json: bool = False) -> Made:
    """A file of one of the sound trees with one to three changes, or with a change to its text."""
    tree = copy.deepcopy(rng.choice(sound))
    told, forbidden = [], []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        change = rng.choice(CHANGES)
        said = change(rng, tree, sound)
        if said is not None:
            told.append(said[0])
            forbidden.append(said[1])
    # A later change may undo what an earlier one did, so that several forbid nothing for sure.
    why = forbidden[0] if len(forbidden) == 1 else ""
    written = json.dumps(tree, default=str) if as_json else toml.text(tree)
    content = written.encode("utf-8", "surrogatepass")
    if rng.random() < 0.15:
        content, said_of_text, why = _of_text(rng, content, why)
        told.append(said_of_text)
    return Made(content, ", ".join(told) or "as it was", why)


Said = tuple[str, str] | None


def _nudge(rng: random.Random, tree: Any, sound: Any) -> Said:
    """A number a little other: it mostly stays sound."""
    found = _numbers(tree)
    if not found:
        return None
    place, value = rng.choice(found)
    new = value * rng.choice((0.5, 0.9, 1.1, 2)) if isinstance(value, float) else value + rng.choice((-1, 1, 10))
    holder(tree, place)[place[-1]] = new
    return f"{_at(place)} = {new}", ""


def _odd_number(rng: random.Random, tree: Any, sound: Any) -> Said:
    found = _numbers(tree)
    if not found:
        return None
    place, _ = rng.choice(found)
    new = rng.choice(ODD)
    holder(tree, place)[place[-1]] = new
    out = place[-1] in RATES and not 0 <= new <= 1
    return f"{_at(place)} = {new}", "a rate outside 0 to 1" if out else ""


def _not_finite(rng: random.Random, tree: Any, sound: Any) -> Said:
    found = _numbers(tree)
    if not found:
        return None
    place, _ = rng.choice(found)
    new = rng.choice((math.inf, -math.inf, math.nan))
    holder(tree, place)[place[-1]] = new
    return f"{_at(place)} = {new}", "a number that is not finite"


def _other_kind(rng: random.Random, tree: Any, sound: Any) -> Said:
    found = list(places(tree))
    place, value = rng.choice(found)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    new = rng.choice(({}, [], [[]], {"a": 1})) if number else rng.choice((*ODD, True, "x", [], {}, dt.date(2024, 2, 3)))
    holder(tree, place)[place[-1]] = copy.deepcopy(new)
    return f"{_at(place)} = {new!r}", "a table or list in place of a number" if number else ""


def _unknown_key(rng: random.Random, tree: Any, sound: Any) -> Said:
    tables = [((), tree), *((place, value) for place, value in places(tree) if isinstance(value, dict))]
    fixed = [(place, table) for place, table in tables if not place or place[-1] not in FREE]
    place, table = rng.choice(fixed)
    table[UNKNOWN] = rng.choice((1, "x", True))
    return f"{_at((*place, UNKNOWN))} added", "an unknown key"


def _removed(rng: random.Random, tree: Any, sound: Any) -> Said:
    place, _ = rng.choice(list(places(tree)))
    needed = len(place) == 1 and place[0] in ("name", "source", "date", "quote") and "extends" not in tree
    needed = (
        needed and "dataset" not in tree and "positions" not in tree and not (place[0] == "quote" and "network" in tree)
    )
    del holder(tree, place)[place[-1]]
    return f"{_at(place)} removed", "a key is missing" if needed else ""


def _word(rng: random.Random, tree: Any, sound: Any) -> Said:
    found = [place for place, value in places(tree) if isinstance(value, str)]
    if not found:
        return None
    place = rng.choice(found)
    new = rng.choice(WORDS)
    holder(tree, place)[place[-1]] = new
    return f"{_at(place)} = {new[:20]!r}", ""


def _turned(rng: random.Random, tree: Any, sound: Any) -> Said:
    """A list the other way round: ladders must rise."""
    lists = [(place, value) for place, value in places(tree) if isinstance(value, list) and len(value) > 1]
    if not lists:
        return None
    place, value = rng.choice(lists)
    value.reverse()
    ladder = place[-1] == "tiers" and isinstance(value[0], dict) and "upto" not in value[0]
    return f"{_at(place)} turned round", "an open tier before others" if ladder and "initial" in value[0] else ""


def _twice(rng: random.Random, tree: Any, sound: Any) -> Said:
    lists = [(place, value) for place, value in places(tree) if isinstance(value, list) and value]
    if not lists:
        return None
    place, value = rng.choice(lists)
    value.insert(rng.randrange(len(value) + 1), copy.deepcopy(rng.choice(value)))
    return f"{_at(place)} has an element twice", ""


def _spliced(rng: random.Random, tree: Any, sound: list[Any]) -> Said:
    """A key from another sound file of the kind, with what is in it."""
    other = rng.choice(sound)
    key = rng.choice(list(other))
    tree[key] = copy.deepcopy(other[key])
    return f"{key} taken from another", ""


def _dated(rng: random.Random, tree: Any, sound: Any) -> Said:
    found = [(place, value) for place, value in places(tree) if isinstance(value, dt.date)]
    if not found:
        return None
    place, _ = rng.choice(found)
    new = rng.choice((dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(2024, 3, 1), dt.date(2024, 3, 2), "soon"))
    holder(tree, place)[place[-1]] = new
    return f"{_at(place)} = {new}", ""


def _known_key(rng: random.Random, tree: Any, sound: Any) -> Said:
    """A key that the schema has, wherever, with some value."""
    tables = [tree, *(value for _, value in places(tree) if isinstance(value, dict))]
    name = rng.choice(_keys())
    value = rng.choice(
        (0.05, 5, "5m", "2024-03-01", True, dt.date(2024, 3, 1), [], {}, [{"from": dt.date(2024, 3, 1)}])
    )
    rng.choice(tables)[name] = copy.deepcopy(value)
    return f"{name} = {value}", ""


@functools.cache
def _keys() -> list[str]:
    """Every key that the schemas of venues, chains and books have."""
    schemas = [kind.model_json_schema() for kind in (VenueSchema, ChainSheet)]
    parts = [part for schema in schemas for part in (schema, *schema.get("$defs", {}).values())]
    found = {key for part in parts for key in part.get("properties", {})}
    return sorted(found | {key for keys in KEYS.values() for key in keys})


CHANGES: tuple[Callable[[random.Random, Any, Any], Said], ...] = (
    _nudge, _nudge, _nudge, _odd_number, _not_finite, _other_kind, _unknown_key, _removed, _word, _turned, _twice,
    _spliced, _dated, _known_key,
)  # fmt: skip


def _of_text(rng: random.Random, content: bytes, why: str) -> tuple[bytes, str, str]:
    """A change to the bytes: what was, what it is called, and why it is forbidden."""
    n = rng.randrange(max(1, len(content)))
    lines = content.splitlines(keepends=True)
    one = rng.choice(lines) if lines else b""
    return rng.choice(
        (
            (content[:n], f"cut off after {n} bytes", ""),
            (content[:n] + bytes([rng.randrange(256)]) + content[n + 1 :], f"byte {n} is another", ""),
            (content + b"\xff\xfe", "not UTF-8", "not UTF-8"),
            (content + b"\x00", "a zero byte", "a zero byte"),
            (b"", "empty", ""),
            (b"deep = " + b"[" * 20_000 + b"\n" + content, "nested deeply", "nested too deeply"),
            (content + one if not content.startswith(b"{") else content + content, "said twice", "said twice"),
            (b"\xef\xbb\xbf" + content, "a byte order mark", ""),
            (content.replace(b"\n", b"\r\n"), "lines of Windows", why),
        )
    )


def _numbers(tree: Any) -> list[tuple[Place, Any]]:
    return [(p, v) for p, v in places(tree) if isinstance(v, int | float) and not isinstance(v, bool)]


def _at(place: Place) -> str:
    return ".".join(map(str, place))
