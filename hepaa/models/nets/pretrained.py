"""The network of a pre-trained encoder as a part of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from hepaa.models.nets.encoders import coder
from hepaa.models.nets.mlp import MLP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from torch import Tensor

    from hepaa.models.embedding.encoder import ContrastiveEncoder
    from hepaa.models.nets.encoders import Network

EncoderTraining = Literal["frozen", "fine-tune"]
TRAININGS: tuple[EncoderTraining, ...] = get_args(EncoderTraining)


class Continued:
    """The network of a pre-trained encoder, whose weights are the start values, and an affine layer behind it."""

    def __init__(self, encoder: ContrastiveEncoder, outputs: int) -> None:
        self.trunk, self.start = encoder.trunk()
        self.head = MLP("encoder.head", (encoder.embedding, outputs))

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return {name: t.clone() for name, t in self.start.items()} | self.head.init(generator)

    def __call__(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Outputs (..., B, outputs) for x (..., B, d)."""
        return self.head(p, self.trunk(p, x))


def encoding(
    encoder: Any, d: int, hidden: Sequence[int], latent: int, outputs: int, particles: int | None
) -> tuple[Network, Network]:
    """Encoder (d -> outputs) and decoder (latent -> d): those of a kind, or a pre-trained encoder that is continued."""
    if isinstance(encoder, str):
        return coder(encoder, d, hidden, latent, outputs, particles)  # type: ignore[arg-type]
    return Continued(encoder, outputs), MLP("decoder", (latent, *reversed(tuple(hidden)), d))
