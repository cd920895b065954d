"""ABCD and sideband fits on toys; sculpting on masses that are and are not correlated with the cut."""

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.spatial.distance import jensenshannon

from hepaa.errors import InputError
from hepaa.stats import sidebands as bkg

EDGES = np.geomspace(1200, 7000, 41)
X = (EDGES[1:] + EDGES[:-1]) / 2 / 13000
SPECTRUM = np.diff(EDGES) * 2e-4 * (1 - X) ** 9 * X**-5.0


def test_abcd_by_hand():
    x, y = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    t = bkg.abcd(x, y, 0.5, 0.5)
    assert (t.a, t.b, t.c, t.d) == (2, 1, 2, 4)
    assert t.predicted == 1
    assert t.error == pytest.approx(np.sqrt(1 / 2 + 1 / 2 + 1 / 4))
    assert bkg.abcd_contamination(t, (2.0, 9.0, 0.0, 0.0)) == pytest.approx(1.0)
    with pytest.raises(InputError, match="region D"):
        bkg.abcd(x[4:], y[4:], 0.5, 0.5)


@pytest.mark.parametrize("weighted", [False, True])
def test_abcd_is_unbiased_with_honest_errors(weighted):
    rng = np.random.default_rng(0)
    pulls = []
    for _ in range(2500):
        n = rng.poisson(6000)
        w = rng.gamma(4.0, 0.25, n) if weighted else None
        pulls.append(bkg.abcd(rng.exponential(size=n), rng.normal(size=n), 1.2, 0.8, weight=w).pull)
    assert abs(np.mean(pulls)) < 0.1
    assert 0.9 < np.std(pulls) < 1.1


def test_abcd_closure_sees_correlation():
    rng = np.random.default_rng(1)
    x = rng.normal(size=40_000)
    t = bkg.abcd(x, 0.5 * x + rng.normal(size=40_000), 1.0, 1.0)
    assert t.closure > 0.3
    assert t.pull > 5


def test_fit_is_the_maximum_of_the_likelihood():
    counts = np.random.default_rng(2).poisson(SPECTRUM)
    hidden = (EDGES[:-1] > 2500) & (EDGES[:-1] < 3200)
    fit = bkg.sideband_fit(counts, EDGES, exclude=hidden)

    def nll(p):
        nu = np.diff(EDGES) * np.exp(p[0] + p[1] * np.log1p(-X) - p[2] * np.log(X))
        return -stats.poisson.logpmf(counts, nu)[~hidden].sum()

    best = optimize.minimize(
        nll, fit.parameters * 1.001, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 5000}
    )
    assert nll(fit.parameters) <= best.fun + 1e-6
    nu = fit.expected[~hidden]
    assert fit.deviance == pytest.approx(
        2 * (nll(fit.parameters) + stats.poisson.logpmf(counts, np.maximum(counts, 1e-300))[~hidden].sum())
    )
    assert fit.degrees == np.sum(~hidden) - 3
    assert nu.sum() == pytest.approx(counts[~hidden].sum())  # the score equation of p0


def test_window_prediction_is_unbiased_with_honest_errors():
    rng = np.random.default_rng(3)
    hidden = (EDGES[:-1] > 2500) & (EDGES[:-1] < 3200)
    spectrum = 20 * SPECTRUM
    truth = spectrum[hidden].sum()
    pulls, p = [], []
    for _ in range(700):
        fit = bkg.sideband_fit(rng.poisson(spectrum), EDGES, exclude=hidden)
        b, error = fit.window(hidden)
        pulls.append((b - truth) / error)
        p.append(fit.p)
    assert abs(np.mean(pulls)) < 0.1
    assert 0.9 < np.std(pulls) < 1.1
    assert np.mean(np.array(p) < 0.05) < 0.12


def test_number_of_parameters():
    counts = np.round(SPECTRUM * 50)
    assert len(bkg.enough_parameters(counts, EDGES).parameters) == 3
    bent = np.round(SPECTRUM * 50 * np.exp(0.8 * np.log(X / 0.2) ** 2))
    assert len(bkg.enough_parameters(bent, EDGES).parameters) >= 4
    np.testing.assert_allclose(bkg.sideband_fit(SPECTRUM * 50, EDGES).parameters, [np.log(1e-2), 9, 5], rtol=1e-6)


def test_fit_refuses():
    with pytest.raises(InputError, match="one more edge"):
        bkg.sideband_fit([1, 2], [1, 2])
    with pytest.raises(InputError, match=r"0 < m < sqrt\(s\)"):
        bkg.sideband_fit([1, 2, 3], [1, 2, 3, 14000])
    with pytest.raises(InputError, match="cannot fix 3"):
        bkg.sideband_fit([1, 0, 0, 2], [1, 2, 3, 4, 5])


def test_divergence_equals_scipy():
    rng = np.random.default_rng(4)
    p, q = rng.uniform(size=20), rng.uniform(size=20)
    assert bkg.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert bkg.jensen_shannon([1, 0], [0, 3]) == pytest.approx(1)
    assert bkg.jensen_shannon([1, 2], [2, 4]) == pytest.approx(0, abs=1e-15)
    with pytest.raises(InputError, match="positive totals"):
        bkg.jensen_shannon([0, 0], [1, 1])


def test_sculpting_tells_a_mass_cut_from_an_innocent_one():
    rng = np.random.default_rng(5)
    m = 2000 + rng.exponential(600, 20_000)
    honest = bkg.sculpting(m, rng.uniform(size=len(m)) > 0.95, rng=rng)
    assert honest.p > 0.01
    assert honest.jsd == pytest.approx(honest.expected, rel=0.5)
    score = m + 400 * rng.normal(size=len(m))
    guilty = bkg.sculpting(m, score > np.quantile(score, 0.95), rng=rng)
    assert guilty.p == pytest.approx(1 / 201)
    assert guilty.jsd > 20 * guilty.expected
    assert guilty.mean_shift > 1
    assert guilty.eps_b == pytest.approx(0.05, abs=1e-3)
    with pytest.raises(InputError, match="0 of 3 events pass"):
        bkg.sculpting([1.0, 2.0, 3.0], [False] * 3, rng=rng)
