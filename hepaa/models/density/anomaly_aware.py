"""Anomaly Awareness for densities: a flow that is fine-tuned to give labelled anomalies a low density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch.nn import functional as F

from hepaa.models.density.flow import Flow, NegativeLogLikelihood
from hepaa.models.engine.training import Stage
from hepaa.models.losses.schedules import Linear
from hepaa.models.parameters import between, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.losses.schedules import Schedule
    from hepaa.models.losses.terms import TrainingBatch


@dataclass(frozen=True)
class DensityPenalty:
    """Mean of softplus(margin - excess) over the labelled anomalies of a batch.

    excess = -log p(x) - mean of -log p over the batch's background, in nats; the mean is taken as a constant. The pull
    on an anomaly is 1 while it is less than `margin` rarer than the average background event, and fades beyond: a flow
    could lower the density of an anomaly without end, which the background has to pay for.
    """

    weight: Schedule
    margin: float
    name: str = "anomaly"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term; 0 for a batch without anomalies."""
        density = out["log_density"]
        if not batch.anomalies:
            return density[..., 0] * 0.0
        rows, count = batch.background("per-class")
        usual = -batch.average(density[..., rows], rows, count).detach()
        rare = slice(density.shape[-1] - batch.anomalies, density.shape[-1])
        missing = F.softplus(self.margin + density[..., rare] + usual[..., None])
        return batch.average(missing, rare, batch.anomalies)


class AnomalyAwareFlow(Flow):
    """Flow that is fine-tuned to find labelled anomalies improbable.

    Anomaly Awareness (arXiv:2504.11520) with -log p(x) in place of the reconstruction error: `epochs` epochs on
    background alone, with early stopping, as `Flow`; then `finetune_epochs` epochs in which a fraction
    `anomaly_fraction` of every batch are labelled anomalies and the objective is

        mean over background of -log p  +  lambda * mean over anomalies of softplus(margin - excess);

    see `DensityPenalty`. lambda rises linearly from 0 to `lambda_max`. Score: -log p(x). The background keeps its
    likelihood in the objective, which holds the density everywhere else; what anomalies of other kinds lose is to be
    measured all the same.

    Parameters
    ----------
    lambda_max : float
    margin : float
        Nats by which an anomaly is to be rarer than the average background event.
    finetune_epochs : int
    anomaly_fraction : float

    The other parameters are those of `Flow`. `fit` takes labelled anomalies as rows with label 1.
    """

    uses_labels: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    sources: ClassVar[dict[str, str]] = {"": "Banda2025 Khosa2020"}

    lambda_max: float = 1.0
    margin: float = 10.0
    finetune_epochs: int = 10
    anomaly_fraction: float = 0.1

    def _check_parameters(self) -> None:
        super()._check_parameters()
        whole("finetune_epochs", self.finetune_epochs)
        whole("batch_size", self.batch_size, 2)
        between("lambda_max", self.lambda_max, 0)
        between("margin", self.margin, 0)
        between("anomaly_fraction", self.anomaly_fraction, 0, 1, ends="none")

    def _stages(self) -> list[Stage]:
        penalty = DensityPenalty(Linear(0.0, self.lambda_max, self.finetune_epochs), self.margin)
        objective = (NegativeLogLikelihood(), penalty)
        finetune = Stage(self.finetune_epochs, objective, anomaly_fraction=self.anomaly_fraction, watch=False)
        return [*super()._stages(), finetune]
