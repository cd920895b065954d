"""How far a score reaches: significance against the cut and the luminosity, luminosity for 3 and 5 sigma, upper limits.

Yields are expected events at a reference luminosity, in fb^-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

from hepaa.errors import InputError
from hepaa.stats.performance import FLOOR
from hepaa.stats.significance import asimov, asimov_correlated, asimov_error

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

BANDS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Standard deviations of the background at which expected limits are quoted."""


@dataclass(frozen=True, eq=False)
class CutScan:
    """Significance of counting the events above a cut, for every cut.

    Attributes
    ----------
    threshold, s, b, z, z_error : float64 (k,)
        Cuts from the tightest to the loosest, yields that pass, Asimov Z and its Monte-Carlo error. z is NaN where
        fewer than `min_events` raw background events pass or their yield is not positive.
    n_b : int64 (k,)
        Raw background events that pass.
    best : int or None
        Index of the greatest z; None if there is none.
    """

    threshold: NDArray[np.float64]
    s: NDArray[np.float64]
    b: NDArray[np.float64]
    z: NDArray[np.float64]
    z_error: NDArray[np.float64]
    n_b: NDArray[np.int64]
    best: int | None


def cut_scan(
    score_b: ArrayLike,
    w_b: ArrayLike,
    score_s: ArrayLike,
    w_s: ArrayLike,
    *,
    systematic: float = 0.0,
    min_events: int = FLOOR,
) -> CutScan:
    """Asimov Z of `score >= cut` for every cut, with the Monte-Carlo error and a relative systematic one on b.

    The best cut is to be chosen on one split and quoted on another, like a binning.

    Parameters
    ----------
    score_b, w_b : (n_b,)
        Scores and weights of the background.
    score_s, w_s : (n_s,)
        Scores and weights of the signal.
    systematic : float
        Relative uncertainty of the background.
    min_events : int
        Least raw background events above a cut that is quoted.
    """
    xb, wb, xs, ws = (np.asarray(a, dtype=np.float64) for a in (score_b, w_b, score_s, w_s))
    if xb.shape != wb.shape or xs.shape != ws.shape or not len(xb):
        raise InputError(
            f"scores and weights have shapes {xb.shape}, {wb.shape} and {xs.shape}, {ws.shape}; one each an event"
        )
    if not all(np.all(np.isfinite(a)) for a in (xb, wb, xs, ws)):
        raise InputError("a score or weight is not finite")
    thresholds = np.unique(np.concatenate([xb, xs]))[::-1]

    def above(x: NDArray[np.float64], w: NDArray[np.float64]) -> NDArray[np.float64]:
        order = np.argsort(x)
        total = np.concatenate([[0.0], np.cumsum(w[order][::-1])])
        return total[len(x) - np.searchsorted(x[order], thresholds, side="left")]

    s, b, b2, s2 = above(xs, ws), above(xb, wb), above(xb, wb**2), above(xs, ws**2)
    n = above(xb, np.ones(len(xb))).astype(np.int64)
    ok = (n >= min_events) & (b > 0)
    z, error = np.full(len(s), np.nan), np.full(len(s), np.nan)
    sigma = np.sqrt(b2[ok] + (systematic * b[ok]) ** 2)
    z[ok] = asimov(s[ok], b[ok], sigma)
    error[ok] = asimov_error(s[ok], b[ok], sigma, stat_s=np.sqrt(s2[ok]), stat_b=np.sqrt(b2[ok]))
    return CutScan(thresholds, s, b, z, error, n, int(np.nanargmax(z)) if np.any(ok) else None)


def z_versus_luminosity(
    s: ArrayLike, b: ArrayLike, sigma_b: ArrayLike | None, luminosity: ArrayLike, *, at: float, relative: float = 0.0
) -> NDArray[np.float64]:
    """Expected Z of a binned score at other luminosities; relative uncertainties stay as they are.

    Parameters
    ----------
    s, b : (bins,)
        Yields at the luminosity `at`.
    sigma_b : (bins,) or None
        Uncorrelated uncertainty of b at that luminosity, from the finite simulation.
    luminosity : (k,)
        In fb^-1, positive.
    at : float
        In fb^-1, positive.
    relative : float
        Uncertainty of b that all bins share.

    Returns
    -------
    float64 (k,)
    """
    s, b = np.atleast_1d(np.asarray(s, dtype=np.float64)), np.atleast_1d(np.asarray(b, dtype=np.float64))
    sigma = np.zeros(len(b)) if sigma_b is None else np.atleast_1d(np.asarray(sigma_b, dtype=np.float64))
    factors = np.atleast_1d(np.asarray(luminosity, dtype=np.float64)) / at
    if not np.all(factors > 0):
        raise InputError("luminosities must be positive")
    return np.array([asimov_correlated(f * s, f * b, f * sigma, relative=relative) for f in factors])


