"""Data against their prediction: the p-value of an excess in each bin of a score, and in all of them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import special

from hepaa.errors import InputError
from hepaa.stats.significance import li_ma, p_to_z, poisson_z

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from hepaa.stats.histogram import ScoreHistograms

_SMALLEST = 1e-290
"""Of p-values that a significance can be taken from; beyond, it is that of the likelihood ratio."""


def excess(n: ArrayLike, b: ArrayLike, sigma_b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p-value of n events or more where b +- sigma_b are expected, and its significance; both (bins,).

    The background is taken as if a Poisson count had measured it with this error, and the test is exact: p =
    I_{1 / (1 + tau)}(n, 1 + tau b) with tau = b / sigma_b^2 (Cousins, Linnemann, Tucker, Nucl. Instrum. Meth. A 595
    (2008) 480, "Z_Bi"); for sigma_b = 0 the Poisson tail.

    Parameters
    ----------
    n : (bins,)
        Observed counts: whole numbers.
    b, sigma_b : (bins,)
        Expected events, positive, and their uncertainty, in events.

    Returns
    -------
    p, z : float64 (bins,)
        One-sided; of no event at all p is 1 and z is -inf.

    Raises
    ------
    InputError
        If a count is not whole, or b is not positive.

    Examples
    --------
    >>> p, z = excess([20], [10.0], [10.0**0.5])
    >>> round(float(p[0]), 4), round(float(z[0]), 3)
    (0.0494, 1.651)
    """
    count, mean, sigma = (np.atleast_1d(np.asarray(x, dtype=np.float64)) for x in (n, b, sigma_b))
    if np.any(count != np.floor(count)):
        raise InputError("observed counts are not whole numbers: data with weights have no p-value; let each weigh 1")
    if not np.all(mean > 0):
        raise InputError("a bin has no background: merge it with its neighbour before data are compared with it")
    known = sigma**2 < 1e-12 * mean
    tau = mean / np.where(known, mean, sigma**2)
    at_least_one = np.maximum(count, 1.0)
    p = np.where(
        known, special.gammainc(at_least_one, mean), special.betainc(at_least_one, 1 + tau * mean, 1 / (1 + tau))
    )
    p = np.where(count == 0, 1.0, p)
    far = np.where(known, poisson_z(count, mean), li_ma(count, tau * mean, 1 / tau))
    return p, np.where(p > _SMALLEST, p_to_z(np.maximum(p, _SMALLEST)), far)


@dataclass(frozen=True, eq=False)
class Observed:
    """Data and their prediction in the bins of a score.

    Attributes
    ----------
    n : float64 (bins,)
        Observed counts; 0 where they are not seen.
    seen : bool (bins,)
        Bins that are not blind.
    blind_above : float or None
        The score above which data are not counted.
    b, stat_b, sigma_b : float64 (bins,)
        Prediction, its Monte-Carlo error, and all of its uncertainty.
    sigma_total : float
        Uncertainty of the sum of the bins: shared ones move all of them together.
    systematic : float
        Relative uncertainty of the background that all bins share.
    shifts : mapping of name -> float64 (bins,)
        Shared relative uncertainties beside it.
    """

    n: NDArray[np.float64]
    seen: NDArray[np.bool_]
    blind_above: float | None
    b: NDArray[np.float64]
    stat_b: NDArray[np.float64]
    sigma_b: NDArray[np.float64]
    sigma_total: float
    systematic: float
    shifts: Mapping[str, NDArray[np.float64]]

    @classmethod
    def of(cls, histograms: ScoreHistograms, *, systematic: float, shifts: Mapping[str, NDArray[np.float64]]) -> Self:
        """Of histograms, without data those of no event, and the shared uncertainties of their background.

        Raises
        ------
        InputError
            If data have weights other than 1: their counts are counts of nothing.
        """
        data = histograms.data
        if data is not None and not np.allclose(data.values(), np.asarray(data.variances()), rtol=1e-9):
            raise InputError(
                "data have weights, and each event of data counts as 1; take what `hepaa features --role data` gives, "
                "before any split"
            )
        b, variance, bins = histograms.b, histograms.b_variance, len(histograms.binning)
        shared = np.array([np.full(bins, systematic), *shifts.values()])
        return cls(
            n=np.zeros(bins) if data is None else np.asarray(data.values()),
            seen=histograms.seen,
            blind_above=histograms.blind_above,
            b=b,
            stat_b=np.sqrt(variance),
            sigma_b=np.sqrt(variance + np.sum((shared * b) ** 2, axis=0)),
            sigma_total=float(np.sqrt(variance.sum() + np.sum((shared @ b) ** 2))),
            systematic=systematic,
            shifts=dict(shifts),
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON: counts are null where they are blind, and so are all p-values while a bin is."""
        content: dict[str, Any] = {
            "blind_above": self.blind_above,
            "events": [int(n) if seen else None for n, seen in zip(self.n, self.seen, strict=True)],
            "b": self.b.tolist(),
            "stat_b": self.stat_b.tolist(),
            "sigma_b": self.sigma_b.tolist(),
            "systematic": self.systematic,
            "shifts": {name: shift.tolist() for name, shift in self.shifts.items()},
        }
        if self.blind_above is not None:
            return content | {"p": None, "z": None, "total": None}
        p, z = excess(self.n, self.b, self.sigma_b)
        (p_all,), (z_all,) = excess(self.n.sum(), self.b.sum(), self.sigma_total)
        total: dict[str, Any] = {"events": int(self.n.sum()), "b": float(self.b.sum()), "sigma_b": self.sigma_total}
        total |= {"p": float(p_all), "z": _finite(z_all)}
        return content | {"p": p.tolist(), "z": [_finite(x) for x in z], "total": total}


def _finite(z: float) -> float | None:
    """A significance; None where there is no event at all."""
    return float(z) if np.isfinite(z) else None
