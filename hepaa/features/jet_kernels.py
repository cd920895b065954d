"""Sequential recombination in compiled loops: the two leading jets of an event, and the axes inside a jet.

Generalised kT distances d_ij = min(k_i, k_j) dR_ij^2 / R^2, d_iB = k_i with k = pT^(2p): p = -1 anti-kT
(arXiv:0802.1189), 0 Cambridge/Aachen, 1 kT. Every object remembers its geometric nearest neighbour, which holds the
smallest d_ij (Cacciari, Salam, hep-ph/0512210). Objects lie in rows, so that distances to all others are one vector
loop; the code is one function with each loop once, for it is compiled where it is used.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

from hepaa.features import _momentum as one
from hepaa.features._fastmath import asinh_ratio, atan2, kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_Function = TypeVar("_Function")
TWO_PI = one.TWO_PI
# Rows of the objects being clustered: four-momentum, pT, rapidity, azimuth in (-pi, pi], k, squared distance to the
# nearest neighbour (R^2 if none is closer), smallest d_ij R^2, and a scratch row of distances.
PX, PY, PZ, E, PT, RAP, PHI, K, NEAR, D, SCRATCH = range(11)
N_ROWS = 11
# Rows of integers: nearest neighbour (-1: the beam), first and last particle of the object's list, the particle that
# follows in a list (-1: none; this row alone is indexed by particle), and objects to be looked at again.
NN, FIRST, LAST, FOLLOW, TODO = range(5)
N_LINKS = 5
E_SCHEME, WTA = 0, 1


def reduction(function: _Function) -> _Function:
    """A kernel that may add and compare in any order, so that sums and minima become vector instructions."""
    flags: Any = {"reassoc", "nnan", "nsz", "contract"}
    compiler: Any = njit(cache=True, error_model="numpy", nogil=True, fastmath=flags)
    compiled: _Function = compiler(function)
    return compiled


@reduction
def smallest(values: Floats, n: int) -> int:
    """Position of the smallest of the first n values."""
    low = values[0]
    for i in range(n):
        low = values[i] if values[i] < low else low
    for i in range(n):
        if values[i] == low:
            return i
    return 0


@kernel
def set_particle(w: Floats, link: Integers, i: int, pt: float, eta: float, phi: float, power: int) -> None:
    """Put a massless particle into slot i, as an object of its own."""
    w[PX, i], w[PY, i], w[PZ, i], w[E, i] = one.cartesian(pt, eta, phi, 0.0)
    w[PT, i], w[RAP, i], w[PHI, i] = pt, eta, one.delta_phi(phi, 0.0)
    w[K, i] = 1.0 if power == 0 else (pt * pt if power > 0 else 1.0 / (pt * pt))
    link[FIRST, i] = link[LAST, i] = i
    link[FOLLOW, i] = -1


@kernel
def cluster(
    w: Floats, link: Integers, n: int, fresh: int, r2: float, power: int, scheme: int, target: int,
    jets: Floats, heads: Integers,
) -> int:  # fmt: skip
    """Cluster n objects, until `target` are left (exclusive), or the two leading jets are known (target = 0).

    Parameters
    ----------
    w, link : (11, >= n), (5, >= n)
        The objects, rows as named above.
    fresh : int
        1: their neighbours are not known yet; 0 goes on from an earlier exclusive target.
    r2 : float
        R^2; infinite for exclusive clustering without a beam.
    power, scheme : int
        p of k = pT^(2p); E_SCHEME, or WTA: pT adds and the direction is that of the harder (arXiv:1401.2158).
    jets, heads : (2, 4), (2,)
        For target = 0, the result: px, py, pz, E, and the first particle, of the two hardest jets, harder first.

    Returns
    -------
    int
        Objects left; for target = 0 the number of jets found, at most 2. It stops as soon as what is left could not
        make a harder jet: the pT of a jet is at most the scalar sum of its parts.
    """
    pt, rap, phi, near, d, row = w[PT], w[RAP], w[PHI], w[NEAR], w[D], w[SCRATCH]
    nn, follow, todo = link[NN], link[FOLLOW], link[TODO]
    looks, new = 0, -1
    rest, pt1, pt2 = 0.0, 0.0, 0.0
    found = 0
    for k in range(n):
        rest += pt[k]
        if fresh == 1:
            todo[k], looks = k, n
    while True:
        # Nearest neighbours of the objects to be looked at again.
        for q in range(looks):
            i = todo[q]
            y, p = rap[i], phi[i]
            for k in range(n):
                dy, dp = rap[k] - y, abs(phi[k] - p)
                turned = TWO_PI - dp
                dp = turned if turned < dp else dp
                row[k] = dy * dy + dp * dp
            row[i] = np.inf
            if i == new:
                for k in range(n):
                    if row[k] < near[k]:
                        near[k], nn[k] = row[k], i
                        d[k] = min(w[K, k], w[K, i]) * row[k]
            j = smallest(row, n)
            if row[j] < r2:
                near[i], nn[i] = row[j], j
                d[i] = min(w[K, i], w[K, j]) * row[j]
            else:
                near[i], nn[i] = r2, -1
                d[i] = w[K, i] * r2
        if n <= target or rest * (1.0 + 1e-9) < pt2:
            return n if target > 0 else min(found, 2)
        i = smallest(d, n)
        j = nn[i]
        looks, new, hole = 0, -1, i
        rest -= pt[i]
        if j < 0:
            slot = 0 if pt[i] > pt1 else (1 if pt[i] > pt2 else 2)
            if slot == 0:
                pt2, pt1, heads[1] = pt1, pt[i], heads[0]
                for r in range(4):
                    jets[1, r] = jets[0, r]
            elif slot == 1:
                pt2 = pt[i]
            if slot < 2:
                jets[slot, 0], jets[slot, 1], jets[slot, 2], jets[slot, 3] = w[PX, i], w[PY, i], w[PZ, i], w[E, i]
                heads[slot] = link[FIRST, i]
            found += 1
        else:
            new, hole = min(i, j), max(i, j)
            follow[link[LAST, new]] = link[FIRST, hole]
            link[LAST, new] = link[LAST, hole]
            rest -= pt[j]
            if scheme == WTA:
                if pt[hole] > pt[new]:
                    rap[new], phi[new] = rap[hole], phi[hole]
                pt[new] += pt[hole]
            else:
                px, py = w[PX, new] + w[PX, hole], w[PY, new] + w[PY, hole]
                pz, e = w[PZ, new] + w[PZ, hole], w[E, new] + w[E, hole]
                w[PX, new], w[PY, new], w[PZ, new], w[E, new] = px, py, pz, e
                pt_squared = px * px + py * py
                m2 = e * e - pt_squared - pz * pz
                pt[new], phi[new] = sqrt(pt_squared), atan2(py, px)
                rap[new] = asinh_ratio(pz, sqrt(pt_squared + max(m2, 0.0)))
            rest += pt[new]
            w[K, new] = 1.0 if power == 0 else (pt[new] * pt[new] if power > 0 else 1.0 / (pt[new] * pt[new]))
            todo[0], looks, nn[new], near[new] = new, 1, -1, -1.0
        n -= 1
        if hole != n:
            for r in range(SCRATCH):
                w[r, hole] = w[r, n]
            link[NN, hole], link[FIRST, hole], link[LAST, hole] = link[NN, n], link[FIRST, n], link[LAST, n]
        # Those whose neighbour is gone look again; the last object now has the number of the hole.
        for k in range(n):
            j = nn[k]
            if j >= 0 and j in (hole, new):
                todo[looks] = k
                looks += 1
            elif j == n:
                nn[k] = hole
