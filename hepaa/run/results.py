"""Results of a run: performance, binned significance and yields of each detector, as objects and as `results.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.run.blinding import cut, seen
from hepaa.run.variations import BACKGROUND_UNCERTAINTY, accepted, overall_uncertainty, uncertainties
from hepaa.stats.binning import Binning, choose_binning
from hepaa.stats.histogram import histograms_of_counts, score_histograms
from hepaa.stats.limits import median_limit_error, upper_limit
from hepaa.stats.observed import Observed
from hepaa.stats.performance import Performance, performance
from hepaa.stats.reach import luminosity_error, luminosity_for
from hepaa.stats.sculpting import Gate, sculpting_gate, spectrum_edges
from hepaa.stats.systematics import relative_shifts, response
from hepaa.stats.transfer import FalsePositives, cuts_for, false_positives
from hepaa.table import BACKGROUND, DATA, SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import hist
    from numpy.typing import ArrayLike, NDArray

    from hepaa.card import Card, Rules, SculptingCard
    from hepaa.stats.histogram import BinnedSignificance, Class, Counts, ScoreHistograms
    from hepaa.stats.response import Response
    from hepaa.stats.systematics import Uncertainty
    from hepaa.table import EventTable


@dataclass(frozen=True, eq=False)
class DetectorResult:
    """One detector on one test part.

    Attributes
    ----------
    name : str
    histograms : ScoreHistograms
        Of the test part, in a binning chosen on the validation part.
    processes : ScoreHistograms
        The same events with the background split by process: the samples of workspaces.
    uncertainties : tuple of Normalisation and Shape
        Of `processes`.
    performance : dict of signal process -> Performance
    significance : dict of signal process -> BinnedSignificance
        Its total is what tables, figures and `hepaa run` quote: the Asimov Z of the likelihood of the workspace in one
        channel without an error of the luminosity. With these the fit (`hepaa.stats.fit`) says more.
    reach : dict of signal process -> dict
        Luminosity for 3 and 5 standard deviations, and the upper limit on the signal.
    shifts : dict of name -> (bins,)
        Relative uncertainties of the background that bins share, beside the card's overall one.
    response : Response
        How the background answers to all of them.
    observed : Observed or None
        Data against the prediction; None where there are no data.
    regions : dict of region -> RegionResult
        Control and validation regions.
    gate : Gate or None
        Whether bumps may be hunted after a cut on this score; None where the card does not ask.
    generators : dict of generator -> list of FalsePositives
        Of its background, at cuts chosen on those that were trained on; empty if there is one generator.
    """

    name: str
    histograms: ScoreHistograms
    processes: ScoreHistograms
    uncertainties: tuple[Uncertainty, ...]
    performance: dict[str, Performance]
    significance: dict[str, BinnedSignificance]
    reach: dict[str, dict[str, Any]]
    shifts: dict[str, NDArray[np.float64]]
    response: Response
    observed: Observed | None = None
    regions: dict[str, RegionResult] = field(default_factory=dict)
    gate: Gate | None = None
    generators: dict[str, list[FalsePositives]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        content = {
            "binning": self.histograms.binning.to_dict(),
            "background_events": self.histograms.background_events.tolist(),
            "signals": {
                signal: {
                    "performance": self.performance[signal].to_dict(),
                    "significance": self.significance[signal].to_dict(),
                    "reach": self.reach[signal],
                }
                for signal in self.performance
            },
            "response": self.response.to_dict(),
            "uncertainties": list(dict.fromkeys(u.name for u in self.uncertainties)),
            "sculpting": None if self.gate is None else self.gate.to_dict(),
            "generators": {name: [rate.to_dict() for rate in rates] for name, rates in self.generators.items()},
        }
        if self.observed is not None:
            content["observed"] = self.observed.to_dict()
        if self.regions:
            content["regions"] = {name: region.to_dict() for name, region in self.regions.items()}
        return content


REGION_BINS = 5
"""Bins of a control or validation region at most: each is a parameter of every fit of the workspace."""


@dataclass(frozen=True, eq=False)
class RegionResult:
    """A score in a control or validation region.

    Attributes
    ----------
    histograms, processes, uncertainties
        As of `DetectorResult`, in a binning of its own: every process and signal of the signal region is there.
    observed : Observed
        Data, which are never blind here, against the prediction; without data the prediction alone.
    has_data : bool
    """

    histograms: ScoreHistograms
    processes: ScoreHistograms
    uncertainties: tuple[Uncertainty, ...]
    observed: Observed
    has_data: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        observed = self.observed.to_dict()
        if not self.has_data:
            observed |= dict.fromkeys(("events", "p", "z", "total"))
        return {"binning": self.histograms.binning.to_dict(), "observed": observed}


def evaluate(
    name: str, validation: EventTable, test: EventTable, card: Rules, *, left_out: Sequence[str] = ()
) -> DetectorResult:
    """Quote a detector on the test part, in a binning chosen on the validation part.

    Parameters
    ----------
    name : str
        The detector; its score is the column `score_NAME` of both tables.
    validation, test : EventTable
        Disjoint parts, each weighted to the full yield; the test part with the columns of `hepaa.run.variations`.
    card : Rules
        Such as a Card: for the binning, the uncertainties and the sculpting gate.
    left_out : sequence of str
        Processes and generators that the detector was not trained on.

    Raises
    ------
    InputError
        If a part has no background, there is neither signal nor data, a part alone has signal, scores of data that
        bins would show are blind, or no binning fulfils the rules.
    """
    column = f"score_{name}"
    whole, test = test, accepted(test)
    require_classes(validation.label, test.label)
    binning = binning_for(validation, column, card)
    data = bool(np.any(test.label == DATA))
    blind_above = cut(column, validation, card) if data else None
    test = seen(test, column, binning, blind_above)
    histograms = score_histograms(test, test[column], binning, by=None, blind_above=blind_above).merge_unusable()
    processes = score_histograms(test, test[column], histograms.binning, blind_above=blind_above)
    histograms, processes = (h.complete(h.signals, data=data and bool(h.seen.any())) for h in (histograms, processes))
    min_events = card.histogram.min_events
    of_signal = {s: (test.label == SIGNAL) & (test.process == test.processes.index(s)) for s in histograms.signals}
    samples = {signal: test[(test.label == BACKGROUND) | rows] for signal, rows in of_signal.items()}
    return DetectorResult(
        name=name,
        histograms=histograms,
        processes=processes,
        **_worth(histograms, processes, uncertainties(card, name, whole, processes), card, data=data),
        performance={
            signal: performance(rows.label == SIGNAL, rows[column], rows.weight, min_events=min_events)
            for signal, rows in samples.items()
        },
        gate=None if card.sculpting is None else gate(card, card.sculpting, column, validation, test),
        generators=by_generator(column, validation, test, left_out, min_events=min_events),
    )


def evaluate_region(
    region: str, result: DetectorResult, validation: EventTable, test: EventTable, card: Card
) -> RegionResult:
    """A score in a control or validation region, beside the result of the signal region.

    Parameters
    ----------
    region : str
        Its name, which is that of its channel.
    result : DetectorResult
        Of the signal region.
    validation, test : EventTable
        Events of the region: the bins are chosen on background of the first, equal parts of it unless the card's method
        needs no signal.
    card : Card

    Raises
    ------
    InputError
        If a part has no background, or no binning fulfils the rules.
    """
    column = f"score_{result.name}"
    whole, test = test, accepted(test)
    few = card.histogram.model_copy(update={"bins": min(card.histogram.bins, REGION_BINS)})
    binning = binning_for(validation.background, column, card.model_copy(update={"histogram": few}))
    histograms = score_histograms(test, test[column], binning, by=None).merge_unusable()
    processes = score_histograms(test, test[column], histograms.binning)
    signals, backgrounds = result.histograms.signals, result.processes.backgrounds
    histograms = histograms.complete(signals, data=card.has_data)
    processes = processes.complete(signals, backgrounds, data=card.has_data)
    nuisances = uncertainties(card, result.name, whole, processes, channel=region)
    yields = {k: h.values() for k, h in processes.backgrounds.items()}
    shifts = relative_shifts(nuisances, yields, channel=region)
    shifts.pop(BACKGROUND_UNCERTAINTY, None)
    observed = Observed.of(histograms, systematic=card.significance.background_uncertainty, shifts=shifts)
    return RegionResult(histograms, processes, tuple(nuisances), observed, card.has_data)


def evaluate_counts(
    name: str,
    counts: Mapping[Class, Counts],
    binning: Binning,
    cuts: Mapping[float, float],
    card: Rules,
    *,
    blind_above: float | None = None,
) -> DetectorResult:
    """The `evaluate` of test events that were counted in bins and not kept: any number of them.

    What needs all scores in order (AUC, AUC-PR, signal efficiencies, SIC) is None.

    Parameters
    ----------
    counts : mapping of (process, generator, label) -> Counts
        In the bins of `binning` and above `cuts`.
    cuts : mapping of share of background -> cut
        See `generator_cuts`.
    blind_above : float, optional
        Data were not counted in bins that reach above this score.
    """
    data = any(label == DATA for _, _, label in counts)
    blind = {"blind_above": blind_above if data else None}
    histograms, processes = (
        histograms_of_counts(counts, binning, by=by, **blind).merge_unusable() for by in (None, "process")
    )
    histograms, processes = (h.complete(h.signals, data=data and bool(h.seen.any())) for h in (histograms, processes))
    n_s: dict[str, int] = {}
    backgrounds: dict[str, Counts] = {}
    for (process, generator, label), counted in counts.items():
        if label == SIGNAL:
            n_s[process] = n_s.get(process, 0) + int(np.sum(counted.events))
        elif label == BACKGROUND:
            backgrounds[generator] = backgrounds[generator] + counted if generator in backgrounds else counted
    n_b = int(np.sum(histograms.background_events))
    generators = {
        generator: [
            FalsePositives.of_sums(
                target, float(c.above[i]), float(np.sum(c.value)), float(np.sum(c.variance)), int(c.events_above[i])
            )
            for i, target in enumerate(cuts)
        ]
        for generator, c in backgrounds.items()
    }
    return DetectorResult(
        name=name,
        histograms=histograms,
        processes=processes,
        **_worth(histograms, processes, overall_uncertainty(card), card, data=data),
        performance={s: Performance.of_counts(n, n_b, min_events=card.histogram.min_events) for s, n in n_s.items()},
        generators=generators if len(generators) > 1 else {},
    )


def _worth(
    histograms: ScoreHistograms,
    processes: ScoreHistograms,
    nuisances: Sequence[Uncertainty],
    card: Rules,
    *,
    data: bool,
) -> dict[str, Any]:
    """The fields of a result that follow from its histograms: uncertainties, significance, reach, data if any."""
    yields = {k: h.values() for k, h in processes.backgrounds.items()}
    shifts, shared = relative_shifts(nuisances, yields), response(nuisances, yields)
    shifts.pop(BACKGROUND_UNCERTAINTY, None)
    relative = card.significance.background_uncertainty
    significance = {
        s: histograms.significance(s, systematic=relative, shifts=shifts, response=shared) for s in histograms.signals
    }
    n_obs = None if histograms.data is None or not histograms.seen.all() else histograms.data.values()
    reach = {s: reach_of(z, card.luminosity_fb, n_obs) for s, z in significance.items()}
    observed = Observed.of(histograms, systematic=relative, shifts=shifts) if data else None
    return {
        "uncertainties": tuple(nuisances), "significance": significance, "reach": reach, "shifts": shifts,
        "response": shared, "observed": observed,
    }  # fmt: skip


def require_classes(validation: ArrayLike, test: ArrayLike) -> None:
    """Raise InputError where labels of these parts have no background, no signal in one of them alone, or, in the test
    part, neither signal nor data."""
    labels = {"the validation part": np.asarray(validation), "the test part": np.asarray(test)}
    signal = any(np.any(label == SIGNAL) for label in labels.values())
    for part, label in labels.items():
        require(label, part, signal=signal)
    if not signal and not np.any(labels["the test part"] == DATA):
        raise InputError("the test part has no signal events and no data; give more events or another split")


def require(label: ArrayLike, part: str, *, signal: bool) -> None:
    """Raise InputError where `part` of the events has no background, or no signal where it has to."""
    for truth, name in ((BACKGROUND, "background"), (SIGNAL, "signal"))[: 1 + signal]:
        if not np.any(np.asarray(label) == truth):
            raise InputError(f"{part} has no {name} events; give more events or another split")


def by_generator(
    column: str, validation: EventTable, test: EventTable, left_out: Sequence[str], *, min_events: int
) -> dict[str, list[FalsePositives]]:
    """False positives of every generator's background in the test part.

    The cuts are those of the validation part's background without what is `left_out`; empty for one generator.
    """
    reference = validation.without(left_out).background
    background = test.background
    present = np.unique(background.generator)
    if len(present) < 2 or not len(reference):
        return {}
    parts = {test.generators[g]: background[background.generator == g] for g in present}
    return false_positives(
        (reference[column], reference.weight),
        {name: (part[column], part.weight) for name, part in parts.items()},
        min_events=min_events,
    )


def generator_cuts(column: str, validation: EventTable, card: Rules) -> dict[float, float]:
    """Cuts by share of the validation part's background, at which generators are compared."""
    background = validation.background
    return cuts_for((background[column], background.weight), min_events=card.histogram.min_events)


