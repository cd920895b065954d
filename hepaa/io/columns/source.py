"""Rows of numbers, a block at a time, whatever file they come from."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError
from hepaa.io.stream import ByteStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RowSource:
    """A table whose rows can be read in order.

    Attributes
    ----------
    columns : tuple of str
        Numeric columns, in the order of the file.
    skipped : tuple of str
        Columns of text.
    read : callable
        `read(names, rows)` yields float64 (<= rows, len(names)) until the file ends.
    header : dict
        Where in the file the table lies.
    """

    columns: tuple[str, ...]
    skipped: tuple[str, ...]
    read: Callable[[Sequence[str], int], Iterator[NDArray[np.float64]]]
    header: dict[str, Any]


def named(path: str, width: int, names: Sequence[str] | None, table: str) -> tuple[str, ...]:
    """The names a user gave to the columns of an array that has none.

    Raises
    ------
    InputError
        If there are none, or not one for each column.
    """
    if names is None:
        raise InputError(f"{path}: {table} has {width} columns without names; give them as columns=[...], in order")
    if len(names) != width:
        raise InputError(f"{path}: {table} has {width} columns, but columns= names {len(names)}")
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
