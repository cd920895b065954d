"""LHE files that generators wrote, against pylhe; and what stands in them besides the events."""

from __future__ import annotations

import gzip
import threading

import awkward as ak
import numpy as np
import pylhe
import pytest

from hepaa import io
from hepaa.errors import InputError
from hepaa.events import Sample
from hepaa.io.lhe import read as lhe

SMALL = [
    "lhe/madgraph-2.0.0-wbj.lhe",
    "lhe/powheg-box-v2-W.lhe",
    "lhe/powheg-box-v2-Z.lhe",
    "lhe/powheg-box-v2-Zj.lhe",
    "lhe/pr29.lhe",
    "lhe/pythia-8.3.14-weakbosons.lhe",
    "lhe/sherpa-3.0.1-eejjj.lhe",
]
LARGE = [
    "lhe/madgraph-2.2.1-Z-ckkwl.lhe.gz",
    "lhe/madgraph-2.2.1-Z-mlm.lhe.gz",
    "lhe/madgraph5-3.5.8-pp_to_jj.lhe.gz",
    "smeft/smeftsim_VBFH-1.lhe.gz",
    "smeft/smeftsim_VBFH-2.lhe.gz",
    "smeft/smeftsim_VBFH-3.lhe.gz",
    "smeft/smeftsim_VBFH-5.lhe.gz",
    "zh/zh_sm.lhe.gz",
    "zh/zh_sm_rwgt.lhe.gz",
    "zh/zh_smeft_chw.lhe.gz",
]
PEER = ("id", "status", "mother1", "mother2", "color1", "color2", "px", "py", "pz", "e", "m", "lifetime", "spin")


def same(ours, peer):
    """Bit for bit, NaN and the sign of zero included."""
    ours, peer = np.ascontiguousarray(ours), np.array(peer)
    return ours.dtype == peer.dtype and ours.shape == peer.shape and ours.tobytes() == peer.tobytes()


def assert_equals_pylhe(events, path, most=None):
    file = pylhe.LHEFile.fromfile(path)
    peer = []
    for event in file.events:
        peer.append(event)
        if len(peer) == most:
            break
    n = len(peer)
    assert n in (events.n, most)
    layout = events.particles[:n].layout.to_packed()
    assert same(np.diff(np.asarray(layout.offsets)), [len(e.particles) for e in peer])
    assert layout.content.fields == list(lhe.PARTICLE_FIELDS)
    for ours, theirs in zip(lhe.PARTICLE_FIELDS, PEER, strict=True):
        assert same(layout.content.content(ours).data, [getattr(p, theirs) for e in peer for p in e.particles]), ours
    for name in ("pid", "scale", "aqed", "aqcd"):
        assert same(events.columns[name][:n], [float(getattr(e.eventinfo, name)) for e in peer]), name
    assert same(events.weight[:n], [e.eventinfo.weight for e in peer])
    assert all(list(events.weights) == list(e.weights) for e in peer)
    for name, column in events.weights.items():
        assert same(column[:n], [e.weights[name] for e in peer]), name
    assert_header_equals_pylhe(events.header, file)


def assert_header_equals_pylhe(header, file):
    init = file.init.initInfo
    assert {k: v for k, v in header["init"].items() if k != "processes"} == {
        k: getattr(init, k) for k in init.__slots__
    }
    fields = ("xSection", "error", "unitWeight", "procId")
    assert header["init"]["processes"] == [{k: getattr(p, k) for k in fields} for p in file.init.procInfo]
    assert [(g["name"], g["version"], g["description"]) for g in header["generators"]] == [
        (g.name, g.version, g.description) for g in file.init.generators
    ]
    assert header["version"] == file.version
    declared = list(file.header.initrwgt.iter_weights()) if file.header else []
    assert {k: (v["text"], v["attributes"]) for k, v in header["weight_info"].items()} == {
        w.id: (w.name, w.extra_attributes) for w in declared
    }
    groups = [e for e in file.header.initrwgt.entries if hasattr(e, "weights")] if file.header else []
    assert [(g["combine"], g["weights"]) for g in header["weight_groups"]] == [
        (g.combine, [w.id for w in g.weights]) for g in groups
    ]


@pytest.mark.parametrize("name", SMALL)
def test_equals_pylhe(data, name):
    assert_equals_pylhe(io.open(data / name), data / name)


@pytest.mark.parametrize("name", LARGE[:4:2] + LARGE[7:])
def test_equals_pylhe_at_the_start_of_large_files(data, name):
    assert_equals_pylhe(next(io.iterate(data / name, step_size=1_000_000)), data / name, most=200)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_equals_pylhe_in_full(data, name):
    assert_equals_pylhe(io.open(data / name), data / name)


@pytest.mark.parametrize("step", [1, 40_000, 300_000])
def test_pieces_join_to_the_whole(data, step):
    path = data / "lhe/pr29.lhe"
    whole, pieces = io.open(path), list(io.iterate(path, step_size=step))
    assert len(pieces) > 1
    assert np.concatenate([p.index for p in pieces]).tolist() == list(range(791))
    assert np.concatenate([p.weight for p in pieces]).tobytes() == whole.weight.tobytes()
    assert ak.array_equal(ak.concatenate([p.particles for p in pieces]), whole.particles)


