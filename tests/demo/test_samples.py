"""The embedded samples: readable by everybody's tools, with provenance, small, and with the physics that they claim."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pylhe
import pytest
import uproot

import hepaa
from hepaa import demo
from hepaa.errors import InputError
from hepaa.simulate.zh import coefficients

LHE = ["zh_sm.lhe.gz", "zh_chw.lhe.gz"]
ROOT = ["zh_sm.root", "zh_chw.root"]
SEARCH = ["search_data.h5", "search_wprime.h5"]
LHCO = ["dijet_monash.h5", "dijet_vincia.h5", "dijet_wprime.h5"]


@cache
def lhe(name: str) -> tuple[Any, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Run block, ids (n, 8), momenta (n, 8, 4: px py pz E) and weights of an LHE file, by pylhe."""
    file = pylhe.LHEFile.fromfile(str(demo.path(name)))
    events = list(file.events)
    ids = np.array([[p.id for p in e.particles] for e in events]).astype(int)
    momenta = np.array([[(p.px, p.py, p.pz, p.e) for p in e.particles] for e in events])
    weights = {k: np.array([e.weights[k] for e in events]) for k in events[0].weights}
    weights["nominal"] = np.array([e.eventinfo.weight for e in events])
    return file.init, ids, momenta, weights


@cache
def lhco(name: str) -> np.ndarray:
    with h5py.File(demo.path(name)) as file:
        return np.asarray(file["df/block0_values"])


def provenance(name: str) -> dict[str, Any]:
    path = demo.path(name)
    if name.endswith(".h5"):
        with h5py.File(path) as file:
            return dict(json.loads(file.attrs["provenance"]))
    if name.endswith(".root"):
        with uproot.open(path) as file:
            return dict(json.loads(str(file["provenance"])))
    import gzip

    with gzip.open(path, "rt") as handle:
        head = handle.read(20_000)
    return dict(json.loads(re.search(r"<provenance>\s*<!\[CDATA\[(.*?)\]\]>", head, re.DOTALL).group(1)))


def test_all_samples_together_are_under_seven_megabytes() -> None:
    folder = demo.path(LHE[0]).parent
    assert sum(p.stat().st_size for p in folder.iterdir()) < 7e6
    assert {p.name for p in folder.iterdir()} == {*LHE, *ROOT, *LHCO, *SEARCH}


@pytest.mark.parametrize("name", [*LHE, *ROOT, *LHCO])
def test_provenance_says_how_the_file_was_made(name: str) -> None:
    facts = provenance(name)
    assert facts["generator"] == "Pythia"
    assert re.fullmatch(r"8\.\d+", facts["version"])
    assert facts["settings"]
    assert facts["seed"]
    assert 0 < facts["error_pb"] < 0.2 * facts["cross_section_pb"]
    if name in LHE:
        init, ids, _, weights = lhe(name)
        assert len(ids) == facts["events"]
        assert init.procInfo[0].xSection == pytest.approx(facts["cross_section_pb"], rel=1e-6)
        assert weights["nominal"].sum() == pytest.approx(facts["sum_of_weights"], rel=1e-6)
        assert init.initInfo.weightingStrategy == -4
        assert weights["nominal"].mean() == pytest.approx(init.procInfo[0].xSection, rel=1e-9)
    elif name in ROOT:
        with uproot.open(f"{demo.path(name)}:events") as tree:
            weight = tree["weight"].array(library="np")
        assert len(weight) == facts["events"]
        assert weight.sum() == pytest.approx(facts["sum_of_weights"], rel=1e-9)
    else:
        assert len(lhco(name)) == facts["events"]


@pytest.mark.parametrize("name", LHE)
def test_lhe_events_are_zh_to_llbb_and_conserve_momentum(name: str) -> None:
    _, ids, p, _ = lhe(name)
    assert (ids[:, 0] == -ids[:, 1]).all()
    assert set(np.abs(ids[:, 0])) <= {1, 2, 3, 4}
    assert (ids[:, 2:4] == [25, 23]).all()
    assert set(ids[:, 4]) == {-11, -13}
    assert (ids[:, 5] == -ids[:, 4]).all()
    assert (ids[:, 6:] == [5, -5]).all()
    scale = p[:, :2, 3].sum(axis=1)[:, None]
    assert (np.abs(p[:, :2].sum(axis=1) - p[:, 4:].sum(axis=1)) / scale).max() < 1e-7
    assert (np.abs(p[:, 3] - p[:, 4:6].sum(axis=1)) / scale).max() < 1e-7
    # both beams send the quark equally often
    assert np.mean(ids[:, 0] > 0) == pytest.approx(0.5, abs=4 * 0.5 / len(ids) ** 0.5)


