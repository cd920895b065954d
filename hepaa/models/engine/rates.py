"""Schedules of the learning rate: a factor for each member, which changes from epoch to epoch of a stage."""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import torch

if TYPE_CHECKING:
    from torch import Tensor

Schedule = Literal["plateau", "cosine"] | None
SCHEDULES: tuple[str, ...] = get_args(Literal["plateau", "cosine"])


class Cosine:
    """Half a cosine from 1 in the first epoch towards 0 after the last (Loshchilov and Hutter, arXiv:1608.03983).

    Attributes
    ----------
    scale : float32 (K, 1)
        Factor of the learning rate in the next epoch.
    """

    STATE: ClassVar[tuple[str, ...]] = ("scale",)

    def __init__(self, members: int, epochs: int, device: torch.device) -> None:
        self.epochs, self.scale = epochs, torch.ones(members, 1, device=device)

    def update(self, losses: Tensor, done: int) -> None:
        """Go on after `done` epochs."""
        del losses
        self.scale.fill_(0.5 * (1 + cos(pi * done / self.epochs)))


class Plateau:
    """Halved whenever the loss has not fallen by a ten-thousandth for more than five epochs, down to a thousandth.

    Each member by itself, so that it equals one that is trained alone.

    Attributes
    ----------
    scale : float32 (K, 1)
        Factor of the learning rate in the next epoch.
    """

    STATE: ClassVar[tuple[str, ...]] = ("scale", "lowest", "waited")
    factor, patience, threshold, least = 0.5, 5, 1e-4, 1e-3

    def __init__(self, members: int, device: torch.device) -> None:
        self.scale = torch.ones(members, 1, device=device)
        self.lowest = torch.full((members,), float("inf"), dtype=torch.float64, device=device)
        self.waited = torch.zeros(members, dtype=torch.int64, device=device)

    def update(self, losses: Tensor, done: int) -> None:
        """Take the losses (K,) of an epoch."""
        del done
        # a loss may be negative: what has to be undercut lies below the lowest all the same
        bar = torch.where(torch.isfinite(self.lowest), self.lowest - self.threshold * self.lowest.abs(), self.lowest)
        better = losses < bar
        self.lowest = torch.where(better, losses, self.lowest)
        self.waited = torch.where(better, 0, self.waited + 1)
        late = self.waited > self.patience
        self.scale[late] = (self.scale[late] * self.factor).clamp(min=self.least)
        self.waited[late] = 0


def schedule_of(name: Schedule, members: int, epochs: int, device: torch.device) -> Cosine | Plateau | None:
    """A schedule at the beginning of a stage; None where the learning rate stays."""
    if name is None:
        return None
    return Cosine(members, epochs, device) if name == "cosine" else Plateau(members, device)
