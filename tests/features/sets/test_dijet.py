"""Two jets of LHC Olympics events: FastJet's jets, FastJet's taus, published numbers, and every small event."""

from __future__ import annotations

import awkward as ak
import h5py
import numba
import numpy as np
import pandas as pd
import pytest
from helpers.jets import coordinates, fastjet_dijets, fastjet_taus, slow_cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

import hepaa
from hepaa.events import Events
from hepaa.features import kinematics
from hepaa.features.kernels.clustering import WTA
from hepaa.features.kernels.leading_jets import leading_jets
from hepaa.features.sets.dijet import COLUMNS, ratio

DIJET_FILES = ("pythia8_monash", "pythia8_vincia", "pythia6_perugia0", "pythia6_tuneA", "wprime_500_100", "svj")


@pytest.fixture(scope="module")
def tiny(data):
    return hepaa.open(data / "lhco" / "events_anomalydetection_tiny.h5")


def arrays(events):
    p = events.particles
    offsets = np.append(0, np.cumsum(ak.to_numpy(ak.num(p))))
    return offsets, *(ak.to_numpy(ak.flatten(p[f])).astype(float) for f in ("pt", "eta", "phi"))


def raw(path, n):
    """The first n events of a file in LHCO layout, and its features."""
    with h5py.File(path) as file:
        values, features = file["events"][:n, :2100].reshape(n, 700, 3).astype(float), file["features"][:n]
        names = [str(c.decode() if isinstance(c, bytes) else c) for c in file["features"].attrs["columns"]]
    real = values[:, :, 0] > 0
    return (np.append(0, np.cumsum(real.sum(axis=1))), *(values[:, :, k][real] for k in range(3))), features, names


