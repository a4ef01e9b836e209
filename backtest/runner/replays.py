"""Replaying accounts of a plan: several at once over the same chunks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from backtest.core.errors import UserError
from backtest.core.records import Record
from backtest.core.spool import Spool
from backtest.data.selection import Selection
from backtest.engine.replay import Replay
from backtest.runner import outages
from backtest.runner.absence import stay_away, without_targets
from backtest.runner.account_runner import AccountRunner, hook_bits
from backtest.runner.counterfactual import Counterfactual
from backtest.runner.plan import Plan
from backtest.runner.stream import Progress, stream
from backtest.strategy import base

P = TypeVar("P", bound=AccountRunner)


def played(
    planned: Plan, modes: Sequence[str], progress: Progress | None = None, chunk_rows: int | None = None
) -> tuple[Plan, Iterator[Record]]:
    """The plan with every halt in its place, and the record of one account per margin mode."""
    whole = in_place(planned, modes, progress, chunk_rows)
    return whole, replay(whole, modes, progress, chunk_rows)


def in_place(planned: Plan, modes: Sequence[str], progress: Progress | None, chunk_rows: int | None) -> Plan:
    """The plan with every halt in its place, for one account per margin mode."""

    def play(plans: Sequence[Plan]) -> Iterator[Record]:
        return replay(plans[0], modes, progress, chunk_rows)

    planned.operator.check(planned.selection)
    whole = placed([planned], planned.selection, play)[0]
    length_ms = whole.operator.worst_ms
    if not length_ms:
        return whole
    found = outages.worst(whole.selection, list(replay(whole, modes, progress, chunk_rows)), length_ms)
    return replace(whole, operator=whole.operator.placed(None if found is None else found.outage.start_ms))


def replay_with_shadow(
    planned: Plan, margin: str, progress: Progress | None, chunk_rows: int | None
) -> tuple[Record, Record | str]:
    """The records of one account, and of the same one by the market mark, or why its strategy failed there."""
    (record,) = replay(planned, [margin], progress, chunk_rows)
    # After it and not beside it: a strategy may keep something that both would see, and the account comes first.
    shadow = seated(replace(planned, chaining=planned.chaining.by_market()), margin, Counterfactual)
    stream(planned.selection, [shadow], None, chunk_rows)
    return record, shadow.failure or shadow.record(dict(planned.selection.counts))


def replay(planned: Plan, modes: Sequence[str], progress: Progress | None, chunk_rows: int | None) -> Iterator[Record]:
    """Stream the data once through one account per margin mode, then give their records: one at a time is in memory."""
    players = [seated(planned, mode, AccountRunner) for mode in modes]
    stream(planned.selection, players, progress, chunk_rows)
    return (player.record(dict(planned.selection.counts)) for player in players)


def seated(planned: Plan, margin: str, kind: type[P]) -> P:
    """A player for a new account, with its own strategy."""
    strategy, decisions = own_strategy(planned), planned.decisions
    away = (*planned.away, *planned.operator.away)
    if away:
        stay_away(strategy, away)
        decisions = without_targets(decisions, away) if len(decisions.targets) else decisions
    drill = planned.drill.window if planned.drill else None
    hooks = hook_bits(strategy)
    spool = Spool.beside(planned.config.out, planned.held)
    targets = planned.operator.heard(decisions.targets, planned.selection)
    account = Replay(planned.setup(margin), hooks, targets, decisions.target_kind, drill=drill, spool=spool)
    player = kind(strategy, account, decisions)
    player.usual = planned.usual
    player.freeze_withdrawals(planned.frozen)
    player.operator = planned.operator
    return player


def placed(plans: Sequence[Plan], over: Selection, play: Callable[[Sequence[Plan]], Iterable[Record]]) -> list[Plan]:
    """The plans with the halt of `--outages worst:` put where the books of all together would have lost most.

    ``play`` replays the plans over the rows of ``over``: the first replay, without that halt. It is one halt for all:
    accounts are compared on one history of the chain.
    """
    length_ms = plans[0].chaining.halts.worst_ms
    if not length_ms:
        return list(plans)
    found = outages.worst(over, list(play(plans)), length_ms)
    return [replace(planned, chaining=planned.chaining.placed(found)) for planned in plans]


def own_strategy(planned: Plan) -> base.Strategy:
    """A strategy for one account alone: what one remembers the others must not see."""
    try:
        strategy = copy.deepcopy(planned.strategy)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        thing, where = f"it cannot be copied for each account ({base.cause(error)})", base.place(planned.strategy)
        raise UserError(thing, where, "make such things in on_start, not in __init__") from error
    strategy.bind(planned.config.seed)
    return strategy
