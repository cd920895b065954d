"""Densities: a mixture against scikit-learn's, neighbours by brute force, and units no preprocessing can change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import mixture
from sklearn.metrics import roc_auc_score

from hepaa.detectors import Flow, GaussianMixture, NearestNeighbours
from hepaa.errors import InputError
from hepaa.models.presets import detector


@pytest.fixture(scope="module")
def two_blobs() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.concatenate([rng.normal([0, 0], [1, 0.3], (3000, 2)), rng.normal([5, 4], [0.5, 2], (1500, 2))])


def test_a_mixture_is_scikit_learns(two_blobs: np.ndarray) -> None:
    ours = GaussianMixture(components=2, preprocess=None, floor=1e-6, iterations=200).fit(two_blobs)
    theirs = mixture.GaussianMixture(2, reg_covar=1e-6, tol=1e-6, max_iter=200, random_state=0).fit(two_blobs)
    np.testing.assert_allclose(ours.anomaly_score(two_blobs), -theirs.score_samples(two_blobs), atol=0.01)
    np.testing.assert_allclose(np.sort(np.exp(ours.log_weights_[0])), [1 / 3, 2 / 3], atol=0.01)


def test_a_weight_of_two_is_the_event_twice(two_blobs: np.ndarray) -> None:
    twice = np.arange(len(two_blobs)) < 3000
    X = np.concatenate([two_blobs, two_blobs[twice]])
    weighted = GaussianMixture(components=2, preprocess=None, iterations=300).fit(two_blobs, sample_weight=1.0 + twice)
    repeated = GaussianMixture(components=2, preprocess=None, iterations=300).fit(X)
    np.testing.assert_allclose(weighted.anomaly_score(X), repeated.anomaly_score(X), atol=0.04)
    with pytest.raises(InputError, match="450 of 4500 background events have negative weights"):
        GaussianMixture().fit(two_blobs, sample_weight=np.where(np.arange(4500) % 10, 1.0, -1.0))


@pytest.mark.parametrize("copies", [1, 6])
def test_neighbours_by_hand_in_few_and_many_dimensions(two_blobs: np.ndarray, copies: int) -> None:
    X = np.tile(two_blobs[::10], copies)
    model = NearestNeighbours(preprocess=None).fit(X)
    assert model.k_ == round(len(X) ** 0.5)
    fresh = np.random.default_rng(0).uniform(-3, 8, (40, 2 * copies)).astype(np.float32)
    distance = np.sort(np.linalg.norm(fresh[:, None] - X.astype(np.float32), axis=2), axis=1)[:, : model.k_]
    np.testing.assert_allclose(model.anomaly_score(fresh), 2 * copies * np.log(distance.mean(axis=1)), rtol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        Flow(kind="maf", transforms=2, hidden=(32,), epochs=40, batch_size=256),
        GaussianMixture(components=4),
    ],
    ids=lambda model: type(model).__name__,
)
def test_the_density_is_one_per_unit_of_the_features(model: Flow | GaussianMixture) -> None:
    """Closed form: 1 + mass is log-normal, so log1p makes a normal of it, and the score must undo the logarithm."""
    law = stats.lognorm(s=0.8, loc=-1.0, scale=30.0)
    rng = np.random.default_rng(2)
    X = np.column_stack([law.rvs(4000, random_state=rng).clip(0), rng.normal(2, 3, 4000)])
    fresh = np.column_stack([rng.uniform(10, 150, 500), rng.uniform(-2, 6, 500)])
    model.fit(X)
    assert model.preprocessor_ is not None
    assert model.preprocessor_.log_.tolist() == [True, False]
    truth = -law.logpdf(fresh[:, 0]) - stats.norm(2, 3).logpdf(fresh[:, 1])
    assert np.mean(np.abs(model.anomaly_score(fresh) - truth)) < 0.12
    model.set_params(measure="preprocessed")
    spread = np.std(model.anomaly_score(fresh) - truth)
    model.set_params(measure="features")
    assert spread > 0.5


@pytest.mark.parametrize("bad", [{"components": 0}, {"floor": 0}, {"restarts": 0}, {"measure": "gev"}, {"seed": -1}])
def test_parameters_that_make_no_sense(bad: dict[str, object], two_blobs: np.ndarray) -> None:
    with pytest.raises(InputError, match=next(iter(bad))):
        GaussianMixture(**bad).fit(two_blobs)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neighbours"):
        NearestNeighbours(neighbours=0).fit(two_blobs)


@pytest.mark.slow
def test_label_free_signal_region(data: object) -> None:
    """Neighbours in GeV find W' -> XY better than GMM-32 of scikit-learn did (AUC 0.789), without a label."""
    train = np.load(data / "lhco" / "cathode_innerdata_train.npy")  # type: ignore[operator]
    test = np.load(data / "lhco" / "cathode_innerdata_test.npy")  # type: ignore[operator]
    units = np.array([1000, 1000, 1, 1])
    model = detector("nearest-neighbours").fit(train[train[:, 5] == 0][:35000, 1:5] * units)
    assert roc_auc_score(test[:, 5], model.anomaly_score(test[:, 1:5] * units)) > 0.80
