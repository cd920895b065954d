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
    *(1_000_000 + n for n in (22, 23, 25, 35, 39, 45)),  # neutralinos, gravitino
    *(4_900_000 + n for n in (12, 14, 16, 21, 22)),
    5_000_039,
)
_DARK_HADRONS = (4_900_100, 4_910_000)
_CHARGED = (11, 13, 15, 17, 24, 34, 37)
_NUCLEI, _SUPERPARTNERS = 1_000_000_000, 1_000_000
_GLUINO = 9


def invisible(pdgid: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which particles (k,) no detector sees: neutrinos, dark matter, neutralinos, gravitons, dark hadrons."""
    number = np.abs(pdgid)
    dark = (number >= _DARK_HADRONS[0]) & (number < _DARK_HADRONS[1])
    return dark | np.isin(number, _INVISIBLE)


def charged(pdgid: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which particles (k,) that a detector may see, leptons, bosons, hadrons or nuclei, have an electric charge.

    Superpartners count as what they are partners of, hadrons with a gluino as those without.
    """
    number = np.abs(pdgid)
    quarks = [number // place % 10 for place in (1000, 100, 10)]
    quarks[0] = np.where(quarks[0] == _GLUINO, 0, quarks[0])
    # in thirds: up-type quarks have even numbers; a meson's second quark is an antiquark
    thirds = [np.where(q == 0, 0, np.where(q % 2 == 0, 2, -1)) for q in quarks]
    of_hadron = np.where(quarks[0] > 0, sum(thirds), thirds[1] - thirds[2]) != 0
    nucleus = number >= _NUCLEI
    is_hadron = (number > 100) & ~nucleus & (quarks[1] > 0) & (quarks[2] > 0)
    is_ion = nucleus & (number // 10_000 % 1000 > 0)
    out: NDArray[np.bool_] = np.isin(number % _SUPERPARTNERS, _CHARGED) & ~nucleus | (is_hadron & of_hadron) | is_ion
    return out
