"""Performance against scikit-learn, direct counts and bootstraps."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from hepaa.errors import InputError
from hepaa.stats import performance as perf


@pytest.fixture(scope="module")
def scored():
    """Labels, rounded scores (so that there are ties) and uneven positive weights."""
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], [4000, 700])
    score = np.round(rng.normal(y * 1.1, 1.0), 2)
    return y, score, rng.gamma(2.0, 1.0, len(y))


@pytest.mark.parametrize("weighted", [False, True])
def test_areas_equal_scikit_learn(scored, weighted):
    y, score, w = scored
    w = w if weighted else None
    assert perf.auc(y, score, w) == pytest.approx(metrics.roc_auc_score(y, score, sample_weight=w), rel=1e-12)
    assert perf.auc_pr(y, score, w) == pytest.approx(
        metrics.average_precision_score(y, score, sample_weight=w), rel=1e-12
    )
    fpr, tpr, threshold = metrics.roc_curve(y, score, sample_weight=w, drop_intermediate=False)
    curve = perf.roc(y, score, w)
    np.testing.assert_allclose(curve.eps_b, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.eps_s, tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.threshold, threshold)


def test_auc_error_equals_the_bootstrap(scored):
    y, score, w = scored
    rng = np.random.default_rng(5)
    for weight in (np.ones(len(y)), w):
        replicas = [perf.auc(y, score, weight * rng.poisson(1, len(y))) for _ in range(300)]
        assert perf.auc_error(y, score, weight) == pytest.approx(np.std(replicas), rel=0.12)


def test_auc_error_counts_ties_half():
    rng = np.random.default_rng(7)
    y = np.repeat([0, 1], [900, 300])
    score = rng.integers(0, 3, len(y)) + (y & (rng.uniform(size=len(y)) < 0.4))
    replicas = [perf.auc(y, score, rng.poisson(1.0, len(y)).astype(float)) for _ in range(600)]
    assert perf.auc_error(y, score) == pytest.approx(np.std(replicas), rel=0.09)


def test_efficiency_errors_equal_the_bootstrap(scored):
    y, score, w = scored
    rng = np.random.default_rng(6)
    curve = perf.roc(y, score, w)
    i = np.searchsorted(-curve.threshold, -1.0)
    passed, background = score >= curve.threshold[i], y == 0
    replicas = []
    for _ in range(400):
        wr = w * rng.poisson(1, len(y))
        replicas.append(wr[passed & background].sum() / wr[background].sum())
    assert curve.error_b[i] == pytest.approx(np.std(replicas), rel=0.1)


def test_sic_equals_a_direct_count(scored):
    y, score, w = scored
    curve = perf.sic(y, score, w, min_events=40)
    for i in (1, 50, 300, len(curve.threshold) - 1):
        passed = score >= curve.threshold[i]
        eps_s = w[passed & (y == 1)].sum() / w[y == 1].sum()
        eps_b = w[passed & (y == 0)].sum() / w[y == 0].sum()
        assert curve.n_b[i] == np.sum(passed & (y == 0))
        assert curve.eps_s[i] == pytest.approx(eps_s)
        if eps_b > 0:
            assert curve.sic[i] == pytest.approx(eps_s / np.sqrt(eps_b))
    counts = [np.sum((score >= t) & (y == 0)) for t in np.unique(score)]
    best = max(
        w[(score >= t) & (y == 1)].sum() / w[y == 1].sum() / np.sqrt(w[(score >= t) & (y == 0)].sum() / w[y == 0].sum())
        for t, n in zip(np.unique(score), counts, strict=True)
        if n >= 40
    )
    assert curve.max == pytest.approx(best)


def test_clopper_pearson_equals_scipy_and_bands_the_sic(scored):
    for k, n in ((0, 30), (7, 30), (30, 30), (400, 1000)):
        exact = binomtest(k, n).proportion_ci(0.9, method="exact")
        low, high = perf.clopper_pearson(k / n, n, 0.9)
        assert (float(low), float(high)) == pytest.approx((exact.low, exact.high), abs=1e-9)
    y, score, w = scored
    curve = perf.sic(y, score, w)
    low, high = curve.interval(np.arange(len(curve.sic)))
    assert np.all(low[curve.quoted] < curve.sic[curve.quoted])
    assert np.all(high[curve.quoted] > curve.sic[curve.quoted])
    i = np.flatnonzero(curve.n_b > 500)[0]  # many events: the interval is the symmetric error
    assert high[i] - curve.sic[i] == pytest.approx(curve.error[i], rel=0.1)
    first = np.flatnonzero(curve.n_b == 1)[0]
    assert high[first] - curve.sic[first] > 2 * (curve.sic[first] - low[first])  # few: it is not


@pytest.mark.parametrize("separation", [1.2, 2.5])
def test_error_of_the_maximal_sic_is_that_of_repeated_experiments(separation):
    rng = np.random.default_rng(2)

    def experiment():
        y = np.repeat([0, 1], rng.poisson([4000, 800]))
        return y, rng.normal(separation * y), rng.uniform(0.5, 1.5, len(y))

    quoted = [perf.performance(*experiment(), bootstraps=40).max_sic_error for _ in range(6)]
    again = [perf.sic(*experiment()).max for _ in range(300)]
    assert np.mean(quoted) == pytest.approx(np.std(again), rel=0.1)


def test_sic_floor_hides_the_noise():
    y = np.repeat([0, 1], [1000, 10])
    score = np.concatenate([np.linspace(0, 1, 1000), np.full(10, 2.0)])
    curve = perf.sic(y, score)
    assert np.isnan(curve.sic[1])  # a perfect cut: nothing of the background passes
    assert curve.eps_b_at_max == pytest.approx(0.025)
    assert curve.max == pytest.approx(1 / np.sqrt(0.025))
    nothing = perf.sic(y[-30:], score[-30:])
    assert nothing.max is None
    assert not np.any(nothing.quoted)


def test_signal_efficiency_at_fixed_background_efficiency(scored):
    y, score, _ = scored
    curve = perf.roc(y, score)
    value, error = perf.signal_efficiency(curve, 0.1)
    threshold = np.quantile(score[y == 0], 0.9)
    assert value == pytest.approx(np.mean(score[y == 1] > threshold), abs=0.02)
    rng = np.random.default_rng(8)
    replicas = [
        perf.signal_efficiency(perf.roc(y, score, rng.poisson(1, len(y)).astype(float)), 0.1)[0] for _ in range(150)
    ]
    assert error == pytest.approx(np.std(replicas), rel=0.25)
    assert perf.signal_efficiency(curve, 1e-3) == (None, None)  # 4 events are too few


def test_negative_weights_are_counted_as_they_are():
    y = np.array([0, 0, 0, 1, 1])
    score = np.array([1.0, 2.0, 3.0, 2.5, 4.0])
    w = np.array([2.0, 2.0, -1.0, 1.0, 1.0])
    # pairs (signal above background) by hand: 2.5 beats 1, 2; 4 beats all: (4 + 3) / (2 * 3)
    assert perf.auc(y, score, w) == pytest.approx(7 / 6)
    assert np.all(np.isfinite(perf.roc(y, score, w).error_b))


def test_performance_is_ready_for_json(scored):
    y, score, w = scored
    numbers = perf.performance(y, score, w)
    assert numbers == perf.performance(y, score, w)  # same seed, same numbers
    again = json.loads(json.dumps(numbers.to_dict(), allow_nan=False))
    assert again["eps_s"]["0.001"] is None
    assert again["auc"] == perf.auc(y, score, w)
    rng = np.random.default_rng(0)
    spread = np.std([perf.auc_pr(y, score, w * rng.poisson(1, len(y))) for _ in range(200)])
    assert numbers.auc_pr_error == pytest.approx(spread, rel=0.3)


def test_numbers_and_curve_come_from_one_sorting(scored, monkeypatch):
    y, score, w = scored
    expected = perf.performance(y, score, w), perf.roc(y, score, w)
    sorts = []
    argsort = np.argsort
    monkeypatch.setattr(np, "argsort", lambda *a, **k: sorts.append(1) or argsort(*a, **k))
    numbers = perf.performance(y, score, w)
    assert len(sorts) == 1
    assert numbers == expected[0]
    assert numbers.curve.eps_s.tobytes() == expected[1].eps_s.tobytes()
    assert numbers.auc_error == perf.auc_error(y, score, w)


@pytest.mark.parametrize(
    ("y", "score", "weight", "words"),
    [
        ([0, 1], [1.0], None, "shapes"),
        ([0, 1, -1], [1.0, 2.0, 3.0], None, "found \\[-1\\]"),
        ([0, 0], [1.0, 2.0], None, "0 signal events"),
        ([0, 1], [1.0, np.nan], None, "score of event 1"),
        ([0, 1], [1.0, 2.0], [1.0, np.inf], "weight of event 1"),
        ([0, 0, 1], [1.0, 2.0, 3.0], [1.0, -1.0, 1.0], "sum of weights of 0"),
    ],
)
def test_refuses(y, score, weight, words):
    with pytest.raises(InputError, match=words):
        perf.roc(y, score, weight)


def test_no_efficiency_is_quoted_where_negative_weights_leave_none():
    quoted = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = np.repeat([0, 1], [1000, 300])
        weight = np.where(rng.random(1300) < 0.4 * (y == 0), -1.0, 1.0)
        result = perf.performance(y, rng.normal(size=1300) + y, weight, bootstraps=2)
        quoted += [value is None for value in result.eps_s.values()]
    assert any(quoted)
    assert not all(quoted)
