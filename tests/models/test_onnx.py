"""ONNX graphs against torch, run by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hepaa.detectors import VAE, AnomalyAwareVAE, AnoRand, ContrastiveVAE, Flow
from hepaa.errors import InputError, NotFittedError

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnx", reason="pip install onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.exponential(50, 900), rng.normal(0, 2, 900), rng.gamma(2, 1, 900)]).astype(np.float32)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (VAE, {}),
        (VAE, {"seeds": 3, "hidden": (8, 4), "reconstruction": "huber", "preprocess": "standard"}),
        (VAE, {"reconstruction": "bce", "preprocess": None}),
        (AnomalyAwareVAE, {"finetune_epochs": 2}),
        (ContrastiveVAE, {"contrastive": "ntxent"}),
    ],
)
def test_scores_are_those_of_torch(cls: Any, options: dict[str, Any], X: np.ndarray, tmp_path: Path) -> None:
    data = X / X.max() + 0.3 if options.get("reconstruction") == "bce" else X
    data = np.clip(data, 0, 1) if options.get("reconstruction") == "bce" else data
    model = cls(epochs=2, **options).fit(data, (np.arange(900) >= 850).astype(int))
    model.to_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (score,) = session.run(["score"], {"features": data})
    assert score.dtype == np.float64
    np.testing.assert_allclose(score, model.anomaly_score(data), rtol=1e-5)
    meta = session.get_modelmeta().custom_metadata_map
    assert float(meta["threshold"]) == model.threshold_


@pytest.mark.parametrize("encoder", ["mlp", "conv"])
def test_pixels_that_a_model_is_certain_of_stay_finite(encoder: Any, tmp_path: Path) -> None:
    """Logits far beyond 17: 1 minus their logistic function is 0 in float32."""
    pixels = np.random.default_rng(4).integers(0, 2, (200, 64)).astype(np.float32)
    model = VAE(epochs=1, reconstruction="bce", preprocess=None, encoder=encoder, hidden=(8,)).fit(pixels)
    model.parameters_.flat *= 40
    model.to_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (score,) = session.run(["score"], {"features": pixels})
    assert score.max() > 100
    np.testing.assert_allclose(score, model.anomaly_score(pixels), rtol=1e-5, atol=1e-5)


def jets(n: int) -> np.ndarray:
    """Two jets of 4 particles, the last of the first jet padding in every other event."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 0.3, (n, 2, 4, 3))
    x[..., 0] = rng.dirichlet(np.ones(4), (n, 2))
    x[::2, 0, 3] = 0.0
    return x.reshape(n, 24).astype(np.float32)


def images(n: int) -> np.ndarray:
    return np.random.default_rng(2).random((n, 64)).astype(np.float32)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (VAE, {"posterior": "planar", "flow_context": 2}),
        (VAE, {"posterior": "sylvester-orthogonal", "seeds": 2}),
        (VAE, {"posterior": "sylvester-householder", "flow_context": 2}),
        (VAE, {"posterior": "sylvester-triangular", "prior": "dirichlet", "latent": 3}),
        (VAE, {"posterior": "conv", "latent": 3, "prior": "vamp"}),
        (VAE, {"posterior": "iaf", "flow_context": 2}),
        (VAE, {"posterior": "maf", "prior": "mixture"}),
        (VAE, {"posterior": "spline", "reconstruction": "gaussian", "preprocess": "standard"}),
        (ContrastiveVAE, {"contrastive": "ntxent", "posterior": "planar"}),
        (Flow, {"kind": "maf", "transforms": 2, "hidden": (8,), "seeds": 2}),
        (Flow, {"kind": "spline", "transforms": 2, "hidden": (8,), "measure": "preprocessed"}),
        (AnoRand, {}),
        (VAE, {"encoder": "deepsets", "particles": 4, "reconstruction": "pt-weighted", "preprocess": None}),
        (VAE, {"encoder": "transformer", "particles": 4, "reconstruction": "pt-weighted", "preprocess": None}),
        (VAE, {"encoder": "conv", "hidden": (8,), "reconstruction": "bce", "preprocess": None}),
    ],
    ids=lambda v: "-".join(str(x) for x in v.values()) if isinstance(v, dict) else v.__name__,
)
def test_recorded_graphs_give_the_scores_of_torch(cls: Any, options: dict, X: np.ndarray, tmp_path: Path) -> None:
    data = jets(300) if "particles" in options else images(300) if options.get("encoder") == "conv" else X
    model = cls(epochs=1, learning_rate=0.01, **options).fit(data[:200])
    model.to_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for rows in (data, data[:1]):
        (score,) = session.run(["score"], {"features": rows})
        assert score.dtype == np.float64
        np.testing.assert_allclose(score, model.anomaly_score(rows), rtol=1e-5, atol=1e-6)
    assert float(session.get_modelmeta().custom_metadata_map["threshold"]) == model.threshold_


def test_what_has_no_onnx_form_says_so(X: np.ndarray, tmp_path: Path) -> None:
    model = VAE(epochs=1, posterior="sylvester-orthogonal", flow_context=2).fit(X)  # a decomposition for each event
    with pytest.raises(InputError, match="has no ONNX form"):
        model.to_onnx(tmp_path / "m.onnx")
    with pytest.raises(NotFittedError):
        VAE().to_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
