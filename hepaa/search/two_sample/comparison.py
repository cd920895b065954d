"""TwoSample: the test of data against a reference, its null from toys, and what a signal would give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.detectors import DETECTORS, PRESETS
from hepaa.errors import InputError, nearest
from hepaa.models.base import Detector
from hepaa.models.parameters import whole
from hepaa.search.two_sample.binned import BinnedScores
from hepaa.search.two_sample.kernel import KernelRatio
from hepaa.search.two_sample.nuisances import NOMINAL
from hepaa.search.two_sample.result import AmongToys, ExpectedTwoSample, NullToys, TwoSampleResult
from hepaa.search.two_sample.trees import TreeRatio
from hepaa.table import SIGNAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.search.two_sample.nuisances import Nuisances, Variations
    from hepaa.search.two_sample.statistic import Statistic
    from hepaa.table import EventTable

    Array = NDArray[np.float64]

_METHODS: dict[str, type[Statistic]] = {"kernel": KernelRatio, "trees": TreeRatio}
_BATCH = 25  # toys at a time: one matrix of events and toys fits the cache
_FEWEST = 10.0


class TwoSample:
    """Do data look like the reference, in all features together?

    The null comes from toys: data are Poisson draws of reference events by their weights, and the reference fluctuates
    by its own statistics (a bootstrap of its events), so that both errors are in the p-value. What is chosen from
    events, such as centres of kernels and bins, is chosen from the reference alone.

    Parameters
    ----------
    reference : EventTable
        Simulation of one or several generators with weights, or events of a control region. Weights must not be
        negative.
    method : "kernel", "trees", a detector or the name of one, or one of their classes with parameters
        `KernelRatio` (NPLM), `TreeRatio` (classifier), or `BinnedScores`: the histogram of an anomaly score, of any
        detector of the toolkit, such as "flow". One that is fitted already, with labels or without, stays as it is.
    rate : bool
        Compare the number of events too: then the weights of the reference sum to the expected yield. Else the
        reference is scaled to the data, and shapes are compared.
    seed : int

    Raises
    ------
    InputError
        If the reference has events of signal, negative weights, or too few events, or the method is unknown.
    """

    def __init__(
        self, reference: EventTable, method: str | Detector | Statistic = "kernel", *, rate: bool = False, seed: int = 0
    ) -> None:
        whole("seed", seed, 0)
        if np.any(reference.label == SIGNAL):
            raise InputError("the reference has events labelled as signal; take its background: table.background")
        if np.any(reference.weight < 0):
            raise InputError(
                f"{int(np.sum(reference.weight < 0))} events of the reference have negative weights: no toys can be "
                "drawn from them; use a sample without, or resample it to positive weights"
            )
        if np.count_nonzero(reference.weight) < 100:
            raise InputError(
                f"the reference has {np.count_nonzero(reference.weight)} events with weight; a test needs at least 100"
            )
        statistic = statistic_of(method)
        self.statistic, self.rate, self.seed = statistic, rate, seed
        names = _names_of(statistic)
        table = reference if names is None else reference.select(names)
        statistic.fit(_matrix(table), table.weight, np.random.default_rng([seed, 0]), rate=rate)
        kept = getattr(statistic, "kept", None)
        if kept is not None and not np.all(kept):
            table = table[kept].with_weight(table.weight[kept] * (table.sum_weights / table.weight[kept].sum()))
        self.reference = table
        self._rows = statistic.rows(_matrix(table))
        self._nulls: dict[tuple[Any, ...], NullToys] = {}

    def test(self, data: EventTable, *, toys: int = 200, nuisances: Nuisances | None = None) -> TwoSampleResult:
        """Compare data with the reference.

        Parameters
        ----------
        data : EventTable
            Labels are not read; the weights count, 1 being one event.
        toys : int
            Of the reference, and as many of each hypothesis with nuisances.
        nuisances : Nuisances, optional
            What is not known of the reference.

        Raises
        ------
        InputError
            If columns are missing, a weight is negative, there are too few events, or the nuisances do not fit.
        """
        table = data.select(self.reference.columns)
        if np.any(table.weight < 0):
            raise InputError("data have negative weights; an event of data counts 1")
        setting = self._setting(table.sum_weights, nuisances)
        null, widened = self._null(setting, toys)
        rows = np.concatenate([setting.rows, self._reduced(_matrix(table), setting.events)])
        c = np.concatenate([np.zeros(self.reference.n), table.weight])
        v = np.concatenate([setting.reference, np.zeros(table.n)])
        t, t_widened = self._both(setting, rows, c[:, None], v[:, None])
        ratio = self.statistic.log_ratio(rows, c, v)

        def log_ratio(events: EventTable) -> Array:
            return ratio(self._reduced(_matrix(events.select(self.reference.columns)), setting.events))

        return TwoSampleResult(
            alone=AmongToys(float(t[0]), null),
            widened=None if widened is None else AmongToys(float(t_widened[0]), widened),
            data=table,
            reference=self.reference.with_weight(setting.reference),
            _log_ratio=log_ratio,
        )

    def expected(
        self,
        signal: EventTable,
        *,
        events: float | None = None,
        alone: bool = False,
        draws: int = 20,
        toys: int = 200,
        nuisances: Nuisances | None = None,
    ) -> ExpectedTwoSample:
        """The same test where a signal is there, on toys: no data go in.

        Parameters
        ----------
        signal : EventTable
            Its weights are its yield, in units of those of the reference.
        events : float, optional
            Expected events of data in all; default: the yield. Not where the rate counts.
        alone : bool
            `signal` is all of the data, such as another theory of the same process; else it comes on top of the
            reference.
        draws : int
        toys, nuisances
            As in `test`.
        """
        whole("draws", draws)
        if events is not None and self.rate:
            raise InputError("with the rate, the weights say how many events are expected: leave out events")
        if np.any(signal.weight < 0):
            raise InputError("the signal has negative weights: no toys can be drawn from it")
        table = signal.select(self.reference.columns)
        base = self.reference.weight * (not alone)
        expected = np.concatenate([base, table.weight])
        total = float(expected.sum())
        expected *= 1.0 if events is None else events / total
        setting = self._setting(float(expected.sum()), nuisances)
        null, widened = self._null(setting, toys)
        rows = np.concatenate([setting.rows, self._reduced(_matrix(table), setting.events)])
        v = np.concatenate([setting.reference, np.zeros(table.n)])
        rng = np.random.default_rng([self.seed, 2])
        plain, fitted = [], []
        for size in _batches(draws):
            c = rng.poisson(np.repeat(expected[:, None], size, axis=1)).astype(np.float64)
            both = self._both(setting, rows, c, v[:, None] * rng.poisson(1.0, size=c.shape))
            plain += both[0].tolist()
            fitted += both[1].tolist()
        return ExpectedTwoSample(
            alone=tuple(AmongToys(t, null) for t in plain),
            widened=() if widened is None else tuple(AmongToys(t, widened) for t in fitted),
        )

    def closure(self, events: float, *, draws: int = 100, toys: int = 200) -> Array:
        """p-values (draws,) of reference events that are held out as data: uniform if the null is right.

        Every draw takes events of the reference as data, each with the probability of its weight, and compares them
        with those that are left.

        Raises
        ------
        InputError
            If a reference event stands for more than half an event of data.
        """
        setting = self._setting(events, None)
        chance = setting.reference
        if np.any(chance > 0.5):
            raise InputError(
                f"an event of the reference stands for {chance.max():.2g} events of data: "
                "closure needs a reference with at least twice as many events as data"
            )
        null, _ = self._null(setting, toys)
        rng = np.random.default_rng([self.seed, 3])
        p: list[float] = []
        for size in _batches(draws):
            c = (rng.random((len(chance), size)) < chance[:, None]).astype(np.float64)
            v = (chance / (1 - chance))[:, None] * (1 - c)
            p += [null.p(float(t)).p for t in self._values(setting.rows, c, v)]
        return np.array(p)

    def _reduced(self, X: Array, events: float) -> Array:
        return self.statistic.reduced(self.statistic.rows(X), events)

    def _setting(self, events: float, nuisances: Nuisances | None) -> _Setting:
        if not events >= _FEWEST:
            raise InputError(f"{events:g} events of data: a test of shapes needs at least {_FEWEST:g}")
        reference = self.reference.weight * (1.0 if self.rate else events / self.reference.sum_weights)
        rows = self.statistic.reduced(self._rows, events)
        variations = None if nuisances is None else nuisances.of(self.reference)
        tilts = None
        if variations is not None and nuisances is not None and nuisances.profile and self.statistic.profiles:
            varied = reference[:, None] * variations.factors
            if not self.rate:
                varied *= reference.sum() / varied.sum(axis=0)
            tilts = self.statistic.tilts(rows, reference, varied)
        return _Setting(float(events), rows, reference, variations, tilts, repr(nuisances))

    def _both(self, setting: _Setting, rows: Array, c: Array, v: Array) -> tuple[Array, Array]:
        """The statistic of toys with weights c in data and v in reference: without and with nuisances."""
        plain = self._values(rows, c, v)
        return plain, plain if setting.tilts is None else self._values(rows, c, v, setting.tilts)

    def _values(self, rows: Array, c: Array, v: Array, tilts: Array | None = None) -> Array:
        if not self.rate:
            v = v * (c.sum(axis=0) / v.sum(axis=0))
        return self.statistic.values(rows, c, v, tilts)

    def _null(self, setting: _Setting, toys: int) -> tuple[NullToys, NullToys | None]:
        """Toys without and with nuisances, kept for the next test of as many events."""
        whole("toys", toys, 20)
        events = None if self.rate else setting.events
        plain = self._nulls.get((events, toys))
        if plain is None:
            law = self.statistic.law(setting.rows, setting.reference)
            decay = self.statistic.decay(setting.reference)
            plain = NullToys({NOMINAL: self._toys(setting, toys, None, 0)}, law, decay)
            self._nulls[events, toys] = plain
        if setting.variations is None:
            return plain, None
        key = (events, toys, setting.nuisances)
        if key not in self._nulls:
            truths = enumerate(setting.variations.truths, start=1)
            by_truth = {truth: self._toys(setting, toys, truth, number) for number, truth in truths}
            law = self.statistic.law(setting.rows, setting.reference, setting.tilts)
            self._nulls[key] = NullToys(by_truth, law, self.statistic.decay(setting.reference))
        return plain, self._nulls[key]

    def _toys(self, setting: _Setting, toys: int, truth: str | None, stream: int) -> Array:
        """The statistic of toys of the reference; with a truth, the nuisances are drawn and, where possible, fitted."""
        rng = np.random.default_rng([self.seed, 1, stream])
        tilts = None if truth is None else setting.tilts
        values = []
        for size in _batches(toys):
            expected = np.repeat(setting.reference[:, None], size, axis=1)
            if truth is not None and setting.variations is not None:
                expected *= setting.variations.draw(rng, truth, size)
                if not self.rate:
                    expected *= setting.events / expected.sum(axis=0)
            c = rng.poisson(expected).astype(np.float64)
            v = setting.reference[:, None] * rng.poisson(1.0, size=c.shape)
            values.append(self._values(setting.rows, c, v, tilts))
        return np.concatenate(values)


@dataclass(frozen=True, eq=False)
class _Setting:
    """A reference made ready for so many events of data."""

    events: float
    rows: Array
    reference: Array
    variations: Variations | None
    tilts: Array | None
    nuisances: str


def statistic_of(method: str | Detector | Statistic) -> Statistic:
    """What compares two samples, by its name, or its own: `method` of `TwoSample`.

    Raises
    ------
    InputError
        If the name is unknown, or names a detector that learns from labels.
    """
    if isinstance(method, str) and method in _METHODS:
        return _METHODS[method]()
    if isinstance(method, str) and method not in (known := [*_METHODS, *PRESETS, *DETECTORS]):
        raise InputError(f"the method {method!r} of two samples is unknown; {nearest(method, known)}")
    if isinstance(method, str | Detector):
        return BinnedScores(detector=method)
    return replace(method)  # of its own: the caller's may serve several references


def _batches(n: int) -> list[int]:
    return [min(_BATCH, n - i) for i in range(0, n, _BATCH)]


def _matrix(table: EventTable) -> Array:
    return table.X.astype(np.float64)


def _names_of(method: Statistic) -> tuple[str, ...] | None:
    """Columns that a fitted detector was trained on, where it knows their names."""
    names = getattr(getattr(method, "detector", None), "feature_names_in_", None)
    return None if names is None else tuple(names)
