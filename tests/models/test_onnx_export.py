"""ONNX graphs against torch, run by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hepaa.detectors import VAE, AnomalyAwareVAE, ContrastiveVAE, Flow
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


def test_what_has_no_onnx_form_says_so(X: np.ndarray, tmp_path: Path) -> None:
    planar = ContrastiveVAE(epochs=1, contrastive="ntxent", posterior="planar").fit(X)
    flow = Flow(epochs=1, kind="maf", transforms=1, hidden=(4,)).fit(X)
    for model in (planar, flow):
        with pytest.raises(InputError, match="has no ONNX form"):
            model.to_onnx(tmp_path / "m.onnx")
    with pytest.raises(NotFittedError):
        VAE().to_onnx(tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
