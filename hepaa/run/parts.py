"""Parts of a run's events: what is trained on, what choices are made on, and what results are quoted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError
from hepaa.run.results import require
from hepaa.table import BACKGROUND, SIGNAL, EventTable
from hepaa.table.mixing import split
from hepaa.table.regions import in_regions, signal_region
from hepaa.table.selection import select

if TYPE_CHECKING:
    from hepaa.card import Card


def divide(card: Card, table: EventTable) -> dict[str, EventTable]:
    """The parts "train", "validation" and "test" of the simulation, the last with all data."""
    sizes = {"train": card.split.train, "validation": card.split.validation, "test": card.split.test}
    parts = split(table, sizes, salt=card.split.salt)
    parts["train"] = parts["train"].without(card.split.train_without)
    return parts


def training_events(table: EventTable, labelled: int | None) -> EventTable:
    """All background and the labelled anomalies, all or so many: fewer of them are a subset of more."""
    signal = np.flatnonzero(table.label == SIGNAL)
    order = signal[np.argsort(table[signal].event_hash("labelled"), kind="stable")]
    rows = np.concatenate([np.flatnonzero(table.label == BACKGROUND), order[:labelled]])
    return table[np.sort(rows)]


def in_categories(card: Card, validation: EventTable, test: EventTable) -> dict[str, tuple[EventTable, EventTable]]:
    """Events of each category of the card's workspaces: those to choose bins on, and those to count.

    Of the signal region, whose parts are given.

    Raises
    ------
    InputError
        If a cut cannot be read, a category has no background or none of the signal, or two of them share events.
    """
    categories = {}
    signal = has_signal(card)
    seen = np.zeros(0, np.uint64)
    for name, expression in card.workspace.categories.items():
        categories[name] = reference, counted = select(validation, expression), select(test, expression)
        for part in (reference, counted):
            require(part.label, f"workspace: the category {name!r} ({expression})", signal=signal)
        events = counted.event_hash()
        if len(np.intersect1d(seen, events)):
            raise InputError(f"workspace: the category {name!r} shares events with another: make cuts exclusive")
        seen = np.concatenate([seen, events])
    return categories


def has_signal(card: Card) -> bool:
    """Whether a sample of the card is signal."""
    return any(s.role == "signal" for s in card.samples)


@dataclass(frozen=True)
class Regions:
    """Validation and test events of the signal region, and of each other region by name."""

    signal: tuple[EventTable, EventTable]
    others: dict[str, tuple[EventTable, EventTable]]


def regions_of(card: Card, validation: EventTable, test: EventTable) -> Regions:
    """The events of the card's regions; the signal region is what they leave.

    Raises
    ------
    InputError
        If a selection cannot be read, two regions share events, or a region has no background, or the signal region
        none of the signal.
    """
    if not card.regions:
        return Regions((validation, test), {})
    masks = [in_regions(part, card.regions) for part in (validation, test)]
    inside = {name: (validation[masks[0][name]], test[masks[1][name]]) for name in card.regions}
    signal = signal_region(validation, card.regions), signal_region(test, card.regions)
    for name, expression in card.regions.items():
        for part in inside[name]:
            require(part.label, f"regions: {name!r} ({expression})", signal=False)
    for part in signal:
        require(part.label, "the signal region, which is in none of `regions`,", signal=has_signal(card))
    return Regions(signal, inside)
