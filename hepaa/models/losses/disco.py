"""DisCo: a penalty on the distance correlation of the score with a spectator, such as a mass.

Kasieczka and Shih, Phys. Rev. Lett. 125 (2020) 122001, arXiv:2001.05310. Distance correlation: Szekely, Rizzo, Bakirov,
Ann. Statist. 35 (2007) 2769; it is zero if and only if the two are independent. Transforms that flatten a score after
the training are in `hepaa.stats.flattening`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hepaa.errors import InputError
from hepaa.models.losses.reconstruction import SQUARED, EventError
from hepaa.models.losses.schedules import ONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.losses.schedules import Schedule
    from hepaa.models.losses.terms import TrainingBatch

BLOCK = 1024
"""Events whose distances are held at once."""


def distance_correlation(a: Tensor, b: Tensor, weight: Tensor | None = None) -> Tensor:
    """Squared distance correlation of two variables: 0 if they are independent, 1 if they are linear.

    dCorr^2 = dCov^2(a, b) / sqrt(dCov^2(a, a) dCov^2(b, b)), with dCov^2 the weighted mean of the products of doubly
    centred distances |a_i - a_j| (the biased estimate, which is not negative). Memory and time go as B^2.

    Parameters
    ----------
    a, b : (..., B)
    weight : (..., B), optional
        Weights >= 0 of the events; only their ratios matter.

    Returns
    -------
    (...)
        0 where a variable is constant.
    """
    w = torch.ones_like(a) if weight is None else weight.to(a.dtype)
    w = w / w.sum(dim=-1, keepdim=True)
    pairs = w[..., :, None] * w[..., None, :]
    first, second = _centred(a, w), _centred(b, w)
    weighted = pairs * first
    variances = (weighted * first).sum(dim=(-2, -1)) * (pairs * second.square()).sum(dim=(-2, -1))
    # the root of a product of variances has no finite slope at 0, where a variable is constant
    spread = variances.clamp_min(torch.finfo(a.dtype).tiny).sqrt()
    return (weighted * second).sum(dim=(-2, -1)) / spread


def _centred(x: Tensor, w: Tensor) -> Tensor:
    """Distances (..., B, B) minus the weighted means of their rows and columns, plus that of all."""
    distance = (x[..., :, None] - x[..., None, :]).abs()
    row = (distance @ w[..., :, None])[..., 0]
    mean = (row * w).sum(dim=-1)
    return distance - row[..., :, None] - row[..., None, :] + mean[..., None, None]


@dataclass(frozen=True)
class DisCo:
    """Squared distance correlation of E(x) with the batch's `spectator`, over the background of a batch.

    The score enters as log(1 + E), E without what is the same for all events and could make it negative
    (`EventError.misfit`): distances of E itself are those of its few largest values. More than `BLOCK` events
    are taken as a mean over blocks, which bounds the memory of a validation.
    """

    error: EventError = SQUARED
    weight: Schedule = ONE
    name: str = "disco"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term.

        Raises
        ------
        InputError
            If the batch has no spectator, or a weight of its background is negative.
        """
        if batch.spectator is None:
            raise InputError("the DisCo penalty needs a spectator, such as a mass, of every training event")
        rows = slice(batch.x.shape[-2] - batch.anomalies)
        weight = None if batch.weight is None else batch.weight[..., rows]
        if weight is not None and bool((weight < 0).any()):
            raise InputError("the DisCo penalty has no meaning for negative weights; set weighted_loss=False")
        error = self.error.misfit(batch.x[..., rows, :], {**out, "x_hat": out["x_hat"][..., rows, :]})
        score, spectator = torch.log1p(error), batch.spectator[..., rows]
        weights = torch.ones_like(score) if weight is None else weight
        blocks = [torch.split(part, BLOCK, dim=-1) for part in (score, spectator, weights)]
        parts = [distance_correlation(*block) * block[0].shape[-1] for block in zip(*blocks, strict=True)]
        return torch.stack(parts).sum(dim=0) / score.shape[-1]
