"""The ZH sets on MadGraph events, against vector on awkward arrays, and on events made by hand."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import vector

import hepaa
from hepaa.events import Events, Sample
from hepaa.features.kernels.zh import ROWS, zh_rows


def events_of(particles, **more):
    """Events of lists of (pdgid, status, px, py, pz, E)."""
    names = ("pdgid", "status", "px", "py", "pz", "e")
    records = ak.Array([[dict(zip(names, p, strict=True)) for p in event] for event in particles])
    n = len(records)
    return Events("by hand", "lhe", np.arange(n), np.ones(n), collections={"particles": records}, **more)


def massless(pdgid, px, py, pz, status=1):
    return pdgid, status, px, py, pz, float(np.sqrt(px**2 + py**2 + pz**2))


B, BBAR = massless(5, 40.0, 30.0, 0.0), massless(-5, -30.0, 10.0, 20.0)
ELECTRONS = [massless(11, 30.0, 0.0, 10.0), massless(-11, -60.0, -40.0, 0.0)]


@pytest.fixture(scope="module")
def madgraph(data):
    return hepaa.open(data / "zh" / "zh_sm_rwgt.lhe.gz")


@pytest.fixture(scope="module")
def by_vector(madgraph):
    """The chosen leptons and b quarks as vector records, in the file's order."""
    p = madgraph.particles[madgraph.particles.status == 1]

    def one(mask):
        q = ak.firsts(p[mask])
        return vector.zip({"px": q.px, "py": q.py, "pz": q.pz, "E": q.e})

    minus, plus = one((p.pdgid == 11) | (p.pdgid == 13)), one((p.pdgid == -11) | (p.pdgid == -13))
    return minus, plus, one(p.pdgid == 5), one(p.pdgid == -5)


def close(ours, theirs, tolerance=1e-6):
    np.testing.assert_allclose(ours, ak.to_numpy(theirs), rtol=tolerance, atol=tolerance)


def test_the_thirteen_are_vectors_to_float32(madgraph, by_vector):
    minus, plus, b, bbar = by_vector
    z, h = minus + plus, b + bbar
    t = hepaa.features(madgraph, "zh-paper")
    assert t.columns == (
        "ptb1", "ptb2", "ptl1", "ptl2", "ptH", "ptZ", "etaH", "phiH", "etaZ", "phiZ", "drll", "drbb", "mZH",
    )  # fmt: skip
    assert t.X.dtype == np.float32
    assert t.n == 10_000
    close(t["ptb1"], np.maximum(b.pt, bbar.pt))
    close(t["ptb2"], np.minimum(b.pt, bbar.pt))
    close(t["ptl1"], np.maximum(minus.pt, plus.pt))
    close(t["ptl2"], np.minimum(minus.pt, plus.pt))
    for name, v in (("H", h), ("Z", z)):
        close(t[f"pt{name}"], v.pt)
        close(t[f"eta{name}"], v.eta)
        close(t[f"phi{name}"], v.phi)
    close(t["drll"], minus.deltaR(plus))
    close(t["drbb"], b.deltaR(bbar))
    close(t["mZH"], (z + h).mass)
    close(t["mll"], z.mass)
    close(t["mbb"], h.mass)


def test_the_rotation_invariant_set_is_vectors(madgraph, by_vector):
    minus, plus, b, bbar = by_vector
    z, h = minus + plus, b + bbar
    t = hepaa.features(madgraph, "zh")
    close(t["yZH"], np.abs((z + h).rapidity), 1e-5)
    close(t["dyZH"], np.abs(z.rapidity - h.rapidity), 1e-5)
    close(t["dphill"], np.abs(minus.deltaphi(plus)))
    close(t["dphibb"], np.abs(b.deltaphi(bbar)))
    close(t["balll"], np.abs(minus.pt - plus.pt) / (minus.pt + plus.pt), 1e-5)
    # At leading order ZH has no transverse momentum: cos(theta*) is the Z's polar angle after a boost along the beam.
    close(t["cthstar"], np.abs(np.cos(z.boostCM_of(z + h).theta)), 1e-5)
    lepton, higgs = minus.boostCM_of(z), h.boostCM_of(z)
    close(t["cthl"], -np.cos(lepton.deltaangle(higgs)), 1e-5)


def test_published_means(madgraph):
    """SM means of the MadGraph sample: pT_H 82.8, m_ZH 307.9, pT_l1 75.6, pT_b1 90.4 GeV, Delta R(l,l) 2.32."""
    t = hepaa.features(madgraph, "zh-paper")
    for name, mean in (("ptH", 82.8), ("mZH", 307.9), ("ptl1", 75.6), ("ptb1", 90.4), ("drll", 2.32)):
        error = np.std(t[name]) / np.sqrt(t.n)
        assert np.mean(t[name]) == pytest.approx(mean, abs=3 * error + 0.05 * (mean > 10) + 0.005)


def test_turning_the_event_about_the_beam_changes_nothing_in_zh():
    def turn(angle):
        c, s = np.cos(angle), np.sin(angle)
        spun = [(i, st, c * x - s * y, s * x + c * y, z, e) for i, st, x, y, z, e in [*ELECTRONS, B, BBAR]]
        return hepaa.features(events_of([spun]), "zh").X

    np.testing.assert_allclose(turn(0.0), turn(2.1), rtol=1e-6)
    np.testing.assert_allclose(turn(0.0), turn(-3.0), rtol=1e-6)


def test_the_lepton_pair_closest_to_the_z_is_chosen():
    near = [massless(13, 45.6, 0.0, 0.0), massless(-13, -45.6, 0.0, 0.0)]
    t = hepaa.features(events_of([[*ELECTRONS, B, *near, BBAR]]), "zh-paper")
    assert t["mll"][0] == pytest.approx(91.2)
    assert t["ptl1"][0] == pytest.approx(45.6)


