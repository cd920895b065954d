"""Runs a card: the only place that knows the order of the steps.

files -> features -> split -> detectors -> scores -> histograms and significances -> figures
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hepaa.detectors import NeuralDetector
from hepaa.io.files import file_name, write_json
from hepaa.io.folders import new_folder
from hepaa.io.root.results import write_histograms_root
from hepaa.models.presets import detector
from hepaa.progress import Silent
from hepaa.report.figures import draw_all
from hepaa.report.saved import SavedRun
from hepaa.run.reading import input_files, read
from hepaa.run.results import cross_sections, evaluate, root_histograms, summary
from hepaa.run.variations import with_varied_scores
from hepaa.run.workspaces import write_fits
from hepaa.stats.flattening import QuantileFlattening
from hepaa.table import BACKGROUND, DATA, SIGNAL, EventTable, concatenate
from hepaa.table.mixing import split

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hepaa.card import Card
    from hepaa.detectors import Detector
    from hepaa.progress import Reporter

    Flattening = tuple[str, QuantileFlattening]


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
        `features.parquet`, `histograms.root`, `workspaces/`, `models/`, `figures/`, `card.yaml`.

    Raises
    ------
    InputError
        For input that cannot be used; nothing is left behind.
    """
    report = progress or Silent()
    with new_folder(card.output, overwrite=overwrite, inputs=input_files(card)) as folder:
        (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
        table = (reader or read)(card, report)
        table.save(folder / "features.parquet")
        parts = divide(card, table)
        detectors = train(card, parts["train"], folder / "models", report)
        validation, test = score_parts(card, detectors, parts)
        validation.save(folder / "validation.parquet")
        test.save(folder / "scores.parquet")
        test.save(folder / "scores.root")
        results = [evaluate(name, validation, test, card, left_out=card.split.train_without) for name in detectors]
        write_histograms_root(root_histograms(results), folder / "histograms.root")
        if card.workspace.write:
            report.say("writing workspaces")
        sigma = cross_sections(table, card.luminosity_fb)
        fits = write_fits(card, results, validation, test, folder / "workspaces", cross_sections=sigma)
        write_json(summary(card, table, parts, results, fits), folder / "results.json")
        report.say("drawing figures")
        curves = {(r.name, signal): p.curve for r in results for signal, p in r.performance.items()}
        draw_all(SavedRun(folder, test=test, models=detectors, curves=curves), folder / "figures")
    return Path(card.output)


def divide(card: Card, table: EventTable) -> dict[str, EventTable]:
    """The parts "train", "validation" and "test" of the simulation; data are neither split nor scaled: all in test."""
    sizes = {"train": card.split.train, "validation": card.split.validation, "test": card.split.test}
    data = table.label == DATA
    parts = split(table[~data], sizes, salt=card.split.salt)
    parts["train"] = parts["train"].without(card.split.train_without)
    if data.any():
        parts["test"] = concatenate([parts["test"], table[data]])
    return parts


def train(card: Card, table: EventTable, folder: Path, progress: Reporter) -> dict[str, Detector]:
    """Fit the detectors of a card on the training part; those that can be saved are, as `folder/NAME.safetensors`."""
    folder.mkdir()
    fitted: dict[str, Detector] = {}
    for number, entry in enumerate(card.detectors, 1):
        model = detector(entry.detector, **{"seed": card.seed} | entry.options)
        progress.say(f"training {entry.label} ({number} of {len(card.detectors)})")
        fitted[entry.label] = model.fit(_training_events(table, entry.labelled))
        if isinstance(model, NeuralDetector):
            model.save(folder / f"{file_name(entry.label)}.safetensors")
    return fitted


def _training_events(table: EventTable, labelled: int | None) -> EventTable:
    """All background and the labelled anomalies, all or so many: fewer of them are a subset of more."""
    signal = np.flatnonzero(table.label == SIGNAL)
    order = signal[np.argsort(table[signal].event_hash("labelled"), kind="stable")]
    rows = np.concatenate([np.flatnonzero(table.label == BACKGROUND), order[:labelled]])
    return table[np.sort(rows)]


def score_parts(
    card: Card, detectors: Mapping[str, Detector], parts: Mapping[str, EventTable]
) -> tuple[EventTable, EventTable]:
    """The validation and the test part with their scores, flattened in a mass and varied as the card asks."""
    raw = _scores(detectors, parts["validation"])
    transforms = flattening(card, _with_scores(parts["validation"], raw))

    def scored(table: EventTable) -> EventTable:
        return _with_scores(table, _scores(detectors, table), transforms)

    validation = _with_scores(parts["validation"], raw, transforms)
    return validation, with_varied_scores(scored(parts["test"]), card.systematics, scored)


def score(detectors: Mapping[str, Detector], table: EventTable) -> EventTable:
    """The table with a column `score_NAME` for each detector; higher is more anomalous."""
    return _with_scores(table, _scores(detectors, table))


def _scores(detectors: Mapping[str, Detector], table: EventTable) -> dict[str, NDArray[np.float64]]:
    return {name: d.anomaly_score(table) for name, d in detectors.items()}


def _with_scores(
    table: EventTable, scores: Mapping[str, NDArray[np.float64]], transforms: Mapping[str, Flattening] | None = None
) -> EventTable:
    columns = {f"score_{name}": values for name, values in scores.items()}
    for name, (mass, transform) in (transforms or {}).items():
        columns[f"score_{name}"] = transform.transform(scores[name], table[mass])
    return table.with_spectators(**columns)


def flattening(card: Card, validation: EventTable) -> dict[str, Flattening]:
    """Mass and fitted transform of each detector whose score is to be made independent of a mass."""
    background = validation.background
    return {
        d.label: (
            d.flatten,
            QuantileFlattening().fit(background[f"score_{d.label}"], background[d.flatten], background.weight),
        )
        for d in card.detectors
        if d.flatten is not None
    }
