"""Pseudo-anomalies: noised background, and detectors that learn from it in place of labelled anomalies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.neighbors import NearestNeighbors

from hepaa.errors import InputError
from hepaa.models.base import weighted_quantile
from hepaa.models.parameters import between, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.models.base import Training


def smote(x: NDArray[np.float32], count: int, neighbours: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """`count` points between random rows of x (n, d) and one of their nearest `neighbours` (arXiv:1106.1813).

    A row is its own neighbour never; with fewer than `neighbours` other rows, all of them count as near.
    """
    near = min(neighbours, len(x) - 1)
    index = NearestNeighbors(n_neighbors=near + 1).fit(x).kneighbors(x, return_distance=False)[:, 1:]
    start = rng.integers(len(x), size=count)
    end = index[start, rng.integers(near, size=count)]
    step = rng.random((count, 1), dtype=np.float32)
    return np.asarray(x[start] + step * (x[end] - x[start]))


def check_pseudo_anomalies(sigma: float, noised: float, grown: float, neighbours: int) -> None:
    """Raise InputError unless the parameters of `with_pseudo_anomalies` make sense."""
    whole("neighbours", neighbours)
    between("sigma", sigma, 0)
    between("grown", grown, 0, 1, ends="none")
    between("noised", noised, 0, grown, ends="high")


def with_pseudo_anomalies(
    training: Training, *, sigma: float, noised: float, grown: float, neighbours: int, seed: int
) -> Training:
    """Background without the events that were noised, and pseudo-anomalies grown from these (arXiv:2305.18389).

    A random fraction `noised` of the background gets Gaussian noise of `sigma` standard deviations of the preprocessed
    features, and grows by SMOTE to a fraction `grown`.

    Raises
    ------
    InputError
        If a parameter makes no sense, or fewer than 2 events would remain.
    """
    check_pseudo_anomalies(sigma, noised, grown, neighbours)
    x = training.background
    rng = np.random.default_rng([seed, 2])
    to_noise = rng.permutation(len(x))[: max(2, round(noised * len(x)))]
    rest = np.setdiff1d(np.arange(len(x)), to_noise)
    if len(rest) < 2:
        raise InputError(f"{len(x)} background events are too few for pseudo-anomalies; give 4 or more")
    spoilt = x[to_noise] + rng.normal(0.0, sigma, (len(to_noise), x.shape[1])).astype(np.float32)
    more = max(0, round(grown * len(x)) - len(to_noise))
    return replace(
        training,
        background=np.ascontiguousarray(x[rest]),
        weight=None if training.weight is None else training.weight[rest] / training.weight[rest].mean(),
        group=None,  # pseudo-anomalies are of no generator
        stratum=None if training.stratum is None else training.stratum[rest],
        anomalies=np.concatenate([spoilt, smote(spoilt, more, neighbours, rng)]),
        anomaly_weight=None,
        anomaly_group=None,
    )


def around_background(training: Training, *, sigma: float, copies: int, seed: int) -> Training:
    """All background, and `copies` times as many pseudo-anomalies in and around it.

    Half of them are background events with Gaussian noise of `sigma` standard deviations along each principal component
    of the background: noise with the correlations of background, so that no direction gives it away. The other half is
    uniform in a box, from the 1st to the 99th percentile of each feature and a tenth of that width beyond.

    Raises
    ------
    InputError
        If a parameter makes no sense, or the background is a stream.
    """
    whole("copies", copies)
    between("sigma", sigma, 0)
    if training.stream is not None:
        raise InputError("pseudo-anomalies are made from the whole background: give a table in memory")
    x, weight = training.background, training.weight
    n, d = x.shape
    rng = np.random.default_rng([seed, 2])
    away = x - np.average(x, axis=0, weights=weight)
    weighted = away if weight is None else away * weight[:, None]
    variance, directions = np.linalg.eigh(away.T.astype(np.float64) @ weighted / n)
    spread = (directions * np.sqrt(np.maximum(variance, 0.0))).T.astype(np.float32)
    half = n * copies // 2
    event = np.resize(np.arange(n), n * copies - half)
    noised = x[event] + np.float32(sigma) * (rng.standard_normal((len(event), d), np.float32) @ spread)
    low, high = ([weighted_quantile(column, q, weight) for column in x.T] for q in (0.01, 0.99))
    margin = 0.1 * (np.array(high) - low)
    anywhere = rng.uniform(low - margin, high + margin, (half, d)).astype(np.float32)
    return replace(
        training,
        group=None,
        anomalies=np.concatenate([noised, anywhere]),
        anomaly_weight=None if weight is None else np.concatenate([weight[event], np.ones(half)]),
        anomaly_group=None,
    )
