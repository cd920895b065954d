"""Files of every format with damage of every kind: events or one line that says what is wrong, within limits."""

from __future__ import annotations

import gzip
import io as memory
import struct
from random import Random
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from helpers.faults import attack, mutated
from helpers.lhe import FIELDS

import hepaa
from hepaa import io
from hepaa.demo import path as demo_path
from hepaa.io.convert import convert
from hepaa.io.pieces import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def read(path: str) -> None:
    """Open a file and look at all of it, as `hepaa info` does."""
    content, last = summary([io.open(path)])
    describe = getattr(__import__(io.READERS[last.format], fromlist=["x"]), "describe", None)
    assert content["events"] == last.n
    if describe:
        describe(last)


# ---- good files, as small as they can be -----------------------------------------------------------------------------


def lhe() -> bytes:
    """A head, and four events with named weights, a comment and numbers in odd spelling."""
    text = gzip.decompress(demo_path("zh_sm.lhe.gz").read_bytes()).decode()
    head, *events = text.split("<event>")[:5]
    head = head.replace("</header>", '<initrwgt><weightgroup name="g"><weight id="a">A</weight><weight id="b"/>'
                        "</weightgroup></initrwgt></header>")  # fmt: skip
    tail = "<rwgt>\n<wgt id='a'>1.0D-3</wgt>\n<wgt id='b'>1e-320</wgt>\n</rwgt>\n<weights> 1 2 </weights># x\n</event>"
    return (head + "".join("<event>" + event.replace("</event>", tail) for event in events) + END).encode()


END = "</LesHouchesEvents>\n"


def in_memory(write: Callable[[h5py.File], None], **options: Any) -> bytes:
    """The bytes of an HDF5 file."""
    place = memory.BytesIO()
    with h5py.File(place, "w", **options) as file:
        write(file)
    return place.getvalue()


def plain(file: h5py.File) -> None:
    rows = np.random.default_rng(1).random((40, 4))
    file.create_dataset("x", data=rows, chunks=(8, 4), compression="gzip").attrs["columns"] = [*"abc", "weight"]


def named(file: h5py.File) -> None:
    file["deep/x"] = np.zeros(9, [("a", "f4"), ("label", "i1"), ("name", "S3"), ("v", "f8", 2)])


def contiguous(file: h5py.File) -> None:
    file["x"] = np.ones((5, 3))
    file["x"].attrs["columns"] = ["a", "b", "c"]


def lhco(file: h5py.File) -> None:
    rows = np.zeros((6, 2101))
    rows[:, :9] = np.random.default_rng(2).random((6, 9))
    file.create_dataset("df", data=rows, chunks=(2, 2101), compression="gzip")


def pandas_fixed(file: h5py.File) -> None:
    group = file.create_group("df")
    group.attrs.update({"pandas_type": "frame", "nblocks": 1, "encoding": "UTF-8"})
    group["axis0"] = group["block0_items"] = np.array([b"a", b"b"])
    group["axis1"] = np.arange(7)
    group["block0_values"] = np.ones((7, 2))


def pandas_table(file: h5py.File) -> None:
    import pickle

    group = file.create_group("df")
    names = pickle.dumps(["a", "b"], 0)
    group.attrs.update({"pandas_type": "frame_table", "non_index_axes": np.bytes_(pickle.dumps([(1, ["a", "b"])], 0))})
    group["table"] = np.ones(7, [("index", "i8"), ("values_block_0", "f8", 2)])
    group["table"].attrs.update({"index_kind": np.bytes_(b"integer"), "values_block_0_kind": np.bytes_(names)})


def lheh5_tables(file: h5py.File) -> None:
    file["version"] = [2, 0, 0]
    file["init"] = np.array([2212, 2212, 6500, 6500, 0, 0, 1, 1, -4, 1], float)
    file["procInfo"] = np.array([[7, 0, 0, 2.0, 0.1, 1.0]])
    file["generators"] = np.array([["G", "1", "text", "{}"]], object).astype(h5py.string_dtype())
    events = np.zeros((5, 11))
    events[:, 1], events[:, 2], events[:, 9] = 2, np.arange(0, 10, 2), 1.0
    file.create_dataset("events", data=events, chunks=(2, 11), compression="gzip")
    names = ["pid", "nparticles", "start", "trials", "scale", "fscale", "rscale", "aqed", "aqcd", "NOMINAL", "up"]
    file["events"].attrs.create("properties", names, dtype=h5py.string_dtype())
    file.create_dataset("particles", data=np.ones((10, 13)), chunks=(4, 13))


