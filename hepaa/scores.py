"""Anomaly metrics of a fitted detector beyond its own score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.spatial import cKDTree

from hepaa.errors import InputError, nearest
from hepaa.models.clusters import CLUSTER_METRICS, ClusterMetric, Clusters, each_group

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from hepaa.models.vae.vae import VAE

Metric = ClusterMetric | Literal["knn"]
_METRICS: tuple[Metric, ...] = (*CLUSTER_METRICS, "knn")


def vae_scores(detector: VAE, X: Any) -> dict[str, NDArray[np.float64]]:
    """Reconstruction error, KL divergence and their sum for a VAE, each (n,): higher is more anomalous.

    Parameters
    ----------
    detector : VAE, AnomalyAwareVAE or ContrastiveVAE, fitted
    X : EventTable, DataFrame or (n, d) array

    Returns
    -------
    "reconstruction": E(x), the detector's own score. "kl": KL of the posterior from the prior. "elbo": E + beta KL, the
    negative evidence lower bound up to a constant (arXiv:1312.6114, eq. 3), with z = mu; for a flow posterior or a
    learned prior the KL is log q(z|x) - log p(z) at the flow's image of mu. Members are averaged.
    """
    out = _outputs(detector, X)
    kl = out["kl"].mean(axis=0, dtype=np.float64)
    error = detector.event_errors(out)
    return {"reconstruction": error, "kl": kl, "elbo": error + detector.beta * kl}


def importance_weighted(detector: VAE, X: Any, samples: int = 50, seed: int = 0) -> NDArray[np.float64]:
    """Importance-weighted estimate of -log p(x) up to a constant, (n,): higher is more anomalous.

    -log 1/S sum_s exp(-E(x, z_s)) p(z_s) / q(z_s|x) with S samples z_s of the posterior (Burda et al.,
    arXiv:1509.00519, eq. 8), exp(-E) being the likelihood that the reconstruction error stands for. S = 1 is the usual
    bound with beta = 1; the more samples, the closer to -log p(x). All events share the random numbers of `seed`, so
    that the score of an event does not depend on its company. Members are averaged.

    Raises
    ------
    InputError
        If this is no VAE, or `samples` is no whole number.
    """
    if not hasattr(detector, "importance_weighted"):
        raise InputError(f"{type(detector).__name__} has no latent space and reconstruction; take a VAE")
    return detector.importance_weighted(X, samples, seed)


def feature_errors(detector: VAE, X: Any) -> NDArray[np.float64]:
    """Share of every feature in the reconstruction error, (n, d) in the order of training: why is an event anomalous?

    Rows sum to the detector's score. Members are averaged.

    Raises
    ------
    InputError
        If this is no VAE, or its error is the energy mover's distance, which compares whole jets.
    """
    return detector.feature_errors(_outputs(detector, X))


def _outputs(detector: Any, X: Any) -> dict[str, NDArray[np.float32]]:
    """Outputs of a model with a Gaussian latent space."""
    out: dict[str, NDArray[np.float32]] = detector.outputs(X) if hasattr(detector, "outputs") else {}
    if not {"mu", "kl", "x_hat"} <= set(out):
        raise InputError(f"{type(detector).__name__} has no latent space and reconstruction; take a VAE")
    return out


class LatentDistance:
    """Distance of the latent mean from the nearest cluster of background.

    One cluster for each group of the events it is fitted on, such as a generator; without groups, one for all. Members
    are averaged.

    Parameters
    ----------
    detector : VAE, AnomalyAwareVAE or ContrastiveVAE, fitted
    metric : "mahalanobis", "euclidean", "cosine" or "knn"
        See `hepaa.models.clusters.Clusters`; "knn" is the distance from the k-th nearest event of the cluster. The
        first three are also scores that a VAE is trained with, and saved: `VAE(scored_by="mahalanobis")`.
    neighbours : int
        k of "knn".

    Attributes
    ----------
    groups_ : (g,) the groups, in order
    """

    def __init__(self, detector: VAE, metric: Metric = "mahalanobis", neighbours: int = 20) -> None:
        if metric not in _METRICS:
            raise InputError(f"metric {metric!r} is unknown; {nearest(str(metric), _METRICS)}")
        if neighbours < 1:
            raise InputError(f"neighbours is {neighbours!r}; it must be a whole number, 1 or more")
        self.detector: VAE = detector
        self.metric: Metric = metric
        self.neighbours = int(neighbours)

    def fit(self, X: Any, groups: ArrayLike | None = None) -> Self:
        """Learn the clusters from background X (n, d) and its groups (n,).

        Raises
        ------
        InputError
            If a group has fewer events than latent dimensions + 2 (or than neighbours), or lengths differ.
        """
        mu = _outputs(self.detector, X)["mu"].astype(np.float64)
        n = mu.shape[1]
        group = np.zeros(n, np.int64) if groups is None else np.asarray(groups)
        if group.shape != (n,):
            raise InputError(f"groups has shape {group.shape} for {n} events; give one group an event")
        self.groups_ = np.unique(group)
        if self.metric == "knn":
            rows = each_group(group, n, self.neighbours, f"{self.neighbours} neighbours")
            self._trees = [[cKDTree(member[its]) for its in rows] for member in mu]
        else:
            self.clusters_ = Clusters(self.metric).fit(mu, group)
        return self

    def distances(self, X: Any) -> NDArray[np.float64]:
        """Distance of each event from each group's cluster, (n, g)."""
        mu = _outputs(self.detector, X)["mu"].astype(np.float64)
        if self.metric != "knn":
            return self.clusters_.distances(mu)
        k = [self.neighbours]
        parts = [[tree.query(m, k)[0][:, 0] for tree in trees] for m, trees in zip(mu, self._trees, strict=True)]
        return np.asarray(np.mean(parts, axis=0).T)

    def __call__(self, X: Any) -> NDArray[np.float64]:
        """Distance of each event from the nearest cluster, (n,)."""
        return np.asarray(self.distances(X).min(axis=1))