def mass(p: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(p[..., 3] ** 2 - (p[..., :3] ** 2).sum(axis=-1), 0))


def test_cross_section_as_function_of_c_hw_is_that_of_madgraph() -> None:
    _, _, _, w = lhe("zh_sm.lhe.gz")
    n = len(w["sm"])
    for name, expected in (("chw_lin", 0.733), ("chw_quad", 0.244)):
        ratio = w[name] / w["sm"]
        assert abs(ratio.mean() - expected) < 0.03 * expected + 3 * ratio.std() / n**0.5, name
    for c, name in ((-1.0, "chw_m1"), (1.0, "chw_p1")):
        np.testing.assert_allclose(w[name], w["sm"] + c * w["chw_lin"] + c**2 * w["chw_quad"], rtol=2e-6)
    sigma = provenance("zh_chw.lhe.gz")["cross_section_pb"] / provenance("zh_sm.lhe.gz")["cross_section_pb"]
    assert sigma == pytest.approx(0.244, rel=0.03)


def test_cross_section_of_the_standard_model_is_that_of_madgraph() -> None:
    # MadGraph 0.021468 pb with BR(Z -> ll) 0.0673 and BR(h -> bb) 0.578; Pythia's are 0.06686 and 0.57545.
    # MadGraph's Breit-Wigner loses 2.1 % outside 15 widths.
    expected = 0.021468 * 0.06686 * 0.57545 / (0.0673 * 0.578 * 0.979)
    assert provenance("zh_sm.lhe.gz")["cross_section_pb"] == pytest.approx(expected, rel=0.02)


def test_named_weights_are_those_of_the_amplitude() -> None:
    _, ids, p, w = lhe("zh_sm.lhe.gz")
    i = np.arange(len(ids))
    q = np.where(ids[:, 0] > 0, 0, 1)
    c = coefficients(ids[i, q], p[i, q, :3], p[i, 1 - q, :3], p[:, 5, :3], p[:, 4, :3])
    np.testing.assert_allclose(w["chw_p1"] / w["sm"], c.ratio(1.0), rtol=1e-5)


@pytest.mark.parametrize(("name", "pt_h", "m_zh"), [("zh_sm.lhe.gz", 82.8, 307.9), ("zh_chw.lhe.gz", 149.3, 477.5)])
def test_means_are_those_of_madgraph(name: str, pt_h: float, m_zh: float) -> None:
    _, _, p, _ = lhe(name)
    for values, expected in (
        (np.hypot(p[:, 2, 0], p[:, 2, 1]), pt_h),
        (mass(p[:, 2] + p[:, 3]), m_zh),
        (mass(p[:, 3]), 91.0),
    ):
        assert abs(values.mean() - expected) < 0.015 * expected + 3 * values.std() / len(p) ** 0.5


def test_ntuple_holds_the_events_of_the_lhe_file() -> None:
    for root, name in zip(ROOT, LHE, strict=True):
        _, ids, p, w = lhe(name)
        with uproot.open(f"{demo.path(root)}:events") as tree:
            arrays = tree.arrays()
        for prefix, slots in (("lepton", slice(4, 6)), ("bjet", slice(6, 8))):
            pt = np.hypot(p[:, slots, 0], p[:, slots, 1])
            order = np.argsort(-pt, axis=1)
            expected = np.take_along_axis(pt, order, axis=1)
            np.testing.assert_allclose(ak.to_numpy(arrays[f"{prefix}_pt"]), expected, rtol=1e-5)
            got = ak.to_numpy(arrays[f"{prefix}_pt"]) * np.sinh(ak.to_numpy(arrays[f"{prefix}_eta"]))
            np.testing.assert_allclose(got, np.take_along_axis(p[:, slots, 2], order, axis=1), rtol=1e-4, atol=1e-3)
            np.testing.assert_array_equal(arrays[f"{prefix}_pdgid"], np.take_along_axis(ids[:, slots], order, axis=1))
        if name == "zh_sm.lhe.gz":
            np.testing.assert_allclose(arrays["weight_chw_lin"] * len(ids), w["chw_lin"], rtol=1e-6)


@pytest.mark.parametrize("name", LHCO)
def test_pandas_reads_the_lhco_files_as_h5py_does(name: str) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    frame = pd.read_hdf(demo.path(name))
    assert frame.shape[1] == 2101
    np.testing.assert_array_equal(frame.to_numpy(), lhco(name))
    assert list(frame.columns) == list(range(2101))
    np.testing.assert_array_equal(pd.read_hdf(demo.path(name), start=3, stop=7).to_numpy(), lhco(name)[3:7])


