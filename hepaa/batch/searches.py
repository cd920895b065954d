"""The search of a card, with its toys in the store of a batch: what is there is not searched again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.batch import keys
from hepaa.batch.plan import Plan
from hepaa.batch.runs import read_card
from hepaa.batch.shard import Shard
from hepaa.batch.tasks.search import SearchTask
from hepaa.io.sealed import digest
from hepaa.run.reading import read
from hepaa.search import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hepaa.batch.runs import BatchSetup
    from hepaa.card import Card, ResonantCard
    from hepaa.progress import Reporter
    from hepaa.search.injection import InjectedData
    from hepaa.search.toys import ToySearch
    from hepaa.table import EventTable


def search(
    card: Card, batch: BatchSetup, *, unblind: bool = False, overwrite: bool = False, read_in_batches: bool = True
) -> Path:
    """`hepaa.search.pipeline.search`, with toys and mixtures by the executor of a batch, each kept in its store.

    A toy is found again by its content (data, settings, seed, code): a search that was killed goes on, one that asks
    for more toys adds to those that are there, and unblinding searches none of them again.

    Parameters
    ----------
    card : Card
    batch : BatchSetup
        No toy may be missing, whatever it allows.
    unblind, overwrite : bool
        See `hepaa.search.pipeline.search`.
    read_in_batches : bool
        Read events by the executor, too.

    Returns
    -------
    Path
        The folder of results.
    """
    whole = replace(batch, allow_missing=0, folder=batch.folder.resolve())  # workers may start elsewhere

    def reader(card: Card, progress: Reporter) -> EventTable:
        return read_card(card, whole)[0] if read_in_batches else read(card, progress)

    resonant = None if card.search is None else card.search.resonant
    mapped: Any = map if resonant is None else StoredMap(whole, resonant)
    return pipeline.search(
        card, unblind=unblind, overwrite=overwrite, progress=batch.progress, map=mapped, reader=reader
    )


@dataclass(frozen=True)
class StoredMap:
    """A `map` over toys or mixtures of a resonant search that keeps what it has done.

    Attributes
    ----------
    batch : BatchSetup
    section : ResonantCard
        Of the card whose search it is.
    """

    batch: BatchSetup
    section: ResonantCard

    def __call__(self, search: ToySearch | InjectedData, items: Iterable[Any]) -> list[Any]:
        """Results in the order of the items.

        Raises
        ------
        IncompleteError
            If one is missing; those that are done stay done.
        """
        task, path = SearchTask.of(search, self.section, tuple(items), self.batch.folder / "models")
        outcome = self.batch.do(_plan(task, path))
        return [_with_nan(result) for _, receipt in outcome.of_task(0) for result in receipt["result"]["results"]]


def _plan(task: SearchTask, path: Path) -> Plan:
    """A shard for each item. A key says all that its result depends on, and nothing else, such as their number."""
    request = {"task": task.options(), "code": keys.versions()}
    state = keys.identify(str(path), "content")
    shards = [
        Shard(str(path), i, i + 1, 0, digest({"item": item, **request}), state) for i, item in enumerate(task.items)
    ]
    return Plan((task,), tuple(shards), keys.versions())


def _with_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_nan(inner) for inner in value]
    return np.nan if value is None else value
