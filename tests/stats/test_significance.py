"""Significances against closed forms in high precision, pyhf, and published numbers."""

import mpmath
import numpy as np
import pyhf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hepaa.errors import InputError
from hepaa.stats import significance as sig

# pyhf 0.7.6 validates its models through an interface that jsonschema has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")


def closed_form(s, b, sigma):
    with mpmath.workdps(150):
        s, b, v = mpmath.mpf(s), mpmath.mpf(b), mpmath.mpf(sigma) ** 2
        if v == 0:
            return mpmath.sqrt(2 * ((s + b) * mpmath.log(1 + s / b) - s))
        first = (s + b) * mpmath.log((s + b) * (b + v) / (b * b + (s + b) * v))
        return mpmath.sqrt(2 * (first - b * b / v * mpmath.log(1 + v * s / (b * (b + v)))))


@pytest.mark.parametrize("sigma", [0.0, 1e-12, 1e-6, 0.01, 1.0, 30.0, 1e3])
def test_asimov_equals_the_closed_form_to_all_digits(sigma):
    for s in (1e-12, 1e-8, 1e-3, 0.3, 0.49999, 0.5, 0.51, 3.0, 100.0, 1e8):
        for b in (1e-6, 0.01, 0.5, 1.0, 100.0, 1e9):
            assert sig.asimov(s, b, sigma) == pytest.approx(float(closed_form(s, b, sigma)), rel=1e-13)


def pyhf_expected_z(s, b, modifiers):
    """Z of q0 on the Asimov data s + b."""
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-10))
    model = pyhf.Model(
        {
            "channels": [
                {
                    "name": "score",
                    "samples": [
                        {"name": "s", "data": s, "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
                        {"name": "b", "data": b, "modifiers": modifiers},
                    ],
                }
            ]
        },
        poi_name="mu",
    )
    data = model.expected_data([1.0 if n == "mu" else x for n, x in zip(*_initial(model), strict=True)])
    q0 = pyhf.infer.test_statistics.q0(
        0.0, data, model, model.config.suggested_init(), model.config.suggested_bounds(), model.config.suggested_fixed()
    )
    return float(np.sqrt(q0))


def _initial(model):
    names = [n for n in model.config.par_order for _ in range(model.config.param_set(n).n_parameters)]
    return names, model.config.suggested_init()


@pytest.mark.parametrize(("s", "b", "sigma"), [(10, 100, 10), (5, 5, 2), (30, 50, 5), (3, 1000, 12)])
def test_asimov_equals_pyhf_for_one_bin(s, b, sigma):
    assert sig.asimov(s, b) == pytest.approx(pyhf_expected_z([s], [b], []), abs=1e-3)
    shapesys = [{"name": "stat", "type": "shapesys", "data": [sigma]}]
    assert sig.asimov(s, b, sigma) == pytest.approx(pyhf_expected_z([s], [b], shapesys), abs=1e-3)


@pytest.mark.parametrize("relative", [0.02, 0.1])
def test_correlated_bins_equal_pyhf(relative):
    s, b, sigma = [2.0, 8.0, 6.0], [400.0, 60.0, 8.0], [9.0, 4.0, 1.5]
    modifiers = [
        {"name": "stat", "type": "shapesys", "data": sigma},
        {"name": "norm", "type": "histosys", "data": {"hi_data": [x * (1 + relative) for x in b],
                                                      "lo_data": [x * (1 - relative) for x in b]}},
    ]  # fmt: skip
    assert sig.asimov_correlated(s, b, sigma, relative=relative) == pytest.approx(
        pyhf_expected_z(s, b, modifiers), abs=1e-3
    )


def test_several_shared_shifts_equal_pyhf():
    s, b, sigma = [2.0, 8.0, 6.0], [400.0, 60.0, 8.0], [9.0, 4.0, 1.5]
    shifts = np.array([[0.03, 0.03, 0.03], [-0.02, 0.05, 0.2], [0.0, -0.1, 0.1]])
    modifiers = [{"name": "stat", "type": "shapesys", "data": sigma}]
    for k, shift in enumerate(shifts):
        data = {"hi_data": list(b * (1 + shift)), "lo_data": list(b * (1 - shift))}
        modifiers.append({"name": f"shared{k}", "type": "histosys", "data": data})
    found = sig.asimov_correlated(s, b, sigma, shifts=shifts)
    assert found == pytest.approx(pyhf_expected_z(s, b, modifiers), abs=1e-3)
    assert found < sig.asimov_correlated(s, b, sigma)
    assert sig.asimov_correlated(s, b, sigma, shifts=0 * shifts) == sig.asimov_correlated(s, b, sigma)
    with pytest.raises(InputError, match="shifts"):
        sig.asimov_correlated(s, b, sigma, shifts=[[np.nan, 0, 0]])


def test_correlated_bins_without_common_uncertainty_are_the_quadratic_sum():
    s, b, sigma = np.array([2.0, 8.0]), np.array([50.0, 9.0]), np.array([3.0, 1.0])
    assert sig.asimov_correlated(s, b, sigma) == pytest.approx(sig.combine(sig.asimov(s, b, sigma)), rel=1e-12)
    nearly = sig.asimov_correlated(s, b, sigma, relative=1e-6)
    assert nearly == pytest.approx(sig.combine(sig.asimov(s, b, sigma)), rel=1e-6)
    # one bin with a common uncertainty alone: a Gaussian constraint instead of a Poisson one, same to first order
    assert sig.asimov_correlated([3.0], [1000.0], relative=0.05) == pytest.approx(
        sig.asimov(3.0, 1000.0, 50.0), rel=1e-2
    )


def test_asimov_limits_and_shapes():
    assert sig.asimov(0, 10, 2) == 0
    assert sig.asimov(-3, 10) == 0
    assert sig.asimov(0, 0) == 0
    assert isinstance(sig.asimov(1, 2), float)
    assert sig.asimov([[1.0], [2.0]], [3.0, 4.0]).shape == (2, 2)
    assert sig.asimov(1e-6, 100.0) == pytest.approx(sig.s_over_sqrt_b(1e-6, 100.0), rel=1e-7)


@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 10))
@settings(max_examples=200, deadline=None)
def test_uncertainty_never_helps_and_signal_never_hurts(s, b, relative):
    z = sig.asimov(s, b, relative * b)
    assert z <= sig.asimov(s, b) * (1 + 1e-12)
    assert z <= sig.asimov(2 * s, b, relative * b)
    assert z <= s / np.sqrt(b) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1, -1), "b is -1"),
        ((1, 0), "no background"),
        (([1, np.nan], 1), "s is nan in entry 1"),
        ((1, 1, -0.1), "sigma_b"),
        ((1, np.inf), "b is inf"),
    ],
)
def test_asimov_refuses(arguments, words):
    with pytest.raises(InputError, match=words):
        sig.asimov(*arguments)


