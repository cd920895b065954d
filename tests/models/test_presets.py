"""Detectors by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hepaa.detectors import detector
from hepaa.errors import InputError


def test_every_preset_is_there_whatever_was_imported_before() -> None:
    code = "from hepaa.models.presets import PRESETS, detector\nprint(all(detector(name) for name in PRESETS))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "True"


def test_outlier_models_are_detectors_by_name_and_as_they_are() -> None:
    from sklearn.neighbors import LocalOutlierFactor

    ecod = pytest.importorskip("pyod.models.ecod", reason="PyOD is not installed").ECOD
    rng = np.random.default_rng(0)
    X, test = rng.normal(size=(200, 3)), rng.normal(0.0, 2.0, (50, 3))
    by_name = detector("ECOD", preprocess=None).fit(X)
    np.testing.assert_array_equal(by_name.anomaly_score(test), ecod().fit(X).decision_function(test))
    as_it_is = detector(ecod(contamination=0.02), preprocess=None)
    assert (as_it_is.model, as_it_is.options) == ("pyod.ECOD", {"contamination": 0.02})
    near = detector(LocalOutlierFactor(n_neighbors=5))
    assert (near.model, near.options) == ("sklearn.LocalOutlierFactor", {"n_neighbors": 5})
    assert detector("IsolationForest").__class__.__name__ == "IsolationForest"
    with pytest.raises(InputError, match="dict: give the name of a detector"):
        detector({})
    with pytest.raises(InputError, match="'ECOT' is unknown"):
        detector("ECOT")
