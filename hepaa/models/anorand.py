"""AnoRand (arXiv:2305.18389): a classifier of noised events and an autoencoder that share a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch.nn import functional as F

from hepaa.errors import InputError
from hepaa.models.choices import between, one_of, whole
from hepaa.models.networks import MLP
from hepaa.models.neural import NeuralDetector
from hepaa.models.pseudo import with_pseudo_anomalies
from hepaa.models.schedules import Fixed
from hepaa.models.training import Stage, outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from hepaa.models.estimator import Balance, Preprocess, Training
    from hepaa.models.schedules import Schedule
    from hepaa.models.terms import Batch
    from hepaa.models.training import Model

Labels = Literal["auto", "pseudo", "given"]
_LABELS: tuple[Labels, ...] = ("auto", "pseudo", "given")


class AnoRandNet:
    """Classifier d - 32 - 16 (z0) - 1, encoder d - 32 - 16 - 16 (z1), decoder of (z0, z1): 32 - 16 - 32 - d.

    Outputs: `logit` (..., B) of being an anomaly, `x_hat` (..., B, d).
    """

    noise = 0

    def __init__(self, d: int) -> None:
        self.trunk = MLP("classifier", (d, 32, 16))
        self.head = MLP("head", (16, 1))
        self.encoder = MLP("encoder", (d, 32, 16, 16))
        self.decoder = MLP("decoder", (32, 16, 32, d))

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        parts = (self.trunk, self.head, self.encoder, self.decoder)
        return {name: tensor for part in parts for name, tensor in part.init(generator).items()}

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        del noise
        z0 = torch.relu(self.trunk(p, x))
        latent = torch.cat([z0, self.encoder(p, x)], dim=-1)
        return {"logit": self.head(p, z0)[..., 0], "x_hat": self.decoder(p, latent)}


def distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """Euclidean norm (..., B) of x - x_hat (..., B, d); its gradient at 0 is 0."""
    return (x - x_hat).square().sum(-1).add(1e-12).sqrt()


@dataclass(frozen=True)
class Classification:
    """Mean cross-entropy of the classifier over a batch."""

    weight: Schedule
    name: str = "classification"

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        logit = out["logit"]
        truth = torch.zeros_like(logit)
        size = logit.shape[-1]
        truth[..., size - batch.anomalies :] = 1
        return batch.average(F.binary_cross_entropy_with_logits(logit, truth, reduction="none"), slice(None), size)


@dataclass(frozen=True)
class InlierDistance:
    """Sum of the distances of background from its reconstruction, divided by the size of the batch."""

    weight: Schedule
    name: str = "reconstruction"

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        size = batch.x.shape[-2]
        rows = slice(size - batch.anomalies)
        return batch.average(distance(batch.x[..., rows, :], out["x_hat"][..., rows, :]), rows, size)


class AnoRand(NeuralDetector):
    """Classifier of pseudo-anomalies and autoencoder in one (arXiv:2305.18389).

    Pseudo-label mode: a random fraction `noised` of the background gets Gaussian noise and grows by SMOTE to a fraction
    `grown`; these are class 1, the rest is class 0. Supervised mode: labelled anomalies are class 1. Loss, as meant by
    the source's eq. 3: w BCE(y, y_mlp) + (1 - w)(1 - y) |x - x_hat|.

    Score: with y_ae = sigmoid(|x - x_hat|), y_mlp the classifier's output and alpha = Q3(y_ae) / (Q3(y_mlp) + Q3(y_ae))
    from third quartiles on training background, s = (1 - alpha) y_ae + alpha y_mlp. Both saturate, so the score is
    -log(1 - s), computed from logarithms: the same order without ties.

    Parameters
    ----------
    labels : "auto", "pseudo" or "given"
        "auto": supervised mode if any training event has label 1.
    sigma : float
        Noise of the pseudo-anomalies, in units of the preprocessed features' standard deviations.
    noised, grown : float
        Fractions of the background.
    neighbours : int
        Of SMOTE.
    classifier_weight : float
        w.
    epochs : int
    learning_rate : float
        The source prints 1e-4, which does not reach its numbers in 200 epochs.

    Batches hold at least one event of class 1, so very rare anomalies count more than their share. The other
    parameters are those of `hepaa.models.neural.NeuralDetector`; there are no `seeds`.
    """

    uses_labels: ClassVar[bool] = True
    fitted_numbers: ClassVar[tuple[str, ...]] = ("alpha_",)
    seeds = 1

    def __init__(
        self,
        *,
        labels: Labels = "auto",
        sigma: float = 0.6,
        noised: float = 0.02,
        grown: float = 0.05,
        neighbours: int = 5,
        classifier_weight: float = 0.2,
        epochs: int = 200,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        seed: int = 0,
        preprocess: Preprocess = "standard",
        contamination: float = 0.05,
        validation_fraction: float = 0.0,
        patience: int | None = None,
        gradient_clip: float | None = None,
        weighted_loss: bool = True,
        device: str | None = None,
        verbose: bool = False,
        callback: Callable[[int, Mapping[str, float]], None] | None = None,
        balance: Balance = None,
        metrics: str | Path | None = None,
        checkpoint: str | Path | None = None,
        amp: bool = False,
    ) -> None:
        self.labels = labels
        self.sigma = sigma
        self.noised = noised
        self.grown = grown
        self.neighbours = neighbours
        self.classifier_weight = classifier_weight
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = seed
        self.preprocess = preprocess
        self.contamination = contamination
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.gradient_clip = gradient_clip
        self.weighted_loss = weighted_loss
        self.device = device
        self.verbose = verbose
        self.callback = callback
        self.balance = balance
        self.metrics = metrics
        self.checkpoint = checkpoint
        self.amp = amp

    def _fit(self, training: Training) -> None:
        one_of("labels", self.labels, _LABELS)
        whole("epochs", self.epochs)
        whole("batch_size", self.batch_size, 2)
        between("classifier_weight", self.classifier_weight, 0, 1)
        given = self.labels == "given" or (self.labels == "auto" and len(training.anomalies) > 0)
        if given and not len(training.anomalies):
            raise InputError("labels='given' needs anomalies with label 1; take labels='pseudo' to do without")
        used = training if given else self.with_pseudo_anomalies(training)
        n, m = len(used.background), len(used.anomalies)
        self._share = m / (n + m)
        super()._fit(used)
        x = torch.from_numpy(training.background).to(self.parameters_.flat.device)
        pieces = list(outputs(self.model_, self.parameters_, x))
        x_hat, logit = (torch.cat([p[name][0] for p in pieces]) for name in ("x_hat", "logit"))
        quartiles = [np.quantile(t.double().cpu().numpy(), 0.75) for t in (distance(x, x_hat), logit)]
        q_ae, q_mlp = 1 / (1 + np.exp(-np.array(quartiles)))
        self.alpha_ = float(q_ae / (q_mlp + q_ae))

    def with_pseudo_anomalies(self, training: Training) -> Training:
        """Background without the events that were noised, and pseudo-anomalies grown from these."""
        return with_pseudo_anomalies(
            training,
            sigma=self.sigma,
            noised=self.noised,
            grown=self.grown,
            neighbours=self.neighbours,
            seed=self.seed,
        )

    def _model(self, d: int) -> Model:
        return AnoRandNet(d)

    def _stages(self) -> list[Stage]:
        w = self.classifier_weight
        terms = (Classification(Fixed(w)), InlierDistance(Fixed(1 - w)))
        return [Stage(self.epochs, terms, anomaly_fraction=self._share)]

    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        x_hat = out["x_hat"].double()
        not_ae = F.logsigmoid(-distance(x.double().expand_as(x_hat), x_hat)) + float(np.log1p(-self.alpha_))
        not_mlp = F.logsigmoid(-out["logit"].double()) + float(np.log(self.alpha_))
        return -torch.logaddexp(not_ae, not_mlp)
