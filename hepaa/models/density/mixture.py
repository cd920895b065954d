"""Densities that need no gradient descent: a mixture of Gaussians, and the distance to the nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.cluster import kmeans_plusplus
from sklearn.neighbors import KDTree, NearestNeighbors

from hepaa.models.base import Detector
from hepaa.models.density.units import MEASURES, log_volume
from hepaa.models.parameters import between, one_of, whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hepaa.models.base import Training
    from hepaa.models.density.units import Measure

    Array = NDArray[np.float64]

_ROWS, _BLOCK = 8192, 1024  # at once, in training and scoring: n x components numbers then stay in the cache
_TREE_UP_TO = 8  # dimensions; in more, a tree visits most points, and comparing with all of them takes less time


class GaussianMixture(Detector):
    """Mixture of Gaussians with full covariances; score: -log p(x), by default per unit of the features as given.

    Fitted by expectation maximisation (Dempster, Laird, Rubin 1977) from k-means++ centres. Event weights count as so
    many events; negative ones are refused.

    Parameters
    ----------
    components : int
    iterations : int
        At most; fewer once the mean log-likelihood rises by less than 1e-4.
    floor : float
        Added to the variances, in units of the preprocessed features.
    restarts : int
        Mixtures from other centres; the score is the mean of -log p.
    seed : int
    measure : "features" or "preprocessed"
        Units of the density; see `hepaa.models.density.units.log_volume`.

    The other parameters and the attributes are those of `Detector`.

    Attributes
    ----------
    log_weights_, means_, precisions_ : (restarts, components), (.., d), (.., d, d)
        Precisions as lower triangles L^-1 of the covariances L L^T.
    """

    savable: ClassVar[bool] = True
    takes_negative_weights: ClassVar[bool] = False
    fitted_arrays: ClassVar[tuple[str, ...]] = ("log_weights_", "means_", "precisions_")

    components: int = 32
    iterations: int = 100
    floor: float = 1e-3
    restarts: int = 1
    seed: int = 0
    measure: Measure = "features"

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name in ("components", "iterations", "restarts"):
            whole(name, getattr(self, name))
        between("floor", self.floor, 0, ends="high")
        one_of("measure", self.measure, MEASURES)

    def _fit(self, training: Training) -> None:
        x = training.background.astype(np.float64)
        weight = np.ones(len(x)) if training.weight is None else training.weight
        fits = [
            self._one(x, weight, np.random.RandomState((self.seed * 1000 + i) % 2**32)) for i in range(self.restarts)
        ]
        self.log_weights_, self.means_, self.precisions_ = (np.stack(part) for part in zip(*fits, strict=True))

    def marginal(self, kept: Sequence[int] | NDArray[np.int64]) -> GaussianMixture:
        """The fitted mixture of some features alone: what integrating over the others leaves, in closed form.

        Parameters
        ----------
        kept : sequence of int
            Columns, one or more; the marginal takes rows of these, in this order.
        """
        columns = np.asarray(kept)
        part: GaussianMixture = clone(self)
        part.preprocessor_ = None if self.preprocessor_ is None else self.preprocessor_.part(columns)
        part.n_features_in_ = len(columns)
        part.log_weights_, part.means_ = self.log_weights_, self.means_[..., columns]
        spread = np.linalg.inv(self.precisions_)[..., columns, :]
        roots = np.linalg.cholesky(spread @ spread.swapaxes(-1, -2))
        part.precisions_ = np.linalg.solve(roots, np.broadcast_to(np.eye(len(columns)), roots.shape))
        return part

    def _one(self, x: Array, weight: Array, rng: np.random.RandomState) -> tuple[Array, Array, Array]:
        """Expectation maximisation on x (n, d)."""
        k, d = min(self.components, len(x)), x.shape[1]
        means, _ = kmeans_plusplus(x, k, sample_weight=weight, random_state=rng)
        share = np.eye(k)[KDTree(means).query(x, return_distance=False)[:, 0]]
        state = self._maximise(x, weight[:, None] * share)
        before = -np.inf
        for _ in range(self.iterations):
            joint = np.concatenate([_log_joint(piece, *state) for piece in np.array_split(x, 1 + len(x) // _ROWS)])
            total = logsumexp(joint, axis=1)
            now = float(weight @ total / weight.sum())
            if now - before < 1e-4 * d:
                break
            before = now
            state = self._maximise(x, weight[:, None] * np.exp(joint - total[:, None]))
        return state

    def _maximise(self, x: Array, share: Array) -> tuple[Array, Array, Array]:
        """Weights, means and precisions from the share (n, k) of each component in each event."""
        d = x.shape[1]
        mass = share.sum(axis=0) + 1e-9
        means = share.T @ x / mass[:, None]
        precisions = np.empty((len(mass), d, d))
        for j, mean in enumerate(means):
            off = x - mean
            covariance = (off * share[:, j, None]).T @ off / mass[j]
            covariance[np.diag_indices(d)] += self.floor
            precisions[j] = solve_triangular(np.linalg.cholesky(covariance), np.eye(d), lower=True)
        return np.log(mass / mass.sum()), means, precisions

    def _score(self, x: NDArray[np.float32]) -> Array:
        # Blocks of one size, so that an event's score does not depend on how many others are scored with it.
        blocks = np.zeros((-(-len(x) // _BLOCK), _BLOCK, x.shape[1]))
        blocks.reshape(-1, x.shape[1])[: len(x)] = x
        total = np.zeros(blocks.shape[:2])
        for state in zip(self.log_weights_, self.means_, self.precisions_, strict=True):
            total -= [logsumexp(_log_joint(rows, *state), axis=1) for rows in blocks]
        total = total.reshape(-1)[: len(x)]
        return np.asarray(total / len(self.means_) + log_volume(self.preprocessor_, x, self.measure))


def _log_joint(x: Array, log_weights: Array, means: Array, precisions: Array) -> Array:
    """log of weight x Gaussian density, (n, k)."""
    out = np.empty((len(x), len(means)))
    for j, (mean, root) in enumerate(zip(means, precisions, strict=True)):
        white = (x - mean) @ root.T
        out[:, j] = -0.5 * np.einsum("ij,ij->i", white, white) + np.log(np.diag(root)).sum()
    return np.asarray(out + log_weights - 0.5 * means.shape[1] * np.log(2 * np.pi))


class NearestNeighbours(Detector):
    """Density from the mean distance r to the nearest background events: d log r, by default per unit of the features.

    k neighbours within r in d dimensions mean a density of k / (V r^d) (Loftsgaarden, Quesenberry 1965), so the score
    is -log p up to a constant. With `neighbours` None, k is the square root of the number of background events, at
    which variance and smoothing both vanish as that number grows. Good in few dimensions.

    Parameters
    ----------
    neighbours : int or None
    measure : "features" or "preprocessed"
        Units of the density; see `hepaa.models.density.units.log_volume`.

    The other parameters and the attributes are those of `Detector`; distances are those of preprocessed features. Event
    weights act on preprocessing and threshold alone: a neighbour is a neighbour.
    """

    savable: ClassVar[bool] = True
    fitted_arrays: ClassVar[tuple[str, ...]] = ("points_",)

    neighbours: int | None = None
    measure: Measure = "features"

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("measure", self.measure, MEASURES)
        if self.neighbours is not None:
            whole("neighbours", self.neighbours)

    def _fit(self, training: Training) -> None:
        self.points_ = training.background
        self._plant()

    def _plant(self) -> None:
        n, d = self.points_.shape
        self.k_ = min(n - 1, round(n**0.5) if self.neighbours is None else self.neighbours)
        search = NearestNeighbors(n_neighbors=self.k_, algorithm="kd_tree" if d <= _TREE_UP_TO else "brute")
        self.search_ = search.fit(self.points_)

    def _restore(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        super()._restore(arrays, record)
        self._plant()

    def _score(self, x: NDArray[np.float32]) -> Array:
        distance = self.search_.kneighbors(x)[0].mean(axis=1)
        nearest: Array = x.shape[1] * np.log(np.maximum(distance, 1e-12))
        return nearest + log_volume(self.preprocessor_, x, self.measure)
