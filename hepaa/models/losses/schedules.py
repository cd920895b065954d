"""Schedules: how the weight of a loss term changes over the epochs of a stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hepaa.errors import InputError

Schedule = Callable[[int], float]
"""Weight of a term in an epoch, counted from 0."""


@dataclass(frozen=True)
class Fixed:
    """The same weight in every epoch."""

    value: float = 1.0

    def __call__(self, epoch: int) -> float:
        """`value`."""
        del epoch
        return self.value


@dataclass(frozen=True)
class Linear:
    """From `start` in the first epoch to `end`, which is reached in the last of `epochs` epochs, and kept."""

    start: float
    end: float
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"a linear schedule needs at least 1 epoch, not {self.epochs}")

    def __call__(self, epoch: int) -> float:
        """Weight on the straight line; with one epoch alone, `end`."""
        if self.epochs == 1:
            return self.end
        return self.start + (self.end - self.start) * min(epoch / (self.epochs - 1), 1.0)


ONE = Fixed(1.0)
