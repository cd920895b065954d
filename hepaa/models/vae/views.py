"""Views of events for contrastive learning: random changes that an event's meaning should not depend on.

A view is a function of events and of standard normal numbers, so that the training loop's sources make it reproducible.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from hepaa.errors import InputError
from hepaa.models.losses.reconstruction import CHANNELS, particles_of
from hepaa.models.nets.encoders import jets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from hepaa.table.preprocess import SkewLogStandardize

ViewKind = Literal["noise", "physical"]
VIEWS: tuple[ViewKind, ...] = get_args(ViewKind)
SOFT = 0.02  # share of pT below which a particle is likely to be dropped
_COMPONENT = re.compile(r"(px|py|pz|pt|eta|phi|m|e)(?=[A-Zb-z0-9])(\w+)")


class Noise:
    """Normal noise of standard deviation `sigma` on every feature."""

    def __init__(self, d: int, sigma: float) -> None:
        self.noise, self.sigma = d, sigma

    def __call__(self, x: Tensor, noise: Tensor) -> Tensor:
        """x + sigma noise."""
        return x + self.sigma * noise


def _signs(noise: Tensor) -> Tensor:
    """+1 or -1, equally likely."""
    return torch.where(noise < 0, -1.0, 1.0)


class Jets:
    """Jets of particles, seen by another detector in another orientation.

    Every jet is turned about its axis by any angle, in half of the views reflected in eta, together with the others;
    every particle's share of pT is smeared by a relative `smear`, and a particle of share s is dropped with probability
    exp(-s / SOFT) / 2. Shares are not made to sum to what they were.

    A turn of the event about the beam and a boost along it change nothing here, for angles are those to the jet's axis;
    with `shift`, all particles of a jet are turned about and boosted along the beam against the axis. With `split`, a
    particle becomes two of its direction, that have a random share of its pT each: a collinear splitting, which the
    momentum flow of a jet does not see. It takes place where the jet has room; the padding stands at its end.

    Parameters
    ----------
    particles, jets : int
    smear : float
    shift : float
        Standard deviation of the common shift of eta, and of phi.
    split : float
        Probability of a splitting, of every particle for which there is room.
    """

    def __init__(self, particles: int, jets: int, smear: float, shift: float = 0.0, split: float = 0.0) -> None:
        self.particles, self.jets, self.smear, self.shift, self.split = particles, jets, smear, shift, split
        n = jets * particles
        self.sizes = [1, jets, n, n, 2 * jets if shift else 0, 2 * n if split else 0]
        self.noise = sum(self.sizes)

    def _split(self, pt: Tensor, eta: Tensor, phi: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Particle i and the i-th free place share what was the particle's."""
        whether, share = (torch.special.ndtr(n.reshape(pt.shape)) for n in noise.chunk(2, dim=-1))
        there = pt > 0
        count = there.sum(-1, keepdim=True)
        place = torch.arange(self.particles, device=pt.device).expand(pt.shape)
        splits = (whether < self.split) & there & (place + count < self.particles)
        parent = (place - count).clamp(min=0)
        born = ~there & (place - count < count) & splits.gather(-1, parent)
        kept = torch.where(splits, share, 1.0) * pt
        shared = ((1 - share) * pt).gather(-1, parent)
        return (
            torch.where(born, shared, kept),
            torch.where(born, eta.gather(-1, parent), eta),
            torch.where(born, phi.gather(-1, parent), phi),
        )

    def __call__(self, x: Tensor, noise: Tensor) -> Tensor:
        """A view of x (..., B, jets * particles * 3)."""
        flip, turn, smear, drop, shift, split = torch.split(noise, self.sizes, dim=-1)
        pt, eta, phi = particles_of(x, self.particles).unbind(-1)
        if self.split:
            pt, eta, phi = self._split(pt, eta, phi, split)
        angle = 2 * torch.pi * torch.special.ndtr(turn)[..., None]
        cos, sin = torch.cos(angle), torch.sin(angle)
        eta, phi = cos * eta - sin * phi, sin * eta + cos * phi
        eta = eta * _signs(flip)[..., None]
        if self.shift:
            along, about = (self.shift * s[..., None] for s in shift.chunk(2, dim=-1))
            eta, phi = eta + along, phi + about
        kept = torch.special.ndtr(drop.reshape(pt.shape)) > 0.5 * torch.exp(-pt / SOFT)
        pt = pt * (1 + self.smear * smear.reshape(pt.shape)).clamp(min=0)
        view = torch.stack([pt, eta, phi], dim=-1) * (kept & (pt > 0))[..., None]
        flat: Tensor = view.flatten(-CHANNELS)
        return flat


