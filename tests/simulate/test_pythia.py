"""Pythia's driver: few events, checked against kinematics that hold event by event."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest

import hepaa
from hepaa.demo import path
from hepaa.errors import HepaaError, InputError
from hepaa.simulate import pythia
from hepaa.simulate.detector import detector
from hepaa.simulate.make_demo import SEEDS
from hepaa.simulate.writers import rounded_particles


def test_a_missing_pythia_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(HepaaError, match=r"pip install 'hepaa\[simulate\]'"):
        pythia.zh_events(1, seed=1)


def test_impossible_requests_are_refused_before_pythia_starts() -> None:
    with pytest.raises(InputError, match="did you mean 'vincia'"):
        pythia.dijet_events(1, shower="vinca", seed=1)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot decay"):
        pythia.wprime_events(1, seed=1, masses=(500.0, 400.0, 200.0))


def test_wrong_settings_and_seeds_are_refused() -> None:
    pytest.importorskip("pythia8mc")
    with pytest.raises(InputError, match="seed 0 is out of"):
        pythia.start([], 0)
    with pytest.raises(InputError, match="refuses the setting 'No:such = 1'"):
        pythia.start(["No:such = 1"], 1)


def test_zh_events_are_on_shell_seeded_and_centred_on_the_poles() -> None:
    pytest.importorskip("pythia8mc")
    events = pythia.zh_events(300, seed=7)
    again = pythia.zh_events(50, seed=7)
    np.testing.assert_array_equal(events.momentum[:50], again.momentum)
    p = events.momentum
    m2 = p[..., 3] ** 2 - (p[..., :3] ** 2).sum(axis=-1)
    np.testing.assert_allclose(m2, p[..., 4] ** 2, atol=1e-6 * (p[..., 3] ** 2).max())
    np.testing.assert_allclose(p[:, 4:6, :4].sum(axis=1), p[:, 3, :4], atol=1e-6)
    np.testing.assert_allclose(p[:, 6:8, :4].sum(axis=1), p[:, 2, :4], atol=1e-6)
    np.testing.assert_allclose(p[:, :2, :4].sum(axis=1), p[:, 2:4, :4].sum(axis=1), atol=1e-6)
    total = p[:, :2, :4].sum(axis=1)
    np.testing.assert_allclose(events.scale, np.sqrt(total[:, 3] ** 2 - (total[:, :3] ** 2).sum(axis=1)), rtol=1e-6)
    assert set(events.pdgid[:, 4]) <= {-11, -13}
    assert (np.abs(events.pdgid[:, 0]) <= 4).all()
    assert abs(np.median(p[:, 3, 4]) - 91.19) < 0.5
    assert events.cross_section_pb == pytest.approx(0.0217, rel=0.1)
    high = pythia.zh_events(30, seed=7, m_zh=(600.0, 700.0))
    assert 600 <= high.scale.min() <= high.scale.max() <= 700


@pytest.mark.parametrize("shower", ["monash", "vincia"])
def test_dijets_are_sorted_hard_and_seeded(shower: pythia.Shower) -> None:
    pytest.importorskip("pythia8mc")
    events = pythia.dijet_events(2, shower=shower, seed=11)
    assert len(events) == 2
    for p in events.particles:
        assert (np.diff(p[:, 0]) <= 0).all()
        assert p[:, 0].min() > 1.0
        assert (p[:, 0]).sum() > 1200
    again = pythia.dijet_events(1, shower=shower, seed=11)
    np.testing.assert_array_equal(events.particles[0], again.particles[0])


def test_wprime_events_carry_the_label_of_signal() -> None:
    pytest.importorskip("pythia8mc")
    events = pythia.wprime_events(2, seed=11)
    assert events.label == 1
    assert events.cross_section_pb > 0


def test_particles_with_hardly_any_momentum_keep_their_direction() -> None:
    """Soft photons of showers have pT of 1e-11 GeV: elsewhere they would open a cell, and shift all random numbers."""
    momenta = [(3e-11, -4e-11, 5e-11), (0.0, 0.0, -2.0), (0.0, 0.0, 0.0), (3.0, 4.0, 0.0)]
    prt = [
        {"id": 22, "status": 51, "p": dict(zip(("px", "py", "pz"), p, strict=True))} for p in momenta
    ]  # fmt: skip
    data = SimpleNamespace(isVisible=lambda _: True, charge=lambda _: 0.0)
    offsets, species, seen = pythia.visible_particles(
        SimpleNamespace(particleData=data), ak.Array([{"prt": prt}])
    )  # fmt: skip
    assert offsets.tolist() == [0, 4]
    np.testing.assert_allclose(seen[0], [5e-11, np.arcsinh(1.0), np.arctan2(-4, 3)])
    assert seen[1, 1] == -np.inf
    ends, objects = detector("embedded")(offsets, species, seen, np.random.default_rng(1))
    assert ends.tolist() == [0, 1]  # that at rest, or along the beam, is in no cell
    assert objects[0, 1:] == pytest.approx([0.01, np.arctan2(4, 3)], abs=0.02)


@pytest.mark.slow
def test_the_embedded_wprime_events_are_made_again() -> None:
    pytest.importorskip("pythia8mc")
    events = pythia.wprime_events(100, seed=SEEDS["wprime"])
    stored = hepaa.open(path("dijet_wprime.h5")).particles[:100]
    for made, particles in zip(events.particles, stored, strict=True):
        known = np.stack([np.asarray(particles[name]) for name in ("pt", "eta", "phi")], axis=1)
        np.testing.assert_array_equal(rounded_particles(made), known)
