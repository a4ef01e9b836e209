"""A chain as data, read from a TOML file: what holds on which day, what outages it has had, and how sure that is.

What the file may say is in `venues.chain_schema` and chains.md. A file that `extends` another replaces whole facts
of it: a figure never stands beside the source of another one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from backtest.venues import inheritance
from backtest.venues.chain import Chain, Congestion, Latency, Outage, Route, Rule
from backtest.venues.chain_facts import Cap, Delay, Fact, Origin, Span, Value, Way, span
from backtest.venues.chain_outages import Halt
from backtest.venues.chain_schema import FACTS, ChainSheet
from backtest.venues.field_types import day_ms
from backtest.venues.inheritance import File, Node, Place
from backtest.venues.validation_errors import complaint

__all__ = ["ChainProfile", "Line", "Past", "available", "from_text", "load", "names"]

_F = TypeVar("_F", bound=Fact)
_V = TypeVar("_V")
_N = TypeVar("_N", Way, Cap)


@dataclass(frozen=True)
class Line:
    """One fact as it is shown."""

    what: str
    said: str
    """Its figures with their units."""
    since: str
    """Its date; empty for one that held ever."""
    source: str
    date: str
    """When the source said so."""
    standing: str
    note: str


@dataclass(frozen=True)
class Past:
    """One outage as it is shown."""

    begun: str
    """A day alone where its time is not known."""
    length: str
    """Empty: not known."""
    cause: str
    unplayed: str
    """Why it cannot be played; empty for one that can."""
    source: str
    date: str
    standing: str
    note: str


class ChainProfile(ChainSheet):
    """A chain. ``at_ms`` is an instant (UTC); None is the latest that the profile knows.

    What a fact says holds from its date until the next one's; the first holds before its date as well, and
    `assumptions` says so.
    """

    def chain(self, at_ms: int | None = None) -> Chain:
        """What holds at ``at_ms``, as plain values. Gas keeps all its dates; there are no outages (`history` has them);
        `forced_ms` is what the chain has, whether or not a run uses it."""

        def ms(facts: Sequence[Span]) -> int:
            return _value(facts, at_ms, 0)

        crowding = _in_force(self.congestion, at_ms)
        return Chain(
            name=self.name,
            network=_latency(self.network, at_ms), queue=_latency(self.queue, at_ms), back=_latency(self.back, at_ms),
            block_ms=ms(self.block), most_per_block=_value(self.most_per_block, at_ms, 0),
            sorts=_value(self.sorts, at_ms, False),
            congestion=crowding.congestion() if crowding else Congestion(),
            rule=_value(self.rule, at_ms, Rule.WAIT), ttl_ms=ms(self.ttl),
            backlog=float(_value(self.backlog, at_ms, Decimal(0))),
            grace_ms=ms(self.grace), stale_ms=ms(self.stale), forced_ms=ms(self.forced),
            gate_after_ms=ms(self.gate_after), gate_ms=ms(self.gate),
            finality_ms=ms(self.finality), reorg_ms=ms(self.reorg),
            deposits=_routes(self.deposits, at_ms), withdrawals=_routes(self.withdrawals, at_ms),
            withdrawal_limits=tuple(cap.limit() for cap in _by_name(self.withdrawal_limits, at_ms)),
            # The first price holds before its date, too.
            gas=tuple(toll.gas(toll.from_ms if n else 0) for n, toll in enumerate(self.gas)),
        )  # fmt: skip

    def history(self, start_ms: int | None = None, end_ms: int | None = None) -> tuple[Outage, ...]:
        """The known outages that can be played, whole, in order; with times those that touch ``start <= t < end``."""
        return tuple(halt.outage() for halt in self._within(start_ms, end_ms) if not halt.unplayed)

    def unplayed(self, start_ms: int | None = None, end_ms: int | None = None) -> tuple[Halt, ...]:
        """The known outages that `history` leaves out: `Halt.unplayed` says why."""
        return tuple(halt for halt in self._within(start_ms, end_ms) if halt.unplayed)

    def assumptions(self, start_ms: int, end_ms: int, history: bool = False) -> list[str]:
        """Plain sentences about what a run from ``start_ms`` to before ``end_ms`` assumes about the chain, and,
        where it plays the ``history``, which outages it does not play."""
        out: list[str] = []
        said: dict[str, list[str]] = {}
        for key, facts in self._series():
            now, ends = _in_force(facts, start_ms), [fact for fact in facts if start_ms < fact.from_ms < end_ms]
            used = [now, *ends] if key == "gas" and now else [now] if now else []
            for fact in used:
                if fact.trusted:
                    said.setdefault(fact.trusted, []).append(key)
            if now is not None and start_ms < now.from_ms:
                out.append(f"{key} of {now.from_} is also used for earlier days")
            kept = [fact for fact in ends if key != "gas"]
            out += [f"{key}: the value at the start is kept; it changed on {fact.from_}" for fact in kept]
        trusted = [f"{', '.join(dict.fromkeys(keys))}: {how}" for how, keys in said.items()]
        halts = self._within(start_ms, end_ms) if history else []
        played = [f"outage of {h.day}: {h.trusted}" for h in halts if h.trusted and not h.unplayed]
        left = [f"outage of {h.day} ({h.cause}) is not replayed: {h.unplayed}" for h in halts if h.unplayed]
        return [f"{self.name}: {line}." for line in (*trusted, *out, *played, *left)]

    def in_words(self, at_ms: int | None = None) -> str:
        """What holds on one line, as a report shows it."""
        now = [(key, _in_force(getattr(self, key), at_ms)) for key in FACTS]
        told = [(key.replace("_", " "), fact.said) for key, fact in now if fact is not None]
        parts = [f"{key} {said}" for key, said in told if said not in _NOTHING]
        for key, ways in (("deposits", self.deposits), ("withdrawals", self.withdrawals)):
            routes = [f"{way.name} {way.said}" for way in _by_name(ways, at_ms)]
            parts += [f"{key}: {', '.join(routes)}"] if routes else []
        parts += [f"withdrawals per {cap.name} {cap.said}" for cap in _by_name(self.withdrawal_limits, at_ms)]
        return "; ".join(parts) or "instant and free"

    def lines(self, when: dt.date | None = None) -> list[Line]:
        """Every fact with its origin: all dates, or what holds on a day."""
        at_ms = None if when is None else day_ms(when)
        shown: list[tuple[str, Fact]] = []
        for key, facts in self._series():
            now = _in_force(facts, at_ms)
            kept = facts if when is None else [now] if now else []
            shown += [(key.replace("_", " "), fact) for fact in kept]
        return [
            Line(key, fact.said, str(fact.from_ or ""), *self._origin(fact), fact.standing, fact.note)
            for key, fact in shown
        ]

    def past(self) -> list[Past]:
        """The outages that are known, by date."""
        out = []
        for halt in self.outages:
            at = halt.start
            begun = f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M}" if isinstance(at, dt.datetime) else str(at)
            length = "" if halt.length_ms is None else span(halt.length_ms)
            cause = f"{halt.cause}; {span(halt.reverted)} reverted" if halt.reverted else halt.cause
            out.append(Past(begun, length, cause, halt.unplayed, *self._origin(halt), halt.standing, halt.note))
        return out

    def as_json(self, when: dt.date | None = None) -> dict[str, Any]:
        """All that the file says."""
        said: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        return said if when is None else said | {"shown": {"date": str(when), "words": self.in_words(day_ms(when))}}

    def sha256(self) -> str:
        """Hash of all that the profile says, with what it extends and what it measured."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def _series(self) -> Iterable[tuple[str, Sequence[Fact]]]:
        """Each fact with all its dates; a route is a fact, and so is a limit."""
        yield from ((key, getattr(self, key)) for key in FACTS)
        for kind, ways in (("deposit", self.deposits), ("withdrawal", self.withdrawals)):
            yield from ((f"{kind} {name}", dated) for name, dated in _named(ways).items())
        yield from ((f"withdrawals per {name}", dated) for name, dated in _named(self.withdrawal_limits).items())

    def _origin(self, table: Origin) -> tuple[str, str]:
        """Its sources, and when they said so: what nobody said has no date."""
        told = table.status not in ("assumed", "memory")
        return ", ".join(table.source), str(table.date or (self.date if told else ""))

    def _within(self, start_ms: int | None, end_ms: int | None) -> list[Halt]:
        """Outages that touch a span; one whose times are not known touches by its day."""

        def touches(halt: Halt) -> bool:
            begun = day_ms(halt.day) if halt.start_ms is None else halt.start_ms
            ended = begun + (halt.length_ms or 86_400_000)
            return (end_ms is None or begun < end_ms) and (start_ms is None or ended > start_ms)

        return [halt for halt in self.outages if touches(halt)]


