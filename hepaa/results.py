"""What a run found: performance, binned significance and yields of each detector, as objects and as `results.json`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.stats.histogram import BinnedSignificance, ScoreHistograms, choose_binning, score_histograms
from hepaa.stats.performance import SIC, Performance, Roc, performance, roc, sic
from hepaa.table import BACKGROUND, DATA, SIGNAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import hist

    from hepaa.card import Card, HistogramCard
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
    """

    name: str
    performance: dict[str, Performance]
    roc: dict[str, Roc]
    sic: dict[str, SIC]
    histograms: ScoreHistograms
    significance: dict[str, BinnedSignificance]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "binning": self.histograms.binning.to_dict(),
            "background_events": self.histograms.background_events.tolist(),
            "signals": {
                signal: {
                    "performance": self.performance[signal].to_dict(),
                    "significance": self.significance[signal].to_dict(),
                }
                for signal in self.performance
            },
        }


def evaluate(
    name: str, validation: EventTable, test: EventTable, options: HistogramCard, *, background_uncertainty: float
) -> DetectorResult:
    """Quote a detector on the test part, in a binning chosen on the validation part.

    Parameters
    ----------
    name : str
        The detector; its score is the column `score_NAME` of both tables.
    validation, test : EventTable
        Disjoint parts, each weighted to the full yield.
    options : HistogramCard
        Rules of the binning.
    background_uncertainty : float
        Relative systematic uncertainty of the background, correlated between bins.

    Raises
    ------
    InputError
        If a part has no signal or no background, or no binning fulfils the rules.
    """
    column = f"score_{name}"
    for part, what in ((validation, "validation"), (test, "test")):
        for label, kind in ((BACKGROUND, "background"), (SIGNAL, "signal")):
            if not np.any(part.label == label):
                raise InputError(f"the {what} part has no {kind} events; give more events or another split")
    chosen_on, signal = validation.background, validation.signal
    binning = choose_binning(
        chosen_on[column],
        chosen_on.weight,
        signal[column],
        signal.weight,
        method=options.method,
        bins=options.bins,
        min_b=options.min_background,
        min_events=options.min_events,
        max_error=options.max_relative_error,
        systematic=background_uncertainty,
    )
    background = test.background
    alternatives = len(np.unique(background.process)) == 1 and len(np.unique(background.generator)) > 1
    by: Literal["process", "generator"] = "generator" if alternatives else "process"
    histograms = score_histograms(test, test[column], binning, by=by).merge_unusable()
    samples = {signal: _against(test, signal) for signal in histograms.signals}
    curves = {s: (t.label == SIGNAL, t[column], t.weight) for s, t in samples.items()}
    return DetectorResult(
        name=name,
        performance={s: performance(*curve, min_events=options.min_events) for s, curve in curves.items()},
        roc={s: roc(*curve) for s, curve in curves.items()},
        sic={s: sic(*curve, min_events=options.min_events) for s, curve in curves.items()},
        histograms=histograms,
        significance={s: histograms.significance(s, systematic=background_uncertainty) for s in samples},
    )


def _against(table: EventTable, signal: str) -> EventTable:
    """All background and one signal process."""
    chosen = (table.label == SIGNAL) & (table.process == table.processes.index(signal))
    return table[np.flatnonzero((table.label == BACKGROUND) | chosen)]


def summary(
    card: Card, table: EventTable, parts: Mapping[str, EventTable], results: Sequence[DetectorResult]
) -> dict[str, Any]:
    """The content of `results.json`: every number of a run beside the settings that made it."""
    return {
        "hepaa": __version__,
        "card": card.model_dump(by_alias=True, mode="json"),
        "samples": list(_yields(table)),
        "cutflow": [asdict(row) for row in table.cutflow],
        "parts": {name: _counts(part) for name, part in parts.items()},
        "sources": [asdict(source) for source in table.sources],
        "detectors": {result.name: result.to_dict() for result in results},
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
