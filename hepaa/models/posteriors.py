"""Posteriors of a VAE that are richer than a Gaussian: flows that start from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Planar:
    """Planar flow z -> z + u tanh(w.z + b), `steps` times (Rezende and Mohamed, arXiv:1505.05770, eq. 10).

    u is bent so that w.u > -1, which makes every step invertible (appendix A.1 there).
    """

    def __init__(self, latent: int, steps: int) -> None:
        self.latent, self.steps = latent, steps

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member: small, so that the flow starts near the identity."""
        shape, bound = (self.steps, self.latent), 0.1
        return {
            f"posterior.{name}": torch.empty(*size).uniform_(-bound, bound, generator=generator)
            for name, size in (("u", shape), ("w", shape), ("b", (self.steps,)))
        }

    def __call__(self, p: Mapping[str, Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
        """End point (..., B, latent) and log |det dz'/dz| (..., B) of the flow from z (..., B, latent)."""
        log_det = torch.zeros_like(z[..., 0])
        for step in range(self.steps):
            u, w = (p[f"posterior.{name}"][..., step, :] for name in ("u", "w"))
            b = p["posterior.b"][..., step]
            wu = (w * u).sum(-1, keepdim=True)
            bent = u + (F.softplus(wu) - 1 - wu) * w / w.square().sum(-1, keepdim=True).clamp(min=1e-12)
            h = torch.tanh((z * w[..., None, :]).sum(-1) + b[..., None])
            log_det = log_det + torch.log1p((1 - h.square()) * (bent * w).sum(-1)[..., None])
            z = z + bent[..., None, :] * h[..., None]
        return z, log_det


def divergence(z0: Tensor, mu: Tensor, logvar: Tensor, z: Tensor, log_det: Tensor) -> Tensor:
    """log q(z|x) - log p(z) (..., B) at the end point z of a flow from z0 ~ N(mu, exp(logvar)), prior N(0, 1).

    Its mean over z0 is the KL divergence of the posterior from the prior; the 2 pi of both cancel.
    """
    gauss = 0.5 * (z.square() - logvar - (z0 - mu).square() * torch.exp(-logvar)).sum(-1)
    return gauss - log_det
