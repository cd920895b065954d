"""Full event records of Pythia as HepMC3 ASCII, by pyhepmc (the extra `hepmc`)."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepaa.io.files import atomic_path
from hepaa.io.hepmc import import_pyhepmc
from hepaa.simulate.pythia import MB_TO_PB, next_events, start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BATCH = 100
_BEAM, _HEPMC_BEAM = 12, 4
_FROM_A_RANGE = {*range(81, 87), *range(101, 107)}
_FOUR = ("px", "py", "pz", "e")


def write_hepmc(path: str | Path, n: int, settings: Sequence[str], *, seed: int, first: int = 0) -> dict[str, Any]:
    """Generate n events and write their full records, GeV and mm, gzipped; the same arguments give the same bytes.

    Parameters
    ----------
    path : path
        `.hepmc3.gz`
    n : int
    settings : sequence of str
        Lines as in a Pythia command file.
    seed : int
        Of Pythia.
    first : int
        Number of the first event.

    Returns
    -------
    dict
        `cross_section_pb`, `error_pb`, `version` of Pythia.

    Raises
    ------
    HepaaError
        pyhepmc or Pythia is not installed.
    """
    hepmc = import_pyhepmc()
    pythia = start(list(settings), seed)
    version = f"{pythia.settings.parm('Pythia:versionNumber'):.3f}"
    run = hepmc.GenRunInfo()
    run.tools = [("Pythia8", version, "; ".join(settings))]
    run.weight_names = ["nominal"]
    done = 0
    with atomic_path(path) as partial:
        text = partial.with_name(f"{partial.name}.text")
        try:
            with hepmc.io.WriterAscii(str(text), run) as writer:
                while done < n:
                    records = next_events(pythia, min(_BATCH, n - done))
                    info = pythia.infoPython()
                    for record in records["prt"]:
                        event = _event(hepmc, record, first + done, run)
                        event.weights = [1.0]
                        section = hepmc.GenCrossSection()
                        event.cross_section = section
                        section.set_cross_section(info.sigmaGen() * MB_TO_PB, info.sigmaErr() * MB_TO_PB)
                        writer.write(event)
                        done += 1
            with partial.open("wb") as stream, gzip.GzipFile("", "wb", 6, stream, mtime=0) as packed:
                packed.write(text.read_bytes())
        finally:
            text.unlink(missing_ok=True)
    info = pythia.infoPython()
    return {
        "cross_section_pb": info.sigmaGen() * MB_TO_PB, "error_pb": info.sigmaErr() * MB_TO_PB, "version": version
    }  # fmt: skip


def _event(hepmc: Any, record: Any, number: int, run: Any) -> Any:
    """A GenEvent of one record of Pythia. Its entry 0 stands for the whole event and is no particle."""
    event = hepmc.GenEvent(hepmc.Units.GEV, hepmc.Units.MM)
    event.run_info, event.event_number = run, number
    status = ak.to_numpy(record["status"])
    first, last = ak.to_numpy(record["mother1"]).tolist(), ak.to_numpy(record["mother2"]).tolist()
    # HepMC: 1 final, 4 beam; others as Pythia has them, made positive
    code = np.where(status > 0, 1, np.where(np.abs(status) == _BEAM, _HEPMC_BEAM, np.abs(status))).tolist()
    momenta = np.stack([ak.to_numpy(record["p"][c]) for c in _FOUR], axis=1).tolist()
    vertices = ak.fill_none(record["vProd"], dict.fromkeys(_FOUR, 0.0), axis=0)
    places = np.stack([ak.to_numpy(vertices[c]) for c in _FOUR], axis=1).tolist()
    ids, masses = ak.to_numpy(record["id"]).tolist(), ak.to_numpy(record["m"]).tolist()
    particles: list[Any] = [None]
    alive: list[Any] = []  # particles do not keep their vertices alive, the event does later
    for i in range(1, len(ids)):
        particle = hepmc.GenParticle(momenta[i], ids[i], code[i])
        particle.generated_mass = masses[i]
        particles.append(particle)
    for i, particle in enumerate(particles[1:], start=1):  # mothers may stand behind their daughters
        mothers = [particles[k] for k in _mothers(first[i], last[i], abs(int(status[i])))]
        if not mothers:  # a beam
            continue
        vertex = mothers[0].end_vertex
        if vertex is None:
            vertex = hepmc.GenVertex(places[i])
            alive.append(vertex)
        for mother in mothers:
            if mother.end_vertex is None:
                vertex.add_particle_in(mother)
        vertex.add_particle_out(particle)
    event.add_tree([particle for particle in particles[1:] if particle.status == _HEPMC_BEAM])  # from parents on
    return event


def _mothers(first: int, last: int, status: int) -> range | tuple[int, ...]:
    """Entries of the mothers of a particle: a range for hadrons of a string or cluster, else one or two."""
    if first <= 0 or last <= 0 or first == last:
        return (max(first, last),) if max(first, last) > 0 else ()
    if status in _FROM_A_RANGE:
        return range(min(first, last), max(first, last) + 1)
    return first, last
