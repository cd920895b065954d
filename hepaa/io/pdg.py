"""What PDG numbers say of particles: which are invisible to a detector, which are charged.

Numbering: Review of Particle Physics, "Monte Carlo particle numbering scheme"; of dark sectors, that of Pythia 8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEUTRINOS = (12, 14, 16, 18)
_INVISIBLE = (
    *_NEUTRINOS,
    39,  # graviton
    *range(51, 61),  # dark matter
    *(side + n for side in (1_000_000, 2_000_000, 9_900_000) for n in _NEUTRINOS),  # sneutrinos, heavy neutrinos
    *(1_000_000 + n for n in (22, 23, 25, 35, 39)),  # neutralinos, gravitino
    5_000_039,
)
_DARK_SECTOR = (4_900_100, 4_901_000)
_CHARGED = (11, 13, 15, 17, 24, 34, 37)
_NUCLEI = 1_000_000_000


def invisible(pdgid: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which particles (k,) no detector sees: neutrinos, dark matter, neutralinos, gravitons, dark hadrons."""
    number = np.abs(pdgid)
    dark = (number >= _DARK_SECTOR[0]) & (number < _DARK_SECTOR[1])
    return dark | np.isin(number, _INVISIBLE)


def charged(pdgid: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which stable particles (k,), leptons, bosons, hadrons or nuclei, have an electric charge."""
    number = np.abs(pdgid)
    quarks = [number // place % 10 for place in (1000, 100, 10)]
    # in thirds: up-type quarks have even numbers; a meson's second quark is an antiquark
    thirds = [np.where(q == 0, 0, np.where(q % 2 == 0, 2, -1)) for q in quarks]
    of_hadron = np.where(quarks[0] > 0, sum(thirds), thirds[1] - thirds[2]) != 0
    nucleus = number >= _NUCLEI
    is_hadron = (number > 100) & ~nucleus & (quarks[1] > 0) & (quarks[2] > 0)
    is_ion = nucleus & (number // 10_000 % 1000 > 0)
    out: NDArray[np.bool_] = np.isin(number, _CHARGED) | (is_hadron & of_hadron) | is_ion
    return out
