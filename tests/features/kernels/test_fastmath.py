"""The polynomial atan2 and asinh against 60-digit arithmetic, over their whole range."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numba import njit

from hepaa.features.kernels.fastmath import TAN_PI_8, asinh_ratio, atan2

BOUND = 3  # units in the last place, as the module states
FLOATS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False, min_value=-1e300, max_value=1e300)


@njit
def atan2_rows(y, x):
    out = np.empty_like(y)
    for i in range(len(y)):
        out[i] = atan2(y[i], x[i])
    return out


@njit
def asinh_rows(y, x):
    out = np.empty_like(y)
    for i in range(len(y)):
        out[i] = asinh_ratio(y[i], x[i])
    return out


def worst_ulp(values, exact):
    """Largest |value - exact| in units in the last place of exact."""
    with mpmath.workdps(60):
        return max(
            float(abs(mpmath.mpf(float(v)) - e) / mpmath.mpf(float(np.spacing(abs(float(e))))))
            for v, e in zip(values, exact, strict=True)
        )


def spread(rng, n, low, high):
    return rng.choice([-1.0, 1.0], n) * 10.0 ** rng.uniform(low, high, n)


def test_atan2_is_within_three_ulp_everywhere():
    rng = np.random.default_rng(1)
    edge = np.concatenate([np.nextafter(TAN_PI_8, [0, 1]), [TAN_PI_8, 1 / TAN_PI_8, 1.0, np.nextafter(1.0, 0)]])
    y = np.concatenate([rng.uniform(-1, 1, 3000), spread(rng, 3000, -250, 250), edge, -edge, edge])
    x = np.concatenate([rng.uniform(-1, 1, 3000), spread(rng, 3000, -40, 40), np.ones(6), np.ones(6), -np.ones(6)])
    representable = np.abs(y / x) > 1e-290
    y, x = y[representable], x[representable]
    with mpmath.workdps(60):
        exact = [mpmath.atan2(mpmath.mpf(float(a)), mpmath.mpf(float(b))) for a, b in zip(y, x, strict=True)]
        # An angle that rounds to -pi is stored as +pi.
        exact = [e + 2 * mpmath.pi if float(e) == -math.pi else e for e in exact]
    assert worst_ulp(atan2_rows(y, x), exact) <= BOUND


def test_asinh_is_within_three_ulp_everywhere():
    rng = np.random.default_rng(2)
    # All angles, all powers of two that the reduction can pick, and tiny and huge momenta.
    powers = np.sinh(np.log(2) * np.arange(-20, 40, 0.5))
    y = np.concatenate([rng.normal(size=3000), spread(rng, 3000, -140, 140), powers, np.nextafter(powers, np.inf)])
    x = np.concatenate([rng.exponential(size=3000), np.abs(spread(rng, 3000, -140, 140)), np.ones(2 * len(powers))])
    with mpmath.workdps(60):
        exact = [mpmath.asinh(mpmath.mpf(float(a)) / mpmath.mpf(float(b))) for a, b in zip(y, x, strict=True)]
    assert worst_ulp(asinh_rows(y, x), exact) <= BOUND


@settings(deadline=None)  # the first call compiles
@given(FLOATS, FLOATS)
def test_atan2_stays_in_its_range_and_agrees_with_libm(y, x):
    assume(x != 0 or y != 0)  # the origin is 0 here, whatever the signs of its zeros
    value = atan2(y, x)
    assert -math.pi < value <= math.pi
    expected = math.atan2(y, x)
    # Where libm's angle rounds to -pi ours is +pi: the same direction.
    assert math.cos(value - expected) == pytest.approx(1, abs=1e-15)
    assert abs(value) == pytest.approx(abs(expected), rel=1e-15, abs=1e-300)


@settings(deadline=None)  # the first call compiles
@given(st.floats(1e-70, 1e70), st.floats(1e-70, 1e70))
def test_asinh_is_odd_and_agrees_with_libm(y, x):
    assert asinh_ratio(-y, x) == -asinh_ratio(y, x)
    assert asinh_ratio(y, x) == pytest.approx(math.asinh(y / x), rel=2e-15)


@pytest.mark.parametrize(
    ("y", "x", "angle"),
    [
        (0.0, 0.0, 0.0), (-0.0, -0.0, 0.0), (0.0, -1.0, math.pi), (-0.0, -1.0, math.pi), (0.0, 1.0, 0.0),
        (1.0, 0.0, math.pi / 2), (-1.0, 0.0, -math.pi / 2), (-1.0, -0.0, -math.pi / 2),
    ],
)  # fmt: skip
def test_the_axes_are_exact(y, x, angle):
    assert atan2(y, x) == angle


def test_the_beam_is_at_infinity():
    assert asinh_ratio(3.0, 0.0) == math.inf
    assert asinh_ratio(-3.0, 0.0) == -math.inf
    assert asinh_ratio(0.0, 0.0) == 0
    assert asinh_ratio(0.0, 5.0) == 0


def test_nan_is_passed_on():
    assert math.isnan(asinh_ratio(math.nan, 1.0))
    assert math.isnan(asinh_ratio(1.0, 1.0) + atan2(math.nan, 1.0))
