"""Kinematics of one particle or pair, for use inside compiled loops; `kinematics` has the same on arrays.

Units are GeV and radians, metric (+, -, -, -), beam along z.

Edges are defined, so that no function makes NaN of finite physical input:

- azimuths and their differences lie in (-pi, pi]; the azimuth of zero transverse momentum is 0;
- pseudorapidity and rapidity along the beam are +-inf with the sign of pz, and 0 for the null vector; the difference of
  two equal infinities is 0;
- m^2 between -1e-9 E^2 and 0 is rounding (files carry ten digits) and gives mass 0; below it the mass is -sqrt(-m^2).
"""

from __future__ import annotations

from math import asinh, atan2, cos, floor, pi, sin, sinh, sqrt

import numpy as np

from hepaa.compiled import kernel

TWO_PI = 2.0 * pi
MASS2_TOLERANCE = 1e-9


@kernel
def int64(value: int) -> int:
    """The same integer, as a number that compilation takes for a variable: kernels compile once for every constant."""
    return np.int64(value)  # type: ignore[return-value]


@kernel
def pt(px: float, py: float) -> float:
    """Transverse momentum."""
    return sqrt(px * px + py * py)


@kernel
def phi(px: float, py: float) -> float:
    """Azimuth in (-pi, pi]."""
    if px == 0.0 and py == 0.0:
        return 0.0
    angle = atan2(py, px)
    # An angle that rounds to -pi is +pi: the range is half open.
    return pi if angle <= -pi else angle


@kernel
def eta(pz: float, pt: float) -> float:
    """Pseudorapidity from pz and pT."""
    return 0.0 if pz == 0.0 and pt == 0.0 else asinh(pz / pt)


@kernel
def rapidity(pz: float, e: float) -> float:
    """Rapidity asinh(pz / mT) with mT^2 = (E - pz)(E + pz); a mT^2 <= 0 counts as 0."""
    mt2 = (e - pz) * (e + pz)
    return eta(pz, sqrt(mt2 if mt2 > 0.0 else 0.0))


@kernel
def mass(px: float, py: float, pz: float, e: float) -> float:
    """Invariant mass."""
    m2 = e * e - (px * px + py * py + pz * pz)
    m = sqrt(abs(m2))
    negative = 0.0 if m2 > -MASS2_TOLERANCE * (e * e) else -m
    return negative if m2 < 0.0 else m


@kernel
def delta_phi(a: float, b: float) -> float:
    """a - b in (-pi, pi], for angles of any size."""
    d = a - b
    turns = floor(d / TWO_PI + 0.5)
    d = d - TWO_PI * turns
    d = d - TWO_PI if d > pi else d
    return d + TWO_PI if d <= -pi else d


@kernel
def delta_eta(a: float, b: float) -> float:
    """a - b; 0 where both are the same infinity."""
    return 0.0 if a == b else a - b


@kernel
def delta_r(eta1: float, phi1: float, eta2: float, phi2: float) -> float:
    """sqrt(d_eta^2 + d_phi^2)."""
    deta, dphi = delta_eta(eta1, eta2), delta_phi(phi1, phi2)
    return sqrt(deta * deta + dphi * dphi)


@kernel
def collins_soper(
    px: float, py: float, pz: float, e: float, qx: float, qy: float, qz: float, q0: float
) -> tuple[float, float]:
    """cos(theta) and phi of a particle p in the Collins-Soper frame of the pair q that holds it.

    Phys. Rev. D 16 (1977) 2219, with the usual sign at a collider of equal beams: the z axis points to the side the
    pair moves to (sign of qz, + at 0), x along the pair's transverse momentum (lab x where that is zero), y completes a
    right-handed frame. Particle and partner may be massive.
    """
    qt = sqrt(qx * qx + qy * qy)
    ux, uy = (qx / qt, qy / qt) if qt > 0.0 else (1.0, 0.0)
    mt = sqrt(max((q0 - qz) * (q0 + qz), 0.0))
    m = sqrt(max((mt - qt) * (mt + qt), 0.0))
    if m == 0.0:
        return 0.0, 0.0  # a massless pair has no rest frame
    side = -1.0 if qz < 0.0 else 1.0
    # Minus the products with the unit four-vectors of the frame's axes.
    z = side * (pz * q0 - e * qz) / mt
    x = (mt * mt * (px * ux + py * uy) - qt * (e * q0 - pz * qz)) / (m * mt)
    y = side * (py * ux - px * uy)
    p = sqrt(x * x + y * y + z * z)
    return (z / p if p > 0.0 else 0.0), phi(x, y)


@kernel
def helicity_cosine(
    px: float, py: float, pz: float, e: float,
    qx: float, qy: float, qz: float, q0: float,
    rx: float, ry: float, rz: float, r0: float,
) -> float:  # fmt: skip
    """cos of the angle, in the rest frame of q, between p and the direction opposite to r.

    For Z -> l l beside H (q = Z, r = H) it is the angle of the lepton to the Z's flight in the ZH rest frame. 0 where
    it has no meaning (massless q, or p or r at rest).
    """
    m2 = q0 * q0 - qx * qx - qy * qy - qz * qz
    if m2 <= 0.0:
        return 0.0
    pq = e * q0 - px * qx - py * qy - pz * qz
    rq = r0 * q0 - rx * qx - ry * qy - rz * qz
    pr = e * r0 - px * rx - py * ry - pz * rz
    p2 = pq * pq / m2 - (e * e - px * px - py * py - pz * pz)
    r2 = rq * rq / m2 - (r0 * r0 - rx * rx - ry * ry - rz * rz)
    norm = sqrt(max(p2, 0.0) * max(r2, 0.0))
    return min(max((pr - pq * rq / m2) / norm, -1.0), 1.0) if norm > 0.0 else 0.0


@kernel
def cartesian(pt: float, eta: float, phi: float, m: float) -> tuple[float, float, float, float]:
    """px, py, pz, E from pT, eta, phi, m; m < 0 counts as m^2 < 0."""
    px, py, pz = pt * cos(phi), pt * sin(phi), pt * sinh(eta)
    e2 = pt * pt + pz * pz + m * abs(m)
    return px, py, pz, sqrt(max(e2, 0.0))
