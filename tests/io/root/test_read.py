"""ROOT files: the same arrays as uproot gives when asked directly; schemas; faults."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml

from hepaa import io
from hepaa.errors import InputError, TruncatedInputError
from hepaa.io.schemas import schema_of, schemas

NANO = ["nano_dy.root", "nano_dimuon.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"]


def equal(ours, theirs):
    assert ak.array_equal(ours, theirs, check_parameters=False, check_regular=False)


@pytest.mark.parametrize("name", NANO)
def test_nanoaod_is_recognised_and_equals_uproot(data, name):
    path = data / "root" / name
    events = io.open(path)
    with uproot.open(path) as file:
        tree = file["Events"]
        assert events.header["schema"] == "nanoaod"
        for ours, theirs in (("jets", "Jet"), ("fatjets", "FatJet"), ("electrons", "Electron"), ("muons", "Muon")):
            for a, b in (("pt", "pt"), ("eta", "eta"), ("phi", "phi"), ("m", "mass")):
                equal(events.collections[ours][a], tree[f"{theirs}_{b}"].array())
        equal(events.muons.charge, tree["Muon_charge"].array())
        if "Muon_pdgId" in tree.keys():  # noqa: SIM118  (a tree, not a dict)
            equal(events.muons.pdgid, tree["Muon_pdgId"].array())
        np.testing.assert_array_equal(events.columns["met"], tree["MET_pt"].array(library="np"))
        np.testing.assert_array_equal(events.columns["event"], tree["event"].array(library="np"))
        data_taking = "genWeight" not in tree.keys()  # noqa: SIM118
        weight = np.ones(events.n) if data_taking else tree["genWeight"].array(library="np")
        np.testing.assert_array_equal(events.weight, weight)
        leptons = ak.concatenate([tree["Electron_pt"].array(), tree["Muon_pt"].array()], axis=1)
        equal(events.leptons.pt, ak.sort(leptons, axis=1, ascending=False))


def test_the_generated_sum_of_weights_is_kept(data):
    with uproot.open(data / "root" / "nano_dy.root") as file:
        expected = file["Runs/genEventSumw_"].array(library="np").sum()
    assert io.open(data / "root" / "nano_dy.root").header["generated_sum_weights"] == expected


HZZ = {
    "collections": {
        "jets": {"px": "Jet_Px", "py": "Jet_Py", "pz": "Jet_Pz", "e": "Jet_E", "btag": "Jet_btag"},
        "muons": {
            "px": "Muon_Px",
            "e": "Muon_E",
            "charge": "Muon_Charge",
            "pdgid": {"branch": "Muon_Charge", "scale": -13},
        },
    },
    "columns": {"met_x": {"branch": "MET_px", "scale": 2}, "vertices": ["NVtx", "NPrimaryVertices"]},
    "weight": "EventWeight",
    "weights": {"twice": {"branch": "EventWeight", "scale": 2.0}},
    "label": "triggerIsoMu24",
}


@pytest.mark.parametrize("as_file", [False, True])
def test_a_declared_mapping_equals_uproot(data, tmp_path, as_file):
    path = data / "root" / "uproot-HZZ.root"
    (tmp_path / "hzz.yaml").write_text(yaml.safe_dump(HZZ))
    schema = tmp_path / "hzz.yaml" if as_file else HZZ
    whole = io.open(path, schema=schema)
    pieces = list(io.iterate(path, schema=schema, step_size=30_000))
    assert len(pieces) > 3
    with uproot.open(path) as file:
        tree = file["events"].arrays()
        for events in [whole, *pieces]:
            rows = tree[events.index]
            equal(events.jets.e, rows.Jet_E)
            equal(events.jets.btag, rows.Jet_btag)
            equal(events.muons.pdgid, -13 * rows.Muon_Charge)
            np.testing.assert_array_equal(events.columns["met_x"], 2 * rows.MET_px.to_numpy().astype(np.float64))
            np.testing.assert_array_equal(events.columns["vertices"], rows.NPrimaryVertices)
            np.testing.assert_array_equal(events.weight, rows.EventWeight)
            np.testing.assert_array_equal(events.weights["twice"], 2 * events.weight)
            np.testing.assert_array_equal(events.label, rows.triggerIsoMu24)
    assert whole.header["branches"]["vertices"] == "NPrimaryVertices"
    np.testing.assert_array_equal(io.open(path, schema=schema, weight="twice").weight, whole.weights["twice"])


def test_flat_files(data):
    events = io.open(data / "root" / "uproot-Zmumu.root")
    with uproot.open(data / "root" / "uproot-Zmumu.root") as file:
        tree = file["events"]
        assert set(events.columns) == set(tree.keys()) - {"Type"}
        for name in events.columns:
            np.testing.assert_array_equal(events.columns[name], tree[name].array(library="np"))
    assert events.header["not_read"] == ["Type"]
    some = io.open(data / "root" / "uproot-Zmumu.root", columns=["M", "Q1"], weight="E1")
    assert list(some.columns) == ["M", "Q1"]
    np.testing.assert_array_equal(some.weight, events.columns["E1"])
    hzz = io.open(data / "root" / "uproot-HZZ.root")
    assert hzz.header["branches"]["weight"] == "EventWeight"
    assert "EventWeight" not in hzz.columns


def test_objects_and_groups(data):
    path = data / "root" / "uproot-HZZ-objects.root"
    events = io.open(
        path, schema={"collections": {"jets": {"px": "jetp4.fP.fX", "e": "jetp4.fE"}}, "columns": {"met_x": "MET.fX"}}
    )
    with uproot.open(path) as file:
        momenta = file["events/jetp4"].array()
        equal(events.jets.px, momenta.fP.fX)
        equal(events.jets.e, momenta.fE)
        np.testing.assert_array_equal(events.columns["met_x"], file["events/MET"].array().fX)
    path = data / "root" / "uproot-mc10events.root"
    events = io.open(
        path, schema={"collections": {"jets": {"pt": "AK4CHS.pt", "eta": "AK4CHS.eta"}}, "columns": {"run": "runNum"}}
    )
    with uproot.open(path) as file:
        equal(events.jets.pt, file["Events/AK4CHS/AK4CHS.pt"].array())
        equal(events.jets.eta, file["Events/AK4CHS/AK4CHS.eta"].array())
        np.testing.assert_array_equal(events.columns["run"], file["Events/Info/runNum"].array(library="np"))


def jagged(rng, n):
    return ak.unflatten(rng.uniform(1, 9, 4 * n).astype("f4"), np.tile([1, 3, 8, 4], n // 4))


def write_tree(path, name, branches):
    with uproot.recreate(path) as file:
        file.mktree(
            name, {k: v.dtype if isinstance(v, np.ndarray) else ak.type(v).content for k, v in branches.items()}
        )
        file[name].extend(branches)


def test_physlite_is_in_mev(tmp_path):
    rng = np.random.default_rng(1)
    b = {
        f"Analysis{o}AuxDyn.{f}": jagged(rng, 8)
        for o in ("Jets", "Electrons", "Muons", "Photons")
        for f in ("pt", "eta", "phi", "m", "charge")
    }
    b["MET_Core_AnalysisMETAuxDyn.mpx"] = jagged(rng, 8)
    b["EventInfoAuxDyn.mcEventWeights"] = jagged(rng, 8)
    write_tree(tmp_path / "p.root", "CollectionTree", b)
    events = io.open(tmp_path / "p.root")
    assert events.header["schema"] == "physlite"
    assert ak.all(ak.isclose(events.jets.pt, b["AnalysisJetsAuxDyn.pt"] / 1000))
    equal(events.jets.eta, b["AnalysisJetsAuxDyn.eta"])
    assert ak.all(ak.isclose(events.muons.m, 0.105658))
    assert ak.all(ak.isclose(events.electrons.pdgid, -11 * b["AnalysisElectronsAuxDyn.charge"]))
    np.testing.assert_allclose(events.columns["met_x"], b["MET_Core_AnalysisMETAuxDyn.mpx"][:, -1] / 1000)
    np.testing.assert_array_equal(events.weight, b["EventInfoAuxDyn.mcEventWeights"][:, 0])
    assert ak.all(events.leptons.pt[:, :-1] >= events.leptons.pt[:, 1:])


def test_delphes(tmp_path):
    rng = np.random.default_rng(2)
    fields = {
        "Jet": ("PT", "Eta", "Phi", "Mass", "BTag"),
        "Electron": ("PT", "Eta", "Phi", "Charge"),
        "Muon": ("PT", "Eta", "Phi", "Charge"),
        "Photon": ("PT", "Eta", "Phi"),
    }
    b = {f"{o}.{f}": jagged(rng, 8) for o, names in fields.items() for f in names}
    single = ak.unflatten(rng.uniform(1, 9, 8), np.ones(8, int))
    b |= {"MissingET.MET": single, "MissingET.Phi": single, "Event.Weight": 2 * single}
    write_tree(tmp_path / "d.root", "Delphes", b)
    events = io.open(tmp_path / "d.root")
    assert events.header["schema"] == "delphes"
    equal(events.jets.btag, b["Jet.BTag"])
    np.testing.assert_array_equal(events.columns["met"], ak.flatten(single))
    np.testing.assert_array_equal(events.weight, 2 * ak.flatten(single))


def test_rntuple(tmp_path):
    rng = np.random.default_rng(3)
    jets, mass = jagged(rng, 40), rng.random(40)
    with uproot.recreate(tmp_path / "n.root") as file:
        file.mkrntuple("nt", {"mass": mass, "jet_pt": jets})
    flat = io.open(tmp_path / "n.root")
    np.testing.assert_array_equal(flat.columns["mass"], mass)
    assert "jet_pt" not in flat.columns
    events = io.open(tmp_path / "n.root", schema={"collections": {"jets": {"pt": "jet_pt"}}, "columns": {"m": "mass"}})
    equal(events.jets.pt, jets)
    np.testing.assert_array_equal(events.columns["m"], mass)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"collections": {"jets": {"pt": "Jet_Pt"}}}, r"no branch 'Jet_Pt' for jets\.pt.*did you mean 'Jet_P"),
        ({"columns": {"x": "Jet_Px"}}, r"x is the branch 'Jet_Px', which has \d+ entries in event 0"),
        ({"collections": {"jets": {"pt": "MET_px"}}}, "one number an event"),
        ({"collections": {"jets": {"px": "Jet_Px", "q": "Muon_Charge"}}}, "different lengths"),
        ({"colums": {}}, "unknown key 'colums'; did you mean 'columns'"),
        ({"columns": {"x": {"branches": "a"}}}, r"schema\.columns\.x: unknown key 'branches'"),
        ({"columns": {"x": {"branch": "a", "value": 1}}}, "either `branch` or `value`"),
        ({"columns": ["x"]}, r"schema\.columns must be a mapping"),
        ({"momentum_unit": "TeV"}, "GeV or MeV"),
        ({"union": {"leptons": ["muons"]}}, "no collection 'muons'"),
        ({"label": "NJet"}, "label"),
        ({"tree": "Events"}, "no tree 'Events'; did you mean 'events'"),
        ("nanoad", "did you mean 'nanoaod'"),
        ("physlite", "no tree 'CollectionTree'"),
    ],
)
def test_what_a_schema_cannot_be(data, schema, words):
    with pytest.raises(InputError, match=words) as failure:
        io.open(data / "root" / "uproot-HZZ.root", schema=schema)
    assert "\n" not in str(failure.value)


def test_schemas_and_yaml_faults(tmp_path):
    assert set(schemas()) >= {"flat", "nanoaod", "physlite", "delphes", "hepaa"}
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not a readable YAML"):
        schema_of(tmp_path / "bad.yaml")
    (tmp_path / "bad.yaml").write_text("just text")
    with pytest.raises(InputError, match="holds no mapping"):
        schema_of(tmp_path / "bad.yaml")


def test_trees_that_are_missing_or_many(data, tmp_path):
    with pytest.raises(InputError, match="no tree 'event'; did you mean 'events'"):
        io.open(f"{data / 'root' / 'uproot-HZZ.root'}:event")
    with uproot.recreate(tmp_path / "two.root") as file:
        for name in ("a", "b"):
            file.mktree(name, {"x": np.dtype("f8")})
            file[name].extend({"x": np.arange(3.0)})
    with pytest.raises(InputError, match=r"several trees.*two\.root:TREE.*a, b"):
        io.open(tmp_path / "two.root")
    assert io.open(f"{tmp_path / 'two.root'}:b").n == 3
    with uproot.recreate(tmp_path / "none.root") as file:
        file["text"] = "hello"
    with pytest.raises(InputError, match="no TTree or RNTuple"):
        io.open(tmp_path / "none.root")


def test_truncated_files(data, tmp_path):
    whole = (data / "root" / "uproot-Zmumu.root").read_bytes()
    for size in (6, 60, 1000, len(whole) // 2, len(whole) - 300):
        (tmp_path / "cut.root").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.root.*(cut short|cannot be read)"):
            io.open(tmp_path / "cut.root")


def test_a_broken_basket_is_named_and_what_is_before_it_can_be_kept(tmp_path):
    rng = np.random.default_rng(4)
    x = rng.random(1000)
    with uproot.recreate(tmp_path / "b.root", compression=uproot.ZLIB(4)) as file:
        tree = file.mktree("t", {"x": np.dtype("f8"), "y": np.dtype("f8")})
        for i in range(0, 1000, 100):
            tree.extend({"x": np.round(x[i : i + 100], 2), "y": np.arange(100.0)})
    with uproot.open(tmp_path / "b.root") as file:
        seek = int(file["t/x"].member("fBasketSeek")[6])
    content = bytearray((tmp_path / "b.root").read_bytes())
    content[seek + 120 : seek + 150] = b"\xff" * 30
    (tmp_path / "b.root").write_bytes(content)
    with pytest.raises(TruncatedInputError, match="'x' of 't' cannot be read from event 600 on") as failure:
        io.open(tmp_path / "b.root")
    assert (failure.value.good_events, failure.value.byte) == (600, seek)
    kept = io.open(tmp_path / "b.root", keep_partial=True)
    np.testing.assert_array_equal(kept.columns["x"], np.round(x[:600], 2))
    assert "event 600" in kept.header["broken"]
