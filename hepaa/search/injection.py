"""How strong a signal has to be to be found: signal events mixed into background, drawn anew each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from hepaa.errors import InputError
from hepaa.models.parameters import between, whole
from hepaa.search.folds import BINS, EFFICIENCIES, cross_fit_rows
from hepaa.search.methods.base import MassRows, mass_rows
from hepaa.search.toys import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from hepaa.search.methods.base import Method
    from hepaa.search.methods.combined import Combined
    from hepaa.table import EventTable

    Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Injection:
    """Significance of injected signals.

    Attributes
    ----------
    strengths : (k,)
        Ascending; injected S / sqrt(B) in the signal region before any cut.
    looks : names
        Efficiencies, and methods of a combination.
    z : float64 (strengths, draws, looks)
        Local significance after the cut; NaN in a draw that could not be searched, as where too few events pass a cut
        for a fit. Bands and limits are of the others.
    sic : float64 (strengths, draws, looks)
        Significance improvement eps_S / sqrt(eps_B) in the signal region at each look, eps_B that of the background
        there and eps_S that of signal events that were not injected; NaN at strength 0 and where z is.
    """

    strengths: Array
    looks: tuple[str, ...]
    z: Array
    sic: Array

    @property
    def refused(self) -> NDArray[np.int64]:
        """Number of draws of each strength that could not be searched."""
        return np.asarray(np.isnan(self.z).any(axis=2).sum(axis=1))

    @property
    def limits(self) -> bool:
        """Whether there is enough for `upper_limit`."""
        return bool(self.strengths[0] == 0 and (self.z.shape[1] - self.refused >= 5).all())

    def band(self, look: str) -> tuple[Array, Array, Array]:
        """16 %, 50 % and 84 % quantile (strengths,) of z over the draws."""
        low, middle, high = np.nanquantile(self.z[:, :, self.looks.index(look)], [0.16, 0.5, 0.84], axis=1)
        return low, middle, high

    def threshold(self, look: str, z: float = 3.0) -> float | None:
        """Smallest strength at which the median reaches z, between the strengths by a line; None if none does."""
        median = self.band(look)[1]
        reached = np.flatnonzero(median >= z)
        if not len(reached):
            return None
        i = int(reached[0])
        if i == 0:
            return float(self.strengths[0])
        part = (z - median[i - 1]) / (median[i] - median[i - 1])
        return float(self.strengths[i - 1] + part * (self.strengths[i] - self.strengths[i - 1]))

    def upper_limit(self, look: str, z: float, *, level: float = 0.95) -> float | None:
        """Largest strength that a measured z does not exclude, by CLs (A. Read, J. Phys. G 28 (2002) 2693).

        z of each strength is taken as Gaussian with the mean and the spread of its draws, between the strengths by a
        line. None if the largest injected strength is not excluded: nothing is extrapolated.

        Raises
        ------
        InputError
            If strength 0 was not injected, or there are fewer than 5 draws.
        """
        if not self.limits:
            raise InputError("a limit needs strength 0 among the strengths, and 5 draws or more of each")
        values = self.z[:, :, self.looks.index(look)]
        tail = ndtr((z - np.nanmean(values, axis=1)) / np.nanstd(values, axis=1, ddof=1))
        cls = tail / tail[0]
        excluded = np.flatnonzero(cls <= 1 - level)
        if not len(excluded):
            return None
        i = int(excluded[0])
        part = (cls[i - 1] - (1 - level)) / (cls[i - 1] - cls[i])
        return float(self.strengths[i - 1] + part * (self.strengths[i] - self.strengths[i - 1]))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        z, sic = self.z.astype(object), self.sic.astype(object)
        z[np.isnan(self.z)] = sic[np.isnan(self.sic)] = None
        return {
            "strengths": self.strengths.tolist(),
            "looks": list(self.looks),
            "z": z.tolist(),
            "sic": sic.tolist(),
            "draws_refused": self.refused.tolist(),
        }


def inject(
    method: Method | Combined,
    background: EventTable | Background,
    signal: EventTable,
    *,
    strengths: Sequence[float] = (0, 0.5, 1, 1.5, 2.2, 3),
    draws: int = 10,
    folds: int = 5,
    efficiencies: Sequence[float] = EFFICIENCIES,
    bins: int = BINS,
    seed: int = 0,
    map: Callable[..., Iterable[Any]] = map,
) -> Injection:
    """Mix signal into background at several strengths, search each mixture, and say what is found.

    Parameters
    ----------
    method : Method or Combined
    background : EventTable or Background
        Events without signal, the same in every draw; or a model of data, from which each draw takes new events.
    signal : EventTable
        Events over the whole mass range: those outside the signal region go into the sidebands, as in data.
    strengths : sequence of float
        S / sqrt(B) in the signal region before any cut, in any order. The number of events is drawn from a Poisson
        distribution.
    draws : int
        At each strength, with other signal events, folds and trainings.
    folds, efficiencies, bins, seed
        As for `cross_fit`.
    map : callable
        Such as that of a `concurrent.futures.Executor`.

    Raises
    ------
    InputError
        If there are too few signal events to draw from, or no draw of a strength can be searched.
    """
    whole("draws", draws)
    window = method.window
    fixed = background if isinstance(background, Background) else mass_rows(background, window, method.inputs)
    signals = mass_rows(signal, window, fixed.columns)
    low, high = window.limits
    signals = signals[(signals.mass >= low) & (signals.mass < high)]
    inside = window.in_signal(signals.mass).mean() if signals.n else 0.0
    if not inside:
        raise InputError(f"no signal event lies in the signal region of {window.column}: nothing can be injected")
    if isinstance(fixed, Background):
        centres = (fixed.edges[1:] + fixed.edges[:-1]) / 2
        expected = float(fixed.expected[window.in_signal(centres)].sum())
    else:
        expected = float(window.in_signal(fixed.mass).sum())
    if not len(strengths):
        raise InputError("there is no strength to inject: give one or more, such as 0, 1.5 and 3")
    for strength in strengths:
        between("a strength", strength, 0)
    values = np.unique(np.asarray(strengths, dtype=np.float64))
    events = values * np.sqrt(expected) / inside
    if events.max() + 5 * np.sqrt(events.max()) > signals.n:
        raise InputError(
            f"{signals.n} signal events are too few for S / sqrt(B) = {values.max():g}, which takes "
            f"{events.max():.0f}: ask for smaller strengths, or simulate more"
        )
    settings = {"folds": folds, "efficiencies": tuple(efficiencies), "bins": bins}
    one = InjectedData(method, fixed, signals, settings, seed)
    parts = list(map(one, [(i, d, float(n)) for i, n in enumerate(events) for d in range(draws)]))
    for i, strength in enumerate(values):
        if all(isinstance(part, str) for part in parts[i * draws : (i + 1) * draws]):
            raise InputError(f"no draw of S / sqrt(B) = {strength:g} can be searched: {parts[i * draws]}")
    looks = tuple(next(part[0] for part in parts if not isinstance(part, str)))
    nothing = [[np.nan] * len(looks)] * 2
    z, sic = np.array([nothing if isinstance(part, str) else part[1:] for part in parts]).swapaxes(0, 1)
    shape = (len(values), draws, len(looks))
    return Injection(values, looks, z.reshape(shape), sic.reshape(shape))


@dataclass(frozen=True, eq=False)
class InjectedData:
    """Search of one mixture of signal and background: names, z and SIC of the looks, or why it cannot be searched.

    It is called with the number of the strength, the number of the draw, and the expected number of signal events in
    the whole range.

    Attributes
    ----------
    method : Method or Combined
    background : MassRows or Background
        Events, or a model from which each draw takes new ones.
    signals : MassRows
    settings : mapping
        Of `cross_fit_rows`.
    seed : int
    """

    method: Method | Combined
    background: MassRows | Background
    signals: MassRows
    settings: dict[str, Any]
    seed: int

    def __call__(self, draw: tuple[int, int, float]) -> tuple[list[str], list[float], list[float]] | str:
        try:
            return self._search(draw)
        except InputError as refusal:  # the counts of a draw are no fault of the user
            return str(refusal)

    def _search(self, draw: tuple[int, int, float]) -> tuple[list[str], list[float], list[float]]:
        strength, number, events = draw
        rng = np.random.default_rng([self.seed, strength, number])
        rows = self.background.draw(rng) if isinstance(self.background, Background) else self.background
        order = rng.permutation(self.signals.n)
        n = int(rng.poisson(events))
        injected, rest = self.signals[order[:n]], self.signals[order[n:]]
        mixed = MassRows(np.concatenate([rows.x, injected.x]), np.concatenate([rows.mass, injected.mass]), rows.columns)
        result = cross_fit_rows(self.method, mixed, seed=int(rng.integers(2**31)), **self.settings)
        rest = rest[self.method.window.in_signal(rest.mass)]
        names, z, sic = [], [], []
        for part in result.parts:
            tails = part.tails(rest)
            truth = np.zeros(mixed.n, bool)
            truth[rows.n :] = True
            low, high = part.method.window.limits
            truth = truth[(mixed.mass >= low) & (mixed.mass < high)]
            own = part.tail[~truth & part.method.window.in_signal(part.rows.mass)]
            for name, fit in part.looks.items():
                eps_b, eps_s = (own <= fit.efficiency).mean(), (tails <= fit.efficiency).mean()
                names.append(name)
                z.append(fit.z)
                sic.append(float(eps_s / np.sqrt(eps_b)) if n and eps_b > 0 else np.nan)
        return names, z, sic
