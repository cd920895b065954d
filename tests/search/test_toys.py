"""Background-only toys follow the fitted background, and p-values from toys are counted right."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.searches import WINDOW, background, location, masses
from scipy import stats

from hepaa.errors import InputError
from hepaa.search import Background, Calibrated, Window
from hepaa.search.methods.base import MassRows


@pytest.fixture(scope="module")
def rows():
    return background(6000, np.random.default_rng(0))


@pytest.fixture(scope="module")
def model(rows):
    return Background.of(rows, WINDOW, bins=20, components=4)


def test_events_of_the_signal_region_never_enter(rows, model):
    """Other inputs, other masses, twice as many: the same bytes."""
    inside = WINDOW.in_signal(rows.mass)
    rng = np.random.default_rng(1)
    x = np.concatenate([np.where(inside[:, None], 50 + rows.x, rows.x), rng.normal(9, 1, (2000, 2))])
    mass = np.concatenate([np.where(inside, rng.uniform(*WINDOW.signal, rows.n), rows.mass), np.full(2000, 3400.0)])
    other = Background.of(MassRows(x, mass, rows.columns), WINDOW, bins=20, components=4)
    np.testing.assert_array_equal(other.expected, model.expected)
    one, same = (m.draw(np.random.default_rng(2)) for m in (model, other))
    assert one.x.tobytes() == same.x.tobytes()
    assert one.mass.tobytes() == same.mass.tobytes()


def test_expected_events_are_those_of_the_spectrum(rows, model):
    counts = np.histogram(masses(2_000_000, np.random.default_rng(3)), model.edges)[0] * rows.n / 2_000_000
    np.testing.assert_allclose(model.expected, counts, rtol=0.15, atol=3)
    assert model.expected.sum() == pytest.approx(rows.n, rel=0.03)


def test_drawn_masses_have_the_fitted_spectrum(model):
    counts = np.zeros(len(model.expected))
    totals = []
    for seed in range(40):
        drawn = model.draw(np.random.default_rng([4, seed]))
        one = np.histogram(drawn.mass, model.edges)[0]
        assert one.sum() == drawn.n  # none outside
        counts += one
        totals.append(drawn.n)
    chi2 = ((counts - 40 * model.expected) ** 2 / (40 * model.expected)).sum()
    assert 1e-3 < stats.chi2.sf(chi2, len(counts)) < 1 - 1e-3
    assert np.var(totals) == pytest.approx(model.expected.sum(), rel=0.8)  # Poisson


def test_within_a_bin_masses_fall_as_the_spectrum_does():
    """Wide bins, where a flat distribution would be seen; against the exact spectrum."""
    window = Window("m", (3300, 3700), ((2600, 3300), (3700, 5500)))
    model = Background.of(background(20_000, np.random.default_rng(5)), window, bins=9, components=2)
    drawn = np.concatenate([model.draw(np.random.default_rng([6, s])).mass for s in range(5)])
    exact = masses(400_000, np.random.default_rng(7))
    for low, high in zip(model.edges[:3], model.edges[1:4], strict=True):
        one, other = (m[(m >= low) & (m < high)] for m in (drawn, exact))
        middle = (low + high) / 2
        assert other.mean() < middle - 5
        assert one.mean() == pytest.approx(other.mean(), abs=6)


def test_inputs_are_those_of_the_mass(model):
    drawn = MassRows(*[np.concatenate(v) for v in zip(*[
        (d.x, d.mass) for d in (model.draw(np.random.default_rng([8, s])) for s in range(3))], strict=True)],
        model.columns)  # fmt: skip
    low, high = drawn.mass < 3000, drawn.mass > 4000
    for part in (low, high, WINDOW.in_signal(drawn.mass)):
        np.testing.assert_allclose(drawn.x[part].mean(axis=0), location(drawn.mass[part]).mean(axis=0), atol=0.12)
    assert np.corrcoef(drawn.x.T)[0, 1] == pytest.approx(0.5, abs=0.07)


def test_same_stream_same_toy(model):
    one, same, other = (model.draw(np.random.default_rng(s)) for s in (0, 0, 1))
    assert one.x.tobytes() == same.x.tobytes()
    assert one.mass.tobytes() == same.mass.tobytes()
    assert one.n != other.n or (one.mass != other.mass).any()


def test_events_of_given_masses(model):
    mass = np.array([2700.0, 3500.0, 5400.0])
    drawn = model.draw_at(mass, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.mass, mass)
    assert drawn.x.shape == (3, 2)
    assert drawn.columns == ("a", "b")


class TestCalibrated:
    def test_p_values_are_counted(self):
        """By hand: ten toys of two looks; means 5.5 and 0, standard deviations 3.03 and 1.05."""
        toys = np.column_stack([np.arange(1.0, 11.0), np.tile([-1.0, 1.0], 5)])
        result = Calibrated.of({"loose": 9.0, "tight": 0.5}, toys)
        assert result.each["loose"].p == pytest.approx(3 / 11)  # 9 and 10
        assert result.each["tight"].p == pytest.approx(6 / 11)  # five of +1
        assert result.calibrated["loose"] == pytest.approx(3.5 / np.std(np.arange(10), ddof=1))
        assert result.calibrated["tight"] == pytest.approx(0.5 / np.std(toys[:, 1], ddof=1))
        # the largest of the data is 1.156; toys 9 and 10 have 1.156 and 1.486, others at most 0.949 by the tight look
        assert result.overall.p == pytest.approx(3 / 11)
        assert result.observed == {"loose": 9.0, "tight": 0.5}
        assert not result.overall.bound

    def test_beyond_all_toys_is_a_bound(self):
        toys = np.random.default_rng(0).normal(size=(50, 3))
        result = Calibrated.of({"a": 0.0, "b": 20.0, "c": 0.0}, toys)
        assert result.overall.bound
        assert result.overall.p == pytest.approx(1 / 51)
        assert str(result) == "global > 2.06 sigma from 50 toys"
        assert result.each["b"].bound
        assert not result.each["a"].bound

    def test_a_toy_that_could_not_be_searched_counts_as_more_extreme(self):
        """Ten toys and two more: p of every look and of all of them gains two, whatever the data; no mean moves."""
        toys = np.column_stack([np.arange(1.0, 11.0), np.tile([-1.0, 1.0], 5)])
        observed = {"loose": 9.0, "tight": 0.5}
        whole = Calibrated.of(observed, toys)
        short = Calibrated.of(observed, np.concatenate([toys[:4], np.full((2, 2), np.nan), toys[4:]]))
        assert short.overall.p == pytest.approx(5 / 13)
        assert [p.p for p in short.each.values()] == pytest.approx([5 / 13, 8 / 13])
        assert short.calibrated == whole.calibrated
        assert (whole.refused, short.refused) == (0, 2)
        assert str(short).endswith("from 12 toys, of which 2 could not be searched and count as more extreme")
        beyond = Calibrated.of({"loose": 99.0, "tight": 0.5}, short.toys).overall
        assert (beyond.p, beyond.bound) == (pytest.approx(3 / 13), True)

    def test_p_is_uniform_when_data_are_as_the_toys(self):
        """Looks that are correlated, and biased and wide in different ways."""
        rng = np.random.default_rng(1)
        mix, bias = rng.normal(size=(3, 3)), np.array([0.0, 2.0, -1.0])
        p, each = [], []
        for _ in range(400):
            z = rng.normal(size=(200, 3)) @ mix + bias
            result = Calibrated.of(dict(zip("abc", z[0], strict=True)), z[1:])
            p.append(result.overall.p)
            each.append(result.each["b"].p)
        assert stats.kstest(p, "uniform").pvalue > 0.01
        assert stats.kstest(each, "uniform").pvalue > 0.01

    def test_a_biased_look_has_no_advantage(self):
        """z of 3 is nothing where toys have 3 +- 1, and much where they have 0 +- 0.5."""
        rng = np.random.default_rng(2)
        toys = np.column_stack([rng.normal(3, 1, 500), rng.normal(0, 0.5, 500)])
        result = Calibrated.of({"biased": 3.2, "sound": 2.5}, toys)
        assert result.calibrated["sound"] > 4
        assert result.calibrated["biased"] < 1

    def test_a_look_more_costs_significance(self):
        rng = np.random.default_rng(3)
        toys = rng.normal(size=(2000, 20))
        one = Calibrated.of({"0": 2.0}, toys[:, :1])
        many = Calibrated.of({str(i): 2.0 if i == 0 else 0.0 for i in range(20)}, toys)
        assert one.overall.p == pytest.approx(stats.norm.sf(2), abs=0.01)
        assert many.overall.p == pytest.approx(1 - stats.norm.cdf(2) ** 20, abs=0.05)

    @pytest.mark.parametrize(
        ("toys", "message"),
        [
            (np.zeros((20, 3)), r"toys have shape \(20, 3\) for 2 looks"),
            (np.zeros(20), r"toys have shape \(20,\)"),
            (np.zeros((9, 2)), "9 toys say nothing about a spread"),
        ],
    )
    def test_toys_of_another_search_are_refused(self, toys, message):
        with pytest.raises(InputError, match=message):
            Calibrated.of({"a": 0.0, "b": 1.0}, toys)


@pytest.mark.slow
def test_p_values_of_searches_of_background_are_uniform():
    """Everything as in data: fits, folds, trainings; 24 searches of 20 toys each."""
    from helpers.searches import SMALL, table

    from hepaa.search import Residual, cross_fit

    p = []
    for seed in range(24):
        data = table(background(2000, np.random.default_rng([11, seed])))
        result = cross_fit(Residual(WINDOW, members=1, components=2), data, **SMALL | {"efficiencies": (0.1,)})
        p.append(result.p_value(20, seed=seed).overall.p)
    assert stats.kstest(p, "uniform").pvalue > 0.01
