"""Rows of a stored table, as a shard."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from hepaa.batch.shard import Task
from hepaa.errors import InputError
from hepaa.io.parquet.columns import count_rows
from hepaa.table import EventTable
from hepaa.table.frames import is_own

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepaa.batch.shard import Shard


class TableTask(Task):
    """A task on the rows of stored tables."""

    grouped: ClassVar[bool] = True

    def count(self, path: str) -> int | None:
        """Rows of a table; None for a file of others (CSV, HDF5, npz), which is one shard."""
        return count_rows(path) if is_own(path) else None


def rows_of(shard: Shard, inputs: Sequence[str] | None = None) -> EventTable:
    """Rows of a stored table; its cutflow goes with the first shard of it, so that it is counted once.

    `inputs` are the features of a file of others.
    """
    table = EventTable.load(shard.path, inputs=inputs)
    if shard.bounds is None:
        return table
    start, stop = shard.bounds
    if stop > table.n:
        raise InputError(f"{shard.path}: rows {start} .. {stop} are asked for, but the table has {table.n}")
    return replace(table[start:stop], cutflow=table.cutflow if start == 0 else ())
