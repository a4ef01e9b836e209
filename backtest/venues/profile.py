"""A venue as data, read from a TOML file: what it asks of every market on every day, and how it liquidates.

What the file may say is in `venues.venue_schema` and venues.md; how files extend others in `venues.inheritance`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, ValidationError

from backtest.core.errors import Broken, UserError
from backtest.venues import inheritance, rules_text, symbols, term_changes
from backtest.venues.assumptions import left_to_trust
from backtest.venues.fees import Fees, FeeTier
from backtest.venues.field_types import Dated, Moment, held_at, in_force, instant_ms, moment_text
from backtest.venues.liquidation_policy import Liquidation
from backtest.venues.margin_rules import Table, Tiers
from backtest.venues.margin_tiers import Rung
from backtest.venues.market_tables import Listed, MarketTables, Row, bounded, checked_tables
from backtest.venues.risk_weights import Widening
from backtest.venues.tables_text import Section, sections
from backtest.venues.terms import Contract, Law, OrderRules, Terms, Tier
from backtest.venues.validation_errors import complaint
from backtest.venues.venue_schema import Defaults, Factor, Market, VenueSchema

__all__ = ["Defaults", "Found", "Profile", "Tier", "available", "from_text", "load", "names"]


@dataclass(frozen=True)
class Found:
    """What holds for a symbol, and how it was found."""

    tables: tuple[Table, ...]
    """By date."""
    how: str
    """``BTC-USD``, ``class large_cap``, …: what of the profile it is."""
    fallback: bool
    """Whether the profile does not know the symbol, and it gets what holds for every other one."""
    seen: bool = False
    """Whether tables are dated by their first sight, and not by the day of the change."""


class Profile(VenueSchema):
    """A venue. ``when`` is a day (UTC); None is the latest that the profile knows.

    What a table says holds from its date until the next table's; the first holds before its date as well, and
    `assumptions` says so.
    """

    _data: MarketTables | None = PrivateAttr(None)
    _seen: dict[str, Found] = PrivateAttr(default_factory=dict)

    def found(self, name: str) -> Found:
        """The tables of a symbol: by exact name, base asset, class, in the file of terms, else the venue's default."""
        if name not in self._seen:
            self._seen[name] = self._find(name)
        return self._seen[name]

    def _find(self, name: str) -> Found:
        asked = symbols.names(name)
        own = next(((key, self.symbols[key]) for key in asked if key in self.symbols), None)
        if own:
            return Found(_tables(own[1]), own[0], False)
        group = next((key for asset in asked for key, g in self.classes.items() if asset in g.assets), None)
        if group is not None:
            return Found(_tables(self.classes[group]), f"class {group}", False)
        listed = self._data.find(name) if self._data else None
        if listed:
            return Found(self._dated(listed), listed.market, not listed.exact, seen=True)
        return self._fallback()

    def _fallback(self) -> Found:
        """What holds for a symbol that is not named."""
        if self.default_class is not None:
            return Found(_tables(self.classes[self.default_class]), f"class {self.default_class}", True)
        # A venue that names no market at all has one rule for every market: nothing is fallen back to.
        return Found(self._every(), "every symbol", bool(self.symbols or self.classes or self._data))

    def _dated(self, listed: Listed) -> tuple[Table, ...]:
        """A listed market's tables; a bound on leverage alone is laid over the table before it, or the default."""
        out = [row if "rule" in row else bounded(self._written(row["from"]), row) for row in listed.tables]
        if self._data is None:
            raise Broken("a listed market has a file")
        return checked_tables(out, f"{self._data.path}: {listed.market}", self.sources)

    def _written(self, when: Moment) -> Row:
        """What holds for a symbol that is not named, as a file would give it."""
        held = in_force(self._fallback().tables, when)
        return held.model_dump(by_alias=True, exclude_unset=True) | {"rule": getattr(held, "rule", "tiers")}

    def terms_of(self, tables: Sequence[Table], name: str = "") -> tuple[Terms, ...]:
        """The dated terms that margin tables make together with the venue's penalty, least order and factor of the
        market ``name``."""
        factor, orders = self._factor(name), self.orders or []
        dates = sorted({table.from_ms for dated in (tables, self.liquidation or [], orders) for table in dated})
        idio = factor.idio if factor.idio is not None else self.portfolio.idio if self.portfolio else Decimal(0)
        out: list[Terms] = []
        for at in dates:
            penalty = self._penalty(held_at(self.liquidation, at) if self.liquidation else None)
            now = held_at(tables, at).terms(at, penalty, float(factor.beta), float(idio))
            if orders:
                rules = held_at(orders, at)
                now = replace(now, min_notional_micro=rules.least_micro(name), price_band=rules.band(name))
            if not out or replace(now, from_ms=out[-1].from_ms) != out[-1]:
                out.append(now)
        return tuple(out)

    def contract(self, symbols: Sequence[str]) -> Contract:
        """All that a run needs: dated terms of every symbol, the dated law, portfolio margin, dated order rules."""
        terms = {name: self.terms_of(self.found(name).tables, name) for name in symbols}
        portfolio = self.portfolio.portfolio() if self.portfolio else None
        laws = tuple(table.law() for table in self.liquidation or ()) or (Law(),)
        return Contract(terms, laws, portfolio, tuple(table.rules() for table in self.orders or ()) or (OrderRules(),))

    def lacks(self, mode: str) -> str:
        """Why no account can be played in a margin mode: portfolio margin needs figures. Empty: it can be."""
        if mode != "portfolio" or self.portfolio is not None:
            return ""
        if mode in self.modes:
            return f"the profile of {self.name} has no figures for it"
        return f"{self.name} does not offer it"

    def terms(self, name: str, when: Moment | None = None) -> Terms:
        """What ``name`` asks on a day."""
        known = self.terms_of(self.found(name).tables, name)
        held = [terms for terms in known if when is None or terms.from_ms <= instant_ms(when)]
        return held[-1] if held else known[0]

    def law(self, when: Moment | None = None) -> Law:
        """How the venue liquidates on a day."""
        return in_force(self.liquidation, when).law() if self.liquidation else Law()

    def fees(self, when: Moment | None = None) -> list[FeeTier]:
        """Fee tiers by trailing volume on a day."""
        return in_force(self.fee_tables, when).tiers

    @property
    def fee_tables(self) -> list[Fees]:
        """The dated fees; where the file has but a taker fee, one tier in which makers pay it too."""
        both = self.defaults.taker_fee_bps
        return self.schedule or [Fees(tiers=[FeeTier(maker_bps=both, taker_bps=both)])]

    def fee_bps(self, when: Moment | None = None) -> float:
        """Taker fee of the first tier on a day, hundredths of a percent of the fill's quote amount."""
        return float(self.fees(when)[0].taker_bps)

    @property
    def taker_fee_bps(self) -> float:
        """Taker fee of the first tier, the latest, hundredths of a percent of the fill's quote amount."""
        return self.fee_bps()

    @property
    def penalty(self) -> float:
        """Liquidation penalty, the latest, fraction of notional."""
        return self.penalty_of()

    def penalty_of(self, when: Moment | None = None) -> float:
        """Liquidation penalty of a market that has none, on a day."""
        return self._penalty(in_force(self.liquidation, when) if self.liquidation else None)

    def _penalty(self, law: Liquidation | None) -> float:
        own = law.penalty if law else None
        return float(self.defaults.penalty if own is None else own)

    def tiers(self, name: str) -> list[Tier]:
        """The latest ladder of ``name``."""
        return list(self.terms(name).tiers)

    def max_leverage(self, name: str, when: Moment | None = None) -> float:
        """Notional over equity at which an order is still admitted, in the lowest tier; infinite at no margin."""
        rate = self.terms(name, when).tiers[0].initial
        return 1 / rate if rate else float("inf")

    def widening(self) -> Widening | None:
        """How margin widens with realised volatility; None: it does not."""
        return self.volatility.widening() if self.volatility else None

    def in_words(self, symbols: Sequence[str], when: Moment | None = None) -> str:
        """The rules that hold for ``symbols`` on one line, as a report shows them."""
        asked = [self.terms(name, when) for name in symbols]
        penalties = sorted({terms.penalty for terms in asked}) or [self.penalty_of(when)]
        penalty = " or ".join(f"{rate * 100:g}" for rate in penalties)
        said = f"{rules_text.rates(asked)}; liquidation penalty {penalty} %"
        return f"{said}; liquidation: {rules_text.law(self.law(when))}" if self.liquidation else said

    def assumptions(self, symbols: Sequence[str], start_ms: int, end_ms: int, fees: bool = True) -> list[str]:
        """Plain sentences about what a run from ``start_ms`` to before ``end_ms`` assumes about the venue, its
        ``fees`` included, which a run with its own rates does not use."""
        said: dict[str, list[str]] = {}
        for name in symbols:
            found = self.found(name)
            if found.fallback:
                said.setdefault(f"not in the profile, uses the terms of {found.how}", []).append(name)
            for line in left_to_trust(found.tables, start_ms, end_ms):
                said.setdefault(f"margin {line}", []).append(name)
        out = [f"{self.name}: {', '.join(those)}: {line}." for line, those in said.items()]
        schedule = self.schedule if fees else None
        for kind, tables in (("liquidation", self.liquidation), ("fees", schedule), ("orders", self.orders)):
            out += [f"{self.name}: {kind} {line}." for line in left_to_trust(tables or (), start_ms, end_ms)]
        return out

    def changes(self, symbols: Sequence[str], start_ms: int, end_ms: int) -> list[str]:
        """What changed inside a run from ``start_ms`` to before ``end_ms``, by time: ``SOLUSDT: maintenance 1 % → 2 %,
        seen 25 Nov 2022``; `seen` where the day is that of the first sight."""
        out = term_changes.laws(self.liquidation or (), start_ms, end_ms)
        for name in symbols:
            found = self.found(name)
            terms = self.terms_of(found.tables, name)
            out += term_changes.markets(name, terms, found.tables, found.seen, start_ms, end_ms)
        return [said for _, said in sorted(out)]

    def sections(self, when: Moment | None = None, name: str | None = None) -> list[Section]:
        """What is known of every market, or of the market ``name``: all dates, or what holds on a day."""
        return [
            section
            for title, tables in ([self._titled(name)] if name else self._all())
            for section in sections(title, tables, when)
        ]

    def laws_in_words(self, when: Moment | None = None) -> list[tuple[str, str, str, str]]:
        """How it liquidates: (kind, `` from DATE``, the rule, how far it is known) of all dates, or of a day."""
        if not self.liquidation:
            return [("liquidation", "", rules_text.law(Law()), "")]
        asked = [in_force(self.liquidation, when)] if when else self.liquidation
        return [("liquidation", _since(t), rules_text.law(t.law()), t.standing) for t in asked]

    def fees_in_words(self, when: Moment | None = None) -> list[tuple[str, str, str, str]]:
        """What fills cost, and who pays less, likewise; nothing where the file has but a taker fee."""
        known = self.schedule or []
        asked = [in_force(known, when)] if known and when else known
        rates = [("fees", _since(t), rules_text.fees(t.window_days, t.tiers), t.standing) for t in asked]
        return rates + [
            (f"discount {name}", "", rules_text.discount(d), d.standing) for name, d in self.discounts.items()
        ]

    def orders_in_words(self, when: Moment | None = None) -> list[tuple[str, str, str, str]]:
        """What orders it takes, likewise; nothing where it takes any."""
        known = self.orders or []
        asked = [in_force(known, when)] if known and when else known
        return [("orders", _since(t), rules_text.orders(t), t.standing) for t in asked]

    def as_json(self, when: Moment | None = None, name: str | None = None) -> dict[str, Any]:
        """All that the file says; with a day or a symbol also what holds for it, in the engine's units."""
        said: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        if when is None and name is None:
            return said
        shown: dict[str, Any] = {
            "date": moment_text(when) if when else None,
            "symbol": name,
            "law": _values(self.law(when)),
        }
        if name:
            found = self.found(name)
            held = [in_force(found.tables, when)] if when else found.tables
            tables = [table.model_dump(mode="json", by_alias=True, exclude_unset=True) for table in held]
            shown |= {"terms": _values(self.terms(name, when)), "found": found.how, "tables": tables}
        return said | {"shown": shown}

    def sha256(self) -> str:
        """Hash of all that the profile says, with what it extends; but for what else it may be called."""
        said = self.model_dump_json(by_alias=True, exclude={"aliases"}) + (self._data.sha256 if self._data else "")
        return hashlib.sha256(said.encode()).hexdigest()

    @property
    def markets(self) -> dict[str, list[Row]]:
        """The tables of the file of terms by market, as a TOML file would give them; empty without a file."""
        return self._data.markets() if self._data else {}

    def file_in_words(self) -> str:
        """What the file of terms has; empty without one."""
        if self._data is None or self.terms_file is None:
            return ""
        count = f"{self._data.count} markets have their own tables (--symbol NAME shows them)"
        return f"{count}: {self.terms_file.about}" if self.terms_file.about else count

    def _titled(self, name: str) -> tuple[str, Sequence[Table]]:
        found = self.found(name)
        return (name if found.how == name else f"{name}: {found.how}", found.tables)

    def _all(self) -> list[tuple[str, Sequence[Table]]]:
        """Every market and class of the file, with what holds for all others first."""
        rest = "every other" if self.symbols or self.classes or self._data else "every"
        groups = {key: f"class {key}" + (f" ({rest})" if key == self.default_class else "") for key in self.classes}
        return [
            *([] if self.default_class else [(rest, self._every())]),
            *((title, _tables(self.classes[key])) for key, title in groups.items()),
            *((key, _tables(market)) for key, market in sorted(self.symbols.items())),
        ]

    def _every(self) -> tuple[Table, ...]:
        """What holds for a symbol that is not named."""
        if self.margin is not None:
            return tuple(self.margin)
        default = [Rung(initial=self.defaults.initial, maintenance=self.defaults.maintenance)]
        return (Tiers(tiers=self.ladder or default),)

    def _factor(self, name: str) -> Factor:
        known = self.portfolio.markets if self.portfolio else {}
        return next((known[key] for key in symbols.names(name) if key in known), Factor())


