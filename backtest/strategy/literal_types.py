"""The words that hooks and orders use, as types: a type checker finds a misspelt one and an editor completes them."""

from __future__ import annotations

from typing import Literal, TypeAlias

CandleField: TypeAlias = Literal["open", "high", "low", "close", "volume"]
MarginModeName: TypeAlias = Literal["cross", "isolated"]
TriggerName: TypeAlias = Literal["last", "mark"]
TifName: TypeAlias = Literal["gtc", "ioc", "fok", "gtd"]
OrderTypeName: TypeAlias = Literal[
    "market", "limit", "stop_market", "stop_limit", "take_profit_market", "take_profit_limit", "trailing_stop"
]
OpenOrderState: TypeAlias = Literal["in_flight", "dormant", "armed", "working"]
OrderStateName: TypeAlias = Literal[
    "dormant", "armed", "working", "triggered", "partly_filled", "amended", "filled", "cancelled", "expired", "rejected"
]
ReasonName: TypeAlias = Literal[
    "margin", "reduce_only", "delisted", "step", "liquidation", "strategy", "end_of_run", "limit", "halted", "quantity",
    "price", "bracket", "min_notional", "open_orders", "post_only", "would_trigger", "ioc", "fok", "gtd", "oco",
    "parent", "not_open", "amend", "outage", "gas", "stale", "gated", "collateral", "reserve", "price_band",
    "margin_limit",
]  # fmt: skip
CauseName: TypeAlias = Literal["strategy", "liquidation", "delisting", "adl", "guard", "reorg", "opening"]
LiquidityName: TypeAlias = Literal["taker", "maker"]
StageName: TypeAlias = Literal["whole", "partial", "position", "backstop", "adl", "socialised", "deleveraged"]
TransferKindName: TypeAlias = Literal["deposit", "withdrawal"]
TransferStateName: TypeAlias = Literal["sent", "arrived", "rejected"]
