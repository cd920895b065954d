"""What every method of a resonant search shares: how events come in, and how scores go out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, NotFittedError, nearest
from hepaa.models.parameters import whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import NDArray

    from hepaa.search.windows import Window
    from hepaa.table import EventTable

    Array = NDArray[np.float64]

TRUTH = "truth:"
"""A column whose name begins so may hold what is true; no search reads it."""


@dataclass(frozen=True, eq=False)
class MassRows:
    """Events of a search: inputs x (n, d) and mass (n,), both float64, and the d names of the inputs."""

    x: Array
    mass: Array
    columns: tuple[str, ...]

    def __getitem__(self, rows: NDArray[Any]) -> MassRows:
        return MassRows(self.x[rows], self.mass[rows], self.columns)

    def of(self, inputs: Sequence[str] | None) -> MassRows:
        """With these inputs alone, or with all for None."""
        if inputs is None or tuple(inputs) == self.columns:
            return self
        return MassRows(self.x[:, [self.columns.index(name) for name in inputs]], self.mass, tuple(inputs))

    @property
    def n(self) -> int:
        """Number of events."""
        return len(self.mass)


def column_values(table: EventTable, name: str) -> NDArray[np.float32]:
    """A column or spectator of a table (n,), by name."""
    if name in table.columns:
        return table.X[:, table.columns.index(name)]
    if name in table.spectators:
        return table.spectators[name]
    raise InputError(f"the table has no column {name!r}; {nearest(name, [*table.columns, *table.spectators])}")


def mass_rows(table: EventTable, window: Window, inputs: Sequence[str] | None) -> MassRows:
    """Inputs and mass of a table's events.

    Parameters
    ----------
    table : EventTable
        Data: every event counts once. Labels are not read.
    window : Window
    inputs : names, optional
        Default: all columns but the mass and those that begin with "truth:".

    Raises
    ------
    InputError
        If a column is missing, the mass or a label is among the inputs, a value is not finite, or events have weights.
    """
    everything = [c for c in table.columns if c != window.column and not c.startswith(TRUTH)]
    columns = everything if inputs is None else list(inputs)
    mass = column_values(table, window.column).astype(np.float64)
    if window.column in columns:
        raise InputError(
            f"{window.column} is the mass of the window and cannot be an input: the score would be the mass"
        )
    for name in columns:
        if name.lower() in ("label", "labels", "truth", "issignal", "is_signal") or name.startswith(TRUTH):
            raise InputError(
                f"column {name!r} tells signal from background, which a search must not know; leave it out of the "
                f"inputs, or call it '{TRUTH}{name.removeprefix(TRUTH)}'"
            )
    if not columns:
        raise InputError(f"no inputs are left beside the mass {window.column}: a search needs one feature or more")
    if len(set(columns)) < len(columns):
        raise InputError(f"an input stands twice in {', '.join(columns)}: give each once")
    x = np.stack([column_values(table, name) for name in columns], axis=1).astype(np.float64)
    bad = ~(np.isfinite(x).all(axis=1) & np.isfinite(mass))
    if bad.any():
        raise InputError(f"{int(bad.sum())} of {table.n} events have an input or mass that is not finite: cut on it")
    if not (table.weight == 1).all():
        raise InputError(
            "a search counts events, and some here have a weight other than 1; draw unweighted events, or call "
            "table.with_weight(1) if the weights mean nothing"
        )
    return MassRows(x, mass, tuple(columns))


@dataclass(eq=False)
class Method(ABC):
    """Base of the methods: what is scored is how much more events look like signal than like background.

    Parameters
    ----------
    window : Window
    inputs : names, optional
        Columns to learn from; default all but the mass.
    members : int
        Models on resampled events whose scores are averaged.
    label : str, optional
        Name in tables and figures; default that of the class.
    """

    window: Window
    inputs: Sequence[str] | None = None
    members: int = 8
    label: str | None = None

    @property
    def name(self) -> str:
        """For tables and figures."""
        return self.label or type(self).__name__

    def fresh(self, **changes: Any) -> Self:
        """The same method, not fitted, with some parameters changed."""
        return replace(self, **changes)

    def fit(self, table: EventTable, *, seed: int = 0) -> Self:
        """Learn from the data of signal region and sidebands; labels are not read.

        Raises
        ------
        InputError
            As `mass_rows`, and if a region holds too few events.
        """
        whole("members", self.members)
        return self.fit_rows(mass_rows(table, self.window, self.inputs), np.random.default_rng(seed))

    def score(self, table: EventTable) -> Array:
        """Score (n,) of each event: higher is more signal-like. Inputs are found by name, in any order."""
        return self._score(mass_rows(table, self.window, self.columns))

    def fit_rows(self, rows: MassRows, rng: np.random.Generator) -> Self:
        """`fit` on arrays; events outside all regions are left out."""
        rows = rows.of(self.inputs)
        signal, sidebands = self.window.in_signal(rows.mass), self.window.in_sidebands(rows.mass)
        least = 10 * (rows.x.shape[1] + 1)
        for region, mask in (("signal region", signal), ("sidebands", sidebands)):
            if mask.sum() < least:
                raise InputError(
                    f"{int(mask.sum())} events in the {region} of {self.window.column} are too few to learn from "
                    f"{rows.x.shape[1]} inputs; {least} are needed"
                )
        self._fit(rows[signal], rows[sidebands], rng)
        self._columns = rows.columns
        return self

    def score_rows(self, rows: MassRows) -> Array:
        """`score` on arrays."""
        return self._score(rows.of(self.columns))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the inputs in the order in which they were learned."""
        columns: tuple[str, ...] | None = getattr(self, "_columns", None)
        if columns is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit first")
        return columns

    @abstractmethod
    def _fit(self, signal: MassRows, sidebands: MassRows, rng: np.random.Generator) -> None:
        """Learn from the events of the signal region and of the sidebands."""

    @abstractmethod
    def _score(self, rows: MassRows) -> Array:
        """Score (n,) of events at any mass."""

    def settings(self) -> dict[str, Any]:
        """Parameters as JSON, for records and keys."""
        return {"method": type(self).__name__} | {
            f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("window", "template")
        }
