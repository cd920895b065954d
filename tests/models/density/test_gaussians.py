"""Gaussians as matrix products, against scipy's, and expectation maximisation against one written event by event."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from hepaa.models.density import gaussians

DIMENSIONS = [1, 2, 5]


def mixture(d, k=3, seed=0):
    """Log weights, means and full covariances."""
    rng = np.random.default_rng([d, seed])
    roots = rng.normal(size=(k, d, d)) + 1.5 * np.eye(d)
    return np.log(rng.dirichlet(np.ones(k))), 2 * rng.normal(size=(k, d)), roots @ roots.transpose(0, 2, 1)


def joint(x, log_weights, means, covariances):
    """log of weight times scipy's density, (n, k)."""
    parts = zip(log_weights, means, covariances, strict=True)
    return np.stack([w + np.atleast_1d(stats.multivariate_normal(m, c).logpdf(x)) for w, m, c in parts], axis=1)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_every_component_is_that_of_scipy(d):
    x, state = np.random.default_rng(1).normal(size=(50, d)) * 3, mixture(d)
    log_components = gaussians.products(x) @ gaussians.coefficients(*state)
    np.testing.assert_allclose(log_components, joint(x, *state), atol=1e-9)


def test_products_are_one_the_coordinates_and_their_products():
    np.testing.assert_array_equal(gaussians.products(np.array([[2.0, 3.0]])), [[1, 2, 3, 4, 6, 9]])


@pytest.mark.parametrize("d", DIMENSIONS)
def test_the_density_of_a_mixture_is_the_sum_of_its_components(d):
    x, state = np.random.default_rng(2).normal(size=(9000, d)), mixture(d)  # more than one block of rows
    np.testing.assert_allclose(gaussians.log_density(x, *state), logsumexp(joint(x, *state), axis=1), atol=1e-9)


def test_a_density_far_from_all_components_has_a_logarithm():
    """exp(-5e5) is no number of double precision."""
    value = gaussians.log_density(np.array([[1000.0]]), np.zeros(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    assert value[0] == pytest.approx(stats.norm.logpdf(1000.0))


def test_the_value_of_an_event_does_not_depend_on_its_company():
    x, state = np.random.default_rng(3).normal(size=(10_000, 3)), mixture(3)
    together = gaussians.log_density(x, *state)
    order = np.random.default_rng(4).permutation(len(x))
    np.testing.assert_array_equal(gaussians.log_density(x[order], *state), together[order])
    np.testing.assert_array_equal(gaussians.log_density(x[7:8], *state), together[7:8])
    assert gaussians.log_density(x[:0], *state).shape == (0,)


@pytest.mark.parametrize("d", DIMENSIONS)
def test_moments_of_weighted_sums_are_the_weighted_mean_and_covariance(d):
    rng = np.random.default_rng(5)
    x, weight = rng.normal(size=(200, d)) + 1, rng.uniform(size=(200, 2))
    mass, mean, covariance = gaussians.moments(weight.T @ gaussians.products(x), d)
    for k in range(2):
        assert mass[k] == pytest.approx(weight[:, k].sum())
        np.testing.assert_allclose(mean[k], np.average(x, axis=0, weights=weight[:, k]))
        reference = np.atleast_2d(np.cov(x.T, aweights=weight[:, k], ddof=0))
        np.testing.assert_allclose(covariance[k], reference, atol=1e-12)


def em_step(x, weight, log_weights, means, covariances, floor):
    """One step of expectation maximisation, event by event."""
    mass = np.zeros(len(means))
    mean, second = np.zeros_like(means), np.zeros_like(covariances)
    for row, w in zip(x, weight, strict=True):
        log_joint = joint(row[None], log_weights, means, covariances)[0]
        share = w * np.exp(log_joint - logsumexp(log_joint))
        mass += share
        mean += share[:, None] * row
        second += share[:, None, None] * np.outer(row, row)
    mean /= mass[:, None]
    covariance = second / mass[:, None, None] - mean[:, :, None] * mean[:, None, :]
    return np.log(mass / mass.sum()), mean, covariance + floor * np.eye(x.shape[1])


@pytest.mark.parametrize("weighted", [False, True])
def test_an_iteration_is_one_step_of_expectation_maximisation(weighted):
    """From the same start, which zero iterations give."""
    rng = np.random.default_rng(6)
    x = np.concatenate([rng.normal(-2, 1, (60, 2)), rng.normal(2, 0.5, (40, 2))])
    weight = rng.uniform(0.2, 2, len(x)) if weighted else None
    options = {"first_rows": 1000, "floor": 0.01}
    fits = [
        gaussians.fit_mixture(x, weight, 3, iterations=(0, n), rng=np.random.default_rng(7), **options)
        for n in range(3)
    ]
    w = np.ones(len(x)) if weight is None else weight
    for before, after in itertools.pairwise(fits):
        for one, other in zip(after, em_step(x, w, *before, 0.01), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-7)


def test_two_separate_gaussians_are_found():
    rng = np.random.default_rng(8)
    x = np.concatenate([rng.normal([-4, 0], [1, 0.5], (3000, 2)), rng.normal([4, 2], [0.5, 1], (1000, 2))])
    log_weights, means, covariances = gaussians.fit_mixture(
        x, None, 2, first_rows=1000, iterations=(20, 5), floor=0.0, rng=np.random.default_rng(9)
    )
    order = np.argsort(means[:, 0])
    np.testing.assert_allclose(np.exp(log_weights[order]), [0.75, 0.25], atol=0.002)
    np.testing.assert_allclose(means[order], [[-4, 0], [4, 2]], atol=0.08)
    np.testing.assert_allclose(covariances[order], [np.diag([1, 0.25]), np.diag([0.25, 1])], atol=0.12)


def test_an_event_of_weight_two_counts_as_two_and_one_of_weight_zero_as_none():
    """The moments of one component are exact, whatever the start."""
    rng = np.random.default_rng(10)
    x, weight = rng.normal(size=(300, 2)), rng.integers(0, 3, 300).astype(float)
    options = {"first_rows": 1000, "iterations": (1, 1), "floor": 0.0}
    one = gaussians.fit_mixture(x, weight, 1, rng=np.random.default_rng(0), **options)
    repeated = np.repeat(x, weight.astype(int), axis=0)
    other = gaussians.fit_mixture(repeated, None, 1, rng=np.random.default_rng(0), **options)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_no_more_components_than_rows_and_the_floor_keeps_them_proper():
    x = np.array([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    log_weights, _, covariances = gaussians.fit_mixture(
        x, None, 10, first_rows=100, iterations=(2, 2), floor=0.1, rng=np.random.default_rng(0)
    )
    assert len(log_weights) == 3
    assert np.linalg.eigvalsh(covariances).min() >= 0.1 - 1e-9