def test_pieces_have_the_size_that_was_asked_for(data):
    sizes = [p.n for p in io.iterate(data / "zh/zh_sm.lhe.gz", step_size=20_000_000)]
    assert sum(sizes) == 50_000
    assert len(sizes) == 3  # of 61.7 MB of text
    assert max(sizes) < 1.15 * 20e6 / 61.7e6 * 50_000


def test_a_dropped_iterator_leaves_no_thread(data):
    pieces = io.iterate(data / "zh/zh_sm.lhe.gz", step_size=1_000_000)
    assert next(pieces).n > 100
    pieces.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("hepaa-stream")]


def test_a_named_weight_as_nominal(data):
    path = data / "zh/zh_sm_rwgt.lhe.gz"
    events = next(io.iterate(path, weight="chw_p2", step_size=1_000_000))
    assert events.weight[0] == 5.2333512e-02
    assert np.array_equal(events.weight, events.weights["chw_p2"])
    with pytest.raises(
        InputError, match=r"zh_sm_rwgt.*no weight 'chw_p3'; did you mean 'chw_p[12]'\? available: .*chw_m1"
    ):
        io.open(path, weight="chw_p3")


def test_parameter_points_survive(data):
    header = next(io.iterate(data / "zh/zh_sm_rwgt.lhe.gz", step_size=100_000)).header
    assert header["weight_info"]["chw_p0p5"] == {
        "group": "chw_scan",
        "text": "c_HW/Lambda^2 = 0.5 TeV^-2, quadratic included",
        "attributes": {},
    }
    (group,) = header["weight_groups"]
    assert group["name"] == "chw_scan"
    assert group["combine"] == "none"
    scales = next(io.iterate(data / "lhe/madgraph5-3.5.8-pp_to_jj.lhe.gz", step_size=100_000)).header["weight_info"]
    assert scales["12"]["attributes"] == {"MUR": "0.5", "MUF": "2.0", "DYN_SCALE": "1", "PDF": "247000"}


def test_cross_sections_and_generators(data):
    def header(name):
        return next(io.iterate(data / name, step_size=100_000)).header

    several = header("lhe/madgraph-2.2.1-Z-ckkwl.lhe.gz")
    assert [p["procId"] for p in several["init"]["processes"]] == [3, 2, 1]
    sections, errors = [336.4978325, 846.6753041, 2061.0362778], [0.57833069206, 1.4551603822, 3.5422532384]
    assert several["cross_section_pb"] == pytest.approx(sum(sections))
    assert several["cross_section_error_pb"] == pytest.approx(np.hypot.reduce(errors))
    assert header("lhe/pr29.lhe")["cross_section_pb"] is None
    assert header("zh/zh_sm.lhe.gz")["generator"] == "MadGraph5_aMC@NLO 3.5.7"
    assert header("lhe/sherpa-3.0.1-eejjj.lhe")["generator"] == "Sherpa"
    assert "POWHEG" in header("lhe/powheg-box-v2-Z.lhe")["generator"]
    assert "3500     = ebeam1" in several["blocks"]["MGRunCard"]


def test_extras(data):
    events = io.open(data / "lhe/madgraph-2.0.0-wbj.lhe", extras=True)
    peer = list(pylhe.LHEFile.fromfile(data / "lhe/madgraph-2.0.0-wbj.lhe").events)
    assert events.comments.tolist() == [e.optional for e in peer]
    attributes = [{a["name"]: a["value"] for a in row} for row in events.attributes.tolist()]
    assert attributes == [e.attributes for e in peer]
    scales = [{a["name"]: a["value"] for a in row} for row in events.scales.tolist()]
    assert scales == [e.scales for e in peer]
    assert any(scales)
    sherpa = io.open(data / "lhe/sherpa-3.0.1-eejjj.lhe", extras=True).attributes[0].tolist()
    assert sherpa == [{"name": n, "value": v} for n, v in (("trials", "1"), ("muf2", "1936"), ("mur2", "1936"))]


def test_probe(data):
    info = io.probe(data / "lhe/pr29.lhe")
    weight = np.array([e.eventinfo.weight for e in pylhe.LHEFile.fromfile(data / "lhe/pr29.lhe").events])
    assert (info["format"], info["events"], info["complete"]) == ("lhe", 791, True)
    assert info["sum_weights"] == pytest.approx(weight.sum(), rel=1e-14)
    assert info["sum_weights2"] == pytest.approx((weight**2).sum(), rel=1e-14)
    assert info["n_eff"] == pytest.approx(weight.sum() ** 2 / (weight**2).sum(), rel=1e-14)
    assert info["negative_fraction"] == (weight < 0).mean() > 0
    assert info["columns"] == ["pid", "scale", "aqed", "aqcd"]
    assert io.probe(data / "lhe/powheg-box-v2-W.lhe")["weights"] == ["ct10"]


def test_the_sample_travels_along(data):
    sample = Sample("W", generator="POWHEG")
    assert io.open(data / "lhe/powheg-box-v2-W.lhe", sample=sample).sample is sample


def test_members_of_a_joined_gzip_are_one_file(data, tmp_path):
    text = (data / "lhe/powheg-box-v2-Z.lhe").read_bytes()
    (tmp_path / "two.lhe").write_bytes(gzip.compress(text[:60_001]) + gzip.compress(text[60_001:]))
    assert_equals_pylhe(io.open(tmp_path / "two.lhe"), data / "lhe/powheg-box-v2-Z.lhe")
