"""A density of the features that matter: labelled anomalies tell in which ones an anomaly is like background."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score

from hepaa.errors import InputError
from hepaa.models.base import mean_one, weighted_quantile
from hepaa.models.combined.ensemble import Ensemble
from hepaa.models.density.mixture import GaussianMixture
from hepaa.models.parameters import between
from hepaa.table.preprocess import event_weights

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from hepaa.models.base import Training
    from hepaa.models.combined.ensemble import Method

    Array = NDArray[np.float64]
    Rows = NDArray[np.float32]

_EVENTS = 5000  # at most, of each class, that features are chosen on


def distance(x: NDArray[Any], y: NDArray[Any], weight_x: Array, weight_y: Array) -> float:
    """Kolmogorov-Smirnov distance of two weighted samples, weights 0 or more: 0 .. 1."""
    value = np.concatenate([x, y])
    step = np.concatenate([weight_x / weight_x.sum(), -weight_y / weight_y.sum()])
    order = np.argsort(value, kind="stable")
    apart, last = np.cumsum(step[order]), np.append(np.diff(value[order]) > 0, True)
    return float(np.abs(apart[last]).max())


class RelevantDensity(Ensemble):
    """Mean of -log p of several densities, without what labelled anomalies show to be irrelevant.

    -log p is the likelihood ratio of a flat distribution to the background. In a feature that a signal shares with the
    background, flat is the wrong alternative: such features add noise, and should be integrated out. Which they are is
    not known of anomalies of another kind, but may be learned from labelled ones. A feature is left out if its
    distribution among labelled anomalies is like that among background and the mixture finds them better without it;
    the one that it does best without first. No direction is learned, in which anomalies would have to lie; but what is
    left out is not looked at any more, and labelled anomalies that are all alike make others harder to find.

    The Gaussian mixture among the members has all marginals in closed form, and lends them to the mean:

        -log p(x)  +  log p_mixture(left out | kept).

    Without labelled anomalies nothing is left out, and it is the ensemble of method "score".

    Parameters
    ----------
    members : list of names or detectors
        Densities, one of them a `GaussianMixture`.
    alike : float
        Largest Kolmogorov-Smirnov distance to the background, per feature, at which anomalies are like it.
    gain : float
        By how much the mixture's area under the ROC curve for the labelled anomalies has to rise, per feature.

    The other parameters and the attributes are those of `Ensemble`.

    Attributes
    ----------
    kept_ : int (k,)
        Columns that are not left out.
    """

    method: Method = field(default="score", init=False)
    handicap: Sequence[float] | None = field(default=None, init=False)
    slope: Sequence[float] | None = field(default=None, init=False)
    alike: float = 0.15
    gain: float = 0.005

    def _check_parameters(self) -> None:
        super()._check_parameters()
        between("alike", self.alike, 0, 1)
        between("gain", self.gain, 0, 1)

    def _fit(self, training: Training) -> None:
        super()._fit(training)
        self._keep(np.arange(training.background.shape[1]))
        if len(training.anomalies):
            self._choose(training.background, training.anomalies, training.weight, training.anomaly_weight)

    def tell(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Choose the features again, from other labelled anomalies; the densities stay as they are.

        Parameters
        ----------
        X : EventTable, DataFrame or (n, d) array
            Background and labelled anomalies; the background also gives the threshold.
        y : int (n,), optional
            0 background, 1 labelled anomaly. Default: the table's labels.
        sample_weight : (n,), optional
            Negative ones count as 0. Default: the table's weights, else 1.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If columns or labels are missing, a value is not finite, or one of the two classes is empty.
        """
        x = self.prepared(X)
        y = getattr(X, "label", None) if y is None else np.asarray(y)
        weight = getattr(X, "weight", None) if sample_weight is None else sample_weight
        if y is None or len(y) != len(x) or not (y == 0).any() or not (y == 1).any():
            raise InputError(f"tell needs a label for each of {len(x)} events, 0 background and 1 labelled anomaly")
        w = event_weights(weight, len(x))
        b, s = y == 0, y == 1
        self._choose(x[b], x[s], mean_one(w, b), mean_one(w, s))
        self.threshold_ = weighted_quantile(self._score(x[b]), 1 - self.contamination, mean_one(w, b))
        return self

    def _keep(self, kept: NDArray[np.int64]) -> None:
        mixtures = [member for member in self.members_ if isinstance(member, GaussianMixture)]
        if not mixtures:
            raise InputError("none of the members is a GaussianMixture, which marginals are taken from; add one")
        self.mixture_, self.kept_ = mixtures[0], kept
        self.marginal_ = self.mixture_.marginal(kept)

    def _choose(self, background: Rows, anomalies: Rows, *weights: Array | None) -> None:
        kept = np.arange(background.shape[1])
        rng = np.random.default_rng([self.seed, 4])
        some = [_some(rows, w, rng) for rows, w in zip((background, anomalies), weights, strict=True)]
        (b, weight_b), (s, weight_s) = some
        both, weight = np.concatenate([b, s]), np.concatenate([weight_b, weight_s])
        label = np.repeat([0, 1], [len(b), len(s)])
        usual = {j for j in kept if distance(b[:, j], s[:, j], weight_b, weight_s) < self.alike}

        def area(columns: NDArray[np.int64]) -> float:
            score = self.mixture_.marginal(columns)._score(np.ascontiguousarray(both[:, columns]))
            return float(roc_auc_score(label, score, sample_weight=weight))

        now = area(kept)
        while (tried := usual.intersection(kept)) and len(kept) > 1:
            best, column = max((area(kept[kept != j]), j) for j in tried)
            if best < now + self.gain:
                break
            now, kept = best, kept[kept != column]
        self._keep(kept)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return super()._arrays() | {"kept": self.kept_}

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        super()._restore(arrays, record)
        self._keep(arrays["kept"])

    def _score(self, x: NDArray[np.float32]) -> Array:
        score = super()._score(x)
        if len(self.kept_) == x.shape[1]:
            return score
        left_out = self.mixture_._score(x) - self.marginal_._score(np.ascontiguousarray(x[:, self.kept_]))
        return np.asarray(score - left_out)


def _some(x: Rows, weight: Array | None, rng: np.random.Generator) -> tuple[Rows, Array]:
    """At most `_EVENTS` of the rows, in their order, and their weights."""
    rows = np.sort(rng.permutation(len(x))[:_EVENTS])
    return x[rows], np.ones(len(rows)) if weight is None else np.maximum(weight[rows], 0.0)
