"""Normalising flows: the density integrates to one, and finds the shape of a distribution that is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from hepaa.detectors import Flow
from hepaa.errors import InputError
from hepaa.models.density.flow import FlowNet
from hepaa.models.engine.device import generator


@pytest.mark.parametrize("kind", ["spline", "maf"])
def test_density_is_normalised(kind: str) -> None:
    net = FlowNet(2, kind, 2, (8,), 4)  # type: ignore[arg-type]
    axis = torch.linspace(-9, 9, 361)
    grid = torch.cartesian_prod(axis, axis)
    density = net(net.init(generator(3, "init")), grid)["log_density"].double().exp()
    assert float(density.sum()) * (18 / 360) ** 2 == pytest.approx(1.0, abs=2e-3)


def test_a_gaussian_is_learned() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    model = Flow(kind="maf", transforms=2, hidden=(16,), epochs=40, batch_size=256, preprocess=None, seeds=2).fit(X)
    truth = stats.multivariate_normal([0, 0], [[1.0, 0.8], [0.8, 1.0]])
    fresh = rng.normal(size=(2000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    score = model.anomaly_score(fresh)
    assert np.mean(score) == pytest.approx(-truth.logpdf(fresh).mean(), abs=0.03)
    assert np.corrcoef(score, -truth.logpdf(fresh))[0, 1] > 0.98


def test_start_values_leave_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    Flow(epochs=1, transforms=1, hidden=(4,)).fit(np.random.default_rng(0).normal(size=(50, 3)))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    "bad", [{"kind": "planar"}, {"transforms": 0}, {"bins": 1}, {"hidden": (0,)}, {"measure": "gev"}]
)
def test_parameters_that_make_no_sense(bad: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Flow(**bad).fit(np.random.default_rng(0).normal(size=(50, 3)))  # type: ignore[arg-type]
