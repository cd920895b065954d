"""Bumps in a mass spectrum: where the largest one is, and what it is worth among all the places it could have been."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import special

from hepaa.compiled import kernel
from hepaa.errors import InputError
from hepaa.stats.likelihood import ToyP, q0_of
from hepaa.stats.sidebands import sideband_fit
from hepaa.stats.significance import p_to_z, poisson_z, z_to_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Bump:
    """The most significant excess of a spectrum over a smooth fit.

    Attributes
    ----------
    low, high : float
        Window, in the unit of the edges.
    observed : int
        Counts in it.
    expected : float
        Background in it, by the fit.
    z_local : float
        Poisson significance in this window alone.
    overall : ToyP
        p-value of finding as large an excess anywhere, from toys that are fitted and scanned in the same way.
    """

    low: float
    high: float
    observed: int
    expected: float
    z_local: float
    overall: ToyP


def bump_hunt(
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    widths: Sequence[int] = (2, 3, 4, 5),
    parameters: Literal[3, 4, 5] = 3,
    sqrt_s: float = 13000.0,
    toys: int = 500,
    rng: np.random.Generator,
) -> Bump:
    """Fit the whole spectrum with the dijet function and look for the most significant excess in sliding windows.

    After G. Choudalakis, arXiv:1101.0390 (BumpHunter). The toys are drawn from the fit and fitted again, so that the
    freedom of the fit to follow a fluctuation is part of the answer.

    Parameters
    ----------
    counts : (bins,)
        Whole numbers.
    edges : (bins + 1,)
        In GeV.
    widths : sequence of int
        Widths of the windows, in bins.
    parameters, sqrt_s
        As for `hepaa.stats.sidebands.sideband_fit`, with its errors.
    toys : int
    rng : numpy.random.Generator
    """
    n, e = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if np.any(n != np.floor(n)):
        raise InputError("a bump hunt needs counts, whole numbers: weighted yields have no Poisson probability")
    if toys < 1 or min(widths) < 1 or max(widths) > len(n):
        raise InputError(
            f"toys = {toys} and widths = {tuple(widths)}: ask for 1 or more, and windows that fit {len(n)} bins"
        )

    def scan(c: NDArray[np.float64]) -> tuple[float, int, int, float]:
        b = sideband_fit(c, e, parameters=parameters, sqrt_s=sqrt_s).expected
        best = (np.inf, 0, 0, 0.0)
        sums, fits = np.concatenate([[0.0], np.cumsum(c)]), np.concatenate([[0.0], np.cumsum(b)])
        for width in widths:
            observed, expected = sums[width:] - sums[:-width], fits[width:] - fits[:-width]
            p = np.where(observed > 0, special.gammainc(np.maximum(observed, 1.0), expected), 1.0)
            i = int(np.argmin(p))
            if p[i] < best[0]:
                best = (float(p[i]), i, i + width, float(expected[i]))
        return best

    p, i, j, expected = scan(n)
    fit = sideband_fit(n, e, parameters=parameters, sqrt_s=sqrt_s).expected
    beyond = sum(scan(rng.poisson(fit).astype(np.float64))[0] <= p for _ in range(toys))
    observed = int(np.sum(n[i:j]))
    return Bump(
        float(e[i]), float(e[j]), observed, expected, poisson_z(observed, expected), ToyP.count(int(beyond), toys)
    )


def mass_scan(
    counts: ArrayLike, expected: ArrayLike, edges: ArrayLike, masses: ArrayLike, width: float
) -> NDArray[np.float64]:
    """Significance sqrt(q0) of a Gaussian peak at each mass, over a known background, for one or many spectra.

    Parameters
    ----------
    counts : (bins,) or (spectra, bins)
    expected : (bins,)
        Background, > 0.
    edges : (bins + 1,)
    masses : (k,)
        Centres of the peak.
    width : float
        Its standard deviation, in the unit of the edges.

    Returns
    -------
    float64 (k,) or (spectra, k)
    """
    n, b = np.asarray(counts, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    e, m = np.asarray(edges, dtype=np.float64), np.atleast_1d(np.asarray(masses, dtype=np.float64))
    if n.shape[-1] != len(b) or len(e) != len(b) + 1 or not np.all(b > 0) or np.any(n < 0) or width <= 0:
        raise InputError(
            f"counts {n.shape}, background {b.shape} > 0, edges {e.shape} and width {width}: bins do not match"
        )
    templates = np.diff(special.ndtr((e[None, :] - m[:, None]) / width), axis=1)
    if np.any(np.sum(templates, axis=1) <= 0):
        raise InputError("a peak lies outside the spectrum: keep the masses within the edges")
    z = _scan(np.atleast_2d(n), b, templates)
    return z if n.ndim == 2 else np.asarray(z[0])


@kernel
def _scan(counts: Any, b: Any, templates: Any) -> Any:
    out = np.empty((len(counts), len(templates)))
    for t in range(len(counts)):
        for k in range(len(templates)):
            out[t, k] = np.sqrt(q0_of(counts[t], templates[k], b))
    return out


def upcrossings(z: ArrayLike, level: float) -> Any:
    """Number of times that a scan rises through `level`, along the last axis of (k,) or (spectra, k)."""
    values = np.asarray(z, dtype=np.float64)
    count = np.sum((values[..., 1:] >= level) & (values[..., :-1] < level), axis=-1)
    return int(count) if np.ndim(count) == 0 else count


def gross_vitells(z_local: float, crossings: float, level: float) -> tuple[float, float]:
    """Global p-value and significance of the largest local significance of a scan.

    p_global <= p_local + <N(u0)> exp(-(z_local^2 - u0^2) / 2): Gross and Vitells, Eur. Phys. J. C 70 (2010) 525, eq. 3
    for one degree of freedom.

    Parameters
    ----------
    z_local : float
        Largest local significance.
    crossings : float
        Mean number of upcrossings of `level` in scans of the background alone: a few tens of toys fix it.
    level : float
        Low reference, such as 0.5.

    Returns
    -------
    (p, z)
    """
    if crossings < 0 or z_local < level:
        raise InputError(
            f"{crossings} crossings and z_local = {z_local} below the level {level}: the bound holds above it"
        )
    p = min(z_to_p(z_local) + crossings * float(np.exp(-(z_local**2 - level**2) / 2)), 1.0)
    return p, p_to_z(p)
