"""Workers on other machines: the same jobs, sent to a Dask cluster.

Each worker makes its own player once and opens the data by path, so a shared file system shows them at the same place.
Jobs whose worker is lost are given to another one by Dask.
"""

from __future__ import annotations

import importlib
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from backtest.core.errors import BacktestError, RunError, UserError
from backtest.research.workers import AHEAD, Died, Task
from backtest.results.summary import versions

J = TypeVar("J")

FLAG = "--cluster"
PATIENCE_S = 10
"""Seconds in which a scheduler answers, and has a worker."""
TOGETHER = 16
"""Jobs that are sent to a worker together, at most: each message takes the scheduler time."""
SHARE = 8
"""Jobs that every core has done, for each that is sent together."""
_local = threading.local()


@dataclass
class ClusterPool(Generic[J]):
    """Plays jobs on the workers of the Dask scheduler at ``address``; the answers are those of :class:`Pool`."""

    task: Task
    address: str

    def answers(self, jobs: Iterable[J], arrived: Callable[[J, Any], None] | None = None) -> Iterator[tuple[J, Any]]:
        """Each job with its answer, in the order of the jobs; ``arrived`` is called with each as soon as it is there.

        UserError for a cluster that cannot be reached or has other versions, RunError where it is lost on the way.
        """
        client = self._client()
        try:
            yield from self._answers(client, jobs, arrived)
        finally:
            client.close()

    def _answers(
        self, client: Any, jobs: Iterable[J], arrived: Callable[[J, Any], None] | None
    ) -> Iterator[tuple[J, Any]]:
        _check(client, self.address)
        task, own = pickle.dumps(self.task), versions()
        numbered = enumerate(jobs)
        places: dict[Any, list[tuple[int, J]]] = {}
        cores = max(1, sum(client.nthreads().values()))

        def send(some: list[tuple[int, J]]) -> list[Any]:
            if not some:
                return []
            future = client.submit(play_all, task, own, [job for _, job in some], pure=False)
            places[future] = some
            return [future]

        first = [future for _ in range(AHEAD * cores) for future in send(list(islice(numbered, 1)))]
        coming = _distributed().as_completed(first, loop=client.loop)
        held: dict[int, tuple[J, Any]] = {}
        due = done = 0
        for future in coming:
            some = places.pop(future)
            answer = _answer(future, self.address)
            if isinstance(answer, Died) and len(some) > 1:
                # One of them did it: each is sent alone, and the others are not lost.
                coming.update([again for one in some for again in send([one])])
                continue
            values = [answer] if isinstance(answer, Died) else answer
            done += len(values)
            # Few while few are done, so that the cores of a small sweep share it.
            coming.update(send(list(islice(numbered, max(1, min(TOGETHER, done // (SHARE * cores)))))))
            for (n, job), value in zip(some, values, strict=True):
                if arrived is not None:
                    arrived(job, value)
                held[n] = job, value
            while due in held:
                yield held.pop(due)
                due += 1

    def _client(self) -> Any:
        try:
            return _distributed().Client(self.address, timeout=PATIENCE_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            remedy = "give the address of a running scheduler, like tcp://HOST:8786"
            raise UserError(f"no Dask scheduler answers at {self.address} ({said})", FLAG, remedy) from None


def _distributed() -> Any:
    """Dask's module, which ships no types; UserError where it is not installed."""
    try:
        return importlib.import_module("distributed")
    except ImportError:
        remedy = 'install it with pip install "perp-backtest[cluster]"'
        raise UserError("Dask is not installed", FLAG, remedy) from None


def worker_versions() -> dict[str, str]:
    """Versions of the worker that calls this."""
    return versions()


def _check(client: Any, address: str) -> None:
    """UserError for a cluster without workers, or with one of other versions than this process."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError:
        raise UserError(f"the cluster at {address} has no worker", FLAG, "start one with dask worker") from None
    try:
        found: Mapping[str, dict[str, str]] = client.run(worker_versions)
    except ImportError as error:
        remedy = "install the same version of perp-backtest on every worker"
        raise UserError(f"a worker of {address} cannot import backtest ({error})", FLAG, remedy) from None
    own = versions()
    for worker, theirs in sorted(found.items()):
        _same(own, theirs, worker)


def _same(own: Mapping[str, str], theirs: Mapping[str, str], worker: str) -> None:
    for name, version in own.items():
        if theirs.get(name) != version:
            thing = f"worker {worker} has {name} {theirs.get(name)}, this is {version}"
            raise UserError(thing, FLAG, "install the same versions on every worker")


def play(task: bytes, asked: Mapping[str, str], job: Any) -> Any:
    """Play a job in this thread of a Dask worker, with a player that is made once."""
    if getattr(_local, "task", None) != task:
        _same(asked, versions(), "of the cluster")  # one that came after the check
        _local.player, _local.task = pickle.loads(task).player(), task  # noqa: S301  of the process that asks
    return _local.player(job)


def play_all(task: bytes, asked: Mapping[str, str], jobs: list[Any]) -> list[Any]:
    """Play some jobs one after the other."""
    return [play(task, asked, job) for job in jobs]


def _answer(future: Any, address: str) -> Any:
    """What came of some jobs; RunError where the cluster is lost."""
    try:
        return future.result()
    except _distributed().KilledWorker as error:
        return Died(" ".join(str(error).split()))
    except BacktestError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        remedy = "give the same command again: it goes on where it stood"
        raise RunError(f"the cluster at {address} is lost ({said}); {remedy}") from error
