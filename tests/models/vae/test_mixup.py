"""Mixtures of anomalies and background: where they lie, how many there are, and what keeps its place."""

from __future__ import annotations

import numpy as np
import pytest

from hepaa.detectors import AnomalyAwareVAE
from hepaa.errors import InputError
from hepaa.models.base import Training
from hepaa.models.vae.mixup import mixed


def training(anomalies: int, background: int = 50) -> Training:
    rng = np.random.default_rng(0)
    return Training(
        background=rng.normal(size=(background, 3)).astype(np.float32),
        weight=None,
        group=None,
        anomalies=(20 + np.arange(3 * anomalies).reshape(anomalies, 3)).astype(np.float32),
        anomaly_weight=np.linspace(0.5, 1.5, anomalies),
        anomaly_group=np.arange(anomalies),
    )


@pytest.mark.parametrize(("anomalies", "mixtures", "most"), [(4, 50, 0.6), (80, 80, 0.6), (80, 80, 2.0)])
def test_a_mixture_lies_on_the_line_from_its_anomaly_through_one_background_event(anomalies, mixtures, most):
    unmixed = training(anomalies)
    result = mixed(unmixed, most, seed=1)
    assert result.anomalies.shape == (mixtures, 3)
    assert result.anomalies.dtype == np.float32
    np.testing.assert_array_equal(result.background, unmixed.background)
    shares = []
    for row, group, weight in zip(result.anomalies, result.anomaly_group, result.anomaly_weight, strict=True):
        start = unmixed.anomalies[group]
        path = unmixed.background - start
        share = (path @ (row - start)) / np.einsum("ij,ij->i", path, path)
        off = np.abs(start + share[:, None] * path - row).max(axis=1)
        shares.append(share[off.argmin()])
        assert off.min() < 1e-4
        repeated = unmixed.anomaly_weight[np.arange(mixtures) % anomalies]
        assert weight == pytest.approx(unmixed.anomaly_weight[group] / repeated.mean())
    assert -1e-5 < min(shares) < most / 6
    assert most / 1.2 < max(shares) < most + 1e-5


def test_nothing_is_mixed_without_being_asked_or_without_anomalies():
    unmixed = training(4)
    assert mixed(unmixed, 0.0, seed=1) is unmixed
    none = training(0)
    assert mixed(none, 0.5, seed=1) is none


def test_the_seed_decides_and_the_estimator_passes_it_on():
    unmixed = training(4)
    one, same, other = (mixed(unmixed, 1.0, seed).anomalies for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    X, y = np.concatenate([unmixed.background, unmixed.anomalies]), np.repeat([0, 1], [50, 4])
    settings = {"epochs": 2, "finetune_epochs": 3, "batch_size": 16, "preprocess": None, "seed": 2}
    by_hand = np.concatenate([unmixed.background, other])
    direct = AnomalyAwareVAE(**settings, mixup=1.0).fit(X, y).anomaly_score(X)
    expected = AnomalyAwareVAE(**settings).fit(by_hand, np.repeat([0, 1], [50, 50])).anomaly_score(X)
    np.testing.assert_allclose(direct, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"), [({"mixup": 2.5}, "mixup is 2.5"), ({"mixup": 0.5, "particles": 5}, "jets")]
)
def test_what_cannot_be_mixed(options, words):
    unmixed = training(4)
    X, y = np.concatenate([unmixed.background, unmixed.anomalies]), np.repeat([0, 1], [50, 4])
    with pytest.raises(InputError, match=words):
        AnomalyAwareVAE(epochs=1, **options).fit(X, y)
