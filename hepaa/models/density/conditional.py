"""Densities of features given a mass, p(x | m): a background that the sidebands fix and the signal region borrows.

Both models see features through `Residuals`: the logit of each feature's range, less a location and over a scale that
are polynomials in the mass. What is left depends on the mass little or not at all, so that the model interpolates.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit, logit

from hepaa.errors import InputError, NotFittedError
from hepaa.models import saving
from hepaa.models.base import Estimator
from hepaa.models.density import gaussians
from hepaa.models.parameters import between, whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

DENSITIES: dict[str, type[ConditionalDensity]] = {}
"""Every conditional density by the name of its class: what saved files name."""

_MARGIN = 1e-3
"""The range of a feature is widened by this part of it on both sides."""
_EDGE = _MARGIN / (1 + 2 * _MARGIN)
"""Where the training events end in the widened range: a value beyond counts as the most extreme of them."""


@dataclass(frozen=True)
class Residuals:
    """Features without bounds and, to first and second order, without the mass.

    u = logit((x - low) / (high - low)), r = (u - location(m)) / scale(m); location and log scale are polynomials in
    the standardised mass, by least squares and by the Gaussian likelihood. A value outside the range of the events that
    it was learned from counts as the nearest of theirs: no model says anything about what it has not seen, and a logit
    that went on would make an event beside the range an outlier of any size.

    Attributes
    ----------
    low, high : (d,)
        Range of the training events, widened by a thousandth.
    centre, width : float
        Of the mass.
    location, log_scale : (degree + 1, d)
    """

    low: Array
    high: Array
    centre: float
    width: float
    location: Array
    log_scale: Array

    @classmethod
    def of(cls, x: Array, mass: Array, weight: Array | None, degree: int) -> Residuals:
        """Learned from rows x (n, d)."""
        w = np.ones(len(x)) if weight is None else weight
        low, high = x.min(axis=0), x.max(axis=0)
        margin = _MARGIN * (high - low)
        low, high = low - margin, high + margin
        centre = float(np.average(mass, weights=w))
        width = float(np.sqrt(np.average((mass - centre) ** 2, weights=w)))
        powers = np.vander((mass - centre) / width, degree + 1)
        u = logit((x - low) / (high - low))
        weighted = powers * w[:, None]
        location = np.linalg.solve(powers.T @ weighted, weighted.T @ u)
        square = (u - powers @ location) ** 2
        log_scale = np.zeros_like(location)
        log_scale[-1] = 0.5 * np.log(np.average(square, axis=0, weights=w))
        for i in range(x.shape[1]):
            for _ in range(8):  # Newton's steps of a convex function
                ratio = square[:, i] * np.exp(-2 * powers @ log_scale[:, i])
                curvature = 2 * (weighted * ratio[:, None]).T @ powers
                log_scale[:, i] += np.linalg.solve(curvature, weighted.T @ (ratio - 1))
        return cls(low, high, centre, width, location, log_scale)

    def __call__(self, x: Array, mass: Array) -> tuple[Array, Array]:
        """Residuals (n, d), and log |dr / dx| (n,), of values within the range."""
        powers = self._powers(mass)
        part = np.clip((x - self.low) / (self.high - self.low), _EDGE, 1 - _EDGE)
        log_scale = powers @ self.log_scale
        r = (logit(part) - powers @ self.location) * np.exp(-log_scale)
        slope = -np.log(part * (1 - part) * (self.high - self.low)) - log_scale
        return r, slope.sum(axis=1)

    def inverse(self, r: Array, mass: Array) -> Array:
        """Features (n, d) of residuals."""
        powers = self._powers(mass)
        part = expit(r * np.exp(powers @ self.log_scale) + powers @ self.location)
        return np.asarray(self.low + (self.high - self.low) * part)

    def _powers(self, mass: Array) -> Array:
        return np.vander((mass - self.centre) / self.width, len(self.location))

    def to_arrays(self) -> dict[str, Array]:
        """For a file."""
        return {f"residuals.{name}": np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Residuals:
        """What `to_arrays` gave."""
        values = {name: arrays[f"residuals.{name}"] for name in cls.__dataclass_fields__}
        return cls(**values | {name: float(values[name]) for name in ("centre", "width")})


class ConditionalDensity(Estimator):
    """Base of the densities p(x | m) of features given a mass.

    Parameters
    ----------
    degree : int
        Of the polynomials in the mass; 1 for a narrow range, 2 for a wide one.
    seed : int

    Attributes
    ----------
    residuals_ : Residuals
    n_features_in_ : int
    """

    degree: int = 2
    seed: int = 0

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")  # what `fit` learns last

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        DENSITIES[cls.__name__] = cls

    def fit(self, X: ArrayLike, mass: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from rows X (n, d) with masses (n,) and, optionally, weights (n,), none of them negative.

        Raises
        ------
        InputError
            If lengths differ, a value is not finite, a weight is negative, a feature or the mass is constant, or there
            are fewer events than 10 a feature.
        """
        whole("degree", self.degree)
        whole("seed", self.seed, 0)
        x, m = _rows(X, mass)
        w = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        if w is not None:
            if w.shape != m.shape or not np.isfinite(w).all() or (w < 0).any():
                raise InputError(f"{len(m)} events need as many finite weights, none negative, for a density")
            x, m, w = x[w > 0], m[w > 0], w[w > 0]
        if len(x) < 10 * x.shape[1]:
            raise InputError(f"{len(x)} events are too few for a density of {x.shape[1]} features: give 10 a feature")
        constant = [i for i in range(x.shape[1]) if x[:, i].min() == x[:, i].max()]
        if constant or m.min() == m.max():
            raise InputError(f"{'the mass' if not constant else f'feature {constant[0]}'} is constant: leave it out")
        self.residuals_ = Residuals.of(x, m, w, self.degree)
        self._fit(self.residuals_(x, m)[0], (m - self.residuals_.centre) / self.residuals_.width, w)
        self.n_features_in_ = x.shape[1]
        return self

    @abstractmethod
    def _fit(self, r: Array, t: Array, weight: Array | None) -> None:
        """Learn the density of residuals r (n, d) given standardised masses t (n,)."""

    @abstractmethod
    def _log_density(self, r: Array, t: Array) -> Array:
        """log p(r | t), (n,)."""

    @abstractmethod
    def _sample(self, t: Array, rng: np.random.Generator) -> Array:
        """Residuals (n, d), one for each standardised mass t (n,)."""

    def log_density(self, X: ArrayLike, mass: ArrayLike) -> Array:
        """log p(x | m) (n,) in units of the features; X (n, d), mass (n,).

        Values outside the range of the training events count as at its end, here and in `latent`.
        """
        x, m = self._checked(X, mass)
        r, log_slope = self.residuals_(x, m)
        return np.asarray(self._log_density(r, (m - self.residuals_.centre) / self.residuals_.width) + log_slope)

    def latent(self, X: ArrayLike, mass: ArrayLike) -> Array:
        """Coordinates (n, d) in which the mass is hardly left: the residuals, or what a model maps them to."""
        return self.residuals_(*self._checked(X, mass))[0]

    def sample(self, mass: ArrayLike, rng: np.random.Generator) -> Array:
        """One event (n, d) for each mass (n,)."""
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        m = np.asarray(mass, dtype=np.float64)
        r = self._sample((m - self.residuals_.centre) / self.residuals_.width, rng)
        return self.residuals_.inverse(r, m)

    def _checked(self, X: ArrayLike, mass: ArrayLike) -> tuple[Array, Array]:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        x, m = _rows(X, mass)
        if x.shape[1] != self.n_features_in_:
            raise InputError(f"{x.shape[1]} features for a density of {self.n_features_in_}: give the same columns")
        return x, m

    def save(self, path: str | Path) -> None:
        """Write arrays as safetensors to `path`, all else as JSON beside it (suffix .json)."""
        saving.save(self, path)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays of the file."""
        return self.residuals_.to_arrays() | self._arrays()

    def to_record(self) -> dict[str, Any]:
        """All else that is in the file, as JSON."""
        return {"parameters": self.get_params(deep=False), "n_features": self.n_features_in_}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> Self:
        """The fitted density from the two parts of its file."""
        made = cls(**record["parameters"])
        made.n_features_in_ = record["n_features"]
        made.residuals_ = Residuals.from_arrays(arrays)
        made._restore(arrays)
        return made

    @abstractmethod
    def _arrays(self) -> dict[str, NDArray[Any]]:
        """What `_fit` has learned."""

    @abstractmethod
    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what `_arrays` describes."""


