"""Section 7.4: every position of a pool is closed at once."""

from __future__ import annotations

from tests.reference.fund import Fund
from tests.reference.numbers import part, share
from tests.reference.standing import Standing


def whole(standing: Standing, fund: Fund) -> None:
    """At the values; each pays its penalty as long as there is cash."""
    values, left, paid = dict(standing.values), standing.equity, {}
    for name, value in values.items():
        penalty = share(abs(value), standing.asked.terms[name].penalty)
        paid[name] = min(penalty, max(left, 0))
        left -= paid[name]
    close_all(standing, "whole", values, paid)
    settle(standing, fund, paid, bad_debt=0)


def backstop(standing: Standing, fund: Fund) -> None:
    """At the values; all that is left goes to the fund."""
    values, equity = dict(standing.values), standing.equity
    paid = {}
    for name in values:
        paid[name] = standing.part_of_equity(standing.own[name]) if equity > 0 else 0
    if equity > 0:
        paid[list(values)[-1]] += equity - sum(paid.values())
    close_all(standing, "backstop", values, paid, bad_debt=max(0, -equity))
    settle(standing, fund, paid, bad_debt=max(0, -equity))


def bankrupt(standing: Standing, fund: Fund) -> None:
    """The fund pays the shortfall if it may and can; else traders on the other side, or others, bear it."""
    law, values = standing.asked.law, dict(standing.values)
    shortfall = max(0, -standing.equity)
    offered = fund.for_bankrupt(law, standing.ts_ms)
    paid = dict.fromkeys(values, 0)
    # A crossing of level 0 may be a micro above it: a fund that does not pay has then left something as well.
    left = offered < shortfall or not law.fund_when_bankrupt
    if left and law.shortfall == "adl":
        close_all(standing, "adl", bankruptcy_quotes(standing), paid)
        return
    paid[list(values)[-1]] = -min(shortfall, offered)
    bad_debt = max(0, shortfall - offered)
    stage = "socialised" if left and law.shortfall == "socialised" else "whole"
    close_all(standing, stage, values, paid, bad_debt)
    settle(standing, fund, paid, bad_debt)


def bankruptcy_quotes(standing: Standing) -> dict[str, int]:
    """Such that nothing is left: the last takes the rest."""
    own, values = standing.own, standing.values
    quotes = {name: value - standing.part_of_equity(own[name]) for name, value in values.items()}
    last = list(values)[-1]
    others = sum(quote for name, quote in quotes.items() if name != last)
    quotes[last] = -(standing.account.cash(standing.name) + others)
    return quotes


def close_all(standing: Standing, stage: str, quotes: dict[str, int], paid: dict[str, int], bad_debt: int = 0) -> None:
    """Close every position at its quote, then write the rows: as if one position after another had gone.

    `paid` is what goes to the fund for each, `bad_debt` what others bear, in the last row.
    """
    values, lots, own = dict(standing.values), dict(standing.account.lots), standing.own
    equity, whole, left = standing.equity, standing.maintenance, sum(own.values())
    total, maintenance = left, standing.maintenance
    cause = "adl" if stage == "adl" else "liquidation"
    traded = {name: standing.close(name, abs(lots[name]), v, quotes[name], cause) for name, v in values.items()}
    for i, (name, value) in enumerate(values.items()):
        borne = bad_debt if i == len(values) - 1 else 0
        left -= own[name]
        before = (equity, maintenance)
        equity += quotes[name] - value - paid[name] + borne
        maintenance = part(whole, left, total) if total else 0
        loss = max(0, quotes[name] - value)
        standing.note(name, stage, traded[name], before, (equity, maintenance), paid[name], borne, loss)


def settle(standing: Standing, fund: Fund, paid: dict[str, int], bad_debt: int) -> None:
    """Between pool and fund; what the fund pays is negative."""
    standing.account.pay(standing.name, bad_debt - sum(paid.values()))
    for amount in paid.values():
        if amount >= 0:
            fund.receive(amount)
        else:
            fund.pay(-amount, standing.asked.law, standing.ts_ms)
