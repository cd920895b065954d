"""Kinematics: numba == vector (numpy and awkward) == closed form in 50 digits, and every edge."""

from __future__ import annotations

import math

import awkward as ak
import mpmath
import numpy as np
import pytest
import vector
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hepaa.features import kinematics as kin
from hepaa.features.kernels import momentum

MOMENTUM = st.floats(-1e4, 1e4, allow_subnormal=False)
MASS = st.sampled_from([0.0, 0.000511, 0.105658, 4.18, 91.1876, 172.7])
EPS = np.finfo(float).eps


@pytest.fixture(scope="module")
def particles():
    """2,000 particles as px, py, pz, E (4, n), two of each pair."""
    rng = np.random.default_rng(3)
    p = rng.normal(size=(3, 2000)) * 10 ** rng.uniform(-1, 3, 2000)
    m = rng.choice([0.000511, 0.105658, 4.18, 91.1876], 2000)
    return np.vstack([p, np.sqrt(np.sum(p**2, axis=0) + m**2)])


def test_numpy_backend_of_vector_agrees(particles):
    px, py, pz, e = particles
    v = vector.array({"px": px, "py": py, "pz": pz, "E": e})
    np.testing.assert_allclose(kin.pt(px, py), v.pt, rtol=4 * EPS)
    np.testing.assert_allclose(kin.phi(px, py), v.phi, rtol=4 * EPS)
    np.testing.assert_allclose(kin.eta(px, py, pz), v.eta, rtol=1e-14, atol=1e-15)
    # vector takes the logarithm of a ratio, which loses digits for fast particles; ours does not.
    np.testing.assert_allclose(kin.rapidity(pz, e), v.rapidity, rtol=1e-9, atol=1e-9)
    rounding = 8 * EPS * e**2
    np.testing.assert_array_less(np.abs(kin.mass(px, py, pz, e) ** 2 - v.tau2), rounding)
    a, b = v[::2], v[1::2]
    np.testing.assert_allclose(kin.delta_phi(a.phi, b.phi), a.deltaphi(b), atol=1e-15)
    np.testing.assert_allclose(np.vectorize(momentum.delta_r)(a.eta, a.phi, b.eta, b.phi), a.deltaR(b), rtol=1e-13)
    back = np.vectorize(momentum.cartesian)(v.pt, v.eta, v.phi, v.tau)
    np.testing.assert_allclose(back, particles, rtol=1e-12, atol=1e-12)


def test_awkward_arrays_go_through(particles):
    counts = np.tile([0, 3, 1, 4], 250)
    px, py, pz, e = (ak.unflatten(x, counts) for x in particles)
    v = ak.zip(
        {"px": px, "py": py, "pz": pz, "E": e}, with_name="Momentum4D", behavior=vector.backends.awkward.behavior
    )
    for ours, theirs in ((kin.pt(px, py), v.pt), (kin.eta(px, py, pz), v.eta), (kin.phi(px, py), v.phi)):
        assert ak.num(ours).tolist() == counts.tolist()
        np.testing.assert_allclose(ak.flatten(ours), ak.flatten(theirs), rtol=1e-13, atol=1e-15)


def test_float32_storage_loses_less_than_a_millionth(particles):
    px, py, pz, e = particles
    for values in (kin.pt(px, py), kin.eta(px, py, pz), kin.rapidity(pz, e), kin.phi(px, py), kin.mass(*particles)):
        np.testing.assert_allclose(values.astype(np.float32), values, rtol=1e-6)


@settings(deadline=None)  # the first call compiles
@given(MOMENTUM, MOMENTUM, MOMENTUM, MASS)
@example(0.0, 0.0, 1.0, 0.0)
@example(1e-12, 0.0, 1e4, 0.0)
@example(0.0, 0.0, 0.0, 91.1876)
def test_closed_forms_in_fifty_digits(px, py, pz, m):
    assume(all(p == 0 or abs(p) > 1e-100 for p in (px, py, pz)))
    with mpmath.workdps(50):
        x, y, z = (mpmath.mpf(p) for p in (px, py, pz))
        pt = mpmath.sqrt(x**2 + y**2)
        e = float(mpmath.sqrt(x**2 + y**2 + z**2 + mpmath.mpf(m) ** 2))
        assert kin.pt(px, py) == pytest.approx(float(pt), rel=4 * EPS)
        if pt > 0:
            assert kin.eta(px, py, pz) == pytest.approx(float(mpmath.asinh(z / pt)), rel=1e-14, abs=1e-300)
        # What the stored numbers say: their E is rounded, so the mass is known to sqrt(eps) E at worst.
        m2 = float(mpmath.mpf(e) ** 2 - x**2 - y**2 - z**2)
        value = kin.mass(px, py, pz, e)
        assert value * abs(value) == pytest.approx(m2, abs=max(1e-9 * e * e if m2 < 0 else 0.0, 8 * EPS * e * e))
        assert value >= 0


