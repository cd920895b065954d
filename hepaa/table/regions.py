"""Control and validation regions: named selections of events, and the signal region that is what they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError
from hepaa.table.selection import passes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepaa.table.table import EventTable


def in_regions(table: EventTable, selections: Mapping[str, str]) -> dict[str, NDArray[np.bool_]]:
    """Whether each event is in a region, (n,), by the name of the region.

    Raises
    ------
    InputError
        If a selection cannot be read, or two regions share events, which would count twice.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    for name, expression in selections.items():
        try:
            masks[name] = passes(table, expression)
        except InputError as wrong:
            raise InputError(f"regions: {name!r}: {wrong}") from None
        for other, mask in masks.items():
            if other != name and np.any(mask & masks[name]):
                raise InputError(f"regions: {name!r} shares events with {other!r}; make the selections exclusive")
    return masks


def signal_region(table: EventTable, selections: Mapping[str, str]) -> EventTable:
    """The events in no region: the table itself where there is none.

    Raises
    ------
    InputError
        As `in_regions`.
    """
    if not selections:
        return table
    rows: NDArray[np.bool_] = ~np.logical_or.reduce(list(in_regions(table, selections).values()))
    return table[rows]
