"""HepMC 2 and 3 ASCII: full event records of generators, plain or compressed, through pyhepmc (the extra `hepmc`).

Formats: HepMC 2 (Dobbs, Hansen, Comput. Phys. Commun. 134 (2001) 41) and HepMC 3 (arXiv:1912.08005). pyhepmc stops
silently where an event is damaged, and takes "9.8x1" for 9.8; so the text is cut into events here, each is checked line
by line, and pyhepmc reads them one at a time: a fault is then that of an event, and known with its byte.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from hepaa.errors import HepaaError, InputError, TruncatedInputError
from hepaa.events import Events
from hepaa.io.files import one_line
from hepaa.io.pdg import invisible
from hepaa.io.stream import BLOCK, ByteStream, StreamError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    import awkward as ak
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_INTEGERS, _MOMENTUM, _VERTEX = ("pdgid", "status"), ("px", "py", "pz", "e", "m"), ("vx", "vy", "vz", "vt")
PARTICLE_FIELDS = (*_INTEGERS, *_MOMENTUM, *_VERTEX)
"""Fields of `Events.particles`: integers; momentum and mass in GeV; place and time (c t) of production in mm."""
FINAL = 1
"""Status of particles that reach a detector, in HepMC."""
LONGEST = 256 << 20
"""An event of more bytes than this, and up to twice as many, is taken for a broken file."""

_SECTION = re.compile(rb"^(?:E |HepMC::)", re.MULTILINE)
_START = re.compile(rb"HepMC::(Asciiv3|IO_GenEvent)-START_EVENT_LISTING\s")
_END = re.compile(rb"HepMC::(?:Asciiv3|IO_GenEvent)-END_EVENT_LISTING\s*\Z")
_VERSION = re.compile(rb"HepMC::Version +(\S+)")
_NUMBER = rb"[-+]?+\d++(?:\.\d*+)?+(?:[eE][-+]?+\d++)?+"
_LINES = re.compile(
    rb"(?:(?:[EVPW](?: ++(?:" + _NUMBER + rb"|\[[\d,]*+\]|@))*+|[UATNCHF] [^\n]*+|) *+\r?\n)*+"
)  # possessive: linear in the text
_PARTICLE = re.compile(
    rb"^P +(\d{1,9}) +(-?\d{1,9}) +-?\d+(?: +" + _NUMBER + rb"){5} +-?\d+ *\r?$", re.MULTILINE
)  # of HepMC3: number, mother, PDG number, momentum and mass, status
_UNITS = re.compile(rb"^U +(\w+) +(\w+)", re.MULTILINE)


def import_pyhepmc() -> Any:
    """The module of pyhepmc.

    Raises
    ------
    HepaaError
        It is not installed.
    """
    try:
        import pyhepmc
    except ImportError as error:
        raise HepaaError("HepMC files need pyhepmc, which is not installed: pip install 'hepaa[hepmc]'") from error
    return pyhepmc


def iterate(path: str | os.PathLike[str], *, step_bytes: int) -> Iterator[Events]:
    """Read a HepMC file in pieces of about `step_bytes` of uncompressed text, in bounded memory.

    Parameters
    ----------
    path : path
        Plain, gzip, zstd, xz or bz2; recognised by content.
    step_bytes : int

    Yields
    ------
    Events
        `particles`: records of `PARTICLE_FIELDS`, all particles of the record in the order of the file; MeV and cm
        are converted to GeV and mm. A vertex without a place has that of the vertex before it. `weight`: the first
        weight of each event, 1 where it has none; `weights`: all, by name, or by position where they have no name.
        `header`: "cross_section_pb" and "cross_section_error_pb" (the generator's estimate at the last event of the
        file, in the last piece alone: before it they are estimates of fewer events; None when not stated), "generator"
        (name and version, or None), "generators" (name, version, description), "version" (of HepMC), "layout"
        ("HepMC2" or "HepMC3"), "units" of the file, "complete", "compression". A file without events gives one piece
        without events.

    Raises
    ------
    HepaaError
        pyhepmc is not installed.
    TruncatedInputError
        After the pieces before it: the file breaks, ends before its END_EVENT_LISTING, or an event contradicts itself.
    InputError
        The file cannot be read, or is HepMC of another layout.
    """
    hepmc = import_pyhepmc()
    with ByteStream(path, block=min(BLOCK, max(step_bytes, 1 << 16))) as stream:
        reader = _HepmcReader(hepmc, stream)
        size = 0
        try:
            for length in reader.read():
                if size >= step_bytes:
                    yield reader.take(last=False)
                    size = 0
                size += length
        except TruncatedInputError:
            if reader.good:
                yield reader.take()
            raise
        yield reader.take()


def describe(events: Events) -> dict[str, Any]:
    """What a HepMC file says of itself: cross-section, generators, units, layout."""
    return {name: value for name, value in events.header.items() if name != "cross_section_pb"}


def is_full_record(particles: ak.Array) -> bool:
    """Whether particles are those of a HepMC record, beams and intermediate states among them."""
    import awkward as ak

    return set(PARTICLE_FIELDS) <= set(ak.fields(particles))


def final_state(particles: ak.Array) -> ak.Array:
    """What jets are made of: final particles but neutrinos and the like, as massless pt [GeV], eta, phi."""
    offsets, rows = final_rows(particles)
    polar = polar_momenta(*(_contents(particles, name)[rows] for name in ("px", "py", "pz")))
    return _records(offsets, dict(zip(("pt", "eta", "phi"), polar.T, strict=True)))


def final_rows(particles: ak.Array) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Offsets (n + 1,) of the visible final particles of each event, and their rows among all particles.

    What flies along the beam, as remnants may, has no eta and is in no jet; it is left out.
    """
    import awkward as ak

    seen = (_contents(particles, "status") == FINAL) & ~invisible(_contents(particles, "pdgid"))
    seen &= (_contents(particles, "px") != 0) | (_contents(particles, "py") != 0)
    ends = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(particles)))])
    return np.concatenate([[0], np.cumsum(seen)])[ends], np.flatnonzero(seen)


