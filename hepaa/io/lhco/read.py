"""LHC Olympics raw events: HDF5 tables of 700 x (pT, eta, phi), zero padded, with or without a truth label.

Kasieczka et al., Rept. Prog. Phys. 84 (2021) 124201, arXiv:2101.08320, section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np

from hepaa.compiled import kernel
from hepaa.errors import InputError, TruncatedInputError
from hepaa.events import Events
from hepaa.io import hdf5 as hdftable
from hepaa.io.pieces import event_range, row_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from hepaa.io.hdf5 import Layout

PARTICLES = 700
WIDTHS = (3 * PARTICLES, 3 * PARTICLES + 1)
# large enough for few calls, small enough to stay in a cache until the padding is dropped
_SLAB_BYTES = 4_000_000


def is_raw(layout: Layout) -> bool:
    """Whether a table has the 2,100 columns of LHCO events, or 2,101 with the label."""
    return layout.width in WIDTHS and layout.form != "fields"


def locate(path: str | Path, key: str = "") -> Layout:
    """The table of raw events in an HDF5 file.

    Raises
    ------
    InputError
        If there is none, several and no `key`, or the named one is of another shape.
    """
    with hdftable.opened(path) as file:
        tables = [hdftable.choose(file, str(path), key)] if key else list(hdftable.find_tables(file))
    raw = [table for table in tables if is_raw(table)]
    if key and not raw:
        raise InputError(
            f"{path}: {key!r} has {tables[0].width} columns; LHCO events have 2100 (700 x pT, eta, phi), "
            "or 2101 with a label"
        )
    if not raw:
        raise InputError(f"{path} holds no table of 2100 or 2101 columns, so it has no LHCO events")
    if len(raw) > 1:
        names = ", ".join(table.key for table in raw)
        raise InputError(f"{path} holds several tables of LHCO events; name one of them as '{path}:KEY': {names}")
    return raw[0]


def iterate(
    path: str | Path,
    *,
    step_bytes: int,
    key: str = "",
    dtype: Literal["float64", "float32"] = "float64",
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Events]:
    """Events in pieces of about `step_bytes` of the padded table, in bounded memory.

    Parameters
    ----------
    path : str or Path
        HDF5 file: pandas 'fixed' or 'table', or a plain data set.
    step_bytes : int
        Bytes of the uncompressed table in a piece. What a piece holds is smaller: padding is gone.
    key : str
        Data set or group, where the file has more than one such table.
    dtype : "float64" or "float32"
        Type that momenta are kept in.
    start, stop : int
        Events to read, from `start` up to but without `stop`; all by default. Nothing before them is read.

    Yields
    ------
    Events
        `particles`: records pt [GeV], eta, phi [rad] in the order of the file, padding (pt = 0) dropped.
        `label` is column 2100 where the file has it. Weights are 1: the format has none.

    Raises
    ------
    InputError
        If the file has no such table, or a momentum or label is impossible.
    TruncatedInputError
        After the events before it: the file breaks off.
    """
    if dtype not in ("float64", "float32"):
        raise InputError(f"dtype must be 'float64' or 'float32', not {dtype!r}")
    layout = locate(path, key)
    with hdftable.opened(path) as file:
        reader = hdftable.RowReader(file, str(path), layout)
        asked_from, asked_to = event_range(path, layout.n, start, stop)
        step_rows = min(reader.rows_for(step_bytes), max(asked_to - asked_from, 1))
        slab = np.empty(
            (min(reader.rows_for(_SLAB_BYTES), step_rows), layout.width),
            reader.native if reader.native in (np.float32, np.float64) else np.float64,
        )
        header: dict[str, Any] = {"key": layout.key, "layout": layout.form, "events": layout.n}
        for begin, end in row_ranges(asked_to, step_rows, asked_from):
            ragged = _Ragged(str(path), np.dtype(dtype), begin, end - begin, layout.width == WIDTHS[1])
            try:
                for low, high in row_ranges(end - begin, len(slab)):
                    rows = slab[: high - low]
                    reader.read(begin + low, begin + high, rows)
                    ragged.add(rows)
            except TruncatedInputError as error:
                first = begin + ragged.n
                rows = slab[: max(error.good_events - first, 0)]
                reader.read(first, first + len(rows), rows)
                ragged.add(rows)
                yield ragged.events(header)
                raise
            yield ragged.events(header)


def count(path: str | Path, *, key: str = "") -> int:
    """Events in a file, from its description alone."""
    return locate(path, key).n


def describe(events: Events) -> dict[str, Any]:
    """Where in the file the table lies."""
    return {k: events.header[k] for k in ("key", "layout")}


class _Ragged:
    """Particles of consecutive rows without padding, gathered slab by slab."""

    def __init__(self, path: str, dtype: np.dtype[Any], first: int, capacity: int, has_label: bool) -> None:
        self._path, self._first = path, first
        self.n = 0
        self._offsets = np.zeros(capacity + 1, np.int64)
        self._label = np.empty(capacity, np.int8) if has_label else None
        self._momenta = [np.empty(0, dtype) for _ in range(3)]

    def add(self, rows: NDArray[Any]) -> None:
        """Take the particles, and the label, of more rows."""
        n, used = len(rows), int(self._offsets[self.n])
        self._make_room(used, n)
        bad = _fill(rows, self._offsets[self.n : self.n + n + 1], *self._momenta)
        if bad >= 0:
            raise InputError(
                f"{self._path}: event {self._first + self.n + bad} has a momentum that is negative or not finite; "
                "mend it or cut the event away"
            )
        if self._label is not None:
            truth = rows[:, -1]
            wrong = np.flatnonzero((truth != 0) & (truth != 1))
            if len(wrong):
                raise InputError(
                    f"{self._path}: event {self._first + self.n + wrong[0]} has the label {truth[wrong[0]]:g} in "
                    "column 2100; labels are 0 (background) and 1 (signal)"
                )
            self._label[self.n : self.n + n] = truth
        self.n += n

    def _make_room(self, used: int, n: int) -> None:
        """Room for n rows without any padding; memory is taken only where particles come to lie."""
        if used + PARTICLES * n <= len(self._momenta[0]):
            return
        expected = 1.1 * used * (len(self._offsets) - 1) / max(self.n, 1)
        for i, old in enumerate(self._momenta):
            self._momenta[i] = np.empty(max(int(expected), used) + PARTICLES * n, old.dtype)
            self._momenta[i][:used] = old[:used]

    def events(self, header: dict[str, Any]) -> Events:
        """What was gathered, as an event record."""
        used = int(self._offsets[self.n])
        records = ak.contents.RecordArray(
            [ak.contents.NumpyArray(c[:used]) for c in self._momenta], ["pt", "eta", "phi"], length=used
        )
        offsets = ak.index.Index64(self._offsets[: self.n + 1])
        return Events(
            path=self._path,
            format="lhco",
            index=np.arange(self._first, self._first + self.n, dtype=np.int64),
            weight=np.ones(self.n),
            label=None if self._label is None else self._label[: self.n],
            header=header,
            collections={"particles": ak.Array(ak.contents.ListOffsetArray(offsets, records))},
        )


@kernel
def _fill(rows: Any, offsets: Any, pt: Any, eta: Any, phi: Any) -> int:
    """Append the particles of all rows from `offsets[0]` on; the first row with an impossible momentum, or -1."""
    k = offsets[0]
    for i in range(rows.shape[0]):
        end = 2100
        while end > 0 and rows[i, end - 3] == 0.0:  # padding, which is most of a row
            end -= 3
        good = True
        for j in range(0, end, 3):
            p, e, f = rows[i, j], rows[i, j + 1], rows[i, j + 2]
            pt[k], eta[k], phi[k] = p, e, f
            # a product with 0 is 0, unless the other number is not finite
            good &= p == 0.0 or (p > 0.0 and p * 0.0 + e * 0.0 + f * 0.0 == 0.0)
            k += p != 0.0
        if not good:
            return i
        offsets[i + 1] = k
    return -1
