"""What is open or in memory already gives the events that its file gives."""

from __future__ import annotations

from itertools import islice

import awkward as ak
import numpy as np
import pytest
import uproot

import hepaa
from hepaa.demo import path as demo_path
from hepaa.errors import InputError


def nested(source):
    """An array of events as coffea's NanoAODSchema nests it: Jet_pt becomes Jet.pt."""
    groups: dict[str, dict[str, ak.Array]] = {}
    for name in ak.fields(source):
        head, _, tail = name.partition("_")
        if tail and not name.startswith("n"):
            groups.setdefault(head, {})[tail] = source[name]
    single = {name: source[name] for name in ak.fields(source) if "_" not in name and not name.startswith("n")}
    records = {head: ak.zip(members, depth_limit=members["pt"].ndim) for head, members in groups.items()}
    return ak.zip(single | records, depth_limit=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small file that is recognised as NanoAOD."""
    rng = np.random.default_rng(5)
    n = 60
    branches = {
        "genWeight": rng.uniform(0.5, 2, n).astype(np.float32),
        "event": 2**60 + np.arange(n),
        "run": np.ones(n, int),
        "luminosityBlock": np.ones(n, int),
    }
    branches |= {"MET_pt": rng.exponential(30, n), "MET_phi": rng.uniform(-3, 3, n)}
    for name, most in (("Jet", 6), ("Muon", 3)):
        counts = rng.integers(1, most, n)
        total = int(counts.sum())
        fields = {"pt": rng.exponential(60, total), "eta": rng.normal(size=total), "phi": rng.uniform(-3, 3, total)}
        fields |= {"mass": np.full(total, 5.0)}
        fields |= (
            {"btagDeepFlavB": rng.uniform(size=total)} if name == "Jet" else {"charge": rng.choice([-1, 1], total)}
        )
        branches[name] = ak.unflatten(ak.zip(fields), counts)
    path = tmp_path_factory.mktemp("nano") / "nano.root"
    with uproot.recreate(path) as file:
        # a TTree, whatever uproot writes by default
        file.mktree("Events", {name: ak.type(values) for name, values in branches.items()}).extend(branches)
    return path


def assert_same(one, other):
    assert list(one.arrays) == list(other.arrays)
    for name, records in one.arrays.items():
        assert ak.array_equal(records, other.arrays[name], check_parameters=False), name
    np.testing.assert_array_equal(one.weight, other.weight)
    for name, values in one.columns.items():
        np.testing.assert_array_equal(values, other.columns[name])
        assert values.dtype == other.columns[name].dtype
    a, b = hepaa.features(one, "event"), hepaa.features(other, "event")
    np.testing.assert_array_equal(a.X, b.X)
    assert a.cutflow == b.cutflow


def test_trees_and_arrays_of_uproot_and_of_coffea(written):
    expected = hepaa.open(written)
    assert expected.columns["event"].dtype.kind in "iu"
    tree = uproot.open(written)["Events"]
    arrays = tree.arrays()
    for source in (tree, arrays, nested(arrays)):
        assert_same(hepaa.open(source), expected)
        table = hepaa.features(source, "event")
        np.testing.assert_array_equal(table.X, hepaa.features(expected, "event").X)
    pieces = (arrays[:20], arrays[20:])
    np.testing.assert_array_equal(hepaa.features(pieces, "event").X, hepaa.features(expected, "event").X)


def test_options_of_arrays_are_those_of_files(written):
    arrays = nested(uproot.open(written)["Events"].arrays())
    options = {"objects": {"jets": {"where": "pt > 50"}}, "columns": ["MET_pt"], "weight": "MET_pt"}
    sample = hepaa.Sample("X", "signal")
    one, other = (hepaa.open(source, sample=sample, **options) for source in (arrays, written))
    assert one.sample == other.sample == sample
    assert list(one.columns) == ["MET_pt"]
    np.testing.assert_array_equal(one.weight, other.weight)
    np.testing.assert_array_equal(hepaa.features(one, "event").X, hepaa.features(other, "event").X)
    with pytest.raises(InputError, match="takes no option 'start'"):
        hepaa.open(arrays, start=3)


def test_an_rntuple(tmp_path):
    with uproot.recreate(tmp_path / "x.root") as file:
        file.mkrntuple("nt", {"a": "f8", "weight": "f8"}).extend({"a": [1.0, 2.0], "weight": [3.0, 4.0]})
    source = uproot.open(tmp_path / "x.root")["nt"]
    assert hepaa.open(source).weight.tolist() == [3, 4]
    assert hepaa.features(source, ["a"])["a"].tolist() == [1, 2]


def test_arrays_of_pylhe():
    import pylhe

    events = list(islice(pylhe.LHEFile.fromfile(str(demo_path("zh_sm.lhe.gz"))).events, 100))
    expected, array = hepaa.from_pylhe(events), pylhe.to_awkward(events)
    events = hepaa.open(array)
    for field in expected.arrays["particles"].fields:
        assert ak.array_equal(events.arrays["particles"][field], expected.arrays["particles"][field]), field
    for name in expected.weights:
        np.testing.assert_array_equal(events.weights[name], expected.weights[name])
    ours, theirs = (hepaa.features(source, "zh-paper") for source in (array, expected))
    np.testing.assert_array_equal(ours.X, theirs.X)
    np.testing.assert_array_equal(ours.weight, theirs.weight)


@pytest.mark.parametrize("source", [3, {"a": 1}, ak.Array([1.0, 2.0]), np.ones(3), None])
def test_what_is_not_accepted_says_what_is(source):
    with pytest.raises(InputError, match=r"events cannot be made of .*NanoEvents.*Events.from_awkward\(jets="):
        hepaa.open(source)


def test_features_of_what_is_not_accepted():
    with pytest.raises(InputError, match=r"events are needed, not a path: hepaa.features\(hepaa.open\('x.root'\)"):
        hepaa.features("x.root", "zh")
    with pytest.raises(InputError, match=r"events cannot be made of int: .*NanoEvents"):
        hepaa.features([3], "zh")


@pytest.mark.filterwarnings("ignore:Missing cross-reference")
def test_nanoevents_of_coffea(written):
    nanoevents = pytest.importorskip("coffea.nanoevents")
    factory = nanoevents.NanoEventsFactory.from_root(
        {str(written): "Events"}, mode="virtual", schemaclass=nanoevents.NanoAODSchema
    )
    assert_same(hepaa.open(factory.events()), hepaa.open(written))