@settings(deadline=None)  # the first call compiles
@given(st.floats(-50, 50), st.floats(-50, 50))
@example(math.pi, 0.0)
@example(-math.pi, 0.0)
@example(math.pi, -math.pi)
@example(-math.pi, math.pi)
@example(3.0, -3.2831853071795862)
def test_azimuth_differences_are_wrapped(a, b):
    d = float(kin.delta_phi(a, b))
    assert -math.pi < d <= math.pi
    assert math.cos(d) == pytest.approx(math.cos(a - b), abs=1e-13)
    assert math.sin(d) == pytest.approx(math.sin(a - b), abs=1e-13)
    if abs(a - b) < math.pi:
        assert d == a - b


def test_edges_are_defined():
    inf, pi = math.inf, math.pi
    assert kin.phi(0.0, 0.0) == 0
    assert kin.phi(-1.0, -0.0) == pi
    assert (kin.eta(0.0, 0.0, 5.0), kin.eta(0.0, 0.0, -5.0), kin.eta(0.0, 0.0, 0.0)) == (inf, -inf, 0)
    assert (kin.rapidity(5.0, 5.0), kin.rapidity(-5.0, 5.0), kin.rapidity(0.0, 0.0)) == (inf, -inf, 0)
    assert kin.rapidity(5.0, 4.9) == inf
    assert momentum.delta_r(inf, 1.0, inf, 1.5) == 0.5
    assert momentum.delta_r(inf, 1.0, -inf, 1.0) == inf
    # m^2 = -1e-10 E^2 is rounding; -1e-6 E^2 is not.
    assert kin.mass(0.0, 0.0, 100.0, 100.0 * (1 - 0.5e-10)) == 0
    assert kin.mass(0.0, 0.0, 100.0, 100.0 * (1 - 0.5e-6)) == pytest.approx(-0.1, rel=1e-5)
    assert momentum.cartesian(3.0, 0.0, 1.0, -5.0)[3] == 0


def boost(p, beta):
    """Four-vector (px, py, pz, E) seen from a frame that moves with beta."""
    b = np.asarray(beta)
    b2 = b @ b
    gamma = 1 / np.sqrt(1 - b2)
    along = p[:3] @ b
    return np.append(p[:3] + b * ((gamma - 1) * along / b2 - gamma * p[3]), gamma * (p[3] - along))


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10**6))
def test_collins_soper_angles_by_explicit_boosts(seed):
    """Boost to the pair's rest frame; the axis bisects beam 1 and minus beam 2 there, on the pair's side."""
    rng = np.random.default_rng(seed)
    momenta = rng.normal(size=(2, 3)) * 60
    p, r = (np.append(v, np.sqrt(v @ v + m * m)) for v, m in zip(momenta, rng.choice([0, 4.18, 91.2], 2), strict=True))
    q = p + r
    beta = q[:3] / q[3]
    side = 1 if q[2] >= 0 else -1
    beams = [boost(np.array([0, 0, s * 6500.0, 6500.0]), beta)[:3] for s in (side, -side)]
    one, two = (b / np.linalg.norm(b) for b in beams)
    z = (one - two) / np.linalg.norm(one - two)
    x = -(one + two) / np.linalg.norm(one + two)
    y = np.cross(z, x)
    k = boost(p, beta)[:3]
    cos_theta, phi = momentum.collins_soper(*p, *q)
    assert cos_theta == pytest.approx(k @ z / np.linalg.norm(k), abs=1e-9)
    assert kin.delta_phi(phi, math.atan2(k @ y, k @ x)) == pytest.approx(0, abs=1e-7)


def test_collins_soper_cosine_is_the_textbook_formula_for_leptons():
    """2 (p1+ p2- - p1- p2+) / (m sqrt(m^2 + pT^2)) with the sign of pz, massless leptons."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 3, 1000)) * 50
    ea, eb = np.linalg.norm(a, axis=0), np.linalg.norm(b, axis=0)
    q, e = a + b, ea + eb
    m = np.sqrt(e**2 - np.sum(q**2, axis=0))
    plus, minus = [(ea + a[2]) / math.sqrt(2), (eb + b[2]) / math.sqrt(2)], [(ea - a[2]), (eb - b[2])]
    minus = [x / math.sqrt(2) for x in minus]
    expected = (
        2 * (plus[0] * minus[1] - minus[0] * plus[1]) / (m * np.sqrt(m**2 + q[0] ** 2 + q[1] ** 2)) * np.sign(q[2])
    )
    np.testing.assert_allclose(np.vectorize(momentum.collins_soper)(*a, ea, *q, e)[0], expected, atol=1e-10)


def test_a_pair_without_transverse_momentum_or_mass_has_angles():
    assert momentum.collins_soper(3.0, 0.0, 4.0, 5.0, 0.0, 0.0, 0.0, 10.0)[0] == pytest.approx(0.8)
    assert momentum.collins_soper(0.0, 3.0, 4.0, 5.0, 0.0, 0.0, 0.0, 10.0)[1] == pytest.approx(math.pi / 2)
    assert momentum.collins_soper(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 2.0, 2.0)[0] == 0
