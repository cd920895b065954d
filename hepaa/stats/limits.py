"""Upper limits on a signal from a binned score: asymptotic CLs, with uncertainties that bins share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from hepaa.errors import InputError
from hepaa.stats.reach import moved_with, statistical_error
from hepaa.stats.response import Response, response_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Standard deviations of the background at which expected limits are quoted."""


@dataclass(frozen=True)
class Limit:
    """Upper limit on the signal strength mu: signal yields are mu * s.

    Attributes
    ----------
    observed : float or None
        None where no data were given.
    expected : tuple of floats
        For data of the background alone, fluctuated by -2, -1, 0, 1, 2 standard deviations, unless asked otherwise.
    level : float
        Confidence level.
    """

    observed: float | None
    expected: tuple[float, ...]
    level: float


def upper_limit(
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    n_obs: ArrayLike | None = None,
    shifts: ArrayLike | Response | None = None,
    level: float = 0.95,
    bands: Sequence[float] = BANDS,
) -> Limit:
    """Asymptotic CLs upper limit on the signal strength from a binned score.

    Test statistic q~_mu of Cowan et al., Eur. Phys. J. C 71 (2011) 1554, eq. 16, with the distributions of eqs. 64-66;
    CLs of A. Read, J. Phys. G 28 (2002) 2693. Every bin has its own Poisson-constrained background uncertainty,
    profiled in closed form; shared Gaussian nuisances t_k make the background b_i (1 + sum_k t_k r_ki), or what a
    `Response` says. Uncertainties of the signal need the workspace (`hepaa.stats.workspace`).

    Parameters
    ----------
    s, b : (bins,)
        Expected yields; some s must be positive and none negative, b > 0.
    sigma_b : (bins,), optional
        Absolute uncertainty of b, uncorrelated between bins.
    n_obs : (bins,), optional
        Observed counts.
    shifts : (k, bins) or Response, optional
        Relative shift of b at +1 standard deviation of each shared nuisance, or all of the response of b.
    level : float
    bands : sequence of float
        Standard deviations of the background at which the expected limit is given.

    Raises
    ------
    InputError
        If yields are not as above.
    """
    s, b = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (s, b))
    sigma = np.zeros(len(b)) if sigma_b is None else np.atleast_1d(np.asarray(sigma_b, dtype=np.float64))
    if not (
        s.shape == b.shape == sigma.shape and np.all(s >= 0) and np.any(s > 0) and np.all(b > 0) and np.all(sigma >= 0)
    ):
        raise InputError(
            "an upper limit needs s >= 0 (not all 0), b > 0 and sigma_b >= 0 in every bin; merge bins first"
        )
    r = response_of(shifts, len(b))
    with np.errstate(divide="ignore"):
        m = b**2 / sigma**2
    prior = _Counts(s, b, m, r, b, m, np.zeros(len(r)))
    expected = tuple(_limit(prior, 1 - level, band) for band in bands)
    if n_obs is None:
        return Limit(None, expected, level)
    n = np.atleast_1d(np.asarray(n_obs, dtype=np.float64))
    if n.shape != b.shape or not np.all(n >= 0):
        raise InputError(f"observed counts of shape {n.shape} for {len(b)} bins: give one count >= 0 a bin")
    return Limit(_limit(_Counts(s, b, m, r, n, m, prior.t0), 1 - level, None), expected, level)


