"""Gaussian mixtures as matrix products: the log of every component in every event at once.

log N(x | mean, covariance) is linear in the products of the coordinates, so that all components of a mixture are one
matrix product of `products(x)` (n, f) with `coefficients` (f, k), and the sums that expectation maximisation needs are
another. In 4 dimensions this is four times as fast as whitening for each component in turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.cluster import kmeans_plusplus

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ROWS = 8192  # rows x components stay in the cache


def products(x: Array) -> Array:
    """1, x_i and x_i x_j (i >= j) of rows x (n, d): (n, f), f = 1 + d + d (d + 1) / 2."""
    n, d = x.shape
    i, j = np.tril_indices(d)
    out = np.empty((n, 1 + d + len(i)))
    out[:, 0], out[:, 1 : 1 + d] = 1.0, x
    np.multiply(x[:, i], x[:, j], out=out[:, 1 + d :])
    return out


def coefficients(log_weights: Array, means: Array, covariances: Array) -> Array:
    """Coefficients (f, k) of `products` in log(weight N(x | mean, covariance)); (k,), (k, d), (k, d, d)."""
    d = means.shape[1]
    i, j = np.tril_indices(d)
    precision = np.linalg.inv(covariances)
    linear = np.einsum("kij,kj->ki", precision, means)
    constant = log_weights - 0.5 * (
        np.einsum("ki,ki->k", linear, means) + d * np.log(2 * np.pi) + np.linalg.slogdet(covariances)[1]
    )
    squares = precision[:, i, j] * np.where(i == j, -0.5, -1.0)
    return np.concatenate([constant[:, None], linear, squares], axis=1).T


def moments(sums: Array, d: int) -> tuple[Array, Array, Array]:
    """Mass (k,), mean (k, d) and covariance (k, d, d) from sums of weighted `products` (k, f), masses positive."""
    i, j = np.tril_indices(d)
    mass = sums[:, 0]
    mean = sums[:, 1 : 1 + d] / mass[:, None]
    second = np.empty((len(sums), d, d))
    second[:, i, j] = sums[:, 1 + d :] / mass[:, None]
    second[:, j, i] = second[:, i, j]
    return mass, mean, second - mean[:, :, None] * mean[:, None, :]


def log_density(x: Array, log_weights: Array, means: Array, covariances: Array) -> Array:
    """log of the mixture (n,) at rows x (n, d); in blocks of one size, so that an event's value is its own."""
    table = coefficients(log_weights, means, covariances)
    out = np.empty(-(-len(x) // _ROWS) * _ROWS)
    for first in range(0, len(x), _ROWS):
        block = np.zeros((_ROWS, x.shape[1]))
        rows = x[first : first + _ROWS]
        block[: len(rows)] = rows
        out[first : first + _ROWS] = _log_sum(table.T @ products(block).T)[0]
    return out[: len(x)]


def _log_sum(joint: Array) -> tuple[Array, Array]:
    """log of the sum of exp(joint) over the components (n,), and their shares (k, n), which overwrite `joint`.

    Events lie side by side, so that all steps are vector instructions.
    """
    highest = joint.max(axis=0)
    np.subtract(joint, highest, out=joint)
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    np.divide(joint, total, out=joint)
    return highest + np.log(total), joint


def fit_mixture(
    x: Array,
    weight: Array | None,
    components: int,
    *,
    first_rows: int,
    iterations: tuple[int, int],
    floor: float,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    """Expectation maximisation (Dempster, Laird, Rubin 1977) from k-means++ centres.

    Parameters
    ----------
    x : (n, d)
    weight : (n,) or None
        An event of weight 2 counts as two; none negative.
    components : int
    first_rows, iterations : int, (int, int)
        The first iterations take this many random rows alone; the others take all.
    floor : float
        Variance of one event's worth of prior in every component, added to the covariances.
    rng : numpy.random.Generator

    Returns
    -------
    log_weights, means, covariances : (k,), (k, d), (k, d, d)
    """
    n, d = x.shape
    w = np.ones(n) if weight is None else weight
    rows = np.sort(rng.permutation(n)[:first_rows])
    k = min(components, len(rows))
    seed = np.random.RandomState(int(rng.integers(2**31)))
    centres, _ = kmeans_plusplus(x[rows], k, sample_weight=w[rows], random_state=seed)
    nearest = np.argmin(
        (x[rows] ** 2).sum(axis=1)[:, None] - 2 * x[rows] @ centres.T + (centres**2).sum(axis=1), axis=1
    )
    first = products(x[rows])
    state = _maximise((np.eye(k)[nearest] * w[rows, None]).T @ first, d, floor)
    for values, event_weight, times in ((first, w[rows], iterations[0]), (products(x), w, iterations[1])):
        for _ in range(times):
            table = coefficients(*state)
            sums = np.zeros((k, table.shape[0]))
            for start in range(0, len(values), _ROWS):
                block = values[start : start + _ROWS]
                share = _log_sum(table.T @ block.T)[1]
                share *= event_weight[start : start + _ROWS]
                sums += share @ block
            state = _maximise(sums, d, floor)
    return state


def _maximise(sums: Array, d: int, floor: float) -> tuple[Array, Array, Array]:
    total = sums[:, 0].sum()
    mass, mean, covariance = moments(sums + 1e-9 * (np.arange(sums.shape[1]) == 0), d)
    return np.log(mass / total), mean, covariance + floor * np.eye(d)
