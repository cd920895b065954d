"""Simulated jets for the analyses: made once in blocks by `hepaa.simulate`, kept in the store, never made again.

Needs the extra `simulate`. An event costs about 20 ms.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

import hepaa
from hepaa.io.files import atomic_path
from hepaa.simulate.processes import Dijets, SemiVisible, WPrime
from hepaa.simulate.pythia import detected_events
from hepaa.simulate.writers import detected_record, rounded_particles

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hepaa.simulate.processes import JetProcess

PROCESSES: dict[str, JetProcess] = {"monash": Dijets(pt_hat_min=1000.0), "W'(500, 100)": WPrime(), "SVJ": SemiVisible()}
GENERATORS: dict[str, JetProcess] = {
    "A14": Dijets(pt_hat_min=1000.0, tune="a14"),
    "Vincia": Dijets(pt_hat_min=1000.0, tune="vincia-global"),
}
BLOCK = 500


def _process(name: str) -> JetProcess:
    return (PROCESSES | GENERATORS)[name]


def _path(store: Path, name: str, block: int) -> Path:
    key = hashlib.sha256(repr(_process(name).settings()).encode()).hexdigest()[:12]
    return store / "simulated" / f"{key}-{block}.parquet"


def are_kept(store: Path, n: int, names: Iterable[str] = PROCESSES) -> bool:
    """Whether the first n events of each are in the store."""
    return all(_path(store, name, block).is_file() for name in names for block in range(-(-n // BLOCK)))


def jets(store: Path, name: str, n: int) -> hepaa.EventTable:
    """The first n events: `constituents-2x30`, and the features `dijet` and `dijet-hl` beside it.

    Parameters
    ----------
    name : str
        Of PROCESSES or GENERATORS.
    store : Path
        Folder of all stores: events do not depend on the code of an analysis.
    """
    blocks = []
    for block in range(-(-n // BLOCK)):
        path = _path(store, name, block)
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as partial:
                _block(_process(name), block).save(partial)
        blocks.append(hepaa.EventTable.load(path))
    return hepaa.concatenate(blocks)[:n]


def _block(process: JetProcess, block: int) -> hepaa.EventTable:
    events = detected_events(
        BLOCK, process.settings(), seed=1 + block, detector="lhco-like", label=process.label, jet_pt_min=1200.0
    )
    sample = hepaa.Sample(process.name, "signal" if process.label else "background", f"pythia8-{process.tune}")
    objects = rounded_particles(np.concatenate(events.particles))
    record = detected_record(events, objects, path=process.name, first=block * BLOCK, sample=sample)
    return with_features(record)


def with_features(events: hepaa.Events) -> hepaa.EventTable:
    """Jets as clouds of particles, and the features of both sets as columns beside them."""
    clouds = hepaa.features(events, "constituents-2x30")
    for other in (hepaa.features(events, "dijet"), hepaa.features(events, "dijet-hl")):
        new = {c: other[c] for c in other.columns if c not in clouds.spectators}
        clouds = clouds.with_spectators(**new)
    return clouds