@pytest.mark.parametrize("name", LHCO)
def test_lhco_events_are_as_the_layout_says(name: str) -> None:
    table = lhco(name)
    assert (table[:, -1] == (1 if "wprime" in name else 0)).all()
    particles = table[:, :-1].reshape(len(table), 700, 3)
    pt, eta, phi = np.moveaxis(particles, 2, 0)
    real = pt > 0
    assert (np.diff(pt, axis=1) <= 0).all()
    assert (particles[~real] == 0).all()
    assert pt[real].min() >= 1.0
    assert np.abs(eta[real]).max() < 2.56
    assert np.abs(phi[real]).max() <= np.pi + 1e-3
    assert real.sum(axis=1).min() > 5


def leading_jets(table: np.ndarray) -> np.ndarray:
    """The two leading anti-kT R = 1.0 jets as (n, 2, 4): px py pz E."""
    fastjet = pytest.importorskip("fastjet")
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0)
    out = []
    for row in table[:, :-1].reshape(len(table), 700, 3):
        pt, eta, phi = row[row[:, 0] > 0].T
        p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)], axis=1)
        cluster = fastjet.ClusterSequence([fastjet.PseudoJet(*x) for x in p.tolist()], definition)
        jets = sorted(cluster.inclusive_jets(), key=lambda j: -j.pt())[:2]
        out.append([(j.px(), j.py(), j.pz(), j.e()) for j in jets])
    return np.array(out)


def test_wprime_is_a_resonance_of_two_heavy_jets_and_qcd_is_not() -> None:
    signal, background = (leading_jets(lhco(name)[:300]) for name in ("dijet_wprime.h5", "dijet_monash.h5"))
    for jets in (signal, background):
        assert np.hypot(jets[:, :, 0], jets[:, :, 1]).max(axis=1).min() > 1199.0
    dijet = mass(signal.sum(axis=1))
    masses = np.sort(np.maximum(mass(signal), 0), axis=1)
    assert np.median(dijet) == pytest.approx(3500, rel=0.05)
    assert np.median(masses[:, 1]) == pytest.approx(500, rel=0.06)
    assert np.median(masses[:, 0]) == pytest.approx(100, rel=0.15)
    heavy = np.sort(np.maximum(mass(background), 0), axis=1)[:, 1]
    assert np.mean((masses[:, 1] > 420) & (masses[:, 1] < 580)) > 0.5
    assert np.mean((heavy > 420) & (heavy < 580)) < 0.15


def test_an_unknown_sample_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"did you mean 'zh_sm.root'"):
        demo.path("zh_sm.rot")
    assert isinstance(demo.path("zh_sm.root"), Path)


def test_the_recorded_seed_gives_the_recorded_events() -> None:
    pytest.importorskip("pythia8mc")
    from hepaa.simulate.pythia import zh_events

    facts = provenance("zh_sm.lhe.gz")
    events = zh_events(20, seed=facts["seed"])
    _, ids, p, _ = lhe("zh_sm.lhe.gz")
    np.testing.assert_array_equal(events.pdgid, ids[:20])
    np.testing.assert_allclose(events.momentum[..., :4], p[:20], rtol=1e-6, atol=1e-6)
    assert set(events.provenance["settings"]) == set(facts["settings"])


@pytest.mark.parametrize(("name", "events", "in_signal_region"), [("data", 20711, 3706), ("wprime", 1268, 995)])
def test_search_samples_are_what_the_readme_says(name: str, events: int, in_signal_region: int) -> None:
    path = demo.path(f"search_{name}.h5")
    facts = provenance(path.name)
    assert facts["events"] == events
    assert facts["productions"][-1]["task"]["name"] == "wprime"
    assert all(made["generator"] == "Pythia" and made["task"]["settings"] for made in facts["productions"])
    table = hepaa.features(hepaa.open(path), "dijet-hl")
    assert table.n == events
    mass = table["mjj"]
    assert 2599 < mass.min() < mass.max() < 5501
    assert ((mass >= 3300) & (mass < 3700)).sum() == in_signal_region
    signal_like = (abs(table["mj1"] - 100) < 20) & (abs(table["dmj"] - 400) < 50)
    assert signal_like.mean() == pytest.approx({"data": 0.0188, "wprime": 0.55}[name], rel=0.4)
    assert not hepaa.open(path).arrays
    assert hepaa.open(path).label is None
