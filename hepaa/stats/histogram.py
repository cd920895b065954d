"""Score histograms with sum w and sum w^2 in every bin, their binning, and the significance they give.

A binning is chosen on one split of the events (`choose_binning`) and used on another (`score_histograms`): a binning
that is chosen and quoted on the same events counts its own fluctuations as significance.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import hist
import numpy as np

from hepaa import html
from hepaa.errors import InputError, nearest
from hepaa.stats.binning import Binning, close_from_the_top, finite_scores
from hepaa.stats.response import Response
from hepaa.stats.significance import (
    asimov,
    asimov_correlated,
    asimov_correlated_error,
    asimov_error,
    combine,
    combine_error,
    s_over_sqrt_b,
)
from hepaa.table import BACKGROUND, DATA, SIGNAL
from hepaa.table.mixing import classes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hepaa.table import EventTable

Split = Literal["process", "generator"]


def fill(
    values: ArrayLike, weight: ArrayLike | None, binning: Binning, *, name: str = "score", label: str = "anomaly score"
) -> hist.Hist[Any]:
    """One histogram with Weight storage: sum w and sum w^2 in every bin; no event is lost beyond the ends.

    Parameters
    ----------
    values : (n,)
    weight : (n,), optional
        Default: 1 for every event.
    binning : Binning
    name, label : str
        Of the axis.

    Raises
    ------
    InputError
        If a value is not finite or lengths differ.
    """
    x, w = finite_scores("histogram", values, weight)
    return _filled(binning, *_sums(binning.index(x), w, len(binning)), name=name, label=label)


def _sums(
    index: NDArray[np.int64], w: NDArray[np.float64], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum w and sum w^2 in each bin."""
    value, variance = (np.bincount(index, x, minlength=bins).astype(np.float64, copy=False) for x in (w, w**2))
    return value, variance


def _filled(
    binning: Binning,
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    *,
    name: str = "score",
    label: str = "anomaly score",
) -> hist.Hist[Any]:
    axis = hist.axis.Variable(binning.edges, name=name, label=label, flow=False)
    out = hist.Hist(axis, storage=hist.storage.Weight())
    view = out.view()
    view.value, view.variance = value, variance
    return out


