"""Workers: processes or threads that play jobs, and give back what came of them in the order of the jobs.

A worker process is a fresh interpreter that runs `backtest.research.worker`, never the caller's script: a script needs
no main guard, and a notebook is not imported. Jobs and answers go through its pipes. One that dies is replaced, and
its job is played again.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Generic, TypeVar

from backtest.core.errors import RunError, UserError

J = TypeVar("J")

WORKER = "BACKTEST_WORKER"
"""Set in the environment of a worker process."""
TRIES = 3
"""Workers that one job may kill."""
AHEAD = 4
"""Jobs per worker that may be done before the one that everybody waits for."""


@dataclass(frozen=True)
class Task:
    """What workers do: ``module:function`` of the package, called once per worker with ``given``, makes the player.

    The player is called with each job. ``given``, jobs and answers can be pickled.
    """

    function: str
    given: Any

    def player(self) -> Callable[[Any], Any]:
        """Make the player, in whatever process this is."""
        module, _, name = self.function.partition(":")
        made: Callable[[Any], Any] = getattr(importlib.import_module(module), name)(self.given)
        return made


@dataclass(frozen=True)
class Died:
    """What stands for the answer of a job that killed every worker that tried it."""

    reason: str


@dataclass
class Pool(Generic[J]):
    """Plays jobs on ``workers`` processes, or threads of this process."""

    task: Task
    workers: int
    threads: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    replaced: int = 0
    """Workers that died and were replaced."""

    def answers(
        self, jobs: Iterable[J | None], arrived: Callable[[J, Any], None] | None = None
    ) -> Iterator[tuple[J, Any]]:
        """Each job with its answer, in the order of the jobs. None among these: the next waits for an answer to come.

        ``arrived`` is called with each as soon as it is there, in the caller's thread. Leaving early ends the workers.
        RunError where a worker cannot start.
        """
        waiting: queue.Queue[tuple[int, J] | None] = queue.Queue()
        done: queue.Queue[tuple[int, J, Any] | BaseException] = queue.Queue()
        lanes = [self._lane() for _ in range(self.workers)]
        movers = [threading.Thread(target=self._move, args=(lane, waiting, done), daemon=True) for lane in lanes]
        source, sent, left = iter(jobs), 0, True
        held: dict[int, tuple[J, Any]] = {}
        due = 0
        try:
            for mover in movers:
                mover.start()
            while True:
                while left and sent - due < AHEAD * self.workers + self.workers:
                    try:
                        following = next(source)
                    except StopIteration:
                        left = False
                        break
                    if following is None:
                        break
                    waiting.put((sent, following))
                    sent += 1
                if due == sent and not left:
                    return
                answer = done.get()
                if isinstance(answer, BaseException):
                    raise answer
                n, job, value = answer
                if arrived is not None:
                    arrived(job, value)
                held[n] = job, value
                while due in held:
                    yield held.pop(due)
                    due += 1
        finally:
            for lane in lanes:
                lane.end()
            for _ in movers:
                waiting.put(None)
            for mover in movers:
                mover.join()

    def _lane(self) -> _Thread | _Process:
        return _Thread(self.task) if self.threads else _Process(self.task, self.environment)

    def _move(self, lane: _Thread | _Process, waiting: queue.Queue[Any], done: queue.Queue[Any]) -> None:
        """Lead jobs to one worker and answers back, until there are no more."""
        try:
            while (following := waiting.get()) is not None:
                n, job = following
                done.put((n, job, self._played(lane, job)))
        except BaseException as error:  # noqa: BLE001  it is raised where the answers are read
            done.put(error)
        finally:
            lane.close()

    def _played(self, lane: _Thread | _Process, job: J) -> Any:
        reason = ""
        for _ in range(TRIES):
            try:
                return lane.play(job)
            except _Gone as gone:
                if lane.ended:
                    return Died("ended")
                reason = str(gone)
                self.replaced += 1
        return Died(f"{TRIES} workers died of it, the last {reason}")


class _Gone(Exception):
    """A worker that is no longer there."""


class _Thread:
    """A worker in this process."""

    def __init__(self, task: Task) -> None:
        self._task, self.ended = task, False
        self._player: Callable[[Any], Any] | None = None

    def play(self, job: Any) -> Any:
        """The answer to a job."""
        if self.ended:
            raise _Gone("ended")
        self._player = self._player or self._task.player()
        return self._player(job)

    def end(self) -> None:
        """Take no more jobs; the one under way is finished."""
        self.ended = True

    def close(self) -> None:
        """Nothing is left behind."""


class _Process:
    """A worker process, started with its first job and again after its death."""

    def __init__(self, task: Task, environment: Mapping[str, str]) -> None:
        self._task, self._environment = task, environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.ended = False

    def play(self, job: Any) -> Any:
        """The answer to a job; _Gone where the process dies of it."""
        try:
            if self._process is None:
                self._start()
            process = self._process
            if process is None or process.stdin is None or process.stdout is None:
                raise _Gone("ended")
            send(process.stdin, job)
            return receive(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise _Gone(self._cause()) from error

    def _start(self) -> None:
        around = {**os.environ, **self._environment, WORKER: "1"}
        command = [sys.executable, "-c", "from backtest.research.worker import main; main()"]
        with self._lock:
            if self.ended:
                raise _Gone("ended")
            # Its own session: Ctrl-C reaches the coordinator alone, which ends its workers.
            self._process = subprocess.Popen(  # noqa: S603  this package, by this Python
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=around, start_new_session=True
            )
        if self._process.stdin is None or self._process.stdout is None:
            raise _Gone("ended")
        send(self._process.stdin, (list(sys.path), self._task))
        failure = receive(self._process.stdout)
        if failure is not None:
            code, said = failure
            raise UserError(said) if code == UserError.exit_code else RunError(f"a worker cannot start: {said}")

    def _cause(self) -> str:
        """How the process ended; it is forgotten."""
        process, self._process = self._process, None
        if process is None:
            return "ended"
        code = process.wait()
        _close(process)
        return f"by signal {-code}" if code < 0 else f"with exit code {code}"

    def end(self) -> None:
        """End the process, whatever it does."""
        with self._lock:
            self.ended = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """Leave no process behind."""
        if self._process is not None:
            self._process.kill()
            self._cause()


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # what was not written before it died
            continue


def send(pipe: IO[bytes], value: Any) -> None:
    """Write a value to a pipe."""
    body = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.write(struct.pack("<Q", len(body)))
    pipe.write(body)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Read a value from a pipe; EOFError where the other side is gone."""
    head = _read(pipe, 8)
    return pickle.loads(_read(pipe, struct.unpack("<Q", head)[0]))  # noqa: S301  from our own process


def _read(pipe: IO[bytes], size: int) -> bytes:
    read = pipe.read(size)
    if len(read) != size:
        raise EOFError
    return read
