"""Shards: files, or ranges of events in them, and the plan of a batch that is made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa import io
from hepaa.batch import keys
from hepaa.batch.tasks import FeatureTask, task_from_dict
from hepaa.errors import InputError
from hepaa.io.files import write_json
from hepaa.io.parquet.columns import count_rows
from hepaa.io.pieces import row_ranges
from hepaa.io.sniff import is_remote, split_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hepaa.batch.keys import Identity
    from hepaa.batch.tasks import Task

SHARD_EVENTS = 100_000
"""Events in a shard, where a file can be read from any event on."""

_HASHES = "hashes.json"


@dataclass(frozen=True)
class Shard:
    """A piece of work.

    Attributes
    ----------
    path : str
        A file, `file:name` for something inside it, or root://host//file.
    start, stop : int or None
        Range of events; None is the whole file.
    task : int
        Which task of the plan.
    key : str
        Key of the result.
    identity : dict
        State of the file when the plan was made.
    """

    path: str
    start: int | None
    stop: int | None
    task: int
    key: str
    identity: dict[str, Any]

    @property
    def events(self) -> int | None:
        """Events in it; None where only reading tells."""
        return None if self.start is None or self.stop is None else self.stop - self.start

    def describe(self) -> str:
        """File and range, in words."""
        return self.path if self.start is None else f"{self.path}, events {self.start} .. {self.stop}"

    def changed(self) -> bool:
        """Whether the file is another than when the plan was made."""
        return keys.changed(self.path, self.identity)

    def prepare(self) -> None:
        """Refuse a file that could not be read; spare the readers a second hash of one whose content is known."""
        if "unreadable" in self.identity:
            raise InputError(self.identity["unreadable"])
        if "sha256" in self.identity:
            from hepaa.io.files import remember_sha256

            remember_sha256(split_key(self.path)[0], self.identity["sha256"])


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

    def save(self, path: Path) -> None:
        """Write as JSON."""
        content = {
            "versions": self.versions,
            "tasks": [task.to_dict() for task in self.tasks],
            "shards": [vars(shard) for shard in self.shards],
        }
        write_json(content, path, indent=None)

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If there is no plan, or it cannot be read.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            tasks = tuple(task_from_dict(task) for task in content["tasks"])
            return cls(tasks, tuple(Shard(**shard) for shard in content["shards"]), content["versions"])
        except FileNotFoundError:
            raise InputError(f"{path.parent}: there is no plan of a batch here; `hepaa batch plan` makes one") from None
        except (OSError, ValueError, KeyError, TypeError) as damage:
            raise InputError(f"{path}: not a readable plan ({damage}); make it again with `hepaa batch plan`") from None


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
        asked = keys.asked_of(task, code)
        for path in io.expand(files):
            try:
                state = keys.identify(path, identity, hashes)
                ranges = _ranges(path, shard_events, task)
            except InputError as failure:  # one bad file of a thousand must not stop the others: its shard fails
                state, ranges = {"unreadable": str(failure)}, [(None, None)]
                broken.append(failure)
            if "sha256" in state:
                hashes[keys.state_of(split_key(path)[0], state)] = state["sha256"]
            for start, stop in ranges:
                events = None if start is None or stop is None else (start, stop)
                key = keys.result_key(path, state, events, asked)
                shards.append(Shard(path, start, stop, number, key, state))
    if len(broken) == len(shards):
        raise broken[0] if broken else InputError("no files were given")
    if hashes != remembered:
        write_json(hashes, folder / _HASHES, indent=None)
    return Plan(tuple(tasks), tuple(shards), code)


def _remembered(folder: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as damage:
        raise InputError(
            f"{folder / _HASHES}: cannot be read ({damage}); remove it, and files are hashed again"
        ) from None
    return found


def _ranges(path: str, size: int, task: Task) -> list[tuple[int | None, int | None]]:
    n = io.count(path, schema=task.schema) if isinstance(task, FeatureTask) else count_rows(path)
    return [(None, None)] if n is None or n <= size else list(row_ranges(n, size))


def read_fileset(path: str | Path) -> dict[str, dict[str, Any]]:
    """A fileset as coffea writes it: {dataset: {"files": ..., "metadata": {...}}}.

    Parameters
    ----------
    path : JSON file
        `files` is a list of paths, or a mapping of path -> name of the tree, or of path -> {"object_path": tree, ...}.
        Relative paths start at the folder of the file.

    Returns
    -------
    dict of dataset -> {"files": list of str, "metadata": dict}

    Raises
    ------
    InputError
        If it is no such file.
    """
    where = Path(path)
    try:
        content = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as damage:
        raise InputError(f"{where}: not a readable fileset ({damage})") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{where}: a fileset is a mapping of dataset names to {{'files': ..., 'metadata': ...}}")
    found = {}
    for name, entry in content.items():
        files, metadata = (entry.get("files"), entry.get("metadata")) if isinstance(entry, dict) else (entry, None)
        if isinstance(files, dict):
            listed = [_with_tree(file, tree, f"{where}: {name}") for file, tree in files.items()]
        elif isinstance(files, list) and all(isinstance(file, str) for file in files):
            listed = list(files)
        else:
            raise InputError(f"{where}: {name}: 'files' is a list of paths, or a mapping of path to tree")
        found[name] = {
            "files": [file if is_remote(file) else str(where.parent / file) for file in listed],
            "metadata": dict(metadata or {}),
        }
    return found


def _with_tree(file: str, tree: Any, where: str) -> str:
    name = tree.get("object_path") if isinstance(tree, dict) else tree
    if name is not None and not isinstance(name, str):
        raise InputError(f"{where}: {file}: the tree is named by text or 'object_path', not {tree!r}")
    return f"{file}:{name}" if name else file


def fileset_tasks(
    fileset: Mapping[str, Mapping[str, Any]], feature_set: str, *, selection: str | None = None, schema: Any = None
) -> list[tuple[FeatureTask, list[str]]]:
    """One task for each dataset; its metadata may name `process` (default: the dataset), `role` and `generator`."""
    work = []
    for name, entry in fileset.items():
        said = entry["metadata"]
        task = FeatureTask(
            feature_set,
            process=str(said.get("process", name)),
            role=said.get("role", "background"),
            generator=str(said.get("generator", "unknown")),
            selection=selection,
            schema=schema,
        )
        work.append((task, list(entry["files"])))
    return work