def test_events_without_a_pair_are_cut_and_counted():
    mixed = [massless(11, 30.0, 0.0, 10.0), massless(-13, -60.0, 0.0, 0.0)]
    same_sign = [massless(11, 30.0, 0.0, 10.0), massless(11, -60.0, 0.0, 0.0)]
    not_final = [massless(11, 30.0, 0.0, 10.0, status=2), massless(-11, -60.0, 0.0, 0.0)]
    events = [
        [*ELECTRONS, B, BBAR], [*mixed, B, BBAR], [*same_sign, B, BBAR], [*not_final, B, BBAR], [*ELECTRONS, B, B],
        [*ELECTRONS], [],
    ]  # fmt: skip
    t = hepaa.features(events_of(events, sample=Sample("ZH", "signal", "by hand")), "zh-paper")
    assert [(r.step, r.n, r.sum_weights) for r in t.cutflow] == [("all", 7, 7), ("lepton pair", 3, 3), ("b pair", 1, 1)]
    assert t.event.tolist() == [0]
    assert t.label.tolist() == [1]
    assert (t.processes, t.generators) == (("ZH",), ("by hand",))


def test_no_event_left_is_a_table_of_no_rows():
    t = hepaa.features(events_of([[B, BBAR]]), "zh")
    assert (t.n, len(t.columns)) == (0, 20)


def test_reconstructed_objects_give_the_same_as_partons():
    def objects(particles, extra):
        out = []
        for i, _, x, y, z, e in particles:
            v = vector.obj(px=x, py=y, pz=z, E=e)
            out.append({"pt": v.pt, "eta": v.eta, "phi": v.phi, "m": 0.0, **extra(i)})
        return out

    soft = [massless(5, 1.0, 2.0, 0.0)]
    leptons = ak.Array([objects(ELECTRONS, lambda i: {"pdgid": i})])
    jets = ak.Array([objects([massless(1, 90.0, 0.0, 0.0), B, *soft, BBAR], lambda i: {"btag": int(abs(i) == 5)})])
    events = Events("by hand", "root", np.arange(1), np.ones(1), collections={"leptons": leptons, "jets": jets})
    for name in ("zh-paper", "zh"):
        partons = hepaa.features(events_of([[*ELECTRONS, B, BBAR]]), name)
        np.testing.assert_allclose(hepaa.features(events, name).X, partons.X, rtol=2e-6)


def test_a_tagger_score_is_not_a_tag():
    leptons = ak.Array([[{"pt": 1.0, "eta": 0.0, "phi": 0.0, "m": 0.0, "pdgid": 11}]])
    jets = ak.Array([[{"pt": 1.0, "eta": 0.0, "phi": 0.0, "m": 0.0, "btag": 0.7}]])
    events = Events("f.root", "root", np.arange(1), np.ones(1), collections={"leptons": leptons, "jets": jets})
    with pytest.raises(hepaa.InputError, match=r"jets of f.root .*btag must be 0 or 1"):
        hepaa.features(events, "zh")


def test_blocks_do_not_show():
    """Any number of events gives what each gives alone."""
    rng = np.random.default_rng(7)
    p = rng.normal(size=(4, 4, 600)) * 50
    p[:, 3] = np.sqrt(np.sum(p[:, :3] ** 2, axis=1))
    rows = p.reshape(16, 600)
    together, alone = np.empty((len(ROWS), 600)), np.empty((len(ROWS), 1))
    zh_rows(rows, together)
    for i in (0, 511, 512, 599):
        zh_rows(rows[:, i : i + 1].copy(), alone)
        np.testing.assert_allclose(together[:, i], alone[:, 0], rtol=1e-14)


def test_rows_of_edges_are_defined():
    """Pairs along the beam, at rest, back to back, of one direction, and nothing at all: by hand, never NaN."""
    along = [(0, 0, 3, 3), (0, 0, 5, 5), (0, 0, -3, 3), (0, 0, -5, 5)]
    opposite = [(3, 4, 0, 5), (-3, -4, 12, 13), (-3, 0, 4, 5), (3, -0.0, -4, 5)]
    parallel = [(3, 4, 12, 13), (3, 4, 12, 13), (-6, 0, 8, 10), (-3, -0.0, 4, 5)]
    nothing = [(0, 0, 0, 0)] * 4
    p = np.array([along, opposite, parallel, nothing], float).reshape(4, 16).T.copy()
    out = np.empty((len(ROWS), 4))
    zh_rows(p, out)
    t = dict(zip(ROWS, out, strict=True))
    assert not np.isnan(out).any()
    assert (t["etaZ"][0], t["etaH"][0], t["phiZ"][0], t["phiH"][0]) == (np.inf, -np.inf, 0, 0)
    assert (t["drll"][0], t["drbb"][0]) == (0, 0)
    assert (t["ptZ"][1], t["etaZ"][1], t["phiZ"][1]) == (0, np.inf, 0)
    assert (t["ptH"][1], t["etaH"][1], t["phiH"][1], t["mbb"][1]) == (0, 0, 0, 10)
    assert t["drll"][1] == pytest.approx(np.hypot(np.pi, np.arcsinh(12 / 5)), rel=1e-15)
    assert t["drbb"][1] == pytest.approx(np.hypot(np.pi, 2 * np.arcsinh(4 / 3)), rel=1e-15)
    assert (t["mll"][2], t["mbb"][2], t["phiH"][2]) == (0, 0, np.pi)
    assert t["drll"][2] == pytest.approx(0, abs=1e-14)
    assert t["etaZ"][2] == pytest.approx(np.arcsinh(12 / 5), rel=1e-15)
    assert (out[:, 3] == 0).all()