def polar_momenta(px: Floats, py: Floats, pz: Floats) -> Floats:
    """pT [GeV], eta, phi (k, 3)."""
    pt = np.hypot(px, py)
    with np.errstate(divide="ignore", invalid="ignore"):  # along the beam |eta| is infinite; at rest it is no number
        eta = np.arcsinh(pz / pt)
    return np.stack([pt, eta, np.arctan2(py, px)], axis=1)


def for_lhco(pieces: Iterable[Events], most: int, provenance: dict[str, Any]) -> Iterator[Events]:
    """Events as LHC Olympics files hold them: final state, hardest first, at most so many particles an event.

    Parameters
    ----------
    pieces : iterable of Events
        Of HepMC files, or what a detector made of them.
    most : int
        Particles an event.
    provenance : dict
        Is told the generators, the cross-section, the weight, and how many events were cut.

    Raises
    ------
    InputError
        If the weights of the events differ: the format has no room for them.
    """
    import awkward as ak

    cut, weight = 0, None
    for events in pieces:
        weight = events.weight[0] if weight is None and events.n else weight
        if weight is not None and not np.allclose(events.weight, weight, rtol=1e-9, atol=0):
            raise InputError(
                f"{events.path}: the events have different weights, for which LHCO files have no room; write .parquet, "
                "or compute features from the HepMC file itself"
            )
        particles = events.arrays["particles"]
        if is_full_record(particles):
            particles = final_state(particles)
        particles = particles[ak.argsort(particles["pt"], ascending=False, stable=True)]
        cut += int(ak.sum(ak.num(particles) > most))
        said = ("generators", "cross_section_pb", "cross_section_error_pb", "broken")
        provenance.update({name: events.header[name] for name in said if name in events.header})
        provenance.update({"weight": weight, f"events_cut_to_their_hardest_{most}_objects": cut})
        yield replace(
            events, weight=np.ones(events.n), weights={}, columns={}, collections={"particles": particles[:, :most]}
        )


@dataclass
class _Event:
    """One event: columns of its particles, and its weights."""

    columns: dict[str, NDArray[Any]]
    weights: dict[str, float]


class _Fault(Exception):
    """What is wrong in the text of an event, and how many bytes behind its beginning."""

    def __init__(self, problem: str, at: int = 0) -> None:
        super().__init__(problem)
        self.at = at


