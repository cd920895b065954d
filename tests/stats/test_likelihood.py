"""Toys against exact Poisson sums, asymptotic formulas against toys, and the tests on real saved scores."""

import numpy as np
import pytest
from scipy import optimize, stats

from hepaa.errors import InputError
from hepaa.stats import likelihood as lr
from hepaa.stats.significance import asimov


def test_one_bin_is_an_exact_poisson_test():
    t = lr.simple_test([30.0], [45.0], toys=100_000, rng=np.random.default_rng(0))
    # q grows with n: P(q >= E1[q]) = P(n >= 45 | 30)
    exact = stats.poisson.sf(44, 30.0)
    assert t.at_mean.p == pytest.approx(exact, rel=5 / np.sqrt(100_000 * exact))
    assert t.mean_alternative == pytest.approx(2 * (45 * np.log(1.5) - 15))
    assert not t.at_mean.bound


def test_q_is_minus_two_ln_of_the_likelihood_ratio():
    nu0, nu1 = np.array([5.0, 9.0, 2.0]), np.array([4.0, 7.0, 6.0])
    t = lr.simple_test(nu0, nu1, toys=4, rng=np.random.default_rng(1))
    rng = np.random.default_rng(1)
    n = np.array([[rng.poisson(v) for v in nu0] for _ in range(4)])
    q = -2 * (stats.poisson.logpmf(n, nu0).sum(1) - stats.poisson.logpmf(n, nu1).sum(1))
    np.testing.assert_allclose(t.q_null, np.sort(q))


def test_saddle_point_equals_toys():
    rng = np.random.default_rng(2)
    nu0 = 400 * stats.expon.pdf(np.linspace(0.1, 5, 50))
    nu0 *= 400 / nu0.sum()
    nu1 = nu0 * (1 + 0.3 * np.linspace(0, 2, 50))
    t = lr.simple_test(nu0, nu1, toys=100_000, rng=rng)
    assert t.q_null.mean() == pytest.approx(t.mean_null, abs=5 * t.q_null.std() / np.sqrt(100_000))
    assert t.q_alternative.mean() == pytest.approx(t.mean_alternative, abs=5 * t.q_alternative.std() / np.sqrt(100_000))
    assert 1.5 < t.z_mean < 4
    assert t.z_mean == pytest.approx(t.at_mean.z, abs=0.03)
    assert t.z_symmetric == pytest.approx(t.at_symmetric.z, abs=0.02)
    assert np.mean(t.q_null >= t.symmetric_q) == pytest.approx(np.mean(t.q_alternative <= t.symmetric_q), abs=1e-4)
    assert (t.z_symmetric, t.z_mean) == pytest.approx(lr.separation(nu0, nu1))


def test_saddle_point_holds_for_few_and_skewed_events():
    nu0, nu1 = np.linspace(1.2, 0.3, 12), np.linspace(1.4, 0.9, 12)
    t = lr.simple_test(nu0, nu1, toys=150_000, rng=np.random.default_rng(9))
    assert 1.0 < t.z_mean < 3.5
    assert t.z_mean == pytest.approx(t.at_mean.z, abs=0.03)


def test_the_saddle_point_is_continuous_at_the_mean():
    nu, slope = np.array([20.0, 3.0]), np.array([2.0, -1.0])
    below, at, above = (lr._saddle_z(37.0 + x, nu, slope) for x in (-1e-3, 0.0, 1e-3))
    assert below < at < above
    assert at == pytest.approx((below + above) / 2, abs=1e-6)


def test_toys_that_run_out_give_a_bound():
    t = lr.simple_test([100.0, 50.0], [200.0, 150.0], toys=1000, rng=np.random.default_rng(3))
    assert t.at_mean.bound
    assert t.at_mean.p == 1 / 1001
    assert str(t.at_mean) == "> 3.09 sigma"
    assert t.z_mean > 8


def test_separation_luminosity():
    nu0, nu1 = np.array([500.0, 300.0, 60.0]), np.array([480.0, 310.0, 90.0])
    for point, which in (("symmetric", 0), ("mean", 1)):
        l5 = lr.separation_luminosity(5.0, nu0, nu1, at=100.0, point=point)
        assert lr.separation(nu0 * l5 / 100, nu1 * l5 / 100)[which] == pytest.approx(5.0, abs=1e-6)
    # Gaussian limit at the symmetric point: Z grows as the root of the luminosity
    assert lr.separation_luminosity(5.0, nu0, nu1, at=1.0) / lr.separation_luminosity(
        2.5, nu0, nu1, at=1.0
    ) == pytest.approx(4, rel=0.03)


