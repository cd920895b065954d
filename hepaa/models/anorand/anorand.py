"""AnoRand (arXiv:2305.18389): a classifier of noised events and an autoencoder that share a layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch.nn import functional as F

from hepaa.errors import InputError
from hepaa.models.anorand.pseudo import around_background, check_pseudo_anomalies, with_pseudo_anomalies
from hepaa.models.engine.neural import NeuralDetector
from hepaa.models.engine.training import Stage, outputs
from hepaa.models.losses.schedules import Fixed
from hepaa.models.nets.mlp import MLP
from hepaa.models.parameters import between, one_of, whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.models.base import Preprocess, Training
    from hepaa.models.engine.training import TrainableModel
    from hepaa.models.losses.schedules import Schedule
    from hepaa.models.losses.terms import TrainingBatch

Labels = Literal["auto", "pseudo", "given"]
Pseudo = Literal["around", "smote"]
Combination = Literal["auto", "quartiles", "standardised"]
_LABELS: tuple[Labels, ...] = get_args(Labels)
_PSEUDO: tuple[Pseudo, ...] = get_args(Pseudo)
_COMBINATIONS: tuple[Combination, ...] = get_args(Combination)


class AnoRandNet:
    """Classifier d - 32 - 16 (z0) - 1, encoder d - 32 - 16 - 16 (z1), decoder of (z0, z1): 32 - 16 - 32 - d.

    Outputs: `logit` (..., B) of being an anomaly, `x_hat` (..., B, d), and the latent vector (z0, z1), `latent`
    (..., B, 32).
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
        return {"logit": self.head(p, z0)[..., 0], "x_hat": self.decoder(p, latent), "latent": latent}


def distance(x: Tensor, x_hat: Tensor) -> Tensor:
    """Euclidean norm (..., B) of x - x_hat (..., B, d); its gradient at 0 is 0."""
    return (x - x_hat).square().sum(-1).add(1e-12).sqrt()


@dataclass(frozen=True)
class Classification:
    """Mean cross-entropy of the classifier over a batch."""

    weight: Schedule
    name: str = "classification"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
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

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        size = batch.x.shape[-2]
        rows = slice(size - batch.anomalies)
        return batch.average(distance(batch.x[..., rows, :], out["x_hat"][..., rows, :]), rows, size)


