"""Rows of numbers from CSV files."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError
from hepaa.io.columns.source import RowSource, named, plain_bytes
from hepaa.io.files import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


def csv_source(path: str, names: Sequence[str] | None) -> RowSource:
    """CSV, plain or compressed, separated by comma, semicolon, tab or blanks; header line optional.

    Values are read as the nearest float64. An empty field or a line with too few fields is an error, never a
    fill.
    """
    with plain_bytes(path) as stream:
        lines = [line.decode("utf-8-sig", "replace").rstrip("\r\n") for line in _first_lines(stream, 2)]
    if not lines:
        raise InputError(f"{path} is empty")
    delimiter = next((d for d in ",;\t" if d in lines[0]), " ")
    first = [field.strip().strip('"') for field in lines[0].lstrip("# ").split(delimiter)]
    has_header = not all(_is_number(f) for f in first)
    if has_header:
        every = tuple(first)
        if len(lines) < 2:
            raise InputError(f"{path} has a header line but no events")
        sample = lines[1].split(delimiter)
        if len(sample) != len(every):
            raise InputError(f"{path}: the header names {len(every)} columns but line 2 has {len(sample)} fields")
    else:
        every = named(path, len(first), names, "the table")
        sample = first
    if len(set(every)) != len(every):
        raise InputError(f"{path}: column names stand twice: {sorted({c for c in every if every.count(c) > 1})}")
    numeric = tuple(c for c, field in zip(every, sample, strict=True) if _is_number(field.strip().strip('"')))

    def read(wanted: Sequence[str], rows: int) -> Iterator[NDArray[np.float64]]:
        yield from _rebatch(_csv_batches(path, every, wanted, delimiter, has_header), rows, len(wanted))

    return RowSource(numeric, tuple(c for c in every if c not in numeric), read, {"layout": "csv"})


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
    path: str, every: Sequence[str], wanted: Sequence[str], delimiter: str, has_header: bool
) -> Iterator[NDArray[np.float64]]:
    import pyarrow as pa
    from pyarrow import csv

    seen = 0
    with plain_bytes(path) as stream:
        try:
            reader = csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=csv.ReadOptions(
                    use_threads=False, block_size=1 << 22, column_names=list(every), skip_rows=int(has_header)
                ),
                parse_options=csv.ParseOptions(delimiter=delimiter),
                convert_options=csv.ConvertOptions(
                    include_columns=list(wanted), column_types=dict.fromkeys(wanted, pa.float64()), null_values=[""]
                ),
            )
            for batch in reader:
                for name, column in zip(wanted, batch.columns, strict=True):
                    if column.null_count:
                        row = seen + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
                        raise InputError(f"{path}: {name!r} is empty in event {row}; mend it or cut the event away")
                yield np.column_stack([c.to_numpy() for c in batch.columns])
                seen += len(batch)
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: after {seen} good events: {one_line(error)}") from error


def _rebatch(batches: Iterator[NDArray[np.float64]], rows: int, width: int) -> Iterator[NDArray[np.float64]]:
    """The same rows, `rows` at a time; the last block is what is left."""
    held: list[NDArray[np.float64]] = []
    n = 0
    for batch in batches:
        held.append(batch)
        n += len(batch)
        while n >= rows:
            joined = np.concatenate(held)
            yield joined[:rows].copy()
            held = [joined[rows:]]
            n = len(held[0])
    if n:
        yield np.concatenate([np.empty((0, width)), *held])
