"""Fixtures and flags that several test files share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest.cli import main
from tests import small_market as small


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write tests/goldens.json anew from today's results")


NO_CHAIN, INSTANT = "no chain", "instant"
DIGESTS: dict[str, list[str]] = {}
"""Of all runs of a scenario without a chain, by the test's name."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Scenarios are played without a chain, and again on the chain `instant`: the same assertions, the same bytes."""
    name = metafunc.module.__name__.rpartition(".")[2]
    if name.startswith("test_scenarios_") and name != "test_scenarios_layer2":
        metafunc.parametrize("ground", [NO_CHAIN, INSTANT], indirect=True)


@pytest.fixture(autouse=True)
def ground(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the runs of a scenario are on, where it does not say so itself."""
    if not hasattr(request, "param"):
        yield
        return
    taken: list[str] = []

    def on(play: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **settings: Any) -> Any:
            done = play(*arguments, **({} if request.param == NO_CHAIN else {"chain": INSTANT}) | settings)
            taken.extend(result.digest for result in getattr(done, "results", [done]))
            return done

        return run

    for name in ("run", "compare", "subaccounts"):
        monkeypatch.setattr(backtest, name, on(getattr(backtest, name)))
    yield
    plain = DIGESTS.setdefault(request.node.nodeid.replace(INSTANT, NO_CHAIN), taken)
    assert taken == plain


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
