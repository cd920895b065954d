"""The front door: formats, patterns, options, and pieces that carry the right numbers."""

from __future__ import annotations

import shutil

import awkward as ak
import h5py
import numpy as np
import pytest

import hepaa
from hepaa import io
from hepaa.errors import InputError, TruncatedInputError
from hepaa.events import Events, Sample
from hepaa.io.convert import convert
from hepaa.io.pieces import merge, parse_size, row_ranges
from hepaa.table import EventTable


@pytest.mark.parametrize(
    ("name", "n", "has"),
    [
        ("lhe/powheg-box-v2-W.lhe", 100, "particles"),
        ("lhco/events_anomalydetection_tiny.h5", 1000, "particles"),
        ("dijets/svj.h5:features", 750, "pxj1"),
        ("generators/bead_bkg_train_sherpa.csv", 9, "jets"),
        ("root/nano_dy.root", 40, "leptons"),
        ("root/uproot-Zmumu.root:events", 2304, "M"),
    ],
)
def test_one_call_for_all_formats(data, name, n, has):
    sample = Sample("p", "signal", "g")
    events = hepaa.open(data / name, sample=sample)
    assert events.n == len(events.weight) == n
    assert has in events.collections or has in events.columns
    assert events.sample is sample
    pieces = list(hepaa.iterate(data / name, step_size="30 kB"))
    np.testing.assert_array_equal(np.concatenate([p.index for p in pieces]), np.arange(n))
    np.testing.assert_array_equal(np.concatenate([p.weight for p in pieces]), events.weight)
    info = hepaa.probe(data / name)
    assert info["events"] == n
    assert info["sum_weights"] == pytest.approx(events.weight.sum())
    assert info["n_eff"] == pytest.approx(events.weight.sum() ** 2 / (events.weight**2).sum())
    assert {"path", "format", "negative_fraction", "cross_section_pb", "columns", "weights"} <= set(info)


def test_patterns_number_the_events_of_each_file(data, tmp_path):
    for i in range(3):
        shutil.copy(data / "root" / "uproot-Zmumu.root", tmp_path / f"z{2 - i}.root")
    firsts = [(p.path[-7:], int(p.index[0])) for p in io.iterate(str(tmp_path / "z*.root:events"), step_size="1 GB")]
    assert firsts == [("z0.root", 0), ("z1.root", 0), ("z2.root", 0)]
    both = [str(tmp_path / "z[01].root"), data / "lhco" / "events_anomalydetection_tiny.h5"]
    assert [p.format for p in io.iterate(both, step_size="1 GB")] == ["root", "root", "lhco"]
    assert io.expand([tmp_path / "z1.root", str(tmp_path / "z*")])[0].endswith("z1.root")
    (tmp_path / "a[1].lhe").write_bytes((data / "lhe" / "powheg-box-v2-W.lhe").read_bytes())
    assert io.open(tmp_path / "a[1].lhe").n == next(io.iterate(tmp_path / "a[1].lhe")).n == 100


def test_what_cannot_be_opened(data, tmp_path):
    with pytest.raises(InputError, match="no file matches"):
        list(io.iterate(str(tmp_path / "*.lhe")))
    with pytest.raises(InputError, match="does not exist"):
        list(io.iterate([tmp_path / "none.lhe"]))
    with pytest.raises(InputError, match="no files were given"):
        list(io.iterate([]))
    with pytest.raises(InputError, match="takes no option 'schema'"):
        io.open(data / "lhe" / "powheg-box-v2-W.lhe", schema="nanoaod")
    with pytest.raises(InputError, match=r"takes no option 'dtyp'; did you mean 'dtype'"):
        io.open(data / "lhco" / "events_anomalydetection_tiny.h5", dtyp="float32")
    with pytest.raises(InputError, match=r"no table 'evnts'; did you mean 'events'"):
        io.open(f"{data / 'dijets' / 'svj.h5'}:evnts")
    EventTable.build(np.ones((2, 1)), ["x"]).save(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="nothing inside to be called 'x'"):
        io.open(f"{tmp_path / 't.parquet'}:x")
    with pytest.raises(InputError, match="is not a size"):
        list(io.iterate(data / "lhe" / "powheg-box-v2-W.lhe", step_size="much"))


