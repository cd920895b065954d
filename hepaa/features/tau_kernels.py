"""N-subjettiness in compiled loops: arXiv:1011.2268 and 1108.2701.

tau_N = sum_i pT_i min_k dR_ik^beta / (R0^beta sum_i pT_i). Axes: exclusive kT subjets (E or winner-take-all
recombination), and one-pass minimisation from there.

A jet lies in rows of a (6, n) array: pT, rapidity, azimuth of its constituents, and three rows of scratch.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from hepaa.features._fastmath import kernel
from hepaa.features._momentum import TWO_PI, delta_phi, int64
from hepaa.features.jet_kernels import PHI, RAP, cluster, reduction, set_particle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

C_PT, C_RAP, C_PHI, C_NEAR, C_OWNER, C_SCRATCH = range(6)
N_JET_ROWS = 6
_ON_AXIS2 = 1e-20
# Squared distance added where one divides by it: a weight pT / dR must stay finite on an axis that meets a particle.
_NEAREST2 = 1e-12
# It ends when a step gains less than this share of tau.
_GAIN = 1e-6
_MAX_STEPS = 200


@kernel
def distances(rap: Floats, phi: Floats, y: float, p: float, out: Floats) -> None:
    """dR^2 of (y, p) to each (rap, phi); azimuths in [-pi, pi]."""
    for j in range(len(out)):
        dy, dp = rap[j] - y, abs(phi[j] - p)
        turned = TWO_PI - dp
        dp = turned if turned < dp else dp
        out[j] = dy * dy + dp * dp


@kernel
def _assign(jet: Floats, axes: Floats, count: int) -> None:
    """Squared distance to the nearest axis, and which it is."""
    n = jet.shape[1]
    near, owner, row = jet[C_NEAR], jet[C_OWNER], jet[C_SCRATCH]
    distances(jet[C_RAP], jet[C_PHI], axes[0, 0], axes[1, 0], near)
    for i in range(n):
        owner[i] = 0.0
    for a in range(1, count):
        distances(jet[C_RAP], jet[C_PHI], axes[0, a], axes[1, a], row)
        index = float(a)
        for i in range(n):
            closer = row[i] < near[i]
            near[i] = row[i] if closer else near[i]
            owner[i] = index if closer else owner[i]


@reduction
def _weighted_sum(pt: Floats, near: Floats, beta: float) -> float:
    """sum pT dR^beta."""
    total = 0.0
    if beta == 1.0:
        for i in range(len(pt)):
            total += pt[i] * sqrt(near[i])
    elif beta == 2.0:
        for i in range(len(pt)):
            total += pt[i] * near[i]
    elif beta == 0.5:
        for i in range(len(pt)):
            total += pt[i] * sqrt(sqrt(near[i]))
    else:
        for i in range(len(pt)):
            total += pt[i] * near[i] ** (0.5 * beta)
    return total


@kernel
def _weights(pt: Floats, near: Floats, beta: float, out: Floats) -> None:
    """pT dR^(beta - 2), the weights of a step towards the minimum (Weiszfeld's for beta = 1, the mean for 2).

    For beta = 1 a particle on its axis has weight 0 and is dealt with in the step.
    """
    n = len(pt)
    if beta == 1.0:
        for i in range(n):
            out[i] = pt[i] / sqrt(near[i]) if near[i] > _ON_AXIS2 else 0.0
    elif beta == 2.0:
        for i in range(n):
            out[i] = pt[i]
    else:
        for i in range(n):
            out[i] = pt[i] * (near[i] + _NEAREST2) ** (0.5 * beta - 1.0)


@reduction
def _step(
    pt: Floats, rap: Floats, phi: Floats, owner: Floats, weight: Floats, index: float, y: float, p: float
) -> tuple[float, float]:
    """How far axis `index` at (y, p) moves: the weighted mean of where its particles are, seen from it.

    Particles on the axis (weight 0) hold it with their pT against the pull of the others, the length of the sum of
    weighted distances: Vardi, Zhang, PNAS 97 (2000) 1423.
    """
    total, dy, dp, held = 0.0, 0.0, 0.0, 0.0
    for i in range(len(rap)):
        w = weight[i] if owner[i] == index else 0.0
        held += pt[i] if owner[i] == index and weight[i] == 0.0 else 0.0
        d = phi[i] - p
        d -= TWO_PI * np.rint(d / TWO_PI)
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
    return _weighted_sum(jet[C_PT], jet[C_NEAR], beta)


@kernel
def one_pass(jet: Floats, axes: Floats, count: int, beta: float) -> float:
    """Move the axes to a local minimum of tau, in place; gives the sum there, never above that at the start."""
    best = tau_of_axes(jet, axes, count, beta)
    saved = np.empty((2, count))
    for _ in range(_MAX_STEPS):
        _weights(jet[C_PT], jet[C_NEAR], beta, jet[C_SCRATCH])
        for a in range(count):
            saved[0, a], saved[1, a] = axes[0, a], axes[1, a]
            dy, dp = _step(
                jet[C_PT], jet[C_RAP], jet[C_PHI], jet[C_OWNER], jet[C_SCRATCH], float(a), axes[0, a], axes[1, a]
            )
            axes[0, a] += dy
            axes[1, a] = delta_phi(axes[1, a] + dp, 0.0)
        now = tau_of_axes(jet, axes, count, beta)
        if now >= best:
            for a in range(count):
                axes[0, a], axes[1, a] = saved[0, a], saved[1, a]
            break
        gain, best = best - now, now
        if gain < _GAIN * best:
            break
    return best


@kernel
def taus(
    w: Floats, link: Integers, jet: Floats, scheme: int, minimise: int, beta: float, r0: float, out: Floats
) -> None:
    """tau_1 .. tau_len(out) of one jet, into out; 0 where it has no more constituents than axes.

    w, link: room for the clustering, as in `jet_kernels`.
    """
    n = jet.shape[1]
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
