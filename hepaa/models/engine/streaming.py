"""Training on tables larger than memory: one pass for the statistics, then an epoch a pass, window by window."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hepaa.errors import InputError
from hepaa.models.engine.batches import Pool
from hepaa.models.engine.device import generator
from hepaa.table.preprocess import SkewLogStandardize, feature_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from hepaa.table.streamed import Chunk, StreamedTable

    Transform = Callable[[NDArray[Any]], NDArray[np.float32]]


class _PowerSums:
    """Weighted moments of columns, chunk by chunk, from sums of powers about a point near the mean."""

    def __init__(self) -> None:
        self.about: NDArray[np.float64] | None = None
        self.sums = np.zeros((4, 1))
        self.low: Any = np.inf
        self.high: Any = -np.inf

    def add(self, x: NDArray[np.float64], w: NDArray[np.float64]) -> None:
        """Rows x (n, d) with weights w (n,)."""
        if self.about is None:
            self.about = x.mean(axis=0)
            self.sums = np.zeros((4, x.shape[1]))
        off = x - self.about
        power = np.broadcast_to(1.0, x.shape)
        for i in range(4):
            self.sums[i] += w @ power
            power = power * off
        self.low, self.high = np.minimum(self.low, x.min(axis=0)), np.maximum(self.high, x.max(axis=0))

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean, variance and third central moment of each column."""
        _, a, b, c = self.sums / self.sums[0]
        return (0.0 if self.about is None else self.about) + a, b - a * a, c - 3 * a * b + 2 * a**3

    def constant(self) -> NDArray[np.intp]:
        """Columns that do not vary."""
        flat = self.high - self.low <= 1e-12 * np.maximum(np.abs(self.low), np.abs(self.high))
        return np.flatnonzero(flat)


@dataclass
class Survey:
    """What one pass over a streamed table tells: statistics of its background, and its labelled anomalies."""

    table: StreamedTable
    background: int = 0
    anomalies: int = 0
    sum_weights: float = 0.0
    equal_weights: bool = True
    sha256: str = ""
    rare: list[Chunk] = field(default_factory=list)
    raw: _PowerSums = field(default_factory=_PowerSums)
    logged: _PowerSums = field(default_factory=_PowerSums)

    @classmethod
    def of(cls, table: StreamedTable, *, keep_anomalies: bool, preprocess: bool) -> Survey:
        """Read the table once."""
        survey = cls(table)
        digest, inlier, rare = hashlib.sha256(), [], []
        first_weight: float | None = None
        for chunk in table.chunks():
            digest.update(np.ascontiguousarray(chunk.X).tobytes())
            inlier.append(chunk.label == 0)
            rare.append(chunk.label == 1)
            if keep_anomalies and rare[-1].any():
                survey.rare.append(pick(chunk, rare[-1]))
            weight = chunk.weight[inlier[-1]]
            if not len(weight):
                continue
            first_weight = weight[0] if first_weight is None else first_weight
            survey.equal_weights &= bool((weight == first_weight).all())
            survey.sum_weights += float(weight.sum())
            if preprocess:
                x = chunk.X[inlier[-1]].astype(np.float64)
                survey.raw.add(x, weight)
                survey.logged.add(np.log1p(np.maximum(x, 0.0)), weight)
        for mask in (inlier, rare):
            digest.update(b"".join(m.tobytes() for m in mask))
        survey.background = int(sum(m.sum() for m in inlier))
        survey.anomalies = int(sum(m.sum() for m in rare))
        survey.sha256 = digest.hexdigest()
        if survey.background < 2:
            raise InputError(f"n_samples = {survey.background}: training needs at least 2 background events (label 0)")
        if survey.sum_weights <= 0:
            raise InputError(f"the weights of the background sum to {survey.sum_weights:g}; the sum must be positive")
        return survey

    def preprocessor(self, threshold: float | None) -> SkewLogStandardize:
        """What `SkewLogStandardize.fit` learns from the same background, to rounding."""
        names = self.table.columns
        fitted = SkewLogStandardize(threshold)
        mean, variance, third = self.raw.moments()
        self._refuse(self.raw.constant(), names, "is constant")
        self._refuse(np.flatnonzero(~(variance > 0)), names, "has a weighted variance that is not positive")
        fitted.skewness_ = third / variance**1.5
        fitted.log_ = fitted.skewness_ > (np.inf if threshold is None else threshold)
        fitted.log_ &= self.raw.high > 0
        log_mean, log_variance, _ = self.logged.moments()
        fitted.mean_ = np.where(fitted.log_, log_mean, mean)
        variance = np.where(fitted.log_, log_variance, variance)
        self._refuse(np.flatnonzero(~(variance > 0)), names, "has a weighted variance that is not positive")
        fitted.scale_ = np.sqrt(variance)
        fitted.n_features_in_ = len(names)
        fitted.feature_names_in_ = np.array(names, dtype=object)
        return fitted

    @staticmethod
    def _refuse(columns: NDArray[np.intp], names: tuple[str, ...], what: str) -> None:
        if len(columns):
            raise InputError(
                f"{feature_name(names, int(columns[0]))} {what} on background; leave it out of the features"
            )


