"""Clusters of background in a latent space, one for each generator, and how far an event is from the nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ClusterMetric = Literal["mahalanobis", "euclidean", "cosine"]
CLUSTER_METRICS: tuple[ClusterMetric, ...] = get_args(ClusterMetric)


def each_group(group: NDArray[Any] | None, n: int, least: int, purpose: str) -> list[NDArray[np.bool_]]:
    """Rows of each group of n events, in the order of the groups' names; all of them without groups.

    Raises
    ------
    InputError
        If a group has fewer than `least` events.
    """
    if group is None:
        group = np.zeros(n, np.int64)
    rows = [group == name for name in np.unique(group)]
    for name, its in zip(np.unique(group), rows, strict=True):
        if its.sum() < least:
            raise InputError(f"group {name} has {int(its.sum())} events, too few for {purpose}")
    return rows


class Clusters:
    """Mean and covariance of every group's points.

    Parameters
    ----------
    metric : "mahalanobis", "euclidean" or "cosine"
        Distance from the mean of a cluster, in units of its covariance (not squared) or as it is; one minus the cosine
        of the angle with the mean direction of the cluster, which is what contrastive training shapes.

    Attributes
    ----------
    means_ : float64 (members, groups, latent)
    whitening_ : float64 (members, groups, latent, latent)
        Turns the covariance of each cluster into unity.
    """

    def __init__(self, metric: ClusterMetric) -> None:
        self.metric = metric

    @staticmethod
    def check(group: NDArray[Any] | None, n: int, latent: int) -> list[NDArray[np.bool_]]:
        """Rows of each group.

        Raises
        ------
        InputError
            If a group has fewer events than latent dimensions + 2.
        """
        return each_group(group, n, latent + 2, f"a covariance of {latent} dimensions")

    def fit(self, points: Array, group: NDArray[Any] | None = None, weight: Array | None = None) -> Self:
        """Learn the clusters of points (members, n, latent) with groups (n,) and weights (n,)."""
        rows = self.check(group, points.shape[1], points.shape[2])
        if self.metric == "cosine":
            points = unit(points)
        weights = [None if weight is None else weight[its] for its in rows]
        each = [[(member[its], w) for its, w in zip(rows, weights, strict=True)] for member in points]
        self.means_ = np.array([[np.average(p, axis=0, weights=w) for p, w in member] for member in each])
        self.whitening_ = np.array([[_whitening(p, w) for p, w in member] for member in each])
        return self

    def distances(self, points: Array) -> Array:
        """Distance of points (members, n, latent) from each cluster, averaged over members, (n, groups)."""
        return np.asarray(self.of_members(points).mean(axis=0))

    def of_members(self, points: Array) -> Array:
        """Distance of points (members, n, latent) from each cluster, (members, n, groups)."""
        if self.metric == "cosine":
            return np.asarray(1 - np.einsum("kni,kgi->kng", unit(points), unit(self.means_)))
        offset = points[:, :, None, :] - self.means_[:, None, :, :]
        if self.metric == "mahalanobis":
            offset = np.einsum("kngi,kgij->kngj", offset, self.whitening_)
        return np.asarray(np.sqrt((offset**2).sum(axis=-1)))

    def arrays(self) -> dict[str, Array]:
        """All that there is to keep."""
        return {"means": self.means_, "whitening": self.whitening_}

    @classmethod
    def of_arrays(cls, metric: ClusterMetric, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """From what `arrays` gave."""
        made = cls(metric)
        made.means_, made.whitening_ = arrays["means"], arrays["whitening"]
        return made


def unit(points: Array) -> Array:
    """Points (..., latent) on the unit sphere; the origin stays."""
    length = np.linalg.norm(points, axis=-1, keepdims=True)
    return np.asarray(points / np.where(length > 0, length, 1.0))


def _whitening(points: Array, weight: Array | None) -> Array:
    """Matrix that turns the covariance of points (n, latent) into unity."""
    covariance = np.atleast_2d(np.cov(points.T))
    if weight is not None:
        offset = points - np.average(points, axis=0, weights=weight)
        covariance = (offset * weight[:, None]).T @ offset / weight.sum() * len(points) / (len(points) - 1)
    # a latent dimension that the posterior ignores has almost no spread: the floor keeps it harmless
    values, vectors = np.linalg.eigh(covariance)
    floor = max(values[-1] * 1e-6, np.finfo(np.float64).tiny)
    return np.asarray(vectors / np.sqrt(np.maximum(values, floor)))
