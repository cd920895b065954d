"""The one training loop. It trains K members of a model at once on data that lie on the device, without a DataLoader.

A model is anything with `init(generator) -> parameters`, `noise` (how many standard normal numbers an event needs) and
a call (parameters, x, noise) -> outputs; an objective is a list of terms (`terms.py`). Member k draws its start values,
its order of events and its noise from sources of its own, so it equals the model trained alone with that seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from math import ceil
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from hepaa.errors import HepaaError, InputError
from hepaa.models.engine.batches import Deal, Member, Pool, Strata, shares_of
from hepaa.models.engine.checkpoint import Checkpoint, State
from hepaa.models.engine.device import generator, threads_for
from hepaa.models.engine.fused_steps import FusedSteps, can_fuse
from hepaa.models.engine.optimiser import Adam, MemberParameters
from hepaa.models.engine.parallel import ParallelSteps, agree, of_first
from hepaa.models.engine.rates import SCHEDULES, Schedule, schedule_of
from hepaa.models.engine.steps import Diverged, TorchSteps
from hepaa.models.engine.stopping import Stopper
from hepaa.models.parameters import between, one_of, whole
from hepaa.models.processes import is_first, processes
from hepaa.progress import Silent, reporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from hepaa.models.engine.streaming import Stream
    from hepaa.models.losses.terms import Term
    from hepaa.progress import Advance

    Callback = Callable[[int, Mapping[str, float]], None]

_GENERATORS = ("order", "noise", "anomalies")

Balance = Literal["groups"] | dict[int, float] | None
__all__ = ["Balance", "Pool", "Settings", "Stage", "Stopper", "TrainableModel", "Trainer", "outputs", "pieces"]


class TrainableModel(Protocol):
    """A network as a function of its parameters."""

    noise: int

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member."""
        ...

    def __call__(self, p: Mapping[str, Tensor], x: Tensor, noise: Tensor | None = None) -> dict[str, Tensor]:
        """Outputs for x (..., B, d)."""
        ...


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
    """How to optimise; see the detectors' parameters of the same names.

    `balance` is by the number of a stratum (or group) here; `fused=False` keeps small nets out of the compiled loop.
    """

    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Schedule = None
    gradient_clip: float | None = None
    validation_fraction: float = 0.0
    patience: int | None = None
    verbose: bool = False
    callback: Callback | None = None
    balance: Balance = None
    checkpoint: str | Path | None = None
    amp: bool = False
    fused: bool = True

    def __post_init__(self) -> None:
        whole("batch_size", self.batch_size)
        between("learning_rate", self.learning_rate, 0, ends="high")
        between("weight_decay", self.weight_decay, 0)
        if self.schedule is not None:
            one_of("schedule", self.schedule, SCHEDULES)
        between("validation_fraction", self.validation_fraction, 0, 1, ends="low")
        if self.gradient_clip is not None:
            between("gradient_clip", self.gradient_clip, 0, ends="high")
        if self.patience is not None:
            whole("patience", self.patience)
        if self.patience is not None and self.validation_fraction == 0:
            raise InputError("early stopping (patience) needs validation events: set validation_fraction, such as 0.1")


