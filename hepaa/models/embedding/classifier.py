"""A neural classifier of labelled anomalies, with a network of its own or a pre-trained encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hepaa.errors import InputError
from hepaa.models.anorand.anorand import Classification
from hepaa.models.engine.neural import NeuralDetector
from hepaa.models.engine.training import Stage
from hepaa.models.losses.schedules import ONE
from hepaa.models.nets.encoders import ENCODERS, PARTICLE_ENCODERS, EncoderKind, jets_of
from hepaa.models.nets.pretrained import encoding
from hepaa.models.parameters import whole, widths

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from hepaa.models.base import Training
    from hepaa.models.embedding.encoder import ContrastiveEncoder
    from hepaa.models.nets.encoders import Network
    from hepaa.models.nets.pretrained import EncoderTraining


class LogitNet:
    """A network with one output, the `logit` (..., B)."""

    noise = 0

    def __init__(self, net: Network) -> None:
        self.net = net

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return self.net.init(generator)

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        del noise
        return {"logit": self.net(p, x)[..., 0]}


class NeuralClassifier(NeuralDetector):
    """Classifier of labelled anomalies against background; the score is its logit.

    Loss: cross-entropy; half of every batch are anomalies, so that the classes count alike however few labels there
    are.

    Parameters
    ----------
    encoder : "mlp", "deepsets", "transformer", "conv", a ContrastiveEncoder or its file
        The network, as of `VAE`; or a pre-trained encoder.
    encoder_training : "frozen" or "fine-tune"
        Of a pre-trained encoder. "frozen": its embedding is what a network of `hidden` layers learns from.
        "fine-tune": it is the network, and trained on, with an affine layer behind the embedding.
    hidden : tuple of int
        Widths of the layers; () on a frozen encoder is a linear probe.
    particles : int or None
        Particles of a jet.

    The other parameters and the attributes are those of `hepaa.models.engine.neural.NeuralDetector`. Early stopping is
    not offered: events that are held out are background alone.
    """

    uses_labels: ClassVar[bool] = True
    scores_in_float64: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    own_encoders: ClassVar[tuple[str, ...]] = ENCODERS

    encoder: EncoderKind | ContrastiveEncoder | str = "mlp"
    encoder_training: EncoderTraining = "frozen"
    hidden: tuple[int, ...] = (64, 64)
    particles: int | None = None

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_encoder(self.encoder_training)
        widths("hidden", self.hidden)
        whole("batch_size", self.batch_size, 2)
        if self.particles is not None:
            whole("particles", self.particles)
        if self.encoder in (*PARTICLE_ENCODERS, "conv") and self.preprocess is not None:
            raise InputError(f"encoder={self.encoder!r} takes jets or images as they are: set preprocess=None")
        if self.validation_fraction:
            raise InputError(
                "NeuralClassifier holds nothing out, for it would be background alone; set validation_fraction=0"
            )

    def _check_training(self, training: Training) -> None:
        super()._check_training(training)
        if self.encoder in PARTICLE_ENCODERS:
            jets_of(training.background.shape[1], self.particles)

    def _model(self, d: int) -> LogitNet:
        return LogitNet(encoding(self._network(), d, self.hidden, 1, 1, self.particles)[0])

    def _stages(self) -> list[Stage]:
        return [Stage(self.epochs, (Classification(ONE),), anomaly_fraction=0.5)]

    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        del x
        return out["logit"]
