"""Loss terms against closed forms and sums written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, Normal, kl_divergence

from hepaa.models.losses.reconstruction import EventError
from hepaa.models.losses.terms import KL, AnomalyPenalty, Reconstruction, TrainingBatch, penalty
from hepaa.models.nets.latent import gaussian_latent


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_kl_is_that_of_torch_distributions() -> None:
    mu, logvar = normal(3, 7, 4), normal(3, 7, 4, seed=1)
    reference = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(-1)
    z, kl = gaussian_latent(torch.cat([mu, logvar], dim=-1), None)
    torch.testing.assert_close(kl, reference)
    torch.testing.assert_close(z, mu)
    noise = normal(3, 7, 4, seed=2)
    sample = gaussian_latent(torch.cat([mu, logvar], dim=-1), noise)[0]
    torch.testing.assert_close(sample, mu + (0.5 * logvar).exp() * noise)


def test_reconstruction_errors_by_hand() -> None:
    x, x_hat = normal(5, 3), normal(5, 3, seed=1)
    d, out = (x - x_hat).abs(), {"x_hat": x_hat}
    torch.testing.assert_close(EventError()(x, out), (d**2).sum(1))
    torch.testing.assert_close(EventError("huber")(x, out), torch.where(d < 1, d**2, 2 * d - 1).sum(1))
    bits = (x > 0).float()
    log_probability = Bernoulli(logits=x_hat).log_prob(bits).sum(1)
    torch.testing.assert_close(EventError("bce")(bits, out), -log_probability)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("members", [(), (2,)])
@pytest.mark.parametrize("normalisation", ["per-class", "batch", "literal"])
def test_anomaly_aware_objective_by_hand(normalisation: str, members: tuple[int, ...], weighted: bool) -> None:
    """Every reading of the loss, written out as loops over the events of a batch of 8 with 3 anomalies."""
    n, rare, lam, clip = 8, 3, 0.7, 5.0
    x, x_hat = normal(*members, n, 4), 2 * normal(*members, n, 4, seed=1)
    mu, logvar = normal(*members, n, 2, seed=2), normal(*members, n, 2, seed=3)
    weight = torch.rand(*members, n, generator=torch.Generator().manual_seed(4)) if weighted else None
    batch = TrainingBatch(x=x, anomalies=rare, weight=weight)
    out = {"x_hat": x_hat, "kl": kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(-1)}
    terms = [
        Reconstruction(EventError(), normalisation),
        KL(normalisation),
        AnomalyPenalty(EventError(), "clip", clip, normalisation),
    ]
    ours = terms[0](batch, out) + terms[1](batch, out) + lam * terms[2](batch, out)

    def by_hand(k: tuple[int, ...]) -> float:
        background = anomalies = 0.0
        for i in range(n):
            w = float(weight[*k, i]) if weight is not None else 1.0
            e = float(((x[*k, i] - x_hat[*k, i]) ** 2).sum())
            kl = float(-0.5 * (1 + logvar[*k, i] - mu[*k, i] ** 2 - logvar[*k, i].exp()).sum())
            if i < n - rare:
                background += w * (e + kl)
            else:
                anomalies -= w * lam * min(e, clip)
                if normalisation == "literal":
                    background += w * (e + kl)
        if normalisation == "per-class":
            return background / (n - rare) + anomalies / rare
        return (background + anomalies) / n

    expected = [by_hand((k,)) for k in range(members[0])] if members else by_hand(())
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["clip", "hinge", "log"])
def test_penalties_rise_start_with_slope_one_and_stay_bounded_in_slope(kind: str) -> None:
    error = torch.linspace(0, 1000, 2001, dtype=torch.float64, requires_grad=True)
    value = penalty(kind, error, 200.0)
    (slope,) = torch.autograd.grad(value.sum(), error)
    assert value[0] == 0
    assert slope[0] == pytest.approx(1)
    assert (slope >= 0).all()
    assert (slope <= 1).all()
    beyond = slope[error > 201]
    assert (beyond > 0.1).all() if kind == "log" else (beyond == 0).all()
    if kind == "hinge":
        by_hand = -(torch.clamp(200 - error, min=0) ** 2) / 400 + 100
        torch.testing.assert_close(value, by_hand)


def test_penalty_without_clip_is_the_error_and_no_anomalies_is_zero() -> None:
    error = torch.tensor([1.0, 5000.0])
    assert torch.equal(penalty("clip", error, None), error)
    batch = TrainingBatch(x=normal(4, 3))
    assert AnomalyPenalty()(batch, {"x_hat": normal(4, 3)}) == 0
