"""Schedules: how the weight of a loss term changes over the epochs of a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Schedule(Protocol):
    """Weight of a term in an epoch, from the epoch's number and the history of the epochs before it."""

    def __call__(self, epoch: int, history: Mapping[str, Sequence[float]]) -> float:
        """Weight in `epoch` (from 0)."""
        ...


@dataclass(frozen=True)
class Fixed:
    """The same weight in every epoch."""

    value: float = 1.0

    def __call__(self, epoch: int, history: Mapping[str, Sequence[float]]) -> float:
        """`value`."""
        del epoch, history
        return self.value


@dataclass(frozen=True)
class Linear:
    """From `start` in epoch `begin` to `end`, which is reached in the last of `epochs` epochs, and kept."""

    start: float
    end: float
    epochs: int
    begin: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"a linear schedule over {self.epochs} epochs is none; give 1 or more")

    def __call__(self, epoch: int, history: Mapping[str, Sequence[float]]) -> float:
        """Weight on the straight line; with one epoch alone, `end`."""
        del history
        if self.epochs == 1:
            return self.end if epoch >= self.begin else self.start
        done = min(max((epoch - self.begin) / (self.epochs - 1), 0.0), 1.0)
        return self.start + (self.end - self.start) * done


@dataclass(frozen=True)
class Triggered:
    """`start` until `watch` has not fallen by a fraction `tolerance` for `patience` epochs, then a linear ramp.

    The trigger is a function of the history alone: resuming from a checkpoint gives the same weights.
    """

    start: float
    end: float
    epochs: int
    watch: str = "reconstruction"
    patience: int = 3
    tolerance: float = 1e-3

    def __call__(self, epoch: int, history: Mapping[str, Sequence[float]]) -> float:
        """Weight given what `history[watch]` did so far."""
        best, waited = float("inf"), 0
        for past, value in enumerate(history.get(self.watch, ())):
            if value < best - self.tolerance * abs(best if best < float("inf") else 0.0):
                best, waited = value, 0
            else:
                waited += 1
            if waited >= self.patience:
                return Linear(self.start, self.end, self.epochs, begin=past + 1)(epoch, history)
        return self.start


ONE = Fixed(1.0)


def schedule(weight: float | Schedule) -> Schedule:
    """A schedule as it is, a number as a fixed weight."""
    return weight if callable(weight) else Fixed(float(weight))
