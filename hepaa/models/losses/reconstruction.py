"""Reconstruction errors E(x): how far an event is from what the decoder makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch.nn import functional as F

from hepaa.models.losses.transport import energy_mover

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ErrorKind = Literal["mse", "mae", "bce", "huber", "gaussian", "pt-weighted", "emd"]
ERRORS: tuple[ErrorKind, ...] = get_args(ErrorKind)
PARTICLE_ERRORS: tuple[ErrorKind, ...] = ("pt-weighted", "emd")
CHANNELS = 3  # of a particle: pT fraction, delta eta, delta phi


def particles_of(x: Tensor, particles: int) -> Tensor:
    """x (..., jets * particles * 3) as (..., jets, particles, 3)."""
    return torch.unflatten(x, -1, (-1, particles, CHANNELS))


def pt_shares(jets: Tensor) -> Tensor:
    """Share of each particle in the pT of its jet (..., jets, particles); 0 in a jet without particles."""
    pt = jets[..., 0].clamp(min=0)
    total = pt.sum(-1, keepdim=True)
    return pt / torch.where(total > 0, total, 1.0)


@dataclass(frozen=True)
class EventError:
    """E(x) of any kind from an event and a model's outputs, summed over features.

    "mse": (x - x_hat)^2. "mae": |x - x_hat|. "huber": quadratic up to 1 and 2|x - x_hat| - 1 beyond, so that it equals
    "mse" for small errors. "bce": binary cross-entropy of x in [0, 1] with x_hat as logits. "gaussian": -log p(x | z)
    up to a constant, with a learned variance of every feature (output `x_logvar`), 1/2 sum((x - x_hat)^2 / variance +
    log variance) (Rybkin et al., arXiv:2006.13202). The others are for jets (..., particles * 3): "pt-weighted" is the
    squared error in which the angles of a particle count with its share of the jet's pT, so that padding has no angles.
    "emd" is the energy mover's distance (`transport.energy_mover`) between a jet and its image, both with a pT of 1,
    summed over jets; there the first number of a particle in x_hat is the logit of its share of pT, and a jet without
    particles costs nothing.

    Attributes
    ----------
    kind : one of ERRORS
    particles : int
        Particles of a jet, for the last two.
    """

    kind: ErrorKind = "mse"
    particles: int = 0

    def features(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        """Share of every feature (..., B, d); "emd" has none."""
        x_hat = out["x_hat"]
        if self.kind == "bce":
            return F.binary_cross_entropy_with_logits(x_hat, x, reduction="none")
        if self.kind == "mae":
            return (x - x_hat).abs()
        if self.kind == "huber":
            return 2 * F.huber_loss(x_hat, x, reduction="none")
        if self.kind == "gaussian":
            logvar = out["x_logvar"]
            return 0.5 * ((x - x_hat).square() * torch.exp(-logvar) + logvar)
        if self.kind == "pt-weighted":
            share = pt_shares(particles_of(x, self.particles))[..., None]
            weight = (share * x.new_tensor([0.0, 1.0, 1.0]) + x.new_tensor([1.0, 0.0, 0.0])).flatten(-3)
            return weight * (x - x_hat).square()
        return (x - x_hat).square()

    def __call__(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        """E(x) of each event (..., B)."""
        if self.kind == "emd":
            return self._emd(x, out["x_hat"])
        return self.features(x, out).sum(-1)

    def misfit(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        """E(x) without what does not depend on the event: never negative (..., B)."""
        if self.kind != "gaussian":
            return self(x, out)
        return 0.5 * ((x - out["x_hat"]).square() * torch.exp(-out["x_logvar"])).sum(-1)

    def _emd(self, x: Tensor, x_hat: Tensor) -> Tensor:
        true, image = particles_of(x, self.particles), particles_of(x_hat, self.particles)
        shares = pt_shares(true)
        there = shares.sum(-1) > 0
        # an absent jet is compared with itself, so that nothing in it is infinite, and then left out
        a = torch.where(there[..., None], shares, 1.0 / self.particles)
        b = torch.softmax(image[..., 0], dim=-1)
        cost = energy_mover(a, true[..., 1:], b, image[..., 1:])
        return torch.where(there, cost, 0.0).sum(-1)


SQUARED = EventError()
