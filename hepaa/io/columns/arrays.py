"""Rows of numbers from npy and npz files, of which the arrays are read whole."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.io.columns.source import RowSource, exact, named
from hepaa.io.files import one_line, opened
from hepaa.io.pieces import row_ranges
from hepaa.io.remote import handle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_BROKEN = (
    ValueError, SyntaxError, tokenize.TokenError, EOFError, OSError, MemoryError, zipfile.BadZipFile, zlib.error,
    NotImplementedError, RuntimeError,
)  # fmt: skip
"""What numpy, zipfile and the decompressors raise for damaged data."""

_NAME_ARRAYS = ("columns", "names", "feature_names", "features")


def npy_source(path: str, names: Sequence[str] | None) -> RowSource:
    """One array, (n, d) or of named fields, of an npy file."""
    with opened(path) as stream:
        return _array_source(path, {"array": _array(path, "array", stream)}, names, "")


def npz_source(path: str, names: Sequence[str] | None, key: str) -> RowSource:
    """Arrays of an npz file: one matrix with named columns, and vectors of the same length; or vectors alone.

    Names of the matrix come from an array `columns` (or `names`, `feature_names`), else from `names`.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(handle(path)) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as stream:
                        name = member.removesuffix(".npy")
                        arrays[name] = _array(path, name, stream)
    except _BROKEN as error:
        raise InputError(f"{path} is a broken npz file ({one_line(error)}); copy or write it again") from error
    widths = {a.shape[1] for a in arrays.values() if a.ndim == 2}
    if names is None:
        for name, array in arrays.items():
            if name in _NAME_ARRAYS and array.dtype.kind in "US" and array.ndim and len(array) in widths:
                names = [str(c) for c in array]
    return _array_source(path, arrays, names, key)


def _array(path: str, name: str, stream: Any) -> NDArray[Any]:
    try:
        return np.lib.format.read_array(stream, allow_pickle=False)
    except _BROKEN as error:
        if "Object arrays" in str(error):
            raise InputError(
                f"{path}: array {name!r} holds pickled Python objects, which are never read; save plain numbers"
            ) from error
        raise InputError(
            f"{path}: array {name!r} breaks off or is damaged ({one_line(error)}); copy or write it again"
        ) from error


def _array_source(path: str, arrays: Mapping[str, NDArray[Any]], names: Sequence[str] | None, key: str) -> RowSource:
    numeric = {name: a for name, a in arrays.items() if a.dtype.names or a.dtype.kind in "fiub"}
    tables = {name: a for name, a in numeric.items() if a.ndim == 2 or (a.ndim == 1 and a.dtype.names)}
    if key:
        if key not in tables:
            raise InputError(f"{path} has no table {key!r}; {nearest(key, numeric)}")
        tables = {key: tables[key]}
    if len(tables) > 1:
        raise InputError(f"{path} holds several tables; name one of them as '{path}:KEY': {', '.join(tables)}")
    vectors = {name: a for name, a in numeric.items() if a.ndim == 1 and not a.dtype.names}
    columns: dict[str, NDArray[Any]] = {}
    text: list[str] = []
    for name, table in tables.items():
        if table.dtype.names:
            columns = {f: table[f] for f in table.dtype.names if table.dtype[f].kind in "fiub"}
            text += [f for f in table.dtype.names if f not in columns]
        else:
            columns = dict(zip(named(path, table.shape[1], names, f"array {name!r}"), table.T, strict=True))
        vectors = {v: a for v, a in vectors.items() if len(a) == len(table)}
        if twice := sorted(columns.keys() & vectors.keys()):
            raise InputError(f"{path}: column names stand twice: {twice}; leave one out")
    columns |= vectors
    if not tables and len({len(a) for a in vectors.values()}) != 1:
        form = ", ".join(f"{name} {a.shape}" for name, a in arrays.items()) or "nothing"
        raise InputError(f"{path} holds no table of events, nor vectors of one length; it has: {form}")
    n = len(next(iter((*tables.values(), *vectors.values()))))
    text += [name for name, a in arrays.items() if a.ndim == 1 and len(a) == n and name not in numeric]

    def read(wanted: Sequence[str], rows: int) -> Iterator[list[NDArray[Any]]]:
        for start, stop in row_ranges(n, rows):
            yield [exact(name, columns[name][start:stop]) for name in wanted]

    return RowSource(tuple(columns), tuple(text), read, {"layout": "array", "key": next(iter(tables), "")})
