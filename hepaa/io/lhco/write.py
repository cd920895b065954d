"""LHC Olympics writer: HDF5 in pandas' 'fixed' layout, so that `pandas.read_hdf` reads it as it reads the
originals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import awkward as ak
import h5py
import numpy as np

from hepaa.errors import InputError
from hepaa.io.files import atomic_path
from hepaa.io.lhco.read import PARTICLES
from hepaa.io.pieces import row_ranges, to_write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hepaa.events import Events

_CHUNK_ROWS = 64
_SLAB_ROWS = 2048


def write(pieces: Iterable[Events], path: str | Path, *, provenance: Mapping[str, Any] | None = None) -> int:
    """Write the particles of events as 700 x (pt, eta, phi), zero padded, and the label as column 2100 where
    there is one; gives their number.

    Parameters
    ----------
    pieces : iterable of Events
    path : str or Path
    provenance : mapping, optional
        How the events were made; JSON in the attribute `provenance` of the file.

    Raises
    ------
    InputError
        If there is no piece, an event has more than 700 particles or one with pt = 0, or something would be
        lost: weights, masses, columns or other collections, for which the format has no room.
    """
    n = 0
    with atomic_path(path) as partial, h5py.File(partial, "w") as file:
        first, pieces = to_write(pieces, path)
        width = 3 * PARTICLES + (first.label is not None)
        room = {"shape": (0, width), "maxshape": (None, width), "chunks": (_CHUNK_ROWS, width), "dtype": np.float64}
        values = file.create_dataset("df/block0_values", **room, compression="gzip", compression_opts=4, shuffle=True)
        for piece in pieces:
            _check(piece)
            for start, stop in row_ranges(piece.n, _SLAB_ROWS):
                values.resize(n + stop - start, axis=0)
                values[n:] = _rows(piece, start, stop, width)
                n += stop - start
        _describe(file, n, values)
        if provenance is not None:
            _mark(file, provenance=json.dumps(provenance))
    return n


def _check(events: Events) -> None:
    lost = [name for name in events.collections if name != "particles"]
    lost += [f"column {c}" for c in events.columns]
    lost += [f"weight {w}" for w in events.weights]
    if np.any(events.weight != 1):
        lost.append("event weights")
    particles = events.arrays.get("particles")
    fields = [] if particles is None else ak.fields(particles)
    lost += [f"particles.{f}" for f in fields if f not in ("pt", "eta", "phi")]
    if not {"pt", "eta", "phi"} <= set(fields):
        raise InputError(
            f"{events.path} ({events.format}) has no particles with pt, eta, phi, so it cannot be written as LHCO"
        )
    if lost:
        raise InputError(
            f"{events.path}: LHCO files have room for pt, eta, phi and a label only; {', '.join(lost[:6])} "
            "would be lost: write .parquet or .root"
        )


def _rows(events: Events, start: int, stop: int, width: int) -> NDArray[np.float64]:
    particles = events.arrays["particles"][start:stop]
    counts = ak.to_numpy(ak.num(particles))
    too_many = np.flatnonzero(counts > PARTICLES)
    if len(too_many):
        raise InputError(
            f"{events.path}: event {events.index[start + too_many[0]]} has {counts[too_many[0]]} particles; "
            f"LHCO files have room for {PARTICLES}"
        )
    if ak.any(particles["pt"] == 0, axis=None):
        raise InputError(f"{events.path}: a particle has pt = 0, which LHCO files take for padding; cut it away")
    rows = np.zeros((stop - start, width))
    row = np.repeat(np.arange(stop - start), counts)
    column = 3 * (np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts))
    for i, name in enumerate(("pt", "eta", "phi")):
        rows[row, column + i] = ak.to_numpy(ak.flatten(particles[name]))
    if events.label is not None:
        rows[:, -1] = events.label[start:stop]
    return rows


def _mark(node: Any, **attributes: Any) -> None:
    """Attributes as PyTables writes them: fixed-length UTF-8 for text, nothing at all for an empty title."""
    for name, value in attributes.items():
        if isinstance(value, str):
            node.attrs.create(name, value.encode(), dtype=h5py.string_dtype("utf-8", len(value.encode())))
        else:
            node.attrs[name] = value


def _describe(file: h5py.File, n: int, values: h5py.Dataset) -> None:
    """The attributes and indices by which PyTables and pandas know a DataFrame."""
    frame, untitled = file["df"], h5py.Empty("S1")
    regular = dict.fromkeys(("axis0_variety", "axis1_variety", "block0_items_variety"), "regular")
    _mark(file, CLASS="GROUP", PYTABLES_FORMAT_VERSION="2.1", TITLE=untitled, VERSION="1.0")
    _mark(frame, CLASS="GROUP", TITLE=untitled, VERSION="1.0", **regular, encoding="UTF-8", errors="strict")
    _mark(frame, pandas_type="frame", pandas_version="0.15.2", nblocks=np.int64(1), ndim=np.int64(2))
    transposed = np.uint8(1)
    _mark(values, CLASS="EARRAY", EXTDIM=np.int32(0), TITLE=untitled, VERSION="1.1", transposed=transposed)
    width = values.shape[1]
    for name, count in (("axis0", width), ("axis1", n), ("block0_items", width)):
        index = frame.create_dataset(name, data=np.arange(count, dtype=np.int64))
        # 'N.' is how PyTables spells None
        _mark(index, CLASS="ARRAY", TITLE=untitled, VERSION="2.4", kind="integer", name="N.", transposed=transposed)
