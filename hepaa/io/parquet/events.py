"""Event records in Parquet: what any reader gave, kept exactly, with its header in the file's metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.events import Events
from hepaa.io.files import atomic_path, one_line
from hepaa.io.parquet import columns as tables
from hepaa.io.pieces import to_write
from hepaa.io.remote import handle
from hepaa.io.sealed import require_names, require_types
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

KEY = b"hepaa.events"
_FORMAT = 1
_BROKEN = (pa.ArrowException, OSError, KeyError, TypeError, ValueError)
_META = {
    "format": int, "version": str, "format_of_source": str, "weights": list, "columns": list, "collections": dict,
    "label": bool, "header": dict,
}  # fmt: skip


def iterate(path: str | Path, *, step_bytes: int) -> Iterator[Events]:
    """Events as they were written, in pieces of about `step_bytes` uncompressed.

    Raises
    ------
    InputError
        If hepaa did not write the file, a newer hepaa did, or it is damaged.
    """
    try:
        with pq.ParquetFile(handle(path), page_checksum_verification=True) as file:
            meta = _meta(file, path)
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            n = max(file.metadata.num_rows, 1)
            per_event = max(sum(g.total_byte_size for g in groups) / n, 1)
            start = 0
            for batch in file.iter_batches(batch_size=min(max(int(step_bytes / per_event), 1), n)):
                yield _events(str(path), batch, start, meta)
                start += batch.num_rows
            if start == 0:
                yield _events(str(path), pa.RecordBatch.from_pylist([], schema=file.schema_arrow), 0, meta)
    except InputError:
        raise
    except _BROKEN as error:
        raise InputError(f"{path} is a broken Parquet file ({one_line(error)}); copy or write it again") from error


def describe(events: Events) -> dict[str, Any]:
    """The format of the file that the events were written from."""
    with pq.ParquetFile(handle(events.path)) as file:
        return {"made_from": _meta(file, events.path)["format_of_source"]}


def write(pieces: Iterable[Events], path: str | Path) -> int:
    """Write events as Parquet, one row group a piece, under the final name only when complete; gives their number.

    Raises
    ------
    InputError
        If there is no piece, or pieces hold different things.
    """
    n = 0
    with atomic_path(path) as partial:
        first, pieces = to_write(pieces, path)
        schema = _table(first).schema.with_metadata({KEY: json.dumps(_describe(first)).encode()})
        with pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as writer:
            for piece in pieces:
                if list(piece.weights) != list(first.weights):
                    raise InputError(f"{piece.path}: named weights change inside the file, so it cannot be one table")
                writer.write_table(_table(piece).cast(schema))
                n += piece.n
    return n


def _describe(events: Events) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": __version__,
        "format_of_source": events.format,
        "weights": list(events.weights),
        "columns": list(events.columns),
        "collections": {k: ak.fields(v) for k, v in events.collections.items()},
        "label": events.label is not None,
        "header": json_header(events),
    }


def json_header(events: Events) -> dict[str, Any]:
    """The header of events as JSON can hold it; numpy's numbers become plain ones.

    Raises
    ------
    InputError
        If it holds something that JSON has no word for.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, np.generic | np.ndarray):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} {value!r}")

    try:
        return dict(json.loads(json.dumps(dict(events.header), default=plain)))
    except TypeError as error:
        raise InputError(f"{events.path}: the header cannot be written as JSON ({error})") from error


def _table(events: Events) -> pa.Table:
    arrays: dict[str, Any] = {"weight": pa.array(events.weight)}
    if events.label is not None:
        arrays["label"] = pa.array(events.label)
    # positions, not names: a weight's name may be anything, a column's too
    arrays |= {f"weights.{i}": pa.array(np.ascontiguousarray(v)) for i, v in enumerate(events.weights.values())}
    arrays |= {f"columns.{i}": pa.array(np.ascontiguousarray(v)) for i, v in enumerate(events.columns.values())}
    arrays |= {
        f"collections.{i}": ak.to_arrow(ak.to_packed(v), extensionarray=False, list_to32=False)
        for i, v in enumerate(events.collections.values())
    }
    return pa.table(arrays)


def _meta(file: pq.ParquetFile, path: str | Path) -> dict[str, Any]:
    packed = (file.schema_arrow.metadata or {}).get(KEY)
    if packed is None:
        raise InputError(f"{path} holds no event records of hepaa; make some with `hepaa convert`")
    meta: dict[str, Any] = parse_json(packed)
    if meta["format"] > _FORMAT:
        raise InputError(f"{path} was written by hepaa {meta['version']} in a newer format; update hepaa to read it")
    require_types(meta, _META)
    require_names(meta["weights"], meta["columns"], *meta["collections"].values())
    return meta


def _events(path: str, batch: pa.RecordBatch, start: int, meta: dict[str, Any]) -> Events:
    def numbers(name: str) -> Any:
        return tables.numbers(batch.column(name), name)

    return Events(
        path=path,
        format="events",
        index=np.arange(start, start + batch.num_rows, dtype=np.int64),
        weight=numbers("weight"),
        weights={name: numbers(f"weights.{i}") for i, name in enumerate(meta["weights"])},
        label=numbers("label") if meta["label"] else None,
        header=meta["header"],
        collections={
            name: ak.drop_none(ak.from_arrow(batch.column(f"collections.{i}")), axis=1)
            for i, name in enumerate(meta["collections"])
        },
        columns={name: numbers(f"columns.{i}") for i, name in enumerate(meta["columns"])},
    )
