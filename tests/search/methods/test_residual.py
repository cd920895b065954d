"""The residual method on a planted Gaussian of which density and number are known."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.searches import WINDOW, background, log_background, log_signal, planted, table
from scipy import optimize, stats

from hepaa.errors import InputError
from hepaa.search import Residual
from hepaa.search.methods.residual import _excess, _fraction
from hepaa.stats.performance import auc

N, SIGNAL = 3000, 60


def small(**options):
    return Residual(WINDOW, **{"members": 4, "components": 3, **options})


@pytest.fixture(scope="module")
def data():
    return planted(N, SIGNAL)


@pytest.fixture(scope="module")
def fitted(data):
    return small().fit_rows(data, np.random.default_rng(0))


def test_the_fraction_of_a_planted_signal_is_found(fitted, data):
    inside = WINDOW.in_signal(data.mass)
    truth = inside[N:].sum() / inside.sum()
    signal = fitted.signal_
    assert abs(signal.fraction - truth) < 2 * signal.error
    assert 0.5 * np.sqrt(truth / inside.sum()) < signal.error < 0.05  # no better than counting, and not much worse
    assert signal.z > 5
    assert len(signal.evidence) == 4
    assert (signal.evidence > 4).all()


def test_the_signal_that_was_found_looks_like_the_planted_one(fitted):
    sample = fitted.signal_.sample(4000)
    np.testing.assert_allclose(sample.mean(axis=0), [1.8, -1.8], atol=0.15)
    np.testing.assert_allclose(sample.std(axis=0), [0.25, 0.25], atol=0.1)
    np.testing.assert_array_equal(sample, fitted.signal_.sample(4000, np.random.default_rng(0)))
    assert (sample[:10] != fitted.signal_.sample(10, np.random.default_rng(1))).all()


def test_the_score_ranks_events_as_the_exact_likelihood_ratio_does(fitted):
    """Other events than those that were learned."""
    other = planted(N, 300, seed=1)
    other = other[WINDOW.in_signal(other.mass)]
    score, exact = fitted.score_rows(other), log_signal(other) - log_background(other)
    truth = exact > np.sort(exact)[-250]
    assert auc(truth, score) > 0.99
    assert np.mean((score - exact)[truth]) == pytest.approx(0, abs=1.5)  # ranges over ten


def test_where_nothing_is_the_fraction_is_none():
    """The best of many places: a few sigma by chance, and not the six that a single outlier once made."""
    for seed in range(6):
        rows = background(N, np.random.default_rng([9, seed]))
        signal = small().fit_rows(rows, np.random.default_rng(0)).signal_
        assert abs(signal.fraction) < 4.5 * signal.error
        assert abs(signal.z) < 4.5
        assert signal.fraction < 0.2


def test_an_outlier_is_no_evidence():
    """One event of the signal region where the density of the background is nearly none."""
    rows = background(N, np.random.default_rng(3))
    rows.x[np.flatnonzero(WINDOW.in_signal(rows.mass))[0]] = [-3.5, 3.5]
    signal = small().fit_rows(rows, np.random.default_rng(0)).signal_
    assert signal.z < 4.5
    assert signal.fraction < 0.2


def test_same_events_and_seed_give_the_same_bytes(data):
    one, same, other = (small(members=2).fit(table(data), seed=s).score(table(data)) for s in (0, 0, 1))
    assert one.tobytes() == same.tobytes()
    assert (one != other).any()


def test_labels_of_other_regions_do_not_matter_and_neither_do_their_events(data):
    """Events in a gap are left out."""
    gap = WINDOW.moved((3300, 3700))
    with_gap = type(gap)("m", (3300, 3700), ((2600, 3200), (3700, 5500)))
    moved = data.x.copy()
    moved[(data.mass >= 3200) & (data.mass < 3300)] += 1
    other = type(data)(moved, data.mass, data.columns)
    one, same = (
        Residual(with_gap, members=1, components=2).fit_rows(rows, np.random.default_rng(0)).signal_
        for rows in (data, other)
    )
    np.testing.assert_array_equal(one.means, same.means)
    assert one.fraction == same.fraction


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"starts": 0}, "starts is 0"),
        ({"centres": 0}, "centres is 0"),
        ({"iterations": 1.5}, "iterations is 1.5"),
        ({"prior_width": 0}, "prior_width is 0"),
        ({"background": "kde"}, "background 'kde' is unknown"),
        ({"components": 0}, "components is 0"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(data, options, message):
    with pytest.raises(InputError, match=message):
        small(**options).fit_rows(data, np.random.default_rng(0))


class TestFractions:
    """Events that are Gaussian with fraction 1 - f and another, narrow Gaussian with fraction f."""

    @staticmethod
    def q(x):
        return (stats.norm(2, 0.2).pdf(x) / stats.norm.pdf(x) - 1)[:, None]

    def test_most_likely_fraction_and_information_are_those_of_a_minimiser(self):
        rng = np.random.default_rng(0)
        q = self.q(np.r_[rng.normal(size=900), rng.normal(2, 0.2, 100)])
        fraction, information = _fraction(q, np.ones((1000, 1)), np.array([-0.1]))
        exact = optimize.minimize_scalar(lambda f: -np.log1p(f * q).sum(), bounds=(-0.01, 0.5), method="bounded")
        assert fraction[0] == pytest.approx(exact.x, abs=1e-5)
        assert information[0] == pytest.approx(np.sum((q / (1 + exact.x * q)) ** 2), rel=1e-3)

    def test_pulls_of_the_excess_are_standard(self):
        """The reference has as many events, and none of the signal."""
        pulls = []
        for seed in range(150):
            rng = np.random.default_rng([1, seed])
            n = rng.binomial(500, 0.05)
            q = self.q(np.r_[rng.normal(size=500 - n), rng.normal(2, 0.2, n)])
            excess, error = _excess(q, np.ones((500, 1)), self.q(rng.normal(size=500)))
            pulls.append((excess[0] - 0.05) / error[0])
        assert np.mean(pulls) == pytest.approx(0, abs=0.3)
        assert np.std(pulls) == pytest.approx(1, abs=0.2)

    def test_an_event_alone_where_the_reference_has_none_is_one_sigma(self):
        q = np.r_[1e7, -np.ones(499)][:, None]
        excess, error = _excess(q, np.ones((500, 1)), -np.ones((500, 1)))
        assert excess[0] == pytest.approx(1 / 500, rel=0.01)
        assert excess[0] / error[0] == pytest.approx(1, abs=0.05)
        twenty = np.r_[np.full(20, 1e7), -np.ones(480)][:, None]
        excess, error = _excess(twenty, np.ones((500, 1)), -np.ones((500, 1)))
        assert excess[0] / error[0] == pytest.approx(np.sqrt(20), rel=0.05)

    def test_events_of_weight_zero_do_not_count(self):
        q = self.q(np.random.default_rng(2).normal(size=400))
        half = np.repeat([1.0, 0.0], 200)[:, None]
        one = _fraction(q, half, np.array([-0.01]))
        other = _fraction(q[:200], np.ones((200, 1)), np.array([-0.01]))
        np.testing.assert_allclose(one, other)


@pytest.mark.slow
def test_pulls_of_the_fraction_over_many_samples():
    pulls = []
    for seed in range(60):
        rows = planted(N, SIGNAL, seed=seed)
        inside = WINDOW.in_signal(rows.mass)
        signal = small(members=2).fit_rows(rows, np.random.default_rng(0)).signal_
        pulls.append((signal.fraction - inside[N:].sum() / inside.sum()) / signal.error)
    assert abs(np.mean(pulls)) < 0.5
    assert np.std(pulls) < 1.2
