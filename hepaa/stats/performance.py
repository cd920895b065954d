"""Separation of signal from background by a score: ROC, AUC, AUC-PR, signal efficiencies and SIC, with errors.

Score sign: higher is more anomalous. Weights may be negative: every quantity is a ratio of sums of weights, and the
statistical errors use sums of squared weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import special

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

FLOOR = 25
"""Background events, unweighted, that must pass a cut before an efficiency or SIC is quoted there (20 % error)."""

EFFICIENCIES = (1e-1, 1e-2, 1e-3)
"""Background efficiencies at which signal efficiencies are quoted."""


@dataclass(frozen=True, eq=False)
class Roc:
    """Efficiencies for every distinct cut `score >= threshold`, from the tightest to the loosest.

    Attributes
    ----------
    threshold : float64 (k,)
        Descending; the first is +inf, which nothing passes.
    eps_s, eps_b : float64 (k,)
        Fraction of the signal's and the background's sum of weights that passes.
    n_s, n_b : int64 (k,)
        Raw events that pass.
    error_s, error_b : float64 (k,)
        Statistical errors of the efficiencies: binomial, with weights.
    n_eff_s, n_eff_b : float
        Effective events of each class: (sum w)^2 / sum w^2.
    """

    threshold: NDArray[np.float64]
    eps_s: NDArray[np.float64]
    eps_b: NDArray[np.float64]
    n_s: NDArray[np.int64]
    n_b: NDArray[np.int64]
    error_s: NDArray[np.float64]
    error_b: NDArray[np.float64]
    n_eff_s: float
    n_eff_b: float

    @property
    def auc(self) -> float:
        """Area under eps_s(eps_b): the chance that a signal event scores higher, ties counting half."""
        return float(np.sum(np.diff(self.eps_b) * (self.eps_s[1:] + self.eps_s[:-1])) / 2)

    def at(self, eps_b: float) -> int:
        """Index of the loosest cut with a background efficiency of at most `eps_b`."""
        return int(np.flatnonzero(self.eps_b <= eps_b)[-1])


@dataclass(frozen=True, eq=False)
class SIC(Roc):
    """Significance improvement eps_s / sqrt(eps_b) for every cut, from the tightest to the loosest.

    Attributes
    ----------
    threshold .. n_eff_b
        As of the ROC curve.
    sic, error : float64 (k,)
        NaN where nothing of the background passes.
    min_events : int
        Only cuts that as many raw background events pass are quoted.
    max, max_error, eps_s_at_max, eps_b_at_max : float or None
        Of the quoted cuts; None if there is none.
    """

    sic: NDArray[np.float64]
    error: NDArray[np.float64]
    min_events: int
    max: float | None
    max_error: float | None
    eps_s_at_max: float | None
    eps_b_at_max: float | None

    @property
    def quoted(self) -> NDArray[np.bool_]:
        """Cuts with enough background events to be quoted, (k,)."""
        return (self.n_b >= self.min_events) & (self.eps_b > 0)

    def interval(self, cuts: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """68 % interval at cuts, given by their index (m,), from the Clopper-Pearson intervals of both efficiencies.

        Where a thousand events of both classes pass, it is the symmetric error.

        Returns
        -------
        low, high : float64 (m,)
            NaN where nothing of the background passes.
        """
        rows = np.asarray(cuts)
        low, high = self.sic[rows] - self.error[rows], self.sic[rows] + self.error[rows]
        few = (self.eps_b[rows] > 0) & ((self.n_b[rows] < 1000) | (self.n_s[rows] < 1000))
        s, b, centre = (values[rows][few] for values in (self.eps_s, self.eps_b, self.sic))
        low_s, high_s = clopper_pearson(s, self.n_eff_s)
        low_b, high_b = clopper_pearson(b, self.n_eff_b)
        root = np.sqrt(b)
        low[few] = centre - np.hypot(centre - low_s / root, centre - s / np.sqrt(high_b))
        high[few] = centre + np.hypot(high_s / root - centre, s / np.sqrt(np.maximum(low_b, 1e-300)) - centre)
        return low, high


@dataclass(frozen=True)
class Performance:
    """Numbers that describe one score on one test set; see `performance`.

    All but the counts are None where the scores of single events were not kept: none of them follows from a histogram.
    """

    n_s: int
    n_b: int
    auc: float | None
    auc_error: float | None
    auc_pr: float | None
    auc_pr_error: float | None
    eps_s: dict[float, float | None]
    eps_s_error: dict[float, float | None]
    max_sic: float | None
    max_sic_error: float | None
    eps_s_at_max_sic: float | None
    eps_b_at_max_sic: float | None
    min_events: int
    curve: Roc | None = field(default=None, compare=False, repr=False)
    """ROC curve that the numbers were read off."""

    @classmethod
    def of_counts(cls, n_s: int, n_b: int, *, min_events: int = FLOOR) -> Self:
        """Of events that were counted in a histogram and not kept."""
        unknown: dict[float, float | None] = dict.fromkeys(EFFICIENCIES)
        return cls(n_s, n_b, *(None,) * 4, unknown, unknown, *(None,) * 4, min_events)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: numbers, with None where too few events are left to quote one."""
        values = {key: value for key, value in self.__dict__.items() if key != "curve"}
        for key in ("eps_s", "eps_s_error"):
            values[key] = {f"{eps:g}": value for eps, value in values[key].items()}
        return values


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Signal labels, scores and weights in descending order of the score, (n,): what every measure starts from.

    `order` are the events that they belong to, `last` the last event of each distinct score.
    """

    label: NDArray[np.bool_]
    value: NDArray[np.float64]
    w: NDArray[np.float64]
    order: NDArray[np.int64]
    last: NDArray[np.int64]

    @classmethod
    def of(cls, y: ArrayLike, score: ArrayLike, weight: ArrayLike | None) -> Self:
        label, value = np.asarray(y), np.asarray(score, dtype=np.float64)
        w = np.ones(len(value)) if weight is None else np.asarray(weight, dtype=np.float64)
        if label.ndim != 1 or not label.shape == value.shape == w.shape:
            raise InputError(
                f"labels, scores and weights have shapes {label.shape}, {value.shape} and {w.shape}; "
                "give one each an event"
            )
        others = np.setdiff1d(np.unique(label), [0, 1])
        if len(others):
            raise InputError(
                f"labels must be 0 (background) or 1 (signal), found {others[:3].tolist()}; cut data away first"
            )
        for name, bad in (("score", np.isnan(value)), ("weight", ~np.isfinite(w))):
            if np.any(bad):
                raise InputError(
                    f"the {name} of event {int(np.argmax(bad))} is not a number ({int(np.sum(bad))} events)"
                )
        signal = label.astype(bool)
        for name, mask in (("signal", signal), ("background", ~signal)):
            total = float(np.sum(w[mask]))
            if not total > 0:
                raise InputError(
                    f"{int(np.sum(mask))} {name} events with a sum of weights of {total:g}: nothing to measure against"
                )
        order = np.argsort(-value, kind="stable")
        value = value[order]
        last = np.append(np.flatnonzero(value[1:] != value[:-1]), len(value) - 1)
        return cls(signal[order], value, w[order], order, last)


def roc(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> Roc:
    """Efficiencies at every distinct threshold.

    Parameters
    ----------
    y : (n,)
        0 background, 1 signal.
    score : (n,)
    weight : (n,), optional
        Default: 1 for every event.

    Raises
    ------
    InputError
        If lengths differ, a label is neither 0 nor 1, a class is missing or its weights sum to <= 0, or a score is NaN.
    """
    return _roc(_Ranked.of(y, score, weight))


def _roc(events: _Ranked) -> Roc:
    columns: dict[str, Any] = {}
    for name, mask in (("s", events.label), ("b", ~events.label)):
        w = np.where(mask, events.w, 0.0)
        passed, squares = (np.concatenate([[0.0], np.cumsum(x)[events.last]]) for x in (w, w**2))
        total, total2 = passed[-1], squares[-1]
        eps = passed / total
        eps[-1] = 1.0
        # weighted binomial: pass and fail are independent sums
        variance = ((1 - 2 * eps) * squares + eps**2 * total2) / total**2
        columns["eps_" + name] = eps
        columns["error_" + name] = np.sqrt(np.maximum(variance, 0.0))
        columns["n_eff_" + name] = float(total**2 / total2)
        columns["n_" + name] = np.concatenate([[0], np.cumsum(mask)[events.last]])
    return Roc(threshold=np.concatenate([[np.inf], events.value[events.last]]), **columns)


def auc(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Area under the ROC curve; ties count half. Arguments and errors as `roc`."""
    return roc(y, score, weight).auc


