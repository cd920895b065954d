"""Loss terms. A training objective is a sum of them; each is a name, a weight schedule and a call on batch and outputs.

A term's value has the shape of the members: () for one, (K,) for K trained at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch.nn import functional as F

from hepaa.models.kernels import squared_error
from hepaa.models.schedules import ONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.schedules import Schedule

Normalisation = Literal["per-class", "batch", "literal"]
Penalty = Literal["clip", "hinge", "log"]
ErrorKind = Literal["mse", "bce", "huber"]

NORMALISATIONS: tuple[Normalisation, ...] = ("per-class", "batch", "literal")
PENALTIES: tuple[Penalty, ...] = ("clip", "hinge", "log")
ERRORS: tuple[ErrorKind, ...] = ("mse", "bce", "huber")


@dataclass(slots=True)
class Batch:
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
    """

    x: Tensor
    anomalies: int = 0
    noise: Tensor | None = None
    weight: Tensor | None = None
    group: Tensor | None = None

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

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term, () or (K,)."""
        ...


def reconstruction_error(kind: ErrorKind, x: Tensor, x_hat: Tensor) -> Tensor:
    """E(x) of each event (..., B), summed over the features of x (..., B, d).

    "mse": (x - x_hat)^2. "bce": binary cross-entropy of x in [0, 1] with x_hat as logits. "huber": quadratic up to 1
    and 2|x - x_hat| - 1 beyond, so that it equals "mse" for small errors.
    """
    return squared_error(x, x_hat) if kind == "mse" else feature_error(kind, x, x_hat).sum(-1)


def feature_error(kind: ErrorKind, x: Tensor, x_hat: Tensor) -> Tensor:
    """Reconstruction error of each feature (..., B, d); see `reconstruction_error`."""
    if kind == "mse":
        return (x - x_hat).square()
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(x_hat, x, reduction="none")
    return 2 * F.huber_loss(x_hat, x, reduction="none")


@dataclass(frozen=True)
class Reconstruction:
    """Mean of E(x) over the background of a batch."""

    kind: ErrorKind = "mse"
    normalisation: Normalisation = "per-class"
    weight: Schedule = ONE
    name: str = "reconstruction"

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        rows, count = batch.background(self.normalisation)
        x, x_hat = batch.x, out["x_hat"]
        if batch.anomalies:
            x, x_hat = x[..., rows, :], x_hat[..., rows, :]
        return batch.average(reconstruction_error(self.kind, x, x_hat), rows, count)


@dataclass(frozen=True)
class KL:
    """Mean of the output `kl`, the divergence of the posterior from the prior, over the background of a batch."""

    normalisation: Normalisation = "per-class"
    weight: Schedule = ONE
    name: str = "kl"

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term."""
        rows, count = batch.background(self.normalisation)
        return batch.average(out["kl"][..., rows] if batch.anomalies else out["kl"], rows, count)


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

    kind: ErrorKind = "mse"
    penalty: Penalty = "clip"
    clip: float | None = 200.0
    normalisation: Normalisation = "per-class"
    weight: Schedule = ONE
    name: str = "anomaly"

    def __call__(self, batch: Batch, out: Mapping[str, Tensor]) -> Tensor:
        """Value of the term; 0 for a batch without anomalies."""
        if not batch.anomalies:
            return torch.zeros_like(out["x_hat"][..., 0, 0])
        size = batch.x.shape[-2]
        rows = slice(size - batch.anomalies, size)
        error = reconstruction_error(self.kind, batch.x[..., rows, :], out["x_hat"][..., rows, :])
        count = batch.anomalies if self.normalisation == "per-class" else size
        return -batch.average(penalty(self.penalty, error, self.clip), rows, count)
