"""One contract for every detector, presets, saving, and the numbers of the paper's kind on real data."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import ensemble
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from hepaa.detectors import (
    VAE,
    AnomalyAwareVAE,
    IsolationForest,
    NeuralDetector,
    SumOfSquares,
    SupervisedBoosting,
    load_detector,
)
from hepaa.errors import InputError, NotFittedError
from hepaa.io.sealed import sealed, unsealed
from hepaa.models.base import weighted_quantile
from hepaa.models.presets import DETECTORS, PRESETS, detector
from hepaa.table import EventTable
from hepaa.table.preprocess import SkewLogStandardize

if TYPE_CHECKING:
    from pathlib import Path

    from hepaa.detectors import Detector

SMALL: dict[str, dict[str, Any]] = {
    "VAE": {"epochs": 6, "batch_size": 64},
    "AnomalyAwareVAE": {"epochs": 4, "finetune_epochs": 4, "batch_size": 64},
    "ContrastiveVAE": {"epochs": 6, "batch_size": 64, "contrastive": "ntxent"},
    "Flow": {"epochs": 6, "batch_size": 64, "kind": "maf", "transforms": 2, "hidden": (16,)},
    "AnomalyAwareFlow": {
        "epochs": 4, "finetune_epochs": 4, "batch_size": 64, "kind": "maf", "transforms": 2, "hidden": (16,),
        "learning_rate": 3e-3,
    },
    "AnoRand": {"epochs": 5, "batch_size": 64},
    "AnoRand without labels": {"epochs": 5, "batch_size": 64, "labels": "pseudo"},
    "ContrastiveEncoder": {
        "epochs": 3, "batch_size": 250, "encoder": "mlp", "hidden": (16,), "embedding": 4, "projection": 8,
        "preprocess": "skewlog", "views": "noise", "view_noise": 0.3, "learning_rate": 1e-2,
    },
    "NeuralClassifier": {"epochs": 3, "batch_size": 400, "hidden": (16,), "learning_rate": 1e-2},
    "GaussianMixture": {"components": 4},
    "NearestNeighbours": {},
    "Ensemble": {"members": ("gaussian-mixture", "isolation-forest"), "method": "fisher"},
    "RelevantDensity": {"members": ("nearest-neighbours", "gaussian-mixture")},
    "PseudoLabelled": {"detector": "aa-lhco"},
    "OutlierModel": {"model": "IsolationForest", "options": {"n_estimators": 30}},
    "SumOfSquares": {},
    "IsolationForest": {"trees": 30},
    "SupervisedBoosting": {"iterations": 20},
    "TreeEnsemble": {"members": 4, "iterations": 20},
    "VAE with IAF, mixture": {
        "epochs": 4, "batch_size": 100, "learning_rate": 3e-3, "posterior": "iaf", "flow_steps": 2, "flow_context": 2,
        "prior": "mixture",
    },
    "VAE with Householder, Dirichlet": {
        "epochs": 4, "batch_size": 100, "learning_rate": 3e-3, "posterior": "sylvester-householder", "flow_steps": 1,
        "prior": "dirichlet", "latent": 3, "reconstruction": "huber",
    },
}  # fmt: skip
VARIANTS: dict[str, type[Detector]] = {name: DETECTORS[name.split()[0]] for name in SMALL}
NEURAL = [name for name, cls in VARIANTS.items() if issubclass(cls, NeuralDetector)]
COLUMNS = ("pt", "eta", "mass", "dr", "phi")


def small(name: str, **more: Any) -> Detector:
    return VARIANTS[name](**{**SMALL[name], **more})


@pytest.fixture(scope="module")
def events() -> EventTable:
    """1,000 background events of correlated features and 200 anomalies."""
    rng = np.random.default_rng(5)

    def draw(n: int, scale: float) -> np.ndarray:
        pt = rng.exponential(60 * scale, n)
        eta = rng.normal(0, 1.5, n)
        return np.column_stack([pt, eta, pt * 0.3 + rng.exponential(20, n), rng.gamma(3, 1, n), rng.uniform(-3, 3, n)])

    X = np.concatenate([draw(1000, 1.0), draw(200, 3.0)])
    return EventTable.build(X, COLUMNS, label=np.repeat([0, 1], [1000, 200]))


@pytest.fixture(scope="module")
def fitted(events: EventTable) -> dict[str, Detector]:
    return {name: small(name).fit(events) for name in VARIANTS}


@pytest.mark.parametrize("name", VARIANTS)
class TestContract:
    def test_scores_are_many_finite_and_higher_for_anomalies(self, name: str, fitted: Any, events: Any) -> None:
        score = fitted[name].anomaly_score(events)
        assert score.dtype == np.float64
        assert score.shape == (1200,)
        assert np.isfinite(score).all()
        assert roc_auc_score(events.label, score) > 0.6
        floor = 0.5 if name in {"SupervisedBoosting", "TreeEnsemble"} else 0.9  # trees give many events the same leaf
        assert len(np.unique(score)) > floor * len(score)
        np.testing.assert_array_equal(score, fitted[name].decision_function(events))

    def test_scores_do_not_depend_on_the_company(self, name: str, fitted: Any, events: Any) -> None:
        score = fitted[name].anomaly_score(events)
        np.testing.assert_allclose(fitted[name].anomaly_score(events[500:600]), score[500:600], rtol=1e-5)

    def test_same_seed_same_bytes(self, name: str, fitted: Any, events: Any) -> None:
        again = small(name).fit(events).anomaly_score(events)
        np.testing.assert_array_equal(again, fitted[name].anomaly_score(events))

    def test_another_seed_another_detector(self, name: str, fitted: Any, events: Any) -> None:
        if name in {"SumOfSquares", "SupervisedBoosting", "NearestNeighbours"}:
            assert name != "SupervisedBoosting" or "seed" in fitted[name].get_params()
            return
        other = small(name, seed=1).fit(events).anomaly_score(events)
        assert not np.array_equal(other, fitted[name].anomaly_score(events))

    def test_two_threads_give_what_one_gives(self, name: str, events: Any) -> None:
        scores = []
        before = torch.get_num_threads()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            scores.append(small(name).fit(events).anomaly_score(events))
        torch.set_num_threads(before)
        np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6)

    def test_threshold_and_predict_follow_pyod(self, name: str, fitted: Any, events: Any) -> None:
        model = clone(fitted[name]).set_params(contamination=0.2).fit(events)
        predicted = model.predict(events.background)
        assert set(np.unique(predicted)) <= {0, 1}
        assert predicted.mean() == pytest.approx(0.2, abs=0.02)
        assert model.predict(events.signal).mean() > 0.3
        np.testing.assert_array_equal(clone(model).fit_predict(events), model.predict(events))

    def test_clone_and_parameters(self, name: str, fitted: Any) -> None:
        copy = clone(fitted[name])
        assert copy.get_params() == fitted[name].get_params()
        assert not hasattr(copy, "threshold_")
        with pytest.raises(NotFittedError, match=r"call fit first"):
            copy.anomaly_score(np.zeros((2, 5)))
        assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(type(copy)).parameters.values())
        assert not any(parameter.endswith("_") for parameter in copy.get_params())
        with pytest.raises(TypeError, match="unexpected keyword argument 'width'"):
            small(name, width=3)
        with pytest.raises(TypeError, match="positional"):
            type(copy)(3)

    def test_works_in_a_pipeline(self, name: str, events: Any) -> None:
        pipe = Pipeline([("scale", StandardScaler()), ("detector", small(name, preprocess=None))])
        score = pipe.fit(events.X, events.label).decision_function(events.X)
        assert roc_auc_score(events.label, score) > 0.6

    def test_columns_are_matched_by_name(self, name: str, fitted: Any, events: Any) -> None:
        score = fitted[name].anomaly_score(events)
        turned = events.select(COLUMNS[::-1])
        np.testing.assert_array_equal(fitted[name].anomaly_score(turned), score)
        frame = pd.DataFrame(events.X, columns=COLUMNS).assign(more=0.0)
        np.testing.assert_array_equal(fitted[name].anomaly_score(frame), score)
        np.testing.assert_array_equal(fitted[name].anomaly_score(events.X), score)
        with pytest.raises(InputError, match="needs column 'dr', which this table lacks"):
            fitted[name].anomaly_score(frame.drop(columns="dr"))
        with pytest.raises(InputError, match="4 features"):
            fitted[name].anomaly_score(events.X[:, :4])

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_what_is_not_finite(self, name: str, value: float, fitted: Any, events: Any) -> None:
        X = np.array(events.X)
        X[11, 2] = value
        with pytest.raises(InputError, match=r"column 2 is (NaN|infinity .inf.) in row 11"):
            small(name).fit(X, events.label)
        with pytest.raises(InputError, match=r"'mass' is (NaN|infinity .inf.) in row 11"):
            fitted[name].anomaly_score(X)

    def test_refuses_what_cannot_train(self, name: str, events: Any) -> None:
        X, y = np.array(events.X), events.label
        flat = X.copy()
        flat[:, 1] = 4.0
        with pytest.raises(InputError, match=r"'eta' is constant \(4\)"):
            small(name).fit(EventTable.build(flat, COLUMNS, label=y))
        with pytest.raises(InputError, match="none of the 200 training events has label 0"):
            small(name).fit(events.signal)
        with pytest.raises(InputError, match="at least 2 background events"):
            small(name).fit(X[999:], y[999:])
        with pytest.raises(InputError, match=r"y has shape \(7,\) for 1200 events"):
            small(name).fit(X, y[:7])
        with pytest.raises(InputError, match="y must be whole numbers"):
            small(name).fit(X, y + 0.5)
        with pytest.raises(InputError, match="one weight an event"):
            small(name).fit(X, y, sample_weight=np.ones(3))
        with pytest.raises(InputError, match="contamination is 0"):
            small(name, contamination=0).fit(events)
        with pytest.raises(InputError, match="preprocess is 'log'"):
            small(name, preprocess="log").fit(events)

    def test_only_label_zero_teaches_the_background(self, name: str, events: Any) -> None:
        """Data (label -1) leave no trace; nor do anomalies, unless the detector learns from them."""
        junk = EventTable.build(np.full((50, 5), 1e4) + np.arange(50)[:, None], COLUMNS, label=-1)
        X = np.concatenate([events.X, junk.X])
        with_data = small(name).fit(X, np.r_[events.label, junk.label])
        clean = small(name).fit(events.X, events.label)
        np.testing.assert_array_equal(with_data.anomaly_score(events), clean.anomaly_score(events))
        assert clean.data_["background"] == 1000
        assert clean.data_["anomalies"] == (200 if clean.uses_labels else 0)
        if not clean.uses_labels:
            alone = small(name).fit(events.background.X)
            np.testing.assert_array_equal(alone.anomaly_score(events), clean.anomaly_score(events))


@pytest.mark.parametrize("name", NEURAL)
class TestNeuralContract:
    def test_loss_falls(self, name: str, fitted: Any) -> None:
        history = fitted[name].history_
        assert len(history["total"]) == sum(stage.epochs for stage in fitted[name]._stages())
        before_finetuning = history["total"][: fitted[name].epochs]
        assert before_finetuning[-1] < 0.97 * before_finetuning[0]

    def test_every_parameter_gets_gradient(self, name: str, events: Any) -> None:
        model = small(name, epochs=1).fit(events)
        start = small(name, epochs=1, learning_rate=1e-12).fit(events)
        for key, tensor in model.parameters_.tensors.items():
            assert (tensor != start.parameters_.tensors[key]).any(), key

    def test_save_and_load(self, name: str, fitted: Any, events: Any, tmp_path: Path) -> None:
        path = tmp_path / "m.safetensors"
        fitted[name].save(path)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["m.json", "m.safetensors"]
        again = load_detector(path)
        assert type(again) is type(fitted[name])
        np.testing.assert_array_equal(again.anomaly_score(events), fitted[name].anomaly_score(events))
        np.testing.assert_array_equal(again.predict(events), fitted[name].predict(events))
        assert again.history_ == fitted[name].history_
        assert again.finetune_from == fitted[name].finetune_from == (4 if name.startswith("AnomalyAware") else None)
        assert again.get_params() == fitted[name].get_params()
        again.fit(events)

    def test_members_are_single_models(self, name: str, events: Any) -> None:
        if "seeds" not in VARIANTS[name]().get_params():
            assert small(name).seeds == 1
            return
        if name == "AnoRand without labels":
            pytest.skip("its members share the pseudo-anomalies of the first seed")
        together = small(name, seeds=2, seed=3).fit(events)
        each = [small(name, seed=s).fit(events).anomaly_score(events) for s in (3, 4)]
        scores = together.member_scores(together.prepared(events))
        np.testing.assert_allclose(scores, each, rtol=1e-3)
        np.testing.assert_allclose(together.anomaly_score(events), np.mean(scores, axis=0), rtol=1e-12)

    def test_equal_weights_are_no_weights_and_unequal_ones_count(self, name: str, fitted: Any, events: Any) -> None:
        score = fitted[name].anomaly_score(events)
        equal = small(name).fit(events.with_weight(np.full(len(events), 0.25)))
        np.testing.assert_array_equal(equal.anomaly_score(events), score)
        weight = np.where(events.label == 0, 1 + 9 * (events["eta"] > 0), 1.0)
        heavy = events.background["eta"] > 0
        ratio = []
        for weighted_loss in (True, False):
            model = small(name, epochs=15, weighted_loss=weighted_loss).fit(events, sample_weight=weight)
            error = model.anomaly_score(events.background)
            ratio.append(error[heavy].sum() / error[~heavy].sum())
        assert ratio[0] < 0.98 * ratio[1]  # events of weight 10 are learned better

    def test_no_negative_weight_is_lost_in_silence(self, name: str, events: Any) -> None:
        weight = np.where(np.arange(len(events)) % 10 == 0, -1.0, 1.0)
        assert np.isfinite(small(name).fit(events, sample_weight=weight).anomaly_score(events)).all()
        with pytest.raises(InputError, match="background events sum to -1000"):
            small(name).fit(events, sample_weight=-np.ones(len(events)))

    def test_parameters_that_make_no_sense(self, name: str, events: Any) -> None:
        for bad in (
            {"seeds": 0}, {"epochs": 0}, {"epochs": "9"}, {"epochs": 2.5}, {"batch_size": 0}, {"seed": -1},
            {"reconstruction": "chi2"}, {"hidden": 16}, {"hidden": (0,)}, {"gradient_clip": 0}, {"learning_rate": -1},
            {"beta": -1},
        ):  # fmt: skip
            if set(bad) <= set(VARIANTS[name]().get_params()):
                with pytest.raises(InputError, match=next(iter(bad))):
                    small(name, **bad).fit(events)  # type: ignore[arg-type]


def test_scores_of_a_vae_are_its_reconstruction_errors(fitted: dict[str, Any], events: EventTable) -> None:
    out = fitted["VAE"].outputs(events)
    by_hand = ((out["x"] - out["x_hat"][0]) ** 2).sum(axis=1)
    np.testing.assert_allclose(fitted["VAE"].anomaly_score(events), by_hand, rtol=1e-5)
    np.testing.assert_allclose(out["z"], out["mu"])


def test_baselines_are_what_they_say(events: EventTable) -> None:
    z = SkewLogStandardize().fit(events.background).transform(events)
    np.testing.assert_allclose(SumOfSquares().fit(events).anomaly_score(events), (z.astype(float) ** 2).sum(1))
    forest = ensemble.IsolationForest(n_estimators=50, random_state=2).fit(z[:1000])
    ours = IsolationForest(trees=50, seed=2).fit(events).anomaly_score(events)
    np.testing.assert_allclose(ours, -forest.score_samples(z))
    with pytest.raises(InputError, match="cannot be saved"):
        IsolationForest().fit(events).save("model.safetensors")


@pytest.mark.parametrize("preprocess", ["skewlog", None])
def test_the_sum_of_squares_is_saved_too(preprocess: Any, events: EventTable, tmp_path: Path) -> None:
    model = SumOfSquares(preprocess=preprocess).fit(events)
    model.save(tmp_path / "z2.safetensors")
    again = load_detector(tmp_path / "z2.safetensors")
    assert type(again) is SumOfSquares
    np.testing.assert_array_equal(again.anomaly_score(events), model.anomaly_score(events))
    np.testing.assert_array_equal(again.predict(events), model.predict(events))
    assert again.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        SumOfSquares().save(tmp_path / "none.safetensors")


def test_learning_from_labels_needs_labels(events: EventTable) -> None:
    for model in (AnomalyAwareVAE(epochs=1), SupervisedBoosting()):
        with pytest.raises(InputError, match="learns from labelled anomalies, but none of the 1000"):
            model.fit(events.background)


@pytest.mark.parametrize(
    "bad", [{"penalty": "clamp"}, {"normalisation": "class"}, {"anomaly_fraction": 1.0}, {"finetune_epochs": 0}]
)
def test_fine_tuning_parameters_that_make_no_sense(bad: dict[str, Any], events: EventTable) -> None:
    with pytest.raises(InputError):
        AnomalyAwareVAE(epochs=1, **bad).fit(events)


def test_every_penalty_and_normalisation_trains(events: EventTable) -> None:
    for penalty, normalisation in (("clip", "batch"), ("hinge", "literal"), ("log", "per-class")):
        model = small("AnomalyAwareVAE", penalty=penalty, normalisation=normalisation).fit(events)
        assert np.isfinite(model.anomaly_score(events)).all()
        assert model.history_["anomaly"][:4] == [0.0] * 4
        assert all(v < 0 for v in model.history_["anomaly"][4:])


def test_images_need_the_unit_interval(events: EventTable) -> None:
    pixels = np.random.default_rng(0).beta(0.3, 1.0, (400, 12))
    pixels[:, 3] = 0.0  # a corner that is never lit is no error where nothing is standardised
    model = VAE(hidden=(16,), latent=3, reconstruction="bce", preprocess=None, epochs=5, batch_size=32).fit(pixels)
    out = model.outputs(pixels)
    probability = 1 / (1 + np.exp(-out["x_hat"][0].astype(float)))
    by_hand = -(pixels * np.log(probability) + (1 - pixels) * np.log(1 - probability)).sum(axis=1)
    np.testing.assert_allclose(model.anomaly_score(pixels), by_hand, rtol=1e-4)
    with pytest.raises(InputError, match=r"needs features in \[0, 1\]"):
        VAE(reconstruction="bce", epochs=1).fit(events)


def test_early_stopping_through_the_estimator(events: EventTable) -> None:
    model = VAE(epochs=300, validation_fraction=0.3, patience=3, learning_rate=0.02).fit(events)
    assert len(model.history_["validation"]) < 300
    with pytest.raises(InputError, match="set validation_fraction"):
        VAE(patience=3).fit(events)


def test_presets_are_the_published_settings() -> None:
    aa = detector("aa-lhco", seed=7)
    assert isinstance(aa, AnomalyAwareVAE)
    expected = {"hidden": (16,), "latent": 2, "batch_size": 128, "epochs": 50, "finetune_epochs": 10, "clip": 200.0}
    assert {k: v for k, v in aa.get_params().items() if k in expected} == expected
    assert (aa.lambda_max, aa.seed, aa.normalisation) == (1.0, 7, "per-class")
    cicids = detector("aa-cicids").get_params()
    assert (cicids["batch_size"], cicids["finetune_epochs"], cicids["lambda_max"]) == (512, 20, 5.0)
    mnist = detector("aa-mnist").get_params()
    assert (mnist["hidden"], mnist["latent"], mnist["reconstruction"], mnist["epochs"]) == ((400,), 20, "bce", 10)
    assert (mnist["finetune_epochs"], mnist["lambda_max"], mnist["preprocess"]) == (5, 0.1, None)
    for name in PRESETS:
        assert type(detector(name, seed=1)) is DETECTORS[PRESETS[name][0]]
    for name, cls in DETECTORS.items():
        assert type(detector(name, seed=1)) is cls
    with pytest.raises(InputError, match="did you mean 'aa-zh'"):
        detector("aa-zhh")
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        detector("aa-zh", epoch=3)


def test_a_saved_detector_is_refused_when_something_is_wrong(fitted: dict[str, Any], tmp_path: Path) -> None:
    path, sidecar = tmp_path / "m.safetensors", tmp_path / "m.json"
    fitted["VAE"].save(path)
    record = json.loads(sidecar.read_text())
    assert record["feature_names"] == list(COLUMNS)
    assert record["seeds"] == [0]
    assert record["data"]["background"] == 1000
    assert set(record["versions"]) == {"hepaa", "numpy", "python", "scikit-learn", "torch"}

    def refused(message: str, **change: Any) -> None:
        sidecar.write_text(json.dumps(sealed({**unsealed(record), **change})))
        with pytest.raises(InputError, match=message):
            load_detector(path)

    refused("format version 99 .* upgrade it", format_version=99)
    refused("is unknown; did you mean 'VAE'", **{"class": "VAEE"})
    refused("does not describe a hepaa detector", format="other")
    refused("parameters have shape", parameters={**record["parameters"], "latent": 5})
    sidecar.write_text("{")
    with pytest.raises(InputError, match="is no JSON file"):
        load_detector(path)
    sidecar.write_text(json.dumps(record))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match="damaged"):
        load_detector(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_detector(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        fitted["VAE"].save(tmp_path / "m.pt")
    with pytest.raises(InputError, match="folder"):
        fitted["VAE"].save(tmp_path / "none" / "m.safetensors")
    with pytest.raises(NotFittedError):
        VAE().save(path)


def test_weighted_quantile_by_hand() -> None:
    values = np.array([3.0, 1.0, 2.0, 4.0])
    assert weighted_quantile(values, 0.5, None) == 2.0
    assert weighted_quantile(values, 0.5, np.array([1.0, 7.0, 1.0, 1.0])) == 1.0
    assert weighted_quantile(values, 0.9, np.array([1.0, 7.0, 1.0, 1.0])) == 3.0
    repeated = np.repeat(values, [1, 7, 1, 1])
    for q in (0.1, 0.33, 0.71, 0.85, 0.99):
        assert weighted_quantile(values, q, np.array([1.0, 7.0, 1.0, 1.0])) == weighted_quantile(repeated, q, None)


@pytest.fixture(scope="module")
def signal_region(data: Path) -> dict[str, np.ndarray]:
    """LHC Olympics signal region: m_j1, dm_j, tau21 of both jets; training, fine-tuning and test events."""
    train = np.load(data / "lhco" / "cathode_innerdata_train.npy")
    extra = np.load(data / "lhco" / "cathode_innerdata_extrasig_train.npy")
    test = np.load(data / "lhco" / "cathode_innerdata_test.npy")
    X = np.concatenate([train[train[:, 5] == 0][:35000, 1:5], extra[:14000, 1:5]])
    return {"X": X, "y": np.repeat([0, 1], [35000, 14000]), "test": test[:, 1:5], "truth": test[:, 5]}


@pytest.mark.slow
def test_lhco_signal_region_reaches_the_measured_values(signal_region: dict[str, np.ndarray]) -> None:
    """AUC of an independent implementation: VAE 0.706 +- 0.005, Anomaly-Aware 0.944 +- 0.001, z^2 0.771."""

    def auc(model: Detector) -> Any:
        model.fit(signal_region["X"], signal_region["y"])
        if isinstance(model, NeuralDetector):
            x = model.prepared(signal_region["test"])
            return np.mean([roc_auc_score(signal_region["truth"], s) for s in model.member_scores(x)])
        return roc_auc_score(signal_region["truth"], model.anomaly_score(signal_region["test"]))

    assert auc(SumOfSquares()) == pytest.approx(0.771, abs=0.001)
    assert auc(SupervisedBoosting()) == pytest.approx(0.970, abs=0.003)
    assert auc(detector("vae-lhco", epochs=10, seeds=5)) == pytest.approx(0.706, abs=0.015)
    assert auc(detector("aa-lhco", epochs=10, seeds=5)) == pytest.approx(0.944, abs=0.005)
