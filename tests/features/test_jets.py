"""The general jets: FastJet's batch against all pairs in plain Python, and the shapes of what comes back."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from helpers.jets import coordinates, slow_cluster
from hypothesis import given, settings
from hypothesis import strategies as st

import hepaa
from hepaa.features.jets import constituents, four_momenta, inclusive_jets

POWER = {"anti-kt": -1, "ca": 0, "kt": 1}


def events(seed, sizes):
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    fields = {"pt": rng.exponential(20, n) + 0.5, "eta": rng.normal(0, 1, n), "phi": rng.uniform(-np.pi, np.pi, n)}
    return ak.unflatten(ak.Array(fields), sizes)


def cartesian(particles, i):
    p = four_momenta(particles[i : i + 1])[0]
    return np.stack([ak.to_numpy(p[c]) for c in ("px", "py", "pz", "E")], axis=1)


@pytest.mark.parametrize("algorithm", list(POWER))
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), radius=st.sampled_from([0.4, 1.0]))
def test_inclusive_jets_are_those_of_all_pairs(algorithm, seed, radius):
    particles = events(seed, [9, 0, 14])
    jets = inclusive_jets(particles, algorithm=algorithm, radius=radius)
    assert ak.num(jets).tolist()[1] == 0
    for i, of_event in enumerate(jets):
        slow = slow_cluster(cartesian(particles, i), POWER[algorithm], radius)
        assert sorted(map(sorted, of_event.constituents.tolist())) == sorted(sorted(members) for _, members in slow)
        np.testing.assert_allclose(of_event.pt, [coordinates(p)[0] for p, _ in slow], rtol=1e-9)
        np.testing.assert_allclose(of_event.y, [coordinates(p)[1] for p, _ in slow], atol=1e-9)


def test_jets_are_the_sum_of_their_constituents():
    particles = events(5, [30, 0, 40])
    jets = inclusive_jets(particles, min_pt=20)
    parts = constituents(particles, jets)
    assert ak.num(parts, axis=2).tolist() == ak.num(jets.constituents, axis=2).tolist()
    for field in ("px", "py", "pz", "E"):
        total = ak.sum(four_momenta(ak.flatten(parts, axis=1))[field], axis=1)
        np.testing.assert_allclose(total, ak.flatten(jets[field.lower()]), rtol=1e-9)
    assert ak.all(jets.pt[:, :-1] >= jets.pt[:, 1:])
    assert ak.all(jets.pt > 20)


def test_cartesian_and_polar_particles_are_the_same_jets():
    polar = events(6, [25])
    p = four_momenta(polar)
    same = inclusive_jets(ak.zip({"px": p.px, "py": p.py, "pz": p.pz, "e": p.E}))
    np.testing.assert_allclose(same.pt, inclusive_jets(polar).pt)


def test_no_particles_are_no_jets():
    nothing = events(7, [3, 2])[:, :0]
    assert ak.num(inclusive_jets(nothing)).tolist() == [0, 0]
    assert len(constituents(nothing, inclusive_jets(nothing))) == 2


def test_what_is_asked_wrongly_is_one_line():
    particles = events(8, [5])
    with pytest.raises(hepaa.InputError, match="no jet algorithm 'antikt'; did you mean 'anti-kt'"):
        inclusive_jets(particles, algorithm="antikt")
    with pytest.raises(hepaa.InputError, match="radius is 0; it must be positive"):
        inclusive_jets(particles, radius=0)
    with pytest.raises(hepaa.InputError, match="jets need particles with px py pz e"):
        inclusive_jets(particles[["pt", "eta"]])
