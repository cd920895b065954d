"""The outcome of a batch: receipts, and the shards that are missing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hepaa.batch.plan import Plan
    from hepaa.batch.shard import Shard
    from hepaa.batch.store import Store


@dataclass(frozen=True)
class Failure:
    """A shard that is missing from a result.

    Attributes
    ----------
    path : str
    start, stop : int or None
        Range of events; None is the whole file.
    events : int or None
        How many are missing; None where only reading would tell.
    good_events : int or None
        Whole events before the break of a truncated file.
    attempts : int
    reason : str
    """

    path: str
    start: int | None
    stop: int | None
    events: int | None
    good_events: int | None
    attempts: int
    reason: str


@dataclass(frozen=True, eq=False)
class Outcome:
    """Receipts of a batch, and the shards that are missing.

    Attributes
    ----------
    plan : Plan
    store : Store
    receipts : dict of key -> receipt
    missing : tuple of Failure
        Empty, or as many as were allowed.
    computed : int
        Shards that were computed now, not found.
    """

    plan: Plan
    store: Store
    receipts: dict[str, Mapping[str, Any]]
    missing: tuple[Failure, ...]
    computed: int

    def of_task(self, number: int) -> list[tuple[str, Mapping[str, Any]]]:
        """Keys and receipts of one task, in the order of the plan."""
        return [(shard.key, self.receipts[shard.key]) for shard in self._stored.get(number, ())]

    @cached_property
    def _stored(self) -> dict[int, list[Shard]]:
        by_task: dict[int, list[Shard]] = {}
        for shard in self.plan.shards:
            if shard.key in self.receipts:
                by_task.setdefault(shard.task, []).append(shard)
        return by_task
