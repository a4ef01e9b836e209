"""The survival table: a row for each scenario, variant and margin mode."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from backtest.core.times import EPOCH
from backtest.data.scenarios.schema import Scenario
from backtest.report import formatting as fmt
from backtest.research.scenario_effects import Effects
from backtest.research.stress_run import Account

BASELINE = "baseline"
"""What a row without a scenario is called."""
TIME = pl.Datetime("ms", "UTC")
HEAD = {"scenario": pl.String(), "title": pl.String()}
TAIL = {
    "venue": pl.String(), "margin": pl.String(), "at": TIME, "survived": pl.Boolean(), "first_liquidation": TIME,
    "end_equity": pl.Float64(), "return": pl.Float64(), "min_distance": pl.Float64(), "bad_debt": pl.Float64(),
    "liquidations": pl.Int64(), "fees": pl.Float64(), "funding": pl.Float64(), "changed": pl.Boolean(),
    "reason": pl.String(), "error": pl.String(), "digest": pl.String(),
}  # fmt: skip
OWN = (*HEAD, *TAIL)


def schema(varied: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Columns of the table; ``varied``: those of what varies, the venue apart."""
    return {**HEAD, **varied, **TAIL}


def row(
    scenario: Scenario | None,
    varied: Mapping[str, object],
    venue: str,
    at_ms: int | None,
    account: Account,
    base: Account | None,
    effects: Effects | None,
) -> dict[str, Any]:
    """The row of an account. ``base``: the same account without a scenario."""
    changed = None if base is None else account.digest != base.digest
    return {
        **_head(scenario), **varied, "venue": venue, "margin": account.margin, "at": _time(at_ms),
        "survived": account.liquidations == 0 and account.final_equity > 0,
        "first_liquidation": _time(account.first_liquidation), "end_equity": account.final_equity,
        "return": account.profit, "min_distance": account.min_distance, "bad_debt": account.bad_debt,
        "liquidations": account.liquidations, "fees": account.fees, "funding": account.funding, "changed": changed,
        "reason": _reason(scenario, account, base, effects), "error": None, "digest": account.digest,
    }  # fmt: skip


def lost(scenario: Scenario | None, varied: Mapping[str, object], venue: str, margin: str, why: str) -> dict[str, Any]:
    """The row of a run that failed, or of a margin mode that the venue does not have."""
    empty = dict.fromkeys(TAIL)
    return {**_head(scenario), **varied, **empty, "venue": venue, "margin": margin, "error": why, "reason": why}


def _head(scenario: Scenario | None) -> dict[str, str]:
    if scenario is None:
        return {"scenario": BASELINE, "title": "Without a scenario"}
    return {"scenario": scenario.name, "title": scenario.title or scenario.name}


def _time(ms: int | None) -> dt.datetime | None:
    return None if ms is None else EPOCH + dt.timedelta(milliseconds=ms)


def _reason(scenario: Scenario | None, account: Account, base: Account | None, effects: Effects | None) -> str:
    """What happened, in a sentence; of an account that the scenario did not change, why."""
    notes = " ".join(effects.notes) if effects else ""
    if base is not None and account.digest == base.digest:
        return f"Unchanged: {unchanged(scenario, effects)}. {notes}".strip()
    said = []
    if account.first_liquidation is not None:
        price = "" if account.first_price is None else f" at {fmt.price(account.first_price)}"
        when = fmt.moment(account.first_liquidation)
        said.append(f"{account.first_symbol} liquidated{price} on {when}")
        if base is not None and base.first_liquidation == account.first_liquidation:
            said[-1] += ", as without the scenario"
        if base is not None and base.liquidations:
            said.append(
                f"{fmt.plural(account.liquidations, 'liquidation')}, {base.liquidations:,} without the scenario"
            )
        elif account.liquidations > 1:
            said.append(f"{account.liquidations:,} liquidations in all")
    elif account.min_distance is not None:
        said.append(f"closest to liquidation at a distance of {fmt.percent(account.min_distance)}")
    if account.adl:
        said.append("deleveraged")
    if account.bad_debt:
        said.append(f"bad debt of {fmt.number(account.bad_debt)}")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}. {notes}".strip() if text else f"No position was held. {notes}".strip()


def unchanged(scenario: Scenario | None, effects: Effects | None) -> str:
    """Why a scenario did not change an account."""
    if scenario is None or effects is None:
        return "nothing is held at any close after which it fits into the run"
    why = [text for name, text in _WHY.items() if getattr(scenario, name)]
    if scenario.price and all(event.mark[0] == "only" for event in scenario.price):
        why[0] = "the mark moved and came back inside candles, and no liquidation and no order depended on it"
    return ", and ".join(why) if why else "the scenario changes nothing"


_WHY = {
    "price": "the account held nothing that moved",
    "funding": "no position was held at a settlement of its window",
    "liquidity": "the run's fills pay no spread and no impact (--slippage), or none fell into its window",
    "outage": "nothing was sent, filled or due during the outage",
    "oracle": "no liquidation and no order depended on the mark in its window",
    "terms": "no order and no liquidation depended on the higher margin",
    "adl": "no position in profit was there to be closed",
    "trader": "the strategy decided nothing in that time",
    "withdrawal": "the strategy withdraws nothing in that time",
    "fund": "no loss came to the insurance fund, or the venue has none",
    "keepers": "no liquidation was due in that time",
    "front_running": "no taker order was filled in that time",
    "cascade": "no level of the cascade was reached",
}
"""By kind of event."""


def columns(frame: pl.DataFrame) -> Sequence[str]:
    """Columns of what varies."""
    return [name for name in frame.columns if name not in OWN]
