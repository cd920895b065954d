"""N-subjettiness in compiled loops: arXiv:1011.2268 and 1108.2701.

tau_N = sum_i pT_i min_k dR_ik^beta / (R0^beta sum_i pT_i). Axes: exclusive kT subjets (E or winner-take-all
recombination), and one-pass minimisation from there.

A jet lies in rows of a (6, blocks(n)) array: pT, rapidity, azimuth of its constituents, and three rows of scratch.
Those that fill the last block have no pT.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from hepaa.compiled import kernel
from hepaa.features.kernels.clustering import PHI, RAP, choose, cluster, reduction, set_particle, smaller
from hepaa.features.kernels.momentum import TWO_PI, delta_phi, int64

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

C_PT, C_RAP, C_PHI, C_NEAR, C_OWNER, C_WEIGHT = range(6)
N_JET_ROWS = 6
_ON_AXIS2 = 1e-20
# Squared distance added where one divides by it: a weight pT / dR must stay finite on an axis that meets a particle.
_NEAREST2 = 1e-12
# It ends when a step gains less than this share of tau.
_GAIN = 1e-6
_MAX_STEPS = 200
# After a step that gains less than the share _SETTLED, the next goes beyond the weighted mean by the factor _RELAX. Any
# below 2 makes tau smaller: the mean minimises a parabola that touches tau and lies above it, for beta <= 2. Long steps
# from the start would lead to other local minima than FastJet's.
_RELAX = 1.5
_SETTLED = 1e-4
_TURNS = 1.0 / TWO_PI


@kernel
def _assign(jet: Floats, axes: Floats, count: int) -> None:
    """Squared distance to the nearest axis, and which it is; azimuths in [-pi, pi]."""
    rap, phi, near, owner = jet[C_RAP], jet[C_PHI], jet[C_NEAR], jet[C_OWNER]
    near[:] = np.inf
    owner[:] = 0.0
    for a in range(count):
        y, p, index = axes[0, a], axes[1, a], float(a)
        for i in range(len(rap)):
            dy, dp = rap[i] - y, abs(phi[i] - p)
            dp = smaller(TWO_PI - dp, dp)
            d = dy * dy + dp * dp
            best = near[i]
            owner[i] = choose(d < best, index, owner[i])
            near[i] = smaller(d, best)


@reduction
def _measure(pt: Floats, near: Floats, beta: float, weight: Floats) -> float:
    """sum pT dR^beta; and pT dR^(beta - 2), the weights of a step to the minimum (Weiszfeld's for beta = 1).

    For beta = 1 a particle on its axis has weight 0 and is dealt with in the step.
    """
    total = 0.0
    if beta == 1.0:
        for i in range(len(pt)):
            d = sqrt(near[i])
            total += pt[i] * d
            weight[i] = choose(near[i] > _ON_AXIS2, pt[i] / d, 0.0)
    elif beta == 2.0:
        for i in range(len(pt)):
            total += pt[i] * near[i]
            weight[i] = pt[i]
    elif beta == 0.5:
        for i in range(len(pt)):
            d = sqrt(near[i] + _NEAREST2)
            total += pt[i] * sqrt(sqrt(near[i]))
            weight[i] = pt[i] / (d * sqrt(d))
    else:
        for i in range(len(pt)):
            total += pt[i] * near[i] ** (0.5 * beta)
            weight[i] = pt[i] * (near[i] + _NEAREST2) ** (0.5 * beta - 1.0)
    return total


@reduction
def _step(jet: Floats, a: int, y: float, p: float) -> tuple[float, float]:
    """How far axis a at (y, p) moves: the weighted mean of where its particles are, seen from it.

    Particles on the axis (weight 0) hold it with their pT against the pull of the others, the length of the sum of
    weighted distances: Vardi, Zhang, PNAS 97 (2000) 1423.
    """
    pt, rap, phi, owner, weight = jet[C_PT], jet[C_RAP], jet[C_PHI], jet[C_OWNER], jet[C_WEIGHT]
    total, dy, dp, held, index = 0.0, 0.0, 0.0, 0.0, float(a)
    for i in range(len(rap)):
        mine = owner[i] == index
        w = choose(mine, weight[i], 0.0)
        held += choose(mine & (weight[i] == 0.0), pt[i], 0.0)
        d = phi[i] - p
        d -= TWO_PI * np.rint(d * _TURNS)
        total += w
        dy += w * (rap[i] - y)
        dp += w * d
    pull = sqrt(dy * dy + dp * dp)
    if pull <= held or total == 0.0:
        return 0.0, 0.0
    share = (1.0 - held / pull) / total
    return share * dy, share * dp


@kernel
def tau_of_axes(jet: Floats, axes: Floats, count: int, beta: float) -> float:
    """sum_i pT_i min_k dR_ik^beta for the first `count` axes (2, >= count), not normalised."""
    _assign(jet, axes, count)
    return _measure(jet[C_PT], jet[C_NEAR], beta, jet[C_WEIGHT])


@kernel
def one_pass(jet: Floats, axes: Floats, count: int, beta: float) -> float:
    """Move the axes to a local minimum of tau, in place; gives the sum there, never above that at the start."""
    best, relax = tau_of_axes(jet, axes, count, beta), 1.0
    saved = np.empty((2, count))
    for _ in range(_MAX_STEPS):
        for a in range(count):
            y, p = axes[0, a], axes[1, a]
            saved[0, a], saved[1, a] = y, p
            dy, dp = _step(jet, a, y, p)
            axes[0, a], axes[1, a] = y + relax * dy, delta_phi(p + relax * dp, 0.0)
        now = tau_of_axes(jet, axes, count, beta)
        if now >= best:
            for a in range(count):
                axes[0, a], axes[1, a] = saved[0, a], saved[1, a]
            break
        gain, best = best - now, now
        if gain < _GAIN * best:
            break
        relax = _RELAX if gain < _SETTLED * best and beta < 2.0 else 1.0
    return best


@kernel
def taus(
    w: Floats, link: Integers, jet: Floats, n: int, scheme: int, minimise: int, beta: float, r0: float, out: Floats
) -> None:
    """tau_1 .. tau_len(out) of a jet of n constituents, into out; 0 where it has no more constituents than axes.

    w, link: room for the clustering, as in `clustering`.
    """
    axes, jets, heads = np.empty((2, len(out))), np.empty((2, 4)), np.empty(2, np.int64)
    total = 0.0
    for i in range(n):
        total += jet[C_PT, i]
        set_particle(w, link, i, jet[C_PT, i], jet[C_RAP, i], jet[C_PHI, i], int64(1))
    for i in range(len(out)):
        out[i] = 0.0
    left = n
    for count in range(min(len(out), n - 1), 0, -1):
        left = cluster(w, link, left, int64(left == n), np.inf, int64(1), scheme, count, jets, heads)
        for a in range(count):
            axes[0, a], axes[1, a] = w[RAP, a], w[PHI, a]
        value = one_pass(jet, axes, count, beta) if minimise == 1 else tau_of_axes(jet, axes, count, beta)
        out[count - 1] = value / (total * r0**beta)
