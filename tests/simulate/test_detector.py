"""The parametric detector: what goes in comes out, within its own resolutions."""

from __future__ import annotations

import numpy as np
import pytest

from hepaa.simulate.detector import ParametricDetector

PERFECT = ParametricDetector(
    track_efficiency=1.0,
    track_resolution=(0.0, 0.0),
    ecal_resolution=(0.0, 0.0),
    hcal_resolution=(0.0, 0.0),
    pt_min=0.5,
)


def flags(n: int, value: bool) -> np.ndarray:
    return np.full(n, value)


def test_perfect_tracks_pass_unchanged_sorted_and_inside_the_acceptance() -> None:
    p = np.array([[1.0, 0.3, 0.1], [5.0, -2.4, 3.0], [9.0, 2.6, 0.0], [0.4, 0.0, 0.0]])
    out = PERFECT(p, flags(4, True), flags(4, False), np.random.default_rng(0))
    np.testing.assert_allclose(out, [[5.0, -2.4, 3.0], [1.0, 0.3, 0.1]])


def test_neutrals_of_one_tower_are_summed_in_energy_at_its_centre() -> None:
    p = np.array([[10.0, 0.51, 1.21], [20.0, 0.59, 1.29], [7.0, -0.35, -3.13]])
    out = PERFECT(p, flags(3, False), flags(3, False), np.random.default_rng(0))
    energy = 10 * np.cosh(0.51) + 20 * np.cosh(0.59)
    np.testing.assert_allclose(out[0], [energy / np.cosh(0.55), 0.55, 1.25])
    assert len(out) == 2
    assert -np.pi <= out[1, 2] < np.pi
    # photons have towers of their own, five times finer
    out = PERFECT(p, flags(3, False), flags(3, True), np.random.default_rng(0))
    assert len(out) == 3


@pytest.mark.parametrize(("part", "expected"), [("track", 0.01), ("photon", 0.0224), ("hadron", 0.1304)])
def test_resolution_is_the_one_stated(part: str, expected: float) -> None:
    # E = 25 GeV, central: 1 % (+) 0.4 %; 2 % (+) 1 %; 12 % (+) 5 %
    eta, phi = np.meshgrid(np.arange(-2, 3) * 0.1 + 0.05, np.arange(-31, 31) * 0.1 + 0.05)
    n = eta.size
    p = np.stack([25 / np.cosh(eta.ravel()), eta.ravel(), phi.ravel()], axis=1)
    rng = np.random.default_rng(1)
    seen = [ParametricDetector()(p, flags(n, part == "track"), flags(n, part == "photon"), rng) for _ in range(30)]
    energy = np.concatenate([s[:, 0] * np.cosh(s[:, 1]) for s in seen])
    expected = np.hypot(0.01, 25 * 1.5e-4) if part == "track" else expected
    assert energy.std() / 25 == pytest.approx(expected, rel=0.04)
    assert energy.mean() == pytest.approx(25, rel=0.01)
    assert len(energy) / (30 * n) == pytest.approx(0.95 if part == "track" else 1.0, abs=0.01)


def test_same_generator_same_events_and_no_particles_no_objects() -> None:
    rng = np.random.default_rng(5)
    p = np.stack([rng.exponential(10, 50), rng.uniform(-2, 2, 50), rng.uniform(-3, 3, 50)], axis=1)
    charged = rng.random(50) < 0.6
    photon = ~charged & (rng.random(50) < 0.5)
    first, second = (ParametricDetector()(p, charged, photon, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert ParametricDetector()(p[:0], charged[:0], photon[:0], rng).shape == (0, 3)
