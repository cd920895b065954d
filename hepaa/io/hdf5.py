"""Tables in HDF5 files, whichever way they were written, read a range of rows at a time.

Known layouts: pandas 'fixed' (numeric columns in one or several blocks), pandas 'table' (PyTables rows),
plain two-dimensional data sets (column names in an attribute `columns`, if anywhere) and data sets of named
fields.
"""

from __future__ import annotations

import pickletools
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin  # noqa: F401  (registers blosc and others with HDF5)
import numpy as np

from hepaa.errors import HepaaError, InputError, TruncatedInputError, nearest
from hepaa.io.bounds import attribute, complete, content, refuse_foreign
from hepaa.io.files import one_line
from hepaa.io.remote import handle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray


# Of a data set, or of one field of it, in pandas' layouts: data set, field, names of its columns, type.
_Columns = tuple[str, str | None, list[str], np.dtype[Any]]


@dataclass(frozen=True)
class Block:
    """Some columns of a table that lie together: one data set, or one field of it."""

    dataset: str
    field: str | None
    positions: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Layout:
    """Where a table lies in an HDF5 file.

    Attributes
    ----------
    key : str
        Name of the group or data set.
    form : "fixed", "table", "plain" or "fields"
    n : int
        Rows.
    columns : tuple of str, or None
        Names of the numeric columns, in order; None where the file names none.
    width : int
        Number of numeric columns.
    skipped : tuple of str
        Columns of text and others that hold no single number.
    blocks : tuple of Block
    """

    key: str
    form: str
    n: int
    columns: tuple[str, ...] | None
    width: int
    skipped: tuple[str, ...]
    blocks: tuple[Block, ...]


_BROKEN = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError)
"""What h5py raises for damaged nodes, and Python and numpy for nodes and values of another type than a format has."""


@contextmanager
def opened(path: str | Path) -> Iterator[h5py.File]:
    """HDF5 file opened for reading; what HDF5 says of a broken one becomes an InputError."""
    try:
        file = h5py.File(handle(path), "r")
    except (OSError, RuntimeError, ValueError) as error:
        problem = "is cut short" if "truncated" in str(error) else "cannot be opened as HDF5"
        raise InputError(
            f"{path}: {problem} ({one_line(error)}); no event can be kept, copy or write it again"
        ) from error
    with file:
        try:
            refuse_foreign(file, str(path))
            yield file
        except HepaaError:
            raise
        except _BROKEN as error:
            raise InputError(f"{path} is damaged inside ({one_line(error)}); copy or write it again") from error


def find_tables(group: h5py.Group, seen: set[h5py.Group] | None = None) -> Iterator[Layout]:
    """All tables of a file, in the order of the file; groups that several links lead to, or back to, once."""
    seen = set() if seen is None else seen
    seen.add(group)
    for name in group:
        node = group.get(name)
        if isinstance(node, h5py.Dataset):
            layout = _dataset_layout(node)
            if layout:
                yield layout
        elif isinstance(node, h5py.Group) and node not in seen:
            written_as = text(attribute(node, "pandas_type"))
            if written_as == "frame":
                yield _fixed_layout(node)
            elif written_as == "frame_table":
                yield _table_layout(node)
            else:
                yield from find_tables(node, seen)


def choose(file: h5py.File, path: str, key: str) -> Layout:
    """The table called `key`, or the only one of the file.

    Raises
    ------
    InputError
        If there is no such table, or none or several and no key.
    """
    tables = {t.key: t for t in find_tables(file)}
    if key.strip("/") in tables:
        return tables[key.strip("/")]
    if key:
        raise InputError(f"{path} has no table {key!r}; {nearest(key, tables)}")
    if not tables:
        raise InputError(f"{path} holds no table of events; it has: {', '.join(file) or 'nothing'}")
    if len(tables) > 1:
        raise InputError(f"{path} holds several tables; name one of them as '{path}:KEY': {', '.join(tables)}")
    return next(iter(tables.values()))