@dataclass(frozen=True, eq=False)
class ScoreHistograms:
    """The histograms of one score: backgrounds, signals and data in one binning.

    Attributes
    ----------
    backgrounds, signals : dict of name -> hist.Hist
        By process, or by generator.
    data : hist.Hist or None
    background_events : int64 (bins,)
        Raw background events in each bin.
    binning : Binning
    blind_above : float or None
        Data are not counted in bins that reach above this score; None: in all of them.
    """

    backgrounds: dict[str, hist.Hist[Any]]
    signals: dict[str, hist.Hist[Any]]
    data: hist.Hist[Any] | None
    background_events: NDArray[np.int64]
    binning: Binning
    blind_above: float | None = None

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether data are counted in a bin, (bins,)."""
        return seen_bins(self.binning, self.blind_above)

    @property
    def b(self) -> NDArray[np.float64]:
        """Background yield in each bin."""
        return _total(self.backgrounds, len(self.binning))[0]

    @property
    def b_variance(self) -> NDArray[np.float64]:
        """Sum of squared background weights in each bin."""
        return _total(self.backgrounds, len(self.binning))[1]

    def _repr_html_(self) -> str:
        """Yields of each bin, for notebooks."""
        edges = self.binning.edges
        bins = [f"{low:.4g} .. {high:.4g}" for low, high in pairwise(edges)]
        yields = {name: h.values() for name, h in (self.backgrounds | self.signals).items()}
        yields |= {"MC error of background": np.sqrt(self.b_variance)}
        yields |= {} if self.data is None else {"data": self.data.values()}
        columns = [v.tolist() for v in yields.values()]
        return html.table(["score", *yields], zip(bins, *columns, strict=True), caption="events in bins of the score")

    def s(self, signal: str | None = None) -> NDArray[np.float64]:
        """Signal yield in each bin: of one signal, or of all of them together."""
        return _total(self._signals(signal), len(self.binning))[0]

    def s_variance(self, signal: str | None = None) -> NDArray[np.float64]:
        """Sum of squared signal weights in each bin."""
        return _total(self._signals(signal), len(self.binning))[1]

    def _signals(self, signal: str | None) -> dict[str, hist.Hist[Any]]:
        if signal is None:
            return self.signals
        if signal not in self.signals:
            raise InputError(f"there is no signal {signal!r}; {nearest(signal, self.signals)}")
        return {signal: self.signals[signal]}

    def seen_data(self) -> hist.Hist[Any] | None:
        """Data in the bins that show them; None where there is nothing to show."""
        bins = int(np.sum(self.seen))  # the lowest ones
        if self.data is None or bins in (0, len(self.binning)):
            return self.data if bins else None
        value, variance = (np.asarray(x)[:bins] for x in (self.data.values(), self.data.variances()))
        return _filled(Binning(self.binning.edges[: bins + 1]), value, variance, label=self.data.axes[0].label)

    def merge_unusable(self) -> ScoreHistograms:
        """Join bins whose background yield is not positive with their lower neighbour (the lowest with its upper one).

        Looks at the background alone, so it cannot tune the significance.

        Raises
        ------
        InputError
            If the background of all bins together is not positive.
        """
        b = self.b
        if not np.sum(b) > 0:
            raise InputError(
                f"the background yield of all bins together is {np.sum(b):.4g}: no significance can be given"
            )
        start = np.asarray(close_from_the_top(len(b), lambda i, j: np.sum(b[i:j]) > 0)[:-1])
        binning = self.binning.without(np.setdiff1d(np.arange(1, len(b)), start))

        def rebin(h: hist.Hist[Any], shown: Any = True) -> hist.Hist[Any]:
            value, variance = (np.add.reduceat(np.asarray(x), start) * shown for x in (h.values(), h.variances()))
            return _filled(binning, value, variance, name=h.axes[0].name, label=h.axes[0].label)

        return ScoreHistograms(
            backgrounds={k: rebin(h) for k, h in self.backgrounds.items()},
            signals={k: rebin(h) for k, h in self.signals.items()},
            data=None if self.data is None else rebin(self.data, seen_bins(binning, self.blind_above)),
            background_events=np.add.reduceat(self.background_events, start),
            binning=binning,
            blind_above=self.blind_above,
        )

    def complete(self, signals: Iterable[str], backgrounds: Iterable[str] = (), *, data: bool) -> ScoreHistograms:
        """With empty histograms of these signals and backgrounds, and of data, where there is no event of them."""
        empty = next(iter(self.backgrounds.values())) * 0.0
        return replace(
            self,
            signals={name: self.signals.get(name, empty) for name in signals},
            backgrounds=self.backgrounds | {name: empty for name in backgrounds if name not in self.backgrounds},
            data=empty if data and self.data is None else self.data,
        )

    def significance(
        self,
        signal: str | None = None,
        *,
        systematic: float = 0.0,
        shifts: Mapping[str, NDArray[np.float64]] | None = None,
        response: Response | None = None,
    ) -> BinnedSignificance:
        """Expected significance of `signal` (of all signals together by default) in each bin and in all.

        Parameters
        ----------
        systematic : float
            Relative uncertainty of the background, the same in all bins and fully correlated between them: log-normal,
            as in a workspace.
        shifts : mapping of name -> (bins,), optional
            Further relative shifts of the background, each fully correlated between bins, such as from
            `hepaa.stats.systematics.relative_shifts`. They are linear where there is no response.
        response : Response, optional
            How the background answers to all of these, such as from `hepaa.stats.systematics.response`: what the total
            of all bins is taken from.

        Raises
        ------
        InputError
            If a bin has no positive background, or the signal is unknown or missing.
        """
        if not self.signals:
            raise InputError("there is no signal histogram: a significance needs one")
        if systematic < 0:
            raise InputError(f"the systematic uncertainty of the background is {systematic}; give 0 or more")
        s, b, stat_b = self.s(signal), self.b, np.sqrt(self.b_variance)
        bad = np.flatnonzero(b <= 0)
        if len(bad):
            low, high = self.binning.edges[bad[0] : bad[0] + 2]
            raise InputError(
                f"bin {bad[0]} ({low:.4g} .. {high:.4g}) has a background yield of {b[bad[0]]:.4g}: merge it "
                "(merge_unusable), or choose the binning with a larger min_b"
            )
        stat_s = np.sqrt(self.s_variance(signal))
        linear = [*(shifts or {}).values()]
        if response is None:
            response = Response.linear(linear, len(b), factors=[1 + systematic])
        shared = [np.full(len(b), systematic), *linear]
        sigma = np.sqrt(stat_b**2 + np.sum(np.square(shared), axis=0) * b**2)
        z, z_known = asimov(s, b, sigma), asimov(s, b)
        stat: dict[str, Any] = {"stat_s": stat_s, "stat_b": stat_b}
        # sigma_b moves with b: its square is in proportion for simulated events, and its relative part in b squared
        error = asimov_error(s, b, sigma, **stat, variance_slope=(2 * sigma**2 - stat_b**2) / b)
        error_known = asimov_error(s, b, **stat)
        return BinnedSignificance(
            s=s,
            b=b,
            stat_s=stat_s,
            stat_b=stat_b,
            sigma_b=sigma,
            z=z,
            z_error=error,
            z_known=z_known,
            s_over_sqrt_b=s_over_sqrt_b(s, b),
            total=asimov_correlated(s, b, stat_b, shifts=response),
            total_error=asimov_correlated_error(s, b, stat_b, **stat, shifts=response),
            total_known=combine(z_known),
            total_known_error=combine_error(z_known, error_known),
            systematic=systematic,
            shifts={k: np.asarray(v, dtype=np.float64) for k, v in (shifts or {}).items()},
            response=response,
        )


@dataclass(frozen=True, eq=False)
class BinnedSignificance:
    """Expected significance of a binned score.

    Attributes
    ----------
    s, b, stat_s, stat_b, sigma_b : float64 (bins,)
        Yields, their Monte-Carlo errors, and the uncertainty of b that went into `z` (Monte-Carlo and systematic).
    z, z_error : float64 (bins,)
        Asimov Z with sigma_b, and its Monte-Carlo error.
    z_known, s_over_sqrt_b : float64 (bins,)
        Asimov Z for a background known exactly, and its rough form.
    total, total_error : float
        All bins together with Monte-Carlo errors uncorrelated and the systematic one correlated between bins.
    total_known, total_known_error : float
        All bins together for a background known exactly.
    systematic : float
    shifts : dict of name -> float64 (bins,)
        Shared uncertainties beside the systematic one.
    response : Response
        How the background answers to all shared uncertainties: that of the workspace, so that `total` is what its fit
        expects. For other luminosities and limits.
    """

    s: NDArray[np.float64]
    b: NDArray[np.float64]
    stat_s: NDArray[np.float64]
    stat_b: NDArray[np.float64]
    sigma_b: NDArray[np.float64]
    z: NDArray[np.float64]
    z_error: NDArray[np.float64]
    z_known: NDArray[np.float64]
    s_over_sqrt_b: NDArray[np.float64]
    total: float
    total_error: float
    total_known: float
    total_known_error: float
    systematic: float
    shifts: dict[str, NDArray[np.float64]]
    response: Response

    def _repr_html_(self) -> str:
        """Yields and Z of each bin and of all, for notebooks."""
        columns = (self.s, self.b, self.sigma_b, self.z, self.z_error)
        rows = list(zip(*(c.tolist() for c in columns), strict=True))
        total = (float(self.s.sum()), float(self.b.sum()), "", self.total, self.total_error)
        header = ["", "s", "b", "sigma of b", "Z", "MC error of Z"]
        numbered = [(f"bin {i}", *row) for i, row in enumerate(rows)]
        return html.table(header, [*numbered, ("all", *total)], caption="expected significance")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.__dict__.items()}
        del values["response"]  # the same for all signals
        return values | {"shifts": {k: v.tolist() for k, v in self.shifts.items()}}


def score_histograms(
    table: EventTable,
    score: ArrayLike,
    binning: Binning,
    *,
    by: Split | None = "process",
    label: str = "anomaly score",
    blind_above: float | None = None,
) -> ScoreHistograms:
    """Histograms of a score over the events of a table: backgrounds by process or generator, signals by process, data.

    Parameters
    ----------
    table : EventTable
        Weights, labels and names.
    score : (n,)
        One a row of the table; higher is more anomalous.
    binning : Binning
        Chosen on other events.
    by : "process", "generator" or None
        How the background is split; None: as `split_of` says.
    label : str
        Of the score axis.
    blind_above : float, optional
        Data are not counted in any bin that reaches above this score.

    Raises
    ------
    InputError
        If lengths differ, a score is not finite, `by` is unknown, or the table has no background.
    """
    x, w = finite_scores("table", score, table.weight)
    background, signal, data = (table.label == truth for truth in (BACKGROUND, SIGNAL, DATA))
    data &= seen_bins(binning, blind_above)[binning.index(x)]
    by = split_of(zip(table.process[background].tolist(), table.generator[background].tolist(), strict=True), by)

    def parts(rows: NDArray[np.bool_], ids: NDArray[np.int16], names: tuple[str, ...]) -> dict[str, hist.Hist[Any]]:
        selected = ((names[i], rows & (ids == i)) for i in np.unique(ids[rows]))
        return {str(name): fill(x[mask], w[mask], binning, label=label) for name, mask in selected}

    ids, names = (table.process, table.processes) if by == "process" else (table.generator, table.generators)
    return ScoreHistograms(
        backgrounds=parts(background, ids, names),
        signals=parts(signal, table.process, table.processes),
        data=fill(x[data], w[data], binning, label=label) if np.any(data) else None,
        background_events=np.bincount(binning.index(x[background]), minlength=len(binning)).astype(np.int64),
        binning=binning,
        blind_above=blind_above,
    )


def seen_bins(binning: Binning, blind_above: float | None) -> NDArray[np.bool_]:
    """Whether bins may show data, (bins,): those that do not reach above a score; all of them if it is None."""
    # the last bin counts what lies above its upper edge, too
    top = np.array([*binning.edges[1:-1], np.inf])
    return np.ones(len(binning), bool) if blind_above is None else np.asarray(top <= blind_above)


def split_of(background: Iterable[tuple[Any, Any]], by: Split | None = None) -> Split:
    """Split of a background in histograms: by generator if all of it is one process from several of them.

    Several generators of one process are alternatives of each other, and their difference is worth seeing.

    Parameters
    ----------
    background : (process, generator) of its events
    by : "process" or "generator", optional
        The answer, where it is settled.

    Raises
    ------
    InputError
        If there is no background, or `by` is unknown.
    """
    if by not in (None, "process", "generator"):
        raise InputError(f"backgrounds cannot be split by {by!r}; {nearest(by, ('process', 'generator'))}")
    pairs = set(background)
    if not pairs:
        raise InputError("the table holds no background events (label 0): a score histogram needs some")
    several_generators = len({p for p, _ in pairs}) == 1 and len({g for _, g in pairs}) > 1
    return by or ("generator" if several_generators else "process")


@dataclass(frozen=True, eq=False)
class Counts:
    """Sums over the events of one process, generator and label, where the events are not kept.

    Attributes
    ----------
    value, variance : float64 (bins,)
        Sum w and sum w^2.
    events : int64 (bins,)
        Raw events.
    above : float64 (cuts,)
        Sum w above each of further cuts on the score.
    events_above : int64 (cuts,)
    """

    value: NDArray[np.float64]
    variance: NDArray[np.float64]
    events: NDArray[np.int64]
    above: NDArray[np.float64]
    events_above: NDArray[np.int64]

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


Class = tuple[str, str, int]
"""Process, generator and label of events."""


def count(
    table: EventTable,
    score: ArrayLike,
    binning: Binning,
    cuts: Sequence[float] = (),
    *,
    blind_above: float | None = None,
) -> dict[Class, Counts]:
    """The counts of every process, generator and label of a table; data only in bins that may show them.

    Raises
    ------
    InputError
        If lengths differ, or a score is not finite.
    """
    x, w = finite_scores("table", score, table.weight)
    index, bins = binning.index(x), len(binning)
    above = x[:, None] > np.asarray(cuts, dtype=np.float64)
    of_class, classes = classes_of(table)
    shown = (table.label != DATA) | seen_bins(binning, blind_above)[index]
    counts = {}
    for i, name in enumerate(classes):
        rows = (of_class == i) & shown
        counts[name] = Counts(
            *_sums(index[rows], w[rows], bins),
            np.bincount(index[rows], minlength=bins),
            w[rows] @ above[rows],
            np.count_nonzero(above[rows], axis=0),
        )
    return counts


def histograms_of_counts(
    counts: Mapping[Class, Counts], binning: Binning, *, by: Split | None = None, blind_above: float | None = None
) -> ScoreHistograms:
    """The `score_histograms` of events that were counted, of data only those in bins that may show them."""
    by = split_of(((p, g) for p, g, label in counts if label == BACKGROUND), by)
    sums: dict[int, dict[str, Counts]] = {BACKGROUND: {}, SIGNAL: {}, DATA: {}}
    for (process, generator, label), counted in counts.items():
        name = "" if label == DATA else generator if label == BACKGROUND and by == "generator" else process
        sums[label][name] = sums[label][name] + counted if name in sums[label] else counted
    backgrounds, signals, data = (
        {name: _filled(binning, c.value, c.variance) for name, c in sums[label].items()}
        for label in (BACKGROUND, SIGNAL, DATA)
    )
    background_events = np.sum([c.events for c in sums[BACKGROUND].values()], axis=0)
    return ScoreHistograms(backgrounds, signals, data.get(""), background_events, binning, blind_above)


def _total(histograms: Mapping[str, hist.Hist[Any]], bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    value, variance = np.zeros(bins), np.zeros(bins)
    for h in histograms.values():
        value += h.values()
        variance += np.asarray(h.variances())
    return value, variance
