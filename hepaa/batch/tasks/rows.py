"""Rows of a stored table, as a shard."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hepaa.batch.shard import Part
from hepaa.errors import InputError
from hepaa.table import EventTable

if TYPE_CHECKING:
    from hepaa.batch.shard import Shard


def rows_of(shard: Shard) -> EventTable:
    """Rows of a stored table; its cutflow goes with the first shard of it, so that it is counted once."""
    table = EventTable.load(shard.path)
    if shard.start is None:
        return table
    if shard.stop is None or shard.stop > table.n:
        raise InputError(f"{shard.path}: rows {shard.start} .. {shard.stop} are asked for, but the table has {table.n}")
    return replace(table[shard.start : shard.stop], cutflow=table.cutflow if shard.start == 0 else ())


def part_of_rows(table: EventTable, made: EventTable | None) -> Part:
    """What a task on these rows gives: their sums, and the rows that it made of them."""
    return Part(table.n, float(np.sum(table.weight)), float(np.sum(table.weight**2)), made)
