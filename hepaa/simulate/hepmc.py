"""Full event records of Pythia as HepMC3 ASCII, by pyhepmc (the extra `hepmc`)."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepaa.errors import HepaaError
from hepaa.io.files import atomic_path
from hepaa.simulate.pythia import MB_TO_PB, next_events, start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BATCH = 100


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
    columns = {name: ak.to_numpy(record[name])[1:] for name in ("id", "status", "mother1", "mother2", "m")}
    momentum = {c: ak.to_numpy(record["p"][c])[1:] for c in ("px", "py", "pz", "e")}
    vertex = ak.fill_none(record["vProd"], {"px": 0.0, "py": 0.0, "pz": 0.0, "e": 0.0})
    place = {c: ak.to_numpy(vertex[c])[1:] for c in ("px", "py", "pz", "e")}
    first, last = columns["mother1"].copy(), columns["mother2"].copy()
    last = np.where(last == 0, first, last)
    parents = np.stack([np.minimum(first, last), np.maximum(first, last)], axis=1).astype(np.int32)
    status = columns["status"]
    # HepMC: 1 final, 2 decayed, 4 beam, others as the generator has them, positive
    code = np.where(status > 0, 1, np.where(np.abs(status) == 12, 4, np.abs(status)))
    event = hepmc.GenEvent(hepmc.Units.GEV, hepmc.Units.MM)
    event.run_info = run
    event.from_hepevt(
        number, momentum["px"], momentum["py"], momentum["pz"], momentum["e"], columns["m"],
        columns["id"].astype(np.int32), code.astype(np.int32), parents=parents,
        vx=place["px"], vy=place["py"], vz=place["pz"], vt=place["e"],
    )  # fmt: skip
    return event
