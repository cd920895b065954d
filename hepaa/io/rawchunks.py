"""Chunks of HDF5 tables read and unpacked without HDF5, for the two ways in which such tables are mostly packed.

HDF5 fills every value of a chunk, passes it through its filters whole and copies it twice; here bytes that are all
zero at the end of a row, which is most of an LHC Olympics event, are never put together.
"""

from __future__ import annotations

import os
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import h5py
import numba
import numpy as np
from isal import isal_zlib

from hepaa.io import blosclz
from hepaa.io.blosclz import SLACK

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDTH = 8
_DEFLATE, _SHUFFLE, _BLOSC = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, 32001
_MOST_BYTES = 16_000_000
_BROKEN: Any = isal_zlib.error


class DamagedChunkError(Exception):
    """A chunk that cannot be unpacked: its first row, where it lies in the file, and what is wrong."""

    def __init__(self, row: int, byte: int, reason: str) -> None:
        super().__init__(reason)
        self.row, self.byte = row, byte


def readable(dataset: h5py.Dataset) -> bool:
    """Whether `RawChunks` reads a data set, by the layout and the filters that it declares.

    It does for rows of 8-byte numbers in chunks of whole rows, all of them there, in a local file, packed by deflate
    with or without shuffle, or by Blosc with shuffle and BloscLZ. All others are for HDF5, checksums among them.
    """
    chunks, dtype = dataset.chunks, dataset.dtype
    return bool(
        chunks
        and dataset.ndim == 2
        and chunks[1] == dataset.shape[1]
        and dtype.isnative
        and sys.byteorder == "little"
        and dtype.kind in "fiu"
        and dtype.itemsize == _WIDTH
        and chunks[0] <= len(dataset)
        and chunks[0] * chunks[1] * _WIDTH <= _MOST_BYTES
        and dataset.file.driver == "sec2"
        and dataset.file.userblock_size == 0
        and _filters(dataset) in (["deflate"], ["shuffle", "deflate"], ["blosc"])
        and dataset.id.get_num_chunks() == -(-len(dataset) // chunks[0])
    )


def _filters(dataset: h5py.Dataset) -> list[str]:
    """Names of the filters; "" for one that is not read here."""
    declared = dataset.id.get_create_plist()
    names = []
    for i in range(declared.get_nfilters()):
        code, _, values, _ = declared.get_filter(i)
        name = ""
        if code == _DEFLATE:
            name = "deflate"
        elif code == _SHUFFLE and values[0] == _WIDTH:
            name = "shuffle"
        elif code == _BLOSC and values[2] == _WIDTH and values[5] == 1 and (len(values) < 7 or values[6] == 0):
            name = "blosc"
        names.append(name)
    return names


class RawChunks:
    """Rows of a data set that is `readable`, but for those of a last chunk that hangs over its end.

    Parameters
    ----------
    dataset : h5py.Dataset

    Attributes
    ----------
    n : int
        Rows that can be read.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        self._rows, self._columns = dataset.chunks
        # HDF5 may store a chunk that hangs over the end without its filters, and does not say so
        self.n = len(dataset) // self._rows * self._rows
        self._filters = _filters(dataset)
        chunks: list[Any] = []
        dataset.id.chunk_iter(chunks.append)
        self._where = np.empty((len(chunks), 3), np.int64)
        order = [c.chunk_offset[0] // self._rows for c in chunks]
        self._where[order] = [(c.byte_offset, c.size, c.filter_mask) for c in chunks]
        self._elements = self._rows * self._columns
        self._most = 2 * self._elements * _WIDTH + 4096
        self._file = int(dataset.file.id.get_vfd_handle())
        self._size = os.fstat(self._file).st_size
        self._packed = np.empty(0, np.uint8)
        length = -(-(self._elements + SLACK) // SLACK) * SLACK
        self._planes = np.zeros((_WIDTH, length), np.uint8)
        self._words = self._planes.view(np.uint64)
        self._empty = np.zeros(_WIDTH, np.bool_)
        self._scratch = np.empty(self._elements * _WIDTH + SLACK if self._filters == ["blosc"] else 0, np.uint8)
        self._plain: NDArray[np.uint64] | None = None
        self._held = -1

    def read(self, start: int, stop: int, out: NDArray[Any], ends: NDArray[np.int64] | None) -> None:
        """Fill `out` and `ends`; see `hepaa.io.hdf5.RowReader.read`.

        Raises
        ------
        DamagedChunkError
            If a chunk cannot be unpacked. Rows before it are in place.
        """
        words = out.view(np.uint64)
        fill = ends is None
        tails = np.empty(stop - start, np.int64) if ends is None else ends
        row = start
        while row < stop:
            chunk, skip = divmod(row, self._rows)
            last = stop // self._rows
            if skip == 0 and last > chunk and self._filters == ["blosc"]:
                rows = slice(row - start, last * self._rows - start)
                row += self._run(chunk, last, words[rows], tails[rows], fill) * self._rows
                if row == last * self._rows:
                    continue
                chunk = row // self._rows
            if chunk != self._held:
                self._held = -1
                self._load(chunk)
                self._held = chunk
            n = min(self._rows - skip, stop - row)
            rows = slice(row - start, row - start + n)
            if self._plain is not None:
                words[rows] = self._plain[skip : skip + n]
                tails[rows] = self._columns
            else:
                _join(self._planes, self._words, self._empty, skip, words[rows], tails[rows], fill)
            row += n

    def _run(self, first: int, last: int, rows: NDArray[np.uint64], ends: NDArray[np.int64], fill: bool) -> int:
        """Rows of Blosc's chunks first .. last at one go; the number of chunks that are done before a peculiar one."""
        where = self._where[first:last]
        self._held = -1
        fits = (where[:, 2] == 0) & (where[:, 1] > 0) & (where[:, 1] <= self._most) & (where[:, 0] > 0)
        n = int(np.argmin(fits)) if not fits.all() else len(fits)
        begins = np.concatenate([[0], np.cumsum(where[:n, 1])])
        self._make_room(int(begins[-1]))
        gaps = np.flatnonzero(np.diff(where[:n, 0]) != where[: n - 1, 1]) + 1  # one call for neighbours in the file
        edges = [0, *gaps.tolist(), n] if n else []
        for a, b in pairwise(edges):
            part = self._packed[begins[a] : begins[b]]
            if os.preadv(self._file, [part.data], int(where[a, 0])) != len(part):
                return 0
        return int(
            _unpack_chunks(
                self._packed, begins, self._planes, self._words, self._empty, self._scratch,
                rows, ends, self._rows, fill,
            )
        )  # fmt: skip

    def _make_room(self, size: int) -> None:
        if len(self._packed) < size + SLACK:
            self._packed = np.zeros(size + size // 4 + SLACK, np.uint8)

    def _load(self, chunk: int) -> None:
        """Unpack a chunk, into byte planes or, where it is not shuffled, into rows."""
        byte, size, skipped = self._where[chunk].tolist()
        row, n_bytes = chunk * self._rows, self._elements * _WIDTH
        self._plain = None
        if skipped:
            self._plain = self._by_hdf5(row)
            return
        if not 0 < size <= self._most or byte + size > self._size:
            raise DamagedChunkError(row, byte, f"a chunk of {size} bytes does not lie in the file")
        self._make_room(size)
        if os.preadv(self._file, [self._packed[:size].data], byte) != size:
            raise DamagedChunkError(row, byte, f"less than {size} bytes of a chunk could be read")
        if self._filters == ["blosc"]:
            verdict = blosclz.frame_planes(
                self._packed, 0, size, self._planes, self._empty, self._scratch, self._elements
            )
            if verdict == blosclz.DAMAGED:
                raise DamagedChunkError(row, byte, "its Blosc frame is broken")
            if verdict == blosclz.OTHER:
                self._plain = self._by_hdf5(row)
            return
        stream = isal_zlib.decompressobj()
        try:
            data = stream.decompress(self._packed[:size], n_bytes + 1)
        except _BROKEN as error:
            raise DamagedChunkError(row, byte, str(error)) from error
        if len(data) != n_bytes or not stream.eof:
            raise DamagedChunkError(row, byte, f"{len(data)} bytes where {n_bytes} should be")
        if "shuffle" in self._filters:
            self._empty[:] = False
            self._planes[:, : self._elements] = np.frombuffer(data, np.uint8).reshape(_WIDTH, -1)
        else:
            self._plain = np.frombuffer(data, np.uint64).reshape(self._rows, self._columns)

    def _by_hdf5(self, row: int) -> NDArray[np.uint64]:
        """A chunk that was written in another way than the data set declares; Blosc marks such ones."""
        values: NDArray[Any] = self._dataset[row : row + self._rows]
        return values.view(np.uint64)


@numba.njit(cache=True, nogil=True)
def _row_end(words, empty, start, stop):  # type: ignore[no-untyped-def]
    """An element in start .. stop from which on all elements before `stop` are zero, at most 7 too late."""
    mine = (np.uint64(1) << np.uint64(8 * (stop & 7))) - np.uint64(1)
    low, top = start >> 3, stop >> 3
    end = low
    for k in range(8):
        if empty[k]:
            continue
        if words[k, top] & mine:
            return stop
        plane = words[k, end:top]
        n = len(plane)
        while n >= 8:
            eight = plane[n - 8 : n]
            found = np.uint64(0)
            for i in range(8):
                found |= eight[i]
            if found:
                break
            n -= 8
        while n and not plane[n - 1]:
            n -= 1
        end += n
    return max(8 * end, start)


@numba.njit(cache=True, nogil=True)
def _join_row(out, b0, b1, b2, b3, b4, b5, b6, b7):  # type: ignore[no-untyped-def]
    for j in range(len(out)):
        out[j] = (
            np.uint64(b0[j])
            | np.uint64(b1[j]) << np.uint64(8)
            | np.uint64(b2[j]) << np.uint64(16)
            | np.uint64(b3[j]) << np.uint64(24)
            | np.uint64(b4[j]) << np.uint64(32)
            | np.uint64(b5[j]) << np.uint64(40)
            | np.uint64(b6[j]) << np.uint64(48)
            | np.uint64(b7[j]) << np.uint64(56)
        )


@numba.njit(cache=True, nogil=True)
def _join(planes, words, empty, first, rows, ends, fill):  # type: ignore[no-untyped-def]
    """Rows of a chunk, from row `first` of it on, put together from byte planes; `words` are the planes as uint64."""
    width = rows.shape[1]
    for i in range(rows.shape[0]):
        start = (first + i) * width
        last = start + width - 1
        stop = _row_end(words, empty, start, last)
        n = stop - start
        _join_row(
            rows[i, :n],
            planes[0, start:stop], planes[1, start:stop], planes[2, start:stop], planes[3, start:stop],
            planes[4, start:stop], planes[5, start:stop], planes[6, start:stop], planes[7, start:stop],
        )  # fmt: skip
        if fill:
            rows[i, n:] = 0
        value = np.uint64(0)
        for k in range(8):
            value |= np.uint64(planes[k, last]) << np.uint64(8 * k)
        rows[i, width - 1] = value
        ends[i] = n


@numba.njit(cache=True, nogil=True)
def _unpack_chunks(packed, begins, planes, words, empty, scratch, rows, ends, step, fill):  # type: ignore[no-untyped-def]
    """Rows of consecutive chunks, which begin at `begins` in `packed`; how many chunks were GOOD."""
    for c in range(len(begins) - 1):
        size = begins[c + 1] - begins[c]
        if blosclz.frame_planes(packed, begins[c], size, planes, empty, scratch, step * rows.shape[1]) != blosclz.GOOD:
            return c
        part = slice(c * step, (c + 1) * step)
        _join(planes, words, empty, 0, rows[part], ends[part], fill)
    return len(begins) - 1
