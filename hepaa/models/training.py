"""The one training loop. It trains K members of a model at once on data that lie on the device, without a DataLoader.

A model is anything with `init(generator) -> parameters`, `noise` (how many standard normal numbers an event needs) and
a call (parameters, x, noise) -> outputs; an objective is a list of terms (`terms.py`). Member k draws its start values,
its order of events and its noise from sources of its own, so it equals the model trained alone with that seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, Protocol

import torch

from hepaa.errors import HepaaError, InputError
from hepaa.models.choices import between, whole
from hepaa.models.device import generator, threads_for
from hepaa.models.optimiser import Adam, Parameters
from hepaa.models.terms import Batch
from hepaa.progress import Silent, reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from hepaa.models.terms import Term
    from hepaa.progress import Advance

    Callback = Callable[[int, Mapping[str, float]], None]

# Numbers gathered at once: large enough that gathering costs nothing, small enough to stay in the cache.
_BLOCK = 1 << 20


class Model(Protocol):
    """A network as a function of its parameters."""

    noise: int

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        ...

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        ...


@dataclass(frozen=True)
class Pool:
    """Events of one class on the device: x (n, d), and weight (n,) of mean 1, group (n,) or None."""

    x: Tensor
    weight: Tensor | None = None
    group: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Stage:
    """A part of the training: epochs with one objective.

    With `anomaly_fraction` f > 0, round(f * batch_size) events of every batch are labelled anomalies. An epoch goes
    once through the background; anomalies are dealt out in random order, over and over.

    `watch`: early stopping applies.
    """

    epochs: int
    terms: tuple[Term, ...]
    anomaly_fraction: float = 0.0
    watch: bool = True


@dataclass(frozen=True)
class Settings:
    """How to optimise; see the detectors' parameters of the same names."""

    batch_size: int = 128
    learning_rate: float = 1e-3
    gradient_clip: float | None = None
    validation_fraction: float = 0.0
    patience: int | None = None
    verbose: bool = False
    callback: Callback | None = None

    def __post_init__(self) -> None:
        whole("batch_size", self.batch_size)
        between("learning_rate", self.learning_rate, 0, ends="high")
        between("validation_fraction", self.validation_fraction, 0, 1, ends="low")
        if self.gradient_clip is not None:
            between("gradient_clip", self.gradient_clip, 0, ends="high")
        if self.patience is not None:
            whole("patience", self.patience)
        if self.patience is not None and self.validation_fraction == 0:
            raise InputError("early stopping (patience) needs validation events: set validation_fraction, such as 0.1")


@dataclass
class Member:
    """Sources of random numbers of one member, and its events."""

    order: torch.Generator
    noise: torch.Generator
    anomaly_order: torch.Generator
    train: Tensor
    validation: Tensor

    def deal(self, pool: int, count: int) -> Tensor:
        """`count` indices of anomalies: whole random permutations of `pool`, one after the other."""
        rounds = [torch.randperm(pool, generator=self.anomaly_order) for _ in range(ceil(count / pool))]
        return torch.cat(rounds)[:count]


