"""Background from data: a smooth function fitted to the sidebands of a mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from iminuit import Minuit
from scipy import special

from hepaa.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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
