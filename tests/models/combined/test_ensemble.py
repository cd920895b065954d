"""Ensembles, pseudo-labels, and outlier models of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn import neighbors
from sklearn.metrics import roc_auc_score

from hepaa.detectors import (
    AnomalyAwareVAE,
    AnoRand,
    Ensemble,
    GaussianMixture,
    IsolationForest,
    OutlierModel,
    PseudoLabelled,
    SumOfSquares,
    SupervisedBoosting,
    load_detector,
)
from hepaa.errors import InputError, NotFittedError
from hepaa.models.combined.ensemble import Rarity
from hepaa.table.preprocess import SkewLogStandardize

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def ring() -> tuple[np.ndarray, np.ndarray]:
    """Background on a correlated band, anomalies off it at the same marginal values."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(3000, 1))
    background = np.hstack([x, x + 0.2 * rng.normal(size=(3000, 1))])
    return background, rng.normal(size=(500, 2))


def test_rarity_is_the_share_above_and_goes_on_beyond() -> None:
    rng = np.random.default_rng(0)
    scores = rng.exponential(2.0, 50_000)
    rarity = Rarity(scores)
    s = np.array([0.5, 1.0, 3.0, 6.0, 12.0, 30.0, 300.0])
    np.testing.assert_allclose(rarity(s), s / 2.0, rtol=0.08)  # -log of the survival function of an exponential
    assert (np.diff(rarity(np.linspace(-3, 300, 1000))) > 0).all()
    weight = np.where(scores > 2, 3.0, 1.0)
    share = weight[scores > 4].sum() / weight.sum()
    assert Rarity(scores, weight)(np.array([4.0]))[0] == pytest.approx(-np.log(share), abs=0.01)


def test_the_mean_of_scores(ring: tuple[np.ndarray, np.ndarray]) -> None:
    X = ring[0]
    both = Ensemble(members=(GaussianMixture(components=3), GaussianMixture(components=5, seed=2))).fit(X)
    alone = [m.fit(X).anomaly_score(X) for m in (GaussianMixture(components=3), GaussianMixture(components=5, seed=2))]
    np.testing.assert_allclose(both.anomaly_score(X), np.mean(alone, axis=0))


@pytest.mark.parametrize(("method", "by_hand"), [("fisher", np.sum), ("max", np.max)])
def test_combinations_of_rarities(method: str, by_hand: object, ring: tuple[np.ndarray, np.ndarray]) -> None:
    X, odd = ring
    names = ("sum-of-squares", "isolation-forest")
    both = Ensemble(members=names, method=method).fit(X)  # type: ignore[arg-type]
    expected = []
    for member in (SumOfSquares(), IsolationForest()):
        inside = member.fit(X).anomaly_score(X)
        score = member.anomaly_score(odd)
        expected.append(-np.log([(inside > s).mean() + 1e-9 for s in score]))
    usual = np.max(expected, axis=0) < 3  # beyond, the tail is continued
    np.testing.assert_allclose(both.anomaly_score(odd)[usual], by_hand(expected, axis=0)[usual], atol=0.1)  # type: ignore[operator]


