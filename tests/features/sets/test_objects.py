"""Feature sets on reconstructed objects of public ntuples: every column against vector, by hand."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from importlib.resources import files

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml
from helpers import objects as by_hand

import hepaa
from hepaa.events import Events
from hepaa.features import feature_sets
from hepaa.features.jets import inclusive_jets

V7, V9, V15, DIMUON = "nano_dy", "nanoAOD_2015_CMS_Open_Data_ttbar", "nano_tt_v15", "nano_dimuon"
ATLAS = "PHYSLITE_example"


def slow(*cases):
    return [pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.slow) for c in cases]


@pytest.fixture
def tree(data):
    """The tree of a file by name; files are closed after a test."""
    with ExitStack() as opened:
        yield lambda name: opened.enter_context(uproot.open(path(data, name)))[
            "CollectionTree" if name == ATLAS else "Events"
        ]


def path(data, name):
    return data / "root" / f"{name}.root"


def collection(t, prefix, fields, scale=1.0, mass=None, **more):
    arrays = {ours: t[prefix + theirs].array() for ours, theirs in fields.items()} | more
    if mass is not None:
        arrays["mass"] = ak.full_like(arrays["pt"], mass)
    return by_hand.records(scale, **arrays)


CMS = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "mass"}


def same(table, rows, reference, name):
    """All columns and spectators of a set, of the events that pass."""
    np.testing.assert_array_equal(table.event, np.flatnonzero(rows))
    declared = feature_sets()[name]
    for column in (*declared.columns, *declared.spectators):
        key = column.name if column.name in reference else (name, column.name)
        theirs = np.asarray(reference[key], dtype=np.float64)
        np.testing.assert_allclose(table[column.name], theirs, rtol=2e-6, atol=2e-5, err_msg=column.name)


def fatjets(t, mj=""):
    if t.name == "CollectionTree":
        fields = {"pt": "pt", "eta": "eta", "phi": "phi", "mass": "m"} | {f"tau{n}": f"Tau{n}_wta" for n in (1, 2, 3)}
        return collection(t, "AnalysisLargeRJetsAuxDyn.", fields, 1e-3)
    groomed = {"mj": mj} if mj else {}
    return collection(t, "FatJet_", CMS | {f"tau{n}": f"tau{n}" for n in (1, 2, 3)} | groomed)


@pytest.mark.parametrize("name", slow(V9, V15, DIMUON, ATLAS))
def test_dijets_are_the_large_jets_of_the_file(data, tree, name):
    events = hepaa.open(path(data, name), needs=["fatjets"])
    rows, reference = by_hand.dijet(fatjets(tree(name)))
    for feature_set in ("dijet", "dijet-hl", "dijet-invariant"):
        same(hepaa.features(events, feature_set), rows, reference, feature_set)


@pytest.mark.slow
def test_the_mass_of_a_jet_is_an_option(data, tree):
    """Groomed masses of the jets; m_jj stays that of the whole jets, and -1, CMS's "one piece", is 0."""
    events = hepaa.open(path(data, DIMUON), objects={"fatjets": {"define": {"mj": "msoftdrop"}}}, needs=["fatjets"])
    rows, reference = by_hand.dijet(fatjets(tree(DIMUON), "msoftdrop"))
    for feature_set in ("dijet", "dijet-hl", "dijet-invariant"):
        same(hepaa.features(events, feature_set), rows, reference, feature_set)
    assert np.any(reference["dijet", "ml"] == 0)
    plain = hepaa.features(hepaa.open(path(data, DIMUON), needs=["fatjets"]), "dijet-hl")
    np.testing.assert_array_equal(plain["mjj"], hepaa.features(events, "dijet-hl")["mjj"])


