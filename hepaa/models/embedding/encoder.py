"""The contrastive encoder: a small foundation model of jets, trained without a question or a label."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast, get_args

import numpy as np
import torch
from sklearn.base import TransformerMixin

from hepaa.errors import InputError
from hepaa.models.clusters import Clusters
from hepaa.models.engine.neural import NeuralDetector
from hepaa.models.engine.training import Stage
from hepaa.models.losses.contrastive import NTXent, SupCon
from hepaa.models.losses.schedules import Fixed
from hepaa.models.nets.encoders import ENCODERS, PARTICLE_ENCODERS, EncoderKind, coder, jets_of
from hepaa.models.nets.mlp import MLP
from hepaa.models.parameters import between, one_of, whole, widths
from hepaa.models.vae.views import VIEWS, ViewKind, view_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.models.base import Preprocess, Training
    from hepaa.models.losses.terms import Term
    from hepaa.models.nets.encoders import Network
    from hepaa.models.vae.views import View

Contrast = Literal["supcon", "ntxent", "both"]
CONTRASTS: tuple[Contrast, ...] = get_args(Contrast)


class EmbeddingNet:
    """An encoder, and a projection behind it that the contrastive losses act on.

    Outputs: `embedding` (..., B, embedding); in training the projections `mu` (..., B, projection) of the events, where
    `groups`, and of two random views of each as `view_a` and `view_b`, where there is a view.
    """

    def __init__(self, encoder: Network, projection: MLP, view: View | None, *, groups: bool) -> None:
        self.encoder, self.projection, self.view, self.groups = encoder, projection, view, groups
        self.noise = 1 if view is None else 2 * view.noise

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        return self.encoder.init(generator) | self.projection.init(generator)

    def _project(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        return self.projection(p, torch.relu(self.encoder(p, x)))

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        if noise is None:
            embedding = self.encoder(p, x)
            return {"embedding": embedding, "mu": self.projection(p, torch.relu(embedding))}
        out = {"mu": self._project(p, x)} if self.groups else {}
        if self.view is not None:
            first, second = noise.chunk(2, dim=-1)
            both = self._project(p, torch.cat([self.view(x, first), self.view(x, second)], dim=-2))
            out["view_a"], out["view_b"] = both.chunk(2, dim=-2)
        return out


class ContrastiveEncoder(TransformerMixin, NeuralDetector):
    """Encoder that is trained to find groups, or two views of an event, alike, and then used for other questions.

    Pre-training on background of several generators: SupCon (Khosla et al., arXiv:2004.11362) draws the events of a
    group (generator and tune) together, NT-Xent (Chen et al., arXiv:2002.05709) two random views of an event, which
    differ in what no physics depends on (as JetCLR, Dillon et al., arXiv:2108.04253). Both act on a projection of the
    embedding. `transform` gives the embedding; every detector takes the fitted encoder, or its file, as `encoder`. As a
    detector of its own, it scores by the Mahalanobis distance of the embedding from the nearest group of the training
    background.

    Parameters
    ----------
    encoder : "deepsets", "transformer", "mlp" or "conv"
        As of `VAE`; the first two take jets of `particles` particles each, padding leaves no trace in them.
    hidden : tuple of int
        Widths of the encoder.
    embedding, projection : int
        Dimensions of the embedding, and of its projection, which is used in training alone.
    particles : int or None
        Particles of a jet.
    contrastive : "ntxent", "supcon" or "both"
        "supcon" and "both" need groups: `fit(X, groups=g)`, or a table with two generators or more.
    temperature : float
        T of both losses.
    supcon_weight : float
        Of SupCon beside NT-Xent, with "both".
    views : "physical" or "noise"
        See `hepaa.models.vae.views`: of jets, turns about their axes, a reflection, shifts of all particles of a jet
        (turns about and boosts along the beam), smeared momenta, particles split in two and soft ones lost.
    view_noise : float
        Relative smearing of momenta, or standard deviation of the noise.
    shift : float
        Standard deviation of the shifts in eta and phi.
    split : float
        Chance of a particle to be split, where the jet has room.

    The other parameters and the attributes are those of `hepaa.models.engine.neural.NeuralDetector`; the embeddings of
    members (`seeds`) stand side by side.
    """

    sources: ClassVar[dict[str, str]] = {
        "": "Dillon2021",
        "contrastive ntxent": "Chen2020",
        "contrastive supcon": "Khosla2020",
        "contrastive both": "Chen2020 Khosla2020",
    }

    own_encoders: ClassVar[tuple[str, ...]] = ENCODERS

    batch_size: int = 512
    preprocess: Preprocess = None
    encoder: EncoderKind = "deepsets"
    hidden: tuple[int, ...] = (64, 64)
    embedding: int = 32
    projection: int = 32
    particles: int | None = None
    contrastive: Contrast = "ntxent"
    temperature: float = 0.1
    supcon_weight: float = 1.0
    views: ViewKind = "physical"
    view_noise: float = 0.1
    shift: float = 0.02
    split: float = 0.2

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("encoder", self.encoder, ENCODERS)
        one_of("contrastive", self.contrastive, CONTRASTS)
        one_of("views", self.views, VIEWS)
        widths("hidden", self.hidden)
        whole("embedding", self.embedding)
        whole("projection", self.projection)
        between("temperature", self.temperature, 0.03)
        between("supcon_weight", self.supcon_weight, 0, ends="high")
        between("view_noise", self.view_noise, 0)
        between("shift", self.shift, 0)
        between("split", self.split, 0, 1)
        if self.particles is not None:
            whole("particles", self.particles)
        if self.encoder != "mlp" and self.preprocess is not None:
            raise InputError(f"encoder={self.encoder!r} takes jets or images as they are: set preprocess=None")
        if self.contrastive == "ntxent" and self.validation_fraction:
            raise InputError("NT-Xent has no validation loss: its views are random; set validation_fraction=0")

    def _check_training(self, training: Training) -> None:
        super()._check_training(training)
        if training.stream is not None:
            raise InputError("ContrastiveEncoder needs a table in memory; read the parts with EventTable.load")
        if self.encoder in PARTICLE_ENCODERS:
            jets_of(training.background.shape[1], self.particles)
        groups = 0 if training.group is None else len(np.unique(training.group))
        if self.contrastive != "ntxent" and groups < 2:
            raise InputError(
                f"contrastive={self.contrastive!r} needs background of two groups (generators) or more, and there is "
                f"{'one' if groups else 'none'}; pass groups, or take contrastive='ntxent'"
            )
        Clusters.check(training.group, len(training.background), self.embedding)

    def _model(self, d: int) -> EmbeddingNet:
        encoder, _ = coder(self.encoder, d, self.hidden, 1, self.embedding, self.particles)
        projection = MLP("projection", (self.embedding, self.embedding, self.projection))
        view = None
        if self.contrastive != "supcon":
            fitted = self.preprocessor_
            view = view_of(
                self.views, d, self.particles, self._names(), fitted, self.view_noise, self.shift, self.split
            )
        return EmbeddingNet(encoder, projection, view, groups=self.contrastive != "ntxent")

    def _stages(self) -> list[Stage]:
        terms: list[Term] = []
        if self.contrastive != "ntxent":
            terms.append(SupCon(self.temperature, Fixed(self.supcon_weight), name="supcon"))
        if self.contrastive != "supcon":
            terms.append(NTXent(self.temperature, name="ntxent"))
        return [Stage(self.epochs, tuple(terms))]

    def _fit(self, training: Training) -> None:
        group = training.group
        numbered = replace(training, group=None if group is None else np.unique(group, return_inverse=True)[1])
        super()._fit(numbered)
        points = self._embeddings(training.background).astype(np.float64)
        self.clusters_ = Clusters("mahalanobis").fit(points, numbered.group, training.weight)

    def trunk(self) -> tuple[Network, dict[str, Tensor]]:
        """The encoder itself, without the projection, and its parameters."""
        parameters = self.parameters_.frozen()
        net = cast("EmbeddingNet", self.model_).encoder
        return net, {name: t for name, t in parameters.items() if not name.startswith("projection.")}

    def _embeddings(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings (members, n, embedding) of preprocessed rows."""
        return self.outputs_of(x)["embedding"]

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Embedding of each event, float32 (n, seeds * embedding).

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If a column is missing or a value is NaN or infinite.
        """
        x = self.prepared(X)
        if not len(x):
            return np.empty((0, self.width), np.float32)
        return np.ascontiguousarray(np.concatenate(list(self._embeddings(x)), axis=1))

    @property
    def width(self) -> int:
        """Columns of `transform`."""
        return self.seeds * self.embedding

    def member_scores(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Distances (members, n) from the nearest group, of rows that are preprocessed already."""
        distances = self.clusters_.of_members(self._embeddings(x).astype(np.float64))
        return np.asarray(distances.min(axis=2))

    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError  # the score is that of `member_scores`

    def to_onnx(self, path: str | Path) -> None:
        """Raise InputError: an encoder has no ONNX form."""
        raise InputError(f"ContrastiveEncoder has no ONNX form to write to {path}; save it and score with hepaa")

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return super()._arrays() | {f"clusters.{name}": values for name, values in self.clusters_.arrays().items()}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        super()._restore(arrays, record)
        own = {k.removeprefix("clusters."): v for k, v in arrays.items() if k.startswith("clusters.")}
        self.clusters_ = Clusters.of_arrays("mahalanobis", own)
