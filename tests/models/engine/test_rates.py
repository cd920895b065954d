"""Schedules of the learning rate against those of torch.optim."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepaa.detectors import VAE
from hepaa.errors import InputError
from hepaa.models.engine import rates
from hepaa.models.engine.rates import Cosine, Plateau

CPU = torch.device("cpu")


def rate(optimiser: torch.optim.Optimizer) -> float:
    return float(optimiser.param_groups[0]["lr"])


def optimisers(n: int) -> list[torch.optim.Optimizer]:
    return [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2) for _ in range(n)]


def test_cosine_is_torchs() -> None:
    ours, (theirs,) = Cosine(2, 9, CPU), optimisers(1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 9)
    for done in range(1, 9):
        theirs.step()
        schedule.step()
        ours.update(torch.zeros(2), done)
        np.testing.assert_allclose(0.2 * ours.scale[:, 0], rate(theirs), rtol=1e-6)


def test_plateau_is_torchs_for_each_member() -> None:
    rng = np.random.default_rng(3)
    losses = 1 + np.exp(-np.arange(200)[:, None] / [8, 25]) + 2e-4 * rng.normal(size=(200, 2))
    ours, theirs = Plateau(2, CPU), optimisers(2)
    schedules = [
        torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=5, threshold=1e-4, min_lr=2e-4, eps=0)
        for o in theirs
    ]
    for epoch, both in enumerate(losses):
        ours.update(torch.from_numpy(both), epoch + 1)
        for schedule, loss in zip(schedules, both, strict=True):
            schedule.step(loss)
        np.testing.assert_allclose(0.2 * ours.scale[:, 0], [rate(o) for o in theirs], rtol=1e-6)
    assert rate(theirs[0]) < rate(theirs[1]) < 0.2  # the two members fall at different epochs


def test_negative_losses_that_fall_are_no_plateau() -> None:
    falling = Plateau(1, CPU)
    for epoch in range(30):
        falling.update(torch.tensor([-1.0 - epoch]), epoch)
    assert falling.scale.item() == 1.0


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_training_follows_its_schedule(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to take steps move less in the later epochs; a constant rate of the same start ends elsewhere."""
    monkeypatch.setattr(Plateau, "patience", 0)
    monkeypatch.setattr(Plateau, "threshold", 0.5)  # so that an epoch that is not much better is late
    X = np.random.default_rng(0).normal(size=(200, 4))
    moved = {}
    for name in (None, schedule):
        fits = [VAE(epochs=n, schedule=name, learning_rate=0.01).fit(X) for n in (8, 9)]
        flat = [f.parameters_.flat for f in fits]
        moved[name] = float((flat[1] - flat[0]).norm())
    if schedule == "plateau":
        assert moved["plateau"] < 0.2 * moved[None]
    assert moved[schedule] != moved[None]


def test_schedules_that_make_no_sense() -> None:
    X = np.zeros((10, 2))
    with pytest.raises(InputError, match="schedule 'step' is unknown"):
        VAE(schedule="step").fit(X)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="weight_decay"):
        VAE(weight_decay=-1.0).fit(X)
    assert rates.schedule_of(None, 1, 5, CPU) is None