@pytest.mark.parametrize(("s", "b", "sigma"), [(1e-3, 100, 10), (10, 100, 10), (50, 3, 1), (5, 20, 0)])
def test_asimov_error_is_the_derivative(s, b, sigma):
    with mpmath.workdps(150):
        h = mpmath.mpf(10) ** -40
        ds = (closed_form(s + h, b, sigma) - closed_form(s, b, sigma)) / h
        db = (closed_form(s, b + h, sigma) - closed_form(s, b, sigma)) / h
    assert sig.asimov_error(s, b, sigma, stat_s=0.2) == pytest.approx(0.2 * float(ds), rel=1e-9)
    assert sig.asimov_error(s, b, sigma, stat_b=0.3) == pytest.approx(0.3 * abs(float(db)), rel=1e-9)


@pytest.mark.parametrize(("s", "b", "u", "weight"), [(30, 50, 0.3, 0.5), (5, 100, 0.1, 2.0), (60, 20, 1.0, 0.1)])
def test_asimov_error_follows_an_uncertainty_that_moves_with_the_background(s, b, u, weight):
    with mpmath.workdps(150):
        h = mpmath.mpf(10) ** -40

        def z(b):
            return closed_form(s, b, mpmath.sqrt(weight * b + (mpmath.mpf(u) * b) ** 2))

        slope = float((z(b + h) - z(mpmath.mpf(b))) / h)
    sigma = np.sqrt(weight * b + (u * b) ** 2)
    found = sig.asimov_error(s, b, sigma, stat_b=0.3, variance_slope=weight + 2 * u**2 * b)
    assert found == pytest.approx(0.3 * abs(slope), rel=1e-9)


def test_asimov_error_covers_toys():
    rng = np.random.default_rng(1)
    s, b = rng.poisson(400, 20000) / 40, rng.poisson(2500, 20000) / 25
    spread = np.std(sig.asimov(s, b))
    assert sig.asimov_error(10.0, 100.0, stat_s=0.5, stat_b=2.0) == pytest.approx(spread, rel=0.03)


def li_ma_17(n_on, n_off, alpha):
    """Eq. 17 of Li and Ma as it is printed, in 60 digits."""
    with mpmath.workdps(60):
        on, off, a = (mpmath.mpf(x) for x in (n_on, n_off, alpha))
        first = on * mpmath.log((1 + a) / a * (on / (on + off)))
        return float(mpmath.sqrt(2) * mpmath.sqrt(first + off * mpmath.log((1 + a) * (off / (on + off)))))


