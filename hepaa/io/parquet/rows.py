"""EventTables in Parquet, opened as events: their features become columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from hepaa.errors import InputError, nearest
from hepaa.events import Events
from hepaa.io.files import one_line
from hepaa.io.parquet.columns import read_table
from hepaa.io.pieces import STEP_BYTES, row_ranges, weight_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hepaa.events import Sample
    from hepaa.table import EventTable


def open(path: str | Path, *, columns: Sequence[str] | None = None, sample: Sample | None = None) -> Events:
    """All rows of a table; see `iterate`."""
    (events,) = iterate(path, step_bytes=1 << 62, columns=columns, sample=sample)
    return events


def iterate(
    path: str | Path,
    *,
    step_bytes: int = STEP_BYTES,
    columns: Sequence[str] | None = None,
    sample: Sample | None = None,
) -> Iterator[Events]:
    """Rows of a table in pieces of about `step_bytes`; the table itself is read whole.

    Yields
    ------
    Events
        Features and spectators as `columns` (float64), with the weight and label of the table. `header` has
        its processes, generators, sources and feature set.

    Raises
    ------
    InputError
        If hepaa did not write the file, or a column is missing.
    """
    table = _table(path)
    names = list(columns) if columns is not None else [*table.columns, *table.spectators]
    for name in names:
        if name not in table.columns and name not in table.spectators:
            raise InputError(f"{path} has no column {name!r}; {nearest(name, [*table.columns, *table.spectators])}")
    header: dict[str, Any] = {
        "feature_set": table.feature_set,
        "processes": list(table.processes),
        "generators": list(table.generators),
        "sources": [s.path for s in table.sources],
    }
    for start, stop in row_ranges(table.n, max(step_bytes // (8 * (len(names) + 1)), 1)):
        yield Events(
            path=str(path),
            format="table",
            index=np.arange(start, stop, dtype=np.int64),
            weight=table.weight[start:stop],
            label=table.label[start:stop],
            header=header,
            columns={c: table[c][start:stop].astype(np.float64) for c in names},
            sample=sample,
        )


def probe(path: str | Path) -> dict[str, Any]:
    """What a table holds: rows, weights, labels, features, processes and generators."""
    table = _table(path)
    return {
        "format": "table",
        **weight_summary(iterate(path)),
        "cross_section_pb": None,
        "columns": list(table.columns),
        "collections": {},
        "spectators": list(table.spectators),
        "feature_set": table.feature_set,
        "processes": list(table.processes),
        "generators": list(table.generators),
        "sources": [s.path for s in table.sources],
    }


def _table(path: str | Path) -> EventTable:
    try:
        return read_table(path)
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(f"{path} is a damaged table ({one_line(error)}); copy or write it again") from error
