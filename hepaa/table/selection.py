"""Cuts as small expressions on named columns: `"ptj1 > 1200 and abs(etaj1) < 2.5"`. Parsed, never executed."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from hepaa.expressions import Expression
from hepaa.table.table import CutflowRow, EventTable

if TYPE_CHECKING:
    from numpy.typing import NDArray


def select(table: EventTable, expression: str) -> EventTable:
    """Events of a table that pass a cut, with one more row in the cutflow for each part that `and` joins.

    Parameters
    ----------
    table : EventTable
    expression : str
        On columns (features and spectators), in the language of `hepaa.expressions`. Evaluated in float64.

    Raises
    ------
    InputError
        If the expression cannot be parsed, names an unknown column or function, is no yes-or-no question, or is
        undefined (NaN) for an event.
    """
    keep = np.ones(len(table), dtype=bool)
    cutflow = list(table.cutflow)
    for part in Expression.parse(expression).parts:
        rows = np.flatnonzero(keep)  # what is undefined in events that are cut away already is no obstacle
        keep[rows] = part.truth(partial(_values, table, rows), len(rows))
        cutflow += _rows(table, keep, part.text)
    return replace(table[keep], cutflow=tuple(cutflow))


def _values(table: EventTable, rows: NDArray[np.int64], name: str) -> NDArray[np.float64]:
    return table[name][rows].astype(np.float64)


def passes(table: EventTable, expression: str) -> NDArray[np.bool_]:
    """Whether each event of a table passes a cut, (n,); the cut and its errors are those of `select`."""
    numbered = replace(table, event=np.arange(len(table)), cutflow=())
    passed = np.zeros(len(table), bool)
    passed[select(numbered, expression).event] = True
    return passed


def _rows(table: EventTable, keep: np.ndarray, step: str) -> list[CutflowRow]:
    rows = []
    for i, process in enumerate(table.processes):
        for j, generator in enumerate(table.generators):
            mine = (table.process == i) & (table.generator == j)
            if mine.any():
                weight = table.weight[mine & keep]
                rows.append(CutflowRow(process, generator, step, len(weight), float(np.sum(weight))))
    return rows
