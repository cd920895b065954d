"""BEAD event files: CSV (one event a line, jets with their constituents) and the HDF5 made from it.

Columns as in the BEAD package (github.com/PRAkTIKal24/BEAD): `evtwt, met, metphi, njets`, for each jet
`npart, isbtagged` and npart times `pid, pt, eta, phi`; in HDF5 the tables `events` (evt_id, evt_weight, met,
met_phi, num_jets), `jets` (evt_id, jet_index, num_constits, b_tagged, pt, eta, phi) and `constituents` (evt_id,
jet_index, constituent_index, particle_id, pt, eta, phi).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import awkward as ak
import numpy as np

from hepaa.errors import InputError, TruncatedInputError
from hepaa.events import Events
from hepaa.io.columns.source import plain_bytes
from hepaa.io.pieces import row_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_WIDTH = {"events": 5, "jets": 7, "constituents": 7}


class _Line(NamedTuple):
    """An event of a CSV: (evtwt, met, metphi), and of each jet npart, isbtagged and (npart, 4) constituents."""

    head: NDArray[np.float64]
    sizes: list[int]
    tags: list[int]
    parts: list[NDArray[np.float64]]


def iterate(path: str | Path, *, step_bytes: int) -> Iterator[Events]:
    """Events in pieces of about `step_bytes`.

    Parameters
    ----------
    path : str or Path
    step_bytes : int
        Bytes of text (CSV), or of the three tables (HDF5).

    Yields
    ------
    Events
        `jets`: pt [GeV], eta, phi [rad], btag, n_constituents; `particles`: pt, eta, phi, pdgid, jet
        (position of its jet in the event).
        Columns met [GeV] and met_phi. A CSV has no jet momenta: they are the sums over its constituents as
        massless particles, which is what the HDF5 files hold.

    Raises
    ------
    InputError
        If the tables of an HDF5 file contradict each other.
    TruncatedInputError
        After the events before it: a line of a CSV is too short, too long, or holds something else than numbers.
    """
    name = str(path)
    with Path(path).open("rb") as stream:
        is_hdf = stream.read(4) == b"\x89HDF"
    yield from (_hdf if is_hdf else _csv)(name, step_bytes)


def _csv(path: str, step_bytes: int) -> Iterator[Events]:
    rows: list[_Line] = []
    start, size, byte = 0, 0, 0
    with plain_bytes(path) as stream:
        for number, line in enumerate(stream):
            text = line.decode("utf-8", "replace").strip().rstrip(", ")
            if number and text:
                try:
                    rows.append(_event_of(text))
                except ValueError as wrong:
                    if rows:
                        yield _of_rows(path, start, rows)
                    good = start + len(rows)
                    raise TruncatedInputError(
                        f"{path}: event {good} (line {number + 1}, byte {byte}) {wrong}; {good} events before "
                        "it are good: mend the line, or keep those with keep_partial",
                        path=path,
                        good_events=good,
                        byte=byte,
                    ) from wrong
                size += len(line)
            byte += len(line)
            if size >= step_bytes:
                yield _of_rows(path, start, rows)
                start, size, rows = start + len(rows), 0, []
    if rows or not start:
        yield _of_rows(path, start, rows)


def _event_of(text: str) -> _Line:
    """One line, checked: it has as many jets and particles as it says.

    Raises
    ------
    ValueError
        Saying what is wrong with the line.
    """
    try:
        values = np.array(text.split(","), dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"holds something else than numbers ({error})") from error
    if len(values) < 4:
        raise ValueError(f"has {len(values)} numbers; an event begins with evtwt, met, metphi, njets")
    n_jets = _count(values[3], "njets")
    sizes, tags, parts, at = [], [], [], 4
    for jet in range(n_jets):
        if at + 2 > len(values):
            raise ValueError(f"ends before jet {jet} of {n_jets}")
        sizes.append(_count(values[at], f"npart of jet {jet}"))
        tags.append(_count(values[at + 1], f"isbtagged of jet {jet}"))
        first, at = at + 2, at + 2 + 4 * sizes[-1]
        if at > len(values):
            raise ValueError(f"ends inside jet {jet} of {n_jets}")
        parts.append(values[first:at].reshape(-1, 4))
    if at != len(values):
        raise ValueError(f"has {len(values) - at} numbers after its {n_jets} jets")
    return _Line(values[:3], sizes, tags, parts)


def _count(value: float, name: str) -> int:
    if not (0 <= value < 1 << 31 and float(value).is_integer()):
        raise ValueError(f"has {name} = {value:g}, which is no count")
    return int(value)


def _of_rows(path: str, start: int, rows: list[_Line]) -> Events:
    particles = np.concatenate([np.empty((0, 4)), *(part for row in rows for part in row.parts)])
    events = np.array([row.head for row in rows]).reshape(-1, 3)
    n_jets = np.array([len(row.sizes) for row in rows], np.int64)
    sizes, tags = (np.array([n for row in rows for n in getattr(row, f)], np.int64) for f in ("sizes", "tags"))
    pt, eta, phi = _massless_sums(particles, sizes)
    jets = {"pt": pt, "eta": eta, "phi": phi, "btag": tags}
    return _record(path, start, events, n_jets, sizes, jets, particles, "csv")


def _massless_sums(particles: NDArray[np.float64], sizes: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """pt, eta and phi of jets, from the (pid, pt, eta, phi) of their massless constituents."""
    jet = np.repeat(np.arange(len(sizes)), sizes)
    _, pt, eta, phi = particles.T
    px, py, pz = (np.bincount(jet, p, len(sizes)) for p in (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)))
    total = np.hypot(px, py)
    with np.errstate(divide="ignore", invalid="ignore"):
        return total, np.where(total > 0, np.arcsinh(pz / total), 0.0), np.arctan2(py, px)


def _hdf(path: str, step_bytes: int) -> Iterator[Events]:
    from hepaa.io import hdf5 as hdftable

    with hdftable.opened(path) as file:
        readers = {}
        for name, width in _WIDTH.items():
            layout = hdftable.choose(file, path, name)
            if layout.width != width:
                raise InputError(f"{path}: {name!r} has {layout.width} columns; in BEAD files it has {width}")
            readers[name] = hdftable.RowReader(file, path, layout)
        n = readers["events"].layout.n
        # where each event begins in the two longer tables; ids are eight bytes an object, the only part held
        # whole
        begin = {name: _begins(readers[name], path, name, n) for name in ("jets", "constituents")}
        total = 4 * sum(_WIDTH[name] * r.layout.n for name, r in readers.items())
        for start, stop in row_ranges(n, max(int(step_bytes / max(total / max(n, 1), 1)), 1)):
            events = _rows(readers["events"], start, stop)
            jets = _rows(readers["jets"], *begin["jets"][[start, stop]])
            particles = _rows(readers["constituents"], *begin["constituents"][[start, stop]])
            n_jets = np.diff(begin["jets"][start : stop + 1])
            sizes = jets[:, 2].astype(np.int64)
            first = np.concatenate([[0], np.cumsum(sizes)])
            per_event = first[begin["jets"][start : stop + 1] - begin["jets"][start]]
            wrong = np.flatnonzero(
                (n_jets != events[:, 4]) | (np.diff(per_event) != np.diff(begin["constituents"][start : stop + 1]))
            )
            if len(wrong):
                raise InputError(
                    f"{path}: event {start + wrong[0]} announces {events[wrong[0], 4]:g} jets and has "
                    f"{n_jets[wrong[0]]}, or its jets "
                    "announce other numbers of constituents than it has; write the file again"
                )
            of_jets = {"pt": jets[:, 4], "eta": jets[:, 5], "phi": jets[:, 6], "btag": jets[:, 3].astype(np.int64)}
            yield _record(path, start, events[:, 1:4], n_jets, sizes, of_jets, particles[:, 3:7], "hdf5")


def _rows(reader: Any, start: int, stop: int) -> NDArray[np.float64]:
    raw = np.empty((stop - start, reader.layout.width), reader.native)
    reader.read(int(start), int(stop), raw)
    return raw.astype(np.float64)


def _begins(reader: Any, path: str, name: str, n: int) -> NDArray[np.int64]:
    """First row of each event, (n + 1,), in a table whose first column is the event's number, counting up."""
    ids = np.concatenate([np.empty(0), *(_rows(reader, a, b)[:, 0] for a, b in row_ranges(reader.layout.n, 1 << 16))])
    wrong = np.flatnonzero((np.diff(ids, prepend=0) < 0) | (ids < 0) | (ids >= n))
    if len(wrong):
        raise InputError(
            f"{path}: row {wrong[0]} of {name!r} belongs to event {ids[wrong[0]]:g}, which is out of order "
            f"or beyond the {n} events"
        )
    return np.searchsorted(ids, np.arange(n + 1))


def _record(
    path: str,
    start: int,
    events: NDArray[np.float64],
    n_jets: NDArray[np.int64],
    sizes: NDArray[np.int64],
    jets: dict[str, NDArray[Any]],
    particles: NDArray[np.float64],
    layout: str,
) -> Events:
    n = len(events)
    code, pt, eta, phi = particles.T
    jet_of = np.arange(len(sizes)) - np.repeat(np.cumsum(n_jets) - n_jets, n_jets)
    edges = np.concatenate([[0], np.cumsum(sizes)])
    n_particles = np.diff(edges[np.concatenate([[0], np.cumsum(n_jets)])])
    fields = {"pt": pt, "eta": eta, "phi": phi, "pdgid": code.astype(np.int64), "jet": np.repeat(jet_of, sizes)}
    return Events(
        path=path,
        format="bead",
        index=np.arange(start, start + n, dtype=np.int64),
        weight=events[:, 0].copy(),
        header={"layout": layout},
        collections={
            "jets": ak.unflatten(ak.zip({**jets, "n_constituents": sizes}), n_jets),
            "particles": ak.unflatten(ak.zip(fields), n_particles),
        },
        columns={"met": events[:, 1].copy(), "met_phi": events[:, 2].copy()},
    )
