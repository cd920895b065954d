"""A cross-fitted classifier of data against reference: Lopez-Paz and Oquab, arXiv:1610.06545."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.models.parameters import between, one_of, whole
from hepaa.search.two_sample.statistic import Statistic
from hepaa.stats.performance import auc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STATISTICS = ("likelihood", "auc")


@dataclass(kw_only=True, eq=False)
class TreeRatio(Statistic):
    """Gradient-boosted trees tell data from reference; every event is judged by trees that did not see it.

    scikit-learn's HistGradientBoosting; an event that toys draw twice is in one fold with its copies. The statistic is
    the extended likelihood ratio of the log odds, 2 [ sum_D f - sum_R w (e^f - 1) ], or the AUC. A toy costs as many
    trainings as there are folds and members.

    Parameters
    ----------
    statistic : "likelihood" or "auc"
    folds : int
    members : int
        Trainings of each fold whose log odds are averaged.
    iterations : int
    leaves : int
        Most leaves of a tree.
    least : int
        Fewest events of a leaf.
    learning_rate : float
    """

    statistic: str = "likelihood"
    folds: int = 3
    members: int = 1
    iterations: int = 30
    leaves: int = 7
    least: int = 50
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        one_of("statistic", self.statistic, STATISTICS)
        whole("folds", self.folds, 2)
        for name in ("members", "iterations", "least"):
            whole(name, getattr(self, name))
        whole("leaves", self.leaves, 2)
        between("learning_rate", self.learning_rate, 0, ends="high")

    def fit(self, X: Array, weight: Array, rng: np.random.Generator, *, rate: bool) -> None:
        """Only draws the seeds: trees need no preprocessing."""
        del X, weight
        self.rate = rate
        self._seeds = rng.integers(2**31, size=self.members + 1)

    def rows(self, X: Array) -> Array:
        """The features themselves, (n, d)."""
        return X

    def values(self, rows: Array, data: Array, reference: Array, tilts: Array | None = None) -> Array:
        """The statistic of each toy, (toys,)."""
        del tilts
        return np.array([self._value(rows, c, v) for c, v in zip(data.T, reference.T, strict=True)])

    def _value(self, rows: Array, data: Array, reference: Array) -> float:
        fold = np.random.default_rng(int(self._seeds[-1])).integers(self.folds, size=len(rows))
        f = np.empty(len(rows))
        for k in range(self.folds):
            held_out = fold == k
            f[held_out] = self._train(rows, data * ~held_out, reference * ~held_out)(rows[held_out])
        if self.statistic == "auc":
            truth = np.repeat([1, 0], len(rows))
            return float(auc(truth, np.concatenate([f, f]), np.concatenate([data, reference])))
        if not self.rate:
            f += np.log(data.sum() / (reference @ np.exp(f)))
        return float(2 * (data @ f - reference @ np.expm1(f)))

    def _train(self, rows: Array, data: Array, reference: Array) -> Callable[[Array], Array]:
        from sklearn.ensemble import HistGradientBoostingClassifier

        one, other = np.flatnonzero(data), np.flatnonzero(reference)
        if not len(one) or not len(other):
            raise InputError("a fold has no events of data or of reference to train on; use fewer folds")
        x, y = np.concatenate([rows[one], rows[other]]), np.repeat([1, 0], [len(one), len(other)])
        ratio = data.sum() / reference.sum()
        weight = np.concatenate([data[one], reference[other] * ratio])
        weight /= weight.mean()
        models: list[Any] = [
            HistGradientBoostingClassifier(
                max_iter=self.iterations,
                max_leaf_nodes=self.leaves,
                min_samples_leaf=self.least,
                learning_rate=self.learning_rate,
                early_stopping=False,
                random_state=int(seed),
            ).fit(x, y, sample_weight=weight)
            for seed in self._seeds[:-1]
        ]
        norm = np.log(ratio)
        return lambda other_rows: np.asarray(
            np.mean([model.decision_function(other_rows) for model in models], axis=0) + norm
        )

    def log_ratio(self, rows: Array, data: Array, reference: Array) -> Callable[[Array], Array]:
        """The log odds of trees trained on all events; with the rate where that counts."""
        return self._train(rows, data, reference)
