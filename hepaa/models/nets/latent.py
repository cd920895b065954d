"""Variational autoencoders in general: any encoder and decoder, a flow as posterior, a prior of choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hepaa.models.nets.posteriors import log_posterior
from hepaa.models.nets.priors import Gaussian

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.nets.encoders import Network
    from hepaa.models.nets.posteriors import Posterior
    from hepaa.models.nets.priors import Prior


def gaussian_latent(h: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
    """Sample and KL divergence of a Gaussian posterior: z (..., B, n) and KL (..., B) from h = (mu, log variance).

    z = mu + exp(logvar / 2) * noise, or mu without noise; KL = -1/2 sum(1 + logvar - mu^2 - exp(logvar)).
    """
    mu, logvar = h.chunk(2, dim=-1)
    sigma = torch.exp(0.5 * logvar)
    z = mu if noise is None else torch.addcmul(mu, sigma, noise)
    kl = 0.5 * ((torch.addcmul(mu.square(), sigma, sigma) - logvar).sum(-1) - mu.shape[-1])
    return z, kl


class LatentNet:
    """Encoder, posterior, prior and decoder in one.

    The encoder gives mean, log variance and `context` numbers for the flow. Outputs: `mu`, `logvar` (..., B, latent) of
    the Gaussian that the flow starts from; `z` (..., B, latent), what the decoder is given; `kl` (..., B), in closed
    form for a Gaussian posterior and prior, and else log q(z|x) - log p(z) at the sample, a one-sample estimate;
    `x_hat` (..., B, d); with `variances`, `x_logvar` (..., 1, d), learned and the same for all events.

    Parameters
    ----------
    encoder, decoder : networks d -> 2 latent + context and latent -> d
    latent, context : int
    posterior : flow or None
    prior : Prior, optional
    variances : int
        Features with a learned variance: d or 0.
    """

    def __init__(
        self,
        encoder: Network,
        decoder: Network,
        latent: int,
        posterior: Posterior | None = None,
        context: int = 0,
        prior: Prior | None = None,
        variances: int = 0,
    ) -> None:
        self.encoder, self.decoder, self.posterior = encoder, decoder, posterior
        self.prior: Prior = Gaussian() if prior is None else prior
        self.latent = self.noise = latent
        self.context, self.variances = context, variances

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        parameters = self.encoder.init(generator) | self.decoder.init(generator)
        if self.posterior is not None:
            parameters |= self.posterior.init(generator)
        if self.variances:
            parameters["decoder.logvar"] = torch.zeros(1, self.variances)
        return parameters | self.prior.init(generator)

    def _encode(self, p: Mapping[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Mean, log variance, context."""
        parts = torch.tensor_split(self.encoder(p, x), (self.latent, 2 * self.latent), dim=-1)
        return parts[0], parts[1], parts[2] if self.context else None

    def means(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Means (..., B, latent) of the Gaussian for x (..., B, d)."""
        return self._encode(p, x)[0]

    def _flow(self, p: Mapping[str, Tensor], start: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return (start, None) if self.posterior is None else self.posterior(p, start, context)

    def reconstruct(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """x_hat (..., B, d) from the flow's image of mu, and nothing else."""
        mu, _, context = self._encode(p, x)
        return self.decoder(p, self.prior.point(self._flow(p, mu, context)[0]))

    def log_prior(self, p: Mapping[str, Tensor], z: Tensor) -> Tensor:
        """log p(z) (..., B)."""
        return self.prior.log_density(p, z, lambda inputs: self._encode(p, inputs)[:2])

    def sample(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None) -> tuple[dict[str, Tensor], Tensor]:
        """All outputs but the closed-form KL, and log q(z|x) - log p(z) (..., B) at z."""
        mu, logvar, context = self._encode(p, x)
        start = mu if noise is None else torch.addcmul(mu, torch.exp(0.5 * logvar), noise)
        end, log_det = self._flow(p, start, context)
        ratio = log_posterior(noise, logvar, log_det) - self.log_prior(p, end)
        return self._decoded(p, mu, logvar, end), ratio

    def _decoded(self, p: Mapping[str, Tensor], mu: Tensor, logvar: Tensor, end: Tensor) -> dict[str, Tensor]:
        z = self.prior.point(end)
        out = {"mu": mu, "logvar": logvar, "z": z, "x_hat": self.decoder(p, z)}
        if self.variances:
            out["x_logvar"] = p["decoder.logvar"]
        return out

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d); without noise z is the flow's image of mu."""
        if self.posterior is None and type(self.prior) is Gaussian:
            h = self.encoder(p, x)
            z, kl = gaussian_latent(h, noise)
            mu, logvar = h.chunk(2, dim=-1)
            return {**self._decoded(p, mu, logvar, z), "kl": kl}
        out, ratio = self.sample(p, x, noise)
        closed = self.prior.divergence(out["mu"], out["logvar"]) if self.posterior is None else None
        return {**out, "kl": ratio if closed is None else closed}
