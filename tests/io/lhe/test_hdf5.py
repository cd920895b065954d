"""LHEH5 files of both layouts, made from real LHE by pylhe and by h5py, read back as the LHE they came from."""

from __future__ import annotations

import awkward as ak
import h5py
import numpy as np
import pylhe
import pytest

from hepaa import io
from hepaa.errors import InputError, TruncatedInputError
from hepaa.io.lhe import hdf5 as lheh5
from hepaa.io.lhe import read as lhe

NAMES = ["lhe/madgraph-2.0.0-wbj.lhe", "lhe/powheg-box-v2-Z.lhe", "lhe/sherpa-3.0.1-eejjj.lhe"]


def second_layout(source, path, **options):
    """By pylhe's own writer."""
    pylhe.LHEFile.fromfile(source).tofile(path, pylhe.LHEHDF5Format(**options))
    return path


def first_layout(source, path, *, index):
    """Data set by data set, as arXiv:1905.05120 has them."""
    file = pylhe.LHEFile.fromfile(source)
    events, init = list(file.events), file.init.initInfo
    counts = [len(e.particles) for e in events]
    ends = np.cumsum(counts)
    with h5py.File(path, "w") as out:
        for name in init.__slots__:
            out[f"init/{name}"] = getattr(init, name)
        for name in ("procId", "xSection", "error", "unitWeight"):
            out[f"procInfo/{name}"] = [getattr(p, name) for p in file.init.procInfo]
        for name in ("pid", "weight", "scale", "aqed", "aqcd"):
            out[f"event/{name}"] = [getattr(e.eventinfo, name) for e in events]
        out["event/nparticles"] = counts
        out["event/trials"] = [float(e.attributes.get("trials", 1)) for e in events]
        if index:
            out["index/start"], out["index/end"] = ends - counts, ends
        else:
            out["event/start"] = ends - counts
        for name in ("id", *lhe.PARTICLE_FIELDS[1:]):
            out[f"particle/{name}"] = [getattr(p, name) for e in events for p in e.particles]
    return path


def assert_same(ours, plain):
    assert ours.format == "lheh5"
    assert ours.n == plain.n
    assert np.array_equal(ours.index, plain.index)
    assert ours.particles.fields == plain.particles.fields
    assert ak.array_equal(ours.particles, plain.particles, check_parameters=False)
    assert ours.weight.tobytes() == plain.weight.tobytes()
    for name, column in plain.columns.items():
        assert ours.columns[name].tobytes() == column.tobytes()
    assert ours.header["cross_section_pb"] == plain.header["cross_section_pb"]
    assert ours.header["cross_section_error_pb"] == plain.header["cross_section_error_pb"]
    theirs = plain.header["init"]
    assert {k: v for k, v in ours.header["init"].items() if k != "processes"} == {
        k: v for k, v in theirs.items() if k != "processes"
    }
    for mine, other in zip(ours.header["init"]["processes"], theirs["processes"], strict=True):
        assert other.items() <= mine.items()


@pytest.mark.parametrize("name", NAMES)
def test_second_layout(data, tmp_path, name):
    path = second_layout(
        data / name, tmp_path / "x.h5", event_chunk_rows=16, particle_chunk_rows=64, compression="gzip"
    )
    events, plain = io.open(path), io.open(data / name)
    assert_same(events, plain)
    assert list(events.weights) == list(plain.weights)
    for key, column in plain.weights.items():
        assert np.array_equal(events.weights[key], column)
    assert events.header["generators"] == plain.header["generators"]
    assert events.header["weight_info"] == plain.header["weight_info"]
    assert events.header["weight_groups"] == plain.header["weight_groups"]
    assert events.header["version"] == "2.6.0"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("index", [False, True])
def test_first_layout(data, tmp_path, name, index):
    events = io.open(first_layout(data / name, tmp_path / "x.h5", index=index))
    assert_same(events, io.open(data / name))
    if "sherpa" in name:
        trials = [float(e.attributes["trials"]) for e in pylhe.LHEFile.fromfile(data / name).events]
        assert events.columns["trials"].tolist() == trials
        assert max(trials) > 1


def test_pieces_join_to_the_whole(data, tmp_path):
    path = second_layout(data / NAMES[2], tmp_path / "x.h5")
    whole, pieces = io.open(path), list(io.iterate(path, step_size=10_000))
    assert len(pieces) > 3
    assert np.concatenate([p.index for p in pieces]).tolist() == list(range(100))
    assert np.concatenate([p.weight for p in pieces]).tolist() == whole.weight.tolist()
    assert ak.array_equal(ak.concatenate([p.particles for p in pieces]), whole.particles)


