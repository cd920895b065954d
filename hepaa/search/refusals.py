"""Cards of a search that cannot work, found before the work: one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepaa.errors import InputError
from hepaa.features.registry import feature_info
from hepaa.models.parameters import between
from hepaa.search.resonant import method_of, windows_of
from hepaa.search.two_sample.comparison import statistic_of

if TYPE_CHECKING:
    from hepaa.card import Card


def refuse_card(card: Card) -> None:
    """Raise InputError for a card whose search fails whatever its events are; nothing is read."""
    if card.search is not None and card.search.two_sample is not None:
        statistic_of(card.search.two_sample.method)
    section = None if card.search is None else card.search.resonant
    if section is None:
        return
    method = method_of(section)
    named = {*(card.features.inputs or ()), *(name for entry in section.methods for name in entry.inputs or ())}
    for name in (section.mass, *sorted(named)):
        feature_info(name, card.features.named)
    if section.mass in named:
        raise InputError(
            f"search: {section.mass} is the mass of the window and cannot be an input: the score would be the mass"
        )
    for efficiency in section.efficiencies:
        between("search: an efficiency", efficiency, 0, 1, ends="none")
    for strength in section.injection.strengths:
        between("search: a strength", strength, 0)
    for region in windows_of(section):
        method.window.moved(region)
