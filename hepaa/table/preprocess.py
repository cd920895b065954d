"""Preprocessing: logarithm of skewed features, then zero mean and unit variance, learned from background alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn.exceptions
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_array

from hepaa.errors import InputError, NotFittedError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray


class NotFitted(NotFittedError, sklearn.exceptions.NotFittedError):
    """hepaa's error for an object before `fit`, which scikit-learn recognises as its own."""


def matrix(X: Any) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Numbers and column names of a table, a data frame or an array.

    Parameters
    ----------
    X : EventTable (anything with `.X` and `.columns`), pandas DataFrame, or array-like (n, d)

    Returns
    -------
    (n, d) float array, float64 unless the input is float32, and the d names, None for a bare array.

    Raises
    ------
    InputError
        If this is not a matrix of real numbers, or a column stands twice.
    """
    names: tuple[str, ...] | None = None
    if hasattr(X, "columns") and hasattr(X, "X"):
        names, X = tuple(X.columns), X.X
    elif hasattr(X, "columns") and hasattr(X, "to_numpy"):
        names, X = tuple(str(c) for c in X.columns), X.to_numpy()
    twice = next((c for i, c in enumerate(names or ()) if c in (names or ())[:i]), None)
    if twice is not None:
        raise InputError(f"column {twice!r} stands twice; leave one out")
    try:
        numbers = check_array(
            X, dtype=[np.float64, np.float32], order="C", ensure_all_finite=False, input_name="X", ensure_min_samples=0
        )
    except ValueError as error:
        raise InputError(" ".join(str(error).split())) from error
    return numbers, names


def feature_name(names: Sequence[str] | None, column: int) -> str:
    """How messages call a column: its name, or its number."""
    return repr(names[column]) if names is not None else f"column {column}"


def refuse_not_finite(X: NDArray[Any], names: Sequence[str] | None) -> None:
    """Raise InputError that names the first column of X (n, d) with a NaN or an infinity, and the row."""
    if np.isfinite(X.sum(dtype=np.float64)):  # one pass without a mask decides the usual case
        return
    for column, values in enumerate(X.T):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            value = "NaN" if np.isnan(values[bad[0]]) else "infinity (inf)"
            raise InputError(
                f"{feature_name(names, column)} is {value} in row {bad[0]} ({len(bad)} of {len(X)} rows); "
                "cut such events away or mend the file"
            )


def align(
    X: NDArray[Any], names: Sequence[str] | None, expected: Sequence[str] | None, d: int, who: str
) -> NDArray[Any]:
    """The columns of X (n, d) in the order that a fitted object knows; by name where both sides have names.

    Raises
    ------
    InputError
        If a column is missing, or, without names, if the number of columns differs.
    """
    if names is not None and expected is not None:
        if tuple(names) == tuple(expected):
            return X
        missing = [c for c in expected if c not in names]
        if missing:
            raise InputError(f"{who} needs column {missing[0]!r}, which this table lacks; {nearest(missing[0], names)}")
        return np.ascontiguousarray(X[:, [list(names).index(c) for c in expected]])
    if X.shape[1] != d:
        raise InputError(f"X has {X.shape[1]} features, but {who} is expecting {d} features as input")
    return X


def event_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64] | None:
    """Weights (n,) as float64, None when all are equal.

    Raises
    ------
    InputError
        If their number is not n, one is not finite, or their sum is not positive.
    """
    if sample_weight is None:
        return None
    w = np.asarray(sample_weight, dtype=np.float64)
    if w.shape != (n,):
        raise InputError(f"sample_weight has shape {w.shape} for {n} events; give one weight an event")
    if not np.isfinite(w).all():
        raise InputError(f"sample_weight is {w[~np.isfinite(w)][0]} in row {int(np.flatnonzero(~np.isfinite(w))[0])}")
    if w.sum() <= 0:
        total = "are all zero" if not w.any() else f"sum to {w.sum():g}"
        raise InputError(f"the weights of the {n} background events {total}; their sum must be positive")
    return None if (w == w[0]).all() else w


def moments(X: NDArray[np.float64], w: NDArray[np.float64] | None) -> tuple[NDArray[np.float64], ...]:
    """Mean, variance and third central moment of each column of X (n, d) under weights w (n,)."""
    if w is None:
        mean = X.mean(axis=0)
        centred = X - mean
        squares = centred * centred
        return mean, squares.mean(axis=0), (squares * centred).mean(axis=0)
    p = w / w.sum()
    mean = p @ X
    centred = X - mean
    squares = centred * centred
    return mean, p @ squares, p @ (squares * centred)


class SkewLogStandardize(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Take log(1 + x) of skewed features, then shift and scale every feature to zero mean and unit variance.

    A feature whose skewness on the training background exceeds `threshold` has its negative values set to 0 and goes
    through log1p (arXiv:2504.11520, section 3), unless it is nowhere positive. Skewness is mu_3 / mu_2^(3/2) of the
    weighted distribution, the variance is the population variance; all statistics are float64.

    Parameters
    ----------
    threshold : float
        Skewness above which a feature is logged; None logs none, which is a plain standardisation.

    Attributes
    ----------
    log_ : bool (d,)
        Features that are logged.
    skewness_, mean_, scale_ : float64 (d,)
        Skewness before the logarithm; mean and standard deviation after it.
    """

    def __init__(self, threshold: float | None = 1.0) -> None:
        self.threshold = threshold

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the statistics from background events.

        Parameters
        ----------
        X : EventTable, DataFrame or (n, d) array
            Background alone.
        y : ignored
        sample_weight : (n,), optional
            Negative weights are allowed as long as sums and variances stay positive.

        Raises
        ------
        InputError
            If a feature is constant, NaN or infinite (the message names it), or there are fewer than 2 events.
        """
        del y
        numbers, names = matrix(X)
        if len(numbers) < 2:
            raise InputError(f"n_samples = {len(numbers)}: statistics need at least 2 background events")
        refuse_not_finite(numbers, names)
        w = event_weights(sample_weight, len(numbers))
        values = numbers.astype(np.float64)
        _, variance, third = self._statistics(values, w, names, "")
        self.skewness_: NDArray[np.float64] = third / variance**1.5
        limit = np.inf if self.threshold is None else self.threshold
        # log1p of a feature that is nowhere positive would be 0 everywhere
        self.log_: NDArray[np.bool_] = (self.skewness_ > limit) & (values.max(axis=0) > 0)
        values[:, self.log_] = np.log1p(np.maximum(values[:, self.log_], 0.0))
        self.mean_, variance, _ = self._statistics(values, w, names, " once negative values are 0")
        self.scale_: NDArray[np.float64] = np.sqrt(variance)
        self.n_features_in_ = numbers.shape[1]
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        return self

    @staticmethod
    def _statistics(
        values: NDArray[np.float64], w: NDArray[np.float64] | None, names: Sequence[str] | None, when: str
    ) -> tuple[NDArray[np.float64], ...]:
        """The moments, after a check that no feature is constant, and the variances make sense."""
        low, high = values.min(axis=0), values.max(axis=0)
        flat = np.flatnonzero(high - low <= 1e-12 * np.maximum(np.abs(low), np.abs(high)))
        if len(flat):
            raise InputError(
                f"{feature_name(names, flat[0])} is constant ({values[0, flat[0]]:g}) on background{when}: it carries "
                "no information; leave it out of the features"
            )
        mean, variance, third = moments(values, w)
        bad = np.flatnonzero(~(variance > 0) | ~np.isfinite(variance))
        if len(bad):
            raise InputError(
                f"the weighted variance of {feature_name(names, bad[0])} is {variance[bad[0]]:g} on background; "
                "too many negative weights, or values out of range"
            )
        return mean, variance, third

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Preprocessed features, float32 (n, d), columns matched by name where there are names.

        Raises
        ------
        InputError
            If a column is missing, or a value is NaN or infinite.
        NotFittedError
            Before `fit`.
        """
        if not hasattr(self, "mean_"):
            raise NotFitted("this SkewLogStandardize is not fitted yet: call fit first")
        numbers, names = matrix(X)
        known = self.feature_names_in_.tolist() if hasattr(self, "feature_names_in_") else None
        numbers = align(numbers, names, known, self.n_features_in_, type(self).__name__)
        refuse_not_finite(numbers, known)
        values = numbers.astype(np.float64)
        values[:, self.log_] = np.log1p(np.maximum(values[:, self.log_], 0.0))
        values -= self.mean_
        values /= self.scale_
        return values.astype(np.float32)

    def part(self, columns: NDArray[np.integer[Any]]) -> SkewLogStandardize:
        """The fitted transformation of these columns alone, in this order."""
        part = SkewLogStandardize(self.threshold)
        part.n_features_in_ = len(columns)
        for name in ("skewness_", "log_", "mean_", "scale_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(part, name, getattr(self, name)[columns])
        return part
