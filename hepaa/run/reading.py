"""The samples of a card as normalised tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hepaa import io
from hepaa.errors import InputError, nearest
from hepaa.events import Sample
from hepaa.features.registry import features
from hepaa.run.variations import with_weight_ratios
from hepaa.table import EventTable, concatenate
from hepaa.table.mixing import expected_events
from hepaa.table.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hepaa.card import Card, SampleCard
    from hepaa.events import Events
    from hepaa.progress import Advance, Reporter
    from hepaa.stats.flattening import QuantileFlattening

    Flattening = tuple[str, QuantileFlattening]


def read(card: Card, progress: Reporter) -> EventTable:
    """Features of all samples of a card, weighted to cross-section x luminosity, after its selection."""
    tables = []
    for sample in card.samples:
        with progress.bar(f"reading {sample.process} ({sample.generator})", None) as advance:
            tables.append(read_sample(card, sample, advance))
        progress.say(
            f"{sample.process} ({sample.generator}): {tables[-1].n} events, {tables[-1].sum_weights:.4g} expected"
        )
    return concatenate(tables)


def read_sample(card: Card, sample: SampleCard, advance: Advance) -> EventTable:
    """Features of one sample of a card, weighted to cross-section x luminosity, after the card's selection."""
    physics = Sample(sample.process, sample.role, sample.generator)
    tables, nominal, cross_section = [], 0.0, sample.cross_section_pb
    for events in _chunks(sample, physics):
        nominal += float(np.sum(events.weight))
        cross_section = cross_section or events.header.get("cross_section_pb")
        weighted = _with_weight(events, sample.weight)
        table = features(weighted, card.features.set)
        data = sample.role == "data"
        table = with_weight_ratios(table, weighted, card.systematics, process=sample.process, data=data)
        tables.append(select(table, card.features.selection) if card.features.selection else table)
        advance(sum(t.n for t in tables))
    if not tables:
        raise InputError(f"{', '.join(sample.files)}: no events with truth = {sample.truth}")
    return normalised(card, sample, concatenate(tables), nominal, cross_section)


def normalised(
    card: Card, sample: SampleCard, table: EventTable, nominal: float, cross_section: float | None
) -> EventTable:
    """The selected rows of one sample, weighted to its cross-section x luminosity.

    Parameters
    ----------
    nominal : float
        Sum of the nominal weights of all events that were read, before any cut.
    cross_section : float or None
        pb, as the card or the files state it.

    Raises
    ------
    InputError
        If no event is left, or the sample cannot be normalised.
    """
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
