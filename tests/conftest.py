"""Fixtures and flags that several test files share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import backtest
from backtest.cli import main
from tests import small_market as small

os.environ.setdefault("BACKTEST_KERNELS", "compiled")
"""What users run most of the time is what is tested, however short a test's market; NUMBA_DISABLE_JIT=1 wins."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite tests/scenarios/goldens.json")


WITHOUT_KERNELS = (
    "test_campaign", "test_report_browser", "test_rules_index", "test_site", "test_tidy", "test_type_checks",
    "test_venue_pool", "test_reference", "test_reference_chain", "test_reference_liquidation",
    "test_reference_orders", "test_reference_pools", "test_venue_presets", "test_venue_profile", "test_venue_steps",
    "test_venue_vectors", "test_fetch_data", "test_fetch_rows", "test_fetch_symbols", "test_exchange_server",
    "test_data_fetch", "test_data_fetch_binance", "test_data_fetch_faults", "test_data_fetch_kill",
)  # fmt: skip
"""Files that call no kernel: one worker has them while another compiles for all the rest."""
LONG = (
    "test_bad_input", "test_commands", "test_drill", "test_strategy_lookahead", "test_scenarios_same_bytes",
    "test_markets", "test_parity", "test_order_cases", "test_docs", "test_survival", "test_subaccounts",
    "test_order_properties", "test_verify", "test_environment", "test_sweep", "test_cluster", "test_look_ahead",
    "test_stress", "test_montecarlo", "test_scenarios_shared_margin",
    "test_data_import", "test_data_import_kills", "test_data_remote", "test_data_conversion",
    "test_positions", "test_compare_vary",
    "test_report_page",
)  # fmt: skip
"""Files that take long come before the many that do not: none is left to one worker while the others have ended."""
FIRST = ("test_engine_differential", *WITHOUT_KERNELS, *LONG)
WORKER = "PYTEST_XDIST_WORKER" in os.environ
"""Whether this process is one of several that share the tests, and the cache of compiled kernels."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `FIRST` before the others. Each file keeps the order of its tests."""
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(FIRST)))


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
    """The kernels of a usual run are compiled; one worker does it while the others wait, then they load what it made.

    Tests of every word on standard error need it as well: the first run ever says there that it is compiling.
    """
    from backtest.runner.compare import compare  # itself, not what `ground` may have put in its place

    folder = tmp_path_factory.mktemp("compiled")
    small.write(folder)
    everyones = tmp_path_factory.getbasetemp().parent if WORKER else folder
    with (everyones / "compiling").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        compare(folder / "hold.py", folder / "market")


@pytest.fixture(autouse=True)
def compiled_once(request: pytest.FixtureRequest) -> None:
    """No two workers compile the same kernels at once."""
    if WORKER and request.path.stem not in WITHOUT_KERNELS:
        request.getfixturevalue("compiled")


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