def atlas_objects(t):
    """Electrons, muons and jets with the default cuts of PHYSLITE, typed once more."""
    kinematic = {"pt": "pt", "eta": "eta", "phi": "phi"}
    e = collection(t, "AnalysisElectronsAuxDyn.", kinematic | {
        "charge": "charge", "id": "DFCommonElectronsLHMedium", "topo": "topoetcone20",
        "track": "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000",
    }, 1e-3, 0.511)  # fmt: skip
    e["pdgid"] = -11 * e.charge
    good = (e.id == 1) & (e.track * 1e-3 / e.pt < 0.15) & (e.topo * 1e-3 / e.pt < 0.2)
    e = e[(e.pt > 20) & (abs(e.eta) < 2.47) & good]
    mu = collection(t, "AnalysisMuonsAuxDyn.", kinematic | {
        "charge": "charge", "quality": "quality", "neutral": "neflowisol20",
        "track": "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt500",
    }, 1e-3, 105.658)  # fmt: skip
    mu["pdgid"] = -13 * mu.charge
    isolated = (mu.track + 0.4 * mu.neutral) * 1e-3 / mu.pt < 0.16
    mu = mu[(mu.pt > 20) & (abs(mu.eta) < 2.5) & (mu.quality % 8 <= 1) & isolated]
    leptons = ak.concatenate(
        [e[["pt", "eta", "phi", "mass", "pdgid"]], mu[["pt", "eta", "phi", "mass", "pdgid"]]], axis=1
    )
    leptons = by_hand.records(**{f: leptons[f] for f in leptons.fields})
    tagger = "BTagging_AntiKt4EMPFlowAuxDyn.GN2v00_p"
    jets = collection(
        t, "AnalysisJetsAuxDyn.", kinematic | {"mass": "m", "jvt": "NNJvtPass"}, 1e-3,
        **{f"p{f}": t[tagger + f].array() for f in "bcu"},
    )  # fmt: skip
    jets = jets[(jets.pt > 25) & (abs(jets.eta) < 2.5) & (jets.jvt == 1)]
    return leptons, by_hand.far_from(jets, leptons, 0.4)


def cms_objects(t, *, electrons, muons, jets, btag):
    """Leptons and jets of NanoAOD by cuts that are functions of all fields of a collection."""

    parts = []
    for prefix, cut, code in (("Electron_", electrons, -11), ("Muon_", muons, -13)):
        fields = Branches(t, prefix)
        parts.append(collection(t, prefix, CMS, pdgid=code * fields.charge)[cut(fields)])
    leptons = by_hand.hardest_first(ak.concatenate(parts, axis=1))
    fields = Branches(t, "Jet_")
    selected = collection(t, "Jet_", CMS, btag=btag(fields))[jets(fields)]
    return leptons, by_hand.far_from(selected, leptons, 0.4)


class Branches:
    """The branches that begin alike, as attributes."""

    def __init__(self, t, prefix):
        self._of = lambda name: t[prefix + name].array()

    def __getattr__(self, name):
        return self._of(name)


def usual_cuts(name):
    """The defaults of NanoAOD."""
    tight = {
        V15: lambda j: (j.neHEF < 0.99) & (j.neEmEF < 0.9) & (1 * j.chMultiplicity + j.neMultiplicity > 1)
        & (j.chHEF > 0.01) & (j.chMultiplicity > 0)
    }.get(name, lambda j: j.jetId >= 2)  # fmt: skip
    return {
        "electrons": lambda e: (e.pt > 20) & (abs(e.eta) < 2.5) & (e.cutBased >= 3),
        "muons": lambda m: (m.pt > 20) & (abs(m.eta) < 2.4) & m.mediumId & (m.pfRelIso04_all < 0.25),
        "jets": lambda j: (j.pt > 25) & (abs(j.eta) < 2.5) & tight(j),
        "btag": lambda j: j.btagUParTAK4B > 0.1272 if name == V15 else j.btagDeepFlavB > 0.2783,
    }


@pytest.mark.filterwarnings("ignore:.*the tagger was not run")
@pytest.mark.parametrize("name", slow(V7, V9, V15))
def test_events_of_nanoaod_with_the_usual_objects(data, tree, name):
    t = tree(name)
    leptons, jets = cms_objects(t, **usual_cuts(name))
    met = "PFMET" if name == V15 else "MET"
    rows, reference = by_hand.event(jets, leptons, *(t[f"{met}_{q}"].array() for q in ("pt", "phi")))
    table = hepaa.features(hepaa.open(path(data, name)), "event")
    same(table, rows, reference, "event")
    assert table.n > 15


