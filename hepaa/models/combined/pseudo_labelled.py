"""A detector that needs labels, trained on pseudo labels made from the background."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hepaa.errors import InputError
from hepaa.models.anorand.pseudo import check_pseudo_anomalies, with_pseudo_anomalies
from hepaa.models.base import Detector
from hepaa.models.combined.ensemble import named, train_within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hepaa.models.base import Training


class PseudoLabelled(Detector):
    """A detector that learns from labels, trained on pseudo-anomalies instead: Anomaly Awareness without labels.

    The pseudo-anomalies are those of AnoRand (`with_pseudo_anomalies`): background whose features have been moved by
    independent noise, so that it lies off the region that their correlations leave to background. With "boosting" or
    another classifier, the score is the ratio of the noised to the bare density.

    Parameters
    ----------
    detector : name or detector
        One that takes labelled anomalies; names are those of `hepaa.detector`. Its `preprocess` is not used.
    sigma : float
        Noise, in standard deviations of the preprocessed features.
    noised, grown : float
        Fractions of the background that are noised, and that the pseudo-anomalies then grow to.
    neighbours : int
        Of SMOTE.
    seed : int
        Of the noise, and of the detector if it is given by name.

    The other parameters and the attributes are those of `Detector`.

    Attributes
    ----------
    detector_ : the fitted detector
    """

    sources: ClassVar[dict[str, str]] = {"": "AnoRand2023 Chawla2002"}

    detector: str | Detector = "aa-lhco"
    sigma: float = 1.0
    noised: float = 0.02
    grown: float = 0.05
    neighbours: int = 5
    seed: int = 0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_pseudo_anomalies(self.sigma, self.noised, self.grown, self.neighbours)
        member = named(self.detector, self.seed)
        if not member.uses_labels:
            raise InputError(f"{type(member).__name__} takes no labels; give a detector that learns from them")
        member._check_parameters()

    def _fit(self, training: Training) -> None:
        used = with_pseudo_anomalies(
            training, sigma=self.sigma, noised=self.noised, grown=self.grown, neighbours=self.neighbours, seed=self.seed
        )
        self.detector_ = train_within(self.detector, self, used, self.seed)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.detector_._score(x)
