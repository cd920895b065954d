"""Contrastive losses and the planar flow against loops, dense matrices and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepaa.detectors import ContrastiveVAE
from hepaa.errors import InputError
from hepaa.models.engine.device import generator
from hepaa.models.losses.contrastive import NTXent, SupCon, log_partition
from hepaa.models.losses.terms import TrainingBatch
from hepaa.models.nets.posteriors import Planar


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("members", [(), (2,)])
@pytest.mark.parametrize("n", [2, 700, 1025])
def test_compiled_log_partition_is_that_of_the_dense_matrix(members: tuple[int, ...], n: int) -> None:
    z = torch.nn.functional.normalize(normal(*members, n, 3, dtype=torch.float32), dim=-1)
    upstream = normal(*members, n, seed=1, dtype=torch.float32)
    results = []
    for start in (z, z.double()):
        x = start.clone().requires_grad_()
        if x.dtype == torch.float32:
            value = log_partition(x, 0.05)
        else:
            off = torch.eye(n, dtype=torch.bool)
            value = (x @ x.transpose(-1, -2) / 0.05).masked_fill(off, float("-inf")).logsumexp(-1)
        results.append((value.detach(), torch.autograd.grad((value * upstream).sum(), x)[0]))
    (ours, gradient), (dense, expected) = results
    torch.testing.assert_close(ours.double(), dense, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_supcon_by_loops() -> None:
    mu, group, T = normal(15, 3), torch.tensor([0, 1, 2] * 4 + [0, 0, 3]), 0.2
    z = (mu / mu.norm(dim=1, keepdim=True)).numpy()
    losses = []
    for i in range(15):
        positives = [p for p in range(15) if p != i and group[p] == group[i]]
        if positives:  # the one event of group 3 has none
            total = sum(np.exp(z[i] @ z[a] / T) for a in range(15) if a != i)
            losses.append(-np.mean([np.log(np.exp(z[i] @ z[p] / T) / total) for p in positives]))
    assert len(losses) == 14
    batch = TrainingBatch(x=normal(15, 5), group=group)
    assert float(SupCon(T)(batch, {"mu": mu})) == pytest.approx(np.mean(losses), rel=1e-10)
    stacked = TrainingBatch(x=normal(2, 15, 5), group=group.expand(2, 15))
    both = SupCon(T)(stacked, {"mu": torch.stack([mu, 2 * mu])})
    np.testing.assert_allclose(both, np.mean(losses))


def test_ntxent_by_loops() -> None:
    a, b, T = normal(9, 3), normal(9, 3, seed=1), 0.4
    z = torch.cat([a, b])
    z = (z / z.norm(dim=1, keepdim=True)).numpy()
    losses = []
    for i in range(18):
        partner = (i + 9) % 18
        total = sum(np.exp(z[i] @ z[k] / T) for k in range(18) if k != i)
        losses.append(-np.log(np.exp(z[i] @ z[partner] / T) / total))
    value = NTXent(T)(TrainingBatch(x=normal(9, 5)), {"mu": a, "view_a": a, "view_b": b})
    assert float(value) == pytest.approx(np.mean(losses), rel=1e-10)


def test_edges_of_contrastive_terms() -> None:
    mu = normal(4, 2)
    assert NTXent()(TrainingBatch(x=mu), {"mu": mu}) == 0
    assert SupCon()(TrainingBatch(x=mu[:1], group=torch.tensor([0])), {"mu": mu[:1]}) == 0
    assert SupCon()(TrainingBatch(x=mu, group=torch.arange(4)), {"mu": mu}) == 0
    with pytest.raises(InputError, match="group of every event"):
        SupCon()(TrainingBatch(x=mu), {"mu": mu})
    for term in (SupCon, NTXent):
        with pytest.raises(InputError, match="temperature is 0"):
            term(0.0)


def test_planar_log_determinant_is_that_of_the_jacobian() -> None:
    flow = Planar(3, 4)
    p = {k: 8 * t.double() for k, t in flow.init(generator(0, "init")).items()}
    z = normal(5, 3)
    end, log_det = flow(p, z)
    for i in range(5):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(p, x[None])[0][0], z[i])
        assert float(log_det[i]) == pytest.approx(float(torch.linalg.slogdet(jacobian).logabsdet), rel=1e-9)
    stacked = {k: torch.stack([t, t]) for k, t in p.items()}
    both, both_det = flow(stacked, torch.stack([z, z]))
    torch.testing.assert_close(both[1], end)
    torch.testing.assert_close(both_det[1], log_det)


@pytest.fixture(scope="module")
def mixed() -> tuple[np.ndarray, np.ndarray]:
    """Two generators that differ in one feature of four."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(1200, 4))
    group = np.repeat([3, 8], 600)
    X[:, 1] += np.where(group == 8, 1.5, 0.0)
    return X, group


def test_supcon_pulls_generators_apart(mixed: tuple[np.ndarray, np.ndarray]) -> None:
    X, group = mixed

    def separation(weight: float) -> float:
        model = ContrastiveVAE(contrastive_weight=weight, epochs=15, batch_size=128).fit(X, groups=group)
        mu = model.outputs(X)["mu"][0]
        a, b = (mu[group == g] for g in (3, 8))
        spread = np.sqrt(0.5 * (a.var(axis=0).sum() + b.var(axis=0).sum()))
        return float(np.linalg.norm(a.mean(0) - b.mean(0)) / spread)

    assert separation(2.0) > 1.3 * separation(0.0)


@pytest.mark.parametrize("posterior", ["gaussian", "planar"])
@pytest.mark.parametrize("kind", ["supcon", "ntxent"])
def test_every_combination_trains(kind: str, posterior: str, mixed: tuple[np.ndarray, np.ndarray]) -> None:
    X, group = mixed
    model = ContrastiveVAE(contrastive=kind, posterior=posterior, epochs=6, anneal_epochs=3, batch_size=128, seeds=2)
    model.fit(X, groups=group)
    assert set(model.history_) == {"total", "reconstruction", "kl", "contrastive"}
    assert model.history_["contrastive"][-1] < model.history_["contrastive"][0]
    assert min(abs(v) for v in model.history_["contrastive"]) > 0.1
    still = ContrastiveVAE(
        contrastive=kind, posterior=posterior, epochs=6, batch_size=128, seeds=2, learning_rate=1e-12
    )
    still.fit(X, groups=group)
    for (name, _), tensor in zip(model.parameters_.layout, model.parameters_.tensors.values(), strict=True):
        assert (tensor != still.parameters_.tensors[name]).any(), name


def test_groups_are_needed_where_they_are_used(mixed: tuple[np.ndarray, np.ndarray]) -> None:
    X, group = mixed
    with pytest.raises(InputError, match=r"two groups .* or more, and there is none"):
        ContrastiveVAE().fit(X)
    with pytest.raises(InputError, match="and there is one"):
        ContrastiveVAE().fit(X[:100], groups=group[:100])
    for bad in (
        {"contrastive": "simclr"},
        {"posterior": "laf"},
        {"flow_steps": 0},
        {"view_noise": 0.0},
        {"temperature": 0.0},
    ):
        with pytest.raises(InputError):
            ContrastiveVAE(**bad).fit(X, groups=group)  # type: ignore[arg-type]
