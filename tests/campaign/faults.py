"""Kills and errors at every file operation of the commands that write, and writes that are stopped inside.

After each of them the old or the new content lies at the target, and the next command puts everything right.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from tests.campaign import command, ground, toml
from tests.campaign.figures import Figures
from tests.campaign.fork import Gone, fork
from tests.campaign.operations import ERRORS, KILL, Operations, bound

WRITE = "write"
"""A fault inside a write, by the system: at some size of the file."""
HOWS = (KILL, KILL, KILL, WRITE, WRITE, *ERRORS)
PLAY = ("run", "hold.py", "--data", "market")


class Writer(NamedTuple):
    """A command that writes ``target``."""

    name: str
    arguments: tuple[str, ...]
    target: str
    before: tuple[str, ...] = ()
    """The command that writes what lies at the target before; none: nothing does."""
    spoilt: bool = False
    """Whether the candles in what lies there before are out of order."""


SAMPLE = ("data", "sample", "made", "--days", "2", "--symbols", "BTC-USD", "--interval", "1h")
IMPORT = ("data", "import", "market", "--out", "made")
MARGIN = ("margin", "book", "--down", "10", "--up", "10", "--out", "ladder.html")
WRITERS = (
    Writer("run", (*PLAY, "--out", "report"), "report"),
    Writer("run over a report", (*PLAY, "--out", "report"), "report", (*PLAY, "--cash", "5000", "--out", "report")),
    Writer("compare", ("compare", *PLAY[1:], "--out", "report"), "report"),
    Writer("compare over a report", ("compare", *PLAY[1:], "--out", "report"), "report", (*PLAY, "--out", "report")),
    Writer("data sample", SAMPLE, "made"),
    Writer("data sample over one", SAMPLE, "made", (*SAMPLE, "--seed", "7")),
    Writer("data import", IMPORT, "made"),
    Writer("data import over one", IMPORT, "made", (*IMPORT, "--symbol", "BTC-USD")),
    Writer("data repair", ("data", "repair", "made"), "made", SAMPLE, True),
    Writer("data slice", ("data", "slice", "market", "made", "--symbols", "BTC-USD"), "made"),
    Writer("data info --out", ("data", "info", "market", "--out", "page.html"), "page.html"),
    Writer("margin --out", MARGIN, "ladder.html"),
    Writer("margin --out over one", MARGIN, "ladder.html", (*MARGIN[:-2], "--step", "5", *MARGIN[-2:])),
    Writer("cache build", ("cache", "build"), "cache"),
)


def run(folder: Path, seed: int, count: int) -> Figures:
    """Inject ``count`` faults, of the seeds from ``seed`` on."""
    begun, figures = time.monotonic(), Figures()
    _load()
    faults, died = Counter[str](), 0
    campaign = Faults(folder)
    for one in range(seed, seed + count):
        result = campaign.inject(one)
        faults[result.how] += 1
        died += result.died
        for why in result.wrong:
            figures.fail("faults", one, f"{result.told}: {why}")
    figures.row("faults injected", count)
    for how, times in sorted(faults.items()):
        figures.row(f"  {how}", times)
    figures.row("  processes that died of one", died)
    figures.row("  seconds", round(time.monotonic() - begun))
    return figures


def _load() -> None:
    """Import what the commands import, so that no fork need do it; nothing of it queries Polars."""
    rooms = ("cli.output", "engine.replay", "data.sample", "report.page", "runner.compare", "calculator.calculation")
    for name in rooms:
        import_module(f"backtest.{name}")


class Injected(NamedTuple):
    """What a fault was, and what came of it."""

    told: str
    how: str
    died: bool
    wrong: list[str]


class Faults:
    """Each fault is injected in a fork; the folder is put back before each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder / "ground", folder / "kept"
        self.folder.mkdir()
        self.kept.mkdir()
        os.chdir(self.folder)
        self.counts: dict[str, int] = {}
        self.contents: dict[str, tuple[str | None, str]] = {}
        fork(lambda: _prepare(self.folder))

    def _known(self, writer: Writer) -> tuple[int, str | None, str]:
        """How many operations a writer has, and the content of its target before and after."""
        if writer.name not in self.counts:
            if writer.before:
                self._play(writer.before)
                if writer.spoilt:
                    fork(lambda: _spoil(Path(writer.target)))
                shutil.move(writer.target, self.kept / writer.name)
            before = content(self.kept / writer.name)
            self._put(writer)
            gone = self._play(writer.arguments, Operations(self.folder))
            assert gone.given is not None, gone
            assert gone.given["code"] == 0, gone
            self.counts[writer.name] = gone.given["operations"]
            self.contents[writer.name] = before, str(content(Path(writer.target)))
        return self.counts[writer.name], *self.contents[writer.name]

    def _put(self, writer: Writer) -> None:
        """Put the target back to what lay there before, and clear the rest away."""
        for path in self.folder.iterdir():
            if path.name not in ("market", "hold.py", "chance.py", "book"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        old = self.kept / writer.name
        if old.is_dir():
            shutil.copytree(old, writer.target)
        elif old.exists():
            shutil.copy(old, writer.target)

    def _play(self, arguments: tuple[str, ...], watched: Operations | None = None, prepare: Any = None) -> Gone:
        def act() -> dict[str, Any]:
            if arguments[0] == "cache":
                _small_cache(self.folder / "cache")
            if watched is not None:
                watched.watch()
            if prepare is not None:
                prepare()
            ended = command.play(*arguments)
            return {**vars(ended), "operations": watched.count if watched else 0}

        return fork(act)

    def inject(self, seed: int) -> Injected:
        """Draw the writer, the operation and the fault of a seed, and judge what is left."""
        rng = random.Random(seed)
        writer = WRITERS[seed % len(WRITERS)]
        operations, old, new = self._known(writer)
        how, at = rng.choice(HOWS), rng.randrange(1, operations + 1)
        self._put(writer)
        kills, stays = rng.random() < 0.5, rng.random() < 0.3
        if how == WRITE:
            size = rng.choice((0, 1, 100, 1000, 3000, 10_000, 100_000, 1_000_000))
            told = f"{writer.name}, no file beyond {size} bytes ({'killed' if kills else 'EFBIG'})"
            gone = self._play(writer.arguments, prepare=lambda: bound(size, kills))
        else:
            told = f"{writer.name}, {how} at operation {at} of {operations}{' and after' * stays}"
            gone = self._play(writer.arguments, Operations(self.folder, at, how, stays))
        wrong = self._judge(writer, gone, old, new) + self._recovered(writer, new)
        return Injected(told, how, gone.given is None, wrong)

    def _judge(self, writer: Writer, gone: Gone, old: str | None, new: str) -> list[str]:
        wrong = []
        if gone.given is not None:
            given = {key: gone.given[key] for key in ("code", "out", "err", "seconds")}
            wrong += command.complaints(command.Ended(**given))
        elif gone.code == 1:
            wrong.append("the command let an exception out")
        left = content(Path(writer.target))
        if writer.target != "cache" and left not in (old, new):
            wrong.append(f"{writer.target} is neither the old nor the new")
        if gone.given is not None and gone.given["code"] == 0 and left != new and writer.target != "cache":
            wrong.append("exit 0, and the new content is not there")
        return wrong

    def _recovered(self, writer: Writer, new: str) -> list[str]:
        """The next command puts everything right."""
        again = self._play(writer.arguments)
        if again.given is None or again.given["code"] != 0:
            return [f"the next command does not put it right: {again}"]
        wrong = [f"left {path.name}" for path in self.folder.rglob(".*") if path.name.endswith(command.LEFTOVERS)]
        if writer.target != "cache" and content(Path(writer.target)) != new:
            wrong.append("the next command writes something else")
        if writer.target == "cache" and self._tripled() != 21:
            wrong.append("a kernel from the cache gives another number")
        return wrong

    def _tripled(self) -> Any:
        def act() -> int:
            _small_cache(self.folder / "cache")
            from backtest.engine.machine import entry
            from tests.campaign.kernel import tripled

            return int(entry(tripled)(7))

        return fork(act).given


def _prepare(folder: Path) -> None:
    ground.write(folder)
    (folder / "book").write_text(toml.text(ground.BOOK))


def _spoil(dataset: Path) -> None:
    """Write the candles of a dataset from the last to the first."""
    for file in dataset.glob("candles/*/*.parquet"):
        rows = pq.read_table(file, use_threads=False)
        pq.write_table(rows.take(list(range(len(rows)))[::-1]), file)


def _small_cache(folder: Path) -> None:
    """A cache of one small kernel, in ``folder``."""
    import backtest.engine.replay  # noqa: F401  all the others are defined by now
    from backtest.engine import compile as kernels
    from tests.campaign.kernel import tripled

    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    os.environ["BACKTEST_KERNELS"] = "compiled"
    os.environ.pop("NUMBA_DISABLE_JIT", None)
    kernels.CALLED[:] = [tripled]


def content(path: Path) -> str | None:
    """A digest of all that lies at a path; None: nothing does."""
    if not path.exists():
        return None
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = sha256()
    for file in files:
        found.update(str(file.relative_to(path)).encode() + b"\0" + (file.read_bytes() if file.is_file() else b""))
    return found.hexdigest()
