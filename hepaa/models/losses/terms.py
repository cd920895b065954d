"""Loss terms. A training objective is a sum of them; each is a name, a weight schedule and a call on batch and outputs.

A term's value has the shape of the members: () for one, (K,) for K trained at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import torch

from hepaa.models.losses.reconstruction import SQUARED, EventError
from hepaa.models.losses.schedules import ONE, Linear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.losses.schedules import Schedule

Normalisation = Literal["per-class", "batch", "literal"]
Penalty = Literal["clip", "hinge", "log"]

NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)
PENALTIES: tuple[Penalty, ...] = get_args(Penalty)


@dataclass(slots=True)
class TrainingBatch:
    """Events of one step: background first, then labelled anomalies.

    Attributes
    ----------
    x : (..., B, d)
        Preprocessed features.
    anomalies : int
        How many events at the end are labelled anomalies.
    noise : (..., B, n) or None
        Standard normal numbers for the model.
    weight : (..., B) or None
        Event weights, of mean 1 in each class.
    group : (..., B) int64 or None
        Group of the event, such as its generator.
    spectator : (..., B) or None
        A quantity that the score is to be independent of, such as a mass.
    """

    x: Tensor
    anomalies: int = 0
    noise: Tensor | None = None
    weight: Tensor | None = None
    group: Tensor | None = None
    spectator: Tensor | None = None

    def average(self, values: Tensor, rows: slice, count: int) -> Tensor:
        """Weighted sum of `values` of the events `rows`, divided by `count`."""
        if self.weight is not None:
            return (values * self.weight[..., rows]).sum(-1) / count
        return values.mean(-1) if values.shape[-1] == count else values.sum(-1) / count

    def background(self, normalisation: Normalisation) -> tuple[slice, int]:
        """Events that pay the background loss, and the number that its sum is divided by."""
        size = self.x.shape[-2]
        if not self.anomalies or normalisation == "literal":
            return slice(None), size
        inliers = size - self.anomalies
        return slice(inliers), inliers if normalisation == "per-class" else size


class Term(Protocol):
    """One summand of an objective."""

    @property
    def name(self) -> str:
        """Key of the term in the history."""
        ...

    @property
    def weight(self) -> Schedule:
        """Factor of the term in the sum."""
        ...

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term, () or (K,)."""
        ...


@dataclass(frozen=True)
class Reconstruction:
    """Mean of E(x) over the background of a batch."""

    error: EventError = SQUARED
    normalisation: Normalisation = "per-class"
    weight: Schedule = ONE
    name: str = "reconstruction"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        rows, count = batch.background(self.normalisation)
        x = batch.x
        if batch.anomalies:
            x, out = x[..., rows, :], {**out, "x_hat": out["x_hat"][..., rows, :]}
        return batch.average(self.error(x, out), rows, count)


@dataclass(frozen=True)
class KL:
    """Mean of the output `kl`, the divergence of the posterior from the prior, over the background of a batch."""

    normalisation: Normalisation = "per-class"
    weight: Schedule = ONE
    name: str = "kl"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        rows, count = batch.background(self.normalisation)
        return batch.average(out["kl"][..., rows] if batch.anomalies else out["kl"], rows, count)


@dataclass
class Ramp:
    """A fixed weight, and a number that grows with the epochs: the training asks for the weight of every epoch.

    Attributes
    ----------
    value : float
        The weight.
    target : Schedule
        The number.
    now : float
        The number in the epoch whose weight was asked for last.
    """

    value: float
    target: Linear
    now: float = 0.0

    def __call__(self, epoch: int) -> float:
        """`value`."""
        self.now = self.target(epoch)
        return self.value


@dataclass(frozen=True)
class CapacityKL:
    """|mean KL - C|, with a capacity C that grows from epoch to epoch (Burgess et al., arXiv:1804.03599, eq. 8).

    The value, and its entry in the history, is this distance and not the KL itself.
    """

    weight: Ramp
    normalisation: Normalisation = "per-class"
    name: str = "kl"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        return (KL(self.normalisation)(batch, out) - self.weight.now).abs()


def penalty(kind: Penalty, error: Tensor, clip: float | None) -> Tensor:
    """What an anomaly with reconstruction error E earns, (..., B).

    "clip": min(E, clip), the published form, without a gradient beyond `clip`. "hinge": E - E^2 / (2 clip) up to `clip`
    and constant after, that is minus a squared hinge: the pull weakens smoothly (a linear one equals "clip").
    "log": clip log(1 + E / clip): the pull weakens as 1 / (1 + E / clip) and never ends. None as `clip` is no bound: E.
    """
    if clip is None:
        return error
    if kind == "clip":
        return error.clamp(max=clip)
    if kind == "hinge":
        bounded = error.clamp(max=clip)
        return bounded - bounded.square() / (2 * clip)
    return clip * torch.log1p(error / clip)


@dataclass(frozen=True)
class AnomalyPenalty:
    """Minus the mean penalty of E(x) over the labelled anomalies of a batch (arXiv:2504.11520).

    "per-class" divides by the number of anomalies, "batch" and "literal" by the size of the batch. With "literal" the
    anomalies also pay E + KL, in the other terms.
    """

    error: EventError = SQUARED
    penalty: Penalty = "clip"
    clip: float | None = 200.0
    normalisation: Normalisation = "per-class"
    weight: Schedule = ONE
    name: str = "anomaly"

    def __call__(self, batch: TrainingBatch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term; 0 for a batch without anomalies."""
        if not batch.anomalies:
            return torch.zeros_like(out["x_hat"][..., 0, 0])
        size = batch.x.shape[-2]
        rows = slice(size - batch.anomalies, size)
        error = self.error.misfit(batch.x[..., rows, :], {**out, "x_hat": out["x_hat"][..., rows, :]})
        count = batch.anomalies if self.normalisation == "per-class" else size
        return -batch.average(penalty(self.penalty, error, self.clip), rows, count)
