"""Runs a card: the only place that knows the order of the steps.

files -> features -> split -> detectors -> scores -> histograms and significances -> figures
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hepaa.detectors import NeuralDetector
from hepaa.errors import InputError
from hepaa.io.files import write_json
from hepaa.io.folders import new_folder
from hepaa.io.root.results import write_histograms_root
from hepaa.progress import Silent
from hepaa.report.figures import draw_all
from hepaa.report.saved import SavedRun
from hepaa.run import blinding, checks
from hepaa.run.parts import divide, regions_of, training_events
from hepaa.run.reading import input_files, read
from hepaa.run.results import cross_sections, evaluate, evaluate_region, root_histograms, summary
from hepaa.run.steps import Steps
from hepaa.run.variations import accepted, with_varied_scores
from hepaa.run.workspaces import write_fits
from hepaa.stats.flattening import QuantileFlattening
from hepaa.table import BACKGROUND, EventTable
from hepaa.table.regions import in_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hepaa.card import Card, DetectorCard
    from hepaa.detectors import Detector
    from hepaa.progress import Reporter
    from hepaa.run.parts import Regions
    from hepaa.run.workspaces import Step


def run(
    card: Card,
    *,
    overwrite: bool = False,
    progress: Reporter | None = None,
    reader: Callable[[Card, Reporter], EventTable] | None = None,
) -> Path:
    """Everything a card asks for, in one folder that appears when it is complete.

    Parameters
    ----------
    card : Card
    overwrite : bool
        Replace the folder if it exists.
    progress : Reporter, optional
        Silent by default.
    reader : callable, optional
        Gives the table of a card in place of `read`, such as one that works in batches.

    Returns
    -------
    Path
        The folder: `results.json`, `scores.parquet` and `scores.root` (test part), `validation.parquet`,
        `features.parquet`, `histograms.root`, `workspaces/`, `models/`, `figures/`, `card.yaml`. With data it is
        blind until `card.unblind`: scores of data above the blinding cut are NaN, and no p-value of data is there.

    Raises
    ------
    InputError
        For input that cannot be used; nothing is left behind. It is found before the first training.
    IncompleteError
        If a step failed after a training: the folder is there with all else, and says in `failures.txt` what it lacks.
    """
    report = progress or Silent()
    detectors = checks.untrained(card)
    checks.before_reading(card)
    after = Steps(report)
    with new_folder(card.output, overwrite=overwrite, inputs=input_files(card)) as folder:
        (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
        whole = (reader or read)(card, report)
        table = accepted(whole)
        checks.room_for(table, folder)
        table.save(folder / "features.parquet")
        parts = divide(card, table)
        checks.before_training(card, detectors, parts)
        looked = blinding.record(card, Path(card.output), unblind=card.unblind) if card.has_data else {"warnings": []}
        warnings = checks.implausible_yields(table) + looked["warnings"]
        for warning in warnings:
            report.say(f"warning: {warning}")
        models = train(card, parts["train"], folder / "models", report, detectors=detectors, step=after.step)
        if not models:
            raise next(iter(after.failed.values()))
        with_varied = parts | ({} if whole is table else {"test": divide(card, whole)["test"]})
        validation, test = score_parts(card, models, with_varied, step=after.step)
        scored = [n for n in models if f"score_{n}" in test.spectators]
        regions = regions_of(card, validation, test)
        shown = _shown(card, scored, regions, accepted(test))
        for part, name in ((validation, "validation.parquet"), (shown, "scores.parquet"), (shown, "scores.root")):
            with after.step(name):
                part.save(folder / name)
        results = []
        for name in scored:
            with after.step(f"the results of {name}"):
                result = evaluate(name, *regions.signal, card, left_out=card.split.train_without)
                others = {r: evaluate_region(r, result, *parts, card) for r, parts in regions.others.items()}
                results.append(replace(result, regions=others) if others else result)
        with after.step("histograms.root"):
            write_histograms_root(root_histograms(results), folder / "histograms.root")
        if card.workspace.write:
            report.say("writing workspaces")
        sigma = cross_sections(table, card.luminosity_fb)
        place = folder / "workspaces"
        fits = write_fits(card, results, *regions.signal, place, cross_sections=sigma, step=after.step)
        with after.step("results.json"):
            numbers = summary(card, table, parts, results, fits) | looked | {"warnings": warnings}
            write_json(after.without_nan(numbers, "results.json"), folder / "results.json")
        report.say("drawing figures")
        curves = {(r.name, signal): p.curve for r in results for signal, p in r.performance.items()}
        with after.step("figures"):
            draw_all(SavedRun(folder, scored=shown, models=models, curves=curves), folder / "figures", step=after.step)
        after.write_failures(folder)
    after.raise_failures(Path(card.output))
    return Path(card.output)


def _shown(card: Card, scored: Sequence[str], regions: Regions, test: EventTable) -> EventTable:
    """The scored test part without the scores of data that are blind."""
    if not card.has_data or card.unblind:
        return test
    rows = ~np.logical_or.reduce([np.zeros(test.n, bool), *in_regions(test, card.regions).values()])
    cuts = {name: blinding.cut(f"score_{name}", regions.signal[0], card) for name in scored}
    return blinding.hide(test, cuts, rows)


def train(
    card: Card,
    table: EventTable,
    folder: Path,
    progress: Reporter,
    *,
    detectors: Mapping[str, Detector] | None = None,
    step: Step = nullcontext,
) -> dict[str, Detector]:
    """Fit the detectors of a card on the training part; those that can be saved are, as `folder/NAME.safetensors`.

    Parameters
    ----------
    detectors : mapping of label -> Detector, optional
        Untrained; by default made from the card.
    step : function of a name, optional
        The context of each training, such as one that goes on after an error.
    """
    folder.mkdir()
    fitted: dict[str, Detector] = {}
    untrained = checks.untrained(card) if detectors is None else detectors
    for number, entry in enumerate(card.detectors, 1):
        with step(f"the training of {entry.label}"):
            progress.say(f"training {entry.label} ({number} of {len(card.detectors)})")
            model = untrained[entry.label].fit(training_events(table, entry.labelled))
            fitted[entry.label] = model
            if isinstance(model, NeuralDetector):
                model.save(folder / f"{card.file_names[entry.label]}.safetensors")
    return fitted


def score_parts(
    card: Card, detectors: Mapping[str, Detector], parts: Mapping[str, EventTable], *, step: Step = nullcontext
) -> tuple[EventTable, EventTable]:
    """The validation and the test part with their scores, flattened in a mass and varied as the card asks.

    Parameters
    ----------
    step : function of a name, optional
        The context of each detector's scores and of the varied ones, such as one that goes on after an error.
    """
    entries = {d.label: d for d in card.detectors}
    validation, test = parts["validation"], parts["test"]
    scorers: dict[str, Scorer] = {}
    for name, model in detectors.items():
        with step(f"the scores of {name}"):
            raw = _finite(model.anomaly_score(validation))
            scorer = Scorer(model, *flattening(entries[name], raw, validation))
            flat, of_test = scorer.flattened(raw, validation), scorer(test)
            validation = validation.with_spectators(**{f"score_{name}": flat})
            test = test.with_spectators(**{f"score_{name}": of_test})
            scorers[name] = scorer

    def scored(table: EventTable) -> EventTable:
        return table.with_spectators(**{f"score_{name}": scorer(table) for name, scorer in scorers.items()})

    with step("the varied scores"):
        test = with_varied_scores(test, card.systematics, scored)
    return validation, test


@dataclass(frozen=True)
class Scorer:
    """A detector whose score is made independent of a mass, where there is one."""

    model: Detector
    mass: str = ""
    transform: QuantileFlattening | None = None

    def __call__(self, table: EventTable) -> NDArray[np.float64]:
        """Scores (n,) of a table; higher is more anomalous."""
        return self.flattened(_finite(self.model.anomaly_score(table)), table)

    def flattened(self, raw: NDArray[np.float64], table: EventTable) -> NDArray[np.float64]:
        """What becomes of the detector's scores of a table."""
        return raw if self.transform is None else self.transform.transform(raw, table[self.mass])


def flattening(
    entry: DetectorCard, raw: NDArray[np.float64], validation: EventTable
) -> tuple[str, QuantileFlattening | None]:
    """The mass that a score is to be independent of, if there is one, and the transform learned on background."""
    if entry.flatten is None:
        return "", None
    rows = validation.label == BACKGROUND
    x = raw[rows].astype(np.float32)  # as tables keep scores
    return entry.flatten, QuantileFlattening().fit(x, validation[entry.flatten][rows], validation.weight[rows])


def _finite(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    lost = int(np.sum(~np.isfinite(scores)))
    if lost:
        raise InputError(f"{lost} of {len(scores)} scores are NaN or infinite; train with a smaller learning rate")
    return scores


def score(detectors: Mapping[str, Detector], table: EventTable) -> EventTable:
    """The table with a column `score_NAME` for each detector; higher is more anomalous."""
    return table.with_spectators(**{f"score_{name}": d.anomaly_score(table) for name, d in detectors.items()})
