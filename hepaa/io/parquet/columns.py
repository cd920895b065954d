"""Tables in Parquet: named columns of one length, and what they mean as JSON in the metadata of the file."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.io.files import one_line, regular_file
from hepaa.io.remote import handle, is_remote
from hepaa.io.sealed import require_names, require_types
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_KEY, _SEAL = b"hepaa", b"hepaa.sha256"
_FORMAT = 1
_FEW_VALUES = ["label", "process", "generator", "file"]
"""Columns worth a dictionary. One of numbers that all differ doubles the time of writing, and adds to the size."""

NAMES = ("columns", "spectators", "processes", "generators", "sources", "cutflow", "feature_set", "units")
"""What the metadata of every table have."""


def write(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any], path: str | Path) -> None:
    """Write columns (n,) as Parquet, and `NAMES` in its metadata."""
    content = pa.table({name: _column(np.ascontiguousarray(values)) for name, values in arrays.items()})
    described = json.dumps({"format": _FORMAT, "version": __version__, **metadata}).encode()
    pq.write_table(
        content.replace_schema_metadata({_KEY: described, _SEAL: hashlib.sha256(described).hexdigest()}),
        path,
        compression="zstd",
        use_dictionary=_FEW_VALUES,
        column_encoding={"event": "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
    )


def _column(values: NDArray[Any]) -> pa.Array:
    """The same memory as a column. Asked for one, pyarrow imports pandas where it is installed, which takes 0.3 s."""
    if values.dtype.kind not in "iuf":
        return pa.array(values)
    dtype, memory = pa.from_numpy_dtype(values.dtype), pa.py_buffer(values)
    return pa.Array.from_buffers(dtype, len(values), [None, memory], null_count=0)


def count_rows(path: str | Path) -> int:
    """Rows of a Parquet file, from its description alone.

    Raises
    ------
    InputError
        If it is missing or no Parquet file.
    """
    with readable(path):
        return int(pq.read_metadata(handle(path)).num_rows)


def metadata(path: str | Path) -> tuple[int, dict[str, Any]]:
    """Number of rows of a table, and what was written of it: `NAMES`.

    Raises
    ------
    InputError
        If the file is missing, is no Parquet file, was not written by hepaa, or by a newer format of it.
    """
    if not is_remote(path) and not regular_file(path).is_file():
        raise InputError(f"{path}: no such file")
    with readable(path):
        description = pq.read_metadata(handle(path))
    packed, seal = ((description.metadata or {}).get(name) for name in (_KEY, _SEAL))
    if packed is None:
        raise InputError(f"{path}: a Parquet file, but not an event table of hepaa; make one with `hepaa features`")
    if seal is not None and hashlib.sha256(packed).hexdigest().encode() != seal:
        raise InputError(f"{path} is a damaged table (SHA-256 of its metadata); copy or write it again")
    try:
        content: dict[str, Any] = {"units": {}, **parse_json(packed)}  # tables of hepaa 0.1.0 may have none
        newer = content["format"] > _FORMAT
        described = {} if newer else {name: content[name] for name in NAMES}
        if not newer:
            _require_metadata(described)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is a damaged table ({one_line(error)}); copy or write it again") from error
    if newer:
        raise InputError(
            f"{path}: written by hepaa {content.get('version')} in a newer format; update hepaa to read it"
        )
    return int(description.num_rows), described


def _require_metadata(described: dict[str, Any]) -> None:
    """Raise TypeError or ValueError where a value is of another kind than `write` was given."""
    names = ("columns", "spectators", "processes", "generators")
    require_types(
        described, dict.fromkeys((*names, "sources", "cutflow"), list) | {"feature_set": str | None, "units": dict}
    )
    require_names(*(described[name] for name in names), list(described["units"].values()))
    for source in described["sources"]:
        require_types(source, dict.fromkeys(("path", "sha256", "selection", "version"), str))
    for row in described["cutflow"]:
        numbers = {"n": int, "sum_weights": float | int}
        require_types(row, dict.fromkeys(("process", "generator", "step"), str) | numbers)


def read(path: str | Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Columns of a table, each (n,).

    Raises
    ------
    InputError
        If a column is missing, or the file damaged.
    """
    with readable(path):
        content = pq.read_table(handle(path), columns=list(names), page_checksum_verification=True)
        return {name: numbers(content.column(name), name) for name in names}


def batches(path: str | Path, names: Sequence[str], rows: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Columns of a table, at most `rows` rows at a time; errors are those of `read`."""
    with readable(path), pq.ParquetFile(handle(path), page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=rows, columns=list(names)):
            yield {name: numbers(batch.column(name), name) for name in names}


def numbers(column: pa.Array | pa.ChunkedArray, name: str) -> NDArray[Any]:
    """A column as an array (n,).

    Raises
    ------
    TypeError
        If it does not hold one number a row.
    """
    if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise TypeError(f"column {name!r} of {column.type} has {column.null_count} empty rows; numbers are expected")
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """What pyarrow says of a broken file becomes an InputError."""
    try:
        yield
    except (pa.ArrowException, OSError) as broken:
        raise InputError(f"{path}: not a readable Parquet file ({one_line(broken)})") from broken
    except (KeyError, UnicodeDecodeError, TypeError) as broken:
        raise InputError(f"{path} is a damaged table ({one_line(broken)}); copy or write it again") from broken
