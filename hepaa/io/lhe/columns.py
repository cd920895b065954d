"""Arrays that the LHE kernel fills, for a piece of a file at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hepaa.io.lhe.kernel import codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARTICLES, _EVENTS = 8192, 1024  # the first arrays
_WEIGHTS = 1 << 22  # named weights that the first array has room for, if more than one event


@dataclass(frozen=True)
class Batch:
    """Consecutive events as columns.

    Attributes
    ----------
    first : int
        Number of the first event in its file.
    offsets : int64 (n + 1,)
        Event i has the particles offsets[i]:offsets[i + 1].
    particles : list of 13 arrays
        `codes.INTEGERS` int64, then `codes.REALS` float64.
    head : list of float64 (n,)
        `codes.EVENT_COLUMNS`.
    weights : float64 (n, columns)
        Named weights.
    texts : list of bytes
        The text of each event where it was asked for.
    """

    first: int
    offsets: NDArray[np.int64]
    particles: list[NDArray[np.int64] | NDArray[np.float64]]
    head: list[NDArray[np.float64]]
    weights: NDArray[np.float64]
    texts: list[bytes]

    @property
    def n(self) -> int:
        """Number of events."""
        return len(self.offsets) - 1


class Columns:
    """Arrays for the events of one piece, in the form that `hepaa.io.lhe.kernel.parse.parse` takes."""

    def __init__(self, particles: int = _PARTICLES, events: int = _EVENTS, width: int = 0) -> None:
        self.ints = np.empty((len(codes.INTEGERS), particles), np.int64)
        self.reals = np.empty((len(codes.REALS), particles))
        self.head = np.empty((len(codes.EVENT_COLUMNS), events))
        self.offsets = np.zeros(events + 1, np.int64)
        self.spans = np.empty((events, 2), np.int64)
        self.width = width
        self.flat = np.empty(events * width)

    def set_width(self, width: int) -> None:
        """Make room for so many named weights an event; values are lost."""
        self.spans = self.spans[: max(1, _WEIGHTS // max(width, 1))]
        self.width = width
        self.flat = np.empty(len(self.spans) * width)

    def grown(self, n: int, k: int, least: int) -> Columns:
        """Arrays for twice as many events and particles, and `least` particles more, with the first n and k of these.

        Memory that is never filled costs nothing.
        """
        new = Columns(2 * self.ints.shape[1] + least, 2 * len(self.spans), self.width)
        new.ints[:, :k] = self.ints[:, :k]
        new.reals[:, :k] = self.reals[:, :k]
        new.head[:, :n] = self.head[:, :n]
        new.offsets[: n + 1] = self.offsets[: n + 1]
        new.spans[:n] = self.spans[:n]
        new.flat[: n * self.width] = self.flat[: n * self.width]
        return new