@dataclass
class _HepmcReader:
    """Reads one HepMC file from front to back; events wait until they are taken."""

    hepmc: Any
    stream: ByteStream
    good: int = 0
    head: bytes = b""
    header: dict[str, Any] = field(default_factory=dict)
    waiting: list[_Event] = field(default_factory=list)
    names: list[str] | None = None

    def read(self) -> Iterator[int]:
        """Read event by event; how many bytes of text each has, before it waits."""
        self.header = {
            "cross_section_pb": None, "cross_section_error_pb": None, "generator": None, "generators": [],
            "version": None, "layout": None, "units": None, "complete": False, "compression": self.stream.compression,
        }  # fmt: skip
        for byte, text, ending in self._sections():
            if self.header["complete"]:
                self._broken("more text after END_EVENT_LISTING: files joined into one have to be split", byte)
            if text.startswith(b"E "):
                if not self.good:
                    self._read_head(byte)
                yield len(text)
                try:
                    self._add(text)
                except _Fault as fault:
                    self._broken(ending or str(fault), byte + fault.at)
            elif _END.match(text):
                self.header["complete"] = True
                if not self.good:
                    self._read_head(byte)
            elif self.good:
                self._broken(ending or "a second head: files joined into one have to be split", byte)
            else:
                self.head += text
            if ending and not self.header["complete"]:
                self._broken(ending, byte + len(text))

    def take(self, *, last: bool = True) -> Events:
        """The events that wait; with the cross-section, if they are the last of the file."""
        events, self.waiting = self.waiting, []
        first = self.good - len(events)
        offsets = np.concatenate([[0], np.cumsum([len(e.columns["pdgid"]) for e in events], dtype=np.int64)])
        columns = {
            name: np.concatenate([
                np.empty(0, np.int64 if name in _INTEGERS else np.float64), *(e.columns[name] for e in events)
            ])
            for name in PARTICLE_FIELDS
        }  # fmt: skip
        weights = {name: np.array([e.weights[name] for e in events], np.float64) for name in self.names or []}
        return Events(
            path=self.stream.path,
            format="hepmc",
            index=np.arange(first, self.good, dtype=np.int64),
            weight=next(iter(weights.values())).copy() if weights else np.ones(len(events)),
            weights=weights,
            header=self.header | ({} if last else dict.fromkeys(("cross_section_pb", "cross_section_error_pb"))),
            collections={"particles": _records(offsets, columns)},
        )

    def _broken(self, problem: str, byte: int) -> NoReturn:
        path = self.stream.path
        raise TruncatedInputError(
            f"{path}: event {self.good} (byte {byte}): {problem}; {self.good} good events before it"
            + (" (keep_partial=True keeps them)" if self.good else ""),
            path=path,
            good_events=self.good,
            byte=byte,
        )

    def _sections(self) -> Iterator[tuple[int, bytes, str]]:
        """First byte and text of each part: lines of the head, events, the end; and with the last, why it is that."""
        stream = self.stream
        text, begin, ending = b"", 0, ""
        while not ending:
            while follows := _SECTION.search(text, begin + 1):
                yield stream.origin + begin, text[begin : follows.start()], ""
                begin = follows.start()
            if len(text) - begin > LONGEST:
                self._broken(f"it does not end within {LONGEST >> 20} MiB", stream.origin + begin)
            try:
                if not stream.advance(begin):
                    ending = "the file ends here, without its END_EVENT_LISTING"
            except StreamError as error:
                ending = str(error).removeprefix(f"{stream.path}: ")
            if not ending:
                text, begin = stream.bytes(0, stream.stop), 0
        yield stream.origin + begin, text[begin:], ending

    def _read_head(self, byte: int) -> None:
        if not (start := _START.search(self.head)):
            if self.head.strip() and b"START_EVENT_LISTING" in self.head:
                raise InputError(
                    f"{self.stream.path}: HepMC of an old or extended layout; write Asciiv3 or IO_GenEvent"
                )
            self._broken("its head lacks the line with START_EVENT_LISTING", byte)
        version = _VERSION.search(self.head)
        self.header["version"] = version[1].decode("ascii", "replace") if version else None
        self.header["layout"] = "HepMC3" if start[1] == b"Asciiv3" else "HepMC2"
        tools = [_tool(line) for line in re.findall(rb"^T +(.*?)\r?$", self.head, re.MULTILINE)]
        self.header["generators"] = tools
        self.header["generator"] = f"{tools[0]['name']} {tools[0]['version']}".strip() if tools else None
        # names of weights are all that events need of the head; a damaged line of a tool makes pyhepmc crash
        names = re.findall(rb"^[WN] .*\n", self.head, re.MULTILINE)
        self.head = b"HepMC::Version 3\nHepMC::" + start[1] + b"-START_EVENT_LISTING\n" + b"".join(names)

    def _add(self, text: bytes) -> None:
        regular = _LINES.match(text)
        end = regular.end() if regular else 0
        if end < len(text):  # a last line without its end may lack digits
            line = text[end:].partition(b"\n")[0][:60].decode("ascii", "backslashreplace")
            raise _Fault(f"a line is damaged: {line!r}", end)
        linked = (_check_2 if self.header["layout"] == "HepMC2" else _check_3)(text)
        event = self._parse(text)
        columns, produced = _columns(self.hepmc, event)
        if produced < linked:
            raise _Fault(f"{linked - produced} particles come from vertices that it lacks")
        weights = self._weights(event)
        if self.names is None:
            self.names = list(weights)
        elif list(weights) != self.names:
            raise _Fault(f"it has {len(weights)} weights, the events before it {len(self.names)}, or other names")
        if not self.good and (units := _UNITS.search(text)):
            self.header["units"] = [unit.decode() for unit in units.groups()]
        if (section := event.cross_section) is not None:
            value, error = float(section.xsec()), float(section.xsec_err())
            if np.isfinite(value) and value > 0:  # 0, -1 and nan stand for one that the generator does not know
                self.header |= {"cross_section_pb": value, "cross_section_error_pb": error}
        self.waiting.append(_Event(columns, weights))
        self.good += 1

    def _parse(self, text: bytes) -> Any:
        """The event as pyhepmc reads it, in GeV and mm."""
        io, event = self.hepmc.io, self.hepmc.GenEvent()
        layout, end = io.ReaderAscii, b"HepMC::Asciiv3-END_EVENT_LISTING\n"
        if self.header["layout"] == "HepMC2":
            layout, end = io.ReaderAsciiHepMC2, b"HepMC::IO_GenEvent-END_EVENT_LISTING\n"
        whole = (self.head + text + end).decode("utf-8", "replace").encode()  # names are text of any encoding
        with _quiet(self.hepmc):
            reader = layout(io.pyiostream(BytesIO(whole)))
            try:
                good = reader.read_event(event) and not reader.failed()
            except (RuntimeError, ValueError, IndexError) as error:  # what exceptions of C++ become
                raise _Fault(one_line(error)) from error
        if not good:
            raise _Fault("its lines do not make an event (particles or vertices missing, or lines too short)")
        event.set_units(self.hepmc.Units.GEV, self.hepmc.Units.MM)
        return event

    def _weights(self, event: Any) -> dict[str, float]:
        values = list(event.weights)
        names = list(event.run_info.weight_names) if event.run_info else []
        if len(names) != len(values) or len(set(names)) != len(names):
            names = [str(i) for i in range(len(values))]
        if not np.all(np.isfinite(values)):
            raise _Fault(f"its weights are not all finite: {values}")
        return dict(zip(names, map(float, values), strict=True))


