"""The chain and the oracle of a run: what a profile says, changed by what the user asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backtest.core import durations
from backtest.core.errors import UserError, nearest
from backtest.data.selection import Selection
from backtest.runner.outages import OutagePlan, Worst, covering, halts, parse
from backtest.runner.settings import RunSettings
from backtest.venues import chains
from backtest.venues.chain import Chain, Oracle
from backtest.venues.chain_facts import span
from backtest.venues.profile import Profile

CHAIN, ORACLE = "--chain", "--oracle"
OF_VENUE = "venue"
"""What `--chain` calls the one that the venue's profile names."""
SPANS = {"delay": "delay_ms", "heartbeat": "heartbeat_ms", "average": "average_ms", "limit": "limit_ms"}
"""Kinds of `--oracle` that are lengths of time of the oracle."""
OF_CHAIN = ("stale", "grace")
"""Those that are lengths of time after an outage, in place of the chain's."""
KINDS = ("median", "deviation", *SPANS, *OF_CHAIN)
FORMS = "write delay=3s, heartbeat=1h, deviation=0.5%, average=30s, median, limit=60s, stale=30s or grace=1h"
MOST_MS = 30 * 86_400_000
_PERCENT = re.compile(r"(\d+(\.\d*)?|\.\d+)%")


@dataclass(frozen=True)
class ChainConfig:
    """The chain and the oracle of a run, and how they came about."""

    chain: Chain = field(default_factory=Chain)
    """With the outages of the run, but for one that has still to be placed."""
    oracle: Oracle = field(default_factory=Oracle)
    halts: OutagePlan = field(default_factory=OutagePlan)
    profile: chains.ChainProfile | None = None
    """None: no chain was asked for."""

    @property
    def alive(self) -> bool:
        """Whether there is anything to tell of a chain."""
        return self.profile is not None or not self.chain.instant

    @property
    def crowds(self) -> bool:
        """Whether messages take longer, or cost more, the livelier the market is."""
        return self.chain.congestion.slope > 0

    @property
    def sees_apart(self) -> bool:
        """Whether the venue may go by another mark than the market's."""
        return not self.oracle.plain or bool(self.chain.outages)

    def by_market(self) -> ChainConfig:
        """The same, but that the venue goes by the market mark, also while the chain stands."""
        return replace(self, oracle=Oracle(), chain=replace(self.chain, freezes=False))

    def as_dict(self, start_ms: int) -> dict[str, Any]:
        """For the configuration in a summary; ``start_ms`` is the run's."""
        p = self.profile
        return {
            "chain_rules": p.in_words(start_ms) if p else None,
            "chain_source": p.source if p else None,
            "chain_sha256": p.sha256() if p else None,
            "outages_played": [[one.start_ms, one.end_ms, one.cause] for one in self.chain.outages],
        }

    def placed(self, found: Worst | None) -> ChainConfig:
        """With the halt that `outages.worst` found."""
        known = self.halts.placed(found)
        return replace(self, halts=known, chain=replace(self.chain, outages=known.played))


def chain_of(asked: RunSettings, venue: Profile, selection: Selection) -> ChainConfig:
    """All that the settings ask for, as plain values; UserError for what is unknown, out of range, or lacks a chain.

    Of what a profile dates that holds which held at the run's start, but for gas, which has all its dates.
    """
    start_ms, end_ms = selection.start_ms, selection.start_ms + selection.rows * selection.interval_ms
    profile = _profile(asked, venue)
    oracle, after = parse_oracle(asked.oracle)
    wanted = parse(asked.outages)
    if wanted.history and profile is None:
        raise UserError("requires a chain", "--outages history", "name one with --chain")
    if wanted.worst_ms:
        covering(selection, wanted.worst_ms)
    known = halts(wanted, profile.history() if profile else (), asked.seed, start_ms, end_ms)
    chain = _asked(asked, profile.chain(start_ms) if profile else Chain(), profile is not None)
    chain = replace(
        chain,
        stale_ms=after.get("stale", chain.stale_ms),
        grace_ms=after.get("grace", chain.grace_ms),
        outages=known.played,
    )
    _check_reorg(chain, profile)
    return ChainConfig(chain, oracle, known, profile)


def _check_reorg(chain: Chain, profile: chains.ChainProfile | None) -> None:
    """UserError where fills would be undone that the chain, as far as it says, cannot revert any more."""
    if profile is None or not profile.finality or chain.reorg_ms <= chain.finality_ms:
        return
    final, old = span(chain.finality_ms), span(chain.reorg_ms)
    when = f"after {final}" if chain.finality_ms else "at once"
    thing = f"fills of {old} before an outage cannot be undone: on {chain.name} they are final {when}"
    raise UserError(thing, "--reorg", f"give {final} at most" if chain.finality_ms else "leave it out")


def _profile(asked: RunSettings, venue: Profile) -> chains.ChainProfile | None:
    if asked.chain != OF_VENUE:
        return None if asked.chain is None else chains.load(asked.chain)
    if not venue.chain:
        raise UserError(f"venue {venue.name} names no chain", CHAIN, f"choose one: {', '.join(chains.names())}")
    return chains.load(venue.chain)


def _asked(asked: RunSettings, chain: Chain, named: bool) -> Chain:
    """The chain with the user's own choices."""
    if asked.force_inclusion and not chain.forced_ms:
        thing = f"{chain.name} has no inclusion through Layer 1" if named else "requires a chain"
        raise UserError(thing, "--force-inclusion", "leave it out" if named else "name one with --chain")
    return replace(
        chain,
        forced_ms=chain.forced_ms if asked.force_inclusion else 0,
        reorg_ms=chain.reorg_ms if asked.reorg_ms is None else asked.reorg_ms,
        gas=chain.gas if asked.gas else (),
    )


def parse_oracle(texts: Sequence[str]) -> tuple[Oracle, dict[str, int]]:
    """The oracle that texts write, and by kind what of the chain they change; UserError for any other text."""
    own, after = dict[str, Any](), dict[str, int]()
    given: list[str] = []
    for text in texts:
        kind, equals, value = (part.strip() for part in text.partition("="))
        place = f"{ORACLE} {text}"
        if kind not in KINDS:
            near = nearest(kind, KINDS)
            raise UserError(f"unknown kind {kind!r}", place, near if near.startswith("did") else FORMS)
        if kind in given:
            raise UserError(f"{kind} is given twice", place, "give each kind once")
        given.append(kind)
        if bool(equals) == (kind == "median"):
            raise UserError(f"{text!r} is not a valid oracle setting", place, FORMS)
        if kind == "median":
            own[kind] = True
        elif kind == "deviation":
            own[kind] = _share(value, place)
        elif kind in SPANS:
            own[SPANS[kind]] = _span(value, place)
        else:
            after[kind] = 0 if value == "0" else _span(value, place)
    return Oracle(**own), after


def _share(value: str, place: str) -> float:
    share = float(value.removesuffix("%")) / 100 if _PERCENT.fullmatch(value) else 0.0
    if not 0 < share <= 1:
        raise UserError(f"{value!r} is not a deviation", place, "write a percentage above 0 up to 100, like 0.5%")
    return share


def _span(value: str, place: str) -> int:
    length = durations.parse(value, place)
    if length > MOST_MS:
        raise UserError(f"{value} is too long", place, "give 30 days at most")
    return length
