"""Kinematics of particles and pairs on arrays, as compiled universal functions.

Units are GeV and radians, metric (+, -, -, -), beam along z. Every function takes scalars, numpy arrays that
broadcast, or awkward arrays; it computes in float64 and gives float64. Edge cases (massless, along the beam, null
vectors, negative m^2 from rounding) are defined in `_momentum`, which holds the formulas.

Examples
--------
>>> import numpy as np
>>> from hepaa.features import kinematics
>>> print(kinematics.mass(3.0, 4.0, 0.0, np.array([13.0, 5.0])))
[12.  0.]
>>> print(kinematics.delta_phi(3.0, -3.0))
-0.28318530717958623
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import vectorize

from hepaa.features.kernels import momentum

if TYPE_CHECKING:
    from collections.abc import Callable


class _Elementwise:
    """A universal function that is compiled at its first call: each costs 0.2 s, and few scripts need them all."""

    def __init__(self, formula: Callable[..., Any]) -> None:
        self._formula = formula
        functools.update_wrapper(self, formula)

    @functools.cached_property
    def _compiled(self) -> Callable[..., Any]:
        doubles = ", ".join(["float64"] * len(inspect.signature(self._formula).parameters))
        return vectorize([f"float64({doubles})"])(self._formula)  # type: ignore[no-any-return, no-untyped-call]

    def __call__(self, *arrays: Any) -> Any:
        # Divisions by zero on the way to a defined edge are no news to the caller.
        with np.errstate(all="ignore"):
            return self._compiled(*arrays)


@_Elementwise
def pt(px, py):  # type: ignore[no-untyped-def]
    """Transverse momentum of (px, py) [GeV]."""
    return momentum.pt(px, py)


@_Elementwise
def phi(px, py):  # type: ignore[no-untyped-def]
    """Azimuth of (px, py) in (-pi, pi]; 0 for zero transverse momentum."""
    return momentum.phi(px, py)


@_Elementwise
def eta(px, py, pz):  # type: ignore[no-untyped-def]
    """Pseudorapidity of (px, py, pz); +-inf along the beam, 0 for the null vector."""
    return momentum.eta(pz, momentum.pt(px, py))


@_Elementwise
def rapidity(pz, e):  # type: ignore[no-untyped-def]
    """Rapidity of (pz, E); +-inf where E <= |pz| > 0."""
    return momentum.rapidity(pz, e)


@_Elementwise
def mass(px, py, pz, e):  # type: ignore[no-untyped-def]
    """Invariant mass of (px, py, pz, E) [GeV]; -sqrt(-m^2) where m^2 < -1e-9 E^2."""
    return momentum.mass(px, py, pz, e)


@_Elementwise
def energy(pt, eta, phi, m):  # type: ignore[no-untyped-def]
    """Energy of (pT, eta, phi, m) [GeV]; m < 0 counts as m^2 < 0."""
    return momentum.cartesian(pt, eta, phi, m)[3]


@_Elementwise
def px(pt, phi):  # type: ignore[no-untyped-def]
    """x component of (pT, phi) [GeV]."""
    return momentum.cartesian(pt, 0.0, phi, 0.0)[0]


@_Elementwise
def py(pt, phi):  # type: ignore[no-untyped-def]
    """y component of (pT, phi) [GeV]."""
    return momentum.cartesian(pt, 0.0, phi, 0.0)[1]


@_Elementwise
def pz(pt, eta):  # type: ignore[no-untyped-def]
    """z component of (pT, eta) [GeV]."""
    return momentum.cartesian(pt, eta, 0.0, 0.0)[2]


@_Elementwise
def delta_phi(phi1, phi2):  # type: ignore[no-untyped-def]
    """phi1 - phi2 in (-pi, pi], for angles of any size."""
    return momentum.delta_phi(phi1, phi2)


@_Elementwise
def delta_r(eta1, phi1, eta2, phi2):  # type: ignore[no-untyped-def]
    """sqrt(d_eta^2 + d_phi^2) of two directions (eta1, phi1), (eta2, phi2)."""
    return momentum.delta_r(eta1, phi1, eta2, phi2)


@_Elementwise
def transverse_mass(pt1, phi1, m1, pt2, phi2, m2):  # type: ignore[no-untyped-def]
    """Transverse mass of two objects (pT, phi, m) [GeV]: sqrt(m1^2 + m2^2 + 2 (ET1 ET2 - pT1.pT2))."""
    return momentum.transverse_mass(pt1, phi1, m1, pt2, phi2, m2)


@_Elementwise
def collins_soper_cos_theta(px, py, pz, e, qx, qy, qz, q0):  # type: ignore[no-untyped-def]
    """cos(theta) of particle p = (px, py, pz, E) in the Collins-Soper frame of its pair q.

    Phys. Rev. D 16 (1977) 2219. The z axis points to the side the pair moves to (sign of its pz). For a lepton
    pair, p is the negative lepton by convention. 0 for a massless pair.
    """
    return momentum.collins_soper(px, py, pz, e, qx, qy, qz, q0)[0]


@_Elementwise
def collins_soper_phi(px, py, pz, e, qx, qy, qz, q0):  # type: ignore[no-untyped-def]
    """Azimuth in (-pi, pi] of particle p in the Collins-Soper frame of its pair q.

    The x axis is the pair's transverse momentum (lab x where that is zero); y completes a right-handed frame with z as
    in `collins_soper_cos_theta`.
    """
    return momentum.collins_soper(px, py, pz, e, qx, qy, qz, q0)[1]
