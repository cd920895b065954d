"""Detectors of one kind trained at once, each on a table of its own: ten splits cost little more than one.

Where `seeds=K` trains K members on the same events, here every member has events of its own, and becomes a detector of
its own: what a study over random splits needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hepaa.errors import InputError
from hepaa.models.base import weighted_quantile
from hepaa.models.engine.batches import Member, Pool
from hepaa.models.engine.device import pick_device
from hepaa.models.engine.optimiser import MemberParameters
from hepaa.models.engine.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from torch import Tensor

    from hepaa.models.anorand.anorand import AnoRand

_ALONE = ("seed", "callback", "metrics", "checkpoint", "balance", "validation_fraction", "patience")


@dataclass
class OwnRows(Member):
    """A member that draws from its own rows of pools that hold the rows of all members, one after the other."""

    first_rare: int = 0
    rare: int = 0

    @classmethod
    def build_own(cls, seed: int, place: int, common: int, rare: int) -> OwnRows:
        """Member number `place`, all of which have `common` background events and `rare` anomalies."""
        alone = Member.build(seed, common, 0)
        rows = alone.train + place * common
        return cls(alone.order, alone.noise, alone.anomaly_order, rows, alone.validation, None, place * rare, rare)

    def deal(self, pool: int, count: int) -> Tensor:
        """`count` indices of its own anomalies."""
        del pool
        return super().deal(self.rare, count) + self.first_rare


def fit_together(
    detectors: Sequence[AnoRand],
    tables: Sequence[Any],
    labels: Sequence[Any] | None = None,
    *,
    at: Collection[int] = (),
    watch: Callable[[int], None] | None = None,
) -> Sequence[AnoRand]:
    """Fit each detector to its own table, all in one training.

    Each becomes what its own `fit` would have made of it, up to rounding: start values, order of events and
    pseudo-anomalies come from its own seed, and none sees another's events.

    Parameters
    ----------
    detectors : sequence of AnoRand
        With the same parameters but for `seed`.
    tables : sequence of (n, d) arrays, data frames or EventTables
        One for each detector, with equal numbers of background events, of anomalies, and of features.
    labels : sequence of int (n,), optional
        The `y` of each `fit`.
    at : collection of int
        After so many epochs ...
    watch : callable, optional
        ... this is called with their number, the detectors being as if trained that long: a look at held-out events on
        the way, to choose the number of epochs by.

    Returns
    -------
    The detectors, fitted. `history_` is the mean over all of them.

    Raises
    ------
    InputError
        If the detectors differ, the tables differ in size, events have weights, or a parameter is set that makes
        sense for a training by itself alone: callback, metrics, checkpoint, balance, validation_fraction, patience.
    """
    classes: Sequence[Any] = [None] * len(tables) if labels is None else labels
    if not len(detectors) or not len(detectors) == len(tables) == len(classes):
        raise InputError(f"{len(detectors)} detectors, {len(tables)} tables, {len(classes)} labels; give one of each")
    first = detectors[0]
    first._check_parameters()
    common = _shared(first)
    for detector in detectors:
        if _shared(detector) != common:
            raise InputError("detectors that are fitted together may differ in their seed alone")
        for name in _ALONE[1:]:
            if getattr(detector, name):
                raise InputError(f"{name} is set; a detector that is fitted together with others has none")
    trainings = [d._prepare(X, y, None, None) for d, X, y in zip(detectors, tables, classes, strict=True)]
    for detector, training in zip(detectors, trainings, strict=True):
        detector._check_training(training)
    used = [detector.used(t) for detector, t in zip(detectors, trainings, strict=True)]
    sizes = {(t.background.shape, t.anomalies.shape) for t in used}
    if len(sizes) > 1:
        raise InputError(f"tables have different numbers of background events and anomalies: {sorted(sizes)}")
    if any(t.weight is not None for t in used):
        raise InputError("events have weights; fit such a table by itself")
    device = pick_device(first.device)
    pools = [
        Pool(torch.from_numpy(np.concatenate([getattr(t, name) for t in used])).to(device))
        for name in ("background", "anomalies")
    ]

    def hand_out() -> None:
        for k, (detector, training) in enumerate(zip(detectors, trainings, strict=True)):
            detector.model_ = model
            detector.history_, detector.stage_starts_ = dict(trainer.history), list(trainer.stage_starts)
            own = trainer.parameters.flat[k * first.seeds : (k + 1) * first.seeds].clone()
            detector.parameters_ = MemberParameters(own, trainer.parameters.layout)
            detector.calibrate(training)
            scores = detector._score(training.background)
            detector.threshold_ = weighted_quantile(scores, 1 - detector.contamination, None)

    def look(epoch: int) -> None:
        if watch is not None and epoch in at:
            hand_out()
            watch(epoch)

    settings = first._settings(lambda epoch, _: look(epoch + 1), None)
    model = first._model(trainings[0].background.shape[1])
    members = [(place, d.seed + k) for place, d in enumerate(detectors) for k in range(first.seeds)]
    trainer = Trainer(model, pools[0], [seed for _, seed in members], settings, pools[1])
    counts = len(used[0].background), len(used[0].anomalies)
    trainer.members = [OwnRows.build_own(seed, place, *counts) for place, seed in members]
    trainer.run(first._stages())
    hand_out()
    return detectors


def _shared(detector: AnoRand) -> dict[str, Any]:
    return {name: value for name, value in detector.get_params(deep=False).items() if name not in _ALONE}
