"""Merging: what the shards of a plan amount to, always in the order of the plan."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, fields
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.io.files import atomic_path, write_json
from hepaa.table import EventTable, concatenate
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from hepaa.batch.outcome import Outcome


def tally(outcome: Outcome, task: int = 0) -> Tally:
    """Events and sums of weights of one task of a plan; the same bits whatever the shards were."""
    names = [field.name for field in fields(Tally)]
    return Tally.total(Tally(**{name: receipt[name] for name in names}) for _, receipt in outcome.of_task(task))


def table(outcome: Outcome, task: int | None = None) -> EventTable:
    """All rows, of one task or of all, in the order of the plan.

    Raises
    ------
    InputError
        If there is no row to merge.
    """
    tasks = range(len(outcome.plan.tasks)) if task is None else (task,)
    parts = [outcome.store.table(key) for number in tasks for key, _ in outcome.of_task(number)]
    if not parts:
        raise InputError(f"{outcome.store.folder}: no shard has a result, so there is no table")
    return concatenate(parts)


def write_parts(outcome: Outcome, folder: Path) -> int:
    """All rows as one Parquet file a shard, `part-00000.parquet` and on, beside an `index.json`; in bounded memory.

    The files are links to those of the store where the filesystem has links.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    InputError
        If the folder is there already and holds anything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strange = [p.name for p in folder.iterdir() if not p.name.startswith("part-") and p.name != "index.json"]
    if strange:
        raise InputError(f"{folder}: holds {strange[0]!r}, which is no part of a table; choose another folder")
    for old in folder.iterdir():
        old.unlink()
    found = [(key, receipt) for number in range(len(outcome.plan.tasks)) for key, receipt in outcome.of_task(number)]
    listed = []
    for number, (key, receipt) in enumerate(found):
        name = f"part-{number:05d}.parquet"
        _link(outcome.store.table_path(key), folder / name)
        listed.append({"part": name, **{k: receipt[k] for k in ("path", "start", "stop", "events")}})
    write_json({"parts": listed, "missing": [vars(m) for m in outcome.missing]}, folder / "index.json")
    return sum(receipt["rows"] for _, receipt in found)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another filesystem, or one without links
        with atomic_path(target) as partial:
            shutil.copyfile(source, partial)


@dataclass(frozen=True, eq=False)
class Cell:
    """One process, generator and label of a histogram.

    Attributes
    ----------
    value, variance : float64 (k,)
        Sum w and sum w^2.
    events : int64 (k,)
    """

    value: NDArray[np.float64]
    variance: NDArray[np.float64]
    events: NDArray[np.int64]


def cells(receipts: Iterable[dict[str, Any]]) -> dict[tuple[str, str, int], Cell]:
    """Histograms of shards, added up in the order given.

    Parameters
    ----------
    receipts : of a `HistogramTask`

    Returns
    -------
    dict of (process, generator, label) -> Cell
    """
    found: dict[tuple[str, str, int], Cell] = {}
    for receipt in receipts:
        for cell in receipt["result"]["cells"]:
            name = cell["process"], cell["generator"], cell["label"]
            value, variance = (np.asarray(cell[k], np.float64) for k in ("value", "variance"))
            new = Cell(value, variance, np.asarray(cell["events"], np.int64))
            found[name] = added(found[name], new) if name in found else new
    return found


def added(one: Cell, other: Cell) -> Cell:
    """The sum of two cells."""
    return Cell(one.value + other.value, one.variance + other.variance, one.events + other.events)


def summed(parts: Iterable[Cell]) -> Cell:
    """The sum of at least one cell, from first to last."""
    return reduce(added, parts)
