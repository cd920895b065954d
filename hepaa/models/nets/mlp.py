"""Networks as functions of stacked parameters: K members are one tensor of shape (K, in, out), one member (in, out).

Every network gives `init(generator)`, the parameters of one member by name, and a call on (parameters, inputs). Inputs
have shape (B, d) with one member's parameters and (K, B, d) with K members'.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from hepaa.models.nets.latent import LatentNet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b, for one member ((B, i), (i, o), (1, o)) or K at once ((K, B, i), (K, i, o), (K, 1, o))."""
    return torch.addmm(bias, x, weight) if weight.dim() == 2 else torch.baddbmm(bias, x, weight)


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


class GaussianVAE(LatentNet):
    """Encoder d - hidden - (mu, log variance), decoder latent - reversed hidden - d; ReLU between layers."""

    def __init__(self, d: int, hidden: Sequence[int], latent: int) -> None:
        encoder, decoder = (d, *hidden, 2 * latent), (latent, *reversed(tuple(hidden)), d)
        super().__init__(MLP("encoder", encoder), MLP("decoder", decoder), latent)
