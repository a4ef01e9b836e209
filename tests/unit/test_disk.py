"""The one writer: at every moment, and at every point of a crash, the old or the new content lies at the target."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backtest.core import disk
from backtest.core.errors import UserError

OPERATIONS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open", "os.listdir", "os.scandir"}
"""Audit events of Python that a write goes through; exchanging names has none, so `_exchange` is counted too."""


def fill(folder: Path, text: str) -> None:
    (folder / "a.txt").write_text(text)
    (folder / "inner").mkdir()
    (folder / "inner" / "b.txt").write_text(text)


def write(target: Path, text: str) -> None:
    with disk.whole_folder(target) as draft:
        fill(draft, text)


def content(target: Path) -> str | None:
    """What lies there: a whole folder's text, None for nothing; half a folder fails."""
    if not target.exists():
        return None
    texts = {(target / "a.txt").read_text(), (target / "inner" / "b.txt").read_text()}
    assert len(texts) == 1
    return texts.pop()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def killed_at(n: int, act: Callable[[], None]) -> bool:
    """Run ``act`` in a forked process that dies before its ``n``-th file operation; False: it got to its end."""
    child = os.fork()
    if child == 0:
        left = [n]

        def count(event: str, _: Any) -> None:
            if event in OPERATIONS:
                left[0] -= 1
                if left[0] == 0:
                    os._exit(9)

        exchange = disk._exchange

        def counted(one: Path, other: Path) -> bool:
            count("open", None)
            done = exchange(one, other)
            count("open", None)
            return done

        disk._exchange = counted
        sys.addaudithook(count)
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.parametrize("exchange", [True, False], ids=["exchange", "set aside"])
@pytest.mark.parametrize("before", ["old", None])
def test_a_crash_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool, before: str | None
) -> None:
    if not exchange:
        monkeypatch.setattr(disk, "_exchange", lambda one, other: False)
    n, seen = 0, set()
    while True:
        n += 1
        target = tmp_path / str(n) / "report"
        target.parent.mkdir()
        if before is not None:
            write(target, before)
        died = killed_at(n, lambda target=target: write(target, "new"))
        if exchange:
            assert content(target) in {before, "new"}
        disk.recover(target)  # as the next command does
        seen.add(content(target))
        assert content(target) in {before, "new"}
        assert names(target.parent) in ([], ["report"])
        if not died:
            break
    assert seen == {before, "new"}
    assert n > 10


def test_a_living_draft_is_left_alone_and_a_dead_one_removed(tmp_path: Path) -> None:
    target = tmp_path / "report"
    dead = tmp_path / ".report.999999-1.partial"
    dead.mkdir()
    foreign = tmp_path / ".report.mine.partial"
    foreign.mkdir()
    link = tmp_path / ".report.999999-2.partial"
    link.symlink_to(foreign)
    with disk.whole_folder(target) as draft:
        fill(draft, "one")
        write(target, "other")  # another writer, before the first one is done
        assert draft.is_dir()
        assert content(target) == "other"
    assert content(target) == "one"
    assert names(tmp_path) == [link.name, foreign.name, "report"]


def test_a_failure_leaves_the_old(tmp_path: Path) -> None:
    target = tmp_path / "report"
    write(target, "old")

    def failing() -> None:
        with disk.whole_folder(target) as draft:
            fill(draft, "new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert content(target) == "old"
    assert names(tmp_path) == ["report"]


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    for text in ("old", "new"):
        with disk.whole_file(target) as draft:
            draft.write_text(text)
    assert target.read_text() == "new"
    assert names(tmp_path) == ["page.html"]


def test_no_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a symbolic link, which is not written through; name it"):
        disk.refuse_link(tmp_path / "link", "name it")


def test_what_was_put_in_place_is_asked_of_the_disk(tmp_path: Path) -> None:
    target = tmp_path / "report"
    write(target, "mine")
    assert target in disk.put_in_place()
    target.rename(tmp_path / "moved")
    assert target not in disk.put_in_place()


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
import backtest.cli
from backtest.core import disk
from backtest.cli import data
target, after = Path(sys.argv[1]), sys.argv[2] == "after"
place = disk._place
def interrupted(*what):
    if after:
        place(*what)
    os.kill(os.getpid(), signal.SIGINT)
    if not after:
        place(*what)
disk._place = interrupted
remove = disk._remove
def again(path):
    remove(path)
    os.kill(os.getpid(), signal.SIGINT)
disk._remove = again
backtest.cli.main(["data", "sample", str(target), "--days", "1", "--symbols", "BTC-USD"])
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_message_of_an_interruption_is_true(tmp_path: Path, when: str) -> None:
    # Ctrl-C around the moment at which the content takes its place, and once more while the draft is removed.
    target = tmp_path / "sample"
    command = [sys.executable, "-c", INTERRUPTED, str(target), when]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = f"{target} was written" if when == "after" else "nothing was written"
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, f"error: interrupted; {said}\n")
    assert target.exists() == (when == "after")
