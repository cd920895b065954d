"""Early stopping on held-out background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


class Stopper:
    """Early stopping of each member by itself: keeps its best weights, and stops it `patience` epochs after them."""

    STATE = ("best", "lowest", "waited", "active")

    def __init__(self, flat: Tensor, patience: int) -> None:
        self.flat, self.patience = flat, patience
        self.best = flat.clone()
        self.lowest = torch.full((len(flat),), float("inf"), dtype=torch.float64, device=flat.device)
        self.waited = torch.zeros(len(flat), dtype=torch.int64, device=flat.device)
        self.active = torch.ones(len(flat), 1, device=flat.device)

    def update(self, losses: Tensor) -> None:
        """Take the validation losses (K,) of an epoch."""
        better = (losses < self.lowest) & (self.active[:, 0] > 0)
        self.lowest = torch.where(better, losses, self.lowest)
        self.best[better] = self.flat[better]
        self.waited = torch.where(better, torch.zeros_like(self.waited), self.waited + 1)
        self.active *= (self.waited < self.patience)[:, None]

    def restore(self) -> None:
        """Put the best weights back."""
        self.flat.copy_(self.best)
