"""HepMC files: as pyhepmc reads them, in any units, layout and compression; every fault has its event and byte."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
from dataclasses import replace
from random import Random

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pytest
from helpers.faults import attack, mutated
from helpers.hepmc import BEAM, CM, GEV, KAON, MEV, MM, NEUTRINO, PHOTON, PION, event, run_info, write

import hepaa
from hepaa import io
from hepaa.errors import InputError, TruncatedInputError
from hepaa.io import hepmc
from hepaa.io.convert import convert
from hepaa.table.mixing import Tally

pyhepmc = pytest.importorskip("pyhepmc")

REAL = ["sherpa_css_50.hepmc3.gz", "pythia8_monash_50.hepmc3.gz"]
FORMATS = {"HepMC3": "hepmc3", "HepMC2": "hepmc2"}


@pytest.fixture
def three(tmp_path):
    """Text of a file of three events."""
    run = run_info()
    events = [event(i, (2.0, 1.0 + i), run=run, section=(10.0 + i, 1.0)) for i in range(3)]
    return write(tmp_path / "three.hepmc", events).read_bytes()


@pytest.mark.parametrize("name", REAL)
def test_as_pyhepmc_reads_it_by_hand(data, name):
    ours = io.open(data / "hepmc" / name)
    with pyhepmc.open(str(data / "hepmc" / name)) as file:
        events = list(file)
    assert ours.n == len(events) == 50
    assert ours.header["generator"] in ("SHERPA 3.0.3", "Pythia8 8.317")
    assert ours.header["cross_section_pb"] == events[-1].cross_section.xsec()
    assert ours.header["cross_section_error_pb"] == events[-1].cross_section.xsec_err()
    for i, weight_name in enumerate(events[0].weight_names):
        assert ours.weights[weight_name].tolist() == [e.weights[i] for e in events]
    assert ours.weight.tolist() == [e.weights[0] for e in events]
    records = ours.arrays["particles"]
    for mine, theirs in zip(records, events, strict=True):
        table = theirs.numpy.particles
        read = (table.pid, table.status, table.px, table.py, table.pz, table.e, table.generated_mass)
        for field, values in zip(("pdgid", "status", "px", "py", "pz", "e", "m"), read, strict=True):
            np.testing.assert_array_equal(mine[field], values)
    for i in (0, 17, 49):
        vertices = [p.production_vertex for p in events[i].particles]
        places = [tuple(v.position) if v else (0, 0, 0, 0) for v in vertices]
        np.testing.assert_array_equal(np.stack([records[i][c] for c in ("vx", "vy", "vz", "vt")], axis=1), places)


@pytest.mark.parametrize("layout", FORMATS)
@pytest.mark.parametrize("units", [(GEV, MM), (MEV, CM)])
def test_units_weights_vertices_and_run_of_both_layouts(tmp_path, layout, units):
    run = run_info()
    events = [event(i, (2.0, 0.5 + i), run=run, units=units, section=(7.0 + i, 0.5)) for i in range(3)]
    ours = io.open(write(tmp_path / "x", events, FORMATS[layout]))
    assert ours.format == "hepmc"
    assert ours.header["layout"] == layout
    assert ours.header["units"] == (["GEV", "MM"] if units == (GEV, MM) else ["MEV", "CM"])
    assert {name: w.tolist() for name, w in ours.weights.items()} == {"nominal": [2, 2, 2], "muR2": [0.5, 1.5, 2.5]}
    assert ours.weight.tolist() == [2, 2, 2]
    assert (ours.header["cross_section_pb"], ours.header["cross_section_error_pb"]) == (9.0, 0.5)
    assert ours.header["generator"] == ("Herwig 7.3.0" if layout == "HepMC3" else None)  # HepMC2 has no room for it
    for i, particles in enumerate(ours.particles):
        by_id = {p.pdgid: p for p in particles}
        assert sorted(particles.pdgid.tolist()) == sorted([BEAM, BEAM, KAON, NEUTRINO, PHOTON, PION, -PION])
        assert by_id[PHOTON].py == pytest.approx(100 + i)
        assert [by_id[PION][c] for c in ("px", "py", "pz", "e")] == pytest.approx([10, 1, 20, 22.4])
        assert [by_id[PION][c] for c in ("vx", "vy", "vz", "vt")] == pytest.approx([3, 0, 4, 5])
        assert by_id[KAON].vx == 0
        assert by_id[KAON].m == pytest.approx(0.5, abs=1e-3)
        assert by_id[KAON].pt == pytest.approx(30)


def test_nominal_weight_without_names_or_without_weights(tmp_path):
    unnamed = io.open(write(tmp_path / "a", [event(i, (3.0, 4.0), run=run_info(names=())) for i in range(2)]))
    assert unnamed.weight.tolist() == [3, 3]
    assert list(unnamed.weights) == ["0", "1"]
    bare = io.open(write(tmp_path / "b", [event(0)], "hepmc2"))
    assert bare.weight.tolist() == [1]
    assert bare.header["cross_section_pb"] is None
    chosen = io.open(tmp_path / "a", weight="1")
    assert chosen.weight.tolist() == [4, 4]


@pytest.mark.parametrize("stated", [0.0, -1.0, float("nan")])
def test_cross_sections_that_say_nothing(tmp_path, stated):
    ours = io.open(write(tmp_path / "x", [event(0, section=(stated, stated))]))
    assert ours.header["cross_section_pb"] is None


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, lambda b: pa.compress(b, "zstd").to_pybytes()]
)
def test_compressed_and_in_pieces_is_the_same(tmp_path, three, compress):
    (tmp_path / "x").write_bytes(compress(three))
    whole, pieces = io.open(tmp_path / "x"), list(io.iterate(tmp_path / "x", step_size=1))
    assert [p.n for p in pieces] == [1, 1, 1]
    assert [p.index[0] for p in pieces] == [0, 1, 2]
    for field in hepmc.PARTICLE_FIELDS:
        assert ak.to_list(whole.arrays["particles"][field]) == [
            ak.to_list(p.arrays["particles"][field])[0] for p in pieces
        ]
    assert np.concatenate([p.weights["muR2"] for p in pieces]).tolist() == whole.weights["muR2"].tolist()


def test_estimates_before_the_last_are_no_other_cross_sections(tmp_path, three):
    """A generator refines its estimate event by event; a sample read in pieces states the last one, once."""
    (tmp_path / "x").write_bytes(three)
    tallies = [Tally.of(p.weight, p.header["cross_section_pb"]) for p in io.iterate(tmp_path / "x", step_size=1)]
    total = Tally.total(tallies)
    assert (total.cross_section_pb, total.other_cross_section_pb) == (12.0, None)


def test_probe_and_a_file_without_events(tmp_path, three):
    (tmp_path / "x").write_bytes(three)
    summary = io.probe(tmp_path / "x")
    assert (summary["format"], summary["events"], summary["sum_weights"]) == ("hepmc", 3, 6.0)
    assert summary["sum_named_weights"] == {"nominal": 6.0, "muR2": 6.0}
    assert (summary["generator"], summary["cross_section_pb"]) == ("Herwig 7.3.0", 12.0)
    assert summary["objects"] == {"particles": 21}
    head, end = three.partition(b"\nE 0")[0], b"\nHepMC::Asciiv3-END_EVENT_LISTING\n"
    (tmp_path / "empty").write_bytes(head + end)
    empty = io.open(tmp_path / "empty")
    assert (empty.n, empty.header["complete"]) == (0, True)
    assert ak.fields(empty.arrays["particles"]) == list(hepmc.PARTICLE_FIELDS)


def test_an_event_without_particles_is_an_event(tmp_path, three):
    empty = b"E 7 0 0\nU GEV MM\nW 1 2\n"
    start = three.index(b"\nE 1") + 1
    (tmp_path / "x").write_bytes(three[:start] + empty + three[start:])
    ours = io.open(tmp_path / "x")
    assert ak.num(ours.arrays["particles"]).tolist() == [7, 0, 7, 7]


@pytest.mark.parametrize("line", [b"T Herwig", b"T \xff\\|7", b"T", b"T a\\|b\\|c\\|d"])
def test_generators_of_any_spelling(tmp_path, three, line):
    """pyhepmc itself crashes at a tool without a version."""
    (tmp_path / "x").write_bytes(re.sub(rb"T Herwig.*", lambda _: line, three, count=1))
    assert io.open(tmp_path / "x").n == 3


def test_backslashes_in_the_names_of_generators(tmp_path):
    tool = ("A\\B", "1.0", "line one\nline two")
    ours = io.open(write(tmp_path / "x", [event(0, run=run_info(names=(), tools=[tool]))]))
    assert list(ours.header["generators"][0].values()) == list(tool)


# -- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", FORMATS)
def test_wherever_it_is_cut_the_events_before_count(tmp_path, layout):
    run = run_info()
    text = write(tmp_path / "x", [event(i, (1.0, 2.0), run=run) for i in range(3)], FORMATS[layout]).read_bytes()
    starts = [m.start() for m in re.finditer(rb"^E ", text, re.MULTILINE)]
    end = text.index(b"HepMC::", starts[-1])
    for cut in {*range(starts[1], starts[2], 23), starts[0] + 5, starts[2], end - 1, end, end + 9}:
        (tmp_path / "cut").write_bytes(text[:cut])
        whole = sum(cut >= stop for stop in (*starts[1:], end))
        with pytest.raises(TruncatedInputError, match=rf"event {whole} \(byte \d+\): the file ends here") as error:
            io.open(tmp_path / "cut")
        assert error.value.good_events == whole
        assert error.value.byte <= cut
        if whole:
            partial = io.open(tmp_path / "cut", keep_partial=True)
            assert (partial.n, partial.header["complete"]) == (whole, False)
            assert "the file ends here" in partial.header["broken"]


def test_cut_inside_its_compression(tmp_path, data):
    packed = (data / "hepmc" / REAL[0]).read_bytes()
    (tmp_path / "x").write_bytes(packed[: len(packed) // 5])
    with pytest.raises(TruncatedInputError, match=r"event \d+ \(byte \d+\): the gzip data end early") as error:
        io.open(tmp_path / "x")
    assert io.open(tmp_path / "x", keep_partial=True).n == error.value.good_events > 0


def changed(text: bytes, old: bytes, new: bytes) -> bytes:
    """The text with something of its second event changed."""
    start = text.index(b"\nE 1")
    assert old in text[start:]
    return text[:start] + text[start:].replace(old, new, 1)


FAULTS = {
    "digits": (b"1.0000000000000000e+01 1.0", b"1.0x00000000000000e+01 1.0", "a line is damaged"),
    "nan": (b"1.0000000000000000e+01 1.0", b"nan 1.0", "a line is damaged"),
    "weight": (b"W 2.", b"W 2,", "a line is damaged"),
    "binary": (b"\nP 4", b"\n\xff\x00\nP 4", "a line is damaged"),
    "words": (b"\nP 4", b"\nhello\nP 4", "a line is damaged"),
    "particles": (b"E 1 2 7", b"E 1 2 8", "says 8 particles and 2 vertices; it has 7"),
    "memory": (b"E 1 2 7", b"E 1 2 999999999", "says 999999999 particles"),
    "vertices": (b"E 1 2 7", b"E 1 3 7", "3 vertices; it has 7 good lines of particles and 2"),
    "short line": (b" 1\nP 5", b"\nP 5", "it has 6 good lines"),
    "order": (b"\nP 4 ", b"\nP 9 ", "out of order"),
    "reference": (b"[1,2]", b"[1,8]", "not there"),
    "weights": (b"W 2.0000000000000000000000e+00 ", b"W ", r"number of weights \(1\)"),
    "no weights": (b"\nW 2.0000000000000000000000e+00 2.0000000000000000000000e+00", b"", "it has 0 weights"),
    "joined": (b"E 1 2 7", b"HepMC::Version 3.02.05\nE 1 2 7", "files joined into one"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_events_are_errors_with_their_place(tmp_path, capfd, three, fault):
    old, new, words = FAULTS[fault]
    (tmp_path / "x").write_bytes(changed(three, old, new))
    with pytest.raises(TruncatedInputError, match=rf"x: event 1 \(byte \d+\): .*{words}.*; 1 good events") as error:
        io.open(tmp_path / "x")
    assert "\n" not in str(error.value)
    assert error.value.byte > three.index(b"\nE 1")
    assert io.open(tmp_path / "x", keep_partial=True).n == 1
    assert capfd.readouterr() == ("", "")  # pyhepmc has its own words for it, of many lines


FAULTS_2 = {
    "digits": (b"P 10003 ", b"P 1000x ", "a line is damaged"),
    "vertices": (b" -1 ", b" -77 ", "particles end in others|1 vertices"),
    "weights": (b" 2 2.0", b" 999999999 2.0", "too few or too many numbers"),
    "flows": (b" 0 0 0 0\n", b" 0 0 0 99999999\n", "too few or too many numbers"),
}


@pytest.mark.parametrize("fault", FAULTS_2)
def test_damaged_events_of_hepmc2(tmp_path, fault):
    run = run_info()
    text = write(tmp_path / "x", [event(i, (2.0, 1.0), run=run) for i in range(2)], "hepmc2").read_bytes()
    old, new, words = FAULTS_2[fault]
    (tmp_path / "x").write_bytes(changed(text, old, new))
    with pytest.raises(TruncatedInputError, match=words) as error:
        io.open(tmp_path / "x")
    assert error.value.good_events == 1


def test_head_and_end(tmp_path, three):
    for text, words in {
        three + three: "joined into one",
        three.replace(b"Asciiv3-START_EVENT_LISTING", b"Asciiv3-START"): "lacks the line with START_EVENT_LISTING",
        three.replace(b"Asciiv3-START", b"IO_Ascii-START"): "old or extended layout",
        b"HepMC::Version 3.0\n": "event 0 .*without its END",
    }.items():
        (tmp_path / "x").write_bytes(text)
        with pytest.raises(InputError, match=words):
            io.open(tmp_path / "x")


def read(path: str) -> None:
    io.open(path)


@pytest.mark.slow
@pytest.mark.parametrize("layout", FORMATS)
def test_damage_of_every_kind_is_refused_within_limits(tmp_path, layout):
    """pyhepmc crashes where particles end in vertices that are not there, and takes memory for what a line counts."""
    run, rng = run_info(), Random(7)
    good = write(tmp_path / "x", [event(i, (1.0, 2.0), run=run) for i in range(3)], FORMATS[layout])
    text = good.read_bytes()
    inputs = [("y", mutated(text, rng, text=i % 4 > 0)) for i in range(4000)]
    outcomes, faults = attack(read, inputs, tmp_path, warm=[good])
    assert not faults
    assert outcomes["refused"] > 1000


# -- what follows from it --------------------------------------------------------------------------------


def by_hand(file):
    """Visible final particles by pyhepmc alone: pt, eta, phi of each event, hardest first."""
    for one in file:
        final = [p for p in one.particles if p.status == 1 and abs(p.pid) not in (12, 14, 16)]
        px, py, pz = (np.array([getattr(p.momentum, c) for p in final]) for c in ("px", "py", "pz"))
        pt = np.hypot(px, py)
        yield np.stack([pt, np.arcsinh(pz / pt), np.arctan2(py, px)], axis=1)[np.argsort(-pt, kind="stable")]


def test_jets_are_made_of_the_visible_final_state(tmp_path, data):
    path = data / "hepmc" / REAL[0]
    ours = io.open(path)
    with pyhepmc.open(str(path)) as file:
        wanted = list(by_hand(file))
    convert(path, tmp_path / "x.h5")
    lhco = io.open(tmp_path / "x.h5")
    for mine, theirs in zip(lhco.arrays["particles"], wanted, strict=True):
        np.testing.assert_array_equal(np.stack([mine[c] for c in ("pt", "eta", "phi")], axis=1), theirs)
    with h5py.File(tmp_path / "x.h5") as written:
        provenance = json.loads(written.attrs["provenance"])
    assert provenance["generators"][0]["name"] == "SHERPA"
    assert provenance["weight"] == pytest.approx(440.085)
    assert provenance["events_cut_to_their_hardest_700_objects"] == 0
    few = np.arange(ours.n) < 8
    ours, lhco = ours.select(few), lhco.select(few)
    for name in ("dijet-hl", "constituents-2x30"):
        direct, through = hepaa.features(ours, name), hepaa.features(lhco, name)
        np.testing.assert_allclose(direct.X, through.X, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(direct.weight, ours.weight)


def test_hadrons_are_no_partons(tmp_path, three):
    """Leptons of hadron decays would pass for those of a Z, and no event would have b quarks."""
    (tmp_path / "x").write_bytes(three)
    with pytest.raises(InputError, match="full records, in which b quarks became hadrons"):
        hepaa.features(io.open(tmp_path / "x"), "zh")


def test_lhco_files_take_the_hardest_and_no_weights(tmp_path):
    run = run_info(names=["nominal"])
    ours = io.open(write(tmp_path / "x", [event(i, (5.0,), run=run) for i in range(2)]))
    provenance: dict[str, object] = {}
    (cut,) = hepmc.for_lhco([ours], 2, provenance)
    assert ak.num(cut.arrays["particles"]).tolist() == [2, 2]
    assert ak.to_list(cut.arrays["particles"]["pt"][:, 0]) == pytest.approx([np.hypot(30, 100), np.hypot(30, 101)])
    assert provenance["events_cut_to_their_hardest_2_objects"] == 2
    weighted = replace(ours, weight=np.array([1.0, 2.0]))
    with pytest.raises(InputError, match="different weights"):
        list(hepmc.for_lhco([weighted], 700, {}))


def test_convert_keeps_everything_elsewhere(tmp_path, three):
    (tmp_path / "x").write_bytes(three)
    convert(tmp_path / "x", tmp_path / "x.parquet")
    before, after = io.open(tmp_path / "x"), io.open(tmp_path / "x.parquet")
    assert ak.to_list(before.arrays["particles"]) == ak.to_list(after.arrays["particles"])
    assert before.weights["muR2"].tolist() == after.weights["muR2"].tolist()
