"""Background from data: ABCD for counting, smooth fits to mass sidebands, and whether a cut sculpts that mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from iminuit import Minuit
from scipy import special

from hepaa.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Abcd:
    """Yields of four regions of two variables and the background that three of them predict for the fourth.

    Attributes
    ----------
    a, b, c, d : float
        Yields: b is the signal region (both variables pass), a and c pass one, d passes none.
    predicted : float
        a c / d.
    error : float
        Its statistical error.
    closure : float
        b / predicted - 1: with background alone, how far the variables are from independent.
    pull : float
        (b - predicted) over the error of this difference.
    """

    a: float
    b: float
    c: float
    d: float
    predicted: float
    error: float
    closure: float
    pull: float


def abcd(x: ArrayLike, y: ArrayLike, cut_x: float, cut_y: float, *, weight: ArrayLike | None = None) -> Abcd:
    """Predict the background where two independent variables are both large: B = A C / D.

    Parameters
    ----------
    x, y : (n,)
        Two variables that are independent in the background.
    cut_x, cut_y : float
        Values at or above pass. B: both pass; A: only y; C: only x; D: none.
    weight : (n,), optional

    Raises
    ------
    InputError
        If lengths differ or region A, C or D has no positive yield.
    """
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    w = np.ones(len(first)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not first.shape == second.shape == w.shape:
        raise InputError(
            f"the variables have shapes {first.shape}, {second.shape} and weights {w.shape}: give one an event"
        )
    px, py = first >= cut_x, second >= cut_y
    regions = {"a": ~px & py, "b": px & py, "c": px & ~py, "d": ~px & ~py}
    total = {k: float(np.sum(w[m])) for k, m in regions.items()}
    variance = {k: float(np.sum(w[m] ** 2)) for k, m in regions.items()}
    for k in "acd":
        if total[k] <= 0:
            raise InputError(
                f"region {k.upper()} has a yield of {total[k]:.4g}: move the cuts until A, C and D hold events"
            )
    predicted = total["a"] * total["c"] / total["d"]
    error = predicted * float(np.sqrt(sum(variance[k] / total[k] ** 2 for k in "acd")))
    # the error of the difference at the predicted b, so that a low fluctuation of b does not shrink its own error
    scale = variance["b"] / total["b"] if total["b"] > 0 else variance["d"] / total["d"]
    pull = (total["b"] - predicted) / float(np.sqrt(error**2 + predicted * scale))
    return Abcd(**total, predicted=predicted, error=error, closure=total["b"] / predicted - 1, pull=pull)


def abcd_contamination(background: Abcd, signal: Abcd | tuple[float, float, float, float]) -> float:
    """Relative change of the predicted background when signal leaks into the regions A, C and D.

    Parameters
    ----------
    background : Abcd
    signal : Abcd, or yields (a, b, c, d)
        Of the signal in the same regions.
    """
    a, _, c, d = (signal.a, signal.b, signal.c, signal.d) if isinstance(signal, Abcd) else signal
    return (background.a + a) * (background.c + c) / (background.d + d) / background.predicted - 1


@dataclass(frozen=True, eq=False)
class SidebandFit:
    """A smooth function fitted to a mass spectrum, some bins left out.

    Attributes
    ----------
    expected : float64 (bins,)
        Fitted counts in all bins, those left out included.
    covariance : float64 (bins, bins)
        Of `expected`, from the errors of the parameters.
    parameters : float64 (k,)
        ln p0, p1, p2, ... of the function.
    deviance : float
        -2 ln of the likelihood ratio against a perfect fit, over the fitted bins; near `degrees` for a good fit.
    degrees : int
        Fitted bins minus parameters.
    p : float
        Chi-square probability of the deviance.
    """

    expected: NDArray[np.float64]
    covariance: NDArray[np.float64]
    parameters: NDArray[np.float64]
    deviance: float
    degrees: int
    p: float

    def window(self, mask: ArrayLike) -> tuple[float, float]:
        """Background in the bins of `mask` together, and its error from the fit."""
        m = np.asarray(mask, dtype=bool)
        return float(np.sum(self.expected[m])), float(np.sqrt(np.sum(self.covariance[np.ix_(m, m)])))


def sideband_fit(
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    exclude: ArrayLike | None = None,
    parameters: Literal[3, 4, 5] = 3,
    sqrt_s: float = 13000.0,
) -> SidebandFit:
    r"""Poisson maximum-likelihood fit of the dijet function to a falling mass spectrum.

    :math:`f(x) = p_0 (1-x)^{p_1} x^{-p_2 - p_3 \ln x - p_4 \ln^2 x}`, :math:`x = m/\sqrt s`, with the first 3, 4 or 5
    parameters, at the centre of each bin times its width (CDF, Phys. Rev. D 79 (2009) 112002; ATLAS and CMS dijet
    searches). ln f is linear in (ln p0, p1, ...), so the likelihood has one maximum; MINUIT's MIGRAD (through iminuit)
    finds it from the weighted least-squares fit to ln n, in combinations of the parameters that are uncorrelated to
    first order. Errors are those of the information matrix at the maximum.

    Parameters
    ----------
    counts : (bins,)
    edges : (bins + 1,)
        In GeV, positive and below `sqrt_s`.
    exclude : (bins,) bool, optional
        Bins that do not enter the fit: the signal window.
    parameters : 3, 4 or 5
    sqrt_s : float
        In GeV.

    Raises
    ------
    InputError
        If shapes or ranges are wrong, fewer bins than parameters hold events, or the fit does not converge.
    """
    n, e = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    use = np.ones(len(n), bool) if exclude is None else ~np.asarray(exclude, dtype=bool)
    if len(e) != len(n) + 1 or use.shape != n.shape or np.any(n < 0) or not np.all(np.diff(e) > 0):
        raise InputError(
            f"{len(n)} counts, {len(e)} edges: give counts >= 0, ascending edges, one more edge than counts"
        )
    if parameters not in (3, 4, 5) or e[0] <= 0 or e[-1] >= sqrt_s:
        raise InputError("the dijet function has 3, 4 or 5 parameters and needs 0 < m < sqrt(s)")
    if np.sum(n[use] > 0) < parameters:
        raise InputError(
            f"{int(np.sum(n[use] > 0))} bins with events cannot fix {parameters} parameters: widen the sidebands"
        )
    x = (e[1:] + e[:-1]) / 2 / sqrt_s
    log_x = np.log(x)
    columns = [np.ones(len(x)), np.log1p(-x), -log_x, -(log_x**2), -(log_x**3)][:parameters]
    # orthonormal columns: the powers of ln x are nearly parallel
    design, triangle = np.linalg.qr(np.stack(columns, axis=1))
    offset = np.log(np.diff(e))
    theta, information = _maximum(design[use], n[use], offset[use])
    inverse = np.linalg.inv(information)
    expected = np.exp(design @ theta + offset)
    slope = design * expected[:, None]
    fitted = expected[use]
    deviance = float(2 * np.sum(special.kl_div(n[use], fitted)))
    degrees = int(np.sum(use)) - parameters
    return SidebandFit(
        expected=expected,
        covariance=slope @ inverse @ slope.T,
        parameters=np.linalg.solve(triangle, theta),
        deviance=deviance,
        degrees=degrees,
        p=float(special.chdtrc(degrees, deviance)) if degrees > 0 else 1.0,
    )


def _maximum(
    design: NDArray[np.float64], n: NDArray[np.float64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maximum of sum n eta - exp(eta), eta = design theta + offset, and the information matrix there."""
    target = np.log(n + 0.5) - offset
    root = np.sqrt(n + 0.5)
    start = np.asarray(np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0], dtype=np.float64)
    # in whitened parameters the information at the start is the unit matrix: every parameter has an error of about 1
    first = design * np.exp(design @ start + offset)[:, None]
    whiten = np.linalg.inv(np.linalg.cholesky(design.T @ first)).T
    columns, base = design @ whiten, design @ start + offset

    def value(u: NDArray[np.float64]) -> float:
        eta = np.minimum(columns @ u + base, 700.0)
        return float(np.sum(np.exp(eta) - n * eta))

    def gradient(u: NDArray[np.float64]) -> NDArray[np.float64]:
        slope: NDArray[np.float64] = (np.exp(np.minimum(columns @ u + base, 700.0)) - n) @ columns
        return slope

    zero = np.zeros(len(start))
    minuit = Minuit(value, zero, grad=gradient)
    minuit.errordef, minuit.errors, minuit.tol = Minuit.LIKELIHOOD, 1.0, 1e-4
    for strategy in (0, 2):
        minuit.strategy = strategy
        minuit.migrad()
        # MIGRAD stops within a small fraction of an error; one Newton step takes the rest of the way
        theta = start + whiten @ np.array(minuit.values)
        nu = np.exp(np.minimum(design @ theta + offset, 700.0))
        slope = design.T @ (n - nu)
        step = np.linalg.lstsq(design.T @ (design * nu[:, None]), slope, rcond=None)[0]
        if abs(float(slope @ step)) < 1e-3:
            theta = theta + step
            nu = np.exp(design @ theta + offset)
            information = design.T @ (design * nu[:, None])
            if np.linalg.cond(information) < 1e14:
                return theta, information
    raise InputError("the sideband fit did not converge: use fewer parameters or wider bins")


