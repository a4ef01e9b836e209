"""Fixtures and flags that several test files share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import backtest
from backtest.cli import main
from tests import small_market as small


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write tests/goldens.json anew from today's results")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """For tests of every word on standard error: the first run ever says there that it is compiling."""
    folder = tmp_path_factory.mktemp("compiled")
    small.write(folder)
    backtest.compare(folder / "hold.py", folder / "market")


@pytest.fixture
def place(compiled: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, made the current one, with a sound dataset `market` and a sound strategy `hold.py`."""
    monkeypatch.chdir(tmp_path)
    small.write(tmp_path)
    return tmp_path


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., small.Ended]:
    """The command line in this process; what it writes is caught at the file descriptors."""

    def command(*arguments: str) -> small.Ended:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capfd.readouterr()
        return small.Ended(int(ended.value.code or 0), said.out, said.err)

    return command
