"""Scores made independent of a mass, so that a cut on them does not shape its spectrum.

The transform is learned on background that the detector was not trained on, and gives minus the logarithm of a
p-value within the mass of the event: background follows the exponential distribution of mean 1 at every mass, and a cut
keeps the same fraction of it everywhere. Higher is still more anomalous. (The penalty that does the same in training is
`hepaa.models.losses.disco.DisCo`.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError, NotFittedError
from hepaa.stats.calibration import mass_slices

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike, NDArray


class QuantileFlattening:
    """Conditional quantiles of the score in the mass: -ln(1 - F(score | mass)).

    F is the weighted empirical distribution in slices of equal counts in the mass, interpolated linearly between the
    mean masses of neighbouring slices, so that it has no steps. Beyond the highest score of a slice its tail goes on as
    an exponential with the mean excess of the slice's highest tenth, which keeps the order of the most anomalous.

    Parameters
    ----------
    slices : int
        Slices of the mass; fewer where that leaves less than 50 events in one.
    degree : int, optional
        The quantiles follow polynomials of this degree in the mass, fitted to those of all slices, in place of those of
        the two neighbouring slices. A resonance search needs that: what two slices beside the signal region have by
        chance becomes a bump there, but a fit of the spectrum follows what varies slowly over all of it.

    Attributes
    ----------
    masses_ : float64 (k,)
        Mean mass of each slice; with `degree`, where the polynomials are evaluated.
    """

    def __init__(self, slices: int = 20, *, degree: int | None = None) -> None:
        if slices < 1:
            raise InputError(f"{slices} slices of the mass: ask for one or more")
        self.slices, self.degree = slices, degree

    def fit(self, score: ArrayLike, mass: ArrayLike, weight: ArrayLike | None = None) -> Self:
        """Learn from background events: score, mass and weight, (n,) each.

        Raises
        ------
        InputError
            If lengths differ, a value is not finite, there are fewer than 50 events, or a slice has no positive sum of
            weights.
        """
        s, m, w = _events(score, mass, weight)
        if len(s) < 50:
            raise InputError(f"{len(s)} background events are too few to flatten a score: give 50 or more")
        index, _ = mass_slices(m, m, n=max(1, min(self.slices, len(s) // 50)))
        self.masses_ = np.empty(0)
        self._knots: list[tuple[NDArray[np.float64], NDArray[np.float64], float]] = []
        for k in np.unique(index):
            rows = np.flatnonzero(index == k)
            rows = rows[np.argsort(s[rows], kind="stable")]
            total = np.sum(w[rows])
            if not total > 0:
                raise InputError("a slice of the mass has no positive sum of weights: use fewer slices")
            above = np.cumsum(w[rows][::-1])[::-1] / total
            values, first = np.unique(s[rows], return_index=True)
            # of equal scores the first counts all; negative weights may make a step back, which is levelled
            surprise = np.maximum.accumulate(-np.log(np.maximum(above[first], 1e-12)))
            tail = s[rows][-max(len(rows) // 10, 5) :]
            excess = float(np.mean(tail - tail[0]))
            self.masses_ = np.append(self.masses_, np.mean(m[rows]))
            self._knots.append((values, surprise, excess if excess > 0 else 1.0))
        if self.degree is not None:
            self._smooth(self.degree)
        return self

    def _smooth(self, degree: int) -> None:
        """In place of those of the slices, the quantiles of polynomials in the mass, at so many masses."""
        surprise = np.arange(0.0, max(levels[-1] for _, levels, _ in self._knots), 0.02)
        scores = [
            np.interp(surprise, levels, values) + np.maximum(surprise - levels[-1], 0.0) * excess
            for values, levels, excess in self._knots
        ]
        scale = np.ptp(self.masses_) or 1.0
        grid = np.linspace(self.masses_[0], self.masses_[-1], 50)
        at_slices, at_grid = (
            np.vander((m - self.masses_.mean()) / scale, min(degree, len(self.masses_) - 1) + 1)
            for m in (self.masses_, grid)
        )
        excess = np.log([excess for _, _, excess in self._knots])
        fitted = at_grid @ np.linalg.lstsq(at_slices, np.column_stack([np.array(scores), excess]), rcond=None)[0]
        values = np.maximum.accumulate(fitted[:, :-1], axis=1)
        self.masses_ = grid
        self._knots = [(v, surprise, float(np.exp(e))) for v, e in zip(values, fitted[:, -1], strict=True)]

    def transform(self, score: ArrayLike, mass: ArrayLike) -> NDArray[np.float64]:
        """Flattened score (n,) of scores and masses (n,).

        Raises
        ------
        NotFittedError, InputError
            Before `fit`; if lengths differ or a value is not finite.
        """
        if not hasattr(self, "_knots"):
            raise NotFittedError("this QuantileFlattening is not fitted yet; call fit first")
        s, m, _ = _events(score, mass, None)
        last = len(self.masses_) - 1
        if last == 0:
            return self._surprise(0, s)
        low = np.clip(np.searchsorted(self.masses_, m, side="right") - 1, 0, last - 1)
        part = np.clip((m - self.masses_[low]) / (self.masses_[low + 1] - self.masses_[low]), 0.0, 1.0)
        out = np.empty(len(s))
        for k in np.unique(low):
            rows = low == k
            left, right = self._surprise(k, s[rows]), self._surprise(k + 1, s[rows])
            with np.errstate(divide="ignore"):
                out[rows] = -np.logaddexp(np.log1p(-part[rows]) - left, np.log(part[rows]) - right)
        return out

    def _surprise(self, k: int, s: NDArray[np.float64]) -> NDArray[np.float64]:
        values, surprise, excess = self._knots[k]
        beyond = np.maximum(s - values[-1], 0.0) / excess
        return np.asarray(np.interp(s, values, surprise) + beyond)


def _events(score: ArrayLike, mass: ArrayLike, weight: ArrayLike | None) -> tuple[NDArray[np.float64], ...]:
    s, m = np.asarray(score, dtype=np.float64), np.asarray(mass, dtype=np.float64)
    w = np.ones(s.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if s.ndim != 1 or not s.shape == m.shape == w.shape:
        raise InputError(f"scores, masses and weights have shapes {s.shape}, {m.shape}, {w.shape}: give one an event")
    if not (np.all(np.isfinite(s)) and np.all(np.isfinite(m)) and np.all(np.isfinite(w))):
        raise InputError("a score, mass or weight is not finite")
    return s, m, w