def luminosity_for(
    z: float,
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    at: float,
    relative: float = 0.0,
    most: float = 1e6,
) -> float | None:
    """Luminosity in fb^-1 at which the expected significance reaches z.

    Returns
    -------
    float or None
        None if it is not reached below `most` fb^-1: uncertainties that do not shrink with luminosity put a ceiling
        on Z. Arguments as for `z_versus_luminosity`.
    """

    def short(log_l: float) -> float:
        return float(z_versus_luminosity(s, b, sigma_b, np.exp(log_l), at=at, relative=relative)[0]) - z

    low, high = np.log(1e-9 * at), np.log(most)
    if short(high) < 0:
        return None
    return float(np.exp(optimize.brentq(short, low, high, xtol=1e-10)))


@dataclass(frozen=True)
class Limit:
    """Upper limit on the signal strength mu: signal yields are mu * s.

    Attributes
    ----------
    observed : float or None
        None where no data were given.
    expected : tuple of 5 floats
        For data of the background alone, fluctuated by -2, -1, 0, 1, 2 standard deviations.
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
    level: float = 0.95,
) -> Limit:
    """Asymptotic CLs upper limit on the signal strength from a binned score.

    Test statistic q~_mu of Cowan et al., Eur. Phys. J. C 71 (2011) 1554, eq. 16, with the distributions of eqs. 64-66;
    CLs of A. Read, J. Phys. G 28 (2002) 2693. Every bin has its own Poisson-constrained background uncertainty,
    profiled in closed form. Uncertainties that bins share need the workspace (`hepaa.stats.workspace`).

    Parameters
    ----------
    s, b : (bins,)
        Expected yields; some s must be positive and none negative, b > 0.
    sigma_b : (bins,), optional
        Absolute uncertainty of b.
    n_obs : (bins,), optional
        Observed counts.
    level : float

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
    with np.errstate(divide="ignore"):
        m = b**2 / sigma**2
    prior = _Counts(s, b, m, b, m)
    expected = tuple(_limit(prior, 1 - level, band) for band in BANDS)
    if n_obs is None:
        return Limit(None, expected, level)
    n = np.atleast_1d(np.asarray(n_obs, dtype=np.float64))
    if n.shape != b.shape or not np.all(n >= 0):
        raise InputError(f"observed counts of shape {n.shape} for {len(b)} bins: give one count >= 0 a bin")
    return Limit(_limit(_Counts(s, b, m, n, m), 1 - level, None), expected, level)


@dataclass(frozen=True, eq=False)
class _Counts:
    """Likelihood of n ~ Poisson(mu s + gamma b) and the auxiliary a ~ Poisson(m gamma), gamma profiled."""

    s: NDArray[np.float64]
    b: NDArray[np.float64]
    m: NDArray[np.float64]
    n: NDArray[np.float64]
    a: NDArray[np.float64]

    def gamma(self, mu: float) -> NDArray[np.float64]:
        free = np.isfinite(self.m)
        m, a = np.where(free, self.m, 1.0), np.where(free, self.a, 1.0)
        p = (self.b + m) * self.b
        q = (self.b + m) * mu * self.s - (self.n + a) * self.b
        root = (-q + np.sqrt(q * q + 4 * p * a * mu * self.s)) / (2 * p)
        return np.where(free, root, 1.0)

    def twice_nll(self, mu: float) -> float:
        g = self.gamma(mu)
        nu = mu * self.s + g * self.b
        out = np.sum(nu - self.n - special.xlogy(self.n, nu / np.where(self.n > 0, self.n, 1.0)))
        free = np.isfinite(self.m)
        m, a, g = self.m[free], self.a[free], g[free]
        return float(2 * (out + np.sum(m * g - a - special.xlogy(a, m * g / np.where(a > 0, a, 1.0)))))

    def best(self, top: float) -> float:
        found = optimize.minimize_scalar(
            self.twice_nll, bounds=(0.0, top), method="bounded", options={"xatol": 1e-9 * top}
        )
        return 0.0 if self.twice_nll(0.0) <= found.fun else float(found.x)


def _limit(counts: _Counts, alpha: float, band: float | None) -> float:
    g = counts.gamma(0.0)
    null = _Counts(counts.s, counts.b, counts.m, g * counts.b, np.where(np.isfinite(counts.m), counts.m * g, counts.a))
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