def _tables(market: Market) -> tuple[Table, ...]:
    return tuple(market.margin) if market.margin is not None else (Tiers(tiers=market.tiers or []),)


def _since(table: Dated) -> str:
    return f" from {table.since}" if table.from_ else ""


def _values(plain: Terms | Law) -> dict[str, Any]:
    """A record as JSON has it; words in lower case."""
    return {key: v.name.lower() if isinstance(v, IntEnum) else v for key, v in asdict(plain).items()}


def names() -> list[str]:
    """Names of the venues that come with the package."""
    return inheritance.VENUES.names()


def canonical(name_or_path: str) -> str:
    """Return the name of a venue that comes with the package, for its name or an alias; else what was given."""
    return inheritance.VENUES.canonical(name_or_path) or name_or_path


def available() -> list[Profile]:
    """The venues that come with the package, by name."""
    return [load(name) for name in names()]


def load(name_or_path: str | Path, place: str = "") -> Profile:
    """The profile of a venue that comes with the package, by name or alias, or of a TOML file, by path.

    Raises `UserError` for an unknown name (``place``: where it was asked for), a missing file, broken TOML, and a key
    or value that does not belong.
    """
    file, path = inheritance.opened(name_or_path, place=place)
    return _checked(inheritance.whole(file, path))


