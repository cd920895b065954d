"""The parametric detectors: what goes in comes out, within their own resolutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.simulate.detector import (
    CHARGED_HADRON,
    DETECTORS,
    ELECTRON,
    MUON,
    NEUTRAL_HADRON,
    PHOTON,
    CellRegion,
    ParametricDetector,
    TrackRegion,
    detector,
)

PERFECT = ParametricDetector(
    tracker=(TrackRegion(2.5, (1.0, 1.0), (0.0, 0.0)),),
    ecal=(CellRegion(2.5, 0.02, (0.0, 0.0, 0.0)),),
    hcal=(CellRegion(2.5, 0.1, (0.0, 0.0, 0.0)),),
    pt_min=0.5,
)


def see(smear, particles, species, seed=0):
    """Objects of one event."""
    p = np.asarray(particles, float).reshape(-1, 3)
    kinds = np.broadcast_to(np.asarray(species, np.int8), len(p)).copy()
    ends, objects = smear(np.array([0, len(p)]), kinds, p, np.random.default_rng(seed))
    assert ends.tolist() == [0, len(objects)]
    return objects


def test_perfect_tracks_pass_unchanged_sorted_and_inside_the_acceptance() -> None:
    p = [[1.0, 0.3, 0.1], [5.0, -2.4, 3.0], [9.0, 2.6, 0.0], [0.4, 0.0, 0.0]]
    np.testing.assert_allclose(see(PERFECT, p, CHARGED_HADRON), [[5.0, -2.4, 3.0], [1.0, 0.3, 0.1]])


def test_neutrals_of_one_cell_are_summed_in_energy_at_its_centre() -> None:
    p = [[10.0, 0.51, 1.21], [20.0, 0.59, 1.29], [7.0, -0.35, -3.13]]
    out = see(PERFECT, p, NEUTRAL_HADRON)
    energy = 10 * np.cosh(0.51) + 20 * np.cosh(0.59)
    np.testing.assert_allclose(out[0], [energy / np.cosh(0.55), 0.55, 1.25])
    assert len(out) == 2
    assert -np.pi <= out[1, 2] < np.pi
    # photons have cells of their own, five times finer
    assert len(see(PERFECT, p, PHOTON)) == 3


@pytest.mark.parametrize(("species", "expected"), [(2, 0.01068), (1, 0.0224), (0, 0.1304)])
def test_resolution_is_the_one_stated(species: int, expected: float) -> None:
    # E = 25 GeV, central: 1 % (+) 0.4 %; 2 % (+) 1 %; 12 % (+) 5 %
    eta, phi = np.meshgrid(np.arange(-2, 3) * 0.1 + 0.05, np.arange(-31, 31) * 0.1 + 0.05)
    p = np.stack([25 / np.cosh(eta.ravel()), eta.ravel(), phi.ravel()], axis=1)
    for log_normal in (False, True):
        smear = replace(ParametricDetector(), log_normal=log_normal)
        seen = np.concatenate([see(smear, p, species, seed) for seed in range(30)])
        energy = seen[:, 0] * np.cosh(seen[:, 1])
        assert energy.std() / 25 == pytest.approx(expected, rel=0.04)
        assert energy.mean() == pytest.approx(25, rel=0.01)
        assert len(energy) / (30 * len(p)) == pytest.approx(0.95 if species == CHARGED_HADRON else 1.0, abs=0.01)


def test_same_generator_same_events_however_they_are_blocked() -> None:
    rng = np.random.default_rng(5)
    p = np.stack([rng.exponential(10, 50), rng.uniform(-2, 2, 50), rng.uniform(-3, 3, 50)], axis=1)
    species = rng.integers(0, 5, 50).astype(np.int8)
    for smear in DETECTORS.values():
        together = smear(np.array([0, 30, 50]), species, p, np.random.default_rng(9))
        rng = np.random.default_rng(9)
        first = smear(np.array([0, 30]), species[:30], p[:30], rng)
        second = smear(np.array([0, 20]), species[30:], p[30:], rng)
        np.testing.assert_array_equal(together[1], np.concatenate([first[1], second[1]]))
        assert together[0].tolist() == [0, first[0][1], first[0][1] + second[0][1]]
        assert see(smear, p[:0], PHOTON).shape == (0, 3)


def test_a_lost_track_leaves_its_energy_in_a_calorimeter_but_for_muons() -> None:
    blind = replace(DETECTORS["lhco-like"], tracker=(TrackRegion(2.5, (0.0, 0.0), (0.0, 0.0)),))
    p = [[50.0, 1.0, 1.0]]
    for species, side in ((ELECTRON, 0.0174), (CHARGED_HADRON, 0.0873)):
        (seen,) = see(blind, p, species)
        assert seen[0] == pytest.approx(50, rel=0.7)
        # cells are counted from eta = -6 and phi = -pi
        assert (seen[1] + 6) / side % 1 == pytest.approx(0.5, abs=1e-9)
        assert (seen[2] + np.pi) / side % 1 == pytest.approx(0.5, abs=1e-9)
    assert len(see(blind, p, MUON)) == 0
    assert len(see(ParametricDetector(), [[50.0, 2.6, 1.0]], CHARGED_HADRON)) == 0
    # beyond the ECAL photons go to the HCAL, beyond both nothing is seen
    assert len(see(DETECTORS["lhco-like"], [[50.0, 3.5, 1.0]], PHOTON)) == 1
    assert len(see(DETECTORS["lhco-like"], [[50.0, 5.5, 1.0]], PHOTON)) == 0


def test_cells_and_tracks_below_their_thresholds_are_not_seen() -> None:
    smear = replace(DETECTORS["lhco-like"], log_normal=False)
    soft = replace(
        smear, ecal=(CellRegion(3.0, 0.0174, (0.0, 0.0, 0.0)),), hcal=(CellRegion(5.0, 0.175, (0.0, 0.0, 0.0)),)
    )
    assert [len(see(soft, [[e, 0.001, 0.0]], PHOTON)) for e in (0.45, 0.55)] == [0, 1]
    assert [len(see(soft, [[e, 0.001, 0.0]], NEUTRAL_HADRON)) for e in (0.95, 1.05)] == [0, 1]
    # a charged particle below 0.5 GeV never is a track, and its cell is below threshold, too
    assert len(see(soft, [[0.45, 0.001, 0.0]], CHARGED_HADRON)) == 0


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'lhco-like'"):
        detector("lhco_like")
