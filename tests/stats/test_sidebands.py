"""Sideband fits on toys."""

import numpy as np
import pytest
from scipy import optimize, stats

from hepaa.errors import InputError
from hepaa.stats import sidebands as bkg

EDGES = np.geomspace(1200, 7000, 41)
X = (EDGES[1:] + EDGES[:-1]) / 2 / 13000
SPECTRUM = np.diff(EDGES) * 2e-4 * (1 - X) ** 9 * X**-5.0


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


def test_the_parameters_of_an_exact_spectrum_are_given_back():
    fit = bkg.sideband_fit(SPECTRUM * 50, EDGES)
    np.testing.assert_allclose(fit.parameters, [np.log(1e-2), 9, 5], rtol=1e-6)


def test_fit_refuses():
    with pytest.raises(InputError, match="one more edge"):
        bkg.sideband_fit([1, 2], [1, 2])
    with pytest.raises(InputError, match=r"0 < m < sqrt\(s\)"):
        bkg.sideband_fit([1, 2, 3], [1, 2, 3, 14000])
    with pytest.raises(InputError, match="cannot fix 3"):
        bkg.sideband_fit([1, 0, 0, 2], [1, 2, 3, 4, 5])