def _tool(line: bytes) -> dict[str, str]:
    """Name, version and description of a generator; `\\|` stands between them, and a backslash is written twice."""
    plain = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "|" else m[1], line.decode("utf-8", "replace"))
    name, version, description = (*plain.split("\n", 2), "", "")[:3]
    return {"name": name, "version": version, "description": description}


@contextmanager
def _quiet(hepmc: Any) -> Iterator[None]:
    """pyhepmc's own messages about damaged events go to the terminal; what they say is in our error."""
    setup = hepmc.Setup
    before = setup.print_errors, setup.print_warnings, setup.debug_level
    setup.print_errors, setup.print_warnings, setup.debug_level = False, False, 0
    try:
        yield
    finally:
        setup.print_errors, setup.print_warnings, setup.debug_level = before


def _check_3(text: bytes) -> int:
    """Particles of a HepMC3 event that come from a vertex; what its lines count and refer to has to be there, for
    pyhepmc takes memory for the first and leaves out the second."""
    particles, vertices = _counts(_words(text, 4)[3:1:-1])
    lines = _PARTICLE.findall(text)
    explicit = re.findall(rb"^V +-(\d{1,9}) +-?\d{1,9} +\[([\d,]*)\]", text, re.MULTILINE)
    mothers = [int(mother) for _, mother in lines]
    # a vertex without a line of its own is named by the one particle that ends in it
    implicit = {mother for mother in mothers if mother > 0}
    if len(lines) != particles or len(explicit) + len(implicit) != vertices:
        raise _Fault(
            f"its first line says {particles} particles and {vertices} vertices; it has {len(lines)} good lines of "
            f"particles and {len(explicit) + len(implicit)} vertices"
        )
    inputs = _counts([word for _, line in explicit for word in line.split(b",") if word])
    if (
        [int(number) for number, _ in lines] != list(range(1, particles + 1))
        or not all(-vertices <= mother <= particles for mother in mothers)
        or not all(0 < number <= particles for number in inputs)
        or not all(0 < int(number) <= vertices for number, _ in explicit)
    ):
        raise _Fault("a line refers to a particle or a vertex that is not there, or particles are out of order")
    return sum(mother != 0 for mother in mothers)


