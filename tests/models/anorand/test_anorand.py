"""AnoRand: pseudo-anomalies, loss and score against the formulas written out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hepaa.detectors import AnoRand, load_detector
from hepaa.errors import InputError
from hepaa.models.anorand.anorand import Classification, InlierDistance
from hepaa.models.anorand.pseudo import smote
from hepaa.models.base import Training
from hepaa.models.losses.schedules import Fixed
from hepaa.models.losses.terms import TrainingBatch

if TYPE_CHECKING:
    from pathlib import Path


def training(n: int, d: int = 3) -> Training:
    x = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    return Training(x, None, None, np.empty((0, d), np.float32), None, None)


def test_smote_stays_on_segments_between_near_neighbours() -> None:
    x = np.array([[0, 0], [1, 0], [0, 1], [100, 100], [101, 100], [100, 101]], np.float32)
    grown = smote(x, 500, 2, np.random.default_rng(0))
    assert grown.dtype == np.float32
    near = grown.sum(axis=1)
    assert ((near <= 1 + 1e-5) | (near >= 200 - 1e-3)).all()  # no point between the two clusters
    for point in grown[:50]:
        corner = x[:3] if point.sum() < 2 else x[3:]
        pairs = [(a, b) for a in corner for b in corner if not np.array_equal(a, b)]
        off = [np.abs((b - a)[0] * (point - a)[1] - (b - a)[1] * (point - a)[0]) for a, b in pairs]
        assert min(off) < 1e-4
    assert len(smote(x[:2], 4, 5, np.random.default_rng(0))) == 4


def test_pseudo_anomalies_are_noised_background_grown_to_their_share() -> None:
    plain = training(1000)
    model = AnoRand(pseudo="smote", sigma=0.0, noised=0.02, grown=0.05)
    made = model.with_pseudo_anomalies(plain)
    assert len(made.background) == 980
    assert len(made.anomalies) == 50
    rows = {r.tobytes() for r in plain.background}
    assert all(r.tobytes() in rows for r in made.anomalies[:20])  # without noise they are background events ...
    assert not {r.tobytes() for r in made.anomalies[:20]} & {
        r.tobytes() for r in made.background
    }  # ... taken out of it
    noisy = AnoRand(pseudo="smote", sigma=2.0).with_pseudo_anomalies(plain)
    moved = noisy.anomalies[:20] - made.anomalies[:20]
    assert moved.std() == pytest.approx(2.0, rel=0.3)


def test_pseudo_anomalies_around_background_have_its_correlations_or_none() -> None:
    rng = np.random.default_rng(4)
    x = (rng.normal(size=(4000, 2)) @ np.array([[1.0, 0.9], [0.0, 0.3]])).astype(np.float32)
    plain = Training(x, None, None, np.empty((0, 2), np.float32), None, None)
    made = AnoRand(sigma=2.0, copies=4).with_pseudo_anomalies(plain)
    assert made.background is x
    noised, anywhere = np.split(made.anomalies, 2)
    assert len(noised) == len(anywhere) == 8000
    covariance = np.cov(x, rowvar=False)
    np.testing.assert_allclose(np.cov(noised - np.tile(x, (2, 1)), rowvar=False), 4 * covariance, rtol=0.06)
    assert abs(np.corrcoef(anywhere, rowvar=False)[0, 1]) < 0.03
    low, high = np.quantile(x, [0.01, 0.99], axis=0)
    margin = 0.1 * (high - low)
    np.testing.assert_allclose(anywhere.min(axis=0), low - margin, atol=0.1)
    np.testing.assert_allclose(anywhere.max(axis=0), high + margin, atol=0.1)


def test_pseudo_anomalies_around_background_of_weight_two_are_those_of_doubled_events() -> None:
    plain = training(500)
    weight = np.where(np.arange(500) < 250, 1.5, 0.5)
    weighted = replace(plain, weight=weight)
    doubled = replace(
        plain, background=np.concatenate([plain.background, plain.background[:250], plain.background[:250]])
    )
    one, other = (AnoRand().with_pseudo_anomalies(t).anomalies[-400:] for t in (weighted, doubled))
    np.testing.assert_allclose(one.min(axis=0), other.min(axis=0), atol=0.1)
    made = AnoRand(copies=3).with_pseudo_anomalies(weighted)
    np.testing.assert_array_equal(made.anomaly_weight[:750], np.concatenate([weight, weight[:250]]))
    assert (made.anomaly_weight[750:] == 1).all()


def test_loss_by_hand() -> None:
    g = torch.Generator().manual_seed(0)
    x, x_hat, logit = torch.randn(6, 4, generator=g), torch.randn(6, 4, generator=g), torch.randn(6, generator=g)
    batch, out, w = TrainingBatch(x=x, anomalies=2), {"x_hat": x_hat, "logit": logit}, 0.2
    terms = (Classification(Fixed(w)), InlierDistance(Fixed(1 - w)))
    ours = sum(t.weight(0) * t(batch, out) for t in terms)
    total = 0.0
    for i in range(6):
        y, p = float(i >= 4), float(torch.sigmoid(logit[i]))
        total += w * -(y * np.log(p) + (1 - y) * np.log(1 - p)) + (1 - w) * (1 - y) * float((x[i] - x_hat[i]).norm())
    assert float(ours) == pytest.approx(total / 6, rel=1e-5)


def test_score_has_the_order_of_the_published_formula() -> None:
    x = np.random.default_rng(1).normal(size=(500, 3))
    model = AnoRand(epochs=3, combination="quartiles").fit(x)
    out = model.outputs(x)
    assert out["latent"].shape == (1, 500, 32)  # that of the classifier beside that of the encoder
    assert (out["latent"][..., :16] >= 0).all()
    y_ae = 1 / (1 + np.exp(-np.linalg.norm(out["x"] - out["x_hat"][0], axis=1).astype(float)))
    y_mlp = 1 / (1 + np.exp(-out["logit"][0].astype(float)))
    q_ae, q_mlp = np.quantile(y_ae, 0.75), np.quantile(y_mlp, 0.75)
    alpha = q_ae / (q_ae + q_mlp)
    assert model.alpha_[0] == pytest.approx(alpha, rel=1e-4)
    published = (1 - alpha) * y_ae + alpha * y_mlp
    np.testing.assert_allclose(model.anomaly_score(x), -np.log1p(-published), rtol=1e-4)
    # where both parts of the published score are 1 to the last bit, ours still tells events apart
    far = torch.tensor([[40.0, 0, 0], [45.0, 0, 0], [50.0, 0, 0]])
    saturated = {"x_hat": torch.zeros(1, 3, 3), "logit": torch.full((1, 3), 60.0)}
    score = model._event_score(far, saturated)[0]
    assert score[0] < score[1] < score[2]


def test_standardised_score_by_hand(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(500, 3))
    model = AnoRand(epochs=3, seeds=2).fit(x)
    out = model.outputs(x)
    far = np.log(np.linalg.norm(out["x"] - out["x_hat"], axis=2).astype(float))
    odds = out["logit"].astype(float)
    parts = [(part - part.mean(axis=1, keepdims=True)) / part.std(axis=1, keepdims=True) for part in (far, odds)]
    np.testing.assert_allclose(model.anomaly_score(x), sum(parts).mean(axis=0), atol=1e-4)
    model.save(tmp_path / "model.safetensors")
    again = load_detector(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.anomaly_score(x), model.anomaly_score(x))
    with pytest.raises(InputError, match="set seeds=1"):
        model.to_onnx(tmp_path / "model.onnx")


def test_correlated_background_without_labels() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1500, 1))
    band = np.hstack([x, x + 0.2 * rng.normal(size=(1500, 1))])
    off = rng.normal(size=(300, 2))
    model = AnoRand(epochs=15).fit(band[:1000])
    truth = np.repeat([0, 1], [500, 300])
    assert roc_auc_score(truth, model.anomaly_score(np.concatenate([band[1000:], off]))) > 0.8


def test_modes() -> None:
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.normal(size=(400, 3)), rng.normal(4, 1, size=(40, 3))])
    y = np.repeat([0, 1], [400, 40])
    supervised = AnoRand(epochs=5).fit(X, y)
    assert supervised.data_["anomalies"] == 40
    assert supervised._share == pytest.approx(40 / 440)
    pseudo = AnoRand(epochs=5, labels="pseudo").fit(X, y)
    np.testing.assert_array_equal(pseudo.anomaly_score(X), AnoRand(epochs=5).fit(X[:400]).anomaly_score(X))
    with pytest.raises(InputError, match="labels='pseudo' to do without"):
        AnoRand(labels="given").fit(X)
    for bad in (
        {"labels": "some"},
        {"sigma": -1.0},
        {"noised": 0.2, "grown": 0.1, "pseudo": "smote"},
        {"neighbours": 0, "pseudo": "smote"},
    ):
        with pytest.raises(InputError):
            AnoRand(**bad).fit(X)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="too few for pseudo-anomalies"):
        AnoRand(pseudo="smote").fit(X[:3])
    for bad in ({"pseudo": "made"}, {"combination": "mean"}, {"copies": 0}):
        with pytest.raises(InputError):
            AnoRand(**bad).fit(X[:400])  # type: ignore[arg-type]
