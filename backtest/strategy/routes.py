"""Money between the reserve and the venue: its routes by name, and what is on its way."""

from __future__ import annotations

from typing import NamedTuple

from backtest.core.enums import TransferKind
from backtest.core.errors import UserError, nearest
from backtest.engine.passage import routes
from backtest.strategy.literal_types import TransferKindName
from backtest.venues.chain import Chain


class Transit(NamedTuple):
    """A transfer that was sent and has not arrived, at the last close."""

    transfer_id: int
    kind: TransferKindName
    """deposit (to the venue) or withdrawal (from it)."""
    route: str
    amount: float
    """What left, quote units; the route's fee is paid from it on arrival."""
    ts_sent_ms: int


def route_number(chain: Chain, kind: TransferKind, name: str | None, place: str) -> int:
    """The number of a route by its name, None: of the first. UserError for a name that is none of the chain's."""
    own = chain.deposits if kind == TransferKind.DEPOSIT else chain.withdrawals
    if not own and chain.name != Chain().name:
        # One that was asked for says its ways itself: money does not go at once and for nothing because it says none.
        thing = f"chain {chain.name} has no route for a {kind.name.lower()}"
        raise UserError(thing, place, "give it one in its file, or take another chain")
    names = [route.name for route in routes(chain)[kind]]
    if name is None:
        return 0
    if name not in names:
        raise UserError(f"unknown route {name!r}", place, nearest(str(name), names))
    return names.index(name)


def route_name(chain: Chain, number: int) -> str:
    """The name of a route by its number among all of the chain, deposits first, as the journal has it."""
    deposits, withdrawals = routes(chain)
    return (*deposits, *withdrawals)[number].name
