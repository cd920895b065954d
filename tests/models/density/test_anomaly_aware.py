"""Anomaly-aware density: its objective by hand, and that it finds labelled anomalies and still sees others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hepaa.detectors import AnomalyAwareFlow, Flow
from hepaa.errors import InputError
from hepaa.models.density.anomaly_aware import DensityPenalty
from hepaa.models.losses.schedules import Fixed
from hepaa.models.losses.terms import TrainingBatch


@pytest.mark.parametrize("members", [(), (3,)])
@pytest.mark.parametrize("weighted", [False, True])
def test_penalty_by_hand(members: tuple[int, ...], weighted: bool) -> None:
    rng = np.random.default_rng(0)
    density = rng.normal(-5, 3, (*members, 10))
    weight = rng.uniform(0.5, 1.5, (*members, 10)) if weighted else np.ones((*members, 10))
    batch = TrainingBatch(
        x=torch.zeros(*members, 10, 2), anomalies=4, weight=torch.from_numpy(weight) if weighted else None
    )
    value = DensityPenalty(Fixed(1.0), margin=2.0)(batch, {"log_density": torch.from_numpy(density)})
    usual = (-density[..., :6] * weight[..., :6]).sum(-1) / 6
    excess = -density[..., 6:] - usual[..., None]
    by_hand = (np.log1p(np.exp(2.0 - excess)) * weight[..., 6:]).sum(-1) / 4
    np.testing.assert_allclose(value.numpy(), by_hand)
    alone = TrainingBatch(x=torch.zeros(*members, 10, 2))
    np.testing.assert_array_equal(DensityPenalty(Fixed(1.0), 2.0)(alone, {"log_density": torch.ones(*members, 10)}), 0)


def test_the_usual_density_of_background_is_no_way_out() -> None:
    """The penalty has no gradient on background: the flow cannot please it by making background dense elsewhere."""
    density = torch.randn(12, requires_grad=True)
    DensityPenalty(Fixed(1.0), 5.0)(
        TrainingBatch(x=torch.zeros(12, 2), anomalies=3), {"log_density": density}
    ).backward()
    assert density.grad is not None
    assert (density.grad[:9] == 0).all()
    assert (density.grad[9:] > 0).all()


def test_labelled_anomalies_are_found_and_the_others_still_seen() -> None:
    rng = np.random.default_rng(1)
    background = rng.normal(size=(4000, 3)) * [1, 1, 0.3]

    def at(*centre: float) -> np.ndarray:
        return rng.normal(centre, 0.3, (600, 3))

    known, other = at(1.5, 0, 0), at(0, 0, 1.2)
    settings = {"kind": "maf", "transforms": 2, "hidden": (32,), "epochs": 8, "batch_size": 128}

    def auc(model: Flow, signal: np.ndarray) -> float:
        test = rng.normal(size=(2000, 3)) * [1, 1, 0.3]
        return float(roc_auc_score(np.repeat([0, 1], [2000, 600]), model.anomaly_score(np.concatenate([test, signal]))))

    plain = Flow(**settings).fit(background)  # type: ignore[arg-type]
    X, y = np.concatenate([background, known[:100]]), np.repeat([0, 1], [4000, 100])
    tuned = AnomalyAwareFlow(**settings, margin=5.0, finetune_epochs=8).fit(X, y)  # type: ignore[arg-type]
    assert auc(tuned, known[100:].repeat(2, 0)[:600]) > auc(plain, known[100:].repeat(2, 0)[:600]) + 0.1
    assert auc(tuned, other) > 0.85


@pytest.mark.parametrize(
    "bad", [{"margin": -1.0}, {"lambda_max": -1}, {"anomaly_fraction": 1.0}, {"finetune_epochs": 0}]
)
def test_parameters_that_make_no_sense(bad: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=next(iter(bad))):
        AnomalyAwareFlow(epochs=1, **bad).fit(rng.normal(size=(50, 3)), np.repeat([0, 1], 25))  # type: ignore[arg-type]
