"""Inside jets: FastJet contrib, energyflow, and the definitions in plain Python, on real and on made-up jets."""

from __future__ import annotations

import itertools
import math

import awkward as ak
import numpy as np
import pytest
from helpers.jets import coordinates, fastjet_taus, slow_cluster, slow_soft_drop, slow_tau
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import hepaa
from hepaa.features.efp import GRAPHS, energy_flow_polynomials
from hepaa.features.jets import constituents, four_momenta, inclusive_jets
from hepaa.features.substructure import energy_correlations, nsubjettiness, soft_drop

SINGLE, PAIR = [(50.0, 0.1, 3.1)], [(50.0, 0.1, 3.1), (25.0, 0.2, -3.1)]


def jets_of(*jets):
    return ak.Array([[dict(zip(("pt", "eta", "phi"), p, strict=True)) for p in jet] for jet in jets])


def random_jets(seed, sizes):
    """Jets about phi = pi, so that azimuths wrap."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    phi = np.angle(np.exp(1j * (np.pi + rng.normal(0, 0.25, n))))
    fields = {
        "pt": rng.exponential(10, n) + 0.1,
        "eta": rng.normal(0.5, 0.25, n),
        "phi": phi - 2 * np.pi * (phi > np.pi),
    }
    return ak.unflatten(ak.Array(fields), sizes)


def cartesian(jet):
    p = four_momenta(ak.Array([jet]))[0]
    return np.stack([ak.to_numpy(p[c]) for c in ("px", "py", "pz", "E")], axis=1)


@pytest.fixture(scope="module")
def olympics(data):
    """Constituents of the leading jets of 150 LHC Olympics events."""
    particles = hepaa.open(data / "lhco" / "events_anomalydetection_tiny.h5").particles[:150]
    return ak.flatten(constituents(particles, inclusive_jets(particles, min_pt=200)), axis=1)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_taus_are_fastjets(olympics, beta):
    momenta = four_momenta(olympics)
    for axes, theirs in (("kt", "KT_Axes"), ("wta-kt", "WTA_KT_Axes")):
        ours = nsubjettiness(olympics, 4, beta=beta, axes=axes)
        np.testing.assert_allclose(ours, fastjet_taus(momenta, 4, theirs, beta), rtol=1e-6, atol=1e-12)
    ours, theirs = nsubjettiness(olympics, 4, beta=beta), fastjet_taus(momenta, 4, "OnePass_KT_Axes", beta)
    assert np.all(ours <= nsubjettiness(olympics, 4, beta=beta, axes="kt") * (1 + 1e-12))
    assert ours.mean() <= 1.005 * theirs.mean()
    if beta >= 1:
        # For beta < 1 every particle is a local minimum of its own, and which one is found is chance.
        assert np.all(ours <= 1.01 * theirs + 1e-12)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_nine_axes_are_fastjets(olympics, beta):
    """The taus of the kitchen sink, N up to 9."""
    jets = olympics[:60]
    ours = nsubjettiness(jets, 9, beta=beta, axes="kt")
    np.testing.assert_allclose(ours, fastjet_taus(four_momenta(jets), 9, "KT_Axes", beta), rtol=1e-6, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), beta=st.sampled_from([0.5, 1.0, 1.7, 2.0]))
def test_taus_at_kt_axes_by_hand(seed, beta):
    jets = random_jets(seed, [12, 7])
    ours = nsubjettiness(jets, 3, beta=beta, axes="kt")
    for i, jet in enumerate(jets):
        particles = cartesian(jet)
        for n in (1, 2, 3):
            axes = [coordinates(p)[1:] for p, _ in slow_cluster(particles, 1, 1000.0, stop=n)]
            assert ours[i, n - 1] == pytest.approx(slow_tau(particles, axes, beta), rel=1e-6)


def test_one_axis_is_where_a_general_minimiser_puts_it():
    jets = random_jets(11, [25] * 10)
    one, two = (nsubjettiness(jets, 1, beta=b, axes="onepass-kt")[:, 0] for b in (1.0, 2.0))
    for i, jet in enumerate(jets):
        particles = cartesian(jet)
        for taus, beta in ((one[i], 1.0), (two[i], 2.0)):
            best = minimize(lambda a, p=particles, b=beta: slow_tau(p, [a], b), (0.5, np.pi), method="Nelder-Mead",
                            options={"xatol": 1e-8, "fatol": 1e-12})  # fmt: skip
            assert taus == pytest.approx(best.fun, rel=1e-4)


def test_the_scale_is_r0():
    jets = random_jets(12, [20])
    np.testing.assert_allclose(nsubjettiness(jets, beta=2.0, radius=0.5), 4 * nsubjettiness(jets, beta=2.0), rtol=1e-12)


@pytest.mark.parametrize("axes", ["kt", "wta-kt", "onepass-kt"])
def test_small_jets_are_defined(axes):
    taus = nsubjettiness(jets_of(SINGLE, PAIR, []), 3, axes=axes)
    assert np.isfinite(taus).all()
    assert taus[0].tolist() == [0, 0, 0]
    assert taus[1, 0] > 0
    assert taus[1, 1:].tolist() == [0, 0]
    assert taus[2].tolist() == [0, 0, 0]
    # Copies of one direction have no size, wherever the axes lie.
    same = nsubjettiness(jets_of([(3.0, 0.5, 1.0)] * 5), 3, axes=axes)
    np.testing.assert_allclose(same, 0, atol=1e-6)


@pytest.mark.parametrize(("z_cut", "beta"), [(0.1, 0.0), (0.2, 1.0), (0.05, -1.0)])
def test_soft_drop_by_hand(olympics, z_cut, beta):
    jets = ak.concatenate([random_jets(13, [15, 2, 9]), olympics[:3], jets_of(SINGLE)])
    ours = soft_drop(jets, z_cut=z_cut, beta=beta)
    for i, jet in enumerate(jets):
        m, pt, z, r = slow_soft_drop(cartesian(jet), z_cut, beta)
        assert ours["m"][i] == pytest.approx(m, rel=1e-6, abs=1e-3)
        assert ours["pt"][i] == pytest.approx(pt, rel=1e-6)
        assert ours["zg"][i] == pytest.approx(z, rel=1e-6)
        assert ours["rg"][i] == pytest.approx(r, rel=1e-6)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_energy_correlations_by_full_sums(beta):
    jets = random_jets(14, [20, 3, 2])
    ours = energy_correlations(jets, beta=beta)
    for i, jet in enumerate(jets):
        z = ak.to_numpy(jet.pt) / ak.sum(jet.pt)
        dphi = np.angle(np.exp(1j * (ak.to_numpy(jet.phi)[:, None] - ak.to_numpy(jet.phi))))
        theta = np.hypot(ak.to_numpy(jet.eta)[:, None] - ak.to_numpy(jet.eta), dphi) ** beta
        e2 = np.einsum("i,j,ij", z, z, theta) / 2
        e3 = np.einsum("i,j,k,ij,jk,ik", z, z, z, theta, theta, theta) / 6
        assert ours["e2"][i] == pytest.approx(e2, rel=1e-12)
        assert ours["e3"][i] == pytest.approx(e3, rel=1e-12, abs=1e-15)
        assert ours["c2"][i] == pytest.approx(e3 / e2**2, rel=1e-12, abs=1e-15)
        assert ours["d2"][i] == pytest.approx(e3 / e2**3, rel=1e-12, abs=1e-15)
    single = energy_correlations(jets_of(SINGLE, []), beta=beta)
    assert all(v.tolist() == [0, 0] for v in single.values())


def test_polynomials_of_a_pair():
    """Two particles: a sum over the two ways that edges can hold, z1 z2 theta^d times the vertices' choices."""
    value = energy_flow_polynomials(
        np.array([3.0, 1.0]), np.array([0.0, 0.3]), np.array([3.1, -3.1]), graphs=("ab", "ab ac")
    )
    theta = np.hypot(0.3, 2 * np.pi - 6.2)
    z1, z2 = 0.75, 0.25
    assert value == pytest.approx([2 * z1 * z2 * theta, (z1 * z2**2 + z2 * z1**2) * theta**2])


