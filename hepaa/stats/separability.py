"""How well a linear map tells groups, such as generators, apart in a latent space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Separability:
    """Of held-out events, each group counting as much.

    Attributes
    ----------
    accuracy, error : float
        Mean over the groups of the share of events that are put into their own group, and its statistical error.
    chance : float
        What guessing gives: one over the number of groups.
    """

    accuracy: float
    error: float
    chance: float


def linear_probe(
    z: ArrayLike, groups: ArrayLike, *, weight: ArrayLike | None = None, folds: int = 5, seed: int = 0
) -> Separability:
    """Separability of groups by a logistic regression on z, every event being judged by a fit that did not see it.

    Linear probe (Alain and Bengio, arXiv:1610.01644) with scikit-learn's LogisticRegression on standardised columns,
    groups balanced, and stratified folds.

    Parameters
    ----------
    z : (n, d)
        Such as latent means, `outputs(X)["mu"][0]`, or an embedding.
    groups : (n,)
        Such as the generator of each event.
    weight : (n,), optional
        Of the events, >= 0.
    folds : int
    seed : int
        Of the folds.

    Raises
    ------
    InputError
        If lengths differ, there are fewer than two groups, or one has fewer events than folds.

    Examples
    --------
    >>> z = np.repeat([[0.0, 1.0], [1.0, 0.0]], 20, axis=0)
    >>> linear_probe(z, np.repeat(["pythia", "sherpa"], 20))
    Separability(accuracy=1.0, error=0.0, chance=0.5)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    points, group = np.asarray(z, dtype=np.float64), np.asarray(groups)
    w = np.ones(len(points)) if weight is None else np.asarray(weight, dtype=np.float64)
    if points.ndim != 2 or group.shape != (len(points),) or w.shape != group.shape:
        raise InputError(f"z has shape {points.shape}, groups {group.shape}, weight {w.shape}; give a row an event")
    names, counts = np.unique(group, return_counts=True)
    if len(names) < 2 or counts.min() < folds:
        raise InputError(
            f"{len(names)} groups, the smallest of {counts.min()} events; a probe of {folds} folds needs two groups "
            "and so many events in each"
        )
    right = np.zeros(len(group))
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(points, group):
        scale = StandardScaler().fit(points[train], sample_weight=w[train])
        probe = LogisticRegression(max_iter=1000, class_weight="balanced")
        probe.fit(scale.transform(points[train]), group[train], sample_weight=w[train])
        right[test] = probe.predict(scale.transform(points[test])) == group[test]
    share, variance = [], []
    for name in names:
        its = group == name
        p = float(np.average(right[its], weights=w[its]))
        share.append(p)
        variance.append(p * (1 - p) * np.sum(w[its] ** 2) / np.sum(w[its]) ** 2)
    return Separability(float(np.mean(share)), float(np.sqrt(np.sum(variance)) / len(names)), 1 / len(names))
