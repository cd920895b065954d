"""Anomaly Awareness: an autoencoder that learns to reconstruct labelled anomalies badly (arXiv:2504.11520)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hepaa.errors import InputError
from hepaa.models.engine.training import Stage
from hepaa.models.losses.schedules import Linear
from hepaa.models.losses.terms import NORMALISATIONS, PENALTIES, AnomalyPenalty, Normalisation, Penalty
from hepaa.models.parameters import between, one_of, whole
from hepaa.models.vae.mixup import mixed
from hepaa.models.vae.vae import VAE

if TYPE_CHECKING:
    from hepaa.models.base import Training


class AnomalyAwareVAE(VAE):
    """VAE that is fine-tuned to reconstruct labelled anomalies badly (Anomaly Awareness, arXiv:2504.11520).

    First `epochs` epochs on background alone, as VAE. Then `finetune_epochs` epochs in which a fraction
    `anomaly_fraction` of every batch are labelled anomalies, which the objective

        mean over background of (E + beta KL)  -  lambda * mean over anomalies of penalty(E)

    rewards for a large error; lambda rises linearly from 0 to `lambda_max`. Adam starts afresh.

    Parameters
    ----------
    lambda_max : float
    finetune_epochs : int
        Background passes of the fine-tuning.
    anomaly_fraction : float
    penalty : "clip", "hinge" or "log"
        See `hepaa.models.losses.terms.penalty`; "clip" is the published one.
    clip : float or None
        Error beyond which an anomaly earns no more; None is no bound.
    normalisation : "per-class", "batch" or "literal"
        What the sums are divided by, which the source does not say. "per-class": as above. "batch": one mean over the
        batch, to which an anomaly adds -lambda penalty(E). "literal": the same, and it adds E + beta KL too.
    mixup : float
        Largest share of a background event that is mixed into an anomaly, 0 .. 2, above 1 beyond the background event;
        see `hepaa.models.vae.mixup.mixed`. 0 is the published method. For tables, not for the particles of jets.

    The other parameters are those of `VAE`. `fit` takes labelled anomalies as rows with label 1.
    """

    uses_labels: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    sources: ClassVar[dict[str, str]] = {"": "Banda2025 Khosa2020", "mixup": "Zhang2017"}

    lambda_max: float = 1.0
    finetune_epochs: int = 10
    anomaly_fraction: float = 0.1
    penalty: Penalty = "clip"
    clip: float | None = 200.0
    normalisation: Normalisation = "per-class"
    mixup: float = 0.0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("penalty", self.penalty, PENALTIES)
        one_of("normalisation", self.normalisation, NORMALISATIONS)
        whole("finetune_epochs", self.finetune_epochs)
        whole("batch_size", self.batch_size, 2)
        between("lambda_max", self.lambda_max, 0)
        between("anomaly_fraction", self.anomaly_fraction, 0, 1, ends="none")
        if self.clip is not None:
            between("clip", self.clip, 0, ends="high")
        between("mixup", self.mixup, 0, 2)
        if self.mixup and self.particles is not None:
            raise InputError("mixup mixes numbers, and a mixture of two jets is no jet; set mixup=0 with particles")

    def _fit(self, training: Training) -> None:
        super()._fit(mixed(training, self.mixup, self.seed))

    def _stages(self) -> list[Stage]:
        ramp = Linear(0.0, self.lambda_max, self.finetune_epochs)
        penalty = AnomalyPenalty(self._error(), self.penalty, self.clip, self.normalisation, ramp)
        background = self._reconstruction(self.normalisation), self._kl(self.normalisation, grown=True)
        objective = (*background, penalty, *self._penalties())
        finetune = Stage(self.finetune_epochs, objective, anomaly_fraction=self.anomaly_fraction, watch=False)
        return [*super()._stages(), finetune]