def binning_for(validation: EventTable, column: str, card: Rules) -> Binning:
    """The binning of a score that a card asks for, chosen on these events: without signal by quantiles of background,
    where the card's method would look at signal.

    Raises
    ------
    InputError
        If the part has no background, or no binning fulfils the rules.
    """
    require(validation.label, "the validation part", signal=False)
    background, signal, options = validation.background, validation.signal, card.histogram
    needs_signal = options.method in ("optimal", "merge")
    return choose_binning(
        background[column],
        background.weight,
        signal[column],
        signal.weight,
        method="quantile" if needs_signal and not signal.n else options.method,
        bins=options.bins,
        min_b=options.min_background,
        min_events=options.min_events,
        max_error=options.max_relative_error,
        systematic=card.significance.background_uncertainty,
    )


def reach_of(z: BinnedSignificance, luminosity_fb: float, n_obs: ArrayLike | None = None) -> dict[str, Any]:
    """Luminosities for 3 and 5 standard deviations and the 95 % limit on the signal's strength, with their errors.

    With all uncertainties of the binned significance; those that are relative stay so at other luminosities. A
    luminosity that is not reached below 1e6 fb^-1 is None.

    Returns
    -------
    dict
        "luminosity_fb" and "luminosity_fb_error": {"3": .., "5": ..}; "limit": expected (-2 .. 2 sigma), the error of
        its median, observed.
    """
    errors: dict[str, Any] = {"stat_s": z.stat_s, "stat_b": z.stat_b, "shifts": z.response}
    yields = z.s, z.b, z.stat_b
    luminosity = {
        level: luminosity_for(float(level), *yields, at=luminosity_fb, shifts=z.response) for level in ("3", "5")
    }
    luminosity_errors = {
        level: None if fb is None else luminosity_error(fb, *yields, at=luminosity_fb, **errors)
        for level, fb in luminosity.items()
    }
    s = np.maximum(z.s, 0.0)
    limit = upper_limit(s, z.b, z.stat_b, n_obs=n_obs, shifts=z.response)
    return {
        "luminosity_fb": luminosity,
        "luminosity_fb_error": luminosity_errors,
        "limit": {
            "level": limit.level,
            "expected": list(limit.expected),
            "expected_error": median_limit_error(limit.expected[2], s, z.b, z.stat_b, **errors),
            "observed": limit.observed,
        },
    }


