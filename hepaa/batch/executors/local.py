"""Executors: ways to map a function over items and add up what it gives. The contract is that of coffea's executors:

    executor(items, function, accumulator) -> (accumulator, 0 or an exception that tells what was lost)

An executor knows nothing of events. One that loses items says so and gives the rest: `hepaa.batch.engine` looks up in
the store what is missing, and asks again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from typing import TYPE_CHECKING, Any, Protocol

from hepaa.errors import IncompleteError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.process import BaseProcess

Function = Callable[[Any], Any]
Answer = tuple[Any, "int | BaseException"]

POLL_S = 0.5
_GONE = (BrokenPipeError, ConnectionResetError)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Executor(Protocol):
    """Maps a function over items and adds up the results: `accumulator += function(item)`."""

    def __call__(self, items: Sequence[Any], function: Function, accumulator: Any) -> Answer: ...


def serial(items: Sequence[Any], function: Function, accumulator: Any) -> Answer:
    """One item after another, here."""
    for item in items:
        accumulator += function(item)
    return accumulator, 0


def _cores() -> int:
    """Cores that this process may use; a batch system grants fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Processes:
    """Worker processes on this machine. One that dies loses the item it had, and is replaced.

    Attributes
    ----------
    workers : int
        Default: one for each core that this process may use.
    """

    workers: int = field(default_factory=_cores)

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"there has to be at least one worker, not {self.workers}")

    def __call__(self, items: Sequence[Any], function: Function, accumulator: Any) -> Answer:
        """Map over the processes; results are added in the order in which they come."""
        waiting = deque(items)
        lost: list[str] = []
        team: dict[connection.Connection, BaseProcess] = {}
        try:
            while waiting or team:
                while waiting and len(team) < self.workers:
                    worker, line = _start(function)
                    team[line] = worker
                    _send(line, waiting)
                for line in [w for w in connection.wait(list(team)) if isinstance(w, connection.Connection)]:
                    try:
                        answer = line.recv()
                    except (EOFError, *_GONE):
                        worker = team.pop(line)
                        worker.join()
                        line.close()
                        lost.append(f"worker {worker.pid} died ({_end(worker.exitcode)})")
                        continue
                    accumulator += answer
                    if not _send(line, waiting):
                        _stop(team.pop(line), line)
        finally:
            for line, worker in team.items():
                worker.kill()
                worker.join()
                line.close()
        return accumulator, loss(lost, len(items))


def _start(function: Function) -> tuple[BaseProcess, connection.Connection]:
    # A fresh interpreter: a fork would copy locks that threads of this process hold (Arrow, OpenMP, decompression).
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    with _one_thread_each():
        worker = context.Process(target=_serve, args=(theirs, function), daemon=True)
        worker.start()
    theirs.close()
    return worker, ours


def _serve(line: connection.Connection, function: Function) -> None:
    """The loop of a worker: items in, results out, until it is told to stop or its driver has died."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt at the terminal is for the driver to handle
    while True:
        try:
            item = line.recv()
        except (EOFError, OSError):
            return
        if item is None:
            return
        answer = function(item)
        try:
            line.send(answer)
        except BrokenPipeError:
            return


def _send(line: connection.Connection, waiting: deque[Any]) -> bool:
    """Give a worker its next item; False when there is none. To a dead worker it is lost, as if it died over it."""
    if not waiting:
        return False
    with suppress(*_GONE):  # `connection.wait` reports the end of this worker next, and it is counted there
        line.send(waiting.popleft())
    return True


def _stop(worker: BaseProcess, line: connection.Connection) -> None:
    with suppress(*_GONE):  # killed after its last result, it needs no good-bye
        line.send(None)
    line.close()
    worker.join()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in this block use one thread each: the cores are shared out by shards."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def loss(lost: Sequence[str], of: int) -> int | BaseException:
    """The second half of an answer: 0, or how many of the items were lost, and how."""
    if not lost:
        return 0
    return IncompleteError(f"{len(lost)} of {of} items were lost: {lost[0]}")


@dataclass(frozen=True)
class LocalJobs:
    """Jobs of a batch system, played on this machine: each is `hepaa batch shard FOLDER --index N --of M` by itself.

    They share nothing with the driver but the folder, as on a site that allows no scheduler; so the function has to be
    one that lives in a folder (`hepaa.batch.engine.Work`).

    Attributes
    ----------
    jobs : int
    """

    jobs: int = 2

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError(f"there has to be at least one job, not {self.jobs}")

    def __call__(self, items: Sequence[Any], function: Function, accumulator: Any) -> Answer:
        """Run the jobs, and add the receipts that they leave in the folder as they come."""
        folder, stored = getattr(function, "folder", None), getattr(function, "stored", None)
        if folder is None or stored is None:
            raise InputError("local-jobs runs the plan of a folder; for any other function take processes")
        options = ["--of", str(self.jobs), "--retries", "0"]
        command = [sys.executable, "-m", "hepaa.cli", "batch", "shard", folder, *options]
        waiting = {shard.key for group in items for shard in group}
        read: set[str] = set()
        with _one_thread_each():
            jobs = [
                subprocess.Popen([*command, "--index", str(i)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                for i in range(self.jobs)
            ]
        try:
            while True:
                running = any(job.poll() is None for job in jobs)
                for key, receipt in stored(read).items():
                    if key in waiting:
                        accumulator += {key: receipt}
                        waiting.remove(key)
                if not running:
                    break
                time.sleep(POLL_S)
        finally:
            for job in jobs:
                job.kill()
                job.wait()
        ends = [f"job {i} ended with {_end(job.returncode)}" for i, job in enumerate(jobs) if job.returncode]
        return accumulator, loss(ends, len(jobs)) if waiting else 0