@dataclass
class Trainer:
    """K members in training.

    Attributes
    ----------
    parameters : Parameters
    history : mapping of term -> list of one value an epoch, the mean over members; "total", and "validation" if asked
    stage_starts : list of the first epoch of each stage
    """

    model: Model
    background: Pool
    seeds: Sequence[int]
    settings: Settings
    anomalies: Pool | None = None
    history: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = self.background.x.device
        starts = [self.model.init(generator(seed, "init")) for seed in self.seeds]
        self.parameters = Parameters.stack(starts, self.device)
        self.members = [self._member(seed) for seed in self.seeds]
        self.epoch = 0
        self.stage_starts: list[int] = []

    def _member(self, seed: int) -> Member:
        n = len(self.background)
        held_out = ceil(self.settings.validation_fraction * n)
        if held_out >= n:
            raise InputError(
                f"validation_fraction = {self.settings.validation_fraction} leaves no training event of {n}"
            )
        everything = torch.randperm(n, generator=generator(seed, "split")) if held_out else torch.arange(n)
        return Member(
            order=generator(seed, "order"),
            noise=generator(seed, "noise"),
            anomaly_order=generator(seed, "anomalies"),
            train=everything[held_out:],
            validation=everything[:held_out],
        )

    def run(self, stages: Sequence[Stage]) -> None:
        """Train through all stages.

        Raises
        ------
        HepaaError
            When a loss is no longer a finite number; the message names epoch and term.
        """
        work = self.parameters.flat.numel() * float(self.settings.batch_size)
        total = sum(stage.epochs for stage in stages)
        report = reporter() if self.settings.verbose else Silent()
        with threads_for(work), report.bar("epochs", total) as advance:
            for stage in stages:
                self.stage_starts.append(self.epoch)
                self._run_stage(stage, advance)

    def _run_stage(self, stage: Stage, advance: Advance) -> None:
        flat = self.parameters.flat
        optimiser = Adam(flat, self.settings.learning_rate, clip=self.settings.gradient_clip)
        patience = self.settings.patience if stage.watch else None
        stopper = Stopper(flat, patience) if patience is not None else None
        past: dict[str, list[float]] = {}
        for index in range(stage.epochs):
            weights = [float(term.weight(index, past)) for term in stage.terms]
            values = self._epoch(stage, weights, optimiser, stopper.active if stopper else None)
            metrics = {"total": sum(w * v for w, v in zip(weights, values, strict=True))}
            metrics |= {term.name: v for term, v in zip(stage.terms, values, strict=True)}
            if len(self.members[0].validation) and stage.watch:
                losses = self._validate(stage, weights)
                metrics["validation"] = float(losses.mean())
                if stopper:
                    stopper.update(losses)
            self._record(metrics)
            for name, value in metrics.items():
                past.setdefault(name, []).append(value)
            advance(self.epoch + 1, "  ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
            if self.settings.callback is not None:
                self.settings.callback(self.epoch, metrics)
            self.epoch += 1
            if stopper and not stopper.active.any():
                break
        if stopper:
            stopper.restore()

    def _record(self, metrics: Mapping[str, float]) -> None:
        """Append an epoch; a term that joins in a later stage contributed 0 to the epochs before."""
        for name in {**self.history, **metrics}:
            self.history.setdefault(name, [0.0] * self.epoch).append(metrics.get(name, 0.0))

    def _epoch(self, stage: Stage, weights: list[float], optimiser: Adam, active: Tensor | None) -> list[float]:
        """One pass over the background; returns the mean of each term over steps and members."""
        sums = torch.zeros(len(stage.terms), *self._shape, device=self.device)
        factors = torch.tensor(weights, device=self.device)
        steps = 0
        for batch in self._batches(stage):
            out = self.model(self.parameters.tensors, batch.x, batch.noise)
            values = torch.stack([term(batch, out) for term in stage.terms])
            loss = factors @ values if values.dim() == 1 else (factors @ values).sum()
            optimiser.step(self.parameters.gradient(loss), active)
            sums += values.detach()
            steps += 1
        means = (sums.double() / steps).reshape(len(stage.terms), -1)
        finite = torch.isfinite(self.parameters.flat).all(dim=1) & torch.isfinite(means).all(dim=0)
        if not finite.all():
            member = int((~finite).nonzero()[0])
            bad = [
                t.name for t, v in zip(stage.terms, means[:, member].tolist(), strict=True) if not abs(v) < float("inf")
            ]
            raise HepaaError(
                f"training diverged in epoch {self.epoch} (seed {self.seeds[member]}, {', '.join(bad) or 'parameters'} "
                "not finite); lower learning_rate, or set gradient_clip"
            )
        return means.mean(dim=1).tolist()

    @property
    def _shape(self) -> tuple[int, ...]:
        return (len(self.members),) if len(self.members) > 1 else ()

    def _batches(self, stage: Stage) -> Iterator[Batch]:
        size = self.settings.batch_size
        if stage.anomaly_fraction and self.anomalies is not None:
            rare = min(max(1, round(stage.anomaly_fraction * size)), size - 1)
        else:
            rare = 0
        common = size - rare
        n = len(self.members[0].train)
        full, rest = divmod(n, common)
        rest_rare = ceil(rare * rest / common)
        rows = full * size + rest + rest_rare
        order = torch.stack([m.train[torch.randperm(n, generator=m.order)] for m in self.members])
        dealt, noise = None, None
        if rare and self.anomalies is not None:
            pool = len(self.anomalies)
            dealt = torch.stack([m.deal(pool, full * rare + rest_rare) for m in self.members])
        if self.model.noise:
            noise = torch.stack([torch.randn(rows, self.model.noise, generator=m.noise) for m in self.members])
        at_once = max(1, _BLOCK // (size * self.background.x.shape[1] * len(self.members)))
        cuts = [(s, min(s + at_once, full), common, rare) for s in range(0, full, at_once)]
        if rest:
            cuts.append((full, full + 1, rest, rest_rare))
        a = b = c = 0
        for start, stop, k, r in cuts:
            steps = stop - start
            yield from self._block(
                steps,
                order[:, a : a + steps * k],
                dealt[:, b : b + steps * r] if dealt is not None else None,
                noise[:, c : c + steps * (k + r)] if noise is not None else None,
            )
            a, b, c = a + steps * k, b + steps * r, c + steps * (k + r)

    def _block(self, steps: int, order: Tensor, dealt: Tensor | None, noise: Tensor | None) -> Iterator[Batch]:
        """`steps` batches of equal composition: all their events are gathered at once, a batch is a view."""

        def gather(name: str) -> list[Any]:
            values = getattr(self.background, name)
            if values is None:
                return [None] * steps
            block = self._pick(values, order, steps)
            if dealt is not None and self.anomalies is not None:
                block = torch.cat([block, self._pick(getattr(self.anomalies, name), dealt, steps)], dim=2)
            return list(block.unbind(1)) if len(self.members) > 1 else list(block[0].unbind(0))

        rare = dealt.shape[1] // steps if dealt is not None else 0
        noises: list[Any] = [None] * steps
        if noise is not None:
            split = noise.to(self.device).view(len(self.members), steps, -1, self.model.noise)
            noises = list(split.unbind(1)) if len(self.members) > 1 else list(split[0].unbind(0))
        for x, weight, group, eps in zip(gather("x"), gather("weight"), gather("group"), noises, strict=True):
            yield Batch(x=x, anomalies=rare, noise=eps, weight=weight, group=group)

    def _pick(self, values: Tensor, index: Tensor, steps: int) -> Tensor:
        """Rows (K, steps, B, ...) of `values` (n, ...) for indices (K, steps * B)."""
        rows = values.index_select(0, index.reshape(-1).to(self.device))
        return rows.view(len(index), steps, -1, *values.shape[1:])

    @torch.no_grad()
    def _validate(self, stage: Stage, weights: list[float]) -> Tensor:
        """Loss of each member (K,) on its held-out background, without noise."""
        index = torch.stack([m.validation for m in self.members])
        parameters = self.parameters.frozen()
        total = torch.zeros(len(self.members), dtype=torch.float64, device=self.device)
        for part in torch.split(index, 8192, dim=1):
            (batch,) = self._block(1, part, None, None)
            out = self.model(parameters, batch.x, None)
            for factor, term in zip(weights, stage.terms, strict=True):
                total += factor * term(batch, out).double() * part.shape[1]
        return total / index.shape[1]


class Stopper:
    """Early stopping of each member by itself: keeps its best weights, and stops it `patience` epochs after them."""

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
        self.active = self.active * (self.waited < self.patience)[:, None]

    def restore(self) -> None:
        """Put the best weights back."""
        self.flat.copy_(self.best)


def pieces(parameters: Parameters, x: Tensor) -> tuple[Tensor, ...]:
    """x (n, d) in pieces that are scored at once, (rows, d), or (K, rows, d) for K members; they stay in the cache."""
    members = len(parameters)
    rows = min(max(512, (1 << 24) // parameters.flat.numel()), 1 << 14)
    parts = torch.split(x, rows)
    return parts if members == 1 else tuple(part.expand(members, *part.shape) for part in parts)


@torch.no_grad()
def outputs(model: Model, parameters: Parameters, x: Tensor) -> Iterator[dict[str, Tensor]]:
    """Outputs of the model for x (n, d) in `pieces`, each tensor of shape (K, rows, ...); no noise."""
    frozen = parameters.frozen()
    for piece in pieces(parameters, x):
        out = model(frozen, piece)
        yield out if len(parameters) > 1 else {name: t[None] for name, t in out.items()}
