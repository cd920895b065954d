"""A file of NanoAOD v15 as it is, and many of its events, against coffea's NanoEvents: the same objects, equal first.

Processor time, interleaved repeats, medians. `bench_objects` has many events of few branches, without the opening.
"""

from __future__ import annotations

import time
import warnings

import awkward as ak
import numpy as np
import pytest
import uproot

import hepaa

pytestmark = pytest.mark.bench

OBJECTS = {
    "electrons": {"where": "pt > 10 and abs(eta) < 2.5 and cutBased >= 1"},
    "muons": {"where": "pt > 5 and abs(eta) < 2.4 and pfRelIso04_all < 1"},
    "jets": {
        "where": "pt > 25 and abs(eta) < 2.5 and neHEF < 0.99 and neEmEF < 0.9 and chHEF > 0.01 and chMultiplicity > 0"
    },
}
BRANCHES = {
    "Jet": "pt eta phi mass neHEF neEmEF chHEF chMultiplicity btagUParTAK4B",
    "Electron": "pt eta phi mass charge cutBased",
    "Muon": "pt eta phi mass charge pfRelIso04_all",
}
COPIES = 100


@pytest.fixture
def v15(data):
    return data / "root" / "nano_tt_v15.root"


@pytest.fixture
def many(v15, tmp_path):
    """20 000 events: those of the file many times over, with the branches of jets and leptons."""
    names = [f"{c}_{f}" for c, fields in BRANCHES.items() for f in fields.split()]
    names += ["PFMET_pt", "PFMET_phi", "run", "luminosityBlock", "event", "genWeight"]
    with uproot.open(v15) as file:
        arrays = {name: ak.concatenate([file[f"Events/{name}"].array()] * COPIES) for name in names}
    with uproot.recreate(tmp_path / "many.root") as file:
        types = {name: ak.type(values).content for name, values in arrays.items()}
        file.mktree("Events", types, counter_name=lambda counted: f"n{counted.split('_')[0]}")
        file["Events"].extend(arrays)
    return tmp_path / "many.root"


def ours(path):
    """Selected jets and leptons, and the missing momentum."""
    events = hepaa.select_objects(hepaa.open(path, objects=OBJECTS, needs=["jets", "leptons"]))
    return events.arrays["jets"], events.arrays["leptons"], events.columns["met"]


def theirs(path):
    """The same with NanoEvents."""
    from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

    NanoAODSchema.warn_missing_crossrefs = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        events = NanoEventsFactory.from_root({str(path): "Events"}, schemaclass=NanoAODSchema, mode="virtual").events()
    e, mu, j = events.Electron, events.Muon, events.Jet
    e = e[(e.pt > 10) & (abs(e.eta) < 2.5) & (e.cutBased >= 1)]
    mu = mu[(mu.pt > 5) & (abs(mu.eta) < 2.4) & (mu.pfRelIso04_all < 1)]
    good = (j.pt > 25) & (abs(j.eta) < 2.5) & (j.neHEF < 0.99) & (j.neEmEF < 0.9) & (j.chHEF > 0.01)
    j = j[good & (j.chMultiplicity > 0)]
    j = j[ak.all(j.metric_table(e) >= 0.4, axis=2) & ak.all(j.metric_table(mu) >= 0.4, axis=2)]
    jets = ak.zip({"pt": j.pt, "eta": j.eta, "phi": j.phi, "m": j.mass, "btag": j.btagUParTAK4B > 0.1272})
    parts = [
        ak.zip({"pt": x.pt, "eta": x.eta, "phi": x.phi, "m": x.mass, "pdgid": code * x.charge})
        for x, code in ((e, -11), (mu, -13))
    ]
    leptons = ak.concatenate(parts, axis=1)
    return jets, leptons[ak.argsort(leptons.pt, axis=1, ascending=False)], ak.to_numpy(events.PFMET.pt)


@pytest.mark.parametrize(("name", "repeats"), [("v15", 5), ("many", 7)])
def test_objects_against_nanoevents(request, name, repeats):
    pytest.importorskip("coffea.nanoevents", reason="pip install coffea")
    path = request.getfixturevalue(name)
    (*mine, met), (*others, their_met) = ours(path), theirs(path)
    for collection, other in zip(mine, others, strict=True):
        assert ak.array_equal(ak.num(collection), ak.num(other))
        assert ak.sum(ak.num(collection)) > 0
        for field in other.fields:
            np.testing.assert_array_equal(ak.flatten(collection[field]), ak.flatten(other[field]), err_msg=field)
    np.testing.assert_array_equal(met, their_met)
    times = [[], []]
    for _ in range(repeats):
        for function, spent in zip((ours, theirs), times, strict=True):
            start = time.process_time()
            function(path)
            spent.append(time.process_time() - start)
    own, peer = map(float, map(np.median, times))
    n = len(met)
    print(f"\nNanoAOD v15, {n} events: hepaa {n / own:.0f} events/s, NanoEvents {n / peer:.0f}: {peer / own:.2f} x")
    assert peer / own >= 1