def _in_force(facts: Sequence[_F], at_ms: int | None) -> _F | None:
    """The fact that holds; before the first one's date the first, and without a time the last."""
    if at_ms is None or not facts:
        return facts[-1] if facts else None
    held = [fact for fact in facts if fact.from_ms <= at_ms]
    return held[-1] if held else facts[0]


def _value(facts: Sequence[Value[_V]], at_ms: int | None, default: _V) -> _V:
    fact = _in_force(facts, at_ms)
    return default if fact is None else fact.value


def _latency(facts: Sequence[Delay], at_ms: int | None) -> Latency:
    fact = _in_force(facts, at_ms)
    return Latency() if fact is None else fact.latency()


def _named(facts: Sequence[_N]) -> dict[str, list[_N]]:
    """Those of each name by date, in the order of the file."""
    found: dict[str, list[_N]] = {fact.name: [] for fact in facts}
    for fact in sorted(facts, key=lambda fact: fact.from_ms):
        found[fact.name].append(fact)
    return found


def _by_name(facts: Sequence[_N], at_ms: int | None) -> list[_N]:
    """The one of each name that holds, in the order of the file."""
    return [fact for dated in _named(facts).values() if (fact := _in_force(dated, at_ms)) is not None]


def _routes(ways: Sequence[Way], at_ms: int | None) -> tuple[Route, ...]:
    return tuple(way.route() for way in _by_name(ways, at_ms))


