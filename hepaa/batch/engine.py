"""The engine asks an executor for the results that the store lacks, until all are there or the limits are reached."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hepaa.batch.executors.dask import Dask
from hepaa.batch.executors.local import LocalJobs, Processes, serial
from hepaa.batch.meter import Meter
from hepaa.batch.outcome import Failure, Outcome
from hepaa.batch.plan import Plan
from hepaa.batch.shard import groups
from hepaa.batch.store import Store
from hepaa.batch.work import Receipts, Watched, Work
from hepaa.errors import IncompleteError
from hepaa.io.files import one_line
from hepaa.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set
    from pathlib import Path

    from hepaa.batch.executors.local import Executor
    from hepaa.batch.shard import Shard
    from hepaa.progress import Reporter

RETRIES = 2
"""How often a shard is tried again."""

_UNKNOWN_WORKERS = 100

_OURS = (Processes, LocalJobs, Dask)


def process(
    plan: Plan,
    folder: Path,
    executor: Executor = serial,
    *,
    retries: int = RETRIES,
    allow_missing: int = 0,
    progress: Reporter | None = None,
    pause_s: float = 1.0,
) -> Outcome:
    """Compute the shards of a plan whose results are not in the store of its folder.

    Parameters
    ----------
    plan : Plan
    folder : Path
        Of the batch; made where it is missing.
    executor : Executor
        One of `hepaa.batch.executors.local`, or of coffea.
    retries : int
        How often a shard is tried again after it failed, or its worker died.
    allow_missing : int
        How many shards may be missing from the result.
    progress : Reporter, optional
    pause_s : float
        Wait between attempts, in seconds; it grows with their number.

    Returns
    -------
    Outcome

    Raises
    ------
    IncompleteError
        If more shards are missing than were allowed, or the work was stopped by SIGTERM. What is stored stays stored:
        the same call goes on from there.
    """
    store = Store(str(folder))
    store.create()
    plan.save(folder / "plan.json")
    shards = {shard.key: shard for shard in plan.shards}
    receipts = store.receipts(shards.values())
    before = len(receipts)
    work = Work(str(folder), Plan(plan.tasks, (), plan.versions))
    ledger = _Ledger(shards, retries)
    with _sigterm_as_exception(), Meter(plan, receipts, folder, progress or Silent()) as meter:
        try:
            _rounds(ledger, work, executor, receipts, meter, pause_s)
        except _Stopped:
            raise IncompleteError(
                f"stopped by SIGTERM with {len(store.keys() & shards.keys())} of {len(shards)} shards stored in "
                f"{folder}; run the same command again to go on"
            ) from None
    missing = ledger.failures(receipts)
    _report(store, missing, len(shards), allow_missing)
    return Outcome(plan, store, receipts, missing, len(receipts) - before)


def collect(folder: Path, *, allow_missing: int = 0) -> Outcome:
    """The results of a plan that are in the store of its folder; nothing is computed.

    Raises
    ------
    IncompleteError
        If more shards are missing than were allowed.
    """
    store, plan = Store(str(folder)), Plan.load(folder / "plan.json")
    receipts = store.receipts(plan.shards)
    ledger = _Ledger({s.key: s for s in plan.shards}, 0)
    absent = ledger.shards.keys() - receipts.keys()
    counts, last_failures = _journal_of(store, absent)
    for key in absent:
        ledger.attempts[key] = counts["began", key]
        why = "its worker was killed" if counts["began", key] else "no job has begun it"
        ledger.reasons[key] = last_failures.get(key, {"error": f"{why}; see `hepaa batch status`"})
    missing = ledger.failures(receipts)
    _report(store, missing, len(ledger.shards), allow_missing)
    return Outcome(plan, store, receipts, missing, 0)


class _Ledger:
    """Attempts at each shard, and the reason why the last one failed."""

    def __init__(self, shards: dict[str, Shard], retries: int) -> None:
        self.shards, self.retries = shards, retries
        self.attempts: Counter[str] = Counter()
        self.reasons: dict[str, Mapping[str, Any]] = {}

    def pending(self, receipts: dict[str, Any]) -> list[Shard]:
        return [s for key, s in self.shards.items() if key not in receipts and self.attempts[key] <= self.retries]

    def failures(self, receipts: dict[str, Any]) -> tuple[Failure, ...]:
        return tuple(
            Failure(
                s.path, s.start, s.stop, s.events, self.reasons[key].get("good_events"), self.attempts[key],
                self.reasons[key]["error"],
            )
            for key, s in self.shards.items() if key not in receipts
        )  # fmt: skip


def _rounds(
    ledger: _Ledger, work: Work, executor: Executor, receipts: dict[str, Any], meter: Meter, pause_s: float
) -> None:
    store, number = Store(work.folder), 0
    while pending := ledger.pending(receipts):
        if number:
            time.sleep(min(pause_s * number, 60.0))
        number += 1
        before, _ = _journal_of(store, {s.key for s in pending})
        # what failed, or was lost with its worker, is tried again by itself, so that it takes no other file with it
        together = groups(pending, work.plan.tasks, _workers(executor)) if number == 1 else [(s,) for s in pending]
        answers, lost = _ask(executor, together, work, meter)
        moved = False
        unanswered = [s for s in pending if "error" in answers.get(s.key, {"error": ""})]
        after, last_failures = _journal_of(store, {s.key for s in unanswered})
        answers |= store.receipts(unanswered) if unanswered else {}  # done after all, by another
        for shard in pending:
            key, answer = shard.key, answers.get(shard.key)
            if answer is not None and "error" not in answer:
                receipts[key] = answer
                moved = True
                continue
            if answer is None and after["failed", key] > before["failed", key]:
                answer = last_failures[key]  # an executor that ended early, or a job, kept the receipt for itself
            if answer is not None or after["began", key] > before["began", key]:
                ledger.attempts[key] += 1
                moved = True
            ledger.reasons[key] = answer or {"error": f"no result came back: {lost or 'its worker died'}"}
        if not moved:  # nobody even began: no worker, no scheduler, no file system
            for shard in pending:
                ledger.attempts[shard.key] += 1


def _workers(executor: Executor) -> int:
    """Workers of an executor; many where it does not say how many they are."""
    if executor is serial:
        return 1
    said = [getattr(executor, "workers", None), getattr(executor, "jobs", None)]
    said.append(getattr(getattr(executor, "site", None), "jobs", None))
    return next((n for n in said if isinstance(n, int)), _UNKNOWN_WORKERS)


def _journal_of(store: Store, keys: Set[str]) -> tuple[Counter[tuple[str, str]], dict[str, dict[str, Any]]]:
    """How often each of some shards was begun and failed, and how it failed last."""
    counts, failures = Counter[tuple[str, str]](), dict[str, dict[str, Any]]()
    for line in store.journal() if keys else ():
        if line["key"] in keys:
            counts[line["event"], line["key"]] += 1
            if line["event"] == "failed":
                failures[line["key"]] = line
    return counts, failures


def _ask(
    executor: Executor, items: Sequence[tuple[Shard, ...]], work: Work, meter: Meter
) -> tuple[dict[str, Any], Any]:
    ours = executor is serial or isinstance(executor, _OURS) or getattr(executor, "tells_progress", False)
    accumulator: Receipts = Watched(meter.update) if ours else Receipts()
    try:
        answer = executor(list(items), work, accumulator)
    except Exception as failure:  # executors of other packages raise what they like when a worker is lost
        return dict(accumulator), f"{type(failure).__name__}: {one_line(failure)}"
    got, lost = answer if isinstance(answer, tuple) else (answer, 0)
    return dict(got), lost


def _report(store: Store, missing: Sequence[Failure], of: int, allowed: int) -> None:
    """`failed.json`, and an error when more is missing than was allowed."""
    content = None
    if missing:
        content = {
            "missing": len(missing),
            "of": of,
            "missing_events": sum(m.events or 0 for m in missing),
            "files_of_unknown_length": sum(m.events is None for m in missing),
            "shards": [asdict(m) for m in missing],
        }
    listed = f"all are listed in {store.failures_path}"
    try:
        store.write_failures(content)
    except OSError as full:
        listed = f"{store.failures_path} cannot be written ({full.strerror})"
    if len(missing) > allowed:
        first = missing[0]
        place = first.path if first.start is None else f"{first.path}, events {first.start} .. {first.stop}"
        raise IncompleteError(
            f"{len(missing)} of {of} shards are missing, so there is no result. {place}: {first.reason} "
            f"({first.attempts} attempts); {listed}. Run again to retry, or give --allow-missing {len(missing)}"
        )


class _Stopped(BaseException):
    """SIGTERM came. It is no Exception, so that no handler of failures on the way catches it."""


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """In this block SIGTERM, with which batch systems announce their time limit, ends the work in good order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
