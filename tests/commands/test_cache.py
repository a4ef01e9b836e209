"""The cache of compiled kernels: nothing in it, and no fault of its disk, stops a run or changes a result."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backtest.core import disk
from backtest.core.errors import CacheWarning
from backtest.engine import builder, cache
from backtest.engine.state import State  # noqa: F401  the kernels are defined by now
from tests.commands.test_tiers import environment

ROOT = Path(__file__).parents[2]
CODE = b"machine code" * 1000


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own that has said nothing yet."""
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_unkept", [])


def smallest() -> Callable[..., Any]:
    return next(kernel for kernel in cache.CALLED if kernel.__name__ == "symbol_of")


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    assert cache.load(smallest()) is None
    cache.keep(smallest(), CODE)
    assert cache.load(smallest()) == CODE
    assert [path.name for path in cache.folder().iterdir()] == [cache.file(smallest()).name]
    assert cache.file(smallest()) not in disk.put_in_place(), "nothing that its user asked for"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in the checksum": lambda whole: whole[:7],
    "cut": lambda whole: whole[:-1],
    "garbage": lambda whole: bytes(k * 37 % 251 for k in range(len(whole))),
    "one bit": lambda whole: whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
    "longer": lambda whole: whole + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_dropped_with_one_line(damage: str) -> None:
    cache.keep(smallest(), CODE)
    path = cache.file(smallest())
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert cache.damaged() == [smallest()]
    with pytest.warns(CacheWarning) as said:
        assert cache.load(smallest()) is None
    assert [str(line.message).count("\n") for line in said] == [0]
    assert not path.exists()
    assert not cache.damaged()


def is_a_file(folder: Path, _patch: pytest.MonkeyPatch) -> str:
    folder.write_text("not a folder")
    return "is not a folder"


def is_read_only(folder: Path, patch: pytest.MonkeyPatch) -> str:
    """As root may write everywhere, the system's answers are given in its place."""
    patch.setattr(os, "access", lambda *_: False)
    return "is not writable"


def is_full(folder: Path, patch: pytest.MonkeyPatch) -> str:
    def no_space(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(Path, "write_bytes", no_space)
    return "No space left on device"


def changed_meanwhile(_folder: Path, patch: pytest.MonkeyPatch) -> str:
    patch.setattr(cache, "_digest", cache._digest.__wrapped__)
    patch.setattr(cache, "_IMPORTED", [(0, 0, 0)])
    return "the program's files have changed"


@pytest.mark.parametrize("fault", [is_a_file, is_read_only, is_full, changed_meanwhile])
def test_what_cannot_be_kept_is_said_once(fault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = fault(tmp_path / "cache", monkeypatch)
    with warnings.catch_warnings(record=True, action="always") as said:
        assert cache.load(smallest()) is None
        cache.keep(smallest(), CODE)
        cache.keep(smallest(), CODE)
    assert [line.category for line in said] == [CacheWarning]
    assert reason in str(said[0].message)
    assert cache.missing() == cache.CALLED
    assert reason in builder.build(), "compiling ahead would be in vain"


def test_a_draft_of_a_killed_process_goes_with_the_next_write(monkeypatch: pytest.MonkeyPatch) -> None:
    path = cache.file(smallest())
    path.parent.mkdir(parents=True)
    left = path.with_name(f".{path.name}.1-1.partial")
    left.write_bytes(b"half")
    cache.keep(smallest(), CODE)
    assert not left.exists()


def test_the_folder_is_of_all_that_decides_what_a_kernel_does(monkeypatch: pytest.MonkeyPatch) -> None:
    made = cache._digest.__wrapped__
    plain = made()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert made() == plain
    monkeypatch.setenv("NUMBA_OPT", "1")
    assert made() != plain
    wanted = r"^ *from backtest\.(?!engine|core\.(?:disk|cache_folder|rows|spool) |core import)([\w.]+) import"
    imported = {
        name.replace(".", "/") + ".py"
        for source in cache.ROOM.glob("*.py")
        for name in re.findall(wanted, source.read_text(), re.MULTILINE)
    }
    assert imported == set(cache.OTHERS)
    optimised = [
        subprocess.run(
            [sys.executable, *flags, "-c", "from backtest.engine import cache; print(cache.folder().name)"],
            env=environment(ROOT) | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        ).stdout
        for flags in ([], ["-O"])
    ]  # fmt: skip
    assert optimised[0] != optimised[1]


TWICE = """
import sys, warnings
from backtest.engine import cache, machine, replay
kernel = next(kernel for kernel in cache.CALLED if kernel.__name__ == "symbol_of")
machine.entry(kernel)
print(cache.holds(kernel), len(cache.damaged()))
"""


def test_numba_makes_again_what_it_cannot_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound files of ours and files that hold something else; Numba writes nothing anywhere else."""

    def run(**more: str) -> tuple[str, list[str]]:
        done = subprocess.run(
            [sys.executable, "-c", TWICE], env=environment(tmp_path) | more, capture_output=True, text=True, check=True
        )
        return done.stdout.strip(), [line for line in done.stderr.splitlines() if "Warning" in line]

    before = set(ROOT.glob("backtest/**/*.nb[ic]"))
    assert run() == ("True 0", [])
    (path,) = tmp_path.glob("cache/perp-backtest/*/*.kernel")
    whole = path.read_bytes()
    assert run() == ("True 0", [])
    assert path.read_bytes() == whole
    monkeypatch.setattr(cache, "file", lambda _: path)
    cache.keep(smallest(), b"no pickle at all")
    out, said = run()
    assert (out, len(said), "cannot be loaded" in said[0]) == ("True 0", 1, True)
    path.write_bytes(b"")
    out, said = run()
    assert (out, len(said), "is damaged" in said[0]) == ("True 0", 1, True)
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    out, said = run(NUMBA_CACHE_DIR=str(blocked))
    assert (out, len(said), "is not a folder" in said[0]) == ("False 0", 1, True)
    assert set(ROOT.glob("backtest/**/*.nb[ic]")) == before
