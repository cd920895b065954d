"""What a run found: performance, binned significance and yields of each detector, as objects and as `results.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.run.variations import BACKGROUND_UNCERTAINTY, uncertainties
from hepaa.stats.histogram import BinnedSignificance, Binning, ScoreHistograms, choose_binning, score_histograms
from hepaa.stats.limits import median_limit_error, upper_limit
from hepaa.stats.performance import SIC, Performance, Roc, performance, roc, sic
from hepaa.stats.reach import luminosity_error, luminosity_for
from hepaa.stats.sculpting import Gate, sculpting_gate, spectrum_edges
from hepaa.stats.systematics import relative_shifts
from hepaa.stats.transfer import FalsePositives, false_positives
from hepaa.table import BACKGROUND, DATA, SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import hist
    from numpy.typing import ArrayLike

    from hepaa.card import Card, HistogramCard, Rules, SculptingCard
    from hepaa.stats.systematics import Uncertainty
    from hepaa.table import EventTable


@dataclass(frozen=True, eq=False)
class DetectorResult:
    """One detector on one test part.

    Attributes
    ----------
    name : str
    performance : dict of signal process -> Performance
    roc, sic : dict of signal process -> Roc, SIC
    histograms : ScoreHistograms
        Of the test part, in a binning chosen on the validation part.
    significance : dict of signal process -> BinnedSignificance
    processes : ScoreHistograms
        The same events with the background split by process: the samples of workspaces.
    uncertainties : tuple of Normalisation and Shape
        Of `processes`.
    reach : dict of signal process -> dict
        Luminosity for 3 and 5 standard deviations, and the upper limit on the signal.
    gate : Gate or None
        Whether bumps may be hunted after a cut on this score; None where the card does not ask.
    generators : dict of generator -> list of FalsePositives
        Of its background, at cuts chosen on those that were trained on; empty if there is one generator.
    """

    name: str
    performance: dict[str, Performance]
    roc: dict[str, Roc]
    sic: dict[str, SIC]
    histograms: ScoreHistograms
    significance: dict[str, BinnedSignificance]
    processes: ScoreHistograms
    uncertainties: tuple[Uncertainty, ...]
    reach: dict[str, dict[str, Any]]
    gate: Gate | None = None
    generators: dict[str, list[FalsePositives]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
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
            "uncertainties": list(dict.fromkeys(u.name for u in self.uncertainties)),
            "sculpting": None if self.gate is None else self.gate.to_dict(),
            "generators": {name: [f.to_dict() for f in found] for name, found in self.generators.items()},
        }


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
        If a part has no signal or no background, or no binning fulfils the rules.
    """
    column, options = f"score_{name}", card.histogram
    relative = card.significance.background_uncertainty
    for part, what in ((validation, "validation"), (test, "test")):
        for label, kind in ((BACKGROUND, "background"), (SIGNAL, "signal")):
            if not np.any(part.label == label):
                raise InputError(f"the {what} part has no {kind} events; give more events or another split")
    binning = binning_for(validation, column, options, systematic=relative)
    background = test.background
    alternatives = len(np.unique(background.process)) == 1 and len(np.unique(background.generator)) > 1
    by: Literal["process", "generator"] = "generator" if alternatives else "process"
    histograms = score_histograms(test, test[column], binning, by=by).merge_unusable()
    processes = score_histograms(test, test[column], histograms.binning)
    found = uncertainties(card, name, test, processes)
    shifts = relative_shifts(found, {k: h.values() for k, h in processes.backgrounds.items()})
    shifts.pop(BACKGROUND_UNCERTAINTY, None)
    samples = {signal: _against(test, signal) for signal in histograms.signals}
    curves = {s: (t.label == SIGNAL, t[column], t.weight) for s, t in samples.items()}
    significance = {s: histograms.significance(s, systematic=relative, shifts=shifts) for s in samples}
    return DetectorResult(
        name=name,
        performance={s: performance(*curve, min_events=options.min_events) for s, curve in curves.items()},
        roc={s: roc(*curve) for s, curve in curves.items()},
        sic={s: sic(*curve, min_events=options.min_events) for s, curve in curves.items()},
        histograms=histograms,
        significance=significance,
        processes=processes,
        uncertainties=tuple(found),
        reach={
            s: reach_of(z, card.luminosity_fb, None if histograms.data is None else histograms.data.values())
            for s, z in significance.items()
        },
        gate=None if card.sculpting is None else gate(card, card.sculpting, column, validation, test),
        generators=by_generator(column, validation, test, left_out, min_events=options.min_events),
    )