def pick(chunk: Chunk, rows: NDArray[np.bool_]) -> Chunk:
    """The rows of a chunk where the mask is true."""
    return type(chunk)(chunk.X[rows], chunk.weight[rows], chunk.label[rows], chunk.generator[rows])


class Stream:
    """Background of a streamed table, preprocessed, in windows.

    Parameters
    ----------
    survey : Survey
    transform : callable
        Raw rows (n, d) to preprocessed float32 ones.
    validation_fraction : float
        Rows held out, drawn with `seed`; they are kept in memory.
    weighted : bool
        Pools have weights.
    """

    def __init__(
        self, survey: Survey, transform: Transform, *, validation_fraction: float, seed: int, weighted: bool
    ) -> None:
        self.survey, self.transform = survey, transform
        n = survey.background
        held_out = ceil(validation_fraction * n)
        if held_out >= n:
            raise InputError(f"validation_fraction = {validation_fraction} leaves no training event of {n}")
        self.held_out = np.zeros(n, bool)
        if held_out:
            self.held_out[torch.randperm(n, generator=generator(seed, "split"))[:held_out].numpy()] = True
        # makes the background's mean weight 1
        self.scale = n / survey.sum_weights if weighted and not survey.equal_weights else None
        self.device = torch.device("cpu")
        self.first = next(self._windows(survey.table.window, held_out=False))
        kept = list(self._windows(max(held_out, 1), held_out=True))
        self.validation = kept[0] if kept else self._pool([])

    def __len__(self) -> int:
        return self.survey.background - int(self.held_out.sum())

    def __repr__(self) -> str:
        return f"Stream({self.survey.table!r}, {self.survey.sha256})"

    def to(self, device: torch.device) -> Stream:
        """Windows are put on this device from now on."""
        self.device = device
        return self

    def windows(self, multiple: int) -> Iterator[Pool]:
        """The training events of an epoch, in pools of a multiple of `multiple` events; the last has what is left."""
        size = max(multiple, self.survey.table.window // multiple * multiple)
        yield from self._windows(size, held_out=False)

    def _windows(self, size: int, *, held_out: bool) -> Iterator[Pool]:
        waiting: list[Chunk] = []
        rows = at = 0
        for chunk in self.survey.table.chunks():
            background = pick(chunk, chunk.label == 0)
            wanted = self.held_out[at : at + len(background)] == held_out
            at += len(background)
            part = pick(background, wanted)
            while rows + len(part) >= size:
                head = np.arange(len(part)) < size - rows
                yield self._pool([*waiting, pick(part, head)])
                part, waiting, rows = pick(part, ~head), [], 0
            if len(part):
                waiting.append(part)
                rows += len(part)
        if rows:
            yield self._pool(waiting)

    def _pool(self, chunks: list[Chunk]) -> Pool:
        d = len(self.survey.table.columns)
        x = np.concatenate([np.empty((0, d), np.float32), *(c.X for c in chunks)])
        weight = np.concatenate([np.empty(0), *(c.weight for c in chunks)])
        group = np.concatenate([np.empty(0, np.int64), *(c.generator for c in chunks)])
        scaled = None if self.scale is None else (weight * self.scale).astype(np.float32)
        return Pool(
            x=torch.from_numpy(self.transform(x)).to(self.device),
            weight=None if scaled is None else torch.from_numpy(scaled).to(self.device),
            group=torch.from_numpy(group).to(self.device),
        )
