"""Tables in Parquet, opened as events: their features become columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.events import Events
from hepaa.io.parquet import columns as tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def iterate(path: str | Path, *, step_bytes: int, columns: Sequence[str] | None = None) -> Iterator[Events]:
    """Rows of a table in pieces of about `step_bytes`.

    Parameters
    ----------
    path : str or Path
    step_bytes : int
        Bytes of float64 in a piece.
    columns : sequence of str, optional
        Features and spectators to read; all by default.

    Yields
    ------
    Events
        Features and spectators as `columns` (float64), with the weight and label of the table. `header` has
        its processes, generators, sources, spectators and feature set.

    Raises
    ------
    InputError
        If hepaa did not write the file, or a column is missing.
    """
    n, meta = tables.metadata(path)
    known = [*meta["columns"], *meta["spectators"]]
    names = known if columns is None else list(columns)
    for name in names:
        if name not in known:
            raise InputError(f"{path} has no column {name!r}; {nearest(name, known)}")
    header: dict[str, Any] = {
        "feature_set": meta["feature_set"],
        "spectators": meta["spectators"],
        "processes": meta["processes"],
        "generators": meta["generators"],
        "sources": [source["path"] for source in meta["sources"]],
    }
    rows = min(max(step_bytes // (8 * (len(names) + 1)), 1), max(n, 1))
    wanted = [*dict.fromkeys([*names, "weight", "label"])]
    start = 0
    for batch in tables.batches(path, wanted, rows) if n else [tables.read(path, wanted)]:
        stop = start + len(batch["weight"])
        yield Events(
            path=str(path),
            format="table",
            index=np.arange(start, stop, dtype=np.int64),
            weight=batch["weight"],
            label=batch["label"],
            header=header,
            columns={name: batch[name].astype(np.float64) for name in names},
        )
        start = stop


def describe(events: Events) -> dict[str, Any]:
    """Feature set, spectators, and the names of processes, generators and files."""
    return dict(events.header)