def test_an_event_table_opens_as_events(tmp_path):
    rng = np.random.default_rng(0)
    table = EventTable.build(
        rng.normal(size=(50, 2)), ["a", "b"], weight=rng.random(50), label=1, spectators={"m": np.arange(50)}
    )
    table.save(tmp_path / "t.parquet")
    events = io.open(tmp_path / "t.parquet")
    assert events.format == "table"
    for name in ("a", "b", "m"):
        np.testing.assert_array_equal(events.columns[name], table[name])
    np.testing.assert_array_equal(events.weight, table.weight)
    np.testing.assert_array_equal(events.label, table.label)
    pieces = list(io.iterate(tmp_path / "t.parquet", step_size="320 B", columns=["m"]))
    assert len(pieces) == 3
    np.testing.assert_array_equal(np.concatenate([p.columns["m"] for p in pieces]), np.arange(50))
    with pytest.raises(InputError, match="no column 'c'"):
        io.open(tmp_path / "t.parquet", columns=["c"])
    assert io.probe(tmp_path / "t.parquet")["spectators"] == ["m"]


def test_sizes_and_ranges():
    assert [parse_size(s) for s in ("100 MB", "1.5kB", "64 MiB", "7b", 12)] == [10**8, 1500, 2**26, 7, 12]
    for bad in ("100", "MB", "-1 MB", "0 B", 0):
        with pytest.raises(InputError, match="step_size"):
            parse_size(bad)
    assert list(row_ranges(7, 3)) == [(0, 3), (3, 6), (6, 7)]
    assert list(row_ranges(0, 3)) == [(0, 0)]


def test_merging_refuses_pieces_that_differ(data):
    a = io.open(data / "root" / "uproot-Zmumu.root", columns=["M"])
    b = io.open(data / "root" / "uproot-Zmumu.root", columns=["E1"])
    assert merge([a, a]).n == 2 * a.n
    with pytest.raises(InputError, match="different columns"):
        merge([a, b])
    with pytest.raises(InputError, match="no events"):
        merge([])
    c = io.open(data / "generators" / "bead_bkg_train_pythia.csv")
    assert ak.array_equal(merge([c, c]).jets[: c.n], c.jets)


@pytest.mark.parametrize(
    "name",
    ["generators/bead_bkg_train_sherpa.h5", "generators/bead_bkg_train_sherpa.csv",
     "dijets/features/wprime_1000_400.npz", "lhco/rd_event_features_12k.csv.gz",
     "root/uproot-Zmumu.root", "bead.root", "bead.parquet"],
)  # fmt: skip
def test_damage_is_an_input_error_on_one_line(data, tmp_path, name):
    """Cut anywhere or with bytes changed: read, or refused with a reason; never another exception."""
    source = data / name
    if "/" not in name:
        source = tmp_path / name
        convert(data / "generators" / "bead_bkg_train_sherpa.h5", source)
    whole = source.read_bytes()
    rng = np.random.default_rng(11)
    refused = []
    for case in range(24):
        content = bytearray(whole[: rng.integers(1, len(whole))] if case % 2 else whole)
        for _ in range(3 * (1 - case % 2)):
            content[rng.integers(len(content))] = rng.integers(256)
            content[rng.integers(min(len(content), 2000))] = rng.integers(256)
        (tmp_path / "damaged").write_bytes(content)
        try:
            io.open(tmp_path / "damaged")
        except InputError as error:
            refused.append(str(error))
    assert len(refused) >= 10
    assert all("damaged" in line and "\n" not in line for line in refused)


def test_the_good_events_of_a_broken_file_come_first(data, tmp_path):
    """Whatever the format: pieces before the break, then the error; with keep_partial the last one says it."""
    bead = (data / "generators" / "bead_bkg_train_sherpa.csv").read_text().splitlines(keepends=True)
    lhe = (data / "lhe" / "powheg-box-v2-W.lhe").read_bytes()
    (tmp_path / "bead").write_text("".join(bead[:6]) + "1,2,3\n")
    (tmp_path / "lhe").write_bytes(lhe[: len(lhe) // 2])
    with h5py.File(tmp_path / "lhco", "w") as file:
        table = file.create_dataset("e", data=np.ones((60, 2101)), chunks=(10, 2101), compression="gzip")
        chunk = table.id.get_chunk_info_by_coord((30, 0))
    content = bytearray((tmp_path / "lhco").read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    (tmp_path / "lhco").write_bytes(content)
    for name in ("bead", "lhe", "lhco"):
        pieces: list[Events] = []
        with pytest.raises(TruncatedInputError) as failure:
            pieces.extend(io.iterate(tmp_path / name, step_size="20 kB"))
        good = sum(piece.n for piece in pieces)
        assert good == failure.value.good_events > 0
        assert not any("broken" in piece.header for piece in pieces)
        *before, last = io.iterate(tmp_path / name, step_size="20 kB", keep_partial=True)
        assert sum(piece.n for piece in before) + last.n == good
        assert not any("broken" in piece.header for piece in before)
        assert (last.header["broken"], last.header["complete"]) == (str(failure.value), False)
        assert io.open(tmp_path / name, keep_partial=True).n == good