def test_all_polynomials_are_their_sums_over_constituents():
    """Every graph by the definition: a loop over all choices of a constituent for each vertex."""
    for beta, jet in ((1.0, random_jets(17, [5])[0]), (0.5, random_jets(18, [3])[0])):
        pt, y, phi = (ak.to_numpy(jet[f]) for f in ("pt", "eta", "phi"))
        z = pt / pt.sum()
        ours = energy_flow_polynomials(pt, y, phi, beta=beta)
        for value, graph in zip(ours, GRAPHS, strict=True):
            letters = sorted(set(graph) - {" "})
            expected = 0.0
            for members in itertools.product(range(len(z)), repeat=len(letters)):
                place = dict(zip(letters, members, strict=True))
                term = math.prod(z[i] for i in members)
                for one, two in graph.split():
                    i, j = place[one], place[two]
                    dphi = math.remainder(phi[i] - phi[j], 2 * math.pi)
                    term *= math.hypot(y[i] - y[j], dphi) ** beta
                expected += term
            assert value == pytest.approx(expected, rel=1e-10), graph


def test_polynomials_are_energyflows():
    energyflow = pytest.importorskip("energyflow", reason="the package energyflow is not installed")
    theirs = energyflow.EFPSet("d<=4", "p==1", measure="hadr", beta=1, normed=True, coords="ptyphim")
    for jet in random_jets(15, [30, 4, 2]):
        pt, y, phi = (ak.to_numpy(jet[f]) for f in ("pt", "eta", "phi"))
        ours = np.append(energy_flow_polynomials(pt, y, phi), 1.0)  # energyflow counts the graph without edges
        expected = theirs.compute(np.stack([pt, y, phi, np.zeros_like(pt)], axis=1))
        np.testing.assert_allclose(np.sort(ours), np.sort(expected), rtol=1e-9)


def test_polynomials_hold_the_energy_correlations():
    jets = random_jets(16, [25])
    e = energy_correlations(jets)
    pt, y, phi = (ak.to_numpy(jets[0][f]) for f in ("pt", "eta", "phi"))
    pair, triangle = energy_flow_polynomials(pt, y, phi, graphs=("ab", "ab ac bc"))
    assert pair == pytest.approx(2 * e["e2"][0], rel=1e-12)
    assert triangle == pytest.approx(6 * e["e3"][0], rel=1e-12)
    assert len(GRAPHS) == 20
    assert energy_flow_polynomials(np.ones(1), np.ones(1), np.ones(1)).tolist() == [0] * 20


def test_what_is_asked_wrongly_is_one_line():
    jets = jets_of(PAIR)
    with pytest.raises(hepaa.InputError, match="no axes 'onepass'; did you mean 'onepass-kt'"):
        nsubjettiness(jets, axes="onepass")
    with pytest.raises(hepaa.InputError, match="must be positive; they are 2, -1"):
        nsubjettiness(jets, 2, beta=-1.0)
    with pytest.raises(hepaa.InputError, match="beta is 0; it must be positive"):
        energy_correlations(jets, beta=0)
    with pytest.raises(hepaa.InputError, match="no graph 'abc'"):
        energy_flow_polynomials(np.ones(2), np.ones(2), np.ones(2), graphs=("abc",))