class AnoRand(NeuralDetector):
    """Classifier of pseudo-anomalies and autoencoder in one (arXiv:2305.18389).

    Pseudo-label mode makes the events of class 1 from background. Supervised mode: labelled anomalies are class 1.
    Loss, as meant by the source's eq. 3: w BCE(y, y_mlp) + (1 - w)(1 - y) |x - x_hat|.

    Parameters
    ----------
    labels : "auto", "pseudo" or "given"
        "auto": supervised mode if any training event has label 1.
    pseudo : "around" or "smote"
        "smote", as published: a random fraction `noised` of the background gets Gaussian noise and leaves it, and grows
        by SMOTE to a fraction `grown`. "around": background keeps all its events, and half of every batch is noised
        background or uniform (`hepaa.models.anorand.pseudo.around_background`).
    sigma : float
        Noise, in standard deviations of the preprocessed features ("smote"; published: 0.6) or of the background's
        principal components ("around").
    copies : int
        Pseudo-anomalies for each background event ("around").
    noised, grown : float
        Fractions of the background ("smote").
    neighbours : int
        Of SMOTE.
    combination : "auto", "quartiles" or "standardised"
        Of the two parts of the score. "quartiles", as published: with y_ae = sigmoid(|x - x_hat|), y_mlp the
        classifier's output and alpha = Q3(y_ae) / (Q3(y_mlp) + Q3(y_ae)) from third quartiles on training background,
        s = (1 - alpha) y_ae + alpha y_mlp. Both saturate, so the score is -log(1 - s), computed from logarithms: the
        same order without ties. "standardised": log |x - x_hat| and logit y_mlp, each less its mean and divided by its
        standard deviation on training background, and added. "auto": "quartiles" with labels, where the classifier is
        to decide, and "standardised" without, where neither part is to be trusted alone.
    classifier_weight : float
        w. Published: 0.2, which needs four times the epochs for the same result with labels.
    epochs : int
        Published: 200.
    learning_rate : float
        The source prints 1e-4, which does not reach its numbers in 200 epochs.

    Batches hold at least one event of class 1, so very rare anomalies count more than their share. The other
    parameters are those of `NeuralDetector`; members (`seeds`) have the same pseudo-anomalies.
    What is published is the preset "anorand-published".

    Attributes
    ----------
    alpha_ : float64 (members,)
        Weight of the classifier in "quartiles".
    distance_scale_, logit_scale_, offset_ : float64 (members,)
        The "standardised" score is log |x - x_hat| / distance_scale_ + logit y_mlp / logit_scale_ - offset_.
    """

    uses_labels: ClassVar[bool] = True
    scores_in_float64: ClassVar[bool] = True
    fitted_numbers: ClassVar[tuple[str, ...]] = ("supervised_",)
    sources: ClassVar[dict[str, str]] = {"": "AnoRand2023", "pseudo smote": "Chawla2002"}

    preprocess: Preprocess = "standard"
    labels: Labels = "auto"
    pseudo: Pseudo = "around"
    sigma: float = 2.0
    copies: int = 4
    noised: float = 0.02
    grown: float = 0.05
    neighbours: int = 5
    combination: Combination = "auto"
    classifier_weight: float = 0.9

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("labels", self.labels, _LABELS)
        whole("batch_size", self.batch_size, 2)
        between("classifier_weight", self.classifier_weight, 0, 1)
        one_of("pseudo", self.pseudo, _PSEUDO)
        one_of("combination", self.combination, _COMBINATIONS)
        if self.pseudo == "around":
            whole("copies", self.copies)
            between("sigma", self.sigma, 0)
        else:
            check_pseudo_anomalies(self.sigma, self.noised, self.grown, self.neighbours)

    def _check_training(self, training: Training) -> None:
        super()._check_training(training)
        if self.labels == "given" and not len(training.anomalies):
            raise InputError("labels='given' needs anomalies with label 1; take labels='pseudo' to do without")

    def _fit(self, training: Training) -> None:
        super()._fit(self.used(training))
        self.calibrate(training)

    def used(self, training: Training) -> Training:
        """What is trained on: the labelled anomalies as they are, or pseudo-anomalies in their place."""
        labelled = self.labels == "given" or (self.labels == "auto" and len(training.anomalies) > 0)
        used = training if labelled else self.with_pseudo_anomalies(training)
        n, m = len(used.background), len(used.anomalies)
        self._share = 0.5 if not labelled and self.pseudo == "around" else m / (n + m)
        self.supervised_ = float(labelled)
        return used

    def calibrate(self, training: Training) -> None:
        """Weigh the two parts of the score against each other on training background."""
        x = torch.from_numpy(training.background).to(self.parameters_.flat.device)
        pieces = list(outputs(self.model_, self.parameters_, x))
        x_hat, logit = (torch.cat([p[name] for p in pieces], dim=1) for name in ("x_hat", "logit"))
        far, odds = (t.double().cpu().numpy() for t in (distance(x.expand_as(x_hat), x_hat), logit))
        q_ae, q_mlp = (1 / (1 + np.exp(-np.quantile(part, 0.75, axis=1))) for part in (far, odds))
        self.alpha_ = q_ae / (q_mlp + q_ae)
        parts = np.stack([np.log(far), odds])
        mean = np.average(parts, axis=2, weights=training.weight, keepdims=True)
        variance = np.average((parts - mean) ** 2, axis=2, weights=training.weight)
        self.distance_scale_, self.logit_scale_ = scale = np.sqrt(np.maximum(variance, 1e-24))
        self.offset_ = (mean[..., 0] / scale).sum(axis=0)

    def with_pseudo_anomalies(self, training: Training) -> Training:
        """Background and pseudo-anomalies."""
        if self.pseudo == "around":
            return around_background(training, sigma=self.sigma, copies=self.copies, seed=self.seed)
        return with_pseudo_anomalies(
            training, sigma=self.sigma, noised=self.noised, grown=self.grown, neighbours=self.neighbours, seed=self.seed
        )

    def _model(self, d: int) -> TrainableModel:
        return AnoRandNet(d)

    def _stages(self) -> list[Stage]:
        w = self.classifier_weight
        terms = (Classification(Fixed(w)), InlierDistance(Fixed(1 - w)))
        return [Stage(self.epochs, terms, anomaly_fraction=self._share)]

    def _event_score(self, x: Tensor, out: Mapping[str, Tensor]) -> Tensor:
        x_hat, logit = out["x_hat"].double(), out["logit"].double()
        far = distance(x.double().expand_as(x_hat), x_hat)

        def of_members(values: NDArray[np.float64]) -> Tensor:
            tensor = torch.from_numpy(values).to(x.device)
            return tensor[:, None] if len(values) > 1 else tensor

        if self.combination == "standardised" or (self.combination == "auto" and not self.supervised_):
            scales = of_members(self.distance_scale_), of_members(self.logit_scale_)
            standardised: Tensor = far.log() / scales[0] + logit / scales[1] - of_members(self.offset_)
            return standardised
        not_ae = F.logsigmoid(-far) + of_members(np.log1p(-self.alpha_))
        not_mlp = F.logsigmoid(-logit) + of_members(np.log(self.alpha_))
        return -torch.logaddexp(not_ae, not_mlp)

    def to_onnx(self, path: str | Path) -> None:
        """Write the fitted detector as ONNX; see `NeuralDetector.to_onnx`.

        Raises
        ------
        NotFittedError, InputError
            As there, and for more than one member.
        """
        if self.seeds > 1:
            raise InputError("AnoRand has an ONNX form for one member alone: each has scales of its own; set seeds=1")
        super().to_onnx(path)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        parts = np.stack([self.alpha_, self.distance_scale_, self.logit_scale_, self.offset_])
        return super()._arrays() | {"parts": parts}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        super()._restore(arrays, record)
        self.alpha_, self.distance_scale_, self.logit_scale_, self.offset_ = arrays["parts"].copy()
