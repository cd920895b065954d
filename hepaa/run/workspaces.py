"""The workspaces of a run: HistFactory JSON and Combine datacards of each detector and signal, and what they say."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hepaa.io.files import distinct, file_name, write_json, write_text
from hepaa.io.root.results import write_histograms_root
from hepaa.run.parts import in_categories
from hepaa.run.results import binning_for
from hepaa.run.variations import accepted, uncertainties
from hepaa.stats import fit
from hepaa.stats.histogram import score_histograms
from hepaa.stats.systematics import Normalisation
from hepaa.stats.workspace import datacard, workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hepaa.card import Card
    from hepaa.run.results import DetectorResult
    from hepaa.stats.histogram import ScoreHistograms
    from hepaa.stats.systematics import Uncertainty
    from hepaa.table import EventTable

    Step = Callable[[str], AbstractContextManager[Any]]


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
    step: Step = nullcontext,
) -> dict[str, dict[str, Any]]:
    """Write `folder/DETECTOR[-SIGNAL]/` with workspace.json, datacard.txt and shapes.root, if the card wants them.

    Channels are the signal region, or its categories, and every other region. Their observations are the data, but the
    expected background where data are blind.

    Parameters
    ----------
    card : Card
    results : sequence of DetectorResult
    validation, test : EventTable
        Scored parts of the signal region: bins are chosen on the first, and filled from the second.
    folder : Path
    cross_sections : mapping of signal -> float
        Before selection, in pb: those of signals of strength 1.
    step : function of a name, optional
        The context of each workspace, such as one that goes on after an error.

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
    names = {
        (r.name, s): r.name if len(r.histograms.signals) == 1 else f"{r.name}-{s}"
        for r in results
        for s in r.histograms.signals
    }
    places = distinct(names, lambda pair: file_name(names[pair]), key=str.casefold)
    for result in results:
        with step(f"the workspaces of {result.name}"):
            model = _model(card, result, validation, test)
            for signal in result.histograms.signals:
                with step(f"the workspace of {result.name} for {signal}"):
                    numbers = _write_fit(card, model, signal, folder / places[result.name, signal], cross_sections)
                    if numbers is not None:
                        fits.setdefault(result.name, {})[signal] = numbers
    return fits


def _write_fit(
    card: Card, model: FitModel, signal: str, place: Path, cross_sections: Mapping[str, float]
) -> dict[str, Any] | None:
    """Write the folder of a signal; its numbers, if the card wants them."""
    settings = {"uncertainties": model.of(signal), "luminosity_error": card.workspace.luminosity_error}
    spec = workspace(model.channels, signal, **settings)  # type: ignore[arg-type]
    fit.validate(spec)
    place.mkdir(parents=True)
    write_json(spec, place / "workspace.json")
    text, shapes = datacard(model.channels, signal, **settings)  # type: ignore[arg-type]
    write_text(text, place / "datacard.txt")
    write_histograms_root(shapes, place / "shapes.root")
    if not card.workspace.infer:
        return None
    data = all(h.data is not None and h.blind_above is None for h in model.channels.values())
    numbers, sigma = fit.infer(spec, observed=data), cross_sections[signal]
    limits = {
        "cross_section_pb": sigma,
        "expected_limit_pb": [mu * sigma for mu in numbers.expected_limit],
        "observed_limit_pb": None if numbers.observed_limit is None else numbers.observed_limit * sigma,
    }
    return numbers.to_dict() | limits


def _model(card: Card, result: DetectorResult, validation: EventTable, test: EventTable) -> FitModel:
    """Channels with a binning of their own: as the result has them, or one for each category of the signal region."""
    name = result.name
    if not card.workspace.categories and not result.regions:
        return FitModel({name: result.processes}, result.uncertainties)
    channels: dict[str, ScoreHistograms] = {}
    nuisances: list[Uncertainty] = []
    if not card.workspace.categories:
        channels[name] = result.processes
        nuisances += uncertainties(card, name, test, result.processes, channel=name)
    blind_above = result.histograms.blind_above
    for category, (reference, counted) in in_categories(card, validation, test).items():
        binning = binning_for(reference, f"score_{name}", card)
        inside = accepted(counted)
        h = score_histograms(inside, inside[f"score_{name}"], binning, blind_above=blind_above).merge_unusable()
        channels[category] = h.complete(h.signals, data=card.has_data)
        nuisances += uncertainties(card, name, counted, channels[category], channel=category)
    for region, in_region in result.regions.items():
        channels[region] = in_region.processes
        nuisances += in_region.uncertainties
    return FitModel(channels, tuple(dict.fromkeys(nuisances)))
