"""Conversions keep every value and weight, bit for bit, and leave nothing behind when they fail."""

from __future__ import annotations

import shutil
from dataclasses import replace

import awkward as ak
import numpy as np
import pandas as pd
import pylhe
import pytest
import uproot

from hepaa import io
from hepaa.errors import InputError
from hepaa.io.convert import convert
from hepaa.io.lhe import write as write_lhe

LHE = [
    "madgraph-2.0.0-wbj.lhe",
    "powheg-box-v2-W.lhe",
    "pr29.lhe",
    "pythia-8.3.14-weakbosons.lhe",
    "sherpa-3.0.1-eejjj.lhe",
]


def same(ours, theirs):
    assert ours.n == theirs.n
    np.testing.assert_array_equal(ours.weight, theirs.weight)
    assert list(ours.weights) == list(theirs.weights)
    for name in ours.weights:
        np.testing.assert_array_equal(ours.weights[name], theirs.weights[name])
    assert list(ours.columns) == list(theirs.columns)
    for name in ours.columns:
        np.testing.assert_array_equal(ours.columns[name], theirs.columns[name])
    assert list(ours.collections) == list(theirs.collections)
    for name in ours.collections:
        assert ak.array_equal(ours.collections[name], theirs.collections[name])
    if ours.label is None:
        assert theirs.label is None
    else:
        np.testing.assert_array_equal(ours.label, theirs.label)


@pytest.mark.parametrize("name", LHE)
def test_lhe_through_every_format_and_back(data, tmp_path, name):
    source = data / "lhe" / name
    original = io.open(source)
    previous = source
    for target in ("a.lhe", "b.root", "c.parquet", "d.lhe.gz"):
        assert convert(previous, tmp_path / target, step_size="40 kB") == original.n
        events = io.open(tmp_path / target)
        same(original, events)
        for key in ("init", "weight_info", "weight_groups", "blocks", "generator", "cross_section_pb", "comment"):
            assert events.header[key] == original.header[key], (target, key)
        previous = tmp_path / target


def test_pylhe_reads_what_we_write(data, tmp_path):
    """An independent reader finds the numbers of the original in our file."""
    source = data / "lhe" / "madgraph-2.0.0-wbj.lhe"
    convert(source, tmp_path / "x.lhe.gz")
    ours, theirs = (pylhe.LHEFile.fromfile(str(p)) for p in (tmp_path / "x.lhe.gz", source))
    pairs = list(zip(ours.events, theirs.events, strict=True))
    assert len(pairs) == 59
    for a, b in pairs:
        assert a.eventinfo.weight == b.eventinfo.weight
        assert a.weights == b.weights
        assert [(p.id, p.px, p.py, p.pz, p.e, p.m) for p in a.particles] == [
            (p.id, p.px, p.py, p.pz, p.e, p.m) for p in b.particles
        ]


def test_lhe_numbers_of_full_precision(data, tmp_path):
    """Doubles of 17 digits and every size come back bit for bit: momenta, nominal and named weights, event columns."""
    events = io.open(data / "lhe" / "madgraph-2.0.0-wbj.lhe")
    rng = np.random.default_rng(7)

    def doubles(n):
        return rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, n)

    particles = events.particles
    for name in ("px", "py", "pz", "e", "m", "lifetime", "spin"):
        values = ak.unflatten(doubles(ak.sum(ak.num(particles))), ak.num(particles))
        particles = ak.with_field(particles, values, name)
    changed = replace(
        events,
        collections={"particles": particles},
        weight=doubles(events.n),
        weights={k: doubles(events.n) for k in events.weights},
        columns={k: v if k == "pid" else doubles(events.n) for k, v in events.columns.items()},
    )
    write_lhe.write([changed], tmp_path / "x.lhe")
    same(changed, io.open(tmp_path / "x.lhe"))


def test_a_named_weight_may_become_the_nominal(data, tmp_path):
    source = data / "lhe" / "madgraph-2.0.0-wbj.lhe"
    original = io.open(source)
    name = list(original.weights)[2]
    convert(source, tmp_path / "x.parquet", weight=name)
    np.testing.assert_array_equal(io.open(tmp_path / "x.parquet").weight, original.weights[name])
    convert(source, tmp_path / "y.parquet")
    np.testing.assert_array_equal(io.open(tmp_path / "y.parquet", weight=name).weight, original.weights[name])


