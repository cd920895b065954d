"""Merging of the results of a plan, always in its order."""

from __future__ import annotations

import os
import shutil
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.batch.shard import groups
from hepaa.errors import InputError
from hepaa.io.files import atomic_path, one_line, write_json
from hepaa.io.folders import new_folder
from hepaa.io.sniff import split_key
from hepaa.stats.histogram import Class, Counts
from hepaa.table import EventTable, concatenate
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hepaa.batch.outcome import Outcome
    from hepaa.batch.store import Store


def tally(outcome: Outcome, task: int = 0) -> Tally:
    """Events and sums of weights of one task of a plan; the same bits whatever the shards were."""
    receipts = [receipt for _, receipt in outcome.of_task(task)]
    return Tally.total(Tally(*(receipt[field.name] for field in fields(Tally))) for receipt in receipts)


def table(outcome: Outcome, task: int | None = None) -> EventTable:
    """All rows, of one task or of all, in the order of the plan.

    Raises
    ------
    InputError
        If there is no row to merge.
    """
    tasks = range(len(outcome.plan.tasks)) if task is None else (task,)
    parts = [outcome.store.table(key, receipt) for number in tasks for key, receipt in outcome.of_task(number)]
    if not parts:
        raise InputError(f"{outcome.store.folder}: no shard has a result, so there is no table")
    return concatenate(parts)


def write_parts(outcome: Outcome, folder: Path) -> int:
    """All rows as Parquet files, `part-00000.parquet` and on, beside an `index.json`; in bounded memory.

    A part has the rows of one shard, or of consecutive small files (`hepaa.batch.shard.groups`). The files are links to
    those of the store where they are the same and the filesystem has links.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    InputError
        If the folder is there already and holds anything else.
    """
    plan, receipts = outcome.plan, outcome.receipts
    stored = sorted((shard for shard in plan.shards if shard.key in receipts), key=lambda shard: shard.task)
    with new_folder(folder, overwrite=True, inputs=[split_key(s.path)[0] for s in plan.shards]) as made:
        listed = []
        for number, group in enumerate(groups(stored, plan.tasks)):
            name = f"part-{number:05d}.parquet"
            entries = [(shard.key, receipts[shard.key]) for shard in group]
            _write_part(outcome.store, entries, made / name)
            listed += [
                {"part": name, **{k: receipt[k] for k in ("path", "start", "stop", "events")}} for _, receipt in entries
            ]
        write_json({"parts": listed, "missing": [vars(m) for m in outcome.missing]}, made / "index.json")
    return sum(receipts[shard.key]["rows"] for shard in stored)


def _write_part(store: Store, entries: list[tuple[str, Mapping[str, Any]]], path: Path) -> None:
    """Write the rows of some results: a link to the file that has them and no others, where there is one."""
    source = store.checked_table(*entries[0])
    if not store.is_whole_table(entries):
        with atomic_path(path) as partial:
            concatenate(store.table(*entry) for entry in entries).write(partial)
        return
    try:
        os.link(source, path)
    except OSError:  # another filesystem, or one without links
        with atomic_path(path) as partial:
            shutil.copyfile(source, partial)


def counts(outcome: Outcome, task: int = 0) -> dict[Class, Counts]:
    """Counts of a `HistogramTask` by process, generator and label, added up in the order of the plan.

    Raises
    ------
    InputError
        If a receipt has no such counts.
    """
    totals: dict[Class, Counts] = {}
    for key, receipt in outcome.of_task(task):
        try:
            for entry in receipt["result"]["counts"]:
                name = entry["process"], entry["generator"], entry["label"]
                counted = Counts(*(np.asarray(entry[field.name]) for field in fields(Counts)))
                totals[name] = totals[name] + counted if name in totals else counted
        except (KeyError, TypeError, ValueError) as other:
            raise InputError(f"{key}: the receipt of this shard has no counts ({one_line(other)})") from other
    return totals
