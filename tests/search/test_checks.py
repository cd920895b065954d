"""Checks of a search: passed by a sound one, failed by a search that shapes background or knows the mass."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.searches import SMALL, WINDOW, background, masses, planted, table
from scipy.stats import norm

from hepaa.errors import InputError
from hepaa.search import Anode, Combined, Cwola, Residual, check, cross_fit
from hepaa.search.checks import DIVERGENCE, _validation_window, bias, correlations, refuse_correlated, sculptings
from hepaa.search.methods.base import MassRows

METHOD = Residual(WINDOW, members=1, components=6)
CWOLA = Cwola(WINDOW, members=2)
SOUND = np.random.default_rng(0).normal(size=(40, 2))  # z of toys as they should be


def by_name(checks):
    return {c.name: c for c in checks}


@pytest.fixture(scope="module")
def sound():
    return by_name(check(cross_fit(METHOD, table(planted(shift=0.3)), **SMALL), SOUND))


def test_a_sound_search_passes_all(sound):
    assert list(sound) == [
        "closure, Residual",
        "validation window, Residual",
        "mass in the inputs, Residual",
        "sculpting at 0.1, Residual",
        "sculpting at 0.02, Residual",
        "background-only z, Residual at 0.1",
        "background-only z, Residual at 0.02",
    ]
    for one in sound.values():
        assert one.passed, one.message
        assert type(one.passed) is bool
        assert one.value == pytest.approx(float(one.value))
    json.dumps([one.to_dict() for one in sound.values()], allow_nan=False)
    assert sound["closure, Residual"].value == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_none_looks_at_the_signal_region(sound):
    """Other events there, the same checks: but for the score, which is trained on them."""
    rows = planted(shift=0.3)
    inside = WINDOW.in_signal(rows.mass)
    rng = np.random.default_rng(1)
    x = np.where(inside[:, None], rng.normal(0, 1, rows.x.shape), rows.x)
    other = by_name(check(cross_fit(METHOD, table(MassRows(x, rows.mass, rows.columns)), **SMALL), SOUND))
    for name in ("closure, Residual", "validation window, Residual", "mass in the inputs, Residual"):
        assert other[name] == sound[name]


def test_classification_without_labels_shapes_background_whose_inputs_move():
    """The first input moves by three of its widths a TeV: it says where the signal region is."""
    data = table(background(3000, np.random.default_rng(2), shift=3))
    plain, flat = (
        by_name(check(cross_fit(m, data, **SMALL | {"efficiencies": (0.1,)}), SOUND[:, :1]))
        for m in (CWOLA, CWOLA.fresh(decorrelate="flatten"))
    )
    assert not plain["sculpting at 0.1, Cwola"].passed
    assert flat["sculpting at 0.1, Cwola"].passed
    assert flat["sculpting at 0.1, Cwola"].value < 0.5 * plain["sculpting at 0.1, Cwola"].value
    assert not plain["mass in the inputs, Cwola"].passed
    assert plain["mass in the inputs, Cwola"].value > 0.77
    assert flat["mass in the inputs, Cwola"].passed  # it is flattened


def tilted(slope, *, n=60_000, efficiency=0.02):
    """A result whose cut keeps `slope` times more of the events of the largest than of those of the smallest masses."""
    rng = np.random.default_rng(9)
    mass = np.sort(masses(n, rng))
    part = np.linspace(1, slope, n)
    passes = rng.uniform(size=n) < efficiency * part / part.mean()
    rows = MassRows(np.zeros((n, 1)), mass, ("a",))
    return SimpleNamespace(method=METHOD, rows=rows, efficiencies=(efficiency,), passing=lambda _: passes)


@pytest.mark.parametrize(("slope", "passed"), [(1, True), (1.5, True), (2.5, True), (5, False), (1 / 5, False)])
def test_a_cut_may_change_its_efficiency_threefold(slope, passed):
    (one,) = sculptings(tilted(slope))
    assert one.passed == passed
    assert type(one.passed) is bool


def test_few_events_do_not_exclude_what_many_do():
    assert sculptings(tilted(5, n=2000))[0].passed
    assert sculptings(tilted(3.0))[0].value == pytest.approx(DIVERGENCE, rel=0.25)


def turning(n):
    """The correlation of the inputs turns at 3.5 TeV: of each alone, nothing moves."""
    rng = np.random.default_rng(3)
    mass = masses(n, rng)
    a, b = rng.standard_normal((2, n))
    rho = np.where(mass < 3000, 0.95, -0.95)
    return MassRows(np.column_stack([a, rho * a + np.sqrt(1 - rho**2) * b]), mass, ("a", "b"))


@pytest.mark.parametrize("method", [METHOD, Anode(WINDOW, members=1, components=6, signal_components=2)])
def test_a_density_that_does_not_follow_the_mass_fails_the_validation_window(method):
    checks = by_name(check(cross_fit(method, table(turning(3000)), **SMALL), SOUND))
    one = checks[f"validation window, {method.name}"]
    assert not one.passed
    assert one.value > 0.6
    assert "GeV, which it did not see with AUC 0." in one.message


def test_inputs_that_know_the_mass_together_are_seen_though_none_does_alone():
    """a = mass + noise, b = noise: b alone knows nothing, a little, both everything."""
    rng = np.random.default_rng(4)
    mass = masses(3000, rng)
    noise = rng.normal(0, 5000, 3000)
    rows = MassRows(np.column_stack([mass + noise, noise]), mass, ("a", "b"))
    assert max(map(abs, correlations(rows, WINDOW.in_sidebands(mass)).values())) < 0.3
    refuse_correlated(CWOLA, rows)
    # trees see a - b only in steps: rotate
    rows = MassRows(np.column_stack([np.sign(noise) * mass, noise]), mass, ("a", "b"))
    one = by_name(check(cross_fit(CWOLA, table(rows), **SMALL), SOUND))["mass in the inputs, Cwola"]
    assert not one.passed
    assert "tell the upper from the lower half" in one.message


def test_biased_toys_fail_and_those_too_few_to_tell_do_not():
    rng = np.random.default_rng(5)
    toys = np.column_stack([rng.normal(1.5, 1, 100), rng.normal(0, 1, 100), rng.normal(-2, 1, 100)])
    high, fine, low = bias(["a", "b", "c"], toys)
    assert (high.passed, fine.passed, low.passed) == (False, True, True)  # a deficit makes no discovery
    assert high.value == pytest.approx(toys[:, 0].mean())
    assert high.message.startswith("100 background-only toys give z = +1.")
    assert bias(["a"], np.array([[-1.0], [3.0]]))[0].passed


def test_toys_that_are_often_large_fail_though_their_mean_is_none():
    """z of toys as they should be, and as they should be but for the largest: 18 of 200 are allowed, 25 too many."""
    z = norm.ppf((np.arange(200) + 0.5) / 200)
    assert bias(["a"], z[:, None])[0].passed
    assert "10 of them above 1.64 (9% may be)" in bias(["a"], z[:, None])[0].message
    for number, passed in ((18, True), (25, True), (26, False)):
        many = np.where(np.arange(200) >= 200 - number, np.maximum(z, 1.7), z)
        assert bias(["a"], many[:, None] - many.mean() + 0.05)[0].passed == passed, number
    wide = bias(["a"], 1.2 * z[:, None])[0]
    assert wide.passed
    assert "width 1.2" in wide.message


def test_a_small_bias_is_seen_by_many_toys_alone():
    z = norm.ppf((np.arange(500) + 0.5) / 500)
    assert not bias(["a"], z[:, None] + 0.4)[0].passed
    assert bias(["a"], z[::12, None] + 0.4)[0].passed
    assert bias(["a"], z[:, None] + 0.2)[0].passed


def test_toys_that_could_not_be_searched_say_nothing_of_the_bias():
    z = np.random.default_rng(1).normal(size=(40, 2))
    z[7] = np.nan
    assert [c.value for c in bias(["a", "b"], z)] == pytest.approx(np.nanmean(z, axis=0).tolist())


@pytest.mark.slow
def test_a_number_of_toys_is_searched():
    result = cross_fit(Residual(WINDOW, members=1, components=2), table(background(1500, np.random.default_rng(6))),
                       **SMALL | {"efficiencies": (0.2,)})  # fmt: skip
    one = by_name(check(result, 10))["background-only z, Residual at 0.2"]
    assert one.value == pytest.approx(result.toys(10).mean())


class TestCorrelation:
    def test_it_is_spearmans_in_the_sidebands_alone(self):
        mass = np.array([2700.0, 2800, 2900, 3000, 3500, 4000])
        rows = MassRows(np.column_stack([[1, 2, 3, 4, -100, 5], [1, 3, 2, 4, 50, 5]]), mass, ("up", "nearly"))
        values = correlations(rows, WINDOW.in_sidebands(mass))
        assert values["up"] == pytest.approx(1)
        assert values["nearly"] == pytest.approx(1 - 6 * 2 / (5 * 24))

    def test_an_input_tied_to_the_mass_is_refused_with_its_name(self):
        rows = background(1000, np.random.default_rng(7), shift=-2)
        with pytest.raises(InputError, match=r"input a has a rank correlation of -0\.[0-9]+ with m .* more than 0.3"):
            refuse_correlated(METHOD, rows)
        with pytest.raises(InputError, match="input a"):
            refuse_correlated(Combined([METHOD.fresh(inputs=("b",)), CWOLA]), rows)

    def test_what_decorrelates_or_leaves_it_out_is_not_refused(self):
        rows = background(1000, np.random.default_rng(7), shift=-2)
        refuse_correlated(CWOLA.fresh(decorrelate="flatten"), rows)
        refuse_correlated(CWOLA.fresh(decorrelate="latent"), rows)
        refuse_correlated(METHOD.fresh(inputs=("b",)), rows)
        refuse_correlated(METHOD, background(1000, np.random.default_rng(7), shift=0.2))

    def test_an_input_that_is_constant_hides_no_other(self):
        rows = background(1000, np.random.default_rng(7), shift=2)
        with_constant = MassRows(np.column_stack([np.ones(1000), rows.x]), rows.mass, ("one", "a", "b"))
        with pytest.raises(InputError, match="input a"):
            refuse_correlated(CWOLA, with_constant)


def test_the_validation_window_lies_beside_the_signal_region():
    result = cross_fit(METHOD, table(background(1500, np.random.default_rng(8))), **SMALL)
    assert _validation_window(result) == (2950, 3300)  # half of the lower sideband, which is fuller
    from dataclasses import replace

    upper = replace(result, method=METHOD.fresh(window=WINDOW.moved((2600, 3000))))
    assert _validation_window(upper) == (3000, 3400)
