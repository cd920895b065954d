"""Signals mixed into background: the curve of what is found, and where it crosses three sigma."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.searches import SMALL, WINDOW, background, signal, table
from scipy.stats import norm

from hepaa.errors import InputError
from hepaa.search import Background, Combined, Cwola, Injection, Residual, inject, injection
from hepaa.search.result import ResonantResult

METHOD = Residual(WINDOW, members=1, components=3)
SIGNAL = table(signal(800, np.random.default_rng(1)))


@pytest.fixture(scope="module")
def events():
    return table(background(2500, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def curve(events):
    return inject(METHOD, events, SIGNAL, strengths=(0, 4), draws=4, **SMALL)


def test_strength_zero_is_background_alone(curve):
    assert curve.looks == ("Residual at 0.1", "Residual at 0.02")
    assert curve.z.shape == curve.sic.shape == (2, 4, 2)
    assert np.abs(curve.z[0]).max() < 4
    assert abs(curve.z[0].mean()) < 1.2
    assert np.isnan(curve.sic[0]).all()


def test_a_strong_signal_is_found_and_the_cut_improves_it(curve):
    assert (curve.z[1] > 4).all()
    assert (curve.sic[1] > 1.5).all()
    assert (curve.sic[1] <= 1 / np.sqrt(0.005)).all()


def test_same_seed_same_curve_and_each_draw_is_another(curve, events):
    again = inject(METHOD, events, SIGNAL, strengths=(4, 0), draws=4, **SMALL)  # in any order
    np.testing.assert_array_equal(again.strengths, [0, 4])
    np.testing.assert_array_equal(again.z, curve.z)
    np.testing.assert_array_equal(again.sic, curve.sic)
    assert len(set(curve.z[1, :, 0])) == 4


def test_the_order_of_columns_does_not_matter(curve, events):
    other = SIGNAL.select(["b", "m", "a"])
    again = inject(METHOD, events, other, strengths=(0, 4), draws=4, **SMALL)
    np.testing.assert_array_equal(again.z, curve.z)


def test_the_cut_is_measured_on_signal_that_was_not_injected(events, monkeypatch):
    searched, measured = [], []
    search, tails = injection.cross_fit_rows, ResonantResult.tails
    monkeypatch.setattr(injection, "cross_fit_rows", lambda m, rows, **o: searched.append(rows) or search(m, rows, **o))
    monkeypatch.setattr(ResonantResult, "tails", lambda part, rows: measured.append(rows) or tails(part, rows))
    inject(METHOD, events, SIGNAL, strengths=(4,), draws=1, **SMALL)
    known, asked, all_signal = ({*map(tuple, x)} for x in (searched[0].x, measured[0].x, SIGNAL.select(["a", "b"]).X))
    assert len(known & all_signal) > 10
    assert len(asked) > 50
    assert not known & asked


@pytest.mark.slow
def test_a_model_of_the_background_gives_new_events_each_time():
    rows = background(2500, np.random.default_rng(0))
    model = Background.of(rows, WINDOW, bins=20, components=3)
    curve = inject(METHOD, model, SIGNAL, strengths=(0, 4), draws=2, **SMALL)
    assert len(set(curve.z[0, :, 0])) == 2
    assert (curve.z[1] > 3).all()


@pytest.mark.slow
def test_a_combination_has_all_its_looks(events):
    both = Combined([METHOD, Cwola(WINDOW, members=1)])
    curve = inject(both, events, SIGNAL, strengths=(4,), draws=1, **SMALL)
    names = ("Residual", "Cwola", "all methods")
    assert curve.looks == tuple(f"{name} at {efficiency}" for name in names for efficiency in (0.1, 0.02))
    assert np.isfinite(curve.sic).all()


def test_draws_that_cannot_be_searched_are_left_out_and_counted(events, curve, monkeypatch):
    def some(self, draw):
        if draw[:2] in refused:
            raise InputError("the sideband fit did not converge")
        return ["cut"], [draw[1] + 5.0 * draw[0]], [2.0]

    monkeypatch.setattr("hepaa.search.injection.InjectedData._search", some)
    refused = {(0, 1), (0, 5)}
    result = inject(METHOD, events, SIGNAL, strengths=(0, 1), draws=8, **SMALL)
    assert result.refused.tolist() == [2, 0]
    assert np.isnan(result.z[0, [1, 5], 0]).all()
    assert result.band("cut")[1][0] == np.median([0, 2, 3, 4, 6, 7])
    assert result.limits
    assert result.upper_limit("cut", -9.0) is not None
    content = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (content["z"][0][1], content["draws_refused"]) == ([None], [2, 0])
    refused = {(1, d) for d in range(8)}
    with pytest.raises(InputError, match=r"no draw of S / sqrt\(B\) = 1 can be searched: the sideband fit did not"):
        inject(METHOD, events, SIGNAL, strengths=(0, 1), draws=8, **SMALL)


def curve_of(median, strengths=(0, 1, 2, 3)):
    z = np.array(median)[:, None, None] + np.array([-1.0, 0, 1])[None, :, None]
    return Injection(np.array(strengths, dtype=float), ("cut",), z, np.full(z.shape, np.nan))


def test_the_threshold_is_where_a_line_through_the_medians_crosses():
    curve = curve_of([0, 1, 4, 8])
    assert curve.threshold("cut") == pytest.approx(1 + 2 / 3)
    assert curve.threshold("cut", z=4) == 2
    assert curve.threshold("cut", z=6) == pytest.approx(2.5)
    assert curve_of([3.5, 4, 5, 6]).threshold("cut") == 0
    assert curve_of([0, 1, 2, 2.9]).threshold("cut") is None  # limits only inside the injected range


def test_the_band_holds_the_middle_of_the_draws():
    z = np.random.default_rng(0).normal(size=(1, 4000, 1))
    low, middle, high = Injection(np.ones(1), ("cut",), z, z).band("cut")
    np.testing.assert_allclose([low[0], middle[0], high[0]], [-1, 0, 1], atol=0.08)


def test_it_is_json_without_nan(curve):
    content = json.loads(json.dumps(curve.to_dict(), allow_nan=False))
    assert content["strengths"] == [0, 4]
    assert content["sic"][0][0] == [None, None]
    np.testing.assert_allclose(content["z"], curve.z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strengths": ()}, "there is no strength to inject"),
        ({"strengths": (-1,)}, "a strength is -1"),
        ({"strengths": (0, float("nan"))}, "a strength is nan"),
        ({"strengths": (100,)}, r"800 signal events are too few for S / sqrt\(B\) = 100"),
        ({"draws": 0}, "draws is 0"),
    ],
)
def test_what_cannot_be_injected_is_refused(events, options, message):
    with pytest.raises(InputError, match=message):
        inject(METHOD, events, SIGNAL, **options)


def test_a_signal_elsewhere_is_refused(events):
    rows = signal(50, np.random.default_rng(0))
    elsewhere = table(type(rows)(rows.x, rows.mass + 1000, rows.columns))
    with pytest.raises(InputError, match="no signal event lies in the signal region of m"):
        inject(METHOD, events, elsewhere)


class TestUpperLimit:
    """z of strength s is Gaussian with mean 2 s and width 1: without a signal seen, CLs = 0.05 where 2 s = 1.96."""

    @pytest.fixture
    def gaussian(self):
        x = np.linspace(0, 3, 13)
        draws = norm.ppf((np.arange(400) + 0.5) / 400)
        z = (2 * x[:, None] + draws / draws.std(ddof=1))[:, :, None]
        return Injection(x, ("look",), z, np.full(z.shape, np.nan))

    def test_of_a_typical_background_is_the_closed_form(self, gaussian):
        assert gaussian.upper_limit("look", 0.0) == pytest.approx(norm.ppf(1 - 0.05 * 0.5) / 2, abs=0.02)

    def test_rises_with_what_is_seen(self, gaussian):
        limits = [gaussian.upper_limit("look", z) for z in (-1.0, 0.0, 1.0, 2.0)]
        assert limits == sorted(limits)

    def test_is_not_extrapolated(self, gaussian):
        assert gaussian.upper_limit("look", 5.0) is None

    def test_needs_strength_zero_and_draws(self, gaussian):
        short = Injection(gaussian.strengths, gaussian.looks, gaussian.z[:, :4], gaussian.sic[:, :4])
        for wrong in (short, Injection(gaussian.strengths + 1, gaussian.looks, gaussian.z, gaussian.sic)):
            with pytest.raises(InputError, match="strength 0"):
                wrong.upper_limit("look", 0.0)