@pytest.mark.parametrize(
    ("n_on", "n_off", "alpha"),
    [(18, 97, 0.1), (4, 5, 0.2), (50, 55, 0.5), (67, 15, 2), (200, 10, 10), (523, 2327, 0.167), (498426, 493434, 1)],
)
def test_li_ma_equals_the_published_formula(n_on, n_off, alpha):
    assert sig.li_ma(n_on, n_off, alpha) == pytest.approx(li_ma_17(n_on, n_off, alpha), rel=1e-9)


def test_li_ma_published():
    """The example in the documentation of gammapy, "Statistics tools": 18 counts on, 97 off, exposure 1 : 10."""
    assert sig.li_ma(18, 97, 1 / 10) == pytest.approx(2.2421704424844875, rel=1e-12)


def test_li_ma_identities():
    s, b, alpha = 12.0, 40.0, 0.25
    assert sig.li_ma(s + b, b / alpha, alpha) == pytest.approx(sig.asimov(s, b, np.sqrt(alpha * b)), rel=1e-10)
    assert sig.li_ma(5, 100, 0.1) < 0
    assert sig.li_ma(0, 0, 0.5) == 0
    assert sig.li_ma([10, 20], 30, 0.2).shape == (2,)
    with pytest.raises(InputError, match="alpha is 0"):
        sig.li_ma(1, 1, 0)


def test_poisson_z_equals_scipy_where_scipy_has_digits():
    n, b = np.array([1, 3, 5, 12, 40, 100]), np.array([0.1, 3.0, 9.0, 4.0, 10.0, 130.0])
    np.testing.assert_allclose(sig.poisson_z(n, b), stats.norm.isf(stats.poisson.sf(n - 1, b)), rtol=1e-8)


def test_poisson_z_in_the_far_tail():
    with mpmath.workdps(50):
        for n, b in ((500, 2.0), (5000, 3.0), (3000, 500.0)):
            log_p = mpmath.log(
                mpmath.nsum(lambda k, b=b: mpmath.exp(-b) * mpmath.mpf(b) ** k / mpmath.gamma(k + 1), [n, n + 400])
            )
            z = sig.poisson_z(n, b)
            assert float(mpmath.log(mpmath.ncdf(-mpmath.mpf(z)))) == pytest.approx(float(log_p), rel=1e-9)
    assert sig.poisson_z(0, 3.0) == -np.inf
    with pytest.raises(InputError, match="not whole"):
        sig.poisson_z(2.5, 3.0)
    with pytest.raises(InputError, match="b is 0"):
        sig.poisson_z(2, 0.0)


def test_p_and_z_are_inverse():
    assert sig.p_to_z(2.866515718791933e-07) == pytest.approx(5.0, rel=1e-9)
    assert sig.z_to_p(sig.p_to_z(1e-200)) == pytest.approx(1e-200, rel=1e-9)
    with pytest.raises(InputError, match="outside"):
        sig.p_to_z(1.2)


def test_combination():
    assert sig.combine([3.0, 4.0]) == 5.0
    assert sig.combine_error([3.0, 4.0], [0.5, 0.0]) == pytest.approx(0.3)
    assert sig.combine_error([0.0], [1.0]) == 0.0


@pytest.mark.parametrize("relative", [0.0, 0.1, 0.3, 1.0])
def test_error_of_the_correlated_total_is_that_of_a_bootstrap(relative):
    rng = np.random.default_rng(3)
    background, signal = rng.beta(2, 5, 6000), rng.beta(5, 3, 1500)

    def yields(values, weight):
        n = np.histogram(values, [0, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 1.0])[0]
        return n * weight, np.sqrt(n) * weight

    def total(b_events, s_events):
        (b, stat_b), (s, stat_s) = yields(b_events, 5000 / 6000), yields(s_events, 120 / 1500)
        return s, b, stat_s, stat_b

    s, b, stat_s, stat_b = total(background, signal)
    error = sig.asimov_correlated_error(s, b, stat_b, stat_s=stat_s, stat_b=stat_b, relative=relative)
    repeats = []
    for _ in range(800):
        s, b, _, stat_b = total(
            rng.choice(background, rng.poisson(len(background))), rng.choice(signal, rng.poisson(len(signal)))
        )
        repeats.append(sig.asimov_correlated(s, b, stat_b, relative=relative))
    assert error == pytest.approx(np.std(repeats), rel=0.1)
