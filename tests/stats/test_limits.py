"""Upper limits against pyhf, with uncertainties of every bin and shared ones, and their coverage."""

import numpy as np
import pyhf
import pytest

from hepaa.errors import InputError
from hepaa.stats import limits
from hepaa.stats.likelihood import q0_of
from hepaa.stats.significance import asimov

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")


@pytest.mark.parametrize(
    ("s", "b", "sigma", "shifts", "n"),
    [
        ([5.0], [20.0], None, [], [24]),
        ([5.0], [20.0], [4.0], [], [17]),
        ([2.0, 6.0, 4.0], [200.0, 50.0, 6.0], [8.0, 5.0, 1.5], [], [210, 47, 9]),
        ([2.0, 6.0, 4.0], [200.0, 50.0, 6.0], [8.0, 5.0, 1.5], [[0.05, 0.05, 0.05], [-0.02, 0.04, 0.15]], [210, 47, 9]),
    ],
)
def test_limits_equal_pyhf(s, b, sigma, shifts, n):
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-10))
    modifiers = [] if sigma is None else [{"name": "stat", "type": "shapesys", "data": sigma}]
    for k, shift in enumerate(shifts):
        up, down = ([x * (1 + sign * r) for x, r in zip(b, shift, strict=True)] for sign in (1, -1))
        modifiers.append({"name": f"shared{k}", "type": "histosys", "data": {"hi_data": up, "lo_data": down}})
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
    ours = limits.upper_limit(s, b, sigma, n_obs=n, shifts=shifts or None)

    def cls(mu, counts):
        data = [*counts, *model.config.auxdata]
        observed, expected = pyhf.infer.hypotest(mu, data, model, test_stat="qtilde", return_expected_set=True)
        return float(observed), [float(x) for x in expected]

    # at our limits pyhf's CLs is 5 %; 0.5 % of it is about 0.1 % of mu
    assert cls(ours.observed, n)[0] == pytest.approx(0.05, rel=5e-3)
    for i, mu in enumerate(ours.expected):
        assert cls(mu, b)[1][i] == pytest.approx(0.05, rel=5e-3)


def test_injected_signal_is_recovered():
    rng = np.random.default_rng(1)
    s, b = np.array([2.0, 6.0, 9.0]), np.array([400.0, 150.0, 60.0])
    z = [np.sqrt(q0_of(n, s, b)) for n in rng.poisson(s + b, (3000, 3))]
    # sqrt(q0) with signal is a Gaussian of unit width around the Asimov Z, cut off at 0
    expected = np.hypot(np.hypot(*asimov(s[:2], b[:2])), asimov(s[2], b[2]))
    assert np.median(z) == pytest.approx(expected, abs=0.06)
    assert np.mean(np.array(z) > expected + 1) == pytest.approx(0.1587, abs=0.025)
    found = [limits.upper_limit(s, b, n_obs=n).observed for n in rng.poisson(s + b, (60, 3))]
    assert np.mean(np.array(found) > 1) > 0.9  # CLs covers at least 95 %


def test_limit_refuses():
    with pytest.raises(InputError, match="b > 0"):
        limits.upper_limit([1.0], [0.0])
    with pytest.raises(InputError, match="not all 0"):
        limits.upper_limit([0.0], [1.0])
    with pytest.raises(InputError, match="observed counts"):
        limits.upper_limit([1.0], [1.0], n_obs=[1, 2])
    with pytest.raises(InputError, match="shared shifts"):
        limits.upper_limit([1.0], [1.0], shifts=[[0.1, 0.2]])


@pytest.mark.slow
def test_error_of_the_median_limit_is_that_of_repeated_simulation():
    s, b, shifts = np.array([20.0, 30.0, 40.0]), np.array([2000.0, 500.0, 60.0]), [[0.03, 0.03, 0.03]]
    n_s, n_b = np.full(3, 900.0), np.full(3, 100.0)

    def median(s, b, sigma):
        return limits.upper_limit(s, b, sigma, shifts=shifts, bands=(0.0,)).expected[0]

    sigma = b / 10
    found = limits.median_limit_error(median(s, b, sigma), s, b, sigma, stat_s=s / 30, stat_b=sigma, shifts=shifts)
    rng = np.random.default_rng(2)
    draws = zip(rng.poisson(n_s, (150, 3)) / n_s, rng.poisson(n_b, (150, 3)) / n_b, strict=True)
    again = [median(m * s, n * b, np.sqrt(n) * b / 10) for m, n in draws]
    assert found == pytest.approx(np.std(again), rel=0.1)
