"""Flags of `backtest run`, drawn: sound ones, odd ones, and ones that the documents forbid."""

from __future__ import annotations

import random
from dataclasses import dataclass

SOUND: dict[str, tuple[str, ...]] = {
    "--symbols": ("BTC-USD", "ETH-USD,BTC-USD"),
    "--from": ("2024-03-01", "2024-03-01T05:00", "2024-03-01 05:30"),
    "--to": ("2024-03-02", "2024-03-02T12:00"),
    "--interval": ("1h", "2h", "4h", "60m"),
    "--venue": ("generic", "dydx_v4", "binance", "hyperliquid", "gmx_v2", "okx"),
    "--leverage": ("max", "1", "3.5", "20"),
    "--isolate-above": ("0.5", "1", "0.01"),
    "--adl": ("2024-03-01T10:00,BTC-USD,0.5", "2024-03-02T01:30,*,1", "move=5%/10m,0.2"),
    "--adl-top": ("0", "1", "3"),
    "--cash": ("100000", "1", "0.000001", "1e9"),
    "--path": ("coherent", "worst", "best"),
    "--latency-ms": ("0", "250", "7200000"),
    "--chain": ("arbitrum", "dydx_chain", "instant", "base"),
    "--outages": ("2024-03-01T10:00/3h", "history", "poisson=50/year:60m:8h", "worst:30m"),
    "--reorg": ("30s", "0s"),
    "--oracle": ("delay=3s", "heartbeat=1h", "deviation=0.5%", "average=30s", "limit=60s"),
    "--reserve": ("0", "5000"),
    "--slippage-bps": ("0", "5", "99"),
    "--slippage": ("half-spread=1", "impact=0.5", "volume=0.1", "stress=2", "drift=0.5", "half-spread=edge"),
    "--volume-share": ("10%", "taker=10%,maker=5%", "100%"),
    "--limit-fill": ("through", "touch"),
    "--fee-bps": ("0", "5", "50"),
    "--maker-fee-bps": ("-1", "2"),
    "--fee-discount": ("10%",),
    "-p": ("size=2", "pause=5", "fast=false", "mode=short"),
    "--seed": ("0", "7"),
    "--guard": ("stop=5%", "trail=8%", "loss=20", "call=0.5", "drawdown=20%", "age=6h", "account-loss=10%"),
    "--margin": ("cross", "isolated", "portfolio", "cross,BTC-USD=isolated"),
}
FLAGS = ("--force-inclusion", "--no-gas", "--no-mark-cost", "--verbose", "--json")
ONCE = {"--slippage", "--adl", "--outages", "--oracle", "--guard", "-p"}
"""Flags that may be given more than once."""
FORBIDDEN = (
    ("--symbols", "BTCUSD"), ("--symbols", ""), ("--from", "yesterday"), ("--from", "2024-03-05"),
    ("--to", "2024-02-01"),
    ("--interval", "90m"), ("--interval", "0h"), ("--interval", "7m"), ("--venue", "nowhere"), ("--venue", "hold.py"),
    ("--leverage", "0"), ("--leverage", "nan"), ("--leverage", "inf"), ("--isolate-above", "1.5"), ("--adl", "soon"),
    ("--adl-top", "-1"), ("--cash", "0"), ("--cash", "nan"), ("--cash", "inf"), ("--cash", "1e30"), ("--path", "best?"),
    ("--latency-ms", "-1"), ("--latency-ms", "1.5"), ("--chain", "nowhere"), ("--outages", "2024-03-01/0h"),
    ("--outages", "poisson=-1/year:60m:8h"), ("--reorg", "-1s"), ("--oracle", "delay=x"), ("--oracle", "colour=3"),
    ("--reserve", "-1"), ("--slippage-bps", "-1"), ("--slippage-bps", "nan"), ("--slippage", "impact=-1"),
    ("--slippage", "volume=nan"), ("--volume-share", "0%"), ("--volume-share", "101%"), ("--limit-fill", "maybe"),
    ("--fee-bps", "-1"), ("--fee-bps", "nan"), ("--fee-discount", "nosuch"), ("-p", "size=11"), ("-p", "sise=1"),
    ("-p", "size"), ("--seed", "-1"), ("--allow", "everything"), ("--guard", "stop=0%"), ("--guard", "halt=1"),
    ("--margin", "cros"), ("--margin", ""), ("--no-such-flag", "1"), ("--drill", "5m"), ("--loss-cap", "20%"),
)  # fmt: skip
ODD = (
    "",
    " ",
    "-",
    "0",
    "1e308",
    "-0",
    "1e-320",
    "\x1b[31m",
    "\u202e",
    "9" * 400,
    "é",
    "a=b=c",
    "%",
    "1/0",
    "..",
    "\udcff",
)


@dataclass(frozen=True)
class Drawn:
    """Arguments, and why they may not be accepted (empty: they may)."""

    arguments: list[str]
    forbidden: str = ""


def drawn(rng: random.Random) -> Drawn:
    """Up to six sound flags; half of the time with one that is not."""
    arguments = []
    for flag in rng.sample(list(SOUND), rng.randrange(7)):
        times = rng.choice((1, 1, 2)) if flag in ONCE else 1
        for value in rng.sample(SOUND[flag], min(times, len(SOUND[flag]))):
            arguments += [flag, value]
    arguments += rng.sample(FLAGS, rng.randrange(2))
    draw = rng.random()
    if draw < 0.3:
        flag, value = rng.choice(FORBIDDEN)
        if flag not in arguments:
            return Drawn([*arguments, flag, value], f"{flag} {value}")
    elif draw < 0.5:
        flag = rng.choice(list(SOUND))
        if flag not in arguments:
            return Drawn([*arguments, flag, rng.choice(ODD)])
    return Drawn(arguments)
