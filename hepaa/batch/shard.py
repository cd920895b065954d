"""Shards are pieces of work, tasks are functions of a shard, parts are their results."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hepaa.batch import keys
from hepaa.errors import InputError
from hepaa.io.sniff import split_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepaa.table import EventTable
    from hepaa.table.mixing import Tally


@dataclass(frozen=True, slots=True)
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

    def __post_init__(self) -> None:
        keys.refuse_other(self.key)

    @property
    def events(self) -> int | None:
        """Events in it; None where only reading tells."""
        return None if self.start is None or self.stop is None else self.stop - self.start

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Range of events; None is the whole file."""
        return None if self.start is None or self.stop is None else (self.start, self.stop)

    def describe(self) -> str:
        """File and range, in words."""
        return self.path if self.start is None else f"{self.path}, events {self.start} .. {self.stop}"

    def changed(self) -> bool:
        """True if the file has changed since the plan was made."""
        return keys.changed(self.path, self.identity)

    @property
    def bytes(self) -> int | None:
        """Size of the whole local file that it is; None of a range, or where the size is not known."""
        return self.identity.get("size") if self.start is None else None

    def prepare(self) -> None:
        """Refuse a file that could not be read; spare the readers a second hash of one whose content is known."""
        if "unreadable" in self.identity:
            raise InputError(self.identity["unreadable"])
        if "sha256" in self.identity:
            from hepaa.io.files import remember_sha256

            remember_sha256(split_key(self.path)[0], self.identity["sha256"])


GROUP_BYTES = 100_000_000
"""Bytes of small files that are computed and stored together."""

_GROUPS_EACH = 4
"""Groups for each worker at the least, so that all workers end at about the same time."""


def groups(shards: Sequence[Shard], tasks: Sequence[Task], workers: int = 1) -> list[tuple[Shard, ...]]:
    """Consecutive shards that are computed and stored together: small whole files of one task.

    Parameters
    ----------
    shards : sequence of Shard
    tasks : sequence of Task
        Of the plan.
    workers : int
        Several workers get four groups each, as far as there are files.

    Returns
    -------
    list of tuple of Shard
        Of `GROUP_BYTES` at most; a file that has more, or a range of one, is a group by itself.
    """
    sizes = [shard.bytes if tasks[shard.task].grouped else None for shard in shards]
    at_most = GROUP_BYTES
    if workers > 1:
        at_most = min(at_most, sum(size or 0 for size in sizes) // (_GROUPS_EACH * workers))
    made: list[list[Shard]] = []
    room, task = 0, -1
    for shard, size in zip(shards, sizes, strict=True):
        if size is None or size > room or shard.task != task:
            made.append([])
            room = 0 if size is None else at_most
        made[-1].append(shard)
        room, task = max(room - (size or 0), 0), shard.task
    return [tuple(group) for group in made]


@dataclass(frozen=True, eq=False)
class Part:
    """Result of a task on one shard.

    Attributes
    ----------
    tally : Tally
        Of the events that were read, before any cut.
    table : EventTable or None
        Rows, where the task makes rows.
    result : dict or None
        Numbers, where it makes numbers; for JSON.
    """

    tally: Tally
    table: EventTable | None = None
    result: dict[str, Any] | None = None


class Task:
    """A function of a shard: a frozen dataclass of plain values, so that it can be hashed and sent anywhere.

    One that writes more than its result has the field `folder`: that of the batch, and no other (`Plan.load`).
    """

    kind: ClassVar[str]
    """Its name in plans, as in `hepaa.batch.tasks.registry`."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Modules whose threads have to be known before it starts."""
    grouped: ClassVar[bool] = False
    """Whether its time goes as the size of the file, so that small files make one piece of work; see `groups`."""
    unit: ClassVar[str] = "events"
    """What its tally counts, in the words of the progress: events of files, or toys of a search."""

    def to_dict(self) -> dict[str, Any]:
        """All options, for JSON and for keys."""
        return {"kind": self.kind, **asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> Self:
        """From what `to_dict` gave, without `kind`, JSON in between."""
        return cls(**{name: _tuples(value) for name, value in options.items()})

    def code(self) -> dict[str, str]:
        """Versions of code behind the result that is not hepaa's."""
        return {}

    def count(self, path: str) -> int | None:
        """Events or rows of a file that can be entered anywhere; else None."""
        raise NotImplementedError(path)

    def compute(self, shard: Shard) -> Part:
        """The result, from nothing but the shard and the options."""
        raise NotImplementedError(shard)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