def median_limit_error(
    limit: float,
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    stat_s: ArrayLike,
    stat_b: ArrayLike,
    shifts: ArrayLike | Response | None = None,
) -> float:
    """Statistical error of the median expected limit, from the finite simulation behind the yields.

    At the median limit the Asimov q~ has a fixed value, whatever the yields; so the error of the limit is that of
    sqrt(q~) over its slope in the strength. sigma_b^2 moves with b, as it does for simulated events.

    Parameters
    ----------
    limit : float
        The median that `upper_limit` gave for the other arguments.
    s, b, sigma_b, shifts
        As for `upper_limit`.
    stat_s, stat_b : (bins,)
        Statistical errors of s and b.
    """
    signal, background = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (s, b))
    sigma = np.zeros(len(background)) if sigma_b is None else np.atleast_1d(np.asarray(sigma_b, dtype=np.float64))
    r = response_of(shifts, len(background))

    def root_q(mu: float, s: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        with np.errstate(divide="ignore"):
            m = b**2 / moved_with(b, background, sigma) ** 2
        counts = _Counts(s, b, m, r, b, m, np.zeros(len(r)))
        return float(np.sqrt(max(counts.twice_nll(mu) - counts.twice_nll(0.0), 0.0)))

    spread = statistical_error(partial(root_q, limit), signal, background, stat_s=stat_s, stat_b=stat_b)
    slope = (root_q(1.01 * limit, signal, background) - root_q(0.99 * limit, signal, background)) / (0.02 * limit)
    return (spread or 0.0) / slope


@dataclass(frozen=True, eq=False)
class _Counts:
    """Likelihood of n ~ Poisson(mu s + gamma b r(t)), a ~ Poisson(m gamma), t0 ~ Normal(t, 1)."""

    s: NDArray[np.float64]
    b: NDArray[np.float64]
    m: NDArray[np.float64]
    r: Response
    n: NDArray[np.float64]
    a: NDArray[np.float64]
    t0: NDArray[np.float64]

    def gamma(self, mu: float, b: NDArray[np.float64]) -> NDArray[np.float64]:
        free = np.isfinite(self.m)
        m, a = np.where(free, self.m, 1.0), np.where(free, self.a, 1.0)
        p = (b + m) * b
        q = (b + m) * mu * self.s - (self.n + a) * b
        root = (-q + np.sqrt(q * q + 4 * p * a * mu * self.s)) / (2 * p)
        return np.where(free, root, 1.0)

    def _at(
        self, mu: float, t: NDArray[np.float64]
    ) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Twice the negative log likelihood, gamma, the background before it and its slopes in t."""
        ratio, slopes = self.r(t)
        b = self.b * ratio
        if not np.all(b > 0):
            return np.inf, b, b, slopes
        g = self.gamma(mu, b)
        nu = mu * self.s + g * b
        out = np.sum(nu - self.n - special.xlogy(self.n, nu / np.where(self.n > 0, self.n, 1.0)))
        free = np.isfinite(self.m)
        m, a, gf = self.m[free], self.a[free], g[free]
        out += np.sum(m * gf - a - special.xlogy(a, m * gf / np.where(a > 0, a, 1.0)))
        off = t - self.t0
        return float(2 * out + off @ off), g, b, self.b * slopes

    def profile(self, mu: float) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Least value over gamma and t, with both: Newton's method with the expected information."""
        t = self.t0.copy()
        value, g, b, scaled = self._at(mu, t)
        if not len(t):
            return value, g, t
        for _ in range(100):
            nu = mu * self.s + g * b
            slope = scaled @ (g * (1 - self.n / nu)) + (t - self.t0)
            spread = nu + np.where(np.isfinite(self.m), (g * b) ** 2 / self.m, 0.0)
            step = np.linalg.solve((scaled * (g**2 / spread)) @ scaled.T + np.eye(len(t)), -slope)
            if float(-slope @ step) < 1e-12 * (1 + abs(value)):
                break
            size, trial = 1.0, self._at(mu, t + step)
            while trial[0] > value and size > 1e-12:
                size /= 2
                trial = self._at(mu, t + size * step)
            if trial[0] > value:
                break
            t = t + size * step
            value, g, b, scaled = trial
        return value, g, t

    def twice_nll(self, mu: float) -> float:
        return self.profile(mu)[0]

    def best(self, top: float) -> float:
        minimum = optimize.minimize_scalar(
            self.twice_nll, bounds=(0.0, top), method="bounded", options={"xatol": 1e-9 * top}
        )
        return 0.0 if self.twice_nll(0.0) <= minimum.fun else float(minimum.x)


def _limit(counts: _Counts, alpha: float, band: float | None) -> float:
    _, g, t = counts.profile(0.0)
    expected = g * counts.b * counts.r(t)[0]
    auxiliary = np.where(np.isfinite(counts.m), counts.m * g, counts.a)
    null = _Counts(counts.s, counts.b, counts.m, counts.r, expected, auxiliary, t)
    floor = null.twice_nll(0.0)
    scale = float(np.sum(np.abs(counts.n - counts.b)) + 10 * np.sqrt(np.sum(counts.b)) + 30) / float(np.sum(counts.s))
    best = counts.best(scale)
    lowest = counts.twice_nll(best)

    def cls(mu: float) -> float:
        root_a = np.sqrt(max(null.twice_nll(mu) - floor, 1e-300))
        if band is not None:
            return float(special.ndtr(band - root_a) / special.ndtr(band))
        q = max(counts.twice_nll(mu) - lowest, 0.0) if mu > best else 0.0
        if q <= root_a**2:
            return float(special.ndtr(-np.sqrt(q)) / special.ndtr(root_a - np.sqrt(q)))
        return float(special.ndtr(-(q + root_a**2) / (2 * root_a)) / special.ndtr(-(q - root_a**2) / (2 * root_a)))

    top = scale
    while cls(top) > alpha:
        top *= 2
    low = top / 2
    while cls(low) < alpha:
        low /= 2
    return float(optimize.brentq(lambda mu: cls(mu) - alpha, low, top, xtol=1e-12 * top, rtol=1e-10))