def text(value: Any) -> str:
    """A text of HDF5, which h5py gives as bytes, str or Empty."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return "" if isinstance(value, h5py.Empty) else str(value)


def _texts(names: h5py.Dataset) -> list[str]:
    return list(map(text, np.ravel(content(names)).tolist()))


def _key(node: h5py.HLObject) -> str:
    return str(node.name).strip("/")


def _numeric(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "fiub"


def _dataset_layout(node: h5py.Dataset) -> Layout | None:
    key = _key(node)
    if node.dtype.names and node.ndim == 1:
        names = tuple(f for f in node.dtype.names if _numeric(node.dtype[f]))
        blocks = tuple(Block(key, f, (i,), node.dtype[f]) for i, f in enumerate(names))
        skipped = tuple(f for f in node.dtype.names if f not in names)
        return Layout(key, "fields", len(node), names, len(names), skipped, blocks)
    if node.ndim == 2 and _numeric(node.dtype):
        n, width = node.shape
        columns = tuple(map(text, np.ravel(attribute(node, "columns")))) if "columns" in node.attrs else None
        if columns is not None and len(columns) != width:
            raise InputError(
                f"{node.file.filename}: {key!r} has {width} columns but its attribute `columns` names {len(columns)}"
            )
        return Layout(key, "plain", n, columns, width, (), (Block(key, None, tuple(range(width)), node.dtype),))
    return None


def _fixed_layout(group: h5py.Group) -> Layout:
    blocks: list[_Columns] = []
    # one by one: a damaged file may state any number of blocks, and the first that is missing ends it
    for name in chain(["axis0"], (f"block{i}_items" for i in range(int(group.attrs["nblocks"])))):
        if text(attribute(group[name], "kind")) == "object":
            raise InputError(
                f"{group.file.filename}: column names of {_key(group)!r} are of mixed types, which pandas keeps as "
                "Python objects; write them as text: frame.columns = frame.columns.map(str)"
            )
    n = len(group["axis1"]) if "axis1" in group else 0
    for i in range(int(group.attrs["nblocks"])):
        values = group[f"block{i}_values"]
        if values.ndim == 2 and _numeric(values.dtype):
            n = len(values)
            blocks.append((_key(values), None, _texts(group[f"block{i}_items"]), values.dtype))
    return _pandas_layout(group, "fixed", n, _texts(group["axis0"]), blocks)


def _table_layout(group: h5py.Group) -> Layout:
    table = group["table"]
    held: list[str] = []
    blocks: list[_Columns] = []
    levels = attribute(group, "levels")  # of a MultiIndex, else a number
    index = set(_names_of(levels, group)) if isinstance(levels, bytes) and levels else set()
    for field in table.dtype.names:
        if f"{field}_kind" not in table.attrs or field == "index":
            continue
        items = _names_of(table.attrs[f"{field}_kind"], group)
        held += items
        base = table.dtype[field].base
        # of categories the codes are stored, which are no numbers of anything
        if _numeric(base) and text(attribute(table, f"{field}_meta")) != "category" and not index.issuperset(items):
            blocks.append((_key(table), field, items, base))
    # [(1, [names in the order of the frame])]: the first number is the axis.
    order = _names_of(group.attrs["non_index_axes"], group)[1:]
    if sorted(order) != sorted(held):
        raise InputError(f"{group.file.filename}: {_key(group)!r} lists other columns than it holds; write it again")
    return _pandas_layout(group, "table", len(table), [name for name in order if name not in index], blocks)


def _pandas_layout(group: h5py.Group, form: str, n: int, order: list[str], blocks: list[_Columns]) -> Layout:
    numeric = {name for _, _, items, _ in blocks for name in items}
    columns = tuple(c for c in order if c in numeric)
    if len(set(columns)) != len(columns):
        twice = sorted({c for c in columns if columns.count(c) > 1})
        raise InputError(f"{group.file.filename}: column names stand twice in {_key(group)!r}: {twice}")
    position = {name: i for i, name in enumerate(columns)}
    return Layout(
        _key(group),
        form,
        n,
        columns,
        len(columns),
        tuple(c for c in order if c not in numeric),
        tuple(Block(d, f, tuple(position[c] for c in items), dtype) for d, f, items, dtype in blocks),
    )


def _names_of(attribute: Any, group: h5py.Group) -> list[str]:
    """Column names from an attribute that PyTables wrote as a pickled list.

    The list is never unpickled: its texts and whole numbers are read off the opcodes, which runs nothing,
    and an opcode that would build or call anything else is refused.
    """
    names: list[str] = []
    for opcode, argument, _ in pickletools.genops(bytes(attribute)):
        if "UNICODE" in opcode.name:
            names.append(str(argument))
        elif opcode.name in _NUMBER_OPCODES:
            names.append(str(int(argument or 0)))
        elif opcode.name not in _LIST_OPCODES:
            raise InputError(
                f"{group.file.filename}: the column names of {_key(group)!r} are neither texts nor whole numbers "
                f"(pickle opcode {opcode.name}); rename the columns and write the file again"
            )
    return names


_NUMBER_OPCODES = {"INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2"}
_LIST_OPCODES = {
    "PROTO", "FRAME", "MARK", "LIST", "EMPTY_LIST", "APPEND", "APPENDS", "TUPLE", "TUPLE1", "TUPLE2",
    "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "STOP",
}  # fmt: skip


class RowReader:
    """Reads ranges of rows of one table into a buffer that the caller owns.

    Parameters
    ----------
    file : h5py.File
    path : str
        Name of the file for messages.
    layout : Layout
    """

    def __init__(self, file: h5py.File, path: str, layout: Layout) -> None:
        self._path, self.layout = path, layout
        self._datasets = {b.dataset: complete(file[b.dataset]) for b in layout.blocks}
        whole = tuple(range(layout.width))
        self._direct = [(block.field, block.positions) for block in layout.blocks] == [(None, whole)]
        self._scratch: dict[str, NDArray[Any]] = {}

    @property
    def chunk_rows(self) -> int:
        """Rows of one chunk of the file: the least that HDF5 can decompress at a time; 1 if it is not
        chunked."""
        return max((d.chunks[0] for d in self._datasets.values() if d.chunks), default=1)

    @property
    def native(self) -> np.dtype[Any]:
        """Type of the buffer that rows can be read into without a copy."""
        return self.layout.blocks[0].dtype if self._direct else np.dtype(np.float64)

    def rows_for(self, n_bytes: int) -> int:
        """Rows that fill about `n_bytes`, a whole number of chunks, at least one chunk."""
        row = sum(len(b.positions) * b.dtype.itemsize for b in self.layout.blocks)
        chunk = self.chunk_rows
        return max(n_bytes // max(row * chunk, 1), 1) * chunk

    def read(self, start: int, stop: int, out: NDArray[Any]) -> None:
        """Fill `out`, (stop - start, width), C-contiguous and of type `native`.

        Raises
        ------
        TruncatedInputError
            If a chunk cannot be read; it tells how many rows before it are good and where in the file it
            lies.
        """
        try:
            if stop > start:
                self._read(start, stop, out)
        except OSError as error:
            raise self._broken(start, stop, error) from error

    def _read(self, start: int, stop: int, out: NDArray[Any]) -> None:
        if self._direct:
            # what read_direct does, less its bookkeeping, which costs as much as a small read
            dataset = next(iter(self._datasets.values())).id
            selection = dataset.get_space()
            selection.select_hyperslab((start, 0), out.shape)
            dataset.read(h5py.h5s.create_simple(out.shape), selection, out)
            return
        raw = {}
        for name, dataset in self._datasets.items():
            scratch = self._scratch.get(name)
            if scratch is None or len(scratch) < stop - start:
                scratch = self._scratch[name] = np.empty((stop - start, *dataset.shape[1:]), dataset.dtype)
            raw[name] = scratch[: stop - start]
            dataset.read_direct(raw[name], np.s_[start:stop])
        for block in self.layout.blocks:
            values = raw[block.dataset] if block.field is None else raw[block.dataset][block.field]
            out[:, block.positions] = values.reshape(stop - start, len(block.positions))

    def whole_numbers(self, position: int, start: int, stop: int) -> NDArray[Any]:
        """One column, (stop - start,), in the type of the file: numbers that float64 would round."""
        block = next(block for block in self.layout.blocks if position in block.positions)
        values = self._datasets[block.dataset][start:stop]
        values = values if block.field is None else values[block.field]
        return np.ascontiguousarray(values.reshape(stop - start, -1)[:, block.positions.index(position)])

    def _broken(self, start: int, stop: int, error: OSError) -> TruncatedInputError:
        """The first chunk in start .. stop that cannot be read, as an error."""
        step = self.chunk_rows
        good, byte = start, 0
        for begin in range(start - start % step, stop, step):
            good = max(begin, start)
            try:
                for dataset in self._datasets.values():
                    _ = dataset[good : min(begin + step, stop)]
            except OSError:
                byte = _chunk_offset(dataset, begin)
                break
        return TruncatedInputError(
            f"{self._path}: {self.layout.key!r} cannot be read from event {good} on (byte {byte}: {one_line(error)}); "
            f"{good} events before it are good: copy the file again, or keep those with keep_partial",
            path=self._path,
            good_events=good,
            byte=byte,
        )


def _chunk_offset(dataset: h5py.Dataset, row: int) -> int:
    """Offset in bytes of the chunk, or of the contiguous data, that holds a row."""
    if not dataset.chunks:
        row_bytes: int = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
        return int(dataset.id.get_offset() or 0) + row * row_bytes
    offset: Any = dataset.id.get_chunk_info_by_coord((row,) + (0,) * (dataset.ndim - 1)).byte_offset
    return int(offset or 0)
