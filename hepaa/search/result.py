"""What a resonant search gives: scores, spectra, fits, p-values from toys."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from hepaa.errors import InputError
from hepaa.models.parameters import whole
from hepaa.search.methods.base import MassRows
from hepaa.search.methods.combined import TOGETHER
from hepaa.search.toys import Background, Calibrated, ToySearch
from hepaa.stats.sidebands import sideband_fit
from hepaa.stats.significance import li_ma

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hepaa.plots.style import Look
    from hepaa.search.methods.base import Method
    from hepaa.search.methods.combined import Combined
    from hepaa.search.windows import Window

    Array = NDArray[np.float64]


class RowScorer(Protocol):
    """What scores events."""

    def score_rows(self, rows: MassRows) -> Array:
        """Score (n,): higher is more signal-like."""


@dataclass(frozen=True, eq=False)
class Fold:
    """A method trained without the events of one fold, and the sorted scores of that fold's sideband events."""

    method: RowScorer
    sideband_scores: Array


def tail_fraction(
    reference: Array, score: Array, rng: np.random.Generator, *, own: NDArray[np.bool_] | bool = False
) -> Array:
    """Part of the reference scores at or above each score (n,): a cut at an efficiency keeps those at most as large.

    Every event counts itself, as those of the reference (`own`, (n,) bool) do without being asked. Then the cut keeps
    the same part of background inside and outside the reference; if others did not count themselves, of n reference
    events 1 / n more of them would pass: a tenth too many where ten pass. Equal scores are put in random order.
    """
    n = len(reference)
    own = np.broadcast_to(own, score.shape)
    ordered = np.sort(reference)
    above = n - np.searchsorted(ordered, score, side="right")
    equal = n - np.searchsorted(ordered, score, side="left") - above
    tail = (above + 1 + rng.integers(0, equal + 1)) / (n + 1)
    order = np.lexsort((rng.uniform(size=own.sum()), -score[own]))
    tail[np.flatnonzero(own)[order]] = np.arange(1, len(order) + 1) / n
    return tail


@dataclass(frozen=True, eq=False)
class SpectrumFit:
    """Counting in the signal region, over a fit of the sidebands.

    Attributes
    ----------
    efficiency : float
        Fraction of the sidebands that passes the cut.
    observed : int
        Events in the signal region after the cut.
    expected, error : float
        Background there by the dijet function fitted to the sidebands, and the error of the fit.
    z : float
        Significance of observed over expected with that error, as of an on/off measurement (Li, Ma 1983, eq. 17);
        negative for a deficit. Local, before any trials factor: `ResonantResult.p_value` is what counts.
    p_fit : float
        Chi-square probability of the fit in the sidebands.
    counts : (bins,) int
    fitted, fitted_error : float64 (bins,)
    edges : float64 (bins + 1,)
        GeV.
    """

    efficiency: float
    observed: int
    expected: float
    error: float
    z: float
    p_fit: float
    counts: NDArray[np.int64]
    fitted: Array
    fitted_error: Array
    edges: Array

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(self).items()}


def fit_spectrum(mass: Array, edges: Array, signal: tuple[float, float], fitted: Any, efficiency: float) -> SpectrumFit:
    """Fit the dijet function to the sidebands of a spectrum and count in the signal region.

    Parameters
    ----------
    mass : (n,)
        Of the events that pass a cut, GeV.
    edges : (bins + 1,)
    signal : (low, high)
        Bins inside are counted, and are not fitted.
    fitted : (bins,) bool
        Bins of the sidebands.
    efficiency : float
        For the record.
    """
    counts = np.histogram(mass, edges)[0]
    centres = (edges[1:] + edges[:-1]) / 2
    window = (centres > signal[0]) & (centres < signal[1])
    fit = sideband_fit(counts, edges, exclude=~np.asarray(fitted, dtype=bool))
    expected, error = fit.window(window)
    observed = int(counts[window].sum())
    relative = max((error / expected) ** 2, 1e-12)
    return SpectrumFit(
        efficiency=efficiency, observed=observed, expected=expected, error=error,
        z=li_ma(observed, 1 / relative, expected * relative), p_fit=fit.p, counts=counts,
        fitted=fit.expected, fitted_error=np.sqrt(np.diag(fit.covariance)), edges=edges,
    )  # fmt: skip


