"""Anomaly metrics of a fitted detector beyond its own score, and their combination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.stats.calibration import conformal_pvalues

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from hepaa.models.vae import VAE

Combination = Literal["fisher", "mean", "max"]
_COMBINATIONS: tuple[Combination, ...] = ("fisher", "mean", "max")


def vae_scores(detector: VAE, X: Any) -> dict[str, NDArray[np.float64]]:
    """Reconstruction error, KL divergence and their sum for a VAE, each (n,): higher is more anomalous.

    Parameters
    ----------
    detector : VAE or AnomalyAwareVAE, fitted
    X : EventTable, DataFrame or (n, d) array

    Returns
    -------
    "reconstruction": E(x), the detector's own score. "kl": KL of the posterior from N(0, 1). "elbo": E + beta KL, minus
    the evidence lower bound up to a constant (arXiv:1312.6114, eq. 3), with z = mu; for a flow posterior the KL is
    log q(z|x) - log p(z) at the flow's image of mu. Members are averaged.
    """
    out = _outputs(detector, X)
    kl = out["kl"].mean(axis=0, dtype=np.float64)
    error = feature_errors(detector, X).sum(axis=1)
    return {"reconstruction": error, "kl": kl, "elbo": error + detector.beta * kl}


def feature_errors(detector: VAE, X: Any) -> NDArray[np.float64]:
    """Share of every feature in the reconstruction error, (n, d) in the order of training: why is an event anomalous?

    Rows sum to the detector's score. Members are averaged.
    """
    out = _outputs(detector, X)
    x, x_hat = out["x"].astype(np.float64), out["x_hat"].astype(np.float64)
    if detector.reconstruction == "bce":
        error = np.logaddexp(0, x_hat) - x * x_hat
    else:
        distance = np.abs(x - x_hat)
        error = distance**2
        if detector.reconstruction == "huber":
            error = np.where(distance < 1, error, 2 * distance - 1)
    mean: NDArray[np.float64] = error.mean(axis=0)
    return mean


def _outputs(detector: Any, X: Any) -> dict[str, NDArray[np.float32]]:
    """Outputs of a model with a Gaussian latent space."""
    out: dict[str, NDArray[np.float32]] = detector.outputs(X) if hasattr(detector, "outputs") else {}
    if not {"mu", "kl", "x_hat"} <= set(out):
        raise InputError(f"{type(detector).__name__} has no latent space and reconstruction; take a VAE")
    return out


class LatentDistance:
    """Mahalanobis distance of the latent mean from the nearest cluster of background.

    One cluster for each group of the events it is fitted on, such as a generator; without groups, one for all. A
    cluster is its mean and its covariance matrix; distances are not squared. Members are averaged.

    Parameters
    ----------
    detector : VAE or AnomalyAwareVAE, fitted

    Attributes
    ----------
    groups_ : (g,) the groups, in order
    """

    def __init__(self, detector: VAE) -> None:
        self.detector = detector

    def fit(self, X: Any, groups: ArrayLike | None = None) -> Self:
        """Learn the clusters from background X (n, d) and its groups (n,).

        Raises
        ------
        InputError
            If a group has fewer events than latent dimensions + 2, or lengths differ.
        """
        mu = _outputs(self.detector, X)["mu"].astype(np.float64)
        members, n, latent = mu.shape
        group = np.zeros(n, np.int64) if groups is None else np.asarray(groups)
        if group.shape != (n,):
            raise InputError(f"groups has shape {group.shape} for {n} events; give one group an event")
        self.groups_ = np.unique(group)
        self.means_ = np.empty((members, len(self.groups_), latent))
        self.whitening_ = np.empty((members, len(self.groups_), latent, latent))
        for j, name in enumerate(self.groups_):
            rows = mu[:, group == name]
            if rows.shape[1] < latent + 2:
                raise InputError(
                    f"group {name} has {rows.shape[1]} events, too few for a covariance of {latent} dimensions"
                )
            self.means_[:, j] = rows.mean(axis=1)
            for k in range(members):
                # a latent dimension that the posterior ignores has almost no spread: the floor keeps it harmless
                values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(rows[k].T)))
                floor = max(values[-1] * 1e-6, np.finfo(np.float64).tiny)
                self.whitening_[k, j] = vectors / np.sqrt(np.maximum(values, floor))
        return self

    def distances(self, X: Any) -> NDArray[np.float64]:
        """Distance of each event from each group's cluster, (n, g)."""
        mu = _outputs(self.detector, X)["mu"].astype(np.float64)
        offset = mu[:, :, None, :] - self.means_[:, None, :, :]
        white = np.einsum("kngi,kgij->kngj", offset, self.whitening_)
        found: NDArray[np.float64] = np.sqrt((white**2).sum(axis=-1)).mean(axis=0)
        return found

    def __call__(self, X: Any) -> NDArray[np.float64]:
        """Distance of each event from the nearest cluster, (n,)."""
        nearest_one: NDArray[np.float64] = self.distances(X).min(axis=1)
        return nearest_one


class RankCombination:
    """One score out of several: each becomes a p-value against background, and the p-values are combined.

    The p-values are conformal (`hepaa.stats.calibration`): only the order of each score matters, so
    that scores on different scales count the same.

    Parameters
    ----------
    method : "fisher", "mean" or "max"
        -2 sum ln p (Fisher 1925); minus the mean of p; minus the smallest p times their number (Bonferroni).
    """

    def __init__(self, method: Combination = "fisher") -> None:
        if method not in _COMBINATIONS:
            raise InputError(f"method {method!r} is unknown; {nearest(str(method), _COMBINATIONS)}")
        self.method = method

    def fit(self, scores: Mapping[str, ArrayLike]) -> Self:
        """Take the scores of background, each (n,), by name.

        Raises
        ------
        InputError
            If there is none, or one holds a NaN.
        """
        if not scores:
            raise InputError("there is no score to combine")
        self.reference_ = {name: np.sort(np.asarray(values, dtype=np.float64)) for name, values in scores.items()}
        return self

    def __call__(self, scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Combined score (m,), higher is more anomalous; every score of `fit` must be there.

        Raises
        ------
        InputError
            If one is missing or holds a NaN.
        """
        missing = [name for name in self.reference_ if name not in scores]
        if missing:
            raise InputError(f"score {missing[0]!r} is missing; {nearest(missing[0], scores)}")
        p = np.array([conformal_pvalues(values, scores[name]) for name, values in self.reference_.items()])
        if self.method == "fisher":
            return np.asarray(-2 * np.log(p).sum(axis=0))
        return np.asarray(-p.mean(axis=0) if self.method == "mean" else -p.min(axis=0) * len(p))
