"""What a training is made of, for tests that look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hepaa.models.engine.training import Stage, Trainer
    from hepaa.models.losses.terms import TrainingBatch


def batches(trainer: Trainer, stage: Stage) -> Iterator[TrainingBatch]:
    """All batches of an epoch."""
    for window, deal in trainer._deals(stage):
        yield from deal.batches(window, trainer.anomalies)
