"""The operator O_HW in q qbar -> Z*/gamma* -> Z h with Z -> l+ l-, as tree-level helicity amplitudes.

The Lagrangian is SM + c_HW / Lambda^2 H^dag H W^i_munu W^{i munu} (Warsaw basis, Grzadkowski et al., arXiv:1008.4884;
{mW, mZ, GF} inputs as in SMEFTsim 3, Brivio, arXiv:2012.11343). With H^dag H -> v h and W^3 = cos_W Z + sin_W A the
vertex h Z*_mu(q) Z_nu(k), q into it and k out of it, is

    2 mZ^2 / v g^{mu nu} + 4 c_HW v cos_W^2 / Lambda^2 (q.k g^{mu nu} - k^mu q^nu),

and h gamma*_mu(q) Z_nu(k) is the second term with sin_W cos_W in the place of cos_W^2. The shift of the W kinetic term
is absorbed by the gauge coupling, so nothing else depends on c_HW. The squared amplitude is a quadratic in c_HW,

    |M|^2(c) = sm + c linear + c^2 quadratic,

whose coefficients are what this module computes. The decay of the scalar h is isotropic and factorises: it cancels in
every ratio. Fermions are massless: of their momenta the three-vectors count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hepaa.compiled import kernel
from hepaa.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


# Charges and weak isospins of the quarks by |PDG id| 1..6; the charged leptons are -1 and -1/2.
_CHARGE = np.array([0.0, -1 / 3, 2 / 3, -1 / 3, 2 / 3, -1 / 3, 2 / 3])
_ISOSPIN = np.array([0.0, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5])


@dataclass(frozen=True)
class Parameters:
    """Electroweak inputs; masses and width in GeV, GF in GeV^-2.

    The defaults are those of SMEFTsim 3 with the {mW, mZ, GF} inputs.
    """

    mw: float = 80.387
    mz: float = 91.1876
    gf: float = 1.166379e-5
    wz: float = 2.4952

    def __post_init__(self) -> None:
        if not (0 < self.mw < self.mz and self.gf > 0 and self.wz >= 0):
            raise InputError(f"electroweak inputs need 0 < mw < mz, gf > 0 and wz >= 0, not {self}")

    @property
    def v(self) -> float:
        """Vacuum expectation value (sqrt2 GF)^-1/2, in GeV."""
        return 1 / math.sqrt(math.sqrt(2) * self.gf)

    @property
    def sin2w(self) -> float:
        """Squared sine of the weak mixing angle, 1 - mW^2 / mZ^2."""
        return 1 - (self.mw / self.mz) ** 2

    @property
    def alpha(self) -> float:
        """Electromagnetic coupling e^2 / 4 pi with e = 2 mW sin_W / v."""
        return (2 * self.mw / self.v) ** 2 * self.sin2w / (4 * math.pi)


class Coefficients(NamedTuple):
    """|M|^2(c) = sm + c linear + c^2 quadratic, c in TeV^-2; each float64 (n,).

    Unit: GeV^-2 for q qbar -> l+ l- h, summed over spins and colours out, averaged over those in.
    """

    sm: NDArray[np.float64]
    linear: NDArray[np.float64]
    quadratic: NDArray[np.float64]

    def ratio(self, c_hw: float) -> NDArray[np.float64]:
        """|M|^2(c_HW) / |M|^2(0): the weight that takes a Standard Model event to c_HW (TeV^-2)."""
        return np.asarray(1 + (c_hw * self.linear + c_hw**2 * self.quadratic) / self.sm)


@kernel
def _spinor(x: float, y: float, z: float, right: bool) -> tuple[complex, complex]:
    """Weyl spinor of a massless fermion with momentum (x, y, z), normalised to sqrt(2 E)."""
    e = math.sqrt(x * x + y * y + z * z)
    t2 = x * x + y * y
    # E + pz without the cancellation of a backward momentum
    plus = e + z if z >= 0 else t2 / (e - z)
    if plus <= 1e-26 * e:  # exactly along -z: the phase is free
        return (complex(0.0), complex(math.sqrt(2 * e))) if right else (complex(-math.sqrt(2 * e)), complex(0.0))
    s = math.sqrt(plus)
    if right:
        return complex(s), complex(x, y) / s
    return complex(-x, y) / s, complex(s)


@kernel
def _current(a: Any, b: Any, right: bool, out: Any) -> None:
    """out[mu] = abar gamma^mu P b for two massless momenta (3,), P right or left handed."""
    a0, a1 = _spinor(a[0], a[1], a[2], right)
    b0, b1 = _spinor(b[0], b[1], b[2], right)
    a0, a1 = a0.conjugate(), a1.conjugate()
    sign = 1.0 if right else -1.0
    out[0] = a0 * b0 + a1 * b1
    out[1] = sign * (a0 * b1 + a1 * b0)
    out[2] = sign * 1j * (a1 * b0 - a0 * b1)
    out[3] = sign * (a0 * b0 - a1 * b1)


@kernel
def _amplitudes(
    quark: Any, charge: Any, isospin: Any, p: Any, mz: float, wz: float, s2: float, v: float, e2: float
) -> tuple[Any, Any, Any]:
    """Coefficients of n events; p is (n, 4, 3): three-momenta of quark, antiquark, l-, l+ (GeV)."""
    n = len(quark)
    sm, linear, quadratic = np.zeros(n), np.zeros(n), np.zeros(n)
    sw, cw, e = math.sqrt(s2), math.sqrt(1 - s2), math.sqrt(e2)
    g = e / (sw * cw)
    energy = np.empty(4)
    q, k = np.empty(4), np.empty(4)
    j, el = np.empty(4, np.complex128), np.empty(4, np.complex128)
    for i in range(n):
        for a in range(4):
            energy[a] = math.sqrt(p[i, a, 0] ** 2 + p[i, a, 1] ** 2 + p[i, a, 2] ** 2)
        q[0], k[0] = energy[0] + energy[1], energy[2] + energy[3]
        for a in range(3):
            q[1 + a] = p[i, 0, a] + p[i, 1, a]
            k[1 + a] = p[i, 2, a] + p[i, 3, a]
        s = q[0] ** 2 - q[1] ** 2 - q[2] ** 2 - q[3] ** 2
        m2 = k[0] ** 2 - k[1] ** 2 - k[2] ** 2 - k[3] ** 2
        qk = q[0] * k[0] - q[1] * k[1] - q[2] * k[2] - q[3] * k[3]
        prop_z = 1 / complex(s - mz * mz, mz * wz)
        prop_l = 1 / complex(m2 - mz * mz, mz * wz)
        eq, t3 = charge[quark[i]], isospin[quark[i]]
        for quark_right in (False, True):
            gq = g * ((0.0 if quark_right else t3) - eq * s2)
            _current(p[i, 1], p[i, 0], quark_right, j)
            jk = j[0] * k[0] - j[1] * k[1] - j[2] * k[2] - j[3] * k[3]
            for lepton_right in (False, True):
                gl = g * ((0.0 if lepton_right else -0.5) + s2)
                _current(p[i, 2], p[i, 3], lepton_right, el)
                jl = j[0] * el[0] - j[1] * el[1] - j[2] * el[2] - j[3] * el[3]
                lq = el[0] * q[0] - el[1] * q[1] - el[2] * q[2] - el[3] * q[3]
                m_sm = gq * prop_z * gl * prop_l * (2 * mz * mz / v) * jl
                vertex = 4 * v * cw * (cw * gq * prop_z + sw * e * eq / s)
                m_6 = 1e-6 * vertex * gl * prop_l * (qk * jl - jk * lq)  # 1e-6: c_HW in TeV^-2
                sm[i] += m_sm.real**2 + m_sm.imag**2
                linear[i] += 2 * (m_sm.real * m_6.real + m_sm.imag * m_6.imag)
                quadratic[i] += m_6.real**2 + m_6.imag**2
    # 1/4 for the spins and 1/3 for the colours of the incoming pair
    return sm / 12, linear / 12, quadratic / 12


def coefficients(
    quark: ArrayLike,
    p_quark: ArrayLike,
    p_antiquark: ArrayLike,
    p_lepton: ArrayLike,
    p_antilepton: ArrayLike,
    parameters: Parameters | None = None,
) -> Coefficients:
    """Squared amplitudes of q qbar -> Z*/gamma* -> (Z -> l- l+) h, event by event.

    Parameters
    ----------
    quark : int (n,)
        PDG id of the incoming quark, 1 to 6 (sign ignored).
    p_quark, p_antiquark, p_lepton, p_antilepton : (n, 3)
        Three-momenta px, py, pz in GeV of q, qbar, l-, l+, in any common frame. The direction of the quark, not that of
        the beam, matters.
    parameters : Parameters, optional
        Electroweak inputs.

    Returns
    -------
    Coefficients
        Standard Model, linear and quadratic pieces, c_HW in TeV^-2.

    Raises
    ------
    InputError
        Wrong shapes, flavours that are no quarks, momenta that are not finite.
    """
    par = parameters or Parameters()
    flavour = np.abs(np.atleast_1d(np.asarray(quark, dtype=np.int64)))
    parts = [np.asarray(x, dtype=np.float64) for x in (p_quark, p_antiquark, p_lepton, p_antilepton)]
    for name, x in zip(("p_quark", "p_antiquark", "p_lepton", "p_antilepton"), parts, strict=True):
        if x.shape != (len(flavour), 3):
            raise InputError(
                f"{name} has shape {x.shape}; {len(flavour)} events need ({len(flavour)}, 3): px, py, pz in GeV"
            )
        if not np.isfinite(x).all():
            raise InputError(f"{name} holds values that are not finite; drop those events first")
    if len(flavour) and (flavour.min() < 1 or flavour.max() > 6):
        bad = flavour[(flavour < 1) | (flavour > 6)][0]
        raise InputError(f"incoming flavour {bad} is no quark; q qbar -> Z h takes PDG ids 1 to 6")
    momenta = np.ascontiguousarray(np.stack(parts, axis=1))
    e2 = 4 * math.pi * par.alpha
    out = _amplitudes(flavour, _CHARGE, _ISOSPIN, momenta, par.mz, par.wz, par.sin2w, par.v, e2)
    return Coefficients(*out)
