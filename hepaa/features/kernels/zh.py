"""Kernels of the ZH -> l l b b features: choose the pairs, then compute on structure-of-arrays.

Four momenta an event lie as 16 rows of float64: px, py, pz, E of l-, l+, b, bbar [GeV].
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from hepaa.features.kernels import momentum as one
from hepaa.features.kernels.fastmath import angle_of, kernel, log_of, log_parts, octant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Integers = NDArray[np.int64]

M_Z = 91.1876  # GeV, Particle Data Group 2022
# Events computed at once: the scratch rows stay in the second-level cache, and loops are long enough to vectorise.
_BLOCK = 1024
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
def _transverse(ax: Rows, ay: Rows, bx: Rows, by: Rows, pta: Rows, ptb: Rows, larger: Rows, smaller: Rows) -> None:
    """pT of both particles, and the same in order."""
    for i in range(len(pta)):
        u, v = sqrt(ax[i] * ax[i] + ay[i] * ay[i]), sqrt(bx[i] * bx[i] + by[i] * by[i])
        pta[i], ptb[i] = u, v
        larger[i] = u if u > v else v
        smaller[i] = v if u > v else u


@kernel
def _delta_phi(ax: Rows, ay: Rows, bx: Rows, by: Rows, out: Rows, base: Rows) -> None:
    """One angle of dot and cross product, for the difference of two; base is room."""
    for i in range(len(out)):
        out[i], base[i] = octant(ax[i] * by[i] - ay[i] * bx[i], ax[i] * bx[i] + ay[i] * by[i])
    for i in range(len(out)):
        out[i] = angle_of(out[i], base[i])


@kernel
def _delta_r(az: Rows, apt: Rows, bz: Rows, bpt: Rows, dphi: Rows, out: Rows, e: Rows) -> None:
    """One asinh for the difference of two pseudorapidities; e is room.

    sinh(a - b) = sinh a cosh b - sinh b cosh a, and cosh(a - b) = cosh a cosh b - sinh a sinh b; sinh eta = pz / pT,
    cosh eta = p / pT.
    """
    for i in range(len(out)):
        ap, bp = sqrt(apt[i] * apt[i] + az[i] * az[i]), sqrt(bpt[i] * bpt[i] + bz[i] * bz[i])
        x = apt[i] * bpt[i]
        r = ap * bp - az[i] * bz[i]
        out[i], e[i] = log_parts(az[i] * bp - bz[i] * ap, x, r if r > x else x)
    for i in range(len(out)):
        deta = log_of(out[i], e[i])
        out[i] = sqrt(deta * deta + dphi[i] * dphi[i])


@kernel
def _boson(
    ax: Rows, ay: Rows, az: Rows, ae: Rows, bx: Rows, by: Rows, bz: Rows, be: Rows,
    px: Rows, py: Rows, pz: Rows, e: Rows, pt: Rows, p: Rows, m: Rows,
) -> None:  # fmt: skip
    """Sum of two momenta, with its pT, |p| and mass."""
    for i in range(len(px)):
        x, y, z, t = ax[i] + bx[i], ay[i] + by[i], az[i] + bz[i], ae[i] + be[i]
        px[i], py[i], pz[i], e[i] = x, y, z, t
        pt[i] = sqrt(x * x + y * y)
        p[i] = sqrt(x * x + y * y + z * z)
        m[i] = one.mass(x, y, z, t)


@kernel
def _directions(
    px: Rows, py: Rows, pz: Rows, pt: Rows, p: Rows, eta: Rows, phi: Rows, room: Rows
) -> None:  # fmt: skip
    """Pseudorapidity and azimuth."""
    for i in range(len(eta)):
        eta[i], room[i] = log_parts(pz[i], pt[i], p[i])
    for i in range(len(eta)):
        eta[i] = log_of(eta[i], room[i])
    for i in range(len(phi)):
        phi[i], room[i] = octant(py[i], px[i])
    for i in range(len(phi)):
        phi[i] = angle_of(phi[i], room[i])


@kernel
def _mass_of_both(
    ax: Rows, ay: Rows, az: Rows, ae: Rows, bx: Rows, by: Rows, bz: Rows, be: Rows, out: Rows
) -> None:  # fmt: skip
    for i in range(len(out)):
        out[i] = one.mass(ax[i] + bx[i], ay[i] + by[i], az[i] + bz[i], ae[i] + be[i])


@kernel
def zh_rows(p: Rows, out: Rows) -> None:
    """Features `ROWS` (15, n) of momenta (16, n), in blocks; all loops are vector instructions.

    b1, l1 are the harder of each pair; Z is the lepton pair, H the b pair. GeV and radians; edge cases as in
    `_momentum`.
    """
    scratch = np.empty((12, _BLOCK))
    for start in range(0, p.shape[1], _BLOCK):
        stop = min(start + _BLOCK, p.shape[1])
        n = stop - start
        for pair in range(2):  # the leptons, then the b quarks
            first, boson = 8 * pair, 4 * pair
            ax, ay, az, ae = (
                p[first, start:stop], p[first + 1, start:stop], p[first + 2, start:stop], p[first + 3, start:stop],
            )  # fmt: skip
            bx, by, bz, be = (
                p[first + 4, start:stop], p[first + 5, start:stop], p[first + 6, start:stop], p[first + 7, start:stop],
            )  # fmt: skip
            pta, ptb, dphi, room = scratch[8, :n], scratch[9, :n], scratch[10, :n], scratch[11, :n]
            _transverse(ax, ay, bx, by, pta, ptb, out[2 - 2 * pair, start:stop], out[3 - 2 * pair, start:stop])
            _delta_phi(ax, ay, bx, by, dphi, room)
            _delta_r(az, pta, bz, ptb, dphi, out[10 + pair, start:stop], room)
            x, y, z, e = (
                scratch[boson, :n], scratch[boson + 1, :n], scratch[boson + 2, :n], scratch[boson + 3, :n],
            )  # fmt: skip
            pt, momentum = out[5 - pair, start:stop], scratch[8, :n]
            _boson(ax, ay, az, ae, bx, by, bz, be, x, y, z, e, pt, momentum, out[13 + pair, start:stop])
            _directions(x, y, z, pt, momentum, out[8 - 2 * pair, start:stop], out[9 - 2 * pair, start:stop], room)
        _mass_of_both(
            scratch[0, :n], scratch[1, :n], scratch[2, :n], scratch[3, :n],
            scratch[4, :n], scratch[5, :n], scratch[6, :n], scratch[7, :n], out[12, start:stop],
        )  # fmt: skip


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