def auc_error(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Standard error of `auc` by the placement values of DeLong et al., Biometrics 44 (1988) 837, with weights."""
    return _auc_error(_Ranked.of(y, score, weight))


def _auc_error(events: _Ranked) -> float:
    variance = 0.0
    placement = np.empty(len(events.w))
    for mine, other in ((events.label, ~events.label), (~events.label, events.label)):
        reference = events.value[other][::-1]
        cumulative = np.concatenate([[0.0], np.cumsum(events.w[other][::-1])])
        below, upto = (cumulative[np.searchsorted(reference, events.value[mine], side)] for side in ("left", "right"))
        placement[events.order[mine]] = (below + upto) / 2 / cumulative[-1]
    weight, label = np.empty_like(events.w), np.empty_like(events.label)
    weight[events.order], label[events.order] = events.w, events.label
    for mine in (label, ~label):
        w = weight[mine]
        mean = np.sum(w * placement[mine]) / np.sum(w)
        variance += np.sum(w**2 * (placement[mine] - mean) ** 2) / np.sum(w) ** 2
    return float(np.sqrt(variance))


def auc_pr(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Average precision: the sum over cuts of (change of eps_s) * purity, as scikit-learn's `average_precision_score`.

    Depends on the ratio of signal to background in the sample. Arguments and errors as `roc`.
    """
    events = _Ranked.of(y, score, weight)
    return _average_precision(events, events.w)


def _average_precision(events: _Ranked, w: NDArray[np.float64]) -> float:
    s, total = np.cumsum(np.where(events.label, w, 0.0))[events.last], np.cumsum(w)[events.last]
    purity = np.divide(s, total, out=np.zeros_like(s), where=total > 0)
    # a bootstrap of few events may hold no signal
    return float(np.sum(np.diff(s, prepend=0.0) * purity) / s[-1]) if s[-1] > 0 else float("nan")


def _replica(events: _Ranked, repeats: NDArray[np.int64], min_events: int) -> tuple[float, float]:
    """AUC-PR and maximal SIC of events that are counted `repeats` times; a SIC of NaN where no cut is quoted."""
    w = events.w * repeats
    signal, background, passing = (
        np.cumsum(np.where(mask, x, 0))[events.last]
        for mask, x in ((events.label, w), (~events.label, w), (~events.label, repeats))
    )
    quoted = (passing >= min_events) & (background > 0)
    if not np.any(quoted) or not (signal[-1] > 0 and background[-1] > 0):
        return _average_precision(events, w), np.nan
    best = np.max(signal[quoted] / np.sqrt(background[quoted]))
    return _average_precision(events, w), float(best * np.sqrt(background[-1]) / signal[-1])


def sic(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None, *, min_events: int = FLOOR) -> SIC:
    """Significance improvement characteristic eps_s / sqrt(eps_b): Gallicchio et al., JHEP 04 (2011) 069.

    Its maximum is taken only over cuts that at least `min_events` raw background events pass: beyond them it is the
    maximum of noise. Its error here is that of the SIC at this cut, from independent errors of both efficiencies; that
    of the maximum, whose cut moves with the events, is in `performance`.

    Parameters
    ----------
    y, score, weight
        As for `roc`.
    min_events : int
        25 events give the background efficiency an error of 20 %, and the SIC one of 10 %.

    Returns
    -------
    SIC
    """
    return sic_of(roc(y, score, weight), min_events=min_events)


def sic_of(curve: Roc, *, min_events: int = FLOOR) -> SIC:
    """The `sic` of a ROC curve that is at hand."""
    eps_b = np.where(curve.eps_b > 0, curve.eps_b, np.nan)
    value = curve.eps_s / np.sqrt(eps_b)
    relative_s = np.divide(curve.error_s, curve.eps_s, out=np.zeros_like(eps_b), where=curve.eps_s > 0)
    error = value * np.hypot(relative_s, curve.error_b / eps_b / 2)
    quoted = np.flatnonzero((curve.eps_b > 0) & (curve.n_b >= min_events))
    best = quoted[np.argmax(value[quoted])] if len(quoted) else None
    columns = {"max": value, "max_error": error, "eps_s_at_max": curve.eps_s, "eps_b_at_max": curve.eps_b}
    top: dict[str, Any] = {name: None if best is None else float(values[best]) for name, values in columns.items()}
    return SIC(**vars(curve), sic=value, error=error, min_events=min_events, **top)


def clopper_pearson(
    efficiency: ArrayLike, n: float, level: float = 0.6826894921370859
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central interval of an efficiency: Clopper and Pearson, Biometrika 26 (1934) 404.

    Parameters
    ----------
    efficiency : array_like
        Fraction that passes; fractions outside 0 .. 1, which negative weights can make, are moved to the nearest end.
    n : float
        Events; effective events (sum w)^2 / sum w^2 for weighted ones, for which the interval is approximate.
    level : float
        Coverage, by default one standard deviation.

    Returns
    -------
    (low, high)
    """
    k = np.clip(np.asarray(efficiency, dtype=np.float64), 0.0, 1.0) * n
    tail = (1 - level) / 2
    low = np.where(k > 0, special.betaincinv(np.maximum(k, 1e-300), n - k + 1, tail), 0.0)
    high = np.where(k < n, special.betaincinv(k + 1, np.maximum(n - k, 1e-300), 1 - tail), 1.0)
    return low, high


def signal_efficiency(curve: Roc, eps_b: float, *, min_events: int = FLOOR) -> tuple[float | None, float | None]:
    """Signal efficiency and its error at the loosest cut with a background efficiency of at most `eps_b`.

    The error joins the binomial one with the change of eps_s when the number of background events that pass moves by
    its own error, which is what moves the threshold.

    Returns
    -------
    (value, error), or (None, None)
        None if fewer than `min_events` raw background events pass, or their weights cancel so far that the error of the
        background efficiency exceeds it.
    """
    i = curve.at(eps_b)
    if curve.n_b[i] < min_events or curve.eps_b[i] - curve.error_b[i] < np.min(curve.eps_b):
        return None, None
    up, down = curve.at(curve.eps_b[i] + curve.error_b[i]), curve.at(curve.eps_b[i] - curve.error_b[i])
    shift = (curve.eps_s[up] - curve.eps_s[down]) / 2
    return float(curve.eps_s[i]), float(np.hypot(curve.error_s[i], shift))


def performance(
    y: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    eps_b: Sequence[float] = EFFICIENCIES,
    min_events: int = FLOOR,
    bootstraps: int = 100,
    seed: int = 0,
) -> Performance:
    """AUC, AUC-PR, signal efficiencies at fixed background efficiencies, and the maximal SIC.

    Parameters
    ----------
    y, score, weight
        As for `roc`.
    eps_b : sequence of float
        Background efficiencies at which the signal efficiency is quoted.
    min_events : int
        Nothing is quoted where fewer raw background events pass.
    bootstraps : int
        Poisson bootstraps for the errors of AUC-PR and of the maximal SIC, >= 2: a hundred give them to 7 %. Where the
        best cut is one of the tightest that may be quoted, it moves with the background events, and independent errors
        of its efficiencies would be up to twice too large. The error of AUC is analytic.
    seed : int
        Of the bootstraps.

    Returns
    -------
    Performance
        With the ROC curve that the numbers were read off: events are sorted once.
    """
    events = _Ranked.of(y, score, weight)
    if bootstraps < 2:
        raise InputError(f"{bootstraps} bootstraps give no error: ask for 2 or more")
    rng = np.random.default_rng(seed)
    replicas = [_replica(events, rng.poisson(1.0, len(events.w)), min_events) for _ in range(bootstraps)]
    precisions, improvements = np.array(replicas, dtype=np.float64).T
    precisions, improvements = (x[np.isfinite(x)] for x in (precisions, improvements))
    curve = _roc(events)
    improvement = sic_of(curve, min_events=min_events)
    efficiencies = {e: signal_efficiency(curve, e, min_events=min_events) for e in eps_b}
    return Performance(
        n_s=int(curve.n_s[-1]),
        n_b=int(curve.n_b[-1]),
        auc=curve.auc,
        auc_error=_auc_error(events),
        auc_pr=_average_precision(events, events.w),
        auc_pr_error=None if 2 * len(precisions) < bootstraps else float(np.std(precisions, ddof=1)),
        eps_s={e: pair[0] for e, pair in efficiencies.items()},
        eps_s_error={e: pair[1] for e, pair in efficiencies.items()},
        max_sic=improvement.max,
        # where half of the samples quote no cut at all, that of the fixed cut is all there is
        max_sic_error=improvement.max_error if 2 * len(improvements) < bootstraps else float(np.std(improvements)),
        eps_s_at_max_sic=improvement.eps_s_at_max,
        eps_b_at_max_sic=improvement.eps_b_at_max,
        min_events=min_events,
        curve=curve,
    )
