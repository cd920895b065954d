"""Priors of a VAE's latent space: standard, learned mixtures, VampPrior, and a Dirichlet in softmax coordinates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import log, pi
from typing import TYPE_CHECKING, Literal, get_args

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    Encode = Callable[[Tensor], tuple[Tensor, Tensor]]

PriorKind = Literal["standard", "mixture", "vamp", "dirichlet"]
PRIORS: tuple[PriorKind, ...] = get_args(PriorKind)


class Prior(ABC):
    """Density of latent points, and what the decoder is given of them."""

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member; none where a prior has nothing to learn."""
        del generator
        return {}

    @abstractmethod
    def log_density(self, p: Mapping[str, Tensor], z: Tensor, encode: Encode) -> Tensor:
        """log p(z) (..., B) of z (..., B, latent); `encode` gives mean and log variance of the posterior of inputs."""

    def divergence(self, mu: Tensor, logvar: Tensor) -> Tensor | None:
        """KL of N(mu, exp(logvar)) from the prior (..., B), or None where it has no closed form."""
        del mu, logvar
        return None

    def point(self, z: Tensor) -> Tensor:
        """What the decoder is given: the latent point itself, if nothing else is said."""
        return z


def prior_of(kind: PriorKind, latent: int, d: int, components: int, concentration: float, *, unit: bool) -> Prior:
    """A prior by name.

    Parameters
    ----------
    kind : one of PRIORS
    latent, d : int
        Dimensions of the latent space and of the inputs.
    components : int
        Of "mixture" and "vamp".
    concentration : float
        alpha of "dirichlet".
    unit : bool
        Inputs lie in [0, 1], and so do the pseudo-inputs of "vamp".
    """
    if kind == "mixture":
        return Mixture(latent, components)
    if kind == "vamp":
        return Vamp(d, components, unit=unit)
    return Dirichlet(latent, concentration) if kind == "dirichlet" else Gaussian()


def log_gauss(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mean, exp(logvar)), summed over the last axis."""
    return -0.5 * ((z - mean).square() * torch.exp(-logvar) + logvar + log(2 * pi)).sum(-1)


class Gaussian(Prior):
    """N(0, variance) in every dimension."""

    def __init__(self, variance: float = 1.0) -> None:
        self.variance = variance

    def log_density(self, p: Mapping[str, Tensor], z: Tensor, encode: Encode) -> Tensor:
        """log p(z) (..., B)."""
        del p, encode
        return -0.5 * (z.square() / self.variance + log(2 * pi * self.variance)).sum(-1)

    def divergence(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """KL (..., B)."""
        scaled = (mu.square() + torch.exp(logvar)) / self.variance
        return 0.5 * (scaled - logvar + (log(self.variance) - 1)).sum(-1)


class Dirichlet(Gaussian):
    """Symmetric Dirichlet(alpha): the Gaussian that approximates it in softmax coordinates.

    The Laplace approximation (Srivastava and Sutton, arXiv:1703.01488, section 3.2; MacKay 1998) of K equal alpha has
    mean 0 and variance (1 - 1/K) / alpha; the decoder is given softmax(z), a mixture of K topics, as in Dillon et al.,
    arXiv:2106.10164.
    """

    def __init__(self, latent: int, concentration: float) -> None:
        super().__init__((1 - 1 / latent) / concentration)

    def point(self, z: Tensor) -> Tensor:
        """The mixture of topics."""
        return torch.softmax(z, dim=-1)


def _mixture(z: Tensor, mean: Tensor, logvar: Tensor, log_weight: Tensor) -> Tensor:
    """log density (..., B) of z (..., B, n) under components mean, logvar (..., M, n), log_weight (..., M)."""
    each = log_gauss(z[..., None, :], mean[..., None, :, :], logvar[..., None, :, :])
    return torch.logsumexp(each + log_weight[..., None, :], dim=-1)


class Mixture(Prior):
    """Gaussians with learned weights, means and variances."""

    def __init__(self, latent: int, components: int) -> None:
        self.shape = (components, latent)

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Equal weights, unit variances, means drawn from N(0, 1)."""
        return {
            "prior.mean": torch.randn(self.shape, generator=generator),
            "prior.logvar": torch.zeros(self.shape),
            "prior.logit": torch.zeros(self.shape[:1]),
        }

    def log_density(self, p: Mapping[str, Tensor], z: Tensor, encode: Encode) -> Tensor:
        """log p(z) (..., B)."""
        del encode
        return _mixture(z, p["prior.mean"], p["prior.logvar"], torch.log_softmax(p["prior.logit"], dim=-1))


class Vamp(Prior):
    """Mean of the Gaussian posteriors of learned pseudo-inputs (VampPrior, Tomczak and Welling, arXiv:1705.07120)."""

    def __init__(self, d: int, components: int, *, unit: bool) -> None:
        self.shape, self.unit = (components, d), unit

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Pseudo-inputs drawn from N(0, 1); for inputs in [0, 1] they go through the logistic function."""
        return {"prior.inputs": torch.randn(self.shape, generator=generator)}

    def log_density(self, p: Mapping[str, Tensor], z: Tensor, encode: Encode) -> Tensor:
        """log p(z) (..., B)."""
        inputs = p["prior.inputs"]
        mean, logvar = encode(torch.sigmoid(inputs) if self.unit else inputs)
        weight = torch.full(mean.shape[:-1], -log(self.shape[0]), dtype=z.dtype, device=z.device)
        return _mixture(z, mean, logvar, weight)
