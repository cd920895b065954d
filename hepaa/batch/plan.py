"""Shards: files, or ranges of events in them, and the plan of a batch that is made of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepaa import io
from hepaa.batch import keys
from hepaa.batch.shard import Shard
from hepaa.batch.tasks.registry import task_from_dict
from hepaa.errors import InputError
from hepaa.io.files import one_line
from hepaa.io.pieces import row_ranges
from hepaa.io.sealed import read_sealed, require_types, write_sealed
from hepaa.io.sniff import split_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hepaa.batch.keys import Identity
    from hepaa.batch.shard import Task

SHARD_EVENTS = 100_000
"""Events in a shard, where a file can be read from any event on."""

_HASHES = "hashes.json"
_PLAN = {"versions": dict, "tasks": list, "shards": list}
_SHARD = {"path": str, "start": int | None, "stop": int | None, "task": int, "key": str, "identity": dict}


@dataclass(frozen=True)
class Plan:
    """Everything that is to be done, in the order in which it is merged.

    Attributes
    ----------
    tasks : tuple of Task
    shards : tuple of Shard
    versions : dict
        Of the code that made it; a machine with others refuses to work on it.
    """

    tasks: tuple[Task, ...]
    shards: tuple[Shard, ...]
    versions: dict[str, str]

    @property
    def unit(self) -> str:
        """What all its tasks count: "events" of files, or "toys" of a search."""
        return self.tasks[0].unit

    def save(self, path: Path) -> None:
        """Write as JSON."""
        content = {
            "versions": self.versions,
            "tasks": [task.to_dict() for task in self.tasks],
            "shards": [{name: getattr(shard, name) for name in _SHARD} for shard in self.shards],
        }
        write_sealed(content, path)

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan that `save` wrote.

        Raises
        ------
        InputError
            If there is no plan, it cannot be read, or it would write elsewhere than in its folder.
        """
        remedy = "make it again with `hepaa batch plan`"
        try:
            content = read_sealed(path, remedy, _PLAN)
            tasks = tuple(_task(entry, path.parent) for entry in content["tasks"])
            entries = content["shards"][::-1]
            content["shards"].clear()
            shards = tuple(_shard(entries.pop(), len(tasks)) for _ in range(len(entries)))  # each in place of its entry
        except FileNotFoundError:
            raise InputError(f"{path.parent}: there is no plan of a batch here; `hepaa batch plan` makes one") from None
        except (ValueError, KeyError, TypeError, AttributeError) as damage:
            raise InputError(f"{path}: not a readable plan ({one_line(damage)}); {remedy}") from damage
        return cls(tasks, shards, content["versions"])


def _task(entry: Any, folder: Path) -> Task:
    task = task_from_dict(entry)
    writes_into = getattr(task, "folder", None)
    if writes_into is not None and os.path.realpath(writes_into) != os.path.realpath(folder):
        raise ValueError(f"its tasks write into the folder {writes_into}, not here")
    return task


def _shard(entry: Any, tasks: int) -> Shard:
    require_types(entry, _SHARD)
    if not 0 <= entry["task"] < tasks or "\0" in entry["path"]:
        raise ValueError(f"no shard: task {entry['task']}, path {entry['path']!r}")
    return Shard(**entry)


def make_plan(
    work: Iterable[tuple[Task, Sequence[str]]],
    *,
    folder: Path,
    identity: Identity = "content",
    shard_events: int = SHARD_EVENTS,
) -> Plan:
    """The plan of tasks on their files.

    A file whose format lets a reader begin anywhere (LHCO, ROOT, tables) becomes shards of `shard_events` events; one
    that has to be read from the front (LHE, LHEH5, text, anything compressed) is one shard.

    Parameters
    ----------
    work : pairs of a task and its files
        Patterns are expanded.
    folder : Path
        Of the batch. Hashes of inputs are kept there, so that an unchanged file is hashed once.
    identity : "content" or "stat"
        See `hepaa.batch.keys.identify`.
    shard_events : int

    Raises
    ------
    InputError
        If there is no file, or none of them can be read. Where some cannot, their shards are in the plan and fail.
    """
    if shard_events < 1:
        raise InputError(f"a shard has at least one event, not {shard_events}")
    remembered = _remembered(folder)
    hashes = dict(remembered)
    code = keys.versions()
    tasks: list[Task] = []
    shards: list[Shard] = []
    broken: list[InputError] = []
    for number, (task, files) in enumerate(work):
        tasks.append(task)
        request = keys.request_of(task, code)
        for path in io.expand(files):
            ranges: list[tuple[int | None, int | None]] = [(None, None)]
            try:
                state = keys.identify(path, identity, hashes)
                n = task.count(path)
                if n is not None and n > shard_events:
                    ranges = list(row_ranges(n, shard_events))
            except InputError as failure:  # one bad file of a thousand must not stop the others: its shard fails
                state = {"unreadable": str(failure)}
                broken.append(failure)
            if "sha256" in state:
                hashes[keys.state_of(split_key(path)[0], state)] = state["sha256"]
            for start, stop in ranges:
                events = None if start is None or stop is None else (start, stop)
                key = keys.result_key(path, state, events, request)
                shards.append(Shard(path, start, stop, number, key, state))
    if len(broken) == len(shards):
        raise broken[0] if broken else InputError("no files were given")
    if hashes != remembered:
        write_sealed({"files": hashes}, folder / _HASHES)
    return Plan(tuple(tasks), tuple(shards), code)


def _remembered(folder: Path) -> dict[str, str]:
    try:
        content = read_sealed(folder / _HASHES, "remove it, and files are hashed again", {"files": dict})
    except FileNotFoundError:
        return {}
    hashes: dict[str, str] = content["files"]
    return hashes