def lheh5_columns(file: h5py.File) -> None:
    beams = ("beamA", "beamB", "energyA", "energyB", "PDFgroupA", "PDFgroupB", "PDFsetA", "PDFsetB")
    for i, name in enumerate((*beams, "weightingStrategy", "numProcesses")):
        file[f"init/{name}"] = [2212, 2212, 6500.0, 6500.0, 0, 0, 1, 1, -4, 1][i]
    for name in ("procId", "xSection", "error", "unitWeight"):
        file[f"procInfo/{name}"] = [1.0]
    for name in ("pid", "weight", "scale", "aqed", "aqcd"):
        file[f"event/{name}"] = np.ones(5)
    file["event/nparticles"], file["index/start"] = np.full(5, 2), np.arange(0, 10, 2)
    file["index/end"] = np.arange(2, 12, 2)
    for name in ("id", *FIELDS[1:]):
        file[f"particle/{name}"] = np.ones(10)


def bead(file: h5py.File) -> None:
    jets = np.repeat(np.arange(3), 2)
    file["events"] = np.column_stack([np.arange(3), np.ones(3), np.ones(3), np.ones(3), np.full(3, 2)])
    file["jets"] = np.column_stack([jets, np.tile([0, 1], 3), np.full(6, 2), *np.ones((4, 6))])
    rows = np.repeat(jets, 2)
    file["constituents"] = np.column_stack([rows, np.tile([0, 0, 1, 1], 3), np.tile([0, 1], 6), *np.ones((4, 12))])


HDF5 = (plain, named, contiguous, lhco, pandas_fixed, pandas_table, lheh5_tables, lheh5_columns, bead)


def trees(folder: Path) -> list[bytes]:
    """A tree of hepaa, one of uproot with jagged branches, an RNTuple."""
    (folder / "s.lhe").write_bytes(lhe())
    convert(folder / "s.lhe", folder / "s.root")
    columns = {"pt": np.arange(9.0), "weight": np.ones(9), "label": np.zeros(9, "i4")}
    with uproot.recreate(folder / "t.root", compression=None) as file:
        file["t"] = columns
    with uproot.recreate(folder / "n.root") as file:
        file.mkrntuple("n", columns)
    return [(folder / f"{name}.root").read_bytes() for name in "stn"]


def tables(folder: Path) -> list[bytes]:
    """Event records, and a table of features, in Parquet."""
    convert(folder / "s.lhe", folder / "s.parquet")
    table = hepaa.EventTable.build(np.ones((7, 2)), ["a", "b"])
    table.save(folder / "t.parquet")
    return [(folder / f"{name}.parquet").read_bytes() for name in "st"]


def arrays() -> list[tuple[str, bytes]]:
    """CSV with a header, BEAD's CSV, npy and npz."""
    csv = "a;b;weight;label\n" + "1.5;2;1e-3;1\n-1;nan;2;0\n" * 5
    jets = "evtwt, met, metphi, njets\n" + "1, 2, 3, 2, 1, 0, 22, 1, 2, 3, 1, 1, 11, 4, 5, 6,\n" * 4
    npy, npz, squeezed = (memory.BytesIO() for _ in range(3))
    np.save(npy, np.ones(5, [("a", "f8"), ("b", "i4")]))
    np.savez(npz, X=np.ones((5, 2)), columns=np.array(["a", "b"]), label=np.zeros(5))
    np.savez_compressed(squeezed, X=np.ones((5, 2)), columns=np.array(["a", "b"]), label=np.zeros(5))
    binary = [("x.npy", npy), ("x.npz", npz), ("y.npz", squeezed)]
    return [("x.csv", csv.encode()), ("b.csv", jets.encode()), *((name, file.getvalue()) for name, file in binary)]


# ---- damage ----------------------------------------------------------------------------------------------------------


