"""Densities without what labelled anomalies show to be irrelevant, and the marginals that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from hepaa.detectors import Ensemble, GaussianMixture, RelevantDensity, SumOfSquares, load_detector
from hepaa.errors import InputError, NotFittedError
from hepaa.models.combined.relevant_density import distance
from hepaa.table import EventTable
from hepaa.table.preprocess import SkewLogStandardize

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("mass", "eta", "y")


def events(n: int, mass: float, label: int, seed: int) -> EventTable:
    """Anomalies are off in the mass; eta and y are those of background."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(mass, 1, n), 2 * rng.standard_t(4, n), rng.laplace(0, 1, n)])
    return EventTable.build(X, COLUMNS, label=label)


@pytest.fixture(scope="module")
def background() -> EventTable:
    return events(4000, 0.0, 0, 1)


@pytest.fixture(scope="module")
def labelled(background: EventTable) -> EventTable:
    heavy = events(400, 2.5, 1, 2)
    X, y = np.concatenate([background.X, heavy.X]), np.concatenate([background.label, heavy.label])
    return EventTable.build(X, COLUMNS, label=y)


MEMBERS = ("nearest-neighbours", "gaussian-mixture")


def test_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=300).round(1), rng.normal(0.3, 1.2, 80).round(1)  # with ties
    equal = distance(x, y, np.ones(300), np.full(80, 7.0))
    assert equal == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-12)
    times = rng.integers(1, 4, 300)
    weighted = distance(x, y, times.astype(float), np.ones(80))
    assert weighted == pytest.approx(stats.ks_2samp(np.repeat(x, times), y).statistic, abs=1e-12)
    assert weighted != pytest.approx(equal, abs=1e-4)


@pytest.mark.parametrize("preprocess", ["skewlog", None])
def test_a_marginal_is_the_integral_over_the_other_features(preprocess: str | None) -> None:
    rng = np.random.default_rng(4)
    pt = rng.exponential(2.0, 3000)
    X = np.column_stack([pt, 0.5 * pt + rng.normal(size=3000)])
    model = GaussianMixture(components=4, preprocess=preprocess).fit(X)  # type: ignore[arg-type]
    assert model.preprocessor_ is None or model.preprocessor_.log_.tolist() == [True, False]
    grid = np.linspace(-12, 24, 4001)
    for at in (0.3, 2.0, 6.0):
        line = np.column_stack([np.full_like(grid, at), grid])
        integral = np.trapezoid(np.exp(-model.anomaly_score(line)), grid)
        one = model.prepared(line[:1])[:, [0]]
        assert model.marginal([0])._score(one)[0] == pytest.approx(-np.log(integral), rel=1e-5)
    x = model.prepared(X[:50])
    turned = model.marginal([1, 0])._score(np.ascontiguousarray(x[:, ::-1]))
    np.testing.assert_allclose(turned, model._score(x), rtol=1e-5)


def test_the_part_of_a_transformation(labelled: EventTable) -> None:
    whole = SkewLogStandardize().fit(labelled)
    part = whole.part(np.array([2, 0]))
    np.testing.assert_array_equal(part.transform(labelled.select(["y", "mass"])), whole.transform(labelled)[:, [2, 0]])
    assert list(part.get_feature_names_out()) == ["y", "mass"]


def test_what_does_not_matter_is_left_out_whatever_the_direction(background: EventTable, labelled: EventTable) -> None:
    model, plain = RelevantDensity(members=MEMBERS).fit(labelled), Ensemble(members=MEMBERS).fit(labelled)
    assert model.kept_.tolist() == [0]
    for mass in (2.5, -2.5):  # the labels have seen the first alone
        tested = events(2000, mass, 1, 3)
        y = np.repeat([0, 1], [background.n, tested.n])
        areas = [roc_auc_score(y, np.r_[m.anomaly_score(background), m.anomaly_score(tested)]) for m in (model, plain)]
        assert areas[0] > areas[1] + 0.02, mass
    mixture = GaussianMixture().fit(labelled)
    x = model.prepared(labelled)
    left_out = mixture._score(x) - mixture.marginal([0])._score(x[:, [0]])
    np.testing.assert_allclose(model.anomaly_score(labelled), plain.anomaly_score(labelled) - left_out, rtol=1e-9)
    # an anomaly that differs in all features, or a change too small to count, leaves nothing out
    assert RelevantDensity(members=MEMBERS, alike=0.0).fit(labelled).kept_.tolist() == [0, 1, 2]
    assert RelevantDensity(members=MEMBERS, gain=0.5).fit(labelled).kept_.tolist() == [0, 1, 2]


def test_without_labels_it_is_the_plain_ensemble(background: EventTable) -> None:
    model, plain = RelevantDensity(members=MEMBERS).fit(background), Ensemble(members=MEMBERS).fit(background)
    np.testing.assert_array_equal(model.anomaly_score(background), plain.anomaly_score(background))


def test_labels_can_be_told_later(background: EventTable, labelled: EventTable, tmp_path: Path) -> None:
    at_once, later = RelevantDensity(members=MEMBERS).fit(labelled), RelevantDensity(members=MEMBERS).fit(background)
    assert later.tell(labelled) is later
    np.testing.assert_array_equal(later.kept_, at_once.kept_)
    np.testing.assert_allclose(later.anomaly_score(labelled), at_once.anomaly_score(labelled), rtol=1e-12)
    assert later.threshold_ == pytest.approx(at_once.threshold_, rel=1e-12)
    # weights count: with the anomalies that are off in eta too, eta matters
    wide = np.array(labelled.X)
    odd = np.flatnonzero(labelled.label == 1)[:200]
    wide[odd, 1] = 9.0
    weight = np.ones(len(wide))
    for small, kept in ((1e-6, [0]), (1.0, [0, 1])):
        weight[odd] = small
        assert later.tell(wide, labelled.label, weight).kept_.tolist() == kept
    later.save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.anomaly_score(labelled), later.anomaly_score(labelled))
    assert again.get_params() == later.get_params()
    for table, y in ((background, None), (labelled.X, None), (labelled, np.ones(3))):
        with pytest.raises(InputError, match="tell needs a label for each"):
            later.tell(table, y)
    with pytest.raises(NotFittedError):
        RelevantDensity().tell(labelled)


def test_what_it_refuses(labelled: EventTable) -> None:
    with pytest.raises(InputError, match="none of the members is a GaussianMixture"):
        RelevantDensity(members=(SumOfSquares(),)).fit(labelled)
    for bad in ({"alike": -0.1}, {"gain": 2}):
        with pytest.raises(InputError, match=next(iter(bad))):
            RelevantDensity(members=MEMBERS, **bad).fit(labelled)  # type: ignore[arg-type]
