"""Merging of the results of a plan, always in its order."""

from __future__ import annotations

import os
import shutil
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError
from hepaa.io.files import atomic_path, one_line, write_json
from hepaa.io.folders import new_folder
from hepaa.io.sniff import split_key
from hepaa.stats.histogram import Class, Counts
from hepaa.table import EventTable, concatenate
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from pathlib import Path

    from hepaa.batch.outcome import Outcome


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
    receipts = [entry for number in range(len(outcome.plan.tasks)) for entry in outcome.of_task(number)]
    with new_folder(folder, overwrite=True, inputs=[split_key(s.path)[0] for s in outcome.plan.shards]) as made:
        listed = []
        for number, (key, receipt) in enumerate(receipts):
            name = f"part-{number:05d}.parquet"
            source = outcome.store.checked_table(key, receipt)
            try:
                os.link(source, made / name)
            except OSError:  # another filesystem, or one without links
                with atomic_path(made / name) as partial:
                    shutil.copyfile(source, partial)
            listed.append({"part": name, **{k: receipt[k] for k in ("path", "start", "stop", "events")}})
        write_json({"parts": listed, "missing": [vars(m) for m in outcome.missing]}, made / "index.json")
    return sum(receipt["rows"] for _, receipt in receipts)


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
