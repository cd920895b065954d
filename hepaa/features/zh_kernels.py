"""Kernels of the ZH -> l l b b features: choose the pairs, then compute on structure-of-arrays.

Four momenta an event lie as 16 rows of float64: px, py, pz, E of l-, l+, b, bbar [GeV].
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from hepaa.features import _momentum as one
from hepaa.features._fastmath import asinh_sides, atan2, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Integers = NDArray[np.int64]

M_Z = 91.1876  # GeV, Particle Data Group 2022
# Events computed at once: the scratch rows stay in the second-level cache, and loops are long enough to vectorise.
_BLOCK = 512
# Rows of the result of `zh_rows`.
ROWS = (
    "ptb1",
    "ptb2",
    "ptl1",
    "ptl2",
    "ptH",
    "ptZ",
    "etaH",
    "phiH",
    "etaZ",
    "phiZ",
    "drll",
    "drbb",
    "mZH",
    "mll",
    "mbb",
)
ANGLES = ("yZH", "dyZH", "dphill", "dphibb", "dphiZH", "cthstar", "cthcs", "phics", "cthl")


@kernel
def lhe_pairs(
    offsets: Integers, pdgid: Integers, status: Integers, px: Rows, py: Rows, pz: Rows, e: Rows
) -> tuple[Rows, NDArray[np.bool_], NDArray[np.bool_]]:
    """Momenta (16, n) of the chosen l-, l+, b, bbar, and whether each event has the lepton pair and the b pair.

    Final-state particles (status 1) alone. Leptons: e+e- or mu+mu- with the mass closest to m_Z. b pair: the b and the
    bbar of the largest pT. Rows of a pair that is not there are 0.
    """
    n = len(offsets) - 1
    p = np.zeros((16, n))
    has_leptons, has_b = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for i in range(n):
        best, minus, plus, b, bbar = np.inf, -1, -1, -1, -1
        for j in range(offsets[i], offsets[i + 1]):
            if status[j] != 1:
                continue
            if pdgid[j] == 5 and (b < 0 or one.pt(px[j], py[j]) > one.pt(px[b], py[b])):
                b = j
            elif pdgid[j] == -5 and (bbar < 0 or one.pt(px[j], py[j]) > one.pt(px[bbar], py[bbar])):
                bbar = j
            elif pdgid[j] == 11 or pdgid[j] == 13:
                for k in range(offsets[i], offsets[i + 1]):
                    if status[k] == 1 and pdgid[k] == -pdgid[j]:
                        m = one.mass(px[j] + px[k], py[j] + py[k], pz[j] + pz[k], e[j] + e[k])
                        if abs(m - M_Z) < best:
                            best, minus, plus = abs(m - M_Z), j, k
        has_leptons[i] = minus >= 0
        has_b[i] = b >= 0 and bbar >= 0
        for slot, j in enumerate((minus, plus, b, bbar)):
            if j >= 0:
                p[4 * slot, i], p[4 * slot + 1, i], p[4 * slot + 2, i], p[4 * slot + 3, i] = px[j], py[j], pz[j], e[j]
    return p, has_leptons, has_b


@kernel
def object_pairs(
    lepton_offsets: Integers, pdgid: Integers, lpt: Rows, leta: Rows, lphi: Rows, lm: Rows,
    jet_offsets: Integers, tagged: Integers, jpt: Rows, jeta: Rows, jphi: Rows, jm: Rows,
) -> tuple[Rows, NDArray[np.bool_], NDArray[np.bool_]]:  # fmt: skip
    """The same from reconstructed objects: leptons of one flavour and opposite charge, the two leading tagged jets."""
    n = len(lepton_offsets) - 1
    p = np.zeros((16, n))
    has_leptons, has_b = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for i in range(n):
        best = np.inf
        for j in range(lepton_offsets[i], lepton_offsets[i + 1]):
            for k in range(lepton_offsets[i], lepton_offsets[i + 1]):
                if pdgid[j] <= 0 or pdgid[k] != -pdgid[j]:
                    continue
                pj = one.cartesian(lpt[j], leta[j], lphi[j], lm[j])
                pk = one.cartesian(lpt[k], leta[k], lphi[k], lm[k])
                m = one.mass(pj[0] + pk[0], pj[1] + pk[1], pj[2] + pk[2], pj[3] + pk[3])
                if abs(m - M_Z) < best:
                    best, has_leptons[i] = abs(m - M_Z), True
                    p[0, i], p[1, i], p[2, i], p[3, i] = pj
                    p[4, i], p[5, i], p[6, i], p[7, i] = pk
        first, second = -1, -1
        for j in range(jet_offsets[i], jet_offsets[i + 1]):
            if tagged[j] == 0:
                continue
            if first < 0 or jpt[j] > jpt[first]:
                first, second = j, first
            elif second < 0 or jpt[j] > jpt[second]:
                second = j
        if second >= 0:
            has_b[i] = True
            p[8, i], p[9, i], p[10, i], p[11, i] = one.cartesian(jpt[first], jeta[first], jphi[first], jm[first])
            p[12, i], p[13, i], p[14, i], p[15, i] = one.cartesian(jpt[second], jeta[second], jphi[second], jm[second])
    return p, has_leptons, has_b


@kernel
def _add(a: Rows, b: Rows, out: Rows) -> None:
    for i in range(len(out)):
        out[i] = a[i] + b[i]


@kernel
def _order(a: Rows, b: Rows, larger: Rows, smaller: Rows) -> None:
    for i in range(len(a)):
        x, y = a[i], b[i]
        larger[i] = x if x > y else y
        smaller[i] = y if x > y else x


@kernel
def _pt(px: Rows, py: Rows, out: Rows) -> None:
    for i in range(len(out)):
        out[i] = sqrt(px[i] * px[i] + py[i] * py[i])


@kernel
def _phi(px: Rows, py: Rows, out: Rows) -> None:
    for i in range(len(out)):
        out[i] = atan2(py[i], px[i])


@kernel
def _eta(pz: Rows, pt: Rows, out: Rows) -> None:
    for i in range(len(out)):
        out[i] = one.eta(pz[i], pt[i])


@kernel
def _mass(px: Rows, py: Rows, pz: Rows, e: Rows, out: Rows) -> None:
    for i in range(len(out)):
        out[i] = one.mass(px[i], py[i], pz[i], e[i])


@kernel
def _delta_phi(ax: Rows, ay: Rows, bx: Rows, by: Rows, out: Rows) -> None:
    """One atan2 of cross and dot product, for the difference of two angles."""
    for i in range(len(out)):
        out[i] = atan2(ax[i] * by[i] - ay[i] * bx[i], ax[i] * bx[i] + ay[i] * by[i])


@kernel
def _delta_r(az: Rows, apt: Rows, bz: Rows, bpt: Rows, dphi: Rows, out: Rows) -> None:
    """One asinh for the difference of two.

    sinh(a - b) = sinh a cosh b - sinh b cosh a, and cosh(a - b) = cosh a cosh b - sinh a sinh b; sinh eta = pz / pT,
    cosh eta = p / pT.
    """
    for i in range(len(out)):
        ap, bp = sqrt(apt[i] * apt[i] + az[i] * az[i]), sqrt(bpt[i] * bpt[i] + bz[i] * bz[i])
        x = apt[i] * bpt[i]
        r = ap * bp - az[i] * bz[i]
        deta = asinh_sides(az[i] * bp - bz[i] * ap, x, r if r > x else x)
        out[i] = sqrt(deta * deta + dphi[i] * dphi[i])


@kernel
def zh_rows(p: Rows, out: Rows) -> None:
    """Features `ROWS` (15, n) of momenta (16, n), in blocks; all loops are vector instructions.

    b1, l1 are the harder of each pair; Z is the lepton pair, H the b pair. GeV and radians; edge cases as in
    `_momentum`.
    """
    scratch = np.empty((15, _BLOCK))
    for start in range(0, p.shape[1], _BLOCK):
        stop = min(start + _BLOCK, p.shape[1])
        n = stop - start
        for pair in range(2):  # the leptons, then the b quarks
            first, boson = 8 * pair, 4 * pair
            ax, ay, az = p[first, start:stop], p[first + 1, start:stop], p[first + 2, start:stop]
            bx, by, bz = p[first + 4, start:stop], p[first + 5, start:stop], p[first + 6, start:stop]
            pta, ptb, dphi = scratch[12, :n], scratch[13, :n], scratch[14, :n]
            _pt(ax, ay, pta)
            _pt(bx, by, ptb)
            _delta_phi(ax, ay, bx, by, dphi)
            _delta_r(az, pta, bz, ptb, dphi, out[10 + pair, start:stop])
            _order(pta, ptb, out[2 - 2 * pair, start:stop], out[3 - 2 * pair, start:stop])
            for c in range(4):
                _add(p[first + c, start:stop], p[first + 4 + c, start:stop], scratch[boson + c, :n])
            x, y, z = scratch[boson, :n], scratch[boson + 1, :n], scratch[boson + 2, :n]
            ptv = out[5 - pair, start:stop]
            _pt(x, y, ptv)
            _eta(z, ptv, out[8 - 2 * pair, start:stop])
            _phi(x, y, out[9 - 2 * pair, start:stop])
            _mass(x, y, z, scratch[boson + 3, :n], out[13 + pair, start:stop])
        for c in range(4):
            _add(scratch[c, :n], scratch[4 + c, :n], scratch[8 + c, :n])
        _mass(scratch[8, :n], scratch[9, :n], scratch[10, :n], scratch[11, :n], out[12, start:stop])


@kernel
def zh_angles(p: Rows, out: Rows) -> None:
    """Features `ANGLES` (9, n) of momenta (16, n): what does not change when the event turns about the beam."""
    for i in range(p.shape[1]):
        zx, zy, zz, ze = p[0, i] + p[4, i], p[1, i] + p[5, i], p[2, i] + p[6, i], p[3, i] + p[7, i]
        hx, hy, hz, he = p[8, i] + p[12, i], p[9, i] + p[13, i], p[10, i] + p[14, i], p[11, i] + p[15, i]
        x, y, z, e = zx + hx, zy + hy, zz + hz, ze + he
        out[0, i] = abs(one.rapidity(z, e))
        out[1, i] = abs(one.delta_eta(one.rapidity(zz, ze), one.rapidity(hz, he)))
        out[2, i] = abs(one.delta_phi(one.phi(p[0, i], p[1, i]), one.phi(p[4, i], p[5, i])))
        out[3, i] = abs(one.delta_phi(one.phi(p[8, i], p[9, i]), one.phi(p[12, i], p[13, i])))
        out[4, i] = abs(one.delta_phi(one.phi(zx, zy), one.phi(hx, hy)))
        out[5, i] = abs(one.collins_soper(zx, zy, zz, ze, x, y, z, e)[0])
        out[6, i], out[7, i] = one.collins_soper(p[0, i], p[1, i], p[2, i], p[3, i], zx, zy, zz, ze)
        out[8, i] = one.helicity_cosine(p[0, i], p[1, i], p[2, i], p[3, i], zx, zy, zz, ze, hx, hy, hz, he)
