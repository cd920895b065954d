"""Small events of HepMC, made with pyhepmc; tests that use them are skipped without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pyhepmc = pytest.importorskip("pyhepmc")

GEV, MEV, MM, CM = pyhepmc.Units.GEV, pyhepmc.Units.MEV, pyhepmc.Units.MM, pyhepmc.Units.CM
NEUTRINO, PION, KAON, BEAM, PHOTON = 12, 211, 310, 2212, 22


def event(number, weights=(), *, units=(GEV, MM), run=None, section=None):
    """Beams make a kaon, a neutrino and a photon; the kaon flies 3 mm and decays to pions. In GeV and mm."""
    made = pyhepmc.GenEvent(GEV, MM)
    made.run_info, made.event_number = run or pyhepmc.GenRunInfo(), number
    particle = [
        pyhepmc.GenParticle(p, pdgid, status)
        for p, pdgid, status in [
            ((0, 0, 6500, 6500), BEAM, 4),
            ((0, 0, -6500, 6500), BEAM, 4),
            ((30, 0, 40, 50.0025), KAON, 2),
            ((0, -100, 0, 100), NEUTRINO, 1),
            ((-30, 100 + number, 7, 105), PHOTON, 1),
            ((10, 1, 20, 22.4), PION, 1),
            ((20, -1, 20, 28.3), -PION, 1),
        ]
    ]
    hard, decay = pyhepmc.GenVertex((0, 0, 0, 0)), pyhepmc.GenVertex((3, 0, 4, 5))
    for p in particle[:2]:
        hard.add_particle_in(p)
    for p in particle[2:5]:
        hard.add_particle_out(p)
    decay.add_particle_in(particle[2])
    for p in particle[5:]:
        decay.add_particle_out(p)
    made.add_tree(particle[:2])
    made.weights = list(weights)
    if section:
        made.cross_section = cross = pyhepmc.GenCrossSection()
        cross.set_cross_section(*section)
    made.set_units(*units)
    return made


def run_info(names=("nominal", "muR2"), tools=(("Herwig", "7.3.0", "a shower"),)):
    run = pyhepmc.GenRunInfo()
    run.weight_names, run.tools = list(names), list(tools)
    return run


def write(path: Path, events, form="hepmc3") -> Path:
    pyhepmc.Setup.print_warnings = False
    with pyhepmc.open(str(path), "w", format=form) as file:
        for one in events:
            file.write(one)
    return path
