"""Runs a card: the only place that knows the order of the steps.

files -> features -> split -> detectors -> scores -> histograms and significances -> figures
"""

from __future__ import annotations

import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa import io, plots
from hepaa.detectors import NeuralDetector, detector
from hepaa.errors import InputError, nearest
from hepaa.features.registry import feature_info, features
from hepaa.features.selection import select
from hepaa.io.outputs import write_histograms_root, write_scores_root
from hepaa.io.store import write_json
from hepaa.progress import Silent
from hepaa.results import DetectorResult, evaluate, root_histograms, summary
from hepaa.samples import Sample, expected_events, split
from hepaa.table import BACKGROUND, DATA, SIGNAL, EventTable, concatenate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hepaa.card import Card, DetectorCard, HistogramCard, SampleCard
    from hepaa.detectors import Detector
    from hepaa.io.events import Events
    from hepaa.progress import Advance, Reporter


def run(card: Card, *, overwrite: bool = False, progress: Reporter | None = None) -> Path:
    """Everything a card asks for, in one folder that appears when it is complete.

    Parameters
    ----------
    card : Card
    overwrite : bool
        Replace the folder if it exists.
    progress : Reporter, optional
        Silent by default.

    Returns
    -------
    Path
        The folder: `results.json`, `scores.parquet` and `scores.root` (test part), `validation.parquet`,
        `features.parquet`, `histograms.root`, `models/`, `figures/`, `card.yaml`.

    Raises
    ------
    InputError
        For input that cannot be used; nothing is left behind.
    """
    say = progress or Silent()
    with _new_folder(Path(card.output), overwrite=overwrite) as folder:
        (folder / "card.yaml").write_text(card.to_yaml(), encoding="utf-8")
        table = read(card, say)
        table.save(folder / "features.parquet")
        parts = divide(card, table)
        detectors = train(card, parts["train"], folder / "models", say)
        validation, test = (score(detectors, parts[name]) for name in ("validation", "test"))
        validation.save(folder / "validation.parquet")
        test.save(folder / "scores.parquet")
        write_scores_root(test, folder / "scores.root")
        found = [
            evaluate(
                name,
                validation,
                test,
                card.histogram,
                background_uncertainty=card.significance.background_uncertainty,
            )
            for name in detectors
        ]
        write_histograms_root(root_histograms(found), folder / "histograms.root")
        write_json(summary(card, table, parts, found), folder / "results.json")
        say.say("drawing figures")
        draw(card, found, test, detectors, folder / "figures")
    return Path(card.output)


def read(card: Card, progress: Reporter) -> EventTable:
    """Features of all samples of a card, weighted to cross-section x luminosity, after its selection."""
    tables = []
    for sample in card.samples:
        with progress.bar(f"reading {sample.process} ({sample.generator})", None) as advance:
            tables.append(_read_sample(card, sample, advance))
        progress.say(
            f"{sample.process} ({sample.generator}): {tables[-1].n} events, {tables[-1].sum_weights:.4g} expected"
        )
    return concatenate(tables)


def _read_sample(card: Card, sample: SampleCard, advance: Advance) -> EventTable:
    physics = Sample(sample.process, sample.role, sample.generator)
    tables, nominal, cross_section = [], 0.0, sample.cross_section_pb
    for events in _chunks(sample, physics):
        nominal += float(np.sum(events.weight))
        cross_section = cross_section or events.header.get("cross_section_pb")
        table = features(_with_weight(events, sample.weight), card.features.set)
        tables.append(select(table, card.features.selection) if card.features.selection else table)
        advance(sum(t.n for t in tables))
    if not tables:
        raise InputError(f"{', '.join(sample.files)}: no events with truth = {sample.truth}")
    table = concatenate(tables)
    if card.features.inputs is not None:
        table = table.select(card.features.inputs)
    if table.n == 0:
        raise InputError(f"{', '.join(sample.files)}: no event passes the selection of {card.features.set!r}")
    if sample.role == "data":
        return table
    total = sample.expected_events
    if total is None:
        if cross_section is None:
            raise InputError(
                f"{sample.files[0]}: no cross-section in the file; "
                f"give cross_section_pb or expected_events for {sample.process!r}"
            )
        total = expected_events(cross_section, card.luminosity_fb, sample.k_factor)
    if nominal <= 0:
        raise InputError(f"{sample.files[0]}: the weights sum to {nominal:g}; {sample.process!r} cannot be normalised")
    return table.scaled(total * card.share(sample) / nominal)


def _chunks(sample: SampleCard, physics: Sample) -> Iterator[Events]:
    """Events of a sample, at most `max_events`, of the truth asked for; the truth of the card stands for them."""
    left = sample.max_events
    for events in io.iterate(sample.files, schema=sample.schema_, sample=physics):
        part = events
        if sample.truth is not None:
            if events.label is None:
                raise InputError(f"{events.path}: truth = {sample.truth} is asked, but the file has no labels")
            part = events.select(events.label == sample.truth)
        if left is not None:
            part = part.select(np.arange(part.n) < left)
            left -= part.n
        if part.n:
            yield replace(part, label=np.full(part.n, physics.label, np.int8))
        if left == 0:
            return