def check_against_fastjet(offsets, pt, eta, phi):
    momenta, constituents = fastjet_dijets(offsets, pt, eta, phi)
    jets = leading_jets(offsets, pt, eta, phi)
    np.testing.assert_allclose(jets.momenta, momenta, rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(jets.counts.ravel(), ak.num(constituents))
    m2 = momenta[..., 3] ** 2 - np.sum(momenta[..., :3] ** 2, axis=-1)
    mass = kinematics.mass(*np.moveaxis(jets.momenta, -1, 0))
    np.testing.assert_allclose(mass, np.sqrt(m2), rtol=1e-9)
    for axes, scheme in (("KT_Axes", 0), ("WTA_KT_Axes", WTA)):
        taus = jets.nsubjettiness(3, scheme=scheme, minimise=False).reshape(-1, 3)
        np.testing.assert_allclose(taus, fastjet_taus(constituents, 3, axes), rtol=1e-6, atol=1e-12)
    one_pass, theirs = jets.nsubjettiness(3).reshape(-1, 3), fastjet_taus(constituents, 3, "OnePass_KT_Axes")
    assert np.all(one_pass <= 1.01 * theirs + 1e-12)
    assert np.mean(one_pass) <= np.mean(theirs)


def test_jets_and_taus_are_fastjets_on_the_olympics(tiny):
    check_against_fastjet(*arrays(tiny))


@pytest.mark.parametrize("name", DIJET_FILES)
def test_jets_and_taus_are_fastjets_on_every_generator(data, name):
    (offsets, pt, eta, phi), features, names = raw(data / "dijets" / f"{name}.h5", 200)
    # Towers lie on a grid, where equal distances merge in either order: a shift breaks such ties for both codes.
    rng = np.random.default_rng(8)
    check_against_fastjet(offsets, pt, *(a + rng.normal(size=len(a)) * 1e-5 for a in (eta, phi)))
    lists = particle_lists(offsets, pt, eta, phi)
    events = Events("memory", "lhco", np.arange(200), np.ones(200), collections={"particles": lists})
    # The file's own columns were computed by FastJet before particles were rounded to float32.
    t = hepaa.features(events, "dijet").select(names)
    momenta = [i for i, n in enumerate(names) if not n.startswith("tau")]
    np.testing.assert_allclose(t.X[:, momenta], features[:, momenta], rtol=1e-5, atol=0.01)
    taus = [i for i, n in enumerate(names) if n.startswith("tau")]
    assert np.all(t.X[:, taus] <= 1.01 * features[:, taus] + 1e-6)


def particle_lists(offsets, pt, eta, phi):
    lists = {k: ak.unflatten(v, np.diff(offsets)) for k, v in (("pt", pt), ("eta", eta), ("phi", phi))}
    return ak.zip(lists)


def test_published_values_of_the_tiny_file(tiny, data):
    t = hepaa.features(tiny, "dijet")
    assert t.columns == COLUMNS
    assert t.n == 1000
    assert float(t["ptj1"][0]) == pytest.approx(1286.728, abs=1e-3)
    assert float(t["mj1"][0]) == pytest.approx(106.912, abs=1e-3)
    assert float(t["mjj"][0]) == pytest.approx(2580.490, abs=1e-3)
    reference = pd.read_csv(data / "lhco" / "rd_event_features_12k.csv.gz").set_index("evtIdx").loc[t.event]
    np.testing.assert_allclose(t["mjj"], reference["mjj"], rtol=1e-5)
    np.testing.assert_array_equal(t.label, reference["isSignal"])


def test_the_high_level_set_orders_by_mass(tiny):
    full, hl = hepaa.features(tiny, "dijet"), hepaa.features(tiny, "dijet-hl")
    assert hl.columns == ("mjj", "mj1", "dmj", "tau21j1", "tau21j2", "tau32j1", "tau32j2")
    swapped = full["mj2"] < full["mj1"]
    assert 0 < swapped.sum() < 1000
    np.testing.assert_array_equal(hl["mj1"], np.where(swapped, full["mj2"], full["mj1"]))
    np.testing.assert_allclose(hl["dmj"], np.abs(full["mj1"] - full["mj2"]), atol=1e-3)
    np.testing.assert_array_equal(hl["tau21j1"], np.where(swapped, full["tau21j2"], full["tau21j1"]))
    np.testing.assert_array_equal(hl["tau32j2"], np.where(swapped, full["tau32j1"], full["tau32j2"]))


def test_feature_files_give_the_same_as_raw_events(tiny):
    full = hepaa.features(tiny, "dijet")
    columns = {c: full[c].astype(float) for c in COLUMNS}
    events = Events("f.h5", "lhco-features", full.event, np.ones(1000), label=full.label, columns=columns)
    again = hepaa.features(events, "dijet")
    np.testing.assert_array_equal(again.X, full.X)
    for name in full.spectators:
        np.testing.assert_allclose(again[name], full[name], rtol=1e-4, atol=2e-3)


def test_the_signal_region_looks_like_cathodes(tiny, data):
    """KS tests of m_jj, m_j1, dm, tau21 in 3.3-3.7 TeV against the CATHODE arrays, each class alone: all p > 1 %."""
    t = hepaa.features(tiny, "dijet-hl")
    t = t[(t["mjj"] > 3300) & (t["mjj"] < 3700)]
    background = np.load(data / "lhco" / "cathode_innerdata_test.npy")
    signal = np.load(data / "lhco" / "cathode_innerdata_extrasig_train.npy")
    for label, reference in ((0, background[background[:, 5] == 0]), (1, signal)):
        ours = t[t.label == label]
        assert ours.n > 40
        for i, (name, unit) in enumerate((("mjj", 1e3), ("mj1", 1e3), ("dmj", 1e3), ("tau21j1", 1), ("tau21j2", 1))):
            assert ks_2samp(ours[name] / unit, reference[:, i]).pvalue > 0.01, (label, name)


def test_threads_do_not_change_a_bit(tiny):
    particles = arrays(tiny)
    before = numba.get_num_threads()
    results = []
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        jets = leading_jets(*particles)
        results.append((jets.momenta, jets.nsubjettiness(3)))
    numba.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_particles_against_fastjet():
    """Events of every size about the blocks that the loops work in, uniform and in sprays about phi = pi."""
    rng = np.random.default_rng(21)
    sizes = np.concatenate([np.arange(30, 100, 3), [127, 128, 129, 400]])
    n = int(sizes.sum())
    spread = np.repeat(rng.uniform(0.1, 1.5, len(sizes)), sizes)
    side = np.where(rng.random(n) < 0.5, 0.0, np.pi)
    phi = np.angle(np.exp(1j * (side + spread * rng.normal(size=n))))
    offsets = np.append(0, np.cumsum(sizes))
    check_against_fastjet(offsets, rng.exponential(10, n) + 1, spread * rng.normal(size=n), phi)


PARTICLE = st.tuples(st.floats(0.1, 100), st.floats(-2.5, 2.5), st.floats(-3.14, 3.14))


@settings(deadline=None, max_examples=60)
@given(st.lists(PARTICLE, max_size=14))
def test_small_events_against_all_pairs(particles):
    """Any handful of particles: the two leading jets are those of the definition, looked at pair by pair."""
    pt, eta, phi = np.array(particles).reshape(-1, 3).T.copy()
    momenta = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)
    # no radius of a round number: particles drawn at that distance would belong or not by their rounding
    radius = 0.9876543219
    jets = leading_jets(np.array([0, len(pt)]), pt, eta, phi, radius)
    slow = slow_cluster(momenta, -1, radius)[:2]
    for k in range(2):
        if k >= len(slow):
            assert jets.counts[0, k] == 0
            assert not jets.momenta[0, k].any()
            continue
        pt_of_jet = np.hypot(*jets.momenta[0, k, :2])
        assert pt_of_jet == pytest.approx(coordinates(slow[k][0])[0], rel=1e-6, abs=1e-6)
        members = jets.members[jets.starts[0, k] :][: jets.counts[0, k]]
        np.testing.assert_allclose(momenta[members].sum(axis=0), jets.momenta[0, k], rtol=1e-9, atol=1e-9)


