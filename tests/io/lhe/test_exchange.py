"""Events go to pylhe's users and come back: against what pylhe itself makes of the same files."""

from __future__ import annotations

import warnings
from dataclasses import replace

import awkward as ak
import numpy as np
import pylhe
import pytest

import hepaa
from hepaa.errors import InputError
from hepaa.io.convert import convert

FILES = (
    "madgraph-2.0.0-wbj.lhe",
    "madgraph-2.2.1-Z-ckkwl.lhe.gz",
    "madgraph-2.2.1-Z-mlm.lhe.gz",
    "madgraph5-3.5.8-pp_to_jj.lhe.gz",
    "powheg-box-v2-W.lhe",
    "powheg-box-v2-Z.lhe",
    "powheg-box-v2-Zj.lhe",
    "pr29.lhe",
    "pythia-8.3.14-weakbosons.lhe",
    "sherpa-3.0.1-eejjj.lhe",
)

LARGE = ("madgraph-2.2.1-Z-ckkwl.lhe.gz",)  # 10,000 events, like those of MLM but without clusterings


def test_the_list_is_complete(data):
    assert {p.name for p in (data / "lhe").iterdir()} == set(FILES)


def assert_same_events(ours, theirs):
    assert ours.n == theirs.n
    assert ak.array_equal(ours.particles, theirs.particles)
    np.testing.assert_array_equal(ours.weight, theirs.weight)
    for mapping in ("weights", "columns"):
        a, b = getattr(ours, mapping), getattr(theirs, mapping)
        assert list(a) == list(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    for name in ("comments", "attributes", "scales"):
        if name in ours.collections and name in theirs.collections:
            assert ours.arrays[name].to_list() == theirs.arrays[name].to_list()
    for key in ("init", "generators", "weight_info", "weight_groups", "version", "comment", "cross_section_pb"):
        assert ours.header[key] == theirs.header[key], key


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LARGE else ()) for name in FILES]
)
def test_every_file_both_ways(data, tmp_path, name):
    path = data / "lhe" / name
    ours = hepaa.open(path, extras=True)
    theirs = pylhe.LHEFile.fromfile(str(path), generator=False)
    assert_same_events(hepaa.from_pylhe(theirs), ours)
    back = ours.to_pylhe()
    assert back.init == theirs.init
    assert back.events == theirs.events
    assert back.header.initrwgt == (theirs.header or back.header).initrwgt
    assert_same_events(hepaa.from_pylhe(back), ours)
    # through a file that hepaa writes and pylhe reads
    convert(path, tmp_path / "x.lhe.gz", extras=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = pylhe.LHEFile.fromfile(str(tmp_path / "x.lhe.gz"), generator=False)
    assert written.events == theirs.events
    assert written.init == theirs.init
    assert_same_events(hepaa.open(tmp_path / "x.lhe.gz", extras=True), ours)


def test_lheh5_both_ways(data, tmp_path):
    text = pylhe.LHEFile.fromfile(str(data / "lhe" / "madgraph-2.0.0-wbj.lhe"), generator=False)
    text.init.procInfo[0].npLO = 2
    text.tofile(str(tmp_path / "x.h5"))
    ours, theirs = hepaa.open(tmp_path / "x.h5"), pylhe.LHEFile.fromfile(str(tmp_path / "x.h5"), generator=False)
    assert ours.to_pylhe().events == theirs.events
    assert ours.to_pylhe().init == theirs.init
    back = hepaa.from_pylhe(theirs)
    assert ak.array_equal(back.particles, ours.particles)
    assert back.to_pylhe().init == theirs.init
    assert back.header["init"]["processes"][0]["npLO"] == 2
    np.testing.assert_array_equal(list(back.weights.values()), list(ours.weights.values()))


def test_events_that_a_user_made():
    particle = pylhe.LHEParticle(5, 1, 0, 0, 501, 0, 3.0, 4.0, 0.0, 13.0, 12.0, 0.0, 9.0)
    head = pylhe.LHEEventInfo(1, 1, 0.5, 91.2, 0.0078, 0.118)
    events = hepaa.from_pylhe(pylhe.LHEEvent(head, [particle], {"up": w}) for w in (1.0, 2.0))
    assert events.weights["up"].tolist() == [1, 2]
    assert events.particles[0, 0].pt == 5
    assert events.particles[0, 0].mass == 12
    with pytest.raises(InputError, match="it lacks init"):
        events.to_pylhe()
    other = [pylhe.LHEEvent(head, [particle], {name: 1.0}) for name in ("up", "down")]
    with pytest.raises(InputError, match=r"event 1 and the first event have different named weights \(down, up\)"):
        hepaa.from_pylhe(other)


def test_no_events():
    assert hepaa.from_pylhe([]).n == 0


def test_names_of_weights_that_xml_would_take_amiss(data, tmp_path):
    """pylhe writes names of weights as they are; ours come back, and the text of a generator too."""
    events = hepaa.open(data / "lhe" / "madgraph-2.0.0-wbj.lhe")
    name = "mu < 1 & 'pdf' > 0 \"x\""
    header = {
        **events.header,
        "weight_info": {name: {"group": None, "text": "a < b & c", "attributes": {"mu": "<1>"}}},
        "weight_groups": [],
        "generators": [{"name": "A & B", "version": "1", "description": "x < y", "attributes": {}}],
    }
    values = np.nextafter(events.weight / 3, 0)
    changed = replace(events, header=header, weights={name: values})
    from hepaa.io.lhe import write

    write.write([changed], tmp_path / "x.lhe")
    back = hepaa.open(tmp_path / "x.lhe")
    np.testing.assert_array_equal(back.weights[name], values)
    assert back.header["weight_info"] == header["weight_info"]
    assert back.header["generators"] == header["generators"]
    read = pylhe.LHEFile.fromfile(str(tmp_path / "x.lhe"), generator=False)
    assert [event.weights[name] for event in read.events] == values.tolist()