def _with_weight(events: Events, name: str | None) -> Events:
    if name is None:
        return events
    if name not in events.weights:
        raise InputError(f"{events.path}: no weight {name!r}; {nearest(name, events.weights)}")
    return replace(events, weight=events.weights[name])


def divide(card: Card, table: EventTable) -> dict[str, EventTable]:
    """The parts "train", "validation" and "test" of the simulation; data are neither split nor scaled: all in test."""
    sizes = {"train": card.split.train, "validation": card.split.validation, "test": card.split.test}
    data = table.label == DATA
    parts = split(table[~data], sizes, salt=card.split.salt)
    if data.any():
        parts["test"] = concatenate([parts["test"], table[data]])
    return parts


def train(card: Card, table: EventTable, folder: Path, progress: Reporter) -> dict[str, Detector]:
    """Fit the detectors of a card on the training part; those that can be saved are, as `folder/NAME.safetensors`."""
    folder.mkdir()
    fitted: dict[str, Detector] = {}
    for number, choice in enumerate(card.detectors, 1):
        model = detector(choice.detector, **{"seed": card.seed} | choice.options)
        progress.say(f"training {choice.label} ({number} of {len(card.detectors)})")
        fitted[choice.label] = model.fit(_training_events(table, choice))
        if isinstance(model, NeuralDetector):
            model.save(folder / f"{_file_name(choice.label)}.safetensors")
    return fitted


def _training_events(table: EventTable, choice: DetectorCard) -> EventTable:
    """All background and the labelled anomalies: fewer of them are a subset of more."""
    signal = np.flatnonzero(table.label == SIGNAL)
    order = signal[np.argsort(table[signal].event_hash("labelled"), kind="stable")]
    rows = np.concatenate([np.flatnonzero(table.label == BACKGROUND), order[: choice.labelled]])
    return table[np.sort(rows)]


def score(detectors: Mapping[str, Detector], table: EventTable) -> EventTable:
    """The table with a column `score_NAME` for each detector; higher is more anomalous."""
    return table.with_spectators(**{f"score_{name}": d.anomaly_score(table) for name, d in detectors.items()})


def histogram(
    name: str,
    validation: EventTable,
    test: EventTable,
    options: HistogramCard,
    output: Path,
    *,
    background_uncertainty: float,
    look: plots.Look,
) -> dict[str, Any]:
    """One scored detector alone: `results.json`, `histograms.root` and its score histogram in the folder `output`.

    Returns
    -------
    dict
        The numbers of `results.json`.
    """
    result = evaluate(name, validation, test, options, background_uncertainty=background_uncertainty)
    output.mkdir(parents=True, exist_ok=True)
    write_histograms_root(root_histograms([result]), output / "histograms.root")
    write_json(result.to_dict(), output / "results.json")
    _draw_score(result, background_uncertainty, look, output)
    return result.to_dict()


def draw(
    card: Card, results: Sequence[DetectorResult], test: EventTable, detectors: Mapping[str, Detector], folder: Path
) -> None:
    """All figures of a run, as PDF and PNG."""
    look = plots.Look(card.figures.style, card.figures.label, card.luminosity_fb, card.sqrt_s_tev)
    signals = list(results[0].roc)
    for signal in signals:
        suffix = f"-{_file_name(signal)}" if len(signals) > 1 else ""
        errors = {r.name: r.performance[signal].auc_error for r in results}
        roc = plots.roc({r.name: r.roc[signal] for r in results}, errors=errors, look=look)
        plots.save_figure(roc, folder / f"roc{suffix}")
        plots.save_figure(plots.sic({r.name: r.sic[signal] for r in results}, look=look), folder / f"sic{suffix}")
    info = {c: feature_info(c, card.features.set) for c in test.columns}
    labels = {c: (feature.label, feature.unit) for c, feature in info.items()}
    for result in results:
        name, model = result.name, detectors[result.name]
        _draw_score(result, card.significance.background_uncertainty, look, folder)
        cut = result.roc[signals[0]].threshold[result.roc[signals[0]].at(card.figures.cut_background_efficiency)]
        before_after = plots.feature_distributions(test, test[f"score_{name}"], cut, labels=labels, look=look)
        plots.save_figure(before_after, folder / f"features-{_file_name(name)}")
        if isinstance(model, NeuralDetector):
            losses = plots.loss_curves(model.history_, boundary=model.finetune_from, look=look)
            plots.save_figure(losses, folder / f"training-{_file_name(name)}")


def _draw_score(result: DetectorResult, background_uncertainty: float, look: plots.Look, folder: Path) -> None:
    figure = plots.score_histogram(
        result.histograms, systematic=background_uncertainty, xlabel=f"{result.name} anomaly score", look=look
    )
    plots.save_figure(figure, folder / f"score-{_file_name(result.name)}")


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name).strip("-")


@contextmanager
def _new_folder(final: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder beside `final` that takes its name when the block ends, and is removed if the block fails."""
    if final.exists() and not overwrite:
        raise InputError(f"{final}: exists already; choose another output, or --overwrite to replace it")
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    try:
        yield partial
        partial.chmod(0o755)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
    finally:
        if partial.exists():
            shutil.rmtree(partial)
