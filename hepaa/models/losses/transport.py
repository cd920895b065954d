"""Energy mover's distance between jets, in a form that has a gradient: entropic optimal transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

BLUR = 0.02
_STEPS = 12  # at the final blur, after one at each larger blur
_FAR = 4.0  # blur at the start: the size of a jet and more
_RATIO = 0.6
_NOTHING = 1e-30


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Distance of every point of a (..., n, 2) from every point of b (..., m, 2), with a gradient everywhere."""
    return ((a[..., :, None, :] - b[..., None, :, :]).square().sum(-1) + 1e-12).sqrt()


def _soft_min(blur: float, cost: Tensor, log_weight: Tensor, potential: Tensor) -> Tensor:
    """-blur log sum_j weight_j exp((potential_j - cost_ij) / blur), (..., n) for cost (..., n, m)."""
    return -blur * torch.logsumexp(log_weight[..., None, :] + (potential[..., None, :] - cost) / blur, dim=-1)


@torch.no_grad()
def _potentials(cost: Tensor, log_a: Tensor, log_b: Tensor, blur: float) -> tuple[Tensor, Tensor]:
    """Sinkhorn's potentials f (..., n), g (..., m), the blur falling to its last value."""
    f, g = torch.zeros_like(log_a), torch.zeros_like(log_b)
    turned = cost.transpose(-1, -2)
    now, steps = _FAR, 0
    while steps < _STEPS:
        g_new = _soft_min(now, turned, log_a, f)
        f_new = _soft_min(now, cost, log_b, g)
        f, g = 0.5 * (f + f_new), 0.5 * (g + g_new)
        steps += now <= blur
        now = max(now * _RATIO, blur)
    # full steps make the marginals exact, first those of b, then those of a
    g = _soft_min(blur, turned, log_a, f)
    f = _soft_min(blur, cost, log_b, g)
    return f, g


def _transport(a: Tensor, b: Tensor, cost: Tensor, blur: float) -> Tensor:
    """Entropic transport cost of weights a (..., n) to b (..., m).

    The value is the dual one; at the potentials that maximise it, its gradient is that of the cost (the envelope
    theorem), so that the iterations need not be kept for the backward pass.
    """
    log_a, log_b = a.clamp(min=_NOTHING).log(), b.clamp(min=_NOTHING).log()
    f, g = _potentials(cost.detach(), log_a.detach(), log_b.detach(), blur)
    plan = torch.exp((f[..., :, None] + g[..., None, :] - cost) / blur + log_a[..., :, None] + log_b[..., None, :])
    return (a * f).sum(-1) + (b * g).sum(-1) - blur * (plan.sum((-1, -2)) - 1)


def energy_mover(a: Tensor, x: Tensor, b: Tensor, y: Tensor, blur: float = BLUR) -> Tensor:
    """Sinkhorn divergence (...) between weights a (..., n) at points x (..., n, 2) and b (..., m) at y (..., m, 2).

    OT(a, b) - OT(a, a) / 2 - OT(b, b) / 2 with entropic transport costs, ground distance |x - y| and weights that sum
    to one on each side (Feydy et al., arXiv:1810.08278): zero for equal jets, positive else, and for blur -> 0 the
    energy mover's distance of jets of equal pT (Komiske, Metodiev, Thaler, arXiv:1902.02346, with R = 1). At the blur
    of 0.02 it lies up to 8 % below that of jets of ten particles.

    Parameters
    ----------
    blur : float
        Strength of the entropy, in the unit of distances: structures closer than this are not told apart.
    """
    cross = _transport(a, b, distances(x, y), blur)
    own_a = _transport(a, a, distances(x, x), blur)
    own_b = _transport(b, b, distances(y, y), blur)
    return cross - 0.5 * (own_a + own_b)
