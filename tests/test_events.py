"""Collections of every format are vector's momenta: the same numbers as vector's own arrays, made independently."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
import vector

import hepaa
from hepaa.demo import path as demo_path
from hepaa.errors import InputError

CARTESIAN, POLAR = ("px", "py", "pz", "e"), ("pt", "eta", "phi", "m")
FILES = [
    ("lhe/madgraph-2.0.0-wbj.lhe", "particles", CARTESIAN),
    ("lhe/pythia-8.3.14-weakbosons.lhe", "particles", CARTESIAN),
    ("lhco/events_anomalydetection_tiny.h5", "particles", POLAR[:3]),
    ("root/nano_dy.root", "jets", POLAR),
    ("root/nano_dy.root", "leptons", POLAR),
    ("generators/bead_bkg_train_pythia.h5", "particles", POLAR[:3]),
    ("generators/bead_bkg_train_pythia.h5", "jets", POLAR[:3]),
]


def vectors(records, fields):
    """The same momenta as vector itself makes them of bare numbers."""
    counts = ak.num(records)
    flat = {f: ak.to_numpy(ak.flatten(records[f])) for f in fields}
    if fields == POLAR[:3]:
        flat["m"] = np.zeros_like(flat["pt"])
    return vector.zip({f: ak.unflatten(values, counts) for f, values in flat.items()})


def assert_same(ours, theirs):
    for name in ("pt", "eta", "phi", "mass", "px", "py", "pz", "E", "rapidity"):
        assert ak.array_equal(getattr(ours, name), getattr(theirs, name), equal_nan=True, check_parameters=False), name
    leading = ak.num(ours) >= 2
    a, b = ours[leading], theirs[leading]
    assert ak.array_equal(a[:, 0].deltaR(a[:, 1]), b[:, 0].deltaR(b[:, 1]), equal_nan=True)
    assert ak.array_equal((a[:, 0] + a[:, 1]).mass, (b[:, 0] + b[:, 1]).mass, equal_nan=True)
    # vectors of both kinds go together
    assert ak.array_equal(a[:, 0].deltaR(b[:, 1]), b[:, 0].deltaR(a[:, 1]), equal_nan=True)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # incoming particles move along the beam
@pytest.mark.parametrize(("name", "collection", "fields"), FILES)
def test_momenta_are_those_of_vector(data, name, collection, fields):
    records = getattr(hepaa.open(data / name), collection)
    expected = vectors(records, fields)
    assert_same(records, expected)
    assert_same(records[::2], expected[::2])
    assert_same(records[records.pt > 25], expected[expected.pt > 25])
    some = int(np.flatnonzero(ak.num(records) > 0)[0])
    first, vector_first = records[some, 0], expected[some, 0]
    assert (first.pt, first.eta, first.phi, first.mass) == (
        vector_first.pt, vector_first.eta, vector_first.phi, vector_first.mass,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_lheh5(data, tmp_path):
    import pylhe

    pylhe.LHEFile.fromfile(str(data / "lhe" / "powheg-box-v2-Zj.lhe"), generator=False).tofile(str(tmp_path / "x.h5"))
    events = hepaa.open(tmp_path / "x.h5")
    assert events.format == "lheh5"
    assert_same(events.particles, vectors(events.particles, CARTESIAN))


def test_jets_and_leptons_of_the_guide():
    events = hepaa.open(demo_path("zh_sm.root"), schema=demo_path("zh_ntuple.yaml"))
    jets, leptons = (vectors(c, POLAR) for c in (events.jets, events.leptons))
    assert ak.array_equal(events.jets[:, 0].deltaR(events.leptons[:, 0]), jets[:, 0].deltaR(leptons[:, 0]))
    np.testing.assert_allclose(ak.mean((events.leptons[:, 0] + events.leptons[:, 1]).mass), 91, atol=0.5)


def test_what_the_file_says_stays(data):
    """The mass and energy of an LHE file are those that were read, beside the mass that follows from the momentum."""
    particles = hepaa.open(data / "lhe" / "madgraph-2.0.0-wbj.lhe").particles
    assert ak.array_equal(particles.m, particles["m"])
    assert ak.array_equal(particles.e, particles["e"])
    assert not ak.array_equal(particles.m, particles.mass)


def test_no_array_is_copied(data):
    events = hepaa.open(data / "lhe" / "madgraph-2.0.0-wbj.lhe")
    plain, momenta = (c.layout.content.content("px").data for c in (events.arrays["particles"], events.particles))
    assert np.shares_memory(plain, momenta)
    assert np.shares_memory(momenta, events.particles.px.layout.content.data)


def test_selected_and_replaced_events_keep_the_behaviour(data):
    events = hepaa.open(data / "root" / "nano_dy.root")
    selected = events.select(np.arange(events.n) % 2 == 0)
    assert ak.array_equal(selected.jets.px, events.jets.px[::2])
    assert ak.array_equal(replace(events, path="elsewhere").jets.px, events.jets.px)
    assert ak.array_equal(events.collections["jets"].px, events.jets.px)


def test_records_without_momentum_and_names_of_others_are_left_alone():
    tracks = ak.Array([[{"d0": 1.0}], []])
    named = ak.with_name(ak.Array([[{"pt": 1.0, "eta": 0.0, "phi": 0.0}], []]), "Track")
    collections = {"tracks": tracks, "named": named}
    events = hepaa.Events("memory", "test", np.arange(2), np.ones(2), collections=collections)
    assert type(events.tracks) is ak.Array
    assert events.named.layout.purelist_parameter("__record__") == "Track"
    with pytest.raises(InputError, match="'tracks' has 2 entries for 3 events"):
        hepaa.Events("memory", "test", np.arange(3), np.ones(3), collections=collections)
    with pytest.raises(AttributeError, match="no collection 'track'; did you mean 'tracks'"):
        _ = events.track


def test_vector_is_imported_for_the_first_momentum():
    program = (
        "import sys, hepaa\n"
        f"events = hepaa.open({str(demo_path('zh_sm.lhe.gz'))!r})\n"
        "hepaa.features(events, 'zh-paper')\n"
        "assert 'vector' not in sys.modules and 'sympy' not in sys.modules\n"
        "assert events.particles[0, 3].mass > 60\n"
        "assert 'vector' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_events_of_ones_own_arrays():
    jets = ak.zip(
        {"pt": [[90.0, 40.0], []], "eta": [[0.1, 1.2], []], "phi": [[0.0, 2.9], []], "mass": [[9.0, 5.0], []]}
    )
    events = hepaa.Events.from_awkward(
        jets=jets, met=[31.0, 12.0], event=[2**60 + 1, 5], weight=[2, 3], weights={"up": [2, 4]}, label=[True, False],
        sample=hepaa.Sample("ttbar"),
    )  # fmt: skip
    assert (events.n, events.weight.tolist(), events.weights["up"].tolist()) == (2, [2, 3], [2, 4])
    assert (events.label.tolist(), events.sample.process) == ([1, 0], "ttbar")
    assert events.columns["event"].tolist() == [2**60 + 1, 5]
    assert events.jets.fields == ["pt", "eta", "phi", "m"]
    np.testing.assert_allclose(events.jets[0, 0].px, 90.0)
    assert hepaa.features(events, ["met"])["met"].tolist() == [31, 12]
    assert hepaa.features(events, "event")["njets"].tolist() == [2]


def test_arrays_of_vector_are_ones_own_too():
    polar = {"pt": ak.Array([[90.0]]), "eta": ak.Array([[0.1]]), "phi": ak.Array([[1.0]]), "mass": ak.Array([[9.0]])}
    cartesian = {"px": ak.Array([[3.0]]), "py": ak.Array([[4.0]]), "pz": ak.Array([[0.0]]), "E": ak.Array([[13.0]])}
    events = hepaa.Events.from_awkward(jets=vector.zip(polar), particles=vector.zip(cartesian))
    assert sorted(events.jets.fields) == ["eta", "m", "phi", "pt"]
    assert (events.jets.pt[0, 0], events.jets.mass[0, 0]) == (90.0, 9.0)
    assert sorted(events.particles.fields) == ["e", "px", "py", "pz"]
    np.testing.assert_allclose(events.particles.mass[0, 0], 12.0)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({}, "one array at least"),
        ({"jets": ak.Array([[1.0, 2.0], [3.0]])}, "'jets' holds lists without names; join them to records"),
        ({"met": ak.Array([{"pt": 1.0}])}, "'met' is one record an event"),
        ({"met": ak.Array([1.0, None])}, "'met' has missing values"),
        ({"name": ["a", "b"]}, "'name' holds"),
        ({"jets": object()}, "'jets' is no array"),
        ({"met": [1.0, 2.0], "ht": [1.0]}, "'ht' has 1 entries for 2 events"),
        ({"met": [1.0], "label": [2]}, "labels are 0 or False"),
        ({"met": [1.0], "weight": [1, 2]}, "'weight' has 2 entries for 1 events"),
    ],
)
def test_arrays_that_are_no_events_are_one_line(parts, words):
    with pytest.raises(InputError, match=words):
        hepaa.Events.from_awkward(**parts)
