"""Progress of a batch, from its folder alone: nothing has to be running."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepaa.batch.plan import Plan
from hepaa.batch.shard import groups
from hepaa.batch.store import Store
from hepaa.batch.work import Work
from hepaa.errors import IncompleteError, InputError

if TYPE_CHECKING:
    from pathlib import Path

_RECENT_S = 600.0


@dataclass(frozen=True)
class Status:
    """State of a batch.

    Attributes
    ----------
    shards, stored : int
    files, files_stored : int
        Files, and those of which every shard is stored.
    unit : str
        What `events` counts: "events" of files, or "toys" of a search.
    events : int
        Of stored shards.
    sum_weights : float
    events_per_s : float
        Over the last ten minutes of work.
    left_s : float or None
        Time to the end at the pace of those ten minutes; None where nothing was stored in them.
    working : tuple of str
        Shards that were begun and neither stored nor failed: running, or their worker was killed.
    failures : tuple of dict
        Of `failed.json`.
    """

    shards: int
    stored: int
    files: int
    files_stored: int
    unit: str
    events: int
    sum_weights: float
    events_per_s: float
    left_s: float | None
    working: tuple[str, ...]
    failures: tuple[dict[str, Any], ...]


def status(folder: Path) -> Status:
    """State of the batch in a folder.

    Raises
    ------
    InputError
        If there is no plan in it.
    """
    store, plan = Store(str(folder)), Plan.load(folder / "plan.json")
    receipts = store.receipts(plan.shards)
    open_files = {s.path for s in plan.shards if s.key not in receipts}
    files = {s.path for s in plan.shards}
    last: dict[str, tuple[float, str]] = {}  # of each shard: when it was begun, and its name, "" where it ended since
    times = []
    for line in store.journal():
        when, key = float(line["time"]), line["key"]
        if line["event"] == "stored" and key in receipts:
            times.append((when, key))
        if key not in receipts and when >= last.get(key, (when,))[0]:
            last[key] = when, line["shard"] if line["event"] == "began" else ""
    times.sort()
    since = time.time() - _RECENT_S
    recent = [(when, key) for when, key in times if when >= since]
    span = max(time.time() - max(since, times[0][0] - receipts[times[0][1]]["seconds"]), 1e-9) if times else 0.0
    rate = sum(receipts[key]["events"] for _, key in recent) / span if recent else 0.0
    return Status(
        shards=len(plan.shards),
        stored=sum(s.key in receipts for s in plan.shards),
        files=len(files),
        files_stored=len(files - open_files),
        unit=plan.unit,
        events=sum(receipt["events"] for receipt in receipts.values()),
        sum_weights=math.fsum(receipt["sum_weights"] for receipt in receipts.values()),
        events_per_s=rate,
        left_s=sum(s.key not in receipts for s in plan.shards) * span / len(recent) if recent else None,
        working=tuple(shard for _, shard in sorted(last.values()) if shard),
        failures=tuple(store.failures()),
    )


def work_on_share(folder: Path, index: int, of: int, *, retries: int = 2) -> int:
    """Do one share of the plan in a folder: groups `index`, `index + of`, ... What one job of an array does.

    Returns
    -------
    int
        Shards of the share, all of which are stored.

    Raises
    ------
    InputError
        If `index` is not in 0 .. of - 1.
    IncompleteError
        If some are not stored.
    """
    if not 0 <= index < of:
        raise InputError(f"--index {index} is not in 0 .. {of - 1}")
    plan = Plan.load(folder / "plan.json")
    work = Work(str(folder), Plan(plan.tasks, (), plan.versions))
    share = groups(plan.shards, plan.tasks, of)[index::of]
    mine = [shard for group in share for shard in group]
    stored = Store(str(folder)).receipts(mine)
    left = [tuple(shard for shard in group if shard.key not in stored) for group in share]
    failed: dict[str, str] = {}
    for _ in range(retries + 1):
        failed = {}
        for group in filter(None, left):
            answers = work(group)
            failed |= {s.key: f"{s.describe()}: {answers[s.key]['error']}" for s in group if "error" in answers[s.key]}
        left = [(shard,) for shard in mine if shard.key in failed]
        if not failed:
            return len(mine)
    raise IncompleteError(
        f"{len(failed)} of {len(mine)} shards of share {index} are missing: {next(iter(failed.values()))}"
    )
