"""Networks as functions of stacked parameters: K members are one tensor of shape (K, in, out), one member (in, out).

Every network gives `init(generator)`, the parameters of one member by name, and a call on (parameters, inputs). Inputs
have shape (B, d) with one member's parameters and (K, B, d) with K members'.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b, for one member ((B, i), (i, o), (1, o)) or K at once ((K, B, i), (K, i, o), (K, 1, o))."""
    return torch.addmm(bias, x, weight) if weight.dim() == 2 else torch.baddbmm(bias, x, weight)


def gaussian_latent(h: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sample and KL divergence of a Gaussian posterior: z (..., B, n) and KL (..., B) from h = (mu, log variance).

    z = mu + exp(logvar / 2) * noise, or mu without noise; KL = -1/2 sum(1 + logvar - mu^2 - exp(logvar)).
    """
    mu, logvar = h.chunk(2, dim=-1)
    sigma = torch.exp(0.5 * logvar)
    z = mu if noise is None else torch.addcmul(mu, sigma, noise)
    kl = 0.5 * ((torch.addcmul(mu.square(), sigma, sigma) - logvar).sum(-1) - mu.shape[-1])
    return z, kl


class MLP:
    """Affine layers with ReLU between them, and none after the last.

    Parameters
    ----------
    name : str
        Prefix of the parameter names.
    sizes : (inputs, hidden ..., outputs)
    """

    def __init__(self, name: str, sizes: Sequence[int]) -> None:
        self.layers = [(f"{name}.{i}.weight", f"{name}.{i}.bias") for i in range(len(sizes) - 1)]
        self.sizes = tuple(sizes)

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member, uniform in +-1/sqrt(inputs of the layer), torch's default for linear layers."""
        parameters = {}
        for (weight, bias), (n_in, n_out) in zip(self.layers, pairwise(self.sizes), strict=True):
            bound = n_in**-0.5
            parameters[weight] = torch.empty(n_in, n_out).uniform_(-bound, bound, generator=generator)
            parameters[bias] = torch.empty(1, n_out).uniform_(-bound, bound, generator=generator)
        return parameters

    def __call__(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs (..., B, outputs) for inputs (..., B, inputs)."""
        last = len(self.layers) - 1
        for i, (weight, bias) in enumerate(self.layers):
            x = affine(x, p[weight], p[bias])
            if i < last:
                x = x.relu_()  # in place: an affine map's gradient does not need its output
        return x


class GaussianVAE:
    """Encoder d - hidden - (mu, log variance), decoder latent - reversed hidden - d; ReLU between layers.

    Outputs: `mu`, `logvar` and `z` (..., B, latent), `kl` (..., B), the divergence of the posterior from N(0, 1), and
    `x_hat` (..., B, d): for "bce" reconstruction these are logits.
    """

    def __init__(self, d: int, hidden: Sequence[int], latent: int) -> None:
        self.latent = self.noise = latent
        self.encoder = MLP("encoder", (d, *hidden, 2 * latent))
        self.decoder = MLP("decoder", (latent, *reversed(tuple(hidden)), d))

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return self.encoder.init(generator) | self.decoder.init(generator)

    def means(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """mu (..., B, latent) for x (..., B, d)."""
        return self.encoder(p, x)[..., : self.latent]

    def reconstruct(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """x_hat (..., B, d) from z = mu, and nothing else."""
        return self.decoder(p, self.means(p, x))

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d); z = mu + sigma * noise, or mu without noise, which makes scores deterministic."""
        h = self.encoder(p, x)
        z, kl = gaussian_latent(h, noise)
        mu, logvar = h.chunk(2, dim=-1)
        return {"mu": mu, "logvar": logvar, "z": z, "kl": kl, "x_hat": self.decoder(p, z)}