@dataclass
class Trainer:
    """K members in training.

    With a `stream`, the training background comes from there, window by window, and `background` are the events for
    validation, which all members share.

    Attributes
    ----------
    parameters : MemberParameters
    history : mapping of term -> list of one value an epoch, the mean over members; "total", and "validation" if asked
    stage_starts : list of the first epoch of each stage
    """

    model: TrainableModel
    background: Pool
    seeds: Sequence[int]
    settings: Settings
    anomalies: Pool | None = None
    stream: Stream | None = None
    history: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = self.background.x.device
        starts = [self.model.init(generator(seed, "init")) for seed in self.seeds]
        self.parameters = MemberParameters.stack(starts, self.device)
        self.members = self._members()
        self.epoch = 0
        self.stage_starts: list[int] = []

    def _members(self) -> list[Member]:
        n = len(self.background)
        if self.stream is not None:
            return [replace(Member.build(seed, n, 0), validation=torch.arange(n)) for seed in self.seeds]
        held_out = ceil(self.settings.validation_fraction * n)
        if held_out >= n:
            raise InputError(
                f"validation_fraction = {self.settings.validation_fraction} leaves no training event of {n}"
            )
        members = [Member.build(seed, n, held_out) for seed in self.seeds]
        if self.settings.balance is not None:
            stratum = self.background.stratum if self.background.stratum is not None else self.background.group
            shares = shares_of(self.settings.balance, stratum)
            for m in members:
                m.strata = Strata.build(m.train, stratum.cpu(), shares)  # type: ignore[union-attr]
        return members

    def run(self, stages: Sequence[Stage]) -> None:
        """Train through all stages, from where the checkpoint stands if there is one.

        Raises
        ------
        HepaaError
            When a loss or a gradient is no longer a finite number; the message names epoch, step and term.
        InputError
            If the checkpoint is of another training, or another process trains something else.
        """
        work = self.parameters.flat.numel() * float(self.settings.batch_size)
        total = sum(stage.epochs for stage in stages)
        report = reporter() if self.settings.verbose and is_first() else Silent()
        checkpoint = None
        if self.settings.checkpoint is not None:
            checkpoint = Checkpoint(self.settings.checkpoint, self.fingerprint(stages))
        if processes() > 1:
            before = checkpoint and checkpoint.state and checkpoint.state.record
            agree(f"{self.fingerprint(stages)} {before}", self.device)
        with threads_for(work), report.bar("epochs", total) as advance:
            for index, stage in enumerate(stages):
                if len(self.stage_starts) <= index:
                    self.stage_starts.append(self.epoch)
                StageRun(self, stage, index, checkpoint).run(advance)

    def fingerprint(self, stages: Sequence[Stage]) -> str:
        """Hash of all that decides a training: model, data, seeds, settings and stages."""
        s = self.settings
        words = [
            repr((self.parameters.layout, tuple(self.seeds), self.device.type)),
            repr((s.batch_size, s.learning_rate, s.gradient_clip, s.validation_fraction, s.patience, s.balance, s.amp)),
            repr((s.weight_decay, s.schedule)),
            *(repr((g.epochs, g.anomaly_fraction, g.watch, [_words(t) for t in g.terms])) for g in stages),
            "" if self.stream is None else repr(self.stream),
        ]
        digest = hashlib.sha256("\n".join(words).encode())
        for pool in (self.background, self.anomalies):
            for values in () if pool is None else (pool.x, pool.weight, pool.group, pool.stratum):
                digest.update(b"-" if values is None else values.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def record(self, metrics: Mapping[str, float]) -> None:
        """Append an epoch; a term that joins in a later stage contributed 0 to the epochs before."""
        for name in {**self.history, **metrics}:
            self.history.setdefault(name, [0.0] * self.epoch).append(metrics.get(name, 0.0))
        if self.settings.callback is not None:
            self.settings.callback(self.epoch, metrics)
        self.epoch += 1

    def train_epoch(self, stage: Stage, weights: Sequence[float], steps: TorchSteps) -> Tensor:
        """One pass over the background; returns the mean of each term over steps, (terms, K)."""
        sums = torch.zeros(len(stage.terms), len(self.members), dtype=torch.float64, device=self.device)
        count = 0
        try:
            for window, deal in self._deals(stage):
                count += steps.run(deal, window, self.anomalies, weights, sums)
        except Diverged as error:
            raise self._diverged(error.member, f"step {count + error.step}, {error.what}") from error
        finite = torch.isfinite(self.parameters.flat).all(dim=1)
        if not finite.all():
            raise self._diverged(int((~finite).nonzero()[0]), "last step, parameters")
        return sums / count

    def _diverged(self, member: int, where: str) -> HepaaError:
        return HepaaError(
            f"training diverged in epoch {self.epoch} (seed {self.seeds[member]}, {where} not finite); "
            "lower learning_rate, or set gradient_clip"
        )

    def _deals(self, stage: Stage) -> Iterator[tuple[Pool, Deal]]:
        size = self.settings.batch_size
        rare = 0
        if stage.anomaly_fraction and self.anomalies is not None:
            rare = min(max(1, round(stage.anomaly_fraction * size)), size - 1)
        common = size - rare
        many = 0 if self.anomalies is None else len(self.anomalies)

        def draw(window: int | None) -> Deal:
            return Deal.draw(self.members, common, rare, anomalies=many, noise=self.model.noise, window=window)

        if self.stream is None:
            yield self.background, draw(None)
        else:
            for pool in self.stream.windows(common):
                yield pool, draw(len(pool))

    @torch.no_grad()
    def _validate(self, stage: Stage, weights: Sequence[float]) -> Tensor:
        """Loss of each member (K,) on its held-out background, without noise."""
        index = torch.stack([m.validation for m in self.members])
        parameters = self.parameters.frozen()
        total = torch.zeros(len(self.members), dtype=torch.float64, device=self.device)
        for part in torch.split(index, 8192, dim=1):
            (batch,) = Deal(part, None, None, part.shape[1], 0).batches(self.background, None)
            out = self.model(parameters, batch.x, None)
            for factor, term in zip(weights, stage.terms, strict=True):
                total += factor * term(batch, out).double() * part.shape[1]
        return total / index.shape[1]


def _words(term: Term) -> str:
    words = repr(term)
    return words if " at 0x" not in words else f"{type(term).__name__} {term.name}"


class StageRun:
    """A stage on its way: optimiser, early stopping, and the losses so far."""

    def __init__(self, trainer: Trainer, stage: Stage, index: int, checkpoint: Checkpoint | None) -> None:
        self.trainer, self.stage, self.index, self.checkpoint = trainer, stage, index, checkpoint
        settings, parameters = trainer.settings, trainer.parameters
        self.optimiser = Adam(
            parameters.flat, settings.learning_rate, clip=settings.gradient_clip, weight_decay=settings.weight_decay
        )
        self.rates = schedule_of(settings.schedule, len(parameters), stage.epochs, trainer.device)
        patience = settings.patience if stage.watch else None
        self.stopper = Stopper(parameters.flat, patience) if patience is not None else None
        self.done = 0
        self.finished = False

    def state(self) -> State:
        """Where the training stands."""
        trainer = self.trainer
        arrays = {"parameters": self.optimiser.flat, "mean": self.optimiser.mean, "square": self.optimiser.square}
        for i, name in enumerate(_GENERATORS):
            arrays[f"random.{name}"] = torch.stack([m.generators[i].get_state() for m in trainer.members])
        if self.stopper is not None:
            arrays |= {f"stopper.{name}": getattr(self.stopper, name) for name in self.stopper.STATE}
        if self.rates is not None:
            arrays |= {f"rates.{name}": getattr(self.rates, name) for name in self.rates.STATE}
        record = {
            "stage": self.index,
            "done": self.done,
            "finished": self.finished,
            "steps": self.optimiser.steps,
            "epoch": trainer.epoch,
            "history": trainer.history,
            "stage_starts": trainer.stage_starts,
        }
        return State(arrays, record)

    def restore(self, state: State) -> None:
        """Go where the training stood, which is at the end of this stage, in its middle, or before its beginning."""
        arrays, record = state
        trainer = self.trainer
        self.finished = self.index < record["stage"]
        if self.index != record["stage"]:
            return
        self.done, self.finished = record["done"], record["finished"]
        self.optimiser.flat.copy_(arrays["parameters"])
        self.optimiser.mean.copy_(arrays["mean"])
        self.optimiser.square.copy_(arrays["square"])
        self.optimiser.steps = record["steps"]
        for i, name in enumerate(_GENERATORS):
            for member, source in zip(trainer.members, arrays[f"random.{name}"], strict=True):
                member.generators[i].set_state(source.clone())  # torch wants a state in memory of its own
        if self.stopper is not None:
            for name in self.stopper.STATE:
                getattr(self.stopper, name).copy_(arrays[f"stopper.{name}"])
        if self.rates is not None:
            for name in self.rates.STATE:
                getattr(self.rates, name).copy_(arrays[f"rates.{name}"])
        trainer.epoch, trainer.history = record["epoch"], record["history"]
        trainer.stage_starts = record["stage_starts"]

    def _steps(self) -> TorchSteps:
        t, stage = self.trainer, self.stage
        if processes() > 1:
            return ParallelSteps(t.model, stage.terms, t.parameters, self.optimiser, amp=t.settings.amp)
        if t.settings.fused and can_fuse(t.model, stage.terms, t.parameters, t.settings.batch_size):
            return FusedSteps(t.model, stage.terms, t.parameters, self.optimiser)
        return TorchSteps(t.model, stage.terms, t.parameters, self.optimiser, amp=t.settings.amp)

    def run(self, advance: Advance) -> None:
        """Train the epochs that are left."""
        if self.checkpoint is not None and self.checkpoint.state is not None:
            self.restore(self.checkpoint.state)
        steps = self._steps()
        while not self.finished:
            self._epoch(steps, advance)
            stopped = self.stopper is not None and not self.stopper.active.any()
            self.finished = self.done == self.stage.epochs or stopped
            if self.finished and self.stopper:
                self.stopper.restore()
            if self.checkpoint is not None and is_first():
                self.checkpoint.save(self.state())

    def _epoch(self, steps: TorchSteps, advance: Advance) -> None:
        trainer, stage, stopper = self.trainer, self.stage, self.stopper
        weights = [float(term.weight(self.done)) for term in stage.terms]
        steps.active = stopper.active if stopper else None
        self.optimiser.scale = None if self.rates is None else self.rates.scale
        of_members = trainer.train_epoch(stage, weights, steps)
        values = of_members.mean(dim=1).tolist()
        metrics = {"total": sum(w * v for w, v in zip(weights, values, strict=True))}
        metrics |= {term.name: v for term, v in zip(stage.terms, values, strict=True)}
        losses = torch.tensor(weights, dtype=torch.float64, device=trainer.device) @ of_members
        if len(trainer.members[0].validation) and stage.watch:
            losses = of_first(trainer._validate(stage, weights))
            metrics["validation"] = float(losses.mean())
            if stopper:
                stopper.update(losses)
        self.done += 1
        if self.rates is not None:
            self.rates.update(of_first(losses), self.done)
        advance(trainer.epoch + 1, "  ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
        trainer.record(metrics)


def pieces(parameters: MemberParameters, x: Tensor) -> tuple[Tensor, ...]:
    """x (n, d) in pieces that are scored at once, (rows, d), or (K, rows, d) for K members; they stay in the cache."""
    members = len(parameters)
    rows = min(max(512, (1 << 20) // (x.shape[1] * members)), 1 << 14)
    parts = torch.split(x, rows)
    return parts if members == 1 else tuple(part.expand(members, *part.shape) for part in parts)


@torch.no_grad()
def outputs(model: TrainableModel, parameters: MemberParameters, x: Tensor) -> Iterator[dict[str, Tensor]]:
    """Outputs of the model for x (n, d) in `pieces`, each tensor of shape (K, rows, ...); no noise."""
    frozen = parameters.frozen()
    for piece in pieces(parameters, x):
        out = model(frozen, piece)
        yield out if len(parameters) > 1 else {name: t[None] for name, t in out.items()}