@pytest.mark.slow
def test_events_of_physlite_with_the_usual_objects(data, tree):
    """No b-tags are there, so no number of them is."""
    t = tree(ATLAS)
    leptons, jets = atlas_objects(t)
    x, y = (t[f"MET_Core_AnalysisMETAuxDyn.mp{c}"].array()[:, -1].to_numpy() * 1e-3 for c in "xy")
    rows, reference = by_hand.event(jets, leptons, np.hypot(x, y), np.arctan2(y, x))
    table = hepaa.features(hepaa.open(path(data, ATLAS)), "event")
    assert "nb" not in table.columns
    np.testing.assert_array_equal(table.event, np.flatnonzero(rows))
    for column in table.columns:
        np.testing.assert_allclose(table[column], ak.to_numpy(reference[column]), rtol=2e-6, atol=2e-5, err_msg=column)


# DeepJet was not run for the open data of 2015: all its scores are -3000
@pytest.mark.parametrize(
    ("name", "tagger"),
    [(V7, "btagDeepFlavB"), *slow((DIMUON, "btagDeepFlavB"), (V9, "btagCSVV2"), (V15, "btagUParTAK4B"))],
)
def test_zh_of_nanoaod(data, tree, name, tagger):
    """None of these is ZH: loose cuts leave pairs to compare."""
    leptons, jets = cms_objects(
        tree(name), electrons=lambda e: e.pt > 5, muons=lambda m: m.pt > 3,
        jets=lambda j: (j.pt > 15) & (abs(j.eta) < 2.5), btag=lambda j: getattr(j, tagger) > 0.005,
    )  # fmt: skip
    rows, reference = by_hand.zh(leptons, jets)
    assert rows.any()
    loose = {
        "electrons": {"where": "pt > 5"}, "muons": {"where": "pt > 3"},
        "jets": {"where": "pt > 15 and abs(eta) < 2.5", "btag": f"{tagger} > 0.005"},
    }  # fmt: skip
    events = hepaa.open(path(data, name), objects=loose)
    for feature_set in ("zh", "zh-paper", "zh-invariant"):
        same(hepaa.features(events, feature_set), rows, reference, feature_set)


@pytest.mark.slow
def test_zh_of_physlite(data, tree):
    """The outputs of the tagger have one entry a jet here; a loose cut on their discriminant is the b-tag."""
    schema = yaml.safe_load((files("hepaa.io.root") / "physlite.yaml").read_text())
    tagger = "BTagging_AntiKt4EMPFlowAuxDyn.GN2v00_p"
    schema["collections"]["jets"] |= {f"p{f}": tagger + f for f in "bcu"}
    schema["objects"]["jets"]["btag"] = "log(pb / (0.2 * pc + 0.8 * pu)) > -3"
    leptons, jets = atlas_objects(tree(ATLAS))
    jets["btag"] = np.log(jets.pb / (0.2 * jets.pc + 0.8 * jets.pu)) > -3
    rows, reference = by_hand.zh(leptons, jets)
    assert rows.sum() > 3
    events = hepaa.open(path(data, ATLAS), schema=schema)
    for feature_set in ("zh", "zh-paper", "zh-invariant"):
        same(hepaa.features(events, feature_set), rows, reference, feature_set)


