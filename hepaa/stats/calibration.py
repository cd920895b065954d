"""Scores turned into p-values that hold for any detector, and what may be done with many of them.

A conformal p-value is the share of background events that score at least as high. Under the background alone it is
uniform (up to steps of 1 / (n + 1)) whatever the detector, as long as calibration and test events are exchangeable:
calibrate on background events that the detector was not trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def conformal_pvalues(
    calibration: ArrayLike,
    scores: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    score_weight: ArrayLike | None = None,
    slices: ArrayLike | None = None,
    score_slices: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""p-values of scores under the background.

    Split conformal: :math:`p = (1 + \#\{c_i \ge s\}) / (n + 1)` (Vovk et al.; Bates et al., Ann. Statist. 51 (2023)
    149). Weighted: :math:`p = (w + \sum_{c_i \ge s} w_i) / (w + \sum w_i)` with the weight w of the tested event
    (Tibshirani et al., NeurIPS 2019), for calibration events that stand for the test distribution only through
    their weights. Mondrian: within the slice of each event, so that p is uniform in every slice, for scores
    that depend on a mass.

    Parameters
    ----------
    calibration : (n,)
        Scores of background events that took no part in the training; higher is more anomalous.
    scores : (m,)
        Scores to be judged.
    weight : (n,), optional
        Weights >= 0 of the calibration events. Negative weights have no conformal p-value.
    score_weight : (m,), optional
        Weights of the judged events; by default the largest calibration weight, which can only make p larger.
    slices, score_slices : (n,), (m,), optional
        Slice of each event, any labels that compare equal; see `mass_slices`. Both or neither.

    Returns
    -------
    float64 (m,)
        In (0, 1]; never below 1 / (n + 1) (of its slice): a longer tail needs more calibration events.

    Raises
    ------
    InputError
        If there is no calibration event (in a slice that is asked for), lengths differ, a weight is negative, or a
        score is NaN.

    Examples
    --------
    >>> conformal_pvalues([1.0, 2.0, 3.0], [0.0, 2.0, 9.0])
    array([1.  , 0.75, 0.25])
    """
    c, s = _values("calibration score", calibration), _values("score", scores)
    w = np.ones(len(c)) if weight is None else _values("calibration weight", weight)
    if w.shape != c.shape or np.any(w < 0):
        raise InputError(
            f"{len(w)} calibration weights for {len(c)} scores: give one >= 0 each (negative ones have no p-value)"
        )
    if (slices is None) != (score_slices is None):
        raise InputError(
            "slices of the calibration events and of the judged ones belong together: give both or neither"
        )
    if score_weight is not None:
        ws = _values("weight", score_weight)
        if ws.shape != s.shape or np.any(ws < 0):
            raise InputError(f"{len(ws)} weights for {len(s)} scores: give one >= 0 each")
    group = np.zeros(len(c), np.int8) if slices is None else np.asarray(slices)
    score_group = np.zeros(len(s), np.int8) if score_slices is None else np.asarray(score_slices)
    if group.shape != c.shape or score_group.shape != s.shape:
        raise InputError("slices and scores have different lengths: give one slice an event")
    out = np.empty(len(s))
    for g in np.unique(score_group):
        reference, judged = group == g, score_group == g
        if not np.any(w[reference] > 0):
            place = "" if slices is None else f" in slice {g}"
            raise InputError(f"there are no calibration events{place}: use fewer slices or more background")
        order = np.argsort(c[reference], kind="stable")
        from_top = np.concatenate([[0.0], np.cumsum(w[reference][order][::-1])])
        above = from_top[np.sum(reference) - np.searchsorted(c[reference][order], s[judged], side="left")]
        own = np.max(w[reference]) if score_weight is None else ws[judged]
        out[judged] = (own + above) / (own + from_top[-1])
    return out


def mass_slices(
    calibration_mass: ArrayLike, mass: ArrayLike, *, n: int = 10
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Slices of equal calibration counts in a mass, for the Mondrian form of `conformal_pvalues`.

    Parameters
    ----------
    calibration_mass, mass : (n_calibration,), (m,)
        In the same unit. Masses beyond those of the calibration events fall in the first and last slice.
    n : int
        Number of slices.

    Returns
    -------
    (slices, score_slices)
    """
    m, other = _values("calibration mass", calibration_mass), _values("mass", mass)
    if n < 1 or len(m) < n:
        raise InputError(f"{n} slices of {len(m)} calibration events: ask for at least one and at most one an event")
    edges = np.quantile(m, np.arange(1, n) / n)
    first, second = (np.searchsorted(edges, x, side="right").astype(np.int64) for x in (m, other))
    return first, second


def benjamini_hochberg(p: ArrayLike, level: float = 0.05) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which events to call anomalous so that at most a fraction `level` of them is background, on average.

    Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995) 289; holds for conformal p-values that share one calibration
    set (Bates et al. 2023).

    Parameters
    ----------
    p : (m,)
    level : float
        False discovery rate, between 0 and 1.

    Returns
    -------
    (called, q)
        (m,) bool, and the smallest level at which each event would be called.
    """
    values = _probabilities(p)
    if not 0 < level < 1:
        raise InputError(f"a false discovery rate of {level} makes no sense: give one between 0 and 1")
    order = np.argsort(values)
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    q = np.empty(len(values))
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q <= level, q


def combine_pvalues(
    p: ArrayLike, null: ArrayLike, *, method: Literal["min", "fisher"] = "fisher"
) -> NDArray[np.float64]:
    """One p-value of the p-values of several detectors, whatever their correlation.

    The smallest p ("min") or Fisher's -2 sum ln p is itself calibrated on background events, whose detectors are
    correlated as they are; no independence is assumed.

    Parameters
    ----------
    p : (m, k)
        p-values of m events by k detectors.
    null : (n, k)
        p-values of background events by the same detectors; neither trained on nor used for their calibration.
    method : "min" or "fisher"

    Returns
    -------
    float64 (m,)
    """
    if method not in ("min", "fisher"):
        raise InputError(f"there is no combination {method!r}; {nearest(method, ('min', 'fisher'))}")
    ours, theirs = np.atleast_2d(_probabilities(p)), np.atleast_2d(_probabilities(null))
    if ours.shape[1] != theirs.shape[1]:
        raise InputError(
            f"{ours.shape[1]} detectors are combined with the null of {theirs.shape[1]}: give the same ones"
        )
    with np.errstate(divide="ignore"):
        surprise = [-np.min(x, axis=1) if method == "min" else -np.sum(np.log(x), axis=1) for x in (theirs, ours)]
    return conformal_pvalues(*surprise)


def _values(quantity: str, x: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1:
        raise InputError(f"{quantity}s have shape {values.shape}: give one an event")
    if np.any(np.isnan(values)):
        raise InputError(f"the {quantity} of event {int(np.argmax(np.isnan(values)))} is not a number")
    return values


def _probabilities(p: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(p, dtype=np.float64)
    if values.size == 0 or not np.all((values >= 0) & (values <= 1)):
        raise InputError("p-values must be one or more numbers between 0 and 1")
    return values
