"""Kinematics of particles and pairs on arrays, as compiled universal functions.

Units are GeV and radians, metric (+, -, -, -), beam along z. Every function takes scalars, numpy arrays that
broadcast, or awkward arrays; it computes in float64 and gives float64. Edge cases (massless, along the beam, null
vectors, negative m^2 from rounding) are defined in `kernels.momentum`, which holds the formulas. More of them, on
records: vector's behaviour of the collections of `Events`.

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
    """A universal function that is compiled, or taken from numba's cache, at its first call."""

    def __init__(self, formula: Callable[..., Any]) -> None:
        self._formula = formula
        functools.update_wrapper(self, formula)

    @functools.cached_property
    def _compiled(self) -> Callable[..., Any]:
        doubles = ", ".join(["float64"] * len(inspect.signature(self._formula).parameters))
        return vectorize([f"float64({doubles})"], cache=True)(self._formula)  # type: ignore[no-any-return, no-untyped-call]

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
def delta_phi(phi1, phi2):  # type: ignore[no-untyped-def]
    """phi1 - phi2 in (-pi, pi], for angles of any size."""
    return momentum.delta_phi(phi1, phi2)