def test_a_handicap_takes_off_nats_before_the_largest_is_taken(
    ring: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, odd = ring
    names = ("gaussian-mixture", "sum-of-squares")
    plain = Ensemble(members=names, method="max").fit(X)
    model = Ensemble(members=names, method="max", handicap=(0.0, 1.5)).fit(X)
    first, second = plain.member_scores(plain.prepared(odd))
    np.testing.assert_array_equal(model.anomaly_score(odd), np.maximum(first, second - 1.5))
    assert (model.anomaly_score(odd) != plain.anomaly_score(odd)).any()
    model.save(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(
        load_detector(tmp_path / "m.safetensors").anomaly_score(odd), model.anomaly_score(odd)
    )
    steep = Ensemble(members=names, method="max", handicap=(0.0, 1.5), slope=(1.0, 2.0)).fit(X)
    np.testing.assert_array_equal(steep.anomaly_score(odd), np.maximum(first, 2.0 * second - 1.5))
    for bad in ({"handicap": (1.0,)}, {"handicap": 1.0}, {"slope": (1.0, -1.0)}, {"method": "fisher"}):
        with pytest.raises(InputError, match=r"handicap|slope"):
            Ensemble(**({"members": names, "method": "max", "handicap": (1.0, 0.0)} | bad)).fit(X)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["score", "max"])
def test_an_ensemble_is_saved_with_its_members(
    method: str, ring: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, odd = ring
    names = ("gaussian-mixture", "sum-of-squares", "nearest-neighbours")
    model = Ensemble(members=names, method=method, seed=3).fit(X)  # type: ignore[arg-type]
    model.save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors")
    assert isinstance(again, Ensemble)
    np.testing.assert_array_equal(again.anomaly_score(odd), model.anomaly_score(odd))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    for members, message in (((SumOfSquares(),), "given as an object"), (("isolation-forest",), "cannot be saved")):
        with pytest.raises(InputError, match=message):
            Ensemble(members=members).fit(X).save(tmp_path / "n.safetensors")
    with pytest.raises(NotFittedError):
        Ensemble().save(tmp_path / "n.safetensors")


def test_a_member_that_needs_labels_gets_them(ring: tuple[np.ndarray, np.ndarray]) -> None:
    X, odd = ring
    y = np.repeat([0, 1], [len(X), len(odd)])
    members = (AnomalyAwareVAE(epochs=3, finetune_epochs=3), SumOfSquares())
    model = Ensemble(members=members, method="max").fit(np.concatenate([X, odd]), y)
    alone = AnomalyAwareVAE(epochs=3, finetune_epochs=3).fit(np.concatenate([X, odd]), y)
    np.testing.assert_array_equal(model.members_[0]._score(model.prepared(X)), alone.anomaly_score(X))
    with pytest.raises(InputError, match="AnomalyAwareVAE learns from labelled anomalies"):
        Ensemble(members=members).fit(X)
    for bad in ({"members": ()}, {"members": "vae-zh"}, {"members": ("vae-zz",)}, {"method": "median"}):
        with pytest.raises(InputError):
            Ensemble(**bad).fit(X)  # type: ignore[arg-type]


def test_pseudo_labels_take_the_place_of_labels(ring: tuple[np.ndarray, np.ndarray]) -> None:
    X, odd = ring
    y = np.repeat([0, 1], [len(X), len(odd)])

    model = PseudoLabelled(detector=SupervisedBoosting(iterations=50), noised=0.2, grown=0.3).fit(X)
    assert roc_auc_score(y, model.anomaly_score(np.concatenate([X, odd]))) > 0.85
    # the same as Anomaly Awareness with the pseudo-anomalies as labels
    z = SkewLogStandardize().fit(X).transform(X)
    settings = {"epochs": 2, "finetune_epochs": 2, "preprocess": None}
    used = AnoRand(pseudo="smote", sigma=1.0, preprocess=None).with_pseudo_anomalies(
        IsolationForest(preprocess=None)._prepare(z, *[None] * 3)
    )
    labels = np.repeat([0, 1], [len(used.background), len(used.anomalies)])
    alone = AnomalyAwareVAE(**settings).fit(np.concatenate([used.background, used.anomalies]), labels)  # type: ignore[arg-type]
    aware = PseudoLabelled(detector=AnomalyAwareVAE(**settings)).fit(X)  # type: ignore[arg-type]
    np.testing.assert_allclose(aware.anomaly_score(X), alone.anomaly_score(z), rtol=1e-6)
    with pytest.raises(InputError, match="VAE takes no labels"):
        PseudoLabelled(detector="vae-zh").fit(X[:100])


def test_outlier_models_have_our_sign_and_weights(ring: tuple[np.ndarray, np.ndarray]) -> None:
    X, odd = ring
    z = SkewLogStandardize().fit(X).transform(X)
    theirs = neighbors.LocalOutlierFactor(n_neighbors=35, novelty=True).fit(z)
    ours = OutlierModel(options={"n_neighbors": 35}).fit(X)
    np.testing.assert_allclose(ours.anomaly_score(X), -theirs.score_samples(z))
    assert roc_auc_score(np.repeat([0, 1], [3000, 500]), ours.anomaly_score(np.concatenate([X, odd]))) > 0.8
    few = X[::6]
    heavy = np.where(few[:, 0] > 0, 20.0, 1.0)
    for model in ("KernelDensity", "OneClassSVM", "EllipticEnvelope"):  # the first two take weights, the last does not
        plain, weighted = OutlierModel(model=model).fit(few), OutlierModel(model=model).fit(few, sample_weight=heavy)
        gain = plain.anomaly_score(few) - weighted.anomaly_score(few)
        assert gain[few[:, 0] > 0.5].mean() > gain[few[:, 0] < -0.5].mean(), model
    with pytest.raises(InputError, match="300 of 3000 background events have negative"):
        OutlierModel().fit(X, sample_weight=np.where(np.arange(3000) < 300, -1.0, 1.0))
    with pytest.raises(InputError, match="did you mean 'n_neighbors'"):
        OutlierModel(options={"n_neighbour": 3}).fit(X)
    with pytest.raises(InputError, match="did you mean 'LocalOutlierFactor'"):
        OutlierModel(model="LocalOutlierFacto").fit(X)


@pytest.mark.filterwarnings("ignore")  # of PyOD's own
@pytest.mark.parametrize("name", ["pyod.ECOD", "KNN", "COPOD", "PCA"])
def test_models_of_pyod(name: str, ring: tuple[np.ndarray, np.ndarray]) -> None:
    pyod = pytest.importorskip("pyod.models.ecod", reason="PyOD is an extra: pip install 'hepaa[baselines]'")
    X, odd = ring
    far = np.concatenate([X, odd * 4])
    model = OutlierModel(model=name, seed=1).fit(X)
    assert roc_auc_score(np.repeat([0, 1], [3000, 500]), model.anomaly_score(far)) > 0.75
    if name == "pyod.ECOD":
        z = SkewLogStandardize().fit(X).transform(X)
        np.testing.assert_allclose(model.anomaly_score(X), pyod.ECOD().fit(z).decision_function(z))
