"""Features that are columns of a table somebody has, or expressions of them: no named set is needed.

features: {columns: [mjj, tau21, "ratio = pt1 / pt2", log(met)]}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.expressions import Expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hepaa.events import Events


@dataclass(frozen=True)
class ColumnFeatures:
    """Columns with one number an event, or expressions of them.

    Attributes
    ----------
    features, spectators : mapping of name -> Expression
        None stands for a name that is no expression.
    """

    features: dict[str, Expression | None]
    spectators: dict[str, Expression | None]

    @classmethod
    def of(cls, columns: Sequence[str], selection: str | None = None) -> Self:
        """The columns of a card.

        Parameters
        ----------
        columns : names, expressions of names such as "log(pt1 / pt2)", or "name = expression"
        selection : str, optional
            A cut: columns that it names and that are not among `columns` become spectators.

        Raises
        ------
        InputError
            If there is no column, one stands twice, or an expression cannot be read.
        """
        features = dict(_feature(column) for column in columns)
        if not features or len(features) != len(columns):
            raise InputError(f"columns {list(columns)}: name one or more, each of them once")
        cut = Expression.parse(selection).names if selection else ()
        return cls(features, {name: None for name in cut if name not in features})

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the events that are used."""
        every = (self.features | self.spectators).items()
        return tuple(dict.fromkeys(n for name, column in every for n in (column.names if column else (name,))))

    def compute(self, events: Events) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
        """All columns, (n,) each, and no cuts: the function of a feature set.

        Raises
        ------
        InputError
            If the events lack a column.
        """
        every = (self.features | self.spectators).items()
        return {name: _value(events, name, column) for name, column in every}, {}


def _feature(column: str) -> tuple[str, Expression | None]:
    """Name and expression of a column; no expression for a name that is none, such as `m(bb)` or `pt [GeV]`."""
    defined = re.fullmatch(r"\s*(\w+)\s*=(?!=)(.+)", column)
    name, text = (defined[1], defined[2]) if defined else (column, column)
    try:
        expression = Expression.parse(text, place="column", dotted=True)
        expression.number(lambda _: np.ones(1), 1)  # whether it is understood shows with any numbers
    except InputError:
        if defined:
            raise
        return name, None
    return name, expression


def _value(events: Events, name: str, column: Expression | None) -> NDArray[np.float64]:
    """One column of the events, as it is or computed."""

    def of(name: str) -> NDArray[np.float64]:
        if name in events.columns:
            return np.asarray(events.columns[name], np.float64)
        if name in events.arrays:
            raise InputError(f"{events.path}: {name!r} holds objects; a feature needs one number an event")
        raise InputError(f"{events.path} ({events.format}) has no column {name!r}; {nearest(name, events.columns)}")

    if column is None:
        return of(name)
    return np.asarray(column.number(of, events.n), np.float64)