class ConditionalMixture(ConditionalDensity):
    """Mixture of Gaussians with full covariances for the residuals of features given a mass.

    Density and samples are exact. With 25 components and 4 features, 65,000 events take 0.2 CPU-seconds.

    Parameters
    ----------
    components : int
    iterations : (int, int)
        Of expectation maximisation: on `first_rows` random events, then on all.
    first_rows : int
    shrinkage : float
        Added to the variances of all components, in units of the variance of the residuals; more features need more.

    The other parameters and the attributes are those of `ConditionalDensity`.

    Attributes
    ----------
    log_weights_, means_, covariances_ : (k,), (k, d), (k, d, d)
    """

    components: int = 25
    iterations: tuple[int, int] = (30, 10)
    first_rows: int = 10_000
    shrinkage: float = 1e-3

    def _fit(self, r: Array, t: Array, weight: Array | None) -> None:
        del t  # residuals do not depend on it any more
        for name in ("components", "first_rows"):
            whole(name, getattr(self, name))
        between("shrinkage", self.shrinkage, 0, ends="high")
        self.log_weights_, self.means_, self.covariances_ = gaussians.fit_mixture(
            r,
            weight,
            self.components,
            first_rows=self.first_rows,
            iterations=self.iterations,
            floor=self.shrinkage,
            rng=np.random.default_rng(self.seed),
        )

    def _log_density(self, r: Array, t: Array) -> Array:
        del t
        return gaussians.log_density(r, self.log_weights_, self.means_, self.covariances_)

    def _sample(self, t: Array, rng: np.random.Generator) -> Array:
        weights = np.exp(self.log_weights_)
        component = rng.choice(len(weights), len(t), p=weights / weights.sum())
        roots = np.linalg.cholesky(self.covariances_)
        noise = rng.standard_normal((len(t), self.means_.shape[1]))
        return np.asarray(self.means_[component] + np.einsum("nij,nj->ni", roots[component], noise))

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: getattr(self, name) for name in ("log_weights_", "means_", "covariances_")}

    def _restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.log_weights_, self.means_, self.covariances_ = (
            arrays[name] for name in ("log_weights_", "means_", "covariances_")
        )


def load_density(path: str | Path) -> ConditionalDensity:
    """Read a conditional density that its method `save` wrote.

    Raises
    ------
    InputError
        As `hepaa.load_detector`.
    """
    loaded: ConditionalDensity = saving.load(path, DENSITIES)
    return loaded


def _rows(X: ArrayLike, mass: ArrayLike) -> tuple[Array, Array]:
    x, m = np.asarray(X, dtype=np.float64), np.asarray(mass, dtype=np.float64)
    if x.ndim != 2 or m.shape != (len(x),):
        raise InputError(f"features and masses have shapes {x.shape} and {m.shape}: give (n, d) and (n,)")
    if not (np.isfinite(x).all() and np.isfinite(m).all()):
        raise InputError("a feature or mass is not finite: cut on it, or leave the column out")
    return x, m