def gate(card: Rules, options: SculptingCard, column: str, validation: EventTable, test: EventTable) -> Gate:
    """The sculpting gate on background of the test part, at a cut that is chosen on the validation part."""
    reference, background = validation.background, test.background
    order = np.argsort(-reference[column], kind="stable")
    share = np.cumsum(reference.weight[order]) / reference.sum_weights
    cut = reference[column][order][np.searchsorted(share, options.background_efficiency).clip(max=len(order) - 1)]
    mass = background[options.mass]
    return sculpting_gate(
        mass,
        background[column] >= cut,
        spectrum_edges(mass, options.bins, options.range),
        limit=options.limit,
        divergence=options.divergence,
        parameters=options.parameters,
        sqrt_s=1000 * card.sqrt_s_tev,
        toys=options.toys,
        rng=np.random.default_rng(card.seed),
    )


def cross_sections(table: EventTable, luminosity_fb: float) -> dict[str, float]:
    """Cross-section of each process before selection, in pb: the first row of its cutflow over the luminosity."""
    sigma: dict[str, float] = {}
    for row in table.cutflow:
        if row.step == "all":
            sigma[row.process] = sigma.get(row.process, 0.0) + row.sum_weights / (1000 * luminosity_fb)
    return sigma


def summary(
    card: Card,
    table: EventTable,
    parts: Mapping[str, EventTable],
    results: Sequence[DetectorResult],
    fits: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of `results.json`: every number of a run beside the settings that made it."""
    sigma = cross_sections(table, card.luminosity_fb)
    roles = {"background": BACKGROUND, "signal": SIGNAL, "data": DATA}
    detectors = {r.name: r.to_dict() for r in results}
    for name, result in detectors.items():
        for signal, numbers in result["signals"].items():
            numbers["fit"] = fits.get(name, {}).get(signal)
            limit = numbers["reach"]["limit"]
            limit["expected_pb"] = [mu * sigma[signal] for mu in limit["expected"]]
            limit["observed_pb"] = None if limit["observed"] is None else limit["observed"] * sigma[signal]
    return {
        "hepaa": __version__,
        "card": card.model_dump(by_alias=True, mode="json"),
        "samples": list(_yields(table)),
        "cutflow": [asdict(row) for row in table.cutflow],
        "parts": {n: {r: int(np.sum(part.label == label)) for r, label in roles.items()} for n, part in parts.items()},
        "sources": [asdict(source) for source in table.sources],
        "detectors": detectors,
    }


def _yields(table: EventTable) -> Iterable[dict[str, Any]]:
    for i, process in enumerate(table.processes):
        for j, generator in enumerate(table.generators):
            weights = table.weight[(table.process == i) & (table.generator == j)]
            if len(weights):
                total, squares = float(np.sum(weights)), float(np.sum(weights**2))
                yield {
                    "process": process,
                    "generator": generator,
                    "events": len(weights),
                    "expected_events": total,
                    "n_eff": total**2 / squares if squares else 0.0,
                    "negative_fraction": float(np.mean(weights < 0)),
                }


def root_histograms(results: Iterable[DetectorResult]) -> dict[str, hist.Hist[Any]]:
    """Histograms of all detectors by the path they have in `histograms.root`: DETECTOR/background_NAME and so on."""
    by_path: dict[str, hist.Hist[Any]] = {}
    for result in results:
        h = result.histograms
        by_path |= _root_histograms(result.name, h)
        for name, region in result.regions.items():
            by_path |= _root_histograms(f"{result.name}/{name}", region.histograms)
    return by_path


def _root_histograms(folder: str, h: ScoreHistograms) -> dict[str, hist.Hist[Any]]:
    by_path = {f"{folder}/background_{k}": v for k, v in h.backgrounds.items()}
    by_path |= {f"{folder}/signal_{k}": v for k, v in h.signals.items()}
    data = h.seen_data()
    return by_path if data is None else by_path | {f"{folder}/data": data}
