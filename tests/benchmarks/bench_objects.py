"""Objects of NanoAOD against coffea's NanoEvents: the same cuts, cleaning and tags of one file, from disk to arrays.

coffea reads what is touched (virtual arrays), and its cuts are awkward's; ours are the defaults of the schema. Both
have to keep the same events and the same tagged jets. CPU time, interleaved, medians.
"""

from __future__ import annotations

import time

import awkward as ak
import numpy as np
import pytest
from helpers.nano import write_tree

import hepaa

pytestmark = pytest.mark.bench
N = 200_000
OBJECTS = {"events": {"where": "HLT_IsoMu24 and njets >= 2"}}
MOMENTUM = ("pt", "eta", "phi", "mass")


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    rng = np.random.default_rng(1)

    def collection(mean, **more):
        counts = rng.poisson(mean, N)
        n = counts.sum()
        momenta = (
            rng.exponential(40, n) + 5,
            rng.normal(0, 1.6, n),
            rng.uniform(-3.14, 3.14, n),
            rng.uniform(0, 10, n),
        )
        fields = {name: values.astype(np.float32) for name, values in zip(MOMENTUM, momenta, strict=True)}
        fields |= {name: draw(n) for name, draw in more.items()}
        return ak.zip({name: ak.unflatten(values, counts) for name, values in fields.items()})

    def share(n):
        return rng.uniform(0, 1, n).astype(np.float32)

    def charge(n):
        return rng.choice([-1, 1], n).astype(np.int32)

    branches = {
        "Jet": collection(6, jetId=lambda n: rng.choice([0, 2, 6], n).astype(np.int32), btagDeepFlavB=share),
        "Muon": collection(1, mediumId=lambda n: rng.uniform(size=n) < 0.8, pfRelIso04_all=share, charge=charge),
        "Electron": collection(1, cutBased=lambda n: rng.integers(0, 5, n).astype(np.int32), charge=charge),
        "MET_pt": share(N), "MET_phi": share(N), "genWeight": share(N), "HLT_IsoMu24": rng.uniform(size=N) < 0.5,
        "run": np.ones(N, np.uint32), "luminosityBlock": np.ones(N, np.uint32), "event": np.arange(N, dtype=np.uint64),
    }  # fmt: skip
    return write_tree(tmp_path_factory.mktemp("nano") / "nano.root", branches)


def ours(path):
    events = hepaa.open(path, objects=OBJECTS, needs=("jets", "leptons"), columns=["met"])  # what they touch
    done = hepaa.select_objects(events)
    return done.n, ak.sum(done.jets.btag), ak.sum(done.leptons.pt)


def theirs(path):
    nanoevents = pytest.importorskip("coffea.nanoevents")
    nanoevents.NanoAODSchema.warn_missing_crossrefs = False
    events = nanoevents.NanoEventsFactory.from_root(
        {str(path): "Events"}, schemaclass=nanoevents.NanoAODSchema, mode="virtual"
    ).events()
    e, mu, jets = events.Electron, events.Muon, events.Jet
    e = e[(e.pt > 20) & (abs(e.eta) < 2.5) & (e.cutBased >= 3)]
    mu = mu[(mu.pt > 20) & (abs(mu.eta) < 2.4) & mu.mediumId & (mu.pfRelIso04_all < 0.25)]
    fields = [*MOMENTUM, "charge"]
    leptons = ak.concatenate([e[fields], mu[fields]], axis=1)
    leptons = leptons[ak.argsort(leptons.pt, axis=1, ascending=False)]
    vectors = ak.zip({k: leptons[k] for k in MOMENTUM}, with_name="PtEtaPhiMLorentzVector", behavior=events.behavior)
    jets = jets[(jets.pt > 25) & (abs(jets.eta) < 2.5) & (jets.jetId >= 2)]
    jets = jets[~ak.any(jets.metric_table(vectors) < 0.4, axis=-1)]
    rows = events.HLT.IsoMu24 & (ak.num(jets) >= 2)
    jets, leptons, met, weight = jets[rows], leptons[rows], events.MET.pt[rows], events.genWeight[rows]
    kept = [jets.pt, jets.eta, jets.phi, jets.mass, jets.btagDeepFlavB > 0.2783]
    kept += [leptons.pt, leptons.eta, leptons.phi, leptons.charge, met, weight]
    kept = [ak.materialize(values) for values in kept]
    return ak.sum(rows), ak.sum(kept[4]), ak.sum(kept[5])


def test_objects_are_as_fast_as_nanoevents(nano):
    expected = tuple(map(float, theirs(nano)))
    times = {ours: [], theirs: []}
    for _ in range(7):
        for select, spent in times.items():
            start = time.process_time()
            result = select(nano)
            spent.append(time.process_time() - start)
            assert tuple(map(float, result)) == pytest.approx(expected, rel=1e-6)
    ratio = np.median(times[theirs]) / np.median(times[ours])
    print(f"\n{N} events: ours {np.median(times[ours]):.3f} CPU-s, NanoEvents {ratio:.2f} times that")
    assert ratio > 0.9  # equal, within the noise of a shared machine
