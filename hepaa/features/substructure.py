"""What is inside a jet: N-subjettiness, soft drop, energy correlation functions.

Every function takes jets as an awkward array, one list of constituents a jet (pt eta phi, massless; or px py pz e).
Angles are (rapidity, azimuth) distances. Jets too small for an observable have the value 0, never NaN.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import awkward as ak
import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.features import kinematics
from hepaa.features.columnar import flat
from hepaa.features.efp import energy_flow_polynomials
from hepaa.features.jets import four_momenta
from hepaa.features.kernels.clustering import E_SCHEME, WTA
from hepaa.features.kernels.leading_jets import nsubjettiness_kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Axes = Literal["kt", "wta-kt", "onepass-kt"]

# Recombination, and whether tau is minimised from there.
AXES = {"kt": (E_SCHEME, 0), "wta-kt": (WTA, 0), "onepass-kt": (E_SCHEME, 1)}


def _flat(constituents: ak.Array) -> tuple[Any, ...]:
    """Offsets, pT, rapidity, azimuth in (-pi, pi]."""
    if {"pt", "eta", "phi"} <= set(ak.fields(constituents)):
        offsets, pt, y, phi = flat(constituents, ("pt", "eta", "phi"), name="constituents")
        pt, y = pt.astype(np.float64, copy=False), y.astype(np.float64, copy=False)
        return offsets, pt, y, kinematics.delta_phi(phi, 0.0)
    offsets, px, py, pz, e = flat(four_momenta(constituents), ("px", "py", "pz", "E"), name="constituents")
    return offsets, kinematics.pt(px, py), kinematics.rapidity(pz, e), kinematics.phi(px, py)


def nsubjettiness(
    constituents: ak.Array, n_max: int = 4, *, beta: float = 1.0, axes: Axes = "onepass-kt", radius: float = 1.0
) -> Floats:
    """N-subjettiness tau_1 .. tau_n_max (Thaler, Van Tilburg, arXiv:1011.2268 and 1108.2701).

    tau_N = sum_i pT_i min_k dR_ik^beta / (R0^beta sum_i pT_i).

    Parameters
    ----------
    constituents : awkward array, one list a jet
    n_max : int
    beta : float
        Angular exponent, > 0; 0.5, 1 and 2 have vectorised loops.
    axes : str
        "kt": exclusive kT subjets, E scheme. "wta-kt": the same with winner-take-all recombination (arXiv:1401.2158).
        "onepass-kt": from "kt" to a local minimum of tau, by weighted means (Weiszfeld's steps for beta = 1).
    radius : float
        R0.

    Returns
    -------
    float64 (n_jets, n_max)
        tau_N of a jet of at most N constituents is 0.

    Raises
    ------
    InputError
        If the axes are unknown, or n_max, beta or radius is not positive.
    """
    if axes not in AXES:
        raise InputError(f"there are no axes {axes!r}; {nearest(axes, AXES)}")
    if n_max < 1 or not beta > 0 or not radius > 0:
        raise InputError(f"n_max, beta and radius must be positive; they are {n_max}, {beta}, {radius}")
    offsets, pt, y, phi = _flat(constituents)
    scheme, minimise = AXES[axes]
    out = np.empty((len(offsets) - 1, n_max))
    nsubjettiness_kernel(
        offsets[:-1].copy(), np.diff(offsets), np.arange(len(pt)), pt, y, phi,
        scheme, minimise, float(beta), float(radius), out,
    )  # fmt: skip
    return out


def soft_drop(
    constituents: ak.Array, *, z_cut: float = 0.1, beta: float = 0.0, radius: float = 1.0
) -> dict[str, Floats]:
    """Soft drop grooming (Larkoski et al., arXiv:1402.2657); beta = 0 is the modified mass drop tagger.

    The jet is reclustered with Cambridge/Aachen; from the last merging back, the softer branch is dropped until
    z > z_cut (dR / R0)^beta, with z = min(pT1, pT2) / (pT1 + pT2). Through FastJet contrib's RecursiveTools.

    Parameters
    ----------
    constituents : awkward array, one list a jet
    z_cut, beta : float
    radius : float
        R0.

    Returns
    -------
    dict
        m, pt [GeV], zg, rg (momentum share and angle of the last merging), float64 (n_jets,). A single constituent has
        m = zg = rg = 0.
    """
    import fastjet

    momenta = four_momenta(constituents)
    number = ak.to_numpy(ak.num(momenta))
    out = {k: np.zeros(len(momenta)) for k in ("m", "pt", "zg", "rg")}
    one = number == 1
    out["pt"][one] = ak.to_numpy(kinematics.pt(ak.flatten(momenta[one].px), ak.flatten(momenta[one].py)))
    more = number > 1
    if more.any():
        form = warnings.formatwarning
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
                groomed = fastjet.ClusterSequence(momenta[more], definition).exclusive_jets_softdrop_grooming(
                    njets=1, beta=float(beta), symmetry_cut=float(z_cut), R0=float(radius)
                )
        finally:
            warnings.formatwarning = form
        out["pt"][more] = ak.to_numpy(groomed.ptsoftdrop)
        # A branch dropped down to one particle has no mass, angle or share.
        out["m"][more] = np.maximum(ak.to_numpy(groomed.msoftdrop), 0.0)
        out["zg"][more] = np.maximum(ak.to_numpy(groomed.symmetrysoftdrop), 0.0)
        out["rg"][more] = np.maximum(ak.to_numpy(groomed.deltaRsoftdrop), 0.0)
    return out


def energy_correlations(constituents: ak.Array, *, beta: float = 1.0) -> dict[str, Floats]:
    """Energy correlation functions and their ratios (arXiv:1305.0007, 1409.6298).

    e2 = sum_{i<j} z_i z_j dR_ij^beta and e3 = sum_{i<j<k} z_i z_j z_k (dR_ij dR_ik dR_jk)^beta, with z = pT / sum pT;
    C2 = e3 / e2^2, D2 = e3 / e2^3.

    Parameters
    ----------
    constituents : awkward array, one list a jet
    beta : float
        Angular exponent, > 0.

    Returns
    -------
    dict
        e2, e3, c2, d2, float64 (n_jets,); ratios are 0 where e2 is.
    """
    offsets, pt, y, phi = _flat(constituents)
    e2, e3 = sums = np.empty((2, len(offsets) - 1))
    for i, members in enumerate(map(slice, offsets[:-1], offsets[1:])):
        # a polynomial counts every order of its constituents
        polynomials = energy_flow_polynomials(
            pt[members], y[members], phi[members], beta=beta, graphs=("ab", "ab ac bc")
        )
        sums[:, i] = polynomials / (2, 6)
    some = e2 > 0
    ratios = (np.divide(e3, e2**power, out=np.zeros_like(e3), where=some) for power in (2, 3))
    return dict(zip(("e2", "e3", "c2", "d2"), (e2, e3, *ratios), strict=True))