class Momenta:
    """Events in another orientation with smeared momenta, for tables whose columns say what they are.

    Columns "px", "py", "pz", "pt", "eta", "phi", "m", "e" followed by the name of an object (pxj1, etaH) are known; all
    others, such as drbb or tau1j1, stay. All objects are turned in phi by the same angle and, in half of the views,
    reflected in eta; the momentum, mass and energy of every object that has a pT are scaled by 1 + `smear` noise.
    Preprocessing is undone and done again.

    Raises
    ------
    InputError
        If no column is known.
    """

    def __init__(self, names: Sequence[str] | None, fitted: SkewLogStandardize | None, smear: float) -> None:
        matches = [_COMPONENT.fullmatch(name) for name in names or ()]
        self.columns = {(m[1], m[2]): i for i, m in enumerate(matches) if m is not None}
        movable = {key for key in self.columns if key[0] not in ("m", "e")}
        if not movable:
            raise InputError(
                "views='physical' finds no momentum (px, py, pz, pt, eta or phi and the object's name, such as ptj1) "
                "among the columns; take views='noise', or say how many particles a jet has"
            )
        objects = sorted({name for quantity, name in self.columns if quantity in ("px", "pt")})
        self.objects = {name: 2 + k for k, name in enumerate(objects)}
        self.noise, self.smear, self.fitted = 2 + len(objects), smear, fitted

    def __call__(self, x: Tensor, noise: Tensor) -> Tensor:
        """A view of preprocessed x (..., B, d)."""
        raw = list(self._raw(x).unbind(-1))
        angle = 2 * torch.pi * torch.special.ndtr(noise[..., 0])
        cos, sin, sign = torch.cos(angle), torch.sin(angle), _signs(noise[..., 1])
        for (quantity, name), i in self.columns.items():
            if quantity == "px" and ("py", name) in self.columns:
                j = self.columns["py", name]
                raw[i], raw[j] = cos * raw[i] - sin * raw[j], sin * raw[i] + cos * raw[j]
            elif quantity == "phi":
                raw[i] = torch.remainder(raw[i] + angle + torch.pi, 2 * torch.pi) - torch.pi
            elif quantity in ("pz", "eta"):
                raw[i] = raw[i] * sign
        for (quantity, name), i in self.columns.items():
            if name in self.objects and quantity not in ("eta", "phi"):
                raw[i] = raw[i] * (1 + self.smear * noise[..., self.objects[name]]).clamp(min=0)
        return self._preprocessed(torch.stack(raw, dim=-1))

    def _statistics(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fitted = self.fitted
        if fitted is None:
            d = x.shape[-1]
            return x.new_zeros(d), x.new_ones(d), torch.zeros(d, dtype=torch.bool, device=x.device)
        mean, scale = (torch.from_numpy(v.astype(np.float32)).to(x) for v in (fitted.mean_, fitted.scale_))
        return mean, scale, torch.from_numpy(fitted.log_).to(x.device)

    def _raw(self, x: Tensor) -> Tensor:
        mean, scale, logged = self._statistics(x)
        values = x * scale + mean
        return torch.where(logged, torch.expm1(torch.where(logged, values, 0.0)), values)

    def _preprocessed(self, raw: Tensor) -> Tensor:
        mean, scale, logged = self._statistics(raw)
        values = torch.where(logged, torch.log1p(torch.where(logged, raw, 0.0).clamp(min=0)), raw)
        return (values - mean) / scale


View = Noise | Jets | Momenta


def view_of(
    kind: ViewKind,
    d: int,
    particles: int | None,
    names: Sequence[str] | None,
    fitted: SkewLogStandardize | None,
    noise: float,
    shift: float = 0.0,
    split: float = 0.0,
) -> View:
    """The view of a kind of d features: jets where the particles of a jet are told, else the columns `names`."""
    if kind == "noise":
        return Noise(d, noise)
    if particles is not None:
        return Jets(particles, jets_of(d, particles), noise, shift, split)
    return Momenta(names, fitted, noise)
