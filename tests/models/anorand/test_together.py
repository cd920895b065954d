"""Detectors that are trained at once on tables of their own equal those that are trained alone."""

from __future__ import annotations

import numpy as np
import pytest

from hepaa.detectors import AnoRand
from hepaa.errors import InputError
from hepaa.models.anorand.together import fit_together


def tables(count: int, n: int = 300) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [n - 30, 30])
    return [rng.normal(labels[:, None] * 1.5, 1 + k, size=(n, 4)) for k in range(count)], [labels] * count


@pytest.mark.parametrize("options", [{"labels": "given"}, {"labels": "pseudo", "seeds": 2}])
def test_each_equals_its_own_fit(options: dict[str, object]) -> None:
    X, y = tables(3)
    alone = [AnoRand(seed=10 * k, epochs=3, **options).fit(X[k], y[k]) for k in range(3)]  # type: ignore[arg-type]
    together = fit_together([AnoRand(seed=10 * k, epochs=3, **options) for k in range(3)], X, y)  # type: ignore[arg-type]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(other.anomaly_score(X[0]), one.anomaly_score(X[0]), rtol=1e-4, atol=1e-5)
        assert other.threshold_ == pytest.approx(one.threshold_, rel=1e-4, abs=1e-5)
        assert other.data_ == one.data_
    assert not np.allclose(together[0].anomaly_score(X[0]), together[1].anomaly_score(X[0]))


def test_a_look_on_the_way_is_a_shorter_training() -> None:
    X, y = tables(2)
    seen = {}
    models = [AnoRand(seed=k, epochs=4, labels="given") for k in range(2)]
    fit_together(models, X, y, at=(2, 4), watch=lambda epoch: seen.update({epoch: models[1].anomaly_score(X[0])}))
    assert list(seen) == [2, 4]
    shorter = AnoRand(seed=1, epochs=2, labels="given").fit(X[1], y[1])
    np.testing.assert_allclose(seen[2], shorter.anomaly_score(X[0]), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(seen[4], models[1].anomaly_score(X[0]))


def test_what_is_refused() -> None:
    X, y = tables(2)

    def fit(options: dict[str, object], tables: list[np.ndarray] = X) -> None:
        fit_together([AnoRand(epochs=1), AnoRand(epochs=1, **options)], tables, y)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="differ in their seed alone"):
        fit({"sigma": 3.0})
    with pytest.raises(InputError, match="checkpoint is set"):
        fit({"checkpoint": "there.safetensors"})
    with pytest.raises(InputError, match="y has shape"):
        fit({}, [X[0], X[1][:200]])
    with pytest.raises(InputError, match="different numbers"):
        fit_together([AnoRand(epochs=1), AnoRand(epochs=1)], [X[0], X[1][:200]], [y[0], y[1][:200]])
    with pytest.raises(InputError, match="one of each"):
        fit_together([AnoRand()], X)