@pytest.mark.parametrize("target", ["x.root", "x.parquet", "x.h5"])
def test_lhco(data, tmp_path, target):
    source = data / "lhco" / "events_anomalydetection_tiny.h5"
    convert(source, tmp_path / target, step_size="5 MB")
    original = io.open(source)
    same(original, io.open(tmp_path / target))
    assert convert(tmp_path / target, tmp_path / "back.h5") == 1000
    same(original, io.open(tmp_path / "back.h5"))
    if target == "x.h5":
        assert np.array_equal(pd.read_hdf(tmp_path / target).to_numpy(), pd.read_hdf(source).to_numpy())
    if target == "x.root":
        with uproot.open(tmp_path / target) as file:
            assert ak.array_equal(file["events/particles_pt"].array(), original.particles.pt)


@pytest.mark.parametrize(
    "name", ["root/nano_dy.root", "generators/bead_bkg_train_pythia.h5", "dijets/features/svj.npz"]
)
@pytest.mark.parametrize("target", ["x.root", "x.parquet"])
def test_other_formats(data, tmp_path, name, target):
    convert(data / name, tmp_path / target)
    same(io.open(data / name), io.open(tmp_path / target))


def test_names_that_root_cannot_have(tmp_path):
    (tmp_path / "x.csv").write_text("m [GeV],m (GeV),weight_0,label\n1,2,3,0\n4,5,6,1\n")
    convert(tmp_path / "x.csv", tmp_path / "x.root")
    same(io.open(tmp_path / "x.csv"), io.open(tmp_path / "x.root"))


@pytest.mark.parametrize(
    ("name", "target", "words"),
    [
        ("lhco/events_anomalydetection_tiny.h5", "x.lhe", "cannot be written as LHE, it lacks pdgid"),
        ("lhe/powheg-box-v2-W.lhe", "x.h5", "no particles with pt, eta, phi"),
        (
            "generators/bead_bkg_train_pythia.h5",
            "x.h5",
            "jets, column met, column met_phi, event weights.* would be lost",
        ),
        ("root/uproot-Zmumu.root", "x.csv", "hepaa writes"),
    ],
)
def test_what_a_format_has_no_room_for(data, tmp_path, name, target, words):
    with pytest.raises(InputError, match=words):
        convert(data / name, tmp_path / target)
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_breaks_leaves_nothing_behind(data, tmp_path):
    whole = (data / "lhe" / "powheg-box-v2-W.lhe").read_bytes()
    (tmp_path / "cut.lhe").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "out.parquet").write_text("what was there before")
    for target in ("out.lhe", "out.root", "out.parquet"):
        with pytest.raises(InputError, match=r"cut\.lhe"):
            convert(tmp_path / "cut.lhe", tmp_path / target, step_size="10 kB")
    assert {p.name for p in tmp_path.iterdir()} == {"cut.lhe", "out.parquet"}
    assert (tmp_path / "out.parquet").read_text() == "what was there before"


def test_source_and_target_must_differ(data, tmp_path):
    shutil.copy(data / "lhe" / "powheg-box-v2-W.lhe", tmp_path / "x.lhe")
    with pytest.raises(InputError, match="is the input"):
        convert(tmp_path / "x.lhe", tmp_path / "x.lhe")
    with pytest.raises(InputError, match="does not exist"):
        convert(tmp_path / "x.lhe", tmp_path / "none" / "y.lhe")
    (tmp_path / "d.root").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        convert(tmp_path / "x.lhe", tmp_path / "d.root")


def test_equal_events_make_equal_files(data, tmp_path):
    for target in ("a.lhe.gz", "b.lhe.gz"):
        convert(data / "lhe" / "powheg-box-v2-W.lhe", tmp_path / target)
    assert (tmp_path / "a.lhe.gz").read_bytes() == (tmp_path / "b.lhe.gz").read_bytes()


def test_damaged_records(data, tmp_path):
    convert(data / "lhe" / "powheg-box-v2-W.lhe", tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "y.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="broken Parquet"):
        io.open(tmp_path / "y.parquet")
    with pytest.raises(InputError, match="no weight 'nope'"):
        io.open(tmp_path / "x.parquet", weight="nope")