def names() -> list[str]:
    """Names of the chains that come with the package."""
    return CHAINS.names()


def available() -> list[ChainProfile]:
    """The chains that come with the package, by name."""
    return [load(name) for name in names()]


def load(name_or_path: str | Path) -> ChainProfile:
    """The profile of a chain that comes with the package, by name, or of a TOML file, by path.

    Raises `UserError` for an unknown name, a missing file, broken TOML, and a key or value that does not belong.
    """
    file, path = inheritance.opened(name_or_path, shelf=CHAINS)
    return _checked(inheritance.whole(file, path, CHAINS))


def from_text(text: str, place: str = "chain") -> ChainProfile:
    """The profile that ``text`` describes; ``place`` is what an error calls it. It may extend a name."""
    return _checked(inheritance.whole(File(place, text), None, CHAINS))


def _checked(root: Node) -> ChainProfile:
    try:
        return ChainProfile.model_validate(inheritance.plain(_anchored(root)))
    except ValidationError as error:
        raise complaint(error, root, ChainProfile, lambda at: _written(root, at)) from error


def _anchored(node: Node) -> Node:
    """A measured table's file is named beside the file that names it."""
    if isinstance(node.value, list):
        return Node([_anchored(below) for below in node.value], node.file, node.path)
    if not isinstance(node.value, dict):
        return node
    below = {key: _anchored(value) for key, value in node.value.items()}
    table = below.get("table")
    if table is not None and isinstance(table.value, str):
        beside = str(Path(table.file.place).parent / table.value)
        below["table"] = Node(beside, table.file, table.path)
    return Node(below, node.file, node.path)


def _written(root: Node, at: Place) -> Place:
    """The place in the file: a fact that is no list there has no number, and one that is no table has no key."""
    out: list[str | int] = []
    inside: Any = root.value
    for part in at:
        known = part in inside if isinstance(inside, dict) else isinstance(inside, list) and part in range(len(inside))
        if known:
            inside = inside[part].value
        elif isinstance(part, int) or not isinstance(inside, dict):
            continue
        else:
            inside = {}
        out.append(part)
    return tuple(out)


def _laid(old: Node, new: Node) -> Node:
    """The file ``new`` over ``old``: a key replaces the key, `sources` are added to. A figure put in by hand is
    assumed, unless it says its status."""
    out = dict(old.value)
    for key, node in new.value.items():
        if key == "sources" and key in out:
            out[key] = inheritance.laid(out[key], node)
        else:
            out[key] = _assumed(node) if key not in _HEAD else node
    return Node(out, new.file, new.path)


def _assumed(node: Node) -> Node:
    if isinstance(node.value, list):
        return Node([_assumed(below) for below in node.value], node.file, node.path)
    table = node.value if isinstance(node.value, dict) else {"value": node}
    return Node({"status": Node("assumed", node.file, node.path), **table}, node.file, node.path)


_NOTHING = ("0", "no")
_HEAD = ("name", "about", "source", "date", "sources")
CHAINS = inheritance.Shelf("chain", Path(__file__).parent / "chains", _laid)
