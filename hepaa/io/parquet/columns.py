"""Parquet files of event tables, content hashes, and writing that never leaves half a file behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.io.files import atomic_path, one_line
from hepaa.table import ROW_ARRAYS, CutflowRow, EventTable, Source

_KEY = b"hepaa"
_FORMAT = 1
_FEW_VALUES = ["label", "process", "generator", "file"]
"""Columns worth a dictionary. One of numbers that all differ doubles the time of writing, and adds to the size."""


def write_table(table: EventTable, path: str | Path) -> None:
    """Write an EventTable as Parquet with names, sources and cutflow in its metadata."""
    with atomic_path(path) as partial:
        write_rows(table, partial)


def write_rows(table: EventTable, path: Path) -> None:
    """What `write_table` writes, to a file that is given its name later."""
    arrays: dict[str, Any] = {c: table[c] for c in (*table.columns, *table.spectators)}
    arrays |= {k: getattr(table, k) for k in ROW_ARRAYS}
    meta = {
        "format": _FORMAT,
        "version": __version__,
        "columns": table.columns,
        "spectators": list(table.spectators),
        "processes": table.processes,
        "generators": table.generators,
        "sources": [vars(s) for s in table.sources],
        "cutflow": [vars(r) for r in table.cutflow],
        "feature_set": table.feature_set,
    }
    content = pa.table({k: pa.array(np.ascontiguousarray(v)) for k, v in arrays.items()})
    content = content.replace_schema_metadata({_KEY: json.dumps(meta).encode()})
    pq.write_table(
        content,
        path,
        compression="zstd",
        use_dictionary=_FEW_VALUES,
        column_encoding={"event": "DELTA_BINARY_PACKED"},
    )


def count_rows(path: str | Path) -> int:
    """Rows of a Parquet file, from its description alone.

    Raises
    ------
    InputError
        If it is missing or no Parquet file.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError) as broken:
        raise InputError(f"{path}: not a readable Parquet file ({one_line(broken)})") from broken


def read_table(path: str | Path) -> EventTable:
    """Read what `write_table` wrote.

    Raises
    ------
    InputError
        If the file is missing, is no Parquet file, was not written by hepaa, or by a newer format of it.
    """
    where = Path(path)
    if not where.is_file():
        raise InputError(f"{where}: no such file")
    try:
        content = pq.read_table(where)
    except (pa.ArrowInvalid, OSError) as broken:
        raise InputError(f"{where}: not a readable Parquet file ({one_line(broken)})") from broken
    packed = (content.schema.metadata or {}).get(_KEY)
    if packed is None:
        raise InputError(f"{where}: a Parquet file, but not an event table of hepaa; make one with `hepaa features`")
    meta = json.loads(packed)
    if meta["format"] > _FORMAT:
        raise InputError(f"{where}: written by hepaa {meta['version']} in a newer format; update hepaa to read it")

    def column(name: str) -> Any:
        return content.column(name).to_numpy()

    return EventTable(
        X=np.column_stack([column(c) for c in meta["columns"]])
        if meta["columns"]
        else np.empty((content.num_rows, 0), np.float32),
        columns=tuple(meta["columns"]),
        spectators={c: column(c) for c in meta["spectators"]},
        processes=tuple(meta["processes"]),
        generators=tuple(meta["generators"]),
        sources=tuple(Source(**s) for s in meta["sources"]),
        cutflow=tuple(CutflowRow(**r) for r in meta["cutflow"]),
        feature_set=meta["feature_set"],
        **{k: column(k) for k in ROW_ARRAYS},
    )