class Searched:
    """What all results of a search share: what was looked at, and p-values from toys."""

    again: Callable[..., Searched]
    """The same search of other events: again(rows, seed=...)."""

    @property
    def looks(self) -> dict[str, SpectrumFit]:
        """Everything that was looked at, by name: a fit for each efficiency, method and window."""
        raise NotImplementedError

    def background(self) -> Background:
        """Model of the data without signal; toys are drawn from it."""
        raise NotImplementedError

    def toys(
        self,
        n: int = 500,
        *,
        seed: int = 1,
        map: Callable[..., Iterable[Any]] = map,
        advance: Callable[[int], None] | None = None,
    ) -> Array:
        """Local z (n, looks) of background-only toys, in each of which everything is trained again.

        Of a toy that cannot be searched, as where too few events pass a cut for a fit, all are NaN.

        Parameters
        ----------
        n : int
        seed : int
            Each toy has its own stream, whatever their number.
        map : callable
            Such as the `map` of a `concurrent.futures.Executor`, to work in parallel.
        advance : callable, optional
            Called with the number of toys done.

        Raises
        ------
        InputError
            If no toy can be searched.
        """
        whole("toys", n, 10)
        values: list[list[float] | str] = []
        for i, z in enumerate(map(ToySearch(self.again, self.background(), seed), range(n)), 1):
            values.append(z)
            if advance is not None:
                advance(i)
        looks = max(len(z) if isinstance(z, list) else 0 for z in values)
        if not looks:
            raise InputError(f"none of {n} background-only toys can be searched: {values[0]}")
        return np.array([[np.nan] * looks if isinstance(z, str) else z for z in values])

    def calibrated(self, toys: Array) -> Calibrated:
        """p-values from the z of toys."""
        return Calibrated.of({name: fit.z for name, fit in self.looks.items()}, toys)

    def p_value(self, toys: int = 500, *, seed: int = 1, map: Callable[..., Iterable[Any]] = map) -> Calibrated:
        """p-values of everything that was looked at, and over all of it, from so many toys; see `toys`."""
        return self.calibrated(self.toys(toys, seed=seed, map=map))


@dataclass(frozen=True, eq=False)
class ResonantResult(Searched):
    """A cross-fitted search of one window.

    Attributes
    ----------
    method : Method or Together
        Not fitted.
    rows : MassRows
        Inputs and masses of the events.
    fold : int (n,)
    score : float64 (n,)
        By the model of the other folds: comparable within a fold alone.
    tail : float64 (n,)
        Part of the sideband events of the same fold with at least this score: comparable between folds; small is
        signal-like.
    efficiencies : tuple of float
    edges : float64 (bins + 1,)
        Of the spectra, GeV.
    folds : tuple of Fold
    seed : int
    """

    method: Method | Together
    rows: MassRows
    fold: NDArray[np.int64]
    score: Array
    tail: Array
    efficiencies: tuple[float, ...]
    edges: Array
    folds: tuple[Fold, ...]
    seed: int
    again: Callable[..., ResonantResult]

    def passing(self, efficiency: float) -> NDArray[np.bool_]:
        """Events (n,) that pass the cut at this background efficiency."""
        return np.asarray(self.tail <= efficiency)

    def spectrum(self, efficiency: float) -> NDArray[np.int64]:
        """Events that pass, in bins of the mass (bins,); see `edges`."""
        return np.histogram(self.rows.mass[self.passing(efficiency)], self.edges)[0]

    def fit(self, efficiency: float) -> SpectrumFit:
        """Fit of the spectrum after the cut at this background efficiency.

        Raises
        ------
        InputError
            If the sidebands hold too few events after the cut for a fit.
        """
        window = self.method.window
        centres = (self.edges[1:] + self.edges[:-1]) / 2
        mass = self.rows.mass[self.passing(efficiency)]
        return fit_spectrum(mass, self.edges, window.signal, window.in_sidebands(centres), efficiency)

    def fits(self) -> tuple[SpectrumFit, ...]:
        """`fit` at each of `efficiencies`."""
        return tuple(self.fit(efficiency) for efficiency in self.efficiencies)

    @property
    def parts(self) -> tuple[ResonantResult, ...]:
        """This one."""
        return (self,)

    @property
    def looks(self) -> dict[str, SpectrumFit]:
        """The fit at each efficiency, by name."""
        return {f"{self.method.name} at {fit.efficiency:g}": fit for fit in self.fits()}

    def tails(self, rows: MassRows) -> Array:
        """Tail fractions (folds, n) of other events by the model of each fold, as `tail`."""
        rng = np.random.default_rng([self.seed, 3])
        return np.stack([tail_fraction(f.sideband_scores, f.method.score_rows(rows), rng) for f in self.folds])

    def background(self) -> Background:
        """Model of the data without signal, from the sidebands alone; toys are drawn from it."""
        return Background.of(self.rows, self.method.window, bins=len(self.edges) - 1, seed=self.seed)

    def best(self, calibrated: Calibrated | None = None) -> ResonantResult:
        """This one: there is but one method."""
        del calibrated
        return self

    def plot(self, *, mass: str = "$m$ [GeV]", look: Look | None = None) -> Figure:
        """Spectra at all efficiencies with their fits; see `hepaa.search.figures.spectra`."""
        from hepaa.search.figures import spectra  # matplotlib only where something is drawn

        return spectra(self.fits(), self.method.window.signal, mass=mass, look=look)

    def most_signal_like(self, n: int = 10) -> NDArray[np.int64]:
        """Rows of the n events of the signal region with the smallest tail fraction, most signal-like first.

        Among events beyond every sideband event of their fold, the highest score comes first.
        """
        inside = np.flatnonzero(self.method.window.in_signal(self.rows.mass))
        return inside[np.lexsort((-self.score[inside], self.tail[inside]))][:n]

    def found_in(self, efficiency: float, limit: float = 2.0) -> int:
        """Number of folds in which the events of that fold alone show an excess of `limit` sigma over 1 / folds of the
        fitted background."""
        fit = self.fit(efficiency)
        inside = self.method.window.in_signal(self.rows.mass) & self.passing(efficiency)
        counts = np.bincount(self.fold[inside], minlength=len(self.folds))
        k = len(self.folds)
        relative = max((fit.error / fit.expected) ** 2, 1e-12)
        return int(np.sum([li_ma(n, 1 / relative, fit.expected / k * relative) > limit for n in counts]))

    @property
    def modelling(self) -> tuple[Any, ...]:
        """The trained method of each fold if it models a signal, as `signal_`; of several, the first that does."""
        methods = [f.method.folds if isinstance(f.method, Together) else (f,) for f in self.folds]
        return tuple(m for fold in methods for m in [f.method for f in fold if hasattr(f.method, "signal_")][:1])

    def strength(self) -> tuple[float, float]:
        """Fraction of the signal region that is signal, mean over the folds, and its error, where the method says.

        Raises
        ------
        InputError
            If the method does not model a signal.
        """
        signals = [method.signal_ for method in self.modelling]
        if not signals:
            raise InputError(f"{self.method.name} scores events and models no signal: take Residual for its fraction")
        fractions, errors = np.array([s.fraction for s in signals]), np.array([s.error for s in signals])
        return float(fractions.mean()), float(np.hypot(errors.mean(), fractions.std()))


