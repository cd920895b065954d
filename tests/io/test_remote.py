"""Addresses: what is read and written on servers, with a filesystem of fsspec in memory as the server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest

import hepaa
from hepaa import io
from hepaa.batch.keys import changed, identify, result_key
from hepaa.errors import HepaaError, InputError
from hepaa.io import remote
from hepaa.io.files import atomic_path
from hepaa.io.sniff import split_key

CSV = b"mjj,pt\n" + b"".join(b"%d,%d\n" % (i, 2 * i) for i in range(400))


@pytest.fixture(autouse=True)
def server():
    """An empty server, where each filesystem is made anew."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    for made in (remote._filesystem, remote._block):
        made.cache_clear()
    remote._down.clear()
    yield filesystem
    filesystem.store.clear()


@pytest.fixture
def waits(monkeypatch):
    """Seconds that were waited."""
    waited = []
    monkeypatch.setattr(remote.time, "sleep", waited.append)
    return waited


def fail(monkeypatch, server, times, error=None):
    """The next requests for bytes fail."""
    left, read = [times], type(server).cat_file

    def cat_file(self, path, **bounds):
        left[0] -= 1
        if left[0] >= 0:
            raise error or OSError("Connection error")
        return read(self, path, **bounds)

    monkeypatch.setattr(type(server), "cat_file", cat_file)


def test_an_address_has_a_scheme_and_alternatives():
    assert remote.is_remote("root://a//f")
    assert not remote.is_remote("data/a|b.lhe")
    assert not remote.is_remote("C:/f.root")
    assert remote.alternatives("root://a//x|y|root://b//x|y") == ["root://a//x|y", "root://b//x|y"]
    both = "root://a:1//f.root|root://b:1//f.root"
    assert split_key(f"{both}:dir/t") == (both, "dir/t")
    assert split_key("root://a:1//f.h5:k") == ("root://a:1//f.h5", "k")
    assert split_key("root://a:1//f.lhe") == ("root://a:1//f.lhe", "")
    assert not remote.has_magic("https://a/f.root?x=1")
    assert remote.has_magic("root://[::1]//d/f?.root")
    assert not remote.has_magic("root://[::1]//d/f.root")


def test_a_file_is_sought_in_and_read_across_blocks(server, monkeypatch):
    monkeypatch.setattr(remote, "BLOCK", 7)
    server.pipe_file("/d/f.csv", CSV)
    with remote.RemoteFile("memory://d/f.csv") as file:
        assert file.read(30) == CSV[:30]
        assert file.seek(-5, 2) == len(CSV) - 5
        assert file.read() == CSV[-5:]
        assert file.read(1) == b""
        assert file.seek(3) == file.tell() == 3
        assert file.read(4) == CSV[3:7]


def test_tables_and_patterns(server, tmp_path):
    server.pipe_file("/d/a.csv", CSV)
    np.savez(tmp_path / "b.npz", mjj=np.arange(5.0), pt=np.ones(5))
    server.pipe_file("/d/b.npz", (tmp_path / "b.npz").read_bytes())
    assert io.expand("memory://d/*.csv") == ["memory://d/a.csv"]
    assert [e.n for e in io.iterate("memory://d/*")] == [400, 5]
    assert hepaa.open("memory://d/a.csv").columns["pt"][3] == 6
    with pytest.raises(InputError, match="no file matches"):
        io.expand("memory://d/*.root")
    with pytest.raises(InputError, match="does not exist"):
        hepaa.open("memory://d/none.csv")
    with pytest.raises(InputError, match=r"is a folder; name files in it"):
        hepaa.open("memory://d")


def test_a_folder_of_tables_is_read_and_fetched_as_one_here_is(server, tmp_path):
    table = hepaa.EventTable.build(np.arange(12.0)[:, None], ["x"], label=np.arange(12) % 2)
    for i in range(2):
        table[6 * i : 6 * i + 6].save(tmp_path / f"part-{i}.parquet")
        server.pipe_file(f"/d/parts/part-{i}.parquet", (tmp_path / f"part-{i}.parquet").read_bytes())
    server.pipe_file("/d/parts/below/notes.txt", b"of somebody")
    streamed = hepaa.StreamedTable("memory://d/parts/", window=5)
    assert [streamed.n, *streamed.paths] == [12, *(f"memory://d/parts/part-{i}.parquet" for i in range(2))]
    np.testing.assert_array_equal(np.concatenate([c.X for c in streamed.chunks()]), table.X)
    remote.fetch("memory://d/parts/", tmp_path / "copy")
    names = sorted(p.relative_to(tmp_path / "copy").as_posix() for p in (tmp_path / "copy").rglob("*.*"))
    assert names == ["below/notes.txt", "part-0.parquet", "part-1.parquet"]
    assert (tmp_path / "copy/part-1.parquet").read_bytes() == (tmp_path / "part-1.parquet").read_bytes()


def test_no_name_on_a_server_leads_out_of_the_folder_that_is_fetched(server, tmp_path, monkeypatch):
    server.pipe_file("/d/parts/a.csv", CSV)
    monkeypatch.setattr(type(server), "find", lambda *_args, **_options: ["/d/parts/a.csv", "/d/parts/../../b.csv"])
    with pytest.raises(InputError, match=r"'\.\./\.\./b\.csv', which leads out of it"):
        remote.fetch("memory://d/parts", tmp_path / "copy")
    assert not list(tmp_path.rglob("*.csv"))


