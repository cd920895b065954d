"""Data against reference in bins of an anomaly score: a test for any detector of the toolkit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special
from sklearn.base import clone

from hepaa.detectors import detector
from hepaa.errors import InputError
from hepaa.models.parameters import whole
from hepaa.search.two_sample.statistic import Statistic
from hepaa.stats.binning import choose_binning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hepaa.models.base import Detector

    Array = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class BinnedScores(Statistic):
    """Likelihood ratio of the counts of data to the reference in bins of a score: 2 sum [ n ln(n / m) - n + m ].

    The score knows neither data nor signal, so it sees only what the detector finds strange. A detector that is not
    fitted yet is trained on a random half of the reference, and only the other half is compared with data: events that
    a detector was trained on look less strange to it.

    Parameters
    ----------
    detector : str or Detector
        Any of the toolkit: the name of a preset or class, or a detector, fitted (with labels or without) or not.
    bins : int
        Of about equal yield of the reference.
    """

    detector: str | Detector = "flow"
    bins: int = 20

    def __post_init__(self) -> None:
        whole("bins", self.bins, 2)
        self._chosen = detector(self.detector) if isinstance(self.detector, str) else self.detector
        if self._chosen.needs_labels and not _fitted(self._chosen):
            name = type(self._chosen).__name__
            raise InputError(f"{name} learns from labels, and a reference has none: fit it, then give it to TwoSample")

    def fit(self, X: Array, weight: Array, rng: np.random.Generator, *, rate: bool) -> None:
        """Train on half of the reference where needed, and choose bins on what is left."""
        self.rate = rate
        self.kept = np.ones(len(X), bool)
        self._model = self._chosen
        if not _fitted(self._chosen):
            model = clone(self._chosen)
            if "seed" in model.get_params():
                model.set_params(seed=int(rng.integers(2**31)))
            self.kept = rng.random(len(X)) < 0.5
            self._model = model.fit(X[~self.kept], sample_weight=weight[~self.kept])
        score = self._model.anomaly_score(X[self.kept])
        self._binning = choose_binning(score, weight[self.kept], method="quantile", bins=self.bins, min_b=0.0)

    def rows(self, X: Array) -> Array:
        """The bin of each event, (n, 1)."""
        score = self._model.anomaly_score(X) if len(X) else np.empty(0)
        return self._binning.index(score).astype(np.float64)[:, None]

    def _counts(self, rows: Array, weights: Array) -> Array:
        """Sums of weights (n, toys) in each bin, (bins, toys)."""
        bins = len(self._binning)
        one_hot = (rows[:, 0] == np.arange(bins)[:, None]).astype(np.float64)
        return np.asarray(one_hot @ weights)

    def values(self, rows: Array, data: Array, reference: Array, tilts: Array | None = None) -> Array:
        """The statistic of each toy, (toys,)."""
        del tilts
        n, m = self._counts(rows, data), self._counts(rows, reference)
        m = np.maximum(m, 1e-3 * m.mean(axis=0))  # a bin that a toy of the reference leaves empty
        return np.asarray(2 * np.sum(special.xlogy(n, np.where(n > 0, n, 1.0) / m) - n + m, axis=0))

    def log_ratio(self, rows: Array, data: Array, reference: Array) -> Callable[[Array], Array]:
        """ln n / m of the event's bin; half an event where data have none."""
        n, m = self._counts(rows, data[:, None])[:, 0], self._counts(rows, reference[:, None])[:, 0]
        f = np.log(np.maximum(n, 0.5) / np.maximum(m, 1e-3 * m.mean()))
        return lambda other: np.asarray(f[other[:, 0].astype(np.int64)])

    def law(self, rows: Array, reference: Array, tilts: Array | None = None) -> Array | None:
        """One degree of freedom a bin, and one fewer without the rate, widened by the errors of the reference."""
        del tilts
        m, squares = self._counts(rows, np.stack([reference, reference**2], axis=1)).T
        good = m > 0
        form = np.diag(1 / m[good])
        noise = np.diag((m + squares)[good])
        if not self.rate:
            project = np.eye(good.sum()) - m[good, None] / m.sum()
            noise = project @ noise @ project.T
        values, vectors = np.linalg.eigh(noise)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(np.linalg.eigvalsh(root.T @ form @ root))


def _fitted(model: Detector) -> bool:
    return hasattr(model, "threshold_")
