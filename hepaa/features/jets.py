"""Jets of any kind, through the FastJet library (Cacciari, Salam, Soyez, arXiv:1111.6097), a batch of events a call.

`kernels.leading_jets` has the compiled path for the two leading R = 1.0 jets of LHC Olympics events; its jets are
FastJet's.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import awkward as ak
import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.features import kinematics

if TYPE_CHECKING:
    Algorithm = Literal["anti-kt", "ca", "kt"]

ALGORITHMS = {"anti-kt": "antikt_algorithm", "ca": "cambridge_algorithm", "kt": "kt_algorithm"}


def four_momenta(particles: ak.Array) -> ak.Array:
    """Records px, py, pz, E (the names FastJet reads) of particles with px py pz e, or pt eta phi and perhaps m.

    Raises
    ------
    InputError
        If the fields are neither.
    """
    fields = set(ak.fields(particles))

    def exact(*names: str) -> list[ak.Array]:
        return [ak.values_astype(particles[name], np.float64) for name in names]

    if fields >= {"px", "py", "pz", "e"}:
        px, py, pz, e = exact("px", "py", "pz", "e")
    elif fields >= {"pt", "eta", "phi"}:
        pt, eta, phi = exact("pt", "eta", "phi")
        (m,) = exact("m") if "m" in fields else (ak.zeros_like(pt),)
        px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
        e = np.sqrt(np.maximum(pt**2 + pz**2 + m * abs(m), 0))
    else:
        raise InputError(f"jets need particles with px py pz e, or pt eta phi (m); these have {sorted(fields)}")
    return ak.zip({"px": px, "py": py, "pz": pz, "E": e})


def _finish(momenta: ak.Array, index: ak.Array) -> ak.Array:
    """Jets, hardest first, with kinematics and constituents."""
    px, py, pz, e = (momenta[f] for f in ("px", "py", "pz", "E"))
    pt = kinematics.pt(px, py)
    jets = ak.zip(
        {
            "px": px,
            "py": py,
            "pz": pz,
            "e": e,
            "pt": pt,
            "eta": kinematics.eta(px, py, pz),
            "phi": kinematics.phi(px, py),
            "y": kinematics.rapidity(pz, e),
            "m": kinematics.mass(px, py, pz, e),
            "constituents": index,
        },
        depth_limit=2,
    )
    return jets[ak.argsort(pt, axis=1, ascending=False, stable=True)]


def inclusive_jets(
    particles: ak.Array, *, algorithm: Algorithm = "anti-kt", radius: float = 1.0, min_pt: float = 0.0
) -> ak.Array:
    """All jets with pT > min_pt of each event, hardest first.

    Parameters
    ----------
    particles : awkward array, one list of particles an event
        With px py pz e, or pt eta phi and perhaps m (massless without). GeV, radians.
    algorithm : "anti-kt", "ca" or "kt"
        Recombination adds four-momenta (E scheme).
    radius : float
    min_pt : float
        GeV.

    Returns
    -------
    awkward array, one list of jets an event
        px py pz e pt eta phi y m [GeV, rad], and `constituents`, the positions of its particles in the event.

    Raises
    ------
    InputError
        If the algorithm, the radius or the particles cannot be used.
    """
    import fastjet

    momenta = four_momenta(particles)
    if algorithm not in ALGORITHMS:
        raise InputError(f"there is no jet algorithm {algorithm!r}; {nearest(algorithm, ALGORITHMS)}")
    if not radius > 0:
        raise InputError(f"the jet radius is {radius}; it must be positive")
    definition = fastjet.JetDefinition(getattr(fastjet, ALGORITHMS[algorithm]), float(radius))
    if len(momenta) == 0 or int(ak.sum(ak.num(momenta))) == 0:
        return _finish(momenta[:, :0], ak.local_index(momenta)[:, :0, np.newaxis])
    with warnings.catch_warnings():
        # FastJet speaks of a field order of its own; ours is by name.
        warnings.simplefilter("ignore")
        sequence = fastjet.ClusterSequence(momenta, definition)
    return _finish(sequence.inclusive_jets(min_pt=min_pt), sequence.constituent_index(min_pt=min_pt))


def constituents(particles: ak.Array, jets: ak.Array) -> ak.Array:
    """The particles of each jet: one list an event, of one list a jet."""
    counts = ak.num(jets.constituents, axis=2)
    members = particles[ak.flatten(jets.constituents, axis=2)]
    return ak.unflatten(members, ak.flatten(counts), axis=1)
