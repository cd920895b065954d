"""Rows of numbers from npy and npz files."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import HepaaError, InputError, nearest
from hepaa.io.columns.source import RowSource, named
from hepaa.io.files import one_line
from hepaa.io.pieces import row_ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


_BROKEN = (EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
"""What zipfile and the decompressors raise for damaged data."""

_NAME_ARRAYS = ("columns", "names", "feature_names", "features")


@dataclass(frozen=True)
class _Array:
    """One array of a file: its name, form, and how to open its bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    stream: Callable[[], IO[bytes]]


def npy_source(path: str, names: Sequence[str] | None) -> RowSource:
    """One array, (n, d) or of named fields, of an npy file."""
    array = _array(path, "array", lambda: Path(path).open("rb"))  # noqa: SIM115  (closed by who opens)
    return _array_source(path, [array], names, "")


def npz_source(path: str, names: Sequence[str] | None, key: str) -> RowSource:
    """Arrays of an npz file: one matrix with named columns, and vectors of the same length; or vectors alone.

    Names of the matrix come from an array `columns` (or `names`, `feature_names`), else from `names`.
    """
    with _zip(path) as archive:
        members = [m for m in archive.namelist() if m.endswith(".npy")]
    arrays = [_array(path, m.removesuffix(".npy"), _member(path, m)) for m in members]
    if names is None:
        width = {a.shape[1] for a in arrays if len(a.shape) == 2}
        for array in arrays:
            if array.name in _NAME_ARRAYS and array.dtype.kind in "US" and array.shape and array.shape[0] in width:
                with array.stream() as stream:
                    names = [str(c) for c in np.lib.format.read_array(stream, allow_pickle=False)]
    return _array_source(path, arrays, names, key)


@contextmanager
def _zip(path: str) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN as error:
        raise InputError(f"{path} is a broken npz file ({one_line(error)}); copy or write it again") from error
    with archive:
        yield archive


def _member(path: str, member: str) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        # ZipFile may be closed at once: the member keeps the file open for itself
        with _zip(path) as archive:
            return archive.open(member)

    return opened


def _array(path: str, name: str, stream: Callable[[], IO[bytes]]) -> _Array:
    try:
        with stream() as handle:
            version = np.lib.format.read_magic(handle)
            reader = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }.get(version)
            if reader is None:
                raise InputError(f"{path}: array {name!r} is of npy version {version}; versions 1.0 and 2.0 are read")
            shape, fortran, dtype = reader(handle)
    except HepaaError:
        raise
    except (ValueError, tokenize.TokenError, SyntaxError, *_BROKEN) as error:
        raise InputError(f"{path}: array {name!r} cannot be read ({one_line(error)}); write it again") from error
    if dtype.hasobject:
        raise InputError(
            f"{path}: array {name!r} holds pickled Python objects, which are never read; save plain numbers"
        )
    return _Array(name, shape, dtype, fortran, stream)


def _array_source(path: str, arrays: list[_Array], names: Sequence[str] | None, key: str) -> RowSource:
    numeric = [a for a in arrays if a.dtype.names or a.dtype.kind in "fiub"]
    tables = [a for a in numeric if len(a.shape) == 2 or (len(a.shape) == 1 and a.dtype.names)]
    if key:
        tables = [a for a in tables if a.name == key]
        if not tables:
            raise InputError(f"{path} has no table {key!r}; {nearest(key, [a.name for a in numeric])}")
    if len(tables) > 1:
        raise InputError(
            f"{path} holds several tables; name one of them as '{path}:KEY': {', '.join(a.name for a in tables)}"
        )
    vectors = [a for a in numeric if len(a.shape) == 1 and not a.dtype.names]
    # array and, within it, field or position of each column
    where: dict[str, tuple[_Array, str | int | None]] = {}
    if tables:
        table = tables[0]
        if table.dtype.names:
            fields = [f for f in table.dtype.names if table.dtype[f].kind in "fiub"]
            where |= {f: (table, f) for f in fields}
        else:
            titles = named(path, table.shape[1], names, f"array {table.name!r}")
            where |= {c: (table, i) for i, c in enumerate(titles)}
        n = table.shape[0]
        vectors = [a for a in vectors if a.shape[0] == n and a.name not in where]
    else:
        lengths = {a.shape[0] for a in vectors}
        if len(lengths) != 1:
            form = ", ".join(f"{a.name} {a.shape}" for a in arrays) or "nothing"
            raise InputError(f"{path} holds no table of events, nor vectors of one length; it has: {form}")
        n = lengths.pop()
    where |= {a.name: (a, None) for a in vectors}

    def read(wanted: Sequence[str], rows: int) -> Iterator[NDArray[np.float64]]:
        used = list(dict.fromkeys(where[c][0].name for c in wanted))
        by_name = {a.name: a for a in arrays}
        with ExitStack() as stack:
            cursors = {u: _rows(path, by_name[u], stack) for u in used}
            for start, stop in row_ranges(n, rows):
                raw = {u: cursors[u](stop - start) for u in used}
                out = np.empty((stop - start, len(wanted)))
                for i, column in enumerate(wanted):
                    array, part = where[column]
                    block = raw[array.name]
                    out[:, i] = block if part is None else block[part] if isinstance(part, str) else block[:, part]
                yield out

    header = {"layout": "array", "key": tables[0].name if tables else ""}
    return RowSource(tuple(where), (), n, read, header)


def _rows(path: str, array: _Array, stack: ExitStack) -> Callable[[int], NDArray[Any]]:
    """A function that gives the next rows of an array each time it is called."""
    stream = stack.enter_context(array.stream())
    if array.fortran and len(array.shape) > 1:  # columns come one after another: the whole array is needed
        try:
            whole = np.lib.format.read_array(stream, allow_pickle=False)
        except (ValueError, *_BROKEN) as error:
            raise InputError(f"{path}: array {array.name!r} breaks off ({one_line(error)}); copy it again") from error
        position = 0

        def following(rows: int) -> NDArray[Any]:
            nonlocal position
            position += rows
            return whole[position - rows : position]

        return following
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    header(stream)
    row_shape = array.shape[1:]
    row_bytes = array.dtype.itemsize * int(np.prod(row_shape, dtype=np.int64))
    done = 0

    def streamed(rows: int) -> NDArray[Any]:
        nonlocal done
        data = _exactly(stream, rows * row_bytes, f"{path}: array {array.name!r}", done)
        done += rows
        return np.frombuffer(data, array.dtype).reshape(rows, *row_shape)

    return streamed


def _exactly(stream: IO[bytes], size: int, what: str, done: int) -> bytes:
    parts: list[bytes] = []
    left = size
    try:
        while left and (part := stream.read(left)):
            parts.append(part)
            left -= len(part)
    except _BROKEN as error:
        raise InputError(f"{what} breaks off after event {done} ({one_line(error)}); copy or write it again") from error
    if left:
        raise InputError(f"{what} breaks off after event {done}: {left} bytes are missing; copy or write it again")
    return b"".join(parts)