def lookup3(data: bytes) -> int:
    """The checksum of HDF5's metadata (Bob Jenkins, lookup3.c, hashlittle)."""
    mask = 0xFFFFFFFF
    a = b = c = (0xDEADBEEF + len(data)) & mask
    if not data:
        return c

    def turn(x: int, k: int) -> int:
        return (x << k | x >> (32 - k)) & mask

    words = list(struct.unpack(f"<{-(-len(data) // 12) * 3}I", data.ljust(-(-len(data) // 12) * 12, b"\0")))
    for i in range(0, len(words) - 3, 3):
        a, b, c = (a + words[i]) & mask, (b + words[i + 1]) & mask, (c + words[i + 2]) & mask
        a, c = ((a - c) & mask) ^ turn(c, 4), (c + b) & mask
        b, a = ((b - a) & mask) ^ turn(a, 6), (a + c) & mask
        c, b = ((c - b) & mask) ^ turn(b, 8), (b + a) & mask
        a, c = ((a - c) & mask) ^ turn(c, 16), (c + b) & mask
        b, a = ((b - a) & mask) ^ turn(a, 19), (a + c) & mask
        c, b = ((c - b) & mask) ^ turn(b, 4), (b + a) & mask
    a, b, c = (a + words[-3]) & mask, (b + words[-2]) & mask, (c + words[-1]) & mask
    for k, pair in zip((14, 11, 25, 16, 4, 14, 24), ["cb", "ac", "ba", "cb", "ac", "ba", "cb"], strict=True):
        values = {"a": a, "b": b, "c": c}
        values[pair[0]] = ((values[pair[0]] ^ values[pair[1]]) - turn(values[pair[1]], k)) & mask
        a, b, c = values.values()
    return c


def sealed_blocks(content: bytes, longest: int = 400) -> list[tuple[int, int]]:
    """Start and end of the blocks of an HDF5 file that a checksum follows."""
    blocks = []
    for sign in (b"\x89HDF", b"OHDR", b"OCHK", b"BTHD", b"BTLF", b"FRHP", b"FHDB", b"FAHD", b"FADB", b"EAHD", b"EAIB"):
        at = content.find(sign)
        while at >= 0:
            for end in range(at + 8, min(at + longest, len(content) - 4)):
                if lookup3(content[at:end]) == int.from_bytes(content[end : end + 4], "little"):
                    blocks.append((at, end))
                    break
            at = content.find(sign, at + 1)
    return blocks


def resealed(content: bytes, blocks: list[tuple[int, int]], rng: Random) -> bytes:
    """One to three changes inside of blocks, whose checksums are right again."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        start, end = rng.choice(blocks)
        at = rng.randrange(start + 4, end)
        width = min(rng.choice((1, 1, 2, 4, 8)), end - at)
        value = rng.choice((0, 1, 2, rng.getrandbits(64), (1 << 8 * width) - 1, 1 << (8 * width - 1)))
        changed[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")
        changed[end : end + 4] = lookup3(bytes(changed[start:end])).to_bytes(4, "little")
    return bytes(changed)


VALUES = (
    -1, 0, 10**18, 1.5, np.nan, np.inf, "text", b"\xff\xfe", np.arange(3), np.ones((2, 2)), np.array([]),
    np.array(["a", "b"], "S1"), np.zeros(2, [("a", "f8")]), np.void(b"opaque"), np.array([True]), np.ones(2, ">f2"),
    np.ones(2, "c16"), np.array([2**64 - 1], "u8"), np.float128(1), "{" * 5000, "9" * 5000, b"(lp0\nS'a'\n.",
    h5py.Empty("f8"),
)  # fmt: skip


def rebuilt(write: Callable[[h5py.File], None], rng: Random) -> bytes:
    """A file in which h5py has replaced, moved, linked, resized, renamed or removed a few things."""

    def change(file: h5py.File) -> None:
        write(file)
        for _ in range(rng.choice((1, 1, 2, 3))):
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return
            name, other = rng.choice(names), rng.choice(names)
            node, action = file[name], rng.randrange(9)
            owner = node if len(node.attrs) else file[other]
            if isinstance(node, h5py.Dataset) and node.nbytes > 10**6:  # made so by an earlier change
                continue
            if action == 0:
                del file[name]
            elif action == 1:
                del file[name]
                file[name] = rng.choice(VALUES)
            elif action == 2 and len(owner.attrs):
                owner.attrs[rng.choice(list(owner.attrs))] = rng.choice(VALUES)
            elif action == 3:
                file[rng.choice(("events", "particle/px", "y", "event/z", f"{name}-2"))] = node
            elif action == 4:
                target = rng.choice((f"/{other}", "/", "/nowhere", f"/{name}/.."))
                del file[name]
                file[name] = h5py.SoftLink(target)
            elif action == 5 and isinstance(node, h5py.Dataset) and node.ndim:
                values = node[()]
                del file[name]
                odd = rng.choice((0, -1, 1e300, np.nan, 2**62))
                if values.dtype.kind in "fi":
                    values.ravel()[rng.randrange(values.size)] = np.array(odd).astype(values.dtype)
                file[name] = values[: rng.choice((None, 1, 0, -1))]
            elif action == 6 and isinstance(node, h5py.Dataset) and node.ndim:
                shape = [rng.choice((0, 1, n, n + 1, 10**6, 10**12)) for n in node.shape]
                dtype, attributes = node.dtype, dict(node.attrs)
                del file[name]
                file.create_dataset(name, shape, dtype, chunks=rng.choice((None, tuple(1 for _ in shape))))
                file[name].attrs.update(attributes)
            elif action == 7 and isinstance(node, h5py.Dataset) and node.dtype.kind in "fi":
                values = node[()]
                del file[name]
                file[name] = np.asarray(values).astype(rng.choice(("f2", ">f4", "u1", "i8", "S3", "c8", "?", "g")))
            elif action == 8:
                file[name].attrs[rng.choice(("pandas_type", "columns", "nblocks", "properties"))] = rng.choice(VALUES)

    while True:
        try:
            with np.errstate(all="ignore"):
                return in_memory(change)
        except (ValueError, TypeError, OSError, RuntimeError, KeyError):  # h5py itself refuses: another change
            continue


def repacked(content: bytes, rng: Random) -> bytes:
    """A Parquet file with other metadata, columns or types, written anew."""
    table = pq.read_table(memory.BytesIO(content))
    meta = dict(table.schema.metadata)
    match rng.randrange(4):
        case 0:
            name = rng.choice([key for key in meta if key.startswith(b"hepaa")])
            meta[name] = mutated(meta[name], rng, text=True)
        case 1:
            table = table.drop_columns([rng.choice(table.column_names)])
        case 2:
            i = rng.randrange(table.num_columns)
            odd = rng.choice(("x", None, -1, 2**63, float("nan"), [1, 2], {"a": 1}, b"\xff", [[None]], True))
            values = pa.array([odd] * table.num_rows, pa.uint64() if odd == 2**63 else None)
            table = table.set_column(i, table.column_names[i], values)
        case _:
            table = table.slice(rng.randrange(5), rng.randrange(3))
    sink = memory.BytesIO()
    pq.write_table(table.replace_schema_metadata(meta), sink)
    return sink.getvalue()


# ---- the attack ------------------------------------------------------------------------------------------------------


def damaged(folder: Path, which: str, n: int, seed: int = 5) -> Iterator[tuple[str, bytes]]:
    """Names and contents of n files."""
    rng = Random(f"{which} {seed}")
    match which:
        case "lhe":
            good = lhe()
            for i in range(n):
                broken = mutated(good, rng, text=True)
                packed = i % 20 == 0
                yield f"{i}.lhe", mutated(gzip.compress(broken, 1), rng) if packed else broken
        case "hdf5":
            old = [in_memory(write) for write in HDF5]
            new = [in_memory(write, libver="latest") for write in HDF5]
            blocks = [sealed_blocks(content) for content in new]
            assert min(map(len, blocks)) >= 2
            for i in range(n):
                k = rng.randrange(len(HDF5))
                match i % 4:
                    case 0 | 1:
                        yield f"{i}.h5", mutated(old[k], rng)
                    case 2:
                        yield f"{i}.h5", resealed(new[k], blocks[k], rng)
                    case _:
                        yield f"{i}.h5", rebuilt(HDF5[k], rng)
        case "root":
            contents = trees(folder)
            yield from ((f"{i}.root", mutated(rng.choice(contents), rng)) for i in range(n))
        case "parquet":
            trees(folder)
            contents = tables(folder)
            for i in range(n):
                content = rng.choice(contents)
                yield f"{i}.parquet", mutated(content, rng) if i % 3 else repacked(content, rng)
        case _:
            for i in range(n):
                name, content = rng.choice(arrays())
                yield f"{i}-{name}", mutated(content, rng, text=name.endswith("csv"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "n"), [("lhe", 4500), ("hdf5", 4500), ("root", 1500), ("parquet", 1500), ("arrays", 2000)]
)
def test_damaged_files_are_refused_in_one_line(tmp_path, which, n):
    good = tmp_path / "good.lhe"
    good.write_bytes(lhe())
    verdicts, faults = attack(read, damaged(tmp_path, which, n), tmp_path, [good])
    # HDF5 2.0 itself crashes on some hostile links and heaps, which nothing in Python can prevent
    crashes = {name for name, message in faults.items() if "SIGSEGV" in message or "SIGABRT" in message}
    assert {name: message for name, message in faults.items() if name not in crashes} == {}
    assert len(crashes) <= (n / 200 if which == "hdf5" else 0)
    assert verdicts.total() == n
    assert min(verdicts["read"], verdicts["refused"]) > n / 50


def test_good_files_are_read(tmp_path):
    """The files that the damage is done to are good, and the checksum is HDF5's."""
    files = [("x.lhe", lhe()), *arrays()]
    files += [(f"{write.__name__}.h5", in_memory(write)) for write in HDF5]
    files += [(f"{i}.x", content) for i, content in enumerate([*trees(tmp_path), *tables(tmp_path)])]
    for name, content in files:
        (tmp_path / name).write_bytes(content)
        read(str(tmp_path / name))
    assert len(sealed_blocks(in_memory(contiguous, libver="latest"))) >= 3
