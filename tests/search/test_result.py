"""Spectra, fits and p-values of a search, against counts and closed forms."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.searches import SMALL, WINDOW, background, planted, table

from hepaa.errors import InputError
from hepaa.search import Background, Combined, Cwola, Residual, cross_fit
from hepaa.search.result import Searched, fit_spectrum
from hepaa.stats.sidebands import sideband_fit
from hepaa.stats.significance import asimov

METHOD = Residual(WINDOW, members=2, components=3)
N = 3000


@pytest.fixture(scope="module")
def result():
    return cross_fit(METHOD, table(planted(N, 60)), **SMALL)


@pytest.fixture(scope="module")
def both():
    methods = [METHOD, Cwola(WINDOW, inputs=("b",), members=1)]
    return cross_fit(Combined(methods), table(planted(N, 60)), **SMALL)


def dijets(edges, n):
    """Counts of an exact dijet spectrum."""
    x = (edges[1:] + edges[:-1]) / 2 / 13000
    shape = (1 - x) ** 10 * x**-5 * np.diff(edges)
    return n * shape / shape.sum()


def spectrum(counts, edges):
    return np.repeat((edges[1:] + edges[:-1]) / 2, counts)


class TestFit:
    edges = WINDOW.edges(29)
    centres = (edges[1:] + edges[:-1]) / 2

    def fit(self, mass):
        return fit_spectrum(mass, self.edges, WINDOW.signal, WINDOW.in_sidebands(self.centres), 0.01)

    def test_background_of_a_dijet_spectrum_is_what_it_is(self):
        counts = dijets(self.edges, 50_000).round().astype(int)
        inside = WINDOW.in_signal(self.centres)
        fit = self.fit(spectrum(counts, self.edges))
        assert fit.observed == counts[inside].sum()
        assert fit.expected == pytest.approx(fit.observed, rel=0.002)
        assert abs(fit.z) < 0.2
        assert fit.p_fit > 0.99
        np.testing.assert_array_equal(fit.counts, counts)
        np.testing.assert_allclose(fit.fitted, counts, atol=2)

    def test_z_is_that_of_a_count_over_a_background_with_an_error(self):
        """Asimov's formula with the variance of the fit is Li and Ma's (hepaa.significance.li_ma says so)."""
        counts = dijets(self.edges, 3000).round().astype(int)
        peak = np.flatnonzero(WINDOW.in_signal(self.centres))[0]
        counts[peak] += 70
        fit = self.fit(spectrum(counts, self.edges))
        reference = sideband_fit(counts, self.edges, exclude=~WINDOW.in_sidebands(self.centres))
        expected, error = reference.window(WINDOW.in_signal(self.centres))
        assert (fit.expected, fit.error) == (expected, error)
        assert fit.z == pytest.approx(asimov(fit.observed - expected, expected, error), abs=1e-6)
        assert fit.z < (fit.observed - expected) / np.sqrt(expected)
        counts[peak] -= 140
        assert self.fit(spectrum(counts, self.edges)).z < -1

    def test_events_of_the_signal_region_do_not_change_the_fit(self):
        counts = dijets(self.edges, 3000).round().astype(int)
        one = self.fit(spectrum(counts, self.edges))
        counts[WINDOW.in_signal(self.centres)] += 1000
        other = self.fit(spectrum(counts, self.edges))
        np.testing.assert_array_equal(one.fitted, other.fitted)
        assert other.observed == one.observed + 4000
        assert (one.expected, one.error) == (other.expected, other.error)

    def test_it_is_json(self):
        fit = self.fit(spectrum(dijets(self.edges, 500).round().astype(int), self.edges))
        assert json.loads(json.dumps(fit.to_dict()))["observed"] == fit.observed

    def test_too_few_events_are_no_spectrum(self):
        with pytest.raises(InputError, match="cannot fix 3 parameters"):
            self.fit(np.array([2700.0, 3500.0, 4000.0]))


def test_the_spectrum_counts_the_events_whose_tail_is_small(result):
    for efficiency in (0.1, 0.02, 0.5):
        expected = np.histogram(result.rows.mass[result.tail <= efficiency], result.edges)[0]
        np.testing.assert_array_equal(result.spectrum(efficiency), expected)
        fit = result.fit(efficiency)
        inside = WINDOW.in_signal(result.rows.mass)
        assert fit.observed == (inside & (result.tail <= efficiency)).sum()
    sidebands = WINDOW.in_sidebands(result.rows.mass)
    assert (result.tail[sidebands] <= 0.1).mean() == pytest.approx(0.1, abs=0.002)


def test_efficiencies_go_from_loose_to_tight(result):
    assert result.efficiencies == (0.1, 0.02)
    assert [fit.efficiency for fit in result.fits()] == [0.1, 0.02]
    assert list(result.looks) == ["Residual at 0.1", "Residual at 0.02"]


def test_a_planted_signal_is_found(result):
    truth = np.arange(result.rows.n) >= N
    fit = result.fit(0.02)
    assert fit.z > 6
    assert fit.observed - fit.expected == pytest.approx((truth & WINDOW.in_signal(result.rows.mass)).sum(), abs=12)
    assert result.found_in(0.02) == 2
    assert truth[result.most_signal_like(20)].all()
    assert WINDOW.in_signal(result.rows.mass[result.most_signal_like(20)]).all()


def test_the_most_signal_like_come_in_order(result):
    first = result.most_signal_like(30)
    assert (np.diff(result.tail[first]) >= 0).all()
    assert len(set(first)) == 30
    rest = WINDOW.in_signal(result.rows.mass)
    rest[first] = False
    assert result.tail[rest].min() >= result.tail[first].max()


def test_the_strength_is_that_of_the_planted_signal(result):
    fraction, error = result.strength()
    inside = WINDOW.in_signal(result.rows.mass)
    assert abs(fraction - inside[N:].sum() / inside.sum()) < 2 * error
    assert fraction > 3 * error
    mean = np.mean([f.method.signal_.fraction for f in result.folds])
    assert fraction == pytest.approx(mean)


def test_a_method_without_a_signal_has_no_strength(both):
    with pytest.raises(InputError, match="Cwola scores events and models no signal"):
        both.parts[1].strength()


def test_a_signal_in_one_fold_alone_is_found_in_one(result):
    """Two-fold data of which one fold has lost its excess."""
    from dataclasses import replace

    passing = result.passing(0.02) & WINDOW.in_signal(result.rows.mass) & (result.fold == 0)
    tail = result.tail.copy()
    tail[passing] = 1.0
    assert replace(result, tail=tail).found_in(0.02) == 1


def test_background_alone_is_no_discovery():
    alone = cross_fit(METHOD, table(background(N, np.random.default_rng(8))), **SMALL)
    assert max(abs(fit.z) for fit in alone.fits()) < 3
    assert alone.found_in(0.1) <= 1


def test_tails_of_other_events_are_by_each_fold(result):
    other = background(50, np.random.default_rng(9))
    tails = result.tails(other)
    assert tails.shape == (2, 50)
    for fold, tail in zip(result.folds, tails, strict=True):
        score = fold.method.score_rows(other)
        above = [(fold.sideband_scores >= s).sum() for s in score]
        np.testing.assert_allclose(tail, (np.array(above) + 1) / (len(fold.sideband_scores) + 1))


@pytest.mark.slow
def test_p_values_are_from_toys_that_are_trained_again(result):
    toys = result.toys(10, seed=3)
    assert toys.shape == (10, 2)
    np.testing.assert_array_equal(toys, result.toys(10, seed=3))
    assert (toys != result.toys(10, seed=4)).any()
    p = result.p_value(10, seed=3)
    assert p.overall.p == pytest.approx(1 / 11)
    assert p.overall.bound
    np.testing.assert_array_equal(p.toys, toys)
    with pytest.raises(InputError, match="toys is 5"):
        result.p_value(5)


class Sometimes(Searched):
    """A search that the toys of some numbers of events refuse."""

    def __init__(self, refuses):
        self.refuses = refuses

    def background(self):
        return Background.of(planted(800, 0), WINDOW, bins=12, components=1)

    def again(self, rows, *, seed):
        if self.refuses(rows.n):
            raise InputError("the sideband fit did not converge")
        return SimpleNamespace(looks={"a": SimpleNamespace(z=float(rows.n)), "b": SimpleNamespace(z=0.5)})


def test_a_toy_whose_fit_is_refused_does_not_stop_the_others():
    z = Sometimes(lambda n: n % 2).toys(12)
    refused = np.isnan(z).all(axis=1)
    assert 0 < refused.sum() < 12
    np.testing.assert_array_equal(z[~refused, 0] % 2, 0)
    np.testing.assert_array_equal(z[~refused, 1], 0.5)
    with pytest.raises(InputError, match="none of 10 background-only toys can be searched: the sideband fit did not"):
        Sometimes(lambda n: True).toys(10)


@pytest.mark.slow
def test_toys_do_not_depend_on_how_they_are_mapped(result):
    def backwards(function, numbers):
        values = {n: function(n) for n in reversed(list(numbers))}
        return [values[n] for n in sorted(values)]

    np.testing.assert_array_equal(result.toys(10, seed=5, map=backwards), result.toys(10, seed=5))


class TestCombination:
    def test_looks_are_those_of_all_methods(self, both):
        assert list(both.looks) == [f"{m} at {e}" for m in ("Residual", "Cwola", "all methods") for e in (0.1, 0.02)]

    def test_background_has_the_inputs_of_all(self, both):
        model = both.background()
        assert model.columns == ("a", "b")
        drawn = model.draw(np.random.default_rng(0))
        again = both.again(drawn, seed=0)
        assert [part.rows.columns for part in again.parts] == [("a", "b"), ("b",), ("a", "b")]

    def test_the_best_is_the_one_that_the_toys_say_is(self, both):
        """Toys in which the method of the larger local z is often as large."""
        from hepaa.search import Calibrated

        z = {name: fit.z for name, fit in both.looks.items()}
        assert both.best() is not both.parts[1]
        rng = np.random.default_rng(0)
        centres = [0 if name.startswith("Cwola") else 10 for name in z]
        calibrated = Calibrated.of(z, rng.normal(centres, 1, (200, 6)))
        assert both.best(calibrated) is both.parts[1]

    def test_the_signal_of_all_together_is_that_of_the_method_that_models_one(self, both):
        residual, _, together = both.parts
        assert together.strength() == residual.strength()
        assert [m.columns for m in together.modelling] == [("a", "b")] * 2

    def test_toys_of_all_together_are_those_of_their_own_look(self, both):
        together = both.parts[-1]
        rows = both.background().draw(np.random.default_rng(3))
        looks = together.again(rows, seed=4).looks
        assert {name: fit.z for name, fit in looks.items()} == {
            name: fit.z for name, fit in both.again(rows, seed=4).looks.items() if name.startswith("all methods")
        }

    @pytest.mark.slow
    def test_overall_p_value_is_no_smaller_than_that_of_the_best(self, both):
        p = both.p_value(20, seed=1)
        assert p.overall.p >= min(one.p for one in p.each.values())
        assert p.toys.shape == (20, 6)
