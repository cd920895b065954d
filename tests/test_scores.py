"""Anomaly metrics against torch.distributions, scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import mahalanobis
from torch.distributions import Normal, kl_divergence

from hepaa.detectors import VAE, SumOfSquares
from hepaa.errors import InputError
from hepaa.scores import LatentDistance, RankCombination, feature_errors, vae_scores


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(600, 5)) @ rng.normal(size=(5, 5))


@pytest.fixture(scope="module")
def model(X: np.ndarray) -> VAE:
    return VAE(epochs=4, batch_size=32, seeds=2, beta=0.5).fit(X)


def test_vae_scores(model: VAE, X: np.ndarray) -> None:
    scores = vae_scores(model, X)
    out = {k: torch.from_numpy(v) for k, v in model.outputs(X).items()}
    kl = kl_divergence(Normal(out["mu"], (out["logvar"] / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean(0)
    np.testing.assert_allclose(scores["kl"], kl.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scores["reconstruction"], model.anomaly_score(X), rtol=1e-5)
    np.testing.assert_allclose(scores["elbo"], model.anomaly_score(X) + 0.5 * kl.numpy(), rtol=1e-4)
    with pytest.raises(InputError, match="SumOfSquares has no latent space"):
        vae_scores(SumOfSquares().fit(X), X)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mse", "huber", "bce"])
def test_feature_errors_sum_to_the_score(kind: str, X: np.ndarray) -> None:
    images = 1 / (1 + np.exp(-X))
    model = VAE(epochs=2, reconstruction=kind, preprocess=None).fit(images if kind == "bce" else 3 * X)
    inputs = images if kind == "bce" else 3 * X
    errors = feature_errors(model, inputs)
    assert errors.shape == (600, 5)
    np.testing.assert_allclose(errors.sum(axis=1), model.anomaly_score(inputs), rtol=1e-4)


def test_latent_distance_is_scipys_to_the_nearest_group(model: VAE, X: np.ndarray) -> None:
    group = (X[:, 0] > 0).astype(int) * 7
    distance = LatentDistance(model).fit(X, group)
    assert distance.groups_.tolist() == [0, 7]
    mu = model.outputs(X)["mu"].astype(float)
    by_hand = np.empty((2, 600, 2))
    for k in range(2):
        for j, g in enumerate((0, 7)):
            rows = mu[k, group == g]
            inverse = np.linalg.inv(np.cov(rows.T))
            by_hand[k, :, j] = [mahalanobis(m, rows.mean(0), inverse) for m in mu[k]]
    np.testing.assert_allclose(distance.distances(X), by_hand.mean(0), rtol=1e-6)
    np.testing.assert_allclose(distance(X), by_hand.mean(0).min(axis=1), rtol=1e-6)
    with pytest.raises(InputError, match="group 1 has 2 events"):
        LatentDistance(model).fit(X, (np.arange(600) < 2).astype(int))
    with pytest.raises(InputError, match="one group an event"):
        LatentDistance(model).fit(X, [0, 1])


def test_combinations() -> None:
    rng = np.random.default_rng(3)
    background = {"a": rng.normal(size=5000), "b": rng.exponential(size=5000)}
    events = {"a": np.array([0.0, 3.0, 3.0]), "b": np.array([0.7, 0.7, 7.0])}
    # counted directly: (1 + events at or above) / (n + 1)
    p = np.array([[(1 + (background[k] >= s).sum()) / 5001 for s in events[k]] for k in "ab"])
    fisher = RankCombination().fit(background)(events)
    reference = [stats.combine_pvalues(p[:, i]).statistic for i in range(3)]
    np.testing.assert_allclose(fisher, reference)
    assert (np.diff(fisher) > 0).all()
    np.testing.assert_allclose(RankCombination("mean").fit(background)(events), -p.mean(0))
    np.testing.assert_allclose(RankCombination("max").fit(background)(events), -2 * p.min(0))
    with pytest.raises(InputError, match="score 'b' is missing"):
        RankCombination().fit(background)({"a": [1.0]})
    with pytest.raises(InputError, match="unknown"):
        RankCombination("median")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no score"):
        RankCombination().fit({})
