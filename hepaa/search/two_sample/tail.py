"""p-values far beyond the number of toys, from what is known of a statistic's distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special, stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def chi2_sum_z(t: float, weights: Array) -> float:
    """One-sided Z of P(T >= t) for T = sum_j w_j x_j^2, x_j unit Gaussians.

    The saddle-point formula of Barndorff-Nielsen (Biometrika 73 (1986) 307). A gamma distribution of the same mean and
    variance overstates Z in the far tail, which the largest weight alone decides.

    Examples
    --------
    >>> round(chi2_sum_z(50.0, np.ones(10)), 2)
    5.15
    """
    w = weights[np.abs(weights) > 1e-9 * np.abs(weights).max()]
    mean, variance = float(w.sum()), float(2 * np.sum(w**2))
    if abs(t - mean) < 1e-6 * np.sqrt(variance):  # the limit of r* at the mean: a sixth of the skewness
        return float(8 * np.sum(w**3) / variance**1.5 / 6)
    if t <= 0 and np.all(w > 0):
        return float(-np.inf)

    def slope(s: float) -> float:
        return float(np.sum(w / (1 - 2 * w * s))) - t

    high = (0.5 - 1e-13) / w.max()
    low = -1.0 / abs(w).max()
    end = (0.5 - 1e-13) / w.min() if w.min() < 0 else -np.inf
    while slope(max(low, end)) > 0 and low > end:
        low *= 2
    s = optimize.brentq(slope, max(low, end), high, xtol=1e-15, rtol=1e-14, maxiter=500)
    cumulant = -0.5 * float(np.sum(np.log1p(-2 * w * s)))
    r = np.sign(s) * np.sqrt(max(2 * (s * t - cumulant), 0.0))
    u = s * np.sqrt(float(np.sum(2 * w**2 / (1 - 2 * w * s) ** 2)))
    return float(r + np.log(u / r) / r)


def shifted_gamma_z(t: float, toys: Array) -> float:
    """One-sided Z of P(T >= t) for a shifted gamma distribution with the mean, variance and skewness of toys (n,)."""
    mean, deviation = float(np.mean(toys)), float(np.std(toys, ddof=1))
    skewness = max(float(stats.skew(toys, bias=False)), 1e-3)
    log_p = float(stats.pearson3.logsf(t, skewness, loc=mean, scale=deviation))
    if log_p < np.log(0.5):
        return float(-special.ndtri_exp(log_p))
    return float(special.ndtri(stats.pearson3.cdf(t, skewness, loc=mean, scale=deviation)))
