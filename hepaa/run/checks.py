"""What would stop a run after hours, found before: without events first, then with them, before any training."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from hepaa import io
from hepaa.errors import InputError, nearest
from hepaa.io.repeated import repetitions
from hepaa.models.presets import detector
from hepaa.plots import refuse_unreadable
from hepaa.run.parts import in_categories, regions_of, training_events
from hepaa.run.reading import SampleReading
from hepaa.run.results import binning_for, require_classes
from hepaa.run.variations import several_generators, variations, varied

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hepaa.card import Card, SampleCard
    from hepaa.detectors import Detector
    from hepaa.table import EventTable

_SPARE_BYTES = 50_000_000
"""For figures, models and workspaces."""

_COPIES = 4
"""Of all columns: features, scored parts, and these as ROOT; compression is not counted on."""

_MOST_SIGNAL = 10.0
"""Signal over background, before any cut on a score, beyond which a cross-section is most likely wrong."""


def untrained(card: Card) -> dict[str, Detector]:
    """The detectors of a card by label.

    Raises
    ------
    InputError
        If a detector or an option of it is unknown, or a value has the wrong type or is out of range.
    """
    detectors = {}
    if not card.detectors:
        raise InputError(f"{card.name}: the card names no detectors to run; `hepaa search` looks at its data without")
    for entry in card.detectors:
        with _naming(f"detectors: {entry.label!r}"):
            score = {} if entry.score is None else {"scored_by": entry.score}
            model = detector(entry.detector, **{"seed": card.seed} | entry.options | score)
            model.check()
        detectors[entry.label] = model
    return detectors


def before_reading(card: Card) -> None:
    """Raise InputError for what is wrong in a card that is valid: texts that cannot be drawn, events that count twice.

    The options of detectors are checked by `untrained`, the output by `hepaa.io.folders.new_folder`.
    """
    for place, text in _drawn_texts(card):
        with _naming(place):
            refuse_unreadable(text)
    if not card.repeated_events:
        _refuse_repeated_files(card)


def first_events(card: Card) -> None:
    """Raise InputError where a file, or what a card asks of its first events, is not there.

    What is asked are the feature set and its inputs, the selection, weights, columns of masses and of systematics.
    """
    weights: set[str] = set()
    for i, sample in enumerate(card.samples):
        with _naming(f"samples.{i}"):
            reading = SampleReading.from_card(sample, card)
            beginnings = [reading.check(path) for path in io.expand(sample.files)]
        for table, names in beginnings:
            weights |= names
            if table is not None:
                _columns(card, table)
    for systematic, way in variations(card.systematics, "weight"):
        name = str(getattr(systematic, way))
        if name not in weights:
            raise InputError(
                f"systematics: {systematic.name!r}: no file has the weight {name!r}; {nearest(name, weights)}"
            )


def _columns(card: Card, table: EventTable) -> None:
    """Raise InputError where a table lacks a column that a detector, the gate or a systematic names."""
    for entry in card.detectors:
        with _naming(f"detectors: {entry.label!r}"):
            if entry.flatten is not None:
                table[entry.flatten]
    if card.sculpting is not None:
        with _naming("sculpting"):
            table[card.sculpting.mass]
    for systematic, way in variations(card.systematics, "column"):
        varied(table[:0], getattr(systematic, way))


def _drawn_texts(card: Card) -> Iterator[tuple[str, str]]:
    """Words of a card that figures show, each with its place."""
    for i, sample in enumerate(card.samples):
        yield f"samples.{i}.label", sample.label or sample.process
        yield f"samples.{i}.generator", sample.generator
    for i, entry in enumerate(card.detectors):
        yield f"detectors.{i}.name", entry.label
    yield "figures.label", card.label
    for name in card.regions:
        yield f"regions.{name}", name


def _refuse_repeated_files(card: Card) -> None:
    entries = [(sample, path) for sample in card.samples for path in io.expand(sample.files)]
    for later, earlier in repetitions([path for _, path in entries]):
        (sample, path), (other, its_path) = entries[later], entries[earlier]
        if _count_twice(sample, other):
            raise InputError(
                f"samples: {path} ({sample.process}) holds the events of {its_path} ({other.process}), which would "
                "count twice; leave one out, or set `repeated_events: true`"
            )


def _count_twice(one: SampleCard, other: SampleCard) -> bool:
    """Whether events that two samples share have several parts in one result: signals are alternatives."""
    if one is other:
        return True
    if one.truth is not None and other.truth is not None and one.truth != other.truth:
        return False
    return not (one.role == other.role == "signal" and one.process != other.process)


def before_training(card: Card, detectors: Mapping[str, Detector], parts: Mapping[str, EventTable]) -> None:
    """Raise InputError for events that a detector, a binning, a systematic, a category or a figure cannot do with.

    Parameters
    ----------
    detectors : mapping of label -> Detector
        Untrained.
    parts : mapping
        Those of `hepaa.run.parts.divide`.
    """
    validation, test = parts["validation"], parts["test"]
    for entry in card.detectors:
        with _naming(f"detectors: {entry.label!r}"):
            detectors[entry.label].check(training_events(parts["train"], entry.labelled))
    _columns(card, test)
    for systematic in card.systematics:
        if systematic.kind == "generators":
            several_generators(card, systematic, _processes(test.background))
    regions = regions_of(card, validation, test)
    for name, (reference, _) in regions.others.items():
        with _naming(f"regions: {name!r}"):
            _one_bin(card, reference)
    _check_bins(card, *regions.signal)


def _check_bins(card: Card, validation: EventTable, test: EventTable) -> None:
    """Raise InputError where a class is missing, or not even one bin with all events fulfils the rules."""
    require_classes(validation.label, test.label)
    categories = in_categories(card, validation, test) if card.workspace.write else {}
    references = {"the validation part": validation} | {
        f"workspace: the category {name!r}": reference for name, (reference, _) in categories.items()
    }
    for place, reference in references.items():
        with _naming(place):
            _one_bin(card, reference)


def _one_bin(card: Card, reference: EventTable) -> None:
    """Raise InputError where not even one bin of all events fulfils the rules."""
    one_bin = card.histogram.model_copy(update={"method": "uniform", "bins": 1})
    rules = card.model_copy(update={"histogram": one_bin})
    binning_for(reference.with_spectators(any_score=np.arange(reference.n)), "any_score", rules)


def implausible_yields(table: EventTable) -> list[str]:
    """A sentence for each signal of which many times more events are expected than of all backgrounds together."""
    background = table.background.sum_weights
    signal = table.signal
    yields = {name: signal[signal.process == signal.processes.index(name)].sum_weights for name in _processes(signal)}
    return [
        f"{name}: {s:.3g} signal events are expected on {background:.3g} of background; is its cross-section right? "
        "(cross_section_pb)"
        for name, s in yields.items()
        if s > _MOST_SIGNAL * background
    ]


def room_for(table: EventTable, folder: Path) -> None:
    """Raise InputError where the disk of `folder` cannot hold what a run writes of these events."""
    columns = len(table.columns) + len(table.spectators) + 6
    needed = _COPIES * 4 * columns * table.n + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder.parent}: {free / 1e6:.0f} MB are free, and the results may take {needed / 1e6:.0f}; make room"
        )


def _processes(table: EventTable) -> list[str]:
    return [table.processes[i] for i in np.unique(table.process)]


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """Errors of the block begin with a place in the card."""
    try:
        yield
    except InputError as wrong:
        raise InputError(f"{place}: {wrong}") from None
