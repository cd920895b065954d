"""Feature sets on reconstructed objects of public ntuples: every column against vector, by hand."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.resources import files

import awkward as ak
import numpy as np
import pytest
import uproot
import yaml
from helpers import objects as by_hand

import hepaa
from hepaa.features import feature_sets

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


@pytest.mark.parametrize("name", [V7, *slow(V9, V15)])
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