def from_text(text: str, place: str = "venue") -> Profile:
    """The profile that ``text`` describes; ``place`` is what an error calls it. It may extend a name."""
    return _checked(inheritance.whole(inheritance.File(place, text), None))


def _checked(root: inheritance.Node) -> Profile:
    try:
        checked = Profile.model_validate(inheritance.plain(root))
    except ValidationError as error:
        raise complaint(error, root, Profile) from error
    _all_used(root)
    if checked.terms_file:
        data = root.table["terms"].table["file"]
        folder = Path(data.file.place).parent
        if not (folder / checked.terms_file.file).is_file():
            place = data.file.at(data.path)
            raise UserError(f"terms.file: no file {checked.terms_file.file!r}", place, "name a Parquet file beside it")
        said = checked.terms_file.model_dump()
        checked._data = MarketTables.of(said, folder, checked.quote, checked.chain)
    return checked


def _all_used(root: inheritance.Node) -> None:
    """No table of liquidation has a key that its other keys make idle."""
    tables = root.table["liquidation"].value if "liquidation" in root.table else []
    for n, table in enumerate(tables):
        # A table laid over another one may leave keys idle that it inherits: only one written whole is held to it.
        written = all(node.file is table.file for node in table.table.values())
        idle = Liquidation.model_validate(inheritance.plain(table)).idle() if written else None
        if idle:
            place = inheritance.where(root, ("liquidation", n, idle[0]))
            raise UserError(f"liquidation.{n + 1}.{idle[0]}: {idle[1]}", place, "correct the file")