@dataclass(frozen=True, eq=False)
class Together:
    """All methods of a combination as one: minus the sum of the logarithms of an event's tail fractions.

    So R. A. Fisher combines p-values (Statistical Methods for Research Workers, 1925). Methods err on different events
    of background and agree on signal; being correlated, their sum is no p-value, and is cut like any other score.

    Attributes
    ----------
    window : Window
    folds : tuple of Fold
        Of each method, trained without the same events.
    seed : int
        Of the order of equal scores.
    """

    window: Window
    folds: tuple[Fold, ...] = ()
    seed: int = 0
    name: ClassVar[str] = TOGETHER

    def score_rows(self, rows: MassRows) -> Array:
        """Score (n,) of events that none of the methods was trained with."""
        rng = np.random.default_rng(self.seed)
        tails = [tail_fraction(f.sideband_scores, f.method.score_rows(rows), rng) for f in self.folds]
        return np.asarray(-np.sum(np.log(tails), axis=0))


@dataclass(frozen=True, eq=False)
class CombinedResult(Searched):
    """Cross-fitted searches of one window by several methods.

    Attributes
    ----------
    method : Combined
    parts : tuple of ResonantResult
        One for each method, and one for all of them together: see `Together`.
    """

    method: Combined
    parts: tuple[ResonantResult, ...]
    again: Callable[..., Searched]

    @property
    def looks(self) -> dict[str, SpectrumFit]:
        """The fit of each method at each efficiency, by name."""
        return {name: fit for part in self.parts for name, fit in part.looks.items()}

    def background(self) -> Background:
        """Model of the data without signal, in the inputs of all methods, from the sidebands alone."""
        first = self.parts[0]
        columns: dict[str, Array] = {}
        for result in self.parts:
            columns |= dict(zip(result.rows.columns, result.rows.x.T, strict=True))
        rows = MassRows(np.stack(list(columns.values()), axis=1), first.rows.mass, tuple(columns))
        return Background.of(rows, self.method.window, bins=len(first.edges) - 1, seed=first.seed)

    def best(self, calibrated: Calibrated | None = None) -> ResonantResult:
        """Result of the method with the most significant look: by the toys where they are given, else by local z."""
        z = {name: fit.z for name, fit in self.looks.items()} if calibrated is None else calibrated.calibrated
        name = max(z, key=lambda look: z[look])
        return next(result for result in self.parts if name in result.looks)
