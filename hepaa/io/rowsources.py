"""Rows of numbers from CSV, npy and npz files, a block at a time: what `featurefile` reads from."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import HepaaError, InputError, nearest
from hepaa.io.pieces import one_line, row_ranges
from hepaa.io.stream import ByteStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

_BROKEN = (EOFError, OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
"""What zipfile and the decompressors raise for damaged data."""

_NAME_ARRAYS = ("columns", "names", "feature_names", "features")


@dataclass(frozen=True)
class RowSource:
    """A table whose rows can be read in order.

    Attributes
    ----------
    columns : tuple of str
        Numeric columns, in the order of the file.
    skipped : tuple of str
        Columns of text.
    n : int or None
        Rows, where the file says so before it is read.
    read : callable
        `read(names, rows)` yields float64 (<= rows, len(names)) until the file ends.
    header : dict
        Where in the file the table lies.
    """

    columns: tuple[str, ...]
    skipped: tuple[str, ...]
    n: int | None
    read: Callable[[Sequence[str], int], Iterator[NDArray[np.float64]]]
    header: dict[str, Any]


def named(path: str, width: int, names: Sequence[str] | None, what: str) -> tuple[str, ...]:
    """The names a user gave to the columns of an array that has none.

    Raises
    ------
    InputError
        If there are none, or not one for each column.
    """
    if names is None:
        raise InputError(f"{path}: {what} has {width} columns without names; give them as columns=[...], in order")
    if len(names) != width:
        raise InputError(f"{path}: {what} has {width} columns, but columns= names {len(names)}")
    return tuple(names)


class _Plain(io.RawIOBase):
    """A file of any compression as the plain bytes in it."""

    def __init__(self, path: str) -> None:
        self._stream = ByteStream(path)
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        stream = self._stream
        if self._at == stream.stop:
            if not stream.advance(stream.stop):
                return 0
            self._at = stream.start
        n = min(len(buffer), stream.stop - self._at)
        buffer[:n] = stream.data[self._at : self._at + n]
        self._at += n
        return n

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def plain_bytes(path: str) -> io.BufferedReader:
    """The bytes of a file, plain or compressed by gzip, zstd, xz or bz2."""
    return io.BufferedReader(_Plain(path))


# --- CSV
# -------------------------------------------------------------------------------------------------------


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

    return RowSource(numeric, tuple(c for c in every if c not in numeric), None, read, {"layout": "csv"})


def _first_lines(stream: IO[bytes], n: int) -> list[bytes]:
    head = b""
    while head.count(b"\n") < n and (block := stream.read(1 << 16)):
        head += block
    return head.splitlines()[:n]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
                    include_columns=list(wanted),
                    column_types=dict.fromkeys(wanted, pa.float64()),
                    null_values=[""],
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


# --- npy and npz
# -----------------------------------------------------------------------------------------------


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
