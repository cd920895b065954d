"""Parts of a run's events: what is trained on, what choices are made on, and what results are quoted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError
from hepaa.run.results import require_both_classes
from hepaa.table import BACKGROUND, DATA, SIGNAL, EventTable, concatenate
from hepaa.table.mixing import split
from hepaa.table.selection import select

if TYPE_CHECKING:
    from hepaa.card import Card


def divide(card: Card, table: EventTable) -> dict[str, EventTable]:
    """The parts "train", "validation" and "test" of the simulation; data are neither split nor scaled: all in test."""
    sizes = {"train": card.split.train, "validation": card.split.validation, "test": card.split.test}
    data = table.label == DATA
    parts = split(table[~data], sizes, salt=card.split.salt)
    parts["train"] = parts["train"].without(card.split.train_without)
    if data.any():
        parts["test"] = concatenate([parts["test"], table[data]])
    return parts


def training_events(table: EventTable, labelled: int | None) -> EventTable:
    """All background and the labelled anomalies, all or so many: fewer of them are a subset of more."""
    signal = np.flatnonzero(table.label == SIGNAL)
    order = signal[np.argsort(table[signal].event_hash("labelled"), kind="stable")]
    rows = np.concatenate([np.flatnonzero(table.label == BACKGROUND), order[:labelled]])
    return table[np.sort(rows)]


def in_categories(card: Card, validation: EventTable, test: EventTable) -> dict[str, tuple[EventTable, EventTable]]:
    """Events of each category of the card's workspaces: those to choose bins on, and those to count.

    Raises
    ------
    InputError
        If a cut cannot be read, a category has no background or no signal, or two of them share events.
    """
    categories = {}
    seen = np.zeros(0, np.uint64)
    for name, expression in card.workspace.categories.items():
        categories[name] = reference, counted = select(validation, expression), select(test, expression)
        for part in (reference, counted):
            require_both_classes(part.label, f"workspace: the category {name!r} ({expression})")
        events = counted.event_hash()
        if len(np.intersect1d(seen, events)):
            raise InputError(f"workspace: the category {name!r} shares events with another: make cuts exclusive")
        seen = np.concatenate([seen, events])
    return categories
