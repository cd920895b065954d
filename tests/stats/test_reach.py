"""Luminosities and errors against the closed form."""

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.stats import reach
from hepaa.stats.significance import asimov


def test_luminosity():
    s, b = np.array([3.0, 5.0]), np.array([100.0, 50.0])
    z = reach.z_versus_luminosity(s, b, None, [139.0, 4 * 139.0], at=139.0)
    assert z[0] == pytest.approx(np.hypot(*asimov(s, b)))
    assert z[1] == pytest.approx(2 * z[0])  # a background known exactly: Z grows as the root
    five = reach.luminosity_for(5.0, s, b, at=139.0)
    assert five == pytest.approx(139.0 * 25 / z[0] ** 2, rel=1e-6)
    ceiling = np.hypot(*(s / b / 0.05))  # s / (5 % b), uncorrelated
    assert reach.luminosity_for(ceiling * 1.01, s, b, 0.05 * b, at=139.0) is None
    assert reach.luminosity_for(ceiling * 0.9, s, b, 0.05 * b, at=139.0) > 139.0
    with pytest.raises(InputError, match="positive"):
        reach.z_versus_luminosity(s, b, None, [0.0], at=139.0)


def test_a_luminosity_that_nothing_brackets_is_none():
    assert reach.luminosity_for(3.0, np.array([1e11]), np.array([1.0]), at=300.0) is None


def test_luminosity_with_shared_uncertainties_has_a_ceiling():
    s, b = np.array([8.0, 40.0]), np.array([100.0, 50.0])
    shifts = [[0.2, 0.2], [0.05, -0.1]]
    free = reach.luminosity_for(3.0, s, b, at=100.0)
    held = reach.luminosity_for(3.0, s, b, at=100.0, shifts=shifts)
    assert held > free
    z = reach.z_versus_luminosity(s, b, None, [held], at=100.0, shifts=shifts)
    assert z[0] == pytest.approx(3.0, rel=1e-6)
    one = reach.luminosity_for(3.0, s[:1], b[:1], at=100.0, relative=0.1)
    assert one is None  # s / b = 0.08 is below the uncertainty


def test_statistical_error_equals_the_closed_form_and_pseudo_experiments():
    s, b, ds, db = np.array([3.0, 5.0]), np.array([100.0, 50.0]), np.array([0.3, 0.2]), np.array([4.0, 2.0])

    def five(s, b):
        return reach.luminosity_for(5.0, s, b, at=100.0)

    found = reach.statistical_error(five, s, b, stat_s=ds, stat_b=db)
    # L = 25 / Z^2 with Z^2 close to sum s^2 / b
    z2 = np.sum(s**2 / b)
    rough = 100 * 25 / z2**2 * np.sqrt(np.sum((2 * s / b * ds) ** 2) + np.sum((s**2 / b**2 * db) ** 2))
    assert found == pytest.approx(rough, rel=0.05)
    rng = np.random.default_rng(0)
    values = [five(rng.normal(s, ds / 4), rng.normal(b, db / 4)) for _ in range(400)]
    assert found / 4 == pytest.approx(np.std(values), rel=0.15)
    assert reach.statistical_error(lambda s, b: None, s, b, stat_s=ds, stat_b=db) is None
    assert reach.statistical_error(five, s, b, stat_s=[0, 0], stat_b=[0, 0]) == 0


@pytest.mark.slow
def test_error_of_the_luminosity_is_that_of_repeated_simulation():
    s, b, shifts = np.array([100.0, 60.0]), np.array([100.0, 20.0]), [[0.05, 0.05]]

    def five(s, b, sigma):
        return reach.luminosity_for(5.0, s, b, sigma, at=100.0, shifts=shifts)

    n_s, n_b, w_s, w_b = s / 0.05, b / 0.5, 0.05, 0.5
    sigma = np.sqrt(n_b) * w_b
    errors = {"stat_s": np.sqrt(n_s) * w_s, "stat_b": sigma}
    found = reach.luminosity_error(five(s, b, sigma), s, b, sigma, **errors, at=100.0, shifts=shifts)
    rng = np.random.default_rng(1)
    draws = zip(rng.poisson(n_s, (300, 2)), rng.poisson(n_b, (300, 2)), strict=True)
    again = [five(m * w_s, n * w_b, np.sqrt(n) * w_b) for m, n in draws]
    assert found == pytest.approx(np.std(again), rel=0.1)
