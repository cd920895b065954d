"""What one reading asks of a ROOT file: weights out of arrays, varied branches, only the collections that it needs."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
from helpers.ntuples import write_tree

from hepaa import io
from hepaa.errors import InputError
from hepaa.io.root.plan import TreePlan
from hepaa.io.schemas import schema_of, schemas


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    """A small NanoAOD file, and its arrays."""
    rng = np.random.default_rng(0)
    n = 40
    counts = rng.integers(0, 5, n)

    def jagged(low, high):
        return ak.unflatten(rng.uniform(low, high, counts.sum()).astype("f4"), counts)

    pt = jagged(20, 90)
    b = {
        "nJet": counts, "Jet_pt": pt, "Jet_eta": jagged(-3, 3), "Jet_phi": jagged(-3, 3), "Jet_mass": jagged(1, 9),
        "Jet_pt_jesTotalUp": pt * np.float32(1.1), "nMuon": counts, "Muon_pt": pt, "Muon_eta": pt, "Muon_phi": pt,
        "Muon_charge": ak.values_astype(pt > 50, "i4"),
        "MET_pt": rng.uniform(0, 50, n).astype("f4"),
        "MET_phi": rng.uniform(-3, 3, n).astype("f4"),
        "genWeight": rng.normal(1, 1, n).astype("f4"),
        "LHEScaleWeight": ak.unflatten(rng.uniform(0.8, 1.2, 3 * n).astype("f4"), np.full(n, 3)),
    }  # fmt: skip
    b["MET_ptJESUp"] = b["MET_pt"] + 1
    path = tmp_path_factory.mktemp("asked") / "nano.root"
    write_tree(path, "Events", b)
    return path, b


def test_entries_of_weights_are_ratios_to_the_nominal_one(nano):
    path, b = nano
    events = io.open(path, weights=["LHEScaleWeight_2"])
    assert list(events.weights) == ["LHEScaleWeight_2"]
    expected = b["genWeight"].astype(float) * b["LHEScaleWeight"][:, 2].to_numpy()
    np.testing.assert_array_equal(events.weights["LHEScaleWeight_2"], expected)
    assert not io.open(path).weights
    assert io.probe(path)["arrays_of_weights"] == ["LHEScaleWeight"]
    np.testing.assert_array_equal(io.open(path, weight="LHEScaleWeight_2").weight, expected)
    with pytest.raises(InputError, match="3 entries in event 0"):
        io.open(path, weights=["LHEScaleWeight_3"])


def test_varied_branches_by_name_by_factor_and_by_the_end_of_their_names(nano):
    path, b = nano
    for varied in ("jesTotalUp", {"jets.pt": "Jet_pt_jesTotalUp"}):
        events = io.open(path, varied=varied)
        assert ak.array_equal(events.jets.pt, b["Jet_pt_jesTotalUp"], check_parameters=False)
        np.testing.assert_array_equal(events.columns["met"], b["MET_pt"])
    np.testing.assert_array_equal(io.open(path, varied="JESUp").columns["met"], b["MET_ptJESUp"])
    scaled = io.open(path, varied={"met": 1.5, "jets.m": 2})
    np.testing.assert_array_equal(scaled.columns["met"], b["MET_pt"].astype(float) * 1.5)
    assert ak.array_equal(scaled.jets.m, b["Jet_mass"] * 2, check_parameters=False)
    with pytest.raises(InputError, match="ends in 'jesTotalDown'"):
        io.open(path, varied="jesTotalDown")
    with pytest.raises(InputError, match=r"no 'jets.pr' to vary; did you mean 'jets.p"):
        io.open(path, varied={"jets.pr": 1.1})
    with pytest.raises(InputError, match=r"no branch 'Jet_pt_jes' to vary jets\.pt"):
        io.open(path, varied={"jets.pt": "Jet_pt_jes"})


def read_of(path, **options):
    with uproot.open(path) as file:
        return set(TreePlan(file, str(path), "", None, None, None, None, **options)._to_read())


def test_only_what_is_needed_is_read(nano):
    """Jets are cleaned of leptons, so muons are read with them; muons alone need no jets."""
    path, _ = nano
    everything, jets, muons = read_of(path), read_of(path, needs=["jets"]), read_of(path, needs=["muons"])
    assert any(b.startswith("Muon_") for b in jets)
    assert not any(b.startswith("Jet_") for b in muons)
    assert "Jet_pt" in everything
    counted = read_of(path, needs=["muons"], objects={"events": {"where": "njets >= 2"}})
    assert "Jet_pt" in counted
    assert "LHEScaleWeight" not in everything


def test_energy_flow_of_delphes(tmp_path):
    """Tracks and towers are candidates."""
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 4, 30)

    def jagged():
        return ak.unflatten(rng.uniform(1, 2, counts.sum()).astype("f4"), counts)

    parts = {"EFlowTrack": "PT", "EFlowPhoton": "ET", "EFlowNeutralHadron": "ET"}
    b = {f"{c}.{f}": jagged() for c, pt in parts.items() for f in (pt, "Eta", "Phi")}
    b |= {f"Jet.{f}": jagged() for f in ("PT", "Eta", "Phi", "Mass")}
    write_tree(tmp_path / "d.root", "Delphes", b)
    events = io.open(tmp_path / "d.root")
    pt = ak.concatenate([b[f"{c}.{pt}"] for c, pt in parts.items()], axis=1)
    assert ak.array_equal(events.candidates.pt, ak.sort(pt, axis=1, ascending=False), check_parameters=False)


def test_taus_and_groomed_masses_of_delphes():
    """Fixed arrays of each large jet, which uproot reads and does not write: numbers, and TLorentzVectors."""
    rng = np.random.default_rng(3)
    tau, e = (ak.unflatten(rng.uniform(1, 2, (6, 5)), [2, 0, 3, 1]) for _ in range(2))
    momenta = ak.zip({"fP": ak.zip({"fX": e / 2, "fY": e / 4, "fZ": e / 4}), "fE": e}, depth_limit=3)
    arrays = {"FatJet.Tau[5]": tau, "FatJet.SoftDroppedP4[5]": momenta}
    members = schemas()["delphes"].collections["fatjets"]
    plan = object.__new__(TreePlan)
    plan.path, plan._known = "f.root", {name: name for name in arrays}
    plan._branches = {id(spec): spec.branches[0] for f, spec in members.items() if f[:3] in ("tau", "mso")}
    plan._sources = dict.fromkeys((f"fatjets.{f}" for f in members), "")
    jets = plan._records("fatjets", members, arrays, 0)
    for n in (1, 2, 3, 4):
        assert ak.array_equal(jets[f"tau{n}"], tau[:, :, n - 1], check_regular=False)
    np.testing.assert_allclose(ak.flatten(jets.msoftdrop), ak.flatten(e[:, :, 0]) * np.sqrt(1 - 3 / 8), rtol=1e-12)


def test_the_mass_of_a_momentum_that_is_a_branch(data):
    """As Delphes keeps groomed jets: TLorentzVectors."""
    path = data / "root" / "uproot-HZZ-objects.root"
    events = io.open(path, schema={"collections": {"muons": {"m": "muonp4.mass", "e": "muonp4.fE"}}})
    with uproot.open(path) as file:
        p = file["events/muonp4"].array()
    squares = p.fE**2 - p.fP.fX**2 - p.fP.fY**2 - p.fP.fZ**2
    assert ak.all(abs(events.muons.m - np.sqrt(np.maximum(squares, 0))) < 1e-6)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"branch": "a", "each": True, "index": 1}, "has neither `index` nor `value`"),
        ({"branch": "a", "relative": "yes"}, "relative must be true or false"),
    ],
)
def test_weights_that_cannot_be(field, words):
    with pytest.raises(InputError, match=words):
        schema_of({"weights": {"w": field}})
    with pytest.raises(InputError, match="unknown key 'relative'"):
        schema_of({"columns": {"w": {"branch": "a", "relative": True}}})
