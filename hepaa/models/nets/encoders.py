"""Encoders and decoders for inputs that are more than a list of features: the particles of jets, and images.

They are functions of stacked parameters, as the networks of `mlp.py`.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import torch
from torch.nn import functional as F

from hepaa.errors import InputError
from hepaa.models.losses.reconstruction import CHANNELS, particles_of, pt_shares
from hepaa.models.nets.mlp import MLP, affine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

EncoderKind = Literal["mlp", "deepsets", "transformer", "conv"]
ENCODERS: tuple[EncoderKind, ...] = get_args(EncoderKind)
PARTICLE_ENCODERS: tuple[EncoderKind, ...] = ("deepsets", "transformer")
_FILTERS = (1, 16, 32)
_HEADS = 4
UNITS = (0.1, 0.3, 0.3)  # in which share of pT and angles of the particles of an R = 1 jet are of order one


def coder(
    kind: EncoderKind, d: int, hidden: Sequence[int], latent: int, outputs: int, particles: int | None
) -> tuple[Network, Network]:
    """Encoder (d -> outputs) and decoder (latent -> d) of a kind.

    Raises
    ------
    InputError
        If d features are no jets of so many particles, or no square image.
    """
    mirrored = (latent, *reversed(tuple(hidden)), d)
    if kind == "conv":
        return ConvEncoder(d, hidden, outputs), ConvDecoder(d, hidden, latent)
    if kind == "mlp":
        return MLP("encoder", (d, *hidden, outputs)), MLP("decoder", mirrored)
    jets = jets_of(d, particles)
    if not hidden:
        raise InputError(f"hidden is {tuple(hidden)!r}; encoder={kind!r} needs a width at least, such as (32, 32)")
    sets = DeepSets if kind == "deepsets" else Transformer
    return sets(particles or 1, jets, hidden, outputs), MLP("decoder", mirrored)


def jets_of(d: int, particles: int | None) -> int:
    """How many jets of so many particles d columns hold.

    Raises
    ------
    InputError
        If it is no whole number.
    """
    if particles is None:
        raise InputError("particles is None; say how many particles each jet has, such as particles=15")
    jets, rest = divmod(d, CHANNELS * particles)
    if rest or not jets:
        raise InputError(
            f"particles is {particles}, but {d} features are no whole number of jets of {particles} particles with pT "
            "fraction, delta eta and delta phi each; see the feature sets constituents-..."
        )
    return jets


def _side(d: int) -> int:
    side = isqrt(d)
    if side * side != d or side % 4:
        raise InputError(
            f"encoder='conv' needs square images whose side divides by 4, such as 28 x 28; {d} pixels are no such image"
        )
    return side


def _linear(generator: torch.Generator, name: str, n_in: int, n_out: int) -> dict[str, Tensor]:
    return MLP(name, (n_in, n_out)).init(generator)


def _apply(p: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """The affine layer `name` on the last axis of x (..., B, any axes, i), the first ... being those of the weights."""
    weight, bias = p[f"{name}.0.weight"], p[f"{name}.0.bias"]
    lead = weight.dim() - 2
    inner = (-1, *(int(n) for n in x.shape[lead + 1 : -1]))
    return torch.unflatten(affine(x.flatten(lead, -2), weight, bias), lead, inner)


class DeepSets:
    """One network for every particle, sums over the particles of a jet, and a network on the sums of all jets.

    phi: 3 - hidden, ReLU; the sum with shares of pT as weights (energy flow, Komiske, Metodiev, Thaler,
    arXiv:1810.05165) and the plain mean over the particles of every jet; rho: - hidden - outputs. Particles of pT 0 are
    padding and leave no trace; the order of particles in a jet does not matter. Inputs are taken in `UNITS`.
    """

    def __init__(self, particles: int, jets: int, hidden: Sequence[int], outputs: int) -> None:
        self.particles, self.jets = particles, jets
        self.phi = MLP("encoder.particle", (CHANNELS, *hidden))
        self.rho = MLP("encoder.jets", (2 * jets * hidden[-1], *hidden, outputs))

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return self.phi.init(generator) | self.rho.init(generator)

    def __call__(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs (..., B, outputs) for x (..., B, jets * particles * 3)."""
        each = particles_of(x, self.particles)
        there = (each[..., 0] > 0).to(x.dtype)
        flat = (each / each.new_tensor(UNITS)).flatten(-4, -2)
        features = torch.unflatten(torch.relu(self.phi(p, flat)), -2, (-1, self.jets, self.particles))
        weights = torch.stack([pt_shares(each), there / there.sum(-1, keepdim=True).clamp(min=1)], dim=-2)
        return self.rho(p, (weights @ features).flatten(-3))


