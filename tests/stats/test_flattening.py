"""Flattened scores: a cut keeps the same fraction of background at every mass, and still finds the signal."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from hepaa.errors import InputError, NotFittedError
from hepaa.stats.flattening import QuantileFlattening

N = 60_000


def correlated(n, rng):
    """Score whose mean and width grow with the mass."""
    mass = 2000 + rng.exponential(800.0, n)
    return (mass / 1000) + (0.3 + mass / 8000) * rng.gamma(2.0, 1.0, n), mass


@pytest.fixture(scope="module")
def toys():
    rng = np.random.default_rng(0)
    return correlated(N, rng), correlated(N, rng)


def pass_fractions(score, mass, kept):
    passed = score >= np.quantile(score, 1 - kept)
    slices = np.array_split(np.argsort(mass), 20)
    return np.array([passed[s].mean() for s in slices]), len(score) / 20


@pytest.mark.parametrize("kept", [0.5, 0.1, 0.02])
def test_pass_fraction_is_flat_in_mass(toys, kept):
    (cal_score, cal_mass), (score, mass) = toys
    raw, n = pass_fractions(score, mass, kept)
    flat, _ = pass_fractions(QuantileFlattening(40).fit(cal_score, cal_mass).transform(score, mass), mass, kept)
    # both the calibration and the test sample fluctuate
    error = np.sqrt(2 * kept * (1 - kept) / n)
    assert np.sum(((flat - flat.mean()) / error) ** 2) < stats.chi2.isf(1e-3, 19) * 1.3
    assert np.sum(((raw - raw.mean()) / error) ** 2) > 500


def test_polynomials_make_no_bump_of_what_two_slices_have_by_chance():
    """Scores that do not depend on the mass, learned beside a gap: the part kept in the gap, in 20 calibrations."""
    kept, test = {None: [], 2: []}, np.random.default_rng(1).exponential(size=40_000)
    for seed in range(20):
        rng = np.random.default_rng([2, seed])
        mass = 2600 + rng.exponential(500.0, 12_000)
        mass = mass[(mass < 3300) | (mass > 3700)]
        score = rng.exponential(size=len(mass))
        for degree, parts in kept.items():
            flat = QuantileFlattening(degree=degree).fit(score, mass)
            cut = np.quantile(flat.transform(score, mass), 0.99)
            parts.append((flat.transform(test, np.full(len(test), 3500.0)) > cut).mean())
    spread = {degree: np.std(parts) / 0.01 for degree, parts in kept.items()}
    assert spread[2] < 0.6 * spread[None]
    np.testing.assert_allclose(np.mean(kept[2]), 0.01, rtol=0.15)


@pytest.mark.parametrize("kept", [0.5, 0.1, 0.02])
def test_polynomials_follow_what_varies_slowly(toys, kept):
    (cal_score, cal_mass), (score, mass) = toys
    flat = QuantileFlattening(degree=3).fit(cal_score, cal_mass).transform(score, mass)
    fractions, _ = pass_fractions(flat, mass, kept)
    np.testing.assert_allclose(fractions[:-1] / kept, 1, atol=0.25)  # the last reaches far beyond its mean mass
    assert stats.kstest(flat, "expon").statistic < 0.015


def test_polynomials_keep_the_order_within_a_mass(toys):
    (cal_score, cal_mass), _ = toys
    flatten = QuantileFlattening(degree=2).fit(cal_score, cal_mass)
    for mass in (1000.0, 2400.0, 9000.0):
        assert np.all(np.diff(flatten.transform(np.linspace(0, 60, 400), np.full(400, mass))) >= -1e-12)


def test_background_becomes_exponential(toys):
    (cal_score, cal_mass), (score, mass) = toys
    flat = QuantileFlattening(40).fit(cal_score, cal_mass).transform(score, mass)
    assert stats.kstest(flat, "expon").statistic < 0.01


def test_order_within_a_mass_is_kept_also_beyond_the_calibration(toys):
    (cal_score, cal_mass), _ = toys
    flatten = QuantileFlattening(20).fit(cal_score, cal_mass)
    score = np.linspace(0, 60, 400)
    for mass in (1000.0, 2400.0, 3777.0, 9000.0):
        flat = flatten.transform(score, np.full(400, mass))
        assert np.all(np.diff(flat) >= -1e-12)
        high = score > 20  # far beyond all calibration scores at low masses
        assert np.all(np.diff(flat[high]) > 0)


def test_signal_at_one_mass_is_still_found(toys):
    (cal_score, cal_mass), (score, mass) = toys
    rng = np.random.default_rng(1)
    signal_mass = rng.normal(3000, 50, 2000)
    signal = 3.0 + 0.675 * rng.gamma(5.0, 1.0, 2000)  # background has a gamma of 2 there
    flatten = QuantileFlattening(20).fit(cal_score, cal_mass)
    near = np.abs(mass - 3000) < 100
    truth = np.repeat([0, 1], [near.sum(), 2000])
    values = np.concatenate([flatten.transform(score[near], mass[near]), flatten.transform(signal, signal_mass)])
    raw = np.concatenate([score[near], signal])
    assert roc_auc_score(truth, values) == pytest.approx(roc_auc_score(truth, raw), abs=0.01)


def test_weights_stand_for_events(toys):
    (score, mass), _ = toys
    few = slice(0, 4000)
    twice = np.tile(score[few], 2), np.tile(mass[few], 2)
    one = QuantileFlattening(5).fit(score[few], mass[few], np.full(4000, 2.0)).transform(score[few], mass[few])
    two = QuantileFlattening(5).fit(*twice).transform(score[few], mass[few])
    inside = two < np.quantile(two, 0.99)  # the tail's slope comes from ranks
    np.testing.assert_allclose(one[inside], two[inside], atol=0.02)


def test_refuses():
    with pytest.raises(NotFittedError):
        QuantileFlattening().transform([1.0], [1.0])
    with pytest.raises(InputError, match="too few"):
        QuantileFlattening().fit(np.ones(10), np.ones(10))
    with pytest.raises(InputError, match="give one an event"):
        QuantileFlattening().fit(np.ones(100), np.ones(99))
    with pytest.raises(InputError, match="not finite"):
        QuantileFlattening().fit(np.full(100, np.nan), np.ones(100))
    with pytest.raises(InputError, match="one or more"):
        QuantileFlattening(0)
