"""What no HDF5 file may hold: links and data in other files, and more than its bytes can be.

A file that says it has 10^12 rows, or whose list of chunks names one a thousand times, is refused before any memory is
taken for it.
"""

from __future__ import annotations

import math
import mmap
import shutil
from array import array
from contextlib import contextmanager
from itertools import starmap
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

import h5py
import numpy as np

from hepaa.errors import InputError
from hepaa.io.remote import RemoteFile, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_COMPRESSED = 2000
"""Bytes of data that one byte of a file may stand for. gzip makes one of 1,032 at most; LHCO files have one of 15."""
_SMALL = 1 << 20  # bytes that any file may say it has
_MOST_TEXTS = 1 << 16
_HEAP = b"GCOL\x01\0\0\0"


def refuse_foreign(file: h5py.File, path: str) -> None:
    """Raise InputError for links and data that lead out of the file, and for data that are too large for it.

    Every link counts with the data that it leads to, whatever else leads there.
    """
    size = file.id.get_filesize()
    left = MOST_COMPRESSED * size + _SMALL
    groups = [file["/"]]
    seen = set(groups)
    while groups:
        group = groups.pop()
        for name in group:
            label = f"{group.name}/{name}".strip("/")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink | h5py.SoftLink):
                raise InputError(f"{path}: {label!r} is a link out of the file and not followed; copy its data into it")
            node = group.get(name)
            if isinstance(node, h5py.Group) and node not in seen:
                seen.add(node)
                groups.append(node)
            if not isinstance(node, h5py.Dataset):
                continue
            if node.is_virtual or node.external:
                raise InputError(f"{path}: the data of {label!r} lie in other files and are not read; copy them here")
            left -= math.prod(node.shape or ()) * max(node.dtype.itemsize, 8)
            if left < 0:
                raise InputError(
                    f"{path}: {label!r} of shape {node.shape} cannot be in a file of {size} bytes; write it again"
                )


def complete(dataset: h5py.Dataset) -> h5py.Dataset:
    """The same data set, if all of its data are in the file, and none of them twice.

    Raises
    ------
    InputError
        If data were never written, or the index of chunks names one twice, too few, or what lies beyond the file.
    """
    problem = None
    if dataset.chunks is not None:
        problem = _wrong_chunks(dataset)
    elif dataset.size and dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS:
        problem = None if dataset.id.get_storage_size() else "its data were never written"
    if problem:
        raise InputError(f"{dataset.file.filename}: {dataset.name!r} is damaged: {problem}; copy or write it again")
    return dataset


def attribute(node: h5py.HLObject, name: str, default: Any = b"") -> Any:
    """An attribute; its texts are read only if HDF5 finds its way through the heaps of the file."""
    if name not in node.attrs:
        return default
    if node.attrs.get_id(name).dtype.kind == "O":
        _refuse_endless_heaps(node.file)
    return node.attrs[name]


def content(dataset: h5py.Dataset) -> Any:
    """All values of a small data set. Texts may not be longer, all together, than the file."""
    complete(dataset)
    if dataset.dtype.kind != "O":
        return dataset[()]
    _refuse_endless_heaps(dataset.file)
    if not dataset.ndim:
        return dataset[()]
    left = dataset.file.id.get_filesize()
    values = np.empty(dataset.shape if dataset.size <= _MOST_TEXTS else 0, object)
    for place in np.ndindex(values.shape):
        values[place] = dataset[place]
        left -= len(values[place])
        if left < 0:
            break
    if left < 0 or values.size < dataset.size:
        raise InputError(f"{dataset.file.filename}: {dataset.name!r} has more text than the file; write it again")
    return values


def _refuse_endless_heaps(file: h5py.File) -> None:
    """Raise InputError for a heap of texts with a free space of no size, at which HDF5 2.0 reads for ever.

    HDF5 does not say where heaps lie: the file is searched for their sign, at the speed of the disk.
    """
    damaged = False
    with _here(file.filename) as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as memory:
        at = memory.find(_HEAP)
        while at >= 0 and not damaged:
            end, place = at + int.from_bytes(memory[at + 8 : at + 16], "little"), at + 16
            damaged = end > len(memory)
            while place + 16 <= end and not damaged:
                index, size = (int.from_bytes(memory[place + a : place + b], "little") for a, b in ((0, 2), (8, 16)))
                damaged = not index and size < 16
                place += 16 + 8 * _parts(size, 8) if index else size
            at = memory.find(_HEAP, at + 16)
    if damaged:
        raise InputError(f"{file.filename} is damaged: a heap of its texts has no end; copy or write it again")


@contextmanager
def _here(path: str) -> Iterator[IO[bytes]]:
    """A file, or a copy of one that is on a server."""
    if not is_remote(path):
        with Path(path).open("rb") as stream:
            yield stream
        return
    with RemoteFile(path) as distant, TemporaryFile() as copy:
        shutil.copyfileobj(distant, copy)
        copy.flush()
        yield copy


def _wrong_chunks(dataset: h5py.Dataset) -> str | None:
    """What is wrong with the index of chunks, if anything."""
    grid = list(starmap(_parts, zip(dataset.shape, dataset.chunks, strict=True)))
    stored = dataset.id.get_num_chunks()
    if stored != math.prod(grid):
        return f"it has {stored} of the {math.prod(grid)} chunks that its shape needs"
    numbers = array("Q")

    def note(chunk: Any) -> None:
        numbers.extend((*chunk.chunk_offset, chunk.byte_offset, chunk.size))

    dataset.id.chunk_iter(note)
    chunks = np.array(numbers, np.uint64).reshape(-1, dataset.ndim + 2)
    if len(chunks) != stored:
        return f"it lists {len(chunks)} chunks, and has {stored}"
    if not stored:
        return None
    places, starts, sizes = chunks[:, :-2], chunks[:, -2].astype(np.float64), chunks[:, -1].astype(np.float64)
    steps = np.array(dataset.chunks, np.uint64)
    if (places % steps).any() or (places >= np.array(dataset.shape, np.uint64)).any():
        return "a chunk lies outside of its shape"
    number = np.ravel_multi_index(tuple((places // steps).astype(np.int64).T), grid)
    if np.bincount(number).max() > 1:
        return "its index names a chunk twice"
    order = np.argsort(starts)
    ends = (starts + sizes)[order]
    if (ends[:-1] > starts[order[1:]]).any():
        return "two chunks lie on the same bytes"
    if ends[-1] > dataset.file.id.get_filesize():
        return "a chunk lies beyond the end of the file"
    return None


def _parts(length: int, step: int) -> int:
    return -(-length // step)