def test_q0_is_the_maximised_likelihood():
    rng = np.random.default_rng(4)
    s, b = np.array([1.0, 4.0, 2.0]), np.array([20.0, 8.0, 1.5])
    for n in (rng.poisson(b + s), np.array([40, 20, 9]), np.array([0, 0, 30])):

        def nll(mu, n=n):
            return -2 * stats.poisson.logpmf(n, mu * s + b).sum()

        best = optimize.minimize_scalar(nll, bounds=(0, 100), method="bounded", options={"xatol": 1e-10})
        assert lr.q0_of(n, s, b) == pytest.approx(max(nll(0) - best.fun, 0), abs=1e-6)
    assert lr.q0_of(np.array([10, 5, 1]), s, b) == 0
    # on the expected counts with the shape of the signal: many bins of the Asimov formula
    assert lr.q0_of(s + b, s, b) == pytest.approx(np.sum(asimov(s, b) ** 2), rel=1e-10)


def test_discovery_toys_follow_half_a_chi_square():
    s, b = np.linspace(1, 6, 20), np.full(20, 60.0)
    t = lr.discovery_test(s, b, toys=40_000, rng=np.random.default_rng(5))
    assert np.mean(t.q_background == 0) == pytest.approx(0.5, abs=0.02)
    for z in (1.0, 2.0):
        p = stats.norm.sf(z)
        assert np.mean(t.q_background >= z**2) == pytest.approx(p, rel=0.1)
    assert t.z_median == pytest.approx(t.z_asimov, rel=0.02)
    assert t.median.z == pytest.approx(t.z_asimov, abs=0.25)


def test_same_seed_same_toys():
    first, second = (lr.simple_test([9.0], [12.0], toys=50, rng=np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.q_null, second.q_null)


def test_saved_scores_of_the_published_study(data):
    sm, eft = (
        np.loadtxt(data / "scores" / f"eft_vae_vh_chw_{name}_recons_zp005_cHW_normalised_001.txt")
        for name in ("zero", "zp005")
    )
    edges = np.append(np.quantile(sm, np.linspace(0, 1, 31))[:-1], sm.max())
    at = 10.0
    null, alternative = (
        at * cross_section_fb * np.histogram(scores.clip(edges[0], edges[-1]), edges)[0] / len(scores)
        for scores, cross_section_fb in ((sm, 14.009), (eft, 17.125))
    )
    assert null.sum() == pytest.approx(140.09)
    assert alternative.sum() == pytest.approx(171.25)
    t = lr.simple_test(null, alternative, toys=100_000, rng=np.random.default_rng(8))
    assert t.z_mean == pytest.approx(t.at_mean.z, abs=0.06)  # 3 standard deviations of 100,000 toys
    assert t.z_symmetric == pytest.approx(t.at_symmetric.z, abs=0.06)  # 3 standard deviations of 100,000 toys
    # the shape of the score adds to the rate
    rate_only = lr.separation([null.sum()], [alternative.sum()])
    assert t.z_mean > rate_only[1] * 1.02


@pytest.mark.parametrize(
    ("null", "alternative", "words"),
    [
        ([1.0, 2.0], [1.0, 0.0], "bin 1 is empty in one"),
        ([1.0], [1.0], "same events"),
        ([1.0, -1.0], [1.0, 1.0], "negative"),
        ([1.0], [1.0, 2.0], "shapes"),
    ],
)
def test_refuses(null, alternative, words):
    with pytest.raises(InputError, match=words):
        lr.simple_test(null, alternative, toys=10, rng=np.random.default_rng(0))


def test_discovery_refuses():
    with pytest.raises(InputError, match="b > 0"):
        lr.discovery_test([1.0], [0.0], rng=np.random.default_rng(0))


def test_a_value_that_all_toys_exceed_has_a_finite_significance():
    low, high = lr.ToyP.count(10, 10), lr.ToyP.count(0, 10)
    assert (low.p, high.p) == (1.0, 1 / 11)
    assert low.z == pytest.approx(-high.z)
    assert lr.ToyP.count(9, 10).z == pytest.approx(low.z)
