"""Larger feature sets of the two leading jets of raw LHC Olympics events: many taus, energy flow polynomials.

Jet order as in "dijet-hl": j1 is the LIGHTER of the two leading anti-kT R = 1.0 jets. m_jj, where a resonance would be,
is a spectator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.features.registry import Feature, feature_set
from hepaa.features.sets.dijet import DMJ, MJ1, MJJ, RADIUS, RAW, two_jets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.events import Events
    from hepaa.features.kernels.leading_jets import LeadingJets
    from hepaa.features.registry import Cuts, Values

_MASSES = [MJ1, DMJ]
_BETAS = {"05": 0.5, "1": 1.0, "2": 2.0}
_N_MAX = 9
# Number of connected multigraphs of at most four edges; `efp` has them.
_N_GRAPHS = 20


@feature_set(
    "dijet-kitchen-sink",
    inputs=RAW,
    uses=[],
    columns=[
        *_MASSES,
        *(
            Feature(f"tau{n}b{tag}j{j}", rf"$\tau_{n}^{{({beta:g})}}(J_{j})$")
            for j in (1, 2)
            for tag, beta in _BETAS.items()
            for n in range(1, _N_MAX + 1)
        ),
    ],
    spectators=[MJJ],
)
def kitchen_sink(events: Events) -> tuple[Values, Cuts]:
    """Jet masses and tau_N^beta of both jets, N = 1..9, beta = 0.5, 1, 2 (Finke et al., arXiv:2309.13111); 56 columns.

    tau_N: R0 = 1, one-pass minimised exclusive kT axes.
    """
    jets, order, values, cuts = _two_jets(events)
    for tag, beta in _BETAS.items():
        taus = np.take_along_axis(jets.nsubjettiness(_N_MAX, beta=beta, r0=RADIUS), order[:, :, None], axis=1)
        values |= {f"tau{n}b{tag}j{j}": taus[:, j - 1, n - 1] for j in (1, 2) for n in range(1, _N_MAX + 1)}
    return values, cuts


@feature_set(
    "dijet-efp",
    inputs=RAW,
    uses=[],
    columns=[
        *_MASSES,
        *(Feature(f"efp{g}j{j}", rf"EFP$_{{{g}}}(J_{j})$", log=True) for j in (1, 2) for g in range(1, _N_GRAPHS + 1)),
    ],
    spectators=[MJJ],
)
def energy_flow(events: Events) -> tuple[Values, Cuts]:
    """Jet masses and the 20 energy flow polynomials of connected graphs with up to four edges, of both jets.

    beta = 1; `efp.GRAPHS` has the graphs, from 1 in that order (arXiv:1712.07124).
    """
    from hepaa.features.efp import energy_flow_polynomials

    jets, order, values, cuts = _two_jets(events)
    polynomials = np.zeros((events.n, 2, _N_GRAPHS))
    for i in np.flatnonzero(cuts["two jets"]):
        for j in (0, 1):
            k = order[i, j]
            members = jets.members[jets.starts[i, k] : jets.starts[i, k] + jets.counts[i, k]]
            polynomials[i, j] = energy_flow_polynomials(jets.pt[members], jets.eta[members], jets.phi[members])
    values |= {f"efp{g}j{j}": polynomials[:, j - 1, g - 1] for j in (1, 2) for g in range(1, _N_GRAPHS + 1)}
    return values, cuts


def _two_jets(events: Events) -> tuple[LeadingJets, NDArray[np.intp], Values, Cuts]:
    """The jets, their order by mass (n, 2), the masses, and the cut."""
    from hepaa.features import kinematics

    jets, mass = two_jets(events)
    # On a tie the harder jet comes first.
    order = np.argsort(mass, axis=1, kind="stable")
    light, heavy = np.take_along_axis(mass, order, axis=1).T
    mjj = kinematics.mass(*jets.momenta.sum(axis=1).T)
    return jets, order, {"mj1": light, "dmj": heavy - light, "mjj": mjj}, {"two jets": jets.counts[:, 1] > 0}
