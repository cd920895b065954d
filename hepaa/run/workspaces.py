"""The workspaces of a run: HistFactory JSON and Combine datacards of each detector and signal, and what they say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.io.files import file_name, write_json, write_text
from hepaa.io.root.results import write_histograms_root
from hepaa.run.results import binning_for, require_both_classes
from hepaa.run.variations import uncertainties
from hepaa.stats import fit
from hepaa.stats.histogram import score_histograms
from hepaa.stats.systematics import Normalisation
from hepaa.stats.workspace import datacard, workspace
from hepaa.table.selection import select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hepaa.card import Card
    from hepaa.run.results import DetectorResult
    from hepaa.stats.histogram import ScoreHistograms
    from hepaa.stats.systematics import Uncertainty
    from hepaa.table import EventTable


@dataclass(frozen=True, eq=False)
class FitModel:
    """Channels of one score, and the uncertainties of their yields."""

    channels: dict[str, ScoreHistograms]
    uncertainties: tuple[Uncertainty, ...]

    def of(self, signal: str) -> list[Uncertainty]:
        """Uncertainties of the backgrounds and one signal alone."""
        samples = {signal, *(name for h in self.channels.values() for name in h.backgrounds)}
        kept: list[Uncertainty] = []
        for u in self.uncertainties:
            if not isinstance(u, Normalisation):
                kept += [u] if u.sample in samples else []
            elif not u.samples or samples & set(u.samples):
                kept.append(replace(u, samples=tuple(s for s in u.samples if s in samples)))
        return kept


def write_fits(
    card: Card,
    results: Sequence[DetectorResult],
    validation: EventTable,
    test: EventTable,
    folder: Path,
    *,
    cross_sections: Mapping[str, float],
) -> dict[str, dict[str, Any]]:
    """Write `folder/DETECTOR[-SIGNAL]/` with workspace.json, datacard.txt and shapes.root, if the card wants them.

    Parameters
    ----------
    card : Card
    results : sequence of DetectorResult
    validation, test : EventTable
        Scored parts: bins are chosen on the first, and filled from the second.
    folder : Path
    cross_sections : mapping of signal -> float
        Before selection, in pb: those of signals of strength 1.

    Returns
    -------
    dict of detector -> dict of signal -> numbers
        Those of `hepaa.stats.fit.FitResult`, and limits on the cross-section in pb; empty unless asked to infer.

    Raises
    ------
    InputError
        For a bin without background, a negative yield, overlapping categories, or a workspace that is not valid.
    """
    fits: dict[str, dict[str, Any]] = {}
    if not card.workspace.write:
        return fits
    for result in results:
        model = _model(card, result, validation, test)
        for signal in result.histograms.signals:
            name = result.name if len(result.histograms.signals) == 1 else f"{result.name}-{signal}"
            settings = {"uncertainties": model.of(signal), "luminosity_error": card.workspace.luminosity_error}
            spec = workspace(model.channels, signal, **settings)  # type: ignore[arg-type]
            fit.validate(spec)
            place = folder / file_name(name)
            place.mkdir(parents=True)
            write_json(spec, place / "workspace.json")
            text, shapes = datacard(model.channels, signal, **settings)  # type: ignore[arg-type]
            write_text(text, place / "datacard.txt")
            write_histograms_root(shapes, place / "shapes.root")
            if card.workspace.infer:
                data = any(h.data is not None for h in model.channels.values())
                numbers, sigma = fit.infer(spec, observed=data), cross_sections[signal]
                fits.setdefault(result.name, {})[signal] = numbers.to_dict() | {
                    "cross_section_pb": sigma,
                    "expected_limit_pb": [mu * sigma for mu in numbers.expected_limit],
                    "observed_limit_pb": None if numbers.observed_limit is None else numbers.observed_limit * sigma,
                }
    return fits


def _model(card: Card, result: DetectorResult, validation: EventTable, test: EventTable) -> FitModel:
    """One channel, as the result has it, or one for each category with a binning of its own."""
    name = result.name
    if not card.workspace.categories:
        return FitModel({name: result.processes}, result.uncertainties)
    channels: dict[str, ScoreHistograms] = {}
    nuisances: list[Uncertainty] = []
    seen = np.zeros(0, np.uint64)
    for category, expression in card.workspace.categories.items():
        reference, counted = select(validation, expression), select(test, expression)
        for part in (reference, counted):
            require_both_classes(part.label, f"workspace: the category {category!r} ({expression})")
        binning = binning_for(reference, f"score_{name}", card)
        events = counted.event_hash()
        if len(np.intersect1d(seen, events)):
            raise InputError(f"workspace: the category {category!r} shares events with another: make cuts exclusive")
        seen = np.concatenate([seen, events])
        channels[category] = score_histograms(counted, counted[f"score_{name}"], binning).merge_unusable()
        nuisances += uncertainties(card, name, counted, channels[category], channel=category)
    return FitModel(channels, tuple(dict.fromkeys(nuisances)))
