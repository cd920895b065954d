"""The log-ratio of data to reference as a sum of Gaussian kernels: NPLM.

D'Agnolo and Wulzer, arXiv:1806.02350, with the kernels of Letizia et al., arXiv:2204.02317. The statistic is the
maximum of the extended likelihood ratio, t = 2 max_f [ sum_D f - sum_R w (e^f - 1) ].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import linalg

from hepaa.errors import InputError
from hepaa.models.parameters import between, whole
from hepaa.search.two_sample.statistic import Statistic
from hepaa.table.preprocess import SkewLogStandardize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_BLOCK = 4096
_PAIRS = 2000
_HIGHEST = 30.0  # exponent at which a step is taken to have run away
_TOLERANCE = 1e-5  # of ln L


@dataclass(frozen=True, eq=False)
class Solution:
    """Coefficients (p, toys) and twice the gain in ln L (toys,) of the best log-ratio for each toy."""

    coefficients: Array
    value: Array


def maximise(design: Array, data: Array, reference: Array, ridge: Array, constraint: Array) -> Solution:
    """Maximum of the extended likelihood over log-ratios f = design @ a, for many toys at once.

    ln L(a) = sum_i [ c_i f_i - v_i (e^f_i - 1) ] - constraint . a^2 / 2; the fit also pays ridge . a^2 / 2, which is no
    part of the value. Toys near the reference share one Hessian: each step costs two matrix products for all of them.
    Those that do not converge so get Newton steps of their own.

    Parameters
    ----------
    design : (n, p)
    data, reference : (n, toys)
        Weights c and v of each event in the data and in the reference of each toy.
    ridge, constraint : (p,)
    """
    pull = design.T @ data
    penalty = ridge + constraint
    a = np.zeros_like(pull)
    hessian = (design * reference.mean(axis=1)[:, None]).T @ design + np.diag(penalty)
    factor = linalg.cho_factor(hessian + 1e-12 * np.trace(hessian) / len(hessian) * np.eye(len(hessian)))
    active = np.arange(data.shape[1])
    previous = np.full(data.shape[1], np.inf)
    for _ in range(25):
        f = design @ a[:, active]
        calm = f.max(axis=0) < _HIGHEST
        expected = design.T @ (reference[:, active] * np.exp(np.minimum(f, _HIGHEST)))
        slope = pull[:, active] - expected - penalty[:, None] * a[:, active]
        step = linalg.cho_solve(factor, slope)
        gain = np.einsum("pt,pt->t", slope, step)
        calm &= gain < 0.7 * previous[active]  # slower than this, a Hessian of its own is cheaper
        previous[active] = gain
        a[:, active[calm]] += step[:, calm]
        active = active[calm & (gain > _TOLERANCE)]
        if not len(active):
            break
    f = design @ a
    for k in np.flatnonzero(previous > _TOLERANCE):
        a[:, k] = _newton(design, pull[:, k], reference[:, k], penalty)
        f[:, k] = design @ a[:, k]
    gain = np.einsum("pt,pt->t", pull, a) - np.einsum("nt,nt->t", reference, np.expm1(np.minimum(f, 300.0)))
    return Solution(a, 2 * gain - constraint @ a**2)


def _newton(design: Array, pull: Array, reference: Array, penalty: Array) -> Array:
    """One toy, with a Hessian a step and halved steps."""

    def loss(a: Array, f: Array) -> float:
        return float(reference @ np.expm1(np.minimum(f, 300.0)) - pull @ a + penalty @ a**2 / 2)

    a = np.zeros(len(pull))
    f = np.zeros(len(design))
    now = loss(a, f)
    for _ in range(100):
        h = reference * np.exp(np.minimum(f, 300.0))
        slope = pull - design.T @ h - penalty * a
        hessian = (design * h[:, None]).T @ design + np.diag(penalty)
        hessian[np.diag_indices_from(hessian)] += 1e-12 * np.trace(hessian) / len(hessian)
        step = linalg.solve(hessian, slope, assume_a="pos")
        gain = float(slope @ step)
        if gain < _TOLERANCE:
            return a
        size = 1.0
        along = design @ step
        while (trial := loss(a + size * step, f + size * along)) > now - 1e-4 * size * gain and size > 1e-6:
            size /= 2
        a, f, now = a + size * step, f + size * along, trial
    raise InputError(
        "the log-ratio of data to reference does not converge: the reference has no events where the data have many; "
        "use a larger reference or a larger ridge"
    )


@dataclass(kw_only=True, eq=False)
class KernelRatio(Statistic):
    """NPLM with Nystroem kernels: the log-ratio is a smooth function, its norm is what the ridge costs.

    Centres are events of the reference. The functions that they span are turned to the principal axes of the
    reference, and those that the ridge suppresses are left out, so a toy costs milliseconds.

    Parameters
    ----------
    width : float
        Of the Gaussian kernel, in units of the 90th percentile of the distance of two events, on standardised features.
        The literature takes 1; wider kernels find broad differences with less noise.
    centres : int
        The literature takes at least the square root of the number of events.
    ridge : float
        Cost of the squared norm of the log-ratio, in units of ln L. The literature takes it as small as is stable.
    """

    profiles: ClassVar[bool] = True

    width: float = 2.0
    centres: int = 600
    ridge: float = 0.1

    def __post_init__(self) -> None:
        between("width", self.width, 0, ends="none")
        between("ridge", self.ridge, 0, ends="none")
        whole("centres", self.centres, 2)

    def fit(self, X: Array, weight: Array, rng: np.random.Generator, *, rate: bool) -> None:
        """Choose width, centres and axes from the reference alone."""
        self.rate = rate
        self._prepare = SkewLogStandardize().fit(X, sample_weight=weight)
        x = self._prepare.transform(X).astype(np.float64)
        share = weight / weight.sum()
        one, other = (x[rng.choice(len(x), _PAIRS, p=share)] for _ in range(2))
        distance = np.sqrt(np.square(one - other).sum(axis=1))
        self._width = self.width * float(np.quantile(distance[distance > 0], 0.9))
        able = int(np.count_nonzero(weight))
        self._centres = x[rng.choice(len(x), min(self.centres, able), replace=False, p=share)]
        values, vectors = np.linalg.eigh(self._kernel(self._centres))
        kept = values > 1e-10 * values[-1]
        self._axes = vectors[:, kept] / np.sqrt(values[kept])
        functions = self._functions(x)
        values, vectors = np.linalg.eigh((functions * share[:, None]).T @ functions)
        self._axes = self._axes @ vectors[:, ::-1]
        self._size: Array = values[::-1]

    def _kernel(self, x: Array) -> Array:
        squares = np.square(x).sum(axis=1)[:, None] + np.square(self._centres).sum(axis=1) - 2 * x @ self._centres.T
        return np.asarray(np.exp(-np.maximum(squares, 0.0) / (2 * self._width**2)))

    def _functions(self, x: Array) -> Array:
        parts = [self._kernel(x[i : i + _BLOCK]) @ self._axes for i in range(0, len(x), _BLOCK)]
        return np.concatenate([np.empty((0, self._axes.shape[1])), *parts])

    def rows(self, X: Array) -> Array:
        """A constant and the values of all functions, (n, p)."""
        functions = self._functions(self._prepare.transform(X).astype(np.float64))
        return np.concatenate([np.ones((len(X), 1)), functions], axis=1)

    def reduced(self, rows: Array, events: float) -> Array:
        """Only the functions that so many events can see against the ridge."""
        seen = int(np.count_nonzero(self._size * events > 1e-3 * self.ridge))
        return np.ascontiguousarray(rows[:, : 1 + max(seen, 1)])

    def _cost(self, p: int, tilts: int) -> tuple[Array, Array]:
        ridge = np.full(p, self.ridge)
        ridge[0] = 0.0
        return np.concatenate([ridge, np.zeros(tilts)]), np.concatenate([np.zeros(p), np.ones(tilts)])

    def tilts(self, rows: Array, reference: Array, varied: Array) -> Array:
        """Log-ratio of each variation (n, k) to the reference (n,), as coefficients (p, k)."""
        base = np.repeat(reference[:, None], varied.shape[1], axis=1)
        return maximise(rows, varied, base, *self._cost(rows.shape[1], 0)).coefficients

    def values(self, rows: Array, data: Array, reference: Array, tilts: Array | None = None) -> Array:
        """The statistic t; with tilts, t = 2 max over f and tilts minus 2 max over tilts alone (arXiv:2111.13633)."""
        p = rows.shape[1]
        if tilts is None:
            return maximise(rows, data, reference, *self._cost(p, 0)).value
        tilted = rows @ tilts
        k = tilts.shape[1]
        both = maximise(np.concatenate([rows, tilted], axis=1), data, reference, *self._cost(p, k))
        constraint = np.ones(k)
        if not self.rate:  # the total is free in both
            tilted, constraint = np.concatenate([rows[:, :1], tilted], axis=1), np.concatenate([[0.0], constraint])
        return both.value - maximise(tilted, data, reference, np.zeros(len(constraint)), constraint).value

    def log_ratio(self, rows: Array, data: Array, reference: Array) -> Callable[[Array], Array]:
        """The learned log-ratio, as a function of rows."""
        a = maximise(rows, data[:, None], reference[:, None], *self._cost(rows.shape[1], 0)).coefficients[:, 0]
        return lambda other: np.asarray(other @ a)

    def law(self, rows: Array, reference: Array, tilts: Array | None = None) -> Array | None:
        """Weights of the sum of squared unit Gaussians that t is for many events, where the reference is true.

        To second order, t is a quadratic form of the difference of data and reference in each function; both
        fluctuate, the reference by the squares of its weights, and so do the tilts.
        """
        k = 0 if tilts is None else tilts.shape[1]
        ridge, constraint = self._cost(rows.shape[1], k)
        design = rows if tilts is None else np.concatenate([rows, rows @ tilts], axis=1)
        if not self.rate:  # the constant makes the totals agree
            design = design[:, 1:] - reference @ design[:, 1:] / reference.sum()
            ridge, constraint = ridge[1:], constraint[1:]
        information = (design * reference[:, None]).T @ design
        noise = (design * (reference + reference**2)[:, None]).T @ design
        m = np.linalg.pinv(information + np.diag(ridge + constraint))
        form = 2 * m - m @ (information + np.diag(constraint)) @ m
        if k:
            noise += information[:, -k:] @ information[-k:]
            form[-k:, -k:] -= np.linalg.inv(information[-k:, -k:] + np.eye(k))
        values, vectors = np.linalg.eigh(noise)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(np.linalg.eigvalsh(root.T @ form @ root))
