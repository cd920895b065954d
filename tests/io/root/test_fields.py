"""Objects of ROOT files: branches that cuts name are read, each version of a format has its defaults."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
from click.testing import CliRunner
from helpers.nano import EVENTS as N
from helpers.nano import nano_branches, write_tree

import hepaa
from hepaa.cli import main
from hepaa.errors import InputError
from hepaa.io.schemas import schemas

RNG = np.random.default_rng(7)
ONE = np.ones(N, int)


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    return write_tree(
        tmp_path_factory.mktemp("nano") / "nano.root", nano_branches(btagDeepFlavB=1, btagDeepB=1, jetId=7)
    )


def test_a_score_is_cut_at_a_working_point_of_ones_own(nano):
    """Every NanoAOD has scores, from which no `btag` of 0 and 1 could be made."""
    usual = hepaa.features(hepaa.open(nano), "zh")
    loose = hepaa.features(hepaa.open(nano, objects={"jets": {"btag": "btagDeepFlavB > 0.05"}}), "zh")
    tagged = [next(r.n for r in t.cutflow if "b-tag" in r.step) for t in (usual, loose)]
    assert 0 < tagged[0] < tagged[1]
    assert loose.n > 0
    schema = {
        "tree": "Events",
        "collections": {
            "jets": {"pt": "Jet_pt", "eta": "Jet_eta", "phi": "Jet_phi", "m": "Jet_mass", "btag": "Jet_btagDeepB"},
            "muons": {"pt": "Muon_pt", "eta": "Muon_eta", "phi": "Muon_phi", "m": "Muon_mass",
                      "pdgid": {"branch": "Muon_charge", "scale": -13}},
        },
        "union": {"leptons": ["muons"]},
    }  # fmt: skip
    with pytest.raises(InputError, match=r"cut the score.*objects: \{jets: \{btag: btag > 0.3\}\}"):
        hepaa.features(hepaa.open(nano, schema=schema), "zh")
    schema["objects"] = {"jets": {"btag": "btag > 0.3"}}
    assert hepaa.features(hepaa.open(nano, schema=schema), "zh").n > 0


@pytest.mark.parametrize(
    ("scores", "cut"),
    [
        (("btagUParTAK4B", "btagPNetB", "btagDeepFlavB"), "btagUParTAK4B > 0.1272"),
        (("btagPNetB", "btagDeepFlavB"), "btagPNetB > 0.245"),
        (("btagDeepFlavB", "btagDeepB", "btagCSVV2"), "btagDeepFlavB > 0.2783"),
        (("btagDeepB", "btagCSVV2"), "btagDeepB > 0.4168"),
        (("btagCSVV2",), "btagCSVV2 > 0.8484"),
    ],
)
def test_each_version_of_nanoaod_has_its_tagger(tmp_path, scores, cut):
    events = hepaa.open(write_tree(tmp_path / "nano.root", nano_branches(**dict.fromkeys(scores, 1))))
    steps = [row.step for row in hepaa.select_objects(events).steps]
    assert f"jets: b-tag, {cut}" in steps
    assert sum("b-tag" in step for step in steps) == 1
    assert set(events.arrays["jets"].fields).intersection(scores) == {cut.split()[0]}


def test_what_is_selected_equals_uproot_by_hand(nano):
    steps = {"jets": {"where": "pt > 0.5 * met and jetId >= 2"}, "events": {"where": "HLT_IsoMu24 and nleptons >= 1"}}
    done = hepaa.select_objects(hepaa.open(nano, objects=steps))
    with uproot.open(nano) as file:
        raw = file["Events"].arrays()
    muons = (raw.Muon_pt > 20) & (abs(raw.Muon_eta) < 2.4) & raw.Muon_mediumId & (raw.Muon_pfRelIso04_all < 0.25)
    rows = raw.HLT_IsoMu24 & ak.any(muons, axis=1)
    assert done.n == ak.sum(rows)
    assert done.muons.pt.to_list() == raw.Muon_pt[muons][rows].to_list()
    far = hepaa.open(nano).jets
    lepton = hepaa.open(nano).muons[muons]
    far = ~ak.any(far[:, :, None].deltaR(lepton[:, None]) < 0.4, axis=-1)
    jets = far & (raw.Jet_pt > 0.5 * raw.MET_pt) & (raw.Jet_jetId >= 2)
    assert done.jets.pt.to_list() == raw.Jet_pt[jets][rows].to_list()
    assert done.jets.btag.to_list() == ak.values_astype(raw.Jet_btagDeepFlavB > 0.2783, int)[jets][rows].to_list()


def test_a_field_of_another_container_hides_none_of_the_own(tmp_path):
    """A collection of Jet_pt_nom, Jet_eta, ... and a score from elsewhere still has jetId."""
    branches = nano_branches(jetId=7, pt_nom=90)
    branches["Other"] = ak.zip({"score": branches["Jet"].pt_nom})
    schema = {
        "collections": {"jets": {"pt": "Jet_pt_nom", "eta": "Jet_eta", "phi": "Jet_phi", "score": "Other_score"}},
        "objects": {"jets": {"where": ["jetId > 2", "pt > 0"]}},
    }
    done = hepaa.select_objects(hepaa.open(write_tree(tmp_path / "nano.root", branches), schema=schema))
    assert done.steps[-1].step == "jets: jetId > 2"
    assert ak.all(done.jets.pt == done.jets.score)


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ({"jets": {"where": "jetID >= 2"}}, "names 'jetID'; did you mean 'jetId'"),
        ({"jest": {"where": "pt > 3"}}, "objects: no collection 'jest'; did you mean 'jets'"),
        ({"jets": {"clean": {"mouns": 0.3}}}, "objects.jets: no collection 'mouns'; did you mean 'muons'"),
        ({"events": {"where": "Jet_pt > 30"}}, "branch 'Jet_pt', which has several numbers an event.*njets >= 2"),
        ({"events": {"where": "HLT_IsoMu27"}}, "names 'HLT_IsoMu27'; did you mean 'HLT_IsoMu24'"),
    ],
)  # fmt: skip
def test_what_a_file_lacks_is_named_with_what_is_near(nano, objects, words):
    with pytest.raises(InputError, match=words):
        hepaa.open(nano, objects=objects)


def test_what_info_prints_selects_the_same_when_it_is_given_back(nano, tmp_path):
    printed = CliRunner().invoke(main, ["info", str(nano), "--schema"])
    assert printed.exit_code == 0, printed.output
    assert "2018 0.2783 (ultra-legacy)" in printed.output
    (tmp_path / "nano.yaml").write_text(printed.output)
    again = hepaa.features(hepaa.open(nano, schema=tmp_path / "nano.yaml"), "zh")
    table = hepaa.features(hepaa.open(nano), "zh")
    assert (again.X.tobytes(), again.cutflow) == (table.X.tobytes(), table.cutflow)


def test_delphes_without_muons_is_delphes_and_tags_by_bits(tmp_path):
    counts = RNG.poisson(3, N)
    total = counts.sum()
    bits = RNG.integers(0, 4, total)
    values = {"PT": RNG.exponential(60, total), "Eta": RNG.normal(0, 1, total), "Phi": RNG.uniform(-3, 3, total),
              "Mass": np.full(total, 5.0), "BTag": bits}  # fmt: skip
    path = write_tree(
        tmp_path / "delphes.root", {f"Jet.{k}": ak.unflatten(v, counts) for k, v in values.items()}, "Delphes"
    )
    events = hepaa.open(path)
    assert (events.header["schema"], list(events.collections)) == ("delphes", ["jets"])
    for cut, bit in (("btag & 1", 1), ("BTag & 2", 2)):
        done = hepaa.select_objects(hepaa.open(path, objects={"jets": {"btag": cut}}))
        assert ak.flatten(done.jets.btag).to_list() == [int(b & bit > 0) for b in bits]


@pytest.mark.parametrize("left_out", ["Jet", "Muon", "luminosityBlock"])
def test_a_skim_of_nanoaod_is_read_with_what_it_has(tmp_path, left_out):
    branches = {name: values for name, values in nano_branches(btagDeepFlavB=1).items() if name != left_out}
    events = hepaa.open(write_tree(tmp_path / "skim.root", branches))
    assert events.header["schema"] == "nanoaod"
    assert set(events.collections) == {"jets", "muons", "leptons"} - {
        "Jet": {"jets"}, "Muon": {"muons", "leptons"}
    }.get(left_out, set())  # fmt: skip
    hepaa.select_objects(events)
    if left_out == "luminosityBlock":
        with pytest.raises(InputError, match="a luminosity mask needs the column 'luminosity_block'"):
            hepaa.open(events.path, objects={"events": {"luminosity_mask": {"1": [[1, 2]]}}})


def test_momenta_that_look_like_mev_are_warned_of(tmp_path):
    jets = {"pt": np.full(N, 45e3), "eta": np.zeros(N), "phi": np.zeros(N)}
    path = write_tree(tmp_path / "mev.root", {"Jet": ak.zip({k: ak.unflatten(v, ONE) for k, v in jets.items()})})
    schema = {"collections": {"jets": {k: f"Jet_{k}" for k in jets}}}
    with pytest.warns(UserWarning, match="the median pT of the jets is 45000 GeV"):
        hepaa.open(path, schema=schema)
    assert ak.all(hepaa.open(path, schema={**schema, "momentum_unit": "MeV"}).jets.pt == 45)


def test_isolation_of_physlite_is_in_the_unit_of_momenta(tmp_path):
    base = "AnalysisMuonsAuxDyn"
    branches = {f"{base}.pt": 50e3, f"{base}.eta": 0.1, f"{base}.phi": 0.2, f"{base}.charge": 1.0,
                f"{base}.quality": 9.0, f"{base}.ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt500": 4e3,
                f"{base}.neflowisol20": 5e3}  # fmt: skip
    path = write_tree(
        tmp_path / "physlite.root",
        {name: ak.unflatten(np.full(N, value), ONE) for name, value in branches.items()},
        "CollectionTree",
    )
    assert hepaa.select_objects(hepaa.open(path)).steps[-2].n == N
    with pytest.raises(InputError, match="leptons \\+ jets"):
        hepaa.features(hepaa.open(path), "zh")


def test_defaults_of_all_schemas_are_understood():
    assert {name for name, schema in schemas().items() if schema.objects} >= {"nanoaod", "physlite", "delphes"}


@pytest.mark.slow
def test_physlite_says_how_to_tag(data):
    with pytest.raises(InputError, match=r"have no b-tag.*hepaa info FILE --schema"):
        hepaa.features(hepaa.open(data / "root" / "PHYSLITE_example.root"), "zh")


NANOAOD = {
    "nano_dy.root": "btagDeepFlavB > 0.2783",
    "nano_dimuon.root": "btagDeepFlavB > 0.2783",
    "nano_tt_v15.root": "btagUParTAK4B > 0.1272",
    "pfnano.root": "btagDeepFlavB > 0.2783",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NANOAOD)
def test_zh_of_nanoaod_equals_vector_by_hand(data, name):
    """Loose cuts, for these files are small; the tagger is that of the defaults."""
    loose = {"electrons": {"where": "pt > 5"}, "muons": {"where": "pt > 3"}, "jets": {"where": "pt > 20"}}
    score = NANOAOD[name].split()[0]
    objects = loose | {"jets": {"where": "pt > 20", "btag": f"{score} > 0.001"}}
    table = hepaa.features(hepaa.open(data / "root" / name, objects=objects), "zh-paper")
    usual = hepaa.features(hepaa.open(data / "root" / name), "zh")
    assert f"jets: b-tag, {NANOAOD[name]}" in [row.step for row in usual.cutflow]
    raw = hepaa.open(data / "root" / name)
    with uproot.open(data / "root" / name) as file:
        tag = file["Events"][f"Jet_{score}"].array() > 0.001
    electrons, muons = raw.electrons[raw.electrons.pt > 5], raw.muons[raw.muons.pt > 3]
    leptons = ak.concatenate([electrons, muons], axis=1)
    leptons = leptons[ak.argsort(leptons.pt, axis=1, ascending=False)]
    far = ~ak.any(raw.jets[:, :, None].deltaR(leptons[:, None]) < 0.4, axis=-1)
    b = raw.jets[(raw.jets.pt > 20) & far & tag]
    b = b[ak.argsort(b.pt, axis=1, ascending=False)]
    assert table.n > 0
    rows = table.event
    b = ak.values_astype(b[rows], np.float64)
    first, second = b[:, 0], b[:, 1]
    np.testing.assert_allclose(table["ptb1"], first.pt, rtol=1e-6)
    np.testing.assert_allclose(table["ptH"], (first + second).pt, rtol=1e-5)
    np.testing.assert_allclose(table["mbb"], (first + second).mass, rtol=1e-5)
    np.testing.assert_allclose(table["drbb"], first.deltaR(second), rtol=1e-5)
