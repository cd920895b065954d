"""Kernels of the ZH -> l l b b features: choose the pairs, then compute on structure-of-arrays.

Four momenta an event lie as 16 rows of float64: px, py, pz, E of l-, l+, b, bbar [GeV].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.compiled import kernel
from hepaa.features.kernels import momentum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

M_Z = 91.1876  # GeV, Particle Data Group 2022
# Rows of the result of `zh_rows`.
ROWS = (
    "ptb1", "ptb2", "ptl1", "ptl2", "ptH", "ptZ", "etaH", "phiH", "etaZ", "phiZ", "drll", "drbb", "mZH", "mll", "mbb",
)  # fmt: skip
ANGLES = ("yZH", "dyZH", "dphill", "dphibb", "dphiZH", "cthstar", "cthcs", "phics", "cthl")


@kernel
def lhe_pairs(
    p: Rows, has_leptons: Flags, has_b: Flags,
    offsets: Integers, pdgid: Integers, status: Integers, px: Rows, py: Rows, pz: Rows, e: Rows,
) -> None:  # fmt: skip
    """Momenta (16, n) of the chosen l-, l+, b, bbar, and whether each event has the lepton pair and the b pair.

    These three are written, and all 0 before: to make arrays takes long to compile.
    Final-state particles (status 1) alone. Leptons: e+e- or mu+mu- with the mass closest to m_Z. b pair: the b and the
    bbar of the largest pT. Rows of a pair that is not there are 0.
    """
    n = len(offsets) - 1
    for i in range(n):
        best, minus, plus, b, bbar, pt_b, pt_bbar = np.inf, -1, -1, -1, -1, 0.0, 0.0
        for j in range(offsets[i], offsets[i + 1]):
            if status[j] != 1:
                continue
            if abs(pdgid[j]) == 5:
                pt = momentum.pt(px[j], py[j])
                if pdgid[j] == 5 and (b < 0 or pt > pt_b):
                    b, pt_b = j, pt
                elif pdgid[j] == -5 and (bbar < 0 or pt > pt_bbar):
                    bbar, pt_bbar = j, pt
            elif pdgid[j] == 11 or pdgid[j] == 13:
                for k in range(offsets[i], offsets[i + 1]):
                    if status[k] == 1 and pdgid[k] == -pdgid[j]:
                        m = momentum.mass(px[j] + px[k], py[j] + py[k], pz[j] + pz[k], e[j] + e[k])
                        if abs(m - M_Z) < best:
                            best, minus, plus = abs(m - M_Z), j, k
        has_leptons[i] = minus >= 0
        has_b[i] = b >= 0 and bbar >= 0
        for slot, j in enumerate((minus, plus, b, bbar)):
            if j >= 0:
                p[4 * slot, i], p[4 * slot + 1, i], p[4 * slot + 2, i], p[4 * slot + 3, i] = px[j], py[j], pz[j], e[j]


@kernel
def object_pairs(
    p: Rows, has_leptons: Flags, has_b: Flags,
    lepton_offsets: Integers, pdgid: Integers, lpt: Rows, leta: Rows, lphi: Rows, lm: Rows,
    jet_offsets: Integers, tagged: Integers, jpt: Rows, jeta: Rows, jphi: Rows, jm: Rows,
) -> None:  # fmt: skip
    """The same from reconstructed objects: leptons of one flavour and opposite charge, the two leading tagged jets."""
    n = len(lepton_offsets) - 1
    for i in range(n):
        best = np.inf
        for j in range(lepton_offsets[i], lepton_offsets[i + 1]):
            for k in range(lepton_offsets[i], lepton_offsets[i + 1]):
                if pdgid[j] <= 0 or pdgid[k] != -pdgid[j]:
                    continue
                pj = momentum.cartesian(lpt[j], leta[j], lphi[j], lm[j])
                pk = momentum.cartesian(lpt[k], leta[k], lphi[k], lm[k])
                m = momentum.mass(pj[0] + pk[0], pj[1] + pk[1], pj[2] + pk[2], pj[3] + pk[3])
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
            for row, j in ((8, first), (12, second)):
                p[row, i], p[row + 1, i], p[row + 2, i], p[row + 3, i] = momentum.cartesian(
                    jpt[j], jeta[j], jphi[j], jm[j]
                )


@kernel
def zh_rows(p: Rows, out: Rows) -> None:
    """Features `ROWS` (15, n) of momenta (16, n).

    b1, l1 are the harder of each pair; Z is the lepton pair, H the b pair. GeV and radians; edge cases as in
    `momentum`.
    """
    for i in range(p.shape[1]):
        zh_x, zh_y, zh_z, zh_e = 0.0, 0.0, 0.0, 0.0
        for a, first, pt, direction, delta_r, mass in ((0, 2, 5, 8, 10, 13), (8, 0, 4, 6, 11, 14)):
            b = a + 4
            pt1, pt2 = momentum.pt(p[a, i], p[a + 1, i]), momentum.pt(p[b, i], p[b + 1, i])
            out[first, i], out[first + 1, i] = (pt2, pt1) if pt2 > pt1 else (pt1, pt2)
            x, y, z = p[a, i] + p[b, i], p[a + 1, i] + p[b + 1, i], p[a + 2, i] + p[b + 2, i]
            e, pair_pt = p[a + 3, i] + p[b + 3, i], momentum.pt(x, y)
            out[pt, i], out[direction, i], out[direction + 1, i] = pair_pt, momentum.eta(z, pair_pt), momentum.phi(x, y)
            eta1, phi1 = momentum.eta(p[a + 2, i], pt1), momentum.phi(p[a, i], p[a + 1, i])
            eta2, phi2 = momentum.eta(p[b + 2, i], pt2), momentum.phi(p[b, i], p[b + 1, i])
            out[delta_r, i] = momentum.delta_r(eta1, phi1, eta2, phi2)
            out[mass, i] = momentum.mass(x, y, z, e)
            zh_x, zh_y, zh_z, zh_e = zh_x + x, zh_y + y, zh_z + z, zh_e + e
        out[12, i] = momentum.mass(zh_x, zh_y, zh_z, zh_e)


@kernel
def zh_angles(p: Rows, out: Rows) -> None:
    """Features `ANGLES` (9, n) of momenta (16, n): what does not change when the event turns about the beam."""
    for i in range(p.shape[1]):
        zx, zy, zz, ze = p[0, i] + p[4, i], p[1, i] + p[5, i], p[2, i] + p[6, i], p[3, i] + p[7, i]
        hx, hy, hz, he = p[8, i] + p[12, i], p[9, i] + p[13, i], p[10, i] + p[14, i], p[11, i] + p[15, i]
        x, y, z, e = zx + hx, zy + hy, zz + hz, ze + he
        out[0, i] = abs(momentum.rapidity(z, e))
        out[1, i] = abs(momentum.delta_eta(momentum.rapidity(zz, ze), momentum.rapidity(hz, he)))
        out[2, i] = abs(momentum.delta_phi(momentum.phi(p[0, i], p[1, i]), momentum.phi(p[4, i], p[5, i])))
        out[3, i] = abs(momentum.delta_phi(momentum.phi(p[8, i], p[9, i]), momentum.phi(p[12, i], p[13, i])))
        out[4, i] = abs(momentum.delta_phi(momentum.phi(zx, zy), momentum.phi(hx, hy)))
        out[5, i] = abs(momentum.collins_soper(zx, zy, zz, ze, x, y, z, e)[0])
        out[6, i], out[7, i] = momentum.collins_soper(p[0, i], p[1, i], p[2, i], p[3, i], zx, zy, zz, ze)
        out[8, i] = momentum.helicity_cosine(p[0, i], p[1, i], p[2, i], p[3, i], zx, zy, zz, ze, hx, hy, hz, he)
