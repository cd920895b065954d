"""What every detector must beat: no model at all, an isolation forest, and, as a ceiling, supervised boosting."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from sklearn import ensemble

from hepaa.models.base import Detector
from hepaa.models.combined.trees import TreeDetector, Trees
from hepaa.models.parameters import between, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.models.base import Training


class SumOfSquares(Detector):
    """Sum of the squared standardised features: the score of a VAE that has learned nothing.

    The parameters and the attributes are those of `Detector`.
    """

    savable: ClassVar[bool] = True

    def _fit(self, training: Training) -> None:
        """Nothing beyond the preprocessing."""

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        values = x.astype(np.float64)
        return np.asarray(np.einsum("ij,ij->i", values, values))


class IsolationForest(Detector):
    """scikit-learn's isolation forest (Liu, Ting, Zhou 2008) on preprocessed background, with our sign.

    Parameters
    ----------
    trees : int
    seed : int

    The other parameters and the attributes are those of `Detector`.
    """

    takes_negative_weights: ClassVar[bool] = False
    sources: ClassVar[dict[str, str]] = {"": "Liu2008 Pedregosa2011"}

    trees: int = 100
    seed: int = 0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        whole("trees", self.trees)

    def _fit(self, training: Training) -> None:
        self.model_ = ensemble.IsolationForest(n_estimators=self.trees, random_state=self.seed)
        self.model_.fit(training.background, sample_weight=training.weight)

    def _score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(-self.model_.score_samples(x), dtype=np.float64)


class SupervisedBoosting(TreeDetector):
    """Gradient boosting of background against labelled anomalies: what a search that knows its signal would reach.

    Both classes count the same whatever their numbers and weights. Score: the log odds.

    Parameters
    ----------
    iterations : int
        Boosting iterations.
    learning_rate : float
    seed : int

    The other parameters and the attributes are those of `Detector`.

    Attributes
    ----------
    trees_ : hepaa.models.combined.trees.Trees
    """

    sources: ClassVar[dict[str, str]] = {"": "Pedregosa2011"}

    iterations: int = 100
    learning_rate: float = 0.1
    seed: int = 0

    def _check_parameters(self) -> None:
        super()._check_parameters()
        whole("iterations", self.iterations)
        between("learning_rate", self.learning_rate, 0, ends="high")

    def _fit(self, training: Training) -> None:
        n, m = len(training.background), len(training.anomalies)
        weights = [
            np.full(size, 1.0) if w is None else w for w, size in ((training.weight, n), (training.anomaly_weight, m))
        ]
        model = ensemble.HistGradientBoostingClassifier(
            max_iter=self.iterations, learning_rate=self.learning_rate, random_state=self.seed, early_stopping=False
        )
        model.fit(
            np.concatenate([training.background, training.anomalies]),
            np.repeat([0, 1], [n, m]),
            sample_weight=np.concatenate([weights[0] / n, weights[1] / m]) * ((n + m) / 2),
        )
        self.trees_ = Trees.of(model)