def f_test(fewer: SidebandFit, more: SidebandFit) -> float:
    """p-value of the improvement by more parameters, if the function with fewer is right: Fisher's F-test.

    F = [(D1 - D2) / (k2 - k1)] / [D2 / (N - k2)] against the F distribution with (k2 - k1, N - k2) degrees, for N
    fitted bins; the deviance D, which is a chi-square for well filled bins, stands for it also where bins are sparse.
    Dividing by D2 makes the test blind to a spread that is larger than Poisson's.

    Raises
    ------
    InputError
        If the fits are not nested: the second must have more parameters, on the same bins.
    """
    extra = fewer.degrees - more.degrees
    if extra < 1 or extra != len(more.parameters) - len(fewer.parameters) or more.degrees < 1:
        raise InputError("an F-test compares fits to the same bins, the second with more parameters and bins to spare")
    gain = max(fewer.deviance - more.deviance, 0.0) / extra
    return float(special.fdtrc(extra, more.degrees, gain / (more.deviance / more.degrees)))


def enough_parameters(
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    exclude: ArrayLike | None = None,
    level: float = 0.05,
    sqrt_s: float = 13000.0,
) -> SidebandFit:
    """Fit with the fewest parameters of 3, 4, 5 that one more does not improve at the significance `level`.

    By the F-test of nested functions (`f_test`). Other arguments and errors as `sideband_fit`.
    """
    fit = sideband_fit(counts, edges, exclude=exclude, parameters=3, sqrt_s=sqrt_s)
    sizes: tuple[Literal[4, 5], ...] = (4, 5)
    for k in sizes:
        if fit.degrees < 2 or fit.deviance < 1e-9 * fit.degrees:
            return fit  # no bins to spare, or nothing left to improve
        more = sideband_fit(counts, edges, exclude=exclude, parameters=k, sqrt_s=sqrt_s)
        if f_test(fit, more) >= level:
            return fit
        fit = more
    return fit


