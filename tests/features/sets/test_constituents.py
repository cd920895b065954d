"""Jets as clouds of particles: by hand, against FastJet, and from files that hold jets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
import pytest

import hepaa
from hepaa.events import Events
from hepaa.features.sets import constituents

if TYPE_CHECKING:
    from pathlib import Path


def made(events: list[list[dict[str, float]]], jets: list[list[dict[str, float]]] | None = None) -> Events:
    n = len(events)
    collections = {"particles": ak.Array(events)} | ({} if jets is None else {"jets": ak.Array(jets)})
    return Events("memory", "test", np.arange(n), np.ones(n), collections=collections)


def cloud(table: hepaa.EventTable, jets: int, particles: int) -> np.ndarray:
    return table.X.reshape(len(table), jets, particles, 3).astype(float)


def particle(pt: float, eta: float, phi: float, **more: float) -> dict[str, float]:
    return {"pt": pt, "eta": eta, "phi": phi, **more}


SIMPLE = [particle(20, 0.1, 3.1), particle(60, 0.0, -3.1), particle(50, 1.5, 0.2), particle(0, 0.1, 0.3)]


def test_two_jets_by_hand() -> None:
    """A jet across the seam in phi, a jet of one particle, and a particle without pT."""
    t = hepaa.features(made([SIMPLE, SIMPLE[:2]]), "constituents-2x30")
    assert [(r.step, r.n) for r in t.cutflow] == [("all", 2), ("two jets", 1)]
    x = cloud(t, 2, 30)[0]
    p = np.array([[60 * np.cos(-3.1), 60 * np.sin(-3.1), 0.0], [20 * np.cos(3.1), 20 * np.sin(3.1), 20 * np.sinh(0.1)]])
    px, py, pz = p.sum(axis=0)
    pt, phi = np.hypot(px, py), np.arctan2(py, px)
    assert t["ptj1"][0] == pytest.approx(pt)
    first = [60 / pt, 0.0 - np.arcsinh(pz / pt), -3.1 - phi + (2 * np.pi if phi > 0 else 0)]
    second = [20 / pt, 0.1 - np.arcsinh(pz / pt), 3.1 - phi - (2 * np.pi if phi < 0 else 0)]
    np.testing.assert_allclose(x[0, :2], [first, second], atol=1e-6)
    np.testing.assert_allclose(x[1, 0], [1, 0, 0], atol=1e-6)
    assert (x[0, 2:] == 0).all()
    assert (x[1, 1:] == 0).all()


def random_events(n: int, seed: int = 0) -> Events:
    rng = np.random.default_rng(seed)

    def one(size: int) -> list[dict[str, float]]:
        values = zip(rng.exponential(20, size), rng.normal(0, 1.5, size), rng.uniform(-np.pi, np.pi, size), strict=True)
        return [particle(*v) for v in values]

    return made([one(size) for size in rng.integers(3, 60, n)])


def test_compiled_jets_are_fastjets() -> None:
    events = random_events(40)
    offsets, pt, eta, phi = constituents.raw_particles(events)
    momenta, owner = constituents._compiled(offsets, pt, eta, phi)
    other_momenta, other = constituents._with_fastjet(events, offsets, 2)
    np.testing.assert_array_equal(owner, other)
    np.testing.assert_allclose(momenta, other_momenta, rtol=1e-9, atol=1e-9)


def test_three_jets_hold_what_their_jets_hold() -> None:
    """Particles by event and jet, found again by summing momenta; at most 15, by falling share."""
    events = random_events(30, seed=1)
    t = hepaa.features(events, "constituents-3x15")
    x = cloud(t, 3, 15)
    z = x[..., 0]
    assert (np.diff(z, axis=-1) <= 0).all()
    for i in range(len(t)):
        for j in range(3):
            ptj, etaj, phij = (float(t[f"{q}j{j + 1}"][i]) for q in ("pt", "eta", "phi"))
            rows = x[i, j][z[i, j] > 0]
            if ptj == 0:
                assert not len(rows)
                continue
            assert len(rows)
            if len(rows) < 15:  # the whole jet: its momentum is the sum of the parts
                part = rows[:, 0] * ptj
                azimuth = rows[:, 2] + phij
                px, py = (part * np.cos(azimuth)).sum(), (part * np.sin(azimuth)).sum()
                pz = (part * np.sinh(rows[:, 1] + etaj)).sum()
                assert np.hypot(px, py) == pytest.approx(ptj, rel=1e-5)
                assert np.arcsinh(pz / np.hypot(px, py)) == pytest.approx(etaj, abs=1e-4)
    assert (t["ptj1"] >= t["ptj2"]).all()
    assert (t["ptj2"] >= t["ptj3"]).all()


def test_jets_of_the_file_are_taken_as_they_are() -> None:
    """As BEAD's files have them: the second jet of the list is the harder one."""
    particles = [[particle(10, 0, 0, jet=0), particle(5, 0.2, 0, jet=0), particle(40, 1, 2, jet=1)], []]
    jets = [[{"pt": 15.0}, {"pt": 40.0}], []]
    t = hepaa.features(made(particles, jets), "constituents-3x15")
    assert len(t) == 1
    x = cloud(t, 3, 15)[0]
    np.testing.assert_allclose(x[0, 0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(x[1, :2, 0], [10 / 15, 5 / 15], atol=1e-6)
    assert x[1, 1, 1] - x[1, 0, 1] == pytest.approx(0.2, abs=1e-6)
    assert (x[2] == 0).all()


def test_real_events_keep_most_of_their_pt(data: Path) -> None:
    """LHC Olympics: the 30 hardest particles carry nearly all of a jet; no particle is farther than a jet reaches."""
    events = hepaa.open(data / "lhco" / "events_anomalydetection_tiny.h5")
    t = hepaa.features(events.select(np.arange(events.n) < 200), "constituents-2x30")
    x = cloud(t, 2, 30)
    assert 0.9 < x[..., 0].sum(-1).mean() < 1.0
    assert np.hypot(x[..., 1], x[..., 2]).max() < 2.0
    spread = (x[..., 0] * np.hypot(x[..., 1], x[..., 2])).sum(-1)
    dijet = hepaa.features(events.select(np.arange(events.n) < 200), "dijet")
    # the width of a jet goes with m / pT
    ratio = np.stack([dijet[f"mj{j}"] / dijet[f"ptj{j}"] for j in (1, 2)], axis=1)
    assert np.corrcoef(spread.ravel(), ratio.ravel())[0, 1] > 0.9
