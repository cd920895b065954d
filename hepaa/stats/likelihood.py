"""Likelihood-ratio tests on a binned score: toys for both hypotheses, and asymptotic formulas beside them.

Source: Khosa, Sanz, Soughton, "A simple guide from machine learning outputs to statistical criteria in particle
physics", SciPost Phys. Core 5 (2022) 050, arXiv:2203.03669. Yields are expected events; every hypothesis is known
exactly (no nuisance parameters: for those see `hepaa.stats.workspace`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize

from hepaa.compiled import kernel
from hepaa.errors import InputError
from hepaa.stats.significance import asimov, p_to_z

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class ToyP:
    """A p-value counted from toys.

    Attributes
    ----------
    p : float
        (k + 1) / (N + 1) for k of N toys beyond the value: never below 1 / (N + 1), and never too small on average.
    z : float
        One-sided significance of p; where all toys lie beyond, so that p = 1, that of N / (N + 1), which is finite.
    bound : bool
        True if no toy lies beyond: then p is an upper bound and z a lower one.
    """

    p: float
    z: float
    bound: bool

    @classmethod
    def count(cls, beyond: int, toys: int) -> ToyP:
        """From the number of toys at or beyond a value."""
        p = (beyond + 1) / (toys + 1)
        return cls(p, p_to_z(min(p, toys / (toys + 1))), beyond == 0)

    def __str__(self) -> str:
        return f"{'> ' if self.bound else ''}{self.z:.2f} sigma"


@dataclass(frozen=True, eq=False)
class SimpleTest:
    """Two simple hypotheses told apart by q = -2 ln(L_null / L_alternative); large q speaks for the alternative.

    Attributes
    ----------
    q_null, q_alternative : float64 (toys,)
        Sorted values of q in toys of each hypothesis.
    mean_null, mean_alternative : float
        Exact expectations of q.
    symmetric_q : float
        Where the share of null toys above equals the share of alternative toys below.
    at_symmetric, at_mean : ToyP
        p-value of the null there, and at the mean of the alternative.
    z_symmetric, z_mean : float
        The same without toys, from the saddle-point approximation.
    """

    q_null: NDArray[np.float64]
    q_alternative: NDArray[np.float64]
    mean_null: float
    mean_alternative: float
    symmetric_q: float
    at_symmetric: ToyP
    at_mean: ToyP
    z_symmetric: float
    z_mean: float


@dataclass(frozen=True, eq=False)
class DiscoveryTest:
    """Signal of unknown strength over a known background: q0 = -2 ln(L(0) / L(mu_hat)), mu_hat >= 0.

    Attributes
    ----------
    q_background, q_signal : float64 (toys,)
        Sorted values of q0 in toys of the background alone and with signal of strength 1.
    median : ToyP
        p-value of the background at the median of q0 with signal.
    z_median : float
        sqrt of that median: its asymptotic significance.
    z_asimov : float
        sqrt of q0 on the expected counts.
    """

    q_background: NDArray[np.float64]
    q_signal: NDArray[np.float64]
    median: ToyP
    z_median: float
    z_asimov: float


def simple_test(
    null: ArrayLike, alternative: ArrayLike, *, toys: int = 100_000, rng: np.random.Generator
) -> SimpleTest:
    """Tell two simple hypotheses apart (Neyman-Pearson), eq. 3.5 of arXiv:2203.03669 with both terms of the likelihood.

    q = -2 sum_i [ n_i ln(nu0_i / nu1_i) + nu1_i - nu0_i ], n_i ~ Poisson(nu_i): the rate and the shape together.

    Parameters
    ----------
    null, alternative : (bins,)
        Expected events; both positive in every bin (a bin that is empty in both is left out).
    toys : int
        Of each hypothesis.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        If a bin is empty in one hypothesis alone, a yield is negative, or the hypotheses are equal.
    """
    nu0, nu1 = _two(null, alternative)
    slope, offset = 2 * np.log(nu1 / nu0), 2 * float(np.sum(nu0 - nu1))
    if not np.any(slope != 0):
        raise InputError("both hypotheses expect the same events: no test can tell them apart")
    if toys < 1:
        raise InputError(f"{toys} toys: ask for at least one")
    q0, q1 = (np.sort(_linear_toys(nu, slope, toys, rng)) + offset for nu in (nu0, nu1))
    mean0, mean1 = (float(np.sum(nu * slope)) + offset for nu in (nu0, nu1))
    symmetric = _crossing(q0, q1)
    exact_symmetric = optimize.brentq(
        lambda q: _saddle_z(q - offset, nu0, slope) + _saddle_z(q - offset, nu1, slope), mean0, mean1, xtol=1e-9
    )
    return SimpleTest(
        q_null=q0,
        q_alternative=q1,
        mean_null=mean0,
        mean_alternative=mean1,
        symmetric_q=symmetric,
        at_symmetric=_tail(q0, symmetric),
        at_mean=_tail(q0, mean1),
        z_symmetric=_saddle_z(exact_symmetric - offset, nu0, slope),
        z_mean=_saddle_z(mean1 - offset, nu0, slope),
    )


def separation(null: ArrayLike, alternative: ArrayLike) -> tuple[float, float]:
    """Significance of the null at the symmetric point and at the mean of the alternative, without toys.

    Same hypotheses and errors as `simple_test`; by the saddle-point formula of Barndorff-Nielsen (Biometrika 73 (1986)
    307), good to about 0.01 for 20 and more expected events.
    """
    nu0, nu1 = _two(null, alternative)
    slope = 2 * np.log(nu1 / nu0)
    if not np.any(slope != 0):
        return 0.0, 0.0
    low, high = float(np.sum(nu0 * slope)), float(np.sum(nu1 * slope))
    middle = optimize.brentq(lambda x: _saddle_z(x, nu0, slope) + _saddle_z(x, nu1, slope), low, high, xtol=1e-9)
    return _saddle_z(middle, nu0, slope), _saddle_z(high, nu0, slope)


def separation_luminosity(
    z: float, null: ArrayLike, alternative: ArrayLike, *, at: float, point: str = "symmetric"
) -> float:
    """Luminosity in fb^-1 at which `separation` reaches z; null and alternative are yields at the luminosity `at`.

    Parameters
    ----------
    z : float
        Positive.
    null, alternative : (bins,)
    at : float
        In fb^-1.
    point : "symmetric" or "mean"
    """
    if point not in ("symmetric", "mean"):
        raise InputError(f"there is no point {point!r}; available: symmetric, mean")
    nu0, nu1 = _two(null, alternative)
    place = 0 if point == "symmetric" else 1
    if separation(nu0, nu1)[place] == 0:
        raise InputError("both hypotheses expect the same events: no luminosity can tell them apart")

    def short(log_f: float) -> float:
        return separation(np.exp(log_f) * nu0, np.exp(log_f) * nu1)[place] - z

    guess = 2 * np.log(z / max(separation(nu0, nu1)[place], 1e-12))
    width = 1.0
    while short(guess - width) > 0 or short(guess + width) < 0:
        width *= 2
    return float(at * np.exp(optimize.brentq(short, guess - width, guess + width, xtol=1e-10)))


def discovery_test(s: ArrayLike, b: ArrayLike, *, toys: int = 100_000, rng: np.random.Generator) -> DiscoveryTest:
    """Discovery of a signal of unknown strength and known shape over a known background, with toys.

    Parameters
    ----------
    s, b : (bins,)
        Expected events; s >= 0 and not all 0, b > 0.
    toys : int
        Of background alone and with signal each.
    rng : numpy.random.Generator
    """
    signal, background = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (s, b))
    if signal.shape != background.shape or np.any(signal < 0) or not np.any(signal > 0) or not np.all(background > 0):
        raise InputError("a discovery test needs s >= 0 (not all 0) and b > 0 in every bin; merge bins first")
    if toys < 1:
        raise InputError(f"{toys} toys: ask for at least one")
    q_b = np.sort(_discovery_toys(background, signal, background, toys, rng))
    q_s = np.sort(_discovery_toys(background + signal, signal, background, toys, rng))
    median = float(np.median(q_s))
    return DiscoveryTest(
        q_background=q_b,
        q_signal=q_s,
        median=_tail(q_b, median),
        z_median=float(np.sqrt(median)),
        z_asimov=float(np.sqrt(np.sum(np.square(asimov(signal, background))))),
    )


def _two(null: ArrayLike, alternative: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nu0, nu1 = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (null, alternative))
    if nu0.shape != nu1.shape or nu0.ndim != 1 or not np.all(np.isfinite(nu0) & np.isfinite(nu1)):
        raise InputError(f"hypotheses of shapes {nu0.shape} and {nu1.shape}: give finite yields for the same bins")
    if np.any(nu0 < 0) or np.any(nu1 < 0):
        raise InputError("a hypothesis expects a negative number of events in a bin: merge it with its neighbour")
    lonely = np.flatnonzero((nu0 > 0) != (nu1 > 0))
    if len(lonely):
        raise InputError(
            f"bin {lonely[0]} is empty in one hypothesis alone (yields {nu0[lonely[0]]:.4g} and {nu1[lonely[0]]:.4g}): "
            "one event there would decide everything; merge it with its neighbour"
        )
    keep = nu0 > 0
    return nu0[keep], nu1[keep]


def _tail(sorted_q: NDArray[np.float64], value: float) -> ToyP:
    # toys equal to the value up to rounding lie beyond it
    edge = value - 1e-9 * max(abs(value), 1.0)
    return ToyP.count(int(len(sorted_q) - np.searchsorted(sorted_q, edge, side="left")), len(sorted_q))


def _crossing(q0: NDArray[np.float64], q1: NDArray[np.float64]) -> float:
    """Smallest value of q where no more null toys lie above than alternative toys below."""
    values = np.concatenate([q0, q1])
    values.sort()
    above = len(q0) - np.searchsorted(q0, values, side="left")
    below = np.searchsorted(q1, values, side="right")
    return float(values[np.argmax(below >= above)])


def _saddle_z(x: float, nu: NDArray[np.float64], a: NDArray[np.float64]) -> float:
    """Z of P(X >= x) for X = sum_i a_i n_i, n_i ~ Poisson(nu_i): r* = r + ln(u / r) / r."""
    mean, variance = float(np.sum(nu * a)), float(np.sum(nu * a * a))
    if abs(x - mean) < 1e-7 * np.sqrt(variance):
        # the limit of r* at the mean: a sixth of the skewness
        return float(np.sum(nu * a**3) / (6 * variance**1.5))
    limit = 600.0 / float(np.max(np.abs(a)))

    def slope(t: float) -> float:
        return float(np.sum(nu * a * np.exp(t * a))) - x

    step = np.sign(x - mean) * abs(x - mean) / variance
    low, high = sorted((0.0, float(np.clip(step, -limit, limit))))
    while slope(low) > 0 and low > -limit:
        low = max(2 * low - 1e-12, -limit)
    while slope(high) < 0 and high < limit:
        high = min(2 * high + 1e-12, limit)
    if slope(low) > 0 or slope(high) < 0:
        return float(np.inf) if x > mean else float(-np.inf)
    t = optimize.brentq(slope, low, high, xtol=1e-15, rtol=1e-13)
    r = np.sign(t) * np.sqrt(max(2 * (t * x - float(np.sum(nu * np.expm1(t * a)))), 0.0))
    u = t * np.sqrt(float(np.sum(nu * a * a * np.exp(t * a))))
    return float(r + np.log(u / r) / r) if abs(r) > 1e-5 else float(np.sum(nu * a**3) / (6 * variance**1.5))


@kernel
def _linear_toys(nu: Any, a: Any, toys: int, rng: Any) -> Any:
    """sum_i a_i n_i with n_i ~ Poisson(nu_i), `toys` times."""
    out = np.empty(toys)
    for k in range(toys):
        total = 0.0
        for i in range(len(nu)):
            total += a[i] * rng.poisson(nu[i])
        out[k] = total
    return out


@kernel
def q0_of(n: Any, s: Any, b: Any) -> Any:
    """q0 of counts n. The derivative of ln L falls and is convex in mu: Newton's steps from 0 climb to its root."""
    expected, slope = 0.0, 0.0
    for i in range(len(n)):
        expected += s[i]
        slope += n[i] * s[i] / b[i]
    if slope <= expected:
        return 0.0
    mu = 0.0
    for _ in range(200):
        f, df = -expected, 0.0
        for i in range(len(n)):
            r = s[i] / (mu * s[i] + b[i])
            f += n[i] * r
            df -= n[i] * r * r
        step = -f / df
        mu += step
        if step <= 1e-12 * mu:
            break
    q = -mu * expected
    for i in range(len(n)):
        q += n[i] * np.log1p(mu * s[i] / b[i])
    return max(2.0 * q, 0.0)


@kernel
def _discovery_toys(nu: Any, s: Any, b: Any, toys: int, rng: Any) -> Any:
    out = np.empty(toys)
    n = np.empty(len(nu))
    for k in range(toys):
        for i in range(len(nu)):
            n[i] = rng.poisson(nu[i])
        out[k] = q0_of(n, s, b)
    return out
