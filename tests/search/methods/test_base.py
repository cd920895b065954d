"""How events come into a search: what is refused, and that inputs go by their names."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.searches import WINDOW, planted, table

import hepaa
from hepaa.errors import InputError, NotFittedError
from hepaa.search import Anode, Cwola, Residual
from hepaa.search.methods.base import mass_rows

SMALL = {"members": 1, "components": 2}


def small_table(columns, *, values=None, **options):
    x = np.random.default_rng(0).normal(3500, 100, (40, len(columns)))
    if values is not None:
        x[3, 1] = values
    return hepaa.EventTable.build(x, columns, **options)


def test_inputs_are_all_columns_but_the_mass_and_what_is_true():
    data = small_table(("a", "m", "truth:signal", "b"))
    rows = mass_rows(data, WINDOW, None)
    assert rows.columns == ("a", "b")
    np.testing.assert_array_equal(rows.mass, data["m"])
    np.testing.assert_array_equal(rows.x, np.stack([data["a"], data["b"]], axis=1))
    assert rows.x.dtype == rows.mass.dtype == np.float64


def test_mass_and_inputs_may_be_spectators():
    mass = np.linspace(2700, 5000, 40)
    data = small_table(("a", "b"), spectators={"m": mass, "c": mass / 2})
    rows = mass_rows(data, WINDOW, ("c", "a"))
    np.testing.assert_allclose(rows.mass, mass, rtol=1e-6)
    np.testing.assert_allclose(rows.x[:, 0], mass / 2, rtol=1e-6)
    assert mass_rows(data, WINDOW, None).columns == ("a", "b")


@pytest.mark.parametrize(
    ("columns", "inputs", "message"),
    [
        (("a", "mjj"), None, "no column 'm'"),
        (("m", "a"), ("m", "a"), "m is the mass of the window and cannot be an input"),
        (("m", "a"), ("a", "c"), "no column 'c'"),
        (("m", "a", "labels"), None, "column 'labels' tells signal from background"),
        (("m", "a", "isSignal"), None, "column 'isSignal' tells signal from background"),
        (("m", "a", "Truth"), ("Truth",), "or call it 'truth:Truth'"),
        (("m", "a", "truth:x"), ("a", "truth:x"), "column 'truth:x' tells signal from background"),
        (("m",), None, "no inputs are left beside the mass m"),
        (("m", "truth:x"), None, "no inputs are left"),
        (("m", "a"), (), "no inputs are left"),
        (("m", "a"), ("a", "a"), "an input stands twice in a, a"),
    ],
)
def test_columns_that_a_search_must_not_have_are_refused(columns, inputs, message):
    with pytest.raises(InputError, match=message):
        mass_rows(small_table(columns), WINDOW, inputs)


def test_a_label_column_called_truth_is_no_input():
    assert mass_rows(small_table(("m", "a", "truth:label")), WINDOW, None).columns == ("a",)


def test_a_spectator_that_is_not_finite_is_refused_with_their_number():
    mass = np.full(40, 3500.0)
    mass[[2, 5]] = np.nan
    data = small_table(("a", "b"))
    data.spectators["m"] = mass.astype(np.float32)
    with pytest.raises(InputError, match="2 of 40 events have an input or mass that is not finite"):
        mass_rows(data, WINDOW, None)


def test_weights_are_refused_whatever_they_are():
    for weight in (np.full(40, 2.0), np.tile([0.5, 1.5], 20), np.r_[np.ones(39), 0.999], -np.ones(40)):
        with pytest.raises(InputError, match="a search counts events"):
            mass_rows(small_table(("m", "a"), weight=weight), WINDOW, None)


def test_labels_of_the_table_are_not_read():
    rows = planted(800, 20)
    data = table(rows)
    labelled = hepaa.EventTable.build(data.X, data.columns, label=np.arange(rows.n) % 2)
    one, other = (Residual(WINDOW, **SMALL).fit(t).score(t) for t in (data, labelled))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("method", [Residual(WINDOW, **SMALL), Cwola(WINDOW, members=1)], ids=["Residual", "Cwola"])
def test_inputs_are_found_by_name_in_any_order(method):
    rows = planted(800, 20)
    fitted = method.fresh().fit(table(rows, order=("a", "b", "m")))
    score = fitted.score(table(rows, order=("a", "b", "m")))
    np.testing.assert_array_equal(fitted.score(table(rows, order=("b", "m", "a"))), score)
    more = hepaa.EventTable.build(
        np.column_stack([rows.mass, rows.x[:, 0], rows.x[:, 0] * 7, rows.x[:, 1]]), ("m", "a", "c", "b")
    )
    np.testing.assert_array_equal(fitted.score(more), score)
    with pytest.raises(InputError, match="no column 'b'"):
        fitted.score(hepaa.EventTable.build(rows.x, ("a", "m")))


def test_inputs_that_are_asked_for_are_the_only_ones():
    rows = planted(800, 20)
    one = Residual(WINDOW, inputs=("b",), **SMALL).fit(table(rows))
    other = Residual(WINDOW, **SMALL).fit_rows(rows.of(("b",)), np.random.default_rng(0))
    alone = table(rows)
    np.testing.assert_allclose(one.score(alone), other.score_rows(mass_rows(alone, WINDOW, ("b",))), atol=1e-3)


def test_regions_with_too_few_events_are_refused():
    rows = planted(800, 0)
    inside = WINDOW.in_signal(rows.mass)
    few = np.flatnonzero(inside)[:29]
    with pytest.raises(InputError, match="29 events in the signal region of m are too few to learn from 2 inputs; 30"):
        Residual(WINDOW, **SMALL).fit_rows(rows[np.r_[np.flatnonzero(~inside), few]], np.random.default_rng(0))
    with pytest.raises(InputError, match="0 events in the sidebands"):
        Cwola(WINDOW, members=1).fit_rows(rows[inside], np.random.default_rng(0))


@pytest.mark.parametrize("method", [Residual(WINDOW), Cwola(WINDOW), Anode(WINDOW)], ids=lambda m: m.name)
def test_a_method_that_is_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match="is not fitted yet; call fit first"):
        method.score(table(planted(100, 0)))


def test_a_fresh_method_has_other_parameters_and_has_learned_nothing():
    fitted = Residual(WINDOW, **SMALL).fit_rows(planted(800, 20), np.random.default_rng(0))
    fresh = fitted.fresh(components=3)
    assert (fresh.components, fresh.members, fitted.components) == (3, 1, 2)
    with pytest.raises(NotFittedError):
        fresh.score_rows(planted(100, 0))


def test_members_are_a_whole_number():
    for members in (0, 1.5, True):
        with pytest.raises(InputError, match="members is"):
            Residual(WINDOW, members=members).fit(table(planted(100, 0)))
