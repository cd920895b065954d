"""LHCO raw events against pandas and plain numpy, in every layout."""

from __future__ import annotations

import tracemalloc
import warnings

import awkward as ak
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pytest

from hepaa import io
from hepaa.errors import InputError, TruncatedInputError
from hepaa.io import hdf5 as hdftable
from hepaa.io.lhco import read as lhco


def padded(n, seed=1, label=True):
    """Events of 0 to 700 particles, not sorted, with holes in the padding."""
    rng = np.random.default_rng(seed)
    X = rng.exponential(10.0, (n, 700, 3)) * [1, 0.1, 0.3]
    X[rng.random((n, 700)) < rng.random((n, 1))] = 0
    X[0] = 0
    X[1] = 1.5
    flat = X.reshape(n, 2100)
    return np.column_stack([flat, rng.integers(0, 2, n)]) if label else flat


def reference(X):
    """pt, eta, phi of each event, by boolean masks."""
    momenta = X[:, :2100].reshape(len(X), 700, 3)
    return [m[m[:, 0] != 0] for m in momenta]


def same(events, X):
    expected = reference(X)
    assert ak.num(events.particles).tolist() == [len(e) for e in expected]
    flat = np.concatenate(expected)
    for i, field in enumerate(("pt", "eta", "phi")):
        np.testing.assert_array_equal(ak.flatten(events.particles[field]).to_numpy(), flat[:, i])


