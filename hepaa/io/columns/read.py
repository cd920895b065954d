"""Tables of features, one row an event, such as the 14-column files of the LHC Olympics: HDF5, CSV, npz, npy, and
Parquet of others."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, TruncatedInputError, nearest
from hepaa.events import Events
from hepaa.io.columns.arrays import npy_source, npz_source
from hepaa.io.columns.csv import csv_source
from hepaa.io.columns.source import LABEL_NAMES, WEIGHT_NAMES, RowSource, is_number_of_event, named, refuse_twice, usual
from hepaa.io.files import opened
from hepaa.io.pieces import row_ranges
from hepaa.io.schemas import Field, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hepaa.io.columns.source import Missing
    from hepaa.io.schemas import Schema


def iterate(
    path: str | Path,
    *,
    step_bytes: int,
    key: str = "",
    columns: Sequence[str] | None = None,
    schema: str | Path | Mapping[str, Any] | None = None,
    label: str | None = None,
    weight: str | None = None,
    missing: Missing = "error",
) -> Iterator[Events]:
    """Rows of a table in pieces of about `step_bytes`, in bounded memory.

    Parameters
    ----------
    path : str or Path
        HDF5 (pandas 'fixed' or 'table', a data set of named fields, or a plain one with names in its
        attribute `columns`), CSV (plain or compressed), npz, npy, or Parquet that others wrote.
    step_bytes : int
        Bytes of float64 in a piece.
    key : str
        Data set, group or array, where the file has several.
    columns : sequence of str, optional
        Where the file names its columns: those to read. Where it does not: the names of all, in order.
    schema : YAML file or mapping, optional
        Other names for columns: `columns: {pxj1: px_leading, ...}`, `label`, `weight`; see
        `hepaa.io.schemas`.
    label, weight : str, optional
        Columns that hold truth (0, 1, -1, or True and False) and weight. Default: a column with a usual name (see
        `hepaa.io.columns.source.usual`), if there is one; `header` says which was taken.

    missing : "error" or "nan"
        What a missing value of a CSV or Parquet file is. Tables ask for NaN, which is an error only in an input.

    Yields
    ------
    Events
        With `columns` (float64; numbers of events and runs as whole numbers), and `label` and `weight` where the table
        has them (weight 1 otherwise).

    Raises
    ------
    InputError
        If a column is missing (the message lists those there are), or a label is none of 0, 1, -1.
    TruncatedInputError
        After the events before it: an HDF5 file breaks off.
    """
    name = str(path)
    source = _source(name, key, columns, missing)
    refuse_twice(name, (*source.columns, *source.skipped))
    mapping = None if schema is None else schema_of(schema)
    if mapping is not None:
        source = _renamed(source, mapping, name)
        label = label or ("label" if mapping.label else None)
        weight = weight or ("weight" if mapping.weight else None)
    chosen = columns is not None or mapping is not None
    label_column = _special(source, label, LABEL_NAMES, name, chosen=chosen)
    weight_column = _special(source, weight, WEIGHT_NAMES, name, chosen=chosen)
    special = [c for c in (label_column, weight_column) if c]
    features = _wanted(source, columns, name, special)
    header = {**source.header, "label": label_column, "weight": weight_column, "skipped_columns": list(source.skipped)}
    names = [*features, *special]
    if not names:
        raise InputError(f"{name} has no numeric column; columns of text: {', '.join(source.skipped) or 'none'}")
    blocks = source.read(names, max(step_bytes // (8 * len(names)), 1))
    start = 0
    for block in chain([next(blocks, [np.empty(0) for _ in names])], blocks):
        values = dict(zip(names, block, strict=True))
        stop = start + len(block[0])
        yield Events(
            path=name,
            format="lhco-features",
            index=np.arange(start, stop, dtype=np.int64),
            weight=values[weight_column].copy() if weight_column else np.ones(stop - start),
            label=truth_labels(values[label_column], name, start, label_column) if label_column else None,
            header=header,
            columns={c: np.ascontiguousarray(values[c]) for c in features},
        )
        start = stop


def describe(events: Events) -> dict[str, Any]:
    """Where in the file the table lies, and which columns are label and weight."""
    return {k: events.header[k] for k in ("key", "layout", "label", "weight", "skipped_columns") if k in events.header}


def _source(path: str, key: str, columns: Sequence[str] | None, missing: Missing) -> RowSource:
    with opened(path) as stream:
        magic = stream.read(8)
    if magic == b"\x89HDF\r\n\x1a\n":
        return _hdf_source(path, key, columns)
    if magic.startswith(b"\x93NUMPY"):
        return npy_source(path, columns)
    if magic.startswith(b"PK\x03\x04"):
        return npz_source(path, columns, key)
    if magic.startswith(b"PAR1"):
        from hepaa.io.columns.parquet import parquet_source

        return parquet_source(path, missing)
    return csv_source(path, columns, missing)


def _hdf_source(path: str, key: str, columns: Sequence[str] | None) -> RowSource:
    from hepaa.io import hdf5 as hdftable

    with hdftable.opened(path) as file:
        layout = hdftable.choose(file, path, key)
    names = layout.columns or named(path, layout.width, columns, f"{layout.key!r}")
    position = {c: i for i, c in enumerate(names)}
    whole = {i for block in layout.blocks if block.dtype.kind in "iu" for i in block.positions}
    identifiers = {c for c, i in position.items() if i in whole and is_number_of_event(c)}

    def read(wanted: Sequence[str], rows: int) -> Iterator[list[NDArray[Any]]]:
        with hdftable.opened(path) as file:
            reader = hdftable.RowReader(file, path, layout)
            for start, stop in row_ranges(layout.n, rows):
                raw = np.empty((stop - start, layout.width), reader.native)
                try:
                    reader.read(start, stop, raw)
                except TruncatedInputError as error:
                    good = raw[: max(error.good_events - start, 0)]
                    reader.read(start, start + len(good), good)
                    if len(good):
                        yield columns_of(reader, good, start, wanted)
                    raise
                yield columns_of(reader, raw, start, wanted)

    def columns_of(
        reader: hdftable.RowReader, raw: NDArray[Any], start: int, wanted: Sequence[str]
    ) -> list[NDArray[Any]]:
        stop = start + len(raw)
        return [
            reader.whole_numbers(position[c], start, stop)
            if c in identifiers
            else raw[:, position[c]].astype(np.float64)
            for c in wanted
        ]

    return RowSource(tuple(names), layout.skipped, read, {"key": layout.key, "layout": layout.form})


def _renamed(source: RowSource, schema: Schema, path: str) -> RowSource:
    """The same rows under the names, and with the factors, of a schema."""
    if schema.collections or schema.weights or schema.flat:
        raise InputError(
            f"{path} is a table: a schema for it has columns, label and weight only ({schema.name} has more)"
        )
    special = {k: f for k, f in (("label", schema.label), ("weight", schema.weight)) if f is not None}
    taken = {b for f in special.values() for b in f.branches}
    # a schema that says what is label and weight alone leaves the others as they are
    fields = dict(schema.columns) or {c: Field((c,)) for c in source.columns if c not in taken}
    fields |= special
    old: dict[str, str] = {}
    for name, field in fields.items():
        column = next((b for b in field.branches if b in source.columns), None)
        if column is None and not field.optional:
            names = " or ".join(map(repr, field.branches)) or repr(name)
            raise InputError(
                f"{path} has no column {names} for {name}; {nearest(names.strip(chr(39)), source.columns)}"
            )
        if column is not None:
            old[name] = column

    def read(wanted: Sequence[str], rows: int) -> Iterator[list[NDArray[Any]]]:
        scales = [fields[c].scale for c in wanted]
        for block in source.read([old[c] for c in wanted], rows):
            yield [values if scale == 1 else values * scale for values, scale in zip(block, scales, strict=True)]

    return replace(source, columns=tuple(old), read=read)


def _special(source: RowSource, name: str | None, meaning: tuple[str, ...], path: str, *, chosen: bool) -> str | None:
    """The column called `name` as label or weight, or else the one with a usual name.

    One that has such a name and no numbers is not passed over, unless columns were chosen.
    """
    if name is not None:
        if name not in source.columns:
            raise InputError(f"{path} has no numeric column {name!r}; {nearest(name, source.columns)}")
        return name
    column = usual(source.columns, meaning)
    text = usual(source.skipped, meaning)
    if column is None and text is not None and not chosen:
        raise InputError(
            f"{path}: column {text!r} holds no numbers (text or Python objects); write labels as 0, 1 or True, False, "
            "weights as numbers, or choose columns=[...] without it"
        )
    return column


def _wanted(source: RowSource, columns: Sequence[str] | None, path: str, special: list[str]) -> list[str]:
    names = source.columns if columns is None else columns
    for column in names:
        if column in source.skipped:
            raise InputError(
                f"{path}: column {column!r} holds text or categories; numeric columns: {', '.join(source.columns)}"
            )
        if column not in source.columns:
            raise InputError(f"{path} has no column {column!r}; {nearest(column, source.columns)}")
    return [c for c in names if c not in special]


def truth_labels(truth: NDArray[np.float64], path: str, first: int, column: str) -> NDArray[np.int8]:
    """The labels (n,) of the events from number `first` on.

    Raises
    ------
    InputError
        If one is none of 0, 1, -1.
    """
    wrong = np.flatnonzero(~np.isin(truth, (0, 1, -1)))
    if len(wrong):
        raise InputError(
            f"{path}: event {first + wrong[0]} has the label {truth[wrong[0]]:g} in {column!r}; "
            "labels are 0, 1 and -1 (data); name another column as label="
        )
    return truth.astype(np.int8)
