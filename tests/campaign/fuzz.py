"""Inputs drawn from a seed, thrown at the program: each must end in one line or in a whole report, and never be taken
where the documents forbid it."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.campaign import command, dataset, ground, settings, tree
from tests.campaign.figures import Figures
from tests.campaign.reached import past

KINDS = ("dataset", "manifest", "settings", "venue", "chain", "book")
OUT = "out"
LEAST_PAST = 0.3
"""Share of the inputs that must come past parsing: else only the parsers are tested."""


class Input(NamedTuple):
    """Arguments of a command, what they name, and what is said of it by the documents."""

    arguments: tuple[str, ...]
    changes: str
    forbidden: str = ""
    same: bool = False
    """The digest must be that of the sound input."""


class Tried(NamedTuple):
    """What came of an input."""

    kind: str
    changes: str
    past: bool
    code: int
    wrong: list[str]


class Fuzz:
    """Draws inputs in a folder made once, and judges what comes of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ground.write(folder)
        self.venues, self.chains = ground.venues(), ground.chain_files()
        self.sound = self._digest("market")

    def _digest(self, data: str) -> str:
        """The digest of the report of a dataset that is sound."""
        out = self.folder / "sound"
        ended = command.play("run", "hold.py", "--data", data, "--out", str(out))
        assert ended.code == 0, ended.err
        return str(command.digest(out))

    def input(self, kind: str, rng: random.Random) -> Input:
        """Write an input of a kind, and say how it is given to the program."""
        run = ("run", "hold.py", "--data", "market", "--out", OUT)
        if kind == "settings":
            drawn = settings.drawn(rng)
            return Input((*run, *drawn.arguments), " ".join(drawn.arguments), drawn.forbidden)
        if kind == "dataset":
            return self._dataset(rng)
        if kind == "book":
            made = tree.changed(rng, [ground.BOOK], as_json=rng.random() < 0.5)
            wanted = ("margin", "book", "--down", "20", "--up", "20", "--out", "out.html")
        else:
            sound = {"manifest": [ground.MANIFEST], "venue": self.venues, "chain": self.chains}[kind]
            made = tree.changed(rng, sound)
            way = rng.random() < 0.3 and kind == "venue"
            wanted = ("venues", "show", "venue.toml") if way else (*run, f"--{kind}", f"{kind}.toml")
        name = "market/dataset.toml" if kind == "manifest" else "book" if kind == "book" else f"{kind}.toml"
        (self.folder / name).write_bytes(made.content)
        return Input(run if kind == "manifest" else wanted, made.changes, made.forbidden)

    def _dataset(self, rng: random.Random) -> Input:
        done = dataset.damage(rng, self.folder / "market")
        check = rng.random() < 0.2 and not done.same
        given = ("data", "check", "market") if check else ("run", "hold.py", "--data", "market", "--out", OUT)
        return Input(given, done.changes, done.forbidden, done.same)

    def try_one(self, seed: int) -> Tried:
        """Draw the input of a seed, play it, judge it, and leave the folder as it was."""
        rng = random.Random(seed)
        kind = KINDS[seed % len(KINDS)]
        given = self.input(kind, rng)
        with past(kind) as came:
            ended = command.play(*given.arguments)
        wrong = command.complaints(ended)
        if "--out" in given.arguments:
            out = self.folder / given.arguments[given.arguments.index("--out") + 1]
            wrong += command.half_written(self.folder, out, ended)
            if given.same and not wrong:
                wrong += self._differs(ended, out)
        if given.forbidden and ended.code == 0:
            wrong.append(f"accepted in silence: {given.forbidden}")
        self._clean()
        return Tried(kind, given.changes, came(), ended.code, wrong)

    def _differs(self, ended: command.Ended, out: Path) -> list[str]:
        if ended.code:
            return [f"refused, though the rows are the same: {ended.err.strip()}"]
        plain = self.folder / "plain"
        wanted = self._digest("plain") if plain.exists() else self.sound
        return [] if command.digest(out) == wanted else ["the same rows give other results"]

    def _clean(self) -> None:
        for name in (OUT, "market", "plain"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("out.html", "book", "venue.toml", "chain.toml"):
            (self.folder / name).unlink(missing_ok=True)
        ground.write(self.folder)


def run(folder: Path, seed: int, count: int) -> Figures:
    """Try ``count`` inputs, of the seeds from ``seed`` on."""
    begun, figures, codes = time.monotonic(), Figures(), Counter[int]()
    tried, came = Counter[str](), Counter[str]()
    fuzz = Fuzz(folder)
    for one in range(seed, seed + count):
        result = fuzz.try_one(one)
        tried[result.kind] += 1
        came[result.kind] += result.past
        codes[result.code] += 1
        for why in result.wrong:
            figures.fail("fuzz", one, f"{result.kind} ({result.changes[:200]}): {why}")
    figures.row("inputs", count)
    for kind in KINDS:
        if tried[kind]:
            share = f"{came[kind] / tried[kind]:.0%} of {tried[kind]:,}"
            figures.row(f"  past parsing, {kind}", share)
    share = sum(came.values()) / count
    figures.row("  past parsing, all", f"{share:.0%}")
    figures.row("  exit 0, 1, 2", ", ".join(f"{codes[code]:,}" for code in (0, 1, 2)))
    if count >= 100 and share < LEAST_PAST:
        figures.fail("fuzz", seed, f"only {share:.0%} of the inputs come past parsing", f" --count {count}")
    figures.row("  seconds", round(time.monotonic() - begun))
    return figures
