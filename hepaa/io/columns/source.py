"""Rows of numbers, a block at a time, whatever file they come from, and what the usual names of columns mean."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa.errors import InputError
from hepaa.io.stream import ByteStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

Missing = Literal["error", "nan"]
LABEL_NAMES = ("label", "is_signal", "issignal", "truth_label")
WEIGHT_NAMES = ("weight", "event_weight", "eventweight", "evtwt", "evt_weight", "wgt", "genweight")
_NUMBER_NAMES = (
    "event", "run", "luminosityblock", "lumi", "lumiblock", "lumisec", "eventnumber", "event_number", "runnumber",
    "run_number", "evt", "luminosity_block",
)  # fmt: skip


def usual(names: Iterable[str], meaning: Sequence[str]) -> str | None:
    """The one of the names that is usual for a label (`LABEL_NAMES`) or a weight (`WEIGHT_NAMES`), capitals or not.

    Of several the one that stands first in `meaning`, in every format.
    """
    candidates = [name for name in names if name.lower() in meaning]
    return min(candidates, key=lambda name: meaning.index(name.lower()), default=None)


def is_number_of_event(name: str) -> bool:
    """Whether a column is by its name the number of an event, run or luminosity block: no feature, and kept exact."""
    return name.lower() in _NUMBER_NAMES


def is_row_index(name: str) -> bool:
    """Whether a column is the index that pandas writes into a CSV without a name, or what that becomes there."""
    return not name or re.fullmatch(r"Unnamed: \d+(_level_\d+)?", name) is not None


def refuse_twice(path: str, names: Sequence[str]) -> None:
    """Raise InputError where two columns have one name: which of them is meant nobody can know."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: column names stand twice: {twice}; leave one out")


def refuse_missing(path: str, columns: Mapping[str, pa.Array], first: int) -> None:
    """Raise InputError where a value of the events from number `first` on is missing."""
    for name, column in columns.items():
        if column.null_count:
            row = first + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
            raise InputError(f"{path}: {name!r} is empty in event {row}; mend it, or take it as NaN with missing='nan'")


def exact(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """A column (n,) as float64; whole numbers of events, which may be beyond 2^53, as they are."""
    if is_number_of_event(name) and values.dtype.kind in "iu":
        return values
    return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True)
class RowSource:
    """A table whose rows can be read in order.

    Attributes
    ----------
    columns : tuple of str
        Numeric columns, in the order of the file.
    skipped : tuple of str
        Columns of text, categories and Python objects.
    read : callable
        `read(names, rows)` yields lists of len(names) arrays (<= rows,), as `exact` has them, until the file ends.
    header : dict
        Where in the file the table lies.
    """

    columns: tuple[str, ...]
    skipped: tuple[str, ...]
    read: Callable[[Sequence[str], int], Iterator[list[NDArray[Any]]]]
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
    refuse_twice(path, names)
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
