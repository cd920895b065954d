"""Conformal p-values by hand, uniform under the null, and the false discovery rate on toys."""

import numpy as np
import pytest
from scipy import stats

from hepaa.errors import InputError
from hepaa.stats import calibration as cal


def test_split_by_hand_with_ties():
    np.testing.assert_allclose(cal.conformal_pvalues([1, 2, 2, 3], [0, 2, 2.5, 3, 9]), [1, 0.8, 0.4, 0.4, 0.2])


def test_uniform_under_the_null():
    rng = np.random.default_rng(1)
    p = cal.conformal_pvalues(rng.gumbel(size=100_000), rng.gumbel(size=100_000))
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_super_uniform_for_small_calibration_sets():
    rng = np.random.default_rng(2)
    p = np.array([cal.conformal_pvalues(rng.normal(size=19), rng.normal(size=1))[0] for _ in range(4000)])
    for level in (0.05, 0.1, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=3.5 * np.sqrt(level * (1 - level) / 4000))
    assert p.min() == 0.05


def test_weights_correct_another_shape():
    rng = np.random.default_rng(3)
    c, s = rng.normal(0, 1, 60_000), rng.normal(0.5, 1, 20_000)  # the test distribution is shifted

    def ratio(x):
        return np.exp(0.5 * x - 0.125)

    p = cal.conformal_pvalues(c, s, weight=ratio(c), score_weight=ratio(s))
    assert stats.kstest(p, "uniform").statistic < 0.015
    assert stats.kstest(cal.conformal_pvalues(c, s), "uniform").statistic > 0.15
    np.testing.assert_allclose(cal.conformal_pvalues(c, s, weight=np.full(len(c), 0.3)), cal.conformal_pvalues(c, s))


def test_mondrian_is_uniform_in_every_slice_of_a_correlated_score():
    rng = np.random.default_rng(4)
    m, mt = rng.uniform(1, 5, 40_000), rng.uniform(1, 5, 40_000)
    c, s = m + rng.exponential(m), mt + rng.exponential(mt)
    inside = cal.conformal_pvalues(
        c, s, **dict(zip(("slices", "score_slices"), cal.mass_slices(m, mt, n=40), strict=True))
    )
    plain = cal.conformal_pvalues(c, s)
    high = mt > 4
    assert np.mean(inside[high] < 0.05) == pytest.approx(0.05, abs=0.01)
    assert np.mean(plain[high] < 0.05) > 0.1
    a, b = cal.mass_slices(m, [0.0, 3.0, 99.0], n=4)
    assert np.all(np.bincount(a) == 10_000)
    assert b.tolist() in ([0, 1, 3], [0, 2, 3])


def test_benjamini_hochberg_equals_scipy_and_controls_the_rate():
    rng = np.random.default_rng(5)
    p = rng.uniform(size=500) ** 2
    called, q = cal.benjamini_hochberg(p, 0.2)
    np.testing.assert_allclose(q, stats.false_discovery_control(p))
    np.testing.assert_array_equal(called, stats.false_discovery_control(p) <= 0.2)
    rates = []
    for _ in range(300):
        c = rng.normal(size=1000)
        s = np.concatenate([rng.normal(size=180), rng.normal(4, 1, 20)])
        called, _ = cal.benjamini_hochberg(cal.conformal_pvalues(c, s), 0.2)
        rates.append(np.sum(called[:180]) / max(np.sum(called), 1))
    assert np.mean(rates) < 0.2 + 3 * np.std(rates) / np.sqrt(300)
    assert np.mean(rates) > 0.1  # it does call events


@pytest.mark.parametrize("method", ["min", "fisher"])
def test_combination_holds_for_correlated_detectors(method):
    rng = np.random.default_rng(6)

    def detectors(n, shift=0.0):
        shared = rng.normal(size=n)
        return np.stack([stats.norm.sf(0.8 * shared + 0.6 * rng.normal(size=n) + shift) for _ in range(3)], axis=1)

    null, background, signal = detectors(30_000), detectors(30_000), detectors(2000, 1.0)
    assert stats.kstest(cal.combine_pvalues(background, null, method=method), "uniform").pvalue > 0.005
    naive = stats.chi2.sf(-2 * np.sum(np.log(background), axis=1), 6)
    assert np.mean(naive < 0.01) > 0.02  # assuming independence would call twice too many
    together = cal.combine_pvalues(signal, null, method=method)
    assert np.mean(together < 0.05) > np.mean(signal[:, 0] < 0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cal.conformal_pvalues([], [1.0]), "no calibration events"),
        (lambda: cal.conformal_pvalues([1.0, np.nan], [1.0]), "event 1 is not a number"),
        (lambda: cal.conformal_pvalues([1.0], [1.0], weight=[-1.0]), ">= 0"),
        (lambda: cal.conformal_pvalues([1.0], [1.0], slices=[1]), "both or neither"),
        (lambda: cal.conformal_pvalues([1.0], [1.0], slices=[1], score_slices=[2]), "in slice 2"),
        (lambda: cal.benjamini_hochberg([0.5], 1.5), "false discovery rate"),
        (lambda: cal.benjamini_hochberg([2.0]), "between 0 and 1"),
        (lambda: cal.combine_pvalues([[0.1, 0.2]], [[0.3]]), "2 detectors"),
        (lambda: cal.combine_pvalues([[0.1]], [[0.3]], method="fischer"), "did you mean 'fisher'"),
        (lambda: cal.mass_slices([1.0], [1.0], n=3), "3 slices of 1"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(InputError, match=words):
        call()