@dataclass(frozen=True)
class Sculpting:
    """What a cut does to the mass distribution of the background.

    Attributes
    ----------
    jsd : float
        Jensen-Shannon divergence (bits, 0 .. 1) of the mass of events that pass against that of all events.
    expected : float
        Its mean when as many events are picked at random: the floor that finite statistics sets.
    p : float
        Share of random picks with at least this divergence; (k + 1) / (N + 1).
    mean_shift, width_shift : float
        Of the mass after the cut: change of the mean, and of the standard deviation, both in units of the standard
        deviation of all events.
    eps_b : float
        Fraction of the background's weight that passes.
    """

    jsd: float
    expected: float
    p: float
    mean_shift: float
    width_shift: float
    eps_b: float


def jensen_shannon(p: ArrayLike, q: ArrayLike) -> float:
    """Jensen-Shannon divergence in bits of two histograms (negative bins count as empty); 0 equal, 1 disjoint."""
    a, b = (np.maximum(np.asarray(x, dtype=np.float64), 0.0) for x in (p, q))
    if a.shape != b.shape or not (np.sum(a) > 0 and np.sum(b) > 0):
        raise InputError("a divergence needs two histograms with the same bins and positive totals")
    a, b = a / np.sum(a), b / np.sum(b)
    middle = (a + b) / 2
    return float(np.sum(special.rel_entr(a, middle) + special.rel_entr(b, middle)) / (2 * np.log(2)))


def sculpting(
    mass: ArrayLike,
    passed: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bins: int = 40,
    picks: int = 200,
    rng: np.random.Generator,
) -> Sculpting:
    """Does a cut on a score shape the mass of the background into a bump? To be looked at before any significance.

    Parameters
    ----------
    mass : (n,)
        Of background events.
    passed : (n,) bool
        Events that pass the cut.
    weight : (n,), optional
    bins : int
        Bins of equal background counts in which the divergence is taken.
    picks : int
        Random picks of as many events.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        If lengths differ or nothing, or everything, passes.
    """
    m, keep = np.asarray(mass, dtype=np.float64), np.asarray(passed, dtype=bool)
    w = np.ones(len(m)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not m.shape == keep.shape == w.shape:
        raise InputError(f"masses, flags and weights have shapes {m.shape}, {keep.shape}, {w.shape}: give one an event")
    if not 0 < np.sum(keep) < len(m):
        raise InputError(f"{int(np.sum(keep))} of {len(m)} events pass: a cut that sculpts lets some pass and some not")
    edges = np.unique(np.quantile(m, np.arange(1, bins) / bins))
    index = np.searchsorted(edges, m, side="right")
    everything = np.bincount(index, w, minlength=len(edges) + 1)

    def divergence(chosen: NDArray[np.bool_]) -> float:
        return jensen_shannon(np.bincount(index[chosen], w[chosen], minlength=len(edges) + 1), everything)

    jsd = divergence(keep)
    random = np.array([divergence(rng.permutation(keep)) for _ in range(picks)])
    mean, width = _moments(m, w)
    mean_passed, width_passed = _moments(m[keep], w[keep])
    return Sculpting(
        jsd=jsd,
        expected=float(np.mean(random)),
        p=float((np.sum(random >= jsd) + 1) / (picks + 1)),
        mean_shift=(mean_passed - mean) / width,
        width_shift=(width_passed - width) / width,
        eps_b=float(np.sum(w[keep]) / np.sum(w)),
    )


def _moments(x: NDArray[np.float64], w: NDArray[np.float64]) -> tuple[float, float]:
    mean = float(np.average(x, weights=w))
    return mean, float(np.sqrt(np.average((x - mean) ** 2, weights=w)))