def test_a_failing_server_is_asked_again_and_that_is_said(server, monkeypatch, waits, capsys):
    server.pipe_file("/d/a.csv", CSV)
    fail(monkeypatch, server, 2)
    assert hepaa.open("memory://d/a.csv").n == 400
    assert waits == [4, 8]
    assert "hepaa: memory://d: Connection error; try 2 of 5 in 4 s\n" in capsys.readouterr().err


def test_after_the_last_try_the_error_says_where(server, monkeypatch, waits):
    server.pipe_file("/d/a.csv", CSV)
    fail(monkeypatch, server, 99)
    with pytest.raises(HepaaError, match=r"memory://d/a.csv: no answer in 5 tries .*Connection error"):
        hepaa.open("memory://d/a.csv")
    assert waits == list(remote.WAITS_S)
    assert 55 <= sum(waits) <= 65


def test_what_a_server_refuses_is_not_asked_twice(server, monkeypatch, waits):
    server.pipe_file("/d/a.csv", CSV)
    fail(monkeypatch, server, 99, PermissionError("not yours"))
    with pytest.raises(InputError, match="not yours"):
        hepaa.open("memory://d/a.csv")
    assert not waits


def test_a_refusal_of_one_server_leaves_the_others(server, monkeypatch, waits):
    server.pipe_file("/b/a.csv", CSV)
    server.pipe_file("/c/a.csv", CSV)
    fail(monkeypatch, server, 1, PermissionError("not yours"))
    assert hepaa.open("memory://b/a.csv|memory://c/a.csv").n == 400
    assert not waits


def test_bytes_that_are_missing_are_asked_for_again(server, monkeypatch, waits):
    server.pipe_file("/d/a.csv", CSV)
    read, short = type(server).cat_file, [True]

    def cat_file(self, path, **bounds):
        return read(self, path, **bounds)[: -3 if short and short.pop() else None]

    monkeypatch.setattr(type(server), "cat_file", cat_file)
    assert hepaa.open("memory://d/a.csv").n == 400
    assert waits == [4]


def test_alternatives_are_read_where_they_are(server, waits):
    server.pipe_file("/b/a.csv", CSV)
    server.pipe_file("/c/a.csv", CSV)
    address = "memory://a/a.csv|memory://b/a.csv|memory://c/a.csv"
    assert hepaa.open(address).n == 400
    assert not waits
    assert io.expand("memory://b/*.csv|memory://c/*.csv") == ["memory://b/a.csv|memory://c/a.csv"]
    server.pipe_file("/b/a.csv", CSV[:-7])
    with pytest.raises(InputError, match="name copies of one file"):
        remote.ranges("memory://b/a.csv|memory://c/a.csv", remote.state("memory://c/a.csv"), [(0, 4)])


def test_an_output_gets_its_name_when_it_is_whole_and_replaces_nothing(server, monkeypatch):
    with atomic_path("memory://out/t.txt") as partial:
        partial.write_text("all of it")
        assert not server.exists("/out/t.txt")
    assert server.cat_file("/out/t.txt") == b"all of it"
    with pytest.raises(InputError, match="nothing on a server is replaced"), atomic_path("memory://out/t.txt"):
        pytest.fail("the work began")
    with pytest.raises(ZeroDivisionError), atomic_path("memory://out/u.txt"):
        raise ZeroDivisionError
    monkeypatch.setattr(remote, "sha256", lambda _address: "0")
    with pytest.raises(HepaaError, match=r"arrived damaged .*results are kept in (.*)") as error, \
            atomic_path("memory://out/v.txt") as partial:  # fmt: skip
        partial.write_text("all of it")
    kept = Path(str(error.value).rpartition("kept in ")[2])
    assert kept.read_text() == "all of it"
    shutil.rmtree(kept.parent)
    assert server.ls("/out", detail=False) == ["/out/t.txt"]


def test_a_file_is_known_by_its_content_where_there_is_no_checksum(server, monkeypatch):
    server.pipe_file("/d/a.csv", CSV)
    server.pipe_file("/d/b.csv", CSV)
    a, b = (identify(f"memory://d/{name}.csv", "content") for name in "ab")
    assert a["sha256"] == b["sha256"] == io.sha256("memory://d/a.csv")
    assert result_key("x", a, None, {}) == result_key("x", b, None, {})
    assert not changed("memory://d/a.csv", a)
    assert "edges" in identify("memory://d/a.csv", "stat")
    server.pipe_file("/d/a.csv", CSV[::-1])
    assert changed("memory://d/a.csv", a)
    monkeypatch.setattr(remote, "checksum", lambda _address: "adler32:1")
    assert identify("memory://d/b.csv", "stat") == {k: b[k] for k in ("size", "modified")} | {"checksum": "adler32:1"}


@pytest.mark.parametrize(
    ("address", "package", "module"),
    [
        ("s3://bucket/x.lhe", "s3fs", "s3fs"),
        ("https://host/x.lhe", "aiohttp", "aiohttp"),
        ("root://host//x.lhe", "fsspec-xrootd", "XRootD.client"),
    ],
)
def test_a_package_that_is_missing_is_named(address, package, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"needs a package that is not installed: pip install {package}"):
        hepaa.open(address)


def test_the_web_is_read_alone_and_schemes_have_names():
    with pytest.raises(InputError, match="only read"), atomic_path("https://host/x.parquet"):
        pytest.fail("the work began")
    with pytest.raises(InputError, match="one server"), atomic_path("root://a//x|root://b//x"):
        pytest.fail("the work began")
    with pytest.raises(InputError, match="foo:// is unknown"):
        hepaa.open("foo://host/x.lhe")