@pytest.mark.slow
def test_jets_of_candidates_with_their_puppi_weights(data):
    """PF candidates of NanoAOD: FastJet's jets of weighted momenta, near the AK8 jets of the file."""
    events = hepaa.open(data / "root" / "pfnano.root", needs=["candidates", "fatjets"])
    bare = replace(events, collections={"candidates": events.candidates})
    with uproot.open(data / "root" / "pfnano.root") as file:
        pt, eta, phi, puppi = (
            ak.values_astype(file[f"Events/PFCands_{q}"].array(), np.float64)
            for q in ("pt", "eta", "phi", "puppiWeight")
        )
        large = file["Events/FatJet_pt"].array()
    weighted = ak.zip({"pt": pt * puppi, "eta": eta, "phi": phi})[puppi > 0]
    jets = inclusive_jets(weighted)
    table = hepaa.features(bare, "dijet")
    assert table.n == events.n
    for j in (0, 1):
        for q, theirs in (("pt", jets.pt), ("m", jets.m), ("eta", jets.eta)):
            np.testing.assert_allclose(table[f"{q}j{j + 1}"], theirs[:, j], rtol=1e-5, atol=1e-4)
    assert np.median(np.abs(table["ptj1"] / large[:, 0] - 1)) < 0.1
    cloud = hepaa.features(events, "constituents-2x30")
    np.testing.assert_allclose(cloud["ptj1"], table["ptj1"], rtol=1e-6)
    assert np.all(cloud["z1j1"] > 0)


def test_particles_and_jets_of_edm4hep(data):
    """FCC events of Delphes: the branches of ReconstructedParticles and Jet."""
    path = data / "root" / "p8_ee_WW_ecm240_edm4hep.root"
    events = hepaa.open(path)
    assert events.header["schema"] == "edm4hep"
    with uproot.open(path) as file:
        tree = file["events"]
        for name, branch in (("candidates", "ReconstructedParticles"), ("jets", "Jet")):
            for field, member in (("px", "momentum.x"), ("pz", "momentum.z"), ("e", "energy")):
                theirs = tree[f"{branch}/{branch}.{member}"].array()
                assert ak.array_equal(events.collections[name][field], theirs, check_parameters=False)
        energy = ak.sum(ak.values_astype(tree["Jet/Jet.energy"].array(), np.float64), axis=1)
    table = hepaa.features(events, "event")
    assert table.columns == ("ht", "mht", "mjets", "njets", "ptj1", "ptj2")
    assert np.all(table["mjets"] < energy * (1 + 1e-6))
    assert hepaa.features(events, "constituents-3x15").n == events.n
    assert hepaa.open(data / "root" / "edm4hep.root").candidates.e.ndim == 2


def in_memory(**collections):
    n = len(next(iter(collections.values())))
    records = {name: ak.Array(rows) for name, rows in collections.items()}
    return Events("by hand", "root", np.arange(n), np.ones(n), collections=records, columns={"met": np.ones(n)})


def test_events_without_jets_leptons_or_b_tags():
    jet = {"pt": 30.0, "eta": 0.0, "phi": 1.0, "m": 0.0}
    events = in_memory(jets=[[jet], [], [jet, jet | {"pt": 50.0, "phi": 1.0 + np.pi}]])
    table = hepaa.features(events, "event")
    assert table.columns == ("met", "ht", "mht", "mjets", "njets", "ptj1", "ptj2")
    assert [(r.step, r.n) for r in table.cutflow] == [("all", 3), ("a jet", 2)]
    np.testing.assert_allclose(table["ptj1"], [30, 50])
    np.testing.assert_allclose(table["ptj2"], [0, 30])
    np.testing.assert_allclose(table["mht"], [30, 20], rtol=1e-6)
    with pytest.raises(hepaa.InputError, match="btag must be 0 or 1"):
        hepaa.features(in_memory(jets=[[jet | {"btag": 0.3}]]), "event")


def test_large_jets_that_lack_a_quantity_are_an_error():
    jet = {"pt": 300.0, "eta": 0.0, "phi": 1.0, "m": 80.0, "tau1": 0.3, "tau2": 0.2}
    with pytest.raises(hepaa.InputError, match=r"fatjets of by hand \(root\) have no field 'tau3'"):
        hepaa.features(in_memory(fatjets=[[jet, jet]]), "dijet")
    table = hepaa.features(in_memory(fatjets=[[], [jet | {"tau3": 0.0}]]), "dijet")
    assert (table.n, table.cutflow[-1].step) == (0, "two jets")