def _check_2(text: bytes) -> int:
    """As `_check_3`, of a HepMC2 event."""
    first = _words(text, 13)
    (vertices, states), produced = _counts([first[8], first[11]]), 0
    _length(first, 13 + states, 12 + states)
    barcodes, ends = set[bytes](), {b"0"}
    for line in text.splitlines():
        words = line.split()
        if line.startswith(b"V"):
            _length(words, 10, 9)
            produced -= _counts([words[7]])[0]
            barcodes.add(words[1])
        elif line.startswith(b"P"):
            _length(words, 13, 12, each=2)
            produced += 1
            ends.add(words[11])
    if len(barcodes) != vertices or not ends <= {b"0"} | barcodes:
        raise _Fault(f"its first line says {vertices} vertices; it has {len(barcodes)}, or particles end in others")
    return produced


def _words(text: bytes, least: int) -> list[bytes]:
    words = text.partition(b"\n")[0].split()
    if len(words) < least:
        raise _Fault("its first line is too short")
    return words


def _counts(words: list[bytes]) -> list[int]:
    if not all(word.isdigit() and len(word) < 10 for word in words):
        raise _Fault(f"{b' '.join(words).decode()} stands where a line counts something")
    return [int(word) for word in words]


def _length(words: list[bytes], least: int, count: int, each: int = 1) -> None:
    """Raise where a line is not of the `least` words and as many more as its word `count` says."""
    if len(words) < least or len(words) != least + each * _counts([words[count]])[0]:
        raise _Fault(f"a line has too few or too many numbers: {b' '.join(words[:6]).decode()} ...")


def _columns(hepmc: Any, event: Any) -> tuple[dict[str, NDArray[Any]], int]:
    """Columns of the particles of an event, and how many come from a vertex."""
    data = hepmc.GenEventData()
    event.write_data(data)
    origin = event.event_pos()
    columns = event_columns(
        data.particles,
        np.stack([data.vertices[c] for c in "xyzt"], axis=1),
        (data.links1, data.links2),
        np.array([origin.x, origin.y, origin.z, origin.t]),
    )
    return columns, int((data.links1 < 0).sum())


def event_columns(
    particles: Mapping[str, NDArray[Any]],
    vertices: Floats,
    links: tuple[NDArray[Any], NDArray[Any]],
    origin: Floats,
) -> dict[str, NDArray[Any]]:
    """`PARTICLE_FIELDS` of the n particles of one event, as HepMC3's GenEventData has them.

    Parameters
    ----------
    particles : mapping or structured array
        "pid", "status", "px", "py", "pz", "e", "is_mass_set" and "mass", (n,) each, in GeV.
    vertices : (v, 4)
        Their places x, y, z, t in mm; 0 where a vertex has none of its own.
    links : two int arrays (k,)
        From a particle (1 to n) into a vertex (-1 to -v), or from a vertex to a particle.
    origin : (4,)
        Place of the event.
    """
    columns: dict[str, NDArray[Any]] = {
        "pdgid": particles["pid"].astype(np.int64),
        "status": particles["status"].astype(np.int64),
        **{name: particles[name].copy() for name in ("px", "py", "pz", "e")},
    }
    squared = columns["e"] ** 2 - sum(columns[name] ** 2 for name in ("px", "py", "pz"))
    columns["m"] = np.where(particles["is_mass_set"], particles["mass"], np.copysign(np.sqrt(abs(squared)), squared))
    begin, end = links
    out = begin < 0
    vertex = np.zeros(len(columns["pdgid"]), np.int64)  # row of `places`; 0 is the event's own
    vertex[end[out] - 1] = -begin[out]
    places = np.concatenate([np.zeros((1, 4)), vertices])
    into, before = -end[~out], vertex[begin[~out] - 1]
    unset: NDArray[np.bool_] = ~np.any(places, axis=1)
    while (rows := np.flatnonzero(unset[into] & ~unset[before])).size:
        rows = rows[::-1]  # of several particles into a vertex, the first one counts
        places[into[rows]] = places[before[rows]]
        unset[into[rows]] = False
    places[unset] = origin
    return {**columns, **dict(zip(_VERTEX, places[vertex].T, strict=True))}


def _records(offsets: NDArray[np.int64], columns: dict[str, NDArray[Any]]) -> ak.Array:
    import awkward as ak
    from awkward.contents import ListOffsetArray, NumpyArray, RecordArray
    from awkward.index import Index64

    records = RecordArray([NumpyArray(np.ascontiguousarray(c)) for c in columns.values()], list(columns))
    return ak.Array(ListOffsetArray(Index64(offsets), records))


def _contents(particles: ak.Array, name: str) -> NDArray[Any]:
    import awkward as ak

    values: NDArray[Any] = ak.to_numpy(ak.flatten(particles[name]))
    return values
