"""BEAD files: CSV and HDF5 hold the same events; each fault is found."""

from __future__ import annotations

import gzip

import awkward as ak
import h5py
import numpy as np
import pytest

from hepaa import io
from hepaa.errors import InputError, TruncatedInputError

GENERATORS = ["pythia", "herwig", "sherpa"]


def real(data, generator, ending):
    return data / "generators" / f"bead_bkg_train_{generator}.{ending}"


@pytest.mark.parametrize("generator", GENERATORS)
def test_csv_equals_hdf5(data, generator):
    """The HDF5 files are float32, made from the CSV by their own authors, jets as massless sums."""
    csv, hdf = (io.open(real(data, generator, e)) for e in ("csv", "h5"))
    np.testing.assert_allclose(csv.weight, hdf.weight, rtol=1e-6)
    for name in ("met", "met_phi"):
        np.testing.assert_allclose(csv.columns[name], hdf.columns[name], rtol=1e-6)
    for collection in ("jets", "particles"):
        ours, theirs = csv.collections[collection], hdf.collections[collection]
        assert ak.num(ours).tolist() == ak.num(theirs).tolist()
        for field in ak.fields(ours):
            np.testing.assert_allclose(ak.flatten(ours[field]), ak.flatten(theirs[field]), rtol=2e-6, atol=1e-6)


def test_hdf5_equals_its_tables(data):
    with h5py.File(real(data, "herwig", "h5")) as file:
        events, jets, particles = (file[k][()] for k in ("events", "jets", "constituents"))
    ours = io.open(real(data, "herwig", "h5"))
    np.testing.assert_array_equal(ours.weight, events[:, 1])
    np.testing.assert_array_equal(ak.num(ours.jets), events[:, 4])
    np.testing.assert_array_equal(ak.flatten(ours.jets.pt), jets[:, 4])
    np.testing.assert_array_equal(ak.flatten(ours.jets.btag), jets[:, 3])
    np.testing.assert_array_equal(ak.flatten(ours.particles.jet), particles[:, 1])
    np.testing.assert_array_equal(ak.flatten(ours.particles.pdgid), particles[:, 3])
    np.testing.assert_array_equal(ak.num(ours.particles), np.bincount(particles[:, 0].astype(int)))


@pytest.mark.parametrize("ending", ["csv", "h5"])
def test_pieces_equal_the_whole(data, ending):
    path = real(data, "pythia", ending)
    whole = io.open(path)
    pieces = list(io.iterate(path, step_size=10_000))
    assert len(pieces) > 2
    for piece in pieces:
        for name in ("jets", "particles"):
            assert ak.array_equal(piece.collections[name], whole.collections[name][piece.index])
    np.testing.assert_array_equal(np.concatenate([p.index for p in pieces]), np.arange(10))
    assert io.probe(path)["events"] == 10


HEAD = "evtwt,met,metphi,njets,npart,isbtagged,pid,pt,eta,phi,,,\n"
GOOD = "0.5,10,1,1,2,1,22,3,0,0,211,4,0,1.5,,,\n"


def test_by_hand(tmp_path):
    (tmp_path / "x.csv").write_bytes(gzip.compress((HEAD + GOOD + "2,1,0,0,,,\n").encode()))
    events = io.open(tmp_path / "x.csv")
    assert events.weight.tolist() == [0.5, 2.0]
    assert events.particles.tolist()[0][1] == {"pt": 4.0, "eta": 0.0, "phi": 1.5, "pdgid": 211, "jet": 0}
    (jet,) = events.jets.tolist()[0]
    assert jet["pt"] == pytest.approx(np.hypot(3 + 4 * np.cos(1.5), 4 * np.sin(1.5)))
    assert (jet["btag"], jet["n_constituents"]) == (1, 2)
    assert events.jets.tolist()[1] == events.particles.tolist()[1] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0.5,10,1,1,2,1,22,3,0,0,211,4,0", "ends inside jet 0 of 1"),
        ("0.5,10,1,2,1,1,22,3,0,0", "ends before jet 1 of 2"),
        ("0.5,10,1,1,1,1,22,3,0,0,5", "has 1 numbers after its 1 jets"),
        ("0.5,10,1,1,1.5,1,22,3,0,0", "npart of jet 0 = 1.5"),
        ("0.5,10", "has 2 numbers"),
        ("0.5,ten,1,0", "something else than numbers"),
    ],
)
def test_a_broken_line(tmp_path, line, words):
    (tmp_path / "x.csv").write_text(HEAD + GOOD + line + "\n" + GOOD)
    with pytest.raises(TruncatedInputError, match=words) as failure:
        io.open(tmp_path / "x.csv")
    assert (failure.value.good_events, failure.value.byte) == (1, len(HEAD + GOOD))
    kept = io.open(tmp_path / "x.csv", keep_partial=True)
    assert kept.n == 1
    assert words in kept.header["broken"]


def test_tables_that_contradict_each_other(data, tmp_path):
    with h5py.File(real(data, "pythia", "h5")) as file:
        tables = {k: file[k][()] for k in ("events", "jets", "constituents")}

    def refused(words, **changed):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            for k, v in (tables | changed).items():
                file[k] = v
        with pytest.raises(InputError, match=words):
            io.open(tmp_path / "x.h5")

    refused("event 9 announces", jets=tables["jets"][:-1])
    refused("event 9 announces", constituents=tables["constituents"][:-3])
    refused("out of order", constituents=tables["constituents"][::-1])
    refused("has 4 columns", events=tables["events"][:, :4])
