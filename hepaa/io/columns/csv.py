"""Rows of numbers from CSV files."""

from __future__ import annotations

import csv
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.io.columns.source import (
    Missing,
    RowSource,
    exact,
    is_number_of_event,
    is_row_index,
    named,
    plain_bytes,
    refuse_missing,
)
from hepaa.io.files import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_MISSING = ("", "NA", "N/A", "n/a", "<NA>", "NULL", "null", "None")
"""How a missing value is written; NaN is a value."""
_TRUE, _FALSE = ("True", "true", "TRUE"), ("False", "false", "FALSE")
_LOOKED_AT = 100  # lines


def csv_source(path: str, names: Sequence[str] | None, missing: Missing = "error") -> RowSource:
    """CSV, plain or compressed, separated by comma, semicolon, tab or blanks; header line optional.

    Values are read as the nearest float64, True and False as 1 and 0. A missing value is an error, or NaN where that is
    asked for; a line with too few fields is an error, never a fill. A column is text if the first value that is not
    missing is; one without a name, such as the index of a data frame, is left out.
    """
    with plain_bytes(path) as stream:
        lines = [line.decode("utf-8-sig", "replace").rstrip("\r\n") for line in _first_lines(stream, _LOOKED_AT)]
    if not lines:
        raise InputError(f"{path} is empty")
    delimiter = next((d for d in ",;\t" if d in lines[0]), " ")
    try:
        fields = list(csv.reader([lines[0].lstrip("# "), *lines[1:]], delimiter=delimiter))
    except csv.Error as error:
        raise InputError(f"{path} is no CSV ({error}); write it again") from error
    first, *rows = [[field.strip() for field in row] for row in fields if row] or [[]]
    has_header = _is_header(first)
    if has_header:
        every = tuple(first)
        if not rows:
            raise InputError(f"{path} has a header line but no events")
        if len(rows[0]) != len(every):
            raise InputError(f"{path}: the header names {len(every)} columns but line 2 has {len(rows[0])} fields")
    else:
        every = named(path, len(first), names, "the table")
        rows = [first, *rows]
    forms = dict(zip(every, map(_form, every, zip_longest(*rows, fillvalue="")), strict=False))
    known = [c for c in every if not is_row_index(c)]

    def read(wanted: Sequence[str], rows: int) -> Iterator[list[NDArray[Any]]]:
        types = {name: forms[name] for name in wanted}
        yield from _rebatch(_csv_batches(path, every, types, delimiter, has_header, missing), rows)

    numeric = tuple(c for c in known if forms[c] != "text")
    return RowSource(numeric, tuple(c for c in known if forms[c] == "text"), read, {"layout": "csv"})


def _is_header(fields: Sequence[str]) -> bool:
    """Whether the first line names the columns: a word is there, or numbers from 0 on, as of a bare data frame."""
    values = (*_MISSING, *_TRUE, *_FALSE)
    return any(not _is_number(f) and f not in values for f in fields) or (
        len(fields) > 1 and list(fields) == ["", *map(str, range(len(fields) - 1))]
    )


def _form(name: str, fields: Sequence[str]) -> str:
    """What the first value of a column that is not missing says of it: "bool", "int64", "double" or "text"."""
    value = next((field for field in fields if field not in _MISSING), "nan")
    if value in (*_TRUE, *_FALSE):
        return "bool"
    if is_number_of_event(name) and value.lstrip("+-").isdecimal():
        return "int64"
    return "double" if _is_number(value) else "text"


def _first_lines(stream: IO[bytes], n: int) -> list[bytes]:
    head = b""
    while head.count(b"\n") < n and (block := stream.read(1 << 16)):
        head += block
    return head.splitlines()[:n]


def _is_number(text: str) -> bool:
    try:
        return isinstance(float(text), float)
    except ValueError:
        return False


def _csv_batches(
    path: str, every: Sequence[str], types: Mapping[str, str], delimiter: str, has_header: bool, missing: Missing
) -> Iterator[list[NDArray[Any]]]:
    import pyarrow as pa
    from pyarrow import csv as arrow

    seen = 0
    with plain_bytes(path) as stream:
        try:
            reader = arrow.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=arrow.ReadOptions(
                    use_threads=False, block_size=1 << 22, column_names=list(every), skip_rows=int(has_header)
                ),
                parse_options=arrow.ParseOptions(delimiter=delimiter),
                convert_options=arrow.ConvertOptions(
                    include_columns=list(types),
                    column_types={name: pa.type_for_alias(form) for name, form in types.items()},
                    null_values=list(_MISSING),
                    true_values=list(_TRUE),
                    false_values=list(_FALSE),
                ),
            )
            for batch in reader:
                columns = dict(zip(types, batch.columns, strict=True))
                if missing == "error":
                    refuse_missing(path, columns, seen)
                yield [exact(name, column.to_numpy(zero_copy_only=False)) for name, column in columns.items()]
                seen += len(batch)
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: after {seen} good events: {one_line(error)}") from error


def _rebatch(batches: Iterator[list[NDArray[Any]]], rows: int) -> Iterator[list[NDArray[Any]]]:
    """The same rows, `rows` at a time; the last block is what is left."""
    held: list[list[NDArray[Any]]] = []
    n = 0
    for batch in batches:
        held.append(batch)
        n += len(batch[0])
        while n >= rows:
            joined = [np.concatenate(parts) for parts in zip(*held, strict=True)]
            yield [column[:rows].copy() for column in joined]
            held = [[column[rows:] for column in joined]]
            n = len(held[0][0])
    if n:
        yield [np.concatenate(parts) for parts in zip(*held, strict=True)]