def test_a_jet_that_is_complete_late_can_be_harder():
    """Two hard particles are jets first; a wide pair merges after them, and just beats the second."""
    pt, eta, phi = np.array([60, 50, 25.2, 25.2]), np.array([0.0, 0.0, -0.45, 0.45]), np.array([0.0, 1.5, 3.0, 3.0])
    jets = leading_jets(np.array([0, 4]), pt, eta, phi)
    np.testing.assert_allclose(np.hypot(*jets.momenta[0, :, :2].T), [60, 50.4])
    assert jets.counts.tolist() == [[1, 2]]


def test_particles_exactly_a_radius_apart_are_two_jets():
    """d_ij = d_iB: they do not merge, as in FastJet; across phi = pi a smaller distance does."""
    eta, phi = np.array([0.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 3.0, -3.0])
    jets = leading_jets(np.array([0, 2, 4]), np.array([40.0, 30.0, 20.0, 10.0]), eta, phi)
    assert jets.counts.tolist() == [[1, 1], [2, 0]]


@pytest.mark.parametrize("n", [2, 15, 16, 17, 33])
def test_equal_distances_are_one_jet_of_all(n):
    """Copies of a particle, and points of a grid: whichever neighbour is taken, it ends, and nothing is lost."""
    pt, k = np.full(n, 2.0), np.arange(n)
    for eta, phi in ((np.full(n, 0.3), np.full(n, -1.0)), (0.0625 * (k % 4), 0.0625 * (k // 4))):
        jets = leading_jets(np.array([0, n]), pt, eta, phi)
        assert jets.counts.tolist() == [[n, 0]]
        assert sorted(jets.members) == list(range(n))
        total = [pt @ np.cos(phi), pt @ np.sin(phi), pt @ np.sinh(eta), pt @ np.cosh(eta)]
        np.testing.assert_allclose(jets.momenta[0, 0], total, rtol=1e-12)
        assert np.isfinite(jets.nsubjettiness(3)).all()


def test_small_events_are_cut_or_defined():
    """No particle, one, two back to back, zero padding: never NaN, and the cutflow counts."""
    events = [
        [],
        [(100.0, 0.1, 0.2)],
        [(100.0, 0.1, 0.2), (90.0, 0.0, -2.9)],
        [(100.0, 0.1, 0.2), (50.0, 0.2, 0.3), (90.0, 0.0, -2.9), (0.0, 0.0, 0.0)],
    ]
    lists = ak.Array([[dict(zip(("pt", "eta", "phi"), p, strict=True)) for p in e] for e in events])
    made = Events("memory", "lhco", np.arange(4), np.ones(4), collections={"particles": lists})
    t = hepaa.features(made, "dijet")
    assert [(r.step, r.n) for r in t.cutflow] == [("all", 4), ("two jets", 2)]
    assert t.event.tolist() == [2, 3]
    assert t["mj1"][0] == 0
    for name in ("tau21j1", "tau32j1", "tau21j2", "tau32j2"):
        assert t[name][0] == 0
    assert np.isfinite([t[s] for s in t.spectators]).all()
    d = np.hypot(0.1, 0.1)
    # Two constituents: the best single axis for beta = 1 lies on the harder.
    assert float(t["tau1j1"][1]) == pytest.approx(50 * d / 150, rel=1e-3)
    assert (t["tau2j1"][1], t["tau21j1"][1]) == (0, 0)
    for name in ("dijet-hl", "dijet-kitchen-sink", "dijet-efp"):
        assert np.isfinite(hepaa.features(made, name).X).all()


def test_ratio_of_nothing_is_zero():
    np.testing.assert_array_equal(ratio(np.array([0.0, 1.0]), np.array([0.0, 2.0])), [0, 0.5])


def test_a_particle_that_is_nan_is_an_error_that_names_the_event():
    lists = ak.Array([[{"pt": 1.0, "eta": 0.0, "phi": 0.0}], [{"pt": 1.0, "eta": np.nan, "phi": 0.0}]])
    made = Events("f.h5", "lhco", np.array([5, 6]), np.ones(2), collections={"particles": lists})
    with pytest.raises(hepaa.InputError, match=r"f\.h5: a particle of event 6 has eta = nan"):
        hepaa.features(made, "dijet")


def test_the_kitchen_sink_holds_the_small_sets(tiny):
    few = tiny.select(np.arange(60))
    hl, full, sink = (hepaa.features(few, s) for s in ("dijet-hl", "dijet", "dijet-kitchen-sink"))
    assert len(sink.columns) == 56
    np.testing.assert_allclose(sink["mj1"], hl["mj1"], rtol=1e-6)
    np.testing.assert_allclose(sink["tau2b1j1"] / sink["tau1b1j1"], hl["tau21j1"], rtol=1e-5)
    swapped = full["mj2"] < full["mj1"]
    np.testing.assert_allclose(sink["tau3b1j2"], np.where(swapped, full["tau3j1"], full["tau3j2"]), rtol=1e-5)
    for beta in ("05", "1", "2"):
        taus = np.array([sink[f"tau{n}b{beta}j1"] for n in range(1, 10)])
        # More axes leave less, up to the local minima that one pass can end in.
        assert np.mean(np.diff(taus, axis=0) < 0) > 0.97