def test_events_in_any_place(data, tmp_path):
    path = first_layout(data / NAMES[1], tmp_path / "x.h5", index=False)
    with h5py.File(path, "r+") as file:
        order = np.random.default_rng(1).permutation(100)
        for name in file["event"]:
            file[f"event/{name}"][...] = file[f"event/{name}"][()][order]
    plain = io.open(data / NAMES[1])
    assert ak.array_equal(io.open(path).particles, plain.particles[order])


def test_named_weight_and_probe(data, tmp_path):
    path = second_layout(data / NAMES[0], tmp_path / "x.h5")
    events = io.open(path, weight="1002")
    assert np.array_equal(events.weight, events.weights["1002"])
    assert events.weight[0] == 45.746
    with pytest.raises(InputError, match=r"x\.h5: no weight '2001'; .*1001"):
        io.open(path, weight="2001")
    ours, plain = io.probe(path), io.probe(data / NAMES[0])
    for key in ("events", "sum_weights", "sum_weights2", "n_eff", "negative_fraction", "weights", "cross_section_pb"):
        assert ours[key] == plain[key]


def test_no_events(tmp_path, data):
    (tmp_path / "none.lhe").write_text(
        "<LesHouchesEvents>\n<init>\n2212 2212 1. 1. 0 0 1 1 3 1\n1. 0. 1. 1\n</init>\n</LesHouchesEvents>\n"
    )
    assert io.open(second_layout(tmp_path / "none.lhe", tmp_path / "x.h5")).n == 0


@pytest.fixture
def broken(data, tmp_path):
    """Both layouts after a change to the file, and the error that is due."""

    def check(change, message, kind=InputError):
        for write, table in ((second_layout, "events"), (first_layout, "event")):
            options = {"index": False} if write is first_layout else {}
            path = write(data / NAMES[2], tmp_path / f"{table}.h5", **options)
            with h5py.File(path, "r+") as file:
                change(file)
            with pytest.raises(kind, match=message) as caught:
                list(lheh5.iterate(path, step_bytes=10**9))
            assert str(path) in str(caught.value)

    return check


def test_missing_parts(broken):
    def remove(*names):
        def change(file):
            for name in names:
                if name in file:
                    del file[name]

        return change

    broken(remove("init"), "no 'init'")
    broken(remove("particles", "particle"), "no LHEH5 file: neither a table 'particles'")
    broken(remove("events", "event"), "no LHEH5 file: neither a table 'events'")
    broken(remove("procInfo"), "no LHEH5 file: neither a table 'procInfo'")


def test_too_few_particles(data, tmp_path, broken):
    def shorten(file):
        if "particles" in file:
            file["particles"].resize(300, axis=0)
            return
        for name in list(file["particle"]):
            kept = file[f"particle/{name}"][:300]
            del file[f"particle/{name}"]
            file[f"particle/{name}"] = kept

    broken(shorten, r"of 300; \d+ good events before it", TruncatedInputError)
    kept = io.open(tmp_path / "events.h5", keep_partial=True)
    plain = io.open(data / NAMES[2])
    assert 50 < kept.n < 75
    assert ak.array_equal(kept.particles, plain.particles[: kept.n])
    assert "300" in kept.header["broken"]


def test_wrong_values(broken):
    def fraction(file):
        if "particles" in file:
            file["particles"][3, 0] = 1.5
        else:
            ids = file["particle/id"][()].astype(float)
            del file["particle/id"]
            ids[3] = np.nan
            file["particle/id"] = ids

    broken(fraction, "column 'id' .* has to hold integers")

    def counter(file):
        file["ctevents"] = np.ones((2, 3))

    broken(counter, "2 NLO counter-events")


def test_uneven_columns(data, tmp_path):
    path = first_layout(data / NAMES[1], tmp_path / "x.h5", index=True)
    with h5py.File(path, "r+") as file:
        scale = file["event/scale"][:50]
        del file["event/scale"]
        file["event/scale"] = scale
    with pytest.raises(InputError, match=r"'event' have different lengths \[50, 100\]"):
        io.open(path)
    with h5py.File(path, "r+") as file:
        del file["event/scale"]
        file["index/end"][7] += 1
    with pytest.raises(InputError, match="contradict"):
        io.open(path)


def test_a_cut_file(data, tmp_path):
    path = second_layout(data / NAMES[1], tmp_path / "x.h5")
    content = path.read_bytes()
    for cut in (500, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"x\.h5: (is cut short|cannot be opened as HDF5)"):
            io.open(path)
