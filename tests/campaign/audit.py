"""Configurations drawn from a seed, played twice to the same bytes, and audited by a reader of the tables."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path

from tests.campaign import command, ground, market, settings
from tests.campaign.figures import Figures
from tests.campaign.reader import imbalances

MARKETS = 6
"""Markets that the configurations are played on."""
LEAST_PLAYED = 0.5
"""Share of the configurations that must be played, not refused: drawn flags may contradict each other."""


def drawn(seed: int) -> list[str]:
    """The arguments of a command with a strategy of chance, up to nine flags, and a dataset of `MARKETS`."""
    rng = random.Random(seed)
    sound = {flag: values for flag, values in settings.SOUND.items() if flag not in ("-p", "--from", "--to", "--cash")}
    sound |= {"--interval": ("10m", "1h"), "--fee-bps": ("1", "5", "20"), "--cash": ("100000", "2500.5")}
    arguments = ["chance.py", "--data", f"wild{rng.randrange(MARKETS)}"]
    for flag in rng.sample(list(sound), rng.randrange(10)):
        if flag != "--margin":
            values = rng.sample(sound[flag], rng.choice((1, 2)) if flag in settings.ONCE else 1)
            kinds = {value.partition("=")[0]: value for value in values}  # each kind of a model once
            arguments += [word for value in kinds.values() for word in (flag, value)]
    if "--interval" in arguments and rng.random() < 0.5:
        arguments += ["--drill", "5m"]
    arguments += ["--no-gas"] * (rng.random() < 0.2)
    if "history" in arguments and "--chain" not in arguments:
        arguments += ["--chain", "arbitrum"]
    often, size = rng.choice((0.05, 0.3, 0.9)), rng.choice((0.1, 0.5, 2.0, 9.0))
    arguments += ["-p", f"often={often}", "-p", f"size={size}"]
    arguments += [] if "--seed" in arguments else ["--seed", str(rng.randrange(1000))]
    how = rng.random()
    if how < 0.25:
        return ["compare", *arguments]
    if how < 0.4:
        return ["run", "chance.py", *arguments, "--sub-accounts"]
    margin = rng.choice(settings.SOUND["--margin"])
    if margin == "portfolio" and "--venue" in arguments:
        margin = "isolated"
    return ["run", *arguments, "--margin", margin]


def run(folder: Path, seed: int, count: int) -> Figures:
    """Play and audit ``count`` configurations, of the seeds from ``seed`` on."""
    begun, figures, ends = time.monotonic(), Figures(), Counter[int]()
    ground.write(folder)
    for number in range(MARKETS):
        market.write(folder / f"wild{number}", number)
    wrong = accounts = 0
    for one in range(seed, seed + count):
        arguments = drawn(one)
        code, found, audited = audit(folder, arguments)
        ends[code] += 1
        accounts += audited
        wrong += bool(found)
        for why in found:
            figures.fail("audit", one, f"{' '.join(arguments)}: {why}")
    figures.row("configurations", count)
    figures.row("  played twice and audited", ends[0])
    figures.row("  refused, failed", f"{ends[2]:,}, {ends[1]:,}")
    figures.row("  accounts audited", accounts)
    figures.row("  with an imbalance or a difference", wrong)
    if ends[0] < LEAST_PLAYED * count and count >= 20:
        figures.fail("audit", seed, f"only {ends[0]} of {count} configurations were played", f" --count {count}")
    figures.row("  seconds", round(time.monotonic() - begun))
    return figures


def audit(folder: Path, arguments: list[str]) -> tuple[int, list[str], int]:
    """How the first of two plays ended, what is wrong, and how many accounts were audited."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    ended = command.play(*arguments, "--out", "out")
    wrong = command.complaints(ended) + command.half_written(folder, out, ended)
    if ended.code or wrong:
        return ended.code, wrong, 0
    first = contents(out)
    command.play(*arguments, "--out", "out")
    if contents(out) != first:
        wrong.append("played twice it gives other bytes")
    data = folder / arguments[arguments.index("--data") + 1]
    wrong += imbalances(out, data)
    return 0, wrong, sum(1 for _ in out.rglob("ledger.parquet"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a report."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
