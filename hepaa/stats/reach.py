"""Reach of a score: significance against the luminosity, and the luminosity for 3 and 5 sigma.

Upper limits are those of `hepaa.stats.limits`. Yields are expected events at a reference luminosity, in fb^-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from hepaa.errors import InputError
from hepaa.stats.significance import asimov_correlated

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from hepaa.stats.response import Response


def z_versus_luminosity(
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None,
    luminosity: ArrayLike,
    *,
    at: float,
    relative: float = 0.0,
    shifts: ArrayLike | Response | None = None,
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
    shifts : (m, bins) or Response, optional
        Further shared relative uncertainties of b; as for `hepaa.stats.significance.asimov_correlated`.

    Returns
    -------
    float64 (k,)
    """
    s, b = np.atleast_1d(np.asarray(s, dtype=np.float64)), np.atleast_1d(np.asarray(b, dtype=np.float64))
    sigma = np.zeros(len(b)) if sigma_b is None else np.atleast_1d(np.asarray(sigma_b, dtype=np.float64))
    factors = np.atleast_1d(np.asarray(luminosity, dtype=np.float64)) / at
    if not np.all(factors > 0):
        raise InputError("luminosities must be positive")
    return np.array([asimov_correlated(f * s, f * b, f * sigma, relative=relative, shifts=shifts) for f in factors])


def luminosity_for(
    z: float,
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    at: float,
    relative: float = 0.0,
    shifts: ArrayLike | Response | None = None,
    most: float = 1e6,
) -> float | None:
    """Luminosity in fb^-1 at which the expected significance reaches z.

    Returns
    -------
    float or None
        None if it is not reached below `most` fb^-1: uncertainties that do not shrink with luminosity put a ceiling
        on Z. None too if it is exceeded at a billionth of `at` already. Arguments as for `z_versus_luminosity`.
    """

    def short(log_l: float) -> float:
        return float(z_versus_luminosity(s, b, sigma_b, np.exp(log_l), at=at, relative=relative, shifts=shifts)[0]) - z

    low, high = np.log(1e-9 * at), np.log(most)
    if short(high) < 0 or short(low) > 0:
        return None
    return float(np.exp(optimize.brentq(short, low, high, xtol=1e-9)))


def luminosity_error(
    luminosity: float,
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    stat_s: ArrayLike,
    stat_b: ArrayLike,
    at: float,
    shifts: ArrayLike | Response | None = None,
) -> float:
    """Statistical error, in fb^-1, of the answer of `luminosity_for`: that of Z there over the slope of Z.

    sigma_b^2 moves with b, as it does for simulated events.

    Parameters
    ----------
    luminosity : float
        The answer, in fb^-1.
    s, b, sigma_b, at, shifts
        As for `luminosity_for`.
    stat_s, stat_b : (bins,)
        Statistical errors of s and b.
    """
    nominal = np.atleast_1d(np.asarray(b, dtype=np.float64))

    def z(s: ArrayLike, b: ArrayLike, factor: float = 1.0) -> float:
        sigma = None if sigma_b is None else moved_with(b, nominal, sigma_b)
        return float(z_versus_luminosity(s, b, sigma, [factor * luminosity], at=at, shifts=shifts)[0])

    slope = (z(s, b, 1.01) - z(s, b, 0.99)) / (0.02 * luminosity)
    return (statistical_error(z, s, b, stat_s=stat_s, stat_b=stat_b) or 0.0) / slope


def moved_with(b: ArrayLike, nominal: ArrayLike, sigma_b: ArrayLike) -> NDArray[np.float64]:
    """Error of b from its simulation, (bins,), when b has moved from its nominal value: sigma_b^2 is in proportion."""
    ratio = np.asarray(b, dtype=np.float64) / np.asarray(nominal, dtype=np.float64)
    return np.asarray(sigma_b, dtype=np.float64) * np.sqrt(np.maximum(ratio, 0.0))


def statistical_error(
    number: Callable[[NDArray[np.float64], NDArray[np.float64]], float | None],
    s: ArrayLike,
    b: ArrayLike,
    *,
    stat_s: ArrayLike,
    stat_b: ArrayLike,
) -> float | None:
    """Statistical error of a number that follows from yields, from the finite simulation behind them.

    First-order propagation of independent errors of all bins, with central differences of half an error; of a yield
    smaller than that, as far as it reaches.

    Parameters
    ----------
    number : function of (s, b) -> float or None
        Such as a luminosity or a limit. Where it uses the error of b, see `moved_with`.
    s, b : (bins,)
    stat_s, stat_b : (bins,)
        Square roots of the sums of squared weights.

    Returns
    -------
    float or None
        None where the number is None for these yields or close to them.
    """
    centre = [np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (s, b)]
    squares = 0.0
    for term, errors in enumerate((stat_s, stat_b)):
        for i, error in enumerate(np.atleast_1d(np.asarray(errors, dtype=np.float64))):
            step = min(error / 2, 0.9 * centre[term][i])
            if step <= 0:
                continue
            moved = []
            for sign in (1, -1):
                values = [x.copy() for x in centre]
                values[term][i] += sign * step
                result = number(*values)
                if result is None:
                    return None
                moved.append(result)
            squares += ((moved[0] - moved[1]) / (2 * step) * error) ** 2
    return float(np.sqrt(squares))
