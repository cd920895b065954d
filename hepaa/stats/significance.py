"""Significance of an excess, in standard deviations (one-sided Gaussian), and its statistical error.

Everything takes numbers or arrays and works bin by bin. Yields are expected events: sums of weights, never raw counts,
except where a name says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from hepaa.errors import InputError
from hepaa.stats.performance import SIC, sic
from hepaa.stats.response import Response, response_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SIC",
    "asimov",
    "asimov_correlated",
    "asimov_error",
    "combine",
    "combine_error",
    "li_ma",
    "p_to_z",
    "poisson_z",
    "s_over_sqrt_b",
    "sic",
    "z_to_p",
]


def asimov(s: ArrayLike, b: ArrayLike, sigma_b: ArrayLike | None = None) -> Any:
    r"""Median expected discovery significance of a counting experiment.

    With :math:`v = \sigma_b^2`,

    .. math::

       Z^2 = 2\left\{(s+b)\ln\frac{(s+b)(b+v)}{b^2+(s+b)v} - \frac{b^2}{v}\ln\left[1+\frac{v s}{b(b+v)}\right]\right\},

    and :math:`Z^2 = 2\{(s+b)\ln(1+s/b)-s\}` for v -> 0. Source: Cowan, Cranmer, Gross, Vitells, Eur. Phys. J. C 71
    (2011) 1554, eq. 97, and G. Cowan, "Discovery sensitivity for a counting experiment with background uncertainty"
    (2012), eq. 20. The differences are taken analytically, so that s << b and v -> 0 lose no digits.

    Parameters
    ----------
    s, b : array_like
        Expected signal and background events. s <= 0 gives 0: only an excess counts as a discovery.
    sigma_b : array_like, optional
        Absolute uncertainty of b, in events; at least the square root of the sum of squared weights of its simulation.

    Returns
    -------
    float or float64 array
        In the common shape of the arguments. A bin with s <= 0 and b = 0 holds nothing and gives 0.

    Raises
    ------
    InputError
        If b < 0 or sigma_b < 0, if b = 0 where s > 0 (the formula diverges), or if anything is not finite.

    Examples
    --------
    >>> round(asimov(10.0, 100.0), 4)
    0.984
    >>> round(asimov(10.0, 100.0, sigma_b=10.0), 4)
    0.6902
    """
    s, b, v = _yields(s, b, sigma_b)
    return _scalar(np.sqrt(2 * _half_q(s, b, v)))


def asimov_error(
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    stat_s: ArrayLike = 0.0,
    stat_b: ArrayLike = 0.0,
    variance_slope: ArrayLike = 0.0,
) -> Any:
    """Statistical error of `asimov` from the finite simulation behind s and b.

    First-order propagation with the exact derivatives of Z; s and b are independent.

    Parameters
    ----------
    s, b, sigma_b : array_like
        As for `asimov`.
    stat_s, stat_b : array_like
        Errors of s and b, in events: square roots of the sums of squared weights.
    variance_slope : array_like
        Derivative of sigma_b^2 in b, in events: sigma_b^2 / b for simulated events, 2 u^2 b for a relative uncertainty
        u, and their sum for both. 0 where sigma_b stays when b moves.

    Returns
    -------
    float or float64 array

    Raises
    ------
    InputError
        As `asimov`, and for negative errors.
    """
    s, b, v = _yields(s, b, sigma_b)
    ds, db = (_finite(name, x, lowest=0.0) for name, x in (("stat_s", stat_s), ("stat_b", stat_b)))
    z = np.sqrt(2 * _half_q(s, b, v))
    empty = b == 0
    b1, s1 = np.where(empty, 1.0, b), np.maximum(s, 0.0)
    d = b1**2 + (s1 + b1) * v
    a, beta = s1 * b1 / d, v * s1 / (b1 * (b1 + v))
    # the variance enters through the constraint of b alone, whose cost at the best b is -(b^2 / v) (ln(1+B) - B)
    grad_v = np.where(v > 0, b1**2 / np.where(v > 0, v, 1.0) ** 2, 0.0) * _log1pmx(beta)
    grad_b = _log1pmx(a) - s1**2 * v / (d * (b1 + v)) - 2 * s1 / (b1 + v) * _over(_log1pmx(beta), beta, 0.0)
    grad_b = grad_b + np.asarray(variance_slope, dtype=np.float64) * grad_v
    flat = z == 0
    z1 = np.where(flat, 1.0, z)
    # at s = 0 the slope is that of s / sqrt(b + v), and b does not matter
    dz_ds = np.where(flat, 1 / np.sqrt(b1 + v), np.log1p(a) / z1)
    dz_db = np.where(flat, 0.0, grad_b / z1)
    return _scalar(np.where(empty, 0.0, np.hypot(dz_ds * ds, dz_db * db)))


def asimov_correlated(
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    relative: float = 0.0,
    shifts: ArrayLike | Response | None = None,
) -> float:
    r"""Expected discovery significance of many bins that share uncertainties of the background.

    Each bin has its own, uncorrelated sigma_b (Poisson-constrained, profiled in closed form, as in `asimov`); shared
    Gaussian nuisances :math:`t_k` make the background :math:`b_i (1 + \sum_k t_k r_{ki})`, or what a `Response` says:
    then this is the significance that a fit of the workspace expects. It is the square root of the profile likelihood
    ratio q0 on the Asimov data s + b. Quadratic sums of per-bin Z that contain a common
    uncertainty count it as if it averaged out; this does not.

    Parameters
    ----------
    s, b, sigma_b : (n_bins,)
        As for `asimov`.
    relative : float
        Uncertainty of b that is the same in all bins; a linear one.
    shifts : (k, n_bins) or Response, optional
        Relative shift of b in each bin at +1 standard deviation of each of k further nuisances, such as from
        `hepaa.stats.systematics.relative_shifts`; or all of the response of b, such as from
        `hepaa.stats.systematics.response`, with `relative` 0.

    Returns
    -------
    float
        With neither, the quadratic sum of the bins.

    Raises
    ------
    InputError
        As `asimov`, and if `relative` is negative, beside a Response, or shifts have another number of bins.
    """
    s, b, v, r = _shared(s, b, sigma_b, relative, shifts)
    if not len(r):
        return combine(np.sqrt(2 * _half_q(s, b, v)))
    if s.sum() <= 0:
        return 0.0
    return float(np.sqrt(max(_profiled(s + b, b, v, r)[0], 0.0)))


def asimov_correlated_error(
    s: ArrayLike,
    b: ArrayLike,
    sigma_b: ArrayLike | None = None,
    *,
    stat_s: ArrayLike = 0.0,
    stat_b: ArrayLike = 0.0,
    relative: float = 0.0,
    shifts: ArrayLike | Response | None = None,
) -> float:
    r"""Statistical error of `asimov_correlated` from the finite simulation behind s and b.

    First-order propagation, s and b of all bins independent, sigma_b^2 moving with b as it does for simulated events.
    The derivatives of q0 are those at fixed nuisances, for at the minimum the others vanish; relative shifts stay as
    they are. An uncertainty that bins
    share makes their Z depend on each other, so this is not `combine_error`, which can be too small by an order of
    magnitude where the shared one dominates.

    Parameters
    ----------
    s, b, sigma_b, relative, shifts
        As for `asimov_correlated`.
    stat_s, stat_b : (n_bins,)
        Errors of s and b, in events: square roots of the sums of squared weights.

    Returns
    -------
    float
        0 where the significance is 0.

    Raises
    ------
    InputError
        As `asimov_correlated`, and for negative errors.
    """
    ds, db = (_finite(name, x, lowest=0.0) for name, x in (("stat_s", stat_s), ("stat_b", stat_b)))
    keep = np.atleast_1d(np.asarray(b, dtype=np.float64)) > 0
    ds, db = (np.broadcast_to(x, keep.shape)[keep] for x in (ds, db))
    s, b, v, r = _shared(s, b, sigma_b, relative, shifts)
    if s.sum() <= 0:
        return 0.0
    q, by_n, by_b = _profiled(s + b, b, v, r)
    if q <= 0:
        return 0.0
    return float(np.sqrt(np.sum((by_n * ds) ** 2 + ((by_n + by_b) * db) ** 2) / q) / 2)


def _shared(
    s: ArrayLike, b: ArrayLike, sigma_b: ArrayLike | None, relative: float, shifts: ArrayLike | Response | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], Response]:
    """Signal, background and its variance in the bins that have background, and its response there."""
    if relative < 0:
        raise InputError(f"the relative uncertainty of the background is {relative}; give 0 or more")
    s, b, v = (np.atleast_1d(x) for x in _yields(s, b, sigma_b))
    if isinstance(shifts, Response):
        if relative:
            raise InputError("a relative uncertainty beside a response of the background: put it into the response")
        r = shifts
    else:
        rows = np.empty((0, len(b))) if shifts is None else np.atleast_2d(np.asarray(shifts, dtype=np.float64))
        r = response_of(np.concatenate([rows.reshape(-1, len(b)), np.full((1, len(b)), relative)]), len(b))
    keep = b > 0
    if len(r) and np.any((s + b)[keep] < 0):
        raise InputError("a bin has s + b < 0: merge it with its neighbour")
    return s[keep], b[keep], v[keep], r.of(keep)


def _profiled(
    n: NDArray[np.float64], b: NDArray[np.float64], v: NDArray[np.float64], response: Response
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Least -2 ln L of counts n against b, Monte-Carlo factors and nuisances t profiled, and its slopes in n and in b.

    0 is a perfect fit. The slope in b moves v along, v / b being the weight of an event.

    Newton's method with halved steps, without the curvature of the response; a bin whose own curvature is negative
    counts with its expected information.
    """
    free = v > 0
    m = np.where(free, b**2 / np.where(free, v, 1.0), np.inf)
    finite = np.where(free, m, 1.0)

    def parts(t: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        ratio, slopes = response(t)
        mu = b * ratio
        if not np.all(mu > 0):
            return np.inf, mu, mu, slopes
        # gamma scales b within its Monte-Carlo error; this is its best value, and 1 where v = 0
        gamma = (1 + n / m) / (1 + mu / m)
        nu = gamma * mu
        constraint = np.sum(m[free] * (gamma[free] - 1 - np.log(gamma[free])))
        q = 2 * (np.sum(nu - n + special.xlogy(n, n / nu)) + constraint) + t @ t
        return float(q), mu, gamma, b * slopes

    t = np.zeros(len(response))
    value, mu, gamma, scaled = parts(t)
    for _ in range(200):
        slope = scaled @ (gamma - n / mu) + t
        observed = n / mu**2 - np.where(free, (n + finite) / (mu + finite) ** 2, 0.0)
        curvature = np.where(observed > 0, observed, gamma / (mu * (1 + mu / m)))
        step = np.linalg.solve((scaled * curvature) @ scaled.T + np.eye(len(t)), -slope)
        if float(-slope @ step) < 1e-12 * (1 + abs(value)):
            break
        size = 1.0
        while True:
            trial = parts(t + size * step)
            if trial[0] <= value or size < 1e-12:
                break
            size /= 2
        if trial[0] > value:
            break
        t = t + size * step
        value, mu, gamma, scaled = trial
    nu = gamma * mu
    by_n = 2 * np.log(np.maximum(n, np.finfo(float).tiny) / nu)
    by_b = 2 * (nu - n) / b
    by_b[free] += 2 * (m / b)[free] * (gamma - 1 - np.log(gamma))[free]
    return value, by_n, by_b


def s_over_sqrt_b(s: ArrayLike, b: ArrayLike) -> Any:
    """The estimate s / sqrt(b), too large wherever s is not << b. Same arguments and errors as `asimov`."""
    s, b, _ = _yields(s, b, None)
    return _scalar(np.maximum(s, 0.0) / np.sqrt(np.where(b == 0, 1.0, b)))


def li_ma(n_on: ArrayLike, n_off: ArrayLike, alpha: ArrayLike) -> Any:
    """Significance of an on/off measurement: Li and Ma, Astrophys. J. 272 (1983) 317, eq. 17.

    Equals `asimov` on n_on = s + b and n_off = b / alpha, that is with variance alpha * b.

    Parameters
    ----------
    n_on, n_off : array_like
        Counts in the signal and in the background region, >= 0.
    alpha : array_like
        Exposure of the signal region over that of the background region, > 0.

    Returns
    -------
    float or float64 array
        Negative where n_on < alpha * n_off: a deficit.

    Raises
    ------
    InputError
        If a count is negative, alpha is not positive, or anything is not finite.

    Examples
    --------
    >>> round(li_ma(20, 10, 1.0), 4)
    1.8434
    """
    on, off = _finite("n_on", n_on, lowest=0.0), _finite("n_off", n_off, lowest=0.0)
    a = _finite("alpha", alpha, lowest=0.0)
    if np.any(a == 0):
        raise InputError("alpha is 0: give the exposure of the signal region over that of the background region")
    total = np.where(on + off > 0, on + off, 1.0)
    q = special.xlogy(on, (1 + a) / a * on / total) + special.xlogy(off, (1 + a) * off / total)
    return _scalar(np.sign(on - a * off) * np.sqrt(2 * np.maximum(q, 0.0)))


def poisson_z(n_obs: ArrayLike, b: ArrayLike) -> Any:
    """Exact Poisson significance of n_obs events over a known background b: p = P(n >= n_obs | b).

    Works far beyond the smallest double (Z of thousands). n_obs = 0 has p = 1 and gives -inf; a value below about
    the background gives Z < 0.

    Parameters
    ----------
    n_obs : array_like
        Observed counts, whole numbers.
    b : array_like
        Expected background, > 0.

    Raises
    ------
    InputError
        If n_obs is negative or not whole, or b is not positive.
    """
    n, mu = np.broadcast_arrays(_finite("n_obs", n_obs, lowest=0.0), _finite("b", b, lowest=0.0))
    if np.any(n != np.floor(n)):
        raise InputError(
            "n_obs holds numbers that are not whole: weighted yields have no Poisson probability, use asimov"
        )
    if np.any(mu == 0):
        raise InputError("b is 0: any event at all would be infinitely significant; give a positive background")
    n1 = np.maximum(n, 1.0)
    with np.errstate(divide="ignore"):
        log_p = np.atleast_1d(np.log(special.gammainc(n1, mu)))
    deep = log_p < -600
    if np.any(deep):  # P(n, mu) = mu^n e^-mu / n! * 1F1(1; n+1; mu), DLMF 8.5.1
        nd, md = np.atleast_1d(n1)[deep], np.atleast_1d(mu)[deep]
        log_p[deep] = nd * np.log(md) - md - special.gammaln(nd + 1) + np.log(special.hyp1f1(1.0, nd + 1, md))
    log_p = log_p.reshape(n1.shape)
    # near p = 1 the complement has the digits
    near_one = special.ndtri(special.gammaincc(n1, mu))
    z = np.where(log_p > np.log(0.5), near_one, -special.ndtri_exp(np.minimum(log_p, np.log(0.5))))
    return _scalar(np.where(n == 0, -np.inf, z))


def p_to_z(p: ArrayLike) -> Any:
    """One-sided Gaussian significance of a p-value: Z = -Phi^-1(p). p = 0 gives inf, 1 gives -inf."""
    p = np.asarray(p, dtype=np.float64)
    if not np.all((p >= 0) & (p <= 1)):
        raise InputError("a p-value lies outside 0 .. 1")
    return _scalar(-special.ndtri(p))


def z_to_p(z: ArrayLike) -> Any:
    """One-sided p-value of a significance: p = 1 - Phi(Z)."""
    return _scalar(special.ndtr(-np.asarray(z, dtype=np.float64)))


def combine(z: ArrayLike) -> float:
    """Quadratic sum of per-bin significances. Only for bins whose uncertainties are uncorrelated."""
    return float(np.sqrt(np.sum(np.square(np.asarray(z, dtype=np.float64)))))


def combine_error(z: ArrayLike, error: ArrayLike) -> float:
    """Statistical error of `combine(z)` from independent errors of the bins; 0 where all z are 0."""
    z, error = np.asarray(z, dtype=np.float64), np.asarray(error, dtype=np.float64)
    total = combine(z)
    return float(np.sqrt(np.sum(np.square(z * error))) / total) if total > 0 else 0.0


def _half_q(s: NDArray[np.float64], b: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half of Z^2 for b > 0 (0 where b = 0, which `_yields` allows for s <= 0 only).

    With D = b^2 + (s+b) v, A = s b / D and B = v s / (b (b+v)), Z^2 / 2 = (s+b) ln(1+A) - s b / (b+v) * ln(1+B) / B.
    For s < b the linear terms of both logarithms are cancelled by hand: their difference is s^2 b^2 / (D (b+v)).
    """
    empty = b == 0
    b, s = np.where(empty, 1.0, b), np.where(empty, 0.0, np.maximum(s, 0.0))
    d = b**2 + (s + b) * v
    a, beta = s * b / d, v * s / (b * (b + v))
    pull = s * b / (b + v)
    near = s * b * pull / d + (s + b) * _log1pmx(a) - pull * _over(_log1pmx(beta), beta, 0.0)
    far = (s + b) * np.log1p(a) - pull * _over(np.log1p(beta), beta, 1.0)
    return np.maximum(np.where(s < b, near, far), 0.0)


def _over(x: NDArray[np.float64], y: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    return np.where(y == 0, limit, x / np.where(y == 0, 1.0, y))


def _log1pmx(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(1 + x) - x for x >= 0, without cancellation: ln(1+x) = 2 artanh(r), r = x / (2 + x)."""
    r = x / (2 + x)
    r2 = r * r
    tail = np.zeros_like(r)
    for k in range(25, 1, -2):  # r <= 0.2: the first term left out is below 1e-18
        tail = 1 / k + r2 * tail
    return np.where(x < 0.5, -x * r + 2 * r * r2 * tail, np.log1p(x) - x)


def _yields(
    s: ArrayLike, b: ArrayLike, sigma_b: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    arrays = np.broadcast_arrays(
        _finite("s", s),
        _finite("b", b, lowest=0.0),
        np.square(_finite("sigma_b", 0.0 if sigma_b is None else sigma_b, lowest=0.0)),
    )
    bad = np.flatnonzero((arrays[1] == 0) & (arrays[0] > 0))
    if len(bad):
        raise InputError(
            f"entry {bad[0]} has no background (b = 0) and signal s = {arrays[0].flat[bad[0]]:.6g}: its significance "
            "diverges; merge it with its neighbour or use more simulation"
        )
    return arrays[0], arrays[1], arrays[2]


def _finite(name: str, values: ArrayLike, lowest: float = -np.inf) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= lowest)))
    if len(bad):
        need = "a finite number" if lowest == -np.inf else f"a finite number >= {lowest:g}"
        raise InputError(f"{name} is {array.flat[bad[0]]} in entry {bad[0]}: it must be {need}")
    return array


def _scalar(x: NDArray[np.float64]) -> Any:
    return float(x) if np.ndim(x) == 0 else x