class Transformer:
    """Self-attention among all particles of an event, and a mean over them.

    As many blocks as `hidden` has widths, which must be equal: attention of 4 heads (one where 4 does not divide the
    width) and a ReLU network of twice the width, each behind a layer normalisation and around a shortcut. Every jet has
    a learned tag, that its particles carry. Particles of pT 0 are padding: nobody attends to them; the order of
    particles in a jet does not matter.
    """

    def __init__(self, particles: int, jets: int, hidden: Sequence[int], outputs: int) -> None:
        if len(set(hidden)) != 1:
            raise InputError(f"hidden is {tuple(hidden)!r}; all blocks of a transformer have the same width")
        self.particles, self.jets, self.blocks, self.outputs = particles, jets, len(hidden), outputs
        self.width = hidden[0]
        self.heads = _HEADS if self.width % _HEADS == 0 else 1

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        w = self.width
        parameters = _linear(generator, "encoder.particle", CHANNELS, w)
        parameters["encoder.tag"] = torch.randn(self.jets, w, generator=generator) * 0.1
        for i in range(self.blocks):
            for name, n_in, n_out in (("qkv", w, 3 * w), ("mix", w, w), ("up", w, 2 * w), ("down", 2 * w, w)):
                parameters |= _linear(generator, f"encoder.{i}.{name}", n_in, n_out)
        return parameters | _linear(generator, "encoder.out", w, self.outputs)

    def __call__(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs (..., B, outputs) for x (..., B, jets * particles * 3)."""
        each = particles_of(x, self.particles)
        h = _apply(p, "encoder.particle", each / each.new_tensor(UNITS)) + p["encoder.tag"][..., None, :, None, :]
        h = h.flatten(-3, -2)
        there = (each[..., 0] > 0).flatten(-2)
        # padding sees itself, so that no row of the attention is empty
        place = torch.arange(there.shape[-1], device=x.device)
        sees = there[..., None, None, :] | (place[:, None] == place)
        for i in range(self.blocks):
            h = h + self._attend(p, f"encoder.{i}", _normal(h), sees)
            h = h + _apply(p, f"encoder.{i}.down", torch.relu(_apply(p, f"encoder.{i}.up", _normal(h))))
        real = there[..., None].to(x.dtype)
        mean = (h * real).sum(-2) / real.sum(-2).clamp(min=1)
        return _apply(p, "encoder.out", _normal(mean))

    def _attend(self, p: Mapping[str, Tensor], name: str, h: Tensor, sees: Tensor) -> Tensor:
        parts = torch.unflatten(_apply(p, f"{name}.qkv", h), -1, (3, self.heads, -1))
        q, k, v = (part.transpose(-2, -3) for part in parts.unbind(-3))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=sees)
        return _apply(p, f"{name}.mix", attended.transpose(-2, -3).flatten(-2))


def _normal(h: Tensor) -> Tensor:
    return F.layer_norm(h, h.shape[-1:])


def _members_as_groups(x: Tensor, members: int, side: int) -> Tensor:
    """(B, K * channels, side, side) from (K, B, channels * side^2), or the same with K = 1 from (B, ...)."""
    images = x.reshape(members, x.shape[-2], -1, side, side)
    return images.transpose(0, 1).flatten(1, 2)


def _members_apart(x: Tensor, lead: tuple[int, ...], members: int) -> Tensor:
    """The inverse: (..., B, channels * side^2)."""
    return torch.unflatten(x, 1, (members, -1)).transpose(0, 1).flatten(2).reshape(*lead, x.shape[0], -1)


class ConvEncoder:
    """Two convolutions of stride 2, of 16 and 32 filters of 3 x 3, then affine layers hidden - outputs; ReLU."""

    def __init__(self, d: int, hidden: Sequence[int], outputs: int) -> None:
        self.side = _side(d)
        self.head = MLP("encoder.dense", (_FILTERS[-1] * (self.side // 4) ** 2, *hidden, outputs))

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return _filters(generator, "encoder", _FILTERS) | self.head.init(generator)

    def __call__(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs (..., B, outputs) for images x (..., B, side^2)."""
        members = x.shape[0] if x.dim() == 3 else 1
        h = _members_as_groups(x, members, self.side)
        for i in (0, 1):
            weight, bias = p[f"encoder.conv{i}.weight"], p[f"encoder.conv{i}.bias"]
            kernel = weight.reshape(-1, *weight.shape[-3:])
            h = torch.relu(F.conv2d(h, kernel, bias.reshape(-1), stride=2, padding=1, groups=members))
        return self.head(p, _members_apart(h, tuple(x.shape[:-2]), members))


class ConvDecoder:
    """The mirror image of `ConvEncoder`: affine layers, and two transposed convolutions that double the side."""

    def __init__(self, d: int, hidden: Sequence[int], latent: int) -> None:
        self.side = _side(d)
        self.head = MLP("decoder.dense", (latent, *reversed(tuple(hidden)), _FILTERS[-1] * (self.side // 4) ** 2))

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return self.head.init(generator) | _filters(generator, "decoder", _FILTERS[::-1], transposed=True)

    def __call__(self, p: Mapping[str, Tensor], z: Tensor) -> Tensor:
        """Images (..., B, side^2) for z (..., B, latent)."""
        members = z.shape[0] if z.dim() == 3 else 1
        h = _members_as_groups(torch.relu(self.head(p, z)), members, self.side // 4)
        for i in (0, 1):
            weight, bias = p[f"decoder.conv{i}.weight"], p[f"decoder.conv{i}.bias"]
            kernel = weight.reshape(-1, *weight.shape[-3:])
            h = F.conv_transpose2d(h, kernel, bias.reshape(-1), stride=2, padding=1, output_padding=1, groups=members)
            h = torch.relu(h) if i == 0 else h
        return _members_apart(h, tuple(z.shape[:-2]), members)


def _filters(
    generator: torch.Generator, name: str, channels: Sequence[int], *, transposed: bool = False
) -> dict[str, Tensor]:
    """Two layers of 3 x 3 filters, uniform in +-1/sqrt(inputs of a filter)."""
    parameters = {}
    for i in (0, 1):
        n_in, n_out = channels[i], channels[i + 1]
        bound = (9 * n_in) ** -0.5
        shape = (n_in, n_out, 3, 3) if transposed else (n_out, n_in, 3, 3)
        for key, size in (("weight", shape), ("bias", (n_out,))):
            parameters[f"{name}.conv{i}.{key}"] = torch.empty(size).uniform_(-bound, bound, generator=generator)
    return parameters


class Network(Protocol):
    """What all of them are, and any other that is put together from them."""

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        ...

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, /) -> Tensor:
        """Outputs (..., B, outputs) for x (..., B, d)."""
        ...