def by_generator(
    column: str, validation: EventTable, test: EventTable, left_out: Sequence[str], *, min_events: int
) -> dict[str, list[FalsePositives]]:
    """False positives of every generator's background in the test part.

    The cuts are those of the validation part's background without what is `left_out`; empty for one generator.
    """
    reference = validation.without(left_out).background
    present = np.unique(test.background.generator)
    if len(present) < 2 or not len(reference):
        return {}
    parts = {test.generators[g]: test.background[test.background.generator == g] for g in present}
    return false_positives(
        (reference[column], reference.weight),
        {name: (part[column], part.weight) for name, part in parts.items()},
        min_events=min_events,
    )


def binning_for(part: EventTable, column: str, options: HistogramCard, *, systematic: float) -> Binning:
    """The binning of a score that a card asks for, chosen on these events."""
    background, signal = part.background, part.signal
    return choose_binning(
        background[column],
        background.weight,
        signal[column],
        signal.weight,
        method=options.method,
        bins=options.bins,
        min_b=options.min_background,
        min_events=options.min_events,
        max_error=options.max_relative_error,
        systematic=systematic,
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
    errors = {"stat_s": z.stat_s, "stat_b": z.stat_b, "shifts": z.shared}
    luminosity: dict[str, float | None] = {}
    luminosity_errors: dict[str, float | None] = {}
    for level in (3.0, 5.0):
        found = luminosity_for(level, z.s, z.b, z.stat_b, at=luminosity_fb, shifts=z.shared)
        luminosity[f"{level:g}"] = found
        luminosity_errors[f"{level:g}"] = (
            None if found is None else luminosity_error(found, z.s, z.b, z.stat_b, at=luminosity_fb, **errors)
        )
    s = np.maximum(z.s, 0.0)
    limit = upper_limit(s, z.b, z.stat_b, n_obs=n_obs, shifts=z.shared)
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
    chosen_on, background = validation.background, test.background
    order = np.argsort(-chosen_on[column], kind="stable")
    share = np.cumsum(chosen_on.weight[order]) / chosen_on.sum_weights
    cut = chosen_on[column][order][np.searchsorted(share, options.background_efficiency).clip(max=len(order) - 1)]
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


def _against(table: EventTable, signal: str) -> EventTable:
    """All background and one signal process."""
    chosen = (table.label == SIGNAL) & (table.process == table.processes.index(signal))
    return table[np.flatnonzero((table.label == BACKGROUND) | chosen)]


def cross_sections(table: EventTable, luminosity_fb: float) -> dict[str, float]:
    """Cross-section of each process before selection, in pb: the first row of its cutflow over the luminosity."""
    found: dict[str, float] = {}
    for row in table.cutflow:
        if row.step == "all":
            found[row.process] = found.get(row.process, 0.0) + row.sum_weights / (1000 * luminosity_fb)
    return found


def summary(
    card: Card,
    table: EventTable,
    parts: Mapping[str, EventTable],
    results: Sequence[DetectorResult],
    fits: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of `results.json`: every number of a run beside the settings that made it."""
    sigma = cross_sections(table, card.luminosity_fb)
    detectors = {result.name: result.to_dict() for result in results}
    for name, found in detectors.items():
        for signal, numbers in found["signals"].items():
            numbers["fit"] = fits.get(name, {}).get(signal)
            limit = numbers["reach"]["limit"]
            limit["expected_pb"] = [mu * sigma[signal] for mu in limit["expected"]]
            limit["observed_pb"] = None if limit["observed"] is None else limit["observed"] * sigma[signal]
    return {
        "hepaa": __version__,
        "card": card.model_dump(by_alias=True, mode="json"),
        "samples": list(_yields(table)),
        "cutflow": [asdict(row) for row in table.cutflow],
        "parts": {name: _counts(part) for name, part in parts.items()},
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


def _counts(part: EventTable) -> dict[str, int]:
    kinds = (("background", BACKGROUND), ("signal", SIGNAL), ("data", DATA))
    return {name: int(np.sum(part.label == label)) for name, label in kinds}


def root_histograms(results: Iterable[DetectorResult]) -> dict[str, hist.Hist[Any]]:
    """Histograms of all detectors by the path they have in `histograms.root`: DETECTOR/background_NAME and so on."""
    found: dict[str, hist.Hist[Any]] = {}
    for result in results:
        h = result.histograms
        found |= {f"{result.name}/background_{k}": v for k, v in h.backgrounds.items()}
        found |= {f"{result.name}/signal_{k}": v for k, v in h.signals.items()}
        if h.data is not None:
            found[f"{result.name}/data"] = h.data
    return found
