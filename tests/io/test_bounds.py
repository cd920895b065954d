"""HDF5 files that lead elsewhere, or say that they hold more than their bytes can be."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest
from helpers.faults import Child

from hepaa import io
from hepaa.errors import InputError

HEADS = {"init": (2212, 2212, 6500, 6500, 0, 0, 1, 1, -4, 1), "procInfo": ((7, 0, 0, 2.0, 0.1, 1.0),)}


def lheh5(path, first, count, particles=4):
    """An LHEH5 file, second layout, whose events have `count` particles from `first` on."""
    n = len(first)
    events = np.zeros((n, 10))
    events[:, 1], events[:, 2], events[:, 9] = count, first, 1.0
    with h5py.File(path, "w") as file:
        for name, values in HEADS.items():
            file[name] = np.array(values, float)
        file.create_dataset("events", data=events, compression="gzip")
        file.create_dataset("particles", data=np.ones((particles, 13)), compression="gzip")
    return path


def table(path, rows=40, **options):
    with h5py.File(path, "w") as file:
        data = np.random.default_rng(1).random((rows, 3))
        file.create_dataset("x", data=data, **options).attrs["columns"] = ["a", "b", "c"]
    return path


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        io.open(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["x", "events", "particle/px", "df/axis0"])
def test_links_out_of_the_file_are_refused(tmp_path, name):
    table(tmp_path / "other.h5")
    lheh5(tmp_path / "x.h5", [0], [4])
    with h5py.File(tmp_path / "x.h5", "a") as file:
        if name in file:
            del file[name]
        file[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
    refused(tmp_path / "x.h5", f"{re.escape(repr(name))} is a link out of the file")


def test_data_outside_of_the_file_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(12.0).tobytes())
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (4, 3), "f8", external=[(str(secret), 0, 96)]).attrs["columns"] = ["a", "b", "c"]
    refused(tmp_path / "x.h5", "the data of 'x' lie in other files")
    table(tmp_path / "other.h5")
    virtual = h5py.VirtualLayout((40, 3), "f8")
    virtual[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (40, 3))
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file.create_virtual_dataset("x", virtual).attrs["columns"] = ["a", "b", "c"]
    refused(tmp_path / "y.h5", "the data of 'x' lie in other files")


def test_links_inside_of_the_file_are_followed_once(tmp_path):
    table(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        group = file.create_group("deep")
        for level in range(40):  # 2^40 ways to the end
            below = group.create_group(f"{level}")
            group["again"] = below
            group["loop"] = file["/"]
            group = below
    assert io.open(tmp_path / "x.h5").n == 40


@pytest.mark.parametrize("chunks", [None, (1000, 3)])
def test_rows_that_a_file_cannot_hold_are_refused(tmp_path, chunks):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", (10**12, 3), "f8", chunks=chunks)
        data.attrs["columns"] = ["a", "b", "c"]
        if chunks:
            data[:1000] = 1.0
    refused(tmp_path / "x.h5", r"'x' of shape \(1000000000000, 3\) cannot be in a file of \d+ bytes")


@pytest.mark.parametrize("chunks", [None, (10, 3)])
def test_rows_that_were_never_written_are_refused(tmp_path, chunks):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        data = file.create_dataset("x", (40, 3), "f8", chunks=chunks)
        data.attrs["columns"] = ["a", "b", "c"]
        if chunks:
            data[:20] = 1.0
    refused(tmp_path / "x.h5", "2 of the 4 chunks" if chunks else "never written")


def test_links_to_the_same_data_count_as_often_as_they_are_read(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("event/weight", data=np.zeros(200_000), compression="gzip", chunks=(200_000,))
        for i in range(1000):
            file[f"event/w{i}"] = file["event/weight"]
    refused(tmp_path / "x.h5", r"'event/w\d+' of shape \(200000,\) cannot be in a file")


@pytest.mark.parametrize("same", ["place", "bytes"])
def test_a_chunk_that_the_index_names_twice_is_refused(tmp_path, same):
    path = table(tmp_path / "x.h5", chunks=(10, 3))
    with h5py.File(path) as file:
        chunks = [file["x"].id.get_chunk_info(i) for i in range(4)]
    content = bytearray(path.read_bytes())

    def key(row):  # of the tree of chunks: size, filters, and the place with one dimension more
        return b"".join(int(v).to_bytes(w, "little") for v, w in ((240, 4), (0, 4), (row, 8), (0, 8), (0, 8)))

    at = content.index(key(20))
    if same == "place":
        content[at : at + 32] = key(10)
    else:
        content[at + 32 : at + 40] = chunks[1].byte_offset.to_bytes(8, "little")
    path.write_bytes(content)
    refused(path, "names a chunk twice|chunks|lie on the same bytes")


def test_particles_that_events_share_are_refused(tmp_path):
    refused(lheh5(tmp_path / "x.h5", [0, 2, 1], [1, 2, 2]), "events 1 and 2 have particles in common")
    refused(lheh5(tmp_path / "x.h5", [2**53, 0], [2**53, 4]), "event 0 needs particles")
    assert io.open(lheh5(tmp_path / "x.h5", [2, 0, 0], [2, 0, 2])).n == 3


def test_a_heap_without_end_is_refused(tmp_path):
    """HDF5 2.0 reads for ever at a free space of no size."""
    path = lheh5(tmp_path / "x.h5", [0], [4])
    with h5py.File(path, "a") as file:
        names = ["pid", "nparticles", "start", "trials", "scale", "fscale", "rscale", "aqed", "aqcd", "NOMINAL"]
        file["events"].attrs.create("properties", names, dtype=h5py.string_dtype())
    assert io.open(path).n == 1
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16  # the first text: its index, and its size
    content[at : at + 2], content[at + 8 : at + 16] = bytes(2), bytes(8)
    path.write_bytes(content)
    refused(path, "a heap of its texts has no end")


def read(path):
    return io.open(path)


@pytest.mark.slow
def test_small_files_do_not_ask_for_much_memory(tmp_path):
    n = 100_000
    with Child(read, [lheh5(tmp_path / "x.h5", [0], [4])]) as child:
        outcome = child.run(lheh5(tmp_path / "x.h5", np.zeros(n), np.full(n, n), particles=n))
        assert (tmp_path / "x.h5").stat().st_size < 200_000
        assert (outcome.verdict, "in common" in outcome.message) == ("refused", True)
