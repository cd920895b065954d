"""The background of a window, and its closure: passed by the right density and failed by a wrong one."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.searches import WINDOW, background, log_background, masses
from scipy import stats

from hepaa.errors import InputError
from hepaa.search.methods.background import SidebandModel, compare_samples
from hepaa.search.methods.base import MassRows


@pytest.fixture(scope="module")
def rows():
    events = background(5000, np.random.default_rng(0))
    return events[WINDOW.in_sidebands(events.mass)]


@pytest.fixture(scope="module")
def model(rows):
    return SidebandModel.of("mixture", rows, np.random.default_rng(1), degree=1, components=8)


def test_the_density_in_the_signal_region_is_the_exact_one(model):
    """Where it was not learned."""
    mass = np.random.default_rng(2).uniform(*WINDOW.signal, 2000)
    events = background(6000, np.random.default_rng(3))
    events = events[WINDOW.in_signal(events.mass)]
    assert abs(np.mean(model.log_density(events.x, events.mass) - log_background(events))) < 0.05
    sample = model.sample(mass, np.random.default_rng(4))
    np.testing.assert_allclose(sample.mean(axis=0), [0.3 * (mass.mean() - 3500) / 1000, 0], atol=0.1)
    np.testing.assert_allclose(np.cov(sample.T), [[1, 0.5], [0.5, 1]], atol=0.25)


def test_residuals_have_the_density_that_changes_variables(model, rows):
    """p(r) dr = p(x) dx; the slope by finite differences."""
    some = rows[np.arange(50)]
    r, log_density = model.residuals(some)
    step = 1e-4
    slopes = []
    for i in range(2):
        moved = some.x.copy()
        moved[:, i] += step
        slopes.append((model.residuals(MassRows(moved, some.mass, some.columns))[0] - r)[:, i] / step)
    expected = model.log_density(some.x, some.mass) - np.log(slopes).sum(axis=0)
    np.testing.assert_allclose(log_density, expected, atol=1e-2)


def test_latent_coordinates_do_not_know_the_mass(model, rows):
    before = stats.spearmanr(rows.x[:, 0], rows.mass).statistic
    latent = model.latent(rows)
    assert before > 0.1
    for i in range(2):
        assert abs(stats.spearmanr(latent[:, i], rows.mass).statistic) < 0.05


def test_a_density_of_the_right_form_closes(model):
    closure = model.closure()
    assert abs(closure.auc - 0.5) < 3 * closure.error
    assert closure.z == pytest.approx((closure.auc - 0.5) / closure.error)
    assert len(closure.ks) == 2
    assert 0.4 < closure.events / model.rows.n < 0.6
    json.dumps(closure.to_dict())


def test_p_of_a_right_density_is_not_too_small(monkeypatch):
    """40 densities of 300 events each. Were the density's own error not allowed for, a sixth would be below 0.05."""
    monkeypatch.setattr("hepaa.search.methods.background.fit_trees", lambda *_: None)
    monkeypatch.setattr("hepaa.search.methods.background.log_odds", lambda _, x: np.zeros(len(x)))
    p = []
    for seed in range(40):
        events = background(600, np.random.default_rng([6, seed]))
        model = SidebandModel.of("mixture", events, np.random.default_rng(seed), degree=1, components=2)
        p += model.closure(seed=seed).ks
    assert np.mean(np.array(p) < 0.05) < 0.07
    assert np.mean(np.array(p) < 0.3) > 0.1  # and not all near 1


def test_closure_is_the_same_for_the_same_seed(model):
    assert model.closure() == model.closure()
    assert model.closure() != model.closure(seed=1)


def test_a_wrong_density_does_not_close(model, rows):
    """Events half a width away."""
    moved = MassRows(rows.x + np.array([0.5, 0.0]), rows.mass, rows.columns)
    closure = compare_samples(model.density, moved, np.random.default_rng(0), learned=rows.n)
    assert closure.z > 5
    assert closure.auc > 0.6
    assert closure.ks[0] < 1e-6
    assert closure.ks[1] > 1e-3


def test_a_dependence_on_the_mass_that_the_model_has_no_room_for_does_not_close():
    """A feature whose correlation turns with the mass: location and scale of each are constant."""
    rng = np.random.default_rng(5)
    mass = masses(6000, rng)
    mass = mass[WINDOW.in_sidebands(mass)]
    a, b = rng.standard_normal((2, len(mass)))
    turning = np.where(mass < 3500, 0.9, -0.9)
    rows = MassRows(np.column_stack([a, turning * a + np.sqrt(1 - turning**2) * b]), mass, ("a", "b"))
    high = rows[rows.mass > 3500]
    model = SidebandModel.of("mixture", rows, rng, degree=1, components=4)
    assert compare_samples(model.density, high, rng, learned=rows.n).z > 5


def test_a_model_that_is_none_is_refused(rows):
    with pytest.raises(InputError, match="background 'kde' is unknown"):
        SidebandModel.of("kde", rows, np.random.default_rng(0), degree=1)


@pytest.mark.slow
def test_the_flow_closes_nearly_on_few_events(rows):
    model = SidebandModel.of("flow", rows, np.random.default_rng(1), degree=1)
    closure = model.closure()
    assert closure.auc < 0.58
    assert model.latent(rows).shape == rows.x.shape
