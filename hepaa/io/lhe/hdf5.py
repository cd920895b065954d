"""LHEH5: Les Houches events in HDF5, as Sherpa, Pepper and pylhe write them and Pythia reads them.

Two layouts. The first (Hoeche, Prestel, Schulz, arXiv:1905.05120) keeps one data set a column in the groups `event`,
`particle`, `init` and `procInfo`, and in its oldest form the particle ranges in `index`. The second (Bothmann et al.,
arXiv:2309.13154) keeps one table each, with the names of its columns in an attribute; further weights are columns of
`events` behind the standard ones.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from hepaa.errors import InputError, TruncatedInputError, nearest
from hepaa.events import Events
from hepaa.io.bounds import attribute, complete, content
from hepaa.io.hdf5 import opened
from hepaa.io.hdf5 import text as _text
from hepaa.io.lhe import header as lhe_header
from hepaa.io.lhe.kernel import codes
from hepaa.io.lhe.read import describe, particles
from hepaa.io.pieces import row_ranges
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["describe", "iterate"]

_PARTICLE = ("id", *codes.INTEGERS[1:], *codes.REALS)
_EVENT = ("pid", "nparticles", "start", "trials", "scale", "fscale", "rscale", "aqed", "aqcd", "npLO", "npNLO")
_NOMINAL = ("weight", "NOMINAL")
_PROCESS = ("procId", "npLO", "npNLO", "xSection", "error", "unitWeight")
_COLUMNS = ("pid", "scale", "aqed", "aqcd", "trials", "fscale", "rscale", "npLO", "npNLO")
_DEFAULTS = {
    "events": (*_EVENT[:-2], "NOMINAL"),
    "particles": _PARTICLE,
    "init": lhe_header.BEAM_FIELDS,
    "procInfo": _PROCESS,
}


class _Table:
    """One table of either layout: named columns of one length."""

    def __init__(self, path: str, name: str, columns: dict[str, Any], length: int, rows: Any = None) -> None:
        # `rows`: the data set whose columns are numbered; without it, each column is a data set.
        self.path, self.name, self.columns, self.length, self._rows = path, name, columns, length, rows
        self._block: tuple[int, int, Any] = (-1, -1, None)

    def read(self, column: str, start: int, stop: int) -> NDArray[np.float64]:
        if column not in self.columns:
            raise InputError(f"{self.path}: {self.name!r} has no column {column!r}; {nearest(column, self.columns)}")
        if self._rows is None:
            return np.asarray(self.columns[column][start:stop], np.float64)
        if self._block[:2] != (start, stop):
            self._block = (start, stop, self._rows[start:stop])
        return np.array(self._block[2][:, self.columns[column]], np.float64)

    def integers(self, column: str, start: int, stop: int) -> NDArray[np.int64]:
        values = self.read(column, start, stop)
        with np.errstate(invalid="ignore"):
            whole = values.astype(np.int64)
        if not np.array_equal(whole, values):  # so it is for NaN, infinities and what is beyond 64 bits
            raise InputError(f"{self.path}: column {column!r} of {self.name!r} has to hold integers")
        return whole


def iterate(path: str | os.PathLike[str], *, step_bytes: int) -> Iterator[Events]:
    """Read an LHEH5 file in pieces of about `step_bytes` in memory.

    Yields
    ------
    Events
        As `hepaa.io.lhe.read.iterate` gives them; `columns` has "trials", "fscale", "rscale", "npLO", "npNLO" besides,
        where the file has them.

    Raises
    ------
    TruncatedInputError
        After the events before it: the file has fewer particles than its events need.
    InputError
        The file is no LHEH5, lacks a table or column, or holds counter-events, which are not read.
    """
    path = os.fspath(path)
    with opened(path) as file:
        events, objects = _table(file, path, "events", "event"), _table(file, path, "particles", "particle")
        counter = file.get("ctevents")
        if isinstance(counter, h5py.Dataset) and len(counter):
            raise InputError(f"{path}: it holds {len(counter)} NLO counter-events, which are not read")
        nominal = next((c for c in _NOMINAL if c in events.columns), None)
        if nominal is None:
            raise InputError(f"{path}: {events.name!r} has no weight; {nearest('NOMINAL', events.columns)}")
        names = [c for c in events.columns if c not in (*_EVENT, *_NOMINAL)]
        header = _header(file, path, names)
        first, count = _ranges(file, events)
        broken = (first < 0) | (count < 0) | (count > objects.length) | (first > objects.length - count)
        n = int(np.argmax(broken)) if broken.any() else events.length
        _refuse_shared(path, first[:n], count[:n])
        size = 8 * (len(events.columns) + 13 * max(1, objects.length // max(1, events.length)))
        for start, stop in row_ranges(n, max(1, step_bytes // size)):
            yield Events(
                path=path,
                format="lheh5",
                index=np.arange(start, stop, dtype=np.int64),
                weight=events.read(nominal, start, stop),
                weights={name: events.read(name, start, stop) for name in names},
                header=header,
                collections={"particles": _particles(objects, first[start:stop], count[start:stop])},
                columns={c: events.read(c, start, stop) for c in _COLUMNS if c in events.columns},
            )
        if n < events.length:
            raise TruncatedInputError(
                f"{path}: event {n} needs particles {first[n]} to {first[n] + count[n]} of {objects.length}; "
                f"{n} good events before it",
                path=path,
                good_events=n,
                byte=file.id.get_filesize(),
            )


def _table(file: h5py.File, path: str, second: str, first: str) -> _Table:
    if isinstance(file.get(second), h5py.Dataset):
        data = file[second]
        names = next(
            (np.ravel(attribute(data, a)) for a in ("properties", second) if a in data.attrs), _DEFAULTS[second]
        )
        columns: dict[str, Any] = {_text(name): i for i, name in enumerate(names)}
        if data.ndim != 2 or data.shape[1] < len(columns):
            raise InputError(f"{path}: {second!r} of shape {data.shape} does not have the columns {list(columns)}")
        _refuse_text(path, second, data)
        return _Table(path, second, columns, len(data), complete(data))
    if isinstance(file.get(first), h5py.Group):
        columns = {name: data for name, data in file[first].items() if isinstance(data, h5py.Dataset) and data.ndim}
        for name, data in columns.items():
            _refuse_text(path, f"{first}/{name}", complete(data))
            if data.ndim > 1:
                raise InputError(f"{path}: '{first}/{name}' of shape {data.shape} has to hold one number a row")
        lengths = {len(data) for data in columns.values()}
        if len(lengths) > 1:
            raise InputError(f"{path}: the columns of {first!r} have different lengths {sorted(lengths)}")
        return _Table(path, first, columns, lengths.pop() if lengths else 0)
    raise InputError(f"{path}: no LHEH5 file: neither a table {second!r} nor a group {first!r} in it")


def _refuse_text(path: str, name: str, data: h5py.Dataset) -> None:
    if data.dtype.kind not in "fiub":
        raise InputError(f"{path}: {name!r} has to hold numbers, not {data.dtype}")


def _refuse_shared(path: str, first: NDArray[np.int64], count: NDArray[np.int64]) -> None:
    """Raise InputError if two events have a particle in common: a small file could ask for any amount of memory."""
    events = np.flatnonzero(count)
    events = events[np.argsort(first[events], kind="stable")]
    shared = np.flatnonzero((first + count)[events[:-1]] > first[events[1:]])
    if len(shared):
        a, b = sorted(events[shared[0] : shared[0] + 2].tolist())
        raise InputError(f"{path}: events {a} and {b} have particles in common ('start'); write the file again")


def _beams(file: h5py.File, path: str) -> dict[str, Any]:
    # The numbers of `init`: a vector with column names, or a scalar (or vector of one) a name.
    init = file.get("init")
    if isinstance(init, h5py.Dataset):
        names = [_text(n) for n in np.ravel(attribute(init, "properties", attribute(init, "init", _DEFAULTS["init"])))]
        values = dict(zip(names, np.ravel(content(init)).tolist(), strict=False))
    elif isinstance(init, h5py.Group):
        values = {k: np.ravel(content(v))[0] for k, v in init.items() if isinstance(v, h5py.Dataset) and v.size}
    else:
        raise InputError(f"{path}: no LHEH5 file: it has no 'init'")
    for name in lhe_header.BEAM_FIELDS:
        if name not in values:
            raise InputError(f"{path}: 'init' lacks {name!r}; {nearest(name, values)}")
    return {name: (float if "energy" in name else int)(values[name]) for name in lhe_header.BEAM_FIELDS}


def _header(file: h5py.File, path: str, weights: list[str]) -> dict[str, Any]:
    init = _beams(file, path)
    table = _table(file, path, "procInfo", "procInfo")
    names = [c for c in _PROCESS if c in table.columns or not c.startswith("np")]  # all but multiplicities are needed
    columns = {c: table.read(c, 0, table.length).tolist() for c in names}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    whole = ("procId", "npLO", "npNLO")
    init["processes"] = [{k: int(v) if k in whole and np.isfinite(v) else v for k, v in row.items()} for row in rows]
    xml = file.get("xml/header")
    inside = _text(content(xml)) if isinstance(xml, h5py.Dataset) else ""
    info, _ = lhe_header.declarations(inside)
    for name in weights:
        info["weight_info"].setdefault(name, {"group": None, "text": name, "attributes": {}})
    comment = attribute(file["init"], "description", "") if isinstance(file["init"], h5py.Dataset) else ""
    generators = _generators(file)
    info |= {
        "version": ".".join(str(int(v)) for v in np.ravel(content(file["version"]))) if "version" in file else "1",
        "comment": _text(comment),
        "init": init,
        "generators": generators,
        "generator": f"{generators[0]['name']} {generators[0]['version']}".strip() if generators else None,
        "compression": "none",
        "complete": True,
        **lhe_header.cross_section(init["processes"]),
    }
    return info


def _generators(file: h5py.File) -> list[dict[str, Any]]:
    def row(name: Any, version: Any, description: Any, extra: Any) -> dict[str, Any]:
        try:
            attributes = parse_json(_text(extra) or "{}")
        except json.JSONDecodeError as error:
            raise InputError(f"{file.filename}: the attributes of a generator are no JSON: {extra!r}") from error
        return {
            "name": _text(name),
            "version": _text(version),
            "description": _text(description),
            "attributes": {str(k): str(v) for k, v in attributes.items()} if isinstance(attributes, Mapping) else {},
        }

    table = file.get("generators")
    if isinstance(table, h5py.Dataset) and table.ndim == 2 and table.shape[1] >= 4:
        return [row(*line[:4]) for line in content(table)]
    fields = [
        attribute(file["init"], f"generator{k}", "") for k in ("Name", "Version", "Description", "ExtraAttributes")
    ]
    return [row(*fields)] if any(map(_text, fields)) else []


def _ranges(file: h5py.File, events: _Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n = events.length
    count = events.integers("nparticles", 0, n)
    if "start" in events.columns:
        return events.integers("start", 0, n), count
    if isinstance(file.get("index"), h5py.Group):
        index = _table(file, events.path, "index", "index")
        first, last = index.integers("start", 0, n), index.integers("end", 0, n)
        if not np.array_equal(last - first, count):
            raise InputError(f"{events.path}: 'index' and 'nparticles' contradict each other")
        return first, count
    raise InputError(f"{events.path}: it does not say where the particles of an event start ('start' or 'index')")


def _particles(table: _Table, first: NDArray[np.int64], count: NDArray[np.int64]) -> Any:
    offsets = np.concatenate([[0], np.cumsum(count)])
    low, high = (int(first.min()), int((first + count).max())) if len(first) else (0, 0)
    rows = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - (first - low), count)
    columns = [table.integers(name, low, high)[rows] for name in _PARTICLE[: len(codes.INTEGERS)]]
    return particles(offsets, [*columns, *(table.read(name, low, high)[rows] for name in codes.REALS)])