def write(path, X, layout):
    frame = pd.DataFrame(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if layout == "fixed-blosc":
            frame.to_hdf(path, key="df", format="fixed", complib="blosc", complevel=5)
        elif layout == "fixed-two-blocks":  # whole numbers, the label and some pt, lie in a block of their own
            frame.astype({2100: np.int64, 3: np.int64}).to_hdf(path, key="df", format="fixed")
        elif layout == "table":
            frame.to_hdf(path, key="events/df", format="table", complib="zlib", complevel=1)
    if layout == "plain":
        with h5py.File(path, "w") as file:
            file.create_dataset("events", data=X, chunks=(7, 300), compression="gzip")
    if layout == "contiguous-float32":
        with h5py.File(path, "w") as file:
            file["events"] = X.astype(np.float32)


LAYOUTS = ["fixed-blosc", "fixed-two-blocks", "table", "plain"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_particles(tmp_path, layout):
    X = padded(57)
    X[:, 3] = np.round(X[:, 3])
    write(tmp_path / "x.h5", X, layout)
    events = io.open(tmp_path / "x.h5")
    same(events, X)
    np.testing.assert_array_equal(events.label, X[:, 2100])
    assert events.label.dtype == np.int8
    np.testing.assert_array_equal(events.weight, np.ones(57))
    pieces = list(io.iterate(tmp_path / "x.h5", step_size=20 * 2101 * 8))
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate([p.index for p in pieces]), np.arange(57))
    for piece in pieces:
        same(piece, X[piece.index])


def test_the_real_file_equals_pandas(data):
    path = data / "lhco" / "events_anomalydetection_tiny.h5"
    X = pd.read_hdf(path).to_numpy()
    events = io.open(path)
    same(events, X)
    assert events.label.sum() == 93
    assert events.format == "lhco"
    info = io.probe(path)
    assert (info["events"], info["labels"], info["objects"]["particles"]) == (
        1000,
        {0: 907, 1: 93},
        np.count_nonzero(X[:, :2100:3]),
    )


def test_the_first_event_of_the_real_file(data):
    """Sum of all its particles as massless, in float64 and stored as float32."""
    path = data / "lhco" / "events_anomalydetection_tiny.h5"
    X = pd.read_hdf(path).to_numpy()[:1]
    pt, eta, phi = np.concatenate(reference(X)).T
    p = np.array([np.sum(pt * f) for f in (np.cosh(eta), np.cos(phi), np.sin(phi), np.sinh(eta))])
    mass = np.sqrt(p[0] ** 2 - p[1] ** 2 - p[2] ** 2 - p[3] ** 2)
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        particles = io.open(path, dtype=dtype).particles[0]
        assert str(ak.type(particles.pt)).endswith(dtype)
        pt, eta, phi = (particles[f].to_numpy().astype(np.float64) for f in ("pt", "eta", "phi"))
        q = np.array([np.sum(pt * f) for f in (np.cosh(eta), np.cos(phi), np.sin(phi), np.sinh(eta))])
        assert np.sqrt(q[0] ** 2 - q[1] ** 2 - q[2] ** 2 - q[3] ** 2) == pytest.approx(mass, rel=tolerance)


@pytest.mark.parametrize("dtype", [">f8", ">f4", "f2", "g"])
def test_reals_of_any_form_are_read(tmp_path, dtype):
    X = padded(5, label=False).astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["events"] = X
    same(io.open(tmp_path / "x.h5"), X.astype(np.float64))


def test_float32_files_and_no_label(tmp_path):
    X = padded(9, label=False)
    write(tmp_path / "x.h5", X, "contiguous-float32")
    events = io.open(tmp_path / "x.h5")
    same(events, X.astype(np.float32).astype(np.float64))
    assert events.label is None
    assert str(ak.type(events.particles.pt)).endswith("float64")


def test_an_empty_table(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["events"] = np.empty((0, 2101))
    events = io.open(tmp_path / "x.h5")
    assert (events.n, len(events.particles), len(events.label)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [(3, np.nan, "event 5 has a momentum"), (3, -1.0, "event 5 has a momentum"), (4, np.inf, "event 5 has a momentum"),
     (2100, 7, "event 5 has the label 7"), (2100, np.nan, "event 5 has the label nan")],
)  # fmt: skip
def test_impossible_values_are_refused(tmp_path, column, value, words):
    X = padded(8)
    X[5, 3] = 1.0
    X[5, column] = value
    write(tmp_path / "x.h5", X, "plain")
    with pytest.raises(InputError, match=words):
        io.open(tmp_path / "x.h5")


def test_several_tables_need_a_name(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"], file["b"], file["other"] = padded(3), padded(4), np.zeros((5, 3))
    with pytest.raises(InputError, match=r"several tables.*a, b"):
        io.open(tmp_path / "x.h5")
    assert io.open(f"{tmp_path / 'x.h5'}:b").n == 4
    with pytest.raises(InputError, match="'other' has 3 columns"):
        io.open(f"{tmp_path / 'x.h5'}:other")
    with pytest.raises(InputError, match="no table 'c'"):
        io.open(f"{tmp_path / 'x.h5'}:c")


def test_a_truncated_file(data, tmp_path):
    whole = (data / "lhco" / "events_anomalydetection_tiny.h5").read_bytes()
    for size in (9, 5000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.h5").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.h5.*(cut short|cannot be opened)"):
            io.open(tmp_path / "cut.h5")


def test_a_broken_chunk_is_named_and_what_is_before_it_can_be_kept(tmp_path):
    X = padded(60)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        table = file.create_dataset("events", data=X, chunks=(10, 2101), compression="gzip", fletcher32=True)
        where = table.id.get_chunk_info_by_coord((30, 0))
    content = bytearray((tmp_path / "x.h5").read_bytes())
    content[where.byte_offset + 40 : where.byte_offset + 60] = b"\xff" * 20
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(TruncatedInputError, match="from event 30 on") as failure:
        io.open(tmp_path / "x.h5")
    assert (failure.value.good_events, failure.value.byte) == (30, where.byte_offset)
    for step in (10**8, 20 * 2101 * 8):
        kept = list(io.iterate(tmp_path / "x.h5", keep_partial=True, step_size=step))
        assert sum(k.n for k in kept) == 30
        assert "event 30" in kept[-1].header["broken"]
        same(kept[0], X[kept[0].index])


def test_memory_does_not_grow_with_the_file(tmp_path):
    X = padded(400)
    peaks = []
    for copies in (4, 40):
        with h5py.File(tmp_path / f"{copies}.h5", "w") as file:
            table = file.create_dataset(
                "e", (0, 2101), "f8", maxshape=(None, 2101), chunks=(50, 2101), **hdf5plugin.Blosc()
            )
            for _ in range(copies):
                table.resize(len(table) + 400, axis=0)
                table[-400:] = X
        tracemalloc.start()
        assert sum(e.n for e in io.iterate(tmp_path / f"{copies}.h5", step_size=8_000_000)) == 400 * copies
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 40e6


def packed_by_pandas(path, X, complib):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pd.DataFrame(X).to_hdf(path, key="df", format="fixed", complib=complib, complevel=5)
    return pd.read_hdf(path).to_numpy()


def bits(events):
    return [np.asarray(ak.flatten(events.particles[c])).view(np.uint64) for c in ("pt", "eta", "phi")]


@pytest.mark.parametrize("complib", ["blosc", "blosc:lz4", "blosc:zstd", "blosc:zlib", "zlib", "bzip2", None], ids=str)
@pytest.mark.parametrize("kind", ["float64", "from float32", "sorted"])
def test_bits_are_those_of_pandas_whatever_packs_the_chunks(tmp_path, complib, kind):
    X = padded(203, seed=3)
    X[5, 0:3], X[6, 3:6], X[7, 9:12] = (1e-310, -0.0, 0.0), (2.0, 0.0, -0.0), (5e-324, 1e300, -1e-320)
    if kind == "from float32":
        X = np.clip(X, -1e30, 1e30).astype(np.float32).astype(np.float64)
    if kind == "sorted":  # long padding, as in real files
        X[:, :2100] = np.where(np.arange(2100) < 3 * np.arange(203)[:, None], X[:, :2100], 0)
    expected = reference(packed_by_pandas(tmp_path / "x.h5", X, complib))
    for step in (10**8, 17 * 2101 * 8):
        pieces = list(io.iterate(tmp_path / "x.h5", step_size=step))
        for i, column in enumerate(zip(*map(bits, pieces), strict=True)):
            np.testing.assert_array_equal(np.concatenate(column), np.concatenate(expected)[:, i].view(np.uint64))
        np.testing.assert_array_equal(np.concatenate([p.label for p in pieces]), X[:, 2100])


def test_any_rows_come_out_of_packed_chunks(tmp_path):
    X = padded(100, seed=4)
    packed_by_pandas(tmp_path / "x.h5", X, "blosc")
    layout = lhco.locate(tmp_path / "x.h5")
    with hdftable.opened(tmp_path / "x.h5") as file:
        reader = hdftable.RowReader(file, "x.h5", layout)
        for start, stop in ((0, 100), (3, 4), (6, 50), (97, 100), (14, 14), (1, 99)):
            out = np.full((stop - start, 2101), np.nan)
            reader.read(start, stop, out)
            np.testing.assert_array_equal(out.view(np.uint64), X[start:stop].view(np.uint64))


def test_filters_and_chunks_of_other_forms(tmp_path):
    X = padded(40)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("sums", data=X, chunks=(10, 2101), compression="gzip", fletcher32=True)
        file.create_dataset("narrow", data=X, chunks=(10, 191), compression="gzip", shuffle=True)
        gaps = file.create_dataset("gaps", X.shape, "f8", chunks=(10, 2101), compression="gzip")
        gaps[10:20] = X[10:20]
        file.create_dataset("plain", data=X, chunks=(10, 2101), compression="gzip")
    for key in ("sums", "narrow", "plain"):
        same(io.open(f"{tmp_path / 'x.h5'}:{key}"), X)
    with pytest.raises(InputError, match="'/gaps' is damaged: it has 1 of the 4 chunks that its shape needs"):
        io.open(f"{tmp_path / 'x.h5'}:gaps")  # HDF5 would fill in zeros


@pytest.mark.parametrize("complib", ["blosc", "zlib"])
def test_a_damaged_packed_chunk_is_an_error_that_says_where(tmp_path, complib):
    """Each byte in turn of the header and many others; values may change unseen where Blosc has no checksum."""
    X = padded(40, seed=6)
    packed_by_pandas(tmp_path / "x.h5", X, complib)
    with h5py.File(tmp_path / "x.h5") as file:
        table = file["df/block0_values"]
        row = table.chunks[0]
        where = table.id.get_chunk_info_by_coord((row, 0))
        begin, size = where.byte_offset, where.size
    content = (tmp_path / "x.h5").read_bytes()
    rng = np.random.default_rng(8)
    failures: list[InputError] = []
    for at in [*range(4, 40), *rng.integers(40, size, 60)]:
        broken = bytearray(content)
        broken[begin + at] ^= 0xFF
        (tmp_path / "y.h5").write_bytes(broken)
        try:
            events = io.open(tmp_path / "y.h5")
        except InputError as error:
            failures.append(error)
        else:
            assert events.n == 40
    located = [f for f in failures if isinstance(f, TruncatedInputError)]
    assert {(f.good_events, f.byte) for f in located} == {(row, begin)}
    assert all(f"from event {row} on" in str(f) for f in located)
    assert all("has a momentum" in str(f) or "has the label" in str(f) for f in failures if f not in located)
    assert len(located) >= (20 if complib == "blosc" else 90)
    broken = bytearray(content)
    broken[begin + size // 2 : begin + size] = bytes(size - size // 2)
    (tmp_path / "y.h5").write_bytes(broken)
    with pytest.raises(TruncatedInputError, match=f"from event {row} on"):
        io.open(tmp_path / "y.h5")
    (kept,) = io.iterate(tmp_path / "y.h5", keep_partial=True)
    same(kept, X[:row])
